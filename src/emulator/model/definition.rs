//! A pipeline definition as a run walks it. Read leniently: what is missing or strange never refuses a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

/// One pipeline.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) activities: Arc<[Activity]>,
    /// Parameters read anywhere in it.
    pub(super) reads: Vec<String>,
    pub(super) parameters: Vec<Parameter>,
    /// Variables with their defaults.
    pub(super) variables: Map<String, Value>,
    /// How many runs may be under way at once.
    pub(super) concurrency: Option<usize>,
    pub(super) annotations: Value,
    pub(super) run_dimensions: Map<String, Value>,
}

/// A declared parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) default: Option<Value>,
    pub(super) is_secure: bool,
}

/// One activity of a pipeline or of a container.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) depends_on: Vec<Dependency>,
    /// What an inactive activity counts as; nothing if it is active.
    pub(super) inactive_as: Option<Ending>,
    pub(super) user_properties: Value,
    /// How often it is tried again, and after how many seconds.
    pub(super) retries: u64,
    pub(super) retry_interval_s: u64,
    /// Whether nobody may see what it produced.
    pub(super) hides_output: bool,
    /// The type's own settings, without inner activities.
    pub(super) settings: Value,
    /// Parameters its settings read.
    pub(super) reads: Vec<String>,
    pub(super) body: Body,
}

/// An activity another one waits for.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) activity: String,
    pub(super) conditions: Vec<Condition>,
}

/// How an activity must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Succeeded,
    Failed,
    Skipped,
    Completed,
}

/// How an activity ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Succeeded,
    Failed,
    Skipped,
}

/// What an activity does, as far as the emulator walks it.
#[derive(Debug)]
pub(super) enum Body {
    /// Takes its time.
    Simple,
    /// Takes hardly any.
    Instant,
    Wait {
        seconds: Value,
    },
    Fail {
        message: Value,
        code: Value,
    },
    If {
        condition: Value,
        yes: Arc<[Activity]>,
        no: Arc<[Activity]>,
    },
    Switch {
        on: Value,
        cases: Vec<(String, Arc<[Activity]>)>,
        otherwise: Arc<[Activity]>,
    },
    ForEach {
        items: Value,
        at_once: usize,
        inner: Arc<[Activity]>,
    },
    Until {
        inner: Arc<[Activity]>,
    },
    Call {
        pipeline: String,
        waits: bool,
        parameters: Map<String, Value>,
    },
    Set {
        variable: String,
        value: Value,
        returns: bool,
    },
    Append {
        variable: String,
        value: Value,
    },
}

/// How many iterations run at once where a For Each does not say, and how many may (protocol 7).
const BATCH_DEFAULT: u64 = 20;
const BATCH_MAX: u64 = 50;

/// How long the service waits before it tries an activity again, where the definition does not say.
const RETRY_INTERVAL_S: u64 = 30;

