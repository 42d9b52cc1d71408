//! Bad plans through the real binary: exit 3, a message with its place, nothing started.

use std::process::Command;

use crate::space::{Said, TestSpace, root};

/// Prepares to run a plan of the corpus. Its first lines may say `# input: NAME=VALUE`, `# inputs: FILE` and `# env: NAME`,
/// or `# validate` where the problem would be another one if inputs were required.
fn apply(space: &TestSpace, path: &str) -> Command {
    let text = std::fs::read(root().join(path)).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let comments: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let mut words = Vec::new();
    for line in &comments {
        if let Some(input) = line.strip_prefix("# input: ") {
            words.extend(["--input".to_owned(), input.to_owned()]);
        } else if let Some(name) = line.strip_prefix("# inputs: ") {
            words.extend(["--inputs".to_owned(), format!("tests/plans/bad/{name}")]);
        } else if let Some(name) = line.strip_prefix("# env: ") {
            words.extend(["--env".to_owned(), name.to_owned()]);
        }
    }
    let verb: &[&str] =
        if comments.contains(&"# validate") { &["validate"] } else { &["apply", "--emulate"] };
    let mut command =
        space.command(verb.iter().copied().chain([path]).chain(words.iter().map(String::as_str)));
    command.env("REGION", "emea");
    command
}

/// Returns the files of the corpus of bad plans.
fn bad_plans() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("tests/plans/bad")).unwrap();
    let mut names: Vec<String> = folder
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_bad_plan_ends_3_and_starts_nothing() {
    let plans = bad_plans();
    assert!(plans.len() >= 25, "only {} bad plans", plans.len());
    let space = TestSpace::new();
    for name in &plans {
        let path = format!("tests/plans/bad/{name}");
        let said = Said::from(apply(&space, &path).output().unwrap());
        assert_eq!(said.code, 3, "{name}\n{}", said.stderr);
        let expected = std::fs::read_to_string(root().join(&path).with_extension("txt")).unwrap();
        assert!(expected.contains("help:"), "{name} does not say what to do next");
        assert!(said.stdout.is_empty(), "{name}\n{}", said.stdout);
    }
    let flows = space.run("flows --output json").stdout;
    assert!(flows.contains("\"flows\": []"), "{flows}");
}

#[test]
fn validate_checks_every_plan_before_it_fails() {
    let space = TestSpace::new();
    let bad = format!("tests/plans/bad/{}", bad_plans()[0]);
    let said = space.run(&format!("validate {bad} examples/hello.yaml"));
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stdout.contains("examples/hello.yaml: ok, 1 step"), "{}", said.stdout);
}

#[test]
fn a_plan_that_is_not_there_ends_3_with_its_name() {
    let said = TestSpace::new().run("validate no-such-plan.yaml");
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("no-such-plan.yaml"), "{}", said.stderr);
    assert!(said.stderr.contains("hint:"), "{}", said.stderr);
}

#[test]
fn a_command_line_without_sense_ends_2() {
    for words in
        ["fly", "apply", "apply examples/hello.yaml --max-parallel 0", "apply examples/hello.yaml --input x"]
    {
        let said = TestSpace::new().run(words);
        assert_eq!(said.code, 2, "{words}\n{}", said.stderr);
    }
}

#[test]
fn completions_and_schema_go_to_stdout() {
    let space = TestSpace::new();
    assert!(space.run("completions bash").stdout.contains("_synflow"));
    let schema = space.run("schema").stdout;
    assert_eq!(schema, std::fs::read_to_string(root().join("schemas/plan.schema.json")).unwrap());
}
