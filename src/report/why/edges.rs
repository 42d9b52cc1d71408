//! What the edges of a step say: which rule of the table of edges met each of them or did not (`flow::edge`).

use crate::flow::edge::is_met;
use crate::flow::{Flow, Outcome, StepState};
use crate::plan::{Condition, Edge, EdgeRule, StepIndex, StepKind};
use crate::report::text::one_line;
use crate::report::wording::{spoken, went_wrong};

/// One edge and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EdgeSaid {
    /// As people write it: `load`, `load [failed]`, `finally: failed`.
    pub(super) edge: String,
    /// What it waits for.
    pub(super) upstream: StepIndex,
    /// Its words; none for the bare form.
    pub(super) words: Vec<&'static str>,
    /// Whether it is met; nothing while the upstream has not ended.
    pub(super) met: Option<bool>,
    /// By which rule.
    pub(super) because: String,
}

/// Returns what became of each edge of a step, in file order.
pub(super) fn of(flow: &Flow, step: StepIndex) -> Vec<EdgeSaid> {
    flow.step(step).depends_on.iter().map(|edge| said(flow, edge)).collect()
}

fn said(flow: &Flow, edge: &Edge) -> EdgeSaid {
    let words = edge.rule.words();
    let is_final = flow.step(edge.upstream).kind == StepKind::Barrier;
    let text = if is_final {
        format!("finally: {}", words.join(", "))
    } else {
        one_line(&flow.plan().edge_text(edge))
    };
    let (met, because) = match &flow.run(edge.upstream).state {
        StepState::Ended { outcome } if flow.is_left(edge.upstream) => (
            Some(false),
            format!("it ended {}, and its run was left running: nothing follows from that", spoken(*outcome)),
        ),
        StepState::Ended { outcome } => {
            let allowed = flow.is_allowed_to_fail(edge.upstream);
            let met = is_met(&edge.rule, *outcome, allowed);
            let because = if is_final {
                format!("the flow so far {}", spoken(*outcome))
            } else {
                format!("it ended {}{}", spoken(*outcome), rule(flow, edge, *outcome, met))
            };
            (Some(met), because)
        }
        StepState::Unknown => (None, "nobody knows how it ended, and a person must look".to_owned()),
        _ if is_final => (None, "other steps have not ended".to_owned()),
        state => (None, format!("it has not ended, it is {}", word(state))),
    };
    EdgeSaid { edge: text, upstream: edge.upstream, words, met, because }
}

/// Says what the table of edges makes of an end, where the word for it alone does not tell.
fn rule(flow: &Flow, edge: &Edge, outcome: Outcome, met: bool) -> String {
    let EdgeRule::AnyOf(conditions) = &edge.rule else {
        return match outcome {
            outcome if went_wrong(outcome) && met => ", which it may: `allow_failure`".to_owned(),
            outcome if went_wrong(outcome) && flow.step(edge.upstream).allow_failure => {
                ": it may fail, but some of its iterations are blocked".to_owned()
            }
            outcome if went_wrong(outcome) => {
                "; a plain edge takes that only where it may fail (`allow_failure`)".to_owned()
            }
            Outcome::Skipped => " by its own `when`, which a plain edge takes".to_owned(),
            Outcome::Blocked | Outcome::NotNeeded => ", without a run; a plain edge needs one".to_owned(),
            _ => String::new(),
        };
    };
    let held = conditions.iter().find(|&&one| is_met(&EdgeRule::AnyOf(vec![one]), outcome, false));
    match held {
        Some(condition) if condition.word() == outcome.word() => String::new(),
        Some(Condition::Succeeded) => ", which counts as `succeeded`".to_owned(),
        Some(Condition::Failed) => ", which counts as `failed`".to_owned(),
        Some(Condition::Skipped) => ", without a run, which counts as `skipped`".to_owned(),
        Some(Condition::Completed) => ", so it is `completed`".to_owned(),
        None => {
            let words: Vec<String> = edge.rule.words().iter().map(|word| format!("`{word}`")).collect();
            format!("; the edge asks for {}", words.join(" or "))
        }
    }
}

/// Returns where a step is that has not ended, in words for a sentence.
pub(super) const fn word(state: &StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Ready => "ready to start",
        StepState::Barred { .. } | StepState::AttemptOver { .. } => "about to end",
        StepState::Starting => "being started",
        StepState::NotSent { .. } => "to be started again",
        StepState::Unclear { .. } => "started or not: that is being looked for",
        StepState::Running => "running",
        StepState::Settling => "read to its end",
        StepState::Retrying { .. } => "waiting for its next attempt",
        StepState::Unknown => "unknown",
        StepState::Ended { .. } => "over",
    }
}
