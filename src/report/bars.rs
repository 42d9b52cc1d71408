//! Bars on a terminal: a header, the eldest running steps below it, and lines that scroll away above.
//!
//! What is shown is decided by pure functions of the flow, in `frame.rs`; how it reaches the screen, in `sheet.rs`.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::flow::{ActivitySeen, Event, Flow, Recorded, StepState};
use crate::plan::StepIndex;
use crate::report::expected::Expected;
use crate::report::frame::{self, Span, View};
use crate::report::lines::{id_columns, plain, told};
use crate::report::look::{Look, Telling};
use crate::report::sheet::{Ground, Sheet, Terminal};
use crate::report::text::{cut, one_line, pad, width};
use crate::report::wording::Tone;
use crate::report::{Beside, Report, standing, summary};
use crate::time::{Delay, Timestamp};

/// How often the screen is redrawn.
const TICK_GAP: Delay = Delay::from_ms(100);

/// A tick that comes sooner after the last redraw is passed over; timers come a little early.
const REDRAW_GAP_MIN: Delay = Delay::from_ms(90);

/// How long the picture stays away for a person who was asked something and types.
const ASKING_MAX: Delay = Delay::from_secs(30);

/// How long the picture stays away for a process that is about to be stopped.
const PAUSE: Delay = Delay::from_secs(1);

/// How many lines wait for a terminal that may not be written to.
const ABOVE_MAX: usize = 10_000;

/// Shows a flow on a terminal.
pub struct Bars {
    /// The terminal; asked for its size before each redraw, so that the picture follows a resize.
    sheet: Sheet,
    look: Look,
    expected: Expected,
    /// Lines that the next redraw shows above what moves.
    above: Vec<Vec<Span>>,
    drawn_at: Option<Timestamp>,
    /// Until when nothing is drawn.
    rests_until: Option<Timestamp>,
    /// Whether a person was asked something and has not answered.
    is_asking: bool,
    /// The column of step ids in those lines, once the flow has been seen.
    id_columns: Option<usize>,
    /// The activity at work in the run of each step that has been watched.
    activities: BTreeMap<StepIndex, String>,
    /// What the end is compared with.
    beside: Beside,
    /// What the task bar shows.
    mark: Option<String>,
}

impl Bars {
    /// Makes bars on standard error, which must be a terminal.
    pub fn on_stderr(look: Look, expected: Expected) -> Self {
        Self::new(Terminal::stderr(), look, expected)
    }

    /// Makes bars on a terminal; draws nothing before the first tick.
    pub fn new(terminal: Terminal, look: Look, expected: Expected) -> Self {
        Self {
            sheet: Sheet::new(terminal),
            look,
            expected,
            above: Vec::new(),
            drawn_at: None,
            rests_until: None,
            is_asking: false,
            id_columns: None,
            activities: BTreeMap::new(),
            beside: Beside::default(),
            mark: None,
        }
    }

    /// Draws the picture and the lines that have come together above it, in one go.
    fn draw(&mut self, now: Timestamp, flow: &Flow) {
        self.drawn_at = Some(now);
        match self.sheet.ground() {
            Ground::Front => {}
            Ground::Back => {
                let lines = self.take_above();
                return self.sheet.leave(&lines);
            }
            Ground::Barred => {
                let excess = self.above.len().saturating_sub(ABOVE_MAX);
                self.above.drain(..excess);
                return;
            }
        }
        let (rows, columns) = self.sheet.size();
        let left = self.expected.left(flow, now);
        let view = View {
            flow,
            now,
            rows,
            columns,
            expected: &self.expected,
            left,
            activities: &self.activities,
            links: &self.look.links,
        };
        let paint = |line: &Vec<Span>| self.painted(line, columns);
        let picture: Vec<String> = frame::picture(&view).iter().map(paint).collect();
        let above: Vec<String> = self.above.iter().map(paint).collect();
        self.above.clear();
        let mark = self.look.task_bar.then(|| mark(flow));
        let news = if mark == self.mark { "" } else { mark.as_deref().unwrap_or_default() };
        self.sheet.repaint(&above, &picture, news);
        self.mark = mark;
    }

    /// Returns a line cut to the terminal, in colour and with links if they are wanted.
    fn painted(&self, spans: &[Span], columns: usize) -> String {
        let mut line = String::new();
        let mut left = columns;
        for span in spans {
            let text = cut(&span.text, left);
            left -= width(&text);
            if text.is_empty() {
                continue;
            }
            let style = if self.look.colour { style(span.tone) } else { Style::new() };
            let (before, after) = match &span.link {
                Some(page) => (format!("\x1b]8;;{page}\x1b\\"), "\x1b]8;;\x1b\\"),
                None => (String::new(), ""),
            };
            if style == Style::new() {
                let _ = write!(line, "{before}{text}{after}");
            } else {
                let _ = write!(line, "{style}{before}{text}{after}{style:#}");
            }
        }
        line
    }

    /// Returns the lines that wait to be shown, each with a line break.
    fn take_above(&mut self) -> String {
        let (_, columns) = self.sheet.size();
        let above = std::mem::take(&mut self.above);
        above.iter().map(|line| self.painted(line, columns) + "\r\n").collect()
    }

