//! What is said of a step, in one line: the same words on bars, in lines and in tables.
//!
//! Pure functions from the flow to text. Every name and error text in their answers is harmless to a terminal.

use crate::flow::{
    Attempt, CancelReason, Event, Flow, Outcome, Recorded, Resolution, RunId, RunStatus, StepError, StepRun,
    StepState,
};
use crate::plan::StepIndex;
use crate::report::text::one_line;
use crate::time::{Delay, Timestamp};

/// How a line is meant; colour may follow it, but the words say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// All went well.
    Good,
    /// Worth a look.
    Warn,
    /// Went wrong.
    Bad,
    /// Nothing happened.
    Quiet,
    /// Neither good nor bad.
    Plain,
}

/// A fact worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The step's id, or `flow`.
    pub(super) who: String,
    /// What happened, in a word or two.
    pub(super) word: &'static str,
    /// The rest of the sentence.
    pub(super) text: String,
    /// How it is meant.
    pub(super) tone: Tone,
}

/// Returns the line for an event; nothing where another event says the same or more.
pub(super) fn fact(recorded: &Recorded, flow: &Flow) -> Option<Line> {
    let Some(id) = recorded.event.step() else { return of_flow(&recorded.event, flow) };
    let step = flow.index(id)?;
    let run = flow.run(step);
    let (word, tone, text) = match &recorded.event {
        Event::RunStarted { run, adopted, attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let found = if *adopted { ", found by looking for it" } else { "" };
            ("started", Tone::Plain, format!("run {run}{again}{found}"))
        }
        Event::StartNotSent { reason, again_at, .. } => {
            let due = due(*again_at, recorded.at);
            ("not sent", Tone::Warn, format!("sending the start again {due}: {}", one_line(reason)))
        }
        Event::StartUnclear { reason, .. } => {
            let sought = run.last_attempt().map(|attempt| attempt.run.to_string()).unwrap_or_default();
            let text = format!("the start may have arrived ({}); looking for run {sought}", one_line(reason));
            ("unclear", Tone::Warn, text)
        }
        Event::StartResent { .. } if run.last_attempt().is_some_and(|attempt| attempt.was_unclear) => (
            "sent again",
            Tone::Warn,
            "the run was not found; the start is sent again with the same id".to_owned(),
        ),
        Event::RunChanged { status: RunStatus::Canceling, .. }
            if run.last_attempt().is_some_and(|attempt| attempt.cancel.is_none()) =>
        {
            ("cancelling", Tone::Warn, "somebody asked Synapse to cancel the run".to_owned())
        }
        Event::RunChanged { status: RunStatus::Other(word), .. } => {
            ("running", Tone::Plain, format!("Synapse calls the run `{}`", one_line(word)))
        }
        Event::CancelIntended { reason: CancelReason::Asked, .. } => {
            ("cancelling", Tone::Warn, "asking Synapse to cancel the run".to_owned())
        }
        Event::CancelIntended { reason: CancelReason::TimedOut, .. } => {
            let limit = flow.step(step).timeout.map(Delay::short).unwrap_or_default();
            (
                "timed out",
                Tone::Bad,
                format!("its `timeout` of {limit} has passed; asking Synapse to cancel the run"),
            )
        }
        Event::RunAttached { run, .. } => {
            ("attached", Tone::Plain, format!("run {run}, which others started with the same parameters"))
        }
        Event::Resolved { resolution, .. } => {
            let text = match resolution {
                Resolution::Run { run } => format!("a person said that run {run} is its run"),
                Resolution::NotStarted => "a person said that no run was started".to_owned(),
                Resolution::GiveUp => "a person gave it up".to_owned(),
            };
            ("resolved", Tone::Plain, text)
        }
        Event::StepCancelRequested { .. } => {
            ("cancelling", Tone::Warn, "a person asked for its end".to_owned())
        }
        Event::RetryScheduled { attempt, at, .. } => {
            let due = due(*at, recorded.at);
            let of = flow.step(step).retry.max_attempts;
            // Attempts before the step was begun anew do not count.
            let number = attempt.saturating_sub(run.old_attempts() as u32);
            let ended = number.saturating_sub(1);
            let how = run.last_attempt().and_then(|attempt| attempt.outcome).map_or("failed", spoken);
            let why = run.error().map(error_line).unwrap_or_default();
            ("retry", Tone::Warn, format!("attempt {number} of {of} {due}; attempt {ended} {how}: {why}"))
        }
        Event::AttemptEnded { outcome: Outcome::Unknown, .. } => {
            return Some(finished(flow, step, recorded.at));
        }
        // Iterations tell for themselves.
        Event::StepEnded { .. } if !flow.step(step).kind.is_run() => return None,
        // Of an attempt that went wrong it is no news that something is not there.
        Event::AttemptEnded {
            outcome: Outcome::Succeeded | Outcome::Warned, outputs: Some(outputs), ..
        } if !outputs.absent.is_empty() => {
            let absent = outputs.absent.iter().map(|(name, why)| format!("output `{name}`: {why}"));
            ("absent", Tone::Warn, one_line(&absent.collect::<Vec<_>>().join("; ")))
        }
        Event::StepEnded { .. } => return Some(finished(flow, step, recorded.at)),
        _ => return None,
    };
    Some(Line { who: one_line(id.as_str()), word, text, tone })
}

