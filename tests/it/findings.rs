//! What `validate` found as data: JSON, YAML, SARIF held against its schema, annotations for GitHub Actions.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::space::{Said, TestSpace, root};

/// Runs `synflow validate` on plans with a form of output.
fn validate(output: &str, plans: &[&str]) -> Said {
    let words = ["validate", "--output", output].into_iter().chain(plans.iter().copied());
    Said::from(TestSpace::new().command(words).output().unwrap())
}

/// Returns every plan of the corpus.
fn corpus() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["tests/plans/bad", "tests/plans/good"] {
        for file in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn schema_of_sarif() -> jsonschema::Validator {
    let text = std::fs::read_to_string(root().join("tests/sarif/sarif-schema-2.1.0.json")).unwrap();
    // One pattern of the published file has a bracket too many, which only forgiving readers take.
    let text = text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn json_says_what_the_terminal_says() {
    let bad = "tests/plans/bad/timeout-detached-retry.yaml";
    let said = validate("json", &[bad, "examples/hello.yaml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(said.stderr, format!("error: cannot load plan `{bad}`: 2 problems\n"));
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    let [first, second] = answer["plans"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&first["file"], &first["ok"], &first["steps"]), (&bad.into(), &false.into(), &Value::Null));
    let diagnostic = &first["diagnostics"][0];
    assert_eq!(
        (&diagnostic["code"], &diagnostic["line"], &diagnostic["column"]),
        (&"E0214".into(), &11.into(), &5.into())
    );
    assert_eq!((&diagnostic["end_line"], &diagnostic["end_column"]), (&11.into(), &15.into()));
    assert_eq!(diagnostic["related"][0]["line"], 7);
    assert!(diagnostic["help"][0].as_str().unwrap().contains("on_timeout: cancel"));
    assert_eq!((&second["ok"], &second["steps"]), (&true.into(), &1.into()));
}

#[test]
fn yaml_is_the_same_as_json() {
    let plans = ["tests/plans/bad/key-foreign.yaml"];
    let json: Value = serde_json::from_str(&validate("json", &plans).stdout).unwrap();
    let yaml: Value = serde_yaml::from_str(&validate("yaml", &plans).stdout).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn sarif_keeps_to_its_schema_whatever_was_found() {
    let schema = schema_of_sarif();
    assert!(!schema.is_valid(&serde_json::json!({ "version": "2.1.0" })), "the schema refuses nothing");
    let mut plans = corpus();
    plans.push("no/such plan.yaml".to_owned());
    let plans: Vec<&str> = plans.iter().map(String::as_str).collect();
    let said = validate("sarif", &plans);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let log: Value = serde_json::from_str(&said.stdout).unwrap();
    let errors: Vec<String> =
        schema.iter_errors(&log).map(|error| format!("{error} {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");

    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > plans.len(), "{}", results.len());
    let mut levels = BTreeSet::new();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# "), "{rule}");
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().starts_with("tests/plans/"), "{place}");
        if let Some(region) = place.get("region") {
            assert!(region["endColumn"].as_u64() > region["startColumn"].as_u64(), "{result}");
        }
        levels.insert(result["level"].as_str().unwrap());
    }
    assert_eq!(levels, BTreeSet::from(["error", "note", "warning"]));
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let unread = &run["invocations"][0]["toolExecutionNotifications"][0];
    let uri = &unread["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(
        (uri, &run["invocations"][0]["executionSuccessful"]),
        (&"no/such%20plan.yaml".into(), &false.into())
    );
}

#[test]
fn sarif_of_good_plans_has_no_result() {
    let said = validate("sarif", &["examples/hello.yaml"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let log: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(schema_of_sarif().is_valid(&log));
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn github_gets_one_command_for_each_finding() {
    let said = validate("github", &["tests/plans/bad/several.yaml", "no-such.yaml", "examples/hello.yaml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let lines: Vec<&str> = said.stdout.lines().collect();
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("::error file="), count("::notice file="), lines.len()), (6, 1, 7), "{}", said.stdout);
    let mistyped = "::error file=tests/plans/bad/several.yaml,line=4,endLine=4,col=1,endColumn=12,\
                    title=E0201%3A the key is not known here::a plan has no key `max_paralel`: did you mean `max_parallel`?";
    assert!(lines.contains(&mistyped), "{}", said.stdout);
    assert!(said.stderr.contains("cannot read the plan `no-such.yaml`"), "{}", said.stderr);
}

#[test]
fn several_plans_in_text_end_with_one_way_to_more() {
    let said = validate("text", &["tests/plans/bad/tab.yaml", "tests/plans/bad/cycle.yaml", "no-such.yaml"]);
    assert_eq!((said.code, said.stdout.as_str()), (3, ""));
    assert_eq!(said.stderr.matches("synflow explain").count(), 1, "{}", said.stderr);
    assert!(said.stderr.ends_with("help: `synflow explain E0105 E0304` tells more\n"), "{}", said.stderr);
}
