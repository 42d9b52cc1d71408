//! `synflow flows`: filters, long histories, and flows that are let go.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Map, Value};
use synflow::flow::{Event, FlowHeader, FlowId, FlowKey, Outcome, RunStatus};
use synflow::journal::{Holder, Holding, Journal, PruneRules};
use synflow::plan::StepId;
use synflow::time::{Delay, Timestamp};

use crate::play::{header, run_id};
#[cfg(unix)]
use crate::session::Session;
use crate::space::TestSpace;
use crate::witness::{Stage, wait_until};

const PLAN: &str = "version: 1\nname: PLAN\nworkspace: contoso\nsteps: { load: {} }\n";

/// A journal that was filled by hand.
struct History {
    space: TestSpace,
    journal: Journal,
    runs: u128,
}

impl History {
    fn new() -> Self {
        let space = TestSpace::new();
        let journal = Journal::open(&space.state_dir()).unwrap();
        Self { space, journal, runs: 0 }
    }

    /// Adds a real flow of one step that was begun then and ended a minute later; nothing ends one without an outcome.
    fn add(
        &mut self,
        id: &str,
        plan: &str,
        environment: &str,
        at: &str,
        outcome: Option<Outcome>,
    ) -> FlowHeader {
        let created_at: Timestamp = at.parse().unwrap();
        let header = FlowHeader {
            created_at,
            emulated: false,
            environment: environment.to_owned(),
            plan_text: PLAN.replace("PLAN", plan)
                + "environments: { prod: {}, test: {} }\nrun_key: \"{{environment}}\"\n",
            run_key: environment.to_owned(),
            ..header(id, plan, 4)
        };
        assert_eq!(self.journal.create(&header).unwrap(), None, "{id}: an earlier one has not ended");
        self.runs += 1;
        let (step, run) = (StepId::new("load"), run_id(self.runs));
        let begun = [
            Event::StartIntended {
                step: step.clone(),
                attempt: 1,
                run,
                parameters: Map::new(),
                secrets: Vec::new(),
                recovery: None,
            },
            Event::RunStarted { step: step.clone(), attempt: 1, run, adopted: false },
        ];
        let id = FlowId(id.to_owned());
        self.journal.append(&id, 1, created_at, &begun).unwrap();
        let Some(outcome) = outcome else { return header };
        let status = if outcome == Outcome::Succeeded { RunStatus::Succeeded } else { RunStatus::Failed };
        let ended = [
            Event::RunEnded {
                step: step.clone(),
                attempt: 1,
                status,
                message: String::new(),
                run_start: None,
                run_end: None,
                returned: None,
            },
            Event::AttemptEnded {
                step: step.clone(),
                attempt: 1,
                outcome,
                error: None,
                restart: None,
                outputs: None,
                activities: None,
            },
            Event::StepEnded { step, outcome, reason: String::new() },
            Event::FlowEnded { exit_code: u8::from(outcome != Outcome::Succeeded) },
        ];
        self.journal.append(&id, 3, created_at + Delay::from_secs(60), &ended).unwrap();
        header
    }

    fn ids(&self, words: &str) -> Vec<String> {
        let listed = self.json(&format!("flows {words}"));
        let flows = listed["flows"].as_array().unwrap().iter();
        flows.map(|flow| flow["id"].as_str().unwrap().to_owned()).collect()
    }

