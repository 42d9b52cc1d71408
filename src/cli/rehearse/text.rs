//! A rehearsed flow for people: how it ends, the chart, what decides its length, and why steps did not run.

use std::fmt::Write;

use crate::cli::rehearse::gantt;
use crate::cli::settings::columns;
use crate::flow::{Flow, Outcome};
use crate::plan::StepIndex;
use crate::rehearse::account::{Account, BoundBy, outputs_missed, why};
use crate::rehearse::{Basis, Rehearsal};
use crate::report::{counted, cut, one_line};
use crate::time::Delay;

/// How many steps that did not go well are explained.
const EXPLAINED_MAX: usize = 20;

/// How many steps of the critical path are shown.
const PATH_SHOWN_MAX: usize = 30;

/// The widest chart: on a wider screen the eye no longer follows a row.
const COLUMNS: (usize, usize) = (60, 160);

/// What the text needs besides the rehearsal.
pub(super) struct Frame {
    /// How long a pipeline takes of which nothing is known.
    pub(super) usual: Delay,
    /// How many earlier flows were read.
    pub(super) flows: usize,
    /// How many rows the chart has at most.
    pub(super) rows: usize,
}

/// Returns the answer to `rehearse`.
pub(super) fn whole(rehearsal: &Rehearsal, account: &Account, frame: &Frame) -> String {
    let (narrowest, widest) = COLUMNS;
    let mut out = head(rehearsal, account, frame);
    out.push('\n');
    out.push_str(&gantt::draw(rehearsal.flow(), account, columns().clamp(narrowest, widest), frame.rows));
    out.push('\n');
    out.push_str(&lengths(rehearsal, account));
    out.push_str(&reasons(rehearsal.flow(), account));
    if let Some(output) = outputs_missed(rehearsal.flow()).first() {
        let _ = writeln!(
            out,
            "hint: a rehearsal knows no outputs; `--assume {}=VALUE` gives one",
            one_line(output)
        );
    }
    out
}

fn head(rehearsal: &Rehearsal, account: &Account, frame: &Frame) -> String {
    let flow = rehearsal.flow();
    let header = flow.header();
    let environment = match header.environment.as_str() {
        "" => String::new(),
        name => format!(" in the environment `{}`", one_line(name)),
    };
    let begins = account.began.spoken();
    let mut out = format!("rehearsal of `{}`{environment}, begun {begins}\n", one_line(&header.plan_name));
    let took = account.makespan().short();
    let line = match rehearsal.outcome() {
        (word, Some(code)) => format!("{word} after {took}; a real flow would end with exit code {code}"),
        (_, None) => {
            "a real flow would never end: a run does not end, and its step has no `timeout`".to_owned()
        }
    };
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{line}\n{}", tally(flow));
    let _ = writeln!(out, "durations: {}", bases(rehearsal, account, frame));
    if let Some(due) = flow.due() {
        let left = if account.ended > due.at {
            format!("missed by {}", account.ended.since(due.at).short())
        } else {
            format!("met with {} to spare", due.at.since(account.ended).short())
        };
        let _ = writeln!(out, "deadline {}: {left}", due.at.spoken());
    }
    out
}

/// Counts the steps by how they ended, the good ends first.
fn tally(flow: &Flow) -> String {
    let order = [
        Outcome::Succeeded,
        Outcome::Warned,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Unknown,
        Outcome::Blocked,
        Outcome::NotNeeded,
        Outcome::Skipped,
    ];
    let count =
        |outcome: Option<Outcome>| flow.steps().filter(|(_, _, run)| run.outcome() == outcome).count();
    let mut parts: Vec<String> = order
        .into_iter()
        .map(|outcome| (count(Some(outcome)), outcome.word()))
        .chain([(count(None), "open")])
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    format!("{}: {}", counted(flow.steps().count(), "step"), parts.join(", "))
}

fn bases(rehearsal: &Rehearsal, account: &Account, frame: &Frame) -> String {
    let count = |basis: Basis| account.courses.iter().filter(|it| rehearsal.basis(it.step) == basis).count();
    let said = [
        (Basis::Assumed, "assumed".to_owned()),
        (Basis::Script, "from the script".to_owned()),
        (Basis::History, format!("from {}", counted(frame.flows, "earlier flow"))),
        (
            Basis::Usual,
            format!(
                "at {} each, for no earlier flow has run them (`--default-duration`)",
                frame.usual.short()
            ),
        ),
    ];
    let parts: Vec<String> = said
        .into_iter()
        .map(|(basis, words)| (count(basis), words))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    parts.join(", ")
}

/// Says what decides how long the flow takes.
fn lengths(rehearsal: &Rehearsal, account: &Account) -> String {
    let flow = rehearsal.flow();
    let mut out = String::new();
    let took = |step: &StepIndex| {
        let course = account.courses.iter().find(|course| course.step == *step);
        let held = course.and_then(|course| course.attempts.first().zip(course.attempts.last()));
        let took = held.map(|(first, last)| last.1.since(first.0).short()).unwrap_or_default();
        format!("{} {took}", one_line(flow.step(*step).id.as_str()))
    };
    if !account.critical_path.is_empty() {
        let mut steps: Vec<String> = account.critical_path.iter().take(PATH_SHOWN_MAX).map(took).collect();
        if account.critical_path.len() > PATH_SHOWN_MAX {
            steps.push(format!("{} more", account.critical_path.len() - PATH_SHOWN_MAX));
        }
        let _ = writeln!(out, "critical path, {}: {}", account.critical_length.short(), steps.join(" -> "));
    }
    let by = match &account.bound.by {
        BoundBy::Path => "by the critical path".to_owned(),
        BoundBy::Places => {
            format!("by {} of work in {}", account.work.short(), counted(flow.header().max_parallel, "place"))
        }
        BoundBy::Pool(name) => format!("by the work in the pool `{}`", one_line(name)),
    };
    let (makespan, bound) = (account.makespan(), account.bound.length);
    let above = Delay::from_ms(makespan.as_ms().saturating_sub(bound.as_ms()));
    let _ = writeln!(
        out,
        "makespan {}, lower bound {} {by}: at most {} could be gained",
        makespan.short(),
        bound.short(),
        above.short()
    );
    out
}

/// Says of each step that did not go well why.
fn reasons(flow: &Flow, account: &Account) -> String {
    let is_well =
        |step: StepIndex| matches!(flow.run(step).outcome(), Some(Outcome::Succeeded | Outcome::Warned));
    let steps: Vec<StepIndex> =
        account.courses.iter().map(|course| course.step).filter(|step| !is_well(*step)).collect();
    if steps.is_empty() {
        return String::new();
    }
    let mut out = "\ndid not succeed:\n".to_owned();
    let (_, widest) = COLUMNS;
    for step in steps.iter().take(EXPLAINED_MAX) {
        for (depth, reason) in why(flow, *step).iter().enumerate() {
            let lead = if depth == 0 { "  " } else { "    because " };
            let _ = writeln!(out, "{lead}{}", cut(&one_line(reason), widest));
        }
    }
    if steps.len() > EXPLAINED_MAX {
        let _ = writeln!(out, "  … and {} more; `--output json` has them all", steps.len() - EXPLAINED_MAX);
    }
    out
}