/// Returns the line for a step that is over or that a person must look at.
pub(super) fn finished(flow: &Flow, step: StepIndex, now: Timestamp) -> Line {
    let run = flow.run(step);
    let outcome = run.outcome().unwrap_or(Outcome::Unknown);
    let took = took(run, now).map(Delay::short);
    let tries = match run.attempts.len() {
        0 | 1 => String::new(),
        tries => format!(", {tries} attempts"),
    };
    let why = trouble(run);
    let text = match (outcome, took) {
        (Outcome::Succeeded, took) => format!("in {}{tries}", took.unwrap_or_default()),
        (Outcome::Warned, took) => {
            format!(
                "in {}{tries}; the run succeeded, yet an activity failed: {why}",
                took.unwrap_or_default()
            )
        }
        (Outcome::Unknown, _) if run.last_attempt().is_some_and(|attempt| attempt.started_at.is_none()) => {
            format!("a person must look, for nobody knows whether its run was started: {why}")
        }
        (Outcome::Unknown, _) => format!("a person must look: {why}"),
        (_, Some(took)) => format!("after {took}{tries}: {why}"),
        (_, None) => why,
    };
    let allowed = went_wrong(outcome) && flow.step(step).allow_failure;
    let text = if allowed { format!("(allowed) {text}") } else { text };
    let tone = match outcome {
        Outcome::Succeeded => Tone::Good,
        Outcome::Warned => Tone::Warn,
        _ if allowed => Tone::Warn,
        Outcome::Skipped | Outcome::NotNeeded | Outcome::Blocked => Tone::Quiet,
        Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Unknown => Tone::Bad,
    };
    Line { who: one_line(flow.step(step).id.as_str()), word: spoken(outcome), text, tone }
}

/// Returns what a step that is not over waits for or does at the moment; empty if there is nothing to say.
///
/// `activity` is the one at work in its run, where it is known.
pub(super) fn at_present(flow: &Flow, step: StepIndex, activity: Option<&str>, now: Timestamp) -> String {
    let run = flow.run(step);
    let Some(attempt) = run.last_attempt() else { return String::new() };
    let text = match &run.state {
        StepState::Starting => "waiting for Synapse to answer the start".to_owned(),
        StepState::NotSent { again_at } => {
            format!("sending the start again {}: {}", due(*again_at, now), one_line(&attempt.trouble))
        }
        StepState::Unclear { .. } => {
            format!("start unclear ({}), looking for its run", one_line(&attempt.trouble))
        }
        StepState::Running => match (&attempt.status, activity) {
            _ if attempt.cancel == Some(CancelReason::TimedOut) => {
                "timed out, waiting for Synapse to cancel the run".to_owned()
            }
            _ if attempt.cancel.is_some() => "waiting for Synapse to cancel the run".to_owned(),
            (Some(RunStatus::Queued), _) => "queued in Synapse".to_owned(),
            (Some(RunStatus::Canceling), _) => "being cancelled".to_owned(),
            (Some(RunStatus::Other(word)), None) => format!("Synapse calls the run `{}`", one_line(word)),
            (_, Some(activity)) => one_line(activity),
            (_, None) => String::new(),
        },
        StepState::Settling => "ended, reading its activities".to_owned(),
        StepState::Retrying { at } => {
            let why = run.error().map(error_line).unwrap_or_default();
            return format!("attempt {} {}: {why}", attempt.number + 1, due(*at, now));
        }
        _ => String::new(),
    };
    match (attempt.number, text.as_str()) {
        (1, _) => text,
        (number, "") => format!("attempt {number}"),
        (number, text) => format!("attempt {number}, {text}"),
    }
}

