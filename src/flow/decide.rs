//! What should be under way now: the scheduler's one decision, by level and not by edge.
//!
//! [`decide`] looks at the flow and at the schedule of questions, never at what just happened: a lost
//! wake-up costs a delay, never a stuck flow. It costs nothing for steps that are over.

use serde_json::{Map, Value};

use crate::flow::policy::{self, Limits};
use crate::flow::watch::{Chore, Watch};
use crate::flow::{Event, Flow, Outcome, RunId, StepError, StepRun, StepState, Trust};
use crate::plan::StepIndex;
use crate::time::Timestamp;

/// Something wanted from the world. It may be lost; deciding again brings it back.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Choose a run id, put the intent on disk, send the start request.
    Start {
        /// The step.
        step: StepIndex,
        /// The attempt it begins.
        attempt: u32,
        /// The rendered parameters.
        parameters: Map<String, Value>,
    },
    /// Put that on disk, then send the same start request again: the last one certainly started nothing, or the service
    /// makes one run of both.
    SendAgain {
        /// The step.
        step: StepIndex,
    },
    /// Ask for one run.
    LookUp {
        /// The step.
        step: StepIndex,
        /// Its run.
        run: RunId,
    },
    /// Ask for every run of a workspace that changed.
    Query {
        /// The position of the workspace in the plan.
        workspace: usize,
        /// Changed after this time, by the service's clock.
        after: Timestamp,
        /// Whether the window covers every live run, so that one not listed is missing.
        sweep: bool,
    },
    /// Ask for the activities of an ended run.
    ReadActivities {
        /// The step.
        step: StepIndex,
        /// Its run.
        run: RunId,
    },
    /// Ask Synapse to cancel a run and its children.
    Cancel {
        /// The step.
        step: StepIndex,
        /// Its run.
        run: RunId,
    },
}

impl Effect {
    /// Returns the entry of the schedule that this effect serves; a start serves none, for its intent is an event.
    pub const fn chore(&self) -> Option<Chore> {
        match *self {
            Self::Start { .. } | Self::SendAgain { .. } => None,
            Self::LookUp { step, .. } => Some(Chore::LookUp(step)),
            Self::Query { workspace, .. } => Some(Chore::Query(workspace)),
            Self::ReadActivities { step, .. } => Some(Chore::ReadActivities(step)),
            Self::Cancel { step, .. } => Some(Chore::Cancel(step)),
        }
    }
}

/// All that should happen now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What follows from the state alone. To be recorded before anything else; then decide again.
    pub facts: Vec<Event>,
    /// What to begin, in this order. Empty while there are facts.
    pub effects: Vec<Effect>,
    /// When to decide again if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// Decides what should happen now.
pub fn decide(flow: &Flow, watch: &Watch, limits: &Limits, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    conclude(flow, now, &mut decision);
    for step in flow.live() {
        tend(flow, watch, limits, now, step, &mut decision);
    }
    start_ready(flow, now, &mut decision);
    if decision.facts.is_empty() {
        watch_workspaces(flow, watch, limits, now, &mut decision);
    } else {
        decision.effects.clear();
        decision.wake_at = Some(now);
    }
    decision
}

impl Decision {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Wants an effect now, or wakes up when its chore is due.
    fn want(&mut self, watch: &Watch, now: Timestamp, effect: Effect) {
        let Some(chore) = effect.chore() else { return self.effects.push(effect) };
        match watch.due_at(chore) {
            Some(at) if at <= now => self.effects.push(effect),
            Some(at) => self.wake(at),
            None => {}
        }
    }
}

/// Ends what can only end: steps whose edges are not met, attempts that are over, the flow itself.
fn conclude(flow: &Flow, now: Timestamp, decision: &mut Decision) {
    for step in flow.concluding() {
        let run = flow.run(step);
        let id = flow.step(step).id.clone();
        decision.facts.push(match &run.state {
            StepState::Barred { outcome, reason } => {
                Event::StepEnded { step: id, outcome: *outcome, reason: reason.clone() }
            }
            StepState::AttemptOver { outcome, retryable } => {
                let retry = &flow.step(step).retry;
                let next = run.attempts.len() as u32 + 1;
                if *retryable && *outcome == Outcome::Failed && next <= retry.max_attempts {
                    let at = now + policy::retry_delay(retry, next);
                    Event::RetryScheduled { step: id, attempt: next, at }
                } else {
                    Event::StepEnded { step: id, outcome: *outcome, reason: String::new() }
                }
            }
            state => unreachable!("nothing is concluded from {state:?}"),
        });
    }
    if flow.is_settled() && flow.exit_code().is_none() {
        decision.facts.push(Event::FlowEnded { exit_code: flow.outcome().exit_code() });
    }
}

