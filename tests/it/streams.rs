//! Events as lines of JSON: what `--output jsonl` writes, against its schema and against everything else that tells a flow.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use synflow::flow::{Flow, Recorded};
use synflow::report::events::{StreamLine, schema};

use crate::space::{Said, TestSpace, root};
use crate::witness::wait_until;

/// A night with all that can happen to a step, as the emulator plays it.
pub(crate) const PLAN: &str = r###"version: 1
name: all-sorts
workspace: w
inputs: { day: { type: date, default: "2026-01-14" }, rows: { type: int, default: 3 } }
deadline: "23:59 UTC"
steps:
  good: { parameters: { day: "{{inputs.day}}", nested: { a: [1, 2.5, null, "##vso[task.complete]"] } }, outputs: { rows: "{{activities.Copy.output.rows}}", lost: "{{activities.Copy.output.no}}" } }
  again: { retry: { max_attempts: 2, delay: 10ms } }
  odd: {}
  allowed: { allow_failure: true }
  bad: { depends_on: [good] }
  blocked: { depends_on: [bad] }
  handler: { depends_on: [{ bad: [failed] }] }
  quiet: { depends_on: [{ good: [failed] }] }
  skipped: { depends_on: [good], when: steps.good.outputs.rows > 100 }
  slow: { timeout: 200ms }
  each: { for_each: [b, "a::x"] }
"###;

const SCRIPT: &str = r#"
defaults: { duration: 50ms, operation: 1ms, canceling: 100ms }
artifacts: [workspace]
pipelines:
  good: { activities: { Copy: { output: { rows: 7 } } } }
  again: { runs: [{ outcome: failed, error: { code: "2200", message: "once\n::error::more" } }, {}] }
  odd: { activities: { Side: { error: { code: "1", message: "odd ##[error]" } } } }
  blocked: {}
  handler: {}
  quiet: {}
  skipped: {}
  each: {}
  allowed: { outcome: failed, error: { message: "rates" } }
  bad: { outcome: failed, error: { code: UserErrorInvalidTable, message: "::stop-commands::x\n##vso[task.setvariable variable=PATH]x" } }
  slow: { duration: 1h }
"#;

pub(crate) fn lines(text: &str) -> Vec<StreamLine> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

pub(crate) fn recorded(lines: &[StreamLine]) -> Vec<Recorded> {
    lines.iter().filter_map(StreamLine::recorded).collect()
}

/// The pipeline `odd`: an activity fails, another takes care of that, and the run succeeds.
const ODD: &str = r#"{ "name": "odd", "properties": { "activities": [{ "name": "Side", "type": "WebActivity" },
    { "name": "Mend", "type": "WebActivity", "dependsOn": [{ "activity": "Side", "dependencyConditions": ["Failed"] }] }] } }"#;

/// What goes wrong on the way besides: an answer that never came, and a list that could not be had.
const FAULTS: &str = "
faults:
  - { on: createRun, pipeline: good, kind: cut, accepted: true, first: 1 }
  - { on: queryPipelineRuns, kind: status, status: 503, first: 1 }
";

/// Prepares the night.
pub(crate) fn prepared(space: &TestSpace, words: &str) -> Command {
    prepared_by(space, &format!("{SCRIPT}{FAULTS}"), words)
}

/// Prepares the night without a word that is no event.
pub(crate) fn prepared_without_notes(space: &TestSpace, words: &str) -> Command {
    prepared_by(space, SCRIPT, words)
}

fn prepared_by(space: &TestSpace, script: &str, words: &str) -> Command {
    let plan = space.write("plan.yaml", PLAN);
    let script = space.write("script.yaml", script);
    space.write("workspace/pipeline/odd.json", ODD);
    let apply = format!("apply {} --emulate --script {}", plan.display(), script.display());
    space.command(apply.split(' ').chain("--beat 20ms".split(' ')).chain(words.split(' ')))
}

/// Runs the night and returns what it said.
fn night(space: &TestSpace, words: &str) -> Said {
    Said::from(prepared(space, words).output().unwrap())
}

