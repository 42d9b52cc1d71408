//! How a flow stands and how it ended, counted from its steps.

use crate::flow::{Flow, Outcome, StepState};
use crate::plan::Step;

/// How many steps are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps in all.
    pub total: usize,
    /// Ended `succeeded`.
    pub succeeded: usize,
    /// Ended `warned`.
    pub warned: usize,
    /// Ended `failed`, `timed_out` or `cancelled`.
    pub failed: usize,
    /// Ended without a run: `skipped`, `not_needed`, `blocked`.
    pub not_run: usize,
    /// Holding a place.
    pub running: usize,
    /// Waiting for upstreams, a place or their next attempt.
    pub waiting: usize,
    /// Waiting for a person.
    pub unknown: usize,
}

/// How a flow ended, or would end if it ended now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOutcome {
    /// Nothing went wrong that was not allowed to.
    Succeeded,
    /// A step failed.
    Failed,
    /// A step timed out.
    TimedOut,
    /// The deadline passed before every step had ended, well.
    DeadlineMissed,
    /// A person cancelled the flow, or others one of its runs.
    Cancelled,
    /// A person must look at a step.
    Unknown,
}

impl FlowOutcome {
    /// Returns the process's exit code (design 9.3, "Exit code of a flow").
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Cancelled => 7,
            Self::TimedOut | Self::DeadlineMissed => 8,
            Self::Unknown => 9,
        }
    }

    /// Returns the word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::DeadlineMissed => "deadline_missed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl Flow {
    /// Counts the steps.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { total: self.plan().runs().count(), ..Counts::default() };
        for (_, _, run) in self.steps() {
            let place = match &run.state {
                StepState::Ended { outcome } => match outcome {
                    Outcome::Succeeded => &mut counts.succeeded,
                    Outcome::Warned => &mut counts.warned,
                    Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled => &mut counts.failed,
                    _ => &mut counts.not_run,
                },
                StepState::Unknown => &mut counts.unknown,
                StepState::Waiting
                | StepState::Ready
                | StepState::Barred { .. }
                | StepState::AttemptOver { .. }
                | StepState::Retrying { .. } => &mut counts.waiting,
                _ => &mut counts.running,
            };
            *place += 1;
        }
        counts
    }

    /// Says whether every step has ended, and went well or was allowed not to: a resume has nothing to do again.
    pub fn went_well(&self) -> bool {
        let is_bad = |outcome: Option<Outcome>| {
            matches!(outcome, Some(Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled))
        };
        self.is_settled() && !self.steps().any(|(_, step, run)| is_bad(run.outcome()) && !step.allow_failure)
    }

    /// Returns how the flow has ended, judged by the steps that have: the first of unknown, cancelled by a person, failed,
    /// timed out, late and cancelled by others that fits. Allowed failures do not count, an unknown step always does.
    pub fn outcome(&self) -> FlowOutcome {
        self.outcome_of(|_| true)
    }

    /// Returns the same of some steps alone.
    pub(super) fn outcome_of(&self, counts: impl Fn(&Step) -> bool) -> FlowOutcome {
        let steps = || self.steps().filter(|(_, step, _)| counts(step));
        let ended = |wanted: Outcome| {
            steps().any(|(_, step, run)| run.outcome() == Some(wanted) && !step.allow_failure)
        };
        if steps().any(|(_, _, run)| run.state == StepState::Unknown) {
            FlowOutcome::Unknown
        } else if self.is_cancelling() && ended(Outcome::Cancelled) {
            FlowOutcome::Cancelled
        } else if ended(Outcome::Failed) {
            FlowOutcome::Failed
        } else if ended(Outcome::TimedOut) {
            FlowOutcome::TimedOut
        } else if self.has_missed_deadline() {
            FlowOutcome::DeadlineMissed
        } else if ended(Outcome::Cancelled) {
            FlowOutcome::Cancelled
        } else {
            FlowOutcome::Succeeded
        }
    }

    /// Says whether a step warned that was not allowed to fail either.
    pub fn has_warned(&self) -> bool {
        self.steps().any(|(_, step, run)| run.outcome() == Some(Outcome::Warned) && !step.allow_failure)
    }
}