impl Definition {
    /// Reads the `properties` of a pipeline.
    pub(super) fn read(properties: &Value) -> Self {
        let concurrency = properties.get("concurrency").and_then(Value::as_u64).filter(|count| *count > 0);
        let mut reads = Vec::new();
        parameters_read(properties.get("activities").unwrap_or(&Value::Null), &mut reads);
        Self {
            activities: activities(properties.get("activities")),
            reads,
            parameters: members(properties.get("parameters"))
                .map(|(name, declared)| Parameter {
                    name: name.clone(),
                    default: declared.get("defaultValue").cloned(),
                    is_secure: text(declared.get("type")).eq_ignore_ascii_case("securestring"),
                })
                .collect(),
            variables: members(properties.get("variables"))
                .map(|(name, declared)| {
                    (name.clone(), declared.get("defaultValue").cloned().unwrap_or(Value::Null))
                })
                .collect(),
            concurrency: concurrency.map(|count| count as usize),
            annotations: properties
                .get("annotations")
                .filter(|value| value.is_array())
                .cloned()
                .unwrap_or_else(|| Value::Array(Vec::new())),
            run_dimensions: members(properties.get("runDimensions"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// Returns the names of all activities, those of containers included.
    pub(super) fn activity_names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut open: Vec<&[Activity]> = vec![&self.activities];
        while let Some(activities) = open.pop() {
            for activity in activities {
                names.insert(activity.name.as_str());
                match &activity.body {
                    Body::If { yes, no, .. } => open.extend([&**yes, &**no]),
                    Body::Switch { cases, otherwise, .. } => {
                        open.push(otherwise);
                        open.extend(cases.iter().map(|(_, inner)| &**inner));
                    }
                    Body::ForEach { inner, .. } | Body::Until { inner } => open.push(inner),
                    _ => {}
                }
            }
        }
        names
    }

    /// Returns the definition of a pipeline nobody described: the activities its script names, or one.
    pub(super) fn invented<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut activities: Vec<Activity> = names.map(|name| Activity::invented(name)).collect();
        if activities.is_empty() {
            activities.push(Activity::invented("Activity1"));
        }
        Self {
            activities: activities.into(),
            reads: Vec::new(),
            parameters: Vec::new(),
            variables: Map::new(),
            concurrency: None,
            annotations: Value::Array(Vec::new()),
            run_dimensions: Map::new(),
        }
    }
}

impl Activity {
    fn read(raw: &Value) -> Self {
        let kind = text(raw.get("type"));
        let empty = Value::Null;
        let settings = raw.get("typeProperties").unwrap_or(&empty);
        let body = Body::read(&kind, settings);
        let mut own = settings.clone();
        if let Some(own) = own.as_object_mut() {
            for inner in ["activities", "ifTrueActivities", "ifFalseActivities", "cases", "defaultActivities"]
            {
                own.remove(inner);
            }
        }
        let mut reads = Vec::new();
        parameters_read(&own, &mut reads);
        let inactive = text(raw.get("state")).eq_ignore_ascii_case("inactive");
        Self {
            name: text(raw.get("name")),
            kind,
            depends_on: list(raw.get("dependsOn")).iter().map(Dependency::read).collect(),
            inactive_as: inactive.then(|| {
                match text(raw.get("onInactiveMarkAs")).to_ascii_lowercase().as_str() {
                    "failed" => Ending::Failed,
                    "skipped" => Ending::Skipped,
                    _ => Ending::Succeeded,
                }
            }),
            user_properties: user_properties(raw.get("userProperties")),
            retries: raw.pointer("/policy/retry").and_then(Value::as_u64).unwrap_or(0),
            retry_interval_s: raw
                .pointer("/policy/retryIntervalInSeconds")
                .and_then(Value::as_u64)
                .unwrap_or(RETRY_INTERVAL_S),
            hides_output: raw.pointer("/policy/secureOutput").and_then(Value::as_bool).unwrap_or(false),
            settings: own,
            reads,
            body,
        }
    }

    /// Returns an activity that a script names and no definition does.
    pub(super) fn invented(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "Copy".to_owned(),
            depends_on: Vec::new(),
            inactive_as: None,
            user_properties: Value::Object(Map::new()),
            retries: 0,
            retry_interval_s: RETRY_INTERVAL_S,
            hides_output: false,
            settings: Value::Object(Map::new()),
            reads: Vec::new(),
            body: Body::Simple,
        }
    }

    /// Returns how many activities that take time follow each other in it, at most.
    fn length(&self) -> u64 {
        let inner = match &self.body {
            Body::If { yes, no, .. } => longest(yes).max(longest(no)),
            Body::Switch { cases, otherwise, .. } => {
                cases.iter().map(|(_, inner)| longest(inner)).max().unwrap_or(0).max(longest(otherwise))
            }
            Body::ForEach { inner, .. } | Body::Until { inner } => longest(inner),
            Body::Simple | Body::Wait { .. } | Body::Fail { .. } | Body::Call { .. } => 1,
            Body::Instant | Body::Set { .. } | Body::Append { .. } => 0,
        };
        inner.max(u64::from(matches!(self.body, Body::Simple)))
    }
}

impl Dependency {
    fn read(raw: &Value) -> Self {
        let conditions = list(raw.get("dependencyConditions")).iter().filter_map(|word| {
            match word.as_str()?.to_ascii_lowercase().as_str() {
                "succeeded" => Some(Condition::Succeeded),
                "failed" => Some(Condition::Failed),
                "skipped" => Some(Condition::Skipped),
                "completed" => Some(Condition::Completed),
                _ => None,
            }
        });
        let mut conditions: Vec<Condition> = conditions.collect();
        if conditions.is_empty() {
            conditions.push(Condition::Succeeded);
        }
        Self { activity: text(raw.get("activity")), conditions }
    }

