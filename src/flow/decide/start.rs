//! Which of the ready steps start now, and with what.

use serde_json::{Map, Value};

use crate::flow::decide::{Decision, Effect};
use crate::flow::policy::Limits;
use crate::flow::room::{Room, in_line, workspaces_asking};
use crate::flow::watch::Watch;
use crate::flow::{Event, Flow, Outcome, Recovery, Restart, StepState, Trust};
use crate::plan::{IfRunning, RetryMode, SecretText, StepIndex, render_parameters};
use crate::time::Timestamp;

/// Starts what is ready while there are places: by rank, retries among them once they are due.
///
/// In a workspace that has not shown whether it takes our ids, a start waits for the answer to the one before it.
pub(super) fn start_ready(
    flow: &Flow,
    watch: &Watch,
    limits: &Limits,
    now: Timestamp,
    decision: &mut Decision,
) {
    for step in flow.retrying() {
        if let StepState::Retrying { at } = flow.run(step).state
            && at > now
        {
            decision.wake(at);
        }
    }
    let mut room = Room::beside(flow);
    let mut asking = workspaces_asking(flow);
    for step in in_line(flow, now) {
        if room.is_full() || asking.len() >= flow.plan().workspaces.len() {
            return;
        }
        let workspace = flow.step(step).workspace;
        if asking.contains(&workspace) || !room.admits(flow, step) {
            continue;
        }
        match start(flow, watch, limits, now, step, decision) {
            Ok(Some(effect)) => {
                decision.effects.push(effect);
                room.take(flow, step);
                if flow.trust(workspace) == Trust::NotProven {
                    asking.insert(workspace);
                }
            }
            Ok(None) => {}
            Err(fact) => decision.facts.push(*fact),
        }
    }
}

/// Returns the start of a step; nothing if it must wait for a run that is live already, and a fact if that ends it.
fn start(
    flow: &Flow,
    watch: &Watch,
    limits: &Limits,
    now: Timestamp,
    step: StepIndex,
    decision: &mut Decision,
) -> Result<Option<Effect>, Box<Event>> {
    let place = flow.step(step);
    let over = |outcome: Outcome, reason: String| {
        Box::new(Event::StepEnded { step: place.id.clone(), outcome, reason })
    };
    if let Err((outcome, reason)) = admitted(flow, step) {
        return Err(over(outcome, reason));
    }
    let (parameters, secrets) = rendered(flow, step).map_err(|reason| over(Outcome::Failed, reason))?;
    let attempt = flow.run(step).attempts.len() as u32 + 1;
    if place.if_running != IfRunning::Start {
        let around = watch.around_since(step, now - limits.beat);
        let others = around.map(|around| around.iter().filter(|it| !flow.claims(it.run)).collect::<Vec<_>>());
        let Some(others) = others else {
            decision.want(watch, now, Effect::LookAround { step, parameters, secrets });
            return Ok(None);
        };
        if let Some(first) = others.first() {
            let reason = format!("pipeline `{}` runs already: run {}", place.pipeline, first.run);
            // Whether secrets are equal, nobody can tell.
            let equal = others.iter().find(|other| other.is_equal && secrets.is_empty());
            match (place.if_running, equal) {
                (IfRunning::Skip, _) => return Err(over(Outcome::NotNeeded, reason)),
                (IfRunning::Fail, _) => return Err(over(Outcome::Failed, reason)),
                (IfRunning::Attach, Some(equal)) => {
                    let (step, run) = (place.id.clone(), equal.run);
                    return Err(Box::new(Event::RunAttached { step, attempt, run, parameters }));
                }
                _ => {}
            }
            decision.want(watch, now, Effect::LookAround { step, parameters, secrets });
            return Ok(None);
        }
    }
    let recovery = recovery(flow, step, &parameters, &secrets);
    Ok(Some(Effect::Start { step, attempt, parameters, secrets, recovery }))
}

/// Asks a step's own condition, once for each time the step begins: a retry does not ask again. Fails with how the step
/// ends and why.
fn admitted(flow: &Flow, step: StepIndex) -> Result<(), (Outcome, String)> {
    let Some(when) = flow.step(step).when.as_ref().filter(|_| flow.run(step).current_attempt().is_none())
    else {
        return Ok(());
    };
    let scope = flow.scope(step);
    match when.evaluate(&scope) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let values = when.values(&scope);
            let because = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
            Err((Outcome::Skipped, format!("`when` is false: {}{because}", when.text())))
        }
        Err(why) => Err((Outcome::Failed, format!("`when` cannot be evaluated: {why}"))),
    }
}

/// Returns the failed run that the next attempt takes up: the one before it, with the same parameters, if the plan asks
/// for that and its end allows it. Secrets are the same if they are kept in the same place: of one that has changed since, the
/// service makes a run of its own, which runs whole.
fn recovery(
    flow: &Flow,
    step: StepIndex,
    parameters: &Map<String, Value>,
    secrets: &[SecretText],
) -> Option<Recovery> {
    let last = flow.run(step).last_attempt()?;
    let is_same = last.parameters == *parameters && last.secrets == secrets;
    let is_wanted = flow.step(step).retry.mode == RetryMode::FromFailure && is_same;
    match &last.restart {
        Some(Restart::From { activity }) if is_wanted => {
            Some(Recovery { run: last.run, activity: activity.clone() })
        }
        _ => None,
    }
}

/// Returns the parameters that an attempt sends, and the texts among them that hold secrets.
///
/// A later attempt sends what the first one did: a retry must not mean something else.
fn rendered(flow: &Flow, step: StepIndex) -> Result<(Map<String, Value>, Vec<SecretText>), String> {
    if let Some(earlier) = flow.run(step).current_attempt() {
        return Ok((earlier.parameters.clone(), earlier.secrets.clone()));
    }
    render_parameters(&flow.step(step).parameters, &flow.scope(step))
}
