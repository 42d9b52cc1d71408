//! Which steps still find room: the places of the flow, of its pools, and of the iterations of one step (design 9.2).

use std::collections::BTreeMap;

use crate::flow::{Flow, HoldUp, StepState, Trust};
use crate::plan::{StepIndex, StepKind};
use crate::time::Timestamp;

/// What keeps a step that may start from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Every place of the flow is taken, or goes to steps that come first.
    Place,
    /// A pool of the plan, by its position, has too little left for it.
    Pool {
        /// Which one.
        pool: usize,
        /// How much of it the step takes.
        wants: u64,
    },
    /// As many iterations of its group are under way as may be at once.
    Turn {
        /// The group.
        group: StepIndex,
        /// How many may be.
        max_parallel: usize,
    },
    /// The workspace has not answered the first start, and others wait for what that shows.
    FirstAnswer,
}

impl Flow {
    /// Returns what keeps a step from starting that may start by its edges; nothing if it can start at once.
    ///
    /// Counts what is under way, and the room that steps take which come first.
    pub fn lacks(&self, step: StepIndex, now: Timestamp) -> Vec<Lack> {
        let mut room = Room::beside(self);
        let rank = (self.graph().rank(step), step);
        let due = self.retrying().filter(|&other| match self.run(other).state {
            StepState::Retrying { at } => at <= now,
            _ => false,
        });
        let mut first: Vec<(usize, StepIndex)> =
            self.ready().chain(due.map(|other| (self.graph().rank(other), other))).collect();
        first.retain(|other| *other < rank);
        first.sort_unstable();
        for (_, other) in first {
            if room.admits(self, other) {
                room.take(self, other);
            }
        }
        room.lacks(self, step)
    }
}

/// The room that is left. A step holds what it uses from its start until the service has confirmed its end; one that
/// nobody knows the end of keeps it.
pub(super) struct Room {
    places: usize,
    /// For each pool of the plan.
    pools: Vec<u64>,
    /// For each group with a limit.
    groups: BTreeMap<StepIndex, usize>,
}

impl Room {
    /// Returns the room beside what is under way.
    pub(super) fn beside(flow: &Flow) -> Self {
        let mut room = Self {
            places: flow.places_left(),
            pools: flow.plan().pools.iter().map(|pool| pool.size).collect(),
            groups: BTreeMap::new(),
        };
        flow.live().chain(flow.unknown()).for_each(|step| room.take_shares(flow, step));
        room
    }

    /// Says whether nothing at all can start.
    pub(super) const fn is_full(&self) -> bool {
        self.places == 0
    }

    /// Says whether a step finds room.
    pub(super) fn admits(&mut self, flow: &Flow, step: StepIndex) -> bool {
        self.refuses(flow, step).is_none()
    }

    /// Returns what a step finds no room in; nothing if it may start. A pool that has too little for it gives nothing to
    /// those behind it, or a step that needs much might wait for ever.
    pub(super) fn refuses(&mut self, flow: &Flow, step: StepIndex) -> Option<HoldUp> {
        let place = flow.step(step);
        if let Some(group) = place.group.filter(|&group| self.left_in(flow, group) == Some(0)) {
            return Some(HoldUp::Iterations(group));
        }
        let mut full = (self.places == 0).then_some(HoldUp::Places);
        for &(pool, weight) in &place.pools {
            if self.pools[pool] < weight {
                self.pools[pool] = 0;
                full.get_or_insert(HoldUp::Pool(pool));
            }
        }
        full
    }

    /// Returns what it lacks for a step.
    fn lacks(&self, flow: &Flow, step: StepIndex) -> Vec<Lack> {
        let place = flow.step(step);
        let mut lacks = Vec::new();
        if self.places == 0 {
            lacks.push(Lack::Place);
        }
        let short = place.pools.iter().filter(|(pool, weight)| self.pools[*pool] < *weight);
        lacks.extend(short.map(|&(pool, wants)| Lack::Pool { pool, wants }));
        if let Some(group) = place.group
            && self.left_in(flow, group) == Some(0)
            && let StepKind::Group { max_parallel: Some(max_parallel), .. } = flow.step(group).kind
        {
            lacks.push(Lack::Turn { group, max_parallel });
        }
        let is_starting = |other: StepIndex| {
            flow.step(other).workspace == place.workspace && flow.run(other).state == StepState::Starting
        };
        if flow.trust(place.workspace) == Trust::NotProven && flow.live().any(is_starting) {
            lacks.push(Lack::FirstAnswer);
        }
        lacks
    }

    /// Takes the room that a step uses.
    pub(super) fn take(&mut self, flow: &Flow, step: StepIndex) {
        self.places = self.places.saturating_sub(1);
        self.take_shares(flow, step);
    }

    fn take_shares(&mut self, flow: &Flow, step: StepIndex) {
        let place = flow.step(step);
        for &(pool, weight) in &place.pools {
            self.pools[pool] = self.pools[pool].saturating_sub(weight);
        }
        if let Some(group) = place.group
            && let Some(left) = self.left_in(flow, group)
        {
            self.groups.insert(group, left.saturating_sub(1));
        }
    }

    /// Returns how many more iterations of a group may start; nothing if it has no limit.
    fn left_in(&self, flow: &Flow, group: StepIndex) -> Option<usize> {
        let StepKind::Group { max_parallel, .. } = flow.step(group).kind else { return None };
        self.groups.get(&group).copied().or(max_parallel)
    }
}
