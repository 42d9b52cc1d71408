//! The journal: every event of every flow of one user, in one SQLite file.
//!
//! Append-only. An event that [`Journal::append`] has returned is on the disk: the file is in WAL mode with
//! `synchronous = FULL`, so each commit is flushed before it counts, and a power cut loses nothing that was
//! acted on. `docs/journal.md` describes the format. Of an event it only knows whether it ends its flow.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use crate::flow::{Event, FlowHeader, FlowId, Recorded};
use crate::time::{Delay, Timestamp};

/// The format this version writes; older ones are read, newer ones refused.
const FORMAT: i64 = 1;

/// Marks the file as ours in SQLite's own header: `synf` in ASCII.
const APPLICATION_ID: i64 = 0x7379_6e66;

/// How long a writer waits for another process's write to finish.
const BUSY_WAIT: Delay = Delay::from_secs(5);

/// How long to pause before looking again whether another process is done.
const BUSY_PAUSE: Delay = Delay::from_ms(20);

/// The file's name in the state folder.
const FILE_NAME: &str = "journal.db";

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the journal `{}`", path.display())]
pub struct JournalError {
    doing: &'static str,
    path: PathBuf,
    source: Cause,
}

/// What went wrong below.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("an entry cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("event {seq} of flow `{flow}` cannot be read: {why}")]
    Event { flow: FlowId, seq: i64, why: serde_json::Error },
    #[error("it has format {found}, and this synflow knows formats up to {FORMAT}")]
    Newer { found: i64 },
    #[error("the file belongs to another program")]
    Foreign,
    #[error("its disk allows only SQLite's mode `{mode}`, not a write-ahead log")]
    NoWal { mode: String },
    #[error("the disk is full")]
    Full,
    #[error("it is damaged: {0}")]
    Damaged(rusqlite::Error),
}

impl JournalError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> &'static str {
        match &self.source {
            Cause::Newer { .. } => {
                "install the newer synflow that wrote it, or choose another folder with `--state-dir`"
            }
            Cause::Foreign => "move the file away, or choose another folder with `--state-dir`",
            Cause::NoWal { .. } => "choose a folder on a local disk with `--state-dir`",
            Cause::Full => "free some space on that disk and try again",
            Cause::Event { .. } => "the other flows are not touched by this; `synflow flows` lists them",
            Cause::Damaged(_) | Cause::Json(_) => {
                "move the file away to begin a new journal; flows under way are then found only in Synapse Studio"
            }
            Cause::Io(_) | Cause::Sqlite(_) => {
                "check the folder and its permissions, or choose another with `--state-dir`"
            }
        }
    }
}

/// How a flow was named on the command line, and that it names none or several.
#[derive(Debug, thiserror::Error)]
pub enum FlowLookup {
    /// No flow fits.
    #[error("there is no flow `{0}` in the journal")]
    None(String),
    /// The journal holds no flow at all.
    #[error("the journal holds no flows yet")]
    Empty,
    /// Several flows fit.
    #[error("`{name}` fits several flows: {}", ids.join(", "))]
    Several {
        /// What was asked for.
        name: String,
        /// Some of the ids that fit.
        ids: Vec<String>,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Opens the journal in a folder; both are made if they are missing, readable by this user alone.
    ///
    /// Fails if the folder cannot be written, the file is no journal, or a newer synflow wrote it.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(FILE_NAME);
        let fail = |source: Cause| JournalError { doing: "open", path: path.clone(), source };
        make_folder(folder).map_err(|error| fail(error.into()))?;
        make_file(&path).map_err(|error| fail(error.into()))?;
        let connection = Connection::open(&path).map_err(|error| fail(error.into()))?;
        let journal = Self { connection, path: path.clone() };
        // SQLite's own wait does not cover the moment in which another process turns the log on.
        let mut patience = BUSY_WAIT.as_ms() / BUSY_PAUSE.as_ms();
        loop {
            match journal.prepare() {
                Err(Cause::Sqlite(error)) if is_busy(&error) && patience > 0 => {
                    patience -= 1;
                    std::thread::sleep(BUSY_PAUSE.to_std());
                }
                Err(cause) => return Err(fail(classified(cause))),
                Ok(()) => return Ok(journal),
            }
        }
    }

