//! What the README says is true: its commands run, its plan is a plan, its tables are the code's.

use std::collections::BTreeSet;

use synflow::cli::failure::Exit;

use crate::space::{TestSpace, root};

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// Returns the fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Returns every complete `synflow` command of the text: in `sh` blocks and in inline code without placeholders.
fn commands(text: &str) -> BTreeSet<String> {
    let fenced = blocks(text, "sh");
    let fenced = fenced.iter().flat_map(|block| block.lines());
    let inline = text.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n'));
    let placeholder = |word: &str| {
        word.chars().all(|letter| letter.is_ascii_uppercase())
            || word.starts_with('[')
            || word.contains("...")
    };
    fenced
        .chain(inline)
        .filter_map(|line| line.strip_prefix("cargo run -- ").or_else(|| line.strip_prefix("synflow ")))
        .filter(|command| !command.split(' ').any(placeholder))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_runs() {
    let commands = commands(&readme());
    assert!(commands.iter().any(|command| command.starts_with("apply examples/nightly/")), "{commands:?}");
    assert!(commands.len() >= 4, "{commands:?}");
    for command in &commands {
        // Named, not shown as commands to type: one serves for ever, the others need a plan or a flow.
        if ["emulate", "apply", "rehearse", "resolve"].contains(&command.as_str()) {
            continue;
        }
        let said = TestSpace::new().run(command);
        let fails_on_purpose = command.contains("fails.yaml");
        // A new journal has no flow for these.
        let needs_flow = ["status", "resume", "cancel", "unlock"].contains(&command.as_str());
        let want = if fails_on_purpose { 1 } else { i32::from(needs_flow) * 2 };
        assert_eq!(said.code, want, "synflow {command}\n{}", said.stderr);
    }
}

#[test]
fn the_second_command_is_the_one_ci_calls() {
    let text = readme();
    let sh = blocks(&text, "sh");
    let tests =
        sh.iter().flat_map(|block| block.lines()).find(|line| line.starts_with("cargo test")).unwrap();
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == tests), ".ci/run does not call `{tests}`");
}

#[test]
fn its_plan_is_a_plan() {
    let space = TestSpace::new();
    let plans = blocks(&readme(), "yaml");
    assert!(!plans.is_empty());
    for plan in plans {
        assert!(plan.lines().count() <= 20, "the plan in 20 lines has {}", plan.lines().count());
        let path = space.write("plan.yaml", &plan);
        let said = space.run(&format!("validate {}", path.display()));
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
}

#[test]
fn its_exit_codes_are_the_codes() {
    let text = readme();
    let section = text.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let want: Vec<String> = Exit::ALL
        .iter()
        .map(|(exit, code, meaning)| {
            assert_eq!(exit.code(), *code);
            format!("| {code} | {meaning} |")
        })
        .collect();
    assert_eq!(rows, want);
}

/// Runs every example that no command of the README runs, and validates them all.
#[test]
fn every_example_validates_and_runs() {
    let shown = commands(&readme());
    let mut plans = Vec::new();
    for folder in ["examples", "examples/nightly"] {
        for file in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            let is_plan = std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\nversion: "));
            if is_plan {
                plans.push(format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap()));
            }
        }
    }
    assert!(plans.len() >= 3, "{plans:?}");
    for plan in plans {
        let space = TestSpace::new();
        let said = space.run(&format!("validate {plan}"));
        assert_eq!(said.code, 0, "{plan}\n{}", said.stderr);
        if !shown.iter().any(|command| command.contains(&plan)) {
            let said = space.run(&format!("apply {plan} --emulate"));
            assert_eq!(said.code, 0, "{plan}\n{}", said.stderr);
        }
    }
}
