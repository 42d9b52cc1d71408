//! What follows for a step once all its upstreams have ended: it may start, or how it ends without a run (design 9.1).

use crate::flow::{Flow, FlowOutcome, Outcome, StepState, edge};
use crate::plan::{Condition, EdgeRule, StepIndex, StepKind};

/// How the reason begins of a step that was blocked because failures had stopped the flow; journals hold it.
const STOPPED: &str = "nothing new starts after";

impl Flow {
    /// Returns whether a step may start, now that all its upstreams have ended, and after failures that stop a flow.
    pub(super) fn judge(&self, step: StepIndex) -> StepState {
        let verdict = self.judge_edges(step);
        if verdict == StepState::Ready && self.is_halted() && !self.may_start_halted(step) {
            return self.barred_by_failures();
        }
        verdict
    }

    /// Returns whether the upstreams of a step, which have all ended, let it start.
    pub(super) fn judge_edges(&self, step: StepIndex) -> StepState {
        let place = self.step(step);
        match &place.kind {
            StepKind::Group { members, .. } if !members.is_empty() => {
                return self.judge_group(members.clone().map(StepIndex));
            }
            StepKind::Barrier => {
                let so_far = self.outcome_of(|step| !step.is_final);
                let is_well = matches!(so_far, FlowOutcome::Succeeded | FlowOutcome::DeadlineMissed);
                let outcome = if is_well { Outcome::Succeeded } else { Outcome::Failed };
                return StepState::Barred { outcome, reason: String::new() };
            }
            StepKind::Group { .. } | StepKind::Run => {}
        }
        if let Some(reason) = &place.spared {
            return StepState::Barred { outcome: Outcome::NotNeeded, reason: reason.clone() };
        }
        let mut unmet = Vec::new();
        let mut reasons = Vec::new();
        for edge in &place.depends_on {
            let upstream = self.step(edge.upstream);
            let outcome = self.run(edge.upstream).outcome().expect("every upstream has ended");
            // Nobody knows how a run will end that was left running: nothing follows from it (design 3, rule 7).
            if self.is_left(edge.upstream) {
                unmet.push(outcome);
                reasons.push(format!("the run of `{}` was left running", upstream.id));
            } else if !edge::is_met(&edge.rule, outcome, self.is_allowed_to_fail(edge.upstream)) {
                unmet.push(outcome);
                reasons.push(match upstream.kind {
                    StepKind::Barrier => format!("the flow so far {}", outcome.word()),
                    StepKind::Run | StepKind::Group { .. } => {
                        format!("`{}` ended {}", upstream.id, outcome.word().replace('_', " "))
                    }
                });
            }
        }
        if unmet.is_empty() {
            return match place.kind {
                StepKind::Run => StepState::Ready,
                _ => {
                    StepState::Barred { outcome: Outcome::Skipped, reason: "it has no iterations".to_owned() }
                }
            };
        }
        reasons.dedup();
        // A step with `finally` is not needed where the flow took the other turn.
        let outcome = if place.is_final { Outcome::NotNeeded } else { edge::barred_as(unmet) };
        StepState::Barred { outcome, reason: reasons.join(", ") }
    }

    /// Returns how a group ends whose iterations have all ended.
    fn judge_group(&self, members: impl Iterator<Item = StepIndex>) -> StepState {
        let outcomes: Vec<Outcome> =
            members.map(|member| self.run(member).outcome().expect("every iteration has ended")).collect();
        StepState::Barred { outcome: edge::of_group(&outcomes), reason: String::new() }
    }

    /// Says whether a failure of an upstream meets a bare edge. Of a group only if no iteration is blocked: something
    /// above it went wrong that was not allowed to.
    pub fn is_allowed_to_fail(&self, upstream: StepIndex) -> bool {
        let is_blocked = |part| self.run(part).outcome() == Some(Outcome::Blocked);
        self.step(upstream).allow_failure && !self.parts(upstream).any(is_blocked)
    }

