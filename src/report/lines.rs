//! Plain lines, one for each fact: for pipes, files and logs of CI.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::flow::{ActivitySeen, Flow, Recorded};
use crate::plan::StepIndex;
use crate::report::detail::{activities, detail};
use crate::report::expected::Expected;
use crate::report::frame::brief;
use crate::report::look::Telling;
use crate::report::text::{one_line, pad, width};
use crate::report::wording::{self, Line, Tone, took};
use crate::report::{Beside, Report, standing, summary};
use crate::time::{Delay, Timestamp};

/// The widest column of step ids; longer ids push their line to the right.
const ID_COLUMNS_MAX: usize = 30;

/// The column of words: `not needed` is the longest.
const WORD_COLUMNS: usize = 10;

/// How often lines look whether they have been silent for too long.
const TICK_GAP: Delay = Delay::from_ms(1_000);

/// Writes one line for each fact worth one, with the time in UTC; and after a long silence, how the flow stands.
///
/// A writer that fails is no reason to stop a flow: what it did not take is lost, and the journal has it all.
pub struct Lines<W> {
    writer: W,
    telling: Telling,
    expected: Expected,
    /// The longest silence, if it is ever broken.
    silence: Option<Delay>,
    /// When the newest line was written, or the silence began.
    quiet_since: Option<Timestamp>,
    /// The attempts that have been called slow.
    slow: BTreeSet<(StepIndex, usize)>,
    /// The day of the newest line.
    day: String,
    /// The column of step ids, once the flow has been seen.
    id_columns: Option<usize>,
    /// What the end is compared with.
    beside: Beside,
}

impl<W: io::Write + Send> Lines<W> {
    /// Makes a report that writes facts to `writer`.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            telling: Telling::Facts,
            expected: Expected::default(),
            silence: None,
            quiet_since: None,
            slow: BTreeSet::new(),
            day: String::new(),
            id_columns: None,
            beside: Beside::default(),
        }
    }

    /// Tells more or less than facts.
    #[must_use]
    pub fn telling(mut self, telling: Telling) -> Self {
        self.telling = telling;
        self
    }

    /// Says which steps take longer than is usual, and how the flow stands once nothing has been said for so long.
    #[must_use]
    pub fn alive(mut self, silence: Delay, expected: Expected) -> Self {
        self.silence = Some(silence);
        self.expected = expected;
        self
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
        self.quiet_since = Some(now);
    }

    fn write_line(&mut self, now: Timestamp, line: &Line, flow: &Flow) {
        let columns = *self.id_columns.get_or_insert_with(|| id_columns(flow));
        self.write(now, &plain(line, columns));
    }

    /// Calls the steps slow, once each attempt, that have taken clearly longer than is usual.
    fn tell_slow(&mut self, now: Timestamp, flow: &Flow) {
        for step in flow.live() {
            let Some(usual) = self.expected.slow(flow, step, now) else { continue };
            if self.slow.insert((step, flow.run(step).attempts.len())) {
                let took = took(flow.run(step), now).unwrap_or_default();
                let who = one_line(flow.step(step).id.as_str());
                let text = format!("has taken {}, usually {}", brief(took), brief(usual.median));
                self.write_line(now, &Line { who, word: "slow", text, tone: Tone::Warn }, flow);
            }
        }
    }
}

