//! What people see of a flow. A consumer only: deleting this folder would not change what is started when.
//!
//! [`Report`] is the one trait: bars on a terminal and lines elsewhere read the same stream of events.
//! Text that is the same everywhere, such as the end block, is made by pure functions beside it.

mod bars;
mod cells;
pub mod checkup;
pub mod ci;
mod detail;
pub mod differences;
pub mod events;
mod expected;
mod frame;
pub mod graph;
pub mod json;
pub mod junit;
mod lines;
pub mod logs;
mod look;
pub mod markdown;
pub mod outlook;
pub mod page;
pub mod remedy;
#[cfg(test)]
mod sample;
mod several;
mod sheet;
mod standing;
pub mod story;
mod studio;
mod summary;
pub mod table;
mod text;
// Its tests run in every build, what sends its spans is only in that with the feature.
#[cfg(any(feature = "otel", test))]
pub mod trace;
pub mod why;
mod wording;

use crate::flow::forecast::Durations;
use crate::flow::{ActivitySeen, Flow, FlowHeader, Recorded};
use crate::plan::StepIndex;
use crate::time::{Delay, Timestamp};

pub use bars::Bars;
pub use expected::{Expected, Left, Usual};
pub use lines::Lines;
pub use look::{Links, Look, Telling};
pub use several::Several;
pub use sheet::{Ground, Terminal};
pub use studio::Studio;
pub use summary::{end_block, next, opening};
pub use text::{counted, cut, one_line, pad, pad_left, width, xml};

/// A reader of a flow's events that shows them. Nothing has a default: one that hands all on to another must not forget it.
pub trait Report: Send {
    /// Shows an event. `flow` has it already; the journal had it before.
    fn on(&mut self, recorded: &Recorded, flow: &Flow);

    /// Shows something worth knowing that is no fact of the flow, such as a question that will be asked again.
    fn note(&mut self, now: Timestamp, text: &str);

    /// Asks the person at the terminal something, on lines of their own; the answer is typed.
    fn ask(&mut self, now: Timestamp, question: &[&str]);

    /// Hears that a person has ended a line with Enter, which the terminal has shown.
    fn typed(&mut self);

    /// Takes away what moves for a process that is about to be stopped; the next ticks bring it back.
    fn pause(&mut self, now: Timestamp);

    /// Shows how the flow stands, for a person who has asked.
    fn snapshot(&mut self, now: Timestamp, flow: &Flow);

    /// Shows the passing of time.
    fn tick(&mut self, now: Timestamp, flow: &Flow);

    /// Returns how often [`Report::tick`] should be called; nothing where time is not shown.
    fn tick_gap(&self) -> Option<Delay>;

    /// Returns the steps whose current activity would be shown, eldest first.
    fn watched(&self, flow: &Flow) -> Vec<StepIndex>;

    /// Takes in the activities of a watched step's run.
    fn activities(&mut self, step: StepIndex, activities: &[ActivitySeen]);

    /// Takes in what is known beside the flow; called once, first, if at all. Who compares nothing passes it over.
    fn compare(&mut self, beside: &Beside);

    /// Clears what moves and shows how the flow stands; called once, last.
    fn finish(&mut self, now: Timestamp, flow: &Flow);
}

/// What is known beside a flow: from earlier ones of its plan, and of the process that drives it. Nothing of it is a fact of
/// the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// How long flows like it usually take.
    pub usual: Option<Delay>,
    /// What each step usually takes.
    pub steps: Durations,
    /// When it is likely to end.
    pub end: Option<Timestamp>,
    /// Who drives it now, in a sentence for people; nothing if nobody does.
    pub driver: Option<String>,
}

/// A flow as a list shows it.
#[derive(Clone, Copy, Debug)]
pub enum Listed<'a> {
    /// A flow folded from its events.
    Read(&'a Flow),
    /// A flow whose plan or events this synflow cannot read: one such must not hide all others.
    Unreadable {
        /// What the journal says of it all the same.
        header: &'a FlowHeader,
        /// What is wrong with it, for people.
        why: &'a str,
    },
}
