//! One owner for each plan and key, by the real binary: who loses learns why, who dies lets go.

use std::process::Child;

use serde_json::Value;

use crate::space::Said;
use crate::witness::{Stage, ran, wait_until};

const ONE: &str = "steps:\n  one: {}\n  two: { depends_on: [one] }\n";

fn begun(stage: &Stage) -> Child {
    let apply = stage.begin("apply PLAN");
    wait_until("the run is accepted", || ran(&stage.emulator).len() == 1);
    apply
}

#[test]
fn the_loser_learns_who_holds_the_plan() {
    let stage = Stage::new("defaults: { duration: 20s }\n", ONE);
    let mut owner = begun(&stage);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 6, "{}", said.stderr);
    let id = stage.flow();
    let host = whoami::hostname().unwrap();
    for part in [
        format!("flow `{id}`"),
        format!("on {host}, process {}", owner.id()),
        " since 20".to_owned(),
        "nothing was started".to_owned(),
        format!("`synflow status {id}`"),
        format!("`synflow cancel {id}`"),
        "--wait".to_owned(),
    ] {
        assert!(said.stderr.contains(&part), "{part}\n{}", said.stderr);
    }
    let resumed = stage.run("resume");
    assert_eq!(resumed.code, 6, "{}", resumed.stderr);

    // The system frees the lock of a process that was killed: no waiting for a lease to run out.
    owner.kill().unwrap();
    owner.wait().unwrap();
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 6, "{}", said.stderr);
    assert!(said.stderr.contains(&format!("hint: `synflow resume {id}` goes on")), "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 1);
}

#[test]
fn whoever_waits_comes_next() {
    let stage = Stage::new("defaults: { duration: 1s }\n", ONE);
    let owner = begun(&stage);
    let said = stage.run("apply PLAN --wait");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("waiting for flow `"), "{}", said.stderr);
    assert_eq!(owner.wait_with_output().unwrap().status.code(), Some(0));
    let mut runs: Vec<_> = ran(&stage.emulator).into_values().collect();
    runs.sort_by(|a, b| a.accepted_at.cmp(&b.accepted_at));
    assert_eq!(runs.len(), 4);
    assert!(runs[1].ended_at.as_ref().unwrap() <= &runs[2].accepted_at, "never beside each other");
}

#[test]
fn a_broken_lease_stops_its_owner() {
    let stage = Stage::new("defaults: { duration: 3s }\n", ONE);
    let owner = begun(&stage);
    let id = stage.flow();
    let shown = stage.run("unlock");
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains(&format!("process {}", owner.id())), "{}", shown.stdout);
    let listed: Value = serde_json::from_str(&stage.run("unlock --output json").stdout).unwrap();
    assert_eq!(listed["leases"][0]["is_alive"], true);

    let broken = stage.run(&format!("unlock {id} --break"));
    assert_eq!(broken.code, 0, "{}", broken.stderr);
    let said = Said::from(owner.wait_with_output().unwrap());
    assert_eq!(said.code, 6, "{}", said.stderr);
    assert!(said.stderr.contains("the lease was removed"), "{}", said.stderr);
    wait_until("the run has ended", || ran(&stage.emulator).values().all(|run| run.ended_at.is_some()));
    assert_eq!(ran(&stage.emulator).len(), 1, "nothing more was started");

    let nobody = stage.run(&format!("unlock {id}"));
    assert_eq!(nobody.code, 2, "{}", nobody.stderr);
    let resumed = stage.run("resume");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2);
}

/// Another machine's journal knows nothing of this one; the workspace does.
#[test]
fn a_plan_that_the_journal_has_never_seen_looks_for_live_runs_first() {
    let stage =
        Stage::new("defaults: { duration: 20s }\n", "steps:\n  one: { parameters: { day: monday, n: 3 } }\n");
    let mut owner = begun(&stage);
    let elsewhere = stage.space.path("elsewhere");
    let words = format!("apply PLAN --detach --state-dir {}", elsewhere.display());
    let said = stage.run(&words);
    assert_eq!(said.code, 6, "{}", said.stderr);
    let (run, _) = ran(&stage.emulator).pop_first().unwrap();
    assert!(said.stderr.contains(&run), "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 1);

    stage.edit("steps:\n  one: { parameters: { day: tuesday, n: 3 } }\n");
    assert_eq!(stage.run(&words).code, 30, "other parameters: another piece of work");
    let third = stage.space.path("third");
    let said = stage.run(&format!("apply PLAN --detach --new --state-dir {}", third.display()));
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 3);
    owner.kill().unwrap();
    owner.wait().unwrap();
}
