//! The service's expressions in the words of a plan: templates and conditions.
//!
//! Only what means the same is translated; for everything else there is no answer.

use serde_json::Value;

use super::expression::{Expression, Piece, Text};

/// The kind of a value, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// A truth value.
    Bool,
    /// A list.
    List,
    /// An object.
    Object,
    /// A secret: it may be sent as it is, and nothing else.
    Secret,
    /// Nobody knows yet.
    Open,
}

/// An input that a parameter of the master has become.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// The parameter's name.
    pub(super) parameter: String,
    /// The input's.
    pub(super) name: String,
    /// The kind of its values.
    pub(super) kind: Kind,
}

/// The names that an expression may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    /// The inputs.
    pub(super) inputs: &'a [Input],
    /// The name of the master pipeline.
    pub(super) master: &'a str,
    /// Whether there is an item.
    pub(super) has_item: bool,
    /// The items, if they are known.
    pub(super) items: Option<&'a [Value]>,
}

/// A value in the words of a plan.
#[derive(Clone, Debug)]
enum Term {
    Literal(Value),
    /// Names and places, such as `inputs`, `day`.
    Path(Vec<Value>, Kind),
    /// A helper with what it is given.
    Call(&'static str, Vec<Term>),
    /// Several values as one text.
    Joined(Vec<Term>),
}

/// Returns a text of the definition as a value of a plan.
pub(super) fn value(text: &Text, names: Names<'_>) -> Option<Value> {
    match text {
        Text::Plain(text) => literal(&Value::String(text.clone())),
        Text::Whole(expression) => match term(expression, names)? {
            Term::Literal(value) => literal(&value),
            term => term.template().map(Value::String),
        },
        Text::Pieces(pieces) => {
            let terms = pieces.iter().map(|piece| match piece {
                Piece::Plain(text) => Some(Term::Literal(Value::String(text.clone()))),
                Piece::Inside(expression) => term(expression, names),
            });
            joined(terms.collect::<Option<_>>()?)?.template().map(Value::String)
        }
        Text::Unreadable => None,
    }
}

/// Returns a value that holds no templates as one that a plan takes for itself.
pub(super) fn literal(value: &Value) -> Option<Value> {
    fn is_plain(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains("{{"),
            Value::Array(items) => items.iter().all(is_plain),
            Value::Object(map) => map.iter().all(|(key, value)| !key.contains("{{") && is_plain(value)),
            _ => true,
        }
    }
    is_plain(value).then(|| value.clone())
}

/// Returns the list that an expression gives without asking anything: that of a `createArray`, say.
pub(super) fn list(expression: &Expression) -> Option<Vec<Value>> {
    let Expression::Call(name, given) = expression else { return None };
    match (name.as_str(), given.as_slice()) {
        ("createarray", items) => {
            let items = items.iter().map(|item| match item {
                Expression::Literal(value) => Some(value.clone()),
                _ => None,
            });
            items.collect()
        }
        ("json", [Expression::Literal(Value::String(text))]) => serde_json::from_str(text).ok(),
        ("split", [Expression::Literal(Value::String(text)), Expression::Literal(Value::String(by))])
            if !by.is_empty() =>
        {
            Some(text.split(by.as_str()).map(Value::from).collect())
        }
        ("range", [Expression::Literal(first), Expression::Literal(count)]) => {
            let (first, count) =
                (first.as_i64()?, count.as_i64().filter(|count| (0..=1000).contains(count))?);
            Some((0..count).map(|n| Value::from(first.saturating_add(n))).collect())
        }
        _ => None,
    }
}

/// Returns the input that an expression reads whole.
pub(super) fn input<'a>(expression: &Expression, names: Names<'a>) -> Option<&'a Input> {
    let Expression::Member(of, name) = expression else { return None };
    let (Expression::Member(of, word), Expression::Literal(Value::String(name))) = (&**of, &**name) else {
        return None;
    };
    let is_pipeline =
        matches!(&**of, Expression::Call(call, given) if call == "pipeline" && given.is_empty());
    let is_word = matches!(&**word, Expression::Literal(Value::String(word)) if word.eq_ignore_ascii_case("parameters"));
    let of_name = |input: &&Input| input.parameter.eq_ignore_ascii_case(name);
    names.inputs.iter().find(of_name).filter(|_| is_pipeline && is_word)
}

