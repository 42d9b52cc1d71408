//! The rules of the scheduler, one by one: what is wanted when.

use serde_json::json;
use synflow::flow::decide::Effect;
use synflow::flow::watch::Chore;
use synflow::flow::{
    Event, FlowOutcome, HoldUp, Origin, Outcome, RunStatus, StartOutcome, StepState, held_up, observe,
};
use synflow::plan::{Backoff, Condition, EdgeRule, Retry, Step, StepIndex};
use synflow::time::Delay;

use crate::play::{
    DAWN, Play, activity, edge, four, not_sent, one, plan, refused, run_id, step, timed_out, tries, unclear,
};

/// Nothing starts.
const NONE: [usize; 0] = [];

/// Returns the positions of the steps that would start now, in order.
fn starts(play: &mut Play) -> Vec<usize> {
    let started = |effect: &Effect| match effect {
        Effect::Start { step, .. } => Some(step.0),
        _ => None,
    };
    play.effects().iter().filter_map(started).collect()
}

#[test]
fn all_that_is_ready_starts_at_once() {
    assert_eq!(starts(&mut Play::proven(plan(20, four()))), [0, 1, 2, 3]);
}

/// Its `concurrency` and a queue of 100 in real life, two here.
#[test]
fn no_more_runs_of_a_pipeline_are_started_than_the_service_has_room_for() {
    let crowded = |id| Step { pipeline: "crowded".to_owned(), ..step(id, &[]) };
    let mut play = Play::proven(plan(4, vec![crowded("a"), crowded("b"), crowded("c"), step("d", &[])]));
    play.flow.keep_to([((0, "crowded".to_owned()), 2)].into());
    assert_eq!(play.flow.capacity(StepIndex(0)), Some(2));
    assert_eq!(play.flow.capacity(StepIndex(3)), None);
    assert_eq!(starts(&mut play), [0, 1, 3], "the third waits, and holds up nobody else");
    for step in [0, 1, 3] {
        play.start(step);
    }
    assert_eq!(held_up(&play.flow, play.now), [(StepIndex(2), HoldUp::Queue)]);
    assert_eq!(play.flow.holdups(StepIndex(2), play.now), [HoldUp::Queue]);
    play.end(3, RunStatus::Succeeded);
    play.facts();
    assert_eq!(starts(&mut play), NONE, "that was another pipeline's");
    play.end(1, RunStatus::Succeeded);
    play.facts();
    assert_eq!(starts(&mut play), [2]);
}

/// `c` waits for `b`, and `d` for nothing.
#[test]
fn what_took_longest_in_earlier_flows_starts_first() {
    let mut play = Play::new(plan(1, vec![step("a", &[]), step("b", &[]), step("c", &[1]), step("d", &[])]));
    let starts = |play: &mut Play| match play.effects()[..] {
        [Effect::Start { step, .. }] => play.id(step.0).to_string(),
        ref other => panic!("one start was due: {other:?}"),
    };
    assert_eq!(starts(&mut play), "b", "without history two steps are more than one");
    let took = |play: &Play, step: usize, seconds| {
        ((play.id(step), play.flow.step(StepIndex(step)).pipeline.clone()), Delay::from_secs(seconds))
    };
    let durations = [took(&play, 0, 90), took(&play, 1, 10), took(&play, 2, 30)];
    play.flow.rank_by(&durations.into());
    assert_eq!(starts(&mut play), "a", "90 s are more than 10 s and 30 s");
    play.play(0, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), "b");
    let durations = [took(&play, 1, 10), took(&play, 2, 1)];
    play.flow.rank_by(&durations.into());
    assert_eq!(starts(&mut play), "b", "`d` is taken to be as long as most, 1 s");
    let durations = [took(&play, 1, 1), took(&play, 2, 1), took(&play, 3, 60)];
    play.flow.rank_by(&durations.into());
    assert_eq!(starts(&mut play), "d");
    play.flow.rank_by(&[].into());
    assert_eq!(starts(&mut play), "d", "without history the ranks stay");
}

