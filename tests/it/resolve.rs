//! `synflow resolve`, the real binary: where nobody can know, a person decides, and the flow goes on.

use crate::space::Said;
use crate::witness::{Stage, outcomes, ran, start_elsewhere, wait_until};

/// Returns the script of a service that makes runs with ids of its own and cuts the connection of the start that comes
/// after `earlier` others: the run exists, and nobody here has heard of it.
fn without_ids(earlier: usize) -> String {
    format!(
        "ids: ignored\ndefaults: {{ duration: 300ms }}\n\
         faults: [{{ on: createRun, pipeline: lost, kind: cut, accepted: true, skip: {earlier}, first: 1 }}]\n"
    )
}

const STEPS: &str = "steps:\n  first: {}\n  lost: { depends_on: [first] }\n  after: { depends_on: [lost] }\n";

/// Lets a flow come to the point where a person must look; returns it with the run that was made.
pub(crate) fn unknown(runs_of_others: usize) -> (Stage, String) {
    let stage = Stage::new(&without_ids(runs_of_others), STEPS);
    for _ in 0..runs_of_others {
        start_elsewhere(&stage.emulator, "lost", &serde_json::json!({}));
    }
    let said = stage.run("apply PLAN --new");
    assert_eq!(said.code, 9, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(outcomes(&status)["lost"], "unknown");
    let next = format!("next: synflow resolve {} lost --run RUN | --not-started | --give-up", stage.flow());
    assert_eq!(said.stderr.trim_end().lines().last(), Some(next.as_str()));
    let record = stage.emulator.record();
    let mut of_lost = record["runs"].as_array().unwrap().iter().filter(|run| run["pipeline"] == "lost");
    let run = of_lost.next_back().unwrap()["run_id"].as_str().unwrap().to_owned();
    assert!(said.stderr.contains(&run), "the candidates are shown\n{}", said.stderr);
    (stage, run)
}

#[test]
fn a_single_run_that_fits_is_adopted_without_a_person() {
    let stage = Stage::new(&without_ids(0), STEPS);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 3);
}

#[test]
fn the_run_that_a_person_names_is_followed() {
    let (stage, run) = unknown(1);
    let id = stage.flow();
    let accepted = ran(&stage.emulator).len();

    let stranger = "8b35ed2c-152b-11ec-8b35-ed2c152b11ec";
    let said = stage.run(&format!("resolve {id} lost --run {stranger}"));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("has no such run"), "{}", said.stderr);
    let first = crate::witness::runs_of_steps(&stage.space.status())["first"][0].clone();
    let said = stage.run(&format!("resolve {id} lost --run {first}"));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("one of pipeline `first`"), "{}", said.stderr);
    assert_eq!(stage.run(&format!("resolve {id} first --give-up")).code, 6);
    assert_eq!(stage.run(&format!("resolve {id} lost")).code, 2);

    let said = stage.run(&format!("resolve {id} lost --run {run}"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), accepted + 1, "only `after` was started");
}

#[test]
fn what_a_person_says_was_not_started_is_started() {
    let (stage, _) = unknown(1);
    let accepted = ran(&stage.emulator).len();
    let said = stage.run(&format!("resolve {} lost --not-started", stage.flow()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), accepted + 2);
}

#[test]
fn what_a_person_gives_up_has_failed() {
    let (stage, _) = unknown(1);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 6, "it is unfinished\n{}", said.stderr);
    let said = stage.run(&format!("resolve {} lost --give-up", stage.flow()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let accepted = ran(&stage.emulator).len();
    let said = stage.run("resume");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!((outcomes(&status)["lost"], outcomes(&status)["after"]), ("failed", "blocked"));
    assert_eq!(ran(&stage.emulator).len(), accepted, "it is not started again, for it may be running");
    assert_eq!(stage.run("resume").code, 0, "asked once more, what failed is done again");
}

/// While other steps run, the process that drives the flow takes the answer in and goes on by itself.
#[test]
fn beside_a_live_owner_the_answer_is_taken_in_at_once() {
    let script = format!("{}pipelines: {{ slow: {{ duration: 600s }} }}\n", without_ids(1));
    let stage = Stage::new(&script, &format!("{STEPS}  slow: {{}}\n"));
    start_elsewhere(&stage.emulator, "lost", &serde_json::json!({}));
    let owner = stage.begin("apply PLAN --new");
    let is = |step: &'static str, outcome: &'static str| {
        move |stage: &Stage| {
            stage.space.run("status --output json").code == 0
                && outcomes(&stage.space.status()).get(step) == Some(&outcome)
        }
    };
    wait_until("a person must look", || is("lost", "unknown")(&stage));
    let id = stage.flow();
    let said = stage.run(&format!("resolve {id} lost --not-started"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains(&format!("the process that drives flow {id} goes on")), "{}", said.stderr);
    let late = stage.run(&format!("resolve {id} lost --give-up"));
    assert_eq!(late.code, 6, "{}", late.stderr);
    wait_until("the flow goes on", || is("after", "succeeded")(&stage));
    assert_eq!(stage.run("cancel").code, 0);
    let owner = Said::from(owner.wait_with_output().unwrap());
    assert!(owner.stderr.contains("a person said that no run was started"), "{}", owner.stderr);
}

#[test]
fn a_cancel_cannot_end_what_nobody_knows() {
    let (stage, _) = unknown(1);
    let said = stage.run("cancel");
    assert_eq!(said.code, 9, "{}", said.stderr);
    assert!(said.stderr.contains("synflow resolve"), "{}", said.stderr);
    assert_eq!(stage.run("cancel --step lost").code, 9);
    assert_eq!(stage.run(&format!("resolve {} lost --give-up", stage.flow())).code, 0);
    let said = stage.run("cancel");
    assert_eq!(said.code, 0, "{}", said.stderr);
}
