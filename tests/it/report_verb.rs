//! `synflow report` and `--report`: every form, from the real binary, and `docs/reports.md`, whose commands run.
//!
//! `tests/report/run.sh` opens the HTML in a browser and holds the XML against its schema.

use std::fs;

use serde_json::{Value, json};
use synflow::report::story;

use crate::space::{Said, TestSpace, root};
use crate::witness::Stage;

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
    let said = space.run(&format!("{FAILS} --report no/such/folder/x.html"));
    assert_eq!(said.code, 1, "a report that cannot be written changes nothing: {}", said.stderr);
    assert!(
        said.stderr.contains("warning: the report `no/such/folder/x.html` was not written"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("hint: synflow report "), "{}", said.stderr);
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
