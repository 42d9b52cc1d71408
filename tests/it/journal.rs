//! The journal on a real disk: what was written is read back, and what is no journal is refused with a way out.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use synflow::flow::{
    ActivitiesKept, ActivityRun, CancelReason, ChildRun, Commit, Event, FlowHeader, FlowId, Outcome,
    Recorded, Resolution, RunStatus, StepError, Trust,
};
use synflow::journal::{FlowLookup, Journal, JournalError};
use synflow::plan::{Outputs, StepId};
use synflow::time::{Delay, Timestamp};
use tempfile::TempDir;

use crate::dice::Dice;
use crate::play::{DAWN, header, run_id};

/// A state folder that does not exist yet, in a folder of its own.
pub(crate) fn place() -> (TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("state").join("synflow");
    (temp, folder)
}

pub(crate) fn id(text: &str) -> FlowId {
    FlowId(text.to_owned())
}

pub(crate) fn changed(attempt: u32) -> Event {
    Event::RunChanged { step: StepId::new("load"), attempt, status: RunStatus::InProgress }
}

/// One event of each kind, as `docs/journal.md` shows them.
pub(crate) fn one_of_each() -> Vec<Event> {
    let step = || StepId::new("load_sales");
    let run = "0d5c4a2e-8a57-4a8b-9d55-3f1d2c7b6a10".parse().unwrap();
    let at = |seconds| DAWN + Delay::from_secs(seconds);
    let parameters = json!({ "region": "emea", "full": false, "days": [1, 2] });
    let error = || StepError {
        code: "BadRequest".to_owned(),
        message: "The pipeline was not found".to_owned(),
        ..StepError::default()
    };
    let called = ActivityRun {
        name: "Load".to_owned(),
        kind: "ExecutePipeline".to_owned(),
        status: "Failed".to_owned(),
        iteration: "1".to_owned(),
        start: Some(at(8)),
        end: None,
        error: Some(error()),
        child: Some(Box::new(ChildRun {
            run,
            pipeline: "load_customers".to_owned(),
            activities: Vec::new(),
        })),
    };
    vec![
        Event::StartIntended {
            step: step(),
            attempt: 1,
            run,
            parameters: parameters.as_object().unwrap().clone(),
            secrets: Vec::new(),
            recovery: None,
        },
        Event::StartNotSent {
            step: step(),
            attempt: 1,
            reason: "connection refused".to_owned(),
            again_at: at(5),
        },
        Event::StartResent { step: step(), attempt: 1 },
        Event::StartUnclear {
            step: step(),
            attempt: 1,
            reason: "no answer within 60s".to_owned(),
            refusal: None,
            other: None,
        },
        Event::StartRefused { step: step(), attempt: 1, error: error() },
        Event::RunStarted { step: step(), attempt: 1, run, adopted: false },
        changed(1),
        Event::CancelIntended { step: step(), attempt: 1, reason: CancelReason::TimedOut },
        Event::CancelAccepted { step: step(), attempt: 1 },
        Event::RunEnded {
            step: step(),
            attempt: 1,
            status: RunStatus::Failed,
            message: "Operation on target Copy_Final failed".to_owned(),
            run_start: Some(at(7)),
            run_end: Some(at(67)),
            returned: Some(Box::new(outputs("rates", "the run returned no `set`"))),
        },
        Event::AttemptEnded {
            step: step(),
            attempt: 1,
            outcome: Outcome::Failed,
            error: Some(StepError {
                activity: Some("Copy_Final".to_owned()),
                via: vec!["load_customers".to_owned()],
                ..error()
            }),
            restart: None,
            outputs: Some(Box::new(outputs("rows", "activity `Copy_Final` has no `rowsCopied`"))),
            activities: Some(Box::new(ActivitiesKept { rows: vec![called], left_out: 3 })),
        },
        Event::RetryScheduled { step: step(), attempt: 2, at: at(97) },
        Event::StepEnded {
            step: step(),
            outcome: Outcome::Blocked,
            reason: "`ingest` ended failed".to_owned(),
        },
        Event::RunAttached {
            step: step(),
            attempt: 1,
            run,
            parameters: parameters.as_object().unwrap().clone(),
        },
        Event::Resolved { step: step(), attempt: 1, resolution: Resolution::Run { run } },
        Event::StepCancelRequested { step: step() },
        Event::CancelRequested,
        Event::Detached,
        Event::Resumed {
            redo: vec![step()],
            trust: [("https://contoso-dw.dev.azuresynapse.net".to_owned(), Trust::Proven)].into(),
            definitions: [("main".to_owned(), [("pl_load".to_owned(), "5f00a1b2".to_owned())].into())].into(),
        },
        Event::PlanChanged {
            plan_file: "nightly.yaml".to_owned(),
            plan_text: "version: 1\n".to_owned(),
            plan_sha256: "5e88".to_owned(),
            inputs: serde_json::Map::new(),
            env: std::collections::BTreeMap::new(),
            max_parallel: None,
            commit: Some(Commit { id: "4a10".to_owned(), changed: true }),
        },
        Event::DeadlineAtRisk { deadline: at(3_600), forecast: at(6_000) },
        Event::DeadlineMissed { deadline: at(3_600) },
        Event::GivenUp,
        Event::FlowEnded { exit_code: 1 },
    ]
}