#[test]
fn the_longest_remaining_path_starts_first_then_file_order() {
    let steps = vec![
        step("a", &[]),
        step("b", &[]),
        step("c", &[1]),
        step("d", &[]),
        step("e", &[3]),
        step("f", &[4]),
    ];
    assert_eq!(starts(&mut Play::proven(plan(20, steps.clone()))), [3, 1, 0]);
    assert_eq!(starts(&mut Play::proven(plan(2, steps))), [3, 1]);
}

#[test]
fn no_more_start_than_there_are_places() {
    let mut play = Play::proven(plan(2, four()));
    assert_eq!(starts(&mut play), [0, 1]);
    play.intend(0);
    assert_eq!(starts(&mut play), [1], "an intent holds a place");
    play.start(1);
    assert_eq!(starts(&mut play), NONE);
    play.see(1, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), NONE, "a run that ended holds its place until its activities were read");
    play.record(observe::judged(&play.flow, StepIndex(1), &synflow::flow::RunActivities::default()));
    assert_eq!(starts(&mut play), [2]);
}

#[test]
fn a_step_nobody_knows_the_end_of_keeps_its_place() {
    let mut play = Play::new(plan(2, four()));
    play.lose(0);
    assert_eq!(starts(&mut play), [1]);
    play.start(1);
    assert_eq!(starts(&mut play), NONE);
}

#[test]
fn a_retry_frees_its_place_while_it_waits_and_needs_one_to_start() {
    let mut steps = four();
    steps[0].retry = tries(2);
    let mut play = Play::new(plan(1, steps));
    play.play(0, RunStatus::Failed);
    assert_eq!(starts(&mut play), [1]);
    play.start(1);
    play.wait(Delay::from_secs(30));
    assert_eq!(starts(&mut play), NONE, "the retry is due, but the only place is taken");
    play.end(1, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), [0], "the retry goes before what stands after it in the file");
}

#[test]
fn a_downstream_starts_when_its_upstream_has_ended_and_not_before() {
    let mut play = Play::new(plan(20, vec![step("a", &[]), step("b", &[0])]));
    play.start(0);
    assert_eq!(starts(&mut play), NONE);
    play.see(0, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), NONE, "the run has ended, the attempt has not");
    play.record(observe::judged(&play.flow, StepIndex(0), &synflow::flow::RunActivities::default()));
    assert_eq!(*play.state(1), StepState::Waiting, "the attempt has ended, the step has not");
    assert_eq!(starts(&mut play), [1]);
}

#[test]
fn edges_are_judged_when_all_upstreams_have_ended() {
    let mut play = Play::new(plan(
        20,
        vec![
            step("a", &[]),
            step("b", &[]),
            Step {
                depends_on: vec![
                    edge(0, EdgeRule::AnyOf(vec![Condition::Failed])),
                    edge(1, EdgeRule::AnyOf(vec![Condition::Completed])),
                ],
                ..step("clean_up", &[])
            },
        ],
    ));
    play.start(1);
    play.play(0, RunStatus::Failed);
    assert_eq!(*play.state(2), StepState::Waiting, "a handler never runs beside the work it cleans up after");
    play.end(1, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), [2]);
}

