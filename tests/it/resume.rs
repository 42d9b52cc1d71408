//! `synflow resume`, the real binary: what was begun is finished, nothing is started twice.

use std::fmt::Write;

use crate::witness::{Stage, outcomes, ran, runs_of_steps, wait_until};

/// Every accepted run is known, and no step has more of them than attempts that count.
fn check_never_twice(stage: &Stage) {
    let status = stage.space.status();
    let known: Vec<String> = runs_of_steps(&status).into_values().flatten().collect();
    for run in ran(&stage.emulator).keys() {
        assert!(known.contains(run), "nobody knows run {run}");
    }
    let attempts = known.len();
    assert_eq!(ran(&stage.emulator).len(), attempts, "an attempt has no run, or two: {status:#}");
}

#[test]
fn live_runs_are_adopted_and_the_rest_is_done() {
    let stage = Stage::new(
        "defaults: { duration: 2s }\n",
        "steps:\n  a: {}\n  b: {}\n  c: { depends_on: [a, b] }\n  d: { depends_on: [c] }\n",
    );
    stage.apply_and_kill(2);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 4);
    check_never_twice(&stage);
    let first = said.stderr.lines().next().unwrap();
    assert_eq!(first, format!("flow {} of test", stage.flow()), "the first line names the flow");
}

#[test]
fn runs_that_ended_meanwhile_are_read_again_and_never_started_anew() {
    let stage = Stage::new("defaults: { duration: 500ms }\n", "steps:\n  a: {}\n  b: { depends_on: [a] }\n");
    stage.apply_and_kill(1);
    wait_until("the run has ended", || ran(&stage.emulator).values().all(|run| run.ended_at.is_some()));
    let said = stage.run("resume @latest");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2);
    check_never_twice(&stage);
}

/// What a resume costs does not grow with what is done already.
#[test]
fn a_resume_asks_nothing_about_finished_steps() {
    let mut steps = "max_parallel: 60\nsteps:\n".to_owned();
    for step in 0..50 {
        writeln!(steps, "  quick_{step}: {{}}").unwrap();
    }
    steps.push_str("  slow: {}\n  last: { depends_on: [slow] }\n");
    let script = "defaults: { queued: 50ms, duration: 200ms }\npipelines: { slow: { duration: 20s } }\n";
    let stage = Stage::new(script, &steps);
    let mut apply = stage.begin("apply PLAN");
    wait_until("fifty steps have ended", || {
        stage.space.state_dir().join("journal.db").exists()
            && stage.space.run("status --output json").code == 0
            && stage.space.status()["flow"]["counts"]["succeeded"] == 50
    });
    apply.kill().unwrap();
    apply.wait().unwrap();

    let kinds = ["getRun", "queryPipelineRuns", "queryActivityRuns", "createRun", "getPipeline"];
    let before = kinds.map(|kind| stage.requests(kind));
    let resume = stage.begin("resume");
    wait_until("the run that is live was asked for", || stage.requests("getRun") > before[0]);
    // Ten beats more: whatever is asked about finished steps would have been asked by now.
    let asked = stage.requests("getRun");
    wait_until("it goes on", || stage.requests("getRun") >= asked + 10);
    let after = kinds.map(|kind| stage.requests(kind));
    crate::witness::signal(&resume, "TERM");
    let said = crate::space::Said::from(resume.wait_with_output().unwrap());
    assert_eq!(said.code, 30, "{}", said.stderr);
    let [_, lists, activities, starts, definitions] = [0, 1, 2, 3, 4].map(|kind| after[kind] - before[kind]);
    assert_eq!((lists, activities, starts), (0, 0, 0), "one run is live, and it is asked for by its id");
    assert_eq!(definitions, 1, "the workspace is tried once");
}

