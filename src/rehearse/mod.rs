//! The real scheduler against a modelled workspace in virtual time: what a flow of a plan would do.
//!
//! [`Rehearsal`] is a driver without tasks, sockets and clock: the same `decide`, `observe` and `Flow::apply`, with the
//! emulator's model for a service. An answer comes at once, and time goes straight to the next thing that can happen: a
//! beat at which no run has news is passed over, and the next one is asked where it would have been.
//! [`account`] says what to make of it: the critical path, slack, and why steps did not run.

pub mod account;
mod furnish;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::emulator::model::Model;
use crate::flow::decide::{Effect, decide};
use crate::flow::forecast::Forecast;
use crate::flow::policy::Limits;
use crate::flow::watch::{Chore, Coverage, Watch};
use crate::flow::{
    Below, ChildActivities, Event, Flow, FlowHeader, FlowId, FlowOutcome, Outcome, Recorded, RunActivities,
    RunId, StartOutcome, StepState, Trust, observe,
};
use crate::graph::{PlanGraph, Selection};
use crate::plan::{AssumedEnd, Assumptions, Plan, StepIndex, When};
use crate::time::{Delay, Timestamp};

pub use self::furnish::{Basis, Lengths};

/// How many beats nothing may happen before a flow that has nothing to wait for counts as one that never ends.
const IDLE_BEATS_MAX: u64 = 200;

/// What a step gave in an earlier flow, by its place.
pub type KnownOutputs = BTreeMap<StepIndex, Map<String, Value>>;

/// What a rehearsal is made from.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What is taken for given.
    pub assumptions: Assumptions,
    /// What is known of how long pipelines take.
    pub lengths: Lengths,
    /// What the steps gave in an earlier flow: they give it again, where the model gives nothing.
    pub known_outputs: KnownOutputs,
    /// How long a pipeline takes of which nothing is known.
    pub usual: Delay,
    /// When the flow begins.
    pub start: Timestamp,
    /// How many steps may hold a place at once.
    pub max_parallel: usize,
    /// The gap between two questions about a workspace's runs.
    pub beat: Delay,
    /// Where made-up ids and jitter come from.
    pub seed: u64,
}

/// How a rehearsal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step has ended.
    Settled,
    /// Only steps are left that a person must look at, and what waits for them.
    NeedsPerson,
    /// A run never ends, and nothing would stop it.
    NeverEnds,
}

/// A flow that is being rehearsed.
#[derive(Debug)]
pub struct Rehearsal {
    flow: Flow,
    watch: Watch,
    limits: Limits,
    models: Vec<Model>,
    names: Vec<String>,
    bases: Vec<Basis>,
    assumptions: Assumptions,
    known_outputs: KnownOutputs,
    now: Timestamp,
    /// When each workspace was last asked for the runs that changed.
    asked_at: Vec<Timestamp>,
    /// Questions that rest until there may be news, with when each was last asked.
    resting: Vec<(Chore, Timestamp)>,
    runs_chosen: u64,
    starts: Vec<StepIndex>,
    ending: Option<Ending>,
}

impl Rehearsal {
    /// Sets the stage.
    ///
    /// Fails, in a sentence, if a definition of the script cannot be read.
    pub fn new(setting: Setting) -> Result<Self, String> {
        let Setting { plan, assumptions, lengths, known_outputs, usual, start, max_parallel, beat, seed } =
            setting;
        let furnished = furnish::furnish(&plan, &assumptions, &lengths, usual, seed, start)?;
        let plan = Arc::new(with_conditions(&plan, &assumptions));
        let graph = PlanGraph::link(&plan).map_err(|_| "the plan has a cycle".to_owned())?;
        let endpoints = plan.workspaces.iter().map(|workspace| workspace.endpoint.clone());
        let header = FlowHeader {
            id: FlowId::rehearsal(),
            plan_name: plan.name.clone(),
            plan_file: String::new(),
            plan_text: String::new(),
            plan_sha256: String::new(),
            environment: plan.environment.clone(),
            run_key: plan.run_key.clone(),
            selection: Selection::default(),
            inputs: plan.inputs.clone(),
            env: plan.env.clone(),
            created_at: start,
            emulated: false,
            max_parallel,
            seed,
            trust: endpoints.map(|endpoint| (endpoint, Trust::Proven)).collect(),
            definitions: BTreeMap::new(),
            commit: None,
        };
        let mut flow = Flow::new(header, plan, Arc::new(graph));
        let mut watch = Watch::default();
        if let Lengths::History(durations) = &lengths {
            flow.rank_by(durations);
            watch.expect(Forecast::new(&flow, durations));
        }
        let limits =
            Limits { beat, start_grace: crate::flow::policy::START_GRACE, checks_successes: true, seed };
        let furnish::Furnished { models, names, bases } = furnished;
        Ok(Self {
            flow,
            watch,
            limits,
            asked_at: vec![start; models.len()],
            resting: Vec::new(),
            models,
            names,
            bases,
            assumptions,
            known_outputs,
            now: start,
            runs_chosen: 0,
            starts: Vec::new(),
            ending: None,
        })
    }

