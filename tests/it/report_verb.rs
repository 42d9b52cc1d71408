//! `synflow report` and `--report`: every form, from the real binary, and `docs/reports.md`, whose commands run.
//!
//! `tests/report/run.sh` opens the HTML in a browser and holds the XML against its schema.

use std::fs;

use serde_json::{Value, json};
use synflow::report::story;

use crate::space::{Said, TestSpace, root};
use crate::witness::{Stage, ran, wait_until};

const FAILS: &str = "apply examples/fails.yaml --emulate --script examples/fails.emulator.yaml";

/// What a page may not ask for or do: it is one file, and texts of others are never markup.
const FORBIDDEN_IN_SCRIPT: [&str; 13] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    "setTimeout(\"",
    "fetch(",
    "XMLHttpRequest",
    "WebSocket",
    "import(",
    "localStorage",
    "document.cookie",
];

fn space_with_a_failed_flow() -> TestSpace {
    let space = TestSpace::new();
    let said = space.run(FAILS);
    assert_eq!(said.code, 1, "{}", said.stderr);
    space
}

fn report(space: &TestSpace, words: &str) -> String {
    let said = space.run(&format!("report {words}"));
    assert_eq!(said.code, 0, "report {words}: {}", said.stderr);
    said.stdout
}

#[test]
fn json_is_what_its_schema_says() {
    let path = root().join("schemas/report.schema.json");
    let fresh = format!("{:#}\n", story::schema());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "schemas/report.schema.json is stale: UPDATE_EXPECT=1 writes it");
    let schema: Value = serde_json::from_str(&stored).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let space = space_with_a_failed_flow();
    let mut told: Value = serde_json::from_str(&report(&space, "--format json")).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&told).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(told["flow"]["outcome"], "failed");
    assert_eq!(told["flow"]["counts"], json!({ "blocked": 2, "failed": 1, "succeeded": 3 }));
    assert_eq!(told["causes"][0]["step"], "ingest_trips");
    assert_eq!(told["causes"][0]["stopped"], json!(["curate_trips", "publish_trips"]));
    assert!(told["steps"][0]["attempts"][0]["activities"][0]["name"].is_string(), "{told:#}");
    told["steps"][0]["outcome"] = json!("great");
    assert!(!validator.is_valid(&told));
    told["steps"][0].as_object_mut().unwrap().remove("outcome");
    assert!(!validator.is_valid(&told));
}

#[test]
fn html_is_one_file_that_asks_for_nothing() {
    let space = space_with_a_failed_flow();
    let page = report(&space, "@latest -o -");
    assert!(page.starts_with("<!doctype html>"), "{}", &page[..200]);
    assert!(page.contains("default-src 'none'"));
    // Addresses are those of workspaces and of the namespace of SVG; nothing is loaded from one.
    for loading in ["src=", "@import", "url(http", "<link", "<iframe", "<base"] {
        assert!(!page.contains(loading), "{loading}");
    }
    // What matters stands there without any script.
    let body = page.split("<script").next().unwrap();
    for wanted in [
        "What went wrong",
        "ingest_trips",
        "HttpFileFailedToRead",
        "blocked <a",
        "synflow status",
        "quarantine_trips",
    ] {
        assert!(body.contains(wanted), "{wanted}");
    }
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
    let script = fs::read_to_string(root().join("src/report/page/page.js")).unwrap();
    for word in FORBIDDEN_IN_SCRIPT {
        assert!(!script.contains(word), "page.js: {word}");
    }
    let style = fs::read_to_string(root().join("src/report/page/page.css")).unwrap();
    assert!(!style.contains("url("), "page.css loads something");
}

