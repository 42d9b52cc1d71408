//! `synflow report [FLOW]`: a flow as one file for people or programs, read from the journal alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::cli::args::{Report, ReportForm};
use crate::cli::failure::{Exit, Failure};
use crate::cli::replace::replace;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{expected, load, put, put_exact};
use crate::driver::now;
use crate::flow::{Flow, FlowId, Recorded};
use crate::journal::Journal;
use crate::report::ci::{defused_json, defused_xml};
use crate::report::story::{self, Story};
use crate::report::{next, one_line, page};
use crate::time::Timestamp;

/// Writes the report. Without `-o`, HTML goes into `synflow-FLOW.html` and all else to stdout.
///
/// Fails with exit 2 if the name fits no flow or several, or the file cannot be written, and with 12 if the journal cannot
/// be read.
pub(super) fn run(args: &Report, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal_to_read(settings)?;
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

/// Refuses a file that the report of a flow cannot be written into at its end: before anything starts. `others` are files
/// that it would overwrite.
///
/// Fails with exit 2.
pub(super) fn check(path: Option<&Path>, others: &[&Path]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let name = one_line(&path.to_string_lossy());
    let refused = |why: &str| {
        Err(Failure::new(Exit::Usage, format!("the report cannot be written into `{name}`: {why}"))
            .hint("`--report FILE` names another file"))
    };
    let is_same = |other: &&Path| {
        *other == path
            || fs::canonicalize(other).is_ok_and(|other| fs::canonicalize(path).is_ok_and(|it| it == other))
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.as_os_str() == "-" {
        return refused("stdout has data, if anything; `synflow report -o -` writes it there");
    }
    if others.iter().any(is_same) {
        return refused("the flow is made of it");
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => refused("it is a folder"),
        Ok(found) if found.permissions().readonly() => refused("it is read-only"),
        _ if !folder.is_dir() => refused("there is no such folder"),
        _ => Ok(()),
    }
}

/// Writes the HTML of a flow that this process has driven, and says whether it did. What goes wrong is said, and changes
/// nothing: the flow counts, and `synflow report` writes it later. `is_last` says that nothing follows on stderr.
pub(super) fn at_end(path: &Path, html: Text, flow: &Flow, is_last: bool) -> bool {
    let id = &flow.header().id;
    let written = html.and_then(|html| replace(path, &html).map_err(|error| error.to_string()));
    let name = one_line(&path.to_string_lossy());
    if let Err(why) = &written {
        tell(&format!(
            "warning: the report `{name}` was not written: {why}; `synflow report {id}` writes it"
        ));
    } else if flow.is_settled() {
        told(path);
    }
    // What a process says last when it leaves a flow is the command that goes on.
    if let (true, Err(_), Some(next)) = (is_last && !flow.is_settled(), &written, next(flow, false)) {
        tell(&format!("next: {next}"));
    }
    written.is_ok()
}

/// A flow in some form, or why there is none.
pub(super) type Text = Result<String, String>;

/// What is told of a flow at the end of the process that has driven it: made beside all else, from one look at the journal.
pub(super) struct Making {
    told: Option<Receiver<Texts>>,
    is_html_wanted: bool,
    is_page_wanted: bool,
}

type Texts = Result<(Option<String>, Option<String>), String>;

impl Making {
    /// Begins to make the HTML, where that is asked for, and the page of the job, where a CI service takes one.
    pub(super) fn begin(id: &FlowId, is_html_wanted: bool, settings: &Settings) -> Self {
        let is_page_wanted = settings.ci.is_some();
        let (sender, receiver) = mpsc::channel();
        let (id, folder) = (id.clone(), settings.state_dir.clone());
        let make = move || {
            let gone = || "the journal is not there any more".to_owned();
            let journal = Journal::open_existing(&folder).map_err(|error| error.to_string())?;
            let told = Told::read(&mut journal.ok_or_else(gone)?, &id);
            let told = told.map_err(|failure| failure.lines.join(": "))?;
            let text = |is_wanted: bool, form| is_wanted.then(|| told.text(form));
            Ok((text(is_html_wanted, ReportForm::Html), text(is_page_wanted, ReportForm::Markdown)))
        };
        let is_wanted = is_html_wanted || is_page_wanted;
        if is_wanted {
            thread::spawn(move || drop(sender.send(make())));
        }
        Self { told: is_wanted.then_some(receiver), is_html_wanted, is_page_wanted }
    }

    /// Returns the HTML and the page, where they are wanted; what is not ready in this time is not waited for.
    pub(super) fn wait(self, limit: Option<Duration>) -> (Option<Text>, Option<Text>) {
        let Some(told) = self.told else { return (None, None) };
        let told = match limit {
            Some(limit) => told.recv_timeout(limit),
            None => told.recv().map_err(Into::into),
        };
        let late = |error| match error {
            RecvTimeoutError::Timeout => "there was no time left for it".to_owned(),
            RecvTimeoutError::Disconnected => "making it broke down".to_owned(),
        };
        match told.map_err(late).and_then(|texts| texts) {
            Ok((html, page)) => (html.map(Ok), page.map(Ok)),
            Err(why) => {
                (self.is_html_wanted.then(|| Err(why.clone())), self.is_page_wanted.then(|| Err(why.clone())))
            }
        }
    }
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
