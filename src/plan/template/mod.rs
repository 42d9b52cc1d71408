//! Templates: JSON values of any shape in which texts may hold Handlebars expressions.
//!
//! Compiled and checked once, when the plan is loaded; rendered when a step starts. A text that is
//! one lone expression keeps its JSON type. Nothing here reads a file, a variable or a clock: all
//! names come from a [`Scope`]. Main type: [`Template`].

mod build;
mod compile;
mod engine;
mod expression;
mod names;
mod output;
mod parse;
mod place;
mod preview;
mod sealed;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::diagnostic::Span;
use super::secret::{Rendered, SecretRef, SecretText, pointer_step, shown};
use super::sketch::iteration_id;
use super::{Each, Outputs, Place, Plan, StepId};
use expression::Expression;
use sealed::Part;

pub(super) use build::{build, render_now};
pub(super) use names::{Known, Meaning, NamesHere, Refusal, resolve};
pub(super) use output::build_output;
pub(super) use place::inside;
pub use preview::Preview;

/// A JSON value of any shape in which texts may hold Handlebars templates, compiled and checked.
#[derive(Clone, Debug)]
pub struct Template {
    body: Body,
    /// The steps whose facts are read, each with the place where it is named first.
    reads: BTreeMap<StepId, Place>,
    steps: BTreeSet<StepId>,
    /// The inputs that are used; [`ALL_INPUTS`] among them stands for all.
    inputs: BTreeSet<String>,
    outputs: Vec<OutputRead>,
    /// The secrets it asks for, each with its place; no reference where that is not known yet.
    secrets: Vec<(Option<SecretRef>, Span)>,
    /// Where the value is written.
    span: Span,
    /// Where the name of the parameter is written that it is the value of; the value itself where it has none.
    name: Span,
}

/// Stands among the inputs of a template that uses `inputs` itself: no input has this name.
const ALL_INPUTS: &str = "";

/// An output of a step where a template reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputRead {
    pub(super) step: StepId,
    pub(super) output: String,
    /// How a value that stands in for it is written.
    pub(super) stand_in: String,
    /// Whether `default` says what stands in for it.
    pub(super) has_default: bool,
    pub(super) span: Span,
}

/// A value by how it is rendered.
#[derive(Clone, Debug)]
enum Body {
    /// Holds no template.
    Plain(Value),
    /// A text with templates, as it is written.
    Open(Form, Arc<str>),
    List(Vec<Body>),
    Map(Vec<(String, Body)>),
}

/// A text with templates by what becomes of it.
#[derive(Clone, Debug)]
enum Form {
    /// One lone expression: keeps its type.
    Lone(Arc<Expression>),
    /// A longer text around expressions or blocks.
    Text(Arc<handlebars::Template>),
    /// A text that holds secrets, around which it has been split.
    Sealed(Arc<[Part]>),
}

/// The names a template may use when it is rendered.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The plan's inputs.
    pub inputs: Map<String, Value>,
    /// The environment variables the plan names.
    pub env: BTreeMap<String, String>,
    /// The plan's name.
    pub plan_name: String,
    /// The environment that was chosen; empty for none.
    pub environment: String,
    /// The flow's id and start, once there is a flow.
    pub flow: Option<(String, String)>,
    /// What a webhook may know of the flow besides.
    pub told: Map<String, Value>,
    /// What is known of the steps that the template names.
    pub steps: BTreeMap<StepId, StepFacts>,
    /// The row that `each` stands for in an iteration.
    pub each: Option<Arc<Each>>,
}

/// What a template may know of another step.
#[derive(Clone, Debug, Default)]
pub struct StepFacts {
    /// How it ended, as a word.
    pub outcome: String,
    /// The run of its last attempt.
    pub run_id: Option<String>,
    /// What its run gave of the outputs that it declares.
    pub outputs: Outputs,
}

impl Template {
    /// Returns a template that is just this value.
    pub fn plain(value: Value, at: impl Into<Span>) -> Self {
        let (reads, steps, inputs) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (outputs, secrets) = (Vec::new(), Vec::new());
        let span = at.into();
        Self { body: Body::Plain(value), reads, steps, inputs, outputs, secrets, span, name: span }
    }

