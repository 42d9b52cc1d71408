//! What the loop's tasks are for and what they bring back.

use crate::flow::watch::{Chore, Coverage, RunNearby};
use crate::flow::{ActivitySeen, Below, ChildActivities, RunActivities, RunId, RunSeen, StartOutcome};
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
    LookUp {
        step: StepIndex,
        run: RunId,
        asked_at: Timestamp,
        answer: Result<Option<RunSeen>, CallFailure>,
    },
    Query {
        workspace: usize,
        coverage: Coverage,
        asked_at: Timestamp,
        answer: Result<Vec<RunSeen>, CallFailure>,
    },
    Activities(StepIndex, Result<RunActivities, CallFailure>),
    Search {
        step: StepIndex,
        asked_at: Timestamp,
        answer: Result<Vec<RunSeen>, CallFailure>,
    },
    LookAround {
        step: StepIndex,
        asked_at: Timestamp,
        answer: Result<Vec<RunNearby>, CallFailure>,
    },
    Cancel {
        step: StepIndex,
        run: RunId,
        answer: Result<(), CallFailure>,
    },
    Peek(StepIndex, Result<Vec<ActivitySeen>, CallFailure>),
}

impl Done {
    /// Says whether it tells of runs that another answer may tell of, too.
    pub(super) const fn is_of_runs(&self) -> bool {
        matches!(self, Self::LookUp { .. } | Self::Query { .. } | Self::Cancel { .. })
    }
}

/// Reads the activities of a run, and of the runs below it that are asked for.
pub(super) async fn read_activities(
    client: &SynapseClient,
    pipeline: &str,
    run: RunId,
    below: Below,
) -> Result<RunActivities, CallFailure> {
    let mut read = RunActivities::of(client.activities(pipeline, run).await?);
    while let Some(child) = read.next_below(below) {
        let seen = client.run(child).await?;
        if seen.as_ref().is_some_and(|seen| !seen.status.is_terminal()) {
            read.live.insert(child);
            continue;
        }
        read.below.insert(child, child_activities(client, child, seen).await?);
    }
    Ok(read)
}

/// Reads the activities of a run and of the runs below it, those that go on among them: of this many runs below.
pub async fn read_all_activities(
    client: &SynapseClient,
    pipeline: &str,
    run: RunId,
    below_max: usize,
) -> Result<RunActivities, CallFailure> {
    let mut read = RunActivities::of(client.activities(pipeline, run).await?);
    while read.below.len() < below_max
        && let Some(child) = read.next_below(Below::All)
    {
        let seen = client.run(child).await?;
        read.below.insert(child, child_activities(client, child, seen).await?);
    }
    Ok(read)
}

/// Reads the activities of a run below another one; of a run that the service does not know there are none, and it must
/// not be asked for again.
async fn child_activities(
    client: &SynapseClient,
    child: RunId,
    seen: Option<RunSeen>,
) -> Result<ChildActivities, CallFailure> {
    let Some(seen) = seen else { return Ok(ChildActivities::default()) };
    let rows = client.activities(&seen.pipeline, child).await?;
    Ok(ChildActivities { pipeline: seen.pipeline, rows })
}
