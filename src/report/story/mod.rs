//! A flow told from its end: what became of every step, why, when it ran and waited, and what decided how long it all took.
//!
//! [`tell`] makes a [`Story`] of a flow and its events. Every form of a report is made of it, so that none says other than
//! the rest; as JSON it is one of them (`schemas/report.schema.json`). Members are added, never renamed. Texts stand here
//! as they came: each form makes them harmless in its own way.

mod junit;
mod markdown;
mod path;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::flow::Commit;
use crate::time::{Delay, Timestamp};

pub use junit::junit;
pub use markdown::markdown;
pub use told::{Known, tell};

/// The version of the form of a [`Story`].
pub const VERSION: u32 = 1;

/// The words for how a step stands, worst first: those of outcomes, `running` and `waiting`.
pub const MARKS: [&str; 11] = [
    "unknown",
    "failed",
    "timed_out",
    "cancelled",
    "blocked",
    "running",
    "waiting",
    "warned",
    "skipped",
    "not_needed",
    "succeeded",
];

/// A flow told from its end.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "A report of synflow")]
pub struct Story {
    /// The version of this form. It changes only if a member changes its meaning.
    pub version: u32,
    /// The version of the synflow that made the report.
    pub synflow: String,
    /// When the report was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub made_at: Timestamp,
    /// The flow.
    pub flow: FlowStory,
    /// What went wrong by itself, worst first: failures that count, then those that were allowed, then warnings.
    pub causes: Vec<Cause>,
    /// The chain of ends that decided when the flow ended, first step first.
    pub critical_path: Vec<Leg>,
    /// Every step that runs a pipeline, in file order.
    pub steps: Vec<StepStory>,
}

/// The flow as a whole.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FlowStory {
    /// Its id.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// What the plan is for, if it says.
    pub description: Option<String>,
    /// The environment that was chosen; empty for none.
    pub environment: String,
    /// Whether the workspaces were emulated.
    pub emulated: bool,
    /// What tells it from other flows of the plan; empty where the plan has no `run_key`.
    pub run_key: String,
    /// Where it is.
    #[schemars(extend("enum" = ["ended", "needs_person", "given_up", "detached", "unfinished"]))]
    pub state: String,
    /// How it ended; `null` while it has not.
    #[schemars(extend("enum" = ["succeeded", "failed", "timed_out", "deadline_missed", "cancelled", "unknown", null]))]
    pub outcome: Option<String>,
    /// The exit code that goes with the outcome.
    pub exit_code: Option<u8>,
    /// The whole in one sentence.
    pub headline: String,
    /// The command that goes on or shows more; `null` if nothing is left to do.
    pub next: Option<String>,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// How long it took, or has taken so far, in milliseconds.
    #[schemars(with = "u64")]
    pub elapsed_ms: Delay,
    /// How long it was expected to take by what its steps took in earlier flows, in milliseconds; `null` if there are none.
    #[schemars(with = "Option<u64>")]
    pub expected_ms: Option<Delay>,
    /// How many earlier flows that is known from.
    pub earlier_flows: usize,
    /// By when it should have ended.
    pub deadline: Option<DeadlineStory>,
    /// How many steps are where, by the word of their outcome, else `running` or `waiting`.
    pub counts: BTreeMap<String, usize>,
    /// The value of every input. Of a secret one, the reference that leads to it.
    pub inputs: Map<String, Value>,
    /// The plan's file as it was named on the command line.
    pub plan_file: String,
    /// The SHA-256 of the plan's text, in hexadecimal digits.
    pub plan_sha256: String,
    /// The git commit at which the plan's file stood, where it stands in a repository.
    pub commit: Option<Commit>,
    /// The words of `--select`.
    pub selected: Vec<String>,
    /// The words of `--exclude`.
    pub excluded: Vec<String>,
    /// How many runs may be under way at once.
    pub max_parallel: usize,
    /// The workspaces of the plan.
    pub workspaces: Vec<WorkspaceStory>,
    /// What happened to the flow as a whole, in order.
    pub events: Vec<FlowEvent>,
}

/// A deadline and how the flow stands to it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeadlineStory {
    /// The deadline.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Whether it passed before every step had ended.
    pub missed: bool,
    /// The same for people.
    pub text: String,
}

/// A workspace of the plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkspaceStory {
    /// The key in the plan.
    pub key: String,
    /// The workspace's own name.
    pub name: String,
    /// Where it is.
    pub endpoint: String,
}

/// Something that happened to the flow as a whole.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FlowEvent {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What, for programs: the event's kind in the journal.
    pub kind: String,
    /// The same for people.
    pub text: String,
}

/// Something that went wrong by itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cause {
    /// The step.
    pub step: String,
    /// How it ended.
    #[schemars(extend("enum" = ["warned", "failed", "cancelled", "timed_out", "unknown"]))]
    pub outcome: String,
    /// Whether the plan allowed it, so that it does not count.
    pub allowed: bool,
    /// What happened, in one line, from the step down to the activity.
    pub text: String,
    /// How many steps it kept from starting.
    pub stopped_count: usize,
    /// The first of these, at most fifty.
    pub stopped: Vec<String>,
}

/// A step on the critical path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Leg {
    /// The step.
    pub step: String,
    /// How long it took, its retries and the waits between them included, in milliseconds.
    #[schemars(with = "u64")]
    pub took_ms: Delay,
    /// How long it waited for a place once all that it depends on had ended, in milliseconds.
    #[schemars(with = "u64")]
    pub waited_ms: Delay,
}

