//! Bytes to a tree of YAML in which every key and value knows its place.
//!
//! The only module that names the YAML library. It knows nothing of plans: it answers for UTF-8,
//! limits, syntax, duplicate keys, anchors and merge keys. Main types: [`Source`] and [`Node`].

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Options, Spanned};

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::{Place, syntax};

/// The largest file that is read, a plan or one with values of inputs, in bytes.
pub const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How deep lists and maps may be nested.
pub(super) const DEPTH_MAX: usize = 64;
/// How many values aliases may add in a small file; [`options`] lets it grow with the file.
const ALIASED_VALUES_MIN: usize = 100_000;
/// What to do about a file in another encoding.
const SAVE_AS: &str = "save the file as UTF-8 (in an editor: \"Save with Encoding\", \"UTF-8\")";
/// The stack for reading [`DEPTH_MAX`] levels, with much to spare.
const STACK_BYTES: usize = 16 * 1024 * 1024;

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
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
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
    let mut root = on_deep_stack(|| parse(text))?;
    let mut findings = Vec::new();
    audit(&mut root, text, &mut findings);
    if findings.iter().any(|finding| finding.code == Code::Invisible) {
        // The tree is not the one that its author sees: what else is wrong with it would only confuse.
        findings.retain(|finding| finding.code == Code::Invisible);
        return Err(findings);
    }
    Ok(Source { text, root, findings })
}

fn parse(text: &str) -> Result<Node, Vec<Diagnostic>> {
    match serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(text, options(text.len())) {
        Ok(Some(root)) => Ok(root.into()),
        Ok(None) => Err(vec![syntax::empty(text)]),
        Err(error) => Err(vec![syntax::explain(&error, text)]),
    }
}

/// Runs the recursive reader where it has room: an unoptimised build needs 45 KB for each level.
fn on_deep_stack<T: Send>(work: impl Fn() -> T + Sync) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, &work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No thread to be had: the caller's own stack will do for any plan of sane depth.
            Err(_) => work(),
        }
    })
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

/// Returns the reader's settings for a text of this many bytes: YAML 1.2 types, limits that grow
/// with the file so that a large plan passes and a bomb does not.
fn options(bytes: usize) -> Options {
    let aliased = 10 * bytes + ALIASED_VALUES_MIN;
    let values = bytes + aliased;
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 2 * aliased,
        },
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_events: 2 * values,
            max_nodes: values,
            max_recorded_anchor_events: 2 * aliased,
            max_merge_keys: 100_000,
            enforce_alias_anchor_ratio: false,
        },
    }
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

impl Node {
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
        let digits = self.spelling(text).trim_start_matches(['-', '+']);
        matches!(&self.value, Yaml::Number(number) if number.is_f64())
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

impl From<Spanned<Self>> for Node {
    fn from(spanned: Spanned<Self>) -> Self {
        let known = |location: &Location| location.line() > 0;
        let location = if known(&spanned.defined) { spanned.defined } else { spanned.referenced };
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let used = spanned.referenced;
        // An alias stands below its anchor; a map merged on the spot is referred to from just before it.
        let is_alias = (used.line(), used.column()) > (location.line(), location.column());
        let span = location.span();
        let origin = Origin {
            line: small(location.line()),
            column: small(location.column()),
            chars: small(span.len()),
            start: small(span.byte_offset().unwrap_or_default()),
            bytes: small(span.byte_len().unwrap_or_default()),
            alias: if is_alias { (small(used.line()), small(used.column())) } else { (0, 0) },
        };
        Self { origin, ..spanned.value }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(YamlVisitor)?;
        Ok(Self { value, origin: Origin::default() })
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Number::from_f64(value).map_or(Yaml::NotFinite, Yaml::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Yaml, E> {
        Ok(Yaml::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            items.push(item.into());
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Node>>()? {
            let value = map.next_value::<Spanned<Node>>()?.into();
            entries.push(Entry { key: key.into(), value });
        }
        Ok(Yaml::Map(entries))
    }
}
