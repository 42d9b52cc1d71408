//! Mistakes that one can see in the lines of a text: tabs, invisible characters, missing spaces,
//! too much indentation.
//!
//! Knows nothing of the tree: most of these texts have none. Each function gives a finding or a help.

use super::Place;
use super::code::Code;
use super::diagnostic::{Diagnostic, Span};

/// Returns a line by its number from 1.
pub(super) fn line_of(text: &str, line: usize) -> Option<&str> {
    text.lines().nth(line.checked_sub(1)?)
}

/// Finds a tab in the indentation of a line.
pub(super) fn tab(text: &str, line: usize) -> Option<Diagnostic> {
    let words = line_of(text, line)?;
    let indent = &words[..words.len() - words.trim_start().len()];
    let column = indent.chars().position(|c| c == '\t')? + 1;
    let span = Span::new(Place { line, column }, 1);
    Some(
        Diagnostic::at(Code::Tab, span, "a tab stands in the indentation")
            .help("YAML is indented with spaces: replace each tab, for example by two spaces"),
    )
}

/// Finds the name of an iteration, `ingest[emea]`, that is not quoted inside `[ ]` or `{ }`, where its bracket begins a
/// list.
pub(super) fn bracketed_name(text: &str, line: usize) -> Option<Diagnostic> {
    let words = line_of(text, line)?;
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let (mut quote, mut depth) = (None, 0_usize);
    for (at, c) in words.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '[') => {
                let before = &words[..at];
                let start = before.trim_end_matches(is_name).len();
                let end = words[at..].find(']').map(|end| at + end + 1);
                if let (true, true, Some(end)) = (depth > 0, start < at, end) {
                    let name = &words[start..end];
                    let place = Place { line, column: words[..start].chars().count() + 1 };
                    let span = Span::new(place, name.chars().count());
                    let message = "a bracket inside `[ ]` or `{ }` begins a list";
                    return Some(
                        Diagnostic::at(Code::Syntax, span, message)
                            .label("not quoted")
                            .help(format!("quote it: \"{name}\"")),
                    );
                }
                depth += 1;
            }
            (None, '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Returns what an invisible character is called that looks like a space or like nothing.
pub(super) fn invisible_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{a0}' => "a no-break space",
        '\u{ad}' => "a soft hyphen",
        '\u{2000}'..='\u{200a}' | '\u{205f}' => "a typographic space",
        '\u{200b}' => "a zero-width space",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark of the writing direction"
        }
        '\u{202f}' => "a narrow no-break space",
        '\u{2060}' => "a word joiner",
        '\u{3000}' => "an ideographic space",
        '\u{feff}' => "a byte order mark",
        _ => return None,
    })
}

/// Finds an invisible character in the indentation of a line, in its key or just after the colon.
pub(super) fn invisible(text: &str, line: usize) -> Option<Diagnostic> {
    let words = line_of(text, line)?;
    let is_quoted = words.trim_start().starts_with(['"', '\'']);
    let key_chars = words.find(':').map_or(0, |colon| words[..colon].chars().count() + 2);
    let (at, c, name) = words.chars().enumerate().find_map(|(at, c)| Some((at, c, invisible_name(c)?)))?;
    let in_indentation = words.chars().take(at).all(|c| c.is_whitespace() || invisible_name(c).is_some());
    if !in_indentation && (is_quoted || at >= key_chars) {
        return None;
    }
    Some(invisible_at(Place { line, column: at + 1 }, c, name, in_indentation))
}

/// Returns what is wrong with an invisible character.
pub(super) fn invisible_at(place: Place, c: char, name: &str, in_indentation: bool) -> Diagnostic {
    let stands = if in_indentation { "in the indentation" } else { "here" };
    let message = format!("an invisible character stands {stands}: {name} (U+{:04X})", u32::from(c));
    let help = if c.is_whitespace() { "replace it by a plain space" } else { "remove it" };
    Diagnostic::at(Code::Invisible, Span::new(place, 1), message).help(help)
}

/// Returns what to do about a text that should have been a map but lacks the space after its colon.
pub(super) fn spaced(text: &str) -> Option<String> {
    let (key, value) = glued(text)?;
    Some(match value.chars().next().and_then(invisible_name) {
        Some(name) => format!("{name} stands after the colon: replace it by a plain space"),
        None => format!("put a space after the colon: `{key}: {value}`"),
    })
}

