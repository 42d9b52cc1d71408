//! Who owns a key, and what a process that owns it no longer may do: two journals, and two processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use synflow::flow::{Event, FlowHeader, FlowKey};
use synflow::journal::{Holder, Holding, Journal, Lease};
use synflow::time::Delay;

use crate::journal::{chain, changed, id, place};
use crate::play::{DAWN, header, run_id};

/// Tells this binary, started by one of its own tests, in which folder to play the other process.
const OTHER_PROCESS: &str = "SYNFLOW_TEST_OTHER_PROCESS";

fn key(plan: &str) -> FlowKey {
    FlowKey { plan: plan.to_owned(), environment: "prod".to_owned(), run_key: "2026-11-23".to_owned() }
}

fn holder(pid: u32) -> Holder {
    Holder { host: "etl-7".to_owned(), pid, user: "ada".to_owned() }
}

fn hold(journal: &mut Journal, flow: &str, pid: u32) -> Holding {
    journal.hold(&key("nightly"), &id(flow), &holder(pid), DAWN).unwrap()
}

fn header_of_key(flow: &str) -> FlowHeader {
    let key = key("nightly");
    FlowHeader {
        environment: key.environment,
        run_key: key.run_key,
        emulated: false,
        ..header(flow, &key.plan, 4)
    }
}

/// Opens a journal that owns the key for a flow it has made.
fn owner(folder: &Path, flow: &str, pid: u32) -> Journal {
    let mut journal = Journal::open(folder).unwrap();
    assert_eq!(hold(&mut journal, flow, pid), Holding::Ours);
    assert_eq!(journal.create(&header_of_key(flow)).unwrap(), None);
    journal
}

#[test]
fn the_second_learns_who_the_first_is() {
    let (_temp, folder) = place();
    let mut first = owner(&folder, "a00001", 11);
    let mut second = Journal::open(&folder).unwrap();
    let Holding::Elsewhere(Some(lease)) = hold(&mut second, "a00002", 12) else {
        panic!("there are two owners")
    };
    let want = Lease {
        key: key("nightly"),
        flow: id("a00001"),
        holder: holder(11),
        since: DAWN,
        heartbeat: DAWN,
        epoch: lease.epoch,
        is_locked: true,
    };
    assert_eq!(lease, want);
    assert_eq!(lease.holder.to_string(), "ada on etl-7, process 11");
    // Nor may the first take it twice.
    assert_eq!(hold(&mut first, "a00001", 11), Holding::Elsewhere(Some(want.clone())));

    let later = DAWN + Delay::from_secs(30);
    first.heartbeat(later).unwrap();
    let beating = Lease { heartbeat: later, ..want };
    assert_eq!(second.lease(&key("nightly")).unwrap(), Some(beating.clone()));
    assert_eq!(second.leases().unwrap(), [beating]);
    second.heartbeat(DAWN).unwrap();
    assert_eq!(second.leases().unwrap()[0].heartbeat, later, "one without a hold has changed it");
}

#[test]
fn keys_do_not_stand_in_each_others_way() {
    let (_temp, folder) = place();
    let _first = owner(&folder, "a00001", 11);
    let check = |key: FlowKey| {
        let mut journal = Journal::open(&folder).unwrap();
        assert_eq!(journal.hold(&key, &id("b00001"), &holder(12), DAWN).unwrap(), Holding::Ours, "{key:?}");
    };
    check(key("weekly"));
    check(FlowKey { environment: String::new(), ..key("nightly") });
    check(FlowKey { run_key: "2026-11-24".to_owned(), ..key("nightly") });
    check(FlowKey { plan: "night".to_owned(), environment: "lyprod".to_owned(), ..key("") });
}

#[test]
fn what_is_given_back_is_free() {
    let (_temp, folder) = place();
    let mut first = owner(&folder, "a00001", 11);
    let mut second = Journal::open(&folder).unwrap();
    first.release().unwrap();
    assert_eq!(second.leases().unwrap(), []);
    assert_eq!(hold(&mut second, "a00001", 12), Holding::Ours);
    first.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap();
    drop(second);
    assert_eq!(first.leases().unwrap(), []);
    assert_eq!(hold(&mut first, "a00001", 11), Holding::Ours);
}

#[test]
fn an_owner_without_its_lease_writes_no_more() {
    let (_temp, folder) = place();
    let mut first = owner(&folder, "a00001", 11);
    first.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap();
    let mut second = Journal::open(&folder).unwrap();
    let lease = second.lease(&key("nightly")).unwrap().unwrap();
    assert!(second.break_lease(&lease).unwrap());
    assert!(!second.break_lease(&lease).unwrap(), "it is gone");

    let error = first.append(&id("a00001"), 2, DAWN, &[changed(2)]).unwrap_err();
    assert!(error.is_lease_lost());
    assert!(chain(&error).ends_with("the lease was removed; this process may write no more"), "{error:?}");
    assert!(first.heartbeat(DAWN).unwrap_err().is_lease_lost());
    assert!(first.create(&header_of_key("a00003")).unwrap_err().is_lease_lost());
    assert_eq!(first.events(&id("a00001")).unwrap().len(), 1);
    // The lock beats the row: the first is still there.
    assert_eq!(hold(&mut second, "a00001", 12), Holding::Elsewhere(None));
    drop(first);
    assert_eq!(hold(&mut second, "a00001", 12), Holding::Ours);
}

