//! Steps that are run for each row of a list or matrix, steps with `finally`, pools and limits of failures: the rules of
//! the scheduler, then the real binary.

use serde_json::{Value, json};
use synflow::flow::decide::Effect;
use synflow::flow::resume::redone;
use synflow::flow::{Event, Outcome, RunStatus, StepState};
use synflow::plan::{self, Given};
use synflow::time::Timestamp;

use crate::play::{Play, activity};
use crate::space::TestSpace;
use crate::witness::{Stage, outcomes, ran, wait_until};

use RunStatus::{Failed, Succeeded};

/// Returns a flow of a plan with these keys, whose workspace is known to take our ids.
fn play(keys: &str) -> Play {
    let text = format!("version: 1\nname: test\nworkspace: contoso-dw\n{keys}");
    let given = Given { inputs_required: true, now: Timestamp::from_epoch_ms(0), ..Given::default() };
    Play::proven(plan::load(text.as_bytes(), &given).unwrap().plan)
}

trait ById {
    fn at(&self, id: &str) -> usize;
    fn ends(&mut self, id: &str, status: RunStatus);
    fn outcome(&self, id: &str) -> Option<Outcome>;
    fn starts(&mut self) -> Vec<String>;
}

impl ById for Play {
    fn at(&self, id: &str) -> usize {
        self.flow
            .plan()
            .steps
            .iter()
            .position(|step| step.id.as_str() == id)
            .unwrap_or_else(|| panic!("no {id}"))
    }

    /// Plays a step to its end.
    fn ends(&mut self, id: &str, status: RunStatus) {
        let step = self.at(id);
        self.play(step, status);
    }

    fn outcome(&self, id: &str) -> Option<Outcome> {
        match self.state(self.at(id)) {
            StepState::Ended { outcome } => Some(*outcome),
            _ => None,
        }
    }

    /// Returns what would start now, in order.
    fn starts(&mut self) -> Vec<String> {
        let id = |effect: &Effect| match effect {
            Effect::Start { step, .. } => Some(step.0),
            _ => None,
        };
        let steps: Vec<usize> = self.effects().iter().filter_map(id).collect();
        steps.into_iter().map(|step| self.id(step).to_string()).collect()
    }
}

/// Two iterations, one step that waits for both, and one that waits for one of them.
const PAIR: &str =
    "steps:\n  a: { for_each: [x, y] }\n  all: { depends_on: [a] }\n  one: { depends_on: ['a[x]'] }\n";

#[test]
fn an_edge_on_a_step_waits_for_every_iteration_and_a_named_one_for_its_own() {
    let mut play = play(PAIR);
    assert_eq!(play.starts(), ["a[x]", "a[y]"]);
    play.ends("a[x]", Succeeded);
    assert_eq!(play.starts(), ["a[y]", "one"]);
    assert_eq!(play.outcome("a"), None, "an iteration is open");
    play.ends("a[y]", Succeeded);
    assert_eq!(play.outcome("a"), Some(Outcome::Succeeded));
    assert_eq!(play.starts(), ["all", "one"]);
}

#[test]
fn a_failed_iteration_fails_the_group_unless_it_may() {
    let check = |keys: &str, want: Option<Outcome>| {
        let mut play = play(&format!(
            "steps:\n  a: {{ for_each: [x, y]{keys} }}\n  all: {{ depends_on: [a] }}\n  mend: {{ depends_on: [{{ a: [failed] }}] }}\n"
        ));
        play.ends("a[x]", Failed);
        play.ends("a[y]", Succeeded);
        assert_eq!(play.outcome("a"), Some(Outcome::Failed), "{keys}");
        assert_eq!(play.outcome("all"), want, "{keys}");
        assert_eq!(play.outcome("mend"), None, "{keys}: it is ready");
    };
    check("", Some(Outcome::Blocked));
    check(", allow_failure: true", None);
}

