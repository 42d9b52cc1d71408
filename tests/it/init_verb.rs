//! `synflow init`: a first plan from a git folder or from a workspace, for all real pipelines, and what cannot be read.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::space::{Emulator, Said, TestSpace, root};

/// A value for each required input of a plan, as the command line gives it.
fn inputs_of(text: &str) -> Vec<String> {
    let plan: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let inputs = plan.get("inputs").and_then(|inputs| inputs.as_mapping()).cloned().unwrap_or_default();
    let one = |(name, declared): (&serde_yaml::Value, &serde_yaml::Value)| {
        let value = match declared["type"].as_str().unwrap() {
            "int" => "1",
            "float" => "1.5",
            "bool" => "true",
            "array" => "[a]",
            "object" => "{ a: 1 }",
            _ => "x",
        };
        [String::from("--input"), format!("{}={value}", name.as_str().unwrap())]
    };
    inputs.iter().flat_map(one).collect()
}

/// Takes the marks of comments from the parameters that have a default, but for those whose default is cut.
fn with_defaults(text: &str) -> String {
    let one = |line: &str| {
        let is_cut = line.contains("...  # ");
        match line.trim_start().strip_prefix("# ") {
            Some("parameters:") => "    parameters:\n".to_owned(),
            Some(rest) if line.starts_with("    ") && !is_cut => format!("      {}\n", rest.trim_start()),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(one).collect()
}

/// Returns the folders of real definitions, and that of the example.
fn folders() -> Vec<String> {
    let mut folders: Vec<String> = fs::read_dir(root().join("tests/artifacts"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| format!("tests/artifacts/{}", entry.file_name().display()))
        .collect();
    folders.push("examples/nightly/workspace".to_owned());
    folders.sort();
    folders
}

/// Returns the names of the pipelines of a folder.
fn pipelines(folder: &Path) -> Vec<String> {
    let files = synflow::emulator::list_artifacts(folder).unwrap();
    let name = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        value["name"].as_str().unwrap_or(stem).to_owned()
    };
    let mut names: Vec<String> = files.iter().map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns the pipelines of a plan's steps.
fn started(text: &str) -> Vec<String> {
    let plan: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let steps = plan["steps"].as_mapping().unwrap().values();
    let mut names: Vec<String> = steps.map(|step| step["pipeline"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_plan_from_a_folder_fits_all_real_pipelines() {
    let mut folders = folders();
    folders.push("tests/artifacts".to_owned());
    for folder in &folders {
        let space = TestSpace::new();
        let path = space.path("made.yaml");
        let said = space.run(&format!("init --artifacts {folder} -o {}", path.display()));
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{folder}: {}", said.stderr);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(started(&text), pipelines(&root().join(folder)), "{folder}");
        let validate = |text: &str| {
            let path = space.write("checked.yaml", text);
            let mut command = space.command(["validate", path.to_str().unwrap(), "--artifacts", folder]);
            let said = Said::from(command.args(inputs_of(text)).output().unwrap());
            // Two files that describe one pipeline are told whatever the plan is.
            let remarks: Vec<&str> =
                said.stderr.lines().filter(|line| !line.starts_with("note: `")).collect();
            assert_eq!((said.code, remarks), (0, Vec::new()), "{folder}\n{text}\n{}", said.stderr);
        };
        validate(&text);
        // What its author gives a parameter, a plan may give it too.
        let whole = with_defaults(&text);
        assert!(whole != text || !text.contains(", the default"), "{folder}");
        validate(&whole);
        let said = space.run(&format!("fmt --check {}", path.display()));
        assert_eq!(said.code, 0, "{folder}: {}", said.stdout);
    }
}

#[test]
fn it_overwrites_nothing_and_knows_its_pipelines() {
    let space = TestSpace::new();
    let path = space.write("plan.yaml", "mine\n");
    for from in ["--artifacts tests/artifacts/procfwk", "--from-workspace http://127.0.0.1:1"] {
        let said = space.run(&format!("init {from} -o {}", path.display()));
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("is there already"), "{}", said.stderr);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
    }
    let said = space.run("init 03-Child --artifacts tests/artifacts/procfwk --workspace contoso-dw --name n");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert!(said.stdout.contains("StageId: \"{{inputs.StageId}}\"  # Int"), "{}", said.stdout);
    assert!(said.stdout.contains("\nworkspace: contoso-dw\n"), "{}", said.stdout);
    assert!(!said.stdout.contains("Wait 1"), "{}", said.stdout);
    let all = space.run("init --artifacts tests/artifacts/procfwk").stdout;
    assert!(all.contains("    # parameters:\n    #   WaitTime: 5  # Int, the default\n"), "{all}");
    let said = space.run("init 03-Chlid --artifacts tests/artifacts/procfwk");
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `03-Child`?"), "{}", said.stderr);
    for words in [
        "init",
        "init --artifacts tests/artifacts/procfwk --from-workspace contoso-dw",
        "init --from-workspace contoso-dw --workspace contoso-dw",
        "init --artifacts tests/artifacts/procfwk --workspace contoso_dw",
    ] {
        assert_eq!(space.run(words).code, 2, "{words}");
    }
}

/// Starts an emulator with the definitions of a folder.
fn workspace(space: &TestSpace, folder: &str, more: &str) -> Emulator {
    // Of two files for one pipeline a workspace has one.
    let copy = space.path("workspace/pipeline");
    fs::create_dir_all(&copy).unwrap();
    for file in synflow::emulator::list_artifacts(&root().join(folder)).unwrap() {
        let name = file.file_name().unwrap();
        if name != "recorded.Pipeline_1.json" {
            fs::copy(&file, copy.join(name)).unwrap();
        }
    }
    let script = space.write("script.yaml", &format!("artifacts: [workspace]\n{more}"));
    space.emulate(&format!("--script {}", script.display()))
}

#[test]
fn a_plan_from_a_workspace_fits_the_pipelines_deployed_in_it() {
    for folder in folders() {
        let space = TestSpace::new();
        let emulator = workspace(&space, &folder, "");
        let path = space.path("made.yaml").display().to_string();
        let endpoint = emulator.endpoint();
        let said = space.run_at(&emulator, &format!("init --from-workspace {endpoint} -o {path}"));
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{folder}: {}", said.stderr);
        assert_eq!(said.stderr, format!("wrote `{path}`; next: `synflow plan {path}`\n"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Made from the workspace `127.0.0.1`."), "{text}");
        assert!(text.contains(&format!("main: {{ endpoint: \"{endpoint}\" }}\n")), "{text}");
        assert_eq!(started(&text), pipelines(&root().join(&folder)), "{folder}");
        assert_eq!(space.run(&format!("fmt --check {path}")).code, 0, "{folder}");
        let inputs = inputs_of(&text);
        let told = |verb: &str| {
            let mut command = space.command_at(&emulator, &format!("{verb} {path}"));
            Said::from(command.args(&inputs).output().unwrap())
        };
        let said = told("validate");
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{folder}\n{text}");
        let said = told("plan");
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{folder}\n{text}\n{}", said.stdout);
        // It says the same as a plan from the folder, but for where it is from.
        let in_git =
            space.run(&format!("init --artifacts {} --name made", space.path("workspace").display()));
        let steps = |text: &str| text[text.find("\nsteps:").unwrap()..].to_owned();
        assert_eq!(steps(&in_git.stdout), steps(&text), "{folder}");
    }
}

#[test]
fn some_pipelines_of_a_workspace_can_be_chosen() {
    let space = TestSpace::new();
    let emulator = workspace(&space, "tests/artifacts/procfwk", "definitions_per_page: 1\n");
    let run = |words: &str| {
        let words = format!("init {words} --from-workspace {}", emulator.endpoint());
        space.run_at(&emulator, &words)
    };
    let said = run("03-Child 04-Infant --name some");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(started(&said.stdout), ["03-Child", "04-Infant"]);
    assert!(said.stdout.contains("\nname: some\n"), "{}", said.stdout);
    assert!(said.stdout.contains("ExecutionId: \"{{inputs.ExecutionId}}\"  # String"), "{}", said.stdout);
    let said = run("03-Chld");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("the workspace `127.0.0.1` has no pipeline `03-Chld`"), "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `03-Child`?"), "{}", said.stderr);
}

#[test]
fn the_default_of_a_secure_string_is_not_written_down() {
    let space = TestSpace::new();
    space.write(
        "git/pipeline/pl_load.json",
        r#"{"name": "pl_load", "properties": {"activities": [], "parameters": {"api-key": {"type": "SecureString", "defaultValue": "hunter2"}}}}"#,
    );
    let emulator = workspace(&space, space.path("git").to_str().unwrap(), "");
    let said = space.run_at(&emulator, &format!("init --from-workspace {}", emulator.endpoint()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert!(!said.stdout.contains("hunter2"), "{}", said.stdout);
    let line = "    #   api-key: '{{secret \"env:API_KEY\"}}'  # SecureString, in place of its default\n";
    assert!(said.stdout.contains(line), "{}", said.stdout);
}

#[test]
fn a_workspace_that_cannot_be_read_is_told_with_its_exit_code() {
    let space = TestSpace::new();
    let emulator = workspace(&space, "tests/artifacts/procfwk", "");
    let at = |emulator: &Emulator, workspace: &str, variable: (&str, &str)| {
        let mut command = space.command_at(emulator, &format!("init --from-workspace {workspace}"));
        Said::from(command.env(variable.0, variable.1).output().unwrap())
    };
    let nothing = ("SYNFLOW_TEST", "1");
    let check = |said: &Said, code: i32, words: &[&str]| {
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "no {word:?} in {}", said.stderr);
        }
    };
    let said = at(&emulator, emulator.endpoint(), ("AZURE_CLIENT_SECRET", "wrong"));
    check(&said, 10, &["error: cannot sign in"]);
    let said = at(&emulator, "http://127.0.0.1:1", nothing);
    let from_git =
        "hint: without a connection, `--artifacts DIR` reads the pipelines in the workspace's git folder";
    check(&said, 11, &["error: cannot use workspace `127.0.0.1` (http://127.0.0.1:1)", from_git]);
    let said = at(&emulator, "contoso_dw", nothing);
    check(&said, 2, &["error: `--from-workspace` names no workspace", "hint: write the name alone"]);
    let said = at(&emulator, "http://contoso-dw.dev.azuresynapse.net", nothing);
    check(&said, 2, &["would send tokens unencrypted"]);

    let space = TestSpace::new();
    let closed = workspace(&space, "tests/artifacts/procfwk", "access: { deny: [artifacts/read] }\n");
    let said = at(&closed, closed.endpoint(), nothing);
    check(
        &said,
        10,
        &["error: cannot use workspace", "a Synapse Administrator gives that principal the role"],
    );
    let space = TestSpace::new();
    let empty = space.emulate("");
    let said = at(&empty, empty.endpoint(), nothing);
    check(&said, 2, &["error: the workspace `127.0.0.1` has no pipelines"]);
}
