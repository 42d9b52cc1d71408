//! What the runs of a step did: its attempts, their activities through child pipelines, errors and outputs.
//!
//! Pure: from what the journal keeps and what a workspace has told to text and JSON. Main type: [`StepLog`].

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::flow::{
    ActivitiesKept, ActivityRun, ActivitySeen, Attempt, Flow, Outcome, RunActivities, RunId, RunStatus,
    StepError,
};
use crate::plan::StepIndex;
use crate::report::json::step_state;
use crate::report::text::{counted, cut, one_line, pad, pad_left, paragraphs, width};
use crate::report::why::typed;
use crate::report::wording::{place_of, spoken, took};
use crate::time::{Delay, Timestamp};

/// How deep child runs are shown; the service itself allows fewer.
const DEPTH_MAX: usize = 16;

/// How much of what an activity gave is shown; `--output json` has it whole.
const OUTPUT_COLUMNS_MAX: usize = 400;

/// The widest column of names.
const NAME_COLUMNS_MAX: usize = 40;

/// The log of a step that runs a pipeline.
#[derive(Clone, Debug)]
pub struct StepLog<'a> {
    /// The step.
    pub step: StepIndex,
    /// Its attempts that are wanted, oldest first.
    pub attempts: Vec<AttemptLog<'a>>,
}

/// The log of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptLog<'a> {
    /// The attempt.
    pub attempt: &'a Attempt,
    /// Its activities, by whoever told them.
    pub told: Told,
    /// What the reader must know of them, such as that nobody could be asked.
    pub note: Option<String>,
}

/// Activities, and who told them.
#[derive(Clone, Debug, Default)]
pub enum Told {
    /// Nobody.
    #[default]
    Nothing,
    /// The journal, which keeps no more than so many.
    Journal {
        /// What it keeps.
        rows: Vec<Row>,
        /// How many there were besides.
        left_out: usize,
    },
    /// The workspace, just now.
    Workspace(Vec<Row>),
}

/// An activity.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    kind: String,
    status: String,
    iteration: String,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    error: Option<StepError>,
    /// What it gave, where that was asked for.
    output: Option<Value>,
    child: Option<Child>,
}

/// A run that an activity started.
#[derive(Clone, Debug)]
struct Child {
    run: RunId,
    /// Empty where it was not read.
    pipeline: String,
    rows: Vec<Row>,
}

impl Told {
    /// Makes it of what the journal keeps.
    pub fn kept(kept: &ActivitiesKept) -> Self {
        Self::Journal { rows: kept.rows.iter().map(of_kept).collect(), left_out: kept.left_out }
    }

    /// Makes it of what a workspace has told; what activities gave is left out unless it is wanted.
    pub fn live(read: &RunActivities, with_outputs: bool) -> Self {
        Self::Workspace(of_seen(&read.rows, read, with_outputs, DEPTH_MAX))
    }

    fn rows(&self) -> &[Row] {
        match self {
            Self::Nothing => &[],
            Self::Journal { rows, .. } | Self::Workspace(rows) => rows,
        }
    }
}

fn of_kept(kept: &ActivityRun) -> Row {
    let child = kept.child.as_ref().map(|child| Child {
        run: child.run,
        pipeline: child.pipeline.clone(),
        rows: child.activities.iter().map(of_kept).collect(),
    });
    Row {
        name: kept.name.clone(),
        kind: kept.kind.clone(),
        status: kept.status.clone(),
        iteration: kept.iteration.clone(),
        start: kept.start,
        end: kept.end,
        error: kept.error.clone(),
        output: None,
        child,
    }
}