#[test]
fn a_group_that_may_fail_does_not_hide_what_went_wrong_above_it() {
    let mut play = play(
        "steps:\n  up: { for_each: [x, y] }\n  a: { for_each: [x, y], depends_on: ['up[{{each.key}}]'], allow_failure: true }\n  all: { depends_on: [a] }\n",
    );
    play.ends("up[x]", Failed);
    play.ends("up[y]", Succeeded);
    assert_eq!(play.outcome("a[x]"), Some(Outcome::Blocked));
    play.ends("a[y]", Succeeded);
    assert_eq!(play.outcome("a"), Some(Outcome::Failed));
    assert_eq!(
        play.outcome("all"),
        Some(Outcome::Blocked),
        "an iteration is blocked by a failure that was not allowed"
    );
}

#[test]
fn a_group_without_iterations_is_skipped_once_its_edges_are_met() {
    let mut play = play(
        "steps:\n  up: {}\n  a: { for_each: [], depends_on: [up] }\n  next: { depends_on: [a] }\n  sad: { depends_on: [{ a: [skipped] }] }\n",
    );
    assert_eq!((play.outcome("a"), play.starts()), (None, vec!["up".to_owned()]));
    play.ends("up", Succeeded);
    assert_eq!(play.outcome("a"), Some(Outcome::Skipped));
    assert_eq!(play.starts(), ["next", "sad"]);
    let mut play = play2();
    play.ends("up", Failed);
    assert_eq!(play.outcome("a"), Some(Outcome::Blocked));
}

fn play2() -> Play {
    play("steps:\n  up: {}\n  a: { for_each: [], depends_on: [up] }\n")
}

#[test]
fn one_at_a_time_keeps_the_order_of_the_list() {
    let mut play = play(
        "steps:\n  a: { for_each: [c, b, a], max_parallel: 1 }\n  long: { depends_on: ['a[a]'] }\n  longer: { depends_on: [long] }\n  free: {}\n",
    );
    assert_eq!(play.starts(), ["a[c]", "free"]);
    let first = play.at("a[c]");
    play.start(first);
    assert_eq!(play.starts(), ["free"]);
    play.end(first, Succeeded);
    assert_eq!(play.starts(), ["a[b]", "free"], "the longest path is the last one's, and yet it waits");
    play.ends("a[b]", Failed);
    assert_eq!(play.starts(), ["a[a]", "free"], "a failure does not stop the others");
}

#[test]
fn pools_are_shared_by_weight_and_nobody_is_passed_over_for_ever() {
    let mut play = play(
        "pools: { sql: 3 }\nsteps:\n  a: { pool: { sql: 2 } }\n  b: { pool: { sql: 2 } }\n  c: { pool: sql }\n  d: {}\n",
    );
    assert_eq!(play.starts(), ["a", "d"], "what is left of the pool is kept for `b`");
    let a = play.at("a");
    play.start(a);
    assert_eq!(play.starts(), ["d"]);
    play.see(a, Succeeded);
    assert_eq!(play.starts(), ["d"], "a run that ended holds its share until its activities were read");
    play.record(synflow::flow::observe::judged(
        &play.flow,
        synflow::plan::StepIndex(a),
        &synflow::flow::RunActivities::default(),
    ));
    assert_eq!(play.starts(), ["b", "c", "d"]);
}

#[test]
fn a_step_nobody_knows_the_end_of_keeps_its_share_and_the_flow_says_so() {
    let mut play = play("pools: { sql: 1 }\nsteps:\n  a: { pool: sql }\n  b: { pool: sql }\n");
    let a = play.at("a");
    play.lose(a);
    assert_eq!(play.starts(), Vec::<String>::new());
    assert!(play.flow.waits_for_a_person(), "`b` waits for what only a person can free");
}

#[test]
fn a_retry_delay_frees_the_share() {
    let mut play = play(
        "pools: { sql: 1 }\nsteps:\n  a: { pool: sql, retry: { max_attempts: 2 } }\n  b: { pool: sql }\n",
    );
    play.ends("a", Failed);
    assert_eq!(play.starts(), ["b"]);
}

