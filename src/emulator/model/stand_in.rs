//! The definition of a pipeline that nobody has described, so that whatever can be started can be read.
//!
//! It holds what the script tells: the activities it names, and the parameters by which it tells runs apart. Since runs
//! of such a pipeline take any parameters, it says by an annotation that it is none to hold a caller against.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::generator::digest;
use super::stamp::stamp_seconds;
use crate::emulator::model::script::PipelineScript;
use crate::time::Timestamp;

/// The annotation of such a definition.
const ANNOTATION: &str = "synflow-emulator-stand-in";

/// Returns the `properties` of a pipeline of which no more is known than its script says, and their etag: the same as
/// long as the script is.
pub(super) fn properties(
    name: &str,
    script: Option<&PipelineScript>,
    published_at: Timestamp,
) -> (Map<String, Value>, String) {
    let runs = || script.into_iter().flat_map(|script| &script.runs);
    let own = script.into_iter().flat_map(|script| script.activities.keys());
    let mut activities: BTreeSet<&str> = own.map(String::as_str).collect();
    activities.extend(runs().flat_map(|run| run.activities.keys()).map(String::as_str));
    if activities.is_empty() {
        activities.insert("Activity1");
    }
    let activity = |name: &str| json!({ "name": name, "type": "Copy", "dependsOn": [], "userProperties": [], "typeProperties": {} });
    let mut parameters = Map::new();
    for (name, value) in runs().flat_map(|run| &run.when) {
        parameters.entry(name).or_insert_with(|| json!({ "type": type_of(value) }));
    }
    let properties = json!({
        "description": "Nobody has described this pipeline to the emulator. Its runs take any parameters.",
        "activities": activities.into_iter().map(activity).collect::<Vec<_>>(),
        "parameters": parameters,
        "annotations": [ANNOTATION],
    });
    let etag = etag_of(name, &properties);
    let Value::Object(mut properties) = properties else { return (Map::new(), etag) };
    properties.insert("lastPublishTime".to_owned(), stamp_seconds(published_at).into());
    (properties, etag)
}

/// Returns an etag that two workspaces with the same definition share, as a person with a folder of files expects: what
/// is not changed has not changed.
pub(super) fn etag_of(name: &str, properties: &Value) -> String {
    let number = digest(format!("{name} {properties}").as_bytes());
    format!("{:08x}-0000-0100-0000-{:08x}0000", number >> 32, number & 0xffff_ffff)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) | Value::Null => "string",
    }
}
