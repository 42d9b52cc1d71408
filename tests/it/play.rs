//! Small plans without YAML, and flows that a test plays by hand: the driver's part without a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, json};
use synflow::flow::decide::{Decision, Effect, decide};
use synflow::flow::observe;
use synflow::flow::policy::Limits;
use synflow::flow::watch::Watch;
use synflow::flow::{
    ActivitySeen, CancelReason, Event, Flow, FlowHeader, FlowId, HoldUp, Outcome, Recorded, RunId, RunSeen,
    RunStatus, StartOutcome, StepError, StepState, Trust, held_up,
};
use synflow::graph::PlanGraph;
use synflow::plan::{
    Cloud, Edge, EdgeRule, IfRunning, Place, Plan, Retry, Step, StepId, StepIndex, Workspace,
};
use synflow::time::{Delay, Timestamp};
use uuid::Uuid;

/// The time at which every played flow begins.
pub(crate) const DAWN: Timestamp = Timestamp::from_epoch_ms(1_700_000_000_000);

/// Returns a step with bare edges to the steps at these positions.
pub(crate) fn step(id: &str, depends_on: &[usize]) -> Step {
    Step {
        id: StepId::new(id),
        pipeline: format!("pl_{id}"),
        depends_on: depends_on.iter().map(|&upstream| edge(upstream, EdgeRule::Bare)).collect(),
        ..Step::default()
    }
}

/// Returns an edge on the step at this position.
pub(crate) fn edge(upstream: usize, rule: EdgeRule) -> Edge {
    Edge { upstream: StepIndex(upstream), rule, place: Place::default() }
}

/// Returns a plan with as many workspaces as its steps name.
pub(crate) fn plan(max_parallel: usize, steps: Vec<Step>) -> Plan {
    let workspaces = steps.iter().map(|step| step.workspace + 1).max().unwrap_or(1);
    let workspace = |number: usize| Workspace {
        key: format!("w{number}"),
        name: format!("w{number}"),
        endpoint: format!("https://w{number}.example.net"),
        cloud: Cloud::Public,
        tenant: None,
        auth: None,
    };
    Plan {
        name: "sketch".to_owned(),
        description: None,
        workspaces: (0..workspaces).map(workspace).collect(),
        inputs: Map::new(),
        secret_inputs: std::collections::BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: std::collections::BTreeMap::new(),
        run_key: String::new(),
        max_parallel,
        pools: Vec::new(),
        deadline: None,
        hooks: synflow::plan::Hooks::default(),
        max_failures: None,
        steps,
        tests: Vec::new(),
    }
}

/// Returns the header of a flow of this plan.
pub(crate) fn header(id: &str, plan_name: &str, max_parallel: usize) -> FlowHeader {
    FlowHeader {
        id: FlowId(id.to_owned()),
        plan_name: plan_name.to_owned(),
        plan_file: format!("{plan_name}.yaml"),
        plan_text: String::new(),
        plan_sha256: String::new(),
        environment: String::new(),
        run_key: String::new(),
        selection: synflow::graph::Selection::default(),
        inputs: Map::new(),
        env: std::collections::BTreeMap::new(),
        created_at: DAWN,
        emulated: true,
        max_parallel,
        seed: 7,
        trust: std::collections::BTreeMap::new(),
        definitions: std::collections::BTreeMap::new(),
        commit: None,
    }
}

/// Returns the run id with this number.
pub(crate) const fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

/// A flow with all that a driver keeps beside it.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) flow: Flow,
    pub(crate) watch: Watch,
    pub(crate) limits: Limits,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<Recorded>,
    runs_chosen: u128,
}

impl Play {
    pub(crate) fn new(plan: Plan) -> Self {
        let graph = PlanGraph::link(&plan).unwrap();
        let max_parallel = plan.max_parallel;
        let limits = Limits {
            beat: Delay::from_secs(5),
            start_grace: Delay::from_secs(120),
            checks_successes: true,
            seed: 7,
        };
        let flow = Flow::new(header("7f3a9c", "sketch", max_parallel), Arc::new(plan), Arc::new(graph));
        Self { flow, watch: Watch::default(), limits, now: DAWN, events: Vec::new(), runs_chosen: 0 }
    }

    /// Makes a flow whose workspaces are known to take our ids for their runs.
    pub(crate) fn proven(plan: Plan) -> Self {
        let mut made = Self::new(plan.clone());
        let endpoints = plan.workspaces.iter().map(|workspace| workspace.endpoint.clone());
        let trust = endpoints.map(|endpoint| (endpoint, Trust::Proven)).collect();
        let graph = PlanGraph::link(&plan).unwrap();
        let header = FlowHeader { trust, ..made.flow.header().clone() };
        made.flow = Flow::new(header, Arc::new(plan), Arc::new(graph));
        made
    }

