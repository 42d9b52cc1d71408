//! From a plan's file, or a flow in the journal, to what the core works with.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cli::args::{Chosen, Inputs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::saved::SavedFile;
use crate::cli::settings::Settings;
use crate::cli::{ci, outlet};
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
    /// When it was read: what words such as `yesterday` count from.
    pub(super) read_at: Timestamp,
    /// The saved plan that it was read from, if it was.
    pub(super) saved: Option<Arc<SavedFile>>,
}

impl LoadedPlan {
    fn new((plan, graph, _): Linked, bytes: &[u8], read_at: Timestamp) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        Self { text, plan: Arc::new(plan), graph: Arc::new(graph), read_at, saved: None }
    }

    /// Narrows the plan to some of its steps, unless all are meant.
    ///
    /// Fails with exit 2 if a word names nothing, nothing is left, a step would miss what another gives, or the plan is a
    /// saved one.
    pub(super) fn narrow(&mut self, selection: &Selection) -> Result<(), Failure> {
        match &self.saved {
            _ if selection.is_whole() => Ok(()),
            Some(saved) => {
                Err(saved.settled(if selection.select.is_empty() { "--exclude" } else { "--select" }))
            }
            None => self.narrow_to(selection),
        }
    }

    fn narrow_to(&mut self, selection: &Selection) -> Result<(), Failure> {
        if selection.is_whole() {
            return Ok(());
        }
        let plan = narrow(&self.plan, &self.graph, selection).map_err(|error| {
            let failure = Failure::new(Exit::Usage, error.to_string());
            match error {
                Unselectable::Reads { reader, .. } => failure.hint(format!(
                    "`synflow resume --redo {reader}` does it again with what the others gave in the latest flow"
                )),
                _ => failure.hint("`synflow plan PLAN --offline` lists the steps"),
            }
        })?;
        let bug = |_| Failure::new(Exit::Bug, "a plan without some of its steps has a cycle");
        self.graph = Arc::new(PlanGraph::link(&plan).map_err(bug)?);
        self.plan = Arc::new(plan);
        Ok(())
    }

    /// Returns what messages call the plan that was named so.
    pub(super) fn shown(&self, path: &Path) -> String {
        self.saved.as_ref().map_or_else(|| path.display().to_string(), |saved| saved.shown())
    }

    /// Returns how many runs may be under way at once: as the command line says, or the plan.
    ///
    /// Fails with exit 2 if the command line says it of a saved plan.
    pub(super) fn places(&self, asked: Option<u32>) -> Result<usize, Failure> {
        match (&self.saved, asked) {
            (Some(saved), Some(_)) => Err(saved.settled("--max-parallel")),
            _ => Ok(asked.map_or(self.plan.max_parallel, |places| places as usize)),
        }
    }
}

/// Loads a plan from a file and writes what the reader should know about it to `out`.
///
/// A saved plan is loaded with what it pins.
///
/// Fails with exit 3 if the file cannot be read or holds no plan that can run; every problem is then on `out`. Fails with
/// exit 2 if the file of `--inputs` cannot be read, or something is given for a saved plan.
pub(super) fn plan(
    path: &Path,
    chosen: &Chosen,
    inputs_required: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let name = path.display().to_string();
    text_or_saved(path, &name, &bytes, chosen, inputs_required, settings, out)
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
    if let Some(saved) = SavedFile::read(path, &bytes)? {
        saved.refuse(chosen)?;
        return self::saved(saved, None, settings, out);
    }
    leave_secrets_out(path, &bytes, &mut given);
    text_given(path, &path.display().to_string(), &bytes, given, settings, out)
}

/// Loads a plan for one of its tests; gives what is wrong with it, if so. A secret input need not be given.
///
/// Fails with exit 3 if the file cannot be read.
pub(super) fn test_plan(
    path: &Path,
    mut given: Given,
) -> Result<Result<LoadedPlan, Vec<Diagnostic>>, Failure> {
    let bytes = read_unsaved(path, "test")?;
    read_wanted(path, &bytes, &mut given);
    leave_secrets_out(path, &bytes, &mut given);
    Ok(linked(&bytes, &given).map(|linked| LoadedPlan::new(linked, &bytes, given.now)))
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
    let bytes = read_unsaved(path, "resume --plan")?;
    text_given(path, &path.display().to_string(), &bytes, given, settings, &mut outlet::stderr())
}

