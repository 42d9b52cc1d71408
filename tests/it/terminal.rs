//! The real binary at a terminal: what is on the screen, what keys do, and what is left of it all at the end.
#![cfg(unix)]

use std::process::Command;

use crate::masks::masked;
use crate::session::Session;
use crate::space::TestSpace;
use crate::witness::{Stage, ran, wait_until};

const SLOW: &str = "defaults: { queued: 20ms, duration: 60s, canceling: 300ms }\n";
const STEPS: &str = "max_parallel: 1\nsteps:\n  one: {}\n  two: {}\n  three: { depends_on: [one] }\n";

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// Returns how many headers of the picture are on the screen.
fn headers(session: &Session) -> usize {
    session.lines().iter().filter(|line| line.contains(" done  ")).count()
}

/// A session in which one step runs for a minute, one waits for its place and one for the other.
fn busy(size: (u16, u16)) -> (Stage, Session) {
    let stage = Stage::new(SLOW, STEPS);
    let session = Session::begin(&stage.command("apply PLAN"), size, &[]);
    wait_until("it runs", || session.lines().iter().any(|line| line.contains("1 running  2 waiting")));
    (stage, session)
}

fn settled(session: &Session) {
    let before = session.text().len();
    wait_until("it was drawn again", || session.text().len() > before + 2_000);
}

