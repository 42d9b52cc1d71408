//! The service's JSON, read into the core's words. JSON shapes live here and nowhere else.
//!
//! Reading is lenient: unknown members are ignored, a member of an unexpected type counts as its
//! text, and what a record lacks stays empty. Strict in one point: a run without an id is no run.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::flow::ActivitySeen;
use crate::flow::event::{RunId, RunSeen, RunStatus, StepError};
use crate::time::Timestamp;

/// The window that holds every record (protocol 5.3).
pub(super) const ALL_TIME: (&str, &str) = ("0001-01-01T00:00:00.0000000Z", "9999-12-31T23:59:59.9999999Z");

/// A run of a list, with what tells runs of one pipeline apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunListed {
    /// The run.
    pub seen: RunSeen,
    /// Its parameters as the service returns them: texts.
    pub parameters: Map<String, Value>,
}

impl RunListed {
    /// Says whether the run was started with `sent`, as far as the service's texts show it
    /// (protocol 3.4): texts as they are, everything else as JSON, numbers and words without case.
    pub fn has_parameters(&self, sent: &Map<String, Value>) -> bool {
        self.has_parameters_but(sent, &BTreeSet::new())
    }

    /// Says the same of all parameters but those called `hidden`, which the service may mask or leave out.
    pub fn has_parameters_but(&self, sent: &Map<String, Value>, hidden: &BTreeSet<String>) -> bool {
        let is_same = |name: &String, value: &Value| {
            hidden.contains(name)
                || self.parameters.get(name).is_some_and(|returned| is_same_parameter(value, returned))
        };
        self.parameters.keys().all(|name| sent.contains_key(name))
            && sent.iter().all(|(name, value)| is_same(name, value))
    }
}

fn is_same_parameter(sent: &Value, returned: &Value) -> bool {
    if sent == returned {
        return true;
    }
    let Value::String(text) = returned else { return false };
    match sent {
        Value::String(_) => false,
        // How the service writes these is not known: `True`, `true`, `null`, an empty text.
        Value::Null => text.is_empty() || text.eq_ignore_ascii_case("null"),
        Value::Bool(sent) => text.eq_ignore_ascii_case(if *sent { "true" } else { "false" }),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            serde_json::from_str::<Value>(text).is_ok_and(|read| &read == sent)
        }
    }
}

/// The answer to a start.
#[derive(Deserialize)]
pub(super) struct Started {
    #[serde(rename = "runId")]
    pub(super) run: RunId,
}

/// A pipeline run (protocol 3.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PipelineRun {
    run_id: RunId,
    #[serde(default, deserialize_with = "text")]
    pipeline_name: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "text")]
    message: String,
    #[serde(default, deserialize_with = "timestamp")]
    run_start: Option<Timestamp>,
    #[serde(default, deserialize_with = "timestamp")]
    run_end: Option<Timestamp>,
    #[serde(default, deserialize_with = "timestamp")]
    last_updated: Option<Timestamp>,
    #[serde(default)]
    parameters: Value,
    #[serde(default)]
    pipeline_return_value: Value,
    #[serde(default)]
    output: Value,
}

impl From<PipelineRun> for RunSeen {
    fn from(run: PipelineRun) -> Self {
        Self {
            run: run.run_id,
            pipeline: run.pipeline_name,
            status: status(&run.status),
            message: run.message,
            run_start: run.run_start,
            run_end: run.run_end,
            last_updated: run.last_updated,
            return_value: return_value(run.pipeline_return_value, run.output),
        }
    }
}

/// Returns what a run returned. Its member was probably called `output` before (protocol 3.7); an object may come as its
/// JSON text, as parameters do.
fn return_value(value: Value, before: Value) -> Option<Value> {
    match if value.is_null() { before } else { value } {
        Value::Null => None,
        Value::String(text) => Some(match serde_json::from_str(&text) {
            Ok(object @ Value::Object(_)) => object,
            _ => Value::String(text),
        }),
        value => Some(value),
    }
}

