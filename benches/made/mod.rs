//! Plans and flows that the benches share.

#![expect(dead_code, reason = "every bench is a crate of its own and uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Map;
use synflow::flow::{
    Event, Flow, FlowHeader, FlowId, Outcome, Recorded, RunActivities, RunId, RunSeen, RunStatus, observe,
};
use synflow::graph::{PlanGraph, Selection};
use synflow::plan::{Cloud, Edge, EdgeRule, Hooks, Place, Plan, Step, StepId, StepIndex, Workspace};
use synflow::time::{Delay, Timestamp};

/// When every flow begins.
pub(crate) const DAWN: Timestamp = Timestamp::from_epoch_ms(1_700_000_000_000);

/// How many events a step takes that succeeds at once.
pub(crate) const EVENTS_EACH: usize = 5;

/// Returns a plan of so many steps in layers: each waits for three of the layer before its own.
pub(crate) fn layered(steps: usize, layer: usize) -> Plan {
    let upstreams = |number: usize| {
        let before = (number / layer).checked_sub(1).map(|row| row * layer);
        (0..3).filter_map(move |nth| {
            let upstream = StepIndex(before? + (number * 7 + nth * 331) % layer);
            Some(Edge { upstream, rule: EdgeRule::Bare, place: Place::default() })
        })
    };
    let step = |number: usize| Step {
        id: id(number),
        pipeline: format!("pl_{number}"),
        depends_on: upstreams(number).collect(),
        ..Step::default()
    };
    plan(layer, (0..steps).map(step).collect())
}

/// Returns a plan of so many steps that wait for nothing.
pub(crate) fn wide(steps: usize, max_parallel: usize) -> Plan {
    let step = |number: usize| Step { id: id(number), pipeline: format!("pl_{number}"), ..Step::default() };
    plan(max_parallel, (0..steps).map(step).collect())
}

fn plan(max_parallel: usize, steps: Vec<Step>) -> Plan {
    let workspace = Workspace {
        key: "main".to_owned(),
        name: "contoso-dw".to_owned(),
        endpoint: "https://contoso-dw.dev.azuresynapse.net".to_owned(),
        cloud: Cloud::Public,
        tenant: None,
        auth: None,
    };
    Plan {
        name: "made".to_owned(),
        description: None,
        workspaces: vec![workspace],
        inputs: Map::new(),
        secret_inputs: BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: BTreeMap::new(),
        run_key: String::new(),
        max_parallel,
        pools: Vec::new(),
        deadline: None,
        hooks: Hooks::default(),
        max_failures: None,
        steps,
        tests: Vec::new(),
    }
}

/// Returns the id of a step by its position.
pub(crate) fn id(number: usize) -> StepId {
    StepId::new(&format!("s{number}"))
}

/// Returns the header of a flow of a plan.
pub(crate) fn header(plan: &Plan) -> FlowHeader {
    FlowHeader {
        id: FlowId("7f3a9c".to_owned()),
        plan_name: plan.name.clone(),
        plan_file: "made.yaml".to_owned(),
        plan_text: String::new(),
        plan_sha256: String::new(),
        environment: String::new(),
        run_key: String::new(),
        selection: Selection::default(),
        inputs: Map::new(),
        env: BTreeMap::new(),
        created_at: DAWN,
        emulated: true,
        max_parallel: plan.max_parallel,
        seed: 7,
        trust: BTreeMap::new(),
        definitions: BTreeMap::new(),
        commit: None,
    }
}

/// Returns a flow of a plan before its first event.
pub(crate) fn flow(plan: &Arc<Plan>, graph: &Arc<PlanGraph>) -> Flow {
    Flow::new(header(plan), Arc::clone(plan), Arc::clone(graph))
}

/// Returns the graph of a plan that has no cycle.
pub(crate) fn graph(plan: &Plan) -> Arc<PlanGraph> {
    Arc::new(PlanGraph::link(plan).expect("it has no cycle"))
}

/// Records an event of now.
pub(crate) fn record(flow: &mut Flow, now: Timestamp, event: Event) {
    let recorded = Recorded { seq: flow.last_seq() + 1, at: now, event };
    flow.apply(&recorded).expect("the event was decided");
}

/// Starts a step whose turn it is.
pub(crate) fn start(flow: &mut Flow, now: Timestamp, step: StepIndex) {
    let run = RunId(uuid::Uuid::from_u128(step.0 as u128 + 1));
    let id = flow.step(step).id.clone();
    let intended = Event::StartIntended {
        step: id.clone(),
        attempt: 1,
        run,
        parameters: Map::new(),
        secrets: Vec::new(),
        recovery: None,
    };
    record(flow, now, intended);
    record(flow, now, Event::RunStarted { step: id, attempt: 1, run, adopted: false });
}

/// Lets a running step succeed, as far as answers tell: the end of the step itself is decided.
pub(crate) fn succeed(flow: &mut Flow, now: Timestamp, step: StepIndex) {
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

/// Returns the life of a step that succeeds after a minute.
pub(crate) fn life(number: usize) -> [Event; EVENTS_EACH] {
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
            run_end: Some(DAWN + Delay::from_secs(60)),
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
