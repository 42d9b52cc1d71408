//! The client against a server that misbehaves: what is sent, how often, and what the answer proves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use synflow::flow::event::{Recovery, RunId, RunStatus, StartOutcome};
use synflow::synapse::{
    CallFailure, Cloud, Credential, Endpoint, Http, HttpSettings, RunFilter, SignInFailure, SynapseClient,
    TokenCache, Window,
};
use synflow::time::{Delay, Timestamp};
use tokio::task::JoinSet;

use crate::script_server::{Reply, Request, ScriptServer, answer, json as json_answer};

const RUN: &str = "a9f1db9c-8fc7-e1b7-f9e3-e4eeda42f518";
const OTHER_RUN: &str = "5ddd86c1-e52c-1e56-2f31-e46099461b61";
const NOT_FOUND: &str = r#"{"code":"PipelineNotFound","message":"The Pipeline p was not found"}"#;

fn run_id() -> RunId {
    RUN.parse().unwrap()
}

fn http(total_timeout: Delay) -> Http {
    Http::new(&HttpSettings { total_timeout, body_bytes_max: 4096, ..HttpSettings::default() }).unwrap()
}

fn credential(authority: &str) -> Credential {
    Credential::ClientSecret {
        tenant: "contoso".to_owned(),
        client_id: "the-client".to_owned(),
        secret: "s3cret & more".to_owned().into(),
        authority: Endpoint::parse(authority).unwrap(),
    }
}

/// Issues tokens `token-1`, `token-2`, ... of this life.
async fn authority(lifetime_s: u64) -> ScriptServer {
    let issued = AtomicUsize::new(0);
    ScriptServer::start(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"access_token": format!("token-{number}"), "expires_in": lifetime_s.to_string()});
        json_answer("200 OK", &body.to_string())
    })
    .await
}

fn client_at(workspace: &str, authority: &ScriptServer, total_timeout: Delay) -> SynapseClient {
    let http = http(total_timeout);
    let tokens = TokenCache::new(credential(&authority.url()), http.clone());
    SynapseClient::new(Endpoint::parse(workspace).unwrap(), Cloud::Public.audience(), tokens, http)
}

/// A server with a script, its authority, and a client of both.
struct Rig {
    server: ScriptServer,
    authority: ScriptServer,
    client: SynapseClient,
}

async fn rig(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
    rig_with_timeout(Delay::from_secs(60), script).await
}

