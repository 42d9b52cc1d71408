//! How runs are watched to their end: look-ups, lists, sweeps, and the judgement of what ended.

use synflow::flow::decide::Effect;
use synflow::flow::forecast::Forecast;
use synflow::flow::policy::{
    ACTIVITY_READS_MAX, CHILD_READS_MAX, LATE_EVERY_BEATS, LIST_FAILURES_MAX, SWEEP_BEATS,
};
use synflow::flow::watch::{Chore, Coverage};
use synflow::flow::{
    ActivitySeen, Below, Event, Outcome, Recorded, RunActivities, RunSeen, RunStatus, StepState, observe,
};
use synflow::plan::{Step, StepIndex};
use synflow::time::{Delay, Timestamp};

use crate::play::{DAWN, Play, activity, four, one, plan, run_id, seen, step, tries};

#[test]
fn an_ended_run_is_judged_by_its_activities() {
    let check = |status: RunStatus, activities: &[ActivitySeen], want: Outcome, error: Option<&str>| {
        let mut play = one();
        play.start(0);
        play.see(0, status.clone());
        assert_eq!(
            play.effects(),
            [Effect::ReadActivities { step: StepIndex(0), run: play.run(0), below: Below::Failed }]
        );
        play.record(observe::judged(&play.flow, StepIndex(0), &RunActivities::of(activities.to_vec())));
        play.facts();
        assert_eq!(*play.state(0), StepState::Ended { outcome: want });
        let got = play.flow.run(StepIndex(0)).error().map(|error| error.message.as_str());
        assert_eq!(got, error, "{status}");
    };
    let copy = activity("Copy", "Failed");
    check(RunStatus::Succeeded, &[activity("Copy", "Succeeded")], Outcome::Succeeded, None);
    check(RunStatus::Succeeded, std::slice::from_ref(&copy), Outcome::Warned, Some("no such table"));
    check(RunStatus::Failed, &[], Outcome::Failed, Some("Synapse gave no reason"));
    let at = |seconds, activity: ActivitySeen| ActivitySeen {
        start: Some(DAWN + Delay::from_secs(seconds)),
        ..activity
    };
    let again = at(9, activity("Copy", "Succeeded"));
    check(RunStatus::Succeeded, &[at(1, copy.clone()), again.clone()], Outcome::Succeeded, None);
    let next_round = ActivitySeen { iteration: "2".to_owned(), ..again.clone() };
    check(RunStatus::Succeeded, &[at(1, copy.clone()), next_round], Outcome::Warned, Some("no such table"));
    check(RunStatus::Succeeded, &[at(99, copy.clone()), again], Outcome::Warned, Some("no such table"));
    check(RunStatus::Failed, &[activity("Look", "Succeeded"), copy], Outcome::Failed, Some("no such table"));
    check(
        RunStatus::Cancelled,
        &[],
        Outcome::Cancelled,
        Some("the run was cancelled in Synapse, not by synflow"),
    );
}

/// For whoever does not want to pay a request for each run to hear of those that only warn.
#[test]
fn a_status_that_is_trusted_needs_no_activities() {
    let settled = |status: RunStatus, change: fn(&mut Step)| {
        let mut a = step("a", &[]);
        change(&mut a);
        let mut play = Play::new(plan(1, vec![a]));
        play.limits.checks_successes = false;
        play.start(0);
        play.see(0, status);
        play.facts();
        (play.state(0).clone(), play.effects().len())
    };
    let succeeded = StepState::Ended { outcome: Outcome::Succeeded };
    assert_eq!(settled(RunStatus::Succeeded, |_| ()), (succeeded, 0));
    let reads = (StepState::Settling, 1);
    assert_eq!(settled(RunStatus::Succeeded, |step| step.strict = true), reads);
    assert_eq!(settled(RunStatus::Failed, |_| ()), reads, "what failed in it is wanted");
    let output = |step: &mut Step| {
        let yaml = b"version: 1\nname: x\nworkspace: w\nsteps: { a: { outputs: { rows: \"{{activities.Copy.output.rowsCopied}}\" } } }\n";
        step.outputs = synflow::plan::load(yaml, &synflow::plan::Given::default()).unwrap().plan.steps[0]
            .outputs
            .clone();
    };
    assert_eq!(settled(RunStatus::Succeeded, output), reads, "an output is read from them");
}

