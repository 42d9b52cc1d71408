//! Names and types of a condition, held against what is known when the plan is checked.
//!
//! Two things are known of a part at best: its value with the inputs as they are given, and its value whatever they
//! are. The first finds what cannot be compared, the second what needs no condition. Main function: [`check`].

use serde_json::Value;

use super::evaluate::{compared, holds, no_list, no_truth, said, uncomparable};
use super::parse::no_secret;
use super::tree::{Body, Comparison, Join, Node, Span, quoted};
use super::{Problem, respell};
use crate::plan::code::Code;
use crate::plan::compare::{Kind, Mismatch};
use crate::plan::function::calendar::{WEEKDAYS, is_day};
use crate::plan::function::{Failure, Function, Language, Param};
use crate::plan::keys::OUTCOMES;
use crate::plan::template::{Known, Meaning, NamesHere, Refusal, resolve};
use crate::plan::words;

/// How many problems of one condition are reported.
const PROBLEMS_MAX: usize = 20;

/// What a condition asks for, and what is wrong with it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    /// The steps it reads.
    pub(super) steps: Vec<(String, Span)>,
    /// The outputs of steps that it reads.
    pub(super) outputs: Vec<OutputAsked>,
    /// The environment variables it reads.
    pub(super) env: Vec<String>,
    /// Variables that are not set.
    pub(super) unset: Vec<(String, Span)>,
    /// Its truth, if that is the same in every flow.
    pub(super) constant: Option<bool>,
}

/// An output of a step that a condition reads.
pub(super) struct OutputAsked {
    pub(super) step: String,
    pub(super) output: String,
    pub(super) has_default: bool,
    pub(super) span: Span,
}

/// Checks a condition.
pub(super) fn check(tree: &Node, text: &str, known: &Known<'_>) -> Found {
    let mut check = Check { text, known, found: Found::default() };
    let seen = check.look(tree, false);
    check.must_be_bool(tree, &seen, "the condition");
    let mut found = check.found;
    if let (Some(Value::Bool(truth)), true) = (seen.constant, found.problems.is_empty()) {
        found.constant = Some(truth);
    }
    found
}

/// What is known of a part.
#[derive(Default)]
struct Seen {
    /// Its value in this flow.
    value: Option<Value>,
    /// Its value in every flow.
    constant: Option<Value>,
    kind: Option<Kind>,
    /// The only texts that it can be.
    words: Option<&'static [&'static str]>,
}

impl Seen {
    fn constant(value: Value) -> Self {
        Self { kind: Some(Kind::of(&value)), constant: Some(value.clone()), value: Some(value), words: None }
    }

    fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    fn bool(value: Option<bool>, constant: Option<bool>) -> Self {
        Self { value: value.map(Value::Bool), constant: constant.map(Value::Bool), ..Self::of(Kind::Bool) }
    }
}

struct Check<'c> {
    text: &'c str,
    known: &'c Known<'c>,
    found: Found,
}

