//! `synflow import`: real master pipelines, their expected plans, small cases for each rule, and `docs/import.md`.
//!
//! `UPDATE_EXPECT=1 cargo test --test it import_verb` writes `tests/import/` anew; read the plans before committing.

use std::fs;

use serde_json::{Value, json};

use crate::space::{Said, TestSpace, root};

/// Every pipeline of `tests/artifacts` that executes others.
pub(crate) const MASTERS: [(&str, &str); 11] = [
    ("analytics-in-a-box", "PL_master_pipeline"),
    ("data-factory-testing-framework", "batch_job"),
    ("data-factory-testing-framework", "main"),
    ("modern-data-warehouse-dataops", "Pl_NYCTaxi_0_Main"),
    ("open-edu-analytics", "0_main_attrition"),
    ("open-edu-analytics", "0_main_edfi"),
    ("open-edu-analytics", "0_main_graph"),
    ("open-edu-analytics", "1_land_insights_prod_data"),
    ("open-edu-analytics", "processCanvasDataFiles"),
    ("procfwk", "03-Child"),
    ("procfwk", "04-Infant"),
];

#[test]
fn every_real_master_pipeline_becomes_a_plan_that_is_valid_and_laid_out() {
    let space = TestSpace::new();
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    for (source, name) in MASTERS {
        let file = format!("tests/artifacts/{source}/pipeline/{name}.json");
        let said = space.run(&format!("import {file}"));
        assert_eq!(said.code, 0, "{file}: {}", said.stderr);
        let path = root().join(format!("tests/import/{name}.yaml"));
        if update {
            fs::write(&path, &said.stdout).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_default(),
            said.stdout,
            "{name}: UPDATE_EXPECT=1 writes it"
        );
        let todos =
            said.stdout.lines().filter(|line| line.contains("# TODO ") || line.contains("# TODO:")).count();
        let told = if todos == 1 { "1 TODO\n".to_owned() } else { format!("{todos} TODOs\n") };
        assert!(said.stderr.ends_with(&told), "{name}: {} of {todos}", said.stderr);
        let plan = path.display().to_string();
        assert_eq!(space.run(&format!("validate {plan}")).code, 0, "{name}");
        assert_eq!(space.run(&format!("fmt --check {plan}")).code, 0, "{name}");
        // Every TODO names a place that is there, and shows what stands in it.
        let definition: Value = serde_json::from_slice(&fs::read(root().join(&file)).unwrap()).unwrap();
        for line in said.stdout.lines().filter_map(|line| line.trim().strip_prefix("# TODO properties")) {
            let place = line.split(": ").next().unwrap().trim_end_matches(':');
            let pointer =
                format!("/properties{}", place.replace('[', "/").replace(']', "").replace('.', "/"));
            assert!(definition.pointer(&pointer).is_some(), "{name}: {pointer}");
        }
    }
}

#[test]
fn what_executes_nothing_is_no_master() {
    let space = TestSpace::new();
    for file in [
        "procfwk/pipeline/Wait 1.json",
        "analytics-in-a-box/pipeline/PL_Curated_Incremental_Load.json",
        "fabric-cli/README.md",
        "nothing.json",
    ] {
        let said =
            Said::from(space.command(["import", &format!("tests/artifacts/{file}")]).output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{file}: {}", said.stderr);
    }
    for (text, want) in [
        ("[]", "no `properties`"),
        ("{\"value\": []}", "a list of pipelines"),
        ("{\"resources\": []}", "a whole workspace"),
        ("{\"properties\": {}}", "no `properties.activities`"),
        (
            "\u{feff}{\"properties\": {\"activities\": [1, null, {}, {\"type\": \"ForEach\"}]}}",
            "executes no other",
        ),
    ] {
        let path = space.write("x.json", text);
        let said = space.run(&format!("import {}", path.display()));
        assert_eq!(said.code, 2, "{text}: {}", said.stderr);
        assert!(said.stderr.contains(want), "{text}: {}", said.stderr);
    }
}

#[test]
fn a_plan_goes_into_a_file_that_is_not_there() {
    let space = TestSpace::new();
    let out = space.path("plan.yaml");
    let words = format!(
        "import tests/artifacts/open-edu-analytics/pipeline/0_main_graph.json --workspace contoso-dw -o {}",
        out.display()
    );
    let said = space.run(&words);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    assert!(said.stderr.contains("3 steps, 0 TODOs"), "{}", said.stderr);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("\nworkspace: contoso-dw\n"), "{text}");
    assert!(!text.contains("TODO"), "{text}");
    assert_eq!(space.run(&words).code, 2);
    assert_eq!(space.run(&format!("{words} --force")).code, 0);
    let said = space.run("import tests/artifacts/procfwk/pipeline/03-Child.json --workspace https://x");
    assert_eq!(said.code, 2, "{}", said.stderr);
}

