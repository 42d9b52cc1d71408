//! The deadline of a flow: when it is, and what was recorded of it.

use crate::flow::{Event, Flow};
use crate::plan::Plan;
use crate::time::Timestamp;

/// A deadline, and how the flow stands to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The deadline.
    pub at: Timestamp,
    /// When the flow was seen to come too late, and when it was likely to end.
    pub at_risk: Option<(Timestamp, Timestamp)>,
    /// When the deadline was seen to have passed.
    pub missed_at: Option<Timestamp>,
}

impl Due {
    /// Returns the deadline of a flow of this plan that was made at this time, if the plan has one: always the same.
    pub(super) fn of(plan: &Plan, made_at: Timestamp) -> Option<Self> {
        let at = plan.deadline.as_ref()?.of(made_at);
        Some(Self { at, at_risk: None, missed_at: None })
    }
}

impl Flow {
    /// Returns the flow's deadline, if its plan has one.
    pub const fn due(&self) -> Option<&Due> {
        self.due.as_ref()
    }

    /// Returns when the last step ended, once every step has.
    pub fn settled_at(&self) -> Option<Timestamp> {
        if !self.is_settled() {
            return None;
        }
        self.steps.iter().filter_map(|run| run.ended_at).max()
    }

    /// Says whether the deadline passed before every step had ended.
    pub fn has_missed_deadline(&self) -> bool {
        self.due.is_some_and(|due| due.missed_at.is_some())
    }

    /// Says whether the deadline was missed, as far as can be told at this time: of a flow that nobody drives nobody has
    /// recorded it.
    pub fn is_late(&self, now: Timestamp) -> bool {
        let over = self.settled_at().or(self.ended_at).unwrap_or(now);
        self.due.is_some_and(|due| due.missed_at.is_some() || over > due.at)
    }

    /// Takes in what was seen of the deadline.
    pub(super) fn note_lateness(&mut self, event: &Event, at: Timestamp) -> Result<(), String> {
        let due = self.due.as_mut().ok_or("the plan has no deadline")?;
        match event {
            _ if due.missed_at.is_some() => return Err("the deadline was missed before".to_owned()),
            Event::DeadlineAtRisk { .. } if due.at_risk.is_some() => {
                return Err("the deadline was at risk before".to_owned());
            }
            Event::DeadlineAtRisk { forecast, .. } => due.at_risk = Some((at, *forecast)),
            _ => due.missed_at = Some(at),
        }
        Ok(())
    }

    /// Finds the deadline of an edited plan. What was seen of the old one counts if it is the same.
    pub(super) fn find_due(&mut self) {
        let due = Due::of(&self.plan, self.header.created_at);
        if self.due.map(|old| old.at) != due.map(|new| new.at) {
            self.due = due;
        }
    }
}
