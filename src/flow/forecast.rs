//! When a flow is likely to end, by what its steps have taken before: the longest way that is left.
//!
//! Not a fact but a guess, so it is no part of the flow. It hopes: every step is taken to go well and to find a place at
//! once, one that was never seen takes no time. So it warns rather late than for nothing.

use std::collections::BTreeMap;

use crate::flow::{Flow, StepState, edge};
use crate::plan::{StepId, StepIndex};
use crate::time::{Delay, Timestamp};

/// What earlier flows have taken for each step, while it ran a pipeline.
pub type Durations = BTreeMap<(StepId, String), Delay>;

/// How many durations of a step count, newest first.
pub const DURATIONS_MAX: usize = 20;

/// What is left of a flow, by its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// What each step is expected to take.
    expected: Vec<Delay>,
    /// What the longest way behind each step is expected to take.
    behind: Vec<Delay>,
    /// The steps that are expected to run and were never seen.
    unseen: Vec<StepIndex>,
}

impl Forecast {
    /// Makes the forecast of a flow as it stands; nothing if no step of it has ever been seen.
    pub fn new(flow: &Flow, durations: &Durations) -> Option<Self> {
        let mut unseen = Vec::new();
        let of = |step: StepIndex| {
            let place = flow.step(step);
            // All being well, it does not run: an error's handler.
            let is_spared = place.depends_on.iter().any(|edge| !edge::is_met_by_success(&edge.rule));
            if is_spared || flow.run(step).is_over() {
                return None;
            }
            let known = durations.get(&(place.id.clone(), place.pipeline.clone())).copied();
            if known.is_none() && place.kind.is_run() {
                unseen.push(step);
            }
            known
        };
        let known: Vec<Option<Delay>> = (0..flow.plan().steps.len()).map(StepIndex).map(of).collect();
        if known.iter().all(Option::is_none) {
            return None;
        }
        let expected: Vec<Delay> = known.into_iter().map(Option::unwrap_or_default).collect();
        let mut behind = vec![Delay::ZERO; expected.len()];
        for &step in flow.graph().order().iter().rev() {
            let ways = flow.graph().downstreams(step).map(|next| expected[next.0] + behind[next.0]);
            behind[step.0] = ways.max().unwrap_or_default();
        }
        Some(Self { expected, behind, unseen })
    }

    /// Returns what a step is expected to take, if it has ever been seen.
    pub fn usual(&self, step: StepIndex) -> Option<Delay> {
        self.expected.get(step.0).copied().filter(|usual| *usual > Delay::ZERO)
    }

    /// Returns when the flow is likely to end.
    pub fn end(&self, flow: &Flow, now: Timestamp) -> Timestamp {
        let ends = self.ways(flow, now).map(|(from, left)| from.max(now) + left);
        ends.max().unwrap_or(now)
    }

    /// Returns when the flow is likely to end if its places and pools are never idle: not before its longest way does, and
    /// not before they have done all that is left.
    pub fn end_in_places(&self, flow: &Flow, now: Timestamp) -> Timestamp {
        let mut work_ms = 0_u128;
        let mut pools_ms = vec![0_u128; flow.plan().pools.len()];
        for (step, place, run) in flow.steps() {
            let left_ms = match run.state {
                StepState::Ended { .. } | StepState::Unknown | StepState::Settling => 0,
                _ => {
                    let started = run.last_attempt().and_then(|attempt| attempt.started_at);
                    let is_live = matches!(run.state, StepState::Running);
                    let done = started.filter(|_| is_live).map_or(Delay::ZERO, |at| now.since(at));
                    self.expected[step.0].as_ms().saturating_sub(done.as_ms())
                }
            };
            work_ms += u128::from(left_ms);
            for &(pool, weight) in &place.pools {
                pools_ms[pool] += u128::from(left_ms) * u128::from(weight);
            }
        }
        let shared = |work_ms: u128, among: u128| {
            Delay::from_ms(u64::try_from(work_ms / among.max(1)).unwrap_or(u64::MAX))
        };
        let sizes = flow.plan().pools.iter().map(|pool| u128::from(pool.size));
        let pools = pools_ms.into_iter().zip(sizes).map(|(work_ms, size)| shared(work_ms, size));
        let longest = pools.chain([shared(work_ms, flow.header().max_parallel as u128)]).max();
        self.end(flow, now).max(now + longest.unwrap_or_default())
    }

    /// Says whether a step that is expected to run has never been seen: then the flow takes longer than this tells.
    pub fn is_short(&self, flow: &Flow) -> bool {
        self.unseen.iter().any(|&step| !flow.run(step).is_over())
    }

    /// Returns by when something must have happened if the flow is to end at this time.
    pub fn latest(&self, flow: &Flow, end: Timestamp, now: Timestamp) -> Timestamp {
        self.ways(flow, now).map(|(_, left)| end - left).min().unwrap_or(end)
    }

    /// Returns for each step that is begun or may begin: when it could be over or begin, and what is left from then on.
    fn ways(&self, flow: &Flow, now: Timestamp) -> impl Iterator<Item = (Timestamp, Delay)> {
        let begun = flow.live().map(move |step| {
            let run = flow.run(step);
            let started = run.last_attempt().and_then(|attempt| attempt.started_at);
            let is_over = run.state == StepState::Settling;
            let over = if is_over { now } else { started.unwrap_or(now) + self.expected[step.0] };
            (over, self.behind[step.0])
        });
        let next = flow.ready().map(|(_, step)| step).chain(flow.retrying()).map(move |step| {
            let at = if let StepState::Retrying { at } = flow.run(step).state { at } else { now };
            (at, self.expected[step.0] + self.behind[step.0])
        });
        begun.chain(next)
    }
}

/// Returns the median of the newest durations; of an even number the lower one.
pub fn median(newest_first: &[Delay]) -> Option<Delay> {
    middle(recent(newest_first))
}

/// Returns the median of all; of an even number the lower one.
pub fn middle(mut all: Vec<Delay>) -> Option<Delay> {
    all.sort_unstable();
    all.get(all.len().checked_sub(1)? / 2).copied()
}

/// Returns what so many of a hundred of the newest durations did not exceed.
pub fn quantile(newest_first: &[Delay], percent: usize) -> Option<Delay> {
    let mut sorted = recent(newest_first);
    sorted.sort_unstable();
    sorted.get((sorted.len().checked_sub(1)? * percent) / 100).copied()
}

fn recent(newest_first: &[Delay]) -> Vec<Delay> {
    newest_first[..newest_first.len().min(DURATIONS_MAX)].to_vec()
}

/// Adds what the steps of an earlier flow took to what is known of them, one for each attempt that went well.
///
/// By the service's clock where it tells: a process that was away has heard late of an end.
pub fn gather(flow: &Flow, seen: &mut BTreeMap<(StepId, String), Vec<Delay>>) {
    use crate::flow::Outcome::{Succeeded, Warned};
    for (_, step, run) in flow.steps() {
        for attempt in run.attempts.iter().rev() {
            let is_well = matches!(attempt.outcome, Some(Succeeded | Warned)) && attempt.recovery.is_none();
            let by_service = attempt.run_start.zip(attempt.run_end);
            let took = by_service.or(attempt.started_at.zip(attempt.ended_at));
            if let Some((start, end)) = took.filter(|_| is_well) {
                seen.entry((step.id.clone(), step.pipeline.clone())).or_default().push(end.since(start));
            }
        }
    }
}