impl From<PipelineRun> for RunListed {
    fn from(mut run: PipelineRun) -> Self {
        let parameters = match run.parameters.take() {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        Self { seen: run.into(), parameters }
    }
}

/// Reads the service's word for a run (protocol 4): without case or spaces, with one l or two.
pub(super) fn status(word: &str) -> RunStatus {
    let plain: String = word.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "queued" => RunStatus::Queued,
        "inprogress" => RunStatus::InProgress,
        "canceling" | "cancelling" => RunStatus::Canceling,
        "succeeded" => RunStatus::Succeeded,
        "failed" => RunStatus::Failed,
        "cancelled" | "canceled" => RunStatus::Cancelled,
        _ => RunStatus::Other(word.to_owned()),
    }
}

/// An activity run (protocol 3.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ActivityRun {
    #[serde(default, deserialize_with = "text")]
    activity_name: String,
    #[serde(default, deserialize_with = "text")]
    activity_type: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, rename = "iterationHash", deserialize_with = "text")]
    iteration: String,
    #[serde(default, rename = "activityRunStart", deserialize_with = "timestamp")]
    start: Option<Timestamp>,
    #[serde(default, rename = "activityRunEnd", deserialize_with = "timestamp")]
    end: Option<Timestamp>,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Value,
}

impl From<ActivityRun> for ActivitySeen {
    fn from(run: ActivityRun) -> Self {
        let of_error = |member: &str| as_text(run.error.get(member).unwrap_or(&Value::Null));
        // Every activity has an error object, with empty texts where nothing is wrong.
        let (code, message) = (of_error("errorCode"), of_error("message"));
        let is_error = !code.is_empty() || !message.is_empty();
        let activity = is_error.then(|| run.activity_name.clone());
        // The only way from a run to those that it started (protocol 3.2).
        let child = run.output.get("pipelineRunId").and_then(Value::as_str).and_then(|id| id.parse().ok());
        Self {
            error: StepError { code, message, activity, via: Vec::new() },
            name: run.activity_name,
            kind: run.activity_type,
            status: run.status,
            iteration: run.iteration,
            start: run.start,
            end: run.end,
            output: run.output,
            child,
        }
    }
}

/// One page of a list: `{value, continuationToken?}`, `{value, nextLink?}` or, as the sister service
/// answers, a bare array.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What stands on it.
    pub records: Vec<T>,
    /// What a query must send to get the next page; nothing on the last.
    pub continuation: Option<String>,
    /// Where the next page of a list is; nothing on the last.
    pub next_link: Option<String>,
}

impl<T> Page<T> {
    /// Returns the page with other records in the places of these.
    pub(super) fn map<U>(self, other: impl FnMut(T) -> U) -> Page<U> {
        let Self { records, continuation, next_link } = self;
        Page { records: records.into_iter().map(other).collect(), continuation, next_link }
    }
}

impl<T: serde::de::DeserializeOwned> Page<T> {
    /// Reads a page; nothing if `body` is none. A record that cannot be read is left out: it has no
    /// id that could be ours, and must not hide the others.
    pub(super) fn read(body: Value) -> Option<Self> {
        let (records, rest) = match body {
            Value::Array(records) => (records, Map::new()),
            Value::Object(mut members) => match members.remove("value") {
                Some(Value::Array(records)) => (records, members),
                _ => return None,
            },
            _ => return None,
        };
        let member = |name: &str| {
            let text = rest.get(name).and_then(Value::as_str).unwrap_or_default();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Some(Self {
            continuation: member("continuationToken"),
            next_link: member("nextLink"),
            records: records.into_iter().filter_map(|record| serde_json::from_value(record).ok()).collect(),
        })
    }
}

/// The body of both queries (protocol 3.3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query<'a> {
    pub(super) last_updated_after: String,
    pub(super) last_updated_before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continuation_token: Option<String>,
    pub(super) filters: &'a [RunFilter],
}

/// A condition on the runs of a list; several must all be met (protocol 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunFilter {
    operand: &'static str,
    operator: &'static str,
    values: Vec<String>,
}

impl RunFilter {
    /// Keeps runs of these pipelines.
    pub fn pipelines<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let values = names.into_iter().map(str::to_owned).collect();
        Self { operand: "PipelineName", operator: "In", values }
    }

    /// Keeps runs with one of these statuses.
    pub fn statuses(statuses: impl IntoIterator<Item = RunStatus>) -> Self {
        let values = statuses.into_iter().map(|status| status.to_string()).collect();
        Self { operand: "Status", operator: "In", values }
    }
}

