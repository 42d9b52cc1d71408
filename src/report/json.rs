//! A flow as JSON, for programs: the shape that `status --output json` promises.
//!
//! Members are added, never renamed. Texts stand here as they came: JSON escapes what a terminal would obey.

use serde_json::{Value, json};

use crate::flow::{Attempt, Due, Flow, Origin, Outcome, RunStatus, StepRun, StepState};
use crate::plan::{Step, StepIndex};
use crate::report::wording::{run_of, took};
use crate::report::{Beside, Listed};
use crate::time::Timestamp;

/// Returns the answer to `status --output json`.
pub fn status(flow: &Flow, now: Timestamp) -> Value {
    let steps: Vec<Value> =
        flow.steps().map(|(index, step, run)| step_object(flow, index, step, run, now)).collect();
    json!({ "flow": flow_object(flow, now), "steps": steps })
}

/// Returns the same with what is known beside the flow.
pub fn status_beside(flow: &Flow, beside: &Beside, now: Timestamp) -> Value {
    let mut value = status(flow, now);
    value["flow"]["usual_ms"] = json!(beside.usual);
    value["flow"]["likely_end"] = json!(beside.end);
    value["flow"]["driver"] = json!(beside.driver);
    value
}

/// Returns the answer to `flows --output json`, in the order given; `more` flows are not listed.
pub fn flows(listed: &[Listed<'_>], more: usize, now: Timestamp) -> Value {
    let row = |listed: &Listed<'_>| match listed {
        Listed::Read(flow) => flow_object(flow, now),
        Listed::Unreadable { header, why } => json!({
            "id": header.id,
            "plan": header.plan_name,
            "state": "unreadable",
            "outcome": null,
            "exit_code": null,
            "started_at": header.created_at,
            "ended_at": null,
            "emulated": header.emulated,
            "environment": header.environment,
            "plan_file": header.plan_file,
            "problem": why,
        }),
    };
    json!({ "flows": listed.iter().map(row).collect::<Vec<_>>(), "more": more })
}

/// Returns how a flow ended, or else where it is, as one word.
pub fn flow_word(flow: &Flow) -> &'static str {
    match flow_state(flow) {
        "ended" => flow.outcome().word(),
        "needs_person" => "unknown",
        word => word,
    }
}

/// Returns the word for where a flow is.
pub(super) fn flow_state(flow: &Flow) -> &'static str {
    if flow.is_settled() {
        "ended"
    } else if flow.waits_for_a_person() {
        "needs_person"
    } else if flow.is_given_up() {
        "given_up"
    } else if flow.is_detached() {
        "detached"
    } else {
        "unfinished"
    }
}

/// Returns the word for where a step is.
pub(super) const fn step_state(state: &StepState) -> &'static str {
    match state {
        StepState::Waiting | StepState::Barred { .. } => "waiting",
        StepState::Ready => "ready",
        StepState::Starting => "starting",
        StepState::NotSent { .. } => "not_sent",
        StepState::Unclear { .. } => "unclear",
        StepState::Running => "running",
        StepState::Settling | StepState::AttemptOver { .. } => "settling",
        StepState::Retrying { .. } => "retrying",
        StepState::Unknown => "unknown",
        StepState::Ended { .. } => "ended",
    }
}

fn flow_object(flow: &Flow, now: Timestamp) -> Value {
    let header = flow.header();
    // A flow that was killed between its last step's end and its own has ended all the same.
    let verdict = (flow.is_settled() || flow.waits_for_a_person()).then(|| flow.outcome());
    let begun = flow.started_at().unwrap_or(header.created_at);
    let counts = flow.counts();
    json!({
        "id": header.id,
        "plan": header.plan_name,
        "state": flow_state(flow),
        "outcome": verdict.map(crate::flow::FlowOutcome::word),
        "exit_code": flow.exit_code().or(verdict.map(crate::flow::FlowOutcome::exit_code)),
        "started_at": begun,
        "ended_at": flow.ended_at(),
        "elapsed_ms": flow.ended_at().unwrap_or(now).since(begun),
        "emulated": header.emulated,
        "environment": header.environment,
        "detached": flow.is_detached(),
        "plan_file": header.plan_file,
        "plan_sha256": header.plan_sha256,
        "commit": header.commit,
        "inputs": header.inputs,
        "max_parallel": header.max_parallel,
        "deadline": flow.due().map(|due| deadline_object(flow, due, now)),
        "counts": {
            "total": counts.total,
            "succeeded": counts.succeeded,
            "warned": counts.warned,
            "failed": counts.failed,
            "not_run": counts.not_run,
            "running": counts.running,
            "waiting": counts.waiting,
            "unknown": counts.unknown,
        },
    })
}

fn deadline_object(flow: &Flow, due: &Due, now: Timestamp) -> Value {
    json!({
        "at": due.at,
        "missed": flow.is_late(now),
        "at_risk_since": due.at_risk.map(|(since, _)| since),
        "forecast": due.at_risk.map(|(_, forecast)| forecast),
    })
}

