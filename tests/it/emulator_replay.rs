//! Every recorded exchange of the service, asked of the emulator: same status, same headers that matter, same
//! members with the same types. What differs on purpose stands in [`DEVIATIONS`] and in `docs/emulator.md`.
//!
//! The same exchanges go through the client in `wire.rs`; a test here counts that none is left out of either.

use std::collections::BTreeSet;
use std::fs;

use std::fmt::Write;

use serde_json::{Map, Value, json};
use synflow::emulator::model::{Answer, CLIENT_ID, CLIENT_SECRET, Model, Request, TENANT_ID};
use synflow::emulator::script::Script;
use synflow::time::{Delay, Timestamp};

use crate::wire;

/// What differs on purpose: the recording, the call (`*` is any part of it), what differs, and why. `all`: the
/// exchange is not compared.
const DEVIATIONS: [(&str, &str, &str, &str); 15] = [
    (
        "synapse-azure-cli-pipeline.json",
        "PUT /pipelines/*",
        "header retry-after",
        "the command line's recording lacks it, the .NET library's has 10",
    ),
    (
        "synapse-azure-cli-trigger.json",
        "POST /triggers/*/start",
        "all",
        "no triggers: the emulator only lists them, as clients do",
    ),
    ("synapse-azure-cli-trigger.json", "POST /triggers/*/stop", "all", "no triggers"),
    ("synapse-azure-cli-trigger.json", "POST /triggers/*/rerun", "all", "no triggers"),
    (
        "synapse-net-pipeline-runs.json",
        "GET /pipelineruns/*",
        "output",
        "the preview of January 2021 did not send it yet",
    ),
    (
        "synapse-net-pipeline-runs.json",
        "POST /queryPipelineRuns",
        "value[].output",
        "the preview of January 2021 did not send it yet",
    ),
    (
        "synapse-rbac.json",
        "POST /rbac/roleAssignments",
        "all",
        "the surface of 2020-02-01-preview, which the service replaced",
    ),
    ("synapse-rbac.json", "DELETE /rbac/roleAssignments/*", "all", "the surface of 2020-02-01-preview"),
    ("synapse-rbac.json", "GET /rbac/roleAssignments", "all", "the surface of 2020-02-01-preview"),
    ("synapse-rbac.json", "POST /rbac/getMyAssignedRoles", "all", "the surface of 2020-02-01-preview"),
    (
        "synapse-errors.json",
        "a quoted BadRequest",
        "all",
        "quoted without its request, which was to start a trigger",
    ),
    (
        "activity-runs-documented.json",
        "POST /pipelines/*/createRun",
        "status",
        "Data Factory says 200, Synapse 202",
    ),
    (
        "activity-runs-documented.json",
        "GET /pipelineruns/*",
        "output",
        "Data Factory's run of June 2021 did not have it",
    ),
    (
        "activity-runs-documented.json",
        "POST /pipelineruns/*/queryActivityruns",
        "request",
        "the page sends no body; here a query needs its window",
    ),
    (
        "activity-runs-documented.json",
        "POST /v1/workspaces/*/queryactivityruns",
        "request",
        "Fabric's path and bare list; its record is compared with the same activity's here",
    ),
];
/// Headers a client reads; of these the names must agree, and of the first two the values.
const HEADERS: [&str; 4] = ["content-type", "x-ms-continuation", "retry-after", "location"];

/// A pure emulator with a clock of its own.
struct Stage {
    model: Model,
    now: Timestamp,
    token: String,
    /// The operation the last answer pointed to.
    operation: String,
}

impl Stage {
    fn new(workspace: &str, script: &str, definitions: &[(String, String)]) -> Self {
        let now = Timestamp::from_epoch_ms(1_800_000_000_000);
        let mut model = Model::new(workspace, Script::parse(script).unwrap(), definitions, now).unwrap();
        let grant = "grant_type=client_credentials&scope=https://dev.azuresynapse.net/.default";
        let mut sign_in = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
        sign_in.body = format!("{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}").into_bytes();
        let token = model.answer(now, &sign_in).body_json()["access_token"].as_str().unwrap().to_owned();
        Self { model, now, token, operation: String::new() }
    }

