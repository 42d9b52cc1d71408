//! Findings to text, in the style of rustc: code, place, source line with a caret, help.
//!
//! Pure: takes the plan's bytes and gives a string; the caller writes it.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::code::{Code, Severity};
use super::diagnostic::{Diagnostic, Span};

/// The longest source line that is shown, in bytes; of a longer one only the place is named.
const SHOWN_BYTES_MAX: usize = 2_000;
/// How far apart two places may be to be shown in one piece, in lines.
const WINDOW_LINES_MAX: usize = 30;

/// How many codes the way to more names.
const EXPLAINED_MAX: usize = 3;

/// How many problems, and how many other findings, are shown; of the rest only the number is told.
const SHOWN_MAX: usize = 20;

/// Returns the findings as text, in the order given; if the plan cannot run, with a summary and the way to more.
///
/// `text` is the file as it was read: where it is not UTF-8, the broken bytes are replaced.
pub fn render(diagnostics: &[Diagnostic], file_name: &str, text: &[u8], colour: bool) -> String {
    render_one(diagnostics, file_name, text, colour) + &pointer(diagnostics, colour)
}

/// Returns the way to the explanations of the problems among some findings; nothing if there are none.
pub fn pointer<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>, colour: bool) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for finding in diagnostics {
        if finding.is_error() && !codes.contains(&finding.code.id()) {
            codes.push(finding.code.id());
        }
    }
    if codes.is_empty() {
        return String::new();
    }
    codes.truncate(EXPLAINED_MAX);
    let title = format!("`synflow explain {}` tells more", codes.join(" "));
    renderer(colour).render(&[Group::with_title(Level::HELP.primary_title(title))]) + "\n"
}

/// Returns the findings of one file among several as text, as [`render`] does, but without the way to more.
pub fn render_one(diagnostics: &[Diagnostic], file_name: &str, text: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = source_lines(&text);
    let renderer = renderer(colour);
    let mut out = String::new();
    let (mut errors, mut remarks) = (0, 0);
    for diagnostic in diagnostics {
        let count = if diagnostic.is_error() { &mut errors } else { &mut remarks };
        *count += 1;
        if *count <= SHOWN_MAX {
            out += &renderer.render(&[group(diagnostic, file_name, &lines)]);
            out += "\n\n";
        }
    }
    for (count, what) in [(remarks, "remark"), (errors, "problem")] {
        if let Some(more @ 1..) = usize::checked_sub(count, SHOWN_MAX) {
            let ending = if more == 1 { "" } else { "s" };
            out += &["... and ", &more.to_string(), " more ", what, ending, "\n\n"].concat();
        }
    }
    if let Some(title) = verdict(diagnostics, file_name) {
        out += &renderer.render(&[Group::with_title(Level::ERROR.primary_title(title))]);
        out.push('\n');
    }
    out
}

/// Says in one line why a file cannot be used; nothing if it can.
pub fn verdict(diagnostics: &[Diagnostic], file_name: &str) -> Option<String> {
    let errors = || diagnostics.iter().filter(|finding| finding.is_error());
    let problems = match errors().count() {
        0 => return None,
        1 => "1 problem".to_owned(),
        several => format!("{several} problems"),
    };
    Some(if errors().all(|finding| finding.code == Code::BadDefinition) {
        format!("cannot read the definition `{file_name}`")
    } else if errors().all(|finding| finding.code.is_contract()) {
        format!("plan `{file_name}` does not fit its pipelines: {problems}")
    } else {
        format!("cannot load plan `{file_name}`: {problems}")
    })
}

/// Returns the lines of a text as the reader of plans counts them.
pub(super) fn source_lines(text: &str) -> Vec<&str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect()
}

/// Returns the column just after a piece of a line.
pub(super) fn end_column(span: Span, line: &str) -> usize {
    let column = span.place.column.max(1);
    let range = bytes(line, column - 1, span.chars);
    // What stands after the end of a line, such as a missing value, has no character there.
    column + line[range].chars().count().max(1)
}

fn renderer(colour: bool) -> Renderer {
    if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii)
}

fn group<'a>(diagnostic: &'a Diagnostic, file_name: &'a str, lines: &[&'a str]) -> Group<'a> {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.id());
    let mut group = Group::with_title(title);
    match diagnostic.span {
        Some(span) => {
            for window in windows(diagnostic, span) {
                let snippet = window.snippet(file_name, lines).filter(|_| !diagnostic.hides_source);
                group = match snippet {
                    Some(snippet) => group.element(snippet),
                    None => group.element(
                        Origin::path(file_name).line(span.place.line).char_column(span.place.column),
                    ),
                };
            }
        }
        None => group = group.element(Origin::path(file_name)),
    }
    group.elements(diagnostic.help.iter().map(|help| Level::HELP.message(help.as_str())))
}

/// Places that are shown in one piece, in the order of the text.
struct Window<'a> {
    marks: Vec<(AnnotationKind, Span, &'a str)>,
}

