//! How a flow stands or ended, as Markdown: for the summary of a CI job, a comment, a ticket.
//!
//! Pure text. What the plan or the service says stands as code, so that nothing in it becomes a link, a mention or HTML.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::flow::{Flow, Outcome};
use crate::plan::StepIndex;
use crate::report::summary;
use crate::report::text::{counted, cut, one_line};
use crate::report::wording::{error_line, run_text, spoken, took, went_wrong};
use crate::time::{Delay, Timestamp};

/// How many steps that did not end well are told at length.
const ENTRIES_MAX: usize = 50;

/// How many steps the table has: GitHub refuses a summary of more than a megabyte.
const ROWS_MAX: usize = 1000;

/// How much of an error stands here, in columns.
const ERROR_COLUMNS_MAX: usize = 2000;

/// How many steps a list names before it only counts.
const NAMES_MAX: usize = 12;

/// Returns how a flow ended or stands: the verdict, what went wrong and what it stopped, what to do next, and all steps in
/// a table that is folded. Ends with a line break.
pub fn flow(flow: &Flow, now: Timestamp) -> String {
    let headline = summary::headline(flow, now);
    let mut lines = headline.lines();
    let mut page = format!("### {}\n", prose(lines.next().unwrap_or_default()));
    for line in lines {
        let _ = write!(page, "\n{}\n", prose(line));
    }
    entries(&mut page, flow, now);
    let is_all_well = summary::details(flow, now).is_empty();
    if let Some(next) = summary::next(flow, is_all_well) {
        let _ = write!(page, "\nNext: {}\n", code(&next));
    }
    table(&mut page, flow, now);
    page
}

/// Tells of each step that did not end well, and what is under way or never began.
fn entries(page: &mut String, flow: &Flow, now: Timestamp) {
    let bad: Vec<(StepIndex, Outcome)> = flow
        .steps()
        .filter_map(|(index, _, run)| Some((index, run.outcome()?)))
        .filter(|(_, outcome)| went_wrong(*outcome) || *outcome == Outcome::Warned)
        .collect();
    // What counts against the flow comes first, whatever stands first in the file.
    let rank = |(index, outcome): &(StepIndex, Outcome)| match outcome {
        Outcome::Warned => 2,
        Outcome::Unknown => 0,
        _ if flow.step(*index).allow_failure => 1,
        _ => 0,
    };
    let mut sorted = bad.clone();
    sorted.sort_by_key(rank);
    let mut named = BTreeSet::new();
    for (index, outcome) in &bad {
        let stopped =
            if *outcome == Outcome::Warned { Vec::new() } else { summary::stopped_by(flow, *index) };
        named.extend(stopped);
    }
    for (index, outcome) in sorted.iter().take(ENTRIES_MAX) {
        entry(page, flow, *index, *outcome, now);
    }
    if sorted.len() > ENTRIES_MAX {
        let _ = write!(page, "\n... and {} more\n", sorted.len() - ENTRIES_MAX);
    }
    let under_way = summary::under_way(flow, now);
    let never_started =
        (!bad.is_empty() || under_way.is_some()).then(|| summary::never_started(flow, &named));
    for block in [under_way, never_started.flatten()].into_iter().flatten() {
        let mut lines = block.lines();
        let _ = write!(page, "\n**{}**\n\n", prose(lines.next().unwrap_or_default().trim_end_matches(':')));
        for line in lines {
            let _ = writeln!(page, "- {}", code(line));
        }
    }
}