fn step_object(flow: &Flow, index: StepIndex, step: &Step, run: &StepRun, now: Timestamp) -> Value {
    let workspace = &flow.plan().workspaces[step.workspace];
    let newest = run.attempts.len();
    let attempts = run.attempts.iter().map(|attempt| {
        let run_id =
            if attempt.number as usize == newest { run_of(flow.run(index)) } else { made_run(attempt) };
        attempt_object(attempt, run_id)
    });
    let attempts: Vec<Value> = attempts.collect();
    let outputs = run.outputs().cloned().unwrap_or_default();
    json!({
        "id": step.id,
        "pipeline": step.pipeline,
        "workspace": workspace.name,
        "state": step_state(&run.state),
        "outcome": run.outcome().map(Outcome::word),
        "allow_failure": step.allow_failure,
        "reason": if run.reason.is_empty() { None } else { Some(&run.reason) },
        "ended_at": run.ended_at,
        "elapsed_ms": took(run, now),
        "outputs": outputs.values,
        "absent_outputs": outputs.absent,
        "attempts": attempts,
    })
}

/// Returns the run of an attempt that others have followed.
fn made_run(attempt: &Attempt) -> Option<crate::flow::RunId> {
    attempt.started_at.map(|_| attempt.run)
}

fn attempt_object(attempt: &Attempt, run_id: Option<crate::flow::RunId>) -> Value {
    json!({
        "number": attempt.number,
        "run_id": run_id,
        "status": attempt.status.as_ref().map(RunStatus::to_string),
        "outcome": attempt.outcome.map(Outcome::word),
        "intended_at": attempt.intended_at,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "run_start": attempt.run_start,
        "run_end": attempt.run_end,
        "adopted": attempt.origin != Origin::Answered,
        "sends": attempt.sends,
        "parameters": attempt.parameters,
        "error": attempt.error.as_ref().map(|error| json!({
            "code": error.code,
            "message": error.message,
            "activity": error.activity,
            "via": error.via,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::status;
    use crate::flow::{Event, Outcome};
    use crate::plan::StepId;
    use crate::report::sample::{Sample, error};

    #[test]
    fn keeps_the_promised_shape() {
        let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
        sample.start("load").wait(90).end(
            "load",
            Outcome::Failed,
            Some(error("Copy_1", "2200", "no\ntable")),
        );
        let answer = status(&sample.flow, sample.now);
        insta::assert_snapshot!(serde_json::to_string_pretty(&answer).expect("JSON can be written"), @r#"
        {
          "flow": {
            "id": "7f3a9c",
            "plan": "nightly-sales",
            "state": "ended",
            "outcome": "failed",
            "exit_code": 1,
            "started_at": "2026-11-24T23:50:00.000Z",
            "ended_at": "2026-11-24T23:51:30.000Z",
            "elapsed_ms": 90000,
            "emulated": false,
            "environment": "",
            "detached": false,
            "plan_file": "nightly.yaml",
            "plan_sha256": "00",
            "commit": null,
            "inputs": {},
            "max_parallel": 20,
            "deadline": null,
            "counts": {
              "total": 2,
              "succeeded": 0,
              "warned": 0,
              "failed": 1,
              "not_run": 1,
              "running": 0,
              "waiting": 0,
              "unknown": 0
            }
          },
          "steps": [
            {
              "id": "load",
              "pipeline": "pl_load",
              "workspace": "contoso-dw",
              "state": "ended",
              "outcome": "failed",
              "allow_failure": false,
              "reason": null,
              "ended_at": "2026-11-24T23:51:30.000Z",
              "elapsed_ms": 90000,
              "outputs": {},
              "absent_outputs": {},
              "attempts": [
                {
                  "number": 1,
                  "run_id": "8b35ed2c-0000-4000-8000-000000000001",
                  "status": "Failed",
                  "outcome": "failed",
                  "intended_at": "2026-11-24T23:50:00.000Z",
                  "started_at": "2026-11-24T23:50:00.000Z",
                  "ended_at": "2026-11-24T23:51:30.000Z",
                  "run_start": null,
                  "run_end": null,
                  "adopted": false,
                  "sends": 1,
                  "parameters": {},
                  "error": {
                    "code": "2200",
                    "message": "no\ntable",
                    "activity": "Copy_1",
                    "via": []
                  }
                }
              ]
            },
            {
              "id": "curate",
              "pipeline": "pl_curate",
              "workspace": "contoso-dw",
              "state": "ended",
              "outcome": "blocked",
              "allow_failure": false,
              "reason": "`load` ended failed",
              "ended_at": "2026-11-24T23:51:30.000Z",
              "elapsed_ms": null,
              "outputs": {},
              "absent_outputs": {},
              "attempts": []
            }
          ]
        }
        "#);
    }

    #[test]
    fn names_no_run_that_cannot_exist() {
        let mut sample = Sample::new(&[("refused", ""), ("open", "")]);
        sample.intend("open").intend("refused").record(Event::StartRefused {
            step: StepId::new("refused"),
            attempt: 1,
            error: error("", "PipelineNotFound", "not found"),
        });
        let answer = status(&sample.flow, sample.now);
        assert!(answer["steps"][0]["attempts"][0]["run_id"].is_null());
        assert!(answer["steps"][1]["attempts"][0]["run_id"].is_string());
        assert_eq!(answer["flow"]["state"], "unfinished");
        assert!(answer["flow"]["exit_code"].is_null());
    }
}
