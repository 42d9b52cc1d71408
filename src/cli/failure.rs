//! How a command can end, and the one printer of what went wrong.

use std::error::Error;
use std::io::{self, Write};

/// Every exit code of the command; the README's table says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Pipelines failed, `fmt --check` found a plan that is not laid out, or a test of a plan failed.
    PipelinesFailed,
    /// The command line makes no sense.
    Usage,
    /// The plan is invalid.
    PlanInvalid,
    /// The plan does not fit the workspace.
    Contract,
    /// The saved plan no longer fits.
    Stale,
    /// Somebody else runs this plan.
    Locked,
    /// The flow was cancelled.
    Cancelled,
    /// A step timed out or the deadline passed.
    TimedOut,
    /// A person must decide.
    Unknown,
    /// Sign-in or permission.
    Denied,
    /// The service cannot be reached.
    Unreachable,
    /// The journal cannot be used.
    Journal,
    /// A step warned, with `--strict`.
    Warned,
    /// Detached; the runs go on.
    Detached,
    /// Our bug.
    Bug,
    /// Interrupted by a second signal.
    Interrupted,
}

impl Exit {
    /// Every exit code with its meaning, in order.
    pub const ALL: [(Self, u8, &'static str); 17] = [
        (Self::Done, 0, "done"),
        (
            Self::PipelinesFailed,
            1,
            "pipelines failed; `fmt --check`: a plan is not laid out; `test`: a test failed",
        ),
        (Self::Usage, 2, "usage"),
        (Self::PlanInvalid, 3, "plan invalid"),
        (Self::Contract, 4, "contract or preflight failed"),
        (Self::Stale, 5, "saved plan stale"),
        (Self::Locked, 6, "locked or already running"),
        (Self::Cancelled, 7, "cancelled"),
        (Self::TimedOut, 8, "timed out or deadline missed"),
        (Self::Unknown, 9, "outcome unknown, a person must decide"),
        (Self::Denied, 10, "sign-in or permission"),
        (Self::Unreachable, 11, "service unreachable"),
        (Self::Journal, 12, "journal unusable"),
        (Self::Warned, 13, "warned, with `--strict`"),
        (Self::Detached, 30, "detached, still running"),
        (Self::Bug, 70, "our bug"),
        (Self::Interrupted, 130, "interrupted"),
    ];

    /// Returns what it means, in a few words.
    pub(super) fn meaning(self) -> &'static str {
        let entry = Self::ALL.iter().find(|(exit, ..)| *exit == self);
        entry.map_or("", |(.., meaning)| meaning)
    }

    /// Returns the number the process ends with.
    pub fn code(self) -> u8 {
        let entry = Self::ALL.iter().find(|(exit, ..)| *exit == self);
        entry.map_or(70, |(_, code, _)| *code)
    }
}

/// Why a command did not do what was asked, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What failed, and below it why: one line each.
    pub lines: Vec<String>,
    /// What the reader can do, each a sentence or a command to type.
    pub hints: Vec<String>,
}

impl Failure {
    /// Makes a failure that one sentence explains.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, lines: vec![message.into()], hints: Vec::new() }
    }

    /// Makes a failure from an error and the chain of its sources.
    pub fn from_error(exit: Exit, error: &dyn Error) -> Self {
        let mut lines = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            lines.push(cause.to_string());
            source = cause.source();
        }
        lines.dedup();
        Self { exit, lines, hints: Vec::new() }
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.lines.push(cause.into());
        self
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Writes the failure for people.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = self.lines.iter();
        if let Some(first) = lines.next() {
            writeln!(out, "error: {first}")?;
        }
        for cause in lines {
            writeln!(out, "  because {cause}")?;
        }
        for hint in &self.hints {
            writeln!(out, "hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<crate::journal::JournalError> for Failure {
    fn from(error: crate::journal::JournalError) -> Self {
        Self::from_error(Exit::Journal, &error).hint(error.hint())
    }
}

impl From<crate::journal::FlowLookup> for Failure {
    fn from(error: crate::journal::FlowLookup) -> Self {
        match error {
            crate::journal::FlowLookup::Journal(error) => error.into(),
            crate::journal::FlowLookup::Empty => Self::from_error(Exit::Usage, &error)
                .hint("`synflow apply PLAN` begins one; `--state-dir` names the folder of another journal"),
            other => Self::from_error(Exit::Usage, &other).hint("`synflow flows` lists those that there are"),
        }
    }
}