#[test]
fn an_owner_whose_lock_was_deleted_is_told_who_came_after_it() {
    let (_temp, folder) = place();
    let mut first = owner(&folder, "a00001", 11);
    fs::remove_dir_all(folder.join("locks")).unwrap();
    let mut second = Journal::open(&folder).unwrap();
    let mine = second.lease(&key("nightly")).unwrap().unwrap();
    assert!(second.break_lease(&mine).unwrap());
    assert_eq!(hold(&mut second, "a00002", 12), Holding::Ours);
    let theirs = second.lease(&key("nightly")).unwrap().unwrap();
    assert!(theirs.epoch > mine.epoch, "an epoch has come twice");

    let error = first.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap_err();
    assert!(error.is_lease_lost());
    let text = chain(&error);
    assert!(text.contains("held by ada on etl-7, process 12 with flow `a00002` since 2023-"), "{text}");
    // What is not its own it does not remove.
    drop(first);
    assert_eq!(second.lease(&key("nightly")).unwrap(), Some(theirs));
    second.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap();
}

#[test]
fn a_lease_that_has_changed_since_it_was_shown_is_not_broken() {
    let (_temp, folder) = place();
    let mut first = owner(&folder, "a00001", 11);
    let shown = first.lease(&key("nightly")).unwrap().unwrap();
    first.release().unwrap();
    assert_eq!(hold(&mut first, "a00001", 11), Holding::Ours);
    assert!(!first.break_lease(&shown).unwrap());
    first.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap();
}

