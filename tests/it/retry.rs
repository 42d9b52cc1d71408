//! Which calls are repeated, how often, and when; and that a start never is.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use synflow::flow::event::{RunId, StartOutcome};
use synflow::synapse::{
    Allowance, CallFailure, Cloud, Credential, Endpoint, Http, HttpSettings, Limits, SynapseClient,
    TokenCache, Window,
};
use synflow::time::{Delay, Timestamp};
use tokio::task::JoinSet;

use crate::script_server::{Reply, Request, ScriptServer, answer, json as json_answer};

const RUN: &str = "a9f1db9c-8fc7-e1b7-f9e3-e4eeda42f518";

/// As patient as by default, a thousand times faster.
fn hasty() -> Limits {
    Limits {
        attempts_max: 4,
        first_wait: Delay::from_ms(1),
        first_throttled_wait: Delay::from_ms(5),
        wait_max: Delay::from_ms(60),
        ..Limits::default()
    }
}

struct Rig {
    server: ScriptServer,
    authority: ScriptServer,
    client: SynapseClient,
}

fn http(total_timeout: Delay) -> Http {
    Http::new(&HttpSettings { total_timeout, ..HttpSettings::default() }).unwrap()
}

async fn rig(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
    rig_over(http(Delay::from_secs(60)), script).await
}

