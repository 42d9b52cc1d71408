//! A deployed pipeline, as far as a plan must know it: parameters, activities, what it returns, how often it runs at once.
//!
//! Read leniently from the JSON of a git folder or of the service: what is not known is passed over, and nothing that
//! Synapse accepts is refused. Never reads a file and never asks the service. [`check`] holds a plan against definitions.
//! Main types: [`Definition`], and [`Catalogue`] for those of one workspace.

mod contract;
mod fit;
mod parse;
mod queue;
mod scaffold;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

pub use contract::{check, check_steps};
pub use parse::parse;
pub use scaffold::scaffold;

/// The most parameters of a pipeline (protocol 7).
pub const PARAMETERS_MAX: usize = 50;

/// The variable that Set Variable writes to return something (protocol 3.7).
const RETURN_VARIABLE: &str = "pipelineReturnValue";

/// The annotation by which an emulator says that it made a definition up, and that the pipeline takes whatever it is given.
const STAND_IN: &str = "synflow-emulator-stand-in";

/// The pipelines of one workspace, by their names.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Where they come from, as messages name it: a folder, or the workspace.
    pub origin: String,
    /// Those that could be read.
    pub definitions: BTreeMap<String, Definition>,
    /// The names of those that are there and could not be read: nothing is said of them.
    pub unreadable: BTreeSet<String>,
    /// Other spellings of names, and the names.
    pub spellings: BTreeMap<String, String>,
}

/// What a plan must know of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Where it was read.
    pub source: Source,
    /// Its parameters, in the order of the definition.
    pub parameters: Vec<Parameter>,
    /// How many of its runs Synapse lets run at once, if it says; the others wait.
    pub concurrency: Option<usize>,
    /// Its activities, those inside containers behind their container.
    pub activities: Vec<Activity>,
    /// What it returns to whoever started it.
    pub returns: Returns,
    /// The pipelines that it starts itself.
    pub calls: BTreeSet<String>,
    /// Whether an emulator made it up, since nobody has described the pipeline: no plan is held against it.
    pub is_stand_in: bool,
}

/// Where a definition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file of this name.
    File(String),
    /// In the service, in this version if it told one.
    Service {
        /// The version.
        etag: Option<String>,
    },
}

/// A declared parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ParameterType,
    /// What it is if it is not given; one without a default is required.
    pub default: Option<Value>,
}

/// The type of a parameter (protocol 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// A list.
    Array,
    /// A map.
    Object,
    /// A text that the service shows to nobody.
    SecureString,
    /// One that is not known here; nothing is held against it.
    Other(String),
}

/// An activity of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its name.
    pub name: String,
    /// Its type, such as `Copy`.
    pub kind: String,
    /// Whether it stands inside a container: a loop, an If or a Switch.
    pub is_nested: bool,
    /// Whether one of those is a loop, in which it may run several times.
    pub is_looped: bool,
    /// Whether the service shows no output of it.
    pub hides_output: bool,
}

/// What a pipeline returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing.
    Nothing,
    /// Values under these keys.
    Keys(BTreeSet<String>),
    /// Something that only a run tells.
    Open,
}

impl Catalogue {
    /// Returns an empty one.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), ..Self::default() }
    }

    /// Adds a definition. Gives back the one that its name had before.
    pub fn add(&mut self, definition: Definition) -> Option<Definition> {
        self.definitions.insert(definition.name.clone(), definition)
    }

    /// Returns the definition of this name, or of the one that this is another spelling of.
    pub fn find(&self, name: &str) -> Option<&Definition> {
        let spelled = self.spellings.get(name).map_or(name, String::as_str);
        self.definitions.get(spelled)
    }
}

impl Definition {
    /// Returns for how many of its runs Synapse has room, running and queued, if it has a limit.
    pub fn capacity(&self) -> Option<usize> {
        self.concurrency.map(|limit| limit.saturating_add(contract::QUEUE_MAX))
    }

