//! What differs between two texts, line by line, as `diff -u` shows it.
//!
//! Main function: [`unified`].

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

/// The lines shown around a difference.
const AROUND: usize = 3;
/// The most edits that are looked for; texts further apart are shown as one replaced by the other.
const EDITS_MAX: usize = 2_000;
const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// A line of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Kept(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

/// Returns the difference of two texts; empty if there is none.
pub(super) fn unified(before: &str, after: &str, name: &str) -> String {
    let lines = lines(&before.split('\n').collect::<Vec<_>>(), &after.split('\n').collect::<Vec<_>>());
    let changed: Vec<usize> = (0..lines.len()).filter(|n| !matches!(lines[*n], Line::Kept(_))).collect();
    let mut text = String::new();
    let Some(first) = changed.first() else { return text };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "--- {name}\n+++ {name} (laid out)");
    let mut hunk = *first..*first + 1;
    for at in changed.iter().skip(1).copied().chain([usize::MAX]) {
        if at <= hunk.end + 2 * AROUND {
            hunk.end = at + 1;
            continue;
        }
        let shown = hunk.start.saturating_sub(AROUND)..lines.len().min(hunk.end + AROUND);
        let old = |lines: &[Line<'_>]| lines.iter().filter(|line| !matches!(line, Line::Added(_))).count();
        let new = |lines: &[Line<'_>]| lines.iter().filter(|line| !matches!(line, Line::Removed(_))).count();
        let (above, inside) = (&lines[..shown.start], &lines[shown]);
        let place = format!("@@ -{},{} +{},{} @@", old(above) + 1, old(inside), new(above) + 1, new(inside));
        let _ = writeln!(text, "{PLACE}{place}{PLACE:#}");
        for line in inside {
            let _ = match line {
                Line::Kept(line) => writeln!(text, " {line}"),
                Line::Removed(line) => writeln!(text, "{REMOVED}-{line}{REMOVED:#}"),
                Line::Added(line) => writeln!(text, "{ADDED}+{line}{ADDED:#}"),
            };
        }
        hunk = at..at.saturating_add(1);
    }
    text
}

/// Returns the lines of both texts with as few edits as there can be (Myers, "An O(ND) Difference Algorithm").
fn lines<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let (rows, columns) = (before.len() as isize, after.len() as isize);
    let most = EDITS_MAX.min(before.len() + after.len()) as isize;
    let at = |diagonal: isize| (diagonal + most + 1) as usize;
    let mut furthest = vec![0_isize; 2 * most as usize + 3];
    let mut trace = Vec::new();
    for edits in 0..=most {
        trace.push(furthest[at(-edits - 1)..=at(edits + 1)].to_vec());
        for diagonal in (-edits..=edits).step_by(2) {
            let is_down = diagonal == -edits
                || diagonal != edits && furthest[at(diagonal - 1)] < furthest[at(diagonal + 1)];
            let mut row = if is_down { furthest[at(diagonal + 1)] } else { furthest[at(diagonal - 1)] + 1 };
            while row < rows
                && row - diagonal < columns
                && before[row as usize] == after[(row - diagonal) as usize]
            {
                row += 1;
            }
            furthest[at(diagonal)] = row;
            if row >= rows && row - diagonal >= columns {
                return back(before, after, &trace);
            }
        }
    }
    let removed = before.iter().map(|line| Line::Removed(line));
    removed.chain(after.iter().map(|line| Line::Added(line))).collect()
}

/// Goes back from the end of both texts by the way that was found.
fn back<'a>(before: &[&'a str], after: &[&'a str], trace: &[Vec<isize>]) -> Vec<Line<'a>> {
    let (mut row, mut column) = (before.len() as isize, after.len() as isize);
    let mut lines = Vec::new();
    for (edits, furthest) in trace.iter().enumerate().rev() {
        let edits = edits as isize;
        let reached = |diagonal: isize| furthest[(diagonal + edits + 1) as usize];
        let diagonal = row - column;
        let is_down =
            diagonal == -edits || diagonal != edits && reached(diagonal - 1) < reached(diagonal + 1);
        let from = if is_down { diagonal + 1 } else { diagonal - 1 };
        let (old_row, old_column) = if edits == 0 { (0, 0) } else { (reached(from), reached(from) - from) };
        while row > old_row && column > old_column {
            (row, column) = (row - 1, column - 1);
            lines.push(Line::Kept(before[row as usize]));
        }
        if edits > 0 && is_down {
            column -= 1;
            lines.push(Line::Added(after[column as usize]));
        } else if edits > 0 {
            row -= 1;
            lines.push(Line::Removed(before[row as usize]));
        }
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::{Line, lines, unified};

    #[test]
    fn finds_what_differs() {
        let check = |before: &str, after: &str, edits: usize| {
            let (old, new): (Vec<&str>, Vec<&str>) =
                (before.split(' ').collect(), after.split(' ').collect());
            let lines = lines(&old, &new);
            let pick = |is_old: bool| {
                let line = |line: &Line<'_>| match line {
                    Line::Kept(text) => Some((*text).to_owned()),
                    Line::Removed(text) => is_old.then(|| (*text).to_owned()),
                    Line::Added(text) => (!is_old).then(|| (*text).to_owned()),
                };
                lines.iter().filter_map(line).collect::<Vec<_>>()
            };
            assert_eq!(pick(true), old, "{before} | {after}");
            assert_eq!(pick(false), new, "{before} | {after}");
            assert_eq!(
                lines.iter().filter(|line| !matches!(line, Line::Kept(_))).count(),
                edits,
                "{lines:?}"
            );
        };
        check("a b c", "a b c", 0);
        check("a b c", "a c", 1);
        check("a c", "a b c", 1);
        check("a b c a b b a", "c b a b a c", 5);
        check("a", "b", 2);
        check("a b", "b a", 2);
        check("x", "a b c x d e", 5);
    }

    #[test]
    fn shows_a_few_lines_around() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let after = "1\n2\n3\n4\nfive\n6\n7\n8\n";
        let text = anstream::adapter::strip_str(&unified(before, after, "p.yaml")).to_string();
        assert_eq!(
            text,
            "--- p.yaml\n+++ p.yaml (laid out)\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(unified(before, before, "p.yaml"), "");
    }
}
