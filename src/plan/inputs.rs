//! The inputs of a plan: declared types, values given on the command line, defaults.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value};

use super::code::Code;
use super::compare::Kind;
use super::diagnostic::{Diagnostic, Span};
use super::reader::Reader;
use super::shape::{INPUT, INPUT_TYPES};
use super::source::{self, Entry, Node, Source, Yaml};
use super::template::{Known, render_now};
use super::{Given, dates, steps, words};
use crate::time::Timestamp;

/// The type of an input, in the order of [`INPUT_TYPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputType {
    String,
    Int,
    Float,
    Bool,
    Date,
    Array,
    Object,
}

impl InputType {
    const ALL: [Self; 7] =
        [Self::String, Self::Int, Self::Float, Self::Bool, Self::Date, Self::Array, Self::Object];

    fn word(self) -> &'static str {
        let [string, int, float, bool, date, array, object] = INPUT_TYPES;
        match self {
            Self::String => string,
            Self::Int => int,
            Self::Float => float,
            Self::Bool => bool,
            Self::Date => date,
            Self::Array => array,
            Self::Object => object,
        }
    }

    /// Returns what its values are for a condition.
    fn kind(self) -> Kind {
        match self {
            Self::String => Kind::Text,
            Self::Int | Self::Float => Kind::Number,
            Self::Bool => Kind::Bool,
            Self::Date => Kind::Date,
            Self::Array => Kind::List,
            Self::Object => Kind::Object,
        }
    }

    /// Returns what a value of the type is, with its article.
    fn noun(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Bool => "`true` or `false`",
            Self::Date => "a date",
            Self::Array => "a list",
            Self::Object => "a map",
        }
    }

    /// Returns a value as it is written on the command line.
    fn example(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Int => "3",
            Self::Float => "0.5",
            Self::Bool => "true",
            Self::Date => "yesterday",
            Self::Array => "'[a, b]'",
            Self::Object => "'{a: 1}'",
        }
    }
}

/// Returns the names of the inputs that a plan's text declares; none if it is no plan.
pub fn declared(bytes: &[u8]) -> Vec<String> {
    let Ok(Source { text, root, .. }) = source::read(bytes) else { return Vec::new() };
    let entries = |node: &Node| match &node.value {
        Yaml::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let is_inputs = |entry: &Entry| entry.key.key_text(text) == Some("inputs");
    let inputs = entries(&root).into_iter().find(is_inputs).map(|entry| entries(&entry.value));
    let names = inputs.into_iter().flatten();
    names.filter_map(|entry| entry.key.key_text(text).map(str::to_owned)).collect()
}

/// Reads `inputs` and gives each its value in the scope of `known`; what has none yet is open.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    given: &Given,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) {
    let text = reader.text;
    let entries = node.and_then(|node| reader.map(node, "`inputs`")).unwrap_or_default();
    let names = || entries.iter().filter_map(|entry| entry.key.key_text(text));
    // The last of several values for one name counts, as with other tools.
    let texts: BTreeMap<&str, &str> =
        given.inputs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for name in texts.keys() {
        if node.is_none_or(|node| !matches!(node.value, Yaml::Broken))
            && !names().any(|declared| declared == *name)
        {
            let finding = undeclared(name, names().collect());
            reader.report(finding);
        }
    }
    known.later_inputs = names().map(str::to_owned).collect();
    for entry in entries {
        let name = entry.key.key_text(text).unwrap_or_default();
        let value = one(reader, entry, name, &texts, given, known, env);
        known.later_inputs.remove(name);
        match value {
            Some(value) => drop(known.scope.inputs.insert(name.to_owned(), value)),
            None => drop(known.open_inputs.insert(name.to_owned())),
        }
    }
}

fn undeclared(name: &str, declared: Vec<&str>) -> Diagnostic {
    let finding = Diagnostic::whole(Code::InputUnknown, format!("the plan has no input `{name}`"));
    match words::nearest(name, declared.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `--input {near}=...`?")),
        None if declared.is_empty() => finding.help("the plan declares no inputs: leave `--input` out"),
        None => finding.help(format!("its inputs are {}", words::list(declared, "and"))),
    }
}

