//! What follows an unclear start, where a workspace is known to take our ids for its runs and where it is not.

use synflow::flow::decide::Effect;
use synflow::flow::policy::SENDS_MAX;
use synflow::flow::{Event, Outcome, RunId, RunStatus, StartOutcome, StepState, Trust};
use synflow::plan::{Piece, Retry, SecretRef, SecretText, Step, StepIndex};
use synflow::time::Delay;

use crate::play::{Play, not_sent, plan, refused, run_id, seen, step, tries, unclear};

const B: StepIndex = StepIndex(1);

/// A flow of two steps in one workspace: the first has run, the second was just sent with an unclear answer.
/// `answered` is the id that the service gave the first run.
fn unclear_after(answered: impl Fn(RunId) -> RunId, retry: Retry) -> (Play, RunId) {
    let second = Step { retry, ..step("b", &[]) };
    let mut play = Play::new(plan(1, vec![step("a", &[]), second]));
    let first = play.intend(0);
    play.answer(0, StartOutcome::Started(answered(first)));
    play.end(0, RunStatus::Succeeded);
    play.facts();
    let run = play.intend(1);
    play.answer(1, unclear());
    (play, run)
}

/// Lets every look-up say that the run is not there and every search find nothing, until something else is wanted;
/// returns how long that took.
fn look_in_vain(play: &mut Play) -> Delay {
    look_and_find(play, &[])
}

/// Lets every look-up say that the run is not there, and every search find these runs.
fn look_and_find(play: &mut Play, found: &[RunId]) -> Delay {
    let begun = play.now;
    loop {
        let decision = play.decide();
        match decision.effects.as_slice() {
            [] if decision.facts.is_empty() => play.now = decision.wake_at.unwrap(),
            [Effect::LookUp { step, .. }] => {
                let chore = decision.effects[0].chore().unwrap();
                play.watch.begin(chore, play.now);
                play.watch.answered(chore, &play.limits, play.now);
                play.watch.looked_up(*step, false, play.now);
            }
            [Effect::Search { step, .. }] => {
                let chore = decision.effects[0].chore().unwrap();
                play.watch.begin(chore, play.now);
                play.watch.answered(chore, &play.limits, play.now);
                play.watch.searched(
                    *step,
                    found.iter().map(|&run| seen(run, RunStatus::InProgress)).collect(),
                    play.now,
                );
            }
            _ => return play.now.since(begun),
        }
    }
}

/// Sends the start of the second step again, as it is wanted now.
fn send_again(play: &mut Play) {
    assert_eq!(play.decide().effects, [Effect::SendAgain { step: B }]);
    play.record(Event::StartResent { step: play.id(1), attempt: 1 });
}

#[test]
fn a_proven_workspace_is_sent_the_same_id_again() {
    let (mut play, run) = unclear_after(|sent| sent, Retry::default());
    assert_eq!(play.flow.trust(0), Trust::Proven);
    assert_eq!(look_in_vain(&mut play), Delay::from_secs(30), "a quarter of the grace");
    send_again(&mut play);
    assert_eq!(play.run(1), run, "the same id");
    play.answer(1, StartOutcome::Started(run));
    assert_eq!(*play.state(1), StepState::Running);
    assert!(
        !play.watch.is_gone_for(B, Delay::ZERO, &play.limits),
        "that it was missed before says nothing now"
    );
}

#[test]
fn after_five_sends_a_person_must_look() {
    let (mut play, _) = unclear_after(|sent| sent, Retry::default());
    for _ in 1..SENDS_MAX {
        look_in_vain(&mut play);
        send_again(&mut play);
        play.answer(1, unclear());
    }
    assert_eq!(look_in_vain(&mut play), play.limits.start_grace, "the last look takes the whole grace");
    play.facts();
    assert_eq!(*play.state(1), StepState::Unknown);
}

#[test]
fn requests_that_were_never_sent_do_not_count_among_the_five() {
    let (mut play, _) = unclear_after(|sent| sent, Retry::default());
    for number in 2..=SENDS_MAX {
        look_in_vain(&mut play);
        send_again(&mut play);
        play.answer(1, not_sent(None));
        play.now = play.decide().wake_at.unwrap();
        send_again(&mut play);
        if number < SENDS_MAX {
            play.answer(1, unclear());
        }
    }
    let sends = play.flow.run(B).last_attempt().unwrap().sends;
    assert_eq!((play.state(1), sends), (&StepState::Starting, 2 * SENDS_MAX - 1));
}

