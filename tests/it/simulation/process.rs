//! A process that runs the flow: what dies with it. The driver's part, without tasks and sockets.

use std::collections::BTreeMap;

use synflow::flow::policy::Limits;
use synflow::flow::watch::{Coverage, Watch};
use synflow::flow::{ActivitySeen, Below, Flow, RunActivities, RunId};
use synflow::plan::StepIndex;
use synflow::synapse::RunListed;
use synflow::time::{Delay, Timestamp};

/// Where a process can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    BeforeIntent,
    BeforeLeaving,
    AfterLeaving,
    AfterAcceptance,
    BeforeAnswer,
    BetweenEvents,
    BeforeFlowEnded,
    BeforeRequestMarked,
    AfterResumed,
    Idle,
}

/// Every point.
pub(crate) const POINTS: [Point; 10] = [
    Point::BeforeIntent,
    Point::BeforeLeaving,
    Point::AfterLeaving,
    Point::AfterAcceptance,
    Point::BeforeAnswer,
    Point::BetweenEvents,
    Point::BeforeFlowEnded,
    Point::BeforeRequestMarked,
    Point::AfterResumed,
    Point::Idle,
];

/// What an answer is for.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    Start {
        step: StepIndex,
        attempt: u32,
    },
    LookUp {
        step: StepIndex,
        run: RunId,
        asked_at: Timestamp,
    },
    Cancel {
        step: StepIndex,
        run: RunId,
    },
    List {
        of: ListOf,
        after: Timestamp,
        pipeline: Option<String>,
        asked_at: Timestamp,
        so_far: Vec<RunListed>,
    },
    Activities {
        step: StepIndex,
        run: RunId,
        reading: Reading,
    },
}

/// What a list is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListOf {
    Query { workspace: usize, coverage: Coverage },
    Search { step: StepIndex, from: Timestamp, to: Timestamp },
    LookAround { step: StepIndex },
}

impl ListOf {
    /// Says whether runs that have ended are left out.
    pub(crate) const fn is_of_live_runs(self) -> bool {
        matches!(self, Self::Query { coverage: Coverage::Live, .. })
    }
}

/// How far the activities of a run, and of the runs below it, have been read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Those of the run itself, once they are there, and of the runs below it.
    pub(crate) own: Option<RunActivities>,
    pub(crate) below: Below,
    /// The pages so far of what is being read.
    pub(crate) so_far: Vec<ActivitySeen>,
    /// The run below that is being read, and its pipeline once that is known.
    pub(crate) child: Option<(RunId, Option<String>)>,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) flow: Flow,
    pub(crate) watch: Watch,
    pub(crate) limits: Limits,
    /// How far its clock is ahead of the true time, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// The latest time it has seen: within a process time does not run backwards.
    latest: Timestamp,
    /// When it next reads the requests of others.
    pub(crate) reads_at: Timestamp,
    /// When it wants to go on if nothing happens before.
    pub(crate) wake_at: Option<Timestamp>,
    /// Where it dies, and at which time of coming there; nowhere if nothing is said.
    pub(crate) fate: Option<(Point, u64)>,
    /// Its token for each workspace, and when that ends by its own word.
    pub(crate) tokens: BTreeMap<usize, (String, Timestamp)>,
}

impl Process {
    pub(crate) fn new(number: u64, epoch: u64, flow: Flow, newest_at: Timestamp, ahead_ms: i64) -> Self {
        let limits = Limits {
            beat: Delay::from_secs(5),
            start_grace: Delay::from_secs(120),
            checks_successes: true,
            seed: 7,
        };
        Self {
            number,
            epoch,
            flow,
            watch: Watch::default(),
            limits,
            ahead_ms,
            latest: newest_at,
            reads_at: Timestamp::default(),
            wake_at: None,
            fate: None,
            tokens: BTreeMap::new(),
        }
    }

    /// Returns the time on its clock.
    pub(crate) fn now(&mut self, true_time: Timestamp) -> Timestamp {
        let shown = Timestamp::from_epoch_ms(true_time.epoch_ms().saturating_add(self.ahead_ms));
        self.latest = self.latest.max(shown);
        self.latest
    }

    /// Returns when it is this late by its clock, in true time.
    pub(crate) fn true_time(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_epoch_ms(at.epoch_ms().saturating_sub(self.ahead_ms))
    }

    /// Says whether it dies here and now.
    pub(crate) fn dies_at(&mut self, point: Point) -> bool {
        match &mut self.fate {
            Some((chosen, left)) if *chosen == point => {
                *left -= 1;
                *left == 0
            }
            _ => false,
        }
    }
}
