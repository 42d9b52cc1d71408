//! The corpus of plans: each bad one beside the exact text it is answered with, each good one read
//! by a second YAML reader and by the JSON Schema too.
//!
//! `UPDATE_EXPECT=1 cargo test --test it plans` writes the expected texts anew; read them before
//! you commit them. Lines at the top of a plan stand for the command line: `# input: day=2024-05-01`, `# inputs: FILE`
//! and `# env: prod`; `# validate` for inputs that need not be given. Files lie below the plan's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::Value;
use synflow::graph::PlanGraph;
use synflow::plan::{Given, GivenFile, Loaded, load, render, schema, wanted_files};
use synflow::time::Timestamp;

/// Bad plans whose mistake lies in the text or in the shape, so that the schema must refuse them too.
/// `tests/schema/check.py` reads this list for the other implementation.
const STRUCTURAL: &[&str] = &[
    "alias-in-step",
    "auth-word",
    "backoff-word",
    "bom-mistake",
    "bool-words",
    "condition-list-empty",
    "condition-word",
    "crlf-mistake",
    "deadline-am",
    "deadline-bare-number",
    "deadline-day",
    "deadline-days",
    "deadline-hour",
    "deadline-list",
    "deadline-midnight",
    "deadline-one-digit",
    "deadline-word",
    "deadline-zone-first",
    "deadline-zone-offset",
    "depends-on-map",
    "duration-bare-number",
    "duration-unit",
    "edge-not-a-step",
    "env-key-unknown",
    "env-max-parallel",
    "env-workspace-short",
    "environments-list",
    "foreign-airflow",
    "foreign-argo",
    "foreign-azure-pipelines",
    "foreign-data-factory",
    "foreign-github-actions",
    "foreign-github-job",
    "foreign-input",
    "foreign-retry",
    "foreign-workspace",
    "hook-deadline-missing",
    "hook-empty",
    "hook-foreign",
    "hook-header",
    "hook-headers-list",
    "hook-item-text",
    "hook-key",
    "hook-map",
    "hook-text",
    "hook-without-url",
    "if-running-word",
    "input-file-and-default",
    "input-one-of-empty",
    "input-type-word",
    "key-foreign",
    "key-later",
    "key-unknown",
    "keys-out-of-place",
    "max-parallel-zero",
    "merge-of-other-keys",
    "merge-wrong-once",
    "name-missing",
    "number-spellings",
    "on-timeout-word",
    "output-in-synapse-words",
    "output-in-text",
    "output-name",
    "output-number",
    "output-without-braces",
    "outputs-empty",
    "outputs-list",
    "outputs-many",
    "outputs-mistyped",
    "parameters-list",
    "retry-mode-word",
    "retry-number",
    "retry-on",
    "run-key-type",
    "step-id",
    "steps-empty",
    "steps-list",
    "steps-list-named",
    "steps-text",
    "tenant-name",
    "test-expect-word",
    "test-expect-flow-word",
    "test-expect-empty",
    "test-expects-nothing",
    "test-key",
    "test-list",
    "test-makespan-bare",
    "test-makespan-number",
    "test-order-one",
    "test-at-word",
    "tests-empty",
    "top-text",
    "type-wrong",
    "value-missing-more",
    "version-missing",
    "version-text",
    "version-wrong",
    "when-type",
    "workspace-address",
    "workspace-both",
    "workspace-map",
    "workspace-missing",
];

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(folder);
    let mut plans: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    plans.sort();
    plans
}

