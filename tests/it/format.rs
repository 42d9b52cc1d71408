//! `plan::format`: the golden files, and what holds for every text: the meaning stays, a second time changes nothing.
//!
//! `UPDATE_EXPECT=1 cargo test --test it format` writes the golden files anew.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::Value;
use synflow::plan::{Diagnostic, FormatFailure, format};

use crate::dice::Dice;
use crate::fuzz::{Corpus, Mutator};
use crate::space::root;

/// Returns the texts of a folder, sorted.
fn texts(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Lays a text out and holds the promises against it; nothing if it is no YAML.
pub(crate) fn checked(text: &[u8]) -> Option<String> {
    let once = match format(text) {
        Ok(once) => once,
        Err(FormatFailure::Unreadable(findings)) => {
            assert!(findings.iter().any(Diagnostic::is_error));
            return None;
        }
        Err(FormatFailure::Changed) => panic!("the layout would change the meaning"),
    };
    let twice = format(once.as_bytes());
    assert_eq!(twice.as_deref(), Ok(once.as_str()), "a second time changes something");
    assert!(once.ends_with('\n'));
    assert!(!once.starts_with(['\n', '\u{feff}']));
    assert_eq!(characters(text), characters(once.as_bytes()), "something was lost or made");
    Some(once)
}

/// Returns every character of a text that is not blank, in the order of the alphabet; without those that may go: commas
/// before a closing bracket, and byte order marks.
fn characters(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let counts = |c: &char| !c.is_whitespace() && !matches!(c, ',' | '\u{feff}');
    let mut characters: Vec<char> = text.chars().filter(counts).collect();
    characters.sort_unstable();
    characters.into_iter().collect()
}

/// Reads a text with the other YAML library, its maps without order.
fn second_reading(text: &[u8]) -> Option<Value> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut value: serde_yaml::Value = serde_yaml::from_slice(text).ok()?;
    value.apply_merge().ok()?;
    serde_json::to_value(value).ok()
}

#[test]
fn golden_files_are_laid_out_to_the_letter() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let files = texts("tests/plans/fmt");
    assert!(files.len() >= 15, "{}", files.len());
    for (path, text) in files.iter().filter(|(path, _)| !path.to_str().unwrap().ends_with(".out.yaml")) {
        let laid = checked(text).unwrap_or_else(|| panic!("{}", path.display()));
        if let Some(value) = second_reading(text) {
            assert_eq!(Some(value), second_reading(laid.as_bytes()), "{}", path.display());
        }
        let strict = granit_parser::options! { strict_indentation: true };
        for event in granit_parser::Parser::new_from_str_with_options(&laid, strict) {
            assert!(event.is_ok(), "{} is not as YAML wants it: {event:?}", path.display());
        }
        let expected = path.with_extension("out.yaml");
        if update {
            fs::write(&expected, &laid).unwrap();
        }
        let stored = fs::read_to_string(&expected).unwrap_or_default();
        assert!(stored == laid, "{}\n{laid}", path.display());
    }
}

#[test]
fn every_plan_of_the_corpus_keeps_its_meaning() {
    for folder in ["tests/plans/good", "tests/plans/bad", "examples", "examples/nightly"] {
        for (path, text) in texts(folder) {
            let Some(laid) = checked(&text) else {
                assert!(folder.ends_with("bad"), "{} is no YAML", path.display());
                continue;
            };
            if let Some(value) = second_reading(&text) {
                assert_eq!(Some(value), second_reading(laid.as_bytes()), "{}", path.display());
            }
        }
    }
}

#[test]
fn every_example_has_the_layout() {
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir()).chain([root().join("examples")]);
    let mut plans = 0;
    for (path, text) in folders.flat_map(|folder| texts(folder.to_str().unwrap())) {
        // Scripts of the emulator and inputs stand beside them.
        if String::from_utf8_lossy(&text).contains("\nversion: ") {
            assert!(checked(&text).unwrap().as_bytes() == text, "run `synflow fmt {}`", path.display());
            plans += 1;
        }
    }
    assert!(plans >= 5, "{plans}");
}

#[test]
fn line_ends_are_kept_and_a_byte_order_mark_is_not() {
    let check =
        |text: &str, want: &str| assert_eq!(checked(text.as_bytes()).as_deref(), Some(want), "{text:?}");
    check("a:   1\r\nb: [ 2 ]\r\n", "a: 1\r\nb: [2]\r\n");
    check("a: 1\r\nb: 2\n", "a: 1\r\nb: 2\r\n");
    check("a: 1\rb: 2", "a: 1\nb: 2\n");
    check("\u{feff}a: 1", "a: 1\n");
    check("a: |\r\n  x\r\n  y\r\n", "a: |\r\n  x\r\n  y\r\n");
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let check =
        |text: &str| assert!(matches!(format(text.as_bytes()), Err(FormatFailure::Unreadable(_))), "{text}");
    check("");
    check("# nothing");
    check("a: 1\na: 2");
    check("a: [1");
    check("a: *b");
    check("? [a]\n: b");
    check("a text");
    check("- a");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_yaml_letters_keep_their_meaning(text in "[-a-c:{}\\[\\]\"'&*!|>%@# \n\t?,0-9~<.é\r]{0,120}") {
        checked(text.as_bytes());
    }

    #[test]
    fn any_lines_keep_their_meaning(lines in prop::collection::vec("( {0,5})(a|b|- |- a|\\? a|: |steps|retry|on|&x|\\*x|\\{|\\[|\\]|\\}|,|\\||>|>-|\\|\\+|\\|2|\"|'|# c| #d|!!str|1|)(: ?|:|)( {0,3})(b|1|# e| #f|\"x|x'|&y|&x b|\\*x|\\| # g|\\[1,|\\{ ?c: d|\\}|\\]|)( {0,2})", 0..9)) {
        checked(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_mutation_keeps_its_meaning(seed in any::<u64>()) {
        let corpus = Corpus::read();
        let text = Mutator::new(&corpus, Dice(seed)).plan();
        checked(&text);
    }
}

/// The golden files of this folder are no plans of the other corpora.
#[test]
fn golden_files_come_in_pairs() {
    for (path, _) in texts("tests/plans/fmt") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let other = match name.strip_suffix(".out.yaml") {
            Some(stem) => format!("{stem}.yaml"),
            None => name.replace(".yaml", ".out.yaml"),
        };
        assert!(Path::new(&path).with_file_name(&other).exists(), "{other}");
    }
}
