//! How an event changes a flow: the only place where a step changes state, live and in replay alike.

use crate::flow::Flow;
use crate::flow::event::{Event, Outcome, Recorded, Resolution, Trust};
use crate::flow::step::{Attempt, Origin, StepState};
use crate::plan::{OnTimeout, StepIndex};
use crate::time::Timestamp;

/// An event that cannot follow what came before it: our bug or a damaged journal.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} ({event}) does not fit: {why}")]
pub struct IllegalEvent {
    seq: u64,
    event: String,
    why: String,
}

impl IllegalEvent {
    /// Returns why the event does not fit, for people.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Flow {
    /// Takes in the next event. The only place where a step changes state, live and in replay alike.
    ///
    /// Fails if the event cannot follow what came before; the flow is then as it was.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), IllegalEvent> {
        let illegal = |why: String| IllegalEvent {
            seq: recorded.seq,
            event: serde_json::to_string(&recorded.event).unwrap_or_default(),
            why,
        };
        if recorded.seq != self.last_seq + 1 {
            return Err(illegal(format!("event {} is missing", self.last_seq + 1)));
        }
        match recorded.event.step() {
            None => self.apply_to_flow(recorded).map_err(illegal)?,
            Some(id) => {
                let step = self.index(id).ok_or_else(|| illegal(format!("the plan has no step `{id}`")))?;
                self.apply_to_step(step, recorded).map_err(illegal)?;
            }
        }
        self.last_seq = recorded.seq;
        self.last_event_at = Some(recorded.at);
        self.started_at.get_or_insert(recorded.at);
        Ok(())
    }

    fn apply_to_flow(&mut self, recorded: &Recorded) -> Result<(), String> {
        match &recorded.event {
            _ if self.given_up => return Err("the flow was given up".to_owned()),
            Event::Resumed { redo, trust, definitions } => {
                self.resume(redo, trust, recorded.at)?;
                for (workspace, read) in definitions {
                    let known = self.header.definitions.entry(workspace.clone()).or_default();
                    known.extend(read.clone());
                }
                return Ok(());
            }
            Event::PlanChanged { .. } => return self.change_plan(&recorded.event),
            // The last step may have ended while the process was about to leave.
            Event::Detached => self.detached = true,
            _ if self.exit_code.is_some() => return Err("the flow has ended".to_owned()),
            Event::GivenUp => self.given_up = true,
            Event::DeadlineAtRisk { .. } | Event::DeadlineMissed { .. } => {
                self.note_lateness(&recorded.event, recorded.at)?;
            }
            Event::CancelRequested => {
                self.cancelling = true;
                let runs: Vec<StepIndex> = self.plan.runs().map(|(step, _)| step).collect();
                for step in runs {
                    self.ask_for_end(step, "the flow was cancelled", recorded.at);
                }
            }
            Event::FlowEnded { exit_code } if self.is_settled() => {
                self.exit_code = Some(*exit_code);
                self.ended_at = Some(recorded.at);
            }
            _ => return Err("steps are still open".to_owned()),
        }
        Ok(())
    }

    fn apply_to_step(&mut self, step: StepIndex, recorded: &Recorded) -> Result<(), String> {
        let newest = self.steps[step.0].attempts.last().map_or(0, |attempt| attempt.number);
        let expected = match recorded.event {
            Event::StartIntended { .. } | Event::RunAttached { .. } | Event::RetryScheduled { .. } => {
                newest + 1
            }
            _ => newest,
        };
        if let Some(number) = recorded.event.attempt()
            && number != expected
        {
            return Err(format!("attempt {expected} was due"));
        }
        if let Event::StepCancelRequested { .. } = recorded.event {
            if matches!(self.steps[step.0].state, StepState::Ended { .. }) {
                return Err("the step has ended".to_owned());
            }
            let parts: Vec<StepIndex> = self.parts(step).collect();
            for part in parts {
                self.ask_for_end(part, "it was cancelled", recorded.at);
            }
            return Ok(());
        }
        let next = self.next_state(step, recorded)?;
        self.note_trust(step, &recorded.event);
        self.note_attempt(step, recorded);
        self.steps[step.0].is_given_up =
            matches!(recorded.event, Event::Resolved { resolution: Resolution::GiveUp, .. });
        match (&next, &recorded.event) {
            (StepState::Ended { .. }, _) if self.steps[step.0].stale => self.begin_anew(step),
            (StepState::Ended { outcome }, Event::StepEnded { reason, .. }) => {
                let is_failure = self.is_failure(step, *outcome);
                self.steps[step.0].reason.clone_from(reason);
                self.steps[step.0].ended_at = Some(recorded.at);
                self.set(step, next);
                if is_failure {
                    self.count_failure();
                }
                self.release_downstreams(step);
                self.release_held(step);
            }
            (_, Event::Resolved { resolution: Resolution::NotStarted, .. }) => self.begin_anew(step),
            // It was under way when the flow was resumed, and something above it begins anew: that comes first.
            (StepState::Retrying { .. }, _) if self.steps[step.0].waits_for > 0 => self.begin_anew(step),
            _ => self.set(step, next),
        }
        Ok(())
    }

    /// Returns the state that an event leads to. The one list of what may follow what.
    fn next_state(&self, step: StepIndex, recorded: &Recorded) -> Result<StepState, String> {
        use StepState::{
            AttemptOver, Barred, Ended, NotSent, Ready, Retrying, Running, Settling, Starting, Unclear,
            Unknown,
        };
        let run = &self.steps[step.0];
        let attempt = run.last_attempt();
        let over = |outcome: Outcome, retryable: bool| AttemptOver { outcome, retryable };
        let cancel =
            attempt.map_or((false, false), |newest| (newest.cancel.is_some(), newest.cancel_accepted));
        let is_refused = attempt.is_some_and(|newest| newest.refusal.is_some());
        let is_attached = attempt.is_some_and(|newest| newest.origin == Origin::Others);
        let may_leave = is_attached || self.plan.steps[step.0].on_timeout == OnTimeout::Detach;
        Ok(match (&run.state, &recorded.event) {
            (Ready | Retrying { .. }, Event::StartIntended { .. })
            | (NotSent { .. } | Unclear { .. }, Event::StartResent { .. }) => Starting,
            (Ready | Retrying { .. }, Event::RunAttached { .. })
            | (Starting | Unclear { .. }, Event::RunStarted { .. }) => Running,
            (Starting, Event::StartNotSent { again_at, .. }) => NotSent { again_at: *again_at },
            (Starting, Event::StartUnclear { .. }) => Unclear { since: recorded.at },
            // The service may refuse a recovery and yet take the pipeline whole.
            (Starting, Event::StartRefused { .. }) => {
                over(Outcome::Failed, attempt.is_some_and(|newest| newest.recovery.is_some()))
            }
            (Running, Event::RunChanged { status, .. }) if !status.is_terminal() => Running,
            (Running, Event::CancelIntended { .. }) if cancel == (false, false) && !is_attached => Running,
            (Running, Event::CancelAccepted { .. }) if cancel == (true, false) => Running,
            (Running, Event::RunEnded { status, .. }) if status.is_terminal() => Settling,
            (Running, Event::AttemptEnded { outcome: Outcome::TimedOut, .. }) if may_leave && !cancel.0 => {
                over(Outcome::TimedOut, false)
            }
            (Running, Event::AttemptEnded { outcome: Outcome::Cancelled, .. }) if is_attached => {
                over(Outcome::Cancelled, false)
            }
            (Unclear { .. }, Event::AttemptEnded { outcome: Outcome::Cancelled, .. }) if run.cancel_asked => {
                over(Outcome::Cancelled, false)
            }
            (Unclear { .. }, Event::AttemptEnded { outcome: Outcome::Failed, .. }) if is_refused => {
                over(Outcome::Failed, false)
            }
            (Settling, Event::AttemptEnded { outcome, .. }) if *outcome != Outcome::Unknown => {
                over(*outcome, true)
            }
            // Journals of format 1 end an attempt like that as soon as two runs may exist, while `Starting`.
            (Running | Starting | Unclear { .. }, Event::AttemptEnded { outcome: Outcome::Unknown, .. }) => {
                Unknown
            }
            (Unknown, Event::Resolved { resolution, .. }) => match resolution {
                Resolution::Run { run } if self.is_claimed_beside(*run, step) => {
                    return Err(format!("run {run} belongs to another attempt"));
                }
                Resolution::Run { .. } => Running,
                Resolution::NotStarted => Ready,
                Resolution::GiveUp => over(Outcome::Failed, false),
            },
            (AttemptOver { .. }, Event::RetryScheduled { at, .. }) => Retrying { at: *at },
            (
                AttemptOver { .. } | Barred { .. } | Ready | Retrying { .. },
                Event::StepEnded { outcome, .. },
            ) => Ended { outcome: *outcome },
            (state, _) => return Err(format!("the step is {state:?}")),
        })
    }

    /// Keeps what an answer says about whether its workspace takes our ids for its runs. A run that was found by its
    /// parameters says nothing: it may be somebody else's.
    fn note_trust(&mut self, step: StepIndex, event: &Event) {
        let Some(sent) = self.run(step).last_attempt().map(|attempt| attempt.run) else { return };
        let shown = match event {
            Event::RunStarted { run, .. } if *run == sent => Trust::Proven,
            Event::RunStarted { adopted: false, .. } | Event::StartUnclear { other: Some(_), .. } => {
                Trust::Disproven
            }
            _ => return,
        };
        let trust = &mut self.trust[self.plan.steps[step.0].workspace];
        *trust = trust.and(shown);
    }

    /// Keeps what an event says about the attempt itself.
    fn note_attempt(&mut self, step: StepIndex, recorded: &Recorded) {
        let (at, id) = (recorded.at, self.step(step).id.clone());
        let attempts = &mut self.steps[step.0].attempts;
        match &recorded.event {
            Event::StartIntended { attempt, run, parameters, secrets, recovery, .. } => {
                let made = Attempt::intended(*attempt, *run, parameters.clone(), at);
                attempts.push(Attempt { secrets: secrets.clone(), recovery: recovery.clone(), ..made });
                self.claimed.insert(*run, id.clone());
                return;
            }
            Event::RunAttached { attempt, run, parameters, .. } => {
                let made = Attempt::intended(*attempt, *run, parameters.clone(), at);
                attempts.push(Attempt {
                    sends: 0,
                    origin: Origin::Others,
                    started_at: Some(at),
                    timeout_from: Some(at),
                    ..made
                });
                self.claimed.insert(*run, id.clone());
                return;
            }
            _ => {}
        }
        let Some(attempt) = attempts.last_mut() else { return };
        match &recorded.event {
            Event::StartNotSent { reason, .. } => attempt.trouble.clone_from(reason),
            Event::StartUnclear { reason, refusal, other, .. } => {
                attempt.trouble.clone_from(reason);
                attempt.was_unclear = true;
                attempt.unclear_sends += 1;
                attempt.refusal.clone_from(refusal);
                attempt.other = *other;
                self.claimed.extend(other.map(|other| (other, id)));
            }
            Event::StartResent { .. } => {
                attempt.sends += 1;
                attempt.last_sent_at = at;
            }
            Event::StartRefused { error, .. } => {
                attempt.outcome = Some(Outcome::Failed);
                attempt.error = Some(error.clone());
                attempt.ended_at = Some(at);
            }
            Event::RunStarted { run, adopted, .. } => {
                attempt.begin_run(*run, if *adopted { Origin::Found } else { Origin::Answered }, at);
                self.claimed.insert(*run, id.clone());
            }
            Event::Resolved { resolution: Resolution::Run { run }, .. } => {
                attempt.forget_run();
                attempt.begin_run(*run, Origin::Found, at);
                self.claimed.insert(*run, id.clone());
            }
            Event::Resolved { resolution: Resolution::GiveUp, .. } => attempt.outcome = Some(Outcome::Failed),
            Event::RunChanged { status, .. } => attempt.status = Some(status.clone()),
            Event::CancelIntended { reason, .. } => attempt.cancel = Some(*reason),
            Event::CancelAccepted { .. } => attempt.cancel_accepted = true,
            Event::RunEnded { status, message, run_start, run_end, returned, .. } => {
                attempt.status = Some(status.clone());
                attempt.message.clone_from(message);
                attempt.run_start = *run_start;
                attempt.run_end = *run_end;
                attempt.returned.clone_from(returned);
            }
            Event::AttemptEnded { outcome, error, restart, outputs, .. } => {
                // Of an end that the service has not told, the run knows nothing: it goes on.
                let is_left = attempt.started_at.is_some() && !attempt.is_run_over();
                attempt.left_running = is_left && *outcome == Outcome::TimedOut;
                attempt.outcome = Some(*outcome);
                attempt.error.clone_from(error);
                attempt.restart.clone_from(restart);
                attempt.outputs.clone_from(outputs);
                attempt.returned = None;
                attempt.ended_at = Some(at);
            }
            _ => {}
        }
    }

    /// Ends what a person no longer wants, as far as nothing of it is under way; the rest is cancelled where it runs.
    fn ask_for_end(&mut self, step: StepIndex, reason: &str, at: Timestamp) {
        let run = &mut self.steps[step.0];
        let next = match &run.state {
            StepState::Ended { .. } => return,
            StepState::Waiting | StepState::Ready | StepState::Retrying { .. } | StepState::Barred { .. } => {
                Some(StepState::Barred { outcome: Outcome::Cancelled, reason: reason.to_owned() })
            }
            StepState::NotSent { .. } => match run.attempts.last_mut() {
                // An earlier request of the same attempt may still land.
                Some(attempt) if attempt.was_unclear => Some(StepState::Unclear { since: at }),
                Some(attempt) => {
                    attempt.outcome = Some(Outcome::Cancelled);
                    attempt.ended_at = Some(at);
                    Some(StepState::AttemptOver { outcome: Outcome::Cancelled, retryable: false })
                }
                None => None,
            },
            _ => None,
        };
        run.cancel_asked = true;
        run.stale = false;
        if let Some(next) = next {
            self.set(step, next);
        }
    }

    /// Puts a step into a state and every index in step with it.
    pub(super) fn set(&mut self, step: StepIndex, state: StepState) {
        let rank = self.graph.rank(step);
        let run = &mut self.steps[step.0];
        self.phases.remove(step, rank, &run.state);
        run.state = state;
        self.phases.insert(step, rank, &run.state);
        if let Some(attempt) = run.attempts.last() {
            if matches!(run.state, StepState::Running) {
                self.runs.insert(attempt.run, step);
            } else {
                self.runs.remove(&attempt.run);
            }
        }
    }

    /// Judges every step whose last upstream has just ended.
    fn release_downstreams(&mut self, step: StepIndex) {
        let downstreams: Vec<StepIndex> = self.graph.downstreams(step).collect();
        for downstream in downstreams {
            self.release(downstream);
        }
    }

    /// Lets go of the steps above that had to wait until this one, begun before a resume, was over.
    pub(super) fn release_held(&mut self, step: StepIndex) {
        for upstream in self.held.remove(&step).unwrap_or_default() {
            self.release(upstream);
        }
    }

    fn release(&mut self, step: StepIndex) {
        self.steps[step.0].waits_for -= 1;
        self.judge_if_free(step);
    }

    /// Judges a step that waits for nothing any more.
    pub(super) fn judge_if_free(&mut self, step: StepIndex) {
        let run = &self.steps[step.0];
        if run.waits_for == 0 && run.state == StepState::Waiting {
            let verdict = self.judge(step);
            self.set(step, verdict);
        }
    }
}
