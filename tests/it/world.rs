//! The world of the simulation: a flow, the pretend service, a faulty network between them, and the driver's loop.
//!
//! [`World::drive`] follows the decisions exactly as the real driver does; every request passes through
//! [`World::land`], so that another service can take the pretended one's place.

use std::collections::{BTreeMap, BTreeSet};

use synflow::flow::decide::Effect;
use synflow::flow::watch::Chore;
use synflow::flow::{
    ActivitySeen, Event, RunId, RunSeen, StartOutcome, StepError, StepState, Trust, observe,
};
use synflow::plan::{Plan, StepIndex};
use synflow::time::{Delay, Timestamp};

use crate::play::Play;
use crate::pretend::{Create, Dice, Service};

/// More rounds of the loop than any flow here needs: beyond it, it is stuck in motion.
const ROUNDS_MAX: u32 = 100_000;

/// The longest time from sending a start to its landing, well below the grace (design 6).
const LANDS_WITHIN_MS: u64 = 60_000;

/// A request on its way.
#[derive(Clone, Debug)]
enum Request {
    Start(Create),
    LookUp { step: StepIndex, run: RunId },
    Query { workspace: usize, after: Timestamp, sweep: bool, asked_at: Timestamp },
    ReadActivities { step: StepIndex, run: RunId },
    Cancel { step: StepIndex, run: RunId },
    Search { step: StepIndex, from: Timestamp, to: Timestamp, asked_at: Timestamp },
}

/// What comes back. Nothing inside means: no useful answer.
#[derive(Clone, Debug)]
enum Reply {
    Start(StepIndex, StartOutcome),
    /// At most one run.
    LookUp {
        step: StepIndex,
        seen: Option<Vec<RunSeen>>,
    },
    Query {
        workspace: usize,
        sweep: bool,
        asked_at: Timestamp,
        seen: Option<Vec<RunSeen>>,
    },
    ReadActivities {
        step: StepIndex,
        seen: Option<Vec<ActivitySeen>>,
    },
    Cancel {
        step: StepIndex,
        run: RunId,
        accepted: bool,
    },
    Search {
        step: StepIndex,
        asked_at: Timestamp,
        seen: Option<Vec<RunSeen>>,
    },
}

#[derive(Clone, Debug)]
enum Happening {
    /// The request reaches the service, whose answer takes this long.
    Lands(Request, Delay),
    /// The request reaches the service, whose answer nobody hears.
    LandsUnheard(Request),
    Answered(Reply),
}

/// A flow, a service, and the network between them.
pub(crate) struct World {
    pub(crate) play: Play,
    pub(crate) service: Service,
    dice: Dice,
    /// How many of a hundred requests come to grief.
    pub(crate) fault_percent: u64,
    coming: BTreeMap<(Timestamp, u64), Happening>,
    serial: u64,
    /// Every start request that left, by step, in order.
    pub(crate) sent: Vec<Vec<Create>>,
    /// Attempts that the service refused.
    pub(crate) refused: BTreeSet<(usize, u32)>,
    check_every_event: bool,
}

impl World {
    /// Makes a world in which this plan is run; the dice decide all that happens in it.
    pub(crate) fn new(plan: Plan, mut dice: Dice, check_every_event: bool) -> Self {
        let service = Service::new(dice.roll(), !dice.percent(25));
        let fault_percent = [0, 5, 30][dice.within(0, 2) as usize];
        Self {
            sent: vec![Vec::new(); plan.steps.len()],
            play: Play::new(plan),
            service,
            dice,
            fault_percent,
            coming: BTreeMap::new(),
            serial: 0,
            refused: BTreeSet::new(),
            check_every_event,
        }
    }

