//! How `apply` is left: by signals, by a second one, and by a person who is asked.
#![cfg(unix)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::session::Session;
use crate::space::Said;
use crate::witness::{Stage, ran, runs_of_steps, signal, wait_until};

const SLOW: &str = "defaults: { duration: 60s, canceling: 300ms }\n";
const STEPS: &str = "steps:\n  one: {}\n  two: { depends_on: [one] }\n";

/// Signals end in two seconds; this also allows for a machine that does much else.
const SOON: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "how long a signal is obeyed is what is asked")]
fn timed<T>(leave: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let left = leave();
    (left, begun.elapsed())
}

fn leaves_soon(leave: impl FnOnce() -> Said) -> Said {
    let (said, took) = timed(leave);
    assert!(took < SOON, "{took:?}\n{}", said.stderr);
    said
}

#[test]
fn a_start_that_nobody_has_answered_does_not_hold_up_a_signal() {
    // The answer takes a minute; the run exists at once.
    let stage =
        Stage::new(&format!("{SLOW}faults: [{{ on: createRun, kind: slow, for: 60s, first: 1 }}]\n"), STEPS);
    let apply = stage.begin("apply PLAN");
    wait_until("the start has arrived", || ran(&stage.emulator).len() == 1);
    let said = leaves_soon(|| {
        signal(&apply, "TERM");
        Said::from(apply.wait_with_output().unwrap())
    });
    assert_eq!(said.code, 30, "{}", said.stderr);
    let id = stage.flow();
    assert_eq!(said.stderr.trim_end().lines().last().unwrap(), format!("next: synflow resume {id}"));
    let run = ran(&stage.emulator).into_keys().next().unwrap();
    assert!(said.stderr.contains(&run), "the run that may exist is named\n{}", said.stderr);

    let resume = stage.begin("resume");
    wait_until("the run is adopted", || {
        stage.space.run("status").stdout.contains(&run)
            && stage.space.status()["steps"][0]["state"] == "running"
    });
    signal(&resume, "INT");
    assert_eq!(resume.wait_with_output().unwrap().status.code(), Some(30));
    assert_eq!(ran(&stage.emulator).len(), 1, "it was not started again");
}

/// A start without an answer, a reader of stdout that has stalled, a report, the page of the job: one after the other, each with
/// a limit of its own, they would take two seconds and a half at least.
#[test]
fn all_that_is_slow_shares_the_time_that_a_signal_leaves() {
    let tries = (0..3).map(|_| {
        let more_than_a_pipe_takes = "# a line of a long plan\n".repeat(5_000);
        let stage = Stage::new(
            &format!("{SLOW}faults: [{{ on: createRun, kind: slow, for: 60s, first: 1 }}]\n"),
            &format!("{STEPS}{more_than_a_pipe_takes}"),
        );
        let report = stage.space.path("night.html");
        let mut apply = stage.command(&format!("apply PLAN --output jsonl --report {}", report.display()));
        apply.env("GITHUB_ACTIONS", "true").env("RUNNER_TEMP", stage.space.path(""));
        let mut apply = apply.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the start has arrived", || ran(&stage.emulator).len() == 1);
        let (ended, took) = timed(|| {
            signal(&apply, "TERM");
            apply.wait().unwrap()
        });
        assert_eq!(ended.code(), Some(30));
        assert!(report.exists(), "a report of a small flow is made meanwhile");
        assert!(stage.space.path(&format!("synflow-{}.md", stage.flow())).exists());
        took
    });
    // The machine may do much else, but hardly each time.
    let limit = Duration::from_millis(2_400);
    let took: Vec<Duration> = tries.collect();
    assert!(took.iter().any(|took| *took < limit), "{took:?}");
}