/// Lets the reading of a step's activities fail until its run is judged without them.
fn give_up_reading(play: &mut Play, step: usize) {
    let chore = Chore::ReadActivities(StepIndex(step));
    for failure in 0..ACTIVITY_READS_MAX {
        // In the end what the run itself tells must do.
        let below = if failure < CHILD_READS_MAX { Below::Failed } else { Below::Nothing };
        let read = Effect::ReadActivities { step: StepIndex(step), run: play.run(step), below };
        assert_eq!(play.effects(), [read], "after {failure} failures");
        play.watch.begin(chore, play.now);
        let pause = play.watch.failed(chore, &play.limits, play.now, None);
        play.wait(pause);
    }
    play.facts();
}

#[test]
fn activities_that_cannot_be_read_do_not_hold_a_step_for_ever() {
    let mut play = one();
    play.start(0);
    play.see(0, RunStatus::Succeeded);
    give_up_reading(&mut play, 0);
    assert_eq!(*play.state(0), StepState::Ended { outcome: Outcome::Succeeded });
}

#[test]
fn activities_are_read_again_for_each_attempt() {
    let mut play = Play::new(plan(1, vec![Step { retry: tries(2), ..step("a", &[]) }]));
    play.start(0);
    play.see(0, RunStatus::Failed);
    give_up_reading(&mut play, 0);
    play.wait(Delay::from_secs(30));
    play.start(0);
    play.see(0, RunStatus::Succeeded);
    assert_eq!(
        play.effects(),
        [Effect::ReadActivities { step: StepIndex(0), run: play.run(0), below: Below::Failed }]
    );
}

#[test]
fn a_single_run_is_looked_up_and_several_are_listed() {
    let mut steps = four();
    steps[2].workspace = 1;
    let mut play = Play::new(plan(3, steps));
    let run = play.start(0);
    assert!(play.effects().contains(&Effect::LookUp { step: StepIndex(0), run }));
    play.start(1);
    let of_two = play.start(2);
    let after = DAWN - Delay::from_secs(15 * 60);
    let query = Effect::Query { workspace: 0, after, coverage: Coverage::All };
    assert_eq!(play.effects(), [query, Effect::LookUp { step: StepIndex(2), run: of_two }]);
}

#[test]
fn a_workspace_is_asked_once_a_beat() {
    let mut play = Play::new(plan(4, four()));
    for step in 0..4 {
        play.start(step);
    }
    assert_eq!(play.effects().len(), 1);
    play.watch.begin(Chore::Query(0), play.now);
    assert_eq!(play.effects(), []);
    play.watch.answered(Chore::Query(0), &play.limits, play.now);
    assert_eq!(play.effects(), []);
    assert_eq!(play.decide().wake_at, Some(play.now + play.limits.beat));
    play.wait(play.limits.beat);
    assert_eq!(play.effects().len(), 1);
}

/// Answers the query that is wanted now and returns its window.
fn query(play: &mut Play, runs: &[(usize, Timestamp)]) -> (Timestamp, Coverage) {
    let effects = play.effects();
    let query = effects.iter().find_map(|effect| match *effect {
        Effect::Query { workspace: 0, after, coverage } => Some((after, coverage)),
        _ => None,
    });
    let (after, coverage) = query.unwrap_or_else(|| panic!("a query was due: {effects:?}"));
    let runs: Vec<_> = runs
        .iter()
        .map(|&(step, at)| {
            let run = seen(play.run(step), RunStatus::InProgress);
            RunSeen { last_updated: Some(at), ..run }
        })
        .collect();
    play.watch.begin(Chore::Query(0), play.now);
    play.watch.answered(Chore::Query(0), &play.limits, play.now);
    play.watch.listed(&play.flow, 0, coverage, play.now, &runs);
    for event in observe::runs_listed(&play.flow, &runs) {
        play.record(event);
    }
    play.wait(play.limits.beat);
    (after, coverage)
}

