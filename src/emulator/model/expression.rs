//! The service's expression language, as far as a run's course hangs on it: paths into parameters, variables,
//! items and outputs, and the functions conditions are made of. Anything else is [`Failing::Unknown`], and the
//! caller falls back to a default.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How deep calls may stand in each other: a definition is input, and must not exhaust the stack.
const DEPTH_MAX: usize = 64;

/// What an expression may read.
pub(super) struct Scope<'a> {
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) variables: &'a Map<String, Value>,
    pub(super) item: Option<&'a Value>,
    /// Outputs by activity name.
    pub(super) outputs: &'a BTreeMap<String, Value>,
    pub(super) run_id: &'a str,
    pub(super) pipeline: &'a str,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// The service would fail here, with this text.
    Error(String),
    /// The service might know; the emulator does not.
    Unknown,
}

/// Returns the value of a setting: a literal, an expression object, or a text that begins with `@`.
pub(super) fn evaluate(setting: &Value, scope: &Scope<'_>) -> Result<Value, Failing> {
    let text = match setting {
        Value::Object(object) if object.get("type").and_then(Value::as_str) == Some("Expression") => {
            match object.get("value") {
                Some(Value::String(text)) => text,
                Some(other) => return Ok(other.clone()),
                None => return Ok(Value::Null),
            }
        }
        Value::String(text) => text,
        literal => return Ok(literal.clone()),
    };
    if let Some(escaped) = text.strip_prefix("@@") {
        return Ok(Value::String(format!("@{escaped}")));
    }
    match text.strip_prefix('@') {
        Some(code) if !code.starts_with('{') => Parser { rest: code, depth: 0, scope }.whole(),
        _ if text.contains("@{") => interpolated(text, scope),
        _ => Ok(Value::String(text.clone())),
    }
}

/// Finds a member by its name without regard to case: real pipelines read `ExecutionId` and declare `executionId`.
pub(super) fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let alike = || members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    members.get(name).or_else(alike)
}

/// Returns a value as text, as the service puts it into texts and parameters.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn interpolated(text: &str, scope: &Scope<'_>) -> Result<Value, Failing> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        out.push_str(before);
        let mut parser = Parser { rest: after, depth: 0, scope };
        let value = parser.value()?;
        parser.expect("}")?;
        out.push_str(&as_text(&value));
        rest = parser.rest;
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

struct Parser<'a, 's> {
    rest: &'a str,
    depth: usize,
    scope: &'s Scope<'s>,
}

