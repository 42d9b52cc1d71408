//! The loop that runs a flow: asks the core what to do, does it, records what came of it.
//!
//! It holds no opinions. The order is always disk, memory, screen (`Driver::record`); the journal is
//! the only thing whose failure ends the loop. Every task belongs to the loop and ends with it.

mod clock;
mod errand;
mod leave;
mod request;
mod telling;
mod unspoken;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::task::{self, JoinSet};

use self::clock::Clock;
use self::errand::{Done, Errand};
use self::telling::Telling;
use self::upkeep::Duties;
use crate::flow::decide::{Effect, decide};
use crate::flow::forecast::{Durations, Forecast};
use crate::flow::policy::Limits;
use crate::flow::watch::{Chore, Watch};
use crate::flow::{Event, Flow, IllegalEvent, RunId, StartOutcome, observe};
use crate::journal::{Journal, JournalError};
use crate::plan::{StepId, StepIndex};
use crate::report::Report;
use crate::secret::Secrets;
use crate::synapse::{CallFailure, SynapseClient};
use crate::time::{Delay, Timestamp};

pub use clock::now;
pub use errand::read_all_activities;
pub use leave::{Goal, Leaving, Wish, Wishes};
pub use unspoken::{hide, sent};
pub use upkeep::HEARTBEAT;

/// How long an answer waits for others, in beats, and at most.
const GATHER_BEATS: f64 = 0.005;
const GATHER_MAX: Delay = Delay::from_ms(50);

/// How often the loop does what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How patient the core is.
    pub limits: Limits,
    /// The gap between two signs of life in the lease.
    pub heartbeat: Delay,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step has ended.
    Settled,
    /// Only steps are left that a person must look at, and what waits for them.
    WaitsForAPerson,
    /// We were asked to leave, or went as far as we were asked to; the runs go on.
    Detached,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal cannot be written. Runs whose ids only memory knew are listed.
    #[error("the journal can no longer be written")]
    Journal {
        /// What went wrong.
        source: Box<JournalError>,
        /// Runs the service has accepted and the journal does not hold.
        unrecorded: Vec<(StepId, RunId)>,
    },
    /// The core was told something that cannot be: our bug.
    #[error("the flow and its events disagree")]
    Illegal(#[from] IllegalEvent),
    /// Nothing is under way and nothing is left to wait for: our bug.
    #[error("the flow is stuck: nothing is under way although steps are open")]
    Stuck,
}

impl From<JournalError> for DriveError {
    fn from(error: JournalError) -> Self {
        Self::Journal { source: Box::new(error), unrecorded: Vec::new() }
    }
}

/// Runs one flow.
pub struct Driver {
    flow: Flow,
    pace: Pace,
    clock: Clock,
    watch: Watch,
    journal: Journal,
    /// One for each workspace of the plan, in its order.
    clients: Vec<SynapseClient>,
    secrets: Secrets,
    report: Box<dyn Report>,
    tasks: JoinSet<Done>,
    /// What each task is for, so that one that breaks down can be answered for.
    errands: HashMap<task::Id, Errand>,
    /// When the activities of a step were last asked for, for the screen alone.
    peeks: BTreeMap<StepIndex, Timestamp>,
    duties: Duties,
    /// What the steps took in earlier flows.
    durations: Durations,
    telling: Telling,
    leaving: Leaving,
}

impl Driver {
    /// Makes a driver for a flow that the journal holds. `clients` has one for each workspace of the plan, as it is once
    /// the opening of [`Driver::drive`] has been recorded.
    pub fn new(
        flow: Flow,
        pace: Pace,
        journal: Journal,
        clients: Vec<SynapseClient>,
        secrets: Secrets,
        report: Box<dyn Report>,
    ) -> Self {
        Self {
            // Not before what an earlier process has recorded, whatever its clock was.
            clock: Clock::not_before(flow.last_event_at().unwrap_or_default()),
            duties: Duties::of(clients.len()),
            flow,
            pace,
            watch: Watch::default(),
            journal,
            clients,
            secrets,
            report,
            tasks: JoinSet::new(),
            errands: HashMap::new(),
            peeks: BTreeMap::new(),
            durations: Durations::new(),
            telling: Telling::default(),
            leaving: Leaving::default(),
        }
    }

