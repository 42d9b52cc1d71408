//! Lists flows without reading them: their ids, how the last event of each has left it, how long earlier ones took.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Cause;
use super::history::{event, header};
use super::{Journal, JournalError};
use crate::flow::{Event, FlowHeader, FlowId};
use crate::time::{Delay, Timestamp};

/// The flows that a filter lets through, newest first. What stands before the header is read alone, unless an environment is
/// asked for.
pub(super) const IDS_LISTED: &str = "SELECT id FROM flows
    WHERE (?1 IS NULL OR plan = ?1) AND (?2 IS NULL OR environment = ?2)
      AND (?3 IS NULL OR created_at >= ?3) AND (?4 IS NULL OR created_at < ?4)
    ORDER BY rowid DESC";

/// The last event of a flow.
pub(super) const LAST_EVENT: &str =
    "SELECT seq, at, body FROM events WHERE flow = ?1 ORDER BY seq DESC LIMIT 1";

/// How many events of earlier flows are looked at to tell what a flow usually takes: it must not begin late for that.
const EVENTS_READ_MAX: u64 = 100_000;

/// Which flows are meant: all that meet every one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Flows of the plan of this name.
    pub plan: Option<String>,
    /// Flows in this environment of their plan; the empty one is none.
    pub environment: Option<String>,
    /// Flows that were made at this time or later.
    pub from: Option<Timestamp>,
    /// Flows that were made before this time.
    pub before: Option<Timestamp>,
}

/// The last event of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct LastEvent {
    /// Its number: how many there are.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

impl Journal {
    /// Returns the ids of the flows that a filter lets through, newest first.
    pub fn ids(&mut self, filter: &FlowFilter) -> Result<Vec<FlowId>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(IDS_LISTED)?;
            let (from, before) =
                (filter.from.map(Timestamp::epoch_ms), filter.before.map(Timestamp::epoch_ms));
            let ids = select.query_map(params![filter.plan, filter.environment, from, before], |row| {
                Ok(FlowId(row.get(0)?))
            })?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the last event of a flow; nothing if it has none. Fails if that event cannot be read.
    pub fn last_event(&mut self, flow: &FlowId) -> Result<Option<LastEvent>, JournalError> {
        self.read(|connection| last_event(connection, flow))
    }

    /// Returns how long earlier flows like this one took, newest first: of the same plan, environment and steps, made before
    /// it, that went well and were never left.
    pub fn lengths_of_like(
        &mut self,
        flow: &FlowHeader,
        count_max: usize,
    ) -> Result<Vec<Delay>, JournalError> {
        let ids = self.before_of_plan(flow, count_max.saturating_mul(2))?;
        self.read(|connection| {
            let (mut lengths, mut events) = (Vec::new(), 0);
            for id in ids {
                // What cannot be read tells nothing.
                let Ok(Some(last)) = last_event(connection, &id) else { continue };
                events += last.seq;
                if lengths.len() >= count_max || events > EVENTS_READ_MAX {
                    break;
                }
                if last.event == (Event::FlowEnded { exit_code: 0 })
                    && let Some(length) = length(connection, &id, flow, last.at)?
                {
                    lengths.push(length);
                }
            }
            Ok(lengths)
        })
    }
}

/// Returns what a flow took that has ended; nothing if it was left for a while or had other steps.
fn length(
    connection: &Connection,
    id: &FlowId,
    like: &FlowHeader,
    ended_at: Timestamp,
) -> Result<Option<Delay>, Cause> {
    let mut select = connection.prepare_cached(
        "SELECT header, (SELECT at FROM events WHERE flow = ?1 AND seq = 1),
           EXISTS (SELECT 1 FROM events WHERE flow = ?1 AND substr(body, 1, 17) = '{\"kind\":\"resumed\"')
         FROM flows WHERE id = ?1",
    )?;
    let found = select
        .query_row([&id.0], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let Some((text, Some(begun_at), false)) = found else { return Ok(None) };
    let is_like = header(id.clone(), &text).is_ok_and(|header| header.selection == like.selection);
    Ok(is_like.then(|| ended_at.since(Timestamp::from_epoch_ms(begun_at))))
}

pub(super) fn last_event(connection: &Connection, flow: &FlowId) -> Result<Option<LastEvent>, Cause> {
    let mut select = connection.prepare_cached(LAST_EVENT)?;
    let last = select
        .query_row([&flow.0], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    last.map(|(seq, at, body)| {
        let event = event(flow, seq, &body)?;
        Ok(LastEvent { seq: seq.cast_unsigned(), at: Timestamp::from_epoch_ms(at), event })
    })
    .transpose()
}
