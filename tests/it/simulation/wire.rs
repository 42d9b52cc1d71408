//! Between the core's words and the service's: requests written by hand, answers read by the client's own reader.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use synflow::emulator::model::{Answer as Said, Fate, Request};
use synflow::flow::{Recovery, RunId};
use synflow::synapse::reading::{Answer, BodyError, NoAnswer, NoAnswerKind};
use synflow::time::Timestamp;

/// The host in messages.
pub(crate) const HOST: &str = "w.example.net";

const VERSION: &str = "api-version=2020-12-01";

pub(crate) fn create_run(
    pipeline: &str,
    run: RunId,
    parameters: &Map<String, Value>,
    recovery: Option<&Recovery>,
) -> Request {
    let again = recovery.map_or_else(String::new, |recovery| {
        let Recovery { run, activity } = recovery;
        format!("&referencePipelineRunId={run}&isRecovery=true&startActivityName={activity}")
    });
    Request::new("POST", &format!("/pipelines/{pipeline}/createRun?{VERSION}{again}"))
        .with_header("x-ms-client-request-id", &run.to_string())
        .with_json(&Value::Object(parameters.clone()))
}

pub(crate) fn get_run(run: RunId) -> Request {
    Request::new("GET", &format!("/pipelineruns/{run}?{VERSION}"))
}

pub(crate) fn cancel(run: RunId) -> Request {
    Request::new("POST", &format!("/pipelineruns/{run}/cancel?{VERSION}&isRecursive=true"))
}

pub(crate) fn activities(pipeline: &str, run: RunId, continuation: Option<&str>) -> Request {
    let path = format!("/pipelines/{pipeline}/pipelineruns/{run}/queryActivityruns?{VERSION}");
    query(&path, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", &json!([]), continuation)
}

/// Lists runs changed after a time, of one pipeline or of all. The window ends far in the future: the clocks differ.
pub(crate) fn list_runs(
    after: Timestamp,
    pipeline: Option<&str>,
    only_live: bool,
    continuation: Option<&str>,
) -> Request {
    let filter =
        |operand: &str, values: &[&str]| json!({ "operand": operand, "operator": "In", "values": values });
    let of_pipeline = pipeline.map(|name| filter("PipelineName", &[name]));
    let of_live = only_live.then(|| filter("Status", &["Queued", "InProgress", "Canceling"]));
    let filters: Value = of_pipeline.into_iter().chain(of_live).collect();
    query(
        &format!("/queryPipelineRuns?{VERSION}"),
        &after.to_string(),
        "9999-12-31T23:59:59Z",
        &filters,
        continuation,
    )
}

fn query(path: &str, after: &str, before: &str, filters: &Value, continuation: Option<&str>) -> Request {
    let mut body = json!({ "lastUpdatedAfter": after, "lastUpdatedBefore": before, "filters": filters });
    if let Some(token) = continuation {
        body["continuationToken"] = token.into();
    }
    Request::new("POST", path).with_json(&body)
}

/// Returns what the client has of an answer once the transport has done to it what the model says.
pub(crate) fn carried(said: &Said) -> Result<Answer, NoAnswer> {
    let headers: HeaderMap = said
        .headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::try_from(value.as_str()).unwrap())
        })
        .collect();
    let status = StatusCode::from_u16(said.status).unwrap();
    match said.fate {
        Fate::Cut => Err(no_answer(NoAnswerKind::Cut)),
        Fate::CutInBody if !said.body.is_empty() => {
            Ok(Answer::new(status, headers, Err(BodyError::Cut(no_answer(NoAnswerKind::Cut)))))
        }
        Fate::CutInBody | Fate::Deliver => Ok(Answer::new(status, headers, Ok(said.body.clone()))),
    }
}

pub(crate) fn no_answer(kind: NoAnswerKind) -> NoAnswer {
    NoAnswer::of(kind, "the network".to_owned())
}
