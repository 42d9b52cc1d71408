//! A chart of a rehearsed flow in text: a row for each step, time from left to right.

use crate::flow::{Flow, Outcome};
use crate::plan::StepIndex;
use crate::rehearse::account::{Account, Course};
use crate::report::{cut, one_line, pad, pad_left, width};
use crate::time::{Delay, Timestamp};

/// What the cells of a row show.
const RUNS: char = '█';
const WAITS_FOR_PLACE: char = '░';
const WAITS_FOR_RETRY: char = '·';
const WENT_WRONG: char = 'x';

/// The columns of names, of the bars and of what stands right of them.
const NAME_COLUMNS: (usize, usize) = (8, 32);
const BAR_COLUMNS_MIN: usize = 12;
const TOOK_COLUMNS: usize = 7;
const OUTCOME_COLUMNS: usize = 10;

/// Of how many iterations one row is made first where there are too many rows.
const FOLDED_MIN: usize = 4;

/// A row of the chart.
struct Row {
    name: String,
    bars: Vec<Bar>,
    took: Option<Delay>,
    slack: Option<Delay>,
    outcome: String,
    /// Whether it must be seen: it decides the length, or did not go well.
    is_telling: bool,
}

/// A stretch of time in a row.
#[derive(Clone, Copy)]
struct Bar {
    from: Timestamp,
    to: Timestamp,
    cell: char,
    ends_badly: bool,
}

/// Draws the chart within so many columns and rows.
pub(super) fn draw(flow: &Flow, account: &Account, columns: usize, rows_max: usize) -> String {
    let mut rows = rows(flow, account, usize::MAX);
    if rows.len() > rows_max {
        rows = self::rows(flow, account, FOLDED_MIN);
    }
    let left_out = leave_out(&mut rows, rows_max);
    let names = rows.iter().map(|row| width(&row.name)).max().unwrap_or(0);
    let (name_min, name_max) = NAME_COLUMNS;
    let names = names.clamp(name_min, name_max.min((columns / 3).max(name_min)));
    let right = 2 + TOOK_COLUMNS + 2 + TOOK_COLUMNS + 2 + OUTCOME_COLUMNS;
    let cells = columns.saturating_sub(names + 2 + right).max(BAR_COLUMNS_MIN);
    let scale = Scale { began: account.began, length: account.makespan(), cells };
    let mut out = format!(
        "{}  {}  {}  {}  OUTCOME\n",
        pad("STEP", names),
        axis(&scale),
        pad_left("TOOK", TOOK_COLUMNS),
        pad_left("SLACK", TOOK_COLUMNS)
    );
    let length =
        |length: Option<Delay>| pad_left(&length.map(Delay::short).unwrap_or_default(), TOOK_COLUMNS);
    for row in &rows {
        let slack = match row.slack {
            Some(Delay::ZERO) => pad_left("none", TOOK_COLUMNS),
            slack => length(slack),
        };
        let line = format!(
            "{}  {}  {}  {slack}  {}",
            pad(&cut(&row.name, names), names),
            paint(&row.bars, &scale),
            length(row.took),
            row.outcome
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if let Some(left_out) = left_out {
        out.push_str(&left_out);
        out.push('\n');
    }
    let legend = [
        (RUNS, "runs"),
        (WAITS_FOR_PLACE, "waits for a place"),
        (WAITS_FOR_RETRY, "waits for its next attempt"),
        (WENT_WRONG, "went wrong"),
    ];
    let legend = legend.map(|(cell, meaning)| format!("{cell} {meaning}"));
    out.push_str(&legend.join("  "));
    out.push('\n');
    out
}

/// Makes the rows in file order. Steps with so many iterations or more get one row for all.
fn rows(flow: &Flow, account: &Account, folded_min: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut courses = account.courses.iter().peekable();
    while let Some(first) = courses.peek() {
        let Some(group) = flow.step(first.step).group else {
            rows.extend(
                courses.next().map(|course| row(flow, course, one_line(flow.step(course.step).id.as_str()))),
            );
            continue;
        };
        let mut members = Vec::new();
        while let Some(member) = courses.next_if(|course| flow.step(course.step).group == Some(group)) {
            members.push(member);
        }
        rows.push(group_row(flow, group, &members));
        if members.len() < folded_min {
            let name = |course: &Course| {
                let id = flow.step(course.step).id.as_str();
                let key = id.strip_prefix(flow.step(group).id.as_str()).unwrap_or(id);
                format!("  {}", one_line(key))
            };
            rows.extend(members.into_iter().map(|member| row(flow, member, name(member))));
        }
    }
    rows
}

fn row(flow: &Flow, course: &Course, name: String) -> Row {
    let run = flow.run(course.step);
    let mut bars = Vec::new();
    let mut free_from = course.ready_at;
    for (attempt, (from, to)) in run.attempts.iter().zip(&course.attempts) {
        if let Some(ready) = free_from {
            let cell = if bars.is_empty() { WAITS_FOR_PLACE } else { WAITS_FOR_RETRY };
            bars.push(Bar { from: ready, to: *from, cell, ends_badly: false });
        }
        let ends_badly = attempt.outcome.is_some_and(|it| !is_well(it));
        bars.push(Bar { from: *from, to: *to, cell: RUNS, ends_badly });
        free_from = Some(*to);
    }
    let took = course.attempts.first().zip(course.attempts.last()).map(|(first, last)| last.1.since(first.0));
    let outcome = run.outcome();
    Row {
        name,
        bars,
        took,
        slack: course.slack,
        outcome: outcome.map_or("open", Outcome::word).to_owned(),
        is_telling: course.slack == Some(Delay::ZERO) || !outcome.is_some_and(is_well),
    }
}

/// Makes the row above the iterations of a step, or the one for all of them.
fn group_row(flow: &Flow, group: StepIndex, members: &[&Course]) -> Row {
    let held = || members.iter().flat_map(|member| &member.attempts);
    let (from, to) = (held().map(|(from, _)| *from).min(), held().map(|(_, to)| *to).max());
    let outcome = flow.run(group).outcome();
    let is_telling = !outcome.is_some_and(is_well) || members.iter().any(|it| it.slack == Some(Delay::ZERO));
    let bar = from.zip(to).map(|(from, to)| Bar { from, to, cell: '─', ends_badly: false });
    Row {
        name: format!("{} ({})", one_line(flow.step(group).id.as_str()), members.len()),
        bars: bar.into_iter().collect(),
        took: from.zip(to).map(|(from, to)| to.since(from)),
        slack: members.iter().filter_map(|member| member.slack).min(),
        outcome: outcome.map_or("open", Outcome::word).to_owned(),
        is_telling,
    }
}

const fn is_well(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded | Outcome::Warned)
}

/// Leaves out rows until so many are left, those first that tell least. Returns the line that says so.
fn leave_out(rows: &mut Vec<Row>, rows_max: usize) -> Option<String> {
    if rows.len() <= rows_max {
        return None;
    }
    let mut kept: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].is_telling).take(rows_max).collect();
    let quiet = (0..rows.len()).filter(|at| !rows[*at].is_telling);
    let room = rows_max.saturating_sub(kept.len());
    kept.extend(quiet.take(room));
    kept.sort_unstable();
    let count = rows.len() - kept.len();
    let mut at = 0;
    rows.retain(|_| {
        at += 1;
        kept.binary_search(&(at - 1)).is_ok()
    });
    Some(format!("… and {count} more rows; `--rows N` shows more, `--output json` has all"))
}

