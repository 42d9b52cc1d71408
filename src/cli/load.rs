//! From a plan's file, or a flow in the journal, to what the core works with.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::driver::now;
use crate::flow::{Flow, FlowId, resume};
use crate::graph::{PlanGraph, Selection, Unselectable, narrow};
use crate::journal::Journal;
use crate::plan::{self, Diagnostic, Given, Plan};
use crate::time::Timestamp;

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

impl LoadedPlan {
    /// Narrows the plan to some of its steps.
    ///
    /// Fails with exit 2 if a word names nothing, nothing is left, or a step would miss what another gives.
    pub(super) fn narrow(&mut self, selection: &Selection) -> Result<(), Failure> {
        let plan = narrow(&self.plan, &self.graph, selection).map_err(|error| {
            let failure = Failure::new(Exit::Usage, error.to_string());
            match error {
                Unselectable::Reads { reader, .. } => failure.hint(format!(
                    "`synflow resume --redo {reader}` does it again with what the others gave in the latest flow"
                )),
                _ => failure.hint("`synflow apply PLAN --dry-run` lists the steps"),
            }
        })?;
        let bug = |_| Failure::new(Exit::Bug, "a plan without some of its steps has a cycle");
        self.graph = Arc::new(PlanGraph::link(&plan).map_err(bug)?);
        self.plan = Arc::new(plan);
        Ok(())
    }
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
    let given = Given { inputs: inputs.to_vec(), env: settings.env.clone(), now: now(), inputs_required };
    plan_given(path, &given, settings, out)
}

/// Loads an edited plan of a flow that was made at `made_at`, as [`plan`] does: words such as `yesterday` mean what they
/// meant then. The flow's inputs count where the plan still declares them; those given now come before them.
pub(super) fn edited_plan(
    path: &Path,
    inputs: &Map<String, Value>,
    given: &[(String, String)],
    made_at: Timestamp,
    settings: &Settings,
) -> Result<LoadedPlan, Failure> {
    // What cannot be read is told below.
    let declared = fs::read(path).map(|bytes| plan::declared_inputs(&bytes)).unwrap_or_default();
    let kept = inputs.iter().filter(|(name, _)| declared.contains(name));
    let kept = kept.map(|(name, value)| (name.clone(), resume::as_text(value)));
    let inputs = kept.chain(given.iter().cloned()).collect();
    let given = Given { inputs, env: settings.env.clone(), now: made_at, inputs_required: true };
    plan_given(path, &given, settings, &mut anstream::stderr())
}

fn plan_given(
    path: &Path,
    given: &Given,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(Exit::PlanInvalid, format!("cannot read the plan `{name}`: {error}"))
            .hint("check the path; the plan is the first argument")
    })?;
    let mut show = |diagnostics: &[Diagnostic]| {
        let text = plan::render(diagnostics, &name, &bytes, settings.colour);
        // A closed stderr must not stop a plan.
        drop(out.write_all(text.as_bytes()));
    };
    let invalid = || Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() };
    match linked(&bytes, given) {
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

/// Brings a flow back from the journal by applying its events to the plan it was made from. By its id, for the header
/// of a flow that an edited plan has changed is not the one it was made from.
///
/// Fails if the journal cannot be read, or holds what this version cannot make sense of.
pub(super) fn flow(journal: &mut Journal, id: &FlowId) -> Result<Flow, Failure> {
    let damaged = |why: String| {
        Failure::new(Exit::Journal, format!("cannot bring flow `{id}` back from the journal")).because(why)
    };
    let header = journal.header(id)?.ok_or_else(|| damaged("it is not there any more".to_owned()))?;
    let events = journal.events(id)?;
    let mut flow =
        Flow::from_header(header).map_err(|why| damaged(format!("its plan does not load: {why}")))?;
    for recorded in &events {
        flow.apply(recorded).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(flow)
}

/// Opens the journal for writing, where there is one.
///
/// Fails with exit 2 if there is none, and with 12 if it cannot be used.
pub(super) fn journal(settings: &Settings) -> Result<Journal, Failure> {
    let folder = &settings.state_dir;
    if Journal::open_existing(folder)?.is_none() {
        return Err(no_journal(settings));
    }
    Ok(Journal::open(folder)?)
}

/// Says that nothing was ever run, or that the wrong folder was named.
pub(super) fn no_journal(settings: &Settings) -> Failure {
    Failure::new(Exit::Usage, format!("there is no journal in `{}` yet", settings.state_dir.display()))
        .hint("`synflow apply PLAN` begins one; `--state-dir` names another folder")
}

/// Returns the SHA-256 of a text in hexadecimal digits, as `sha256sum` prints it.
pub(super) fn sha256(text: &str) -> String {
    let digits =
        |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
    Sha256::digest(text.as_bytes()).into_iter().flat_map(digits).collect()
}

type Linked = (Plan, PlanGraph, Vec<Diagnostic>);

fn linked(text: &[u8], given: &Given) -> Result<Linked, Vec<Diagnostic>> {
    let loaded = plan::load(text, given)?;
    let graph = PlanGraph::link(&loaded.plan)?;
    Ok((loaded.plan, graph, loaded.notes))
}