/// Reads the file of a plan for a verb that takes no saved one.
fn read_unsaved(path: &Path, verb: &str) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let Some(saved) = SavedFile::read(path, &bytes)? else { return Ok(bytes) };
    Err(saved.not_for(verb))
}

/// Gathers what was given on the command line.
fn given(inputs: &Inputs, settings: &Settings) -> Result<Given, Failure> {
    let inputs_file = inputs.file.as_deref().map(inputs_file).transpose()?;
    Ok(Given { inputs: inputs.texts.clone(), inputs_file, env: settings.env.clone(), ..Given::default() })
}

/// Reads the file of `--inputs`.
pub(super) fn inputs_file(path: &Path) -> Result<GivenFile, Failure> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|why| {
        Failure::new(Exit::Usage, format!("cannot read the inputs in `{name}`: {why}"))
            .hint("`--inputs` names a YAML or JSON file with a map from names to values")
    })?;
    Ok(GivenFile { name, bytes })
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

/// Loads a plan from a text that stands for the file, as [`plan`] does; messages call it `name`.
pub(super) fn text(
    path: &Path,
    name: &str,
    bytes: &[u8],
    chosen: &Chosen,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    text_or_saved(path, name, bytes, chosen, false, settings, out)
}

fn text_or_saved(
    path: &Path,
    name: &str,
    bytes: &[u8],
    chosen: &Chosen,
    is_to_run: bool,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let Some(saved) = SavedFile::read(path, bytes)? else {
        return text_given(path, name, bytes, given_for(chosen, is_to_run, settings)?, settings, out);
    };
    saved.refuse(chosen)?;
    // A flow made of it is read with the words that its rules have now, such as `max: today`.
    self::saved(saved, is_to_run.then(now), settings, out)
}

