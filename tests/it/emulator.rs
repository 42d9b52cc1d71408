//! The emulator over loopback, asked with plain requests and judged by its raw JSON.

use std::path::Path;

use reqwest::{Certificate, Client, Method, Response};
use serde_json::{Value, json};
use synflow::emulator::files;
use synflow::emulator::model::{CLIENT_ID, CLIENT_SECRET, Model, Operation, TENANT_ID};
use synflow::emulator::script::Script;
use synflow::emulator::server::{self, Options, Server, Tls};
use synflow::time::Timestamp;

const RUN: &str = "31f1bc88-c715-4cd9-b31f-73e51da2e079";

/// A running emulator with one workspace, and a signed-in caller.
struct Desk {
    server: Server,
    client: Client,
    token: String,
}

impl Desk {
    async fn open(script: &str, definitions: &[(&str, Value)]) -> Self {
        Self::open_with(script, definitions, Options::default()).await
    }

    async fn open_with(script: &str, definitions: &[(&str, Value)], options: Options) -> Self {
        let client = Client::builder().no_proxy().retry(reqwest::retry::never());
        let client = match &options.tls {
            Some(tls) => client.tls_certs_merge([Certificate::from_pem(tls.ca_pem().as_bytes()).unwrap()]),
            None => client,
        };
        let client = client.build().unwrap();
        let definitions: Vec<(String, String)> =
            definitions.iter().map(|(name, body)| ((*name).to_owned(), body.to_string())).collect();
        let script = Script::parse(script).unwrap();
        let model = Model::new("contoso", script, &definitions, Timestamp::from_epoch_ms(0)).unwrap();
        let server = server::start_with(vec![model], options).await.unwrap();
        let mut desk = Self { server, client, token: String::new() };
        let answer = desk.sign_in(CLIENT_SECRET).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().clone_into(&mut desk.token);
        desk
    }

    async fn sign_in(&self, secret: &str) -> Response {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", secret),
            ("scope", "https://dev.azuresynapse.net/.default"),
        ];
        let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", self.server.authority());
        self.client.post(url).form(&form).send().await.unwrap()
    }

    fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{target}", self.server.endpoint("contoso").unwrap());
        self.client.request(method, url).bearer_auth(&self.token).query(&[("api-version", "2020-12-01")])
    }

    async fn get(&self, target: &str) -> Value {
        self.request(Method::GET, target).send().await.unwrap().json().await.unwrap()
    }

    fn start(&self, id: &str) -> reqwest::RequestBuilder {
        self.request(Method::POST, "/pipelines/pl/createRun").header("x-ms-client-request-id", id)
    }

    /// Asks until the run has ended; the emulator's own clock moves it.
    async fn ended(&self, id: &str) -> Value {
        loop {
            let run = self.get(&format!("/pipelineruns/{id}")).await;
            if ["Succeeded", "Failed", "Cancelled"].contains(&run["status"].as_str().unwrap()) {
                return run;
            }
        }
    }
}

#[tokio::test]
async fn runs_a_pipeline_for_a_plain_client() {
    let desk = Desk::open("speed: 100", &[("Pipeline 1.json", json!({ "properties": {} }))]).await;
    let answer = desk
        .request(Method::POST, "/pipelines/Pipeline%201/createRun")
        .header("x-ms-client-request-id", RUN)
        .header("x-ms-return-client-request-id", "true")
        .json(&json!({ "list": ["exampleoutput.csv"] }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["x-ms-client-request-id"], RUN);
    assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
    assert!(answer.headers().contains_key("x-ms-correlation-request-id"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "runId": RUN }));

    let run = desk.ended(RUN).await;
    assert_eq!(run["status"], "Succeeded");
    assert_eq!(run["parameters"], json!({ "list": "[\"exampleoutput.csv\"]" }));
    let record = desk.server.record("contoso").unwrap();
    assert_eq!((record.runs.len(), record.runs[0].status), (1, "Succeeded"));
    assert_eq!(record.requests_of(Operation::CreateRun), 1);
    let served = desk.get("/_emulator/record").await;
    assert_eq!((&served["runs"][0]["run_id"], &served["requests"]["createRun"]), (&json!(RUN), &json!(1)));
}

#[tokio::test]
async fn refuses_strangers() {
    let desk = Desk::open("", &[]).await;
    let refused = desk.sign_in("wrong").await;
    assert_eq!(refused.status(), 401);
    let body: Value = refused.json().await.unwrap();
    assert_eq!((&body["error"], &body["error_codes"]), (&json!("invalid_client"), &json!([7_000_215])));

    let url = format!("{}/pipelines?api-version=2020-12-01", desk.server.endpoint("contoso").unwrap());
    let no_token = desk.client.get(&url).send().await.unwrap();
    assert_eq!(no_token.status(), 401);
    assert!(no_token.headers().contains_key("www-authenticate"));
    let bad_token = desk.client.get(&url).bearer_auth("a.b.c").send().await.unwrap();
    assert_eq!(bad_token.status(), 401);
}

