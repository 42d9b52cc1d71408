//! The end of every kind of night, as a person reads it.

use super::end_block;
use crate::flow::{Event, Outcome, RunStatus, StepError};
use crate::plan::{Retry, StepId};
use crate::report::Beside;
use crate::report::sample::{Sample, error};
use crate::time::Delay;

#[test]
fn a_good_night_is_one_line() {
    let mut sample = Sample::new(&[("load", ""), ("curate", "load"), ("alarm", "curate:failed")]);
    sample.succeed("load").succeed("curate");
    insta::assert_snapshot!(end_block(&sample.flow, &Beside::default(), sample.now), @r"
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
                Common.Shared.HybridDeliveryException,Message=Cannot find the table dbo.sales.\r\n  \
                Additional line.,Source=Microsoft.DataTransfer.ClientLibrary,'";
    sample.wait(30).start("curate").wait(600);
    sample.end("curate", Outcome::Failed, Some(error("Copy_2", "2200", text)));
    insta::assert_snapshot!(end_block(&sample.flow, &Beside::default(), sample.now), @r"
    flow 7f3a9c of nightly-sales failed after 15m33s
    1 succeeded, 1 warned, 3 failed (1 allowed), 1 timed out, 3 blocked, 1 not needed

    failed: curate > Copy_2, after 11m30s and 2 attempts
      error     UserErrorInvalidTable: Cannot find the table dbo.sales.
                  Additional line.
      run       8b35ed2c-0000-4000-8000-000000000007 (pl_curate)
      blocked   publish, mail, both

    failed: refused
      error     PipelineNotFound: The pipeline pl_refused was not found
      run       none (pl_refused)
      blocked   both

    timed out: slow, after 2m00s
      why       the step took longer than its `timeout`; the run was cancelled
      run       8b35ed2c-0000-4000-8000-000000000005 (pl_slow)

    failed (allowed): fx > Web_1, after 3.0s
      error     2108: rates␛[31m not there
      run       8b35ed2c-0000-4000-8000-000000000001 (pl_fx)

    warned: warned > Log, after 1m00s
      error     2100: no log
      run       8b35ed2c-0000-4000-8000-000000000004 (pl_warned)

    never started:
      alarm: not needed, `warned` ended warned

    next: synflow resume 7f3a9c
    ");
}

#[test]
fn a_flow_that_was_left_names_the_runs_that_go_on() {
    let steps =
        [("load", ""), ("copy", ""), ("lost", ""), ("again", ""), ("curate", "load copy"), ("tail", "lost")];
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
    insta::assert_snapshot!(end_block(&sample.flow, &Beside::default(), sample.now), @r"
    flow 7f3a9c of nightly-sales is detached, started 1h00m ago
    1 unknown, 2 running, 3 waiting

    unknown: lost, a person must look
      why       Synapse no longer knows the run
      run       8b35ed2c-0000-4000-8000-000000000003 (pl_lost)
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
    insta::assert_snapshot!(end_block(&sample.flow, &Beside::default(), sample.now), @r"
    flow 7f3a9c of nightly-sales waits for a person, started 3m00s ago
    1 succeeded, 1 unknown, 2 waiting

    unknown: lost, a person must look
      why       the connection was cut
      to do     look in Synapse Studio, Monitor > Pipeline runs, for a run of `pl_lost` from about 2026-11-24 23:51 UTC: `--run ITS_ID` if there is one, `--not-started` if there is none
      run       8b35ed2c-0000-4000-8000-000000000002, if it exists (pl_lost)
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
        end_block(&sample.flow, &Beside::default(), now),
        crate::report::table::status(&sample.flow, &Beside::default(), now),
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
    let block = end_block(&sample.flow, &Beside::default(), sample.now);
    let words: Vec<&str> = block.split_whitespace().collect();
    assert!(words.join(" ").contains("mart_10, mart_11, ... and 28 more next:"), "{block}");
}

#[test]
fn a_step_is_laid_at_the_door_of_what_stopped_it() {
    let mut sample =
        Sample::new(&[("a", ""), ("b", ""), ("after_a", "a"), ("on_a", "a:failed"), ("c", "on_a b")]);
    sample.start("a").start("b").wait(1).end("a", Outcome::Failed, None);
    sample.succeed("on_a").end("b", Outcome::Failed, None);
    let block = end_block(&sample.flow, &Beside::default(), sample.now + Delay::from_secs(1));
    let blocked: Vec<&str> = block.lines().filter(|line| line.starts_with("  blocked")).collect();
    assert_eq!(blocked, ["  blocked   after_a", "  blocked   c"]);
}

#[test]
fn a_night_is_told_beside_the_usual_one() {
    let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
    let beside = Beside {
        usual: Some(Delay::from_secs(100)),
        steps: [((StepId::new("curate"), "pl_curate".to_owned()), Delay::from_secs(30))].into(),
        ..Beside::default()
    };
    sample.succeed("load").start("curate").wait(45);
    insta::assert_snapshot!(end_block(&sample.flow, &beside, sample.now), @r"
    flow 7f3a9c of nightly-sales has not ended, started 1m45s ago, usually takes 1m40s
    1 succeeded, 1 running

    under way when synflow last looked:
      curate: run 8b35ed2c-0000-4000-8000-000000000002, 45s so far, usually 30s

    next: synflow resume 7f3a9c
    ");
    sample.end("curate", Outcome::Succeeded, None);
    insta::assert_snapshot!(end_block(&sample.flow, &beside, sample.now), @r"
    flow 7f3a9c of nightly-sales succeeded after 1m45s, usually 1m40s
    2 succeeded
    ");
}

#[test]
fn iterations_that_failed_alike_are_one_failure() {
    let ids: Vec<String> = (0..20).map(|number| format!("load[{number}]")).collect();
    let mut steps: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
    steps.push(("other", ""));
    steps.push(("next", "load[3]"));
    let mut sample = Sample::new(&steps);
    for id in &ids {
        sample.start(id);
    }
    sample.start("other").wait(60);
    for id in &ids {
        let told = StepError {
            via: vec!["copy_all".to_owned()],
            ..error("Copy_2", "2200", "Cannot find the table dbo.sales")
        };
        sample.end(id, Outcome::Failed, Some(told));
    }
    let long = "a line of the service\n".repeat(40);
    sample.end("other", Outcome::Failed, Some(error("Web", "2108", &long)));
    insta::assert_snapshot!(end_block(&sample.flow, &Beside::default(), sample.now), @r"
    flow 7f3a9c of nightly-sales failed after 1m00s
    21 failed, 1 blocked

    failed: 20 steps alike, all at copy_all > Copy_2
      steps     load[0], load[1], load[2], load[3], load[4], load[5], load[6], load[7], load[8], load[9], load[10], load[11], ... and 8 more
      error     2200: Cannot find the table dbo.sales
      blocked   next

    failed: other > Web, after 1m00s
      error     2108: a line of the service
                a line of the service
                a line of the service
                a line of the service
                a line of the service
                a line of the service
                (`synflow logs other` has it whole)
      run       8b35ed2c-0000-4000-8000-000000000015 (pl_other)

    next: synflow resume 7f3a9c
    ");
}

#[test]
fn many_failures_are_folded() {
    let ids: Vec<String> = (0..30).map(|number| format!("load_{number}")).collect();
    let steps: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
    let mut sample = Sample::new(&steps);
    for id in &ids {
        sample.start(id);
    }
    for (number, id) in ids.iter().enumerate() {
        sample.end(id, Outcome::Failed, Some(error("Copy", "2200", &format!("table {number} is missing"))));
    }
    let block = end_block(&sample.flow, &Beside::default(), sample.now);
    assert!(block.lines().count() < 50, "{block}");
    assert!(block.contains("\nfailed, too: load_8, load_9, "), "{block}");
    assert!(block.contains("... and 10 more\n"), "{block}");
}
