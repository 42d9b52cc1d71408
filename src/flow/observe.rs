//! What an answer of the service means for a flow: from what was seen to the event that records it.

use std::collections::BTreeSet;

use crate::flow::activity::{CONTAINERS, failures};
use crate::flow::policy::{self, Limits};
use crate::flow::{
    ActivitySeen, Attempt, CancelReason, Event, Flow, Outcome, Restart, RunActivities, RunId, RunSeen,
    RunStatus, StartOutcome, StepError, StepState, outputs,
};
use crate::plan::{RetryMode, StepIndex};
use crate::time::Timestamp;

/// Returns what the answer to a start request means. The step must be `Starting`.
pub fn start_answered(
    flow: &Flow,
    step: StepIndex,
    answer: StartOutcome,
    limits: &Limits,
    now: Timestamp,
) -> Event {
    let sent = flow.run(step).last_attempt().expect("a starting step has an attempt");
    let (step, attempt) = (flow.step(step).id.clone(), sent.number);
    match answer {
        StartOutcome::Started(run) if sent.was_unclear && run != sent.run => {
            let reason = format!("Synapse answered with run {run}, not with the one asked for");
            Event::StartUnclear { step, attempt, reason, refusal: None, other: Some(run) }
        }
        StartOutcome::Refused(error) if sent.was_unclear => {
            let reason = error.message.clone();
            Event::StartUnclear { step, attempt, reason, refusal: Some(error), other: None }
        }
        StartOutcome::Started(run) => Event::RunStarted { step, attempt, run, adopted: false },
        StartOutcome::Refused(error) => Event::StartRefused { step, attempt, error },
        StartOutcome::NotSent { reason, after } => {
            let salt = sent.run.0.as_u64_pair().0;
            let again_at = now + policy::pause(limits, salt, sent.sends, after);
            Event::StartNotSent { step, attempt, reason, again_at }
        }
        StartOutcome::Unclear { reason } => {
            Event::StartUnclear { step, attempt, reason, refusal: None, other: None }
        }
    }
}

/// Returns what seeing a step's run means; nothing if it tells nothing new.
pub fn run_seen(flow: &Flow, step: StepIndex, seen: &RunSeen) -> Option<Event> {
    let run = flow.run(step);
    let attempt = run.last_attempt().filter(|attempt| attempt.run == seen.run)?;
    let place = flow.step(step);
    let (step, number) = (place.id.clone(), attempt.number);
    match run.state {
        StepState::Unclear { .. } => {
            Some(Event::RunStarted { step, attempt: number, run: seen.run, adopted: true })
        }
        StepState::Running if seen.status.is_terminal() => Some(Event::RunEnded {
            step,
            attempt: number,
            status: seen.status.clone(),
            message: seen.message.clone(),
            run_start: seen.run_start,
            run_end: seen.run_end,
            returned: outputs::returned(place, seen.return_value.as_ref()),
        }),
        StepState::Running if attempt.status.as_ref() != Some(&seen.status) => {
            Some(Event::RunChanged { step, attempt: number, status: seen.status.clone() })
        }
        _ => None,
    }
}

/// Returns what it means that Synapse took a cancel; nothing if the run has ended meanwhile.
pub fn cancel_accepted(flow: &Flow, step: StepIndex, run: RunId) -> Option<Event> {
    let step_run = flow.run(step);
    let attempt = step_run.last_attempt().filter(|attempt| attempt.run == run && !attempt.cancel_accepted)?;
    let attempt = (step_run.state == StepState::Running).then_some(attempt.number)?;
    Some(Event::CancelAccepted { step: flow.step(step).id.clone(), attempt })
}

/// Returns what a list of runs means, in the order of the list. Runs of others are passed over.
///
/// A run may stand in it twice, once on each of two pages: then its first news counts, and the next list tells the rest.
pub fn runs_listed(flow: &Flow, seen: &[RunSeen]) -> Vec<Event> {
    let mut told = BTreeSet::new();
    let ours = seen.iter().filter_map(|run| Some((flow.running_step_of(run.run)?, run)));
    let news = ours.filter_map(|(step, run)| Some((step, run_seen(flow, step, run)?)));
    news.filter(|(step, _)| told.insert(*step)).map(|(_, event)| event).collect()
}

