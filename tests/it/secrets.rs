//! Secrets in parameters, with the real binary: they reach the service, and nothing else. Every byte that is written or shown is
//! searched for canaries.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::hooks::{Receiver, json_of};
use crate::script_server::answer;
use crate::space::{Emulator, Said, TestSpace};
use crate::witness::{outcomes, plan_at, ran, start_elsewhere, wait_until};

/// One marker for each place where a secret is kept, one for a secret inside a longer text, and what signs us in.
const IN_ENV: &str = "canary-env\"7f3a\\é&x";
const IN_FILE: &str = "canary-file-5b1e";
const IN_VAULT: &str = "canary-vault-2c8d";
const IN_VAULT_BY_ADDRESS: &str = "canary-address-90aa";
const IN_TEXT: &str = "canary-token-e4e4";
/// The end of a webhook's address.
const IN_HOOK: &str = "canary-hook-77d0";
const CLIENT_SECRET: &str = "synflow-emulator-secret";
/// How every token of the emulator begins.
const TOKEN: &str = "eyJ0eXAi";

/// Fails after a while, and says why: the message repeats its parameters.
const ECHO: &str = r#"{"name": "echo", "properties": {
    "parameters": {"env": {"type": "String"}, "file": {"type": "String"}, "vault": {"type": "String"},
                   "address": {"type": "String"}, "header": {"type": "String"}},
    "activities": [
      {"name": "Rest", "type": "Wait", "typeProperties": {"waitTimeInSeconds": 1}},
      {"name": "Say No", "type": "Fail", "dependsOn": [{"activity": "Rest", "dependencyConditions": ["Succeeded"]}],
       "typeProperties": {"errorCode": "401", "message": {"type": "Expression",
         "value": "@concat('not taken: ', pipeline().parameters.env, ' ', pipeline().parameters.file, ' ', pipeline().parameters.vault, ' ', pipeline().parameters.address, ' ', pipeline().parameters.header)"}}}]}}"#;

const PARAMETERS: &str = r#"
      env: '{{secret "env:CANARY"}}'
      file: '{{secret "file:keys/canary.txt"}}'
      vault: '{{secret "keyvault:contoso-kv/canary"}}'
      address: '{{secret "keyvault:https://other-kv.vault.azure.net/secrets/canary"}}'
      header: 'Bearer {{secret inputs.token_at}} {{plan.name}}'"#;

/// A plan, an emulator of its workspace and vaults, and all that was shown so far.
struct Stage {
    space: TestSpace,
    emulator: Emulator,
    said: std::cell::RefCell<Vec<(String, Said)>>,
}

impl Stage {
    fn new(script: &str) -> Self {
        let space = TestSpace::new();
        space.write("workspace/pipeline/echo.json", ECHO);
        space.write("keys/canary.txt", &format!("{IN_FILE}\n"));
        let secrets = format!(
            "secrets:\n  contoso-kv: {{ canary: {IN_VAULT}, off: {{ value: x, enabled: false }}, closed: {{ forbidden: true }} }}\n\
             \x20 other-kv: {{ canary: {IN_VAULT_BY_ADDRESS} }}\n"
        );
        let script = space.write("script.yaml", &format!("{secrets}{script}"));
        let folder = space.path("workspace");
        let emulator =
            space.emulate(&format!("--script {} --artifacts {}", script.display(), folder.display()));
        Self { space, emulator, said: std::cell::RefCell::default() }
    }

    /// Writes a plan whose steps have all five secrets, each in a pipeline with these keys.
    fn plan(&self, name: &str, steps: &[(&str, &str)]) {
        let step = |(id, keys): &(&str, &str)| format!("  {id}:\n    {keys}\n    parameters:{PARAMETERS}\n");
        let steps = steps.iter().map(step).collect::<Vec<_>>().concat();
        let inputs = "inputs: { token_at: { type: string, default: \"env:CANARY_TOKEN\" } }";
        let plan = plan_at(&self.emulator, &format!("{inputs}\nsteps:\n{steps}"));
        self.space.write(&format!("{name}.yaml"), &plan.replace("name: test", &format!("name: {name}")));
    }

