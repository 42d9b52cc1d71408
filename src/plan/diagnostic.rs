//! One finding about a plan: what is wrong, where, and what to do next.
//!
//! Plain data; [`super::render`] turns it into text. Main type: [`Diagnostic`].

use std::collections::BTreeMap;

use super::Place;
use super::code::{Code, Severity};

/// How many uses of an anchor are shown with a finding in it.
const ALIASES_SHOWN_MAX: usize = 3;

/// A piece of one line of the plan's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins.
    pub place: Place,
    /// How many characters it has; 0 stands for the word that begins there.
    pub chars: usize,
    /// Where the alias stands through which what is written here has come to another place.
    pub alias: Option<Place>,
}

impl Span {
    /// Returns a piece of this many characters.
    pub const fn new(place: Place, chars: usize) -> Self {
        Self { place, chars, alias: None }
    }
}

impl From<Place> for Span {
    fn from(place: Place) -> Self {
        Self::new(place, 0)
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

/// Returns findings in the order of the text, each of them once.
pub fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    sort(&mut diagnostics);
    diagnostics
}

/// The position of a finding that was kept, and the aliases it came through; none if it is wrong where it is written.
type Alike = (usize, Vec<Span>);

/// Puts findings in the order of the text; those about the whole file come first. What an alias
/// repeats is said once: where it is written, and if it is wrong only where the alias stands, with that place too.
pub(super) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by_key(Diagnostic::place);
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    let mut seen: BTreeMap<(Option<Place>, Code, String), Vec<Alike>> = BTreeMap::new();
    for mut finding in std::mem::take(diagnostics) {
        let alias = finding.span.as_mut().and_then(|span| span.alias.take());
        finding.also.iter_mut().for_each(|(span, _)| span.alias = None);
        let alike = seen.entry((finding.place(), finding.code, finding.message.clone())).or_default();
        let twin = alike.iter_mut().find(|(n, _)| kept[*n] == finding);
        match (twin, alias) {
            // It is wrong where it is written: that its aliases are wrong too follows.
            (Some((_, aliases)), None) => aliases.clear(),
            (Some((_, aliases)), Some(alias)) if !aliases.is_empty() => aliases.push(alias.into()),
            (Some(_), Some(_)) => {}
            (None, alias) => {
                alike.push((kept.len(), alias.map(Span::from).into_iter().collect()));
                kept.push(finding);
            }
        }
    }
    for (n, aliases) in seen.into_values().flatten() {
        let shown = aliases.into_iter().take(ALIASES_SHOWN_MAX);
        kept[n].also.extend(shown.map(|alias| (alias, "used here".to_owned())));
    }
    *diagnostics = kept;
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Span, sort};
    use crate::plan::{Code, Place};

    /// A finding on line 3, seen through an alias on a line, or where it is written.
    fn seen(alias: Option<usize>, message: &str) -> Diagnostic {
        let at = |line| Place { line, column: 1 };
        let span = Span { alias: alias.map(at), ..Span::new(at(3), 2) };
        Diagnostic::at(Code::BadDuration, span, message)
    }

    #[test]
    fn says_once_what_an_alias_repeats() {
        let check = |given: &[Diagnostic], want: &[(&str, &[usize])]| {
            let mut findings = given.to_vec();
            sort(&mut findings);
            let lines = |finding: &Diagnostic| {
                finding.also.iter().map(|(span, _)| span.place.line).collect::<Vec<_>>()
            };
            let got: Vec<(String, Vec<usize>)> =
                findings.iter().map(|finding| (finding.message.clone(), lines(finding))).collect();
            let want: Vec<(String, Vec<usize>)> =
                want.iter().map(|(message, lines)| ((*message).to_owned(), lines.to_vec())).collect();
            assert_eq!(got, want);
        };
        check(&[seen(None, "a"), seen(Some(5), "a")], &[("a", &[])]);
        check(&[seen(Some(5), "a"), seen(None, "a"), seen(Some(6), "a")], &[("a", &[])]);
        check(&[seen(Some(5), "a"), seen(Some(6), "a")], &[("a", &[5, 6])]);
        check(&[seen(Some(5), "a"), seen(Some(5), "b"), seen(Some(6), "a")], &[("a", &[5, 6]), ("b", &[5])]);
        let many: Vec<Diagnostic> = (4..20).map(|line| seen(Some(line), "a")).collect();
        check(&many, &[("a", &[4, 5, 6])]);
    }
}