fn of_seen(rows: &[ActivitySeen], read: &RunActivities, with_outputs: bool, depth: usize) -> Vec<Row> {
    let row = |seen: &ActivitySeen| {
        let child = seen.child.map(|run| {
            let below = read.below.get(&run).filter(|_| depth > 0);
            Child {
                run,
                pipeline: below.map(|child| child.pipeline.clone()).unwrap_or_default(),
                rows: below
                    .map(|child| of_seen(&child.rows, read, with_outputs, depth - 1))
                    .unwrap_or_default(),
            }
        });
        let is_error = !seen.error.code.is_empty() || !seen.error.message.is_empty();
        Row {
            name: seen.name.clone(),
            kind: seen.kind.clone(),
            status: seen.status.clone(),
            iteration: seen.iteration.clone(),
            start: seen.start,
            end: seen.end,
            error: is_error.then(|| seen.error.clone()),
            output: Some(seen.output.clone()).filter(|_| with_outputs),
            child,
        }
    };
    rows.iter().map(row).collect()
}

/// Returns the logs of steps for people.
pub fn text(flow: &Flow, logs: &[StepLog<'_>], now: Timestamp) -> String {
    let mut out = String::new();
    for log in logs {
        if !out.is_empty() {
            out.push('\n');
        }
        step_text(&mut out, flow, log, now);
    }
    out
}

fn step_text(out: &mut String, flow: &Flow, log: &StepLog<'_>, now: Timestamp) {
    let (place, run) = (flow.step(log.step), flow.run(log.step));
    let state = match run.outcome() {
        Some(outcome) => {
            let after = took(run, now).map(|took| format!(" after {}", took.short())).unwrap_or_default();
            format!("{}{after}", spoken(outcome))
        }
        None => step_state(&run.state).to_owned(),
    };
    let (id, workspace) = (one_line(place.id.as_str()), &flow.plan().workspaces[place.workspace].name);
    let _ = writeln!(out, "{id} of flow {}: {state}", flow.header().id);
    let _ = writeln!(out, "  pipeline {} in {}", one_line(&place.pipeline), one_line(workspace));
    if run.attempts.is_empty() {
        let why = one_line(&run.reason);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let id = typed(place.id.as_str());
        let _ = writeln!(out, "\nit has no run{why}\n\nnext: synflow why {id} --flow {}", flow.header().id);
    }
    for log in &log.attempts {
        out.push('\n');
        attempt_text(out, log, now);
    }
    let outputs = run.outputs().cloned().unwrap_or_default();
    if outputs.values.is_empty() && outputs.absent.is_empty() {
        return;
    }
    out.push_str("\noutputs\n");
    for (name, value) in &outputs.values {
        let _ = writeln!(out, "  {} = {}", one_line(name), one_line(&value.to_string()));
    }
    for (name, why) in &outputs.absent {
        let _ = writeln!(out, "  {} is absent: {}", one_line(name), one_line(why));
    }
}

fn attempt_text(out: &mut String, log: &AttemptLog<'_>, now: Timestamp) {
    let attempt = log.attempt;
    let state = match (&attempt.outcome, &attempt.status) {
        (Some(outcome), _) => spoken(*outcome).to_owned(),
        (None, Some(status)) => one_line(&status.to_string()),
        (None, None) => "begun".to_owned(),
    };
    let run = match attempt.started_at {
        Some(_) => format!(", run {}", attempt.run),
        None if attempt.outcome.is_some() => ", no run".to_owned(),
        None => format!(", run {}, if it exists", attempt.run),
    };
    let _ = writeln!(out, "attempt {}: {state}{run}", attempt.number);
    let begun = attempt.run_start.or(attempt.started_at).unwrap_or(attempt.intended_at);
    let over = attempt.run_end.or(attempt.ended_at);
    let _ = match over {
        Some(over) => {
            writeln!(out, "  {} to {}, {}", begun.spoken(), over.spoken(), over.since(begun).short())
        }
        None => writeln!(out, "  since {}, {} so far", begun.spoken(), now.since(begun).short()),
    };
    if let Some(error) = &attempt.error {
        let place = place_of(error);
        let place = if place.is_empty() { place } else { format!("{place}: ") };
        for (at, line) in whole(error).into_iter().enumerate() {
            let _ = writeln!(out, "  {}{line}", if at == 0 { &place } else { "" });
        }
    }
    if let Some(note) = &log.note {
        let _ = writeln!(out, "  note: {}", one_line(note));
    }
    rows_text(out, log.told.rows(), now);
    if let Told::Journal { left_out: left_out @ 1.., .. } = log.told {
        let more =
            if left_out == 1 { "1 more activity".to_owned() } else { format!("{left_out} more activities") };
        let _ = writeln!(out, "  ... and {more} that the journal does not keep; `--live` asks the workspace");
    }
}

/// One line of the list of activities, before its columns are known.
struct Line {
    name: String,
    kind: String,
    status: String,
    took: String,
    below: Vec<String>,
}

fn rows_text(out: &mut String, rows: &[Row], now: Timestamp) {
    let mut lines = Vec::new();
    gather(&mut lines, rows, 1, now);
    let column = |text: &dyn Fn(&Line) -> &str| lines.iter().map(|line| width(text(line))).max().unwrap_or(0);
    let name = column(&|line| &line.name).min(NAME_COLUMNS_MAX);
    let (kind, status) = (column(&|line| &line.kind), column(&|line| &line.status));
    let took = column(&|line| &line.took);
    for line in &lines {
        let cells = [
            pad(&line.name, name),
            pad(&line.kind, kind),
            pad(&line.status, status),
            pad_left(&line.took, took),
        ];
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
        for below in &line.below {
            let _ = writeln!(out, "{below}");
        }
    }
}

fn gather(lines: &mut Vec<Line>, rows: &[Row], depth: usize, now: Timestamp) {
    let margin = "  ".repeat(depth);
    let rounds = rounds(rows.iter().map(|row| row.iteration.as_str()));
    for row in rows {
        let round = rounds.get(row.iteration.as_str());
        let round = round.map(|round| format!(", round {round}")).unwrap_or_default();
        let took = match (row.start, row.end) {
            (Some(start), Some(end)) => end.since(start).short(),
            (Some(start), None) => format!("{} so far", now.since(start).short()),
            _ => String::new(),
        };
        let mut below = Vec::new();
        for line in row.error.iter().flat_map(whole) {
            below.push(format!("{margin}    {line}"));
        }
        if let Some(output) = row.output.as_ref().filter(|output| !is_nothing(output)) {
            below.push(format!(
                "{margin}    gave {}",
                cut(&one_line(&output.to_string()), OUTPUT_COLUMNS_MAX)
            ));
        }
        if let Some(child) = &row.child {
            let what = match child.pipeline.as_str() {
                "" => "a child run that was not read".to_owned(),
                pipeline => one_line(pipeline),
            };
            below.push(format!("{margin}  > {what}, run {}", child.run));
        }
        lines.push(Line {
            name: format!("{margin}{}{round}", one_line(&row.name)),
            kind: one_line(&row.kind),
            status: one_line(&row.status),
            took,
            below,
        });
        if let Some(child) = &row.child {
            gather(lines, &child.rows, depth + 2, now);
        }
    }
}

/// Returns an error's code and text, however long.
fn whole(error: &StepError) -> Vec<String> {
    let parts = [one_line(&error.code), error.message.clone()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    paragraphs(&parts.join(": "))
}

/// Numbers the rounds of loops in the order in which they stand; the service tells them apart by hashes.
pub(super) fn rounds<'a>(iterations: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut rounds = BTreeMap::new();
    for iteration in iterations.filter(|iteration| !iteration.is_empty()) {
        let next = rounds.len() + 1;
        rounds.entry(iteration).or_insert(next);
    }
    rounds
}

fn is_nothing(output: &Value) -> bool {
    output.is_null() || output.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Returns the logs of steps for programs.
pub fn value(flow: &Flow, logs: &[StepLog<'_>]) -> Value {
    let step = |log: &StepLog<'_>| {
        let (place, run) = (flow.step(log.step), flow.run(log.step));
        let outputs = run.outputs().cloned().unwrap_or_default();
        json!({
            "id": place.id,
            "pipeline": place.pipeline,
            "workspace": flow.plan().workspaces[place.workspace].name,
            "state": step_state(&run.state),
            "outcome": run.outcome().map(Outcome::word),
            "reason": if run.reason.is_empty() { None } else { Some(&run.reason) },
            "attempts": log.attempts.iter().map(attempt_value).collect::<Vec<_>>(),
            "outputs": outputs.values,
            "absent_outputs": outputs.absent,
        })
    };
    let header = flow.header();
    json!({
        "flow": { "id": header.id, "plan": header.plan_name, "emulated": header.emulated },
        "steps": logs.iter().map(step).collect::<Vec<_>>(),
    })
}

fn attempt_value(log: &AttemptLog<'_>) -> Value {
    let attempt = log.attempt;
    let (source, left_out) = match &log.told {
        Told::Nothing => (None, 0),
        Told::Journal { left_out, .. } => (Some("journal"), *left_out),
        Told::Workspace(_) => (Some("workspace"), 0),
    };
    json!({
        "number": attempt.number,
        "run_id": attempt.started_at.map(|_| attempt.run),
        "status": attempt.status.as_ref().map(RunStatus::to_string),
        "outcome": attempt.outcome.map(Outcome::word),
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "error": attempt.error.as_ref().map(error_value),
        "source": source,
        "note": log.note,
        "left_out": left_out,
        "activities": log.told.rows().iter().map(row_value).collect::<Vec<_>>(),
    })
}

fn row_value(row: &Row) -> Value {
    let took: Option<Delay> = row.end.zip(row.start).map(|(end, start)| end.since(start));
    json!({
        "name": row.name,
        "type": row.kind,
        "status": row.status,
        "iteration": if row.iteration.is_empty() { None } else { Some(&row.iteration) },
        "started_at": row.start,
        "ended_at": row.end,
        "took_ms": took,
        "error": row.error.as_ref().map(error_value),
        "output": row.output,
        "child": row.child.as_ref().map(|child| json!({
            "run_id": child.run,
            "pipeline": if child.pipeline.is_empty() { None } else { Some(&child.pipeline) },
            "activities": child.rows.iter().map(row_value).collect::<Vec<_>>(),
        })),
    })
}

fn error_value(error: &StepError) -> Value {
    json!({ "code": error.code, "message": error.message, "activity": error.activity, "via": error.via })
}

/// Returns how many steps of a group are shown for themselves, as a note where not all are.
pub fn too_many(shown: usize, all: usize) -> Option<String> {
    (all > shown).then(|| format!("... and {} more; name one of them", counted(all - shown, "iteration")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{AttemptLog, StepLog, Told, text, value};
    use crate::flow::{
        ActivitiesKept, ActivityRun, ActivitySeen, ChildActivities, ChildRun, Outcome, RunActivities, RunId,
        StepError,
    };
    use crate::report::sample::{Sample, error};
    use crate::time::Timestamp;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_epoch_ms(1_795_564_200_000 + seconds * 1_000)
    }

    fn kept(name: &str, kind: &str, status: &str, iteration: &str) -> ActivityRun {
        ActivityRun {
            name: name.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            iteration: iteration.to_owned(),
            start: Some(at(0)),
            end: Some(at(40)),
            error: (status == "Failed").then(|| error("", "2200", "no table\x1b[2J\nof this name")),
            child: None,
        }
    }

    fn failed() -> Sample {
        let mut sample = Sample::new(&[("curate", "")]);
        let told =
            StepError { via: vec!["load_customers".to_owned()], ..error("Copy_2", "2200", "no table") };
        sample.start("curate").wait(60).end("curate", Outcome::Failed, Some(told));
        sample
    }

    #[test]
    fn what_the_journal_keeps_is_shown_through_child_pipelines() {
        let sample = failed();
        let child = ChildRun {
            run: RunId(Uuid::from_u128(7)),
            pipeline: "load_customers".to_owned(),
            activities: vec![kept("Copy_2", "Copy", "Failed", "")],
        };
        let rows = vec![
            kept("Lookup_1", "Lookup", "Succeeded", ""),
            kept("Each", "Wait", "Succeeded", "aa"),
            kept("Each", "Wait", "Succeeded", "bb"),
            ActivityRun { child: Some(Box::new(child)), ..kept("Load", "ExecutePipeline", "Failed", "") },
        ];
        let step = sample.index("curate");
        let attempt = &sample.flow.run(step).attempts[0];
        let told = Told::kept(&ActivitiesKept { rows, left_out: 3 });
        let log = StepLog { step, attempts: vec![AttemptLog { attempt, told, note: None }] };
        insta::assert_snapshot!(text(&sample.flow, std::slice::from_ref(&log), sample.now), @r"
        curate of flow 7f3a9c: failed after 1m00s
          pipeline pl_curate in contoso-dw

        attempt 1: failed, run 8b35ed2c-0000-4000-8000-000000000001
          2026-11-24 23:50 UTC to 2026-11-24 23:51 UTC, 1m00s
          load_customers > Copy_2: 2200: no table
          Lookup_1       Lookup           Succeeded  40s
          Each, round 1  Wait             Succeeded  40s
          Each, round 2  Wait             Succeeded  40s
          Load           ExecutePipeline  Failed     40s
              2200: no table␛[2J
              of this name
            > load_customers, run 00000000-0000-0000-0000-000000000007
              Copy_2     Copy             Failed     40s
                  2200: no table␛[2J
                  of this name
          ... and 3 more activities that the journal does not keep; `--live` asks the workspace
        ");
        let value = value(&sample.flow, &[log]);
        let inner = &value["steps"][0]["attempts"][0]["activities"][3]["child"];
        assert_eq!(inner["pipeline"], "load_customers");
        assert_eq!(inner["activities"][0]["error"]["code"], "2200");
        assert_eq!(inner["activities"][0]["took_ms"], 40_000);
    }

    #[test]
    fn what_a_workspace_tells_may_hold_what_activities_gave() {
        let mut sample = Sample::new(&[("curate", "")]);
        sample.start("curate").wait(60);
        let seen = |name: &str, child: Option<RunId>, end: Option<Timestamp>| ActivitySeen {
            name: name.to_owned(),
            kind: "Copy".to_owned(),
            status: if end.is_some() { "Succeeded" } else { "InProgress" }.to_owned(),
            iteration: String::new(),
            start: Some(sample.now),
            end,
            error: StepError::default(),
            output: json!({ "rowsCopied": 7 }),
            child,
        };
        let run = RunId(Uuid::from_u128(7));
        let mut read =
            RunActivities::of(vec![seen("Copy", None, Some(at(5))), seen("Load", Some(run), None)]);
        read.below.insert(
            run,
            ChildActivities { pipeline: "inner".to_owned(), rows: vec![seen("Deep", None, None)] },
        );
        let step = sample.index("curate");
        let attempt = &sample.flow.run(step).attempts[0];
        let log = |with_outputs| StepLog {
            step,
            attempts: vec![AttemptLog {
                attempt,
                told: Told::live(&read, with_outputs),
                note: Some("new".to_owned()),
            }],
        };
        insta::assert_snapshot!(text(&sample.flow, &[log(true)], sample.now), @r#"
        curate of flow 7f3a9c: running
          pipeline pl_curate in contoso-dw

        attempt 1: begun, run 8b35ed2c-0000-4000-8000-000000000001
          since 2026-11-24 23:50 UTC, 1m00s so far
          note: new
          Copy      Copy  Succeeded          0.0s
              gave {"rowsCopied":7}
          Load      Copy  InProgress  0.0s so far
              gave {"rowsCopied":7}
            > inner, run 00000000-0000-0000-0000-000000000007
              Deep  Copy  InProgress  0.0s so far
                  gave {"rowsCopied":7}
        "#);
        assert!(!text(&sample.flow, &[log(false)], sample.now).contains("gave"));
        let value = value(&sample.flow, &[log(true)]);
        assert_eq!(value["steps"][0]["attempts"][0]["source"], "workspace");
        assert_eq!(value["steps"][0]["attempts"][0]["activities"][0]["output"]["rowsCopied"], 7);
    }
}
