//! How a flow stands or ended, for a reader with two minutes: what failed, why, what it stopped, what to do next.
//!
//! Pure text. The end block after a flow and the lower half of `status` are the same words.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::flow::edge::is_met;
use crate::flow::{Flow, FlowHeader, FlowOutcome, Outcome, StepError, StepState};
use crate::plan::{Step, StepIndex, StepKind};
use crate::report::text::{one_line, paragraphs};
use crate::report::wording::{at_present, lateness, place_of, run_text, spoken, took, went_wrong};
use crate::time::{Delay, Timestamp};

/// The column in which values stand below the name of a step.
const VALUE_INDENT: usize = 12;

/// How many steps one list names before it only counts.
const NAMES_MAX: usize = 12;

/// Returns how the flow ended or stands; two lines if all went well. Ends with a line break.
pub fn end_block(flow: &Flow, now: Timestamp) -> String {
    let mut block = headline(flow, now);
    let details = details(flow, now);
    if !details.is_empty() {
        block.push('\n');
        block.push_str(&details);
    }
    if let Some(next) = next(flow, details.is_empty()) {
        let _ = writeln!(block, "\nnext: {next}");
    }
    block
}

/// Returns the command that finishes the job; nothing if there is nothing to finish. Of an emulated flow, whose
/// service ends with its process, the one that shows it.
pub(super) fn next(flow: &Flow, is_all_said: bool) -> Option<String> {
    let id = &flow.header().id;
    let unknown = || flow.steps().find(|(_, _, run)| run.state == StepState::Unknown);
    let is_well = flow.went_well();
    if flow.is_given_up() || id.is_rehearsal() || is_well && is_all_said {
        return None;
    }
    if is_well || flow.header().emulated {
        return Some(format!("synflow status {id}"));
    }
    Some(match unknown().filter(|_| flow.waits_for_a_person()) {
        Some((_, step, _)) => {
            let step = one_line(step.id.as_str());
            format!("synflow resolve {id} {step} --run RUN | --not-started | --give-up")
        }
        None if flow.is_cancelling() => format!("synflow cancel {id}"),
        None => format!("synflow resume {id}"),
    })
}

/// Returns the plan of a flow as people see it: with its environment, and marked if it was emulated.
pub(super) fn plan_name(header: &FlowHeader) -> String {
    let emulated = if header.emulated { "emulated" } else { "" };
    let marks: Vec<String> =
        [&*header.environment, emulated].into_iter().filter(|mark| !mark.is_empty()).map(one_line).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{}{marks}", one_line(&header.plan_name))
}

/// Returns the flow's outcome and time on one line, its counts on a second, and its deadline, if any, on a third.
pub(super) fn headline(flow: &Flow, now: Timestamp) -> String {
    let header = flow.header();
    let name = plan_name(header);
    let begun = flow.started_at().unwrap_or(header.created_at);
    let verdict = if flow.is_settled() {
        let outcome = match flow.outcome() {
            FlowOutcome::TimedOut => "timed out",
            FlowOutcome::DeadlineMissed => "missed its deadline, done",
            outcome => outcome.word(),
        };
        format!("{outcome} after {}", flow.ended_at().unwrap_or(now).since(begun).short())
    } else {
        let verdict = if flow.is_given_up() {
            "was given up"
        } else if flow.waits_for_a_person() {
            "waits for a person"
        } else if flow.is_detached() {
            "is detached"
        } else {
            "has not ended"
        };
        format!("{verdict}, started {} ago", now.since(begun).short())
    };
    let lateness = lateness(flow, now).map(|line| line + "\n").unwrap_or_default();
    format!("flow {} of {name} {verdict}\n{}\n{lateness}", header.id, tally(flow))
}

/// Returns what a person must know beyond the headline, section by section; empty if that is nothing.
pub(super) fn details(flow: &Flow, now: Timestamp) -> String {
    let mut named = BTreeSet::new();
    let mut bad = Vec::new();
    let mut allowed = Vec::new();
    let mut warned = Vec::new();
    for (index, step, run) in flow.steps() {
        let Some(outcome) = run.outcome() else { continue };
        let section = match outcome {
            Outcome::Unknown => &mut bad,
            Outcome::Warned => &mut warned,
            outcome if went_wrong(outcome) && step.allow_failure => &mut allowed,
            outcome if went_wrong(outcome) => &mut bad,
            _ => continue,
        };
        let stopped = stopped_by(flow, index);
        section.push(entry(flow, index, step, outcome, &stopped, now));
        named.extend(stopped);
    }
    let mut sections = Vec::new();
    sections.extend(bad);
    sections.extend(allowed);
    sections.extend(warned);
    sections.extend(under_way(flow, now));
    if !sections.is_empty() {
        sections.extend(never_started(flow, &named));
    }
    sections.join("\n")
}

