//! The bars, drawn into an emulated terminal: what a person sees at different sizes.

use std::collections::BTreeMap;

use synflow::flow::{Event, RunStatus};
use synflow::plan::{IfRunning, Pool, StepId, StepIndex};
use synflow::report::{Expected, Ground, Links, Look, Report, Studio, Telling};
use synflow::time::Delay;

use crate::canvas::{Screen, Show, busy, named};

fn plain() -> Look {
    Look::default()
}

fn coloured() -> Look {
    Look { colour: true, ..Look::default() }
}

#[test]
fn says_what_each_step_does_or_waits_for() {
    let screen = Screen::new(24, 80);
    let show = busy(&screen, plain());
    insta::assert_snapshot!(show.screen.lines().join("\n"), @r"
    unclear                    unclear    the start may have arrived (502 Bad Gatew…
    not_sent                   not sent   sending the start again in 5s: 429 Too Ma…
    retrying                   retry      attempt 2 of 2 in 30s; attempt 1 failed: …
    load                       succeeded  in 1m05s
    nightly-sales  ██░░░░░░░░░░░░░░  1/8 done  0 failed  6 running  1 waiting  1m07s
      curate                       1m07s  Copy_Final
      queued                       1m07s  queued in Synapse
      unclear                      1m07s  start unclear (502 Bad Gateway␛[2J), look…
      not_sent                        2s  sending the start again in 3s: 429 Too Ma…
      retrying                        2s  attempt 2 in 28s: Copy_2: 2200: deadlock
      starting                        2s  waiting for Synapse to answer the start
      数据仓库的一个很长很长的…       2s  复制数据 with a name that is longer than …
    ");
    assert!(!screen.written().contains("\x1b[2J"), "an error text cleared the screen");
    assert!(!screen.written().contains("\x1b[3"), "colour although none was wanted");
}

#[test]
fn fits_any_width() {
    for columns in [1, 10, 40, 60, 80, 200] {
        let screen = Screen::new(24, columns);
        let mut show = busy(&screen, coloured());
        for _ in 0..20 {
            show.wait(500);
        }
        let lines = screen.lines();
        // A line that wrapped would leave old pictures behind: each thing stands there once.
        let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        if columns >= 60 {
            assert_eq!(count("1/8 done"), 1, "{columns} columns: {lines:#?}");
            assert_eq!(count("Copy_Final"), 1, "{columns} columns: {lines:#?}");
            assert_eq!(count("attempt 2 in"), 1, "{columns} columns: {lines:#?}");
            assert!(count("░") == 1, "{columns} columns: {lines:#?}");
        }
        assert!(lines.len() <= 12, "{columns} columns: {lines:#?}");
    }
}

#[test]
fn shows_the_eldest_eight_of_five_hundred() {
    for (rows, columns, shown) in [(24, 60, 8), (24, 80, 8), (50, 200, 8), (6, 80, 3), (3, 80, 0), (1, 80, 0)]
    {
        let screen = Screen::new(rows, columns);
        let names: Vec<String> = (0..600).map(|number| format!("step_{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut show = Show::new(&screen, coloured(), &named(&names));
        for step in 0..500 {
            show.now = show.now + Delay::from_ms(1);
            show.start(step);
        }
        for _ in 0..20 {
            show.wait(1_000);
        }
        let lines = screen.lines();
        assert!(lines[0].contains("500 running  100 waiting"), "{lines:#?}");
        let steps: Vec<&String> = lines.iter().filter(|line| line.starts_with("  step_")).collect();
        assert_eq!(steps.len(), shown, "{rows} rows: {lines:#?}");
        for (at, line) in steps.iter().enumerate() {
            assert!(line.starts_with(&format!("  step_{at:03}")), "{lines:#?}");
        }
        let more =
            lines.iter().filter(|line| line.contains(&format!("... and {} more", 500 - shown))).count();
        assert_eq!(more, usize::from(rows > 2), "{rows} rows: {lines:#?}");
        assert!(lines.len() <= usize::from(rows), "{lines:#?}");
        assert_eq!(show.bars.watched(&show.flow).len(), shown);
    }
}

#[test]
fn finished_steps_scroll_away_in_order() {
    let screen = Screen::new(10, 80);
    let names: Vec<String> = (0..30).map(|number| format!("step_{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut show = Show::new(&screen, plain(), &named(&names));
    (0..30).for_each(|step| show.start(step));
    for step in 0..30 {
        show.wait(100);
        show.end(step, (step == 7).then_some("line one\nline two"));
    }
    show.record(Event::FlowEnded { exit_code: 1 });
    let before = screen.writes();
    show.bars.finish(show.now, &show.flow);
    assert!(screen.writes() > before);
    let mut tall = vt100::Parser::new(80, 80, 0);
    tall.process(screen.written().as_bytes());
    let all = tall.screen().contents();
    let ended: Vec<&str> = all.lines().filter(|line| line.starts_with("step_")).collect();
    assert_eq!(ended.len(), 30, "{all}");
    for (at, line) in ended.iter().enumerate() {
        assert!(line.starts_with(&format!("step_{at:03}")), "{all}");
    }
    assert_eq!(ended[7], "step_007 failed     after 0.8s: Copy_2: 2200: line one line two");
    assert!(!all.contains("30/30 done"), "the bars were left behind:\n{all}");
    assert!(all.contains("flow 7f3a9c of nightly-sales failed after 3.0s"), "{all}");
}

#[test]
fn draws_at_most_once_a_tick() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, plain());
    let before = screen.writes();
    for _ in 0..10 {
        show.bars.tick(show.now, &show.flow);
        show.bars.note(show.now, "the service is slow");
    }
    assert_eq!(screen.writes(), before, "a tick too soon draws nothing");
    for _ in 0..10 {
        show.wait(100);
    }
    assert_eq!(screen.writes(), before + 10);
    let lines = screen.lines();
    assert_eq!(lines.iter().filter(|line| *line == "note: the service is slow").count(), 10, "{lines:#?}");
}

/// Draws a busy flow, resizes its terminal in these steps, and returns what it shows then.
fn resized(resize: fn(&Screen, u16, u16), sizes: &[(u16, u16)]) -> Vec<String> {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, plain());
    for &(rows, columns) in sizes {
        resize(&screen, rows, columns);
        show.wait(100);
    }
    screen.lines()
}

#[test]
fn a_resize_leaves_nothing_stale_behind() {
    for resize in [Screen::resize as fn(&Screen, u16, u16), Screen::rewrap] {
        for sizes in [
            &[(24, 60)][..],
            &[(24, 40)],
            &[(24, 70), (24, 50), (24, 30)],
            &[(24, 200)],
            &[(24, 50), (24, 120)],
            &[(16, 80)],
            &[(16, 61), (24, 80)],
        ] {
            let lines = resized(resize, sizes);
            let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
            assert_eq!(count("1/8 done"), 1, "{sizes:?}: {lines:#?}");
            for id in ["curate", "queued", "starting"] {
                let rows = lines.iter().filter(|line| line.starts_with(&format!("  {id} "))).count();
                assert_eq!(rows, 1, "{id}, {sizes:?}: {lines:#?}");
            }
            // What has happened stays, wrapped or cut as the terminal does it.
            assert_eq!(count("load "), 1, "{sizes:?}: {lines:#?}");
            let header = lines.iter().position(|line| line.contains("1/8 done")).unwrap();
            assert_eq!(lines.len(), header + 8, "{sizes:?}: {lines:#?}");
        }
    }
}

#[test]
fn follows_a_resize() {
    let lines = resized(Screen::resize, &[(24, 200)]);
    assert!(lines.iter().any(|line| line.contains("in one line of eighty columns")), "{lines:#?}");
    let screen = Screen::new(24, 80);
    let show = busy(&screen, plain());
    screen.resize(6, 200);
    assert_eq!(show.bars.watched(&show.flow), [StepIndex(1)]);
}

#[test]
fn an_enter_that_the_terminal_shows_moves_nothing() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, plain());
    let before = screen.lines();
    // The terminal shows what is typed; a redraw may come before the line is read.
    for redraws in [false, true, false] {
        screen.echo("t\r\n");
        if redraws {
            show.wait(100);
        }
        show.bars.typed();
        show.wait(100);
        assert_eq!(screen.lines().len(), before.len(), "{:#?}", screen.lines());
        assert_eq!(screen.lines()[..4], before[..4]);
    }
}

#[test]
fn a_snapshot_says_what_waits_for_what() {
    let screen = Screen::new(40, 80);
    let steps = |names: &[(&str, &[usize])]| -> Vec<(String, Vec<usize>)> {
        names.iter().map(|(name, upstreams)| ((*name).to_owned(), upstreams.to_vec())).collect()
    };
    let steps = steps(&[
        ("load", &[]),
        ("copy", &[]),
        ("big", &[]),
        ("beside", &[]),
        ("queued_here", &[]),
        ("curate", &[0, 1]),
        ("publish", &[5]),
    ]);
    let mut show = Show::with(&screen, plain(), Expected::default(), &steps, |plan| {
        plan.pools = vec![Pool { name: "dedicated_sql".to_owned(), size: 2 }];
        plan.steps[0].pools = vec![(0, 1)];
        plan.steps[2].pools = vec![(0, 2)];
        plan.steps[3].if_running = IfRunning::Wait;
        plan.max_parallel = 4;
    });
    show.start(0);
    show.start(1);
    show.status(1, RunStatus::InProgress);
    show.activity(1, "Copy_Final");
    show.wait(75_000);
    show.bars.snapshot(show.now, &show.flow);
    insta::assert_snapshot!(screen.lines().join("\n"), @r"
    flow 7f3a9c at 12:01:15 UTC: 0/7 done, 2 running, 5 waiting
      load  1m15s  running, run 00000000-0000-0000-0000-000000000001
      copy  1m15s  Copy_Final, run 00000000-0000-0000-0000-000000000002
      big          waits for pool dedicated_sql (size 2)
      beside       looks whether pl_beside runs already (if_running: wait)
      queued_here  starts now
      curate       waits for load, copy
      publish      waits for curate
    nightly-sales  ░░░░░░░░░░░░░░░░  0/7 done  0 failed  2 running  5 waiting  1m15s
      load   1m15s
      copy   1m15s  Copy_Final
      1 ready step waits for pool dedicated_sql (size 2)
      beside looks whether pl_beside runs already (if_running: wait)
    ");
}

#[test]
fn what_is_usual_and_what_is_slow_is_said() {
    for columns in [60, 80, 200] {
        let screen = Screen::new(24, columns);
        let took = |id: &str, seconds: u64| {
            ((StepId::new(id), format!("pl_{id}")), vec![Delay::from_secs(seconds); 3])
        };
        let known: BTreeMap<_, _> = [took("curate", 1860), took("load", 3600), took("publish", 600)].into();
        let steps = [("curate", vec![]), ("load", vec![]), ("queued", vec![]), ("publish", vec![0, 1])];
        let steps = steps.map(|(id, upstreams)| (id.to_owned(), upstreams));
        let mut show =
            Show::with(&screen, plain(), Expected::of(&known), &steps, |plan| plan.max_parallel = 2);
        show.start(0);
        show.status(0, RunStatus::InProgress);
        show.activity(0, "Copy_Final");
        show.start(1);
        show.status(1, RunStatus::InProgress);
        show.wait(48 * 60_000);
        match columns {
            60 => insta::assert_snapshot!(screen.lines().join("\n"), @r"
            0/4 done  0 failed  2 running  2 waiting  48m00s  >22m left
              curate  48m00s  SLOW, usually 31m  Copy_Final
              load    48m00s
              1 ready step waits for a place (max_parallel 2)
            "),
            80 => insta::assert_snapshot!(screen.lines().join("\n"), @r"
            ░░░░░░░░░░░░░░░░░░░  0/4 done  0 failed  2 running  2 waiting  48m00s  >22m left
              curate  48m00s  SLOW, usually 31m  Copy_Final
              load    48m00s  usually 1h00m
              1 ready step waits for a place (max_parallel 2)
            "),
            _ => insta::assert_snapshot!(screen.lines().join("\n"), @r"
            nightly-sales  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/4 done  0 failed  2 running  2 waiting  48m00s  >22m left
              curate  48m00s  SLOW, usually 31m  Copy_Final
              load    48m00s  usually 1h00m
              1 ready step waits for a place (max_parallel 2)
            "),
        }
    }
}

#[test]
fn a_question_stands_still_until_it_is_answered() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, plain());
    show.bars.ask(show.now, &["Ctrl-C: really?"]);
    let asked = screen.lines();
    assert_eq!(asked[asked.len() - 2..], ["Ctrl-C: really?", ">"], "{asked:#?}");
    for _ in 0..5 {
        show.wait(1_000);
    }
    assert_eq!(screen.lines(), asked, "nothing moves while a person types");
    screen.echo("no\r\n");
    show.bars.typed();
    show.bars.note(show.now, "going on");
    show.wait(100);
    let lines = screen.lines();
    let at = lines.iter().position(|line| line == "> no").unwrap();
    assert_eq!(lines[at + 1], "note: going on", "{lines:#?}");
    assert!(lines[at + 2].contains("1/8 done"), "{lines:#?}");

    // One who has gone away is not waited for.
    show.bars.ask(show.now, &["Ctrl-C: really?"]);
    show.wait(31_000);
    assert!(screen.lines().iter().any(|line| line.contains("1/8 done")), "{:#?}", screen.lines());
}

#[test]
fn in_the_background_nothing_moves_and_nothing_is_lost() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, plain());
    show.bars.pause(show.now);
    let before = screen.lines();
    assert_eq!(
        before.last().unwrap(),
        "load                       succeeded  in 1m05s",
        "the picture is away"
    );
    screen.put_on(Ground::Back);
    show.wait(2_000);
    show.end(1, None);
    show.wait(2_000);
    let lines = screen.lines();
    assert_eq!(lines[..before.len()], before);
    assert_eq!(lines[before.len()..], ["curate                     succeeded  in 1m09s"], "{lines:#?}");
    // `stty tostop`: whoever writes from there is stopped.
    screen.put_on(Ground::Barred);
    let writes = screen.writes();
    show.wait(2_000);
    show.end(2, None);
    show.wait(2_000);
    assert_eq!(screen.writes(), writes);
    screen.put_on(Ground::Front);
    show.wait(2_000);
    let lines = screen.lines();
    assert!(lines.contains(&"queued                     succeeded  in 1m13s".to_owned()), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("3/8 done")), "{lines:#?}");
}

#[test]
fn names_lead_to_runs_once_their_workspace_is_known() {
    let screen = Screen::new(24, 80);
    let look = Look { links: Links::default(), ..Look::default() };
    let links = look.links.clone();
    let mut show = busy(&screen, look);
    assert!(!screen.written().contains("\x1b]8;"), "nothing is known yet");
    let before = screen.lines();
    let id = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Synapse/workspaces/dw/pipelines/pl";
    links.learn(0, Studio::of("https://dw.dev.azuresynapse.net", id).unwrap());
    show.wait(100);
    let link = "\x1b]8;;https://web.azuresynapse.net/en/monitoring/pipelineruns/00000000-0000-0000-0000-000000000002?workspace=%2Fsubscriptions%2F1%2FresourceGroups%2Frg%2Fproviders%2FMicrosoft.Synapse%2Fworkspaces%2Fdw\x1b\\curate\x1b]8;;\x1b\\";
    assert!(screen.written().contains(link), "{:?}", screen.written());
    assert_eq!(screen.lines()[..6], before[..6], "the screen is the same");
    // A start that certainly has no run leads nowhere.
    assert!(!screen.written().contains("\x1b\\not_sent"), "{:?}", screen.written());
}

#[test]
fn the_task_bar_shows_how_much_is_done_and_is_cleared() {
    let screen = Screen::new(24, 80);
    let mut show = Show::new(&screen, Look { task_bar: true, ..Look::default() }, &named(&["a", "b"]));
    show.start(0);
    show.start(1);
    show.wait(100);
    show.wait(100);
    show.end(0, None);
    show.wait(100);
    show.end(1, Some("deadlock"));
    show.wait(100);
    show.bars.finish(show.now, &show.flow);
    let written = screen.written();
    let marks: Vec<&str> =
        written.split("\x1b]9;4;").skip(1).map(|rest| rest.split('\x1b').next().unwrap()).collect();
    assert_eq!(marks, ["1;0", "1;50", "2;100", "0"]);

    let screen = Screen::new(24, 80);
    drop(busy(&screen, Look { task_bar: true, ..Look::default() }));
    assert!(screen.written().contains("\x1b]9;4;0\x1b\\"), "it is cleared after an error too");
    let screen = Screen::new(24, 80);
    drop(busy(&screen, plain()));
    assert!(!screen.written().contains("\x1b]9;"));
}

#[test]
fn tells_as_much_as_was_asked_for() {
    let check = |telling: Telling, facts: &[&str]| {
        let screen = Screen::new(40, 80);
        let mut show = Show::new(&screen, Look { telling, ..Look::default() }, &named(&["a", "b"]));
        show.start(0);
        show.status(0, RunStatus::Queued);
        show.start(1);
        show.end(0, None);
        show.end(1, Some("deadlock"));
        show.wait(100);
        let lines = screen.lines();
        let above: Vec<&String> = lines.iter().take_while(|line| !line.contains("done")).collect();
        assert_eq!(above, facts, "{telling:?}");
    };
    check(Telling::Nothing, &[]);
    check(Telling::Problems, &["b    failed     after 0.0s: Copy_2: 2200: deadlock"]);
    check(Telling::Facts, &["a    succeeded  in 0.0s", "b    failed     after 0.0s: Copy_2: 2200: deadlock"]);
    check(
        Telling::Everything,
        &[
            "a    starting   waits for nothing; asking for run 00000000-0000-0000-0000-00000…",
            "a    started    run 00000000-0000-0000-0000-000000000001",
            "a    queued     in Synapse",
            "b    starting   waits for nothing; asking for run 00000000-0000-0000-0000-00000…",
            "b    started    run 00000000-0000-0000-0000-000000000002",
            "a    run ended  Synapse says Succeeded; reading its activities",
            "a    succeeded  in 0.0s",
            "b    run ended  Synapse says Failed; reading its activities",
            "b    failed     after 0.0s: Copy_2: 2200: deadlock",
        ],
    );
}

#[test]
fn the_cursor_is_never_hidden_and_no_mode_is_left_changed() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, coloured());
    show.bars.snapshot(show.now, &show.flow);
    drop(show);
    let written = screen.written();
    assert!(!written.contains("\x1b[?25l"));
    let count = |text: &str| written.matches(text).count();
    assert!(count("\x1b[?7l") > 0);
    assert_eq!(count("\x1b[?7l"), count("\x1b[?7h"));
    assert_eq!(count("\x1b[?2026h"), count("\x1b[?2026l"));
}

#[test]
fn a_terminal_that_does_not_tell_its_size_is_taken_for_a_usual_one() {
    let screen = Screen::new(24, 80);
    screen.hide_size();
    let show = busy(&screen, plain());
    let usual = busy(&Screen::new(24, 80), plain());
    assert_eq!(show.screen.lines(), usual.screen.lines());
}

#[test]
fn nothing_that_moves_stays_behind_after_an_error() {
    let screen = Screen::new(24, 80);
    drop(busy(&screen, plain()));
    let lines = screen.lines();
    assert_eq!(lines.last().map(String::as_str), Some("load                       succeeded  in 1m05s"));
}

#[test]
fn colours_only_on_request() {
    let screen = Screen::new(24, 80);
    busy(&screen, coloured());
    assert!(screen.written().contains("\x1b[32m"), "green for what is done");
}
