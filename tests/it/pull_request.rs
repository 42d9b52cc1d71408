//! The workflows of docs/pull-requests.md, their shell steps run in order against an emulated workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::space::{Emulator, Said, TestSpace, root};
use crate::witness::{publish, ran};

const PLAN: &str = r#"version: 1
name: nightly
environments: { prod: { max_parallel: 5 } }
inputs: { day: { type: date, default: yesterday } }
steps:
  load: { pipeline: pl_load, parameters: { day: "{{inputs.day}}" } }
  publish: { pipeline: pl_publish, depends_on: [load] }
tests:
  nothing is published after a failed load: { assume: { load: failed }, expect: { publish: blocked } }
"#;

/// What the service would do around a step: which steps it runs, and what it puts in for its expressions.
struct Service {
    file: &'static str,
    /// The conditions that hold; those of the other event do not.
    holds: fn(&str, Event) -> bool,
    expressions: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    PullRequest,
    Merge,
}

const GITHUB: Service = Service {
    file: "examples/pull-request/github.yml",
    holds: |condition, event| match condition {
        "github.event_name == 'pull_request'" => event == Event::PullRequest,
        "github.event_name == 'push'" => event == Event::Merge,
        "always()" => true,
        other => panic!("an unknown condition: {other}"),
    },
    expressions: &[
        ("${{ vars.AZURE_TENANT_ID }}", "tenant"),
        ("${{ vars.AZURE_CLIENT_ID }}", "client"),
        ("${{ vars.SYNFLOW_GIT }}", "https://example.com/synflow.git"),
        ("${{ github.event.number }}", "17"),
        ("${{ github.token }}", "job-token"),
        ("${{ github.workspace }}", "REPOSITORY"),
    ],
};

const AZURE: Service = Service {
    file: "examples/pull-request/azure-pipelines.yml",
    holds: |condition, event| match condition {
        "and(succeeded(), eq(variables['Build.Reason'], 'PullRequest'))" => event == Event::PullRequest,
        "and(succeeded(), ne(variables['Build.Reason'], 'PullRequest'))" => event == Event::Merge,
        "always()" => true,
        other => panic!("an unknown condition: {other}"),
    },
    expressions: &[("$(System.AccessToken)", "job-token"), ("$(Build.SourcesDirectory)", "REPOSITORY")],
};

/// A step that is left when the service has read its file.
#[derive(Debug)]
struct Step {
    job: String,
    env: BTreeMap<String, String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Shell(String),
    /// A file or folder is kept for a later job, or for people.
    Keep(String),
    /// What the service itself does.
    Own,
}

impl Service {
    /// Returns the steps that an event runs, in their order.
    fn steps(&self, event: Event) -> Vec<Step> {
        let text = std::fs::read_to_string(root().join(self.file)).unwrap();
        let file: Value = serde_yaml::from_str(&text).unwrap();
        let mut steps = Vec::new();
        self.walk(&file, event, &BTreeMap::new(), "", &mut steps);
        assert!(steps.len() >= 4, "{steps:?}");
        steps
    }

    fn walk(
        &self,
        part: &Value,
        event: Event,
        around: &BTreeMap<String, String>,
        job: &str,
        steps: &mut Vec<Step>,
    ) {
        let condition = part["if"].as_str().or(part["condition"].as_str());
        if condition.is_some_and(|condition| !(self.holds)(condition, event)) {
            return;
        }
        let mut env = around.clone();
        for name in ["env", "variables"] {
            let more = part[name].as_object().into_iter().flatten();
            env.extend(more.map(|(name, value)| (name.clone(), self.put_in(value.as_str().unwrap()))));
        }
        if let Some(jobs) = part["jobs"].as_object() {
            jobs.iter().for_each(|(name, job)| self.walk(job, event, &env, name, steps));
        }
        for inner in ["stages", "jobs"] {
            let inner = part[inner].as_array().into_iter().flatten();
            inner.for_each(|it| {
                let name = it["stage"].as_str().unwrap_or(job);
                self.walk(it, event, &env, name, steps);
            });
        }
        let own = part["steps"].as_array().or(part["strategy"]["runOnce"]["deploy"]["steps"].as_array());
        own.into_iter().flatten().for_each(|step| self.step(step, event, &env, job, steps));
    }

    fn step(
        &self,
        step: &Value,
        event: Event,
        around: &BTreeMap<String, String>,
        job: &str,
        steps: &mut Vec<Step>,
    ) {
        let condition = step["if"].as_str().or(step["condition"].as_str());
        if condition.is_some_and(|condition| !(self.holds)(condition, event)) {
            return;
        }
        let shell = [&step["run"], &step["bash"], &step["inputs"]["inlineScript"]];
        let kept = [&step["with"]["path"], &step["publish"]];
        let kind = match (shell.iter().find_map(|it| it.as_str()), kept.iter().find_map(|it| it.as_str())) {
            (Some(script), _) => Kind::Shell(self.put_in(script)),
            (None, Some(path)) => Kind::Keep(path.to_owned()),
            (None, None) => Kind::Own,
        };
        let mut env = around.clone();
        let more = step["env"].as_object().into_iter().flatten();
        env.extend(more.map(|(name, value)| (name.clone(), self.put_in(value.as_str().unwrap()))));
        steps.push(Step { job: job.to_owned(), env, kind });
    }

    fn put_in(&self, text: &str) -> String {
        let put = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
        let done = self.expressions.iter().fold(text.to_owned(), put);
        assert!(!done.contains("${{") && !done.contains("$("), "an unknown expression: {done}");
        done
    }
}

/// A repository with a plan and its pipelines, and the workspace in which they are deployed.
struct Repository {
    space: TestSpace,
    emulator: Emulator,
}

