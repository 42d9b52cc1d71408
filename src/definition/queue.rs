//! How many runs of a pipeline a plan may have under way at once: never more than this many, and no fewer could be proven.
//!
//! Steps of which none waits for another may run together; those that stand equally deep in the plan are such steps.

use std::collections::BTreeMap;

use crate::plan::{Plan, Step, StepIndex, StepKind};

/// How deep each step of a plan stands: how many follow each other before it.
pub(super) struct Depths(Vec<usize>);

impl Depths {
    /// Measures a plan. Steps in a circle stand at the top: that is reported elsewhere.
    pub(super) fn of(plan: &Plan) -> Self {
        let upstreams = |step: &Step| {
            let members = match &step.kind {
                StepKind::Group { members, .. } => members.clone(),
                StepKind::Run | StepKind::Barrier => 0..0,
            };
            step.depends_on.iter().map(|edge| edge.upstream.0).chain(members).collect::<Vec<_>>()
        };
        let mut waits_for = Vec::with_capacity(plan.steps.len());
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
        for (at, step) in plan.steps.iter().enumerate() {
            let upstreams = upstreams(step);
            waits_for.push(upstreams.len());
            for upstream in upstreams {
                if let Some(follower) = followers.get_mut(upstream) {
                    follower.push(at);
                }
            }
        }
        let mut depths = vec![0; plan.steps.len()];
        let mut ready: Vec<usize> = (0..waits_for.len()).filter(|at| waits_for[*at] == 0).collect();
        while let Some(at) = ready.pop() {
            for &follower in &followers[at] {
                depths[follower] = depths[follower].max(depths[at] + 1);
                waits_for[follower] -= 1;
                if waits_for[follower] == 0 {
                    ready.push(follower);
                }
            }
        }
        Self(depths)
    }

    /// Returns how many of these steps may run at once by their places in the plan, `max_parallel` and pools.
    pub(super) fn at_once(&self, plan: &Plan, steps: &[StepIndex]) -> usize {
        let mut levels: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            levels.entry(self.0[step.0]).or_default().push(&plan.steps[step.0]);
        }
        let most = levels.values().map(|level| limited(plan, level)).max();
        most.unwrap_or(0).min(plan.max_parallel)
    }
}

/// Returns how many of some steps without order among them may run at once.
fn limited(plan: &Plan, steps: &[&Step]) -> usize {
    let mut by_group: BTreeMap<Option<StepIndex>, usize> = BTreeMap::new();
    for step in steps {
        *by_group.entry(step.group).or_default() += 1;
    }
    let of_group = |(group, count): (&Option<StepIndex>, &usize)| {
        let kind = group.and_then(|group| plan.steps.get(group.0)).map(|group| &group.kind);
        match kind {
            Some(StepKind::Group { max_parallel: Some(most), .. }) => (*count).min(*most),
            _ => *count,
        }
    };
    let by_groups = by_group.iter().map(of_group).sum();
    let by_pools = plan.pools.iter().enumerate().filter_map(|(at, pool)| {
        let weight =
            |step: &&Step| step.pools.iter().find(|(of, _)| *of == at).map_or(0, |(_, weight)| *weight);
        let least = steps.iter().map(weight).min().filter(|weight| *weight > 0)?;
        usize::try_from(pool.size / least).ok()
    });
    by_pools.fold(by_groups, usize::min)
}
