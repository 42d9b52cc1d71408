//! Several readers of one flow, as if they were one.

use crate::flow::{ActivitySeen, Flow, Recorded};
use crate::plan::StepIndex;
use crate::report::{Beside, Report};
use crate::time::{Delay, Timestamp};

/// Hands everything on, in order: what one of them writes stands before what the next one writes.
pub struct Several(pub Vec<Box<dyn Report>>);

impl Report for Several {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        self.0.iter_mut().for_each(|report| report.on(recorded, flow));
    }

    fn note(&mut self, now: Timestamp, text: &str) {
        self.0.iter_mut().for_each(|report| report.note(now, text));
    }

    fn ask(&mut self, now: Timestamp, question: &[&str]) {
        self.0.iter_mut().for_each(|report| report.ask(now, question));
    }

    fn typed(&mut self) {
        self.0.iter_mut().for_each(|report| report.typed());
    }

    fn pause(&mut self, now: Timestamp) {
        self.0.iter_mut().for_each(|report| report.pause(now));
    }

    fn snapshot(&mut self, now: Timestamp, flow: &Flow) {
        self.0.iter_mut().for_each(|report| report.snapshot(now, flow));
    }

    fn tick(&mut self, now: Timestamp, flow: &Flow) {
        self.0.iter_mut().for_each(|report| report.tick(now, flow));
    }

    fn tick_gap(&self) -> Option<Delay> {
        self.0.iter().filter_map(|report| report.tick_gap()).min()
    }

    fn watched(&self, flow: &Flow) -> Vec<StepIndex> {
        // Few report watches anything; of two that do, both show what either asked for.
        let mut steps = Vec::new();
        for step in self.0.iter().flat_map(|report| report.watched(flow)) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps
    }

    fn activities(&mut self, step: StepIndex, activities: &[ActivitySeen]) {
        self.0.iter_mut().for_each(|report| report.activities(step, activities));
    }

    fn compare(&mut self, beside: &Beside) {
        self.0.iter_mut().for_each(|report| report.compare(beside));
    }

    fn finish(&mut self, now: Timestamp, flow: &Flow) {
        self.0.iter_mut().for_each(|report| report.finish(now, flow));
    }
}