/// Groups the places of a finding into windows; the one with the finding's own place comes first.
fn windows(diagnostic: &Diagnostic, span: Span) -> Vec<Window<'_>> {
    let mut marks = vec![(AnnotationKind::Primary, span, diagnostic.label.as_str())];
    marks
        .extend(diagnostic.also.iter().map(|(span, label)| (AnnotationKind::Context, *span, label.as_str())));
    marks.sort_by_key(|(_, span, _)| *span);
    let mut windows: Vec<Window<'_>> = Vec::new();
    for mark in marks {
        match windows.last_mut() {
            Some(last) if mark.1.place.line - last.last_line() <= WINDOW_LINES_MAX => last.marks.push(mark),
            _ => windows.push(Window { marks: vec![mark] }),
        }
    }
    windows.sort_by_key(|window| !window.marks.iter().any(|(_, at, _)| *at == span));
    windows
}

impl<'a> Window<'a> {
    fn first_line(&self) -> usize {
        self.marks.first().map_or(0, |(_, span, _)| span.place.line)
    }

    fn last_line(&self) -> usize {
        self.marks.last().map_or(0, |(_, span, _)| span.place.line)
    }

    /// Returns the lines with their marks; nothing if they are too long to be shown.
    fn snippet(&self, file_name: &'a str, lines: &[&'a str]) -> Option<Snippet<'a, Annotation<'a>>> {
        let first = self.first_line().max(1);
        let shown = lines.get(first - 1..lines.len().min(self.last_line())).unwrap_or_default();
        if shown.iter().any(|line| line.len() > SHOWN_BYTES_MAX) {
            return None;
        }
        let mut snippet = Snippet::source(shown.join("\n")).line_start(first).path(file_name);
        for (kind, span, label) in &self.marks {
            let before = span.place.line.saturating_sub(first);
            let line = shown.get(before).copied().unwrap_or_default();
            let above: usize = shown.iter().take(before).map(|line| line.len() + 1).sum();
            let range = bytes(line, span.place.column.saturating_sub(1), span.chars);
            let mark = kind.span(above + range.start..above + range.end);
            snippet = snippet.annotation(if label.is_empty() { mark } else { mark.label(*label) });
        }
        Some(snippet)
    }
}

/// Returns the bytes of `chars` characters of a line, of the word that begins there if it is 0.
fn bytes(line: &str, column: usize, chars: usize) -> std::ops::Range<usize> {
    let start = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let rest = &line[start..];
    let end = if chars == 0 {
        let word = rest.find(|c: char| c.is_whitespace() || ":,[]{}\"'#".contains(c)).unwrap_or(rest.len());
        word.max(rest.chars().next().map_or(0, char::len_utf8))
    } else {
        rest.char_indices().nth(chars).map_or(rest.len(), |(at, _)| at)
    };
    start..start + end
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_BYTES_MAX, render};
    use crate::plan::{Code, Diagnostic, Place, Span};

    fn at(line: usize, column: usize, chars: usize) -> Span {
        Span::new(Place { line, column }, chars)
    }

    #[test]
    fn shows_the_line_and_the_next_action() {
        let finding = Diagnostic::at(Code::UnknownKey, at(2, 3, 5), "the key `needs` is not known here")
            .label("here")
            .help("write `depends_on`");
        let shown = render(&[finding], "a.yaml", b"steps:\n  needs: b\n", false);
        let want = "error[E0201]: the key `needs` is not known here\n\
                    \x20--> a.yaml:2:3\n\
                    \x20 |\n\
                    2 |   needs: b\n\
                    \x20 |   ^^^^^ here\n\
                    \x20 |\n\
                    \x20 = help: write `depends_on`\n\n\
                    error: cannot load plan `a.yaml`: 1 problem\n\
                    help: `synflow explain E0201` tells more\n";
        assert_eq!(shown, want, "{shown}");
    }

    #[test]
    fn shows_the_first_of_many() {
        let finding = |code| Diagnostic::at(code, at(1, 1, 1), "x");
        let mut findings = vec![finding(Code::UnknownKey); 50];
        findings.extend(vec![finding(Code::LiteralExpression); 21]);
        let shown = render(&findings, "a.yaml", b"a: b\n", false);
        assert_eq!(shown.matches("error[E0201]").count(), 20, "{shown}");
        assert_eq!(shown.matches("note[N0101]").count(), 20, "{shown}");
        let end = "\n\n... and 1 more remark\n\n... and 30 more problems\n\n\
                   error: cannot load plan `a.yaml`: 50 problems\n\
                   help: `synflow explain E0201` tells more\n";
        assert!(shown.ends_with(end), "{shown}");
    }

    #[test]
    fn never_panics_on_places_outside_the_text() {
        let long = format!("a: {}ß", "x".repeat(SHOWN_BYTES_MAX - 10));
        let longer = "x".repeat(2 * SHOWN_BYTES_MAX);
        for text in ["", "a", "äöü\n", "a: \u{1}\t\u{202e}b\n", &long, &longer] {
            for span in [at(0, 0, 0), at(1, 1, 0), at(1, 2, 9), at(9, 9, 9), at(1, 400, 3), at(2, 1, 0)] {
                let finding = Diagnostic::at(Code::Syntax, span, "x").also(at(1, 1, 1), "y").help("z");
                let shown = render(&[finding], "a.yaml", text.as_bytes(), true);
                assert!(shown.contains("E0104"), "{shown}");
            }
        }
        assert_eq!(render(&[], "a.yaml", b"\xff", false), "");
    }
}