#[tokio::test]
async fn each_workspace_has_its_own_door() {
    let model = |name: &str| Model::new(name, Script::default(), &[], Timestamp::from_epoch_ms(0)).unwrap();
    let server = server::start(vec![model("one"), model("two")], 0).await.unwrap();
    assert_ne!(server.endpoint("one"), server.endpoint("two"));
    assert_eq!(server.endpoint("three"), None);
    assert_eq!(server.authority(), server.endpoint("one").unwrap());
    assert_eq!(server.endpoints().len(), 2);
    let url = server.authority().to_owned();
    drop(server);
    // The port is free again once the server is gone.
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.is_err());
}

#[tokio::test]
async fn cuts_connections_before_and_after() {
    let check = async |rule: &str, accepted: usize| {
        let desk = Desk::open(&format!("faults: [{{ on: createRun, first: 1, {rule} }}]"), &[]).await;
        let error = desk.start(RUN).send().await.expect_err(rule);
        assert!(error.is_request() && !error.is_timeout() && !error.is_connect(), "{rule}: {error:?}");
        let record = desk.server.record("contoso").unwrap();
        assert_eq!(record.runs.len(), accepted, "{rule}");
        assert_eq!(record.requests_of(Operation::CreateRun), 1, "{rule}: nothing was sent twice");
        // The next one finds an open door.
        assert_eq!(desk.start(RUN).send().await.unwrap().status(), 202);
        assert_eq!(desk.server.record("contoso").unwrap().runs.len(), 1, "{rule}");
    };
    check("kind: cut", 0).await;
    check("kind: cut, accepted: true", 1).await;
}

#[tokio::test]
async fn cuts_connections_in_the_body() {
    for tls in [false, true] {
        let tls = tls.then(|| Tls::new(now()).unwrap());
        let script = "faults: [{ on: createRun, first: 1, kind: cut_in_body }]";
        let desk = Desk::open_with(script, &[], Options { tls, ..Options::default() }).await;
        let answer = desk.start(RUN).send().await.unwrap();
        assert_eq!(answer.status(), 202, "the head came through");
        assert_eq!(answer.content_length(), Some(48));
        let error = answer.bytes().await.expect_err("half a body");
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert_eq!(desk.server.record("contoso").unwrap().runs.len(), 1);
    }
}

#[tokio::test]
async fn answers_late_and_in_half() {
    let script = "
speed: 100
faults:
  - { on: createRun, first: 1, kind: slow, for: 20s }
  - { on: createRun, skip: 1, first: 1, kind: truncate }
  - { on: createRun, skip: 2, first: 1, kind: html, status: 504, accepted: true }
";
    let desk = Desk::open(script, &[]).await;
    assert_eq!(desk.start(RUN).send().await.unwrap().status(), 202);
    let half = desk.start(RUN).send().await.unwrap();
    assert_eq!(half.status(), 202);
    assert!(half.json::<Value>().await.is_err());
    let page = desk.start(RUN).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
        (504, "text/html")
    );
    assert_eq!(desk.server.record("contoso").unwrap().runs[0].repeats, 2);
}

#[tokio::test]
async fn serves_https_with_its_own_authority() {
    let tls = Tls::new(now()).unwrap();
    assert!(tls.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    let desk = Desk::open_with("speed: 100", &[], Options { tls: Some(tls), ..Options::default() }).await;
    assert!(desk.server.authority().starts_with("https://127.0.0.1:"));
    assert_eq!(desk.start(RUN).send().await.unwrap().status(), 202);
    assert_eq!(desk.ended(RUN).await["status"], "Succeeded");
    let put =
        desk.request(Method::PUT, "/pipelines/new").json(&json!({ "properties": {} })).send().await.unwrap();
    let location = put.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{}/operationResults/", desk.server.authority())), "{location}");
    let stranger = Client::builder().no_proxy().build().unwrap();
    assert!(
        stranger.get(desk.server.authority()).send().await.is_err(),
        "who does not trust it is not served"
    );
}

#[tokio::test]
async fn writes_exchanges_without_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exchanges.json");
    let desk = Desk::open_with("", &[], Options { record: Some(file.clone()), ..Options::default() }).await;
    desk.start(RUN).json(&json!({ "day": "mon" })).send().await.unwrap();
    desk.get("/_emulator/record").await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&desk.token) && !text.contains(CLIENT_SECRET), "{text}");
    let exchanges: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0]["response"]["body"]["access_token"], "(removed)");
    let start = &exchanges[1];
    assert_eq!(start["request"]["path"], "/pipelines/pl/createRun");
    assert_eq!(start["request"]["query"], json!({ "api-version": "2020-12-01" }));
    assert_eq!(start["request"]["headers"]["x-ms-client-request-id"], RUN);
    assert_eq!(start["request"]["headers"].get("authorization"), None);
    assert_eq!(start["request"]["body"], json!({ "day": "mon" }));
    assert_eq!(
        (&start["response"]["status"], &start["response"]["body"]),
        (&json!(202), &json!({ "runId": RUN }))
    );
}