    /// Takes what the steps took in earlier flows: by that the flow may be seen to miss its deadline.
    #[must_use]
    pub fn with_durations(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    /// Returns the flow as it is now.
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Runs the flow until it settles, waits for a person, has come as far as `goal`, or a wish ends it. `opening` is
    /// recorded first: how this process takes up a flow that another one began.
    ///
    /// Fails if the journal cannot be written or its lease is lost; then nothing new was started, and what was under
    /// way has been given time to land.
    pub async fn drive(
        &mut self,
        opening: &[Event],
        goal: Goal,
        wishes: &mut Wishes,
    ) -> Result<Ending, DriveError> {
        let ended = match self.run(opening, goal, wishes).await {
            Err(DriveError::Journal { source, unrecorded }) => {
                Err(self.wind_down(source, unrecorded, wishes).await)
            }
            other => other,
        };
        if let Ok(ending) = ended {
            self.tell_of_end(ending, goal, wishes).await;
        }
        self.report.finish(self.clock.now(), &self.flow);
        ended
    }

    async fn run(
        &mut self,
        opening: &[Event],
        goal: Goal,
        wishes: &mut Wishes,
    ) -> Result<Ending, DriveError> {
        let mut ticks = self.report.tick_gap().map(|gap| {
            let mut ticks = tokio::time::interval(gap.to_std());
            // A laptop that slept redraws once, not once for every tick it missed.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks
        });
        self.record(opening)?;
        self.watch.expect(Forecast::new(&self.flow, &self.durations));
        self.flow.rank_by(&self.durations);
        let workspaces = self.flow.plan().workspaces.len();
        assert_eq!(self.clients.len(), workspaces, "one client for each workspace");
        self.recall_secrets().await;
        let begun_at = self.clock.now();
        loop {
            self.keep_up()?;
            let wake_at = self.follow_decisions()?;
            if self.flow.exit_code().is_some() {
                return Ok(Ending::Settled);
            }
            let is_stuck = self.flow.waits_for_a_person();
            if is_stuck && !matches!(goal, Goal::StepOver(_)) {
                return Ok(Ending::WaitsForAPerson);
            }
            if self.has_reached(goal, begun_at) {
                self.hear_back(wishes).await;
                return self.detach().await;
            }
            if is_stuck {
                return Ok(Ending::WaitsForAPerson);
            }
            self.peek();
            if self.tasks.is_empty() && wake_at.is_none() {
                return Err(DriveError::Stuck);
            }
            let due_at = self.duties.due_at();
            let wake_at = wake_at.map_or(due_at, |at| at.min(due_at));
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => {
                    tokio::time::sleep(self.gathering()).await;
                    self.take_in(joined)?;
                }
                () = tokio::time::sleep(wake_at.since(self.clock.now()).to_std()) => {}
                told = self.telling.next() => self.note_told(&told),
                () = tick(&mut ticks) => self.report.tick(self.clock.now(), &self.flow),
                Some(wish) = wishes.recv() => match wish {
                    Wish::Cancel if self.flow.is_cancelling() => {}
                    Wish::Cancel => self.record(&[Event::CancelRequested])?,
                    Wish::Detach => return self.detach().await,
                    other => drop(self.show(&other)),
                },
            }
        }
    }

    /// Records what follows from the state, begins what is wanted, and returns when to look again.
    fn follow_decisions(&mut self) -> Result<Option<Timestamp>, DriveError> {
        loop {
            let at = self.clock.now();
            self.read_clocks(at);
            let decision = decide(&self.flow, &self.watch, &self.pace.limits, at);
            if !decision.facts.is_empty() {
                self.record(&decision.facts)?;
                continue;
            }
            // Intents first, in one transaction: a crash after this line must find them on disk, or a resume could
            // start the same step twice.
            let intents: Vec<Event> =
                decision.effects.iter().filter_map(|effect| self.intent(effect)).collect();
            self.record(&intents)?;
            for effect in &decision.effects {
                self.begin(effect, at);
            }
            return Ok(decision.wake_at);
        }
    }

