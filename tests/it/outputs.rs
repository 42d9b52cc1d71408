//! The outputs of steps: taken from ended runs, kept in the journal, read by later steps of any workspace.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use synflow::flow::decide::Effect;
use synflow::flow::{
    ActivitySeen, Event, Outcome, Recovery, Resolution, Restart, RunActivities, RunSeen, RunStatus,
    StartOutcome, observe, resume,
};
use synflow::plan::{Given, StepIndex, load};
use synflow::synapse::reading::{self, Answer};
use synflow::time::Timestamp;

use crate::play::{Play, activity, seen};
use crate::space::TestSpace;
use crate::witness::{Stage, outcomes, ran, wait_until};

const TWO: &str = "
  a:
    outputs:
      rows: '{{activities.Copy.output.rowsCopied}}'
      set: '{{return_value.rateSet}}'
  b:
    depends_on: [a]
    retry: { max_attempts: 3 }
    parameters:
      rows: '{{steps.a.outputs.rows}}'
      set: '{{steps.a.outputs.set}}'
      text: '{{steps.a.outputs.rows}} of {{steps.a.outputs.set}}'
";

fn play(steps: &str) -> Play {
    let text = format!("version: 1\nname: test\nworkspace: contoso-dw\nsteps:\n{steps}");
    Play::proven(load(text.as_bytes(), &Given::default()).unwrap().plan)
}

fn copied(output: Value) -> ActivitySeen {
    ActivitySeen { output, ..activity("Copy", "Succeeded") }
}

/// Ends a step's run as the service would show it.
fn end(
    play: &mut Play,
    step: usize,
    status: RunStatus,
    returned: Option<Value>,
    activities: &[ActivitySeen],
) {
    let run = RunSeen { return_value: returned, ..seen(play.run(step), status) };
    play.record(observe::run_seen(&play.flow, StepIndex(step), &run).unwrap());
    play.record(observe::judged(&play.flow, StepIndex(step), &RunActivities::of(activities.to_vec())));
}

/// Returns the parameters that a ready step is about to send.
fn sends(play: &mut Play, step: usize) -> Map<String, Value> {
    let starts = play.effects().into_iter().find_map(|effect| match effect {
        Effect::Start { step: which, parameters, .. } if which == StepIndex(step) => Some(parameters),
        _ => None,
    });
    starts.unwrap()
}

fn reason(play: &Play, step: usize) -> &str {
    &play.flow.run(StepIndex(step)).reason
}

#[test]
fn later_steps_send_what_a_run_gave_in_its_type() {
    let mut play = play(TWO);
    play.start(0);
    let rows = copied(json!({ "rowsCopied": 9_007_199_254_740_993_i64 }));
    end(&mut play, 0, RunStatus::Succeeded, Some(json!({ "rateSet": ["x", null], "more": 1 })), &[rows]);
    let want = "parameter `text`: `steps.a.outputs.set` is a list and cannot stand inside a longer text";
    play.facts();
    assert_eq!(reason(&play, 1), want);

    let mut play = ended_well();
    let want = json!({ "rows": 1200, "set": 7.5, "text": "1200 of 7.5" });
    assert_eq!(Value::Object(sends(&mut play, 1)), want);
    assert_eq!(format!("{:?}", play.replayed()), format!("{:?}", play.flow), "the journal tells the same");
}

fn ended_well() -> Play {
    let mut play = play(TWO);
    play.start(0);
    let rows = copied(json!({ "rowsCopied": 1200 }));
    end(&mut play, 0, RunStatus::Succeeded, Some(json!({ "rateSet": 7.5, "more": [1, 2] })), &[rows]);
    play
}

#[test]
fn the_journal_keeps_only_what_is_declared() {
    let play = ended_well();
    let text = serde_json::to_string(&play.events).unwrap();
    assert!(text.contains("rateSet"), "{text}");
    assert!(!text.contains("more"), "{text}");
    let last = &play.flow.run(StepIndex(0)).attempts[0];
    assert!(last.returned.is_none(), "it is not needed any more");
}

