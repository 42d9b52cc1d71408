//! When to ask the service what: the schedule of questions, kept in memory alone.
//!
//! Losing it costs a few questions, never a fact; so it is no part of the flow and not in the journal.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::forecast::Forecast;
use crate::flow::policy::{self, Limits};
use crate::flow::{Event, Flow, RunId, RunSeen, StepState};
use crate::plan::StepIndex;
use crate::time::{Delay, Timestamp};

/// A question or request that comes back until it has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chore {
    /// Ask for a step's run.
    LookUp(StepIndex),
    /// Ask for the changed runs of a workspace.
    Query(usize),
    /// Ask for the activities of a step's run.
    ReadActivities(StepIndex),
    /// Ask for the end of a step's run.
    Cancel(StepIndex),
    /// Search for the run of an unclear start.
    Search(StepIndex),
    /// Ask whether the pipeline of a step runs already.
    LookAround(StepIndex),
}

/// The schedule of questions.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    chores: BTreeMap<Chore, Schedule>,
    workspaces: BTreeMap<usize, Listing>,
    /// Runs that are not there, as far as anyone has said since.
    not_there: BTreeMap<StepIndex, Absence>,
    /// When a look-up that found the run was last asked.
    there: BTreeMap<StepIndex, Timestamp>,
    /// Running steps that a list covering them did not hold.
    missing: BTreeSet<StepIndex>,
    /// What the last search for an unclear start's run found, and when it was asked.
    found: BTreeMap<StepIndex, (Timestamp, Vec<RunSeen>)>,
    /// Which runs of its pipeline a step that is ready found live, and when it looked.
    around: BTreeMap<StepIndex, (Timestamp, Vec<RunNearby>)>,
    /// When the flow is likely to end, if anything is known of that.
    forecast: Option<Forecast>,
}

/// A live run of a pipeline that a step is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNearby {
    /// The run.
    pub run: RunId,
    /// Whether it has the parameters that the step would send.
    pub is_equal: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    under_way: bool,
    /// Meaningless before it was asked.
    asked_at: Timestamp,
    again_at: Timestamp,
    failures: u32,
}

/// The first and the last time that a look-up said so, and how many did.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Timestamp,
    last: Timestamp,
    looks: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Listing {
    /// The newest change that a list has told, by the service's clock.
    newest: Option<Timestamp>,
    /// When the last list was asked for, and the last sweep.
    asked_at: Timestamp,
    swept_at: Timestamp,
    /// When the last one was asked for that reached back far.
    late_at: Timestamp,
    /// How many pages the last list of changes had.
    pages: usize,
    /// What the service's clock showed when ours showed the second time.
    clock: Option<(Timestamp, Timestamp)>,
}

/// What a list of runs covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// What changed of late.
    Changed,
    /// The same, and what changed before that and may have been listed late.
    Late,
    /// Every run since the eldest live one.
    All,
    /// Those of them that have not ended.
    Live,
}

impl Watch {
    /// Takes a forecast, by which the flow may be seen to come too late.
    pub fn expect(&mut self, forecast: Option<Forecast>) {
        self.forecast = forecast;
    }

    /// Returns the forecast, if there is one.
    pub const fn forecast(&self) -> Option<&Forecast> {
        self.forecast.as_ref()
    }

    /// Returns when a chore may be done next; nothing while it is under way.
    pub fn due_at(&self, chore: Chore) -> Option<Timestamp> {
        match self.chores.get(&chore) {
            None => Some(Timestamp::default()),
            Some(schedule) => (!schedule.under_way).then_some(schedule.again_at),
        }
    }

    /// Returns how often a chore has failed since it last succeeded.
    pub fn failures(&self, chore: Chore) -> u32 {
        self.chores.get(&chore).map_or(0, |schedule| schedule.failures)
    }

    /// Returns when a chore was asked that was then answered; nothing if it is new or has failed since.
    pub fn asked_at(&self, chore: Chore) -> Option<Timestamp> {
        self.chores.get(&chore).filter(|schedule| schedule.failures == 0).map(|schedule| schedule.asked_at)
    }

    /// Notes that a chore is under way.
    pub fn begin(&mut self, chore: Chore, now: Timestamp) {
        let schedule = self.chores.entry(chore).or_default();
        schedule.under_way = true;
        schedule.asked_at = now;
    }

    /// Notes that a chore was answered; it may come back a beat after it was asked, but not before half a beat of rest.
    pub fn answered(&mut self, chore: Chore, limits: &Limits, now: Timestamp) {
        let known = self.chores.get(&chore).filter(|schedule| schedule.under_way);
        let asked_at = known.map_or(now, |schedule| schedule.asked_at);
        let rested = now + limits.beat.scaled(0.5);
        let again_at = (asked_at + limits.beat).max(rested);
        self.chores.insert(chore, Schedule { under_way: false, asked_at, again_at, failures: 0 });
    }

