//! What follows an unclear start, where a workspace is known to take our ids for its runs and where it is not.

use synflow::flow::decide::Effect;
use synflow::flow::policy::SENDS_MAX;
use synflow::flow::{Event, Outcome, RunId, RunStatus, StartOutcome, StepState, Trust};
use synflow::plan::{Retry, Step, StepIndex};
use synflow::time::Delay;

use crate::play::{Play, plan, refused, run_id, step, tries, unclear};

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

/// Lets every look-up say that the run is not there, until something else is wanted; returns how long that took.
fn look_in_vain(play: &mut Play) -> Delay {
    let begun = play.now;
    loop {
        let decision = play.decide();
        match decision.effects.as_slice() {
            [] if decision.facts.is_empty() => play.now = decision.wake_at.unwrap(),
            [Effect::LookUp { step, .. }] => {
                let chore = decision.effects[0].chore().unwrap();
                play.watch.begin(chore);
                play.watch.answered(chore, &play.limits, play.now);
                play.watch.looked_up(*step, false, play.now);
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
    assert!(!play.watch.is_gone_for(B, Delay::ZERO), "that it was missed before says nothing now");
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
    assert_eq!(*play.state(1), StepState::Unknown);
    let message = &play.flow.run(B).error().unwrap().message;
    assert!(message.contains(&run.to_string()) && message.contains(&other.to_string()), "{message}");
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
