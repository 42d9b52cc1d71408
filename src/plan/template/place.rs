//! Where a piece of a template stands in the file: the column inside the string.
//!
//! A scalar and its spelling hold the same characters but for blanks, which folding and indentation change, and
//! escapes; so the two are walked side by side without the blanks. Main function: [`inside`].

use std::iter::Peekable;
use std::str::Chars;

use crate::plan::Place;
use crate::plan::diagnostic::Span;
use crate::plan::source::Node;

/// The longest scalar that is marked as a whole, in characters; of a longer one only the beginning.
const MARKED_CHARS_MAX: usize = 200;

/// Returns the place of `bytes` bytes from `at` on in the text of a scalar; the scalar itself where that cannot be told.
pub(in crate::plan) fn inside(node: &Node, source: &str, text: &str, at: usize, bytes: usize) -> Span {
    let whole = node.span();
    let spelling = node.spelling(source);
    let quote = spelling.chars().next().filter(|first| *first == '"' || *first == '\'');
    // A block may begin with a quote that is part of it.
    let found = [quote, None].into_iter().find_map(|quote| {
        let mut letters = Letters { rest: spelling.chars().peekable(), quote, place: whole.place };
        if quote.is_some() {
            letters.step()?;
        }
        piece(&mut letters, text, at, bytes)
    });
    match found {
        Some((start, chars)) => Span { place: start, chars, ..whole },
        None => Span { chars: if whole.chars > MARKED_CHARS_MAX { 1 } else { whole.chars }, ..whole },
    }
}

/// Walks to a piece of the text; gives where its spelling begins and how many characters of that line it has.
fn piece(letters: &mut Letters<'_>, text: &str, at: usize, bytes: usize) -> Option<(Place, usize)> {
    let end = at + bytes.max(1);
    let mut start: Option<Place> = None;
    let mut chars = 1;
    for (here, letter) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        if start.is_some() && here >= end {
            break;
        }
        let (before, written) = letters.next()?;
        if written != letter {
            return None;
        }
        if here >= at {
            let start = start.get_or_insert(before);
            if letters.place.line == start.line {
                chars = letters.place.column - start.column;
            }
        }
    }
    Some((start?, chars))
}

/// The characters of a scalar as it is spelled, without blanks and with escapes resolved.
struct Letters<'s> {
    rest: Peekable<Chars<'s>>,
    quote: Option<char>,
    /// Where the next character stands.
    place: Place,
}

impl Letters<'_> {
    /// Returns the next character that is no blank, and where its spelling begins.
    fn next(&mut self) -> Option<(Place, char)> {
        loop {
            let before = self.place;
            let c = match (self.step()?, self.quote) {
                ('\'', Some('\'')) => self.step().filter(|second| *second == '\'')?,
                ('\\', Some('"')) => self.escape()?,
                (c, _) => c,
            };
            if !c.is_whitespace() {
                return Some((before, c));
            }
        }
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.place = if c == '\n' {
            Place { line: self.place.line + 1, column: 1 }
        } else {
            Place { column: self.place.column + 1, ..self.place }
        };
        Some(c)
    }

    /// Returns the character that stands for what follows a backslash (YAML 1.2.2, 5.7).
    fn escape(&mut self) -> Option<char> {
        let digits = match self.step()? {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0' => return Some('\0'),
            'a' => return Some('\u{7}'),
            'b' => return Some('\u{8}'),
            'e' => return Some('\u{1b}'),
            // Blanks and line breaks, which are skipped.
            't' | 'n' | 'v' | 'f' | 'r' | 'N' | '_' | 'L' | 'P' => return Some(' '),
            other => return Some(other),
        };
        let mut number = 0;
        for _ in 0..digits {
            number = number * 16 + self.step()?.to_digit(16)?;
        }
        char::from_u32(number)
    }
}

#[cfg(test)]
mod tests {
    use super::inside;
    use crate::plan::source::{Yaml, read};

    #[test]
    fn finds_the_piece_however_the_text_is_written() {
        let check = |source: &str, want: &str| {
            let root = read(source.as_bytes()).expect("this is YAML").root;
            let Yaml::Map(entries) = root.value else { panic!("this is a map") };
            let node = &entries[0].value;
            let Yaml::Text(text) = &node.value else { panic!("this is a text") };
            let at = text.find("x.y").expect("the piece is there");
            let span = inside(node, source, text, at, 3);
            let got = format!("{}:{}+{}", span.place.line, span.place.column, span.chars);
            assert_eq!(got, want, "{source}");
        };
        check("a: b {{x.y}}", "1:8+3");
        check("a: '{{x.y}}'", "1:7+3");
        check("a: 'it''s {{x.y}}'", "1:13+3");
        check("a: \"\\u0041\\n\\x41\\\"\\\\ {{x.y}}\"", "1:24+3");
        check("a: \"one\n  two {{x.y}}\"", "2:9+3");
        check("a: \"one\\\n  two {{x.y}}\"", "2:9+3");
        check("a: one\n  two {{x.y}}", "2:9+3");
        check("a: |\n  one\n\n   two {{x.y}}\n", "4:10+3");
        check("a: |2-\n    one {{x.y}}\n", "2:11+3");
        check("a: >\n  one\n  two {{x.y}}\n", "3:9+3");
        check("a: >-\n  \"one\n\n  two\" {{x.y}}\n", "4:10+3");
        check("a: |\n  'one' {{x.y}}\n", "2:11+3");
        check("a: 数据 {{x.y}}", "1:9+3");
        check("a: \"{{\\u0078.y}}\"", "1:7+8");
        check("a: >\r\n  one\r\n  two {{x.y}}\r\n", "3:9+3");
        check("a: \"one\\ttwo\\_ {{x.y}}\"", "1:18+3");
    }
}
