//! What runs do on their way: containers, queues, recoveries, cancels of whole families.

use serde_json::{Value, json};

use super::{Bench, RUN, after, names};
use crate::time::Delay;

fn pipeline(activities: &Value) -> Value {
    json!({ "properties": { "activities": activities } })
}

fn expression(code: &str) -> Value {
    json!({ "value": code, "type": "Expression" })
}

/// Runs the only pipeline to its end. Returns the run and its activity runs.
fn course(script: &str, definition: Value, parameters: &Value) -> (Value, Vec<Value>) {
    let mut bench = Bench::new(script, &[("pl.json", definition)]);
    bench.start("pl", RUN, parameters);
    bench.settle();
    (bench.run(RUN), bench.activities("pl", RUN))
}

#[test]
fn waits_as_long_as_it_says() {
    let definition =
        pipeline(&json!([{ "name": "W", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 90 } }]));
    let (run, rows) = course("", definition.clone(), &json!({}));
    assert_eq!(
        (&run["durationInMs"], &rows[0]["input"]),
        (&json!(90_500), &json!({ "waitTimeInSeconds": 90 }))
    );
    let (run, _) = course("pipelines: { pl: { duration: 4s } }", definition, &json!({}));
    assert_eq!(run["durationInMs"], 4_500, "the script's word wins");
}

#[test]
fn fails_where_a_fail_activity_stands() {
    let fail = json!({ "name": "Stop", "type": "Fail", "typeProperties": { "message": "@concat('no ', 'rows')", "errorCode": "404" } });
    let (run, rows) = course("", pipeline(&json!([fail])), &json!({}));
    assert_eq!(run["message"], "Operation on target Stop failed: no rows");
    assert_eq!(rows[0]["error"]["errorCode"], "404");
}

#[test]
fn goes_the_way_a_condition_says() {
    let definition = |condition: &str| {
        pipeline(&json!([{ "name": "If", "type": "IfCondition", "typeProperties": {
            "expression": expression(condition),
            "ifTrueActivities": [{ "name": "Yes", "type": "Copy" }],
            "ifFalseActivities": [{ "name": "No", "type": "Copy" }],
        }}]))
    };
    let check = |script: &str, condition: &str, want: &str| {
        let (run, rows) = course(script, definition(condition), &json!({ "n": 3 }));
        assert_eq!(run["status"], "Succeeded", "{run}");
        assert_eq!(names(&rows), [("If", "Succeeded"), (want, "Succeeded")], "{condition}");
    };
    check("", "@equals(pipeline().parameters.n, 3)", "Yes");
    check("", "@greater(pipeline().parameters.n, 3)", "No");
    check("", "@contains(utcnow(), 'x')", "Yes");
    check("pipelines: { pl: { activities: { If: { branch: false } } } }", "@contains(utcnow(), 'x')", "No");
    let script = "pipelines: { pl: { activities: { Yes: { error: { message: bad } } } } }";
    let (run, rows) = course(script, definition("@equals(1, 1)"), &json!({}));
    let inner = "Activity failed because an inner activity failed; Inner activity name: Yes, Error: bad";
    assert_eq!(run["message"], format!("Operation on target If failed: {inner}"));
    assert_eq!(names(&rows), [("If", "Failed"), ("Yes", "Failed")]);
}

#[test]
fn switches_and_sets() {
    let case = |name: &str| json!({ "value": name, "activities": [{ "name": name, "type": "Copy" }] });
    let definition = json!({ "properties": {
        "variables": { "v": { "type": "String", "defaultValue": "none" } },
        "activities": [
            { "name": "Set", "type": "SetVariable", "typeProperties": { "variableName": "v", "value": expression("@item_of()") }},
            { "name": "Set again", "type": "SetVariable", "dependsOn": after("Set", "Completed"),
              "typeProperties": { "variableName": "v", "value": expression("@toLower('B')") }},
            { "name": "Switch", "type": "Switch", "dependsOn": after("Set again", "Succeeded"), "typeProperties": {
                "on": expression("@variables('v')"), "cases": [case("a"), case("b")],
                "defaultActivities": [{ "name": "other", "type": "Copy" }],
            }},
        ],
    }});
    let (run, rows) = course("", definition, &json!({}));
    assert_eq!(run["status"], "Succeeded");
    assert_eq!(
        names(&rows),
        [("Set", "Succeeded"), ("Set again", "Succeeded"), ("Switch", "Succeeded"), ("b", "Succeeded")]
    );
    assert_eq!(rows[1]["output"], json!({ "name": "v", "value": "b" }));
}

