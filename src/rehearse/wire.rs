//! Between the core's words and the model's JSON. There is no network here: an answer is whole, or it is the model's no.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::emulator::model::{Answer, Model, Request};
use crate::flow::{ActivitySeen, Recovery, RunId, RunSeen, RunStatus, StartOutcome, StepError};
use crate::time::Timestamp;

const VERSION: &str = "api-version=2020-12-01";

/// A window without an end: there is one clock.
const FAR: &str = "9999-12-31T23:59:59Z";

/// Starts a run.
pub(super) fn create_run(
    model: &mut Model,
    now: Timestamp,
    pipeline: &str,
    run: RunId,
    parameters: &Map<String, Value>,
    recovery: Option<&Recovery>,
) -> StartOutcome {
    let again = recovery.map_or_else(String::new, |Recovery { run, activity }| {
        format!("&referencePipelineRunId={run}&isRecovery=true&startActivityName={}", encoded(activity))
    });
    let request =
        Request::new("POST", &format!("/pipelines/{}/createRun?{VERSION}{again}", encoded(pipeline)))
            .with_header("x-ms-client-request-id", &run.to_string())
            .with_json(&Value::Object(parameters.clone()));
    let answer = model.answer(now, &request);
    let body = body(&answer);
    match body["runId"].as_str().and_then(|id| id.parse().ok()) {
        Some(run) => StartOutcome::Started(run),
        None => StartOutcome::Refused(refusal(&answer, &body)),
    }
}

/// Reads a run; nothing if there is none with this id.
pub(super) fn run(model: &mut Model, now: Timestamp, run: RunId) -> Option<RunSeen> {
    let answer = model.answer(now, &Request::new("GET", &format!("/pipelineruns/{run}?{VERSION}")));
    (answer.status == 200).then(|| seen(&body(&answer))).flatten()
}

/// Asks for the end of a run and of all below it.
pub(super) fn cancel(model: &mut Model, now: Timestamp, run: RunId) {
    let path = format!("/pipelineruns/{run}/cancel?{VERSION}&isRecursive=true");
    model.answer(now, &Request::new("POST", &path));
}

/// Lists the runs that changed after a time.
pub(super) fn runs(model: &mut Model, now: Timestamp, after: Timestamp) -> Vec<RunSeen> {
    let path = format!("/queryPipelineRuns?{VERSION}");
    pages(model, now, &path, &after.to_string()).iter().filter_map(seen).collect()
}

/// Reads the activities of a run.
pub(super) fn activities(model: &mut Model, now: Timestamp, pipeline: &str, run: RunId) -> Vec<ActivitySeen> {
    let path = format!("/pipelines/{}/pipelineruns/{run}/queryActivityruns?{VERSION}", encoded(pipeline));
    pages(model, now, &path, "0001-01-01T00:00:00Z").iter().map(activity).collect()
}

/// Reads all pages of a list.
fn pages(model: &mut Model, now: Timestamp, path: &str, after: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let mut query = json!({ "lastUpdatedAfter": after, "lastUpdatedBefore": FAR, "filters": [] });
        if let Some(token) = token {
            query["continuationToken"] = token;
        }
        let mut page = body(&model.answer(now, &Request::new("POST", path).with_json(&query)));
        if let Value::Array(records) = page["value"].take() {
            all.extend(records);
        }
        match page["continuationToken"].take() {
            Value::Null => return all,
            next => token = Some(next),
        }
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// Returns what the model said to a start that it did not take.
fn refusal(answer: &Answer, body: &Value) -> StepError {
    let error = if body["error"].is_object() { &body["error"] } else { body };
    let message = match text(&error["message"]) {
        message if message.is_empty() => format!("the model answered with status {}", answer.status),
        message => message,
    };
    StepError { code: text(&error["code"]), message, ..StepError::default() }
}

fn seen(run: &Value) -> Option<RunSeen> {
    let returned = &run["pipelineReturnValue"];
    Some(RunSeen {
        run: run["runId"].as_str()?.parse().ok()?,
        pipeline: text(&run["pipelineName"]),
        status: status(&text(&run["status"])),
        message: text(&run["message"]),
        run_start: time(&run["runStart"]),
        run_end: time(&run["runEnd"]),
        last_updated: time(&run["lastUpdated"]),
        return_value: (!returned.is_null()).then(|| returned.clone()),
    })
}

fn activity(row: &Value) -> ActivitySeen {
    let name = text(&row["activityName"]);
    let (code, message) = (text(&row["error"]["errorCode"]), text(&row["error"]["message"]));
    let is_error = !code.is_empty() || !message.is_empty();
    ActivitySeen {
        error: StepError { code, message, activity: is_error.then(|| name.clone()), via: Vec::new() },
        name,
        kind: text(&row["activityType"]),
        status: text(&row["status"]),
        iteration: text(&row["iterationHash"]),
        start: time(&row["activityRunStart"]),
        end: time(&row["activityRunEnd"]),
        output: row["output"].clone(),
        child: row["output"]["pipelineRunId"].as_str().and_then(|id| id.parse().ok()),
    }
}

fn status(word: &str) -> RunStatus {
    match word {
        "Queued" => RunStatus::Queued,
        "InProgress" => RunStatus::InProgress,
        "Canceling" => RunStatus::Canceling,
        "Succeeded" => RunStatus::Succeeded,
        "Failed" => RunStatus::Failed,
        "Cancelled" => RunStatus::Cancelled,
        other => RunStatus::Other(other.to_owned()),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::parse_lenient(value.as_str()?)
}

/// Writes a name as a part of an address.
fn encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
