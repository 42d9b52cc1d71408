//! `synflow watch`: a second process that follows a flow by the journal alone.

use std::process::Stdio;

use synflow::report::events::StreamLine;

use crate::space::{Said, TestSpace};
use crate::streams;
use crate::witness::{Stage, wait_until};

const SCRIPT: &str = "defaults: { queued: 20ms, duration: 700ms }\n";

#[test]
fn a_flow_of_another_process_is_followed_to_its_end() {
    let stage = Stage::new(
        &format!("{SCRIPT}pipelines:\n  b: {{ outcome: failed }}\n"),
        "steps: { a: {}, b: { depends_on: [a] }, c: { depends_on: [b] } }\n",
    );
    let mut apply = stage.begin("apply PLAN");
    wait_until("the flow has begun", || stage.space.run("status").code == 0);
    let watched = stage.run("watch --progress lines");
    assert_eq!(watched.code, 1, "{}", watched.stderr);
    assert_eq!(watched.stdout, "", "progress is no data");
    let said = &watched.stderr;
    assert!(said.starts_with(&format!("flow {} of test has not ended", stage.flow())), "{said}");
    assert!(said.contains(" b    started "), "{said}");
    assert!(said.contains(" b    failed "), "{said}");
    assert!(said.contains("failed: b > Activity1, after "), "{said}");
    assert!(said.contains(&format!("next: synflow resume {}", stage.flow())), "{said}");
    assert_eq!(apply.wait().unwrap().code(), Some(1));
    // Once more, now that it is over: the end alone, at once.
    let again = stage.run(&format!("watch {}", stage.flow()));
    assert_eq!(again.code, 1);
    assert!(
        again.stderr.trim_start().starts_with(&format!("flow {} of test failed after", stage.flow())),
        "{}",
        again.stderr
    );
    assert!(!again.stderr.contains(" started "), "{}", again.stderr);
}

#[test]
fn a_flow_that_nobody_drives_ends_the_watch() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 30s }\n", "steps: { a: {} }\n");
    let mut apply = stage.begin("apply PLAN");
    wait_until("the run is there", || crate::witness::ran(&stage.emulator).len() == 1);
    let watch =
        stage.command("watch --progress lines").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    apply.kill().unwrap();
    apply.wait().unwrap();
    let said = Said::from(watch.wait_with_output().unwrap());
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert!(
        said.stderr.contains("nobody drives the flow: its process was killed or lost power"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.ends_with(&format!("next: synflow resume {}\n", stage.flow())), "{}", said.stderr);
}

#[test]
fn a_detached_flow_says_so() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 30s }\n", "steps: { a: {} }\n");
    assert_eq!(stage.run("apply PLAN --detach").code, 30);
    let said = stage.run("watch");
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert!(said.stderr.contains("its process has left it, and its runs go on"), "{}", said.stderr);
}

#[test]
fn a_flow_that_was_cancelled_or_given_up_ends_the_watch_with_that() {
    let stage =
        Stage::new("defaults: { queued: 20ms, duration: 30s, canceling: 50ms }\n", "steps: { a: {} }\n");
    let mut apply = stage.begin("apply PLAN");
    wait_until("the run is there", || crate::witness::ran(&stage.emulator).len() == 1);
    let watch = stage.begin("watch");
    assert_eq!(stage.run("cancel").code, 0);
    let said = Said::from(watch.wait_with_output().unwrap());
    assert_eq!(said.code, 7, "{}", said.stderr);
    assert!(said.stderr.contains("cancelled"), "{}", said.stderr);
    assert_eq!(apply.wait().unwrap().code(), Some(7));
    assert_eq!(stage.run("watch").code, 7, "also afterwards");

    // Of one that is left, a newer one gives it up once none of its runs is live.
    let stage = Stage::new(
        "defaults: { queued: 20ms, duration: 300ms }\n",
        "steps: { a: {}, b: { depends_on: [a] } }\n",
    );
    assert_eq!(stage.run("apply PLAN --detach").code, 30);
    let id = stage.flow();
    wait_until("its run has ended", || {
        crate::witness::ran(&stage.emulator).values().all(|run| run.ended_at.is_some())
    });
    assert_eq!(stage.run("apply PLAN --new").code, 0);
    assert_eq!(stage.run(&format!("watch {id}")).code, 7);
}

