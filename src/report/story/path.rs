//! What decided when a flow ended: from the step that ended last back along the end that each waited for longest.

use std::collections::BTreeSet;

use crate::flow::{Attempt, Flow, StepRun};
use crate::plan::StepIndex;
use crate::report::story::Leg;
use crate::time::{Delay, Timestamp};

/// Returns the steps of the way that decided when the flow ended or how far it has come, first step first.
///
/// Not the longest way through the graph: what really happened, waits for a place included. A step that was begun anew
/// while those behind it were kept is not on their way.
pub(super) fn critical(flow: &Flow, now: Timestamp) -> Vec<(StepIndex, Leg)> {
    let ran = flow.steps().filter(|(_, _, run)| run.current_attempt().is_some());
    // Of several that ended at once, the first in the file.
    let mut next = latest(flow, ran.map(|(step, ..)| step), now);
    let mut path = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(step) = next.filter(|step| seen.insert(*step)) {
        let Some(begun) = begun_at(flow.run(step)) else { break };
        let before = ran_before(flow, step, begun);
        let released = ready_at(flow, step, begun);
        path.push((
            step,
            Leg {
                step: flow.step(step).id.to_string(),
                took_ms: end(flow.run(step), now).since(begun),
                waited_ms: released.map_or(Delay::ZERO, |at| begun.since(at)),
            },
        ));
        next = latest(flow, before.into_iter(), begun);
    }
    path.reverse();
    path
}

/// Returns when all that a step waits for had ended, if that was before it began; of one without upstreams, when the
/// flow began.
pub(super) fn ready_at(flow: &Flow, step: StepIndex, begun: Timestamp) -> Option<Timestamp> {
    let first = flow.started_at().unwrap_or(flow.header().created_at);
    let mut ends = flow.graph().upstreams(step).map(|upstream| flow.run(upstream).ended_at);
    let ready = ends.try_fold(first, |latest, end| Some(latest.max(end?)))?;
    (ready <= begun).then_some(ready)
}

/// Returns when the attempts that count began.
pub(super) fn begun_at(run: &StepRun) -> Option<Timestamp> {
    run.attempts.get(run.old_attempts()..)?.first().map(|attempt: &Attempt| attempt.intended_at)
}

fn end(run: &StepRun, now: Timestamp) -> Timestamp {
    let attempt = run.last_attempt().and_then(|attempt| attempt.ended_at);
    run.ended_at.or(attempt).unwrap_or(now)
}

/// Returns the steps with a run that a step waited for, through those without one, that had ended when it began.
fn ran_before(flow: &Flow, step: StepIndex, begun: Timestamp) -> BTreeSet<StepIndex> {
    let mut open: Vec<StepIndex> = flow.graph().upstreams(step).collect();
    let mut looked_at: BTreeSet<StepIndex> = open.iter().copied().collect();
    let mut ran = BTreeSet::new();
    while let Some(upstream) = open.pop() {
        let run = flow.run(upstream);
        // Attempts from before the step was begun anew decided nothing.
        if run.current_attempt().is_none() {
            open.extend(flow.graph().upstreams(upstream).filter(|&next| looked_at.insert(next)));
        } else if run.ended_at.is_some_and(|at| at <= begun) {
            ran.insert(upstream);
        }
    }
    ran
}

fn latest(flow: &Flow, steps: impl Iterator<Item = StepIndex>, now: Timestamp) -> Option<StepIndex> {
    let mut found: Option<(Timestamp, StepIndex)> = None;
    for step in steps {
        let at = end(flow.run(step), now);
        if found.is_none_or(|(latest, _)| at > latest) {
            found = Some((at, step));
        }
    }
    found.map(|(_, step)| step)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::critical;
    use crate::flow::{Event, Outcome};
    use crate::plan::StepId;
    use crate::report::sample::Sample;

    fn path(sample: &Sample) -> Vec<String> {
        let legs = critical(&sample.flow, sample.now);
        legs.iter()
            .map(|(_, it)| format!("{} {} {}", it.step, it.took_ms.short(), it.waited_ms.short()))
            .collect()
    }

    #[test]
    fn is_the_chain_of_ends_that_decided() {
        let steps = [("a", ""), ("b", ""), ("c", "a b"), ("d", "c"), ("aside", "a")];
        let mut sample = Sample::new(&steps);
        sample.start("a").start("b").wait(30).end("a", Outcome::Succeeded, None);
        sample.start("aside").wait(10).end("aside", Outcome::Succeeded, None);
        sample.wait(20).end("b", Outcome::Succeeded, None);
        // It had to wait for a place.
        sample.wait(15).start("c").wait(60).end("c", Outcome::Failed, None);
        assert_eq!(path(&sample), ["b 1m00s 0.0s", "c 1m00s 15s"]);
    }

    #[test]
    fn attempts_from_before_a_resume_do_not_cut_it() {
        let mut sample = Sample::new(&[("a", ""), ("b", "a"), ("c", "b")]);
        sample.start("a").wait(30).end("a", Outcome::Succeeded, None);
        sample.start("b").wait(20).end("b", Outcome::Succeeded, None);
        sample.start("c").wait(40).end("c", Outcome::Failed, None);
        let redo = vec![StepId::new("b"), StepId::new("c")];
        sample.record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
        let (step, reason) = (StepId::new("b"), "`when` is false".to_owned());
        sample.record(Event::StepEnded { step, outcome: Outcome::Skipped, reason });
        sample.start("c").wait(10).end("c", Outcome::Succeeded, None);
        let path = path(&sample);
        assert_eq!(path.len(), 2, "{path:?}");
        assert!(path[0].starts_with("a 30s") && path[1].starts_with("c 10s"), "{path:?}");
    }

    #[test]
    fn goes_through_what_had_no_run_and_ends_where_the_flow_stands() {
        let mut sample = Sample::new(&[("a", ""), ("b", "a"), ("handler", "b:failed"), ("open", "")]);
        assert!(critical(&sample.flow, sample.now).is_empty());
        sample.start("a").wait(10).end("a", Outcome::Failed, None);
        sample.start("open").wait(90);
        assert_eq!(path(&sample), ["open 1m30s 10s"]);
    }
}