#[tokio::test]
async fn tells_other_programs_how_to_find_it() {
    let desk = Desk::open("", &[]).await;
    let environment: Vec<(&str, &str)> = desk.server.environment();
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!((value("AZURE_CLIENT_SECRET"), value("AZURE_TENANT_ID")), (CLIENT_SECRET, TENANT_ID));
    assert_eq!(value("SYNAPSE_ENDPOINT"), desk.server.endpoint("contoso").unwrap());
    assert!(value("AZURE_AUTHORITY_HOST").starts_with("http://127.0.0.1:"));
}

#[test]
fn runs_every_real_pipeline_there_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts");
    let mut definitions = files::read_artifacts(&folder).unwrap();
    // Two of the sources have a `Pipeline 1`.
    definitions.retain(|(name, _)| !name.ends_with("recorded.Pipeline_1.json"));
    assert!(definitions.len() >= 25, "{}", definitions.len());
    let mut model = Model::new("contoso", Script::default(), &definitions, now()).unwrap();
    let start = now();
    let mut sign_in =
        synflow::emulator::model::Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
    let grant = "grant_type=client_credentials&scope=https://dev.azuresynapse.net/.default";
    sign_in.body = format!("{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}").into_bytes();
    let token = model.answer(start, &sign_in).body_json()["access_token"].as_str().unwrap().to_owned();
    let mut ask = |at, method: &str, target: &str, body: Value| {
        let request = synflow::emulator::model::Request::new(method, target).with_json(&body);
        model.answer(at, &request.with_header("authorization", &format!("Bearer {token}"))).body_json()
    };
    let list = ask(start, "GET", "/pipelines?api-version=2020-12-01", json!({}));
    let pipelines = list["value"].as_array().unwrap().clone();
    for pipeline in &pipelines {
        // Every parameter without a default is given a value of its type.
        let declared = pipeline["properties"]["parameters"].as_object().cloned().unwrap_or_default();
        let missing = declared.iter().filter(|(_, parameter)| parameter.get("defaultValue").is_none());
        let given = missing.map(|(name, parameter)| {
            let value = match parameter["type"].as_str().unwrap().to_lowercase().as_str() {
                "array" => json!(["a", "b"]),
                "object" => json!({}),
                "int" => json!(1),
                "bool" => json!(true),
                "float" => json!(1.5),
                _ => json!("x"),
            };
            (name.clone(), value)
        });
        let given: serde_json::Map<String, Value> = given.collect();
        let name = pipeline["name"].as_str().unwrap().replace(' ', "%20");
        let target = format!("/pipelines/{name}/createRun?api-version=2020-12-01");
        assert!(ask(start, "POST", &target, Value::Object(given))["runId"].is_string(), "{name}");
    }
    let later = start + synflow::time::Delay::from_secs(3_000);
    model.advance(later);
    let record = model.record();
    assert!(record.runs.len() > pipelines.len(), "some of them call others");
    let failed: Vec<_> = record.runs.iter().filter(|run| run.status != "Succeeded").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_documented_script_is_one() {
    let page = include_str!("../../docs/emulator.md");
    let script = page.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
    let script = Script::parse(script).unwrap();
    assert_eq!((script.pipelines.len(), script.faults.len()), (1, 3));
    let operations = page.split("`on` takes").nth(1).unwrap().split('.').next().unwrap();
    let names: Vec<&str> = operations.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        serde_json::from_value::<Operation>(json!(name)).unwrap();
    }
}

#[test]
fn reads_a_script_and_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let pipelines = folder.path().join("repo/pipeline");
    std::fs::create_dir_all(&pipelines).unwrap();
    std::fs::write(pipelines.join("a.json"), "{}").unwrap();
    std::fs::write(folder.path().join("repo/other.json"), "not a pipeline").unwrap();
    let script = folder.path().join("script.yaml");
    std::fs::write(&script, "artifacts: [repo]\n").unwrap();
    let (_, definitions) = files::read_script(&script).unwrap();
    assert_eq!(definitions.len(), 1);
    assert!(definitions[0].0.ends_with("a.json"));
    std::fs::write(&script, "seed: 1\nspede: 2\n").unwrap();
    let error = files::read_script(&script).unwrap_err().to_string();
    assert!(error.contains("script.yaml:2:1: ") && error.contains("spede"), "{error}");
    std::fs::write(&script, "artifacts: [nowhere]\n").unwrap();
    assert!(files::read_script(&script).unwrap_err().to_string().contains("nowhere"));
}

#[expect(clippy::disallowed_methods, reason = "the emulator over sockets lives in real time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_epoch_ms(i64::try_from(since.as_millis()).unwrap())
}
