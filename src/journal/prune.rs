//! Lets old flows go: which may, which must stay whatever a person asks for, and the room that they leave.
//!
//! The one place that deletes flows. Safe beside other processes: each transaction is short, and looks again whether what it
//! deletes is still over and held by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use rusqlite::{Connection, ErrorCode, Transaction, params};

use super::error::Cause;
use super::listing::last_event;
use super::{Journal, JournalError, lock, presence};
use crate::flow::{Event, FlowId};
use crate::time::{Delay, Timestamp};

/// How many events one transaction deletes, unless a single flow has more: others wait no longer than that for theirs.
const EVENTS_AT_ONCE: u64 = 5_000;

/// How long to let others write between two transactions.
const PAUSE: Delay = Delay::from_ms(20);

/// How often to look whether somebody is about to drive a flow while the file is made smaller.
const LOOK_GAP: Delay = Delay::from_ms(50);

/// What an event takes in the file beside its body, about.
const EVENT_OVERHEAD_BYTES: u64 = 64;

/// What is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneRules {
    /// Flows that were made before this time.
    pub before: Option<Timestamp>,
    /// The oldest ones, until the file is no larger than this.
    pub bytes_max: Option<u64>,
    /// How many of each key stay; at least the newest does. Where neither of the above is given, all others go.
    pub keep: usize,
    /// Whether all run keys of a plan and environment count as one: then the newest of each need not stay.
    pub across_keys: bool,
    /// Real flows that recorded something at this time or later stay: a start that nobody knows the end of may have to be
    /// told apart from their runs.
    pub claims_from: Timestamp,
}

/// Why a flow stays that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// It has not ended.
    Unfinished,
    /// It is among the newest of its key.
    Newest,
    /// Its runs may have to be told apart from those of other flows.
    Claims,
    /// A process has it, or has been asked something about it.
    InUse,
}

/// A flow that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its id.
    pub flow: FlowId,
    /// Its plan's name.
    pub plan: String,
    /// The environment of the plan; empty for none.
    pub environment: String,
    /// Whether its workspace was an emulated one.
    pub emulated: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// How much of the file it takes, about.
    pub bytes: u64,
    events: u64,
}

/// What a set of rules comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting {
    /// What goes, oldest first.
    pub go: Vec<Leaving>,
    /// How many stay although the rules mean them, and why.
    pub kept: BTreeMap<Kept, usize>,
    /// How many stay in all.
    pub stay: usize,
    /// How many stay of each plan and environment, real (`false`) or emulated: what forecasts then go by.
    pub left: BTreeMap<(String, String, bool), usize>,
    /// What the file takes now.
    pub file_bytes: u64,
}

/// A row of the table of flows, and its size.
struct Row {
    leaving: Leaving,
    run_key: String,
}

