//! The types of inputs: what a value of each is, and how a text or a value of YAML becomes one.

use jiff::civil::Date;
use serde_json::{Number, Value};

use crate::plan::compare::Kind;
use crate::plan::dates;
use crate::plan::diagnostic::{Diagnostic, Span};
use crate::plan::keys::INPUT_TYPES;
use crate::plan::reader::excerpt;
use crate::plan::source::{self, Node, Yaml};

/// The type of an input, in the order of [`INPUT_TYPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputType {
    String,
    Int,
    Float,
    Bool,
    Date,
    Array,
    Object,
}

impl InputType {
    /// Every type.
    pub(super) const ALL: [Self; 7] =
        [Self::String, Self::Int, Self::Float, Self::Bool, Self::Date, Self::Array, Self::Object];

    /// Returns the word of the plan language.
    pub(super) fn word(self) -> &'static str {
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
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::String => Kind::Text,
            Self::Int | Self::Float => Kind::Number,
            Self::Bool => Kind::Bool,
            Self::Date => Kind::Date,
            Self::Array => Kind::List,
            Self::Object => Kind::Object,
        }
    }

    /// Returns an input of the type, with its article: `an int`.
    pub(super) fn with_article(self) -> String {
        let word = self.word();
        format!("{} {word}", if word.starts_with(['a', 'i', 'o']) { "an" } else { "a" })
    }

    /// Returns what a value of the type is, with its article.
    pub(super) fn noun(self) -> &'static str {
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
    pub(super) fn example(self) -> &'static str {
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

/// Checks that a value has the type; says in half a sentence why it has not.
pub(super) fn fit(kind: InputType, value: Value, today: Date) -> Result<Value, String> {
    let fits = match (kind, &value) {
        (InputType::Date, Value::String(text)) => return dates::resolve(text, today).map(Value::String),
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

/// Reads a value of YAML or JSON as it stands, without templates; says in half a sentence why it has not the type, and
/// where.
pub(super) fn from_node(
    kind: InputType,
    node: &Node,
    text: &str,
    today: Date,
) -> Result<Value, (String, Span)> {
    let value = match (&node.value, kind) {
        // A number where a text is wanted is the text it is spelled with.
        (Yaml::Number(_), InputType::String | InputType::Date) => node.spelling(text).into(),
        _ => node.to_json(text).map_err(|why| (why, node.first_without_json(text).unwrap_or(node).span()))?,
    };
    fit(kind, value, today).map_err(|why| (why, node.span()))
}

/// Takes a value of another input of the name: as it is, or by what it would be on the command line.
pub(super) fn from_value(kind: InputType, value: &Value, today: Date) -> Result<Value, String> {
    fit(kind, value.clone(), today).or_else(|why| match value {
        Value::String(text) => from_text(kind, text, today),
        Value::Null => Err(why),
        other => from_text(kind, &other.to_string(), today),
    })
}

/// Writes a value for a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text),
        other => excerpt(&other.to_string()),
    }
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
pub(super) fn from_text(kind: InputType, text: &str, today: Date) -> Result<Value, String> {
    match kind {
        InputType::String => Ok(text.into()),
        InputType::Date => dates::resolve(text, today).map(Value::String),
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
        InputType::Array | InputType::Object => fit(kind, from_yaml(text)?, today),
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

    #[test]
    fn reads_texts_by_their_type() {
        let check = |kind: InputType, text: &str, want: Option<Value>| {
            assert_eq!(from_text(kind, text, jiff::civil::date(1970, 1, 1)).ok(), want, "{kind:?} {text}");
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