    /// Reads a definition: a whole resource or file, or its `properties` alone. `name` is for those that do not name
    /// themselves. Gives nothing if the value is no object; what is strange in one is passed over.
    pub fn read(value: &Value, source: Source, name: &str) -> Option<Self> {
        let whole = value.as_object()?;
        let properties = whole.get("properties").filter(|inner| inner.is_object()).unwrap_or(value);
        let own = whole.get("name").and_then(Value::as_str).filter(|own| !own.trim().is_empty());
        let mut found = Found { activities: Vec::new(), returns: Returns::Nothing, calls: BTreeSet::new() };
        found.walk(properties.get("activities"), Inside::default());
        let Found { activities, returns, calls } = found;
        let concurrency = properties.get("concurrency").and_then(Value::as_u64).filter(|count| *count > 0);
        Some(Self {
            name: printable(own.unwrap_or(name)),
            source,
            parameters: members(properties.get("parameters"))
                .map(|(name, declared)| Parameter {
                    name: printable(name),
                    kind: ParameterType::read(text(declared.get("type"))),
                    default: declared.get("defaultValue").cloned(),
                })
                .collect(),
            concurrency: concurrency.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
            activities,
            returns,
            calls,
            is_stand_in: properties
                .get("annotations")
                .and_then(Value::as_array)
                .is_some_and(|annotations| annotations.iter().any(|annotation| annotation == STAND_IN)),
        })
    }

    /// Returns the version that the service told of it.
    pub fn etag(&self) -> Option<&str> {
        match &self.source {
            Source::Service { etag } => etag.as_deref(),
            Source::File(_) => None,
        }
    }

    /// Returns a parameter by its name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

impl ParameterType {
    /// Reads the name of a type, in whatever case: Studio writes `string`, the vendor's SDKs `String`.
    pub fn read(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "array" => Self::Array,
            "object" => Self::Object,
            "securestring" => Self::SecureString,
            _ => Self::Other(printable(name)),
        }
    }

    /// Returns the type's name as Synapse Studio shows it.
    pub fn word(&self) -> &str {
        match self {
            Self::String => "String",
            Self::Int => "Int",
            Self::Float => "Float",
            Self::Bool => "Bool",
            Self::Array => "Array",
            Self::Object => "Object",
            Self::SecureString => "SecureString",
            Self::Other(name) if name.is_empty() => "no type",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "`{name}`"),
            Self::Service { etag: Some(etag) } => write!(f, "the deployed definition (etag {etag})"),
            Self::Service { etag: None } => f.write_str("the deployed definition"),
        }
    }
}

/// What an activity stands inside of.
#[derive(Clone, Copy, Default)]
struct Inside {
    container: bool,
    a_loop: bool,
}

/// What the activities of a pipeline are and do.
struct Found {
    activities: Vec<Activity>,
    returns: Returns,
    calls: BTreeSet<String>,
}

impl Found {
    /// Collects activities and what they do. Recurses as deep as the JSON, whose reader has a limit.
    fn walk(&mut self, raw: Option<&Value>, inside: Inside) {
        for activity in raw.and_then(Value::as_array).into_iter().flatten().filter(|raw| raw.is_object()) {
            let kind = text(activity.get("type"));
            self.activities.push(Activity {
                name: printable(text(activity.get("name"))),
                kind: printable(kind),
                is_nested: inside.container,
                is_looped: inside.a_loop,
                hides_output: activity.pointer("/policy/secureOutput") == Some(&Value::Bool(true)),
            });
            let Some(settings) = activity.get("typeProperties") else { continue };
            note_returned(settings, &mut self.returns);
            if let Some(called) = settings.pointer("/pipeline/referenceName").and_then(Value::as_str) {
                self.calls.insert(printable(called));
            }
            let is_loop = ["foreach", "until"].contains(&kind.to_ascii_lowercase().as_str());
            let inside = Inside { container: true, a_loop: inside.a_loop || is_loop };
            for list in ["activities", "ifTrueActivities", "ifFalseActivities", "defaultActivities"] {
                self.walk(settings.get(list), inside);
            }
            for case in settings.get("cases").and_then(Value::as_array).into_iter().flatten() {
                self.walk(case.get("activities"), inside);
            }
        }
    }
}

/// Notes what a Set Variable adds to the return value, if it does.
fn note_returned(settings: &Value, returns: &mut Returns) {
    let sets = settings.get("setSystemVariable") == Some(&Value::Bool(true))
        || text(settings.get("variableName")).eq_ignore_ascii_case(RETURN_VARIABLE);
    if !sets {
        return;
    }
    let pairs = settings.get("value").and_then(Value::as_array);
    let keys: Option<Vec<&str>> =
        pairs.and_then(|pairs| pairs.iter().map(|pair| pair.get("key")?.as_str()).collect());
    let keys = keys.map(|keys| keys.into_iter().map(str::to_owned).collect::<BTreeSet<String>>());
    *returns = match (std::mem::replace(returns, Returns::Open), keys) {
        (Returns::Nothing, Some(keys)) => Returns::Keys(keys),
        (Returns::Keys(mut all), Some(keys)) => {
            all.extend(keys);
            Returns::Keys(all)
        }
        _ => Returns::Open,
    };
}

