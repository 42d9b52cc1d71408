//! SARIF 2.1.0, which code scanning, editors and dashboards read.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Checked, Located, Region, paragraph, with_slashes};
use crate::plan::code::Code;

/// Where the schema of the format is published.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Returns a log with one run: every code as a rule, every finding as a result, every file that could not be read as a
/// notification.
pub fn sarif(plans: &[Checked<'_>]) -> Value {
    let found: BTreeSet<Code> =
        plans.iter().flat_map(|checked| checked.findings).map(|finding| finding.code).collect();
    let rules: Vec<Value> = Code::ALL.iter().map(|code| rule(*code, found.contains(code))).collect();
    let results = plans.iter().flat_map(|checked| {
        let uri = uri(checked.file);
        checked.located().into_iter().map(move |located| result(&uri, &located)).collect::<Vec<_>>()
    });
    let unread = plans.iter().filter_map(|checked| Some((checked.file, checked.unreadable?)));
    let unread: Vec<Value> = unread.map(|(file, why)| notification(file, why)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "synflow",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                "executionSuccessful": unread.is_empty(),
                "toolExecutionNotifications": unread,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// Describes a code; at length where a result names it.
fn rule(code: Code, is_found: bool) -> Value {
    let mut rule = json!({
        "id": code.id(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": code.meaning() },
        "defaultConfiguration": { "level": code.severity().word() },
    });
    if is_found {
        let explanation = code.explanation();
        rule["fullDescription"] = json!({ "text": explanation.cause });
        rule["help"] = json!({ "text": explanation.text, "markdown": explanation.text });
    }
    rule
}

fn result(uri: &str, located: &Located<'_>) -> Value {
    let code = located.finding.code;
    let mut result = json!({
        "ruleId": code.id(),
        "ruleIndex": Code::ALL.iter().position(|known| *known == code),
        "level": code.severity().word(),
        "message": { "text": paragraph(located.finding) },
        "locations": [location(uri, located.region)],
    });
    if !located.related.is_empty() {
        let related = located.related.iter().enumerate().map(|(n, (region, label))| {
            let mut place = location(uri, Some(*region));
            place["id"] = n.into();
            place["message"] = json!({ "text": label });
            place
        });
        result["relatedLocations"] = related.collect();
    }
    result
}

fn location(uri: &str, region: Option<Region>) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri } });
    if let Some(at) = region {
        place["region"] = json!({
            "startLine": at.line,
            "startColumn": at.column,
            "endLine": at.end_line,
            "endColumn": at.end_column,
        });
    }
    json!({ "physicalLocation": place })
}

fn notification(file: &str, why: &str) -> Value {
    json!({
        "level": "error",
        "message": { "text": format!("cannot read the plan `{file}`: {why}") },
        "locations": [location(&uri(file), None)],
    })
}

/// Returns a path as a URI: relative as it was given, with everything escaped that a URI does not take as it is.
fn uri(path: &str) -> String {
    let path = with_slashes(path);
    let (scheme, rest) = if path.starts_with('/') {
        ("file://", path.as_str())
    } else if let Some(on_drive) = path.strip_prefix(|c: char| c.is_ascii_alphabetic())
        && on_drive.starts_with(":/")
        && cfg!(windows)
    {
        return format!("file:///{}:{}", &path[..1], escaped(&on_drive[1..]));
    } else {
        ("", path.as_str())
    };
    format!("{scheme}{}", escaped(rest))
}

fn escaped(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn writes_paths_as_uris() {
        let check = |path: &str, want: &str| assert_eq!(uri(path), want, "{path}");
        check("plans/nightly.yaml", "plans/nightly.yaml");
        check("./plans/nightly.yaml", "plans/nightly.yaml");
        check("../a b#c?.yaml", "../a%20b%23c%3F.yaml");
        check("数:1%.yaml", "%E6%95%B0%3A1%25.yaml");
        check("/srv/plans/a.yaml", "file:///srv/plans/a.yaml");
    }
}