    /// Notes that a chore got no useful answer, and returns how long it rests now.
    pub fn failed(
        &mut self,
        chore: Chore,
        limits: &Limits,
        now: Timestamp,
        requested: Option<Delay>,
    ) -> Delay {
        let failures = self.failures(chore).saturating_add(1);
        let pause = policy::pause(limits, salt(chore), failures, requested);
        let again_at = now + pause;
        self.chores.insert(chore, Schedule { under_way: false, asked_at: now, again_at, failures });
        pause
    }

    /// Puts a chore off, or forward, that is not under way: for a driver that knows when there is something to hear.
    pub fn reschedule(&mut self, chore: Chore, at: Timestamp) {
        if let Some(schedule) = self.chores.get_mut(&chore) {
            schedule.again_at = at;
        }
    }

    /// Notes whether a look-up that was asked at `asked_at` found the run.
    pub fn looked_up(&mut self, step: StepIndex, found: bool, asked_at: Timestamp) {
        self.missing.remove(&step);
        if found {
            self.not_there.remove(&step);
            self.there.insert(step, asked_at);
        } else {
            let absence =
                self.not_there.entry(step).or_insert(Absence { since: asked_at, last: asked_at, looks: 0 });
            absence.last = asked_at;
            absence.looks = absence.looks.saturating_add(1);
        }
    }

    /// Says whether a look-up asked at this time or later found the run.
    pub fn was_there_at(&self, step: StepIndex, time: Timestamp) -> bool {
        self.there.get(&step).is_some_and(|&asked_at| asked_at >= time)
    }

    /// Says whether look-ups said, until this length of time had passed, that the run is not there; and often enough.
    ///
    /// Time alone does not tell: the clock may have been put forward, or the machine have slept.
    pub fn is_absent(&self, step: StepIndex, since: Timestamp, length: Delay, limits: &Limits) -> bool {
        let beats = length.as_ms() / limits.beat.as_ms().max(1);
        let looks_min = beats.clamp(1, policy::ABSENT_LOOKS);
        self.not_there
            .get(&step)
            .is_some_and(|absence| absence.last >= since + length && u64::from(absence.looks) >= looks_min)
    }

    /// Says whether every look-up over this length of time said that the run is not there.
    pub fn is_gone_for(&self, step: StepIndex, length: Delay, limits: &Limits) -> bool {
        self.not_there.get(&step).is_some_and(|absence| self.is_absent(step, absence.since, length, limits))
    }

    /// Notes what a search for an unclear start's run found: the runs with its parameters that no other flow claims.
    pub fn searched(&mut self, step: StepIndex, found: Vec<RunSeen>, asked_at: Timestamp) {
        self.found.insert(step, (asked_at, found));
    }

    /// Returns what a search asked at this time or later found.
    pub fn found_since(&self, step: StepIndex, time: Timestamp) -> Option<&[RunSeen]> {
        self.found.get(&step).filter(|(asked_at, _)| *asked_at >= time).map(|(_, found)| found.as_slice())
    }

    /// Notes which runs of its pipeline a ready step found live.
    pub fn looked_around(&mut self, step: StepIndex, around: Vec<RunNearby>, asked_at: Timestamp) {
        self.around.insert(step, (asked_at, around));
    }

    /// Returns what a look around asked at this time or later found.
    pub fn around_since(&self, step: StepIndex, time: Timestamp) -> Option<&[RunNearby]> {
        self.around.get(&step).filter(|(asked_at, _)| *asked_at >= time).map(|(_, around)| around.as_slice())
    }

    /// Says whether a look-up, or several, did not find the step's run.
    pub fn is_doubted(&self, step: StepIndex) -> bool {
        self.not_there.contains_key(&step)
    }

    /// Says whether a list that should have held the step's run did not.
    pub fn is_missing(&self, step: StepIndex) -> bool {
        self.missing.contains(&step)
    }

    /// Notes what the service's clock showed at this time of ours.
    pub fn note_clock(&mut self, workspace: usize, shown: Timestamp, now: Timestamp) {
        self.workspaces.entry(workspace).or_default().clock = Some((shown, now));
    }

    /// Returns from when on the next list of a workspace must reach, by the service's clock, and what it covers.
    ///
    /// `oldest` is when the eldest live run was intended. Most lists only hold what changed since the newest change seen.
    pub fn window(
        &self,
        workspace: usize,
        oldest: Timestamp,
        limits: &Limits,
        now: Timestamp,
    ) -> (Timestamp, Coverage) {
        let listing = self.workspaces.get(&workspace).copied().unwrap_or_default();
        let all = match listing.clock {
            Some((shown, at)) => in_server_time(oldest, shown, at) - policy::CLOCKS_DRIFT_MAX,
            None => oldest - policy::CLOCKS_DIFFER_MAX,
        };
        let beats = |count: u64| Delay::from_ms(limits.beat.as_ms().saturating_mul(count));
        // While nothing changes, what the last list held is not read again for ever.
        let heard = |newest: Timestamp| match listing.clock {
            Some((shown, at)) => {
                newest.max(in_server_time(listing.asked_at, shown, at) - beats(policy::CLOCKS_DIFFER_BEATS))
            }
            None => newest,
        };
        match listing.newest {
            None => (all, Coverage::All),
            Some(_) if now >= listing.swept_at + beats(policy::SWEEP_BEATS) => (all, Coverage::Live),
            Some(newest) if now >= listing.late_at + beats(policy::LATE_EVERY_BEATS) => {
                (all.max(heard(newest) - beats(policy::LATE_OVERLAP_BEATS)), Coverage::Late)
            }
            Some(newest) => (all.max(heard(newest) - beats(policy::OVERLAP_BEATS)), Coverage::Changed),
        }
    }