#[test]
fn loops_over_items() {
    let definition = |more: Value| {
        let mut settings = json!({ "items": expression("@pipeline().parameters.list"), "activities": [
            { "name": "Copy", "type": "Copy" },
            { "name": "Note", "type": "AppendVariable", "dependsOn": after("Copy", "Succeeded"),
              "typeProperties": { "variableName": "seen", "value": expression("@item()") } },
        ]});
        for (name, value) in more.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        json!({ "properties": {
            "variables": { "seen": { "type": "Array", "defaultValue": [] } },
            "activities": [{ "name": "Each", "type": "ForEach", "typeProperties": settings }],
        }})
    };
    let script = "pipelines: { pl: { activities: { Copy: { duration: 10s } } } }";
    let list = json!({ "list": ["x", "y", "z"] });
    let (run, rows) = course(script, definition(json!({ "isSequential": true })), &list);
    assert!(run["durationInMs"].as_u64() >= Some(30_000), "one after the other: {run}");
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[6]["output"], json!({ "name": "seen", "value": ["x", "y", "z"] }));
    let hashes: std::collections::BTreeSet<&str> =
        rows.iter().filter_map(|row| row["iterationHash"].as_str()).collect();
    assert_eq!(hashes.len(), 4, "one for each iteration, none for the loop itself");

    let (run, _) = course(script, definition(json!({})), &list);
    assert!(run["durationInMs"].as_u64() < Some(12_000), "side by side: {run}");
    let (run, _) = course(script, definition(json!({ "batchCount": 2 })), &list);
    assert!((20_000..30_000).contains(&run["durationInMs"].as_u64().unwrap_or(0)), "two at a time: {run}");
    let (run, rows) = course(script, definition(json!({})), &json!({ "list": "[]" }));
    assert_eq!((&run["status"], rows.len()), (&json!("Succeeded"), 1), "an empty list, come as text");
    let (run, _) = course(script, definition(json!({})), &json!({}));
    assert_eq!(run["message"], "Operation on target Each failed: The workflow parameter 'list' is not found");
}

#[test]
fn tries_activities_again() {
    let definition = pipeline(&json!([
        { "name": "Copy", "type": "Copy", "policy": { "retry": 2, "retryIntervalInSeconds": 60 } },
        { "name": "Then", "type": "Copy", "dependsOn": after("Copy", "Succeeded") },
    ]));
    let check = |fails_first: u64, status: &str, want: &[(&str, &str)]| {
        let script =
            format!("pipelines: {{ pl: {{ activities: {{ Copy: {{ fails_first: {fails_first} }} }} }} }}");
        let (run, rows) = course(&script, definition.clone(), &json!({}));
        assert_eq!((&run["status"], names(&rows).as_slice()), (&json!(status), want), "{run}");
        let tried = want.iter().filter(|(name, _)| *name == "Copy").count() as u64;
        assert!(run["durationInMs"].as_u64() >= Some((tried - 1) * 60_000), "{run}");
        let retries: Vec<&Value> = rows.iter().take(tried as usize).map(|row| &row["retryAttempt"]).collect();
        assert_eq!(retries, [&json!(null), &json!(1), &json!(2)][..tried as usize]);
    };
    let (bad, good, then) = (("Copy", "Failed"), ("Copy", "Succeeded"), ("Then", "Succeeded"));
    check(0, "Succeeded", &[good, then]);
    check(1, "Succeeded", &[bad, good, then]);
    check(2, "Succeeded", &[bad, bad, good, then]);
    check(3, "Failed", &[bad, bad, bad, ("Then", "Skipped")]);
}

#[test]
fn the_same_script_makes_the_same_night() {
    let night = || {
        let script = "seed: 3\nfaults: [{ on: createRun, kind: status, status: 500, probability: 0.5 }]";
        let mut bench = Bench::new(script, &[]);
        let answers: Vec<Value> =
            (0..20).map(|n| bench.start("pl", "", &json!({ "n": n })).body_json()).collect();
        bench.settle();
        (answers, serde_json::to_value(bench.model.record()).expect("a record is JSON"))
    };
    assert_eq!(night(), night());
}

