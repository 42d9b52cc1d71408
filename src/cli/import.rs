//! `synflow import FILE`: a master pipeline of Execute Pipeline activities as a plan.

use std::fs;
use std::io::Write;

use crate::cli::args::Import;
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet;
use crate::cli::put_exact;
use crate::cli::settings::Settings;
use crate::graph::PlanGraph;
use crate::import::{ImportFailure, Imported, import};
use crate::plan::{self, Given};

/// Makes a plan and writes it. Fails with exit 2 if the file cannot be read, is no master pipeline, or the plan cannot be
/// written; with 70 if the plan that was made is none.
pub(super) fn run(args: &Import, settings: &Settings) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let usage = |what: String| Failure::new(Exit::Usage, what);
    if let Some(workspace) = &args.workspace {
        let fits = !workspace.is_empty() && workspace.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !fits || workspace.starts_with('-') || workspace.ends_with('-') {
            return Err(usage(format!("`{workspace}` cannot be the name of a workspace"))
                .hint("it is the first part of its address: `contoso-dw` of https://contoso-dw.dev.azuresynapse.net"));
        }
    }
    if let Some(out) = args.out.as_ref().filter(|out| out.exists() && !args.force) {
        return Err(usage(format!("`{}` is there already", out.display()))
            .hint("`--force` replaces it; another name after `-o` keeps it"));
    }
    let bytes = fs::read(&args.file).map_err(|error| {
        usage(format!("cannot read `{name}`: {error}"))
            .hint("it is the definition of a pipeline: `pipeline/NAME.json` of a git folder")
    })?;
    let fallback = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let imported = import(&bytes, &fallback, args.workspace.as_deref()).map_err(|error| {
        let failure = |exit| Failure::new(exit, format!("cannot make a plan of `{name}`")).because(error.to_string());
        match error {
            ImportFailure::NoSteps(_) => failure(Exit::Usage)
                .hint("only a pipeline that executes others becomes a plan; this one can be a step: `steps: { NAME: {} }`"),
            ImportFailure::NoJson(_) | ImportFailure::NoPipeline(_) => {
                failure(Exit::Usage).hint("it is the definition of one pipeline: `pipeline/NAME.json` of a git folder")
            }
            ImportFailure::Bug(_) => failure(Exit::Bug),
        }
    })?;
    check(&imported, settings)?;
    match &args.out {
        None => put_exact(&imported.text)?,
        Some(path) => fs::write(path, &imported.text)
            .map_err(|error| usage(format!("cannot write `{}`: {error}", path.display())))?,
    }
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut said = format!(
        "imported `{}`: {}, {}\n",
        imported.name,
        counted(imported.steps, "step"),
        counted(imported.todos, concat!("TO", "DO"))
    );
    if let Some(path) = &args.out {
        said = format!("{said}hint: `synflow graph {}` draws it\n", path.display());
    }
    // A closed stderr takes nothing from the plan.
    drop(outlet::stderr().write_all(said.as_bytes()));
    Ok(())
}

/// Checks the plan as `validate` does before anybody sees it.
fn check(imported: &Imported, settings: &Settings) -> Result<(), Failure> {
    let bytes = imported.text.as_bytes();
    let given = Given { now: crate::driver::now(), ..Given::default() };
    let checked = plan::load(bytes, &given).and_then(|loaded| PlanGraph::link(&loaded.plan));
    let Err(findings) = checked else { return Ok(()) };
    let text = plan::render(&findings, "the plan", bytes, settings.colour);
    drop(outlet::stderr().write_all(text.as_bytes()));
    Err(Failure::new(Exit::Bug, format!("the plan made of `{}` is not valid", imported.name))
        .hint("this is a bug of synflow; nothing was written"))
}
