//! What an event does to a flow: which may follow which, what they add up to, and that replay tells the same.

use std::fmt::Write as _;

use synflow::flow::{CancelReason, Event, Outcome, Recorded, Resolution, RunStatus, StepError};
use synflow::plan::{Retry, Step, StepId};
use synflow::time::Delay;

use crate::play::{DAWN, Play, four, not_sent, one, plan, run_id, step, timed_out, unclear};

#[test]
fn the_flow_ends_with_the_first_code_that_fits() {
    use RunStatus::{Cancelled, Failed, Succeeded};
    let check = |ends: &[RunStatus], allow_failure: bool, want: u8| {
        let steps = four().into_iter().zip(ends);
        let steps =
            steps.map(|(step, _)| Step { allow_failure, timeout: Some(Delay::from_secs(60)), ..step });
        let mut play = Play::new(plan(20, steps.collect()));
        for (step, status) in ends.iter().enumerate() {
            play.play(step, status.clone());
        }
        assert_eq!(play.flow.exit_code(), Some(want), "{ends:?}");
        assert!(play.flow.is_settled());
        assert_eq!(play.flow.ended_at(), Some(play.now));
    };
    check(&[Succeeded, Succeeded], false, 0);
    check(&[Succeeded, Failed, Cancelled], false, 1);
    check(&[Succeeded, Cancelled], false, 7);
    check(&[Failed, Cancelled], true, 0);
    let mut play = timed_out();
    play.end(0, Cancelled);
    play.facts();
    assert_eq!(play.flow.exit_code(), Some(8));
}

#[test]
fn counts_every_step_once() {
    let steps = vec![step("a", &[]), step("b", &[]), step("c", &[]), step("d", &[1]), step("e", &[2])];
    let mut play = Play::new(plan(20, steps));
    play.play(0, RunStatus::Succeeded);
    play.play(1, RunStatus::Failed);
    play.start(2);
    let counts = play.flow.counts();
    assert_eq!((counts.succeeded, counts.failed, counts.running, counts.waiting), (1, 1, 1, 1));
    assert_eq!((counts.total, counts.not_run, counts.unknown, counts.warned), (5, 1, 0, 0));
}

#[test]
fn replay_gives_the_same_flow() {
    let mut play = timed_out();
    play.record(Event::CancelAccepted { step: play.id(0), attempt: 1 });
    play.end(0, RunStatus::Cancelled);
    play.facts();
    play.record(Event::Detached);
    assert_eq!(format!("{:?}", play.replayed()), format!("{:?}", play.flow));
}

/// Every state of a step, with the way into it.
fn states() -> Vec<(&'static str, Play)> {
    let two = || {
        let retry = Retry { max_attempts: 2, ..Retry::default() };
        Play::new(plan(20, vec![Step { retry, ..step("a", &[]) }, step("b", &[0])]))
    };
    let with = |way: &dyn Fn(&mut Play)| {
        let mut play = two();
        way(&mut play);
        play
    };
    // `b` stands first where the state is that of a step with an upstream.
    let downstream = |way: &dyn Fn(&mut Play)| {
        let mut play = Play::new(plan(20, vec![step("a", &[1]), step("b", &[])]));
        way(&mut play);
        play
    };
    vec![
        ("waiting", downstream(&|_| ())),
        ("ready", two()),
        (
            "barred",
            downstream(&|play| {
                play.start(1);
                play.end(1, RunStatus::Failed);
                play.record(Event::StepEnded {
                    step: play.id(1),
                    outcome: Outcome::Failed,
                    reason: String::new(),
                });
            }),
        ),
        (
            "starting",
            with(&|play| {
                play.intend(0);
            }),
        ),
        (
            "not_sent",
            with(&|play| {
                play.intend(0);
                play.answer(0, not_sent(None));
            }),
        ),
        (
            "unclear",
            with(&|play| {
                play.intend(0);
                play.answer(0, unclear());
            }),
        ),
        (
            "running",
            with(&|play| {
                play.start(0);
            }),
        ),
        (
            "cancelling",
            with(&|play| {
                play.start(0);
                let reason = CancelReason::TimedOut;
                play.record(Event::CancelIntended { step: play.id(0), attempt: 1, reason });
            }),
        ),
        (
            "settling",
            with(&|play| {
                play.start(0);
                play.see(0, RunStatus::Failed);
            }),
        ),
        (
            "attempt_over",
            with(&|play| {
                play.start(0);
                play.end(0, RunStatus::Failed);
            }),
        ),
        ("retrying", with(&|play| play.play(0, RunStatus::Failed))),
        ("unknown", with(&|play| play.lose(0))),
        ("ended", with(&|play| play.play(0, RunStatus::Succeeded))),
    ]
}

