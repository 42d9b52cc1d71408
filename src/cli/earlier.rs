//! What earlier flows, and runs that are live already, say against beginning a new flow.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::connect::exit_of;
use crate::cli::failure::{Exit, Failure};
use crate::cli::load;
use crate::driver::now;
use crate::flow::{Event, Flow, FlowHeader, RunStatus, StepState, Trust};
use crate::journal::Journal;
use crate::plan::{IfRunning, Plan, SecretText, Step, render_parameters};
use crate::report::one_line;
use crate::synapse::{CallFailure, RunFilter, SynapseClient, Window};
use crate::time::Delay;

/// What a run says that has not ended.
const GOING: [RunStatus; 3] = [RunStatus::Queued, RunStatus::InProgress, RunStatus::Canceling];

/// How many runs a message names.
const NAMED_MAX: usize = 10;

/// Ends a flow whose last step had ended when its process was killed. Says whether it was such a one.
fn end_if_settled(journal: &mut Journal, flow: &Flow) -> Result<bool, Failure> {
    if !flow.is_settled() {
        return Ok(false);
    }
    let end = Event::FlowEnded { exit_code: flow.outcome().exit_code() };
    journal.append(&flow.header().id, flow.last_seq() + 1, now(), &[end])?;
    Ok(true)
}

/// Gives a flow up: nothing more is done for it. `clients` has one for each workspace of its plan.
///
/// Fails with exit 6 while a run of it is live, or nobody knows whether one is.
pub(super) async fn give_up(
    journal: &mut Journal,
    flow: &Flow,
    clients: &[SynapseClient],
    start_grace: Delay,
) -> Result<(), Failure> {
    let mut live = Vec::new();
    for (index, place, step_run) in flow.steps() {
        let Some(attempt) = step_run.last_attempt() else { continue };
        match step_run.state {
            StepState::Unknown => live.push(format!("nobody knows whether step `{}` runs", place.id)),
            // What its cancelled run had started may go on.
            StepState::Settling if attempt.cancel.is_some() => {
                live.push(format!("the cancel of step `{}` may not be done", place.id));
            }
            _ => {}
        }
        let is_open = step_run.is_left_running() || flow.live().any(|step| step == index);
        if !is_open || step_run.state == StepState::Settling {
            continue;
        }
        if let Some(other) = attempt.other {
            live.push(format!("run {other} of step `{}` may be live as well", place.id));
        }
        let found = clients[place.workspace].run(attempt.run).await.map_err(|failure| {
            let what = format!("cannot see whether run {} of `{}` is live", attempt.run, place.id);
            Failure::new(exit_of(&failure), what).because(failure.to_string())
        })?;
        let is_told =
            flow.trust(place.workspace) == Trust::Proven && now() >= attempt.last_sent_at + start_grace;
        match found {
            Some(run) if !run.status.is_terminal() => {
                live.push(format!("run {} of step `{}` is {}", attempt.run, place.id, run.status));
            }
            None if attempt.started_at.is_none() && !is_told => {
                live.push(format!("nobody knows yet whether step `{}` was started", place.id));
            }
            _ => {}
        }
    }
    let id = &flow.header().id;
    if live.is_empty() {
        journal.append(id, flow.last_seq() + 1, now(), &[Event::GivenUp])?;
        return Ok(());
    }
    let message = format!("flow `{id}` cannot be given up: its runs are live; nothing was started");
    let failure = named(Failure::new(Exit::Locked, message), live);
    Err(failure.hint(format!("`synflow resume {id}` goes on with it, `synflow cancel {id}` ends its runs")))
}

/// Says that an earlier flow of the key has not ended.
pub(super) fn in_the_way(earlier: &FlowHeader) -> Failure {
    let (id, created_at) = (&earlier.id, earlier.created_at.spoken());
    let message = format!("flow `{id}` of this plan, begun {created_at}, has not ended; nothing was started");
    Failure::new(Exit::Locked, message).hint(format!("`synflow resume {id}` goes on with it")).hint(format!(
        "once none of its runs is live, `synflow apply {} --new` gives it up and begins another",
        earlier.plan_file
    ))
}

