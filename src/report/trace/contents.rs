//! What stands in a span: its name, attributes and moments.
//!
//! `cicd.*`, `error.type` and `server.address` are names of OpenTelemetry's semantic conventions
//! (<https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/>), the others are ours; `docs/tracing.md` lists them.

use super::{Attribute, Ended, Moment, Open, Span, SpanKind, Trace, Value, Whose};
use crate::flow::{
    ActivityRun, Attempt, CancelReason, Event, Flow, FlowOutcome, Origin, Outcome, Recorded, Resolution,
    RunId, StepError,
};
use crate::plan::{Step, StepId, StepIndex};
use crate::report::wording::{error_line, place_of};
use crate::time::Timestamp;

/// How much of a text for people a span takes: backends cut or refuse long ones.
const TEXT_CHARS_MAX: usize = 2000;

/// Makes the span of what has ended; nothing for what is no pipeline of its own, such as a group of iterations.
pub(super) fn fill(ended: Ended, recorded: &Recorded, flow: &Flow) -> Option<Span> {
    let Ended { of, span, parent } = ended;
    let header = flow.header();
    let mut attributes = everywhere(flow);
    let (mut has_foreign_parent, mut follows) = (false, Vec::new());
    let (kind, name, failure) = match of {
        Whose::Flow { follows: earlier } => {
            has_foreign_parent = parent.is_some();
            follows.extend(earlier);
            let failure = describe_flow(flow, &recorded.event, &mut attributes);
            (SpanKind::Flow, format!("RUN {}", header.plan_name), failure)
        }
        Whose::Step(id) => {
            let step = run_step(flow, &id)?;
            let Event::StepEnded { outcome, reason, .. } = &recorded.event else { return None };
            let failure = describe_step(flow, flow.index(&id)?, *outcome, reason, &mut attributes);
            (SpanKind::Step, step.id.to_string(), failure)
        }
        Whose::Attempt(id) => {
            let step = run_step(flow, &id)?;
            let attempt = flow.run(flow.index(&id)?).attempts.last()?;
            describe_target(flow, step, &mut attributes);
            let failure = describe_attempt(attempt, &mut attributes);
            if let Event::AttemptEnded { activities: Some(kept), .. } = &recorded.event
                && kept.left_out > 0
            {
                attributes.push(("synflow.activities.left_out", kept.left_out.into()));
            }
            (SpanKind::Attempt, format!("attempt {}", step.pipeline), failure)
        }
    };
    Some(Span {
        id: span.id,
        parent,
        has_foreign_parent,
        follows,
        kind,
        name,
        start: span.since,
        end: recorded.at,
        attributes,
        moments: span.moments,
        failure,
    })
}

impl Trace {
    /// Makes the spans of the activities of an attempt that has just ended, outer ones first; nothing where none are told.
    pub(super) fn activities(
        &self,
        step: &StepId,
        attempt: u64,
        recorded: &Recorded,
        flow: &Flow,
    ) -> Option<Vec<Span>> {
        let Event::AttemptEnded { activities: Some(kept), .. } = &recorded.event else { return None };
        let index = flow.index(step)?;
        let run = flow.run(index).attempts.last()?.run;
        let mut spans = Vec::new();
        let level = Level { run, pipeline: &flow.step(index).pipeline, parent: attempt };
        self.level(&kept.rows, &level, step, recorded, flow, &mut spans);
        Some(spans)
    }

