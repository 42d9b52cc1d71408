//! The step of a flow that a person names.

use crate::cli::failure::{Exit, Failure};
use crate::flow::Flow;
use crate::plan::{StepId, StepIndex, StepKind, nearest};
use crate::report::one_line;

/// How many ids are suggested for a wrong one.
const SUGGESTED_MAX: usize = 5;

/// Finds a step by its id: one that runs a pipeline, or all iterations of one.
///
/// Fails with exit 2 and the ids that are like it if the flow has none.
pub(super) fn find_step(flow: &Flow, name: &str) -> Result<StepIndex, Failure> {
    let steps = || flow.plan().steps.iter().filter(|step| step.kind != StepKind::Barrier);
    if let Some(step) =
        flow.index(&StepId::new(name)).filter(|&step| flow.step(step).kind != StepKind::Barrier)
    {
        return Ok(step);
    }
    let id = &flow.header().id;
    let lower = name.to_lowercase();
    let has_it = |id: &&str| id.to_lowercase().contains(&lower) && !lower.is_empty();
    let mut like: Vec<&str> =
        steps().map(|step| step.id.as_str()).filter(has_it).take(SUGGESTED_MAX).collect();
    if like.is_empty() {
        like.extend(nearest(name, steps().map(|step| step.id.as_str())));
    }
    let mean = match like.as_slice() {
        [] => String::new(),
        like => {
            let like: Vec<String> = like.iter().map(|id| format!("`{}`", one_line(id))).collect();
            format!("; did you mean {}?", like.join(" or "))
        }
    };
    let failure = Failure::new(Exit::Usage, format!("flow `{id}` has no step `{}`{mean}", one_line(name)));
    Err(failure.hint(format!("`synflow status {id}` lists the steps")))
}
