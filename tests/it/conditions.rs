//! `when`: what a step's own condition makes of it, by hand and through the real binary.

use std::collections::{BTreeMap, BTreeSet};

use synflow::flow::decide::Effect;
use synflow::flow::{Event, Outcome, RunStatus, StepState, resume};
use synflow::plan::{Given, Loaded, Plan, StepIndex, load};
use synflow::time::Delay;

use crate::play::Play;
use crate::space::TestSpace;
use crate::witness::{apply, outcomes, plan_at, ran};

fn plan(steps: &str) -> Plan {
    let inputs = "inputs:\n  full: { type: bool, default: false }\n  rows: { type: int, default: 3 }\n";
    let text = format!("version: 1\nname: sketch\nworkspace: w\n{inputs}steps:\n{steps}");
    match load(text.as_bytes(), &Given::default()) {
        Ok(Loaded { plan, .. }) => plan,
        Err(findings) => panic!("{findings:?}"),
    }
}

fn play(steps: &str) -> Play {
    Play::proven(plan(steps))
}

fn starts(play: &mut Play) -> Vec<usize> {
    let started = |effect: &Effect| if let Effect::Start { step, .. } = effect { Some(step.0) } else { None };
    play.effects().iter().filter_map(started).collect()
}

fn outcome(play: &Play, step: usize) -> Option<Outcome> {
    play.flow.run(StepIndex(step)).outcome()
}

fn reason(play: &Play, step: usize) -> &str {
    &play.flow.run(StepIndex(step)).reason
}

#[test]
fn a_false_condition_skips_the_step_and_a_true_one_starts_it() {
    let mut play =
        play("  a: { when: inputs.full }\n  b: { when: inputs.rows > 2 }\n  c: { depends_on: [a] }\n");
    assert_eq!(starts(&mut play), [1, 2], "a skipped step holds up nothing that waits for it by a bare edge");
    assert_eq!(outcome(&play, 0), Some(Outcome::Skipped));
    assert_eq!(reason(&play, 0), "`when` is false: inputs.full (inputs.full is false)");
    play.play(1, RunStatus::Succeeded);
    play.play(2, RunStatus::Succeeded);
    assert_eq!(play.flow.exit_code(), Some(0));
    assert_eq!(format!("{:?}", play.replayed()), format!("{:?}", play.flow));
}

#[test]
fn a_skipped_step_meets_the_edges_that_say_so() {
    let steps = "  a: { when: inputs.full }\n  s: { depends_on: [{ a: [succeeded] }] }\n  k: { depends_on: [{ a: [skipped] }] }\n  c: { depends_on: [{ a: [completed] }] }\n";
    let mut play = play(steps);
    assert_eq!(starts(&mut play), [2, 3]);
    assert_eq!(outcome(&play, 1), Some(Outcome::NotNeeded));
}

#[test]
fn a_condition_is_asked_when_all_upstreams_have_ended() {
    let steps =
        "  a: { allow_failure: true }\n  b: { depends_on: [a], when: steps.a.outcome == \"failed\" }\n";
    let mut one = play(steps);
    assert_eq!(starts(&mut one), [0]);
    one.play(0, RunStatus::Failed);
    assert_eq!(starts(&mut one), [1]);
    let mut other = play(steps);
    other.play(0, RunStatus::Succeeded);
    assert_eq!(outcome(&other, 1), Some(Outcome::Skipped));
    let want = "`when` is false: steps.a.outcome == \"failed\" (steps.a.outcome is \"succeeded\")";
    assert_eq!(reason(&other, 1), want);
    assert_eq!(other.flow.exit_code(), Some(0));
}

#[test]
fn a_condition_that_cannot_be_evaluated_fails_the_step_for_good() {
    let steps = "  a: { when: inputs.full }\n  b: { depends_on: [a], retry: { max_attempts: 3 }, when: steps.a.run_id == \"x\" }\n";
    let mut play = play(steps);
    play.facts();
    assert_eq!(outcome(&play, 1), Some(Outcome::Failed));
    assert_eq!(play.attempt(1), 0, "nothing was started");
    assert_eq!(
        reason(&play, 1),
        "`when` cannot be evaluated: `steps.a.run_id` has no value; give one with `default(steps.a.run_id, ...)`"
    );
    assert_eq!(play.flow.exit_code(), Some(1));
}

