//! The world of one seed: true time, the workspaces, a faulty network, the disk, and the processes on top of it.
//!
//! [`World::run`] plays a night to its end. A process follows the core's decisions as the driver does.

use std::collections::{BTreeMap, BTreeSet};

use synflow::emulator::model::{Model, Request};
use synflow::flow::decide::{Effect, decide};
use synflow::flow::policy::SENDS_MAX;
use synflow::flow::{Event, Flow, RunId, StepState, Trust, resume};
use synflow::plan::StepIndex;
use synflow::synapse::reading::{Answer, NoAnswer};
use synflow::time::{Delay, Timestamp};

use crate::dice::Dice;
use crate::play::{DAWN, header, starts_unless_held_up};
use crate::simulation::judge::Judge;
use crate::simulation::ledger::Ledger;
use crate::simulation::process::{Errand, ListOf, POINTS, Point, Process, Reading};
use crate::simulation::sketch::{Mood, Sketch, edited};
use crate::simulation::tally::Tally;
use crate::simulation::wire;

/// More rounds of the loop than any night needs: beyond it, it is stuck in motion.
const ROUNDS_MAX: u32 = 200_000;

/// The longest time from giving a start up to its landing, well below the grace (design 6).
pub(crate) const LANDS_WITHIN_MS: u64 = 60_000;

/// How long the client waits for an answer.
pub(crate) const PATIENCE: Delay = Delay::from_secs(60);

/// The process is gone; somebody else goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) process: u64,
    pub(crate) workspace: usize,
    pub(crate) request: Request,
    pub(crate) errand: Errand,
    pub(crate) sent_at: Timestamp,
    /// Whether nothing may happen to it.
    pub(crate) is_straight: bool,
}

#[derive(Debug)]
pub(crate) enum Happening {
    /// The request reaches the service, whose answer takes this long; nothing if nobody hears it.
    Lands(Letter, Option<Delay>),
    Heard(Letter, Result<Answer, NoAnswer>),
    /// Somebody takes the flow up again.
    TakesUp,
    Disturbs(Disturbance),
}

/// What happens beside the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disturbance {
    ClockJumps,
    Dies,
    Leaves,
    Competes,
    LosesLease,
    Cancels,
    CancelsStep,
    PersonLooks,
    OthersStart,
}

