//! In GitHub Actions and Azure Pipelines: what the service reads of the real binary, by the service's own rules.

use std::collections::BTreeMap;

use crate::space::{Said, TestSpace};
use crate::streams::prepared;

/// A command as a service reads it: its name, its properties and its text.
type Read = (String, BTreeMap<String, String>, String);

/// Reads the commands of GitHub Actions, as its runner does: `::` where a line begins, `##[` anywhere.
fn github(said: &Said) -> Vec<Read> {
    let lines = said.stdout.split(['\n', '\r']).chain(said.stderr.split(['\n', '\r']));
    let mut commands = Vec::new();
    for line in lines {
        assert!(!line.contains("##["), "a command of the old kind: {line}");
        let Some((head, text)) = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::"))
        else {
            continue;
        };
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let unescape = |text: &str| {
            let escapes = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
            escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let pairs = properties.split(',').filter_map(|pair| pair.split_once('='));
        let properties = pairs.map(|(name, value)| (name.to_owned(), unescape(value))).collect();
        commands.push((name.to_owned(), properties, unescape(text)));
    }
    commands
}

/// Reads the commands of Azure Pipelines, as its agent does: `##vso[` anywhere; its log folds at `##[` where a line begins.
fn azure(said: &Said) -> Vec<Read> {
    let lines = said.stdout.split(['\n', '\r']).chain(said.stderr.split(['\n', '\r']));
    let mut commands = Vec::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix("##[") {
            let (name, text) = rest.split_once(']').unwrap();
            commands.push((name.to_owned(), BTreeMap::new(), text.to_owned()));
        }
        let Some(at) = line.find("##vso[") else { continue };
        assert_eq!(at, 0, "inside a line: {line}");
        let (head, text) = line["##vso[".len()..].split_once(']').unwrap();
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let pairs = properties.split(';').filter_map(|pair| pair.split_once('='));
        let properties = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        commands.push((name.to_owned(), properties, text.to_owned()));
    }
    commands
}

fn names(commands: &[Read]) -> Vec<&str> {
    commands.iter().map(|(name, ..)| name.as_str()).collect()
}

fn of_kind<'c>(commands: &'c [Read], wanted: &str) -> Vec<&'c Read> {
    commands.iter().filter(|(name, ..)| name == wanted).collect()
}

/// Where a step stands in the plan of the night.
fn line_of(step: &str) -> String {
    let at = crate::streams::PLAN.lines().position(|line| line.starts_with(&format!("  {step}:")));
    (at.unwrap() + 1).to_string()
}

#[test]
fn github_gets_annotations_a_summary_and_outputs() {
    let space = TestSpace::new();
    let mut command = prepared(&space, "--output text");
    for (name, file) in [
        ("GITHUB_STEP_SUMMARY", "summary"),
        ("GITHUB_OUTPUT", "output"),
        ("RUNNER_TEMP", ""),
        ("GITHUB_WORKSPACE", ""),
    ] {
        command.env(name, space.path(file));
    }
    space.write("summary", "### of the step before\n");
    let said = Said::from(command.env("GITHUB_ACTIONS", "true").output().unwrap());
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(said.stdout, "");
    let commands = github(&said);
    let titles = |kind: &str| -> Vec<String> {
        of_kind(&commands, kind).iter().map(|(_, properties, _)| properties["title"].clone()).collect()
    };
    let mut errors = titles("error");
    errors.sort();
    assert_eq!(errors, ["bad failed", "slow timed out"]);
    let mut warnings = titles("warning");
    warnings.sort();
    assert_eq!(warnings, ["allowed failed", "odd warned"]);
    let bad = of_kind(&commands, "error").into_iter().find(|(_, it, _)| it["title"] == "bad failed").unwrap();
    assert_eq!((bad.1["file"].as_str(), &bad.1["line"]), ("plan.yaml", &line_of("bad")));
    assert_eq!(bad.1["col"], "3");
    assert!(bad.2.contains("UserErrorInvalidTable"), "{bad:?}");
    assert_eq!(titles("error").len() + titles("warning").len() + 2, commands.len(), "{commands:?}");
    assert_eq!(names(&commands).first(), Some(&"group"));
    assert_eq!(names(&commands).last(), Some(&"endgroup"));
    // What is folded ends before what must be read.
    let folded = said.stderr.find("::endgroup::").unwrap();
    assert!(said.stderr[folded..].contains("next: synflow status"), "{}", said.stderr);
    assert!(said.stderr[..folded].contains("retry"), "{}", said.stderr);
    let summary = std::fs::read_to_string(space.path("summary")).unwrap();
    let flow = space.status()["flow"]["id"].as_str().unwrap().to_owned();
    let added = summary.strip_prefix("### of the step before\n### ").unwrap();
    assert!(added.lines().next().unwrap().contains(&flow), "{summary}");
    let report = space.path(&format!("synflow-{flow}.md"));
    let output = std::fs::read_to_string(space.path("output")).unwrap();
    assert_eq!(output, format!("flow={flow}\noutcome=failed\nexit_code=1\nreport={}\n", report.display()));
    assert!(report.exists());
}

