//! A flow: one execution of a plan, folded from its events.
//!
//! `apply.rs` is the only place where a step changes state, live and in replay alike;
//! [`decide::decide`] says what should happen next. Plain data in, plain data out: nothing here knows
//! a clock, a socket or a disk.

mod activity;
mod apply;
pub mod decide;
pub mod edge;
pub mod event;
pub mod forecast;
mod holdup;
mod judge;
mod lateness;
pub mod notice;
pub mod observe;
mod outputs;
mod phases;
pub mod policy;
mod result;
pub mod resume;
mod room;
mod step;
pub mod watch;
mod wording;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::{PlanGraph, Selection};
use crate::plan::{Plan, Scope, Step, StepFacts, StepId, StepIndex, When, Workspace};
use crate::time::{Delay, Timestamp};

use self::forecast::Durations;
use self::phases::Phases;
use self::room::Room;

pub use activity::{
    ActivitiesKept, ActivityRun, ActivitySeen, Below, ChildActivities, ChildRun, RunActivities, kept,
};
pub use apply::IllegalEvent;
pub use event::{
    CancelReason, Event, FlowId, Outcome, Recorded, Recovery, Resolution, Restart, RunId, RunSeen, RunStatus,
    StartOutcome, StepError, Trust,
};
pub use holdup::{HoldUp, held_up};
pub use lateness::Due;
pub use outputs::OUTPUT_BYTES_MAX;
pub use result::{Counts, FlowOutcome};
pub use step::{Attempt, Origin, StepRun, StepState};

/// The versions (etags) of definitions that were read before anything was started, by the key of the workspace in the plan
/// and the pipeline.
pub type Definitions = BTreeMap<String, BTreeMap<String, String>>;

/// For how many runs of a pipeline, queued ones with them, a workspace has room at once: by its position in the plan and the
/// pipeline as the plan names it. One that is not there has no limit.
pub type Capacities = BTreeMap<(usize, String), usize>;

/// What a flow was made from; the journal keeps it beside the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowHeader {
    /// The flow's id.
    pub id: FlowId,
    /// The plan's name.
    pub plan_name: String,
    /// The plan's file as it was named on the command line.
    pub plan_file: String,
    /// The plan's text, whole.
    pub plan_text: String,
    /// The SHA-256 of the text, in hexadecimal digits.
    pub plan_sha256: String,
    /// The environment of the plan that was chosen; empty for none.
    #[serde(default)]
    pub environment: String,
    /// The plan's `run_key` with its templates filled in; empty where it has none.
    #[serde(default)]
    pub run_key: String,
    /// The steps that were selected, where not all were.
    #[serde(default, skip_serializing_if = "Selection::is_whole")]
    pub selection: Selection,
    /// The value of every input.
    pub inputs: Map<String, Value>,
    /// The environment variables that the plan's templates name.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// When the flow was made.
    pub created_at: Timestamp,
    /// Whether the workspace is an emulated one.
    pub emulated: bool,
    /// How many steps may hold a place at once.
    pub max_parallel: usize,
    /// Makes the jitter repeatable.
    pub seed: u64,
    /// What earlier flows have shown of the workspaces, by endpoint.
    #[serde(default)]
    pub trust: BTreeMap<String, Trust>,
    /// The definitions of its pipelines as they were when it began, or a resume has read them since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: Definitions,
    /// The git commit at which the plan's file stood, where it stands in a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
}

/// A git commit, and whether the plan's file was as it has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// Its id, in hexadecimal digits.
    pub id: String,
    /// Whether the plan's file was another than in that commit, or is not in it.
    #[serde(default)]
    pub changed: bool,
}

impl FlowHeader {
    /// Returns what at most one unfinished flow may have.
    pub fn key(&self) -> FlowKey {
        FlowKey {
            plan: self.plan_name.clone(),
            environment: self.environment.clone(),
            run_key: self.run_key.clone(),
        }
    }
}

