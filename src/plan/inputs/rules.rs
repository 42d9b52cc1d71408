//! What a value of an input must be: its type, and what `one_of`, `pattern`, `min`, `max` and `secret` say of it.

use std::cmp::Ordering;

use jiff::civil::Date;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::kind::{InputType, from_node, shown};
use super::reference;
use crate::plan::code::Code;
use crate::plan::diagnostic::{Diagnostic, Span};
use crate::plan::reader::{Fields, Reader, excerpt};
use crate::plan::source::{Entry, Node, Yaml};
use crate::plan::{dates, words};

/// How much memory a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// How many allowed values a message names.
const NAMED_MAX: usize = 12;

/// The rules of one input.
pub(super) struct Rules {
    pub(super) kind: InputType,
    pub(super) is_secret: bool,
    one_of: Option<(Vec<Value>, Span)>,
    pattern: Option<(Regex, String, Span)>,
    min: Option<(Value, Span)>,
    max: Option<(Value, Span)>,
}

/// The rule that a value breaks.
pub(super) struct Broken {
    pub(super) code: Code,
    /// Why, in half a sentence. Never holds the value of a secret input.
    pub(super) why: String,
    /// Where the rule stands; nothing for a secret's form.
    pub(super) rule: Option<Span>,
    /// The value that was probably meant.
    pub(super) near: Option<String>,
    pub(super) help: String,
}

impl Rules {
    /// Reads the rules of an input and checks that they make sense for its type.
    pub(super) fn read(reader: &mut Reader<'_>, fields: Fields<'_>, kind: InputType, today: Date) -> Self {
        if let Some(node) = fields.get("secret") {
            reader.bool(node, "`secret`");
        }
        let is_secret = is_secret(fields);
        let mut rules = Self { kind, is_secret, one_of: None, pattern: None, min: None, max: None };
        if is_secret {
            rules.check_secret(reader, fields);
            rules.kind = InputType::String;
            return rules;
        }
        if let Some(entry) = fields.entry("one_of") {
            rules.one_of = rules.read_one_of(reader, entry, today);
        }
        if let Some(entry) = fields.entry("pattern") {
            rules.pattern = rules.read_pattern(reader, entry);
        }
        rules.min = fields.entry("min").and_then(|entry| rules.read_limit(reader, entry, "min", today));
        rules.max = fields.entry("max").and_then(|entry| rules.read_limit(reader, entry, "max", today));
        if let (Some((min, low)), Some((max, high))) = (&rules.min, &rules.max)
            && order(min, max) == Ordering::Greater
        {
            let message =
                format!("`min` is {} and `max` is {}: no value lies between them", shown(min), shown(max));
            reader.report(
                Diagnostic::at(Code::EmptyRange, *high, message)
                    .also(*low, "this is larger")
                    .help("exchange the two, or correct one of them; both limits are themselves allowed"),
            );
            (rules.min, rules.max) = (None, None);
        }
        rules
    }

    /// Says whether a value keeps the rules. Its type is right already, but for a secret's form.
    pub(super) fn check(&self, value: &Value) -> Result<(), Box<Broken>> {
        if self.is_secret {
            return match value.as_str().map(reference::check) {
                Some(Ok(())) => Ok(()),
                Some(Err(why)) => Err(Box::new(no_reference(why))),
                None => Err(Box::new(no_reference("it is no text, or a template that cannot be evaluated"))),
            };
        }
        if let Some((allowed, span)) = &self.one_of
            && !allowed.iter().any(|allowed| order(allowed, value) == Ordering::Equal)
        {
            return Err(Box::new(not_one_of(value, allowed, *span)));
        }
        if let Some((pattern, text, span)) = &self.pattern
            && !pattern.is_match(value.as_str().unwrap_or_default())
        {
            return Err(Box::new(Broken {
                code: Code::NoMatch,
                why: format!("`{}` does not match the pattern `{}`", shown(value), excerpt(text)),
                rule: Some(*span),
                near: None,
                help: "the whole text must match the regular expression, not a part of it".to_owned(),
            }));
        }
        let limits = [(&self.min, Ordering::Less, "min"), (&self.max, Ordering::Greater, "max")];
        for (limit, beyond, key) in limits {
            let Some((limit, span)) = limit else { continue };
            if order(value, limit) == beyond {
                return Err(Box::new(self.outside(value, limit, key, *span)));
            }
        }
        Ok(())
    }

