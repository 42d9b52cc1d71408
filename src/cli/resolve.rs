//! `synflow resolve FLOW STEP`: a person's answer to what nobody knows.

use std::str::FromStr;

use crate::cli::args::Resolve;
use crate::cli::connect::{self, Connections, exit_of};
use crate::cli::drive::Next;
use crate::cli::failure::{Exit, Failure};
use crate::cli::find::find_step;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{block_on, load, own};
use crate::driver::now;
use crate::flow::{Event, Flow, Recorded, Resolution, RunId, StepState};
use crate::journal::{Answer, Holding, Journal};
use crate::plan::StepIndex;
use crate::report::one_line;
use crate::time::Delay;

/// How long to wait before looking again whether the flow's owner has taken the answer in.
const LOOK_AGAIN: Delay = Delay::from_ms(200);

/// Records the answer, or asks the flow's owner to.
///
/// Fails, with nothing recorded, with exit 2 if flow, step or run are not what they are said to be, 6 if the step is not
/// unknown, and 10 or 11 if the run cannot be looked at.
pub(super) fn run(args: &Resolve, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal(settings)?;
    let header = journal.find(Some(&args.flow))?;
    if header.emulated {
        return Err(own::emulated(&header.id, "resolved"));
    }
    let flow = load::flow(&mut journal, &header.id)?;
    let step = find_step(&flow, &args.step)?;
    let id = one_line(flow.step(step).id.as_str());
    if flow.run(step).state != StepState::Unknown {
        let message = format!("step `{id}` of flow `{}` is not unknown", header.id);
        return Err(Failure::new(Exit::Locked, message)
            .hint(format!("`synflow status {}` shows where it stands", header.id)));
    }
    let resolution = match &args.run {
        Some(text) => Resolution::Run { run: read_run(text)? },
        None if args.not_started => Resolution::NotStarted,
        None => Resolution::GiveUp,
    };
    let attempt = flow.run(step).last_attempt().map_or(0, |attempt| attempt.number);
    let event = Event::Resolved { step: flow.step(step).id.clone(), attempt, resolution };
    let next = if flow.is_cancelling() { Next::Cancel } else { Next::Resume };
    let by = block_on(async {
        if let Resolution::Run { run } = resolution {
            check_run(args, settings, &mut journal, &flow, step, run).await?;
        }
        record(&mut journal, &flow, event).await
    })?;
    tell(&match by {
        By::ThisProcess => format!("step {id} is resolved; next: {}", next.command(&header.id)),
        By::Owner => format!("step {id} is resolved; the process that drives flow {} goes on", header.id),
    });
    Ok(())
}

/// Who recorded the answer.
enum By {
    ThisProcess,
    Owner,
}

fn read_run(text: &str) -> Result<RunId, Failure> {
    RunId::from_str(text).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{}` is no run id: {error}", one_line(text)))
            .hint("Synapse Studio shows a run's id under Monitor > Pipeline runs")
    })
}

/// Looks whether the run is there, is one of the step's pipeline, and nobody else's.
async fn check_run(
    args: &Resolve,
    settings: &Settings,
    journal: &mut Journal,
    flow: &Flow,
    step: StepIndex,
    run: RunId,
) -> Result<(), Failure> {
    let no = |why: String| {
        Failure::new(Exit::Usage, format!("run {run} cannot be the run of step `{}`", flow.step(step).id))
            .because(why)
    };
    let place = flow.step(step);
    if journal.is_claimed_elsewhere(&flow.header().id, run)? {
        return Err(no("another flow has it".to_owned()));
    }
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let workspace = &flow.plan().workspaces[place.workspace];
    let client = connections.client(workspace, connect::ASKING)?;
    let found = client.run(run).await.map_err(|failure| {
        Failure::new(exit_of(&failure), format!("cannot look at run {run}")).because(failure.to_string())
    })?;
    match found {
        None => Err(no(format!("workspace `{}` has no such run", workspace.name))),
        Some(seen) if !seen.pipeline.eq_ignore_ascii_case(&place.pipeline) => Err(no(format!(
            "it is one of pipeline `{}`, not of `{}`",
            one_line(&seen.pipeline),
            place.pipeline
        ))),
        Some(_) => Ok(()),
    }
}

/// Records the answer as the flow's owner; where another process is that, asks it to and waits.
async fn record(journal: &mut Journal, flow: &Flow, event: Event) -> Result<By, Failure> {
    let (key, id) = (flow.header().key(), &flow.header().id);
    let late = |why: &str| {
        Failure::new(Exit::Locked, "the answer comes too late; nothing was changed")
            .because(why)
            .hint(format!("`synflow status {id}` shows where the step stands"))
    };
    let mut asked = None;
    loop {
        let is_ours = journal.hold(&key, id, &own::holder(), now())? == Holding::Ours;
        match asked.map(|request| journal.answer_to(request)).transpose()?.flatten() {
            Some(Answer::Fulfilled) => return Ok(By::Owner),
            Some(Answer::Dismissed) => return Err(late("the step was no longer unknown")),
            None => {}
        }
        if is_ours {
            if let Some(request) = asked {
                journal.dismiss(request)?;
            }
            let mut flow = own::bring_back(journal, id)?;
            let next = Recorded { seq: flow.last_seq() + 1, at: now(), event: event.clone() };
            flow.apply(&next).map_err(|error| late(error.why()))?;
            journal.append(id, next.seq, next.at, &[event])?;
            return Ok(By::ThisProcess);
        }
        if asked.is_none() {
            let next = Recorded { seq: flow.last_seq() + 1, at: now(), event: event.clone() };
            flow.clone().apply(&next).map_err(|error| late(error.why()))?;
            asked = Some(journal.ask(id, now(), &event)?);
            tell(&format!("asked the process that drives flow {id}"));
        }
        tokio::time::sleep(LOOK_AGAIN.to_std()).await;
    }
}
