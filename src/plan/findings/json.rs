//! The shape of `validate --output json`. Members are added, never renamed.

use serde_json::{Map, Value, json};

use super::{Checked, Located, Region};
use crate::plan::code::Code;

/// Returns the answer to `validate --output json`, plans in the order given. Files that hold no definition stand apart.
pub fn json(files: &[Checked<'_>]) -> Value {
    let is_definition =
        |checked: &Checked<'_>| checked.findings.iter().any(|finding| finding.code == Code::BadDefinition);
    let (definitions, plans): (Vec<_>, Vec<_>) = files.iter().partition(|checked| is_definition(checked));
    let mut answer = Map::new();
    answer.insert("plans".to_owned(), plans.into_iter().map(plan).collect());
    if !definitions.is_empty() {
        let broken = definitions
            .into_iter()
            .map(|checked| json!({ "file": checked.file, "diagnostics": diagnostics(checked) }));
        answer.insert("definitions".to_owned(), broken.collect());
    }
    Value::Object(answer)
}

fn plan(checked: &Checked<'_>) -> Value {
    json!({
        "file": checked.file,
        "ok": checked.steps.is_some(),
        "steps": checked.steps,
        "problem": checked.unreadable,
        "diagnostics": diagnostics(checked),
    })
}

fn diagnostics(checked: &Checked<'_>) -> Vec<Value> {
    checked.located().iter().map(|located| diagnostic(checked.file, located)).collect()
}

fn diagnostic(file: &str, located: &Located<'_>) -> Value {
    let finding = located.finding;
    let mut object = Map::new();
    object.insert("code".to_owned(), finding.code.id().into());
    object.insert("severity".to_owned(), finding.severity().word().into());
    object.insert("message".to_owned(), finding.message.as_str().into());
    put_place(&mut object, file, located.region);
    object.insert("label".to_owned(), finding.label.as_str().into());
    object.insert("help".to_owned(), finding.help.clone().into());
    let related = located.related.iter().map(|(region, label)| {
        let mut object = Map::new();
        put_place(&mut object, file, Some(*region));
        object.insert("label".to_owned(), (*label).into());
        Value::Object(object)
    });
    object.insert("related".to_owned(), related.collect());
    Value::Object(object)
}

/// Adds where something stands; a finding about the whole file has a file and nothing more.
fn put_place(object: &mut Map<String, Value>, file: &str, region: Option<Region>) {
    object.insert("file".to_owned(), file.into());
    object.insert("line".to_owned(), region.map(|region| region.line).into());
    object.insert("column".to_owned(), region.map(|region| region.column).into());
    object.insert("end_line".to_owned(), region.map(|region| region.end_line).into());
    object.insert("end_column".to_owned(), region.map(|region| region.end_column).into());
}

#[cfg(test)]
mod tests {
    use super::json;
    use crate::plan::findings::Checked;
    use crate::plan::{Code, Diagnostic, Place, Span};

    #[test]
    fn keeps_the_promised_shape() {
        let at = |line, column, chars| Span::new(Place { line, column }, chars);
        let finding = Diagnostic::at(Code::DuplicateKey, at(2, 1, 0), "the key `数` stands here twice")
            .label("again here")
            .also(at(1, 1, 1), "first here")
            .help("keep one of the two");
        let open = Diagnostic::whole(Code::InputUnknown, "the plan has no input `x`");
        let text = "数: 1\n数: 2\n".as_bytes();
        let bad = Checked { file: "a.yaml", text, steps: None, findings: &[open, finding], unreadable: None };
        let good = Checked { file: "b.yaml", text: b"", steps: Some(3), findings: &[], unreadable: None };
        let lost = Checked { steps: None, unreadable: Some("no such file"), ..good };
        let shown = serde_json::to_string_pretty(&json(&[bad, good, lost])).expect("JSON can be written");
        insta::assert_snapshot!(shown, @r#"
        {
          "plans": [
            {
              "file": "a.yaml",
              "ok": false,
              "steps": null,
              "problem": null,
              "diagnostics": [
                {
                  "code": "E0502",
                  "severity": "error",
                  "message": "the plan has no input `x`",
                  "file": "a.yaml",
                  "line": null,
                  "column": null,
                  "end_line": null,
                  "end_column": null,
                  "label": "",
                  "help": [],
                  "related": []
                },
                {
                  "code": "E0107",
                  "severity": "error",
                  "message": "the key `数` stands here twice",
                  "file": "a.yaml",
                  "line": 2,
                  "column": 1,
                  "end_line": 2,
                  "end_column": 2,
                  "label": "again here",
                  "help": [
                    "keep one of the two"
                  ],
                  "related": [
                    {
                      "file": "a.yaml",
                      "line": 1,
                      "column": 1,
                      "end_line": 1,
                      "end_column": 2,
                      "label": "first here"
                    }
                  ]
                }
              ]
            },
            {
              "file": "b.yaml",
              "ok": true,
              "steps": 3,
              "problem": null,
              "diagnostics": []
            },
            {
              "file": "b.yaml",
              "ok": false,
              "steps": null,
              "problem": "no such file",
              "diagnostics": []
            }
          ]
        }
        "#);
    }
}
