//! A flow: one execution of a plan, folded from its events.
//!
//! [`Flow::apply`] is the only place where a step changes state, live and in replay alike;
//! [`decide::decide`] says what should happen next. Plain data in, plain data out: nothing here knows
//! a clock, a socket or a disk.

pub mod decide;
pub mod edge;
pub mod event;
pub mod observe;
pub mod policy;
mod result;
mod step;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::PlanGraph;
use crate::plan::{Plan, Scope, Step, StepFacts, StepId, StepIndex};
use crate::time::Timestamp;

pub use event::{
    ActivitySeen, CancelReason, Event, FlowId, Outcome, Recorded, RunId, RunSeen, RunStatus, StartOutcome,
    StepError,
};
pub use result::{Counts, FlowOutcome};
pub use step::{Attempt, StepRun, StepState};

/// What a flow was made from; the journal keeps it beside the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// An event that cannot follow what came before it: our bug or a damaged journal.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} ({event}) does not fit: {why}")]
pub struct IllegalEvent {
    seq: u64,
    event: String,
    why: String,
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
    runs: BTreeMap<RunId, StepIndex>,
    /// For each workspace of the plan.
    trust: Vec<Trust>,
    last_seq: u64,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    exit_code: Option<u8>,
    detached: bool,
    given_up: bool,
}

/// Whether a workspace takes the id we send for the id of the run (protocol 2.3, design 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// No start has told so far.
    #[default]
    NotProven,
    /// A run had the id we sent: a repeated request cannot make a second run.
    Proven,
    /// A run had another id than the one we sent.
    Disproven,
}

/// The steps by what can happen to them next. Derived from the states by [`Flow::set`] alone, so that a
/// decision costs nothing for steps that are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Phases {
    /// `Ready`, by rank.
    ready: BTreeSet<(usize, StepIndex)>,
    /// `Retrying`.
    retrying: BTreeSet<StepIndex>,
    /// `Barred` and `AttemptOver`: an event follows at once.
    concluding: BTreeSet<StepIndex>,
    /// From `Starting` to `Settling`.
    live: BTreeSet<StepIndex>,
    /// `Unknown`.
    unknown: BTreeSet<StepIndex>,
    /// How many are `Ended`.
    ended: usize,
}

