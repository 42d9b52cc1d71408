//! Bars on a terminal: a header, the eldest running steps below it, and lines that scroll away above.
//!
//! Everything that moves is one indicatif bar whose message has several lines, so that a redraw is one write and
//! its cost does not grow with the number of running steps. What is shown is decided by pure functions of the flow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;

use anstyle::{AnsiColor, Style};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::flow::{ActivitySeen, Event, Flow, Recorded, RunStatus, StepState};
use crate::plan::StepIndex;
use crate::report::lines::{id_columns, plain};
use crate::report::sheet::Sheet;
use crate::report::text::{cut, one_line, pad, pad_left, width};
use crate::report::wording::{self, Tone, at_present, took};
use crate::report::{Beside, Report, summary};
use crate::time::{Delay, Timestamp};

/// How many running steps are shown at most: more than a reader can follow would only flicker.
const ROWS_MAX: usize = 8;

/// How often the screen is redrawn.
const TICK_GAP: Delay = Delay::from_ms(100);

/// A tick that comes sooner after the last redraw is passed over; timers come a little early.
const REDRAW_GAP_MIN: Delay = Delay::from_ms(90);

/// How narrow and how wide the bar may be.
const BAR_COLUMNS: RangeInclusive<usize> = 6..=40;

/// How much of the plan's name the header shows.
const NAME_COLUMNS_MAX: usize = 24;

/// The column of elapsed times: `10h03m` is the longest that is usual.
const ELAPSED_COLUMNS: usize = 6;

/// A piece of a line, harmless to a terminal, and how it is meant.
type Span = (String, Tone);

/// Shows a flow on a terminal.
#[derive(Debug)]
pub struct Bars<T> {
    /// The terminal; asked for its size before each redraw, so that the picture follows a resize.
    sheet: Sheet<T>,
    bar: ProgressBar,
    colour: bool,
    /// Lines that the next redraw shows above what moves.
    above: Vec<Vec<Span>>,
    drawn_at: Option<Timestamp>,
    /// The column of step ids in those lines, once the flow has been seen.
    id_columns: Option<usize>,
    /// The activity at work in the run of each step that has been watched.
    activities: BTreeMap<StepIndex, String>,
    /// What the end is compared with.
    beside: Beside,
}

impl Bars<Term> {
    /// Makes bars on standard error, which must be a terminal.
    pub fn on_stderr(colour: bool) -> Self {
        Self::new(Term::buffered_stderr(), colour)
    }
}

impl<T: TermLike + Clone + 'static> Bars<T> {
    /// Makes bars on a terminal; draws nothing before the first tick. A clone of `term` must mean the same terminal.
    pub fn new(term: T, colour: bool) -> Self {
        let sheet = Sheet::new(term);
        let target = ProgressDrawTarget::term_like(Box::new(sheet.clone()));
        let style = ProgressStyle::with_template("{msg}").expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self {
            sheet,
            bar,
            colour,
            above: Vec::new(),
            drawn_at: None,
            id_columns: None,
            activities: BTreeMap::new(),
            beside: Beside::default(),
        }
    }

    /// Draws the frame and the lines that have come together above it, in one go.
    fn draw(&mut self, now: Timestamp, flow: &Flow) {
        let (columns, rows) = self.size();
        let mut frame = vec![self.painted(&header(flow, columns, now), columns)];
        let steps = under_way(flow);
        let shown = &steps[..steps.len().min(rows_shown(rows))];
        let lines = step_lines(flow, shown, &self.activities, columns, now);
        frame.extend(lines.iter().map(|line| self.painted(line, columns)));
        if steps.len() > shown.len() && rows > 2 {
            let more = format!("  ... and {} more", steps.len() - shown.len());
            frame.push(self.painted(&[(more, Tone::Quiet)], columns));
        }
        // Unlike `set_message`, this does not draw yet.
        let bar = self.bar.clone().with_message(frame.join("\n"));
        let above = std::mem::take(&mut self.above);
        self.sheet.at_once(|| {
            if above.is_empty() {
                bar.tick();
            } else {
                // The bar's own `println` would let the terminal wrap instead of breaking the line.
                bar.suspend(|| self.leave(&above));
            }
        });
        self.drawn_at = Some(now);
    }

    fn size(&self) -> (usize, usize) {
        (usize::from(self.sheet.width()), usize::from(self.sheet.height()))
    }

    /// Returns a line cut to the terminal, in colour if that is wanted.
    fn painted(&self, spans: &[Span], columns: usize) -> String {
        let mut line = String::new();
        let mut left = columns;
        for (text, tone) in spans {
            let text = cut(text, left);
            left -= width(&text);
            let style = style(*tone);
            if self.colour && !text.is_empty() && style != Style::new() {
                let _ = write!(line, "{style}{text}{style:#}");
            } else {
                line.push_str(&text);
            }
        }
        line
    }

    /// Writes lines for good. The bar must not be on the screen.
    fn leave(&self, lines: &[Vec<Span>]) {
        let (columns, _) = self.size();
        for line in lines {
            let _ = self.sheet.write_line(&self.painted(line, columns));
        }
    }
}

