//! The one canonical layout of a plan's text, with its comments.
//!
//! Text becomes [`tokens`], a walk over the parser's events gives each its place ([`structure`]), some maps are
//! put in order ([`order`]), and [`print`] writes all of it anew. What comes out is read again: a layout that would
//! change what the plan means is never handed out. Main function: [`format`].

mod order;
mod print;
mod structure;
mod tokens;

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::reader::Reader;
use super::source::{self, Entry, Node, Source, Yaml};

/// Why a text was not laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatFailure {
    /// It is no YAML that a plan could be: every reason.
    Unreadable(Vec<Diagnostic>),
    /// Our layout of it would mean something else, which is a bug of ours.
    Changed,
}

/// Lays a plan's text out: two spaces for each level, one space inside braces, keys in the order of the reference.
///
/// A text that is no valid YAML is answered with its problems. A plan that is wrong in other ways is laid out all the same.
pub fn format(bytes: &[u8]) -> Result<String, FormatFailure> {
    let before = source::read(bytes).map_err(FormatFailure::Unreadable)?;
    let mut reader = Reader::new(before.text, before.findings.clone());
    reader.map(&before.root, "the plan");
    if reader.findings.iter().any(Diagnostic::is_error) {
        return Err(FormatFailure::Unreadable(reader.findings));
    }
    // Where an anchor would come after its alias, the keys of the whole file keep their order.
    for is_sorted in [true, false] {
        if let Some(text) = layout(before.text, is_sorted)
            && source::read(text.as_bytes()).is_ok_and(|after| is_same_plan(&before, &after))
        {
            return Ok(text);
        }
    }
    Err(FormatFailure::Changed)
}

/// Returns the text laid out, with the line ends it came with; nothing where it holds what we cannot place.
fn layout(text: &str, is_sorted: bool) -> Option<String> {
    let has_crlf = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let plain = if text.contains('\r') { &text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    let (mut tokens, events) = tokens::lex(plain)?;
    let groups = structure::place(&mut tokens, events)?;
    let order = if is_sorted { order::sorted(&mut tokens, groups) } else { (0..tokens.len()).collect() };
    let laid = print::print(&tokens, &order);
    Some(if has_crlf { laid.replace('\n', "\r\n") } else { laid })
}

/// A map whose keys have an order of their own, or lead to such a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Plan,
    Defaults,
    Steps,
    Step,
    Retry,
    Tests,
    Test,
    /// Here the order is the author's.
    Elsewhere,
}

impl Where {
    /// Returns where the value of a key stands.
    fn below(self, key: Option<&str>) -> Self {
        match (self, key) {
            (Self::Plan, Some("steps")) => Self::Steps,
            (Self::Plan, Some("defaults")) => Self::Defaults,
            (Self::Steps, Some(_)) => Self::Step,
            (Self::Plan, Some("tests")) => Self::Tests,
            (Self::Tests, Some(_)) => Self::Test,
            (Self::Step | Self::Defaults, Some("retry")) => Self::Retry,
            _ => Self::Elsewhere,
        }
    }

    /// Returns the keys in their order, where we order them.
    fn keys(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Plan => Some(super::keys::PLAN.keys),
            Self::Step => Some(super::keys::STEP.keys),
            Self::Retry => Some(super::keys::RETRY.keys),
            Self::Test => Some(super::keys::TEST.keys),
            Self::Defaults | Self::Steps | Self::Tests | Self::Elsewhere => None,
        }
    }
}

/// Says whether two texts hold the same plan: keys, values, types, spellings of numbers, and order wherever it is not ours.
fn is_same_plan(before: &Source<'_>, after: &Source<'_>) -> bool {
    Pair { before: before.text, after: after.text }.is_same(&before.root, &after.root, Where::Plan)
}

/// The texts of two trees.
struct Pair<'a> {
    before: &'a str,
    after: &'a str,
}

impl Pair<'_> {
    fn is_same(&self, a: &Node, b: &Node, place: Where) -> bool {
        match (&a.value, &b.value) {
            (Yaml::Null, Yaml::Null) => true,
            (Yaml::Bool(_), Yaml::Bool(_))
            | (Yaml::Number(_), Yaml::Number(_))
            | (Yaml::NotFinite, Yaml::NotFinite) => a.spelling(self.before) == b.spelling(self.after),
            (Yaml::Text(a), Yaml::Text(b)) => a == b,
            (Yaml::List(a), Yaml::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.is_same(a, b, Where::Elsewhere))
            }
            (Yaml::Map(a), Yaml::Map(b)) => a.len() == b.len() && self.is_same_map(a, b, place),
            _ => false,
        }
    }

    fn is_same_map(&self, a: &[Entry], b: &[Entry], place: Where) -> bool {
        let is_same_entry = |a: &Entry, b: &Entry| {
            let below = place.below(a.key.key_text(self.before));
            self.is_same(&a.key, &b.key, Where::Elsewhere) && self.is_same(&a.value, &b.value, below)
        };
        if place.keys().is_none() {
            return a.iter().zip(b).all(|(a, b)| is_same_entry(a, b));
        }
        let others: BTreeMap<_, _> = b.iter().map(|entry| (entry.key.key_text(self.after), entry)).collect();
        a.iter().all(|entry| {
            others.get(&entry.key.key_text(self.before)).is_some_and(|other| is_same_entry(entry, other))
        })
    }
}
