//! The order of a plan's steps: who waits for whom, cycles, waves and longest paths.
//!
//! [`PlanGraph`] holds positions only; what a step is stays in [`Plan`]. Uses petgraph's
//! non-recursive algorithms alone: a chain of 100,000 steps must not exhaust the stack.

mod narrow;
mod select;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::Direction;
use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::plan::{Code, Diagnostic, Place, Plan, StepId, StepIndex, StepKind};
use crate::time::Delay;

pub use narrow::{Selection, narrow};
pub use select::{Unselectable, select};

/// The longest cycle that a message tells in full; of a longer one only both ends.
const CYCLE_SHOWN_MAX: usize = 10;

/// The steps of one plan as a graph without cycles.
#[derive(Clone, Debug)]
pub struct PlanGraph {
    /// Node `i` is step `i`; an arrow leads from an upstream to what waits for it.
    arrows: DiGraph<(), ()>,
    /// Every step after all its upstreams.
    order: Vec<StepIndex>,
    waves: Vec<usize>,
    paths: Vec<usize>,
    ranks: Vec<usize>,
}

/// Steps that wait for each other: each waits for the next, and the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CyclePath(pub Vec<StepIndex>);

impl PlanGraph {
    /// Links the steps of a plan.
    ///
    /// Gives a problem for every group of steps that wait for each other and for every template and condition
    /// that reads a step which is not upstream, in the order of the text.
    pub fn link(plan: &Plan) -> Result<Self, Vec<Diagnostic>> {
        let edges = plan.steps.iter().enumerate().flat_map(|(downstream, step)| {
            let arrow = move |upstream: StepIndex| (upstream, StepIndex(downstream));
            let members = match &step.kind {
                StepKind::Group { members, .. } => members.clone(),
                StepKind::Run | StepKind::Barrier => 0..0,
            };
            let edges = step.depends_on.iter().map(move |edge| arrow(edge.upstream));
            edges.chain(members.map(move |member| arrow(StepIndex(member))))
        });
        let mut graph =
            Self::build(plan.steps.len(), edges, |step| usize::from(plan.steps[step].kind.is_run()))
                .map_err(|cycles| {
                    cycles.iter().map(|cycle| cycle_diagnostic(plan, cycle)).collect::<Vec<_>>()
                })?;
        graph.ranks = graph.ranks_by(plan, graph.paths.clone());
        let problems = graph.hidden_edges(plan);
        if problems.is_empty() { Ok(graph) } else { Err(problems) }
    }

    /// Builds the graph of `steps` steps from pairs of upstream and downstream.
    ///
    /// Fails with one cycle for each group of steps that wait for each other: the shortest through its first step.
    pub fn from_edges(
        steps: usize,
        edges: impl Iterator<Item = (StepIndex, StepIndex)>,
    ) -> Result<Self, Vec<CyclePath>> {
        Self::build(steps, edges, |_| 1)
    }

    /// Builds the graph of steps of which each counts as much as `weight` says on a path: those without a run nothing.
    fn build(
        steps: usize,
        edges: impl Iterator<Item = (StepIndex, StepIndex)>,
        weight: impl Fn(usize) -> usize,
    ) -> Result<Self, Vec<CyclePath>> {
        let mut arrows = DiGraph::with_capacity(steps, 0);
        for _ in 0..steps {
            arrows.add_node(());
        }
        for (upstream, downstream) in edges {
            arrows.add_edge(node(upstream), node(downstream), ());
        }
        let Ok(order) = toposort(&arrows, None) else { return Err(cycles(&arrows)) };
        let mut waves = vec![0; steps];
        for &at in &order {
            for next in arrows.neighbors(at) {
                waves[next.index()] = waves[next.index()].max(waves[at.index()] + weight(at.index()));
            }
        }
        let mut paths = vec![0; steps];
        for &at in order.iter().rev() {
            let below = arrows.neighbors(at).map(|next| paths[next.index()]).max().unwrap_or(0);
            paths[at.index()] = below + weight(at.index());
        }
        let ranks = ranked(steps, |step| (Reverse(paths[step]), step));
        let order = order.into_iter().map(|at| StepIndex(at.index())).collect();
        Ok(Self { arrows, order, waves, paths, ranks })
    }

