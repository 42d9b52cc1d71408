//! `synflow explain`: every code has an explanation whose plans do what they are there for.
//!
//! `UPDATE_EXPECT=1 cargo test --test it explain` writes `docs/diagnostics.md` anew.

use std::collections::BTreeMap;

use serde_json::Value;
use synflow::graph::PlanGraph;
use synflow::plan::{Code, Diagnostic, Given, Severity, load, wanted_files};
use synflow::time::Timestamp;

use crate::contract::contract;
use crate::space::{TestSpace, root};

/// What a block of Markdown cannot hold, put in the place of a comment line: each with the reason why.
type Exception = (&'static str, &'static str, fn(&str) -> Vec<u8>);

const EXCEPTIONS: &[Exception] = &[
    ("E0101", "the text itself is not UTF-8", |plan| latin1(plan)),
    ("E0102", "a plan of more than 10 MB", |plan| {
        let more = format!("# {}\n", "x".repeat(98)).repeat(120_000);
        format!("{plan}{more}").into_bytes()
    }),
    ("E0105", "editors and formatters turn tabs in Markdown into spaces", |plan| {
        plan.replace("<tab>", "\t").into_bytes()
    }),
    ("E0109", "a value of more than 64 levels", |plan| {
        plan.replace("[deep]", &format!("{}x{}", "[".repeat(70), "]".repeat(70))).into_bytes()
    }),
    ("E0115", "the reader could not see it", |plan| plan.replace("<no-break space>", "\u{a0}").into_bytes()),
    ("E0213", "a plan of more than 10,000 steps", |plan| {
        let more: Vec<String> = (0..10_000).map(|n| format!("  step_{n}: {{}}\n")).collect();
        format!("{plan}{}", more.concat()).into_bytes()
    }),
];

/// How the page of all codes begins.
const PAGE: &str = "# Messages about plans\n\n\
         Every message about a plan carries a code. `E`: the plan cannot run. `W`: it can, but may not do what is meant.\n\
         `N`: something worth knowing. `synflow explain E0201` shows an entry of this page in the terminal,\n\
         `synflow explain` the table. A code keeps its meaning once it is released.\n\n\
         `synflow validate --output json` gives the messages as data, `--output sarif` for code scanning and editors,\n\
         `--output github` as annotations in GitHub Actions. There, lines and columns count from 1, columns in\n\
         characters, and an end stands just after the last character.\n\n\
         This page is made from `src/plan/explain/` by a test: `UPDATE_EXPECT=1 cargo test --test it explain`.\n\n\
         | code | meaning |\n|---|---|\n";

fn latin1(plan: &str) -> Vec<u8> {
    plan.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// What the shell would hand over: a fixed day and what the comments at the top of the plan say.
fn given(plan: &str) -> Given {
    let comments = || plan.lines().take_while(|line| line.starts_with('#'));
    let inputs = comments().filter_map(|line| line.strip_prefix("# input: ")?.split_once('='));
    let environment = comments().find_map(|line| line.strip_prefix("# env: "));
    // Every file is there but one that says that it is not.
    let file = |name: &str| match name {
        "no-such-file.yaml" => Err(format!("there is no `{name}`")),
        _ => Ok(b"[emea, apac]".to_vec()),
    };
    Given {
        environment: environment.unwrap_or_default().to_owned(),
        files: wanted_files(plan.as_bytes()).into_iter().map(|name| (name.clone(), file(&name))).collect(),
        inputs: inputs.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        env: BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]),
        now: "2024-05-02T10:00:00Z".parse::<Timestamp>().unwrap(),
        inputs_required: !comments().any(|line| line == "# validate"),
        ..Given::default()
    }
}

fn findings(text: &[u8], plan: &str) -> Vec<Diagnostic> {
    match load(text, &given(plan)) {
        Ok(loaded) => match PlanGraph::link(&loaded.plan) {
            Ok(_) => loaded.notes.into_iter().chain(contract(plan, &loaded.plan)).collect(),
            Err(findings) => findings,
        },
        Err(findings) => findings,
    }
}

