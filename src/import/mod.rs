//! A master pipeline of Execute Pipeline activities as a plan.
//!
//! What means the same becomes steps, inputs, templates and conditions; everything else becomes a comment with its place
//! and its text in the definition. Main function: [`import`]. Whoever calls it checks the plan before handing it out.

mod draft;
mod expression;
mod master;
mod names;
mod parts;
mod steps;
mod translate;
mod write;

use serde_json::{Map, Value};

use crate::plan;

use draft::{Draft, DraftInput, Todo};
use master::{activities, places};
use steps::Builder;
use translate::{Input, Kind};

/// How many activities are looked at, those inside others included. The service allows fewer.
const ACTIVITIES_MAX: usize = 200;

/// The longest name of a plan that is taken over, in characters.
const NAME_CHARS_MAX: usize = 200;

/// A plan made of a master pipeline.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name of the pipeline.
    pub name: String,
    /// The plan's text.
    pub text: String,
    /// How many steps it has; those of loops count once.
    pub steps: usize,
    /// How many things are left to a person, a missing name of the workspace included.
    pub todos: usize,
}

/// Why a file becomes no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportFailure {
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NoJson(String),
    /// It is JSON of something else.
    #[error("{0}")]
    NoPipeline(String),
    /// It is a pipeline, and nothing of it can be a step.
    #[error("{0}")]
    NoSteps(String),
    /// Our own text cannot be laid out.
    #[error("the plan that was made of it cannot be laid out; this is a bug of synflow")]
    Bug(String),
}

/// Makes a plan of a pipeline's definition, as a git folder or the service's API has it.
///
/// `fallback` names a pipeline whose definition does not say its name; `workspace` is the workspace's name, if it is known.
pub fn import(bytes: &[u8], fallback: &str, workspace: Option<&str>) -> Result<Imported, ImportFailure> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let json: Value =
        serde_json::from_slice(bytes).map_err(|error| ImportFailure::NoJson(error.to_string()))?;
    let properties = pipeline(&json)?;
    let name = json["name"].as_str().map(str::trim).filter(|name| !name.is_empty()).unwrap_or(fallback);
    let (inputs, known) = inputs(&properties["parameters"]);
    let top = activities(Some(&properties["activities"]), "properties.activities");
    if places(&top).len() > ACTIVITIES_MAX {
        let why = format!("it has more than {ACTIVITIES_MAX} activities, which the service would refuse");
        return Err(ImportFailure::NoPipeline(why));
    }
    let draft = Draft {
        name: plan_name(name),
        description: properties["description"]
            .as_str()
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned),
        workspace: workspace.map(str::to_owned),
        inputs,
        ..Draft::default()
    };
    let draft = Builder::new(draft, known, name, &top).build();
    if draft.steps.is_empty() {
        let executes =
            top.iter().any(|it| it.kind() == "ExecutePipeline" || !it.pipelines_inside().is_empty());
        let why = if executes {
            format!("none of the pipelines that `{name}` executes can become a step")
        } else {
            format!("`{name}` executes no other pipelines")
        };
        return Err(ImportFailure::NoSteps(why));
    }
    let text = write::write(&draft);
    let laid = plan::format(text.as_bytes()).map_err(|_| ImportFailure::Bug(text))?;
    let todos = write::count(&draft) + usize::from(workspace.is_none());
    Ok(Imported { name: name.to_owned(), text: laid, steps: draft.steps.len(), todos })
}

/// Returns the properties of the pipeline that a file holds.
fn pipeline(json: &Value) -> Result<&Value, ImportFailure> {
    let no = |why: &str| Err(ImportFailure::NoPipeline(why.to_owned()));
    if json.get("value").is_some_and(Value::is_array) {
        return no("it holds a list of pipelines; give it one, such as `pipeline/NAME.json` of a git folder");
    }
    if json.get("resources").is_some_and(Value::is_array) {
        return no(
            "it is a template of a whole workspace; give it one pipeline, such as `pipeline/NAME.json` of a git folder",
        );
    }
    let properties = match json.get("properties") {
        Some(properties) if properties.is_object() => properties,
        _ => return no("it has no `properties`, so it is no definition of a pipeline"),
    };
    match properties.get("activities") {
        Some(Value::Array(_)) => Ok(properties),
        _ => no("it has no `properties.activities`, so it is no definition of a pipeline"),
    }
}