    /// Sends a recorded request, in the place and time where it makes sense here.
    fn play(&mut self, exchange: &Value) -> Answer {
        let request = &exchange["request"];
        let method = request["method"].as_str().unwrap();
        let mut path = path_of(exchange).replace(' ', "%20");
        if path.starts_with("/pipelineruns/") && path.ends_with("/queryActivityruns") {
            path = format!("/pipelines/Adfv2QuickStartParamPipeline{path}");
        }
        let is_operation = path.starts_with("/operationResults/");
        if is_operation {
            path = format!("/operationResults/{}", self.operation);
        }
        let settles =
            is_operation && exchange["response"]["status"] == 200 || path.starts_with("/pipelineruns/");
        if settles && method == "GET" || path.ends_with("queryPipelineRuns") {
            self.now = self.now + Delay::from_secs(30);
        }
        let version = request["query"]["api-version"].as_str().unwrap_or("2020-12-01");
        let version = if version == "2018-06-01" { "2020-12-01" } else { version };
        let mut target = format!("{path}?api-version={version}");
        for (name, value) in request["query"].as_object().unwrap() {
            if name != "api-version" {
                write!(target, "&{name}={}", value.as_str().unwrap()).unwrap();
            }
        }
        let mut sent =
            Request::new(method, &target).with_header("authorization", &format!("Bearer {}", self.token));
        if let Some(id) =
            exchange["response"]["body"]["runId"].as_str().filter(|_| path.ends_with("/createRun"))
        {
            sent = sent.with_header("x-ms-client-request-id", &id.replace('-', ""));
        }
        if !request["body"].is_null() {
            sent = sent.with_json(&request["body"]);
        }
        let answer = self.model.answer(self.now, &sent);
        if let Some(operation) = answer.body_json()["operationId"].as_str() {
            operation.clone_into(&mut self.operation);
        }
        answer
    }
}

fn recorded(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/wire/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the path of a recorded request. Data Factory's calls are the same ones below a longer path.
fn path_of(exchange: &Value) -> String {
    let path = exchange["request"]["path"].as_str().unwrap();
    let below = path.split_once("/factories/").and_then(|(_, rest)| rest.split_once('/'));
    below.map_or_else(|| path.to_owned(), |(_, rest)| format!("/{rest}"))
}

/// Names an exchange in the words of [`DEVIATIONS`].
fn name_of(exchange: &Value) -> String {
    match exchange["request"]["method"].as_str() {
        Some(method) => format!("{method} {}", path_of(exchange)),
        None => format!("a quoted {}", exchange["response"]["body"]["code"].as_str().unwrap()),
    }
}

/// Returns the deviations of an exchange, by their places.
fn deviations_of(file: &str, exchange: &Value) -> Vec<usize> {
    let name = name_of(exchange);
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    };
    let places = DEVIATIONS.iter().enumerate();
    places.filter(|(_, (of, call, ..))| *of == file && fits(call)).map(|(place, _)| place).collect()
}

/// Returns whether an exchange is not compared at all.
fn is_left_out(file: &str, exchange: &Value) -> bool {
    deviations_of(file, exchange).iter().any(|place| DEVIATIONS[*place].2 == "all")
}

/// What was compared: exchanges by file and place, and the deviations that were met.
#[derive(Default)]
struct Compared {
    exchanges: BTreeSet<(String, usize)>,
    deviations: BTreeSet<usize>,
}

impl Compared {
    /// Compares an answer with the recorded one. Fails with what is different and not in the list.
    fn check(&mut self, file: &str, place: usize, exchange: &Value, answer: &Answer) {
        let mut found = differences(exchange, answer);
        for deviation in deviations_of(file, exchange) {
            let what = format!("{}: ", DEVIATIONS[deviation].2);
            let before = found.len();
            found.retain(|difference| !difference.starts_with(&what));
            if found.len() < before {
                self.deviations.insert(deviation);
            }
        }
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(found, Vec::<String>::new(), "{file}: {}\n{body}", name_of(exchange));
        self.exchanges.insert((file.to_owned(), place));
    }

