//! Which names a template may use where it stands, and what to say about the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::compile::Tags;
use super::{Scope, StepFacts, engine, member};
use crate::plan::code::Code;
use crate::plan::compare::Kind;
use crate::plan::outputs::Declared;
use crate::plan::sketch::iteration_id;
use crate::plan::{Each, StepId, words};

/// What is known of the names when the plan is checked.
pub(in crate::plan) struct Known<'k> {
    /// Values for a trial: real ones for inputs and variables, made-up ones for steps and the flow.
    pub(in crate::plan) scope: Scope,
    /// The same in the engine's form.
    pub(in crate::plan) context: handlebars::Context,
    /// Inputs that are declared but have no value yet.
    pub(in crate::plan) open_inputs: BTreeSet<String>,
    /// The types that inputs are declared with.
    pub(in crate::plan) input_kinds: BTreeMap<String, Kind>,
    /// Inputs that are declared further down.
    pub(in crate::plan) later_inputs: BTreeSet<String>,
    /// Inputs whose value is a reference to a secret.
    pub(in crate::plan) secret_inputs: BTreeSet<String>,
    /// The tags of templates that have been read.
    pub(in crate::plan) tags: Tags,
    /// The outputs that each step declares.
    pub(in crate::plan) outputs: Declared,
    /// The keys of the iterations of steps that have some; nothing of those not known yet.
    pub(in crate::plan) groups: BTreeMap<StepId, Option<BTreeSet<String>>>,
    /// The steps whose place an iteration takes: the one that is waited for.
    pub(in crate::plan) pairs: BTreeMap<StepId, StepId>,
    /// The process's environment.
    pub(in crate::plan) env: &'k BTreeMap<String, String>,
    /// Whether a variable that is not set is an error.
    pub(in crate::plan) env_required: bool,
    /// What `each` stands for.
    each: EachHere,
}

/// What `each` stands for where a template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EachHere {
    /// Nothing: the step has no iterations.
    Nothing,
    /// The row of the scope.
    Row,
    /// A row that is not known yet.
    Open,
}

impl<'k> Known<'k> {
    /// Returns what is known before any input is read.
    pub(in crate::plan) fn new(
        plan_name: &str,
        environment: &str,
        env: &'k BTreeMap<String, String>,
        env_required: bool,
    ) -> Self {
        let scope = Scope {
            plan_name: plan_name.to_owned(),
            environment: environment.to_owned(),
            env: env.clone(),
            ..Scope::default()
        };
        Self {
            scope,
            context: handlebars::Context::null(),
            open_inputs: BTreeSet::new(),
            input_kinds: BTreeMap::new(),
            later_inputs: BTreeSet::new(),
            secret_inputs: BTreeSet::new(),
            tags: Tags::default(),
            outputs: BTreeMap::new(),
            groups: BTreeMap::new(),
            pairs: BTreeMap::new(),
            env,
            env_required,
            each: EachHere::Nothing,
        }
    }

    /// Lets `each` stand for a row from here on; for one that is not known yet if there is none.
    pub(in crate::plan) fn begin_row(&mut self, each: Option<Arc<Each>>) {
        self.each = if each.is_some() { EachHere::Row } else { EachHere::Open };
        self.put_each(each);
    }

    /// Lets `each` stand for nothing from here on.
    pub(in crate::plan) fn end_rows(&mut self) {
        self.each = EachHere::Nothing;
        self.put_each(None);
    }

    /// Says whether the row that `each` stands for is not known yet.
    pub(in crate::plan) fn is_row_open(&self) -> bool {
        self.each == EachHere::Open
    }

    /// Changes the row in the scope and in the engine's form, which is too large to be made anew for each row.
    fn put_each(&mut self, each: Option<Arc<Each>>) {
        if let Value::Object(names) = self.context.data_mut() {
            match &each {
                Some(each) => drop(names.insert("each".to_owned(), super::each_value(each))),
                None => drop(names.shift_remove("each")),
            }
        }
        self.scope.each = each;
    }

    /// Brings the engine's form in step with the scope.
    pub(in crate::plan) fn refresh(&mut self) {
        self.context = engine::context(&self.scope).unwrap_or_else(|_| handlebars::Context::null());
    }

