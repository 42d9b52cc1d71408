//! The activities of a run: what the service shows of them, what of that is the cause of a failure, what the journal keeps.
//!
//! A [`Flow`](super::Flow) holds none of them: they decide how an attempt ended, and after that only people read them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::event::{Event, Recorded, RunId, StepError};
use crate::plan::StepId;
use crate::time::Timestamp;

/// The kinds of activities that hold others; a rerun evaluates them anew (protocol 4.1).
pub(super) const CONTAINERS: [&str; 4] = ["ForEach", "IfCondition", "Switch", "Until"];

/// How many child runs are read below one that failed.
const FAILED_CHILDREN_MAX: usize = 30;

/// How deep child runs are followed and kept; the service itself allows fewer.
const DEPTH_MAX: usize = 16;

/// How many activities of one attempt the journal keeps, those of its child runs included.
const KEPT_MAX: usize = 100;

/// An activity of a run as the service shows it (protocol 3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct ActivitySeen {
    /// Its name in the definition.
    pub name: String,
    /// Its type, such as `Copy` or `ExecutePipeline`.
    pub kind: String,
    /// The service's word, such as `InProgress` or `Failed`.
    pub status: String,
    /// Which round of a loop it belongs to; empty outside loops.
    pub iteration: String,
    /// When it started, by the service's clock.
    pub start: Option<Timestamp>,
    /// When it ended, by the service's clock.
    pub end: Option<Timestamp>,
    /// The error's code and text; both empty for an activity that did not fail.
    pub error: StepError,
    /// What it produced.
    pub output: Value,
    /// The run that it started, if it is one that starts another pipeline.
    pub child: Option<RunId>,
}

/// Which of the runs below an ended one are read, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Below {
    /// None.
    Nothing,
    /// Those whose activity failed: the cause is there.
    Failed,
    /// All: a cancelled run is over when they are.
    All,
}

/// The activities of an ended run, and of the runs below it as far as they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunActivities {
    /// The run's own.
    pub rows: Vec<ActivitySeen>,
    /// Those of runs below it that have ended, or that the service does not know.
    pub below: BTreeMap<RunId, ChildActivities>,
    /// The runs below it that go on.
    pub live: BTreeSet<RunId>,
}

/// The activities of a run that another run's activity started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChildActivities {
    /// Its pipeline; empty where the service does not know the run.
    pub pipeline: String,
    /// Its activities.
    pub rows: Vec<ActivitySeen>,
}

impl RunActivities {
    /// Makes what is known of a run after its own activities were read.
    pub fn of(rows: Vec<ActivitySeen>) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Returns the run to be read next; nothing when all that `below` asks for is here.
    pub fn next_below(&self, below: Below) -> Option<RunId> {
        if below == Below::Nothing || below == Below::Failed && self.below.len() >= FAILED_CHILDREN_MAX {
            return None;
        }
        let levels = [&self.rows].into_iter().chain(self.below.values().map(|child| &child.rows));
        let is_new = |child: &RunId| !self.below.contains_key(child) && !self.live.contains(child);
        let child_of = |row: &ActivitySeen| row.child.filter(is_new);
        if below == Below::All {
            return levels.flatten().find_map(child_of);
        }
        levels.flat_map(|rows| failures(rows)).find_map(child_of)
    }

    /// Returns what made the run fail, or a good one warn: the error of the innermost activity that failed, with the
    /// pipelines of the child runs on the way to it.
    pub(super) fn cause(&self) -> Option<StepError> {
        let mut via = Vec::new();
        let mut row = first_failed(&self.rows)?;
        while via.len() < DEPTH_MAX
            && let Some(child) = row.child.and_then(|child| self.below.get(&child))
            && let Some(inner) = first_failed(&child.rows)
        {
            via.push(child.pipeline.clone());
            row = inner;
        }
        Some(StepError { activity: Some(row.name.clone()), via, ..row.error.clone() })
    }