    /// Notes that the recorded request is not the one that was sent here.
    fn note_another_request(&mut self, file: &str, exchange: &Value) {
        let mut places = deviations_of(file, exchange).into_iter();
        let place = places.find(|place| DEVIATIONS[*place].2 == "request");
        self.deviations.insert(place.unwrap_or_else(|| panic!("{file}: {}", name_of(exchange))));
    }
}

/// Compares an answer with the recorded one. Returns what is different.
fn differences(exchange: &Value, answer: &Answer) -> Vec<String> {
    let want = &exchange["response"];
    let mut found = Vec::new();
    if want["status"].as_u64().is_some_and(|status| status != u64::from(answer.status)) {
        found.push(format!("status: {} and not {}", answer.status, want["status"]));
    }
    // Documents and issues quote a body and no headers; an answer without a body may truly have none.
    let quotes = |headers: &Map<String, Value>| headers.is_empty() && want["body"] != "";
    let wanted = want["headers"].as_object().filter(|headers| !quotes(headers));
    for (name, wanted) in HEADERS.iter().filter_map(|name| Some((name, wanted?.get(*name)))) {
        let (wanted, got) = (wanted.and_then(Value::as_str), answer.header(name));
        let is_same = match *name {
            "content-type" | "x-ms-continuation" => wanted == got,
            _ => wanted.is_some() == got.is_some(),
        };
        if !is_same {
            found.push(format!("header {name}: {got:?} and not {wanted:?}"));
        }
    }
    let is_empty = want["body"] == "" || want["body"].is_null();
    if is_empty != answer.body.is_empty() {
        found.push(format!("body: {} bytes", answer.body.len()));
    } else if !is_empty {
        compare("", &want["body"], &answer.body_json(), &mut found);
    }
    found
}

/// Compares two values by members and types; lists by their elements, whatever their number.
fn compare(at: &str, want: &Value, got: &Value, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) if is_open(at) => {
            let kinds = |members: &Map<String, Value>| members.values().all(Value::is_string);
            if at.ends_with("parameters") && kinds(want) != kinds(got) {
                found.push(format!("{at}: not all texts"));
            }
        }
        (Value::Object(want), Value::Object(got)) => {
            let name =
                |member: &str| if at.is_empty() { member.to_owned() } else { format!("{at}.{member}") };
            for (member, value) in want {
                match got.get(member) {
                    Some(other) => compare(&name(member), value, other, found),
                    None => found.push(format!("{}: missing", name(member))),
                }
            }
            let more = got.keys().filter(|member| !want.contains_key(*member));
            found.extend(more.map(|member| format!("{}: not recorded", name(member))));
        }
        (Value::Array(want), Value::Array(got)) => {
            if want.is_empty() != got.is_empty() {
                found.push(format!("{at}: {} elements and not {}", got.len(), want.len()));
            }
            for other in got {
                // A record is right if it is like one of those recorded.
                let tries = want.iter().map(|value| {
                    let mut tried = Vec::new();
                    compare(&format!("{at}[]"), value, other, &mut tried);
                    tried
                });
                found.extend(tries.min_by_key(Vec::len).unwrap_or_default());
            }
        }
        (Value::String(want), Value::String(got)) => {
            if want.is_empty() != got.is_empty() {
                found.push(format!("{at}: {got:?} and not {want:?}"));
            }
            let is_time = |text: &str| Timestamp::parse_lenient(text).is_some();
            if is_time(want) != is_time(got) {
                found.push(format!("{at}: {got:?} is no time like {want:?}"));
            }
        }
        (want, got) => {
            let same = std::mem::discriminant(want) == std::mem::discriminant(got);
            if !same {
                found.push(format!("{at}: {got} and not {want}"));
            }
        }
    }
}