    /// Prepares the binary; `NAME.yaml` among the words is a plan.
    fn command(&self, words: &str) -> Command {
        let words: Vec<String> = words
            .split(' ')
            .map(|word| {
                if word.contains(".yaml") {
                    self.space.path(word).display().to_string()
                } else {
                    word.to_owned()
                }
            })
            .collect();
        let mut command = self.space.command_at(&self.emulator, &words.join(" "));
        command
            .env("SYNFLOW_BEAT", "100ms")
            .env("SYNFLOW_HEARTBEAT", "200ms")
            .env("SYNFLOW_START_GRACE", "2s")
            .env("GITHUB_STEP_SUMMARY", self.space.path("summary.md"))
            .env("CANARY", IN_ENV)
            .env("CANARY_TOKEN", IN_TEXT);
        command
    }

    /// Runs it to its end, keeps what it said, and returns its exit code.
    fn run(&self, words: &str) -> i32 {
        self.keep(words, &mut self.command(words))
    }

    fn keep(&self, words: &str, command: &mut Command) -> i32 {
        let said = Said::from(command.output().unwrap());
        let code = said.code;
        self.said.borrow_mut().push((words.to_owned(), said));
        code
    }

    /// Starts it; what it says goes into a file of the space.
    fn begin(&self, words: &str) -> Child {
        let file =
            |end: &str| File::create(self.space.path(&format!("{}.{end}", words.replace(' ', "-")))).unwrap();
        self.command(words).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
    }

    fn last(&self) -> String {
        let said = self.said.borrow();
        let (_, last) = said.last().unwrap();
        format!("{}{}", last.stdout, last.stderr)
    }

