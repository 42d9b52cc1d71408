//! Conditions: bare infix expressions over the names of templates, strictly typed.
//!
//! `lex.rs` and `parse.rs` make a tree of the text, `foreign.rs` explains what other languages write otherwise,
//! `check.rs` holds names and types against what is known of the plan, `evaluate.rs` gives the truth when a step is
//! about to start. What cannot be compared is an error, never false. Main type: [`When`].

mod check;
mod evaluate;
mod foreign;
mod lex;
mod parse;
mod respell;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::function::Language;
use super::reader::{Reader, excerpt};
use super::source::{Node as YamlNode, Yaml};
use super::template::{Known, OutputRead, Refusal, Scope, inside};
use super::{Place, StepId};
use respell::{as_yaml, without_braces};
use tree::{Body, Node, spelled};

/// How many names a sentence about a condition tells the values of.
const VALUES_SHOWN_MAX: usize = 4;

/// A condition that has been read and checked: the `when` of a step.
#[derive(Clone, Debug)]
pub struct When {
    text: String,
    tree: Arc<Node>,
    /// The steps whose facts are read, each with the place where it is named first.
    reads: BTreeMap<StepId, Place>,
    steps: BTreeSet<StepId>,
    outputs: Vec<OutputRead>,
    place: Place,
}

/// Something that another language writes otherwise, and what it is here.
#[derive(Clone, Debug)]
struct Fix {
    span: tree::Span,
    ours: String,
}

/// A problem at some bytes of the text.
#[derive(Debug)]
struct Problem {
    span: tree::Span,
    refusal: Refusal,
}

/// Reads a condition. What the environment must give is added to `env`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &YamlNode,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<When> {
    let text = match &node.value {
        Yaml::Bool(value) => {
            reader.report(constant(node.span(), *value));
            return Some(When::constant(*value, node.span().place));
        }
        Yaml::Text(text) if !text.trim().is_empty() => text,
        other => {
            let help = match other {
                Yaml::List(_) => {
                    "join conditions with `and`: `when: inputs.full_reload and steps.load.outcome == \"succeeded\"`"
                }
                Yaml::Map(_) => "write one expression: `when: inputs.full_reload`, without braces",
                _ => {
                    "write what must be true: `when: inputs.full_reload`; without `when` the step always runs"
                }
            };
            return reader.wrong_type(node, "`when`", "a condition", help);
        }
    };
    let report = |reader: &mut Reader<'_>, problem: Problem| {
        let Problem { span, refusal } = problem;
        let span = place_of(node, reader.text, text, &span);
        let mut finding = Diagnostic::at(refusal.code, span, refusal.message).label(refusal.label);
        finding.help = refusal.help;
        reader.report(finding);
    };
    let tree = match parse::parse(text) {
        Ok(tree) => tree,
        Err(problem) => {
            report(reader, problem);
            return None;
        }
    };
    let found = check::check(&tree, text, known);
    let is_good = found.problems.is_empty();
    found.problems.into_iter().for_each(|problem| report(reader, problem));
    for (name, span) in found.unset {
        let span = place_of(node, reader.text, text, &span);
        let message = format!("the environment variable `{name}` is not set");
        reader.report(
            Diagnostic::at(Code::VariableOpen, span, message).help("set it before the plan is started"),
        );
    }
    env.extend(found.env);
    if let Some(value) = found.constant {
        reader.report(constant(node.span(), value));
    }
    let mut reads = BTreeMap::new();
    for (id, span) in found.steps {
        let place = || place_of(node, reader.text, text, &span).place;
        reads.entry(StepId::new(&id)).or_insert_with(place);
    }
    let outputs = found.outputs.into_iter().map(|asked| OutputRead {
        step: StepId::new(&asked.step),
        output: asked.output,
        stand_in: Language::Condition
            .call("default", &[text.get(asked.span.clone()).unwrap_or_default(), "..."]),
        has_default: asked.has_default,
        span: place_of(node, reader.text, text, &asked.span),
    });
    let outputs = outputs.collect();
    is_good.then(|| When {
        outputs,
        text: text.clone(),
        tree: Arc::new(tree),
        steps: reads.keys().cloned().collect(),
        reads,
        place: node.span().place,
    })
}

/// Returns where a piece of a condition stands in the file; of one on several lines, where it begins.
fn place_of(node: &YamlNode, source: &str, text: &str, span: &tree::Span) -> Span {
    let piece = text.get(span.clone()).unwrap_or_default();
    let bytes = piece.find('\n').unwrap_or(piece.len());
    inside(node, source, text, span.start, bytes)
}

fn constant(span: Span, value: bool) -> Diagnostic {
    let finding = Diagnostic::at(Code::ConditionConstant, span, format!("the condition is always {value}"));
    if value {
        finding.label("the step runs in any case").help("remove the `when`, or let it depend on an input")
    } else {
        finding
            .label("the step never runs")
            .help("let it depend on an input, so that a flow can decide otherwise")
    }
}

