//! A plan narrowed to some of its steps: what `--select` and `--exclude` leave of it (design 9.1).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::{PlanGraph, Unselectable, select};
use crate::plan::{Condition, Edge, EdgeRule, Plan, Step, StepId, StepIndex, StepKind};

/// The words of `--select` and `--exclude`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// Only these steps are left; all if there is none.
    #[serde(default)]
    pub select: Vec<String>,
    /// These are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl Selection {
    /// Says whether it leaves the plan as it is.
    pub const fn is_whole(&self) -> bool {
        self.select.is_empty() && self.exclude.is_empty()
    }
}

/// Returns the plan with only the steps that a selection leaves.
///
/// An edge on a step left out counts as met if it is bare or lists `succeeded` or `completed`; otherwise its step does not
/// run. Fails if a word names nothing, nothing is left, or a step that is left reads what one left out would have given.
pub fn narrow(plan: &Plan, graph: &PlanGraph, selection: &Selection) -> Result<Plan, Unselectable> {
    let mut kept: BTreeSet<StepIndex> = if selection.select.is_empty() {
        plan.runs().map(|(step, _)| step).collect()
    } else {
        select(plan, graph, &selection.select)?
    };
    for step in select(plan, graph, &selection.exclude)? {
        kept.remove(&step);
    }
    if kept.is_empty() {
        return Err(Unselectable::Nothing);
    }
    let has_final = kept.iter().any(|step| plan.steps[step.0].is_final);
    let is_kept = |at: usize| match &plan.steps[at].kind {
        StepKind::Run => kept.contains(&StepIndex(at)),
        StepKind::Group { members, .. } => {
            members.is_empty() || members.clone().any(|member| kept.contains(&StepIndex(member)))
        }
        StepKind::Barrier => has_final,
    };
    let mut places: Vec<Option<usize>> = Vec::with_capacity(plan.steps.len());
    let mut next = 0;
    for at in 0..plan.steps.len() {
        places.push(is_kept(at).then_some(next));
        next += usize::from(is_kept(at));
    }
    let index = plan.index();
    let mut steps = Vec::with_capacity(next);
    for (at, step) in plan.steps.iter().enumerate().filter(|(at, _)| places[*at].is_some()) {
        let read = |id: &StepId| index.get(step.pairs.get(id).unwrap_or(id)).copied();
        let reads = step.parameters.iter().flat_map(|(_, template)| template.steps());
        if let Some(gone) = reads.filter_map(read).find(|upstream| places[upstream.0].is_none()) {
            let (reader, read) = (step.id.to_string(), plan.steps[gone.0].id.to_string());
            return Err(Unselectable::Reads { reader, read });
        }
        steps.push(moved(plan, at, step, &places));
    }
    Ok(Plan { steps, ..plan.clone() })
}

/// Returns a step that is left, with its edges and iterations where they stand now.
fn moved(plan: &Plan, at: usize, step: &Step, places: &[Option<usize>]) -> Step {
    let kind = match &step.kind {
        StepKind::Group { members, max_parallel } => {
            let left = places[members.clone()].iter().flatten().count();
            let end = places[at].unwrap_or_default();
            StepKind::Group { members: end - left..end, max_parallel: *max_parallel }
        }
        other => other.clone(),
    };
    let mut spared = step.spared.clone();
    let mut depends_on = Vec::new();
    for edge in &step.depends_on {
        match places[edge.upstream.0] {
            Some(place) => depends_on.push(Edge { upstream: StepIndex(place), ..edge.clone() }),
            None if is_met_without(&edge.rule) => {}
            None => spared = Some(format!("`{}` was left out", plan.steps[edge.upstream.0].id)),
        }
    }
    let group = step.group.and_then(|group| places[group.0]).map(StepIndex);
    Step { kind, group, depends_on, spared, ..step.clone() }
}

fn is_met_without(rule: &EdgeRule) -> bool {
    match rule {
        EdgeRule::Bare => true,
        EdgeRule::AnyOf(conditions) => {
            conditions.contains(&Condition::Succeeded) || conditions.contains(&Condition::Completed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Selection, narrow};
    use crate::graph::{PlanGraph, Unselectable};
    use crate::plan::{self, Given, Plan};

    const PLAN: &str = "version: 1\nname: n\nworkspace: w\nsteps:\n  up: {}\n  a: { for_each: [x, y], depends_on: [up] }\n  \
        next: { depends_on: [a] }\n  mend: { depends_on: [{ a: [failed] }] }\n  \
        read: { depends_on: [up], parameters: { run: '{{steps.up.run_id}}' } }\n  last: { finally: completed }\n";

    fn narrowed(select: &[&str], exclude: &[&str]) -> Result<Plan, Unselectable> {
        let given = Given { inputs_required: true, ..Given::default() };
        let plan = plan::load(PLAN.as_bytes(), &given).expect("a plan").plan;
        let graph = PlanGraph::link(&plan).expect("no cycle");
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let plan = narrow(&plan, &graph, &Selection { select: words(select), exclude: words(exclude) })?;
        PlanGraph::link(&plan).expect("still no cycle");
        Ok(plan)
    }

    #[test]
    fn leaves_what_is_selected_with_the_edges_between() {
        let check = |select: &[&str], exclude: &[&str], want: &[&str]| {
            let plan = narrowed(select, exclude).expect("something is left");
            let edges = |step: &plan::Step| -> Vec<String> {
                step.depends_on.iter().map(|edge| plan.steps[edge.upstream.0].id.to_string()).collect()
            };
            let told: Vec<String> = plan
                .runs()
                .map(|(_, step)| match (&step.spared, edges(step).join(" ")) {
                    (Some(_), _) => format!("{} not", step.id),
                    (None, edges) => format!("{} {edges}", step.id).trim_end().to_owned(),
                })
                .collect();
            assert_eq!(told, want, "{select:?} {exclude:?}");
        };
        check(&["a"], &[], &["a[x]", "a[y]"]);
        check(&["a[y]"], &[], &["a[y]"]);
        check(&["a[y]", "next"], &[], &["a[y]", "next a"]);
        check(&["mend"], &[], &["mend not"]);
        check(&["next+1"], &[], &["next", "last all other steps"]);
        check(&["+next"], &["a[x]"], &["up", "a[y] up", "next a"]);
        check(&[], &["up", "a", "next", "mend", "read"], &["last all other steps"]);
        check(&[], &["a", "read"], &["up", "next", "mend not", "last all other steps"]);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let reads = Unselectable::Reads { reader: "read".to_owned(), read: "up".to_owned() };
        assert_eq!(narrowed(&["read"], &[]).err(), Some(reads));
        assert_eq!(narrowed(&["up"], &["up"]).err(), Some(Unselectable::Nothing));
        assert!(matches!(narrowed(&["upp"], &[]), Err(Unselectable::NoStep { .. })));
    }
}
