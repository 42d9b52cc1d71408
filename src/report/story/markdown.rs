//! A story as Markdown, for a job's summary, a pull request or a chat.

use std::fmt::Write;

use crate::report::markdown::{code, code_cell, text};
use crate::report::story::{Cause, Leg, StepStory, Story, skipped_legs};
use crate::report::text::{counted, cut, one_line};

/// How many causes and steps are told before the rest is only counted, and after how many bytes no more steps are: a
/// comment on GitHub has room for 65,536 characters.
const CAUSES_MAX: usize = 20;
const ROWS_MAX: usize = 150;
const BYTES_MAX: usize = 60_000;

/// The longest cell, in columns.
const CELL_MAX: usize = 160;

/// Returns the story as Markdown of the kind that GitHub and Azure DevOps read.
pub fn markdown(story: &Story) -> String {
    let flow = &story.flow;
    let mut out =
        format!("### {} {}\n\n", sign(flow.outcome.as_deref().unwrap_or("running")), text(&flow.headline));
    let mut counts: Vec<String> = Vec::new();
    for mark in super::MARKS {
        if let Some(count) = flow.counts.get(mark) {
            counts.push(format!("{count} {}", mark.replace('_', " ")));
        }
    }
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{}", counts.join(", "));
    if let Some(expected) = flow.expected_ms {
        let from = counted(flow.earlier_flows, "earlier flow");
        let _ = writeln!(out, "\nexpected {} by {from}, took {}", expected.short(), flow.elapsed_ms.short());
    }
    if let Some(deadline) = &flow.deadline {
        let _ = writeln!(out, "\n{}", text(&deadline.text));
    }
    if let Some(next) = &flow.next {
        let _ = writeln!(out, "\n```sh\n{}\n```", one_line(next));
    }
    if !story.causes.is_empty() {
        out.push_str("\n#### What went wrong\n\n");
        story.causes.iter().take(CAUSES_MAX).for_each(|cause| write_cause(&mut out, cause));
        if story.causes.len() > CAUSES_MAX {
            let _ = writeln!(out, "- ... and {} more", story.causes.len() - CAUSES_MAX);
        }
    }
    if story.critical_path.len() > 1 {
        let skipped = skipped_legs(story.critical_path.len());
        let leg = |(at, leg): (usize, &Leg)| {
            if skipped.contains(&at) {
                return (at == skipped.start).then(|| counted(skipped.len(), "more step"));
            }
            let waited = if leg.waited_ms.as_ms() < 1000 {
                String::new()
            } else {
                format!(", waited {}", leg.waited_ms.short())
            };
            Some(format!("{} ({}{waited})", code(&leg.step), leg.took_ms.short()))
        };
        let path: Vec<String> = story.critical_path.iter().enumerate().filter_map(leg).collect();
        let _ = writeln!(out, "\n#### What decided the time\n\n{}", path.join(" → "));
    }
    write_steps(&mut out, story);
    out
}

fn write_cause(out: &mut String, cause: &Cause) {
    let allowed = if cause.allowed { " (allowed)" } else { "" };
    let word = cause.outcome.replace('_', " ");
    let stopped = match cause.stopped_count {
        0 => String::new(),
        count => {
            let named: Vec<String> = cause.stopped.iter().take(5).map(|step| code(step)).collect();
            let more = if count > 5 { format!(" and {} more", count - 5) } else { String::new() };
            let verb = if cause.outcome == "unknown" { "holds up" } else { "blocked" };
            format!("; {verb} {}{more}", named.join(", "))
        }
    };
    let _ = writeln!(
        out,
        "- {} **{word}**{allowed}: {}{stopped}",
        sign(&cause.outcome),
        text(&cut(&cause.text, 600))
    );
}

/// Writes the table: all steps where they fit, else those that did not go well first.
fn write_steps(out: &mut String, story: &Story) {
    let mut rows: Vec<&StepStory> = story.steps.iter().collect();
    let is_long = rows.len() > ROWS_MAX;
    if is_long {
        let rank = |mark: &str| super::MARKS.iter().position(|it| *it == mark);
        rows.sort_by_key(|step| rank(step.mark()));
    }
    let (open, close) = if rows.len() > 20 {
        (format!("<details><summary>{}</summary>\n\n", counted(rows.len(), "step")), "\n</details>\n")
    } else {
        ("#### Steps\n\n".to_owned(), "")
    };
    let _ = write!(
        out,
        "\n{open}| | step | outcome | time | attempts | run | why |\n|---|---|---|---|---|---|---|\n"
    );
    let mut told = 0;
    for step in rows.iter().take(ROWS_MAX) {
        if out.len() > BYTES_MAX {
            break;
        }
        told += 1;
        let allowed = step.allow_failure && matches!(step.mark(), "failed" | "timed_out" | "cancelled");
        let outcome = format!("{}{}", step.mark().replace('_', " "), if allowed { " (allowed)" } else { "" });
        let run = step.attempts.last().and_then(|attempt| {
            let id = attempt.run_id.as_deref()?;
            let short = id.split('-').next().unwrap_or(id);
            Some(attempt.studio.as_ref().map_or_else(|| code_cell(id), |link| format!("[{short}]({link})")))
        });
        let attempts = if step.attempts.len() > 1 { step.attempts.len().to_string() } else { String::new() };
        let _ = writeln!(
            out,
            "| {} | {} | {outcome} | {} | {attempts} | {} | {} |",
            sign(step.mark()),
            code_cell(&step.id),
            step.elapsed_ms.map(crate::time::Delay::short).unwrap_or_default(),
            run.unwrap_or_default(),
            text(&cut(step.why.as_deref().unwrap_or_default(), CELL_MAX)),
        );
    }
    if told < rows.len() {
        let _ = writeln!(out, "\n... and {}", counted(rows.len() - told, "more step"));
    }
    out.push_str(close);
}

/// Returns a sign for an outcome, whose word stands beside it.
fn sign(mark: &str) -> &'static str {
    match mark {
        "succeeded" => "✅",
        "warned" => "⚠️",
        "failed" => "❌",
        "timed_out" | "deadline_missed" => "⏰",
        "cancelled" => "🛑",
        "unknown" => "❓",
        "running" => "▶️",
        "waiting" => "⏳",
        _ => "⚪",
    }
}
