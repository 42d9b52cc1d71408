//! The marks that other tools leave in a text, which no YAML can hold: of a merge, of a patch, of Markdown.
//!
//! Only looked for in texts that are no YAML. Main function: [`find`].

use super::Place;
use super::code::Code;
use super::diagnostic::{Diagnostic, Span};

/// How many characters each mark of a merge has.
const MERGE_CHARS: usize = 7;

/// Finds the first marks of another tool.
pub(super) fn find(text: &str) -> Option<Diagnostic> {
    merge(text).or_else(|| markdown(text)).or_else(|| patch(text))
}

/// Returns the beginning of a line.
fn at(line: usize, chars: usize) -> Span {
    Span::new(Place { line: line + 1, column: 1 }, chars)
}

/// Finds what Git writes around the two sides of a conflict.
fn merge(text: &str) -> Option<Diagnostic> {
    let mark = |c: char, from: usize| {
        let is_mark = |line: &str| {
            let rest = line.trim_start_matches(c);
            line.len() - rest.len() == MERGE_CHARS && (rest.is_empty() || rest.starts_with(' '))
        };
        text.lines().enumerate().skip(from).find(|(_, line)| is_mark(line)).map(|(line, _)| line)
    };
    let begin = mark('<', 0)?;
    let mut finding =
        Diagnostic::at(Code::MergeMarks, at(begin, MERGE_CHARS), "a merge was not finished in this file")
            .label("one side begins here");
    if let Some(middle) = mark('=', begin) {
        finding = finding.also(at(middle, MERGE_CHARS), "the other side begins here");
    }
    if let Some(end) = mark('>', begin) {
        finding = finding.also(at(end, MERGE_CHARS), "and ends here");
    }
    Some(finding.help("keep one side or write what both mean, then remove the lines with the marks"))
}

/// Finds a plan that was copied with the marks of a code block.
fn markdown(text: &str) -> Option<Diagnostic> {
    let (line, words) = text.lines().enumerate().find(|(_, line)| !line.trim().is_empty())?;
    words.starts_with("```").then(|| {
        Diagnostic::at(
            Code::ForeignMarks,
            at(line, words.chars().count()),
            "this line is Markdown, not part of a plan",
        )
        .help("remove it, and the line of ``` at the end")
    })
}

/// Finds a plan that was copied from a patch: each line has a mark before it.
fn patch(text: &str) -> Option<Diagnostic> {
    let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let is_patch = lines().all(|(_, line)| line.starts_with([' ', '+', '-', '@']));
    let is_list = lines().all(|(_, line)| !line.starts_with('+'));
    if !is_patch || is_list {
        return None;
    }
    let (line, _) = lines().find(|(_, line)| line.starts_with(['+', '-', '@']))?;
    Some(
        Diagnostic::at(Code::ForeignMarks, at(line, 1), "the lines have the marks of a patch before them")
            .help("remove the lines with `-` and `@@`, and the first character of all others"),
    )
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_marks_of_other_tools_only() {
        let check = |text: &str, want: Option<(usize, usize)>| {
            let found = find(text);
            let lines = found.map(|found| (found.place().map_or(0, |place| place.line), found.also.len()));
            assert_eq!(lines, want, "{text}");
        };
        check("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> main\n", Some((2, 2)));
        check("<<<<<<<\na: 1\n", Some((1, 0)));
        check("<<<<<<<< eight\n", None);
        check("<<: *a\n", None);
        check("\n```yaml\na: 1\n```\n", Some((2, 0)));
        check("a: ```\n", None);
        check("@@ -1 +1 @@\n a: 1\n-b: 1\n+b: 2\n", Some((1, 0)));
        check("- a\n- b\n", None);
        check(" a: 1\n", None);
    }
}
