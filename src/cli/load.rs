//! From a plan's file, or a flow in the journal, to what the core works with.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cli::args::{Chosen, Inputs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::driver::now;
use crate::flow::{Flow, FlowHeader, FlowId};
use crate::graph::{PlanGraph, Selection, Unselectable, narrow};
use crate::journal::Journal;
use crate::plan::{self, Diagnostic, Given, GivenFile, Plan};
use crate::time::Timestamp;

/// Stands for the reference to a secret that a rehearsal does not read.
const UNREAD_SECRET: &str = "env:NOT_READ_IN_A_REHEARSAL";

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
    /// Narrows the plan to some of its steps, unless all are meant.
    ///
    /// Fails with exit 2 if a word names nothing, nothing is left, or a step would miss what another gives.
    pub(super) fn narrow(&mut self, selection: &Selection) -> Result<(), Failure> {
        if selection.is_whole() {
            return Ok(());
        }
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
/// Fails with exit 3 if the file cannot be read or holds no plan that can run; every problem is then on `out`. Fails with
/// exit 2 if the file of `--inputs` cannot be read.
pub(super) fn plan(
    path: &Path,
    chosen: &Chosen,
    inputs_required: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    plan_given(path, given_for(chosen, inputs_required, settings)?, settings, out)
}

/// Loads a plan that is only rehearsed, as if it were begun at `start`. A secret input need not be given, for nobody reads
/// it.
///
/// Fails as [`plan`] does.
pub(super) fn rehearsed_plan(
    path: &Path,
    chosen: &Chosen,
    start: Timestamp,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let environment = chosen.env.clone().unwrap_or_default();
    let mut given =
        Given { environment, now: start, inputs_required: true, ..given(&chosen.inputs, settings)? };
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    leave_secrets_out(path, &bytes, &mut given);
    plan_given(path, given, settings, out)
}

/// Loads a plan for one of its tests; gives what is wrong with it, if so. A secret input need not be given.
///
/// Fails with exit 3 if the file cannot be read.
pub(super) fn test_plan(
    path: &Path,
    mut given: Given,
) -> Result<Result<LoadedPlan, Vec<Diagnostic>>, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    read_wanted(path, &bytes, &mut given);
    leave_secrets_out(path, &bytes, &mut given);
    Ok(linked(&bytes, &given).map(|(plan, graph, _)| LoadedPlan {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        plan: Arc::new(plan),
        graph: Arc::new(graph),
    }))
}

/// Gives secret inputs that are not given a reference that nobody follows.
fn leave_secrets_out(path: &Path, bytes: &[u8], given: &mut Given) {
    let mut probe = Given { inputs_required: false, ..given.clone() };
    read_wanted(path, bytes, &mut probe);
    if let Ok(loaded) = plan::load(bytes, &probe) {
        let missing = loaded.plan.secret_inputs.iter().filter(|name| !loaded.plan.inputs.contains_key(*name));
        given.recorded.extend(missing.map(|name| (name.clone(), UNREAD_SECRET.into())));
    }
}

/// Gathers what a new flow, or a check, is given.
fn given_for(chosen: &Chosen, inputs_required: bool, settings: &Settings) -> Result<Given, Failure> {
    Ok(Given {
        environment: chosen.env.clone().unwrap_or_default(),
        now: now(),
        inputs_required,
        ..given(&chosen.inputs, settings)?
    })
}

/// Loads an edited plan of a flow, as [`plan`] does: in the flow's environment, with words such as `yesterday` as they
/// were meant when it was made. The flow's inputs count where the plan still declares them; those given now beat them.
pub(super) fn edited_plan(
    path: &Path,
    flow: &FlowHeader,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<LoadedPlan, Failure> {
    let given = Given {
        environment: flow.environment.clone(),
        recorded: flow.inputs.clone(),
        now: flow.created_at,
        inputs_required: true,
        ..given(inputs, settings)?
    };
    plan_given(path, given, settings, &mut anstream::stderr())
}

/// Gathers what was given on the command line.
fn given(inputs: &Inputs, settings: &Settings) -> Result<Given, Failure> {
    let inputs_file = match &inputs.file {
        None => None,
        Some(path) => {
            let name = path.display().to_string();
            let bytes = read(path).map_err(|why| {
                Failure::new(Exit::Usage, format!("cannot read the inputs in `{name}`: {why}"))
                    .hint("`--inputs` names a YAML or JSON file with a map from names to values")
            })?;
            Some(GivenFile { name, bytes })
        }
    };
    Ok(Given { inputs: inputs.texts.clone(), inputs_file, env: settings.env.clone(), ..Given::default() })
}

/// Reads a file that is no larger than a plan may be; says in half a sentence why it cannot.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no `{name}`"),
        io::ErrorKind::PermissionDenied => format!("`{name}` may not be read"),
        io::ErrorKind::IsADirectory => format!("`{name}` is a folder"),
        _ => error.to_string(),
    };
    let mut bytes = Vec::new();
    let limit = plan::FILE_BYTES_MAX as u64;
    let read = fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(told(error)),
        Ok(_) if bytes.len() > plan::FILE_BYTES_MAX => Err(format!("`{name}` has more than 10 MB")),
        Ok(_) => Ok(bytes),
    }
}