    fn json(&self, words: &str) -> Value {
        let said = self.space.run(&format!("{} --output json", words.trim_end()));
        assert_eq!(said.code, 0, "{words}: {}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }

    fn sql(&self, sql: &str) {
        Connection::open(self.space.state_dir().join("journal.db")).unwrap().execute_batch(sql).unwrap();
    }
}

#[test]
fn flows_are_chosen_by_what_they_are() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    history.add("aaaaa2", "nightly", "prod", "2026-07-01T01:00:00Z", Some(Outcome::Failed));
    history.add("aaaaa3", "weekly", "", "2026-07-02T01:00:00Z", Some(Outcome::Succeeded));
    history.add("aaaaa4", "nightly", "", "2026-07-03T01:00:00Z", None);
    let check = |words: &str, want: &[&str]| assert_eq!(history.ids(words), want, "flows {words}");
    check("", &["aaaaa4", "aaaaa3", "aaaaa2", "aaaaa1"]);
    check("--plan nightly", &["aaaaa4", "aaaaa2", "aaaaa1"]);
    check("--env prod", &["aaaaa2"]);
    check("--outcome failed", &["aaaaa2"]);
    check("--outcome failed --outcome unfinished", &["aaaaa4", "aaaaa2"]);
    check("--outcome timed_out", &[]);
    check("--since 2026-07-01", &["aaaaa4", "aaaaa3", "aaaaa2"]);
    check("--since 2026-07-01 --older-than 2026-07-02T01:00:00Z", &["aaaaa2"]);
    check("--since 1d", &[]);
    check("--plan nightly --limit 1", &["aaaaa4"]);
    assert_eq!(history.json("flows --plan nightly --limit 1")["more"], 2);
    assert_eq!(history.json("flows --outcome succeeded --limit 1")["more"], 1);

    let said = history.space.run("flows --limit 1");
    assert!(said.stderr.contains("... and 3 more; `--limit N` or `--all` lists them"), "{}", said.stderr);
    let said = history.space.run("flows --since soon");
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("hint: write a date such as `2026-11-24`"), "{}", said.stderr);
    assert_eq!(history.space.run("flows --outcome well").code, 2);
}

/// Copies a flow so often that there are ten thousand.
fn ten_thousand(history: &History, of: &str) {
    history.sql(&format!(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9999)
         INSERT INTO flows (id, created_at, plan, header)
           SELECT printf('b%05x', x), created_at + x * 1000, plan,
             json_set(header, '$.id', printf('b%05x', x), '$.run_key', printf('%d', x))
           FROM flows, n WHERE id = '{of}';
         INSERT INTO events (flow, seq, at, body)
           SELECT flows.id, events.seq, events.at, events.body FROM flows, events
           WHERE events.flow = '{of}' AND flows.id <> '{of}';"
    ));
}

#[test]
fn ten_thousand_flows_are_listed_at_once() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    ten_thousand(&history, "aaaaa1");
    // Of an old flow, those count that were made before it.
    let old = history.journal.header(&FlowId("b00003".to_owned())).unwrap().unwrap();
    assert_eq!(history.journal.lengths_of_like(&old, 20).unwrap(), [Delay::from_secs(60); 3]);
    let said = history.space.run("report b00003 --format json");
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(told["flow"]["earlier_flows"], 3, "{}", said.stderr);
    // What is not shown is not read: it would make no sense.
    history.sql("UPDATE flows SET header = replace(header, 'steps:', 'stops:') WHERE rowid < 9900");
    let listed = history.json("flows");
    assert_eq!(listed["flows"].as_array().unwrap().len(), 30);
    assert_eq!(listed["more"], 9_970);
    assert_eq!(listed["flows"][0]["id"], "b0270f");
    assert_eq!(history.ids("--outcome failed"), [""; 0]);
    assert_eq!(history.json("status b0270f")["flow"]["outcome"], "succeeded");
}