/// Returns where an error happened: the child pipelines on the way, then the activity; empty where that is not known.
pub(super) fn place_of(error: &StepError) -> String {
    let places = error.via.iter().map(String::as_str).chain(error.activity.as_deref());
    places.map(one_line).collect::<Vec<_>>().join(" > ")
}

/// Returns the service's code of an error and its text, as far as a person needs them to act.
///
/// A copy wraps both in the names of its classes: `ErrorCode=C,'Type=T,Message=M,Source=S,''Type=...`, under a number that
/// only says that a copy failed. `logs` and every answer for programs have the whole.
pub(super) fn code_and_text(error: &StepError) -> (&str, &str) {
    let whole = (error.code.as_str(), error.message.as_str());
    let wrapped = error
        .message
        .split_once("ErrorCode=")
        .filter(|(before, _)| before.is_empty() || before.starts_with("Failure happened on"));
    let Some((code, rest)) = wrapped.and_then(|(_, rest)| rest.split_once(',')) else { return whole };
    let Some((_, text)) = rest.split_once(",Message=").filter(|(kind, _)| kind.starts_with("'Type=")) else {
        return whole;
    };
    let text = text.split_once(",Source=").map_or(text, |(text, _)| text).trim();
    if text.is_empty() { whole } else { (code, text) }
}

/// Returns an error on one line: where it happened, the service's code, its text.
pub(super) fn error_line(error: &StepError) -> String {
    let (code, text) = code_and_text(error);
    let parts = [place_of(error), one_line(code), one_line(text)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

/// Returns why a step ended as it did: the newest attempt's error, else the rule that decided.
pub(super) fn trouble(run: &StepRun) -> String {
    match run.error() {
        Some(error) => error_line(error),
        None => one_line(&run.reason),
    }
}

/// Returns how long a step has been at it since it was last begun anew, all its attempts and the waits between them
/// included; nothing for a step that Synapse refused to start.
pub(super) fn took(run: &StepRun, now: Timestamp) -> Option<Delay> {
    // What came before a resume may have been yesterday.
    let begun = run.attempts.get(run.old_attempts()).or(run.attempts.last())?.intended_at;
    if run.attempts.len() == 1 && run.attempts.iter().any(is_refused) {
        return None;
    }
    let unknown_since = match run.state {
        StepState::Unknown => run.last_attempt().and_then(|attempt| attempt.ended_at),
        _ => None,
    };
    Some(run.ended_at.or(unknown_since).unwrap_or(now).since(begun))
}

/// Returns the run of a step's newest attempt, unless there certainly is none.
pub(super) fn run_of(run: &StepRun) -> Option<RunId> {
    let attempt = run.last_attempt()?;
    let not_sent = matches!(run.state, StepState::NotSent { .. });
    (!is_refused(attempt) && !not_sent).then_some(attempt.run)
}

/// Returns the run of a step's newest attempt for people, with a doubt where there is one.
pub(super) fn run_text(run: &StepRun) -> Option<String> {
    let id = run_of(run)?;
    let known = run.last_attempt().is_some_and(|attempt| attempt.started_at.is_some());
    Some(if known { id.to_string() } else { format!("{id}, if it exists") })
}

fn is_refused(attempt: &Attempt) -> bool {
    attempt.started_at.is_none() && attempt.outcome == Some(Outcome::Failed)
}

/// Returns the outcome as it stands in a sentence.
pub(super) const fn spoken(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::TimedOut => "timed out",
        Outcome::NotNeeded => "not needed",
        _ => outcome.word(),
    }
}

/// Says whether a step that ended like this counts against its flow.
pub(super) const fn went_wrong(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Unknown)
}