    /// Opens the journal in a folder if there is one, and makes nothing.
    ///
    /// Fails as [`Journal::open`] does.
    pub fn open_existing(folder: &Path) -> Result<Option<Self>, JournalError> {
        if folder.join(FILE_NAME).exists() { Self::open(folder).map(Some) } else { Ok(None) }
    }

    /// Returns where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a flow, on disk when this returns, unless an earlier one of its plan has not ended; gives that one back.
    ///
    /// Looking and adding are one transaction: of two processes only one can add. Emulated flows stand in nobody's way.
    pub fn create(&mut self, header: &FlowHeader) -> Result<Option<FlowHeader>, JournalError> {
        self.doing("write", |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if !header.emulated
                && let Some(earlier) = unfinished(&transaction, &header.plan_name)?.into_iter().next()
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
            transaction.commit()?;
            Ok(None)
        })
    }

    /// Returns the flows of a plan that no event has ended, newest first; emulated ones are passed over, for their
    /// service died with them.
    pub fn unfinished(&mut self, plan_name: &str) -> Result<Vec<FlowHeader>, JournalError> {
        self.doing("read", |connection| unfinished(connection, plan_name))
    }

    /// Appends events in one transaction, on disk when this returns; the first gets the number `first_seq`.
    ///
    /// Fails, and keeps none of them, if the disk refuses or another process has written to the flow meanwhile.
    pub fn append(
        &mut self,
        flow: &FlowId,
        first_seq: u64,
        at: Timestamp,
        events: &[Event],
    ) -> Result<Vec<Recorded>, JournalError> {
        let recorded: Vec<Recorded> = (first_seq..)
            .zip(events)
            .map(|(seq, event)| Recorded { seq, at, event: event.clone() })
            .collect();
        self.doing("write", |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO events (flow, seq, at, body) VALUES (?1, ?2, ?3, ?4)")?;
                for entry in &recorded {
                    let body = serde_json::to_string(&entry.event)?;
                    insert.execute(params![flow.0, entry.seq.cast_signed(), entry.at.epoch_ms(), body])?;
                }
            }
            transaction.commit()?;
            Ok(())
        })?;
        Ok(recorded)
    }

    /// Returns the header of every flow, newest first.
    pub fn flows(&mut self) -> Result<Vec<FlowHeader>, JournalError> {
        self.doing("read", |connection| {
            let mut select =
                connection.prepare_cached("SELECT header FROM flows ORDER BY created_at DESC, rowid DESC")?;
            let rows = select.query_map([], |row| row.get::<_, String>(0))?;
            rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
        })
    }

    /// Returns the events of a flow, oldest first.
    pub fn events(&mut self, flow: &FlowId) -> Result<Vec<Recorded>, JournalError> {
        self.doing("read", |connection| {
            let mut select =
                connection.prepare_cached("SELECT seq, at, body FROM events WHERE flow = ?1 ORDER BY seq")?;
            let rows = select.query_map([&flow.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?;
            rows.map(|row| {
                let (seq, at, body) = row?;
                Ok(Recorded {
                    seq: seq.cast_unsigned(),
                    at: Timestamp::from_epoch_ms(at),
                    event: serde_json::from_str(&body).map_err(|why| Cause::Event {
                        flow: flow.clone(),
                        seq,
                        why,
                    })?,
                })
            })
            .collect()
        })
    }

    /// Finds the flow that a name means: an id, a unique beginning of one, `@latest`, `@latest~1`,
    /// `PLAN@latest`; without a name the latest flow.
    pub fn find(&mut self, name: Option<&str>) -> Result<FlowHeader, FlowLookup> {
        let flows = self.flows()?;
        let name = name.unwrap_or("@latest");
        let Some((plan, back)) = latest(name) else { return by_id(flows, name) };
        let mut of_plan = flows.into_iter().filter(|flow| plan.is_empty() || flow.plan_name == plan);
        of_plan.nth(back).ok_or_else(|| match plan {
            "" if back == 0 => FlowLookup::Empty,
            _ => FlowLookup::None(name.to_owned()),
        })
    }

    /// Says whether a flow has this id.
    pub fn has(&mut self, flow: &FlowId) -> Result<bool, JournalError> {
        self.doing("read", |connection| {
            let found = connection
                .query_row("SELECT 1 FROM flows WHERE id = ?1", [&flow.0], |_| Ok(()))
                .optional()?;
            Ok(found.is_some())
        })
    }

    /// Sets the file up, and makes the tables of a new one.
    fn prepare(&self) -> Result<(), Cause> {
        let connection = &self.connection;
        connection.busy_timeout(BUSY_WAIT.to_std())?;
        // One look: another process may be making the tables.
        let (application, format, tables): (i64, i64, i64) = connection.query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        if application != APPLICATION_ID && (tables > 0 || application != 0) {
            return Err(Cause::Foreign);
        }
        if format > FORMAT {
            return Err(Cause::Newer { found: format });
        }
        // On a file system that cannot share memory between processes, SQLite keeps another mode and says so.
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Cause::NoWal { mode });
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        if format == 0 {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS flows (
                   id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, plan TEXT NOT NULL, header TEXT NOT NULL
                 ) STRICT;
                 CREATE INDEX IF NOT EXISTS flows_newest ON flows (created_at DESC);
                 CREATE TABLE IF NOT EXISTS events (
                   flow TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
                   PRIMARY KEY (flow, seq)
                 ) STRICT, WITHOUT ROWID;
                 PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {FORMAT};
                 COMMIT;"
            ))?;
        }
        Ok(())
    }

    fn doing<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Cause>,
    ) -> Result<T, JournalError> {
        work(&mut self.connection).map_err(|source| JournalError {
            doing,
            path: self.path.clone(),
            source: classified(source),
        })
    }
}

