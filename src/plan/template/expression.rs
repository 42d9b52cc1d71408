//! One lone expression, evaluated to a JSON value without passing through text.

use serde_json::Value;

use super::Scope;
use crate::plan::function::{Failure, Function};

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

/// Why an expression has no value.
enum Fault {
    /// This name has none.
    Missing(Vec<String>),
    /// The sentence says why.
    Wrong(String),
}

impl Expression {
    /// Returns the value; fails with a sentence if a name in it has none or a helper cannot use its values.
    pub(super) fn render(&self, scope: &Scope) -> Result<Value, String> {
        self.value(scope).map_err(|fault| match fault {
            Fault::Missing(path) => scope.no_value(&path.join("."), &path),
            Fault::Wrong(why) => why,
        })
    }

    fn value(&self, scope: &Scope) -> Result<Value, Fault> {
        match self {
            Self::Name(path) => scope.lookup(path).ok_or_else(|| Fault::Missing(path.clone())),
            Self::Literal(value) => Ok(value.clone()),
            Self::Call(function, given) => {
                let mut missing = None;
                let mut values = Vec::with_capacity(given.len());
                for value in given {
                    values.push(match value.value(scope) {
                        Ok(value) => Some(value),
                        Err(Fault::Missing(name)) => {
                            missing.get_or_insert(name);
                            None
                        }
                        Err(wrong) => return Err(wrong),
                    });
                }
                function.apply(&values).map_err(|failure| match (failure, missing) {
                    (Failure::Missing(_), Some(name)) => Fault::Missing(name),
                    (failure, _) => Fault::Wrong(sentence(*function, &failure)),
                })
            }
        }
    }
}

/// Returns the sentence for a helper that gives no value.
pub(super) fn sentence(function: Function, failure: &Failure) -> String {
    let name = function.name();
    match failure {
        Failure::Missing(_) => format!("`{name}` is given a value that is missing"),
        Failure::Argument(_, why) | Failure::Whole(why) => format!("`{name}`: {why}"),
    }
}