    /// Says where the name of the parameter is written that it is the value of.
    pub(super) fn named(self, name: Span) -> Self {
        Self { name, ..self }
    }

    /// Returns the steps whose facts this template reads.
    pub fn steps(&self) -> &BTreeSet<StepId> {
        &self.steps
    }

    /// Returns where this template reads outputs of other steps.
    pub(super) fn outputs(&self) -> &[OutputRead] {
        &self.outputs
    }

    /// Returns where the template stands in the plan.
    pub fn place(&self) -> Place {
        self.span.place
    }

    /// Returns the piece of the plan that the template is.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the piece of the plan that names the parameter whose value it is; the value where there is none.
    pub fn name_span(&self) -> Span {
        self.name
    }

    /// Returns where the template names a step; where it stands itself if it does not.
    pub fn place_of(&self, step: &StepId) -> Place {
        self.reads.get(step).copied().unwrap_or(self.span.place)
    }

    /// Says whether it uses this input.
    pub fn uses_input(&self, name: &str) -> bool {
        self.inputs.contains(name) || self.inputs.contains(ALL_INPUTS)
    }

    /// Says whether the value holds secrets.
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Returns the secrets that it asks for, each with its place; no reference where that is not known yet.
    pub(super) fn secrets(&self) -> &[(Option<SecretRef>, Span)] {
        &self.secrets
    }

    /// Returns where the secrets in it are kept; fails with a sentence that names the cause.
    ///
    /// Asks for nothing but what is known before the flow begins.
    pub fn references(&self, scope: &Scope) -> Result<Vec<SecretRef>, String> {
        let mut found = Vec::new();
        self.body.references(scope, &mut found)?;
        Ok(found)
    }

    /// Returns the value with every template replaced, as people may see it: secrets stand in it as the templates that ask
    /// for them. Fails with a sentence that names the cause.
    pub fn render(&self, scope: &Scope) -> Result<Value, String> {
        Ok(self.render_for_request(scope)?.value)
    }

    /// Returns the value before the step starts, as people may see it: a text that needs what is not known yet stands as it
    /// is written.
    pub fn shown(&self, scope: &Scope) -> Value {
        let mut rendering = Rendering { keeps_open: true, ..Rendering::new(scope) };
        rendering.body(&self.body).unwrap_or_default()
    }

    /// Renders the value with the engine's form of the scope at hand.
    fn render_with(&self, scope: &Scope, context: &handlebars::Context) -> Result<Value, String> {
        Rendering { given: Some(context), ..Rendering::new(scope) }.body(&self.body)
    }

    /// Returns the value with every template replaced, and how its texts with secrets are put together when it is sent.
    /// Fails with a sentence that names the cause.
    pub fn render_for_request(&self, scope: &Scope) -> Result<Rendered, String> {
        let mut rendering = Rendering::new(scope);
        let value = rendering.body(&self.body)?;
        Ok(Rendered { value, secrets: rendering.secrets })
    }
}

impl Body {
    fn references(&self, scope: &Scope, found: &mut Vec<SecretRef>) -> Result<(), String> {
        match self {
            Self::Plain(_) | Self::Open(Form::Lone(_) | Form::Text(_), _) => Ok(()),
            Self::Open(Form::Sealed(parts), _) => parts.iter().try_for_each(|part| {
                if let Part::Secret(reference) = part {
                    found.push(sealed::reference(reference, scope)?);
                }
                Ok(())
            }),
            Self::List(items) => items.iter().try_for_each(|item| item.references(scope, found)),
            Self::Map(entries) => entries.iter().try_for_each(|(_, body)| body.references(scope, found)),
        }
    }
}