    /// Says whether so many runs are cheaper asked for one by one than by a list, by the pages that the last one had. A
    /// list is tried again now and then: others may have stopped filling it.
    pub fn is_list_dear(&self, workspace: usize, runs: usize, limits: &Limits, now: Timestamp) -> bool {
        let listing = self.workspaces.get(&workspace).copied().unwrap_or_default();
        let rest = Delay::from_ms(limits.beat.as_ms().saturating_mul(policy::SWEEP_BEATS));
        runs == 1 || runs <= listing.pages && now < listing.asked_at + rest
    }

    /// Notes the answer of a list query that was asked at `asked_at`.
    pub fn listed(
        &mut self,
        flow: &Flow,
        workspace: usize,
        coverage: Coverage,
        asked_at: Timestamp,
        runs: &[RunSeen],
    ) {
        let listing = self.workspaces.entry(workspace).or_default();
        listing.asked_at = asked_at;
        listing.newest = runs.iter().filter_map(|run| run.last_updated).max().max(listing.newest);
        for step in runs.iter().filter_map(|run| flow.running_step_of(run.run)) {
            self.not_there.remove(&step);
        }
        match coverage {
            Coverage::Changed => {
                listing.pages = runs.len().div_ceil(policy::PAGE_RUNS);
                return;
            }
            Coverage::Late => {
                listing.late_at = asked_at;
                return;
            }
            // A list of live runs holds no late news of those that ended.
            Coverage::Live => listing.swept_at = asked_at,
            Coverage::All => (listing.swept_at, listing.late_at) = (asked_at, asked_at),
        }
        let held: BTreeSet<_> = runs.iter().map(|run| run.run).collect();
        for step in flow.live() {
            let step_run = flow.run(step);
            let Some(attempt) = step_run.last_attempt() else { continue };
            let here = flow.step(step).workspace == workspace && step_run.state == StepState::Running;
            let in_time = attempt.started_at.is_some_and(|at| at <= asked_at);
            if here && in_time && !held.contains(&attempt.run) {
                self.missing.insert(step);
            }
        }
    }

    /// Follows an event that the flow has taken in: what was asked about a run says nothing of the next attempt's, and
    /// that it was not there nothing of one that has just been sent for again or found.
    pub fn follow(&mut self, flow: &Flow, event: &Event) {
        let Some(step) = event.step().and_then(|id| flow.index(id)) else { return };
        match event {
            Event::StartResent { .. } | Event::RunStarted { .. } => {
                self.not_there.remove(&step);
                self.found.remove(&step);
            }
            Event::AttemptEnded { .. }
            | Event::StartRefused { .. }
            | Event::Resolved { .. }
            | Event::StepEnded { .. } => self.forget(step),
            Event::StartIntended { .. } | Event::RunAttached { .. } => drop(self.around.remove(&step)),
            _ => {}
        }
    }

    /// Drops what is known of a step's questions, because its state has changed for good.
    pub fn forget(&mut self, step: StepIndex) {
        let chores = [
            Chore::LookUp(step),
            Chore::ReadActivities(step),
            Chore::Cancel(step),
            Chore::Search(step),
            Chore::LookAround(step),
        ];
        for chore in &chores {
            self.chores.remove(chore);
        }
        self.not_there.remove(&step);
        self.there.remove(&step);
        self.missing.remove(&step);
        self.found.remove(&step);
        self.around.remove(&step);
    }
}

/// Returns a time of ours as the service's clock showed it, which showed `shown` when ours showed `at`.
fn in_server_time(time: Timestamp, shown: Timestamp, at: Timestamp) -> Timestamp {
    if shown > at { time + shown.since(at) } else { time - at.since(shown) }
}

const fn salt(chore: Chore) -> u64 {
    match chore {
        Chore::LookUp(step) => step.0 as u64 * 8,
        Chore::Query(workspace) => workspace as u64 * 8 + 1,
        Chore::ReadActivities(step) => step.0 as u64 * 8 + 2,
        Chore::Cancel(step) => step.0 as u64 * 8 + 3,
        Chore::Search(step) => step.0 as u64 * 8 + 4,
        Chore::LookAround(step) => step.0 as u64 * 8 + 5,
    }
}
