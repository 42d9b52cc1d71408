//! A flow and its deadline: what is said when, how the flow ends by it, and what a resume makes of it.

use synflow::flow::decide::Decision;
use synflow::flow::forecast::{Durations, Forecast, gather, median};
use synflow::flow::notice::Occasion;
use synflow::flow::{Event, Flow, FlowHeader, FlowOutcome, RunStatus};
use synflow::plan::{Condition, Deadline, EdgeRule, Plan, Step, StepIndex};
use synflow::time::Delay;

use crate::play::{DAWN, Play, edge, header, plan, seen, step, tries};

const HOUR: Delay = Delay::from_secs(3_600);

/// A millisecond less.
const ALMOST: Delay = Delay::from_ms(3_599_999);

const fn minutes(minutes: u64) -> Delay {
    Delay::from_secs(minutes * 60)
}

/// A flow that has an hour.
fn within_an_hour(steps: Vec<Step>) -> Play {
    Play::new(Plan { deadline: Some(Deadline::After(HOUR)), ..plan(20, steps) })
}

/// Two steps one after the other, and a handler.
fn chain() -> Vec<Step> {
    let handles = edge(0, EdgeRule::AnyOf(vec![Condition::Failed]));
    vec![step("a", &[]), step("b", &[0]), Step { depends_on: vec![handles], ..step("handler", &[]) }]
}

fn expect(play: &mut Play, known: &[(&str, u64)]) {
    let durations: Durations = play
        .flow
        .steps()
        .filter_map(|(_, step, _)| {
            let (_, took) = known.iter().find(|(id, _)| *id == step.id.as_str())?;
            Some(((step.id.clone(), step.pipeline.clone()), minutes(*took)))
        })
        .collect();
    play.watch.expect(Forecast::new(&play.flow, &durations));
}

fn missed() -> Event {
    Event::DeadlineMissed { deadline: DAWN + HOUR }
}

fn wakes_by(decision: &Decision, at: Delay) -> bool {
    decision.wake_at.is_some_and(|wake_at| wake_at <= DAWN + at)
}

#[test]
fn its_passing_is_said_once_and_stops_nothing() {
    let mut play = within_an_hour(chain());
    play.start(0);
    play.watch.begin(synflow::flow::watch::Chore::LookUp(StepIndex(0)), play.now);
    assert_eq!(play.decide().wake_at, Some(DAWN + HOUR), "it wakes up for it");
    play.wait(ALMOST);
    assert_eq!(play.facts(), []);
    play.wait(Delay::from_ms(1));
    assert_eq!(play.facts(), [missed()]);
    play.wait(HOUR);
    assert_eq!(play.facts(), []);
    play.end(0, RunStatus::Succeeded);
    play.facts();
    play.play(1, RunStatus::Succeeded);
    assert_eq!((play.flow.outcome(), play.flow.exit_code()), (FlowOutcome::DeadlineMissed, Some(8)));
    assert!(play.flow.went_well());
    assert_eq!(play.flow.occasions(), [Occasion::Finish, Occasion::Failure]);
    assert_eq!(format!("{:?}", play.replayed()), format!("{:?}", play.flow));
}

#[test]
fn what_counts_is_when_the_last_step_ended() {
    let ended = |after: Delay| {
        let mut play = within_an_hour(vec![step("a", &[])]);
        play.start(0);
        play.wait(after);
        play.end(0, RunStatus::Succeeded);
        let facts = play.decide().facts;
        for fact in facts {
            play.record(fact);
        }
        // The process dies here, and the next one comes much later.
        play.wait(HOUR + HOUR);
        (play.facts(), play.flow.exit_code())
    };
    assert_eq!(ended(ALMOST), (vec![Event::FlowEnded { exit_code: 0 }], Some(0)));
    let (facts, exit_code) = ended(HOUR);
    assert_eq!((facts.as_slice(), exit_code), (&[Event::FlowEnded { exit_code: 8 }][..], Some(8)));
}

#[test]
fn the_exit_code_of_a_late_flow_is_the_first_that_fits() {
    let check = |status: RunStatus, allow_failure: bool, want: u8| {
        let mut play = within_an_hour(vec![Step { allow_failure, ..step("a", &[]) }]);
        play.start(0);
        play.wait(HOUR);
        play.facts();
        play.end(0, status);
        play.facts();
        assert_eq!(play.flow.exit_code(), Some(want));
    };
    check(RunStatus::Succeeded, false, 8);
    check(RunStatus::Failed, false, 1);
    check(RunStatus::Failed, true, 8);
    check(RunStatus::Cancelled, false, 8);
}