#[test]
fn the_schema_in_the_repository_is_fresh() {
    let path = root().join("schemas/events.schema.json");
    let fresh = format!("{:#}\n", schema());
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "stale: run `cargo run -- schema --events > schemas/events.schema.json`");
    assert_eq!(TestSpace::new().run("schema --events").stdout, fresh);
}

#[test]
fn the_page_says_what_there_is() {
    let page = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    // Every kind, and no other.
    let table = page.split("## Kinds of events").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let told: std::collections::BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    let events = &schema()["$defs"]["Event"]["oneOf"];
    let kinds = events.as_array().unwrap().iter();
    let kinds = kinds.map(|kind| kind["properties"]["kind"]["const"].as_str().unwrap().to_owned());
    assert_eq!(told, kinds.collect());
    // Its line is a line.
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(lines(example).iter().map(StreamLine::text).collect::<String>(), example);
    valid(example);
    // Its command runs.
    let command = page.split("```sh\nsynflow ").nth(1).unwrap().split('\n').next().unwrap();
    let said = TestSpace::new().run(&format!("{command} --speed 20"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    valid(&said.stdout);
}

/// Validates a stream line by line, and returns the kinds of lines and events in it.
fn valid(text: &str) -> std::collections::BTreeSet<String> {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let problems: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}\n{line}");
        kinds.insert(value["type"].as_str().unwrap().to_owned());
        kinds.extend(value["event"]["kind"].as_str().map(str::to_owned));
        // What the schema promises to be there must be missed.
        for member in value.as_object().unwrap().keys() {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(member);
            let may_be_missing = ["rehearsal", "steps"].contains(&member.as_str());
            assert_eq!(validator.is_valid(&less), may_be_missing, "without `{member}`: {line}");
        }
    }
    let broken = json!({ "type": "event", "schema": 2, "flow": "7f3a9c", "seq": 1 });
    assert!(!validator.is_valid(&broken));
    kinds
}

#[test]
fn every_line_is_as_the_schema_says() {
    let space = TestSpace::new();
    let said = night(&space, "--output jsonl");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let kinds = valid(&said.stdout);
    let want = [
        "flow",
        "event",
        "note",
        "start_unclear",
        "summary",
        "start_intended",
        "run_started",
        "run_changed",
        "run_ended",
        "attempt_ended",
        "retry_scheduled",
        "step_ended",
        "cancel_intended",
        "cancel_accepted",
        "flow_ended",
    ];
    for kind in want {
        assert!(kinds.contains(kind), "no `{kind}` in {kinds:?}");
    }
    let rehearsed = space.run("rehearse examples/rehearsed.yaml --output jsonl");
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.stderr);
    valid(&rehearsed.stdout);
    let lines = lines(&rehearsed.stdout);
    assert!(matches!(lines.last(), Some(StreamLine::Summary(ended)) if ended.rehearsal.is_some()));
}

#[test]
fn the_stream_is_the_flow() {
    let space = TestSpace::new();
    let said = night(&space, "--output jsonl");
    let lines = lines(&said.stdout);
    let Some(StreamLine::Flow { flow: id, first_seq: 1, header, .. }) = lines.first() else {
        panic!("{:?}", lines.first())
    };
    let events = recorded(&lines);
    // No line is lost or said twice, and every line is of the flow.
    let notes = lines.iter().filter(|line| matches!(line, StreamLine::Note { .. })).count();
    assert_eq!(events.len() + notes + 2, lines.len(), "{}", said.stdout);
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    // It is what the journal has.
    let mut journal = synflow::journal::Journal::open(&space.state_dir()).unwrap();
    assert_eq!(journal.events(id).unwrap(), events);
    // Its last line is how it ended.
    let Some(StreamLine::Summary(ended)) = lines.last() else { panic!("{:?}", lines.last()) };
    let mut flow = Flow::from_header((**header).clone()).unwrap();
    for event in &events {
        flow.apply(event).unwrap();
    }
    assert_eq!((ended.exit_code, flow.exit_code()), (1, Some(1)));
    assert_eq!(ended.outcome.as_deref(), Some("failed"));
    assert_eq!(ended.counts.map(|counts| counts.total), Some(flow.counts().total));
    // Nothing in it is a command, and JSON keeps what it hides.
    assert!(!said.stdout.contains("##"), "{}", said.stdout);
    assert!(events.iter().any(|event| format!("{event:?}").contains("##vso[task.setvariable")));
    // Written again it is the same.
    assert_eq!(lines.iter().map(StreamLine::text).collect::<String>(), said.stdout);
}

