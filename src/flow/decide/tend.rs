//! What a step needs that holds a place: answers about its start, an eye on its run, its activities.

use crate::flow::decide::{Decision, Effect};
use crate::flow::observe;
use crate::flow::policy::{self, Limits};
use crate::flow::watch::{Chore, Watch};
use crate::flow::{
    Attempt, Below, CancelReason, Event, Flow, Origin, Outcome, RunActivities, RunId, RunStatus, StepError,
    StepRun, StepState, Trust,
};
use crate::plan::{OnTimeout, StepIndex};
use crate::time::Timestamp;

/// Wants what one live step needs.
pub(super) fn tend(
    flow: &Flow,
    watch: &Watch,
    limits: &Limits,
    now: Timestamp,
    step: StepIndex,
    decision: &mut Decision,
) {
    let step_run = flow.run(step);
    let attempt = step_run.last_attempt().expect("a live step has an attempt");
    let run = attempt.run;
    match &step_run.state {
        StepState::NotSent { again_at } if *again_at <= now => {
            decision.effects.push(Effect::SendAgain { step });
        }
        StepState::NotSent { again_at } => decision.wake(*again_at),
        StepState::Unclear { since } => pursue(flow, watch, limits, now, step, *since, decision),
        StepState::Running => mind(flow, watch, limits, now, step, decision),
        StepState::Settling
            if watch.failures(Chore::ReadActivities(step)) >= policy::ACTIVITY_READS_MAX
                && attempt.cancel.is_none() =>
        {
            decision.facts.push(observe::judged(flow, step, &RunActivities::default()));
        }
        StepState::Settling if takes_its_word(flow, limits, step, attempt) => {
            decision.facts.push(observe::judged(flow, step, &RunActivities::default()));
        }
        StepState::Settling => {
            let below = if attempt.cancel.is_some() {
                Below::All
            } else if watch.failures(Chore::ReadActivities(step)) < policy::CHILD_READS_MAX {
                Below::Failed
            } else {
                Below::Nothing
            };
            decision.want(watch, now, Effect::ReadActivities { step, run, below });
        }
        _ => {}
    }
}

/// Says whether a run that says it succeeded is believed: where nobody asks for more, and nothing of its activities is
/// needed.
fn takes_its_word(flow: &Flow, limits: &Limits, step: StepIndex, attempt: &Attempt) -> bool {
    let place = flow.step(step);
    let is_needed = limits.checks_successes || place.strict || !place.outputs.is_empty();
    attempt.status == Some(RunStatus::Succeeded) && attempt.cancel.is_none() && !is_needed
}

/// Finds out what came of an unclear start (design 6, "Starting").
fn pursue(
    flow: &Flow,
    watch: &Watch,
    limits: &Limits,
    now: Timestamp,
    step: StepIndex,
    since: Timestamp,
    decision: &mut Decision,
) {
    let step_run = flow.run(step);
    let attempt = step_run.last_attempt().expect("an unclear step has an attempt");
    let trust = flow.trust(flow.step(step).workspace);
    let may_send = trust != Trust::Disproven
        && attempt.refusal.is_none()
        && attempt.other.is_none()
        && attempt.unclear_sends < policy::SENDS_MAX
        && !step_run.cancel_asked;
    // Only a repeated request makes up for a short look: an end is not judged before the whole grace is over.
    let share = if may_send && trust == Trust::Proven { policy::PROVEN_GRACE_SHARE } else { 1.0 };
    let length = limits.start_grace.scaled(share);
    if !watch.is_absent(step, since, length, limits) {
        return decision.want(watch, now, Effect::LookUp { step, run: attempt.run });
    }
    if trust != Trust::Proven {
        let Some(found) = watch.found_since(step, since + length) else {
            let from = attempt.intended_at - policy::CLOCKS_DIFFER_MAX;
            let to = attempt.last_sent_at + policy::CLOCKS_DIFFER_MAX;
            return decision.want(watch, now, Effect::Search { step, from, to });
        };
        let candidates: Vec<RunId> =
            found.iter().map(|run| run.run).filter(|run| !flow.claims(*run)).collect();
        if let Some(other) = attempt.other {
            let why = format!(
                "two runs may exist: {} was asked for first, and Synapse answered with {other}",
                attempt.run
            );
            return decision.facts.push(lost(flow, step, step_run, &and_found(why, &candidates)));
        }
        match candidates.as_slice() {
            [] => {}
            // A run of others may differ in what cannot be compared.
            [run] if !attempt.secrets.is_empty() => {
                let why = format!(
                    "run {run} may be its own: it is alike but for secrets, which cannot be compared"
                );
                return decision.facts.push(lost(flow, step, step_run, &why));
            }
            [run] if !has_rival(flow, step) => {
                let id = flow.step(step).id.clone();
                let adopted =
                    Event::RunStarted { step: id, attempt: attempt.number, run: *run, adopted: true };
                return decision.facts.push(adopted);
            }
            _ => {
                let why = "its start may have made any of several runs".to_owned();
                return decision.facts.push(lost(flow, step, step_run, &and_found(why, &candidates)));
            }
        }
    }
    if let Some(refusal) = &attempt.refusal {
        decision.facts.push(ended(flow, step, attempt, Outcome::Failed, refusal.clone()));
    } else if step_run.cancel_asked {
        let message = "its start never made a run, and was not sent again: it was cancelled".to_owned();
        let error = StepError { message, ..StepError::default() };
        decision.facts.push(ended(flow, step, attempt, Outcome::Cancelled, error));
    } else if may_send {
        // However late the first request lands, a service that takes our ids makes one run of the two.
        decision.effects.push(Effect::SendAgain { step });
    } else {
        decision.facts.push(lost(flow, step, step_run, &attempt.trouble));
    }
}

