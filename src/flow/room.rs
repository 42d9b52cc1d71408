//! Which steps still find room: the places of the flow, of its pools, of the iterations of one step, and what the service
//! lets be under way of one pipeline (design 6, 9.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::{Flow, HoldUp, StepState, Trust};
use crate::plan::{StepIndex, StepKind};
use crate::time::Timestamp;

/// Returns the steps that may start as far as they are concerned, retries among them once they are due, in the order in
/// which they do: by rank.
pub(super) fn in_line(flow: &Flow, now: Timestamp) -> impl Iterator<Item = StepIndex> {
    let due = flow.retrying().filter(move |&step| match flow.run(step).state {
        StepState::Retrying { at } => at <= now,
        _ => false,
    });
    let mut due: Vec<(usize, StepIndex)> = due.map(|step| (flow.graph().rank(step), step)).collect();
    due.sort_unstable();
    let (mut due, mut ready) = (due.into_iter().peekable(), flow.ready().peekable());
    let next = move || {
        let is_retry = due.peek().is_some_and(|first| ready.peek().is_none_or(|second| first < second));
        if is_retry { due.next() } else { ready.next() }
    };
    std::iter::from_fn(next).map(|(_, step)| step)
}

/// Returns the workspaces in which nothing may start before the answer to a start under way.
pub(super) fn workspaces_asking(flow: &Flow) -> BTreeSet<usize> {
    let workspaces = 0..flow.plan().workspaces.len();
    if workspaces.into_iter().all(|workspace| flow.trust(workspace) != Trust::NotProven) {
        return BTreeSet::new();
    }
    let starting = flow.live().filter(|&step| flow.run(step).state == StepState::Starting);
    let workspaces = starting.map(|step| flow.step(step).workspace);
    workspaces.filter(|&workspace| flow.trust(workspace) == Trust::NotProven).collect()
}

/// The room that is left. A step holds what it uses from its start until the service has confirmed its end; one that
/// nobody knows the end of keeps it.
pub(super) struct Room {
    places: usize,
    /// For each pool of the plan.
    pools: Vec<u64>,
    /// For each group with a limit.
    groups: BTreeMap<StepIndex, usize>,
    /// For each pipeline that the service has limited room for, how much is taken, by workspace and name.
    pipelines: BTreeMap<(usize, String), usize>,
}

impl Room {
    /// Returns the room beside what is under way.
    pub(super) fn beside(flow: &Flow) -> Self {
        let mut room = Self {
            places: flow.places_left(),
            pools: flow.plan().pools.iter().map(|pool| pool.size).collect(),
            groups: BTreeMap::new(),
            pipelines: BTreeMap::new(),
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
        let full = self.all_full(flow, step);
        let first = full.first().copied();
        // The other runs of its group or pipeline are before it in every pool.
        if !matches!(first, Some(HoldUp::Iterations(_) | HoldUp::Queue)) {
            for holdup in full {
                if let HoldUp::Pool(pool) = holdup {
                    self.pools[pool] = 0;
                }
            }
        }
        first
    }

    /// Returns everything that a step finds no room in.
    pub(super) fn all_full(&self, flow: &Flow, step: StepIndex) -> Vec<HoldUp> {
        let place = flow.step(step);
        let group = place.group.filter(|&group| self.left_in(flow, group) == Some(0));
        let short = place.pools.iter().filter(|(pool, weight)| self.pools[*pool] < *weight);
        let places = (self.places == 0).then_some(HoldUp::Places);
        let is_crowded = flow.capacity(step).is_some_and(|capacity| self.taken(flow, step) >= capacity);
        let queue = is_crowded.then_some(HoldUp::Queue);
        let full = group.map(HoldUp::Iterations).into_iter().chain(places).chain(queue);
        full.chain(short.map(|&(pool, _)| HoldUp::Pool(pool))).collect()
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
        if flow.capacity(step).is_some() {
            *self.pipelines.entry((place.workspace, place.pipeline.clone())).or_default() += 1;
        }
    }

    /// Returns how many runs of a step's pipeline are under way, if the service has limited room for it.
    fn taken(&self, flow: &Flow, step: StepIndex) -> usize {
        let place = flow.step(step);
        self.pipelines.get(&(place.workspace, place.pipeline.clone())).copied().unwrap_or_default()
    }

    /// Returns how many more iterations of a group may start; nothing if it has no limit.
    fn left_in(&self, flow: &Flow, group: StepIndex) -> Option<usize> {
        let StepKind::Group { max_parallel, .. } = flow.step(group).kind else { return None };
        self.groups.get(&group).copied().or(max_parallel)
    }
}
