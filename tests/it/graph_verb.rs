//! `synflow graph`: expected pictures in every format, pictures of flows, and `docs/graph.md`, whose commands run.
//!
//! `UPDATE_EXPECT=1 cargo test --test it graph_verb` writes `tests/graph/` anew; look at the pictures before committing.

use std::fs;

use serde_json::Value;

use crate::space::{Said, TestSpace, root};

/// The formats, and how their files end.
const FORMATS: [(&str, &str); 5] =
    [("text", "txt"), ("mermaid", "mmd"), ("dot", "dot"), ("svg", "svg"), ("json", "json")];

/// Compares a text with a file of `tests/graph/`.
fn expect(name: &str, text: &str) {
    let path = root().join("tests/graph").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "tests/graph/{name} is stale, UPDATE_EXPECT=1 writes it:\n{text}");
}

fn drawn(space: &TestSpace, words: &str) -> Said {
    let said = space.run(&format!("graph {words}"));
    assert_eq!(said.code, 0, "graph {words}: {}", said.stderr);
    said
}

/// Replaces what differs each time: the flow's id, and how long it took.
fn steady(text: &str, id: &str) -> String {
    let text = text.replace(id, "7f3a9c");
    let mut steady = String::new();
    for (at, piece) in text.split(" after ").enumerate() {
        // Of `failed after 2.1s`, the time.
        let is_time = at > 0 && piece.starts_with(|c: char| c.is_ascii_digit());
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(piece.len());
        steady.push_str(if at > 0 { " after " } else { "" });
        if is_time {
            steady.push_str("2.0s");
        }
        steady.push_str(if is_time { &piece[end..] } else { piece });
    }
    steady
}

#[test]
fn a_plan_has_a_picture_in_every_format() {
    let space = TestSpace::new();
    for (format, end) in FORMATS {
        let said = drawn(&space, &format!("tests/graph/exotic.yaml --format {format}"));
        expect(&format!("exotic.{end}"), &said.stdout);
        let said = drawn(&space, &format!("tests/graph/exotic.yaml --expand --format {format}"));
        expect(&format!("exotic-expanded.{end}"), &said.stdout);
    }
}

#[test]
fn a_flow_has_its_outcomes() {
    let space = TestSpace::new();
    let script = "seed: 1\ndefaults: { duration: 200ms }\npipelines:\n  pl_ingest_region:\n    runs:\n      - outcome: failed\n      \
                  - {}\n  _x_: { duration: 100ms }\n  end: { outcome: failed }\n";
    let script = space.write("script.yaml", script);
    let words = format!("apply examples/regions.yaml --emulate --script {}", script.display());
    assert_eq!(space.run(&words).code, 1);
    let id = space.status()["flow"]["id"].as_str().unwrap().to_owned();
    for (format, end) in FORMATS {
        let said = drawn(&space, &format!("@latest --format {format}"));
        expect(&format!("flow.{end}"), &steady(&said.stdout, &id));
    }
    // Which of the iterations failed depends on who came first, so only their words are looked at.
    let said = drawn(&space, "regions@latest --expand --format json");
    let graph: Value = serde_json::from_str(&said.stdout).unwrap();
    let nodes = graph["nodes"].as_array().unwrap();
    let of = |group: &str| {
        let mut words: Vec<&str> = nodes
            .iter()
            .filter(|node| node["group"] == group)
            .map(|node| node["outcome"].as_str().unwrap())
            .collect();
        words.sort_unstable();
        words
    };
    assert_eq!(of("ingest"), ["failed", "succeeded", "succeeded"]);
    assert_eq!(of("curate"), ["blocked", "succeeded", "succeeded"]);
    // Without a name it is the latest, too.
    assert_eq!(steady(&drawn(&space, "--format text").stdout, &id), steady(&drawn(&space, &id).stdout, &id));
    let said = space.run("graph @latest --select ingest");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("made with"), "{}", said.stderr);
}

