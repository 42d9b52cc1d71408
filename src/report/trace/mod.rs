//! A flow's events as the spans of a trace (OpenTelemetry): one for the flow, each step, each attempt, each activity.
//!
//! Ids follow from the flow and the numbers of its events alone. So the process that resumes a flow goes on in the same
//! trace, and a span, which is given out when its end is recorded, is given out once. No span holds a parameter, an input
//! or an output. Knows nothing of how spans are sent.

mod contents;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::flow::{Event, Flow, FlowHeader, Recorded, Resolution};
use crate::plan::StepId;
use crate::time::Timestamp;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its id within the trace.
    pub id: u64,
    /// The span that it is a part of.
    pub parent: Option<u64>,
    /// Whether the parent is somebody else's span.
    pub has_foreign_parent: bool,
    /// Spans that it follows from without being a part of them.
    pub follows: Vec<u64>,
    /// What it is of.
    pub kind: SpanKind,
    /// Its name: the same for all that do the same.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// What happened meanwhile, in order.
    pub moments: Vec<Moment>,
    /// Whether it is marked as an error, and with which words.
    pub failure: Option<String>,
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A flow.
    Flow,
    /// A step.
    Step,
    /// An attempt: the part that happens in the workspace.
    Attempt,
    /// An activity of its run, or of a run below it.
    Activity,
}

/// Something that happened while a span was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The journal's word for it.
    pub name: &'static str,
    /// When it was recorded.
    pub at: Timestamp,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
}

/// A name with a value.
pub type Attribute = (&'static str, Value);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// A span of somebody else's that the flow is a part of, such as a job of CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: u128,
    /// Its id.
    pub span: u64,
}

/// Which spans of a flow are open, folded from its events.
#[derive(Clone, Debug)]
pub struct Trace {
    id: u128,
    parent: Option<Parent>,
    /// What makes the ids those of this flow.
    seed: [u8; 32],
    flow: Open,
    /// The flow's span from before it was resumed after its end.
    earlier: Option<u64>,
    is_over: bool,
    steps: BTreeMap<StepId, OpenStep>,
}

/// A span that has not ended.
#[derive(Clone, Debug)]
struct Open {
    id: u64,
    since: Timestamp,
    moments: Vec<Moment>,
}

#[derive(Clone, Debug)]
struct OpenStep {
    span: Open,
    attempt: Option<Open>,
}

/// A span whose end was just recorded.
struct Ended {
    of: Whose,
    span: Open,
    parent: Option<u64>,
}

enum Whose {
    Flow {
        follows: Option<u64>,
    },
    Step(StepId),
    /// Of the step's newest attempt.
    Attempt(StepId),
}