    /// Runs the flow to its end, or until a person must decide. This is the driver's loop.
    pub(crate) fn drive(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.play.flow.exit_code().is_some() || self.play.flow.waits_for_a_person() {
                return;
            }
            let decision = self.play.decide();
            if !decision.facts.is_empty() {
                assert!(decision.effects.is_empty(), "facts come first");
                self.record_all(decision.facts);
                continue;
            }
            let acted = !decision.effects.is_empty();
            decision.effects.into_iter().for_each(|effect| self.begin(effect));
            let after = self.play.decide();
            assert!(after.facts.is_empty(), "nothing follows from having begun: {:?}", after.facts);
            assert!(after.effects.is_empty(), "what is under way is not wanted again: {:?}", after.effects);
            let may_start = |(_, step): (usize, StepIndex)| {
                let (flow, workspace) = (&self.play.flow, self.play.flow.step(step).workspace);
                let is_asking = |other: StepIndex| {
                    flow.run(other).state == StepState::Starting && flow.step(other).workspace == workspace
                };
                flow.trust(workspace) != Trust::NotProven || !flow.live().any(is_asking)
            };
            let idle = self.play.flow.places_left() > 0 && self.play.flow.ready().any(may_start);
            assert!(!idle, "a ready step was left lying although there is a place");
            let next = self.coming.keys().next().map(|&(at, _)| at);
            let wake_at = if acted { after.wake_at } else { decision.wake_at };
            assert!(wake_at.is_none_or(|at| at > self.play.now), "wakes up for nothing");
            let next = next.into_iter().chain(wake_at).min();
            self.play.now =
                next.unwrap_or_else(|| panic!("the flow is stuck: {:?}", self.play.flow.counts()));
            self.happen();
        }
        panic!("the flow does not settle: {:?}", self.play.flow.counts());
    }

    fn record(&mut self, event: Event) {
        self.play.take_in(event);
        if self.check_every_event {
            self.play.flow.check();
        }
    }

    fn record_all(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.record(event);
        }
    }

    /// Begins an effect: an intent is recorded before its request leaves, a chore noted as under way.
    fn begin(&mut self, effect: Effect) {
        if let Some(chore) = effect.chore() {
            self.play.watch.begin(chore);
        }
        match effect {
            Effect::Start { step, attempt, parameters, recovery } => {
                let run = RunId(self.dice.uuid());
                let id = self.play.flow.step(step).id.clone();
                self.record(Event::StartIntended { step: id, attempt, run, parameters, recovery });
                self.send_start(step);
            }
            Effect::SendAgain { step } => {
                let attempt = self.play.attempt(step.0);
                self.record(Event::StartResent { step: self.play.id(step.0), attempt });
                self.send_start(step);
            }
            Effect::LookUp { step, run } => self.ask(Request::LookUp { step, run }),
            Effect::Query { workspace, after, sweep } => {
                self.ask(Request::Query { workspace, after, sweep, asked_at: self.play.now });
            }
            Effect::ReadActivities { step, run, .. } => self.ask(Request::ReadActivities { step, run }),
            Effect::Cancel { step, run } => self.ask(Request::Cancel { step, run }),
            Effect::Search { step, from, to } => {
                self.ask(Request::Search { step, from, to, asked_at: self.play.now });
            }
            Effect::LookAround { .. } => unreachable!("no step here asks who else is running"),
        }
    }

    /// Lets everything happen that happens now.
    fn happen(&mut self) {
        while let Some(entry) = self.coming.first_entry()
            && entry.key().0 <= self.play.now
        {
            match entry.remove() {
                Happening::Lands(request, answer_takes) => {
                    let reply = self.land(request);
                    self.later(answer_takes, Happening::Answered(reply));
                }
                Happening::LandsUnheard(request) => drop(self.land(request)),
                Happening::Answered(reply) => self.hear(reply),
            }
        }
    }

    fn later(&mut self, delay: Delay, happening: Happening) {
        self.serial += 1;
        self.coming.insert((self.play.now + delay, self.serial), happening);
    }

    /// Returns how long a request, or its answer, takes on its way.
    fn latency(&mut self) -> Delay {
        let longest = if self.dice.percent(3) { 20_000 } else { 1_000 };
        self.dice.delay(1, longest)
    }

    /// Sends a start request; the network may lose it or its answer.
    fn send_start(&mut self, step: StepIndex) {
        let create = Create {
            run: self.play.run(step.0),
            workspace: self.play.flow.step(step).workspace,
            step: step.0,
            attempt: self.play.attempt(step.0),
        };
        self.judge_start(&create);
        self.sent[step.0].push(create.clone());
        let (there, back) = (self.latency(), self.latency());
        let request = Request::Start(create);
        if !self.dice.percent(self.fault_percent) {
            return self.later(there, Happening::Lands(request, back));
        }
        let answer = match self.dice.within(0, 9) {
            0..=3 => {
                let after = self.dice.percent(50).then(|| self.dice.delay(100, 90_000));
                StartOutcome::NotSent { reason: "429 TooManyRequests".to_owned(), after }
            }
            4 => {
                self.refused.insert((step.0, self.play.attempt(step.0)));
                StartOutcome::Refused(StepError::default())
            }
            fate => {
                if fate <= 8 {
                    let lands_in = self.dice.delay(1, LANDS_WITHIN_MS);
                    self.later(lands_in, Happening::LandsUnheard(request));
                }
                StartOutcome::Unclear { reason: "the connection was cut".to_owned() }
            }
        };
        self.later(there + back, Happening::Answered(Reply::Start(step, answer)));
    }

    /// Sends a question or a cancel; the network may lose it, or only its answer.
    fn ask(&mut self, request: Request) {
        let (there, back) = (self.latency(), self.latency());
        if !self.dice.percent(self.fault_percent) {
            return self.later(there, Happening::Lands(request, back));
        }
        let unanswered = match request.clone() {
            Request::Start(_) => unreachable!("starts are sent on their own"),
            Request::LookUp { step, .. } => Reply::LookUp { step, seen: None },
            Request::Query { workspace, sweep, asked_at, .. } => {
                Reply::Query { workspace, sweep, asked_at, seen: None }
            }
            Request::ReadActivities { step, .. } => Reply::ReadActivities { step, seen: None },
            Request::Cancel { step, run } => Reply::Cancel { step, run, accepted: false },
            Request::Search { step, asked_at, .. } => Reply::Search { step, asked_at, seen: None },
        };
        if self.dice.percent(50) {
            self.later(there, Happening::LandsUnheard(request));
        }
        self.later(there + back, Happening::Answered(unanswered));
    }

    /// Lets a request reach the service.
    fn land(&mut self, request: Request) -> Reply {
        let now = self.play.now;
        match request {
            Request::Start(create) => {
                let run = self.service.create(now, &create);
                self.judge_places();
                Reply::Start(StepIndex(create.step), StartOutcome::Started(run))
            }
            Request::LookUp { step, run } => {
                Reply::LookUp { step, seen: Some(self.service.look_up(now, run).into_iter().collect()) }
            }
            Request::Query { workspace, after, sweep, asked_at } => {
                let seen = Some(self.service.list(now, workspace, after));
                Reply::Query { workspace, sweep, asked_at, seen }
            }
            Request::ReadActivities { step, run } => {
                Reply::ReadActivities { step, seen: Some(self.service.activities(run)) }
            }
            Request::Cancel { step, run } => {
                self.service.cancel(now, run);
                Reply::Cancel { step, run, accepted: true }
            }
            Request::Search { step, from, to, asked_at } => {
                let seen = Some(self.service.search(now, step.0, from, to));
                Reply::Search { step, asked_at, seen }
            }
        }
    }

    /// Takes in what came back, as the driver does.
    fn hear(&mut self, reply: Reply) {
        let (limits, now) = (self.play.limits, self.play.now);
        let (chore, useful) = match &reply {
            Reply::Start(step, answer) => {
                let event = observe::start_answered(&self.play.flow, *step, answer.clone(), &limits, now);
                return self.record(event);
            }
            Reply::LookUp { step, seen } => (Chore::LookUp(*step), seen.is_some()),
            Reply::Query { workspace, seen, .. } => (Chore::Query(*workspace), seen.is_some()),
            Reply::ReadActivities { step, seen } => (Chore::ReadActivities(*step), seen.is_some()),
            Reply::Cancel { step, accepted, .. } => (Chore::Cancel(*step), *accepted),
            Reply::Search { step, seen, .. } => (Chore::Search(*step), seen.is_some()),
        };
        if !useful {
            let pause = self.play.watch.failed(chore, &limits, now, None);
            assert!(pause > Delay::ZERO, "a failed question rests");
            return;
        }
        self.play.watch.answered(chore, &limits, now);
        match reply {
            Reply::LookUp { step, seen: Some(seen) } => {
                self.play.watch.looked_up(step, !seen.is_empty(), now);
                let event = seen.first().and_then(|seen| observe::run_seen(&self.play.flow, step, seen));
                self.record_all(event);
            }
            Reply::Query { workspace, sweep, asked_at, seen: Some(seen) } => {
                self.play.watch.listed(&self.play.flow, workspace, sweep, asked_at, &seen);
                let events = observe::runs_listed(&self.play.flow, &seen);
                self.record_all(events);
            }
            Reply::ReadActivities { step, seen: Some(seen) } => {
                self.record_all(observe::activities_read(&self.play.flow, step, &seen, &[]));
            }
            Reply::Search { step, asked_at, seen: Some(seen) } => {
                self.play.watch.searched(step, seen, asked_at);
            }
            Reply::Cancel { step, run, .. } => {
                let event = observe::cancel_accepted(&self.play.flow, step, run);
                self.record_all(event);
            }
            _ => unreachable!("what is not useful was dealt with"),
        }
    }
}