impl Flow {
    /// Makes the flow before its first event.
    pub fn new(header: FlowHeader, plan: Arc<Plan>, graph: Arc<PlanGraph>) -> Self {
        let steps = (0..plan.steps.len())
            .map(|step| StepRun {
                state: StepState::Waiting,
                attempts: Vec::new(),
                reason: String::new(),
                ended_at: None,
                upstreams_left: graph.upstreams(StepIndex(step)).count(),
            })
            .collect();
        let trust = vec![Trust::default(); plan.workspaces.len()];
        let mut flow = Self {
            header,
            ids: plan.index(),
            plan,
            graph,
            steps,
            phases: Phases::default(),
            runs: BTreeMap::new(),
            trust,
            last_seq: 0,
            started_at: None,
            ended_at: None,
            exit_code: None,
            detached: false,
            given_up: false,
        };
        for step in (0..flow.steps.len()).map(StepIndex) {
            if flow.steps[step.0].upstreams_left == 0 {
                flow.set(step, StepState::Ready);
            }
        }
        flow
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

    /// Returns every step with where it is, in file order.
    pub fn steps(&self) -> impl Iterator<Item = (StepIndex, &Step, &StepRun)> {
        let pairs = self.plan.steps.iter().zip(&self.steps).enumerate();
        pairs.map(|(index, (step, run))| (StepIndex(index), step, run))
    }

    /// Returns the position of the step with this id.
    pub fn index(&self, id: &StepId) -> Option<StepIndex> {
        self.ids.get(id).copied()
    }

    /// Returns the steps that hold a place, in file order.
    pub fn live(&self) -> impl Iterator<Item = StepIndex> {
        self.phases.live.iter().copied()
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

    /// Returns what the starts of this flow have told of a workspace of the plan.
    pub fn trust(&self, workspace: usize) -> Trust {
        self.trust[workspace]
    }

    /// Returns the number of the newest event.
    pub const fn last_seq(&self) -> u64 {
        self.last_seq
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

    /// Says whether every step has ended.
    pub fn is_settled(&self) -> bool {
        self.phases.ended == self.steps.len()
    }

    /// Says whether only steps are left that a person must look at, and what waits for them.
    pub fn waits_for_a_person(&self) -> bool {
        let phases = &self.phases;
        let stuck = phases.live.is_empty() && phases.concluding.is_empty();
        let none_may_start =
            (phases.ready.is_empty() && phases.retrying.is_empty()) || self.places_left() == 0;
        !phases.unknown.is_empty() && stuck && none_may_start
    }

    /// Returns how many more steps may hold a place. A step nobody knows the end of keeps its own.
    pub fn places_left(&self) -> usize {
        self.header.max_parallel.saturating_sub(self.phases.live.len() + self.phases.unknown.len())
    }

    /// Returns the names that a step's templates may use now.
    pub fn scope(&self, step: StepIndex) -> Scope {
        let named = self.step(step).parameters.iter().flat_map(|(_, template)| template.steps());
        let facts = named.filter_map(|id| {
            let run = self.run(self.index(id)?);
            Some((
                id.clone(),
                StepFacts {
                    outcome: run.outcome()?.word().to_owned(),
                    run_id: run.last_attempt().map(|attempt| attempt.run.to_string()),
                },
            ))
        });
        Scope {
            inputs: self.plan.inputs.clone(),
            env: self.plan.env.clone(),
            plan_name: self.plan.name.clone(),
            flow: Some((self.header.id.to_string(), self.header.created_at.to_string())),
            steps: facts.collect(),
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
            let open = |upstream: &StepIndex| !matches!(self.run(*upstream).state, StepState::Ended { .. });
            let upstreams_left = self.graph.upstreams(index).filter(open).count();
            assert_eq!(step.upstreams_left, upstreams_left, "upstreams left of step {index:?}");
            let waits = step.state == StepState::Waiting;
            assert_eq!(waits, upstreams_left > 0, "step {index:?} is {:?}", step.state);
        }
        assert_eq!(self.phases, phases);
        assert_eq!(self.runs, runs);
    }

    /// Takes in the next event. The only place where a step changes state, live and in replay alike.
    ///
    /// Fails if the event cannot follow what came before; the flow is then as it was.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), IllegalEvent> {
        let illegal = |why: String| IllegalEvent {
            seq: recorded.seq,
            event: serde_json::to_string(&recorded.event).unwrap_or_default(),
            why,
        };
        if recorded.seq != self.last_seq + 1 {
            return Err(illegal(format!("event {} is missing", self.last_seq + 1)));
        }
        match recorded.event.step() {
            None => self.apply_to_flow(recorded).map_err(illegal)?,
            Some(id) => {
                let step = self.index(id).ok_or_else(|| illegal(format!("the plan has no step `{id}`")))?;
                self.apply_to_step(step, recorded).map_err(illegal)?;
            }
        }
        self.last_seq = recorded.seq;
        self.started_at.get_or_insert(recorded.at);
        Ok(())
    }

    fn apply_to_flow(&mut self, recorded: &Recorded) -> Result<(), String> {
        match recorded.event {
            _ if self.given_up => return Err("the flow was given up".to_owned()),
            Event::Detached => self.detached = true,
            Event::GivenUp if self.exit_code.is_none() => self.given_up = true,
            Event::FlowEnded { exit_code } if self.is_settled() && self.exit_code.is_none() => {
                self.exit_code = Some(exit_code);
                self.ended_at = Some(recorded.at);
            }
            _ if self.is_settled() => return Err("the flow has ended".to_owned()),
            _ => return Err("steps are still open".to_owned()),
        }
        Ok(())
    }

    fn apply_to_step(&mut self, step: StepIndex, recorded: &Recorded) -> Result<(), String> {
        use StepState::{AttemptOver, Barred, Ended, NotSent, Ready, Retrying, Running, Settling, Starting};
        let at = recorded.at;
        let run = &self.steps[step.0];
        let state = &run.state;
        let newest = run.attempts.last().map_or(0, |attempt| attempt.number);
        let expected = match recorded.event {
            Event::StartIntended { .. } | Event::RetryScheduled { .. } => newest + 1,
            _ => newest,
        };
        if let Some(number) = recorded.event.attempt()
            && number != expected
        {
            return Err(format!("attempt {expected} was due"));
        }
        let cancel = run
            .last_attempt()
            .map_or((false, false), |newest| (newest.cancel.is_some(), newest.cancel_accepted));
        let is_refused = run.last_attempt().is_some_and(|newest| newest.refusal.is_some());
        let next = match (state, &recorded.event) {
            (Ready | Retrying { .. }, Event::StartIntended { .. })
            | (NotSent { .. } | StepState::Unclear { .. }, Event::StartResent { .. }) => Starting,
            (Starting, Event::StartNotSent { again_at, .. }) => NotSent { again_at: *again_at },
            (Starting, Event::StartUnclear { .. }) => StepState::Unclear { since: at },
            (Starting, Event::StartRefused { .. }) => {
                AttemptOver { outcome: Outcome::Failed, retryable: false }
            }
            (Starting | StepState::Unclear { .. }, Event::RunStarted { .. }) => Running,
            (Running, Event::RunChanged { status, .. }) if !status.is_terminal() => Running,
            (Running, Event::CancelIntended { .. }) if cancel == (false, false) => Running,
            (Running, Event::CancelAccepted { .. }) if cancel == (true, false) => Running,
            (Running, Event::RunEnded { status, .. }) if status.is_terminal() => Settling,
            (Settling, Event::AttemptEnded { outcome, .. }) if *outcome != Outcome::Unknown => {
                AttemptOver { outcome: *outcome, retryable: true }
            }
            (
                Running | Starting | StepState::Unclear { .. },
                Event::AttemptEnded { outcome: Outcome::Unknown, .. },
            ) => StepState::Unknown,
            (StepState::Unclear { .. }, Event::AttemptEnded { outcome: Outcome::Failed, .. })
                if is_refused =>
            {
                AttemptOver { outcome: Outcome::Failed, retryable: false }
            }
            (AttemptOver { .. }, Event::RetryScheduled { at, .. }) => Retrying { at: *at },
            (AttemptOver { .. } | Barred { .. } | Ready, Event::StepEnded { outcome, .. }) => {
                Ended { outcome: *outcome }
            }
            (state, _) => return Err(format!("the step is {state:?}")),
        };
        self.note_trust(step, &recorded.event);
        self.note_attempt(step, recorded);
        if let Event::StepEnded { reason, .. } = &recorded.event {
            self.steps[step.0].reason.clone_from(reason);
            self.steps[step.0].ended_at = Some(at);
        }
        self.set(step, next);
        if matches!(self.steps[step.0].state, Ended { .. }) {
            self.release_downstreams(step);
        }
        Ok(())
    }

    /// Keeps what a started run says about whether its workspace takes our ids for its runs.
    fn note_trust(&mut self, step: StepIndex, event: &Event) {
        let Event::RunStarted { run, .. } = event else { return };
        let Some(sent) = self.run(step).last_attempt().map(|attempt| attempt.run) else { return };
        let trust = &mut self.trust[self.plan.steps[step.0].workspace];
        *trust = match (*trust, sent == *run) {
            (Trust::Disproven, _) | (_, false) => Trust::Disproven,
            (_, true) => Trust::Proven,
        };
    }

    /// Keeps what an event says about the attempt itself.
    fn note_attempt(&mut self, step: StepIndex, recorded: &Recorded) {
        let attempts = &mut self.steps[step.0].attempts;
        if let Event::StartIntended { attempt, run, parameters, .. } = &recorded.event {
            attempts.push(Attempt::intended(*attempt, *run, parameters.clone(), recorded.at));
            return;
        }
        let Some(attempt) = attempts.last_mut() else { return };
        match &recorded.event {
            Event::StartNotSent { reason, .. } => attempt.trouble.clone_from(reason),
            Event::StartUnclear { reason, refusal, .. } => {
                attempt.trouble.clone_from(reason);
                attempt.was_unclear = true;
                attempt.refusal.clone_from(refusal);
            }
            Event::StartResent { .. } => attempt.sends += 1,
            Event::StartRefused { error, .. } => {
                attempt.outcome = Some(Outcome::Failed);
                attempt.error = Some(error.clone());
                attempt.ended_at = Some(recorded.at);
            }
            Event::RunStarted { run, adopted, .. } => {
                attempt.run = *run;
                attempt.adopted = *adopted;
                attempt.started_at = Some(recorded.at);
                attempt.trouble.clear();
            }
            Event::RunChanged { status, .. } => attempt.status = Some(status.clone()),
            Event::CancelIntended { reason, .. } => attempt.cancel = Some(*reason),
            Event::CancelAccepted { .. } => attempt.cancel_accepted = true,
            Event::RunEnded { status, message, run_start, run_end, .. } => {
                attempt.status = Some(status.clone());
                attempt.message.clone_from(message);
                attempt.run_start = *run_start;
                attempt.run_end = *run_end;
            }
            Event::AttemptEnded { outcome, error, .. } => {
                attempt.outcome = Some(*outcome);
                attempt.error.clone_from(error);
                attempt.ended_at = Some(recorded.at);
            }
            _ => {}
        }
    }

    /// Puts a step into a state and every index in step with it.
    fn set(&mut self, step: StepIndex, state: StepState) {
        let rank = self.graph.rank(step);
        let run = &mut self.steps[step.0];
        self.phases.remove(step, rank, &run.state);
        run.state = state;
        self.phases.insert(step, rank, &run.state);
        if let Some(attempt) = run.attempts.last() {
            if matches!(run.state, StepState::Running) {
                self.runs.insert(attempt.run, step);
            } else {
                self.runs.remove(&attempt.run);
            }
        }
    }

    /// Judges every step whose last upstream has just ended.
    fn release_downstreams(&mut self, step: StepIndex) {
        let downstreams: Vec<StepIndex> = self.graph.downstreams(step).collect();
        for downstream in downstreams {
            let run = &mut self.steps[downstream.0];
            run.upstreams_left -= 1;
            if run.upstreams_left == 0 {
                let verdict = self.judge(downstream);
                self.set(downstream, verdict);
            }
        }
    }

    /// Returns whether a step may start, now that all its upstreams have ended (design 9.1).
    fn judge(&self, step: StepIndex) -> StepState {
        let mut unmet = Vec::new();
        let mut reasons = Vec::new();
        for edge in &self.step(step).depends_on {
            let upstream = self.step(edge.upstream);
            let outcome = self.run(edge.upstream).outcome().expect("every upstream has ended");
            if !edge::is_met(&edge.rule, outcome, upstream.allow_failure) {
                unmet.push(outcome);
                reasons.push(format!("`{}` ended {}", upstream.id, outcome.word()));
            }
        }
        if unmet.is_empty() {
            return StepState::Ready;
        }
        reasons.dedup();
        StepState::Barred { outcome: edge::barred_as(unmet), reason: reasons.join(", ") }
    }
}

impl Phases {
    fn insert(&mut self, step: StepIndex, rank: usize, state: &StepState) {
        match state {
            StepState::Waiting => {}
            StepState::Ready => drop(self.ready.insert((rank, step))),
            StepState::Retrying { .. } => drop(self.retrying.insert(step)),
            StepState::Barred { .. } | StepState::AttemptOver { .. } => drop(self.concluding.insert(step)),
            StepState::Starting
            | StepState::NotSent { .. }
            | StepState::Unclear { .. }
            | StepState::Running
            | StepState::Settling => drop(self.live.insert(step)),
            StepState::Unknown => drop(self.unknown.insert(step)),
            StepState::Ended { .. } => self.ended += 1,
        }
    }

    fn remove(&mut self, step: StepIndex, rank: usize, state: &StepState) {
        match state {
            StepState::Waiting => {}
            StepState::Ready => drop(self.ready.remove(&(rank, step))),
            StepState::Retrying { .. } => drop(self.retrying.remove(&step)),
            StepState::Barred { .. } | StepState::AttemptOver { .. } => drop(self.concluding.remove(&step)),
            StepState::Starting
            | StepState::NotSent { .. }
            | StepState::Unclear { .. }
            | StepState::Running
            | StepState::Settling => drop(self.live.remove(&step)),
            StepState::Unknown => drop(self.unknown.remove(&step)),
            StepState::Ended { .. } => self.ended -= 1,
        }
    }
}