#[test]
fn what_failed_begins_anew_and_what_succeeded_is_kept() {
    let script = "defaults: { duration: 200ms }\n\
                  pipelines: { bad: { runs: [{ outcome: failed }, { outcome: succeeded }] } }\n";
    let steps = "steps:\n  good: {}\n  bad: { depends_on: [good] }\n  after: { depends_on: [bad] }\n  \
                 alarm: { depends_on: [{ bad: [failed] }] }\n";
    let stage = Stage::new(script, steps);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let next = format!("next: synflow resume {}", stage.flow());
    assert_eq!(said.stderr.trim_end().lines().last(), Some(next.as_str()));

    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    let want = [("after", "succeeded"), ("alarm", "not_needed"), ("bad", "succeeded"), ("good", "succeeded")];
    assert_eq!(outcomes(&status).into_iter().collect::<Vec<_>>(), want);
    assert_eq!(runs_of_steps(&status)["good"].len(), 1, "a success is kept");
    assert_eq!(ran(&stage.emulator).len(), 5, "good, bad, alarm; bad again, after");

    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("nothing left to do"), "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 5);
}

#[test]
fn successes_are_redone_only_when_asked_for() {
    let stage = Stage::new(
        "defaults: { duration: 100ms }\n",
        "steps:\n  a: {}\n  b: { depends_on: [a] }\n  c: { depends_on: [b] }\n",
    );
    assert_eq!(stage.run("apply PLAN").code, 0);
    let said = stage.run("resume --redo b+");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let runs = runs_of_steps(&stage.space.status());
    assert_eq!([runs["a"].len(), runs["b"].len(), runs["c"].len()], [1, 2, 2]);
    let said = stage.run("resume --redo bb");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `b`?"), "{}", said.stderr);
}

#[test]
fn a_resume_sends_the_parameters_of_the_flow_whatever_the_day() {
    let stage = Stage::new(
        "defaults: { duration: 200ms }\npipelines: { bad: { runs: [{ outcome: failed }, {}] } }\n",
        "inputs: { day: { type: date, default: yesterday } }\nsteps:\n  bad: { parameters: { day: \"{{inputs.day}}\" } }\n",
    );
    assert_eq!(stage.run("apply PLAN --input day=2020-02-29").code, 1);
    assert_eq!(stage.run("resume").code, 0);
    let record = stage.emulator.record();
    assert_eq!(record["runs"][1]["parameters"]["day"], "2020-02-29");
}

#[test]
fn an_edited_plan_shows_what_it_changes_and_refuses_to_rewrite_a_success() {
    let script = "defaults: { duration: 100ms }\npipelines: { bad: { outcome: failed } }\n";
    let stage = Stage::new(
        script,
        "steps:\n  load: { parameters: { n: 1 } }\n  bad: { depends_on: [load] }\n  old: { depends_on: [bad] }\n",
    );
    assert_eq!(stage.run("apply PLAN").code, 1);

    stage.edit("steps:\n  load: { parameters: { n: 2 } }\n  bad: { pipeline: good, depends_on: [load] }\n  new: {}\n");
    let said = stage.run("resume --plan PLAN");
    assert_eq!(said.code, 4, "{}", said.stderr);
    insta::assert_snapshot!(said.stderr.split_once('\n').unwrap().1, @r"
    what the edited plan changes:
      - old
      ~ load: parameters.n: 1 becomes 2
      ~ bad: pipeline: bad becomes good
      + new
    error: `load` succeeded, and would have been another run by the edited plan; nothing was started
    hint: add `--redo load` to do it again, or `--redo STEP+` with all that follows
    ");
    assert_eq!(ran(&stage.emulator).len(), 2, "nothing was started");

    let said = stage.run("resume --plan PLAN --redo load");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    let want = [("bad", "succeeded"), ("load", "succeeded"), ("new", "succeeded")];
    assert_eq!(outcomes(&status).into_iter().collect::<Vec<_>>(), want);
    let record = stage.emulator.record();
    let pipelines: Vec<&str> =
        record["runs"].as_array().unwrap().iter().map(|run| run["pipeline"].as_str().unwrap()).collect();
    assert_eq!(pipelines.len(), 5, "{pipelines:?}");
    assert_eq!(pipelines.iter().filter(|name| **name == "load").count(), 2);
}

#[test]
fn flows_that_cannot_be_taken_up_say_why() {
    let stage = Stage::new("defaults: { duration: 100ms }\n", "steps:\n  a: {}\n");
    let said = stage.run("resume");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("there is no journal"), "{}", said.stderr);

    assert_eq!(stage.run("apply PLAN").code, 0);
    let first = stage.flow();
    assert_eq!(stage.run("apply PLAN").code, 0);
    let said = stage.run(&format!("resume {first}"));
    assert_eq!(said.code, 6, "{}", said.stderr);
    assert!(said.stderr.contains("of the same plan and run key is newer"), "{}", said.stderr);

    assert_eq!(stage.run("apply examples/hello.yaml --emulate").code, 0);
    let said = stage.run("resume");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("that `--emulate` had inside its process"), "{}", said.stderr);
}

