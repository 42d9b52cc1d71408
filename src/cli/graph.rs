//! `synflow graph PLAN|FLOW`: a picture of a plan, or of a flow with its outcomes.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::cli::args::{Graph, Picture};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load;
use crate::cli::outlet;
use crate::cli::put;
use crate::cli::settings::Settings;
use crate::driver::now;
use crate::report::graph::{self, Drawing, MERMAID_EDGES_MAX, MERMAID_TEXT_MAX};

/// Draws a plan or a flow. Fails with exit 3 if the plan cannot be drawn, with 2 if a name fits nothing or the picture
/// cannot be written, and with 12 if the journal cannot be read.
pub(super) fn run(args: &Graph, settings: &Settings) -> Result<(), Failure> {
    let drawing = match args.what.as_deref() {
        Some(path) if load::is_plan(path) => of_plan(Path::new(path), args, settings)?,
        flow => of_flow(flow, args, settings)?,
    };
    let picture = match args.format {
        Picture::Text => graph::text(&drawing),
        Picture::Mermaid => graph::mermaid(&drawing),
        Picture::Dot => graph::dot(&drawing),
        Picture::Svg => graph::svg(&drawing),
        Picture::Json => format!("{:#}\n", graph::json(&drawing)),
    };
    if args.format == Picture::Mermaid
        && (drawing.links.len() > MERMAID_EDGES_MAX || picture.chars().count() > MERMAID_TEXT_MAX)
    {
        let text = format!(
            "note: this picture has {} edges and {} characters; Mermaid draws at most {MERMAID_EDGES_MAX} and {MERMAID_TEXT_MAX} \
             unless it is told otherwise, which GitHub does not\nhint: `--format svg` has no limit, and `--select` leaves less\n",
            drawing.links.len(),
            picture.chars().count()
        );
        // A closed stderr is no reason not to draw.
        drop(outlet::stderr().write_all(text.as_bytes()));
    }
    match &args.out {
        None => put(&picture),
        Some(path) => fs::write(path, anstream::adapter::strip_str(&picture).to_string()).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot write `{}`: {error}", path.display()))
                .hint("without `-o` the picture goes to stdout")
        }),
    }
}

fn of_plan(path: &Path, args: &Graph, settings: &Settings) -> Result<Drawing, Failure> {
    let mut loaded = load::plan(path, &args.chosen, false, settings, &mut outlet::stderr())?;
    loaded.narrow(&args.steps.selection())?;
    Ok(graph::draw(&loaded.plan, None, args.expand))
}

fn of_flow(name: Option<&str>, args: &Graph, settings: &Settings) -> Result<Drawing, Failure> {
    let no_plan = |failure: Failure| match name {
        Some(name) => failure.hint(format!("if `{name}` is meant to be a plan, there is no such file")),
        None => failure,
    };
    let chosen = &args.chosen;
    let is_chosen = chosen.env.is_some() || !chosen.inputs.texts.is_empty() || chosen.inputs.file.is_some();
    if is_chosen || !args.steps.selection().is_whole() {
        let failure =
            Failure::new(Exit::Usage, "a flow has the inputs, environment and steps that it was made with");
        return Err(no_plan(failure.hint(
            "leave out `--input`, `--inputs`, `--env`, `--select` and `--exclude`, or name a plan's file",
        )));
    }
    let mut journal = load::journal_to_read(settings).map_err(no_plan)?;
    let header = journal.find(name).map_err(|error| no_plan(Failure::from(error)))?;
    let flow = load::flow(&mut journal, &header.id)?;
    Ok(graph::draw(flow.plan(), Some((&flow, now())), args.expand))
}