    /// Answers a look-up: the run is there.
    pub(crate) fn look(&mut self, step: usize) {
        self.watch.looked_up(StepIndex(step), true, self.now);
    }

    /// Returns the same flow folded afresh from what was recorded.
    pub(crate) fn replayed(&self) -> Flow {
        let (plan, graph) = (self.flow.plan().clone(), PlanGraph::link(self.flow.plan()).unwrap());
        let mut flow = Flow::new(self.flow.header().clone(), Arc::new(plan), Arc::new(graph));
        for recorded in &self.events {
            flow.apply(recorded).unwrap();
        }
        flow
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.flow, &self.watch, &self.limits, self.now)
    }

    /// Returns what is wanted now, once no more facts follow; those are recorded.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        self.facts();
        let effects = self.decide().effects;
        starts_unless_held_up(&self.flow, &effects, self.now);
        effects
    }

    /// Records what follows from the state alone until nothing follows, and returns it.
    pub(crate) fn facts(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            let facts = self.decide().facts;
            if facts.is_empty() {
                return all;
            }
            for fact in facts {
                all.push(fact.clone());
                self.record(fact);
            }
        }
    }

    /// Takes in an event and makes sure that every index agrees with the states.
    pub(crate) fn record(&mut self, event: Event) {
        self.take_in(event);
        self.flow.check();
    }

    /// Takes in an event, as a driver does once it is on the disk.
    pub(crate) fn take_in(&mut self, event: Event) {
        let recorded = Recorded { seq: self.flow.last_seq() + 1, at: self.now, event };
        self.flow.apply(&recorded).unwrap();
        self.watch.follow(&self.flow, &recorded.event);
        self.events.push(recorded);
    }

    pub(crate) fn wait(&mut self, delay: Delay) {
        self.now = self.now + delay;
    }

    pub(crate) fn id(&self, step: usize) -> StepId {
        self.flow.step(StepIndex(step)).id.clone()
    }

    pub(crate) fn state(&self, step: usize) -> &StepState {
        &self.flow.run(StepIndex(step)).state
    }

    /// Returns the number of the newest attempt at a step; 0 before the first.
    pub(crate) fn attempt(&self, step: usize) -> u32 {
        self.flow.run(StepIndex(step)).last_attempt().map_or(0, |attempt| attempt.number)
    }

    /// Returns the run of the newest attempt at a step.
    pub(crate) fn run(&self, step: usize) -> RunId {
        self.flow.run(StepIndex(step)).last_attempt().unwrap().run
    }

    /// Records the intent of the next attempt, with a run id never used before.
    pub(crate) fn intend(&mut self, step: usize) -> RunId {
        self.runs_chosen += 1;
        let run = run_id(self.runs_chosen);
        let (id, attempt) = (self.id(step), self.attempt(step) + 1);
        self.record(Event::StartIntended {
            step: id,
            attempt,
            run,
            parameters: Map::new(),
            secrets: Vec::new(),
            recovery: None,
        });
        run
    }

    /// Records what the answer to a start request means.
    pub(crate) fn answer(&mut self, step: usize, answer: StartOutcome) {
        self.record(observe::start_answered(&self.flow, StepIndex(step), answer, &self.limits, self.now));
    }

    /// Starts the next attempt at a step, and the service accepts it.
    pub(crate) fn start(&mut self, step: usize) -> RunId {
        let run = self.intend(step);
        self.answer(step, StartOutcome::Started(run));
        run
    }

    /// Records what a look at a step's run tells, if it tells anything.
    pub(crate) fn see(&mut self, step: usize, status: RunStatus) {
        let seen = seen(self.run(step), status);
        if let Some(event) = observe::run_seen(&self.flow, StepIndex(step), &seen) {
            self.record(event);
        }
    }

    /// Ends the run of a step and the attempt with it; no activity of the run failed.
    pub(crate) fn end(&mut self, step: usize, status: RunStatus) {
        self.see(step, status);
        self.record(observe::judged(&self.flow, StepIndex(step), &synflow::flow::RunActivities::default()));
    }

    /// Starts a step, ends its run and records all that follows.
    pub(crate) fn play(&mut self, step: usize, status: RunStatus) {
        self.start(step);
        self.end(step, status);
        self.facts();
    }

    /// Makes nobody know whether the next attempt at a step started, for good.
    pub(crate) fn lose(&mut self, step: usize) {
        self.intend(step);
        self.answer(step, StartOutcome::Unclear { reason: "no answer".to_owned() });
        let (id, attempt) = (self.id(step), self.attempt(step));
        self.record(Event::AttemptEnded {
            step: id,
            attempt,
            outcome: Outcome::Unknown,
            error: None,
            restart: None,
            outputs: None,
            activities: None,
        });
    }
}

