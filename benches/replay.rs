//! The cost of events: folding 100,000 of them into a flow, and putting them on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::Map;
use synflow::flow::{Event, Flow, FlowHeader, FlowId, Outcome, Recorded, RunId, RunStatus};
use synflow::graph::PlanGraph;
use synflow::journal::Journal;
use synflow::plan::{Cloud, Plan, Step, StepId, Workspace};
use synflow::time::Timestamp;

const EVENTS: usize = 100_000;
const EVENTS_EACH: usize = 5;
const GROUP: usize = 64;
const DAWN: Timestamp = Timestamp::from_epoch_ms(1_700_000_000_000);

fn main() {
    divan::main();
}

/// As many steps as it takes, none waiting for another.
fn plan() -> Plan {
    let step = |number: usize| Step { id: id(number), pipeline: format!("pl_{number}"), ..Step::default() };
    let workspace = Workspace {
        key: "main".to_owned(),
        name: "contoso-dw".to_owned(),
        endpoint: "https://contoso-dw.dev.azuresynapse.net".to_owned(),
        cloud: Cloud::Public,
        tenant: None,
        auth: None,
    };
    let steps = (0..EVENTS / EVENTS_EACH).map(step).collect();
    Plan {
        name: "wide".to_owned(),
        description: None,
        workspaces: vec![workspace],
        inputs: Map::new(),
        secret_inputs: std::collections::BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: BTreeMap::new(),
        run_key: String::new(),
        deadline: None,
        hooks: synflow::plan::Hooks::default(),
        max_parallel: EVENTS,
        pools: Vec::new(),
        max_failures: None,
        steps,
        tests: Vec::new(),
    }
}

fn id(number: usize) -> StepId {
    StepId::new(&format!("s{number}"))
}

fn header() -> FlowHeader {
    FlowHeader {
        id: FlowId("7f3a9c".to_owned()),
        plan_name: "wide".to_owned(),
        plan_file: "wide.yaml".to_owned(),
        plan_text: String::new(),
        plan_sha256: String::new(),
        environment: String::new(),
        run_key: String::new(),
        selection: synflow::graph::Selection::default(),
        inputs: Map::new(),
        env: std::collections::BTreeMap::new(),
        created_at: DAWN,
        emulated: true,
        max_parallel: EVENTS,
        seed: 7,
        trust: BTreeMap::new(),
        definitions: BTreeMap::new(),
        commit: None,
    }
}

/// The life of one step that succeeds.
fn life(number: usize) -> [Event; EVENTS_EACH] {
    let step = || id(number);
    let run = RunId(uuid::Uuid::from_u128(number as u128 + 1));
    [
        Event::StartIntended {
            step: step(),
            attempt: 1,
            run,
            parameters: Map::new(),
            secrets: Vec::new(),
            recovery: None,
        },
        Event::RunStarted { step: step(), attempt: 1, run, adopted: false },
        Event::RunEnded {
            step: step(),
            attempt: 1,
            status: RunStatus::Succeeded,
            message: String::new(),
            run_start: Some(DAWN),
            run_end: Some(DAWN),
            returned: None,
        },
        Event::AttemptEnded {
            step: step(),
            attempt: 1,
            outcome: Outcome::Succeeded,
            error: None,
            restart: None,
            outputs: None,
            activities: None,
        },
        Event::StepEnded { step: step(), outcome: Outcome::Succeeded, reason: String::new() },
    ]
}

#[divan::bench(sample_count = 10)]
fn fold(bencher: Bencher) {
    let plan = Arc::new(plan());
    let graph = Arc::new(PlanGraph::link(&plan).expect("nothing waits for anything"));
    let events = (0..plan.steps.len()).flat_map(life).zip(1_u64..);
    let events: Vec<Recorded> = events.map(|(event, seq)| Recorded { seq, at: DAWN, event }).collect();
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| Flow::new(header(), Arc::clone(&plan), Arc::clone(&graph)))
        .bench_local_refs(|flow| {
            for event in &events {
                flow.apply(event).expect("the events follow each other");
            }
        });
}

/// Each sample appends one group; the disk decides how long that takes.
#[divan::bench(args = [1, GROUP], sample_count = 200)]
fn append(bencher: Bencher, group: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut journal = Journal::open(folder.path()).expect("a new folder is writable");
    journal.create(&header()).expect("the flow is new");
    let flow = header().id;
    let events: Vec<Event> = (0..).flat_map(life).take(group).collect();
    let mut next = 1;
    bencher.counter(ItemsCount::new(group)).with_inputs(|| events.clone()).bench_local_values(|events| {
        let recorded = journal.append(&flow, next, DAWN, &events).expect("the disk has room");
        next += recorded.len() as u64;
    });
}

/// Reading all events of a flow back.
#[divan::bench(sample_count = 10)]
fn read(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut journal = Journal::open(folder.path()).expect("a new folder is writable");
    journal.create(&header()).expect("the flow is new");
    let flow = header().id;
    let events: Vec<Event> = (0..EVENTS / EVENTS_EACH).flat_map(life).collect();
    journal.append(&flow, 1, DAWN, &events).expect("the disk has room");
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| journal.events(&flow));
}