    /// Returns what must be on disk before an effect may begin.
    fn intent(&self, effect: &Effect) -> Option<Event> {
        match effect {
            Effect::Start { step, attempt, parameters, secrets, recovery } => Some(Event::StartIntended {
                step: self.flow.step(*step).id.clone(),
                attempt: *attempt,
                // From the operating system's randomness, never the seed: a repeated id would bring back an old run.
                run: RunId(uuid::Uuid::new_v4()),
                parameters: parameters.clone(),
                secrets: secrets.clone(),
                recovery: recovery.clone(),
            }),
            Effect::SendAgain { step } => {
                let attempt = self.flow.run(*step).last_attempt()?.number;
                Some(Event::StartResent { step: self.flow.step(*step).id.clone(), attempt })
            }
            _ => None,
        }
    }

    /// Returns how long an answer waits for others that come with it, as those to the questions of one beat do: one flush of
    /// the disk is then enough for all. A crash in between loses what one a moment earlier would have lost.
    fn gathering(&self) -> Duration {
        if self.tasks.is_empty() {
            return Duration::ZERO;
        }
        self.pace.limits.beat.scaled(GATHER_BEATS).min(GATHER_MAX).to_std()
    }

    /// Takes in a task's answer and every other that is there already, and records them together.
    fn take_in(&mut self, first: Result<(task::Id, Done), task::JoinError>) -> Result<(), DriveError> {
        let mut events = Vec::new();
        let mut next = Some(first);
        while let Some(joined) = next {
            match joined {
                Ok((id, done)) => {
                    self.errands.remove(&id);
                    // A list and a look-up may both tell of one run: each is read against what the last one told.
                    if done.is_of_runs() {
                        self.record(&std::mem::take(&mut events))?;
                    }
                    match self.meaning(done) {
                        Ok(more) => events.extend(more),
                        // What was heard with it must not go unsaid.
                        Err(DriveError::Journal { source, .. }) => {
                            return Err(DriveError::Journal { source, unrecorded: started_in(&events) });
                        }
                        Err(other) => return Err(other),
                    }
                }
                Err(error) => events.extend(self.broken_down(&error)),
            }
            next = self.tasks.try_join_next_with_id();
        }
        self.record(&events)
    }

    /// Returns the event that a task's breakdown means: of a start, that nobody knows what came of it.
    fn broken_down(&mut self, error: &task::JoinError) -> Option<Event> {
        let at = self.clock.now();
        let reason = format!("a request broke down: {error}");
        match self.errands.remove(&error.id())? {
            Errand::Start(step) => {
                let unclear = StartOutcome::Unclear { reason };
                Some(observe::start_answered(&self.flow, step, unclear, &self.pace.limits, at))
            }
            Errand::Chore(chore) => {
                self.watch.failed(chore, &self.pace.limits, at, None);
                self.note(at, &reason);
                None
            }
            Errand::Peek => None,
        }
    }

    /// Returns the events that an answer means.
    fn meaning(&mut self, done: Done) -> Result<Vec<Event>, DriveError> {
        let at = self.clock.now();
        Ok(match done {
            Done::Start(step, outcome) => {
                vec![observe::start_answered(&self.flow, step, outcome, &self.pace.limits, at)]
            }
            Done::LookUp { step, run, asked_at, answer } => {
                let Some(found) = self.settle(Chore::LookUp(step), at, answer) else { return Ok(Vec::new()) };
                // A slow answer may be about an earlier attempt's run.
                if self.flow.run(step).last_attempt().is_some_and(|attempt| attempt.run == run) {
                    self.watch.looked_up(step, found.is_some(), asked_at);
                }
                found.and_then(|run| observe::run_seen(&self.flow, step, &run)).into_iter().collect()
            }
            Done::Query { workspace, coverage, asked_at, answer } => {
                let Some(runs) = self.settle(Chore::Query(workspace), at, answer) else {
                    return Ok(Vec::new());
                };
                self.watch.listed(&self.flow, workspace, coverage, asked_at, &runs);
                observe::runs_listed(&self.flow, &runs)
            }
            Done::Activities(step, answer) => match self.settle(Chore::ReadActivities(step), at, answer) {
                Some(mut read) => {
                    self.hide_in_errors(step, &mut read.rows);
                    for child in read.below.values_mut() {
                        self.hide_in_errors(step, &mut child.rows);
                    }
                    observe::activities_read(&self.flow, step, &read).into_iter().collect()
                }
                None => Vec::new(),
            },
            Done::Search { step, asked_at, answer } => {
                if let Some(mut found) = self.settle(Chore::Search(step), at, answer) {
                    // A run that another flow has, had or asked for is not this one's.
                    let mut claimed = BTreeSet::new();
                    for run in &found {
                        if self.journal.is_claimed_elsewhere(&self.flow.header().id, run.run)? {
                            claimed.insert(run.run);
                        }
                    }
                    found.retain(|run| !claimed.contains(&run.run));
                    self.watch.searched(step, found, asked_at);
                }
                Vec::new()
            }
            Done::LookAround { step, asked_at, answer } => {
                if let Some(around) = self.settle(Chore::LookAround(step), at, answer) {
                    self.watch.looked_around(step, around, asked_at);
                }
                Vec::new()
            }
            Done::Cancel { step, run, answer } => {
                let taken = self.settle(Chore::Cancel(step), at, answer).is_some();
                let event = taken.then(|| observe::cancel_accepted(&self.flow, step, run));
                event.flatten().into_iter().collect()
            }
            Done::Peek(step, answer) => {
                if let Ok(mut activities) = answer {
                    self.hide_in_activities(step, &mut activities);
                    self.report.activities(step, &activities);
                }
                Vec::new()
            }
        })
    }

