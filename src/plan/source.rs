//! Bytes to a tree of YAML in which every key and value knows its place.
//!
//! Knows nothing of plans: it answers for UTF-8, limits, duplicate keys and characters that look like others; what the parser
//! says becomes a tree in [`super::tree`]. Main types: [`Source`] and [`Node`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Number, Value};

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::{Place, syntax, tree};

/// The largest file that is read, a plan or one with values of inputs, in bytes.
pub const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How deep lists and maps may be nested.
pub(super) const DEPTH_MAX: usize = 64;
/// What to do about a file in another encoding.
const SAVE_AS: &str = "save the file as UTF-8 (in an editor: \"Save with Encoding\", \"UTF-8\")";

/// The text of a plan and its tree.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The text, without a byte order mark.
    pub(super) text: &'a str,
    /// The document.
    pub(super) root: Node,
    /// What is wrong with the tree though it could be built: duplicate keys, keys that are no text.
    pub(super) findings: Vec<Diagnostic>,
}

/// A YAML value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Yaml,
    /// Where the value is written; for an alias, where its anchor is.
    origin: Origin,
}

/// A YAML value by its type.
#[derive(Clone, Debug)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    /// `.inf` and `.nan`, which JSON cannot say.
    NotFinite,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A map whose keys are no texts, already reported: nobody else looks at it.
    Broken,
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key; after [`read`] always a text, a number or a bool.
    pub(super) key: Node,
    pub(super) value: Node,
}

/// A span in characters and bytes, in small numbers because a plan has a million of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    line: u32,
    column: u32,
    chars: u32,
    start: u32,
    bytes: u32,
    /// Line and column of the alias that repeats the value here; 0 without one.
    alias: (u32, u32),
}

/// Reads the bytes of a file into a tree; gives what is wrong if there is none.
pub(super) fn read(bytes: &[u8]) -> Result<Source<'_>, Vec<Diagnostic>> {
    let text = decode(bytes)?;
    let root = tree::build(text).map_err(|finding| vec![*finding])?;
    let Some(mut root) = root.filter(|root| !matches!(root.value, Yaml::Null)) else {
        return Err(vec![syntax::empty(text)]);
    };
    let mut findings = Vec::new();
    audit(&mut root, text, &mut findings);
    if findings.iter().any(|finding| finding.code == Code::Invisible) {
        // The tree is not the one that its author sees: what else is wrong with it would only confuse.
        findings.retain(|finding| finding.code == Code::Invisible);
        return Err(findings);
    }
    Ok(Source { text, root, findings })
}

/// Returns the text of a file without a byte order mark.
fn decode(bytes: &[u8]) -> Result<&str, Vec<Diagnostic>> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; a plan may have {FILE_BYTES_MAX} (10 MB)", bytes.len());
        return Err(vec![
            Diagnostic::whole(Code::TooLarge, message).help("split the plan, or keep large lists outside it"),
        ]);
    }
    if is_utf16(bytes) {
        return Err(vec![utf16()]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| vec![not_utf8(bytes, error.valid_up_to())])?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn not_utf8(bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let good = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let good = good.strip_prefix('\u{feff}').unwrap_or(&good);
    let line = good.matches('\n').count() + 1;
    let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let message = format!("the byte 0x{:02x} is not UTF-8", bytes[valid_up_to]);
    Diagnostic::at(Code::NotUtf8, Span::new(Place { line, column }, 1), message).help(SAVE_AS)
}

fn utf16() -> Diagnostic {
    Diagnostic::whole(Code::NotUtf8, "the file is UTF-16, a plan is UTF-8").help(SAVE_AS)
}

/// Says whether a text is UTF-16: by its mark, or because every other byte of its beginning is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 16;
    let zeros = |first: usize| bytes.iter().skip(first).step_by(2).take(LOOKED_AT / 2).all(|byte| *byte == 0);
    bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || bytes.len() >= LOOKED_AT && (zeros(0) != zeros(1))
}

/// Finds duplicate keys and keys that are no text, and takes them out of the tree so that nobody
/// complains about them twice. Finds characters that look like something else too. Recurses at most [`DEPTH_MAX`] deep.
fn audit(node: &mut Node, text: &str, findings: &mut Vec<Diagnostic>) {
    findings.extend(syntax::typographic_quote(node, text));
    match &mut node.value {
        Yaml::List(items) => items.iter_mut().for_each(|item| audit(item, text, findings)),
        Yaml::Map(entries) => {
            let bad = entries.iter().find(|entry| entry.key.key_text(text).is_none());
            if let Some(Entry { key, .. }) = bad {
                findings.push(syntax::bad_key(key, text));
                node.value = Yaml::Broken;
                return;
            }
            remove_duplicates(entries, text, findings);
            for entry in entries {
                findings.extend(syntax::invisible_in_key(&entry.key, text));
                findings.extend(syntax::typographic_quote(&entry.key, text));
                audit(&mut entry.value, text, findings);
            }
        }
        _ => {}
    }
}

fn remove_duplicates(entries: &mut Vec<Entry>, text: &str, findings: &mut Vec<Diagnostic>) {
    const FEW: usize = 12;
    let name = |n: usize| entries[n].key.key_text(text).unwrap_or_default();
    // Nearly every map is small, and a tree for each would cost more than looking through it.
    let pairs: Vec<(usize, usize)> = if entries.len() <= FEW {
        let first = |n: usize| (0..n).find(|first| name(*first) == name(n));
        (1..entries.len()).filter_map(|n| Some((first(n)?, n))).collect()
    } else {
        let mut seen = BTreeMap::new();
        (0..entries.len())
            .filter_map(|n| Some((*seen.entry(name(n)).or_insert(n), n)).filter(|(a, b)| a != b))
            .collect()
    };
    for (first, second) in &pairs {
        findings.push(duplicate(name(*first), entries[*first].key.span(), entries[*second].key.span()));
    }
    for (_, second) in pairs.iter().rev() {
        entries.remove(*second);
    }
}