impl<'a> Parser<'a, '_> {
    fn whole(mut self) -> Result<Value, Failing> {
        let value = self.value()?;
        if self.rest.trim().is_empty() { Ok(value) } else { Err(Failing::Unknown) }
    }

    fn value(&mut self) -> Result<Value, Failing> {
        if self.depth == DEPTH_MAX {
            return Err(Failing::Unknown);
        }
        self.depth += 1;
        let value = self.value_with_members();
        self.depth -= 1;
        value
    }

    fn value_with_members(&mut self) -> Result<Value, Failing> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next().ok_or(Failing::Unknown)?;
        let mut value = if first == '\'' {
            Value::String(self.quoted()?)
        } else if first.is_ascii_digit() || first == '-' {
            self.number()?
        } else {
            self.named()?
        };
        // Members: `.name`, `?.name`, `[0]`, `['name']`.
        loop {
            self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                let name = self.word();
                value = value.get(name).cloned().ok_or(Failing::Unknown)?;
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                let index = self.value()?;
                self.expect("]")?;
                let found = match &index {
                    Value::String(name) => value.get(name),
                    other => other.as_u64().and_then(|at| value.get(at as usize)),
                };
                value = found.cloned().ok_or(Failing::Unknown)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Failing> {
        let mut out = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            let after = &self.rest[1 + at + c.len_utf8()..];
            if c != '\'' {
                out.push(c);
            } else if after.starts_with('\'') {
                out.push('\'');
                chars.next();
            } else {
                self.rest = after;
                return Ok(out);
            }
        }
        Err(Failing::Unknown)
    }

    fn number(&mut self) -> Result<Value, Failing> {
        let end =
            self.rest.find(|c: char| !c.is_ascii_digit() && !"-.eE".contains(c)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        serde_json::from_str(digits).map_err(|_| Failing::Unknown)
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn expect(&mut self, mark: &str) -> Result<(), Failing> {
        self.rest = self.rest.trim_start().strip_prefix(mark).ok_or(Failing::Unknown)?;
        Ok(())
    }

    /// Reads `true`, `false`, `null` or a call.
    fn named(&mut self) -> Result<Value, Failing> {
        let name = self.word().to_ascii_lowercase();
        if !self.rest.starts_with('(') {
            return match name.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                _ => Err(Failing::Unknown),
            };
        }
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.rest.trim_start().starts_with(')') {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.value()?);
        }
        self.expect(")")?;
        self.call(&name, &arguments)
    }

    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, Failing> {
        match (name, arguments) {
            ("pipeline", []) => self.pipeline(),
            ("item", []) => self.scope.item.cloned().ok_or(Failing::Unknown),
            ("variables", [Value::String(name)]) => {
                member(self.scope.variables, name).cloned().ok_or_else(|| {
                    Failing::Error(format!("The variable '{name}' is not declared in this pipeline"))
                })
            }
            ("activity", [Value::String(name)]) => {
                let output = self.scope.outputs.get(name).cloned().ok_or(Failing::Unknown)?;
                Ok(Value::Object(Map::from_iter([("output".to_owned(), output)])))
            }
            (name, arguments) => function(name, arguments),
        }
    }

    /// Reads what follows `pipeline()`.
    fn pipeline(&mut self) -> Result<Value, Failing> {
        self.expect(".")?;
        match self.word() {
            "parameters" => {
                self.expect(".")?;
                let name = self.word();
                let value = member(self.scope.parameters, name);
                value.cloned().ok_or_else(|| Failing::Error(parameter_not_found(name)))
            }
            "RunId" => Ok(Value::String(self.scope.run_id.to_owned())),
            "Pipeline" => Ok(Value::String(self.scope.pipeline.to_owned())),
            _ => Err(Failing::Unknown),
        }
    }
}

/// Returns the service's words for a parameter that nobody gave (protocol 6.3).
pub(super) fn parameter_not_found(name: &str) -> String {
    format!("The workflow parameter '{name}' is not found")
}