/// Returns a run as the service shows it.
pub(crate) fn seen(run: RunId, status: RunStatus) -> RunSeen {
    RunSeen {
        run,
        pipeline: "pl".to_owned(),
        status,
        message: String::new(),
        run_start: None,
        run_end: None,
        last_updated: None,
        return_value: None,
    }
}

/// Returns four independent steps.
pub(crate) fn four() -> Vec<Step> {
    ["a", "b", "c", "d"].map(|id| step(id, &[])).into()
}

/// A flow of one step.
pub(crate) fn one() -> Play {
    Play::new(plan(1, vec![step("a", &[])]))
}

/// A retry with so many attempts in all.
pub(crate) fn tries(max_attempts: u32) -> Retry {
    Retry { max_attempts, ..Retry::default() }
}

/// An answer after which nobody knows.
pub(crate) fn unclear() -> StartOutcome {
    StartOutcome::Unclear { reason: "no answer".to_owned() }
}

/// An answer after which the request certainly started nothing.
pub(crate) fn not_sent(after: Option<Delay>) -> StartOutcome {
    StartOutcome::NotSent { reason: "connection refused".to_owned(), after }
}

/// A no.
pub(crate) fn refused() -> StartOutcome {
    let message = "no such pipeline".to_owned();
    StartOutcome::Refused(StepError { code: "BadRequest".to_owned(), message, ..StepError::default() })
}

/// An activity as the service shows it.
pub(crate) fn activity(name: &str, status: &str) -> ActivitySeen {
    ActivitySeen {
        name: name.to_owned(),
        kind: "Copy".to_owned(),
        iteration: String::new(),
        status: status.to_owned(),
        start: None,
        end: None,
        error: StepError {
            code: "2200".to_owned(),
            message: "no such table".to_owned(),
            ..StepError::default()
        },
        output: json!(null),
        child: None,
    }
}

/// A step that may take a minute, with its run started at dawn and its timeout just passed.
pub(crate) fn timed_out() -> Play {
    let timeout = Some(Delay::from_secs(60));
    let mut play = Play::new(plan(1, vec![Step { timeout, retry: tries(3), ..step("a", &[]) }]));
    play.start(0);
    let due = play.decide().wake_at.unwrap();
    assert!(due <= DAWN + Delay::from_secs(60), "wakes up in time for the timeout");
    play.wait(Delay::from_ms(59_999));
    assert_eq!(play.facts(), []);
    play.wait(Delay::from_ms(1));
    assert_eq!(play.facts(), [], "one last look comes first");
    assert_eq!(play.decide().effects, [Effect::LookUp { step: StepIndex(0), run: play.run(0) }]);
    play.look(0);
    let want = Event::CancelIntended { step: play.id(0), attempt: 1, reason: CancelReason::TimedOut };
    assert_eq!(play.facts(), [want]);
    play
}

/// What a person is told of a step that waits is what the scheduler does: it starts, or something holds it up.
pub(crate) fn starts_unless_held_up(flow: &Flow, effects: &[Effect], now: Timestamp) {
    let starts_alone = |effect: &Effect| match effect {
        Effect::Start { step, .. } => flow.step(*step).if_running == IfRunning::Start,
        _ => true,
    };
    // What was heard of other runs of a pipeline only the scheduler knows, and that the step starts at once.
    if !effects.iter().all(starts_alone) {
        return;
    }
    let held: BTreeMap<StepIndex, HoldUp> = held_up(flow, now).into_iter().collect();
    for (_, step) in flow.ready().filter(|(_, step)| flow.step(*step).if_running == IfRunning::Start) {
        let starts =
            effects.iter().any(|effect| matches!(effect, Effect::Start { step: it, .. } if *it == step));
        let why = held.get(&step);
        assert_eq!(starts, why.is_none(), "{} is held up by {why:?}", flow.step(step).id);
        let all = flow.holdups(step, now);
        assert_eq!(starts, all.is_empty(), "{} is held up by {all:?}", flow.step(step).id);
    }
}