fn term(expression: &Expression, names: Names<'_>) -> Option<Term> {
    if let Some(input) = input(expression, names) {
        return Some(Term::Path(vec!["inputs".into(), input.name.clone().into()], input.kind));
    }
    match expression {
        Expression::Literal(value) => Some(Term::Literal(value.clone())),
        Expression::Member(of, member) => {
            let is_pipeline =
                matches!(&**of, Expression::Call(call, given) if call == "pipeline" && given.is_empty());
            let Expression::Literal(member) = &**member else { return None };
            if is_pipeline {
                let is_name = member.as_str().is_some_and(|word| word.eq_ignore_ascii_case("pipeline"));
                return is_name.then(|| Term::Literal(names.master.into()));
            }
            let Term::Path(mut path, kind) = term(of, names)? else { return None };
            let fits = match member {
                Value::String(name) => !name.contains(['[', ']', '{', '}', '"']) && !name.is_empty(),
                Value::Number(place) => place.is_u64(),
                _ => false,
            };
            let may_have = matches!(kind, Kind::Open | Kind::Object | Kind::List);
            path.push(member.clone());
            let kind = if path.first().is_some_and(|first| first == "each") {
                item_kind(&path[2..], names)?
            } else {
                Kind::Open
            };
            (fits && may_have).then_some(Term::Path(path, kind))
        }
        Expression::Call(name, given) => match (name.as_str(), given.as_slice()) {
            ("item", []) if names.has_item => {
                Some(Term::Path(vec!["each".into(), "value".into()], item_kind(&[], names)?))
            }
            ("concat", given) if !given.is_empty() => {
                joined(given.iter().map(|given| term(given, names)).collect::<Option<_>>()?)
            }
            ("string", [given]) => {
                let given = term(given, names)?;
                match given.kind() {
                    Kind::Text => Some(given),
                    Kind::Number => joined(vec![given]),
                    Kind::List | Kind::Object => Some(Term::Call("json", vec![given])),
                    // The service writes `True`.
                    Kind::Bool | Kind::Secret | Kind::Open => None,
                }
            }
            ("tolower", [given]) => helper("lower", term(given, names)?),
            ("toupper", [given]) => helper("upper", term(given, names)?),
            _ => list(expression).map(|items| Term::Literal(Value::Array(items))),
        },
    }
}

/// Returns the kind of what a place of every item holds; nothing if one of the items has no such place.
fn item_kind(place: &[Value], names: Names<'_>) -> Option<Kind> {
    let Some(items) = names.items else { return Some(Kind::Open) };
    let inside = |item| {
        place.iter().try_fold(item, |value: &Value, part| match part {
            Value::String(name) => value.get(name.as_str()),
            part => value.get(usize::try_from(part.as_u64()?).ok()?),
        })
    };
    let found: Vec<&Value> = items.iter().map(inside).collect::<Option<_>>()?;
    let kinds: Vec<Kind> = found.into_iter().map(|value| Term::Literal(value.clone()).kind()).collect();
    match kinds.as_slice() {
        [] => Some(Kind::Open),
        [first, rest @ ..] if rest.iter().all(|kind| kind == first) => Some(*first),
        // Of several kinds: to be sent as it is, and nothing else.
        _ => Some(Kind::Object),
    }
}

fn helper(name: &'static str, given: Term) -> Option<Term> {
    matches!(given.kind(), Kind::Text | Kind::Open).then(|| Term::Call(name, vec![given]))
}

/// Joins values to one text. A truth value is `True` there and `true` here, so it is not joined.
fn joined(terms: Vec<Term>) -> Option<Term> {
    let fits = |term: &Term| matches!(term.kind(), Kind::Text | Kind::Number | Kind::Open);
    terms.iter().all(fits).then_some(Term::Joined(terms))
}

impl Term {
    fn kind(&self) -> Kind {
        match self {
            Self::Literal(value) => match value {
                Value::String(_) => Kind::Text,
                Value::Number(_) => Kind::Number,
                Value::Bool(_) => Kind::Bool,
                Value::Array(_) => Kind::List,
                Value::Object(_) => Kind::Object,
                Value::Null => Kind::Open,
            },
            Self::Path(_, kind) => *kind,
            Self::Call(..) | Self::Joined(_) => Kind::Text,
        }
    }

    /// Returns the text of a plan that gives the value.
    fn template(&self) -> Option<String> {
        match self {
            Self::Literal(Value::String(text)) => {
                (!text.contains("{{") && !text.ends_with('{')).then(|| text.clone())
            }
            Self::Literal(Value::Number(number)) => Some(number.to_string()),
            Self::Literal(_) => None,
            Self::Path(_, Kind::Secret) => Some(format!("{{{{secret {}}}}}", self.argument()?)),
            Self::Path(..) => Some(format!("{{{{{}}}}}", self.argument()?)),
            Self::Call(name, given) => {
                let given: Option<Vec<String>> = given.iter().map(Self::argument).collect();
                Some(format!("{{{{{name} {}}}}}", given?.join(" ")))
            }
            // A lone expression would keep its type.
            Self::Joined(terms) => match terms.as_slice() {
                [one @ Self::Path(_, kind)] if *kind != Kind::Text => {
                    Some(format!("{{{{concat \"\" {}}}}}", one.argument()?))
                }
                several => several.iter().map(Self::template).collect(),
            },
        }
    }