    /// Ranks the steps of its plan anew, by how long each takes instead of by their count.
    pub fn rank_by(&mut self, plan: &Plan, length: impl Fn(StepIndex) -> Delay) {
        let mut paths = vec![Delay::ZERO; self.len()];
        for &step in self.order.iter().rev() {
            let below = self.downstreams(step).map(|next| paths[next.0]).max().unwrap_or_default();
            paths[step.0] = below + length(step);
        }
        self.ranks = self.ranks_by(plan, paths);
    }

    /// Ranks the steps of a plan: by priority, longest remaining path, file order. Iterations that run one at a time
    /// share the longest path of theirs, so that they keep the order of their list.
    fn ranks_by<T: Copy + Default + Ord>(&self, plan: &Plan, mut paths: Vec<T>) -> Vec<usize> {
        for step in &plan.steps {
            if let StepKind::Group { members, max_parallel: Some(1) } = &step.kind {
                let longest = paths[members.clone()].iter().copied().max().unwrap_or_default();
                paths[members.clone()].fill(longest);
            }
        }
        let priority = |step: usize| plan.steps[step].priority;
        ranked(self.len(), |step| (Reverse(priority(step)), Reverse(paths[step]), step))
    }

    /// Returns every step after all its upstreams.
    pub fn order(&self) -> &[StepIndex] {
        &self.order
    }

    /// Returns how many steps there are.
    pub fn len(&self) -> usize {
        self.waves.len()
    }

    /// Says whether there are no steps at all.
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty()
    }

    /// Returns the steps that `step` waits for.
    pub fn upstreams(&self, step: StepIndex) -> impl Iterator<Item = StepIndex> {
        self.neighbours(step, Direction::Incoming)
    }

    /// Returns the steps that wait for `step`.
    pub fn downstreams(&self, step: StepIndex) -> impl Iterator<Item = StepIndex> {
        self.neighbours(step, Direction::Outgoing)
    }

    /// Returns how many steps must end, one after the other, before `step` may start.
    pub fn wave(&self, step: StepIndex) -> usize {
        self.waves[step.0]
    }

    /// Returns the number of steps on the longest path that begins with `step`, itself included.
    pub fn remaining_path(&self, step: StepIndex) -> usize {
        self.paths[step.0]
    }

    /// Returns the place of `step` in the order in which ready steps start: highest priority first, then longest
    /// remaining path, then file order. No two steps share a rank.
    pub fn rank(&self, step: StepIndex) -> usize {
        self.ranks[step.0]
    }

    /// Returns every step that can only start after `step` has ended.
    pub fn all_downstreams(&self, step: StepIndex) -> BTreeSet<StepIndex> {
        self.reach(step, Direction::Outgoing)
    }

    /// Returns every step that must have ended before `step` starts.
    pub fn all_upstreams(&self, step: StepIndex) -> BTreeSet<StepIndex> {
        self.reach(step, Direction::Incoming)
    }

    fn neighbours(&self, step: StepIndex, direction: Direction) -> impl Iterator<Item = StepIndex> {
        self.arrows.neighbors_directed(node(step), direction).map(|next| StepIndex(next.index()))
    }

    fn reach(&self, from: StepIndex, direction: Direction) -> BTreeSet<StepIndex> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(step) = open.pop() {
            open.extend(self.neighbours(step, direction).filter(|&next| reached.insert(next)));
        }
        reached
    }

    /// Finds templates and conditions that read a step which is not upstream: it might not have ended by then.
    fn hidden_edges(&self, plan: &Plan) -> Vec<Diagnostic> {
        let index = plan.index();
        let mut far: Vec<Read> = Vec::new();
        for (reader, step) in plan.steps.iter().enumerate() {
            let reader = StepIndex(reader);
            let paired = |id: &StepId| index.get(step.pairs.get(id).unwrap_or(id));
            let reads = step.parameters.iter().flat_map(|(_, template)| {
                template.steps().iter().map(|id| (paired(id), template.place_of(id))).collect::<Vec<_>>()
            });
            let asks = step.when.iter();
            let asks = asks.flat_map(|when| {
                when.steps().iter().map(|id| (paired(id), when.place_of(id))).collect::<Vec<_>>()
            });
            let reads = reads.chain(asks);
            far.extend(reads.filter_map(|(target, at)| Some(Read { reader, target: *target?, at })).filter(
                |read| {
                    // Nearly every template reads a step that its own step waits for by name.
                    !step.depends_on.iter().any(|edge| edge.upstream == read.target)
                },
            ));
        }
        let upstream = self.upstream_pairs(&far);
        let hidden = far.iter().zip(upstream).filter(|(_, is_upstream)| !is_upstream);
        hidden.map(|(read, _)| hidden_edge_diagnostic(plan, read)).collect()
    }

    /// Says of each pair whether what is read is upstream of its reader. Follows as many of the steps that are
    /// read through the graph at once as a word has bits.
    fn upstream_pairs(&self, reads: &[Read]) -> Vec<bool> {
        let targets: BTreeSet<StepIndex> = reads.iter().map(|read| read.target).collect();
        let targets: Vec<StepIndex> = targets.into_iter().collect();
        let mut is_upstream = vec![false; reads.len()];
        for few in targets.chunks(u64::BITS as usize) {
            let bit = |step: StepIndex| few.binary_search(&step).map_or(0, |n| 1_u64 << n);
            let mut above = vec![0_u64; self.len()];
            for &at in &self.order {
                let below = above[at.0] | bit(at);
                if below != 0 {
                    self.downstreams(at).for_each(|next| above[next.0] |= below);
                }
            }
            for (read, found) in reads.iter().zip(&mut is_upstream) {
                *found |= above[read.reader.0] & bit(read.target) != 0;
            }
        }
        is_upstream
    }
}