    /// Fails if a canary stands anywhere in what was shown, or in any file but those that hold them on purpose.
    fn search(&self, when: &str) {
        for (words, said) in self.said.borrow().iter() {
            clean(said.stdout.as_bytes(), &format!("stdout of `{words}` {when}"));
            clean(said.stderr.as_bytes(), &format!("stderr of `{words}` {when}"));
        }
        let mut files = Vec::new();
        collect(self.space.path("").as_path(), &mut files);
        assert!(files.iter().any(|file| file.ends_with("journal.db")), "{files:?}");
        for file in files {
            if file.ends_with("keys/canary.txt") || file.ends_with("script.yaml") {
                continue;
            }
            // A process at work may have removed it meanwhile.
            if let Ok(bytes) = fs::read(&file) {
                clean(&bytes, &format!("{} {when}", file.display()));
            }
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

fn clean(bytes: &[u8], place: &str) {
    let in_json = Value::from(IN_ENV).to_string();
    let needles = [
        IN_ENV,
        &in_json[1..in_json.len() - 1],
        "canary-env",
        IN_FILE,
        IN_VAULT,
        IN_VAULT_BY_ADDRESS,
        IN_TEXT,
        IN_HOOK,
        CLIENT_SECRET,
        TOKEN,
        // `printf canary-file | base64`, without its last letters.
        "Y2FuYXJ5LWZpbG",
    ];
    for needle in needles {
        let found = bytes.windows(needle.len()).position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + 80)];
            panic!("`{needle}` in {place}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// The command line of a process and of all that it has started.
#[cfg(target_os = "linux")]
fn command_lines(process: &Child) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let folder = entry.path();
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let is_child = status.contains(&format!("PPid:\t{}\n", process.id()));
        if is_child || folder.ends_with(process.id().to_string()) {
            lines.extend(fs::read(folder.join("cmdline")).unwrap_or_default());
        }
    }
    lines
}

/// What the service was sent, by the emulator's record: the secrets themselves.
fn check_sent(stage: &Stage, pipelines: &[&str]) {
    let record = stage.emulator.record();
    for pipeline in pipelines {
        let runs = record["runs"].as_array().unwrap().iter();
        let sent: Vec<&Value> =
            runs.filter(|run| run["pipeline"] == *pipeline).map(|run| &run["parameters"]).collect();
        assert!(!sent.is_empty(), "{pipeline} never ran");
        for sent in sent {
            assert_eq!(sent["env"], IN_ENV, "{pipeline}");
            assert_eq!(sent["file"], IN_FILE, "{pipeline}");
            assert_eq!(sent["vault"], IN_VAULT, "{pipeline}");
            assert_eq!(sent["address"], IN_VAULT_BY_ADDRESS, "{pipeline}");
            assert_eq!(sent["header"], format!("Bearer {IN_TEXT} night"), "{pipeline}");
        }
    }
}

const NIGHT: &str = "defaults: { queued: 20ms, duration: 300ms, canceling: 100ms }
pipelines:
  good: {}
  heard: {}
  lost: {}
  busy: { runs: [{ duration: 6s }, {}] }
  slow: { duration: 60s }
faults:
  - { on: createRun, pipeline: heard, kind: cut, accepted: true, first: 1 }
  - { on: createRun, pipeline: lost, kind: cut, first: 1 }
  - { on: createRun, pipeline: good, kind: status, status: 429, retry_after: { seconds: 1s }, first: 1 }
  - { on: getSecret, kind: status, status: 503, first: 1 }
";

#[test]
fn no_secret_is_written_anywhere() {
    let stage = Stage::new(NIGHT);
    stage.plan(
        "night",
        &[
            ("good", "pipeline: good"),
            ("echo", ECHO_KEYS),
            ("heard", "depends_on: [good]"),
            ("lost", "depends_on: [good]"),
            ("busy", "if_running: attach"),
            ("slow", "depends_on: [good]"),
        ],
    );
    for words in ["validate night.yaml", "plan night.yaml --offline"] {
        assert_eq!(stage.run(words), 0, "{}", stage.last());
    }
    assert!(stage.last().contains("{{secret \\\"env:CANARY\\\"}}"), "{}", stage.last());
    stage.run("doctor night.yaml");

    // Their run is alike but for its secrets.
    let theirs = json!({ "env": "a", "file": "b", "vault": "c", "address": "d", "header": "e" });
    let theirs = start_elsewhere(&stage.emulator, "busy", &theirs);
    let mut apply = stage.begin("apply night.yaml --new --output jsonl");
    wait_until("the slow run and both that echo are accepted", || {
        let told =
            || fs::read_to_string(stage.space.path("apply-night.yaml---new---output-jsonl.stderr")).unwrap();
        assert!(apply.try_wait().unwrap().is_none(), "{}", told());
        #[cfg(target_os = "linux")]
        clean(&command_lines(&apply), "a command line");
        let record = stage.emulator.record();
        let runs = record["runs"].as_array().unwrap();
        let count = |pipeline: &str| runs.iter().filter(|run| run["pipeline"] == pipeline).count();
        count("slow") == 1 && count("echo") == 2 && count("lost") == 1
    });
    assert_eq!(stage.run("status --output json"), 0);
    stage.search("while it runs");
    apply.kill().unwrap();
    apply.wait().unwrap();
    stage.search("after it was killed");

    let mut resume = stage.begin("resume --progress lines --output jsonl --ci github");
    wait_until("the echo and the busy step are over", || {
        let status = stage.space.status();
        let ended = outcomes(&status);
        ended["echo"] == "failed"
            && ended["busy"] == "succeeded"
            && ended["heard"] == "succeeded"
            && ended["lost"] == "succeeded"
    });
    for words in [
        "status",
        "status --output yaml",
        "flows --output json",
        "flows",
        "why echo",
        "logs echo",
        "logs slow --output json",
        "logs echo --live",
    ] {
        assert_eq!(stage.run(words), 0, "{}", stage.last());
    }
    assert!(stage.last().contains("not taken: *** *** *** *** Bearer *** night"), "{}", stage.last());
    assert_eq!(stage.run("cancel"), 0, "{}", stage.last());
    assert_eq!(resume.wait().unwrap().code(), Some(7));
    stage.search("after it was cancelled");
    // Events and the page of the job are among what was searched.
    for file in ["resume---progress-lines---output-jsonl---ci-github.stdout", "summary.md"] {
        let text = fs::read_to_string(stage.space.path(file)).unwrap();
        assert!(text.lines().count() > 10 && text.contains("echo"), "{file}: {text}");
    }

    check_sent(&stage, &["good", "echo", "heard", "lost", "slow"]);
    let status = stage.space.status();
    let step =
        |id: &str| status["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone();
    // A resume that came after its end has begun it anew.
    let echoes = step("echo")["attempts"].as_array().unwrap().clone();
    let told: Vec<&str> = echoes.iter().filter_map(|attempt| attempt["error"]["message"].as_str()).collect();
    let masked = "not taken: *** *** *** *** Bearer *** night";
    assert!(told.iter().filter(|text| **text == masked).count() >= 2, "{told:?}");
    assert!(told.iter().all(|text| [masked, "it was cancelled"].contains(text)), "{told:?}");
    assert_eq!(step("busy")["attempts"].as_array().unwrap().len(), 1);
    assert_ne!(
        step("busy")["attempts"][0]["run_id"],
        theirs.as_str(),
        "nobody can tell whether their secrets are the same"
    );
    let record = stage.emulator.record();
    for (pipeline, runs) in [("good", 1), ("heard", 1), ("lost", 1), ("slow", 1), ("busy", 2)] {
        let found =
            record["runs"].as_array().unwrap().iter().filter(|run| run["pipeline"] == pipeline).count();
        assert_eq!(found, runs, "{pipeline}");
    }
}

/// Fails twice; the second attempt begins where the first failed.
const ECHO_KEYS: &str =
    "allow_failure: true\n    retry: { max_attempts: 2, delay: 100ms, mode: from_failure }";

#[test]
fn a_process_that_cannot_read_a_secret_withholds_what_may_repeat_it() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 100ms }\npipelines: { good: {} }\n");
    stage.plan("night", &[("echo", "pipeline: echo")]);
    assert_eq!(stage.run("apply night.yaml --detach --new"), 30, "{}", stage.last());
    wait_until("the run has failed", || ran(&stage.emulator).values().all(|run| run.ended_at.is_some()));
    let mut cancel = stage.command("cancel");
    cancel.env_remove("CANARY");
    stage.keep("cancel", &mut cancel);
    stage.search("after a cancel without the variable");
    let status = stage.space.status();
    let told = &status["steps"][0]["attempts"][0]["error"]["message"];
    assert_eq!(told, "(not shown: it may hold a secret that this process cannot read)");
    let mut logs = stage.command("logs echo --live");
    logs.env_remove("CANARY");
    assert_eq!(stage.keep("logs echo --live", &mut logs), 0, "{}", stage.last());
    assert!(stage.last().contains("(not shown: it may hold a secret"), "{}", stage.last());
    stage.search("after logs without the variable");
}

#[test]
fn a_step_that_repeats_the_secret_of_another_shows_nothing_of_it() {
    let stage = Stage::new(&format!(
        "defaults: {{ queued: 20ms, duration: 100ms }}\npipelines:\n  good: {{}}\n  \
         tells: {{ outcome: failed, error: {{ message: \"{IN_TEXT} and {IN_VAULT} are known\" }} }}\n"
    ));
    let steps = "steps:\n  good: { parameters: { a: '{{secret \"env:CANARY_TOKEN\"}}', \
                 b: '{{secret \"keyvault:contoso-kv/canary\"}}' } }\n  tells: { depends_on: [good] }\n";
    stage.space.write("night.yaml", &plan_at(&stage.emulator, steps));
    assert_eq!(stage.run("apply night.yaml --new"), 1, "{}", stage.last());
    // Neither of these has sent them.
    assert_eq!(stage.run("logs tells --live"), 0, "{}", stage.last());
    assert!(stage.last().contains("*** and *** are known"), "{}", stage.last());
    stage.search("after logs of another step");
    assert_eq!(stage.run("resume"), 1, "{}", stage.last());
    assert!(stage.last().contains("*** and *** are known"), "{}", stage.last());
    assert_eq!(ran(&stage.emulator).len(), 3, "the second was done again");
    stage.search("after it was told by another step");
}

#[test]
fn what_cannot_be_read_is_told_before_anything_starts() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 100ms }\npipelines: { good: {} }\n");
    let check = |reference: &str, code: i32, want: &str| {
        let steps =
            format!("steps:\n  good: {{ parameters: {{ key: '{{{{secret \"{reference}\"}}}}' }} }}\n");
        stage.space.write("night.yaml", &plan_at(&stage.emulator, &steps));
        assert_eq!(stage.run("apply night.yaml --new"), code, "{reference}: {}", stage.last());
        assert!(stage.last().contains(want), "{reference}: {}", stage.last());
        assert!(
            stage.last().contains("nothing was started") && stage.last().contains("hint: "),
            "{}",
            stage.last()
        );
    };
    check("env:NONE", 4, "`env:NONE` cannot be read: the variable is not set");
    check("file:keys/none.txt", 4, "keys/none.txt`: No such file");
    check("file:keys", 4, "it is no file");
    check("keyvault:contoso-kv/none", 4, "the vault has no such secret");
    check("keyvault:none-kv/canary", 4, "the vault has no such secret");
    check("keyvault:contoso-kv/canary/00000000000000000000000000000000", 4, "the vault has no such secret");
    check("keyvault:contoso-kv/off", 4, "it is disabled");
    check("keyvault:contoso-kv/closed", 10, "Key Vault Secrets User");
    let record = stage.emulator.record();
    assert_eq!(record["requests"]["createRun"], Value::Null, "{record}");

    // What this machine lacks is told without asking anybody, and all of it at once.
    let steps = "steps:\n  good: { parameters: { a: '{{secret \"env:NONE\"}}', b: '{{secret \"file:none\"}}', c: '{{secret \"keyvault:contoso-kv/off\"}}' } }\n";
    stage.space.write("night.yaml", &plan_at(&stage.emulator, steps));
    assert_eq!(stage.run("apply night.yaml --new"), 4);
    assert!(stage.last().contains("2 secrets of the plan cannot be read"), "{}", stage.last());

    // Of the iterations each has its own; of steps that are left out nothing is read.
    let steps = "steps:\n  good: { parameters: { k: '{{secret \"env:CANARY\"}}' } }\n  \
                 each: { for_each: { a: 'env:CANARY', b: 'env:NONE' }, parameters: { k: '{{secret each.value}}' } }\n";
    stage.space.write("night.yaml", &plan_at(&stage.emulator, steps));
    assert_eq!(stage.run("apply night.yaml --new"), 4, "{}", stage.last());
    assert!(stage.last().contains("a secret of the plan cannot be read"), "{}", stage.last());
    assert_eq!(stage.run("apply night.yaml --new --select good"), 0, "{}", stage.last());
}

