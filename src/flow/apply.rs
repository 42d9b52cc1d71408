//! How an event changes a flow: the only place where a step changes state, live and in replay alike.

use crate::flow::{Attempt, Event, Flow, Outcome, Recorded, StepState, Trust, edge};
use crate::plan::StepIndex;

/// An event that cannot follow what came before it: our bug or a damaged journal.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} ({event}) does not fit: {why}")]
pub struct IllegalEvent {
    seq: u64,
    event: String,
    why: String,
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
        self.started_at.get_or_insert(recorded.at);
        Ok(())
    }

    fn apply_to_flow(&mut self, recorded: &Recorded) -> Result<(), String> {
        match recorded.event {
            _ if self.given_up => return Err("the flow was given up".to_owned()),
            Event::Detached => self.detached = true,
            Event::GivenUp if self.exit_code.is_none() => self.given_up = true,
            Event::FlowEnded { exit_code } if self.is_settled() && self.exit_code.is_none() => {
                self.exit_code = Some(exit_code);
                self.ended_at = Some(recorded.at);
            }
            _ if self.is_settled() => return Err("the flow has ended".to_owned()),
            _ => return Err("steps are still open".to_owned()),
        }
        Ok(())
    }

    fn apply_to_step(&mut self, step: StepIndex, recorded: &Recorded) -> Result<(), String> {
        use StepState::{AttemptOver, Barred, Ended, NotSent, Ready, Retrying, Running, Settling, Starting};
        let at = recorded.at;
        let run = &self.steps[step.0];
        let state = &run.state;
        let newest = run.attempts.last().map_or(0, |attempt| attempt.number);
        let expected = match recorded.event {
            Event::StartIntended { .. } | Event::RetryScheduled { .. } => newest + 1,
            _ => newest,
        };
        if let Some(number) = recorded.event.attempt()
            && number != expected
        {
            return Err(format!("attempt {expected} was due"));
        }
        let cancel = run
            .last_attempt()
            .map_or((false, false), |newest| (newest.cancel.is_some(), newest.cancel_accepted));
        let is_refused = run.last_attempt().is_some_and(|newest| newest.refusal.is_some());
        let next = match (state, &recorded.event) {
            (Ready | Retrying { .. }, Event::StartIntended { .. })
            | (NotSent { .. } | StepState::Unclear { .. }, Event::StartResent { .. }) => Starting,
            (Starting, Event::StartNotSent { again_at, .. }) => NotSent { again_at: *again_at },
            (Starting, Event::StartUnclear { .. }) => StepState::Unclear { since: at },
            (Starting, Event::StartRefused { .. }) => {
                AttemptOver { outcome: Outcome::Failed, retryable: false }
            }
            (Starting | StepState::Unclear { .. }, Event::RunStarted { .. }) => Running,
            (Running, Event::RunChanged { status, .. }) if !status.is_terminal() => Running,
            (Running, Event::CancelIntended { .. }) if cancel == (false, false) => Running,
            (Running, Event::CancelAccepted { .. }) if cancel == (true, false) => Running,
            (Running, Event::RunEnded { status, .. }) if status.is_terminal() => Settling,
            (Settling, Event::AttemptEnded { outcome, .. }) if *outcome != Outcome::Unknown => {
                AttemptOver { outcome: *outcome, retryable: true }
            }
            (
                Running | Starting | StepState::Unclear { .. },
                Event::AttemptEnded { outcome: Outcome::Unknown, .. },
            ) => StepState::Unknown,
            (StepState::Unclear { .. }, Event::AttemptEnded { outcome: Outcome::Failed, .. })
                if is_refused =>
            {
                AttemptOver { outcome: Outcome::Failed, retryable: false }
            }
            (AttemptOver { .. }, Event::RetryScheduled { at, .. }) => Retrying { at: *at },
            (AttemptOver { .. } | Barred { .. } | Ready, Event::StepEnded { outcome, .. }) => {
                Ended { outcome: *outcome }
            }
            (state, _) => return Err(format!("the step is {state:?}")),
        };
        self.note_trust(step, &recorded.event);
        self.note_attempt(step, recorded);
        if let Event::StepEnded { reason, .. } = &recorded.event {
            self.steps[step.0].reason.clone_from(reason);
            self.steps[step.0].ended_at = Some(at);
        }
        self.set(step, next);
        if matches!(self.steps[step.0].state, Ended { .. }) {
            self.release_downstreams(step);
        }
        Ok(())
    }

    /// Keeps what a started run says about whether its workspace takes our ids for its runs.
    fn note_trust(&mut self, step: StepIndex, event: &Event) {
        let Event::RunStarted { run, .. } = event else { return };
        let Some(sent) = self.run(step).last_attempt().map(|attempt| attempt.run) else { return };
        let trust = &mut self.trust[self.plan.steps[step.0].workspace];
        *trust = match (*trust, sent == *run) {
            (Trust::Disproven, _) | (_, false) => Trust::Disproven,
            (_, true) => Trust::Proven,
        };
    }

    /// Keeps what an event says about the attempt itself.
    fn note_attempt(&mut self, step: StepIndex, recorded: &Recorded) {
        let attempts = &mut self.steps[step.0].attempts;
        if let Event::StartIntended { attempt, run, parameters, .. } = &recorded.event {
            attempts.push(Attempt::intended(*attempt, *run, parameters.clone(), recorded.at));
            return;
        }
        let Some(attempt) = attempts.last_mut() else { return };
        match &recorded.event {
            Event::StartNotSent { reason, .. } => attempt.trouble.clone_from(reason),
            Event::StartUnclear { reason, refusal, .. } => {
                attempt.trouble.clone_from(reason);
                attempt.was_unclear = true;
                attempt.refusal.clone_from(refusal);
            }
            Event::StartResent { .. } => attempt.sends += 1,
            Event::StartRefused { error, .. } => {
                attempt.outcome = Some(Outcome::Failed);
                attempt.error = Some(error.clone());
                attempt.ended_at = Some(recorded.at);
            }
            Event::RunStarted { run, adopted, .. } => {
                attempt.run = *run;
                attempt.adopted = *adopted;
                attempt.started_at = Some(recorded.at);
                attempt.trouble.clear();
            }
            Event::RunChanged { status, .. } => attempt.status = Some(status.clone()),
            Event::CancelIntended { reason, .. } => attempt.cancel = Some(*reason),
            Event::CancelAccepted { .. } => attempt.cancel_accepted = true,
            Event::RunEnded { status, message, run_start, run_end, .. } => {
                attempt.status = Some(status.clone());
                attempt.message.clone_from(message);
                attempt.run_start = *run_start;
                attempt.run_end = *run_end;
            }
            Event::AttemptEnded { outcome, error, .. } => {
                attempt.outcome = Some(*outcome);
                attempt.error.clone_from(error);
                attempt.ended_at = Some(recorded.at);
            }
            _ => {}
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
            let run = &mut self.steps[downstream.0];
            run.upstreams_left -= 1;
            if run.upstreams_left == 0 {
                let verdict = self.judge(downstream);
                self.set(downstream, verdict);
            }
        }
    }

    /// Returns whether a step may start, now that all its upstreams have ended (design 9.1).
    fn judge(&self, step: StepIndex) -> StepState {
        let mut unmet = Vec::new();
        let mut reasons = Vec::new();
        for edge in &self.step(step).depends_on {
            let upstream = self.step(edge.upstream);
            let outcome = self.run(edge.upstream).outcome().expect("every upstream has ended");
            if !edge::is_met(&edge.rule, outcome, upstream.allow_failure) {
                unmet.push(outcome);
                reasons.push(format!("`{}` ended {}", upstream.id, outcome.word()));
            }
        }
        if unmet.is_empty() {
            return StepState::Ready;
        }
        reasons.dedup();
        StepState::Barred { outcome: edge::barred_as(unmet), reason: reasons.join(", ") }
    }
}
