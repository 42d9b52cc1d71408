//! What of a failed run's activities is told, the real binary: the cause, however many child pipelines below it is.

use serde_json::Value;
use synflow::flow::{FlowId, kept};
use synflow::journal::Journal;
use synflow::plan::StepId;

use crate::space::TestSpace;
use crate::witness::{Stage, plan_at};

pub(crate) const SCRIPT: &str = r"
defaults: { duration: 20ms }
pipelines:
  copy_all:
    outcome: failed
    activities:
      Copy_2: { error: { code: UserErrorInvalidTable, message: no table dbo.Customers } }
";

/// Returns the definition of a pipeline that calls another and waits for it.
fn calling(name: &str, activity: &str, child: &str) -> String {
    format!(
        r#"{{ "name": "{name}", "properties": {{ "activities": [{{ "name": "{activity}", "type": "ExecutePipeline",
            "typeProperties": {{ "pipeline": {{ "referenceName": "{child}", "type": "PipelineReference" }},
            "waitOnCompletion": true }} }}] }} }}"#
    )
}

const COPY_ALL: &str = r#"{ "name": "copy_all", "properties": { "activities": [
    { "name": "Copy_1", "type": "Copy" },
    { "name": "Copy_2", "type": "Copy", "dependsOn": [{ "activity": "Copy_1", "dependencyConditions": ["Succeeded"] }] }
] } }"#;

/// Makes a plan of one step whose pipeline calls another, which calls a third.
pub(crate) fn stage(script: &str) -> Stage {
    let space = TestSpace::new();
    space.write("workspace/pipeline/curate.json", &calling("curate", "Load", "load_customers"));
    space.write("workspace/pipeline/load_customers.json", &calling("load_customers", "Copy all", "copy_all"));
    space.write("workspace/pipeline/copy_all.json", COPY_ALL);
    let script = space.write("script.yaml", &format!("artifacts: [workspace]\n{script}"));
    let emulator = space.emulate(&format!("--script {}", script.display()));
    space.write("plan.yaml", &plan_at(&emulator, "steps:\n  curate: {}\n"));
    Stage { space, emulator }
}

#[test]
fn a_failure_is_followed_through_child_pipelines() {
    let stage = stage(SCRIPT);
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let place = "> load_customers > copy_all > Copy_2, ";
    assert!(said.stderr.contains(place), "{}", said.stderr);
    assert!(said.stderr.contains("error     UserErrorInvalidTable: "), "{}", said.stderr);
    let status = stage.space.status();
    let error = &status["steps"][0]["attempts"][0]["error"];
    assert_eq!(error["code"], "UserErrorInvalidTable");
    assert_eq!(error["via"], serde_json::json!(["load_customers", "copy_all"]));

    // The journal has the whole way, for those who look later.
    let mut journal = Journal::open(&stage.space.state_dir()).unwrap();
    let events = journal.events(&FlowId(stage.flow())).unwrap();
    let kept = kept(&events);
    let mut rows = &kept[&(StepId::new("curate"), 1)].rows;
    let mut way = Vec::new();
    while let Some(child) = rows.first().and_then(|row| row.child.as_ref()) {
        way.push(child.pipeline.as_str());
        rows = &child.activities;
    }
    assert_eq!(way, ["load_customers", "copy_all"]);
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["Copy_1", "Copy_2"]);
    assert!(rows[1].error.is_some() && rows[0].error.is_none());
}

/// Three answers about a child run are withheld: what its parent tells must do then, and it does.
#[test]
fn a_child_that_cannot_be_read_does_not_hide_its_parent() {
    let faults = "\nfaults:\n  - { on: getRun, pipeline: load_customers, kind: status, status: 500 }\n";
    let stage = stage(&format!("{SCRIPT}{faults}"));
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains(" > Load, "), "{}", said.stderr);
    let error = &stage.space.status()["steps"][0]["attempts"][0]["error"];
    assert_eq!(error["via"], Value::Array(Vec::new()));
}
