//! What the steps of a flow are expected to take, by what they took in earlier flows of the plan.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::load;
use crate::flow::forecast::{self, DURATIONS_MAX, Durations};
use crate::flow::{Event, Flow};
use crate::journal::{Journal, JournalError};
use crate::plan::StepId;
use crate::time::Delay;

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

/// Returns what is known of earlier flows of the plan and environment; nothing where there is no deadline to judge by it.
/// Emulated flows and real ones know nothing of each other.
///
/// Fails if the journal cannot be read. A flow that this version cannot read is passed over.
pub(super) fn durations(
    journal: &mut Journal,
    flow: &Flow,
    opening: &[Event],
) -> Result<Durations, JournalError> {
    let is_edited = opening.iter().any(|event| matches!(event, Event::PlanChanged { .. }));
    if flow.due().is_none() && !is_edited {
        return Ok(Durations::new());
    }
    let header = flow.header();
    Ok(history(journal, &header.plan_name, &header.environment, header.emulated)?.durations)
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
    let mut history = History::default();
    let mut steps_read = 0;
    for id in journal.newest_of_plan(plan_name, environment, is_emulated, DURATIONS_MAX)? {
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
    Ok(history)
}
