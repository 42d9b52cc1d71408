//! `synflow schema [PATH]`: the JSON Schema of plans, or what one key of the language means; `--events`: that of event streams.

use std::fmt::Write;

use anstyle::Style;
use serde_json::{Value, json};

use crate::cli::args::{Output, Schema};
use crate::cli::failure::{Exit, Failure};
use crate::cli::put_value;
use crate::cli::settings::columns;
use crate::plan::{self, Topic};
use crate::report::events;

/// The narrowest page that texts are wrapped to.
const COLUMNS_MIN: usize = 40;
/// The widest one: longer lines are hard to read.
const COLUMNS_MAX: usize = 100;
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Prints the schema, or the topic of a path. Fails with exit 2 if there is no such key.
pub(super) fn run(args: &Schema) -> Result<(), Failure> {
    if args.events {
        return put_value(&events::schema(), args.output.unwrap_or(Output::Json), String::new);
    }
    let output = match (&args.path, args.output) {
        (_, Some(output)) => output,
        (Some(_), None) => Output::Text,
        (None, None) => Output::Json,
    };
    if args.path.is_none() && output != Output::Text {
        return put_value(&plan::schema(), output, String::new);
    }
    let path = args.path.as_deref().unwrap_or_default();
    let topic = plan::topic(path).map_err(|near| {
        let failure = Failure::new(Exit::Usage, format!("the language has no key `{path}`"));
        match near.as_slice() {
            [] => failure.hint("`synflow schema --output text` lists the keys of a plan"),
            near => failure.hint(format!("did you mean `{}`?", near.join("` or `"))),
        }
    })?;
    let all = plan::topics();
    put_value(&as_json(&topic), output, || page(&topic, &all, columns().clamp(COLUMNS_MIN, COLUMNS_MAX)))
}

fn as_json(topic: &Topic) -> Value {
    let words = topic.words.iter().map(|(word, meaning)| json!({ "word": word, "meaning": meaning }));
    json!({
        "path": topic.path,
        "type": topic.kind,
        "required": topic.is_required,
        "default": topic.default,
        "meaning": topic.meaning,
        "words": words.collect::<Vec<_>>(),
        "keys": topic.keys,
        "example": topic.example,
    })
}

/// Returns the page of a topic for a terminal of this width.
fn page(topic: &Topic, all: &[Topic], columns: usize) -> String {
    let mut page = String::new();
    let title = if topic.path.is_empty() { "a plan" } else { &topic.path };
    // Writing to a text cannot fail.
    let _ = writeln!(page, "{BOLD}{title}{BOLD:#}: {}", facts(topic));
    page.push('\n');
    page.push_str(&wrapped(&topic.meaning, 2, columns));
    if !topic.words.is_empty() {
        let width = topic.words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
        page.push('\n');
        for (word, meaning) in &topic.words {
            entry(&mut page, word, width, meaning, columns);
        }
    }
    if !topic.keys.is_empty() {
        let keys: Vec<&Topic> =
            topic.keys.iter().filter_map(|path| all.iter().find(|topic| topic.path == *path)).collect();
        let width = keys.iter().map(|topic| topic.key().len()).max().unwrap_or_default();
        let _ = writeln!(page, "\n{DIM}keys{DIM:#}");
        for key in keys {
            line(&mut page, key, width, columns);
        }
    }
    if let Some(value) = &topic.example {
        let _ = writeln!(page, "\n{DIM}example{DIM:#}");
        for line in plan::example(topic.key(), value).lines() {
            let _ = writeln!(page, "  {line}");
        }
    }
    page
}

/// Says the type of a key, whether it must be there, and what counts without it.
fn facts(topic: &Topic) -> String {
    let mut facts = topic.kind.clone();
    if topic.is_required && !topic.path.is_empty() {
        facts.push_str(", required");
    }
    if let Some(default) = &topic.default {
        let _ = write!(facts, ", default {}", plan::spelled(default));
    }
    facts
}

/// Writes a word and its meaning, the lines of which stand below each other.
fn entry(page: &mut String, word: &str, width: usize, meaning: &str, columns: usize) {
    let text = wrapped(meaning, width + 4, columns);
    let blanks = " ".repeat(width - word.len());
    let _ = write!(page, "  {BOLD}{word}{BOLD:#}{blanks}  {}", text.trim_start());
}

/// Writes a key and the beginning of its meaning, on one line.
fn line(page: &mut String, key: &Topic, width: usize, columns: usize) {
    let room = columns.saturating_sub(width + 4);
    let sentence = key.meaning.split_once(". ").map_or(key.meaning.as_str(), |(first, _)| first);
    let mut text: String = sentence.trim_end_matches('.').to_owned();
    if text.chars().count() > room {
        text = text.chars().take(room.saturating_sub(3)).collect::<String>().trim_end().to_owned() + "...";
    }
    let name = key.key();
    let blanks = " ".repeat(width - name.len());
    let _ = writeln!(page, "  {BOLD}{name}{BOLD:#}{blanks}  {text}");
}

/// Breaks a text into lines of a width and moves them in.
fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    let mut lines = String::new();
    let blanks = " ".repeat(indent);
    for paragraph in text.split("\n\n") {
        if !lines.is_empty() {
            lines.push('\n');
        }
        let mut line = blanks.clone();
        for word in paragraph.split_whitespace() {
            let is_begun = line.len() > indent;
            if is_begun && line.chars().count() + 1 + word.chars().count() > columns {
                lines.push_str(&line);
                lines.push('\n');
                line.clone_from(&blanks);
            } else if is_begun {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{page, wrapped};
    use crate::plan;

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrapped("one two three", 2, 9), "  one two\n  three\n");
        assert_eq!(wrapped("a-very-long-word b", 2, 9), "  a-very-long-word\n  b\n");
        assert_eq!(wrapped("one\n\ntwo", 0, 9), "one\n\ntwo\n");
    }

    #[test]
    fn every_page_fits_its_width() {
        let all = plan::topics();
        for topic in &all {
            for columns in [40, 80] {
                let page = page(topic, &all, columns);
                let plain = anstream::adapter::strip_str(&page).to_string();
                assert!(plain.starts_with(if topic.path.is_empty() { "a plan" } else { &topic.path }));
                for line in plain.split("\nexample").next().unwrap_or_default().lines().skip(1) {
                    let is_one_word = line.trim().split(' ').count() <= 2;
                    assert!(line.chars().count() <= columns || is_one_word, "{columns}: {line}");
                }
            }
        }
    }
}