#[test]
fn what_never_began_says_why() {
    let space = TestSpace::new();
    let bad = space.write("bad.yaml", "version: 1\nname: x\nsteps: { a: { pipline: b } }\n");
    for verb in ["apply", "rehearse"] {
        let said = space.run(&format!("{verb} {} --output jsonl", bad.display()));
        assert_eq!(said.code, 3, "{}", said.stderr);
        let lines = lines(&said.stdout);
        let [StreamLine::Summary(ended)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((ended.exit_code, &ended.flow), (3, &None));
        assert_eq!(ended.error.as_ref().unwrap().message, "plan invalid");
        valid(&said.stdout);
    }
}

#[test]
fn a_resume_goes_on_where_the_stream_before_it_ended() {
    let space = TestSpace::new();
    let emulator = space.emulate("--speed 10");
    let plan = space.write(
        "plan.yaml",
        &format!(
            "version: 1\nname: two\nworkspaces: {{ main: {{ endpoint: \"{}\" }} }}\nsteps: {{ a: {{}}, b: {{ depends_on: [a] }} }}\n",
            emulator.endpoint()
        ),
    );
    let first =
        space.run_at(&emulator, &format!("apply {} --detach --beat 20ms --output jsonl", plan.display()));
    assert_eq!(first.code, 30, "{}", first.stderr);
    let second = space.run_at(&emulator, "resume --beat 20ms --output jsonl");
    assert_eq!(second.code, 0, "{}", second.stderr);
    let (before, after) = (lines(&first.stdout), lines(&second.stdout));
    let Some(StreamLine::Flow { header, first_seq: 1, .. }) = before.first() else { panic!("{before:?}") };
    let last = recorded(&before).last().unwrap().seq;
    assert!(matches!(after.first(), Some(StreamLine::Flow { first_seq, .. }) if *first_seq == last + 1));
    let mut flow = Flow::from_header((**header).clone()).unwrap();
    for event in recorded(&before).iter().chain(&recorded(&after)) {
        flow.apply(event).unwrap();
    }
    assert_eq!(flow.exit_code(), Some(0));
    assert!(
        matches!(before.last(), Some(StreamLine::Summary(ended)) if ended.state.as_deref() == Some("detached"))
    );
    // Nothing is left to do: there is an end all the same, and no event.
    let third = space.run_at(&emulator, "resume --output jsonl");
    assert!(matches!(lines(&third.stdout).as_slice(), [StreamLine::Summary(ended)] if ended.exit_code == 0));
    let asked = space.run_at(&emulator, "cancel @latest --output jsonl");
    assert!(matches!(lines(&asked.stdout).as_slice(), [StreamLine::Summary(_)]), "{}", asked.stdout);
    assert_eq!(space.run_at(&emulator, "resume --output json").stdout.matches("\"exit_code\": 0").count(), 1);
}

#[test]
fn a_reader_that_goes_away_or_stalls_stops_no_flow() {
    let space = TestSpace::new();
    // It reads one line, and leaves.
    let mut child =
        prepared(&space, "--output jsonl").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(space.status()["flow"]["outcome"], "failed");
    // It never reads: the pipe takes less than the flow says.
    let wide: Vec<String> = (0..400).map(|n| format!("  s{n}: {{}}\n")).collect();
    let wide = wide.concat();
    let plan = space.write(
        "wide.yaml",
        &format!("version: 1\nname: wide\nworkspace: w\nmax_parallel: 400\nsteps:\n{wide}"),
    );
    let words = ["apply", plan.to_str().unwrap(), "--emulate", "--speed", "1000", "--output", "jsonl"];
    let mut child = space.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the flow has ended", || {
        let flow = &space.status()["flow"];
        flow["plan"] == "wide" && flow["exit_code"] == 0
    });
    let mut all = String::new();
    child.stdout.take().unwrap().read_to_string(&mut all).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(matches!(lines(&all).last(), Some(StreamLine::Summary(_))), "the rest was still to be had");
}