#[test]
fn azure_gets_issues_progress_a_summary_and_variables() {
    let space = TestSpace::new();
    let mut command = prepared(&space, "--output text");
    command.env("TF_BUILD", "True").env("AGENT_TEMPDIRECTORY", space.path(""));
    let said = Said::from(command.env("BUILD_SOURCESDIRECTORY", space.path("")).output().unwrap());
    assert_eq!(said.code, 1, "{}", said.stderr);
    let commands = azure(&said);
    let issues = of_kind(&commands, "task.logissue");
    let lines: Vec<(&str, &str)> =
        issues.iter().map(|(_, it, _)| (it["type"].as_str(), it["linenumber"].as_str())).collect();
    for (kind, step) in [("error", "bad"), ("error", "slow"), ("warning", "odd"), ("warning", "allowed")] {
        assert!(lines.contains(&(kind, &line_of(step))), "{step}: {lines:?}");
    }
    assert!(issues.iter().all(|(_, it, _)| it["sourcepath"] == "plan.yaml"), "{issues:?}");
    let progress: Vec<u8> = of_kind(&commands, "task.setprogress")
        .iter()
        .map(|(_, it, _)| it["value"].parse().unwrap())
        .collect();
    assert!(progress.is_sorted() && progress.last() == Some(&100), "{progress:?}");
    let variables: BTreeMap<&str, &str> = of_kind(&commands, "task.setvariable")
        .iter()
        .map(|(_, it, value)| {
            assert_eq!(it["isOutput"], "true");
            (it["variable"].as_str(), value.as_str())
        })
        .collect();
    assert_eq!((variables["outcome"], variables["exit_code"]), ("failed", "1"));
    let [(.., page)] = of_kind(&commands, "task.uploadsummary")[..] else { panic!("{commands:?}") };
    assert_eq!(page, variables["report"]);
    assert!(std::fs::read_to_string(page).unwrap().contains("UserErrorInvalidTable"));
    assert!(of_kind(&commands, "task.complete").is_empty(), "its exit code says it");
    for folded in ["group", "endgroup"] {
        assert_eq!(of_kind(&commands, folded).len(), 1, "{folded}");
    }
}

#[test]
fn azure_marks_a_night_that_went_well_but_for_what_was_allowed() {
    let space = TestSpace::new();
    let script = "defaults: { duration: 20ms }\npipelines: { a: { outcome: failed }, b: {} }\n";
    let script = space.write("script.yaml", script);
    let plan = |allowed: bool| {
        format!(
            "version: 1\nname: n\nworkspace: w\nsteps: {{ {} b: {{}} }}\n",
            if allowed { "a: { allow_failure: true }," } else { "" }
        )
    };
    for (allowed, want) in [(true, 1), (false, 0)] {
        let plan = space.write("plan.yaml", &plan(allowed));
        let said = space.run(&format!(
            "apply {} --emulate --script {} --ci azure",
            plan.display(),
            script.display()
        ));
        assert_eq!(said.code, 0, "{}", said.stderr);
        let commands = azure(&said);
        let completed = of_kind(&commands, "task.complete");
        assert_eq!(completed.len(), want, "{commands:?}");
        assert!(completed.iter().all(|(_, it, _)| it["result"] == "SucceededWithIssues"));
    }
}

#[test]
fn what_is_wrong_with_a_plan_stands_on_its_line() {
    let space = TestSpace::new();
    let bad = space.write("bad.yaml", "version: 1\nname: x\nworkspace: w\nsteps:\n  a: { pipline: b }\n");
    for words in ["validate", "apply", "plan --offline", "rehearse"] {
        let words = format!("{words} {}", bad.display());
        let said = space.run(&format!("{words} --ci github"));
        assert_eq!(said.code, 3, "{}", said.stderr);
        let commands = github(&said);
        let [(name, properties, text)] = &commands[..] else { panic!("{words}: {commands:?}") };
        assert_eq!((name.as_str(), properties["line"].as_str()), ("error", "5"), "{words}");
        assert!(text.contains("pipline") && said.stderr.contains("did you mean"), "{text}");
        let said = space.run(&format!("{words} --ci azure"));
        let commands = azure(&said);
        let issues = of_kind(&commands, "task.logissue");
        assert_eq!(issues.len(), 1, "{words}: {commands:?}");
        assert_eq!((issues[0].1["linenumber"].as_str(), issues[0].1["columnnumber"].as_str()), ("5", "8"));
    }
    // What could not begin is known to later steps all the same.
    let mut apply = space.command(["apply", bad.to_str().unwrap()]);
    apply.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", space.path("output"));
    assert_eq!(apply.output().unwrap().status.code(), Some(3));
    let output = std::fs::read_to_string(space.path("output")).unwrap();
    assert_eq!(output, "flow=\noutcome=not_started\nexit_code=3\nreport=\n");
    let said = space.run("apply no-such-plan.yaml --ci github");
    let commands = github(&said);
    assert_eq!(names(&commands), ["error"]);
    assert!(commands[0].2.contains("no-such-plan.yaml"), "{commands:?}");
}