    /// Returns what the journal keeps; nothing where the service showed nothing.
    pub(super) fn kept(&self) -> Option<Box<ActivitiesKept>> {
        let mut room = KEPT_MAX;
        let mut left_out = 0;
        let rows = self.kept_of(&self.rows, DEPTH_MAX, &mut room, &mut left_out);
        (!rows.is_empty()).then(|| Box::new(ActivitiesKept { rows, left_out }))
    }

    /// Where not all can stay, what failed does, first of all what made its run fail, with all below it; the order is the
    /// service's all the same.
    fn kept_of(
        &self,
        rows: &[ActivitySeen],
        depth: usize,
        room: &mut usize,
        left_out: &mut usize,
    ) -> Vec<ActivityRun> {
        let failed = are_failed(rows);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| if failed[at] { (0, blame(&rows[at])) } else { (1, Blame::default()) });
        let mut kept: Vec<(usize, ActivityRun)> = Vec::new();
        for at in order {
            if *room == 0 {
                *left_out += self.count(&rows[at], depth);
                continue;
            }
            *room -= 1;
            kept.push((at, self.kept_row(&rows[at], depth, room, left_out)));
        }
        kept.sort_unstable_by_key(|(at, _)| *at);
        kept.into_iter().map(|(_, row)| row).collect()
    }

    fn kept_row(
        &self,
        row: &ActivitySeen,
        depth: usize,
        room: &mut usize,
        left_out: &mut usize,
    ) -> ActivityRun {
        let child = row.child.map(|run| match self.child(row, depth) {
            Some(child) => ChildRun {
                run,
                pipeline: child.pipeline.clone(),
                activities: self.kept_of(&child.rows, depth - 1, room, left_out),
            },
            None => ChildRun { run, pipeline: String::new(), activities: Vec::new() },
        });
        let is_error = !row.error.code.is_empty() || !row.error.message.is_empty();
        ActivityRun {
            name: row.name.clone(),
            kind: row.kind.clone(),
            status: row.status.clone(),
            iteration: row.iteration.clone(),
            start: row.start,
            end: row.end,
            error: is_error.then(|| StepError { activity: None, ..row.error.clone() }),
            child: child.map(Box::new),
        }
    }

    /// Returns what was read of the run that an activity started, unless it is too deep.
    fn child(&self, row: &ActivitySeen, depth: usize) -> Option<&ChildActivities> {
        self.below.get(&row.child?).filter(|_| depth > 0)
    }

    /// Counts an activity and all below it.
    fn count(&self, row: &ActivitySeen, depth: usize) -> usize {
        let below = self.child(row, depth).into_iter().flat_map(|child| &child.rows);
        1 + below.map(|row| self.count(row, depth - 1)).sum::<usize>()
    }
}

/// What decides among failed activities which of them a run failed by.
type Blame = (bool, bool, Option<Timestamp>);

/// Returns how late an activity comes to be blamed: the first that ended badly is, and one that holds others only where
/// none of those failed.
fn blame(row: &ActivitySeen) -> Blame {
    (CONTAINERS.contains(&row.kind.as_str()), row.end.is_none(), row.end)
}

/// Returns the activity that a run failed by.
fn first_failed(rows: &[ActivitySeen]) -> Option<&ActivitySeen> {
    failures(rows).min_by_key(|row| blame(row))
}

/// Returns the activities that failed for good, in the service's order.
pub(super) fn failures(rows: &[ActivitySeen]) -> impl Iterator<Item = &ActivitySeen> {
    rows.iter().zip(are_failed(rows)).filter(|(_, failed)| *failed).map(|(row, _)| row)
}