/// An error as the service writes it: wrapped in `error`, or flat (protocol 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceError {
    pub(super) code: String,
    pub(super) message: String,
}

/// Reads either shape of an error; nothing if `body` has neither. The code must be there.
pub(super) fn service_error(body: &[u8]) -> Option<ServiceError> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let read = |shape: &Value| {
        let code = shape.get("code")?.as_str().filter(|code| !code.is_empty())?.to_owned();
        let message = as_text(shape.get("message").unwrap_or(&Value::Null));
        Some(ServiceError { code, message })
    };
    body.get("error").and_then(read).or_else(|| read(&body))
}

/// Writes the question whether somebody may do something (protocol 8.4). All actions on pipelines are
/// data actions.
pub(super) fn access_question(principal: &str, actions: &[&str], scope: &str) -> String {
    let actions: Vec<Value> = actions.iter().map(|id| json!({"id": id, "isDataAction": true})).collect();
    json!({"subject": {"principalId": principal}, "actions": actions, "scope": scope}).to_string()
}

/// Reads the decisions as action and whether it is allowed; nothing if there is no list of them. The
/// description and its example differ in the case of the names, so it does not count.
pub(super) fn access_decisions(body: Value) -> Option<Vec<(String, bool)>> {
    let list = match body {
        Value::Array(list) => list,
        other => member_in_any_case(&other, "accessDecisions")?.as_array()?.clone(),
    };
    let read = |decision: &Value| {
        let action = member_in_any_case(decision, "actionId")?.as_str()?.to_owned();
        let word = member_in_any_case(decision, "accessDecision")?.as_str()?;
        Some((action, word.eq_ignore_ascii_case("Allowed")))
    };
    Some(list.iter().filter_map(read).collect())
}

fn member_in_any_case<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The token endpoint's answer (protocol 1.3).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: SecretString,
    #[serde(default, deserialize_with = "number")]
    pub(super) expires_in: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) expires_on: Option<u64>,
}

/// The token endpoint's refusal (protocol 1.8).
#[derive(Deserialize)]
pub(super) struct TokenError {
    pub(super) error: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) error_description: String,
    #[serde(default)]
    pub(super) error_codes: Vec<i64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) correlation_id: String,
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(as_text(&Value::deserialize(deserializer)?))
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Timestamp::parse_lenient(&text(deserializer)?))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    Ok(String::deserialize(deserializer)?.into())
}