impl Check<'_> {
    /// Looks at a part; an `optional` one may lack a value.
    fn look(&mut self, node: &Node, optional: bool) -> Seen {
        match &node.body {
            Body::Literal(value) => Seen::constant(value.clone()),
            Body::Name(path) => self.name(node, path, optional),
            Body::List(items) => {
                let items: Vec<Seen> = items.iter().map(|item| self.look(item, false)).collect();
                let all = |of: fn(&Seen) -> Option<Value>| items.iter().map(of).collect::<Option<Value>>();
                Seen {
                    value: all(|item| item.value.clone()),
                    constant: all(|item| item.constant.clone()),
                    ..Seen::of(Kind::List)
                }
            }
            Body::Not(inner) => {
                let seen = self.look(inner, false);
                self.must_be_bool(inner, &seen, "`not`");
                let not = |value: &Option<Value>| value.as_ref().and_then(Value::as_bool).map(|truth| !truth);
                Seen::bool(not(&seen.value), not(&seen.constant))
            }
            Body::Join(join, sides) => self.join(*join, sides),
            Body::Compare(comparison, left, right) => self.compare(*comparison, left, right),
            Body::In(wanted, item, list) => self.contains(*wanted, item, list),
            Body::Call(function, given) => self.call(node, *function, given, optional),
        }
    }

    fn refuse(&mut self, span: Span, refusal: Refusal) {
        if self.found.problems.len() < PROBLEMS_MAX {
            self.found.problems.push(Problem { span, refusal });
        }
    }

    fn source(&self, node: &Node) -> &str {
        self.text.get(node.span.clone()).unwrap_or_default()
    }

    fn said(&self, node: &Node, seen: &Seen, kind: Kind) -> String {
        said(node, self.text, kind, seen.value.as_ref())
    }

    // Names.

    fn name(&mut self, node: &Node, path: &[String], optional: bool) -> Seen {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        if let ["env", variable] = parts.as_slice() {
            return self.variable(node, variable, optional);
        }
        if let [name] = parts.as_slice()
            && let Some(function) = Function::named(name)
        {
            let (message, help) = function.usage(Language::Condition);
            self.refuse(node.span.clone(), Refusal::new(Code::HelperValue, message).help(help));
            return Seen::default();
        }
        let is_secret_input = |name: &&str| parts[0] == "inputs" && self.known.secret_inputs.contains(*name);
        if parts.first() == Some(&"secret") || parts.get(1).is_some_and(is_secret_input) {
            self.refuse(node.span.clone(), no_secret());
            return Seen::default();
        }
        match resolve(path, optional, NamesHere::All, self.known) {
            Ok(Meaning::Value(value)) => {
                let kind = self.declared(&parts).unwrap_or(Kind::of(&value));
                Seen { value: Some(value), ..Seen::of(kind) }
            }
            Ok(Meaning::Later) => Seen { kind: self.declared(&parts), ..Seen::default() },
            Ok(Meaning::Step(id)) => {
                self.found.steps.push((id, node.span.clone()));
                match parts.last() {
                    Some(&"outcome") if parts.len() == 3 => {
                        Seen { words: Some(&OUTCOMES), ..Seen::of(Kind::Text) }
                    }
                    Some(&"run_id") if parts.len() == 3 => Seen::of(Kind::Text),
                    _ => Seen::default(),
                }
            }
            Ok(Meaning::Output { step, output }) => {
                self.found.steps.push((step.clone(), node.span.clone()));
                self.found.outputs.push(OutputAsked {
                    step,
                    output,
                    has_default: optional,
                    span: node.span.clone(),
                });
                Seen::default()
            }
            Err(refusal) => {
                let refusal = respelled(&refusal, &parts);
                self.refuse(node.span.clone(), refusal);
                Seen::default()
            }
        }
    }

    /// Returns the type that the plan declares for a name.
    fn declared(&self, parts: &[&str]) -> Option<Kind> {
        match parts {
            ["inputs", name] => self.known.input_kinds.get(*name).copied(),
            ["flow", _] => Some(Kind::Text),
            _ => None,
        }
    }

    fn variable(&mut self, node: &Node, variable: &str, optional: bool) -> Seen {
        if variable.is_empty() || variable.contains(|c: char| "[]={}".contains(c) || c.is_control()) {
            let message = format!("`{variable}` cannot be a variable's name");
            let refusal = Refusal::new(Code::UnknownVariable, message).help("write `env(\"NAME\")`");
            self.refuse(node.span.clone(), refusal);
        } else if let Some(value) = self.known.env.get(variable) {
            self.found.env.push(variable.to_owned());
            return Seen { value: Some(value.as_str().into()), ..Seen::of(Kind::Text) };
        } else if optional {
        } else if self.known.env_required {
            let message = format!("the environment variable `{variable}` is not set");
            let call = Language::Condition.call("env", &[&quoted(variable)]);
            let refusal = Refusal::new(Code::UnknownVariable, message)
                .help(format!("set it, or give a default: `default({call}, \"...\")`"));
            self.refuse(node.span.clone(), refusal);
        } else if self.found.unset.iter().all(|(known, _)| known != variable) {
            self.found.unset.push((variable.to_owned(), node.span.clone()));
        }
        Seen::of(Kind::Text)
    }

    // Helpers.

    fn call(&mut self, node: &Node, function: Function, given: &[Node], optional: bool) -> Seen {
        let before = self.found.problems.len();
        let seen: Vec<Seen> = given
            .iter()
            .enumerate()
            .map(|(n, value)| {
                let param = function.param(n);
                let seen = self.look(value, optional || param == Param::Optional);
                let checked = match (&seen.value, seen.kind) {
                    (Some(value), _) => param.check(value),
                    (None, Some(kind)) => param.admits(kind),
                    (None, None) => Ok(()),
                };
                if let Err(why) = checked {
                    let message = format!("`{}`: {why}", function.name());
                    let refusal =
                        Refusal::new(Code::HelperValue, message).help(param.help(Language::Condition));
                    self.refuse(value.span.clone(), refusal);
                }
                seen
            })
            .collect();
        let always = function.gives().or_else(|| stands_in(&seen));
        let words = (function == Function::DayOfWeek).then_some(&WEEKDAYS[..]);
        if self.found.problems.len() > before {
            return Seen { kind: always, words, ..Seen::default() };
        }
        let all = |of: fn(&Seen) -> Option<Value>| seen.iter().map(of).collect::<Option<Vec<Value>>>();
        let apply = |values: Vec<Value>| function.apply(&values.into_iter().map(Some).collect::<Vec<_>>());
        let value = match all(|seen| seen.value.clone()).map(apply) {
            Some(Err(Failure::Argument(_, why) | Failure::Whole(why))) => {
                let (_, help) = function.usage(Language::Condition);
                let message = format!("`{}`: {why}", function.name());
                self.refuse(node.span.clone(), Refusal::new(Code::HelperValue, message).help(help));
                None
            }
            Some(Ok(value)) => Some(value),
            Some(Err(Failure::Missing(_))) | None => None,
        };
        let constant = all(|seen| seen.constant.clone()).and_then(|values| apply(values).ok());
        let kind = match &value {
            Some(value) if always.is_none() => Some(Kind::of(value)),
            _ => always,
        };
        Seen { value, constant, kind, words }
    }

    // Truths.

    fn must_be_bool(&mut self, node: &Node, seen: &Seen, of: &str) {
        let Some(kind) = seen.kind.filter(|kind| *kind != Kind::Bool) else { return };
        let message = no_truth(&self.said(node, seen, kind), of);
        let source = self.source(node);
        let help = match kind {
            Kind::Number => format!("compare it: `{source} > 0`"),
            Kind::Text if matches!(node.body, Body::Literal(_)) => match seen.value.as_ref().and_then(Value::as_str) {
                Some(word @ ("true" | "false")) => format!("write `{word}` without quotes"),
                _ => "each side is a comparison of its own: `inputs.region == \"emea\" or inputs.region == \"apac\"`, in short `inputs.region in [\"emea\", \"apac\"]`".to_owned(),
            },
            Kind::Text if seen.words.is_some() => format!("compare it: `{source} == \"{}\"`", seen.words.map_or("", |words| words[0])),
            Kind::Text => format!("compare it: `{source} == \"...\"`"),
            Kind::Date => format!("compare it: `{source} == \"2024-05-01\"`"),
            Kind::List => format!("compare it: `{source} != []`, or ask for one of its values: `\"...\" in {source}`"),
            Kind::Null => "write `true` or `false`".to_owned(),
            Kind::Object | Kind::Bool => format!("compare one of its members: `{source}.name == \"...\"`"),
        };
        self.refuse(node.span.clone(), Refusal::new(Code::ConditionNoTruth, message).help(help));
    }

    fn join(&mut self, join: Join, sides: &[Node]) -> Seen {
        let of = format!("`{}`", join.word());
        let seen: Vec<Seen> = sides
            .iter()
            .map(|side| {
                let seen = self.look(side, false);
                self.must_be_bool(side, &seen, &of);
                seen
            })
            .collect();
        let truth = |of: fn(&Seen) -> Option<&Value>| {
            let truths: Vec<Option<bool>> =
                seen.iter().map(|seen| of(seen).and_then(Value::as_bool)).collect();
            if truths.contains(&Some(join.settles())) {
                return Some(join.settles());
            }
            truths.iter().all(Option::is_some).then(|| !join.settles())
        };
        Seen::bool(truth(|seen| seen.value.as_ref()), truth(|seen| seen.constant.as_ref()))
    }

    // Comparisons.

    fn compare(&mut self, comparison: Comparison, left: &Node, right: &Node) -> Seen {
        let (one, two) = (self.look(left, false), self.look(right, false));
        let span = left.span.start..right.span.end;
        if let Err(mismatch) = comparable(comparison, &one, &two) {
            self.mismatch(span, (left, &one), (right, &two), mismatch);
            return Seen::of(Kind::Bool);
        }
        self.one_of_the_words(&one, right, &two);
        self.one_of_the_words(&two, left, &one);
        let truth = |one: &Option<Value>, two: &Option<Value>| {
            compared(comparison, one.as_ref()?, two.as_ref()?).ok()
        };
        Seen::bool(truth(&one.value, &two.value), truth(&one.constant, &two.constant))
    }

    fn mismatch(&mut self, span: Span, left: (&Node, &Seen), right: (&Node, &Seen), mismatch: Mismatch) {
        let kind = |(_, seen): (&Node, &Seen)| seen.kind.unwrap_or(Kind::Null);
        let (one, two) = (self.said(left.0, left.1, kind(left)), self.said(right.0, right.1, kind(right)));
        let message = uncomparable(&one, &two, mismatch);
        let help = match mismatch {
            Mismatch::Types(one, two) if one == Kind::Null || two == Kind::Null => {
                "`null` says that there is no value: compare with `==` or `!=`".to_owned()
            }
            Mismatch::Types(..) => self.same_type(left, right),
            Mismatch::NoOrder(Kind::Bool) => "compare with `==` or `!=`, or write the name alone".to_owned(),
            Mismatch::NoOrder(_) => "compare with `==` or `!=`".to_owned(),
            Mismatch::Dates(..) => {
                "compare a date with a date such as \"2024-05-01\"; `format_date` makes a day of a time, `date_add` another day".to_owned()
            }
        };
        self.refuse(span, Refusal::new(Code::ConditionTypes, message).help(help));
    }

    /// Returns how two values could have the same type.
    fn same_type(&self, left: (&Node, &Seen), right: (&Node, &Seen)) -> String {
        for ((node, seen), (other_node, other)) in [(left, right), (right, left)] {
            let text = match &node.body {
                Body::Literal(Value::String(text)) => Some(text.as_str()),
                _ => None,
            };
            match (text, other.kind) {
                (Some(text), Some(Kind::Number))
                    if serde_json::from_str::<serde_json::Number>(text).is_ok() =>
                {
                    return format!("write `{text}` without quotes");
                }
                (Some(text @ ("true" | "false")), Some(Kind::Bool)) => {
                    return format!("write `{text}` without quotes");
                }
                _ => {}
            }
            if let (
                Body::Literal(value @ (Value::Number(_) | Value::Bool(_))),
                Some(Kind::Text | Kind::Date),
            ) = (&node.body, other.kind)
            {
                return format!("write `\"{value}\"`, or give `{}` that type", self.source(other_node));
            }
            let is_asked = self.text[left.0.span.end..right.0.span.start].trim_end().ends_with("in");
            if let (Some(Kind::List), false, false) = (other.kind, seen.kind == Some(Kind::List), is_asked) {
                return format!(
                    "ask for one of its values: `{} in {}`",
                    self.source(node),
                    self.source(other_node)
                );
            }
        }
        "compare values of the same type".to_owned()
    }

    /// Refuses a text that a part with few words can never be.
    fn one_of_the_words(&mut self, of: &Seen, node: &Node, seen: &Seen) {
        let (Some(words), Some(text)) = (of.words, seen.value.as_ref().and_then(Value::as_str)) else {
            return;
        };
        if words.contains(&text) {
            return;
        }
        let what = if words == OUTCOMES { "no step ends" } else { "no day of the week is called" };
        let refusal = Refusal::new(Code::ConditionWord, format!("{what} `{text}`"));
        let near = words::foreign(text, words).or_else(|| words::nearest(text, words.iter().copied()));
        let refusal = match near {
            Some(near) => refusal.label(format!("did you mean {}?", quoted(near))),
            None => refusal,
        };
        self.refuse(
            node.span.clone(),
            refusal.help(format!("it is one of {}", words::list(words.iter().copied(), "or"))),
        );
    }

    fn contains(&mut self, wanted: bool, item: &Node, list: &Node) -> Seen {
        let one = self.look(item, false);
        let span = item.span.start..list.span.end;
        if let Body::List(nodes) = &list.body {
            let before = self.found.problems.len();
            let seen: Vec<Seen> = nodes.iter().map(|node| self.look(node, false)).collect();
            for (node, seen) in nodes.iter().zip(&seen) {
                if let Err(mismatch) = comparable(Comparison::Equal, &one, seen) {
                    self.mismatch(node.span.clone(), (item, &one), (node, seen), mismatch);
                } else {
                    self.one_of_the_words(&one, node, seen);
                }
            }
            if self.found.problems.len() > before {
                return Seen::of(Kind::Bool);
            }
            let all = |of: fn(&Seen) -> Option<Value>| seen.iter().map(of).collect::<Option<Vec<Value>>>();
            let truth = |value: Option<&Value>, items: Option<Vec<Value>>| {
                let items = items?;
                // Nothing is in an empty list, whatever it is.
                if items.is_empty() { Some(!wanted) } else { Some(holds(&items, value?).ok()? == wanted) }
            };
            return Seen::bool(
                truth(one.value.as_ref(), all(|seen| seen.value.clone())),
                truth(one.constant.as_ref(), all(|seen| seen.constant.clone())),
            );
        }
        let two = self.look(list, false);
        if let Some(kind) = two.kind.filter(|kind| *kind != Kind::List) {
            let message = no_list(&self.said(list, &two, kind));
            let help = if let Body::Literal(_) = list.body {
                format!("write a list: `{} in [{}]`", self.source(item), self.source(list))
            } else {
                format!("compare the whole value: `{} == {}`", self.source(item), self.source(list))
            };
            self.refuse(span, Refusal::new(Code::ConditionTypes, message).help(help));
            return Seen::of(Kind::Bool);
        }
        if let (Some(value), Some(Value::Array(items))) = (&one.value, &two.value)
            && let Err(mismatch) = holds(items, value)
        {
            self.mismatch(span, (item, &one), (list, &two), mismatch);
            return Seen::of(Kind::Bool);
        }
        let truth = match (&one.value, &two.value) {
            (Some(value), Some(Value::Array(items))) => holds(items, value).ok().map(|found| found == wanted),
            _ => None,
        };
        Seen::bool(truth, None)
    }
}