async fn rig_with_timeout(
    total_timeout: Delay,
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Rig {
    let server = ScriptServer::start(script).await;
    let authority = authority(3600).await;
    let client = client_at(&server.url(), &authority, total_timeout);
    Rig { server, authority, client }
}

fn any_window() -> Window {
    Window { after: Timestamp::from_epoch_ms(0), before: Timestamp::from_epoch_ms(1) }
}

#[derive(Debug, PartialEq)]
enum Proof {
    Started,
    StartedAs(&'static str),
    Refused(&'static str),
    NotSent(Option<u64>),
    Unclear,
}

fn proof(outcome: StartOutcome) -> Proof {
    match outcome {
        StartOutcome::Started(run) if run == run_id() => Proof::Started,
        StartOutcome::Started(run) if run.to_string() == OTHER_RUN => Proof::StartedAs(OTHER_RUN),
        StartOutcome::Started(run) => panic!("{run}"),
        StartOutcome::Refused(error) => {
            assert!(!error.message.is_empty());
            Proof::Refused(error.code.leak())
        }
        StartOutcome::NotSent { reason, after } => {
            assert!(!reason.is_empty());
            Proof::NotSent(after.map(Delay::as_ms))
        }
        StartOutcome::Unclear { reason } => {
            assert!(!reason.is_empty());
            Proof::Unclear
        }
    }
}

/// Starts a run once against an answer, and checks that one request went out and what it proves.
async fn check_start(name: &str, want: Proof, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
    check_start_within(Delay::from_secs(60), name, want, script).await;
}

async fn check_start_within(
    total_timeout: Delay,
    name: &str,
    want: Proof,
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) {
    let rig = rig_with_timeout(total_timeout, script).await;
    let outcome = rig.client.create_run("pl", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), want, "{name}");
    assert_eq!(rig.server.requests().len(), 1, "{name}: requests sent");
}

#[tokio::test]
async fn a_start_is_one_request_whatever_the_answer() {
    let started = json!({"runId": RUN}).to_string();
    let status = |line: &'static str, headers: &'static [&'static str], body: &str| {
        let body = body.to_owned();
        move |_: &Request| answer(line, headers, &body)
    };
    let error = r#"{"error":{"code":"Bad","message":"no"}}"#;
    check_start("202", Proof::Started, status("202 Accepted", &[], &started)).await;
    check_start("200", Proof::Started, status("200 OK", &[], &started)).await;
    let other = json!({"runId": OTHER_RUN}).to_string();
    check_start("another id", Proof::StartedAs(OTHER_RUN), status("202 Accepted", &[], &other)).await;
    check_start("no id", Proof::Unclear, status("202 Accepted", &[], "{}")).await;
    check_start("empty", Proof::Unclear, status("202 Accepted", &[], "")).await;
    check_start("307", Proof::Unclear, status("307 Temporary Redirect", &["Location: /elsewhere"], "")).await;
    check_start("308", Proof::Unclear, status("308 Permanent Redirect", &["Location: /elsewhere"], "")).await;
    check_start("400", Proof::Refused("Bad"), status("400 Bad Request", &[], error)).await;
    check_start("400, HTML", Proof::Unclear, status("400 Bad Request", &[], "<html>")).await;
    check_start("403", Proof::Refused("Bad"), status("403 Forbidden", &[], error)).await;
    check_start("403, HTML", Proof::Unclear, status("403 Forbidden", &[], "<html>")).await;
    check_start("404", Proof::Refused("PipelineNotFound"), status("404 Not Found", &[], NOT_FOUND)).await;
    check_start("404, empty", Proof::Unclear, status("404 Not Found", &[], "")).await;
    check_start("408", Proof::Unclear, status("408 Request Timeout", &[], error)).await;
    check_start("409", Proof::Unclear, status("409 Conflict", &[], error)).await;
    check_start("429", Proof::NotSent(None), status("429 Too Many Requests", &[], "")).await;
    let after = Proof::NotSent(Some(7_000));
    check_start("429, after", after, status("429 Too Many Requests", &["Retry-After: 7"], "<html>")).await;
    check_start("500", Proof::Unclear, status("500 Internal Server Error", &[], error)).await;
    check_start("502", Proof::Unclear, status("502 Bad Gateway", &[], "<html>")).await;
    check_start("503", Proof::Unclear, status("503 Service Unavailable", &["Retry-After: 7"], error)).await;
    check_start("504", Proof::Unclear, status("504 Gateway Timeout", &[], "")).await;
    check_start("HTML", Proof::Unclear, status("200 OK", &["Content-Type: text/html"], "<html>")).await;
    check_start("truncated JSON", Proof::Unclear, status("202 Accepted", &[], r#"{"runId":"a9f1"#)).await;
    check_start("too long", Proof::Unclear, status("202 Accepted", &[], &" ".repeat(5000))).await;
}

#[tokio::test]
async fn a_start_is_one_request_however_the_connection_ends() {
    check_start("cut after the request", Proof::Unclear, |_| Reply::Cut).await;
    check_start("cut in the body", Proof::Unclear, |_| {
        Reply::SendAndClose("HTTP/1.1 202 Accepted\r\nContent-Length: 48\r\n\r\n{\"runId\":".to_owned())
    })
    .await;
    check_start("cut in the head", Proof::Unclear, |_| Reply::SendAndClose("HTTP/1.1 202 Acc".to_owned()))
        .await;
    check_start("429 without its body", Proof::NotSent(None), |_| {
        Reply::SendAndClose("HTTP/1.1 429 Busy\r\nContent-Length: 48\r\n\r\n".to_owned())
    })
    .await;
    check_start("no HTTP", Proof::Unclear, |_| Reply::SendAndClose("SSH-2.0-OpenSSH_9.2\r\n".to_owned()))
        .await;
}

#[tokio::test]
async fn a_start_is_one_request_however_slow_the_answer() {
    let soon = Delay::from_ms(500);
    check_start_within(soon, "no answer", Proof::Unclear, |_| Reply::Silence).await;
    check_start_within(soon, "half a body", Proof::Unclear, |_| {
        Reply::Send("HTTP/1.1 202 Accepted\r\nContent-Length: 48\r\n\r\n{\"runId\":".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_start_that_met_nobody_is_certain() {
    let authority = authority(3600).await;
    let cut = ScriptServer::start_closing().await;
    let client = client_at(&cut.url(), &authority, Delay::from_secs(60));
    let outcome = client.create_run("pl", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), Proof::Unclear, "a connection was there");

    // An address that is taken, so that no other test gets it, and where nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = format!("http://{}", socket.local_addr().unwrap());
    let client = client_at(&gone, &authority, Delay::from_secs(60));
    let outcome = client.create_run("pl", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), Proof::NotSent(None), "connection refused");
    let failure = client.pipeline("pl").await.unwrap_err();
    assert!(failure.is_unreachable(), "{failure}");
    assert_eq!(failure.to_string(), "cannot reach 127.0.0.1: the connection was refused");
}

#[tokio::test]
async fn a_kept_connection_that_closes_under_us_starts_at_most_once() {
    let rig = rig(|request| {
        if request.method == "GET" {
            let body = r#"{"name":"pl"}"#;
            // Says nothing of closing, and closes.
            return Reply::SendAndClose(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        json_answer("202 Accepted", &json!({"runId": RUN}).to_string())
    })
    .await;
    for round in 1..=20 {
        assert!(rig.client.pipeline("pl").await.unwrap().is_some());
        let outcome = rig.client.create_run("pl", run_id(), &Map::new(), None).await;
        let starts = rig.server.requests().iter().filter(|request| request.method == "POST").count();
        match proof(outcome) {
            Proof::Started => assert!(starts <= round, "{starts} starts in round {round}"),
            Proof::Unclear => assert!(starts < round, "{starts} starts in round {round}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_kept_connection_that_takes_the_request_and_closes_starts_once() {
    let rig =
        rig(
            |request| {
                if request.method == "GET" { json_answer("200 OK", r#"{"name":"pl"}"#) } else { Reply::Cut }
            },
        )
        .await;
    assert!(rig.client.pipeline("pl").await.unwrap().is_some());
    let outcome = rig.client.create_run("pl", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), Proof::Unclear);
    assert_eq!(rig.server.requests().len(), 2, "one GET, one POST");
}

#[tokio::test]
async fn a_start_says_who_what_and_as_which_run() {
    let rig = rig(|_| json_answer("202 Accepted", &json!({"runId": RUN}).to_string())).await;
    let parameters = json!({"z": 1, "a": [true, null, {"b": "c"}]});
    let outcome = rig.client.create_run("Load / 1?", run_id(), parameters.as_object().unwrap(), None).await;
    assert_eq!(proof(outcome), Proof::Started);
    let request = &rig.server.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/pipelines/Load%20%2F%201%3F/createRun?api-version=2020-12-01");
    assert_eq!(request.header("x-ms-client-request-id"), Some(RUN));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    assert_eq!(request.body, r#"{"z":1,"a":[true,null,{"b":"c"}]}"#);

    let sign_in = &rig.authority.requests()[0];
    assert_eq!(sign_in.target, "/contoso/oauth2/v2.0/token");
    assert_eq!(
        sign_in.body,
        "grant_type=client_credentials&client_id=the-client&client_secret=s3cret+%26+more\
         &scope=https%3A%2F%2Fdev.azuresynapse.net%2F.default"
    );
}

#[tokio::test]
async fn a_recovery_names_the_failed_run_and_activity_and_sends_the_parameters_again() {
    let rig = rig(|_| json_answer("202 Accepted", &json!({"runId": RUN}).to_string())).await;
    let failed: RunId = "8b35ed2c-152b-11ec-8b35-ed2c152b11ec".parse().unwrap();
    let recovery = Recovery { run: failed, activity: "Copy & merge".to_owned() };
    let parameters = json!({"day": "2026-11-23"});
    let outcome =
        rig.client.create_run("pl", run_id(), parameters.as_object().unwrap(), Some(&recovery)).await;
    assert_eq!(proof(outcome), Proof::Started);
    let request = &rig.server.requests()[0];
    assert_eq!(
        request.target,
        format!(
            "/pipelines/pl/createRun?api-version=2020-12-01&referencePipelineRunId={failed}\
             &isRecovery=true&startActivityName=Copy+%26+merge"
        )
    );
    assert_eq!(request.header("x-ms-client-request-id"), Some(RUN), "a recovery is a run of its own");
    assert_eq!(request.body, r#"{"day":"2026-11-23"}"#);
}

#[tokio::test]
async fn a_name_that_would_change_the_path_is_never_sent() {
    let rig = rig(|_| answer("200 OK", &[], "{}")).await;
    let outcome = rig.client.create_run("..", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), Proof::Refused("BadName"));
    assert!(matches!(rig.client.pipeline("").await, Err(CallFailure::BadName { .. })));
    assert!(rig.server.requests().is_empty());
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once() {
    let unauthorized = r#"{"code":"ExpiredToken","message":"The token has expired"}"#;
    let rig = rig(move |request| match request.header("authorization") {
        Some("Bearer token-2") => json_answer("202 Accepted", &json!({"runId": RUN}).to_string()),
        _ => json_answer("401 Unauthorized", unauthorized),
    })
    .await;
    let start = async || proof(rig.client.create_run("pl", run_id(), &Map::new(), None).await);
    assert_eq!(start().await, Proof::NotSent(None), "the first token is forgotten");
    assert_eq!(start().await, Proof::Started, "the second is taken");
    assert_eq!(start().await, Proof::Started, "and kept");
    assert_eq!(rig.authority.requests().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_never_taken_ends_in_a_refusal() {
    let unauthorized = r#"{"code":"InvalidTokenAuthenticationAudience","message":"IDX10214"}"#;
    let rig = rig(move |_| json_answer("401 Unauthorized", unauthorized)).await;
    let start = async || proof(rig.client.create_run("pl", run_id(), &Map::new(), None).await);
    assert_eq!(start().await, Proof::NotSent(None));
    assert_eq!(start().await, Proof::Refused("InvalidTokenAuthenticationAudience"));
    let failure = rig.client.run(run_id()).await.unwrap_err();
    assert!(failure.is_sign_in_or_permission());
    assert_eq!(rig.server.requests().len(), 3, "one for each call");
}

#[tokio::test]
async fn a_start_without_a_token_is_not_sent() {
    let server = ScriptServer::start(|_| answer("200 OK", &[], "{}")).await;
    let authority = ScriptServer::start(|_| answer("503 Busy", &["Retry-After: 4"], "")).await;
    let client = client_at(&server.url(), &authority, Delay::from_secs(60));
    let outcome = client.create_run("pl", run_id(), &Map::new(), None).await;
    assert_eq!(proof(outcome), Proof::NotSent(Some(4_000)));
    assert!(server.requests().is_empty());
    assert_eq!(authority.requests().len(), 1, "one try");
}

#[tokio::test]
async fn fifty_callers_share_one_sign_in() {
    let authority = authority(3600).await;
    let server = ScriptServer::start(|_| answer("200 OK", &[], r#"{"name":"pl"}"#)).await;
    let client = client_at(&server.url(), &authority, Delay::from_secs(60));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        callers.spawn(async move { client.pipeline("pl").await.is_ok() });
    }
    assert!(callers.join_all().await.into_iter().all(|is_ok| is_ok));
    assert_eq!(authority.requests().len(), 1);
    assert_eq!(server.requests().len(), 50);
}

#[tokio::test]
async fn fifty_callers_share_one_refusal() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: no\r\nTrace ID: x","error_codes":[7000215]}"#;
    let authority = ScriptServer::start(move |_| json_answer("401 Unauthorized", body)).await;
    let tokens = TokenCache::new(credential(&authority.url()), http(Delay::from_secs(60)));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.check("https://dev.azuresynapse.net").await.unwrap_err() });
    }
    for failure in callers.join_all().await {
        assert!(failure.is_final());
        assert_eq!(failure.to_string(), "sign-in refused: AADSTS7000215: no (invalid_client, 401)");
    }
    assert_eq!(authority.requests().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let rig = rig(|request| {
        let who = request.header("authorization").unwrap();
        answer("200 OK", &[], &json!({"name": who}).to_string())
    })
    .await;
    let who = async || rig.client.pipeline("pl").await.unwrap().unwrap()["name"].as_str().unwrap().to_owned();
    assert_eq!(who().await, "Bearer token-1");
    pass(Duration::from_secs(3600 - 301)).await;
    assert_eq!(who().await, "Bearer token-1");
    pass(Duration::from_secs(2)).await;
    assert_eq!(who().await, "Bearer token-2");
    assert_eq!(rig.authority.requests().len(), 2);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_serves_to_its_end() {
    let asked = AtomicUsize::new(0);
    let authority = ScriptServer::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => json_answer("200 OK", r#"{"access_token":"only","expires_in":3600}"#),
        _ => answer("500 Internal Server Error", &[], ""),
    })
    .await;
    let server = ScriptServer::start(|_| answer("200 OK", &[], r#"{"name":"pl"}"#)).await;
    let client = client_at(&server.url(), &authority, Delay::from_secs(60));
    client.pipeline("pl").await.unwrap();
    pass(Duration::from_secs(3400)).await;
    client.pipeline("pl").await.unwrap();
    client.pipeline("pl").await.unwrap();
    assert_eq!(authority.requests().len(), 2, "the next try comes later");
    pass(Duration::from_secs(195)).await;
    let failure = client.pipeline("pl").await.unwrap_err();
    assert!(matches!(failure, CallFailure::SignIn(SignInFailure::Busy { .. })), "{failure}");
}

/// Moves tokio's clock while nothing is under way.
async fn pass(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

#[tokio::test]
async fn no_debug_text_holds_a_secret() {
    let rig = rig(|_| answer("200 OK", &[], r#"{"name":"pl"}"#)).await;
    rig.client.pipeline("pl").await.unwrap();
    let text = format!("{:?} {:?}", rig.client, credential("http://localhost:1"));
    assert!(text.contains("the-client"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(!text.contains("token-1"), "{text}");
}

#[tokio::test]
async fn a_run_is_there_or_not_or_nobody_knows() {
    let check = async |name: &str, line: &'static str, body: &str, want: Option<bool>| {
        let body = body.to_owned();
        let rig = rig(move |_| json_answer(line, &body)).await;
        let got = rig.client.run(run_id()).await;
        assert_eq!(got.ok().map(|seen| seen.is_some()), want, "{name}");
        assert_eq!(rig.server.requests().len(), 1, "{name}");
    };
    let run = json!({"runId": RUN, "status": "Queued"}).to_string();
    let other = json!({"runId": OTHER_RUN, "status": "Queued"}).to_string();
    let wrapped = r#"{"error":{"code":"PipelineRunNotFound","message":"no"}}"#;
    check("there", "200 OK", &run, Some(true)).await;
    check("404", "404 Not Found", wrapped, Some(false)).await;
    check("404, flat", "404 Not Found", NOT_FOUND, Some(false)).await;
    check("404, empty", "404 Not Found", "", Some(false)).await;
    check("404 of a gateway", "404 Not Found", "<html>", None).await;
    check("400, not found", "400 Bad Request", wrapped, Some(false)).await;
    check("400", "400 Bad Request", r#"{"code":"BadRequest","message":"no"}"#, None).await;
    check("another run", "200 OK", &other, None).await;
    check("500", "500 Internal Server Error", "", None).await;
    check("429", "429 Too Many Requests", "", None).await;
    check("HTML", "200 OK", "<html>", None).await;
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let rig = rig(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let page = match body["continuationToken"].as_str() {
            None => json!({"value": [{"runId": RUN, "status": "InProgress", "parameters": {"n": "1"}}], "continuationToken": "two"}),
            Some("two") => json!({"value": [{"runId": OTHER_RUN, "status": "Canceled"}], "continuationToken": null}),
            Some(other) => panic!("{other}"),
        };
        json_answer("200 OK", &page.to_string())
    })
    .await;
    let filters = [RunFilter::pipelines(["pl"]), RunFilter::statuses([RunStatus::InProgress])];
    let runs = rig.client.search_runs(any_window(), &filters).await.unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].seen.status, RunStatus::Cancelled);
    assert!(runs[0].has_parameters(json!({"n": 1}).as_object().unwrap()));
    let want = json!({
        "lastUpdatedAfter": "1970-01-01T00:00:00.000Z",
        "lastUpdatedBefore": "1970-01-01T00:00:00.001Z",
        "filters": [
            {"operand": "PipelineName", "operator": "In", "values": ["pl"]},
            {"operand": "Status", "operator": "In", "values": ["InProgress"]},
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&rig.server.requests()[0].body).unwrap(), want);
    assert_eq!(rig.server.requests().len(), 2);
}

#[tokio::test]
async fn a_list_without_end_ends() {
    let rig = rig(|_| json_answer("200 OK", r#"{"value":[],"continuationToken":"again"}"#)).await;
    let failure = rig.client.query_runs(any_window(), &[]).await.unwrap_err();
    assert_eq!(failure, CallFailure::TooManyPages { pages_max: 200 });
    assert_eq!(rig.server.requests().len(), 200);
}

#[tokio::test]
async fn activities_are_asked_for_in_a_window_that_misses_none() {
    let rig = rig(|_| json_answer("200 OK", r#"{"value":[]}"#)).await;
    assert!(rig.client.activities("my pl", run_id()).await.unwrap().is_empty());
    let request = &rig.server.requests()[0];
    let path = format!("/pipelines/my%20pl/pipelineruns/{RUN}/queryActivityruns?api-version=2020-12-01");
    assert_eq!(request.target, path);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["lastUpdatedAfter"], "0001-01-01T00:00:00.0000000Z");
    assert_eq!(body["lastUpdatedBefore"], "9999-12-31T23:59:59.9999999Z");
}

#[tokio::test]
async fn a_cancel_reaches_the_children() {
    let rig = rig(|_| answer("200 OK", &[], "")).await;
    rig.client.cancel(run_id()).await.unwrap();
    let request = &rig.server.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, format!("/pipelineruns/{RUN}/cancel?api-version=2020-12-01&isRecursive=true"));
    assert_eq!(request.body, "");
}

#[tokio::test]
async fn a_token_never_follows_a_link_to_another_host() {
    let rig =
        rig(|_| json_answer("200 OK", r#"{"value":[],"nextLink":"https://elsewhere.example/pipelines"}"#))
            .await;
    let failure = rig.client.pipelines().await.unwrap_err();
    assert!(matches!(failure, CallFailure::Garbled { .. }), "{failure}");
}

#[tokio::test]
async fn the_services_clock_is_read_from_its_answers() {
    let rig = rig(|_| answer("200 OK", &["Date: Tue, 24 Nov 2026 02:13:36 GMT"], r#"{"name":"pl"}"#)).await;
    assert_eq!(rig.client.server_time(), None);
    rig.client.pipeline("pl").await.unwrap();
    pass(Duration::from_secs(60)).await;
    let shown = rig.client.server_time().unwrap();
    assert!(shown >= "2026-11-24T02:14:36Z".parse().unwrap(), "{shown}");
}

#[tokio::test]
async fn a_failure_names_its_correlation_id() {
    let rig = rig(|_| {
        answer(
            "403 Forbidden",
            &["x-ms-correlation-request-id: c-1"],
            r#"{"code":"Unauthorized","message":"no"}"#,
        )
    })
    .await;
    let failure = rig.client.pipeline("pl").await.unwrap_err();
    assert_eq!(failure.to_string(), "no (Unauthorized, 403) [correlation id c-1]");
    let StartOutcome::Refused(error) = rig.client.create_run("pl", run_id(), &Map::new(), None).await else {
        panic!()
    };
    assert_eq!(error.message, "no [correlation id c-1]");
}