#[test]
fn every_explanation_has_the_form_and_its_plans_show_the_problem() {
    assert!(EXCEPTIONS.len() <= 6);
    let mut wrong = Vec::new();
    for code in Code::ALL {
        let id = code.id();
        let explanation = code.explanation();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{id}: {what}"));
            }
        };
        let heading = format!("# {id}: {}\n\n", code.meaning());
        expect(explanation.text.starts_with(&heading), "the heading is not that of the table");
        expect(explanation.text.ends_with("```\n"), "something stands after the right plan");
        let paragraphs = explanation.cause.split("\n\n").count();
        expect(
            (1..=3).contains(&paragraphs) && !explanation.cause.is_empty(),
            "one to three paragraphs explain it",
        );
        expect(explanation.text.matches("\n## ").count() == 2, "there are two more headings");
        expect(explanation.text.matches("```").count() == 4, "there are two plans");

        let exception = EXCEPTIONS.iter().find(|(known, ..)| *known == id);
        let bad = exception
            .map_or_else(|| explanation.wrong.as_bytes().to_vec(), |(_, _, make)| make(explanation.wrong));
        let found = findings(&bad, explanation.wrong);
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.id()).collect();
        expect(codes.contains(&id), &format!("the wrong plan gives {codes:?}"));
        let only = found.iter().all(|finding| finding.code == *code || !finding.is_error());
        expect(only, &format!("the wrong plan has other errors: {codes:?}"));
        if code.severity() != Severity::Error {
            expect(!found.iter().any(Diagnostic::is_error), "the plan of a remark cannot run");
        }

        let found = findings(explanation.right.as_bytes(), explanation.right);
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.id()).collect();
        let is_good = !found.iter().any(|finding| finding.is_error() || finding.code == *code);
        expect(is_good, &format!("the right plan gives {codes:?}"));
        expect(explanation.right.contains("\nsteps:"), "the right plan is not complete");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_all_codes_is_fresh() {
    let rows = Code::ALL.iter().map(|code| {
        let anchor: String = format!("{}: {}", code.id(), code.meaning())
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        format!("| [{}](#{anchor}) | {} |\n", code.id(), code.meaning())
    });
    let entries = Code::ALL.iter().map(|code| {
        // One heading for each code, and no headings of "Wrong" and "Right" that would all be named alike.
        let text = code.explanation().text;
        let text = text.replacen("# ", "## ", 1).replace("\n## Wrong\n", "\nWrong:\n");
        format!("\n{}", text.replace("\n## Right\n", "\nRight:\n"))
    });
    let page: Vec<String> = [PAGE.to_owned()].into_iter().chain(rows).chain(entries).collect();
    let page = page.concat();
    let path = root().join("docs/diagnostics.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/diagnostics.md is stale: UPDATE_EXPECT=1 writes it");
}

#[test]
fn explain_takes_a_code_however_it_is_written() {
    let space = TestSpace::new();
    let want = Code::UnknownKey.explanation().text;
    for word in ["E0201", "e0201", "error[E0201]", "error[E0201]:", "[e0201]"] {
        let said = space.run(&format!("explain {word}"));
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, want, ""), "{word}");
    }
    let two = space.run("explain E0304 n0101").stdout;
    assert!(two.starts_with("# E0304: ") && two.contains("\n\n# N0101: "), "{two}");
}

#[test]
fn explain_lists_all_codes_and_knows_when_there_is_none() {
    let space = TestSpace::new();
    let table = space.run("explain").stdout;
    for code in Code::ALL {
        assert!(table.contains(&format!("{}  {}\n", code.id(), code.meaning())), "{table}");
    }
    let said = space.run("explain E0299");
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    assert!(said.stderr.contains("did you mean `E0209`?"), "{}", said.stderr);
    let said = space.run("explain E0304 nonsense");
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    assert!(said.stderr.contains("there is no code `nonsense`"), "{}", said.stderr);
}

#[test]
fn explain_gives_data() {
    let space = TestSpace::new();
    let json: Value = serde_json::from_str(&space.run("explain E0209 --output json").stdout).unwrap();
    let code = &json["codes"][0];
    assert_eq!((&code["code"], &code["severity"]), (&"E0209".into(), &"error".into()));
    assert!(code["right"].as_str().unwrap().starts_with("version: 1\n"), "{code}");
    let yaml: Value = serde_yaml::from_str(&space.run("explain E0209 --output yaml").stdout).unwrap();
    assert_eq!(yaml, json);
    let all: Value = serde_json::from_str(&space.run("explain --output json").stdout).unwrap();
    assert_eq!(all["codes"].as_array().unwrap().len(), Code::ALL.len());
}
