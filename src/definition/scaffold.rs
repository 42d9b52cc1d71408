//! Definitions to a first plan: one step for each pipeline, its parameters with their types.
//!
//! Required parameters become inputs, of which several pipelines may share one; those with a default stand in comments. The
//! plan fits the definitions it was made from. Main function: [`scaffold`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Catalogue, Definition, Parameter, ParameterType};
use crate::plan::{self, Cloud, Workspace};

/// The longest default that a comment shows, in characters.
const DEFAULT_CHARS_MAX: usize = 80;

/// The longest id of a step, in characters.
const ID_CHARS_MAX: usize = 90;

/// Words that readers of YAML may take for something else than a text.
const NO_TEXTS: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf"];

/// Writes a plan with a step for each pipeline of these names, or for all of them if none is named. Names that the
/// catalogue does not have are passed over, and so are those that a plan cannot say.
pub fn scaffold(
    catalogue: &Catalogue,
    wanted: &[String],
    plan_name: &str,
    workspace: Option<&Workspace>,
) -> String {
    let is_wanted = |one: &&Definition| wanted.is_empty() || wanted.contains(&one.name);
    let can_be_said = |one: &&Definition| !one.name.contains("{{") && !one.name.contains('\u{fffd}');
    let chosen: Vec<&Definition> =
        catalogue.definitions.values().filter(is_wanted).filter(can_be_said).collect();
    let mut inputs = Inputs::default();
    let mut ids = BTreeSet::new();
    let steps: Vec<String> = chosen
        .iter()
        .map(|definition| {
            step(definition, &unique(&id_of(&definition.name), &mut ids), catalogue, &mut inputs)
        })
        .collect();
    let mut text = format!(
        "# Made from {}. Every pipeline stands here once: remove what you do not start\n",
        catalogue.origin
    );
    text += "# yourself, and say with `depends_on` what waits for what. `synflow schema steps` lists the other keys.\n";
    let _ = writeln!(text, "version: 1\nname: {}", quoted(plan_name));
    text += &of_workspace(workspace);
    text += &inputs.text();
    text += "steps:\n";
    text += &steps.concat();
    plan::format(text.as_bytes()).unwrap_or(text)
}

/// Returns the lines that say which workspace it is: by its name, unless its address does not follow from that.
fn of_workspace(workspace: Option<&Workspace>) -> String {
    let Some(Workspace { name, endpoint, cloud, .. }) = workspace else {
        return "workspace: your-workspace # https://your-workspace.dev.azuresynapse.net\n".to_owned();
    };
    let follows = !name.contains('.') && *endpoint == format!("https://{name}{}", cloud.host_suffix());
    let of_cloud = if *cloud == Cloud::Public { String::new() } else { format!(", cloud: {}", cloud.word()) };
    match (follows, cloud) {
        (true, Cloud::Public) => format!("workspace: {}\n", quoted(name)),
        (true, _) => format!("workspaces:\n  main: {{ name: {}{of_cloud} }}\n", quoted(name)),
        (false, _) => {
            let endpoint = serde_json::Value::from(endpoint.as_str());
            format!("workspaces:\n  main: {{ endpoint: {endpoint}{of_cloud} }}\n")
        }
    }
}

/// The inputs that the steps take.
#[derive(Default)]
struct Inputs {
    /// The type of each, and the pipelines that take it.
    all: BTreeMap<String, (&'static str, Vec<String>)>,
    order: Vec<String>,
}

impl Inputs {
    /// Returns the name of an input for a required parameter: one of its name and type, new if there is none.
    fn of(&mut self, parameter: &Parameter, definition: &Definition) -> String {
        let kind = input_type(&parameter.kind);
        let plain = id_of(&parameter.name);
        let mut name = plain.clone();
        let mut number = 2;
        while self.all.get(&name).is_some_and(|(known, _)| *known != kind) {
            name = format!("{plain}_{number}");
            number += 1;
        }
        if !self.all.contains_key(&name) {
            self.order.push(name.clone());
        }
        let (_, users) = self.all.entry(name.clone()).or_insert((kind, Vec::new()));
        users.push(definition.name.clone());
        name
    }

