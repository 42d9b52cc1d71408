//! The parser's events to a tree: anchors, merge keys, tags, types and limits.
//!
//! The parser knows YAML's grammar; this module knows what its events mean. It builds without recursion. Main
//! function: [`build`].

use std::borrow::Cow;
use std::collections::BTreeSet;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::Number;

use super::diagnostic::Diagnostic;
use super::source::{DEPTH_MAX, Entry, Node, Origin, Yaml};
use super::{Place, syntax};

/// How many values aliases may add in a small file; [`values_max`] lets it grow with the file.
const ALIASED_VALUES_MIN: usize = 100_000;
/// How many values aliases may add in the largest one.
const ALIASED_VALUES_MAX: usize = 5_000_000;

/// Returns the tree of a text, nothing if it holds no value, or the first thing in it that is no YAML, or none that a
/// plan may have.
pub(super) fn build(text: &str) -> Result<Option<Node>, Box<Diagnostic>> {
    let mut options = granit_parser::options! { flow_nesting_limit: DEPTH_MAX };
    options.set_emit_comments(false);
    let mut builder = Builder::new(text);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| unreadable(&error, text))?;
        builder.take(event, &span)?;
    }
    Ok(builder.root)
}

/// Returns how many values aliases may add in a file of this many bytes: a large plan passes, a bomb does not.
fn values_max(bytes: usize) -> usize {
    (10 * bytes + ALIASED_VALUES_MIN).min(ALIASED_VALUES_MAX)
}

fn unreadable(error: &ScanError, text: &str) -> Box<Diagnostic> {
    let mark = error.marker();
    syntax::unreadable(&error.info(), Place { line: mark.line(), column: mark.col() + 1 }, text).into()
}

/// A value with its size, which an alias needs to know before it repeats it.
#[derive(Clone)]
struct Built {
    node: Node,
    /// How many values it is, itself included.
    values: usize,
    /// How many lists and maps deep it is.
    depth: usize,
}

impl Built {
    fn scalar(node: Node) -> Self {
        Self { node, values: 1, depth: 0 }
    }
}

/// A list or map whose end has not come.
struct Open {
    content: Content,
    origin: Origin,
    /// The anchor's id; 0 without one.
    anchor: usize,
    values: usize,
    /// How deep the deepest value in it is.
    depth: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Key,
        /// The values of its `<<`, in their order.
        merged: Vec<Node>,
    },
}

/// What a map waits for.
enum Key {
    /// A key.
    Missing,
    /// The value of this key.
    Of(Node),
    /// The value of `<<`.
    Merge,
}

