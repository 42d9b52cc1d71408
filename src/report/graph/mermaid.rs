//! The picture as a Mermaid flowchart, as GitHub and many wikis draw it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::report::graph::{Drawing, Kind, Mark, name, second_line};
use crate::report::text::one_line;

/// How many arrows Mermaid draws unless it is told otherwise, which GitHub does not.
/// <https://mermaid.js.org/config/schema-docs/config-properties-maxedges.html>
pub const EDGES_MAX: usize = 500;

/// How many characters Mermaid reads unless it is told otherwise.
/// <https://mermaid.js.org/config/schema-docs/config-properties-maxtextsize.html>
pub const TEXT_MAX: usize = 50_000;

/// Returns the drawing as a `flowchart LR`. Boxes are numbered: an id such as `end` or `a--b` would be read as code.
pub fn mermaid(drawing: &Drawing) -> String {
    let mut out = format!("%% {}\nflowchart LR\n", one_line(&drawing.headline).replace(['{', '}'], ""));
    let mut marks: BTreeMap<Mark, Vec<String>> = BTreeMap::new();
    for (at, node) in drawing.nodes.iter().enumerate() {
        let second = match second_line(node) {
            text if text.is_empty() => text,
            text => format!("<br>{}", escaped(&text)),
        };
        let label = format!("\"{}{second}\"", escaped(&name(node)));
        let (open, close) = match &node.kind {
            Kind::Step { .. } => ("[", "]"),
            Kind::Group { .. } => ("[[", "]]"),
            Kind::Junction | Kind::Barrier => ("([", "])"),
        };
        let _ = writeln!(out, "  n{at}{open}{label}{close}");
        if let Some(state) = &node.state {
            marks.entry(state.mark).or_default().push(format!("n{at}"));
        }
    }
    for link in &drawing.links {
        let arrow = if link.is_conditional() { "-.->" } else { "-->" };
        let label = match link.label() {
            text if text.is_empty() => text,
            text => format!("|\"{}\"|", escaped(&text)),
        };
        let _ = writeln!(out, "  n{} {arrow}{label} n{}", link.from, link.to);
    }
    let used: BTreeSet<Mark> = marks.keys().copied().collect();
    for mark in used {
        let [fill, stroke, ..] = mark.colours();
        let dashes = if mark == Mark::Blocked { ",stroke-dasharray:4 3" } else { "" };
        let _ = writeln!(out, "  classDef {} fill:{fill},stroke:{stroke},color:#1f2328{dashes}", mark.word());
        let _ = writeln!(out, "  class {} {}", marks[&mark].join(","), mark.word());
    }
    out
}

/// Returns a text as a label holds it: whatever Mermaid, Markdown or HTML would read as code is written as its number.
fn escaped(text: &str) -> String {
    const PLAIN: &str = " -_,:/()[]=+";
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        // `1. x` would be a list, `_x_` be slanted, `- x` be an item.
        let ends_word = letters.peek().is_none_or(|next| *next == ' ');
        let is_markdown = match c {
            '_' => before == ' ' || ends_word,
            '-' | '+' => before == ' ' && ends_word,
            '.' => ends_word,
            _ => false,
        };
        let is_plain = !c.is_ascii() || c.is_ascii_alphanumeric() || c == '.' || PLAIN.contains(c);
        if is_plain && !is_markdown {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
        before = c;
    }
    out
}
