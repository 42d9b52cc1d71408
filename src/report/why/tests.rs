//! Every kind of end and wait, as a person reads it.

use super::{Why, typed};
use crate::flow::{Event, Outcome};
use crate::plan::{Pool, Retry, RetryOn, StepId};
use crate::report::sample::{Sample, error};

fn why(sample: &Sample, step: &str) -> String {
    Why { flow: &sample.flow, step: sample.index(step), meanwhile: None, is_driven: false, now: sample.now }
        .text()
}

/// A night on which the second of three layers failed.
fn bad_night() -> Sample {
    let steps = [
        ("load", ""),
        ("fx", ""),
        ("curate", "load fx"),
        ("publish", "curate"),
        ("mail", "publish"),
        ("alarm", "curate:failed"),
        ("quiet", "load:failed"),
    ];
    let mut sample = Sample::with(&steps, |plan| {
        plan.steps[1].allow_failure = true;
        plan.steps[2].retry = Retry { max_attempts: 2, ..Retry::default() };
    });
    sample.start("fx").wait(3).end("fx", Outcome::Failed, Some(error("Web_1", "2108", "no rates")));
    sample.succeed("load").start("curate").wait(60);
    sample.end("curate", Outcome::Failed, Some(error("Copy_2", "2200", "deadlock"))).wait(30);
    sample.start("curate").wait(600);
    sample.end("curate", Outcome::Failed, Some(error("Copy_2", "2200", "cannot find the table\nline two")));
    sample.succeed("alarm");
    sample
}

