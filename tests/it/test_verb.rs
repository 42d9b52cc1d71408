//! `synflow test`: what a plan promises, rehearsed by the real binary.

use serde_json::Value;

use crate::space::{Said, TestSpace, root};

const PLAN: &str = "
version: 1
name: promised
workspace: contoso-dw
inputs:
  regions: { type: array, default: [emea, apac] }
  day: { type: date, default: yesterday }
  token: { type: string, secret: true }
environments:
  prod: { inputs: { regions: [emea, apac, amer] } }
steps:
  ingest:
    for_each: \"{{inputs.regions}}\"
    parameters: { token: '{{secret inputs.token}}' }
  curate:
    depends_on: [ingest]
    timeout: 1h
    outputs: { rows: \"{{return_value.rows}}\" }
  publish: { depends_on: [curate], when: steps.curate.outputs.rows > 0 }
  quarantine: { depends_on: [{ curate: [failed] }] }
  month_end: { depends_on: [ingest], when: inputs.day == month_end(inputs.day) }
";

fn test(space: &TestSpace, tests: &str, words: &str) -> Said {
    let plan = space.write("plan.yaml", &format!("{PLAN}tests:\n{tests}"));
    space.run(format!("test {} {words}", plan.display()).trim())
}

#[test]
fn kept_promises_are_ok() {
    let space = TestSpace::new();
    let said = test(
        &space,
        "  a failed curate runs the quarantine:
    assume: { curate: failed }
    expect: { publish: blocked, quarantine: succeeded, flow: failed }
    order: [ingest, curate, quarantine]
    makespan: \"< 20m\"
  nothing is published on a quiet day:
    assume: { curate.outputs.rows: 0 }
    expect: { publish: skipped, quarantine: [not_needed, blocked], flow: succeeded }
  a curate that hangs is ended:
    assume: { curate: timed_out }
    expect: { curate: timed_out, flow: timed_out }
    makespan: \"> 1h\"
  one region alone:
    inputs: { regions: [emea] }
    assume: { \"ingest[emea]\": [failed, 20m] }
    expect: { ingest: failed, curate: blocked }
  production has three:
    env: prod
    assume: { \"ingest[amer]\": failed }
    expect: { curate: blocked, \"ingest[emea]\": succeeded }
  the end of a month:
    at: 2026-02-01
    assume: { curate.outputs.rows: 1 }
    expect: { month_end: succeeded }
  another day:
    at: 2026-02-02
    expect: { month_end: skipped }
",
        "",
    );
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.ends_with("7 tests of `promised`: 7 ok, 0 failed\n"), "{}", said.stdout);
    assert!(!space.state_dir().exists(), "a test writes no journal");
}

const BROKEN: &str = "  a failed curate runs the quarantine:
    assume: { curate: failed }
    expect: { publish: succeeded, quarantine: blocked, flow: succeeded }
  curate is quick & comes first:
    assume: { curate: 45m, curate.outputs.rows: 1 }
    order: [curate, ingest]
    makespan: \"< 30m\"
  the third region:
    assume: { \"ingest[amer]\": failed }
    expect: { curate: blocked }
  all is well:
    assume: { curate.outputs.rows: 1 }
    expect: { flow: succeeded }
";

#[test]
fn a_broken_promise_is_told_with_its_reasons() {
    let space = TestSpace::new();
    let said = test(&space, BROKEN, "");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let told = said.stdout.replace(&space.path("plan.yaml").display().to_string(), "plan.yaml");
    insta::assert_snapshot!(told, @r"
    FAILED  a failed curate runs the quarantine (plan.yaml:23)
              publish: expected succeeded, but it ended blocked
                because `publish` ended blocked: `curate` ended failed
                because `curate` ended failed: its failure was assumed
              quarantine: expected blocked, but it ended succeeded
              flow: expected succeeded, but it ended failed
                because `curate` ended failed: its failure was assumed
    FAILED  curate is quick & comes first (plan.yaml:26)
              order: expected `curate` before `ingest`, but `ingest` starts first
              makespan: expected < 30m, but it is 55m00s
    FAILED  the third region (plan.yaml:30)
              `ingest[amer]` cannot be assumed: the plan has no step `ingest[amer]`; did you mean `ingest[emea]`?
    ok      all is well

    4 tests of `promised`: 1 ok, 3 failed
    ");
}

#[test]
fn programs_read_json_and_junit() {
    let space = TestSpace::new();
    let said = test(&space, BROKEN, "--output json");
    assert_eq!(said.code, 1);
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(value["tests"][0]["ok"], false);
    assert_eq!(value["tests"][3]["ok"], true);
    assert!(value["tests"][0]["mismatches"][0]["what"].as_str().unwrap().contains("publish"));
    let said = test(&space, BROKEN, "--output junit");
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("tests=\"4\" failures=\"3\""), "{}", said.stdout);
    assert!(said.stdout.contains("quick &amp; comes"), "{}", said.stdout);
}

#[test]
fn a_file_beside_the_plan_may_hold_the_tests() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", PLAN);
    let run = |tests: &str| {
        let file = space.write("tests.yaml", tests);
        space.run(&format!("test {} --tests {}", plan.display(), file.display()))
    };
    let good = "tests:\n  it fails:\n    assume: { ingest: failed }\n    expect: { flow: failed }\n";
    let said = run(good);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let said = run(&good.replace("ingest", "ingset"));
    assert_eq!(said.code, 3, "{}", said.stdout);
    assert!(said.stderr.contains("did you mean `ingest`?"), "{}", said.stderr);
    let said = run("test: {}\n");
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("did you mean `tests`?"), "{}", said.stderr);
    let said = space.run(&format!("test {}", plan.display()));
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("has no `tests`"), "{}", said.stderr);
}

#[test]
fn validate_looks_at_the_form_of_tests_alone() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", &format!("{PLAN}tests:\n{BROKEN}"));
    let said = space.run(&format!("validate {}", plan.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let plan = space
        .write("plan.yaml", &format!("{PLAN}tests:\n{}", BROKEN.replace("curate: failed", "curate: faild")));
    let said = space.run(&format!("validate {}", plan.display()));
    assert_eq!(said.code, 3, "{}", said.stdout);
}

#[test]
fn the_commands_of_the_page_run() {
    let page = std::fs::read_to_string(root().join("docs/rehearsing.md")).unwrap();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("synflow ")).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let said = TestSpace::new().run(command);
        assert_eq!(said.code, 0, "synflow {command}\n{}", said.stderr);
    }
}