    /// Adds what templates are tried with in place of a flow that has run.
    pub(in crate::plan) fn expect_flow(&mut self, steps: BTreeMap<StepId, StepFacts>, outputs: Declared) {
        self.outputs = outputs;
        self.scope.flow = Some(("000000".to_owned(), "2000-01-01T00:00:00.000Z".to_owned()));
        self.scope.steps = steps;
        self.refresh();
    }

    /// Adds what the templates of a webhook are tried with besides.
    pub(in crate::plan) fn expect_telling(&mut self, here: NamesHere) {
        let trial = |fact: &str| match fact {
            "exit_code" => Value::from(1),
            "outcome" => "failed".into(),
            "summary" => "nightly-sales failed after 2h03m".into(),
            _ => "2000-01-01T00:00:00.000Z".into(),
        };
        self.scope.told = here.told().iter().map(|fact| ((*fact).to_owned(), trial(fact))).collect();
        self.refresh();
    }
}

/// Which names are allowed in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum NamesHere {
    /// Known before the flow begins: `inputs`, `env`, `environment`, `plan`.
    Early,
    /// Also `steps` and `flow`.
    All,
    /// Also `secret`: what a request carries, and nothing else may hold.
    Request,
    /// In a webhook that is sent when the flow has ended: also how.
    AtEnd,
    /// In a webhook that is sent when the flow is late: also by what.
    AtDeadline,
}

impl NamesHere {
    /// Returns what of the flow can be named here, besides its id and start.
    pub(in crate::plan) const fn told(self) -> &'static [&'static str] {
        match self {
            Self::Early | Self::All | Self::Request => &[],
            Self::AtEnd => &["outcome", "exit_code", "ended_at", "summary"],
            Self::AtDeadline => &["deadline", "summary"],
        }
    }

    /// Says whether what stands here is sent and not kept, so that it may hold secrets.
    pub(in crate::plan) const fn admits_secrets(self) -> bool {
        matches!(self, Self::Request | Self::AtEnd | Self::AtDeadline)
    }
}

/// A name that cannot be used, without its place.
#[derive(Debug)]
pub(in crate::plan) struct Refusal {
    pub(in crate::plan) code: Code,
    pub(in crate::plan) message: String,
    pub(in crate::plan) label: String,
    pub(in crate::plan) help: Vec<String>,
    /// Whether the text it is about may be a secret, so that no message shows its line.
    pub(in crate::plan) hides_source: bool,
}

/// What a good name stands for.
#[derive(Debug)]
pub(in crate::plan) enum Meaning {
    /// A value that is known now.
    Value(Value),
    /// A value that will be known.
    Later,
    /// A fact of a step.
    Step(String),
    /// An output of a step, or something in it.
    Output { step: String, output: String },
}

/// The first words of names, in the order in which a message lists them.
const ROOTS: [&str; 7] = ["inputs", "steps", "each", "plan", "flow", "env", "environment"];

impl Refusal {
    pub(in crate::plan) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), label: String::new(), help: Vec::new(), hides_source: false }
    }

    pub(in crate::plan) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(in crate::plan) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    pub(in crate::plan) const fn hide_source(mut self, hides_source: bool) -> Self {
        self.hides_source = hides_source;
        self
    }

    fn near<'a>(
        self,
        word: &str,
        allowed: impl IntoIterator<Item = &'a str>,
        whole: &dyn Fn(&str) -> String,
    ) -> Self {
        match words::nearest(word, allowed) {
            Some(near) => self.label(format!("did you mean `{}`?", whole(near))),
            None => self,
        }
    }
}

