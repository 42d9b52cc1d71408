//! What `synflow import` leaves to a person, for every real master pipeline: each TODO is true, and nothing is left out
//! without one.
//!
//! The definitions are walked here a second time, by nothing that the import uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::import_verb::MASTERS;
use crate::space::{Said, TestSpace, root};

/// An activity of a definition.
struct Activity {
    /// Such as `properties.activities[0].typeProperties.activities[1]`.
    path: String,
    json: Value,
}

impl Activity {
    fn name(&self) -> &str {
        self.json["name"].as_str().unwrap()
    }

    fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap()
    }

    /// Returns the pipeline that it executes.
    fn pipeline(&self) -> Option<&str> {
        let name = &self.json["typeProperties"]["pipeline"]["referenceName"];
        name.as_str().filter(|_| self.kind() == "ExecutePipeline")
    }

    fn is_inside(&self, path: &str) -> bool {
        self.path == path || self.path.starts_with(&format!("{path}."))
    }
}

/// A TODO of a plan.
#[derive(Debug)]
struct Todo {
    path: String,
    text: String,
    /// What stands there in the definition, as it is quoted.
    original: String,
    /// What stands below it in the plan: the name of an input or a step; empty where it belongs to nothing.
    of: String,
}

/// Returns the activities of a list and of all containers in it.
fn walk(list: &Value, path: &str, into: &mut Vec<Activity>) {
    for (at, json) in list.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{at}]");
        let settings = &json["typeProperties"];
        for inner in ["activities", "ifTrueActivities", "ifFalseActivities", "defaultActivities"] {
            walk(&settings[inner], &format!("{path}.typeProperties.{inner}"), into);
        }
        for (n, case) in settings["cases"].as_array().into_iter().flatten().enumerate() {
            walk(&case["activities"], &format!("{path}.typeProperties.cases[{n}].activities"), into);
        }
        into.push(Activity { path, json: json.clone() });
    }
}

fn read(file: &PathBuf) -> Value {
    let text = fs::read_to_string(file).unwrap();
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
}

fn activities(definition: &Value) -> Vec<Activity> {
    let mut all = Vec::new();
    walk(&definition["properties"]["activities"], "properties.activities", &mut all);
    all
}

/// Returns the TODOs about places of the definition.
fn todos(plan: &str) -> Vec<Todo> {
    let mut todos: Vec<Todo> = Vec::new();
    let mut open = 0;
    for line in plan.lines() {
        let words = line.trim();
        if let Some(begun) = words.strip_prefix("# TODO properties") {
            let (path, text) = begun.split_once(": ").unwrap_or((begun.trim_end_matches(':'), ""));
            let (path, text) = (format!("properties{path}"), text.to_owned());
            todos.push(Todo { path, text, original: String::new(), of: String::new() });
            open += 1;
        } else if let Some(quoted) = words.strip_prefix("#   ").filter(|_| open > 0) {
            todos.last_mut().unwrap().original.push_str(quoted);
        } else if let Some(more) = words.strip_prefix("# ").filter(|_| open > 0) {
            let text = &mut todos.last_mut().unwrap().text;
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(more);
        } else if open > 0 {
            let of = words.split(':').next().unwrap().trim_matches('"').to_owned();
            todos.iter_mut().rev().take(open).for_each(|todo| todo.of.clone_from(&of));
            open = 0;
        }
    }
    todos
}

fn at<'d>(definition: &'d Value, path: &str) -> &'d Value {
    let pointer = format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"));
    definition.pointer(&pointer).unwrap_or_else(|| panic!("nothing is at {path}"))
}