#[test]
fn a_retry_does_not_ask_again_and_a_step_begun_anew_does() {
    let steps = "  a: { allow_failure: true }\n  b: { depends_on: [a], retry: { max_attempts: 3 }, when: steps.a.outcome == \"failed\" }\n";
    let mut play = play(steps);
    play.play(0, RunStatus::Failed);
    play.play(1, RunStatus::Failed);
    play.wait(Delay::from_secs(30));
    assert_eq!(starts(&mut play), [1], "the second attempt");
    // A resume begins `a` anew, and with it `b`, which waited for its next attempt.
    let redo = resume::redone(&play.flow, &BTreeSet::new());
    play.record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
    play.play(0, RunStatus::Succeeded);
    assert_eq!(outcome(&play, 1), Some(Outcome::Skipped), "asked anew, and false this time");
}

#[test]
fn a_resume_asks_a_skipped_step_again_only_if_what_it_asks_about_begins_anew() {
    let steps = "  a: { allow_failure: true }\n  b: { depends_on: [a], when: steps.a.outcome == \"succeeded\" }\n  c: { depends_on: [a], when: inputs.full }\n";
    let mut play = play(steps);
    play.play(0, RunStatus::Failed);
    assert_eq!(outcome(&play, 1), Some(Outcome::Skipped));
    assert_eq!(outcome(&play, 2), Some(Outcome::Skipped));
    let redo = resume::redone(&play.flow, &BTreeSet::new());
    let names: Vec<&str> = redo.iter().map(synflow::plan::StepId::as_str).collect();
    assert_eq!(names, ["a", "b"]);
    play.record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
    play.play(0, RunStatus::Succeeded);
    assert_eq!(starts(&mut play), [1]);
    assert_eq!(*play.state(2), StepState::Ended { outcome: Outcome::Skipped });
}

#[test]
fn a_condition_may_read_only_what_is_upstream() {
    let text =
        "version: 1\nname: x\nworkspace: w\nsteps:\n  a:\n  b: { when: steps.a.outcome == \"failed\" }\n";
    let Loaded { plan, .. } = load(text.as_bytes(), &Given::default()).unwrap();
    let problems = synflow::graph::PlanGraph::link(&plan).unwrap_err();
    assert_eq!(problems[0].code.id(), "E0305");
    assert_eq!(problems[0].place().map(|place| (place.line, place.column)), Some((6, 14)));
}

#[test]
fn the_example_skips_two_of_its_steps() {
    let space = TestSpace::new();
    let said = space.run("apply examples/conditions.yaml --emulate");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = space.status();
    let outcomes = outcomes(&status);
    let of = |word: &str| outcomes.iter().filter(|(_, o)| **o == word).map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(of("skipped"), ["explain_failure", "rebuild"]);
    assert_eq!(of("succeeded"), ["close_month", "load-sales", "refresh_report"]);
    assert!(said.stderr.contains("`when` is false: inputs.full_reload"), "{}", said.stderr);
    let said = space.run("apply examples/conditions.yaml --emulate --dry-run");
    assert!(said.stdout.contains("    when inputs.full_reload\n"), "{}", said.stdout);

    let other = TestSpace::new();
    let said =
        other.run("apply examples/conditions.yaml --emulate --input day=2024-06-01 --input full_reload=true");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = other.status();
    let outcomes = crate::witness::outcomes(&status);
    assert_eq!(outcomes["rebuild"], "succeeded");
    assert_eq!(outcomes["close_month"], "skipped");
    assert_eq!(outcomes["refresh_report"], "skipped", "it is a Saturday");
}

#[test]
fn a_condition_that_fails_starts_nothing_at_the_service() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let steps = "steps:\n  a: { when: plan.name == \"other\" }\n  b: { depends_on: [a], when: steps.a.run_id != \"x\" }\n  c: { depends_on: [b] }\n";
    let said = apply(&space, &emulator, &plan_at(&emulator, steps), "");
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("`steps.a.run_id` has no value"), "{}", said.stderr);
    let status = space.status();
    let outcomes = outcomes(&status);
    assert_eq!((outcomes["a"], outcomes["b"], outcomes["c"]), ("skipped", "failed", "blocked"));
    assert!(ran(&emulator).is_empty());
}