#[test]
fn the_last_screen_is_what_happened_and_how_it_ended() {
    for columns in [60, 80, 200] {
        let space = TestSpace::new();
        let plan = space.write(
            "plan.yaml",
            "version: 1\nname: nightly-sales\nworkspace: contoso-dw\nsteps:\n  load: {}\n  \
             curate: { depends_on: [load] }\n  alarm: { depends_on: [{ curate: [failed] }] }\n",
        );
        let script = space.write(
            "script.yaml",
            "defaults: { queued: 10ms, duration: 400ms }\npipelines: { curate: { outcome: failed } }\n",
        );
        let words = format!("apply {} --emulate --script {} --beat 50ms", plan.display(), script.display());
        let mut session = Session::begin(&space.command(words.split(' ')), (24, columns), &[]);
        assert_eq!(session.wait(), 1, "{}", session.text());
        assert_eq!(headers(&session), 0, "the picture is away: {:#?}", session.lines());
        assert!(!session.screen().hide_cursor());
        let lines = masked(&session.lines().join("\n"));
        let (facts, end) = lines.split_once("\n\n").unwrap();
        match columns {
            60 => insta::assert_snapshot!(facts, @r"
            load   succeeded  in SPAN
            curate failed     after SPAN: Activity1: UserErrorEmulated:…
            alarm  succeeded  in SPAN
            "),
            80 => insta::assert_snapshot!(facts, @r"
            load   succeeded  in SPAN
            curate failed     after SPAN: Activity1: UserErrorEmulated: The activity failed…
            alarm  succeeded  in SPAN
            "),
            _ => insta::assert_snapshot!(facts, @r"
            load   succeeded  in SPAN
            curate failed     after SPAN: Activity1: UserErrorEmulated: The activity failed because the emulator's script says so.
            alarm  succeeded  in SPAN
            "),
        }
        assert!(end.starts_with("flow FLOW of nightly-sales (emulated) failed after SPAN\n"), "{end}");
        assert!(end.ends_with("\nnext: synflow status FLOW"), "{end}");
    }
}

#[test]
fn the_picture_follows_the_window() {
    let (_stage, session) = busy((24, 80));
    for (rows, columns) in [(24, 60), (24, 40), (8, 40), (8, 120), (24, 100)] {
        session.resize(rows, columns);
        settled(&session);
        let lines = session.lines();
        assert_eq!(headers(&session), 1, "{rows}x{columns}: {lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("  one ")).count(), 1, "{lines:#?}");
        assert!(lines.last().unwrap().contains("1 ready step waits for a place"), "{lines:#?}");
    }
}

#[test]
fn enter_shows_how_the_flow_stands() {
    let (stage, mut session) = busy((24, 80));
    for keys in ["\n", "t\n"] {
        let before = session.text().matches("UTC: ").count();
        session.types(keys);
        wait_until("it is shown", || session.text().matches("UTC: ").count() > before);
        settled(&session);
    }
    session.types("help\n");
    wait_until("it says what can be typed", || session.sees("Ctrl-C: detach or cancel"));
    settled(&session);
    let lines = session.lines();
    assert_eq!(headers(&session), 1, "{lines:#?}");
    let shown = lines.iter().filter(|line| line.starts_with("  three  ")).count();
    assert_eq!(shown, 2, "two snapshots: {lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("waits for one")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("waits for a place (max_parallel 1)")), "{lines:#?}");

    session.types(CTRL_C);
    wait_until("it asks", || session.sees("`d` and Enter detaches"));
    session.types("d\n");
    assert_eq!(session.wait(), 30, "{}", session.text());
    let last = format!("next: synflow resume {}", stage.flow());
    wait_until("all was read", || session.sees(&last));
    let lines = session.lines();
    assert_eq!(lines.last().unwrap(), &last);
    assert_eq!(headers(&session), 0, "the picture is away: {lines:#?}");
}

/// Starts a shell with job control at a terminal, which runs `script`; `"$@"` in it is synflow.
fn shell(stage: &Stage, words: &str, script: &str) -> Session {
    let plain = stage.command(words);
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &format!("set -m; {script}"), "bash"]);
    command.arg(plain.get_program()).args(plain.get_args());
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Session::begin(&command, (24, 80), &[])
}

#[test]
fn ctrl_z_clears_the_screen_and_the_terminal_is_as_before() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 2s }\n", "steps: { one: {} }\n");
    let script = "before=$(stty -g); \"$@\"; echo \"stopped $?\"; [ \"$before\" = \"$(stty -g)\" ] && echo same; \
                  fg >/dev/null; echo \"ended $?\"; [ \"$before\" = \"$(stty -g)\" ] && echo same again";
    let mut session = shell(&stage, "apply PLAN", script);
    wait_until("it runs", || headers(&session) == 1 && ran(&stage.emulator).len() == 1);
    session.types(CTRL_Z);
    wait_until("it is stopped", || session.sees("stopped 147"));
    wait_until("it has ended", || session.sees("same again"));
    session.wait();
    assert!(session.sees("ended 0"), "{}", session.text());
    assert!(session.sees("same\r\n"), "{}", session.text());
    let text = session.text();
    let stopped = text.find("stopped 147").unwrap();
    let (_, after) = text[..stopped].rsplit_once("\x1b[?2026l").unwrap();
    assert!(after.contains("\r\x1b[J"), "the picture is taken away before the shell speaks: {after:?}");
    assert_eq!(headers(&session), 0, "{:#?}", session.lines());
}

#[test]
fn in_the_background_nothing_stops_it_and_nothing_moves() {
    for (mode, shows) in [("stty -tostop", true), ("stty tostop", false)] {
        let stage = Stage::new("defaults: { queued: 20ms, duration: 1s }\n", "steps: { one: {} }\n");
        let script = format!("{mode}; \"$@\" & wait $!; echo \"ended $?\"");
        let mut session = shell(&stage, "apply PLAN", &script);
        // What is typed is for the shell.
        session.types("\n");
        wait_until("it has ended", || session.sees("ended "));
        session.wait();
        assert!(session.sees("ended 0"), "{mode}: {}", session.text());
        assert_eq!(session.sees("1 succeeded"), shows, "{mode}: {}", session.text());
        assert!(!session.sees("\x1b[?2026h"), "{mode}: {}", session.text());
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let stage = Stage::new(SLOW, STEPS);
    let script =
        "before=$(stty -g); \"$@\"; echo \"ended $?\"; [ \"$before\" = \"$(stty -g)\" ] && echo same";
    let mut session = shell(&stage, "apply PLAN", script);
    wait_until("it runs", || headers(&session) == 1 && ran(&stage.emulator).len() == 1);
    let shell = session.pid().to_string();
    let killed = Command::new("pkill").args(["-TERM", "-P", &shell]).status().unwrap();
    assert!(killed.success());
    wait_until("it has ended", || session.sees("ended "));
    session.wait();
    assert!(session.sees("ended 30"), "{}", session.text());
    wait_until("the mode was compared", || session.sees("same"));
    assert_eq!(headers(&session), 0, "{:#?}", session.lines());
    assert!(!session.screen().hide_cursor());
}

#[test]
fn extras_only_where_they_are_asked_for_and_never_for_an_emulated_flow() {
    let stage = Stage::new("defaults: { queued: 10ms, duration: 100ms }\n", "steps: { one: {} }\n");
    let run = |words: &str, env: &[(&str, &str)]| {
        let mut session = Session::begin(&stage.command(words), (24, 80), env);
        assert_eq!(session.wait(), 0, "{}", session.text());
        assert!(session.sees("1 succeeded"), "{}", session.text());
        session.text()
    };
    let windows = [("WT_SESSION", "1")];
    assert!(run("apply PLAN", &windows).contains("\x1b]9;4;0\x1b\\"), "the task bar is cleared");
    assert!(!run("apply PLAN", &[]).contains("\x1b]9;"));
    let emulated = run("apply examples/hello.yaml --emulate --beat 50ms", &windows);
    assert!(!emulated.contains("\x1b]"), "{emulated}");
    let ci = run("apply PLAN", &[("WT_SESSION", "1"), ("CI", "true")]);
    assert!(!ci.contains('\x1b'), "in CI there are lines: {ci}");
    assert!(ci.contains("one  started    run "), "{ci}");
}