/// Loads what a saved plan pins, as if it were read at a time, or when it was saved.
///
/// Fails with exit 5 if it cannot run any more; every problem is then on `out`.
fn saved(
    saved: SavedFile,
    at: Option<Timestamp>,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<LoadedPlan, Failure> {
    let mut loaded = pinned(&saved, at).map_err(|problems| {
        show(&problems, &saved.shown(), saved.plan.plan_text.as_bytes(), settings, out);
        saved.stale("it cannot run any more, with what it pins")
    })?;
    loaded.narrow_to(&saved.plan.selection)?;
    if let Some(places) = saved.plan.max_parallel {
        Arc::make_mut(&mut loaded.plan).max_parallel = places as usize;
    }
    loaded.saved = Some(Arc::new(saved));
    Ok(loaded)
}

/// Loads the whole plan that a saved one pins, with the values that it pins.
pub(super) fn pinned(saved: &SavedFile, at: Option<Timestamp>) -> Result<LoadedPlan, Vec<Diagnostic>> {
    let then = &saved.plan;
    let given = Given {
        environment: then.environment.clone(),
        recorded: then.inputs.clone(),
        env: then.env.clone(),
        now: at.unwrap_or(then.made_at),
        inputs_required: true,
        ..Given::default()
    };
    let bytes = then.plan_text.as_bytes();
    linked(bytes, &given).map(|linked| LoadedPlan::new(linked, bytes, then.made_at))
}

/// A plan that was saved, as it would be read now.
pub(super) struct Anew {
    /// The text that was read: the file's, or the saved one where there is no such file.
    pub(super) text: Vec<u8>,
    /// The plan, or why there is none.
    pub(super) plan: Result<LoadedPlan, Vec<Diagnostic>>,
    /// The files that are not there any more, so that what they said then counts.
    pub(super) absent: Vec<String>,
}

/// Loads anew what a saved plan was made from: its file and those that it reads, with what was given then, the
/// environment of now, and words such as `yesterday` as they were meant then.
///
/// Fails with exit 3 if a file is there and cannot be read.
pub(super) fn anew(saved: &SavedFile, settings: &Settings) -> Result<Anew, Failure> {
    let then = &saved.plan;
    let path = Path::new(&then.plan_path);
    let mut absent = Vec::new();
    let mut given = Given {
        environment: then.environment.clone(),
        inputs: then.given.inputs.clone().into_iter().collect(),
        env: settings.env.clone(),
        now: then.made_at,
        inputs_required: true,
        ..Given::default()
    };
    let text = match fs::read(path) {
        Ok(bytes) => {
            read_wanted(path, &bytes, &mut given);
            bytes
        }
        Err(error) if is_absence(&error) => {
            // Nor are the files there that it reads.
            given.recorded.clone_from(&then.inputs);
            absent.push(then.plan_path.clone());
            then.plan_text.clone().into_bytes()
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    if let Some(file) = &then.given.file {
        let path = Path::new(&file.path);
        if fs::metadata(path).is_err_and(|error| is_absence(&error)) {
            let then = file.names.iter().filter_map(|name| then.inputs.get_key_value(name));
            given.recorded.extend(then.map(|(name, value)| (name.clone(), value.clone())));
            absent.push(file.path.clone());
        } else {
            given.inputs_file = Some(inputs_file(path)?);
        }
    }
    let plan = linked(&text, &given).map(|linked| LoadedPlan::new(linked, &text, given.now));
    Ok(Anew { text, plan, absent })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn show(findings: &[Diagnostic], name: &str, bytes: &[u8], settings: &Settings, out: &mut dyn Write) {
    let text = plan::render(findings, name, bytes, settings.colour);
    // A closed stderr must not stop a plan.
    drop(out.write_all(text.as_bytes()));
    ci::show_errors(name, bytes, findings, settings);
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
    match linked(bytes, &given) {
        Ok(linked) => {
            show(&linked.2, name, bytes, settings, out);
            Ok(LoadedPlan::new(linked, bytes, given.now))
        }
        Err(problems) => {
            show(&problems, name, bytes, settings, out);
            Err(Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() })
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
/// Fails with exit 2 if the file of `--inputs` cannot be read, or something is given for a saved plan.
pub(super) fn check(path: &Path, chosen: &Chosen, settings: &Settings) -> Result<CheckedFile, Failure> {
    let mut given = given_for(chosen, false, settings)?;
    let name = path.display().to_string();
    let nothing = CheckedFile { name, bytes: Vec::new(), plan: None, findings: Vec::new(), unreadable: None };
    Ok(match fs::read(path) {
        Err(error) => CheckedFile { unreadable: Some(error), ..nothing },
        Ok(bytes) => {
            if let Some(saved) = SavedFile::read(path, &bytes)? {
                saved.refuse(chosen)?;
                let (plan, findings) = match pinned(&saved, None) {
                    Ok(loaded) => (Some(Arc::unwrap_or_clone(loaded.plan)), Vec::new()),
                    Err(problems) => (None, problems),
                };
                let bytes = saved.plan.plan_text.clone().into_bytes();
                return Ok(CheckedFile { name: saved.shown(), bytes, plan, findings, ..nothing });
            }
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
    let name = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let failure = Failure::new(Exit::PlanInvalid, format!("there is no plan `{name}`"));
            match alike(path) {
                Some(other) => failure.hint(format!("did you mean `{}`?", other.display())),
                None => failure.hint("check the path; it counts from the folder that you are in"),
            }
        }
        io::ErrorKind::IsADirectory => {
            Failure::new(Exit::PlanInvalid, format!("`{name}` is a folder, not a plan"))
                .hint("name the plan's file in it")
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::PlanInvalid, format!("the plan `{name}` may not be read"))
                .hint("check the permissions of the file and its folder")
        }
        _ => Failure::new(Exit::PlanInvalid, format!("cannot read the plan `{name}`: {error}")),
    }
}

/// Finds a file with almost this name in the same folder.
fn alike(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let listed = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let mut names: Vec<String> =
        listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let name = path.file_name()?.to_str()?;
    plan::nearest(name, names.iter().map(String::as_str)).map(|near| folder.join(near))
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
    drop(journal_to_read(settings)?);
    Ok(Journal::open(&settings.state_dir)?)
}

/// Opens the journal for reading.
///
/// Fails with exit 2 if there is none, for nothing was ever run or the wrong folder was named, and with 12 if it cannot be
/// used.
pub(super) fn journal_to_read(settings: &Settings) -> Result<Journal, Failure> {
    Journal::open_existing(&settings.state_dir)?.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("there is no journal in `{}` yet", settings.state_dir.display()))
            .hint("`synflow apply PLAN` begins one; `--state-dir` names another folder")
    })
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
