//! `run_key`: the text that tells the flows of a plan apart.

use std::collections::BTreeSet;

use serde_json::Value;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::reader::{Fields, Reader, excerpt};
use super::template::{Known, render_now};

/// The longest key, in characters.
const RUN_KEY_CHARS_MAX: usize = 200;

/// Reads `run_key` and fills in its templates, once and for all. Nothing if there is none, or no value yet.
pub(super) fn read(
    reader: &mut Reader<'_>,
    top: Fields<'_>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<String> {
    const HELP: &str = "write what differs from one flow to the next: `\"{{inputs.day}}\"`; or leave it out";
    let node = top.get("run_key")?;
    let text = reader.words(node, "`run_key`", HELP)?.to_owned();
    let key = if text.contains("{{") {
        known.refresh();
        match render_now(reader, node, known, env)? {
            Value::String(text) => text,
            value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
            other => {
                let message = format!(
                    "`run_key` must be a text, but the template gives `{}`",
                    excerpt(&other.to_string())
                );
                let help = "use an input of another type, or `{{json inputs.NAME}}` for its text";
                reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
                return None;
            }
        }
    } else {
        text
    };
    let reason = if key.chars().count() > RUN_KEY_CHARS_MAX {
        format!("`run_key` is longer than {RUN_KEY_CHARS_MAX} characters")
    } else if key.chars().any(char::is_control) {
        "`run_key` holds a line break or another control character".to_owned()
    } else {
        return Some(key);
    };
    reader.report(Diagnostic::at(Code::BadName, node.span(), reason).help("use a short text on one line"));
    None
}