impl Repository {
    fn new() -> Self {
        let space = TestSpace::new();
        let day = json!({ "day": { "type": "string" } });
        for (name, parameters) in [("pl_load", day), ("pl_publish", json!({}))] {
            let wait =
                json!([{ "name": "Wait", "type": "Wait", "typeProperties": { "waitTimeInSeconds": 1 } }]);
            let properties = json!({ "activities": wait, "parameters": parameters });
            let resource = json!({ "name": name, "properties": properties });
            space.write(&format!("repository/pipeline/{name}.json"), &resource.to_string());
        }
        let script = "artifacts: [repository]\ndefaults: { duration: 100ms, operation: 1ms }\n";
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let workspace = format!("workspaces: {{ main: {{ endpoint: \"{}\" }} }}\n", emulator.endpoint());
        space
            .write("repository/plans/nightly.yaml", &PLAN.replace("inputs:", &format!("{workspace}inputs:")));
        for name in ["cargo", "gh", "curl", "jq"] {
            let body = match name {
                // What the comment says goes on to `curl`.
                "jq" => "cat plan.md",
                "curl" => "cat >> \"$NOTES\"; echo \"curl $*\" >> \"$NOTES\"",
                "gh" => "cat plan.md >> \"$NOTES\"; echo \"gh $*\" >> \"$NOTES\"",
                _ => "echo \"cargo $*\" >> \"$NOTES\"",
            };
            executable(&space.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n")));
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_synflow"), space.path("bin/synflow")).unwrap();
        Self { space, emulator }
    }

    fn folder(&self) -> PathBuf {
        self.space.path("repository")
    }

    /// Runs the steps of a job as the service does, and returns what the first that failed said, or the last.
    fn run<'s>(&self, steps: impl Iterator<Item = &'s Step>) -> Said {
        let mut said = None;
        for step in steps {
            match &step.kind {
                Kind::Own => {}
                Kind::Keep(path) => {
                    let path = self.folder().join(path);
                    assert!(path.exists(), "{}", path.display());
                }
                Kind::Shell(script) => {
                    let one = Said::from(self.shell(script, &step.env).output().unwrap());
                    if one.code != 0 {
                        return one;
                    }
                    said = Some(one);
                }
            }
        }
        said.unwrap()
    }

    fn shell(&self, script: &str, env: &BTreeMap<String, String>) -> Command {
        let as_here = |text: &str| text.replace("REPOSITORY", self.folder().to_str().unwrap());
        let signed_in = self.space.command_at(&self.emulator, "-");
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", script])
            .current_dir(self.folder())
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, as_here(value))))
            .envs(signed_in.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("SYNFLOW_AUTH", "environment")
            .env("SYNFLOW_BEAT", "100ms")
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.space.path("bin").display()))
            .env("NOTES", self.space.path("notes"))
            .env("GITHUB_STEP_SUMMARY", self.space.path("notes"))
            .env("SYNFLOW_GIT", "https://example.com/synflow.git")
            .envs([("SYSTEM_COLLECTIONURI", "https://example.com/"), ("SYSTEM_TEAMPROJECTID", "project")])
            .envs([("BUILD_REPOSITORY_ID", "repository"), ("SYSTEM_PULLREQUEST_PULLREQUESTID", "17")])
            .env("PIPELINE_WORKSPACE", self.space.path("fetched"));
        if let Some(state) = env.get("SYNFLOW_STATE_DIR") {
            command.env("SYNFLOW_STATE_DIR", as_here(state));
        }
        command
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(self.space.path("notes")).unwrap()
    }

    /// Fetches what the job `plan` kept, as the service does for the next job.
    fn fetch(&self) {
        std::fs::create_dir_all(self.space.path("fetched/saved")).unwrap();
        std::fs::copy(self.folder().join("nightly.saved"), self.space.path("fetched/saved/nightly.saved"))
            .unwrap();
    }
}

fn executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_pull_request_gets_its_plan_as_a_comment() {
    for (service, by) in [(GITHUB, "gh pr comment 17"), (AZURE, "pullRequests/17/threads")] {
        let repository = Repository::new();
        let said = repository.run(service.steps(Event::PullRequest).iter());
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        let notes = repository.notes();
        for words in
            [by, "cargo install --locked --git https://example.com/synflow.git", "pl_load", "pl_publish"]
        {
            assert!(notes.contains(words), "{words}\n{notes}");
        }
        assert_eq!(ran(&repository.emulator).len(), 0);
    }
}

#[test]
fn what_was_approved_runs() {
    for service in [GITHUB, AZURE] {
        let repository = Repository::new();
        let steps = service.steps(Event::Merge);
        let said = repository.run(steps.iter().filter(|step| step.job == "plan"));
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        assert_eq!(ran(&repository.emulator).len(), 0);
        repository.fetch();
        let said = repository.run(steps.iter().filter(|step| step.job == "apply"));
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        assert_eq!(ran(&repository.emulator).len(), 2);
    }
}

#[test]
fn what_was_published_after_the_plan_stops_it() {
    for service in [GITHUB, AZURE] {
        let repository = Repository::new();
        let steps = service.steps(Event::Merge);
        let said = repository.run(steps.iter().filter(|step| step.job == "plan"));
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        repository.fetch();
        publish(&repository.emulator, "pl_publish", &json!({ "activities": [], "description": "another" }));
        let said = repository.run(steps.iter().filter(|step| step.job == "apply"));
        assert_eq!(said.code, 5, "{}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains("pl_publish"), "{}", said.stderr);
        assert_eq!(ran(&repository.emulator).len(), 0);
    }
}
