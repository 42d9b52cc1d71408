//! What the loop's tasks are for and what they bring back.

use std::collections::BTreeSet;

use crate::flow::watch::{Chore, RunNearby};
use crate::flow::{ActivitySeen, RunId, RunSeen, StartOutcome};
use crate::plan::StepIndex;
use crate::synapse::{CallFailure, SynapseClient};
use crate::time::Timestamp;

/// What a task is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    Start(StepIndex),
    Chore(Chore),
    Peek,
}

impl Errand {
    /// Says whether a start may follow at once from its answer.
    pub(super) const fn is_before_a_start(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Chore(Chore::LookAround(_)))
    }
}

/// What a task brings back.
pub(super) enum Done {
    Start(StepIndex, StartOutcome),
    LookUp { step: StepIndex, run: RunId, asked_at: Timestamp, answer: Result<Option<RunSeen>, CallFailure> },
    Query { workspace: usize, sweep: bool, asked_at: Timestamp, answer: Result<Vec<RunSeen>, CallFailure> },
    Activities(StepIndex, Result<ActivitiesRead, CallFailure>),
    Search { step: StepIndex, asked_at: Timestamp, answer: Result<Vec<RunSeen>, CallFailure> },
    LookAround { step: StepIndex, asked_at: Timestamp, answer: Result<Vec<RunNearby>, CallFailure> },
    Cancel { step: StepIndex, run: RunId, answer: Result<(), CallFailure> },
    Peek(StepIndex, Result<Vec<ActivitySeen>, CallFailure>),
}

/// The activities of a run, and which of the runs that it started have not ended.
pub(super) struct ActivitiesRead {
    pub(super) activities: Vec<ActivitySeen>,
    pub(super) live_children: Vec<RunId>,
}

impl Done {
    /// Says whether it tells of runs that another answer may tell of, too.
    pub(super) const fn is_of_runs(&self) -> bool {
        matches!(self, Self::LookUp { .. } | Self::Query { .. } | Self::Cancel { .. })
    }
}

/// Reads the activities of a run and, where asked to, which of the runs below it go on.
pub(super) async fn read_activities(
    client: &SynapseClient,
    pipeline: &str,
    run: RunId,
    with_children: bool,
) -> Result<ActivitiesRead, CallFailure> {
    let activities = client.activities(pipeline, run).await?;
    let mut live_children = Vec::new();
    let children = |activities: &[ActivitySeen]| -> Vec<RunId> {
        activities.iter().filter_map(|activity| activity.child).collect()
    };
    let mut open = if with_children { children(&activities) } else { Vec::new() };
    let mut seen = BTreeSet::new();
    while let Some(child) = open.pop() {
        if !seen.insert(child) {
            continue;
        }
        match client.run(child).await? {
            Some(run) if !run.status.is_terminal() => live_children.push(child),
            Some(run) => open.extend(children(&client.activities(&run.pipeline, child).await?)),
            None => {}
        }
    }
    Ok(ActivitiesRead { activities, live_children })
}
