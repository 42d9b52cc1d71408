//! How a flow stands or ended, for a reader with two minutes: what failed, why, what it stopped, what to do next.
//!
//! Pure text. The end block after a flow and the lower half of `status` are the same words.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::flow::edge::is_met;
use crate::flow::{Flow, FlowHeader, FlowOutcome, Outcome, StepError, StepRun, StepState, Trust};
use crate::plan::{StepIndex, StepKind};
use crate::report::text::{cut, one_line, paragraphs, width};
use crate::report::why::{lacking, typed};
use crate::report::wording::{
    at_present, code_and_text, lateness, place_of, run_text, spoken, took, went_wrong,
};
use crate::report::{Beside, remedy};
use crate::time::{Delay, Timestamp};

/// The column in which values stand below the name of a step.
const VALUE_INDENT: usize = 12;

/// How many steps one list names before it only counts.
const NAMES_MAX: usize = 12;

/// How many entries one section has before it only names the steps.
const ENTRIES_MAX: usize = 8;

/// How many lines of an error are shown, and how many columns of each; `logs` has it whole.
const ERROR_LINES_MAX: usize = 6;

/// See [`ERROR_LINES_MAX`].
const ERROR_COLUMNS_MAX: usize = 600;

/// Returns how the flow ended or stands; two lines if all went well. Ends with a line break.
pub fn end_block(flow: &Flow, beside: &Beside, now: Timestamp) -> String {
    let mut block = headline(flow, beside, now);
    let details = details(flow, beside, now);
    if !details.is_empty() {
        block.push('\n');
        block.push_str(&details);
    }
    if let Some(next) = next(flow, details.is_empty()) {
        let _ = writeln!(block, "\nnext: {next}");
    }
    block
}

/// Returns how the flow stands before it is followed further. Ends with a line break.
pub fn opening(flow: &Flow, beside: &Beside, now: Timestamp) -> String {
    headline(flow, beside, now)
}

/// Returns the command that finishes the job; nothing if there is nothing to finish. Of an emulated flow, whose
/// service ends with its process, the one that shows it.
pub fn next(flow: &Flow, is_all_said: bool) -> Option<String> {
    let id = &flow.header().id;
    let unknown = || flow.steps().find(|(_, _, run)| run.state == StepState::Unknown);
    let is_well = flow.went_well();
    if flow.is_given_up() || id.is_rehearsal() || is_well && is_all_said {
        return None;
    }
    if is_well || flow.header().emulated {
        return Some(format!("synflow status {id}"));
    }
    Some(match unknown().filter(|_| flow.waits_for_a_person()) {
        Some((_, step, _)) => {
            let step = typed(step.id.as_str());
            format!("synflow resolve {id} {step} --run RUN | --not-started | --give-up")
        }
        None if flow.is_cancelling() => format!("synflow cancel {id}"),
        None => format!("synflow resume {id}"),
    })
}

/// Returns the plan of a flow as people see it: with its environment, and marked if it was emulated.
pub(super) fn plan_name(header: &FlowHeader) -> String {
    let emulated = if header.emulated { "emulated" } else { "" };
    let marks: Vec<String> =
        [&*header.environment, emulated].into_iter().filter(|mark| !mark.is_empty()).map(one_line).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{}{marks}", one_line(&header.plan_name))
}

/// Returns the flow's outcome and time on one line, its counts on a second, and its deadline, if any, on a third.
pub(super) fn headline(flow: &Flow, beside: &Beside, now: Timestamp) -> String {
    let header = flow.header();
    let name = plan_name(header);
    let begun = flow.started_at().unwrap_or(header.created_at);
    let verdict = if flow.is_settled() {
        let outcome = match flow.outcome() {
            FlowOutcome::TimedOut => "timed out",
            FlowOutcome::DeadlineMissed => "missed its deadline, done",
            outcome => outcome.word(),
        };
        let usual = beside.usual.map(|usual| format!(", usually {}", usual.short())).unwrap_or_default();
        format!("{outcome} after {}{usual}", flow.ended_at().unwrap_or(now).since(begun).short())
    } else {
        let verdict = if flow.is_given_up() {
            "was given up"
        } else if flow.waits_for_a_person() {
            "waits for a person"
        } else if flow.is_detached() {
            "is detached"
        } else {
            "has not ended"
        };
        let usual =
            beside.usual.map(|usual| format!(", usually takes {}", usual.short())).unwrap_or_default();
        format!("{verdict}, started {} ago{usual}", now.since(begun).short())
    };
    let lateness = lateness(flow, now).map(|line| line + "\n").unwrap_or_default();
    format!("flow {} of {name} {verdict}\n{}\n{lateness}", header.id, tally(flow))
}