    /// Keeps the schedule of a question, and says so where it must be asked again.
    fn settle<T>(&mut self, chore: Chore, at: Timestamp, answer: Result<T, CallFailure>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.watch.answered(chore, &self.pace.limits, at);
                Some(value)
            }
            Err(failure) => {
                let pause = self.watch.failed(chore, &self.pace.limits, at, failure.after());
                let what = self.question(chore);
                let why = failure.briefly();
                self.note(at, &format!("{what}: {why}; asking again in {}", pause.short()));
                None
            }
        }
    }

    fn question(&self, chore: Chore) -> String {
        let step = |step: StepIndex| &self.flow.step(step).id;
        match chore {
            Chore::LookUp(of) => format!("reading the run of `{}`", step(of)),
            Chore::Query(workspace) => {
                format!("listing the runs of workspace `{}`", self.flow.plan().workspaces[workspace].name)
            }
            Chore::ReadActivities(of) => format!("reading the activities of `{}`", step(of)),
            Chore::Cancel(of) => format!("cancelling the run of `{}`", step(of)),
            Chore::Search(of) => format!("searching for the run of `{}`", step(of)),
            Chore::LookAround(of) => format!("looking whether the pipeline of `{}` runs already", step(of)),
        }
    }

    fn record(&mut self, events: &[Event]) -> Result<(), DriveError> {
        self.record_and_answer(events, None)
    }

    /// Disk, then memory, then screen. No await: nothing may come between them.
    fn record_and_answer(&mut self, events: &[Event], request: Option<i64>) -> Result<(), DriveError> {
        if events.is_empty() {
            return Ok(());
        }
        let (at, first_seq) = (self.clock.now(), self.flow.last_seq() + 1);
        let events = &self.without_secrets(events)[..];
        let kept = self.journal.append_and_answer(&self.flow.header().id, first_seq, at, events, request);
        let recorded = kept.map_err(|source| DriveError::Journal {
            source: Box::new(source),
            unrecorded: started_in(events),
        })?;
        for entry in &recorded {
            self.flow.apply(entry)?;
            self.watch.follow(&self.flow, &entry.event);
            self.report.on(entry, &self.flow);
            self.tell_if_late(&entry.event);
        }
        recorded.iter().try_for_each(|entry| self.learn(entry))
    }
}

/// Returns the runs that these events would have recorded.
fn started_in(events: &[Event]) -> Vec<(StepId, RunId)> {
    let started = events.iter().filter_map(|event| match event {
        Event::RunStarted { step, run, .. } => Some((step.clone(), *run)),
        _ => None,
    });
    started.collect()
}

