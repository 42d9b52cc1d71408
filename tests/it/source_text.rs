//! The project's own files as text, and Rust code as far as the tidy test has to understand it.
//!
//! No parser: identifiers, paths and braces, without comments and string contents, are enough to see
//! who names whom, and never refuse a file the compiler accepts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project: its path from the project's root, with forward slashes, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// A word of code with its line, counted from 1: an identifier, `::`, or one other character.
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A `::`-separated path that some code names, with what was relative in it resolved.
pub(crate) struct NamedPath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

/// Returns the module path that a file under `src/` holds: `src/flow/event.rs` is `flow::event`.
pub(crate) fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    inside.split('/').map(str::to_owned).collect()
}

/// Finds every path of two or more segments, groups expanded, `super` and `self` resolved.
pub(crate) fn named_paths(source: &Source) -> Vec<NamedPath> {
    let tokens = tokens(&source.text);
    let file = module_path(&source.path);
    let is_root = ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str());
    let base: Vec<String> =
        std::iter::once("crate".to_owned()).chain(if is_root { Vec::new() } else { file }).collect();
    let mut found = Vec::new();
    // The inline modules around the token, each with the brace depth inside it.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let text = |offset: usize| tokens.get(offset).map_or("", |token| token.text.as_str());
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth = usize::saturating_sub(depth, 1);
                inline.retain(|(_, inside)| *inside <= depth);
            }
            "mod" if text(at + 2) == "{" => inline.push((text(at + 1).to_owned(), depth + 1)),
            word if is_name(word) && text(at + 1) == "::" => {
                let here: Vec<String> =
                    base.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                let start = at;
                let mut raw = Vec::new();
                at = expand(&tokens, at, &[], &mut raw);
                for (line, segments) in raw {
                    found.push(NamedPath { line, segments: resolve(&here, segments) });
                }
                assert!(at > start, "a path has at least one token");
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one path, or one entry of a group, beginning at `at`; returns where it ends.
fn expand(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                let from = at;
                at = expand(tokens, at, &path, out);
                // Over the comma, or over anything that is no path.
                at += usize::from(at == from || tokens.get(at).is_some_and(|token| token.text == ","));
            }
            return at + 1;
        }
        if !is_name(&token.text) && token.text != "*" {
            break;
        }
        path.push(token.text.clone());
        at += 1;
        if tokens.get(at).is_some_and(|token| token.text == "as") && !prefix.is_empty() {
            at += 2;
        }
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            out.push((token.line, path));
            return at;
        }
        at += 1;
    }
    // `Vec::<T>` and `<T as X>::y`: the path ends at the generic argument.
    if let Some(token) = tokens.get(at.saturating_sub(1)) {
        out.push((token.line, path));
    }
    at
}

/// Replaces leading `self` and `super` by the module the path stands in.
fn resolve(here: &[String], segments: Vec<String>) -> Vec<String> {
    let relative = segments.iter().take_while(|segment| *segment == "self" || *segment == "super").count();
    if relative == 0 {
        return segments;
    }
    let up = segments[..relative].iter().filter(|segment| *segment == "super").count();
    let kept = here.len().saturating_sub(up).max(1);
    here[..kept].iter().cloned().chain(segments[relative..].iter().cloned()).collect()
}

/// Returns the lines that only tests compile: inline modules called `tests`, and files of that name.
pub(crate) fn test_lines(source: &Source) -> BTreeSet<usize> {
    if source.path.ends_with("/tests.rs") {
        return (1..=source.text.lines().count()).collect();
    }
    let tokens = tokens(&source.text);
    let mut found = BTreeSet::new();
    let mut depth = 0;
    let mut inside: Option<usize> = None;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                let opens = at >= 2 && tokens[at - 1].text == "tests" && tokens[at - 2].text == "mod";
                if opens && inside.is_none() {
                    inside = Some(depth);
                }
            }
            "}" => {
                if inside == Some(depth) {
                    inside = None;
                }
                depth = usize::saturating_sub(depth, 1);
            }
            _ => {}
        }
        if inside.is_some() {
            found.insert(token.line);
        }
    }
    found
}

/// Splits code into identifiers, `::` and single characters, without comments and string contents.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let code = code_only(text);
    let mut found = Vec::new();
    for (line, text) in lines(&code) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = if is_name_char(first) {
                rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                found.push(Token { line, text: rest[..end].to_owned() });
            }
            rest = &rest[end..];
        }
    }
    found
}

/// Blanks comments and the insides of strings and characters; line breaks stay where they are.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let blanked = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !is_name_char(before)) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && is_char_literal(rest) {
            quoted(rest, '\'')
        } else {
            0
        };
        if blanked == 0 {
            out.push(first);
            before = first;
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..blanked].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            before = ' ';
            rest = &rest[blanked..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(text.len() - inside.len() + end)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Tells `'x'` and `'\n'` from a lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(_), Some(second)) => second == '\'',
        _ => false,
    }
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| is_name_char(c) && !c.is_ascii_digit())
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Says whether `word` stands in `text` by itself: not as a part of a longer or hyphenated one.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| is_name_char(c) || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// Returns the project's text files whose path begins with `start`, in the order of their paths.
pub(crate) fn project_files(start: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for path in tracked(root).unwrap_or_else(|| walked(root)) {
        // A file that is deleted but not yet committed, or that is no text, has no words.
        if let Ok(text) = fs::read_to_string(root.join(&path))
            && path.starts_with(start)
        {
            found.push(Source { path, text });
        }
    }
    found
}

/// Asks git for the files it tracks or would track; nothing where there is no git or no repository.
fn tracked(root: &Path) -> Option<BTreeSet<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let files: BTreeSet<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    // A source tarball inside some other repository is not tracked by it.
    files.contains("Cargo.toml").then_some(files)
}

/// Walks the folders, for a source tree without git.
fn walked(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                if path != Path::new("target") && path != Path::new(".git") {
                    folders.push(path);
                }
            } else {
                found.insert(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}
