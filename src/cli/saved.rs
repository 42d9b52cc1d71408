//! Saved plans on disk: writing one, reading one, and making sure that everything is as it was then.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{self, Path};

use crate::cli::args::{Chosen, PlanVerb};
use crate::cli::connect::{self, Connections};
use crate::cli::contract;
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, Anew, LoadedPlan};
use crate::cli::outlet;
use crate::cli::replace::replace;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::definition::Catalogue;
use crate::diff;
use crate::plan::{self, Plan};
use crate::report::{differences, one_line};
use crate::saved::{self, Fate, GivenThen, InputsFile, Moved, SavedPlan, Unpinned};

/// A file larger than this is taken for no saved plan: ten times what a plan may have.
const FILE_BYTES_MAX: u64 = 10 * plan::FILE_BYTES_MAX as u64;
/// How many steps, or pipelines, a message names.
const NAMED_MAX: usize = 5;

/// A saved plan that was read.
#[derive(Clone, Debug)]
pub(super) struct SavedFile {
    /// The file's name, as it was given.
    name: String,
    /// What it pins.
    pub(super) plan: SavedPlan,
}

impl SavedFile {
    /// Takes a file for a saved plan; gives nothing if it is none.
    ///
    /// Fails with exit 3 if nobody may rely on it.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Option<Self>, Failure> {
        if !saved::is_saved(bytes) {
            return Ok(None);
        }
        let name = path.display().to_string();
        match SavedPlan::read(bytes, load::sha256) {
            Ok(plan) => Ok(Some(Self { name, plan })),
            Err(why) => Err(Failure::new(Exit::PlanInvalid, format!("cannot use the saved plan `{name}`"))
                .because(why.to_string())
                .hint(format!("save it anew: synflow plan PLAN -o {}", quoted(&name)))),
        }
    }

    /// Returns what messages call the plan in it.
    pub(super) fn shown(&self) -> String {
        format!("{} ({})", self.name, self.plan.plan_file)
    }

    /// Returns the file beside which the plan's secrets in files are: the plan's own, or this one where that is not here.
    pub(super) fn plan_file(&self) -> &str {
        if Path::new(&self.plan.plan_path).exists() { &self.plan.plan_path } else { &self.name }
    }

    /// Fails with exit 2 if something is given that a saved plan pins.
    pub(super) fn refuse(&self, chosen: &Chosen) -> Result<(), Failure> {
        let options = [
            (chosen.env.is_some(), "--env"),
            (!chosen.inputs.texts.is_empty(), "--input"),
            (chosen.inputs.file.is_some(), "--inputs"),
        ];
        match options.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(self.settled(option)),
            None => Ok(()),
        }
    }

    /// Says that an option is for plans whose choices are still to be made.
    pub(super) fn settled(&self, option: &str) -> Failure {
        let name = &self.name;
        let message =
            format!("`{option}` cannot stand beside the saved plan `{name}`, which runs as it was saved");
        Failure::new(Exit::Usage, message)
            .hint(format!("save it anew with `{option}`; it was made by: {}", self.made_by()))
    }

    /// Says that a verb is for the plan itself.
    pub(super) fn not_for(&self, verb: &str) -> Failure {
        Failure::new(Exit::Usage, format!("`{}` is a saved plan, which `{verb}` does not take", self.name))
            .hint(format!("name the plan that it was made from: {}", self.plan.plan_path))
    }

    /// Says that it is not to be run.
    pub(super) fn stale(&self, why: &str) -> Failure {
        Failure::new(Exit::Stale, format!("the saved plan `{}` is stale; nothing was started", self.name))
            .because(why)
            .hint(format!("look anew and save it again: {}", self.made_by()))
    }

    /// Returns the command that saves it anew.
    fn made_by(&self) -> String {
        let then = &self.plan;
        let mut words = vec!["synflow".to_owned(), "plan".to_owned(), quoted(&then.plan_path)];
        let mut add = |option: &str, value: &str| words.extend([option.to_owned(), quoted(value)]);
        if !then.environment.is_empty() {
            add("--env", &then.environment);
        }
        for (name, text) in &then.given.inputs {
            add("--input", &format!("{name}={text}"));
        }
        if let Some(file) = &then.given.file {
            add("--inputs", &file.path);
        }
        then.selection.select.iter().for_each(|word| add("--select", word));
        then.selection.exclude.iter().for_each(|word| add("--exclude", word));
        if let Some(places) = then.max_parallel {
            add("--max-parallel", &places.to_string());
        }
        add("-o", &self.name);
        words.join(" ")
    }

    /// Makes sure, before anything is begun, that everything is as it was when the plan was saved. An emulated workspace
    /// has pipelines of its own, which are compared with nothing.
    ///
    /// Fails with exit 5 if something is not, and shows what; with 10 where we are not let in, and 11 where nobody answers.
    pub(super) async fn make_sure(
        &self,
        plan: &Plan,
        connections: &mut Connections<'_>,
        is_emulated: bool,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let mut other = self.differences(settings)?;
        if is_emulated {
            tell(&format!(
                "note: an emulated workspace has pipelines of its own: the versions in `{}` were not compared",
                self.name
            ));
        } else {
            match catalogues(plan, connections).await {
                Ok(catalogues) => other += &self.moved(plan, &catalogues),
                Err(failure) if other.is_empty() => return Err(failure),
                // What is other already is enough.
                Err(_) => {}
            }
        }
        self.tell(&other)
    }

    /// Shows what is other than it was; fails with exit 5 if anything is.
    pub(super) fn tell(&self, other: &str) -> Result<(), Failure> {
        if other.is_empty() {
            return Ok(());
        }
        let (name, made_at) = (&self.name, self.plan.made_at.spoken());
        tell(&format!("what is other than when `{name}` was saved, {made_at}:\n{}", other.trim_end()));
        Err(self.stale("what stands above was changed after it was saved"))
    }

    /// Returns what the plan's file and what it reads say otherwise than then; nothing if that is nothing.
    pub(super) fn differences(&self, settings: &Settings) -> Result<String, Failure> {
        let Anew { text, plan, absent } = load::anew(self, settings)?;
        for file in absent {
            tell(&format!("note: there is no `{file}` here: what `{}` holds of it counts", self.name));
        }
        let then = load::pinned(self, None)
            .map_err(|_| self.stale("this synflow cannot read it as the one did that saved it"))?;
        let path = one_line(&self.plan.plan_path);
        let now = match plan {
            Ok(now) => now,
            Err(problems) => {
                return Ok(plan::render(&problems, &path, &text, settings.colour));
            }
        };
        let other = diff::plans(&then.plan, &now.plan);
        if other.is_empty() {
            return Ok(String::new());
        }
        let what = if text == self.plan.plan_text.as_bytes() { "what the plan reads in" } else { "the plan" };
        Ok(format!("{what} `{path}`: {}\n{}", differences::tally(&other), differences::text(&other)))
    }

    /// Returns which of the pipelines are not as they were then; nothing if all are.
    pub(super) fn moved(&self, plan: &Plan, catalogues: &[Option<Catalogue>]) -> String {
        let moved = saved::moved(&self.plan.definitions, plan, |at| catalogues.get(at)?.as_ref());
        moved.iter().map(|moved| told(plan, moved)).collect()
    }
}