/// A value on its way from templates to JSON.
struct Rendering<'s> {
    scope: &'s Scope,
    /// The scope in the engine's form, where somebody has it at hand.
    given: Option<&'s handlebars::Context>,
    /// The same, once a text has asked for it.
    made: Option<handlebars::Context>,
    /// Where the current part of the value stands, as a JSON pointer.
    at: String,
    secrets: Vec<SecretText>,
    /// Whether a text stays as it is written where its value is not known.
    keeps_open: bool,
}

impl<'s> Rendering<'s> {
    const fn new(scope: &'s Scope) -> Self {
        Self { scope, given: None, made: None, at: String::new(), secrets: Vec::new(), keeps_open: false }
    }

    fn body(&mut self, body: &Body) -> Result<Value, String> {
        match body {
            Body::Plain(value) => Ok(value.clone()),
            // A `default` would hide that the step's value is still to come.
            Body::Open(_, text) if self.keeps_open && text.contains("steps.") => Ok((**text).into()),
            Body::Open(form, text) => match self.form(form) {
                Err(_) if self.keeps_open => Ok((**text).into()),
                rendered => rendered,
            },
            Body::List(items) => items
                .iter()
                .enumerate()
                .map(|(n, item)| self.inside(&n.to_string(), item))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Body::Map(entries) => entries
                .iter()
                .map(|(key, body)| Ok((key.clone(), self.inside(key, body)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }

    fn form(&mut self, form: &Form) -> Result<Value, String> {
        let scope = self.scope;
        match form {
            Form::Lone(expression) => expression.render(scope),
            Form::Text(text) => engine::render(text, self.context()?, scope).map(Value::String),
            Form::Sealed(parts) => {
                let context = self.context()?;
                let pieces: Vec<_> =
                    parts.iter().map(|part| part.render(scope, context)).collect::<Result<_, _>>()?;
                let shown = shown(&pieces);
                self.secrets.push(SecretText { at: self.at.clone(), pieces });
                Ok(Value::String(shown))
            }
        }
    }

    fn inside(&mut self, key: &str, body: &Body) -> Result<Value, String> {
        let length = self.at.len();
        self.at += &pointer_step(key);
        let value = self.body(body);
        self.at.truncate(length);
        value
    }

    fn context(&mut self) -> Result<&handlebars::Context, String> {
        match (self.given, &mut self.made) {
            (Some(given), _) => Ok(given),
            (None, made) => Ok(match made {
                Some(context) => context,
                None => made.insert(engine::context(self.scope)?),
            }),
        }
    }
}

impl Scope {
    /// Returns what a plan's templates may use before there is a flow.
    pub fn of(plan: &Plan) -> Self {
        Self {
            inputs: plan.inputs.clone(),
            env: plan.env.clone(),
            plan_name: plan.name.clone(),
            environment: plan.environment.clone(),
            ..Self::default()
        }
    }

    /// Returns all names as one value, for the engine.
    fn data(&self) -> Value {
        let steps: Map<String, Value> = self
            .steps
            .iter()
            .map(|(id, facts)| {
                let mut known = Map::new();
                known.insert("outcome".to_owned(), facts.outcome.clone().into());
                if let Some(run) = &facts.run_id {
                    known.insert("run_id".to_owned(), run.clone().into());
                }
                known.insert("outputs".to_owned(), Value::Object(facts.outputs.values.clone()));
                (id.as_str().to_owned(), Value::Object(known))
            })
            .collect();
        let steps = with_iterations(steps);
        let mut data = Map::new();
        data.insert("inputs".to_owned(), Value::Object(self.inputs.clone()));
        data.insert("env".to_owned(), self.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        data.insert("plan".to_owned(), serde_json::json!({ "name": self.plan_name }));
        data.insert("environment".to_owned(), self.environment.as_str().into());
        data.insert("steps".to_owned(), Value::Object(steps));
        if let Some(each) = &self.each {
            data.insert("each".to_owned(), each_value(each));
        }
        if let Some((id, started_at)) = &self.flow {
            let mut flow = self.told.clone();
            flow.insert("id".to_owned(), id.as_str().into());
            flow.insert("started_at".to_owned(), started_at.as_str().into());
            data.insert("flow".to_owned(), Value::Object(flow));
        }
        Value::Object(data)
    }

    /// Returns the value of a name, if it has one.
    pub(super) fn lookup(&self, path: &[String]) -> Option<Value> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["inputs"] => Some(Value::Object(self.inputs.clone())),
            ["inputs", name, rest @ ..] => member(self.inputs.get(*name)?, rest).cloned(),
            ["env", name] => self.env.get(*name).map(|value| value.as_str().into()),
            ["plan", "name"] => Some(self.plan_name.as_str().into()),
            ["each", "key"] => self.each.as_ref().map(|each| each.key.as_str().into()),
            ["each", "value", rest @ ..] => member(&self.each.as_ref()?.value, rest).cloned(),
            ["environment"] => Some(self.environment.as_str().into()),
            ["flow", "id"] => self.flow.as_ref().map(|(id, _)| id.as_str().into()),
            ["flow", "started_at"] => self.flow.as_ref().map(|(_, started_at)| started_at.as_str().into()),
            ["steps", id, "outputs", path @ ..] => {
                let (facts, name, rest) = self.output_at(id, path)?;
                member(facts.outputs.values.get(name)?, rest).cloned()
            }
            ["flow", fact] => self.told.get(*fact).cloned(),
            ["steps", id, fact] => {
                let facts = self.steps.get(&StepId::new(id))?;
                match *fact {
                    "outcome" => Some(facts.outcome.as_str().into()),
                    "run_id" => facts.run_id.as_deref().map(Value::from),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns the sentence for a name without a value, with the cause where one is known. `shown` is the name as it is
    /// written.
    fn no_value(&self, shown: &str, path: &[String]) -> String {
        let why = self.why_absent(path).map(|why| format!(": {why}")).unwrap_or_default();
        format!("`{shown}` has no value{why}; give one with `{{{{default {shown} ...}}}}`")
    }

    /// Returns the step whose output is meant, the output's name and what is asked for in it: of an iteration that is
    /// named by its key, or of the step itself.
    fn output_at<'p>(&self, id: &str, path: &'p [&'p str]) -> Option<(&StepFacts, &'p str, &'p [&'p str])> {
        if let [key, name, rest @ ..] = path
            && let Some(facts) = self.steps.get(&StepId::new(&iteration_id(id, key)))
        {
            return Some((facts, name, rest));
        }
        let [name, rest @ ..] = path else { return None };
        Some((self.steps.get(&StepId::new(id))?, name, rest))
    }

    fn why_absent(&self, path: &[String]) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let ["steps", id, "outputs", path @ ..] = path.as_slice() else { return None };
        let (facts, name, rest) = self.output_at(id, path)?;
        if facts.outputs.values.contains_key(name) {
            return Some(format!("the output `{name}` holds no `{}`", rest.join(".")));
        }
        facts.outputs.absent.get(name).cloned()
    }
}

/// Adds the outputs of iterations to the step that they are iterations of, by their keys.
fn with_iterations(mut steps: Map<String, Value>) -> Map<String, Value> {
    let given = |(id, facts): (&String, &Value)| {
        let (step, key) = id.split_once('[')?;
        Some((step.to_owned(), key.strip_suffix(']')?.to_owned(), facts.get("outputs")?.clone()))
    };
    let iterations: Vec<_> = steps.iter().filter_map(given).collect();
    for (step, key, outputs) in iterations {
        let facts = steps.entry(step).or_insert_with(|| serde_json::json!({ "outputs": {} }));
        if let Some(Value::Object(all)) = facts.get_mut("outputs") {
            all.insert(key, outputs);
        }
    }
    steps
}

/// Returns what `each` is for the engine.
fn each_value(each: &Each) -> Value {
    serde_json::json!({ "key": each.key, "value": each.value })
}

/// Follows keys and list positions into a value.
pub fn member<'v>(value: &'v Value, path: &[impl AsRef<str>]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Object(map) => map.get(key.as_ref()),
        Value::Array(items) => items.get(key.as_ref().parse::<usize>().ok()?),
        _ => None,
    })
}