/// Plays an upstream to this end and tells where a step with this edge on it is then.
#[test]
fn edges_release_bar_or_spare() {
    use Condition::{Completed, Failed, Skipped, Succeeded};
    let check = |status: RunStatus, allow_failure: bool, rule: EdgeRule, want: &str| {
        let text = format!("{status} {allow_failure} {rule:?}");
        let upstream = Step { allow_failure, ..step("a", &[]) };
        let downstream = Step { depends_on: vec![edge(0, rule)], ..step("b", &[]) };
        let mut play = Play::new(plan(20, vec![upstream, downstream]));
        play.play(0, status);
        let got = match play.state(1) {
            StepState::Ready => "starts".to_owned(),
            StepState::Ended { outcome } => format!("{outcome}: {}", play.flow.run(StepIndex(1)).reason),
            state => format!("{state:?}"),
        };
        assert_eq!(got, want, "{text}");
    };
    let any = |conditions: &[Condition]| EdgeRule::AnyOf(conditions.to_vec());
    check(RunStatus::Succeeded, false, EdgeRule::Bare, "starts");
    check(RunStatus::Failed, false, EdgeRule::Bare, "blocked: `a` ended failed");
    check(RunStatus::Failed, true, EdgeRule::Bare, "starts");
    check(RunStatus::Failed, true, any(&[Succeeded]), "blocked: `a` ended failed");
    check(RunStatus::Cancelled, false, any(&[Failed]), "starts");
    check(RunStatus::Succeeded, false, any(&[Failed]), "not_needed: `a` ended succeeded");
    check(RunStatus::Succeeded, false, any(&[Skipped, Failed]), "not_needed: `a` ended succeeded");
    check(RunStatus::Failed, false, any(&[Skipped, Completed]), "starts");
    check(RunStatus::Failed, false, any(&[Skipped]), "blocked: `a` ended failed");
}

#[test]
fn a_blocked_step_releases_the_handler_of_what_was_skipped() {
    let rule = EdgeRule::AnyOf(vec![Condition::Failed, Condition::Skipped]);
    let handler = Step { depends_on: vec![edge(1, rule)], ..step("on_error", &[]) };
    let mut play = Play::new(plan(20, vec![step("a", &[]), step("b", &[0]), handler, step("c", &[1])]));
    play.play(0, RunStatus::Failed);
    assert_eq!(*play.state(1), StepState::Ended { outcome: Outcome::Blocked });
    assert_eq!(*play.state(3), StepState::Ended { outcome: Outcome::Blocked });
    assert_eq!(starts(&mut play), [2]);
}

#[test]
fn retries_wait_as_the_plan_says_until_the_attempts_are_used_up() {
    let retry = Retry {
        max_attempts: 3,
        delay: Delay::from_secs(60),
        backoff: Backoff::Exponential,
        max_delay: Delay::from_secs(600),
        ..Retry::default()
    };
    let mut play = Play::new(plan(1, vec![Step { retry, ..step("a", &[]) }]));
    for (attempt, delay) in [(1, Delay::from_secs(60)), (2, Delay::from_secs(120))] {
        play.play(0, RunStatus::Failed);
        assert_eq!(*play.state(0), StepState::Retrying { at: play.now + delay }, "after attempt {attempt}");
        assert_eq!(play.decide().wake_at, Some(play.now + delay));
        play.wait(Delay::from_ms(delay.as_ms() - 1));
        assert_eq!(starts(&mut play), NONE);
        play.wait(Delay::from_ms(1));
        assert_eq!(starts(&mut play), [0]);
    }
    play.play(0, RunStatus::Failed);
    assert_eq!(*play.state(0), StepState::Ended { outcome: Outcome::Failed });
    assert_eq!(play.attempt(0), 3);
    assert_eq!(play.flow.exit_code(), Some(1));
}

#[test]
fn a_retry_that_succeeds_saves_the_step() {
    let mut play = Play::new(plan(1, vec![Step { retry: tries(2), ..step("a", &[]) }, step("b", &[0])]));
    play.play(0, RunStatus::Failed);
    assert_eq!(*play.state(1), StepState::Waiting);
    play.wait(Delay::from_secs(30));
    play.play(0, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), [1]);
}