fn members(raw: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    raw.and_then(Value::as_object).into_iter().flatten()
}

fn text(raw: Option<&Value>) -> &str {
    raw.and_then(Value::as_str).unwrap_or_default()
}

/// Returns a name without characters that would spoil a message; such a name is none that a plan can say.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{Definition, ParameterType, Returns, Source};

    fn read(value: &Value) -> Definition {
        Definition::read(value, Source::File("a.json".to_owned()), "a").expect("this is an object")
    }

    #[test]
    fn reads_strange_definitions_and_refuses_only_what_is_no_object() {
        for strange in [
            json!({}),
            json!({ "properties": 3 }),
            json!({ "name": "", "properties": { "parameters": [], "activities": {} } }),
            json!({ "properties": { "activities": [null, 3, { "typeProperties": 1 }], "concurrency": "x" } }),
        ] {
            let definition = read(&strange);
            assert_eq!((definition.name.as_str(), definition.parameters.len()), ("a", 0), "{strange}");
        }
        for strange in [json!(null), json!([]), json!("x")] {
            assert_eq!(Definition::read(&strange, Source::File(String::new()), "a"), None, "{strange}");
        }
    }

    #[test]
    fn reads_the_properties_alone_and_types_in_any_case() {
        let declared = json!({ "parameters": {
            "a": { "type": "STRING", "defaultValue": null }, "b": { "type": "securestring" }, "c": { "type": "Date" }, "d": {},
        }});
        for definition in [read(&declared), read(&json!({ "name": "a", "properties": declared }))] {
            let kinds: Vec<&str> = definition.parameters.iter().map(|one| one.kind.word()).collect();
            assert_eq!(kinds, ["String", "SecureString", "Date", "no type"]);
            let required: Vec<bool> = definition.parameters.iter().map(|one| one.default.is_none()).collect();
            assert_eq!(required, [false, true, true, true]);
        }
        assert_eq!(ParameterType::read("INT"), ParameterType::Int);
    }

    #[test]
    fn finds_activities_in_every_container_and_what_they_return() {
        let set = |value: Value| {
            json!({ "name": "Set", "type": "SetVariable", "typeProperties": {
                "variableName": "pipelineReturnValue", "setSystemVariable": true, "value": value,
            }})
        };
        let copy =
            |name: &str| json!({ "name": name, "type": "Copy", "policy": { "secureOutput": name == "c" } });
        let definition = read(&json!({ "activities": [
            { "name": "If", "type": "IfCondition", "typeProperties": {
                "ifTrueActivities": [copy("a"), set(json!([{ "key": "rows", "value": 1 }]))],
                "ifFalseActivities": [{ "name": "Each", "type": "ForEach", "typeProperties": { "activities": [copy("b")] } }],
            }},
            { "name": "Switch", "type": "Switch", "typeProperties": {
                "cases": [{ "value": "x", "activities": [copy("c")] }], "defaultActivities": [set(json!([{ "key": "day" }]))],
            }},
        ]}));
        let found: Vec<(&str, bool, bool, bool)> = definition
            .activities
            .iter()
            .map(|one| (one.name.as_str(), one.is_nested, one.is_looped, one.hides_output))
            .collect();
        let want = [
            ("If", false, false, false),
            ("a", true, false, false),
            ("Set", true, false, false),
            ("Each", true, false, false),
            ("b", true, true, false),
            ("Switch", false, false, false),
            ("Set", true, false, false),
            ("c", true, false, true),
        ];
        assert_eq!(found, want);
        let keys = BTreeSet::from(["rows".to_owned(), "day".to_owned()]);
        assert_eq!(definition.returns, Returns::Keys(keys));
        let computed = read(&json!({ "activities": [set(json!("@json('[]')"))] }));
        assert_eq!((computed.returns, read(&json!({})).returns), (Returns::Open, Returns::Nothing));
    }
}