#[test]
fn a_missing_output_fails_the_reader_unstarted_and_for_good() {
    let mut play = play(TWO);
    play.start(0);
    end(&mut play, 0, RunStatus::Succeeded, None, &[copied(json!({ "rowsRead": 3 }))]);
    play.facts();
    let run = play.flow.run(StepIndex(1));
    assert_eq!(run.outcome(), Some(Outcome::Failed));
    assert!(run.attempts.is_empty(), "it was not started");
    assert_eq!(
        run.reason,
        "parameter `rows`: `steps.a.outputs.rows` has no value: activity `Copy` has no `rowsCopied`; give one with `{{default steps.a.outputs.rows ...}}`"
    );
    let given = play.flow.run(StepIndex(0)).outputs().unwrap();
    assert_eq!(given.absent["set"], "the run returned nothing");
}

const MAY_FAIL: &str = "
  a:
    allow_failure: true
    retry: { max_attempts: 2 }
    outputs: { rows: '{{activities.Copy.output.rowsCopied}}' }
  b:
    depends_on: [a]
    parameters: { rows: '{{default steps.a.outputs.rows 0}}' }
";

#[test]
fn a_failed_run_gives_what_there_is_and_the_newest_attempt_counts() {
    let failed = ActivitySeen { name: "Check".to_owned(), ..activity("Check", "Failed") };
    let mut play = play(MAY_FAIL);
    play.start(0);
    end(&mut play, 0, RunStatus::Failed, None, &[copied(json!({ "rowsCopied": 1 })), failed.clone()]);
    play.facts();
    play.start(0);
    end(&mut play, 0, RunStatus::Failed, None, &[copied(json!({ "rowsCopied": 2 })), failed.clone()]);
    assert_eq!(sends(&mut play, 1)["rows"], 2);

    // A resume begins it anew; the new attempt fails before the activity.
    let redo = resume::redone(&play.flow, &BTreeSet::new());
    play.record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
    play.start(0);
    end(&mut play, 0, RunStatus::Failed, None, std::slice::from_ref(&failed));
    play.facts();
    play.start(0);
    end(&mut play, 0, RunStatus::Failed, None, &[failed]);
    assert_eq!(sends(&mut play, 1)["rows"], 0, "what an earlier time gave does not count");
}

#[test]
fn a_recovered_run_has_what_the_failed_one_gave() {
    let mut play = play(MAY_FAIL);
    play.start(0);
    end(&mut play, 0, RunStatus::Failed, None, &[copied(json!({ "rowsCopied": 1 }))]);
    play.facts();
    let recovery = Recovery { run: play.run(0), activity: "Check".to_owned() };
    let run = crate::play::run_id(77);
    let (step, parameters) = (play.id(0), Map::new());
    play.record(Event::StartIntended {
        step,
        attempt: 2,
        run,
        parameters,
        secrets: Vec::new(),
        recovery: Some(recovery),
    });
    play.answer(0, StartOutcome::Started(run));
    end(&mut play, 0, RunStatus::Succeeded, None, &[activity("Check", "Succeeded")]);
    assert_eq!(sends(&mut play, 1)["rows"], 1, "the activity has not run again");
    assert!(!matches!(play.flow.run(StepIndex(0)).attempts[1].restart, Some(Restart::From { .. })));
}

#[test]
fn what_made_no_run_gives_nothing_and_says_so() {
    let check = |edge: &str, way: &dyn Fn(&mut Play), want: &str| {
        let mut play = play(&format!(
            "
  up: {{}}
  a:
    depends_on: [up]
    outputs: {{ rows: '{{{{activities.Copy.output.rowsCopied}}}}' }}
  b:
    depends_on: [{{ a: {edge} }}]
    parameters: {{ rows: '{{{{steps.a.outputs.rows}}}}' }}
"
        ));
        way(&mut play);
        play.facts();
        let text = reason(&play, 2);
        assert!(text.contains(want), "{text}");
    };
    check("[failed, skipped]", &|play| play.play(0, RunStatus::Failed), "`a` made no run, it ended blocked");
    let lost = |play: &mut Play| {
        play.play(0, RunStatus::Succeeded);
        play.lose(1);
        let (step, attempt) = (play.id(1), play.attempt(1));
        play.record(Event::Resolved { step, attempt, resolution: Resolution::GiveUp });
    };
    check("[failed]", &lost, "no run of `a` was started");
    let refused = |play: &mut Play| {
        play.play(0, RunStatus::Succeeded);
        play.intend(1);
        play.answer(1, crate::play::refused());
    };
    check("[completed]", &refused, "no run of `a` was started");
    let cancelled = |play: &mut Play| {
        play.play(0, RunStatus::Succeeded);
        play.start(1);
        end(play, 1, RunStatus::Cancelled, None, &[]);
    };
    check("[completed]", &cancelled, "Synapse shows no activities of the run");
}