#[test]
fn a_flow_that_a_person_ends_has_no_deadline_any_more() {
    let mut play = within_an_hour(vec![step("a", &[])]);
    expect(&mut play, &[("a", 90)]);
    play.record(Event::CancelRequested);
    play.wait(HOUR + HOUR);
    let facts = play.facts();
    assert!(!facts.contains(&missed()), "{facts:?}");
    assert_eq!(play.flow.exit_code(), Some(7));
}

#[test]
fn a_flow_that_will_be_late_says_so_once() {
    let mut play = within_an_hour(chain());
    expect(&mut play, &[("a", 30), ("b", 20), ("handler", 600)]);
    assert_eq!(play.facts(), [], "fifty minutes are in time, and the handler is not needed");
    play.start(0);
    play.watch.begin(synflow::flow::watch::Chore::LookUp(StepIndex(0)), play.now);
    assert_eq!(play.decide().wake_at, Some(DAWN + minutes(40) + Delay::from_ms(1)));
    play.wait(minutes(40));
    assert_eq!(play.facts(), [], "twenty minutes are left for twenty minutes");
    play.wait(Delay::from_ms(1));
    let forecast = DAWN + HOUR + Delay::from_ms(1);
    assert_eq!(play.facts(), [Event::DeadlineAtRisk { deadline: DAWN + HOUR, forecast }]);
    assert!(wakes_by(&play.decide(), HOUR));
    play.wait(minutes(5));
    assert_eq!(play.facts(), []);
    // It makes good for it.
    play.end(0, RunStatus::Succeeded);
    play.facts();
    play.start(1);
    play.wait(minutes(10));
    play.end(1, RunStatus::Succeeded);
    play.facts();
    assert_eq!((play.flow.exit_code(), play.flow.is_late(play.now)), (Some(0), false));
    assert_eq!(format!("{:?}", play.replayed()), format!("{:?}", play.flow));
}

#[test]
fn a_flow_that_begins_too_late_says_so_at_once_and_its_passing_later() {
    let mut play = within_an_hour(chain());
    expect(&mut play, &[("a", 30), ("b", 50)]);
    let at_risk = Event::DeadlineAtRisk { deadline: DAWN + HOUR, forecast: DAWN + minutes(80) };
    assert_eq!(play.facts(), [at_risk]);
    play.start(0);
    play.wait(HOUR);
    assert_eq!(play.facts(), [missed()]);
}

#[test]
fn the_forecast_follows_what_is_left() {
    let mut play = within_an_hour(vec![
        Step { retry: tries(2), ..step("a", &[]) },
        step("b", &[0]),
        step("c", &[0]),
        step("d", &[1, 2]),
    ]);
    let durations: Durations = play
        .flow
        .steps()
        .zip([10, 5, 15, 1])
        .map(|((_, step, _), took)| ((step.id.clone(), step.pipeline.clone()), minutes(took)))
        .collect();
    let check = |play: &Play, forecast: &Forecast, want: u64| {
        assert_eq!(forecast.end(&play.flow, play.now), DAWN + minutes(want));
    };
    let forecast = Forecast::new(&play.flow, &durations).unwrap();
    check(&play, &forecast, 26);
    play.start(0);
    play.wait(minutes(4));
    check(&play, &forecast, 26);
    play.wait(minutes(10));
    check(&play, &forecast, 14 + 16);
    play.end(0, RunStatus::Failed);
    play.facts();
    // Its second attempt begins half a minute later.
    assert_eq!(forecast.end(&play.flow, play.now), DAWN + minutes(14 + 26) + Delay::from_secs(30));
    play.wait(minutes(1));
    play.play(0, RunStatus::Succeeded);
    play.start(1);
    play.start(2);
    check(&play, &forecast, 15 + 16);
    play.end(2, RunStatus::Succeeded);
    play.facts();
    check(&play, &forecast, 15 + 6);
    // Whoever takes the flow up now need not count what is over.
    assert_eq!(Forecast::new(&play.flow, &durations).unwrap().end(&play.flow, play.now), DAWN + minutes(21));
    assert_eq!(Forecast::new(&play.flow, &Durations::new()), None);
}

