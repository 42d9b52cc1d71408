//! The bars, drawn into an emulated terminal: what a person sees at different sizes.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;
use serde_json::{Map, Value};
use synflow::flow::{
    ActivitySeen, Event, Flow, FlowHeader, FlowId, Outcome, Recorded, RunId, RunStatus, StepError,
};
use synflow::graph::PlanGraph;
use synflow::plan::{Cloud, Edge, EdgeRule, Place, Plan, Retry, Step, StepId, StepIndex, Workspace};
use synflow::report::{Bars, Report};
use synflow::time::{Delay, Timestamp};
use uuid::Uuid;

/// A terminal that remembers what was written and what it shows; its clones are the same terminal.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Mutex<Inner>>);

struct Inner {
    parser: vt100::Parser,
    waiting: Vec<u8>,
    written: Vec<u8>,
    flushes: usize,
    /// Whether it tells how large it is.
    tells_size: bool,
}

impl Screen {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let parser = vt100::Parser::new(rows, columns, 10_000);
        Self(Arc::new(Mutex::new(Inner {
            parser,
            waiting: Vec::new(),
            written: Vec::new(),
            flushes: 0,
            tells_size: true,
        })))
    }

    fn push(&self, bytes: &str) {
        self.0.lock().unwrap().waiting.extend_from_slice(bytes.as_bytes());
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

    fn flushes(&self) -> usize {
        self.0.lock().unwrap().flushes
    }

    fn written(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().written.clone()).unwrap()
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.0.lock().unwrap().parser.screen_mut().set_size(rows, columns);
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        let inner = self.0.lock().unwrap();
        if inner.tells_size { inner.parser.screen().size().1 } else { 0 }
    }

    fn height(&self) -> u16 {
        let inner = self.0.lock().unwrap();
        if inner.tells_size { inner.parser.screen().size().0 } else { 0 }
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.push(&format!("\x1b[{n}A"));
        }
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.push(&format!("\x1b[{n}B"));
        }
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.push(&format!("\x1b[{n}C"));
        }
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.push(&format!("\x1b[{n}D"));
        }
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.push(&format!("{line}\r\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.parser.process(&waiting);
        inner.written.extend_from_slice(&waiting);
        inner.flushes += 1;
        Ok(())
    }
}

/// A flow in virtual time on a screen.
struct Show {
    flow: Flow,
    bars: Bars<Screen>,
    screen: Screen,
    now: Timestamp,
}

