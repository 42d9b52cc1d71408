//! Workflow commands of GitHub Actions, which become annotations on the lines of a pull request.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use super::{Checked, Located, paragraph, with_slashes};
use crate::plan::code::Severity;

/// Returns one command for each finding, each on a line of its own.
pub fn github(plans: &[Checked<'_>]) -> String {
    let commands = plans.iter().flat_map(|checked| {
        let file = property(&with_slashes(checked.file));
        let lost = checked
            .unreadable
            .map(|why| format!("::error file={file},title=cannot read the plan::{}\n", data(why)));
        let found = checked.located();
        let found: Vec<String> = found.iter().map(|located| command(&file, located)).collect();
        lost.into_iter().chain(found)
    });
    commands.collect()
}

fn command(file: &str, Located { finding, region, .. }: &Located<'_>) -> String {
    let level = match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = region.map_or_else(String::new, |at| {
        format!(",line={},endLine={},col={},endColumn={}", at.line, at.end_line, at.column, at.end_column)
    });
    let title = property(&format!("{}: {}", finding.code.id(), finding.code.meaning()));
    format!("::{level} file={file}{place},title={title}::{}\n", data(&paragraph(finding)))
}

/// Escapes the words after the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, in which `:` and `,` end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::github;
    use crate::plan::findings::Checked;
    use crate::plan::{Code, Diagnostic, Place, Span};

    #[test]
    fn escapes_what_would_end_a_command() {
        let at = |line, column, chars| Span::new(Place { line, column }, chars);
        let findings = [
            Diagnostic::whole(Code::Empty, "the file is empty").help("write a plan"),
            Diagnostic::at(Code::UnknownKey, at(1, 3, 4), "100% wrong,\r\n::error::really")
                .label("a: b")
                .help("write, say: x"),
            Diagnostic::at(Code::NoEffect, at(1, 1, 0), "nothing"),
            Diagnostic::at(Code::LeadingZero, at(9, 1, 0), "no such line"),
        ];
        let text = b"ab cdef\n";
        let bad = Checked { file: "./a,b:c%.yaml", text, steps: None, findings: &findings, unreadable: None };
        let lost = Checked {
            file: "x.yaml",
            text: b"",
            steps: None,
            findings: &[],
            unreadable: Some("no such file (os error 2)"),
        };
        insta::assert_snapshot!(github(&[bad, lost]), @r#"
        ::error file=a%2Cb%3Ac%25.yaml,title=E0103%3A the file holds no plan::the file is empty%0Ahelp: write a plan
        ::error file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,col=3,endColumn=7,title=E0201%3A the key is not known here::100%25 wrong,%0D%0A::error::really: a: b%0Ahelp: write, say: x
        ::warning file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,col=1,endColumn=3,title=W0201%3A the key changes nothing here::nothing
        ::notice file=a%2Cb%3Ac%25.yaml,line=9,endLine=9,col=1,endColumn=2,title=N0102%3A a value that looks like a number is sent as text::no such line
        ::error file=x.yaml,title=cannot read the plan::no such file (os error 2)
        "#);
    }
}
