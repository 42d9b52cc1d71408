//! The scheduler against a pretend service in virtual time: seeded, without tokio, sockets or a clock.
//!
//! Each seed makes a random plan and a service with its own moods, runs the plan to its end as the driver does
//! and holds the result against the service's own record and against the table of edges, stated here once more.
//! `SYNFLOW_SEEDS=n` chooses how many seeds run; a failing one prints itself, and `SYNFLOW_SEED=n` runs it alone.

// Breakages that these tests have caught, each made in the code by hand and taken back. First what was broken, then
// the words with which `every_seed_keeps_the_promises` failed, or the name of another test; most failed several.
//
// - The end of an attempt, not of its step, releases the downstreams: left before its upstream ended.
// - Edges are judged when the first upstream has failed: left although an edge is not met.
// - A bare edge is met by a failure: the service's record says blocked.
// - Retries start although every place is taken: more live at once than allowed.
// - A step that is unknown gives its place back: more live at once than allowed.
// - An unclear start is sent again like one that was not sent: accepted twice.
// - A start that is sent again gets a new id: sent again with another id.
// - One look-up settles an unclear start, without the grace: it runs, and nobody found it.
// - A timeout ends the attempt before the service has: left before its upstream ended.
// - The last retry is left out: left before its upstream ended.
// - An unknown word of the service counts as an end: left before its upstream ended.
// - A retry that has started is not taken off the list of those that wait: `Flow::check`.
// - A refused start is tried again: it was refused and left again.
// - A run missing from the lists is never looked up: the flow does not settle.
// - Lists reach back without an overlap: `lists_hold_what_changed_and_sweeps_hold_all`.
// - What was missed while a start was unclear still counts once its run is found: it runs, and nobody found it.
// - A refusal after an unclear request counts after the short look: ended, but the record says it is open.
// - A failed cancel is not repeated: `a_timeout_cancels_until_the_service_accepts_it`.
// - Ready steps start in file order: `the_longest_remaining_path_starts_first_then_file_order`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use synflow::flow::{Outcome, Recorded, RunStatus, StepState};
use synflow::plan::{Backoff, Condition, EdgeRule, Plan, Retry, Step, StepIndex};
use synflow::time::Delay;

use crate::play::{DAWN, edge, plan, step};
use crate::pretend::{Create, Dice, Run};
use crate::world::World;

/// How many seeds run where `SYNFLOW_SEEDS` does not say.
const SEEDS: u64 = 2_000;

/// How a step ended, judged by the service's record alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Well,
    Badly,
    NotNeeded,
    Blocked,
}

/// The promises, judged by the record of the service and the network.
impl World {
    /// A start request leaves: never early, and never with another id than the attempt's first.
    pub(crate) fn judge_start(&self, create: &Create) {
        let earlier = self.sent[create.step].iter().filter(|sent| sent.attempt == create.attempt);
        for sent in earlier {
            assert_eq!(sent.run, create.run, "step {} was sent again with another id", create.step);
        }
        // Unless a request before the refused one had been taken: the refusal says nothing of that.
        let refused =
            |&&(step, attempt): &&(usize, u32)| step == create.step && self.accepted(step, attempt).is_none();
        let refused = self.refused.iter().find(refused);
        assert!(refused.is_none(), "step {} was refused and left again", create.step);
        let verdicts = self.verdicts();
        for edge in &self.step(create.step).depends_on {
            let verdict = verdicts[edge.upstream.0];
            let allowed = self.step(edge.upstream.0).allow_failure;
            assert_ne!(verdict, Verdict::Open, "step {} left before {:?} ended", create.step, edge.upstream);
            let met = is_met(&edge.rule, verdict, allowed);
            assert!(met, "step {} left although {:?} ended {verdict:?}", create.step, edge.upstream);
        }
    }

