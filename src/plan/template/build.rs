//! From the tree of YAML to templates, with every problem and its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::engine;
use super::names::{Known, NamesHere};
use super::parse::{Compiled, Parsed, Problem, parse};
use super::place::inside;
use super::{Body, Form, OutputRead, Template};
use crate::plan::StepId;
use crate::plan::code::Code;
use crate::plan::diagnostic::{Diagnostic, Span};
use crate::plan::reader::{Reader, excerpt};
use crate::plan::secret::SecretRef;
use crate::plan::source::{Entry, Node, Yaml};

/// Compiles a value in which texts may be templates. What the environment must give is added to `env`.
pub(in crate::plan) fn build(
    reader: &mut Reader<'_>,
    node: &Node,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Template {
    let (reads, inputs, outputs, secrets) = (BTreeMap::new(), BTreeSet::new(), Vec::new(), Vec::new());
    let mut build = Build { reader, here, known, env, reads, inputs, outputs, secrets };
    let body = build.body(node);
    let Build { reads, inputs, outputs, secrets, .. } = build;
    let steps = reads.keys().cloned().collect();
    let span = node.span();
    Template { body, steps, reads, inputs, outputs, secrets, span, name: span }
}

/// Compiles a value and renders it at once; nothing if it uses what has no value yet, or is wrong.
pub(in crate::plan) fn render_now(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Value> {
    let before = reader.findings.len();
    let template = build(reader, node, NamesHere::Early, known, env);
    if reader.findings[before..]
        .iter()
        .any(|finding| finding.is_error() || finding.code == Code::VariableOpen)
    {
        return None;
    }
    // What is open has been left out of the trial; it has no value here either.
    template.render_with(&known.scope, &known.context).ok()
}

struct Build<'b, 'r, 'k> {
    reader: &'b mut Reader<'r>,
    here: NamesHere,
    known: &'b Known<'k>,
    env: &'b mut BTreeSet<String>,
    reads: BTreeMap<StepId, crate::plan::Place>,
    inputs: BTreeSet<String>,
    outputs: Vec<OutputRead>,
    secrets: Vec<(Option<SecretRef>, Span)>,
}

impl Build<'_, '_, '_> {
    /// Recurses as deep as the tree, which has a limit.
    fn body(&mut self, node: &Node) -> Body {
        match &node.value {
            Yaml::Null | Yaml::Broken => Body::Plain(Value::Null),
            Yaml::Bool(value) => Body::Plain((*value).into()),
            Yaml::Number(number) => Body::Plain(self.number(node, number)),
            Yaml::NotFinite => {
                let message =
                    format!("`{}` is a number that JSON cannot say", node.spelling(self.reader.text));
                self.reader.report(
                    Diagnostic::at(Code::NoJson, node.span(), message).help("quote it to send it as a text"),
                );
                Body::Plain(Value::Null)
            }
            Yaml::Text(text) => self.text(node, text),
            Yaml::List(items) => {
                let items: Vec<Body> = items.iter().map(|item| self.body(item)).collect();
                if !items.iter().all(Body::is_plain) {
                    return Body::List(items);
                }
                Body::Plain(items.into_iter().map(Body::into_plain).collect())
            }
            Yaml::Map(entries) => self.map(entries),
        }
    }

    fn map(&mut self, entries: &[Entry]) -> Body {
        let text = self.reader.text;
        for Entry { key, .. } in entries {
            if key.key_text(text).is_some_and(|name| name.contains("{{")) {
                self.reader.report(
                    Diagnostic::at(
                        Code::TemplateInKey,
                        key.span(),
                        "a template in a key is sent as it stands",
                    )
                    .help("templates belong in values; give the whole map as an input of the type object"),
                );
            }
        }
        let bodies: Vec<(String, Body)> = entries
            .iter()
            .map(|Entry { key, value }| (key.key_text(text).unwrap_or_default().to_owned(), self.body(value)))
            .collect();
        if !bodies.iter().all(|(_, body)| body.is_plain()) {
            return Body::Map(bodies);
        }
        Body::Plain(Value::Object(bodies.into_iter().map(|(key, body)| (key, body.into_plain())).collect()))
    }

    /// Keeps integers exact: one that no JSON number here can hold is an error, not a rounding.
    fn number(&mut self, node: &Node, number: &Number) -> Value {
        if node.is_inexact(self.reader.text) {
            let spelling = node.spelling(self.reader.text);
            let message = format!("`{}` is too large for an exact number", excerpt(spelling));
            let help = "quote it to send it as a text, which the pipeline can convert";
            self.reader.report(Diagnostic::at(Code::NoJson, node.span(), message).help(help));
        }
        Value::Number(number.clone())
    }

    fn text(&mut self, node: &Node, text: &str) -> Body {
        if self.here != NamesHere::Early && text.starts_with('@') {
            self.reader.report(
                Diagnostic::at(
                    Code::LiteralExpression,
                    node.span(),
                    "a value that begins with `@` is sent as it is",
                )
                .label("not evaluated by Synapse")
                .help("expressions belong in the pipeline; give a value here, or a template `{{...}}`"),
            );
        }
        if self.here != NamesHere::Early && looks_numeric(text) && node.spelling(self.reader.text) == text {
            self.reader.report(
                Diagnostic::at(
                    Code::LeadingZero,
                    node.span(),
                    format!("`{text}` is sent as a text, not as a number"),
                )
                .help(format!(
                    "quote it if that is meant: \"{text}\"; a number has no leading zero and no `_`"
                )),
            );
        }
        if !text.contains("{{") {
            return Body::Plain(Value::String(text.to_owned()));
        }
        match parse(text, self.here, self.known) {
            Ok(parsed) => self.parsed(node, text, parsed),
            Err(problems) => {
                for problem in problems {
                    self.problem(node, text, problem);
                }
                Body::Plain(Value::Null)
            }
        }
    }

    fn parsed(&mut self, node: &Node, text: &str, parsed: Parsed) -> Body {
        let Parsed { compiled, found } = parsed;
        for (id, at) in found.steps {
            let place = || inside(node, self.reader.text, text, at, 1).place;
            self.reads.entry(StepId::new(&id)).or_insert_with(place);
        }
        for output in found.outputs {
            let span = inside(node, self.reader.text, text, output.at, output.name.len());
            self.outputs.push(OutputRead {
                step: StepId::new(&output.step),
                output: output.output,
                stand_in: format!("{{{{default {} ...}}}}", output.name),
                has_default: output.has_default,
                span,
            });
        }
        for (name, at) in found.unset {
            let span = inside(node, self.reader.text, text, at, name.len());
            let message = format!("the environment variable `{name}` is not set");
            self.reader.report(
                Diagnostic::at(Code::VariableOpen, span, message).help("set it before the plan is started"),
            );
        }
        for (reference, at, bytes) in found.secrets {
            self.secrets.push((reference, inside(node, self.reader.text, text, at, bytes)));
        }
        self.env.extend(found.env);
        self.inputs.extend(found.inputs);
        let (form, tried) = match compiled {
            Compiled::Lone(expression) => {
                let tried =
                    if found.is_open { Ok(()) } else { expression.render(&self.known.scope).map(drop) };
                (Form::Lone(Arc::new(expression)), tried)
            }
            Compiled::Text(template) => {
                let tried = if found.is_open {
                    Ok(())
                } else {
                    engine::render(&template, &self.known.context, &self.known.scope).map(drop)
                };
                (Form::Text(Arc::new(template)), tried)
            }
            Compiled::Sealed(parts) => {
                let (scope, context) = (&self.known.scope, &self.known.context);
                let tried = if found.is_open {
                    Ok(())
                } else {
                    parts.iter().try_for_each(|part| part.render(scope, context).map(drop))
                };
                (Form::Sealed(parts.into()), tried)
            }
        };
        if let Err(message) = tried {
            let help = "for a list or object inside a text write `{{json NAME}}`, for what may be missing `{{default NAME VALUE}}`";
            self.reader.report(Diagnostic::at(Code::RenderFailed, node.span(), message).help(help));
        }
        Body::Open(form, text.into())
    }

    fn problem(&mut self, node: &Node, text: &str, problem: Problem) {
        let Problem { at, bytes, refusal } = problem;
        let span = inside(node, self.reader.text, text, at, bytes);
        if refusal.hides_source {
            self.reader.hide(node);
        }
        let mut finding = Diagnostic::at(refusal.code, span, refusal.message).label(refusal.label);
        finding.help = refusal.help;
        self.reader.report(finding);
    }
}

/// Says whether a text looks like a number that YAML 1.2 does not take for one: `010`, `1_000`.
fn looks_numeric(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

impl Body {
    fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn into_plain(self) -> Value {
        match self {
            Self::Plain(value) => value,
            _ => Value::Object(Map::new()),
        }
    }
}
