//! How progress is told where nothing moves: `--progress`, `--quiet`, `--verbose`, and what breaks a long silence.

use crate::space::{Said, TestSpace};

const PLAN: &str = "version: 1\nname: night\nworkspace: contoso-dw\nsteps:\n  load: {}\n  \
                    curate: { depends_on: [load] }\n  publish: { depends_on: [curate] }\n";

const SCRIPT: &str = "defaults: { queued: 10ms, duration: 200ms }\npipelines: { curate: { outcome: failed, duration: 1500ms } }\n";

fn apply(words: &str) -> Said {
    let space = TestSpace::new();
    let (plan, script) = (space.write("plan.yaml", PLAN), space.write("script.yaml", SCRIPT));
    let said = space.run(&format!(
        "apply {} --emulate --script {} --beat 50ms{words}",
        plan.display(),
        script.display()
    ));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(said.stdout, "", "progress goes to stderr");
    said
}

/// Returns the facts told, each as the step and the word for what happened.
fn facts(said: &Said) -> Vec<String> {
    let lines = said.stderr.lines().take_while(|line| !line.is_empty() && !line.starts_with("flow "));
    let fact = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default())
    };
    lines.filter(|line| !line.ends_with("times are UTC")).map(fact).collect()
}

#[test]
fn a_flag_says_how_much_is_told() {
    let usual = ["load started", "load succeeded", "curate started", "curate failed", "publish blocked"];
    assert_eq!(facts(&apply("")), usual);
    assert_eq!(facts(&apply(" --progress lines")), usual);
    assert_eq!(facts(&apply(" --quiet")), ["curate failed"]);
    let none = apply(" --progress none");
    assert!(none.stderr.starts_with("flow "), "only how it ended: {}", none.stderr);
    let more = apply(" -v");
    let told = facts(&more);
    for fact in ["curate starting", "curate run", "curate activity", "publish blocked"] {
        assert!(told.contains(&fact.to_owned()), "{fact}\n{}", more.stderr);
    }
    assert!(
        more.stderr.contains("load succeeded; asking for run "),
        "the edge that released it\n{}",
        more.stderr
    );
    for said in [apply(" --quiet"), none, more] {
        assert!(said.stderr.contains("\nfailed: curate > Activity1, after "), "{}", said.stderr);
        assert!(said.stderr.contains("\nnext: synflow status "), "{}", said.stderr);
    }
}

#[test]
fn a_long_silence_is_broken() {
    let said = apply(" --max-silence 300ms");
    let alive: Vec<&str> = said.stderr.lines().filter(|line| line.contains("goes on")).collect();
    assert!((2..=6).contains(&alive.len()), "{}", said.stderr);
    let line = alive[0].split_once("goes on").unwrap().1.trim();
    assert!(line.starts_with("1/3 done, 1 running, 1 waiting; curate "), "{line}");
    assert!(!apply("").stderr.contains("goes on"), "a second and a half is no silence");
    assert!(!apply(" --quiet --max-silence 300ms").stderr.contains("goes on"));
    let bad = TestSpace::new().run("apply examples/hello.yaml --emulate --max-silence 1");
    assert_eq!(bad.code, 2, "{}", bad.stderr);
    assert!(bad.stderr.contains("`--max-silence` cannot be `1`"), "{}", bad.stderr);
}

#[test]
fn quiet_and_verbose_exclude_each_other_and_a_rehearsal_unseen_shows_nothing() {
    let space = TestSpace::new();
    assert_eq!(space.run("apply examples/hello.yaml --emulate -q -v").code, 2);
    for words in ["--progress lines", "--quiet", "-v"] {
        let said = space.run(&format!("rehearse examples/hello.yaml {words}"));
        assert_eq!(said.code, 2, "{words}");
        assert!(said.stderr.contains("progress is shown only with `--speed`"), "{}", said.stderr);
    }
    let said = space.run("rehearse examples/hello.yaml --speed 100000 --quiet");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.starts_with("flow rehearsal of "), "{}", said.stderr);
}