    /// A run was accepted: never twice for one attempt, and never more than allowed at once.
    pub(crate) fn judge_places(&self) {
        let newest = &self.service.runs[self.service.runs.len() - 1].asked;
        let same = |run: &&Run| run.asked.step == newest.step && run.asked.attempt == newest.attempt;
        let accepted = self.service.runs.iter().filter(same).count();
        assert_eq!(accepted, 1, "step {} attempt {} was accepted twice", newest.step, newest.attempt);
        let live = self.service.runs.iter().filter(|run| run.ends_at > self.play.now).count();
        let allowed = self.play.flow.plan().max_parallel;
        assert!(live <= allowed, "{live} runs live at once, {allowed} allowed");
    }

    /// The flow has come to rest: as the service's record says, and with no run lost.
    fn judge_rest(&self) {
        self.play.flow.check();
        let settled = self.play.flow.exit_code().is_some();
        let verdicts = self.verdicts();
        for (index, step, run) in self.play.flow.steps() {
            let verdict = verdicts[index.0];
            let id = &step.id;
            match (&run.state, verdict) {
                (StepState::Ended { outcome: Outcome::Succeeded | Outcome::Warned }, Verdict::Well)
                | (
                    StepState::Ended { outcome: Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled },
                    Verdict::Badly,
                )
                | (StepState::Ended { outcome: Outcome::NotNeeded }, Verdict::NotNeeded)
                | (StepState::Ended { outcome: Outcome::Blocked }, Verdict::Blocked) => {}
                (StepState::Unknown, _) => {
                    assert!(!settled, "`{id}` is unknown, yet the flow has ended");
                    let run = run.last_attempt().unwrap();
                    let made = self.accepted(index.0, run.number).is_some();
                    assert!(!made || !self.service.honours_ids, "`{id}` runs, and nobody found it");
                }
                // Its upstreams may all have ended by the record, yet nobody here knows it of one of them.
                (StepState::Waiting, _) => {
                    assert!(!settled, "`{id}` never ended, yet the flow has");
                    let mut above = self.play.flow.graph().all_upstreams(index).into_iter();
                    let open = above.any(|step| !matches!(self.play.state(step.0), StepState::Ended { .. }));
                    assert!(open, "`{id}` waits for nothing");
                }
                // Badly: see where a step has a timeout, in `verdict_of_sent`.
                (StepState::Ready, Verdict::Open)
                | (StepState::Retrying { .. }, Verdict::Open | Verdict::Badly) => {
                    assert!(!settled, "`{id}` never ended, yet the flow has");
                    assert_eq!(self.play.flow.places_left(), 0, "`{id}` could start");
                }
                (state, verdict) => panic!("`{id}` is {state:?}, but the service's record says {verdict:?}"),
            }
            if settled && run.outcome() == Some(Outcome::TimedOut) {
                assert!(step.timeout.is_some(), "`{id}` has no timeout");
            }
        }
        for run in &self.service.runs {
            let attempts = &self.play.flow.run(StepIndex(run.asked.step)).attempts;
            let attempt = &attempts[run.asked.attempt as usize - 1];
            let known = attempt.run == run.id || attempt.outcome == Some(Outcome::Unknown);
            assert!(known, "run {} was accepted, and the flow knows nothing of it", run.id);
        }
    }

    /// Replaying the events gives the same flow.
    fn judge_replay(&self) {
        let replayed = self.play.replayed();
        replayed.check();
        for ((_, step, live), (_, _, again)) in self.play.flow.steps().zip(replayed.steps()) {
            assert_eq!(live, again, "`{}` after replay", step.id);
        }
        assert_eq!(replayed.exit_code(), self.play.flow.exit_code());
        assert_eq!(replayed.last_seq(), self.play.flow.last_seq());
    }

    fn step(&self, step: usize) -> &Step {
        &self.play.flow.plan().steps[step]
    }

    fn accepted(&self, step: usize, attempt: u32) -> Option<&Run> {
        self.service.runs.iter().find(|run| run.asked.step == step && run.asked.attempt == attempt)
    }

