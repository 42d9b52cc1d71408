//! The steps of a flow by what can happen to them next, so that a decision costs nothing for steps that are over.

use std::collections::BTreeSet;

use crate::flow::StepState;
use crate::plan::StepIndex;

/// The steps by what can happen to them next. Derived from the states alone, by one function of the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Phases {
    /// `Ready`, by rank.
    pub(super) ready: BTreeSet<(usize, StepIndex)>,
    /// `Retrying`.
    pub(super) retrying: BTreeSet<StepIndex>,
    /// `Barred` and `AttemptOver`: an event follows at once.
    pub(super) concluding: BTreeSet<StepIndex>,
    /// From `Starting` to `Settling`.
    pub(super) live: BTreeSet<StepIndex>,
    /// `Unknown`.
    pub(super) unknown: BTreeSet<StepIndex>,
    /// How many are `Ended`.
    pub(super) ended: usize,
}

impl Phases {
    /// Puts a step where its state belongs.
    pub(super) fn insert(&mut self, step: StepIndex, rank: usize, state: &StepState) {
        match state {
            StepState::Waiting => {}
            StepState::Ready => drop(self.ready.insert((rank, step))),
            StepState::Retrying { .. } => drop(self.retrying.insert(step)),
            StepState::Barred { .. } | StepState::AttemptOver { .. } => drop(self.concluding.insert(step)),
            StepState::Starting
            | StepState::NotSent { .. }
            | StepState::Unclear { .. }
            | StepState::Running
            | StepState::Settling => drop(self.live.insert(step)),
            StepState::Unknown => drop(self.unknown.insert(step)),
            StepState::Ended { .. } => self.ended += 1,
        }
    }

    /// Takes a step away from where its state belongs.
    pub(super) fn remove(&mut self, step: StepIndex, rank: usize, state: &StepState) {
        match state {
            StepState::Waiting => {}
            StepState::Ready => drop(self.ready.remove(&(rank, step))),
            StepState::Retrying { .. } => drop(self.retrying.remove(&step)),
            StepState::Barred { .. } | StepState::AttemptOver { .. } => drop(self.concluding.remove(&step)),
            StepState::Starting
            | StepState::NotSent { .. }
            | StepState::Unclear { .. }
            | StepState::Running
            | StepState::Settling => drop(self.live.remove(&step)),
            StepState::Unknown => drop(self.unknown.remove(&step)),
            StepState::Ended { .. } => self.ended -= 1,
        }
    }
}
