//! A saved plan: what `synflow plan -o FILE` pins, so that `synflow apply FILE` runs that or nothing.
//!
//! The form of the file, and the versions of the pipelines that stand in it. Never reads a file and never asks a
//! workspace: the shell does, and hands over what it found. It holds no secret, only the references to them that the
//! plan has. Main type: [`SavedPlan`]; [`pin`] and [`moved`] are about the pipelines.

mod pins;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::Selection;
use crate::time::Timestamp;

pub use pins::{Fate, Moved, Pins, Unpinned, moved, pin};

/// The version of the file's form.
const FORMAT: u64 = 1;
/// The key that every saved plan begins with, and no plan has.
const MARK: &str = "saved_plan";
/// The key of the digest over all other keys.
const DIGEST: &str = "sha256";

/// What a saved plan pins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The plan's name.
    #[serde(rename = "saved_plan")]
    pub plan: String,
    /// The version of the file's form.
    pub format: u64,
    /// The version of the synflow that wrote it.
    pub synflow: String,
    /// When it was made: what words such as `yesterday` count from.
    pub made_at: Timestamp,
    /// The plan's file as it was named.
    pub plan_file: String,
    /// The whole path of that file.
    pub plan_path: String,
    /// The file's text.
    pub plan_text: String,
    /// The environment that was chosen; empty for none.
    pub environment: String,
    /// What was given on the command line.
    pub given: GivenThen,
    /// The value of every input. Of a secret one, the reference.
    pub inputs: Map<String, Value>,
    /// The environment variables that the plan's templates name in the open, with their values.
    pub env: BTreeMap<String, String>,
    /// The steps that were selected; all if nothing was.
    pub selection: Selection,
    /// How many runs may be under way at once, where the command line said so.
    pub max_parallel: Option<u32>,
    /// The version of each pipeline, by the keys of the workspaces.
    pub definitions: BTreeMap<String, Pins>,
}

/// What was given on the command line, so that it can be read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GivenThen {
    /// The texts of `--input` by their names.
    pub inputs: BTreeMap<String, String>,
    /// The file of `--inputs`.
    pub file: Option<InputsFile>,
}

/// A file of `--inputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputsFile {
    /// Its whole path.
    pub path: String,
    /// The inputs that it gives values to.
    pub names: Vec<String>,
}

/// Why a file is a saved plan that nobody may rely on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It ends in the middle.
    #[error("it ends in the middle: it was not copied whole")]
    Cut,
    /// It is no JSON any more.
    #[error("it was changed after it was saved: it is no JSON any more ({0})")]
    Broken(String),
    /// It says something else than when it was saved.
    #[error("it was changed after it was saved: what it says does not fit its digest")]
    Changed,
    /// A later synflow wrote it.
    #[error("it was saved by a newer synflow, {synflow}, in format {format}; this one reads format {FORMAT}")]
    Newer {
        /// The version of the file's form.
        format: u64,
        /// The version of that synflow.
        synflow: String,
    },
}

impl SavedPlan {
    /// Returns a saved plan of this format that pins nothing yet but the plan's text and what this synflow is.
    pub fn new(plan: &str, plan_text: &str, made_at: Timestamp) -> Self {
        Self {
            plan: plan.to_owned(),
            format: FORMAT,
            synflow: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            plan_file: String::new(),
            plan_path: String::new(),
            plan_text: plan_text.to_owned(),
            environment: String::new(),
            given: GivenThen::default(),
            inputs: Map::new(),
            env: BTreeMap::new(),
            selection: Selection::default(),
            max_parallel: None,
            definitions: BTreeMap::new(),
        }
    }

    /// Returns the file's text. `digest` makes the digest of a text.
    pub fn write(&self, digest: impl FnOnce(&str) -> String) -> String {
        let mut value =
            serde_json::to_value(self).expect("texts, numbers and maps with texts as keys are JSON");
        let sum = digest(&value.to_string());
        value[DIGEST] = sum.into();
        format!("{value:#}\n")
    }

