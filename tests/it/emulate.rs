//! `synflow emulate`, the real binary: what it prints, and its options.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::space::{Emulator, Said, TestSpace};

fn plan_at(emulator: &Emulator) -> String {
    format!(
        "version: 1\nname: test\nworkspaces: {{ main: {{ endpoint: \"{}\" }} }}\nsteps: {{ one: {{}} }}\n",
        emulator.endpoint()
    )
}

fn apply(space: &TestSpace, emulator: &Emulator, words: &str) -> Said {
    let path = space.write("plan.yaml", &plan_at(emulator));
    space.run_at(emulator, format!("apply {} --beat 20ms {words}", path.display()).trim())
}

#[test]
fn serves_https_to_who_trusts_its_certificate() {
    let space = TestSpace::new();
    let emulator = space.emulate("--tls --speed 100");
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"), "{}", emulator.endpoint());
    let ca_file = emulator.variable("SYNFLOW_CA_FILE").to_owned();
    assert!(std::fs::read_to_string(&ca_file).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

    let said = apply(&space, &emulator, "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let path = space.write("plan.yaml", &plan_at(&emulator));
    let mut stranger = space.command_at(&emulator, &format!("apply {} --ca-file {ca_file}", path.display()));
    let said = Said::from(stranger.env_remove("SYNFLOW_CA_FILE").output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mut stranger = space.command_at(&emulator, &format!("apply {}", path.display()));
    let said = Said::from(stranger.env_remove("SYNFLOW_CA_FILE").output().unwrap());
    assert_eq!(said.code, 11, "{}", said.stderr);
    assert!(said.stderr.contains("--ca-file"), "{}", said.stderr);
}

/// Without the factor this test would take half a day.
#[test]
fn goes_as_fast_as_it_is_told() {
    let space = TestSpace::new();
    let script = space.write("emulator.yaml", "speed: 2\npipelines: { one: { duration: 12h } }\n");
    let emulator = space.emulate(&format!("--speed 100000 --script {}", script.display()));
    let said = apply(&space, &emulator, "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    for factor in ["0", "-1", "fast", "inf"] {
        let said = Said::from(space.command(["emulate", &format!("--speed={factor}")]).output().unwrap());
        assert_eq!(said.code, 2, "{factor}: {}", said.stderr);
    }
}

#[test]
fn writes_down_every_exchange_without_secrets() {
    let space = TestSpace::new();
    let file = space.path("exchanges.json");
    let emulator = space.emulate(&format!("--speed 100 --record {}", file.display()));
    let said = apply(&space, &emulator, "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    let exchanges: Vec<Value> = serde_json::from_str(&text).unwrap();
    let is_start = |it: &&Value| it["request"]["path"].as_str().unwrap().ends_with("/createRun");
    assert_eq!(exchanges.iter().filter(is_start).count(), 1, "{text}");
    assert!(!text.contains(emulator.variable("AZURE_CLIENT_SECRET")), "{text}");
    assert!(!text.contains("eyJ"), "{text}");

    let said = space.run(&format!("emulate --record {}", space.path("no/such/folder.json").display()));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("folder.json"), "{}", said.stderr);
}

/// What a shell exports stands on stdout, what a person reads on stderr.
#[test]
fn says_how_to_point_clients_at_it() {
    let space = TestSpace::new();
    let mut child = space
        .command(["emulate", "--tls", "--workspace", "contoso-dw"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut names = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        names.push(line.split_once('=').expect("KEY=value").0.to_owned());
        if names.last().is_some_and(|name| name == "SYNAPSE_ENDPOINT") {
            break;
        }
    }
    let want = [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_AUTHORITY_HOST",
        "SYNFLOW_KEYVAULT_ENDPOINT",
        "SYNFLOW_CA_FILE",
        "SYNAPSE_ENDPOINT",
    ];
    assert_eq!(names, want);
    let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let manual: Vec<String> = stderr.take(7).map(Result::unwrap).collect();
    let manual = manual.join("\n");
    for word in
        ["`contoso-dw`", "disable_instance_discovery=True", "az rest", "workspaces: { main: { endpoint:"]
    {
        assert!(manual.contains(word), "{word}\n{manual}");
    }
    let files = || std::fs::read_dir(space.path("")).unwrap().map(|file| file.unwrap().file_name());
    let ca_files =
        || files().filter(|name| name.to_string_lossy().starts_with("synflow-emulator-ca-")).count();
    assert_eq!(ca_files(), 1);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(ca_files(), 0, "its certificate is of no use any more");
}

#[test]
fn a_script_that_is_none_ends_2_with_its_place() {
    let check = |text: &str, want: &[&str]| {
        let space = TestSpace::new();
        let script = space.write("script.yaml", text);
        let said = space.run(&format!("apply examples/hello.yaml --emulate --script {}", script.display()));
        assert_eq!(said.code, 2, "{}", said.stderr);
        for part in want.iter().chain(&["hint:"]) {
            assert!(said.stderr.contains(part), "`{part}` is not in: {}", said.stderr);
        }
    };
    check("seed: 1\npipelines: { p: { duraton: 1s } }\n", &["script.yaml:2:19", "duraton"]);
    check("artifacts: [nowhere]\n", &["nowhere"]);
}

#[test]
fn a_misspelt_pipeline_of_a_script_is_told() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "speed: 20\npipelines: { pl_helo: { outcome: failed } }\n");
    let said = space.run(&format!("apply examples/hello.yaml --emulate --script {}", script.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("note: no step runs the pipeline `pl_helo`"), "{}", said.stderr);
}

#[test]
fn a_recorded_start_lacks_the_values_of_secret_parameters() {
    let space = TestSpace::new();
    let definition = r#"{"name": "p", "properties": {"parameters": {"key": {"type": "SecureString"}}}}"#;
    space.write("workspace/pipeline/p.json", definition);
    let file = space.path("exchanges.json");
    let words =
        format!("--speed 100 --record {} --artifacts {}", file.display(), space.path("workspace").display());
    let emulator = space.emulate(&words);
    let main = format!("workspaces: {{ main: {{ endpoint: \"{}\" }} }}", emulator.endpoint());
    let plan = format!(
        "version: 1\nname: n\n{main}\nsteps: {{ p: {{ parameters: {{ key: '{{{{secret \"env:KEY\"}}}}' }} }} }}\n"
    );
    let plan = space.write("plan.yaml", &plan);
    let mut apply = space.command_at(&emulator, &format!("apply {} --beat 20ms", plan.display()));
    let said = crate::space::Said::from(apply.env("KEY", "canary-7f3a").output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"key\""), "{text}");
    assert!(!text.contains("canary-7f3a"), "{text}");
}