#[test]
fn a_refusal_after_an_unclear_request_counts_once_nothing_is_found() {
    let (mut play, run) = unclear_after(|sent| sent, tries(3));
    look_in_vain(&mut play);
    send_again(&mut play);
    play.answer(1, refused());
    assert!(matches!(play.state(1), StepState::Unclear { .. }), "the first request may still land");
    let mut landed = play.clone();
    landed.see(1, RunStatus::Queued);
    assert_eq!((landed.state(1), landed.run(1)), (&StepState::Running, run));

    assert_eq!(look_in_vain(&mut play), play.limits.start_grace, "it may land late");
    play.facts();
    assert_eq!(*play.state(1), StepState::Ended { outcome: Outcome::Failed }, "refused, and not tried again");
    assert_eq!(play.flow.run(B).error().unwrap().message, "no such pipeline");
}

#[test]
fn another_id_after_an_unclear_request_needs_a_person() {
    let (mut play, run) = unclear_after(|sent| sent, Retry::default());
    look_in_vain(&mut play);
    send_again(&mut play);
    let other = run_id(99);
    play.answer(1, StartOutcome::Started(other));
    assert!(matches!(play.state(1), StepState::Unclear { .. }), "the first request may still land");
    assert_eq!(play.flow.trust(0), Trust::Disproven);
    let landed = run_id(98);
    assert_eq!(look_and_find(&mut play, &[other, landed]), play.limits.start_grace);
    play.facts();
    assert_eq!(*play.state(1), StepState::Unknown);
    let message = &play.flow.run(B).error().unwrap().message;
    for run in [run, other, landed] {
        assert!(message.contains(&run.to_string()), "{message}");
    }
}

#[test]
fn a_workspace_that_gives_ids_of_its_own_is_never_sent_a_start_again() {
    let (mut play, _) = unclear_after(|_| run_id(77), Retry::default());
    assert_eq!(play.flow.trust(0), Trust::Disproven);
    assert_eq!(look_in_vain(&mut play), play.limits.start_grace);
    play.facts();
    assert_eq!(*play.state(1), StepState::Unknown);
}

#[test]
fn a_run_found_by_its_id_proves_the_workspace() {
    let mut play = Play::new(plan(1, vec![step("a", &[])]));
    play.intend(0);
    play.answer(0, unclear());
    assert_eq!(play.flow.trust(0), Trust::NotProven);
    play.see(0, RunStatus::InProgress);
    assert_eq!(play.flow.trust(0), Trust::Proven);
}

/// A flow of one step in a workspace nobody knows, whose start was just answered unclearly.
fn unclear_at_first() -> (Play, RunId) {
    let mut play = Play::new(plan(2, vec![step("a", &[]), step("b", &[])]));
    let run = play.intend(0);
    play.answer(0, unclear());
    (play, run)
}

#[test]
fn where_nothing_is_proven_one_start_at_a_time_waits_for_its_answer() {
    let mut play = Play::new(plan(3, ["a", "b", "c"].map(|id| step(id, &[])).into()));
    let starts = |play: &mut Play| {
        let effects = play.effects();
        effects.iter().filter(|effect| matches!(effect, Effect::Start { .. })).count()
    };
    assert_eq!(starts(&mut play), 1);
    play.intend(0);
    assert_eq!(starts(&mut play), 0, "it waits for the answer");
    let mut unclear_first = play.clone();
    unclear_first.answer(0, unclear());
    assert_eq!(starts(&mut unclear_first), 1, "an unclear answer is an answer; the next may prove it");
    let run = play.run(0);
    play.answer(0, StartOutcome::Started(run));
    assert_eq!(starts(&mut play), 2, "proven: all that is ready starts");
}

#[test]
fn on_unproven_ground_nothing_found_means_the_same_id_again() {
    let (mut play, run) = unclear_at_first();
    let looked = look_in_vain_beside(&mut play);
    assert_eq!(looked, play.limits.start_grace);
    play.record(Event::StartResent { step: play.id(0), attempt: 1 });
    assert_eq!(play.run(0), run, "the same id");
}

/// Looks in vain in a flow whose other step wants to start all the while.
fn look_in_vain_beside(play: &mut Play) -> Delay {
    play.intend(1);
    play.answer(1, refused());
    play.facts();
    let looked = look_in_vain(play);
    assert_eq!(play.decide().effects, [Effect::SendAgain { step: StepIndex(0) }]);
    looked
}