#[test]
fn an_output_that_an_edited_plan_adds_is_not_known_of_a_kept_run() {
    let mut play = play("  a: {}\n  b: { depends_on: [a] }\n");
    play.play(0, RunStatus::Succeeded);
    let edited = "version: 1\nname: test\nworkspace: contoso-dw\nsteps:\n  a: { outputs: { rows: '{{return_value.rows}}' } }\n  b: { depends_on: [a], parameters: { p: '{{steps.a.outputs.rows}}' } }\n";
    play.take_in(Event::PlanChanged {
        plan_file: "edited.yaml".to_owned(),
        plan_text: edited.to_owned(),
        plan_sha256: String::new(),
        inputs: Map::new(),
        env: BTreeMap::new(),
        max_parallel: None,
        commit: None,
    });
    play.facts();
    let want = "`a` did not declare it when it ended; `synflow resume --redo a` does it again";
    assert!(reason(&play, 1).contains(want), "{}", reason(&play, 1));
}

// On what the service was recorded to say.

fn exchange(file: &str, path: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(file).unwrap();
    let fits = |exchange: &&Value| {
        let is_there = exchange["request"]["path"].as_str().is_some_and(|it| it.contains(path));
        is_there && exchange["response"]["body"].is_object()
    };
    all.iter().find(fits).unwrap()["response"]["body"].clone()
}

fn answer(body: &Value) -> Answer {
    Answer::new(StatusCode::OK, HeaderMap::new(), Ok(body.to_string().into_bytes()))
}

#[test]
fn a_recorded_run_returns_what_its_members_say() {
    let recorded = exchange(include_str!("../wire/synapse-azure-cli-pipeline.json"), "/pipelineruns/");
    assert!(recorded["output"].is_null(), "the recording has the older member");
    let check = |change: Value, want: Option<Value>| {
        let mut run = recorded.clone();
        run.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let id = run["runId"].as_str().unwrap().parse().unwrap();
        let one = reading::run(&answer(&run), id, "h").unwrap().unwrap();
        let listed = reading::runs(&answer(&json!({ "value": [run] })), "h").unwrap();
        assert_eq!(one.return_value, want, "{change}");
        assert_eq!(listed.records[0].seen.return_value, want, "{change}");
    };
    check(json!({}), None);
    check(json!({ "pipelineReturnValue": {} }), Some(json!({})));
    check(json!({ "pipelineReturnValue": { "a": [1, true] } }), Some(json!({ "a": [1, true] })));
    check(json!({ "output": { "a": 1 } }), Some(json!({ "a": 1 })));
    check(json!({ "pipelineReturnValue": null, "output": { "a": 1 } }), Some(json!({ "a": 1 })));
    check(json!({ "pipelineReturnValue": { "b": 2 }, "output": { "a": 1 } }), Some(json!({ "b": 2 })));
    check(json!({ "pipelineReturnValue": "{\"a\": 1}" }), Some(json!({ "a": 1 })));
    check(json!({ "pipelineReturnValue": "done" }), Some(json!("done")));
}