/// Every event of a step, with a letter for the table.
fn events(play: &Play) -> Vec<(char, Event)> {
    let step = play.id(0);
    let newest = play.attempt(0);
    let run = run_id(1);
    let id = || step.clone();
    let reason = || "why".to_owned();
    let next = newest + 1;
    vec![
        (
            'i',
            Event::StartIntended {
                step: id(),
                attempt: next,
                run,
                parameters: serde_json::Map::new(),
                secrets: Vec::new(),
                recovery: None,
            },
        ),
        ('n', Event::StartNotSent { step: id(), attempt: newest, reason: reason(), again_at: DAWN }),
        ('s', Event::StartResent { step: id(), attempt: newest }),
        (
            'u',
            Event::StartUnclear { step: id(), attempt: newest, reason: reason(), refusal: None, other: None },
        ),
        ('x', Event::StartRefused { step: id(), attempt: newest, error: StepError::default() }),
        ('R', Event::RunStarted { step: id(), attempt: newest, run, adopted: false }),
        ('C', Event::RunChanged { step: id(), attempt: newest, status: RunStatus::Queued }),
        ('c', Event::CancelIntended { step: id(), attempt: newest, reason: CancelReason::TimedOut }),
        ('k', Event::CancelAccepted { step: id(), attempt: newest }),
        (
            'E',
            Event::RunEnded {
                step: id(),
                attempt: newest,
                status: RunStatus::Failed,
                message: String::new(),
                run_start: None,
                run_end: None,
                returned: None,
            },
        ),
        (
            'A',
            Event::AttemptEnded {
                step: id(),
                attempt: newest,
                outcome: Outcome::Failed,
                error: None,
                restart: None,
                outputs: None,
                activities: None,
            },
        ),
        (
            'U',
            Event::AttemptEnded {
                step: id(),
                attempt: newest,
                outcome: Outcome::Unknown,
                error: None,
                restart: None,
                outputs: None,
                activities: None,
            },
        ),
        ('r', Event::RetryScheduled { step: id(), attempt: next, at: DAWN }),
        ('S', Event::StepEnded { step: id(), outcome: Outcome::Failed, reason: reason() }),
        ('a', Event::RunAttached { step: id(), attempt: next, run, parameters: serde_json::Map::new() }),
        ('v', Event::Resolved { step: id(), attempt: newest, resolution: Resolution::GiveUp }),
        ('q', Event::StepCancelRequested { step: id() }),
        ('F', Event::FlowEnded { exit_code: 0 }),
        ('Q', Event::CancelRequested),
    ]
}

/// Applies an event to a copy; where it is refused, the copy must be as it was.
fn fits(play: &Play, seq: u64, event: Event) -> bool {
    let mut copy = play.flow.clone();
    let before = format!("{copy:?}");
    let recorded = Recorded { seq, at: play.now, event };
    let accepted = copy.apply(&recorded).is_ok();
    if accepted {
        copy.check();
    } else {
        assert_eq!(format!("{copy:?}"), before, "{recorded:?} was refused, yet it left a trace");
    }
    accepted
}

#[test]
fn only_these_events_fit_and_others_leave_no_trace() {
    let mut table = String::new();
    for (name, play) in states() {
        let seq = play.flow.last_seq() + 1;
        let fitting = events(&play).into_iter().filter(|(_, event)| fits(&play, seq, event.clone()));
        let letters: String = fitting.map(|(letter, _)| letter).collect();
        writeln!(table, "{}", format!("{name}: {letters}").trim_end()).unwrap();
    }
    insta::assert_snapshot!(table, @r"
    waiting: qQ
    ready: iSaqQ
    barred: SqQ
    starting: nuxRUqQ
    not_sent: sqQ
    unclear: sRUqQ
    running: CcEUqQ
    cancelling: CkEUqQ
    settling: AqQ
    attempt_over: rSqQ
    retrying: iSaqQ
    unknown: vqQ
    ended: Q
    ");
}

#[test]
fn events_out_of_order_of_other_attempts_and_of_other_plans_are_refused() {
    let mut play = one();
    play.start(0);
    let changed = |step: StepId, attempt| Event::RunChanged { step, attempt, status: RunStatus::InProgress };
    let next = play.flow.last_seq() + 1;
    let id = play.id(0);
    assert!(fits(&play, next, changed(id.clone(), 1)));
    assert!(!fits(&play, next + 1, changed(id.clone(), 1)));
    assert!(!fits(&play, next - 1, changed(id.clone(), 1)));
    assert!(!fits(&play, next, changed(id.clone(), 0)));
    assert!(!fits(&play, next, changed(id, 2)));
    assert!(!fits(&play, next, changed(StepId::new("elsewhere"), 1)));
}

#[test]
fn a_run_neither_ends_with_a_passing_word_nor_passes_with_a_final_one() {
    let mut play = one();
    play.start(0);
    let next = play.flow.last_seq() + 1;
    let step = play.id(0);
    assert!(!fits(
        &play,
        next,
        Event::RunChanged { step: step.clone(), attempt: 1, status: RunStatus::Failed }
    ));
    let ended = Event::RunEnded {
        step,
        attempt: 1,
        status: RunStatus::Other("Resting".to_owned()),
        message: String::new(),
        run_start: None,
        run_end: None,
        returned: None,
    };
    assert!(!fits(&play, next, ended));
}

#[test]
fn a_flow_ends_once_and_when_all_steps_have() {
    let mut play = one();
    let end = Event::FlowEnded { exit_code: 0 };
    assert!(!fits(&play, 1, end.clone()));
    play.start(0);
    play.end(0, RunStatus::Succeeded);
    assert!(!fits(&play, play.flow.last_seq() + 1, end.clone()));
    play.facts();
    assert!(play.flow.exit_code().is_some());
    assert!(!fits(&play, play.flow.last_seq() + 1, end));
}
