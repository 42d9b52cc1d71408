//! One lone expression, evaluated to a JSON value without passing through text.

use serde_json::Value;

use super::Scope;

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// A name: `inputs.day`.
    Name(Vec<String>),
    /// A value written down: `"x"`, `3`, `true`.
    Literal(Value),
    /// A helper with its values: `default inputs.day "x"`.
    Call(Function, Vec<Expression>),
}

/// A helper of the templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// A value as JSON text.
    Json,
    /// The first value, or the second if the first is missing or null.
    Default,
}

/// Every helper that gives a value, by its name. `env` is one more, turned into a name when parsed.
pub(super) const FUNCTIONS: [(&str, Function); 2] =
    [("json", Function::Json), ("default", Function::Default)];

impl Function {
    /// Returns how many values it takes.
    pub(super) const fn arity(self) -> usize {
        match self {
            Self::Json => 1,
            Self::Default => 2,
        }
    }

    /// Applies it to values, of which some may be missing.
    pub(super) fn apply(self, values: &[Option<Value>]) -> Option<Value> {
        let value = |n: usize| values.get(n).cloned().flatten();
        match self {
            Self::Json => value(0).map(|value| Value::String(value.to_string())),
            Self::Default => value(0).filter(|value| !value.is_null()).or_else(|| value(1)),
        }
    }
}

impl Expression {
    /// Returns the value; fails with a sentence if a name in it has none.
    pub(super) fn render(&self, scope: &Scope) -> Result<Value, String> {
        self.value(scope).ok_or_else(|| match self.missing(scope) {
            Some(path) => scope.no_value(&path.join("."), path),
            None => "the template has no value".to_owned(),
        })
    }

    fn value(&self, scope: &Scope) -> Option<Value> {
        match self {
            Self::Name(path) => scope.lookup(path),
            Self::Literal(value) => Some(value.clone()),
            Self::Call(function, values) => {
                let values: Vec<_> = values.iter().map(|value| value.value(scope)).collect();
                function.apply(&values)
            }
        }
    }

    /// Returns the first name that has no value.
    fn missing(&self, scope: &Scope) -> Option<&[String]> {
        match self {
            Self::Name(path) => scope.lookup(path).is_none().then_some(path.as_slice()),
            Self::Literal(_) => None,
            Self::Call(_, values) => values.iter().find_map(|value| value.missing(scope)),
        }
    }
}