#[test]
fn what_is_ready_is_started_and_left_with_detach() {
    let stage = Stage::new(
        "defaults: { duration: 500ms }\n",
        "steps:\n  a: {}\n  b: {}\n  c: { depends_on: [a, b] }\n",
    );
    let said = stage.run("apply PLAN --detach");
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2, "all that was ready");
    let next = format!("next: synflow resume {}", stage.flow());
    assert_eq!(said.stderr.trim_end().lines().last(), Some(next.as_str()));
    assert!(!stage.space.state_dir().join("journal.db-wal").exists(), "an orderly exit leaves one file");
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 3);
    check_never_twice(&stage);
}

/// The one command for CI: begins, goes on or does nothing twice.
#[test]
fn apply_with_resume_goes_on_with_the_latest_flow_of_the_same_inputs() {
    let script = "defaults: { duration: 100ms }\n\
                  pipelines: { bad: { runs: [{ outcome: failed }, { outcome: succeeded }] } }\n";
    let steps =
        "inputs: { n: { type: int, default: 1 } }\nsteps:\n  good: {}\n  bad: { depends_on: [good] }\n";
    let stage = Stage::new(script, steps);
    assert_eq!(stage.run("apply PLAN --resume").code, 1, "there is nothing to go on with");
    assert_eq!(stage.run("apply PLAN --resume --input n=1").code, 0);
    assert_eq!(runs_of_steps(&stage.space.status())["bad"].len(), 2, "it went on");
    assert_eq!(crate::witness::flows(&stage.space), 1);
    assert_eq!(stage.run("apply PLAN --resume").code, 0, "it succeeded: another begins");
    assert_eq!(crate::witness::flows(&stage.space), 2);
    assert_eq!(stage.run("apply PLAN --resume --input n=2").code, 0, "other inputs: another begins");
    assert_eq!(crate::witness::flows(&stage.space), 3);
}

