//! What other processes ask of a flow's owner, and what workspaces have shown about run ids.
//!
//! Both are notes beside the events: only the owner turns a request into an event.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Cause;
use super::{Journal, JournalError};
use crate::flow::{Event, FlowId};
use crate::time::Timestamp;

/// What was asked of a flow's owner and not answered, oldest first.
pub(super) const OPEN_REQUESTS: &str =
    "SELECT id, body FROM requests WHERE flow = ?1 AND answered = 0 ORDER BY id";

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The event that was asked for has been recorded.
    Fulfilled,
    /// It could not be recorded any more.
    Dismissed,
}

/// How an answer stands in the file: `answered` is this, or 2 for one that was dismissed.
const FULFILLED: i64 = 1;

impl Journal {
    /// Asks the owner of a flow to record an event, on disk when this returns; returns the request's number.
    pub fn ask(&mut self, flow: &FlowId, at: Timestamp, event: &Event) -> Result<i64, JournalError> {
        self.write(|transaction, _| {
            transaction.execute(
                "INSERT INTO requests (flow, at, body) VALUES (?1, ?2, ?3)",
                params![flow.0, at.epoch_ms(), serde_json::to_string(event)?],
            )?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Returns what was asked of a flow's owner and not answered, oldest first, with the number of each.
    ///
    /// A process that dies before [`Journal::append_and_answer`] has returned finds its request here again.
    pub fn asked(&mut self, flow: &FlowId) -> Result<Vec<(i64, Event)>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(OPEN_REQUESTS)?;
            let rows =
                select.query_map([&flow.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (id, body) = row?;
                let event = serde_json::from_str(&body).map_err(|why| Cause::Request {
                    flow: flow.clone(),
                    id,
                    why,
                })?;
                Ok((id, event))
            })
            .collect()
        })
    }

    /// Marks a request as one that cannot be fulfilled; [`Journal::append_and_answer`] marks those that are.
    pub fn dismiss(&mut self, id: i64) -> Result<(), JournalError> {
        self.write(|transaction, _| answer(transaction, id, Answer::Dismissed))
    }

    /// Returns what came of a request; nothing while the owner of its flow has not done with it.
    pub fn answer_to(&mut self, id: i64) -> Result<Option<Answer>, JournalError> {
        self.read(|connection| {
            let answered: Option<i64> = connection
                .query_row("SELECT answered FROM requests WHERE id = ?1", [id], |row| row.get(0))
                .optional()?;
            Ok(match answered {
                Some(0) => None,
                Some(FULFILLED) => Some(Answer::Fulfilled),
                _ => Some(Answer::Dismissed),
            })
        })
    }

    /// Notes whether the workspace behind an endpoint took the id we sent for the id of its run. The newest time
    /// is kept; what was disproven once stays so.
    pub fn learn(&mut self, endpoint: &str, is_proven: bool, at: Timestamp) -> Result<(), JournalError> {
        self.write(|transaction, _| {
            transaction.execute(
                "INSERT INTO learned (endpoint, is_proven, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (endpoint) DO UPDATE SET
                   at = CASE WHEN excluded.is_proven = is_proven THEN max(at, excluded.at)
                             WHEN excluded.is_proven THEN at ELSE excluded.at END,
                   is_proven = min(is_proven, excluded.is_proven)",
                params![endpoint, is_proven, at.epoch_ms()],
            )?;
            Ok(())
        })
    }

    /// Returns, for each endpoint, whether its workspace takes our ids, and when it last showed that.
    pub fn learned(&mut self) -> Result<BTreeMap<String, (bool, Timestamp)>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT endpoint, is_proven, at FROM learned")?;
            let rows = select.query_map([], |row| {
                Ok((row.get(0)?, (row.get(1)?, Timestamp::from_epoch_ms(row.get(2)?))))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Marks a request as done with.
pub(super) fn answer(transaction: &Transaction<'_>, id: i64, answer: Answer) -> Result<(), Cause> {
    let answered = match answer {
        Answer::Fulfilled => FULFILLED,
        Answer::Dismissed => 2,
    };
    transaction.execute("UPDATE requests SET answered = ?2 WHERE id = ?1", [id, answered])?;
    Ok(())
}
