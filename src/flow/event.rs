//! What has happened to a flow: the facts that the journal keeps and that [`super::Flow`] is folded from.
//!
//! This is a file format. A change that an older synflow could misread needs a new journal format
//! (`docs/journal.md`). Facts only: a wish is an [`super::decide::Effect`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::activity::ActivitiesKept;
use super::{Commit, Definitions};
use crate::plan::{Outputs, SecretText, StepId};
use crate::time::Timestamp;

/// The id of a flow: six or more lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FlowId(pub String);

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Synapse's id of a pipeline run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(#[schemars(with = "String", extend("format" = "uuid"))] pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Uuid::parse_str(text)?))
    }
}

/// What Synapse says of a run (protocol 4). Words it has not used so far are not terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunStatus {
    /// Accepted, waiting for its turn.
    Queued,
    /// At work.
    InProgress,
    /// A cancel was accepted and is not done yet.
    Canceling,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
    /// A word we do not know.
    Other(String),
}

impl RunStatus {
    /// Says whether the run has come to its end.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::Canceling => "Canceling",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Other(word) => word,
        })
    }
}

/// How a step, or one attempt at it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The run succeeded, and so did all that counts in it.
    Succeeded,
    /// The run says Succeeded, yet an activity in it failed.
    Warned,
    /// The run failed, or Synapse refused to start it.
    Failed,
    /// Somebody cancelled the run.
    Cancelled,
    /// The run took longer than the plan allows.
    TimedOut,
    /// Its own condition was false.
    Skipped,
    /// It waited for something that, all being well, did not happen.
    NotNeeded,
    /// What it depends on went wrong.
    Blocked,
    /// A person must look.
    Unknown,
}

impl Outcome {
    /// Returns the word that plans, journals and people use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Skipped => "skipped",
            Self::NotNeeded => "not_needed",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// An error as the service tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepError {
    /// The service's code; empty where it gave none.
    #[serde(default)]
    pub code: String,
    /// The service's text.
    pub message: String,
    /// The activity that failed, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// The pipelines of the child runs between the step's own and that activity, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
}

/// Why we ask Synapse to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The step's `timeout` has passed.
    TimedOut,
    /// A person asked for it.
    Asked,
}

/// Whether a workspace takes the id we send for the id of the run (protocol 2.3, design 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// No start has told so far.
    #[default]
    NotProven,
    /// A run had the id we sent: a repeated request cannot make a second run.
    Proven,
    /// A run had another id than the one we sent.
    Disproven,
}

impl Trust {
    /// Returns what both together tell: a workspace that once chose its own id is not trusted again.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Disproven, _) | (_, Self::Disproven) => Self::Disproven,
            (Self::Proven, _) | (_, Self::Proven) => Self::Proven,
            (Self::NotProven, Self::NotProven) => Self::NotProven,
        }
    }
}

/// How the next attempt may take up a failed run (design 3, rule 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// At its only failed activity.
    From {
        /// The activity.
        activity: String,
    },
    /// Not at all: the pipeline runs whole.
    Whole {
        /// Why, for people.
        why: String,
    },
}

/// A person's answer to an attempt that nobody knows the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Resolution {
    /// This is its run.
    Run {
        /// The run.
        run: RunId,
    },
    /// It never started one.
    NotStarted,
    /// Whatever came of it, the step has failed.
    GiveUp,
}

