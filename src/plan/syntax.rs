//! What to say when a text is no YAML, or not the YAML its author meant.
//!
//! Turns what the parser says into findings that name the cause and the fix. Never reads the tree
//! further than one key. Main function: [`unreadable`].

use super::Place;
use super::code::Code;
use super::condition;
use super::diagnostic::{Diagnostic, Span};
use super::lines::{self, line_of};
use super::marks;
use super::reader::excerpt;
use super::source::{DEPTH_MAX, Node, Yaml};

/// What the parser says, what we say, and what to do about it. The first that fits counts.
const MESSAGES: &[(&str, &str, &str)] = &[
    (
        "mapping values are not allowed",
        "a second `: ` stands where the value should have ended",
        "quote the value if the colon belongs to it, or put the key on a line of its own, as far in as its neighbours",
    ),
    (
        "block sequence entries are not allowed",
        "a list cannot begin on the line of its key",
        "put `- ` on the next line, or write the list as `[a, b]`",
    ),
    (
        "unknown escape character",
        "a backslash in \"...\" begins an escape that YAML does not know",
        "write `\\\\` for a backslash, or use '...', where a backslash is only itself",
    ),
    (
        "mismatched bracket",
        "this bracket is closed by one of the other kind",
        "close `[` with `]` and `{` with `}`, the innermost first",
    ),
    ("unclosed bracket", "this bracket is never closed", "close it"),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or quote the value"),
    (
        "did not find expected key",
        "the entry is not as far in as the ones before it, or the value goes on after its end",
        "align it with the entries beside it; quote a value that holds quotes, `[` or `{`",
    ),
    (
        "while parsing a flow",
        "the list or map in brackets is not closed, or a comma is missing",
        "check the brackets and commas, and quote texts that hold `[`, `]`, `{`, `}` or `,`",
    ),
    (
        "illegal placement of ':'",
        "a `:` stands where none can be: a bracket above is probably not closed",
        "close the `[` or `{` above",
    ),
    (
        "invalid trailing content after",
        "the text goes on behind the quote that closes it",
        "inside \"...\" a quote is written `\\\"`, inside '...' twice; or put the other kind around the whole text",
    ),
    ("unexpected character: `@'", "a value cannot begin with `@` unquoted", "put it in quotes"),
    ("unexpected character: ``'", "a value cannot begin with a backtick unquoted", "put it in quotes"),
    ("unexpected character: `%'", "a value cannot begin with `%` unquoted", "put it in quotes"),
    (
        "simple key expected",
        "this line is no `key: value` and belongs to no value above",
        "write it as `key: value`, or indent it further than the key whose value it continues",
    ),
];

/// What to do about a message of the parser that is not in the table.
const LOOK: &str = "look at the indentation, quotes and brackets here and on the line above";

/// Returns what is wrong with a text that holds nothing, or only comments.
pub(super) fn empty(text: &str) -> Diagnostic {
    let message =
        if text.trim().is_empty() { "the file is empty" } else { "the file holds no plan, only comments" };
    Diagnostic::whole(Code::Empty, message).help("a plan begins with `version: 1`, `name:` and `steps:`")
}

/// Returns what is wrong with a key that is no text.
pub(super) fn bad_key(key: &Node, text: &str) -> Diagnostic {
    let span = key.span();
    if let Yaml::Map(_) = key.value
        && let Some(found) = template_in(key.line(text), span.place.line)
    {
        return found;
    }
    Diagnostic::at(Code::BadKey, span, format!("a key must be a text, not {}", key.kind()))
        .help("put the key in quotes")
}

/// Finds an invisible character in an unquoted key.
pub(super) fn invisible_in_key(key: &Node, text: &str) -> Option<Diagnostic> {
    let spelling = key.spelling(text);
    if spelling.is_ascii() || spelling.starts_with(['"', '\'']) {
        return None;
    }
    let named = |(at, c)| Some((at, c, lines::invisible_name(c)?));
    let (at, c, name) = spelling.chars().enumerate().find_map(named)?;
    let Place { line, column } = key.span().place;
    Some(lines::invisible_at(Place { line, column: column + at }, c, name, at == 0))
}

