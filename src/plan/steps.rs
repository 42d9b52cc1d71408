//! The steps of a plan: ids, pipelines, parameters, edges, and what defaults give them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::code::Code;
use super::condition;
use super::diagnostic::{Diagnostic, Span};
use super::edges;
use super::keys::{DEFAULTS, IF_RUNNING, MAX_PARALLEL_MAX, ON_TIMEOUT, PRIORITY_MAX, STEP};
use super::reader::{Fields, Reader, excerpt};
use super::retry::{self, RetryKeys};
use super::rows::{self, Rows};
use super::sketch::{Index, Sketch, iteration_id};
use super::source::{Entry, Node, Yaml};
use super::template::{Known, NamesHere, Template, build, render_now};
use super::{
    IfRunning, OnTimeout, Open, Pool, Retry, Step, StepId, StepIndex, StepKind, Workspace, lines, outputs,
    pools, words,
};
use crate::time::Delay;

/// The most steps of a plan.
pub(super) const STEPS_MAX: usize = 10_000;
/// The longest step id, in characters.
const ID_CHARS_MAX: usize = 100;

/// What every step has that does not say otherwise.
#[derive(Default)]
pub(super) struct Defaults {
    workspace: Option<usize>,
    timeout: Option<Delay>,
    on_timeout: OnTimeout,
    retry: RetryKeys,
    if_running: IfRunning,
    allow_failure: bool,
    strict: bool,
    pools: Vec<(usize, u64)>,
    tags: Vec<String>,
}

/// What reading a step needs to know of the rest of the plan.
pub(super) struct Around<'p> {
    pub(super) workspaces: &'p [Workspace],
    pub(super) pools: &'p [Pool],
    pub(super) defaults: &'p Defaults,
    pub(super) index: &'p Index<'p>,
}

/// Returns the key and the id with which an item of a list of steps names itself, as other tools have it.
fn own_name<'n>(item: &'n Node, text: &'n str) -> Option<(&'n str, &'n str)> {
    const NAMES: [&str; 6] = ["id", "name", "step", "task", "job", "task_id"];
    let Yaml::Map(entries) = &item.value else { return None };
    entries.iter().find_map(|entry| {
        let key = entry.key.key_text(text).filter(|key| NAMES.contains(key))?;
        Some((key, entry.value.key_text(text).filter(|id| !id.contains('\n'))?))
    })
}

/// Returns the entries of `steps` after checking their ids and number.
pub(super) fn entries<'n>(reader: &mut Reader<'_>, top: Fields<'n>) -> &'n [Entry] {
    let Some(Entry { key, value }) = top.entry("steps") else { return &[] };
    if let Yaml::List(items) = &value.value {
        let help = match items.iter().find_map(|item| own_name(item, reader.text)) {
            Some((key, id)) => {
                format!("write `{id}:` instead of `- {key}: {id}`, and the step's other keys below it")
            }
            None => "write a map: each step's id, a colon, and its keys below".to_owned(),
        };
        reader.wrong_type::<()>(value, "`steps`", "a map", &help);
        return &[];
    }
    let empty = || {
        Diagnostic::at(Code::EmptyCollection, key.span(), "the plan has no steps")
            .help("add one below `steps:`, for example `load: { pipeline: pl_load }`")
    };
    if matches!(value.value, Yaml::Null) {
        reader.report(empty());
        return &[];
    }
    let Some(entries) = reader.map(value, "`steps`") else { return &[] };
    if entries.is_empty() {
        reader.report(empty());
    }
    if entries.len() > STEPS_MAX {
        let message = format!("the plan has {} steps; {STEPS_MAX} are allowed", entries.len());
        reader.report(
            Diagnostic::at(Code::TooManySteps, entries[STEPS_MAX].key.span(), message)
                .label("this is one too many")
                .help("split the plan in two"),
        );
        return &[];
    }
    for Entry { key, .. } in entries {
        let id = key.key_text(reader.text).unwrap_or_default();
        check_id(reader, key, id, "a step's id");
    }
    entries
}

