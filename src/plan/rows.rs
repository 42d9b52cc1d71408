//! `for_each` and `matrix`: the rows that a step is run for, each with its key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Each;
use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::reader::{Fields, Reader, excerpt};
use super::source::{Entry, Node, Yaml};
use super::steps::{STEPS_MAX, check_id};
use super::template::{Known, render_now};

/// The longest key of an iteration, in characters.
const KEY_CHARS_MAX: usize = 200;

/// The key of a matrix that is no axis.
const EXCLUDE: &str = "exclude";

/// What a step is run for.
pub(super) enum Rows {
    /// It has neither `for_each` nor `matrix`: one run.
    Single,
    /// It is run once for each of these, which may be none.
    Known(Vec<Arc<Each>>),
    /// It has rows, and nobody knows them yet.
    Open,
}

/// A row without its key.
struct Row {
    /// The key that it has by itself: of a map, a plain value or a combination.
    key: Option<String>,
    value: Value,
}

/// Reads `for_each`, `matrix` and `key` of a step. Rows with a mistake are left out.
pub(super) fn read(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Rows {
    let (span, rows) = match (fields.entry("for_each"), fields.entry("matrix")) {
        (Some(list), Some(matrix)) => {
            let message = "a step has `for_each` or `matrix`, not both";
            let help = "keep one; an axis of a matrix may be a template: `matrix: { region: \"{{inputs.regions}}\" }`";
            reader.report(
                Diagnostic::at(Code::KeysExclude, matrix.key.span(), message)
                    .also(list.key.span(), "the other one")
                    .help(help),
            );
            return Rows::Open;
        }
        (Some(list), None) => (list.value.span(), for_each(reader, &list.value, known, env)),
        (None, Some(matrix)) => (matrix.key.span(), combinations(reader, &matrix.value, known, env)),
        (None, None) => {
            needs_rows(reader, fields);
            return Rows::Single;
        }
    };
    let Some(rows) = rows else { return Rows::Open };
    let keyed = keyed(reader, fields.get("key"), span, rows, known, env);
    Rows::Known(keyed)
}

/// Reports the keys that mean something for iterations only.
fn needs_rows(reader: &mut Reader<'_>, fields: Fields<'_>) {
    if !fields.lacks("for_each") || !fields.lacks("matrix") {
        return;
    }
    for name in ["key", "max_parallel"] {
        if let Some(entry) = fields.entry(name) {
            let message = format!("`{name}` says something of iterations, and this step has none");
            let help = match name {
                "key" => "add `for_each:` or remove `key`",
                _ => "add `for_each:`, write `max_parallel` at the top of the plan, or use a pool",
            };
            reader.report(Diagnostic::at(Code::NeedsForEach, entry.key.span(), message).help(help));
        }
    }
}

fn for_each(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Vec<Row>> {
    const FORMS: &str = "write a list, a map, or one lone template of an input: `\"{{inputs.regions}}\"`";
    let is_template = matches!(&node.value, Yaml::Text(text) if text.contains("{{"));
    if !is_template && !matches!(node.value, Yaml::List(_) | Yaml::Map(_)) {
        return reader.wrong_type(node, "`for_each`", "a list or a map", FORMS);
    }
    match render_now(reader, node, known, env)? {
        Value::Array(items) => {
            Some(items.into_iter().map(|value| Row { key: plain(&value), value }).collect())
        }
        Value::Object(map) => {
            Some(map.into_iter().map(|(key, value)| Row { key: Some(key), value }).collect())
        }
        other => {
            let given = excerpt(&other.to_string());
            let message = format!("`for_each` must be a list or a map, but the template gives `{given}`");
            let help = "use one lone template of an input of the type array or object";
            reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
            None
        }
    }
}

/// Returns the text of a plain value.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn combinations(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Vec<Row>> {
    let text = reader.text;
    if let Yaml::List(_) = node.value {
        let help = "name each axis: `matrix: { region: [emea, apac] }`; for a single list write `for_each`";
        return reader.wrong_type(node, "`matrix`", "a map", help);
    }
    let entries = reader.map(node, "`matrix`")?;
    let mut axes: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut is_open = false;
    for Entry { key, value } in entries {
        let name = key.key_text(text).unwrap_or_default();
        if name == EXCLUDE {
            continue;
        }
        check_id(reader, key, name, "an axis");
        match axis(reader, value, name, known, env) {
            Some(values) => axes.push((name, values)),
            None => is_open = true,
        }
    }
    let exclude = entries.iter().find(|entry| entry.key.key_text(text) == Some(EXCLUDE));
    if axes.is_empty() && !is_open {
        let message = "`matrix` has no axis";
        let help = "name each axis with its values: `matrix: { region: [emea, apac] }`";
        reader.report(Diagnostic::at(Code::EmptyCollection, node.span(), message).help(help));
    }
    let excluded = exclude.map(|entry| excluded(reader, &entry.value, &axes, is_open, known, env));
    if is_open || axes.is_empty() {
        return None;
    }
    let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
    if count.is_none_or(|count| count > STEPS_MAX) {
        let message = format!("the matrix has more than {STEPS_MAX} combinations");
        let help = "use shorter axes, or split the step in two";
        reader.report(Diagnostic::at(Code::TooManySteps, node.span(), message).help(help));
        return None;
    }
    let excluded = excluded.unwrap_or_default();
    let mut rows = vec![Map::new()];
    for (name, values) in &axes {
        let with = |row: &Map<String, Value>| -> Vec<Map<String, Value>> {
            let one = |value: &Value| {
                let mut row = row.clone();
                row.insert((*name).to_owned(), value.clone());
                row
            };
            values.iter().map(one).collect()
        };
        rows = rows.iter().flat_map(with).collect();
    }
    let is_left_out = |row: &Map<String, Value>| {
        excluded.iter().any(|partial| partial.iter().all(|(name, value)| row.get(name) == Some(value)))
    };
    let rows = rows.into_iter().filter(|row| !is_left_out(row));
    Some(
        rows.map(|row| {
            let parts: Vec<String> = row.values().filter_map(plain).collect();
            Row { key: Some(parts.join(",")), value: Value::Object(row) }
        })
        .collect(),
    )
}

/// Reads the values of one axis: plain ones, for they become part of ids.
fn axis(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Vec<Value>> {
    let what = format!("the axis `{name}`");
    let is_template = matches!(&node.value, Yaml::Text(text) if text.contains("{{"));
    if !is_template && !matches!(node.value, Yaml::List(_)) {
        return reader.wrong_type(node, &what, "a list", "write its values: `[emea, apac]`");
    }
    let values = match render_now(reader, node, known, env)? {
        Value::Array(values) => values,
        other => {
            let given = excerpt(&other.to_string());
            let message = format!("{what} must be a list, but the template gives `{given}`");
            let help = "use one lone template of an input of the type array";
            reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
            return None;
        }
    };
    if let Some(bad) = values.iter().find(|value| plain(value).is_none()) {
        let message =
            format!("{what} has a value that is no text, number or bool: `{}`", excerpt(&bad.to_string()));
        let help = "use `for_each` with `key` for lists of maps";
        reader.report(Diagnostic::at(Code::NoIterations, node.span(), message).help(help));
        return None;
    }
    Some(values)
}

/// Reads `exclude`, a list of partial rows, each of which must leave out something.
fn excluded(
    reader: &mut Reader<'_>,
    node: &Node,
    axes: &[(&str, Vec<Value>)],
    is_open: bool,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Vec<Map<String, Value>> {
    let Some(items) = reader.list(node, "`exclude`") else { return Vec::new() };
    let text = reader.text;
    let mut rows = Vec::new();
    for item in items {
        let Some(entries) = reader.map(item, "an entry of `exclude`") else { continue };
        if entries.is_empty() {
            let message = "an empty entry of `exclude` would leave out everything";
            let help = "name the axes and values to leave out: `{ region: apac, layer: silver }`";
            reader.report(Diagnostic::at(Code::EmptyCollection, item.span(), message).help(help));
            continue;
        }
        let Some(Value::Object(row)) = render_now(reader, item, known, env) else { continue };
        for Entry { key, value } in entries.iter().filter(|_| !is_open) {
            let name = key.key_text(text).unwrap_or_default();
            let finding = match axes.iter().find(|(axis, _)| *axis == name) {
                None => {
                    let names = axes.iter().map(|(name, _)| *name);
                    let finding = Diagnostic::at(
                        Code::NoIterations,
                        key.span(),
                        format!("the matrix has no axis `{name}`"),
                    );
                    match super::words::nearest(name, names.clone()) {
                        Some(near) => finding.label(format!("did you mean `{near}`?")),
                        None => finding.help(format!("its axes are {}", super::words::list(names, "and"))),
                    }
                }
                Some((_, values)) if row.get(name).is_some_and(|value| !values.contains(value)) => {
                    let given = row.get(name).map(Value::to_string).unwrap_or_default();
                    let message = format!("the axis `{name}` has no value {}", excerpt(&given));
                    Diagnostic::at(Code::NoIterations, value.span(), message)
                        .label("this leaves nothing out")
                        .help("write a value of the axis, with quotes where the axis has them")
                }
                Some(_) => continue,
            };
            reader.report(finding);
        }
        rows.push(row);
    }
    rows
}

/// Gives each row its key: what `key` says, or the row's own.
fn keyed(
    reader: &mut Reader<'_>,
    template: Option<&Node>,
    span: Span,
    rows: Vec<Row>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Vec<Arc<Each>> {
    let column = best_column(&rows);
    let mut keyed: Vec<Arc<Each>> = Vec::new();
    let mut first_of: BTreeMap<String, usize> = BTreeMap::new();
    for (nth, Row { key, value }) in rows.into_iter().enumerate() {
        let key = if let Some(node) = template {
            // `key` stands in for `each.key` itself.
            let own = key.unwrap_or_else(|| format!("item {}", nth + 1));
            let row = Arc::new(Each { key: own, value });
            known.begin_row(Some(Arc::clone(&row)));
            let key = own_key(reader, node, known, env);
            known.end_rows();
            key.map(|key| (key, Arc::unwrap_or_clone(row).value))
        } else {
            if key.is_none() {
                reader.report(no_key(&value, nth, span, &column));
            }
            key.map(|key| (key, value))
        };
        // What is wrong with one is wrong with the others, too.
        let Some((key, value)) = key else { break };
        let at = template.map_or(span, Node::span);
        if let Some(reason) = unfit(&key) {
            let message = format!(
                "`{}` cannot be the key of an iteration: {reason}",
                excerpt(&key.escape_debug().to_string())
            );
            let help = "give each iteration a short name with `key`: `key: \"{{each.value.name}}\"`";
            reader.report(Diagnostic::at(Code::BadIterationKey, at, message).help(help));
            break;
        }
        if let Some(first) = first_of.insert(key.clone(), nth) {
            let message = format!("two iterations have the key `{}`", excerpt(&key));
            let finding = Diagnostic::at(Code::IterationTwice, at, message).label(format!(
                "item {} and item {}",
                first + 1,
                nth + 1
            ));
            reader.report(match template {
                Some(_) => finding
                    .help("add what tells them apart: `\"{{each.value.schema}}.{{each.value.table}}\"`"),
                None => finding.help("remove one of them, or add `key` with what tells them apart"),
            });
            break;
        }
        keyed.push(Arc::new(Each { key, value }));
    }
    keyed
}

fn own_key(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<String> {
    reader.words(node, "`key`", "write a template of the item: `\"{{each.value.name}}\"`")?;
    let value = render_now(reader, node, known, env)?;
    let key = plain(&value);
    if key.is_none() {
        let given = excerpt(&value.to_string());
        let message = format!("`key` must be a text, but the template gives `{given}`");
        let help = "use a column that is a text or a number";
        reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
    }
    key
}

/// Returns the column that tells the rows apart, or else the first.
fn best_column(rows: &[Row]) -> String {
    let columns: Vec<&String> = match rows.first().map(|row| &row.value) {
        Some(Value::Object(map)) => map.keys().collect(),
        _ => Vec::new(),
    };
    let tells_apart = |column: &&&String| {
        let values = rows.iter().map(|row| row.value.get(column.as_str()).and_then(plain));
        let texts: Option<BTreeSet<String>> = values.collect();
        texts.is_some_and(|texts| texts.len() == rows.len())
    };
    columns
        .iter()
        .find(tells_apart)
        .or(columns.first())
        .map_or_else(|| "name".to_owned(), |name| (*name).clone())
}

fn no_key(value: &Value, nth: usize, span: Span, column: &str) -> Diagnostic {
    let (kind, help) = match value {
        Value::Object(_) => {
            ("a map", format!("add `key: \"{{{{each.value.{column}}}}}\"`, with what tells the items apart"))
        }
        Value::Array(_) => {
            ("a list", "add `key: \"{{each.value.[0]}}\"`, with what tells the items apart".to_owned())
        }
        _ => ("empty", "remove it, or give it a value".to_owned()),
    };
    let message =
        format!("item {} of `for_each` is {kind}, which has no text to name its iteration by", nth + 1);
    Diagnostic::at(Code::NoIterationKey, span, message).help(help)
}

/// Says why a text cannot be a key.
fn unfit(key: &str) -> Option<&'static str> {
    if key.trim().is_empty() {
        Some("it is empty")
    } else if key.chars().count() > KEY_CHARS_MAX {
        Some("it is too long")
    } else if key.chars().any(char::is_control) {
        Some("it holds a line break or another control character")
    } else if key.contains("{{") {
        Some("it holds `{{`")
    } else {
        None
    }
}
