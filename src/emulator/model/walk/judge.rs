//! How a pipeline is judged by its activities.

use std::collections::BTreeSet;

use super::{State, Walk};
use crate::emulator::model::definition::{Activity, Ending};
use crate::time::Timestamp;

impl Walk {
    /// Applies the service's rule: a block fails if a leaf failed; a skipped leaf is judged by what it waited for.
    pub(super) fn failed_activity(&self, block: usize) -> Option<(String, String)> {
        let block = &self.blocks[block];
        let activities = &block.activities;
        let has_dependents = |name: &str| {
            activities
                .iter()
                .any(|other| other.depends_on.iter().any(|dependency| dependency.activity == name))
        };
        let mut to_judge: Vec<usize> =
            (0..activities.len()).filter(|at| !has_dependents(&activities[*at].name)).collect();
        let mut judged = BTreeSet::new();
        let mut failed: Vec<(Option<Timestamp>, usize)> = Vec::new();
        while let Some(index) = to_judge.pop() {
            if !judged.insert(index) {
                continue;
            }
            match block.states[index] {
                State::Ended(Ending::Failed, row) => {
                    failed.push((row.and_then(|row| self.rows[row].end), index));
                }
                State::Ended(Ending::Skipped, _) => {
                    let upstream = activities[index].depends_on.iter().filter_map(|dependency| {
                        activities.iter().position(|other| other.name == dependency.activity)
                    });
                    to_judge.extend(upstream);
                }
                _ => {}
            }
        }
        let (_, first) = failed.into_iter().min()?;
        let State::Ended(_, row) = block.states[first] else { return None };
        let message = row.and_then(|row| self.rows[row].error.as_ref()).map(|error| error.message.clone());
        Some((activities[first].name.clone(), message.unwrap_or_default()))
    }
}

/// Finds the last activity that runs when all goes well: the one to fail when the script says only "failed".
pub(super) fn last_of_good_way(activities: &[Activity]) -> Option<usize> {
    let is_good = |activity: &Activity| {
        activity.inactive_as.is_none()
            && activity.depends_on.iter().all(|dependency| dependency.is_met(Ending::Succeeded))
    };
    let is_leaf = |activity: &Activity| {
        !activities
            .iter()
            .any(|other| other.depends_on.iter().any(|dependency| dependency.activity == activity.name))
    };
    let last = |fits: &dyn Fn(&Activity) -> bool| activities.iter().rposition(fits);
    last(&|activity| is_good(activity) && is_leaf(activity))
        .or_else(|| last(&is_good))
        .or_else(|| last(&|_| true))
}