#[test]
fn lists_hold_what_changed_and_sweeps_hold_all() {
    let mut play = Play::new(plan(4, four()));
    play.start(0);
    play.start(1);
    play.wait(Delay::from_secs(60));
    let all = DAWN - Delay::from_secs(15 * 60);
    let changed = play.now;
    let both = [(0, changed), (1, DAWN)];
    assert_eq!(query(&mut play, &both), (all, Coverage::All), "the first list is a sweep");
    for beat in 1..SWEEP_BEATS {
        let (back, coverage) =
            if beat % LATE_EVERY_BEATS == 0 { (120, Coverage::Late) } else { (15, Coverage::Changed) };
        let want = (changed - Delay::from_secs(back), coverage);
        assert_eq!(query(&mut play, &[(0, changed)]), want, "what changed, with an overlap; beat {beat}");
    }
    assert_eq!(query(&mut play, &both), (all, Coverage::Live), "what ended is told by the lists of changes");
    assert_eq!(query(&mut play, &both).1, Coverage::Late);
    assert_eq!(query(&mut play, &both).1, Coverage::Changed);
}

#[test]
fn a_known_clock_of_the_service_narrows_the_first_list() {
    let ahead = Delay::from_secs(7_200);
    for (shown, want) in [
        (DAWN + ahead, DAWN + ahead - Delay::from_secs(60)),
        (DAWN - ahead, DAWN - ahead - Delay::from_secs(60)),
    ] {
        let mut play = Play::new(plan(4, four()));
        play.start(0);
        play.start(1);
        play.watch.note_clock(0, shown, DAWN);
        assert_eq!(query(&mut play, &[]), (want, Coverage::All));
    }
}

#[test]
fn what_has_not_changed_is_not_listed_for_ever() {
    let mut play = Play::new(plan(4, four()));
    play.start(0);
    play.start(1);
    let ahead = Delay::from_secs(3_600);
    let changed = DAWN + ahead;
    for _ in 0..SWEEP_BEATS {
        play.watch.note_clock(0, play.now + ahead, play.now);
        let asked_before = play.now - play.limits.beat;
        let (after, coverage) = query(&mut play, &[(0, changed), (1, changed)]);
        let back = match coverage {
            Coverage::Changed => 15,
            Coverage::Late => 120,
            Coverage::All | Coverage::Live => continue,
        };
        let heard = changed.max(asked_before + ahead - Delay::from_secs(60));
        let oldest = changed - Delay::from_secs(60);
        assert_eq!(after, oldest.max(heard - Delay::from_secs(back)), "{coverage:?} at {}", play.now);
    }
}

/// Returns for how long nobody asks for the step's run after an answer that told nothing new.
fn rest(play: &mut Play) -> Delay {
    let chore = Chore::LookUp(StepIndex(0));
    assert!(play.effects().iter().any(|effect| effect.chore() == Some(chore)));
    play.watch.begin(chore, play.now);
    play.watch.answered(chore, &play.limits, play.now);
    play.watch.looked_up(StepIndex(0), true, play.now);
    let wake_at = play.decide().wake_at.unwrap();
    assert!(play.effects().iter().all(|effect| effect.chore() != Some(chore)));
    wake_at.since(play.now)
}

#[test]
fn a_run_is_asked_for_less_while_its_end_is_far() {
    let mut play = one();
    let pipeline = play.flow.step(StepIndex(0)).pipeline.clone();
    let durations = [((play.id(0), pipeline), Delay::from_secs(3_600))];
    play.watch.expect(Forecast::new(&play.flow, &durations.into()));
    play.start(0);
    assert_eq!(rest(&mut play), play.limits.beat, "it is young");
    play.wait(Delay::from_secs(600));
    assert_eq!(rest(&mut play), Delay::from_secs(30));
    play.wait(Delay::from_secs(2_080));
    assert_eq!(rest(&mut play), Delay::from_secs(20), "until it may end");
    play.wait(Delay::from_secs(20));
    assert_eq!(rest(&mut play), play.limits.beat, "it may end now");
    play.wait(Delay::from_secs(3_600));
    assert_eq!(rest(&mut play), Delay::from_secs(60), "nobody knows any more");
    play.record(Event::StepCancelRequested { step: play.id(0) });
    play.facts();
    play.watch.forget(StepIndex(0));
    play.wait(Delay::from_secs(60));
    assert_eq!(rest(&mut play), play.limits.beat, "its end was asked for");
}

