//! Traces, as far as the usual build goes: it sends none, and says so. `tests/otel` is about the build that does.

use std::collections::BTreeSet;

use crate::space::root;

/// Returns the names of attributes that stand between these marks.
fn names(text: &str, mark: char) -> BTreeSet<&str> {
    let is_name = |name: &&str| {
        let starts = ["synflow.", "cicd.", "error.type", "server.address"];
        starts.iter().any(|start| name.starts_with(start))
            && name.chars().all(|letter| letter.is_ascii_lowercase() || "._".contains(letter))
    };
    text.split(mark).filter(is_name).collect()
}

#[test]
fn the_page_names_every_attribute_and_no_other() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (page, code) = (read("docs/tracing.md"), read("src/report/trace/contents.rs"));
    let sent = names(&code, '"');
    assert!(sent.contains("synflow.flow.id"), "{sent:?}");
    assert_eq!(names(&page, '`'), sent);
    let words = code.split('"').skip(1).step_by(2);
    let events = words.filter(|word| {
        word.contains('_') && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    });
    // The two that are no names of events are values of attributes.
    let events: Vec<&str> =
        events.filter(|word| !["timed_out", "not_started", "give_up"].contains(word)).collect();
    assert!(events.contains(&"run_started"), "{events:?}");
    for event in events {
        assert!(page.contains(&format!("`{event}`")), "{event}");
    }
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_without_traces_says_so_once() {
    use crate::space::{Said, TestSpace};

    const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const SPECIAL: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let why = "asks for traces, and none are sent: this synflow was built without the feature `otel`";
    let space = TestSpace::new();
    let check = |settings: &[(&str, &str)], want: &[String]| {
        let mut command = space.command("apply examples/hello.yaml --emulate".split(' '));
        let said = Said::from(command.envs(settings.iter().copied()).output().unwrap());
        assert_eq!(said.code, 0, "{}", said.stderr);
        let notes: Vec<&str> =
            said.stderr.lines().filter_map(|line| Some(line.split_once("note: ")?.1)).collect();
        assert_eq!(notes, want, "{settings:?}");
    };
    check(&[], &[]);
    check(&[(GENERAL, "")], &[]);
    check(&[(GENERAL, "http://localhost:4318")], &[format!("{GENERAL} {why}")]);
    check(&[(GENERAL, "http://localhost:4318"), (SPECIAL, "nonsense")], &[format!("{SPECIAL} {why}")]);
    check(&[(GENERAL, "http://localhost:4318"), ("OTEL_SDK_DISABLED", "TRUE")], &[]);
    check(&[(GENERAL, "http://localhost:4318"), ("OTEL_TRACES_EXPORTER", "none")], &[]);
}