    fn outside(&self, value: &Value, limit: &Value, key: &str, span: Span) -> Broken {
        let relation = match (self.kind, key) {
            (InputType::Date, "min") => "before",
            (InputType::Date, _) => "after",
            (_, "min") => "less than",
            _ => "more than",
        };
        let range = match (&self.min, &self.max) {
            (Some((min, _)), Some((max, _))) => format!("from {} to {}", shown(min), shown(max)),
            (Some((min, _)), None) => {
                format!("{} or {}", shown(min), if relation == "before" { "later" } else { "more" })
            }
            (None, Some((max, _))) => {
                format!("{} or {}", shown(max), if relation == "after" { "earlier" } else { "less" })
            }
            (None, None) => String::new(),
        };
        Broken {
            code: Code::OutsideRange,
            why: format!("{} is {relation} {}", shown(value), shown(limit)),
            rule: Some(span),
            near: None,
            help: format!("give {}, {range}", self.kind.noun()),
        }
    }

    /// Checks that no other key speaks of the value of a secret, which nobody knows here.
    fn check_secret(&self, reader: &mut Reader<'_>, fields: Fields<'_>) {
        if self.kind != InputType::String
            && let Some(entry) = fields.entry("type")
        {
            let message = format!("a secret input is a string, not {}", self.kind.with_article());
            reader.report(
                Diagnostic::at(Code::KeyNotForType, entry.value.span(), message)
                    .help("write `type: string`: its value is a reference to the secret"),
            );
        }
        for key in ["one_of", "pattern", "min", "max"] {
            let Some(entry) = fields.entry(key) else { continue };
            let message =
                format!("`{key}` cannot be checked on a secret: only a reference to it is known here");
            reader.report(
                Diagnostic::at(Code::KeyNotForType, entry.key.span(), message)
                    .help(format!("remove `{key}`")),
            );
        }
    }

    fn read_one_of(&self, reader: &mut Reader<'_>, entry: &Entry, today: Date) -> Option<(Vec<Value>, Span)> {
        let plain = [InputType::String, InputType::Int, InputType::Float, InputType::Date];
        if !plain.contains(&self.kind) {
            return self.not_for_type(reader, entry, "one_of", &plain);
        }
        let items = reader.list(&entry.value, "`one_of`")?;
        if items.is_empty() {
            reader.report(
                Diagnostic::at(Code::EmptyCollection, entry.key.span(), "`one_of` allows no value")
                    .help("list what is allowed: `one_of: [dev, test, prod]`; or leave it out"),
            );
            return None;
        }
        let what = format!("a value of `one_of` of {} input", self.kind.with_article());
        let values: Vec<Value> =
            items.iter().filter_map(|item| self.constant(reader, item, &what, today)).collect();
        // A wrong one has been reported: whatever is given might be it.
        (values.len() == items.len()).then(|| (values, entry.key.span()))
    }

    fn read_pattern(&self, reader: &mut Reader<'_>, entry: &Entry) -> Option<(Regex, String, Span)> {
        if self.kind != InputType::String {
            return self.not_for_type(reader, entry, "pattern", &[InputType::String]);
        }
        let node = &entry.value;
        let text =
            reader.words(node, "`pattern`", "write a regular expression: `[a-z]{2}[0-9]+`")?.to_owned();
        if has_template(reader, node, "`pattern`") {
            return None;
        }
        let whole = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build();
        // Alone as well, so that `)|(` does not make sense because of what stands around it.
        let alone = RegexBuilder::new(&text).size_limit(PATTERN_BYTES_MAX).build();
        match alone.and(whole) {
            Ok(pattern) => Some((pattern, text, entry.key.span())),
            Err(error) => {
                let (why, help) = explain(&error);
                let message = format!("`pattern` cannot be used: {why}");
                reader.report(Diagnostic::at(Code::BadPattern, node.span(), message).help(help));
                None
            }
        }
    }

    fn read_limit(
        &self,
        reader: &mut Reader<'_>,
        entry: &Entry,
        key: &str,
        today: Date,
    ) -> Option<(Value, Span)> {
        let ordered = [InputType::Int, InputType::Float, InputType::Date];
        if !ordered.contains(&self.kind) {
            return self.not_for_type(reader, entry, key, &ordered);
        }
        let what = format!("`{key}` of {} input", self.kind.with_article());
        self.constant(reader, &entry.value, &what, today).map(|limit| (limit, entry.key.span()))
    }

    /// Reads a value of the input's type that is no template.
    fn constant(&self, reader: &mut Reader<'_>, node: &Node, what: &str, today: Date) -> Option<Value> {
        if has_template(reader, node, what) {
            return None;
        }
        match from_node(self.kind, node, reader.text, today) {
            Ok(value) => Some(value),
            Err((why, span)) => {
                if !matches!(node.value, Yaml::Broken) {
                    let message = format!("{what} must be {}", self.kind.noun());
                    let finding = Diagnostic::at(Code::WrongType, span, message).label(why);
                    reader.report(finding.help(match self.kind {
                        InputType::Date => dates::FORMS.to_owned(),
                        kind => format!("write {} such as `{}`", kind.noun(), kind.example()),
                    }));
                }
                None
            }
        }
    }