impl Journal {
    /// Returns what would go by these rules. Changes nothing.
    pub fn parting(&mut self, rules: &PruneRules) -> Result<Parting, JournalError> {
        let folder = self.folder();
        self.read(|connection| {
            let rows = rows(connection)?;
            let (file_bytes, used) = size(connection)?;
            let mut parting = Parting { file_bytes, ..Parting::default() };
            let held = held(connection)?;
            let (mut of_key, mut may_go) = (BTreeMap::new(), Vec::new());
            let is_all = rules.before.is_none() && rules.bytes_max.is_none();
            let mut total = 0;
            for Row { leaving, run_key } in rows {
                total += leaving.bytes;
                let place = (leaving.plan.clone(), leaving.environment.clone(), leaving.emulated);
                *parting.left.entry(place.clone()).or_insert(0) += 1;
                let of_key: &mut usize = of_key
                    .entry((place, if rules.across_keys { String::new() } else { run_key }))
                    .or_insert(0);
                *of_key += 1;
                let is_newest = *of_key <= rules.keep.max(1);
                let is_old = rules.before.is_some_and(|before| leaving.created_at < before) || is_all;
                let why = match over_since(connection, &folder, &leaving)? {
                    _ if is_newest => Some(Kept::Newest),
                    None => Some(Kept::Unfinished),
                    Some(at) if !leaving.emulated && at >= rules.claims_from => Some(Kept::Claims),
                    Some(_) if held.contains(&leaving.flow.0) => Some(Kept::InUse),
                    Some(_) => None,
                };
                match why {
                    // With a rule about the newest alone, that they stay is what was asked for.
                    Some(Kept::Newest) if is_all => parting.stay += 1,
                    Some(why) => {
                        parting.stay += 1;
                        if is_old || rules.bytes_max.is_some() {
                            *parting.kept.entry(why).or_insert(0) += 1;
                        }
                    }
                    None => may_go.push((is_old, leaving)),
                }
            }
            // Of the file, pages that are partly filled and the indexes belong to the flows as well.
            let share = used as f64 / (total.max(1)) as f64;
            may_go.reverse();
            let mut left: f64 = may_go
                .iter()
                .filter(|(is_old, _)| *is_old)
                .fold(used as f64, |left, (_, it)| left - it.bytes as f64 * share);
            for (is_old, mut leaving) in may_go {
                let is_too_much = rules.bytes_max.is_some_and(|most| left > most as f64);
                leaving.bytes = (leaving.bytes as f64 * share) as u64;
                if is_old || is_too_much {
                    if !is_old {
                        left -= leaving.bytes as f64;
                    }
                    let place = (leaving.plan.clone(), leaving.environment.clone(), leaving.emulated);
                    parting.left.entry(place).and_modify(|left| *left -= 1);
                    parting.go.push(leaving);
                } else {
                    parting.stay += 1;
                }
            }
            Ok(parting)
        })
    }

    /// Deletes what may go, a few flows in each transaction, and returns how many went: one that somebody has taken up
    /// meanwhile stays.
    pub fn part(&mut self, parting: &Parting) -> Result<usize, JournalError> {
        let (mut count, mut next, folder) = (0, 0, self.folder());
        while next < parting.go.len() {
            let mut events = 0;
            let rest = &parting.go[next..];
            let few = rest.iter().take_while(|leaving| {
                let fits = events == 0 || events + leaving.events <= EVENTS_AT_ONCE;
                events += leaving.events.max(1);
                fits
            });
            let few = &rest[..few.count()];
            let gone = self.write(|transaction, _| {
                let held = held(transaction)?;
                let mut gone = Vec::new();
                for leaving in few {
                    let is_over = over_since(transaction, &folder, leaving)?.is_some();
                    if is_over && !held.contains(&leaving.flow.0) {
                        delete(transaction, &leaving.flow)?;
                        gone.push(leaving);
                    }
                }
                Ok(gone)
            })?;
            count += gone.len();
            for leaving in gone.into_iter().filter(|leaving| leaving.emulated) {
                presence::forget(&folder, &leaving.flow);
            }
            next += few.len();
            thread::sleep(PAUSE.to_std());
        }
        Ok(count)
    }

    /// Gives the room of deleted flows back to the disk, and says whether it did. Nobody else can write meanwhile, and a
    /// large file takes a while, so it gives up as soon as a process of this machine drives a flow or is about to. The order
    /// of flows stays as it is.
    pub fn shrink(&mut self) -> Result<bool, JournalError> {
        let folder = self.folder();
        self.read(|connection| {
            if lock::is_any_taken(&folder)? {
                return Ok(false);
            }
            let handle = connection.get_interrupt_handle();
            let (done, is_done) = mpsc::channel::<()>();
            let vacuumed = thread::scope(|scope| {
                // Whoever drives a flow takes a lock before it writes anything.
                scope.spawn(move || {
                    while is_done.recv_timeout(LOOK_GAP.to_std()) == Err(RecvTimeoutError::Timeout) {
                        // What cannot be seen could be one.
                        if lock::is_any_taken(&folder).unwrap_or(true) {
                            handle.interrupt();
                        }
                    }
                });
                let vacuumed = connection.execute_batch("VACUUM");
                drop(done);
                vacuumed
            });
            match vacuumed {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                    return Ok(false);
                }
                vacuumed => vacuumed?,
            }
            // The first answer says whether others were in the way; then they, or the last to close, move it over.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
            Ok(true)
        })
    }

    /// Returns how many bytes the file has, and how many of them hold something.
    pub fn size(&mut self) -> Result<(u64, u64), JournalError> {
        self.read(size)
    }
}

