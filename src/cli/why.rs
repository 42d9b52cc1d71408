//! `synflow why STEP`: the chain of reasons that a step is as it is, from the journal alone.

use crate::cli::args::Why;
use crate::cli::failure::Failure;
use crate::cli::find::find_step;
use crate::cli::settings::Settings;
use crate::cli::{load, own, put_value};
use crate::driver::now;
use crate::flow::{Event, Flow, FlowHeader, Recorded, StepState};
use crate::journal::Journal;
use crate::plan::{StepId, StepIndex};
use crate::report::why;
use crate::time::{Delay, Timestamp};

/// Prints the reasons.
///
/// Fails with exit 2 if the name fits no flow or several, or the flow has no such step, and with 12 if the journal cannot be
/// read.
pub(super) fn run(args: &Why, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal_to_read(settings)?;
    let header = journal.find(args.flow.as_deref())?;
    let is_driven = own::is_driven(&mut journal, &header)?;
    let flow = load::flow(&mut journal, &header.id)?;
    let step = find_step(&flow, &args.step)?;
    let meanwhile = meanwhile(&mut journal, &header, &flow, step)?;
    let why = why::Why { flow: &flow, step, meanwhile: meanwhile.as_ref(), is_driven, now: now() };
    put_value(&why.value(), args.output, || why.text())
}

/// Brings the flow back as it was in the middle of the time in which the step could have started and had not; nothing if it
/// never waited like that.
fn meanwhile(
    journal: &mut Journal,
    header: &FlowHeader,
    flow: &Flow,
    step: StepIndex,
) -> Result<Option<Flow>, Failure> {
    let (id, run) = (&flow.step(step).id, flow.run(step));
    let Some(first) = run.attempts.get(run.old_attempts()) else { return Ok(None) };
    let events = journal.events(&header.id)?;
    let is_start = |recorded: &&Recorded| matches!(&recorded.event, Event::StartIntended { step, attempt, .. } if step == id && *attempt == first.number);
    let Some(start) = events.iter().find(is_start) else { return Ok(None) };
    let Some(ready_at) = ready_at(header, &events, id, start.seq) else { return Ok(None) };
    let middle = ready_at + Delay::from_ms(start.at.since(ready_at).as_ms() / 2);
    Ok(replayed(header, &events, |recorded| recorded.at <= middle && recorded.seq < start.seq))
}

/// Returns when a step was last found ready before it started.
fn ready_at(header: &FlowHeader, events: &[Recorded], id: &StepId, before: u64) -> Option<Timestamp> {
    let mut flow = Flow::from_header(header.clone()).ok()?;
    let is_ready = |flow: &Flow| flow.index(id).is_some_and(|step| flow.run(step).state == StepState::Ready);
    let mut since = is_ready(&flow).then_some(header.created_at);
    for recorded in events.iter().take_while(|recorded| recorded.seq < before) {
        let was_ready = is_ready(&flow);
        flow.apply(recorded).ok()?;
        if is_ready(&flow) && !was_ready {
            since = Some(recorded.at);
        }
    }
    since.filter(|_| is_ready(&flow))
}

fn replayed(header: &FlowHeader, events: &[Recorded], is_wanted: impl Fn(&Recorded) -> bool) -> Option<Flow> {
    let mut flow = Flow::from_header(header.clone()).ok()?;
    for recorded in events.iter().take_while(|recorded| is_wanted(recorded)) {
        flow.apply(recorded).ok()?;
    }
    Some(flow)
}