/// A step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StepStory {
    /// Its id.
    pub id: String,
    /// The step that it is an iteration of.
    pub group: Option<String>,
    /// The pipeline it runs.
    pub pipeline: String,
    /// The key of its workspace in the plan.
    pub workspace: String,
    /// What it is for, if the plan says.
    pub description: Option<String>,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// In which wave it starts, from 1.
    pub wave: usize,
    /// Where it is.
    pub state: String,
    /// How it ended; `null` while it has not.
    #[schemars(extend("enum" = ["succeeded", "warned", "failed", "cancelled", "timed_out", "skipped", "not_needed", "blocked", "unknown", null]))]
    pub outcome: Option<String>,
    /// Whether the plan lets it fail.
    pub allow_failure: bool,
    /// What went wrong or why it did not run, in one line; `null` where there is nothing to say.
    pub why: Option<String>,
    /// The steps whose end kept it from starting, at most five.
    pub because: Vec<String>,
    /// What it waits for, as the plan writes it.
    pub depends_on: Vec<String>,
    /// When it was first started.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// How long it took from its first start to its end, in milliseconds.
    #[schemars(with = "Option<u64>")]
    pub elapsed_ms: Option<Delay>,
    /// How long one run of it usually takes, by earlier flows, in milliseconds.
    #[schemars(with = "Option<u64>")]
    pub usual_ms: Option<Delay>,
    /// Whether it is on the critical path.
    pub critical: bool,
    /// When it waited although nothing it depends on was left to wait for.
    pub waits: Vec<Wait>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptStory>,
    /// What it gave to later steps.
    pub outputs: Map<String, Value>,
    /// The outputs that are not there, with the reason.
    pub absent_outputs: BTreeMap<String, String>,
}

/// A stretch of waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wait {
    /// What for.
    pub kind: WaitKind,
    /// From when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub from: Timestamp,
    /// Until when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub to: Timestamp,
}

/// What a step waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// For its turn: a place, a pool, or the end of a run that others had started.
    Place,
    /// In the queue of the service.
    Queue,
    /// For the time of its next attempt.
    Retry,
    /// For somebody to resume the flow.
    Resume,
}

/// One try at a step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AttemptStory {
    /// Counts from 1.
    pub number: u32,
    /// The run; `null` if there certainly is none.
    pub run_id: Option<String>,
    /// Where Synapse Studio shows the run; `null` for an emulated workspace or an address of its own.
    pub studio: Option<String>,
    /// What the service last said of the run.
    pub status: Option<String>,
    /// How the attempt ended.
    #[schemars(extend("enum" = ["succeeded", "warned", "failed", "cancelled", "timed_out", "unknown", null]))]
    pub outcome: Option<String>,
    /// When the start was decided.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub intended_at: Timestamp,
    /// When the run was known to exist.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When the attempt was over.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// When the service says that the run started.
    #[schemars(with = "Option<String>")]
    pub run_start: Option<Timestamp>,
    /// When the service says that it ended.
    #[schemars(with = "Option<String>")]
    pub run_end: Option<Timestamp>,
    /// Whether the run was found by looking, or is somebody else's.
    pub adopted: bool,
    /// How many start requests left.
    pub sends: u32,
    /// What was sent. A secret stands as the template that asks for it.
    pub parameters: Map<String, Value>,
    /// The activity at which it took up the failed run before it; `null` if it ran whole.
    pub from_activity: Option<String>,
    /// What went wrong.
    pub error: Option<ErrorStory>,
    /// What ran inside, in the order in which it began.
    pub activities: Vec<ActivityStory>,
    /// How many more there were than the journal keeps.
    pub activities_left_out: usize,
}

/// An error as the service told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorStory {
    /// The service's code; empty where it gave none.
    pub code: String,
    /// The service's text.
    pub message: String,
    /// The innermost activity that failed.
    pub activity: Option<String>,
    /// The child pipelines between the step's own and that activity.
    pub via: Vec<String>,
}

/// An activity of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ActivityStory {
    /// Its name in the pipeline.
    pub name: String,
    /// Its type, such as `Copy`.
    pub kind: String,
    /// The service's word for how it stands or ended.
    pub status: String,
    /// Which round of a loop it belongs to, in the order in which they are listed; nothing outside loops.
    pub round: Option<usize>,
    /// When it started.
    #[schemars(with = "Option<String>")]
    pub start: Option<Timestamp>,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub end: Option<Timestamp>,
    /// What went wrong in it.
    pub error: Option<ErrorStory>,
    /// The run of another pipeline that it started.
    pub child: Option<ChildStory>,
}

/// The run of another pipeline that an activity started.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChildStory {
    /// The run.
    pub run_id: String,
    /// Where Synapse Studio shows it.
    pub studio: Option<String>,
    /// The pipeline.
    pub pipeline: String,
    /// What ran inside.
    pub activities: Vec<ActivityStory>,
}

impl Story {
    /// Returns it as JSON.
    pub fn json(&self) -> Value {
        // Texts, numbers and maps with texts as keys: nothing that JSON does not have.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl StepStory {
    /// Returns the word for how it stands, the same for colours, shapes and filters.
    pub fn mark(&self) -> &str {
        match (&self.outcome, self.state.as_str()) {
            (Some(outcome), _) => outcome,
            (None, "waiting" | "ready") => "waiting",
            (None, _) => "running",
        }
    }
}

/// How many legs of the critical path people are told.
const LEGS_MAX: usize = 14;

/// Returns which legs of a critical path are only counted: those in the middle of a long one.
pub(super) fn skipped_legs(legs: usize) -> std::ops::Range<usize> {
    if legs > LEGS_MAX { LEGS_MAX / 2..legs - LEGS_MAX / 2 } else { 0..0 }
}

/// Returns the JSON Schema of a report in JSON.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Story>().to_value()
}