#[test]
fn a_second_signal_leaves_at_once_with_the_resume_command() {
    let stage =
        Stage::new(&format!("{SLOW}faults: [{{ on: createRun, kind: slow, for: 60s, first: 1 }}]\n"), STEPS);
    let apply = stage.begin("apply PLAN");
    wait_until("the start has arrived", || ran(&stage.emulator).len() == 1);
    signal(&apply, "INT");
    // The first one lets the start land for a moment and a half.
    std::thread::sleep(Duration::from_millis(400));
    signal(&apply, "INT");
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.stderr);
    let id = stage.flow();
    assert_eq!(said.stderr.trim_end().lines().last().unwrap(), format!("hint: synflow resume {id}"));
    let known = runs_of_steps(&stage.space.status());
    let run = ran(&stage.emulator).into_keys().next().unwrap();
    assert!(known["one"].contains(&run), "the journal knows the run that may exist: {known:?}");
}

/// `nohup` and a script's `&` have a process ignore signals, so that it outlives its terminal.
#[test]
fn a_signal_that_it_was_started_to_ignore_does_not_end_it() {
    let stage = Stage::new("defaults: { duration: 2s }\n", STEPS);
    let plain = stage.command("apply PLAN");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let command = command.current_dir(crate::space::root()).stderr(Stdio::piped());
    let apply = command.spawn().unwrap();
    wait_until("the run is accepted", || ran(&stage.emulator).len() == 1);
    signal(&apply, "HUP");
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 2, "it went on to the end");
}

fn at_a_terminal(stage: &Stage) -> Session {
    Session::begin(&stage.command("apply PLAN --progress lines"), (24, 100), &[])
}

const CTRL_C: &str = "\x03";

#[test]
fn at_a_terminal_ctrl_c_asks_before_anything_happens() {
    let stage = Stage::new(SLOW, STEPS);
    let mut session = at_a_terminal(&stage);
    wait_until("the run is accepted", || ran(&stage.emulator).len() == 1);
    session.types(CTRL_C);
    wait_until("it asks", || session.sees("`d` and Enter detaches"));
    session.types("\n");
    wait_until("it goes on", || session.sees("going on"));
    session.types(CTRL_C);
    wait_until("it asks again", || session.text().matches("`d` and Enter detaches").count() == 2);
    session.types("c\n");
    let code = session.wait();
    assert_eq!(code, 7, "{}", session.text());
    assert_eq!(stage.emulator.record()["runs"][0]["status"], "Cancelled");
}

#[test]
fn at_a_terminal_a_person_can_detach_or_leave_at_once() {
    let check = |keys: &[&str], want: u32, words: &str| {
        let stage = Stage::new(SLOW, STEPS);
        let mut session = at_a_terminal(&stage);
        wait_until("the run is accepted", || ran(&stage.emulator).len() == 1);
        for key in keys {
            session.types(key);
            wait_until("it asks", || session.sees("`d` and Enter detaches"));
        }
        let code = session.wait();
        assert_eq!(code, want, "{}", session.text());
        let last = format!("{words}synflow resume {}", stage.flow());
        wait_until("all was read", || session.sees(&last));
        assert!(ran(&stage.emulator).values().all(|run| run.ended_at.is_none()), "the run goes on");
    };
    check(&[CTRL_C, "d\n"], 30, "next: ");
    check(&[CTRL_C, CTRL_C], 130, "hint: ");
}

/// Nobody may be there any more to answer: a terminal that is closed tells it more than once.
#[test]
fn at_a_terminal_the_system_detaches_although_a_question_is_open() {
    for signals in [["TERM"].as_slice(), &["HUP", "HUP"]] {
        let stage = Stage::new(
            &format!("{SLOW}faults: [{{ on: createRun, kind: slow, for: 60s, first: 1 }}]\n"),
            STEPS,
        );
        let mut session = at_a_terminal(&stage);
        wait_until("the start has arrived", || ran(&stage.emulator).len() == 1);
        session.types(CTRL_C);
        wait_until("it asks", || session.sees("`d` and Enter detaches"));
        for name in signals {
            let sent =
                std::process::Command::new("kill").args(["-s", name, &session.pid().to_string()]).status();
            assert!(sent.unwrap().success());
            // It lets the start land for a moment and a half.
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(session.wait(), 30, "{signals:?}: {}", session.text());
        assert_eq!(stage.space.status()["flow"]["detached"], true, "{signals:?}: the journal says so");
    }
}