    /// Takes the picture away, shows what waits to be shown, and then this text, which may be longer than a line.
    fn interrupt(&mut self, text: &str) {
        let mut lines = self.take_above();
        lines.push_str(text);
        self.sheet.leave(&lines);
        self.drawn_at = None;
    }

    /// Returns the sequence that takes the progress out of the task bar.
    fn unmark(&mut self) -> &'static str {
        if self.mark.take().is_some() { "\x1b]9;4;0\x1b\\" } else { "" }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let unmark = self.unmark();
        self.sheet.leave(unmark);
    }
}

impl Report for Bars {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        self.expected.follow(&recorded.event);
        let step = recorded.event.step().and_then(|id| flow.index(id));
        if let Some(step) = step
            && !matches!(flow.run(step).state, StepState::Running)
        {
            self.activities.remove(&step);
        }
        // Below stands what has started.
        let is_below = matches!(recorded.event, Event::RunStarted { adopted: false, .. });
        if is_below && self.look.telling != Telling::Everything {
            return;
        }
        for line in told(recorded, flow, self.look.telling) {
            let widest = *self.id_columns.get_or_insert_with(|| id_columns(flow));
            let columns = widest.min(self.sheet.size().1 / 3);
            let text = plain(&line, columns);
            let (who, rest) = text.split_at(line.who.len());
            let (gap, rest) = rest.split_at(pad(&line.who, columns).len() - line.who.len());
            let (word, rest) = rest.split_at(" ".len() + line.word.len());
            let link = step.and_then(|step| self.look.links.of(flow, step));
            self.above.push(vec![
                Span { text: who.to_owned(), tone: Tone::Plain, link },
                Span::new(gap, Tone::Plain),
                Span::new(word, line.tone),
                Span::new(rest, Tone::Plain),
            ]);
        }
    }

    fn note(&mut self, _now: Timestamp, text: &str) {
        if self.look.telling == Telling::Nothing {
            return;
        }
        self.above.push(vec![Span::new(format!("note: {}", one_line(text)), Tone::Plain)]);
    }

    fn ask(&mut self, now: Timestamp, question: &[&str]) {
        self.interrupt(&format!("{}\r\n> ", question.join("\r\n")));
        self.is_asking = true;
        self.rests_until = Some(now + ASKING_MAX);
    }

    fn typed(&mut self) {
        if std::mem::take(&mut self.is_asking) {
            self.rests_until = None;
        }
        self.sheet.went_down();
    }

    fn pause(&mut self, now: Timestamp) {
        self.interrupt("");
        self.rests_until = Some(now + PAUSE);
    }

    fn snapshot(&mut self, now: Timestamp, flow: &Flow) {
        let left = self.expected.left(flow, now);
        let text = standing::snapshot(flow, &self.expected, left, &self.activities, now);
        self.interrupt(&text.replace('\n', "\r\n"));
        self.draw(now, flow);
    }

    fn tick(&mut self, now: Timestamp, flow: &Flow) {
        // A clock that was set back must not freeze the screen.
        let soon = |drawn_at: Timestamp| drawn_at <= now && now.since(drawn_at) < REDRAW_GAP_MIN;
        let rests = |until: Timestamp| now < until && until.since(now) <= ASKING_MAX;
        if self.drawn_at.is_some_and(soon) || self.rests_until.is_some_and(rests) {
            return;
        }
        self.rests_until = None;
        self.draw(now, flow);
    }

    fn tick_gap(&self) -> Option<Delay> {
        Some(TICK_GAP)
    }

    fn watched(&self, flow: &Flow) -> Vec<StepIndex> {
        frame::watched(flow, self.sheet.size().0)
    }

    fn activities(&mut self, step: StepIndex, activities: &[ActivitySeen]) {
        match activities.iter().rev().find(|activity| activity.status == "InProgress") {
            Some(current) => drop(self.activities.insert(step, current.name.clone())),
            None => drop(self.activities.remove(&step)),
        }
    }

    fn compare(&mut self, beside: &Beside) {
        self.beside = beside.clone();
    }

    fn finish(&mut self, now: Timestamp, flow: &Flow) {
        let unmark = self.unmark();
        // The end block is kept whole: its lines may be longer than the terminal is wide.
        let end = summary::end_block(flow, &self.beside, now).replace('\n', "\r\n");
        self.interrupt(&format!("{unmark}\r\n{end}"));
    }
}

/// Returns what the task bar shows: how much is done, in the colour of trouble once something has failed.
fn mark(flow: &Flow) -> String {
    const RUNNING: u8 = 1;
    const FAILED: u8 = 2;
    const WAITS: u8 = 4;
    let counts = flow.counts();
    let state = match (counts.failed, counts.unknown) {
        (0, 0) => RUNNING,
        (0, _) => WAITS,
        _ => FAILED,
    };
    let done = counts.total - counts.running - counts.waiting;
    format!("\x1b]9;4;{state};{}\x1b\\", (done * 100).checked_div(counts.total).unwrap_or(100))
}

const fn style(tone: Tone) -> Style {
    match tone {
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warn => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Quiet => Style::new().dimmed(),
        Tone::Plain => Style::new(),
    }
}
