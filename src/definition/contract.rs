//! A plan against the definitions of its pipelines: names, required values, types, outputs, queues.
//!
//! The service accepts a start whatever its parameters are and fails later (protocol 6.3); here it is known before.
//! Findings stand on the plan's lines and name where the definition was read. Main function: [`check`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fit::{Fit, fit, shown};
use super::queue::Depths;
use super::{Activity, Catalogue, Definition, PARAMETERS_MAX, Parameter, ParameterType, Returns};
use crate::plan::{
    Code, Diagnostic, Output, OutputSource, Plan, Preview, Scope, Step, StepIndex, Template, in_order,
    nearest, word_list,
};

/// How many names a message lists.
const NAMES_SHOWN_MAX: usize = 8;

/// How many missing parameters stand below the caret.
const MISSING_SHOWN_MAX: usize = 4;

/// How many wrong names are compared with all others: that takes its time.
const COMPARISONS_MAX: usize = 200;

/// How many runs of a pipeline wait in its queue at most (protocol 7).
pub(super) const QUEUE_MAX: usize = 100;

/// Compares the steps of a plan with the definitions of their pipelines. `of_workspace` gives those of a workspace by its
/// position in the plan; the steps of one without are passed over, and so is what is known only when a flow runs.
///
/// The findings stand in the order of the text. What is true of all iterations of a step is said once.
pub fn check<'c>(plan: &'c Plan, of_workspace: impl Fn(usize) -> Option<&'c Catalogue>) -> Vec<Diagnostic> {
    check_steps(plan, |_| true, of_workspace)
}

/// Does the same for some of the steps: those that are still to be started.
pub fn check_steps<'c>(
    plan: &'c Plan,
    is_meant: impl Fn(StepIndex) -> bool,
    of_workspace: impl Fn(usize) -> Option<&'c Catalogue>,
) -> Vec<Diagnostic> {
    let mut check = Check {
        plan,
        findings: Vec::new(),
        said: BTreeSet::new(),
        secret_lines: BTreeSet::new(),
        comparisons_left: COMPARISONS_MAX,
    };
    let mut users: BTreeMap<(usize, &str), (&Definition, Vec<StepIndex>)> = BTreeMap::new();
    for (index, step) in plan.runs().filter(|(index, step)| !step.open.target && is_meant(*index)) {
        let Some(catalogue) = of_workspace(step.workspace) else { continue };
        if let Some(definition) = catalogue.find(&step.pipeline) {
            if definition.is_stand_in {
                continue;
            }
            let user = users.entry((step.workspace, &definition.name));
            user.or_insert_with(|| (definition, Vec::new())).1.push(index);
            Pairing { index, step, definition }.check(&mut check);
        } else if !catalogue.unreadable.contains(&step.pipeline) {
            check.no_pipeline(index, step, catalogue);
        }
    }
    if users.values().any(|(definition, _)| definition.concurrency.is_some()) {
        let depths = Depths::of(plan);
        for (definition, steps) in users.values() {
            check.queue(definition, steps, depths.at_once(plan, steps));
        }
    }
    check.finish()
}

/// What was found so far.
struct Check<'c> {
    plan: &'c Plan,
    findings: Vec<Diagnostic>,
    /// What was said already, of a step or all its iterations.
    said: BTreeSet<(StepIndex, Code, String)>,
    /// Lines on which a secret may stand: no message shows them.
    secret_lines: BTreeSet<usize>,
    comparisons_left: usize,
}

/// A step beside the definition of its pipeline.
struct Pairing<'c> {
    index: StepIndex,
    step: &'c Step,
    definition: &'c Definition,
}

