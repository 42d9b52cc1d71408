//! A condition as a tree, with the bytes of the text on every node.

use std::ops::Range;

use serde_json::Value;

use crate::plan::function::Function;

/// A piece of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) body: Body,
    /// Where it stands in the text, in bytes.
    pub(super) span: Span,
}

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// What a piece is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// A value written down.
    Literal(Value),
    /// `[a, b]`
    List(Vec<Node>),
    /// A name: `inputs.day`, `steps["load-sales"].outcome`.
    Name(Vec<String>),
    /// A helper with its values.
    Call(Function, Vec<Node>),
    /// `not a`
    Not(Box<Node>),
    /// `a and b and c`: as many sides as there are, so that a long one is no deep tree.
    Join(Join, Vec<Node>),
    /// `a < b`
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `a in b`, and `a not in b` where that is false.
    In(bool, Box<Node>, Box<Node>),
}

/// What joins truths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// What compares two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Join {
    /// Returns the word of the language.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
        }
    }

    /// Returns the truth of one side that settles the whole.
    pub(super) const fn settles(self) -> bool {
        matches!(self, Self::Or)
    }
}

impl Comparison {
    /// Every comparison with its sign.
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];

    /// Says whether it asks which of two values comes first.
    pub(super) const fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::Unequal)
    }
}

/// Says whether a text can stand as a name without brackets and quotes.
pub(super) fn is_plain(part: &str) -> bool {
    let mut chars = part.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(is_word)
        && !["and", "or", "not", "in", "true", "false", "null"].contains(&part)
}

/// Says whether a character can stand in a word.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Returns a name as a condition writes it.
pub(super) fn spelled<'p>(path: impl IntoIterator<Item = &'p str>) -> String {
    let mut name = String::new();
    for (n, part) in path.into_iter().enumerate() {
        if n == 0 {
            name.push_str(part);
        } else if is_plain(part) {
            name.push('.');
            name.push_str(part);
        } else if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            name.extend(["[", part, "]"]);
        } else {
            name.extend(["[", &quoted(part), "]"]);
        }
    }
    name
}

/// Returns a text in quotes.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
