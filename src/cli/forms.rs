//! The forms in which a verb can answer, as they are named on the command line.

use clap::ValueEnum;

use crate::flow::Flow;
use crate::report::json;

/// The forms of what would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outlook {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For the comment of a pull request.
    Markdown,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal; elsewhere, in CI and with --quiet, lines
    Auto,
    /// Bars
    Bar,
    /// A line for every fact
    Lines,
    /// Nothing but how it ended
    None,
}

/// The CI service that reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CiName {
    /// The one that the environment tells of
    Auto,
    /// GitHub Actions
    Github,
    /// Azure Pipelines
    Azure,
    /// None
    None,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The form of an answer that events may come before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// For people
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// A line of JSON for each event, and one for the whole at the end
    Jsonl,
}

/// The form of what became of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestForm {
    /// For people
    Text,
    /// JSON
    Json,
    /// XML, as CI services read the results of tests
    Junit,
}

/// The form of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// Waves, for a terminal
    Text,
    /// A flowchart for GitHub, GitLab and wikis
    Mermaid,
    /// For Graphviz
    Dot,
    /// One file for browsers, light and dark
    Svg,
    /// For programs
    Json,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    /// One file for browsers and mails: graph, timeline, errors
    Html,
    /// For programs
    Json,
    /// The XML of `JUnit`, for CI: a case for each step
    Junit,
    /// For a job's summary, a pull request or a chat
    Markdown,
}

/// The form of what was found in plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingsForm {
    /// For people
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// SARIF 2.1.0, for code scanning and editors
    Sarif,
    /// Annotations for GitHub Actions
    Github,
}

/// How a flow ended or stands, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum FlowWord {
    /// Nothing went wrong that was not allowed to
    Succeeded,
    /// A step failed
    Failed,
    /// A step timed out
    TimedOut,
    /// All went well, after the deadline
    DeadlineMissed,
    /// A person cancelled it, or others one of its runs
    Cancelled,
    /// A person must look
    Unknown,
    /// It has not ended
    Unfinished,
    /// A process has left it; its runs go on
    Detached,
    /// A person began another instead
    GivenUp,
    /// This synflow cannot read it
    Unreadable,
}

impl FlowWord {
    /// Returns the word as it is typed.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::DeadlineMissed => "deadline_missed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Unfinished => "unfinished",
            Self::Detached => "detached",
            Self::GivenUp => "given_up",
            Self::Unreadable => "unreadable",
        }
    }

    /// Says whether it is the word for this flow, if that could be read.
    pub(super) fn fits(self, flow: &Result<Flow, String>) -> bool {
        flow.as_ref().map_or("unreadable", json::flow_word) == self.text()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::FlowWord;

    #[test]
    fn words_are_typed_as_they_are_shown() {
        for word in FlowWord::value_variants() {
            let typed = word.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(typed.as_deref(), Some(word.text()));
        }
    }
}