/// Reads a number, or a text that holds one; nothing for anything else.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Page, PipelineRun, RunListed, ServiceError, TokenAnswer, service_error, status};
    use crate::flow::ActivitySeen;
    use crate::flow::event::{RunSeen, RunStatus};

    #[test]
    fn reads_every_spelling_of_a_status() {
        let check = |word: &str, want: RunStatus| assert_eq!(status(word), want, "{word}");
        check("Queued", RunStatus::Queued);
        check("InProgress", RunStatus::InProgress);
        check("In Progress", RunStatus::InProgress);
        check("Inprogress", RunStatus::InProgress);
        check("Canceling", RunStatus::Canceling);
        check("Cancelling", RunStatus::Canceling);
        check("Cancelled", RunStatus::Cancelled);
        check("Canceled", RunStatus::Cancelled);
        check("SUCCEEDED", RunStatus::Succeeded);
        check("Failed", RunStatus::Failed);
        check("Hibernating", RunStatus::Other("Hibernating".to_owned()));
        check("", RunStatus::Other(String::new()));
    }

    #[test]
    fn a_run_needs_an_id_and_nothing_else() {
        let id = "8b35ed2c-152b-11ec-9ae6-b07b25181c2a";
        let run: PipelineRun = serde_json::from_value(json!({
            "runId": id, "status": 7, "message": null, "runEnd": null, "runStart": "soon", "new": {"a": []},
        }))
        .expect("a record");
        let seen = RunSeen::from(run);
        assert_eq!(seen.run.to_string(), id);
        assert_eq!(seen.status, RunStatus::Other("7".to_owned()));
        assert_eq!((seen.run_start, seen.run_end, seen.message.as_str()), (None, None, ""));
        assert!(serde_json::from_value::<PipelineRun>(json!({"status": "Queued"})).is_err());
    }

    #[test]
    fn a_bad_record_does_not_hide_the_others() {
        let id = "8b35ed2c-152b-11ec-9ae6-b07b25181c2a";
        let check = |body: Value, want: Option<(usize, Option<&str>)>| {
            let page = Page::<PipelineRun>::read(body.clone());
            let got = page.as_ref().map(|page| (page.records.len(), page.continuation.as_deref()));
            assert_eq!(got, want, "{body}");
        };
        check(json!({"value": [{"runId": id}, {"runId": "x"}, 3]}), Some((1, None)));
        check(json!({"value": [], "continuationToken": null}), Some((0, None)));
        check(json!({"value": [], "continuationToken": ""}), Some((0, None)));
        check(json!({"value": [], "continuationToken": "t"}), Some((0, Some("t"))));
        check(json!([{"runId": id}]), Some((1, None)));
        check(json!({"values": []}), None);
        check(json!(null), None);
    }

    #[test]
    fn reads_both_shapes_of_an_error_and_no_third() {
        let check = |body: &str, want: Option<(&str, &str)>| {
            let want = want
                .map(|(code, message)| ServiceError { code: code.to_owned(), message: message.to_owned() });
            assert_eq!(service_error(body.as_bytes()), want, "{body}");
        };
        check(r#"{"code":"A","message":"m"}"#, Some(("A", "m")));
        check(r#"{"code":"A","message":null,"target":"t","details":null,"error":null}"#, Some(("A", "")));
        check(r#"{"error":{"code":"A","message":"m","details":[]}}"#, Some(("A", "m")));
        check(r#"{"error":"invalid_client"}"#, None);
        check(r#"{"statusCode":429,"message":"m"}"#, None);
        check(r#"{"code":"","message":"m"}"#, None);
        check("<html>", None);
        check("", None);
    }

    #[test]
    fn compares_parameters_as_the_service_returns_them() {
        let check = |sent: Value, returned: Value, want: bool| {
            let run = json!({"runId": "8b35ed2c-152b-11ec-9ae6-b07b25181c2a", "parameters": returned});
            let listed = RunListed::from(serde_json::from_value::<PipelineRun>(run).expect("a record"));
            assert_eq!(listed.has_parameters(sent.as_object().expect("a record")), want, "{sent} {returned}");
        };
        check(json!({}), json!({}), true);
        check(json!({}), json!(null), true);
        check(json!({"a": "x"}), json!({"a": "x"}), true);
        check(json!({"a": "x"}), json!({"a": "y"}), false);
        check(json!({"a": "x"}), json!({"a": "x", "b": ""}), false);
        check(json!({"a": 3, "b": true, "c": null}), json!({"a": "3", "b": "True", "c": ""}), true);
        check(json!({"a": ["x.csv"]}), json!({"a": "[\"x.csv\"]"}), true);
        check(json!({"a": {"b": [1]}}), json!({"a": "{ \"b\": [1] }"}), true);
        check(json!({"a": [1]}), json!({"a": "[2]"}), false);
        check(json!({"a": "3"}), json!({"a": "3"}), true);
    }

    #[test]
    fn only_an_error_with_words_is_one() {
        let read = |error: Value| {
            let run = json!({"activityName": "Copy", "status": "Failed", "error": error});
            ActivitySeen::from(serde_json::from_value::<super::ActivityRun>(run).expect("a record")).error
        };
        let none = read(json!({"errorCode": "", "message": "", "failureType": "", "target": "Copy"}));
        assert_eq!(none, crate::flow::event::StepError::default());
        let some = read(json!({"errorCode": 2200, "message": "no such file"}));
        assert_eq!((some.code.as_str(), some.message.as_str()), ("2200", "no such file"));
        assert_eq!(some.activity.as_deref(), Some("Copy"));
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_text() {
        let check = |lifetime: Value, want: Option<u64>| {
            let body = json!({"access_token": "t", "expires_in": lifetime});
            assert_eq!(serde_json::from_value::<TokenAnswer>(body).expect("a record").expires_in, want);
        };
        check(json!(3599), Some(3599));
        check(json!("3599"), Some(3599));
        check(json!(null), None);
        check(json!("soon"), None);
    }
}
