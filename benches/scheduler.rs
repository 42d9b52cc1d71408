//! The cost of scheduling: of whole flows, and of one event in the midst of a large one.
//!
//! ```sh
//! cargo bench --bench scheduler
//! ```

mod made;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use synflow::flow::Flow;
use synflow::flow::decide::{Effect, decide};
use synflow::flow::policy::Limits;
use synflow::flow::watch::Watch;
use synflow::graph::PlanGraph;
use synflow::plan::StepIndex;
use synflow::time::{Delay, Timestamp};

use made::{DAWN, flow, graph, layered, record, start, succeed, wide};

const LIMITS: Limits =
    Limits { beat: Delay::from_secs(5), start_grace: Delay::from_secs(120), checks_successes: true, seed: 7 };

fn main() {
    divan::main();
}

/// Does all that is wanted at this time, and has it answered.
fn settle(flow: &mut Flow, watch: &mut Watch, now: Timestamp) {
    loop {
        let decision = decide(flow, watch, &LIMITS, now);
        let wants = decision.effects.iter().any(|effect| matches!(effect, Effect::Start { .. }));
        let has_facts = !decision.facts.is_empty();
        decision.facts.into_iter().for_each(|fact| record(flow, now, fact));
        for effect in decision.effects {
            match effect {
                Effect::Start { step, .. } => start(flow, now, step),
                other => {
                    if let Some(chore) = other.chore() {
                        watch.begin(chore, now);
                        watch.answered(chore, &LIMITS, now);
                    }
                }
            }
        }
        if !wants && !has_facts {
            return;
        }
    }
}

/// Plays a flow to its end, one round of decisions for each beat in which a tenth of the live runs ends.
fn play(flow: &mut Flow) -> u64 {
    let (mut watch, mut now) = (Watch::default(), DAWN);
    settle(flow, &mut watch, now);
    while flow.exit_code().is_none() {
        now = now + LIMITS.beat;
        let live: Vec<StepIndex> = flow.live().collect();
        for &step in live.iter().take(live.len().div_ceil(10)) {
            succeed(flow, now, step);
        }
        settle(flow, &mut watch, now);
    }
    flow.last_seq()
}

/// From the first decision to the end of the flow: 1,000 places, every step waits for three others.
#[divan::bench(args = [10_000, 100_000], sample_count = 5)]
fn decide_and_apply(bencher: Bencher, steps: usize) {
    let plan = Arc::new(layered(steps, 1_000));
    let graph = graph(&plan);
    let events = play(&mut flow(&plan, &graph));
    bencher.counter(ItemsCount::new(events)).with_inputs(|| flow(&plan, &graph)).bench_local_refs(play);
}

/// One of 1,000 runs ends in the midst of a flow of so many steps, and another starts in its place.
#[divan::bench(args = [2_000, 10_000, 100_000], sample_count = 100, sample_size = 5)]
fn one_end(bencher: Bencher, steps: usize) {
    let plan = Arc::new(wide(steps, 1_000));
    let mut flow = flow(&plan, &graph(&plan));
    let mut watch = Watch::default();
    settle(&mut flow, &mut watch, DAWN);
    let mut now = DAWN;
    bencher.bench_local(|| {
        now = now + Delay::from_ms(1);
        let step = flow.live().next().expect("there are enough");
        succeed(&mut flow, now, step);
        settle(&mut flow, &mut watch, now);
    });
}

/// From the checked plan to the graph.
#[divan::bench(args = [10_000, 100_000], sample_count = 10)]
fn link(bencher: Bencher, steps: usize) {
    let plan = layered(steps, 1_000);
    bencher.counter(ItemsCount::new(steps)).bench_local(|| PlanGraph::link(&plan));
}
