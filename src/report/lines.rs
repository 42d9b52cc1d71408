//! Plain lines, one for each fact: for pipes, files and logs of CI.

use std::io;

use crate::flow::{ActivitySeen, Flow, Recorded};
use crate::plan::StepIndex;
use crate::report::text::{one_line, pad, width};
use crate::report::wording::{self, Line};
use crate::report::{Beside, Report, summary};
use crate::time::{Delay, Timestamp};

/// The widest column of step ids; longer ids push their line to the right.
const ID_COLUMNS_MAX: usize = 30;

/// The column of words: `not needed` is the longest.
const WORD_COLUMNS: usize = 10;

/// Writes one line for each fact worth one, with the time in UTC.
///
/// A writer that fails is no reason to stop a flow: what it did not take is lost, and the journal has it all.
#[derive(Debug)]
pub struct Lines<W> {
    writer: W,
    /// The day of the newest line.
    day: String,
    /// The column of step ids, once the flow has been seen.
    id_columns: Option<usize>,
    /// What the end is compared with.
    beside: Beside,
}

impl<W: io::Write + Send> Lines<W> {
    /// Makes a report that writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, day: String::new(), id_columns: None, beside: Beside::default() }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn write(&mut self, now: Timestamp, text: &str) {
        let stamp = now.to_string();
        let (day, time) = stamp.split_at("2026-11-24".len());
        if day != self.day {
            let zone = if self.day.is_empty() { ", times are UTC" } else { "" };
            let _ = writeln!(self.writer, "{day}{zone}");
            day.clone_into(&mut self.day);
        }
        let _ = writeln!(self.writer, "{} {text}", &time["T".len().."T12:03:07".len()]);
        let _ = self.writer.flush();
    }
}

impl<W: io::Write + Send> Report for Lines<W> {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        let Some(line) = wording::fact(recorded, flow) else { return };
        let columns = *self.id_columns.get_or_insert_with(|| id_columns(flow));
        self.write(recorded.at, &plain(&line, columns));
    }

    fn note(&mut self, now: Timestamp, text: &str) {
        self.write(now, &format!("note: {}", one_line(text)));
    }

    fn tick(&mut self, _now: Timestamp, _flow: &Flow) {}

    fn tick_gap(&self) -> Option<Delay> {
        None
    }

    fn watched(&self, _flow: &Flow) -> Vec<StepIndex> {
        Vec::new()
    }

    fn activities(&mut self, _step: StepIndex, _activities: &[ActivitySeen]) {}

    fn compare(&mut self, beside: &Beside) {
        self.beside = beside.clone();
    }

    fn finish(&mut self, now: Timestamp, flow: &Flow) {
        let _ = write!(self.writer, "\n{}", summary::end_block(flow, &self.beside, now));
        let _ = self.writer.flush();
    }
}

/// Returns the column that the ids of a flow's steps need.
pub(super) fn id_columns(flow: &Flow) -> usize {
    let ids = flow.plan().runs().map(|(_, step)| width(&one_line(step.id.as_str())));
    ids.max().unwrap_or(0).max("flow".len()).min(ID_COLUMNS_MAX)
}

