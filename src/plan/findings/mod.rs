//! Findings as data, for programs: JSON, SARIF and the commands that GitHub Actions understands.
//!
//! [`super::render`] is the form for people. Lines and columns count from 1, columns in characters, and an end stands
//! just after the last character. Pure: gives values and texts; the caller writes them. Main type: [`Checked`].

mod github;
mod json;
mod sarif;

use super::diagnostic::{Diagnostic, Span};
use super::render::{end_column, source_lines};

pub use github::github;
pub use json::json;
pub use sarif::sarif;

/// What the check of one file gave.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The file's name, as it was given.
    pub file: &'a str,
    /// The file as it was read.
    pub text: &'a [u8],
    /// How many steps the plan has, if it can run.
    pub steps: Option<usize>,
    /// What was found, in the order of the text.
    pub findings: &'a [Diagnostic],
    /// Why the file could not be read, if so; then nothing is known of it.
    pub unreadable: Option<&'a str>,
}

/// A piece of a file, from its first character to just after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// A finding with all its places measured in the text.
struct Located<'a> {
    finding: &'a Diagnostic,
    region: Option<Region>,
    related: Vec<(Region, &'a str)>,
}

impl<'a> Checked<'a> {
    /// Returns the findings with their places measured.
    fn located(&self) -> Vec<Located<'a>> {
        let text = String::from_utf8_lossy(self.text);
        let lines = source_lines(&text);
        let region = |span: Span| {
            let line = lines.get(span.place.line.saturating_sub(1)).copied().unwrap_or_default();
            Region {
                line: span.place.line.max(1),
                column: span.place.column.max(1),
                end_line: span.place.line.max(1),
                end_column: end_column(span, line),
            }
        };
        let one = |finding: &'a Diagnostic| Located {
            finding,
            region: finding.span.map(region),
            related: finding.also.iter().map(|(span, label)| (region(*span), label.as_str())).collect(),
        };
        self.findings.iter().map(one).collect()
    }
}

/// Returns a finding in a few lines: what is wrong, what stands below the caret, what to do.
pub fn paragraph(finding: &Diagnostic) -> String {
    let mut text = finding.message.clone();
    if !finding.label.is_empty() {
        text += ": ";
        text += &finding.label;
    }
    for help in &finding.help {
        text += "\nhelp: ";
        text += help;
    }
    text
}

/// Returns a path as programs on every system read it, without a `./` in front.
fn with_slashes(path: &str) -> String {
    let path = if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() };
    let mut rest = path.as_str();
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter;
    }
    rest.to_owned()
}