    /// Returns the value as a template's helper is given it.
    fn argument(&self) -> Option<String> {
        match self {
            Self::Literal(Value::String(text)) => {
                (!text.contains(['"', '\\', '{', '}', '\n'])).then(|| format!("\"{text}\""))
            }
            Self::Literal(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            Self::Literal(_) => None,
            Self::Path(path, _) => {
                let parts = path.iter().map(|part| match part {
                    Value::String(name) if is_name(name) => name.clone(),
                    Value::String(name) => format!("[{name}]"),
                    place => format!("[{place}]"),
                });
                Some(parts.collect::<Vec<_>>().join("."))
            }
            Self::Call(name, given) => {
                let given: Option<Vec<String>> = given.iter().map(Self::argument).collect();
                Some(format!("({name} {})", given?.join(" ")))
            }
            Self::Joined(terms) => {
                let given: Option<Vec<String>> = terms.iter().map(Self::argument).collect();
                Some(format!("(concat \"\" {})", given?.join(" ")))
            }
        }
    }

    /// Returns the value as a condition names it.
    fn operand(&self) -> Option<String> {
        match self {
            Self::Literal(value) => Some(value.to_string()),
            Self::Path(_, Kind::Secret) => None,
            Self::Path(path, _) => {
                let mut text = String::new();
                for part in path {
                    match part {
                        Value::String(name) if is_name(name) && text.is_empty() => text.push_str(name),
                        Value::String(name) if is_name(name) => text.extend([".", name]),
                        part => text.extend(["[", &part.to_string(), "]"]),
                    }
                }
                Some(text)
            }
            Self::Call(name, given) => {
                let given: Option<Vec<String>> = given.iter().map(Self::operand).collect();
                Some(format!("{name}({})", given?.join(", ")))
            }
            Self::Joined(terms) => {
                let given: Option<Vec<String>> = terms.iter().map(Self::operand).collect();
                Some(format!("concat(\"\", {})", given?.join(", ")))
            }
        }
    }
}

/// Returns the condition that an expression is.
pub(super) fn condition(expression: &Expression, names: Names<'_>) -> Option<String> {
    let nested = |given: &Expression| {
        let text = condition(given, names)?;
        Some(if text.contains(' ') { format!("({text})") } else { text })
    };
    let compare = |sign: &str, a: &Expression, b: &Expression, is_order: bool| {
        let (a, b) = (term(a, names)?, term(b, names)?);
        let (left, right) = (a.kind(), b.kind());
        let is_null = |term: &Term| matches!(term, Term::Literal(Value::Null));
        let fits = if is_order {
            [left, right].iter().all(|kind| matches!(kind, Kind::Number | Kind::Open))
                && !is_null(&a)
                && !is_null(&b)
        } else {
            left == right || left == Kind::Open || right == Kind::Open
        };
        if !fits {
            return None;
        }
        Some(format!("{} {sign} {}", a.operand()?, b.operand()?))
    };
    let Expression::Call(name, given) = expression else {
        return match term(expression, names)? {
            Term::Literal(Value::Bool(value)) => Some(value.to_string()),
            path @ Term::Path(_, Kind::Bool | Kind::Open) => path.operand(),
            _ => None,
        };
    };
    match (name.as_str(), given.as_slice()) {
        ("equals", [a, b]) => compare("==", a, b, false),
        ("greater", [a, b]) => compare(">", a, b, true),
        ("greaterorequals", [a, b]) => compare(">=", a, b, true),
        ("less", [a, b]) => compare("<", a, b, true),
        ("lessorequals", [a, b]) => compare("<=", a, b, true),
        ("not", [Expression::Call(inner, given)]) if inner == "equals" && given.len() == 2 => {
            compare("!=", &given[0], &given[1], false)
        }
        ("not", [given]) => Some(format!("not {}", nested(given)?)),
        ("and" | "or", several) if several.len() > 1 => {
            let parts: Option<Vec<String>> = several.iter().map(nested).collect();
            Some(parts?.join(&format!(" {name} ")))
        }
        ("empty", [given]) => {
            let given = term(given, names)?;
            let nothing = match given.kind() {
                Kind::Text => "\"\"",
                Kind::List => "[]",
                _ => return None,
            };
            Some(format!("{} == {nothing}", given.operand()?))
        }
        ("contains", [list, item]) => {
            let list = term(list, names)?;
            if list.kind() != Kind::List {
                return None;
            }
            Some(format!("{} in {}", term(item, names)?.operand()?, list.operand()?))
        }
        ("bool", [given]) => condition(given, names),
        ("item", []) => term(expression, names)?.operand(),
        _ => None,
    }
}

/// Returns the condition that a value equals one of some texts, or none of them.
pub(super) fn one_of(text: &Text, cases: &[&str], negated: bool, names: Names<'_>) -> Option<String> {
    let Text::Whole(expression) = text else { return None };
    let term = term(expression, names)?;
    if !matches!(term.kind(), Kind::Text | Kind::Open) {
        return None;
    }
    let operand = term.operand()?;
    let cases: Vec<String> = cases.iter().map(|case| Value::from(*case).to_string()).collect();
    Some(match (cases.as_slice(), negated) {
        ([case], false) => format!("{operand} == {case}"),
        ([case], true) => format!("{operand} != {case}"),
        (_, false) => format!("{operand} in [{}]", cases.join(", ")),
        (_, true) => format!("{operand} not in [{}]", cases.join(", ")),
    })
}

/// Says whether an expression asks for a member of the item, so that items are objects.
pub(super) fn is_item_object(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["item().", "item()["].iter().any(|part| text.contains(part))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
