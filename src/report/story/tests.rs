//! What is told of flows: waits, causes and what they stopped, and the forms that are texts.

use std::collections::BTreeMap;

use serde_json::json;

use crate::flow::{ActivitiesKept, ActivityRun, Event, Outcome, Recorded, RunStatus, StepError};
use crate::plan::{Retry, StepId};
use crate::report::sample::{Sample, error};
use crate::report::story::{Known, Story, WaitKind, junit, markdown, tell};
use crate::time::{Delay, Timestamp};

fn told(sample: &Sample, events: &[Recorded]) -> Story {
    tell(&sample.flow, events, &Known::default(), sample.now)
}

/// A night in which one step fails after two attempts, one is allowed to and one warns.
fn night() -> Sample {
    let steps =
        [("load", ""), ("fx", ""), ("curate", "load fx"), ("publish", "curate"), ("alarm", "publish:failed")];
    let mut sample = Sample::with(&steps, |plan| {
        plan.steps[1].allow_failure = true;
        plan.steps[2].retry = Retry { max_attempts: 2, ..Retry::default() };
    });
    sample.start("fx").wait(3).end(
        "fx",
        Outcome::Failed,
        Some(error("Web|1", "2108", "rates <b>*not*</b> there @all")),
    );
    sample.start("load").wait(60).end("load", Outcome::Warned, Some(error("Log", "2100", "no log")));
    sample.wait(20).start("curate").wait(60).end("curate", Outcome::Failed, Some(error("", "", "first")));
    let inner = StepError {
        via: vec!["load_customers".to_owned()],
        ..error("Copy_2", "UserErrorInvalidTable", "no table\nline two")
    };
    sample.wait(30).start("curate").wait(600).end("curate", Outcome::Failed, Some(inner));
    sample
}

#[test]
fn causes_come_worst_first_with_what_they_stopped() {
    let story = told(&night(), &[]);
    let causes: Vec<(&str, bool, &str, &[String])> = story
        .causes
        .iter()
        .map(|it| (it.step.as_str(), it.allowed, it.text.as_str(), it.stopped.as_slice()))
        .collect();
    assert_eq!(
        causes,
        [
            (
                "curate",
                false,
                "curate > load_customers > Copy_2: UserErrorInvalidTable: no table line two",
                &["publish".to_owned(), "alarm".to_owned()][..]
            ),
            ("fx", true, "fx > Web|1: 2108: rates <b>*not*</b> there @all", &[]),
            ("load", false, "load > Log: 2100: no log", &[]),
        ]
    );
    assert_eq!(story.steps[3].because, ["curate"]);
    assert_eq!(story.flow.next.as_deref(), Some("synflow resume 7f3a9c"));
    assert_eq!(json!(story.flow.counts), json!({ "blocked": 2, "failed": 2, "warned": 1 }));
}

#[test]
fn waits_are_told_by_what_they_were_for() {
    let sample = night();
    let id = |step: &str| StepId::new(step);
    let at = |seconds: u64| sample.flow.started_at().expect("it has begun") + Delay::from_secs(seconds);
    let queued = |seq, seconds, status| Recorded {
        seq,
        at: at(seconds),
        event: Event::RunChanged { step: id("curate"), attempt: 2, status },
    };
    let events = [queued(1, 180, RunStatus::Queued), queued(2, 200, RunStatus::InProgress)];
    let story = told(&sample, &events);
    let begun = story.flow.started_at;
    let waits: Vec<(WaitKind, String, String)> = story.steps[2]
        .waits
        .iter()
        .map(|it| (it.kind, it.from.since(begun).short(), it.to.since(begun).short()))
        .collect();
    let wanted = [
        (WaitKind::Place, "1m03s", "1m23s"),
        (WaitKind::Retry, "2m23s", "2m53s"),
        (WaitKind::Queue, "3m00s", "3m20s"),
    ];
    assert_eq!(waits, wanted.map(|(kind, from, to)| (kind, from.to_owned(), to.to_owned())));
    assert!(story.steps[3].waits.is_empty(), "what never started waited for nothing");
    // The first start of a flow waits for nobody, and a step behind it that started at once neither.
    assert_eq!(story.steps[1].waits, []);
}