/// Finds an unquoted text or key that stands in typographic quotes.
pub(super) fn typographic_quote(node: &Node, text: &str) -> Option<Diagnostic> {
    const QUOTES: &[char] =
        &['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}', '\u{bb}'];
    let Yaml::Text(words) = &node.value else { return None };
    let is_quoted = words.starts_with(QUOTES) && words.ends_with(QUOTES);
    if !is_quoted || !node.spelling(text).starts_with(QUOTES) {
        return None;
    }
    let bare = words.trim_matches(QUOTES);
    Some(
        Diagnostic::at(
            Code::TypographicQuote,
            node.span(),
            "a typographic quote is part of the text, it quotes nothing",
        )
        .help(format!("write \"{}\" with straight quotes, or '...' around it if it is meant", excerpt(bare))),
    )
}

/// Returns what is wrong where a second document begins.
pub(super) fn several_documents(place: Place, text: &str) -> Diagnostic {
    let message = "the file holds more than one YAML document";
    Diagnostic::at(Code::SeveralDocuments, divider_above(text, place), message).help(
        "a plan is one file with one document: remove the `---` line and put the second plan in its own file",
    )
}

/// Returns what is wrong with an alias inside what it repeats.
pub(super) fn own_anchor(place: Place) -> Diagnostic {
    Diagnostic::at(Code::BadAlias, place, "the alias stands inside its own anchor")
        .help("an anchor cannot hold itself: remove the alias")
}

/// Returns what is wrong with a value of `<<` that is no map.
pub(super) fn unmergeable(place: Place) -> Diagnostic {
    Diagnostic::at(Code::BadAlias, place, "`<<` merges a map or a list of maps, nothing else")
        .help("write `<<: *name`, where `&name` marks a map")
}

/// Returns what is wrong with a tag that is none of YAML's own types, on the value at a place.
pub(super) fn unknown_tag(tag: &str, place: Place, text: &str) -> Diagnostic {
    let Place { line, .. } = place;
    if let Some(found) = line_of(text, line).and_then(|words| condition::unquoted(words, line)) {
        return found;
    }
    let message = format!("the tag `{tag}` has no meaning in a plan");
    Diagnostic::at(Code::BadTag, before(text, place, tag), message)
        .help("remove the tag, or quote the value if the `!` belongs to it")
}

/// Returns what is wrong with a value that its tag does not describe.
pub(super) fn unfit_tag(place: Place) -> Diagnostic {
    Diagnostic::at(Code::BadTag, place, "the value does not fit the tag before it").help("remove the tag")
}

/// Returns what is wrong with a value that is nested too deep.
pub(super) fn too_deep(place: Place) -> Diagnostic {
    Diagnostic::at(Code::TooDeep, place, format!("lists and maps are nested more than {DEPTH_MAX} deep"))
        .help("flatten the value, or send the inner part as a text")
}

/// Returns what is wrong with an alias that repeats too much.
pub(super) fn bomb(place: Place, text: &str) -> Diagnostic {
    Diagnostic::at(
        Code::AliasBomb,
        nested_alias(text).unwrap_or(place),
        "the anchors and aliases expand to far more values than are written down",
    )
    .help("write the values out, or use fewer aliases of aliases")
}