/// What a flow stands for: of all flows with one key, at most one is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The plan's name.
    pub plan: String,
    /// The environment of the plan that was chosen; empty for none.
    pub environment: String,
    /// The plan's `run_key` with its templates filled in; empty where it has none.
    pub run_key: String,
}

impl FlowId {
    /// Returns the id of a flow that is only rehearsed: no journal has it.
    pub fn rehearsal() -> Self {
        Self("rehearsal".to_owned())
    }

    /// Says whether it is the id of a flow that is only rehearsed.
    pub fn is_rehearsal(&self) -> bool {
        self.0 == "rehearsal"
    }
}

/// One execution of a plan.
#[derive(Clone, Debug)]
pub struct Flow {
    header: FlowHeader,
    plan: Arc<Plan>,
    graph: Arc<PlanGraph>,
    ids: BTreeMap<StepId, StepIndex>,
    steps: Vec<StepRun>,
    phases: Phases,
    /// How many steps have ended badly that were not allowed to.
    failures: usize,
    /// The steps that are `Running`, by their runs.
    runs: BTreeMap<RunId, StepIndex>,
    /// Every run that an attempt has, had or asked for, with its step, which an edited plan may have dropped.
    claimed: BTreeMap<RunId, StepId>,
    /// Steps that begin anew and must wait for the end of one below them that was begun before.
    held: BTreeMap<StepIndex, Vec<StepIndex>>,
    /// For each workspace of the plan.
    trust: Vec<Trust>,
    /// What the service has room for, as this process has read it.
    capacities: Capacities,
    last_seq: u64,
    last_event_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    exit_code: Option<u8>,
    detached: bool,
    given_up: bool,
    cancelling: bool,
    due: Option<Due>,
}

impl Flow {
    /// Makes the flow before its first event.
    pub fn new(header: FlowHeader, plan: Arc<Plan>, graph: Arc<PlanGraph>) -> Self {
        let steps = (0..plan.steps.len())
            .map(|step| StepRun { waits_for: graph.upstreams(StepIndex(step)).count(), ..StepRun::new() })
            .collect();
        let known =
            |workspace: &Workspace| header.trust.get(&workspace.endpoint).copied().unwrap_or_default();
        let trust = plan.workspaces.iter().map(known).collect();
        let due = Due::of(&plan, header.created_at);
        let mut flow = Self {
            header,
            due,
            ids: plan.index(),
            plan,
            graph,
            steps,
            phases: Phases::default(),
            failures: 0,
            runs: BTreeMap::new(),
            claimed: BTreeMap::new(),
            held: BTreeMap::new(),
            trust,
            capacities: Capacities::new(),
            last_seq: 0,
            last_event_at: None,
            started_at: None,
            ended_at: None,
            exit_code: None,
            detached: false,
            given_up: false,
            cancelling: false,
        };
        (0..flow.steps.len()).map(StepIndex).for_each(|step| flow.judge_if_free(step));
        flow
    }

    /// Makes the flow that a header describes, before its first event.
    ///
    /// Fails if the header's text is no plan for this version.
    pub fn from_header(header: FlowHeader) -> Result<Self, String> {
        let (plan, graph) = resume::read_plan(
            &header.plan_text,
            &header.inputs,
            &header.env,
            &header.environment,
            &header.selection,
            header.created_at,
        )?;
        Ok(Self::new(header, Arc::new(plan), Arc::new(graph)))
    }

    /// Ranks the steps by what they took in earlier flows: longest remaining path first. One that was never seen counts as
    /// long as most do; where none was, the ranks stay.
    pub fn rank_by(&mut self, durations: &Durations) {
        let plan = Arc::clone(&self.plan);
        let known = |step: &Step| durations.get(&(step.id.clone(), step.pipeline.clone())).copied();
        let runs = plan.steps.iter().filter(|step| step.kind.is_run());
        let Some(most) = forecast::middle(runs.filter_map(known).collect()) else { return };
        let mut graph = PlanGraph::clone(&self.graph);
        graph.rank_by(&plan, |step| {
            let step = &plan.steps[step.0];
            if step.kind.is_run() { known(step).unwrap_or(most) } else { Delay::ZERO }
        });
        self.graph = Arc::new(graph);
        let steps = std::mem::take(&mut self.steps);
        self.index_afresh(steps);
    }

