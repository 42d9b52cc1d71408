//! `docs/plan-reference.md`: generated from the schema, fresh, and true: each example is valid in its place.
//!
//! `UPDATE_EXPECT=1 cargo test --test it reference` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use synflow::plan::{Diagnostic, Topic, example, load, schema, shared_types, spelled, topics};

use crate::plans::given;
use crate::space::root;

const BEGIN: &str =
    "<!-- Generated from the schema: `UPDATE_EXPECT=1 cargo test --test it reference` writes it anew. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

fn path() -> PathBuf {
    root().join("docs/plan-reference.md")
}

/// Returns all that stands between the marks.
fn generated() -> String {
    let topics = topics();
    let (plan, rest) = topics.split_first().unwrap();
    let mut text = String::new();
    for key in &plan.keys {
        let topic = rest.iter().find(|topic| topic.path == *key).unwrap();
        writeln!(text, "- {}{}", link(key), if topic.is_required { ", required" } else { "" }).unwrap();
        let below = topic.keys.iter().filter(|_| topic.same_as.is_none());
        let links: Vec<String> = below.map(|key| link(key)).collect();
        if !links.is_empty() {
            writeln!(text, "  - {}", links.join(", ")).unwrap();
        }
    }
    writeln!(
        text,
        "- types: {}",
        shared_types().iter().map(|(name, ..)| format!("[{name}](#{name})")).collect::<Vec<_>>().join(", ")
    )
    .unwrap();
    for topic in rest.iter().filter(|topic| !is_told_elsewhere(topic, rest)) {
        section(&mut text, topic);
    }
    text.push_str("\n## Types\n");
    for (name, meaning, examples) in shared_types() {
        writeln!(text, "\n### {name}\n\n{meaning}").unwrap();
        let examples: Vec<String> = examples.iter().map(|value| format!("`{}`", spelled(value))).collect();
        writeln!(text, "\nFor example: {}.", examples.join(", ")).unwrap();
    }
    text
}

/// Says whether a key stands below one whose keys are told below another.
fn is_told_elsewhere(topic: &Topic, all: &[Topic]) -> bool {
    all.iter().any(|above| above.same_as.is_some() && topic.path.starts_with(&format!("{}.", above.path)))
}

fn section(text: &mut String, topic: &Topic) {
    let level = if topic.path.contains('.') { "###" } else { "##" };
    let kind = match &topic.shared {
        Some(name) => format!("[{name}](#{name})"),
        None => topic.kind.clone(),
    };
    let required = if topic.is_required { ", required" } else { "" };
    let default =
        topic.default.as_ref().map(|value| format!(", default `{}`", spelled(value))).unwrap_or_default();
    writeln!(text, "\n{level} `{}`\n\nType: {kind}{required}{default}.\n\n{}", topic.path, topic.meaning)
        .unwrap();
    if let Some(other) = &topic.same_as {
        let what = if topic.keys.is_empty() { "Its words are" } else { "Its keys are" };
        writeln!(text, "\n{what} those of {}.", link(other)).unwrap();
    } else {
        if !topic.words.is_empty() {
            text.push_str("\n| word | meaning |\n|---|---|\n");
        }
        for (word, meaning) in &topic.words {
            writeln!(text, "| `{word}` | {meaning} |").unwrap();
        }
        if topic.path.contains('.') && !topic.keys.is_empty() {
            let keys: Vec<String> = topic.keys.iter().map(|key| link(key)).collect();
            writeln!(text, "\nIts keys: {}.", keys.join(", ")).unwrap();
        }
    }
    if let Some(value) = &topic.example {
        write!(text, "\n```yaml\n{}```\n", example(topic.key(), value)).unwrap();
    }
}

/// Returns a link to a key, shown by its last word.
fn link(path: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let anchor: String = path.chars().filter(is_kept).collect();
    let shown = if path.starts_with("steps.") && path.matches('.').count() == 2 || path.contains(".*.") {
        path.rsplit('.').next().unwrap()
    } else {
        path
    };
    format!("[`{shown}`](#{anchor})")
}

#[test]
fn it_is_fresh() {
    let stored = fs::read_to_string(path()).unwrap();
    let (head, rest) = stored.split_once(BEGIN).expect("the document has the first mark");
    let (old, tail) = rest.split_once(END).expect("the document has the last mark");
    let fresh = generated();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(path(), format!("{head}{BEGIN}{fresh}{END}{tail}")).unwrap();
    }
    assert!(old == fresh, "stale: run `UPDATE_EXPECT=1 cargo test --test it reference`");
}

#[test]
fn every_link_leads_somewhere() {
    let text = fs::read_to_string(path()).unwrap();
    let anchors: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-"))
        .map(|line| line.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect())
        .collect();
    for target in text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let found = anchors.iter().filter(|anchor| *anchor == target).count();
        assert_eq!(found, 1, "#{target}");
    }
}

