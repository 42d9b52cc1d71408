//! What the emulator and the journal say of a flow: the witnesses of tests on the real binary.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::space::{Emulator, Said, TestSpace};

/// A run as the emulator remembers it; times in text, which sorts as they do.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) accepted_at: String,
    pub(crate) ended_at: Option<String>,
}

/// Returns the runs the emulator accepted, by run id.
pub(crate) fn ran(emulator: &Emulator) -> BTreeMap<String, Ran> {
    let record = emulator.record();
    let text = |run: &Value, name: &str| run[name].as_str().map(str::to_owned);
    let runs = record["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["parent_run_id"].is_null())
        .map(|run| {
            let ran = Ran { accepted_at: text(run, "accepted_at").unwrap(), ended_at: text(run, "ended_at") };
            (text(run, "run_id").unwrap(), ran)
        })
        .collect()
}

/// Returns the ids of the runs of each step's attempts, from `status --output json`.
pub(crate) fn runs_of_steps(status: &Value) -> BTreeMap<String, Vec<String>> {
    let steps = status["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let attempts = step["attempts"].as_array().unwrap().iter();
            let runs = attempts.filter_map(|attempt| Some(attempt["run_id"].as_str()?.to_owned())).collect();
            (step["id"].as_str().unwrap().to_owned(), runs)
        })
        .collect()
}

pub(crate) fn outcomes(status: &Value) -> BTreeMap<&str, &str> {
    let steps = status["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["id"].as_str().unwrap(), step["outcome"].as_str().unwrap_or("-"))).collect()
}

/// Returns how many flows the journal holds.
pub(crate) fn flows(space: &TestSpace) -> usize {
    let said = space.run("flows --output json");
    serde_json::from_str::<Value>(&said.stdout).unwrap()["flows"].as_array().unwrap().len()
}

/// Returns a plan that runs `steps` in the workspace of `emulator`.
pub(crate) fn plan_at(emulator: &Emulator, steps: &str) -> String {
    format!(
        "version: 1\nname: test\nworkspaces: {{ main: {{ endpoint: \"{}\" }} }}\n{steps}",
        emulator.endpoint()
    )
}

pub(crate) fn apply(space: &TestSpace, emulator: &Emulator, plan: &str, words: &str) -> Said {
    let path = space.write("plan.yaml", plan);
    space.run_at(emulator, &format!("apply {} --beat 100ms{words}", path.display()))
}

pub(crate) fn in_background(space: &TestSpace, emulator: &Emulator, words: &str) -> Child {
    space.command_at(emulator, words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Asks again and again until something holds. Fails after a time no healthy run comes near.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain until {what}");
}

/// Starts a run as somebody else would, with a plain request, and returns its id.
pub(crate) fn start_elsewhere(emulator: &Emulator, pipeline: &str, parameters: &Value) -> String {
    let answer = ask(emulator, "POST", &format!("/pipelines/{pipeline}/createRun"), parameters);
    answer["runId"].as_str().unwrap().to_owned()
}

/// Publishes a definition as Synapse Studio would. The emulator's script must say that an operation takes no time.
pub(crate) fn publish(emulator: &Emulator, pipeline: &str, properties: &Value) {
    let answer = ask(
        emulator,
        "PUT",
        &format!("/pipelines/{pipeline}"),
        &serde_json::json!({ "properties": properties }),
    );
    assert_eq!(answer["state"], "Creating", "{answer}");
}

/// Deletes a pipeline as Synapse Studio would, from such an emulator.
pub(crate) fn withdraw(emulator: &Emulator, pipeline: &str) {
    ask(emulator, "DELETE", &format!("/pipelines/{pipeline}"), &Value::Null);
}

/// Sends a plain request, signed in, and returns the answer; null if it is empty. Fails if it is refused.
fn ask(emulator: &Emulator, method: &str, path: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", emulator.variable("AZURE_CLIENT_ID")),
            ("client_secret", emulator.variable("AZURE_CLIENT_SECRET")),
            ("scope", "https://dev.azuresynapse.net/.default"),
        ];
        let tenant = emulator.variable("AZURE_TENANT_ID");
        let url = format!("{}/{tenant}/oauth2/v2.0/token", emulator.variable("AZURE_AUTHORITY_HOST"));
        let token: Value = client.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let url = format!("{}{path}", emulator.endpoint());
        let request = client.request(method.parse().unwrap(), url).query(&[("api-version", "2020-12-01")]);
        let request = request.bearer_auth(token["access_token"].as_str().unwrap());
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap_or_default()
    })
}

/// A plan in a space of its own, and an emulator that serves its workspace.
pub(crate) struct Stage {
    pub(crate) space: TestSpace,
    pub(crate) emulator: Emulator,
}

impl Stage {
    /// Makes the plan with these steps, and everything before them, for an emulator with this script.
    pub(crate) fn new(script: &str, steps: &str) -> Self {
        let space = TestSpace::new();
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        space.write("plan.yaml", &plan_at(&emulator, steps));
        Self { space, emulator }
    }

    /// Makes the same, with these pipelines in the workspace, each by its name and its parameters.
    pub(crate) fn deployed(script: &str, pipelines: &[(&str, &str)], steps: &str) -> Self {
        let space = TestSpace::new();
        for (name, parameters) in pipelines {
            let text = format!(
                r#"{{"name": "{name}", "properties": {{"parameters": {parameters}, "activities": []}}}}"#
            );
            space.write(&format!("workspace/pipeline/{name}.json"), &text);
        }
        let defaults =
            "defaults: { queued: 20ms, duration: 100ms, operation: 0ms }\nartifacts: [workspace]\n";
        let script = space.write("script.yaml", &format!("{defaults}{script}"));
        let emulator = space.emulate(&format!("--script {}", script.display()));
        space.write("plan.yaml", &plan_at(&emulator, steps));
        Self { space, emulator }
    }

    /// Replaces the plan's steps.
    pub(crate) fn edit(&self, steps: &str) {
        self.space.write("plan.yaml", &plan_at(&self.emulator, steps));
    }

    /// Runs the binary to its end; `PLAN` among the words stands for the plan's path. The beat is short.
    pub(crate) fn run(&self, words: &str) -> Said {
        Said::from(self.command(words).output().unwrap())
    }

    /// Starts the binary likewise.
    pub(crate) fn begin(&self, words: &str) -> Child {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn command(&self, words: &str) -> std::process::Command {
        let words = words.replace("PLAN", self.space.path("plan.yaml").to_str().unwrap());
        let mut command = self.space.command_at(&self.emulator, &words);
        command
            .env("SYNFLOW_BEAT", "100ms")
            .env("SYNFLOW_HEARTBEAT", "200ms")
            .env("SYNFLOW_START_GRACE", "3s");
        command
    }

    /// Starts `apply`, lets it go on until so many runs were accepted, and kills it.
    pub(crate) fn apply_and_kill(&self, accepted: usize) {
        let mut apply = self.begin("apply PLAN");
        wait_until("the runs are accepted", || ran(&self.emulator).len() >= accepted);
        apply.kill().unwrap();
        apply.wait().unwrap();
    }

    /// Returns how many requests of a kind the emulator has answered.
    pub(crate) fn requests(&self, operation: &str) -> u64 {
        self.emulator.record()["requests"][operation].as_u64().unwrap_or(0)
    }

    /// Returns the id of the latest flow.
    pub(crate) fn flow(&self) -> String {
        self.space.status()["flow"]["id"].as_str().unwrap().to_owned()
    }
}

/// Sends a signal to a process, by its name.
#[cfg(unix)]
pub(crate) fn signal(process: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
    assert!(sent.unwrap().success());
}