#[test]
fn the_highest_priority_starts_first() {
    let mut play = play(
        "max_parallel: 2\nsteps:\n  a: {}\n  b: { priority: -1 }\n  c: { priority: 5 }\n  d: { depends_on: [a] }\n",
    );
    assert_eq!(play.starts(), ["c", "a"]);
}

/// What runs last, for each way the flow may end.
const LAST: &str = "steps:\n  a: {}\n  b: { depends_on: [a] }\n  good: { finally: succeeded }\n  bad: { finally: failed }\n  ever: { finally: completed, for_each: [x] }\n";

#[test]
fn what_runs_last_waits_for_all_others_and_goes_by_the_flow_so_far() {
    let check = |end: RunStatus, starts: &[&str], spared: &str| {
        let mut play = play(LAST);
        play.ends("a", Succeeded);
        assert_eq!(play.starts(), ["b"]);
        play.ends("b", end);
        assert_eq!(play.starts(), starts);
        assert_eq!(play.outcome(spared), Some(Outcome::NotNeeded));
    };
    check(Succeeded, &["good", "ever[x]"], "bad");
    check(Failed, &["bad", "ever[x]"], "good");
}

#[test]
fn an_allowed_failure_is_none_for_what_runs_last() {
    let mut play = play(
        "steps:\n  a: { allow_failure: true }\n  good: { finally: succeeded }\n  bad: { finally: failed }\n",
    );
    play.ends("a", Failed);
    assert_eq!(play.starts(), ["good"]);
}

#[test]
fn nothing_that_runs_last_starts_while_the_flow_is_cancelled() {
    let mut play = play(LAST);
    let a = play.at("a");
    play.start(a);
    play.record(Event::CancelRequested);
    play.end(a, RunStatus::Cancelled);
    assert_eq!(play.starts(), Vec::<String>::new());
    for step in ["b", "good", "bad", "ever[x]"] {
        assert_eq!(play.outcome(step), Some(Outcome::Cancelled), "{step}");
    }
    assert!(play.flow.is_settled());
}

/// A failure, what cleans up after it, a branch of its own, and what runs last.
const HALTS: &str = "steps:\n  a: { retry: { max_attempts: 2 } }\n  b: { depends_on: [slow] }\n  slow: {}\n  bad: {}\n  mend: { depends_on: [{ bad: [failed] }] }\n  after: { depends_on: [mend] }\n  last: { finally: completed }\n";

#[test]
fn after_a_failure_too_many_nothing_new_starts_but_what_cleans_up() {
    let mut play = play(&format!("fail_fast: true\n{HALTS}"));
    play.ends("a", Failed);
    assert_eq!(play.outcome("a"), None, "its second attempt waits");
    let slow = play.at("slow");
    play.start(slow);
    play.ends("bad", Failed);
    assert_eq!(play.outcome("a"), Some(Outcome::Failed), "the waiting retry is dropped");
    assert_eq!(play.outcome("b"), Some(Outcome::Blocked), "at once, although `slow` still runs");
    assert_eq!(play.outcome("after"), Some(Outcome::Blocked));
    assert_eq!(play.starts(), ["mend"]);
    play.ends("mend", Succeeded);
    assert_eq!(play.starts(), Vec::<String>::new(), "`slow` goes on to its end");
    play.end(slow, Succeeded);
    assert_eq!(play.starts(), ["last"]);
}

#[test]
fn a_flow_stops_after_as_many_failures_as_the_plan_says() {
    let mut play = play(
        "max_failures: 2\nsteps:\n  a: {}\n  b: {}\n  c: { allow_failure: true }\n  d: { depends_on: [c] }\n",
    );
    play.ends("a", Failed);
    play.ends("c", Failed);
    assert_eq!(play.starts(), ["b", "d"], "an allowed failure does not count");
    play.ends("b", Failed);
    assert_eq!(play.outcome("d"), Some(Outcome::Blocked));
}

