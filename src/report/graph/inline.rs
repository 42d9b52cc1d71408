//! The picture as part of a page: the page has the colours and says what happens when a box is chosen.
//!
//! Classes are those of [`crate::report::page`]; nothing in it names a file or a font.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::report::graph::layout::{BOX_HEIGHT, Sizes, place};
use crate::report::graph::svg::{NAME_COLUMN, SMALL_COLUMN, columns, curve, lines};
use crate::report::graph::{Drawing, Kind, Link, Mark, Node, State, Through, facts, name};
use crate::report::text::{counted, cut, one_line, xml};

/// The room around everything.
const MARGIN: f64 = 8.0;

/// The room left of a box's icon, between that and the text, and right of the text.
const INSIDE: f64 = 10.0;
const ICON: f64 = 14.0;
const GAP: f64 = 8.0;

/// The narrowest box.
const BOX_WIDTH_MIN: f64 = 110.0;

/// The longest text of an arrow, in columns.
const LABEL_COLUMNS_MAX: usize = 24;

/// In which order a wave tells what became of its steps: gravest first. One of the first six is what the whole wave shows.
const IN_WAVES: [Mark; 11] = [
    Mark::Unknown,
    Mark::Failed,
    Mark::TimedOut,
    Mark::Cancelled,
    Mark::Running,
    Mark::Waiting,
    Mark::Blocked,
    Mark::Warned,
    Mark::Skipped,
    Mark::NotNeeded,
    Mark::Succeeded,
];

/// How small the picture may become on a narrow page.
const SHRUNK: f64 = 0.78;

/// How many boxes a picture of waves has at most.
const WAVES_MAX: usize = 40;

