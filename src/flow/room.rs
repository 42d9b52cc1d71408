//! Which steps still find room: the places of the flow, of its pools, and of the iterations of one step (design 9.2).

use std::collections::BTreeMap;

use crate::flow::{Flow, HoldUp};
use crate::plan::{StepIndex, StepKind};

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

    /// Returns everything that a step finds no room in.
    pub(super) fn all_full(&self, flow: &Flow, step: StepIndex) -> Vec<HoldUp> {
        let place = flow.step(step);
        let mut full = Vec::new();
        if self.places == 0 {
            full.push(HoldUp::Places);
        }
        let short = place.pools.iter().filter(|(pool, weight)| self.pools[*pool] < *weight);
        full.extend(short.map(|&(pool, _)| HoldUp::Pool(pool)));
        full.extend(
            place.group.filter(|&group| self.left_in(flow, group) == Some(0)).map(HoldUp::Iterations),
        );
        full
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