#[test]
fn a_service_is_told_nothing_where_that_is_not_wanted() {
    let space = TestSpace::new();
    for (variables, flag) in
        [(vec![("GITHUB_ACTIONS", "true"), ("TF_BUILD", "True")], "none"), (vec![], "auto")]
    {
        let mut command = prepared(&space, &format!("--ci {flag}"));
        let said = Said::from(command.envs(variables).output().unwrap());
        assert_eq!((github(&said), azure(&said)), (Vec::new(), Vec::new()), "{}", said.stderr);
    }
}

/// No word of a plan or of the service is a command, in any verb, whether a service is known or not.
#[test]
fn foreign_words_are_no_commands() {
    let space = TestSpace::new();
    let hostile =
        "x\\r::stop-commands::y\\n  ::error::z\\n##vso[task.setvariable variable=PATH]q\\u2028##[add-path]r";
    let plan = space.write(
        "plan.yaml",
        &format!(
            "version: 1\nname: \"n {hostile}\"\ndescription: \"{hostile}\"\nworkspace: w\nsteps:\n  \
             ok: {{ parameters: {{ \"p\": \"{hostile}\" }}, tags: [\"t\"] }}\n  \
             ##vso[task.complete]\n  \
             bad: {{ pipeline: \"b {hostile}\" }}\n  \
             each: {{ for_each: [\"::error::k\", \"##vso[a]\"] }}\n"
        ),
    );
    let script = space.write(
        "script.yaml",
        &format!(
            "defaults: {{ duration: 20ms }}\npipelines:\n  \"b {hostile}\": {{ outcome: failed, activities: {{ \"A {hostile}\": {{ error: {{ code: \"{hostile}\", message: \"{hostile}\" }} }} }} }}\n"
        ),
    );
    let (plan, script) = (plan.display(), script.display());
    let check = |words: &str| {
        for ci in ["none", "github", "azure"] {
            let said = space.run(&format!("{words} --ci {ci}"));
            assert!(said.code != 70 && said.code != 2, "{words}: {}", said.stderr);
            let ours = ["group", "endgroup", "error", "warning", "notice"];
            if ci != "azure" {
                assert!(
                    names(&github(&said)).iter().all(|name| ours.contains(name)),
                    "{words}\n{}",
                    said.stderr
                );
                let errors = github(&said).into_iter().filter(|(_, properties, _)| properties.is_empty());
                assert!(
                    errors.into_iter().all(|(name, ..)| name.ends_with("group")),
                    "{words}\n{}",
                    said.stderr
                );
            }
            if ci == "azure" {
                let commands = azure(&said);
                let ours = [
                    "task.logissue",
                    "task.setprogress",
                    "task.setvariable",
                    "task.complete",
                    "group",
                    "endgroup",
                ];
                assert!(names(&commands).iter().all(|name| ours.contains(name)), "{words}: {commands:?}");
                assert!(
                    of_kind(&commands, "task.setvariable").iter().all(|(_, it, _)| it["variable"] != "PATH")
                );
            } else {
                assert_eq!(azure(&said), Vec::new(), "{words}\n{}{}", said.stdout, said.stderr);
            }
        }
    };
    for output in ["text", "json", "yaml", "jsonl"] {
        check(&format!("apply {plan} --emulate --script {script} --beat 20ms --output {output}"));
    }
    for words in [
        "status",
        "status --output json",
        "status --output yaml",
        "flows",
        "graph @latest",
        "resume",
        "cancel",
        "resume no::error::x",
        "resolve @latest ##vso[a] --give-up",
    ] {
        // Two of them refuse: what they refuse is not theirs.
        let said = space.run(words);
        assert_eq!(
            (github(&said), azure(&said)),
            (Vec::new(), Vec::new()),
            "{words}\n{}{}",
            said.stdout,
            said.stderr
        );
    }
    for words in [
        "validate",
        "plan --offline",
        "plan --offline --output json",
        "plan --offline --output markdown",
        "graph",
        "rehearse",
        "rehearse --output jsonl",
        "fmt --diff",
    ] {
        check(&format!("{words} {plan}"));
    }
    let bad = space.write("bad.yaml", "version: 1\nname: x\nsteps:\n  a: { pipline: \"##vso[task.complete]\" } # ##[add-path]x\n::error::b: 1\n");
    check(&format!("validate {}", bad.display()));
    check(&format!("fmt --diff {}", bad.display()));
}
