//! What two plans or flows say differently, for people and for programs.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};

use crate::diff::{Change, Difference, Kind, Subject};
use crate::report::counted;
use crate::report::text::{cut, one_line};

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
/// How much of a value is shown; JSON has it whole.
const VALUE_COLUMNS_MAX: usize = 100;

/// Returns the text: a line for each step, and one for each thing that is otherwise. Empty if nothing is.
pub fn text(differences: &[Difference]) -> String {
    let mut text = String::new();
    for difference in differences {
        let id = match &difference.subject {
            Subject::Plan => None,
            Subject::Step(id) => Some(one_line(id.as_str())),
            Subject::Definition { workspace, pipeline } => {
                Some(format!("definition of `{}` in `{}`", one_line(pipeline), one_line(workspace)))
            }
        };
        match (&difference.kind, id) {
            (Kind::Changed(changes), None) => lines(&mut text, "", changes),
            (Kind::Changed(changes), Some(id)) => {
                mark(&mut text, CHANGED, '~', &id);
                lines(&mut text, "    ", changes);
            }
            (Kind::Added(said), id) => {
                mark(&mut text, ADDED, '+', &format!("{}{}", id.unwrap_or_default(), brief(said)));
            }
            (Kind::Removed, id) => mark(&mut text, REMOVED, '-', &id.unwrap_or_default()),
        }
    }
    text
}

/// Returns a sentence about how much is otherwise: `1 step added, 2 changed`.
pub fn tally(differences: &[Difference]) -> String {
    let count = |is: fn(&Kind) -> bool| {
        let steps = differences.iter().filter(|one| matches!(one.subject, Subject::Step(_)));
        steps.filter(|one| is(&one.kind)).count()
    };
    let counts = [
        (count(|kind| matches!(kind, Kind::Added(_))), "added"),
        (count(|kind| matches!(kind, Kind::Removed)), "removed"),
        (count(|kind| matches!(kind, Kind::Changed(_))), "changed"),
    ];
    let mut parts = Vec::new();
    for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let noun = if !parts.is_empty() {
            ""
        } else if count == 1 {
            "step "
        } else {
            "steps "
        };
        parts.push(format!("{count} {noun}{word}"));
    }
    let whole = differences.iter().find_map(|one| match (&one.subject, &one.kind) {
        (Subject::Plan, Kind::Changed(changes)) => Some(changes.len()),
        _ => None,
    });
    parts.extend(whole.map(|count| {
        format!("{count} {} of the plan as a whole", if count == 1 { "change" } else { "changes" })
    }));
    let definitions =
        differences.iter().filter(|one| matches!(one.subject, Subject::Definition { .. })).count();
    if definitions > 0 {
        parts.push(format!("{} changed", counted(definitions, "definition")));
    }
    if parts.is_empty() { "no difference".to_owned() } else { parts.join(", ") }
}

/// Returns the same for programs: `changes` of the plan as a whole, `steps` with their ids, and `definitions` of pipelines
/// that have another etag.
pub fn json(differences: &[Difference]) -> Value {
    let change =
        |change: &Change| json!({ "key": change.key, "before": change.before, "after": change.after });
    let mut whole = Vec::new();
    let mut steps = Vec::new();
    let mut definitions = Vec::new();
    for difference in differences {
        match (&difference.subject, &difference.kind) {
            (Subject::Plan, Kind::Changed(changes)) => whole.extend(changes.iter().map(change)),
            (Subject::Plan, _) => {}
            (Subject::Definition { workspace, pipeline }, kind) => {
                let Kind::Changed(changes) = kind else { continue };
                definitions.extend(changes.iter().map(|etag| {
                    json!({ "workspace": workspace, "pipeline": pipeline, "before": etag.before, "after": etag.after })
                }));
            }
            (Subject::Step(id), kind) => steps.push(match kind {
                Kind::Added(said) => json!({ "id": id, "difference": "added", "step": said }),
                Kind::Removed => json!({ "id": id, "difference": "removed" }),
                Kind::Changed(changes) => json!({
                    "id": id,
                    "difference": "changed",
                    "changes": changes.iter().map(change).collect::<Vec<_>>(),
                }),
            }),
        }
    }
    json!({ "changes": whole, "steps": steps, "definitions": definitions })
}

/// Returns one thing that is otherwise as half a sentence: `timeout: 2h becomes 3h`.
pub fn change(change: &Change) -> String {
    let key = one_line(&change.key);
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{key}: {} becomes {}", value(before), value(after)),
        (None, Some(after)) => format!("{key}: {} is new", value(after)),
        (Some(before), None) => format!("{key}: {} is gone", value(before)),
        (None, None) => key,
    }
}

fn mark(text: &mut String, style: Style, mark: char, rest: &str) {
    let _ = writeln!(text, "{style}{mark}{style:#} {rest}");
}

fn lines(text: &mut String, indent: &str, changes: &[Change]) {
    for one in changes {
        let _ = writeln!(text, "{indent}{}", change(one));
    }
}

/// Says of a new step what it runs, and after what.
fn brief(said: &Map<String, Value>) -> String {
    let pipeline = said.get("pipeline").and_then(Value::as_str).unwrap_or_default();
    let edges = said.get("depends_on").and_then(Value::as_array);
    let edges: Vec<&str> = edges.into_iter().flatten().filter_map(Value::as_str).collect();
    let after =
        if edges.is_empty() { String::new() } else { format!(", after {}", one_line(&edges.join(", "))) };
    format!(": pipeline `{}`{after}", one_line(pipeline))
}

/// A word stands as it is, anything else as JSON.
fn value(value: &Value) -> String {
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-./:[]".contains(c));
    let text = match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) if text.contains('"') && !text.contains('\'') => format!("'{text}'"),
        other => other.to_string(),
    };
    cut(&one_line(&text), VALUE_COLUMNS_MAX)
}
