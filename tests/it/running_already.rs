//! `if_running` and `on_timeout`, the real binary beside runs that others have started in the workspace.

use serde_json::{Value, json};

use crate::space::{Said, TestSpace};
use crate::witness::{plan_at, start_elsewhere};

/// What came of a plan of the one step `ours` beside a run of its pipeline that others had started before.
struct Night {
    said: Said,
    /// The step, from `status --output json`.
    step: Value,
    /// The others' run, from the emulator's record.
    theirs: Value,
    /// The runs of synflow, from the same.
    ours: Vec<Value>,
}

impl Night {
    /// Plays it: the step has these keys beside the parameter `day: 1`.
    fn play(keys: &str, their_parameters: &Value) -> Self {
        let space = TestSpace::new();
        let script = space.write("script.yaml", "defaults: { queued: 100ms, duration: 2s }\n");
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let id = start_elsewhere(&emulator, "load", their_parameters);
        let plan = plan_at(
            &emulator,
            &format!("steps:\n  ours: {{ pipeline: load, parameters: {{ day: 1 }}, {keys} }}\n"),
        );
        let path = space.write("plan.yaml", &plan);
        // Without the key, a plan that the journal has never seen would not begin beside a run like its own.
        let said = space.run_at(&emulator, &format!("apply {} --new --beat 100ms", path.display()));
        let step = space.status()["steps"][0].take();
        let runs = emulator.record()["runs"].as_array().unwrap().clone();
        let (theirs, ours): (Vec<Value>, Vec<Value>) =
            runs.into_iter().partition(|run| run["run_id"] == id.as_str());
        let [theirs] = theirs.try_into().expect("the emulator remembers their run once");
        Self { said, step, theirs, ours }
    }

    fn check(&self, code: i32, outcome: &str, ours: usize) {
        assert_eq!(self.said.code, code, "{}", self.said.stderr);
        assert_eq!(self.step["outcome"], outcome, "{}", self.said.stderr);
        assert_eq!(self.ours.len(), ours, "{:?}", self.ours);
        assert_ne!(self.theirs["status"], "Cancelled", "their run is never ours to cancel");
    }

    /// Says whether our first run was accepted after the end of theirs; both times are texts that sort as times do.
    fn waited(&self) -> bool {
        let end = self.theirs["ended_at"].as_str();
        end.is_some_and(|end| self.ours[0]["accepted_at"].as_str().unwrap() >= end)
    }
}

#[test]
fn start_does_not_look_around() {
    for keys in ["if_running: start", "description: without the key"] {
        let night = Night::play(keys, &json!({ "day": 1 }));
        night.check(0, "succeeded", 1);
        assert!(!night.waited(), "{keys}");
    }
}

#[test]
fn wait_starts_after_the_end_of_the_others() {
    let night = Night::play("if_running: wait", &json!({ "day": 1 }));
    night.check(0, "succeeded", 1);
    assert!(night.waited(), "{:?} {:?}", night.theirs, night.ours);
}

#[test]
fn attach_takes_a_run_with_equal_parameters_for_its_own() {
    let night = Night::play("if_running: attach", &json!({ "day": 1 }));
    night.check(0, "succeeded", 0);
    assert_eq!(night.step["attempts"][0]["run_id"], night.theirs["run_id"]);
}

#[test]
fn attach_waits_for_a_run_with_other_parameters() {
    let night = Night::play("if_running: attach", &json!({ "day": 2 }));
    night.check(0, "succeeded", 1);
    assert!(night.waited(), "{:?} {:?}", night.theirs, night.ours);
}

#[test]
fn an_attached_run_is_left_alone_when_its_time_is_up() {
    let night = Night::play("if_running: attach, timeout: 500ms", &json!({ "day": 1 }));
    night.check(8, "timed_out", 0);
}

#[test]
fn skip_does_without_the_step() {
    let night = Night::play("if_running: skip", &json!({ "day": 2 }));
    night.check(0, "not_needed", 0);
}

#[test]
fn fail_fails_the_step_and_names_the_run() {
    let night = Night::play("if_running: fail", &json!({ "day": 2 }));
    night.check(1, "failed", 0);
    assert!(night.said.stderr.contains(night.theirs["run_id"].as_str().unwrap()), "{}", night.said.stderr);
}