#[test]
fn inactive_activities_count_as_marked() {
    let definition = pipeline(&json!([
        { "name": "Off", "type": "Copy", "state": "Inactive", "onInactiveMarkAs": "Failed" },
        { "name": "Then", "type": "Copy", "dependsOn": after("Off", "Failed") },
    ]));
    let (run, rows) = course("", definition, &json!({}));
    assert_eq!(run["status"], "Succeeded");
    assert_eq!(names(&rows), [("Off", "Inactive"), ("Then", "Succeeded")]);
}

#[test]
fn activities_that_wait_for_each_other_end() {
    let definition = pipeline(&json!([
        { "name": "A", "type": "Copy", "dependsOn": after("B", "Succeeded") },
        { "name": "B", "type": "Copy", "dependsOn": after("A", "Succeeded") },
        { "name": "C", "type": "Copy", "dependsOn": after("nobody", "Succeeded") },
    ]));
    let (run, rows) = course("", definition, &json!({}));
    assert!(run["runEnd"].is_string(), "{run}");
    assert!(names(&rows).contains(&("C", "Succeeded")));
}

#[test]
fn pipelines_that_call_each_other_end() {
    let call = json!([{ "name": "Call", "type": "ExecutePipeline", "typeProperties": {
        "pipeline": { "referenceName": "pl" }, "waitOnCompletion": true } }]);
    let (run, _) = course("", pipeline(&call), &json!({}));
    assert_eq!(run["status"], "Failed");
    assert!(run["message"].as_str().is_some_and(|text| text.contains("20 deep")), "{run}");
}

#[test]
fn concurrency_queues_a_hundred() {
    let definition = json!({ "properties": { "concurrency": 1, "activities": [] } });
    let mut bench = Bench::new("", &[("pl.json", definition)]);
    for _ in 0..103 {
        bench.start("pl", "", &json!({}));
    }
    bench.wait(600);
    let count = |bench: &Bench, status: &str| {
        bench.model.record().runs.iter().filter(|run| run.status == status).count()
    };
    bench.query(&json!({}));
    let shape = |bench: &Bench| ["InProgress", "Queued", "Failed"].map(|status| count(bench, status));
    assert_eq!(shape(&bench), [1, 100, 2]);
    let failed = bench
        .query(&json!({ "filters": [{ "operand": "Status", "operator": "Equals", "values": ["Failed"] }] }));
    let message = failed.body_json()["value"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("Pipeline execution throttled."), "{message}");
    bench.settle();
    assert_eq!(count(&bench, "Succeeded"), 101);
    let record = bench.model.record();
    let began: Vec<_> = record.runs.iter().filter_map(|run| run.in_progress_at).collect();
    assert!(began.is_sorted(), "first come, first served");
    let mut spans: Vec<_> =
        record.runs.iter().filter_map(|run| Some((run.in_progress_at?, run.ended_at?))).collect();
    spans.sort();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "never two at once");
}

#[test]
fn a_cancelled_run_leaves_the_queue() {
    let definition = json!({ "properties": { "concurrency": 1, "activities": [] } });
    let mut bench = Bench::new("defaults: { duration: 1h, canceling: 1s }", &[("pl.json", definition)]);
    bench.start("pl", "", &json!({}));
    bench.start("pl", RUN, &json!({}));
    bench.wait(1_000);
    bench.cancel(RUN, "");
    bench.wait(1_000);
    let run = bench.run(RUN);
    assert_eq!((&run["status"], &run["durationInMs"]), (&json!("Cancelled"), &json!(2_000)));
    assert_eq!(bench.settle(), Delay::from_ms(3_600_500 - 2_000));
}

#[test]
fn a_cancel_reaches_children_only_if_asked() {
    let call = pipeline(&json!([{ "name": "Call", "type": "ExecutePipeline", "typeProperties": {
        "pipeline": { "referenceName": "child" }, "waitOnCompletion": true } }]));
    let files =
        [("parent.json", call), ("child.json", pipeline(&json!([{ "name": "Work", "type": "Copy" }])))];
    let check = |query: &str, want: &str| {
        let mut bench = Bench::new("defaults: { duration: 1h }", &files);
        bench.start("parent", RUN, &json!({}));
        bench.wait(2_000);
        assert_eq!(bench.activities("parent", RUN)[0]["status"], "InProgress");
        bench.cancel(RUN, query);
        bench.settle();
        let statuses: Vec<&str> = bench.model.record().runs.iter().map(|run| run.status).collect();
        assert_eq!(statuses, ["Cancelled", want], "{query}");
    };
    check("&isRecursive=true", "Cancelled");
    check("&isRecursive=false", "Succeeded");
    check("", "Succeeded");
}

