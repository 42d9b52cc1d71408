//! A story as one HTML file: no other file, no network, no font. It works from a disk and as an attachment of a mail.
//!
//! What matters stands in it as plain HTML, for readers without scripts; `page.js` makes the timeline, the details, the
//! filter and the order. A policy inside the page forbids every request and every script but that one.

mod escape;
mod icons;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::flow::Flow;
use crate::report::graph::{self, Drawing, Mark};
use crate::report::page::escape::{base64, data, html};
use crate::report::page::parts::{causes, facts, header, path, steps};
use crate::report::story::Story;
use crate::time::Timestamp;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The most boxes of a graph in which iterations have boxes of their own, and of one in which they share one. With more
/// there is a box for each wave.
const UNFOLDED_MAX: usize = 60;
const FOLDED_MAX: usize = 150;

/// Returns the page of a flow, whose story this is.
pub fn html_page(flow: &Flow, story: &Story, now: Timestamp) -> String {
    let outcome = story.flow.outcome.as_deref().unwrap_or("unfinished").replace('_', " ");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"synflow {}\">\n<title>{}: {} {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}",
        base64(&<sha2::Sha256 as sha2::Digest>::digest(SCRIPT.as_bytes())),
        html(&story.synflow),
        html(&outcome),
        html(&story.flow.plan),
        html(&story.flow.id),
        icons::SYMBOLS,
    );
    out.push_str("<a class=\"skip\" href=\"#steps\">Skip to the steps</a>\n");
    header(&mut out, story);
    out.push_str("<main>\n");
    causes(&mut out, story);
    path(&mut out, story);
    out.push_str(parts::TOOLBAR);
    out.push_str(parts::TIMELINE);
    picture(&mut out, flow, story, now);
    steps(&mut out, story);
    facts(&mut out, story);
    // Writing to a text cannot fail.
    let _ = write!(
        out,
        "</main>\n<footer>Made by synflow {} at {}. <span class=\"js\" hidden>Keys: <kbd>/</kbd> filter, <kbd>↑</kbd> <kbd>↓</kbd> move, \
         <kbd>Enter</kbd> opens a step, <kbd>Esc</kbd> shows all.</span></footer>\n\
         <script type=\"application/json\" id=\"story\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        html(&story.synflow),
        html(&story.made_at.spoken()),
        data(story.json()),
    );
    out
}

/// Writes the graph: every iteration for itself where there is room, else one box for all of a step, else waves.
fn picture(out: &mut String, flow: &Flow, story: &Story, now: Timestamp) {
    let draw = |is_expanded: bool| graph::draw(flow.plan(), Some((flow, now)), is_expanded);
    let fits = |drawing: &Drawing, most: usize| drawing.nodes.len() <= most;
    // A plan of ten thousand steps need not be laid out to see that it is too large.
    let whole = (story.steps.len() <= UNFOLDED_MAX).then(|| draw(true)).filter(|it| fits(it, UNFOLDED_MAX));
    let folded = || Some(draw(false)).filter(|it| fits(it, FOLDED_MAX));
    let has_groups = story.steps.iter().any(|step| step.group.is_some());
    let (drawing, told) = match (whole, has_groups) {
        (Some(drawing), _) => (drawing, String::new()),
        (None, true) => match folded() {
            Some(drawing) => {
                (drawing, "All iterations of a step are one box; choosing it filters the steps. ".to_owned())
            }
            None => waves(story),
        },
        (None, false) => folded().map_or_else(|| waves(story), |drawing| (drawing, String::new())),
    };
    let critical: BTreeSet<&str> = story.critical_path.iter().map(|leg| leg.step.as_str()).collect();
    let is_each = drawing.nodes.iter().any(|node| matches!(node.kind, graph::Kind::Step { .. }));
    let thick = if critical.is_empty() || !is_each { "" } else { "Thick borders are the critical path. " };
    let dashed = if drawing.links.iter().any(graph::Link::is_conditional) {
        "A dashed arrow has conditions of its own."
    } else {
        ""
    };
    let _ = write!(
        out,
        "<section id=\"graph\" aria-labelledby=\"graph-title\">\n<h2 id=\"graph-title\">Graph</h2>\n<p class=\"hint\">{told}{thick}{dashed}</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"graph-title\">\n{}</div>\n</section>\n",
        graph::inline(&drawing, &critical),
    );
}

fn waves(story: &Story) -> (Drawing, String) {
    let mark = |word: &str| Mark::ALL.into_iter().find(|mark| mark.word() == word).unwrap_or(Mark::Waiting);
    let steps: Vec<(usize, Mark)> = story.steps.iter().map(|step| (step.wave, mark(step.mark()))).collect();
    let told = format!(
        "{} steps are too many to draw: a box is a wave, steps that wait only for steps of earlier waves; choosing it filters the \
         steps. Its shape is that of the gravest outcome inside. ",
        steps.len()
    );
    (graph::waves(&steps), told)
}