#[test]
fn outputs_are_read_from_documented_activities() {
    let file = include_str!("../wire/activity-runs-documented.json");
    let activities = reading::activities(&answer(&exchange(file, "/queryActivityruns")), "h").unwrap();
    let mut play = play(
        "  a:
    outputs:
      read: '{{activities.CopyFromBlobToBlob.output.dataRead}}'
      speed: '{{activities.CopyFromBlobToBlob.output.throughput}}'
      queue: '{{activities.CopyFromBlobToBlob.output.durationInQueue.integrationRuntimeQueue}}'
      errors: '{{activities.CopyFromBlobToBlob.output.errors}}'
      rows: '{{activities.CopyFromBlobToBlob.output.rowsCopied}}'
",
    );
    play.start(0);
    end(&mut play, 0, RunStatus::Succeeded, None, &activities.records);
    let given = play.flow.run(StepIndex(0)).outputs().unwrap();
    let want = json!({ "read": 134, "speed": 0.044, "queue": 0, "errors": [] });
    assert_eq!(Value::Object(given.values.clone()), want);
    assert_eq!(given.absent["rows"], "activity `CopyFromBlobToBlob` has no `rowsCopied`");
    assert_eq!(play.now, Timestamp::from_epoch_ms(1_700_000_000_000));
}

// The real binary.

fn parameters(record: &Value, pipeline: &str) -> Value {
    let runs = record["runs"].as_array().unwrap().iter();
    runs.rev().find(|run| run["pipeline"] == pipeline).unwrap()["parameters"].clone()
}

fn step<'s>(status: &'s Value, id: &str) -> &'s Value {
    status["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

/// What the service's own Set Variable returns, in all its types, and a secured output.
const DEFINITION: &str = r#"{ "properties": { "activities": [
    { "name": "Copy Final", "type": "Copy" },
    { "name": "Token", "type": "WebActivity", "policy": { "secureOutput": true } },
    { "name": "Return", "type": "SetVariable", "dependsOn": [{ "activity": "Copy Final", "dependencyConditions": ["Succeeded"] }],
      "typeProperties": { "variableName": "pipelineReturnValue", "setSystemVariable": true, "value": [
        { "key": "rows", "value": { "type": "Expression", "content": "@activity('Copy Final').output.rowsCopied" } },
        { "key": "full", "value": { "type": "Boolean", "content": true } },
        { "key": "rate", "value": { "type": "Float", "content": 1.5 } },
        { "key": "tables", "value": { "type": "Array", "content": [{ "type": "String", "content": "a" }, { "type": "Int", "content": 2 }] } } ] } }
] } }"#;