impl<T: TermLike + Clone + 'static> Report for Bars<T> {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        if let Some(id) = recorded.event.step()
            && let Some(step) = flow.index(id)
            && !matches!(flow.run(step).state, StepState::Running)
        {
            self.activities.remove(&step);
        }
        // Below stands what has started.
        if matches!(recorded.event, Event::RunStarted { adopted: false, .. }) {
            return;
        }
        let Some(line) = wording::fact(recorded, flow) else { return };
        let widest = *self.id_columns.get_or_insert_with(|| id_columns(flow));
        let columns = widest.min(self.size().0 / 3);
        let text = plain(&line, columns);
        let (who, rest) = text.split_at(pad(&line.who, columns).len());
        let (word, rest) = rest.split_at(" ".len() + line.word.len());
        let spans = [(who, Tone::Plain), (word, line.tone), (rest, Tone::Plain)];
        self.above.push(spans.map(|(text, tone)| (text.to_owned(), tone)).to_vec());
    }

    fn note(&mut self, _now: Timestamp, text: &str) {
        self.above.push(vec![(format!("note: {}", one_line(text)), Tone::Plain)]);
    }

    fn tick(&mut self, now: Timestamp, flow: &Flow) {
        // A clock that was set back must not freeze the screen.
        let soon = |drawn_at: Timestamp| drawn_at <= now && now.since(drawn_at) < REDRAW_GAP_MIN;
        if !self.drawn_at.is_some_and(soon) {
            self.draw(now, flow);
        }
    }

    fn tick_gap(&self) -> Option<Delay> {
        Some(TICK_GAP)
    }

    fn watched(&self, flow: &Flow) -> Vec<StepIndex> {
        let (_, rows) = self.size();
        let at_work = |step: &StepIndex| {
            let run = flow.run(*step);
            let status = run.last_attempt().and_then(|attempt| attempt.status.as_ref());
            run.state == StepState::Running
                && !matches!(status, Some(RunStatus::Queued | RunStatus::Canceling))
        };
        under_way(flow).into_iter().take(rows_shown(rows)).filter(at_work).collect()
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
        let above = std::mem::take(&mut self.above);
        self.sheet.at_once(|| {
            self.bar.finish_and_clear();
            self.leave(&above);
            // The end block is kept whole: its lines may be longer than the terminal is wide.
            let _ = self.sheet.write_line("");
            for line in summary::end_block(flow, &self.beside, now).lines() {
                let _ = self.sheet.write_line(line);
            }
        });
    }
}

/// Returns how many steps fit below the header and above the line that counts the rest.
fn rows_shown(rows: usize) -> usize {
    rows.saturating_sub(3).min(ROWS_MAX)
}

/// Returns the steps that hold a place or wait for their next attempt, eldest first.
fn under_way(flow: &Flow) -> Vec<StepIndex> {
    let mut steps: Vec<StepIndex> = flow.live().chain(flow.retrying()).collect();
    steps.sort_by_key(|&step| (flow.run(step).attempts.first().map(|attempt| attempt.intended_at), step));
    steps
}

