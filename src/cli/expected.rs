//! What the steps of a flow are expected to take, by what they took in earlier flows of the plan.

use std::collections::BTreeMap;

use crate::cli::load;
use crate::flow::forecast::{self, DURATIONS_MAX, Durations};
use crate::flow::{Event, Flow};
use crate::journal::{Journal, JournalError};
use crate::plan::StepId;
use crate::time::Delay;

/// How many steps of earlier flows are read: a plan of ten thousand must not begin late because it was big before.
const STEPS_READ_MAX: usize = 20_000;

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
    let seen = seen(journal, &header.plan_name, &header.environment, header.emulated)?;
    Ok(seen.into_iter().filter_map(|(step, took)| Some((step, forecast::median(&took)?))).collect())
}

/// Returns what steps took in earlier flows of a plan and environment, newest first.
///
/// Fails if the journal cannot be read. A flow that this version cannot read is passed over.
pub(super) fn seen(
    journal: &mut Journal,
    plan_name: &str,
    environment: &str,
    emulated: bool,
) -> Result<BTreeMap<(StepId, String), Vec<Delay>>, JournalError> {
    let mut seen = BTreeMap::new();
    let mut steps_read = 0;
    for id in journal.newest_of_plan(plan_name, environment, emulated, DURATIONS_MAX)? {
        let Ok(earlier) = load::flow(journal, &id) else { continue };
        forecast::gather(&earlier, &mut seen);
        steps_read += earlier.plan().steps.len();
        if steps_read >= STEPS_READ_MAX {
            break;
        }
    }
    Ok(seen)
}