    /// Judges every step by what was sent and what the service made of it, knowing nothing of the flow.
    fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = vec![None; self.sent.len()];
        for step in 0..self.sent.len() {
            self.verdict(step, &mut verdicts);
        }
        verdicts.into_iter().map(|verdict| verdict.unwrap()).collect()
    }

    fn verdict(&self, step: usize, known: &mut Vec<Option<Verdict>>) -> Verdict {
        if let Some(verdict) = known[step] {
            return verdict;
        }
        let verdict = match self.sent[step].last() {
            Some(sent) => self.verdict_of_sent(step, sent),
            None => self.verdict_of_unsent(step, known),
        };
        known[step] = Some(verdict);
        verdict
    }

    fn verdict_of_sent(&self, step: usize, sent: &Create) -> Verdict {
        let Some(run) = self.accepted(step, sent.attempt) else {
            let refused = self.refused.contains(&(step, sent.attempt));
            return if refused { Verdict::Badly } else { Verdict::Open };
        };
        // Where there is a timeout, a run that failed may count as timed out, which is not tried again.
        let again = sent.attempt < self.step(step).retry.max_attempts && self.step(step).timeout.is_none();
        match run.end {
            _ if self.play.now < run.ends_at => Verdict::Open,
            RunStatus::Succeeded => Verdict::Well,
            RunStatus::Failed if again => Verdict::Open,
            _ => Verdict::Badly,
        }
    }

    fn verdict_of_unsent(&self, step: usize, known: &mut Vec<Option<Verdict>>) -> Verdict {
        let edges = &self.step(step).depends_on;
        let upstreams: Vec<Verdict> = edges.iter().map(|edge| self.verdict(edge.upstream.0, known)).collect();
        if upstreams.contains(&Verdict::Open) {
            return Verdict::Open;
        }
        let unmet: Vec<Verdict> = edges
            .iter()
            .zip(upstreams)
            .filter(|(edge, verdict)| !is_met(&edge.rule, *verdict, self.step(edge.upstream.0).allow_failure))
            .map(|(_, verdict)| verdict)
            .collect();
        match unmet.as_slice() {
            [] => Verdict::Open,
            unmet if unmet.iter().all(|it| matches!(it, Verdict::Well | Verdict::NotNeeded)) => {
                Verdict::NotNeeded
            }
            _ => Verdict::Blocked,
        }
    }
}

/// The table of edges, stated once more: rows are how the upstream ended, columns what the edge asks for.
fn is_met(rule: &EdgeRule, verdict: Verdict, allow_failure: bool) -> bool {
    let EdgeRule::AnyOf(conditions) = rule else {
        return verdict == Verdict::Well || verdict == Verdict::Badly && allow_failure;
    };
    let row: &[Condition] = match verdict {
        Verdict::Open => &[],
        Verdict::Well => &[Condition::Succeeded, Condition::Completed],
        Verdict::Badly => &[Condition::Failed, Condition::Completed],
        Verdict::NotNeeded | Verdict::Blocked => &[Condition::Skipped],
    };
    conditions.iter().any(|condition| row.contains(condition))
}

/// Makes 10 to 60 steps that depend on each other in every way, in an order that is not theirs.
fn random_plan(dice: &mut Dice) -> Plan {
    let count = dice.within(10, 60) as usize;
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, dice.within(0, last as u64) as usize);
    }
    let workspaces = if dice.percent(20) { 2 } else { 1 };
    let mut steps: Vec<Step> = (0..count).map(|number| random_step(dice, number, workspaces)).collect();
    for place in 1..count {
        let mut upstreams = BTreeSet::new();
        for _ in 0..dice.within(0, 3) {
            upstreams.insert(order[dice.within(0, place as u64 - 1) as usize]);
        }
        let edges = upstreams.into_iter().map(|upstream| edge(upstream, random_rule(dice)));
        steps[order[place]].depends_on = edges.collect();
    }
    plan(dice.within(1, 8) as usize, steps)
}

fn random_step(dice: &mut Dice, number: usize, workspaces: u64) -> Step {
    let backoff = if dice.percent(50) { Backoff::Fixed } else { Backoff::Exponential };
    let retry = Retry {
        max_attempts: if dice.percent(40) { dice.within(2, 3) as u32 } else { 1 },
        delay: dice.delay(0, 60_000),
        backoff,
        max_delay: Delay::from_secs(90),
        ..Retry::default()
    };
    Step {
        workspace: dice.within(0, workspaces - 1) as usize,
        timeout: dice.percent(20).then(|| dice.delay(5_000, 120_000)),
        retry,
        allow_failure: dice.percent(15),
        ..step(&format!("s{number}"), &[])
    }
}