/// Tells members whose content is the user's and not the service's.
fn is_open(at: &str) -> bool {
    ["properties", "parameters", "input", "output", "userProperties"]
        .iter()
        .any(|name| at == *name || at.strip_suffix(name).is_some_and(|before| before.ends_with('.')))
}

/// Replays the exchanges of a recording that `fits` chooses, in order, in one workspace.
fn replay(compared: &mut Compared, file: &str, stage: &mut Stage, fits: impl Fn(&Value) -> bool) {
    for (place, exchange) in recorded(file).iter().enumerate() {
        if exchange["request"].is_null() || is_left_out(file, exchange) || !fits(exchange) {
            continue;
        }
        let answer = stage.play(exchange);
        compared.check(file, place, exchange, &answer);
    }
}

/// Returns a definition for each pipeline that a recording starts without having made it.
fn started_pipelines(file: &str) -> Vec<(String, String)> {
    let paths = recorded(file)
        .into_iter()
        .filter_map(|exchange| Some(exchange["request"]["path"].as_str()?.to_owned()));
    let names = paths.filter_map(|path| {
        let name = path.split("/pipelines/").nth(1)?.strip_suffix("/createRun")?;
        Some((format!("{name}.json"), json!({ "properties": {} }).to_string()))
    });
    names.collect()
}

/// Returns the definitions of a recorded list.
fn listed_pipelines(file: &str) -> Vec<(String, String)> {
    let exchanges = recorded(file);
    let list = exchanges.iter().find(|exchange| exchange["request"]["path"] == "/pipelines").unwrap();
    let records = list["response"]["body"]["value"].as_array().unwrap().iter();
    records.map(|record| (format!("{}.json", record["name"].as_str().unwrap()), record.to_string())).collect()
}

fn compare_the_command_lines_pipeline_test(compared: &mut Compared) {
    let file = "synapse-azure-cli-pipeline.json";
    let mut stage = Stage::new("testsynapseworkspace", "", &listed_pipelines(file));
    replay(compared, file, &mut stage, |_| true);
}

fn compare_the_net_sdks_run_tests(compared: &mut Compared) {
    let file = "synapse-net-pipeline-runs.json";
    let script = "pipelines: { Pipeline1221073405: { outcome: failed, error: { message: dead } } }";
    let mut stage = Stage::new("workspacechhamosynapse", script, &started_pipelines(file));
    replay(compared, file, &mut stage, |_| true);
}

fn compare_the_command_lines_trigger_test(compared: &mut Compared) {
    let mut stage = Stage::new("testsynapseworkspace", "", &[]);
    replay(compared, "synapse-azure-cli-trigger.json", &mut stage, |_| true);
}

fn compare_the_role_calls(compared: &mut Compared) {
    let mut stage = Stage::new("clitest000003", "", &[]);
    // The recording begins when this assignment was there.
    let id = "0550e787-7841-4669-9ac8-a8176e900002";
    let put = json!({
        "request": { "method": "PUT", "path": format!("/roleAssignments/{id}"), "query": { "api-version": "2020-08-01-preview" },
            "body": { "roleId": "7572bffe-f453-4b66-912a-46cc5ef38fda", "principalId": "829ae9c5-95e5-4e5b-9f8b-eca27e2cb501", "scope": "workspaces/clitest000003" } },
        "response": { "status": 200 },
    });
    assert_eq!(stage.play(&put).status, 200);
    replay(compared, "synapse-rbac.json", &mut stage, |_| true);
}