/// Looks whether runs of the plan's pipelines, with the parameters that it would send, are live: a plan that this journal
/// has never seen may be running from elsewhere (design 9.3). One list for each workspace. Steps whose `if_running` says what
/// to do about live runs are left out.
///
/// Fails with exit 6 and names them if there are any.
pub(super) async fn first_look(plan: &Plan, clients: &[SynapseClient]) -> Result<(), Failure> {
    let mut live = Vec::new();
    for (workspace, client) in clients.iter().enumerate() {
        let mut wanted: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        let is_blind = |step: &&Step| step.workspace == workspace && step.if_running == IfRunning::Start;
        for step in plan.runs().map(|(_, step)| step).filter(is_blind) {
            let scope = plan.scope(step);
            // What depends on other steps is not known yet, and cannot be compared.
            if let Ok((values, secrets)) = render_parameters(&step.parameters, &scope) {
                // Nor can secrets: a run that is alike but for them is told of.
                let hidden: BTreeSet<String> = secrets.iter().map(SecretText::member).collect();
                wanted.entry(step.pipeline.as_str()).or_default().push((&step.id, values, hidden));
            }
        }
        if wanted.is_empty() {
            continue;
        }
        let window = Window::of_live_runs(now());
        let filters = [RunFilter::pipelines(wanted.keys().copied()), RunFilter::statuses(GOING)];
        let unseen = |failure: CallFailure| {
            let name = &plan.workspaces[workspace].name;
            Failure::new(exit_of(&failure), format!("cannot see which runs are live in workspace `{name}`"))
                .because(failure.to_string())
        };
        for run in client.search_runs(window, &filters).await.map_err(unseen)? {
            let steps = wanted.get(run.seen.pipeline.as_str()).into_iter().flatten();
            let equal = steps
                .filter(|(_, values, hidden)| run.has_parameters_but(values, hidden))
                .map(|(id, ..)| *id);
            live.extend(equal.take(1).map(|id| {
                let (id, pipeline) = (one_line(id.as_str()), one_line(&run.seen.pipeline));
                format!(
                    "run {} of `{pipeline}` is {}, with the parameters of step `{id}`",
                    run.seen.run, run.seen.status
                )
            }));
        }
    }
    if live.is_empty() {
        return Ok(());
    }
    let message = "this journal has never seen the plan, and runs like its own are live; nothing was started";
    Err(named(Failure::new(Exit::Locked, message), live)
        .hint("if another machine runs the plan, go on there, or wait for it")
        .hint("`synflow apply PLAN --new` starts all the same"))
}

/// Returns a sentence for each live run of the plan's pipelines, whoever started it.
///
/// Fails if a workspace does not answer.
pub(super) async fn live_runs(plan: &Plan, clients: &[SynapseClient]) -> Result<Vec<String>, CallFailure> {
    let mut live = Vec::new();
    for (workspace, client) in clients.iter().enumerate() {
        let mut steps: BTreeMap<&str, &Step> = BTreeMap::new();
        for (_, step) in plan.runs().filter(|(_, step)| step.workspace == workspace) {
            steps.entry(&step.pipeline).or_insert(step);
        }
        if steps.is_empty() {
            continue;
        }
        let filters = [RunFilter::pipelines(steps.keys().copied()), RunFilter::statuses(GOING)];
        for run in client.query_runs(Window::of_live_runs(now()), &filters).await? {
            let by = steps.get(run.pipeline.as_str()).map(|step| format!(", the pipeline of `{}`", step.id));
            live.push(format!(
                "run {} of `{}` is {}{}",
                run.run,
                run.pipeline,
                run.status,
                by.unwrap_or_default()
            ));
        }
    }
    Ok(live)
}

/// Adds these causes, as far as a reader would read them.
fn named(failure: Failure, causes: Vec<String>) -> Failure {
    let more = causes.len().saturating_sub(NAMED_MAX);
    let failure = causes.into_iter().take(NAMED_MAX).fold(failure, Failure::because);
    if more == 0 { failure } else { failure.because(format!("and {more} more")) }
}

/// Returns the newest flow of the key that has not ended, with its events; one that had settled is ended on the way.
pub(super) fn unfinished(journal: &mut Journal, header: &FlowHeader) -> Result<Option<Flow>, Failure> {
    for earlier in journal.unfinished(&header.key())? {
        let flow = load::flow(journal, &earlier.id)?;
        if !end_if_settled(journal, &flow)? {
            return Ok(Some(flow));
        }
    }
    Ok(None)
}
