//! One pipeline run and one activity run as the service shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::expression::as_text;
use super::stamp::{stamp, stamp_or_null};
use super::walk::{Pace, Row, Walk};
use crate::emulator::model::script::RunScript;
use crate::time::Timestamp;

/// What the service says of a run (protocol 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Queued,
    InProgress,
    Canceling,
    Succeeded,
    Failed,
    Cancelled,
}

/// Who started a run.
#[derive(Clone, Debug)]
pub(super) enum Invoker {
    /// A caller of the API.
    Manual { id: String },
    /// An Execute Pipeline activity: the places of its run and of its row, and what the service shows of them.
    Activity { run: usize, row: usize, activity_run_id: String, pipeline: String, run_id: String },
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// Its place among all runs, in the order of acceptance.
    pub(super) number: usize,
    pub(super) id: String,
    pub(super) group_id: String,
    pub(super) pipeline: String,
    pub(super) definition: Arc<Definition>,
    /// Parameters as the caller sent them; a recovery shows those of the run it refers to.
    pub(super) shown: Map<String, Value>,
    /// Parameters as activities read them.
    pub(super) parameters: Map<String, Value>,
    pub(super) behaviour: RunScript,
    pub(super) pace: Pace,
    pub(super) walk: Walk,
    pub(super) status: Status,
    pub(super) accepted_at: Timestamp,
    pub(super) in_progress_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
    pub(super) message: Option<String>,
    /// The failure its last activity left, until the run ends.
    pub(super) failure: Option<String>,
    pub(super) invoker: Invoker,
    pub(super) is_latest: bool,
    /// Whether it counts against its pipeline's `concurrency`.
    pub(super) is_active: bool,
    /// What a recovery takes over: activities, and their outputs.
    pub(super) taken_over: BTreeSet<String>,
    pub(super) outputs: BTreeMap<String, Value>,
    /// How many Execute Pipeline activities stand above it.
    pub(super) depth: usize,
    /// How often its id was sent again.
    pub(super) repeats: u64,
}

impl Status {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::Canceling => "Canceling",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    pub(super) const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl Run {
    /// Returns the run as GET and the list show it. `root` is the workspace's path in Azure.
    pub(super) fn json(&self, root: &str) -> Value {
        let run_start = stamp(self.accepted_at, self.number);
        let duration = self.ended_at.map(|end| end.since(self.accepted_at).as_ms());
        let mut run = json!({
            "id": format!("{}/pipelineruns/{}", root.to_uppercase(), self.id),
            "runId": self.id,
            "debugRunId": null,
            "runGroupId": self.group_id,
            "pipelineName": self.pipeline,
            "parameters": self.parameters_as_text(),
            "invokedBy": self.invoker.json(),
            "runStart": run_start,
            "runEnd": stamp_or_null(self.ended_at, self.number),
            "durationInMs": duration,
            "status": self.status.word(),
            "message": self.message,
            "output": null,
            "lastUpdated": stamp(self.updated_at, self.number),
            "annotations": self.definition.annotations,
            "runDimension": self.definition.run_dimensions,
            "isLatest": self.is_latest,
        });
        // The member is undocumented, and was never seen empty in a recording of this service.
        if !self.walk.returned.is_empty() && self.status.is_terminal() {
            run["pipelineReturnValue"] = Value::Object(self.walk.returned.clone());
        }
        run
    }

    /// Returns whether a parameter is declared secret.
    pub(super) fn is_secure(&self, name: &str) -> bool {
        self.definition
            .parameters
            .iter()
            .any(|parameter| parameter.is_secure && parameter.name.eq_ignore_ascii_case(name))
    }

    fn parameters_as_text(&self) -> Map<String, Value> {
        let shown = self.shown.iter().map(|(name, value)| {
            let text = if self.is_secure(name) { "**********".to_owned() } else { as_text(value) };
            (name.clone(), Value::String(text))
        });
        shown.collect()
    }

    /// Returns one of its activity runs as the query shows it.
    pub(super) fn activity_json(&self, row: &Row, root: &str) -> Value {
        let error = row.error.as_ref();
        let duration = row.end.map(|end| end.since(row.start).as_ms());
        let failure_type = if error.is_some() { "UserError" } else { "" };
        let moves_data = row.kind == "Copy" && row.end.is_some();
        let is_bare = matches!(row.status, "Inactive" | "Skipped");
        let has_output = !is_bare && !row.hides_output && (row.end.is_some() || row.child.is_some());
        json!({
            "pipelineName": self.pipeline,
            "pipelineRunId": self.id,
            "activityName": row.name,
            "activityType": row.kind,
            "activityRunId": row.id,
            "linkedServiceName": "",
            "status": row.status,
            "activityRunStart": stamp(row.start, self.number),
            "activityRunEnd": stamp_or_null(row.end, self.number),
            "durationInMs": duration,
            "input": if is_bare { json!({}) } else { row.input.clone() },
            "output": if has_output { row.output.clone() } else { json!({}) },
            "error": {
                "errorCode": error.map_or("", |error| error.code.as_str()),
                "message": error.map_or("", |error| error.message.as_str()),
                "failureType": failure_type,
                "target": row.name,
                "details": "",
            },
            "retryAttempt": if row.retry == 0 { Value::Null } else { row.retry.into() },
            "iterationHash": row.iteration,
            "userProperties": row.user_properties,
            "recoveryStatus": "None",
            "integrationRuntimeNames": moves_data.then(|| json!(["defaultintegrationruntime"])),
            "executionDetails": moves_data.then(|| json!({
                "integrationRuntime": [
                    { "name": "DefaultIntegrationRuntime", "type": "Managed", "location": "West Europe" },
                ],
            })),
            "id": format!("{}/pipelineruns/{}/activityruns/{}", root.to_uppercase(), self.id, row.id),
        })
    }
}

impl Invoker {
    fn json(&self) -> Value {
        match self {
            Self::Manual { id } => json!({ "id": id, "name": "Manual", "invokedByType": "Manual" }),
            Self::Activity { activity_run_id, pipeline, run_id, .. } => json!({
                "id": activity_run_id,
                "name": activity_run_id,
                "invokedByType": "PipelineActivity",
                "pipelineName": pipeline,
                "pipelineRunId": run_id,
            }),
        }
    }
}
