//! How a process leaves a flow: what others may ask of the loop, and how it ends before the flow does.

use std::time::Duration;

use crate::driver::errand::Done;
use crate::driver::{DriveError, Driver, Ending};
use crate::flow::{Event, Flow, RunId, StartOutcome, StepState};
use crate::journal::JournalError;
use crate::plan::{StepId, StepIndex};
use crate::time::{Delay, Timestamp};

/// How long start requests may still land when we leave: a signal must be obeyed within two seconds.
const LEAVE_WAIT: Duration = Duration::from_millis(1_500);

/// How long start requests may still land when the journal is gone.
const WIND_DOWN_WAIT: Duration = Duration::from_secs(30);

/// How long a process that only starts what is ready waits for starts that the service has put off.
const RESTS_MAX: Delay = Delay::from_secs(60);

/// What the person at the terminal, or the system, asks of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Show this; nothing else changes.
    Say(String),
    /// Ask this of the person at the terminal.
    Ask(&'static [&'static str]),
    /// An Enter was typed, and the terminal has shown it.
    Typed,
    /// Show how the flow stands.
    Show,
    /// Clear the screen of what moves: this process is about to be stopped.
    Pause,
    /// Start nothing more and end what runs.
    Cancel,
    /// Stop looking; the runs go on.
    Detach,
}

/// Where the wishes come from. Once every sender is gone, none comes.
pub type Wishes = tokio::sync::mpsc::UnboundedReceiver<Wish>;

/// How far a process goes with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To its end, or until a person must look.
    End,
    /// Until all that is ready has been started.
    Started,
    /// Until one step is over. Start nothing for it: the flow must have no places left.
    StepOver(StepIndex),
}

impl Driver {
    /// Shows what a wish asks to be shown; says whether it was such a wish.
    pub(super) fn show(&mut self, wish: &Wish) -> bool {
        let now = self.clock.now();
        match wish {
            Wish::Say(text) => self.report.note(now, text),
            Wish::Ask(question) => self.report.ask(now, question),
            Wish::Typed => self.report.typed(),
            Wish::Show => self.report.snapshot(now, &self.flow),
            Wish::Pause => self.report.pause(now),
            Wish::Cancel | Wish::Detach => return false,
        }
        true
    }

    /// Says whether the goal of a loop that began at this time has been reached before the flow's own end.
    pub(super) fn has_reached(&self, goal: Goal, begun_at: Timestamp) -> bool {
        match goal {
            Goal::End => false,
            Goal::Started => {
                let rests = |step| matches!(self.flow.run(step).state, StepState::NotSent { .. });
                let is_resting = self.flow.live().any(rests) && self.clock.now() < begun_at + RESTS_MAX;
                let is_asking = self.errands.values().any(super::Errand::is_before_a_start);
                !is_starting(&self.flow) && !is_resting && !is_asking
            }
            Goal::StepOver(step) => self.flow.run(step).outcome().is_some(),
        }
    }

    /// Leaves while runs go on: lets start requests land for a moment, then says so in the journal.
    pub(super) async fn detach(&mut self) -> Result<Ending, DriveError> {
        let deadline = tokio::time::sleep(LEAVE_WAIT);
        tokio::pin!(deadline);
        while is_starting(&self.flow) {
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => self.take_in(joined)?,
                () = &mut deadline => break,
            }
        }
        self.tasks.abort_all();
        while self.telling.is_under_way() {
            tokio::select! {
                told = self.telling.next() => self.note_told(&told),
                () = &mut deadline => self.stop_telling(),
            }
        }
        self.record(&[Event::Detached])?;
        Ok(Ending::Detached)
    }

    /// Starts nothing new, lets start requests land, and gathers the runs that only memory knows. Whoever wants to leave
    /// meanwhile need not wait.
    pub(super) async fn wind_down(
        &mut self,
        source: Box<JournalError>,
        mut unrecorded: Vec<(StepId, RunId)>,
        wishes: &mut Wishes,
    ) -> DriveError {
        if is_starting(&self.flow) {
            let text =
                format!("{source}; nothing more is started, waiting for the answers to starts under way");
            self.report.note(self.clock.now(), &text);
            self.report.tick(self.clock.now(), &self.flow);
        }
        // Requests have limits of their own; this one only guards against a service that answers forever.
        let deadline = tokio::time::sleep(WIND_DOWN_WAIT);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                joined = self.tasks.join_next() => match joined {
                    Some(Ok(Done::Start(step, StartOutcome::Started(run)))) => {
                        unrecorded.push((self.flow.step(step).id.clone(), run));
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(wish) = wishes.recv() => if wish == Wish::Detach { break },
                () = &mut deadline => break,
            }
        }
        DriveError::Journal { source, unrecorded }
    }
}

/// Says whether the answer to a start request is still to come.
fn is_starting(flow: &Flow) -> bool {
    flow.live().any(|step| flow.run(step).state == StepState::Starting)
}