fn unfinished(connection: &Connection, plan_name: &str) -> Result<Vec<FlowHeader>, Cause> {
    let mut select = connection.prepare_cached(
        "SELECT header, (SELECT body FROM events WHERE flow = flows.id ORDER BY seq DESC LIMIT 1)
         FROM flows WHERE plan = ?1 ORDER BY created_at DESC, rowid DESC",
    )?;
    let rows = select
        .query_map([plan_name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (header, last) = row?;
        let header: FlowHeader = serde_json::from_str(&header)?;
        let last: Option<Event> = last.map(|body| serde_json::from_str(&body)).transpose()?;
        if !header.emulated && !last.is_some_and(|event| event.ends_flow()) {
            found.push(header);
        }
    }
    Ok(found)
}

/// Makes the state folder, for this user alone: parameters and texts of pipelines are nobody else's business.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the file if it is missing, for this user alone whatever the folder allows. SQLite gives the files it
/// makes beside this one the same permissions.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Tells the causes apart that need another answer than "check the folder".
fn classified(cause: Cause) -> Cause {
    let Cause::Sqlite(error) = cause else { return cause };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Cause::Full,
        Some(ErrorCode::DatabaseCorrupt) => Cause::Damaged(error),
        Some(ErrorCode::NotADatabase) => Cause::Foreign,
        _ => Cause::Sqlite(error),
    }
}

/// Reads `@latest`, `@latest~2` and `PLAN@latest`: the plan's name, perhaps empty, and how many flows back.
fn latest(name: &str) -> Option<(&str, usize)> {
    let (plan, rest) = name.rsplit_once("@latest")?;
    let back = match rest {
        "" => 0,
        _ => rest.strip_prefix('~')?.parse().ok()?,
    };
    Some((plan, back))
}

fn by_id(flows: Vec<FlowHeader>, name: &str) -> Result<FlowHeader, FlowLookup> {
    let fits = |flow: &FlowHeader| !name.is_empty() && flow.id.0.starts_with(name);
    let mut fitting: Vec<FlowHeader> = flows.into_iter().filter(fits).collect();
    if let Some(exact) = fitting.iter().position(|flow| flow.id.0 == name) {
        return Ok(fitting.swap_remove(exact));
    }
    match fitting.len() {
        0 => Err(FlowLookup::None(name.to_owned())),
        1 => Ok(fitting.remove(0)),
        _ => Err(FlowLookup::Several {
            name: name.to_owned(),
            ids: fitting.iter().take(5).map(|flow| flow.id.0.clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::Journal;

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
}