/// Decides what a name at the top of a template stands for. `optional` names may lack a member.
pub(in crate::plan) fn resolve(
    path: &[String],
    optional: bool,
    here: NamesHere,
    known: &Known<'_>,
) -> Result<Meaning, Refusal> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["inputs"] if known.open_inputs.is_empty() => Ok(value_of(path, known)),
        ["plan", "name"] | ["environment"] => Ok(value_of(path, known)),
        ["plan", other, ..] => Err(unknown(&parts)
            .near(other, ["name"], &|near| format!("plan.{near}"))
            .help("of the plan there is `plan.name`")),
        ["steps" | "flow", ..] if here == NamesHere::Early => Err(Refusal::new(
            Code::NameNotHere,
            format!("`{}` cannot be used here: it is known only when the flow runs", parts.join(".")),
        )
        .help("here stand `inputs`, `env` and `plan.name`; steps can be read in `parameters`")),
        ["inputs"] | ["flow", "id" | "started_at"] => Ok(Meaning::Later),
        ["flow", fact] if here.told().contains(fact) => Ok(Meaning::Later),
        ["flow", other, ..] => Err(of_flow(&parts, other, here)),
        ["inputs", name, rest @ ..] => input(name, rest, optional, known),
        ["steps", id, rest @ ..] => step(id, rest, known),
        ["each", ..] => each(path, optional, known),
        ["environment", ..] => {
            Err(unknown(&parts).help("`environment` is a text, the name of the environment chosen"))
        }
        ["plan" | "flow" | "steps"] => {
            Err(unknown(&parts).help(format!("say what of it: `{}`", example(parts[0]))))
        }
        ["env", name, ..] => {
            Err(Refusal::new(Code::UnknownName, "environment variables are read with the helper `env`")
                .help(format!("write `{{{{env \"{name}\"}}}}`")))
        }
        ["env"] => Err(Refusal::new(Code::UnknownName, "`env` needs the name of a variable")
            .help("write `{{env \"NAME\"}}`")),
        ["secret", name, ..] => {
            Err(Refusal::new(Code::UnknownName, "secrets are read with the helper `secret`").help(format!(
                "write `{{{{secret \"env:{name}\"}}}}`, and single quotes around the whole value"
            )))
        }
        [first @ ("activities" | "return_value"), ..] => {
            Err(Refusal::new(Code::NameNotHere, format!("`{first}` can be read only in a step's `outputs`"))
                .help(format!("declare it there, `outputs: {{ rows: \"{{{{{}}}}}\" }}`", parts.join(".")))
                .help("and read it here as `steps.STEP.outputs.rows`"))
        }
        [first, rest @ ..] => Err(unknown_root(first, rest, known)),
        [] => Err(Refusal::new(Code::UnknownName, "`this` means nothing outside `#each` and `#with`")
            .help("write the whole name: `inputs.day`")),
    }
}

/// Says what is wrong with a fact of the flow: unknown anywhere, or known only elsewhere.
fn of_flow(parts: &[&str], fact: &str, here: NamesHere) -> Refusal {
    let facts = || ["id", "started_at"].into_iter().chain(here.told().iter().copied());
    let names: Vec<String> = facts().map(|fact| format!("flow.{fact}")).collect();
    let list = words::list(names.iter().map(String::as_str), "and");
    let here_are = format!("what of the flow can be named here: {list}");
    let is_told = |place: NamesHere| place.told().contains(&fact);
    let refusal = match here {
        NamesHere::AtDeadline if is_told(NamesHere::AtEnd) => "the flow has not ended then",
        _ if is_told(NamesHere::AtEnd) => "only `on_finish` and `on_failure` know it",
        _ if is_told(NamesHere::AtDeadline) => "only `on_deadline` knows it",
        _ => return unknown(parts).near(fact, facts(), &|near| format!("flow.{near}")).help(here_are),
    };
    Refusal::new(Code::NameNotHere, format!("`flow.{fact}` cannot be used here: {refusal}")).help(here_are)
}

fn value_of(path: &[String], known: &Known<'_>) -> Meaning {
    known.scope.lookup(path).map_or(Meaning::Later, Meaning::Value)
}

fn unknown(parts: &[&str]) -> Refusal {
    Refusal::new(Code::UnknownName, format!("there is no `{}`", parts.join(".")))
}

fn example(root: &str) -> &'static str {
    match root {
        "plan" => "plan.name",
        "flow" => "flow.id",
        "steps" => "steps.load.outcome",
        _ => "inputs.day",
    }
}

fn unknown_root(first: &str, rest: &[&str], known: &Known<'_>) -> Refusal {
    let mut parts = vec![first];
    parts.extend(rest);
    let refusal = unknown(&parts);
    if known.scope.inputs.contains_key(first) || known.open_inputs.contains(first) {
        return refusal.label(format!("did you mean `inputs.{}`?", parts.join(".")));
    }
    if !rest.is_empty() && known.scope.steps.contains_key(&StepId::new(first)) {
        return refusal.label(format!("did you mean `steps.{}`?", parts.join(".")));
    }
    // The words of other tools: for the row of a loop, and for our roots.
    let root = match first {
        "item" | "row" | "matrix" => Some("each.value"),
        "key" => Some("each.key"),
        _ => words::foreign(first, &ROOTS),
    };
    if let Some(root) = root {
        let whole = rest.iter().fold(root.to_owned(), |whole, part| whole + "." + part);
        return refusal.label(format!("did you mean `{whole}`?"));
    }
    refusal.near(first, ROOTS, &|near| near.to_owned()).help(
        "names begin with `inputs.`, `steps.`, `each.`, `plan.` or `flow.`; variables are read with `env \"NAME\"`",
    )
}