async fn rig_over(http: Http, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
    let server = ScriptServer::start(script).await;
    let authority =
        ScriptServer::start(|_| json_answer("200 OK", r#"{"access_token":"t","expires_in":3600}"#)).await;
    let credential = Credential::ClientSecret {
        tenant: "contoso".to_owned(),
        client_id: "client".to_owned(),
        secret: "secret".to_owned().into(),
        authority: Endpoint::parse(&authority.url()).unwrap(),
    };
    let tokens = TokenCache::new(credential, http.clone());
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let client = SynapseClient::with_limits(
        endpoint,
        Cloud::Public.audience(),
        tokens,
        http,
        hasty(),
        Allowance::per_minute(60_000),
    );
    Rig { server, authority, client }
}

fn run_id() -> RunId {
    RUN.parse().unwrap()
}

/// Every call that may be repeated, and what a good answer to it is.
const CALLS: [(&str, &str); 5] = [
    ("run", r#"{"runId":"a9f1db9c-8fc7-e1b7-f9e3-e4eeda42f518","status":"Queued"}"#),
    ("query", r#"{"value":[]}"#),
    ("activities", r#"{"value":[]}"#),
    ("pipeline", r#"{"name":"pl"}"#),
    ("cancel", ""),
];

async fn call(name: &str, client: &SynapseClient) -> Result<(), CallFailure> {
    let window = Window { after: Timestamp::from_epoch_ms(0), before: Timestamp::from_epoch_ms(1) };
    match name {
        "run" => client.run(run_id()).await.map(|seen| assert!(seen.is_some())),
        "query" => client.query_runs(window, &[]).await.map(drop),
        "activities" => client.activities("pl", run_id()).await.map(drop),
        "pipeline" => client.pipeline("pl").await.map(drop),
        "cancel" => client.cancel(run_id()).await,
        other => panic!("{other}"),
    }
}

/// How a fault ends: for the calls that may be repeated, the number of requests and the outcome when it
/// does not go away; for a start, what it proves.
#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    reply: fn() -> Reply,
    requests: usize,
    start: &'static str,
}

fn fault(name: &'static str, requests: usize, start: &'static str, reply: fn() -> Reply) -> Fault {
    Fault { name, reply, requests, start }
}

fn faults() -> Vec<Fault> {
    const ERROR: &str = r#"{"error":{"code":"Bad","message":"no"}}"#;
    vec![
        fault("400", 1, "refused", || json_answer("400 Bad Request", ERROR)),
        fault("403", 1, "refused", || json_answer("403 Forbidden", ERROR)),
        fault("408", 4, "unclear", || answer("408 Request Timeout", &[], "")),
        fault("409", 1, "unclear", || json_answer("409 Conflict", ERROR)),
        fault("429", 4, "not sent", || answer("429 Too Many Requests", &[], "")),
        fault("429 in ms", 4, "not sent", || answer("429 Busy", &["x-ms-retry-after-ms: 3"], "")),
        fault("429 for long", 1, "not sent", || answer("429 Busy", &["Retry-After: 600"], "")),
        fault("500", 4, "unclear", || answer("500 Internal Server Error", &[], "")),
        fault("502", 4, "unclear", || answer("502 Bad Gateway", &[], "<html>")),
        fault("503", 4, "unclear", || json_answer("503 Service Unavailable", ERROR)),
        fault("503 for long", 1, "unclear", || answer("503 Busy", &["Retry-After: 600"], "")),
        fault("504", 4, "unclear", || answer("504 Gateway Timeout", &[], "")),
        fault("307", 1, "unclear", || answer("307 Temporary Redirect", &["Location: /other"], "")),
        fault("cut", 4, "unclear", || Reply::Cut),
        fault("cut in the body", 4, "unclear", || {
            Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n{".to_owned())
        }),
    ]
}

const NO_ANSWER: Fault = Fault { name: "no answer", reply: || Reply::Silence, requests: 4, start: "unclear" };

async fn check_fault_that_stays(http: Http, fault: Fault, name: &str) {
    let rig = rig_over(http, move |_| (fault.reply)()).await;
    let failure = call(name, &rig.client).await.unwrap_err();
    let requests = rig.server.requests().len();
    assert_eq!(requests, fault.requests, "{name} with {}: {failure}", fault.name);
}

#[tokio::test]
async fn reads_are_repeated_as_the_fault_allows_and_no_more() {
    let (patient, hasty) = (http(Delay::from_secs(60)), http(Delay::from_ms(500)));
    let mut checks = JoinSet::new();
    for (name, _) in CALLS {
        for fault in faults() {
            checks.spawn(check_fault_that_stays(patient.clone(), fault, name));
        }
    }
    checks.join_all().await;
    // Apart from the rest, lest a busy machine lets a request run out of time before it is seen.
    let mut checks = JoinSet::new();
    for (name, _) in CALLS {
        checks.spawn(check_fault_that_stays(hasty.clone(), NO_ANSWER, name));
    }
    checks.join_all().await;
}

async fn check_fault_that_goes_away(http: Http, fault: Fault, name: &str, good: &'static str) {
    let asked = AtomicUsize::new(0);
    let rig = rig_over(http, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => (fault.reply)(),
        _ => answer("200 OK", &[], good),
    })
    .await;
    let end = call(name, &rig.client).await;
    end.unwrap_or_else(|failure| panic!("{name}, {}: {failure}", fault.name));
    assert_eq!(rig.server.requests().len(), 3, "{name} with {}", fault.name);
}

#[tokio::test]
async fn reads_outlive_a_fault_that_goes_away() {
    let (patient, hasty) = (http(Delay::from_secs(60)), http(Delay::from_ms(500)));
    let mut checks = JoinSet::new();
    for (name, good) in CALLS {
        for fault in faults().into_iter().filter(|fault| fault.requests > 1) {
            checks.spawn(check_fault_that_goes_away(patient.clone(), fault, name, good));
        }
    }
    checks.join_all().await;
    let mut checks = JoinSet::new();
    for (name, good) in CALLS {
        checks.spawn(check_fault_that_goes_away(hasty.clone(), NO_ANSWER, name, good));
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_start_is_never_repeated_however_patient_the_client() {
    let (patient, hasty) = (http(Delay::from_secs(60)), http(Delay::from_ms(500)));
    let all = faults().into_iter().map(|fault| (&patient, fault)).chain([(&hasty, NO_ANSWER)]);
    for (http, fault) in all {
        let rig = rig_over(http.clone(), move |_| (fault.reply)()).await;
        let outcome = rig.client.create_run("pl", run_id(), &Map::new(), None).await;
        let proof = match outcome {
            StartOutcome::Started(_) => "started",
            StartOutcome::Refused(_) => "refused",
            StartOutcome::NotSent { .. } => "not sent",
            StartOutcome::Unclear { .. } => "unclear",
        };
        assert_eq!(proof, fault.start, "{}", fault.name);
        assert_eq!(rig.server.requests().len(), 1, "{}", fault.name);
    }
}

#[tokio::test]
async fn a_cancel_of_an_unknown_run_is_not_repeated() {
    let body = r#"{"error":{"code":"ReferencedPipelineRunNotFound","message":"no such run"}}"#;
    let rig = rig(move |_| json_answer("400 Bad Request", body)).await;
    let failure = rig.client.cancel(run_id()).await.unwrap_err();
    assert_eq!(failure, CallFailure::NoSuchRun { message: "no such run".to_owned() });
    assert_eq!(rig.server.requests().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once_and_unseen() {
    let asked = AtomicUsize::new(0);
    let rig = rig(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => answer("401 Unauthorized", &[], ""),
        _ => json_answer("200 OK", r#"{"name":"pl"}"#),
    })
    .await;
    rig.client.pipeline("pl").await.unwrap();
    assert_eq!((rig.server.requests().len(), rig.authority.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_never_taken_is_replaced_no_more_than_once() {
    let rig = rig(|_| answer("401 Unauthorized", &[], "")).await;
    let failure = rig.client.pipeline("pl").await.unwrap_err();
    assert!(failure.is_sign_in_or_permission(), "{failure}");
    assert_eq!((rig.server.requests().len(), rig.authority.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_workspace_that_asks_for_quiet_gets_it_from_every_clone() {
    let rig = rig(|_| answer("429 Busy", &["Retry-After: 600"], "")).await;
    rig.client.pipeline("pl").await.unwrap_err();
    let clone = rig.client.clone();
    let failure = clone.run(run_id()).await.unwrap_err();
    assert!(
        matches!(failure, CallFailure::Throttled { after: Some(after), .. } if after > Delay::from_secs(500))
    );
    let StartOutcome::NotSent { after: Some(after), .. } =
        clone.create_run("pl", run_id(), &Map::new(), None).await
    else {
        panic!("a start was sent")
    };
    assert!(after > Delay::from_secs(500));
    assert_eq!(rig.server.requests().len(), 1);
}

#[tokio::test]
async fn a_post_without_a_method_of_its_own_is_sent_once() {
    let rig = rig(|_| answer("503 Busy", &[], "")).await;
    let path = ["pipelines", "pl", "rename"];
    rig.client.send("POST".parse().unwrap(), &path, Some(&json!({"newName": "x"}))).await.unwrap_err();
    assert_eq!(rig.server.requests().len(), 1);
    rig.client.send("DELETE".parse().unwrap(), &path[..2], None).await.unwrap_err();
    assert_eq!(rig.server.requests().len(), 5);
}

#[tokio::test]
async fn may_i_is_asked_and_answered_in_any_case() {
    let decisions = |list: &str, decision: &str, action: &str| {
        json!({list: [
            {decision: "Allowed", action: "a/read", "roleAssignment": {"id": "x"}},
            {decision: "NotAllowed", action: "b/action"},
        ]})
    };
    for body in [
        decisions("AccessDecisions", "accessDecision", "actionId"),
        decisions("accessDecisions", "AccessDecision", "ActionId"),
        decisions("x", "accessDecision", "actionId")["x"].clone(),
    ] {
        let text = body.to_string();
        let rig = rig(move |_| json_answer("200 OK", &text)).await;
        let actions = ["a/read", "b/action", "c/action"];
        let allowed = rig.client.check_access("oid", &actions, "workspaces/w").await.unwrap();
        assert_eq!(allowed, [Some(true), Some(false), None], "{body}");
        let request = &rig.server.requests()[0];
        assert_eq!(request.target, "/checkAccessSynapseRbac?api-version=2020-12-01");
        let want = json!({
            "subject": {"principalId": "oid"},
            "actions": [
                {"id": "a/read", "isDataAction": true},
                {"id": "b/action", "isDataAction": true},
                {"id": "c/action", "isDataAction": true},
            ],
            "scope": "workspaces/w",
        });
        assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), want);
    }
}