/// Checks a step's id, an input's name or a workspace's key.
pub(super) fn check_id(reader: &mut Reader<'_>, key: &Node, id: &str, what: &str) {
    let wrong = |c: &char| !(c.is_alphanumeric() || *c == '_' || *c == '-');
    let reason = if id.is_empty() {
        String::new()
    } else if id.starts_with('-') {
        "it begins with `-`".to_owned()
    } else if id.chars().count() > ID_CHARS_MAX {
        format!("it is longer than {ID_CHARS_MAX} characters")
    } else if let Some(bad) = id.chars().find(wrong) {
        if bad == ' ' { "it holds a blank".to_owned() } else { format!("it holds `{}`", bad.escape_debug()) }
    } else {
        return;
    };
    let message = if id.is_empty() {
        format!("{what} cannot be empty")
    } else {
        format!("`{}` cannot be {what}: {reason}", excerpt(id))
    };
    let finding = Diagnostic::at(Code::BadStepId, key.span(), message)
        .help(format!("{what} has letters, digits, `_` and `-`, and does not begin with `-`"));
    reader.report(finding);
}

/// Reads `defaults`.
pub(super) fn read_defaults(
    reader: &mut Reader<'_>,
    entry: Option<&Entry>,
    workspaces: &[Workspace],
    pools: &[Pool],
    strict: bool,
) -> Defaults {
    let none = Defaults { strict, ..Defaults::default() };
    let Some(Entry { key, value }) = entry else { return none };
    let Some(fields) = reader.fields(value, "`defaults`", &DEFAULTS, key.span()) else { return none };
    // One that does not exist has been reported here: the steps need not complain again.
    let workspace = fields.get("workspace").map(|node| {
        let name = reader.text(node, "`workspace`");
        name.and_then(|name| find_workspace(reader, name, node.span(), workspaces)).unwrap_or(0)
    });
    let retry = retry::read(reader, fields);
    let on_timeout = on_timeout(reader, fields).unwrap_or_default();
    if let (OnTimeout::Detach, Some(Entry { key, .. })) = (on_timeout, fields.entry("on_timeout")) {
        retry.check_detached(reader, key.span());
    }
    Defaults {
        workspace,
        timeout: timeout(reader, fields),
        on_timeout,
        retry,
        if_running: if_running(reader, fields).unwrap_or_default(),
        allow_failure: truth(reader, fields, "allow_failure").unwrap_or(false),
        strict: truth(reader, fields, "strict").unwrap_or(strict),
        pools: pools::of_step(reader, fields, pools).unwrap_or_default(),
        tags: tags(reader, fields).unwrap_or_default(),
    }
}

/// Checks the keys of a step and finds the rows it is run for: what other steps must know to name it.
pub(super) fn sketch<'n, 'a: 'n>(
    reader: &mut Reader<'a>,
    Entry { key, value }: &'n Entry,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Sketch<'n> {
    let id = key.key_text(reader.text).unwrap_or_default();
    let what = format!("the step `{id}`");
    let fields = match &value.value {
        Yaml::Text(pipeline) => {
            let help = lines::spaced(pipeline)
                .unwrap_or_else(|| format!("write `{id}: {{ pipeline: {} }}`", excerpt(pipeline)));
            reader.wrong_type(value, &what, "a map", &help)
        }
        // `load:` alone is a step with nothing but defaults.
        Yaml::Null => Some(Fields::none(&STEP)),
        _ => reader.fields(value, &what, &STEP, key.span()),
    };
    let rows = fields.map_or(Rows::Single, |fields| rows::read(reader, fields, known, env));
    Sketch { key, id, fields, rows }
}