#[test]
fn a_resume_begins_anew_what_a_failure_stopped_and_what_runs_last() {
    let mut play = play(&format!("fail_fast: true\n{HALTS}"));
    for (step, end) in [("slow", Succeeded), ("bad", Failed), ("mend", Succeeded), ("last", Succeeded)] {
        play.ends(step, end);
    }
    assert!(play.flow.is_settled());
    let redo = redone(&play.flow, &std::collections::BTreeSet::new());
    let redo_ids: Vec<&str> = redo.iter().map(synflow::plan::StepId::as_str).collect();
    assert_eq!(redo_ids, ["a", "b", "bad", "mend", "after", "last", "all other steps"]);
    play.record(Event::Resumed {
        redo,
        trust: std::collections::BTreeMap::new(),
        definitions: std::collections::BTreeMap::new(),
    });
    assert_eq!(play.starts(), ["bad", "a", "b"]);
    for step in ["a", "bad", "b"] {
        play.ends(step, Succeeded);
    }
    assert_eq!(play.outcome("mend"), Some(Outcome::NotNeeded));
    play.facts();
    assert_eq!(play.starts(), ["last"]);
    assert_eq!(play.replayed().steps().count(), 7);
}

#[test]
fn a_resume_of_one_iteration_brings_its_group_along() {
    let mut play = play(PAIR);
    play.ends("a[x]", Succeeded);
    play.ends("one", Succeeded);
    play.ends("a[y]", Failed);
    assert_eq!((play.outcome("a"), play.outcome("all")), (Some(Outcome::Failed), Some(Outcome::Blocked)));
    let redo = redone(&play.flow, &std::collections::BTreeSet::new());
    play.record(Event::Resumed {
        redo,
        trust: std::collections::BTreeMap::new(),
        definitions: std::collections::BTreeMap::new(),
    });
    assert_eq!(play.starts(), ["a[y]"], "successes are kept");
    play.ends("a[y]", Succeeded);
    assert_eq!((play.outcome("a"), play.starts()), (Some(Outcome::Succeeded), vec!["all".to_owned()]));
}

#[test]
fn a_cancelled_group_is_all_its_iterations() {
    let mut play = play(PAIR);
    let x = play.at("a[x]");
    play.start(x);
    play.record(Event::StepCancelRequested { step: plan::StepId::new("a") });
    assert_eq!(play.starts(), Vec::<String>::new());
    play.end(x, RunStatus::Cancelled);
    play.facts();
    assert_eq!(play.outcome("a[y]"), Some(Outcome::Cancelled));
    assert_eq!(play.outcome("a"), Some(Outcome::Failed));
}

#[test]
fn a_strict_step_that_warned_has_failed() {
    let check = |keys: &str, want: Outcome| {
        let mut play = play(keys);
        play.start(0);
        play.see(0, Succeeded);
        let step = synflow::plan::StepIndex(0);
        play.record(synflow::flow::observe::judged(
            &play.flow,
            step,
            &synflow::flow::RunActivities::of(vec![activity("Copy_1", "Failed")]),
        ));
        play.facts();
        assert_eq!(play.outcome("a"), Some(want), "{keys}");
    };
    check("steps: { a: {} }", Outcome::Warned);
    check("steps: { a: { strict: true } }", Outcome::Failed);
    check("strict: true\nsteps: { a: {} }", Outcome::Failed);
    check("defaults: { strict: true }\nsteps: { a: {} }", Outcome::Failed);
    check("strict: true\nsteps: { a: { strict: false } }", Outcome::Warned);
    check("strict: true\ndefaults: { strict: false }\nsteps: { a: {} }", Outcome::Warned);
}