struct Builder<'a> {
    text: &'a str,
    /// The lists and maps around the next value, the innermost last.
    open: Vec<Open>,
    /// The values that have an anchor, by its id; nothing while its end has not come.
    anchors: Vec<Option<Built>>,
    /// How many values anchors and aliases may still add.
    values_left: usize,
    has_document: bool,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            open: Vec::new(),
            anchors: Vec::new(),
            values_left: values_max(text.len()),
            has_document: false,
            root: None,
        }
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::DocumentStart(..) if self.has_document => {
                Err(syntax::several_documents(place(span), self.text).into())
            }
            Event::DocumentStart(..) => {
                self.has_document = true;
                Ok(())
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.scalar(value, style, anchor, tag.as_deref(), span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Content::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), key: Key::Missing, merged: Vec::new() };
                self.begin(content, anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, span),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        value: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<(), Box<Diagnostic>> {
        let is_plain = style == ScalarStyle::Plain;
        let is_merge = is_plain && tag.is_none() && value == "<<";
        let value = match tag {
            Some(tag) => self.tagged(tag, value, is_plain, span)?,
            None if is_plain => plain(value),
            None => Yaml::Text(value.into_owned()),
        };
        if is_merge
            && let Some(Open { content: Content::Map { key: key @ Key::Missing, .. }, .. }) =
                self.open.last_mut()
        {
            *key = Key::Merge;
            return Ok(());
        }
        self.finish(Built::scalar(Node::new(value, origin(span))), anchor)
    }

    /// Returns the value of a scalar that has a tag: one of YAML's own types, or `!`, which makes it a text.
    fn tagged(
        &self,
        tag: &Tag,
        value: Cow<'_, str>,
        is_plain: bool,
        span: &Span,
    ) -> Result<Yaml, Box<Diagnostic>> {
        if is_text(tag) {
            return Ok(Yaml::Text(value.into_owned()));
        }
        let Some(kind @ ("null" | "bool" | "int" | "float")) = tag.core_suffix() else {
            return Err(self.unknown(tag, span));
        };
        let value =
            if is_plain || kind == "null" { plain(value) } else { plain(Cow::Borrowed(value.trim())) };
        match (kind, value) {
            ("null", _) => Ok(Yaml::Null),
            ("bool", value @ Yaml::Bool(_)) | ("float", value @ Yaml::NotFinite) => Ok(value),
            ("int", Yaml::Number(number)) if !number.is_f64() => Ok(Yaml::Number(number)),
            ("float", Yaml::Number(number)) => Ok(number.as_f64().map_or(Yaml::NotFinite, float)),
            _ => Err(syntax::unfit_tag(place(span)).into()),
        }
    }

    fn unknown(&self, tag: &Tag, span: &Span) -> Box<Diagnostic> {
        syntax::unknown_tag(&tag.original(), place(span), self.text).into()
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<(), Box<Diagnostic>> {
        if self.open.len() == DEPTH_MAX {
            return Err(syntax::too_deep(place(span)).into());
        }
        let own = if matches!(content, Content::List(_)) { "seq" } else { "map" };
        if let Some(tag) = tag
            && tag.core_suffix() != Some(own)
            && !is_unspecific(tag)
        {
            return Err(self.unknown(tag, span));
        }
        self.open.push(Open { content, origin: origin(span), anchor, values: 1, depth: 0 });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Box<Diagnostic>> {
        let Some(Open { content, origin, anchor, values, depth }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Yaml::List(items),
            Content::Map { mut entries, merged, .. } => {
                merge(&mut entries, merged, self.text);
                Yaml::Map(entries)
            }
        };
        self.finish(Built { node: Node::new(value, origin), values, depth: depth + 1 }, anchor)
    }

    /// Repeats what an anchor marked.
    fn alias(&mut self, id: usize, span: &Span) -> Result<(), Box<Diagnostic>> {
        let place = place(span);
        let Some(Some(marked)) = self.anchors.get(id) else { return Err(syntax::own_anchor(place).into()) };
        if self.open.len() + marked.depth > DEPTH_MAX {
            return Err(syntax::too_deep(place).into());
        }
        let mut again = marked.clone();
        self.spend(again.values, place)?;
        again.node.repeated_at(place);
        self.finish(again, 0)
    }

    /// Counts values that are not written where they stand: a few lines of anchors and aliases can make more of them than
    /// any memory holds.
    fn spend(&mut self, values: usize, place: Place) -> Result<(), Box<Diagnostic>> {
        let left = self.values_left.checked_sub(values);
        self.values_left = left.ok_or_else(|| syntax::bomb(place, self.text))?;
        Ok(())
    }

    /// Keeps a value for its anchor and puts it where it belongs.
    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if anchor > 0 {
            self.spend(built.values, built.node.span().place)?;
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            self.anchors[anchor] = Some(built.clone());
        }
        let Built { node, values, depth } = built;
        let Some(around) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        around.values += values;
        around.depth = around.depth.max(depth);
        match &mut around.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, merged } => match std::mem::replace(key, Key::Missing) {
                Key::Missing => *key = Key::Of(node),
                Key::Of(key) => entries.push(Entry { key, value: node }),
                Key::Merge => {
                    if let Some(wrong) = first_unmergeable(&node) {
                        return Err(syntax::unmergeable(wrong.span().place).into());
                    }
                    merged.push(node);
                }
            },
        }
        Ok(())
    }
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

fn origin(span: &Span) -> Origin {
    let bytes = span.byte_range().unwrap_or_default();
    Origin::new(place(span), span.len(), bytes)
}

/// Says whether a tag is `!`, which leaves the kind of a value and makes a scalar a text.
fn is_unspecific(tag: &Tag) -> bool {
    tag.suffix_in_namespace("!").is_some_and(|name| name.is_empty())
}