/// Returns what a person must know beyond the headline, section by section; empty if that is nothing.
pub(super) fn details(flow: &Flow, beside: &Beside, now: Timestamp) -> String {
    let mut named = BTreeSet::new();
    let (mut bad, mut allowed, mut warned) = (Vec::new(), Vec::new(), Vec::new());
    for (index, step, run) in flow.steps() {
        let Some(outcome) = run.outcome() else { continue };
        let section = match outcome {
            Outcome::Unknown => &mut bad,
            Outcome::Warned => &mut warned,
            outcome if went_wrong(outcome) && step.allow_failure => &mut allowed,
            outcome if went_wrong(outcome) => &mut bad,
            _ => continue,
        };
        section.push(index);
    }
    let mut sections = Vec::new();
    for section in [bad, allowed, warned] {
        let alike = alike(flow, &section);
        for group in alike.iter().take(ENTRIES_MAX) {
            let stopped: BTreeSet<StepIndex> =
                group.iter().flat_map(|&step| stopped_by(flow, step)).collect();
            sections.push(entry(flow, group, &stopped.iter().copied().collect::<Vec<_>>(), now));
            named.extend(stopped);
        }
        let rest: Vec<StepIndex> = alike.into_iter().skip(ENTRIES_MAX).flatten().collect();
        if let Some(first) = rest.first() {
            let label = heading(flow, *first);
            sections.push(format!("{label}, too: {}\n", names(flow, &rest)));
            named.extend(rest.iter().flat_map(|&step| stopped_by(flow, step)));
        }
    }
    sections.extend(under_way(flow, beside, now));
    if !sections.is_empty() || !flow.is_settled() {
        sections.extend(never_started(flow, &named, now));
    }
    sections.join("\n")
}

/// Puts steps together that ended alike and say the same: twenty iterations that miss one table are one failure.
fn alike(flow: &Flow, steps: &[StepIndex]) -> Vec<Vec<StepIndex>> {
    let mut groups: Vec<Vec<StepIndex>> = Vec::new();
    let mut known = std::collections::BTreeMap::new();
    for &step in steps {
        let run = flow.run(step);
        let said = (run.outcome(), run.error().map(|error| (place_of(error), &error.code, &error.message)));
        match known.get(&said) {
            // What nobody knows the end of is asked about one by one.
            Some(&group) if said.1.is_some() && run.state != StepState::Unknown => {
                let group: &mut Vec<StepIndex> = &mut groups[group];
                group.push(step);
            }
            _ => {
                known.insert(said, groups.len());
                groups.push(vec![step]);
            }
        }
    }
    groups
}

/// Counts the steps by what became of them, in the words of the plan's documentation.
pub(super) fn tally(flow: &Flow) -> String {
    let ended = |wanted| {
        let steps = flow.steps().filter(move |(_, _, run)| run.outcome() == Some(wanted));
        let (mut count, mut allowed) = (0, 0);
        for (_, step, _) in steps {
            count += 1;
            allowed += usize::from(went_wrong(wanted) && step.allow_failure);
        }
        let word = spoken(wanted);
        (count, if allowed > 0 { format!("{word} ({allowed} allowed)") } else { word.to_owned() })
    };
    let outcomes = [
        Outcome::Succeeded,
        Outcome::Warned,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Unknown,
        Outcome::Blocked,
        Outcome::Skipped,
        Outcome::NotNeeded,
    ];
    let counts = flow.counts();
    let open = [(counts.running, "running".to_owned()), (counts.waiting, "waiting".to_owned())];
    let parts = outcomes.map(ended).into_iter().chain(open).filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    parts.join(", ")
}

/// Returns how a step ended, for the head of its entry: `failed (allowed)`.
fn heading(flow: &Flow, step: StepIndex) -> String {
    let outcome = flow.run(step).outcome().unwrap_or(Outcome::Unknown);
    let allowed = if went_wrong(outcome) && flow.step(step).allow_failure { " (allowed)" } else { "" };
    format!("{}{allowed}", spoken(outcome))
}

