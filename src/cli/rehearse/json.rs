//! A rehearsed flow for programs. Members are added, never renamed.

use serde_json::{Value, json};

use crate::cli::args::Rehearse;
use crate::cli::load::{self, LoadedPlan};
use crate::cli::rehearse::ids;
use crate::flow::{FlowId, Outcome, Recorded};
use crate::rehearse::Rehearsal;
use crate::rehearse::account::{Account, BoundBy, Course, why};
use crate::report::events::StreamLine;
use crate::time::Delay;

/// Returns the line that begins the stream, with the plan that the rehearsal itself need not know.
pub(super) fn first(rehearsal: &Rehearsal, loaded: &LoadedPlan, args: &Rehearse) -> String {
    let mut line = StreamLine::begin(rehearsal.flow());
    if let StreamLine::Flow { header, .. } = &mut line {
        header.plan_file = loaded.shown(&args.plan);
        header.plan_text.clone_from(&loaded.text);
        header.plan_sha256 = load::sha256(&loaded.text);
        header.selection = args.steps.selection();
    }
    line.text()
}

/// Returns the line of an event.
pub(super) fn line(recorded: &Recorded) -> String {
    StreamLine::event(&FlowId::rehearsal(), recorded).text()
}

/// Returns the line that ends the stream, with the whole answer in it.
pub(super) fn last(rehearsal: &Rehearsal, account: &Account, exit_code: u8) -> String {
    let mut line = StreamLine::end(Some(rehearsal.flow()), rehearsal.now(), exit_code, None);
    if let StreamLine::Summary(ended) = &mut line {
        let mut whole = whole(rehearsal, account);
        ended.rehearsal = Some(whole["rehearsal"].take());
        ended.steps = Some(whole["steps"].take());
    }
    line.text()
}

/// Returns the answer to `rehearse --output json`.
pub(super) fn whole(rehearsal: &Rehearsal, account: &Account) -> Value {
    let flow = rehearsal.flow();
    let (outcome, exit_code) = rehearsal.outcome();
    let by = match &account.bound.by {
        BoundBy::Path => "critical_path".to_owned(),
        BoundBy::Places => "max_parallel".to_owned(),
        BoundBy::Pool(name) => format!("pools.{name}"),
    };
    let deadline = flow
        .due()
        .map(|due| json!({ "at": due.at, "missed": due.missed_at.is_some() || account.ended > due.at }));
    let steps: Vec<Value> = account.courses.iter().map(|course| step(rehearsal, course)).collect();
    json!({
        "rehearsal": {
            "plan": flow.header().plan_name,
            "environment": flow.header().environment,
            "outcome": outcome,
            "exit_code": exit_code,
            "began_at": account.began,
            "ended_at": account.ended,
            "makespan_ms": account.makespan().as_ms(),
            "lower_bound_ms": account.bound.length.as_ms(),
            "lower_bound_by": by,
            "critical_path": ids(rehearsal, &account.critical_path),
            "critical_path_ms": account.critical_length.as_ms(),
            "work_ms": account.work.as_ms(),
            "max_parallel": flow.header().max_parallel,
            "seed": flow.header().seed,
            "deadline": deadline,
            "starts": ids(rehearsal, rehearsal.starts()),
        },
        "steps": steps,
    })
}

fn step(rehearsal: &Rehearsal, course: &Course) -> Value {
    let flow = rehearsal.flow();
    let (place, run) = (flow.step(course.step), flow.run(course.step));
    let outcome = run.outcome();
    let attempts: Vec<Value> = run
        .attempts
        .iter()
        .zip(&course.attempts)
        .map(|(attempt, (from, to))| {
            json!({
                "number": attempt.number,
                "outcome": attempt.outcome.map(Outcome::word),
                "started_at": from,
                "ended_at": to,
            })
        })
        .collect();
    let is_well = matches!(outcome, Some(Outcome::Succeeded | Outcome::Warned));
    json!({
        "id": place.id,
        "pipeline": place.pipeline,
        "outcome": outcome.map(Outcome::word),
        "duration_by": rehearsal.basis(course.step).word(),
        "ready_at": course.ready_at,
        "ended_at": course.ended_at,
        "attempts": attempts,
        "slack_ms": course.slack.map(Delay::as_ms),
        "why": if is_well { Vec::new() } else { why(flow, course.step) },
    })
}
