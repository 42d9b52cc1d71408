//! `synflow logs STEP`: from the journal for what is over, from the workspace for what is under way.

use serde_json::Value;

use crate::activities;
use crate::space::{Said, TestSpace};
use crate::witness::{Stage, wait_until};

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr))
}

#[test]
fn what_is_over_is_told_by_the_journal_and_anew_by_the_workspace() {
    let stage = activities::stage(activities::SCRIPT);
    assert_eq!(stage.run("apply PLAN").code, 1);
    let asked = stage.requests("queryActivityRuns");
    let said = stage.run("logs curate");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let text = said.stdout;
    assert!(text.starts_with(&format!("curate of flow {}: failed after ", stage.flow())), "{text}");
    assert!(
        text.contains(
            "\n  load_customers > copy_all > Copy_2: UserErrorInvalidTable: no table dbo.Customers"
        ),
        "{text}"
    );
    let way = [
        "  Load ",
        "    > load_customers, run ",
        "      Copy all ",
        "        > copy_all, run ",
        "          Copy_2 ",
    ];
    let mut rest = text.as_str();
    for line in way {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("no `{line}` in its place:\n{text}")).1;
    }
    assert!(rest.contains("UserErrorInvalidTable: no table dbo.Customers"), "{text}");
    assert_eq!(stage.requests("queryActivityRuns"), asked, "nobody was asked");

    let live = stage.run("logs curate --live --output json");
    assert_eq!(live.code, 0, "{}", live.stderr);
    assert_eq!(stage.requests("queryActivityRuns"), asked + 3, "the run and two below it");
    let attempt = &json(&live)["steps"][0]["attempts"][0];
    assert_eq!(attempt["source"], "workspace");
    let inner = &attempt["activities"][0]["child"]["activities"][0]["child"];
    assert_eq!(inner["pipeline"], "copy_all");
    assert_eq!(inner["activities"][1]["error"]["code"], "UserErrorInvalidTable");
    assert!(!attempt["activities"][0]["output"].is_null(), "what an activity gave is asked for, too");
    let kept = json(&stage.run("logs curate --output json"));
    assert_eq!(kept["steps"][0]["attempts"][0]["source"], "journal");
    assert!(kept["steps"][0]["attempts"][0]["activities"][0]["output"].is_null());
    assert!(stage.run("logs curate --output yaml").stdout.contains("source: journal"));

    // Who is not let in still sees what the journal has.
    let mut command = stage.command("logs curate --live");
    command.env("AZURE_CLIENT_SECRET", "wrong");
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stdout.contains("Copy_2"), "{}", said.stdout);
    assert!(said.stdout.contains("note: the workspace could not be asked"), "{}", said.stdout);
    assert!(said.stderr.contains("cannot sign in"), "{}", said.stderr);
}

#[test]
fn what_is_under_way_is_told_by_the_workspace() {
    let stage = Stage::new(
        "defaults: { queued: 10ms, duration: 30s }\n",
        "steps: { a: {}, b: { depends_on: [a] } }\n",
    );
    let mut apply = stage.begin("apply PLAN");
    wait_until("its activity is at work", || {
        let said = stage.run("logs a --output json");
        said.code == 0 && json(&said)["steps"][0]["attempts"][0]["activities"][0]["status"] == "InProgress"
    });
    let said = stage.run("logs a");
    assert!(said.stdout.contains(" so far\n"), "{}", said.stdout);
    assert!(!said.stdout.contains("gave "), "{}", said.stdout);
    let said = stage.run("logs b");
    assert_eq!(said.code, 0);
    assert!(
        said.stdout.ends_with(&format!("it has no run\n\nnext: synflow why b --flow {}\n", stage.flow())),
        "{}",
        said.stdout
    );
    apply.kill().unwrap();
    apply.wait().unwrap();
    // The run goes on without us, and so do its logs.
    assert_eq!(json(&stage.run("logs a --output json"))["steps"][0]["attempts"][0]["source"], "workspace");
}

#[test]
fn attempts_and_iterations_are_chosen_by_name() {
    let stage = Stage::new(
        "defaults: { queued: 10ms, duration: 50ms }\npipelines:\n  again: { runs: [{ outcome: failed }, { outcome: succeeded }] }\n",
        "steps:\n  again: { retry: { max_attempts: 2, delay: 50ms } }\n  ingest: { for_each: [emea, apac], pipeline: ingest }\n",
    );
    assert_eq!(stage.run("apply PLAN").code, 0);
    let attempts = |words: &str| {
        let said = stage.run(&format!("logs {words} --output json"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        let steps = json(&said)["steps"].as_array().unwrap().clone();
        let count = |step: &Value| {
            (step["id"].as_str().unwrap().to_owned(), step["attempts"].as_array().unwrap().len())
        };
        steps.iter().map(count).collect::<Vec<_>>()
    };
    let one = |id: &str, count| (id.to_owned(), count);
    assert_eq!(attempts("again"), [one("again", 2)]);
    assert_eq!(attempts("again --attempt 2"), [one("again", 1)]);
    assert_eq!(attempts("ingest[apac]"), [one("ingest[apac]", 1)]);
    assert_eq!(attempts("ingest"), [one("ingest[emea]", 1), one("ingest[apac]", 1)]);
    let said = stage.run("logs again --attempt 3");
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("`again` has no attempt 3\n  because it has 2"), "{}", said.stderr);
    let said = stage.run("logs agian");
    assert!(said.stderr.contains("did you mean `again`?"), "{}", said.stderr);
}

#[test]
fn of_an_emulated_flow_the_journal_is_all_there_is() {
    let space = TestSpace::new();
    assert_eq!(
        space.run("apply examples/fails.yaml --emulate --script examples/fails.emulator.yaml").code,
        1
    );
    let status = space.status();
    let steps = status["steps"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["outcome"] == "failed").unwrap()["id"].as_str().unwrap();
    for words in [format!("logs {failed}"), format!("logs {failed} --live")] {
        let said = space.run(&words);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stdout.contains("Failed"), "{}", said.stdout);
    }
    assert_eq!(TestSpace::new().run("logs load").code, 2);
}