/// Something that has happened. `attempt` counts from 1 for each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A start request with this run id may leave from now on.
    StartIntended {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// The id we chose for the run.
        run: RunId,
        /// The rendered parameters; a secret in them stands as the template that asks for it.
        parameters: Map<String, Value>,
        /// The texts among the parameters that hold secrets, and what each request puts them together from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<SecretText>,
        /// The failed run that this one takes up, if it does not run whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery: Option<Recovery>,
    },
    /// A run of somebody else's with equal parameters serves as this attempt's; we shall not cancel it.
    RunAttached {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// The run.
        run: RunId,
        /// The rendered parameters.
        parameters: Map<String, Value>,
    },
    /// The request certainly never started a run; it goes out again, with the same id, at `again_at`.
    StartNotSent {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// What went wrong, for people.
        reason: String,
        /// The earliest time of the next try.
        again_at: Timestamp,
    },
    /// The same request, with the same id and parameters, may leave again from now on.
    StartResent {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
    },
    /// The request, or one before it, may or may not have started a run.
    StartUnclear {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// What went wrong, for people.
        reason: String,
        /// What Synapse said if it refused this request: that tells nothing of the one before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<StepError>,
        /// The run that Synapse told of, if it is not the one first asked for: both may exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        other: Option<RunId>,
    },
    /// Synapse said no; sending the request again cannot help.
    StartRefused {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// What Synapse said.
        error: StepError,
    },
    /// The run exists.
    RunStarted {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// The id the service gave, which counts from now on.
        run: RunId,
        /// True if we found it by looking, not from the answer to our request.
        adopted: bool,
    },
    /// Synapse calls the run by another, not yet final, word.
    RunChanged {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// The new word.
        status: RunStatus,
    },
    /// We are about to ask Synapse to cancel the run.
    CancelIntended {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: CancelReason,
    },
    /// Synapse took the cancel; the run goes on until it says otherwise.
    CancelAccepted {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
    },
    /// The run has come to its end, by the service's own word.
    RunEnded {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// A terminal status.
        status: RunStatus,
        /// The service's text; empty for a run that ended well.
        #[serde(default)]
        message: String,
        /// When the service says it started.
        #[serde(default)]
        run_start: Option<Timestamp>,
        /// When the service says it ended.
        #[serde(default)]
        run_end: Option<Timestamp>,
        /// What it returned of all that the step's outputs name, by their paths below `return_value`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        returned: Option<Box<Outputs>>,
    },
    /// The attempt is over: its activities were read, or there was no run.
    AttemptEnded {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// What went wrong, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
        /// How the next attempt may take up this one, where the plan asks for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        restart: Option<Restart>,
        /// What its run gave of the outputs that the step declares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Box<Outputs>>,
        /// What the service showed of its activities, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activities: Option<Box<ActivitiesKept>>,
    },
    /// Another attempt follows.
    RetryScheduled {
        /// The step.
        step: StepId,
        /// The coming attempt.
        attempt: u32,
        /// The earliest time of its start.
        at: Timestamp,
    },
    /// The step is over; only this meets edges.
    StepEnded {
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// Which rule or upstream decided, for people; empty where the attempt says it all.
        #[serde(default)]
        reason: String,
    },
    /// A person said what became of an attempt that nobody knew the end of.
    Resolved {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// What they said.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// A person asked for the end of one step.
    StepCancelRequested {
        /// The step.
        step: StepId,
    },
    /// A person asked for the end of the flow: nothing new starts.
    CancelRequested,
    /// This process stops looking; the runs go on.
    Detached,
    /// A process took the flow up again; what the one before it had under way is uncertain.
    Resumed {
        /// The steps that begin anew.
        redo: Vec<StepId>,
        /// What the workspaces have shown by now, by endpoint.
        trust: BTreeMap<String, Trust>,
        /// The definitions of what is still to start, as they are by now.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        definitions: Definitions,
    },
    /// From here on the flow follows an edited plan.
    PlanChanged {
        /// The plan's file as it was named on the command line.
        plan_file: String,
        /// The plan's text, whole.
        plan_text: String,
        /// The SHA-256 of the text, in hexadecimal digits.
        plan_sha256: String,
        /// The value of every input.
        inputs: Map<String, Value>,
        /// The environment variables that the plan's templates name.
        env: BTreeMap<String, String>,
        /// How many steps may hold a place at once from here on; as before if it is not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_parallel: Option<usize>,
        /// The git commit at which the plan's file stood, where it stands in a repository.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<Commit>,
    },
    /// By what its steps have taken before, the flow will end after its deadline.
    DeadlineAtRisk {
        /// The deadline.
        deadline: Timestamp,
        /// When the flow is likely to end.
        forecast: Timestamp,
    },
    /// The deadline has passed before every step had ended. Nothing stops because of that.
    DeadlineMissed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// A person began another flow of the plan instead; nothing more is done for this one.
    GivenUp,
    /// Every step has ended.
    FlowEnded {
        /// The flow's exit code.
        exit_code: u8,
    },
}