fn input(name: &str, rest: &[&str], optional: bool, known: &Known<'_>) -> Result<Meaning, Refusal> {
    if known.open_inputs.contains(name) {
        return Ok(Meaning::Later);
    }
    if known.later_inputs.contains(name) {
        return Err(Refusal::new(Code::NameNotHere, format!("the input `{name}` is declared further down"))
            .help("a default may only use inputs that are declared above it: move this one down"));
    }
    let Some(value) = known.scope.inputs.get(name) else {
        let declared: Vec<&str> =
            known.scope.inputs.keys().chain(&known.open_inputs).map(String::as_str).collect();
        let refusal = Refusal::new(Code::UnknownName, format!("there is no input `{name}`")).near(
            name,
            declared.iter().copied(),
            &|near| format!("inputs.{near}"),
        );
        return Err(if declared.is_empty() {
            refusal.help("the plan declares no inputs; add it below `inputs:` at the top")
        } else {
            refusal.help(format!("declared are {}; add it below `inputs:`", words::list(declared, "and")))
        });
    };
    match member(value, rest) {
        Some(value) => Ok(Meaning::Value(value.clone())),
        None if optional => Ok(Meaning::Later),
        None => Err(no_member(name, rest, value)),
    }
}

fn no_member(name: &str, rest: &[&str], value: &Value) -> Refusal {
    let whole = format!("inputs.{name}.{}", rest.join("."));
    let refusal = Refusal::new(Code::UnknownName, format!("`{whole}` does not exist in the input's value"));
    let refusal = match (value, rest) {
        (Value::Object(map), [key]) => {
            refusal.near(key, map.keys().map(String::as_str), &|near| format!("inputs.{name}.{near}"))
        }
        (Value::Object(_) | Value::Array(_), _) => refusal,
        _ => refusal.label(format!("`inputs.{name}` is neither a list nor an object")),
    };
    if refusal.label.starts_with("did you mean") {
        return refusal;
    }
    refusal.help(format!("if it may be missing, write `{{{{default {whole} ...}}}}`"))
}

fn each(path: &[String], optional: bool, known: &Known<'_>) -> Result<Meaning, Refusal> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match (known.each, parts.as_slice()) {
        (EachHere::Nothing, _) => Err(Refusal::new(
            Code::NameNotHere,
            "`each` has a meaning only in a step with `for_each` or `matrix`",
        )
        .help("use `inputs`, or give the step `for_each`; `for_each` and `matrix` themselves know only `inputs` and `env`")),
        (EachHere::Open, [_, "key" | "value", ..]) => Ok(Meaning::Later),
        (EachHere::Row, [_, "key"] | [_, "value", ..]) => match known.scope.lookup(path) {
            Some(value) => Ok(Meaning::Value(value)),
            None if optional => Ok(Meaning::Later),
            None => Err(no_column(&parts, known)),
        },
        (_, [_, other, ..]) => Err(unknown(&parts)
            .near(other, ["key", "value"], &|near| format!("each.{near}"))
            .help("of an iteration there are `each.key` and `each.value`")),
        _ => Err(unknown(&parts).help("say what of it: `each.key` or `each.value`")),
    }
}

fn no_column(parts: &[&str], known: &Known<'_>) -> Refusal {
    let whole = parts.join(".");
    let row = known.scope.each.as_ref();
    let key = row.map_or("", |each| each.key.as_str());
    let refusal = Refusal::new(Code::UnknownName, format!("`{whole}` does not exist for `{key}`"));
    let refusal = match (row.map(|each| &each.value), parts) {
        (Some(Value::Object(map)), [_, _, column]) => {
            refusal.near(column, map.keys().map(String::as_str), &|near| format!("each.value.{near}"))
        }
        (Some(Value::Object(_) | Value::Array(_)), _) => refusal,
        _ => refusal.label("`each.value` is neither a list nor an object"),
    };
    refusal.help(format!("if it may be missing, write `{{{{default {whole} ...}}}}`"))
}