#[test]
fn junit_and_markdown_tell_the_same() {
    let space = space_with_a_failed_flow();
    let xml = report(&space, "--format junit");
    assert!(xml.contains("tests=\"6\" failures=\"1\" errors=\"0\""), "{xml}");
    assert_eq!(xml.matches("<skipped").count(), 2, "{xml}");
    assert!(xml.contains("<failure type=\"failed\" message=\"failed: "), "{xml}");
    let text = report(&space, "--format markdown");
    assert!(text.starts_with("### ❌ flow "), "{text}");
    assert!(text.contains("**failed**: ingest\\_trips"), "{text}");
    assert!(text.contains("blocked `curate_trips`, `publish_trips`"), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("| ") && line.contains(" | `")).count(),
        6,
        "{text}"
    );
}

#[test]
fn html_goes_into_a_file_of_its_own_name() {
    let space = space_with_a_failed_flow();
    let id = space.status()["flow"]["id"].as_str().unwrap().to_owned();
    let mut command = space.command(["report"]);
    command.current_dir(space.path(""));
    let said = Said::from(command.output().unwrap());
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    assert_eq!(said.stderr, format!("report: synflow-{id}.html\n"));
    assert!(fs::read_to_string(space.path(&format!("synflow-{id}.html"))).unwrap().contains("</html>"));
    let said = space.run("report -o no/such/folder/x.html");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("cannot write `no/such/folder/x.html`"), "{}", said.stderr);
    assert_eq!(space.run("report nothing").code, 2);
    assert_eq!(TestSpace::new().run("report").code, 2);
}

#[test]
fn apply_writes_it_at_the_end_whatever_that_is() {
    let space = TestSpace::new();
    let path = space.path("night.html");
    let said = space.run(&format!("{FAILS} --report {}", path.display()));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.ends_with(&format!("\nreport: {}\n", path.display())), "{}", said.stderr);
    let page = fs::read_to_string(&path).unwrap();
    assert!(page.contains("<strong>failed</strong>"));
}

#[test]
fn a_file_that_cannot_be_the_report_is_refused_before_anything_starts() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", "version: 1\nname: p\nworkspace: w\nsteps: { a: {} }\n");
    space.write("old.html", "old");
    let mut permissions = fs::metadata(space.path("old.html")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(space.path("old.html"), permissions).unwrap();
    let begins = |report: &str, more: &str| {
        let mut command = space.command(["apply", "plan.yaml", "--emulate", "--report", report]);
        Said::from(command.args(more.split_whitespace()).current_dir(space.path("")).output().unwrap())
    };
    for (report, why) in [
        ("no/such/folder/x.html", "there is no such folder"),
        (".", "it is a folder"),
        ("-", "`synflow report -o -` writes it there"),
        ("plan.yaml", "the flow is made of it"),
        ("./plan.yaml", "the flow is made of it"),
        ("old.html", "it is read-only"),
    ] {
        let said = begins(report, "");
        assert_eq!(said.code, 2, "{report}: {}", said.stderr);
        assert!(said.stderr.contains(why) && said.stderr.contains("hint: "), "{report}: {}", said.stderr);
    }
    assert!(!space.state_dir().exists(), "nothing was begun");
    assert_eq!(begins("new.html", "").code, 0);
    assert_eq!(fs::read_to_string(&plan).unwrap().lines().count(), 4);
}

/// Neither the file of an earlier night nor a hint may stand where the truth belongs.
#[test]
fn a_report_that_fails_at_the_end_changes_nothing_and_is_not_handed_on() {
    let stage = Stage::new(
        "faults: [{ on: createRun, kind: slow, for: 3s, first: 1 }]\ndefaults: { duration: 60s }\n",
        "steps:\n  a: {}\n",
    );
    let report = stage.space.write("night.html", "old");
    let output = stage.space.path("output");
    let mut apply = stage.command(&format!("apply PLAN --detach --report {}", report.display()));
    apply
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("RUNNER_TEMP", stage.space.path(""));
    apply.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let apply = apply.spawn().unwrap();
    wait_until("the start has arrived", || ran(&stage.emulator).len() == 1);
    let mut permissions = fs::metadata(&report).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&report, permissions).unwrap();
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 30, "{}", said.stderr);
    let id = stage.flow();
    let why = format!("was not written: the file is read-only; `synflow report {id}` writes it\n");
    assert!(said.stderr.contains(&why), "{}", said.stderr);
    assert!(said.stderr.ends_with(&format!("\nnext: synflow resume {id}\n")), "{}", said.stderr);
    let page = stage.space.path(&format!("synflow-{id}.md"));
    let told = fs::read_to_string(output).unwrap();
    assert!(told.ends_with(&format!("\nreport={}\n", page.display())), "{told}");
    assert!(fs::read_to_string(page).unwrap().contains(&id));
    assert_eq!(fs::read_to_string(report).unwrap(), "old");
}