fn duplicate(name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::at(Code::DuplicateKey, second, format!("the key `{name}` stands here twice"))
        .label("again here")
        .also(first, "first here")
        .help("keep one of the two")
}

/// Returns a number of characters or bytes as it is kept: no file is so long that it would not fit.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Origin {
    /// Returns the span of so many characters, which are these bytes of the text.
    pub(super) fn new(place: Place, chars: usize, bytes: Range<usize>) -> Self {
        Self {
            line: small(place.line),
            column: small(place.column),
            chars: small(chars),
            start: small(bytes.start),
            bytes: small(bytes.len()),
            alias: (0, 0),
        }
    }
}

impl Node {
    /// Returns a value that is written there.
    pub(super) const fn new(value: Yaml, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Notes where an alias repeats the value and all in it. Recurses at most [`DEPTH_MAX`] deep.
    pub(super) fn repeated_at(&mut self, alias: Place) {
        self.origin.alias = (small(alias.line), small(alias.column));
        match &mut self.value {
            Yaml::List(items) => items.iter_mut().for_each(|item| item.repeated_at(alias)),
            Yaml::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.key.repeated_at(alias);
                entry.value.repeated_at(alias);
            }),
            _ => {}
        }
    }

    /// Returns where the value is written. A list or map points at its first entry.
    pub(super) fn span(&self) -> Span {
        let Origin { line, column, chars, alias, .. } = self.origin;
        let place = |line: u32, column: u32| Place { line: line as usize, column: column as usize };
        let alias = (alias.0 > 0).then(|| place(alias.0, alias.1));
        Span { place: place(line, column), chars: chars as usize, alias }
    }

    /// Returns the value as it is spelled in the text, with its quotes; empty for lists and maps.
    pub(super) fn spelling<'a>(&self, text: &'a str) -> &'a str {
        let start = self.origin.start as usize;
        text.get(start..start + self.origin.bytes as usize).unwrap_or_default()
    }

    /// Returns the line of the text on which the value begins.
    pub(super) fn line<'a>(&self, text: &'a str) -> &'a str {
        let (above, rest) = text.split_at_checked(self.origin.start as usize).unwrap_or(("", text));
        let begin = above.rfind('\n').map_or(0, |end| end + 1);
        let end = rest.find('\n').map_or(text.len(), |end| above.len() + end);
        text[begin..end].trim_end_matches('\r')
    }

    /// Returns the text of a key: itself, or the spelling of a number or bool.
    pub(super) fn key_text<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        match &self.value {
            Yaml::Text(name) => Some(name),
            Yaml::Bool(_) | Yaml::Number(_) => Some(self.spelling(text)),
            _ => None,
        }
    }

    /// Says whether the value is a map with this key.
    pub(super) fn has_key(&self, name: &str, text: &str) -> bool {
        matches!(&self.value, Yaml::Map(entries) if entries.iter().any(|entry| entry.key.key_text(text) == Some(name)))
    }

    /// Returns another value in the same place.
    pub(super) fn clone_as(&self, value: Yaml) -> Self {
        Self { value, origin: self.origin }
    }

    /// Returns the value as JSON, without looking for templates; says in half a sentence why not.
    pub(super) fn to_json(&self, text: &str) -> Result<Value, String> {
        Ok(match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => (*value).into(),
            Yaml::Number(_) if self.is_inexact(text) => {
                return Err(format!("`{}` is too large for an exact number", self.spelling(text)));
            }
            Yaml::Number(number) => Value::Number(number.clone()),
            Yaml::Text(text) => text.as_str().into(),
            Yaml::List(items) => items.iter().map(|item| item.to_json(text)).collect::<Result<_, _>>()?,
            Yaml::Map(entries) => {
                let pair = |Entry { key, value }: &Entry| {
                    Ok((key.key_text(text).unwrap_or_default().to_owned(), value.to_json(text)?))
                };
                Value::Object(entries.iter().map(pair).collect::<Result<_, String>>()?)
            }
            Yaml::NotFinite | Yaml::Broken => {
                return Err(format!("`{}` cannot be said in JSON", self.spelling(text)));
            }
        })
    }

    /// Says whether the value is a whole number that no JSON number here can hold.
    pub(super) fn is_inexact(&self, text: &str) -> bool {
        /// From here on not every whole number is an `f64`.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        let digits = self.spelling(text).trim_start_matches(['-', '+']);
        matches!(&self.value, Yaml::Number(number) if number.is_f64() && number.as_f64().is_none_or(|n| n.abs() > EXACT_MAX))
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
    }

    /// Returns the innermost value because of which [`Node::to_json`] fails.
    pub(super) fn first_without_json(&self, text: &str) -> Option<&Self> {
        match &self.value {
            Yaml::NotFinite | Yaml::Broken => Some(self),
            Yaml::Number(_) => self.is_inexact(text).then_some(self),
            Yaml::List(items) => items.iter().find_map(|item| item.first_without_json(text)),
            Yaml::Map(entries) => entries.iter().find_map(|entry| entry.value.first_without_json(text)),
            Yaml::Null | Yaml::Bool(_) | Yaml::Text(_) => None,
        }
    }

    /// Returns the value's type with its article, as a message says it.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "a bool",
            Yaml::Number(_) | Yaml::NotFinite => "a number",
            Yaml::Text(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) | Yaml::Broken => "a map",
        }
    }
}