#[test]
fn a_retry_sends_what_the_first_attempt_sent() {
    let mut play = Play::new(plan(1, vec![Step { retry: tries(2), ..step("a", &[]) }]));
    let parameters = json!({ "region": "emea", "rows": 3 }).as_object().unwrap().clone();
    let intent = Event::StartIntended {
        step: play.id(0),
        attempt: 1,
        run: run_id(9),
        parameters: parameters.clone(),
        secrets: Vec::new(),
        recovery: None,
    };
    play.record(intent);
    play.answer(0, StartOutcome::Started(run_id(9)));
    play.end(0, RunStatus::Failed);
    play.facts();
    play.wait(Delay::from_secs(30));
    assert_eq!(
        play.effects(),
        [Effect::Start { step: StepIndex(0), attempt: 2, parameters, secrets: Vec::new(), recovery: None }]
    );
}

#[test]
fn only_a_failed_run_is_tried_again() {
    let check = |end: fn(&mut Play), want: Outcome| {
        let mut play = Play::new(plan(1, vec![Step { retry: tries(5), ..step("a", &[]) }]));
        play.intend(0);
        end(&mut play);
        play.facts();
        assert_eq!(*play.state(0), StepState::Ended { outcome: want });
        assert_eq!(play.attempt(0), 1);
    };
    check(|play| play.answer(0, refused()), Outcome::Failed);
    check(
        |play| {
            play.answer(0, StartOutcome::Started(play.run(0)));
            play.end(0, RunStatus::Cancelled);
        },
        Outcome::Cancelled,
    );
    check(
        |play| {
            play.answer(0, StartOutcome::Started(play.run(0)));
            play.see(0, RunStatus::Succeeded);
            let activities = [activity("Copy", "Failed")];
            play.record(observe::judged(
                &play.flow,
                StepIndex(0),
                &synflow::flow::RunActivities::of(activities.to_vec()),
            ));
        },
        Outcome::Warned,
    );
}

#[test]
fn a_timeout_cancels_until_the_service_accepts_it() {
    let mut play = timed_out();
    let cancel = Effect::Cancel { step: StepIndex(0), run: play.run(0) };
    let chore = cancel.chore().unwrap();
    assert!(play.effects().contains(&cancel));
    play.watch.begin(chore, play.now);
    assert!(!play.effects().contains(&cancel), "it is under way");
    let pause = play.watch.failed(chore, &play.limits, play.now, None);
    play.wait(Delay::from_ms(pause.as_ms() - 1));
    assert!(!play.effects().contains(&cancel), "it rests");
    play.wait(Delay::from_ms(1));
    assert!(play.effects().contains(&cancel));
    play.record(observe::cancel_accepted(&play.flow, StepIndex(0), play.run(0)).unwrap());
    assert_eq!(observe::cancel_accepted(&play.flow, StepIndex(0), play.run(0)), None);
    play.watch.answered(chore, &play.limits, play.now);
    play.wait(Delay::from_secs(3_600));
    assert!(!play.effects().contains(&cancel), "once accepted it is not sent again");
    assert_eq!(*play.state(0), StepState::Running, "the service has not said that the run ended");
}

#[test]
fn a_cancel_that_is_accepted_after_the_end_tells_nothing_new() {
    let mut play = timed_out();
    let run = play.run(0);
    play.see(0, RunStatus::Succeeded);
    assert_eq!(observe::cancel_accepted(&play.flow, StepIndex(0), run), None);
}

#[test]
fn a_timeout_ends_with_the_services_last_word() {
    let check = |status: RunStatus, want: Outcome| {
        let mut play = timed_out();
        play.end(0, status);
        play.facts();
        assert_eq!(*play.state(0), StepState::Ended { outcome: want }, "and is not tried again");
    };
    check(RunStatus::Cancelled, Outcome::TimedOut);
    check(RunStatus::Failed, Outcome::TimedOut);
    check(RunStatus::Succeeded, Outcome::Succeeded);
}