#[test]
fn recovers_from_an_activity() {
    let definition = json!({ "properties": { "parameters": { "day": { "type": "string" } }, "activities": [
        { "name": "A", "type": "Copy", "typeProperties": { "x": "@pipeline().parameters.day" } },
        { "name": "B", "type": "Copy", "dependsOn": after("A", "Succeeded"), "typeProperties": { "x": "@pipeline().parameters.day" } },
        { "name": "C", "type": "Copy", "dependsOn": after("B", "Succeeded") },
        { "name": "D", "type": "Copy" },
    ]}});
    let script = "pipelines: { pl: { runs: [{ activities: { B: { outcome: failed } } }, {}] } }";
    let mut bench = Bench::new(script, &[("pl.json", definition)]);
    let given = json!({ "day": "mon" });
    bench.start("pl", RUN, &given);
    bench.settle();
    assert_eq!(bench.run(RUN)["status"], "Failed");
    let again = |bench: &mut Bench, query: &str, body: &Value| {
        let path = format!(
            "/pipelines/pl/createRun?api-version=2020-12-01&referencePipelineRunId={RUN}&isRecovery=true{query}"
        );
        let request = crate::emulator::model::Request::new("POST", &path).with_json(body);
        let id = bench.send(request).body_json()["runId"].as_str().unwrap_or_default().to_owned();
        bench.settle();
        (bench.run(&id), bench.activities("pl", &id))
    };
    let (run, rows) = again(&mut bench, "&startActivityName=B", &given);
    assert_eq!(
        (&run["status"], &run["runGroupId"], &run["isLatest"]),
        (&json!("Succeeded"), &json!(RUN), &json!(true))
    );
    assert_eq!(run["parameters"], given);
    assert_eq!(names(&rows), [("B", "Succeeded"), ("C", "Succeeded")]);
    assert_eq!(bench.run(RUN)["isLatest"], false);

    let (_, rows) = again(&mut bench, "&startFromFailure=true", &given);
    assert_eq!(names(&rows), [("B", "Succeeded"), ("C", "Succeeded")]);
    let (_, rows) = again(&mut bench, "", &given);
    assert_eq!(rows.len(), 4, "without an activity all of it runs again");

    let (run, _) = again(&mut bench, "&startActivityName=B", &json!({}));
    assert_eq!(
        run["message"], "Operation on target B failed: The workflow parameter 'day' is not found",
        "as recorded"
    );
    assert_eq!(run["parameters"], given, "although the run shows them");
    let (run, _) = again(&mut bench, "&startActivityName=B", &json!({ "day": "tue" }));
    assert_eq!(run["runGroupId"], run["runId"], "other parameters make an unrelated run");
    let of_group = json!({ "filters": [{ "operand": "RunGroupId", "operator": "Equals", "values": [RUN] }] });
    assert_eq!(bench.query(&of_group).body_json()["value"].as_array().map(Vec::len), Some(5));
    let latest = json!({ "filters": [
        { "operand": "RunGroupId", "operator": "Equals", "values": [RUN] },
        { "operand": "LatestOnly", "operator": "Equals", "values": ["true"] },
    ]});
    assert_eq!(bench.query(&latest).body_json()["value"].as_array().map(Vec::len), Some(1));
}

#[test]
fn bad_references_are_refused() {
    let mut bench = Bench::new("", &[]);
    let mut check = |reference: &str, code: &str| {
        let path =
            format!("/pipelines/pl/createRun?api-version=2020-12-01&referencePipelineRunId={reference}");
        let answer = bench.send(crate::emulator::model::Request::new("POST", &path));
        assert_eq!((answer.status, &answer.body_json()["error"]["code"]), (400, &json!(code)));
    };
    check("x", "ReferencedPipelineRunNotValid");
    check(RUN, "ReferencedPipelineRunNotFound");
}

#[test]
fn a_stuck_run_stays_until_it_is_cancelled() {
    let mut bench = Bench::new("pipelines: { pl: { outcome: stuck } }", &[]);
    bench.start("pl", RUN, &json!({}));
    bench.settle();
    bench.wait(50 * 60_000);
    assert_eq!(bench.run(RUN)["status"], "InProgress");
    bench.cancel(RUN, "");
    bench.settle();
    assert_eq!(bench.run(RUN)["status"], "Cancelled");
}

