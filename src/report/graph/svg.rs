//! The picture as one SVG file: no script, no font, no other file; light or dark as the reader's system is.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::graph::layout::{BOX_HEIGHT, Sizes, place};
use crate::report::graph::{Drawing, Kind, Mark, Node, facts, name, second_line, tally};
use crate::report::text::{cut, one_line, width, xml};

/// The room around everything.
const MARGIN: f64 = 20.0;

/// The room left of a box's text, and right of it.
const INSIDE: f64 = 11.0;

/// How wide a column of text is: a little more than any usual monospaced font needs at its size.
pub(super) const NAME_COLUMN: f64 = 7.5;
pub(super) const SMALL_COLUMN: f64 = 6.4;

/// The longest text of a box, in columns; the whole text is its title.
const NAME_COLUMNS_MAX: usize = 30;
const SMALL_COLUMNS_MAX: usize = 35;

/// The longest text of an arrow, in columns.
const LABEL_COLUMNS_MAX: usize = 24;

/// The narrowest box.
const BOX_WIDTH_MIN: f64 = 90.0;

/// The height of a line of text above and below the boxes.
const LINE: f64 = 22.0;

const STYLE: &str = "\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace;fill:#1f2328;white-space:pre}
.ground{fill:#ffffff}
.name{font-size:12px;font-weight:600}
.small,.label{font-size:10.5px;fill:#57606a}
.label{text-anchor:middle;paint-order:stroke;stroke:#ffffff;stroke-width:4px}
.head{font-size:13px;font-weight:600}
.box rect,.key rect{fill:#f6f8fa;stroke:#57606a;stroke-width:1.2}
.arrow{fill:none;stroke:#8c959f;stroke-width:1.3}
.if{stroke-dasharray:5 3}
.tip{fill:#8c959f}
";

const DARK_STYLE: &str = "\
text{fill:#e6edf3}
.ground{fill:#0d1117}
.small,.label{fill:#9198a1}
.label{stroke:#0d1117}
.box rect,.key rect{fill:#161b22;stroke:#8b949e}
.arrow{stroke:#6e7681}
.tip{fill:#6e7681}
";

/// Returns the drawing as SVG.
pub fn svg(drawing: &Drawing) -> String {
    let widths: Vec<f64> = drawing.nodes.iter().map(box_width).collect();
    let layers: Vec<usize> = drawing.nodes.iter().map(|node| node.layer).collect();
    let labels: Vec<String> = drawing.links.iter().map(|link| one_line(&link.label())).collect();
    let room = |label: &String| columns(&cut(label, LABEL_COLUMNS_MAX), SMALL_COLUMN);
    let arrows: Vec<(usize, usize, f64)> =
        drawing.links.iter().zip(&labels).map(|(link, label)| (link.from, link.to, room(label))).collect();
    let placed = place(&Sizes { layers: &layers, widths: &widths, arrows: &arrows });

    let headline = one_line(&drawing.headline);
    let marks = tally(drawing);
    let keys: Vec<String> = marks.iter().map(|(mark, count)| format!("{count} {}", mark.spoken())).collect();
    let keys_width: f64 = keys.iter().map(|key| columns(key, SMALL_COLUMN) + 32.0).sum();
    let head_width = columns(&cut(&headline, 100), 8.1);
    let content = placed.width.max(keys_width).max(head_width);
    let below = if marks.is_empty() { 0.0 } else { LINE + 6.0 };
    let (full_width, full_height) =
        (content + 2.0 * MARGIN, placed.height + LINE + 10.0 + below + 2.0 * MARGIN);
    let top = MARGIN + LINE + 10.0;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full_width:.0}\" height=\"{full_height:.0}\" \
         viewBox=\"0 0 {full_width:.0} {full_height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n",
        xml(&headline)
    );
    style(&mut out, &marks);
    let _ = write!(
        out,
        "</style>\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n<text class=\"head\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>\n",
        MARGIN + 14.0,
        xml(&cut(&headline, 100)),
    );
    let _ = writeln!(out, "<g transform=\"translate({MARGIN} {top})\">");
    for ((link, path), label) in drawing.links.iter().zip(&placed.paths).zip(&labels) {
        let (from, to) = (&drawing.nodes[link.from], &drawing.nodes[link.to]);
        let class = if link.is_conditional() { "arrow if" } else { "arrow" };
        let words = if label.is_empty() { String::new() } else { format!(" [{label}]") };
        let _ = writeln!(
            out,
            "<path class=\"{class}\" marker-end=\"url(#tip)\" d=\"{}\"><title>{}</title></path>",
            curve(path),
            xml(&format!("{} -> {}{words}", name(from), name(to))),
        );
    }
    // Two arrows between the same boxes run together; their words stand one below the other.
    let mut twins: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (link, (path, label)) in drawing.links.iter().zip(placed.paths.iter().zip(&labels)) {
        let twin = twins.entry((link.from, link.to)).or_default();
        let lower = *twin as f64 * 14.0;
        *twin += usize::from(!label.is_empty());
        if let [.., (x, y), (to_x, to_y)] = path.as_slice()
            && !label.is_empty()
        {
            let (x, y) = (f64::midpoint(*x, *to_x), f64::midpoint(*y, *to_y) - 3.0 + lower);
            let whole = format!("{}: {label}", name(&drawing.nodes[link.to]));
            let _ = writeln!(
                out,
                "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\"><title>{}</title>{}</text>",
                xml(&whole),
                xml(&cut(label, LABEL_COLUMNS_MAX))
            );
        }
    }
    for (node, place) in drawing.nodes.iter().zip(&placed.boxes) {
        // A box is a picture of its own: whatever a font makes of a text, it ends at the border.
        let _ = writeln!(
            out,
            "<svg class=\"box{}\" x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" overflow=\"hidden\">{}</svg>",
            class(node),
            place.x,
            place.y,
            place.width,
            place.height,
            inside(node, place.width),
        );
    }
    out.push_str("</g>\n");
    let mut x = MARGIN;
    for ((mark, _), key) in marks.iter().zip(&keys) {
        let y = full_height - MARGIN;
        let _ = writeln!(
            out,
            "<g class=\"key {}\"><rect x=\"{x:.0}\" y=\"{:.0}\" width=\"12\" height=\"12\" rx=\"3\"/><text class=\"small\" \
             x=\"{:.0}\" y=\"{y:.0}\">{}</text></g>",
            mark.word(),
            y - 10.0,
            x + 18.0,
            xml(key),
        );
        x += columns(key, SMALL_COLUMN) + 32.0;
    }
    out.push_str("</svg>\n");
    out
}

/// Writes the rules, those of the marks in use included.
fn style(out: &mut String, marks: &[(Mark, usize)]) {
    let rules = |dark: bool| {
        let mut rules = String::new();
        for (mark, _) in marks {
            let [fill, stroke, dark_fill, dark_stroke] = mark.colours();
            let (fill, stroke) = if dark { (dark_fill, dark_stroke) } else { (fill, stroke) };
            let dashes = if *mark == Mark::Blocked && !dark { ";stroke-dasharray:4 3" } else { "" };
            let _ = writeln!(rules, ".{} rect{{fill:{fill};stroke:{stroke}{dashes}}}", mark.word());
        }
        rules
    };
    out.push_str(STYLE);
    out.push_str(&rules(false));
    let _ = write!(out, "@media (prefers-color-scheme:dark){{\n{DARK_STYLE}{}}}\n", rules(true));
}

fn class(node: &Node) -> String {
    node.state.as_ref().map(|state| format!(" {}", state.mark.word())).unwrap_or_default()
}

/// Returns what is inside a box.
fn inside(node: &Node, width: f64) -> String {
    let radius = match node.kind {
        Kind::Step { .. } | Kind::Group { .. } => 6.0,
        Kind::Junction | Kind::Barrier => BOX_HEIGHT / 2.0 - 1.0,
    };
    let frame = |by: f64, radius: f64| {
        let (width, height) = (width - 2.0 * by, BOX_HEIGHT - 2.0 * by);
        format!(
            "<rect x=\"{by}\" y=\"{by}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"{radius:.0}\"/>"
        )
    };
    let title: Vec<String> = facts(node).iter().map(|fact| xml(&one_line(fact))).collect();
    let mut out = format!("<title>{}</title>{}", title.join("\n"), frame(1.0, radius));
    if let Kind::Group { .. } = node.kind {
        out.push_str(&frame(4.0, radius - 3.0));
    }
    let (first, second) = lines(node);
    let middle = BOX_HEIGHT / 2.0;
    let _ = write!(
        out,
        "<text class=\"name\" x=\"{INSIDE}\" y=\"{:.0}\">{}</text>",
        if second.is_empty() { middle + 4.0 } else { middle - 4.0 },
        xml(&first),
    );
    if !second.is_empty() {
        let _ = write!(
            out,
            "<text class=\"small\" x=\"{INSIDE}\" y=\"{:.0}\">{}</text>",
            middle + 12.0,
            xml(&second)
        );
    }
    out
}

/// Returns the two lines of a box, cut.
pub(super) fn lines(node: &Node) -> (String, String) {
    let first = one_line(&name(node));
    // The number of iterations must not be what is cut off.
    let count = match &node.kind {
        Kind::Group { .. } => {
            first.rsplit_once(' ').map(|(_, count)| format!(" {count}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    let id = first.strip_suffix(&count).unwrap_or(&first);
    let first = format!("{}{count}", cut(id, NAME_COLUMNS_MAX - width(&count)));
    (first, cut(&one_line(&second_line(node)), SMALL_COLUMNS_MAX))
}

fn box_width(node: &Node) -> f64 {
    let (first, second) = lines(node);
    let text = columns(&first, NAME_COLUMN).max(columns(&second, SMALL_COLUMN));
    (text + 2.0 * INSIDE).max(BOX_WIDTH_MIN).ceil()
}

pub(super) fn columns(text: &str, column: f64) -> f64 {
    width(text) as f64 * column
}

/// Returns the path of an arrow: bent in the gaps, straight across columns.
pub(super) fn curve(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, pair) in points.chunks(2).enumerate() {
        let [(x, y), (to_x, to_y)] = pair else { continue };
        if at == 0 {
            let _ = write!(path, "M{x:.0} {y:.0}");
        } else {
            let _ = write!(path, "H{x:.0}");
        }
        let bend = (to_x - x) / 2.0;
        let _ = write!(path, "C{:.0} {y:.0} {:.0} {to_y:.0} {to_x:.0} {to_y:.0}", x + bend, to_x - bend);
    }
    path
}
