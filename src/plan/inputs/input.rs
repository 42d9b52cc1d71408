//! One input: its value from each place where one can be, with what is wrong there.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::Value;

use super::files::{self, Values};
use super::kind::{InputType, fit, from_node, from_text, from_value};
use super::rules::{Broken, Rules, has_template};
use crate::plan::code::Code;
use crate::plan::diagnostic::{Diagnostic, Span};
use crate::plan::reader::{Fields, Reader, excerpt};
use crate::plan::source::{self, Entry, Node, Yaml};
use crate::plan::template::{Known, render_now};
use crate::plan::{dates, words};

/// A declared input.
pub(super) struct Input<'s> {
    pub(super) name: &'s str,
    /// Where its name stands.
    pub(super) declared: Span,
    pub(super) rules: Rules,
    pub(super) today: Date,
}

impl Input<'_> {
    /// Returns a value that keeps the rules; reports one that does not. `subject` names it in a message, `own` is where
    /// the plan has it.
    fn admit(
        &self,
        reader: &mut Reader<'_>,
        subject: &str,
        own: Option<Span>,
        value: Value,
    ) -> Option<Value> {
        match self.rules.check(&value) {
            Ok(()) => Some(value),
            Err(broken) => {
                reader.report(self.broken(subject, own, *broken));
                None
            }
        }
    }

    fn broken(&self, subject: &str, own: Option<Span>, broken: Broken) -> Diagnostic {
        let is_secret = broken.code == Code::NoReference;
        let what = if is_secret { "is no reference to a secret" } else { "is not allowed" };
        let span = own.or(broken.rule).unwrap_or(self.declared);
        let mut finding = Diagnostic::at(broken.code, span, format!("{subject} {what}: {}", broken.why));
        finding.label = match broken.near {
            Some(near) => format!("did you mean `{near}`?"),
            None if is_secret && own.is_none() => "declared here as a secret".to_owned(),
            None => String::new(),
        };
        if let (Some(_), Some(rule)) = (own, broken.rule) {
            finding = finding.also(rule, "by this rule");
        }
        finding = finding.help(broken.help);
        match own {
            Some(_) if is_secret => finding
                .help("if it was the secret itself, renew the secret: it may be in the repository's history"),
            _ => finding,
        }
    }

    /// Reads the value of `--input`.
    pub(super) fn of_command_line(&self, reader: &mut Reader<'_>, text: &str) -> Option<Value> {
        let (name, kind) = (self.name, self.rules.kind);
        let shown = if self.rules.is_secret { "..." } else { text };
        match from_text(kind, text, self.today) {
            Ok(value) => self.admit(reader, &format!("`--input {name}={shown}`"), None, value),
            Err(reason) => {
                let message = format!("`--input {name}={shown}` is not {}: {reason}", kind.noun());
                let finding = self.unreadable(message);
                reader.report(finding.help(format!("write it like `--input {name}={}`", kind.example())));
                None
            }
        }
    }

    /// Reads a value in the file of `--inputs`.
    pub(super) fn of_inputs_file(
        &self,
        reader: &mut Reader<'_>,
        values: &Values<'_>,
        node: &Node,
    ) -> Option<Value> {
        let (name, kind) = (self.name, self.rules.kind);
        let subject = |span: Span| format!("{}: the value of `{name}`", values.place(span));
        match from_node(kind, node, values.text, self.today) {
            Ok(value) => self.admit(reader, &subject(node.span()), None, value),
            // Reported as a key that is no text.
            Err(_) if matches!(node.value, Yaml::Broken) => None,
            Err((reason, span)) => {
                let finding = self.unreadable(format!("{} is not {}: {reason}", subject(span), kind.noun()));
                reader.report(finding.help(format!("write it like `{name}: {}`", plain_example(kind))));
                None
            }
        }
    }

    /// Takes the value that the flow was made with.
    pub(super) fn of_flow(&self, reader: &mut Reader<'_>, value: &Value) -> Option<Value> {
        let subject = format!("the value of `{}` with which the flow was made", self.name);
        match from_value(self.rules.kind, value, self.today) {
            Ok(value) => self.admit(reader, &subject, None, value),
            Err(reason) => {
                let finding =
                    self.unreadable(format!("{subject} is not {}: {reason}", self.rules.kind.noun()));
                let example = self.rules.kind.example();
                reader.report(finding.help(format!("give another with `--input {}={example}`", self.name)));
                None
            }
        }
    }

    fn unreadable(&self, message: String) -> Diagnostic {
        Diagnostic::at(Code::InputUnreadable, self.declared, message)
            .label(format!("declared here with the type {}", self.rules.kind.word()))
    }

    /// Reads the value that an environment gives.
    pub(super) fn of_environment(
        &self,
        reader: &mut Reader<'_>,
        environment: &str,
        node: &Node,
    ) -> Option<Value> {
        let subject = format!("the value of `{}` in the environment `{environment}`", self.name);
        if has_template(reader, node, &subject) {
            return None;
        }
        match from_node(self.rules.kind, node, reader.text, self.today) {
            Ok(value) => self.admit(reader, &subject, Some(node.span()), value),
            Err(_) if matches!(node.value, Yaml::Broken) => None,
            Err((reason, span)) => {
                let kind = self.rules.kind;
                let message = format!("{subject} must be {}", kind.noun());
                let finding = Diagnostic::at(Code::WrongType, span, message).label(reason);
                let help = format!("write it like `{}: {}`", self.name, plain_example(kind));
                reader.report(finding.help(help));
                None
            }
        }
    }

    /// Reads the key `file`: where the file is, and its path.
    pub(super) fn file_key<'n, 'a: 'n>(
        &self,
        reader: &mut Reader<'a>,
        fields: Fields<'n>,
    ) -> Option<(&'n Node, &'n str)> {
        let Entry { key, value: node } = fields.entry("file")?;
        if self.rules.is_secret {
            reader.report(
                Diagnostic::at(
                    Code::KeyNotForType,
                    key.span(),
                    "`file` holds a value, and a secret input has none",
                )
                .help("write a reference to the file as the default: `default: \"file:PATH\"`"),
            );
            return None;
        }
        if let Some(default) = fields.entry("default") {
            reader.report(
                Diagnostic::at(Code::KeysExclude, key.span(), "an input has `default` or `file`, not both")
                    .also(default.key.span(), "the other one")
                    .help("keep the one whose value is meant"),
            );
        }
        let path = reader.words(node, "`file`", "write the path of a YAML or JSON file: `regions.yaml`")?;
        if has_template(reader, node, "`file`") {
            return None;
        }
        if path.chars().any(char::is_control) {
            let message = "`file` holds a line break or another control character";
            reader.report(
                Diagnostic::at(Code::BadName, node.span(), message).help("write the path on one line"),
            );
            return None;
        }
        if files::leads_out(path) {
            reader.report(
                Diagnostic::at(
                    Code::FileElsewhere,
                    node.span(),
                    format!("`{}` lies outside the plan's folder", excerpt(path)),
                )
                .help(
                    "another machine may have another file there: a path beside the plan goes along with it",
                ),
            );
        }
        Some((node, path))
    }

    /// Reads the file that the input names.
    pub(super) fn of_file(
        &self,
        reader: &mut Reader<'_>,
        node: &Node,
        path: &str,
        file: Option<&Result<Vec<u8>, String>>,
    ) -> Option<Value> {
        let unusable = |message: String| Diagnostic::at(Code::InputFile, node.span(), message);
        let bytes = match file {
            Some(Ok(bytes)) => bytes,
            Some(Err(why)) => {
                let message = format!("the file `{}` cannot be read: {why}", excerpt(path));
                reader.report(unusable(message).help(format!(
                    "the path begins at the plan's folder; without the file, give the value with `--input {}=...`",
                    self.name
                )));
                return None;
            }
            None => {
                let message = format!("the file `{}` was not read", excerpt(path));
                reader.report(
                    unusable(message).help(format!("give the value with `--input {}=...`", self.name)),
                );
                return None;
            }
        };
        let kind = self.rules.kind;
        let wrong = |problem: &Diagnostic| {
            let finding = unusable(format!("the file holds no YAML or JSON: {}", files::at(path, problem)));
            problem.help.iter().fold(finding, |finding, help| finding.help(help.as_str()))
        };
        let source = match source::read(bytes) {
            Ok(source) => source,
            Err(problems) => {
                for problem in &problems {
                    reader.report(wrong(problem));
                }
                return None;
            }
        };
        let errors: Vec<_> = source.findings.iter().filter(|problem| problem.is_error()).collect();
        if !errors.is_empty() {
            for problem in errors {
                reader.report(wrong(problem));
            }
            return None;
        }
        match from_node(kind, &source.root, source.text, self.today) {
            Ok(value) => {
                let subject =
                    format!("{}: the value of `{}`", files::place(path, source.root.span()), self.name);
                self.admit(reader, &subject, None, value)
            }
            Err((reason, span)) => {
                let place = files::place(path, span);
                let message = format!("the file does not hold {}: {place}: {reason}", kind.noun());
                reader.report(unusable(message).help(format!(
                    "the whole file is the value of `{}`: correct it, or its `type`, which is {}",
                    self.name,
                    kind.word()
                )));
                None
            }
        }
    }

    /// Returns what to say of an input that has no value anywhere.
    pub(super) fn missing(&self, required: bool, environments: Vec<&str>) -> Diagnostic {
        let name = self.name;
        let code = if required { Code::InputMissing } else { Code::InputOpen };
        let message = if required {
            format!("the input `{name}` is not given")
        } else {
            format!("the input `{name}` must be given when the plan is started")
        };
        let example = if self.rules.is_secret { "env:NAME" } else { self.rules.kind.example() };
        let finding = Diagnostic::at(code, self.declared, message)
            .label("it has no default")
            .help(format!("give it with `--input {name}={example}`"));
        match environments.as_slice() {
            [] => finding,
            [only] => finding.help(format!("or choose the environment that has it: `--env {only}`")),
            _ => finding
                .help(format!("or choose an environment that has it: {}", words::list(environments, "or"))),
        }
    }

    /// Reads a default; reports if it does not fit the type or breaks a rule.
    pub(super) fn default(
        &self,
        reader: &mut Reader<'_>,
        node: &Node,
        known: &mut Known<'_>,
        env: &mut BTreeSet<String>,
    ) -> Option<Value> {
        let kind = self.rules.kind;
        let is_template =
            node.spelling(reader.text).contains("{{") || matches!(node.value, Yaml::List(_) | Yaml::Map(_));
        if is_template {
            known.refresh();
        }
        let value = match (&node.value, kind) {
            (Yaml::Broken, _) => return None,
            // Whatever it is, it stands here instead of a reference, and no message may show it.
            _ if self.rules.is_secret && !matches!(node.value, Yaml::Text(_)) => Value::Null,
            // A number where a text is wanted is the text it is spelled with.
            (Yaml::Number(_), InputType::String | InputType::Date) => node.spelling(reader.text).into(),
            _ if self.rules.is_secret => secret_default(reader, node, known, env)?,
            _ => render_now(reader, node, known, env)?,
        };
        if self.rules.is_secret {
            return self.admit(reader, "the default", Some(node.span()), value);
        }
        match fit(kind, value, self.today) {
            Ok(value) => self.admit(reader, "the default", Some(node.span()), value),
            Err(reason) => {
                reader.report(misfit(node, kind, is_template, reason, self.today));
                None
            }
        }
    }
}