/// Returns all there is to say of steps that did not end well, and alike.
fn entry(flow: &Flow, alike: &[StepIndex], stopped: &[StepIndex], now: Timestamp) -> String {
    let Some(&index) = alike.first() else { return String::new() };
    let (step, run) = (flow.step(index), flow.run(index));
    let outcome = run.outcome().unwrap_or(Outcome::Unknown);
    let mut text = format!("{}: ", heading(flow, index));
    let place = run.error().map(place_of).unwrap_or_default();
    if alike.len() > 1 {
        let at = if place.is_empty() { place } else { format!(", all at {place}") };
        let _ = writeln!(text, "{} steps alike{at}", alike.len());
        row(&mut text, "steps", &names(flow, alike));
    } else {
        text.push_str(&one_line(step.id.as_str()));
        if !place.is_empty() {
            let _ = write!(text, " > {place}");
        }
        if outcome == Outcome::Unknown {
            text.push_str(", a person must look");
        } else if let Some(took) = took(run, now).map(Delay::short) {
            let tries = run.attempts.len();
            let tries = if tries > 1 { format!(" and {tries} attempts") } else { String::new() };
            let _ = write!(text, ", after {took}{tries}");
        }
        text.push('\n');
    }
    match run.error() {
        Some(error) => row(&mut text, label(outcome), &message(error, step.id.as_str())),
        None if !run.reason.is_empty() => row(&mut text, label(outcome), &run.reason),
        None => {}
    }
    if let Some(remedy) = remedy::of_step(flow, index) {
        row(&mut text, "to do", &remedy);
    }
    if alike.len() == 1 {
        // Where a workspace chooses the ids, the one that was sent is nobody's.
        let is_nameless = outcome == Outcome::Unknown
            && flow.trust(step.workspace) == Trust::Disproven
            && run.last_attempt().is_some_and(|attempt| attempt.started_at.is_none());
        let known = run_text(run).filter(|_| !is_nameless);
        let run = known.unwrap_or_else(|| if is_nameless { "not known" } else { "none" }.to_owned());
        row(&mut text, "run", &format!("{run} ({})", one_line(&step.pipeline)));
    }
    if !stopped.is_empty() {
        let label = if outcome == Outcome::Unknown { "holds up" } else { "blocked" };
        row(&mut text, label, &names(flow, stopped));
    }
    text
}

/// Returns an error's code and text, without the end of what is too long for a screen.
fn message(error: &StepError, id: &str) -> String {
    let (code, text) = code_and_text(error);
    let code = one_line(code);
    let whole = match (code.as_str(), text) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let lines = paragraphs(&whole);
    let is_long = lines.len() > ERROR_LINES_MAX || lines.iter().any(|line| width(line) > ERROR_COLUMNS_MAX);
    let mut shown: Vec<String> =
        lines.iter().take(ERROR_LINES_MAX).map(|line| cut(line, ERROR_COLUMNS_MAX)).collect();
    if is_long {
        shown.push(format!("(`synflow logs {}` has it whole)", typed(id)));
    }
    shown.join("\n")
}

/// Returns what the reason of an end is called: an error only where something broke.
const fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unknown | Outcome::TimedOut | Outcome::Cancelled => "why",
        _ => "error",
    }
}

/// Writes a label and its value; further lines of the value stand below its first. Lines stay whole, however long: a
/// terminal wraps them, and a log can be searched.
fn row(text: &mut String, label: &str, value: &str) {
    let mut label = label;
    for line in paragraphs(value) {
        let width = VALUE_INDENT - 2;
        text.push_str(format!("  {label:width$}{line}").trim_end());
        text.push('\n');
        label = "";
    }
}

/// Returns the steps that a step's end keeps from starting, near or far, in file order.
///
/// Follows only edges that are not met, so that a step blocked by another failure is not laid at this one's door.
pub(super) fn stopped_by(flow: &Flow, step: StepIndex) -> Vec<StepIndex> {
    let mut stopped = BTreeSet::new();
    let mut open = vec![step];
    while let Some(upstream) = open.pop() {
        let Some(outcome) = flow.run(upstream).outcome() else {
            // Behind an unknown step nothing has been decided: all that comes after it waits.
            open.extend(flow.graph().downstreams(upstream).filter(|&next| stopped.insert(next)));
            continue;
        };
        for next in flow.graph().downstreams(upstream) {
            let held = match flow.run(next).outcome() {
                _ if flow.step(next).kind == StepKind::Barrier => false,
                // What the iterations of a step come to goes on to what waits for them all.
                Some(Outcome::Blocked | Outcome::Failed) if !flow.step(next).kind.is_run() => true,
                Some(Outcome::Blocked) => {
                    let allowed = flow.is_allowed_to_fail(upstream);
                    let mut edges =
                        flow.step(next).depends_on.iter().filter(|edge| edge.upstream == upstream);
                    edges.any(|edge| !is_met(&edge.rule, outcome, allowed))
                }
                None => outcome == Outcome::Unknown,
                Some(_) => false,
            };
            if held && stopped.insert(next) {
                open.push(next);
            }
        }
    }
    stopped.into_iter().filter(|&step| flow.step(step).kind.is_run()).collect()
}