fn one(
    reader: &mut Reader<'_>,
    Entry { key, value: node }: &Entry,
    name: &str,
    texts: &BTreeMap<&str, &str>,
    given: &Given,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Value> {
    steps::check_id(reader, key, name, "an input's name");
    if let Yaml::Text(word) = &node.value
        && INPUT_TYPES.contains(&word.as_str())
    {
        let help = format!("write `{name}: {{ type: {word} }}`");
        return reader.wrong_type(node, &format!("the input `{name}`"), "a map", &help);
    }
    if let Some(form) = long_form(node, name, reader.text, given.now) {
        let help = format!("write `{form}`");
        return reader.wrong_type(node, &format!("the input `{name}`"), "a map", &help);
    }
    let fields = reader.fields(node, &format!("the input `{name}`"), &INPUT, key.span())?;
    if let Some(node) = fields.get("description") {
        reader.text(node, "`description`");
    }
    let kind = fields.get("type").and_then(|node| reader.word(node, "`type`", &INPUT_TYPES));
    let kind = InputType::ALL[kind?];
    known.input_kinds.insert(name.to_owned(), kind.kind());
    let default = fields.get("default").map(|node| default(reader, node, kind, given.now, known, env));
    if let Some(text) = texts.get(name) {
        return match from_text(kind, text, given.now) {
            Ok(value) => Some(value),
            Err(reason) => {
                reader.report(unreadable(name, kind, text, &reason, key.span()));
                None
            }
        };
    }
    if default.is_none() {
        reader.report(missing(name, kind, key.span(), given.inputs_required));
    }
    default.flatten()
}

/// Returns how an input is written whose default stands where its keys should be.
fn long_form(node: &Node, name: &str, text: &str, now: Timestamp) -> Option<String> {
    const SHOWN_CHARS_MAX: usize = 40;
    if let Yaml::Null = node.value {
        return Some(format!("{name}: {{ type: string }}"));
    }
    let (kind, default) = match &node.value {
        Yaml::Bool(_) => (InputType::Bool, node.spelling(text).to_owned()),
        Yaml::Number(number) if number.is_f64() => (InputType::Float, node.spelling(text).to_owned()),
        Yaml::Number(_) => (InputType::Int, node.spelling(text).to_owned()),
        Yaml::Text(word) => {
            let is_date = dates::resolve(word, now).is_ok();
            (if is_date { InputType::Date } else { InputType::String }, node.spelling(text).to_owned())
        }
        Yaml::List(_) => (InputType::Array, node.to_json(text).ok()?.to_string()),
        Yaml::Null | Yaml::NotFinite | Yaml::Map(_) | Yaml::Broken => return None,
    };
    let is_short = default.chars().count() <= SHOWN_CHARS_MAX && !default.contains('\n');
    let default = if is_short { &default } else { "..." };
    Some(format!("{name}: {{ type: {}, default: {default} }}", kind.word()))
}

fn unreadable(name: &str, kind: InputType, text: &str, reason: &str, declared: Span) -> Diagnostic {
    let message = format!("`--input {name}={text}` is not {}: {reason}", kind.noun());
    Diagnostic::at(Code::InputUnreadable, declared, message)
        .label(format!("declared here with the type {}", kind.word()))
        .help(format!("write it like `--input {name}={}`", kind.example()))
}

fn missing(name: &str, kind: InputType, declared: Span, required: bool) -> Diagnostic {
    let code = if required { Code::InputMissing } else { Code::InputOpen };
    let message = if required {
        format!("the input `{name}` is not given")
    } else {
        format!("the input `{name}` must be given when the plan is started")
    };
    Diagnostic::at(code, declared, message)
        .label("it has no default")
        .help(format!("give it with `--input {name}={}`", kind.example()))
}

/// Reads a default; reports if it does not fit the type.
fn default(
    reader: &mut Reader<'_>,
    node: &Node,
    kind: InputType,
    now: Timestamp,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Value> {
    let is_template =
        node.spelling(reader.text).contains("{{") || matches!(node.value, Yaml::List(_) | Yaml::Map(_));
    if is_template {
        known.refresh();
    }
    let value = match (&node.value, kind) {
        // A number where a text is wanted is the text it is spelled with.
        (Yaml::Number(_), InputType::String | InputType::Date) => node.spelling(reader.text).into(),
        (Yaml::Broken, _) => return None,
        _ => render_now(reader, node, known, env)?,
    };
    match fit(kind, value, now) {
        Ok(value) => Some(value),
        Err(reason) => {
            let finding = if is_template {
                Diagnostic::at(
                    Code::WrongResult,
                    node.span(),
                    format!("the default is not {}: {reason}", kind.noun()),
                )
            } else {
                let message =
                    format!("the default of {} input must be {}", article(kind.word()), kind.noun());
                Diagnostic::at(Code::WrongType, node.span(), message).label(reason)
            };
            let unquoted = match (&node.value, kind) {
                (Yaml::Text(text), InputType::Int | InputType::Float | InputType::Bool)
                    if from_text(kind, text, now).is_ok() =>
                {
                    Some(format!("write it without quotes: {text}"))
                }
                (Yaml::Bool(value), InputType::String) => Some(format!("quote it: \"{value}\"")),
                (_, InputType::Date) => Some(dates::FORMS.to_owned()),
                (Yaml::Number(_), InputType::Int) => {
                    Some("write a whole number, or `type: float`".to_owned())
                }
                _ => Some(format!("write it like `default: {}`", kind.example().trim_matches('\''))),
            };
            reader.report(match unquoted {
                Some(help) => finding.help(help),
                None => finding,
            });
            None
        }
    }
}

fn article(word: &str) -> String {
    let article = if word.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// Checks that a value has the type; says in half a sentence why it has not.
fn fit(kind: InputType, value: Value, now: Timestamp) -> Result<Value, String> {
    let fits = match (kind, &value) {
        (InputType::Date, Value::String(text)) => return dates::resolve(text, now).map(Value::String),
        (InputType::Int, Value::Number(number)) => !number.is_f64(),
        (InputType::String, Value::String(_))
        | (InputType::Float, Value::Number(_))
        | (InputType::Bool, Value::Bool(_))
        | (InputType::Array, Value::Array(_))
        | (InputType::Object, Value::Object(_)) => true,
        _ => false,
    };
    if fits { Ok(value) } else { Err(format!("it is {}", kind_of(&value))) }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a bool",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Reads a text of the command line by the declared type; says in half a sentence why it cannot.
fn from_text(kind: InputType, text: &str, now: Timestamp) -> Result<Value, String> {
    match kind {
        InputType::String => Ok(text.into()),
        InputType::Date => dates::resolve(text, now).map(Value::String),
        InputType::Bool => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("only `true` and `false` are understood".to_owned()),
        },
        InputType::Int => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(number), _) => Ok(number.into()),
            (_, Ok(number)) => Ok(number.into()),
            _ => Err(no_int(text).to_owned()),
        },
        InputType::Float => {
            if let Ok(number) = text.parse::<i64>() {
                return Ok(number.into());
            }
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| "it cannot be read as a number".to_owned())
        }
        InputType::Array | InputType::Object => fit(kind, from_yaml(text)?, now),
    }
}

