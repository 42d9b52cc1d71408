//! The draft as YAML with comments.

#![expect(
    clippy::format_push_string,
    reason = "a plan is short, and `write!` gives an error to drop at each line"
)]

use serde_json::{Map, Value};

use super::draft::{Draft, DraftInput, DraftStep, Edge, Item, Todo};
use super::master::Ends;

/// The word by which people and editors find what is left to do. In two parts, for our own sources must hold none.
pub(super) const MARK: &str = concat!("TO", "DO");

/// The widest comment, in characters.
const COMMENT_CHARS_MAX: usize = 110;

/// The name of a workspace that nobody has given.
const PLACEHOLDER: &str = "my-workspace";

/// Writes the plan.
pub(super) fn write(draft: &Draft) -> String {
    let mut out = String::new();
    let again = if draft.workspace.is_some() && count(draft) == 0 {
        String::new()
    } else {
        format!(" Look at every {MARK} before the first run.")
    };
    comment(&mut out, 0, &format!("Imported from the pipeline `{}`.{again}", draft.name));
    out.push_str("version: 1\n");
    out.push_str(&format!("name: {}\n", scalar(&draft.name)));
    if let Some(description) = &draft.description {
        out.push_str(&format!("description: {}\n", scalar(description)));
    }
    match &draft.workspace {
        Some(name) => out.push_str(&format!("\nworkspace: {}\n", scalar(name))),
        None => out.push_str(&format!("\nworkspace: {PLACEHOLDER}  # {MARK}: the name of the workspace\n")),
    }
    if !draft.inputs.is_empty() {
        out.push_str("\ninputs:\n");
        draft.inputs.iter().for_each(|given| input(&mut out, given));
    }
    out.push_str("\nsteps:\n");
    for (at, item) in draft.items.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        match item {
            Item::Step(at) => step(&mut out, draft, &draft.steps[*at]),
            Item::Todo(left) => todo(&mut out, left),
        }
    }
    out
}

/// Returns how many things are left to a person, the workspace's name not counted.
pub(super) fn count(draft: &Draft) -> usize {
    let items = draft.items.iter().map(|item| match item {
        Item::Step(at) => draft.steps[*at].todos.len(),
        Item::Todo(_) => 1,
    });
    items.chain(draft.inputs.iter().map(|input| input.todos.len())).sum()
}

fn input(out: &mut String, given: &DraftInput) {
    given.todos.iter().for_each(|left| todo(out, left));
    let mut parts = vec![format!("type: {}", given.kind)];
    if given.is_secret {
        parts.push("secret: true".to_owned());
    }
    if let Some(default) = &given.default {
        parts.push(format!("default: {}", flow(default)));
    }
    out.push_str(&format!("  {}: {{ {} }}\n", scalar(&given.name), parts.join(", ")));
}

fn step(out: &mut String, draft: &Draft, step: &DraftStep) {
    step.todos.iter().for_each(|left| todo(out, left));
    step.notes.iter().for_each(|note| comment(out, 2, note));
    out.push_str(&format!("  {}:\n", scalar(&step.id)));
    let mut key = |name: &str, value: &str| out.push_str(&format!("    {name}: {value}\n"));
    key("pipeline", &scalar(&step.pipeline));
    if let Some(description) = &step.description {
        key("description", &scalar(description));
    }
    if let Some((list, _)) = &step.rows {
        key("for_each", &flow(list));
    }
    if let Some(text) = &step.key {
        key("key", &scalar(text));
    }
    if let Some(most) = step.max_parallel {
        key("max_parallel", &most.to_string());
    }
    if !step.edges.is_empty() {
        let edges: Vec<String> = step.edges.iter().map(|edge| depends_on(draft, step, *edge)).collect();
        key("depends_on", &format!("[{}]", edges.join(", ")));
    }
    if let Some(when) = &step.when {
        key("when", &scalar(when));
    }
    if let Some(timeout) = &step.timeout {
        key("timeout", timeout);
    }
    if let Some((attempts, seconds)) = step.retry {
        key("retry", &format!("{{ max_attempts: {attempts}, delay: {seconds}s }}"));
    }
    if step.allow_failure {
        key("allow_failure", "true");
    }
    if !step.tags.is_empty() {
        key("tags", &flow(&Value::from(step.tags.clone())));
    }
    if !step.parameters.is_empty() {
        key("parameters", "");
        for (name, value) in &step.parameters {
            key(&format!("  {}", scalar(name)), &flow(value));
        }
    }
}

/// Writes an edge: bare where the service's `Succeeded` means the same, else with its words.
fn depends_on(draft: &Draft, step: &DraftStep, edge: Edge) -> String {
    let upstream = &draft.steps[edge.step];
    let is_paired = matches!((&step.rows, &upstream.rows), (Some((_, a)), Some((_, b))) if a == b);
    let id = if is_paired { format!("{}[{{{{each.key}}}}]", upstream.id) } else { upstream.id.clone() };
    let id = scalar(&id);
    let has = |ends: Ends| edge.ends.has(ends);
    let completed = has(Ends::SUCCEEDED) && has(Ends::FAILED);
    if edge.ends == Ends::SUCCEEDED && !upstream.allow_failure {
        return id;
    }
    let mut words = Vec::new();
    if completed {
        words.push("completed");
    } else if has(Ends::SUCCEEDED) {
        words.push("succeeded");
    } else if has(Ends::FAILED) {
        words.push("failed");
    }
    // Where its own condition was false, the service's If has succeeded.
    if has(Ends::SKIPPED) || (edge.ends == Ends::SUCCEEDED && upstream.when.is_some()) {
        words.push("skipped");
    }
    format!("{{ {id}: [{}] }}", words.join(", "))
}

fn todo(out: &mut String, left: &Todo) {
    comment(out, 2, &format!("{MARK} {}: {}", left.path, left.text));
    if let Some(original) = &left.original {
        for line in original.lines() {
            let letters: Vec<char> = line.chars().collect();
            for part in letters.chunks(COMMENT_CHARS_MAX) {
                out.push_str(&format!("  #   {}\n", printable(&part.iter().collect::<String>())));
            }
        }
    }
}

/// Writes a comment, in lines of words.
fn comment(out: &mut String, indent: usize, text: &str) {
    let mut line = String::new();
    let mut end = |line: &mut String| {
        out.push_str(&format!("{:indent$}# {}\n", "", printable(line)));
        line.clear();
    };
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= COMMENT_CHARS_MAX {
            end(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    end(&mut line);
}

/// Replaces what a comment cannot hold.
fn printable(text: &str) -> String {
    let is_bad = |c: char| {
        c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if is_bad(c) { '\u{fffd}' } else { c }).collect()
}

/// Writes a value inside one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => format!("{{ {} }}", entries(map)),
        other => other.to_string(),
    }
}

fn entries(map: &Map<String, Value>) -> String {
    let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
    entries.collect::<Vec<_>>().join(", ")
}

/// Writes a text: bare where no reader of YAML could take it for anything else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let is_wordy = |c: char| c.is_alphanumeric() || "_-./ ".contains(c);
    let is_number = text.parse::<f64>().is_ok()
        || (text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(char::is_alphabetic))
        || text.starts_with("0x")
        || text.starts_with("0o");
    let is_plain = text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && text.chars().all(is_wordy)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !is_number;
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// Writes a text in double quotes, as JSON does, and whatever YAML calls not printable by its number.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}
