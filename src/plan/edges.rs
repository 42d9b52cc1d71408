//! `depends_on`: which steps must have ended before, and how.

use std::collections::BTreeMap;

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::reader::Reader;
use super::shape::CONDITIONS;
use super::source::{Entry, Node, Yaml};
use super::{Condition, Edge, EdgeRule, StepIndex, words};

const FORMS: &str = "write a step's id, or `{ id: [failed] }` for a condition";

impl Condition {
    /// Every condition, in the order of the words.
    const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Skipped, Self::Completed];

    /// Returns the word of the plan language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => CONDITIONS[0],
            Self::Failed => CONDITIONS[1],
            Self::Skipped => CONDITIONS[2],
            Self::Completed => CONDITIONS[3],
        }
    }
}

/// Reads the edges of the step at `index`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    index: StepIndex,
    positions: &BTreeMap<&str, StepIndex>,
) -> Vec<Edge> {
    let items = match &node.value {
        Yaml::Text(_) | Yaml::Number(_) => std::slice::from_ref(node),
        Yaml::Map(entries) => {
            let help = format!("put each step into a list: `depends_on: {}`", as_list(entries, reader.text));
            return reader.wrong_type(node, "`depends_on`", "a list", &help).unwrap_or_default();
        }
        _ => reader.list(node, "`depends_on`").unwrap_or_default(),
    };
    let mut edges = Vec::new();
    let mut seen: BTreeMap<StepIndex, Span> = BTreeMap::new();
    for item in items {
        let Some((name, span, rule)) = one(reader, item, positions) else { continue };
        let Some(upstream) = find(reader, name, span, index, positions) else { continue };
        if let Some(first) = seen.get(&upstream) {
            reader.report(
                Diagnostic::at(Code::DuplicateEdge, span, format!("`{name}` stands in `depends_on` twice"))
                    .label("again here")
                    .also(*first, "first here")
                    .help("keep one; a list of conditions is met by any of its words"),
            );
            continue;
        }
        seen.insert(upstream, span);
        edges.extend(rule.map(|rule| Edge { upstream, rule, place: span.place }));
    }
    edges
}

/// Reads one entry: the upstream's name with its place, and the rule if it can be read.
fn one<'n, 'a: 'n>(
    reader: &mut Reader<'a>,
    item: &'n Node,
    positions: &BTreeMap<&str, StepIndex>,
) -> Option<(&'n str, Span, Option<EdgeRule>)> {
    match &item.value {
        Yaml::Text(_) | Yaml::Number(_) => Some((
            reader.words(item, "an entry of `depends_on`", "write a step's id, or remove the entry")?,
            item.span(),
            Some(EdgeRule::Bare),
        )),
        Yaml::Map(entries) => {
            if let Some((key, form)) = spelled_out(entries, reader.text, positions) {
                let wrong = key.key_text(reader.text).unwrap_or_default();
                let message =
                    format!("an entry of `depends_on` has no key `{wrong}`: its key is the step's id");
                reader.report(
                    Diagnostic::at(Code::WrongType, key.span(), message).help(format!("write `{form}`")),
                );
                return None;
            }
            if let [Entry { key, value }] = entries.as_slice() {
                let name = key.key_text(reader.text)?;
                return Some((name, key.span(), conditions(reader, value, name)));
            }
            let message = "an entry of `depends_on` must name exactly one step";
            let span = entries.get(1).map_or(item.span(), |entry| entry.key.span());
            let help = "write one entry for each step";
            reader.report(Diagnostic::at(Code::WrongType, span, message).help(help));
            None
        }
        _ => reader.wrong_type(item, "an entry of `depends_on`", "a step's id or a map", FORMS),
    }
}

/// Recognises `{ step: load, on: failed }`, as other tools have it; gives its first key and our form.
fn spelled_out<'n>(
    entries: &'n [Entry],
    text: &str,
    positions: &BTreeMap<&str, StepIndex>,
) -> Option<(&'n Node, String)> {
    const NAMES: [&str; 7] = ["step", "id", "name", "task", "job", "activity", "upstream"];
    let named = entries.iter().find(|entry| {
        entry.key.key_text(text).is_some_and(|key| NAMES.contains(&key) && !positions.contains_key(key))
    })?;
    let (Yaml::Text(_) | Yaml::Number(_)) = &named.value.value else { return None };
    let id = named.value.key_text(text)?;
    let words = entries.iter().find(|entry| !std::ptr::eq(*entry, named)).map(|entry| &entry.value);
    let form = match words.map(|node| known_words(node, text)) {
        Some(words) if !words.is_empty() => format!("{{ {id}: [{}] }}", words.join(", ")),
        _ => id.to_owned(),
    };
    Some((&named.key, form))
}

