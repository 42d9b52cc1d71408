//! Selecting steps as dbt does: `curate`, `curate+`, `+curate`, `1+curate+2`, `tag:bronze+`.

use std::collections::BTreeSet;

use crate::graph::PlanGraph;
use crate::plan::{Plan, StepId, StepIndex, StepKind, nearest};

/// Why words select nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unselectable {
    /// No step has this id.
    #[error("the plan has no step `{id}`{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    NoStep {
        /// The id.
        id: String,
        /// The nearest id there is.
        near: Option<String>,
    },
    /// No step has this tag.
    #[error("no step of the plan has the tag `{0}`")]
    NoTag(String),
    /// There is nothing between the signs.
    #[error("`{0}` names no step; write it like `curate`, `curate+`, `+curate` or `tag:bronze`")]
    Empty(String),
    /// Everything was left out.
    #[error("no step is left to run")]
    Nothing,
    /// A step that is left reads what one left out would have given.
    #[error("step `{reader}` reads what became of `{read}`, which is left out")]
    Reads {
        /// The step that is left.
        reader: String,
        /// The one that is left out.
        read: String,
    },
}

/// Returns the steps that any of these words selects.
///
/// A word is a step's id, with all its iterations or `ingest[emea]` for one, or `tag:NAME`. A `+` before it adds all steps above, one after it all steps below; a number
/// limits how far. Several words may stand in one text, with spaces between. Fails if a word selects nothing.
pub fn select(plan: &Plan, graph: &PlanGraph, texts: &[String]) -> Result<BTreeSet<StepIndex>, Unselectable> {
    let mut selected = BTreeSet::new();
    for word in texts.iter().flat_map(|text| text.split_whitespace()) {
        let (above, rest) = leading(word);
        let (name, below) = trailing(rest);
        for step in named(plan, name, word)? {
            selected.insert(step);
            selected.extend(within(step, above, |step| {
                nearest_runs(plan, step, &|at| graph.upstreams(at).collect())
            }));
            selected.extend(within(step, below, |step| {
                nearest_runs(plan, step, &|at| graph.downstreams(at).collect())
            }));
        }
    }
    Ok(selected)
}

/// Returns the neighbours of a step that have runs, those behind groups and the like included.
fn nearest_runs(
    plan: &Plan,
    step: StepIndex,
    neighbours: &dyn Fn(StepIndex) -> Vec<StepIndex>,
) -> Vec<StepIndex> {
    let mut runs = Vec::new();
    let mut open = neighbours(step);
    while let Some(next) = open.pop() {
        if plan.steps[next.0].kind.is_run() {
            runs.push(next);
        } else {
            open.extend(neighbours(next));
        }
    }
    runs
}

/// Splits `2+curate` into how far it reaches and the rest. Without a `+` it reaches nowhere.
fn leading(word: &str) -> (usize, &str) {
    match word.split_once('+') {
        Some(("", rest)) => (usize::MAX, rest),
        Some((steps, rest)) if !rest.is_empty() => match steps.parse() {
            Ok(steps) => (steps, rest),
            Err(_) => (0, word),
        },
        _ => (0, word),
    }
}

/// Splits `curate+2` likewise.
fn trailing(word: &str) -> (&str, usize) {
    match word.rsplit_once('+') {
        Some((rest, "")) => (rest, usize::MAX),
        Some((rest, steps)) => steps.parse().map_or((word, 0), |steps| (rest, steps)),
        None => (word, 0),
    }
}

fn named(plan: &Plan, name: &str, word: &str) -> Result<Vec<StepIndex>, Unselectable> {
    if name.is_empty() {
        return Err(Unselectable::Empty(word.to_owned()));
    }
    if let Some(tag) = name.strip_prefix("tag:") {
        let tagged = plan.runs().filter(|(_, step)| step.tags.iter().any(|known| known == tag));
        let tagged: Vec<StepIndex> = tagged.map(|(index, _)| index).collect();
        return if tagged.is_empty() { Err(Unselectable::NoTag(tag.to_owned())) } else { Ok(tagged) };
    }
    let id = StepId::new(name);
    let found = plan.steps.iter().position(|step| step.id == id);
    match found.map(|at| (StepIndex(at), &plan.steps[at].kind)) {
        Some((index, StepKind::Run)) => Ok(vec![index]),
        Some((_, StepKind::Group { members, .. })) => Ok(members.clone().map(StepIndex).collect()),
        Some((_, StepKind::Barrier)) | None => {
            let near = nearest(name, plan.steps.iter().map(|step| step.id.as_str()));
            Err(Unselectable::NoStep { id: name.to_owned(), near: near.map(str::to_owned) })
        }
    }
}

/// Returns the steps that are at most so many arrows away.
fn within(
    step: StepIndex,
    arrows: usize,
    neighbours: impl Fn(StepIndex) -> Vec<StepIndex>,
) -> BTreeSet<StepIndex> {
    let mut reached = BTreeSet::new();
    let mut edge = vec![step];
    let mut left = arrows;
    while left > 0 && !edge.is_empty() {
        edge = edge.into_iter().flat_map(&neighbours).filter(|&next| reached.insert(next)).collect();
        left -= 1;
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::{Unselectable, select};
    use crate::graph::PlanGraph;
    use crate::plan::{self, Given, Plan};

    fn chain() -> (Plan, PlanGraph) {
        let text = "version: 1\nname: n\nworkspace: w\nsteps:\n  a: { tags: [bronze] }\n  b-2: { depends_on: [a] }\n  \
                    c: { depends_on: [b-2] }\n  d: { depends_on: [c] }\n  e: { tags: [bronze] }\n";
        let given = Given { inputs_required: true, ..Given::default() };
        let plan = plan::load(text.as_bytes(), &given).expect("a plan").plan;
        let graph = PlanGraph::link(&plan).expect("no cycle");
        (plan, graph)
    }

    #[test]
    fn selects_by_id_tag_and_neighbourhood() {
        let (plan, graph) = chain();
        let check = |words: &[&str], want: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let selected = select(&plan, &graph, &words).expect("something");
            let ids: Vec<&str> = selected.iter().map(|step| plan.steps[step.0].id.as_str()).collect();
            assert_eq!(ids.join(" "), want, "{words:?}");
        };
        check(&["b-2"], "b-2");
        check(&["b-2+"], "b-2 c d");
        check(&["+b-2"], "a b-2");
        check(&["+c+"], "a b-2 c d");
        check(&["1+c"], "b-2 c");
        check(&["a+1", "e"], "a b-2 e");
        check(&["a e"], "a e");
        check(&["1+c+1"], "b-2 c d");
        check(&["tag:bronze"], "a e");
        check(&["tag:bronze+"], "a b-2 c d e");
        check(&[], "");
    }

    #[test]
    fn says_what_selects_nothing() {
        let (plan, graph) = chain();
        let check = |word: &str, want: &str| {
            let problem: Unselectable = select(&plan, &graph, &[word.to_owned()]).expect_err(word);
            assert!(problem.to_string().contains(want), "{problem}");
        };
        check("b-3+", "did you mean `b-2`?");
        check("tag:gold", "the tag `gold`");
        check("+", "names no step");
        check("x+y", "no step `x+y`");
    }
}