#[test]
fn what_a_plan_leaves_open_is_chosen() {
    let space = TestSpace::new();
    let said = drawn(&space, "examples/regions.yaml --select ingest+1 --exclude ingest[amer]");
    assert!(said.stdout.contains("ingest ×2"), "{}", said.stdout);
    assert!(!said.stdout.contains("publish"), "{}", said.stdout);
    let words = ["graph", "examples/regions.yaml", "--input", "regions=[a]"];
    let said = Said::from(space.command(words).output().unwrap());
    assert!(said.stdout.contains("ingest ×1"), "{}", said.stdout);
    let said = drawn(&space, "examples/environments.yaml --env prod");
    assert!(said.stdout.contains("in the environment `prod`"), "{}", said.stdout);
    // A list that nobody has given yet is drawn all the same.
    let open = "version: 1\nname: open\nworkspace: w\ninputs:\n  tables: { type: array }\nsteps:\n  load: { for_each: \
                \"{{inputs.tables}}\" }\n  next: { depends_on: [load] }\n";
    let path = space.write("open.yaml", open);
    let said = drawn(&space, &path.display().to_string());
    assert!(said.stdout.contains("load ×?"), "{}", said.stdout);
    assert!(said.stdout.contains("after load\n"), "{}", said.stdout);
}

#[test]
fn pictures_go_into_files_without_colours() {
    let space = TestSpace::new();
    let path = space.path("picture.svg");
    let said = drawn(&space, &format!("examples/regions.yaml --format svg -o {}", path.display()));
    assert_eq!(said.stdout, "");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        drawn(&space, "examples/regions.yaml --format svg").stdout
    );
    let said = space.run("graph examples/regions.yaml -o no/such/folder/x.svg");
    assert_eq!(said.code, 2, "{}", said.stderr);
}

#[test]
fn what_is_neither_plan_nor_flow_is_answered() {
    let space = TestSpace::new();
    let said = space.run("graph nowhere.yaml");
    assert_eq!(said.code, 3, "{}", said.stderr);
    let said = space.run("graph nothing");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("no such file"), "{}", said.stderr);
    assert_eq!(space.run("graph tests/plans/bad/cycle.yaml").code, 3);
}

#[test]
fn large_plans_have_pictures_too() {
    let space = TestSpace::new();
    for steps in [100, 1_000, 3_000] {
        let mut text = "version: 1\nname: many\nworkspace: w\nsteps:\n".to_owned();
        for n in 0..steps {
            let after =
                if n < 10 { String::new() } else { format!("depends_on: [s{}, s{}]", n - 10, n - 9 + n % 5) };
            text.extend(["  s", &n.to_string(), ": { ", &after, " }\n"]);
        }
        let path = space.write("many.yaml", &text);
        let said = drawn(&space, &format!("{} --format svg", path.display()));
        well_formed(&said.stdout);
        let said = drawn(&space, &format!("{} --format mermaid", path.display()));
        assert_eq!(said.stderr.contains("Mermaid draws at most 500"), steps > 100, "{}", said.stderr);
    }
}

#[test]
fn expected_svgs_are_well_formed() {
    for name in ["exotic.svg", "exotic-expanded.svg", "flow.svg"] {
        well_formed(&fs::read_to_string(root().join("tests/graph").join(name)).unwrap());
    }
}

/// Checks that tags are closed in order, attributes quoted, and nothing stands bare that XML reads as code.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a bare > in {text:?}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name};");
        }
        let end = tag.find('>').expect("a tag ends");
        let inner = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
            continue;
        }
        assert_eq!(inner.matches('"').count() % 2, 0, "{inner}");
        let name = inner.split([' ', '/']).next().unwrap();
        if !inner.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(xml.chars().all(|c| c == '\n' || !c.is_control()), "a control character");
}

#[test]
fn the_commands_of_its_page_run_and_its_texts_are_real() {
    let page = fs::read_to_string(root().join("docs/graph.md")).unwrap();
    let space = TestSpace::new();
    let mut said = String::new();
    let mut shown = 0;
    for block in page.split("```").skip(1).step_by(2) {
        if let Some(commands) = block.strip_prefix("sh\n") {
            for command in commands.lines().filter_map(|line| line.strip_prefix("synflow ")) {
                // What a command writes goes where the test's own files are.
                let command = command.replace(" -o ", &format!(" -o {}/", space.path("").display()));
                let ran = space.run(&command);
                let fails_on_purpose = command.starts_with("apply examples/fails.yaml");
                assert_eq!(ran.code, i32::from(fails_on_purpose), "{command}: {}", ran.stderr);
                said = ran.stdout;
                shown += 1;
            }
        } else if let Some(text) = block.strip_prefix("text\n").or_else(|| block.strip_prefix("mermaid\n")) {
            let flow = space.run("status --output json").stdout;
            let flow: Value = serde_json::from_str(&flow).unwrap_or_default();
            let id = flow["flow"]["id"].as_str().unwrap_or("no flow");
            assert_eq!(steady(&said, id), steady(text, "7f3a9c"), "docs/graph.md shows something else");
        }
    }
    assert!(shown >= 6, "{shown}");
}
