//! Keeps words of the plan or the service from being commands to the CI service that reads the log.
//!
//! Both services read every line of stdout and stderr. Azure Pipelines obeys `##vso[` wherever it stands in a line,
//! GitHub Actions `::` where a line begins and, still, `##[` wherever it stands:
//! <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>,
//! <https://github.com/microsoft/azure-pipelines-agent/blob/master/src/Agent.Sdk/CommandStringConvertor.cs>.
//! Their comparisons pass over characters without a shape, so those are passed over here too.

use std::borrow::Cow;
use std::io;

/// Marks of a command that count wherever they stand.
const ANYWHERE: [&str; 2] = ["##[", "##vso"];

/// The mark of a command at the beginning of a line.
const AT_BEGINNING: &str = "::";

/// Returns the text with a blank inside every mark of a command, so that a CI service obeys none of it.
pub fn defused(text: &str) -> Cow<'_, str> {
    broken(text, |first| format!("{first} "))
}

/// Returns JSON that means the same and holds no mark of a command.
pub fn defused_json(json: &str) -> Cow<'_, str> {
    // Outside its texts JSON has none of these characters, and no line of it begins inside a text.
    broken(json, |first| format!("\\u{:04x}", u32::from(first)))
}

/// Returns XML that means the same and holds no mark of a command.
pub fn defused_xml(xml: &str) -> Cow<'_, str> {
    // Outside its texts and values XML has none of these characters next to each other.
    broken(xml, |first| format!("&#{};", u32::from(first)))
}

/// Replaces the first character of every mark.
fn broken(text: &str, replace: impl Fn(char) -> String) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut is_beginning = true;
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        let is_mark = match c {
            '#' => ANYWHERE.iter().any(|mark| begins_with(rest, mark)),
            ':' => is_beginning && begins_with(rest, AT_BEGINNING),
            _ => false,
        };
        if is_mark {
            out.push_str(&text[copied..at]);
            out.push_str(&replace(c));
            copied = at + c.len_utf8();
        }
        is_beginning = matches!(c, '\n' | '\r') || is_beginning && (c.is_whitespace() || is_shapeless(c));
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Says whether a text begins with a mark, in any case, if all without a shape in it is passed over.
fn begins_with(text: &str, mark: &str) -> bool {
    let mut rest = text.chars();
    mark.chars().all(|wanted| {
        loop {
            match next_shape(&mut rest) {
                Some(c) if is_shapeless(c) => {}
                found => break found.is_some_and(|c| c.eq_ignore_ascii_case(&wanted)),
            }
        }
    })
}

/// Returns the next character that is not part of a sequence that colours a terminal: such a sequence may be taken out
/// before the line leaves.
fn next_shape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let c = rest.next()?;
    let mut ahead = rest.clone();
    if c != '\x1b' || ahead.next() != Some('[') {
        return Some(c);
    }
    let _ = ahead.find(|c| ('\x40'..='\x7e').contains(c));
    *rest = ahead;
    next_shape(rest)
}

/// Says whether a comparison by the rules of a language passes over a character.
fn is_shapeless(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'..='\u{84}'
            | '\u{86}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Lets through what is written, line by line, with no command in it.
///
/// Holds back the piece of a line that is not yet whole; [`io::Write::flush`] lets it go, for questions to a person.
#[derive(Debug)]
pub struct Guarded<W: io::Write> {
    inner: W,
    line: Vec<u8>,
}

impl<W: io::Write> Guarded<W> {
    /// Makes a guard before `inner`.
    pub const fn new(inner: W) -> Self {
        Self { inner, line: Vec::new() }
    }

    fn let_go(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(());
        }
        self.inner.write_all(defused(&String::from_utf8_lossy(&line)).as_bytes())
    }
}

impl<W: io::Write> io::Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().rposition(|&byte| byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let done = self.let_go();
            self.line = rest;
            done?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.let_go()?;
        self.inner.flush()
    }
}

impl<W: io::Write> Drop for Guarded<W> {
    fn drop(&mut self) {
        let _ = self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Guarded, defused, defused_json, defused_xml};

    #[test]
    fn no_mark_of_a_command_is_left() {
        let check = |text: &str, want: &str| assert_eq!(defused(text), want, "{text:?}");
        check("plain: text # ## [x] a::b", "plain: text # ## [x] a::b");
        check("## Heading\n### [link]", "## Heading\n### [link]");
        check("##vso[task.complete]", "# #vso[task.complete]");
        check("12:03:07 x ##VSO[task.a] ##vso[b]", "12:03:07 x # #VSO[task.a] # #vso[b]");
        check("a ##[add-path]b", "a # #[add-path]b");
        check("###[group]", "## #[group]");
        check("::error::x", ": :error::x");
        check("a\n  \t::stop-commands::x", "a\n  \t: :stop-commands::x");
        check("a\r::add-mask::x", "a\r: :add-mask::x");
        check("\u{3000}\u{feff}::error::x", "\u{3000}\u{feff}: :error::x");
        check("#\u{200b}#\u{ad}vso[a]", "# \u{200b}#\u{ad}vso[a]");
        check("\u{1}::e::", "\u{1}: :e::");
        check("#\x1b[31m#\x1b[0m[error]", "# \x1b[31m#\x1b[0m[error]");
        check("##[", "# #[");
        check("##", "##");
        check("", "");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "##[a]": ["##vso[task.complete]", "::error::x", "é ##vso"] });
        for json in [value.to_string(), format!("{value:#}")] {
            let safe = defused_json(&json);
            assert!(!safe.contains("##"), "{safe}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("it is JSON"), value);
        }
    }

    #[test]
    fn xml_keeps_its_meaning() {
        assert_eq!(
            defused_xml("<a b=\"##vso[c]\">\n::error::d ##[e]</a>"),
            "<a b=\"&#35;#vso[c]\">\n&#58;:error::d &#35;#[e]</a>"
        );
    }

    #[test]
    fn a_command_in_pieces_is_seen_whole() {
        let mut guarded = Guarded::new(Vec::new());
        for piece in ["one ", "#", "#v", "so[task.a]\n:", ":error::x\n", "last ##", "[x]"] {
            guarded.write_all(piece.as_bytes()).expect("a vector takes all");
        }
        assert_eq!(guarded.inner, b"one # #vso[task.a]\n: :error::x\n");
        guarded.flush().expect("a vector takes all");
        assert_eq!(guarded.inner, b"one # #vso[task.a]\n: :error::x\nlast # #[x]");
    }
}
