//! `synflow apply --dry-run`: what would be started in which order, without a network.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::load::LoadedPlan;
use crate::cli::put;
use crate::cli::validate::counted;
use crate::driver::now;
use crate::plan::{Edge, EdgeRule, Plan, StepIndex};
use crate::report::one_line;

/// Prints the plan in waves: a wave's steps wait only for steps of earlier ones.
pub(super) fn show(loaded: &LoadedPlan, max_parallel: usize) -> Result<(), Failure> {
    put(&text(loaded, max_parallel))
}

fn text(loaded: &LoadedPlan, max_parallel: usize) -> String {
    let (plan, graph) = (&loaded.plan, &loaded.graph);
    let mut waves: BTreeMap<usize, Vec<StepIndex>> = BTreeMap::new();
    for (step, _) in plan.runs() {
        waves.entry(graph.wave(step)).or_default().push(step);
    }
    let environment = match plan.environment.as_str() {
        "" => String::new(),
        name => format!(" in the environment `{name}`"),
    };
    let mut out = format!(
        "plan `{}`{environment}: {} in {}, at most {} at once\n",
        plan.name,
        counted(plan.runs().count(), "step"),
        counted(waves.len(), "wave"),
        max_parallel
    );
    for (name, value) in &plan.inputs {
        line(&mut out, &format!("  input {name} = {value}"));
    }
    if let Some(deadline) = &plan.deadline {
        line(&mut out, &format!("  deadline, if begun now: {}", deadline.of(now()).spoken()));
    }
    for (wave, steps) in waves {
        out.push('\n');
        line(&mut out, &format!("wave {}", wave + 1));
        for step in steps {
            describe(&mut out, plan, step);
        }
    }
    out.push_str("\nnothing was started\n");
    out
}

fn describe(out: &mut String, plan: &Plan, step: StepIndex) {
    let step = &plan.steps[step.0];
    let workspace = &plan.workspaces[step.workspace];
    line(out, &format!("  {}: pipeline `{}` in `{}`", step.id, step.pipeline, workspace.name));
    if step.is_final {
        let words: Vec<&str> = step.depends_on.iter().flat_map(|edge| condition_words(&edge.rule)).collect();
        line(out, &format!("    finally: {}", words.join(", ")));
    } else if !step.depends_on.is_empty() {
        let edges: Vec<String> = step.depends_on.iter().map(|edge| edge_text(plan, edge)).collect();
        line(out, &format!("    after {}", edges.join(", ")));
    }
    if let Some(when) = &step.when {
        line(out, &format!("    when {}", when.text()));
    }
    let scope = plan.scope(step);
    for (name, template) in &step.parameters {
        // A `default` for a step's value would hide that the value is still to come.
        let value = Some(template).filter(|template| template.steps().is_empty());
        let value = match value.map(|template| template.render(&scope)) {
            Some(Ok(value)) => value,
            _ => Value::String("(known when the step starts)".to_owned()),
        };
        line(out, &format!("    {name} = {value}"));
    }
    if !step.outputs.is_empty() {
        let names: Vec<&str> = step.outputs.iter().map(|output| output.name.as_str()).collect();
        line(out, &format!("    gives {}", names.join(", ")));
    }
    if let Some(timeout) = step.timeout {
        line(out, &format!("    times out after {}", timeout.short()));
    }
    if step.retry.max_attempts > 1 {
        line(out, &format!("    up to {} attempts", step.retry.max_attempts));
    }
    for &(pool, weight) in &step.pools {
        line(
            out,
            &format!("    takes {weight} of {} of pool `{}`", plan.pools[pool].size, plan.pools[pool].name),
        );
    }
    if let Some(reason) = &step.spared {
        line(out, &format!("    does not run: {reason}"));
    }
    if step.allow_failure {
        line(out, "    may fail");
    }
}

fn edge_text(plan: &Plan, edge: &Edge) -> String {
    let upstream = &plan.steps[edge.upstream.0].id;
    match &edge.rule {
        EdgeRule::Bare => upstream.to_string(),
        EdgeRule::AnyOf(_) => format!("{upstream} [{}]", condition_words(&edge.rule).join(", ")),
    }
}

fn condition_words(rule: &EdgeRule) -> Vec<&'static str> {
    match rule {
        EdgeRule::Bare => Vec::new(),
        EdgeRule::AnyOf(conditions) => conditions.iter().map(|condition| condition.word()).collect(),
    }
}

fn line(out: &mut String, text: &str) {
    // Names come from the plan as they are; a terminal must not obey them.
    let (indent, rest) = text.split_at(text.len() - text.trim_start_matches(' ').len());
    out.push_str(indent);
    out.push_str(&one_line(rest));
    out.push('\n');
}
