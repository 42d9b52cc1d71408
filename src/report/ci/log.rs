//! A flow in the log of a CI job: what it records can be folded away, what went wrong stands beside the plan's line.

use std::io;
use std::path::PathBuf;

use super::{Ci, Spot, from_top};
use crate::flow::{ActivitySeen, Event, Flow, Outcome, Recorded};
use crate::plan::{Severity, StepIndex};
use crate::report::text::counted;
use crate::report::wording::{self, went_wrong};
use crate::report::{Beside, Report, summary};
use crate::time::{Delay, Timestamp};

/// How many errors, and how many warnings, are shown: GitHub Actions shows ten of each for a step, and the end block has all.
const ISSUES_MAX: usize = 10;

/// Writes the commands of a CI service around the lines of another report, which must write to the same place and stand
/// after this one.
#[derive(Debug)]
pub struct CiLog<W> {
    ci: Ci,
    writer: W,
    /// The folder that the plan's file counts from, and the top of the repository.
    folders: (PathBuf, PathBuf),
    is_begun: bool,
    errors: usize,
    warnings: usize,
    percent: usize,
}

impl<W: io::Write + Send> CiLog<W> {
    /// Makes a report that writes to `writer`, which must let commands through. The plan's file counts from `here`, `top`
    /// is the top of the repository.
    pub fn new(ci: Ci, writer: W, here: PathBuf, top: PathBuf) -> Self {
        Self { ci, writer, folders: (here, top), is_begun: false, errors: 0, warnings: 0, percent: 0 }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn put(&mut self, command: &str) {
        // What the writer does not take is lost; the journal has it all.
        let _ = self.writer.write_all(command.as_bytes()).and_then(|()| self.writer.flush());
    }

    fn issue(&mut self, severity: Severity, flow: &Flow, step: Option<StepIndex>, title: &str, text: &str) {
        let count = if severity == Severity::Error { &mut self.errors } else { &mut self.warnings };
        *count += 1;
        if *count > ISSUES_MAX {
            return;
        }
        let (here, top) = &self.folders;
        let file = from_top(&flow.header().plan_file, here, top);
        let spot = step.map(|step| Spot { file, place: flow.step(step).place });
        self.put(&self.ci.issue(severity, spot.as_ref(), title, text));
    }

    /// Shows how many steps have ended, where that is more than before.
    fn progress(&mut self, flow: &Flow) {
        if self.ci != Ci::Azure {
            return;
        }
        let counts = flow.counts();
        let open = counts.running + counts.waiting + counts.unknown;
        let done = counts.total.saturating_sub(open);
        let percent = (done * 100).checked_div(counts.total).unwrap_or(100);
        if percent > self.percent {
            self.percent = percent;
            let what = format!("{done} of {}", counted(counts.total, "step"));
            if let Some(command) = self.ci.progress(percent, &what) {
                self.put(&command);
            }
        }
    }
}

impl<W: io::Write + Send> Report for CiLog<W> {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        if !self.is_begun {
            self.is_begun = true;
            let header = flow.header();
            let steps = counted(flow.plan().runs().count(), "step");
            let title = format!("flow {} of {}, {steps}", header.id, summary::plan_name(header));
            self.put(&self.ci.group(&title));
        }
        let step = recorded.event.step().and_then(|id| flow.index(id));
        match (&recorded.event, step) {
            (Event::StepEnded { outcome, .. }, Some(step)) if flow.step(step).kind.is_run() => {
                let is_asked = *outcome == Outcome::Cancelled && flow.is_cancelling();
                let severity = match outcome {
                    _ if is_asked => None,
                    Outcome::Warned => Some(Severity::Warning),
                    outcome if !went_wrong(*outcome) => None,
                    _ if flow.step(step).allow_failure => Some(Severity::Warning),
                    _ => Some(Severity::Error),
                };
                if let Some(severity) = severity {
                    let line = wording::finished(flow, step, recorded.at);
                    self.issue(
                        severity,
                        flow,
                        Some(step),
                        &format!("{} {}", line.who, line.word),
                        &line.text,
                    );
                }
                self.progress(flow);
            }
            (Event::AttemptEnded { outcome: Outcome::Unknown, .. }, Some(step)) => {
                let line = wording::finished(flow, step, recorded.at);
                self.issue(Severity::Error, flow, Some(step), &format!("{} unknown", line.who), &line.text);
            }
            (Event::DeadlineAtRisk { .. } | Event::DeadlineMissed { .. }, _) => {
                if let Some(line) = wording::fact(recorded, flow) {
                    let is_missed = matches!(recorded.event, Event::DeadlineMissed { .. });
                    let severity = if is_missed { Severity::Error } else { Severity::Warning };
                    let title = summary::plan_name(flow.header());
                    self.issue(severity, flow, None, &title, &line.text);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, _now: Timestamp, _text: &str) {}

    fn ask(&mut self, _now: Timestamp, _question: &[&str]) {}

    fn typed(&mut self) {}

    fn pause(&mut self, _now: Timestamp) {}

    fn snapshot(&mut self, _now: Timestamp, _flow: &Flow) {}

    fn tick(&mut self, _now: Timestamp, _flow: &Flow) {}

    fn tick_gap(&self) -> Option<Delay> {
        None
    }

    fn watched(&self, _flow: &Flow) -> Vec<StepIndex> {
        Vec::new()
    }

    fn activities(&mut self, _step: StepIndex, _activities: &[ActivitySeen]) {}

    fn compare(&mut self, _beside: &Beside) {}

    fn finish(&mut self, _now: Timestamp, _flow: &Flow) {
        if self.is_begun {
            self.put(self.ci.end_group());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::CiLog;
    use crate::flow::{Event, Outcome, Recorded};
    use crate::plan::{Place, StepId};
    use crate::report::Report;
    use crate::report::ci::Ci;
    use crate::report::sample::{Sample, error};
    use crate::time::Timestamp;

    /// Returns what a service reads of a night with a hostile error, and the same of many failures.
    fn log(ci: Ci) -> String {
        let mut sample = Sample::with(
            &[("load", ""), ("fx", ""), ("curate", "load"), ("odd", ""), ("lost", "")],
            |plan| {
                for (at, step) in plan.steps.iter_mut().enumerate() {
                    step.place = Place { line: 10 + at, column: 3 };
                }
                plan.steps[1].allow_failure = true;
            },
        );
        let hostile = "no\n::error::table\n##vso[task.complete]";
        sample.start("load").wait(60).end("load", Outcome::Failed, Some(error("", "E;1]", hostile)));
        sample.start("fx").wait(2).end("fx", Outcome::Failed, Some(error("", "", "gone")));
        sample.start("odd").wait(2).end("odd", Outcome::Warned, Some(error("Web", "", "gone")));
        sample.start("lost").wait(5).record(Event::AttemptEnded {
            step: StepId::new("lost"),
            attempt: 1,
            outcome: Outcome::Unknown,
            error: Some(error("", "", "Synapse no longer knows the run")),
            restart: None,
            outputs: None,
            activities: None,
        });
        let mut log = CiLog::new(ci, Vec::new(), PathBuf::from("/repo/plans"), PathBuf::from("/repo"));
        let mut flow = sample.fresh.clone();
        for recorded in &sample.recorded {
            flow.apply(recorded).expect("the event fits");
            log.on(recorded, &flow);
        }
        log.finish(sample.now, &flow);
        String::from_utf8(log.into_inner()).expect("commands are UTF-8")
    }

    #[test]
    fn github_reads_annotations_on_the_lines_of_the_plan() {
        insta::assert_snapshot!(log(Ci::Github), @r"
        ::group::flow 7f3a9c of nightly-sales, 5 steps
        ::error file=plans/nightly.yaml,line=10,col=3,title=load failed::after 1m00s: E;1]: no ::error::table # #vso[task.complete]
        ::warning file=plans/nightly.yaml,line=11,col=3,title=fx failed::(allowed) after 2.0s: gone
        ::warning file=plans/nightly.yaml,line=13,col=3,title=odd warned::in 2.0s; the run succeeded, yet an activity failed: Web: gone
        ::error file=plans/nightly.yaml,line=14,col=3,title=lost unknown::a person must look: Synapse no longer knows the run
        ::endgroup::
        ");
    }

    #[test]
    fn azure_reads_issues_and_progress() {
        insta::assert_snapshot!(log(Ci::Azure), @r"
        ##[group]flow 7f3a9c of nightly-sales, 5 steps
        ##vso[task.logissue type=error;sourcepath=plans/nightly.yaml;linenumber=10;columnnumber=3;]load failed: after 1m00s: E;1]: no ::error::table # #vso[task.complete]
        ##vso[task.setprogress value=20;]1 of 5 steps
        ##vso[task.setprogress value=40;]2 of 5 steps
        ##vso[task.logissue type=warning;sourcepath=plans/nightly.yaml;linenumber=11;columnnumber=3;]fx failed: (allowed) after 2.0s: gone
        ##vso[task.setprogress value=60;]3 of 5 steps
        ##vso[task.logissue type=warning;sourcepath=plans/nightly.yaml;linenumber=13;columnnumber=3;]odd warned: in 2.0s; the run succeeded, yet an activity failed: Web: gone
        ##vso[task.setprogress value=80;]4 of 5 steps
        ##vso[task.logissue type=error;sourcepath=plans/nightly.yaml;linenumber=14;columnnumber=3;]lost unknown: a person must look: Synapse no longer knows the run
        ##[endgroup]
        ");
    }

    #[test]
    fn the_eleventh_error_is_left_to_the_end_block() {
        let names: Vec<String> = (0..15).map(|n| format!("step_{n}")).collect();
        let steps: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let mut sample = Sample::new(&steps);
        for name in &names {
            sample.start(name).end(name, Outcome::Failed, Some(error("", "", "broken")));
        }
        let mut log = CiLog::new(Ci::Github, Vec::new(), PathBuf::new(), PathBuf::new());
        let late = Recorded {
            seq: sample.flow.last_seq() + 1,
            at: Timestamp::default(),
            event: Event::DeadlineAtRisk { deadline: sample.now, forecast: sample.now },
        };
        for recorded in sample.recorded.iter().chain([&late]) {
            log.on(recorded, &sample.flow);
        }
        let text = String::from_utf8(log.into_inner()).expect("commands are UTF-8");
        assert_eq!(text.matches("::error ").count(), 10, "{text}");
        assert_eq!(text.matches("::warning ").count(), 1, "{text}");
    }
}
