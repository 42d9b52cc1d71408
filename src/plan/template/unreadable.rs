//! What to say about a template that Handlebars cannot read, or that it should not try to.

use handlebars::{TemplateError, TemplateErrorReason};

use super::names::Refusal;
use super::parse::Problem;
use crate::plan::code::Code;

/// How deep brackets and blocks may be nested in one template: its parser recurses.
const NESTING_MAX: usize = 16;
/// The longest text with a template, in bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The most expressions in one text: each costs the parser a walk from the beginning.
const EXPRESSIONS_MAX: usize = 1_000;

/// Refuses a template whose reading could take too much stack or time.
pub(super) fn too_deep(text: &str) -> Option<Problem> {
    let refuse = |at, message: String| {
        let refusal =
            Refusal::new(Code::TemplateSyntax, message).help("split the text into several parameters");
        Some(Problem { at, bytes: 2, refusal })
    };
    if text.len() > TEXT_BYTES_MAX {
        return refuse(
            0,
            format!("a text with a template may have {TEXT_BYTES_MAX} bytes, this has {}", text.len()),
        );
    }
    if let Some((at, _)) = text.match_indices("{{").nth(EXPRESSIONS_MAX) {
        return refuse(at, format!("a text may have {EXPRESSIONS_MAX} templates"));
    }
    let (mut brackets, mut blocks) = (0_usize, 0_usize);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'#' if at > 0 && matches!(bytes[at - 1], b'{' | b'~') => blocks += 1,
            b'/' if at > 0 && matches!(bytes[at - 1], b'{' | b'~') => blocks = blocks.saturating_sub(1),
            _ => {}
        }
        if brackets + blocks > NESTING_MAX {
            return refuse(at, format!("brackets and blocks are nested more than {NESTING_MAX} deep"));
        }
    }
    None
}

/// Explains why a template cannot be read.
pub(super) fn unreadable(text: &str, error: &TemplateError) -> Problem {
    let problem = |at: usize, bytes: usize, message: String, help: &str| {
        let refusal = Refusal::new(Code::TemplateSyntax, message).help(help);
        Problem { at, bytes, refusal }
    };
    if let TemplateErrorReason::MismatchingClosedHelper(opened, closed) = error.reason() {
        let piece = format!("{{{{/{closed}");
        let at = text.find(&piece).unwrap_or_default();
        let message = format!("`{{{{#{opened}}}}}` is closed by `{{{{/{closed}}}}}`");
        return problem(
            at,
            piece.len(),
            message,
            "blocks are closed in the order in which they were opened, last first",
        );
    }
    if let Some(at) = unclosed(text) {
        return problem(
            at,
            2,
            "`{{` is never closed".to_owned(),
            "close it with `}}`; write `\\{{` for two braces as text",
        );
    }
    for (at, inner) in expressions(text) {
        let whole = inner.len() + 4;
        if inner.trim().is_empty() {
            return problem(
                at,
                whole,
                "nothing stands between `{{` and `}}`".to_owned(),
                "write a name, for example `{{inputs.day}}`",
            );
        }
        if let Some((start, bytes, right)) = quoted_brackets(inner) {
            let name = inner.get(start..start + bytes).unwrap_or_default();
            let message = format!("in a template a name in brackets has no quotes: `{name}`");
            let refusal = Refusal::new(Code::NameSpelling, message).help(format!("write `{right}`"));
            return Problem { at: at + 2 + start, bytes, refusal };
        }
        if let Some(pipe) = inner.find('|')
            && !inner.trim_start_matches('~').starts_with('#')
        {
            return problem(
                at + 2 + pipe,
                1,
                "templates have no filters".to_owned(),
                "helpers stand in front: `{{default inputs.day \"today\"}}`",
            );
        }
        if let Some(operator) = inner.find(|c| "?=<>+*&!".contains(c))
            && !inner.contains(['"', '\''])
            && operator > 0
        {
            return problem(
                at + 2 + operator,
                1,
                "templates have no operators".to_owned(),
                "a template is a name or a helper with its values: `{{default inputs.day \"today\"}}`",
            );
        }
    }
    if let Some((at, name)) = open_block(text) {
        return problem(
            at,
            3 + name.len(),
            format!("`{{{{#{name}}}}}` is never closed"),
            &format!("close it with `{{{{/{name}}}}}`"),
        );
    }
    let (line, column) = error.pos().unwrap_or((1, 1));
    let above: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(above..).unwrap_or_default();
    let at = above + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    problem(
        at,
        2,
        "the template cannot be read here".to_owned(),
        "a template is a name (`{{inputs.day}}`) or a helper with its values (`{{default inputs.day \"today\"}}`)",
    )
}