fn outputs(name: &str, why: &str) -> Outputs {
    let values = [(name.to_owned(), json!(1200))].into_iter().collect();
    Outputs { values, absent: [("set".to_owned(), why.to_owned())].into() }
}

/// Names every kind; a new one does not compile until it stands here and in [`one_of_each`].
const fn kind(event: &Event) -> &'static str {
    match event {
        Event::StartIntended { .. } => "start_intended",
        Event::StartNotSent { .. } => "start_not_sent",
        Event::StartResent { .. } => "start_resent",
        Event::StartUnclear { .. } => "start_unclear",
        Event::StartRefused { .. } => "start_refused",
        Event::RunStarted { .. } => "run_started",
        Event::RunChanged { .. } => "run_changed",
        Event::CancelIntended { .. } => "cancel_intended",
        Event::CancelAccepted { .. } => "cancel_accepted",
        Event::RunEnded { .. } => "run_ended",
        Event::AttemptEnded { .. } => "attempt_ended",
        Event::RetryScheduled { .. } => "retry_scheduled",
        Event::StepEnded { .. } => "step_ended",
        Event::RunAttached { .. } => "run_attached",
        Event::Resolved { .. } => "resolved",
        Event::StepCancelRequested { .. } => "step_cancel_requested",
        Event::CancelRequested => "cancel_requested",
        Event::Resumed { .. } => "resumed",
        Event::PlanChanged { .. } => "plan_changed",
        Event::Detached => "detached",
        Event::DeadlineAtRisk { .. } => "deadline_at_risk",
        Event::DeadlineMissed { .. } => "deadline_missed",
        Event::GivenUp => "given_up",
        Event::FlowEnded { .. } => "flow_ended",
    }
}

/// Makes a journal with one flow of these events.
pub(crate) fn written(folder: &Path, events: &[Event]) -> (Journal, Vec<Recorded>) {
    let mut journal = Journal::open(folder).unwrap();
    journal.create(&header("7f3a9c", "nightly", 4)).unwrap();
    let recorded = journal.append(&id("7f3a9c"), 1, DAWN, events).unwrap();
    (journal, recorded)
}

/// Returns everything that an error says, from the outside in.
pub(crate) fn chain(error: &JournalError) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text = format!("{text}: {source}");
        below = source.source();
    }
    text
}

#[test]
fn what_was_written_is_read_back() {
    let (_temp, folder) = place();
    let (mut journal, recorded) = written(&folder, &one_of_each());
    assert_eq!(journal.events(&id("7f3a9c")).unwrap(), recorded);
    assert_eq!(recorded.first().map(|first| (first.seq, first.at)), Some((1, DAWN)));
    let more = journal.append(&id("7f3a9c"), recorded.len() as u64 + 1, DAWN, &[changed(2)]).unwrap();
    assert_eq!(journal.events(&id("7f3a9c")).unwrap().last(), more.last());
    assert_eq!(journal.flows().unwrap(), [header("7f3a9c", "nightly", 4)]);
    assert!(journal.has(&id("7f3a9c")).unwrap());
    assert!(!journal.has(&id("7f3a9")).unwrap());
    assert_eq!(journal.events(&id("other")).unwrap(), []);
}