#[test]
fn a_step_of_one_workspace_reads_what_one_of_another_gave() {
    let space = TestSpace::new();
    space.write("artifacts/pipeline/pl_rates.json", DEFINITION);
    let script = space.write(
        "script.yaml",
        "artifacts: [artifacts]\ndefaults: { queued: 50ms, duration: 300ms }\npipelines: { curate: {} }\n",
    );
    let words = |name: &str| format!("--script {} --workspace {name}", script.display());
    let (dw, rates) = (space.emulate(&words("contoso-dw")), space.emulate(&words("contoso-ref")));
    let plan = format!(
        "version: 1
name: test
workspaces: {{ main: {{ endpoint: \"{}\" }}, ref: {{ endpoint: \"{}\" }} }}
defaults: {{ workspace: main }}
steps:
  rates:
    pipeline: pl_rates
    workspace: ref
    outputs:
      rows: \"{{{{return_value.rows}}}}\"
      all: \"{{{{return_value}}}}\"
      second: \"{{{{return_value.tables.[1]}}}}\"
      copied: \"{{{{activities.[Copy Final].output.rowsCopied}}}}\"
      token: \"{{{{activities.Token.output.token}}}}\"
      spare: \"{{{{default activities.Token.output.token 'none'}}}}\"
  curate:
    depends_on: [rates]
    parameters:
      rows: \"{{{{steps.rates.outputs.rows}}}}\"
      all: \"{{{{steps.rates.outputs.all}}}}\"
      second: \"{{{{steps.rates.outputs.second}}}}\"
      copied: \"n={{{{steps.rates.outputs.copied}}}}\"
      spare: \"{{{{steps.rates.outputs.spare}}}}\"
      token: \"{{{{default steps.rates.outputs.token null}}}}\"
",
        dw.endpoint(),
        rates.endpoint()
    );
    let path = space.write("plan.yaml", &plan);
    let said = space.run_at(&dw, &format!("apply {} --beat 100ms", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let all = json!({ "rows": 10, "full": true, "rate": 1.5, "tables": ["a", 2] });
    let want =
        json!({ "rows": 10, "all": all, "second": 2, "copied": "n=10", "spare": "none", "token": null });
    assert_eq!(parameters(&dw.record(), "curate"), want);
    let hidden = "activity `Token` shows no output, as one with `secureOutput` does";
    let line = format!("absent     output `token`: {hidden}");
    assert_eq!(said.stderr.matches(&line).count(), 1, "{}", said.stderr);

    let status = space.status();
    assert_eq!(step(&status, "rates")["outputs"]["all"], all);
    assert_eq!(step(&status, "rates")["absent_outputs"], json!({ "token": hidden }));
    assert_eq!(step(&status, "curate")["outputs"], json!({}));
    let text = space.run("status").stdout;
    assert!(text.contains("outputs:\n  rates.rows    10\n"), "{text}");
    assert!(text.contains(&format!("  rates.token   absent: {hidden}\n")), "{text}");
}

#[test]
fn an_absent_output_fails_its_reader_alone() {
    let script = "defaults: { queued: 50ms, duration: 300ms }\npipelines: { a: { activities: { Copy: { output: { rowsRead: 1 } } } } }\n";
    let steps = "steps:
  a: { outputs: { rows: \"{{activities.Copy.output.rowsCopied}}\" } }
  reads: { depends_on: [a], retry: { max_attempts: 5 }, parameters: { rows: \"{{steps.a.outputs.rows}}\" } }
  careful: { depends_on: [a], parameters: { rows: \"{{default steps.a.outputs.rows 0}}\" } }
";
    let stage = Stage::new(script, steps);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let why = "activity `Copy` has no `rowsCopied`";
    assert_eq!(said.stderr.matches(&format!("output `rows`: {why}")).count(), 1, "{}", said.stderr);
    let status = stage.space.status();
    let ends = outcomes(&status);
    assert_eq!((ends["a"], ends["reads"], ends["careful"]), ("succeeded", "failed", "succeeded"));
    assert_eq!(step(&status, "reads")["attempts"], json!([]));
    assert!(step(&status, "reads")["reason"].as_str().unwrap().contains(why), "{status:#}");
    assert_eq!(ran(&stage.emulator).len(), 2);
    let record = stage.emulator.record();
    assert_eq!(parameters(&record, "careful"), json!({ "rows": 0 }));
}

#[test]
fn a_resume_reads_outputs_from_the_journal() {
    let script = "defaults: { queued: 50ms, duration: 300ms }\npipelines:\n  a: { return_value: { rows: 1200 } }\n  slow: { duration: 4s }\n";
    let steps = "steps:
  a: { outputs: { rows: \"{{return_value.rows}}\" } }
  slow: {}
  last: { depends_on: [a, slow], parameters: { rows: \"{{steps.a.outputs.rows}}\" } }
";
    let stage = Stage::new(script, steps);
    let mut apply = stage.begin("apply PLAN");
    wait_until("the first step has ended", || {
        stage.space.state_dir().join("journal.db").exists()
            && stage.space.run("status --output json").code == 0
            && outcomes(&stage.space.status()).get("a") == Some(&"succeeded")
    });
    apply.kill().unwrap();
    apply.wait().unwrap();
    let before = stage.requests("queryActivityRuns");
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(parameters(&stage.emulator.record(), "last"), json!({ "rows": 1200 }));
    let read = stage.requests("queryActivityRuns") - before;
    assert_eq!(read, 2, "of the two runs that have ended since");
}

#[test]
fn the_plan_names_outputs_and_promises_no_values() {
    let space = TestSpace::new();
    let plan = "version: 1
name: test
workspace: contoso-dw
steps:
  a: { outputs: { rows: \"{{return_value.rows}}\", set: \"{{return_value.set}}\" } }
  b: { depends_on: [a], parameters: { rows: \"{{default steps.a.outputs.rows 0}}\" } }
";
    let path = space.write("plan.yaml", plan);
    let said = space.run(&format!("plan {} --offline", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("    gives rows, set\n"), "{}", said.stdout);
    assert!(said.stdout.contains("    rows = \"{{default steps.a.outputs.rows 0}}\"\n"), "{}", said.stdout);
}