impl<W: io::Write + Send> Report for Lines<W> {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        self.expected.follow(&recorded.event);
        for line in told(recorded, flow, self.telling) {
            self.write_line(recorded.at, &line, flow);
        }
    }

    fn note(&mut self, now: Timestamp, text: &str) {
        if self.telling != Telling::Nothing {
            self.write(now, &format!("note: {}", one_line(text)));
        }
    }

    fn ask(&mut self, now: Timestamp, question: &[&str]) {
        for line in question {
            self.write(now, &format!("note: {line}"));
        }
    }

    fn typed(&mut self) {}

    fn pause(&mut self, _now: Timestamp) {}

    fn snapshot(&mut self, now: Timestamp, flow: &Flow) {
        let left = self.expected.left(flow, now);
        let text = standing::snapshot(flow, &self.expected, left, &BTreeMap::new(), now);
        let _ = self.writer.write_all(text.as_bytes());
        let _ = self.writer.flush();
        self.quiet_since = Some(now);
    }

    fn tick(&mut self, now: Timestamp, flow: &Flow) {
        let Some(silence) = self.silence.filter(|_| self.telling != Telling::Nothing) else { return };
        self.tell_slow(now, flow);
        let since = *self.quiet_since.get_or_insert(now);
        if now.since(since) < silence || flow.is_settled() {
            return;
        }
        self.quiet_since = Some(now);
        if self.telling != Telling::Problems {
            let left = self.expected.left(flow, now);
            let text = standing::in_brief(flow, &self.expected, left, now);
            self.write_line(
                now,
                &Line { who: "flow".to_owned(), word: "goes on", text, tone: Tone::Quiet },
                flow,
            );
        }
    }

    fn tick_gap(&self) -> Option<Delay> {
        self.silence.map(|silence| silence.min(TICK_GAP))
    }

    fn watched(&self, _flow: &Flow) -> Vec<StepIndex> {
        Vec::new()
    }

    fn activities(&mut self, _step: StepIndex, _activities: &[ActivitySeen]) {}

    fn compare(&mut self, beside: &Beside) {
        self.beside = beside.clone();
    }

    fn finish(&mut self, now: Timestamp, flow: &Flow) {
        let gap = if self.day.is_empty() { "" } else { "\n" };
        let _ = write!(self.writer, "{gap}{}", summary::end_block(flow, &self.beside, now));
        let _ = self.writer.flush();
    }
}

/// Returns the lines to tell of an event.
pub(super) fn told(recorded: &Recorded, flow: &Flow, telling: Telling) -> Vec<Line> {
    let more = || if telling == Telling::Everything { detail(recorded, flow) } else { None };
    let line = wording::fact(recorded, flow).or_else(more).filter(|line| telling.takes(line.tone));
    let activities = if telling == Telling::Everything { activities(recorded) } else { Vec::new() };
    activities.into_iter().chain(line).collect()
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
    use crate::report::sample::{Sample, error};
    use crate::report::{Expected, Report};
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

    #[test]
    fn breaks_a_long_silence_and_calls_slow_what_is_slow() {
        let mut sample = Sample::new(&[("load", ""), ("copy", ""), ("curate", "load copy")]);
        let known = |id: &str, seconds: u64| {
            ((StepId::new(id), format!("pl_{id}")), vec![Delay::from_secs(seconds); 5])
        };
        let expected = Expected::of(&[known("load", 60), known("copy", 1200), known("curate", 300)].into());
        let mut lines = Lines::new(Vec::new()).alive(Delay::from_secs(60), expected);
        sample.start("load").start("copy");
        for _ in 0..260 {
            lines.tick(sample.now, &sample.flow);
            sample.wait(1);
        }
        let text = String::from_utf8(lines.into_inner()).expect("lines are UTF-8");
        insta::assert_snapshot!(text, @r"
        2026-11-24, times are UTC
        23:51:00 flow   goes on    0/3 done, 2 running, 1 waiting, ~24m left; load 1m00s (usually 1m00s), copy 1m00s (usually 20m)
        23:51:31 load   slow       has taken 1m31s, usually 1m00s
        23:52:31 flow   goes on    0/3 done, 2 running, 1 waiting, ~23m left; load 2m31s (SLOW, usually 1m00s), copy 2m31s (usually 20m)
        23:53:31 flow   goes on    0/3 done, 2 running, 1 waiting, ~22m left; load 3m31s (SLOW, usually 1m00s), copy 3m31s (usually 20m)
        ");
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