fn plan_name(name: &str) -> String {
    let plain = name.replace("{{", "__");
    let plain: String = plain.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    if plain.trim().is_empty() { "imported".to_owned() } else { plain }
}

/// Makes inputs of the master's parameters.
fn inputs(parameters: &Value) -> (Vec<DraftInput>, Vec<Input>) {
    let mut drafts: Vec<DraftInput> = Vec::new();
    let mut known = Vec::new();
    let none = Map::new();
    for (parameter, given) in parameters.as_object().unwrap_or(&none) {
        let path = format!("properties.parameters.{parameter}");
        let taken: Vec<&str> = drafts.iter().map(|input| input.name.as_str()).collect();
        let name = names::unique(&names::input(parameter), &taken);
        let declared = given["type"].as_str().unwrap_or_default().to_ascii_lowercase();
        let mut todos = Vec::new();
        let mut todo =
            |text: String, original: Option<String>| todos.push(Todo { path: path.clone(), text, original });
        let (mut kind, mut of) = match declared.as_str() {
            "int" => ("int", Kind::Number),
            "float" => ("float", Kind::Number),
            "bool" => ("bool", Kind::Bool),
            "array" => ("array", Kind::List),
            "object" => ("object", Kind::Object),
            "securestring" => ("string", Kind::Secret),
            "string" => ("string", Kind::Text),
            other => {
                todo(format!("`{other}` is no type of a pipeline's parameter; the input is a string."), None);
                ("string", Kind::Text)
            }
        };
        let mut default = None;
        match given.get("defaultValue") {
            None | Some(Value::Null) => {}
            Some(_) if of == Kind::Secret => {
                todo("its default is a secret and stays behind. Give a reference: `default: \"env:NAME\"`, `file:PATH` or `keyvault:VAULT/NAME`.".to_owned(), None);
            }
            Some(value) => {
                let fitting = fit(kind, value).map(|value| (kind, of, value));
                let other = match value {
                    Value::Object(_) => Some(("object", Kind::Object, value.clone())),
                    Value::Array(_) => Some(("array", Kind::List, value.clone())),
                    _ => None,
                };
                match fitting.clone().or(other).filter(|(.., value)| translate::literal(value).is_some()) {
                    Some((fitting_kind, fitting_of, value)) => {
                        if fitting.is_none() {
                            todo(
                                format!(
                                    "the master calls this {kind} and gives it an {fitting_kind}; the input has the type of the default."
                                ),
                                None,
                            );
                        }
                        (kind, of, default) = (fitting_kind, fitting_of, Some(value));
                    }
                    None => todo(
                        format!("its default does not fit the type {kind}, so the input must be given."),
                        Some(value.to_string()),
                    ),
                }
            }
        }
        known.push(Input { parameter: parameter.clone(), name: name.clone(), kind: of });
        drafts.push(DraftInput { name, kind, default, is_secret: of == Kind::Secret, todos });
    }
    (drafts, known)
}

/// Returns a default as its type has it.
fn fit(kind: &str, value: &Value) -> Option<Value> {
    let text = value.as_str();
    match kind {
        "string" => match value {
            Value::String(_) => Some(value.clone()),
            Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
            _ => None,
        },
        "int" => value.as_i64().or_else(|| text?.trim().parse().ok()).map(Value::from),
        "float" => value
            .as_f64()
            .or_else(|| text?.trim().parse().ok())
            .filter(|n: &f64| n.is_finite())
            .map(Value::from),
        "bool" => value.as_bool().or_else(|| text?.trim().to_ascii_lowercase().parse().ok()).map(Value::from),
        "array" => match text {
            Some(text) => serde_json::from_str::<Vec<Value>>(text).ok().map(Value::from),
            None => value.is_array().then(|| value.clone()),
        },
        _ => match text {
            Some(text) => serde_json::from_str::<Map<String, Value>>(text).ok().map(Value::from),
            None => value.is_object().then(|| value.clone()),
        },
    }
}