/// Says of each activity whether it failed for good.
///
/// A definition may let an activity be tried again; each try is a row of its own (protocol 3.2, `retryAttempt`), and
/// only the last one of a name in its round of a loop counts.
fn are_failed(rows: &[ActivitySeen]) -> Vec<bool> {
    let mut last_try: BTreeMap<(&str, &str), Option<Timestamp>> = BTreeMap::new();
    for row in rows {
        let start = last_try.entry((&row.name, &row.iteration)).or_default();
        *start = (*start).max(row.start);
    }
    let is_last = |row: &ActivitySeen| last_try[&(row.name.as_str(), row.iteration.as_str())] == row.start;
    rows.iter().map(|row| row.status == "Failed" && is_last(row)).collect()
}

/// What the journal keeps of an ended attempt's activities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivitiesKept {
    /// In the service's order.
    pub rows: Vec<ActivityRun>,
    /// How many there were besides, in this run and below.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// An activity as the journal keeps it. What it was given and what it produced stay with the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityRun {
    /// Its name in the definition.
    pub name: String,
    /// Its type, such as `Copy` or `ExecutePipeline`.
    #[serde(default)]
    pub kind: String,
    /// The service's word, such as `Succeeded` or `Failed`.
    pub status: String,
    /// Which round of a loop it belongs to; empty outside loops.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub iteration: String,
    /// When it started, by the service's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// When it ended, by the service's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// What went wrong in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// The run that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<ChildRun>>,
}

/// A run that an activity started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChildRun {
    /// Its id.
    pub run: RunId,
    /// Its pipeline; empty where it was not read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pipeline: String,
    /// Its activities, where they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<ActivityRun>,
}

impl ActivitiesKept {
    /// Hands every error in it to `reword`.
    pub(super) fn each_error(&mut self, reword: &dyn Fn(&mut StepError)) {
        let mut open: Vec<&mut ActivityRun> = self.rows.iter_mut().collect();
        while let Some(row) = open.pop() {
            row.error.iter_mut().for_each(reword);
            open.extend(row.child.iter_mut().flat_map(|child| child.activities.iter_mut()));
        }
    }
}

