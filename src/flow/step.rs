//! Where a step of a flow is, and what its attempts have come to.

use serde_json::{Map, Value};

use crate::flow::event::{CancelReason, Outcome, Recovery, Restart, RunId, RunStatus, StepError};
use crate::plan::{Outputs, SecretText};
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
        /// `Blocked`, `NotNeeded` or, if a person asked for its end, `Cancelled`.
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

/// How the run of an attempt came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the answer to our request.
    Answered,
    /// By looking, after an unclear request.
    Found,
    /// Somebody else started it: we never cancel it.
    Others,
}

/// One try at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// The run's id: ours until the service has told its own.
    pub run: RunId,
    /// The rendered parameters, as every request of this attempt sends them; a secret stands as the template that asks for it.
    pub parameters: Map<String, Value>,
    /// The texts among them that hold secrets, and what each request puts them together from.
    pub secrets: Vec<SecretText>,
    /// When the intent was recorded.
    pub intended_at: Timestamp,
    /// The failed run that this one takes up, if it does not run whole.
    pub recovery: Option<Recovery>,
    /// How many requests have left or may have left.
    pub sends: u32,
    /// After how many of them nobody knew what came of it. Those that certainly started nothing do not count.
    pub unclear_sends: u32,
    /// When the last of them was recorded.
    pub last_sent_at: Timestamp,
    /// Whether one of them may have started a run although its answer did not say so.
    pub was_unclear: bool,
    /// What Synapse said to the last of them, if it said no after an unclear one.
    pub refusal: Option<StepError>,
    /// The run that Synapse told of, if it is not the one first asked for: both may exist.
    pub other: Option<RunId>,
    /// Why the last request started nothing or is unclear, for people.
    pub trouble: String,
    /// When the run was known to exist.
    pub started_at: Option<Timestamp>,
    /// From when on the step's `timeout` counts.
    pub timeout_from: Option<Timestamp>,
    /// How its run came to be known.
    pub origin: Origin,
    /// Whether the step timed out and its run was left running.
    pub left_running: bool,
    /// What the service last said of the run.
    pub status: Option<RunStatus>,
    /// What the service said of the run's end.
    pub message: String,
    /// When the service says the run started and ended.
    pub run_start: Option<Timestamp>,
    /// See `run_start`.
    pub run_end: Option<Timestamp>,
    /// What the run returned of all that the step's outputs name, until they are taken from it.
    pub returned: Option<Box<Outputs>>,
    /// What the run gave of the outputs that the step declares.
    pub outputs: Option<Box<Outputs>>,
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
    /// How the next attempt may take up this one, where the plan asks for that.
    pub restart: Option<Restart>,
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
    /// How many attempts belong to earlier times, before the step was begun anew.
    pub(super) old_attempts: usize,
    /// Whether a person asked for its end.
    pub(super) cancel_asked: bool,
    /// Whether a person said that it has failed, whatever came of its last attempt, and nothing has followed from that.
    pub(super) is_given_up: bool,
    /// Whether it begins anew once it is over: it runs only because of what a resume does again.
    pub(super) stale: bool,
    /// How many steps it waits for: upstreams that have not ended, and after a resume steps below it that still run.
    pub(super) waits_for: usize,
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

    /// Returns the newest attempt since the step was last begun anew.
    pub fn current_attempt(&self) -> Option<&Attempt> {
        self.attempts.get(self.old_attempts..)?.last()
    }

    /// Returns what went wrong in the newest attempt that counts.
    pub fn error(&self) -> Option<&StepError> {
        self.current_attempt().and_then(|attempt| attempt.error.as_ref())
    }

    /// Returns what the newest attempt that counts gave of the step's outputs; nothing while it is not over.
    pub fn outputs(&self) -> Option<&Outputs> {
        self.current_attempt().and_then(|attempt| attempt.outputs.as_deref())
    }

    /// Says whether the step is over; an unknown one is not.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, StepState::Ended { .. })
    }

    /// Says whether its last run may still go on although the step is over.
    pub fn is_left_running(&self) -> bool {
        self.last_attempt().is_some_and(|attempt| attempt.left_running)
    }

    /// Returns how many attempts belong to earlier times, before the step was begun anew.
    pub const fn old_attempts(&self) -> usize {
        self.old_attempts
    }

    /// Says whether a person asked for its end.
    pub const fn is_end_asked(&self) -> bool {
        self.cancel_asked
    }

    /// Says whether a start request of it is or was under way and nothing has told what came of that.
    pub const fn is_uncertain(&self) -> bool {
        matches!(self.state, StepState::Starting | StepState::Unclear { .. })
    }

    /// Makes a step before its first attempt.
    pub(super) const fn new() -> Self {
        Self {
            state: StepState::Waiting,
            attempts: Vec::new(),
            reason: String::new(),
            ended_at: None,
            old_attempts: 0,
            cancel_asked: false,
            is_given_up: false,
            stale: false,
            waits_for: 0,
        }
    }
}

impl Attempt {
    /// Says whether the service has told the end of the run.
    pub fn is_run_over(&self) -> bool {
        self.status.as_ref().is_some_and(RunStatus::is_terminal)
    }

    /// Notes that the attempt's run is known.
    pub(super) fn begin_run(&mut self, run: RunId, origin: Origin, at: Timestamp) {
        self.run = run;
        self.origin = origin;
        self.started_at = Some(at);
        self.timeout_from = Some(at);
        self.trouble.clear();
        self.outcome = None;
        self.error = None;
        self.ended_at = None;
    }

    /// Forgets what is known of the run that the attempt was taken to have: a person has named another.
    pub(super) fn forget_run(&mut self) {
        self.status = None;
        self.message.clear();
        self.run_start = None;
        self.run_end = None;
        self.returned = None;
        self.outputs = None;
        self.cancel = None;
        self.cancel_accepted = false;
        self.left_running = false;
    }

    /// Makes the attempt whose start was just intended.
    pub(super) const fn intended(
        number: u32,
        run: RunId,
        parameters: Map<String, Value>,
        at: Timestamp,
    ) -> Self {
        Self {
            number,
            run,
            parameters,
            secrets: Vec::new(),
            intended_at: at,
            recovery: None,
            sends: 1,
            unclear_sends: 0,
            last_sent_at: at,
            was_unclear: false,
            refusal: None,
            other: None,
            trouble: String::new(),
            started_at: None,
            timeout_from: None,
            origin: Origin::Answered,
            left_running: false,
            status: None,
            message: String::new(),
            run_start: None,
            run_end: None,
            returned: None,
            outputs: None,
            cancel: None,
            cancel_accepted: false,
            ended_at: None,
            outcome: None,
            error: None,
            restart: None,
        }
    }
}
