//! Whether the flow will miss its deadline, and whether it has: each is said once.

use crate::flow::decide::Decision;
use crate::flow::watch::Watch;
use crate::flow::{Event, Flow};
use crate::time::{Delay, Timestamp};

/// Says what must be said of the deadline now, or wakes up for it. A flow that a person ends has none any more.
pub(super) fn mind_deadline(flow: &Flow, watch: &Watch, now: Timestamp, decision: &mut Decision) {
    let Some(due) = flow.due().filter(|due| due.missed_at.is_none()) else { return };
    if flow.exit_code().is_some() || flow.is_cancelling() {
        return;
    }
    let deadline = due.at;
    let is_missed = match flow.settled_at() {
        // However late somebody comes to say so.
        Some(settled_at) => settled_at > deadline,
        None => now >= deadline,
    };
    if is_missed {
        return decision.facts.push(Event::DeadlineMissed { deadline });
    }
    // A flow in which nothing happens must not look as if it waited for something.
    if flow.live().next().is_none() && flow.retrying().next().is_none() && flow.ready().next().is_none() {
        return;
    }
    let Some(forecast) = watch.forecast().filter(|_| due.at_risk.is_none()) else {
        return wake(flow, deadline, decision);
    };
    let end = forecast.end(flow, now);
    if end > deadline {
        return decision.facts.push(Event::DeadlineAtRisk { deadline, forecast: end });
    }
    let latest = forecast.latest(flow, deadline, now);
    // In time to the millisecond is in time.
    let next = if latest >= now { latest + Delay::from_ms(1) } else { deadline };
    wake(flow, next.min(deadline), decision);
}

fn wake(flow: &Flow, at: Timestamp, decision: &mut Decision) {
    // What is ready starts at once, and wakes up for itself; if it does not, that is for others to find out.
    if flow.live().next().is_some() || flow.retrying().next().is_some() {
        decision.wake(at);
    }
}
