//! `synflow cancel`, the real binary: it is done when Synapse says so.

use serde_json::Value;

use crate::space::Said;
use crate::witness::{Stage, outcomes, ran, signal, wait_until};

const SLOW: &str = "defaults: { duration: 60s, canceling: 700ms }\n";
const STEPS: &str = "steps:\n  a: {}\n  b: {}\n  c: { depends_on: [a] }\n";

/// Returns the statuses of all runs, in the order of acceptance.
fn statuses(stage: &Stage) -> Vec<String> {
    let record = stage.emulator.record();
    let runs = record["runs"].as_array().unwrap().iter();
    runs.map(|run| run["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn beside_a_live_owner_it_asks_and_waits() {
    let stage = Stage::new(SLOW, STEPS);
    let owner = stage.begin("apply PLAN");
    wait_until("both runs are accepted", || ran(&stage.emulator).len() == 2);
    let said = stage.run("cancel");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(statuses(&stage), ["Cancelled", "Cancelled"], "it is true when the command returns");
    let owner = Said::from(owner.wait_with_output().unwrap());
    assert_eq!(owner.code, 7, "{}", owner.stderr);
    let status = stage.space.status();
    let outcomes: Vec<&str> = outcomes(&status).into_values().collect();
    assert_eq!(outcomes, ["cancelled"; 3], "what never started ends cancelled, too");
    let again = stage.run(&format!("cancel {}", stage.flow()));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("has ended"), "{}", again.stderr);
}

/// A resume takes back what was asked of the owner before it. Whoever still waits must not take that for an answer.
#[cfg(unix)]
#[test]
fn a_request_that_was_taken_back_is_made_again() {
    let stage = Stage::new(SLOW, STEPS);
    let owner = stage.begin("apply PLAN");
    wait_until("both runs are accepted", || ran(&stage.emulator).len() == 2);
    let flow = synflow::flow::FlowId(stage.flow());
    signal(&owner, "STOP");
    let cancel = stage.begin("cancel");
    let asked = || {
        let mut journal = synflow::journal::Journal::open(&stage.space.state_dir()).unwrap();
        journal.asked(&flow).unwrap().first().map(|(request, _)| *request)
    };
    wait_until("it has asked", || asked().is_some());
    let first = asked().unwrap();
    synflow::journal::Journal::open(&stage.space.state_dir()).unwrap().dismiss(first).unwrap();
    wait_until("it asks again", || asked().is_some_and(|request| request > first));
    signal(&owner, "CONT");
    let said = Said::from(cancel.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(statuses(&stage), ["Cancelled", "Cancelled"]);
    assert_eq!(owner.wait_with_output().unwrap().status.code(), Some(7));
}

#[test]
fn without_an_owner_it_does_the_work_itself() {
    let stage = Stage::new(SLOW, STEPS);
    stage.apply_and_kill(2);
    let said = stage.run("cancel");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(statuses(&stage), ["Cancelled", "Cancelled"]);
    let status = stage.space.status();
    assert_eq!(status["flow"]["exit_code"], 7);
    assert_eq!(ran(&stage.emulator).len(), 2);
}

#[test]
fn one_step_is_ended_and_the_rest_goes_on() {
    let script = "defaults: { duration: 1s, canceling: 300ms }\npipelines: { a: { duration: 60s } }\n";
    let stage =
        Stage::new(script, "steps:\n  a: {}\n  b: {}\n  c: { depends_on: [a] }\n  d: { depends_on: [b] }\n");
    let owner = stage.begin("apply PLAN");
    wait_until("both runs are accepted", || ran(&stage.emulator).len() == 2);
    let said = stage.run(&format!("cancel {} --step a", stage.flow()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let owner = Said::from(owner.wait_with_output().unwrap());
    assert_eq!(owner.code, 7, "{}", owner.stderr);
    let status = stage.space.status();
    let outcomes = outcomes(&status);
    assert_eq!(
        ["a", "b", "c", "d"].map(|id| outcomes[id]),
        ["cancelled", "succeeded", "blocked", "succeeded"]
    );
}

#[test]
fn one_step_is_ended_without_an_owner_and_nothing_is_started_for_it() {
    let script = "defaults: { duration: 60s, canceling: 300ms }\n";
    let stage = Stage::new(
        script,
        "max_parallel: 2\nsteps:\n  a: {}\n  b: {}\n  c: {}\n  d: { depends_on: [{ a: [failed] }] }\n",
    );
    stage.apply_and_kill(2);
    let said = stage.run("cancel --step a");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(outcomes(&status)["a"], "cancelled");
    assert_eq!(status["flow"]["state"], "detached");
    assert_eq!(ran(&stage.emulator).len(), 2, "nothing was started");
    let said = stage.run("cancel --step aa");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `a`?"), "{}", said.stderr);
}

#[test]
fn children_are_ended_as_well() {
    let stage = Stage::new(SLOW, "steps:\n  parent: {}\n");
    let folder = stage.space.path("workspace");
    let child = "{ \"name\": \"child\", \"properties\": { \"activities\": [ { \"name\": \"Wait1\", \"type\": \"Wait\", \
                 \"typeProperties\": { \"waitTimeInSeconds\": 600 } } ] } }";
    let parent = "{ \"name\": \"parent\", \"properties\": { \"activities\": [ { \"name\": \"Call\", \
                  \"type\": \"ExecutePipeline\", \"typeProperties\": { \"pipeline\": { \"referenceName\": \"child\", \
                  \"type\": \"PipelineReference\" }, \"waitOnCompletion\": true } } ] } }";
    stage.space.write("workspace/pipeline/child.json", child);
    stage.space.write("workspace/pipeline/parent.json", parent);
    let script = stage.space.write("slow.yaml", SLOW);
    let emulator =
        stage.space.emulate(&format!("--script {} --artifacts {}", script.display(), folder.display()));
    let stage = Stage { emulator, ..stage };
    stage.edit("steps:\n  parent: {}\n");
    let runs = || stage.emulator.record()["runs"].as_array().unwrap().len();
    let mut owner = stage.begin("apply PLAN");
    wait_until("the child runs", || runs() == 2);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let said = stage.run("cancel");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(statuses(&stage), ["Cancelled", "Cancelled"], "the child's cancel is done, too");
}

/// Its service lives in its process, which is asked like any other owner.
#[test]
fn an_emulated_flow_is_ended_by_its_own_process() {
    let space = crate::space::TestSpace::new();
    let script = space.write("script.yaml", SLOW);
    let words = ["apply", "examples/hello.yaml", "--emulate", "--script", script.to_str().unwrap()];
    let owner = space.command(words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("the run has started", || {
        space.run("status --output json").stdout.contains("\"state\": \"running\"")
    });
    let id = space.status()["flow"]["id"].as_str().unwrap().to_owned();
    let said = space.run(&format!("cancel {id}"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(Said::from(owner.wait_with_output().unwrap()).code, 7);
}

#[test]
fn of_several_unfinished_flows_one_must_be_named() {
    let stage = Stage::new(SLOW, STEPS);
    assert_eq!(stage.run("cancel").code, 2);
    stage.apply_and_kill(2);
    let other = std::fs::read_to_string(stage.space.path("plan.yaml")).unwrap();
    let other = stage.space.write("other.yaml", &other.replace("name: test", "name: other"));
    let said = stage.run(&format!("apply {} --detach --new", other.display()));
    assert_eq!(said.code, 30, "{}", said.stderr);
    let said = stage.run("cancel");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert_eq!(said.stderr.matches("hint: synflow cancel ").count(), 2, "{}", said.stderr);
    let listed: Value = serde_json::from_str(&stage.run("flows --output json").stdout).unwrap();
    for flow in listed["flows"].as_array().unwrap() {
        let said = stage.run(&format!("cancel {}", flow["id"].as_str().unwrap()));
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    assert_eq!(statuses(&stage), ["Cancelled"; 4]);
}
