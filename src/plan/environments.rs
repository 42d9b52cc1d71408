//! The environments of a plan: the top-level keys that each of them says differently, and what counts.
//!
//! All of them are read, whichever was chosen: a mistake in `prod` shows when `dev` is run. Main type: [`Layers`].

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::keys::ENVIRONMENT;
use super::reader::{Fields, Reader};
use super::source::{Entry, Node, Yaml};
use super::{steps, words};

/// The top of a plan with its environments over it.
pub(super) struct Layers<'n> {
    top: Fields<'n>,
    environments: Vec<Environment<'n>>,
    chosen: Option<usize>,
}

/// One environment.
struct Environment<'n> {
    name: &'n str,
    /// What it says; nothing if it says nothing, or nothing that can be read.
    fields: Option<Fields<'n>>,
}

/// A place where a top-level key is written.
pub(super) struct Layer<'n> {
    /// The environment; nothing for the top of the plan.
    pub(super) environment: Option<&'n str>,
    /// Whether what stands here counts: it is the chosen environment's, or that says nothing else.
    pub(super) counts: bool,
    pub(super) entry: &'n Entry,
}

impl<'n> Layers<'n> {
    /// Reads the keys of all environments, and finds the chosen one.
    pub(super) fn read<'a: 'n>(reader: &mut Reader<'a>, top: Fields<'n>, chosen: &str) -> Self {
        let mut layers = Self { top, environments: Vec::new(), chosen: None };
        let Some(Entry { key, value }) = top.entry("environments") else {
            if !chosen.is_empty() && top.lacks("environments") {
                reader
                    .report(Diagnostic::whole(Code::UnknownEnvironment, "the plan has no environments").help(
                    format!(
                        "leave `--env {chosen}` out, or declare it: `environments: {{ {chosen}: {{ ... }} }}`"
                    ),
                ));
            }
            return layers;
        };
        let Some(entries) = reader.map(value, "`environments`") else { return layers };
        if entries.is_empty() {
            reader.report(
                Diagnostic::at(Code::EmptyCollection, key.span(), "`environments` is empty")
                    .help("add one: `prod: { inputs: { sample: false } }`; or leave the key out"),
            );
        }
        for entry in entries {
            layers.environments.push(Environment::read(reader, entry));
        }
        layers.chosen = layers.environments.iter().position(|environment| environment.name == chosen);
        if !chosen.is_empty() && layers.chosen.is_none() {
            reader.report(unknown(chosen, key, &layers.environments));
        }
        layers
    }

    /// Returns every place where a top-level key is written, the plan's own first.
    pub(super) fn places(&self, key: &str) -> Vec<Layer<'n>> {
        let own = self.chosen.and_then(|chosen| self.environments[chosen].entry(key));
        let top = self.top.entry(key).map(|entry| Layer { environment: None, counts: own.is_none(), entry });
        let others = self.environments.iter().enumerate().filter_map(|(n, environment)| {
            let entry = environment.entry(key)?;
            Some(Layer { environment: Some(environment.name), counts: self.chosen == Some(n), entry })
        });
        top.into_iter().chain(others).collect()
    }

    /// Reads a top-level key wherever it is written, so that every mistake shows; gives what counts: what the chosen
    /// environment says, else what the top of the plan says.
    pub(super) fn value<T>(&self, key: &str, mut read: impl FnMut(&'n Entry) -> Option<T>) -> Option<T> {
        let mut counting = None;
        for place in self.places(key) {
            let value = read(place.entry);
            if place.counts {
                counting = value;
            }
        }
        counting
    }
}

impl<'n> Environment<'n> {
    fn read<'a: 'n>(reader: &mut Reader<'a>, Entry { key, value }: &'n Entry) -> Self {
        let name = key.key_text(reader.text).unwrap_or_default();
        steps::check_id(reader, key, name, "an environment's name");
        // `dev:` alone differs in nothing from the top of the plan.
        let fields = match value.value {
            Yaml::Null => None,
            _ => reader.fields(value, &format!("the environment `{name}`"), &ENVIRONMENT, key.span()),
        };
        Self { name, fields }
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.fields?.entry(key)
    }
}

fn unknown(chosen: &str, key: &Node, declared: &[Environment<'_>]) -> Diagnostic {
    let names = || declared.iter().map(|environment| environment.name);
    let finding = Diagnostic::at(
        Code::UnknownEnvironment,
        key.span(),
        format!("the plan has no environment `{chosen}`"),
    );
    let finding = match words::nearest(chosen, names()) {
        Some(near) => finding.label(format!("did you mean `--env {near}`?")),
        None => finding,
    };
    match declared {
        [] => finding.help("leave `--env` out"),
        [only] => finding.help(format!("the only one is `{}`", only.name)),
        _ => finding.help(format!("declared are {}", words::list(names(), "and"))),
    }
}