fn function(name: &str, arguments: &[Value]) -> Result<Value, Failing> {
    let truth = |value: &Value| value.as_bool().ok_or(Failing::Unknown);
    let number = |value: &Value| value.as_f64().ok_or(Failing::Unknown);
    let value = match (name, arguments) {
        ("equals", [a, b]) => Value::Bool(a == b || (a.is_number() && a.as_f64() == b.as_f64())),
        ("not", [a]) => Value::Bool(!truth(a)?),
        ("and", [a, b]) => Value::Bool(truth(a)? && truth(b)?),
        ("or", [a, b]) => Value::Bool(truth(a)? || truth(b)?),
        ("greater", [a, b]) => Value::Bool(number(a)? > number(b)?),
        ("greaterorequals", [a, b]) => Value::Bool(number(a)? >= number(b)?),
        ("less", [a, b]) => Value::Bool(number(a)? < number(b)?),
        ("lessorequals", [a, b]) => Value::Bool(number(a)? <= number(b)?),
        ("empty", [Value::Array(list)]) => Value::Bool(list.is_empty()),
        ("empty", [Value::String(text)]) => Value::Bool(text.is_empty()),
        ("length", [Value::Array(list)]) => Value::from(list.len()),
        ("length", [Value::String(text)]) => Value::from(text.chars().count()),
        ("concat", texts) => Value::String(texts.iter().map(as_text).collect()),
        ("string", [a]) => Value::String(as_text(a)),
        ("tolower", [Value::String(text)]) => Value::String(text.to_lowercase()),
        ("toupper", [Value::String(text)]) => Value::String(text.to_uppercase()),
        ("int", [a]) => match a {
            Value::String(text) => Value::from(text.trim().parse::<i64>().map_err(|_| Failing::Unknown)?),
            other => Value::from(number(other)? as i64),
        },
        ("bool", [a]) => match a {
            Value::String(text) => Value::Bool(text.eq_ignore_ascii_case("true") || text == "1"),
            Value::Bool(truth) => Value::Bool(*truth),
            other => Value::Bool(number(other)? != 0.0),
        },
        ("json", [Value::String(text)]) => serde_json::from_str(text).map_err(|_| Failing::Unknown)?,
        ("createarray", items) => Value::Array(items.to_vec()),
        ("range", [from, count]) => {
            let (from, count) =
                (from.as_i64().ok_or(Failing::Unknown)?, count.as_u64().ok_or(Failing::Unknown)?);
            // The service's own limit of iterations (protocol 7).
            let count = i64::try_from(count.min(100_000)).map_err(|_| Failing::Unknown)?;
            Value::Array((0..count).map(|step| Value::from(from.saturating_add(step))).collect())
        }
        ("if", [condition, yes, no]) => {
            if truth(condition)? {
                yes.clone()
            } else {
                no.clone()
            }
        }
        _ => return Err(Failing::Unknown),
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value, json};

    use super::{Failing, Scope, evaluate};

    fn value_of(setting: &Value) -> Result<Value, Failing> {
        let parameters: Map<String, Value> =
            json!({ "n": 3, "mode": "full", "list": ["a", "b"] }).as_object().cloned().expect("an object");
        let variables = Map::from_iter([("v".to_owned(), json!("x"))]);
        let item = json!({ "name": "one", "deep": [{ "k": true }] });
        let outputs = BTreeMap::from([("Look up".to_owned(), json!({ "firstRow": { "id": 7 } }))]);
        evaluate(
            setting,
            &Scope {
                parameters: &parameters,
                variables: &variables,
                item: Some(&item),
                outputs: &outputs,
                run_id: "r",
                pipeline: "p",
            },
        )
    }

    #[test]
    fn evaluates_what_courses_hang_on() {
        let check = |code: &str, want: Value| assert_eq!(value_of(&json!(code)), Ok(want), "{code}");
        check("plain", json!("plain"));
        check("@@at", json!("@at"));
        check("@pipeline().parameters.list", json!(["a", "b"]));
        check("@pipeline().parameters.MODE", json!("full"));
        check("@item().deep[0].k", json!(true));
        check("@item()['name']", json!("one"));
        check("@activity('Look up').output.firstRow.id", json!(7));
        check(
            "@and(equals(pipeline().parameters.mode, 'full'), greater(pipeline().parameters.n, 2))",
            json!(true),
        );
        check("run @{pipeline().RunId} of @{pipeline().Pipeline}: @{variables('v')}", json!("run r of p: x"));
        check("@concat('it''s ', string(3))", json!("it's 3"));
        check("@range(1, 3)", json!([1, 2, 3]));
        assert_eq!(value_of(&json!({ "value": "@not(false)", "type": "Expression" })), Ok(json!(true)));
        assert_eq!(value_of(&json!(12)), Ok(json!(12)));
    }

    #[test]
    fn knows_what_it_does_not_know() {
        let check = |code: &str, want: Failing| assert_eq!(value_of(&json!(code)), Err(want), "{code}");
        check("@utcnow()", Failing::Unknown);
        check("@equals(1", Failing::Unknown);
        check("@'open", Failing::Unknown);
        check("@", Failing::Unknown);
        check("@item().none", Failing::Unknown);
        check(&format!("@{}", "not(".repeat(100_000)), Failing::Unknown);
        check(
            "@pipeline().parameters.none",
            Failing::Error("The workflow parameter 'none' is not found".to_owned()),
        );
    }
}
