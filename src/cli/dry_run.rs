//! `synflow apply --dry-run`: what would be started in which order, without a network.

use crate::cli::failure::Failure;
use crate::cli::load::LoadedPlan;
use crate::cli::put;
use crate::driver::now;
use crate::report::outlook::Outlook;

/// Prints the plan in waves: a wave's steps wait only for steps of earlier ones.
pub(super) fn show(loaded: &LoadedPlan, max_parallel: usize) -> Result<(), Failure> {
    let (plan, graph) = (&*loaded.plan, &*loaded.graph);
    let (forecast, earlier, live, groups, findings) = (None, None, None, Vec::new(), Vec::new());
    let outlook =
        Outlook { plan, graph, max_parallel, now: now(), forecast, earlier, live, groups, findings };
    put(&format!("{}\nnothing was started\n", outlook.text()))
}
