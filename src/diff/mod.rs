//! What two plans, or two flows, say differently: by meaning, not by text.
//!
//! Everything a plan says is taken as values by names, from which comments, layout, order, anchors and defaults have
//! gone. Main functions: [`plans`], [`step`], [`definitions`] and [`flows`].

mod meaning;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::flow::{Definitions, Flow, StepRun};
use crate::plan::{Plan, Step, StepId};

/// What is said differently about one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What it is about.
    pub subject: Subject,
    /// What has become of it.
    pub kind: Kind,
}

/// What a difference is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The plan as a whole.
    Plan,
    /// A step that runs a pipeline.
    Step(StepId),
    /// The definition of a pipeline.
    Definition {
        /// The workspace's name.
        workspace: String,
        /// The pipeline.
        pipeline: String,
    },
}

/// What has become of something.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// It was not there before; all that is said of it now.
    Added(Map<String, Value>),
    /// It is not there any more.
    Removed,
    /// It is there, and something of it is otherwise.
    Changed(Vec<Change>),
}

/// One thing that is said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name: a key of the plan, with `.` before what stands below it.
    pub key: String,
    /// Its value before; nothing if it had none.
    pub before: Option<Value>,
    /// Its value now; nothing if it has none.
    pub after: Option<Value>,
}

/// Returns what two plans say differently: the plan as a whole first, then the steps in the order of the new one, each
/// iteration for itself, and at the end those that are not there any more.
pub fn plans(before: &Plan, after: &Plan) -> Vec<Difference> {
    let whole = changes(&meaning::of_plan(before), &meaning::of_plan(after));
    let whole =
        (!whole.is_empty()).then(|| Difference { subject: Subject::Plan, kind: Kind::Changed(whole) });
    let (old, new) = (by_id(before), by_id(after));
    let here = after.runs().filter_map(|(_, step)| {
        let kind = match old.get(&step.id) {
            None => Kind::Added(meaning::of_step(after, step)),
            Some(was) => Kind::Changed(self::step(before, was, after, step)),
        };
        let is_same = matches!(&kind, Kind::Changed(changes) if changes.is_empty());
        (!is_same).then(|| Difference { subject: Subject::Step(step.id.clone()), kind })
    });
    let gone = before.runs().filter(|(_, step)| !new.contains_key(&step.id));
    let gone =
        gone.map(|(_, step)| Difference { subject: Subject::Step(step.id.clone()), kind: Kind::Removed });
    whole.into_iter().chain(here).chain(gone).collect()
}

/// Returns what two plans say differently about a step.
pub fn step(before: &Plan, was: &Step, after: &Plan, is: &Step) -> Vec<Change> {
    changes(&meaning::of_step(before, was), &meaning::of_step(after, is))
}

/// Returns which definitions have another version (etag) than before, of the pipelines that both plans run in the same
/// workspaces and whose versions both know, in the order of the second.
pub fn definitions(before: (&Plan, &Definitions), after: (&Plan, &Definitions)) -> Vec<Difference> {
    let version = |known: &Definitions, key: &str, pipeline: &str| {
        known.get(key).and_then(|known| known.get(pipeline)).map(|etag| Value::from(etag.as_str()))
    };
    let mut seen = BTreeSet::new();
    let runs = after.0.runs().map(|(_, step)| step);
    let one = |step: &Step| {
        let is = &after.0.workspaces[step.workspace];
        let was = before.0.workspaces.iter().find(|was| was.key == is.key && was.endpoint == is.endpoint)?;
        let old = version(before.1, &was.key, &step.pipeline)?;
        let new = version(after.1, &is.key, &step.pipeline)?;
        let is_new = seen.insert((step.workspace, step.pipeline.clone()));
        let subject = Subject::Definition { workspace: is.name.clone(), pipeline: step.pipeline.clone() };
        let change = Change { key: "etag".to_owned(), before: Some(old), after: Some(new) };
        let is_other = change.before != change.after;
        (is_new && is_other).then(|| Difference { subject, kind: Kind::Changed(vec![change]) })
    };
    runs.filter_map(one).collect()
}

/// Returns what two flows did differently with the steps that both have, in the order of the second: the outcome, how
/// often they were tried and how long they took.
pub fn flows(before: &Flow, after: &Flow) -> Vec<Difference> {
    let did = |run: &StepRun| meaning::of_run(run);
    let one = |(_, step, run): (_, &Step, &StepRun)| {
        let was = before.index(&step.id).filter(|&at| before.step(at).kind.is_run())?;
        let changes = changes(&did(before.run(was)), &did(run));
        let subject = Subject::Step(step.id.clone());
        (!changes.is_empty()).then_some(Difference { subject, kind: Kind::Changed(changes) })
    };
    after.steps().filter_map(one).collect()
}

fn by_id(plan: &Plan) -> BTreeMap<&StepId, &Step> {
    plan.runs().map(|(_, step)| (&step.id, step)).collect()
}

/// Compares values by their names, in the order of the new ones.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Change> {
    let known: BTreeSet<&String> = after.keys().collect();
    let keys = after.keys().chain(before.keys().filter(|key| !known.contains(key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Change {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}
