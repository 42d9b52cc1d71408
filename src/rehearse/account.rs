//! What to make of a rehearsed flow: when each step ran and waited, what decided the length, and why steps did not run.

use crate::flow::{Flow, Outcome, StepState, edge};
use crate::plan::{StepIndex, StepKind};
use crate::time::{Delay, Timestamp};

/// The most links of a chain of reasons: what is longer says nothing more.
const REASONS_MAX: usize = 12;

/// One step of a rehearsed flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The step.
    pub step: StepIndex,
    /// When all that it waits for had ended; nothing if that never was.
    pub ready_at: Option<Timestamp>,
    /// From when to when each attempt held a place.
    pub attempts: Vec<(Timestamp, Timestamp)>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// By how much it could have taken longer without making the critical path longer; nothing if it did not run.
    pub slack: Option<Delay>,
}

/// What a flow cannot be shorter than, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The length.
    pub length: Delay,
    /// What it follows from.
    pub by: BoundBy,
}

/// What bounds the length of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundBy {
    /// The critical path.
    Path,
    /// All work divided by the places.
    Places,
    /// The work in a pool divided by its size.
    Pool(String),
}

/// What a rehearsed flow came to.
#[derive(Clone, Debug)]
pub struct Account {
    /// When it began.
    pub began: Timestamp,
    /// When the last step ended, or when the rehearsal was over.
    pub ended: Timestamp,
    /// The steps that run pipelines, in file order.
    pub courses: Vec<Course>,
    /// The steps of the longest way through what ran, in order.
    pub critical_path: Vec<StepIndex>,
    /// How long that way is.
    pub critical_length: Delay,
    /// For how long places were held, added up.
    pub work: Delay,
    /// What the flow cannot be shorter than with the same durations, whatever is started when.
    pub bound: Bound,
}

impl Account {
    /// Takes stock of a flow. `now` is when the rehearsal was over.
    pub fn of(flow: &Flow, now: Timestamp) -> Self {
        let began = flow.header().created_at;
        let steps = || (0..flow.plan().steps.len()).map(StepIndex);
        let held = |step: StepIndex| -> Vec<(Timestamp, Timestamp)> {
            let attempts = flow.run(step).attempts.iter();
            attempts.map(|it| (it.intended_at, it.ended_at.unwrap_or(now))).collect()
        };
        let attempts: Vec<_> = steps().map(held).collect();
        // From its first start to its end, waits between attempts included.
        let lengths: Vec<Delay> = attempts
            .iter()
            .map(|held| {
                held.first().zip(held.last()).map_or(Delay::ZERO, |(first, last)| last.1.since(first.0))
            })
            .collect();
        let paths = Paths::of(flow, &lengths);
        let work =
            attempts.iter().flatten().map(|(from, to)| to.since(*from)).fold(Delay::ZERO, |a, b| a + b);
        let ended = flow.settled_at().unwrap_or(now);
        let bound = bound(flow, &attempts, work, paths.longest);
        let courses = flow.steps().map(|(step, _, run)| Course {
            step,
            ready_at: ready_at(flow, step, began),
            attempts: attempts[step.0].clone(),
            ended_at: run.ended_at,
            slack: (!attempts[step.0].is_empty()).then(|| paths.slack(step, &lengths)),
        });
        Self {
            began,
            ended,
            courses: courses.collect(),
            critical_path: paths.critical(flow, &lengths, &attempts),
            critical_length: paths.longest,
            work,
            bound,
        }
    }

    /// Returns how long the flow took.
    pub const fn makespan(&self) -> Delay {
        self.ended.since(self.began)
    }
}

/// The longest ways to and from each step, by what the steps took.
struct Paths {
    before: Vec<Delay>,
    behind: Vec<Delay>,
    longest: Delay,
}

