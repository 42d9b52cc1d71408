//! The truth of a condition in a scope, and the sentences for what has none.

use std::cmp::Ordering;

use serde_json::Value;

use super::shown;
use super::tree::{Body, Comparison, Join, Node, spelled};
use crate::plan::compare::{self, Kind, Mismatch};
use crate::plan::function::{Failure, Function, Language};
use crate::plan::reader::excerpt;
use crate::plan::template::Scope;

/// Why a condition has no truth.
#[derive(Debug)]
enum Fault {
    /// This name has no value.
    Missing(String),
    /// The sentence says why.
    Wrong(String),
}

/// Says whether a condition is true; fails with a sentence that names the cause.
pub(super) fn truth(node: &Node, text: &str, scope: &Scope) -> Result<bool, String> {
    Evaluation { text, scope }.truth(node, "the condition").map_err(|fault| match fault {
        Fault::Missing(name) => no_value(&name),
        Fault::Wrong(why) => why,
    })
}

/// Compares two values.
pub(super) fn compared(comparison: Comparison, left: &Value, right: &Value) -> Result<bool, Mismatch> {
    let order = |fits: fn(Ordering) -> bool| compare::order(left, right).map(fits);
    match comparison {
        Comparison::Equal => compare::equal(left, right),
        Comparison::Unequal => compare::equal(left, right).map(|equal| !equal),
        Comparison::Less => order(Ordering::is_lt),
        Comparison::LessOrEqual => order(Ordering::is_le),
        Comparison::Greater => order(Ordering::is_gt),
        Comparison::GreaterOrEqual => order(Ordering::is_ge),
    }
}

/// Says whether a list holds a value. Every item must be one that the value can be compared with.
pub(super) fn holds(items: &[Value], value: &Value) -> Result<bool, Mismatch> {
    let mut found = false;
    for item in items {
        found |= compare::equal(value, item)?;
    }
    Ok(found)
}

struct Evaluation<'e> {
    text: &'e str,
    scope: &'e Scope,
}

impl Evaluation<'_> {
    /// Returns what must be true or false; `of` says whose part it is.
    fn truth(&self, node: &Node, of: &str) -> Result<bool, Fault> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(Fault::Wrong(no_truth(&self.said(node, &other), of))),
        }
    }

    fn value(&self, node: &Node) -> Result<Value, Fault> {
        match &node.body {
            Body::Literal(value) => Ok(value.clone()),
            Body::Name(path) => self
                .scope
                .lookup(path)
                .ok_or_else(|| Fault::Missing(spelled(path.iter().map(String::as_str)))),
            Body::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Body::Not(inner) => Ok((!self.truth(inner, "`not`")?).into()),
            Body::Join(join, sides) => self.joined(*join, sides).map(Value::Bool),
            Body::Compare(comparison, left, right) => {
                let (one, two) = (self.value(left)?, self.value(right)?);
                let truth = compared(*comparison, &one, &two);
                truth.map(Value::Bool).map_err(|mismatch| {
                    Fault::Wrong(uncomparable(&self.said(left, &one), &self.said(right, &two), mismatch))
                })
            }
            Body::In(wanted, item, list) => {
                let (one, two) = (self.value(item)?, self.value(list)?);
                let Value::Array(items) = &two else {
                    return Err(Fault::Wrong(no_list(&self.said(list, &two))));
                };
                let truth = holds(items, &one);
                truth.map(|found| Value::Bool(found == *wanted)).map_err(|mismatch| {
                    Fault::Wrong(uncomparable(&self.said(item, &one), &self.said(list, &two), mismatch))
                })
            }
            Body::Call(function, given) => self.called(*function, given),
        }
    }

    /// Goes on only as long as the truth is open.
    fn joined(&self, join: Join, sides: &[Node]) -> Result<bool, Fault> {
        let of = format!("`{}`", join.word());
        for side in sides {
            if self.truth(side, &of)? == join.settles() {
                return Ok(join.settles());
            }
        }
        Ok(!join.settles())
    }

    fn called(&self, function: Function, given: &[Node]) -> Result<Value, Fault> {
        let mut missing = None;
        let mut values = Vec::with_capacity(given.len());
        for node in given {
            values.push(match self.value(node) {
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
            (Failure::Missing(_), None) => {
                Fault::Wrong(format!("`{}` is given a value that is missing", function.name()))
            }
            (Failure::Argument(_, why) | Failure::Whole(why), _) => {
                Fault::Wrong(format!("`{}`: {why}", function.name()))
            }
        })
    }

    /// Returns what a piece of the condition is and, unless it says so itself, its value.
    fn said(&self, node: &Node, value: &Value) -> String {
        said(node, self.text, Kind::of(value), Some(value))
    }
}

/// Returns what a piece of a condition is: `` `inputs.rows` is a text ("12") ``.
pub(super) fn said(node: &Node, text: &str, kind: Kind, value: Option<&Value>) -> String {
    let source = excerpt(
        &text.get(node.span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
    );
    let noun = kind.noun();
    let value = match (&node.body, value) {
        (Body::Literal(_) | Body::List(_), _) | (_, None | Some(Value::Null)) => String::new(),
        (_, Some(value)) => format!(" ({})", shown(value)),
    };
    format!("`{source}` is {noun}{value}")
}

/// Returns the sentence for a part that is neither true nor false.
pub(super) fn no_truth(said: &str, of: &str) -> String {
    if of == "the condition" {
        format!("{said}, and a condition must be true or false")
    } else {
        format!("{said}, and {of} needs true or false")
    }
}

/// Returns the sentence for what `in` cannot look into.
pub(super) fn no_list(said: &str) -> String {
    format!("{said}, and `in` looks into a list")
}

/// Returns the sentence for two parts that cannot be compared.
pub(super) fn uncomparable(left: &str, right: &str, mismatch: Mismatch) -> String {
    match mismatch {
        Mismatch::Types(_, inner) if right.contains(" is a list") && inner != Kind::List => {
            format!(
                "{left}, and the list in {} holds {}",
                right.split(" is ").next().unwrap_or_default(),
                inner.noun()
            )
        }
        Mismatch::Types(..) => format!("{left} and {right}: only values of one type can be compared"),
        Mismatch::NoOrder(kind) => format!("{left} and {right}, and {} have no order", kind.plural()),
        Mismatch::Dates(one, two) => {
            let part = |said: &str| said.split(" is ").next().unwrap_or_default().to_owned();
            format!("{} is {one} and {} is {two}: they cannot be compared", part(left), part(right))
        }
    }
}

/// Returns the sentence for a name without a value.
fn no_value(name: &str) -> String {
    format!("`{name}` has no value; give one with `{}`", Language::Condition.call("default", &[name, "..."]))
}