/// Returns the text between each `{{` and its `}}`, with the byte of the `{{`.
fn expressions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("{{").filter_map(|(at, _)| {
        let inner = &text[at + 2..];
        Some((at, &inner[..inner.find("}}")?]))
    })
}

/// Finds a name such as `steps["load-sales"].outcome`, as conditions have it; gives its first byte, its length and the
/// spelling of templates.
fn quoted_brackets(inner: &str) -> Option<(usize, usize, String)> {
    let bracket = |at: &usize| inner[at + 1..].starts_with(['"', '\'']);
    let open = inner.match_indices('[').map(|(at, _)| at).find(bracket)?;
    let in_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let start = inner[..open].trim_end_matches(in_name).len();
    let end = inner[open..].find([' ', ')']).map_or(inner.len(), |at| open + at);
    let name = &inner[start..end];
    let mut right = name.to_owned();
    for (theirs, ours) in [("[\"", ".["), ("['", ".["), ("\"]", "]"), ("']", "]")] {
        right = right.replace(theirs, ours);
    }
    (start < open).then_some((start, name.len(), right))
}

/// Returns the first `{{` that no `}}` follows before the next one.
fn unclosed(text: &str) -> Option<usize> {
    text.match_indices("{{").map(|(at, _)| at).find(|at| {
        let inner = &text[at + 2..];
        match (inner.find("}}"), inner.find("{{")) {
            (None, _) => true,
            (Some(close), Some(open)) => open < close && open > 1,
            _ => false,
        }
    })
}

/// Returns the last block that is opened and not closed.
fn open_block(text: &str) -> Option<(usize, &str)> {
    let mut open = Vec::new();
    for (at, inner) in expressions(text) {
        let inner = inner.trim_matches('~').trim();
        if let Some(block) = inner.strip_prefix('#') {
            open.push((at, block.split_whitespace().next().unwrap_or_default()));
        } else if inner.starts_with('/') {
            open.pop();
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use super::{too_deep, unreadable};

    #[test]
    fn explains_what_cannot_be_read() {
        let check = |text: &str, want: &str| {
            let error = handlebars::Template::compile(text).expect_err("this cannot be read");
            let problem = unreadable(text, &error);
            assert_eq!(format!("{} {}", problem.at, problem.refusal.message), want, "{text}");
        };
        check("a {{inputs.day", "2 `{{` is never closed");
        check("a {{}}", "2 nothing stands between `{{` and `}}`");
        check("{{inputs.day | upper}}", "13 templates have no filters");
        check(
            "{{steps[\"a-b\"].run_id}}",
            "2 in a template a name in brackets has no quotes: `steps[\"a-b\"].run_id`",
        );
        check(
            "{{default steps['a-b'].run_id 3}}",
            "10 in a template a name in brackets has no quotes: `steps['a-b'].run_id`",
        );
        check("{{inputs.n + 1}}", "11 templates have no operators");
        check("{{#if inputs.a}}x", "0 `{{#if}}` is never closed");
        check("{{#if inputs.a}}x{{/each}}", "17 `{{#if}}` is closed by `{{/each}}`");
        check("{{a b=}}", "5 templates have no operators");
        check("{{a (b}}", "6 the template cannot be read here");
    }

    #[test]
    fn refuses_what_could_take_the_stack() {
        assert!(too_deep(&format!("{{{{{}", "(".repeat(1_000_000))).is_some());
        assert!(too_deep(&"{{#if a}}".repeat(100)).is_some());
        assert!(too_deep(&"{{#if a}}{{/if}}".repeat(100)).is_none());
        assert!(too_deep(&"{{a}}".repeat(1_001)).is_some());
        assert!(too_deep(&format!("{{{{a}}}}{}", "x".repeat(1_000_000))).is_some());
        assert!(too_deep("{{default (env \"A\") \"b\"}}").is_none());
    }
}
