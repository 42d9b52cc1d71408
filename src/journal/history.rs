//! Reads flows and their events back.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Cause;
use super::listing::last_event;
use super::{Journal, JournalError};
use crate::flow::{Event, FlowHeader, FlowId, FlowKey, Recorded, RunId};
use crate::time::Timestamp;

/// The ids of the real flows of a key, newest first: in the order in which they were made, whatever the clock said.
pub(super) const IDS_OF_KEY: &str = "SELECT id FROM flows
    WHERE plan = ?1 AND emulated = 0 AND environment = ?2 AND run_key = ?3 ORDER BY rowid DESC";

/// The newest real flow of a key.
pub(super) const NEWEST_OF_KEY: &str = "SELECT id, header FROM flows
    WHERE plan = ?1 AND emulated = 0 AND environment = ?2 AND run_key = ?3
    ORDER BY rowid DESC LIMIT 1";

/// The events of a flow behind one of them, and those of the flows behind it: whoever reads on sees where a damaged key
/// would hide some.
pub(super) const EVENTS_AFTER: &str =
    "SELECT flow, seq, at, body FROM events WHERE (flow, seq) > (?1, ?2) ORDER BY flow, seq";

/// Whether a plan has a real flow.
pub(super) const ANY_OF_PLAN: &str = "SELECT 1 FROM flows WHERE plan = ?1 AND emulated = 0 LIMIT 1";

/// The ids of the newest flows of a plan and environment, real or emulated ones.
pub(super) const NEWEST_OF_PLAN: &str = "SELECT id FROM flows
    WHERE plan = ?1 AND emulated = ?2 AND environment = ?3 ORDER BY rowid DESC LIMIT ?4";

/// The ids of the newest flows of a plan and environment that were made before a flow, or before one that is still to be made.
pub(super) const BEFORE_OF_PLAN: &str = "SELECT id FROM flows
    WHERE plan = ?1 AND emulated = ?2 AND environment = ?3
      AND rowid < coalesce((SELECT rowid FROM flows WHERE id = ?4), 9223372036854775807)
    ORDER BY rowid DESC LIMIT ?5";

/// Whether another flow than this one speaks of a run.
pub(super) const CLAIM_ELSEWHERE: &str = "SELECT 1 FROM events WHERE run = ?1 AND flow <> ?2 LIMIT 1";

impl Journal {
    /// Returns the flows of a key whose last event has not ended them, newest first; emulated ones are passed over,
    /// for their service died with them.
    pub fn unfinished(&mut self, key: &FlowKey) -> Result<Vec<FlowHeader>, JournalError> {
        self.read(|connection| unfinished(connection, key))
    }

    /// Returns every real flow whose last event has not ended it, newest first.
    pub fn all_unfinished(&mut self) -> Result<Vec<FlowHeader>, JournalError> {
        self.read(|connection| {
            let mut ids =
                connection.prepare_cached("SELECT id FROM flows WHERE emulated = 0 ORDER BY rowid DESC")?;
            let ids = ids.query_map([], |row| Ok(FlowId(row.get(0)?)))?;
            still_open(connection, ids)
        })
    }