#[test]
fn a_secret_that_is_gone_when_its_step_starts_fails_the_step() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 1500ms }\npipelines: { good: {} }\n");
    stage
        .plan("night", &[("first", "pipeline: good"), ("second", "pipeline: good\n    depends_on: [first]")]);
    let mut apply = stage.begin("apply night.yaml --new");
    wait_until("the first has started", || !ran(&stage.emulator).is_empty());
    fs::remove_file(stage.space.path("keys/canary.txt")).unwrap();
    assert_eq!(apply.wait().unwrap().code(), Some(1));
    let status = stage.space.status();
    assert_eq!(outcomes(&status)["second"], "failed");
    let error = &status["steps"][1]["attempts"][0]["error"];
    assert_eq!(error["code"], "SecretUnreadable");
    assert!(error["message"].as_str().unwrap().contains("`file:keys/canary.txt` cannot be read"), "{error}");
    assert_eq!(ran(&stage.emulator).len(), 1, "nothing was sent");
}

#[test]
fn an_output_that_holds_a_secret_is_not_kept() {
    let stage = Stage::new(&format!(
        "defaults: {{ queued: 20ms, duration: 100ms }}\npipelines:\n  good:\n    \
         activities: {{ Look: {{ output: {{ found: [{{ key: {IN_FILE} }}], rows: 3 }} }} }}\n    \
         return_value: {{ token: \"Bearer {IN_TEXT}\", rows: 7, near: canary }}\n  fine: {{}}\n  token: {{}}\n  found: {{}}\n"
    ));
    let steps = r#"steps:
  good:
    parameters: { a: '{{secret "env:CANARY_TOKEN"}}', b: '{{secret "file:keys/canary.txt"}}' }
    outputs:
      token: '{{return_value.token}}'
      near: '{{return_value.near}}'
      rows: '{{return_value.rows}}'
      found: '{{activities.Look.output.found}}'
      looked: '{{activities.Look.output.rows}}'
  fine:
    depends_on: [good]
    parameters: { rows: '{{steps.good.outputs.rows}}', looked: '{{steps.good.outputs.looked}}', near: '{{steps.good.outputs.near}}', token: '{{default steps.good.outputs.token "none"}}' }
  token: { depends_on: [good], parameters: { it: '{{steps.good.outputs.token}}' } }
  found: { depends_on: [good], parameters: { it: '{{steps.good.outputs.found}}' } }
"#;
    stage.space.write("night.yaml", &plan_at(&stage.emulator, steps));
    assert_eq!(stage.run("apply night.yaml --new"), 1, "{}", stage.last());
    let status = stage.space.status();
    let ended = outcomes(&status);
    let three = ["fine", "token", "found"].map(|step| &*ended[step]);
    assert_eq!(three, ["succeeded", "failed", "failed"], "{status}");
    for output in ["token", "found"] {
        let why = format!(
            "`steps.good.outputs.{output}` has no value: it holds a secret, and secrets are not kept"
        );
        assert!(status.to_string().contains(&why), "{status}");
    }
    let record = stage.emulator.record();
    let sent = record["runs"].as_array().unwrap().iter().find(|run| run["pipeline"] == "fine").unwrap();
    assert_eq!(sent["parameters"], json!({ "rows": 7, "looked": 3, "near": "canary", "token": "none" }));
    stage.run("status");
    stage.search("after outputs");
}