#[test]
fn a_step_begun_anew_waited_to_be_resumed() {
    let mut sample = Sample::new(&[("load", "")]);
    sample.start("load").wait(60).end("load", Outcome::Failed, Some(error("", "1", "no")));
    let redo = vec![StepId::new("load")];
    sample.wait(3_600).record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
    let resumed = Recorded {
        seq: 1,
        at: sample.now,
        event: Event::Resumed {
            redo: vec![StepId::new("load")],
            trust: BTreeMap::new(),
            definitions: BTreeMap::new(),
        },
    };
    sample.wait(5).start("load").wait(10).end("load", Outcome::Succeeded, None);
    let story = told(&sample, &[resumed]);
    let waits: Vec<(WaitKind, String)> =
        story.steps[0].waits.iter().map(|it| (it.kind, it.to.since(it.from).short())).collect();
    assert_eq!(waits, [(WaitKind::Resume, "1h00m".to_owned()), (WaitKind::Place, "5.0s".to_owned())]);
    assert_eq!(story.flow.events[0].text, "a process took it up again; 1 step began anew");
    assert_eq!(story.causes.len(), 0);
}

#[test]
fn activities_stand_in_the_order_in_which_they_began() {
    let sample = night();
    let row = |name: &str, start: i64| ActivityRun {
        name: name.to_owned(),
        kind: "Copy".to_owned(),
        status: "Succeeded".to_owned(),
        iteration: String::new(),
        start: Some(Timestamp::from_epoch_ms(start)),
        end: None,
        error: None,
        child: None,
    };
    let kept = ActivitiesKept { rows: vec![row("second", 9), row("first", 3)], left_out: 2 };
    let ended = Event::AttemptEnded {
        step: StepId::new("curate"),
        attempt: 2,
        outcome: Outcome::Failed,
        error: None,
        restart: None,
        outputs: None,
        activities: Some(Box::new(kept)),
    };
    let story = told(&sample, &[Recorded { seq: 1, at: sample.now, event: ended }]);
    let attempt = &story.steps[2].attempts[1];
    assert_eq!(attempt.activities.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(attempt.activities_left_out, 2);
    assert!(story.steps[2].attempts[0].activities.is_empty());
    let studio = attempt.studio.as_deref().unwrap_or_default();
    assert_eq!(
        studio,
        "https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000004"
    );
}

#[test]
fn markdown_is_read_as_what_it_says() {
    insta::assert_snapshot!(markdown(&told(&night(), &[])), @r##"
        ### ❌ flow 7f3a9c of nightly-sales failed after 12m53s

        2 failed, 2 blocked, 1 warned

        ```sh
        synflow resume 7f3a9c
        ```

        #### What went wrong

        - ❌ **failed**: curate &gt; load\_customers &gt; Copy\_2: UserErrorInvalidTable: no table line two; blocked `publish`, `alarm`
        - ❌ **failed** (allowed): fx &gt; Web&#124;1: 2108: rates &lt;b&gt;\*not\*&lt;/b&gt; there &#64;all
        - ⚠️ **warned**: load &gt; Log: 2100: no log

        #### What decided the time

        `load` (1m00s, waited 3.0s) → `curate` (11m30s, waited 20s)

        #### Steps

        | | step | outcome | time | attempts | run | why |
        |---|---|---|---|---|---|---|
        | ⚠️ | `load` | warned | 1m00s |  | [8b35ed2c](https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000002) | Log: 2100: no log |
        | ❌ | `fx` | failed (allowed) | 3.0s |  | [8b35ed2c](https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000001) | Web&#124;1: 2108: rates &lt;b&gt;\*not\*&lt;/b&gt; there &#64;all |
        | ❌ | `curate` | failed | 11m30s | 2 | [8b35ed2c](https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000004) | load\_customers &gt; Copy\_2: UserErrorInvalidTable: no table line two |
        | ⚪ | `publish` | blocked |  |  |  | \`curate\` ended failed |
        | ⚪ | `alarm` | blocked |  |  |  | \`publish\` ended blocked |
        "##);
}

#[test]
fn junit_has_a_case_for_each_step() {
    insta::assert_snapshot!(junit(&told(&night(), &[])), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="5" failures="1" errors="0" time="773.000">
          <testsuite name="nightly-sales" tests="5" failures="1" errors="0" skipped="3" time="773.000" timestamp="2026-11-24T23:50:00" file="nightly.yaml">
            <properties>
              <property name="flow" value="7f3a9c"/>
              <property name="outcome" value="failed"/>
              <property name="plan_sha256" value="00"/>
              <property name="next" value="synflow resume 7f3a9c"/>
            </properties>
            <testcase name="load" classname="nightly-sales.pl_load" time="60.000">
              <system-out>warned: Log: 2100: no log</system-out>
            </testcase>
            <testcase name="fx" classname="nightly-sales.pl_fx" time="3.000">
              <skipped message="failed (allowed): Web|1: 2108: rates &lt;b&gt;*not*&lt;/b&gt; there @all"/>
            </testcase>
            <testcase name="curate" classname="nightly-sales.pl_curate" time="690.000">
              <failure type="failed" message="failed: load_customers &gt; Copy_2: UserErrorInvalidTable: no table line two">attempt 1 failed, run 8b35ed2c-0000-4000-8000-000000000003
        first
        https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000003
        attempt 2 failed, run 8b35ed2c-0000-4000-8000-000000000004
        activity load_customers &gt; Copy_2
        UserErrorInvalidTable: no table
        line two
        https://web.azuresynapse.net/en/monitoring/pipelineruns/8b35ed2c-0000-4000-8000-000000000004</failure>
            </testcase>
            <testcase name="publish" classname="nightly-sales.pl_publish">
              <skipped message="blocked: `curate` ended failed"/>
            </testcase>
            <testcase name="alarm" classname="nightly-sales.pl_alarm">
              <skipped message="blocked: `publish` ended blocked"/>
            </testcase>
          </testsuite>
        </testsuites>
        "##);
}

#[test]
fn a_good_night_has_nothing_to_say() {
    let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
    sample.succeed("load").succeed("curate");
    let known = Known { expected: Some(Delay::from_secs(90)), earlier_flows: 3, ..Known::default() };
    let story = tell(&sample.flow, &[], &known, sample.now);
    assert!(story.causes.is_empty());
    assert_eq!(story.flow.next, None);
    let text = markdown(&story);
    assert!(text.starts_with("### ✅ flow 7f3a9c of nightly-sales succeeded after 2m00s\n"), "{text}");
    assert!(text.contains("expected 1m30s by 3 earlier flows, took 2m00s"), "{text}");
    assert!(!text.contains("wrong"), "{text}");
}

#[test]
fn an_open_flow_is_told_as_it_stands() {
    let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
    sample.start("load").wait(10);
    let story = told(&sample, &[]);
    assert_eq!((story.flow.state.as_str(), story.flow.outcome.as_deref()), ("unfinished", None));
    assert_eq!((story.steps[0].mark(), story.steps[1].mark()), ("running", "waiting"));
    assert_eq!(story.steps[0].elapsed_ms, Some(Delay::from_secs(10)));
    assert!(junit(&story).contains("<skipped message=\"running when the report was made\"/>"));
}

/// GitHub takes 65,536 characters of a comment.
#[test]
fn markdown_stays_short_enough_for_a_comment() {
    let ids: Vec<String> = (0..2_000).map(|at| format!("step_{at}")).collect();
    let upstream = |at: usize| at.checked_sub(1).map_or("", |before| ids[before].as_str());
    let chain: Vec<(&str, &str)> =
        ids.iter().enumerate().map(|(at, id)| (id.as_str(), upstream(at))).collect();
    let mut sample = Sample::new(&chain);
    for id in &ids {
        sample.succeed(id);
    }
    let text = markdown(&told(&sample, &[]));
    assert!(text.len() < 65_536 && text.contains("1986 more steps"), "{} bytes", text.len());

    let wide: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
    let mut sample = Sample::with(&wide, |plan| plan.max_parallel = 2_000);
    for (at, id) in ids.iter().enumerate() {
        let message = format!("{at} <not|there> ").repeat(100);
        sample.start(id).end(id, Outcome::Failed, Some(error("Copy", "2200", &message)));
    }
    let text = markdown(&told(&sample, &[]));
    assert!(text.len() < 65_536, "{} bytes", text.len());
}

#[test]
fn a_run_that_is_to_be_cancelled_stays_queued_until_it_is_not() {
    let mut sample = Sample::new(&[("a", "")]);
    sample.start("a").status("a", RunStatus::Queued).wait(5);
    let (step, attempt) = (StepId::new("a"), 1);
    let reason = crate::flow::CancelReason::Asked;
    sample.record(Event::CancelIntended { step, attempt, reason }).wait(30);
    sample.status("a", RunStatus::Canceling).wait(5).end("a", Outcome::Cancelled, None);
    let story = told(&sample, &sample.recorded);
    let queued = story.steps[0].waits.iter().find(|wait| wait.kind == WaitKind::Queue);
    let queued = queued.map(|wait| wait.to.since(wait.from));
    assert_eq!(queued, Some(Delay::from_secs(35)));
}