/// Returns the drawing as an `svg` element without colours. `critical` holds the ids of the steps on the critical path.
pub fn inline(drawing: &Drawing, critical: &BTreeSet<&str>) -> String {
    let widths: Vec<f64> = drawing.nodes.iter().map(box_width).collect();
    let layers: Vec<usize> = drawing.nodes.iter().map(|node| node.layer).collect();
    let labels: Vec<String> =
        drawing.links.iter().map(|link| cut(&one_line(&link.label()), LABEL_COLUMNS_MAX)).collect();
    let arrows: Vec<(usize, usize, f64)> = drawing
        .links
        .iter()
        .zip(&labels)
        .map(|(link, label)| (link.from, link.to, columns(label, SMALL_COLUMN)))
        .collect();
    let placed = place(&Sizes { layers: &layers, widths: &widths, arrows: &arrows });
    let on_path: Vec<bool> = drawing.nodes.iter().map(|node| is_critical(node, critical)).collect();
    let (width, height) = (placed.width + 2.0 * MARGIN, placed.height + 2.0 * MARGIN);
    let mut out = format!(
        "<svg class=\"dag\" style=\"min-width:{:.0}px\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"group\" \
         aria-label=\"Graph\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerUnits=\"userSpaceOnUse\" markerWidth=\"9\" \
         markerHeight=\"9\" orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\">\n",
        // Where it is a little too wide it shrinks; more, and it moves sideways.
        (width * SHRUNK).min(width),
    );
    for (link, path) in drawing.links.iter().zip(&placed.paths) {
        let mut class = "arrow".to_owned();
        if link.is_conditional() {
            class.push_str(" if");
        }
        if on_path[link.from] && on_path[link.to] {
            class.push_str(" critical");
        }
        // Writing to a text cannot fail.
        let _ = writeln!(out, "<path class=\"{class}\" marker-end=\"url(#tip)\" d=\"{}\"/>", curve(path));
    }
    let mut twins: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (link, (path, label)) in drawing.links.iter().zip(placed.paths.iter().zip(&labels)) {
        let twin = twins.entry((link.from, link.to)).or_default();
        let lower = *twin as f64 * 14.0;
        *twin += usize::from(!label.is_empty());
        if let [.., (x, y), (to_x, to_y)] = path.as_slice()
            && !label.is_empty()
        {
            let (x, y) = (f64::midpoint(*x, *to_x), f64::midpoint(*y, *to_y) - 3.0 + lower);
            let _ = writeln!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", xml(label));
        }
    }
    for ((node, place), critical) in drawing.nodes.iter().zip(&placed.boxes).zip(on_path) {
        let _ = writeln!(
            out,
            "<svg class=\"box{}\"{} x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" overflow=\"hidden\">{}</svg>",
            class(node, critical),
            target(node),
            place.x,
            place.y,
            place.width,
            place.height,
            inside(node, place.width, critical),
        );
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Draws steps too many to draw each: a box for each wave of those that start together, or for several waves in a row.
/// A step is given as its wave, from 1, and how it stands.
pub fn waves(steps: &[(usize, Mark)]) -> Drawing {
    let last = steps.iter().map(|(wave, _)| *wave).max().unwrap_or(0);
    let each = last.div_ceil(WAVES_MAX).max(1);
    let nodes: Vec<Node> = (0..last.div_ceil(each))
        .map(|at| {
            let (from, to) = (at * each + 1, ((at + 1) * each).min(last));
            let inside = steps.iter().filter(|(wave, _)| (from..=to).contains(wave));
            wave_box(at, from, to, &inside.map(|(_, mark)| *mark).collect::<Vec<_>>())
        })
        .collect();
    let links = (1..nodes.len())
        .map(|to| Link { from: to - 1, to, conditions: Vec::new(), through: Through::Gathering })
        .collect();
    Drawing { plan: String::new(), flow: None, headline: String::new(), nodes, links }
}

fn wave_box(at: usize, from: usize, to: usize, marks: &[Mark]) -> Node {
    let count = |mark: Mark| marks.iter().filter(|it| **it == mark).count();
    // What went wrong first: the rest may be cut off.
    let counts: Vec<(Mark, usize)> =
        IN_WAVES.into_iter().map(|mark| (mark, count(mark))).filter(|(_, count)| *count > 0).collect();
    let whole = IN_WAVES.into_iter().take(6).find(|mark| count(*mark) > 0);
    let most = counts.iter().max_by_key(|(_, count)| *count).map(|(mark, _)| *mark);
    let words: Vec<String> =
        counts.iter().map(|(mark, count)| format!("{count} {}", mark.spoken())).collect();
    let id = if from == to { format!("wave {from}") } else { format!("waves {from} to {to}") };
    Node {
        id: id.clone(),
        kind: Kind::Group { iterations: Some(marks.len()) },
        pipeline: String::new(),
        workspace: String::new(),
        description: Some(format!("{} that start together", counted(marks.len(), "step"))),
        when: None,
        is_final: false,
        allow_failure: false,
        spared: None,
        tags: vec![format!("wave:{from}-{to}")],
        wave: at,
        layer: at,
        state: Some(State {
            mark: whole.or(most).unwrap_or(Mark::Waiting),
            state: String::new(),
            outcome: None,
            words: words.join(", "),
            counts,
        }),
    }
}

fn is_critical(node: &Node, critical: &BTreeSet<&str>) -> bool {
    match &node.kind {
        Kind::Step { .. } => critical.contains(node.id.as_str()),
        Kind::Group { .. } => {
            let beginning = format!("{}[", node.id);
            critical.iter().any(|id| id.starts_with(&beginning))
        }
        Kind::Junction | Kind::Barrier => false,
    }
}

fn class(node: &Node, is_critical: bool) -> String {
    let mut class = match node.kind {
        Kind::Step { .. } | Kind::Group { .. } => String::new(),
        Kind::Junction | Kind::Barrier => " end".to_owned(),
    };
    if let Some(state) = &node.state {
        class.push(' ');
        class.push_str(state.mark.word());
    }
    if is_critical {
        class.push_str(" critical");
    }
    class
}

/// Returns what choosing a box is about: a step, or words for the filter.
fn target(node: &Node) -> String {
    match &node.kind {
        Kind::Step { .. } => format!(" data-step=\"{}\"", attribute(&node.id)),
        Kind::Group { .. } => {
            let words = match node.tags.first() {
                Some(wave) if node.pipeline.is_empty() => wave.clone(),
                _ => format!("{}[", node.id),
            };
            format!(" data-filter=\"{}\"", attribute(&words))
        }
        Kind::Junction | Kind::Barrier => String::new(),
    }
}

fn attribute(text: &str) -> String {
    xml(&one_line(text))
}

fn inside(node: &Node, width: f64, is_critical: bool) -> String {
    let radius = if node.kind.is_step() { 6.0 } else { BOX_HEIGHT / 2.0 - 1.0 };
    let frame = |by: f64, radius: f64| {
        let (width, height) = (width - 2.0 * by, BOX_HEIGHT - 2.0 * by);
        format!(
            "<rect x=\"{by}\" y=\"{by}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"{radius:.0}\"/>"
        )
    };
    let mut title: Vec<String> = facts(node).iter().map(|fact| attribute(fact)).collect();
    if is_critical {
        title.push("on the critical path".to_owned());
    }
    let mut out = format!("<title>{}</title>{}", title.join("\n"), frame(1.5, radius));
    if let Kind::Group { .. } = node.kind {
        out.push_str(&frame(4.5, radius - 3.0));
    }
    let (first, second) = lines(node);
    let middle = BOX_HEIGHT / 2.0;
    let x = text_x(node);
    if let Some(state) = &node.state {
        let _ = write!(
            out,
            "<use href=\"#i-{}\" x=\"{INSIDE}\" y=\"{:.0}\" width=\"{ICON}\" height=\"{ICON}\"/>",
            state.mark.word(),
            middle - ICON / 2.0,
        );
    }
    let first_y = if second.is_empty() { middle + 4.0 } else { middle - 4.0 };
    let _ = write!(out, "<text class=\"name\" x=\"{x}\" y=\"{first_y:.0}\">{}</text>", xml(&first));
    if !second.is_empty() {
        let _ =
            write!(out, "<text class=\"small\" x=\"{x}\" y=\"{:.0}\">{}</text>", middle + 12.0, xml(&second));
    }
    out
}

fn text_x(node: &Node) -> f64 {
    if node.state.is_some() { INSIDE + ICON + GAP } else { INSIDE }
}

fn box_width(node: &Node) -> f64 {
    let (first, second) = lines(node);
    let text = columns(&first, NAME_COLUMN).max(columns(&second, SMALL_COLUMN));
    let least = if node.kind.is_step() { BOX_WIDTH_MIN } else { columns(&name(node), NAME_COLUMN) };
    (text + text_x(node) + INSIDE).max(least).ceil()
}