#[test]
fn a_webhook_is_sent_its_secrets_and_nobody_else_is_shown_them() {
    let receiver = Receiver::new(|request| match request.target.as_str() {
        "/refused" => answer("400 Bad Request", &[], &request.body),
        _ => answer("204 No Content", &[], ""),
    });
    let url = receiver.url();
    let stage = Stage::new("defaults: { queued: 20ms, duration: 100ms }\npipelines: { good: {} }\n");
    let plan = r#"inputs: { token_at: { type: string, default: "env:CANARY_TOKEN" } }
on_finish:
  - url: '{{secret "env:CANARY_URL"}}'
    headers: { Authorization: 'Bearer {{secret "file:keys/canary.txt"}}', X-Plan: '{{plan.name}}' }
    body: { 'a/b': '{{secret "env:CANARY"}}', list: ['{{secret "keyvault:contoso-kv/canary"}} of {{flow.exit_code}}'] }
  - url: 'URL/x?key={{secret inputs.token_at}}'
  - url: URL/refused
    body: 'it is {{secret "env:CANARY"}}'
steps: { good: {} }
"#;
    stage.space.write("night.yaml", &plan_at(&stage.emulator, &plan.replace("URL/", &format!("{url}/"))));
    // An alarm that could not be sent is known in the evening.
    assert_eq!(stage.run("apply night.yaml --new"), 4, "{}", stage.last());
    assert!(stage.last().contains("`env:CANARY_URL` cannot be read"), "{}", stage.last());
    let mut apply = stage.command("apply night.yaml --new");
    assert_eq!(
        stage.keep("apply", apply.env("CANARY_URL", format!("{url}/{IN_HOOK}"))),
        0,
        "{}",
        stage.last()
    );
    let requests = receiver.server.requests();
    let of = |target: &str| requests.iter().find(|request| request.target == target).unwrap();
    let whole = of(&format!("/{IN_HOOK}"));
    assert_eq!(whole.header("authorization"), Some(&*format!("Bearer {IN_FILE}")));
    assert_eq!(
        (whole.header("x-plan"), whole.header("content-type")),
        (Some("test"), Some("application/json"))
    );
    assert_eq!(json_of(whole), json!({ "a/b": IN_ENV, "list": [format!("{IN_VAULT} of 0")] }));
    assert_eq!(json_of(of(&format!("/x?key={IN_TEXT}")))["type"], "io.synflow.flow.finished");
    assert_eq!(of("/refused").body, format!("it is {IN_ENV}"));
    assert_eq!(requests.len(), 3);
    let told = stage.last();
    assert!(told.contains("on_finish (1 of 3): told the address in `env:CANARY_URL`\n"), "{told}");
    assert!(told.contains(&format!("on_finish (2 of 3): told {url}\n")), "{told}");
    assert!(
        told.contains(&format!("on_finish (3 of 3): could not tell {url}: it answered 400 Bad Request\n")),
        "{told}"
    );
    stage.run("status");
    stage.search("after webhooks");

    // Nothing is sent, so nothing is read.
    stage.space.write(
        "home.yaml",
        &format!("version: 1\nname: home\nworkspace: w\n{}", plan.replace("URL/", "https://a.example/")),
    );
    assert_eq!(stage.run("apply home.yaml --emulate --progress lines"), 0, "{}", stage.last());
    assert!(
        stage.last().contains("of application/json to the address in `env:CANARY_URL`\n"),
        "{}",
        stage.last()
    );
}