/// What the shell would hand over: a fixed day, one variable, and what the plan in this folder asks for.
pub(crate) fn given(folder: &str, text: &[u8]) -> Given {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(folder);
    let read = |name: &str| match fs::metadata(folder.join(name)) {
        Ok(found) if found.is_file() => fs::read(folder.join(name)).map_err(|error| error.to_string()),
        _ => Err(format!("there is no `{name}`")),
    };
    let files = wanted_files(text).into_iter().map(|name| (name.clone(), read(&name))).collect();
    let text = String::from_utf8_lossy(text);
    let comments = || text.lines().take_while(|line| line.starts_with('#'));
    let comment = |key: &str| {
        comments().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "))
    };
    let inputs = comments()
        .filter_map(|line| line.strip_prefix("# input: ")?.split_once('='))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    Given {
        environment: comment("env").unwrap_or_default().to_owned(),
        inputs,
        inputs_file: comment("inputs")
            .map(|name| GivenFile { name: name.to_owned(), bytes: read(name).unwrap_or_default() }),
        files,
        env: BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]),
        now: "2024-05-02T10:00:00Z".parse::<Timestamp>().unwrap(),
        inputs_required: !comments().any(|line| line == "# validate"),
        ..Given::default()
    }
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn bad_plans_are_answered_to_the_letter() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let plans = corpus("bad");
    assert!(plans.len() >= 150, "only {} bad plans", plans.len());
    for path in plans {
        let text = fs::read(&path).unwrap();
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let linked = load(&text, &given("bad", &text)).and_then(|loaded| PlanGraph::link(&loaded.plan));
        let shown = match linked {
            Ok(_) => panic!("{file_name} was accepted"),
            Err(findings) => {
                for finding in &findings {
                    let helps = !finding.help.is_empty() || finding.label.starts_with("did you mean");
                    assert!(helps, "{file_name} names no next action: {finding:?}");
                }
                render(&findings, file_name, &text, false)
            }
        };
        assert!(!shown.contains("hunter2"), "{file_name} repeats what may be a secret: {shown}");
        let expected = path.with_extension("txt");
        if update {
            fs::write(&expected, &shown).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("--- {file_name}\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 accepts these texts", wrong.join("\n"));
}

#[test]
fn good_plans_are_accepted() {
    for path in corpus("good") {
        let text = fs::read(&path).unwrap();
        let loaded = load(&text, &given("good", &text)).unwrap_or_else(|findings| {
            panic!("{}", render(&findings, &path.display().to_string(), &text, false))
        });
        assert!(PlanGraph::link(&loaded.plan).is_ok(), "{}", path.display());
        assert!(!loaded.plan.steps.is_empty());
        assert!(!loaded.plan.workspaces.is_empty());
    }
}

#[test]
fn the_schema_in_the_repository_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/plan.schema.json");
    let fresh = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "stale: run `cargo run -- schema > schemas/plan.schema.json`");
}

#[test]
fn the_schema_accepts_every_good_plan_and_refuses_wrong_shapes() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for path in corpus("good") {
        let value = second_reading(&fs::read(&path).unwrap());
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", name(&path));
    }
    let bad = corpus("bad");
    for wanted in STRUCTURAL {
        let path = bad.iter().find(|path| name(path) == *wanted).unwrap_or_else(|| panic!("no {wanted}"));
        assert!(!validator.is_valid(&second_reading(&fs::read(path).unwrap())), "{wanted} passes the schema");
    }
}

#[test]
fn a_second_reader_of_yaml_sees_the_same() {
    for path in corpus("good") {
        let text = fs::read(&path).unwrap();
        let Loaded { plan, .. } = load(&text, &given("good", &text)).unwrap();
        let value = second_reading(&text);
        assert_eq!(value["name"], Value::String(plan.name.clone()), "{}", name(&path));
        let steps = value["steps"].as_object().unwrap();
        let mut ids: Vec<&str> = plan.runs().map(|(_, step)| own_id(step)).collect();
        ids.dedup();
        // A step may have no iterations at all.
        let has_runs = |id: &&str| ids.contains(id);
        let wanted: Vec<&str> = steps.keys().map(String::as_str).filter(has_runs).collect();
        assert_eq!(wanted, ids, "{}", name(&path));
        for (_, step) in plan.runs() {
            let Some(parameters) = steps[own_id(step)].get("parameters").and_then(Value::as_object) else {
                continue;
            };
            assert_eq!(parameters.len(), step.parameters.len());
            for ((name, template), (key, value)) in step.parameters.iter().zip(parameters) {
                assert_eq!(name, key);
                if !value.to_string().contains("{{") {
                    assert_eq!(
                        template.render(&synflow::plan::Scope::default()).as_ref(),
                        Ok(value),
                        "{name}"
                    );
                }
            }
        }
    }
}