fn entry(page: &mut String, flow: &Flow, index: StepIndex, outcome: Outcome, now: Timestamp) {
    let (step, run) = (flow.step(index), flow.run(index));
    let allowed = if went_wrong(outcome) && step.allow_failure { " (allowed)" } else { "" };
    let _ = write!(page, "\n**{}{allowed}:** {}", spoken(outcome), code(step.id.as_str()));
    if outcome == Outcome::Unknown {
        page.push_str(", a person must look");
    } else if let Some(took) = took(run, now).map(Delay::short) {
        let tries = run.attempts.len();
        let tries = if tries > 1 { format!(" and {tries} attempts") } else { String::new() };
        let _ = write!(page, ", after {took}{tries}");
    }
    let id = run_text(run).map_or_else(|| "no run".to_owned(), |run| format!("run {}", code(&run)));
    let _ = write!(page, "\n\n- pipeline {}, {id}\n", code(&step.pipeline));
    let why = run.error().map_or_else(|| one_line(&run.reason), error_line);
    if !why.is_empty() {
        let _ = writeln!(page, "- {}: {}", summary::label(outcome), code(&cut(&why, ERROR_COLUMNS_MAX)));
    }
    let stopped = if outcome == Outcome::Warned { Vec::new() } else { summary::stopped_by(flow, index) };
    if !stopped.is_empty() {
        let verb = if outcome == Outcome::Unknown { "holds up" } else { "blocked" };
        let names = stopped.iter().take(NAMES_MAX).map(|&step| code(flow.step(step).id.as_str()));
        let mut names = names.collect::<Vec<_>>().join(", ");
        if stopped.len() > NAMES_MAX {
            let _ = write!(names, ", ... and {} more", stopped.len() - NAMES_MAX);
        }
        let _ = writeln!(page, "- {verb}: {names}");
    }
}

/// Writes all steps, in file order.
fn table(page: &mut String, flow: &Flow, now: Timestamp) {
    let total = flow.steps().count();
    let _ = write!(page, "\n<details><summary>{}</summary>\n\n", counted(total, "step"));
    page.push_str("| step | pipeline | outcome | took | attempts | run |\n|---|---|---|---|---|---|\n");
    for (_, step, run) in flow.steps().take(ROWS_MAX) {
        let outcome = run.outcome().map_or_else(|| super::json::step_state(&run.state), spoken);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            code_cell(step.id.as_str()),
            code_cell(&step.pipeline),
            outcome.replace('_', " "),
            took(run, now).map(Delay::short).unwrap_or_default(),
            run.attempts.len(),
            run_text(run).map(|run| code_cell(&run)).unwrap_or_default(),
        );
    }
    if total > ROWS_MAX {
        let _ = write!(page, "\n... and {} more\n", total - ROWS_MAX);
    }
    page.push_str("\n</details>\n");
}

/// Keeps what a text of ours says, such as the name of a plan in it, from being taken for Markdown or HTML.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // A mark between them keeps the name from being called.
            '@' => out.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Keeps a text inside its cell, and what it says from being taken for a cell's end or HTML.
pub(super) fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|").replace('<', "&lt;")
}

/// Returns a text as code, whatever is in it.
pub(super) fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let margin = if longest > 0 { " " } else { "" };
    format!("{fence}{margin}{text}{margin}{fence}")
}

