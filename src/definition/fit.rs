//! Whether a value is what a parameter takes.
//!
//! The service takes a value of any type and fails later, or not at all (protocol 6.3): what surely is not what the
//! pipeline declares is an error, what could pass for it is doubtful. Main function: [`fit`].

use serde_json::Value;

use super::{Parameter, ParameterType};
use crate::plan::Preview;

/// How a value fits a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does, or nothing can be said.
    Good,
    /// It is a text that reads as a value of the type, or may.
    Doubtful,
    /// It does not.
    Bad,
}

/// Compares what is known of a value with what a parameter takes.
pub(super) fn fit(parameter: &Parameter, given: &Preview) -> Fit {
    // A published definition declares a text and has a map as default: what its author does, a plan may do.
    let is_like_default =
        |value: &Value| parameter.default.as_ref().is_some_and(|own| kind(own) == kind(value));
    match given {
        Preview::Value(Value::Null) if parameter.default.is_none() => Fit::Doubtful,
        Preview::Open | Preview::Value(Value::Null) => Fit::Good,
        Preview::Value(value) if is_like_default(value) => Fit::Good,
        Preview::Value(Value::String(text)) => of_text(&parameter.kind, Some(text)),
        Preview::Text => of_text(&parameter.kind, None),
        Preview::List => fits(matches!(parameter.kind, ParameterType::Array | ParameterType::Other(_))),
        Preview::Map => fits(matches!(parameter.kind, ParameterType::Object | ParameterType::Other(_))),
        Preview::Value(value) => fits(match &parameter.kind {
            ParameterType::String | ParameterType::SecureString => false,
            ParameterType::Int => value.is_i64() || value.is_u64(),
            ParameterType::Float => value.is_number(),
            ParameterType::Bool => value.is_boolean(),
            ParameterType::Array => value.is_array(),
            ParameterType::Object => value.is_object(),
            ParameterType::Other(_) => true,
        }),
    }
}

const fn fits(does: bool) -> Fit {
    if does { Fit::Good } else { Fit::Bad }
}

/// Judges a text, or one that is not known yet.
fn of_text(kind: &ParameterType, text: Option<&str>) -> Fit {
    let reads = |test: fn(&str) -> bool| {
        if text.is_none_or(|text| test(text.trim())) { Fit::Doubtful } else { Fit::Bad }
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    match kind {
        ParameterType::String | ParameterType::SecureString | ParameterType::Other(_) => Fit::Good,
        ParameterType::Int => reads(|text| text.parse::<i64>().is_ok()),
        ParameterType::Float => reads(|text| text.parse::<f64>().is_ok_and(f64::is_finite)),
        ParameterType::Bool => reads(|text| ["true", "false"].contains(&text.to_ascii_lowercase().as_str())),
        ParameterType::Array if text.is_none_or(|text| json(text).is_array()) => Fit::Doubtful,
        ParameterType::Object if text.is_none_or(|text| json(text).is_object()) => Fit::Doubtful,
        ParameterType::Array | ParameterType::Object => Fit::Bad,
    }
}

/// Returns the kind of a value in words, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a point",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Returns what is known of a value in words.
pub(super) fn shown(given: &Preview) -> &'static str {
    match given {
        Preview::Value(value) => kind(value),
        Preview::Text => "a text",
        Preview::List => "a list",
        Preview::Map => "a map",
        Preview::Open => "not known",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fit, fit};
    use crate::definition::{Parameter, ParameterType};
    use crate::plan::Preview;

    fn parameter(kind: &str, default: Option<Value>) -> Parameter {
        Parameter { name: "p".to_owned(), kind: ParameterType::read(kind), default }
    }

    #[test]
    fn a_value_fits_its_type_or_does_not() {
        let check = |kind: &str, good: &[Value], doubtful: &[Value], bad: &[Value]| {
            for (values, want) in [(good, Fit::Good), (doubtful, Fit::Doubtful), (bad, Fit::Bad)] {
                for value in values {
                    let got = fit(&parameter(kind, Some(Value::Null)), &Preview::Value(value.clone()));
                    assert_eq!(got, want, "{value} for {kind}");
                }
            }
        };
        let (list, map) = (json!([1]), json!({ "a": 1 }));
        check(
            "string",
            &[json!("x"), json!("")],
            &[],
            &[json!(1), json!(1.5), json!(true), list.clone(), map.clone()],
        );
        check(
            "Int",
            &[json!(1), json!(-1), json!(u64::MAX)],
            &[json!("1"), json!(" -7 ")],
            &[json!(1.5), json!(1.0), json!("x"), json!("1.5"), json!(""), json!(true), list.clone()],
        );
        check("float", &[json!(1), json!(1.5)], &[json!("1.5")], &[json!("NaN"), json!("x"), json!(false)]);
        check("Bool", &[json!(true)], &[json!("True"), json!("false")], &[json!("yes"), json!(1)]);
        check(
            "array",
            std::slice::from_ref(&list),
            &[json!("[1]")],
            &[json!("a,b"), map.clone(), json!("{}")],
        );
        check("object", &[map], &[json!("{\"a\": 1}")], &[json!("a"), list, json!("[]")]);
        check("date", &[json!("x"), json!(1), json!([])], &[], &[]);
    }

    #[test]
    fn what_is_not_known_yet_is_not_held_against_it() {
        let check = |kind: &str, given: Preview, want: Fit| {
            assert_eq!(fit(&parameter(kind, None), &given), want, "{given:?} for {kind}");
        };
        check("int", Preview::Open, Fit::Good);
        check("int", Preview::Text, Fit::Doubtful);
        check("string", Preview::Text, Fit::Good);
        check("string", Preview::List, Fit::Bad);
        check("array", Preview::List, Fit::Good);
        check("object", Preview::Map, Fit::Good);
        check("date", Preview::Map, Fit::Good);
        check("int", Preview::Value(Value::Null), Fit::Doubtful);
        let like_default = parameter("string", Some(json!({ "name": "x" })));
        assert_eq!(fit(&like_default, &Preview::Value(json!({}))), Fit::Good);
        assert_eq!(fit(&like_default, &Preview::Value(json!([]))), Fit::Bad);
    }
}
