//! Who else is about in a night: other processes, people, other starters of runs, and the clock.

use serde_json::{Map, json};
use synflow::flow::{Event, Resolution, StepState};
use synflow::plan::{IfRunning, StepIndex};

use crate::simulation::ledger::{Asked, Wish};
use crate::simulation::process::{Errand, Point};
use crate::simulation::wire;
use crate::simulation::world::{Disturbance, Gone, Happening, World};

impl World {
    /// Lets others start runs of the pipelines whose steps ask who is running.
    pub(crate) fn expect_others(&mut self) {
        let asks = self.sketch.plan.steps.iter().filter(|step| step.if_running != IfRunning::Start).count();
        for _ in 0..asks {
            for _ in 0..self.dice.within(0, 3) {
                let latest = if self.dice.percent(60) { 40_000 } else { 300_000 };
                let delay = self.dice.delay(0, latest);
                self.later(delay, Happening::Disturbs(Disturbance::OthersStart));
            }
        }
    }

    pub(crate) fn disturb(&mut self, disturbance: Disturbance) -> Result<(), Gone> {
        self.tally.count(&format!("{disturbance:?}"));
        match disturbance {
            Disturbance::ClockJumps => {
                let far = self.jump_ms();
                if let Some(process) = &mut self.process {
                    process.ahead_ms = far;
                    process.wake_at = None;
                }
            }
            Disturbance::Dies => self.die(Point::Idle),
            Disturbance::Leaves => {
                if self.process.is_some() {
                    self.record(Event::Detached)?;
                    self.die(Point::Idle);
                }
            }
            Disturbance::Competes => {
                if self.process.is_some() {
                    assert!(self.ledger.own(u64::MAX).is_none(), "two processes own the key");
                }
            }
            Disturbance::LosesLease => self.lose_lease(),
            Disturbance::Cancels => self.ask(Wish::Cancel),
            Disturbance::CancelsStep => {
                let step = self.dice.within(0, self.sketch.plan.steps.len() as u64 - 1) as usize;
                self.ask(Wish::CancelStep(self.sketch.plan.steps[step].id.clone()));
            }
            Disturbance::PersonLooks => return self.look(),
            Disturbance::OthersStart => self.start_as_others(),
        }
        Ok(())
    }

    /// Takes the lease away from an owner that lives on and does not know it; another goes on without it.
    fn lose_lease(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.ledger.release(process.number);
        self.ghost = Some(process);
        self.take_up();
    }

    /// Lets the old owner act, which finds its lease lost as soon as it writes.
    pub(crate) fn as_ghost(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Gone>) {
        std::mem::swap(&mut self.process, &mut self.ghost);
        if act(self).is_err() {
            self.process = None;
        }
        std::mem::swap(&mut self.process, &mut self.ghost);
    }

    /// Writes a request into the journal; without an owner, the one who asks does the work.
    fn ask(&mut self, wish: Wish) {
        if self.process.is_some() {
            self.ledger.asked.push(Asked { wish, is_answered: false });
        } else if wish == Wish::Cancel && !self.ledger.events.is_empty() {
            self.wants_cancel = self.ledger.fold().exit_code().is_none();
        }
    }