/// Returns the activities that events tell of, by step and number of the attempt.
pub fn kept(events: &[Recorded]) -> BTreeMap<(StepId, u32), &ActivitiesKept> {
    let told = events.iter().filter_map(|recorded| match &recorded.event {
        Event::AttemptEnded { step, attempt, activities: Some(activities), .. } => {
            Some(((step.clone(), *attempt), &**activities))
        }
        _ => None,
    });
    told.collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::{ActivitySeen, Below, ChildActivities, KEPT_MAX, RunActivities};
    use crate::flow::event::{RunId, StepError};
    use crate::time::Timestamp;

    fn row(name: &str, kind: &str, status: &str, end: i64) -> ActivitySeen {
        let is_failed = status == "Failed";
        let text = |text: &str| if is_failed { text.to_owned() } else { String::new() };
        ActivitySeen {
            name: name.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            iteration: String::new(),
            start: Some(Timestamp::from_epoch_ms(end - 1)),
            end: Some(Timestamp::from_epoch_ms(end)),
            error: StepError { code: text("2200"), message: text("it broke"), ..StepError::default() },
            output: Value::Null,
            child: None,
        }
    }

    fn calling(name: &str, status: &str, end: i64, child: RunId) -> ActivitySeen {
        ActivitySeen { child: Some(child), ..row(name, "ExecutePipeline", status, end) }
    }

    const fn run(number: u128) -> RunId {
        RunId(Uuid::from_u128(number))
    }

    fn child(pipeline: &str, rows: Vec<ActivitySeen>) -> ChildActivities {
        ChildActivities { pipeline: pipeline.to_owned(), rows }
    }

    #[test]
    fn the_cause_is_the_innermost_activity_that_failed_first() {
        let rows = vec![
            row("Each", "ForEach", "Failed", 5),
            row("Later", "Copy", "Failed", 9),
            calling("Load", "Failed", 4, run(1)),
            calling("Fine", "Succeeded", 2, run(7)),
        ];
        let mut read = RunActivities::of(rows);
        assert_eq!(read.cause().and_then(|error| error.activity).as_deref(), Some("Load"));
        assert_eq!(read.next_below(Below::Nothing), None);
        assert_eq!(read.next_below(Below::Failed), Some(run(1)));
        read.below.insert(run(1), child("load_customers", vec![calling("Deeper", "Failed", 3, run(2))]));
        assert_eq!(read.next_below(Below::Failed), Some(run(2)));
        read.below.insert(run(2), child("copy_all", vec![row("Copy_2", "Copy", "Failed", 3)]));
        assert_eq!(read.next_below(Below::Failed), None);
        assert_eq!(read.next_below(Below::All), Some(run(7)));
        read.live.insert(run(7));
        assert_eq!(read.next_below(Below::All), None);
        let cause = read.cause().expect("something failed");
        assert_eq!(cause.activity.as_deref(), Some("Copy_2"));
        assert_eq!(cause.via, ["load_customers", "copy_all"]);
        let kept = read.kept().expect("there is something");
        let load = kept.rows[2].child.as_ref().expect("it started a run");
        assert_eq!(load.pipeline, "load_customers");
        assert_eq!(load.activities[0].child.as_ref().map(|child| child.activities.len()), Some(1));
        assert!(kept.rows[3].child.as_ref().is_some_and(|child| child.activities.is_empty()));
    }

    #[test]
    fn a_child_that_the_service_forgot_leaves_the_cause_above_it() {
        let mut read = RunActivities::of(vec![calling("Load", "Failed", 4, run(1))]);
        read.below.insert(run(1), ChildActivities::default());
        let cause = read.cause().expect("something failed");
        assert_eq!((cause.activity.as_deref(), cause.via.len()), (Some("Load"), 0));
    }

    #[test]
    fn a_circle_of_children_ends() {
        let mut read = RunActivities::of(vec![calling("Load", "Failed", 4, run(1))]);
        read.below.insert(run(1), child("again", vec![calling("Load", "Failed", 4, run(1))]));
        assert_eq!(read.next_below(Below::All), None);
        assert!(read.cause().is_some());
        assert!(read.kept().is_some());
    }

    #[test]
    fn what_failed_stays_where_not_all_can() {
        let mut rows: Vec<ActivitySeen> =
            (0..300).map(|at| row(&format!("Copy_{at}"), "Copy", "Succeeded", at)).collect();
        rows[250] = row("Bad", "Copy", "Failed", 250);
        let kept = RunActivities::of(rows).kept().expect("there is something");
        assert_eq!((kept.rows.len(), kept.left_out), (KEPT_MAX, 300 - KEPT_MAX));
        assert_eq!(kept.rows.last().map(|row| row.name.as_str()), Some("Bad"));
    }

    /// A loop of many rounds must not push out the child run in which the cause stands.
    #[test]
    fn the_way_to_the_cause_stays() {
        let mut rows: Vec<ActivitySeen> =
            (0..300).map(|at| row(&format!("Copy_{at}"), "Copy", "Failed", 1000 + at)).collect();
        rows[250] = calling("Load", "Failed", 4, run(1));
        let mut read = RunActivities::of(rows);
        let below = vec![row("Copy_1", "Copy", "Succeeded", 2), row("Copy_2", "Copy", "Failed", 3)];
        read.below.insert(run(1), child("load_customers", below));
        let kept = read.kept().expect("there is something");
        let load = kept.rows.iter().find(|row| row.name == "Load").expect("it made the run fail");
        let child = load.child.as_ref().expect("it started a run");
        assert_eq!(child.activities.len(), 2);
        assert_eq!(kept.rows.len() + child.activities.len() + kept.left_out, 302);
        // What is cut off is counted with all below it.
        let mut rows: Vec<ActivitySeen> =
            (0..KEPT_MAX as i64).map(|at| row(&format!("Copy_{at}"), "Copy", "Failed", at)).collect();
        rows.push(calling("Fine", "Succeeded", 4, run(1)));
        let read = RunActivities { rows, ..read };
        assert_eq!(read.kept().map(|kept| kept.left_out), Some(3));
    }
}
