//! What an answer of the service means for a flow: from what was seen to the event that records it.

use std::collections::BTreeSet;

use crate::flow::policy::{self, Limits};
use crate::flow::{
    ActivitySeen, CancelReason, Event, Flow, Outcome, RunId, RunSeen, RunStatus, StartOutcome, StepError,
    StepState,
};
use crate::plan::StepIndex;
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
            let message = format!(
                "two runs may exist: {} was sent first and answered unclearly, then the service answered with {run}",
                sent.run
            );
            let error = Some(StepError { code: String::new(), message, activity: None });
            Event::AttemptEnded { step, attempt, outcome: Outcome::Unknown, error }
        }
        StartOutcome::Refused(error) if sent.was_unclear => {
            Event::StartUnclear { step, attempt, reason: error.message.clone(), refusal: Some(error) }
        }
        StartOutcome::Started(run) => Event::RunStarted { step, attempt, run, adopted: false },
        StartOutcome::Refused(error) => Event::StartRefused { step, attempt, error },
        StartOutcome::NotSent { reason, after } => {
            let salt = sent.run.0.as_u64_pair().0;
            let again_at = now + policy::pause(limits, salt, sent.sends, after);
            Event::StartNotSent { step, attempt, reason, again_at }
        }
        StartOutcome::Unclear { reason } => Event::StartUnclear { step, attempt, reason, refusal: None },
    }
}

/// Returns what seeing a step's run means; nothing if it tells nothing new.
pub fn run_seen(flow: &Flow, step: StepIndex, seen: &RunSeen) -> Option<Event> {
    let run = flow.run(step);
    let attempt = run.last_attempt().filter(|attempt| attempt.run == seen.run)?;
    let (step, number) = (flow.step(step).id.clone(), attempt.number);
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

/// Returns how an attempt ended, judged by its run's last word and its activities. The step must be `Settling`.
///
/// A run that says Succeeded although an activity failed has only warned: the service judges by the leaf
/// activities alone (protocol 4). Of a run that we cancelled, Succeeded still counts: the service's last word wins.
pub fn judged(flow: &Flow, step: StepIndex, activities: &[ActivitySeen]) -> Event {
    let attempt = flow.run(step).last_attempt().expect("a settling step has an attempt");
    let failed = activities.iter().find(|activity| has_failed(activity, activities));
    let timed_out = attempt.cancel == Some(CancelReason::TimedOut);
    let outcome = match attempt.status {
        Some(RunStatus::Succeeded) if failed.is_some() => Outcome::Warned,
        Some(RunStatus::Succeeded) => Outcome::Succeeded,
        _ if timed_out => Outcome::TimedOut,
        Some(RunStatus::Cancelled) => Outcome::Cancelled,
        _ => Outcome::Failed,
    };
    let of_activity =
        failed.map(|activity| StepError { activity: Some(activity.name.clone()), ..activity.error.clone() });
    let of_run = || StepError {
        code: String::new(),
        message: match (outcome, attempt.message.as_str()) {
            (Outcome::TimedOut, _) => {
                "the step took longer than its `timeout`; the run was cancelled".to_owned()
            }
            (Outcome::Cancelled, "") => "the run was cancelled in Synapse".to_owned(),
            (_, "") => "Synapse gave no reason".to_owned(),
            (_, text) => text.to_owned(),
        },
        activity: None,
    };
    let error = match outcome {
        Outcome::Succeeded => None,
        Outcome::TimedOut | Outcome::Cancelled => Some(of_run()),
        _ => Some(of_activity.unwrap_or_else(of_run)),
    };
    Event::AttemptEnded { step: flow.step(step).id.clone(), attempt: attempt.number, outcome, error }
}

/// Says whether an activity failed for good.
///
/// A definition may let an activity be tried again; each try is a row of its own (protocol 3.2, `retryAttempt`), and
/// only the last one of a name in its round of a loop counts.
fn has_failed(activity: &ActivitySeen, activities: &[ActivitySeen]) -> bool {
    let later_try = |other: &ActivitySeen| {
        other.name == activity.name && other.iteration == activity.iteration && other.start > activity.start
    };
    activity.status == "Failed" && !activities.iter().any(later_try)
}