/// Starts this test once more, as another process that plays its own part in a folder.
fn other_process(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(OTHER_PROCESS, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the other process to say a line.
fn wait_for(child: &mut Child, word: &str) {
    let said = BufReader::new(child.stdout.take().unwrap()).lines().any(|line| line.unwrap().contains(word));
    assert!(said, "the other process ended without saying `{word}`");
}

#[test]
fn a_killed_owner_is_known_at_once() {
    if let Some(folder) = std::env::var_os(OTHER_PROCESS) {
        let mut journal = owner(Path::new(&folder), "a00001", std::process::id());
        journal.append(&id("a00001"), 1, DAWN, &[changed(1)]).unwrap();
        std::io::Write::write_all(&mut std::io::stdout(), b"\nit is mine\n").unwrap();
        // Until it is killed, or the test that started it is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let (_temp, folder) = place();
    let mut other = other_process("owners::a_killed_owner_is_known_at_once", &folder);
    wait_for(&mut other, "it is mine");
    let mut journal = Journal::open(&folder).unwrap();
    let Holding::Elsewhere(Some(theirs)) = hold(&mut journal, "a00001", 12) else {
        panic!("there are two owners")
    };
    assert_eq!((theirs.holder.pid, theirs.is_locked), (other.id(), true));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!journal.lease(&key("nightly")).unwrap().unwrap().is_locked);
    assert_eq!(hold(&mut journal, "a00001", 12), Holding::Ours);
    assert!(journal.lease(&key("nightly")).unwrap().unwrap().epoch > theirs.epoch);
    journal.append(&id("a00001"), 2, DAWN, &[changed(2)]).unwrap();
}

#[test]
fn of_many_who_want_a_key_one_gets_it() {
    let (_temp, folder) = place();
    drop(Journal::open(&folder).unwrap());
    // Each keeps what it got until all have tried.
    let (folder, all_have_tried) = (&folder, &std::sync::Barrier::new(8));
    let got: Vec<Holding> = std::thread::scope(|scope| {
        let one = |pid| {
            scope.spawn(move || {
                let mut journal = Journal::open(folder).unwrap();
                let holding = hold(&mut journal, "a00001", pid);
                all_have_tried.wait();
                holding
            })
        };
        let threads: Vec<_> = (1..=8).map(one).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(got.iter().filter(|holding| **holding == Holding::Ours).count(), 1, "{got:?}");
}

#[test]
fn those_who_only_look_do_not_stand_in_the_way() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    drop(owner(&folder, "a00001", 11));
    let folder = &folder;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut onlooker = Journal::open_existing(folder).unwrap().unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    onlooker.lease(&key("nightly")).unwrap();
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
        }
        let taken = (0..20).all(|_| {
            let holding = hold(&mut journal, "a00002", 12);
            journal.release().unwrap();
            holding == Holding::Ours
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(taken, "an onlooker was taken for an owner");
    });
}

#[test]
fn what_is_asked_waits_for_its_answer() {
    let (_temp, folder) = place();
    let mut journal = owner(&folder, "a00001", 11);
    let mut other = Journal::open(&folder).unwrap();
    for (flow, event) in [("a00001", changed(1)), ("b00001", changed(2)), ("a00001", Event::GivenUp)] {
        other.ask(&id(flow), DAWN, &event).unwrap();
    }
    let asked = journal.asked(&id("a00001")).unwrap();
    let events: Vec<Event> = asked.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(events, [changed(1), Event::GivenUp]);
    journal.dismiss(asked[0].0).unwrap();
    assert_eq!(journal.asked(&id("a00001")).unwrap(), asked[1..]);
    assert_eq!(journal.asked(&id("b00001")).unwrap().len(), 1);
    assert_eq!(journal.asked(&id("c00001")).unwrap(), []);
    assert_eq!(journal.events(&id("a00001")).unwrap(), [], "a request is no event");
}

#[test]
fn a_workspace_once_disproven_stays_so() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    let at = |seconds| DAWN + Delay::from_secs(seconds);
    let mut check = |endpoint: &str, shown: &[(bool, u64)], want: (bool, u64)| {
        for (is_proven, seconds) in shown {
            journal.learn(endpoint, *is_proven, at(*seconds)).unwrap();
        }
        let learned = journal.learned().unwrap();
        assert_eq!(learned.get(endpoint), Some(&(want.0, at(want.1))), "{shown:?}");
    };
    check("https://a", &[(true, 1)], (true, 1));
    check("https://b", &[(true, 1), (true, 9), (true, 5)], (true, 9));
    check("https://c", &[(false, 3), (true, 9)], (false, 3));
    check("https://d", &[(true, 9), (false, 3)], (false, 3));
    check("https://e", &[(false, 3), (false, 9), (false, 5), (true, 20)], (false, 9));
    assert_eq!(journal.learned().unwrap().len(), 5);
}

#[test]
fn a_run_that_another_flow_speaks_of_is_claimed() {
    let (_temp, folder) = place();
    let mut journal = owner(&folder, "a00001", 11);
    let step = || synflow::plan::StepId::new("load");
    let parameters = serde_json::Map::new();
    let intended = Event::StartIntended {
        step: step(),
        attempt: 1,
        run: run_id(1),
        parameters,
        secrets: Vec::new(),
        recovery: None,
    };
    let started = Event::RunStarted { step: step(), attempt: 1, run: run_id(2), adopted: true };
    journal.append(&id("a00001"), 1, DAWN, &[intended, started, changed(1)]).unwrap();
    let mut check = |flow: &str, run, want| {
        assert_eq!(journal.is_claimed_elsewhere(&id(flow), run_id(run)).unwrap(), want, "{flow} {run}");
    };
    check("b00001", 1, true);
    check("b00001", 2, true);
    check("b00001", 3, false);
    check("a00001", 1, false);
    check("a00001", 2, false);
}

#[test]
fn flows_are_told_apart_by_their_keys() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    let nightly = key("nightly");
    let tomorrow = FlowKey { run_key: "2026-11-24".to_owned(), ..nightly.clone() };
    let at = |hour: u64| DAWN + Delay::from_secs(3600 * hour);
    let emulated = FlowHeader { emulated: true, created_at: at(9), ..header_of_key("e00001") };
    assert_eq!(journal.create(&emulated).unwrap(), None);
    assert!(!journal.has_seen("nightly").unwrap(), "an emulated flow was seen");
    assert_eq!(journal.newest_of(&nightly).unwrap(), None);
    assert_eq!(journal.unfinished(&nightly).unwrap(), []);

    let first = header_of_key("a00001");
    assert_eq!(journal.create(&first).unwrap(), None);
    let second = FlowHeader { created_at: at(1), ..header_of_key("a00002") };
    assert_eq!(journal.create(&second).unwrap(), Some(first.clone()), "the first has not ended");
    let other =
        FlowHeader { run_key: tomorrow.run_key.clone(), created_at: at(2), ..header_of_key("a00003") };
    assert_eq!(journal.create(&other).unwrap(), None, "another key stood in its way");
    journal.append(&first.id, 1, DAWN, &[Event::FlowEnded { exit_code: 1 }]).unwrap();
    assert_eq!(journal.unfinished(&nightly).unwrap(), []);
    assert_eq!(journal.newest_of(&nightly).unwrap(), Some(first));
    assert_eq!(journal.create(&second).unwrap(), None);
    assert_eq!(journal.unfinished(&nightly).unwrap(), std::slice::from_ref(&second));
    assert_eq!(journal.newest_of(&nightly).unwrap(), Some(second));
    assert_eq!(journal.newest_of(&tomorrow).unwrap(), Some(other));
    assert!(journal.has_seen("nightly").unwrap());
    assert!(!journal.has_seen("weekly").unwrap());
}

/// Whoever looks whether a lock is held has it for a moment, shared with others who look.
#[test]
fn one_who_only_looks_keeps_nobody_from_a_lock() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    fs::create_dir_all(folder.join("locks")).unwrap();
    let sign = fs::File::create(folder.join("locks/emulated-e00001.lock")).unwrap();
    sign.lock_shared().unwrap();
    let looking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        drop(sign);
    });
    journal.attend(&id("e00001")).unwrap();
    looking.join().unwrap();
    let mut second = Journal::open(&folder).unwrap();
    assert!(second.is_attended(&id("e00001")).unwrap());
    assert!(second.attend(&id("e00001")).is_err(), "another process has it");
}