    /// Adds the spans of one run's activities and of the runs below it.
    fn level(
        &self,
        rows: &[ActivityRun],
        level: &Level<'_>,
        step: &StepId,
        recorded: &Recorded,
        flow: &Flow,
        spans: &mut Vec<Span>,
    ) {
        // One that has not started took no time.
        for (row, start) in rows.iter().filter_map(|row| Some((row, row.start?))) {
            let number = format!("activity {}", spans.len());
            let open = Open::new(&self.seed, &number, recorded.seq, start);
            let mut attributes = everywhere(flow);
            attributes.extend([
                ("synflow.step", step.as_str().into()),
                ("synflow.pipeline", level.pipeline.into()),
                ("synflow.run.id", level.run.to_string().into()),
                ("synflow.activity.type", row.kind.as_str().into()),
                ("synflow.activity.status", row.status.as_str().into()),
            ]);
            if !row.iteration.is_empty() {
                attributes.push(("synflow.activity.iteration", row.iteration.as_str().into()));
            }
            if let Some(child) = &row.child {
                attributes.push(("synflow.child.run.id", child.run.to_string().into()));
            }
            let has_failed = row.status == "Failed";
            let outcome = if has_failed { Outcome::Failed } else { Outcome::Succeeded };
            let failure = failure(outcome, row.error.as_ref(), "", &mut attributes);
            spans.push(Span {
                id: open.id,
                parent: Some(level.parent),
                has_foreign_parent: false,
                follows: Vec::new(),
                kind: SpanKind::Activity,
                name: row.name.clone(),
                start,
                end: row.end.unwrap_or(recorded.at).max(start),
                attributes,
                moments: Vec::new(),
                failure,
            });
            if let Some(child) = &row.child {
                let below = Level { run: child.run, pipeline: &child.pipeline, parent: open.id };
                self.level(&child.activities, &below, step, recorded, flow, spans);
            }
        }
    }
}

/// The run whose activities are told.
struct Level<'a> {
    run: RunId,
    pipeline: &'a str,
    /// The span that the run is inside of.
    parent: u64,
}

/// Returns what stands in every span, to find it by.
fn everywhere(flow: &Flow) -> Vec<Attribute> {
    let header = flow.header();
    vec![
        ("synflow.flow.id", header.id.0.as_str().into()),
        ("synflow.plan", header.plan_name.as_str().into()),
        ("synflow.emulated", header.emulated.into()),
    ]
}

/// Says whether what an event tells is of the attempt that is under way, not of its step.
pub(super) const fn is_of_attempt(event: &Event) -> bool {
    !matches!(
        event,
        Event::RetryScheduled { .. } | Event::StepCancelRequested { .. } | Event::Resolved { .. }
    )
}

/// Returns what an event tells of a span that goes on, under the name that the journal has for it. What opens and what
/// ends a span stands in its times and attributes.
pub(super) fn moment(event: &Event, at: Timestamp) -> Option<Moment> {
    let (name, attributes): (&'static str, Vec<Attribute>) = match event {
        Event::StartNotSent { reason, .. } => ("start_not_sent", vec![("synflow.reason", text(reason))]),
        Event::StartResent { .. } => ("start_resent", Vec::new()),
        Event::StartUnclear { reason, .. } => ("start_unclear", vec![("synflow.reason", text(reason))]),
        Event::RunStarted { run, adopted, .. } => (
            "run_started",
            vec![("synflow.run.id", run.to_string().into()), ("synflow.run.found", (*adopted).into())],
        ),
        Event::RunChanged { status, .. } => {
            ("run_changed", vec![("synflow.run.status", status.to_string().into())])
        }
        Event::CancelIntended { reason, .. } => {
            let reason = match reason {
                CancelReason::TimedOut => "timed_out",
                CancelReason::Asked => "asked",
            };
            ("cancel_intended", vec![("synflow.reason", reason.into())])
        }
        Event::CancelAccepted { .. } => ("cancel_accepted", Vec::new()),
        Event::RunEnded { status, .. } => {
            ("run_ended", vec![("synflow.run.status", status.to_string().into())])
        }
        Event::RetryScheduled { attempt, at, .. } => (
            "retry_scheduled",
            vec![("synflow.attempt", (*attempt).into()), ("synflow.retry.at", at.to_string().into())],
        ),
        Event::Resolved { resolution, .. } => {
            let answer = match resolution {
                Resolution::Run { .. } => "run",
                Resolution::NotStarted => "not_started",
                Resolution::GiveUp => "give_up",
            };
            ("resolved", vec![("synflow.answer", answer.into())])
        }
        Event::StepCancelRequested { .. } => ("step_cancel_requested", Vec::new()),
        Event::CancelRequested => ("cancel_requested", Vec::new()),
        Event::Detached => ("detached", Vec::new()),
        Event::Resumed { redo, .. } => ("resumed", vec![("synflow.redo", redo.len().into())]),
        Event::PlanChanged { .. } => ("plan_changed", Vec::new()),
        Event::DeadlineAtRisk { deadline, forecast } => (
            "deadline_at_risk",
            vec![
                ("synflow.deadline", deadline.to_string().into()),
                ("synflow.forecast", forecast.to_string().into()),
            ],
        ),
        Event::DeadlineMissed { deadline } => {
            ("deadline_missed", vec![("synflow.deadline", deadline.to_string().into())])
        }
        Event::StartIntended { .. }
        | Event::RunAttached { .. }
        | Event::StartRefused { .. }
        | Event::AttemptEnded { .. }
        | Event::StepEnded { .. }
        | Event::GivenUp
        | Event::FlowEnded { .. } => return None,
    };
    Some(Moment { name, at, attributes })
}

