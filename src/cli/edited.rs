//! Going on by an edited plan: what differs from the flow's own, and whether that fits what has run.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::failure::{Exit, Failure};
use crate::cli::load;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::flow::{Event, Flow};
use crate::plan::{Plan, Step, StepId, StepIndex};
use crate::report::one_line;

/// Reads an edited plan for a flow: with the flow's inputs, and dates as they were when it was made.
///
/// Fails with exit 3 if it is no plan, and with 4 if it is another plan.
pub(super) fn read(path: &Path, flow: &Flow, settings: &Settings) -> Result<Event, Failure> {
    let header = flow.header();
    let inputs: Vec<(String, String)> =
        header.inputs.iter().map(|(name, value)| (name.clone(), as_text(value))).collect();
    let loaded = load::edited_plan(path, inputs, header.created_at, settings, &mut anstream::stderr())?;
    if loaded.plan.name != header.plan_name {
        let message = format!("`{}` is the plan `{}`", path.display(), one_line(&loaded.plan.name));
        return Err(Failure::new(Exit::Contract, message).because(format!(
            "flow `{}` is one of `{}`",
            header.id,
            one_line(&header.plan_name)
        )));
    }
    Ok(Event::PlanChanged {
        plan_file: path.display().to_string(),
        plan_sha256: load::sha256(&loaded.text),
        plan_text: loaded.text,
        inputs: loaded.plan.inputs.clone(),
        env: loaded.plan.env.clone(),
    })
}

/// Shows what the edited plan changes.
///
/// Fails with exit 4 if a success that is kept would have been another by it, and says how to do it again.
pub(super) fn compare(before: &Flow, after: &Flow, redone: &BTreeSet<&StepId>) -> Result<(), Failure> {
    let (old, new) = (before.plan(), after.plan());
    let mut lines = Vec::new();
    let mut conflicts = Vec::new();
    for step in &old.steps {
        if after.index(&step.id).is_none() {
            lines.push(format!("- {}", one_line(step.id.as_str())));
        }
    }
    for (position, step) in new.steps.iter().enumerate() {
        let id = one_line(step.id.as_str());
        let Some(index) = before.index(&step.id) else {
            lines.push(format!("+ {id}"));
            continue;
        };
        let was = before.step(index);
        let mut changes = changes(old, was, new, step);
        let sent = before.run(index).last_attempt().map(|attempt| &attempt.parameters);
        let is_kept =
            after.run(StepIndex(position)).is_over() && !redone.contains(&step.id) && sent.is_some();
        if is_kept {
            let resolved = resolved(after, StepIndex(position));
            let different = differing(sent, resolved.as_ref());
            let place = |plan: &Plan, step: &Step| plan.workspaces[step.workspace].endpoint.clone();
            if !different.is_empty() || was.pipeline != step.pipeline || place(old, was) != place(new, step) {
                conflicts.push(id.clone());
            }
            changes.extend(different);
        }
        if !changes.is_empty() {
            lines.push(format!("~ {id}: {}", changes.join(", ")));
        }
    }
    if lines.is_empty() {
        tell("the plan's steps are as they were");
    } else {
        tell(&format!("what the edited plan changes:\n  {}", lines.join("\n  ")));
    }
    if conflicts.is_empty() {
        return Ok(());
    }
    let names = conflicts.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let message =
        format!("{names} succeeded, and would have been another run by the edited plan; nothing was started");
    let redo: Vec<String> = conflicts.iter().map(|id| format!("--redo {id}")).collect();
    Err(Failure::new(Exit::Contract, message)
        .hint(format!("add `{}` to do it again, or `--redo STEP+` with all that follows", redo.join(" "))))
}

/// Returns what of a step the edited plan says differently, for people.
fn changes(old: &Plan, was: &Step, new: &Plan, step: &Step) -> Vec<String> {
    let mut changes = Vec::new();
    if was.pipeline != step.pipeline {
        changes.push(format!(
            "pipeline `{}` becomes `{}`",
            one_line(&was.pipeline),
            one_line(&step.pipeline)
        ));
    }
    let (before, after) = (&old.workspaces[was.workspace], &new.workspaces[step.workspace]);
    if before.endpoint != after.endpoint {
        changes.push(format!("workspace {} becomes {}", before.endpoint, after.endpoint));
    }
    let edges = |plan: &Plan, step: &Step| -> BTreeSet<String> {
        let edge = |edge: &crate::plan::Edge| format!("{} {:?}", plan.steps[edge.upstream.0].id, edge.rule);
        step.depends_on.iter().map(edge).collect()
    };
    if edges(old, was) != edges(new, step) {
        changes.push("`depends_on`".to_owned());
    }
    let keys = [
        ("timeout", was.timeout != step.timeout),
        ("retry", was.retry != step.retry),
        ("allow_failure", was.allow_failure != step.allow_failure),
        ("on_timeout", was.on_timeout != step.on_timeout),
        ("if_running", was.if_running != step.if_running),
    ];
    changes.extend(keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("`{key}`")));
    changes
}

/// Returns the parameters that a step would send by the edited plan; nothing if they cannot be told.
fn resolved(flow: &Flow, step: StepIndex) -> Option<Map<String, Value>> {
    let scope = flow.scope(step);
    let parameters = flow.step(step).parameters.iter();
    parameters.map(|(name, template)| Some((name.clone(), template.render(&scope).ok()?))).collect()
}

/// Names the parameters that were sent otherwise.
fn differing(sent: Option<&Map<String, Value>>, now: Option<&Map<String, Value>>) -> Vec<String> {
    let (Some(sent), Some(now)) = (sent, now) else { return vec!["parameters".to_owned()] };
    let names: BTreeSet<&String> = sent.keys().chain(now.keys()).collect();
    let show = |value: Option<&Value>| {
        value.map_or_else(|| "nothing".to_owned(), |value| one_line(&value.to_string()))
    };
    names
        .into_iter()
        .filter(|name| sent.get(*name) != now.get(*name))
        .map(|name| {
            format!(
                "parameter `{}` was {} and becomes {}",
                one_line(name),
                show(sent.get(name)),
                show(now.get(name))
            )
        })
        .collect()
}

/// Writes an input's value as the command line would give it.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