/// Returns what is wanted but starts.
fn questions(play: &mut Play) -> Vec<Effect> {
    play.effects().into_iter().filter(|effect| effect.chore().is_some()).collect()
}

#[test]
fn few_runs_among_many_of_others_are_looked_up() {
    let mut play = Play::new(plan(4, four()));
    play.start(0);
    play.start(1);
    query(&mut play, &[(0, DAWN), (1, DAWN)]);
    let of_others: Vec<RunSeen> = (100..301).map(|n| seen(run_id(n), RunStatus::InProgress)).collect();
    play.watch.begin(Chore::Query(0), play.now);
    play.watch.answered(Chore::Query(0), &play.limits, play.now);
    play.watch.listed(&play.flow, 0, Coverage::Changed, play.now, &of_others);
    play.wait(play.limits.beat);
    let wanted = questions(&mut play);
    assert!(wanted.iter().all(|effect| matches!(effect, Effect::LookUp { .. })), "{wanted:?}");
    assert_eq!(wanted.len(), 2);
    play.wait(Delay::from_secs(SWEEP_BEATS * 5));
    let wanted = questions(&mut play);
    assert!(matches!(wanted[..], [Effect::Query { .. }]), "the list is tried again: {wanted:?}");
    play.start(2);
    play.start(3);
    play.watch.begin(Chore::Query(0), play.now);
    play.watch.answered(Chore::Query(0), &play.limits, play.now);
    play.watch.listed(&play.flow, 0, Coverage::Changed, play.now, &of_others);
    play.wait(play.limits.beat);
    let wanted = questions(&mut play);
    assert!(matches!(wanted[..], [Effect::Query { .. }]), "three pages for four runs: {wanted:?}");
}

/// A list of many pages fails if one of them does, and one that is too long always: it must not hold up everything.
#[test]
fn where_a_list_keeps_failing_every_run_is_asked_for_by_its_id() {
    let mut play = Play::new(plan(4, four()));
    for step in 0..3 {
        play.start(step);
    }
    let list = Chore::Query(0);
    for failure in 0..LIST_FAILURES_MAX {
        let wanted = play.effects();
        assert!(wanted.iter().all(|effect| !matches!(effect, Effect::LookUp { .. })), "after {failure}");
        play.watch.begin(list, play.now);
        let pause = play.watch.failed(list, &play.limits, play.now, None);
        play.wait(pause);
    }
    let looked_up: Vec<StepIndex> = play
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::LookUp { step, .. } => Some(step),
            _ => None,
        })
        .collect();
    assert_eq!(looked_up, [0, 1, 2].map(StepIndex));
    play.watch.begin(list, play.now);
    play.watch.answered(list, &play.limits, play.now);
    assert!(play.effects().iter().all(|effect| !matches!(effect, Effect::LookUp { .. })), "the list is back");
}

#[test]
fn a_run_missing_from_a_sweep_is_looked_up() {
    let mut play = Play::new(plan(4, four()));
    play.start(0);
    let missing = play.start(1);
    query(&mut play, &[(0, DAWN)]);
    let look_up = Effect::LookUp { step: StepIndex(1), run: missing };
    assert!(play.effects().contains(&look_up));
    play.watch.looked_up(StepIndex(1), true, play.now);
    assert!(!play.effects().contains(&look_up), "it is there after all");
    query(&mut play, &[]);
    assert!(!play.effects().contains(&look_up), "a list of changes says nothing of what it does not hold");
}

