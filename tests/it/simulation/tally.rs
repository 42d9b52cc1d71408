//! What the nights came to: a simulation in which nothing goes wrong proves nothing.

use std::collections::BTreeMap;

use synflow::emulator::model::script::{FaultKind, Script};
use synflow::emulator::model::{Answer, Fate, Operation, Request};
use synflow::flow::Event;
use synflow::time::{Delay, Timestamp};

use crate::simulation::process::POINTS;

/// Everything that must happen somewhere in a run of many seeds; `skipped` waits for the plan's `when`.
const WANTED: &[&str] = &[
    "Cancels",
    "CancelsStep",
    "ClockJumps",
    "Competes",
    "Dies",
    "Leaves",
    "LosesLease",
    "OthersStart",
    "PersonLooks",
    "accepted",
    "adopted by id",
    "adopted by search",
    "an append that failed",
    "attempt_ended",
    "cancel_accepted",
    "cancel_intended",
    "cancel_requested",
    "deadline_at_risk",
    "deadline_missed",
    "detached",
    "fault body Empty",
    "fault body Flat",
    "fault body Html",
    "fault body Wrapped",
    "fault clock",
    "fault cut",
    "fault cut, carried out",
    "fault cut_in_body",
    "fault hide_run",
    "fault html",
    "fault list_lag",
    "fault retry-after",
    "fault retry-after date",
    "fault retry-after-ms",
    "fault short_token",
    "fault slow",
    "fault status 401",
    "fault status 403",
    "fault status 404",
    "fault status 408",
    "fault status 409",
    "fault status 429",
    "fault status 500",
    "fault status 502",
    "fault status 503",
    "fault status 504",
    "fault status, carried out",
    "fault truncate",
    "fault x-ms-retry-after-ms",
    "flow_ended",
    "given_up",
    "morning",
    "network answer lost",
    "network late",
    "network lost",
    "network never sent",
    "outcome blocked",
    "outcome cancelled",
    "outcome failed",
    "outcome not_needed",
    "outcome succeeded",
    "outcome timed_out",
    "outcome warned",
    "plan_changed",
    "recovery",
    "request answered",
    "resent",
    "resolved",
    "resumed",
    "retry_scheduled",
    "run_attached",
    "run_changed",
    "run_ended",
    "run_started",
    "start_intended",
    "start_not_sent",
    "start_refused",
    "start_resent",
    "start_unclear",
    "step_cancel_requested",
    "step_ended",
];

/// How often what happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<String, u64>);

impl Tally {
    /// Demands that all that can happen has happened.
    pub(crate) fn demand_everything(&self) {
        let points = POINTS.iter().map(|point| format!("crash {point:?}"));
        let wanted = WANTED.iter().map(|what| (*what).to_owned()).chain(points);
        let missing: Vec<String> = wanted.filter(|what| !self.0.contains_key(what)).collect();
        assert!(missing.is_empty(), "never happened: {missing:#?}\nhappened: {:#?}", self.0);
    }

    pub(crate) fn count(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        self.count(kind(event));
    }

    /// Counts the faults that show in an answer.
    pub(crate) fn answer(&mut self, script: &Script, request: &Request, said: &Answer, now: Timestamp) {
        let operation = operation_of(request);
        let rules = |kind: FaultKind| {
            script.faults.iter().filter(move |fault| fault.kind == kind && fault.on.0.contains(&operation))
        };
        let is_html = said.header("content-type").is_some_and(|kind| kind.contains("html"));
        if rules(FaultKind::Html).next().is_some() && is_html {
            self.count("fault html");
        }
        for fault in rules(FaultKind::Status).filter(|fault| fault.status == Some(said.status)) {
            self.count(&format!("fault status {}", said.status));
            if fault.accepted {
                self.count("fault status, carried out");
            }
            let form = fault.body.map_or_else(|| "Wrapped".to_owned(), |form| format!("{form:?}"));
            self.count(&format!("fault body {form}"));
            for header in ["retry-after", "retry-after-ms", "x-ms-retry-after-ms"] {
                if let Some(value) = said.header(header) {
                    let form = if value.contains("GMT") { " date" } else { "" };
                    self.count(&format!("fault {header}{form}"));
                }
            }
        }
        match said.fate {
            Fate::Cut if said.body.is_empty() => self.count("fault cut"),
            Fate::Cut => self.count("fault cut, carried out"),
            Fate::CutInBody => self.count("fault cut_in_body"),
            Fate::Deliver => {}
        }
        let is_broken = || !said.body.is_empty() && said.body_json().is_null();
        if rules(FaultKind::Truncate).next().is_some() && !is_html && is_broken() {
            self.count("fault truncate");
        }
        if said.delay > Delay::ZERO {
            self.count("fault slow");
        }
        let shown = said.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let is_wrong = shown.is_some_and(|shown| {
            (shown.timestamp().as_millisecond() - now.epoch_ms() - script.clock_skew.ahead_ms).abs() > 2_000
        });
        if is_wrong {
            self.count("fault clock");
        }
        let expires = script.faults.iter().any(|fault| fault.kind == FaultKind::ShortToken);
        if expires && said.status == 401 && rules(FaultKind::Status).next().is_none() {
            self.count("fault short_token");
        }
    }
}

fn operation_of(request: &Request) -> Operation {
    let path = request.path.as_str();
    if path.ends_with("/createRun") {
        Operation::CreateRun
    } else if path.ends_with("/cancel") {
        Operation::CancelRun
    } else if path.ends_with("/queryActivityruns") {
        Operation::QueryActivityRuns
    } else if path.ends_with("/queryPipelineRuns") {
        Operation::QueryPipelineRuns
    } else if path.ends_with("/token") {
        Operation::Token
    } else {
        Operation::GetRun
    }
}

/// Returns the name of an event's kind, as the journal writes it.
const fn kind(event: &Event) -> &'static str {
    match event {
        Event::StartIntended { .. } => "start_intended",
        Event::RunAttached { .. } => "run_attached",
        Event::StartNotSent { .. } => "start_not_sent",
        Event::StartResent { .. } => "start_resent",
        Event::StartUnclear { .. } => "start_unclear",
        Event::StartRefused { .. } => "start_refused",
        Event::RunStarted { .. } => "run_started",
        Event::RunChanged { .. } => "run_changed",
        Event::CancelIntended { .. } => "cancel_intended",
        Event::CancelAccepted { .. } => "cancel_accepted",
        Event::RunEnded { .. } => "run_ended",
        Event::AttemptEnded { .. } => "attempt_ended",
        Event::RetryScheduled { .. } => "retry_scheduled",
        Event::StepEnded { .. } => "step_ended",
        Event::Resolved { .. } => "resolved",
        Event::StepCancelRequested { .. } => "step_cancel_requested",
        Event::CancelRequested => "cancel_requested",
        Event::Detached => "detached",
        Event::Resumed { .. } => "resumed",
        Event::PlanChanged { .. } => "plan_changed",
        Event::DeadlineAtRisk { .. } => "deadline_at_risk",
        Event::DeadlineMissed { .. } => "deadline_missed",
        Event::GivenUp => "given_up",
        Event::FlowEnded { .. } => "flow_ended",
    }
}