impl Event {
    /// Returns the step it happened to; nothing if it happened to the flow.
    pub const fn step(&self) -> Option<&StepId> {
        match self {
            Self::StartIntended { step, .. }
            | Self::StartNotSent { step, .. }
            | Self::StartResent { step, .. }
            | Self::StartUnclear { step, .. }
            | Self::StartRefused { step, .. }
            | Self::RunStarted { step, .. }
            | Self::RunChanged { step, .. }
            | Self::CancelIntended { step, .. }
            | Self::CancelAccepted { step, .. }
            | Self::RunEnded { step, .. }
            | Self::AttemptEnded { step, .. }
            | Self::RetryScheduled { step, .. }
            | Self::RunAttached { step, .. }
            | Self::Resolved { step, .. }
            | Self::StepCancelRequested { step }
            | Self::StepEnded { step, .. } => Some(step),
            Self::CancelRequested
            | Self::Detached
            | Self::Resumed { .. }
            | Self::PlanChanged { .. }
            | Self::DeadlineAtRisk { .. }
            | Self::DeadlineMissed { .. }
            | Self::GivenUp
            | Self::FlowEnded { .. } => None,
        }
    }

    /// Says whether nothing more happens to a flow after this.
    pub const fn ends_flow(&self) -> bool {
        matches!(self, Self::GivenUp | Self::FlowEnded { .. })
    }

    /// Returns the attempt it happened to; nothing if it happened to the whole step or flow.
    pub const fn attempt(&self) -> Option<u32> {
        match self {
            Self::StartIntended { attempt, .. }
            | Self::StartNotSent { attempt, .. }
            | Self::StartResent { attempt, .. }
            | Self::StartUnclear { attempt, .. }
            | Self::StartRefused { attempt, .. }
            | Self::RunStarted { attempt, .. }
            | Self::RunChanged { attempt, .. }
            | Self::CancelIntended { attempt, .. }
            | Self::CancelAccepted { attempt, .. }
            | Self::RunEnded { attempt, .. }
            | Self::AttemptEnded { attempt, .. }
            | Self::RetryScheduled { attempt, .. }
            | Self::RunAttached { attempt, .. }
            | Self::Resolved { attempt, .. } => Some(*attempt),
            Self::StepEnded { .. }
            | Self::StepCancelRequested { .. }
            | Self::CancelRequested
            | Self::Detached
            | Self::Resumed { .. }
            | Self::PlanChanged { .. }
            | Self::DeadlineAtRisk { .. }
            | Self::DeadlineMissed { .. }
            | Self::GivenUp
            | Self::FlowEnded { .. } => None,
        }
    }
}

/// An event with its number and time, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Counts from 1 without gaps within a flow.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A rerun from a failed activity (protocol 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// The run that failed.
    pub run: RunId,
    /// Where it failed.
    pub activity: String,
}

/// How Synapse answered a request to start a run; decides what may be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// Accepted. The id is the service's, which may differ from the one sent.
    Started(RunId),
    /// Synapse said no. Sending it again cannot help.
    Refused(StepError),
    /// It certainly started nothing. Safe to send again, not before `after` where the service named a time.
    NotSent {
        /// What went wrong, for people.
        reason: String,
        /// How long the service asked us to wait.
        after: Option<crate::time::Delay>,
    },
    /// It may have started a run. Look before anything else.
    Unclear {
        /// What went wrong, for people.
        reason: String,
    },
}

/// A run as the service shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSeen {
    /// Its id.
    pub run: RunId,
    /// Its pipeline.
    pub pipeline: String,
    /// What Synapse says of it.
    pub status: RunStatus,
    /// The service's text; empty where there is none.
    pub message: String,
    /// When it started, by the service's clock.
    pub run_start: Option<Timestamp>,
    /// When it ended, by the service's clock.
    pub run_end: Option<Timestamp>,
    /// When the record last changed, by the service's clock.
    pub last_updated: Option<Timestamp>,
    /// What it returned; nothing where the service shows nothing.
    pub return_value: Option<Value>,
}
