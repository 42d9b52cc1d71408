//! Where a piece of a template stands in the file: the column inside the string.

use crate::plan::Place;
use crate::plan::diagnostic::Span;
use crate::plan::source::Node;

/// Returns the place of `bytes` bytes from `at` on in the text of a scalar; the scalar itself where
/// that cannot be told (a folded text, an escape that stands for something else).
pub(in crate::plan) fn inside(node: &Node, source: &str, text: &str, at: usize, bytes: usize) -> Span {
    let whole = node.span();
    let piece = text.get(at..).map_or("", |rest| rest.get(..bytes).unwrap_or(rest));
    let chars = piece.chars().count().max(1);
    let spelling = node.spelling(source);
    let quoted = spelling.starts_with(['"', '\'']) && !spelling.contains('\n');
    let start = if quoted {
        let before = quoted_chars(spelling, text, at);
        before.map(|before| Place { column: whole.place.column + before, ..whole.place })
    } else {
        line_in_block(source, text, at, whole.place)
    };
    match start {
        Some(place) => Span { place, chars },
        None => Span { chars: if whole.chars > 200 { 1 } else { whole.chars }, ..whole },
    }
}

/// Counts the characters before the byte `at` of the text, in its quoted spelling.
fn quoted_chars(spelling: &str, text: &str, at: usize) -> Option<usize> {
    let quote = spelling.chars().next()?;
    let mut written = spelling.chars().skip(1).peekable();
    let mut before = 1;
    for c in text.get(..at)?.chars() {
        let first = written.next()?;
        before += 1;
        if first == quote && quote == '\'' || first == '\\' && quote == '"' {
            // Two characters for one: '' in '...', and the escapes that stand for themselves.
            (written.next()? == c).then_some(())?;
            before += 1;
        } else if first != c {
            return None;
        }
    }
    Some(before)
}

/// Finds the place in a plain or block scalar whose lines stand in the file as they are.
fn line_in_block(source: &str, text: &str, at: usize, start: Place) -> Option<Place> {
    let before = text.get(..at)?;
    let line = before.matches('\n').count();
    let in_line = before.rsplit('\n').next()?;
    let wanted = text.split('\n').nth(line)?;
    let written = source.lines().nth(start.line - 1 + line)?;
    let indent = start.column.checked_sub(1)?;
    let rest: String = written.chars().skip(indent).collect();
    rest.starts_with(wanted)
        .then(|| Place { line: start.line + line, column: indent + in_line.chars().count() + 1 })
}
