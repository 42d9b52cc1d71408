//! The text of a file to a definition, or to what is wrong with it and where.

use serde_json::Value;

use super::{Definition, Source};
use crate::plan::{Code, Diagnostic, Place};

/// Reads a file as a definition. `name` is the file's, `stem` that of a pipeline that does not name itself.
///
/// Fails with what is wrong, at its place, if it holds no JSON object.
pub fn parse(bytes: &[u8], name: &str, stem: &str) -> Result<Definition, Box<Diagnostic>> {
    let whole =
        |message: &str, help: &str| Box::new(Diagnostic::whole(Code::BadDefinition, message).help(help));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(whole("the file is not UTF-8", "save it as UTF-8, as Synapse Studio does"));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text).map_err(|error| Box::new(not_json(text, &error)))?;
    let help = "the file of a pipeline holds `{ \"name\": ..., \"properties\": { ... } }`";
    Definition::read(&value, Source::File(name.to_owned()), stem)
        .ok_or_else(|| whole("the file holds no JSON object, so no pipeline", help))
}

fn not_json(text: &str, error: &serde_json::Error) -> Diagnostic {
    if let Some(at) = text.lines().position(|line| line.starts_with("<<<<<<<")) {
        let place = Place { line: at + 1, column: 1 };
        return Diagnostic::at(
            Code::BadDefinition,
            place,
            "the file is not JSON: a merge was not finished in it",
        )
        .help("decide between the two versions, and remove the marks");
    }
    let told = error.to_string();
    let what = told.split_once(" at line ").map_or(told.as_str(), |(what, _)| what);
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The reader counts bytes.
    let before = line.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or(line.as_bytes());
    let column = String::from_utf8_lossy(before).chars().count() + 1;
    let place = Place { line: error.line().max(1), column };
    Diagnostic::at(Code::BadDefinition, place, format!("the file is not JSON: {what}"))
        .help("repair it here; Synapse Studio cannot load it either")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn says_what_is_wrong_and_where() {
        let check = |text: &[u8], want: &str| {
            let got = match parse(text, "pipeline/a.json", "a") {
                Ok(definition) => definition.name,
                Err(finding) => {
                    let place = finding.place().map(|place| format!("{}:{} ", place.line, place.column));
                    place.unwrap_or_default() + &finding.message
                }
            };
            assert_eq!(got, want, "{}", String::from_utf8_lossy(text));
        };
        check(b"{}", "a");
        check(b"\xef\xbb\xbf{ \"name\": \"b\" }", "b");
        check(b"[]", "the file holds no JSON object, so no pipeline");
        check(b"\xff\xfe{", "the file is not UTF-8");
        check(b"", "1:1 the file is not JSON: EOF while parsing a value");
        check("{\n  \"é\": 1,,\n}".as_bytes(), "2:10 the file is not JSON: key must be a string");
        check(b"{\n<<<<<<< ours\n}", "2:1 the file is not JSON: a merge was not finished in it");
    }
}