/// Returns the place of each step when they are sorted by a key.
fn ranked<K: Ord>(steps: usize, key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..steps).collect();
    sorted.sort_by_key(|&step| key(step));
    let mut ranks = vec![0; steps];
    for (rank, step) in sorted.into_iter().enumerate() {
        ranks[step] = rank;
    }
    ranks
}

/// A template or condition of the step `reader` that reads what came of the step `read`.
struct Read {
    reader: StepIndex,
    target: StepIndex,
    at: Place,
}

fn node(step: StepIndex) -> NodeIndex {
    NodeIndex::new(step.0)
}

/// Returns the shortest cycle through the first step of every strongly connected group, in file order.
fn cycles(arrows: &DiGraph<(), ()>) -> Vec<CyclePath> {
    let mut found: Vec<CyclePath> = kosaraju_scc(arrows)
        .into_iter()
        .filter_map(|group| {
            let first = *group.iter().min()?;
            let members: BTreeSet<NodeIndex> = group.into_iter().collect();
            let loops = arrows.contains_edge(first, first);
            if members.len() > 1 || loops { shortest_cycle(arrows, &members, first) } else { None }
        })
        .collect();
    found.sort_by_key(|cycle| cycle.0.first().copied());
    found
}

/// Walks against the arrows, so that each step of the result waits for the next. In a strongly
/// connected group every step lies on a cycle.
fn shortest_cycle(
    arrows: &DiGraph<(), ()>,
    members: &BTreeSet<NodeIndex>,
    first: NodeIndex,
) -> Option<CyclePath> {
    // Not one entry for each step of the plan: there may be as many groups as steps.
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut open = VecDeque::from([first]);
    while let Some(at) = open.pop_front() {
        for next in arrows.neighbors_directed(at, Direction::Incoming) {
            if next == first {
                let mut path = vec![StepIndex(at.index())];
                let mut back = at;
                while back != first {
                    back = came_from[&back];
                    path.push(StepIndex(back.index()));
                }
                path.reverse();
                return Some(CyclePath(path));
            }
            if members.contains(&next) && !came_from.contains_key(&next) {
                came_from.insert(next, at);
                open.push_back(next);
            }
        }
    }
    None
}

fn cycle_diagnostic(plan: &Plan, cycle: &CyclePath) -> Diagnostic {
    let name = |step: StepIndex| plan.steps[step.0].id.as_str();
    let first = cycle.0[0];
    let next = cycle.0[1 % cycle.0.len()];
    let names: Vec<&str> = cycle.0.iter().copied().map(name).collect();
    let path = if let [head @ .., _, _, _] = names.as_slice()
        && names.len() > CYCLE_SHOWN_MAX
    {
        let (head, left_out) = head.split_at(5);
        let more = format!("... {} more ...", grouped(left_out.len()));
        [head, &[more.as_str()], &names[names.len() - 3..], &names[..1]].concat().join(" -> ")
    } else {
        [names.as_slice(), &names[..1]].concat().join(" -> ")
    };
    let place = |from: StepIndex, to: StepIndex| {
        let edge = plan.steps[from.0].depends_on.iter().find(|edge| edge.upstream == to);
        edge.map_or(plan.steps[from.0].place, |edge| edge.place)
    };
    let waits = |from: StepIndex, to: StepIndex| format!("`{}` waits for `{}`", name(from), name(to));
    let finding =
        Diagnostic::at(Code::Cycle, place(first, next), format!("steps wait for each other: {path}"))
            .label(waits(first, next))
            .help("remove one of these `depends_on` entries, so that one of the steps can start first");
    if names.len() > CYCLE_SHOWN_MAX {
        return finding;
    }
    let rest = cycle.0.iter().skip(1).zip(cycle.0.iter().skip(2).chain([&first]));
    rest.fold(finding, |finding, (from, to)| finding.also(place(*from, *to), waits(*from, *to)))
}

