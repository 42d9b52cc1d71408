//! `synflow init --artifacts DIR [PIPELINE...]`: a first plan, made from the definitions of pipelines in git.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::cli::args::Init;
use crate::cli::artifacts::Artifacts;
use crate::cli::failure::{Exit, Failure};
use crate::cli::put;
use crate::definition;
use crate::plan::{self, nearest};

/// Writes the plan to a new file, or to stdout.
///
/// Fails with exit 2 if a folder cannot be read, a pipeline is not there, or the file exists or cannot be written.
pub(super) fn run(args: &Init) -> Result<(), Failure> {
    let folders: Vec<String> = args.artifacts.iter().map(|folder| folder.display().to_string()).collect();
    let artifacts = Artifacts::read(&folders)?;
    let mut err = anstream::stderr();
    for file in &artifacts.broken {
        // A closed stderr must not stop anything.
        drop(err.write_all(plan::render_one(&file.findings, &file.name, &file.bytes, false).as_bytes()));
    }
    let catalogue = artifacts.into_catalogue();
    for wanted in &args.pipelines {
        if !catalogue.definitions.contains_key(wanted) {
            let failure =
                Failure::new(Exit::Usage, format!("{} has no pipeline `{wanted}`", catalogue.origin));
            return Err(match nearest(wanted, catalogue.definitions.keys().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("without names, `init` takes all pipelines"),
            });
        }
    }
    let stem = args.file.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_else(|| "nightly".to_owned());
    let text = definition::scaffold(&catalogue, &args.pipelines, &name, args.workspace.as_deref());
    let Some(file) = &args.file else { return put(&text) };
    let shown = file.display();
    let written = OpenOptions::new().write(true).create_new(true).open(file);
    written.and_then(|mut new| new.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(Exit::Usage, format!("`{shown}` is there already"))
            .hint("name another file, or leave `-o` out and compare what is printed"),
        _ => Failure::new(Exit::Usage, format!("cannot write `{shown}`: {error}")).hint("check the path"),
    })?;
    let next = folders.iter().map(|folder| format!(" --artifacts {folder}")).collect::<Vec<_>>().concat();
    drop(writeln!(err, "wrote `{shown}`; next: `synflow validate {shown}{next}`"));
    Ok(())
}