#[test]
fn old_flows_go_and_what_must_stay_stays() {
    let mut history = History::new();
    for month in 1..=6 {
        let at = format!("2026-0{month}-01T01:00:00Z");
        history.add(&format!("aaaaa{month}"), "nightly", "", &at, Some(Outcome::Succeeded));
        history.add(&format!("ccccc{month}"), "nightly", "prod", &at, Some(Outcome::Failed));
    }
    history.add("ddddd1", "weekly", "", "2026-01-01T01:00:00Z", None);
    let before = history.ids("--all");

    let said = history.space.run("flows prune");
    assert_eq!(said.code, 2, "a rule is needed: {}", said.stdout);
    let said = history.space.run("flows prune --older-than 2026-05-15 --dry-run");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("10 flows would go, 3 stay: about "), "{}", said.stdout);
    let line = "  nightly (prod)  5 flows, 2026-01-01 to 2026-05-01; forecasts then go by 1 flow\n";
    assert!(said.stdout.contains(line), "{}", said.stdout);
    assert!(said.stdout.contains("  kept: 1 that are the newest of their key"), "{}", said.stdout);
    assert_eq!(history.ids("--all"), before, "a dry run changes nothing");

    let answer = history.json("flows prune --older-than 2026-05-15 --keep 2");
    assert_eq!(answer["removed"], 8);
    assert_eq!(history.ids("--all"), ["ddddd1", "ccccc6", "aaaaa6", "ccccc5", "aaaaa5"]);
    let answer = history.json("flows prune --keep 1");
    assert_eq!(answer["removed"], 2);
    // Neither the newest of a key nor one that has not ended, however old.
    let answer = history.json("flows prune --older-than 0d");
    assert_eq!(answer["dry_run"], false, "that nothing went was not for a lack of will");
    assert_eq!(history.json("flows prune --older-than 0d --dry-run")["dry_run"], true);
    assert_eq!((answer["removed"].as_u64(), answer["kept"]["newest"].as_u64()), (Some(0), Some(3)));
    assert_eq!(history.ids("--all"), ["ddddd1", "ccccc6", "aaaaa6"]);
    // Nor does one go that has not ended because the flow of another key is newer.
    history.sql("UPDATE flows SET header = json_set(header, '$.run_key', 'x') WHERE id = 'ddddd1'");
    history.add("ddddd2", "weekly", "", "2026-06-02T01:00:00Z", Some(Outcome::Succeeded));
    let answer = history.json("flows prune --keep 1 --across-keys");
    assert_eq!((answer["removed"].as_u64(), answer["kept"]["unfinished"].as_u64()), (Some(0), Some(1)));
    assert_eq!(history.space.run("status aaaaa6").code, 0, "what stays can be read");
    assert_eq!(history.space.run("status aaaaa1").code, 2);
}

#[test]
fn run_keys_keep_their_newest_unless_they_are_taken_as_one() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    ten_thousand(&history, "aaaaa1");
    let answer = history.json("flows prune --older-than 1d --dry-run");
    assert_eq!(answer["flows"].as_array().unwrap().len(), 0);
    assert_eq!(answer["kept"]["newest"], 10_000);
    let begun = history.json("flows prune --older-than 1d --across-keys --keep 100");
    assert_eq!((begun["removed"].as_u64(), begun["stay"].as_u64()), (Some(9_900), Some(100)));
    let (before, after) = (begun["bytes_before"].as_u64().unwrap(), begun["bytes_after"].as_u64().unwrap());
    assert!(after * 10 < before, "{before} bytes, then {after}");
    // The order in which flows were made outlives the shrinking of the file.
    assert_eq!(history.ids("--limit 2"), ["b0270f", "b0270e"]);
}

#[test]
fn the_oldest_go_until_the_file_is_small_enough() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    ten_thousand(&history, "aaaaa1");
    let answer = history.json("flows prune --max-size 2MB --across-keys");
    let after = answer["bytes_after"].as_u64().unwrap();
    assert!((1_500_000..=2_000_000).contains(&after), "{after} bytes");
    assert_eq!(history.ids("--limit 1"), ["b0270f"]);
    assert_eq!(history.json("flows prune --max-size 2MB --across-keys")["removed"], 0);
}

#[test]
fn a_start_that_is_not_clear_keeps_the_flows_it_may_be_taken_for() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    history.add("aaaaa2", "nightly", "", "2026-06-05T01:00:00Z", Some(Outcome::Succeeded));
    history.add("aaaaa3", "nightly", "", "2026-06-06T01:00:00Z", Some(Outcome::Succeeded));
    // Nobody has heard the answer to the start of another flow.
    history.add("ddddd1", "weekly", "", "2026-06-05T09:00:00Z", None);
    history.sql("DELETE FROM events WHERE flow = 'ddddd1' AND seq = 2");
    let answer = history.json("flows prune --keep 1");
    assert_eq!(answer["flows"], serde_json::json!(["aaaaa1"]));
    assert_eq!(answer["kept"]["claims"], 1);
}