/// Returns how an attempt ended whose activities were read; nothing while runs that its cancelled run started still
/// go on: a cancel is done when they are over, too.
pub fn activities_read(flow: &Flow, step: StepIndex, activities: &RunActivities) -> Option<Event> {
    let run = flow.run(step);
    let is_cancelled = run.last_attempt().is_some_and(|attempt| attempt.cancel.is_some());
    let waits = is_cancelled && !activities.live.is_empty();
    (run.state == StepState::Settling && !waits).then(|| judged(flow, step, activities))
}

/// Returns how an attempt ended, judged by its run's last word and its activities. The step must be `Settling`.
///
/// A run that says Succeeded although an activity failed has only warned: the service judges by the leaf
/// activities alone (protocol 4). Of a run that we cancelled, Succeeded still counts: the service's last word wins.
pub fn judged(flow: &Flow, step: StepIndex, activities: &RunActivities) -> Event {
    let attempt = flow.run(step).last_attempt().expect("a settling step has an attempt");
    let of_activity = activities.cause();
    let outcome = match attempt.status {
        Some(RunStatus::Succeeded) if of_activity.is_some() => {
            if flow.step(step).strict {
                Outcome::Failed
            } else {
                Outcome::Warned
            }
        }
        Some(RunStatus::Succeeded) => Outcome::Succeeded,
        _ if attempt.cancel == Some(CancelReason::TimedOut) => Outcome::TimedOut,
        Some(RunStatus::Cancelled) => Outcome::Cancelled,
        _ => Outcome::Failed,
    };
    let error = match outcome {
        Outcome::Succeeded => None,
        Outcome::TimedOut | Outcome::Cancelled => Some(run_error(attempt, outcome)),
        _ => Some(of_activity.unwrap_or_else(|| run_error(attempt, outcome))),
    };
    let place = flow.step(step);
    let wants_restart = outcome == Outcome::Failed && place.retry.mode == RetryMode::FromFailure;
    let rows = &activities.rows;
    let restart = wants_restart.then(|| restart(attempt, rows));
    let taken_up = |other: &&Attempt| attempt.recovery.as_ref().is_some_and(|it| it.run == other.run);
    let earlier = flow.run(step).attempts.iter().rev().find(taken_up);
    let outputs = outputs::taken(place, attempt, earlier, rows);
    Event::AttemptEnded {
        step: place.id.clone(),
        attempt: attempt.number,
        outcome,
        error,
        restart,
        outputs,
        activities: activities.kept(),
    }
}

/// Returns what the run itself tells of its end.
fn run_error(attempt: &Attempt, outcome: Outcome) -> StepError {
    let message = match (outcome, attempt.cancel, attempt.message.as_str()) {
        (Outcome::TimedOut, ..) => "the step took longer than its `timeout`; the run was cancelled",
        (Outcome::Cancelled, Some(CancelReason::Asked), _) => "it was cancelled",
        (Outcome::Cancelled, _, "") => "the run was cancelled in Synapse, not by synflow",
        (_, _, "") => "Synapse gave no reason",
        (_, _, text) => text,
    };
    StepError { code: String::new(), message: message.to_owned(), ..StepError::default() }
}

/// Returns whether the next attempt may take up a failed run, which is so only if exactly one activity failed and the
/// run's own text names it: then it stands at the top of the pipeline, and all before it has succeeded (protocol 4.1).
fn restart(attempt: &Attempt, activities: &[ActivitySeen]) -> Restart {
    let failed: Vec<&ActivitySeen> = failures(activities).collect();
    let whole = |why: String| Restart::Whole { why };
    let container = failed.iter().find(|activity| CONTAINERS.contains(&activity.kind.as_str()));
    match failed.as_slice() {
        _ if container.is_some() => whole(format!(
            "`{}` failed, and an activity that holds others is run anew as a whole",
            container.map_or("", |container| container.name.as_str())
        )),
        [] => whole("Synapse shows no failed activity".to_owned()),
        [one] if !one.iteration.is_empty() => whole(format!("`{}` failed inside a loop", one.name)),
        [one] if !attempt.message.contains(&format!("Operation on target {} failed", one.name)) => {
            whole(format!("Synapse does not say that the run failed because of `{}`", one.name))
        }
        [one] => Restart::From { activity: one.name.clone() },
        several => whole(format!("{} activities failed", several.len())),
    }
}
