//! The versions of the pipelines that a plan runs, and of those that these start in turn.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Catalogue, Definition};
use crate::plan::{Plan, StepId};

/// The versions (etags) of a workspace's pipelines, by their names.
pub type Pins = BTreeMap<String, String>;

/// Why the pipelines of a plan cannot be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpinned {
    /// This workspace, by its position in the plan, shows none of its pipelines.
    Unseen(usize),
    /// This workspace does not show this pipeline.
    Missing(usize, String),
    /// This workspace tells no version of this pipeline.
    NoVersion(usize, String),
}

/// A pipeline that is not as it was pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The position of its workspace in the plan.
    pub workspace: usize,
    /// Its name.
    pub pipeline: String,
    /// What has become of it.
    pub fate: Fate,
    /// The steps that run it, or that run what starts it; iterations by the step they are of.
    pub steps: Vec<StepId>,
    /// The pipeline that starts it, where no step runs it itself.
    pub starter: Option<String>,
}

/// What has become of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not there any more.
    Gone,
    /// It was written again.
    Changed {
        /// Its version when it was pinned.
        before: String,
        /// Its version now, if the workspace tells one.
        after: Option<String>,
    },
}

/// How a pipeline comes to run.
#[derive(Clone, Debug, Default)]
struct Reached {
    steps: Vec<StepId>,
    starter: Option<String>,
}

/// Returns the versions of all pipelines that a plan runs, by the keys of its workspaces. `of_workspace` gives those of a
/// workspace by its position.
///
/// Fails with all that is not known.
pub fn pin<'c>(
    plan: &Plan,
    of_workspace: impl Fn(usize) -> Option<&'c Catalogue>,
) -> Result<BTreeMap<String, Pins>, Vec<Unpinned>> {
    let mut all = BTreeMap::new();
    let mut unpinned = Vec::new();
    for position in used(plan) {
        let Some(catalogue) = of_workspace(position) else {
            unpinned.push(Unpinned::Unseen(position));
            continue;
        };
        let mut pins = Pins::new();
        for (name, reached) in reached(plan, position, catalogue) {
            match catalogue.find(&name).map(Definition::etag) {
                Some(Some(version)) => drop(pins.insert(name, version.to_owned())),
                Some(None) => unpinned.push(Unpinned::NoVersion(position, name)),
                // What a pipeline would start and is not there can only fail, now as later.
                None if reached.starter.is_some() => {}
                None => unpinned.push(Unpinned::Missing(position, name)),
            }
        }
        all.insert(plan.workspaces[position].key.clone(), pins);
    }
    if unpinned.is_empty() { Ok(all) } else { Err(unpinned) }
}

/// Returns the pipelines that are not as they were pinned, workspace by workspace, by their names. One without a workspace
/// that shows its pipelines is passed over.
pub fn moved<'c>(
    pinned: &BTreeMap<String, Pins>,
    plan: &Plan,
    of_workspace: impl Fn(usize) -> Option<&'c Catalogue>,
) -> Vec<Moved> {
    let mut all = Vec::new();
    for (workspace, catalogue) in used(plan).into_iter().filter_map(|at| Some((at, of_workspace(at)?))) {
        let Some(pins) = pinned.get(&plan.workspaces[workspace].key) else { continue };
        let mut reached = reached(plan, workspace, catalogue);
        for (pipeline, before) in pins {
            let now = catalogue.find(pipeline);
            let fate = match now.map(Definition::etag) {
                None => Fate::Gone,
                Some(Some(after)) if after == before => continue,
                Some(after) => Fate::Changed { before: before.clone(), after: after.map(str::to_owned) },
            };
            // Whatever started it has moved itself, if nothing reaches it now.
            let Reached { steps, starter } = reached.remove(pipeline).unwrap_or_default();
            all.push(Moved { workspace, pipeline: pipeline.clone(), fate, steps, starter });
        }
    }
    all
}

/// Returns the positions of the workspaces in which steps run.
fn used(plan: &Plan) -> BTreeSet<usize> {
    plan.runs().map(|(_, step)| step.workspace).collect()
}

