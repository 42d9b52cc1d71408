//! A terminal that remembers what it shows, and flows in virtual time drawn on it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use synflow::flow::{ActivitySeen, Event, Flow, FlowHeader, Outcome, Recorded, RunId, RunStatus, StepError};
use synflow::graph::PlanGraph;
use synflow::plan::{Cloud, Edge, EdgeRule, Place, Plan, Retry, Step, StepId, StepIndex, Workspace};
use synflow::report::{Bars, Expected, Ground, Look, Report, Terminal, width};
use synflow::time::{Delay, Timestamp};
use uuid::Uuid;

use crate::play::header;

/// A terminal that remembers what was written and what it shows; its clones are the same terminal.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Mutex<Inner>>);

struct Inner {
    parser: vt100::Parser,
    written: Vec<u8>,
    writes: usize,
    /// Whether it tells how large it is.
    tells_size: bool,
    ground: Ground,
}

impl Screen {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            parser: vt100::Parser::new(rows, columns, 10_000),
            written: Vec::new(),
            writes: 0,
            tells_size: true,
            ground: Ground::Front,
        })))
    }

    /// Returns what a report writes to.
    pub(crate) fn terminal(&self) -> Terminal {
        let (sized, grounded) = (self.clone(), self.clone());
        let size = move || {
            let inner = sized.0.lock().unwrap();
            inner.tells_size.then(|| inner.parser.screen().size())
        };
        Terminal::new(self.clone(), size, move || grounded.0.lock().unwrap().ground)
    }

    /// Returns the lines shown, without blanks at their ends and without empty lines below.
    pub(crate) fn lines(&self) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        let (_, columns) = inner.parser.screen().size();
        let lines = inner.parser.screen().rows(0, columns).map(|line| line.trim_end().to_owned());
        let mut lines: Vec<String> = lines.collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Returns how often something was written to it.
    pub(crate) fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    /// Returns all that was written.
    pub(crate) fn written(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().written.clone()).unwrap()
    }

    /// Shows text that does not come from a report: what the terminal echoes.
    pub(crate) fn echo(&self, text: &str) {
        self.0.lock().unwrap().parser.process(text.as_bytes());
    }

    /// Puts the process that writes to it somewhere else.
    pub(crate) fn put_on(&self, ground: Ground) {
        self.0.lock().unwrap().ground = ground;
    }

    /// Makes it a terminal that does not tell its size.
    pub(crate) fn hide_size(&self) {
        self.0.lock().unwrap().tells_size = false;
    }

    /// Resizes it as xterm does: lines that are too long are cut off.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.0.lock().unwrap().parser.screen_mut().set_size(rows, columns);
    }

    /// Resizes it as most terminals do: lines that are too long are wrapped, and the cursor stays with its letter.
    pub(crate) fn rewrap(&self, rows: u16, columns: u16) {
        let lines = self.lines();
        let mut inner = self.0.lock().unwrap();
        let (cursor_row, cursor_column) = inner.parser.screen().cursor_position();
        assert_eq!(cursor_column, 0, "the cursor is at the start of a line");
        let mut wrapped = Vec::new();
        let mut cursor = 0;
        for (at, line) in lines.iter().enumerate() {
            if at == usize::from(cursor_row) {
                cursor = wrapped.len();
            }
            let mut piece = String::new();
            for letter in line.chars() {
                if width(&piece) + width(letter.encode_utf8(&mut [0; 4])) > usize::from(columns) {
                    wrapped.push(std::mem::take(&mut piece));
                }
                piece.push(letter);
            }
            wrapped.push(piece);
        }
        let below = wrapped.len() - 1 - cursor;
        let mut parser = vt100::Parser::new(rows, columns, 10_000);
        parser.process(wrapped.join("\r\n").as_bytes());
        parser.process(b"\r");
        if below > 0 {
            parser.process(format!("\x1b[{below}A").as_bytes());
        }
        inner.parser = parser;
    }
}

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.parser.process(bytes);
        inner.written.extend_from_slice(bytes);
        inner.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A flow in virtual time on a screen.
pub(crate) struct Show {
    pub(crate) flow: Flow,
    pub(crate) bars: Bars,
    pub(crate) screen: Screen,
    pub(crate) now: Timestamp,
}

impl Show {
    /// Shows a flow of these steps, each with the positions of its upstreams.
    pub(crate) fn new(screen: &Screen, look: Look, steps: &[(String, Vec<usize>)]) -> Self {
        Self::with(screen, look, Expected::default(), steps, |_| {})
    }