/// Says why a text cannot be read as a whole number.
fn no_int(text: &str) -> &'static str {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        "it is outside what 64 bits can hold"
    } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
        "it has a fraction or an exponent"
    } else if text.is_empty() {
        "it is empty"
    } else {
        "it has other characters than digits"
    }
}

/// Reads JSON, or YAML in one line.
fn from_yaml(text: &str) -> Result<Value, String> {
    let first = |findings: &[Diagnostic]| match findings.first() {
        Some(finding) => finding.message.clone(),
        None => "it is neither JSON nor YAML".to_owned(),
    };
    let source = source::read(text.as_bytes()).map_err(|findings| first(&findings))?;
    if source.findings.iter().any(Diagnostic::is_error) {
        return Err(first(&source.findings));
    }
    source.root.to_json(source.text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{InputType, from_text};
    use crate::time::Timestamp;

    #[test]
    fn reads_texts_by_their_type() {
        let check = |kind: InputType, text: &str, want: Option<Value>| {
            assert_eq!(from_text(kind, text, Timestamp::from_epoch_ms(0)).ok(), want, "{kind:?} {text}");
        };
        check(InputType::String, "007", Some(json!("007")));
        check(InputType::String, "", Some(json!("")));
        check(InputType::Int, "9007199254740993", Some(json!(9_007_199_254_740_993_i64)));
        check(InputType::Int, "18446744073709551615", Some(json!(u64::MAX)));
        check(InputType::Int, "-5", Some(json!(-5)));
        check(InputType::Int, "1.5", None);
        check(InputType::Int, "99999999999999999999", None);
        check(InputType::Float, "1.5", Some(json!(1.5)));
        check(InputType::Float, "2", Some(json!(2)));
        check(InputType::Float, "inf", None);
        check(InputType::Bool, "true", Some(json!(true)));
        check(InputType::Bool, "yes", None);
        check(InputType::Date, "yesterday", Some(json!("1969-12-31")));
        check(InputType::Array, "[a, 'b', 3]", Some(json!(["a", "b", 3])));
        check(InputType::Array, "[\"a\", {\"b\": null}]", Some(json!(["a", { "b": null }])));
        check(InputType::Array, "a", None);
        check(InputType::Array, "[a", None);
        check(InputType::Array, "", None);
        check(InputType::Object, "{a: 1}", Some(json!({ "a": 1 })));
        check(InputType::Object, "{a: 1, a: 2}", None);
        check(InputType::Object, "[a]", None);
        check(InputType::Array, "[\"{{x}}\"]", Some(json!(["{{x}}"])));
    }
}