/// Returns a text as far as a comment keeps it.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Says whether a TODO quotes what stands at its place: a text, the text of an expression, or JSON.
fn is_quoted(original: &str, there: &Value) -> bool {
    let text = match there {
        Value::String(text) => text.clone(),
        Value::Object(members) if members.get("type").is_some_and(|kind| kind == "Expression") => {
            members["value"].as_str().unwrap().to_owned()
        }
        other => other.to_string(),
    };
    match original.split_once(" ... (") {
        None => bare(original) == bare(&text),
        Some((begun, count)) => {
            let is_counted = count.starts_with(&format!("{} characters", text.chars().count()));
            is_counted && bare(&text).starts_with(&bare(begun))
        }
    }
}

/// Returns the names in backquotes.
fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

struct Imported<'a> {
    definition: &'a Value,
    activities: Vec<Activity>,
    plan: serde_yaml::Value,
    todos: Vec<Todo>,
}

impl Imported<'_> {
    fn activity(&self, path: &str) -> &Activity {
        self.activities.iter().find(|it| it.path == path).unwrap_or_else(|| panic!("no activity at {path}"))
    }

    fn waiting_for<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Value> {
        let edges = self.activities.iter().filter_map(|it| it.json["dependsOn"].as_array()).flatten();
        edges.filter(move |edge| edge["activity"] == name)
    }

    fn executes_inside(&self, path: &str) -> bool {
        self.activities.iter().any(|it| it.is_inside(path) && it.pipeline().is_some())
    }

    fn stays_behind(&self, activity: &Activity) -> bool {
        self.todos.iter().any(|todo| activity.is_inside(&todo.path) && todo.text.contains("stays behind"))
    }

    fn step(&self, todo: &Todo) -> &serde_yaml::Value {
        let step = &self.plan["steps"][todo.of.as_str()];
        assert!(step.is_mapping(), "{todo:?} stands above no step");
        step
    }

    /// Asserts that what a TODO says is so.
    fn is_true(&self, todo: &Todo) {
        let there = at(self.definition, &todo.path);
        if !todo.original.is_empty() {
            assert!(is_quoted(&todo.original, there), "{todo:?} quotes something else than {there}");
        }
        let text = todo.text.as_str();
        let named = names(text);
        let is_computed = |value: &Value| {
            let value = value.to_string();
            ["activity(", "variables(", "item(", "pipeline()."].iter().any(|name| value.contains(name))
        };
        if text.contains(" runs no pipeline") {
            let activity = self.activity(&todo.path);
            assert_eq!((named[0], text.split(['(', ')']).nth(1)), (activity.name(), Some(activity.kind())));
            assert!(!self.executes_inside(&todo.path), "{todo:?}");
            let is_awaited = self.waiting_for(activity.name()).next().is_some();
            assert_eq!(text.contains("What waits for it"), is_awaited, "{todo:?}");
        } else if text.contains(" to fail, which stays behind") {
            let activity = self.activity(&todo.path);
            assert_eq!(named[0], activity.name());
            let edges = activity.json["dependsOn"].as_array().unwrap();
            let edge = edges.iter().find(|edge| edge["activity"] == named[1]).unwrap();
            assert_eq!(edge["dependencyConditions"], serde_json::json!(["Failed"]), "{todo:?}");
            let other = self.activities.iter().find(|it| it.name() == named[1]).unwrap();
            assert!(self.stays_behind(other), "{todo:?}");
        } else if text.contains(" is not sent: a plan cannot compute this") {
            assert!(todo.path.ends_with(&format!(".parameters.{}", named[0])), "{todo:?}");
            assert!(self.step(todo)["parameters"][named[0]].is_null(), "{todo:?} is sent");
            assert!(is_computed(there), "{todo:?}");
        } else if text.contains("Give it as an input") {
            let kind = if text.contains("this list") { "array" } else { "bool" };
            let input = &self.plan["inputs"][todo.of.as_str()];
            assert_eq!(input["type"], kind, "{todo:?}");
            assert!(input["default"].is_null(), "{todo:?} need not be given");
            assert!(is_computed(there), "{todo:?}");
            assert_eq!(text.contains("for each item"), todo.path.contains("].typeProperties.activities["));
            let plan = serde_yaml::to_string(&self.plan["steps"]).unwrap();
            assert!(plan.contains(&format!("inputs.{}", todo.of)), "{todo:?} is used nowhere");
        } else if text.starts_with("`key` must be different") {
            let step = self.step(todo);
            assert!(step["for_each"].is_string() && step["key"].is_string(), "{todo:?}");
        } else {
            panic!("a TODO that this test does not know: {todo:?}");
        }
    }

    /// Asserts that each activity is a step with all its parameters, or stands in a TODO.
    fn is_complete(&self) {
        let mut steps: BTreeMap<String, usize> = BTreeMap::new();
        for (_, step) in self.plan["steps"].as_mapping().unwrap() {
            *steps.entry(step["pipeline"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let mut executed: BTreeMap<String, usize> = BTreeMap::new();
        for activity in &self.activities {
            let path = &activity.path;
            match activity.pipeline() {
                Some(name) if !self.stays_behind(activity) => {
                    *executed.entry(name.to_owned()).or_default() += 1;
                    let given =
                        activity.json["typeProperties"]["parameters"].as_object().into_iter().flatten();
                    let of_it = |step: &serde_yaml::Value| step["pipeline"] == name;
                    for (parameter, _) in given {
                        let is_left = self
                            .todos
                            .iter()
                            .any(|it| it.path.ends_with(&format!(".parameters.{parameter}")));
                        let mut all =
                            self.plan["steps"].as_mapping().unwrap().values().filter(|it| of_it(it));
                        let is_sent = all.any(|step| !step["parameters"][parameter.as_str()].is_null());
                        assert!(is_sent || is_left, "{path}: the parameter {parameter} is gone");
                    }
                }
                None if !self.executes_inside(path) => {
                    assert!(self.stays_behind(activity), "{path}, {}, is gone", activity.name());
                }
                _ => {}
            }
        }
        assert_eq!(steps, executed);
    }
}

/// Returns the files of all definitions, each with whether it executes a pipeline.
fn files() -> Vec<(PathBuf, bool)> {
    let files = synflow::emulator::list_artifacts(&root().join("tests/artifacts")).unwrap();
    let is_master = |file: &PathBuf| activities(&read(file)).iter().any(|it| it.pipeline().is_some());
    files.into_iter().map(|file| (file.clone(), is_master(&file))).collect()
}

#[test]
fn every_todo_of_a_real_master_is_true_and_nothing_is_lost() {
    let mut count = 0;
    for (source, name) in MASTERS {
        let definition = read(&root().join(format!("tests/artifacts/{source}/pipeline/{name}.json")));
        let text = fs::read_to_string(root().join(format!("tests/import/{name}.yaml"))).unwrap();
        let imported = Imported {
            definition: &definition,
            activities: activities(&definition),
            plan: serde_yaml::from_str(&text).unwrap(),
            todos: todos(&text),
        };
        assert_eq!(imported.todos.len(), text.matches("# TODO properties").count(), "{name}");
        imported.todos.iter().for_each(|todo| imported.is_true(todo));
        imported.is_complete();
        count += imported.todos.len();
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn every_definition_is_a_master_or_refused_as_none() {
    let mut masters: Vec<String> = MASTERS.map(|(source, name)| format!("{source}/{name}")).to_vec();
    masters.sort();
    let mut found = Vec::new();
    let space = TestSpace::new();
    for (file, is_master) in files() {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        if is_master {
            let source = file.parent().unwrap().parent().unwrap().file_name().unwrap().to_str().unwrap();
            found.push(format!("{source}/{stem}"));
            continue;
        }
        let said = Said::from(space.command(["import", file.to_str().unwrap()]).output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{stem}: {}", said.stderr);
        assert!(
            said.stderr.contains("executes no other") || said.stderr.contains("no `properties"),
            "{stem}: {}",
            said.stderr
        );
    }
    found.sort();
    assert_eq!(found, masters);
}
