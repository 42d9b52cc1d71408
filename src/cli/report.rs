//! `synflow report [FLOW]`: a flow as one file for people or programs, read from the journal alone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::{Report, ReportForm};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{expected, load, put, put_exact};
use crate::driver::now;
use crate::flow::{Flow, FlowId, Recorded};
use crate::journal::Journal;
use crate::report::ci::{defused_json, defused_xml};
use crate::report::story::{self, Story};
use crate::report::{one_line, page};
use crate::time::Timestamp;

/// Writes the report. Without `-o`, HTML goes into `synflow-FLOW.html` and all else to stdout.
///
/// Fails with exit 2 if the name fits no flow or several, or the file cannot be written, and with 12 if the journal cannot
/// be read.
pub(super) fn run(args: &Report, settings: &Settings) -> Result<(), Failure> {
    let Some(mut journal) = Journal::open_existing(&settings.state_dir)? else {
        return Err(load::no_journal(settings));
    };
    let id = journal.find(args.flow.as_deref())?.id;
    let text = Told::read(&mut journal, &id)?.text(args.format);
    let file = match (&args.out, args.format) {
        (Some(path), _) if path.as_os_str() == "-" => None,
        (Some(path), _) => Some(path.clone()),
        (None, ReportForm::Html) => Some(PathBuf::from(format!("synflow-{id}.html"))),
        (None, _) => None,
    };
    let Some(path) = file else {
        return match args.format {
            ReportForm::Json => put_exact(&defused_json(&text)),
            ReportForm::Junit => put_exact(&defused_xml(&text)),
            ReportForm::Html | ReportForm::Markdown => put(&text),
        };
    };
    fs::write(&path, text).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot write `{}`: {error}", path.display()))
            .hint("`-o FILE` names another file, `-o -` is stdout")
    })?;
    told(&path);
    Ok(())
}

/// Writes the HTML of a flow that this process has driven, where that was asked for. What goes wrong is said, and changes
/// nothing: the flow counts, and `synflow report` writes it later.
pub(super) fn at_end(path: Option<&Path>, id: &FlowId, settings: &Settings) {
    let Some(path) = path else { return };
    match write_at_end(path, id, settings) {
        // What a process says last when it leaves a flow is the command that goes on.
        Ok(is_open) if is_open => {}
        Ok(_) => told(path),
        Err(why) => {
            tell(&format!(
                "warning: the report `{}` was not written: {why}",
                one_line(&path.to_string_lossy())
            ));
            tell(&format!("hint: synflow report {id}"));
        }
    }
}

/// Returns whether the flow is not over.
fn write_at_end(path: &Path, id: &FlowId, settings: &Settings) -> Result<bool, String> {
    let gone = || "the journal is not there any more".to_owned();
    let mut journal =
        Journal::open_existing(&settings.state_dir).map_err(|error| error.to_string())?.ok_or_else(gone)?;
    let told = Told::read(&mut journal, id).map_err(|failure| failure.lines.join(": "))?;
    fs::write(path, told.text(ReportForm::Html)).map_err(|error| error.to_string())?;
    Ok(!told.flow.is_settled())
}

fn told(path: &Path) {
    tell(&format!("report: {}", one_line(&path.to_string_lossy())));
}

/// A flow and what is told of it.
pub(super) struct Told {
    flow: Flow,
    story: Story,
    now: Timestamp,
}

impl Told {
    /// Reads it from the journal.
    pub(super) fn read(journal: &mut Journal, id: &FlowId) -> Result<Self, Failure> {
        let flow = load::flow(journal, id)?;
        let events: Vec<Recorded> = journal.events(id)?;
        let known = expected::before(journal, id)?;
        let now = now();
        Ok(Self { story: story::tell(&flow, &events, &known, now), flow, now })
    }

    /// Returns it in a form.
    pub(super) fn text(&self, form: ReportForm) -> String {
        match form {
            ReportForm::Html => page::html_page(&self.flow, &self.story, self.now),
            ReportForm::Json => format!("{:#}\n", self.story.json()),
            ReportForm::Junit => story::junit(&self.story),
            ReportForm::Markdown => story::markdown(&self.story),
        }
    }
}
