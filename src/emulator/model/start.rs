//! The calls about one run: start, read, cancel.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::definition::{Activity, Definition};
use super::expression::as_text;
use super::faults::Strike;
use super::generator::dashed;
use super::message::{Answer, Request};
use super::run::{Invoker, Run};
use super::runs::{Order, Recovery};
use super::store::not_found;
use super::{Model, Workspace};
use crate::emulator::model::script::Ids;

impl Model {
    /// Answers createRun. The run's id is the caller's request id, and a known id starts nothing (protocol 2.3).
    pub(super) fn create_run(&mut self, request: &Request, pipeline: &str) -> Answer {
        let sent_id = request.header("x-ms-client-request-id").and_then(dashed);
        let sent_id = sent_id.filter(|_| self.script.ids == Ids::Honoured);
        if let Some(run) = sent_id.as_ref().and_then(|id| self.runs.find_mut(id)) {
            run.repeats += 1;
            return accepted(&run.id);
        }
        if !self.store.is_pipeline(pipeline, &self.script, self.is_strict) {
            return not_found(pipeline, &self.workspace);
        }
        let given = match request.json() {
            Ok(None) => Map::new(),
            Ok(Some(Value::Object(given))) => given,
            Ok(Some(_)) => return bad_body("The request body must be an object of parameter values."),
            Err(error) => return bad_body(&format!("The request body is not valid JSON: {error}")),
        };
        if is_wrapped(&given, self.store.get(pipeline).as_deref()) {
            return bad_body("Internal error has occurred");
        }
        let recovery = match self.recovery(request, pipeline, &given) {
            Ok(recovery) => recovery,
            Err(answer) => return *answer,
        };
        let order = Order {
            id: sent_id.unwrap_or_else(|| self.ids.guid()),
            pipeline: pipeline.to_owned(),
            given,
            invoker: Invoker::Manual { id: self.ids.hex() },
            depth: 0,
            recovery,
        };
        let id = order.id.clone();
        if self.store.get(pipeline).is_none() {
            // What has run is there.
            self.store.list_also(pipeline);
        }
        let now = self.now;
        let (runs, mut world) = self.world();
        runs.start(order, now, &mut world);
        accepted(&id)
    }

    /// Answers GET of a run.
    pub(super) fn get_run(&self, id: &str, strike: &Strike) -> Answer {
        let hidden_for = strike.hides_run(&self.script);
        let is_hidden =
            |run: &&Run| hidden_for.is_none_or(|length| self.now.since(run.accepted_at) >= length);
        match self.runs.find(id).filter(is_hidden) {
            Some(run) => Answer::json(200, &run.json(&self.workspace.root())),
            None => run_not_found(id, &self.workspace),
        }
    }

    /// Answers a cancel: at once and empty, also for finished runs (recorded).
    pub(super) fn cancel_run(&mut self, request: &Request, id: &str) -> Answer {
        let is_recursive = request.query_flag("isRecursive");
        if self.runs.cancel(id, is_recursive, self.now, &self.script) {
            return Answer::empty(200);
        }
        run_error(
            "ReferencedPipelineRunNotFound",
            &format!("Referenced pipeline run id {id} does not exist."),
            "pipelinerun",
        )
    }

