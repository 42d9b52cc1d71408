//! Where a step of a flow is, and what its attempts have come to.

use serde_json::{Map, Value};

use crate::flow::{CancelReason, Outcome, RunId, RunStatus, StepError};
use crate::time::Timestamp;

/// Where a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Some of its upstreams have not ended.
    Waiting,
    /// Every edge is met; it waits for a place.
    Ready,
    /// Every upstream has ended and an edge is not met; it is about to end like this.
    Barred {
        /// `Blocked` or `NotNeeded`.
        outcome: Outcome,
        /// The unmet edges, for people.
        reason: String,
    },
    /// A start request may be under way.
    Starting,
    /// The start request certainly started nothing and leaves again at this time.
    NotSent {
        /// The earliest time.
        again_at: Timestamp,
    },
    /// Nobody knows whether the start request made a run.
    Unclear {
        /// When that came to be.
        since: Timestamp,
    },
    /// The run exists.
    Running,
    /// The run has ended; its activities have not been read.
    Settling,
    /// The last attempt is over; a retry or the step's end follows.
    AttemptOver {
        /// How the attempt ended.
        outcome: Outcome,
        /// Whether the plan's `retry` applies: trying again what the service refused cannot help.
        retryable: bool,
    },
    /// The next attempt starts at this time.
    Retrying {
        /// The earliest time.
        at: Timestamp,
    },
    /// A person must look: the step has not ended for those that depend on it.
    Unknown,
    /// The step is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// One try at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// The run's id: ours until the service has told its own.
    pub run: RunId,
    /// The rendered parameters, as every request of this attempt sends them.
    pub parameters: Map<String, Value>,
    /// When the intent was recorded.
    pub intended_at: Timestamp,
    /// How many requests have left or may have left.
    pub sends: u32,
    /// Whether one of them may have started a run although its answer did not say so.
    pub was_unclear: bool,
    /// What Synapse said to the last of them, if it said no after an unclear one.
    pub refusal: Option<StepError>,
    /// Why the last request started nothing or is unclear, for people.
    pub trouble: String,
    /// When the run was known to exist.
    pub started_at: Option<Timestamp>,
    /// Whether the run was found by looking.
    pub adopted: bool,
    /// What the service last said of the run.
    pub status: Option<RunStatus>,
    /// What the service said of the run's end.
    pub message: String,
    /// When the service says the run started and ended.
    pub run_start: Option<Timestamp>,
    /// See `run_start`.
    pub run_end: Option<Timestamp>,
    /// Why we asked for its end, if we did.
    pub cancel: Option<CancelReason>,
    /// Whether the service took the cancel.
    pub cancel_accepted: bool,
    /// When the attempt was over.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What went wrong.
    pub error: Option<StepError>,
}

/// A step of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRun {
    /// Where it is.
    pub state: StepState,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it ended without a run, for people; empty otherwise.
    pub reason: String,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many of its upstreams have not ended.
    pub(super) upstreams_left: usize,
}

impl StepRun {
    /// Returns how the step ended; nothing while it has not, `Unknown` while a person must look.
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.state {
            StepState::Ended { outcome } => Some(outcome),
            StepState::Unknown => Some(Outcome::Unknown),
            _ => None,
        }
    }

    /// Returns the newest attempt.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Returns what went wrong in the newest attempt.
    pub fn error(&self) -> Option<&StepError> {
        self.last_attempt().and_then(|attempt| attempt.error.as_ref())
    }
}

impl Attempt {
    /// Makes the attempt whose start was just intended.
    pub(super) fn intended(number: u32, run: RunId, parameters: Map<String, Value>, at: Timestamp) -> Self {
        Self {
            number,
            run,
            parameters,
            intended_at: at,
            sends: 1,
            was_unclear: false,
            refusal: None,
            trouble: String::new(),
            started_at: None,
            adopted: false,
            status: None,
            message: String::new(),
            run_start: None,
            run_end: None,
            cancel: None,
            cancel_accepted: false,
            ended_at: None,
            outcome: None,
            error: None,
        }
    }
}
