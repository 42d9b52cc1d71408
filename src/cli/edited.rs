//! Going on by an edited plan: what differs from the flow's own, and whether that fits what has run.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::args::Inputs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{commit, load};
use crate::diff::{self, Change};
use crate::flow::{Event, Flow, Outcome};
use crate::plan::{Plan, SecretText, Step, StepId, StepIndex, render_parameters};
use crate::report::{differences, one_line};

/// Reads an edited plan for a flow: in its environment, with its inputs, those given now before them, and dates as they
/// were when it was made.
///
/// Fails with exit 3 if it is no plan, and with 4 if it is another plan or one with another key.
pub(super) fn read(path: &Path, given: &Inputs, flow: &Flow, settings: &Settings) -> Result<Event, Failure> {
    let header = flow.header();
    let mut loaded = load::edited_plan(path, header, given, settings)?;
    loaded.narrow(&header.selection)?;
    let other = |what: &str, now: &str, before: &str| {
        Failure::new(Exit::Contract, format!("`{}` is the {what} `{}`", path.display(), one_line(now)))
            .because(format!("flow `{}` is one of `{}`", header.id, one_line(before)))
    };
    let plan = &loaded.plan;
    if plan.name != header.plan_name {
        return Err(other("plan", &plan.name, &header.plan_name));
    }
    if plan.run_key != header.run_key {
        return Err(other("plan with the key", &plan.run_key, &header.run_key)
            .hint("`synflow apply` begins a flow of the other key"));
    }
    Ok(Event::PlanChanged {
        plan_file: path.display().to_string(),
        plan_sha256: load::sha256(&loaded.text),
        commit: commit::of(path, &loaded.text),
        plan_text: loaded.text,
        inputs: loaded.plan.inputs.clone(),
        env: loaded.plan.env.clone(),
        max_parallel: Some(loaded.plan.max_parallel),
    })
}

/// Shows what the edited plan changes.
///
/// Fails with exit 4 if a success that is kept, or a run that may be live, would have been another by it, and says what
/// to do about that.
pub(super) fn compare(before: &Flow, after: &Flow, redone: &BTreeSet<&StepId>) -> Result<(), Failure> {
    let (old, new) = (before.plan(), after.plan());
    let mut lines = Vec::new();
    let (mut kept, mut live) = (Vec::new(), Vec::new());
    if before.header().max_parallel != after.header().max_parallel {
        let (was, is) = (before.header().max_parallel, after.header().max_parallel);
        lines.push(format!("~ max_parallel: {was} becomes {is}"));
    }
    if old.deadline != new.deadline {
        let said = |flow: &Flow| flow.due().map_or_else(|| "none".to_owned(), |due| due.at.spoken());
        lines.push(format!("~ deadline: {} becomes {}", said(before), said(after)));
    }
    let run_in = |flow: &Flow, step: &Step| flow.index(&step.id).filter(|&at| flow.step(at).kind.is_run());
    for (_, step) in old.runs().filter(|(_, step)| run_in(after, step).is_none()) {
        lines.push(format!("- {}", one_line(step.id.as_str())));
    }
    for (position, step) in new.runs() {
        let id = one_line(step.id.as_str());
        let Some(index) = run_in(before, step) else {
            lines.push(format!("+ {id}"));
            continue;
        };
        let (was, run) = (before.step(index), before.run(index));
        let sent = run.last_attempt().map(|attempt| (attempt.parameters.clone(), attempt.secrets.clone()));
        let sent = sent.or_else(|| resolved(before, index));
        let different = differing(sent.as_ref(), resolved(after, position).as_ref());
        let place = |plan: &Plan, step: &Step| plan.workspaces[step.workspace].endpoint.clone();
        let is_other =
            !different.is_empty() || was.pipeline != step.pipeline || place(old, was) != place(new, step);
        match run.outcome() {
            _ if !is_other => {}
            Some(Outcome::Succeeded | Outcome::Warned) if !redone.contains(&step.id) => kept.push(id.clone()),
            Some(Outcome::Unknown) => live.push(id.clone()),
            _ if run.is_left_running() || before.live().any(|step| step == index) => live.push(id.clone()),
            _ => {}
        }
        // What was sent is compared, not what the plans say of it.
        let mut changes = diff::step(old, was, new, step);
        changes.retain(|change| !change.key.starts_with("parameters."));
        changes.extend(different);
        let changes: Vec<String> = changes.iter().map(differences::change).collect();
        if !changes.is_empty() {
            lines.push(format!("~ {id}: {}", changes.join(", ")));
        }
    }
    if lines.is_empty() {
        tell("the plan's steps are as they were");
    } else {
        tell(&format!("what the edited plan changes:\n  {}", lines.join("\n  ")));
    }
    refuse(before, &kept, &live)
}

fn refuse(flow: &Flow, kept: &[String], live: &[String]) -> Result<(), Failure> {
    let names = |ids: &[String]| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    if let Some(first) = live.first() {
        let message = format!(
            "{} may be running, and would be another run by the edited plan; nothing was started",
            names(live)
        );
        let id = &flow.header().id;
        return Err(Failure::new(Exit::Contract, message)
            .hint(format!("wait for it, or end it: synflow cancel {id} --step {first}")));
    }
    if kept.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} succeeded, and would have been another run by the edited plan; nothing was started",
        names(kept)
    );
    let redo: Vec<String> = kept.iter().map(|id| format!("--redo {id}")).collect();
    Err(Failure::new(Exit::Contract, message)
        .hint(format!("add `{}` to do it again, or `--redo STEP+` with all that follows", redo.join(" "))))
}

/// The parameters of a step, and the texts among them that hold secrets.
type Sent = (Map<String, Value>, Vec<SecretText>);

/// Returns the parameters that a step would send by the edited plan; nothing if they cannot be told.
fn resolved(flow: &Flow, step: StepIndex) -> Option<Sent> {
    render_parameters(&flow.step(step).parameters, &flow.scope(step)).ok()
}

/// Returns the parameters that are otherwise; none where one side cannot be told yet. Of secrets, only the places where they
/// are kept are compared and shown.
fn differing(before: Option<&Sent>, after: Option<&Sent>) -> Vec<Change> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let names: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let secrets = |sent: &Sent, name: &str| -> Vec<SecretText> {
        sent.1.iter().filter(|text| text.member() == name).cloned().collect()
    };
    let is_other = |name: &String| {
        before.0.get(name) != after.0.get(name) || secrets(before, name) != secrets(after, name)
    };
    let names = names.into_iter().filter(|name| is_other(name));
    names
        .map(|name| Change {
            key: format!("parameters.{name}"),
            before: before.0.get(name).cloned(),
            after: after.0.get(name).cloned(),
        })
        .collect()
}
