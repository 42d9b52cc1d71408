//! What each key of a plan means, read from the JSON Schema: one [`Topic`] for each.
//!
//! The terminal shows topics one at a time, `docs/plan-reference.md` all of them. A `*` in a path stands for a name
//! that the author chooses: `steps.*.retry`. Main functions: [`topics`] and [`topic`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::schema;
use super::words;

/// How many keys deep a path may lead; types that hold themselves end here.
const DEPTH_MAX: usize = 8;

/// A key of the language, or a plan as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Where it stands: `steps.*.retry`; empty for a plan as a whole.
    pub path: String,
    /// What its value is, in words; a type that several keys share by its name.
    pub kind: String,
    /// The name of a plain type that several keys share, such as `duration`.
    pub shared: Option<String>,
    /// Whether it must be there.
    pub is_required: bool,
    /// What counts if it is left out.
    pub default: Option<Value>,
    /// What it means, in sentences.
    pub meaning: String,
    /// The words it may be, each with its meaning.
    pub words: Vec<(String, String)>,
    /// The paths of the keys below it.
    pub keys: Vec<String>,
    /// The path of another key with the same keys below it, which tells of them.
    pub same_as: Option<String>,
    /// A value it could have.
    pub example: Option<Value>,
}

impl Topic {
    /// Returns the key alone, without what is above it.
    pub fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// Returns the topic of a plan as a whole, then that of every key in the order of the language.
pub fn topics() -> Vec<Topic> {
    let schema = schema();
    let mut book = Book { schema: &schema, topics: Vec::new(), told: BTreeSet::new() };
    book.tell(Place { path: String::new(), is_required: true, depth: 0 }, &schema);
    let mut topics = book.topics;
    link(&mut topics);
    topics
}

/// Returns the topic of a path, in which names may stand for `*`; without a `*` where it is clear: `steps.retry`.
///
/// Gives the paths most like it if there is none of that name.
pub fn topic(path: &str) -> Result<Topic, Vec<String>> {
    let topics = topics();
    let words: Vec<&str> = path.split('.').filter(|word| !word.is_empty()).collect();
    match resolve(&topics, &words) {
        Some(found) => topics.iter().find(|topic| topic.path == found).cloned().ok_or_else(Vec::new),
        None => Err(near(&topics, &words)),
    }
}

/// Returns the types that several keys share and that are more than a word: name, meaning and examples.
pub fn shared_types() -> Vec<(String, String, Vec<Value>)> {
    let schema = schema();
    let definitions = schema["$defs"].as_object().into_iter().flatten();
    let shared = definitions.filter(|(_, definition)| is_plain(definition));
    let strings = |value: &Value| value["description"].as_str().unwrap_or_default().to_owned();
    let examples = |value: &Value| value["examples"].as_array().cloned().unwrap_or_default();
    shared.map(|(name, definition)| (name.clone(), strings(definition), examples(definition))).collect()
}

/// Returns a value below its key as a person would write it in a plan: on one line where that is short, names one below
/// the other.
pub fn example(key: &str, value: &Value) -> String {
    let mut text = String::new();
    write(&format!("{key}: "), value, 0, &mut text);
    text
}

/// Writes a value behind its key or dash.
fn write(lead: &str, value: &Value, indent: usize, text: &mut String) {
    const COLUMNS_MAX: usize = 90;
    let blanks = " ".repeat(indent);
    let line = format!("{blanks}{lead}{}", spelled(value));
    let is_named = value.as_object().is_some_and(|map| !map.is_empty() && map.values().all(Value::is_object));
    let is_short = line.chars().count() <= COLUMNS_MAX && !(indent == 0 && is_named);
    match value {
        Value::Object(map) if !is_short => {
            text.extend([&blanks, lead.trim_end(), "\n"]);
            for (key, value) in map {
                write(&format!("{}: ", plain(key)), value, indent + 2, text);
            }
        }
        Value::Array(items) if !is_short => {
            text.extend([&blanks, lead.trim_end(), "\n"]);
            for item in items {
                write("- ", item, indent + 2, text);
            }
        }
        _ => {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// Returns a value on one line as a plan spells it.
pub fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| format!("{}: {}", plain(key), spelled(value));
            format!("{{ {} }}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Quotes a text unless it can only be read as itself.
fn plain(text: &str) -> String {
    let is_wordy = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    let is_plain = text.starts_with(char::is_alphabetic)
        && text.chars().all(is_wordy)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    let is_duration = super::duration::read(text).is_ok() && text.ends_with(char::is_alphabetic);
    if is_plain || is_duration || text == "on" {
        text.to_owned()
    } else if text.contains('"') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        Value::from(text).to_string()
    }
}

/// Follows the words of a path; the result is a path of a topic.
fn resolve(topics: &[Topic], words: &[&str]) -> Option<String> {
    let mut path = String::new();
    for (n, word) in words.iter().enumerate() {
        let join = |word: &str| if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
        let names = join("*");
        let below = format!("{names}.");
        let has = |path: &str| topics.iter().any(|topic| topic.path == path);
        let direct = join(word);
        let skipped = format!("{below}{word}");
        let is_named = topics.iter().any(|topic| topic.path.starts_with(&below));
        path = if *word != "*" && has(&direct) {
            direct
        } else if is_named && *word != "*" && has(&skipped) {
            skipped
        } else if is_named {
            let keys = topics.iter().filter_map(|topic| topic.path.strip_prefix(&below));
            let is_last = n + 1 == words.len();
            // A name of the author's, unless it is a mistyped key.
            if is_last
                && *word != "*"
                && words::nearest(word, keys.filter(|key| !key.contains('.'))).is_some()
            {
                return None;
            }
            names
        } else {
            return None;
        };
    }
    // A name alone stands for the map that has it.
    Some(path.strip_suffix(".*").map_or(path.clone(), str::to_owned))
}

/// Returns the paths most like one that is none: first those that end in its last word.
fn near(topics: &[Topic], words: &[&str]) -> Vec<String> {
    const SHOWN_MAX: usize = 3;
    let last = words.last().copied().unwrap_or_default();
    let ends = |word: &str| -> Vec<String> {
        topics.iter().filter(|topic| topic.key() == word).map(|topic| topic.path.clone()).collect()
    };
    let mut found = ends(last);
    if found.is_empty() {
        let keys = topics.iter().map(Topic::key);
        let foreign = || {
            let all: Vec<&str> = topics.iter().map(Topic::key).collect();
            words::foreign(last, &all).map(str::to_owned)
        };
        found = foreign()
            .or_else(|| words::nearest(last, keys).map(str::to_owned))
            .map(|word| ends(&word))
            .unwrap_or_default();
    }
    let begin = words.first().copied().unwrap_or_default();
    found.sort_by_key(|path| (!path.starts_with(begin), path.split('.').count()));
    found.truncate(SHOWN_MAX);
    found
}

/// Where a schema stands.
struct Place {
    path: String,
    is_required: bool,
    depth: usize,
}

struct Book<'s> {
    schema: &'s Value,
    topics: Vec<Topic>,
    /// The paths that have a topic.
    told: BTreeSet<String>,
}

impl<'s> Book<'s> {
    /// Writes the topic of a schema and of all below it.
    fn tell(&mut self, place: Place, property: &'s Value) {
        if place.depth > DEPTH_MAX || !self.told.insert(place.path.clone()) {
            return;
        }
        let target = self.target(property);
        let text = |key: &str| property.get(key).or_else(|| target.get(key)).and_then(Value::as_str);
        let mut words = Vec::new();
        self.words(property, &mut words);
        let mut below = Vec::new();
        self.below(property, &place.path, &mut below, 0);
        let examples = property.get("examples").or_else(|| target.get("examples")).and_then(Value::as_array);
        let constant = property.get("const").cloned();
        self.topics.push(Topic {
            kind: self.kind(property),
            shared: name_of(property).filter(|_| is_plain(target)).map(str::to_owned),
            is_required: place.is_required,
            default: property.get("default").cloned(),
            meaning: text("description").unwrap_or_default().to_owned(),
            words,
            keys: below.iter().map(|(place, _)| place.path.clone()).collect(),
            same_as: Some(property).filter(|_| !is_plain(target)).and_then(type_name),
            example: examples.and_then(|examples| examples.first()).cloned().or(constant),
            path: place.path,
        });
        for (inner, schema) in below {
            self.tell(Place { depth: place.depth + 1, ..inner }, schema);
        }
    }

    /// Follows a reference.
    fn target(&self, schema: &'s Value) -> &'s Value {
        name_of(schema).and_then(|name| self.schema["$defs"].get(name)).unwrap_or(schema)
    }

    /// Collects the keys that may stand below a schema, through lists and names.
    fn below(&self, schema: &'s Value, path: &str, found: &mut Vec<(Place, &'s Value)>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let schema = self.target(schema);
        let required = schema["required"].as_array();
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let is_required = required.is_some_and(|names| names.iter().any(|name| name == key));
            found.push((Place { path, is_required, depth: 0 }, property));
        }
        let named = schema.get("additionalProperties").filter(|named| named.is_object());
        if let Some(named) = named {
            let inside = if path.is_empty() { "*".to_owned() } else { format!("{path}.*") };
            self.below(named, &inside, found, depth + 1);
        }
        let items = schema.get("items").into_iter();
        for choice in choices(schema).chain(items) {
            self.below(choice, path, found, depth + 1);
        }
    }

    /// Collects the words that a value may be, also inside lists and as conditions of names, but not below keys.
    fn words(&self, schema: &'s Value, found: &mut Vec<(String, String)>) {
        let schema = self.target(schema);
        if schema.get("properties").is_some() {
            return;
        }
        if let (Some(word), Some(meaning)) = (schema["const"].as_str(), schema["description"].as_str()) {
            let pair = (word.to_owned(), meaning.to_owned());
            if !found.contains(&pair) {
                found.push(pair);
            }
        }
        let inner = ["items", "additionalProperties"].iter().filter_map(|key| schema.get(*key));
        for choice in choices(schema).chain(inner) {
            self.words(choice, found);
        }
    }

    /// Says in a few words what a value is.
    fn kind(&self, property: &'s Value) -> String {
        let schema = self.target(property);
        if let (Some(name), true) = (name_of(property), is_plain(schema)) {
            return name.to_owned();
        }
        if let Some(constant) = schema.get("const") {
            return format!("`{constant}`");
        }
        let choices: Vec<&Value> = choices(schema).collect();
        let is_word = |choice: &&Value| choice["const"].is_string();
        if !choices.is_empty() && choices.iter().all(is_word) {
            return "a word".to_owned();
        }
        let named = schema.get("additionalProperties").filter(|named| named.is_object());
        match schema.get("type") {
            None if !choices.is_empty() => {
                let mut kinds: Vec<String> = Vec::new();
                for kind in choices.iter().map(|choice| self.kind(choice)).filter(|kind| kind != "nothing") {
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                kinds.join(" or ")
            }
            Some(Value::Array(_)) => "text".to_owned(),
            Some(Value::String(kind)) => match kind.as_str() {
                "string" => "text".to_owned(),
                "boolean" => "`true` or `false`".to_owned(),
                "integer" => format!("whole number{}", range(schema)),
                "number" => format!("number{}", range(schema)),
                "array" => match schema.get("items").map(|items| self.kind(items)) {
                    Some(kind) if !kind.contains(" or ") && kind != "any value" => {
                        format!("list of {}", many(&kind))
                    }
                    _ => "list".to_owned(),
                },
                "null" => "nothing".to_owned(),
                _ if named.is_some() => "map of names".to_owned(),
                _ => "map".to_owned(),
            },
            _ => "any value".to_owned(),
        }
    }
}

/// Makes of each name of a type the path of the key that tells of it: one below `steps`, else the first. What stands
/// below the others is told there.
fn link(topics: &mut [Topic]) {
    let mut teller = std::collections::BTreeMap::<String, String>::new();
    for topic in topics.iter() {
        let Some(name) = &topic.same_as else { continue };
        let is_step = |path: &str| path.starts_with("steps.");
        let known = teller.entry(name.clone()).or_insert_with(|| topic.path.clone());
        if is_step(&topic.path) && !is_step(known) {
            known.clone_from(&topic.path);
        }
    }
    for topic in topics.iter_mut() {
        let path = topic.same_as.take().and_then(|name| teller.get(&name).cloned());
        topic.same_as = path.filter(|path| *path != topic.path);
    }
}

/// Returns the name of the type that a schema refers to.
fn name_of(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)?.strip_prefix("#/$defs/")
}

/// Returns what the type of a value is called: a type's own name, or that of which it is a map or a list.
fn type_name(schema: &Value) -> Option<String> {
    let inside = |key: &str| schema.get(key).and_then(name_of).map(|name| format!("{key} {name}"));
    let name = name_of(schema).map(str::to_owned);
    name.or_else(|| inside("additionalProperties")).or_else(|| inside("items"))
}

/// Says whether a type is neither a map nor a choice of words: a text of some form.
fn is_plain(schema: &Value) -> bool {
    schema.get("pattern").is_some() && schema["type"] == "string"
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key).and_then(Value::as_array));
    // Not those that only say which keys go together.
    lists
        .flatten()
        .filter(|choice| choice.as_object().map(Map::len) != Some(1) || choice.get("required").is_none())
}

fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(", at least {min}"),
        (None, Some(max)) => format!(", at most {max}"),
        (None, None) => String::new(),
    }
}

/// Returns the plural of a kind.
fn many(kind: &str) -> String {
    match kind {
        "a word" => "words".to_owned(),
        _ if kind.starts_with('`') => kind.to_owned(),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{topic, topics};

    #[test]
    fn finds_a_key_by_its_path() {
        let check = |path: &str, want: &str| {
            assert_eq!(topic(path).map(|topic| topic.path).as_deref(), Ok(want), "{path}");
        };
        check("steps", "steps");
        check("steps.*", "steps");
        check("steps.load", "steps");
        check("steps.retry", "steps.*.retry");
        check("steps.*.retry", "steps.*.retry");
        check("steps.load.depends_on", "steps.*.depends_on");
        check("steps.retry.max_attempts", "steps.*.retry.max_attempts");
        check("inputs.type", "inputs.*.type");
        check("inputs.day.type", "inputs.*.type");
        check("workspaces.main.cloud", "workspaces.*.cloud");
        check("", "");
        check(".", "");
    }

    #[test]
    fn names_what_is_near() {
        let check = |path: &str, want: &[&str]| {
            let near: Vec<String> = want.iter().map(|path| (*path).to_owned()).collect();
            assert_eq!(topic(path), Err(near), "{path}");
        };
        check("retry", &["defaults.retry", "steps.*.retry"]);
        check("steps.retyr", &["steps.*.retry", "defaults.retry"]);
        check("steps.load.needs", &["steps.*.depends_on"]);
        check("max_paralel", &["max_parallel", "environments.*.max_parallel", "steps.*.max_parallel"]);
        check("qqqq", &[]);
    }

    #[test]
    fn says_of_each_key_what_it_is() {
        let check = |path: &str, want: &str| {
            assert_eq!(topic(path).map(|topic| topic.kind).as_deref(), Ok(want), "{path}");
        };
        check("version", "`1`");
        check("name", "text");
        check("max_parallel", "whole number from 1 to 10000");
        check("inputs.type", "a word");
        check("inputs.default", "any value");
        check("steps", "map of names");
        check("steps.timeout", "duration");
        check("steps.tags", "list of texts");
        check("steps.allow_failure", "`true` or `false`");
        check("steps.retry", "map");
        check("steps.parameters", "map or text");
        assert_eq!(topic("defaults.retry").map(|topic| topic.same_as), Ok(Some("steps.*.retry".to_owned())));
        assert_eq!(topic("steps.retry").map(|topic| topic.same_as), Ok(None));
    }

    #[test]
    fn every_topic_is_whole() {
        let all = topics();
        for topic in &all {
            assert!(!topic.meaning.is_empty(), "{topic:?}");
            for key in &topic.keys {
                assert!(all.iter().any(|other| other.path == *key), "{key}");
            }
        }
    }
}