/// Renders the default of a secret. What is wrong with its template is not told: it might be the secret itself.
fn secret_default(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Value> {
    let before = reader.findings.len();
    let value = render_now(reader, node, known, env);
    if reader.findings[before..].iter().any(Diagnostic::is_error) {
        reader.findings.truncate(before);
        return Some(Value::Null);
    }
    value
}

/// Says that a default has not the type, and how it would.
fn misfit(node: &Node, kind: InputType, is_template: bool, reason: String, today: Date) -> Diagnostic {
    let finding = if is_template {
        let message = format!("the default is not {}: {reason}", kind.noun());
        Diagnostic::at(Code::WrongResult, node.span(), message)
    } else {
        let message = format!("the default of {} input must be {}", kind.with_article(), kind.noun());
        Diagnostic::at(Code::WrongType, node.span(), message).label(reason)
    };
    finding.help(match (&node.value, kind) {
        (Yaml::Text(text), InputType::Int | InputType::Float | InputType::Bool)
            if from_text(kind, text, today).is_ok() =>
        {
            format!("write it without quotes: {text}")
        }
        (Yaml::Bool(value), InputType::String) => format!("quote it: \"{value}\""),
        (_, InputType::Date) => dates::FORMS.to_owned(),
        (Yaml::Number(_), InputType::Int) => "write a whole number, or `type: float`".to_owned(),
        _ => format!("write it like `default: {}`", plain_example(kind)),
    })
}

/// Returns a value of the type as YAML has it.
fn plain_example(kind: InputType) -> &'static str {
    kind.example().trim_matches('\'')
}