/// Writes a number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn hidden_edge_diagnostic(plan: &Plan, read: &Read) -> Diagnostic {
    let id = |step: StepIndex| &plan.steps[step.0].id;
    let (reader, upstream) = (id(read.reader), id(read.target));
    if reader == upstream {
        let message = format!("`{reader}` reads what came of itself");
        return Diagnostic::at(Code::NotUpstream, read.at, message)
            .label("it has not run by then")
            .help("read a step that it waits for");
    }
    Diagnostic::at(
        Code::NotUpstream,
        read.at,
        format!("`{reader}` reads `steps.{upstream}` but does not wait for it"),
    )
    .label(format!("`{upstream}` may not have ended by then"))
    .help(format!("add `{upstream}` to the `depends_on` of `{reader}`"))
}

#[cfg(test)]
mod tests {
    use super::{CyclePath, PlanGraph, Read, grouped};
    use crate::plan::{Place, StepIndex};

    /// Long enough that one stack frame for each step would not fit in a test thread's 2 MB.
    const LONG: usize = 100_000;

    fn graph(steps: usize, edges: &[(usize, usize)]) -> Result<PlanGraph, Vec<CyclePath>> {
        let edges = edges.iter().map(|&(upstream, downstream)| (StepIndex(upstream), StepIndex(downstream)));
        PlanGraph::from_edges(steps, edges)
    }

    fn check_cycles(steps: usize, edges: &[(usize, usize)], want: &[&[usize]]) {
        let got: Vec<Vec<usize>> = graph(steps, edges)
            .expect_err("the steps wait for each other")
            .iter()
            .map(|cycle| cycle.0.iter().map(|step| step.0).collect())
            .collect();
        assert_eq!(got, want, "{edges:?}");
    }

    fn numbers(steps: impl IntoIterator<Item = StepIndex>) -> Vec<usize> {
        let mut numbers: Vec<usize> = steps.into_iter().map(|step| step.0).collect();
        numbers.sort_unstable();
        numbers
    }

    /// 0 -> 1 -> 3, 0 -> 2 -> 3, 3 -> 4, and 5 on its own.
    fn diamond() -> PlanGraph {
        graph(6, &[(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]).expect("a diamond has no cycle")
    }

    #[test]
    fn counts_waves_from_the_first_steps_and_paths_from_the_last() {
        let graph = diamond();
        let steps = || (0..graph.len()).map(StepIndex);
        assert_eq!(steps().map(|step| graph.wave(step)).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 0]);
        assert_eq!(steps().map(|step| graph.remaining_path(step)).collect::<Vec<_>>(), [4, 3, 3, 2, 1, 1]);
    }

    #[test]
    fn a_shorter_way_round_does_not_lower_the_wave() {
        let graph = graph(4, &[(0, 3), (0, 1), (1, 2), (2, 3)]).expect("there is no cycle");
        assert_eq!(graph.wave(StepIndex(3)), 3);
        assert_eq!(graph.remaining_path(StepIndex(0)), 4);
    }

    #[test]
    fn ranks_by_the_longest_remaining_path_then_by_file_order() {
        let check = |steps, edges: &[(usize, usize)], want: &[usize]| {
            let graph = graph(steps, edges).expect("there is no cycle");
            let mut order: Vec<usize> = (0..steps).collect();
            order.sort_by_key(|&step| graph.rank(StepIndex(step)));
            assert_eq!(order, want, "{edges:?}");
        };
        check(3, &[], &[0, 1, 2]);
        check(4, &[(2, 3)], &[2, 0, 1, 3]);
        check(5, &[(4, 3), (3, 1), (2, 0)], &[4, 2, 3, 0, 1]);
    }