    fn text(&self) -> String {
        if self.order.is_empty() {
            return String::new();
        }
        let line = |name: &String| {
            let (kind, users) = &self.all[name];
            let users = plan::word_list(users.iter().map(String::as_str), "and");
            format!("  {}: {{ type: {kind} }} # of {users}\n", quoted(name))
        };
        format!("inputs:\n{}", self.order.iter().map(line).collect::<Vec<_>>().concat())
    }
}

fn step(definition: &Definition, id: &str, catalogue: &Catalogue, inputs: &mut Inputs) -> String {
    let callers: Vec<&str> = catalogue
        .definitions
        .values()
        .filter(|other| other.calls.contains(&definition.name))
        .map(|other| other.name.as_str())
        .collect();
    let mut text = String::new();
    if !callers.is_empty() {
        let callers = plan::word_list(callers, "and");
        let _ = writeln!(text, "  # {callers} starts it: remove this step if that is enough.");
    }
    let _ = writeln!(text, "  {}:\n    pipeline: {}", quoted(id), quoted(&definition.name));
    let can_be_said = |one: &&Parameter| !one.name.contains("{{") && !one.name.contains('\u{fffd}');
    let (required, optional): (Vec<&Parameter>, Vec<&Parameter>) =
        definition.parameters.iter().filter(can_be_said).partition(|one| one.default.is_none());
    // What removes the marks of a comment leaves the right indentation.
    let mark = if required.is_empty() { "    #   " } else { "      # " };
    if !required.is_empty() {
        text += "    parameters:\n";
    } else if !optional.is_empty() {
        text += "    # parameters:\n";
    }
    for parameter in required {
        let value = if parameter.kind == ParameterType::SecureString {
            reference(parameter)
        } else {
            format!("\"{{{{inputs.{}}}}}\"", spelled(&inputs.of(parameter, definition)))
        };
        let _ = writeln!(text, "      {}: {value} # {}", quoted(&parameter.name), parameter.kind.word());
    }
    for parameter in optional {
        if parameter.kind == ParameterType::SecureString {
            let (name, value) = (quoted(&parameter.name), reference(parameter));
            let _ = writeln!(text, "{mark}{name}: {value}  # SecureString, in place of its default");
            continue;
        }
        let default = parameter.default.as_ref().map(ToString::to_string).unwrap_or_default();
        let shown: String = default.chars().take(DEFAULT_CHARS_MAX).collect();
        let more = if shown == default { "" } else { "..." };
        let (name, kind) = (quoted(&parameter.name), parameter.kind.word());
        let _ = writeln!(text, "{mark}{name}: {shown}{more}  # {kind}, the default");
    }
    text
}

/// Returns what stands for a secret: its value, a default too, belongs into no plan.
fn reference(parameter: &Parameter) -> String {
    format!("'{{{{secret \"env:{}\"}}}}'", id_of(&parameter.name).replace('-', "_").to_uppercase())
}

/// Returns the type of an input that fits a parameter.
const fn input_type(kind: &ParameterType) -> &'static str {
    match kind {
        ParameterType::Int => "int",
        ParameterType::Float => "float",
        ParameterType::Bool => "bool",
        ParameterType::Array => "array",
        ParameterType::Object => "object",
        ParameterType::String | ParameterType::SecureString | ParameterType::Other(_) => "string",
    }
}

/// Returns a name as an id of a plan can have it.
fn id_of(name: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let id: String = name.chars().map(fit).take(ID_CHARS_MAX).collect();
    let id = id.trim_start_matches('-');
    if id.is_empty() { "step".to_owned() } else { id.to_owned() }
}

/// Returns an id that no other step has.
fn unique(id: &str, ids: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{id}_{number}"));
    let mut names = std::iter::once(id.to_owned()).chain(numbered);
    let free = names.find(|name| ids.insert(name.clone()));
    free.unwrap_or_default()
}

/// Returns an input's name as a template says it.
fn spelled(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_') && !name.contains('-');
    if is_plain { name.to_owned() } else { format!("[{name}]") }
}

/// Returns a text as YAML has it: in quotes unless nobody can take it for something else.
fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_- ".contains(c))
        && !text.ends_with(' ')
        && !NO_TEXTS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::scaffold;
    use crate::definition::{Catalogue, Definition, Source};
    use crate::plan::workspace_at;

    fn catalogue(definitions: &[Value]) -> Catalogue {
        let mut catalogue = Catalogue::new("`repo`");
        for raw in definitions {
            let source = Source::File("a.json".to_owned());
            catalogue.add(Definition::read(raw, source, "").expect("it is an object"));
        }
        catalogue
    }

    #[test]
    fn writes_a_plan_that_can_be_read() {
        let of = |names: Value| json!({ "parameters": names });
        let catalogue = catalogue(&[
            json!({ "name": "Load 1", "properties": {
                "parameters": {
                    "day": { "type": "string" }, "n": { "type": "int", "defaultValue": 5 }, "key": { "type": "SecureString" },
                    "old-key": { "type": "SecureString", "defaultValue": "hunter2" },
                },
            }}),
            json!({ "name": "no", "properties": of(json!({ "day": { "type": "string" }, "from day": { "type": "array" } })) }),
            json!({ "name": "other", "properties": {
                "parameters": { "day": { "type": "int" } },
                "activities": [{ "name": "Call", "type": "ExecutePipeline", "typeProperties": { "pipeline": { "referenceName": "no" } } }],
            }}),
        ]);
        insta::assert_snapshot!(scaffold(&catalogue, &[], "nightly", None), @r##"
        # Made from `repo`. Every pipeline stands here once: remove what you do not start
        # yourself, and say with `depends_on` what waits for what. `synflow schema steps` lists the other keys.
        version: 1
        name: nightly
        workspace: your-workspace  # https://your-workspace.dev.azuresynapse.net
        inputs:
          day: { type: string }  # of `Load 1` and `no`
          from_day: { type: array }  # of `no`
          day_2: { type: int }  # of `other`
        steps:
          Load_1:
            pipeline: Load 1
            parameters:
              day: "{{inputs.day}}"  # String
              key: '{{secret "env:KEY"}}'  # SecureString
              # "n": 5  # Int, the default
              # old-key: '{{secret "env:OLD_KEY"}}'  # SecureString, in place of its default
          # `other` starts it: remove this step if that is enough.
          "no":
            pipeline: "no"
            parameters:
              day: "{{inputs.day}}"  # String
              from day: "{{inputs.from_day}}"  # Array
          other:
            pipeline: other
            parameters:
              day: "{{inputs.day_2}}"  # Int
        "##);
        let check = |text: &str, want: &str| {
            let workspace = workspace_at(text).expect("it is one");
            let one = scaffold(&catalogue, &["other".to_owned()], "nightly", Some(&workspace));
            assert!(one.contains(want) && !one.contains("Load 1"), "{one}");
        };
        check("contoso-dw", "\nworkspace: contoso-dw\n");
        check("https://contoso-dw.dev.azuresynapse.net", "\nworkspace: contoso-dw\n");
        check(
            "https://contoso-dw.dev.azuresynapse.azure.cn",
            "\nworkspaces:\n  main: { name: contoso-dw, cloud: china }\n",
        );
        check("http://127.0.0.1:80", "\nworkspaces:\n  main: { endpoint: \"http://127.0.0.1:80\" }\n");
    }
}