/// Returns the id of a step without the brackets of an iteration.
fn own_id(step: &synflow::plan::Step) -> &str {
    let id = step.id.as_str();
    id.split_once('[').map_or(id, |(own, _)| own)
}

/// Reads a plan with the other YAML library, merge keys applied.
fn second_reading(text: &[u8]) -> Value {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut value: serde_yaml::Value = serde_yaml::from_slice(text).unwrap();
    value.apply_merge().unwrap();
    serde_json::to_value(value).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answered(&bytes);
    }

    #[test]
    fn any_yaml_letters_are_answered(text in "[-a-c:{}\\[\\]\"'&*!|>%@# \n\t?,0-9~<.é数\u{85}\u{2028}]{0,120}") {
        answered(text.as_bytes());
    }

    #[test]
    fn any_template_is_answered(inner in "[-a-c#/{}()|=@.\"'\\[\\]!&^>* \n0-9~]{0,60}", block in "(each|if|with|json|default|env|secret|inputs|this|else| )*") {
        for text in [format!("{{{{{inner}}}}}"), format!("{{{{#{block} {inner}}}}}x{{{{/if}}}}"), format!("{{{{{block}{inner}"), inner] {
            let plan = serde_json::json!({
                "version": 1, "name": "x", "workspace": "w", "inputs": { "a": { "type": "array", "default": [1] } },
                "steps": { "b": { "parameters": { "p": text } } },
            });
            answered(plan.to_string().as_bytes());
        }
    }

    #[test]
    fn any_condition_is_answered(
        words in prop::collection::vec(prop::sample::select(vec![
            "and", "or", "not", "in", "is", "true", "inputs.a", "inputs.d", "steps.b.outcome", "steps[\"b\"]", "date_add(", "(", ")", "[",
            "]", ",", ".", "==", "=", "!", "<", "-", "3", "1e3", "\"x\"", "'y'", "contains", "equals(", "env(", "{{", "}}", "é", "\n", "\\",
        ]), 0..16),
        text in "[-a-c0-9.\"'()\\[\\]{},=<>!&|@? \n\u{e9}]{0,40}",
    ) {
        for text in [words.join(" "), words.concat(), text] {
            let plan = serde_json::json!({
                "version": 1, "name": "x", "workspace": "w",
                "inputs": { "a": { "type": "array", "default": [1] }, "d": { "type": "date", "default": "today" } },
                "steps": { "b": {}, "c": { "depends_on": ["b"], "when": text } },
            });
            answered(plan.to_string().as_bytes());
            answered(format!("version: 1\nname: x\nworkspace: w\nsteps:\n  b:\n    when: {text}\n  c: {{ when: {text} }}\n").as_bytes());
        }
    }

    #[test]
    fn any_mutation_of_a_good_plan_is_answered(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, "[-a-z:{}\\[\\]\"'&*!|>#@ \n\t,0-9]{0,8}"), 1..4),
    ) {
        let plans = corpus("good");
        let mut text = fs::read(which.get(&plans)).unwrap();
        for (at, length, with) in cuts {
            let at = at.index(text.len() + 1);
            text.splice(at..text.len().min(at + length), with.bytes());
        }
        answered(&text);
    }
}

/// Loads and shows whatever comes out; the test is that it comes out.
fn answered(text: &[u8]) {
    let findings = match load(text, &given("good", text)) {
        Ok(loaded) => loaded.notes,
        Err(findings) => {
            assert!(findings.iter().any(synflow::plan::Diagnostic::is_error));
            findings
        }
    };
    render(&findings, "plan.yaml", text, true);
}