/// Says whether the start of another step may have made the run that a search for this one's finds; one that a person
/// must look at may have as well.
fn has_rival(flow: &Flow, step: StepIndex) -> bool {
    let (place, parameters) =
        (flow.step(step), flow.run(step).last_attempt().map(|attempt| &attempt.parameters));
    let others = flow.live().chain(flow.unknown()).filter(|&other| other != step);
    others.into_iter().any(|other| {
        let (its_place, its_run) = (flow.step(other), flow.run(other));
        let is_told = match its_run.state {
            StepState::NotSent { .. } => !its_run.last_attempt().is_some_and(|attempt| attempt.was_unclear),
            StepState::Unknown => false,
            _ => !its_run.is_uncertain(),
        };
        !is_told
            && its_place.workspace == place.workspace
            && its_place.pipeline == place.pipeline
            && its_run.last_attempt().map(|attempt| &attempt.parameters) == parameters
    })
}

fn and_found(mut why: String, candidates: &[RunId]) -> String {
    if !candidates.is_empty() {
        let runs: Vec<String> = candidates.iter().map(RunId::to_string).collect();
        why.push_str("; these fit: ");
        why.push_str(&runs.join(", "));
    }
    why
}

/// Keeps an eye on a running step: whether it must end, and whether its run is still there.
fn mind(
    flow: &Flow,
    watch: &Watch,
    limits: &Limits,
    now: Timestamp,
    step: StepIndex,
    decision: &mut Decision,
) {
    let step_run = flow.run(step);
    let attempt = step_run.last_attempt().expect("a running step has an attempt");
    let is_cancelled = attempt.cancel.is_some();
    let timeout_from = attempt.timeout_from.expect("a running attempt has started");
    let deadline = flow.step(step).timeout.map(|timeout| timeout_from + timeout).filter(|_| !is_cancelled);
    let mut must_look = watch.is_missing(step);
    match deadline {
        // One fact at a time: it may end the attempt, and then nothing else can.
        _ if step_run.cancel_asked && !is_cancelled => {
            return decision.facts.push(asked_to_end(flow, step, attempt));
        }
        Some(deadline) if now < deadline => decision.wake(deadline),
        // One last look: a run that has ended by now has not timed out.
        Some(deadline) if !watch.was_there_at(step, deadline) => must_look = true,
        Some(_) => return decision.facts.push(timed_out(flow, step, attempt)),
        None => {}
    }
    if is_cancelled && !attempt.cancel_accepted {
        decision.want(watch, now, Effect::Cancel { step, run: attempt.run });
    }
    if watch.is_gone_for(step, limits.start_grace, limits) {
        decision.facts.push(lost(flow, step, step_run, "Synapse no longer knows the run"));
    } else if must_look {
        decision.want(watch, now, Effect::LookUp { step, run: attempt.run });
    }
}

/// Returns what ends a running step that a person wants no more. A run that somebody else started is left alone.
fn asked_to_end(flow: &Flow, step: StepIndex, attempt: &Attempt) -> Event {
    if attempt.origin == Origin::Others {
        let message = format!("run {} was started by others and goes on", attempt.run);
        return ended(flow, step, attempt, Outcome::Cancelled, StepError { message, ..StepError::default() });
    }
    let id = flow.step(step).id.clone();
    Event::CancelIntended { step: id, attempt: attempt.number, reason: CancelReason::Asked }
}

/// Returns what ends a running step whose time is up.
fn timed_out(flow: &Flow, step: StepIndex, attempt: &Attempt) -> Event {
    if attempt.origin == Origin::Others || flow.step(step).on_timeout == OnTimeout::Detach {
        let message =
            format!("the step took longer than its `timeout`; run {} was left running", attempt.run);
        return ended(flow, step, attempt, Outcome::TimedOut, StepError { message, ..StepError::default() });
    }
    let id = flow.step(step).id.clone();
    Event::CancelIntended { step: id, attempt: attempt.number, reason: CancelReason::TimedOut }
}

/// Returns the end of an attempt that no end of a run tells.
fn ended(flow: &Flow, step: StepIndex, attempt: &Attempt, outcome: Outcome, error: StepError) -> Event {
    let step = flow.step(step).id.clone();
    let (attempt, error) = (attempt.number, Some(error));
    Event::AttemptEnded { step, attempt, outcome, error, restart: None, outputs: None, activities: None }
}

/// Returns the end of an attempt whose run nobody can tell anything about.
fn lost(flow: &Flow, step: StepIndex, run: &StepRun, why: &str) -> Event {
    let attempt = run.last_attempt().expect("a live step has an attempt");
    let error = StepError { message: why.to_owned(), ..StepError::default() };
    ended(flow, step, attempt, Outcome::Unknown, error)
}