    /// Shows a flow of which something is known, and whose plan was changed before.
    pub(crate) fn with(
        screen: &Screen,
        look: Look,
        expected: Expected,
        steps: &[(String, Vec<usize>)],
        change: impl FnOnce(&mut Plan),
    ) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let mut plan = plan(steps);
        change(&mut plan);
        let graph = PlanGraph::link(&plan).unwrap();
        let header = FlowHeader {
            created_at: now,
            emulated: false,
            ..header("7f3a9c", &plan.name, plan.max_parallel)
        };
        let flow = Flow::new(header, Arc::new(plan), Arc::new(graph));
        let bars = Bars::new(screen.terminal(), look, expected);
        Self { flow, bars, screen: screen.clone(), now }
    }

    pub(crate) fn record(&mut self, event: Event) {
        let recorded = Recorded { seq: self.flow.last_seq() + 1, at: self.now, event };
        self.flow.apply(&recorded).unwrap();
        self.bars.on(&recorded, &self.flow);
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now = self.now + Delay::from_ms(ms);
        self.bars.tick(self.now, &self.flow);
    }

    pub(crate) fn id(&self, step: usize) -> StepId {
        self.flow.step(StepIndex(step)).id.clone()
    }

    pub(crate) fn intend(&mut self, step: usize) -> RunId {
        let run = RunId(Uuid::from_u128(step as u128 + 1));
        let attempt = self.flow.run(StepIndex(step)).attempts.len() as u32 + 1;
        self.record(Event::StartIntended {
            step: self.id(step),
            attempt,
            run,
            parameters: Map::new(),
            secrets: Vec::new(),
            recovery: None,
        });
        run
    }

    pub(crate) fn start(&mut self, step: usize) {
        let run = self.intend(step);
        self.record(Event::RunStarted { step: self.id(step), attempt: 1, run, adopted: false });
    }

    pub(crate) fn status(&mut self, step: usize, status: RunStatus) {
        self.record(Event::RunChanged { step: self.id(step), attempt: 1, status });
    }

    /// Ends the run and the attempt, not yet the step.
    pub(crate) fn end_attempt(&mut self, step: usize, error: Option<&str>) -> Outcome {
        let (status, outcome) = match error {
            None => (RunStatus::Succeeded, Outcome::Succeeded),
            Some(_) => (RunStatus::Failed, Outcome::Failed),
        };
        let error = error.map(|message| StepError {
            code: "2200".to_owned(),
            message: message.to_owned(),
            activity: Some("Copy_2".to_owned()),
            via: Vec::new(),
        });
        let id = self.id(step);
        self.record(Event::RunEnded {
            step: id.clone(),
            attempt: 1,
            status,
            message: String::new(),
            run_start: None,
            run_end: None,
            returned: None,
        });
        self.record(Event::AttemptEnded {
            step: id,
            attempt: 1,
            outcome,
            error,
            restart: None,
            outputs: None,
            activities: None,
        });
        outcome
    }

    pub(crate) fn end(&mut self, step: usize, error: Option<&str>) {
        let outcome = self.end_attempt(step, error);
        self.record(Event::StepEnded { step: self.id(step), outcome, reason: String::new() });
    }

    pub(crate) fn activity(&mut self, step: usize, name: &str) {
        let activity = |name: &str, status: &str| ActivitySeen {
            name: name.to_owned(),
            kind: "Copy".to_owned(),
            iteration: String::new(),
            status: status.to_owned(),
            start: None,
            end: None,
            error: StepError::default(),
            output: Value::Null,
            child: None,
        };
        let seen = [
            activity("Lookup_1", "Succeeded"),
            activity("Wait_1", "InProgress"),
            activity(name, "InProgress"),
        ];
        self.bars.activities(StepIndex(step), &seen);
    }
}

fn plan(steps: &[(String, Vec<usize>)]) -> Plan {
    let step = |(id, upstreams): &(String, Vec<usize>)| Step {
        id: StepId::new(id),
        pipeline: format!("pl_{id}"),
        depends_on: upstreams
            .iter()
            .map(|&at| Edge { upstream: StepIndex(at), rule: EdgeRule::Bare, place: Place::default() })
            .collect(),
        retry: Retry { max_attempts: 2, ..Retry::default() },
        ..Step::default()
    };
    Plan {
        name: "nightly-sales".to_owned(),
        description: None,
        workspaces: vec![Workspace {
            key: "main".to_owned(),
            name: "contoso-dw".to_owned(),
            endpoint: "https://contoso-dw.dev.azuresynapse.net".to_owned(),
            cloud: Cloud::Public,
            tenant: None,
            auth: None,
        }],
        inputs: Map::new(),
        secret_inputs: std::collections::BTreeSet::new(),
        environment: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        env: BTreeMap::new(),
        run_key: String::new(),
        deadline: None,
        hooks: synflow::plan::Hooks::default(),
        max_parallel: 1000,
        pools: Vec::new(),
        max_failures: None,
        steps: steps.iter().map(step).collect(),
        tests: Vec::new(),
    }
}

pub(crate) fn named(names: &[&str]) -> Vec<(String, Vec<usize>)> {
    names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect()
}

/// A flow in which every kind of waiting is to be seen.
pub(crate) fn busy(screen: &Screen, look: Look) -> Show {
    let names = [
        "load",
        "curate",
        "queued",
        "unclear",
        "not_sent",
        "retrying",
        "starting",
        "数据仓库的一个很长很长的名字",
    ];
    let mut show = Show::new(screen, look, &named(&names));
    show.start(0);
    show.start(1);
    show.status(1, RunStatus::InProgress);
    show.activity(1, "Copy_Final");
    show.start(2);
    show.status(2, RunStatus::Queued);
    show.intend(3);
    let reason = "502 Bad Gateway\x1b[2J".to_owned();
    show.record(Event::StartUnclear { step: show.id(3), attempt: 1, reason, refusal: None, other: None });
    show.wait(65_000);
    show.intend(4);
    let (reason, again_at) = ("429 Too Many Requests".to_owned(), show.now + Delay::from_secs(5));
    show.record(Event::StartNotSent { step: show.id(4), attempt: 1, reason, again_at });
    show.start(5);
    show.end_attempt(5, Some("deadlock"));
    let at = show.now + Delay::from_secs(30);
    show.record(Event::RetryScheduled { step: show.id(5), attempt: 2, at });
    show.intend(6);
    show.end(0, None);
    show.start(7);
    show.status(7, RunStatus::InProgress);
    show.activity(7, "复制数据 with a name that is longer than any screen would like to show in one line of eighty columns");
    show.wait(2_000);
    show
}