/// Says the message of templates in the words of conditions.
fn respelled(refusal: &Refusal, parts: &[&str]) -> Refusal {
    let said = |text: &String| respell::sentence(text);
    let mut respelled = Refusal {
        code: refusal.code,
        hides_source: refusal.hides_source,
        message: said(&refusal.message),
        label: said(&refusal.label),
        help: refusal.help.iter().map(said).collect(),
    };
    if let [word] = parts
        && respelled.label.is_empty()
        && refusal.code == Code::UnknownName
    {
        respelled.help.insert(0, format!("a text stands in quotes: `{}`", quoted(word)));
    }
    respelled
}

/// Returns the type of `default(a, b)`: that of both, if it is the same.
fn stands_in(seen: &[Seen]) -> Option<Kind> {
    let plain = |seen: &Seen| if seen.kind == Some(Kind::Date) { Some(Kind::Text) } else { seen.kind };
    match seen {
        [one, two] if one.kind == two.kind => one.kind,
        [one, two] if plain(one) == plain(two) => plain(one),
        _ => None,
    }
}

fn comparable(comparison: Comparison, one: &Seen, two: &Seen) -> Result<(), Mismatch> {
    if let (Some(one), Some(two)) = (one.kind, two.kind) {
        if comparison.orders() { one.may_order(two)? } else { one.may_equal(two)? }
    }
    let is_no_day =
        |seen: &Seen| seen.value.as_ref().and_then(Value::as_str).is_some_and(|text| !is_day(text));
    if one.kind == Some(Kind::Date) && is_no_day(two) {
        return Err(Mismatch::Dates("a date", "none"));
    }
    if two.kind == Some(Kind::Date) && is_no_day(one) {
        return Err(Mismatch::Dates("none", "a date"));
    }
    match (&one.value, &two.value) {
        (Some(one), Some(two)) => compared(comparison, one, two).map(drop),
        _ => Ok(()),
    }
}
