//! A flow's events as lines of JSON, for programs: which flow it is, each event that is recorded, notes, and how it ended.
//!
//! A promise with a version: within one `schema`, members and kinds are added, never renamed or taken away.
//! `schemas/events.schema.json` is made from the types here. Main types: [`StreamLine`], and [`Events`], which writes them.

use std::io;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::{ActivitySeen, Counts, Event, Flow, FlowHeader, FlowId, FlowOutcome, Recorded};
use crate::plan::StepIndex;
use crate::report::ci::defused_json;
use crate::report::{Beside, Report, json, summary};
use crate::time::{Delay, Timestamp};

/// The version of the lines.
pub const SCHEMA: u32 = 1;

/// A line of a stream of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamLine {
    /// The flow that the lines after it are of. It comes first, once there is a flow.
    Flow {
        /// The version of the lines.
        #[schemars(extend("const" = 1))]
        schema: u32,
        /// The flow's id.
        flow: FlowId,
        /// The number of the first event that follows. Those before it were recorded by earlier processes.
        first_seq: u64,
        /// What the flow was made from.
        header: Box<FlowHeader>,
    },
    /// Something that has happened; the journal has it. `flow` and `seq` together name it for good.
    Event {
        /// The version of the lines.
        #[schemars(extend("const" = 1))]
        schema: u32,
        /// The flow's id.
        flow: FlowId,
        /// Counts from 1 without gaps within a flow.
        seq: u64,
        /// When it was recorded.
        at: Timestamp,
        /// What happened.
        event: Box<Event>,
    },
    /// Something worth knowing that is no fact of the flow, such as a question that will be asked again.
    Note {
        /// The version of the lines.
        #[schemars(extend("const" = 1))]
        schema: u32,
        /// The flow's id.
        flow: FlowId,
        /// When.
        at: Timestamp,
        /// For people.
        text: String,
    },
    /// How it ended. The last line, unless the process was killed.
    Summary(Box<Ended>),
}

/// How a process ended, and how the flow stood then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// The version of the lines.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The flow's id; nothing if none was made.
    pub flow: Option<FlowId>,
    /// When.
    pub at: Timestamp,
    /// The process's exit code.
    pub exit_code: u8,
    /// Where the flow is: `ended`, `needs_person`, `given_up`, `detached` or `unfinished`; nothing if there is none.
    pub state: Option<String>,
    /// How the flow ended: `succeeded`, `failed`, `timed_out`, `deadline_missed`, `cancelled` or `unknown`; nothing if it has not.
    pub outcome: Option<String>,
    /// How many steps are where; nothing if there is no flow.
    pub counts: Option<StepCounts>,
    /// The command that a person types next, if there is anything left to do.
    pub next: Option<String>,
    /// Why the process could not do what it was asked for, if so.
    pub error: Option<Problem>,
    /// The forecast, if the flow was only rehearsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Value>,
    /// The course of each step, if the flow was only rehearsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Value>,
}

/// How many steps are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepCounts {
    /// Steps in all.
    pub total: usize,
    /// Ended `succeeded`.
    pub succeeded: usize,
    /// Ended `warned`.
    pub warned: usize,
    /// Ended `failed`, `timed_out` or `cancelled`.
    pub failed: usize,
    /// Ended without a run: `skipped`, `not_needed`, `blocked`.
    pub not_run: usize,
    /// Under way.
    pub running: usize,
    /// Waiting for other steps, a place or the next attempt.
    pub waiting: usize,
    /// Waiting for a person.
    pub unknown: usize,
}

/// Why a process could not do what it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What went wrong.
    pub message: String,
    /// Why, from near to far.
    pub because: Vec<String>,
    /// What can be done about it.
    pub hints: Vec<String>,
}

impl StreamLine {
    /// Returns the line that begins the stream of a flow.
    pub fn begin(flow: &Flow) -> Self {
        Self::Flow {
            schema: SCHEMA,
            flow: flow.header().id.clone(),
            first_seq: flow.last_seq() + 1,
            header: Box::new(flow.header().clone()),
        }
    }

    /// Returns the line of an event.
    pub fn event(flow: &FlowId, recorded: &Recorded) -> Self {
        let Recorded { seq, at, event } = recorded.clone();
        Self::Event { schema: SCHEMA, flow: flow.clone(), seq, at, event: Box::new(event) }
    }

    /// Returns the line that ends a stream.
    pub fn end(flow: Option<&Flow>, at: Timestamp, exit_code: u8, error: Option<Problem>) -> Self {
        let is_over = |flow: &Flow| flow.is_settled() || flow.waits_for_a_person();
        let outcome = flow.filter(|flow| is_over(flow)).map(|flow| FlowOutcome::word(flow.outcome()));
        Self::Summary(Box::new(Ended {
            schema: SCHEMA,
            flow: flow.map(|flow| flow.header().id.clone()),
            at,
            exit_code,
            state: flow.map(|flow| json::flow_state(flow).to_owned()),
            outcome: outcome.map(str::to_owned),
            counts: flow.map(|flow| flow.counts().into()),
            next: flow.and_then(|flow| {
                summary::next(flow, summary::details(flow, &Beside::default(), at).is_empty())
            }),
            error,
            rehearsal: None,
            steps: None,
        }))
    }

    /// Returns what was recorded, if the line is an event.
    pub fn recorded(&self) -> Option<Recorded> {
        match self {
            Self::Event { seq, at, event, .. } => {
                Some(Recorded { seq: *seq, at: *at, event: (**event).clone() })
            }
            _ => None,
        }
    }

