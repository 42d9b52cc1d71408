//! `synflow flows`: the flows in the journal, newest first. Only those that are shown are read.

use crate::cli::args::{Flows, FlowsVerb};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{load, moment, prune, put_value};
use crate::driver::now;
use crate::flow::{Event, Flow, FlowHeader, FlowId, FlowOutcome};
use crate::journal::{FlowFilter, Journal};
use crate::report::{Listed, json, table};
use crate::time::Timestamp;

/// How many flows are listed where nobody says.
const LISTED: usize = 30;

/// Prints the flows, or lets some go.
///
/// Fails with exit 2 if a time makes no sense, and with 12 if the journal cannot be read; a single flow that makes no sense
/// is listed as such.
pub(super) fn run(args: &Flows, settings: &Settings) -> Result<(), Failure> {
    match &args.verb {
        Some(FlowsVerb::Prune(args)) => return prune::run(args, settings),
        None => {}
    }
    let now = now();
    let filter = FlowFilter {
        plan: args.plan.clone(),
        environment: args.env.clone(),
        from: point("--since", args.since.as_deref(), now)?,
        before: point("--older-than", args.older_than.as_deref(), now)?,
    };
    let limit = if args.all { usize::MAX } else { args.limit.map_or(LISTED, |limit| limit as usize) };
    let mut journal = Journal::open_existing(&settings.state_dir)?;
    let mut found = Vec::new();
    let mut more = 0;
    if let Some(journal) = &mut journal {
        for id in journal.ids(&filter)? {
            let fit = fit(journal, &id, args);
            // Those beyond are only counted, and read where their last event does not tell.
            let is_beyond = found.len() >= limit;
            if fit == Some(false) || is_beyond && fit == Some(true) {
                more += usize::from(fit == Some(true));
                continue;
            }
            let Some(header) = journal.header(&id)? else { continue };
            let read = load::flow(journal, &id).map_err(|failure| failure.lines.join(": "));
            match fit.unwrap_or_else(|| args.outcome.iter().any(|word| word.fits(&read))) {
                true if is_beyond => more += 1,
                true => found.push((header, read)),
                false => {}
            }
        }
    }
    let listed: Vec<Listed<'_>> = found.iter().map(listed).collect();
    put_value(&json::flows(&listed, more, now), args.output, || table::flows(&listed, now))?;
    if more > 0 && args.output == crate::cli::args::Output::Text {
        tell(&format!("... and {more} more; `--limit N` or `--all` lists them"));
    }
    Ok(())
}

fn listed((header, flow): &(FlowHeader, Result<Flow, String>)) -> Listed<'_> {
    match flow {
        Ok(flow) => Listed::Read(flow),
        Err(why) => Listed::Unreadable { header, why },
    }
}

/// Reads a point in time that was given.
///
/// Fails with exit 2 if it is none.
pub(super) fn point(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let at = moment::read(text, now)
        .map_err(|why| Failure::new(Exit::Usage, format!("`{flag}` cannot be `{text}`")).hint(why))?;
    Ok(Some(at))
}

/// Says by its last event alone whether a flow has one of the outcomes that are asked for; nothing where that does not tell.
fn fit(journal: &mut Journal, id: &FlowId, args: &Flows) -> Option<bool> {
    use FlowOutcome::{Cancelled, DeadlineMissed, Failed, Succeeded, TimedOut, Unknown};
    if args.outcome.is_empty() {
        return Some(true);
    }
    // One that cannot be read, or goes on, is asked itself.
    let Ok(Some(last)) = journal.last_event(id) else { return None };
    let Event::FlowEnded { exit_code } = last.event else { return None };
    let outcomes = [Succeeded, Failed, Cancelled, TimedOut, DeadlineMissed, Unknown];
    let outcomes = outcomes.into_iter().filter(|outcome| outcome.exit_code() == exit_code);
    let is_asked = |outcome: FlowOutcome| args.outcome.iter().any(|word| word.text() == outcome.word());
    let asked: Vec<bool> = outcomes.map(is_asked).collect();
    match asked.as_slice() {
        [one] => Some(*one),
        several if !several.contains(&true) => Some(false),
        _ => None,
    }
}