#[test]
fn a_single_run_that_fits_is_adopted_and_proves_nothing() {
    let (mut play, _) = unclear_at_first();
    play.intend(1);
    play.answer(1, refused());
    play.facts();
    let found = run_id(55);
    look_and_find(&mut play, &[found]);
    play.facts();
    assert_eq!((play.state(0), play.run(0)), (&StepState::Running, found));
    assert_eq!(play.flow.trust(0), Trust::NotProven, "it may be somebody else's");
}

#[test]
fn several_runs_that_fit_need_a_person_who_sees_them() {
    let (mut play, _) = unclear_at_first();
    play.intend(1);
    play.answer(1, refused());
    play.facts();
    look_and_find(&mut play, &[run_id(55), run_id(56)]);
    play.facts();
    assert_eq!(*play.state(0), StepState::Unknown);
    let message = &play.flow.run(StepIndex(0)).error().unwrap().message;
    assert!(
        message.contains(&run_id(55).to_string()) && message.contains(&run_id(56).to_string()),
        "{message}"
    );
}

#[test]
fn a_run_of_another_attempt_is_no_candidate() {
    let (mut play, _) = unclear_after(|_| run_id(77), Retry::default());
    look_and_find(&mut play, &[run_id(77)]);
    play.facts();
    assert_eq!(*play.state(1), StepState::Unknown, "nothing was found, and it is never sent again here");
}

#[test]
fn a_run_that_two_starts_may_have_made_needs_a_person() {
    let twin = |id: &str| Step { pipeline: "pl_same".to_owned(), ..step(id, &[]) };
    let mut play = Play::new(plan(2, vec![twin("a"), twin("b")]));
    for step in [0, 1] {
        play.intend(step);
        play.answer(step, unclear());
    }
    let (limits, found) = (play.limits, seen(run_id(55), RunStatus::InProgress));
    for _ in 0..40 {
        for step in [0, 1].map(StepIndex) {
            play.watch.looked_up(step, false, play.now);
        }
        play.wait(limits.beat);
    }
    for step in [0, 1].map(StepIndex) {
        play.watch.searched(step, vec![found.clone()], play.now);
    }
    play.facts();
    assert_eq!([play.state(0), play.state(1)], [&StepState::Unknown, &StepState::Unknown]);
}

#[test]
fn a_start_that_a_person_must_look_at_may_have_made_the_run_as_well() {
    let twin = |id: &str| Step { pipeline: "pl_same".to_owned(), ..step(id, &[]) };
    let mut play = Play::new(plan(2, vec![twin("a"), twin("b")]));
    play.lose(0);
    play.intend(1);
    play.answer(1, unclear());
    for _ in 0..40 {
        play.watch.looked_up(B, false, play.now);
        play.wait(play.limits.beat);
    }
    play.watch.searched(B, vec![seen(run_id(55), RunStatus::InProgress)], play.now);
    play.facts();
    assert_eq!(*play.state(1), StepState::Unknown, "the only run that fits may be the other step's");
}

#[test]
fn a_clock_put_forward_does_not_end_the_look() {
    let (mut play, _) = unclear_after(|sent| sent, Retry::default());
    play.wait(Delay::from_secs(3600));
    play.watch.looked_up(B, false, play.now);
    play.wait(play.limits.beat);
    assert_eq!(
        play.decide().effects,
        [Effect::LookUp { step: B, run: play.run(1) }],
        "one look is not enough"
    );
}

#[test]
fn a_run_that_is_alike_but_for_secrets_is_left_to_a_person() {
    let mut play = Play::new(plan(1, vec![step("a", &[])]));
    let secret = SecretRef::parse("env:KEY").unwrap();
    let secrets = vec![SecretText { at: "/key".to_owned(), pieces: vec![Piece::Secret(secret)] }];
    let parameters = serde_json::json!({ "key": secrets[0].shown() }).as_object().unwrap().clone();
    let (step, run) = (play.id(0), run_id(1));
    play.record(Event::StartIntended { step, attempt: 1, run, parameters, secrets, recovery: None });
    play.answer(0, unclear());
    look_and_find(&mut play, &[run_id(77)]);
    let facts = play.facts();
    let [Event::AttemptEnded { outcome: Outcome::Unknown, error: Some(error), .. }] = facts.as_slice() else {
        panic!("{facts:?}")
    };
    assert!(error.message.contains("secrets, which cannot be compared"), "{error:?}");
}
