//! The list of deliberate breakages that tests have caught: every entry still fits the code.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::source_text::project_files;

#[test]
fn every_mutation_fits_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("tests/mutations/mutations.json")).unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(list.len() >= 12, "{} entries", list.len());
    let tests = project_files("tests/it/");
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    for entry in &list {
        let member = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {entry}"));
        let name = member("name");
        let code = fs::read_to_string(root.join(member("file"))).unwrap();
        assert_eq!(code.matches(member("find")).count(), 1, "`{name}`: how often its text stands there");
        assert_ne!(member("find"), member("replace"), "`{name}`");
        let row = format!("| {} | {name} |", member("promise"));
        assert!(page.contains(&row), "docs/reliability.md has no row `{row}`");
        let function = format!("fn {}(", member("test"));
        assert!(tests.iter().any(|file| file.text.contains(&function)), "`{name}`: no {function}");
    }
}