impl Paths {
    fn of(flow: &Flow, lengths: &[Delay]) -> Self {
        let graph = flow.graph();
        let mut before = vec![Delay::ZERO; lengths.len()];
        let mut behind = before.clone();
        for &step in graph.order() {
            let ways = graph.upstreams(step).map(|upstream| before[upstream.0] + lengths[upstream.0]);
            before[step.0] = ways.max().unwrap_or_default();
        }
        for &step in graph.order().iter().rev() {
            let ways = graph.downstreams(step).map(|next| lengths[next.0] + behind[next.0]);
            behind[step.0] = ways.max().unwrap_or_default();
        }
        let through = (0..lengths.len()).map(|at| before[at] + lengths[at] + behind[at]);
        let longest = through.max().unwrap_or_default();
        Self { before, behind, longest }
    }

    fn slack(&self, step: StepIndex, lengths: &[Delay]) -> Delay {
        let through = self.before[step.0] + lengths[step.0] + self.behind[step.0];
        Delay::from_ms(self.longest.as_ms().saturating_sub(through.as_ms()))
    }

    /// Returns the steps that ran on the first of the longest ways.
    fn critical(
        &self,
        flow: &Flow,
        lengths: &[Delay],
        ran: &[Vec<(Timestamp, Timestamp)>],
    ) -> Vec<StepIndex> {
        let graph = flow.graph();
        let is_on = |step: &StepIndex| self.slack(*step, lengths) == Delay::ZERO;
        let mut next =
            graph.order().iter().copied().find(|step| is_on(step) && self.before[step.0] == Delay::ZERO);
        let mut path = Vec::new();
        while let Some(step) = next {
            if !ran[step.0].is_empty() {
                path.push(step);
            }
            let from = self.before[step.0] + lengths[step.0];
            next = graph.downstreams(step).find(|next| is_on(next) && self.before[next.0] == from);
        }
        path
    }
}

fn bound(flow: &Flow, held: &[Vec<(Timestamp, Timestamp)>], work: Delay, path: Delay) -> Bound {
    let share = |work: Delay, places: u64| Delay::from_ms(work.as_ms().div_ceil(places.max(1)));
    let mut bound = Bound { length: path, by: BoundBy::Path };
    let mut consider = |length: Delay, by: BoundBy| {
        if length > bound.length {
            bound = Bound { length, by };
        }
    };
    consider(share(work, flow.header().max_parallel as u64), BoundBy::Places);
    let mut pooled = vec![0_u64; flow.plan().pools.len()];
    for (index, step) in flow.plan().steps.iter().enumerate() {
        let ms = held[index].iter().map(|(from, to)| to.since(*from).as_ms()).fold(0, u64::saturating_add);
        for &(pool, weight) in &step.pools {
            pooled[pool] = pooled[pool].saturating_add(ms.saturating_mul(weight));
        }
    }
    for (pool, ms) in flow.plan().pools.iter().zip(pooled) {
        consider(share(Delay::from_ms(ms), pool.size), BoundBy::Pool(pool.name.clone()));
    }
    bound
}

/// Returns when all upstreams of a step had ended.
fn ready_at(flow: &Flow, step: StepIndex, began: Timestamp) -> Option<Timestamp> {
    flow.graph().upstreams(step).try_fold(began, |latest, upstream| {
        let run = flow.run(upstream);
        run.is_over().then_some(())?;
        Some(run.ended_at.map_or(latest, |at| at.max(latest)))
    })
}

/// Returns why a step ended as it did or has not ended: first its own reason, then those it follows from.
pub fn why(flow: &Flow, step: StepIndex) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(step);
    while let Some(step) = next.filter(|_| chain.len() < REASONS_MAX) {
        let sentence = reason(flow, step);
        if !sentence.is_empty() && !chain.iter().any(|earlier: &String| earlier.contains(&sentence)) {
            chain.push(sentence);
        }
        let went_well = |step: &StepIndex| {
            matches!(flow.run(*step).outcome(), Some(Outcome::Succeeded | Outcome::Warned))
        };
        next = cause(flow, step).filter(|step| !went_well(step));
    }
    chain
}