    /// Says whether a run of a step, or of an iteration of it, was left running: nothing follows from such an end.
    pub fn is_left(&self, step: StepIndex) -> bool {
        self.parts(step).any(|part| self.run(part).is_left_running())
    }

    /// Returns the iterations of a group, or the step itself.
    pub(super) fn parts(&self, step: StepIndex) -> impl Iterator<Item = StepIndex> {
        let parts = match &self.step(step).kind {
            StepKind::Group { members, .. } => members.clone(),
            StepKind::Run | StepKind::Barrier => step.0..step.0 + 1,
        };
        parts.map(StepIndex)
    }

    /// Says whether so many steps have failed that nothing new starts.
    pub fn is_halted(&self) -> bool {
        self.plan().max_failures.is_some_and(|most| self.failures >= most)
    }

    /// Says whether a step that ends like this is one more failure of those that stop a flow.
    pub(super) fn is_failure(&self, step: StepIndex, outcome: Outcome) -> bool {
        let place = self.step(step);
        let went_wrong = matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled);
        went_wrong && place.kind.is_run() && !place.allow_failure
    }

    /// Says whether a step may start although the flow is stopped by failures: what cleans up after them may, once its
    /// edges are met, and so may what runs last.
    pub(super) fn may_start_halted(&self, step: StepIndex) -> bool {
        let place = self.step(step);
        let is_met = |edge: &crate::plan::Edge| {
            let outcome = self.run(edge.upstream).outcome();
            outcome.is_some_and(|it| edge::is_met(&edge.rule, it, self.is_allowed_to_fail(edge.upstream)))
        };
        place.is_final || place.depends_on.iter().any(|edge| lists_failed(&edge.rule) && is_met(edge))
    }

    /// Counts a failure, and ends what must not start any more if it is one too many.
    pub(super) fn count_failure(&mut self) {
        let was_halted = self.is_halted();
        self.failures += 1;
        if was_halted || !self.is_halted() {
            return;
        }
        for step in (0..self.steps.len()).map(StepIndex) {
            let place = self.step(step);
            let may_clean_up = place.is_final || place.depends_on.iter().any(|edge| lists_failed(&edge.rule));
            let is_own = match &place.kind {
                StepKind::Run => true,
                StepKind::Group { members, .. } => members.is_empty(),
                StepKind::Barrier => false,
            };
            let next = match &self.run(step).state {
                StepState::Waiting if is_own && !may_clean_up => self.barred_by_failures(),
                StepState::Ready if !self.may_start_halted(step) => self.barred_by_failures(),
                StepState::Retrying { .. } if !self.may_start_halted(step) => {
                    let last = self.run(step).last_attempt().and_then(|attempt| attempt.outcome);
                    StepState::AttemptOver { outcome: last.unwrap_or(Outcome::Failed), retryable: false }
                }
                _ => continue,
            };
            self.set(step, next);
        }
    }

    /// Counts the failures afresh, after steps began anew.
    pub(super) fn recount_failures(&mut self) {
        let steps = self.plan.runs().filter(|(step, _)| match self.run(*step).state {
            StepState::Ended { outcome } => self.is_failure(*step, outcome),
            _ => false,
        });
        self.failures = steps.count();
    }

    /// Says whether a step was blocked because failures had stopped the flow, whatever its edges say.
    pub fn was_stopped_by_failures(&self, step: StepIndex) -> bool {
        self.run(step).reason.starts_with(STOPPED)
    }

    fn barred_by_failures(&self) -> StepState {
        let reason = match self.plan().max_failures {
            Some(most @ 2..) => format!("{STOPPED} {most} failures"),
            _ => format!("{STOPPED} a failure"),
        };
        StepState::Barred { outcome: Outcome::Blocked, reason }
    }
}

fn lists_failed(rule: &EdgeRule) -> bool {
    matches!(rule, EdgeRule::AnyOf(conditions) if conditions.contains(&Condition::Failed))
}