/// Adds what is known of a flow's end, and returns what went wrong.
fn describe_flow(flow: &Flow, event: &Event, attributes: &mut Vec<Attribute>) -> Option<String> {
    let (header, outcome, counts) = (flow.header(), flow.outcome(), flow.counts());
    attributes.extend([
        ("cicd.pipeline.name", header.plan_name.as_str().into()),
        ("cicd.pipeline.run.id", header.id.0.as_str().into()),
        ("cicd.pipeline.action.name", "RUN".into()),
        ("cicd.pipeline.result", flow_result(outcome).into()),
        ("synflow.outcome", outcome.word().into()),
        ("synflow.steps.total", counts.total.into()),
        ("synflow.steps.succeeded", counts.succeeded.into()),
        ("synflow.steps.warned", counts.warned.into()),
        ("synflow.steps.failed", counts.failed.into()),
        ("synflow.steps.not_run", counts.not_run.into()),
    ]);
    if let Event::FlowEnded { exit_code } = event {
        attributes.push(("synflow.exit_code", Value::Number((*exit_code).into())));
    }
    if !header.environment.is_empty() {
        attributes.push(("synflow.environment", header.environment.as_str().into()));
    }
    if !header.run_key.is_empty() {
        attributes.push(("synflow.run_key", text(&header.run_key)));
    }
    let is_failure = !matches!(outcome, FlowOutcome::Succeeded | FlowOutcome::Cancelled);
    is_failure.then(|| {
        attributes.push(("error.type", outcome.word().into()));
        let bad =
            flow.steps().filter(|(_, step, run)| run.outcome().is_some_and(is_bad) && !step.allow_failure);
        let bad: Vec<String> = bad.map(|(_, step, _)| step.id.to_string()).collect();
        if bad.is_empty() {
            outcome.word().to_owned()
        } else {
            cut(&format!("{}: {}", outcome.word(), bad.join(", ")))
        }
    })
}

/// Adds what is known of a step's end, and returns what went wrong.
fn describe_step(
    flow: &Flow,
    index: StepIndex,
    outcome: Outcome,
    reason: &str,
    attributes: &mut Vec<Attribute>,
) -> Option<String> {
    let (step, run) = (flow.step(index), flow.run(index));
    describe_target(flow, step, attributes);
    attributes.extend([
        ("cicd.pipeline.task.name", step.id.as_str().into()),
        ("cicd.pipeline.task.run.result", result(outcome).into()),
        ("synflow.outcome", outcome.word().into()),
        ("synflow.allow_failure", step.allow_failure.into()),
        ("synflow.attempts", (run.attempts.len() - run.old_attempts()).into()),
    ]);
    if let Some(group) = step.group {
        attributes.push(("synflow.group", flow.step(group).id.as_str().into()));
    }
    let made = run.current_attempt().filter(|attempt| attempt.started_at.is_some());
    if let Some(attempt) = made {
        attributes.push(("cicd.pipeline.task.run.id", attempt.run.to_string().into()));
        attributes.push(("synflow.run.id", attempt.run.to_string().into()));
    }
    if !reason.is_empty() {
        attributes.push(("synflow.reason", text(reason)));
    }
    failure(outcome, run.error(), reason, attributes)
}