#[test]
fn a_run_that_was_left_running_is_adopted_first() {
    let stage = Stage::new(
        "defaults: { duration: 3s }\n",
        "steps:\n  slow: { timeout: 1s, on_timeout: detach }\n  after: { depends_on: [slow] }\n",
    );
    assert_eq!(stage.run("apply PLAN").code, 8);
    stage.edit("steps:\n  slow: { timeout: 30s }\n  after: { depends_on: [slow] }\n");
    let said = stage.run("resume --plan PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2, "the run that was left is the step's");
    check_never_twice(&stage);
}

/// Flows of one plan with different keys stand in nobody's way.
#[test]
fn another_run_key_is_another_flow() {
    let steps = "inputs: { day: { type: string, default: monday } }\nrun_key: \"{{inputs.day}}\"\nsteps:\n  one: {}\n";
    let stage = Stage::new("defaults: { duration: 20s }\n", steps);
    assert_eq!(stage.run("apply PLAN --detach").code, 30);
    let monday = stage.flow();
    assert_eq!(stage.run("apply PLAN --detach").code, 6, "monday is under way");
    assert_eq!(stage.run("apply PLAN --detach --input day=tuesday").code, 30);
    let said = stage.run(&format!("cancel {monday}"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(stage.run("apply PLAN --detach").code, 30, "monday is free again");
}

#[test]
fn a_recovery_begins_at_the_activity_that_failed() {
    let space = crate::space::TestSpace::new();
    let activity = |name: &str, after: &str| {
        let depends = if after.is_empty() {
            "[]".to_owned()
        } else {
            format!("[{{ \"activity\": \"{after}\", \"dependencyConditions\": [\"Succeeded\"] }}]")
        };
        format!(
            "{{ \"name\": \"{name}\", \"type\": \"Copy\", \"dependsOn\": {depends}, \"typeProperties\": {{}} }}"
        )
    };
    let activities = [activity("Read", ""), activity("Merge", "Read"), activity("Write", "Merge")].join(", ");
    let definition = format!(
        "{{ \"name\": \"load\", \"properties\": {{ \"activities\": [{activities}], \
         \"parameters\": {{ \"day\": {{ \"type\": \"string\" }} }} }} }}"
    );
    space.write("workspace/pipeline/load.json", &definition);
    let script = "defaults: { duration: 600ms }\npipelines:\n  load:\n    runs:\n      \
                  - { outcome: failed, activities: { Merge: { error: { code: '2200', message: locked } } } }\n      - {}\n";
    let script = space.write("script.yaml", script);
    let words = format!("--script {} --artifacts {}", script.display(), space.path("workspace").display());
    let emulator = space.emulate(&words);
    let stage = Stage { space, emulator };
    stage.edit(
        "steps:\n  load:\n    parameters: { day: monday }\n    retry: { max_attempts: 2, delay: 100ms, mode: from_failure }\n",
    );
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = stage.emulator.record();
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{record:#}");
    assert_eq!(runs[1]["group_id"], runs[0]["run_id"], "{record:#}");
    assert_eq!(runs[1]["taken_over"], serde_json::json!(["Read"]), "{record:#}");
    assert_eq!(runs[1]["parameters"], runs[0]["parameters"], "the same parameters, sent again");
    check_never_twice(&stage);
}

/// The plan that a flow goes on by is not the one it was made from; every verb must bring it back all the same.
#[test]
fn a_flow_that_goes_on_by_an_edited_plan_can_be_killed_and_taken_up_again() {
    let script =
        "defaults: { duration: 300ms }\npipelines: { bad: { outcome: failed }, late: { duration: 60s } }\n";
    let stage = Stage::new(
        script,
        "inputs: { n: { type: int, default: 1 }, gone: { type: string, default: x } }\nsteps:\n  \
         old: {}\n  bad: { depends_on: [old], parameters: { n: \"{{inputs.n}}\" } }\n",
    );
    assert_eq!(stage.run("apply PLAN").code, 1);
    // A step and an input less, an input and a workspace more.
    let endpoint = stage.emulator.endpoint().to_owned();
    let plan = format!(
        "version: 1\nname: test\nworkspaces:\n  main: {{ endpoint: \"{endpoint}\" }}\n  other: {{ endpoint: \"{endpoint}/\" }}\n\
         defaults: {{ workspace: main }}\nmax_parallel: 1\ninputs: {{ n: {{ type: int, default: 1 }}, more: {{ type: string }} }}\n\
         steps:\n  bad: {{ pipeline: good, parameters: {{ n: \"{{{{inputs.n}}}}\" }} }}\n  late: {{ depends_on: [bad] }}\n"
    );
    stage.space.write("plan.yaml", &plan);
    let said = stage.run("resume --plan PLAN");
    assert_eq!(said.code, 3, "the new input has no default\n{}", said.stderr);
    let mut resume = stage.begin("resume --plan PLAN --input more=y");
    wait_until("the last run is accepted", || ran(&stage.emulator).len() == 4);
    resume.kill().unwrap();
    resume.wait().unwrap();

    let status = stage.space.status();
    assert_eq!(status["flow"]["max_parallel"], 1, "the edited plan's");
    let said = stage.run("apply PLAN --resume --input more=y --detach");
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert!(!said.stderr.contains("the plan has changed"), "{}", said.stderr);
    let said = stage.run("cancel --step late");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 4, "nothing was started twice");
}

#[test]
fn an_edited_plan_must_not_change_what_may_be_running() {
    let stage = Stage::new("defaults: { duration: 60s }\n", "steps:\n  slow: { parameters: { n: 1 } }\n");
    stage.apply_and_kill(1);
    for (steps, want) in [
        ("steps:\n  slow: { parameters: { n: 2 } }\n", "`slow` may be running"),
        ("steps:\n  slow: { pipeline: other, parameters: { n: 1 } }\n", "may be live"),
        ("steps:\n  another: {}\n", "may be live"),
        ("run_key: later\nsteps:\n  slow: { parameters: { n: 1 } }\n", "with the key `later`"),
    ] {
        stage.edit(steps);
        let said = stage.run("resume --plan PLAN");
        assert_eq!(said.code, 4, "{steps}\n{}", said.stderr);
        assert!(said.stderr.contains(want), "{steps}\n{}", said.stderr);
    }
    assert_eq!(ran(&stage.emulator).len(), 1);
}
