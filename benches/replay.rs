//! The cost of events: folding them into a flow, putting them on the disk, and reading them back.
//!
//! ```sh
//! cargo bench --bench replay
//! ```

mod made;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use synflow::flow::{Event, Flow, FlowId, Recorded};
use synflow::graph::PlanGraph;
use synflow::journal::Journal;
use synflow::plan::Plan;

use made::{DAWN, EVENTS_EACH, flow, graph, header, life, wide};

const EVENTS: [usize; 2] = [100_000, 1_000_000];

fn main() {
    divan::main();
}

/// Returns a plan of as many steps as it takes for so many events.
fn plan_of(events: usize) -> (Arc<Plan>, Arc<PlanGraph>) {
    let plan = Arc::new(wide(events / EVENTS_EACH, events));
    let graph = graph(&plan);
    (plan, graph)
}

/// Returns a journal that holds all events of a flow, with the folder that must outlive it.
fn journal_of(events: usize, plan: &Plan) -> (Journal, tempfile::TempDir) {
    let (mut journal, folder) = empty(plan);
    let all: Vec<Event> = (0..events / EVENTS_EACH).flat_map(life).collect();
    journal.append(&header(plan).id, 1, DAWN, &all).expect("the disk has room");
    (journal, folder)
}

fn empty(plan: &Plan) -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut journal = Journal::open(folder.path()).expect("a new folder is writable");
    journal.create(&header(plan)).expect("the flow is new");
    (journal, folder)
}

fn follow(flow: &mut Flow, events: &[Recorded]) {
    for event in events {
        flow.apply(event).expect("the events follow each other");
    }
}

/// In memory alone.
#[divan::bench(args = EVENTS, sample_count = 5)]
fn fold(bencher: Bencher, events: usize) {
    let (plan, graph) = plan_of(events);
    let all = (0..plan.steps.len()).flat_map(life).zip(1_u64..);
    let all: Vec<Recorded> = all.map(|(event, seq)| Recorded { seq, at: DAWN, event }).collect();
    let counter = ItemsCount::new(events);
    let bencher = bencher.counter(counter).with_inputs(|| flow(&plan, &graph));
    bencher.bench_local_refs(|flow| follow(flow, &all));
}

/// From the disk to the flow as it is.
#[divan::bench(args = EVENTS, sample_count = 3)]
fn replay(bencher: Bencher, events: usize) {
    let (plan, graph) = plan_of(events);
    let (mut journal, _folder) = journal_of(events, &plan);
    bencher.counter(ItemsCount::new(events)).bench_local(|| {
        let mut flow = flow(&plan, &graph);
        follow(&mut flow, &journal.events(&header(&plan).id).expect("it can be read"));
        flow
    });
}

/// Each sample appends one group, flushed once; the disk decides how long that takes.
#[divan::bench(args = [1, 8, 64, 512], sample_count = 100)]
fn append(bencher: Bencher, group: usize) {
    let (plan, _) = plan_of(EVENTS_EACH);
    let (mut journal, _folder) = empty(&plan);
    let flow = FlowId(header(&plan).id.0);
    let events: Vec<Event> = (0..).flat_map(life).take(group).collect();
    let mut next = 1;
    bencher.counter(ItemsCount::new(group)).with_inputs(|| events.clone()).bench_local_values(|events| {
        let recorded = journal.append(&flow, next, DAWN, &events).expect("the disk has room");
        next += recorded.len() as u64;
    });
}