/// Counts the steps by what became of them, in the words of the plan's documentation.
pub(super) fn tally(flow: &Flow) -> String {
    let ended = |wanted| {
        let steps = flow.steps().filter(move |(_, _, run)| run.outcome() == Some(wanted));
        let (mut count, mut allowed) = (0, 0);
        for (_, step, _) in steps {
            count += 1;
            allowed += usize::from(went_wrong(wanted) && step.allow_failure);
        }
        let word = spoken(wanted);
        (count, if allowed > 0 { format!("{word} ({allowed} allowed)") } else { word.to_owned() })
    };
    let outcomes = [
        Outcome::Succeeded,
        Outcome::Warned,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Unknown,
        Outcome::Blocked,
        Outcome::Skipped,
        Outcome::NotNeeded,
    ];
    let counts = flow.counts();
    let open = [(counts.running, "running".to_owned()), (counts.waiting, "waiting".to_owned())];
    let parts = outcomes.map(ended).into_iter().chain(open).filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    parts.join(", ")
}

/// Returns all there is to say of a step that did not end well.
fn entry(
    flow: &Flow,
    index: StepIndex,
    step: &Step,
    outcome: Outcome,
    stopped: &[StepIndex],
    now: Timestamp,
) -> String {
    let run = flow.run(index);
    let allowed = if went_wrong(outcome) && step.allow_failure { " (allowed)" } else { "" };
    let mut text = format!("{}{allowed}: {}", spoken(outcome), one_line(step.id.as_str()));
    if outcome == Outcome::Unknown {
        text.push_str(", a person must look");
    } else if let Some(took) = took(run, now).map(Delay::short) {
        let tries = run.attempts.len();
        let tries = if tries > 1 { format!(" and {tries} attempts") } else { String::new() };
        let _ = write!(text, ", after {took}{tries}");
    }
    text.push('\n');
    row(&mut text, "pipeline", &one_line(&step.pipeline));
    row(&mut text, "run", &run_text(run).unwrap_or_else(|| "none".to_owned()));
    match run.error() {
        Some(error) => error_rows(&mut text, outcome, error),
        None if !run.reason.is_empty() => row(&mut text, label(outcome), &run.reason),
        None => {}
    }
    if !stopped.is_empty() {
        let label = if outcome == Outcome::Unknown { "holds up" } else { "blocked" };
        row(&mut text, label, &names(flow, stopped));
    }
    text
}

fn error_rows(text: &mut String, outcome: Outcome, error: &StepError) {
    let place = place_of(error);
    if !place.is_empty() {
        row(text, "activity", &place);
    }
    let code = one_line(&error.code);
    let message = match (code.as_str(), error.message.as_str()) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    row(text, label(outcome), &message);
}

/// Returns what the reason of an end is called: an error only where something broke.
pub(super) const fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unknown | Outcome::TimedOut | Outcome::Cancelled => "why",
        _ => "error",
    }
}

/// Writes a label and its value; further lines of the value stand below its first. Lines stay whole, however long: a
/// terminal wraps them, and a log can be searched.
fn row(text: &mut String, label: &str, value: &str) {
    let mut label = label;
    for line in paragraphs(value) {
        let width = VALUE_INDENT - 2;
        text.push_str(format!("  {label:width$}{line}").trim_end());
        text.push('\n');
        label = "";
    }
}

/// Returns the steps that a step's end keeps from starting, near or far, in file order.
///
/// Follows only edges that are not met, so that a step blocked by another failure is not laid at this one's door.
pub(super) fn stopped_by(flow: &Flow, step: StepIndex) -> Vec<StepIndex> {
    let mut stopped = BTreeSet::new();
    let mut open = vec![step];
    while let Some(upstream) = open.pop() {
        let Some(outcome) = flow.run(upstream).outcome() else {
            // Behind an unknown step nothing has been decided: all that comes after it waits.
            open.extend(flow.graph().downstreams(upstream).filter(|&next| stopped.insert(next)));
            continue;
        };
        for next in flow.graph().downstreams(upstream) {
            let held = match flow.run(next).outcome() {
                _ if flow.step(next).kind == StepKind::Barrier => false,
                // What the iterations of a step come to goes on to what waits for them all.
                Some(Outcome::Blocked | Outcome::Failed) if !flow.step(next).kind.is_run() => true,
                Some(Outcome::Blocked) => {
                    let allowed = flow.is_allowed_to_fail(upstream);
                    let mut edges =
                        flow.step(next).depends_on.iter().filter(|edge| edge.upstream == upstream);
                    edges.any(|edge| !is_met(&edge.rule, outcome, allowed))
                }
                None => outcome == Outcome::Unknown,
                Some(_) => false,
            };
            if held && stopped.insert(next) {
                open.push(next);
            }
        }
    }
    stopped.into_iter().filter(|&step| flow.step(step).kind.is_run()).collect()
}