impl Check<'_> {
    /// Reports a finding about a thing, unless it was said of another iteration of the step.
    fn report(&mut self, index: StepIndex, thing: &str, finding: Diagnostic) {
        let owner = self.plan.steps[index.0].group.unwrap_or(index);
        if self.said.insert((owner, finding.code, thing.to_owned())) {
            self.findings.push(finding);
        }
    }

    fn nearest<'n>(&mut self, word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        self.comparisons_left = self.comparisons_left.checked_sub(1)?;
        nearest(word, names)
    }

    fn no_pipeline(&mut self, index: StepIndex, step: &Step, catalogue: &Catalogue) {
        let name = &step.pipeline;
        let names = || catalogue.definitions.keys().map(String::as_str);
        let mut finding =
            Diagnostic::at(Code::NoPipeline, step.pipeline_span, format!("there is no pipeline `{name}`"));
        if let Some(near) = self.nearest(name, names()) {
            finding = finding.label(format!("did you mean `{near}`?"));
        }
        if step.pipeline_span.place == step.place {
            finding = finding
                .help("without `pipeline`, the step's id is the name of its pipeline: add `pipeline:`");
        }
        let finding = finding.help(match catalogue.definitions.len() {
            0 => format!("{} has no pipelines", catalogue.origin),
            _ => format!("{} has {}", catalogue.origin, some(names())),
        });
        self.report(index, name, finding);
    }

    /// Tells of runs that will wait for each other in the service.
    fn queue(&mut self, definition: &Definition, steps: &[StepIndex], at_once: usize) {
        let Some(limit) = definition.concurrency else { return };
        let Some(first) = steps.first() else { return };
        let waiting = at_once.saturating_sub(limit);
        if waiting == 0 {
            return;
        }
        let name = &definition.name;
        let span = self.plan.steps[first.0].pipeline_span;
        let told = format!("{} says `concurrency: {limit}`", definition.source);
        let message = format!(
            "up to {at_once} runs of `{name}` may start at once, and Synapse lets {limit} of them run"
        );
        let queued = waiting.min(QUEUE_MAX);
        let finding = Diagnostic::at(Code::MayQueue, span, message)
            .label(format!("{queued} may wait in its queue, where their `timeout` runs"))
            .help(format!("`max_parallel: {limit}`, or a pool of that size, lets them wait here instead"));
        let finding = if waiting > QUEUE_MAX {
            finding
                .help(format!("the queue takes {QUEUE_MAX}: no more than that are started before others end"))
        } else {
            finding
        };
        self.report(*first, name, finding.help(told));
    }

    /// Returns what was found. What would show a line with a secret names only its place.
    fn finish(self) -> Vec<Diagnostic> {
        let Self { mut findings, secret_lines, .. } = self;
        for finding in &mut findings {
            let line = finding.span.map_or(0, |span| span.place.line);
            finding.hides_source |= secret_lines.contains(&line);
        }
        in_order(findings)
    }
}