#[test]
fn a_flow_that_waits_for_a_person_ends_the_watch_with_that() {
    let (stage, _) = crate::resolve::unknown(1);
    let said = stage.run("watch");
    assert_eq!(said.code, 9, "{}", said.stderr);
    let next = format!("next: synflow resolve {} lost --run RUN | --not-started | --give-up\n", stage.flow());
    assert!(said.stderr.ends_with(&next), "{}", said.stderr);
}

/// Another machine's lock cannot be seen; its signs of life can.
#[test]
fn an_owner_on_another_machine_counts_as_long_as_it_is_heard_of() {
    let stage = Stage::new("defaults: { queued: 20ms, duration: 30s }\n", "steps: { a: {} }\n");
    assert_eq!(stage.run("apply PLAN --detach").code, 30);
    let journal = rusqlite::Connection::open(stage.space.state_dir().join("journal.db")).unwrap();
    let now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    journal
        .execute_batch(&format!(
            "INSERT INTO leases (plan, environment, run_key, flow, host, pid, user, since, heartbeat)
             SELECT plan, environment, run_key, id, 'elsewhere', 7, 'ana', {now}, {now} FROM flows"
        ))
        .unwrap();
    let mut watch = stage.begin("watch");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(watch.try_wait().unwrap(), None, "its owner lives");
    journal.execute_batch("UPDATE leases SET heartbeat = heartbeat - 120000").unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(30));
}

#[cfg(unix)]
#[test]
fn leaving_a_watch_leaves_the_flow_alone() {
    let stage = Stage::new(SCRIPT, "steps: { a: {}, b: { depends_on: [a] } }\n");
    let mut apply = stage.begin("apply PLAN");
    wait_until("the flow has begun", || stage.space.run("status").code == 0);
    let watch = stage.begin("watch");
    // It may not listen yet; then the signal ends it all the same, with another code.
    std::thread::sleep(std::time::Duration::from_millis(400));
    crate::witness::signal(&watch, "INT");
    let said = Said::from(watch.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.stderr);
    let id = stage.flow();
    assert!(
        said.stderr.ends_with(&format!("flow {id} goes on; `synflow watch {id}` shows it again\n")),
        "{}",
        said.stderr
    );
    assert_eq!(apply.wait().unwrap().code(), Some(0));
}

#[test]
fn an_emulated_flow_is_followed_and_missed() {
    let space = TestSpace::new();
    let script = space.write("slow.yaml", "defaults: { queued: 0s, duration: 2s }\n");
    let words = format!("apply examples/hello.yaml --emulate --script {}", script.display());
    let mut apply =
        space.command(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the flow is there", || space.run("status").code == 0);
    assert_eq!(space.run("watch").code, 0);
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    let mut killed =
        space.command(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second flow is there", || crate::witness::flows(&space) == 2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let said = space.run("watch");
    assert_eq!(said.code, 130, "{}", said.stderr);
    assert!(said.stderr.contains("the emulated workspace with it"), "{}", said.stderr);
    assert_eq!(space.run("watch ffffff").code, 2);
    assert_eq!(TestSpace::new().run("watch").code, 2);
}

#[test]
fn a_program_gets_every_event_from_the_first_on() {
    let stage = Stage::new(SCRIPT, "steps: { a: {}, b: { depends_on: [a] } }\n");
    let mut apply = stage.begin("apply PLAN");
    wait_until("the flow has begun", || stage.space.run("status").code == 0);
    let said = stage.run("watch --output jsonl");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let lines = streams::lines(&said.stdout);
    let seen: Vec<u64> = streams::recorded(&lines).iter().map(|recorded| recorded.seq).collect();
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    assert!(matches!(&lines[0], StreamLine::Flow { first_seq: 1, .. }), "{:?}", lines[0]);
    let Some(StreamLine::Summary(ended)) = lines.last() else { panic!("{}", said.stdout) };
    assert_eq!((ended.exit_code, ended.outcome.as_deref()), (0, Some("succeeded")));
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    let again = stage.run("watch --output jsonl");
    assert_eq!(streams::recorded(&streams::lines(&again.stdout)).len(), seen.len());
    let value: serde_json::Value = serde_json::from_str(&stage.run("watch --output json").stdout).unwrap();
    assert_eq!(value["flow"]["outcome"], "succeeded");
}