/// Returns the pipelines that run in a workspace: those of steps, and those that these start, at any depth.
fn reached(plan: &Plan, workspace: usize, catalogue: &Catalogue) -> BTreeMap<String, Reached> {
    let mut all: BTreeMap<String, Reached> = BTreeMap::new();
    let mut open = Vec::new();
    let mut said = BTreeSet::new();
    for (index, step) in plan.runs().filter(|(_, step)| step.workspace == workspace) {
        let owner = step.group.unwrap_or(index);
        if !said.insert((owner, &step.pipeline)) {
            continue;
        }
        if !all.contains_key(&step.pipeline) {
            open.push(step.pipeline.clone());
        }
        all.entry(step.pipeline.clone()).or_default().steps.push(plan.steps[owner.0].id.clone());
    }
    while let Some(name) = open.pop() {
        let steps = all.get(&name).map(|reached| reached.steps.clone()).unwrap_or_default();
        for called in catalogue.find(&name).iter().flat_map(|definition| &definition.calls) {
            if !all.contains_key(called) {
                open.push(called.clone());
                let starter = Some(name.clone());
                all.insert(called.clone(), Reached { steps: steps.clone(), starter });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fate, Unpinned, moved, pin};
    use crate::definition::{Catalogue, Definition, Source};
    use crate::plan::{Given, Plan, StepId, load};

    fn plan() -> Plan {
        let text = "version: 1\nname: n\nworkspace: w\nsteps:\n  load: { for_each: [x, y], pipeline: pl_load }\n  \
                    again: { pipeline: pl_load }\n  other: {}\n";
        load(text.as_bytes(), &Given { inputs_required: true, ..Given::default() }).expect("a plan").plan
    }

    /// Makes a workspace of these pipelines: name, version, and what it starts.
    fn catalogue(pipelines: &[(&str, Option<&str>, &str)]) -> Catalogue {
        let mut catalogue = Catalogue::new("the workspace");
        for (name, etag, called) in pipelines {
            let activity = json!({ "typeProperties": { "pipeline": { "referenceName": called } } });
            let activities = if called.is_empty() { vec![] } else { vec![activity] };
            let source = Source::Service { etag: etag.map(str::to_owned) };
            let value = json!({ "name": name, "properties": { "activities": activities } });
            drop(catalogue.add(Definition::read(&value, source, name).expect("an object")));
        }
        catalogue
    }

    #[test]
    fn pins_what_steps_run_and_what_that_starts() {
        let before = catalogue(&[
            ("pl_load", Some("1"), "child"),
            ("child", Some("2"), "grandchild"),
            ("grandchild", Some("3"), "pl_load"),
            ("other", Some("4"), "not_there"),
            ("nobody", Some("5"), ""),
        ]);
        let pinned = pin(&plan(), |_| Some(&before)).expect("all is known");
        let names: Vec<&str> = pinned["main"].keys().map(String::as_str).collect();
        assert_eq!(names, ["child", "grandchild", "other", "pl_load"]);
        assert_eq!(moved(&pinned, &plan(), |_| Some(&before)), []);

        let after = catalogue(&[
            ("pl_load", Some("1"), "child"),
            ("child", Some("2"), "grandchild"),
            ("grandchild", Some("9"), "pl_load"),
            ("nobody", Some("9"), ""),
        ]);
        let moved = moved(&pinned, &plan(), |_| Some(&after));
        let told: Vec<_> = moved
            .iter()
            .map(|it| {
                let steps: Vec<&str> = it.steps.iter().map(StepId::as_str).collect();
                (it.pipeline.as_str(), it.fate.clone(), steps, it.starter.as_deref())
            })
            .collect();
        let changed = Fate::Changed { before: "3".to_owned(), after: Some("9".to_owned()) };
        assert_eq!(
            told,
            [
                ("grandchild", changed, vec!["load", "again"], Some("child")),
                ("other", Fate::Gone, vec!["other"], None),
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_pinned() {
        assert_eq!(pin(&plan(), |_| None), Err(vec![Unpinned::Unseen(0)]));
        let known = catalogue(&[("pl_load", None, "")]);
        let want =
            vec![Unpinned::Missing(0, "other".to_owned()), Unpinned::NoVersion(0, "pl_load".to_owned())];
        assert_eq!(pin(&plan(), |_| Some(&known)), Err(want));
    }
}
