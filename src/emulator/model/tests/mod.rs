//! The whole model in virtual time, through the only door it has: calls and the time.

use serde_json::{Value, json};

use super::{Answer, CLIENT_ID, CLIENT_SECRET, Model, Request, TENANT_ID};
use crate::emulator::model::script::Script;
use crate::time::{Delay, Timestamp};

mod calls;
mod courses;
mod faults;
mod identity;

const VERSION: &str = "api-version=2020-12-01";
const NOON: Timestamp = Timestamp::from_epoch_ms(1_800_000_000_000);
const RUN: &str = "8b35ed2c-152b-11ec-9ae6-b07b25181c2a";

/// A model, a clock, and a token.
struct Bench {
    model: Model,
    now: Timestamp,
    token: String,
}

impl Bench {
    fn new(script: &str, definitions: &[(&str, Value)]) -> Self {
        let script = Script::parse(script).expect("the test's script is right");
        let definitions: Vec<(String, String)> =
            definitions.iter().map(|(name, body)| ((*name).to_owned(), body.to_string())).collect();
        let mut model = Model::new("contoso", script, &definitions, NOON).expect("the definitions are JSON");
        let mut sign_in = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
        sign_in.body = format!(
            "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}\
             &scope=https://dev.azuresynapse.net/.default"
        )
        .into_bytes();
        let token =
            model.answer(NOON, &sign_in).body_json()["access_token"].as_str().unwrap_or_default().to_owned();
        Self { model, now: NOON, token }
    }

    fn send(&mut self, request: Request) -> Answer {
        let request = request.with_header("authorization", &format!("Bearer {}", self.token));
        self.model.answer(self.now, &request)
    }

    fn get(&mut self, path: &str) -> Value {
        self.send(Request::new("GET", &format!("{path}?{VERSION}"))).body_json()
    }

    fn start(&mut self, pipeline: &str, id: &str, parameters: &Value) -> Answer {
        let request = Request::new("POST", &format!("/pipelines/{pipeline}/createRun?{VERSION}"));
        self.send(request.with_header("x-ms-client-request-id", id).with_json(parameters))
    }

    fn run(&mut self, id: &str) -> Value {
        self.get(&format!("/pipelineruns/{id}"))
    }

    fn cancel(&mut self, id: &str, query: &str) -> Answer {
        self.send(Request::new("POST", &format!("/pipelineruns/{id}/cancel?{VERSION}{query}")))
    }

    fn activities(&mut self, pipeline: &str, id: &str) -> Vec<Value> {
        let path = format!("/pipelines/{pipeline}/pipelineruns/{id}/queryActivityruns?{VERSION}");
        let body = json!({ "lastUpdatedAfter": "0001-01-01T00:00:00Z", "lastUpdatedBefore": "9999-12-31T23:59:59.9999999Z" });
        let answer = self.send(Request::new("POST", &path).with_json(&body)).body_json();
        answer["value"].as_array().cloned().unwrap_or_default()
    }

    fn query(&mut self, more: &Value) -> Answer {
        let mut body = json!({ "lastUpdatedAfter": "0001-01-01T00:00:00.0000000Z", "lastUpdatedBefore": "9999-12-31T23:59:59.9999999Z" });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.send(Request::new("POST", &format!("/queryPipelineRuns?{VERSION}")).with_json(&body))
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Delay::from_ms(ms);
    }

    /// Lets everything happen that happens by itself. Returns how long that took.
    fn settle(&mut self) -> Delay {
        let began = self.now;
        while let Some(next) = self.model.next_change() {
            self.now = self.now.max(next);
            self.model.advance(self.now);
        }
        self.now.since(began)
    }
}

fn names(activities: &[Value]) -> Vec<(&str, &str)> {
    activities
        .iter()
        .map(|row| {
            (row["activityName"].as_str().unwrap_or_default(), row["status"].as_str().unwrap_or_default())
        })
        .collect()
}

fn after(name: &str, condition: &str) -> Value {
    json!([{ "activity": name, "dependencyConditions": [condition] }])
}
