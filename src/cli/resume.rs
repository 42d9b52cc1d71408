//! `synflow resume [FLOW]`: goes on with a flow that a process has left or lost, or that did not end well.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::{Driving, Inputs, Resume};
use crate::cli::connect::{self, Connections};
use crate::cli::contract::Claim;
use crate::cli::drive::{self, Next, Owned};
use crate::cli::ending::{self, Driven};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::cli::{block_on, edited, load, outlet, own, pace, report, secrets};
use crate::driver::{Goal, Pace, now};
use crate::flow::{Definitions, Event, Flow, Recorded, StepState, resume};
use crate::graph::select;
use crate::journal::Journal;
use crate::plan::StepId;
use crate::report::one_line;

/// What a resume is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// An edited plan to go on by.
    pub(super) plan: Option<PathBuf>,
    /// Inputs of that plan.
    pub(super) inputs: Inputs,
    /// What is done again although it succeeded.
    pub(super) redo: Vec<String>,
    /// Whether to leave once all that is ready has been started.
    pub(super) detach: bool,
}

/// Goes on with the flow, tells how it ended, and returns its exit code.
///
/// Fails, with nothing started, with exit 2 if the name fits no flow or several, 3 or 4 if the edited plan is invalid or
/// does not fit what has run, 4 if steps that are still to start do not fit their pipelines, 6 if another process has the flow or a newer one stands in its place, 10 or 11 if the
/// workspace cannot be used and 12 if the journal cannot.
pub(super) fn run(args: &Resume, settings: &Settings) -> Result<u8, Failure> {
    ending::tell(carry_out(args, settings), &args.driving, settings)
}

fn carry_out(args: &Resume, settings: &Settings) -> Result<Driven, Failure> {
    let pace = pace::read(&args.driving, false)?;
    let mut journal = load::journal(settings)?;
    let header = journal.find(args.flow.as_deref())?;
    if args.flow.is_none() {
        let environment = match header.environment.as_str() {
            "" => String::new(),
            name => format!(" ({})", one_line(name)),
        };
        tell(&format!("flow {} of {}{environment}", header.id, one_line(&header.plan_name)));
    }
    let others = [Some(Path::new(&header.plan_file)), args.plan.as_deref(), args.inputs.file.as_deref()];
    report::check(args.driving.report.as_deref(), &others.into_iter().flatten().collect::<Vec<_>>())?;
    let way = Way {
        plan: args.plan.clone(),
        inputs: args.inputs.clone(),
        redo: args.redo.clone(),
        detach: args.detach,
    };
    let flow = own::take_up(&mut journal, &header)?;
    block_on(go_on(flow, journal, &way, pace, &args.driving, settings))
}

/// Drives a flow on that this process has taken up.
pub(super) async fn go_on(
    flow: Flow,
    mut journal: Journal,
    way: &Way,
    pace: Pace,
    args: &Driving,
    settings: &Settings,
) -> Result<Driven, Failure> {
    let (opening, flow_as_it_will_be) = opening(&mut journal, &flow, way, settings)?;
    let Some(mut opening) = opening else {
        tell(&format!("flow {} has nothing left to do", flow.header().id));
        return Ok(Driven::new(flow.exit_code().unwrap_or(Exit::Done.code()), flow));
    };
    let plan = flow_as_it_will_be.plan();
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let secrets = {
        let (file, seed) = (&flow_as_it_will_be.header().plan_file, pace.limits.seed);
        secrets::prepare(&mut connections, file, seed)?
    };
    let wanted = secrets::of_flow(&flow_as_it_will_be);
    let header = flow_as_it_will_be.header();
    // What is under way goes on by what was sent for it.
    let is_to_start = |step| {
        let run = flow_as_it_will_be.run(step);
        !run.is_over() && run.current_attempt().is_none()
    };
    let claim = Claim {
        file: &header.plan_file,
        text: &header.plan_text,
        is_to_start: &is_to_start,
        hint: format!(
            "publish the pipelines again; or `synflow resume {} --plan FILE` goes on by a corrected plan",
            header.id
        ),
    };
    let (read, capacities) = secrets::preflight(plan, &mut connections, &secrets, wanted, &claim).await?;
    if let Some(Event::Resumed { definitions, .. }) = opening.last_mut() {
        *definitions = read;
    }
    let clients = connections.clients(plan, connect::driving(pace.limits.seed))?;
    let goal = if way.detach { Goal::Started } else { Goal::End };
    let next = Next::Resume;
    let http = connections.http().clone();
    let owned = Owned { flow, capacities, journal, clients, http, secrets, pace, opening, goal, next };
    drive::drive(owned, args, settings).await
}

/// Returns what is recorded first, nothing if there is nothing to do; and the flow as it is once that is.
fn opening(
    journal: &mut Journal,
    flow: &Flow,
    way: &Way,
    settings: &Settings,
) -> Result<(Option<Vec<Event>>, Flow), Failure> {
    let trust = drive::trust(journal)?;
    let mut events = Vec::new();
    let mut trial = flow.clone();
    if let Some(path) = &way.plan {
        let changed = edited::read(path, &way.inputs, flow, settings)?;
        let what = || format!("flow `{}` cannot go on by `{}`", flow.header().id, path.display());
        try_out(&mut trial, &changed).map_err(|why| Failure::new(Exit::Contract, what()).because(why))?;
        events.push(changed);
    }
    let also = redo(&trial, &way.redo)?;
    let anew = resume::redone(&trial, &also);
    if way.plan.is_some() {
        let is_redone: BTreeSet<&StepId> = anew.iter().collect();
        edited::compare(flow, &trial, &is_redone)?;
    }
    if events.is_empty() && anew.is_empty() && flow.exit_code().is_some() {
        return Ok((None, trial));
    }
    let resumed = Event::Resumed { redo: anew, trust, definitions: Definitions::new() };
    let bug = |why| Failure::new(Exit::Bug, format!("flow `{}` cannot be resumed: {why}", flow.header().id));
    try_out(&mut trial, &resumed).map_err(bug)?;
    events.push(resumed);
    Ok((Some(events), trial))
}

/// Applies an event to a flow that is not the journal's.
fn try_out(flow: &mut Flow, event: &Event) -> Result<(), String> {
    let next = Recorded { seq: flow.last_seq() + 1, at: now(), event: event.clone() };
    flow.apply(&next).map_err(|error| error.why().to_owned())
}

/// Returns the steps that are done again although they succeeded.
fn redo(flow: &Flow, words: &[String]) -> Result<BTreeSet<crate::plan::StepIndex>, Failure> {
    let selected = select(flow.plan(), flow.graph(), words).map_err(|error| {
        Failure::from_error(Exit::Usage, &error)
            .hint(format!("`synflow status {}` lists the steps", flow.header().id))
    })?;
    for &step in &selected {
        let (flow_id, id) = (&flow.header().id, one_line(flow.step(step).id.as_str()));
        if flow.live().any(|live| live == step) {
            let message = format!("step `{id}` cannot be done again: its run may be live");
            return Err(Failure::new(Exit::Locked, message)
                .hint(format!("`synflow cancel {flow_id} --step {id}` ends it")));
        }
        if flow.run(step).state == StepState::Unknown {
            let message = format!("step `{id}` cannot be done again: nobody knows what it runs");
            return Err(Failure::new(Exit::Locked, message)
                .hint(format!("synflow resolve {flow_id} {id} --run RUN | --not-started | --give-up")));
        }
    }
    Ok(selected)
}

/// Tells the person something. A closed stderr must not stop a flow.
pub(super) fn tell(text: &str) {
    drop(writeln!(outlet::stderr(), "{text}"));
}
