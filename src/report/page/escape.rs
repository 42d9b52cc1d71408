//! Texts of others inside a page: none of them may become markup, code, or hide what it is.

use std::fmt::Write;

use serde_json::Value;

use crate::report::text::{one_line, paragraphs, xml};

/// Returns a text on one line as HTML holds it, in an attribute too.
pub(super) fn html(text: &str) -> String {
    xml(&one_line(text))
}

/// Returns a text with its lines as HTML holds it.
pub(super) fn html_lines(text: &str) -> String {
    xml(&paragraphs(text).join("\n"))
}

/// Returns a value as a script element may hold it: no end of the element, no comment, no character that a reader would
/// obey.
pub(super) fn data(mut value: Value) -> String {
    disarm(&mut value);
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a text cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Makes every text inside harmless to a reader, names of members too; lines stay.
fn disarm(value: &mut Value) {
    match value {
        Value::String(text) => *text = paragraphs(text).join("\n"),
        Value::Array(items) => items.iter_mut().for_each(disarm),
        Value::Object(members) => {
            if members.keys().any(|name| one_line(name) != *name) {
                *members =
                    std::mem::take(members).into_iter().map(|(name, it)| (one_line(&name), it)).collect();
            }
            members.values_mut().for_each(disarm);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns bytes in base64, padded, as the hash of a script is written (CSP 3, 2.3.1).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let of = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = of(0) << 16 | of(1) << 8 | of(2);
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{base64, data, html, html_lines};

    #[test]
    fn no_text_leaves_its_element() {
        let text = "</script><!--<b onload=\"x\">\u{2028}\u{202e}lmx\u{1b}[2J & é";
        let written = data(json!({ text: [text, 1, null] }));
        assert!(!written.contains(['<', '>', '&', '\u{2028}', '\u{202e}', '\u{1b}']), "{written}");
        assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{written}");
        assert_eq!(html("a\n<b> \"c\"\u{202e}"), "a &lt;b&gt; &quot;c&quot;\u{fffd}");
        assert_eq!(html_lines("a\r\n<b>\u{7}"), "a\n&lt;b&gt;␇");
    }

    #[test]
    fn keeps_what_is_harmless() {
        let value = json!({ "rows": 7, "text": "数据 é\nzwei", "list": [true, null, 1.5] });
        assert_eq!(data(value.clone()), value.to_string());
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let check = |text: &str, want: &str| assert_eq!(base64(text.as_bytes()), want);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foobar", "Zm9vYmFy");
    }
}