/// Lists the steps of an unfinished flow that have begun and not ended, with the runs that go on.
pub(super) fn under_way(flow: &Flow, now: Timestamp) -> Option<String> {
    let steps: BTreeSet<StepIndex> = flow.live().chain(flow.retrying()).collect();
    if steps.is_empty() {
        return None;
    }
    let title = match (flow.is_detached(), flow.header().emulated) {
        (true, true) => "gone with the emulated workspace",
        (true, false) => "left under way",
        (false, _) => "under way when synflow last looked",
    };
    let mut text = format!("{title}:\n");
    for step in steps {
        let run = flow.run(step);
        let id = one_line(flow.step(step).id.as_str());
        let present = at_present(flow, step, None, now);
        let present = match run_text(run).filter(|_| !matches!(run.state, StepState::Retrying { .. })) {
            None => present,
            Some(run) if present.is_empty() => format!("run {run}"),
            Some(run) => format!("run {run}; {present}"),
        };
        let _ = writeln!(text, "  {id}: {present}");
    }
    Some(text)
}

/// Lists the steps without a run that no other entry names, with the reason.
pub(super) fn never_started(flow: &Flow, named: &BTreeSet<StepIndex>) -> Option<String> {
    let steps: Vec<StepIndex> = flow
        .steps()
        .filter(|(index, _, run)| {
            let went_wrong = run.outcome().is_some_and(went_wrong);
            run.attempts.is_empty() && !went_wrong && !named.contains(index)
        })
        .map(|(index, _, _)| index)
        .collect();
    if steps.is_empty() {
        return None;
    }
    let mut text = "never started:\n".to_owned();
    for &step in steps.iter().take(NAMES_MAX) {
        let _ =
            writeln!(text, "  {}: {}", one_line(flow.step(step).id.as_str()), never_started_why(flow, step));
    }
    if steps.len() > NAMES_MAX {
        let _ = writeln!(text, "  ... and {} more", steps.len() - NAMES_MAX);
    }
    Some(text)
}

fn never_started_why(flow: &Flow, step: StepIndex) -> String {
    let run = flow.run(step);
    match &run.state {
        StepState::Waiting => format!("waits for {}", waited_for(flow, step)),
        StepState::Ready => "ready, waits for a place".to_owned(),
        StepState::Barred { outcome, reason } => format!("{}, {}", spoken(*outcome), one_line(reason)),
        _ => {
            let word = run.outcome().map_or("not started", spoken);
            format!("{word}, {}", one_line(&run.reason))
        }
    }
}

/// Names the upstreams of a step that have not ended.
fn waited_for(flow: &Flow, step: StepIndex) -> String {
    let open = |upstream: &StepIndex| !matches!(flow.run(*upstream).state, StepState::Ended { .. });
    let upstreams: BTreeSet<StepIndex> = flow.graph().upstreams(step).filter(open).collect();
    names(flow, &upstreams.into_iter().collect::<Vec<_>>())
}

