//! `synflow diff` through the real binary: plans, flows and revisions, by meaning.

use std::process::Command;

use crate::space::TestSpace;

const BEFORE: &str = r#"
version: 1
name: sales
workspace: contoso-dw
inputs: { day: { type: date, default: 2024-05-01 } }
steps:
  load: { parameters: { day: "{{inputs.day}}", n: 1 } }
  old: {}
  curate:
    depends_on: [load, { old: [failed, succeeded] }]
    parameters: { rows: '{{default steps.load.run_id "none"}}', key: '{{secret "env:SALES_KEY"}}' }
"#;

const AFTER: &str = r#"
# Only this comment, the layout and the order of keys are other.
version: 1
inputs: { day: { default: 2024-05-02, type: date } }
name: sales
workspace: contoso-dw
max_parallel: 4
steps:
  load:
    parameters: { n: 2, day: "{{inputs.day}}" }
    retry: { max_attempts: 3 }
  curate:
    depends_on: [load]
    when: inputs.day > "2024-01-01"
    parameters: { rows: '{{default steps.load.run_id "none"}}', key: '{{secret "env:OTHER_KEY"}}' }
  publish: { pipeline: pl_publish, depends_on: [curate] }
"#;

#[test]
fn two_plans_differ_by_what_they_mean() {
    let space = TestSpace::new();
    let (before, after) = (space.write("before.yaml", BEFORE), space.write("after.yaml", AFTER));
    let said = space.run(&format!("diff {} {}", before.display(), after.display()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(said.stdout.split_once('\n').unwrap().1, @r#"
    inputs.day: 2024-05-01 becomes 2024-05-02
    max_parallel: 20 becomes 4
    ~ load
        parameters.n: 1 becomes 2
        parameters.day: 2024-05-01 becomes 2024-05-02
        retry.max_attempts: 3 is new
    ~ curate
        parameters.key: '{{secret "env:SALES_KEY"}}' becomes '{{secret "env:OTHER_KEY"}}'
        depends_on: ["load","old [succeeded, failed]"] becomes ["load"]
        when: 'inputs.day > "2024-01-01"' is new
    + publish: pipeline `pl_publish`, after curate
    - old
    "#);
    let said = space.run(&format!("diff {} {} --output json", before.display(), after.display()));
    let value: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let keys = value["steps"][0]["changes"].as_array().unwrap().iter().map(|change| &change["key"]);
    assert_eq!(keys.collect::<Vec<_>>(), ["parameters.n", "parameters.day", "retry.max_attempts"]);
}

#[test]
fn layout_comments_and_order_are_no_difference() {
    let space = TestSpace::new();
    let before = space.write("before.yaml", BEFORE);
    let other = BEFORE
        .replace("[failed, succeeded]", "[succeeded, failed]")
        .replace("  old: {}", "  old: {}  # as before");
    let other = space.write("other.yaml", &other);
    let said = space.run(&format!("diff {} {}", before.display(), other.display()));
    assert!(said.stdout.ends_with(": no difference\n"), "{}", said.stdout);
    assert_eq!(said.stdout.lines().count(), 1);
}

#[test]
fn a_plan_is_compared_with_its_revision() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", BEFORE);
    let git = |words: &[&str]| {
        let done = Command::new("git")
            .current_dir(plan.parent().unwrap())
            .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "plan.yaml"]);
    git(&["commit", "--quiet", "-m", "first"]);
    space.write("plan.yaml", &BEFORE.replace("day}}\", n: 1", "day}}\", n: 2"));
    let said = space.run(&format!("diff {} --git HEAD", plan.display()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert!(
        said.stdout.ends_with("1 step changed\n~ load\n    parameters.n: 1 becomes 2\n"),
        "{}",
        said.stdout
    );
    let said = space.run(&format!("diff {} --git nowhere", plan.display()));
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("at the revision `nowhere`"), "{}", said.stderr);
}

#[test]
fn flows_differ_by_how_their_steps_ended() {
    let space = TestSpace::new();
    let plan = space.write(
        "plan.yaml",
        "version: 1\nname: x\nworkspace: w-dw\nsteps: { a: { parameters: { n: 1 } }, b: {} }\n",
    );
    let good = space.write("good.yaml", "defaults: { duration: 1s }\n");
    let bad = space.write("bad.yaml", "defaults: { duration: 1s }\npipelines: { b: { outcome: failed } }\n");
    let said = space.run(&format!("diff {}", plan.display()));
    assert_eq!(said.code, 2, "{}", said.stdout);
    assert_eq!(space.run(&format!("apply {} --emulate --script {}", plan.display(), good.display())).code, 0);
    assert_eq!(
        space
            .run(&format!("apply {} --emulate --script {} --max-parallel 1", plan.display(), bad.display()))
            .code,
        1
    );
    let said = space.run("diff @latest~1 @latest");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let text = said.stdout;
    assert!(
        text.contains("1 change of the plan as a whole\nmax_parallel: 20 becomes 1\n\nhow they ended:\n"),
        "{text}"
    );
    assert!(text.contains("~ b\n    outcome: succeeded becomes failed\n"), "{text}");
}

#[test]
fn what_is_neither_a_file_nor_a_flow_is_a_usage_error() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", BEFORE);
    for (words, code, told) in [
        ("diff nothing.yaml", 3, "error: there is no plan `nothing.yaml`"),
        ("diff @latest", 2, "error: `@latest` is no file, and there are no flows yet"),
        ("diff PLAN abc", 2, "error: `abc` is no file, and there are no flows yet"),
        ("diff PLAN", 2, "error: there is no flow of `sales` to compare with"),
    ] {
        let said = space.run(&words.replace("PLAN", plan.to_str().unwrap()));
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{words}: {}", said.stderr);
        assert!(said.stderr.starts_with(told), "{words}: {}", said.stderr);
    }
}

#[test]
fn whose_workspace_it_is_and_what_the_plan_is_called_are_differences() {
    let space = TestSpace::new();
    let plan = |name: &str, more: &str| {
        let text = format!(
            "version: 1\nname: {name}\nworkspaces: {{ main: {{ name: contoso-dw{more} }} }}\nsteps: {{ a: }}\n"
        );
        space.write(&format!("{name}.yaml"), &text)
    };
    let (before, after) = (plan("sales", ""), plan("stock", ", tenant: contoso.com, auth: azure_cli"));
    let said = space.run(&format!("diff {} {}", before.display(), after.display()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(said.stdout.split_once('\n').unwrap().1, @"
    name: sales becomes stock
    workspaces.main.tenant: contoso.com is new
    workspaces.main.auth: azure_cli is new
    ");
}