#[test]
fn a_webhook_whose_secret_is_gone_changes_nothing_of_the_flow() {
    let receiver = Receiver::willing();
    let stage = Stage::new("defaults: { queued: 20ms, duration: 1500ms }\npipelines: { good: {} }\n");
    let plan = format!(
        "on_finish:\n  - {{ url: '{url}/{{{{secret \"file:keys/canary.txt\"}}}}' }}\n  \
         - {{ url: '{{{{secret \"file:keys/address.txt\"}}}}' }}\nsteps: {{ good: {{}} }}\n",
        url = receiver.url()
    );
    stage.space.write("keys/address.txt", "https://a.example/x\n");
    stage.space.write("night.yaml", &plan_at(&stage.emulator, &plan));
    let mut apply = stage.begin("apply night.yaml --new");
    wait_until("it has started", || !ran(&stage.emulator).is_empty());
    fs::remove_file(stage.space.path("keys/canary.txt")).unwrap();
    stage.space.write("keys/address.txt", "http://a.example/x");
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    let told = fs::read_to_string(stage.space.path("apply-night.yaml---new.stderr")).unwrap();
    assert!(
        told.contains("could not tell http://127.0.0.1:")
            && told.contains("`file:keys/canary.txt` cannot be read"),
        "{told}"
    );
    let unfit = "could not tell the address in `file:keys/address.txt`: it would be sent unencrypted; write `https://`";
    assert!(told.contains(unfit), "{told}");
    assert!(receiver.server.requests().is_empty());
}