/// Returns the conditions that a value names, in our words.
fn known_words(node: &Node, text: &str) -> Vec<&'static str> {
    let words = match &node.value {
        Yaml::List(words) => words.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let ours = |word: &Node| {
        let word = word.key_text(text)?;
        CONDITIONS.into_iter().find(|ours| *ours == word).or_else(|| words::foreign(word, &CONDITIONS))
    };
    words.iter().filter_map(ours).collect()
}

/// Returns a map of steps as the list that it should have been.
fn as_list(entries: &[Entry], text: &str) -> String {
    const SHOWN_MAX: usize = 3;
    let item = |Entry { key, value }: &Entry| {
        let id = key.key_text(text).unwrap_or_default();
        match known_words(value, text).as_slice() {
            [] => id.to_owned(),
            words => format!("{{ {id}: [{}] }}", words.join(", ")),
        }
    };
    let mut items: Vec<String> = entries.iter().take(SHOWN_MAX).map(item).collect();
    if entries.len() > SHOWN_MAX {
        items.push("...".to_owned());
    }
    format!("[{}]", items.join(", "))
}

fn conditions(reader: &mut Reader<'_>, node: &Node, name: &str) -> Option<EdgeRule> {
    let words = match &node.value {
        Yaml::Text(_) => std::slice::from_ref(node),
        Yaml::List(words) => words,
        _ => {
            let what = format!("the condition on `{name}`");
            return reader.wrong_type(
                node,
                &what,
                "a list of words",
                "write for example `[failed, skipped]`",
            );
        }
    };
    if words.is_empty() {
        reader.report(
            Diagnostic::at(
                Code::EmptyCollection,
                node.span(),
                format!("the list of conditions on `{name}` is empty"),
            )
            .help(format!("name at least one of {}, or write just `{name}`", words::list(CONDITIONS, "and"))),
        );
        return None;
    }
    let mut rule: Vec<Condition> = Vec::new();
    let mut all_good = true;
    for word in words {
        match condition(reader, word) {
            Some(condition) if rule.contains(&condition) => {
                let message = format!("the condition `{}` stands here twice", condition.word());
                reader.report(Diagnostic::at(Code::UnknownWord, word.span(), message).help("keep one"));
                all_good = false;
            }
            Some(condition) => rule.push(condition),
            None => all_good = false,
        }
    }
    all_good.then_some(EdgeRule::AnyOf(rule))
}

fn condition(reader: &mut Reader<'_>, word: &Node) -> Option<Condition> {
    reader.word(word, "a condition", &CONDITIONS).map(|n| Condition::ALL[n])
}

fn find(
    reader: &mut Reader<'_>,
    name: &str,
    span: Span,
    index: StepIndex,
    positions: &BTreeMap<&str, StepIndex>,
) -> Option<StepIndex> {
    match positions.get(name) {
        Some(upstream) if *upstream == index => {
            reader.report(
                Diagnostic::at(Code::SelfEdge, span, format!("the step `{name}` waits for itself"))
                    .help("remove it from its own `depends_on`"),
            );
            None
        }
        Some(upstream) => Some(*upstream),
        None => {
            let finding = unknown(reader, name, span, positions);
            reader.report(finding);
            None
        }
    }
}

fn unknown(
    reader: &mut Reader<'_>,
    name: &str,
    span: Span,
    positions: &BTreeMap<&str, StepIndex>,
) -> Diagnostic {
    if let Some((group, _)) = name.split_once('[')
        && positions.contains_key(group)
    {
        return Diagnostic::at(
            Code::LaterKey,
            span,
            format!("`{name}` names an iteration, which this version of synflow does not support yet"),
        )
        .help(format!("write `{group}`"));
    }
    let finding = Diagnostic::at(Code::UnknownStep, span, format!("there is no step `{name}`"));
    match reader.nearest_step(name, positions.keys().copied()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding.help("a step is named by its key below `steps:`, not by its pipeline"),
    }
}