#[test]
fn a_plan_with_every_kind_of_step_can_be_killed_and_goes_on() {
    let script = "defaults: { queued: 20ms, duration: 150ms }\npipelines:\n  curate: { runs: [{ outcome: failed }, { outcome: succeeded }] }\n";
    let steps = "pools: { sql: 1 }\nsteps:\n  \
        ingest: { for_each: [emea, apac, amer], parameters: { region: '{{each.value}}' } }\n  \
        curate: { for_each: [emea, apac, amer], depends_on: ['ingest[{{each.key}}]'], pool: sql, retry: { max_attempts: 2, delay: 50ms }, parameters: { run: '{{steps.ingest.run_id}}', text: 'of {{each.key}}' } }\n  \
        publish: { depends_on: [curate] }\n  \
        pause: { finally: completed }\n";
    let stage = Stage::new(script, steps);
    stage.apply_and_kill(4);
    let said = stage.run("apply PLAN --resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(
        status["steps"].as_array().unwrap().len(),
        8,
        "groups are no entries of their own: {status:#}"
    );
    assert!(outcomes(&status).values().all(|outcome| *outcome == "succeeded"), "{status:#}");
    let record = stage.emulator.record();
    let runs: Vec<&Value> = record["runs"].as_array().unwrap().iter().collect();
    let of = |pipeline: &str| runs.iter().filter(|run| run["pipeline"] == pipeline).collect::<Vec<_>>();
    assert_eq!(
        (of("ingest").len(), of("curate").len(), of("publish").len(), of("pause").len()),
        (3, 4, 1, 1)
    );
    let texts: Vec<&Value> = of("curate").iter().map(|run| &run["parameters"]["text"]).collect();
    assert!(texts.contains(&&json!("of emea")), "{texts:?}");
    // Of the pool there is one: no two runs of `curate` at once.
    let mut spans: Vec<(&str, &str)> = of("curate")
        .iter()
        .map(|run| (run["accepted_at"].as_str().unwrap(), run["ended_at"].as_str().unwrap()))
        .collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
}

#[test]
fn all_iterations_can_be_cancelled_by_the_id_of_their_step() {
    let stage = Stage::new(
        "defaults: { queued: 20ms, duration: 20s, canceling: 50ms }\n",
        "steps:\n  a: { for_each: [x, y] }\n  b: {}\n",
    );
    let mut apply = stage.begin("apply PLAN");
    wait_until("the runs are accepted", || ran(&stage.emulator).len() == 3);
    let said = stage.run("cancel --step a");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(outcomes(&status)["a[x]"], "cancelled");
    assert_eq!(outcomes(&status)["a[y]"], "cancelled");
    assert_eq!(outcomes(&status)["b"], "-");
    apply.kill().unwrap();
    apply.wait().unwrap();
}

#[test]
fn a_warned_step_ends_13_where_that_is_asked_for() {
    let copy = json!({ "name": "Copy_1", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 1 } });
    let mend = json!({ "name": "Mend", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 1 },
        "dependsOn": [{ "activity": "Copy_1", "dependencyConditions": ["Failed"] }] });
    let definition = json!({ "name": "a", "properties": { "activities": [copy, mend] } });
    let check = |keys: &str, words: &str, code: i32, outcome: &str| {
        let space = TestSpace::new();
        std::fs::create_dir_all(space.path("git/pipeline")).unwrap();
        space.write("git/pipeline/a.json", &definition.to_string());
        let script = space.write(
            "script.yaml",
            "speed: 20\npipelines:\n  a: { activities: { Copy_1: { fails_first: 1 } } }\n",
        );
        let plan = space.write(
            "plan.yaml",
            &format!("version: 1\nname: test\nworkspace: contoso-dw\n{keys}steps:\n  a: {{}}\n"),
        );
        let (plan, script, git) = (plan.display(), script.display(), space.path("git"));
        let said = space.run(&format!(
            "apply {plan} --emulate --script {script} --artifacts {} --beat 100ms{words}",
            git.display()
        ));
        assert_eq!(said.code, code, "{keys} {words}: {}", said.stderr);
        assert_eq!(outcomes(&space.status())["a"], outcome, "{keys} {words}: {}", said.stderr);
    };
    check("", "", 0, "warned");
    check("", " --strict", 13, "warned");
    check("", " --trust-status", 0, "succeeded");
    check("strict: true\n", "", 1, "failed");
    check("strict: true\n", " --trust-status", 1, "failed");
    check("defaults: { allow_failure: true }\n", " --strict", 0, "warned");
}