    /// Finds what a start with `referencePipelineRunId` takes over. The error is the answer to give.
    ///
    /// Parameters that differ from the first run's make an unrelated run, as the service's pages say.
    fn recovery(
        &self,
        request: &Request,
        pipeline: &str,
        given: &Map<String, Value>,
    ) -> Result<Option<Recovery>, Box<Answer>> {
        let Some(reference) = request.query_member("referencePipelineRunId").filter(|id| !id.is_empty())
        else {
            return Ok(None);
        };
        let target = format!("pipeline/{pipeline}/");
        if dashed(&reference).is_none() {
            let message = format!("Referenced pipeline run id {reference} is not a valid run id.");
            return Err(Box::new(run_error("ReferencedPipelineRunNotValid", &message, &target)));
        }
        let Some(first) = self.runs.find(&reference) else {
            let message = format!("Referenced pipeline run id {reference} does not exist.");
            return Err(Box::new(run_error("ReferencedPipelineRunNotFound", &message, &target)));
        };
        if !first.pipeline.eq_ignore_ascii_case(pipeline) {
            let message = format!("Referenced pipeline run id {reference} is not a valid run id.");
            return Err(Box::new(run_error("ReferencedPipelineRunNotValid", &message, &target)));
        }
        if !given.is_empty() && !same_parameters(given, &first.shown) {
            return Ok(None);
        }
        let activities = &first.definition.activities;
        let from: Vec<String> = if request.query_flag("startFromFailure") {
            // An activity that failed and was tried again with success has not failed.
            let rows = first.walk.rows.iter().filter(|row| row.iteration.is_empty());
            let last: BTreeMap<&str, &str> = rows.map(|row| (row.name.as_str(), row.status)).collect();
            let failed = last.into_iter().filter(|(_, status)| *status == "Failed");
            failed.map(|(name, _)| name.to_owned()).collect()
        } else {
            request.query_member("startActivityName").filter(|name| !name.is_empty()).into_iter().collect()
        };
        let taken_over = if request.query_flag("isRecovery") {
            taken_over(first, activities, &from)
        } else {
            BTreeSet::new()
        };
        Ok(Some(Recovery { of: first.number, taken_over }))
    }
}

/// Finds the top-level activities that went well before and do not follow the one to start at.
fn taken_over(first: &Run, activities: &[Activity], from: &[String]) -> BTreeSet<String> {
    if from.is_empty() {
        return BTreeSet::new();
    }
    let mut again: BTreeSet<&str> = from.iter().map(String::as_str).collect();
    // Each round adds at least one or ends it.
    loop {
        let more = activities.iter().filter(|activity| {
            !again.contains(activity.name.as_str())
                && activity.depends_on.iter().any(|dependency| again.contains(dependency.activity.as_str()))
        });
        let more: Vec<&str> = more.map(|activity| activity.name.as_str()).collect();
        if more.is_empty() {
            break;
        }
        again.extend(more);
    }
    let went_well = |name: &str| {
        let mut rows = first.walk.rows.iter();
        first.taken_over.contains(name) || rows.any(|row| row.name == name && row.status == "Succeeded")
    };
    let names = activities.iter().map(|activity| activity.name.as_str());
    names.filter(|name| !again.contains(name) && went_well(name)).map(str::to_owned).collect()
}

fn same_parameters(given: &Map<String, Value>, before: &Map<String, Value>) -> bool {
    given.len() == before.len()
        && given
            .iter()
            .all(|(name, value)| before.get(name).is_some_and(|old| as_text(old) == as_text(value)))
}

/// Tells whether the caller wrapped the parameters as definitions do: `{"parameters":{"x":{"value":1}}}`.
fn is_wrapped(given: &Map<String, Value>, definition: Option<&Definition>) -> bool {
    let is_declared = definition.is_some_and(|definition| {
        definition.parameters.iter().any(|parameter| parameter.name == "parameters")
    });
    let inner =
        given.get("parameters").and_then(Value::as_object).filter(|_| given.len() == 1 && !is_declared);
    inner.is_some_and(|inner| {
        !inner.is_empty()
            && inner.values().all(|value| value.as_object().is_some_and(|value| value.contains_key("value")))
    })
}

fn accepted(id: &str) -> Answer {
    Answer::json(202, &json!({ "runId": id }))
}

fn bad_body(message: &str) -> Answer {
    Answer::wrapped_error(400, "BadRequest", message)
}

fn run_error(code: &str, message: &str, target: &str) -> Answer {
    Answer::run_error(400, code, message, target)
}

fn run_not_found(id: &str, workspace: &Workspace) -> Answer {
    let message = format!("The Pipeline Run {id} was not found in {}", workspace.place());
    Answer::flat_error(404, "PipelineRunNotFound", &message)
}