fn step(id: &str, rest: &[&str], known: &Known<'_>) -> Result<Meaning, Refusal> {
    if !known.scope.steps.contains_key(&StepId::new(id)) {
        let ids = known.scope.steps.keys().map(StepId::as_str);
        return Err(Refusal::new(Code::UnknownTemplateStep, format!("there is no step `{id}`"))
            .near(id, ids, &|near| format!("steps.{near}"))
            .help("a step is named by its key below `steps:`"));
    }
    match rest {
        ["outcome" | "run_id"] => Ok(Meaning::Step(id.to_owned())),
        ["outputs", rest @ ..] => output(id, rest, known),
        _ => Err(Refusal::new(
            Code::UnknownName,
            format!(
                "there is no `steps.{id}{}`",
                rest.iter().fold(String::new(), |all, part| all + "." + part)
            ),
        )
        .near(rest.first().copied().unwrap_or_default(), ["outputs", "outcome", "run_id"], &|near| {
            format!("steps.{id}.{near}")
        })
        .help(format!(
            "of a step there are `steps.{id}.outcome`, `steps.{id}.run_id` and `steps.{id}.outputs.NAME`"
        ))),
    }
}

fn output(id: &str, rest: &[&str], known: &Known<'_>) -> Result<Meaning, Refusal> {
    let step = StepId::new(id);
    let Some(keys) = known.groups.get(&step).filter(|_| !known.pairs.contains_key(&step)) else {
        return output_of(id, id, rest, known);
    };
    // Iterations that are not known yet may have any key.
    let Some(keys) = keys else { return Ok(Meaning::Later) };
    let form = || {
        let key = keys.first().map_or("KEY", String::as_str);
        format!("the outputs of its iterations are reached by their keys: `steps.{id}.outputs.{key}.NAME`")
    };
    match rest {
        [] => {
            Err(Refusal::new(Code::UnknownName, format!("`steps.{id}.outputs` alone has no value"))
                .help(form()))
        }
        [key, rest @ ..] if keys.contains(*key) => output_of(id, &iteration_id(id, key), rest, known),
        [key, ..] => {
            Err(Refusal::new(Code::UnknownOutput, format!("the step `{id}` has no iteration `{key}`"))
                .near(key, keys.iter().map(String::as_str), &|near| format!("steps.{id}.outputs.{near}"))
                .help(form()))
        }
    }
}

/// Decides what an output of the step `id`, or of one of its iterations, stands for.
fn output_of(id: &str, iteration: &str, rest: &[&str], known: &Known<'_>) -> Result<Meaning, Refusal> {
    let own = id.split_once('[').map_or(id, |(own, _)| own);
    // Of a step whose `outputs` cannot be read something has been said already.
    let declared = known.outputs.get(&StepId::new(own)).and_then(Option::as_deref);
    let names = || declared.unwrap_or_default().iter().map(String::as_str);
    let key = iteration.strip_prefix(id).unwrap_or_default().trim_matches(['[', ']']);
    let whole = |name: &str| {
        if key.is_empty() {
            format!("steps.{id}.outputs.{name}")
        } else {
            format!("steps.{id}.outputs.{key}.{name}")
        }
    };
    match (rest, declared) {
        (_, Some([])) => {
            Err(Refusal::new(Code::UnknownOutput, format!("the step `{id}` declares no outputs")).help(
                format!(
                    "add to `{id}`, for example: `outputs: {{ {}: \"{{{{activities.NAME.output.KEY}}}}\" }}`",
                    rest.first().unwrap_or(&"rows")
                ),
            ))
        }
        ([], _) => Err(Refusal::new(Code::UnknownName, format!("`steps.{id}.outputs` alone has no value"))
            .help(format!("say which output: `{}`", whole(names().next().unwrap_or("rows"))))),
        ([name, ..], Some(declared)) if !declared.iter().any(|known| known == name) => {
            Err(Refusal::new(Code::UnknownOutput, format!("the step `{id}` has no output `{name}`"))
                .near(name, names(), &whole)
                .help(format!("declared are {}; add it below its `outputs:`", words::list(names(), "and"))))
        }
        ([name, ..], _) => Ok(Meaning::Output { step: iteration.to_owned(), output: (*name).to_owned() }),
    }
}