/// Returns the outputs that nobody gave and that kept a step from starting, as `STEP.outputs.NAME`.
pub fn outputs_missed(flow: &Flow) -> Vec<String> {
    let mut missed = Vec::new();
    for (_, step, run) in flow.steps() {
        let told = run.reason.as_str();
        if !run.attempts.is_empty() || run.outcome() != Some(Outcome::Failed) {
            continue;
        }
        for (_, upstream, its_run) in flow.steps() {
            let absent = its_run.outputs().into_iter().flat_map(|outputs| outputs.absent.keys());
            let id = upstream.id.as_str();
            let names = absent.filter(|name| {
                let is_read = told.contains(&format!(".outputs.{name}"));
                is_read
                    && flow.index(&step.id).is_some_and(|reader| {
                        flow.index(&upstream.id)
                            .is_some_and(|it| flow.graph().all_upstreams(reader).contains(&it))
                    })
            });
            missed.extend(names.map(|name| format!("{id}.outputs.{name}")).filter(|_| told.contains(id)));
        }
    }
    missed.sort();
    missed.dedup();
    missed
}

/// Returns the sentence that says how a step ended, or what it waits for.
fn reason(flow: &Flow, step: StepIndex) -> String {
    let (place, run) = (flow.step(step), flow.run(step));
    if !place.kind.is_run() {
        return String::new();
    }
    let id = &place.id;
    let Some(outcome) = run.outcome() else {
        return match &run.state {
            StepState::Waiting => format!("`{id}` waits for {}", open_upstreams(flow, step)),
            StepState::Running => format!("`{id}` has a run that does not end"),
            _ => format!("`{id}` has not ended"),
        };
    };
    let word = outcome.word();
    if !run.reason.is_empty() {
        return format!("`{id}` ended {word}: {}", run.reason);
    }
    let tries = match run.attempts.len() {
        0 | 1 => String::new(),
        count => format!(" after {count} attempts"),
    };
    match run.error() {
        Some(error) => format!("`{id}` ended {word}{tries}: {}", error.message),
        None => format!("`{id}` ended {word}{tries}"),
    }
}

fn open_upstreams(flow: &Flow, step: StepIndex) -> String {
    let open = flow.graph().upstreams(step).filter(|upstream| !flow.run(*upstream).is_over());
    let names: Vec<String> = open.take(3).map(|upstream| format!("`{}`", flow.step(upstream).id)).collect();
    names.join(", ")
}

/// Returns the step that another one's end follows from: the first upstream whose end does not meet the edge on it, of a
/// group an iteration that went wrong.
fn cause(flow: &Flow, step: StepIndex) -> Option<StepIndex> {
    let (place, run) = (flow.step(step), flow.run(step));
    match &place.kind {
        StepKind::Group { members, .. } if !members.is_empty() => {
            let went_wrong = |step: &StepIndex| {
                let outcome = flow.run(*step).outcome();
                !matches!(outcome, Some(Outcome::Succeeded | Outcome::Warned | Outcome::Skipped))
            };
            return members.clone().map(StepIndex).find(went_wrong);
        }
        StepKind::Barrier => {
            let is_bad = |(_, step, run): &(StepIndex, &crate::plan::Step, &crate::flow::StepRun)| {
                let outcome = run.outcome();
                let is_bad = matches!(
                    outcome,
                    Some(Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Unknown)
                );
                !step.is_final && !step.allow_failure && is_bad
            };
            return flow.steps().find(is_bad).map(|(step, ..)| step);
        }
        StepKind::Group { .. } | StepKind::Run => {}
    }
    if !run.attempts.is_empty() && run.is_over() {
        return None;
    }
    if !run.is_over() {
        return flow.graph().upstreams(step).find(|upstream| !flow.run(*upstream).is_over());
    }
    let unmet = |edge: &&crate::plan::Edge| {
        let outcome = flow.run(edge.upstream).outcome();
        outcome.is_some_and(|it| !edge::is_met(&edge.rule, it, flow.is_allowed_to_fail(edge.upstream)))
    };
    place.depends_on.iter().find(unmet).map(|edge| edge.upstream)
}
