//! The journal: every event of every flow of one user, in one SQLite file.
//!
//! Append-only. An event that [`Journal::append`] has returned is on the disk: the file is in WAL mode with
//! `synchronous = FULL`, so each commit is flushed before it counts, and a power cut loses nothing that was
//! acted on. `docs/journal.md` describes the format. Of an event it only knows whether it ends its flow.

mod error;
mod history;
mod lease;
mod listing;
mod lock;
mod lookup;
mod mount;
mod open;
mod place;
mod presence;
mod prune;
mod requests;
mod schema;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use crate::flow::{Event, FlowHeader, FlowId, Recorded};
use crate::time::Timestamp;
use error::Cause;
use lease::Hold;
use presence::Presence;

pub use error::JournalError;
pub use lease::{Holder, Holding, Lease};
pub use listing::{FlowFilter, LastEvent};
pub use lookup::FlowLookup;
pub use prune::{Kept, Leaving, Parting, PruneRules};
pub use requests::Answer;

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    /// The files that it was opened with, if it writes.
    identity: Option<place::Identity>,
    /// The key this journal owns, if it has taken one.
    held: Option<Hold>,
    /// The sign that it runs an emulated flow, if it does.
    presence: Option<Presence>,
}

impl Journal {
    /// Returns where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a flow, on disk when this returns, unless an earlier one of its key has not ended; gives that one back.
    ///
    /// Looking and adding are one transaction: of two processes only one can add. Emulated flows stand in nobody's way.
    pub fn create(&mut self, header: &FlowHeader) -> Result<Option<FlowHeader>, JournalError> {
        self.write(|transaction, held| {
            lease::check(transaction, held)?;
            if !header.emulated
                && let Some(earlier) = history::unfinished(transaction, &header.key())?.into_iter().next()
            {
                return Ok(Some(earlier));
            }
            transaction.execute(
                "INSERT INTO flows (id, created_at, plan, header) VALUES (?1, ?2, ?3, ?4)",
                params![
                    header.id.0,
                    header.created_at.epoch_ms(),
                    header.plan_name,
                    serde_json::to_string(header)?
                ],
            )?;
            Ok(None)
        })
    }

    /// Appends events in one transaction, on disk when this returns; the first gets the number `first_seq`.
    ///
    /// Fails, and keeps none of them, if the disk refuses, the file was moved, removed or replaced, another process has
    /// written to the flow meanwhile, or the key this journal owned is no longer its own
    /// ([`JournalError::is_lease_lost`]).
    pub fn append(
        &mut self,
        flow: &FlowId,
        first_seq: u64,
        at: Timestamp,
        events: &[Event],
    ) -> Result<Vec<Recorded>, JournalError> {
        self.append_and_answer(flow, first_seq, at, events, None)
    }

    /// Appends events as [`Journal::append`] does and, in the same transaction, marks the request of another process
    /// that asked for them as answered: a crash must neither lose it nor fulfil it twice.
    pub fn append_and_answer(
        &mut self,
        flow: &FlowId,
        first_seq: u64,
        at: Timestamp,
        events: &[Event],
        request: Option<i64>,
    ) -> Result<Vec<Recorded>, JournalError> {
        let recorded: Vec<Recorded> = (first_seq..)
            .zip(events)
            .map(|(seq, event)| Recorded { seq, at, event: event.clone() })
            .collect();
        self.write(|transaction, held| {
            lease::check(transaction, held)?;
            let mut insert = transaction
                .prepare_cached("INSERT INTO events (flow, seq, at, body) VALUES (?1, ?2, ?3, ?4)")?;
            for entry in &recorded {
                let body = serde_json::to_string(&entry.event)?;
                insert.execute(params![flow.0, entry.seq.cast_signed(), entry.at.epoch_ms(), body]).map_err(
                    |error| match error.sqlite_error_code() {
                        Some(ErrorCode::ConstraintViolation) => {
                            Cause::Overtaken { flow: flow.clone(), seq: entry.seq }
                        }
                        _ => error.into(),
                    },
                )?;
            }
            if let Some(request) = request {
                requests::answer(transaction, request, Answer::Fulfilled)?;
            }
            Ok(())
        })?;
        Ok(recorded)
    }

    /// Does some work in one transaction that nobody else writes beside; it is on disk when this returns.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, Option<&Hold>) -> Result<T, Cause>,
    ) -> Result<T, JournalError> {
        let Self { connection, held, path, identity, .. } = self;
        // What is written to a file that has lost its name is lost with it.
        let (path, identity) = (&*path, *identity);
        let check_place = || match identity {
            Some(identity) if place::Identity::of(path)? != identity => Err(Cause::Replaced),
            _ => Ok(()),
        };
        let done = || {
            check_place()?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction, held.as_ref())?;
            transaction.commit()?;
            check_place()?;
            Ok(value)
        };
        done().map_err(|cause| self.error("write", cause))
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Cause>) -> Result<T, JournalError> {
        work(&self.connection).map_err(|cause| self.error("read", cause))
    }

    fn error(&self, doing: &'static str, source: Cause) -> JournalError {
        JournalError { doing, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, history, listing, lookup, requests};

    /// Both are promises to a power cut; the second holds for this connection alone, so only it can tell.
    #[test]
    fn every_commit_is_flushed() {
        let temp = tempfile::tempdir().expect("a temporary folder can be made");
        let check = |journal: &Journal| {
            let ask = |pragma| journal.connection.query_row(pragma, [], |row| row.get::<_, String>(0));
            assert_eq!(ask("PRAGMA journal_mode"), Ok("wal".to_owned()));
            let synchronous = journal.connection.query_row("PRAGMA synchronous", [], |row| row.get(0));
            assert_eq!(synchronous, Ok(2), "2 is FULL");
        };
        let made = Journal::open(temp.path()).expect("a new folder is writable");
        check(&made);
        check(&Journal::open(temp.path()).expect("it was just made"));
    }

    /// They are asked before every flow, some before every start, of a file that grows for years.
    #[test]
    fn no_question_of_a_start_reads_the_whole_history() {
        let temp = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = Journal::open(temp.path()).expect("a new folder is writable");
        let check = |sql: &str, want: &str| {
            let mut explain =
                journal.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is SQL");
            let unknown = vec![rusqlite::types::Null; explain.parameter_count()];
            let row = explain.query_row(rusqlite::params_from_iter(unknown), |row| row.get::<_, String>(3));
            let plan = row.expect("every query has a plan");
            assert!(plan.contains(want), "{sql}: {plan}");
        };
        let by_key = "INDEX flows_by_key (plan=? AND emulated=? AND environment=? AND run_key=?)";
        check(history::IDS_OF_KEY, by_key);
        check(history::NEWEST_OF_KEY, by_key);
        check(history::EVENTS_AFTER, "PRIMARY KEY ((flow,seq)>(?,?))");
        check(history::NEWEST_OF_PLAN, "INDEX flows_by_key (plan=? AND emulated=? AND environment=?)");
        check(history::BEFORE_OF_PLAN, "INDEX flows_by_key (plan=? AND emulated=? AND environment=?)");
        check(history::ANY_OF_PLAN, "INDEX flows_by_key (plan=? AND emulated=?)");
        check(history::CLAIM_ELSEWHERE, "INDEX events_by_run (run=?)");
        check(requests::OPEN_REQUESTS, "INDEX requests_open (flow=?)");
        check(listing::LAST_EVENT, "PRIMARY KEY (flow=?)");
        check(lookup::IDS_FROM, "INDEX sqlite_autoindex_flows_1 (id>? AND id<?)");
    }
}