/// A flow's own runs are nobody else's: the second step looks around while the first one's run is live.
#[test]
fn the_flows_own_runs_do_not_count() {
    let space = TestSpace::new();
    let script = "pipelines: { load: { duration: 3s }, soon: { queued: 100ms, duration: 100ms } }\n";
    let script = space.write("script.yaml", script);
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let steps = "steps:\n  a: { pipeline: load, if_running: fail }\n  soon: {}\n  \
                 b: { pipeline: load, depends_on: [soon], if_running: fail }\n";
    let path = space.write("plan.yaml", &plan_at(&emulator, steps));
    let said = space.run_at(&emulator, &format!("apply {} --beat 100ms", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let runs = emulator.record()["runs"].as_array().unwrap().clone();
    let loads: Vec<&Value> = runs.iter().filter(|run| run["pipeline"] == "load").collect();
    assert_eq!(loads.len(), 2, "{runs:?}");
    assert!(loads[1]["accepted_at"].as_str() < loads[0]["ended_at"].as_str(), "they overlap: {runs:?}");
}

#[test]
fn a_detached_run_goes_on_and_nothing_follows_from_its_timeout() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 60s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let steps = "steps:\n  slow: { timeout: 1s, on_timeout: detach, retry: { max_attempts: 3, delay: 100ms } }\n  \
                 handler: { depends_on: [{ slow: [failed, completed] }] }\n";
    let path = space.write("plan.yaml", &plan_at(&emulator, steps));
    let said = space.run_at(&emulator, &format!("apply {} --beat 100ms", path.display()));
    assert_eq!(said.code, 8, "{}", said.stderr);
    let status = space.status();
    assert_eq!(status["steps"][0]["outcome"], "timed_out");
    assert_eq!(status["steps"][1]["outcome"], "blocked");
    let record = emulator.record();
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(runs[0]["ended_at"].is_null(), "{runs:?}");
    assert!(record["requests"]["cancelRun"].as_u64().unwrap_or(0) == 0, "{}", record["requests"]);
}

/// The same plan without the key: the run is cancelled and the handler follows.
#[test]
fn a_cancelled_run_releases_what_waits_for_a_failure() {
    let space = TestSpace::new();
    let script = space.write(
        "script.yaml",
        "defaults: { duration: 200ms, canceling: 200ms }\npipelines: { slow: { duration: 60s } }\n",
    );
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let steps = "steps:\n  slow: { timeout: 1s, on_timeout: cancel }\n  handler: { depends_on: [{ slow: [failed] }] }\n";
    let path = space.write("plan.yaml", &plan_at(&emulator, steps));
    let said = space.run_at(&emulator, &format!("apply {} --beat 100ms", path.display()));
    assert_eq!(said.code, 8, "{}", said.stderr);
    let status = space.status();
    assert_eq!(status["steps"][1]["outcome"], "succeeded");
    assert_eq!(emulator.record()["runs"][0]["status"], "Cancelled");
}

#[test]
fn only_what_is_listed_is_tried_again() {
    let check = |retry: &str, code: i32, runs: usize| {
        let space = TestSpace::new();
        let script = "defaults: { duration: 100ms }\npipelines:\n  load:\n    runs:\n      \
                      - { outcome: failed, error: { code: \"2200\", message: busy } }\n      - {}\n";
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let steps = format!("steps:\n  load: {{ retry: {{ max_attempts: 2, delay: 100ms, {retry} }} }}\n");
        let path = space.write("plan.yaml", &plan_at(&emulator, &steps));
        let said = space.run_at(&emulator, &format!("apply {} --beat 100ms", path.display()));
        assert_eq!(said.code, code, "{retry}\n{}", said.stderr);
        assert_eq!(emulator.record()["runs"].as_array().unwrap().len(), runs, "{retry}");
    };
    check("on: [2200]", 0, 2);
    check("on: [\"2108\"]", 1, 1);
    check("on: [cancelled]", 1, 1);
    check("on: [cancelled, failed]", 0, 2);
}