    /// Reads a file that [`is_saved`]. Its layout does not matter, all else has to be as it was written.
    pub fn read(bytes: &[u8], digest: impl FnOnce(&str) -> String) -> Result<Self, Unusable> {
        let text = String::from_utf8_lossy(bytes);
        let mut value: Value = serde_json::from_str(without_mark_of_order(&text)).map_err(|error| {
            if error.is_eof() { Unusable::Cut } else { Unusable::Broken(error.to_string()) }
        })?;
        let keys = value.as_object_mut().ok_or(Unusable::Changed)?;
        let format = keys.get("format").and_then(Value::as_u64).ok_or(Unusable::Changed)?;
        if format > FORMAT {
            let synflow = keys.get("synflow").and_then(Value::as_str).unwrap_or("of unknown version");
            return Err(Unusable::Newer { format, synflow: synflow.to_owned() });
        }
        // In its order: the digest is over the rest as it was written.
        let told = keys.shift_remove(DIGEST);
        if told != Some(Value::String(digest(&value.to_string()))) {
            return Err(Unusable::Changed);
        }
        serde_json::from_value(value).map_err(|_| Unusable::Changed)
    }
}

/// Says whether a file is a saved plan, whole or not.
pub fn is_saved(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = without_mark_of_order(&text);
    let Some(rest) = text.trim_start().strip_prefix('{') else { return false };
    let first = rest.trim_start().strip_prefix('"').and_then(|rest| rest.strip_prefix(MARK));
    if first.is_some_and(|rest| rest.starts_with('"')) {
        return true;
    }
    // Some tool has sorted its keys.
    text.contains(MARK) && serde_json::from_str::<Value>(text).is_ok_and(|value| value.get(MARK).is_some())
}

fn without_mark_of_order(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{SavedPlan, Unusable, is_saved};
    use crate::time::Timestamp;

    fn saved() -> SavedPlan {
        let mut saved =
            SavedPlan::new("sales", "name: sales\n# Grüße\n", Timestamp::from_epoch_ms(1_700_000_000_000));
        saved.inputs.insert("day".to_owned(), json!("2024-05-01"));
        saved.inputs.insert("share".to_owned(), json!(0.1));
        saved.env.insert("TARGET".to_owned(), "a".to_owned());
        saved
    }

    /// Stands for a real digest: any change of the text gives another.
    fn digest(text: &str) -> String {
        format!(
            "{} {}",
            text.len(),
            text.bytes().map(u64::from).enumerate().map(|(at, byte)| at as u64 * byte).sum::<u64>()
        )
    }

    #[test]
    fn what_was_written_is_read_and_layout_does_not_matter() {
        let text = saved().write(digest);
        assert_eq!(SavedPlan::read(text.as_bytes(), digest), Ok(saved()));
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        for other in [value.to_string(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            assert!(is_saved(other.as_bytes()));
            assert_eq!(SavedPlan::read(other.as_bytes(), digest), Ok(saved()), "{other}");
        }
    }

    #[test]
    fn a_change_a_cut_and_a_newer_format_are_told_apart() {
        let text = saved().write(digest);
        let read = |text: &str| {
            assert!(is_saved(text.as_bytes()), "{text}");
            SavedPlan::read(text.as_bytes(), digest).expect_err("it was spoilt")
        };
        assert_eq!(read(&text.replace("2024-05-01", "2024-05-02")), Unusable::Changed);
        assert_eq!(read(&text.replace("\"sha256\"", "\"sha257\"")), Unusable::Changed);
        assert_eq!(read(&text.replace("\"format\": 1,", "")), Unusable::Changed);
        assert_eq!(read(&text.replace("\"env\": {", "\"more\": 1, \"env\": {")), Unusable::Changed);
        assert!(matches!(read(&text.replace("\"env\"", "env")), Unusable::Broken(_)));
        let length = text.chars().count();
        for end in [20, length / 2, length - 3] {
            assert_eq!(read(&text.chars().take(end).collect::<String>()), Unusable::Cut, "{end}");
        }
        let newer = text.replace("\"format\": 1", "\"format\": 7").replace("\"inputs\"", "\"other\"");
        assert!(matches!(read(&newer), Unusable::Newer { format: 7, .. }));
    }

    #[test]
    fn plans_are_no_saved_plans() {
        let sorted = r#"{"format": 1, "saved_plan": "x"}"#;
        for saved in ["{\"saved_plan\"", " {\n\"saved_plan\": 1", sorted] {
            assert!(is_saved(saved.as_bytes()), "{saved}");
        }
        let plan = r#"{"version": 1, "name": "saved_plan", "steps": {}}"#;
        for other in ["", "{", "{}", "saved_plan: 1", "# {\"saved_plan\"", plan, "{\"saved_planet\": 1}"] {
            assert!(!is_saved(other.as_bytes()), "{other}");
        }
    }
}
