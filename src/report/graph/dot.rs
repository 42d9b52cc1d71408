//! The picture in the language of Graphviz.

use std::fmt::Write;

use crate::report::graph::{Drawing, Kind, Mark, facts, name, second_line};
use crate::report::text::one_line;

/// Returns the drawing as a `digraph`. The nodes have the steps' ids.
pub fn dot(drawing: &Drawing) -> String {
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  tooltip={};\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", \
         color=\"#57606a\", fontname=\"Helvetica,Arial,sans-serif\", fontsize=11];\n  edge [color=\"#57606a\", \
         fontname=\"Helvetica,Arial,sans-serif\", fontsize=9];\n",
        quoted(&drawing.plan),
        label(std::slice::from_ref(&drawing.headline)),
    );
    for node in &drawing.nodes {
        let lines = [name(node), second_line(node)].into_iter().filter(|line| !line.is_empty());
        let shape = match &node.kind {
            Kind::Step { .. } => "",
            Kind::Group { .. } => ", peripheries=2",
            Kind::Junction | Kind::Barrier => ", shape=ellipse",
        };
        let colours = node.state.as_ref().map(|state| {
            let [fill, stroke, ..] = state.mark.colours();
            let style = if state.mark == Mark::Blocked { ", style=\"rounded,filled,dashed\"" } else { "" };
            format!(", fillcolor=\"{fill}\", color=\"{stroke}\"{style}")
        });
        let _ = writeln!(
            out,
            "  {} [label={}, tooltip={}{shape}{}];",
            quoted(&node.id),
            label(&lines.collect::<Vec<_>>()),
            label(&facts(node)),
            colours.unwrap_or_default(),
        );
    }
    for link in &drawing.links {
        let (from, to) = (&drawing.nodes[link.from].id, &drawing.nodes[link.to].id);
        let mut attributes = Vec::new();
        let words = link.label();
        if !words.is_empty() {
            attributes.push(format!("label={}", label(&[words])));
        }
        if link.is_conditional() {
            attributes.push("style=dashed".to_owned());
        }
        let attributes =
            if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(out, "  {} -> {}{attributes};", quoted(from), quoted(to));
    }
    out.push_str("}\n");
    out
}

/// Returns a name in quotes. Only a quote and a backslash mean something inside.
fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns lines as a label. In labels entities such as `&amp;` mean something too.
fn label(lines: &[String]) -> String {
    let lines = lines
        .iter()
        .map(|line| one_line(line).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\""));
    format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
}
