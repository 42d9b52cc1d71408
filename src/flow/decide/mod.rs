//! What should be under way now: the scheduler's one decision, by level and not by edge.
//!
//! [`decide`] looks at the flow and at the schedule of questions, never at what just happened: a lost
//! wake-up costs a delay, never a stuck flow. It costs nothing for steps that are over.

mod lateness;
mod start;
mod tend;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::flow::policy::{self, Limits};
use crate::flow::watch::{Chore, Coverage, Watch};
use crate::flow::{Below, Event, Flow, Outcome, Recovery, RunId, StepState};
use crate::plan::{RetryOn, SecretText, StepIndex};
use crate::time::{Delay, Timestamp};

/// Something wanted from the world. It may be lost; deciding again brings it back.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Choose a run id, put the intent on disk, send the start request.
    Start {
        /// The step.
        step: StepIndex,
        /// The attempt it begins.
        attempt: u32,
        /// The rendered parameters; a secret in them stands as the template that asks for it.
        parameters: Map<String, Value>,
        /// The texts among them that hold secrets.
        secrets: Vec<SecretText>,
        /// The failed run to take up, if the pipeline shall not run whole.
        recovery: Option<Recovery>,
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
        /// What of that: in a sweep, a live run that is not listed is missing.
        coverage: Coverage,
    },
    /// Ask for the activities of an ended run.
    ReadActivities {
        /// The step.
        step: StepIndex,
        /// Its run.
        run: RunId,
        /// Which of the runs that it started to ask for, too.
        below: Below,
    },
    /// Search the runs of the step's pipeline for the one that an unclear start made: equal parameters, those with
    /// secrets left out, begun between these times by our clock, claimed by no attempt of another flow.
    Search {
        /// The step.
        step: StepIndex,
        /// Begun at this time or later.
        from: Timestamp,
        /// Begun at this time or earlier.
        to: Timestamp,
    },
    /// Ask which runs of the step's pipeline are live, whoever started them.
    LookAround {
        /// The step.
        step: StepIndex,
        /// The parameters that it would send; a secret in them stands as the template that asks for it.
        parameters: Map<String, Value>,
        /// The texts among them that hold secrets.
        secrets: Vec<SecretText>,
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
            Self::Search { step, .. } => Some(Chore::Search(step)),
            Self::LookAround { step, .. } => Some(Chore::LookAround(step)),
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
    lateness::mind_deadline(flow, watch, now, &mut decision);
    conclude(flow, now, &mut decision);
    for step in flow.live() {
        tend::tend(flow, watch, limits, now, step, &mut decision);
    }
    start::start_ready(flow, watch, limits, now, &mut decision);
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
        self.want_from(Timestamp::default(), watch, now, effect);
    }

    /// Wants an effect from a time on.
    fn want_from(&mut self, from: Timestamp, watch: &Watch, now: Timestamp, effect: Effect) {
        let Some(chore) = effect.chore() else { return self.effects.push(effect) };
        match watch.due_at(chore).map(|due| due.max(from)) {
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
                let next = run.attempts.len() as u32 + 1;
                let tried = (run.attempts.len() - run.old_attempts) as u32;
                if *retryable && may_try_again(flow, step, *outcome, tried) {
                    let at = now + policy::retry_delay(&flow.step(step).retry, tried + 1);
                    Event::RetryScheduled { step: id, attempt: next, at }
                } else {
                    Event::StepEnded { step: id, outcome: *outcome, reason: String::new() }
                }
            }
            state => unreachable!("nothing is concluded from {state:?}"),
        });
    }
    // With a missed deadline it ends otherwise, so that is recorded first.
    if flow.is_settled() && flow.exit_code().is_none() && decision.facts.is_empty() {
        decision.facts.push(Event::FlowEnded { exit_code: flow.outcome().exit_code() });
    }
}

/// Says whether the plan wants another attempt after one that ended like this.
fn may_try_again(flow: &Flow, step: StepIndex, outcome: Outcome, tried: u32) -> bool {
    let (retry, run) = (&flow.step(step).retry, flow.run(step));
    let is_listed = |on: &RetryOn| match on {
        RetryOn::Failed => outcome == Outcome::Failed,
        RetryOn::TimedOut => outcome == Outcome::TimedOut,
        RetryOn::Cancelled => outcome == Outcome::Cancelled,
        RetryOn::Code(code) => run.error().is_some_and(|error| error.code == *code),
    };
    let may_start = !flow.is_halted() || flow.may_start_halted(step);
    let is_wanted = may_start && !run.cancel_asked && !run.stale && tried < retry.max_attempts;
    is_wanted && outcome != Outcome::Succeeded && outcome != Outcome::Warned && retry.on.iter().any(is_listed)
}

/// Asks each workspace with running steps, at most once a beat: by one list, or where they are fewer than its pages for
/// each run by its id. Where the list keeps failing, every run is asked for by its id as well.
fn watch_workspaces(flow: &Flow, watch: &Watch, limits: &Limits, now: Timestamp, decision: &mut Decision) {
    let mut running: Vec<Vec<Running>> = vec![Vec::new(); flow.plan().workspaces.len()];
    for step in flow.live().filter(|&step| flow.run(step).state == StepState::Running) {
        let attempt = flow.run(step).last_attempt().expect("a running step has an attempt");
        running[flow.step(step).workspace].push(Running {
            step,
            run: attempt.run,
            intended_at: attempt.intended_at,
            started_at: attempt.started_at.unwrap_or(attempt.intended_at),
            usual: watch.forecast().and_then(|forecast| forecast.usual(step)),
            is_cancelled: attempt.cancel.is_some(),
        });
    }
    let looked_up = |effect: &Effect| match effect {
        Effect::LookUp { step, .. } => Some(*step),
        _ => None,
    };
    let looked_up: BTreeSet<StepIndex> = decision.effects.iter().filter_map(looked_up).collect();
    for (workspace, running) in running.into_iter().enumerate().filter(|(_, running)| !running.is_empty()) {
        let list = Chore::Query(workspace);
        let worth_asking_at = |asked_at: Option<Timestamp>, one: &Running| {
            let asked_at = asked_at.filter(|_| !watch.is_doubted(one.step) && !one.is_cancelled);
            asked_at.map_or(now, |at| policy::worth_asking_at(limits, one.started_at, one.usual, at))
        };
        let is_dear = watch.is_list_dear(workspace, running.len(), limits, now);
        // While it is under way nothing is due.
        if !is_dear && watch.due_at(list).is_some() {
            let asked_at = watch.asked_at(list);
            let oldest = running.iter().map(|one| one.intended_at).min().unwrap_or(now);
            let from = running.iter().map(|one| worth_asking_at(asked_at, one)).min().unwrap_or(now);
            let (after, coverage) = watch.window(workspace, oldest, limits, now);
            decision.want_from(from, watch, now, Effect::Query { workspace, after, coverage });
        }
        if is_dear || watch.failures(list) >= policy::LIST_FAILURES_MAX {
            for one in running.iter().filter(|one| !looked_up.contains(&one.step)) {
                let from = worth_asking_at(watch.asked_at(Chore::LookUp(one.step)), one);
                decision.want_from(from, watch, now, Effect::LookUp { step: one.step, run: one.run });
            }
        }
    }
}

/// A running step, as far as it decides when to ask for it.
#[derive(Clone, Copy)]
struct Running {
    step: StepIndex,
    run: RunId,
    intended_at: Timestamp,
    started_at: Timestamp,
    usual: Option<Delay>,
    is_cancelled: bool,
}