fn compare_the_errors(compared: &mut Compared) {
    let file = "synapse-errors.json";
    let is_refused = |exchange: &Value| exchange["response"]["status"] == 403;
    let mut stage = Stage::new("testsynapseworkspace", "", &[("other.json".into(), "{}".into())]);
    replay(compared, file, &mut stage, |exchange| !is_refused(exchange));
    let mut stage = Stage::new("synapse-workspace-jf", "access: { roles: [] }", &[]);
    replay(compared, file, &mut stage, is_refused);

    // Quoted without its request: a token for another audience.
    let exchanges = recorded(file);
    let place = exchanges
        .iter()
        .position(|exchange| exchange["response"]["body"]["code"] == "InvalidTokenAuthenticationAudience");
    let (place, quoted) = (place.unwrap(), &exchanges[place.unwrap()]);
    let mut stage = Stage::new("contoso", "", &[]);
    let grant = "grant_type=client_credentials&scope=https://management.azure.com/.default";
    let mut sign_in = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
    sign_in.body = format!("{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}").into_bytes();
    let answer = stage.model.answer(stage.now, &sign_in).body_json();
    answer["access_token"].as_str().unwrap().clone_into(&mut stage.token);
    let list = json!({ "request": { "method": "GET", "path": "/pipelines", "query": {}, "body": null }, "response": {} });
    let answer = stage.play(&list);
    compared.check(file, place, quoted, &answer);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body_json(), quoted["response"]["body"]);
}

fn compare_the_token_errors(compared: &mut Compared) {
    let file = "entra-token-errors.json";
    for (place, exchange) in recorded(file).iter().enumerate() {
        let body = &exchange["response"]["body"];
        let code = body["error_codes"][0].as_u64().unwrap();
        let is_v2 = exchange["request"]["path"].as_str().unwrap().contains("v2.0");
        let tenant = if code == 90_002 { "tenant_id" } else { TENANT_ID };
        let client = if code == 700_016 { "60198040-e87c-4cb9-9e52-ce651d859704" } else { CLIENT_ID };
        let (path, audience) = if is_v2 {
            ("oauth2/v2.0/token", "scope=https://dev.azuresynapse.net/.default")
        } else {
            ("oauth2/token", "resource=https://dev.azuresynapse.net/")
        };
        let mut request = Request::new("POST", &format!("/{tenant}/{path}"));
        request.body =
            format!("grant_type=client_credentials&client_id={client}&client_secret=wrong&{audience}")
                .into_bytes();
        let mut stage = Stage::new("contoso", "", &[]);
        let answer = stage.model.answer(stage.now, &request);
        compared.check(file, place, exchange, &answer);
        let got = answer.body_json();
        assert_eq!((&got["error"], &got["error_codes"]), (&body["error"], &body["error_codes"]));
        let text = got["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{code}: ")) && text.contains("\r\nTrace ID: "), "{text}");
    }
}

fn compare_the_documented_activity_runs(compared: &mut Compared) {
    let file = "activity-runs-documented.json";
    let definition = json!({ "properties": { "activities": [
        { "name": "CopyFromBlobToBlob", "type": "Copy", "typeProperties": { "source": { "type": "BinarySource" } } },
    ]}});
    let definitions = [("Adfv2QuickStartParamPipeline.json".to_owned(), definition.to_string())];
    let mut stage = Stage::new("contoso", "", &definitions);
    let window =
        json!({ "lastUpdatedAfter": "2020-01-01T00:00:00Z", "lastUpdatedBefore": "2099-01-01T00:00:00Z" });
    for (place, exchange) in recorded(file).iter().enumerate() {
        if exchange["request"]["host"] == "api.fabric.microsoft.com" {
            compare_a_wait_with_fabrics(compared, file, place, exchange, &window);
            continue;
        }
        let mut sent = exchange.clone();
        if path_of(exchange).ends_with("/queryActivityruns") {
            sent["request"]["body"] = window.clone();
            compared.note_another_request(file, exchange);
        }
        let answer = stage.play(&sent);
        compared.check(file, place, exchange, &answer);
    }
}

