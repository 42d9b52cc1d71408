//! Flows for tests, folded from events in virtual time.

use std::sync::Arc;

use serde_json::Map;
use uuid::Uuid;

use crate::flow::decide::decide;
use crate::flow::policy::{BEAT, Limits, START_GRACE};
use crate::flow::watch::Watch;
use crate::flow::{Event, Flow, FlowHeader, FlowId, Outcome, Recorded, RunId, RunStatus, StepError};
use crate::graph::PlanGraph;
use crate::plan::{Cloud, Condition, Edge, EdgeRule, Place, Plan, Step, StepId, StepIndex, Workspace};
use crate::report::{Lines, Report};
use crate::time::{Delay, Timestamp};

/// A flow in the making, and the lines that tell it.
pub(super) struct Sample {
    pub(super) flow: Flow,
    pub(super) now: Timestamp,
    /// The flow before its first event.
    pub(super) fresh: Flow,
    /// All that was recorded.
    pub(super) recorded: Vec<Recorded>,
    lines: Lines<Vec<u8>>,
    runs: u128,
}

impl Sample {
    /// Makes a flow of steps given as id and upstreams: `load`, `load:failed` or both with a blank between them.
    pub(super) fn new(steps: &[(&str, &str)]) -> Self {
        Self::with(steps, |_| {})
    }

    /// Makes a flow whose plan was changed before.
    pub(super) fn with(steps: &[(&str, &str)], change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = plan(steps);
        change(&mut plan);
        let edges: Vec<(StepIndex, StepIndex)> = plan
            .steps
            .iter()
            .enumerate()
            .flat_map(|(at, step)| step.depends_on.iter().map(move |edge| (edge.upstream, StepIndex(at))))
            .collect();
        let graph =
            PlanGraph::from_edges(plan.steps.len(), edges.into_iter()).expect("the sample has no cycle");
        let now: Timestamp = "2026-11-24T23:50:00Z".parse().expect("it is a time");
        let header = FlowHeader {
            id: FlowId("7f3a9c".to_owned()),
            plan_name: plan.name.clone(),
            plan_file: "nightly.yaml".to_owned(),
            plan_text: String::new(),
            plan_sha256: "00".to_owned(),
            environment: String::new(),
            run_key: String::new(),
            selection: crate::graph::Selection::default(),
            inputs: Map::new(),
            env: std::collections::BTreeMap::new(),
            created_at: now,
            emulated: false,
            max_parallel: plan.max_parallel,
            seed: 1,
            trust: std::collections::BTreeMap::new(),
            definitions: std::collections::BTreeMap::new(),
            commit: None,
        };
        let flow = Flow::new(header, Arc::new(plan), Arc::new(graph));
        Self { fresh: flow.clone(), flow, now, recorded: Vec::new(), lines: Lines::new(Vec::new()), runs: 0 }
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now + Delay::from_secs(seconds);
        self
    }

    /// Records an event and everything that follows from it at once.
    pub(super) fn record(&mut self, event: Event) -> &mut Self {
        self.apply(event);
        let limits = Limits { beat: BEAT, start_grace: START_GRACE, checks_successes: true, seed: 1 };
        loop {
            let facts = decide(&self.flow, &Watch::default(), &limits, self.now).facts;
            if facts.is_empty() {
                return self;
            }
            for fact in facts {
                self.apply(fact);
            }
        }
    }

    /// Intends a start.
    pub(super) fn intend(&mut self, step: &str) -> &mut Self {
        self.runs += 1;
        let run = RunId(Uuid::from_u128(0x8b35_ed2c_0000_4000_8000_0000_0000_0000 + self.runs));
        let attempt = self.attempt(step) + 1;
        self.record(Event::StartIntended {
            step: StepId::new(step),
            attempt,
            run,
            parameters: Map::new(),
            secrets: Vec::new(),
            recovery: None,
        })
    }

    /// Starts a step.
    pub(super) fn start(&mut self, step: &str) -> &mut Self {
        self.intend(step);
        let (attempt, run) = (self.attempt(step), self.run(step));
        self.record(Event::RunStarted { step: StepId::new(step), attempt, run, adopted: false })
    }