#[test]
fn every_example_is_valid_in_its_place() {
    let text = fs::read_to_string(path()).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let all = topics();
    let mut checked = 0;
    for section in text.split("\n#").skip(1) {
        let heading = section.lines().next().unwrap().trim_start_matches('#').trim();
        let Some(path) = heading.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        let topic = all.iter().find(|topic| topic.path == path).unwrap_or_else(|| panic!("no {path}"));
        let block = section.split("```yaml\n").nth(1).unwrap_or_else(|| panic!("`{path}` has no example"));
        let value: Value = serde_yaml::from_str(block.split("```").next().unwrap()).unwrap();
        let value = &value[topic.key()];
        let mut why = Vec::new();
        let is_valid = plans(topic, value, &all).iter().any(|plan| {
            let wrong = wrong(plan, &validator);
            let is_valid = wrong.is_empty();
            why.extend(wrong);
            is_valid
        });
        assert!(is_valid, "the example of `{path}` is not valid: {value}\n{}", why.join("\n"));
        checked += 1;
    }
    assert!(checked >= 30, "{checked}");
}

/// Returns what the schema and the check have against a plan, but for what it refers to and does not have: other steps,
/// other inputs.
fn wrong(plan: &Value, validator: &jsonschema::Validator) -> Vec<String> {
    const REFERS: &[&str] = &["E0215", "E0234", "E03", "E04", "E05", "E0701"];
    let text = plan.to_string();
    let findings = load(text.as_bytes(), &given("good", text.as_bytes())).err().into_iter().flatten();
    let counts = |finding: &Diagnostic| {
        finding.is_error() && !REFERS.iter().any(|code| finding.code.id().starts_with(code))
    };
    let findings = findings.filter(counts).map(|finding| finding.message);
    validator.iter_errors(plan).map(|error| error.to_string()).chain(findings).collect()
}

/// Returns plans that hold nothing but what must be there and a value in its place; in each but the first one
/// neighbour stands beside it, for the keys of which one of two must be there.
fn plans(topic: &Topic, value: &Value, all: &[Topic]) -> Vec<Value> {
    let parent = topic.path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let neighbours = all.iter().filter(|other| {
        other.path != topic.path && other.path.rsplit_once('.').map_or("", |(parent, _)| parent) == parent
    });
    let mut plans = vec![plan(topic, value, all, None)];
    // The example of the map around it may be what the key refers to.
    if let Some(above) = all.iter().find(|above| above.path == parent && !parent.is_empty())
        && let Some(mut around) = above.example.clone().filter(Value::is_object)
    {
        around[topic.key()] = value.clone();
        plans.push(plan(above, &around, all, None));
    }
    for neighbour in neighbours {
        let words = neighbour.words.iter().map(|(word, _)| json!(word));
        for other in neighbour.example.clone().into_iter().chain(words) {
            plans.push(plan(topic, value, all, Some((neighbour.key(), other))));
        }
    }
    plans
}

fn plan(topic: &Topic, value: &Value, all: &[Topic], neighbour: Option<(&str, Value)>) -> Value {
    let mut value = json!({ topic.key(): value });
    if let Some((key, other)) = neighbour.filter(|_| topic.path.contains('.')) {
        value[key] = other;
    }
    let words: Vec<&str> = topic.path.split('.').collect();
    for n in (0..words.len()).rev() {
        // `value` is the map in which the word with this number stands.
        let path = words[..n].join(".");
        let inside = if path.is_empty() { String::new() } else { format!("{path}.") };
        if words[n] != "*" {
            let is_missing = |other: &&Topic| {
                other.is_required
                    && other
                        .path
                        .strip_prefix(&inside)
                        .is_some_and(|rest| !rest.contains('.') && !rest.is_empty())
            };
            for other in all.iter().filter(is_missing) {
                let map: &mut Map<String, Value> = value.as_object_mut().unwrap();
                map.entry(other.key().to_owned()).or_insert_with(|| other.example.clone().unwrap());
            }
        }
        let Some(above) = n.checked_sub(1).map(|above| words[above]) else { break };
        let is_list = all.iter().any(|topic| topic.path == path && topic.kind.starts_with("list"));
        if is_list {
            value = json!([value]);
        }
        value = json!({ if above == "*" { "some" } else { above }: value });
    }
    if value.get("workspaces").is_none() {
        value["workspace"] = json!("contoso-dw");
    }
    value
}

/// Says whether a text has a key, at the beginning of a line or inside brackets.
fn has_key(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + key.len()..].trim_start_matches('"');
        before.is_none_or(|c| c.is_whitespace() || "{,\"".contains(c)) && after.starts_with(':')
    })
}

/// Reads all files of these folders whose names end so.
fn texts(folders: &[&str], end: &str) -> Vec<String> {
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    let meant = paths.filter(|path| path.extension().is_some_and(|it| it == end));
    meant.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
}

#[test]
fn every_key_is_in_an_example_and_used_rightly_and_wrongly() {
    let mut keys = Vec::new();
    crate::fuzz::named(&synflow::plan::schema(), &mut keys);
    let keys: BTreeSet<String> = keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect();
    assert!(keys.len() > 60, "{keys:?}");
    for (what, texts) in [
        ("example", texts(&["examples", "examples/nightly"], "yaml")),
        ("good plan", texts(&["tests/plans/good"], "yaml")),
        ("bad plan", texts(&["tests/plans/bad"], "yaml")),
    ] {
        let missing: Vec<_> =
            keys.iter().filter(|key| !texts.iter().any(|text| has_key(text, key))).collect();
        assert!(missing.is_empty(), "no {what} has {missing:?}");
    }
    let told = texts(&["tests/plans/bad"], "txt").concat();
    let unnamed: Vec<_> = keys.iter().filter(|key| !told.contains(key.as_str())).collect();
    assert!(unnamed.is_empty(), "no message shows {unnamed:?}");
}