    /// Returns the newest flow of a key, ended or not; emulated ones are passed over.
    pub fn newest_of(&mut self, key: &FlowKey) -> Result<Option<FlowHeader>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(NEWEST_OF_KEY)?;
            let found = select
                .query_row([&key.plan, &key.environment, &key.run_key], |row| {
                    Ok((FlowId(row.get(0)?), row.get::<_, String>(1)?))
                })
                .optional()?;
            found.map(|(id, text)| header(id, &text)).transpose()
        })
    }

    /// Returns the ids of the newest flows of a plan and environment, newest first, whatever their run key: the real ones
    /// or the emulated ones.
    pub fn newest_of_plan(
        &mut self,
        plan_name: &str,
        environment: &str,
        emulated: bool,
        count_max: usize,
    ) -> Result<Vec<FlowId>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(NEWEST_OF_PLAN)?;
            let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
            let ids = select.query_map(params![plan_name, emulated, environment, count_max], |row| {
                Ok(FlowId(row.get(0)?))
            })?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the ids of the newest flows of a flow's plan and environment that were made before it, newest first: emulated
    /// ones if it is. A flow that is not in the journal yet comes after all that are.
    pub fn before_of_plan(
        &mut self,
        flow: &FlowHeader,
        count_max: usize,
    ) -> Result<Vec<FlowId>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(BEFORE_OF_PLAN)?;
            let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
            let FlowHeader { plan_name, environment, emulated, id, .. } = flow;
            let ids = select
                .query_map(params![plan_name, emulated, environment, id.0, count_max], |row| {
                    Ok(FlowId(row.get(0)?))
                })?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Says whether a flow of this plan was ever made, with whatever key; emulated ones do not count.
    pub fn has_seen(&mut self, plan_name: &str) -> Result<bool, JournalError> {
        self.read(|connection| {
            let found = connection.query_row(ANY_OF_PLAN, [plan_name], |_| Ok(())).optional()?;
            Ok(found.is_some())
        })
    }

    /// Says whether an event of another flow speaks of this run: then it is that flow's, intended or started.
    pub fn is_claimed_elsewhere(&mut self, flow: &FlowId, run: RunId) -> Result<bool, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(CLAIM_ELSEWHERE)?;
            Ok(select.query_row([&run.to_string(), &flow.0], |_| Ok(())).optional()?.is_some())
        })
    }

    /// Returns the header of a flow as it was made; nothing if there is no such flow.
    pub fn header(&mut self, flow: &FlowId) -> Result<Option<FlowHeader>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT header FROM flows WHERE id = ?1")?;
            let text: Option<String> = select.query_row([&flow.0], |row| row.get(0)).optional()?;
            text.map(|text| header(flow.clone(), &text)).transpose()
        })
    }

    /// Returns the header of every flow, newest first.
    pub fn flows(&mut self) -> Result<Vec<FlowHeader>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT id, header FROM flows ORDER BY rowid DESC")?;
            let rows = select.query_map([], |row| Ok((FlowId(row.get(0)?), row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (id, text) = row?;
                header(id, &text)
            })
            .collect()
        })
    }

    /// Returns the events of a flow, oldest first. Fails if one of them is missing or cannot be read.
    pub fn events(&mut self, flow: &FlowId) -> Result<Vec<Recorded>, JournalError> {
        self.events_after(flow, 0)
    }

    /// Returns the events of a flow that have a greater number than this, oldest first. Fails if one of them is missing
    /// or cannot be read.
    pub fn events_after(&mut self, flow: &FlowId, seq: u64) -> Result<Vec<Recorded>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(EVENTS_AFTER)?;
            let mut rows = select.query(params![flow.0, seq.cast_signed()])?;
            let mut events: Vec<Recorded> = Vec::new();
            while let Some(row) = rows.next()? {
                let (of, number): (String, i64) = (row.get(0)?, row.get(1)?);
                if of > flow.0 && number == 1 {
                    break;
                }
                if of != flow.0 {
                    return Err(Cause::Stray { flow: flow.clone(), seq: number });
                }
                let next = events.last().map_or(seq, |last| last.seq) + 1;
                if number.cast_unsigned() != next {
                    return Err(Cause::Missing { flow: flow.clone(), seq: next });
                }
                let event = event(flow, number, &row.get::<_, String>(3)?)?;
                events.push(Recorded { seq: next, at: Timestamp::from_epoch_ms(row.get(2)?), event });
            }
            // Nearly every flow has one, and a damaged signpost in the file can hide all of them.
            if seq == 0 && events.is_empty() && !is_sound(connection)? {
                return Err(Cause::Missing { flow: flow.clone(), seq: 1 });
            }
            Ok(events)
        })
    }

    /// Says whether a flow has this id.
    pub fn has(&mut self, flow: &FlowId) -> Result<bool, JournalError> {
        self.read(|connection| {
            let found = connection
                .query_row("SELECT 1 FROM flows WHERE id = ?1", [&flow.0], |_| Ok(()))
                .optional()?;
            Ok(found.is_some())
        })
    }
}

/// Looks through the whole file.
fn is_sound(connection: &Connection) -> Result<bool, Cause> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok(verdict == "ok")
}

pub(super) fn unfinished(connection: &Connection, key: &FlowKey) -> Result<Vec<FlowHeader>, Cause> {
    let mut ids = connection.prepare_cached(IDS_OF_KEY)?;
    let ids = ids.query_map([&key.plan, &key.environment, &key.run_key], |row| Ok(FlowId(row.get(0)?)))?;
    still_open(connection, ids)
}

/// Years of flows may be asked about: only the last event of each is read, and the header of those that go on.
fn still_open(
    connection: &Connection,
    ids: impl Iterator<Item = rusqlite::Result<FlowId>>,
) -> Result<Vec<FlowHeader>, Cause> {
    let mut whole = connection.prepare_cached("SELECT header FROM flows WHERE id = ?1")?;
    let mut found = Vec::new();
    for id in ids {
        let id = id?;
        if !last_event(connection, &id)?.is_some_and(|last| last.event.ends_flow()) {
            let text: String = whole.query_row([&id.0], |row| row.get(0))?;
            found.push(header(id, &text)?);
        }
    }
    Ok(found)
}

pub(super) fn header(flow: FlowId, text: &str) -> Result<FlowHeader, Cause> {
    serde_json::from_str(text).map_err(|why| Cause::Header { flow, why })
}

pub(super) fn event(flow: &FlowId, seq: i64, body: &str) -> Result<Event, Cause> {
    serde_json::from_str(body).map_err(|why| Cause::Event { flow: flow.clone(), seq, why })
}