/// Compares the one record of Fabric's bare list with that of the same activity here.
fn compare_a_wait_with_fabrics(
    compared: &mut Compared,
    file: &str,
    place: usize,
    exchange: &Value,
    window: &Value,
) {
    let wait = json!({ "properties": { "activities": [
        { "name": "Wait1", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 27 } },
    ]}});
    let mut stage = Stage::new("contoso", "", &[("w.json".to_owned(), wait.to_string())]);
    let run = "bbbb1b1b-cc2c-dd3d-ee4e-ffffff5f5f5f";
    let start = json!({ "request": { "method": "POST", "path": "/pipelines/w/createRun", "query": {}, "body": null }, "response": { "body": { "runId": run } } });
    assert_eq!(stage.play(&start).status, 202);
    stage.now = stage.now + Delay::from_secs(60);
    let ask = json!({ "request": { "method": "POST", "path": format!("/pipelines/w/pipelineruns/{run}/queryActivityruns"), "query": {}, "body": window }, "response": {} });
    let mut answer = stage.play(&ask);
    answer.body = answer.body_json()["value"].to_string().into_bytes();
    compared.note_another_request(file, exchange);
    compared.check(file, place, exchange, &answer);
}

#[test]
fn the_command_lines_pipeline_test() {
    compare_the_command_lines_pipeline_test(&mut Compared::default());
}

#[test]
fn the_net_sdks_run_tests() {
    compare_the_net_sdks_run_tests(&mut Compared::default());
}

#[test]
fn the_command_lines_trigger_test() {
    compare_the_command_lines_trigger_test(&mut Compared::default());
}

#[test]
fn the_role_calls() {
    compare_the_role_calls(&mut Compared::default());
}

#[test]
fn the_errors() {
    compare_the_errors(&mut Compared::default());
}

#[test]
fn the_token_errors() {
    compare_the_token_errors(&mut Compared::default());
}

#[test]
fn the_documented_activity_runs() {
    compare_the_documented_activity_runs(&mut Compared::default());
}

/// Returns every exchange of the service's recordings, by file and place. Files named `adf-` are the sister
/// service's and `examples-` are no recordings.
fn every_exchange() -> BTreeSet<(String, usize)> {
    let folder = format!("{}/tests/wire", env!("CARGO_MANIFEST_DIR"));
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let others = ["README", "adf-", "examples-"];
    let is_ours = |name: &String| !others.iter().any(|start| name.starts_with(start));
    let places = |name: String| (0..recorded(&name).len()).map(move |place| (name.clone(), place));
    names.filter(is_ours).flat_map(places).collect()
}

#[tokio::test]
async fn every_exchange_is_used_in_both_directions() {
    let all = every_exchange();
    assert_eq!(all.len(), 58);
    assert_eq!(wire::read_every_exchange().await, all, "read by the client");

    let mut compared = Compared::default();
    compare_the_command_lines_pipeline_test(&mut compared);
    compare_the_net_sdks_run_tests(&mut compared);
    compare_the_command_lines_trigger_test(&mut compared);
    compare_the_role_calls(&mut compared);
    compare_the_errors(&mut compared);
    compare_the_token_errors(&mut compared);
    compare_the_documented_activity_runs(&mut compared);
    for (file, place) in &all {
        let exchange = &recorded(file)[*place];
        if is_left_out(file, exchange) {
            compared.deviations.extend(deviations_of(file, exchange));
            assert!(!compared.exchanges.contains(&(file.clone(), *place)), "{file}: {}", name_of(exchange));
        } else {
            assert!(compared.exchanges.contains(&(file.clone(), *place)), "{file}: {}", name_of(exchange));
        }
    }
    let unmet: Vec<_> =
        DEVIATIONS.iter().enumerate().filter(|(place, _)| !compared.deviations.contains(place)).collect();
    assert!(unmet.is_empty(), "listed, and nothing deviates: {unmet:?}");
}

#[test]
fn the_documentation_lists_the_same_deviations() {
    let path = format!("{}/docs/emulator.md", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (_, after) = text.split_once("| recording | call | what | why |\n|---|---|---|---|\n").unwrap();
    let listed: Vec<&str> = after.lines().take_while(|line| line.starts_with('|')).collect();
    let rows = DEVIATIONS.map(|(file, call, what, why)| format!("| {file} | `{call}` | {what} | {why} |"));
    assert_eq!(listed, rows, "the table should be:\n{}", rows.join("\n"));
}
