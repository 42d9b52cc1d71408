//! From the spelling of templates to that of conditions, for messages that both share.

use super::tree::{is_word, quoted, spelled};
use crate::plan::function::{Function, Language};

/// Returns a sentence in which names and calls in backticks are those of a condition.
pub(super) fn sentence(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let respelled = pieces.map(|(n, piece)| if n % 2 == 1 { code(piece) } else { piece.to_owned() });
    respelled.collect::<Vec<_>>().join("`")
}

fn code(piece: &str) -> String {
    if let Some(inner) = piece.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        return expression(inner);
    }
    // As a message gives it to be written inside a template: `env "NAME"`.
    if let Some(name) = piece.strip_prefix("env ") {
        return Language::Condition.call("env", &[name]);
    }
    name(piece)
}

/// Returns a name with brackets where they are needed; anything else as it is.
fn name(piece: &str) -> String {
    let is_name = ["inputs.", "steps.", "each.", "plan.", "flow."].iter().any(|root| piece.starts_with(root))
        && !piece.ends_with('.')
        && piece.chars().all(|c| is_word(c) || ".-[]".contains(c));
    if is_name { spelled(parts(piece)) } else { piece.to_owned() }
}

/// Cuts a name at its dots, but not at those in brackets.
fn parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, c) in name.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                parts.push(&name[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&name[start..]);
    // Templates have `inputs.list.[0]`, conditions `inputs.list[0]`.
    let bare = |part: &&str| part.starts_with('[') && part.ends_with(']');
    parts.into_iter().map(|part| if bare(&part) { &part[1..part.len() - 1] } else { part }).collect()
}

/// Returns what stands between braces as a condition: a name, or a helper with its values.
fn expression(inner: &str) -> String {
    let inner = inner.trim().trim_matches(['{', '}', '~']).trim();
    let values = values(inner);
    match values.split_first() {
        Some((helper, values))
            if !values.is_empty() && (Function::named(helper).is_some() || *helper == "env") =>
        {
            let values: Vec<String> = values.iter().map(|value| argument(value)).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            Language::Condition.call(helper, &values)
        }
        Some((only, [])) => name(only),
        _ => inner.to_owned(),
    }
}

fn argument(value: &str) -> String {
    match value.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => expression(inner),
        None => name(value),
    }
}

/// Cuts an expression at its spaces, but not at those in quotes and parentheses.
fn values(inner: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let (mut start, mut depth, mut quote) = (None, 0_usize, None);
    for (at, c) in inner.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '(' => depth += 1,
            None if c == ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() && depth == 0 && quote.is_none() {
            values.extend(start.take().map(|start| &inner[start..at]));
        } else {
            start.get_or_insert(at);
        }
    }
    values.extend(start.map(|start| &inner[start..]));
    values
}

/// Returns a condition without the braces of templates, and without quotes around them.
pub(super) fn without_braces(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let (before, inside) = rest.split_at(open);
        let inside = &inside[2..];
        let (inner, after) = inside.split_once("}}").unwrap_or((inside, ""));
        let mut before = before.trim_end_matches('$').to_owned();
        let mut after = after.trim_start_matches('}');
        // `"{{inputs.region}}" == "emea"`
        for quote in ['"', '\''] {
            if before.ends_with(quote) && after.starts_with(quote) {
                before.pop();
                after = &after[1..];
                break;
            }
        }
        out.push_str(&before);
        out.push_str(&expression(inner));
        rest = after;
    }
    out.push_str(rest);
    let bare: String = out.chars().filter(|c| *c != '{' && *c != '}').collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a condition as a value of YAML that means the same text.
pub(super) fn as_yaml(condition: &str) -> String {
    let is_plain = !condition
        .starts_with(['"', '\'', '[', '!', '@', '&', '*', '|', '>', '%', '#', '`', '-', '?'])
        && !condition.contains(": ")
        && !condition.contains(" #");
    if is_plain {
        return condition.to_owned();
    }
    if condition.contains('\'') { quoted(condition) } else { format!("'{condition}'") }
}

#[cfg(test)]
mod tests {
    use super::{as_yaml, sentence, without_braces};

    #[test]
    fn respells_messages() {
        let check = |text: &str, want: &str| assert_eq!(sentence(text), want);
        check("did you mean `steps.load-sales`?", "did you mean `steps[\"load-sales\"]`?");
        check(
            "give one with `{{default inputs.a.b-c ...}}`",
            "give one with `default(inputs.a[\"b-c\"], ...)`",
        );
        check("write `{{env \"NAME\"}}`", "write `env(\"NAME\")`");
        check("variables are read with `env \"NAME\"`", "variables are read with `env(\"NAME\")`");
        check("`{{default (env \"A\") \"b c\"}}`", "`default(env(\"A\"), \"b c\")`");
        check("names begin with `inputs.`, `steps.`", "names begin with `inputs.`, `steps.`");
        check(
            "`inputs.list.[0]` and `steps.ingest[emea].outcome`",
            "`inputs.list[0]` and `steps[\"ingest[emea]\"].outcome`",
        );
    }

    #[test]
    fn takes_braces_away() {
        let check = |text: &str, want: &str| assert_eq!(without_braces(text), want);
        check("{{inputs.full}}", "inputs.full");
        check("{{ steps.a.outputs.rows }} > 0", "steps.a.outputs.rows > 0");
        check("\"{{inputs.region}}\" == \"emea\"", "inputs.region == \"emea\"");
        check("${{ inputs.a && inputs.b }}", "inputs.a && inputs.b");
        check("{{eq inputs.a \"x y\"}}", "eq(inputs.a, \"x y\")");
        check("{{inputs.load-all}}", "inputs[\"load-all\"]");
        check("{inputs.a}", "inputs.a");
        check("{{", "");
    }

    #[test]
    fn writes_yaml() {
        assert_eq!(as_yaml("inputs.a == \"x\""), "inputs.a == \"x\"");
        assert_eq!(as_yaml("\"x\" in inputs.a"), "'\"x\" in inputs.a'");
        assert_eq!(as_yaml("'x' in inputs.a"), "\"'x' in inputs.a\"");
    }
}