#[test]
fn returns_what_the_script_says() {
    let script = "pipelines: { pl: { return_value: { rows: 7, ok: true }, runs: [{ when: { n: 1 }, outcome: cancelled }] } }";
    let mut bench = Bench::new(script, &[]);
    bench.start("pl", RUN, &json!({ "n": 2 }));
    bench.settle();
    assert_eq!(bench.run(RUN)["pipelineReturnValue"], json!({ "rows": 7, "ok": true }));
    let id = bench.start("pl", "", &json!({ "n": 1 })).body_json()["runId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    bench.settle();
    assert_eq!(bench.run(&id)["status"], "Cancelled");
}

#[test]
fn returns_every_type_of_set_variable() {
    let typed = |kind: &str, content: serde_json::Value| json!({ "type": kind, "content": content });
    let pair = |key: &str, value: serde_json::Value| json!({ "key": key, "value": value });
    let definition = json!({ "properties": {
        "parameters": { "day": { "type": "string" } },
        "activities": [{ "name": "Return", "type": "SetVariable", "typeProperties": {
            "variableName": "pipelineReturnValue", "setSystemVariable": true,
            "value": [
                pair("text", typed("String", json!("@as it is"))),
                pair("day", typed("Expression", json!("@pipeline().parameters.day"))),
                pair("list", typed("Array", json!([
                    typed("Int", json!("3")),
                    typed("Expression", json!("@concat(pipeline().parameters.day, '!')")),
                    typed("Array", json!([typed("Null", json!(null))])),
                ]))),
                pair("yes", typed("Boolean", json!("True"))),
                pair("none", json!({ "type": "Null" })),
                pair("int", typed("Int", json!(7))),
                pair("float", typed("Float", json!("1.5"))),
                pair("object", typed("Object", json!([pair("k", typed("Int", json!(1)))]))),
                pair("plain", typed("Object", json!({ "k": [1] }))),
            ],
        }}],
    }});
    let mut bench = Bench::new("pipelines: { pl: { return_value: { int: 8 } } }", &[("pl.json", definition)]);
    bench.start("pl", RUN, &json!({ "day": "mon" }));
    bench.settle();
    let want = json!({
        "int": 8, "text": "@as it is", "day": "mon", "list": [3, "mon!", [null]], "yes": true, "none": null,
        "float": 1.5, "object": { "k": 1 }, "plain": { "k": [1] },
    });
    assert_eq!(bench.run(RUN)["pipelineReturnValue"], want);
}

#[test]
fn a_secured_output_is_used_and_not_shown() {
    let definition = json!({ "properties": { "activities": [
        { "name": "Token", "type": "WebActivity", "policy": { "secureOutput": true } },
        { "name": "Return", "type": "SetVariable",
          "dependsOn": [{ "activity": "Token", "dependencyConditions": ["Succeeded"] }],
          "typeProperties": { "variableName": "pipelineReturnValue", "setSystemVariable": true, "value": [
            { "key": "length", "value": { "type": "Expression", "content": "@length(activity('Token').output.token)" } },
          ] } },
    ]}});
    let script = "pipelines: { pl: { activities: { Token: { output: { token: hush } } } } }";
    let mut bench = Bench::new(script, &[("pl.json", definition)]);
    bench.start("pl", RUN, &json!({}));
    bench.settle();
    assert_eq!(bench.run(RUN)["pipelineReturnValue"], json!({ "length": 4 }));
    let shown = bench.activities("pl", RUN);
    assert_eq!((&shown[0]["status"], &shown[0]["output"]), (&json!("Succeeded"), &json!({})));
}

#[test]
fn secret_parameters_are_never_shown() {
    let definition = json!({ "properties": {
        "parameters": { "key": { "type": "secureString" }, "day": { "type": "string" } },
        "activities": [{ "name": "A", "type": "Copy", "typeProperties": { "k": "@pipeline().parameters.key" } }],
    }});
    let mut bench = Bench::new("", &[("pl.json", definition)]);
    bench.start("pl", RUN, &json!({ "key": "hush", "day": "mon" }));
    bench.settle();
    let shown = format!("{}{:?}", bench.run(RUN), bench.activities("pl", RUN));
    assert!(shown.contains("**********"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    let record = serde_json::to_string(&bench.model.record()).expect("a record is JSON");
    assert!(!record.contains("hush"), "{record}");
}