    /// Rehearses to the end; `heard` is told of every event once the flow has it.
    pub fn play(&mut self, heard: &mut dyn FnMut(&Recorded, &Flow)) -> Ending {
        while let Some(at) = self.turn(heard) {
            self.now = at;
        }
        self.ending.unwrap_or(Ending::NeverEnds)
    }

    /// Lets time go on to `at`, which the last turn returned.
    pub fn go_on(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    /// Does all that is to be done now, and returns when something is to be done again; nothing at the end.
    pub fn turn(&mut self, heard: &mut dyn FnMut(&Recorded, &Flow)) -> Option<Timestamp> {
        loop {
            let decision = decide(&self.flow, &self.watch, &self.limits, self.now);
            if !decision.facts.is_empty() {
                decision.facts.into_iter().for_each(|fact| self.record(fact, heard));
                continue;
            }
            if self.flow.exit_code().is_some() {
                self.ending = Some(Ending::Settled);
                return None;
            }
            if self.flow.waits_for_a_person() {
                self.ending = Some(Ending::NeedsPerson);
                return None;
            }
            if decision.effects.is_empty() {
                let wake_at = decision.wake_at.filter(|_| !self.is_hopeless());
                if wake_at.is_none() {
                    self.ending = Some(Ending::NeverEnds);
                }
                // Time must pass, or nothing ever would.
                return wake_at.map(|at| at.max(self.now + Delay::from_ms(1)));
            }
            for effect in decision.effects {
                self.carry_out(effect, heard);
            }
        }
    }

    /// Returns the flow as it is now.
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Returns the virtual time.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns how it ended; nothing while it goes on.
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Returns the steps in the order of their first starts.
    pub fn starts(&self) -> &[StepIndex] {
        &self.starts
    }

    /// Returns what says how long a step takes.
    pub fn basis(&self, step: StepIndex) -> Basis {
        self.bases[step.0]
    }

    /// Returns the word for how the flow ended, and the exit code with which a real one would have; no code where it would
    /// never have ended.
    pub fn outcome(&self) -> (&'static str, Option<u8>) {
        match self.ending {
            Some(Ending::NeedsPerson) => {
                (FlowOutcome::Unknown.word(), Some(FlowOutcome::Unknown.exit_code()))
            }
            Some(Ending::Settled) => (self.flow.outcome().word(), self.flow.exit_code()),
            Some(Ending::NeverEnds) | None => ("never_ends", None),
        }
    }

    /// Says whether nothing will ever happen again: no run changes by itself, and the flow waits for nothing else.
    fn is_hopeless(&self) -> bool {
        let idle = Delay::from_ms(self.limits.beat.as_ms().saturating_mul(IDLE_BEATS_MAX));
        let is_idle = self.flow.last_event_at().is_none_or(|at| self.now.since(at) > idle);
        let is_waiting = |step: StepIndex| match self.flow.run(step).state {
            StepState::Running => {
                let is_cancelled = self.flow.run(step).last_attempt().is_some_and(|it| it.cancel.is_some());
                self.flow.step(step).timeout.is_some() && !is_cancelled
            }
            _ => true,
        };
        is_idle
            && self.models.iter().all(|model| model.next_change().is_none())
            && self.flow.retrying().next().is_none()
            && !self.flow.live().any(is_waiting)
    }

    /// Takes in an event, as a driver does once it is on the disk.
    fn record(&mut self, event: Event, heard: &mut dyn FnMut(&Recorded, &Flow)) {
        self.wake();
        let recorded = Recorded { seq: self.flow.last_seq() + 1, at: self.now, event };
        self.flow.apply(&recorded).expect("the flow takes what it decided itself");
        self.watch.follow(&self.flow, &recorded.event);
        heard(&recorded, &self.flow);
    }

    /// Lets a question rest that brought nothing new, until the first beat at which its workspace may have news, or a
    /// `timeout` ends, when the scheduler wants the answer. What is asked in between would bring nothing either.
    fn rest(&mut self, chore: Chore, workspace: usize) {
        let Some(news_at) = self.models[workspace].next_change() else { return };
        let deadline = |step: StepIndex| {
            let from = self.flow.run(step).last_attempt()?.timeout_from?;
            Some(from + self.flow.step(step).timeout?).filter(|deadline| *deadline > self.now)
        };
        let until = self.flow.live().filter_map(deadline).fold(news_at, Timestamp::min);
        self.watch.reschedule(chore, self.beat_from(self.now, until));
        self.resting.push((chore, self.now));
    }

    /// Ends all rests: after an event, or a request that changes something, anything may come sooner.
    fn wake(&mut self) {
        for (chore, asked_at) in std::mem::take(&mut self.resting) {
            self.watch.reschedule(chore, self.beat_from(asked_at, self.now));
        }
    }

    /// Returns the first beat after `asked_at` that is not before `time`.
    fn beat_from(&self, asked_at: Timestamp, time: Timestamp) -> Timestamp {
        let beat = self.limits.beat.as_ms().max(1);
        let beats = time.since(asked_at).as_ms().div_ceil(beat).max(1);
        asked_at + Delay::from_ms(beats.saturating_mul(beat))
    }

    /// Does one thing that is wanted: the answer is there at once.
    fn carry_out(&mut self, effect: Effect, heard: &mut dyn FnMut(&Recorded, &Flow)) {
        let (now, limits) = (self.now, self.limits);
        if let Some(chore) = effect.chore() {
            self.resting.retain(|(resting, _)| *resting != chore);
            self.watch.begin(chore, now);
            self.watch.answered(chore, &limits, now);
        }
        match effect {
            Effect::Start { step, attempt, parameters, secrets, recovery } => {
                if self.flow.run(step).attempts.is_empty() {
                    self.starts.push(step);
                }
                let (id, run) = (self.flow.step(step).id.clone(), self.next_run());
                let intent = Event::StartIntended { step: id, attempt, run, parameters, secrets, recovery };
                self.record(intent, heard);
                self.start(step, heard);
            }
            Effect::SendAgain { step } => {
                let attempt = self.flow.run(step).attempts.len() as u32;
                self.record(Event::StartResent { step: self.flow.step(step).id.clone(), attempt }, heard);
                self.start(step, heard);
            }
            Effect::LookUp { step, run } => {
                let found = wire::run(self.model(step), now, run);
                self.watch.looked_up(step, found.is_some(), now);
                let is_there = found.is_some();
                match found.and_then(|seen| observe::run_seen(&self.flow, step, &seen)) {
                    Some(event) => self.record(event, heard),
                    None if is_there => self.rest(Chore::LookUp(step), self.flow.step(step).workspace),
                    None => {}
                }
            }
            Effect::Query { workspace, after, coverage: _ } => {
                // This service lists a change at once and loses no run, so that what an earlier list had need not be
                // read again, not even to sweep.
                let after = after.max(self.asked_at[workspace]);
                self.asked_at[workspace] = now;
                let seen = wire::runs(&mut self.models[workspace], now, after);
                self.watch.listed(&self.flow, workspace, Coverage::Changed, now, &seen);
                let events = observe::runs_listed(&self.flow, &seen);
                if events.is_empty() {
                    self.rest(Chore::Query(workspace), workspace);
                }
                for event in events {
                    self.record(event, heard);
                }
            }
            Effect::ReadActivities { step, run, below } => {
                self.read_activities(step, run, below, heard);
            }
            // Nobody else starts anything in a rehearsal.
            Effect::Search { step, .. } => self.watch.searched(step, Vec::new(), now),
            Effect::LookAround { step, .. } => self.watch.looked_around(step, Vec::new(), now),
            Effect::Cancel { step, run } => {
                self.wake();
                wire::cancel(self.model(step), now, run);
                let event = observe::cancel_accepted(&self.flow, step, run);
                if let Some(event) = event {
                    self.record(event, heard);
                }
            }
        }
    }

    /// Sends the start of the newest attempt.
    fn start(&mut self, step: StepIndex, heard: &mut dyn FnMut(&Recorded, &Flow)) {
        let (now, limits) = (self.now, self.limits);
        let attempt = self.flow.run(step).last_attempt().expect("the intent made an attempt").clone();
        let answer = if self.end_of(step) == Some(AssumedEnd::Unknown) {
            StartOutcome::Unclear { reason: "assumed".to_owned() }
        } else {
            let (model, name) = (&mut self.models[self.flow.step(step).workspace], &self.names[step.0]);
            wire::create_run(model, now, name, attempt.run, &attempt.parameters, attempt.recovery.as_ref())
        };
        let event = observe::start_answered(&self.flow, step, answer, &limits, now);
        self.record(event, heard);
    }

    /// Reads the activities of a run and of the runs below it that are asked for.
    fn read_activities(
        &mut self,
        step: StepIndex,
        run: RunId,
        below: Below,
        heard: &mut dyn FnMut(&Recorded, &Flow),
    ) {
        let (now, name) = (self.now, self.names[step.0].clone());
        let model = self.model(step);
        let mut read = RunActivities::of(wire::activities(model, now, &name, run));
        while let Some(child) = read.next_below(below) {
            match wire::run(model, now, child) {
                Some(seen) if !seen.status.is_terminal() => {
                    read.live.insert(child);
                }
                Some(seen) => {
                    let rows = wire::activities(model, now, &seen.pipeline, child);
                    read.below.insert(child, ChildActivities { pipeline: seen.pipeline, rows });
                }
                None => drop(read.below.insert(child, ChildActivities::default())),
            }
        }
        if let Some(mut event) = observe::activities_read(&self.flow, step, &read) {
            self.give(step, &mut event);
            self.record(event, heard);
        }
    }

    /// Gives the outputs that are assumed, and those of earlier flows where the model gave none.
    fn give(&self, step: StepIndex, event: &mut Event) {
        let Event::AttemptEnded { outcome: Outcome::Succeeded | Outcome::Warned, outputs, .. } = event else {
            return;
        };
        let Some(outputs) = outputs else { return };
        let known = self.known_outputs.get(&step).into_iter().flatten();
        let known = known.filter(|(name, _)| outputs.absent.contains_key(*name));
        let mut given: Vec<(String, Value)> =
            known.map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(assumed) = self.assumptions.get(&step) {
            given.extend(assumed.outputs.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        for (name, value) in given {
            outputs.absent.remove(&name);
            outputs.values.insert(name, value);
        }
    }

    fn end_of(&self, step: StepIndex) -> Option<AssumedEnd> {
        self.assumptions.get(&step).and_then(|assumed| assumed.end)
    }

    fn model(&mut self, step: StepIndex) -> &mut Model {
        &mut self.models[self.flow.step(step).workspace]
    }

    /// Returns an id for a run, always the same for the same seed.
    fn next_run(&mut self) -> RunId {
        self.runs_chosen += 1;
        RunId(Uuid::from_u64_pair(self.limits.seed, self.runs_chosen))
    }
}

/// Returns the plan with a condition that is false where a step is assumed to be skipped.
fn with_conditions(plan: &Plan, assumptions: &Assumptions) -> Plan {
    let mut plan = plan.clone();
    for (step, assumed) in assumptions {
        let place = &mut plan.steps[step.0];
        if assumed.end == Some(AssumedEnd::Skipped) {
            place.when = Some(When::constant(false, place.place));
        }
    }
    plan
}
