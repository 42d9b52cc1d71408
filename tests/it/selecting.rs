//! `apply --select` and `--exclude`, the real binary against an emulated workspace.

use crate::witness::{Stage, outcomes};

const SCRIPT: &str = "defaults: { queued: 10ms, duration: 100ms }\n";
const STEPS: &str = "steps:
  up: {}
  a: { for_each: [x, y], depends_on: [up], tags: [bronze] }
  next: { depends_on: [a] }
  mend: { depends_on: [{ a: [failed] }] }
  read: { depends_on: [up], parameters: { run: '{{steps.up.run_id}}' } }
";

#[test]
fn only_what_is_selected_runs() {
    let check = |words: &str, want: &[(&str, &str)]| {
        let stage = Stage::new(SCRIPT, STEPS);
        let said = stage.run(&format!("apply PLAN {words}"));
        assert_eq!(said.code, 0, "{words}: {}", said.stderr);
        let status = stage.space.status();
        assert_eq!(outcomes(&status).into_iter().collect::<Vec<_>>(), want, "{words}");
        let runs = want.iter().filter(|(_, outcome)| *outcome == "succeeded").count();
        assert_eq!(stage.emulator.record()["runs"].as_array().unwrap().len(), runs, "{words}");
    };
    check("--select a", &[("a[x]", "succeeded"), ("a[y]", "succeeded")]);
    check("--select a[y]+", &[("a[y]", "succeeded"), ("mend", "not_needed"), ("next", "succeeded")]);
    check("--select tag:bronze --exclude a[x]", &[("a[y]", "succeeded")]);
    check(
        "--exclude a --exclude read",
        &[("mend", "not_needed"), ("next", "succeeded"), ("up", "succeeded")],
    );
}

#[test]
fn a_selection_without_sense_starts_nothing() {
    let stage = Stage::new(SCRIPT, STEPS);
    let check = |words: &str, wanted: &[&str]| {
        let said = stage.run(&format!("apply PLAN {words}"));
        assert_eq!(said.code, 2, "{words}: {}", said.stderr);
        for words in wanted {
            assert!(said.stderr.contains(words), "{words:?} not in {}", said.stderr);
        }
    };
    check("--select nxt", &["no step `nxt`", "did you mean `next`?"]);
    check("--select next --exclude next", &["no step is left"]);
    check("--select read", &["`read` reads what became of `up`", "resume --redo read"]);
    assert!(stage.emulator.record()["runs"].as_array().unwrap().is_empty());
}

#[test]
fn a_selection_is_kept_for_a_resume() {
    let script = format!(
        "{SCRIPT}pipelines:\n  next: {{ runs: [{{ outcome: failed }}, {{ outcome: succeeded }}] }}\n"
    );
    let stage = Stage::new(&script, STEPS);
    assert_eq!(stage.run("apply PLAN --select next").code, 1);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(outcomes(&stage.space.status()).into_iter().collect::<Vec<_>>(), [("next", "succeeded")]);
    assert_eq!(stage.emulator.record()["runs"].as_array().unwrap().len(), 2);
    // Another selection is another flow.
    assert_eq!(stage.run("apply PLAN --select up --resume").code, 0);
    assert_eq!(outcomes(&stage.space.status()).into_iter().collect::<Vec<_>>(), [("up", "succeeded")]);
}