    /// Lets no more runs of a pipeline be under way than the service has room for.
    pub fn keep_to(&mut self, capacities: Capacities) {
        self.capacities = capacities;
    }

    /// Returns for how many runs of a step's pipeline the service has room at once, if it has a limit.
    pub fn capacity(&self, step: StepIndex) -> Option<usize> {
        if self.capacities.is_empty() {
            return None;
        }
        let step = self.step(step);
        self.capacities.get(&(step.workspace, step.pipeline.clone())).copied()
    }

    /// Returns what the flow was made from.
    pub const fn header(&self) -> &FlowHeader {
        &self.header
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the plan's graph.
    pub fn graph(&self) -> &PlanGraph {
        &self.graph
    }

    /// Returns a step of the plan.
    pub fn step(&self, step: StepIndex) -> &Step {
        &self.plan.steps[step.0]
    }

    /// Returns where a step is.
    pub fn run(&self, step: StepIndex) -> &StepRun {
        &self.steps[step.0]
    }

    /// Returns every step that runs a pipeline with where it is, in file order.
    pub fn steps(&self) -> impl Iterator<Item = (StepIndex, &Step, &StepRun)> {
        let pairs = self.plan.steps.iter().zip(&self.steps).enumerate();
        let pairs = pairs.map(|(index, (step, run))| (StepIndex(index), step, run));
        pairs.filter(|(_, step, _)| step.kind.is_run())
    }

    /// Returns the position of the step with this id.
    pub fn index(&self, id: &StepId) -> Option<StepIndex> {
        self.ids.get(id).copied()
    }

    /// Returns the steps that hold a place, in file order.
    pub fn live(&self) -> impl Iterator<Item = StepIndex> {
        self.phases.live.iter().copied()
    }

    /// Returns the steps that a person must look at, in file order.
    pub fn unknown(&self) -> impl Iterator<Item = StepIndex> {
        self.phases.unknown.iter().copied()
    }

    /// Returns the ready steps with their ranks, in the order in which they start.
    pub fn ready(&self) -> impl Iterator<Item = (usize, StepIndex)> {
        self.phases.ready.iter().copied()
    }

    /// Returns the steps whose next attempt waits for its time, in file order.
    pub fn retrying(&self) -> impl Iterator<Item = StepIndex> {
        self.phases.retrying.iter().copied()
    }

    /// Returns the steps that an event must follow at once, in file order.
    pub fn concluding(&self) -> impl Iterator<Item = StepIndex> {
        self.phases.concluding.iter().copied()
    }

    /// Returns the step that this run is running for.
    pub fn running_step_of(&self, run: RunId) -> Option<StepIndex> {
        self.runs.get(&run).copied()
    }

    /// Says whether an attempt of this flow has, had or asked for this run.
    pub fn claims(&self, run: RunId) -> bool {
        self.claimed.contains_key(&run)
    }

    /// Says whether a run belongs to another attempt than the newest of this step.
    fn is_claimed_beside(&self, run: RunId, step: StepIndex) -> bool {
        let earlier = self.run(step).attempts.iter().rev().skip(1);
        self.claimed.get(&run).is_some_and(|owner| *owner != self.step(step).id)
            || earlier.into_iter().any(|attempt| attempt.run == run)
    }

    /// Returns what starts have told of a workspace of the plan, in this flow and before it.
    pub fn trust(&self, workspace: usize) -> Trust {
        self.trust[workspace]
    }

    /// Returns the number of the newest event.
    pub const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Returns when the newest event was recorded.
    pub const fn last_event_at(&self) -> Option<Timestamp> {
        self.last_event_at
    }

    /// Returns when the first event was recorded.
    pub const fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// Returns when every step had ended.
    pub const fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    /// Returns the recorded exit code, once the flow has ended.
    pub const fn exit_code(&self) -> Option<u8> {
        self.exit_code
    }

    /// Says whether a process left the flow while runs went on.
    pub const fn is_detached(&self) -> bool {
        self.detached
    }

    /// Says whether a person began another flow instead.
    pub const fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Says whether a person asked for the end of the whole flow.
    pub const fn is_cancelling(&self) -> bool {
        self.cancelling
    }

    /// Says whether every step has ended.
    pub fn is_settled(&self) -> bool {
        self.phases.ended == self.steps.len()
    }

    /// Says whether only steps are left that a person must look at, and what waits for them.
    pub fn waits_for_a_person(&self) -> bool {
        let phases = &self.phases;
        if phases.unknown.is_empty() || !phases.live.is_empty() || !phases.concluding.is_empty() {
            return false;
        }
        let mut room = Room::beside(self);
        let mut open = self.phases.ready.iter().map(|(_, step)| step).chain(&self.phases.retrying);
        room.is_full() || !open.any(|&step| room.admits(self, step))
    }

    /// Lets nothing new start in this process, whatever has a place now.
    pub const fn close_places(&mut self) {
        self.header.max_parallel = 0;
    }

    /// Returns how many more steps may hold a place. A step nobody knows the end of keeps its own.
    pub fn places_left(&self) -> usize {
        self.header.max_parallel.saturating_sub(self.phases.live.len() + self.phases.unknown.len())
    }

    /// Returns the names that a step's templates and its condition may use now.
    pub fn scope(&self, step: StepIndex) -> Scope {
        let place = self.step(step);
        let named = place.parameters.iter().flat_map(|(_, template)| template.steps());
        let asked = place.when.iter().flat_map(When::steps);
        let facts = named.chain(asked).filter_map(|id| {
            let index = self.index(place.pairs.get(id).unwrap_or(id))?;
            let run = self.run(index);
            Some((
                id.clone(),
                StepFacts {
                    outcome: run.outcome()?.word().to_owned(),
                    run_id: run.last_attempt().map(|attempt| attempt.run.to_string()),
                    outputs: outputs::known(self, index),
                },
            ))
        });
        Scope {
            flow: Some((self.header.id.to_string(), self.header.created_at.to_string())),
            told: Map::new(),
            steps: facts.collect(),
            ..self.plan.scope(place)
        }
    }

    /// Asserts that every index agrees with the states it was derived from. For tests and debugging: it looks at
    /// every step.
    pub fn check(&self) {
        let mut phases = Phases::default();
        let mut runs = BTreeMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            let index = StepIndex(index);
            phases.insert(index, self.graph.rank(index), &step.state);
            if let (StepState::Running, Some(attempt)) = (&step.state, step.last_attempt()) {
                runs.insert(attempt.run, index);
            }
            let upstreams =
                self.graph.upstreams(index).filter(|upstream| !self.run(*upstream).is_over()).count();
            let held = self.held.values().flatten().filter(|held| **held == index).count();
            assert_eq!(step.waits_for, upstreams + held, "what step {index:?} waits for");
            let is_free = match &step.state {
                StepState::Waiting => Some(false),
                StepState::Barred { outcome, .. } => {
                    (*outcome != Outcome::Cancelled && !self.is_halted()).then_some(true)
                }
                StepState::Ready | StepState::Retrying { .. } => Some(true),
                _ => None,
            };
            assert!(
                is_free.is_none_or(|is_free| is_free == (step.waits_for == 0)),
                "step {index:?} waits for {} and is {:?}",
                step.waits_for,
                step.state
            );
        }
        let failures = (0..self.steps.len()).map(StepIndex).filter(|&step| {
            matches!(self.run(step).state, StepState::Ended { outcome } if self.is_failure(step, outcome))
        });
        assert_eq!(self.failures, failures.count(), "failures");
        assert_eq!(self.phases, phases);
        assert_eq!(self.runs, runs);
    }
}