#[test]
fn a_flow_that_is_left_is_reported_as_it_stands_and_resume_reports_its_end() {
    let stage = Stage::new("defaults: { duration: 500ms }\n", "steps:\n  a: {}\n  b: { depends_on: [a] }\n");
    let path = stage.space.path("night.html");
    let read = || fs::read_to_string(&path).unwrap();
    let said = stage.run(&format!("apply PLAN --detach --report {}", path.display()));
    assert_eq!(said.code, 30, "{}", said.stderr);
    // The last line stays the command that goes on.
    let next = format!("next: synflow resume {}", stage.flow());
    assert_eq!(said.stderr.trim_end().lines().last(), Some(next.as_str()));
    assert!(read().contains("<strong>is detached</strong>"));
    assert!(!stage.space.state_dir().join("journal.db-wal").exists(), "an orderly exit leaves one file");
    let said = stage.run(&format!("resume --report {}", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.ends_with(&format!("report: {}\n", path.display())), "{}", said.stderr);
    assert!(read().contains("<strong>succeeded</strong>"));
    assert!(read().contains("synflow stopped looking; runs under way went on"));
}

#[test]
fn what_earlier_flows_took_is_told() {
    let space = TestSpace::new();
    let hello = "apply examples/hello.yaml --emulate --speed 10";
    for _ in 0..2 {
        assert_eq!(space.run(hello).code, 0);
    }
    let told = |flow: &str| -> Value {
        serde_json::from_str(&report(&space, &format!("{flow} --format json"))).unwrap()
    };
    let newest = told("@latest");
    assert_eq!(newest["flow"]["earlier_flows"], 1);
    assert!(newest["flow"]["expected_ms"].as_u64().unwrap() > 0, "{newest:#}");
    assert!(newest["steps"][0]["usual_ms"].is_u64(), "{newest:#}");
    // Of the flow before it, nothing was known.
    let first = told("@latest~1");
    assert_eq!(first["flow"]["earlier_flows"], 0);
    assert!(first["flow"]["expected_ms"].is_null());
}

#[test]
fn the_commands_of_its_page_run() {
    let page = fs::read_to_string(root().join("docs/reports.md")).unwrap();
    let space = TestSpace::new();
    let mut ran = 0;
    for block in page.split("```sh\n").skip(1) {
        let commands = block.split("```").next().unwrap().lines();
        for command in commands.filter_map(|line| line.strip_prefix("synflow ")) {
            let words: Vec<&str> = command.split(" > ").next().unwrap().split(' ').collect();
            // What a command writes goes where the test's own files are.
            let folder = space.path("");
            let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            for at in 1..words.len() {
                if ["-o", "--report"].contains(&words[at - 1].as_str()) && words[at] != "-" {
                    words[at] = folder.join(&words[at]).display().to_string();
                } else if words[at].starts_with("examples/") {
                    words[at] = root().join(&words[at]).display().to_string();
                }
            }
            let said = Said::from(space.command(&words).current_dir(&folder).output().unwrap());
            let fails_on_purpose = command.starts_with("apply examples/fails.yaml");
            assert_eq!(said.code, i32::from(fails_on_purpose), "{command}: {}", said.stderr);
            ran += 1;
        }
    }
    assert!(ran >= 4, "{ran}");
    let picture = page.split("](pictures/").nth(1).unwrap().split(')').next().unwrap();
    assert!(root().join("docs/pictures").join(picture).exists());
}

#[test]
fn a_flow_keeps_the_commit_of_its_plan() {
    const PLAN: &str = "version: 1\nname: p\nworkspace: w\nsteps: { a: {} }\n";
    let space = TestSpace::new();
    let plan = space.write("repository/plan.yaml", PLAN);
    let told = || -> Value {
        let said = space.run(&format!("apply {} --emulate --progress none", plan.display()));
        assert_eq!(said.code, 0, "{}", said.stderr);
        let told: Value = serde_json::from_str(&report(&space, "--format json")).unwrap();
        told["flow"]["commit"].clone()
    };
    let git = |words: &[&str]| {
        let done = std::process::Command::new("git")
            .current_dir(plan.parent().unwrap())
            .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    assert_eq!(told(), Value::Null, "there is no commit");
    git(&["add", "plan.yaml"]);
    git(&["commit", "--quiet", "-m", "first"]);
    let id = git(&["rev-parse", "HEAD"]);
    assert_eq!(told(), json!({ "id": id, "changed": false }));
    space.write("repository/plan.yaml", &format!("# another line\n{PLAN}"));
    assert_eq!(told(), json!({ "id": id, "changed": true }));
    let page = report(&space, "-o -");
    assert!(page.contains(&id) && page.contains("were not committed"), "{page}");
    assert_eq!(space.status()["flow"]["commit"]["id"], id.as_str());
}

/// The commit is that of the plan that the flow went on by.
#[test]
fn an_edited_plan_brings_its_own_commit() {
    let stage = Stage::new(
        "defaults: { duration: 50ms }\npipelines: { bad: { outcome: failed } }\n",
        "steps:\n  bad: {}\n",
    );
    let git = |words: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.current_dir(stage.space.path("")).args(["-c", "user.name=x", "-c", "user.email=x@example.com"]);
        let done = git.args(words).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let commit = |message: &str| {
        git(&["add", "plan.yaml"]);
        git(&["commit", "--quiet", "-m", message]);
        git(&["rev-parse", "HEAD"])
    };
    git(&["init", "--quiet"]);
    let first = commit("first");
    assert_eq!(stage.run("apply PLAN").code, 1);
    assert_eq!(stage.space.status()["flow"]["commit"], json!({ "id": first, "changed": false }));
    stage.edit("steps:\n  bad: { pipeline: good }\n");
    let second = commit("second");
    assert_ne!(first, second);
    assert_eq!(stage.run("resume --plan PLAN").code, 0);
    assert_eq!(stage.space.status()["flow"]["commit"], json!({ "id": second, "changed": false }));
    let told: Value = serde_json::from_str(&stage.run("report --format json").stdout).unwrap();
    assert_eq!(told["flow"]["commit"]["id"], second.as_str());
}

/// It may wait for a network drive, or be a wrapper that asks for a password.
#[cfg(unix)]
#[test]
fn a_git_that_hangs_does_not_hold_up_a_flow() {
    use std::os::unix::fs::PermissionsExt;

    let space = TestSpace::new();
    let plan = space.write("plan.yaml", "version: 1\nname: p\nworkspace: w\nsteps: { a: {} }\n");
    let told = space.path("told");
    let git = space.write(
        "bin/git",
        &format!("#!/bin/sh\n{{ env; cat; echo \"read all\"; }} > {}\nexec sleep 60\n", told.display()),
    );
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", git.parent().unwrap().display());
    let words = format!("apply {} --emulate --progress none", plan.display());
    let said = Said::from(space.command(words.split(' ')).env("PATH", path).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = space.status();
    assert_eq!(status["flow"]["commit"], Value::Null);
    let told = fs::read_to_string(told).unwrap();
    for line in ["GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "read all"] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
}