    /// Returns the line as it is written, with its end. Nothing in it is a command to a CI service.
    pub fn text(&self) -> String {
        let json = serde_json::to_string(self).expect("every member can be written as JSON");
        format!("{}\n", defused_json(&json))
    }
}

impl From<Counts> for StepCounts {
    fn from(counts: Counts) -> Self {
        let Counts { total, succeeded, warned, failed, not_run, running, waiting, unknown } = counts;
        Self { total, succeeded, warned, failed, not_run, running, waiting, unknown }
    }
}

/// Returns the JSON Schema of a line, draft 2020-12.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<StreamLine>();
    schema.insert("title".to_owned(), "A line of a synflow event stream".into());
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Takes out the line breaks that our own source has in its sentences, and the sizes of Rust's numbers.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if object.get("type") == Some(&Value::from("integer")) {
                object.shift_remove("format");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Writes a flow's events as lines of JSON. The line that ends the stream is the caller's: only it knows the exit code.
///
/// A writer that fails is no reason to stop a flow: what it did not take is lost, and the journal has it all.
#[derive(Debug)]
pub struct Events<W> {
    writer: W,
    flow: FlowId,
    /// The first line, until there is anything after it.
    first: Option<StreamLine>,
}

impl<W: io::Write + Send> Events<W> {
    /// Makes the stream of a flow that stands as it is given: what has happened before is not in it. Writes nothing yet.
    pub fn new(writer: W, flow: &Flow) -> Self {
        Self { writer, flow: flow.header().id.clone(), first: Some(StreamLine::begin(flow)) }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn put(&mut self, line: &StreamLine) {
        let text: String = self.first.take().iter().chain([line]).map(StreamLine::text).collect();
        let _ = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
    }
}

impl<W: io::Write + Send> Report for Events<W> {
    fn on(&mut self, recorded: &Recorded, _flow: &Flow) {
        self.put(&StreamLine::event(&self.flow, recorded));
    }

    fn note(&mut self, now: Timestamp, text: &str) {
        let (flow, text) = (self.flow.clone(), text.to_owned());
        self.put(&StreamLine::Note { schema: SCHEMA, flow, at: now, text });
    }

    fn ask(&mut self, now: Timestamp, question: &[&str]) {
        for line in question {
            self.note(now, line);
        }
    }

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
        if let Some(first) = self.first.take() {
            self.put(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, StreamLine};
    use crate::flow::Outcome;
    use crate::report::Report;
    use crate::report::sample::{Sample, error};

    #[test]
    fn a_stream_is_read_back_as_it_was() {
        let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
        sample.start("load").wait(5).end(
            "load",
            Outcome::Failed,
            Some(error("", "", "##vso[task.complete]")),
        );
        let mut events = Events::new(Vec::new(), &sample.fresh);
        for recorded in &sample.recorded {
            events.on(recorded, &sample.flow);
        }
        events.note(sample.now, "listing the runs: 503\nasking again in 5s");
        events.finish(sample.now, &sample.flow);
        let mut text = String::from_utf8(events.into_inner()).expect("JSON is UTF-8");
        text += &StreamLine::end(Some(&sample.flow), sample.now, 1, None).text();
        assert!(!text.contains("##vso["), "{text}");
        let lines: Vec<StreamLine> =
            text.lines().map(|line| serde_json::from_str(line).expect("it is a line")).collect();
        let recorded: Vec<_> = lines.iter().filter_map(StreamLine::recorded).collect();
        assert_eq!(recorded, sample.recorded);
        assert_eq!(lines.iter().map(StreamLine::text).collect::<String>(), text);
        let shown: Vec<&str> = text.lines().filter(|line| !line.contains("\"type\":\"event\"")).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        {"type":"flow","schema":1,"flow":"7f3a9c","first_seq":1,"header":{"id":"7f3a9c","plan_name":"nightly-sales","plan_file":"nightly.yaml","plan_text":"","plan_sha256":"00","environment":"","run_key":"","inputs":{},"env":{},"created_at":"2026-11-24T23:50:00.000Z","emulated":false,"max_parallel":20,"seed":1,"trust":{}}}
        {"type":"note","schema":1,"flow":"7f3a9c","at":"2026-11-24T23:50:05.000Z","text":"listing the runs: 503\nasking again in 5s"}
        {"type":"summary","schema":1,"flow":"7f3a9c","at":"2026-11-24T23:50:05.000Z","exit_code":1,"state":"ended","outcome":"failed","counts":{"total":2,"succeeded":0,"warned":0,"failed":1,"not_run":1,"running":0,"waiting":0,"unknown":0},"next":"synflow resume 7f3a9c","error":null}
        "#);
        insta::assert_snapshot!(text.lines().nth(1).unwrap_or_default(), @r#"{"type":"event","schema":1,"flow":"7f3a9c","seq":1,"at":"2026-11-24T23:50:00.000Z","event":{"kind":"start_intended","step":"load","attempt":1,"run":"8b35ed2c-0000-4000-8000-000000000001","parameters":{}}}"#);
    }

    #[test]
    fn what_never_began_ends_too() {
        let problem =
            super::Problem { message: "the plan is invalid".to_owned(), ..super::Problem::default() };
        let line = StreamLine::end(None, crate::time::Timestamp::default(), 3, Some(problem));
        insta::assert_snapshot!(line.text(), @r#"{"type":"summary","schema":1,"flow":null,"at":"1970-01-01T00:00:00.000Z","exit_code":3,"state":null,"outcome":null,"counts":null,"next":null,"error":{"message":"the plan is invalid","because":[],"hints":[]}}"#);
    }
}