/// From times to cells.
struct Scale {
    began: Timestamp,
    length: Delay,
    cells: usize,
}

impl Scale {
    /// Returns the cell of a time.
    fn cell(&self, at: Timestamp) -> f64 {
        at.since(self.began).as_ms() as f64 * self.cells as f64 / self.length.as_ms().max(1) as f64
    }
}

fn axis(scale: &Scale) -> String {
    let (middle, end) = (scale.length.scaled(0.5).short(), scale.length.short());
    let half = scale.cells / 2;
    let left = pad("0s", half.saturating_sub(middle.len() / 2));
    let with_middle = format!("{left}{middle}");
    let room = scale.cells.saturating_sub(width(&with_middle));
    if room > end.len() { format!("{with_middle}{}", pad_left(&end, room)) } else { pad(&end, scale.cells) }
}

fn paint(bars: &[Bar], scale: &Scale) -> String {
    let mut cells = vec![' '; scale.cells];
    // Waits first: what runs for less than a cell must be seen all the same.
    let waits = bars.iter().filter(|bar| matches!(bar.cell, WAITS_FOR_PLACE | WAITS_FOR_RETRY));
    let runs = bars.iter().filter(|bar| !matches!(bar.cell, WAITS_FOR_PLACE | WAITS_FOR_RETRY));
    for bar in waits.chain(runs) {
        let is_wait = matches!(bar.cell, WAITS_FOR_PLACE | WAITS_FOR_RETRY);
        let (from, to) = (scale.cell(bar.from), scale.cell(bar.to));
        let first = (from.round() as usize).min(scale.cells - 1);
        let behind = (to.round() as usize).min(scale.cells).max(if is_wait { first } else { first + 1 });
        cells[first..behind].fill(bar.cell);
        if bar.ends_badly {
            cells[behind - 1] = WENT_WRONG;
        }
    }
    cells.into_iter().collect()
}
