//! `--artifacts`: the definitions of pipelines in git folders, for checking plans against them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use crate::cli::emulate;
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet;
use crate::definition::{self, Catalogue, Definition};
use crate::emulator::{self, LoadError};
use crate::plan::{Diagnostic, Plan, nearest};
use crate::report::one_line;

/// The definitions of all folders that were named.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    /// Those for all workspaces, if a folder was named for all.
    all: Option<Catalogue>,
    /// Those for one workspace, by its key.
    one: Vec<(String, Catalogue)>,
    /// The files that hold no definition.
    pub(super) broken: Vec<BrokenFile>,
}

/// A file that is no definition, and why.
#[derive(Debug)]
pub(super) struct BrokenFile {
    /// Its path.
    pub(super) name: String,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
    /// What is wrong.
    pub(super) findings: Vec<Diagnostic>,
}

impl Artifacts {
    /// Reads the folders, each a path or `WORKSPACE=PATH`. Two files for one pipeline are told on stderr.
    ///
    /// Fails with exit 2 if a folder cannot be read, or holds no definitions.
    pub(super) fn read(words: &[String]) -> Result<Self, Failure> {
        let mut read = Self::default();
        for word in words {
            let (workspace, folder) = taken_apart(word);
            let files = emulator::list_artifacts(folder).map_err(|error| emulate::unreadable(&error))?;
            let catalogue = match workspace {
                None => read.all.get_or_insert_with(|| Catalogue::new(shown(folder))),
                Some(key) => {
                    let at = read.one.iter().position(|(known, _)| known == key).unwrap_or(read.one.len());
                    if at == read.one.len() {
                        read.one.push((key.to_owned(), Catalogue::new(shown(folder))));
                    }
                    &mut read.one[at].1
                }
            };
            for path in files {
                let error = |source| LoadError::Unreadable { path: path.clone(), source };
                let bytes = fs::read(&path).map_err(|source| emulate::unreadable(&error(source)))?;
                let name = path.display().to_string();
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                match definition::parse(&bytes, &name, &stem) {
                    Ok(definition) => add(catalogue, definition, &stem),
                    Err(finding) => {
                        catalogue.unreadable.insert(stem);
                        read.broken.push(BrokenFile { name, bytes, findings: vec![*finding] });
                    }
                }
            }
        }
        Ok(read)
    }

    /// Returns the definitions for all workspaces together; an empty catalogue if no folder was named for all.
    pub(super) fn into_catalogue(self) -> Catalogue {
        self.all.unwrap_or_default()
    }

    /// Says whether no folder was named.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.one.is_empty()
    }

    /// Returns the definitions of a workspace of a plan.
    fn of(&self, plan: &Plan, workspace: usize) -> Option<&Catalogue> {
        let key = &plan.workspaces.get(workspace)?.key;
        self.one.iter().find(|(known, _)| known == key).map(|(_, catalogue)| catalogue).or(self.all.as_ref())
    }

    /// Compares a plan with the definitions.
    pub(super) fn check(&self, plan: &Plan) -> Vec<Diagnostic> {
        definition::check(plan, |workspace| self.of(plan, workspace))
    }

    /// Returns the keys of the workspaces that steps use and for which no folder was named.
    pub(super) fn unchecked<'p>(&self, plan: &'p Plan) -> BTreeSet<&'p str> {
        let used = plan.runs().map(|(_, step)| step.workspace).collect::<BTreeSet<usize>>();
        let unchecked = used.into_iter().filter(|at| self.of(plan, *at).is_none());
        unchecked.filter_map(|at| plan.workspaces.get(at)).map(|workspace| workspace.key.as_str()).collect()
    }

    /// Fails with exit 2 if a folder is for a workspace that none of the plans has. `keys` are those that they have.
    pub(super) fn expect_workspaces(&self, keys: &BTreeSet<String>) -> Result<(), Failure> {
        let Some((key, _)) = self.one.iter().find(|(key, _)| !keys.contains(key)) else { return Ok(()) };
        let failure =
            Failure::new(Exit::Usage, format!("no plan has a workspace `{key}`, which `--artifacts` names"));
        Err(match nearest(key, keys.iter().map(String::as_str)) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(
                "it takes the key below `workspaces`; the short form `workspace: NAME` has the key `main`",
            ),
        })
    }
}

/// Takes `WORKSPACE=DIR` apart. A folder of that very name is a folder.
fn taken_apart(word: &str) -> (Option<&str>, &Path) {
    match word.split_once('=') {
        Some((key, folder)) if !key.contains(['/', '\\']) && !Path::new(word).exists() => {
            (Some(key), Path::new(folder))
        }
        _ => (None, Path::new(word)),
    }
}

fn shown(folder: &Path) -> String {
    format!("`{}`", folder.display())
}

/// Adds a definition; of two for one pipeline that counts whose file bears its name.
fn add(catalogue: &mut Catalogue, definition: Definition, stem: &str) {
    let (name, is_named_so) = (definition.name.clone(), definition.name == stem);
    let Some(earlier) = catalogue.add(definition) else { return };
    let later = catalogue.definitions.get(&name).map(|later| later.source.to_string()).unwrap_or_default();
    let counts = if is_named_so { later.clone() } else { earlier.source.to_string() };
    let note =
        format!("note: {} and {later} both describe the pipeline `{name}`; {counts} counts", earlier.source);
    // A closed stderr must not stop the check.
    drop(writeln!(outlet::stderr(), "{}", one_line(&note)));
    if !is_named_so {
        catalogue.add(earlier);
    }
}