    fn not_for_type<T>(
        &self,
        reader: &mut Reader<'_>,
        Entry { key, .. }: &Entry,
        name: &str,
        types: &[InputType],
    ) -> Option<T> {
        let message = format!("`{name}` does not go with the type {}", self.kind.word());
        let types = words::list(types.iter().map(|kind| kind.word()), "and");
        let help = match (name, self.kind) {
            ("min" | "max", InputType::String) => {
                format!("it is for {types}; a text has `pattern`: `.{{1,20}}`")
            }
            ("pattern", _) => format!("it is for {types}; numbers and dates have `min` and `max`"),
            _ => format!("it is for {types}: remove it"),
        };
        reader.report(Diagnostic::at(Code::KeyNotForType, key.span(), message).help(help));
        None
    }
}

/// Says whether an input is a secret. One that may be meant as such is treated as such.
pub(super) fn is_secret(fields: Fields<'_>) -> bool {
    fields.get("secret").is_some_and(|node| !matches!(node.value, Yaml::Bool(false)))
}

/// Reports a template in a value that cannot be one. Recurses as deep as the tree, which has a limit.
pub(super) fn has_template(reader: &mut Reader<'_>, node: &Node, what: &str) -> bool {
    fn find(node: &Node) -> Option<&Node> {
        match &node.value {
            Yaml::Text(text) => text.contains("{{").then_some(node),
            Yaml::List(items) => items.iter().find_map(find),
            Yaml::Map(entries) => entries.iter().find_map(|entry| find(&entry.value)),
            _ => None,
        }
    }
    let Some(found) = find(node) else { return false };
    let message = format!("{what} cannot be a template");
    reader.report(
        Diagnostic::at(Code::NoTemplateHere, found.span(), message).help(
            "write the value itself; templates stand in an input's `default`, in `run_key` and in steps",
        ),
    );
    true
}

fn not_one_of(value: &Value, allowed: &[Value], rule: Span) -> Broken {
    let names: Vec<String> = allowed.iter().map(shown).collect();
    let first = names.iter().take(NAMED_MAX).map(String::as_str);
    let help = match names.len().checked_sub(NAMED_MAX) {
        Some(more @ 1..) => format!("allowed are {} and {more} more", words::list(first, "and")),
        _ => format!("allowed {} {}", if names.len() == 1 { "is" } else { "are" }, words::list(first, "and")),
    };
    let near = words::nearest(&shown(value), names.iter().map(String::as_str)).map(str::to_owned);
    Broken {
        code: Code::NotOneOf,
        why: format!("`{}` is not in `one_of`", shown(value)),
        rule: Some(rule),
        near,
        help,
    }
}

fn no_reference(why: &str) -> Broken {
    Broken {
        code: Code::NoReference,
        why: why.to_owned(),
        rule: None,
        near: None,
        help: format!("say where the secret is, never what it is: {}", reference::FORMS),
    }
}

/// Compares two values of one type: numbers exactly, days and texts by their letters.
fn order(left: &Value, right: &Value) -> Ordering {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        _ => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
        },
    }
}

/// Returns why a pattern cannot be used, and what to do about it.
fn explain(error: &regex::Error) -> (String, &'static str) {
    match error {
        regex::Error::Syntax(text) => {
            // The last line says it; those above show the place.
            let why = text.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
            let why = why.unwrap_or("it is no regular expression").to_owned();
            let help = if why.contains("look-around") || why.contains("backreferences") {
                "write it without look-around and backreferences; the whole text must match it anyway"
            } else {
                "correct it; a special character that is meant as itself has a `\\` before it"
            };
            (why, help)
        }
        regex::Error::CompiledTooBig(_) => {
            ("it is too large".to_owned(), "use smaller numbers in `{...}`, or `*` and `+`")
        }
        _ => ("it is no regular expression".to_owned(), "correct it"),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use serde_json::{Value, json};

    use super::order;

    #[test]
    fn compares_without_rounding() {
        let check = |left: Value, right: Value, want: Ordering| {
            assert_eq!(order(&left, &right), want, "{left} {right}");
        };
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), Ordering::Greater);
        check(json!(u64::MAX), json!(i64::MAX), Ordering::Greater);
        check(json!(-1), json!(u64::MAX), Ordering::Less);
        check(json!(1.5), json!(1), Ordering::Greater);
        check(json!(2), json!(2.0), Ordering::Equal);
        check(json!("2024-02-29"), json!("2024-03-01"), Ordering::Less);
    }
}
