//! Every recorded exchange of the service, asked of the emulator: same status, same headers that matter, same
//! members with the same types. `docs/emulator.md` lists the deviations, and [`DEVIATIONS`] is that list here.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use synflow::emulator::model::{Answer, CLIENT_ID, CLIENT_SECRET, Model, Request, TENANT_ID};
use synflow::emulator::script::Script;
use synflow::time::{Delay, Timestamp};

/// Members that differ on purpose: the file, the member's path, and why.
const DEVIATIONS: [(&str, &str, &str); 4] = [
    ("synapse-net-pipeline-runs.json", "output", "the preview of January 2021 did not send it yet"),
    ("synapse-net-pipeline-runs.json", "value[].output", "the preview of January 2021 did not send it yet"),
    ("activity-runs-documented.json", "output", "Data Factory's run of June 2021 did not have it"),
    ("activity-runs-documented.json", "value[].input", "the settings of another activity"),
];
/// Exchanges the emulator does not answer in kind: a part of the path, and why.
const NOT_SERVED: [(&str, &str); 4] = [
    ("/start", "it has no triggers to start"),
    ("/stop", "it has no triggers to stop"),
    ("/rerun", "it has no trigger runs to rerun"),
    ("/rbac/", "the surface of 2020-02-01-preview is gone from the service, too"),
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
        let mut path = request["path"].as_str().unwrap().replace(' ', "%20");
        // Data Factory's calls are the same ones below a longer path.
        if let Some((_, rest)) = path.split_once("/factories/") {
            path = rest[rest.find('/').unwrap()..].to_owned();
            if path.ends_with("/queryActivityruns") {
                path = format!("/pipelines/Adfv2QuickStartParamPipeline{path}");
            }
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

/// Compares an answer with the recorded one. Returns what is different.
fn differences(file: &str, exchange: &Value, answer: &Answer) -> Vec<String> {
    let want = &exchange["response"];
    let mut found = Vec::new();
    if want["status"].as_u64().is_some_and(|status| status != u64::from(answer.status)) {
        found.push(format!("status {} and not {}", answer.status, want["status"]));
    }
    for name in HEADERS {
        // Documents and issues quote no headers.
        let Some(wanted) = want["headers"].as_object().filter(|headers| !headers.is_empty()) else { break };
        let (wanted, got) = (wanted.get(name).and_then(Value::as_str), answer.header(name));
        let is_same = match name {
            "content-type" | "x-ms-continuation" => wanted == got,
            // The CLI's recording left it out of the create's answer; the .NET one has it.
            "retry-after" => wanted.is_none() || got.is_some(),
            _ => wanted.is_some() == got.is_some(),
        };
        if !is_same {
            found.push(format!("header {name}: {got:?} and not {wanted:?}"));
        }
    }
    let is_empty = want["body"] == "" || want["body"].is_null();
    if is_empty != answer.body.is_empty() {
        found.push(format!("a body of {} bytes", answer.body.len()));
    } else if !is_empty {
        compare("", &want["body"], &answer.body_json(), &mut found);
    }
    found.retain(|difference| {
        !DEVIATIONS
            .iter()
            .any(|(of, member, _)| *of == file && difference.starts_with(&format!("{member}: ")))
    });
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

fn replay(
    file: &str,
    workspace: &str,
    script: &str,
    definitions: &[(String, String)],
    fits: impl Fn(&Value) -> bool,
) {
    let mut stage = Stage::new(workspace, script, definitions);
    let mut replayed = 0;
    for exchange in recorded(file).iter().filter(|exchange| !exchange["request"].is_null() && fits(exchange))
    {
        let path = exchange["request"]["path"].as_str().unwrap();
        if NOT_SERVED.iter().any(|(part, _)| path.contains(part)) {
            continue;
        }
        let answer = stage.play(exchange);
        let found = differences(file, exchange, &answer);
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(found, Vec::<String>::new(), "{file}: {} {path}\n{body}", exchange["request"]["method"]);
        replayed += 1;
    }
    assert!(replayed > 0, "{file}: nothing was replayed");
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

#[test]
fn the_command_lines_pipeline_test() {
    let file = "synapse-azure-cli-pipeline.json";
    replay(file, "testsynapseworkspace", "", &listed_pipelines(file), |_| true);
}

#[test]
fn the_net_sdks_run_tests() {
    let file = "synapse-net-pipeline-runs.json";
    let script = "pipelines: { Pipeline1221073405: { outcome: failed, error: { message: dead } } }";
    replay(file, "workspacechhamosynapse", script, &started_pipelines(file), |_| true);
}

#[test]
fn the_command_lines_trigger_test() {
    replay("synapse-azure-cli-trigger.json", "testsynapseworkspace", "", &[], |_| true);
}

#[test]
fn the_role_calls() {
    let file = "synapse-rbac.json";
    let mut stage = Stage::new("clitest000003", "", &[]);
    let id = "0550e787-7841-4669-9ac8-a8176e900002";
    let put = json!({
        "request": { "method": "PUT", "path": format!("/roleAssignments/{id}"), "query": { "api-version": "2020-08-01-preview" },
            "body": { "roleId": "7572bffe-f453-4b66-912a-46cc5ef38fda", "principalId": "829ae9c5-95e5-4e5b-9f8b-eca27e2cb501", "scope": "workspaces/clitest000003" } },
        "response": { "status": 200 },
    });
    assert_eq!(stage.play(&put).status, 200);
    let mut replayed = 0;
    for exchange in recorded(file)
        .iter()
        .filter(|exchange| exchange["request"]["query"]["api-version"] == "2020-08-01-preview")
    {
        let answer = stage.play(exchange);
        let found = differences(file, exchange, &answer);
        assert_eq!(
            found,
            Vec::<String>::new(),
            "{} {}",
            exchange["request"]["method"],
            exchange["request"]["path"]
        );
        replayed += 1;
    }
    assert!(replayed >= 9, "{replayed}");
}

#[test]
fn the_errors() {
    let file = "synapse-errors.json";
    let is_refused = |exchange: &Value| exchange["response"]["status"] == 403;
    replay(file, "testsynapseworkspace", "", &[("other.json".into(), "{}".into())], |exchange| {
        !is_refused(exchange)
    });
    replay(file, "synapse-workspace-jf", "access: { roles: [] }", &[], is_refused);

    // Quoted without its request: a token for another audience.
    let quoted = recorded(file)
        .into_iter()
        .find(|exchange| exchange["response"]["body"]["code"] == "InvalidTokenAuthenticationAudience");
    let mut stage = Stage::new("contoso", "", &[]);
    let grant = "grant_type=client_credentials&scope=https://management.azure.com/.default";
    let mut sign_in = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
    sign_in.body = format!("{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}").into_bytes();
    stage.token =
        stage.model.answer(stage.now, &sign_in).body_json()["access_token"].as_str().unwrap().to_owned();
    let list = json!({ "request": { "method": "GET", "path": "/pipelines", "query": {}, "body": null }, "response": {} });
    let answer = stage.play(&list);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body_json(), quoted.unwrap()["response"]["body"]);
}

#[test]
fn the_token_errors() {
    let exchanges = recorded("entra-token-errors.json");
    assert_eq!(exchanges.len(), 4);
    for exchange in &exchanges {
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
        let mut exchange = exchange.clone();
        exchange["response"]["headers"] = json!({});
        assert_eq!(differences("entra-token-errors.json", &exchange, &answer), Vec::<String>::new());
        let got = answer.body_json();
        assert_eq!((&got["error"], &got["error_codes"]), (&body["error"], &body["error_codes"]));
        let text = got["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{code}: ")) && text.contains("\r\nTrace ID: "), "{text}");
    }
}

#[test]
fn the_documented_activity_runs() {
    let file = "activity-runs-documented.json";
    let definition = json!({ "properties": { "activities": [
        { "name": "CopyFromBlobToBlob", "type": "Copy", "typeProperties": { "source": { "type": "BinarySource" } } },
    ]}});
    let definitions = [("Adfv2QuickStartParamPipeline.json".to_owned(), definition.to_string())];
    let mut stage = Stage::new("contoso", "", &definitions);
    let window =
        json!({ "lastUpdatedAfter": "2020-01-01T00:00:00Z", "lastUpdatedBefore": "2099-01-01T00:00:00Z" });
    for mut exchange in recorded(file) {
        let is_fabric = exchange["request"]["host"] == "api.fabric.microsoft.com";
        if exchange["request"]["path"].as_str().unwrap().ends_with("/createRun") {
            assert_eq!(exchange["response"]["status"], 200);
            exchange["response"]["status"] = 202.into(); // Data Factory says 200, Synapse 202.
        }
        if exchange["request"]["path"].as_str().unwrap().to_lowercase().ends_with("/queryactivityruns") {
            exchange["request"]["body"] = window.clone(); // Here a query needs its window.
        }
        if is_fabric {
            continue;
        }
        let answer = stage.play(&exchange);
        assert_eq!(
            differences(file, &exchange, &answer),
            Vec::<String>::new(),
            "{}",
            exchange["request"]["path"]
        );
    }

    // Fabric answers with a bare list; its one record is a Wait's.
    let exchanges = recorded(file);
    let record = &exchanges.last().unwrap()["response"]["body"][0];
    let wait = json!({ "properties": { "activities": [
        { "name": "Wait1", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 27 } },
    ]}});
    let mut stage = Stage::new("contoso", "", &[("w.json".to_owned(), wait.to_string())]);
    let run = "bbbb1b1b-cc2c-dd3d-ee4e-ffffff5f5f5f";
    let start = json!({ "request": { "method": "POST", "path": "/pipelines/w/createRun", "query": {}, "body": null }, "response": { "body": { "runId": run } } });
    assert_eq!(stage.play(&start).status, 202);
    stage.now = stage.now + Delay::from_secs(60);
    let ask = json!({ "request": { "method": "POST", "path": format!("/pipelines/w/pipelineruns/{run}/queryActivityruns"), "query": {}, "body": window }, "response": {} });
    let answer = stage.play(&ask).body_json();
    let mut found = Vec::new();
    compare("", record, &answer["value"][0], &mut found);
    assert_eq!(found, Vec::<String>::new());
}
