//! The scheduler against the emulator's own model of the service in virtual time: seeded, without tokio, sockets
//! or a clock, with a crash possible at every point.
//!
//! Each seed makes a plan, a workspace with its own moods and a night full of trouble ([`sketch`]), plays it to
//! its end ([`world`]) and holds every event against the service's own record ([`judge`]).
//! `SYNFLOW_SEEDS=n` chooses how many seeds run; a failing one prints itself, and `SYNFLOW_SEED=n` runs it alone.
//! Which breakages of the code these tests have caught is kept in `tests/mutations/mutations.json`.

mod disturb;
mod judge;
mod ledger;
mod network;
mod process;
mod sketch;
mod tally;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use synflow::flow::{Event, Outcome};
use synflow::plan::{RetryOn, Step};

use self::sketch::{Mood, Sketch};
use self::tally::Tally;
use self::world::World;
use crate::dice::Dice;

/// How many seeds run where `SYNFLOW_SEEDS` does not say.
const SEEDS: u64 = 2_000;

/// After how many failed seeds a thread plays no more.
const FAILED_MAX: usize = 5;

/// Plays one seed and judges it.
fn played(seed: u64) -> World {
    let mut world = World::new(seed);
    world.run();
    world.judge_rest();
    if world.sketch.mood == Mood::Twin {
        judge_twin(&world, seed);
    }
    world
}

/// Where nothing but crashes and faults disturb, a night ends as its undisturbed twin does, with as many starts.
fn judge_twin(world: &World, seed: u64) {
    if retries_by_a_code_unread(world) {
        return;
    }
    let calm: Sketch = world.sketch.undisturbed();
    let mut twin = World::of(calm, Dice(!seed));
    twin.run();
    twin.judge_rest();
    let pairs = world.judge.results().into_iter().zip(twin.judge.results()).zip(&world.sketch.plan.steps);
    for (((outcome, accepted, redone), (want, want_accepted, _)), step) in pairs {
        // That an activity failed may stay unknown where activities cannot be read.
        let plain = |outcome: Option<Outcome>| match outcome {
            Some(Outcome::Warned) => Some(Outcome::Succeeded),
            other => other,
        };
        assert_eq!(plain(outcome), plain(want), "`{}` against its twin", step.id);
        if redone == 0 {
            assert_eq!(accepted, want_accepted, "starts of `{}` against its twin's", step.id);
        } else {
            assert!(accepted >= want_accepted, "starts of `{}`: {accepted}, not {want_accepted}", step.id);
        }
    }
}

/// Says whether a retry went by an error's code in a night that could not read it: the activities that tell it were asked
/// for in vain.
fn retries_by_a_code_unread(world: &World) -> bool {
    let goes_by_code = |step: &&Step| step.retry.on.iter().any(|on| matches!(on, RetryOn::Code(_)));
    world.sketch.plan.steps.iter().filter(goes_by_code).any(|step| {
        world.ledger.events.iter().any(|recorded| match &recorded.event {
            Event::AttemptEnded { step: of, error: Some(error), .. } => {
                *of == step.id && error.code.is_empty()
            }
            _ => false,
        })
    })
}

fn number_from_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Plays every `threads`-th seed. Returns what they came to, and the seeds that failed.
fn share(first: u64, seeds: u64, threads: u64) -> (Tally, Vec<u64>) {
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for seed in (first..seeds).step_by(threads as usize) {
        match catch_unwind(AssertUnwindSafe(|| played(seed))) {
            Ok(world) => tally.merge(world.tally),
            Err(_) => failed.push(seed),
        }
        if failed.len() >= FAILED_MAX {
            break;
        }
    }
    (tally, failed)
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number_from_environment("SYNFLOW_SEED") {
        let mut world = World::new(seed);
        if catch_unwind(AssertUnwindSafe(|| world.run())).is_err() {
            let events = world.ledger.events.iter();
            let events: Vec<String> = events.map(|event| serde_json::to_string(event).unwrap()).collect();
            panic!("at {} of {:?}, after\n{}", world.now, world.sketch.mood, events.join("\n"));
        }
        played(seed);
        return;
    }
    let seeds = number_from_environment("SYNFLOW_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || share(first, seeds, threads))).collect();
        for share in shares {
            let (its_tally, its_failed) = share.join().unwrap();
            tally.merge(its_tally);
            failed.extend(its_failed);
        }
    });
    failed.sort_unstable();
    if let Some(seed) = failed.first() {
        panic!(
            "seeds {failed:?} failed, see above; `SYNFLOW_SEED={seed} cargo test --test it every_seed` plays one alone"
        );
    }
    if seeds >= SEEDS {
        tally.demand_everything();
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in 0..60 {
        assert_eq!(played(seed).ledger.events, played(seed).ledger.events, "seed {seed}");
    }
    assert_ne!(played(0).ledger.events, played(1).ledger.events);
}