#[test]
fn runs_of_others_and_of_earlier_attempts_are_passed_over() {
    let mut play = Play::new(plan(1, vec![Step { retry: tries(2), ..step("a", &[]) }]));
    let first = play.start(0);
    let others = [seen(run_id(99), RunStatus::Failed)];
    assert_eq!(observe::runs_listed(&play.flow, &others), []);
    play.end(0, RunStatus::Failed);
    play.facts();
    play.wait(Delay::from_secs(30));
    play.start(0);
    assert_eq!(observe::runs_listed(&play.flow, &[seen(first, RunStatus::Failed)]), []);
}

#[test]
fn an_answer_of_the_past_tells_nothing_new() {
    let mut play = one();
    play.start(0);
    play.see(0, RunStatus::InProgress);
    let again = seen(play.run(0), RunStatus::InProgress);
    assert_eq!(observe::run_seen(&play.flow, StepIndex(0), &again), None);
    play.see(0, RunStatus::Other("Provisioning".to_owned()));
    assert_eq!(*play.state(0), StepState::Running, "a word we do not know is no end");
    play.see(0, RunStatus::Succeeded);
    assert_eq!(observe::run_seen(&play.flow, StepIndex(0), &again), None);
}

/// Looks a running step's run up: it is not there.
fn miss(play: &mut Play) {
    let effects = play.effects();
    assert!(effects.contains(&Effect::LookUp { step: StepIndex(0), run: play.run(0) }), "{effects:?}");
    play.watch.begin(Chore::LookUp(StepIndex(0)), play.now);
    play.watch.answered(Chore::LookUp(StepIndex(0)), &play.limits, play.now);
    play.watch.looked_up(StepIndex(0), false, play.now);
}

#[test]
fn a_run_that_is_gone_for_good_needs_a_person() {
    let mut play = one();
    play.start(0);
    play.wait(Delay::from_secs(3_600));
    let gone_since = play.now;
    while play.now.since(gone_since) < play.limits.start_grace {
        miss(&mut play);
        assert_eq!(play.facts(), [], "it may come back");
        play.wait(play.limits.beat);
    }
    miss(&mut play);
    play.facts();
    assert_eq!(*play.state(0), StepState::Unknown);
}

#[test]
fn a_run_that_is_missed_now_and_then_is_not_gone() {
    let mut play = one();
    play.start(0);
    for _ in 0..100 {
        miss(&mut play);
        assert_eq!(play.facts(), []);
        play.wait(Delay::from_secs(30));
        play.watch.looked_up(StepIndex(0), true, play.now);
        play.wait(Delay::from_secs(30));
    }
}

#[test]
fn a_run_that_a_list_holds_is_there() {
    let mut play = Play::new(plan(2, four()));
    play.start(0);
    for _ in 0..20 {
        miss(&mut play);
        assert_eq!(play.facts(), []);
        play.wait(Delay::from_secs(30));
        let held = [seen(play.run(0), RunStatus::InProgress)];
        play.watch.listed(&play.flow, 0, Coverage::Changed, play.now, &held);
        play.wait(Delay::from_secs(30));
    }
}

#[test]
fn a_run_that_a_list_holds_twice_ends_once() {
    let mut play = one();
    play.start(0);
    let ended = seen(play.run(0), RunStatus::Succeeded);
    let events = observe::runs_listed(&play.flow, &[ended.clone(), ended]);
    assert_eq!(events.len(), 1, "{events:?}");
    play.record(events[0].clone());
    assert_eq!(*play.state(0), StepState::Settling);
}

#[test]
fn a_run_of_others_goes_on_when_its_step_is_cancelled() {
    let mut play = one();
    let (step, run) = (play.id(0), run_id(99));
    play.record(Event::RunAttached { step, attempt: 1, run, parameters: serde_json::Map::new() });
    play.record(Event::CancelRequested);
    play.facts();
    assert_eq!(*play.state(0), StepState::Ended { outcome: Outcome::Cancelled });
    let cancels = |recorded: &Recorded| matches!(recorded.event, Event::CancelIntended { .. });
    assert!(!play.events.iter().any(cancels), "it is not ours to cancel");
}
