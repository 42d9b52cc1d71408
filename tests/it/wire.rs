//! Every recorded answer is served again, byte for byte in its body, and read by the real client.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use synflow::definition::Source;
use synflow::flow::event::{RunId, RunStatus};
use synflow::synapse::{
    CallFailure, Cloud, Credential, Endpoint, Http, HttpSettings, SignInFailure, SynapseClient, TokenCache,
    Window, reading,
};
use synflow::time::Timestamp;

use crate::script_server::{Reply, Request, ScriptServer, answer, json as json_answer};

const PIPELINE: &str = include_str!("../wire/synapse-azure-cli-pipeline.json");
const TRIGGER: &str = include_str!("../wire/synapse-azure-cli-trigger.json");
const NET: &str = include_str!("../wire/synapse-net-pipeline-runs.json");
const RBAC: &str = include_str!("../wire/synapse-rbac.json");
const ERRORS: &str = include_str!("../wire/synapse-errors.json");
const TOKEN_ERRORS: &str = include_str!("../wire/entra-token-errors.json");
const ACTIVITIES: &str = include_str!("../wire/activity-runs-documented.json");

fn exchanges(file: &str) -> Vec<Value> {
    serde_json::from_str(file).unwrap()
}

/// A server that gives one recorded answer to everything but sign-ins, and a client of it.
async fn replay(exchange: &Value, http: &Http) -> (ScriptServer, SynapseClient) {
    let response = &exchange["response"];
    let status = response["status"].as_u64().unwrap_or(401);
    let headers: Vec<String> = response["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap()))
        .collect();
    let body = match &response["body"] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let script = move |request: &Request| {
        if request.target.ends_with("/token") {
            return json_answer("200 OK", r#"{"access_token":"t","expires_in":3599}"#);
        }
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        match status {
            // An answer of this kind has no body and no length.
            204 => Reply::Send("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
            status => answer(&format!("{status} Recorded"), &headers, &body),
        }
    };
    let server = ScriptServer::start(script).await;
    let client = client(&server, http);
    (server, client)
}

fn http() -> Http {
    Http::new(&HttpSettings::default()).unwrap()
}

fn client(server: &ScriptServer, http: &Http) -> SynapseClient {
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let credential = Credential::ClientSecret {
        tenant: "tenant".to_owned(),
        client_id: "client".to_owned(),
        secret: "secret".to_owned().into(),
        authority: endpoint.clone(),
    };
    let tokens = TokenCache::new(credential, http.clone());
    SynapseClient::new(endpoint, Cloud::Public.audience(), tokens, http.clone())
}

fn any_window() -> Window {
    Window { after: Timestamp::from_epoch_ms(0), before: Timestamp::from_epoch_ms(i64::MAX) }
}

fn last_id(exchange: &Value, after: &str) -> RunId {
    let path = exchange["request"]["path"].as_str().unwrap();
    path.split('/').skip_while(|part| *part != after).nth(1).unwrap().parse().unwrap()
}

/// Calls the client's method for the recorded request and returns what it made of the answer.
async fn call(exchange: &Value, client: &SynapseClient) -> Result<Value, CallFailure> {
    let request = &exchange["request"];
    let method = request["method"].as_str().unwrap_or("GET");
    let path = request["path"].as_str().unwrap_or("/workspace");
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("POST", [.., "createRun"]) => {
            let id = exchange["response"]["body"]["runId"].as_str().unwrap().parse().unwrap();
            let parameters = request["body"].as_object().cloned().unwrap_or_default();
            let outcome = client.create_run("pipeline", id, &parameters, None).await;
            assert_eq!(outcome, synflow::flow::event::StartOutcome::Started(id), "{path}");
            Ok(Value::Null)
        }
        ("GET", [.., "pipelineruns", _]) => {
            let id = last_id(exchange, "pipelineruns");
            let seen = client.run(id).await?.unwrap();
            let body = &exchange["response"]["body"];
            assert_eq!(seen.pipeline, body["pipelineName"]);
            assert_eq!(seen.status.to_string(), body["status"].as_str().unwrap());
            assert!(seen.status.is_terminal() && seen.run_start < seen.run_end, "{seen:?}");
            assert_eq!(seen.last_updated, seen.run_end);
            Ok(Value::Null)
        }
        ("POST", [.., "pipelineruns", id, "cancel"]) => {
            client.cancel(id.parse().unwrap_or(RunId(uuid::Uuid::nil()))).await.map(|()| Value::Null)
        }
        ("POST", ["queryPipelineRuns"]) => {
            let runs = client.search_runs(any_window(), &[]).await?;
            let records = exchange["response"]["body"]["value"].as_array().unwrap();
            assert_eq!(runs.len(), records.len());
            for (listed, record) in runs.iter().zip(records) {
                let seen = &listed.seen;
                assert_eq!(seen.run.to_string(), record["runId"].as_str().unwrap());
                assert_eq!(
                    (&seen.pipeline, &seen.message),
                    (&text(&record["pipelineName"]), &text(&record["message"]))
                );
                assert_eq!(seen.status.to_string(), text(&record["status"]));
                assert_eq!(json!(listed.parameters), record["parameters"]);
                assert!(seen.run_start.is_some() && seen.run_start < seen.run_end, "{seen:?}");
            }
            let plain = client.query_runs(any_window(), &[]).await?;
            assert_eq!(plain, runs.into_iter().map(|listed| listed.seen).collect::<Vec<_>>());
            Ok(Value::Null)
        }
        ("POST", [.., query]) if query.eq_ignore_ascii_case("queryActivityruns") => {
            let activities = client.activities("pipeline", RunId(uuid::Uuid::nil())).await?;
            let body = &exchange["response"]["body"];
            let records = body.get("value").unwrap_or(body).as_array().unwrap();
            assert_eq!(activities.len(), records.len());
            for (seen, record) in activities.iter().zip(records) {
                assert_eq!(seen.name, record["activityName"]);
                assert_eq!(seen.kind, record["activityType"]);
                assert_eq!(seen.status, "Succeeded");
                assert_eq!(seen.output, record["output"]);
                assert_eq!(seen.error, synflow::flow::event::StepError::default());
                assert!(seen.start.is_some() && seen.start < seen.end, "{seen:?}");
            }
            Ok(Value::Null)
        }
        ("GET", ["pipelines"]) => {
            let all = client.pipelines().await?;
            assert_eq!(json!(all), exchange["response"]["body"]["value"]);
            for (definition, record) in all.iter().map(|one| reading::definition(one, "").unwrap()).zip(&all)
            {
                assert_eq!(definition.name, record["name"]);
                let etag = record["etag"].as_str().map(str::to_owned);
                assert_eq!(definition.source, Source::Service { etag });
            }
            Ok(Value::Null)
        }
        ("GET", ["pipelines", name]) => {
            let Some(definition) = client.pipeline(name).await? else { return Ok(json!("not there")) };
            assert_eq!(definition, exchange["response"]["body"]);
            Ok(Value::Null)
        }
        _ => {
            let body = request["body"].as_object().map(|_| &request["body"]);
            let read = client.send(method.parse().unwrap(), &parts, body).await?;
            let recorded = &exchange["response"]["body"];
            assert_eq!(read, if recorded == "" { Value::Null } else { recorded.clone() });
            Ok(Value::Null)
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads every exchange of the service's recordings through the client. Returns which, by file and place.
pub(crate) async fn read_every_exchange() -> BTreeSet<(String, usize)> {
    let recordings = [
        ("synapse-azure-cli-pipeline.json", PIPELINE),
        ("synapse-azure-cli-trigger.json", TRIGGER),
        ("synapse-net-pipeline-runs.json", NET),
        ("synapse-rbac.json", RBAC),
        ("synapse-errors.json", ERRORS),
        ("activity-runs-documented.json", ACTIVITIES),
    ];
    let mut read = BTreeSet::new();
    for (file, text) in recordings {
        read.extend((0..ends(text).await.len()).map(|place| (file.to_owned(), place)));
    }
    let file = "entra-token-errors.json";
    read.extend((0..read_refused_sign_ins().await).map(|place| (file.to_owned(), place)));
    read
}

/// What reading an answer ends in: `ok`, or the code of the service's error.
async fn ends(file: &str) -> Vec<String> {
    let mut ends = Vec::new();
    let http = http();
    for exchange in exchanges(file) {
        let (_server, client) = replay(&exchange, &http).await;
        ends.push(match call(&exchange, &client).await {
            Ok(Value::String(text)) => text,
            Ok(_) => "ok".to_owned(),
            Err(CallFailure::Refused { status, code, message, .. }) => {
                assert!(!message.is_empty());
                format!("{} {code}", status.as_u16())
            }
            Err(CallFailure::NoSuchRun { message }) => message,
            Err(other) => panic!("{exchange:#} {other}"),
        });
    }
    ends
}

#[tokio::test]
async fn reads_every_exchange_of_a_pipeline() {
    let mut want = vec!["ok"; 12];
    want[11] = "not there";
    assert_eq!(ends(PIPELINE).await, want);
}

#[tokio::test]
async fn reads_every_exchange_of_the_preview() {
    assert_eq!(ends(NET).await, vec!["ok"; 12]);
}

#[tokio::test]
async fn reads_every_exchange_of_triggers_and_roles() {
    assert_eq!(ends(TRIGGER).await, ["404 TriggerNotFound", "ok", "ok", "ok", "ok"]);
    let mut want = vec!["ok"; 13];
    want[8] = "404 RoleAssignmentNotFound";
    assert_eq!(ends(RBAC).await, want);
}

#[tokio::test]
async fn reads_every_error() {
    let want = [
        "not there",
        "404 TriggerNotFound",
        "403 Unauthorized",
        "401 InvalidTokenAuthenticationAudience",
        "401 BadRequest",
        "404 RoleAssignmentNotFound",
        "Referenced pipeline run id someGuid does not exist.",
        "Referenced pipeline run id efbe5443-9879-4495-94a6-4d7c394133ad does not exist.",
    ];
    assert_eq!(ends(ERRORS).await, want);
}

#[tokio::test]
async fn reads_every_documented_activity_run() {
    assert_eq!(ends(ACTIVITIES).await, vec!["ok"; 4]);
}

#[tokio::test]
async fn the_long_list_holds_every_status() {
    let exchange = exchanges(NET).into_iter().find(|e| e["request"]["path"] == "/queryPipelineRuns").unwrap();
    let (_server, client) = replay(&exchange, &http()).await;
    let runs = client.query_runs(any_window(), &[]).await.unwrap();
    let count = |status: &RunStatus| runs.iter().filter(|run| run.status == *status).count();
    assert!(count(&RunStatus::Succeeded) > 0);
    assert!(count(&RunStatus::Failed) > 0);
    assert!(count(&RunStatus::Cancelled) > 0);
    assert!(runs.iter().all(|run| run.status.is_terminal()));
    let failed = runs.iter().find(|run| run.status == RunStatus::Failed).unwrap();
    assert!(failed.message.starts_with("Operation on target"), "{}", failed.message);
    assert!(runs.is_sorted_by_key(|run| run.run_start), "oldest first");
}

#[tokio::test]
async fn a_permission_failure_says_what_is_missing() {
    let exchange = &exchanges(ERRORS)[2];
    let (_server, client) = replay(exchange, &http()).await;
    let failure = client.pipeline("any").await.unwrap_err();
    assert!(failure.is_sign_in_or_permission());
    assert!(!failure.is_transient());
    assert!(failure.to_string().contains("Action: Microsoft.Synapse/workspaces/read"), "{failure}");
    assert!(failure.hint().unwrap().contains("Synapse role"));
}

/// Signs in once for every recorded refusal. Returns how many there are.
async fn read_refused_sign_ins() -> usize {
    let http = http();
    let exchanges = exchanges(TOKEN_ERRORS);
    for exchange in &exchanges {
        let (status, body) = (exchange["response"]["status"].clone(), exchange["response"]["body"].clone());
        let text = body.to_string();
        let line = format!("{status} Recorded");
        let server = ScriptServer::start(move |_| json_answer(&line, &text)).await;
        let failure = client(&server, &http).pipeline("any").await.unwrap_err();
        assert!(failure.is_sign_in_or_permission());
        let CallFailure::SignIn(SignInFailure::Refused(refusal)) = &failure else { panic!("{failure}") };
        assert_eq!(refusal.error, body["error"]);
        assert_eq!(json!(refusal.codes), body["error_codes"]);
        assert_eq!(refusal.correlation, body["correlation_id"]);
        assert!(refusal.description.starts_with("AADSTS"), "{refusal:?}");
        assert!(!refusal.description.contains("Trace ID"), "one line: {refusal:?}");
        assert!(failure.to_string().contains(&refusal.description), "{failure}");
        assert!(failure.hint().is_some(), "{failure}");
        assert_eq!(server.requests().len(), 1, "asked once");
    }
    exchanges.len()
}

#[tokio::test]
async fn every_refused_sign_in_is_final_and_quoted() {
    assert_eq!(read_refused_sign_ins().await, 4);
}