#[test]
fn a_request_that_started_nothing_goes_again_with_the_same_id() {
    let mut play = one();
    let run = play.intend(0);
    play.answer(0, not_sent(Some(Delay::from_secs(90))));
    assert_eq!(play.effects(), []);
    assert_eq!(play.decide().wake_at, Some(DAWN + Delay::from_secs(90)), "the service named the time");
    play.wait(Delay::from_secs(90));
    assert_eq!(play.effects(), [Effect::SendAgain { step: StepIndex(0) }]);
    play.record(Event::StartResent { step: play.id(0), attempt: 1 });
    assert_eq!(play.effects(), []);
    assert_eq!(play.run(0), run);
    let attempt = play.flow.run(StepIndex(0)).last_attempt().unwrap();
    assert_eq!((attempt.number, attempt.sends), (1, 2));
}

#[test]
fn a_request_that_starts_nothing_rests_longer_each_time() {
    let mut play = one();
    play.intend(0);
    let mut rests = Vec::new();
    for _ in 0..6 {
        play.answer(0, not_sent(None));
        let StepState::NotSent { again_at } = *play.state(0) else { panic!("{:?}", play.state(0)) };
        rests.push(again_at.since(play.now).as_ms());
        play.now = again_at;
        play.record(Event::StartResent { step: play.id(0), attempt: 1 });
    }
    assert!(rests[0] <= 5_000, "{rests:?}");
    assert!(rests[0] < rests[2] && rests[2] < rests[4], "{rests:?}");
    assert!(rests.iter().all(|&rest| rest <= 60_000), "{rests:?}");
}

#[test]
fn an_unclear_start_is_adopted_when_it_is_found() {
    let mut play = one();
    play.intend(0);
    play.answer(0, unclear());
    play.see(0, RunStatus::InProgress);
    assert_eq!(*play.state(0), StepState::Running);
    assert!(play.flow.run(StepIndex(0)).last_attempt().unwrap().origin == Origin::Found);
    play.end(0, RunStatus::Succeeded);
    play.facts();
    assert_eq!(play.flow.exit_code(), Some(0));
}

#[test]
fn an_unclear_start_stays_open_while_the_questions_fail() {
    let mut play = one();
    play.intend(0);
    play.answer(0, unclear());
    for _ in 0..200 {
        play.watch.begin(Chore::LookUp(StepIndex(0)), play.now);
        let pause = play.watch.failed(Chore::LookUp(StepIndex(0)), &play.limits, play.now, None);
        play.wait(pause);
    }
    assert_eq!(play.facts(), [], "nobody has said that the run is not there");
}

#[test]
fn a_flow_waits_for_a_person_when_only_unknown_steps_are_left() {
    let mut play = Play::new(plan(20, vec![step("a", &[]), step("b", &[]), step("c", &[0])]));
    play.lose(0);
    assert!(!play.flow.waits_for_a_person(), "`b` can still run");
    play.start(1);
    assert!(!play.flow.waits_for_a_person(), "`b` is running");
    play.end(1, RunStatus::Succeeded);
    assert!(!play.flow.waits_for_a_person(), "`b` is about to end");
    play.facts();
    assert!(play.flow.waits_for_a_person());
    assert!(!play.flow.is_settled());
    assert_eq!(*play.state(2), StepState::Waiting, "an edge on an unknown step is neither met nor unmet");
    assert_eq!(play.flow.outcome(), FlowOutcome::Unknown);
    assert_eq!(play.decide().wake_at, None);
}

#[test]
fn a_flow_waits_for_a_person_when_unknown_steps_hold_every_place() {
    let mut play = Play::new(plan(1, four()));
    play.lose(0);
    assert!(play.flow.waits_for_a_person());
    assert_eq!(play.effects(), []);
}

#[test]
fn the_same_flow_gives_the_same_decisions() {
    let mut play = Play::new(plan(3, four()));
    play.start(0);
    play.lose(1);
    let twin = play.clone();
    assert_eq!(play.decide(), twin.decide());
    assert_eq!(play.decide(), play.decide());
}