fn random_rule(dice: &mut Dice) -> EdgeRule {
    if dice.percent(60) {
        return EdgeRule::Bare;
    }
    let words = [Condition::Succeeded, Condition::Failed, Condition::Skipped, Condition::Completed];
    let mut conditions = vec![words[dice.within(0, 3) as usize]];
    let second = words[dice.within(0, 3) as usize];
    if dice.percent(40) && !conditions.contains(&second) {
        conditions.push(second);
    }
    EdgeRule::AnyOf(conditions)
}

/// Returns the world that this seed makes.
fn world(seed: u64) -> World {
    let mut dice = Dice(seed);
    let plan = random_plan(&mut dice);
    World::new(plan, dice, seed.is_multiple_of(8))
}

/// Plays one seed, judges it, and returns what was recorded.
fn played(seed: u64) -> World {
    let mut world = world(seed);
    world.drive();
    world.judge_rest();
    world.judge_replay();
    world
}

/// What some seeds came to: a simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default)]
struct Tally {
    settled: u64,
    unknown: u64,
    outcomes: BTreeMap<Outcome, u64>,
    kinds: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, world: &World) {
        match world.play.flow.exit_code() {
            Some(_) => self.settled += 1,
            None => self.unknown += 1,
        }
        for (_, _, run) in world.play.flow.steps() {
            if let Some(outcome) = run.outcome() {
                *self.outcomes.entry(outcome).or_default() += 1;
            }
        }
        for Recorded { event, .. } in &world.play.events {
            let json = serde_json::to_value(event).unwrap();
            *self.kinds.entry(json["kind"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.settled += other.settled;
        self.unknown += other.unknown;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Plays every `threads`-th seed.
fn share(first: u64, seeds: u64, threads: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in (first..seeds).step_by(threads as usize) {
        let world = catch_unwind(AssertUnwindSafe(|| played(seed))).unwrap_or_else(|_| {
            panic!("seed {seed} failed, see above; `SYNFLOW_SEED={seed} cargo test --test it every_seed` runs it alone")
        });
        tally.add(&world);
    }
    tally
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number_from_environment("SYNFLOW_SEED") {
        played(seed);
        return;
    }
    let seeds = number_from_environment("SYNFLOW_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || share(first, seeds, threads))).collect();
        for share in shares {
            match share.join() {
                Ok(share) => tally.merge(share),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    if seeds >= 100 {
        assert!(tally.settled > seeds / 2, "{tally:?}");
        assert!(tally.unknown > 0, "{tally:?}");
        let not_yet = [Outcome::Skipped];
        let outcomes = [
            Outcome::Succeeded,
            Outcome::Warned,
            Outcome::Failed,
            Outcome::Cancelled,
            Outcome::TimedOut,
            Outcome::Skipped,
            Outcome::NotNeeded,
            Outcome::Blocked,
            Outcome::Unknown,
        ];
        for outcome in outcomes.iter().filter(|outcome| !not_yet.contains(outcome)) {
            assert!(tally.outcomes.contains_key(outcome), "no step ended {outcome}: {tally:?}");
        }
        assert_eq!(tally.kinds.len(), 14, "some kind of event never came: {tally:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in 0..100 {
        assert_eq!(played(seed).play.events, played(seed).play.events, "seed {seed}");
    }
    assert_ne!(played(0).play.events, played(1).play.events);
}

#[test]
fn without_faults_every_flow_settles() {
    for seed in 0..200 {
        let mut world = world(seed);
        world.fault_percent = 0;
        world.drive();
        world.judge_rest();
        assert!(world.play.flow.exit_code().is_some(), "seed {seed}");
        assert!(world.play.now > DAWN, "seed {seed}");
    }
}