#[test]
fn a_process_that_dies_loses_nothing() {
    let (_temp, folder) = place();
    let (journal, recorded) = written(&folder, &one_of_each());
    // As after SIGKILL: nothing is closed, flushed or checkpointed.
    std::mem::forget(journal);
    let mut journal = Journal::open(&folder).unwrap();
    assert_eq!(journal.events(&id("7f3a9c")).unwrap(), recorded);
}

#[test]
fn numbers_come_back_as_they_were() {
    let (_temp, folder) = place();
    let mut dice = Dice(7);
    let mut parameters = Map::new();
    for name in 0..10_000 {
        let number = f64::from_bits(dice.roll());
        if number.is_finite() {
            parameters.insert(format!("p{name}"), json!(number));
        }
    }
    parameters.insert("large".to_owned(), json!(u64::MAX));
    parameters.insert("small".to_owned(), json!(i64::MIN));
    let intent = Event::StartIntended {
        step: StepId::new("load"),
        attempt: 1,
        run: run_id(1),
        parameters,
        secrets: Vec::new(),
        recovery: None,
    };
    let (mut journal, recorded) = written(&folder, &[intent]);
    // A request that goes again after a crash must say what the first one said.
    assert!(journal.events(&id("7f3a9c")).unwrap() == recorded, "some number has changed");
}

#[test]
fn of_two_writers_of_one_number_the_second_keeps_nothing() {
    let (_temp, folder) = place();
    let (mut first, _) = written(&folder, &[changed(1)]);
    let mut second = Journal::open(&folder).unwrap();
    let kept = first.append(&id("7f3a9c"), 3, DAWN, &[changed(2)]).unwrap();
    let error = second.append(&id("7f3a9c"), 2, DAWN, &[changed(3), changed(4)]).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the journal"), "{error}");
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    let mut select = connection.prepare("SELECT seq FROM events ORDER BY seq").unwrap();
    let numbers: Vec<i64> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(numbers, [1, 3], "the first of its two events went with the second");
    assert_eq!(kept[0].seq, 3);
}

#[test]
fn a_flow_is_made_once() {
    let (_temp, folder) = place();
    let (mut journal, _) = written(&folder, &[]);
    journal.create(&header("7f3a9c", "weekly", 4)).unwrap_err();
    assert_eq!(journal.flows().unwrap(), [header("7f3a9c", "nightly", 4)]);
}

