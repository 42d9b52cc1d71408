//! `synflow plan`, the real binary against `synflow emulate`: what would happen, told without changing anything.

use serde_json::Value;

use crate::space::TestSpace;
use crate::witness::{Stage, ran, wait_until};

const SCRIPT: &str = "defaults: { duration: 300ms }\npipelines: { slow: { duration: 60s } }\n";
const STEPS: &str = "max_parallel: 2
pools: { sql: 1 }
inputs: { day: { type: date, default: 2024-05-01 } }
steps:
  a: { pool: sql, parameters: { day: \"{{inputs.day}}\", key: '{{secret \"env:SALES_KEY\"}}' } }
  b: { pool: sql }
  c: {}
  d: { depends_on: [a, { b: [failed] }], when: steps.a.outcome == \"succeeded\", parameters: { of: \"{{steps.a.run_id}}\" } }
  e: { finally: completed }
";

#[test]
fn it_tells_what_would_happen_and_changes_nothing() {
    let stage = Stage::new(SCRIPT, STEPS);
    let said = stage.run("plan PLAN");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", said.stdout);
    let record = stage.emulator.record();
    assert!(record["runs"].as_array().unwrap().is_empty(), "nothing was started");
    let asked: Vec<&String> = record["requests"].as_object().unwrap().keys().collect();
    // `unknown` is the question whether anybody is there at all.
    let harmless = [
        "token",
        "record",
        "unknown",
        "getWorkspace",
        "getPipeline",
        "listPipelines",
        "queryPipelineRuns",
        "checkAccess",
    ];
    assert!(asked.iter().all(|operation| harmless.contains(&operation.as_str())), "{asked:?}");
    assert!(asked.len() > 3, "it looked: {asked:?}");
    assert_eq!(
        stage.space.run("flows --output json").stdout.matches("\"id\"").count(),
        0,
        "no flow was made"
    );
    assert!(said.stdout.ends_with("\nnothing was started\n"), "{}", said.stdout);
    for line in [
        "wave 1\n",
        "    day = \"2024-05-01\"\n",
        "    key = \"{{secret \\\"env:SALES_KEY\\\"}}\"\n",
        "    after a, b [failed]\n    when steps.a.outcome == \"succeeded\"\n    of = \"{{steps.a.run_id}}\"\n",
        "  `max_parallel` 2: the 3 steps of wave 1 take turns\n  pool `sql` of 1: shared by a, b\n",
        "    finally: completed\n",
        "  no step of this plan has been seen to end: there is no forecast\n",
        "ok       credential",
    ] {
        assert!(said.stdout.contains(line), "{line:?} is missing\n{}", said.stdout);
    }
}

#[test]
fn it_knows_earlier_flows_and_live_runs() {
    let stage = Stage::new(SCRIPT, "steps:\n  a: {}\n  b: { depends_on: [a] }\n");
    assert_eq!(stage.run("apply PLAN").code, 0);
    stage
        .edit("deadline: 1ms\nsteps:\n  a: { parameters: { n: 1 } }\n  b: { depends_on: [a] }\n  slow: {}\n");
    let apply = stage.begin("apply PLAN --select slow");
    wait_until("the slow run is live", || ran(&stage.emulator).len() == 3);
    let said = stage.run("plan PLAN --output json");
    let value: Value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}{}", said.stdout, said.stderr));
    drop(apply);
    assert_eq!(value["steps"][0]["id"], "a");
    assert!(value["steps"][0]["usual_ms"].as_u64().unwrap() >= 300, "{value:#}");
    assert_eq!(value["forecast"]["critical_path"], serde_json::json!(["a", "b"]));
    let live = value["live"][0].as_str().unwrap();
    assert!(live.contains("of `slow` is ") && live.ends_with(", the pipeline of `slow`"), "{live}");
    // The flow under way is narrowed; the whole one before it is what the plan is compared with.
    assert_eq!(value["since"]["steps"][0]["changes"][0]["key"], "parameters.n");
    assert_eq!(value["since"]["steps"][1]["difference"], "added");
    let text = stage.run("plan PLAN --offline").stdout;
    assert!(text.contains("  the longest way: a ("), "{text}");
    assert!(text.contains("  the deadline ") && text.contains(" is at risk: "), "{text}");
    assert!(text.contains("  1 step has not been seen to end, and counts as nothing"), "{text}");
}

#[test]
fn the_plan_is_held_against_the_pipelines_of_the_workspace() {
    let steps = "steps:\n  load:\n    pipeline: pl_load\n    parameters: { regoin: emea }\n";
    let stage = Stage::deployed("", &[("pl_load", r#"{"region": {"type": "string"}}"#)], steps);
    let said = stage.run("plan PLAN --output markdown");
    assert_eq!(said.code, 4, "{}", said.stderr);
    for word in ["error[E0602]", "did you mean `region`?"] {
        assert!(said.stderr.contains(word), "{word}\n{}", said.stderr);
    }
    assert!(said.stdout.contains("**Against the pipelines**\n\n- "), "{}", said.stdout);
    let folder = stage.space.path("workspace");
    let said = stage.run(&format!("plan PLAN --offline --artifacts {}", folder.display()));
    assert_eq!(said.code, 4, "{}", said.stderr);
    stage.edit(&steps.replace("regoin", "region"));
    let said = stage.run("plan PLAN");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}

#[test]
fn a_refused_sign_in_is_told_with_its_exit_code() {
    let stage = Stage::new(SCRIPT, STEPS);
    let mut command = stage.command("plan PLAN");
    command.env("AZURE_CLIENT_SECRET", "wrong");
    let said = crate::space::Said::from(command.output().unwrap());
    assert_eq!(said.code, 10, "{}", said.stdout);
    assert!(said.stdout.contains("FAIL     credential"), "{}", said.stdout);
}

#[test]
fn markdown_is_for_the_comment_of_a_pull_request() {
    let space = TestSpace::new();
    let plan = space.write(
        "plan.yaml",
        "version: 1\nname: sales\nworkspace: contoso-dw\nsteps:\n  load: { parameters: { path: \"a|b<c>\" } }\n  curate: { depends_on: [load] }\n",
    );
    let said = space.run(&format!("plan {} --offline --output markdown", plan.display()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(said.stdout, @r#"
    ### plan `sales`: 2 steps in 2 waves, at most 20 at once

    **Forecast**

    - no step of this plan has been seen to end: there is no forecast

    <details><summary>Steps and values</summary>

    | wave | step | pipeline | waits | parameters | usually |
    |---|---|---|---|---|---|
    | 1 | load | `load` |  | `path = "a\|b<c>"` |  |
    | 2 | curate | `curate` | after load |  |  |

    </details>
    "#);
}

#[test]
fn the_forecast_counts_places() {
    let stage = Stage::new(SCRIPT, "steps: { a: {}, b: {}, c: { depends_on: [{ a: [failed] }] } }\n");
    assert_eq!(stage.run("apply PLAN").code, 0);
    let forecast = |words: &str| {
        let said = stage.run(&format!("plan PLAN --offline --output json{words}"));
        let value: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(value["forecast"]["outcome"], "succeeded", "{value:#}");
        value["forecast"]["makespan_ms"].as_u64().unwrap()
    };
    assert!(forecast(" --max-parallel 1") >= 2 * forecast(""), "one after the other takes twice as long");
}
