//! When to ask the service what: the schedule of questions, kept in memory alone.
//!
//! Losing it costs a few questions, never a fact; so it is no part of the flow and not in the journal.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::policy::{self, Limits};
use crate::flow::{Event, Flow, RunSeen, StepState};
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
}

/// How far a list query reaches back before the newest change it has seen: records may be listed late.
const OVERLAP: Delay = Delay::from_secs(120);

/// The schedule of questions.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    chores: BTreeMap<Chore, Schedule>,
    workspaces: BTreeMap<usize, Listing>,
    /// Runs that are not there, as far as anyone has said since.
    not_there: BTreeMap<StepIndex, Absence>,
    /// Running steps that a list covering them did not hold.
    missing: BTreeSet<StepIndex>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    under_way: bool,
    again_at: Timestamp,
    failures: u32,
}

/// The first and the last time that a look-up said so.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Timestamp,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Listing {
    queries: u32,
    newest: Option<Timestamp>,
}

impl Watch {
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

    /// Notes that a chore is under way.
    pub fn begin(&mut self, chore: Chore) {
        self.chores.entry(chore).or_default().under_way = true;
    }

    /// Notes that a chore was answered; it may come back after a beat.
    pub fn answered(&mut self, chore: Chore, limits: &Limits, now: Timestamp) {
        let schedule = Schedule { under_way: false, again_at: now + limits.beat, failures: 0 };
        self.chores.insert(chore, schedule);
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
        self.chores.insert(chore, Schedule { under_way: false, again_at: now + pause, failures });
        pause
    }

    /// Notes whether a look-up found the run.
    pub fn looked_up(&mut self, step: StepIndex, found: bool, now: Timestamp) {
        self.missing.remove(&step);
        if found {
            self.not_there.remove(&step);
        } else {
            let since = self.not_there.get(&step).map_or(now, |absence| absence.since);
            self.not_there.insert(step, Absence { since, last: now });
        }
    }

    /// Returns when a look-up last said that the run is not there.
    pub fn not_there_at(&self, step: StepIndex) -> Option<Timestamp> {
        self.not_there.get(&step).map(|absence| absence.last)
    }

    /// Says whether every look-up over this length of time said that the run is not there.
    pub fn is_gone_for(&self, step: StepIndex, length: Delay) -> bool {
        self.not_there.get(&step).is_some_and(|absence| absence.last.since(absence.since) >= length)
    }

    /// Says whether a list that should have held the step's run did not.
    pub fn is_missing(&self, step: StepIndex) -> bool {
        self.missing.contains(&step)
    }

    /// Returns from when on the next list of a workspace must reach, and whether it is a sweep over all live runs.
    ///
    /// `oldest` is when the eldest live run was intended. Most lists only hold what changed since the newest change seen.
    pub fn window(&self, workspace: usize, oldest: Timestamp, limits: &Limits) -> (Timestamp, bool) {
        let listing = self.workspaces.get(&workspace).copied().unwrap_or_default();
        let all = oldest - policy::CLOCKS_DIFFER_MAX;
        match listing.newest {
            Some(newest) if !listing.queries.is_multiple_of(policy::SWEEP_BEATS) => {
                let overlap = OVERLAP.max(limits.beat);
                (all.max(newest - overlap), false)
            }
            _ => (all, true),
        }
    }

    /// Notes the answer of a list query that was asked at `asked_at`.
    pub fn listed(
        &mut self,
        flow: &Flow,
        workspace: usize,
        sweep: bool,
        asked_at: Timestamp,
        runs: &[RunSeen],
    ) {
        let listing = self.workspaces.entry(workspace).or_default();
        listing.queries = listing.queries.wrapping_add(1);
        listing.newest = runs.iter().filter_map(|run| run.last_updated).max().max(listing.newest);
        for step in runs.iter().filter_map(|run| flow.running_step_of(run.run)) {
            self.not_there.remove(&step);
        }
        if !sweep {
            return;
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
            Event::StartResent { .. } | Event::RunStarted { .. } => drop(self.not_there.remove(&step)),
            Event::AttemptEnded { .. } | Event::StartRefused { .. } | Event::StepEnded { .. } => {
                self.forget(step);
            }
            _ => {}
        }
    }

    /// Drops what is known of a step's questions, because its state has changed for good.
    pub fn forget(&mut self, step: StepIndex) {
        for chore in [Chore::LookUp(step), Chore::ReadActivities(step), Chore::Cancel(step)] {
            self.chores.remove(&chore);
        }
        self.not_there.remove(&step);
        self.missing.remove(&step);
    }
}

const fn salt(chore: Chore) -> u64 {
    match chore {
        Chore::LookUp(step) => step.0 as u64 * 4,
        Chore::Query(workspace) => workspace as u64 * 4 + 1,
        Chore::ReadActivities(step) => step.0 as u64 * 4 + 2,
        Chore::Cancel(step) => step.0 as u64 * 4 + 3,
    }
}
