//! What holds up a step whose edges are met: for the screen, in the words of the rules that start it.

use std::collections::BTreeSet;

use crate::flow::room::Room;
use crate::flow::{Flow, StepState, Trust};
use crate::plan::{IfRunning, StepIndex};
use crate::time::Timestamp;

/// What a ready step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldUp {
    /// All places of the flow are taken.
    Places,
    /// Too little is left of a pool, by its position in the plan.
    Pool(usize),
    /// As many iterations of this group are under way as may be.
    Iterations(StepIndex),
    /// The first start in a workspace that has not shown whether it takes our ids goes alone.
    FirstAnswer,
    /// The plan's `if_running`: its pipeline runs already, or nobody has told yet whether it does.
    Others,
}

/// Returns the ready steps that cannot start now, in the order in which they will, and what holds each up.
///
/// A step that is missing starts at once.
pub fn held_up(flow: &Flow) -> Vec<(StepIndex, HoldUp)> {
    let mut room = Room::beside(flow);
    let mut asking: BTreeSet<usize> = flow
        .live()
        .filter(|&step| flow.run(step).state == StepState::Starting)
        .map(|step| flow.step(step).workspace)
        .filter(|&workspace| flow.trust(workspace) == Trust::NotProven)
        .collect();
    let mut held = Vec::new();
    for (_, step) in flow.ready() {
        if room.is_full() {
            held.push((step, HoldUp::Places));
            continue;
        }
        let place = flow.step(step);
        if asking.contains(&place.workspace) {
            held.push((step, HoldUp::FirstAnswer));
        } else if let Some(full) = room.refuses(flow, step) {
            held.push((step, full));
        } else if place.if_running != IfRunning::Start {
            // Where its pipeline does not run it would be under way by now.
            held.push((step, HoldUp::Others));
        } else {
            room.take(flow, step);
            if flow.trust(place.workspace) == Trust::NotProven {
                asking.insert(place.workspace);
            }
        }
    }
    held
}

impl Flow {
    /// Returns all that keeps a step from starting whose edges are met; nothing if it can start at once.
    ///
    /// Counts what is under way, and the room that steps take which come first.
    pub fn holdups(&self, step: StepIndex, now: Timestamp) -> Vec<HoldUp> {
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
        let mut holdups = room.all_full(self, step);
        let workspace = self.step(step).workspace;
        let is_starting = |other: StepIndex| {
            self.step(other).workspace == workspace && self.run(other).state == StepState::Starting
        };
        if self.trust(workspace) == Trust::NotProven && self.live().any(is_starting) {
            holdups.push(HoldUp::FirstAnswer);
        }
        holdups
    }
}