/// Returns a line without colours and time.
pub(super) fn plain(line: &Line, id_columns: usize) -> String {
    format!("{} {} {}", pad(&line.who, id_columns), pad(line.word, WORD_COLUMNS), line.text)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Lines;
    use crate::flow::{Event, Outcome, RunStatus};
    use crate::plan::{Retry, StepId};
    use crate::report::Report;
    use crate::report::sample::{Sample, error};
    use crate::time::Delay;

    #[test]
    fn tells_each_fact_once() {
        let mut sample =
            Sample::with(&[("load", ""), ("curate", "load"), ("alarm", "load:failed")], |plan| {
                plan.steps[1].retry = Retry { max_attempts: 2, ..Retry::default() };
                plan.steps[1].timeout = Some(Delay::from_secs(7200));
            });
        sample.start("load").wait(1).status("load", RunStatus::InProgress).wait(124);
        sample.end("load", Outcome::Succeeded, None).intend("curate");
        sample.record(Event::StartNotSent {
            step: StepId::new("curate"),
            attempt: 1,
            reason: "connection refused".to_owned(),
            again_at: sample.now + Delay::from_secs(5),
        });
        sample.wait(5).record(Event::StartResent { step: StepId::new("curate"), attempt: 1 });
        sample.record(Event::StartUnclear {
            step: StepId::new("curate"),
            attempt: 1,
            reason: "502 Bad Gateway\n\x1b[2Jhello".to_owned(),
            refusal: None,
            other: None,
        });
        let run = sample.flow.run(sample.index("curate")).last_attempt().expect("it has begun").run;
        sample.wait(5).record(Event::RunStarted {
            step: StepId::new("curate"),
            attempt: 1,
            run,
            adopted: true,
        });
        sample.wait(600).end(
            "curate",
            Outcome::Failed,
            Some(error("Copy_2", "UserErrorInvalidTable", "no such table")),
        );
        sample.wait(30).start("curate").wait(1).status("curate", RunStatus::Canceling).wait(1);
        sample.end("curate", Outcome::Cancelled, Some(error("", "", "the run was cancelled in Synapse")));
        insta::assert_snapshot!(sample.told(), @r"
        2026-11-24, times are UTC
        23:50:00 load   started    run 8b35ed2c-0000-4000-8000-000000000001
        23:52:05 load   succeeded  in 2m05s
        23:52:05 alarm  not needed `load` ended succeeded
        23:52:05 curate not sent   sending the start again in 5s: connection refused
        23:52:10 curate unclear    the start may have arrived (502 Bad Gateway ␛[2Jhello); looking for run 8b35ed2c-0000-4000-8000-000000000002
        23:52:15 curate started    run 8b35ed2c-0000-4000-8000-000000000002, found by looking for it
        2026-11-25
        00:02:15 curate retry      attempt 2 of 2 in 30s; attempt 1 failed: Copy_2: UserErrorInvalidTable: no such table
        00:02:45 curate started    run 8b35ed2c-0000-4000-8000-000000000003, attempt 2
        00:02:46 curate cancelling somebody asked Synapse to cancel the run
        00:02:47 curate cancelled  after 10m42s, 2 attempts: the run was cancelled in Synapse
        ");
    }

    #[test]
    fn ends_with_the_end_block_and_outlives_its_writer() {
        let mut sample = Sample::new(&[("load", "")]);
        sample.succeed("load");
        let mut lines = Lines::new(Vec::new());
        lines.note(sample.now, "the service is slow\x1b[2J");
        lines.finish(sample.now, &sample.flow);
        let text = String::from_utf8(lines.into_inner()).expect("lines are UTF-8");
        insta::assert_snapshot!(text, @r"
        2026-11-24, times are UTC
        23:51:00 note: the service is slow␛[2J

        flow 7f3a9c of nightly-sales succeeded after 1m00s
        1 succeeded
        ");
        Lines::new(Gone).note(sample.now, "nobody reads this");
    }

    /// A pipe whose reader has left.
    struct Gone;

    impl io::Write for Gone {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn tells_that_runs_go_on_and_what_nobody_knows() {
        let mut sample = Sample::with(&[("load", ""), ("copy", "")], |plan| {
            plan.steps[0].timeout = Some(Delay::from_secs(60));
        });
        sample.start("load").start("copy").wait(60).record(Event::CancelIntended {
            step: StepId::new("load"),
            attempt: 1,
            reason: crate::flow::CancelReason::TimedOut,
        });
        sample.record(Event::AttemptEnded {
            step: StepId::new("copy"),
            attempt: 1,
            outcome: Outcome::Unknown,
            error: Some(error("", "", "Synapse no longer knows the run")),
            restart: None,
            outputs: None,
            activities: None,
        });
        sample.status("load", RunStatus::Other("Parked\x07".to_owned())).record(Event::Detached);
        insta::assert_snapshot!(sample.told(), @r"
        2026-11-24, times are UTC
        23:50:00 load started    run 8b35ed2c-0000-4000-8000-000000000001
        23:50:00 copy started    run 8b35ed2c-0000-4000-8000-000000000002
        23:51:00 load timed out  its `timeout` of 1m00s has passed; asking Synapse to cancel the run
        23:51:00 copy unknown    a person must look: Synapse no longer knows the run
        23:51:00 load running    Synapse calls the run `Parked␇`
        23:51:00 flow detached   synflow stops looking; 1 run goes on in Synapse
        ");
    }
}
