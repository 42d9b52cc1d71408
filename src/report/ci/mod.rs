//! The CI services that synflow speaks to: their commands, which are lines of the log.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>,
//! <https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>. Everything that stands inside a command is
//! escaped; everything else that is written passes the [`Guarded`]. Main types: [`Ci`], [`CiLog`].

mod guard;
mod log;

use std::path::{Component, Path, PathBuf};

use crate::plan::{Checked, Place, Severity, findings_text, github};

pub use guard::{Guarded, defused, defused_json, defused_xml};
pub use log::CiLog;

/// A CI service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ci {
    /// GitHub Actions.
    Github,
    /// Azure Pipelines.
    Azure,
}

/// Where something stands in a file, as the service shows it beside the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file, from the top of the repository.
    pub file: String,
    /// Where in it.
    pub place: Place,
}

impl Ci {
    /// Returns the command that shows an error or a warning, beside a line of a file if there is one.
    pub fn issue(self, severity: Severity, spot: Option<&Spot>, title: &str, message: &str) -> String {
        match self {
            Self::Github => {
                let level = match severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Note => "notice",
                };
                let spot = spot.map_or_else(String::new, |spot| {
                    let Place { line, column } = spot.place;
                    format!("file={},line={line},col={column},", github_property(&spot.file))
                });
                format!("::{level} {spot}title={}::{}\n", github_property(title), github_data(message))
            }
            Self::Azure => {
                // It knows no notices.
                let level = if severity == Severity::Error { "error" } else { "warning" };
                let spot = spot.map_or_else(String::new, |spot| {
                    let Place { line, column } = spot.place;
                    format!(
                        ";sourcepath={};linenumber={line};columnnumber={column}",
                        azure_property(&spot.file)
                    )
                });
                let text = azure_data(&format!("{title}: {message}"));
                format!("##vso[task.logissue type={level}{spot};]{text}\n")
            }
        }
    }

    /// Returns the line after which lines can be folded away.
    pub fn group(self, title: &str) -> String {
        match self {
            Self::Github => format!("::group::{}\n", github_data(title)),
            Self::Azure => format!("##[group]{}\n", azure_data(title)),
        }
    }

    /// Returns the line that ends such lines.
    pub const fn end_group(self) -> &'static str {
        match self {
            Self::Github => "::endgroup::\n",
            Self::Azure => "##[endgroup]\n",
        }
    }

    /// Returns the command that shows how much is done, where the service shows that.
    pub fn progress(self, percent: usize, what: &str) -> Option<String> {
        match self {
            Self::Github => None,
            Self::Azure => Some(format!("##vso[task.setprogress value={percent};]{}\n", azure_data(what))),
        }
    }

    /// Returns the commands that show what was found in plans.
    pub fn findings(self, plans: &[Checked<'_>]) -> String {
        match self {
            Self::Github => github(plans),
            Self::Azure => plans.iter().map(azure_findings).collect(),
        }
    }
}

/// Returns the commands of Azure Pipelines that hand on values, show a summary, and mark a job that went well with
/// something worth a look.
pub fn azure_ending(values: &[(&str, String)], summary: Option<&str>, has_issues: bool) -> String {
    let variable = |(name, value): &(&str, String)| {
        let (name, value) = (azure_property(name), azure_data(value));
        format!("##vso[task.setvariable variable={name};isOutput=true;]{value}\n")
    };
    let page = summary.map(|path| format!("##vso[task.uploadsummary]{}\n", azure_data(path)));
    let complete = "##vso[task.complete result=SucceededWithIssues;]\n";
    let commands = values.iter().map(variable).chain(page);
    commands.chain(has_issues.then(|| complete.to_owned())).collect::<Vec<_>>().concat()
}

/// Returns what GitHub Actions reads values from, a line each. A value has one line.
pub fn github_outputs(values: &[(&str, String)]) -> String {
    let line = |(name, value): &(&str, String)| format!("{name}={}\n", value.replace(['\r', '\n'], " "));
    values.iter().map(line).collect::<Vec<_>>().concat()
}

/// Returns a file as it is named from the top of the repository; as it is, if it lies elsewhere.
///
/// `here` is the folder that a relative path counts from.
pub fn from_top(file: &str, here: &Path, top: &Path) -> String {
    let mut path = PathBuf::new();
    for part in here.join(file).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            part => path.push(part),
        }
    }
    let inside = path.strip_prefix(top).map_or_else(|_| file.to_owned(), |path| path.display().to_string());
    if cfg!(windows) { inside.replace('\\', "/") } else { inside }
}

