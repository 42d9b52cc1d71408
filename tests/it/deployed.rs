//! `apply` and `resume` hold the plan against the pipelines that are deployed before they start anything.

use serde_json::{Value, json};

use crate::space::TestSpace;
use crate::witness::{Stage, flows, publish, ran, wait_until};

const LOAD: (&str, &str) = ("pl_load", r#"{"region": {"type": "string"}}"#);
const MISSPELT: &str = "steps:\n  load:\n    pipeline: pl_load\n    parameters: { regoin: emea }\n";

#[test]
fn nothing_is_started_that_does_not_fit() {
    let stage = Stage::deployed("", &[LOAD], MISSPELT);
    let planned = stage.run("plan PLAN");
    let said = stage.run("apply PLAN");
    assert_eq!((said.code, planned.code), (4, 4), "{}", said.stderr);
    for words in [
        "error[E0602]: the pipeline `pl_load` has no parameter `regoin`\n",
        "plan.yaml:7:19",
        "did you mean `region`?",
        "the deployed definition (etag ",
    ] {
        assert!(said.stderr.contains(words), "{words}\n{}", said.stderr);
    }
    let end = "error: nothing was started\nhint: correct the plan, or publish the pipelines, and type the command again\n";
    assert_eq!(
        said.stderr,
        format!("{}{end}", planned.stderr),
        "what `plan` tells, and that nothing was started"
    );
    assert_eq!((ran(&stage.emulator).len(), flows(&stage.space)), (0, 0), "no run, no flow");
    stage.edit(&MISSPELT.replace("regoin", "region"));
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_pipeline_that_is_not_there_is_known_before_others_start() {
    let steps = "steps:\n  a: { pipeline: PL_LOAD, parameters: { region: x } }\n  b: { pipeline: pl_laod, depends_on: [a] }\n";
    let stage = Stage::deployed("", &[LOAD], steps);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("error[E0601]: there is no pipeline `pl_laod`\n"), "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `pl_load`?"), "{}", said.stderr);
    assert!(said.stderr.contains("` has `pl_load`"), "{}", said.stderr);
    assert!(
        !said.stderr.contains("`PL_LOAD`"),
        "names are one to the service, whatever their case\n{}",
        said.stderr
    );
    assert_eq!(ran(&stage.emulator).len(), 0);
    // The rest of the plan does fit.
    let said = stage.run("apply PLAN --exclude b");
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn warnings_are_told_once_and_stop_nothing() {
    let steps = "steps:\n  load: { pipeline: pl_load, parameters: { n: \"3\" } }\n";
    let stage = Stage::deployed("", &[("pl_load", r#"{"n": {"type": "int"}}"#)], steps);
    let kill = |words: &str| {
        let said = stage.run(&format!("{words} --detach"));
        assert_eq!((said.code, said.stderr.matches("warning[W0601]").count()), (30, 1), "{}", said.stderr);
    };
    kill("apply PLAN");
    wait_until("its run is over", || ran(&stage.emulator).values().all(|run| run.ended_at.is_some()));
    // The preflight comes before the old flow is given up, and is not made again.
    kill("apply PLAN --new");
}

#[test]
fn definitions_that_may_not_be_read_are_told_and_passed_over() {
    let stage = Stage::deployed(
        "access: { deny: [artifacts/read] }\n",
        &[LOAD],
        &MISSPELT.replace("regoin", "region"),
    );
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let told = "warning: the plan was not held against the pipelines in workspace `main`: ";
    assert_eq!(said.stderr.matches(told).count(), 1, "{}", said.stderr);
    assert!(said.stderr.contains("artifacts/read"), "{}", said.stderr);
}

#[test]
fn a_workspace_is_asked_once() {
    let check = |steps: &str, want: (u64, u64)| {
        let stage = Stage::deployed("", &[("a", "{}"), ("b", "{}"), ("c", "{}")], steps);
        let said = stage.run("apply PLAN");
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!((stage.requests("listPipelines"), stage.requests("getPipeline")), want, "{steps}");
    };
    check("steps: { a: {}, b: {}, c: {}, d: { pipeline: a } }\n", (1, 0));
    check("steps: { x: { pipeline: a }, y: { pipeline: a } }\n", (0, 1));
    // A workspace that makes up every pipeline is not asked for each of them.
    let stage = Stage::new("defaults: { duration: 100ms }\n", "steps: { a: {}, b: {}, c: {} }\n");
    assert_eq!(stage.run("apply PLAN").code, 0);
    assert_eq!((stage.requests("listPipelines"), stage.requests("getPipeline")), (1, 1));
}

#[test]
fn an_emulated_flow_is_held_against_the_definitions_it_is_given() {
    let space = TestSpace::new();
    space.write(
        "workspace/pipeline/pl_load.json",
        r#"{"name": "pl_load", "properties": {"parameters": {"region": {"type": "string"}}, "activities": []}}"#,
    );
    let plan = space.write("plan.yaml", &format!("version: 1\nname: n\nworkspace: contoso-dw\n{MISSPELT}"));
    let (plan, folder) = (plan.display(), space.path("workspace"));
    let said = space.run(&format!("apply {plan} --emulate --artifacts {}", folder.display()));
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("error[E0602]"), "{}", said.stderr);
    // Nobody has described its pipelines: all that it gives them is taken, also secrets.
    let text = "version: 1\nname: n\nworkspace: contoso-dw\nsteps:\n  a:\n    parameters: { n: 1, key: '{{secret \"env:KEY\"}}' }\n    \
                outputs: { rows: '{{activities.Copy.output.rowsCopied}}' }\n";
    space.write("plan.yaml", text);
    let mut command = space.command(format!("apply {plan} --emulate --progress lines").split(' '));
    let said = crate::space::Said::from(command.env("KEY", "canary").output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
}

#[test]
fn a_resume_holds_what_is_still_to_start_against_the_pipelines() {
    let steps = "steps:\n  first: { parameters: { day: x } }\n  slow: {}\n  last: { depends_on: [first, slow], parameters: { day: x } }\n";
    let day = r#"{"day": {"type": "string"}}"#;
    let script = "pipelines: { slow: { duration: 3s } }\n";
    let stage = Stage::deployed(script, &[("first", day), ("slow", "{}"), ("last", day)], steps);
    stage.apply_and_kill(2);
    // `first` is over or under way, and what it was sent counts.
    for pipeline in ["first", "last"] {
        let parameters = json!({ "date": { "type": "string" } });
        publish(&stage.emulator, pipeline, &json!({ "parameters": parameters, "activities": [] }));
    }
    let said = stage.run("resume");
    assert_eq!(said.code, 4, "{}", said.stderr);
    for words in [
        "error[E0602]: the pipeline `last` has no parameter `day`\n",
        "error: nothing was started\n",
        "hint: publish the pipelines again; or `synflow resume ",
    ] {
        assert!(said.stderr.contains(words), "{words}\n{}", said.stderr);
    }
    assert!(!said.stderr.contains("`first`"), "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2);
    publish(
        &stage.emulator,
        "last",
        &json!({ "parameters": { "day": { "type": "string" } }, "activities": [] }),
    );
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 3);
}

#[test]
fn definitions_that_were_published_between_two_flows_are_told() {
    let steps = "steps:\n  load: { pipeline: pl_load, parameters: { region: x } }\n  same: {}\n";
    let stage = Stage::deployed("", &[LOAD, ("same", "{}")], steps);
    let first = stage.run("apply PLAN");
    assert_eq!(first.code, 0, "{}", first.stderr);
    let said = stage.run("plan PLAN");
    assert!(said.stdout.contains(": no difference\n"), "{}", said.stdout);

    let properties =
        json!({ "parameters": { "region": { "type": "string" } }, "description": "other", "activities": [] });
    publish(&stage.emulator, "pl_load", &properties);
    let said = stage.run("plan PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let (_, since) = said.stdout.split_once(&format!("since flow {}: ", stage.flow())).unwrap();
    assert!(
        since.starts_with("1 definition changed\n  ~ definition of `pl_load` in `127.0.0.1`\n      etag: "),
        "{since}"
    );
    let said = stage.run("plan PLAN --offline");
    assert!(said.stdout.contains(": no difference\n"), "nobody was asked\n{}", said.stdout);

    assert_eq!(stage.run("apply PLAN").code, 0);
    let said = stage.run("diff @latest~1 @latest");
    assert!(said.stdout.contains(": 1 definition changed\n~ definition of `pl_load` in "), "{}", said.stdout);
    let said = stage.run("diff @latest~1 @latest --output json");
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    let told = value["definitions"].as_array().unwrap();
    assert_eq!((told.len(), &told[0]["pipeline"]), (1, &json!("pl_load")), "{value:#}");
    assert!(told[0]["before"] != told[0]["after"] && told[0]["before"].is_string(), "{value:#}");
    assert_eq!((&value["steps"], &value["changes"]), (&json!([]), &json!([])), "{value:#}");
    // Folders are compared by what is in them, and what an emulator makes up is no version of anything.
    let folder = stage.space.path("workspace").display().to_string();
    for words in [format!(" --artifacts {folder}"), String::new()] {
        for _ in 0..2 {
            let said = stage.run(&format!("apply PLAN --emulate{words}"));
            assert_eq!(said.code, 0, "{}", said.stderr);
        }
        let said = stage.run("diff @latest~1 @latest");
        assert!(said.stdout.contains(": no difference\n"), "{}", said.stdout);
    }
}
