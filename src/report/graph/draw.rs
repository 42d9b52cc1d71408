//! From a plan, or a flow, to boxes and arrows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::flow::{Flow, Outcome, StepState};
use crate::plan::{Plan, Step, StepIndex, StepKind};
use crate::report::Beside;
use crate::report::graph::{Drawing, Kind, Link, Mark, Node, State, Through};
use crate::report::json::step_state;
use crate::report::summary::headline;
use crate::report::wording::{spoken, went_wrong};
use crate::time::Timestamp;

/// How a plan names an iteration whose rows are not known yet.
const OPEN_KEY: &str = "[?]";

/// Draws a plan; with a flow, as it stood at a time. Iterations have boxes of their own if `is_expanded`.
pub fn draw(plan: &Plan, flow: Option<(&Flow, Timestamp)>, is_expanded: bool) -> Drawing {
    let groups = (0..plan.steps.len()).filter(|&at| matches!(plan.steps[at].kind, StepKind::Group { .. }));
    let unfolded: BTreeSet<usize> = groups.filter(|_| is_expanded).collect();
    let boxes = Boxes::new(plan, &unfolded);
    let links = boxes.links();
    // One box for all iterations makes no circle: what one of them waits for, each waits for.
    let order = sorted(boxes.steps.len(), &links);
    finish(&boxes, links, &order, flow)
}

/// The boxes of a plan, by its steps.
struct Boxes<'a> {
    plan: &'a Plan,
    unfolded: &'a BTreeSet<usize>,
    /// The step of each box.
    steps: Vec<usize>,
    /// The box of each step, where it has one.
    of: Vec<Option<usize>>,
}

impl<'a> Boxes<'a> {
    fn new(plan: &'a Plan, unfolded: &'a BTreeSet<usize>) -> Self {
        let awaited: BTreeSet<usize> =
            plan.steps.iter().flat_map(|step| step.depends_on.iter().map(|edge| edge.upstream.0)).collect();
        let folds = |step: &Step| step.group.is_some_and(|group| !unfolded.contains(&group.0));
        let has_box = |at: usize, step: &Step| match &step.kind {
            StepKind::Run => !folds(step),
            // The barrier awaits every group; without it, only those that a step names need an end.
            StepKind::Group { .. } => !unfolded.contains(&at) || awaited.contains(&at),
            StepKind::Barrier => true,
        };
        let all = plan.steps.iter().enumerate();
        let steps: Vec<usize> = all.filter(|(at, step)| has_box(*at, step)).map(|(at, _)| at).collect();
        let mut of = vec![None; plan.steps.len()];
        for (position, &step) in steps.iter().enumerate() {
            of[step] = Some(position);
        }
        for (at, step) in plan.steps.iter().enumerate() {
            if folds(step) {
                of[at] = step.group.and_then(|group| of[group.0]);
            }
        }
        Self { plan, unfolded, steps, of }
    }

