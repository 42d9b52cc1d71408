//! A rehearsed flow for programs. Members are added, never renamed.

use serde_json::{Value, json};

use crate::cli::rehearse::ids;
use crate::flow::{Outcome, Recorded};
use crate::rehearse::Rehearsal;
use crate::rehearse::account::{Account, BoundBy, Course, why};
use crate::time::Delay;

/// Returns an event on a line of its own.
pub(super) fn line(recorded: &Recorded) -> String {
    serde_json::to_string(recorded).map(|text| format!("{text}\n")).unwrap_or_default()
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
