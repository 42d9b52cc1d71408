//! `synflow watch [FLOW]`: follows a flow that another process drives, by the journal alone, to its end.

use std::io::Write;

use crate::cli::args::{Stream, Watch};
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet::Background;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{block_on, ending, expected, load, outlet, own, show, signals};
use crate::driver::now;
use crate::flow::{Flow, FlowHeader};
use crate::journal::Journal;
use crate::report::events::Events;
use crate::report::{self, Beside, Report, Several};
use crate::time::Delay;

/// How long to wait before looking again what the journal has of the flow.
const LOOK_AGAIN: Delay = Delay::from_ms(500);

/// Shows the flow until it ends, waits for a person, or nobody drives it any more; returns the code that its own process ends
/// with. One that has ended is shown as it ended.
///
/// Fails with exit 2 if the name fits no flow or several, and with 12 if the journal cannot be read. A signal leaves, exit
/// 130: the flow goes on.
pub(super) fn run(args: &Watch, settings: &Settings) -> Result<u8, Failure> {
    let mut journal = load::journal_to_read(settings)?;
    let header = journal.find(args.flow.as_deref())?;
    let mut all: Vec<Box<dyn Report>> = Vec::new();
    let flow = match args.output {
        // A program gets what came before, too: nothing else tells it how the flow stands.
        Stream::Jsonl => {
            let (flow, events) = streamed(&mut journal, header)?;
            all.push(Box::new(events));
            flow
        }
        Stream::Text | Stream::Json | Stream::Yaml => load::flow(&mut journal, &header.id)?,
    };
    let beside = Beside { usual: expected::usual(&mut journal, &flow)?, ..Beside::default() };
    let expected = expected::of(&mut journal, &flow)?;
    let shown = show::Shown::of(&args.showing, settings, flow.header().emulated)?;
    let is_driven = own::is_driven(&mut journal, flow.header())?;
    drop(journal);
    // Of one that nobody drives the end says the same.
    if code(&flow, is_driven).is_none() {
        drop(write!(outlet::stderr(), "{}", report::opening(&flow, &beside, now())));
    }
    all.push(shown.report(expected));
    let mut report = Several(all);
    report.compare(&beside);
    let (flow, code) = block_on(follow(flow, Box::new(report), settings))?;
    ending::followed(&flow, code, args.output)?;
    Ok(code)
}

/// Brings a flow back event by event, and tells each.
fn streamed(journal: &mut Journal, header: FlowHeader) -> Result<(Flow, Events<Background>), Failure> {
    let id = header.id.clone();
    let mut flow = Flow::from_header(header).map_err(|why| Failure::new(Exit::Journal, why))?;
    let mut events = Events::new(Background, &flow);
    for recorded in journal.events(&id)? {
        flow.apply(&recorded).map_err(|error| Failure::from_error(Exit::Journal, &error))?;
        events.on(&recorded, &flow);
    }
    Ok((flow, events))
}

/// Shows what happens until there is nothing to wait for; returns the flow as it is then, and the exit code.
async fn follow(
    mut flow: Flow,
    mut report: Box<dyn Report>,
    settings: &Settings,
) -> Result<(Flow, u8), Failure> {
    let id = flow.header().id.clone();
    let mut ticks = report.tick_gap().map(|gap| {
        let mut ticks = tokio::time::interval(gap.to_std());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    });
    let signal = signals::asked_to_leave();
    tokio::pin!(signal);
    loop {
        // Afresh each time: on a drive that other machines write to, an open file does not show what they wrote.
        let mut journal = load::journal_to_read(settings)?;
        // Before the events are read: all that an owner who is gone has recorded is then among them.
        let is_driven = own::is_driven(&mut journal, flow.header())?;
        for recorded in journal.events_after(&id, flow.last_seq())? {
            flow.apply(&recorded).map_err(|error| Failure::from_error(Exit::Journal, &error))?;
            report.on(&recorded, &flow);
        }
        drop(journal);
        if let Some(code) = code(&flow, is_driven) {
            if let Some(note) = left_alone(&flow) {
                report.note(now(), note);
            }
            report.finish(now(), &flow);
            return Ok((flow, code));
        }
        let again = tokio::time::sleep(LOOK_AGAIN.to_std());
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again => break,
                () = tick(&mut ticks) => report.tick(now(), &flow),
                () = &mut signal => {
                    // What moves on the screen goes with it.
                    drop(report);
                    tell(&format!("flow {id} goes on; `synflow watch {id}` shows it again"));
                    return Ok((flow, Exit::Interrupted.code()));
                }
            }
        }
    }
}

async fn tick(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// Returns the code that there is to end with; nothing while there is something to wait for.
fn code(flow: &Flow, is_driven: bool) -> Option<u8> {
    if let Some(code) = flow.exit_code() {
        return Some(code);
    }
    if flow.is_given_up() {
        return Some(Exit::Cancelled.code());
    }
    if is_driven {
        return None;
    }
    Some(if flow.is_settled() {
        flow.outcome().exit_code()
    } else if flow.waits_for_a_person() {
        Exit::Unknown.code()
    } else if flow.header().emulated {
        Exit::Interrupted.code()
    } else {
        Exit::Detached.code()
    })
}

/// Says that a flow has stopped half way, if so.
fn left_alone(flow: &Flow) -> Option<&'static str> {
    if flow.is_settled() || flow.is_given_up() || flow.waits_for_a_person() {
        return None;
    }
    Some(match (flow.header().emulated, flow.is_detached()) {
        (true, _) => "nobody drives the flow: its process is gone, and the emulated workspace with it",
        (false, true) => "nobody drives the flow: its process has left it, and its runs go on",
        (false, false) => "nobody drives the flow: its process was killed or lost power, and its runs go on",
    })
}
