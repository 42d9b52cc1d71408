//! Journals of earlier formats, brought up to date or read as they are; and readers that change nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use synflow::flow::{Event, FlowHeader, FlowKey};
use synflow::journal::Journal;

use crate::journal::{changed, id, one_of_each, place, written};
use crate::play::{DAWN, header, run_id};

/// The tables as the first version made them.
const FORMAT_1: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE flows (
      id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, plan TEXT NOT NULL, header TEXT NOT NULL
    ) STRICT;
    CREATE INDEX flows_newest ON flows (created_at DESC);
    CREATE TABLE events (
      flow TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (flow, seq)
    ) STRICT, WITHOUT ROWID;
    PRAGMA application_id = 0x73796e66;
    PRAGMA user_version = 1;";

/// Makes a journal of the first format: a real flow that goes on, an emulated one, and a flow nobody can read.
fn first_format(folder: &Path) -> Vec<FlowHeader> {
    fs::create_dir_all(folder).unwrap();
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection.execute_batch(FORMAT_1).unwrap();
    let real = FlowHeader { emulated: false, ..header("a00001", "nightly", 4) };
    let headers = [header("e00001", "nightly", 4), real];
    for header in &headers {
        let mut text = serde_json::to_value(header).unwrap();
        let members = text.as_object_mut().unwrap();
        for later in ["environment", "run_key"] {
            members.remove(later).unwrap();
        }
        connection
            .execute(
                "INSERT INTO flows VALUES (?1, ?2, 'nightly', ?3)",
                (&header.id.0, header.created_at.epoch_ms(), text.to_string()),
            )
            .unwrap();
        for (seq, event) in (1..).zip(one_of_each().iter().take(7)) {
            let body = serde_json::to_string(event).unwrap();
            connection
                .execute(
                    "INSERT INTO events VALUES (?1, ?2, ?3, ?4)",
                    (&header.id.0, seq, DAWN.epoch_ms(), body),
                )
                .unwrap();
        }
    }
    connection.execute("INSERT INTO events VALUES ('d00001', 1, 0, 'not JSON')", []).unwrap();
    headers.into_iter().rev().collect()
}

fn plan_alone() -> FlowKey {
    FlowKey { plan: "nightly".to_owned(), environment: String::new(), run_key: String::new() }
}

/// What the first format has must be found in it, whether it was brought up to date or not.
fn check_reads(journal: &mut Journal, headers: &[FlowHeader]) {
    assert_eq!(journal.flows().unwrap(), headers);
    assert_eq!(journal.events(&id("a00001")).unwrap().len(), 7);
    journal.events(&id("d00001")).unwrap_err();
    assert_eq!(journal.unfinished(&plan_alone()).unwrap(), headers[..1]);
    assert_eq!(journal.newest_of(&plan_alone()).unwrap().as_ref(), headers.first());
    assert!(journal.has_seen("nightly").unwrap());
    assert!(journal.has(&id("e00001")).unwrap());
    assert_eq!(journal.find(None).unwrap(), headers[0]);
    let run = "0d5c4a2e-8a57-4a8b-9d55-3f1d2c7b6a10".parse().unwrap();
    assert!(journal.is_claimed_elsewhere(&id("b00001"), run).unwrap());
    assert!(!journal.is_claimed_elsewhere(&id("b00001"), run_id(1)).unwrap());
    assert_eq!(journal.leases().unwrap(), []);
    assert_eq!(journal.lease(&plan_alone()).unwrap(), None);
    assert_eq!(journal.asked(&id("a00001")).unwrap(), []);
    assert_eq!(journal.learned().unwrap(), BTreeMap::new());
}