impl Pairing<'_> {
    fn check(&self, check: &mut Check<'_>) {
        self.number(check);
        if !self.step.open.parameters {
            self.names(check);
            let scope = check.plan.scope(self.step);
            for (name, template) in &self.step.parameters {
                if let Some(parameter) = self.definition.parameter(name) {
                    self.value(check, parameter, template, &scope);
                }
            }
        }
        for output in &self.step.outputs {
            self.output(check, output, &output.source);
        }
    }

    /// Compares the numbers of parameters with what the service allows.
    fn number(&self, check: &mut Check<'_>) {
        let (declared, given) = (self.definition.parameters.len(), self.step.parameters.len());
        let (count, who) = if declared > PARAMETERS_MAX {
            (declared, format!("the pipeline `{}` declares", self.definition.name))
        } else {
            (given, "the step gives".to_owned())
        };
        if count <= PARAMETERS_MAX {
            return;
        }
        let message = format!("{who} {count} parameters; Synapse allows {PARAMETERS_MAX}");
        let span =
            if declared > PARAMETERS_MAX { self.step.pipeline_span } else { self.step.parameters_span };
        let finding = Diagnostic::at(Code::TooManyParameters, span, message)
            .help("put values that belong together into one parameter of the type Object")
            .help(self.declares());
        check.report(self.index, "", finding);
    }

    /// Compares the names that are given with those that are declared.
    fn names(&self, check: &mut Check<'_>) {
        let (step, definition) = (self.step, self.definition);
        let is_given =
            |parameter: &&Parameter| step.parameters.iter().any(|(name, _)| *name == parameter.name);
        let mut meant = BTreeSet::new();
        let unknown = step.parameters.iter().filter(|(name, _)| definition.parameter(name).is_none());
        for (name, template) in unknown {
            let free = definition.parameters.iter().filter(|parameter| !is_given(parameter));
            let near = check.nearest(name, free.map(|parameter| parameter.name.as_str()));
            let message = format!("the pipeline `{}` has no parameter `{name}`", definition.name);
            let mut finding = Diagnostic::at(Code::UnknownParameter, template.name_span(), message);
            if let Some(near) = near {
                meant.insert(near);
                finding = finding.label(format!("did you mean `{near}`?"));
            }
            check.report(self.index, name, finding.help(self.declares()));
        }
        // One that is misspelt is not missing too.
        let missing: Vec<&Parameter> = definition
            .parameters
            .iter()
            .filter(|one| one.default.is_none() && !is_given(one) && !meant.contains(one.name.as_str()))
            .collect();
        let Some(first) = missing.first() else { return };
        let listed = |most: usize| {
            let shown = missing.iter().take(most).map(|one| typed(one)).collect::<Vec<_>>().join(", ");
            if missing.len() > most { format!("{shown} and {} more", missing.len() - most) } else { shown }
        };
        let (what, verb) = match missing.len() {
            1 => ("a parameter".to_owned(), "is"),
            several => (format!("{several} parameters"), "are"),
        };
        let message = format!("the pipeline `{}` requires {what} that {verb} not given", definition.name);
        let (where_to, first) = if step.parameters.is_empty() {
            ("add to the step", format!("parameters: {{ {}: ... }}", first.name))
        } else {
            ("add below `parameters`", format!("{}: ...", first.name))
        };
        let mut finding = Diagnostic::at(Code::ParameterMissing, step.parameters_span, message)
            .label(format!("without {}", listed(MISSING_SHOWN_MAX)));
        if missing.len() > MISSING_SHOWN_MAX {
            finding = finding.help(format!("all of them: {}", listed(usize::MAX)));
        }
        let finding = finding.help(format!("{where_to}: `{first}`")).help(format!(
            "{} gives no default for {}",
            definition.source,
            if missing.len() == 1 { "it" } else { "them" }
        ));
        check.report(self.index, "", finding);
    }

    /// Compares a value with the type of its parameter.
    fn value(&self, check: &mut Check<'_>, parameter: &Parameter, template: &Template, scope: &Scope) {
        let name = &parameter.name;
        let given = template.preview(scope);
        let is_secure = parameter.kind == ParameterType::SecureString;
        if is_secure && !template.has_secrets() && given != Preview::Value(Value::Null) {
            if template.is_written() {
                let first = template.span().place.line;
                check.secret_lines.insert(first);
            }
            let message = format!("`{name}` is a SecureString, but what it is given is no secret");
            let finding = Diagnostic::at(Code::OpenSecureString, template.span(), message)
                .label("the journal would keep this, and `status` show it")
                .help("write `'{{secret \"env:NAME\"}}'`, or `file:PATH` or `keyvault:VAULT/NAME` in place of `env:NAME`")
                .help(self.declares_one(parameter));
            return check.report(self.index, name, finding);
        }
        if template.has_secrets()
            && !matches!(parameter.kind, ParameterType::SecureString | ParameterType::Other(_))
        {
            let is_text = parameter.kind == ParameterType::String;
            let message = format!("a secret is given to `{name}`, which is no SecureString");
            let finding = Diagnostic::at(Code::SecretShown, template.span(), message)
                .label("Synapse shows it to everybody who may see the run")
                .help(if is_text {
                    format!("declare `{name}` as SecureString in the pipeline")
                } else {
                    "give the secret a parameter of its own in the pipeline, a SecureString".to_owned()
                })
                .help(self.declares_one(parameter));
            check.report(self.index, name, finding);
        }
        let finding = match fit(parameter, &given) {
            Fit::Good => return,
            Fit::Doubtful if given == Preview::Value(Value::Null) => {
                let message = format!("the required parameter `{name}` is given no value");
                Diagnostic::at(Code::DoubtfulValue, template.span(), message)
                    .label("sent as null")
                    .help(format!("give it a value of the type {}", parameter.kind.word()))
            }
            Fit::Doubtful => {
                let message =
                    format!("a text is given to `{name}`, which is of the type {}", parameter.kind.word());
                Diagnostic::at(Code::DoubtfulValue, template.span(), message)
                    .label(self.where_in_rows("sent as a text"))
                    .help(advice(&parameter.kind, &given, template))
            }
            Fit::Bad => {
                let message = format!(
                    "the value does not fit `{name}`, which is of the type {}",
                    parameter.kind.word()
                );
                Diagnostic::at(Code::ParameterType, template.span(), message)
                    .label(self.where_in_rows(&format!("this is {}", shown(&given))))
                    .help(advice(&parameter.kind, &given, template))
            }
        };
        check.report(self.index, name, finding.help(self.declares_one(parameter)));
    }

    /// Adds the iteration of which something is true.
    fn where_in_rows(&self, label: &str) -> String {
        match &self.step.each {
            Some(each) => format!("{label} in the iteration `{}`", each.key),
            None => label.to_owned(),
        }
    }

    /// Compares what an output reads with what the pipeline has.
    fn output(&self, check: &mut Check<'_>, output: &Output, source: &OutputSource) {
        match source {
            OutputSource::Literal(_) => {}
            OutputSource::Default(first, second) => {
                self.output(check, output, first);
                self.output(check, output, second);
            }
            OutputSource::Activity { name, .. } => self.activity(check, output, name),
            OutputSource::ReturnValue { path } => self.returned(check, output, path.first()),
        }
    }

    fn activity(&self, check: &mut Check<'_>, output: &Output, name: &str) {
        let definition = self.definition;
        let names = || definition.activities.iter().map(|activity| activity.name.as_str());
        let Some(found) = definition.activities.iter().find(|activity| activity.name == name) else {
            let message = format!("the pipeline `{}` has no activity `{name}`", definition.name);
            let mut finding = Diagnostic::at(Code::UnknownActivity, output.span, message);
            if let Some(near) = check.nearest(name, names()) {
                finding = finding.label(format!("did you mean `{}`?", spelled(near)));
            }
            let listed = match definition.activities.len() {
                0 => format!("{} has no activities", definition.source),
                _ => format!("{} has {}", definition.source, some(names())),
            };
            return check.report(self.index, name, finding.help(listed));
        };
        let Some(why) = why_no_output(found) else { return };
        let message = format!("the output of `{name}` cannot be read: {why}");
        let finding = Diagnostic::at(Code::NoSingleOutput, output.span, message)
            .help(
                "let the pipeline return the value, with Set Variable, and read it as `{{return_value.KEY}}`",
            )
            .help(format!("it stands in {}", definition.source));
        check.report(self.index, name, finding);
    }

    fn returned(&self, check: &mut Check<'_>, output: &Output, key: Option<&String>) {
        let definition = self.definition;
        let at = |message: String| Diagnostic::at(Code::NoReturnValue, output.span, message);
        let set = "in the pipeline, a Set Variable activity sets it: `Pipeline return value`";
        match (&definition.returns, key) {
            (Returns::Nothing, _) => {
                let finding = at(format!("the pipeline `{}` returns nothing", definition.name))
                    .help(format!(
                        "{set}; or read what an activity produced: `{{{{activities.NAME.output}}}}`"
                    ))
                    .help(format!("{} sets no return value", definition.source));
                check.report(self.index, "", finding);
            }
            (Returns::Keys(keys), Some(key)) if !keys.contains(key) => {
                let mut finding = at(format!("the pipeline `{}` returns no `{key}`", definition.name));
                if let Some(near) = check.nearest(key, keys.iter().map(String::as_str)) {
                    finding = finding.label(format!("did you mean `{near}`?"));
                }
                let returned = some(keys.iter().map(String::as_str));
                let finding = finding.help(set).help(format!("{} returns {returned}", definition.source));
                check.report(self.index, key, finding);
            }
            _ => {}
        }
    }

    fn declares_one(&self, parameter: &Parameter) -> String {
        format!("{} declares {}", self.definition.source, typed(parameter))
    }

    fn declares(&self) -> String {
        let definition = self.definition;
        let shown: Vec<String> = definition.parameters.iter().take(NAMES_SHOWN_MAX).map(typed).collect();
        match definition.parameters.len() - shown.len() {
            0 if shown.is_empty() => format!("{} declares no parameters", definition.source),
            0 => format!("{} declares {}", definition.source, shown.join(", ")),
            more => format!("{} declares {} and {more} more", definition.source, shown.join(", ")),
        }
    }
}

