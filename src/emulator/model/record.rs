//! The emulator's own word on what happened: for tests, and for people who want to see what a client did.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::operation::Operation;
use super::run::{Invoker, Run};
use crate::time::Timestamp;

/// What a workspace saw and did so far. Served as JSON at `/_emulator/record`.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The workspace.
    pub workspace: String,
    /// Every accepted run in the order of acceptance, runs started by other pipelines included.
    pub runs: Vec<RunRecord>,
    /// How many requests came, by operation, answered well or not.
    pub requests: BTreeMap<Operation, u64>,
}

/// One accepted run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub run_id: String,
    /// Its pipeline.
    pub pipeline: String,
    /// Its parameters as they were sent; those declared secret are masked.
    pub parameters: Map<String, Value>,
    /// When it was accepted; the service shows this as `runStart`.
    pub accepted_at: Timestamp,
    /// When it left the queue.
    pub in_progress_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What the service says of it.
    pub status: &'static str,
    /// The run whose Execute Pipeline activity started it; nothing if a caller did.
    pub parent_run_id: Option<String>,
    /// The first run of its group: its own id, or for a recovery that of the run that was first taken up.
    pub group_id: String,
    /// The activities that a recovery took over from the run that it refers to.
    pub taken_over: Vec<String>,
    /// How often the same id was sent again, each time answered with this run.
    pub repeats: u64,
}

impl Record {
    pub(super) fn new(workspace: &str, runs: &[Run], requests: &BTreeMap<Operation, u64>) -> Self {
        let runs = runs.iter().map(RunRecord::new).collect();
        Self { workspace: workspace.to_owned(), runs, requests: requests.clone() }
    }

    /// Returns how many requests of an operation came.
    pub fn requests_of(&self, operation: Operation) -> u64 {
        self.requests.get(&operation).copied().unwrap_or(0)
    }
}

impl RunRecord {
    fn new(run: &Run) -> Self {
        let masked = |name: &String, value: &Value| {
            if run.is_secure(name) { Value::from("**********") } else { value.clone() }
        };
        Self {
            run_id: run.id.clone(),
            pipeline: run.pipeline.clone(),
            parameters: run.shown.iter().map(|(name, value)| (name.clone(), masked(name, value))).collect(),
            accepted_at: run.accepted_at,
            in_progress_at: run.in_progress_at,
            ended_at: run.ended_at,
            status: run.status.word(),
            parent_run_id: match &run.invoker {
                Invoker::Manual { .. } => None,
                Invoker::Activity { run_id, .. } => Some(run_id.clone()),
            },
            group_id: run.group_id.clone(),
            taken_over: run.taken_over.iter().cloned().collect(),
            repeats: run.repeats,
        }
    }
}
