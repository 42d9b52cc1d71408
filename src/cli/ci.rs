//! What synflow tells the CI service that it runs in, besides its log: values for later steps, the summary of the job,
//! what was found in plans.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::outlet;
use crate::cli::report::Text;
use crate::cli::settings::Settings;
use crate::flow::Flow;
use crate::plan::{Checked, Diagnostic, Severity};
use crate::report::ci::{Ci, CiLog, azure_ending, from_top, github_outputs};
use crate::report::events::StreamLine;
use crate::report::one_line;
use crate::time::Timestamp;

/// The exit codes of a job that went well.
const WELL: u8 = 0;

/// Returns the report that writes a flow's commands, if a service reads them.
pub(super) fn log(settings: &Settings) -> Option<CiLog<anstream::Stderr>> {
    let (here, top) = folders(settings);
    settings.ci.map(|ci| CiLog::new(ci, outlet::commands(), here, top))
}

/// Shows the errors in a file beside its lines, for verbs that cannot go on with them. What else is worth knowing is
/// `validate`'s to show, or a job would show it again with each verb.
pub(super) fn show_errors(name: &str, bytes: &[u8], findings: &[Diagnostic], settings: &Settings) {
    let errors: Vec<Diagnostic> = findings.iter().filter(|finding| finding.is_error()).cloned().collect();
    show_findings(name, bytes, &errors, settings);
}

/// Shows what was found in a file beside its lines.
pub(super) fn show_findings(name: &str, bytes: &[u8], findings: &[Diagnostic], settings: &Settings) {
    let Some(ci) = settings.ci else { return };
    let name = named(name, settings);
    let checked = Checked { file: &name, text: bytes, steps: None, findings, unreadable: None };
    say(&ci.findings(&[checked]));
}

/// Shows a failure on the page of the job.
pub(super) fn show_failure(failure: &Failure, ci: Option<Ci>) {
    let (Some(ci), Some(first)) = (ci, failure.lines.first()) else { return };
    let causes = failure.lines.iter().skip(1).map(|cause| format!("\nbecause {cause}"));
    let hints = failure.hints.iter().map(|hint| format!("\nhint: {hint}"));
    let text = [first.clone()].into_iter().chain(causes).chain(hints).collect::<String>();
    say(&ci.issue(Severity::Error, None, "synflow", &text));
}

/// Hands on how a flow ended, and its page. `report` is where its report was written. What cannot be written is noted on
/// stderr: it changes no exit code.
pub(super) fn end(
    flow: Option<&Flow>,
    code: u8,
    at: Timestamp,
    report: Option<&Path>,
    page: Option<Text>,
    settings: &Settings,
) {
    let Some(ci) = settings.ci else { return };
    let write = |flow: &Flow, page: Text| {
        page.and_then(|page| write_page(flow, &page, ci, settings).map_err(|error| error.to_string()))
    };
    let page = flow.zip(page).and_then(|(flow, page)| match write(flow, page) {
        Ok(path) => path,
        Err(error) => {
            note(&format!("the summary of the job cannot be written: {error}"));
            None
        }
    });
    // A later step may work in another folder.
    let report = report.map(|report| folders(settings).0.join(report)).or_else(|| page.clone());
    let values = values(flow, code, at, report.as_deref());
    match ci {
        Ci::Github => {
            let written = settings.env("GITHUB_OUTPUT").map(|path| append(path, &github_outputs(&values)));
            if let Some(Err(error)) = written {
                note(&format!("the outputs of the step cannot be written: {error}"));
            }
        }
        Ci::Azure => {
            let has_issues = code == WELL && flow.is_some_and(has_issues);
            let summary = page.map(|path| path.display().to_string());
            say(&azure_ending(&values, summary.as_deref(), has_issues));
        }
    }
}

/// Returns what later steps can use.
fn values(
    flow: Option<&Flow>,
    code: u8,
    at: Timestamp,
    report: Option<&Path>,
) -> Vec<(&'static str, String)> {
    let (id, outcome) = match (flow, StreamLine::end(flow, at, code, None)) {
        (Some(flow), StreamLine::Summary(ended)) => {
            (flow.header().id.to_string(), ended.outcome.or(ended.state).unwrap_or_default())
        }
        _ => (String::new(), "not_started".to_owned()),
    };
    let report = report.map(|path| path.display().to_string()).unwrap_or_default();
    vec![("flow", id), ("outcome", outcome), ("exit_code", code.to_string()), ("report", report)]
}

/// Says whether something in a flow that went well is worth a look.
fn has_issues(flow: &Flow) -> bool {
    flow.counts().warned > 0 || flow.counts().failed > 0
}

/// Writes the flow's page, and hands it on where that is a matter of a file; returns where it stands.
fn write_page(flow: &Flow, page: &str, ci: Ci, settings: &Settings) -> io::Result<Option<PathBuf>> {
    if let (Ci::Github, Some(path)) = (ci, settings.env("GITHUB_STEP_SUMMARY")) {
        append(path, &format!("{page}\n"))?;
    }
    let folder = match ci {
        Ci::Github => settings.env("RUNNER_TEMP"),
        Ci::Azure => settings.env("AGENT_TEMPDIRECTORY"),
    };
    let Some(folder) = folder else { return Ok(None) };
    let path = Path::new(folder).join(format!("synflow-{}.md", flow.header().id));
    fs::write(&path, page)?;
    Ok(Some(path))
}

fn append(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

/// Returns a file as the service names it.
pub(super) fn named(file: &str, settings: &Settings) -> String {
    let (here, top) = folders(settings);
    from_top(file, &here, &top)
}

/// Returns the folder that this process works in, and the top of the repository.
fn folders(settings: &Settings) -> (PathBuf, PathBuf) {
    let here = std::env::current_dir().unwrap_or_default();
    let name = match settings.ci {
        Some(Ci::Azure) => "BUILD_SOURCESDIRECTORY",
        _ => "GITHUB_WORKSPACE",
    };
    let top = settings.env(name).map_or_else(|| here.clone(), PathBuf::from);
    (here, top)
}

/// Writes commands. A closed stderr must change nothing.
fn say(commands: &str) {
    drop(outlet::commands().write_all(commands.as_bytes()));
}

fn note(text: &str) {
    drop(writeln!(outlet::stderr(), "note: {}", one_line(text)));
}
