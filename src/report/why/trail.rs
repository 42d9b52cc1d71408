//! The way from a step back to what decided about it: through blocked steps and iterations to the first failure.

use std::collections::{BTreeSet, VecDeque};

use crate::flow::{Flow, Outcome, StepState};
use crate::plan::{StepIndex, StepKind, When};
use crate::report::why::edges;
use crate::report::wording::{self, spoken, went_wrong};
use crate::time::Timestamp;

/// How many steps of the way are looked at.
const STEPS_MAX: usize = 10_000;

/// A step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The step.
    pub(super) step: StepIndex,
    /// How it ended or where it is, and why.
    pub(super) text: String,
    /// Whether nothing lies behind it: it is where it began.
    pub(super) is_root: bool,
}

/// Returns the way back from a step, which is not on it, nearest first.
pub(super) fn of(flow: &Flow, step: StepIndex, now: Timestamp) -> Vec<Link> {
    let mut seen = BTreeSet::from([step]);
    let mut open: VecDeque<StepIndex> = behind(flow, step).into();
    let mut links = Vec::new();
    while let Some(next) = open.pop_front() {
        if !seen.insert(next) || links.len() >= STEPS_MAX {
            continue;
        }
        let further = behind(flow, next);
        // What ends all that waits for it is a junction of the plan, and nobody has written it.
        if flow.step(next).kind != StepKind::Barrier {
            links.push(Link { step: next, text: text(flow, next, now), is_root: further.is_empty() });
        }
        open.extend(further);
    }
    links
}

/// Returns what a step is as it is because of, one step further.
fn behind(flow: &Flow, step: StepIndex) -> Vec<StepIndex> {
    let (place, run) = (flow.step(step), flow.run(step));
    let outcome = match &run.state {
        StepState::Waiting => return waits_for(flow, step),
        StepState::Barred { outcome, .. } | StepState::Ended { outcome } => *outcome,
        _ => return Vec::new(),
    };
    match (&place.kind, outcome) {
        (StepKind::Group { members, .. }, outcome) if !members.is_empty() => {
            let members = members.clone().map(StepIndex);
            let is_behind = |member: &StepIndex| match flow.run(*member).outcome() {
                Some(other) => other == outcome || is_bad(outcome) && is_bad(other),
                None => false,
            };
            if outcome == Outcome::Succeeded { Vec::new() } else { members.filter(is_behind).collect() }
        }
        (StepKind::Barrier, outcome) if is_bad(outcome) => failures(flow),
        (StepKind::Barrier, _) => Vec::new(),
        (_, Outcome::Blocked | Outcome::NotNeeded) if flow.was_stopped_by_failures(step) => failures(flow),
        (_, Outcome::Blocked | Outcome::NotNeeded) => {
            let unmet = edges::of(flow, step).into_iter().filter(|edge| edge.met == Some(false));
            unmet.map(|edge| edge.upstream).collect()
        }
        // A condition may have asked for what others came to.
        (_, Outcome::Skipped) => {
            let asked = place.when.iter().flat_map(When::steps);
            asked.filter_map(|id| flow.index(place.pairs.get(id).unwrap_or(id))).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the upstreams of a step that have not ended; of a group that is one of them, its iterations.
fn waits_for(flow: &Flow, step: StepIndex) -> Vec<StepIndex> {
    let is_open = |step: &StepIndex| !flow.run(*step).is_over();
    flow.graph().upstreams(step).filter(is_open).collect()
}

fn failures(flow: &Flow) -> Vec<StepIndex> {
    let steps =
        flow.steps().filter(|(_, step, run)| run.outcome().is_some_and(went_wrong) && !step.allow_failure);
    steps.map(|(step, _, _)| step).collect()
}

fn is_bad(outcome: Outcome) -> bool {
    went_wrong(outcome) || outcome == Outcome::Blocked
}

/// Returns how a step ended or where it is, and why, on one line.
pub(super) fn text(flow: &Flow, step: StepIndex, now: Timestamp) -> String {
    let run = flow.run(step);
    match (&flow.step(step).kind, run.outcome()) {
        (StepKind::Group { members, .. }, Some(outcome)) if !members.is_empty() => {
            format!("{}: {}", spoken(outcome), iterations(flow, members.clone()))
        }
        (StepKind::Group { members, .. }, None) if !members.is_empty() => iterations(flow, members.clone()),
        (_, Some(outcome)) => match why(flow, step) {
            why if why.is_empty() => spoken(outcome).to_owned(),
            why => format!("{}: {why}", spoken(outcome)),
        },
        (_, None) => {
            let present = wording::at_present(flow, step, None, now);
            let word = edges::word(&run.state);
            if present.is_empty() { word.to_owned() } else { format!("{word}: {present}") }
        }
    }
}

/// Returns why a step ended as it did: the root cause of its error, else the rule that decided.
pub(super) fn why(flow: &Flow, step: StepIndex) -> String {
    wording::trouble(flow.run(step))
}

/// Counts the iterations of a group by what became of them: `1 failed, 2 succeeded of 3 iterations`.
pub(super) fn iterations(flow: &Flow, members: std::ops::Range<usize>) -> String {
    let all = members.len();
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for member in members.map(StepIndex) {
        let run = flow.run(member);
        let word = run.outcome().map_or_else(|| edges::word(&run.state), spoken);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("{} of {all} iterations", counts.join(", "))
}
