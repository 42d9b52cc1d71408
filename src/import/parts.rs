//! Small parts of a definition: texts that may be expressions, policies, and what names an item of a list.

use serde_json::Value;

use super::draft::{DraftStep, Todo};
use super::expression::{self, Text};
use super::master::Activity;
use super::translate;

/// The longest text of a definition that is repeated in a comment, in characters.
const ORIGINAL_CHARS_MAX: usize = 1_500;

/// How many members of an item make its key at most.
const KEY_MEMBERS_MAX: usize = 4;

/// Returns the text of a value that may be an expression.
pub(super) fn text_of(value: &Value) -> Option<Text> {
    match value {
        Value::String(text) => Some(expression::read(text)),
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "Expression") => {
            map.get("value").and_then(Value::as_str).map(expression::read)
        }
        _ => None,
    }
}

/// Returns a parameter's value: a text that may be an expression, or any other value.
pub(super) fn parameter(value: &Value) -> Option<Result<Text, Value>> {
    match value {
        Value::String(_) => text_of(value).map(Ok),
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "Expression") => {
            match map.get("value") {
                Some(Value::String(text)) => Some(Ok(expression::read(text))),
                other => other.cloned().map(Err),
            }
        }
        // Expressions further inside would be sent as they are.
        Value::Object(_) | Value::Array(_) if value.to_string().contains("\"@") => None,
        other => Some(Err(other.clone())),
    }
}

/// Reads what the activity says of retries, time and its owners.
pub(super) fn policy(activity: &Activity<'_>, step: &mut DraftStep) {
    let policy = &activity.json["policy"];
    let place = |key: &str| format!("{}.policy.{key}", activity.path);
    let mut odd = |path: String, what: &str, value: &Value| {
        step.todos.push(Todo {
            path,
            text: format!("{what} is not taken over."),
            original: Some(cut(&value.to_string())),
        });
    };
    match (&policy["timeout"], policy["timeout"].as_str().and_then(duration)) {
        (Value::Null, _) => {}
        (_, Some(text)) => step.timeout = Some(text),
        (other, None) => odd(place("timeout"), "this timeout", other),
    }
    let seconds = policy["retryIntervalInSeconds"].as_u64().unwrap_or(30);
    match (&policy["retry"], policy["retry"].as_u64()) {
        (Value::Null, _) | (_, Some(0)) => {}
        (_, Some(again)) if again < 100 && seconds <= 86_400 => step.retry = Some((again + 1, seconds)),
        (other, _) => odd(place("retry"), "this retry", other),
    }
    for (at, property) in activity.json["userProperties"].as_array().into_iter().flatten().enumerate() {
        match (property["name"].as_str(), property["value"].as_str()) {
            (Some(name), Some(value))
                if !value.starts_with('@') && !value.contains("@{") && !value.contains("{{") =>
            {
                step.tags.push(format!("{name}={value}"));
            }
            _ => {
                let path = format!("{}.userProperties[{at}]", activity.path);
                odd(path, "this property", property);
            }
        }
    }
}

/// Returns a time such as `0.12:00:00` as a plan writes it.
fn duration(text: &str) -> Option<String> {
    let (days, rest) = text.split_once('.').filter(|(days, _)| !days.contains(':')).unwrap_or(("0", text));
    let parts: Vec<u64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    let hours = days.parse::<u64>().ok().filter(|days| *days <= 90)? * 24 + hours;
    let parts = [(hours, "h"), (*minutes, "m"), (*seconds, "s")];
    let mut text = String::new();
    for (n, unit) in parts.iter().filter(|(n, _)| *n > 0) {
        text.push_str(&n.to_string());
        text.push_str(unit);
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Returns what names an iteration: needed where items are no plain values.
pub(super) fn key_of(items: Option<&[Value]>, json: &str) -> Option<String> {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let whole = || Some("{{json each.value}}".to_owned());
    let Some(items) = items else {
        // Nobody knows the items; if they are asked for a member, they are objects.
        let lower = json.to_ascii_lowercase();
        let named = lower.match_indices("item().").map(|(at, found)| {
            json[at + found.len()..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect::<String>()
        });
        let named: Vec<String> = named.filter(|name| !name.is_empty()).collect();
        let is_telling =
            |name: &&String| ["id", "name", "key"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        let mut best: Vec<String> = named.iter().find(is_telling).into_iter().cloned().collect();
        // No member tells items apart; together those that are asked for must.
        if best.is_empty() {
            for name in named.into_iter().filter(|_| translate::is_item_object(json)) {
                if !best.contains(&name) && best.len() < KEY_MEMBERS_MAX {
                    best.push(name);
                }
            }
        }
        let best: Vec<String> = best.iter().map(|name| format!("{{{{each.value.{name}}}}}")).collect();
        return Some(best.join(",")).filter(|key| !key.is_empty());
    };
    if items.iter().all(is_plain) {
        return None;
    }
    let members = items.first().and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let fits = |name: &&String| {
        let mut texts: Vec<String> = items.iter().map(|item| item[name.as_str()].to_string()).collect();
        texts.sort();
        let count = texts.len();
        texts.dedup();
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        is_name && texts.len() == count && items.iter().all(|item| is_plain(&item[name.as_str()]))
    };
    members.clone().find(fits).map(|name| format!("{{{{each.value.{name}}}}}")).or_else(whole)
}

/// Says whether a step has a key that nobody has checked.
pub(super) fn key_is_guess(step: Option<&DraftStep>) -> bool {
    step.is_some_and(|step| step.key.is_some())
}

/// Returns what stands in a place, for a comment.
pub(super) fn original_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "Expression") => {
            map.get("value").and_then(Value::as_str).map_or_else(|| value.to_string(), str::to_owned)
        }
        other => other.to_string(),
    }
}

/// Returns names as a list.
pub(super) fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns a text, without its end where it is long.
pub(super) fn cut(text: &str) -> String {
    if text.chars().count() <= ORIGINAL_CHARS_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(ORIGINAL_CHARS_MAX).collect();
    format!("{kept} ... ({} characters in all)", text.chars().count())
}

/// Returns a list that the definition itself holds.
pub(super) fn literal_list(items: &Value, text: Option<&Text>) -> Option<Vec<Value>> {
    match (text, items) {
        (Some(Text::Whole(expression)), _) => translate::list(expression),
        (Some(Text::Plain(text)), _) => serde_json::from_str(text).ok(),
        (_, items) => items.as_array().cloned(),
    }
}

/// Returns the parameters that are sent inside an activity; all of it where none of them asks for a member of an item.
pub(super) fn sent(activity: &Activity<'_>) -> String {
    let inner = activity.branches().into_iter().flat_map(|branch| branch.activities);
    let parameters = inner.flat_map(|inner| {
        let own = (inner.kind() == "ExecutePipeline").then(|| inner.setting("parameters").0.to_string());
        own.into_iter().chain((!inner.branches().is_empty()).then(|| sent(&inner)))
    });
    let all: String = parameters.collect();
    if translate::is_item_object(&all) { all } else { activity.json.to_string() }
}
