//! The JSON Schema of a plan, draft 2020-12, as editors and tools read it.
//!
//! [`super::shape`] describes; what the generator makes of that is tidied here. Main function: [`schema`].

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::shape::PlanShape;

/// Returns the JSON Schema of a plan, draft 2020-12.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<PlanShape>();
    schema.insert("title".to_owned(), "A synflow plan".into());
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Takes back the `null` that the generator allows for every optional key, for a key without a value is an error;
/// the sizes of Rust's numbers; and the line breaks that our own source has in its sentences.
fn tidy(schema: &mut Value) {
    let object = match schema {
        Value::Object(object) => object,
        Value::Array(items) => return items.iter_mut().for_each(tidy),
        _ => return,
    };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(forbid_null);
    }
    if object.get("type") == Some(&Value::from("integer")) {
        object.shift_remove("format");
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        let paragraphs: Vec<String> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
    for (key, inner) in object.iter_mut() {
        match (key.as_str(), inner) {
            // The keys of these are names.
            ("properties" | "$defs", Value::Object(named)) => named.values_mut().for_each(tidy),
            // What stands in these is a plan's, not a schema's.
            ("examples" | "default" | "const" | "enum", _) => {}
            (_, inner) => tidy(inner),
        }
    }
}

fn forbid_null(property: &mut Value) {
    let Value::Object(property) = property else { return };
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".to_owned(), only);
        }
    }
    let null = serde_json::json!({ "type": "null" });
    if let Some([Value::Object(only), last]) =
        property.get("anyOf").and_then(Value::as_array).map(Vec::as_slice)
        && *last == null
    {
        let only = only.clone();
        property.remove("anyOf");
        property.extend(only);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::schema;

    /// Calls back for each schema of the tree with its path.
    fn walk(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
        visit(path, value);
        for (n, inner) in value.as_array().into_iter().flatten().enumerate() {
            walk(inner, &format!("{path}/{n}"), visit);
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            match key.as_str() {
                "properties" | "$defs" => {
                    for (name, inner) in inner.as_object().into_iter().flatten() {
                        walk(inner, &format!("{path}/{name}"), visit);
                    }
                }
                "examples" | "default" | "const" => {}
                _ => walk(inner, &path, visit),
            }
        }
    }

    #[test]
    fn every_key_is_described_and_shown() {
        let schema = schema();
        let mut wrong = Vec::new();
        walk(&schema, "", &mut |path, value| {
            for (key, property) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if !property["description"].as_str().is_some_and(|text| text.ends_with('.')) {
                    wrong.push(format!("{path}/{key} has no description that is a sentence"));
                }
                let target = property["$ref"].as_str().and_then(|name| schema.pointer(&name[1..]));
                let shows = |value: &Value| value.get("examples").is_some();
                if !shows(property) && !target.is_some_and(shows) {
                    wrong.push(format!("{path}/{key} has no example"));
                }
            }
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_word_is_described() {
        walk(&schema(), "", &mut |path, value| {
            // Editors show what stands beside a `const`; a bare list of words teaches nothing.
            assert!(value.get("enum").is_none(), "{path} lists words without their meaning");
            if value["const"].is_string() {
                assert!(value["description"].is_string(), "{path}: {value}");
            }
        });
    }

    #[test]
    fn sentences_are_not_broken() {
        walk(&schema(), "", &mut |path, value| {
            if let Some(text) = value.get("description").and_then(Value::as_str) {
                assert!(!text.replace("\n\n", "").contains('\n'), "{path}: {text}");
            }
        });
    }
}
