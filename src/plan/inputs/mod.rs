//! The inputs of a plan: declared types and rules, and where their values come from.
//!
//! `--input` beats `--inputs`, that beats what a flow was made with, that beats the chosen environment, that beats the
//! default or the file (design 9.2). What the plan itself says is checked whether it counts or not.

mod files;
mod input;
mod kind;
mod reference;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::environments::Layers;
use super::keys::{INPUT, INPUT_TYPES};
use super::reader::{Fields, Reader};
use super::source::{Entry, Node, Yaml};
use super::template::Known;
use super::{Given, dates, steps, words};

use files::Values;
pub use files::{names_given, wanted_files};
use input::Input;
use kind::InputType;
use rules::{Rules, is_secret};

/// Where values come from.
struct Sources<'s> {
    /// The values of `--input`. The last of several for one name counts, as with other tools.
    texts: BTreeMap<&'s str, &'s str>,
    /// The file of `--inputs`.
    values: Option<Values<'s>>,
    environments: Vec<EnvironmentValues<'s>>,
    given: &'s Given,
    today: Date,
}

/// The values that an environment gives inputs.
struct EnvironmentValues<'s> {
    environment: &'s str,
    is_chosen: bool,
    entries: &'s [Entry],
}

/// A name that stands for an input somewhere, and how a message says where.
struct Named<'s> {
    name: &'s str,
    span: Option<Span>,
    before: String,
}

/// Reads `inputs` and gives each its value in the scope of `known`; what has none yet is open. Returns the names of
/// those whose value is a reference to a secret.
pub(super) fn read<'n, 'a: 'n>(
    reader: &mut Reader<'a>,
    top: Fields<'n>,
    layers: &Layers<'n>,
    given: &Given,
    today: Date,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> BTreeSet<String> {
    let text = reader.text;
    let node = top.get("inputs");
    let entries = node.and_then(|node| reader.map(node, "`inputs`")).unwrap_or_default();
    let may_show = !entries.iter().any(|entry| entry.value.has_key("secret", text));
    let sources = Sources {
        texts: given.inputs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
        values: given.inputs_file.as_ref().and_then(|file| Values::read(reader, file, may_show)),
        environments: environments(reader, layers),
        given,
        today,
    };
    let declared: Vec<&str> = entries.iter().filter_map(|entry| entry.key.key_text(text)).collect();
    if node.is_none_or(|node| !matches!(node.value, Yaml::Broken)) {
        for named in sources.names(text).iter().filter(|named| !declared.contains(&named.name)) {
            reader.report(undeclared(named, &declared));
        }
    }
    known.later_inputs = declared.iter().map(|name| (*name).to_owned()).collect();
    let mut secrets = BTreeSet::new();
    for entry in entries {
        let name = entry.key.key_text(text).unwrap_or_default();
        let value = one(reader, entry, name, &sources, known, env, &mut secrets);
        known.later_inputs.remove(name);
        match value {
            Some(value) => drop(known.scope.inputs.insert(name.to_owned(), value)),
            None => drop(known.open_inputs.insert(name.to_owned())),
        }
    }
    secrets
}

fn environments<'n>(reader: &mut Reader<'_>, layers: &Layers<'n>) -> Vec<EnvironmentValues<'n>> {
    let mut values = Vec::new();
    for place in layers.places("inputs") {
        let Some(environment) = place.environment else { continue };
        let what = format!("`inputs` of the environment `{environment}`");
        if let Some(entries) = reader.map(&place.entry.value, &what) {
            values.push(EnvironmentValues { environment, is_chosen: place.counts, entries });
        }
    }
    values
}

impl Sources<'_> {
    /// Returns every name that is given a value, in the order in which values count.
    fn names<'s>(&'s self, text: &'s str) -> Vec<Named<'s>> {
        let texts = self.texts.keys().map(|name| Named { name, span: None, before: String::new() });
        let values = self.values.iter().flat_map(|values| {
            values.entries().iter().map(|entry| Named {
                name: entry.key.key_text(values.text).unwrap_or_default(),
                span: None,
                before: format!("{}: ", values.place(entry.key.span())),
            })
        });
        let environments = self.environments.iter().flat_map(|values| values.entries).map(|entry| Named {
            name: entry.key.key_text(text).unwrap_or_default(),
            span: Some(entry.key.span()),
            before: String::new(),
        });
        texts.chain(values).chain(environments).collect()
    }
}

fn undeclared(named: &Named<'_>, declared: &[&str]) -> Diagnostic {
    let Named { name, span, before } = named;
    let finding = Diagnostic::whole(Code::InputUnknown, format!("{before}the plan has no input `{name}`"));
    let finding = Diagnostic { span: *span, ..finding };
    match words::nearest(name, declared.iter().copied()) {
        Some(near) if span.is_some() => finding
            .label(format!("did you mean `{near}`?"))
            .help(format!("the plan's inputs are {}", words::list(declared.iter().copied(), "and"))),
        Some(near) if !before.is_empty() => finding.help(format!("did you mean `{near}`?")),
        Some(near) => finding.help(format!("did you mean `--input {near}=...`?")),
        None if span.is_some() => {
            finding.help("declare it below `inputs` at the top of the plan, or remove it here")
        }
        None if declared.is_empty() && before.is_empty() => {
            finding.help("the plan declares no inputs: leave `--input` out")
        }
        None if declared.is_empty() => finding.help("the plan declares no inputs: leave `--inputs` out"),
        None => finding.help(format!("its inputs are {}", words::list(declared.iter().copied(), "and"))),
    }
}