/// One night.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct World {
    pub(crate) sketch: Sketch,
    pub(crate) dice: Dice,
    pub(crate) now: Timestamp,
    pub(crate) models: Vec<Model>,
    pub(crate) ledger: Ledger,
    pub(crate) process: Option<Process>,
    /// An owner that does not know yet that its lease is lost.
    pub(crate) ghost: Option<Process>,
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
    pub(crate) coming: BTreeMap<(Timestamp, u64), Happening>,
    pub(crate) serial: u64,
    processes: u64,
    crashes_left: u64,
    /// How many more times a settled flow is resumed.
    mornings_left: u64,
    /// How many requests of an attempt started nothing although nobody can say so.
    swallowed: BTreeMap<(usize, u32), u32>,
    /// Whether the next to take the flow up does so to cancel it.
    pub(crate) wants_cancel: bool,
    /// Whether somebody wants to take up even a flow that has settled.
    wants_morning: bool,
    /// Every run that somebody else started, with its workspace.
    pub(crate) others: BTreeSet<(usize, String)>,
    has_edited: bool,
    pub(crate) is_over: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let sketch = Sketch::new(seed, &mut dice);
        Self::of(sketch, dice)
    }

    pub(crate) fn of(sketch: Sketch, mut dice: Dice) -> Self {
        let plan = sketch.plan.clone();
        let mut header = header("7f3a9c", "sketch", plan.max_parallel);
        if sketch.is_proven {
            let endpoints = plan.workspaces.iter().map(|workspace| workspace.endpoint.clone());
            header.trust = endpoints.map(|endpoint| (endpoint, Trust::Proven)).collect();
        }
        let models = plan.workspaces.iter().zip(&sketch.scripts).map(|(workspace, script)| {
            let made = Model::new(&workspace.name, script.clone(), &sketch.definitions, DAWN);
            let model = made.unwrap().with_strict_definitions(false);
            if sketch.has_sign_in { model } else { model.without_sign_in() }
        });
        let models = models.collect();
        let mornings_left =
            if sketch.crashes > 0 && sketch.mood != Mood::Twin { dice.within(0, 1) } else { 0 };
        let mut world = Self {
            models,
            ledger: Ledger::new(header, plan.clone()),
            judge: Judge::new(plan, sketch.honours_ids(), sketch.has_jumps),
            crashes_left: sketch.crashes,
            sketch,
            dice,
            now: DAWN,
            process: None,
            ghost: None,
            tally: Tally::default(),
            coming: BTreeMap::new(),
            serial: 0,
            processes: 0,
            mornings_left,
            swallowed: BTreeMap::new(),
            wants_cancel: false,
            wants_morning: false,
            others: BTreeSet::new(),
            has_edited: false,
            is_over: false,
        };
        world.expect_disturbances();
        world
    }

    fn expect_disturbances(&mut self) {
        let calm = self.sketch.crashes == 0;
        let mut coming = Vec::new();
        if self.sketch.has_jumps {
            coming.extend([Disturbance::ClockJumps; 3]);
        }
        if !calm {
            coming.extend([Disturbance::Competes, Disturbance::Dies]);
            if self.dice.percent(20) {
                coming.push(Disturbance::LosesLease);
            }
            if self.dice.percent(20) {
                coming.push(Disturbance::Leaves);
            }
        }
        if self.sketch.mood != Mood::Twin {
            if self.dice.percent(8) {
                coming.push(Disturbance::Cancels);
            }
            if self.dice.percent(15) {
                coming.push(Disturbance::CancelsStep);
            }
        }
        for disturbance in coming {
            let at = if self.dice.percent(50) { 60_000 } else { 600_000 };
            let delay = self.dice.delay(1_000, at);
            self.later(delay, Happening::Disturbs(disturbance));
        }
        self.expect_others();
    }

    /// Plays the night to its end.
    pub(crate) fn run(&mut self) {
        self.take_up();
        for _ in 0..ROUNDS_MAX {
            if self.is_over {
                return;
            }
            if self.process.is_some() && self.turn().is_err() {
                self.process = None;
            }
            if self.ghost.is_some() {
                self.as_ghost(Self::turn);
            }
            self.check_rest();
            if self.is_over {
                return;
            }
            let next = self.coming.keys().next().map(|&(at, _)| at);
            let is_asked = self.ledger.asked.iter().any(|asked| !asked.is_answered);
            let processes = self.process.iter().chain(&self.ghost);
            let wakes = processes.filter_map(|process| {
                let reads_at = is_asked.then_some(process.reads_at);
                let at = [process.wake_at, reads_at].into_iter().flatten().min()?;
                Some(process.true_time(at).max(self.now))
            });
            let next = next.into_iter().chain(wakes).min();
            self.now = next.unwrap_or_else(|| {
                let counts = self.process.as_ref().map(|process| process.flow.counts());
                panic!("the flow is stuck: {counts:?}")
            });
            self.happen();
        }
        let counts = self.process.as_ref().map(|process| process.flow.counts());
        panic!("the flow does not settle: {counts:?}");
    }

    /// Goes on where no process is left: takes a morning's resume, or ends the night.
    fn check_rest(&mut self) {
        if self.process.is_some() || self.ledger.events.is_empty() {
            return;
        }
        let expects = |happening: &Happening| {
            matches!(happening, Happening::TakesUp | Happening::Disturbs(Disturbance::PersonLooks))
        };
        if self.coming.values().any(expects) {
            return;
        }
        let flow = self.ledger.fold();
        if flow.exit_code().is_none() {
            let delay = self.dice.delay(1_000, 600_000);
            let next = if flow.waits_for_a_person() {
                Happening::Disturbs(Disturbance::PersonLooks)
            } else {
                Happening::TakesUp
            };
            return self.later(delay, next);
        }
        let anew = resume::redone(&flow, &BTreeSet::new());
        if self.mornings_left > 0 && !anew.is_empty() {
            self.mornings_left -= 1;
            self.wants_morning = true;
            self.tally.count("morning");
            let delay = self.dice.delay(60_000, 7_200_000);
            return self.later(delay, Happening::TakesUp);
        }
        self.is_over = true;
    }

    /// Begins a process, and takes the flow up again if it is not the first.
    pub(crate) fn take_up(&mut self) {
        if self.process.is_some() {
            return;
        }
        let Some(mut process) = self.new_process() else { return };
        let is_first = self.ledger.events.is_empty();
        let is_settled = process.flow.exit_code().is_some();
        if is_first {
            process.watch.expect(self.sketch.forecast(&process.flow));
            self.process = Some(process);
            return;
        }
        let wants_cancel = std::mem::take(&mut self.wants_cancel);
        let redo = if wants_cancel { Vec::new() } else { resume::redone(&process.flow, &BTreeSet::new()) };
        if is_settled && (redo.is_empty() || !std::mem::take(&mut self.wants_morning)) {
            self.ledger.release(process.number);
            return;
        }
        self.swallow_unsent(&process);
        process.wake_at = None;
        self.tally.count("resumed");
        let trust = self.ledger.trust.clone();
        self.process = Some(process);
        let began = self.record(Event::Resumed { redo, trust, definitions: BTreeMap::new() });
        let began = began.and_then(|()| self.change_plan());
        let began =
            began.and_then(|()| if wants_cancel { self.record(Event::CancelRequested) } else { Ok(()) });
        if began.and_then(|()| self.pass(Point::AfterResumed)).is_err() {
            self.process = None;
        }
        if let Some(process) = &mut self.process {
            process.watch.expect(self.sketch.forecast(&process.flow));
        }
    }

    /// Goes on with an edited plan, now and then, once in a night.
    fn change_plan(&mut self) -> Result<(), Gone> {
        if self.sketch.mood == Mood::Twin || self.has_edited || !self.dice.percent(10) {
            return Ok(());
        }
        self.has_edited = true;
        let plan_text = edited(&self.sketch.plan);
        let (inputs, env) = (serde_json::Map::new(), BTreeMap::new());
        let (plan, _) =
            resume::read_plan(&plan_text, &inputs, &env, "", &synflow::graph::Selection::default(), DAWN)
                .unwrap();
        self.judge.plan_changed(plan.clone());
        self.sketch.plan = plan;
        let (plan_file, plan_sha256) = ("sketch.yaml".to_owned(), String::new());
        let (max_parallel, commit) = (None, None);
        self.record(Event::PlanChanged {
            plan_file,
            plan_text,
            plan_sha256,
            inputs,
            env,
            max_parallel,
            commit,
        })
    }

    pub(crate) fn new_process(&mut self) -> Option<Process> {
        self.processes += 1;
        let number = self.processes;
        let epoch = self.ledger.own(number)?;
        let flow = self.ledger.fold();
        flow.check();
        let ahead_ms = if self.sketch.has_jumps { self.jump_ms() } else { 0 };
        let mut process = Process::new(number, epoch, flow, self.ledger.newest_at(), ahead_ms);
        if self.crashes_left > 0 {
            self.crashes_left -= 1;
            let is_asked = |happening: &Happening| {
                matches!(happening, Happening::Disturbs(Disturbance::Cancels | Disturbance::CancelsStep))
            };
            process.fate = Some(if self.coming.values().any(is_asked) && self.dice.percent(40) {
                (Point::BeforeRequestMarked, 1)
            } else {
                (self.dice.pick(&POINTS), self.dice.within(1, 4))
            });
        }
        Some(process)
    }

    /// Returns how far ahead a clock is put: for ids of the service's own, within what a search allows for.
    pub(crate) fn jump_ms(&mut self) -> i64 {
        let most = if self.sketch.honours_ids() && self.dice.percent(20) { 7_200_000 } else { 240_000 };
        let far = self.dice.within(0, most) as i64;
        if self.dice.percent(50) { far } else { -far }
    }

    pub(crate) fn owner(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process is at work")
    }

    /// Comes to a point where the process may die.
    pub(crate) fn pass(&mut self, point: Point) -> Result<(), Gone> {
        if self.has_last_chance() {
            return Ok(());
        }
        if self.process.as_mut().is_some_and(|process| process.dies_at(point)) {
            self.die(point);
            return Err(Gone);
        }
        Ok(())
    }

    /// Kills the process. What it has sent lands, or is lost; all else is gone.
    pub(crate) fn die(&mut self, point: Point) {
        let Some(process) = self.process.take() else { return };
        self.tally.count(&format!("crash {point:?}"));
        self.ledger.release(process.number);
        self.lose_letters(process.number);
        let delay =
            if self.dice.percent(50) { self.dice.delay(0, 5_000) } else { self.dice.delay(0, 900_000) };
        self.later(delay, Happening::TakesUp);
    }

    /// Lets the network keep some of what a process that is gone has sent, for a while or for good.
    fn lose_letters(&mut self, process: u64) {
        let under_way: Vec<(Timestamp, u64)> = self
            .coming
            .iter()
            .filter(|(_, it)| matches!(it, Happening::Lands(letter, _) if letter.process == process))
            .map(|(key, _)| *key)
            .collect();
        for key in under_way {
            match self.dice.within(0, 2) {
                0 => {}
                1 => {
                    let happening = self.coming.remove(&key).expect("it is there");
                    let delay = self.dice.delay(0, LANDS_WITHIN_MS - 1_000);
                    self.later(delay, happening);
                }
                _ => {
                    if let Some(Happening::Lands(letter, _)) = self.coming.remove(&key)
                        && let Errand::Start { step, attempt } = letter.errand
                        && !self.swallow(step, attempt)
                    {
                        let delay = self.dice.delay(0, 10_000);
                        self.later(delay, Happening::Lands(letter, None));
                    }
                }
            }
        }
    }

    /// Notes that a request for a start comes to nothing; says no if it must not, for four before it did.
    pub(crate) fn swallow(&mut self, step: StepIndex, attempt: u32) -> bool {
        let count = self.swallowed.entry((step.0, attempt)).or_default();
        if *count + 1 >= SENDS_MAX {
            return false;
        }
        *count += 1;
        true
    }

    /// Puts an event on the disk, then into memory, and lets the judge see it.
    pub(crate) fn record(&mut self, event: Event) -> Result<(), Gone> {
        let now = self.now;
        let process = self.process.as_mut().expect("a process is at work");
        let at = process.now(now);
        let Ok(recorded) = self.ledger.append(process.epoch, at, event) else {
            self.tally.count("an append that failed");
            self.process = None;
            return Err(Gone);
        };
        process.flow.apply(&recorded).unwrap();
        process.watch.follow(&process.flow, &recorded.event);
        self.ledger.keep_trust(&process.flow);
        if self.sketch.is_checked_always {
            process.flow.check();
        }
        self.tally.event(&recorded.event);
        self.judge_event(&recorded);
        Ok(())
    }

    /// Follows the decisions until nothing more is wanted now.
    fn turn(&mut self) -> Result<(), Gone> {
        loop {
            self.read_requests()?;
            let now = self.now;
            let process = self.owner();
            let at = process.now(now);
            let decision = decide(&process.flow, &process.watch, &process.limits, at);
            if !decision.facts.is_empty() {
                assert!(decision.effects.is_empty(), "facts come first");
                for (number, fact) in decision.facts.into_iter().enumerate() {
                    if number > 0 {
                        self.pass(Point::BetweenEvents)?;
                    }
                    if matches!(fact, Event::FlowEnded { .. }) {
                        self.pass(Point::BeforeFlowEnded)?;
                    }
                    self.record(fact)?;
                }
                continue;
            }
            if process.flow.exit_code().is_some() || process.flow.waits_for_a_person() {
                let number = process.number;
                self.process = None;
                self.ledger.release(number);
                return Ok(());
            }
            starts_unless_held_up(&process.flow, &decision.effects, at);
            for effect in &decision.effects {
                self.intend(effect)?;
            }
            for effect in &decision.effects {
                self.begin(effect)?;
            }
            let process = self.owner();
            let after = decide(&process.flow, &process.watch, &process.limits, at);
            assert!(after.facts.is_empty(), "nothing follows from having begun: {:?}", after.facts);
            assert!(after.effects.is_empty(), "what is under way is not wanted again: {:?}", after.effects);
            assert!(after.wake_at.is_none_or(|wake_at| wake_at > at), "wakes up for nothing");
            process.wake_at = after.wake_at;
            return self.pass(Point::Idle);
        }
    }

    /// Records what must be on the disk before an effect may begin.
    fn intend(&mut self, effect: &Effect) -> Result<(), Gone> {
        let event = match effect {
            Effect::Start { step, attempt, parameters, secrets, recovery } => Event::StartIntended {
                step: self.owner().flow.step(*step).id.clone(),
                attempt: *attempt,
                run: RunId(self.dice.uuid()),
                parameters: parameters.clone(),
                secrets: secrets.clone(),
                recovery: recovery.clone(),
            },
            Effect::SendAgain { step } => {
                let flow = &self.owner().flow;
                let attempt = flow.run(*step).last_attempt().unwrap().number;
                Event::StartResent { step: flow.step(*step).id.clone(), attempt }
            }
            _ => return Ok(()),
        };
        self.pass(Point::BeforeIntent)?;
        self.record(event)
    }

    /// Sends the request of an effect.
    fn begin(&mut self, effect: &Effect) -> Result<(), Gone> {
        let now = self.now;
        let process = self.owner();
        let asked_at = process.now(now);
        if let Some(chore) = effect.chore() {
            process.watch.begin(chore, asked_at);
        }
        let flow = &process.flow;
        let place = |step: StepIndex| (flow.step(step).workspace, flow.step(step).pipeline.clone());
        match *effect {
            Effect::Start { step, .. } | Effect::SendAgain { step } => {
                let tried = flow.run(step).last_attempt().unwrap();
                let (workspace, pipeline) = place(step);
                let request =
                    wire::create_run(&pipeline, tried.run, &tried.parameters, tried.recovery.as_ref());
                let attempt = tried.number;
                let errand = Errand::Start { step, attempt };
                let is_last = self.is_last_chance(step, attempt);
                self.pass(Point::BeforeLeaving)?;
                self.judge_start(step);
                self.send(workspace, request, errand, is_last);
                return self.pass(Point::AfterLeaving);
            }
            Effect::LookUp { step, run } => {
                let (workspace, _) = place(step);
                self.send(workspace, wire::get_run(run), Errand::LookUp { step, run, asked_at }, false);
            }
            Effect::Query { workspace, after, coverage } => {
                self.list(ListOf::Query { workspace, coverage }, workspace, after, None, asked_at);
            }
            Effect::ReadActivities { step, run, below } => {
                let (workspace, pipeline) = place(step);
                let reading = Reading { own: None, below, so_far: Vec::new(), child: None };
                let request = wire::activities(&pipeline, run, None);
                self.send(workspace, request, Errand::Activities { step, run, reading }, false);
            }
            Effect::Search { step, from, to } => {
                let (workspace, pipeline) = place(step);
                self.list(ListOf::Search { step, from, to }, workspace, from, Some(pipeline), asked_at);
            }
            Effect::LookAround { step, .. } => {
                let (workspace, pipeline) = place(step);
                let after = asked_at - Delay::from_secs(45 * 24 * 3600);
                self.list(ListOf::LookAround { step }, workspace, after, Some(pipeline), asked_at);
            }
            Effect::Cancel { step, run } => {
                let (workspace, _) = place(step);
                self.send(workspace, wire::cancel(run), Errand::Cancel { step, run }, false);
            }
        }
        Ok(())
    }

    /// Says whether four requests of an attempt came to nothing, where that must not happen five times.
    fn is_last_chance(&self, step: StepIndex, attempt: u32) -> bool {
        let swallowed = self.swallowed.get(&(step.0, attempt)).copied().unwrap_or_default();
        self.sketch.honours_ids() && swallowed + 1 >= SENDS_MAX
    }

    /// Says whether the process must not die before the request of such an attempt has left.
    fn has_last_chance(&self) -> bool {
        let Some(process) = &self.process else { return false };
        self.starting(&process.flow).into_iter().any(|(step, attempt)| self.is_last_chance(step, attempt))
    }

    /// Counts the requests that were recorded and never reached the service: whoever takes the flow up cannot tell.
    fn swallow_unsent(&mut self, process: &Process) {
        for (step, attempt) in self.starting(&process.flow) {
            self.swallow(step, attempt);
        }
    }

    /// Returns the attempts that are starting without a run and without a request on its way.
    fn starting(&self, flow: &Flow) -> Vec<(StepIndex, u32)> {
        let starting = flow.live().filter(|step| flow.run(*step).state == StepState::Starting);
        let starting = starting.map(|step| (step, flow.run(step).last_attempt().unwrap().number));
        let is_out = |(of, number): (StepIndex, u32)| {
            self.coming.values().any(|happening| match happening {
                Happening::Lands(letter, _) => {
                    matches!(letter.errand, Errand::Start { step, attempt } if step == of && attempt == number)
                }
                _ => false,
            })
        };
        starting
            .filter(|&(step, attempt)| !self.judge.is_accepted(step.0, attempt) && !is_out((step, attempt)))
            .collect()
    }

    fn list(
        &mut self,
        of: ListOf,
        workspace: usize,
        after: Timestamp,
        pipeline: Option<String>,
        asked_at: Timestamp,
    ) {
        let request = wire::list_runs(after, pipeline.as_deref(), of.is_of_live_runs(), None);
        self.send(
            workspace,
            request,
            Errand::List { of, after, pipeline, asked_at, so_far: Vec::new() },
            false,
        );
    }
}