    /// Returns the arrows: those of the plan's edges, from iterations to their end, and to the barrier from every box
    /// that nothing else waits for.
    fn links(&self) -> Vec<Link> {
        type Ends = (usize, usize, Vec<&'static str>);
        let mut found: BTreeMap<Ends, Through> = BTreeMap::new();
        for (at, step) in self.plan.steps.iter().enumerate() {
            let Some(to) = self.of[at] else { continue };
            if let StepKind::Group { members, .. } = &step.kind
                && self.unfolded.contains(&at)
            {
                for from in members.clone().filter_map(|member| self.of[member]) {
                    found.insert((from, to, Vec::new()), Through::Gathering);
                }
            }
            if step.kind == StepKind::Barrier {
                continue;
            }
            for edge in &step.depends_on {
                let Some(from) = self.of[edge.upstream.0].filter(|from| *from != to) else { continue };
                let through = self.through(step, edge.upstream);
                let ends = (from, to, edge.rule.words());
                match (found.get_mut(&ends), through) {
                    (Some(Through::Keys(known)), Through::Keys(keys)) => {
                        let new: Vec<String> = keys.into_iter().filter(|key| !known.contains(key)).collect();
                        known.extend(new);
                    }
                    (Some(Through::Paired | Through::Keys(_)) | None, Through::All) => {
                        found.insert(ends, Through::All);
                    }
                    (Some(_), _) => {}
                    (None, through) => {
                        found.insert(ends, through);
                    }
                }
            }
        }
        let is_final = |node: usize| self.plan.steps[self.steps[node]].is_final;
        let barrier = self.steps.iter().position(|&step| self.plan.steps[step].kind == StepKind::Barrier);
        if let Some(barrier) = barrier {
            let awaited: BTreeSet<usize> = found.keys().map(|(from, _, _)| *from).collect();
            let ends = (0..self.steps.len()).filter(|node| *node != barrier && !is_final(*node));
            for from in ends.filter(|node| !awaited.contains(node)) {
                found.insert((from, barrier, Vec::new()), Through::Gathering);
            }
        }
        let links = found.into_iter().map(|((from, to, conditions), through)| {
            let mut through = through;
            if let Through::Keys(keys) = &mut through {
                keys.sort();
            }
            Link { from, to, conditions, through }
        });
        links.collect()
    }

    /// Says which iterations an edge means, if they share a box.
    fn through(&self, step: &Step, upstream: StepIndex) -> Through {
        let upstream = &self.plan.steps[upstream.0];
        let Some(group) = upstream.group.filter(|group| !self.unfolded.contains(&group.0)) else {
            return Through::All;
        };
        // An iteration that nobody knows yet stands for all.
        if upstream.id.as_str().ends_with(OPEN_KEY) || self.members(group.0).len() == 1 {
            return Through::All;
        }
        if step.pairs.values().any(|paired| *paired == upstream.id) {
            return Through::Paired;
        }
        Through::Keys(upstream.each.iter().map(|each| each.key.clone()).collect())
    }

    fn members(&self, group: usize) -> std::ops::Range<usize> {
        match &self.plan.steps[group].kind {
            StepKind::Group { members, .. } => members.clone(),
            StepKind::Run | StepKind::Barrier => group..group + 1,
        }
    }
}

/// Sorts boxes so that every arrow leads forward.
fn sorted(nodes: usize, links: &[Link]) -> Vec<usize> {
    let mut incoming = vec![0_usize; nodes];
    let mut outgoing = vec![Vec::new(); nodes];
    for link in links {
        incoming[link.to] += 1;
        outgoing[link.from].push(link.to);
    }
    let mut open: VecDeque<usize> = (0..nodes).filter(|&node| incoming[node] == 0).collect();
    let mut order = Vec::with_capacity(nodes);
    while let Some(node) = open.pop_front() {
        order.push(node);
        for &next in &outgoing[node] {
            incoming[next] -= 1;
            if incoming[next] == 0 {
                open.push_back(next);
            }
        }
    }
    order
}

fn finish(boxes: &Boxes<'_>, links: Vec<Link>, order: &[usize], flow: Option<(&Flow, Timestamp)>) -> Drawing {
    let plan = boxes.plan;
    let mut nodes: Vec<Node> =
        boxes.steps.iter().map(|&step| node(boxes, step, flow.map(|it| it.0))).collect();
    let mut outgoing = vec![Vec::new(); nodes.len()];
    for link in &links {
        outgoing[link.from].push(link.to);
    }
    for &from in order {
        let (wave, layer) = (nodes[from].wave, nodes[from].layer);
        let weight = usize::from(nodes[from].kind.is_step());
        for &to in &outgoing[from] {
            nodes[to].wave = nodes[to].wave.max(wave + weight);
            nodes[to].layer = nodes[to].layer.max(layer + 1);
        }
    }
    let mut drawing = Drawing {
        plan: plan.name.clone(),
        flow: flow.map(|(flow, _)| flow.header().id.to_string()),
        headline: String::new(),
        nodes,
        links,
    };
    drawing.headline = match flow {
        Some((flow, now)) => {
            headline(flow, &Beside::default(), now).lines().next().unwrap_or_default().to_owned()
        }
        None => headline_of_plan(plan, &drawing),
    };
    drawing
}

fn headline_of_plan(plan: &Plan, drawing: &Drawing) -> String {
    let environment = match plan.environment.as_str() {
        "" => String::new(),
        name => format!(" in the environment `{name}`"),
    };
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let is_open = drawing.nodes.iter().any(|node| node.kind == Kind::Group { iterations: None });
    let more = if is_open { " and those of lists not given yet" } else { "" };
    let (steps, waves) = (counted(drawing.steps(), "step"), counted(drawing.waves(), "wave"));
    format!("plan `{}`{environment}: {steps}{more} in {waves}", plan.name)
}

fn node(boxes: &Boxes<'_>, at: usize, flow: Option<&Flow>) -> Node {
    let plan = boxes.plan;
    let step = &plan.steps[at];
    let members = boxes.members(at);
    let kind = match &step.kind {
        StepKind::Run => Kind::Step { group: step.group.map(|group| plan.steps[group.0].id.to_string()) },
        StepKind::Group { .. } if boxes.unfolded.contains(&at) => Kind::Junction,
        StepKind::Group { .. } => {
            let is_open = members.clone().any(|member| {
                plan.steps[member].id.as_str().ends_with(OPEN_KEY) && plan.steps[member].each.is_none()
            });
            Kind::Group { iterations: (!is_open).then_some(members.len()) }
        }
        StepKind::Barrier => Kind::Barrier,
    };
    // What a group says of itself stands in its iterations too; one of them has it whole.
    let told = members.clone().next().map_or(step, |member| &plan.steps[member]);
    let told = if kind.is_step() { told } else { step };
    let state = flow.filter(|_| kind != Kind::Barrier).map(|flow| match &kind {
        Kind::Group { .. } => group_state(flow, at, members.clone()),
        _ => step_state_of(flow, at),
    });
    let is_step = kind.is_step();
    Node {
        id: step.id.to_string(),
        kind,
        pipeline: if is_step { told.pipeline.clone() } else { String::new() },
        workspace: if is_step { plan.workspaces[told.workspace].name.clone() } else { String::new() },
        description: told.description.clone(),
        when: told.when.as_ref().map(|when| when.text().clone()),
        is_final: step.is_final || told.is_final,
        allow_failure: is_step && told.allow_failure,
        spared: members
            .clone()
            .all(|member| plan.steps[member].spared.is_some())
            .then(|| told.spared.clone())
            .flatten(),
        tags: told.tags.clone(),
        wave: 0,
        layer: 0,
        state,
    }
}

fn mark_of(state: &StepState) -> Mark {
    match state {
        StepState::Waiting | StepState::Barred { .. } | StepState::Ready => Mark::Waiting,
        StepState::Starting
        | StepState::NotSent { .. }
        | StepState::Unclear { .. }
        | StepState::Running
        | StepState::Settling
        | StepState::AttemptOver { .. }
        | StepState::Retrying { .. } => Mark::Running,
        StepState::Unknown => Mark::Unknown,
        StepState::Ended { outcome } => match outcome {
            Outcome::Succeeded => Mark::Succeeded,
            Outcome::Warned => Mark::Warned,
            Outcome::Failed => Mark::Failed,
            Outcome::Cancelled => Mark::Cancelled,
            Outcome::TimedOut => Mark::TimedOut,
            Outcome::Skipped => Mark::Skipped,
            Outcome::NotNeeded => Mark::NotNeeded,
            Outcome::Blocked => Mark::Blocked,
            Outcome::Unknown => Mark::Unknown,
        },
    }
}

fn step_state_of(flow: &Flow, at: usize) -> State {
    let step = StepIndex(at);
    let run = flow.run(step);
    let mark = mark_of(&run.state);
    let outcome = run.outcome();
    let words = match outcome {
        Some(outcome) if went_wrong(outcome) && flow.step(step).allow_failure => {
            format!("{} (allowed)", spoken(outcome))
        }
        Some(outcome) => spoken(outcome).to_owned(),
        None => step_state(&run.state).replace('_', " "),
    };
    State {
        mark,
        state: step_state(&run.state).to_owned(),
        outcome: outcome.map(Outcome::word),
        words,
        counts: vec![(mark, 1)],
    }
}

/// Says how all iterations of a step stand: as their group ended, else by the gravest of what is true of one.
fn group_state(flow: &Flow, at: usize, members: std::ops::Range<usize>) -> State {
    let marks: Vec<Mark> = members.map(|member| mark_of(&flow.run(StepIndex(member)).state)).collect();
    let count = |mark: Mark| marks.iter().filter(|other| **other == mark).count();
    let counts: Vec<(Mark, usize)> =
        Mark::ALL.into_iter().map(|mark| (mark, count(mark))).filter(|(_, count)| *count > 0).collect();
    let whole = step_state_of(flow, at);
    // A group fails with a blocked iteration, and nothing failed then.
    let ended = [Mark::Failed, Mark::TimedOut, Mark::Cancelled, Mark::Blocked];
    let ended = ended.into_iter().find(|mark| whole.mark == Mark::Failed && count(*mark) > 0);
    let gravest =
        [Mark::Unknown, Mark::Failed, Mark::TimedOut, Mark::Cancelled, Mark::Running, Mark::Waiting];
    let open = gravest.into_iter().find(|mark| count(*mark) > 0).unwrap_or(Mark::Waiting);
    let words = match counts.as_slice() {
        [] => whole.words.clone(),
        [(mark, count)] if *count == 1 || whole.outcome.is_some() => mark.spoken(),
        several => {
            let told = several.iter().map(|(mark, count)| format!("{count} {}", mark.spoken()));
            told.collect::<Vec<_>>().join(", ")
        }
    };
    let allowed = whole.words.ends_with("(allowed)");
    State {
        mark: if whole.outcome.is_some() { ended.unwrap_or(whole.mark) } else { open },
        words: if allowed { format!("{words} (allowed)") } else { words },
        counts,
        ..whole
    }
}