/// Tells of a pipeline that is not as it was.
fn told(plan: &Plan, moved: &Moved) -> String {
    let (pipeline, workspace) = (one_line(&moved.pipeline), &plan.workspaces[moved.workspace].name);
    let steps =
        named(&moved.steps.iter().map(|id| format!("`{}`", one_line(id.as_str()))).collect::<Vec<_>>());
    let noun = if moved.steps.len() == 1 { "step" } else { "steps" };
    let by = match &moved.starter {
        _ if moved.steps.is_empty() => String::new(),
        Some(starter) => format!(", started by `{}` of {noun} {steps}", one_line(starter)),
        None => format!(", of {noun} {steps}"),
    };
    let place = format!("the pipeline `{pipeline}` in workspace `{workspace}`{by}");
    match &moved.fate {
        Fate::Gone => format!("- {place}, is not there any more\n"),
        Fate::Changed { before, after } => {
            let after = after.as_deref().unwrap_or("none");
            format!(
                "~ {place}, was published anew\n    etag: {} becomes {}\n",
                one_line(before),
                one_line(after)
            )
        }
    }
}

/// Lists the first of these.
fn named(words: &[String]) -> String {
    let mut text = words.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if words.len() > NAMED_MAX {
        let _ = write!(text, " and {} more", words.len() - NAMED_MAX);
    }
    text
}

/// Reads the pipelines of each workspace in which a step runs.
async fn catalogues(
    plan: &Plan,
    connections: &mut Connections<'_>,
) -> Result<Vec<Option<Catalogue>>, Failure> {
    let mut all = Vec::new();
    for (position, workspace) in plan.workspaces.iter().enumerate() {
        let wanted = contract::wanted(plan, position, |_| true);
        if wanted.is_empty() {
            all.push(None);
            continue;
        }
        let client = connections.client(workspace, connect::ASKING)?;
        let read = contract::deployed(&client, workspace, &wanted, true).await;
        all.push(Some(read.map_err(|failure| connect::refused(workspace, &failure))?));
    }
    Ok(all)
}