/// Lists the steps of an unfinished flow that have begun and not ended, with the runs that go on.
fn under_way(flow: &Flow, beside: &Beside, now: Timestamp) -> Option<String> {
    let steps: BTreeSet<StepIndex> = flow.live().chain(flow.retrying()).collect();
    if steps.is_empty() {
        return None;
    }
    let title = match (flow.is_detached(), flow.header().emulated) {
        (true, true) => "gone with the emulated workspace",
        (true, false) => "left under way",
        (false, _) => "under way when synflow last looked",
    };
    let mut text = format!("{title}:\n");
    for step in steps {
        let run = flow.run(step);
        let id = one_line(flow.step(step).id.as_str());
        let present = at_present(flow, step, None, now);
        let present = match run_text(run).filter(|_| !matches!(run.state, StepState::Retrying { .. })) {
            None => present,
            Some(run) if present.is_empty() => format!("run {run}"),
            Some(run) => format!("run {run}; {present}"),
        };
        let _ = writeln!(text, "  {id}: {present}{}", so_far(flow, step, run, beside, now));
    }
    Some(text)
}

/// Says how long a run has taken so far beside what it usually takes, where that is known.
fn so_far(flow: &Flow, step: StepIndex, run: &StepRun, beside: &Beside, now: Timestamp) -> String {
    let place = flow.step(step);
    let usual = beside.steps.get(&(place.id.clone(), place.pipeline.clone()));
    let begun = run.last_attempt().and_then(|attempt| attempt.started_at);
    match (usual, begun, &run.state) {
        (Some(usual), Some(begun), StepState::Running) => {
            format!(", {} so far, usually {}", now.since(begun).short(), usual.short())
        }
        _ => String::new(),
    }
}

/// Lists the steps without a run that no other entry names, with the reason.
fn never_started(flow: &Flow, named: &BTreeSet<StepIndex>, now: Timestamp) -> Option<String> {
    let steps: Vec<StepIndex> = flow
        .steps()
        .filter(|(index, _, run)| {
            let went_wrong = run.outcome().is_some_and(went_wrong);
            run.attempts.is_empty() && !went_wrong && !named.contains(index)
        })
        .map(|(index, _, _)| index)
        .collect();
    if steps.is_empty() {
        return None;
    }
    let mut text = "never started:\n".to_owned();
    for &step in steps.iter().take(NAMES_MAX) {
        let _ = writeln!(
            text,
            "  {}: {}",
            one_line(flow.step(step).id.as_str()),
            never_started_why(flow, step, now)
        );
    }
    if steps.len() > NAMES_MAX {
        let _ = writeln!(text, "  ... and {} more", steps.len() - NAMES_MAX);
    }
    Some(text)
}

fn never_started_why(flow: &Flow, step: StepIndex, now: Timestamp) -> String {
    let run = flow.run(step);
    match &run.state {
        StepState::Waiting => format!("waits for {}", waited_for(flow, step)),
        StepState::Ready => match lacking(flow, step, now) {
            lacks if lacks.is_empty() => "ready to start".to_owned(),
            lacks => format!("ready, waits for {}", lacks.join(" and ")),
        },
        StepState::Barred { outcome, reason } => format!("{}, {}", spoken(*outcome), one_line(reason)),
        _ => {
            let word = run.outcome().map_or("not started", spoken);
            format!("{word}, {}", one_line(&run.reason))
        }
    }
}

/// Names the upstreams of a step that have not ended.
fn waited_for(flow: &Flow, step: StepIndex) -> String {
    let open = |upstream: &StepIndex| !matches!(flow.run(*upstream).state, StepState::Ended { .. });
    let upstreams: BTreeSet<StepIndex> = flow.graph().upstreams(step).filter(open).collect();
    names(flow, &upstreams.into_iter().collect::<Vec<_>>())
}

fn names(flow: &Flow, steps: &[StepIndex]) -> String {
    let shown = steps.iter().take(NAMES_MAX).map(|&step| one_line(flow.step(step).id.as_str()));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if steps.len() > NAMES_MAX {
        let _ = write!(text, ", ... and {} more", steps.len() - NAMES_MAX);
    }
    text
}