impl Trace {
    /// Makes the trace of a flow before its first event: its own, or that of its parent.
    pub fn of(header: &FlowHeader, parent: Option<Parent>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"synflow trace");
        hash.update(header.id.0.as_bytes());
        hash.update(header.created_at.epoch_ms().to_be_bytes());
        let seed: [u8; 32] = hash.finalize().into();
        let own = u128::from_be_bytes(seed[..16].try_into().expect("a digest has 32 bytes"));
        Self {
            id: parent.map_or(own, |parent| parent.trace),
            parent,
            flow: Open::new(&seed, "flow", 0, header.created_at),
            seed,
            earlier: None,
            is_over: false,
            steps: BTreeMap::new(),
        }
    }

    /// Returns the trace's id.
    pub const fn id(&self) -> u128 {
        self.id
    }

    /// Takes in an event that an earlier process has recorded: what ended then was given out then.
    pub fn recall(&mut self, recorded: &Recorded) {
        drop(self.follow(recorded));
    }

    /// Takes in an event and returns the spans that end with it. `flow` has the event already.
    pub fn on(&mut self, recorded: &Recorded, flow: &Flow) -> Vec<Span> {
        let mut spans = Vec::new();
        for ended in self.follow(recorded) {
            if let Whose::Attempt(step) = &ended.of {
                spans.extend(self.activities(step, ended.span.id, recorded, flow).unwrap_or_default());
            }
            spans.extend(contents::fill(ended, recorded, flow));
        }
        spans
    }

    /// Opens and closes what the event opens and closes.
    fn follow(&mut self, recorded: &Recorded) -> Vec<Ended> {
        let Recorded { seq, at, event } = recorded;
        if self.is_over && matches!(event, Event::Resumed { .. } | Event::PlanChanged { .. }) {
            let anew = Open::new(&self.seed, "flow", *seq, *at);
            self.earlier = Some(std::mem::replace(&mut self.flow, anew).id);
            self.is_over = false;
        }
        let begins = matches!(
            event,
            Event::StartIntended { .. }
                | Event::RunAttached { .. }
                | Event::Resolved { resolution: Resolution::Run { .. }, .. }
        );
        if let (true, Some(id)) = (begins, event.step()) {
            let open = |kind| Open::new(&self.seed, kind, *seq, *at);
            let (span, attempt) = (open("step"), open("attempt"));
            let step = self.steps.entry(id.clone()).or_insert(OpenStep { span, attempt: None });
            step.attempt.get_or_insert(attempt);
        }
        if let Some(moment) = contents::moment(event, *at)
            && let Some(span) = self.open_span(event)
        {
            span.moments.push(moment);
        }
        match event {
            Event::AttemptEnded { step, .. } | Event::StartRefused { step, .. } => {
                self.end_attempt(step).into_iter().collect()
            }
            Event::StepEnded { step, .. } => {
                let parent = Some(self.flow.id);
                // One that was called off before it was sent has no end of its own.
                let attempt = self.end_attempt(step);
                let open = self.steps.remove(step).map(|open| open.span);
                let span = open.unwrap_or_else(|| Open::new(&self.seed, "step", *seq, *at));
                attempt.into_iter().chain([Ended { of: Whose::Step(step.clone()), span, parent }]).collect()
            }
            Event::FlowEnded { .. } => {
                self.is_over = true;
                let of = Whose::Flow { follows: self.earlier };
                vec![Ended { of, span: self.flow.clone(), parent: self.parent.map(|parent| parent.span) }]
            }
            _ => Vec::new(),
        }
    }

    /// Returns the innermost open span that an event belongs to.
    fn open_span(&mut self, event: &Event) -> Option<&mut Open> {
        let Some(id) = event.step() else { return (!self.is_over).then_some(&mut self.flow) };
        let step = self.steps.get_mut(id)?;
        match &mut step.attempt {
            Some(attempt) if contents::is_of_attempt(event) => Some(attempt),
            _ => Some(&mut step.span),
        }
    }

    fn end_attempt(&mut self, id: &StepId) -> Option<Ended> {
        let step = self.steps.get_mut(id)?;
        let parent = Some(step.span.id);
        let span = step.attempt.take()?;
        Some(Ended { of: Whose::Attempt(id.clone()), span, parent })
    }
}

impl Open {
    /// Opens a span: kind and number of the event that begins it are its own within the flow.
    fn new(seed: &[u8; 32], kind: &str, seq: u64, since: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed);
        hash.update(kind.as_bytes());
        hash.update(seq.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let id = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        Self { id, since, moments: Vec::new() }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Parent, Span, SpanKind, Trace, Value};
    use crate::flow::{
        ActivitiesKept, ActivityRun, ChildRun, Event, Flow, Outcome, Recorded, Resolution, RunId, RunStatus,
    };
    use crate::plan::{Retry, StepId};
    use crate::report::sample::{Sample, error};
    use crate::time::Delay;

    /// Returns the spans that a process gives out which records the events from this position on.
    fn spans(before: &Flow, events: &[Recorded], from: usize, parent: Option<Parent>) -> Vec<Span> {
        let (mut flow, mut trace) = (before.clone(), Trace::of(before.header(), parent));
        let mut spans = Vec::new();
        for (position, recorded) in events.iter().enumerate() {
            flow.apply(recorded).expect("the event fits");
            if position < from {
                trace.recall(recorded);
            } else {
                spans.extend(trace.on(recorded, &flow));
            }
        }
        spans
    }