async fn tick(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::{Done, Driver, Errand, Pace, now};
    use crate::flow::policy::Limits;
    use crate::flow::watch::{Chore, Coverage};
    use crate::flow::{Event, Flow, FlowHeader, FlowId, RunId, RunSeen, RunStatus, StepState};
    use crate::graph::PlanGraph;
    use crate::journal::Journal;
    use crate::plan::{self, Given, StepIndex};
    use crate::report::Lines;
    use crate::secret::Secrets;
    use crate::synapse::{Credential, Endpoint, Http, HttpSettings, SynapseClient, TokenCache};
    use crate::time::Delay;

    /// Returns a driver of one step, and a journal folder to keep; nothing listens where it would send to.
    pub(super) fn driver() -> (Driver, tempfile::TempDir) {
        const ADDRESS: &str = "http://127.0.0.1:9";
        let text = format!(
            "version: 1\nname: one\nworkspaces: {{ main: {{ endpoint: \"{ADDRESS}\" }} }}\nsteps: {{ a: {{}} }}\n"
        );
        let given = Given { now: now(), inputs_required: true, ..Given::default() };
        let plan = plan::load(text.as_bytes(), &given).expect("a plan").plan;
        let graph = PlanGraph::link(&plan).expect("no cycle");
        let header = FlowHeader {
            id: FlowId("000001".to_owned()),
            plan_name: plan.name.clone(),
            plan_file: String::new(),
            plan_text: text,
            plan_sha256: String::new(),
            environment: String::new(),
            run_key: String::new(),
            selection: crate::graph::Selection::default(),
            inputs: serde_json::Map::new(),
            env: BTreeMap::new(),
            created_at: now(),
            emulated: false,
            max_parallel: 1,
            seed: 1,
            trust: BTreeMap::new(),
            definitions: BTreeMap::new(),
            commit: None,
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(folder.path()).expect("a journal");
        journal.create(&header).expect("it is new");
        let http = Http::new(&HttpSettings::default()).expect("TLS");
        let endpoint = Endpoint::parse(ADDRESS).expect("an address");
        let credential = Credential::ClientSecret {
            tenant: "t".to_owned(),
            client_id: "c".to_owned(),
            secret: "s".to_owned().into(),
            authority: endpoint.clone(),
        };
        let client = SynapseClient::new(endpoint, "a", TokenCache::new(credential, http.clone()), http);
        let flow = Flow::new(header, Arc::new(plan), Arc::new(graph));
        let limits = Limits {
            beat: Delay::from_secs(1),
            start_grace: Delay::from_secs(1),
            checks_successes: true,
            seed: 1,
        };
        let pace = Pace { limits, heartbeat: Delay::from_secs(1) };
        let report = Box::new(Lines::new(std::io::sink()));
        (Driver::new(flow, pace, journal, vec![client], Secrets::none(), report), folder)
    }

    #[tokio::test]
    async fn two_answers_that_tell_of_one_end_are_one_end() {
        let (mut driver, _folder) = driver();
        let (step, run) = (StepIndex(0), RunId(uuid::Uuid::from_u128(1)));
        let id = driver.flow.step(step).id.clone();
        let started = [
            Event::StartIntended {
                step: id.clone(),
                attempt: 1,
                run,
                parameters: serde_json::Map::new(),
                secrets: Vec::new(),
                recovery: None,
            },
            Event::RunStarted { step: id, attempt: 1, run, adopted: false },
        ];
        driver.record(&started).expect("both are legal");

        let seen = RunSeen {
            run,
            pipeline: "a".to_owned(),
            status: RunStatus::Succeeded,
            message: String::new(),
            run_start: None,
            run_end: None,
            last_updated: None,
            return_value: None,
        };
        let asked_at = now();
        let look_up = Done::LookUp { step, run, asked_at, answer: Ok(Some(seen.clone())) };
        let query =
            Done::Query { workspace: 0, coverage: Coverage::Changed, asked_at, answer: Ok(vec![seen]) };
        driver.spawn(Errand::Chore(Chore::LookUp(step)), async { look_up });
        driver.spawn(Errand::Chore(Chore::Query(0)), async { query });
        // Lets both end before either is taken in.
        tokio::task::yield_now().await;
        let first = driver.tasks.join_next_with_id().await.expect("there are two");
        driver.take_in(first).expect("no event is illegal");
        assert!(driver.tasks.is_empty(), "both were taken in together");
        assert_eq!(driver.flow.run(step).state, StepState::Settling);
    }
}