    /// Reads what others have asked, once a beat.
    pub(crate) fn read_requests(&mut self) -> Result<(), Gone> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Err(Gone) };
        let at = process.now(now);
        if at < process.reads_at {
            return Ok(());
        }
        process.reads_at = at + process.limits.beat;
        for number in 0..self.ledger.asked.len() {
            let Asked { wish, is_answered } = self.ledger.asked[number].clone();
            if is_answered {
                continue;
            }
            if let Some(event) = self.meaning(wish) {
                self.record(event)?;
            }
            self.pass(Point::BeforeRequestMarked)?;
            self.ledger.asked[number].is_answered = true;
            self.tally.count("request answered");
        }
        Ok(())
    }

    /// Returns the event that a request means by now; nothing if it comes too late.
    fn meaning(&self, wish: Wish) -> Option<Event> {
        let flow = &self.process.as_ref()?.flow;
        let is_open = flow.exit_code().is_none();
        match wish {
            Wish::Cancel => is_open.then_some(Event::CancelRequested),
            Wish::CancelStep(id) => {
                let step = flow.index(&id)?;
                (is_open && !flow.run(step).is_over()).then_some(Event::StepCancelRequested { step: id })
            }
            Wish::Resolve(event) => {
                let step = flow.index(event.step()?)?;
                let is_it = flow.run(step).last_attempt().map(|attempt| attempt.number) == event.attempt();
                (is_it && flow.run(step).state == StepState::Unknown).then_some(event)
            }
        }
    }

    /// A person looks at the steps that are unknown and tells the truth, by the service's own record.
    fn look(&mut self) -> Result<(), Gone> {
        let flow = self.process.as_ref().map_or_else(|| self.ledger.fold(), |process| process.flow.clone());
        let unknown = flow.steps().filter(|(_, _, run)| run.state == StepState::Unknown);
        let unknown: Vec<(StepIndex, u32)> =
            unknown.map(|(step, _, run)| (step, run.last_attempt().unwrap().number)).collect();
        let mut answers = Vec::new();
        for (step, attempt) in unknown {
            let is_its = |happening: &Happening| {
                matches!(happening, Happening::Lands(letter, _)
                    if matches!(letter.errand, Errand::Start { step: of, attempt: its } if of == step && its == attempt))
            };
            if self.coming.values().any(is_its) {
                continue;
            }
            let truth = self.judge.truth(step.0, attempt);
            let resolution = match truth {
                _ if self.dice.percent(20) => Resolution::GiveUp,
                Some(run) => Resolution::Run { run },
                None => Resolution::NotStarted,
            };
            let step = flow.step(step).id.clone();
            answers.push(Event::Resolved { step, attempt, resolution });
        }
        if self.process.is_some() {
            let asked =
                answers.into_iter().map(|event| Asked { wish: Wish::Resolve(event), is_answered: false });
            self.ledger.asked.extend(asked);
            return Ok(());
        }
        // Without an owner the person's process writes it down itself; a resume goes on from there.
        if !answers.is_empty()
            && let Some(process) = self.new_process()
        {
            let number = process.number;
            self.process = Some(process);
            let mut done = Ok(());
            // A person may also begin another flow instead, where nothing of this one is under way any more.
            let gives_up = self.dice.percent(5) && flow.live().next().is_none();
            if gives_up {
                done = self.record(Event::GivenUp);
                self.is_over = true;
            } else {
                for event in answers {
                    done = done.and_then(|()| self.record(event));
                }
            }
            self.process = None;
            self.ledger.release(number);
            done?;
        }
        let delay = self.dice.delay(1_000, 60_000);
        self.later(delay, Happening::TakesUp);
        Ok(())
    }

    fn start_as_others(&mut self) {
        let asking: Vec<usize> = (0..self.sketch.plan.steps.len())
            .filter(|at| self.sketch.plan.steps[*at].if_running != IfRunning::Start)
            .collect();
        if asking.is_empty() {
            return;
        }
        let step = self.sketch.plan.steps[self.dice.pick(&asking)].clone();
        // A run of others that is equal could be taken for our own where nobody knows whose ids count.
        let is_equal = self.sketch.is_proven && self.dice.percent(60);
        let mut parameters = Map::new();
        if !is_equal {
            parameters.insert("region".to_owned(), json!("apac"));
        }
        let run = synflow::flow::RunId(self.dice.uuid());
        let request = wire::create_run(&step.pipeline, run, &parameters, None);
        let mut model = self.models.swap_remove(step.workspace);
        let before = model.record().runs.len();
        model.answer(self.now, &request);
        let made: Vec<String> = model.record().runs[before..].iter().map(|run| run.run_id.clone()).collect();
        self.models.push(model);
        let last = self.models.len() - 1;
        self.models.swap(step.workspace, last);
        self.others.extend(made.into_iter().map(|run| (step.workspace, run)));
    }
}
