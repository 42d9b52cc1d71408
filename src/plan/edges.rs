//! `depends_on` and `finally`: which steps must have ended before, and how.

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::keys::{CONDITIONS, FINALLY};
use super::reader::{Fields, Reader, excerpt};
use super::sketch::{Index, Sketch, Target};
use super::source::{Entry, Node, Yaml};
use super::template::{Known, render_now};
use super::{Condition, Edge, EdgeRule, StepId, StepIndex, words};

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

/// What an edge needs to know of the plan around it.
struct Around<'e, 'k> {
    /// The step that waits.
    own: &'e Sketch<'e>,
    index: &'e Index<'e>,
    known: &'e Known<'k>,
}

/// The edges of a step, and whose place the iterations it waits for take in its templates.
type Edges = (Vec<Edge>, BTreeMap<StepId, StepId>);

/// Reads `depends_on`, or the one edge of `finally`, for the row that `each` stands for.
pub(super) fn read(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    own: &Sketch<'_>,
    index: &Index<'_>,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Edges {
    let edges = fields.entry("depends_on");
    if let Some(last) = fields.entry("finally") {
        if let Some(edges) = edges {
            let message = "a step with `finally` waits for all others and has no `depends_on`";
            reader.report(
                Diagnostic::at(Code::KeysExclude, edges.key.span(), message)
                    .also(last.key.span(), "it runs when all others have ended")
                    .help("remove one of the two"),
            );
        }
        let condition = reader.word(&last.value, "`finally`", &FINALLY);
        let rule = condition.map(|n| [Condition::Failed, Condition::Succeeded, Condition::Completed][n]);
        let rule = EdgeRule::AnyOf(rule.into_iter().collect());
        let edge = Edge { upstream: index.barrier(), rule, place: last.key.span().place };
        return (vec![edge], BTreeMap::new());
    }
    let Some(Entry { value: node, .. }) = edges else { return Edges::default() };
    let items = match &node.value {
        Yaml::Text(_) | Yaml::Number(_) => std::slice::from_ref(node),
        Yaml::Map(entries) => {
            let help = format!("put each step into a list: `depends_on: {}`", as_list(entries, reader.text));
            return reader.wrong_type(node, "`depends_on`", "a list", &help).unwrap_or_default();
        }
        _ => reader.list(node, "`depends_on`").unwrap_or_default(),
    };
    let around = Around { own, index, known };
    let mut edges = Vec::new();
    let mut pairs = BTreeMap::new();
    let mut seen: BTreeMap<StepIndex, Span> = BTreeMap::new();
    for item in items {
        let Some((name, at, rule)) = one(reader, item, index) else { continue };
        let Some(upstream) = find(reader, name, at, &around, &mut pairs, env) else { continue };
        let span = at.span();
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
    (edges, pairs)
}

/// Reads one entry: the upstream's name with its place, and the rule if it can be read.
fn one<'n, 'a: 'n>(
    reader: &mut Reader<'a>,
    item: &'n Node,
    index: &Index<'_>,
) -> Option<(&'n str, &'n Node, Option<EdgeRule>)> {
    match &item.value {
        Yaml::Text(_) | Yaml::Number(_) => Some((
            reader.words(item, "an entry of `depends_on`", "write a step's id, or remove the entry")?,
            item,
            Some(EdgeRule::Bare),
        )),
        Yaml::Map(entries) => {
            if let Some((key, form)) = spelled_out(entries, reader.text, index) {
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
                return Some((name, key, conditions(reader, value, name)));
            }
            let message = "an entry of `depends_on` must name exactly one step";
            let span = entries.get(1).map_or(item.span(), |entry| entry.key.span());
            let help = format!("write one entry for each step: `{}`", as_list(entries, reader.text));
            reader.report(Diagnostic::at(Code::WrongType, span, message).help(help));
            None
        }
        _ => reader.wrong_type(item, "an entry of `depends_on`", "a step's id or a map", FORMS),
    }
}

