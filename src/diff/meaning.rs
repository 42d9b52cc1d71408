//! What a plan says, as values by names. What it leaves to its default has no entry.

use serde_json::{Map, Value};

use crate::flow::StepRun;
use crate::plan::{
    Backoff, Cloud, Hook, IfRunning, OnTimeout, OutputSource, Plan, Retry, RetryMode, RetryOn, Scope, Step,
    StepKind, When,
};

/// Returns what is said of a plan as a whole, its inputs first.
pub(super) fn of_plan(plan: &Plan) -> Map<String, Value> {
    let mut said = Said::default();
    said.is("name", plan.name.clone().into());
    for (name, value) in &plan.inputs {
        said.is(&format!("inputs.{name}"), value.clone());
    }
    said.unless_empty("environment", &plan.environment);
    said.unless_empty("run_key", &plan.run_key);
    // Where a workspace is, each of its steps says.
    for workspace in &plan.workspaces {
        let said_of = |what: &str| format!("workspaces.{}.{what}", workspace.key);
        said.unless_empty(&said_of("tenant"), workspace.tenant.as_deref().unwrap_or_default());
        said.unless_empty(&said_of("auth"), workspace.auth.unwrap_or_default());
        if workspace.cloud != Cloud::Public {
            said.is(&said_of("cloud"), workspace.cloud.word().into());
        }
    }
    said.is("max_parallel", plan.max_parallel.into());
    for pool in &plan.pools {
        said.is(&format!("pools.{}", pool.name), pool.size.into());
    }
    if let Some(deadline) = &plan.deadline {
        said.is("deadline", deadline.to_string().into());
    }
    if let Some(most) = plan.max_failures {
        said.is("max_failures", most.into());
    }
    for (name, value) in &plan.env {
        said.is(&format!("env.{name}"), value.clone().into());
    }
    let scope = Scope::of(plan);
    let hooks = [
        ("on_finish", &plan.hooks.on_finish),
        ("on_failure", &plan.hooks.on_failure),
        ("on_deadline", &plan.hooks.on_deadline),
    ];
    for (key, hooks) in hooks.into_iter().filter(|(_, hooks)| !hooks.is_empty()) {
        said.is(key, hooks.iter().map(|hook| of_hook(&scope, hook)).collect());
    }
    said.0
}

/// Returns what is said of a step that runs a pipeline.
pub(super) fn of_step(plan: &Plan, step: &Step) -> Map<String, Value> {
    let mut said = Said::default();
    said.is("pipeline", step.pipeline.clone().into());
    said.is("workspace", plan.workspaces[step.workspace].endpoint.clone().into());
    let scope = plan.scope(step);
    for (name, template) in &step.parameters {
        said.is(&format!("parameters.{name}"), template.shown(&scope));
    }
    if step.is_final {
        let words = step.depends_on.iter().flat_map(|edge| edge.rule.words());
        said.is("finally", words.collect::<Vec<_>>().join(", ").into());
    } else if !step.depends_on.is_empty() {
        let mut edges: Vec<String> = step.depends_on.iter().map(|edge| plan.edge_text(edge)).collect();
        edges.sort_unstable();
        said.is("depends_on", edges.into());
    }
    if let Some(when) = step.when.as_ref().map(When::text) {
        said.is("when", when.into());
    }
    for output in &step.outputs {
        said.is(&format!("outputs.{}", output.name), of_source(&output.source).into());
    }
    if let Some(timeout) = step.timeout {
        said.is("timeout", timeout.short().into());
    }
    if step.on_timeout == OnTimeout::Detach {
        said.is("on_timeout", "detach".into());
    }
    said.retry(&step.retry);
    let if_running = match step.if_running {
        IfRunning::Start => "",
        IfRunning::Wait => "wait",
        IfRunning::Attach => "attach",
        IfRunning::Skip => "skip",
        IfRunning::Fail => "fail",
    };
    said.unless_empty("if_running", if_running);
    for &(pool, weight) in &step.pools {
        said.is(&format!("pool.{}", plan.pools[pool].name), weight.into());
    }
    if step.priority != 0 {
        said.is("priority", step.priority.into());
    }
    for (key, is_so) in [("allow_failure", step.allow_failure), ("strict", step.strict)] {
        if is_so {
            said.is(key, true.into());
        }
    }
    if let Some(StepKind::Group { max_parallel: Some(most), .. }) =
        step.group.map(|group| &plan.steps[group.0].kind)
    {
        said.is("max_parallel", (*most).into());
    }
    said.0
}

/// Returns what became of a step in a flow.
pub(super) fn of_run(run: &StepRun) -> Map<String, Value> {
    let mut said = Said::default();
    if let Some(outcome) = run.outcome() {
        said.is("outcome", outcome.word().into());
    }
    if run.attempts.len() > 1 {
        said.is("attempts", run.attempts.len().into());
    }
    let took = run.last_attempt().and_then(|attempt| {
        let by_service = attempt.run_start.zip(attempt.run_end);
        by_service.or(attempt.started_at.zip(attempt.ended_at))
    });
    if let Some((start, end)) = took {
        said.is("took", end.since(start).short().into());
    }
    if let Some(error) = run.error() {
        said.is("error", format!("{}: {}", error.code, error.message).into());
    }
    said.0
}

/// Secrets stand in it as the templates that ask for them.
fn of_hook(scope: &Scope, hook: &Hook) -> Value {
    let headers = hook.headers.iter().map(|(name, value)| (name.clone(), value.shown(scope)));
    let mut said = Map::from_iter([("url".to_owned(), hook.url.shown(scope))]);
    if !hook.headers.is_empty() {
        said.insert("headers".to_owned(), Value::Object(headers.collect()));
    }
    if let Some(body) = &hook.body {
        said.insert("body".to_owned(), body.shown(scope));
    }
    Value::Object(said)
}

/// Values by their names.
#[derive(Default)]
struct Said(Map<String, Value>);

impl Said {
    fn is(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Says what is other than usual.
    fn retry(&mut self, retry: &Retry) {
        let usual = Retry::default();
        if retry.max_attempts != usual.max_attempts {
            self.is("retry.max_attempts", retry.max_attempts.into());
        }
        for (key, delay, usual) in
            [("retry.delay", retry.delay, usual.delay), ("retry.max_delay", retry.max_delay, usual.max_delay)]
        {
            if delay != usual {
                self.is(key, delay.short().into());
            }
        }
        if retry.backoff == Backoff::Exponential {
            self.is("retry.backoff", "exponential".into());
        }
        if retry.on != usual.on {
            let word = |on: &RetryOn| match on {
                RetryOn::Failed => "failed".to_owned(),
                RetryOn::TimedOut => "timed_out".to_owned(),
                RetryOn::Cancelled => "cancelled".to_owned(),
                RetryOn::Code(code) => code.clone(),
            };
            self.is("retry.on", retry.on.iter().map(word).collect::<Vec<_>>().into());
        }
        if retry.mode == RetryMode::FromFailure {
            self.is("retry.mode", "from_failure".into());
        }
    }

    fn unless_empty(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.is(key, text.into());
        }
    }
}

fn of_source(source: &OutputSource) -> String {
    match source {
        OutputSource::Activity { name, path } => format!("activities.{name}.output{}", below(path)),
        OutputSource::ReturnValue { path } => format!("return_value{}", below(path)),
        OutputSource::Literal(value) => value.to_string(),
        OutputSource::Default(first, second) => format!("default {} {}", of_source(first), of_source(second)),
    }
}

fn below(path: &[String]) -> String {
    path.iter().fold(String::new(), |text, key| text + "." + key)
}
