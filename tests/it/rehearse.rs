//! `synflow rehearse`: the real binary plays plans through in virtual time.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::Value;
use synflow::flow::{Event, FlowId};
use synflow::journal::Journal;

use crate::space::{Said, TestSpace};

const NIGHT: &str = "
version: 1
name: night
workspace: contoso-dw
max_parallel: 3
pools: { sql: 1 }
inputs:
  regions: { type: array, default: [emea, apac, amer] }
  token: { type: string, secret: true }
steps:
  fx: { allow_failure: true, timeout: 20m }
  ingest:
    for_each: \"{{inputs.regions}}\"
    max_parallel: 2
    parameters: { region: \"{{each.value}}\", token: '{{secret inputs.token}}' }
  curate:
    depends_on: [ingest, fx]
    retry: { max_attempts: 2, delay: 3m }
    pool: sql
    outputs: { rows: \"{{activities.Copy.output.rows}}\" }
  audit: { depends_on: [ingest], pool: sql, priority: 5 }
  publish: { depends_on: [curate], when: steps.curate.outputs.rows > 0 }
  quarantine: { depends_on: [{ curate: [failed] }] }
  pause: { finally: completed }
";

struct Rehearsed {
    value: Value,
}

impl Rehearsed {
    fn of(space: &TestSpace, plan: &str, words: &str) -> Self {
        let said = rehearse(space, plan, &format!("{words} --output json"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        Self { value: serde_json::from_str(&said.stdout).unwrap() }
    }

    fn whole(&self, member: &str) -> &Value {
        &self.value["rehearsal"][member]
    }

    fn step(&self, id: &str) -> &Value {
        self.value["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
    }

    fn outcome(&self, id: &str) -> &str {
        self.step(id)["outcome"].as_str().unwrap_or("open")
    }

    fn attempts(&self, id: &str) -> usize {
        self.step(id)["attempts"].as_array().unwrap().len()
    }

    fn started(&self, id: &str, attempt: usize) -> &str {
        self.step(id)["attempts"][attempt]["started_at"].as_str().unwrap()
    }

    fn ended(&self, id: &str, attempt: usize) -> &str {
        self.step(id)["attempts"][attempt]["ended_at"].as_str().unwrap()
    }
}

fn rehearse(space: &TestSpace, plan: &str, words: &str) -> Said {
    let plan = space.write("plan.yaml", plan);
    space.run(format!("rehearse {} {}", plan.display(), words.trim()).trim())
}

#[test]
fn a_night_is_played_with_its_pools_groups_and_limits() {
    let space = TestSpace::new();
    let night = Rehearsed::of(&space, NIGHT, "--assume curate.outputs.rows=5");
    assert_eq!(night.whole("outcome"), "succeeded");
    assert_eq!(night.whole("exit_code"), 0);
    // Two iterations at a time, the third after the first; then the pool lets one at a time, the urgent one first.
    assert_eq!(
        night.whole("starts").to_string(),
        r#"["fx","ingest[emea]","ingest[apac]","ingest[amer]","audit","curate","publish","pause"]"#
    );
    assert!(night.started("ingest[amer]", 0) >= night.ended("ingest[emea]", 0));
    assert!(night.started("curate", 0) >= night.ended("audit", 0));
    assert_eq!(night.outcome("quarantine"), "not_needed");
    assert_eq!(night.step("fx")["duration_by"], "default");
    assert!(!space.state_dir().exists(), "a rehearsal writes no journal");
}

#[test]
fn the_same_words_give_the_same_bytes() {
    let space = TestSpace::new();
    for words in ["", "--output json", "--output yaml", "--output jsonl", "--assume curate=failed --seed 7"] {
        let (first, second) = (rehearse(&space, NIGHT, words), rehearse(&space, NIGHT, words));
        assert_eq!(first.code, 0, "{}", first.stderr);
        assert!(!first.stdout.is_empty());
        assert_eq!(first.stdout, second.stdout, "{words}");
    }
}

#[test]
fn what_is_assumed_happens() {
    let space = TestSpace::new();
    let check = |words: &str, want: &[(&str, &str)], outcome: &str, code: u8| {
        let night = Rehearsed::of(&space, NIGHT, &format!("--assume curate.outputs.rows=5 {words}"));
        for (step, word) in want {
            assert_eq!(night.outcome(step), *word, "{step} with {words}");
        }
        assert_eq!(night.whole("outcome"), outcome, "{words}");
        assert_eq!(night.whole("exit_code"), code, "{words}");
        night
    };
    let failed =
        [("curate", "failed"), ("publish", "blocked"), ("quarantine", "succeeded"), ("pause", "succeeded")];
    let night = check("--assume curate=failed", &failed, "failed", 1);
    assert_eq!(night.attempts("curate"), 2);
    assert!(night.step("publish")["why"][1].as_str().unwrap().contains("its failure was assumed"));
    let night = check("--assume curate=failed:1", &[("curate", "succeeded")], "succeeded", 0);
    assert_eq!(night.attempts("curate"), 2);
    check("--assume curate=warned", &[("curate", "warned"), ("publish", "succeeded")], "succeeded", 0);
    check("--assume curate=cancelled", &[("curate", "cancelled"), ("publish", "blocked")], "cancelled", 7);
    check("--assume curate=skipped", &[("curate", "skipped")], "failed", 1);
    check("--assume fx=timed_out", &[("fx", "timed_out"), ("curate", "succeeded")], "succeeded", 0);
    check("--assume audit=unknown", &[("audit", "unknown"), ("pause", "open")], "unknown", 9);
    check("--assume ingest=failed", &[("ingest[apac]", "failed"), ("curate", "blocked")], "failed", 1);
    check(
        "--assume ingest[apac]=failed",
        &[("ingest[emea]", "succeeded"), ("audit", "blocked")],
        "failed",
        1,
    );
    check("--assume curate.outputs.rows=0", &[("publish", "skipped")], "succeeded", 0);
    let night = check("--assume audit=45m --assume fx=slow:3x", &[], "succeeded", 0);
    assert_eq!(night.step("audit")["duration_by"], "assumed");
    let ran = |id: &str| (night.started(id, 0)[11..16].to_owned(), night.ended(id, 0)[11..16].to_owned());
    assert_eq!(ran("fx"), ("00:00".to_owned(), "00:15".to_owned()));
    assert_eq!(ran("audit"), ("00:10".to_owned(), "00:55".to_owned()));
}

#[test]
fn what_cannot_be_assumed_is_answered_with_what_can() {
    let space = TestSpace::new();
    let check = |words: &str, want: &str| {
        let said = rehearse(&space, NIGHT, words);
        assert_eq!(said.code, 2, "{words}: {}", said.stdout);
        assert!(said.stderr.contains(want), "{words}: {}", said.stderr);
        assert!(said.stdout.is_empty());
    };
    check("--assume curat=failed", "did you mean `curate`?");
    check("--assume ingest[emae]=failed", "did you mean `ingest[emea]`?");
    check("--assume curate=faild", "did you mean `failed`?");
    check("--assume curate=blocked", "assume `failed` of a step that it waits for");
    check("--assume curate=10", "`10m`");
    check("--assume curate", "STEP=WORD");
    check("--assume curate=timed_out", "has no `timeout`");
    check("--assume curate.outputs.row=1", "did you mean `curate.outputs.rows`?");
    check("--at someday", "2026-01-14T22:00");
    check("--default-duration 5", "`5m`");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is the question")]
fn a_thousand_steps_over_six_hours() {
    let mut plan = "version: 1\nname: wide\nworkspace: w\nmax_parallel: 50\nsteps:\n".to_owned();
    for step in 0..1000 {
        let upstream = if step < 50 { String::new() } else { format!("s{}", step - 50) };
        writeln!(plan, "  s{step}: {{ pipeline: pl, depends_on: [{upstream}] }}").unwrap();
    }
    let space = TestSpace::new();
    let begun = Instant::now();
    let wide = Rehearsed::of(&space, &plan, "--default-duration 18m");
    // A second or two in this build, of a machine that has nothing else to do.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(wide.whole("outcome"), "succeeded");
    let hours = wide.whole("makespan_ms").as_f64().unwrap() / 3_600_000.0;
    assert!((6.0..6.1).contains(&hours), "{hours}");
    assert_eq!(wide.whole("critical_path").as_array().unwrap().len(), 20);
    let said = rehearse(&space, &plan, "--default-duration 18m --rows 12");
    assert!(said.stdout.lines().count() < 30, "{}", said.stdout);
    assert!(said.stdout.contains("more rows"), "{}", said.stdout);
    let again = || rehearse(&space, &plan, "--default-duration 18m --output jsonl").stdout;
    let first = again();
    assert!(first.lines().count() > 4000, "{}", first.lines().count());
    assert!(first == again(), "two runs differ");
}

#[test]
fn a_question_that_rests_is_asked_at_the_beat_where_it_would_have_been() {
    let space = TestSpace::new();
    let plan = "
version: 1
name: beats
workspaces: { main: { name: a }, other: { name: b } }
defaults: { workspace: main }
steps:
  long: {}
  longer: {}
  elsewhere: { workspace: other }
  there: { workspace: other, retry: { max_attempts: 2, delay: 42s } }
  next: { depends_on: [elsewhere], workspace: other }
  late: { timeout: 7m, allow_failure: true }
  last: { depends_on: [long] }
";
    let words = "--assume long=607s --assume longer=1213s --assume elsewhere=301s --assume there=failed:1 --assume late=timed_out --beat 10s";
    let night = Rehearsed::of(&space, plan, words);
    let seconds = |time: &str| {
        let [h, m, s]: [u64; 3] =
            time[11..19].split(':').map(|n| n.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap();
        h * 3600 + m * 60 + s
    };
    let ran =
        |id: &str, attempt: usize| (seconds(night.started(id, attempt)), seconds(night.ended(id, attempt)));
    // What ended between two beats is heard of at the second one; the beats are those of the first question.
    assert_eq!(ran("there", 0), (0, 300));
    assert_eq!(ran("elsewhere", 0), (0, 310));
    assert_eq!(ran("long", 0), (0, 610));
    assert_eq!(ran("last", 0), (610, 910));
    // A retry comes when its own time has come; with it begins a list anew, and with that other beats.
    assert_eq!(ran("next", 0), (310, 612));
    assert_eq!(ran("there", 1), (342, 642));
    // A cancel takes twelve seconds.
    assert_eq!(ran("late", 0), (0, 440));
    assert_eq!(ran("longer", 0), (0, 1220));
}

#[test]
fn it_starts_in_the_order_of_an_emulated_flow() {
    let plan = "
version: 1
name: order
workspace: w
max_parallel: 3
pools: { sql: 2 }
steps:
  a: {}
  b: {}
  c: { priority: 2 }
  d: { depends_on: [a] }
  e: { depends_on: [b, c], pool: { sql: 2 } }
  f: { depends_on: [c], pool: sql, priority: 1 }
  g: { depends_on: [d, f] }
  h: { depends_on: [{ g: [failed] }] }
  i: { depends_on: [e] }
  z: { finally: completed }
";
    let script = "
pipelines:
  a: { duration: 60s }
  b: { duration: 130s }
  c: { duration: 200s }
  d: { duration: 270s }
  e: { duration: 90s }
  f: { duration: 350s }
  g: { duration: 60s, outcome: failed }
  h: { duration: 30s }
  i: { duration: 30s }
";
    let space = TestSpace::new();
    let script = space.write("script.yaml", script);
    let rehearsed = Rehearsed::of(&space, plan, &format!("--script {} --beat 5s", script.display()));
    let starts: Vec<&str> =
        rehearsed.whole("starts").as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let said = space.run(&format!(
        "apply {} --emulate --script {} --speed 100 --beat 50ms",
        space.path("plan.yaml").display(),
        script.display()
    ));
    assert_eq!(said.code, 1, "{}", said.stderr);
    let status = space.status();
    let flow = FlowId(status["flow"]["id"].as_str().unwrap().to_owned());
    let events = Journal::open(&space.state_dir()).unwrap().events(&flow).unwrap();
    let real: Vec<&str> = events
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::StartIntended { step, .. } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(starts, real);
    for step in status["steps"].as_array().unwrap() {
        assert_eq!(rehearsed.outcome(step["id"].as_str().unwrap()), step["outcome"], "{step}");
    }
}

/// Returns the starts of a stream of events, each with its attempt.
fn starts_of<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<(String, u32)> {
    let start = |event: &Event| match event {
        Event::StartIntended { step, attempt, .. } => Some((step.to_string(), *attempt)),
        _ => None,
    };
    events.into_iter().filter_map(start).collect()
}

#[test]
fn retries_pools_conditions_and_iterations_start_in_the_order_of_an_emulated_flow() {
    // Starts lie a virtual minute apart or more. A retry's `delay` is a real second, a hundred virtual ones, in the
    // emulated flow: nothing else starts in that time.
    let plan = "
version: 1
name: order
workspace: w
max_parallel: 5
pools: { sql: 1 }
inputs:
  regions: { type: array, default: [emea, apac, amer] }
steps:
  load:
    for_each: \"{{inputs.regions}}\"
    max_parallel: 2
    parameters: { region: \"{{each.value}}\" }
  flaky: { retry: { max_attempts: 3, delay: 1s } }
  gate: { outputs: { rows: \"{{activities.Copy.output.rows}}\" } }
  never: { depends_on: [gate], when: steps.gate.outputs.rows > 0 }
  taken: { depends_on: [gate], when: steps.gate.outputs.rows == 0 }
  second: { depends_on: [gate], pool: sql }
  first: { depends_on: [gate], pool: sql, priority: 5 }
  joined: { depends_on: [load] }
  paired: { for_each: \"{{inputs.regions}}\", depends_on: [joined, \"load[{{each.key}}]\"], max_parallel: 1, pipeline: quick }
  after_flaky: { depends_on: [flaky], pipeline: quick }
  failing: { depends_on: [after_flaky, paired] }
  on_error: { depends_on: [{ failing: [failed] }], pipeline: quick }
  stuck_behind: { depends_on: [failing], pipeline: quick }
  cleanup: { finally: completed, pipeline: quick }
";
    let script = "
defaults: { duration: 80s }
pipelines:
  load:
    runs:
      - { when: { region: emea }, duration: 150s }
      - { when: { region: apac }, duration: 640s }
      - { when: { region: amer }, duration: 400s }
  flaky: { runs: [{ outcome: failed, duration: 300s }, { duration: 900s }] }
  gate: { duration: 80s, activities: { Copy: { output: { rows: 0 } } } }
  taken: { duration: 140s }
  first: { duration: 400s }
  second: { duration: 60s }
  joined: { duration: 80s }
  failing: { duration: 80s, outcome: failed }
  quick: { duration: 80s }
";
    let space = TestSpace::new();
    let script = space.write("script.yaml", script);
    let said = rehearse(&space, plan, &format!("--script {} --beat 5s --output jsonl", script.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let events: Vec<Event> = said
        .stdout
        .lines()
        .filter_map(|line| {
            serde_json::from_value(serde_json::from_str::<Value>(line).unwrap()["event"].take()).ok()
        })
        .collect();
    let rehearsed = starts_of(&events);
    let said = space.run(&format!(
        "apply {} --emulate --script {} --speed 100 --beat 50ms",
        space.path("plan.yaml").display(),
        script.display()
    ));
    assert_eq!(said.code, 1, "{}", said.stderr);
    let flow = FlowId(space.status()["flow"]["id"].as_str().unwrap().to_owned());
    let events = Journal::open(&space.state_dir()).unwrap().events(&flow).unwrap();
    assert_eq!(rehearsed, starts_of(events.iter().map(|recorded| &recorded.event)));
    let of = |id: &str| rehearsed.iter().filter(|(step, _)| step == id).count();
    assert_eq!(
        (of("flaky"), of("load[amer]"), of("never"), of("on_error"), of("stuck_behind")),
        (2, 1, 0, 1, 0)
    );
    let at = |id: &str| rehearsed.iter().position(|(step, _)| step == id).unwrap();
    assert!(at("first") < at("second") && at("load[amer]") < at("second"), "{rehearsed:?}");
}

#[test]
fn earlier_flows_say_how_long_steps_take_and_what_they_give() {
    let space = TestSpace::new();
    let script = space.write(
        "script.yaml",
        "pipelines: { load: { duration: 1500ms, activities: { Copy: { output: { rows: 7 } } } } }",
    );
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let plan = format!(
        "version: 1\nname: learnt\nworkspaces: {{ main: {{ endpoint: \"{}\" }} }}\nsteps:\n  load: {{ outputs: {{ rows: \
         \"{{{{activities.Copy.output.rows}}}}\" }} }}\n  use: {{ depends_on: [load], when: steps.load.outputs.rows == 7 }}\n",
        emulator.endpoint()
    );
    let path = space.write("plan.yaml", &plan);
    let said = space.run_at(&emulator, &format!("apply {} --beat 50ms", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let rehearsed = Rehearsed::of(&space, &plan, "");
    assert_eq!(rehearsed.step("load")["duration_by"], "history");
    assert_eq!(rehearsed.outcome("use"), "succeeded");
    let text = rehearse(&space, &plan, "").stdout;
    assert!(text.contains("2 from 1 earlier flow"), "{text}");
}

#[test]
fn the_exit_code_is_the_flows_only_when_asked_for() {
    let space = TestSpace::new();
    let plan =
        "version: 1\nname: late\nworkspace: w\ndeadline: \"00:30 UTC\"\nsteps: { a: { timeout: 3h } }\n";
    let code = |words: &str| rehearse(&space, plan, words).code;
    assert_eq!(code("--assume a=1h"), 0);
    assert_eq!(code("--assume a=1h --exit-code"), 8);
    assert_eq!(code("--assume a=1h --exit-code --at 2026-01-14T22:00"), 0);
    assert_eq!(code("--assume a=failed --exit-code"), 1);
    let text = rehearse(&space, plan, "--assume a=1h").stdout;
    assert!(text.contains("deadline 2026-01-14 00:30 UTC: missed by 30m"), "{text}");
}

#[test]
fn a_run_that_never_ends_is_said_to() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "pipelines: { a: { outcome: stuck } }");
    let plan = "version: 1\nname: stuck\nworkspace: w\nsteps: { a: {}, b: { depends_on: [a] } }\n";
    let words = format!("--script {}", script.display());
    let said = rehearse(&space, plan, &words);
    assert!(said.stdout.contains("would never end"), "{}", said.stdout);
    assert_eq!(rehearse(&space, plan, &format!("{words} --exit-code")).code, 8);
}

#[test]
fn it_can_be_watched() {
    let space = TestSpace::new();
    let plan = "version: 1\nname: seen\nworkspace: w\nsteps: { a: {}, b: { depends_on: [a] } }\n";
    let said = rehearse(&space, plan, "--speed 3000 --progress lines --output jsonl");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("2026-01-14, times are UTC"), "{}", said.stderr);
    assert!(said.stderr.contains("succeeded"), "{}", said.stderr);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["header"]["plan_name"], "seen");
    assert_eq!(lines[1]["event"]["kind"], "start_intended");
    assert_eq!(lines.last().unwrap()["rehearsal"]["outcome"], "succeeded");
}

#[test]
fn the_text_is_for_people() {
    let space = TestSpace::new();
    let text = rehearse(&space, NIGHT, "--assume curate=failed --assume fx=12m").stdout;
    insta::assert_snapshot!(text, @r"
    rehearsal of `night`, begun 2026-01-14 00:00 UTC
    failed after 38m00s; a real flow would end with exit code 1
    9 steps: 7 succeeded, 1 failed, 1 blocked
    durations: 1 assumed, 8 at 5m00s each, for no earlier flow has run them (`--default-duration`)

    STEP        0s              19m00s          38m00s     TOOK    SLACK  OUTCOME
    fx          ████████████                             12m00s     none  succeeded
    ingest (3)  ──────────                               10m00s    7m00s  succeeded
      [emea]    █████                                     5m00s    7m00s  succeeded
      [apac]    █████                                     5m00s    7m00s  succeeded
      [amer]    ░░░░░█████                                5m00s    7m00s  succeeded
    curate                  ░░░████x···████x             13m00s     none  failed
    audit                 █████                           5m00s   20m00s  succeeded
    publish                                                               blocked
    quarantine                              █████         5m00s     none  succeeded
    pause                                        █████    5m00s     none  succeeded
    █ runs  ░ waits for a place  · waits for its next attempt  x went wrong

    critical path, 35m00s: fx 12m00s -> curate 13m00s -> quarantine 5m00s -> pause 5m00s
    makespan 38m00s, lower bound 35m00s by the critical path: at most 3m00s could be gained

    did not succeed:
      `curate` ended failed after 2 attempts: its failure was assumed
      `publish` ended blocked: `curate` ended failed
        because `curate` ended failed after 2 attempts: its failure was assumed
    ");
}
