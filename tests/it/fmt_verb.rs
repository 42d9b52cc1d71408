//! `synflow fmt` through the real binary: what is written, what is not, and with which exit code.

use std::io::Write;
use std::process::Stdio;

use crate::space::{Said, TestSpace};

const LAID: &str = "version: 1\nname: x\nworkspace: contoso-dw\nsteps:\n  a: {} # why\n";
const OTHER: &str = "name:   x\nversion: 1\nworkspace: contoso-dw\nsteps:\n    a: { }\n";

/// Runs a command with something on its stdin.
fn piped(space: &TestSpace, words: &[&str], text: &[u8]) -> Said {
    let mut command = space.command(words.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    Said::from(child.wait_with_output().unwrap())
}

#[test]
fn files_are_replaced_and_named_once() {
    let space = TestSpace::new();
    let path = space.write("plan.yaml", OTHER);
    let said = space.run(&format!("fmt {}", path.display()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(said.stdout, format!("{}\n", path.display()));
    let want = "version: 1\nname: x\nworkspace: contoso-dw\nsteps:\n  a: {}\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
    let said = space.run(&format!("fmt {}", path.display()));
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
    let names: Vec<_> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

#[test]
fn check_and_diff_write_nothing() {
    let space = TestSpace::new();
    let path = space.write("plan.yaml", OTHER);
    let good = space.write("good.yaml", "version: 1\nname: x\n");
    let said = space.run(&format!("fmt --check {} {}", path.display(), good.display()));
    assert_eq!((said.code, said.stdout), (1, format!("{}\n", path.display())));
    for words in ["--diff", "--check --diff"] {
        let said = space.run(&format!("fmt {words} {}", path.display()));
        assert_eq!(said.code, 1);
        assert!(said.stdout.contains("\n-name:   x\n"), "{}", said.stdout);
        assert!(said.stdout.contains("\n+  a: {}\n"), "{}", said.stdout);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OTHER);
    let said = space.run(&format!("fmt --check --diff {}", good.display()));
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
}

#[test]
fn stdin_goes_to_stdout() {
    let space = TestSpace::new();
    let said = piped(&space, &["fmt", "-"], LAID.as_bytes());
    assert_eq!((said.code, said.stdout.as_str()), (0, LAID.replace("} #", "}  #").as_str()));
    let said = piped(&space, &["fmt", "--check", "-"], LAID.as_bytes());
    assert_eq!((said.code, said.stdout.as_str()), (1, "stdin\n"));
    let said = piped(&space, &["fmt", "-"], b"a: [1");
    assert_eq!((said.code, said.stdout.as_str()), (3, ""));
    assert!(said.stderr.contains("stdin:1:"), "{}", said.stderr);
}

#[test]
fn what_cannot_be_read_ends_3_and_the_others_are_laid_out() {
    let space = TestSpace::new();
    let bad = space.write("bad.yaml", "steps:\n\ta: 1\n");
    let path = space.write("plan.yaml", OTHER);
    let gone = space.path("gone.yaml");
    let said = space.run(&format!("fmt {} {} {}", bad.display(), gone.display(), path.display()));
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("E0105"), "{}", said.stderr);
    assert!(said.stderr.contains("gone.yaml"), "{}", said.stderr);
    assert_eq!(std::fs::read_to_string(&bad).unwrap(), "steps:\n\ta: 1\n");
    assert_ne!(std::fs::read_to_string(&path).unwrap(), OTHER);
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let space = TestSpace::new();
    let path = space.write("plan.yaml", OTHER);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let link = space.path("link.yaml");
    symlink(&path, &link).unwrap();
    assert_eq!(space.run(&format!("fmt {}", link.display())).code, 0);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), OTHER);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());

    let locked = space.write("locked.yaml", OTHER);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o440)).unwrap();
    let said = space.run(&format!("fmt {}", locked.display()));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert_eq!(std::fs::read_to_string(&locked).unwrap(), OTHER);
}

#[test]
fn the_schema_is_browsed() {
    let space = TestSpace::new();
    let said = space.run("schema steps.load.depends_on");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("steps.*.depends_on: list or text\n"), "{}", said.stdout);
    assert!(said.stdout.contains("\n  completed  It ended"), "{}", said.stdout);
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 80), "{}", said.stdout);
    let said = space.run("schema steps.retry --output json");
    let topic: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(topic["path"], "steps.*.retry");
    assert_eq!(topic["keys"][0], "steps.*.retry.max_attempts");
    let said = space.run("schema --output text");
    assert!(said.stdout.starts_with("a plan: map\n"), "{}", said.stdout);
    assert!(space.run("schema --output yaml").stdout.contains("\ntitle: A synflow plan\n"));
    let said = space.run("schema retry");
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `defaults.retry` or `steps.*.retry`?"), "{}", said.stderr);
}
