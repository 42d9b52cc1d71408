//! Texts of others in Markdown of the kind that GitHub and Azure DevOps read: nothing in them becomes a link, a mention or HTML.

use crate::report::text::one_line;

/// Returns a text so that Markdown and HTML take no character of it for their own.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::new();
    let line = one_line(raw);
    // What looks like an address becomes a link by itself.
    let line = line.replace("://", ":\u{2060}//").replace("www.", "www\u{2060}.");
    for c in line.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // `@` and `#` would call people and name issues.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '|' => out.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Keeps a text inside its cell, and what it says from being taken for a cell's end or HTML.
pub(super) fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|").replace('<', "&lt;")
}

/// Returns a text as code, whatever is in it.
pub(super) fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let margin = if longest > 0 { " " } else { "" };
    format!("{fence}{margin}{text}{margin}{fence}")
}

/// Returns a text as code in a cell of a table, where a `|` would end it even in code.
pub(super) fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{code, code_cell, text};

    #[test]
    fn foreign_words_stay_words() {
        assert_eq!(text("a_b <i> @me [x](y) | z"), "a\\_b &lt;i&gt; &#64;me \\[x\\](y) &#124; z");
        assert_eq!(text("see https://x.y or www.x.y"), "see https:\u{2060}//x.y or www\u{2060}.x.y");
        assert_eq!(code("a | `b` <i>"), "`` a | `b` <i> ``");
        assert_eq!(code_cell("a | `b`"), "`` a \\| `b` ``");
    }
}