fn is_text(tag: &Tag) -> bool {
    is_unspecific(tag) || tag.core_suffix() == Some("str")
}

/// Returns the innermost value that `<<` cannot merge: it takes maps, lists of them, and nothing.
fn first_unmergeable(node: &Node) -> Option<&Node> {
    match &node.value {
        Yaml::Map(_) | Yaml::Null => None,
        Yaml::List(items) => items.iter().find_map(first_unmergeable),
        _ => Some(node),
    }
}

/// Adds to a map what `<<` brings and the map has not said itself; what is merged first wins.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>, text: &str) {
    if merged.is_empty() {
        return;
    }
    let name = |entry: &Entry| entry.key.key_text(text).map(str::to_owned);
    let mut known: BTreeSet<String> = entries.iter().filter_map(name).collect();
    let mut waiting = merged;
    waiting.reverse();
    while let Some(node) = waiting.pop() {
        match node.value {
            Yaml::List(items) => waiting.extend(items.into_iter().rev()),
            Yaml::Map(more) => {
                entries.extend(
                    more.into_iter().filter(|entry| name(entry).is_none_or(|name| known.insert(name))),
                );
            }
            _ => {}
        }
    }
}

/// Returns the value of an unquoted scalar by the core schema of YAML 1.2. `1_000` and `012` stay texts: nobody can say
/// which number their author meant.
fn plain(value: Cow<'_, str>) -> Yaml {
    match value.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        text => number(text).unwrap_or_else(|| Yaml::Text(value.into_owned())),
    }
}

/// Returns the number that a text is.
fn number(text: &str) -> Option<Yaml> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_negative = text.starts_with('-');
    let first = *digits.as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'.' || text.contains('_') {
        return None;
    }
    if let ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" = digits {
        return Some(Yaml::NotFinite);
    }
    let (base, figures) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if figures.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        if base == 10
            && figures.len() > 1
            && first == b'0'
            && figures.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let whole = u64::from_str_radix(figures, base).ok();
        let whole = if is_negative {
            whole.and_then(|n| 0_i64.checked_sub_unsigned(n)).map(Number::from)
        } else {
            whole.map(Number::from)
        };
        if let Some(whole) = whole {
            return Some(Yaml::Number(whole));
        }
    }
    text.parse().ok().map(float)
}

