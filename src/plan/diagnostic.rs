//! One finding about a plan: what is wrong, where, and what to do next.
//!
//! Plain data; [`super::render`] turns it into text. Main type: [`Diagnostic`].

use super::Place;
use super::code::{Code, Severity};

/// A piece of one line of the plan's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins.
    pub place: Place,
    /// How many characters it has; 0 stands for the word that begins there.
    pub chars: usize,
}

impl From<Place> for Span {
    fn from(place: Place) -> Self {
        Self { place, chars: 0 }
    }
}

/// A problem or a remark, with its place in the text and the next action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem it is.
    pub code: Code,
    /// The problem in one sentence, in lower case and without a full stop.
    pub message: String,
    /// Where the problem is; nothing if it is about the file or the command line.
    pub span: Option<Span>,
    /// What stands below the caret; may be empty.
    pub label: String,
    /// Other places that explain the problem.
    pub also: Vec<(Span, String)>,
    /// What to do next, one sentence each.
    pub help: Vec<String>,
    /// Whether the lines of the text must not be shown: a secret may stand there.
    pub hides_source: bool,
}

impl Diagnostic {
    /// Returns a finding at a place in the text.
    pub fn at(code: Code, span: impl Into<Span>, message: impl Into<String>) -> Self {
        Self { span: Some(span.into()), ..Self::whole(code, message) }
    }

    /// Returns a finding about the whole file, or about what was given beside it.
    pub fn whole(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: None,
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
            hides_source: false,
        }
    }

    /// Adds the words below the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place with the words below it.
    #[must_use]
    pub fn also(mut self, span: impl Into<Span>, label: impl Into<String>) -> Self {
        self.also.push((span.into(), label.into()));
        self
    }

    /// Adds a next action.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Returns how grave it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Returns true if the plan cannot run because of it.
    pub fn is_error(&self) -> bool {
        self.severity() == Severity::Error
    }

    /// Returns where it is, if it is about a place in the text.
    pub fn place(&self) -> Option<Place> {
        self.span.map(|span| span.place)
    }
}

/// Puts findings in the order of the text; those about the whole file come first. What an alias
/// repeats is said once.
pub(super) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by_key(Diagnostic::place);
    diagnostics.dedup();
}