    /// Lets Synapse call a run by a word that is not final.
    pub(super) fn status(&mut self, step: &str, status: RunStatus) -> &mut Self {
        let attempt = self.attempt(step);
        self.record(Event::RunChanged { step: StepId::new(step), attempt, status })
    }

    /// Ends a running step.
    pub(super) fn end(&mut self, step: &str, outcome: Outcome, error: Option<StepError>) -> &mut Self {
        let attempt = self.attempt(step);
        let status = match outcome {
            Outcome::Succeeded | Outcome::Warned => RunStatus::Succeeded,
            Outcome::Failed => RunStatus::Failed,
            _ => RunStatus::Cancelled,
        };
        let step = StepId::new(step);
        self.record(Event::RunEnded {
            step: step.clone(),
            attempt,
            status,
            message: String::new(),
            run_start: None,
            run_end: None,
            returned: None,
        });
        self.record(Event::AttemptEnded {
            step,
            attempt,
            outcome,
            error,
            restart: None,
            outputs: None,
            activities: None,
        })
    }

    /// Starts a step and ends it well a minute later.
    pub(super) fn succeed(&mut self, step: &str) -> &mut Self {
        self.start(step).wait(60).end(step, Outcome::Succeeded, None)
    }

    /// Returns the number of a step's newest attempt.
    pub(super) fn attempt(&self, step: &str) -> u32 {
        self.flow.run(self.index(step)).attempts.len() as u32
    }

    /// Returns what the lines have told so far.
    pub(super) fn told(self) -> String {
        String::from_utf8(self.lines.into_inner()).expect("lines are UTF-8")
    }

    pub(super) fn index(&self, step: &str) -> StepIndex {
        self.flow.index(&StepId::new(step)).expect("the sample has the step")
    }

    fn run(&self, step: &str) -> RunId {
        self.flow.run(self.index(step)).last_attempt().expect("the step has begun").run
    }

    fn apply(&mut self, event: Event) {
        let recorded = Recorded { seq: self.flow.last_seq() + 1, at: self.now, event };
        self.flow.apply(&recorded).expect("the event fits");
        self.lines.on(&recorded, &self.flow);
        self.recorded.push(recorded);
    }
}

/// An error, of an activity if it has a name.
pub(super) fn error(activity: &str, code: &str, message: &str) -> StepError {
    StepError {
        code: code.to_owned(),
        message: message.to_owned(),
        activity: (!activity.is_empty()).then(|| activity.to_owned()),
        via: Vec::new(),
    }
}

fn plan(steps: &[(&str, &str)]) -> Plan {
    let position =
        |id: &str| StepIndex(steps.iter().position(|(step, _)| *step == id).expect("the upstream is a step"));
    let edge = |text: &str| {
        let (upstream, rule) = match text.split_once(':') {
            None => (text, EdgeRule::Bare),
            Some((upstream, "failed")) => (upstream, EdgeRule::AnyOf(vec![Condition::Failed])),
            Some((upstream, _)) => (upstream, EdgeRule::AnyOf(vec![Condition::Succeeded])),
        };
        Edge { upstream: position(upstream), rule, place: Place::default() }
    };
    let step = |(id, upstreams): &(&str, &str)| Step {
        id: StepId::new(id),
        pipeline: format!("pl_{id}"),
        depends_on: upstreams.split_whitespace().map(edge).collect(),
        ..Step::default()
    };
    Plan {
        name: "nightly-sales".to_owned(),
        description: None,
        workspaces: vec![Workspace {
            key: "main".to_owned(),
            name: "contoso-dw".to_owned(),
            endpoint: "https://contoso-dw.dev.azuresynapse.net".to_owned(),
            cloud: Cloud::Public,
            tenant: None,
            auth: None,
        }],
        inputs: Map::new(),
        secret_inputs: std::collections::BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: std::collections::BTreeMap::new(),
        run_key: String::new(),
        max_parallel: 20,
        pools: Vec::new(),
        deadline: None,
        hooks: crate::plan::Hooks::default(),
        max_failures: None,
        steps: steps.iter().map(step).collect(),
        tests: Vec::new(),
    }
}
