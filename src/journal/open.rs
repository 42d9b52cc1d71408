//! Opens the journal, for writing or for reading alone.

use std::io;
use std::path::Path;

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::error::Cause;
use super::{Journal, JournalError, mount, place, schema};
use crate::time::Delay;

/// How long a writer waits for another process's write to finish.
const BUSY_WAIT: Delay = Delay::from_secs(5);

/// How long to pause before looking again whether another process is done.
const BUSY_PAUSE: Delay = Delay::from_ms(20);

/// The file's name in the state folder.
const FILE_NAME: &str = "journal.db";

/// A connection belongs to one journal, and a journal to one thread at a time.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

impl Journal {
    /// Opens the journal in a folder; both are made if they are missing, readable by this user alone. A file of an
    /// older format is brought up to date.
    ///
    /// Fails if the folder cannot be written or lies on a network drive, the file is no journal, or a newer synflow
    /// wrote it.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(FILE_NAME);
        let open = || {
            if let Some(kind) = mount::remote(&path)? {
                return Err(Cause::Remote { kind });
            }
            place::make_folder(folder)?;
            place::make_file(&path)?;
            check_log(&path)?;
            let connection = Connection::open_with_flags(&path, FLAGS | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            if connection.is_readonly(MAIN_DB)? {
                return Err(Cause::ReadOnly);
            }
            patiently(&connection, schema::prepare)?;
            let identity = place::Identity::of(&path)?;
            if !identity.has_file() {
                return Err(Cause::Replaced);
            }
            Ok((connection, identity))
        };
        match open() {
            Ok((connection, identity)) => {
                Ok(Self { connection, path, identity: Some(identity), held: None, presence: None })
            }
            Err(source) => Err(JournalError { doing: "open", path, source }),
        }
    }

    /// Opens the journal in a folder for reading alone, if there is one. Makes nothing and changes nothing: older
    /// formats are read as they are, and a folder or file that may not be written will do.
    ///
    /// Fails if the file is no journal, a newer synflow wrote it, or a process that died or still works left it in
    /// more than one file and this one may not write beside them.
    pub fn open_existing(folder: &Path) -> Result<Option<Self>, JournalError> {
        let path = folder.join(FILE_NAME);
        match to_read(&path) {
            Ok(connection) => Ok(connection.map(|connection| Self {
                connection,
                path,
                identity: None,
                held: None,
                presence: None,
            })),
            Err(source) => Err(JournalError { doing: "open", path, source }),
        }
    }
}

/// Returns nothing if there is no journal.
fn to_read(path: &Path) -> Result<Option<Connection>, Cause> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    check_log(path)?;
    let prepared = |connection: Connection| {
        let is_journal = patiently(&connection, schema::prepare_to_read)?;
        Ok::<_, Cause>(is_journal.then_some(connection))
    };
    // Only who may write can share the log with a process at work, and can clear away what one that died has left.
    let connection = Connection::open_with_flags(path, FLAGS | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let has_log = place::is_filled(&place::beside(path, "-wal"))?;
    if !connection.is_readonly(MAIN_DB)? || has_log {
        match prepared(connection) {
            Err(cause) if (cause.is_denied() || cause.is_full()) && !has_log => {}
            Err(cause) if cause.is_denied() => return Err(Cause::LogOutOfReach),
            done => return done,
        }
    }
    // Nobody has it open and nobody left anything: the file is all there is.
    let whole = place::uri(path)?;
    let flags = FLAGS | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    prepared(Connection::open_with_flags(whole, flags)?)
}

/// SQLite passes over a log that makes no sense to it, and with it over events that have been acted on.
fn check_log(path: &Path) -> Result<(), Cause> {
    match place::is_log(&place::beside(path, "-wal")) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Cause::BadLog),
        // Whoever may not read it is told so when SQLite asks for it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// SQLite's own wait does not cover the moment in which another process turns the log on.
fn patiently<T>(
    connection: &Connection,
    prepare: impl Fn(&Connection) -> Result<T, Cause>,
) -> Result<T, Cause> {
    connection.busy_timeout(BUSY_WAIT.to_std())?;
    let mut patience = BUSY_WAIT.as_ms() / BUSY_PAUSE.as_ms();
    loop {
        match prepare(connection) {
            Err(cause) if cause.is_busy() && patience > 0 => {
                patience -= 1;
                std::thread::sleep(BUSY_PAUSE.to_std());
            }
            done => return done,
        }
    }
}