/// Between what a person is shown and what is deleted, others may come.
#[test]
fn flows_that_are_taken_up_between_two_looks_stay() {
    let mut history = History::new();
    for at in 1..=4 {
        history.add(&format!("aaaaa{at}"), "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Failed));
        let emulated = FlowHeader { emulated: true, ..header(&format!("eeeee{at}"), "nightly", 4) };
        history.journal.create(&emulated).unwrap();
    }
    let rules = PruneRules {
        before: None,
        bytes_max: None,
        keep: 1,
        across_keys: false,
        claims_from: "2026-07-01T01:00:00Z".parse().unwrap(),
    };
    let parting = history.journal.parting(&rules).unwrap();
    let go: Vec<&str> = parting.go.iter().map(|leaving| leaving.flow.0.as_str()).collect();
    assert_eq!(go, ["aaaaa1", "eeeee1", "aaaaa2", "eeeee2", "aaaaa3", "eeeee3"]);

    let (at, id) = ("2026-07-01T01:00:00Z".parse().unwrap(), |id: &str| FlowId(id.to_owned()));
    let mut others: Vec<Journal> =
        (0..2).map(|_| Journal::open(&history.space.state_dir()).unwrap()).collect();
    let redone = Event::Resumed { redo: Vec::new(), trust: BTreeMap::new(), definitions: BTreeMap::new() };
    others[0].append(&id("aaaaa1"), 7, at, &[redone]).unwrap();
    let key = FlowKey { plan: "nightly".to_owned(), environment: String::new(), run_key: String::new() };
    let holder = Holder { host: "etl-7".to_owned(), pid: 1, user: "ada".to_owned() };
    assert_eq!(others[0].hold(&key, &id("aaaaa2"), &holder, at).unwrap(), Holding::Ours);
    others[1].attend(&id("eeeee1")).unwrap();
    assert_eq!(history.journal.part(&parting).unwrap(), 3);
    assert_eq!(history.ids("--all"), ["eeeee4", "aaaaa4", "aaaaa2", "eeeee1", "aaaaa1"]);
    assert!(history.journal.is_attended(&id("eeeee1")).unwrap(), "its sign stays");
}

/// Nobody else can write while the file is made smaller: whoever begins a flow must not have to wait for that.
#[test]
fn the_file_is_not_made_smaller_while_a_flow_begins() {
    let mut history = History::new();
    history.add("aaaaa1", "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    ten_thousand(&history, "aaaaa1");
    history.sql("DELETE FROM events WHERE flow > 'b01000'");
    let key = FlowKey { plan: "other".to_owned(), environment: String::new(), run_key: String::new() };
    let holder = Holder { host: "etl-7".to_owned(), pid: 1, user: "ada".to_owned() };
    let at = "2026-07-01T01:00:00Z".parse().unwrap();
    let mut other = Journal::open(&history.space.state_dir()).unwrap();
    assert_eq!(other.hold(&key, &FlowId("bbbbb1".to_owned()), &holder, at).unwrap(), Holding::Ours);
    let before = history.journal.size().unwrap().0;
    assert!(!history.journal.shrink().unwrap(), "one holds a key");
    other.release().unwrap();
    other.attend(&FlowId("eeeee1".to_owned())).unwrap();
    assert!(!history.journal.shrink().unwrap(), "one emulates");
    assert_eq!(history.journal.size().unwrap().0, before);
    drop(other);

    // One that comes while it is at work.
    let log = history.space.state_dir().join("journal.db-wal");
    let size = move || std::fs::metadata(&log).map_or(0, |found| found.len());
    let (state_dir, idle) = (history.space.state_dir(), size());
    let came = std::thread::spawn(move || {
        wait_until("the file is being rewritten", || size() > idle + 100_000);
        let mut other = Journal::open(&state_dir).unwrap();
        other.hold(&key, &FlowId("bbbbb2".to_owned()), &holder, at).unwrap()
    });
    while history.journal.shrink().unwrap() && !came.is_finished() {}
    assert_eq!(came.join().unwrap(), Holding::Ours);
}

/// What a person is asked is no part of the answer that a program reads.
#[cfg(unix)]
#[test]
fn at_a_terminal_a_person_is_asked_beside_the_answer() {
    let mut history = History::new();
    for at in 1..=3 {
        history.add(&format!("aaaaa{at}"), "nightly", "", "2026-06-01T01:00:00Z", Some(Outcome::Failed));
    }
    let answer = history.space.path("answer");
    let prune = |typed: &str| {
        let plain = history.space.command("flows prune --keep 1 --output json".split(' '));
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", "out=$0; exec \"$@\" >\"$out\""]).arg(&answer);
        shell.arg(plain.get_program()).args(plain.get_args()).env_clear();
        shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut session = Session::begin(&shell, (24, 100), &[]);
        wait_until("it asks", || session.sees("remove them? [y/N]"));
        assert!(session.sees("2 flows would go, 1 stays"), "{}", session.text());
        session.types(typed);
        session.wait()
    };
    assert_eq!(prune("\n"), 2);
    assert_eq!(std::fs::read_to_string(&answer).unwrap(), "");
    assert_eq!(history.ids("--all").len(), 3);
    assert_eq!(prune("y\n"), 0);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&answer).unwrap()).unwrap();
    assert_eq!(told["removed"], 2);
    assert_eq!(history.ids("--all"), ["aaaaa3"]);
}