/// Makes an activity that executes a pipeline of the same name.
fn run(name: &str, depends_on: &[(&str, &[&str])], more: &Value) -> Value {
    let depends_on: Vec<Value> = depends_on
        .iter()
        .map(|(name, conditions)| json!({ "activity": name, "dependencyConditions": conditions }))
        .collect();
    let mut activity = json!({
        "name": name, "type": "ExecutePipeline", "dependsOn": depends_on,
        "typeProperties": { "pipeline": { "referenceName": name, "type": "PipelineReference" }, "waitOnCompletion": true },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        if let Some(settings) = value.as_object().filter(|_| key == "typeProperties") {
            settings.iter().for_each(|(key, value)| activity["typeProperties"][key] = value.clone());
        } else {
            activity[key] = value.clone();
        }
    }
    activity
}

/// Imports activities and returns the part of the plan below `inputs`, or below `steps` without any.
fn imported(parameters: &Value, activities: &[Value]) -> String {
    let space = TestSpace::new();
    let text =
        json!({ "name": "master", "properties": { "parameters": parameters, "activities": activities } });
    let path = space.write("master.json", &text.to_string());
    let said = space.run(&format!("import {} --workspace w", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let at = said.stdout.find("inputs:\n").or_else(|| said.stdout.find("steps:\n")).unwrap();
    said.stdout[at..].to_owned()
}

/// Says whether all of these lines are in a plan, whatever their indent.
fn has(plan: &str, lines: &[&str]) {
    for line in lines {
        assert!(plan.lines().any(|it| it.trim() == *line), "no `{line}` in\n{plan}");
    }
}

#[test]
fn edges_mean_what_they_mean_in_the_service() {
    let plan = imported(
        &json!({}),
        &[
            run("a", &[], &json!({})),
            run("next", &[("a", &["Succeeded"])], &json!({})),
            run("mend", &[("a", &["Failed"])], &json!({})),
        ],
    );
    // `next` is skipped when `a` fails, so the master fails.
    has(&plan, &["depends_on: [a]", "depends_on: [{ a: [failed] }]"]);
    assert!(!plan.contains("allow_failure"), "{plan}");

    let plan = imported(
        &json!({}),
        &[
            run("a", &[], &json!({})),
            run("mend", &[("a", &["Failed"])], &json!({})),
            run("b", &[], &json!({})),
            run("always", &[("b", &["Completed"])], &json!({})),
            run("either", &[("b", &["Succeeded"]), ("always", &["Succeeded", "Failed"])], &json!({})),
        ],
    );
    // The last one is skipped when `b` fails; `mend` is the only one that makes good what failed.
    assert_eq!(plan.matches("allow_failure: true").count(), 2, "{plan}");
    has(&plan, &["depends_on: [{ b: [completed] }]", "depends_on: [b, { always: [completed] }]"]);
}

#[test]
fn what_stays_behind_leaves_its_edges() {
    let web = |name: &str, after: &str, condition: &str| json!({ "name": name, "type": "WebActivity", "dependsOn": [{ "activity": after, "dependencyConditions": [condition] }] });
    let plan = imported(
        &json!({}),
        &[
            run("a", &[], &json!({})),
            web("tell", "a", "Succeeded"),
            run("b", &[("tell", &["Succeeded"])], &json!({})),
            run("c", &[("tell", &["Skipped"])], &json!({})),
            run("d", &[("tell", &["Failed"])], &json!({})),
            run("e", &[("d", &["Succeeded"])], &json!({})),
        ],
    );
    has(&plan, &["depends_on: [a]", "depends_on: [{ a: [failed, skipped] }]"]);
    assert!(
        plan.contains("# TODO properties.activities[4]: `d` stays behind: it waits for `tell` to fail"),
        "{plan}"
    );
    assert!(plan.contains("# TODO properties.activities[5]: `e` stays behind"), "{plan}");
}

#[test]
fn loops_and_conditions_become_keys_of_steps() {
    let inner = run(
        "load",
        &[],
        &json!({ "typeProperties": { "parameters": {
        "t": { "value": "@item()", "type": "Expression" }, "all": "@concat('raw/', item(), '/', pipeline().parameters.day)",
    } } }),
    );
    let plan = imported(
        &json!({ "tables": { "type": "array", "defaultValue": ["x", "y"] }, "day": { "type": "string" }, "full": { "type": "bool", "defaultValue": "True" } }),
        &[
            json!({ "name": "each", "type": "ForEach", "typeProperties": { "isSequential": true, "activities": [inner],
                "items": { "value": "@pipeline().parameters.tables", "type": "Expression" } } }),
            json!({ "name": "if", "type": "IfCondition", "dependsOn": [{ "activity": "each", "dependencyConditions": ["Succeeded"] }],
                "typeProperties": {
                    "expression": { "value": "@and(pipeline().parameters.full, not(equals(pipeline().parameters.day, '')))", "type": "Expression" },
                    "ifTrueActivities": [run("yes", &[], &json!({}))], "ifFalseActivities": [run("no", &[], &json!({}))] } }),
            run("after", &[("if", &["Succeeded"])], &json!({})),
        ],
    );
    has(
        &plan,
        &[
            "full: { type: bool, default: true }",
            "for_each: \"{{inputs.tables}}\"",
            "max_parallel: 1",
            "t: \"{{each.value}}\"",
            "all: \"raw/{{each.value}}/{{inputs.day}}\"",
            "depends_on: [load]",
            "depends_on: [\"yes\", \"no\"]",
        ],
    );
    assert!(plan.contains("when: \"inputs.full and (inputs.day != \\\"\\\")\""), "{plan}");
    assert!(plan.contains("when: \"not (inputs.full and (inputs.day != \\\"\\\"))\""), "{plan}");
}

#[test]
fn policies_switches_and_secrets_move() {
    let policy = json!({
        "policy": { "timeout": "0.12:30:00", "retry": 2, "retryIntervalInSeconds": 60 },
        "userProperties": [{ "name": "team", "value": "sales" }],
        "typeProperties": { "waitOnCompletion": false, "parameters": { "key": "@pipeline().parameters.key", "at": "@utcnow()" } },
    });
    let plan = imported(
        &json!({ "key": { "type": "SecureString", "defaultValue": "hunter2" }, "mode": { "type": "String", "defaultValue": "full" } }),
        &[
            run("load it", &[], &policy),
            json!({ "name": "by mode", "type": "Switch", "typeProperties": { "on": "@pipeline().parameters.mode",
                "cases": [{ "value": "full", "activities": [run("full", &[], &json!({}))] }],
                "defaultActivities": [run("delta", &[], &json!({}))] } }),
        ],
    );
    has(
        &plan,
        &[
            "key: { type: string, secret: true }",
            "load_it:",
            "pipeline: load it",
            "timeout: 12h30m",
            "retry: { max_attempts: 3, delay: 60s }",
            "tags: [\"team=sales\"]",
            "allow_failure: true",
            "key: \"{{secret inputs.key}}\"",
            "when: \"inputs.mode == \\\"full\\\"\"",
            "when: \"inputs.mode != \\\"full\\\"\"",
        ],
    );
    assert!(!plan.contains("hunter2"), "{plan}");
    assert!(plan.contains("properties.activities[0].typeProperties.parameters.at"), "{plan}");
    assert!(plan.contains("#   @utcnow()"), "{plan}");
}

#[test]
fn the_commands_of_its_page_run_and_its_plan_is_real() {
    let page = fs::read_to_string(root().join("docs/import.md")).unwrap();
    let space = TestSpace::new();
    let mut said = String::new();
    let mut shown = 0;
    for block in page.split("```").skip(1).step_by(2) {
        if let Some(commands) = block.strip_prefix("sh\n") {
            for command in commands.lines().filter_map(|line| line.strip_prefix("synflow ")) {
                let command = command.replace("plan.yaml", &space.path("plan.yaml").display().to_string());
                let ran = space.run(&command);
                assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
                said = ran.stdout;
                shown += 1;
            }
        } else if let Some(plan) = block.strip_prefix("yaml\n") {
            assert_eq!(said, plan, "docs/import.md shows something else");
        }
    }
    assert!(shown >= 3, "{shown}");
}