fn one(
    reader: &mut Reader<'_>,
    Entry { key, value: node }: &Entry,
    name: &str,
    sources: &Sources<'_>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
    secrets: &mut BTreeSet<String>,
) -> Option<Value> {
    steps::check_id(reader, key, name, "an input's name");
    if let Yaml::Text(word) = &node.value
        && INPUT_TYPES.contains(&word.as_str())
    {
        let help = format!("write `{name}: {{ type: {word} }}`");
        return reader.wrong_type(node, &format!("the input `{name}`"), "a map", &help);
    }
    if let Some(form) = long_form(node, name, reader.text, sources.today) {
        let help = format!("write `{form}`");
        return reader.wrong_type(node, &format!("the input `{name}`"), "a map", &help);
    }
    let fields = reader.fields(node, &format!("the input `{name}`"), &INPUT, key.span())?;
    let environments = sources.environments_of(name, reader.text);
    if is_secret(fields) {
        secrets.insert(name.to_owned());
        let values = environments.iter().map(|(_, node)| *node).chain(fields.get("default"));
        for node in values.filter(|node| !is_reference(node)) {
            reader.hide(node);
        }
    }
    if let Some(node) = fields.get("description") {
        reader.text(node, "`description`");
    }
    let kind = fields.get("type").and_then(|node| reader.word(node, "`type`", &INPUT_TYPES));
    let kind = InputType::ALL[kind?];
    known.input_kinds.insert(name.to_owned(), kind.kind());
    let rules = Rules::read(reader, fields, kind, sources.today);
    let input = Input { name, declared: key.span(), rules, today: sources.today };
    let default = fields.get("default").map(|node| input.default(reader, node, known, env));
    let file = input.file_key(reader, fields);
    let mut chosen = None;
    for (environment, node) in &environments {
        let value = input.of_environment(reader, environment.environment, node);
        if environment.is_chosen {
            chosen = Some(value);
        }
    }
    let text = sources.texts.get(name).map(|text| input.of_command_line(reader, text));
    let value = sources.values.as_ref().and_then(|values| {
        let node = values.get(name)?;
        Some(input.of_inputs_file(reader, values, node))
    });
    let recorded = || sources.given.recorded.get(name);
    if let Some(value) = text.or(value) {
        return value;
    }
    if let Some(value) = recorded() {
        return input.of_flow(reader, value);
    }
    if let Some(value) = chosen.or(default) {
        return value;
    }
    if let Some((node, path)) = file {
        return input.of_file(reader, node, path, sources.given.files.get(path));
    }
    if !fields.lacks("file") || !fields.lacks("default") {
        return None;
    }
    let environments = environments.iter().map(|(values, _)| values.environment).collect();
    reader.report(input.missing(sources.given.inputs_required, environments));
    None
}

impl Sources<'_> {
    /// Returns the environments that give an input a value, and where.
    fn environments_of<'s>(&'s self, name: &str, text: &str) -> Vec<(&'s EnvironmentValues<'s>, &'s Node)> {
        let of = |values: &'s EnvironmentValues<'_>| {
            let entry = values.entries.iter().find(|entry| entry.key.key_text(text) == Some(name))?;
            Some((values, &entry.value))
        };
        self.environments.iter().filter_map(of).collect()
    }
}

/// Says whether a value is a reference to a secret as it stands, and so can be shown.
fn is_reference(node: &Node) -> bool {
    matches!(&node.value, Yaml::Text(text) if reference::check(text).is_ok())
}

/// Returns how an input is written whose default stands where its keys should be.
fn long_form(node: &Node, name: &str, text: &str, today: Date) -> Option<String> {
    const SHOWN_CHARS_MAX: usize = 40;
    if let Yaml::Null = node.value {
        return Some(format!("{name}: {{ type: string }}"));
    }
    let (kind, default) = match &node.value {
        Yaml::Bool(_) => (InputType::Bool, node.spelling(text).to_owned()),
        Yaml::Number(number) if number.is_f64() => (InputType::Float, node.spelling(text).to_owned()),
        Yaml::Number(_) => (InputType::Int, node.spelling(text).to_owned()),
        Yaml::Text(word) => {
            let is_date = dates::resolve(word, today).is_ok();
            (if is_date { InputType::Date } else { InputType::String }, node.spelling(text).to_owned())
        }
        Yaml::List(_) => (InputType::Array, node.to_json(text).ok()?.to_string()),
        Yaml::Null | Yaml::NotFinite | Yaml::Map(_) | Yaml::Broken => return None,
    };
    let is_short = default.chars().count() <= SHOWN_CHARS_MAX && !default.contains('\n');
    let default = if is_short { &default } else { "..." };
    Some(format!("{name}: {{ type: {}, default: {default} }}", kind.word()))
}