/// Emulated flows own no key: a lock shows that one is under way.
#[test]
fn an_emulated_flow_under_way_stays_and_a_killed_one_goes() {
    let space = TestSpace::new();
    let script = space.write("slow.yaml", "defaults: { queued: 0s, duration: 60s }\n");
    let words = format!("apply examples/hello.yaml --emulate --script {}", script.display());
    let begin = || {
        let mut command = space.command(words.split(' '));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let count = || crate::witness::flows(&space);
    let mut killed = begin();
    wait_until("the first flow is there", || count() == 1);
    let mut live = begin();
    wait_until("the second flow is there", || count() == 2);
    let prune = || {
        let said = space.run("flows prune --keep 1 --output json");
        assert_eq!(said.code, 0, "{}", said.stderr);
        serde_json::from_str::<Value>(&said.stdout).unwrap()
    };
    assert_eq!(prune()["kept"]["unfinished"], 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let answer = prune();
    assert_eq!(answer["removed"], 1);
    assert_eq!(answer["bytes_after"], Value::Null, "nobody else may write while the file is made smaller");
    live.kill().unwrap();
    live.wait().unwrap();
    assert_eq!(prune()["kept"]["newest"], Value::Null, "that it stays is what was asked for");
    assert_eq!(count(), 1);
}

/// The journal is pruned again and again while a flow is written to it.
#[test]
fn a_flow_under_way_is_not_disturbed() {
    let stage = Stage::new(
        "defaults: { queued: 10ms, duration: 150ms }\n",
        "steps: { a: {}, b: { depends_on: [a] }, c: { depends_on: [b] }, d: { depends_on: [c] }, e: { depends_on: [d] } }\n",
    );
    let mut history = History {
        space: TestSpace::new(),
        journal: Journal::open(&stage.space.state_dir()).unwrap(),
        runs: 0,
    };
    history.add("aaaaa1", "old", "", "2026-06-01T01:00:00Z", Some(Outcome::Succeeded));
    let copies = Connection::open(stage.space.state_dir().join("journal.db")).unwrap();
    copies.busy_timeout(Duration::from_secs(5)).unwrap();
    drop(history);
    let mut apply = stage.begin("apply PLAN");
    let mut removed = 0;
    for round in 0.. {
        copies
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)
                 INSERT INTO flows (id, created_at, plan, header)
                   SELECT printf('c%02x%04x', {round}, x), created_at + x, plan,
                     json_set(header, '$.id', printf('c%02x%04x', {round}, x)) FROM flows, n WHERE id = 'aaaaa1';
                 INSERT INTO events (flow, seq, at, body)
                   SELECT flows.id, events.seq, events.at, events.body FROM flows, events
                   WHERE events.flow = 'aaaaa1' AND flows.id LIKE printf('c%02x%%', {round});
                 COMMIT;"
            ))
            .unwrap();
        let said = stage.run("flows prune --keep 1 --older-than 1d --output json");
        assert_eq!(said.code, 0, "{}", said.stderr);
        removed += serde_json::from_str::<Value>(&said.stdout).unwrap()["removed"].as_u64().unwrap();
        // The first of all must stay to be copied.
        if apply.try_wait().unwrap().is_some() || round > 200 {
            break;
        }
        copies.execute_batch("UPDATE flows SET id = 'aaaaa1' WHERE plan = 'old'; UPDATE events SET flow = 'aaaaa1' WHERE flow LIKE 'c%'").unwrap();
    }
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    assert!(removed >= 500, "{removed} flows");
    let said = stage.space.run("status test@latest --output json");
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(status["flow"]["outcome"], "succeeded");
    assert_eq!(status["flow"]["counts"]["succeeded"], 5);
}
