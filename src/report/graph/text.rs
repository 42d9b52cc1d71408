//! The picture in a terminal: waves, one below the other, and what each step waits for.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::report::graph::{Drawing, Kind, Link, Mark, Node, Through, name, tally};
use crate::report::text::{cut, one_line, pad, width};

/// How many upstreams of a step are named.
const SHOWN_MAX: usize = 8;

/// The longest condition that is shown whole, in columns.
const WHEN_COLUMNS_MAX: usize = 60;

/// How wide the columns of names, states and pipelines are at most; a longer text pushes what follows it.
const COLUMNS_MAX: [usize; 3] = [36, 30, 28];

/// Returns the drawing as text. It holds colours: whoever writes it takes them out where nobody can see them.
pub fn text(drawing: &Drawing) -> String {
    let mut out = format!("{}\n", one_line(&drawing.headline));
    let marks: Vec<String> =
        tally(drawing).into_iter().map(|(mark, n)| format!("{n} {}", mark.spoken())).collect();
    if !marks.is_empty() {
        out.push_str(&marks.join(", "));
        out.push('\n');
    }
    let mut incoming = vec![Vec::new(); drawing.nodes.len()];
    for link in &drawing.links {
        incoming[link.to].push(link);
    }
    let mut steps: Vec<usize> =
        (0..drawing.nodes.len()).filter(|&at| drawing.nodes[at].kind.is_step()).collect();
    steps.sort_by_key(|&at| (drawing.nodes[at].is_final, drawing.nodes[at].wave));
    let rows: Vec<[String; 4]> = steps.iter().map(|&at| row(drawing, at, &incoming[at])).collect();
    let columns = |column: usize| {
        let widths = rows.iter().map(|row| width(&row[column]));
        widths.max().unwrap_or(0).min(COLUMNS_MAX[column])
    };
    let widths = [columns(0), columns(1), columns(2)];
    let mut heading = String::new();
    for (&at, row) in steps.iter().zip(&rows) {
        let node = &drawing.nodes[at];
        let own = if node.is_final { "finally".to_owned() } else { format!("wave {}", node.wave + 1) };
        if own != heading {
            let _ = write!(out, "\n{own}\n");
            heading = own;
        }
        out.push_str(line(node, row, &widths).trim_end());
        out.push('\n');
    }
    out
}

/// Returns the line of a step, with its state in colour.
fn line(node: &Node, row: &[String; 4], widths: &[usize; 3]) -> String {
    let style = node.state.as_ref().map(|state| style(state.mark)).unwrap_or_default();
    let mut out = format!("  {}", pad(&row[0], widths[0]));
    if widths[1] > 0 {
        let blanks = widths[1].saturating_sub(width(&row[1]));
        let _ = write!(out, "  {style}{}{style:#}{:blanks$}", row[1], "");
    }
    if widths[2] > 0 {
        let _ = write!(out, "  {}", pad(&row[2], widths[2]));
    }
    if !row[3].is_empty() {
        let _ = write!(out, "  {}", row[3]);
    }
    out
}

/// Returns what is told of a step: its name, its state, its pipeline and what it waits for.
fn row(drawing: &Drawing, at: usize, incoming: &[&Link]) -> [String; 4] {
    let node = &drawing.nodes[at];
    let mut waits = Vec::new();
    if node.is_final {
        let words: Vec<&str> = incoming.iter().flat_map(|link| link.conditions.iter().copied()).collect();
        waits.push(
            match words.as_slice() {
                ["failed"] => "when all others have ended, if the flow failed",
                ["succeeded"] => "when all others have ended, if the flow succeeded",
                _ => "when all others have ended",
            }
            .to_owned(),
        );
    } else if !incoming.is_empty() {
        let mut names: Vec<String> =
            incoming.iter().take(SHOWN_MAX).map(|link| upstream(drawing, link)).collect();
        if incoming.len() > SHOWN_MAX {
            names.push(format!("{} more", incoming.len() - SHOWN_MAX));
        }
        waits.push(format!("after {}", names.join(", ")));
    }
    if let Some(when) = &node.when {
        waits.push(format!("when {}", cut(&one_line(when), WHEN_COLUMNS_MAX)));
    }
    if let Some(why) = &node.spared {
        waits.push(format!("does not run: {}", one_line(why)));
    }
    if node.allow_failure {
        waits.push("may fail".to_owned());
    }
    let pipeline = if node.pipeline == node.id { String::new() } else { one_line(&node.pipeline) };
    let state = node.state.as_ref().map(|state| one_line(&state.words)).unwrap_or_default();
    [one_line(&name(node)), state, pipeline, waits.join("; ")]
}

/// Names what a step waits for as the plan writes it.
fn upstream(drawing: &Drawing, link: &Link) -> String {
    let node = &drawing.nodes[link.from];
    let id = one_line(&node.id);
    let named = match &link.through {
        Through::All | Through::Gathering if node.kind == Kind::Junction => format!("all of {id}"),
        Through::All | Through::Gathering => id,
        Through::Paired => format!("{id} (each its own)"),
        Through::Keys(keys) => {
            let ids: Vec<String> = keys.iter().map(|key| format!("{id}[{}]", one_line(key))).collect();
            ids.join(", ")
        }
    };
    match link.conditions.as_slice() {
        [] => named,
        words => format!("{named} [{}]", words.join(", ")),
    }
}

const fn style(mark: Mark) -> Style {
    let colour = match mark {
        Mark::Succeeded => AnsiColor::Green,
        Mark::Warned | Mark::TimedOut => AnsiColor::Yellow,
        Mark::Failed | Mark::Unknown => AnsiColor::Red,
        Mark::Cancelled => AnsiColor::Magenta,
        Mark::Running => AnsiColor::Cyan,
        Mark::Waiting => return Style::new(),
        Mark::Skipped | Mark::NotNeeded | Mark::Blocked => return Style::new().dimmed(),
    };
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}