fn float(value: f64) -> Yaml {
    Number::from_f64(value).map_or(Yaml::NotFinite, Yaml::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::build;
    use crate::plan::Place;
    use crate::plan::source::{Node, Yaml};

    fn read(text: &str) -> Node {
        build(text).expect("this is YAML").expect("there is a value")
    }

    fn json(text: &str) -> Value {
        read(text).to_json(text).expect("JSON can say it")
    }

    fn refused(text: &str) -> String {
        let found = build(text).expect_err("this is refused");
        let place = found.place().unwrap_or_default();
        format!("{}:{} {}", place.line, place.column, found.code.id())
    }

    /// The library that reads the emulator's scripts has readers of its own for types, anchors and merge keys.
    #[test]
    fn reads_as_another_reader_does() {
        for text in [
            "a: [~, null, Null, NULL, '', true, True, TRUE, false, yes, no, on, off, y, nULL]",
            "a: [0, -0, +1, -17, 0x1F, -0x1f, 0o17, 0b101, 08x, 18446744073709551615, -9223372036854775808]",
            "a: [1.5, -1.5, .5, 5., 1e3, 1E-3, +1.0, 1.0e+3, 1e, e1, ., .., -, +, --1, 1.2.3, 0x, 0xg, 0o8, 1_0x]",
            "a: ['1', \"true\", '~']\nb: |\n  12\nc: >-\n  true\n",
            "a: {b: &x {c: 1, d: [2]}, e: *x, f: {<<: *x, c: 3}, g: {<<: [*x, {h: 4, c: 5}], i: 6}}",
            "a: {<<: ~, b: 1}\nc: {'<<': 2}\nd: {<<: {<<: {e: 1}, f: 2}}",
            "a: [!!str 1, !!str ~, ! 1, !!int 7, !!float 7, !!null x, !!bool true, !!seq [1], !!map {b: 1}, ! [1], !!int '7']",
            "&k a: 1\n? &l b\n: *k\nc: *l\n",
            "a: &x 1\nb: &x 2\nc: *x\n",
            "- a\n-\n- b:\n- - c\n",
            "just words\n",
        ] {
            let options = serde_saphyr::options! {
                strict_booleans: true,
                leading_zero_numbers_as_strings: true,
                underscored_numbers_as_strings: true,
            };
            match serde_saphyr::from_str_with_options::<Value>(text, options) {
                Ok(value) => assert_eq!(json(text), value, "{text}"),
                Err(error) => assert!(build(text).is_err(), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn numbers_that_nobody_can_mean_stay_texts() {
        assert_eq!(json("[012, -012, 1_000, 0_1, 00]"), json!(["012", "-012", "1_000", "0_1", "00"]));
        assert_eq!(json("[inf, nan, infinity, -inf]"), json!(["inf", "nan", "infinity", "-inf"]));
        assert_eq!(json("[00.5, 0e5]"), json!([0.5, 0.0]));
        for text in [".inf", "-.Inf", "+.INF", ".nan", "1e999", "-1e999", "!!float .inf"] {
            assert!(matches!(read(text).value, Yaml::NotFinite), "{text}");
        }
    }

    #[test]
    fn what_a_map_says_itself_counts() {
        let text = "m: &m {a: 1, b: 2}\nn: &n {b: 3, c: 4}\nx: {b: 0, <<: [*m, *n], d: 5}\n";
        let x = json(text)["x"].to_string();
        assert_eq!(x, r#"{"b":0,"d":5,"a":1,"c":4}"#);
    }

    #[test]
    fn repeated_values_know_both_places() {
        let text = "a: &x {b: [1]}\nc: {d: *x}\n";
        let Yaml::Map(entries) = read(text).value else { panic!("a map") };
        let Yaml::Map(inner) = &entries[1].value.value else { panic!("a map") };
        let Yaml::Map(repeated) = &inner[0].value.value else { panic!("a map") };
        let Yaml::List(items) = &repeated[0].value.value else { panic!("a list") };
        for node in [&inner[0].value, &repeated[0].key, &repeated[0].value, &items[0]] {
            assert_eq!(node.span().place.line, 1);
            assert_eq!(node.span().alias, Some(Place { line: 2, column: 8 }));
        }
        let Yaml::Map(first) = &entries[0].value.value else { panic!("a map") };
        assert_eq!(first[0].value.span().alias, None);
    }

    #[test]
    fn refuses_what_no_plan_means() {
        let check = |text: &str, want: &str| assert_eq!(refused(text), want, "{text}");
        check("a: !!binary aGVsbG8=\n", "1:4 E0113");
        check("a: !!int x\n", "1:10 E0113");
        check("a: !!bool 1\n", "1:11 E0113");
        check("a: !!int [1]\n", "1:4 E0113");
        check("a: !!seq {b: 1}\n", "1:4 E0113");
        check("a: {<<: [{b: 1}, 2]}\n", "1:18 E0111");
        check("a: &x 1\nb: {<<: *x}\n", "1:7 E0111");
        check("a: &x {b: *x}\n", "1:11 E0111");
        check("a: 1\n...\n---\nb: 1\n", "3:1 E0108");
    }

    #[test]
    fn aliases_keep_the_limits() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(build(&format!("a: &a {}\nb: {}", nested(40), nested(60))).is_ok());
        let deeper = format!("a: &a {}\nb: {}*a{}\n", nested(40), "[".repeat(30), "]".repeat(30));
        assert_eq!(refused(&deeper), "2:34 E0109");
        let many = format!("a: &a [{}]\nb: [{}]\n", vec!["1"; 1000].join(","), vec!["*a"; 200].join(","));
        assert!(refused(&many).ends_with("E0110"));
        let kept = format!("{}{}{}", "&x [".repeat(60), vec!["1"; 3000].join(","), "]".repeat(60));
        assert!(refused(&kept).ends_with("E0110"));
    }
}
