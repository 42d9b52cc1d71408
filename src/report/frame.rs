//! The picture at the bottom of a terminal: a header, the eldest running steps, and what ready steps wait for.
//!
//! Pure functions of the flow. No line is wider than the terminal, and there are no more lines than it has.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::flow::{Flow, RunStatus, StepState, held_up};
use crate::plan::StepIndex;
use crate::report::cells::{DONE, cells};
use crate::report::expected::{Expected, Left};
use crate::report::look::Links;
use crate::report::standing;
use crate::report::text::{cut, one_line, pad, pad_left, width};
use crate::report::wording::{Tone, at_present, took};
use crate::time::{Delay, Timestamp};

/// How many running steps are shown at most: more than a reader can follow would only flicker.
const ROWS_MAX: usize = 8;

/// How narrow and how wide the bar may be.
const BAR_COLUMNS: RangeInclusive<usize> = 6..=40;

/// How much of the plan's name the header shows.
const NAME_COLUMNS_MAX: usize = 24;

/// The column of elapsed times: `10h03m` is the longest that is usual.
const ELAPSED_COLUMNS: usize = 6;

/// From how many columns on a row says what is usual although the step is not slow.
const USUAL_FROM_COLUMNS: usize = 72;

/// A piece of a line, harmless to a terminal, and how it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) tone: Tone,
    /// The page it leads to.
    pub(super) link: Option<String>,
}

impl Span {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, link: None }
    }
}

/// All that the picture is made of.
pub(super) struct View<'a> {
    pub(super) flow: &'a Flow,
    pub(super) now: Timestamp,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) expected: &'a Expected,
    pub(super) left: Option<Left>,
    /// The activity at work in the run of each step that has been watched.
    pub(super) activities: &'a BTreeMap<StepIndex, String>,
    pub(super) links: &'a Links,
}

/// Returns the steps that hold a place or wait for their next attempt, eldest first.
pub(super) fn under_way(flow: &Flow) -> Vec<StepIndex> {
    let mut steps: Vec<StepIndex> = flow.live().chain(flow.retrying()).collect();
    steps.sort_by_key(|&step| (flow.run(step).attempts.first().map(|attempt| attempt.intended_at), step));
    steps
}

/// Returns how many steps fit below the header and above the line that counts the rest.
fn rows_shown(rows: usize) -> usize {
    rows.saturating_sub(3).min(ROWS_MAX)
}

/// Returns the steps in the picture of a terminal with so many rows whose activities can be asked for.
pub(super) fn watched(flow: &Flow, rows: usize) -> Vec<StepIndex> {
    let at_work = |step: &StepIndex| {
        let run = flow.run(*step);
        let status = run.last_attempt().and_then(|attempt| attempt.status.as_ref());
        run.state == StepState::Running && !matches!(status, Some(RunStatus::Queued | RunStatus::Canceling))
    };
    under_way(flow).into_iter().take(rows_shown(rows)).filter(at_work).collect()
}

/// Returns the lines of the picture; they have not been cut.
pub(super) fn picture(view: &View<'_>) -> Vec<Vec<Span>> {
    let mut lines = vec![header(view)];
    let steps = under_way(view.flow);
    let shown = &steps[..steps.len().min(rows_shown(view.rows))];
    lines.extend(step_lines(view, shown));
    if steps.len() > shown.len() && view.rows > 2 {
        let more = format!("  ... and {} more", steps.len() - shown.len());
        lines.push(vec![Span::new(more, Tone::Quiet)]);
    }
    // One row is left to what has happened last.
    let room = view.rows.saturating_sub(lines.len() + 1);
    if room > 0 {
        let waits = standing::counted_waits(view.flow, &held_up(view.flow, view.now));
        lines.extend(
            waits.into_iter().take(room).map(|text| vec![Span::new(format!("  {text}"), Tone::Quiet)]),
        );
    }
    lines
}