/// Makes sure that a saved plan may be written to a file: there is none, an empty one, or one that is a saved plan.
///
/// Fails with exit 2 if not.
pub(super) fn expect_room(path: &Path) -> Result<(), Failure> {
    let name = path.display();
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if path == Path::new("-") {
        return Err(usage("a saved plan goes to a file, not to stdout".to_owned())
            .hint("name one: `-o tonight.saved`"));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match folder.filter(|folder| !folder.is_dir()) {
                Some(folder) => Err(usage(format!("there is no folder `{}` for `{name}`", folder.display()))),
                None => Ok(()),
            }
        }
        Err(error) => Err(usage(format!("cannot write `{name}`: {error}"))),
        Ok(found) if !found.is_file() => Err(usage(format!("`{name}` is there and is no regular file"))),
        Ok(found) if found.len() == 0 => Ok(()),
        Ok(found) if found.len() <= FILE_BYTES_MAX && fs::read(path).is_ok_and(|it| saved::is_saved(&it)) => {
            Ok(())
        }
        Ok(_) => Err(usage(format!("`{name}` is there and is no saved plan; it is as it was"))
            .hint("name another file; only a saved plan is written over")),
    }
}

/// Writes a plan that was looked at, if it is ready to run and all that it pins is known.
///
/// Fails, with nothing written, with exit 4 if it is not so, and with 2 if the file cannot be written.
pub(super) fn save(
    file: &Path,
    args: &PlanVerb,
    loaded: &LoadedPlan,
    catalogues: &[Option<Catalogue>],
    is_ready: bool,
) -> Result<(), Failure> {
    let name = file.display().to_string();
    let unwritten = |why: String| {
        Failure::new(Exit::Contract, format!("the plan was not saved, and `{name}` not written")).because(why)
    };
    if !is_ready {
        return Err(unwritten("what stands above has to be put right first".to_owned()));
    }
    let plan = &loaded.plan;
    let definitions = saved::pin(plan, |at| catalogues.get(at)?.as_ref()).map_err(|unknown| {
        let why = named(&unknown.iter().map(|it| unpinned(plan, it)).collect::<Vec<_>>());
        unwritten(why).hint("a saved plan holds the version of each pipeline; without them, `synflow apply PLAN` runs the plan")
    })?;
    let inputs = &args.chosen.inputs;
    let given_file = |path: &std::path::PathBuf| -> Result<InputsFile, Failure> {
        let names = plan::names_given(&load::inputs_file(path)?.bytes);
        Ok(InputsFile { path: whole_path(path), names })
    };
    let saved = SavedPlan {
        plan_file: args.plan.display().to_string(),
        plan_path: whole_path(&args.plan),
        environment: plan.environment.clone(),
        given: GivenThen {
            inputs: inputs.texts.iter().cloned().collect(),
            file: inputs.file.as_ref().map(given_file).transpose()?,
        },
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        selection: args.steps.selection(),
        max_parallel: args.max_parallel,
        definitions,
        ..SavedPlan::new(&plan.name, &loaded.text, loaded.read_at)
    };
    replace(file, &saved.write(load::sha256)).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot write `{name}`: {error}"))
            .hint("check the permissions of it and its folder")
    })?;
    let next = format!("synflow apply {}", quoted(&name));
    // A closed stderr must not stop anything.
    drop(writeln!(outlet::stderr(), "wrote `{name}`; next: `{next}`"));
    Ok(())
}

fn unpinned(plan: &Plan, what: &Unpinned) -> String {
    let name = |at: &usize| &plan.workspaces[*at].name;
    match what {
        Unpinned::Unseen(at) => format!("the workspace `{}` does not show its pipelines", name(at)),
        Unpinned::Missing(at, pipeline) => {
            format!("the workspace `{}` does not show the pipeline `{}`", name(at), one_line(pipeline))
        }
        Unpinned::NoVersion(at, pipeline) => {
            format!("the workspace `{}` tells no version (etag) of `{}`", name(at), one_line(pipeline))
        }
    }
}

/// Returns the path from the root, so that it is found from another folder; links stay what they are.
fn whole_path(path: &Path) -> String {
    path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", one_line(word).replace('\'', "'\\''"))
}
