//! `synflow doctor`, the real binary against `synflow emulate`, and `docs/doctor.md`, whose blocks are its output.
//!
//! `SYNFLOW_WRITE_DOCS=1 cargo test --test it doctor` writes the blocks anew; read what changed.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::space::{Emulator, Said, TestSpace, root};

/// A name that no resolver is asked for, since a label has at most 63 letters. The page shows it shorter.
const WRONG_NAME: &str = "contoso-dww-contoso-dww-contoso-dww-contoso-dww-contoso-dww-contoso-dww";

const PLAN: &str = "\
version: 1
name: nightly-sales
workspaces: { main: { endpoint: \"ENDPOINT\" } }
steps:
  ingest: { pipeline: pl_ingest }
  curate: { pipeline: pl_curate, depends_on: [ingest] }
";

/// What differs from a healthy surrounding.
#[derive(Default)]
struct Case {
    script: &'static str,
    tls: bool,
    /// Where the plan says that the workspace is, if not where the emulator is.
    endpoint: Option<String>,
    /// Variables that are set, or not set where there is no value.
    env: Vec<(&'static str, Option<&'static str>)>,
    words: &'static str,
    plan: Option<String>,
}

/// Runs the doctor in such a surrounding.
fn doctor(case: &Case) -> Said {
    let space = TestSpace::new();
    let emulator = emulator(&space, case);
    Said::from(command(&space, &emulator, case, case.words).output().unwrap())
}

fn emulator(space: &TestSpace, case: &Case) -> Emulator {
    for name in ["pl_ingest", "pl_curate", "pl_publish"] {
        let text = format!("{{\"name\": \"{name}\", \"properties\": {{\"activities\": []}}}}");
        space.write(&format!("workspace/pipeline/{name}.json"), &text);
    }
    let script = space.write("emulator.yaml", &format!("artifacts: [workspace]\n{}", case.script));
    let tls = if case.tls { " --tls" } else { "" };
    space.emulate(&format!("--workspace contoso-dw --script {}{tls}", script.display()))
}

fn command(space: &TestSpace, emulator: &Emulator, case: &Case, words: &str) -> Command {
    let endpoint = case.endpoint.as_deref().unwrap_or_else(|| emulator.endpoint());
    let plan = case.plan.as_deref().unwrap_or(PLAN).replace("ENDPOINT", endpoint);
    space.write("plan.yaml", &plan);
    let mut command = space.command_at(emulator, "doctor plan.yaml");
    command.current_dir(space.path(""));
    if !words.is_empty() {
        command.args(words.split(' '));
    }
    for (name, value) in &case.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn without_credentials() -> Case {
    let names = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];
    Case { env: names.map(|name| (name, None)).to_vec(), ..Case::default() }
}

/// Returns every case of the page: its heading, what it is, and its exit code.
fn cases() -> Vec<(&'static str, Case, i32)> {
    let script = |script| Case { script, ..Case::default() };
    let wrong_secret = Case { env: vec![("AZURE_CLIENT_SECRET", Some("not-the-secret"))], ..Case::default() };
    let wrong_name =
        Case { endpoint: Some(format!("https://{WRONG_NAME}.dev.azuresynapse.net")), ..Case::default() };
    let untrusted = Case { tls: true, env: vec![("SYNFLOW_CA_FILE", None)], ..Case::default() };
    let misspelt = Case { plan: Some(PLAN.replace("pl_curate", "pl_curated")), ..Case::default() };
    vec![
        ("All is well", Case::default(), 0),
        ("No credentials at all", without_credentials(), 10),
        ("A wrong secret", wrong_secret, 10),
        ("The right secret, but no role", script("access: { roles: [] }"), 10),
        ("A role without `useSecret`", script("access: { roles: [Synapse Contributor] }"), 10),
        (
            "Permissions that the workspace does not tell",
            script(
                "access: { roles: [Synapse Artifact User] }\nfaults: [{ on: checkAccess, kind: status, status: 403 }]",
            ),
            0,
        ),
        ("A wrong workspace name", wrong_name, 11),
        ("A clock that is 10 minutes off", script("clock_skew: 10m"), 0),
        ("A certificate that is not trusted", untrusted, 11),
        ("A pipeline that is not there", misspelt, 4),
    ]
}

#[test]
fn the_page_shows_what_it_prints() {
    let path = root().join("docs/doctor.md");
    let mut page = std::fs::read_to_string(&path).unwrap();
    let mut wrong = Vec::new();
    for (heading, case, code) in cases() {
        let said = doctor(&case);
        assert_eq!(said.code, code, "{heading}\n{}{}", said.stdout, said.stderr);
        let begin =
            page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
        let opening = "```console\n$ synflow doctor plan.yaml\n";
        let start = begin + page[begin..].find(opening).unwrap() + opening.len();
        let end = start + page[start..].find("```").unwrap();
        if settled(&page[start..end]) != settled(&said.stdout) {
            wrong.push(format!("## {heading}\n\n{}", said.stdout));
            page.replace_range(start..end, &shown(&said.stdout));
        }
    }
    if std::env::var_os("SYNFLOW_WRITE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "docs/doctor.md is stale; this is what is printed:\n\n{}", wrong.join("\n"));
}

/// Makes an output fit for the page.
fn shown(text: &str) -> String {
    words(&text.replace(WRONG_NAME, "contoso-dww"), |word| {
        word.starts_with("127.0.0.1:").then(|| "127.0.0.1:8080".to_owned())
    })
}

/// Takes out what differs from one time to the next, and between systems.
fn settled(text: &str) -> String {
    let text = shown(text);
    // The system's own words for a name that it does not know.
    let unknown = "there is no host contoso-dww.dev.azuresynapse.net (";
    let text = match text.split_once(unknown) {
        Some((before, rest)) => {
            format!("{before}{unknown}{}", &rest[rest.find(")\n").unwrap_or_default()..])
        }
        None => text,
    };
    words(&text, |word| {
        let is_guid = uuid::Uuid::parse_str(word).is_ok();
        let is_time = word.len() > 19 && word.parse::<jiff::Timestamp>().is_ok();
        (is_guid || is_time).then(|| "SETTLED".to_owned())
    })
}

/// Changes words: what is made of letters, digits and the signs inside of addresses, ids and times.
fn words(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut changed = String::new();
    let is_inside = |letter: char| letter.is_ascii_alphanumeric() || ".:-".contains(letter);
    for piece in text.split_inclusive(|letter| !is_inside(letter)) {
        let word = piece.trim_end_matches(|letter| !is_inside(letter)).trim_end_matches(['.', ':']);
        changed.push_str(&change(word).unwrap_or_else(|| word.to_owned()));
        changed.push_str(&piece[word.len()..]);
    }
    changed
}

/// Returns the results of the checks of that name, in any place.
fn results<'a>(told: &'a Value, name: &str) -> Vec<&'a Value> {
    let places = told["places"].as_array().unwrap().iter();
    let checks = places.flat_map(|place| place["checks"].as_array().unwrap());
    checks.filter(|check| check["check"] == name).collect()
}

#[test]
fn tells_programs_the_same() {
    let said = doctor(&Case { words: "--output json", ..cases().remove(4).1 });
    assert_eq!(said.code, 10, "{}", said.stderr);
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(told["exit_code"], 10);
    let failed: Vec<_> =
        results(&told, "permission").into_iter().filter(|check| check["result"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{told:#}");
    assert_eq!(failed[0]["facts"]["action"], "Microsoft.Synapse/workspaces/credentials/useSecret/action");
    assert_eq!(failed[0]["facts"]["role"], "Synapse Credential User");

    let said = doctor(&Case { words: "--output yaml", ..Case::default() });
    let told: BTreeMap<String, Value> = serde_yaml::from_str(&said.stdout).unwrap();
    assert_eq!(told["exit_code"], 0);
}

#[test]
fn every_failing_line_says_what_to_do() {
    for (heading, case, _) in cases() {
        let said = doctor(&Case { words: "--output json", ..case });
        let told: Value = serde_json::from_str(&said.stdout).unwrap();
        for place in told["places"].as_array().unwrap() {
            for check in place["checks"].as_array().unwrap() {
                let has_next = !check["next"].as_array().unwrap().is_empty();
                assert!(has_next || check["result"] != "fail", "{heading}: {check:#}");
            }
        }
    }
}

#[test]
fn starts_nothing_and_tells_no_secret() {
    let space = TestSpace::new();
    let case = Case::default();
    let emulator = emulator(&space, &case);
    let mut said = Said::from(command(&space, &emulator, &case, "").output().unwrap());
    said.stdout.push_str(&said.stderr);
    assert!(!said.stdout.contains(emulator.variable("AZURE_CLIENT_SECRET")), "{}", said.stdout);
    // Every token of the emulator, and every token of this kind anywhere, begins so.
    assert!(!said.stdout.contains("eyJ"), "{}", said.stdout);
    let record = emulator.record();
    assert_eq!(record["runs"].as_array().unwrap().len(), 0);
    assert!(!space.state_dir().exists(), "it needs no journal");
}

/// The exit code is the one that `apply` ends with in the same surroundings.
#[test]
fn agrees_with_apply() {
    for (heading, case, code) in cases() {
        // `apply` finds this later, when it starts the step.
        if heading.contains("useSecret") {
            continue;
        }
        let space = TestSpace::new();
        let emulator = emulator(&space, &case);
        drop(command(&space, &emulator, &case, ""));
        let mut apply = space.command_at(&emulator, "apply plan.yaml --beat 50ms");
        apply.current_dir(space.path(""));
        for (name, value) in &case.env {
            match value {
                Some(value) => apply.env(name, value),
                None => apply.env_remove(name),
            };
        }
        let said = Said::from(apply.output().unwrap());
        // Without `useSecret` an apply begins, and its first start is refused.
        let want = if heading.contains("does not tell") { 1 } else { code };
        assert_eq!(said.code, want, "{heading}\n{}", said.stderr);
    }
}

#[test]
fn without_a_plan_it_checks_the_sign_in_alone() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let said = space.run_at(&emulator, "doctor");
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("sign-in, public cloud"), "{}", said.stdout);
    assert!(!said.stdout.contains("workspace `"), "{}", said.stdout);
}

#[test]
fn a_bad_plan_ends_3() {
    let space = TestSpace::new();
    let path = space.write("plan.yaml", "version: 1\nname: x\nstepz: {}\n");
    let said = space.run(&format!("doctor {}", path.display()));
    assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
}

/// A pipeline that only the emulator's script names, or nobody, is there as well: it can be started.
#[test]
fn an_emulator_without_definitions_has_the_pipelines_of_the_plan() {
    for script in ["pipelines: { pl_ingest: { duration: 1s } }\n", "seed: 1\n"] {
        let space = TestSpace::new();
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--workspace contoso-dw --script {}", script.display()));
        let case = Case::default();
        let said = Said::from(command(&space, &emulator, &case, "").output().unwrap());
        assert_eq!(said.code, 0, "{}", said.stdout);
    }
}

/// Whoever set up one way and gets another must hear of it.
#[test]
fn tells_of_a_way_that_was_passed_over() {
    let case = Case { env: vec![("AZURE_CLIENT_SECRET", Some("not-the-secret"))], ..Case::default() };
    let space = TestSpace::new();
    let emulator = emulator(&space, &case);
    let mut command = command(&space, &emulator, &case, "--output json");
    let said =
        Said::from(command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.endpoint()).output().unwrap());
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    let credentials = results(&told, "credential");
    assert_eq!(credentials[0]["facts"]["auth"], "managed_identity", "{told:#}");
    assert_eq!(credentials[1]["result"], "note", "{told:#}");
    assert!(credentials[1]["details"][0].as_str().unwrap().contains("AADSTS7000215"), "{told:#}");
}

/// A workspace's firewall answers 403 as well, and no role helps against it.
#[test]
fn a_firewall_is_no_missing_role() {
    let script = "faults: [{ on: getWorkspace, kind: html, status: 403 }]";
    let said = doctor(&Case { script, ..Case::default() });
    assert_eq!(said.code, 10, "{}", said.stdout);
    assert!(said.stdout.contains("Networking"), "{}", said.stdout);
    assert!(!said.stdout.contains("not given"), "{}", said.stdout);
}

/// What is lost on the way once is asked again, here and before an `apply`.
#[test]
fn a_hiccup_is_passed_over() {
    let script =
        "faults: [{ on: [getWorkspace, listPipelines, getPipeline], kind: status, status: 503, first: 2 }]";
    let case = Case { script, ..Case::default() };
    let said = doctor(&case);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let space = TestSpace::new();
    let emulator = emulator(&space, &case);
    drop(command(&space, &emulator, &case, ""));
    let mut apply = space.command_at(&emulator, "apply plan.yaml --beat 50ms");
    let said = Said::from(apply.current_dir(space.path("")).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_service_that_is_out_of_order_ends_11() {
    let script = "faults: [{ on: [getWorkspace, listPipelines, getPipeline], kind: status, status: 503 }]";
    let said = doctor(&Case { script, ..Case::default() });
    assert_eq!(said.code, 11, "{}", said.stdout);
}

#[test]
fn the_way_asked_for_is_the_only_one() {
    let said = doctor(&Case { words: "--auth azure_cli --output json", ..Case::default() });
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stdout.contains("`az`"), "{}", said.stdout);
    let said = doctor(&Case { words: "--auth password", ..Case::default() });
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("workload_identity"), "{}", said.stderr);
}

#[test]
fn an_extra_certificate_makes_it_trusted() {
    let said = doctor(&Case { tls: true, ..Case::default() });
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("its certificate is trusted"), "{}", said.stdout);

    let space = TestSpace::new();
    let broken = space.write("ca.pem", "no certificate");
    for file in [broken, space.path("nowhere.pem")] {
        let said = space.run(&format!("doctor --ca-file {}", file.display()));
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("--ca-file"), "{}", said.stderr);
    }
}
