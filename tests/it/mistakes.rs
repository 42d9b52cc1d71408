//! The commonest mistakes on the command line: each is answered with what is wrong and what to type instead.

use crate::space::TestSpace;

/// Runs a command in the space, where `SPACE` stands for its folder; returns what it said, the exit code first.
fn told(space: &TestSpace, words: &str) -> String {
    let folder = space.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    let said = space.run(&words.replace("SPACE", folder));
    assert_eq!(said.stdout, "", "{words}");
    format!("{}\n{}", said.code, said.stderr.replace(folder, "SPACE"))
}

#[test]
fn a_plan_that_is_not_there() {
    let space = TestSpace::new();
    space.write("plans/nightly.yaml", "version: 1\n");
    insta::assert_snapshot!(told(&space, "apply SPACE/plans/nightly.yml"), @r"
    3
    error: there is no plan `SPACE/plans/nightly.yml`
    hint: did you mean `SPACE/plans/nightly.yaml`?
    ");
    insta::assert_snapshot!(told(&space, "plan SPACE/plans/weekly.yaml"), @r"
    3
    error: there is no plan `SPACE/plans/weekly.yaml`
    hint: check the path; it counts from the folder that you are in
    ");
    insta::assert_snapshot!(told(&space, "apply SPACE/plans"), @r"
    3
    error: `SPACE/plans` is a folder, not a plan
    hint: name the plan's file in it
    ");
}

#[test]
fn a_flow_that_is_not_there() {
    let space = TestSpace::new();
    for verb in ["status", "resume", "cancel"] {
        let said = told(&space, verb);
        let want = "2\nerror: there is no journal in `SPACE/state` yet\nhint: `synflow apply PLAN` begins one; \
                    `--state-dir` names another folder\n";
        assert_eq!(said, want, "{verb}");
    }
    assert_eq!(space.run("apply examples/hello.yaml --emulate").code, 0);
    insta::assert_snapshot!(told(&space, "status ffffff"), @r"
    2
    error: there is no flow `ffffff` in the journal
    hint: `synflow flows` lists those that there are
    ");
    insta::assert_snapshot!(told(&space, "cancel"), @r"
    2
    error: no flow is unfinished
    hint: `synflow flows` lists them all
    ");
    let resumed = told(&space, "resume");
    assert!(resumed.contains(" cannot be resumed\n  because its runs ended with the workspace"), "{resumed}");
    assert!(
        resumed.ends_with("hint: `synflow apply examples/hello.yaml --emulate` begins another\n"),
        "{resumed}"
    );
}

#[test]
fn a_plan_that_cannot_be_read_right() {
    let space = TestSpace::new();
    space.write("tabs.yaml", "version: 1\nname: x\nworkspace: w\nsteps:\n\ta:\n\t\tpipeline: p\n");
    space.write("homeless.yaml", "version: 1\nname: x\nsteps:\n  a: { pipeline: p }\n");
    let secret =
        "version: 1\nname: x\nworkspace: w\nsteps:\n  a: { parameters: { k: '{{secret \"env:NOPE\"}}' } }\n";
    space.write("secret.yaml", secret);
    space.write("town.yaml", &secret.replace("secret \"env:NOPE\"", "env \"TOWN\""));
    insta::assert_snapshot!(told(&space, "apply SPACE/tabs.yaml"), @r"
    3
    error[E0105]: a tab stands in the indentation
     --> SPACE/tabs.yaml:5:1
      |
    5 |     a:
      | ^^^^
      |
      = help: YAML is indented with spaces: replace each tab, for example by two spaces

    error: cannot load plan `SPACE/tabs.yaml`: 1 problem
    help: `synflow explain E0105` tells more
    ");
    insta::assert_snapshot!(told(&space, "apply SPACE/homeless.yaml"), @r"
    3
    error[E0204]: the plan names no workspace
     --> SPACE/homeless.yaml:1:1
      |
    1 | version: 1
      | ^^^^^^^
      |
      = help: add `workspace:` and the name of your Synapse workspace

    error: cannot load plan `SPACE/homeless.yaml`: 1 problem
    help: `synflow explain E0204` tells more
    ");
    insta::assert_snapshot!(told(&space, "apply SPACE/secret.yaml --emulate"), @r"
    4
    error: a secret of the plan cannot be read; nothing was started
      because the secret `env:NOPE` cannot be read: the variable is not set
    hint: set the variable for this process: `export NAME=...`, or the secrets of your CI
    ");
    let town = told(&space, "apply SPACE/town.yaml --emulate");
    assert!(town.contains("the environment variable `TOWN` is not set"), "{town}");
}

#[test]
fn a_sign_in_without_anything_to_sign_in_with() {
    let space = TestSpace::new();
    insta::assert_snapshot!(told(&space, "apply examples/hello.yaml"), @r"
    10
    error: cannot sign in
      because environment: AZURE_CLIENT_ID is not set
      because workload_identity: AZURE_FEDERATED_TOKEN_FILE is not set
      because github: ACTIONS_ID_TOKEN_REQUEST_URL is not set (in GitHub Actions the job needs `permissions: id-token: write`)
      because azure_pipelines: SYSTEM_OIDCREQUESTURI is not set
      because managed_identity: this machine has no managed identity
      because azure_cli: the Azure command line (`az`) is not installed
    hint: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run `az login`; --auth NAME picks one way
    hint: `synflow doctor PLAN` checks sign-in, network and permissions one by one
    hint: to try the plan without Azure, add `--emulate`
    ");
}