/// Recognises `{ step: load, on: failed }`, as other tools have it; gives its first key and our form.
fn spelled_out<'n>(entries: &'n [Entry], text: &str, index: &Index<'_>) -> Option<(&'n Node, String)> {
    const NAMES: [&str; 7] = ["step", "id", "name", "task", "job", "activity", "upstream"];
    let named = entries.iter().find(|entry| {
        entry.key.key_text(text).is_some_and(|key| NAMES.contains(&key) && index.get(key).is_none())
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

/// Finds the upstream that an entry names: a step, all its iterations, one of them, or the one of the same key.
fn find(
    reader: &mut Reader<'_>,
    name: &str,
    at: &Node,
    around: &Around<'_, '_>,
    pairs: &mut BTreeMap<StepId, StepId>,
    env: &mut BTreeSet<String>,
) -> Option<StepIndex> {
    let span = at.span();
    let bracket = name.split_once('[').and_then(|(step, rest)| Some((step, rest.strip_suffix(']')?)));
    let (step, key) = bracket.map_or((name, None), |(step, key)| (step, Some(key)));
    let Some(target) = around.index.get(step) else {
        let finding = unknown(reader, step, span, around.index);
        reader.report(finding);
        return None;
    };
    if step == around.own.id {
        let message = match key {
            None => format!("the step `{step}` waits for itself"),
            Some(_) => format!("an iteration of `{step}` waits for another of them"),
        };
        let help = match key {
            None => "remove it from its own `depends_on`",
            Some(_) => "write `max_parallel: 1` to run them one after the other, in the order of the list",
        };
        reader.report(Diagnostic::at(Code::SelfEdge, span, message).help(help));
        return None;
    }
    if target.is_final {
        let message = format!("`{step}` runs when all others have ended: nothing can wait for it");
        let help = "remove this entry, or give this step `finally` as well";
        reader.report(Diagnostic::at(Code::WaitsForFinal, span, message).help(help));
        return None;
    }
    let Some(key) = key else { return Some(target.at) };
    if !target.is_group {
        let message = format!("`{step}` has no iterations");
        let finding = Diagnostic::at(Code::UnknownIteration, span, message);
        reader.report(finding.help(format!("write `{step}`, or give that step `for_each`")));
        return None;
    }
    let is_pair = key.contains("{{");
    let rendered = if is_pair { rendered(reader, at, around.known, env)? } else { name.to_owned() };
    if is_pair && around.known.is_row_open() || !target.has_rows {
        // Without rows of its own or of the other step, it waits for all.
        return Some(target.at);
    }
    let key = rendered.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or_default();
    let Some(found) = target.iteration(key) else {
        let finding = no_iteration(step, key, span, target, is_pair);
        reader.report(finding);
        return None;
    };
    if is_pair {
        pairs.insert(StepId::new(step), StepId::new(&rendered));
    }
    Some(found)
}

fn rendered(
    reader: &mut Reader<'_>,
    at: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<String> {
    match render_now(reader, at, known, env) {
        Some(serde_json::Value::String(text)) => Some(text),
        // Not known yet; `[{{each.key}}]` cannot give anything but a text.
        _ if known.is_row_open() => Some(String::new()),
        _ => None,
    }
}

fn no_iteration(step: &str, key: &str, span: Span, target: &Target<'_>, is_pair: bool) -> Diagnostic {
    const SHOWN_MAX: usize = 8;
    let message = format!("`{step}` has no iteration `{}`", excerpt(key));
    let finding = Diagnostic::at(Code::UnknownIteration, span, message);
    let finding = match words::nearest(key, target.keys()) {
        Some(near) if !is_pair => return finding.label(format!("did you mean `{step}[{near}]`?")),
        _ => finding,
    };
    let mut keys: Vec<&str> = target.keys().take(SHOWN_MAX + 1).collect();
    if keys.is_empty() {
        return finding.help(format!("it has none at all; write `{step}` to wait for it as a whole"));
    }
    if keys.len() > SHOWN_MAX {
        keys.truncate(SHOWN_MAX);
        keys.push("...");
    }
    let known = format!("its iterations are {}", words::list(keys, "and"));
    if is_pair {
        finding
            .help(known)
            .help("both steps need the same keys; write the step's id alone to wait for all of them")
    } else {
        finding.help(known)
    }
}

fn unknown(reader: &mut Reader<'_>, name: &str, span: Span, index: &Index<'_>) -> Diagnostic {
    let finding = Diagnostic::at(Code::UnknownStep, span, format!("there is no step `{name}`"));
    match reader.nearest_step(name, index.ids()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding.help("a step is named by its key below `steps:`, not by its pipeline"),
    }
}
