//! How progress is shown: what the command line and the environment have settled for every report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::flow::Flow;
use crate::plan::StepIndex;
use crate::report::studio::Studio;
use crate::report::wording::{Tone, run_of};

/// How much is told while a flow runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// Nothing before the end.
    Nothing,
    /// What went wrong or may.
    Problems,
    /// Every fact that matters.
    #[default]
    Facts,
    /// Also why a step starts, what Synapse says of its run, and how its activities ended.
    Everything,
}

impl Telling {
    /// Says whether a line that is meant like this is told.
    pub(super) const fn takes(self, tone: Tone) -> bool {
        match self {
            Self::Nothing => false,
            Self::Problems => matches!(tone, Tone::Warn | Tone::Bad),
            Self::Facts | Self::Everything => true,
        }
    }
}

/// How a terminal is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Whether it takes colours.
    pub colour: bool,
    /// Whether it shows progress in the task bar or the tab, on OSC 9;4.
    pub task_bar: bool,
    /// Where runs can be looked at, if it takes hyperlinks.
    pub links: Links,
    /// How much is told.
    pub telling: Telling,
}

/// The pages of a flow's workspaces in Synapse Studio, as far as they are known. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Links {
    workspaces: Arc<Mutex<BTreeMap<usize, Studio>>>,
}

impl Links {
    /// Takes in where a workspace of the plan is found.
    pub fn learn(&self, workspace: usize, studio: Studio) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace, studio);
    }

    /// Returns the page of the run of a step's newest attempt, if both are known.
    pub(super) fn of(&self, flow: &Flow, step: StepIndex) -> Option<String> {
        let run = run_of(flow.run(step))?;
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        Some(workspaces.get(&flow.step(step).workspace)?.run(run))
    }
}