/// Returns the line of name, bar, counts, elapsed time and what is left. What does not fit is left out: the name first,
/// then the bar.
fn header(view: &View<'_>) -> Vec<Span> {
    let flow = view.flow;
    let counts = flow.counts();
    let (good, bad, other) =
        (counts.succeeded + counts.warned, counts.failed + counts.unknown, counts.not_run);
    let done = good + bad + other;
    let begun = flow.started_at().unwrap_or(flow.header().created_at);
    let mut tail = vec![
        Span::new(format!("{done}/{} done", counts.total), Tone::Plain),
        Span::new(
            format!("{} failed", counts.failed),
            if counts.failed > 0 { Tone::Bad } else { Tone::Quiet },
        ),
        Span::new(format!("{} running", counts.running), Tone::Plain),
        Span::new(format!("{} waiting", counts.waiting), Tone::Plain),
    ];
    if counts.unknown > 0 {
        tail.insert(2, Span::new(format!("{} unknown", counts.unknown), Tone::Bad));
    }
    tail.push(Span::new(elapsed(flow.ended_at().unwrap_or(view.now).since(begun)), Tone::Plain));
    let wide =
        |spans: &[Span]| spans.iter().map(|span| 2 + width(&span.text)).sum::<usize>().saturating_sub(2);
    if let Some(left) = view.left {
        let left = Span::new(left.spoken(view.now), Tone::Plain);
        if wide(&tail) + 2 + width(&left.text) <= view.columns {
            tail.push(left);
        }
    }
    let mut room = view.columns.saturating_sub(wide(&tail));
    let mut line = Vec::new();
    let name = cut(&one_line(&flow.header().plan_name), NAME_COLUMNS_MAX);
    let bar_min = *BAR_COLUMNS.start() + "  ".len();
    if width(&name) + "  ".len() + bar_min <= room {
        room -= width(&name) + "  ".len();
        line.push(Span::new(name + "  ", Tone::Plain));
    }
    if bar_min <= room {
        let bar = (room - "  ".len()).min(*BAR_COLUMNS.end());
        line.extend(bar_spans(bar, counts.total, good + other, bad));
        line.push(Span::new("  ", Tone::Plain));
    }
    for (position, span) in tail.into_iter().enumerate() {
        if position > 0 {
            line.push(Span::new("  ", Tone::Plain));
        }
        line.push(span);
    }
    line
}

/// Returns a bar of so many columns. What went wrong has another pattern, not only another colour.
fn bar_spans(columns: usize, total: usize, good: usize, bad: usize) -> [Span; 3] {
    let cells = cells(columns, total, good + bad);
    let full = cells.chars().filter(|&cell| cell == DONE).count();
    // One failure among thousands must be seen.
    let bad = (bad * columns).checked_div(total).unwrap_or(0).max(usize::from(bad > 0)).min(full.max(1));
    let good = full.saturating_sub(bad);
    let left: String = cells.chars().skip(good + bad).collect();
    [
        Span::new(DONE.to_string().repeat(good), Tone::Good),
        Span::new("▓".repeat(bad), Tone::Bad),
        Span::new(left, Tone::Quiet),
    ]
}

/// Returns one line for each step: its id, how long it has been at it and usually is, what it does or waits for.
fn step_lines(view: &View<'_>, steps: &[StepIndex]) -> Vec<Vec<Span>> {
    let flow = view.flow;
    let ids: Vec<String> = steps.iter().map(|&step| one_line(flow.step(step).id.as_str())).collect();
    let id_columns = ids.iter().map(|id| width(id)).max().unwrap_or(0).min(view.columns / 3);
    let usual: Vec<(String, Tone)> = steps.iter().map(|&step| usual_text(view, step)).collect();
    let usual_columns = usual.iter().map(|(text, _)| width(text)).max().unwrap_or(0);
    let line = |((&step, id), (usual, usual_tone)): ((&StepIndex, &String), &(String, Tone))| {
        let took = took(flow.run(step), view.now).map(elapsed).unwrap_or_default();
        let activity = view.activities.get(&step).map(String::as_str);
        let tone = match flow.run(step).state {
            StepState::NotSent { .. } | StepState::Unclear { .. } | StepState::Retrying { .. } => Tone::Warn,
            _ => Tone::Plain,
        };
        let id = cut(id, id_columns);
        let blanks = " ".repeat(id_columns - width(&id));
        let mut spans = vec![
            Span::new("  ", Tone::Plain),
            Span { text: id, tone: Tone::Plain, link: view.links.of(flow, step) },
            Span::new(blanks, Tone::Plain),
            Span::new(format!("  {}", pad_left(&took, ELAPSED_COLUMNS)), Tone::Quiet),
        ];
        if usual_columns > 0 {
            spans.push(Span::new(format!("  {}", pad(usual, usual_columns)), *usual_tone));
        }
        let present = at_present(flow, step, activity, view.now);
        if !present.is_empty() {
            spans.push(Span::new(format!("  {present}"), tone));
        }
        spans
    };
    steps.iter().zip(&ids).zip(&usual).map(line).collect()
}

/// Returns what a step usually takes, where there is room for it or it is slow.
fn usual_text(view: &View<'_>, step: StepIndex) -> (String, Tone) {
    match (view.expected.slow(view.flow, step, view.now), view.expected.usual(view.flow, step)) {
        (Some(usual), _) => (format!("SLOW, usually {}", brief(usual.median)), Tone::Warn),
        (None, Some(usual)) if view.columns >= USUAL_FROM_COLUMNS => {
            (format!("usually {}", brief(usual.median)), Tone::Quiet)
        }
        _ => (String::new(), Tone::Quiet),
    }
}

/// Returns a time that has passed in whole seconds: tenths would flicker.
pub(super) fn elapsed(delay: Delay) -> String {
    match delay.as_ms() / 1000 {
        seconds @ 0..10 => format!("{seconds}s"),
        _ => delay.short(),
    }
}

/// Returns a time as it is compared with others: from ten minutes on without seconds.
pub(super) fn brief(delay: Delay) -> String {
    match delay.as_ms() / 1000 {
        seconds @ 600..3600 => format!("{}m", seconds / 60),
        _ => elapsed(delay),
    }
}