/// Returns a text as code in a cell of a table, where a `|` would end it even in code.
pub(super) fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{code, code_cell, flow, prose};
    use crate::flow::{Event, Outcome};
    use crate::plan::StepId;
    use crate::report::sample::{Sample, error};

    #[test]
    fn a_good_night_is_short() {
        let mut sample = Sample::new(&[("load", ""), ("alarm", "load:failed")]);
        sample.succeed("load");
        insta::assert_snapshot!(flow(&sample.flow, sample.now), @r"
        ### flow 7f3a9c of nightly-sales succeeded after 1m00s

        1 succeeded, 1 not needed

        <details><summary>2 steps</summary>

        | step | pipeline | outcome | took | attempts | run |
        |---|---|---|---|---|---|
        | `load` | `pl_load` | succeeded | 1m00s | 1 | `8b35ed2c-0000-4000-8000-000000000001` |
        | `alarm` | `pl_alarm` | not needed |  | 0 |  |

        </details>
        ");
    }

    #[test]
    fn a_bad_night_says_what_failed_why_and_what_is_next() {
        let steps =
            [("fx", ""), ("curate", ""), ("publish", "curate"), ("odd", ""), ("lost", ""), ("late", "lost")];
        let mut sample = Sample::with(&steps, |plan| {
            plan.name = "nightly <b>@team</b>".to_owned();
            plan.steps[0].allow_failure = true;
        });
        sample.start("fx").wait(3).end("fx", Outcome::Failed, Some(error("", "2108", "no `rates` | @team")));
        sample.start("curate").wait(60).end(
            "curate",
            Outcome::Failed,
            Some(error("Copy_2", "UserErrorInvalidTable", "no such table:\n<script>alert(1)</script>")),
        );
        sample.start("odd").wait(9).end("odd", Outcome::Warned, Some(error("Web", "1", "gone")));
        sample.start("lost").wait(5).record(Event::AttemptEnded {
            step: StepId::new("lost"),
            attempt: 1,
            outcome: Outcome::Unknown,
            error: Some(error("", "", "Synapse no longer knows the run")),
            restart: None,
            outputs: None,
            activities: None,
        });
        insta::assert_snapshot!(flow(&sample.flow, sample.now), @r"
        ### flow 7f3a9c of nightly &lt;b>@<!-- -->team&lt;/b> waits for a person, started 1m17s ago

        1 warned, 2 failed (1 allowed), 1 unknown, 1 blocked, 1 waiting

        **failed:** `curate`, after 1m00s

        - pipeline `pl_curate`, run `8b35ed2c-0000-4000-8000-000000000002`
        - error: `Copy_2: UserErrorInvalidTable: no such table: <script>alert(1)</script>`
        - blocked: `publish`

        **unknown:** `lost`, a person must look

        - pipeline `pl_lost`, run `8b35ed2c-0000-4000-8000-000000000004`
        - why: `Synapse no longer knows the run`
        - holds up: `late`

        **failed (allowed):** `fx`, after 3.0s

        - pipeline `pl_fx`, run `8b35ed2c-0000-4000-8000-000000000001`
        - error: `` 2108: no `rates` | @team ``

        **warned:** `odd`, after 9.0s

        - pipeline `pl_odd`, run `8b35ed2c-0000-4000-8000-000000000003`
        - error: `Web: 1: gone`

        Next: `synflow resolve 7f3a9c lost --run RUN | --not-started | --give-up`

        <details><summary>6 steps</summary>

        | step | pipeline | outcome | took | attempts | run |
        |---|---|---|---|---|---|
        | `fx` | `pl_fx` | failed | 3.0s | 1 | `8b35ed2c-0000-4000-8000-000000000001` |
        | `curate` | `pl_curate` | failed | 1m00s | 1 | `8b35ed2c-0000-4000-8000-000000000002` |
        | `publish` | `pl_publish` | blocked |  | 0 |  |
        | `odd` | `pl_odd` | warned | 9.0s | 1 | `8b35ed2c-0000-4000-8000-000000000003` |
        | `lost` | `pl_lost` | unknown | 5.0s | 1 | `8b35ed2c-0000-4000-8000-000000000004` |
        | `late` | `pl_late` | waiting |  | 0 |  |

        </details>
        ");
    }

    #[test]
    fn a_large_night_stays_below_the_limit() {
        let names: Vec<String> = (0..3000).map(|n| format!("step_{n}")).collect();
        let steps: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let mut sample = Sample::new(&steps);
        for name in &names[..200] {
            sample.start(name).end(name, Outcome::Failed, Some(error("", "", &"long ".repeat(2000))));
        }
        let page = flow(&sample.flow, sample.now);
        assert!(page.len() < 1024 * 1024, "{}", page.len());
        assert!(page.contains("... and 150 more\n"), "{page}");
        assert!(page.contains("... and 2000 more\n"), "{page}");
    }

    #[test]
    fn foreign_words_stay_words() {
        assert_eq!(prose("a_b <i> @me [x](y)"), "a\\_b &lt;i> @<!-- -->me \\[x\\](y)");
        assert_eq!(code("a | `b` <i>"), "`` a | `b` <i> ``");
        assert_eq!(code_cell("a | `b`"), "`` a \\| `b` ``");
    }
}