/// Reads the steps that a sketch stands for: one, or each of its iterations and their group.
pub(super) fn read(
    reader: &mut Reader<'_>,
    sketch: &Sketch<'_>,
    around: &Around<'_>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Vec<Step> {
    let Some(fields) = sketch.fields else { return Vec::new() };
    let common = common(reader, sketch.key, fields, around);
    let group_limit = fields
        .get("max_parallel")
        .and_then(|node| reader.whole(node, "`max_parallel`", 1, MAX_PARALLEL_MAX))
        .and_then(|limit| usize::try_from(limit).ok());
    let mut one = |reader: &mut Reader<'_>, known: &mut Known<'_>, id: &str| {
        let (depends_on, pairs) = edges::read(reader, fields, sketch, around.index, known, env);
        known.pairs.clone_from(&pairs);
        let pipeline = pipeline(reader, fields, sketch.id, known, env);
        let workspace = workspace(reader, fields, sketch.key.span(), around, known, env);
        let parameters = match fields.get("parameters") {
            None => Some(Vec::new()),
            Some(node) => parameters(reader, node, known, env),
        };
        let open = Open {
            target: workspace.is_none() || pipeline.as_ref().is_none_or(|name| name.contains("{{")),
            parameters: parameters.is_none(),
        };
        let when = fields.get("when").and_then(|node| condition::read(reader, node, known, env));
        Step {
            id: StepId::new(id),
            // Without one there has been an error, and the plan is not used.
            pipeline: pipeline.unwrap_or_default(),
            workspace: workspace.unwrap_or(0),
            parameters: parameters.unwrap_or_default(),
            open,
            depends_on,
            when,
            pairs,
            ..common.clone()
        }
    };
    let rows = match &sketch.rows {
        Rows::Single => return vec![one(reader, known, sketch.id)],
        Rows::Known(rows) => rows.as_slice(),
        Rows::Open => &[],
    };
    let first = around.index.first_of(sketch.id);
    let group = StepIndex(first + sketch.runs());
    let mut steps = Vec::with_capacity(rows.len() + 1);
    for each in rows {
        let errors = reader.count_errors();
        known.begin_row(Some(Arc::clone(each)));
        let step = one(reader, known, &iteration_id(sketch.id, &each.key));
        steps.push(Step { each: Some(Arc::clone(each)), group: Some(group), ..step });
        if reader.count_errors() > errors {
            // What is wrong with one is most often wrong with all.
            break;
        }
    }
    let mut depends_on = Vec::new();
    if rows.is_empty() {
        // Templates are checked all the same, and the group waits for its edges like any step.
        known.begin_row(None);
        let step = one(reader, known, &iteration_id(sketch.id, "?"));
        if let Rows::Open = sketch.rows {
            steps.push(Step { group: Some(group), ..step });
        } else {
            depends_on = step.depends_on;
        }
    }
    known.end_rows();
    let kind = StepKind::Group { members: first..first + sketch.runs(), max_parallel: group_limit };
    steps.push(Step { id: StepId::new(sketch.id), kind, depends_on, ..common });
    steps
}

/// Reads what all iterations of a step share.
fn common(reader: &mut Reader<'_>, key: &Node, fields: Fields<'_>, around: &Around<'_>) -> Step {
    let defaults = around.defaults;
    let description = fields.get("description").and_then(|node| reader.text(node, "`description`"));
    let timeout = timeout(reader, fields).or(defaults.timeout);
    let on_timeout = on_timeout(reader, fields).unwrap_or(defaults.on_timeout);
    let retry = retry(reader, fields, timeout, on_timeout, defaults);
    let pools = pools::of_step(reader, fields, around.pools);
    Step {
        place: key.span().place,
        pipeline_span: fields.get("pipeline").unwrap_or(key).span(),
        parameters_span: fields.entry("parameters").map_or(key, |entry| &entry.key).span(),
        description: description.map(str::to_owned),
        outputs: fields.entry("outputs").map(|entry| outputs::read(reader, entry)).unwrap_or_default(),
        timeout,
        retry,
        on_timeout,
        if_running: if_running(reader, fields).unwrap_or(defaults.if_running),
        allow_failure: truth(reader, fields, "allow_failure").unwrap_or(defaults.allow_failure),
        strict: truth(reader, fields, "strict").unwrap_or(defaults.strict),
        pools: pools.unwrap_or_else(|| defaults.pools.clone()),
        priority: priority(reader, fields),
        is_final: !fields.lacks("finally"),
        tags: tags(reader, fields).unwrap_or_else(|| defaults.tags.clone()),
        ..Step::default()
    }
}

fn priority(reader: &mut Reader<'_>, fields: Fields<'_>) -> i64 {
    let Some(node) = fields.get("priority") else { return 0 };
    reader.integer(node, "`priority`", -PRIORITY_MAX, PRIORITY_MAX).unwrap_or(0)
}