fn azure_findings(checked: &Checked<'_>) -> String {
    let file = |place| Spot { file: checked.file.to_owned(), place };
    if let Some(why) = checked.unreadable {
        let spot = file(Place { line: 1, column: 1 });
        return Ci::Azure.issue(Severity::Error, Some(&spot), "cannot read the plan", why);
    }
    let found = checked.findings.iter().filter(|finding| finding.severity() != Severity::Note);
    let commands = found.map(|finding| {
        let spot = file(finding.span.map_or(Place { line: 1, column: 1 }, |span| span.place));
        Ci::Azure.issue(finding.severity(), Some(&spot), finding.code.id(), &findings_text(finding))
    });
    commands.collect()
}

/// Escapes the words after the second `::`.
fn github_data(text: &str) -> String {
    defused(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, in which `:` and `,` end it.
fn github_property(text: &str) -> String {
    github_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Escapes the words after the `]`.
fn azure_data(text: &str) -> String {
    defused(text).replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, in which `;` and `]` end it.
fn azure_property(text: &str) -> String {
    azure_data(text).replace(';', "%3B").replace(']', "%5D")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Ci, Spot, azure_ending, from_top, github_outputs};
    use crate::plan::{Place, Severity};

    const HOSTILE: &str = "100%;a]b:c,d\r\n::error::x\n##vso[task.complete]%0Ax";

    #[test]
    fn nothing_inside_a_command_ends_it() {
        let spot = Spot { file: HOSTILE.to_owned(), place: Place { line: 3, column: 5 } };
        insta::assert_snapshot!(Ci::Github.issue(Severity::Error, Some(&spot), HOSTILE, HOSTILE), @r"::error file=100%25;a]b%3Ac%2Cd%0D%0A%3A %3Aerror%3A%3Ax%0A# #vso[task.complete]%250Ax,line=3,col=5,title=100%25;a]b%3Ac%2Cd%0D%0A%3A %3Aerror%3A%3Ax%0A# #vso[task.complete]%250Ax::100%25;a]b:c,d%0D%0A: :error::x%0A# #vso[task.complete]%250Ax");
        insta::assert_snapshot!(Ci::Azure.issue(Severity::Warning, Some(&spot), HOSTILE, HOSTILE), @r"##vso[task.logissue type=warning;sourcepath=100%AZP25%3Ba%5Db:c,d%0D%0A: :error::x%0A# #vso[task.complete%5D%AZP250Ax;linenumber=3;columnnumber=5;]100%AZP25;a]b:c,d%0D%0A: :error::x%0A# #vso[task.complete]%AZP250Ax: 100%AZP25;a]b:c,d%0D%0A: :error::x%0A# #vso[task.complete]%AZP250Ax");
        for ci in [Ci::Github, Ci::Azure] {
            for command in [ci.issue(Severity::Note, None, HOSTILE, HOSTILE), ci.group(HOSTILE)] {
                assert_eq!(command.trim_end().lines().count(), 1, "{command}");
            }
        }
        insta::assert_snapshot!(Ci::Azure.progress(40, HOSTILE).unwrap_or_default(), @r"##vso[task.setprogress value=40;]100%AZP25;a]b:c,d%0D%0A: :error::x%0A# #vso[task.complete]%AZP250Ax");
        assert_eq!(Ci::Github.progress(40, HOSTILE), None);
        let values = [("flow", "7f3a9c".to_owned()), ("report", HOSTILE.to_owned())];
        insta::assert_snapshot!(azure_ending(&values, Some("/tmp/a]b.md"), true), @r"
        ##vso[task.setvariable variable=flow;isOutput=true;]7f3a9c
        ##vso[task.setvariable variable=report;isOutput=true;]100%AZP25;a]b:c,d%0D%0A: :error::x%0A# #vso[task.complete]%AZP250Ax
        ##vso[task.uploadsummary]/tmp/a]b.md
        ##vso[task.complete result=SucceededWithIssues;]
        ");
        insta::assert_snapshot!(github_outputs(&values), @r"
        flow=7f3a9c
        report=100%;a]b:c,d  ::error::x ##vso[task.complete]%0Ax
        ");
    }

    #[test]
    fn files_are_named_from_the_top() {
        let check = |file: &str, want: &str| {
            assert_eq!(from_top(file, Path::new("/repo/jobs"), Path::new("/repo")), want, "{file}");
        };
        check("plan.yaml", "jobs/plan.yaml");
        check("./../plans/a.yaml", "plans/a.yaml");
        check("/repo/a.yaml", "a.yaml");
        check("/elsewhere/a.yaml", "/elsewhere/a.yaml");
        check("../../a.yaml", "../../a.yaml");
    }
}
