//! `synflow why STEP`, on flows that are under way, left half way and over.

use serde_json::Value;

use crate::space::{Said, TestSpace};
use crate::witness::{Stage, wait_until};

const STEPS: &str = "max_parallel: 2
pools: { sql: 1 }
steps:
  ingest:
    for_each: [emea, apac, amer]
    pipeline: ingest
    parameters: { region: \"{{each.value}}\" }
  rates: { pool: sql, allow_failure: true }
  curate: { depends_on: [ingest, rates], pool: sql }
  publish: { depends_on: [curate] }
  alarm: { depends_on: [{ curate: [failed, skipped] }] }
  extra: { depends_on: [rates], when: steps.rates.outcome == \"succeeded\" }
  last: { finally: completed }
";

const SCRIPT: &str = "defaults: { queued: 10ms, duration: 120ms }
pipelines:
  ingest: { duration: 1200ms, runs: [{ outcome: succeeded }, { outcome: failed }, { outcome: succeeded }] }
  rates: { outcome: failed }
";

fn why(stage: &Stage, step: &str) -> String {
    let said = stage.space.run(&format!("why {step}"));
    assert_eq!(said.code, 0, "why {step}: {}", said.stderr);
    said.stdout
}

#[test]
fn a_bad_night_is_explained_step_by_step() {
    let stage = Stage::new(SCRIPT, STEPS);
    assert_eq!(stage.run("apply PLAN").code, 1);
    let check = |step: &str, wants: &[&str]| {
        let told = why(&stage, step);
        for want in wants {
            assert!(told.contains(want), "why {step} does not say `{want}`:\n{told}");
        }
    };
    let id = stage.flow();
    check(
        "publish",
        &[
            "ended blocked",
            "\n  curate        blocked: `ingest` ended failed\n",
            "  ingest        failed: 2 succeeded, 1 failed of 3 iterations\n",
            "\n  ingest[apac]  failed: ",
            "edges\n  curate  not met: it ended blocked, without a run; a plain edge needs one\n",
            &format!("next: synflow logs 'ingest[apac]' --flow {id}\n      synflow resume {id}\n"),
        ],
    );
    check(
        "curate",
        &[
            "ingest  not met: it ended failed; a plain edge takes that only where",
            "rates   met: it ended failed, which it may: `allow_failure`",
        ],
    );
    check("ingest", &["of flow", "2 succeeded, 1 failed of 3 iterations"]);
    check("ingest[apac]", &["ended failed", "its `retry` asks for no other attempt"]);
    check("alarm", &["ended succeeded", "met: it ended blocked, without a run, which counts as `skipped`"]);
    check(
        "extra",
        &[
            "ended skipped",
            "`when` is false: steps.rates.outcome == \"succeeded\" (steps.rates.outcome is \"failed\")",
        ],
    );
    check("last", &["finally: completed  met: the flow so far failed"]);
    // Two places for four steps that are ready at once.
    let waited = ["ingest[amer]", "rates"].map(|step| why(&stage, step));
    assert!(waited.iter().any(|told| told.contains("a place of `max_parallel` 2")), "{waited:?}");

    let said = stage.space.run("why publish --output json");
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["flow"]["id"], id);
    assert_eq!(answer["edges"][0]["met"], false);
    assert_eq!(answer["trail"][2]["step"], "ingest[apac]");
    assert_eq!(answer["trail"][2]["is_root"], true);
    assert!(stage.space.run("why publish --output yaml").stdout.contains("is_root: true"));
}

#[test]
fn a_flow_under_way_is_explained_by_what_is_at_work() {
    let stage = Stage::new(
        "defaults: { queued: 10ms, duration: 30s }\n",
        "max_parallel: 1\nsteps: { a: {}, b: {}, c: { depends_on: [a] }, d: { depends_on: [c] } }\n",
    );
    let mut apply = stage.begin("apply PLAN");
    wait_until("the run is there", || crate::witness::ran(&stage.emulator).len() == 1);
    wait_until("its start is known", || why(&stage, "a").contains("is running"));
    let id = stage.flow();
    let told = why(&stage, "d");
    assert!(told.contains(&format!("d of flow {id} is waiting\n")), "{told}");
    assert!(told.contains("\nwaits for\n  c  waiting\n  a  running"), "{told}");
    assert!(told.contains(&format!("      synflow watch {id}\n")), "{told}");
    let told = why(&stage, "b");
    assert!(told.contains("it waits for a place of `max_parallel` 1, held by a"), "{told}");
    apply.kill().unwrap();
    apply.wait().unwrap();
    let told = why(&stage, "b");
    assert!(told.contains("nobody drives the flow at the moment"), "{told}");
    assert!(told.contains(&format!("synflow resume {id}")), "{told}");
}

#[test]
fn wrong_names_are_answered_with_near_ones() {
    let stage = Stage::new(SCRIPT, STEPS);
    assert_eq!(stage.run("apply PLAN").code, 1);
    let check = |step: &str, want: &str| {
        let said: Said = stage.space.run(&format!("why {step}"));
        assert_eq!(said.code, 2, "{}", said.stdout);
        assert!(said.stderr.contains(want), "{}", said.stderr);
    };
    check("EMEA", "did you mean `ingest[emea]`?");
    check("currate", "did you mean `curate`?");
    check("xyzzy", "has no step `xyzzy`\n");
    assert_eq!(stage.space.run("why curate --flow ffffff").code, 2);
    assert_eq!(TestSpace::new().run("why curate").code, 2);
}
