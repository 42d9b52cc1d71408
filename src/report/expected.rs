//! What the steps of a flow usually take, and by that when the flow is likely to end. Guesses, and said as such.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::flow::forecast::{self, Durations, Forecast};
use crate::flow::{Event, Flow, StepState};
use crate::plan::{StepId, StepIndex};
use crate::time::{Delay, Timestamp};

/// A step is slow only if it has taken this much more than usual: for short ones, half as much again means nothing.
const SLOW_BY_MIN: Delay = Delay::from_secs(5);

/// How often the likely end is worked out anew: it is shown to the minute, and looks at every step.
const OUTLOOK_GAP: Delay = Delay::from_secs(1);

/// What a step has taken in earlier flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// As often less as more.
    pub median: Delay,
    /// Nine times of ten not more.
    pub high: Delay,
}

impl Usual {
    /// Says whether so long is clearly more than usual.
    pub fn is_slow(&self, took: Delay) -> bool {
        let (took, median) = (took.as_ms(), self.median.as_ms());
        took > self.high.as_ms()
            && took > median.saturating_add(median / 2)
            && took - median >= SLOW_BY_MIN.as_ms()
    }
}

/// How much of a flow is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When it is likely to end.
    pub at: Timestamp,
    /// Whether it may well be later, because a step has never been seen.
    pub at_least: bool,
}

/// What is expected of a flow by what earlier ones took. Clones share what was gathered.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    usual: Arc<BTreeMap<(StepId, String), Usual>>,
    durations: Arc<Durations>,
    /// Of the flow as its plan is now, if a step of it was ever seen.
    forecast: Option<Forecast>,
    /// Whether that was looked for.
    is_settled: bool,
    /// The newest outlook, and when that was.
    outlook: Option<(Timestamp, Option<Left>)>,
}

impl Expected {
    /// Makes of what each step took, newest first, what is usual.
    pub fn of(took: &BTreeMap<(StepId, String), Vec<Delay>>) -> Self {
        let usual = took.iter().filter_map(|(step, took)| {
            let usual = Usual { median: forecast::median(took)?, high: forecast::quantile(took, 90)? };
            Some((step.clone(), usual))
        });
        let usual: BTreeMap<(StepId, String), Usual> = usual.collect();
        let durations = usual.iter().map(|(step, usual)| (step.clone(), usual.median)).collect();
        Self { usual: Arc::new(usual), durations: Arc::new(durations), ..Self::default() }
    }

    /// Returns the medians alone, for who decides by them.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// Returns what a step usually takes, if it was ever seen.
    pub fn usual(&self, flow: &Flow, step: StepIndex) -> Option<Usual> {
        if self.usual.is_empty() {
            return None;
        }
        let place = flow.step(step);
        self.usual.get(&(place.id.clone(), place.pipeline.clone())).copied()
    }

    /// Returns what a step usually takes if its run has clearly taken more already.
    pub fn slow(&self, flow: &Flow, step: StepIndex, now: Timestamp) -> Option<Usual> {
        let run = flow.run(step);
        let started = run.last_attempt().and_then(|attempt| attempt.started_at);
        let started = started.filter(|_| run.state == StepState::Running)?;
        self.usual(flow, step).filter(|usual| usual.is_slow(now.since(started)))
    }

    /// Takes in an event that may have changed the plan, or what is done of it.
    pub(super) fn follow(&mut self, event: &Event) {
        if matches!(event, Event::PlanChanged { .. } | Event::Resumed { .. }) {
            self.is_settled = false;
            self.outlook = None;
        }
    }