    /// Returns spans as text: their places and times, not their ids.
    fn outline(spans: &[Span]) -> String {
        let line = |span: &Span| {
            let parent = spans.iter().find(|other| Some(other.id) == span.parent);
            let parent = parent.map_or("-", |parent| &parent.name);
            let moments: Vec<&str> = span.moments.iter().map(|moment| moment.name).collect();
            let failure = span.failure.as_deref().unwrap_or("ok");
            let (start, end) = (span.start.to_string(), span.end.to_string());
            let times = format!("{} {}", &start[11..19], &end[11..19]);
            format!("{times} {:?} {} in {parent}: {failure} [{}]\n", span.kind, span.name, moments.join(" "))
        };
        spans.iter().map(line).collect()
    }

    fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
        span.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// A flow in which a step is tried twice, one is not needed and one fails.
    fn night() -> (Flow, Sample) {
        let mut sample =
            Sample::with(&[("load", ""), ("curate", "load"), ("alarm", "load:failed")], |plan| {
                plan.steps[0].retry = Retry { max_attempts: 2, ..Retry::default() };
            });
        let before = sample.flow.clone();
        sample.wait(5).start("load").wait(60);
        sample.end("load", Outcome::Failed, Some(error("Copy_1", "2200", "no table")));
        sample.wait(30).start("load").wait(60).end("load", Outcome::Succeeded, None);
        sample.wait(1).start("curate").wait(20);
        sample.end("curate", Outcome::Failed, Some(error("", "Late", "too late")));
        (before, sample)
    }

    #[test]
    fn every_flow_step_and_attempt_is_a_span_within_its_parent() {
        let (before, sample) = night();
        let spans = spans(&before, &sample.recorded, 0, None);
        insta::assert_snapshot!(outline(&spans), @r"
        23:50:05 23:51:05 Attempt attempt pl_load in load: Copy_1: 2200: no table [run_started run_ended]
        23:51:35 23:52:35 Attempt attempt pl_load in load: ok [run_started run_ended]
        23:50:05 23:52:35 Step load in RUN nightly-sales: ok [retry_scheduled]
        23:52:35 23:52:35 Step alarm in RUN nightly-sales: ok []
        23:52:36 23:52:56 Attempt attempt pl_curate in curate: Late: too late [run_started run_ended]
        23:52:36 23:52:56 Step curate in RUN nightly-sales: Late: too late []
        23:50:00 23:52:56 Flow RUN nightly-sales in -: failed: curate []
        ");
        for span in &spans {
            let parent = spans.iter().find(|other| Some(other.id) == span.parent);
            assert_eq!(parent.is_none(), span.kind == SpanKind::Flow, "{}", span.name);
            assert!(parent.is_none_or(|parent| parent.start <= span.start && span.end <= parent.end));
        }
        let mut ids: Vec<u64> = spans.iter().map(|span| span.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), spans.len());
    }

    #[test]
    fn a_later_process_gives_out_the_rest_of_the_same_trace() {
        let (before, sample) = night();
        let whole = spans(&before, &sample.recorded, 0, None);
        for from in 0..=sample.recorded.len() {
            let mut both = spans(&before, &sample.recorded[..from], 0, None);
            both.extend(spans(&before, &sample.recorded, from, None));
            assert_eq!(both, whole, "the first process ended after event {from}");
        }
    }

    #[test]
    fn a_flow_resumed_after_its_end_has_a_second_span_that_follows_the_first() {
        let (before, mut sample) = night();
        let (first, id) = (sample.recorded.len(), StepId::new("curate"));
        sample.wait(600).record(Event::Resumed {
            redo: vec![id.clone()],
            trust: std::collections::BTreeMap::new(),
            definitions: std::collections::BTreeMap::new(),
        });
        sample.wait(1).succeed("curate");
        let whole = spans(&before, &sample.recorded, 0, None);
        let flows: Vec<&Span> = whole.iter().filter(|span| span.kind == SpanKind::Flow).collect();
        assert_eq!(flows.len(), 2);
        assert_eq!(flows[1].follows, [flows[0].id]);
        assert_eq!(flows[1].start, sample.recorded[first].at);
        let curates: Vec<&Span> = whole.iter().filter(|span| span.name == id.as_str()).collect();
        assert_eq!(
            curates.iter().map(|span| span.parent).collect::<Vec<_>>(),
            [Some(flows[0].id), Some(flows[1].id)]
        );
        assert_ne!(curates[0].id, curates[1].id);
        assert_eq!(spans(&before, &sample.recorded, first, None), whole[whole.len() - 3..]);
    }