/// Reads a file that a plan names. Only a regular one: a plan that names a pipe must not wait for ever.
fn read_beside(plan: &Path, file: &str) -> Result<Vec<u8>, String> {
    let path = plan.parent().unwrap_or(Path::new("")).join(file);
    match fs::metadata(&path) {
        Ok(found) if !found.is_file() => Err(format!("`{}` is no regular file", path.display())),
        _ => read(&path),
    }
}

/// Reads the files that a plan wants.
fn read_wanted(path: &Path, bytes: &[u8], given: &mut Given) {
    for file in plan::wanted_files(bytes) {
        let read = read_beside(path, &file);
        given.files.insert(file, read);
    }
}

fn plan_given(
    path: &Path,
    given: Given,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    text_given(path, &path.display().to_string(), &bytes, given, settings, out)
}

/// Loads a plan from a text that stands for the file, as [`plan`] does; messages call it `name`.
pub(super) fn text(
    path: &Path,
    name: &str,
    bytes: &[u8],
    chosen: &Chosen,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    text_given(path, name, bytes, given_for(chosen, false, settings)?, settings, out)
}

fn text_given(
    path: &Path,
    name: &str,
    bytes: &[u8],
    mut given: Given,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    read_wanted(path, bytes, &mut given);
    let mut show = |diagnostics: &[Diagnostic]| {
        let text = plan::render(diagnostics, name, bytes, settings.colour);
        // A closed stderr must not stop a plan.
        drop(out.write_all(text.as_bytes()));
    };
    let invalid = || Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() };
    match linked(bytes, &given) {
        Ok((plan, graph, notes)) => {
            show(&notes);
            Ok(LoadedPlan {
                text: String::from_utf8_lossy(bytes).into_owned(),
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

/// Says whether a word names a plan: a file that is there, or what looks like one.
pub(super) fn is_plan(word: &str) -> bool {
    let path = Path::new(word);
    let is_name = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|it| end == *it));
    path.is_file() || is_name || word.contains(['/', '\\'])
}

/// What the check of a file gave, before anybody is told.
pub(super) struct CheckedFile {
    /// The file's name, as it was given.
    pub(super) name: String,
    /// The file as it was read.
    pub(super) bytes: Vec<u8>,
    /// The plan, if it can run as far as it alone tells.
    pub(super) plan: Option<Plan>,
    /// What was found, in the order of the text.
    pub(super) findings: Vec<Diagnostic>,
    /// Why the file could not be read, if so.
    pub(super) unreadable: Option<std::io::Error>,
}

/// Checks a file for a verb that only tells what was found. An input need not be given.
///
/// Fails with exit 2 if the file of `--inputs` cannot be read.
pub(super) fn check(path: &Path, chosen: &Chosen, settings: &Settings) -> Result<CheckedFile, Failure> {
    let mut given = given_for(chosen, false, settings)?;
    let name = path.display().to_string();
    let nothing = CheckedFile { name, bytes: Vec::new(), plan: None, findings: Vec::new(), unreadable: None };
    Ok(match fs::read(path) {
        Err(error) => CheckedFile { unreadable: Some(error), ..nothing },
        Ok(bytes) => {
            read_wanted(path, &bytes, &mut given);
            let (plan, findings) = match linked(&bytes, &given) {
                Ok((plan, _, notes)) => (Some(plan), notes),
                Err(problems) => (None, problems),
            };
            CheckedFile { bytes, plan, findings, ..nothing }
        }
    })
}

/// Says that a plan's file cannot be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::PlanInvalid, format!("cannot read the plan `{}`: {error}", path.display()))
        .hint("check the path; the plan is the first argument")
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