    /// Returns how much of the flow is left; nothing where no step of it was ever seen or it should be over.
    pub(super) fn left(&mut self, flow: &Flow, now: Timestamp) -> Option<Left> {
        if let Some((at, left)) = self.outlook
            && at <= now
            && now.since(at) < OUTLOOK_GAP
        {
            return left;
        }
        if !std::mem::replace(&mut self.is_settled, true) {
            self.forecast = Forecast::new(flow, &self.durations);
        }
        let left =
            self.forecast.as_ref().filter(|_| !flow.is_settled() && flow.header().max_parallel > 0).and_then(
                |forecast| {
                    let at = forecast.end_in_places(flow, now);
                    (at > now).then(|| Left { at, at_least: forecast.is_short(flow) })
                },
            );
        self.outlook = Some((now, left));
        left
    }
}

impl Left {
    /// Returns how long it is from now, roughly: `~12m left`, and `>12m left` where it may well be more.
    pub(super) fn spoken(self, now: Timestamp) -> String {
        format!("{}{} left", if self.at_least { '>' } else { '~' }, about(self.at.since(now)))
    }
}

/// Returns a length as nobody knows it better: `20s`, `3m`, `1h20m`. It is rounded up.
fn about(delay: Delay) -> String {
    let seconds = delay.as_ms().div_ceil(1000);
    let minutes = seconds.div_ceil(60);
    match seconds {
        0..=50 => format!("{}s", seconds.div_ceil(10).max(1) * 10),
        _ if minutes < 60 => format!("{minutes}m"),
        _ => format!("{}h{:02}m", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Expected, OUTLOOK_GAP, Usual, about};
    use crate::plan::StepId;
    use crate::report::sample::Sample;
    use crate::time::Delay;

    #[test]
    fn slow_is_above_the_ninetieth_percentile_and_half_as_much_again() {
        let check = |median: u64, high: u64, took: u64, want: bool| {
            let usual = Usual { median: Delay::from_secs(median), high: Delay::from_secs(high) };
            assert_eq!(usual.is_slow(Delay::from_secs(took)), want, "{median} {high} {took}");
        };
        check(60, 70, 90, false);
        check(60, 70, 91, true);
        check(60, 120, 119, false);
        check(60, 120, 121, true);
        // Twice as long, and yet nothing to speak of.
        check(2, 2, 4, false);
        check(0, 0, 5, true);
    }

    #[test]
    fn rounds_what_nobody_knows_exactly() {
        let check = |ms: u64, want: &str| assert_eq!(about(Delay::from_ms(ms)), want, "{ms}");
        check(1, "10s");
        check(11_000, "20s");
        check(50_000, "50s");
        check(50_001, "1m");
        check(60_001, "2m");
        check(3_540_000, "59m");
        check(3_541_000, "1h00m");
        check(8_000_000, "2h14m");
    }

    /// Ten steps of ten minutes each, two places: no way is longer than ten minutes, yet it takes fifty.
    #[test]
    fn the_places_count() {
        let ids: Vec<String> = (0..10).map(|at| format!("s{at}")).collect();
        let steps: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
        let mut sample = Sample::with(&steps, |plan| plan.max_parallel = 2);
        let took = |id: &String| ((StepId::new(id), format!("pl_{id}")), vec![Delay::from_secs(600)]);
        let known: BTreeMap<_, _> = ids.iter().map(took).collect();
        let mut expected = Expected::of(&known);
        let left = expected.left(&sample.flow, sample.now).expect("all are known");
        assert_eq!((left.at.since(sample.now), left.at_least), (Delay::from_secs(3000), false));
        assert_eq!(left.spoken(sample.now), "~50m left");

        sample.start("s0").start("s1").wait(300);
        let left = expected.left(&sample.flow, sample.now).expect("all are known");
        assert_eq!(left.at.since(sample.now), Delay::from_secs(2700));

        let mut partly = Expected::of(&known.into_iter().skip(1).collect());
        let left = partly.left(&sample.flow, sample.now).expect("most are known");
        assert_eq!(left.spoken(sample.now), ">43m left");
        assert_eq!(Expected::default().left(&sample.flow, sample.now), None);
        // A process that only ends a step starts nothing, and so cannot say when all is done.
        sample.flow.close_places();
        assert_eq!(partly.left(&sample.flow, sample.now + OUTLOOK_GAP), None);
    }
}