fn names(flow: &Flow, steps: &[StepIndex]) -> String {
    let shown = steps.iter().take(NAMES_MAX).map(|&step| one_line(flow.step(step).id.as_str()));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if steps.len() > NAMES_MAX {
        let _ = write!(text, ", ... and {} more", steps.len() - NAMES_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::end_block;
    use crate::flow::{Event, Outcome, RunStatus};
    use crate::plan::{Retry, StepId};
    use crate::report::sample::{Sample, error};
    use crate::time::Delay;

    #[test]
    fn a_good_night_is_one_line() {
        let mut sample = Sample::new(&[("load", ""), ("curate", "load"), ("alarm", "curate:failed")]);
        sample.succeed("load").succeed("curate");
        insta::assert_snapshot!(end_block(&sample.flow, sample.now), @r"
        flow 7f3a9c of nightly-sales succeeded after 2m00s
        2 succeeded, 1 not needed
        ");
    }

    #[test]
    fn a_bad_night_says_what_failed_why_and_what_it_stopped() {
        let steps = [
            ("load", ""),
            ("fx", ""),
            ("curate", "load fx"),
            ("publish", "curate"),
            ("mail", "publish"),
            ("refused", "load"),
            ("slow", "load"),
            ("warned", "load"),
            ("alarm", "warned:failed"),
            ("both", "refused curate"),
        ];
        let mut sample = Sample::with(&steps, |plan| {
            plan.steps[1].allow_failure = true;
            plan.steps[2].retry = Retry { max_attempts: 2, ..Retry::default() };
        });
        sample.start("fx").wait(3).end(
            "fx",
            Outcome::Failed,
            Some(error("Web_1", "2108", "rates\x1b[31m not there")),
        );
        sample.succeed("load").intend("refused").record(Event::StartRefused {
            step: StepId::new("refused"),
            attempt: 1,
            error: error("", "PipelineNotFound", "The pipeline pl_refused was not found"),
        });
        sample.start("warned").wait(60).end("warned", Outcome::Warned, Some(error("Log", "2100", "no log")));
        sample.start("slow").wait(120);
        let why = "the step took longer than its `timeout`; the run was cancelled";
        sample.end("slow", Outcome::TimedOut, Some(error("", "", why)));
        sample.start("curate").wait(60).end("curate", Outcome::Failed, Some(error("", "", "first")));
        let text = "Failure happened on 'Sink' side. ErrorCode=UserErrorInvalidTable,'Type=Microsoft.DataTransfer.\
                    Common.Shared.HybridDeliveryException,Message=Cannot find the table dbo.sales,\
                    Source=Microsoft.DataTransfer.ClientLibrary,'\r\n  Additional line.";
        sample.wait(30).start("curate").wait(600);
        sample.end("curate", Outcome::Failed, Some(error("Copy_2", "2200", text)));
        insta::assert_snapshot!(end_block(&sample.flow, sample.now), @r"
        flow 7f3a9c of nightly-sales failed after 15m33s
        1 succeeded, 1 warned, 3 failed (1 allowed), 1 timed out, 3 blocked, 1 not needed

        failed: curate, after 11m30s and 2 attempts
          pipeline  pl_curate
          run       8b35ed2c-0000-4000-8000-000000000007
          activity  Copy_2
          error     2200: Failure happened on 'Sink' side. ErrorCode=UserErrorInvalidTable,'Type=Microsoft.DataTransfer.Common.Shared.HybridDeliveryException,Message=Cannot find the table dbo.sales,Source=Microsoft.DataTransfer.ClientLibrary,'
                      Additional line.
          blocked   publish, mail, both

        failed: refused
          pipeline  pl_refused
          run       none
          error     PipelineNotFound: The pipeline pl_refused was not found
          blocked   both

        timed out: slow, after 2m00s
          pipeline  pl_slow
          run       8b35ed2c-0000-4000-8000-000000000005
          why       the step took longer than its `timeout`; the run was cancelled

        failed (allowed): fx, after 3.0s
          pipeline  pl_fx
          run       8b35ed2c-0000-4000-8000-000000000001
          activity  Web_1
          error     2108: rates␛[31m not there

        warned: warned, after 1m00s
          pipeline  pl_warned
          run       8b35ed2c-0000-4000-8000-000000000004
          activity  Log
          error     2100: no log

        never started:
          alarm: not needed, `warned` ended warned

        next: synflow resume 7f3a9c
        ");
    }

    #[test]
    fn a_flow_that_was_left_names_the_runs_that_go_on() {
        let steps = [
            ("load", ""),
            ("copy", ""),
            ("lost", ""),
            ("again", ""),
            ("curate", "load copy"),
            ("tail", "lost"),
        ];
        let mut sample = Sample::with(&steps, |plan| {
            plan.steps[3].retry = Retry { max_attempts: 3, ..Retry::default() };
        });
        sample.start("load").status("load", RunStatus::InProgress).intend("copy");
        sample.record(Event::StartUnclear {
            step: StepId::new("copy"),
            attempt: 1,
            reason: "the connection was cut".to_owned(),
            refusal: None,
            other: None,
        });
        sample.start("lost").record(Event::AttemptEnded {
            step: StepId::new("lost"),
            attempt: 1,
            outcome: Outcome::Unknown,
            error: Some(error("", "", "Synapse no longer knows the run")),
            restart: None,
            outputs: None,
            activities: None,
        });
        sample.start("again").end("again", Outcome::Failed, Some(error("", "", "deadlock"))).wait(10);
        sample.record(Event::Detached).wait(3600);
        insta::assert_snapshot!(end_block(&sample.flow, sample.now), @r"
        flow 7f3a9c of nightly-sales is detached, started 1h00m ago
        1 unknown, 2 running, 3 waiting

        unknown: lost, a person must look
          pipeline  pl_lost
          run       8b35ed2c-0000-4000-8000-000000000003
          why       Synapse no longer knows the run
          holds up  tail

        left under way:
          load: run 8b35ed2c-0000-4000-8000-000000000001
          copy: run 8b35ed2c-0000-4000-8000-000000000002, if it exists; start unclear (the connection was cut), looking for its run
          again: attempt 2 as soon as possible: deadlock

        never started:
          curate: waits for load, copy

        next: synflow resume 7f3a9c
        ");
    }

    #[test]
    fn a_flow_that_only_a_person_can_move_says_so() {
        let mut sample = Sample::new(&[("load", ""), ("lost", ""), ("tail", "lost"), ("end", "tail")]);
        sample.succeed("load").intend("lost").record(Event::StartUnclear {
            step: StepId::new("lost"),
            attempt: 1,
            reason: "the connection was cut".to_owned(),
            refusal: None,
            other: None,
        });
        sample.wait(120).record(Event::AttemptEnded {
            step: StepId::new("lost"),
            attempt: 1,
            outcome: Outcome::Unknown,
            error: Some(error("", "", "the connection was cut")),
            restart: None,
            outputs: None,
            activities: None,
        });
        insta::assert_snapshot!(end_block(&sample.flow, sample.now), @r"
        flow 7f3a9c of nightly-sales waits for a person, started 3m00s ago
        1 succeeded, 1 unknown, 2 waiting

        unknown: lost, a person must look
          pipeline  pl_lost
          run       8b35ed2c-0000-4000-8000-000000000002, if it exists
          why       the connection was cut
          holds up  tail, end

        next: synflow resolve 7f3a9c lost --run RUN | --not-started | --give-up
        ");
        let answer = crate::report::json::status(&sample.flow, sample.now);
        assert_eq!(answer["flow"]["state"], "needs_person");
        assert_eq!(answer["flow"]["outcome"], "unknown");
        assert_eq!(answer["flow"]["exit_code"], 9);
    }

    #[test]
    fn what_the_plan_or_service_says_moves_no_cursor() {
        let evil = "a\x1b[2Jb\x07c\u{9b}d";
        let mut sample = Sample::with(&[("load", ""), ("next", "load")], |plan| {
            plan.name = evil.to_owned();
            plan.steps[0].pipeline = evil.to_owned();
        });
        sample.start("load").end("load", Outcome::Failed, Some(error(evil, evil, evil)));
        let now = sample.now;
        let texts = [
            end_block(&sample.flow, now),
            crate::report::table::status(&sample.flow, now),
            crate::report::table::flows(&[crate::report::Listed::Read(&sample.flow)], now),
            sample.told(),
        ];
        for text in texts {
            assert!(text.contains("a␛[2Jb␇c\u{fffd}d"), "{text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
    }

    #[test]
    fn long_lists_are_counted() {
        let ids: Vec<String> = (0..40).map(|number| format!("mart_{number}")).collect();
        let mut steps = vec![("load", "")];
        steps.extend(ids.iter().map(|id| (id.as_str(), "load")));
        let mut sample = Sample::new(&steps);
        sample.start("load").wait(1).end("load", Outcome::Failed, None);
        let block = end_block(&sample.flow, sample.now);
        let words: Vec<&str> = block.split_whitespace().collect();
        assert!(words.join(" ").contains("mart_10, mart_11, ... and 28 more next:"), "{block}");
    }

    #[test]
    fn a_step_is_laid_at_the_door_of_what_stopped_it() {
        let mut sample =
            Sample::new(&[("a", ""), ("b", ""), ("after_a", "a"), ("on_a", "a:failed"), ("c", "on_a b")]);
        sample.start("a").start("b").wait(1).end("a", Outcome::Failed, None);
        sample.succeed("on_a").end("b", Outcome::Failed, None);
        let block = end_block(&sample.flow, sample.now + Delay::from_secs(1));
        let blocked: Vec<&str> = block.lines().filter(|line| line.starts_with("  blocked")).collect();
        assert_eq!(blocked, ["  blocked   after_a", "  blocked   c"]);
    }
}