#[test]
fn every_orderly_exit_leaves_one_file() {
    let (_temp, folder) = place();
    let (mut journal, _) = written(&folder, &one_of_each());
    journal.events(&id("7f3a9c")).unwrap();
    drop(journal);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["journal.db"]);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (_temp, folder) = place();
    let (journal, _) = written(&folder, &one_of_each());
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(journal.path()), 0o600);

    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (journal, _) = written(shared.path(), &one_of_each());
    assert_eq!(mode(shared.path()), 0o755, "a folder that was there stays as it was");
    assert_eq!(mode(journal.path()), 0o600);
    for entry in fs::read_dir(shared.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// Opens or reads a folder that holds no usable journal and returns all that is said about it.
fn refused(folder: &Path) -> String {
    let error = match Journal::open(folder) {
        Err(error) => error,
        Ok(mut journal) => journal.events(&id("7f3a9c")).expect_err("the journal cannot be used"),
    };
    assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
    format!("{}; {}", chain(&error).replace(&folder.display().to_string(), "DIR"), error.hint())
}

fn check_refused(folder: &Path, want: &[&str]) {
    let got = refused(folder);
    for part in want {
        assert!(got.contains(part), "`{part}` is not in: {got}");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (_temp, folder) = place();
    drop(written(&folder, &one_of_each()));
    Connection::open(folder.join("journal.db")).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = fs::read(folder.join("journal.db")).unwrap();
    check_refused(&folder, &["cannot open", "format 99", "formats up to 3", "install the newer synflow"]);
    assert!(fs::read(folder.join("journal.db")).unwrap() == before, "it was changed all the same");
}

#[test]
fn files_of_other_programs_are_refused_and_left_alone() {
    let check = |make: &dyn Fn(&Path)| {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("journal.db");
        make(&path);
        let before = fs::read(&path).unwrap();
        check_refused(temp.path(), &["cannot open", "belongs to another program", "--state-dir"]);
        assert!(fs::read(&path).unwrap() == before, "it was changed all the same");
    };
    let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    check(&|path| sql(path, "CREATE TABLE bookmarks (url TEXT)"));
    check(&|path| sql(path, "PRAGMA application_id = 7; CREATE TABLE bookmarks (url TEXT)"));
    check(&|path| sql(path, "PRAGMA application_id = 7"));
    check(&|path| fs::write(path, "a diary, and nothing but a diary\n".repeat(99)).unwrap());
}

#[test]
fn a_damaged_file_is_refused_with_a_way_out() {
    let check = |damage: &dyn Fn(&mut Vec<u8>)| {
        let (_temp, folder) = place();
        let events: Vec<Event> = (1..=2_000).map(changed).collect();
        drop(written(&folder, &events));
        let path = folder.join("journal.db");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        check_refused(&folder, &["cannot ", "damaged", "move the file away"]);
    };
    check(&|bytes| bytes.truncate(bytes.len() / 2));
    check(&|bytes| bytes[4096..].fill(0xa5));
    check(&|bytes| bytes[8192..].fill(0));
}

/// A letter may change unseen, for there is no sum to check it by; no event and no flow may go unseen.
#[test]
fn a_flipped_byte_loses_nothing_silently() {
    const FLOWS: [&str; 3] = ["2b11f0", "7f3a9c", "c0ffee"];
    let (temp, folder) = place();
    let events: Vec<Event> = one_of_each().into_iter().cycle().take(120).collect();
    let mut journal = Journal::open(&folder).unwrap();
    for flow in FLOWS {
        assert_eq!(journal.create(&header(flow, "nightly", 4)).unwrap(), None);
        journal.append(&id(flow), 1, DAWN, &events).unwrap();
    }
    drop(journal);
    let whole = fs::read(folder.join("journal.db")).unwrap();
    let flipped = temp.path().join("flipped");
    fs::create_dir(&flipped).unwrap();
    let seen = || -> Result<Vec<usize>, JournalError> {
        let mut journal = Journal::open_existing(&flipped)?.expect("there is one");
        let flows = journal.flows()?.len();
        let counts = FLOWS.iter().map(|flow| Ok(journal.events(&id(flow))?.len()));
        counts.chain([Ok(flows)]).collect()
    };
    let mut refused = 0;
    for at in (0..whole.len()).step_by(113) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(flipped.join("journal.db"), bytes).unwrap();
        match seen() {
            Ok(counts) => assert_eq!(counts, [120, 120, 120, 3], "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "only {refused} flips were refused");
    let mut journal = Journal::open(&folder).unwrap();
    let after = journal.events_after(&id("7f3a9c"), 118).unwrap();
    assert_eq!(after.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [119, 120]);
}

#[test]
fn an_event_that_cannot_be_read_is_refused() {
    let (_temp, folder) = place();
    drop(written(&folder, &one_of_each()));
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection.execute("UPDATE events SET body = '{\"kind\":\"danced\"}' WHERE seq = 3", []).unwrap();
    drop(connection);
    check_refused(&folder, &["cannot read", "cannot be read", "danced", "the other flows"]);
    Connection::open(folder.join("journal.db")).unwrap().execute("UPDATE events SET body = 'x'", []).unwrap();
    check_refused(&folder, &["cannot read", "event 1 of flow `7f3a9c` cannot be read", "the other flows"]);
}

#[test]
fn a_missing_event_is_noticed() {
    let check = |gone: u64, want: &str| {
        let (_temp, folder) = place();
        drop(written(&folder, &one_of_each()));
        let connection = Connection::open(folder.join("journal.db")).unwrap();
        connection.execute("DELETE FROM events WHERE seq = ?1", [gone.cast_signed()]).unwrap();
        drop(connection);
        check_refused(&folder, &["cannot read", want, "the other flows"]);
    };
    check(1, "event 1 of flow `7f3a9c` is missing");
    check(3, "event 3 of flow `7f3a9c` is missing");
}

/// SQLite would pass over it, and over the events in it.
#[test]
fn a_damaged_log_is_refused() {
    let check = |log: &[u8], is_log: bool| {
        let (_temp, folder) = place();
        drop(written(&folder, &one_of_each()));
        fs::write(folder.join("journal.db-wal"), log).unwrap();
        if is_log {
            assert!(Journal::open(&folder).unwrap().has(&id("7f3a9c")).unwrap());
            return;
        }
        check_refused(&folder, &["cannot open", "`journal.db-wal`", "damaged", "from a copy"]);
        let error = Journal::open_existing(&folder).expect_err("nor can it be read");
        assert!(chain(&error).contains("damaged"), "{error:?}");
        assert_eq!(fs::read(folder.join("journal.db-wal")).unwrap(), log, "it was changed all the same");
    };
    check(b"a diary, and nothing but a diary", false);
    check(&[0xa5; 8192], false);
    check(b"", true);
    check(b"a", true);
    check(&[0; 8192], true);
}

#[cfg(unix)]
#[test]
fn a_journal_that_has_lost_its_name_takes_no_more() {
    let check = |lose: &dyn Fn(&Path)| {
        let (_temp, folder) = place();
        let (mut journal, _) = written(&folder, &[changed(1)]);
        journal.append(&id("7f3a9c"), 2, DAWN, &[changed(1)]).unwrap();
        lose(&folder);
        let error = journal.append(&id("7f3a9c"), 3, DAWN, &[changed(1)]).unwrap_err();
        assert!(chain(&error).contains("moved, removed or replaced"), "{error:?}");
        assert!(error.hint().contains("put the file back"), "{}", error.hint());
    };
    let rename = |folder: &Path, from: &str, to: &str| {
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    };
    check(&|folder| fs::remove_file(folder.join("journal.db")).unwrap());
    check(&|folder| fs::remove_file(folder.join("journal.db-wal")).unwrap());
    check(&|folder| fs::remove_file(folder.join("journal.db-shm")).unwrap());
    check(&|folder| fs::remove_dir_all(folder).unwrap());
    check(&|folder| rename(folder, "journal.db", "old.db"));
    check(&|folder| {
        rename(folder, "journal.db", "old.db");
        fs::copy(folder.join("old.db"), folder.join("journal.db")).unwrap();
    });
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("state");
    fs::write(&file, "in the way").unwrap();
    check_refused(&file, &["cannot open", "check the folder and its permissions"]);
    check_refused(&file.join("synflow"), &["cannot open", "check the folder and its permissions"]);
    let folder = temp.path().join("other");
    fs::create_dir_all(folder.join("journal.db")).unwrap();
    check_refused(&folder, &["cannot open", "check the folder and its permissions"]);
}

#[test]
fn flows_are_found_by_many_names() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    let empty = journal.find(None).unwrap_err();
    assert!(matches!(empty, FlowLookup::Empty), "{empty}");
    let made = [("7f3a9c", "nightly"), ("7f3b00", "weekly"), ("a1b2c3", "nightly"), ("7f3a9c44", "weekly")];
    // The order in which they are made counts, whatever the clock says.
    for (age, (flow, plan)) in made.into_iter().enumerate() {
        let created_at = DAWN - Delay::from_secs(60 * age as u64);
        journal.create(&FlowHeader { created_at, ..header(flow, plan, 4) }).unwrap();
    }
    let newest_first: Vec<String> = journal.flows().unwrap().into_iter().map(|flow| flow.id.0).collect();
    assert_eq!(newest_first, ["7f3a9c44", "a1b2c3", "7f3b00", "7f3a9c"]);
    let mut check = |name: Option<&str>, want: &str| {
        let got = journal.find(name).map_or_else(|lookup| lookup.to_string(), |flow| flow.id.0);
        assert_eq!(got, want, "{name:?}");
    };
    check(None, "7f3a9c44");
    check(Some("@latest"), "7f3a9c44");
    check(Some("@latest~1"), "a1b2c3");
    check(Some("@latest~3"), "7f3a9c");
    check(Some("@latest~4"), "there is no flow `@latest~4` in the journal");
    check(Some("nightly@latest"), "a1b2c3");
    check(Some("nightly@latest~1"), "7f3a9c");
    check(Some("hourly@latest"), "there is no flow `hourly@latest` in the journal");
    check(Some("a"), "a1b2c3");
    check(Some("7f3b"), "7f3b00");
    check(Some("7f3a9c"), "7f3a9c");
    check(Some("7f3a9c4"), "7f3a9c44");
    check(Some("7f3a"), "`7f3a` fits several flows: 7f3a9c44, 7f3a9c");
    check(Some("ff"), "there is no flow `ff` in the journal");
    check(Some(""), "there is no flow `` in the journal");
    check(Some("@latest~x"), "there is no flow `@latest~x` in the journal");
}

#[test]
fn flows_made_in_one_moment_keep_their_order() {
    let (_temp, folder) = place();
    let mut journal = Journal::open(&folder).unwrap();
    for flow in ["c00000", "a00000", "b00000"] {
        journal.create(&header(flow, "nightly", 4)).unwrap();
    }
    assert_eq!(journal.find(None).unwrap().id, id("b00000"));
    assert_eq!(journal.find(Some("@latest~2")).unwrap().id, id("c00000"));
}

/// Every line of a fenced `json` block.
fn examples(text: &str) -> Vec<&str> {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        if fence {
            inside = *line == "```json";
        }
        inside && !fence
    });
    lines.collect()
}

#[test]
fn the_documentation_shows_every_event_as_it_is_written() {
    let text = include_str!("../../docs/journal.md");
    let shown = examples(text);
    let events = one_of_each();
    let written: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    for (line, event) in written.iter().zip(&events) {
        assert!(shown.contains(&line.as_str()), "docs/journal.md does not show: {line}");
        assert_eq!(serde_json::from_str::<Event>(line).unwrap(), *event);
        assert!(line.contains(&format!(r#""kind":"{}""#, kind(event))), "{line}");
    }
    let kinds: BTreeSet<&str> = events.iter().map(kind).collect();
    assert_eq!(kinds.len(), 24, "one event of each kind");
    let headers: Vec<FlowHeader> = shown.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(headers.len(), 1, "docs/journal.md shows one header");
    assert!(shown.contains(&serde_json::to_string(&headers[0]).unwrap().as_str()));
    assert_eq!(shown.len(), events.len() + 1, "docs/journal.md shows something that is not written");
}

#[test]
fn optional_members_may_be_absent() {
    let check = |text: &str| {
        let event: Event = serde_json::from_str(text).unwrap();
        let again: Value = serde_json::to_value(&event).unwrap();
        assert_eq!(again["kind"], serde_json::from_str::<Value>(text).unwrap()["kind"]);
    };
    check(r#"{"kind":"run_ended","step":"a","attempt":1,"status":"Succeeded"}"#);
    check(r#"{"kind":"attempt_ended","step":"a","attempt":1,"outcome":"succeeded"}"#);
    check(r#"{"kind":"step_ended","step":"a","outcome":"succeeded"}"#);
    check(r#"{"kind":"run_changed","step":"a","attempt":1,"status":{"Other":"Finalizing"},"later":1}"#);
}

#[test]
fn the_time_of_an_event_is_kept_to_the_millisecond() {
    let (_temp, folder) = place();
    let (mut journal, _) = written(&folder, &[]);
    let at = Timestamp::from_epoch_ms(1_700_000_000_123);
    journal.append(&id("7f3a9c"), 1, at, &[Event::Detached]).unwrap();
    assert_eq!(journal.events(&id("7f3a9c")).unwrap()[0].at, at);
}