/// Wants what one live step needs.
fn tend(
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
        StepState::Unclear { since } => {
            let is_proven = flow.trust(flow.step(step).workspace) == Trust::Proven;
            let may_send = is_proven && attempt.refusal.is_none() && attempt.sends < policy::SENDS_MAX;
            // Only a repeated request makes up for a short look: an end is not judged before the whole grace is over.
            let share = if may_send { policy::PROVEN_GRACE_SHARE } else { 1.0 };
            let looked_until = *since + limits.start_grace.scaled(share);
            if watch.not_there_at(step).is_none_or(|at| at < looked_until) {
                decision.want(watch, now, Effect::LookUp { step, run });
            } else if let Some(refusal) = &attempt.refusal {
                decision.facts.push(refused(flow, step, attempt.number, refusal));
            } else if may_send {
                // However late the first request lands, the service makes one run of the two.
                decision.effects.push(Effect::SendAgain { step });
            } else {
                decision.facts.push(lost(flow, step, step_run, &attempt.trouble));
            }
        }
        StepState::Running => {
            let started_at = attempt.started_at.expect("a running attempt has started");
            let deadline = flow.step(step).timeout.map(|timeout| started_at + timeout);
            match deadline {
                Some(deadline) if attempt.cancel.is_none() && deadline <= now => {
                    decision.facts.push(Event::CancelIntended {
                        step: flow.step(step).id.clone(),
                        attempt: attempt.number,
                        reason: crate::flow::CancelReason::TimedOut,
                    });
                }
                Some(deadline) if attempt.cancel.is_none() => decision.wake(deadline),
                _ => {}
            }
            if attempt.cancel.is_some() && !attempt.cancel_accepted {
                decision.want(watch, now, Effect::Cancel { step, run });
            }
            if watch.is_gone_for(step, limits.start_grace) {
                decision.facts.push(lost(flow, step, step_run, "Synapse no longer knows the run"));
            } else if watch.is_missing(step) {
                decision.want(watch, now, Effect::LookUp { step, run });
            }
        }
        StepState::Settling if watch.failures(Chore::ReadActivities(step)) >= policy::ACTIVITY_READS_MAX => {
            decision.facts.push(super::observe::judged(flow, step, &[]));
        }
        StepState::Settling => decision.want(watch, now, Effect::ReadActivities { step, run }),
        _ => {}
    }
}

/// Returns the end of an attempt that Synapse refused after an unclear request, now that no run was found.
fn refused(flow: &Flow, step: StepIndex, attempt: u32, refusal: &StepError) -> Event {
    let step = flow.step(step).id.clone();
    Event::AttemptEnded { step, attempt, outcome: Outcome::Failed, error: Some(refusal.clone()) }
}

/// Returns the end of an attempt whose run nobody can tell anything about.
fn lost(flow: &Flow, step: StepIndex, run: &StepRun, why: &str) -> Event {
    let attempt = run.last_attempt().expect("a live step has an attempt");
    Event::AttemptEnded {
        step: flow.step(step).id.clone(),
        attempt: attempt.number,
        outcome: Outcome::Unknown,
        error: Some(StepError { code: String::new(), message: why.to_owned(), activity: None }),
    }
}

/// Starts what is ready while there are places: by rank, retries among them once they are due.
fn start_ready(flow: &Flow, now: Timestamp, decision: &mut Decision) {
    let mut candidates: Vec<(usize, StepIndex)> = Vec::new();
    for step in flow.retrying() {
        let StepState::Retrying { at } = flow.run(step).state else { continue };
        if at <= now {
            candidates.push((flow.graph().rank(step), step));
        } else {
            decision.wake(at);
        }
    }
    let places = flow.places_left();
    candidates.extend(flow.ready().take(places));
    candidates.sort_unstable();
    for (_, step) in candidates.into_iter().take(places) {
        let attempt = flow.run(step).attempts.len() as u32 + 1;
        match rendered(flow, step) {
            Ok(parameters) => decision.effects.push(Effect::Start { step, attempt, parameters }),
            Err(reason) => decision.facts.push(Event::StepEnded {
                step: flow.step(step).id.clone(),
                outcome: Outcome::Failed,
                reason,
            }),
        }
    }
}

/// Returns the parameters that an attempt sends.
///
/// A later attempt sends what the first one did: a retry must not mean something else.
fn rendered(flow: &Flow, step: StepIndex) -> Result<Map<String, Value>, String> {
    if let Some(earlier) = flow.run(step).last_attempt() {
        return Ok(earlier.parameters.clone());
    }
    let scope = flow.scope(step);
    let parameters = flow.step(step).parameters.iter();
    let render = |(name, template): &(String, crate::plan::Template)| {
        let value = template.render(&scope).map_err(|why| format!("parameter `{name}`: {why}"))?;
        Ok((name.clone(), value))
    };
    parameters.map(render).collect()
}

/// Asks each workspace with running steps once a beat: a single run by its id, several by one list.
fn watch_workspaces(flow: &Flow, watch: &Watch, limits: &Limits, now: Timestamp, decision: &mut Decision) {
    let mut running: Vec<(usize, Option<StepIndex>, Timestamp)> =
        vec![(0, None, Timestamp::from_epoch_ms(i64::MAX)); flow.plan().workspaces.len()];
    for step in flow.live() {
        if flow.run(step).state == StepState::Running {
            let attempt = flow.run(step).last_attempt().expect("a running step has an attempt");
            let (count, one, oldest) = &mut running[flow.step(step).workspace];
            *count += 1;
            *one = Some(step);
            *oldest = (*oldest).min(attempt.intended_at);
        }
    }
    for (workspace, (count, one, oldest)) in running.into_iter().enumerate() {
        match (count, one) {
            (1, Some(step)) => {
                let run = flow.run(step).last_attempt().expect("a running step has an attempt").run;
                let wanted = Effect::LookUp { step, run };
                if !decision.effects.contains(&wanted) {
                    decision.want(watch, now, wanted);
                }
            }
            (0, _) | (_, None) => {}
            _ => {
                let (after, sweep) = watch.window(workspace, oldest, limits);
                decision.want(watch, now, Effect::Query { workspace, after, sweep });
            }
        }
    }
}