fn pipeline(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    id: &str,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<String> {
    match fields.get("pipeline") {
        None => Some(id.to_owned()),
        Some(node) => early_text(reader, node, "`pipeline`", known, env),
    }
}

/// Returns a text that may be a template of what is known before the flow begins. What is not known
/// yet gives the template itself.
fn early_text(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<String> {
    let help = format!("write a name, or leave {what} out");
    let text = reader.words(node, what, &help)?.to_owned();
    if text.chars().any(char::is_control) {
        let message = format!("{what} holds a line break or another control character");
        let help = "write it on one line, without escapes such as `\\n` and `\\t`";
        reader.report(Diagnostic::at(Code::BadName, node.span(), message).help(help));
        return None;
    }
    if !text.contains("{{") {
        return Some(text);
    }
    match render_now(reader, node, known, env) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
        Some(other) => {
            let message =
                format!("{what} must be a text, but the template gives `{}`", excerpt(&other.to_string()));
            let help = "use an input of the type string, or write text around the template";
            reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
            None
        }
        None => Some(text),
    }
}

/// Returns the workspace of a step; nothing if it is not known yet.
fn workspace(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    step: Span,
    around: &Around<'_>,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<usize> {
    let Some(node) = fields.get("workspace") else {
        return match (around.defaults.workspace, around.workspaces) {
            (Some(default), _) => Some(default),
            (None, [_] | []) => Some(0),
            (None, several) => {
                let keys = several.iter().map(|workspace| workspace.key.as_str());
                reader.report(
                    Diagnostic::at(
                        Code::MissingKey,
                        step,
                        "the step does not say in which workspace it runs",
                    )
                    .help(format!(
                        "add `workspace:` to the step or to `defaults`: {}",
                        words::list(keys, "or")
                    )),
                );
                None
            }
        };
    };
    let name = early_text(reader, node, "`workspace`", known, env).filter(|name| !name.contains("{{"))?;
    find_workspace(reader, &name, node.span(), around.workspaces)
}

fn find_workspace(
    reader: &mut Reader<'_>,
    name: &str,
    span: Span,
    workspaces: &[Workspace],
) -> Option<usize> {
    let found = workspaces.iter().position(|workspace| workspace.key == name);
    if found.is_none() && !workspaces.is_empty() {
        let keys = || workspaces.iter().map(|workspace| workspace.key.as_str());
        let mut finding =
            Diagnostic::at(Code::UnknownWorkspace, span, format!("there is no workspace `{name}`"))
                .help(format!("declared are {}", words::list(keys(), "and")));
        if let Some(near) = words::nearest(name, keys()) {
            finding = finding.label(format!("did you mean `{near}`?"));
        } else if let Some(same) = workspaces.iter().find(|workspace| workspace.name == name) {
            finding = finding.label(format!("did you mean `{}`? Steps use the key, not the name", same.key));
        }
        reader.report(finding);
    }
    found
}

/// Reads the parameters of a step; nothing if they are one template that has no value yet.
fn parameters(
    reader: &mut Reader<'_>,
    node: &Node,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Vec<(String, Template)>> {
    match &node.value {
        Yaml::Text(text) if text.contains("{{") => match render_now(reader, node, known, env)? {
            Value::Object(map) => {
                let plain = |(name, value)| (name, Template::plain(value, node.span()));
                Some(map.into_iter().map(plain).collect())
            }
            other => {
                let given = excerpt(&other.to_string());
                let message = format!("`parameters` must be a map, but the template gives `{given}`");
                let help = "use one lone template of an input of the type object";
                reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
                None
            }
        },
        Yaml::List(items) => {
            let help = format!("write `parameters: {{ {} }}`", as_pairs(items, reader.text));
            reader.wrong_type(node, "`parameters`", "a map", &help)
        }
        _ => {
            let text = reader.text;
            let entries = reader.map(node, "`parameters`")?;
            let mut read = |Entry { key, value }: &Entry| {
                let name = key.key_text(text).unwrap_or_default();
                check_parameter_name(reader, key, name);
                let template = build(reader, value, NamesHere::Request, known, env);
                (name.to_owned(), template.named(key.span()))
            };
            Some(entries.iter().map(&mut read).collect())
        }
    }
}

/// Returns a list of `{ name: day, value: 1 }`, as other tools have it, as the map that it should have been.
fn as_pairs(items: &[Node], text: &str) -> String {
    const SHOWN_MAX: usize = 3;
    let pair = |item: &Node| {
        let Yaml::Map(entries) = &item.value else { return None };
        let get = |wanted: &str| {
            let entry = entries.iter().find(|entry| entry.key.key_text(text) == Some(wanted));
            entry.map(|entry| entry.value.spelling(text)).filter(|it| !it.is_empty() && !it.contains('\n'))
        };
        Some(format!("{}: {}", excerpt(get("name")?), excerpt(get("value")?)))
    };
    let pairs: Option<Vec<String>> = items.iter().take(SHOWN_MAX).map(pair).collect();
    match pairs {
        Some(pairs) if !pairs.is_empty() => {
            let more = if items.len() > SHOWN_MAX { ", ..." } else { "" };
            pairs.join(", ") + more
        }
        _ => "name: value".to_owned(),
    }
}

/// Checks a parameter's name: it is sent as it stands, so it can hold neither templates nor control characters.
fn check_parameter_name(reader: &mut Reader<'_>, key: &Node, name: &str) {
    let (reason, help) = if name.trim().is_empty() {
        let finding = Diagnostic::at(Code::BadName, key.span(), "the name of a parameter is empty");
        return reader.report(finding.help("write the name that the pipeline declares"));
    } else if name.chars().any(char::is_control) {
        ("it holds a line break or another control character", "write the name that the pipeline declares")
    } else if name.contains("{{") {
        ("names are sent as they are, without templates", "write the name itself; templates belong in values")
    } else {
        return;
    };
    let message =
        format!("`{}` cannot be a parameter's name: {reason}", excerpt(&name.escape_debug().to_string()));
    reader.report(Diagnostic::at(Code::BadName, key.span(), message).help(help));
}

fn timeout(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<Delay> {
    let node = fields.get("timeout")?;
    let timeout = reader.duration(node, "`timeout`")?;
    if timeout == Delay::ZERO {
        reader.report(
            Diagnostic::at(Code::OutOfRange, node.span(), "`timeout` leaves no time at all")
                .help("leave `timeout` out for no limit"),
        );
    }
    Some(timeout)
}

/// Reads a step's `retry` and lays it over the default; checks it together with the timeout's keys.
fn retry(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    timeout: Option<Delay>,
    on_timeout: OnTimeout,
    defaults: &Defaults,
) -> Retry {
    let own = retry::read(reader, fields);
    let on_timeout_key = fields.entry("on_timeout").map(|entry| entry.key.span());
    if timeout.is_none() && fields.lacks("timeout") {
        let idle = |span: Span, message: &str| {
            Diagnostic::at(Code::NoEffect, span, message)
                .label("without `timeout` there is no limit")
                .help("add `timeout: 2h`, or remove this")
        };
        if let Some(key) = on_timeout_key {
            reader.report(idle(key, "`on_timeout` changes nothing: the step has no `timeout`"));
        }
        if let Some(item) = own.timed_out() {
            reader.report(idle(item, "`timed_out` changes nothing: the step has no `timeout`"));
        }
    }
    let own_on = own.on_key();
    let all = own.over(&defaults.retry);
    if let Some(entry) = fields.entry("retry") {
        all.check_delays(reader, entry.key.span());
    }
    // Where neither key is this step's own, the defaults have been complained of.
    if let (OnTimeout::Detach, Some(key)) = (on_timeout, on_timeout_key.or(own_on)) {
        all.check_detached(reader, key);
    }
    all.or_default()
}

fn on_timeout(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<OnTimeout> {
    let node = fields.get("on_timeout")?;
    reader.word(node, "`on_timeout`", &ON_TIMEOUT).map(|n| [OnTimeout::Cancel, OnTimeout::Detach][n])
}

fn if_running(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<IfRunning> {
    const ALL: [IfRunning; 5] =
        [IfRunning::Start, IfRunning::Wait, IfRunning::Attach, IfRunning::Skip, IfRunning::Fail];
    let node = fields.get("if_running")?;
    reader.word(node, "`if_running`", &IF_RUNNING).map(|n| ALL[n])
}

/// Returns the truth value of a key.
pub(super) fn truth(reader: &mut Reader<'_>, fields: Fields<'_>, name: &str) -> Option<bool> {
    fields.get(name).and_then(|node| reader.bool(node, &format!("`{name}`")))
}

fn tags(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<Vec<String>> {
    let node = fields.get("tags")?;
    let items = reader.list(node, "`tags`")?;
    let items = items.iter();
    Some(
        items
            .filter_map(|item| {
                reader.words(item, "a tag", "write a word, or remove the tag").map(str::to_owned)
            })
            .collect(),
    )
}