/// Says why no output of an activity can be read, if so.
fn why_no_output(activity: &Activity) -> Option<&'static str> {
    if activity.is_looped {
        Some("it stands in a loop, and none of its rounds counts more than the others")
    } else if activity.hides_output {
        Some("it has `secureOutput`, so that Synapse shows it to nobody")
    } else {
        None
    }
}

/// Says what to write for a type.
fn advice(kind: &ParameterType, given: &Preview, template: &Template) -> String {
    let is_structure =
        matches!(given, Preview::List | Preview::Map | Preview::Value(Value::Array(_) | Value::Object(_)));
    let written = match kind {
        ParameterType::String | ParameterType::SecureString if is_structure => {
            "write its JSON in quotes, or give the parameter another type in the pipeline"
        }
        ParameterType::String | ParameterType::SecureString => {
            "put it in quotes, so that it is sent as a text"
        }
        ParameterType::Int => "write a whole number without quotes: `5`",
        ParameterType::Float => "write a number without quotes: `1.5`",
        ParameterType::Bool => "write `true` or `false` without quotes",
        ParameterType::Array => "write a list: `[a, b]`",
        ParameterType::Object => "write a map: `{ key: value }`",
        ParameterType::Other(_) => "compare it with the pipeline",
    };
    if template.is_written() {
        return written.to_owned();
    }
    match kind {
        ParameterType::String | ParameterType::SecureString => {
            "write `{{json NAME}}` in place of `{{NAME}}`: that makes a text of it".to_owned()
        }
        _ => format!(
            "let one template alone be the value, of an input or output that is {}: `\"{{{{inputs.NAME}}}}\"`",
            noun(kind)
        ),
    }
}

/// Returns what a type takes, in words.
const fn noun(kind: &ParameterType) -> &'static str {
    match kind {
        ParameterType::String | ParameterType::SecureString => "a text",
        ParameterType::Int => "a whole number",
        ParameterType::Float => "a number",
        ParameterType::Bool => "true or false",
        ParameterType::Array => "a list",
        ParameterType::Object => "a map",
        ParameterType::Other(_) => "a value",
    }
}

/// Returns a parameter with its type.
fn typed(parameter: &Parameter) -> String {
    format!("`{}` ({})", parameter.name, parameter.kind.word())
}

/// Returns an activity's name as a template says it.
fn spelled(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if is_plain { name.to_owned() } else { format!("[{name}]") }
}

/// Returns names as a sentence has them, the first of many.
fn some<'n>(names: impl Iterator<Item = &'n str> + Clone) -> String {
    let count = names.clone().count();
    if count <= NAMES_SHOWN_MAX {
        return word_list(names, "and");
    }
    let shown: Vec<String> = names.take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    format!("{} and {} more", shown.join(", "), count - NAMES_SHOWN_MAX)
}