/// Adds what is known of an attempt, and returns what went wrong.
fn describe_attempt(attempt: &Attempt, attributes: &mut Vec<Attribute>) -> Option<String> {
    attributes.push(("synflow.attempt", attempt.number.into()));
    attributes.push(("synflow.sends", attempt.sends.into()));
    if let Some(outcome) = attempt.outcome {
        attributes.push(("synflow.outcome", outcome.word().into()));
    }
    if attempt.started_at.is_some() {
        let origin = match attempt.origin {
            Origin::Answered => "answered",
            Origin::Found => "found",
            Origin::Others => "others",
        };
        attributes.push(("synflow.run.id", attempt.run.to_string().into()));
        attributes.push(("synflow.run.origin", origin.into()));
    }
    if let Some(status) = &attempt.status {
        attributes.push(("synflow.run.status", status.to_string().into()));
    }
    // The service's clock, which need not be ours.
    let service = [("synflow.run.start", attempt.run_start), ("synflow.run.end", attempt.run_end)];
    attributes.extend(service.iter().filter_map(|(name, at)| Some((*name, (*at)?.to_string().into()))));
    if let Some(recovery) = &attempt.recovery {
        attributes.push(("synflow.recovery.run.id", recovery.run.to_string().into()));
        attributes.push(("synflow.recovery.activity", recovery.activity.as_str().into()));
    }
    failure(attempt.outcome?, attempt.error.as_ref(), "", attributes)
}

/// Adds what a step runs, and where.
fn describe_target(flow: &Flow, step: &Step, attributes: &mut Vec<Attribute>) {
    let workspace = &flow.plan().workspaces[step.workspace];
    let host = workspace.endpoint.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or("");
    attributes.extend([
        ("synflow.step", step.id.as_str().into()),
        ("synflow.pipeline", step.pipeline.as_str().into()),
        ("synflow.workspace", workspace.name.as_str().into()),
        ("server.address", host.into()),
    ]);
}

/// Adds what went wrong, if something did, and returns it in words.
fn failure(
    outcome: Outcome,
    error: Option<&StepError>,
    reason: &str,
    attributes: &mut Vec<Attribute>,
) -> Option<String> {
    if !is_bad(outcome) {
        return None;
    }
    let code = error.map(|error| error.code.as_str()).filter(|code| !code.is_empty());
    attributes.push(("error.type", code.unwrap_or(outcome.word()).into()));
    let Some(error) = error else {
        return Some(if reason.is_empty() { outcome.word().to_owned() } else { cut(reason) });
    };
    if let Some(code) = code {
        attributes.push(("synflow.error.code", code.into()));
    }
    let place = place_of(error);
    if !place.is_empty() {
        attributes.push(("synflow.error.activity", place.into()));
    }
    attributes.push(("synflow.error.message", text(&error.message)));
    Some(cut(&error_line(error)))
}

/// Says whether an outcome makes its span an error. One that somebody wanted does not.
const fn is_bad(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Unknown)
}

/// Returns the convention's word for how a step ended.
const fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded | Outcome::Warned => "success",
        Outcome::Failed => "failure",
        Outcome::TimedOut => "timeout",
        Outcome::Cancelled => "cancellation",
        Outcome::Skipped | Outcome::NotNeeded | Outcome::Blocked => "skip",
        Outcome::Unknown => "error",
    }
}

/// Returns the convention's word for how a flow ended.
const fn flow_result(outcome: FlowOutcome) -> &'static str {
    match outcome {
        FlowOutcome::Succeeded => "success",
        FlowOutcome::Failed => "failure",
        FlowOutcome::TimedOut | FlowOutcome::DeadlineMissed => "timeout",
        FlowOutcome::Cancelled => "cancellation",
        FlowOutcome::Unknown => "error",
    }
}

/// Returns the step with this id if it runs a pipeline.
fn run_step<'a>(flow: &'a Flow, id: &StepId) -> Option<&'a Step> {
    flow.index(id).map(|index| flow.step(index)).filter(|step| step.kind.is_run())
}

fn text(text: &str) -> Value {
    Value::Text(cut(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