    /// Returns whether an activity that ended so lets the dependent start.
    pub(super) fn is_met(&self, ending: Ending) -> bool {
        self.conditions.iter().any(|condition| match condition {
            Condition::Succeeded => ending == Ending::Succeeded,
            Condition::Failed => ending == Ending::Failed,
            Condition::Skipped => ending == Ending::Skipped,
            Condition::Completed => ending != Ending::Skipped,
        })
    }
}

impl Body {
    fn read(kind: &str, settings: &Value) -> Self {
        let value = |name: &str| settings.get(name).cloned().unwrap_or(Value::Null);
        let inner = |name: &str| activities(settings.get(name));
        match kind {
            "Wait" => Self::Wait { seconds: value("waitTimeInSeconds") },
            "Fail" => Self::Fail { message: value("message"), code: value("errorCode") },
            "IfCondition" => Self::If {
                condition: value("expression"),
                yes: inner("ifTrueActivities"),
                no: inner("ifFalseActivities"),
            },
            "Switch" => Self::Switch {
                on: value("on"),
                cases: list(settings.get("cases"))
                    .iter()
                    .map(|case| (text(case.get("value")), activities(case.get("activities"))))
                    .collect(),
                otherwise: inner("defaultActivities"),
            },
            "ForEach" => {
                let batch = settings.get("batchCount").and_then(Value::as_u64).unwrap_or(BATCH_DEFAULT);
                let sequential = settings.get("isSequential").and_then(Value::as_bool).unwrap_or(false);
                let at_once = if sequential { 1 } else { batch.clamp(1, BATCH_MAX) };
                Self::ForEach { items: value("items"), at_once: at_once as usize, inner: inner("activities") }
            }
            "Until" => Self::Until { inner: inner("activities") },
            "ExecutePipeline" => Self::Call {
                pipeline: text(settings.pointer("/pipeline/referenceName")),
                waits: settings.get("waitOnCompletion").and_then(Value::as_bool).unwrap_or(false),
                parameters: settings
                    .get("parameters")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default(),
            },
            "SetVariable" => Self::Set {
                variable: text(settings.get("variableName")),
                value: value("value"),
                returns: settings.get("setSystemVariable").and_then(Value::as_bool).unwrap_or(false),
            },
            "AppendVariable" => {
                Self::Append { variable: text(settings.get("variableName")), value: value("value") }
            }
            "Filter" => Self::Instant,
            _ => Self::Simple,
        }
    }
}

/// Returns how many activities that take time follow each other, at most. Each walk is bounded by the number of
/// activities, so a circle in a broken file ends too.
pub(super) fn longest(activities: &[Activity]) -> u64 {
    let own: Vec<u64> = activities.iter().map(Activity::length).collect();
    let mut lengths = own.clone();
    for _ in 0..activities.len() {
        let before = lengths.clone();
        for (at, activity) in activities.iter().enumerate() {
            let upstream = activity.depends_on.iter().filter_map(|dependency| {
                activities
                    .iter()
                    .position(|other| other.name == dependency.activity)
                    .map(|found| before[found])
            });
            lengths[at] = upstream.max().unwrap_or(0) + own[at];
        }
        if lengths == before {
            break;
        }
    }
    lengths.into_iter().max().unwrap_or(0)
}

fn activities(raw: Option<&Value>) -> Arc<[Activity]> {
    list(raw).iter().map(Activity::read).collect()
}

fn list(raw: Option<&Value>) -> &[Value] {
    raw.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn members(raw: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    raw.and_then(Value::as_object).into_iter().flatten()
}

fn text(raw: Option<&Value>) -> String {
    raw.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Turns the definition's list of `{name, value}` into the run's object.
fn user_properties(raw: Option<&Value>) -> Value {
    let pairs =
        list(raw).iter().map(|pair| (text(pair.get("name")), pair.get("value").cloned().unwrap_or_default()));
    Value::Object(pairs.collect())
}

/// Collects the names after `pipeline().parameters.` in every expression below `value`.
fn parameters_read(value: &Value, names: &mut Vec<String>) {
    const MARK: &str = "pipeline().parameters.";
    match value {
        Value::String(text) => {
            for after in text.split(MARK).skip(1) {
                let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| parameters_read(item, names)),
        Value::Object(members) => members.values().for_each(|member| parameters_read(member, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Body, Definition, Ending, longest};

    #[test]
    fn reads_strange_definitions() {
        for strange in
            [json!(null), json!([]), json!({}), json!({"activities": 3}), json!({"activities": [null, 1]})]
        {
            let definition = Definition::read(&strange);
            assert!(definition.parameters.is_empty(), "{strange}");
        }
    }

    #[test]
    fn finds_the_parameters_an_activity_reads() {
        let definition = Definition::read(&json!({ "activities": [{
            "name": "If", "type": "IfCondition",
            "typeProperties": {
                "expression": { "value": "@equals(pipeline().parameters.Mode,'x')", "type": "Expression" },
                "ifTrueActivities": [{ "name": "Copy", "type": "Copy", "typeProperties": {
                    "source": "@{pipeline().parameters.From}/@{pipeline().parameters.From}",
                }}],
            },
        }]}));
        let activity = &definition.activities[0];
        assert_eq!(activity.reads, ["Mode"]);
        let Body::If { yes, no, .. } = &activity.body else { panic!("an If: {activity:?}") };
        assert_eq!((yes[0].reads.as_slice(), no.len()), (["From".to_owned()].as_slice(), 0));
    }

    #[test]
    fn counts_the_longest_chain() {
        let definition = Definition::read(&json!({ "activities": [
            { "name": "a", "type": "Copy" },
            { "name": "b", "type": "Copy", "dependsOn": [{ "activity": "a", "dependencyConditions": ["Completed"] }] },
            { "name": "c", "type": "SetVariable", "dependsOn": [{ "activity": "b" }] },
            { "name": "d", "type": "Copy", "dependsOn": [{ "activity": "d" }] },
        ]}));
        assert_eq!(longest(&definition.activities[..3]), 2);
        assert!(longest(&definition.activities) > 2, "a circle ends the count");
        assert!(definition.activities[1].depends_on[0].is_met(Ending::Failed));
        assert!(!definition.activities[1].depends_on[0].is_met(Ending::Skipped));
    }
}