/// Finds a `key:value` without a space after the colon on a line.
pub(super) fn missing_space(text: &str, line: usize) -> Option<Diagnostic> {
    let words = line_of(text, line)?;
    let (key, _) = glued(words)?;
    let help = spaced(words)?;
    let column = words.chars().take_while(|c| *c == ' ' || *c == '-').count() + key.chars().count() + 1;
    let span = Span::new(Place { line, column }, 1);
    Some(Diagnostic::at(Code::Syntax, span, "a space is missing after this colon").help(help))
}

/// Splits `key:value`, but neither an address nor a line with another colon that counts.
fn glued(line: &str) -> Option<(&str, &str)> {
    let words = line.trim_matches(' ');
    let (key, value) = words.strip_prefix("- ").unwrap_or(words).split_once(':')?;
    let is_glued = is_key(key)
        && value.starts_with(|c: char| !c.is_ascii_whitespace())
        && !value.starts_with("//")
        && !value.contains(": ")
        && !value.contains('\n');
    is_glued.then_some((key, value))
}

/// Finds a key that is further in than the key before it, which has a value already.
pub(super) fn too_far_in(text: &str, line: usize) -> Option<Diagnostic> {
    let words = line_of(text, line)?;
    let above = line_of(text, content_above(text, line)?)?;
    let key = pair(words)?.0;
    let (before, value) = pair(above)?;
    let is_whole = !value.is_empty() && !value.starts_with(['|', '>', '&', '#', '!']);
    if indent(words) <= indent(above) || !is_whole {
        return None;
    }
    let span = Span::new(Place { line, column: indent(words) + 1 }, key.chars().count());
    let message =
        format!("this line is indented further than `{before}` above it, which has a value already");
    Some(
        Diagnostic::at(Code::Indentation, span, message)
            .help(format!("move `{key}` to the left, as far in as `{before}`"))
            .help(format!("if it belongs to the value of `{before}`, quote that value")),
    )
}

/// Returns the number of the nearest line above that is neither blank nor a comment.
pub(super) fn content_above(text: &str, line: usize) -> Option<usize> {
    let above: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
    let counts = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    above.iter().rposition(counts).map(|n| n + 1)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Splits `key: value` and `key:`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_matches(' ').split_once(':')?;
    let is_pair = is_key(key) && (value.is_empty() || value.starts_with(' '));
    is_pair.then_some((key, value.trim_matches(' ')))
}

fn is_key(text: &str) -> bool {
    text.starts_with(char::is_alphabetic) && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::{content_above, invisible, spaced, too_far_in};

    #[test]
    fn finds_a_missing_space() {
        let check = |text: &str, want: Option<&str>| assert_eq!(spaced(text).as_deref(), want, "{text}");
        check("pipeline:x", Some("put a space after the colon: `pipeline: x`"));
        check("a:b:c", Some("put a space after the colon: `a: b:c`"));
        check("a:\u{a0}b", Some("a no-break space stands after the colon: replace it by a plain space"));
        check("https://contoso.net", None);
        check("12:30", None);
        check("a: b", None);
        check("a:b: c", None);
        check("a:", None);
    }

    #[test]
    fn finds_invisible_characters_that_matter() {
        let check = |line: &str, want: Option<usize>| {
            let place = invisible(line, 1).and_then(|found| found.place());
            assert_eq!(place.map(|place| place.column), want, "{line:?}");
        };
        check("  \u{a0}a: b", Some(3));
        check("\u{200b}a: b", Some(1));
        check("a\u{200b}b: c", Some(2));
        check("a:\u{a0}b", Some(3));
        check("a: b\u{a0}c", None);
        check("\"a\u{a0}b\": c", None);
        check("  a: b", None);
    }

    #[test]
    fn finds_a_line_that_is_too_far_in() {
        let check = |text: &str, want: bool| {
            assert_eq!(too_far_in(text, text.lines().count()).is_some(), want, "{text}");
        };
        check("a: b\n  c: d", true);
        check("a: b\n\n  # e\n  c: d", true);
        check("a:\n  c: d", false);
        check("a: |\n  c: d", false);
        check("a: b\nc: d", false);
        check("c: d", false);
        assert_eq!(content_above("a\n\n# b\nc", 4), Some(1));
    }
}
