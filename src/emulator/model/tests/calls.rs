//! The calls about runs and definitions, one rule each.

use serde_json::{Value, json};

use super::{Bench, RUN, VERSION, after, names};
use crate::emulator::model::script::Script;
use crate::emulator::model::{Model, Operation, Request};
use crate::time::{Delay, Timestamp};

#[test]
fn a_run_goes_its_way() {
    let mut bench = Bench::new("", &[]);
    let sent = json!({ "list": ["a", 1], "n": 3, "flag": true, "text": "x" });
    let answer = bench.start("pl_any", "8b35ed2c152b11ec9ae6b07b25181c2a", &sent);
    assert_eq!((answer.status, answer.body_json()), (202, json!({ "runId": RUN })));
    let run = bench.run(RUN);
    assert_eq!(run["status"], "Queued");
    assert_eq!(
        (&run["message"], &run["runEnd"], &run["durationInMs"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(run["parameters"], json!({ "list": "[\"a\",1]", "n": "3", "flag": "true", "text": "x" }));
    bench.wait(600);
    let run = bench.run(RUN);
    assert_eq!((&run["status"], &run["message"]), (&json!("InProgress"), &json!("")));
    bench.wait(2_000);
    let run = bench.run(RUN);
    assert_eq!((&run["status"], &run["durationInMs"]), (&json!("Succeeded"), &json!(2_500)));
    assert_eq!(run["lastUpdated"], run["runEnd"]);
    assert_eq!(run["runGroupId"], RUN);
}

#[test]
fn a_known_id_starts_nothing() {
    let mut bench = Bench::new("", &[]);
    bench.start("pl_any", RUN, &json!({}));
    bench.settle();
    assert_eq!(bench.start("pl_other", RUN, &json!({ "x": 1 })).body_json()["runId"], RUN);
    let record = bench.model.record();
    assert_eq!((record.runs.len(), record.runs[0].repeats), (1, 1));
    assert_eq!(record.requests_of(Operation::CreateRun), 2);

    let mut bench = Bench::new("ids: ignored", &[]);
    let first = bench.start("pl_any", RUN, &json!({})).body_json();
    let second = bench.start("pl_any", RUN, &json!({})).body_json();
    assert_ne!(first["runId"], RUN);
    assert_ne!(first["runId"], second["runId"]);
    assert_eq!(bench.start("pl_any", "no guid", &json!({})).status, 202);
}

#[test]
fn fails_as_the_script_says() {
    let definition = json!({ "properties": { "activities": [
        { "name": "Read", "type": "Copy" },
        { "name": "Write", "type": "Copy", "dependsOn": after("Read", "Succeeded") },
    ]}});
    let script = "
pipelines:
  pl:
    duration: 4s
    runs:
      - { outcome: failed, error: { code: '2200', message: no such table } }
      - { activities: { Read: { error: { message: broken } } } }
      - {}
";
    let mut bench = Bench::new(script, &[("pl.json", definition)]);
    let run = |bench: &mut Bench| {
        let id =
            bench.start("pl", "", &json!({})).body_json()["runId"].as_str().unwrap_or_default().to_owned();
        bench.settle();
        (bench.run(&id), bench.activities("pl", &id))
    };
    let (first, rows) = run(&mut bench);
    assert_eq!(
        (&first["status"], &first["message"]),
        (&json!("Failed"), &json!("Operation on target Write failed: no such table"))
    );
    assert_eq!(names(&rows), [("Read", "Succeeded"), ("Write", "Failed")]);
    assert_eq!(
        (&rows[1]["error"]["errorCode"], &rows[1]["error"]["target"]),
        (&json!("2200"), &json!("Write"))
    );
    assert_eq!((&rows[0]["error"]["message"], &rows[0]["durationInMs"]), (&json!(""), &json!(2_000)));
    let (second, rows) = run(&mut bench);
    assert_eq!(second["message"], "Operation on target Read failed: broken");
    assert_eq!(names(&rows), [("Read", "Failed"), ("Write", "Skipped")]);
    assert_eq!(run(&mut bench).0["status"], "Succeeded");
    assert_eq!(run(&mut bench).0["status"], "Succeeded", "the last entry serves all later runs");
}

#[test]
fn a_handled_failure_is_a_success() {
    let definition = json!({ "properties": { "activities": [
        { "name": "Try", "type": "Copy" },
        { "name": "Catch", "type": "Copy", "dependsOn": after("Try", "Failed") },
    ]}});
    let mut bench = Bench::new(
        "pipelines: { pl: { activities: { Try: { outcome: failed } } } }",
        &[("pl.json", definition)],
    );
    bench.start("pl", RUN, &json!({}));
    bench.settle();
    assert_eq!(bench.run(RUN)["status"], "Succeeded");
    assert_eq!(names(&bench.activities("pl", RUN)), [("Try", "Failed"), ("Catch", "Succeeded")]);
}

#[test]
fn a_missing_parameter_is_noticed_in_the_run() {
    let activity =
        json!({ "name": "A", "type": "Copy", "typeProperties": { "x": "@pipeline().parameters.Day" } });
    let check = |activities: Value, given: Value, want: &str| {
        let properties = json!({ "parameters": { "Day": { "type": "string" } }, "activities": activities });
        let mut bench = Bench::new("", &[("pl.json", json!({ "properties": properties }))]);
        assert_eq!(bench.start("pl", RUN, &given).status, 202);
        bench.settle();
        assert_eq!(bench.run(RUN)["message"], want);
    };
    let not_found = "The workflow parameter 'Day' is not found";
    check(json!([activity]), json!({}), &format!("Operation on target A failed: {not_found}"));
    check(json!([activity]), json!({ "Day": "1" }), "");
    check(
        json!([{ "name": "B", "type": "Copy" }]),
        json!({}),
        &format!("Operation on target B failed: {not_found}"),
    );
    check(json!([]), json!({}), not_found);
}

#[test]
fn somebody_else_may_cancel_a_run() {
    let script = "pipelines: { pl: { duration: 10s, cancel: { at: 2s, after: 1s } } }";
    let mut bench = Bench::new(script, &[]);
    bench.start("pl", RUN, &json!({}));
    let status = |bench: &mut Bench| bench.run(RUN)["status"].clone();
    bench.wait(2_400);
    assert_eq!(status(&mut bench), "InProgress");
    bench.wait(200);
    assert_eq!(status(&mut bench), "Canceling");
    bench.wait(1_000);
    assert_eq!(status(&mut bench), "Cancelled");
    // What has ended by then stays as it is.
    let mut bench = Bench::new("pipelines: { pl: { duration: 1s, cancel: { at: 2s } } }", &[]);
    bench.start("pl", RUN, &json!({}));
    bench.settle();
    assert_eq!(bench.run(RUN)["status"], "Succeeded");
}

#[test]
fn a_cancel_takes_its_time() {
    let mut bench = Bench::new("", &[]);
    bench.start("pl", RUN, &json!({}));
    bench.wait(1_000);
    let answer = bench.cancel(RUN, "&isRecursive=true");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    bench.wait(11_000);
    let run = bench.run(RUN);
    assert_eq!((&run["status"], &run["runEnd"]), (&json!("Canceling"), &Value::Null));
    bench.wait(1_000);
    let run = bench.run(RUN);
    assert_eq!(
        (&run["status"], &run["message"], &run["durationInMs"]),
        (&json!("Cancelled"), &json!(""), &json!(13_000))
    );
    assert_eq!(names(&bench.activities("pl", RUN)), [("Activity1", "Cancelled")]);
    assert_eq!(bench.cancel(RUN, "").status, 200, "a finished run may be cancelled");
    assert_eq!(bench.run(RUN)["status"], "Cancelled");
    let unknown = bench.cancel("someGuid", "");
    assert_eq!(unknown.status, 400);
    assert_eq!(
        unknown.body_json(),
        json!({ "error": {
            "code": "ReferencedPipelineRunNotFound",
            "message": "Referenced pipeline run id someGuid does not exist.",
            "target": "pipelinerun",
            "details": null,
        }})
    );
}

#[test]
fn a_run_may_win_the_race_against_its_cancel() {
    let mut bench = Bench::new("pipelines: { pl: { cancel: { after: 3s, outcome: succeeded } } }", &[]);
    bench.start("pl", RUN, &json!({}));
    bench.cancel(RUN, "");
    assert_eq!(bench.run(RUN)["status"], "Canceling");
    assert_eq!(bench.settle(), Delay::from_secs(3));
    assert_eq!(bench.run(RUN)["status"], "Succeeded");
}

#[test]
fn pages_hold_a_hundred() {
    let mut bench = Bench::new("", &[]);
    for number in 0..250 {
        bench.start(if number % 2 == 0 { "even" } else { "odd" }, "", &json!({ "n": number }));
        bench.wait(1);
    }
    let mut seen = Vec::new();
    let mut token = Value::Null;
    let mut sizes = Vec::new();
    loop {
        let page = bench.query(&json!({ "continuationToken": token })).body_json();
        let records = page["value"].as_array().cloned().unwrap_or_default();
        sizes.push(records.len());
        seen.extend(records.iter().map(|run| run["parameters"]["n"].as_str().unwrap_or_default().to_owned()));
        let Some(next) = page.get("continuationToken") else { break };
        token = next.clone();
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert!(seen.iter().enumerate().all(|(at, n)| *n == at.to_string()), "oldest first, none twice");
    let other = json!({ "continuationToken": token, "filters": [{ "operand": "PipelineName", "operator": "Equals", "values": ["even"] }] });
    assert_eq!(bench.query(&other).status, 400, "a token belongs to its query");
}

#[test]
fn filters_and_orders() {
    let mut bench = Bench::new("pipelines: { bad: { outcome: failed } }", &[]);
    for pipeline in ["a", "bad", "a", "c"] {
        bench.start(pipeline, "", &json!({}));
        bench.wait(10);
    }
    bench.settle();
    bench.start("late", "", &json!({}));
    let found = |bench: &mut Bench, more: Value| {
        let answer = bench.query(&more);
        let body = answer.body_json();
        let names = body["value"].as_array().into_iter().flatten();
        let names: Vec<String> =
            names.map(|run| run["pipelineName"].as_str().unwrap_or_default().to_owned()).collect();
        (answer.status, names.join(" "))
    };
    let mut check = |operand: &str, operator: &str, values: Value, want: &str| {
        let filter = json!({ "filters": [{ "operand": operand, "operator": operator, "values": values }], "orderBy": [] });
        assert_eq!(found(&mut bench, filter), (200, want.to_owned()), "{operand} {operator}");
    };
    check("PipelineName", "Equals", json!(["a"]), "a a");
    check("PipelineName", "NotEquals", json!(["a"]), "bad c late");
    check("Status", "In", json!(["Failed", "Queued"]), "bad late");
    check("Status", "NotIn", json!(["Failed", "Queued"]), "a a c");
    check("LatestOnly", "Equals", json!(["true"]), "a bad a c late");
    check("RunEnd", "In", json!(["2020-01-01T00:00:00Z"]), "");
    let ordered = json!({ "orderBy": [{ "orderBy": "PipelineName", "order": "DESC" }, { "orderBy": "RunStart", "order": "ASC" }] });
    assert_eq!(found(&mut bench, ordered).1, "late c bad a a");
    let mut refused = |more: Value, want: &str| {
        let answer = bench.query(&more);
        assert_eq!(answer.status, 400);
        let body = answer.body_json();
        assert!(body["error"]["message"].as_str().unwrap_or_default().contains(want), "{body}");
    };
    refused(json!({ "filters": [{ "operand": "RunId", "operator": "Equals", "values": ["x"] }] }), "RunId");
    refused(json!({ "filters": [{ "operand": "Status", "operator": "Like", "values": ["x"] }] }), "Like");
    refused(
        json!({ "filters": [{ "operand": "LatestOnly", "operator": "Equals", "values": [true] }] }),
        "texts",
    );
    refused(
        json!({ "filters": [{ "operand": "RunGroupId", "operator": "In", "values": ["a", "b"] }] }),
        "only one",
    );
    refused(json!({ "orderBy": [{ "orderBy": "LatestOnly", "order": "ASC" }] }), "LatestOnly");
    refused(json!({ "lastUpdatedAfter": "soon" }), "soon");
    refused(json!({ "lastUpdatedAfter": null }), "lastUpdatedAfter");
}

#[test]
fn windows_exclude() {
    let mut bench = Bench::new("", &[]);
    bench.start("pl", RUN, &json!({}));
    bench.settle();
    let past = json!({ "lastUpdatedAfter": "2020-09-01T00:36:44.334576Z", "lastUpdatedBefore": "2020-10-16T00:36:44.334576Z" });
    assert_eq!(bench.query(&past).body_json(), json!({ "value": [] }));
    let path = format!("/pipelines/pl/pipelineruns/{RUN}/queryActivityruns?{VERSION}");
    let answer = bench.send(Request::new("POST", &path).with_json(&past));
    assert_eq!((answer.status, answer.body_json()), (200, json!({ "value": [] })));
    assert_eq!(bench.activities("pl", RUN).len(), 1);
    let end = bench.run(RUN)["lastUpdated"].clone();
    assert_eq!(
        bench.query(&json!({ "lastUpdatedAfter": end })).body_json()["value"].as_array().map(Vec::len),
        Some(1)
    );
    let no_body = bench.send(Request::new("POST", &path));
    assert_eq!(no_body.status, 400);
}

#[test]
fn definitions_are_written_in_their_own_time() {
    let mut bench = Bench::new("", &[("Pipeline 1.json", json!({ "properties": { "activities": [] } }))]);
    let put = Request::new("PUT", &format!("/pipelines/new?{VERSION}"));
    let answer = bench.send(put.with_json(&json!({ "properties": { "description": "d" } })));
    assert_eq!((answer.status, answer.header("retry-after")), (202, Some("10")));
    let body = answer.body_json();
    assert_eq!((&body["state"], &body["type"]), (&json!("Creating"), &json!("Pipeline")));
    let location = answer.header("location").unwrap_or_default();
    let target = location.split_once(".net").map(|(_, target)| target.to_owned()).unwrap_or_default();
    let poll = bench.send(Request::new("GET", &target));
    assert_eq!((poll.status, poll.body_json()), (202, json!({ "status": "InProgress" })));
    assert_eq!(bench.get("/pipelines/new")["code"], "PipelineNotFound");
    bench.settle();
    let done = bench.send(Request::new("GET", &target));
    assert_eq!((done.status, &done.body_json()["name"]), (200, &json!("new")));
    let read = bench.get("/pipelines/new");
    assert_eq!(read["properties"]["description"], "d");
    assert_eq!(bench.get("/pipelines")["value"].as_array().map(Vec::len), Some(2));
    assert_eq!(bench.get("/pipelines/Pipeline%201")["name"], "Pipeline 1");

    let etag = read["etag"].as_str().unwrap_or_default().to_owned();
    let same = Request::new("GET", &format!("/pipelines/new?{VERSION}")).with_header("if-none-match", &etag);
    assert_eq!(bench.send(same).status, 304);
    let stale = Request::new("PUT", &format!("/pipelines/new?{VERSION}")).with_header("if-match", "old");
    assert_eq!(bench.send(stale.with_json(&json!({ "properties": {} }))).status, 412);

    let rename = Request::new("POST", &format!("/pipelines/new/rename?{VERSION}"));
    assert_eq!(bench.send(rename.with_json(&json!({ "newName": "newer" }))).status, 202);
    bench.settle();
    assert_eq!(bench.get("/pipelines/newer")["properties"]["description"], "d");
    let delete = bench.send(Request::new("DELETE", &format!("/pipelines/newer?{VERSION}")));
    assert_eq!((delete.status, delete.header("retry-after")), (202, None));
    assert_eq!(delete.body_json()["created"], "0001-01-01T00:00:00");
    bench.settle();
    assert_eq!(
        bench.get("/pipelines/newer"),
        json!({
            "code": "PipelineNotFound",
            "message": "The Pipeline newer was not found in (subscription=00000000-0000-0000-0000-000000000000 \
                        resourceGroup=synflow-emulator workspace=contoso)",
        })
    );
    assert_eq!(bench.send(Request::new("DELETE", &format!("/pipelines/newer?{VERSION}"))).status, 204);
    let bad_name = Request::new("PUT", &format!("/pipelines/a%2Fb?{VERSION}"));
    assert_eq!(bench.send(bad_name.with_json(&json!({ "properties": {} }))).status, 400);
    assert_eq!(bench.start("nowhere", "", &json!({})).status, 404, "with definitions, other names are none");
}

#[test]
fn lists_of_definitions_have_pages() {
    let definitions: Vec<(String, Value)> =
        (0..5).map(|n| (format!("p{n}.json"), json!({ "properties": {} }))).collect();
    let definitions: Vec<(&str, Value)> =
        definitions.iter().map(|(name, body)| (name.as_str(), body.clone())).collect();
    let mut bench = Bench::new("definitions_per_page: 2", &definitions);
    let mut target = format!("/pipelines?{VERSION}");
    let mut seen = Vec::new();
    loop {
        let page = bench.send(Request::new("GET", &target)).body_json();
        seen.extend(page["value"].as_array().cloned().unwrap_or_default());
        let Some(next) = page.get("nextLink").and_then(Value::as_str) else { break };
        target = next.split_once(".net").map(|(_, target)| target.to_owned()).unwrap_or_default();
    }
    let seen: Vec<&str> = seen.iter().filter_map(|pipeline| pipeline["name"].as_str()).collect();
    assert_eq!(seen, ["p0", "p1", "p2", "p3", "p4"]);
}

#[test]
fn what_can_be_started_can_be_read() {
    let script = "pipelines:
  pl_scripted:
    activities: { Copy_1: {} }
    runs: [{ when: { region: emea, n: 3 }, activities: { Copy_2: {} } }, {}]
";
    let listed = |bench: &mut Bench| -> Vec<String> {
        let list = bench.get("/pipelines")["value"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect()
    };
    // With definitions, the script's names are pipelines as well, and others are not.
    let described = json!({ "properties": { "activities": [] } });
    let mut bench = Bench::new(script, &[("pl_described.json", described)]);
    assert_eq!(listed(&mut bench), ["pl_described", "pl_scripted"]);
    assert_eq!(
        (bench.get("/pipelines/nowhere")["code"].clone(), bench.start("nowhere", "", &json!({})).status),
        (json!("PipelineNotFound"), 404)
    );
    let read = bench.get("/pipelines/pl_scripted");
    let names: Vec<&str> = read["properties"]["activities"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(names, ["Copy_1", "Copy_2"]);
    assert_eq!(
        read["properties"]["parameters"],
        json!({ "n": { "type": "int" }, "region": { "type": "string" } })
    );
    assert_eq!(read["type"], "Microsoft.Synapse/workspaces/pipelines");
    let etag = read["etag"].as_str().unwrap_or_default().to_owned();
    let same =
        Request::new("GET", &format!("/pipelines/pl_scripted?{VERSION}")).with_header("if-none-match", &etag);
    assert_eq!(bench.send(same).status, 304);
    // It takes what it does not declare, and stays the same whatever it is given.
    assert_eq!(bench.start("pl_scripted", RUN, &json!({ "other": 1 })).status, 202);
    bench.settle();
    assert_eq!((&bench.run(RUN)["status"], bench.get("/pipelines/pl_scripted")), (&json!("Succeeded"), read));

    // Without definitions every name is a pipeline; the list knows those that somebody has named.
    let mut bench = Bench::new(script, &[]);
    bench.model = bench.model.with_pipelines(["pl_meant"]);
    assert_eq!(bench.get("/pipelines/pl_any")["name"], "pl_any");
    assert_eq!(listed(&mut bench), ["pl_meant", "pl_scripted"]);
    bench.start("pl_any", RUN, &json!({}));
    assert_eq!(listed(&mut bench), ["pl_any", "pl_meant", "pl_scripted"]);
}

#[test]
fn what_was_deleted_can_be_neither_read_nor_started() {
    let mut bench = Bench::new("pipelines: { pl: {} }", &[]);
    assert_eq!(bench.send(Request::new("DELETE", &format!("/pipelines/pl?{VERSION}"))).status, 202);
    bench.settle();
    assert_eq!(bench.get("/pipelines/pl")["code"], "PipelineNotFound");
    assert_eq!(bench.get("/pipelines")["value"], json!([]));
    assert_eq!(bench.start("pl", RUN, &json!({})).status, 404);
    let put = Request::new("PUT", &format!("/pipelines/pl?{VERSION}"));
    bench.send(put.with_json(&json!({ "properties": { "activities": [] } })));
    bench.settle();
    assert_eq!(bench.start("pl", RUN, &json!({})).status, 202);
}

#[test]
fn versions_are_checked() {
    let mut bench = Bench::new("", &[]);
    let mut check = |query: &str, want: Option<&str>| {
        let answer = bench.send(Request::new("GET", &format!("/pipelines{query}")));
        let body = answer.body_json();
        match want {
            None => assert_eq!(answer.status, 200, "{query}"),
            Some(want) => {
                assert_eq!(answer.status, 400, "{query}");
                assert!(body["error"]["message"].as_str().unwrap_or_default().contains(want), "{body}");
            }
        }
    };
    check("?api-version=2020-12-01", None);
    check("?api-version=2019-06-01-preview", None);
    check("", Some("required"));
    check("?api-version=", Some("''"));
    check("?api-version=api-version=2020-12-01", Some("'api-version=2020-12-01'"));
    check("?api-version=2020-12-01&api-version=2020-12-01", Some("'2020-12-01', '2020-12-01'"));
    check("?api-version=2018-06-01", Some("'2018-06-01'"));
}

#[test]
fn the_speed_divides_all_lengths() {
    let mut bench = Bench::new("speed: 10", &[]);
    bench.start("pl", RUN, &json!({}));
    assert_eq!(bench.settle(), Delay::from_ms(250));
    let put =
        Request::new("PUT", &format!("/pipelines/new?{VERSION}")).with_json(&json!({ "properties": {} }));
    assert_eq!(bench.send(put).header("retry-after"), Some("1"));
}

#[test]
fn a_pipeline_calls_another() {
    let call = |waits: bool| {
        json!({ "name": "Call", "type": "ExecutePipeline", "typeProperties": {
            "pipeline": { "referenceName": "child", "type": "PipelineReference" },
            "waitOnCompletion": waits,
            "parameters": { "list": ["a"], "day": { "value": "@pipeline().parameters.day", "type": "Expression" } },
        }})
    };
    let parent = |waits| {
        (
            "parent.json",
            json!({ "properties": { "activities": [call(waits)], "parameters": { "day": { "type": "string" } } } }),
        )
    };
    let child = (
        "child.json",
        json!({ "properties": { "activities": [
            { "name": "Work", "type": "Copy" },
            { "name": "Return", "type": "SetVariable", "dependsOn": after("Work", "Succeeded"), "typeProperties": {
                "variableName": "pipelineReturnValue", "setSystemVariable": true,
                "value": [{ "key": "rows", "value": { "type": "Int", "content": 12 } }],
            }},
        ]}}),
    );
    let mut bench = Bench::new("pipelines: { child: { duration: 6s } }", &[parent(true), child.clone()]);
    bench.start("parent", RUN, &json!({ "day": "mon" }));
    bench.settle();
    let run = bench.run(RUN);
    assert_eq!(run["status"], "Succeeded");
    assert!(run["durationInMs"].as_u64() > Some(6_000), "the parent waits for its child: {run}");
    let output = bench.activities("parent", RUN)[0]["output"].clone();
    assert_eq!(
        (&output["pipelineName"], &output["pipelineReturnValue"]),
        (&json!("child"), &json!({ "rows": 12 }))
    );
    let child_run = bench.run(output["pipelineRunId"].as_str().unwrap_or_default());
    assert_eq!(child_run["parameters"], json!({ "list": "[\"a\"]", "day": "mon" }));
    assert_eq!(
        (&child_run["invokedBy"]["invokedByType"], &child_run["invokedBy"]["pipelineRunId"]),
        (&json!("PipelineActivity"), &json!(RUN))
    );
    assert_eq!(child_run["pipelineReturnValue"], json!({ "rows": 12 }));

    let mut bench = Bench::new(
        "pipelines: { child: { outcome: failed, message: it broke } }",
        &[parent(true), child.clone()],
    );
    bench.start("parent", RUN, &json!({ "day": "mon" }));
    bench.settle();
    assert_eq!(bench.run(RUN)["message"], "Operation on target Call failed: it broke");

    let mut bench = Bench::new("pipelines: { child: { outcome: failed } }", &[parent(false), child]);
    bench.start("parent", RUN, &json!({ "day": "mon" }));
    bench.settle();
    assert_eq!(bench.run(RUN)["status"], "Succeeded", "nobody waited for the child");
}

#[test]
fn names_that_serve_nothing_are_told() {
    let definition = json!({ "properties": { "activities": [{ "name": "If", "type": "IfCondition", "typeProperties": {
        "ifTrueActivities": [{ "name": "Copy", "type": "Copy" }] } }] } });
    let script = "pipelines: { pl: { activities: { Copy: {}, Kopy: {} }, runs: [{ activities: { If: {}, Of: {} } }] }, pk: {} }";
    let bench = Bench::new(script, &[("pl.json", definition)]);
    let told = [
        "no definition has the pipeline `pk` of the script",
        "the pipeline `pl` has no activity `Kopy`",
        "the pipeline `pl` has no activity `Of`",
    ];
    assert_eq!(bench.model.idle_names(), told);
    assert_eq!(Bench::new(script, &[]).model.idle_names(), Vec::<String>::new());
}

#[test]
fn a_simulation_needs_no_sign_in() {
    let mut model = Model::new("contoso", Script::default(), &[], Timestamp::default())
        .expect("no files, no trouble")
        .without_sign_in();
    let list = Request::new("GET", &format!("/pipelines?{VERSION}"));
    assert_eq!(model.answer(Timestamp::default(), &list).status, 200);
}

#[test]
fn two_files_of_one_name_are_an_error() {
    let load = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> =
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Model::new("contoso", Script::default(), &files, Timestamp::default()).err()
    };
    assert_eq!(load(&[("a/pipeline/x.json", "{}"), ("y.json", "\u{feff}{\"properties\":{}}")]), None);
    let check = |files: &[(&str, &str)], want: &str| assert_eq!(load(files).as_deref(), Some(want));
    check(
        &[("a.json", "{\"name\":\"p\"}"), ("P.json", "{}")],
        "P.json: another file defines the pipeline `p` already",
    );
    check(&[("a.json", "[]")], "a.json: not a JSON object");
    check(&[("a.json", "{\"properties\":1}")], "a.json: `properties` is not an object");
    assert!(load(&[("a.json", "{")]).is_some_and(|error| error.starts_with("a.json: EOF")));
}

proptest::proptest! {
    #[test]
    fn no_request_is_too_strange(
        method in "GET|PUT|POST|DELETE|PATCH",
        path in "/(pipelines|pipelineruns|queryPipelineRuns|roleAssignments|operationResults)?(/[a-z%0-9]{0,6}){0,2}(/createRun|/cancel|/rename)?",
        query in "(api-version=2020-12-01)?(&[a-zA-Z$%=]{0,20}){0,2}",
        body in "\\PC{0,40}|\\{\"(filters|properties|parameters|lastUpdatedAfter)\": ?(1|\\[1\\]|\\{\\}|null)\\}",
    ) {
        let mut bench = Bench::new("", &[]);
        let mut request = Request::new(&method, &format!("{path}?{query}"));
        request.body = body.into_bytes();
        let answer = bench.send(request);
        proptest::prop_assert!((200..500).contains(&answer.status), "{answer:?}");
        bench.settle();
    }

    #[test]
    fn no_definition_is_too_strange(code in "@?@?[a-z(){}',.\\[\\] 0-9@]{0,30}", kind in "ForEach|Switch|IfCondition|Until|SetVariable|ExecutePipeline|Wait|Fail|Copy") {
        let settings = json!({
            "items": code, "on": code, "expression": code, "value": code, "variableName": code, "waitTimeInSeconds": code,
            "message": code, "pipeline": { "referenceName": "pl" }, "parameters": { "p": code },
            "activities": [{ "name": "in", "type": kind, "typeProperties": { "value": code } }],
        });
        let activity = json!({ "name": "A", "type": kind, "typeProperties": settings });
        let mut bench = Bench::new("", &[("pl.json", json!({ "properties": { "activities": [activity] } }))]);
        bench.start("pl", RUN, &json!({}));
        bench.settle();
        proptest::prop_assert!(bench.run(RUN)["runEnd"].is_string());
    }
}
