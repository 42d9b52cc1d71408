//! What holds up a step whose edges are met: for the screen, in the words of the rules that start it.

use std::collections::BTreeSet;

use crate::flow::room::{Room, in_line, workspaces_asking};
use crate::flow::{Flow, Trust};
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
    /// The service has no room for another run of its pipeline, not even in the pipeline's queue.
    Queue,
    /// The first start in a workspace that has not shown whether it takes our ids goes alone.
    FirstAnswer,
    /// The plan's `if_running`: its pipeline runs already, or nobody has told yet whether it does.
    Others,
}

/// Returns the steps in line that cannot start now, in the order in which they will, and what holds each up first.
///
/// A step that is missing starts at once.
pub fn held_up(flow: &Flow, now: Timestamp) -> Vec<(StepIndex, HoldUp)> {
    let mut turn = Turn::of(flow);
    in_line(flow, now).filter_map(|step| Some((step, turn.refuses(flow, step)?))).collect()
}

impl Flow {
    /// Returns all that keeps a step in line from starting; nothing if it can start at once. Those before it come first.
    pub fn holdups(&self, step: StepIndex, now: Timestamp) -> Vec<HoldUp> {
        let mut turn = Turn::of(self);
        for before in in_line(self, now).take_while(|&before| before != step) {
            turn.refuses(self, before);
        }
        let mut all = turn.room.all_full(self, step);
        all.extend(turn.asks(self, step).then_some(HoldUp::FirstAnswer));
        if all.is_empty() {
            all.extend(turn.refuses(self, step));
        }
        all
    }
}

/// How far the line has been walked: by the rules that start steps, but for requests.
struct Turn {
    room: Room,
    /// The workspaces whose first start is to go alone.
    asking: BTreeSet<usize>,
}

impl Turn {
    fn of(flow: &Flow) -> Self {
        Self { room: Room::beside(flow), asking: workspaces_asking(flow) }
    }

    fn asks(&self, flow: &Flow, step: StepIndex) -> bool {
        self.asking.contains(&flow.step(step).workspace)
    }

    /// Lets the next step start, or returns what holds it up.
    fn refuses(&mut self, flow: &Flow, step: StepIndex) -> Option<HoldUp> {
        if self.room.is_full() {
            return Some(HoldUp::Places);
        }
        if self.asks(flow, step) {
            return Some(HoldUp::FirstAnswer);
        }
        let place = flow.step(step);
        let full = self.room.refuses(flow, step);
        // Where its pipeline does not run it would be under way by now.
        let full = full.or((place.if_running != IfRunning::Start).then_some(HoldUp::Others));
        if full.is_none() {
            self.room.take(flow, step);
            if flow.trust(place.workspace) == Trust::NotProven {
                self.asking.insert(place.workspace);
            }
        }
        full
    }
}
