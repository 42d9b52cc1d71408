//! The cost of scheduling: a layered graph of 10,000 steps with 1,000 places, from its first start to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::Map;
use synflow::flow::decide::{Effect, decide};
use synflow::flow::policy::Limits;
use synflow::flow::watch::Watch;
use synflow::flow::{
    Event, Flow, FlowHeader, FlowId, Recorded, RunActivities, RunId, RunSeen, RunStatus, observe,
};
use synflow::graph::PlanGraph;
use synflow::plan::{Cloud, Edge, EdgeRule, Place, Plan, Step, StepId, StepIndex, Workspace};
use synflow::time::{Delay, Timestamp};

const STEPS: usize = 10_000;
const LAYER: usize = 1_000;
const EDGES_EACH: usize = 3;
const DAWN: Timestamp = Timestamp::from_epoch_ms(1_700_000_000_000);

fn main() {
    divan::main();
}

/// Every step waits for three steps of the layer before its own.
fn layered() -> Plan {
    let step = |number: usize| {
        let upstreams = (0..EDGES_EACH).filter(|_| number >= LAYER).map(|nth| {
            let upstream = StepIndex((number / LAYER - 1) * LAYER + (number * 7 + nth * 331) % LAYER);
            Edge { upstream, rule: EdgeRule::Bare, place: Place::default() }
        });
        Step {
            id: StepId::new(&format!("s{number}")),
            pipeline: format!("pl_{number}"),
            depends_on: upstreams.collect(),
            ..Step::default()
        }
    };
    let workspace = Workspace {
        key: "main".to_owned(),
        name: "contoso-dw".to_owned(),
        endpoint: "https://contoso-dw.dev.azuresynapse.net".to_owned(),
        cloud: Cloud::Public,
        tenant: None,
        auth: None,
    };
    Plan {
        name: "layered".to_owned(),
        description: None,
        workspaces: vec![workspace],
        inputs: Map::new(),
        secret_inputs: std::collections::BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: BTreeMap::new(),
        run_key: String::new(),
        max_parallel: LAYER,
        pools: Vec::new(),
        deadline: None,
        hooks: synflow::plan::Hooks::default(),
        max_failures: None,
        steps: (0..STEPS).map(step).collect(),
        tests: Vec::new(),
    }
}

fn flow(plan: &Arc<Plan>, graph: &Arc<PlanGraph>) -> Flow {
    let header = FlowHeader {
        id: FlowId("7f3a9c".to_owned()),
        plan_name: plan.name.clone(),
        plan_file: "layered.yaml".to_owned(),
        plan_text: String::new(),
        plan_sha256: String::new(),
        environment: String::new(),
        run_key: String::new(),
        selection: synflow::graph::Selection::default(),
        inputs: Map::new(),
        env: std::collections::BTreeMap::new(),
        created_at: DAWN,
        emulated: true,
        max_parallel: plan.max_parallel,
        seed: 7,
        trust: BTreeMap::new(),
        definitions: BTreeMap::new(),
        commit: None,
    };
    Flow::new(header, Arc::clone(plan), Arc::clone(graph))
}

/// Plays a flow to its end, one round of decisions for each beat in which a tenth of the live runs ends.
fn play(flow: &mut Flow) -> u64 {
    let limits = Limits { beat: Delay::from_secs(5), start_grace: Delay::from_secs(120), seed: 7 };
    let mut watch = Watch::default();
    let mut now = DAWN;
    let mut runs = 0;
    let record = |flow: &mut Flow, now: Timestamp, event: Event| {
        let recorded = Recorded { seq: flow.last_seq() + 1, at: now, event };
        flow.apply(&recorded).expect("the event was decided");
    };
    while flow.exit_code().is_none() {
        let decision = decide(flow, &watch, &limits, now);
        if !decision.facts.is_empty() {
            decision.facts.into_iter().for_each(|fact| record(flow, now, fact));
            continue;
        }
        for effect in decision.effects {
            if let Effect::Start { step, attempt, parameters, secrets, recovery: None } = effect {
                runs += 1;
                let run = RunId(uuid::Uuid::from_u128(runs));
                let id = flow.step(step).id.clone();
                record(
                    flow,
                    now,
                    Event::StartIntended {
                        step: id.clone(),
                        attempt,
                        run,
                        parameters,
                        secrets,
                        recovery: None,
                    },
                );
                record(flow, now, Event::RunStarted { step: id, attempt, run, adopted: false });
            } else if let Some(chore) = effect.chore() {
                watch.answered(chore, &limits, now);
            }
        }
        let live: Vec<StepIndex> = flow.live().collect();
        for &step in live.iter().take(live.len().div_ceil(10)) {
            let run = flow.run(step).last_attempt().expect("a live step has an attempt").run;
            let seen = RunSeen {
                run,
                pipeline: String::new(),
                status: RunStatus::Succeeded,
                message: String::new(),
                run_start: None,
                run_end: None,
                last_updated: None,
                return_value: None,
            };
            let event = observe::run_seen(flow, step, &seen).expect("the run has ended");
            record(flow, now, event);
            let event = observe::judged(flow, step, &RunActivities::default());
            record(flow, now, event);
        }
        now = now + limits.beat;
    }
    flow.last_seq()
}

/// From the first decision to the end of the flow.
#[divan::bench(sample_count = 10)]
fn decide_and_apply(bencher: Bencher) {
    let plan = Arc::new(layered());
    let graph = Arc::new(PlanGraph::link(&plan).expect("layers have no cycle"));
    let events = play(&mut flow(&plan, &graph));
    bencher.counter(ItemsCount::new(events)).with_inputs(|| flow(&plan, &graph)).bench_local_refs(play);
}

/// From the checked plan to the graph.
#[divan::bench(sample_count = 10)]
fn link(bencher: Bencher) {
    let plan = layered();
    bencher.counter(ItemsCount::new(STEPS)).bench_local(|| PlanGraph::link(&plan));
}
