//! From a plan's file, or a flow in the journal, to what the core works with.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::driver::now;
use crate::flow::{Flow, FlowHeader};
use crate::graph::PlanGraph;
use crate::journal::Journal;
use crate::plan::{self, Diagnostic, Given, Plan};

/// A plan with its text and graph.
#[derive(Clone, Debug)]
pub(super) struct LoadedPlan {
    /// The file's text.
    pub(super) text: String,
    /// The plan.
    pub(super) plan: Arc<Plan>,
    /// Its graph.
    pub(super) graph: Arc<PlanGraph>,
}

/// Loads a plan from a file and writes what the reader should know about it to `out`.
///
/// Fails with exit 3 if the file cannot be read or holds no plan that can run; every problem is then on `out`.
pub(super) fn plan(
    path: &Path,
    inputs: &[(String, String)],
    inputs_required: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(Exit::PlanInvalid, format!("cannot read the plan `{name}`: {error}"))
            .hint("check the path; the plan is the first argument")
    })?;
    let given = Given { inputs: inputs.to_vec(), env: settings.env.clone(), now: now(), inputs_required };
    let mut show = |diagnostics: &[Diagnostic]| {
        let text = plan::render(diagnostics, &name, &bytes, settings.colour);
        // A closed stderr must not stop a plan.
        drop(out.write_all(text.as_bytes()));
    };
    let invalid = || Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() };
    match linked(&bytes, &given) {
        Ok((plan, graph, notes)) => {
            show(&notes);
            Ok(LoadedPlan {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                plan: Arc::new(plan),
                graph: Arc::new(graph),
            })
        }
        Err(problems) => {
            show(&problems);
            Err(invalid())
        }
    }
}

/// Brings a flow back from the journal by applying its events to the plan it was made from.
///
/// Fails if the journal cannot be read, or holds what this version cannot make sense of.
pub(super) fn flow(journal: &mut Journal, header: &FlowHeader) -> Result<Flow, Failure> {
    let damaged = |why: String| {
        Failure::new(Exit::Journal, format!("cannot bring flow `{}` back from the journal", header.id))
            .because(why)
    };
    let events = journal.events(&header.id)?;
    let mut flow =
        Flow::from_header(header.clone()).map_err(|why| damaged(format!("its plan does not load: {why}")))?;
    for recorded in &events {
        flow.apply(recorded).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(flow)
}

type Linked = (Plan, PlanGraph, Vec<Diagnostic>);

fn linked(text: &[u8], given: &Given) -> Result<Linked, Vec<Diagnostic>> {
    let loaded = plan::load(text, given)?;
    let graph = PlanGraph::link(&loaded.plan)?;
    Ok((loaded.plan, graph, loaded.notes))
}