/// Returns the message for a condition that YAML cannot read because it stands unquoted: `"a" == inputs.b`.
pub(super) fn unquoted(line: &str, line_number: usize) -> Option<Diagnostic> {
    let at = when_key(line)?;
    let value = &line[at..];
    let in_map = line[..at].contains('{');
    let end = if in_map { end_in_map(value) } else { value.find(" #").unwrap_or(value.len()) };
    let value = value[..end].trim();
    let column = line[..at].chars().count() + 1;
    let span = Span::new(Place { line: line_number, column }, value.chars().count());
    if value.contains("{{") {
        let bare = without_braces(value.trim_matches(['"', '\'']));
        let finding = Diagnostic::at(Code::ConditionBraces, span, "a condition is written without braces");
        return Some(finding.help(format!("write `when: {}`", as_yaml(&bare))));
    }
    let first = value.chars().next()?;
    let is_closed = value.len() > 1 && value.ends_with(first);
    let stands_out = match first {
        '"' | '\'' => !is_closed,
        '!' | '@' | '&' | '*' | '`' | '[' | '%' => true,
        _ => in_map && value.contains(['[', '"', ',']) || value.contains(": "),
    };
    if !stands_out {
        return None;
    }
    let ours = match parse::parse(value) {
        Err(Problem { refusal, .. }) if refusal.code == Code::ConditionSpelling => refusal
            .help
            .iter()
            .find_map(|help| Some(help.strip_prefix("write `")?.strip_suffix('`')?.to_owned())),
        _ => None,
    };
    let (code, message) = if ours.is_some() {
        (Code::ConditionSpelling, "this is not how a condition is written")
    } else {
        (Code::ConditionSyntax, "YAML cannot read this condition without quotes around it")
    };
    let condition = ours.unwrap_or_else(|| value.to_owned());
    let shown = if in_map && !condition.starts_with(['"', '\'']) && condition.contains(['[', '"', ',']) {
        if condition.contains('\'') { tree::quoted(&condition) } else { format!("'{condition}'") }
    } else {
        as_yaml(&condition)
    };
    Some(Diagnostic::at(code, span, message).help(format!("write `when: {shown}`")))
}

/// Returns the byte where the value of a `when` begins on a line.
fn when_key(line: &str) -> Option<usize> {
    let (at, _) = line.match_indices("when:").find(|(at, _)| {
        let before = line[..*at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || c == '{' || c == ',') && !line[..*at].contains(['#', '"'])
    })?;
    let value = &line[at + "when:".len()..];
    (value.starts_with(' ')).then(|| at + "when:".len() + value.len() - value.trim_start().len())
}

/// Returns where a value in a map in braces was meant to end: at the brace that closes the map, or at the next key.
fn end_in_map(value: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in value.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            '}' if depth == 0 => return at,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 && value[at..].contains(": ") => return at,
            _ => {}
        }
    }
    value.len()
}

impl When {
    /// Returns a condition that is always this.
    pub fn constant(value: bool, place: Place) -> Self {
        let text = value.to_string();
        let tree = Node { body: Body::Literal(value.into()), span: 0..text.len() };
        let (reads, steps, outputs) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { text, tree: Arc::new(tree), reads, steps, outputs, place }
    }

    /// Returns the condition as the plan has it, in one line.
    pub fn text(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Returns the steps whose facts the condition reads.
    pub fn steps(&self) -> &BTreeSet<StepId> {
        &self.steps
    }

    /// Says whether the condition uses this input.
    pub fn uses_input(&self, name: &str) -> bool {
        let mut names = Vec::new();
        self.tree.names(&mut names);
        let is_it = |path: &[String]| match path {
            [inputs, rest @ ..] if inputs == "inputs" => rest.first().is_none_or(|first| first == name),
            _ => false,
        };
        names.into_iter().any(is_it)
    }

    /// Returns where the condition reads outputs of other steps.
    pub(super) fn outputs(&self) -> &[OutputRead] {
        &self.outputs
    }

    /// Returns where the condition stands in the plan.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns where the condition names a step; where it stands itself if it does not.
    pub fn place_of(&self, step: &StepId) -> Place {
        self.reads.get(step).copied().unwrap_or(self.place)
    }

    /// Says whether the condition is true; fails with a sentence that names the cause.
    pub fn evaluate(&self, scope: &Scope) -> Result<bool, String> {
        evaluate::truth(&self.tree, &self.text, scope)
    }

    /// Returns the names of the condition with what they stand for, as a person wants to read them:
    /// `steps.curate.outcome is "failed"`. Long values are cut, and so is a long list.
    pub fn values(&self, scope: &Scope) -> Vec<String> {
        let mut names = Vec::new();
        self.tree.names(&mut names);
        let mut said: Vec<String> = Vec::new();
        for path in names {
            let value = scope.lookup(path).map_or_else(|| "not there".to_owned(), |value| shown(&value));
            let sentence = format!("{} is {value}", spelled(path.iter().map(String::as_str)));
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        said.truncate(VALUES_SHOWN_MAX);
        said
    }
}

impl Node {
    /// Collects the names of the tree, in the order of the text.
    fn names<'n>(&'n self, names: &mut Vec<&'n [String]>) {
        match &self.body {
            Body::Literal(_) => {}
            Body::Name(path) => names.push(path),
            Body::List(nodes) | Body::Call(_, nodes) | Body::Join(_, nodes) => {
                for node in nodes {
                    node.names(names);
                }
            }
            Body::Not(inner) => inner.names(names),
            Body::Compare(_, left, right) | Body::In(_, left, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }
}

/// Returns a value as a message shows it.
fn shown(value: &Value) -> String {
    excerpt(&value.to_string())
}