/// Returns the line of name, bar, counts and elapsed time. What does not fit is left out, the name first.
fn header(flow: &Flow, columns: usize, now: Timestamp) -> Vec<Span> {
    let counts = flow.counts();
    let (good, bad, other) =
        (counts.succeeded + counts.warned, counts.failed + counts.unknown, counts.not_run);
    let done = good + bad + other;
    let begun = flow.started_at().unwrap_or(flow.header().created_at);
    let always = [
        (format!("{done}/{} done", counts.total), Tone::Plain),
        (format!("{} failed", counts.failed), if counts.failed > 0 { Tone::Bad } else { Tone::Quiet }),
        (format!("{} running", counts.running), Tone::Plain),
        (format!("{} waiting", counts.waiting), Tone::Plain),
    ];
    let mut tail: Vec<Span> = always.into();
    if counts.unknown > 0 {
        tail.insert(2, (format!("{} unknown", counts.unknown), Tone::Bad));
    }
    tail.push((elapsed(flow.ended_at().unwrap_or(now).since(begun)), Tone::Plain));
    let tail_columns = tail.iter().map(|(text, _)| 2 + width(text)).sum::<usize>().saturating_sub(2);
    let mut left = columns.saturating_sub(tail_columns);
    let mut line = Vec::new();
    let name = cut(&one_line(&flow.header().plan_name), NAME_COLUMNS_MAX);
    let bar_min = *BAR_COLUMNS.start() + "  ".len();
    if width(&name) + "  ".len() + bar_min <= left {
        left -= width(&name) + "  ".len();
        line.push((name + "  ", Tone::Plain));
    }
    if bar_min <= left {
        let bar = (left - "  ".len()).min(*BAR_COLUMNS.end());
        line.extend(bar_spans(bar, counts.total, good + other, bad));
        line.push(("  ".to_owned(), Tone::Plain));
    }
    for (position, (text, tone)) in tail.into_iter().enumerate() {
        let gap = if position > 0 { "  " } else { "" };
        line.extend([(gap.to_owned(), Tone::Plain), (text, tone)]);
    }
    line
}

/// Returns a bar of so many columns. What went wrong has another pattern, not only another colour.
fn bar_spans(columns: usize, total: usize, good: usize, bad: usize) -> [Span; 3] {
    let share = |steps: usize| (steps * columns).checked_div(total).unwrap_or(columns);
    let full = share(good + bad);
    // One failure among thousands must be seen.
    let bad = share(bad).max(usize::from(bad > 0)).min(full.max(1));
    let good = full.saturating_sub(bad);
    [
        ("█".repeat(good), Tone::Good),
        ("▓".repeat(bad), Tone::Bad),
        ("░".repeat(columns - good - bad), Tone::Quiet),
    ]
}

/// Returns one line for each step: its id, how long it has been at it, what it does or waits for.
fn step_lines(
    flow: &Flow,
    steps: &[StepIndex],
    activities: &BTreeMap<StepIndex, String>,
    columns: usize,
    now: Timestamp,
) -> Vec<Vec<Span>> {
    let ids: Vec<String> = steps.iter().map(|&step| one_line(flow.step(step).id.as_str())).collect();
    let id_columns = ids.iter().map(|id| width(id)).max().unwrap_or(0).min(columns / 3);
    let line = |(&step, id): (&StepIndex, &String)| {
        let took = took(flow.run(step), now).map(elapsed).unwrap_or_default();
        let activity = activities.get(&step).map(String::as_str);
        let tone = match flow.run(step).state {
            StepState::NotSent { .. } | StepState::Unclear { .. } | StepState::Retrying { .. } => Tone::Warn,
            _ => Tone::Plain,
        };
        vec![
            (format!("  {}", pad(&cut(id, id_columns), id_columns)), Tone::Plain),
            (format!("  {}", pad_left(&took, ELAPSED_COLUMNS)), Tone::Quiet),
            (format!("  {}", at_present(flow, step, activity, now)), tone),
        ]
    };
    steps.iter().zip(&ids).map(line).collect()
}

/// Returns a time that has passed in whole seconds: tenths would flicker.
fn elapsed(delay: Delay) -> String {
    match delay.as_ms() / 1000 {
        seconds @ 0..10 => format!("{seconds}s"),
        _ => delay.short(),
    }
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