    #[test]
    fn an_attempt_that_a_person_resolves_is_another_span() {
        let mut sample = Sample::new(&[("load", "")]);
        let before = sample.flow.clone();
        sample.start("load");
        let (step, attempt, run) = (StepId::new("load"), 1, RunId(uuid::Uuid::from_u128(7)));
        sample.wait(9).record(Event::AttemptEnded {
            step: step.clone(),
            attempt,
            outcome: Outcome::Unknown,
            error: None,
            restart: None,
            outputs: None,
            activities: None,
        });
        sample.wait(60).record(Event::Resolved { step, attempt, resolution: Resolution::Run { run } });
        sample.wait(5).end("load", Outcome::Succeeded, None);
        let spans = spans(&before, &sample.recorded, 0, None);
        insta::assert_snapshot!(outline(&spans), @r"
        23:50:00 23:50:09 Attempt attempt pl_load in load: unknown [run_started]
        23:51:09 23:51:14 Attempt attempt pl_load in load: ok [run_ended]
        23:50:00 23:51:14 Step load in RUN nightly-sales: ok [resolved]
        23:50:00 23:51:14 Flow RUN nightly-sales in -: ok []
        ");
        assert_eq!(attribute(&spans[1], "synflow.run.id"), Some(&run.to_string().into()));
    }

    #[test]
    fn activities_are_inside_of_their_run() {
        let mut sample = Sample::new(&[("load", "")]);
        let before = sample.flow.clone();
        sample.start("load").wait(60);
        let row = |name: &str, status: &str, begin: u64, child: Option<ChildRun>| ActivityRun {
            name: name.to_owned(),
            kind: "Copy".to_owned(),
            status: status.to_owned(),
            iteration: String::new(),
            start: Some(sample.now - Delay::from_secs(begin)),
            end: Some(sample.now),
            error: (status == "Failed").then(|| error("", "2200", "no table")),
            child: child.map(Box::new),
        };
        let run = RunId(uuid::Uuid::from_u128(7));
        let activities = vec![row("Copy_1", "Failed", 20, None)];
        let child = ChildRun { run, pipeline: "pl_inner".to_owned(), activities };
        let unstarted = ActivityRun { start: None, ..row("Never", "Inactive", 0, None) };
        let rows =
            vec![row("Look", "Succeeded", 50, None), row("Call", "Failed", 40, Some(child)), unstarted];
        sample.record(Event::RunEnded {
            step: StepId::new("load"),
            attempt: 1,
            status: RunStatus::Failed,
            message: String::new(),
            run_start: None,
            run_end: None,
            returned: None,
        });
        sample.record(Event::AttemptEnded {
            step: StepId::new("load"),
            attempt: 1,
            outcome: Outcome::Failed,
            error: None,
            restart: None,
            outputs: None,
            activities: Some(Box::new(ActivitiesKept { rows, left_out: 3 })),
        });
        let spans = spans(&before, &sample.recorded, 0, None);
        insta::assert_snapshot!(outline(&spans), @r"
        23:50:10 23:51:00 Activity Look in attempt pl_load: ok []
        23:50:20 23:51:00 Activity Call in attempt pl_load: 2200: no table []
        23:50:40 23:51:00 Activity Copy_1 in Call: 2200: no table []
        23:50:00 23:51:00 Attempt attempt pl_load in load: failed [run_started run_ended]
        23:50:00 23:51:00 Step load in RUN nightly-sales: failed []
        23:50:00 23:51:00 Flow RUN nightly-sales in -: failed: load []
        ");
        let run = run.to_string();
        assert_eq!(attribute(&spans[1], "synflow.child.run.id"), Some(&run.as_str().into()));
        assert_eq!(attribute(&spans[2], "synflow.run.id"), Some(&run.as_str().into()));
        assert_eq!(attribute(&spans[2], "synflow.pipeline"), Some(&"pl_inner".into()));
        assert_eq!(attribute(&spans[3], "synflow.activities.left_out"), Some(&Value::Number(3)));
    }

    #[test]
    fn another_trace_takes_the_flow_in() {
        let (before, sample) = night();
        let parent = Parent { trace: 42, span: 43 };
        let spans = spans(&before, &sample.recorded, 0, Some(parent));
        let flow = spans.last().expect("there are spans");
        assert_eq!((flow.kind, flow.parent, flow.has_foreign_parent), (SpanKind::Flow, Some(43), true));
        assert!(spans[..spans.len() - 1].iter().all(|span| !span.has_foreign_parent));
        assert_eq!(Trace::of(before.header(), Some(parent)).id(), 42);
        assert_ne!(Trace::of(before.header(), None).id(), 42);
    }

    #[test]
    fn spans_say_what_went_wrong_and_hold_no_parameter() {
        let (before, mut sample) = night();
        let last = sample.recorded.len();
        let mut events = std::mem::take(&mut sample.recorded);
        for recorded in &mut events[..last] {
            if let Event::StartIntended { parameters, .. } = &mut recorded.event {
                parameters.insert("day".to_owned(), "of secrecy".into());
            }
        }
        let spans = spans(&before, &events, 0, None);
        assert!(!format!("{spans:?}").contains("secrecy"));
        let told = |span: &Span| {
            let value = |value: &Value| match value {
                Value::Text(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
            };
            let lines = span.attributes.iter().map(|(name, told)| format!("{name}={}\n", value(told)));
            lines.collect::<String>()
        };
        insta::assert_snapshot!(told(&spans[0]), @r"
        synflow.flow.id=7f3a9c
        synflow.plan=nightly-sales
        synflow.emulated=false
        synflow.step=load
        synflow.pipeline=pl_load
        synflow.workspace=contoso-dw
        server.address=contoso-dw.dev.azuresynapse.net
        synflow.attempt=1
        synflow.sends=1
        synflow.outcome=failed
        synflow.run.id=8b35ed2c-0000-4000-8000-000000000001
        synflow.run.origin=answered
        synflow.run.status=Failed
        error.type=2200
        synflow.error.code=2200
        synflow.error.activity=Copy_1
        synflow.error.message=no table
        ");
        let step = spans.iter().find(|span| span.name == "curate").expect("it ended");
        insta::assert_snapshot!(told(step), @r"
        synflow.flow.id=7f3a9c
        synflow.plan=nightly-sales
        synflow.emulated=false
        synflow.step=curate
        synflow.pipeline=pl_curate
        synflow.workspace=contoso-dw
        server.address=contoso-dw.dev.azuresynapse.net
        cicd.pipeline.task.name=curate
        cicd.pipeline.task.run.result=failure
        synflow.outcome=failed
        synflow.allow_failure=false
        synflow.attempts=1
        cicd.pipeline.task.run.id=8b35ed2c-0000-4000-8000-000000000003
        synflow.run.id=8b35ed2c-0000-4000-8000-000000000003
        error.type=Late
        synflow.error.code=Late
        synflow.error.message=too late
        ");
        insta::assert_snapshot!(told(spans.last().expect("there are spans")), @r"
        synflow.flow.id=7f3a9c
        synflow.plan=nightly-sales
        synflow.emulated=false
        cicd.pipeline.name=nightly-sales
        cicd.pipeline.run.id=7f3a9c
        cicd.pipeline.action.name=RUN
        cicd.pipeline.result=failure
        synflow.outcome=failed
        synflow.steps.total=3
        synflow.steps.succeeded=1
        synflow.steps.warned=0
        synflow.steps.failed=1
        synflow.steps.not_run=1
        synflow.exit_code=1
        error.type=failed
        ");
    }
}