/// Returns the place of some words on a line before a place, or the place itself.
fn before(text: &str, place: Place, words: &str) -> Place {
    let found = line_of(text, place.line).and_then(|line| {
        let end = line.char_indices().nth(place.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
        let at = line[..end].rfind(words)?;
        Some(line[..at].chars().count() + 1)
    });
    Place { column: found.unwrap_or(place.column), ..place }
}

/// Returns the first alias on a line that has an anchor too: there the expansion probably multiplies.
fn nested_alias(text: &str) -> Option<Place> {
    let nested = |line: &str| {
        let anchor = line.find(": &")?;
        let alias = anchor + line[anchor..].find('*')?;
        Some(line[..alias].chars().count() + 1)
    };
    let mut found = text.lines().enumerate().filter_map(|(n, line)| Some((n + 1, nested(line)?)));
    found.next().map(|(line, column)| Place { line, column })
}

/// Returns where the `---` stands that began the document at a place.
fn divider_above(text: &str, place: Place) -> Place {
    let above: Vec<&str> = text.lines().take(place.line).collect();
    let line = above.iter().rposition(|line| line.starts_with("---"));
    line.map_or(place, |line| Place { line: line + 1, column: 1 })
}

/// Returns what is wrong where the parser gave up, saying so: first the mistakes that it cannot recognise.
pub(super) fn unreadable(message: &str, place: Place, text: &str) -> Diagnostic {
    if message.contains("unknown anchor") {
        return Diagnostic::at(Code::BadAlias, place, "no anchor of this name stands above").help(
            "`*name` repeats what `&name` marked earlier in the file; quote the value if it is meant as text",
        );
    }
    if message.contains("recursion limit") {
        return too_deep(place);
    }
    if let Some(found) = marks::find(text) {
        return found;
    }
    let above = lines::content_above(text, place.line).unwrap_or_default();
    let found = lines::tab(text, place.line)
        .or_else(|| lines::invisible(text, place.line))
        .or_else(|| lines::invisible(text, above))
        .or_else(|| condition_at(text, place.line))
        .or_else(|| unquoted_template(text, place.line))
        .or_else(|| unquoted_template(text, place.line.saturating_sub(1)))
        .or_else(|| lines::bracketed_name(text, place.line))
        .or_else(|| misplaced(message, place.line, above, text))
        .or_else(|| bad_character(message, place, text))
        .or_else(|| open_bracket(message, place, text));
    if let Some(found) = found {
        return found;
    }
    match MESSAGES.iter().find(|(said, ..)| message.contains(said)) {
        Some((_, meant, help)) => Diagnostic::at(Code::Syntax, place, *meant).help(*help),
        None => Diagnostic::at(Code::Syntax, place, message).help(LOOK),
    }
}

/// Finds a condition on a line, or on the one above, that needs quotes.
fn condition_at(text: &str, line: usize) -> Option<Diagnostic> {
    let at = |line: usize| condition::unquoted(line_of(text, line)?, line);
    at(line).or_else(|| at(line.saturating_sub(1)))
}

/// Finds a colon without its space or a line too far in, where the parser stumbled over a key.
fn misplaced(message: &str, line: usize, above: usize, text: &str) -> Option<Diagnostic> {
    if message.contains("simple key expected") {
        return lines::missing_space(text, line);
    }
    if message.contains("mapping values are not allowed") || message.contains("did not find expected key") {
        return lines::missing_space(text, above).or_else(|| lines::too_far_in(text, line));
    }
    None
}

/// Finds the bracket that is open where the parser met a colon that cannot be there.
fn open_bracket(message: &str, place: Place, text: &str) -> Option<Diagnostic> {
    if !message.contains("illegal placement of ':'") {
        return None;
    }
    let above = text.lines().take(place.line.saturating_sub(1)).enumerate();
    let (line, column) = above.filter_map(|(n, line)| Some((n + 1, unclosed_bracket(line)?))).last()?;
    Some(
        Diagnostic::at(Code::Syntax, Span::new(Place { line, column }, 1), "this bracket is never closed")
            .also(Span::new(place, 1), "so this colon cannot stand here")
            .help("close `[` with `]` and `{` with `}`"),
    )
}

/// Returns the column of the last bracket that a line opens outside quotes and does not close.
fn unclosed_bracket(line: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut before = ' ';
    for (n, c) in line.chars().enumerate() {
        match quote {
            Some(end) if c == end && before != '\\' => quote = None,
            None if c == '#' && before == ' ' => break,
            None if (c == '"' || c == '\'') && " [{,:".contains(before) => quote = Some(c),
            None if c == '[' || c == '{' => open.push(n + 1),
            None if c == ']' || c == '}' => drop(open.pop()),
            _ => {}
        }
        before = c;
    }
    open.pop()
}

/// Finds a quote that is never closed, or a character that no YAML text may hold.
fn bad_character(message: &str, mut place: Place, text: &str) -> Option<Diagnostic> {
    let line = line_of(text, place.line)?;
    let mut c = line.chars().nth(place.column.saturating_sub(1))?;
    if message.contains("unexpected character") && !c.is_control() {
        // The parser names the beginning of the value that holds it.
        let mut rest = line.chars().enumerate().skip(place.column);
        let hidden = rest.find(|(_, c)| c.is_control() && message.contains(&c.escape_default().to_string()));
        if let Some((at, hidden)) = hidden {
            (place.column, c) = (at + 1, hidden);
        }
    }
    let (message, help) = if message.contains("unclosed quote") {
        let inside = if c == '"' {
            "inside \"...\" a quote is written `\\\"`"
        } else {
            "inside '...' a quote is written twice"
        };
        ("this quote is never closed".to_owned(), format!("close it; {inside}"))
    } else if message.contains("did not find expected key") && c == ',' {
        (
            "this comma separates nothing".to_owned(),
            "remove it: outside brackets each entry has a line of its own".to_owned(),
        )
    } else if message.contains("unexpected character") && c.is_control() {
        let escape = if c == '\0' { "\\0".to_owned() } else { format!("\\x{:02x}", u32::from(c)) };
        (
            format!("the control character U+{:04X} is not allowed here", u32::from(c)),
            format!("remove it, or write it in \"...\" as `{escape}`"),
        )
    } else {
        return None;
    };
    Some(Diagnostic::at(Code::Syntax, Span::new(place, 1), message).help(help))
}

/// Finds a `{{` that stands outside quotes and comments on a line.
fn unquoted_template(text: &str, line: usize) -> Option<Diagnostic> {
    template_in(line_of(text, line)?, line)
}

/// Finds a `{{` outside quotes and comments in the words of a line.
fn template_in(words: &str, line: usize) -> Option<Diagnostic> {
    if let Some(found) = condition::unquoted(words, line) {
        return Some(found);
    }
    let start = unquoted_braces(words)?;
    let value = whole_value(words, start);
    let column = words[..start].chars().count() + 1;
    let template = words[start..].find("}}").map_or(&words[start..], |end| &words[start..start + end + 2]);
    let span = Span::new(Place { line, column }, template.trim_end().chars().count());
    let quote = if value.contains('"') { '\'' } else { '"' };
    Some(
        Diagnostic::at(Code::UnquotedTemplate, span, "a template must stand in quotes")
            .label("YAML reads `{` as the beginning of a map")
            .help(format!("quote the whole value: {quote}{value}{quote}")),
    )
}

/// Returns the value around the template at a byte of a line, as its author meant it.
fn whole_value(line: &str, start: usize) -> &str {
    let flow = line[..start].contains(['[', '{']);
    let begins = |c: char| c.is_whitespace() || flow && "[{,".contains(c);
    let begin = line[..start].trim_end_matches(|c| !begins(c)).len();
    let closed = line[start..].find("}}").map_or(line.len(), |end| start + end + 2);
    let end = line[closed..].find(|c| flow && ",]}".contains(c)).map_or(line.len(), |end| closed + end);
    let value = &line[begin..end];
    value.split(" #").next().unwrap_or(value).trim()
}

/// Returns the byte where the first `{{` outside quotes begins that YAML takes for a map: at the
/// beginning of a value, or anywhere in brackets.
fn unquoted_braces(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    let mut in_brackets = false;
    let mut begins_value = true;
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            None if c == '#' && before.is_whitespace() => return None,
            // A quote opens only at the beginning of a value; elsewhere it is an apostrophe.
            None if (c == '"' || c == '\'') && " [{,:-(".contains(before) => quote = Some(c),
            None if line[at..].starts_with("{{") && (in_brackets || begins_value) => return Some(at),
            _ => {}
        }
        if quote.is_none() {
            in_brackets |= begins_value && (c == '[' || c == '{');
            begins_value = c.is_whitespace() && (begins_value || ":-".contains(before))
                || "[{,".contains(c) && in_brackets;
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{unquoted_braces, whole_value};
    use crate::plan::source::read;

    #[test]
    fn finds_templates_outside_quotes_only() {
        let check = |line: &str, want: Option<usize>| assert_eq!(unquoted_braces(line), want, "{line}");
        check("a: {{x}}", Some(3));
        check("a: \"{{x}}\"", None);
        check("a: '{{x}}'", None);
        check("a: b # {{x}}", None);
        check("a: don't {{x}}", None);
        check("a: b/{{x}}", None);
        check("a: {b: c{{x}}}", Some(8));
        check("- {{x}}", Some(2));
        check("- a: [b, {{x}}]", Some(9));
        check("{{x}}: a", Some(0));
        check("a: \"\\\"{{x}}\"", None);
        check("a: [\"x\", {{y}}]", Some(9));
    }

    #[test]
    fn quotes_the_whole_value() {
        let check = |line: &str, want: &str| {
            assert_eq!(whole_value(line, line.find("{{").expect("there is a template")), want, "{line}");
        };
        check("a: {{x}}", "{{x}}");
        check("a: {{x}}/b c # d", "{{x}}/b c");
        check("a: {b: c{{x}}d, e: f}", "c{{x}}d");
        check("a: [{{x}}, y]", "{{x}}");
        check("a: {{x", "{{x");
        check("a:\u{2028}数{{x}}", "数{{x}}");
    }

    #[test]
    fn says_what_the_author_meant() {
        let check = |text: &str, want: &str| {
            let findings = read(text.as_bytes()).map_or_else(|found| found, |source| source.findings);
            let got = findings.first().map(|first| {
                let place = first.place().unwrap_or_default();
                format!("{}:{} {}", place.line, place.column, first.code.id())
            });
            assert_eq!(got.unwrap_or_default(), want, "{text}");
        };
        check("", "0:0 E0103");
        check("# nothing yet\n", "0:0 E0103");
        check("a: 1\n---\nb: 2\n", "2:1 E0108");
        check("a:\n\tb: 1\n", "2:1 E0105");
        check("a: {{x}}\n", "1:4 E0106");
        check("a: {{x}}-b\nc: 1\n", "1:4 E0106");
        check("a: [{{x}}]\n", "1:5 E0106");
        check("a: {b: x{{c}}}\n", "1:9 E0106");
        check("a: b: c\n", "1:5 E0104");
        check("a: 'x\n", "1:4 E0104");
        check("a: *x\n", "1:4 E0111");
        check("<<: 3\n", "1:5 E0111");
        check("a: &x [*x]\n", "1:8 E0111");
        check("a: !foo b\n", "1:4 E0113");
        check("a: 1\nb: 2\na: 3\n", "3:1 E0107");
        check("? [a]\n: 1\n", "1:3 E0112");
        check("~: 1\n", "1:1 E0112");
        check("a: [b, c\nd: e\n", "1:4 E0104");
        check("a: pl\u{1b}x\n", "1:6 E0104");
    }

    #[test]
    fn reads_types_as_yaml_1_2_has_them() {
        let check = |text: &str, want: &str| {
            let text = format!("a: {text}\n");
            let source = read(text.as_bytes()).expect("this is YAML");
            assert!(format!("{:?}", source.root).contains(want), "{text} {:?}", source.root);
        };
        check("no", "Text(\"no\")");
        check("on", "Text(\"on\")");
        check("012", "Text(\"012\")");
        check("1_000", "Text(\"1_000\")");
        check("2024-01-01", "Text(\"2024-01-01\")");
        check("9007199254740993", "Number(9007199254740993)");
        check("1e3", "Number(1000.0)");
        check("true", "Bool(true)");
        check(".inf", "NotFinite");
    }

    #[test]
    fn refuses_depth_and_bombs() {
        let code = |text: &str| read(text.as_bytes()).map(|_| ()).map_err(|found| found[0].code.id());
        assert_eq!(code(&format!("a: {}1{}", "[".repeat(70), "]".repeat(70))), Err("E0109"));
        let deep: Vec<String> = (0..70).map(|n| format!("{}a:\n", "  ".repeat(n))).collect();
        assert_eq!(code(&deep.concat()), Err("E0109"));
        let mut text = vec![String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")];
        for n in 1..12 {
            let tens = vec![format!("*a{}", n - 1); 10].join(",");
            text.push(format!("a{n}: &a{n} [{tens}]\n"));
        }
        assert_eq!(code(&text.concat()), Err("E0110"));
        assert_eq!(code(&"[".repeat(100_000)), Err("E0109"));
    }
}