    #[test]
    fn knows_neighbours_and_reach() {
        let graph = diamond();
        assert_eq!(numbers(graph.upstreams(StepIndex(3))), [1, 2]);
        assert_eq!(numbers(graph.downstreams(StepIndex(0))), [1, 2]);
        assert_eq!(numbers(graph.all_downstreams(StepIndex(1))), [3, 4]);
        assert_eq!(numbers(graph.all_downstreams(StepIndex(0))), [1, 2, 3, 4]);
        assert_eq!(numbers(graph.all_upstreams(StepIndex(4))), [0, 1, 2, 3]);
        assert!(graph.all_upstreams(StepIndex(5)).is_empty());
    }

    #[test]
    fn knows_what_is_upstream_of_many_at_once() {
        let chain: Vec<(usize, usize)> = (1..200).map(|step| (step - 1, step)).collect();
        let graph = graph(201, &chain).expect("a chain has no cycle");
        let pairs: Vec<(usize, usize)> = (0..201).flat_map(|a| (0..201).map(move |b| (a, b))).collect();
        let read = |&(read, reader): &(usize, usize)| Read {
            reader: StepIndex(reader),
            target: StepIndex(read),
            at: Place::default(),
        };
        let got = graph.upstream_pairs(&pairs.iter().map(read).collect::<Vec<_>>());
        for ((read, reader), got) in pairs.into_iter().zip(got) {
            assert_eq!(got, read < reader && reader < 200, "{read} above {reader}");
        }
    }

    #[test]
    fn groups_thousands() {
        let check = |number: usize, want: &str| assert_eq!(grouped(number), want);
        check(7, "7");
        check(999, "999");
        check(1_990, "1,990");
        check(1_234_567, "1,234,567");
    }

    #[test]
    fn a_plan_without_steps_is_a_graph() {
        let graph = graph(0, &[]).expect("nothing waits for anything");
        assert!(graph.is_empty());
    }

    /// Arrows lead from upstream to downstream, paths from what waits to what it waits for.
    #[test]
    fn tells_the_whole_path_of_a_cycle() {
        check_cycles(3, &[(0, 1), (1, 2), (2, 0)], &[&[0, 2, 1]]);
        check_cycles(4, &[(0, 1), (1, 2), (2, 1), (2, 3)], &[&[1, 2]]);
    }

    #[test]
    fn tells_the_shortest_path_of_a_cycle() {
        check_cycles(5, &[(1, 0), (2, 1), (3, 2), (4, 3), (0, 4), (0, 2)], &[&[0, 1, 2]]);
    }

    #[test]
    fn tells_of_a_step_that_waits_for_itself() {
        check_cycles(2, &[(0, 1), (1, 1)], &[&[1]]);
    }

    #[test]
    fn tells_one_cycle_for_each_group() {
        let edges = [(5, 4), (4, 5), (1, 2), (2, 3), (3, 1), (3, 4), (0, 0)];
        check_cycles(6, &edges, &[&[0], &[1, 3, 2], &[4, 5]]);
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let edges = (1..LONG).map(|step| (StepIndex(step - 1), StepIndex(step)));
        let graph = PlanGraph::from_edges(LONG, edges).expect("a chain has no cycle");
        assert_eq!(graph.wave(StepIndex(LONG - 1)), LONG - 1);
        assert_eq!(graph.remaining_path(StepIndex(0)), LONG);
        assert_eq!(graph.all_downstreams(StepIndex(0)).len(), LONG - 1);
    }

    #[test]
    fn a_long_cycle_does_not_exhaust_the_stack() {
        let edges = (0..LONG).map(|step| (StepIndex(step), StepIndex((step + 1) % LONG)));
        let cycles = PlanGraph::from_edges(LONG, edges).expect_err("a ring is a cycle");
        assert_eq!(cycles.iter().map(|cycle| cycle.0.len()).collect::<Vec<_>>(), [LONG]);
    }

    #[test]
    fn many_small_cycles_are_found_quickly() {
        let pairs = (0..LONG / 2).map(|pair| (StepIndex(2 * pair), StepIndex(2 * pair + 1)));
        let edges = pairs.flat_map(|(left, right)| [(left, right), (right, left)]);
        let cycles = PlanGraph::from_edges(LONG, edges).expect_err("every pair is a cycle");
        assert_eq!(cycles.len(), LONG / 2);
    }
}
