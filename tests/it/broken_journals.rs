//! The real binary with a journal that cannot be used: exit 12, what is said, and nothing new started.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use synflow::flow::FlowId;
use synflow::journal::Journal;
use synflow::time::Timestamp;

use crate::journal::changed;
use crate::space::{Emulator, Said, TestSpace};
use crate::witness::wait_until;

/// Returns how to get a place in which file systems can be mounted, if this user may have one.
fn mounting() -> Option<[&'static str; 2]> {
    let may = |words: &[&str; 2]| {
        let script = "mount -t tmpfs synflow-test /mnt";
        let tried = Command::new(words[0]).args([words[1], "sh", "-c", script]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    [["unshare", "-m"], ["unshare", "-rm"]].into_iter().find(may)
}

/// Runs a command inside a shell script, in which it stands as `"$0" "$@"`.
fn inside(shell: &[&str], script: &str, command: &Command) -> Command {
    let mut outer = Command::new(shell.first().copied().unwrap_or("sh"));
    outer.args(shell.get(1..).unwrap_or_default());
    if !shell.is_empty() {
        outer.arg("sh");
    }
    outer.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    outer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.env("PATH", std::env::var_os("PATH").unwrap()).current_dir(command.get_current_dir().unwrap());
    outer.stdin(Stdio::null());
    outer
}

/// A plan of many short steps against an emulator.
struct Stage {
    space: TestSpace,
    emulator: Emulator,
    words: String,
}

impl Stage {
    fn new(script: &str, steps: &str) -> Self {
        let space = TestSpace::new();
        let script = space.write("script.yaml", script);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let main = format!("{{ main: {{ endpoint: \"{}\" }} }}", emulator.endpoint());
        let plan = format!("version: 1\nname: test\nworkspaces: {main}\nmax_parallel: 3\nsteps:\n{steps}");
        let path = space.write("plan.yaml", &plan);
        Self { space, emulator, words: format!("apply {} --beat 50ms", path.display()) }
    }

    fn wide() -> Self {
        let steps: Vec<String> = (0..60).map(|step| format!("  s{step}:\n")).collect();
        Self::new("defaults: { queued: 20ms, duration: 100ms }\n", &steps.concat())
    }

    fn apply(&self) -> Command {
        self.space.command_at(&self.emulator, &self.words)
    }

    /// Returns the ids of the runs that the emulator has accepted.
    fn accepted(&self) -> BTreeSet<String> {
        let record = self.emulator.record();
        let runs = record["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks a refusal before anything was started: its lines, and that there are no others.
    fn check_refused(&self, said: &Said, because: &str, hint: &str) {
        assert_eq!(said.code, 12, "{}", said.stderr);
        let lines: Vec<&str> = said.stderr.lines().collect();
        let path = self.space.state_dir().join("journal.db").display().to_string();
        let [error, cause, advice] = lines[..] else { panic!("three lines:\n{}", said.stderr) };
        assert!(error.starts_with("error: cannot ") && error.contains(&path), "{error}");
        assert!(cause.starts_with("  because ") && cause.contains(because), "{cause}");
        assert!(advice.starts_with("hint: ") && advice.contains(hint), "{advice}");
        assert_eq!(self.accepted(), BTreeSet::new(), "something was started");
    }
}

fn said(mut command: Command) -> Said {
    Said::from(command.output().unwrap())
}

fn in_background(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns the runs of events of one kind in the journal of a folder.
fn runs_in(folder: &Path, kind: &str) -> BTreeSet<String> {
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    let sql = "SELECT body ->> 'run' FROM events WHERE body ->> 'kind' = ?1";
    let mut select = connection.prepare(sql).unwrap();
    select.query_map([kind], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A journal with a flow in it that has ended.
fn finished() -> Stage {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 50ms }\n", "  one:\n");
    let other = TestSpace::new();
    let plan = fs::read_to_string(stage.space.path("plan.yaml")).unwrap();
    let other_emulator = other.emulate("--speed 100");
    let plan = plan.replace(stage.emulator.endpoint(), other_emulator.endpoint());
    let path = other.write("plan.yaml", &plan);
    let said = other.run_at(&other_emulator, &format!("apply {} --beat 20ms", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    fs::create_dir(stage.space.state_dir()).unwrap();
    fs::copy(other.state_dir().join("journal.db"), stage.space.state_dir().join("journal.db")).unwrap();
    stage
}

#[test]
fn a_file_that_is_no_journal_of_ours_ends_12() {
    let check = |damage: &dyn Fn(&Path), because: &str, hint: &str| {
        let stage = finished();
        damage(&stage.space.state_dir().join("journal.db"));
        stage.check_refused(&said(stage.apply()), because, hint);
        for words in ["status", "flows"] {
            stage.check_refused(&stage.space.run(words), because, hint);
        }
    };
    let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let rewrite = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    check(&|path| fs::write(path, "a diary\n".repeat(99)).unwrap(), "another program", "--state-dir");
    check(&|path| sql(path, "PRAGMA application_id = 7"), "another program", "--state-dir");
    check(&|path| sql(path, "PRAGMA user_version = 99"), "format 99", "install the newer synflow");
    check(&|path| rewrite(path, &|bytes| bytes.truncate(8192)), "damaged", "move the file away");
    check(&|path| rewrite(path, &|bytes| bytes[4096..].fill(0xa5)), "damaged", "move the file away");
    check(
        &|path| fs::write(path.with_extension("db-wal"), [7; 4096]).unwrap(),
        "`journal.db-wal`",
        "from a copy",
    );
}

/// It stands in nobody's way: the flow had ended.
#[test]
fn a_header_that_makes_no_sense_ends_12_where_it_is_read() {
    let stage = finished();
    let connection = Connection::open(stage.space.state_dir().join("journal.db")).unwrap();
    connection.execute_batch("UPDATE flows SET header = 'x'").unwrap();
    drop(connection);
    for words in ["status", "flows"] {
        stage.check_refused(&stage.space.run(words), "cannot be read", "docs/journal.md");
    }
    assert_eq!(said(stage.apply()).code, 0);
}

/// One flow that makes no sense is named where it is asked for, and listed as such; others are not touched by it.
#[test]
fn events_that_make_no_sense_end_12() {
    let check = |damage: &str, because: &str| {
        let stage = finished();
        Connection::open(stage.space.state_dir().join("journal.db")).unwrap().execute_batch(damage).unwrap();
        stage.check_refused(&stage.space.run("status"), because, "the other flows are not touched");
        let listed = stage.space.run("flows");
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        assert!(listed.stdout.contains(because), "{}", listed.stdout);
        stage
    };
    check("DELETE FROM events WHERE seq = 2", "event 2 of flow");
    let ends = "WHERE seq = (SELECT max(seq) FROM events)";
    for body in ["no JSON", "{\"kind\":\"danced\"}", "{}"] {
        let stage = check(&format!("UPDATE events SET body = '{body}' {ends}"), "cannot be read");
        // Whether that flow had ended nobody can say any more.
        stage.check_refused(&said(stage.apply()), "cannot be read", "the other flows are not touched");
    }
}

#[test]
fn a_full_disk_ends_12_before_anything_is_started() {
    let stage = Stage::wide();
    // The limit on the size of a file refuses as a full disk does, and needs no rights.
    let limited = inside(&[], "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", &stage.apply());
    stage.check_refused(&said(limited), "the disk takes no more", "ulimit -f");
    let Some(mounting) = mounting() else { return };
    let folder = stage.space.state_dir().display().to_string();
    for size in ["4k", "64k"] {
        let script =
            format!("mkdir -p {folder} && mount -t tmpfs -o size={size} full {folder} && exec \"$0\" \"$@\"");
        let full = inside(&mounting, &script, &stage.apply());
        stage.check_refused(&said(full), "because the disk ", "disk");
    }
}

/// What was written before the disk was full can be read all the same.
#[test]
fn a_journal_on_a_full_disk_can_be_read() {
    let Some(mounting) = mounting() else { return };
    let stage = finished();
    let (folder, kept) = (stage.space.state_dir(), stage.space.path("kept.db"));
    fs::rename(folder.join("journal.db"), &kept).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=400k full {0} && cp {1} {0}/journal.db || exit 99\n\
         dd if=/dev/zero of={0}/filler bs=4k 2>&1 | grep -q 'No space' || exit 98\n\
         exec \"$0\" \"$@\"",
        folder.display(),
        kept.display()
    );
    let status = said(inside(&mounting, &script, &stage.space.command(["status"])));
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("one"), "{}", status.stdout);
    stage.check_refused(&said(inside(&mounting, &script, &stage.apply())), "because the disk ", "disk");
}

/// Checks an `apply` whose journal in `folder` stopped to take events half way.
fn check_broken_off(stage: &Stage, said: &Said, folder: &Path, because: &str) {
    assert_eq!(said.code, 12, "{}", said.stderr);
    assert!(said.stderr.contains("error: cannot write the journal"), "{}", said.stderr);
    assert!(said.stderr.contains(because), "{}", said.stderr);
    let accepted = stage.accepted();
    assert!(!accepted.is_empty(), "it broke before anything was started\n{}", said.stderr);
    assert!(accepted.len() < 60, "it never broke");
    // The intent comes first: nothing was started that the disk does not know of.
    let intended = runs_in(folder, "start_intended");
    let started = runs_in(folder, "run_started");
    for run in &accepted {
        assert!(intended.contains(run), "run {run} was started without its intent on the disk");
        let is_named = said.stderr.contains(&format!("run {run} of step `"));
        assert!(started.contains(run) || is_named, "nobody knows of run {run}\n{}", said.stderr);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.accepted(), accepted, "something was started afterwards");
}

#[test]
fn a_disk_that_refuses_half_way_ends_12() {
    let stage = Stage::wide();
    let limited = inside(&[], "trap '' XFSZ; ulimit -f 500; exec \"$0\" \"$@\"", &stage.apply());
    let said = said(limited);
    check_broken_off(&stage, &said, &stage.space.state_dir(), "the disk takes no more");
    let status = stage.space.status();
    assert_eq!(status["flow"]["exit_code"], Value::Null, "what was written before is there");
}

#[test]
fn a_disk_that_is_full_half_way_ends_12() {
    let stage = Stage::wide();
    let Some(mounting) = mounting() else {
        // Without a disk of its own the limit on files must do.
        return a_disk_that_refuses_half_way_ends_12();
    };
    let (folder, kept) = (stage.space.state_dir(), stage.space.path("kept"));
    let script = format!(
        "mkdir -p {0} {1} && mount -t tmpfs -o size=300k full {0} || exit 99\n\
         \"$0\" \"$@\"; code=$?; cp {0}/journal.db* {1}; exit $code",
        folder.display(),
        kept.display()
    );
    let said = said(inside(&mounting, &script, &stage.apply()));
    check_broken_off(&stage, &said, &kept, "because the disk ");
}

#[test]
fn a_place_that_may_not_be_written_ends_12_and_can_be_read() {
    let check = |stage: &Stage, guard: &dyn Fn(&Command) -> Command, is_there: bool| {
        let because = if is_there { "may not write" } else { "" };
        stage.check_refused(&said(guard(&stage.apply())), because, "--state-dir");
        if is_there {
            let status = said(guard(&stage.space.command(["status"])));
            assert_eq!(status.code, 0, "{}", status.stderr);
        }
    };
    if let Some(mounting) = mounting() {
        let read_only = |stage: &Stage, name: &str| {
            let path = stage.space.path(name).display().to_string();
            let script = format!(
                "mount --bind {path} {path} && mount -o remount,ro,bind {path} && exec \"$0\" \"$@\""
            );
            move |command: &Command| inside(&mounting, &script, command)
        };
        let stage = finished();
        check(&stage, &read_only(&stage, "state"), true);
        check(&stage, &read_only(&stage, "state/journal.db"), true);
        let stage = Stage::wide();
        fs::create_dir(stage.space.state_dir()).unwrap();
        check(&stage, &read_only(&stage, "state"), false);
    }
    // Permissions do not hold for root, the guard of the mounts above does; everybody else is stopped by them.
    let stage = finished();
    set_mode(&stage.space.state_dir(), 0o500);
    set_mode(&stage.space.state_dir().join("journal.db"), 0o400);
    if fs::OpenOptions::new().append(true).open(stage.space.state_dir().join("journal.db")).is_err() {
        check(&stage, &|command| inside(&[], "exec \"$0\" \"$@\"", command), true);
    }
    set_mode(&stage.space.state_dir(), 0o700);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What the kernel tells of mounts is replaced; `journal::mount` has the rules.
#[cfg(target_os = "linux")]
#[test]
fn a_network_drive_ends_12() {
    let Some(mounting) = mounting() else { return };
    let stage = Stage::wide();
    let proc = stage.space.path("proc");
    stage.space.write("proc/self/mountinfo", "27 1 0:40 / / rw,relatime shared:1 - nfs4 server:/data rw\n");
    let script = format!("mount --bind {} /proc && exec \"$0\" \"$@\"", proc.display());
    let said = said(inside(&mounting, &script, &stage.apply()));
    stage.check_refused(&said, "a network drive (nfs4)", "--state-dir");
    assert!(!stage.space.state_dir().exists(), "not even the folder was made");
}

/// The first start of a workspace goes alone; the next two are answered late, while the journal breaks.
#[test]
fn runs_that_only_memory_knows_are_named() {
    let check = |lose: &dyn Fn(&Path), because: &str| {
        let script = "defaults: { queued: 20ms, duration: 100ms }\n\
                      faults: [{ on: createRun, kind: slow, for: 2s, skip: 1 }]\n";
        let steps = "  a:\n  b: { depends_on: [a] }\n  c: { depends_on: [a] }\n  d: { depends_on: [b] }\n";
        let stage = Stage::new(script, steps);
        let apply = in_background(stage.apply());
        wait_until("three runs are accepted", || stage.accepted().len() == 3);
        let folder = stage.space.state_dir();
        let known = runs_in(&folder, "run_started");
        lose(&folder);
        let said = Said::from(apply.wait_with_output().unwrap());
        assert_eq!(said.code, 12, "{}", said.stderr);
        assert!(said.stderr.contains(because), "{}", said.stderr);
        let accepted = stage.accepted();
        assert_eq!(accepted.len(), 3, "something was started afterwards");
        let unknown: Vec<&String> = accepted.difference(&known).collect();
        assert_eq!(unknown.len(), 2, "{known:?}");
        for run in unknown {
            let beginning = format!("  because run {run} of step `");
            let line = said.stderr.lines().find(|line| line.starts_with(&beginning));
            let line = line.unwrap_or_else(|| panic!("run {run} is not named\n{}", said.stderr));
            assert!(line.ends_with("` was started and is not in the journal"), "{line}");
        }
    };
    check(&|folder| fs::remove_file(folder.join("journal.db")).unwrap(), "moved, removed or replaced");
    check(&|folder| fs::remove_dir_all(folder).unwrap(), "moved, removed or replaced");
    check(&|folder| fs::rename(folder, folder.with_extension("old")).unwrap(), "moved, removed or replaced");
    check(&|folder| overtake(folder), "another process has written");
}

/// Writes the next event of the one flow, as a second process would that took the flow for its own.
fn overtake(folder: &Path) {
    let mut journal = Journal::open(folder).unwrap();
    let flow: FlowId = journal.flows().unwrap().remove(0).id;
    let next = journal.events(&flow).unwrap().len() as u64 + 1;
    journal.append(&flow, next, Timestamp::from_epoch_ms(0), &[changed(1)]).unwrap();
}

#[test]
fn an_orderly_exit_leaves_one_file_and_a_kill_loses_nothing() {
    let stage = Stage::new("defaults: { duration: 60s }\n", "  one:\n  two:\n");
    let files = |of: &Stage| -> BTreeSet<String> {
        let entries = fs::read_dir(of.space.state_dir()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("journal")).collect()
    };
    let mut killed = in_background(stage.apply());
    wait_until("two runs are accepted", || stage.accepted().len() == 2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(files(&stage).contains("journal.db-wal"), "{:?}", files(&stage));
    let status = stage.space.run("status");
    assert_eq!(status.code, 0, "{}", status.stderr);
    for run in stage.accepted() {
        assert!(status.stdout.contains(&run), "{}", status.stdout);
    }
    assert_eq!(files(&stage), BTreeSet::from(["journal.db".to_owned()]), "the next one takes the log in");
    let done = Stage::new("defaults: { duration: 50ms }\n", "  one:\n");
    assert_eq!(said(done.apply()).code, 0);
    assert_eq!(files(&done), BTreeSet::from(["journal.db".to_owned()]));
}
