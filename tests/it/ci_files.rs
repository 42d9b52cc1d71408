//! `action.yml` and the workflows of examples/ci: against the published schemas, and their shell steps run in order, as the
//! service would, on one machine after another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::space::{Emulator, Said, TestSpace, root};

fn yaml(file: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

fn schema(file: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(root().join("tests/ci").join(file)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn the_action_and_the_workflows_are_as_github_wants_them() {
    let check = |validator: &jsonschema::Validator, file: &str| {
        let problems: Vec<String> =
            validator.iter_errors(&yaml(file)).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{file}: {problems:?}");
    };
    check(&schema("github-action.json"), "action.yml");
    let workflow = schema("github-workflow.json");
    for file in ["examples/ci/github.yml", "examples/pull-request/github.yml"] {
        check(&workflow, file);
    }
    assert!(!workflow.is_valid(&yaml("action.yml")), "it must be able to refuse");
    // What the example hands to the action is what the action takes.
    let action = yaml("action.yml");
    let steps = yaml("examples/ci/github.yml")["jobs"]["nightly"]["steps"].clone();
    let step = steps.as_array().unwrap().iter().find(|step| step["id"] == "synflow").unwrap().clone();
    for name in step["with"].as_object().unwrap().keys() {
        assert!(action["inputs"].get(name).is_some(), "the action has no input `{name}`");
    }
    let text = std::fs::read_to_string(root().join("examples/ci/github.yml")).unwrap();
    for used in text.split("steps.synflow.outputs.").skip(1) {
        let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(action["outputs"].get(&name).is_some(), "the action has no output `{name}`");
    }
    // An expression inside a script would let the values of inputs be commands.
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
    }
}

#[test]
fn the_page_says_what_the_action_takes() {
    let page = std::fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let table = page.split("| input | default | |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|row| row.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split('|').next().unwrap().trim().trim_matches('`')))
        .collect();
    let action = yaml("action.yml");
    let inputs = action["inputs"].as_object().unwrap().iter();
    let inputs = inputs.map(|(name, input)| (name.as_str(), input["default"].as_str().unwrap()));
    assert_eq!(rows, inputs.collect());
    for output in action["outputs"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{output}`")), "{output}");
    }
    // Its piece of a workflow is one, once it has a name for when it runs.
    let piece = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let piece: Value = serde_yaml::from_str(&format!("on: push\n{piece}")).unwrap();
    assert!(schema("github-workflow.json").is_valid(&piece), "{piece}");
}

/// A workspace in which the first run of `curate` fails, and a repository with its plan.
struct Night {
    space: TestSpace,
    emulator: Emulator,
}

impl Night {
    fn new() -> Self {
        let space = TestSpace::new();
        let script = "defaults: { duration: 50ms }\npipelines: { curate: { runs: [{ outcome: failed }, {}] }, load: {} }\n";
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let plan = format!(
            "version: 1\nname: nightly\nworkspaces: {{ main: {{ endpoint: \"{}\" }} }}\nenvironments: {{ prod: {{}} }}\n\
             steps: {{ load: {{}}, curate: {{ depends_on: [load] }} }}\n",
            emulator.endpoint()
        );
        space.write("repository/plans/nightly.yaml", &plan);
        for (name, body) in [
            // Installs what was built already.
            (
                "cargo",
                "echo \"cargo $*\" >> \"$NOTES\"\nroot=; while [ $# -gt 0 ]; do if [ \"$1\" = --root ]; then root=$2; fi; shift; done\nif [ -n \"$root\" ]; then mkdir -p \"$root/bin\"; ln -sf \"$BUILT\" \"$root/bin/synflow\"; fi",
            ),
            ("az", "echo \"az $*\" >> \"$NOTES\"; echo 17"),
        ] {
            let path = space.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n"));
            executable(&path);
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_synflow"), space.path("bin/synflow")).unwrap();
        Self { space, emulator }
    }

    /// Returns the folder of a machine, new for each job.
    fn machine(&self, name: &str) -> PathBuf {
        let folder = self.space.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Runs a script as the service does.
    fn shell(&self, words: &[&str], script: &str, env: &BTreeMap<String, String>) -> Said {
        let signed_in = self.space.command_at(&self.emulator, "-");
        let mut command = Command::new("bash");
        command
            .args(words)
            .args(["-c", script])
            .current_dir(self.space.path("repository"))
            .env_clear()
            .envs(signed_in.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.space.path("bin").display()))
            .env("NOTES", self.space.path("notes"))
            .env("BUILT", env!("CARGO_BIN_EXE_synflow"))
            .env("SYNFLOW_BEAT", "50ms")
            .envs(env);
        Said::from(command.output().unwrap())
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(self.space.path("notes")).unwrap_or_default()
    }

    /// Returns how many runs of each pipeline there were.
    fn ran(&self) -> BTreeMap<String, usize> {
        let record = self.emulator.record();
        let mut counts = BTreeMap::new();
        for run in record["runs"].as_array().unwrap() {
            *counts.entry(run["pipeline"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A job of GitHub Actions that uses the action, on a machine of its own.
struct Job<'n> {
    night: &'n Night,
    machine: PathBuf,
    /// What the caller gives, laid over the defaults.
    inputs: BTreeMap<String, String>,
    /// What steps have written for later ones, by `steps.ID.outputs.NAME`.
    outputs: BTreeMap<String, String>,
}

impl<'n> Job<'n> {
    fn new(night: &'n Night, machine: &str, given: &[(&str, &str)]) -> Self {
        let action = yaml("action.yml");
        let defaults = action["inputs"].as_object().unwrap().iter();
        let mut inputs: BTreeMap<String, String> = defaults
            .map(|(name, input)| (name.clone(), input["default"].as_str().unwrap().to_owned()))
            .collect();
        for (name, value) in given {
            assert!(inputs.insert((*name).to_owned(), (*value).to_owned()).is_some(), "no input `{name}`");
        }
        Self { night, machine: night.machine(machine), inputs, outputs: BTreeMap::new() }
    }

    fn put_in(&self, text: &str) -> String {
        let mut done = text.to_owned();
        for (name, value) in &self.inputs {
            done = done.replace(&format!("${{{{ inputs.{name} }}}}"), value);
        }
        for (name, value) in &self.outputs {
            done = done.replace(&format!("${{{{ {name} }}}}"), value);
        }
        done = done.replace("${{ github.action_path }}", "THE_ACTION");
        assert!(!done.contains("${{"), "an unknown expression: {done}");
        done
    }

    fn holds(&self, condition: &str) -> bool {
        match condition {
            "inputs.state-dir == ''" => self.inputs["state-dir"].is_empty(),
            "always() && inputs.state-dir == '' && steps.prepare.outputs.key != ''" => {
                self.inputs["state-dir"].is_empty() && self.outputs.contains_key("steps.prepare.outputs.key")
            }
            other => panic!("an unknown condition: {other}"),
        }
    }

    /// Runs the action's steps; the cache is a folder that all machines see. Returns what the step `run` said.
    fn run(&mut self) -> Said {
        let cache = self.night.space.path("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let mut said = None;
        for step in yaml("action.yml")["runs"]["steps"].as_array().unwrap() {
            if step["if"].as_str().is_some_and(|condition| !self.holds(condition)) {
                continue;
            }
            let with = |name: &str| self.put_in(step["with"][name].as_str().unwrap());
            match step["uses"].as_str() {
                Some("actions/cache/restore@v4") => {
                    let prefix = with("restore-keys");
                    let kept = std::fs::read_dir(&cache).unwrap().map(|it| it.unwrap());
                    let kept = kept.filter(|it| it.file_name().to_str().unwrap().starts_with(&prefix));
                    let newest = kept.max_by_key(|it| it.metadata().unwrap().modified().unwrap());
                    if let Some(newest) = newest {
                        copy(&newest.path(), Path::new(&with("path")));
                    }
                }
                Some("actions/cache/save@v4") => {
                    let place = cache.join(with("key"));
                    assert!(!place.exists(), "a key is written once");
                    copy(Path::new(&with("path")), &place);
                }
                Some(other) => panic!("an unknown action: {other}"),
                None => {
                    assert_eq!(step["shell"], "bash");
                    let id = step["id"].as_str().unwrap();
                    let file = self.machine.join(format!("output-{id}"));
                    let mut env: BTreeMap<String, String> = BTreeMap::from([
                        ("GITHUB_ACTIONS".to_owned(), "true".to_owned()),
                        ("GITHUB_OUTPUT".to_owned(), file.display().to_string()),
                        ("GITHUB_RUN_ID".to_owned(), "4711".to_owned()),
                        ("GITHUB_RUN_ATTEMPT".to_owned(), "1".to_owned()),
                        ("RUNNER_TEMP".to_owned(), self.machine.display().to_string()),
                        (
                            "GITHUB_STEP_SUMMARY".to_owned(),
                            self.machine.join("summary").display().to_string(),
                        ),
                    ]);
                    let own = step["env"].as_object().into_iter().flatten();
                    env.extend(own.map(|(name, value)| (name.clone(), self.put_in(value.as_str().unwrap()))));
                    let script = step["run"].as_str().unwrap();
                    let one = self.night.shell(&["--noprofile", "--norc", "-eo", "pipefail"], script, &env);
                    for line in std::fs::read_to_string(&file).unwrap_or_default().lines() {
                        let (name, value) = line.split_once('=').unwrap();
                        self.outputs.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
                    }
                    let is_run = id == "run";
                    assert!(is_run || one.code == 0, "{id}: {}{}", one.stdout, one.stderr);
                    if is_run {
                        said = Some(one);
                    }
                }
            }
        }
        said.unwrap()
    }

    fn output(&self, name: &str) -> &str {
        self.outputs.get(&format!("steps.run.outputs.{name}")).map_or("", String::as_str)
    }
}

#[test]
fn a_job_of_github_that_is_run_again_goes_on_with_the_night() {
    let night = Night::new();
    let given = [("plan", "plans/nightly.yaml"), ("args", "--env\nprod\n")];
    let mut first = Job::new(&night, "first", &given);
    let said = first.run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!((first.output("outcome"), first.output("exit_code")), ("failed", "1"));
    let report = std::fs::read_to_string(first.output("report")).unwrap();
    assert!(report.starts_with("<!") && report.contains("curate"), "{report}");
    assert!(std::fs::read_to_string(first.machine.join("summary")).unwrap().contains("curate"));
    assert!(said.stderr.contains("::error file=plans/nightly.yaml,line=5,"), "{}", said.stderr);
    let mut second = Job::new(&night, "second", &given);
    let said = second.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(second.output("flow"), first.output("flow"), "it is the same flow");
    assert_eq!(night.ran(), BTreeMap::from([("load".to_owned(), 1), ("curate".to_owned(), 2)]));
    assert!(night.notes().contains("cargo install --locked --path THE_ACTION --root "), "{}", night.notes());
    // The next night is a new flow, and another journal's name knows none of it.
    let mut third = Job::new(&night, "third", &given);
    assert_eq!(third.run().code, 0);
    assert_ne!(third.output("flow"), first.output("flow"));
    let status = [("verb", "resume"), ("journal", "journal-of-others"), ("binary", "synflow")];
    assert_eq!(Job::new(&night, "fourth", &status).run().code, 2, "there is nothing to resume");
}

#[test]
fn a_machine_that_stays_keeps_the_journal_itself() {
    let night = Night::new();
    let kept = night.space.path("kept");
    let given =
        [("plan", "plans/nightly.yaml"), ("state-dir", kept.to_str().unwrap()), ("binary", "synflow")];
    assert_eq!(Job::new(&night, "first", &given).run().code, 1);
    let hostile = [
        ("verb", "resume"),
        ("state-dir", kept.to_str().unwrap()),
        ("binary", "synflow"),
        ("args", "--redo\nload; touch hacked\n"),
    ];
    assert_eq!(Job::new(&night, "second", &hostile).run().code, 2, "an argument is one word, not a command");
    assert!(!night.space.path("repository/hacked").exists());
    assert_eq!(Job::new(&night, "third", &given).run().code, 0);
    assert_eq!(std::fs::read_dir(night.space.path("cache")).unwrap().count(), 0);
    assert_eq!(night.notes(), "", "nothing was built");
}

/// Runs the shell steps of the example for Azure Pipelines as an attempt at a job, and returns what the plan's step said.
fn azure_attempt(night: &Night, machine: &str, attempt: u32, is_first_run: bool) -> Said {
    let machine = night.machine(machine);
    let kept = night.space.path("artifacts");
    std::fs::create_dir_all(&kept).unwrap();
    let file = yaml("examples/ci/azure-pipelines.yml");
    let put_in = |text: &str| {
        let known = [
            ("$(Agent.TempDirectory)", machine.to_str().unwrap()),
            ("$(System.JobAttempt)", &attempt.to_string()),
            ("$(System.AccessToken)", "job-token"),
            ("$(Build.SourceBranch)", "main"),
            ("$(lastRun)", "17"),
        ];
        known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in file["variables"].as_object().unwrap() {
        env.insert(name.clone(), put_in(value.as_str().unwrap()));
    }
    let sets = [
        ("TF_BUILD", "True"),
        ("SYNFLOW_GIT", "https://example.com/synflow.git"),
        ("SYSTEM_COLLECTIONURI", "https://example.com/"),
        ("SYSTEM_TEAMPROJECTID", "project"),
        ("SYSTEM_DEFINITIONID", "3"),
        ("BUILD_SOURCEBRANCH", "main"),
    ];
    env.extend(sets.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.insert("AGENT_TEMPDIRECTORY".to_owned(), machine.display().to_string());
    env.insert("SYNFLOW_AUTH".to_owned(), "environment".to_owned());
    let mut said = None;
    let mut variables = BTreeMap::new();
    for step in file["jobs"][0]["steps"].as_array().unwrap() {
        let holds = match step["condition"].as_str() {
            None | Some("always()") => true,
            Some("and(succeeded(), eq(variables['System.JobAttempt'], '1'))") => attempt == 1,
            Some("and(succeeded(), ne(variables['System.JobAttempt'], '1'))") => attempt > 1,
            Some("and(succeeded(), ne(variables['lastRun'], ''))") => attempt == 1 && !is_first_run,
            Some("and(always(), ne(variables['nightly.flow'], ''))") => {
                variables.contains_key("nightly.flow")
            }
            Some("and(always(), ne(variables['nightly.report'], ''))") => {
                variables.get("nightly.report").is_some_and(|path: &String| !path.is_empty())
            }
            Some(other) => panic!("an unknown condition: {other}"),
        };
        if !holds {
            continue;
        }
        let mut env = env.clone();
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            let value = put_in(value.as_str().unwrap());
            let value = variables.iter().fold(value, |text, (name, value): (&String, &String)| {
                text.replace(&format!("$({name})"), value)
            });
            env.insert(name.clone(), value);
        }
        if step["task"] == "DownloadPipelineArtifact@2" {
            copy(&kept, Path::new(&put_in(step["inputs"]["targetPath"].as_str().unwrap())));
        } else if step["publish"] == "$(nightly.report)" {
            let report = std::fs::read_to_string(&variables["nightly.report"]).unwrap();
            assert!(report.starts_with("<!") && report.contains("curate"), "{report}");
        } else if let Some(folder) = step["publish"].as_str() {
            let name = put_in(step["artifact"].as_str().unwrap());
            assert!(!kept.join(&name).exists() || attempt == 1, "an artifact is published once in a run");
            let _ = std::fs::remove_dir_all(kept.join(&name));
            copy(Path::new(&put_in(folder)), &kept.join(name));
        } else if let Some(script) = step["bash"].as_str().or(step["inputs"]["inlineScript"].as_str()) {
            let one = night.shell(&["-e"], script, &env);
            if step["name"] == "nightly" {
                for line in one.stderr.lines() {
                    let Some(rest) = line.strip_prefix("##vso[task.setvariable variable=") else { continue };
                    let (name, value) = rest.split_once(";isOutput=true;]").unwrap();
                    variables.insert(format!("nightly.{name}"), value.to_owned());
                }
                said = Some(one);
            } else {
                assert_eq!(one.code, 0, "{step}: {}{}", one.stdout, one.stderr);
                if step["displayName"] == "Say how it ended" {
                    let flow = &variables["nightly.flow"];
                    assert!(
                        one.stdout.starts_with(&format!("flow {flow} ended with exit code ")),
                        "{}",
                        one.stdout
                    );
                }
            }
        }
    }
    said.unwrap()
}

#[test]
fn a_job_of_azure_that_is_run_again_goes_on_with_the_night() {
    let night = Night::new();
    let said = azure_attempt(&night, "first", 1, true);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("##vso[task.logissue type=error;sourcepath=plans/nightly.yaml;linenumber=5;"),
        "{}",
        said.stderr
    );
    let said = azure_attempt(&night, "again", 2, true);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(night.ran(), BTreeMap::from([("load".to_owned(), 1), ("curate".to_owned(), 2)]));
    // The next night knows what the newest attempt knew.
    let said = azure_attempt(&night, "next", 1, false);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(night.ran(), BTreeMap::from([("load".to_owned(), 2), ("curate".to_owned(), 3)]));
    assert!(night.notes().contains("az pipelines runs list "), "{}", night.notes());
}
