//! How a process leaves a flow: what others may ask of the loop, and how it ends before the flow does.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::driver::errand::Done;
use crate::driver::{DriveError, Driver, Ending};
use crate::flow::{Event, Flow, RunId, StartOutcome, StepState};
use crate::journal::JournalError;
use crate::plan::{StepId, StepIndex};
use crate::time::{Delay, Timestamp};

/// How long a process that was asked to leave may take for all that it still has to do.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// How much of that is left to traces, reports and whoever reads stdout.
const AFTERWARDS: Duration = Duration::from_millis(700);

/// How long start requests may still land when nobody has asked this process to leave.
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

/// When a process that was asked to leave must be gone: one point in time for all that it still does. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Leaving {
    by: Arc<OnceLock<Instant>>,
}

impl Leaving {
    /// Begins to count, unless that has begun: this process is asked to leave.
    pub fn begin(&self) {
        self.by.get_or_init(|| Instant::now() + LEAVE_MAX);
    }

    /// Returns how long this process may still take; nothing where nobody has asked it to leave.
    pub fn left(&self) -> Option<Duration> {
        self.by.get().map(|by| by.saturating_duration_since(Instant::now()))
    }

    /// Returns how long start requests may still land.
    fn landing(&self) -> Duration {
        self.left().map_or(LEAVE_WAIT, |left| left.saturating_sub(AFTERWARDS))
    }
}

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
    /// Takes the time by which this process must be gone once it is asked to leave.
    #[must_use]
    pub fn with_leaving(mut self, leaving: Leaving) -> Self {
        self.leaving = leaving;
        self
    }

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
        let deadline = tokio::time::sleep(self.leaving.landing());
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
                Some(wish) = wishes.recv() => if !self.show(&wish) && wish == Wish::Detach { break },
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::{LEAVE_MAX, LEAVE_WAIT, Leaving, Wish};
    use crate::driver::errand::{Done, Errand};
    use crate::driver::tests::driver;
    use crate::journal::Journal;
    use crate::plan::StepIndex;
    use crate::report::Lines;

    /// What was written, for whoever has a clone.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_to_leave_has_one_time_for_everything() {
        let leaving = Leaving::default();
        assert_eq!((leaving.left(), leaving.landing()), (None, LEAVE_WAIT));
        let shared = leaving.clone();
        shared.begin();
        assert_eq!((leaving.left(), leaving.landing()), (Some(LEAVE_MAX), Duration::from_millis(1_300)));
        tokio::time::advance(Duration::from_millis(1_500)).await;
        leaving.begin();
        let left = Duration::from_millis(500);
        assert_eq!((shared.left(), shared.landing()), (Some(left), Duration::ZERO));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(shared.left(), Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn who_waits_for_starts_without_a_journal_is_asked_all_the_same() {
        let (mut driver, _folder) = driver();
        let screen = Screen::default();
        driver.report = Box::new(Lines::new(screen.clone()));
        driver.spawn(Errand::Peek, async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Done::Peek(StepIndex(0), Ok(Vec::new()))
        });
        let (sender, mut wishes) = mpsc::unbounded_channel();
        for wish in [Wish::Ask(&["detach or cancel?"]), Wish::Cancel, Wish::Detach] {
            sender.send(wish).expect("somebody listens");
        }
        let nowhere = tempfile::tempdir().expect("a folder").path().join("a/file");
        std::fs::create_dir_all(nowhere.parent().expect("it has one")).expect("a folder");
        std::fs::write(&nowhere, "").expect("it is written");
        let source = Box::new(Journal::open(&nowhere).expect_err("a file is no folder"));
        driver.wind_down(source, Vec::new(), &mut wishes).await;
        let told = String::from_utf8(screen.0.lock().expect("nobody panics").clone()).expect("it is text");
        assert!(told.contains("detach or cancel?"), "{told}");
        assert!(!driver.tasks.is_empty(), "it did not wait for the answer");
    }
}