impl Show {
    /// Shows a flow of these steps, each with the positions of its upstreams.
    fn new(screen: &Screen, colour: bool, steps: &[(String, Vec<usize>)]) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let plan = plan(steps);
        let graph = PlanGraph::link(&plan).unwrap();
        let header = FlowHeader {
            id: FlowId("7f3a9c".to_owned()),
            plan_name: plan.name.clone(),
            plan_file: "nightly.yaml".to_owned(),
            plan_text: String::new(),
            plan_sha256: String::new(),
            environment: String::new(),
            run_key: String::new(),
            selection: synflow::graph::Selection::default(),
            inputs: Map::new(),
            env: std::collections::BTreeMap::new(),
            created_at: now,
            emulated: false,
            max_parallel: plan.max_parallel,
            seed: 1,
            trust: std::collections::BTreeMap::new(),
            definitions: std::collections::BTreeMap::new(),
        };
        let flow = Flow::new(header, Arc::new(plan), Arc::new(graph));
        Self { flow, bars: Bars::new(screen.clone(), colour), screen: screen.clone(), now }
    }

    fn record(&mut self, event: Event) {
        let recorded = Recorded { seq: self.flow.last_seq() + 1, at: self.now, event };
        self.flow.apply(&recorded).unwrap();
        self.bars.on(&recorded, &self.flow);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Delay::from_ms(ms);
        self.bars.tick(self.now, &self.flow);
    }

    fn id(&self, step: usize) -> StepId {
        self.flow.step(StepIndex(step)).id.clone()
    }

    fn intend(&mut self, step: usize) -> RunId {
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

    fn start(&mut self, step: usize) {
        let run = self.intend(step);
        self.record(Event::RunStarted { step: self.id(step), attempt: 1, run, adopted: false });
    }

    fn status(&mut self, step: usize, status: RunStatus) {
        self.record(Event::RunChanged { step: self.id(step), attempt: 1, status });
    }

    /// Ends the run and the attempt, not yet the step.
    fn end_attempt(&mut self, step: usize, error: Option<&str>) -> Outcome {
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

    fn end(&mut self, step: usize, error: Option<&str>) {
        let outcome = self.end_attempt(step, error);
        self.record(Event::StepEnded { step: self.id(step), outcome, reason: String::new() });
    }

    fn activity(&mut self, step: usize, name: &str) {
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
        env: std::collections::BTreeMap::new(),
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

fn named(names: &[&str]) -> Vec<(String, Vec<usize>)> {
    names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect()
}

/// A flow in which every kind of waiting is to be seen.
fn busy(screen: &Screen, colour: bool) -> Show {
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
    let mut show = Show::new(screen, colour, &named(&names));
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

#[test]
fn says_what_each_step_does_or_waits_for() {
    let screen = Screen::new(24, 80);
    let show = busy(&screen, false);
    insta::assert_snapshot!(show.screen.lines().join("\n"), @r"
    unclear                    unclear    the start may have arrived (502 Bad Gatew…
    not_sent                   not sent   sending the start again in 5s: 429 Too Ma…
    retrying                   retry      attempt 2 of 2 in 30s; attempt 1 failed: …
    load                       succeeded  in 1m05s
    nightly-sales  ██░░░░░░░░░░░░░░  1/8 done  0 failed  6 running  1 waiting  1m07s
      curate                       1m07s  Copy_Final
      queued                       1m07s  queued in Synapse
      unclear                      1m07s  start unclear (502 Bad Gateway␛[2J), look…
      not_sent                        2s  sending the start again in 3s: 429 Too Ma…
      retrying                        2s  attempt 2 in 28s: Copy_2: 2200: deadlock
      starting                        2s  waiting for Synapse to answer the start
      数据仓库的一个很长很长的…       2s  复制数据 with a name that is longer than …
    ");
    assert!(!screen.written().contains("\x1b[2J"), "an error text cleared the screen");
    assert!(!screen.written().contains("\x1b[3"), "colour although none was wanted");
}

#[test]
fn fits_any_width() {
    for columns in [1, 10, 40, 60, 80, 200] {
        let screen = Screen::new(24, columns);
        let mut show = busy(&screen, true);
        for _ in 0..20 {
            show.wait(500);
        }
        let lines = screen.lines();
        // A line that wrapped would leave old pictures behind: each thing stands there once.
        let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        if columns >= 60 {
            assert_eq!(count("1/8 done"), 1, "{columns} columns: {lines:#?}");
            assert_eq!(count("Copy_Final"), 1, "{columns} columns: {lines:#?}");
            assert_eq!(count("attempt 2 in"), 1, "{columns} columns: {lines:#?}");
            assert!(count("░") == 1, "{columns} columns: {lines:#?}");
        }
        assert!(lines.len() <= 12, "{columns} columns: {lines:#?}");
    }
}

#[test]
fn shows_the_eldest_eight_of_five_hundred() {
    for (rows, columns, shown) in [(24, 60, 8), (24, 80, 8), (50, 200, 8), (6, 80, 3), (3, 80, 0), (1, 80, 0)]
    {
        let screen = Screen::new(rows, columns);
        let names: Vec<String> = (0..600).map(|number| format!("step_{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut show = Show::new(&screen, true, &named(&names));
        for step in 0..500 {
            show.now = show.now + Delay::from_ms(1);
            show.start(step);
        }
        for _ in 0..20 {
            show.wait(1_000);
        }
        let lines = screen.lines();
        assert!(lines[0].contains("500 running  100 waiting"), "{lines:#?}");
        let steps: Vec<&String> = lines.iter().filter(|line| line.starts_with("  step_")).collect();
        assert_eq!(steps.len(), shown, "{rows} rows: {lines:#?}");
        for (at, line) in steps.iter().enumerate() {
            assert!(line.starts_with(&format!("  step_{at:03}")), "{lines:#?}");
        }
        let more =
            lines.iter().filter(|line| line.contains(&format!("... and {} more", 500 - shown))).count();
        assert_eq!(more, usize::from(rows > 2), "{rows} rows: {lines:#?}");
        assert!(lines.len() <= usize::from(rows), "{lines:#?}");
        assert_eq!(show.bars.watched(&show.flow).len(), shown);
    }
}

#[test]
fn finished_steps_scroll_away_in_order() {
    let screen = Screen::new(10, 80);
    let names: Vec<String> = (0..30).map(|number| format!("step_{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut show = Show::new(&screen, false, &named(&names));
    (0..30).for_each(|step| show.start(step));
    for step in 0..30 {
        show.wait(100);
        show.end(step, (step == 7).then_some("line one\nline two"));
    }
    show.record(Event::FlowEnded { exit_code: 1 });
    let before = screen.flushes();
    show.bars.finish(show.now, &show.flow);
    assert!(screen.flushes() > before);
    let mut tall = vt100::Parser::new(80, 80, 0);
    tall.process(screen.written().as_bytes());
    let all = tall.screen().contents();
    let ended: Vec<&str> = all.lines().filter(|line| line.starts_with("step_")).collect();
    assert_eq!(ended.len(), 30, "{all}");
    for (at, line) in ended.iter().enumerate() {
        assert!(line.starts_with(&format!("step_{at:03}")), "{all}");
    }
    assert_eq!(ended[7], "step_007 failed     after 0.8s: Copy_2: 2200: line one line two");
    assert!(!all.contains("30/30 done"), "the bars were left behind:\n{all}");
    assert!(all.contains("flow 7f3a9c of nightly-sales failed after 3.0s"), "{all}");
}

#[test]
fn draws_at_most_once_a_tick() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, false);
    let before = screen.flushes();
    for _ in 0..10 {
        show.bars.tick(show.now, &show.flow);
        show.bars.note(show.now, "the service is slow");
    }
    assert_eq!(screen.flushes(), before, "a tick too soon draws nothing");
    for _ in 0..10 {
        show.wait(100);
    }
    assert_eq!(screen.flushes(), before + 10);
    let lines = screen.lines();
    assert_eq!(lines.iter().filter(|line| *line == "note: the service is slow").count(), 10, "{lines:#?}");
}

#[test]
fn follows_a_resize() {
    let screen = Screen::new(24, 80);
    let mut show = busy(&screen, false);
    screen.resize(24, 200);
    show.wait(100);
    assert!(screen.lines().iter().any(|line| line.contains("in one line of eighty columns")));
    screen.resize(6, 200);
    show.wait(100);
    assert_eq!(show.bars.watched(&show.flow), [StepIndex(1)]);
}

#[test]
fn a_terminal_that_does_not_tell_its_size_is_taken_for_a_usual_one() {
    let screen = Screen::new(24, 80);
    screen.0.lock().unwrap().tells_size = false;
    let show = busy(&screen, false);
    let usual = busy(&Screen::new(24, 80), false);
    assert_eq!(show.screen.lines(), usual.screen.lines());
}

#[test]
fn nothing_that_moves_stays_behind_after_an_error() {
    let screen = Screen::new(24, 80);
    drop(busy(&screen, false));
    let lines = screen.lines();
    assert_eq!(lines.last().map(String::as_str), Some("load                       succeeded  in 1m05s"));
}

#[test]
fn colours_only_on_request() {
    let screen = Screen::new(24, 80);
    busy(&screen, true);
    assert!(screen.written().contains("\x1b[32m"), "green for what is done");
}
