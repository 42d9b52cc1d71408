//! What the steps of a flow are expected to take, by what they took in earlier flows of the plan.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::load;
use crate::flow::forecast::{self, DURATIONS_MAX, Durations, Forecast};
use crate::flow::{Flow, FlowId, edge};
use crate::journal::{Journal, JournalError};
use crate::plan::StepId;
use crate::report::story::Known;
use crate::report::{Beside, Expected};
use crate::time::{Delay, Timestamp};

/// How many steps of earlier flows are read: a plan of ten thousand must not begin late because it was big before.
const STEPS_READ_MAX: usize = 20_000;

/// What earlier flows of a plan have shown.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What each step took, newest first.
    pub(super) took: BTreeMap<(StepId, String), Vec<Delay>>,
    /// What each step usually takes.
    pub(super) durations: Durations,
    /// What each step gave when it last went well.
    pub(super) outputs: BTreeMap<StepId, Map<String, Value>>,
    /// How many flows were read.
    pub(super) flows: usize,
}

/// Returns what is known of earlier flows of the flow's plan and environment.
/// Emulated flows and real ones know nothing of each other.
///
/// Fails if the journal cannot be read. A flow that this version cannot read is passed over.
pub(super) fn of(journal: &mut Journal, flow: &Flow) -> Result<Expected, JournalError> {
    let header = flow.header();
    let history = history(journal, &header.plan_name, &header.environment, header.emulated)?;
    Ok(Expected::of(&history.took))
}

/// Returns what is known beside a flow that is looked at, which `driver` drives.
///
/// Fails if the journal cannot be read.
pub(super) fn beside(
    journal: &mut Journal,
    flow: &Flow,
    driver: Option<String>,
    now: Timestamp,
) -> Result<Beside, JournalError> {
    let usual = usual(journal, flow)?;
    if flow.is_settled() || flow.is_given_up() {
        return Ok(Beside { usual, ..Beside::default() });
    }
    let header = flow.header();
    let steps = history(journal, &header.plan_name, &header.environment, header.emulated)?.durations;
    // Of a flow that nobody drives nobody can say when it goes on.
    let forecast = Forecast::new(flow, &steps).filter(|_| driver.is_some());
    let end = forecast.map(|forecast| forecast.end_in_places(flow, now));
    Ok(Beside { usual, steps, end, driver })
}

/// Returns how long flows like this one usually take.
///
/// Fails if the journal cannot be read.
pub(super) fn usual(journal: &mut Journal, flow: &Flow) -> Result<Option<Delay>, JournalError> {
    Ok(forecast::median(&journal.lengths_of_like(flow.header(), DURATIONS_MAX)?))
}

/// Returns what the newest flows of a plan and environment have shown.
///
/// Fails if the journal cannot be read. A flow that this version cannot read is passed over.
pub(super) fn history(
    journal: &mut Journal,
    plan_name: &str,
    environment: &str,
    is_emulated: bool,
) -> Result<History, JournalError> {
    let ids = journal.newest_of_plan(plan_name, environment, is_emulated, DURATIONS_MAX)?;
    Ok(read(journal, ids))
}

/// Returns what the flows of its plan and environment before a flow have shown, and when it was to end by that.
///
/// Fails if the journal cannot be read. A flow that this version cannot read is passed over.
pub(super) fn before(journal: &mut Journal, id: &FlowId) -> Result<Known, JournalError> {
    let Some(header) = journal.header(id)? else { return Ok(Known::default()) };
    let earlier = journal.before_of_plan(&header, DURATIONS_MAX)?;
    let history = read(journal, earlier);
    let begun = header.created_at;
    let end = Flow::from_header(header).ok().filter(|flow| is_foreseen(flow, &history.durations));
    let end =
        end.and_then(|flow| Some(Forecast::new(&flow, &history.durations)?.end_in_places(&flow, begun)));
    Ok(Known {
        expected: end.map(|end| end.since(begun)),
        durations: history.durations,
        earlier_flows: history.flows,
    })
}

/// Says whether it is known of every step that runs if all goes well how long it takes: of fewer no end can be told.
fn is_foreseen(flow: &Flow, durations: &Durations) -> bool {
    flow.steps().all(|(_, step, _)| {
        let may_not_run = step.when.is_some()
            || step.spared.is_some()
            || step.is_final
            || step.depends_on.iter().any(|edge| !edge::is_met_by_success(&edge.rule));
        may_not_run || durations.contains_key(&(step.id.clone(), step.pipeline.clone()))
    })
}

/// Reads what flows have shown, newest first.
fn read(journal: &mut Journal, ids: Vec<FlowId>) -> History {
    let mut history = History::default();
    let mut steps_read = 0;
    for id in ids {
        let Ok(earlier) = load::flow(journal, &id) else { continue };
        forecast::gather(&earlier, &mut history.took);
        for (_, step, run) in earlier.steps() {
            if let Some(given) = run.outputs().filter(|_| run.is_over()) {
                history.outputs.entry(step.id.clone()).or_insert_with(|| given.values.clone());
            }
        }
        history.flows += 1;
        steps_read += earlier.plan().steps.len();
        if steps_read >= STEPS_READ_MAX {
            break;
        }
    }
    let took = history.took.iter();
    let medians = took.filter_map(|(step, took)| Some((step.clone(), forecast::median(took)?)));
    history.durations = medians.collect();
    history
}
