//! The picture as JSON, for programs: the members are documented in `docs/graph.md`, added to and never renamed.

use serde_json::{Map, Value, json};

use crate::report::graph::{Drawing, Kind, Link, Node, Through};

/// Returns the drawing as JSON.
pub fn json(drawing: &Drawing) -> Value {
    let nodes: Vec<Value> = drawing.nodes.iter().map(node).collect();
    let links: Vec<Value> = drawing.links.iter().map(|link| edge(drawing, link)).collect();
    json!({
        "plan": drawing.plan,
        "flow": drawing.flow,
        "steps": drawing.steps(),
        "waves": drawing.waves(),
        "nodes": nodes,
        "edges": links,
    })
}

fn node(node: &Node) -> Value {
    let (kind, group, iterations) = match &node.kind {
        Kind::Step { group } => ("step", group.clone(), None),
        Kind::Group { iterations } => ("group", None, *iterations),
        Kind::Junction => ("group_end", None, None),
        Kind::Barrier => ("all_others", None, None),
    };
    let or_none = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let counts = node.state.as_ref().map(|state| {
        let counts = state.counts.iter().map(|(mark, count)| (mark.word().to_owned(), Value::from(*count)));
        counts.collect::<Map<String, Value>>()
    });
    json!({
        "id": node.id,
        "kind": kind,
        "group": group,
        "iterations": iterations,
        "pipeline": or_none(&node.pipeline),
        "workspace": or_none(&node.workspace),
        "description": node.description,
        "when": node.when,
        "finally": node.is_final,
        "allow_failure": node.allow_failure,
        "left_out": node.spared,
        "tags": node.tags,
        "wave": node.kind.is_step().then_some(node.wave + 1),
        "state": node.state.as_ref().map(|state| state.state.clone()),
        "outcome": node.state.as_ref().and_then(|state| state.outcome),
        "counts": counts,
    })
}

fn edge(drawing: &Drawing, link: &Link) -> Value {
    let through = match &link.through {
        Through::All => json!("all"),
        Through::Paired => json!("own"),
        Through::Keys(keys) => json!(keys),
        Through::Gathering => json!(null),
    };
    json!({
        "from": drawing.nodes[link.from].id,
        "to": drawing.nodes[link.to].id,
        "conditions": link.conditions,
        "iterations": through,
        "declared": link.through != Through::Gathering,
    })
}