fn format(folder: &Path) -> i64 {
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn the_first_format_is_brought_up_to_date() {
    let (_temp, folder) = place();
    let headers = first_format(&folder);
    let mut journal = Journal::open(&folder).unwrap();
    check_reads(&mut journal, &headers);
    let later = FlowHeader { emulated: false, ..header("a00002", "nightly", 4) };
    assert_eq!(journal.create(&later).unwrap().as_ref(), headers.first());
    journal.append(&id("a00001"), 8, DAWN, &[Event::GivenUp]).unwrap();
    assert_eq!(journal.create(&later).unwrap(), None);
    drop(journal);
    assert_eq!(format(&folder), 3);
}

#[test]
fn the_second_format_has_the_same_tables() {
    let (_temp, folder) = place();
    drop(written(&folder, &one_of_each()));
    let second = "PRAGMA user_version = 2";
    Connection::open(folder.join("journal.db")).unwrap().execute_batch(second).unwrap();
    let mut reader = Journal::open_existing(&folder).unwrap().unwrap();
    assert_eq!(reader.events(&id("7f3a9c")).unwrap().len(), one_of_each().len());
    drop(reader);
    assert_eq!(format(&folder), 2, "a reader changes nothing");
    drop(Journal::open(&folder).unwrap());
    assert_eq!(format(&folder), 3, "from here on an older synflow keeps away");
}

#[test]
fn a_process_of_the_first_format_goes_on_beside_a_later_one() {
    let (_temp, folder) = place();
    let headers = first_format(&folder);
    let first = Connection::open(folder.join("journal.db")).unwrap();
    let insert = |id: &str, header: &FlowHeader| {
        let header = serde_json::to_string(header).unwrap();
        let sql = "INSERT INTO flows (id, created_at, plan, header) VALUES (?1, 1, 'weekly', ?2)";
        first.execute(sql, (id, header)).unwrap();
    };
    insert("c00001", &header("c00001", "weekly", 4));
    let mut journal = Journal::open(&folder).unwrap();
    insert("c00002", &header("c00002", "weekly", 4));
    assert!(!journal.has_seen("weekly").unwrap(), "its emulated flows are taken for real ones");
    assert_eq!(journal.flows().unwrap().len(), headers.len() + 2);
}

#[test]
fn many_who_open_the_first_format_bring_it_up_to_date_once() {
    let (_temp, folder) = place();
    let headers = first_format(&folder);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| check_reads(&mut Journal::open(&folder).unwrap(), &headers));
        }
    });
    assert_eq!(format(&folder), 3);
}

/// Returns the name and content of every file of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_reader_changes_nothing() {
    let (_temp, folder) = place();
    let headers = first_format(&folder);
    let before = contents(&folder);
    assert_eq!(before.len(), 1);
    let mut journal = Journal::open_existing(&folder).unwrap().unwrap();
    check_reads(&mut journal, &headers);
    journal.append(&id("a00001"), 8, DAWN, &[changed(1)]).unwrap_err();
    journal.create(&header("a00002", "weekly", 4)).unwrap_err();
    drop(journal);
    assert!(contents(&folder) == before, "reading has changed something");

    let (_temp, folder) = place();
    drop(written(&folder, &one_of_each()));
    let before = contents(&folder);
    let mut journal = Journal::open_existing(&folder).unwrap().unwrap();
    assert_eq!(journal.events(&id("7f3a9c")).unwrap().len(), one_of_each().len());
    journal.append(&id("7f3a9c"), 99, DAWN, &[changed(1)]).unwrap_err();
    drop(journal);
    assert!(contents(&folder) == before, "reading has changed something");
}

#[test]
fn where_there_is_no_journal_a_reader_makes_none() {
    let (_temp, folder) = place();
    assert!(Journal::open_existing(&folder).unwrap().is_none());
    assert!(!folder.exists());
    fs::create_dir_all(&folder).unwrap();
    assert!(Journal::open_existing(&folder).unwrap().is_none());
    // As a process leaves it that was killed before it made the tables.
    fs::write(folder.join("journal.db"), "").unwrap();
    assert!(Journal::open_existing(&folder).unwrap().is_none());
    assert_eq!(contents(&folder).len(), 1);
}