/// Returns when something is due, in whole seconds: tenths would flicker.
fn due(at: Timestamp, now: Timestamp) -> String {
    match at.since(now).as_ms().div_ceil(1000) {
        0 => "as soon as possible".to_owned(),
        seconds @ 1..10 => format!("in {seconds}s"),
        seconds => format!("in {}", Delay::from_secs(seconds).short()),
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Returns how a flow stands to its deadline, if it has one.
pub(super) fn lateness(flow: &Flow, now: Timestamp) -> Option<String> {
    let due = flow.due()?;
    let over = flow.settled_at().or(flow.ended_at());
    let verdict = match (flow.is_late(now), over) {
        (true, Some(over)) => format!("missed by {}", over.since(due.at).short()),
        (false, Some(over)) => {
            let met = if flow.went_well() { "met" } else { "not reached" };
            format!("{met}, with {} left", due.at.since(over).short())
        }
        (true, None) => format!("missed, passed {} ago", now.since(due.at).short()),
        (false, None) => {
            let risk = due
                .at_risk
                .map(|(_, forecast)| format!("; likely to be missed by {}", forecast.since(due.at).short()));
            format!("in {}{}", due.at.since(now).short(), risk.unwrap_or_default())
        }
    };
    Some(format!("deadline {}: {verdict}", due.at.spoken()))
}

fn of_flow(event: &Event, flow: &Flow) -> Option<Line> {
    match event {
        Event::Detached => {}
        Event::CancelRequested => {
            let text = match flow.live().count() {
                0 => "nothing more starts".to_owned(),
                1 => "nothing more starts; 1 run is cancelled".to_owned(),
                live => format!("nothing more starts; {live} runs are cancelled"),
            };
            return Some(Line { who: "flow".to_owned(), word: "cancelling", text, tone: Tone::Warn });
        }
        Event::Resumed { redo, .. } => {
            let text = format!(
                "{}, {} under way, {} kept",
                counted(redo.len(), "step begins anew", "steps begin anew"),
                flow.live().count(),
                flow.steps().filter(|(_, _, run)| run.is_over()).count(),
            );
            return Some(Line { who: "flow".to_owned(), word: "resumed", text, tone: Tone::Plain });
        }
        Event::PlanChanged { plan_file, .. } => {
            let text = format!("goes on by {}", one_line(plan_file));
            return Some(Line { who: "flow".to_owned(), word: "edited", text, tone: Tone::Plain });
        }
        Event::DeadlineAtRisk { deadline, forecast } => {
            let text = format!(
                "likely to end at {}, {} after its deadline",
                forecast.spoken(),
                forecast.since(*deadline).short()
            );
            return Some(Line { who: "flow".to_owned(), word: "late", text, tone: Tone::Warn });
        }
        Event::DeadlineMissed { deadline } => {
            let text =
                format!("its deadline {} has passed; nothing stops because of that", deadline.spoken());
            return Some(Line { who: "flow".to_owned(), word: "too late", text, tone: Tone::Bad });
        }
        Event::GivenUp => {
            let text = "another flow of the plan was begun instead".to_owned();
            return Some(Line { who: "flow".to_owned(), word: "given up", text, tone: Tone::Warn });
        }
        _ => return None,
    }
    let live = flow.live().count();
    let text = match live {
        _ if flow.header().emulated => "the emulated workspace ends with this process".to_owned(),
        0 => "synflow stops looking; no run is under way".to_owned(),
        1 => "synflow stops looking; 1 run goes on in Synapse".to_owned(),
        live => format!("synflow stops looking; {live} runs go on in Synapse"),
    };
    Some(Line { who: "flow".to_owned(), word: "detached", text, tone: Tone::Warn })
}

#[cfg(test)]
mod tests {
    use super::code_and_text;
    use crate::report::sample::error;

    #[test]
    fn a_copy_s_own_code_and_text_are_taken_out_of_their_wrapping() {
        let check = |message: &str, want: (&str, &str)| {
            assert_eq!(code_and_text(&error("Copy_2", "2200", message)), want, "{message}");
        };
        let kind = "'Type=Microsoft.DataTransfer.Common.Shared.HybridDeliveryException";
        let source = "Source=Microsoft.DataTransfer.ClientLibrary,'";
        let no_table =
            format!("ErrorCode=UserErrorInvalidTable,{kind},Message=No table, or no right to it.,{source}");
        check(&no_table, ("UserErrorInvalidTable", "No table, or no right to it."));
        let with_side = format!("Failure happened on 'Sink' side. {no_table}");
        check(&with_side, ("UserErrorInvalidTable", "No table, or no right to it."));
        // With the exception below it, which says the same in other words.
        let nested = format!(
            "{no_table}'Type=System.Data.SqlClient.SqlException,Message=Invalid object name,Source=.Net'"
        );
        check(&nested, ("UserErrorInvalidTable", "No table, or no right to it."));
        for whole in [
            "busy",
            "ErrorCode=X",
            "ErrorCode=X, more",
            "ErrorCode=X,'Type=T,Message=,Source=S'",
            "see ErrorCode=X,'Type=T,Message=M",
        ] {
            check(whole, ("2200", whole));
        }
    }
}