#[test]
fn history_is_the_median_of_what_went_well_by_the_services_clock() {
    let check = |took: &[u64], want: Option<u64>| {
        let took: Vec<Delay> = took.iter().map(|took| minutes(*took)).collect();
        assert_eq!(median(&took), want.map(minutes), "{took:?}");
    };
    check(&[], None);
    check(&[7], Some(7));
    check(&[9, 1, 5], Some(5));
    check(&[9, 1, 5, 7], Some(5));
    let many: Vec<u64> = (0..20).map(|_| 3).chain((0..40).map(|_| 90)).collect();
    check(&many, Some(3));

    let mut play = within_an_hour(vec![Step { retry: tries(2), ..step("a", &[]) }, step("b", &[])]);
    play.start(0);
    play.wait(minutes(1));
    play.end(0, RunStatus::Failed);
    play.facts();
    play.wait(minutes(1));
    play.start(0);
    play.start(1);
    play.wait(minutes(9));
    play.end(0, RunStatus::Succeeded);
    // Nobody was there when it ended; the service tells when.
    let run_start = Some(DAWN + minutes(3));
    let ended = synflow::flow::RunSeen {
        run_start,
        run_end: run_start.map(|start| start + minutes(4)),
        ..seen(play.run(1), RunStatus::Succeeded)
    };
    play.record(synflow::flow::observe::run_seen(&play.flow, StepIndex(1), &ended).unwrap());
    play.record(synflow::flow::observe::judged(
        &play.flow,
        StepIndex(1),
        &synflow::flow::RunActivities::default(),
    ));
    let mut all = std::collections::BTreeMap::new();
    gather(&play.flow, &mut all);
    let took: Vec<(&str, &[Delay])> = all.iter().map(|((id, _), took)| (id.as_str(), &took[..])).collect();
    assert_eq!(took, [("a", &[minutes(9)][..]), ("b", &[minutes(4)][..])]);
}

#[test]
fn a_resume_keeps_what_was_said() {
    let mut play = within_an_hour(vec![step("a", &[])]);
    play.start(0);
    play.wait(HOUR);
    play.facts();
    play.end(0, RunStatus::Failed);
    play.facts();
    assert_eq!(play.flow.exit_code(), Some(1));
    play.wait(HOUR);
    play.record(Event::Resumed {
        redo: vec![play.id(0)],
        trust: std::collections::BTreeMap::new(),
        definitions: std::collections::BTreeMap::new(),
    });
    assert_eq!(play.facts(), [], "it was said before");
    play.play(0, RunStatus::Succeeded);
    assert_eq!(play.flow.exit_code(), Some(8), "too late is too late");
}

/// Returns a flow of a plan that is written down.
fn written(deadline: &str) -> (Play, String) {
    let text = |deadline: &str| {
        format!("version: 1\nname: sketch\nworkspace: w\n{deadline}\nsteps: {{ a: {{}} }}\n")
    };
    let header = FlowHeader { plan_text: text(deadline), ..header("7f3a9c", "sketch", 4) };
    let mut play = Play::new(plan(4, vec![step("a", &[])]));
    play.flow = Flow::from_header(header).unwrap();
    (play, text("deadline: 3h"))
}

#[test]
fn an_edited_plan_may_have_another() {
    // Dawn is 22:13:20 UTC on 14 November 2023.
    let (mut play, edited) = written("deadline: \"23:30 Europe/Berlin\"");
    assert_eq!(play.flow.due().unwrap().at, "2023-11-14T22:30:00Z".parse().unwrap());
    play.start(0);
    play.wait(HOUR);
    assert_eq!(play.facts().len(), 1);
    let changed = |plan_text: String| Event::PlanChanged {
        plan_file: "sketch.yaml".to_owned(),
        plan_text,
        plan_sha256: String::new(),
        inputs: serde_json::Map::new(),
        env: std::collections::BTreeMap::new(),
        max_parallel: None,
        commit: None,
    };
    let same = play.flow.header().plan_text.clone();
    play.record(changed(same));
    assert_eq!(play.facts(), [], "the same one stays missed");
    assert!(play.flow.has_missed_deadline());
    play.record(changed(edited.clone()));
    assert_eq!(play.flow.due().unwrap().at, DAWN + HOUR + HOUR + HOUR);
    assert!(!play.flow.is_late(play.now));
    assert_eq!(play.facts(), []);
    play.record(changed(edited.replace("deadline: 3h", "")));
    assert_eq!(play.flow.due(), None);
    play.flow
        .clone()
        .apply(&synflow::flow::Recorded { seq: play.flow.last_seq() + 1, at: play.now, event: missed() })
        .unwrap_err();
}