/// Returns every flow, newest first.
fn rows(connection: &Connection) -> Result<Vec<Row>, Cause> {
    let mut sizes = BTreeMap::new();
    let mut of_events =
        connection.prepare("SELECT flow, count(*), sum(octet_length(body)) FROM events GROUP BY flow")?;
    let mut found = of_events.query([])?;
    while let Some(row) = found.next()? {
        let size = (row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, i64>(2)?.cast_unsigned());
        sizes.insert(row.get::<_, String>(0)?, size);
    }
    let mut select = connection.prepare(
        "SELECT id, plan, environment, run_key, emulated, created_at, octet_length(header)
         FROM flows ORDER BY rowid DESC",
    )?;
    let rows = select.query_map([], |row| {
        let flow = FlowId(row.get(0)?);
        let (events, bodies) = sizes.get(&flow.0).copied().unwrap_or_default();
        let leaving = Leaving {
            plan: row.get(1)?,
            environment: row.get(2)?,
            emulated: row.get(4)?,
            created_at: Timestamp::from_epoch_ms(row.get(5)?),
            bytes: row.get::<_, i64>(6)?.cast_unsigned() + bodies + events * EVENT_OVERHEAD_BYTES,
            events,
            flow,
        };
        Ok(Row { leaving, run_key: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns when a flow recorded its last event, if nothing more can happen to it. Whoever emulates a flow shows it by a lock;
/// without one its workspace is gone, and with it all that could go on.
fn over_since(
    connection: &Connection,
    folder: &std::path::Path,
    leaving: &Leaving,
) -> Result<Option<Timestamp>, Cause> {
    // Of one that cannot be read nobody can say.
    let Ok(last) = last_event(connection, &leaving.flow) else { return Ok(None) };
    let is_over = match &last {
        _ if leaving.emulated => !presence::is_attended(folder, &leaving.flow)?,
        Some(last) => last.event.ends_flow(),
        None => false,
    };
    let is_left = matches!(last, Some(ref last) if leaving.emulated && last.event == Event::Detached);
    let at = last.map_or(leaving.created_at, |last| last.at);
    Ok((is_over || is_left).then_some(at))
}

/// Returns the flows that a lease names or that somebody waits for an answer about.
fn held(connection: &Connection) -> Result<BTreeSet<String>, Cause> {
    let mut select = connection
        .prepare_cached("SELECT flow FROM leases UNION SELECT flow FROM requests WHERE answered = 0")?;
    let flows = select.query_map([], |row| row.get(0))?;
    Ok(flows.collect::<rusqlite::Result<_>>()?)
}

fn delete(transaction: &Transaction<'_>, flow: &FlowId) -> Result<(), Cause> {
    transaction.prepare_cached("DELETE FROM events WHERE flow = ?1")?.execute(params![flow.0])?;
    transaction.prepare_cached("DELETE FROM requests WHERE flow = ?1")?.execute(params![flow.0])?;
    transaction.prepare_cached("DELETE FROM flows WHERE id = ?1")?.execute(params![flow.0])?;
    Ok(())
}

/// Returns the bytes of the file and those of its pages that are in use.
fn size(connection: &Connection) -> Result<(u64, u64), Cause> {
    let sql = "SELECT page_count * page_size, (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_page_size, pragma_freelist_count";
    Ok(connection.query_row(sql, [], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
    })?)
}