#[test]
fn a_blocked_step_leads_back_to_the_failure() {
    insta::assert_snapshot!(why(&bad_night(), "mail"), @r"
    mail of flow 7f3a9c ended blocked, at 2026-11-25 00:02:33 UTC
      `publish` ended blocked

    because
      publish  blocked: `curate` ended failed
      curate   failed: Copy_2: 2200: cannot find the table line two

    edges
      publish  not met: it ended blocked, without a run; a plain edge needs one

    next: synflow logs curate --flow 7f3a9c
          synflow resume 7f3a9c
    ");
}

#[test]
fn a_failed_step_tells_its_attempts_and_why_no_more_follow() {
    insta::assert_snapshot!(why(&bad_night(), "curate"), @r"
    curate of flow 7f3a9c ended failed after 11m30s, at 2026-11-25 00:02:33 UTC
      Copy_2: 2200: cannot find the table line two
      attempt 1 failed: Copy_2: 2200: deadlock
      all 2 attempts of its `retry` are used up

    edges
      load  met: it ended succeeded
      fx    met: it ended failed, which it may: `allow_failure`

    it started at 2026-11-24 23:51:03 UTC, when `load`, the last of 2 it waits for, ended

    next: synflow logs curate --flow 7f3a9c
          synflow resume 7f3a9c
    ");
}

#[test]
fn an_unused_handler_was_not_needed() {
    insta::assert_snapshot!(why(&bad_night(), "quiet"), @r"
    quiet of flow 7f3a9c ended not needed, at 2026-11-24 23:51:03 UTC
      `load` ended succeeded

    because
      load  succeeded

    edges
      load [failed]  not met: it ended succeeded; the edge asks for `failed`

    next: synflow resume 7f3a9c
    ");
}

#[test]
fn a_step_that_went_well_says_why_it_started() {
    insta::assert_snapshot!(why(&bad_night(), "alarm"), @r"
    alarm of flow 7f3a9c ended succeeded after 1m00s, at 2026-11-25 00:03:33 UTC

    edges
      curate [failed]  met: it ended failed

    it started at 2026-11-25 00:02:33 UTC, when `curate` ended

    next: synflow logs alarm --flow 7f3a9c
          synflow resume 7f3a9c
    ");
}

#[test]
fn a_waiting_step_names_what_is_at_work() {
    let mut sample =
        Sample::new(&[("load", ""), ("curate", "load"), ("publish", "curate"), ("mail", "publish")]);
    sample.start("load").wait(90);
    insta::assert_snapshot!(why(&sample, "mail"), @r"
    mail of flow 7f3a9c is waiting

    waits for
      publish  waiting
      curate   waiting
      load     running

    edges
      publish  open: it has not ended, it is waiting

    nobody drives the flow at the moment, so nothing of this goes on

    next: synflow logs load --flow 7f3a9c
          synflow resume 7f3a9c
    ");
}

#[test]
fn a_ready_step_names_who_has_its_place() {
    let mut sample = Sample::with(&[("a", ""), ("b", ""), ("c", "")], |plan| {
        plan.pools.push(Pool { name: "sql".to_owned(), size: 2 });
        plan.steps[0].pools.push((0, 1));
        plan.steps[1].pools.push((0, 2));
    });
    sample.start("a").wait(5);
    insta::assert_snapshot!(why(&sample, "b"), @r"
    b of flow 7f3a9c is ready to start
      it waits for 2 of 2 of pool `sql`, held by a

    nobody drives the flow at the moment, so nothing of this goes on

    next: synflow resume 7f3a9c
    ");
    let told = why(&sample, "c");
    assert!(told.contains("nothing is in its way: it starts with the next beat"), "{told}");
}

#[test]
fn an_end_that_is_not_tried_again_says_what_is() {
    let mut sample = Sample::with(&[("load", "")], |plan| {
        plan.steps[0].retry = Retry {
            max_attempts: 3,
            on: vec![RetryOn::TimedOut, RetryOn::Code("2200".to_owned())],
            ..Retry::default()
        };
    });
    sample.start("load").wait(1).end("load", Outcome::Failed, Some(error("Copy", "2108", "no")));
    let told = why(&sample, "load");
    assert!(told.contains("its `retry` is `on: [timed_out, 2200]`, and this is none of them"), "{told}");
}

#[test]
fn what_is_stopped_by_a_failure_elsewhere_names_that() {
    let mut sample = Sample::with(&[("a", ""), ("b", ""), ("c", "b")], |plan| plan.max_failures = Some(1));
    sample.start("a").start("b").wait(1).end("a", Outcome::Failed, Some(error("", "", "boom")));
    insta::assert_snapshot!(why(&sample, "c"), @r"
    c of flow 7f3a9c ended blocked, at 2026-11-24 23:50:01 UTC
      nothing new starts after a failure

    because
      a  failed: boom

    edges
      b  open: it has not ended, it is running

    next: synflow logs a --flow 7f3a9c
          synflow resume 7f3a9c
    ");
}

#[test]
fn nobody_knows_what_became_of_an_unknown_step() {
    let mut sample = Sample::new(&[("lost", ""), ("tail", "lost")]);
    sample.start("lost").record(Event::AttemptEnded {
        step: StepId::new("lost"),
        attempt: 1,
        outcome: Outcome::Unknown,
        error: Some(error("", "", "Synapse no longer knows the run")),
        restart: None,
        outputs: None,
        activities: None,
    });
    insta::assert_snapshot!(why(&sample, "tail"), @r"
    tail of flow 7f3a9c is waiting

    waits for
      lost  unknown: Synapse no longer knows the run

    edges
      lost  open: nobody knows how it ended, and a person must look

    nobody drives the flow at the moment, so nothing of this goes on

    next: synflow resolve 7f3a9c lost --run RUN | --not-started | --give-up
    ");
}

#[test]
fn programs_get_the_same() {
    let sample = bad_night();
    let step = sample.index("mail");
    let why = Why { flow: &sample.flow, step, meanwhile: None, is_driven: true, now: sample.now };
    let value = why.value();
    assert_eq!(value["step"]["outcome"], "blocked");
    assert_eq!(value["edges"][0]["met"], false);
    assert_eq!(value["edges"][0]["upstream"], "publish");
    assert_eq!(value["trail"][1]["step"], "curate");
    assert_eq!(value["trail"][1]["is_root"], true);
}

#[test]
fn ids_are_written_as_a_shell_takes_them() {
    assert_eq!(typed("load-sales_1"), "load-sales_1");
    assert_eq!(typed("ingest[emea]"), "'ingest[emea]'");
    assert_eq!(typed("it's"), r"'it'\''s'");
}