#[test]
fn a_broken_answer_of_a_vault_shows_nothing_of_it() {
    for fault in
        ["kind: truncate", "kind: cut_in_body", "kind: html", "kind: status, status: 429", "kind: cut"]
    {
        let stage =
            Stage::new(&format!("pipelines: {{ good: {{}} }}\nfaults: [{{ on: getSecret, {fault} }}]\n"));
        stage.plan("night", &[("good", "pipeline: good")]);
        assert_eq!(stage.run("apply night.yaml --new"), 11, "{fault}: {}", stage.last());
        stage.search(fault);
        assert!(
            stage.last().contains("`keyvault:contoso-kv/canary` cannot be read"),
            "{fault}: {}",
            stage.last()
        );
    }
}

#[test]
fn a_recorded_vault_shows_no_secret() {
    let space = TestSpace::new();
    let script =
        space.write("script.yaml", &format!("secrets: {{ contoso-kv: {{ canary: {IN_VAULT} }} }}\n"));
    let file = space.path("exchanges.json");
    let emulator =
        space.emulate(&format!("--speed 100 --record {} --script {}", file.display(), script.display()));
    let plan = plan_at(
        &emulator,
        "steps:\n  a: { parameters: { k: '{{secret \"keyvault:contoso-kv/canary\"}}' } }\n",
    );
    let plan = space.write("plan.yaml", &plan);
    let said = space.run_at(&emulator, &format!("apply {} --new --beat 20ms", plan.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let exchanges: Vec<Value> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let of_vault: Vec<&Value> = exchanges
        .iter()
        .filter(|it| it["request"]["path"].as_str().unwrap().starts_with("/keyvault/"))
        .collect();
    assert_eq!(of_vault.len(), 1, "read once, and kept for the start");
    assert_eq!(of_vault[0]["response"]["body"]["value"], "(removed)");
    assert_eq!(of_vault[0]["request"]["query"]["api-version"], "7.4");
}
