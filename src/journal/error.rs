//! Why the journal cannot be used, and what a person can do about it.
//!
//! Causes that call for different answers are told apart here; everything that names a file or a flow says which.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};

use super::lease::Lease;
use super::schema::FORMAT;
use crate::flow::FlowId;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the journal `{}`", path.display())]
pub struct JournalError {
    pub(super) doing: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: Cause,
}

/// What went wrong below.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error("an entry cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("flow `{flow}` cannot be read: {why}")]
    Header { flow: FlowId, why: serde_json::Error },
    #[error("event {seq} of flow `{flow}` cannot be read: {why}")]
    Event { flow: FlowId, seq: i64, why: serde_json::Error },
    #[error("event {seq} of flow `{flow}` is missing")]
    Missing { flow: FlowId, seq: u64 },
    #[error("it is damaged: behind the events of flow `{flow}` stands event {seq} of none")]
    Stray { flow: FlowId, seq: i64 },
    #[error("request {id} to flow `{flow}` cannot be read: {why}")]
    Request { flow: FlowId, id: i64, why: serde_json::Error },
    #[error("it has format {found}, and this synflow knows formats up to {FORMAT}")]
    Newer { found: i64 },
    #[error("the file belongs to another program")]
    Foreign,
    #[error("its disk allows only SQLite's mode `{mode}`, not a write-ahead log")]
    NoWal { mode: String },
    #[error("this process may not write in its folder, and part of it stands in `journal.db-wal`")]
    LogOutOfReach,
    #[error("it lies on a network drive ({kind}), where neither locks nor writes are certain to hold")]
    Remote { kind: String },
    #[error("this process may not write to it")]
    ReadOnly,
    #[error("its file was moved, removed or replaced while this process used it")]
    Replaced,
    #[error("the disk is full")]
    Full,
    #[error("the disk takes no more: {0}")]
    Refused(rusqlite::Error),
    #[error("`journal.db-wal`, which holds its latest events, is damaged")]
    BadLog,
    #[error("it is damaged: {0}")]
    Damaged(rusqlite::Error),
    #[error("another process has written event {seq} of flow `{flow}`")]
    Overtaken { flow: FlowId, seq: u64 },
    #[error("{}", lost(by.as_deref()))]
    LeaseLost { by: Option<Box<Lease>> },
}

impl JournalError {
    /// Says whether another process has taken over, or a person has removed, the lease of the flow that this process
    /// drives: it may start nothing more, and the journal itself is well.
    pub const fn is_lease_lost(&self) -> bool {
        matches!(self.source, Cause::LeaseLost { .. })
    }

    /// Returns what a person can do about it.
    pub const fn hint(&self) -> &'static str {
        match &self.source {
            Cause::Newer { .. } => {
                "install the newer synflow that wrote it, or choose another folder with `--state-dir`"
            }
            Cause::Foreign => "move the file away, or choose another folder with `--state-dir`",
            Cause::NoWal { .. } | Cause::Remote { .. } => {
                "choose a folder on a local disk with `--state-dir`"
            }
            Cause::LogOutOfReach => {
                "run this as the user who owns the folder, or copy `journal.db` and `journal.db-wal` to a folder of \
                 your own and name that with `--state-dir`"
            }
            Cause::ReadOnly => {
                "run this as the user who owns the folder, or choose another one with `--state-dir`"
            }
            Cause::Replaced => {
                "put the file back if you moved it, and let one journal at a time stand in its folder"
            }
            Cause::Full => "free some space on that disk and try again",
            Cause::Refused(_) => {
                "look whether the disk is full or broken, or a quota or a limit on the size of files (`ulimit -f`) is \
                 reached"
            }
            Cause::BadLog => {
                "bring the file back from a copy; without it flows under way may have started more than the journal knows"
            }
            Cause::Header { .. } => "`docs/journal.md` says how to read the file by hand",
            Cause::Event { .. } | Cause::Missing { .. } | Cause::Request { .. } => {
                "the other flows are not touched by this; `synflow flows` lists them"
            }
            Cause::Damaged(_) | Cause::Stray { .. } | Cause::Json(_) => {
                "move the file away to begin a new journal; flows under way are then found only in Synapse Studio"
            }
            Cause::Overtaken { .. } => "`synflow status` shows how the flow stands",
            Cause::LeaseLost { .. } => "`synflow status` shows how the flow stands and who holds it",
            Cause::Io(_) | Cause::Sqlite(_) => {
                "check the folder and its permissions, or choose another with `--state-dir`"
            }
        }
    }
}

impl From<rusqlite::Error> for Cause {
    /// Tells the causes apart that need another answer than "check the folder".
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::SystemIoFailure) if is_refused(&error) => Self::Refused(error),
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error),
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Sqlite(error),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

/// Says whether the disk did not take what was written, or not for sure.
fn is_refused(error: &rusqlite::Error) -> bool {
    const WRITES: [i32; 6] = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    error.sqlite_error().is_some_and(|error| WRITES.contains(&error.extended_code))
}

impl Cause {
    /// Says whether another process is at work and the same call may succeed in a moment.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }

    /// Says whether the disk takes nothing.
    pub(super) const fn is_full(&self) -> bool {
        matches!(self, Self::Full | Self::Refused(_))
    }

    /// Says whether the system does not let this process write.
    pub(super) fn is_denied(&self) -> bool {
        match self {
            Self::ReadOnly => true,
            Self::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
            }
            _ => false,
        }
    }
}

fn lost(by: Option<&Lease>) -> impl fmt::Display {
    match by {
        None => "the lease was removed; this process may write no more".to_owned(),
        Some(lease) => format!(
            "the lease is held by {} with flow `{}` since {}; this process may write no more",
            lease.holder, lease.flow, lease.since
        ),
    }
}
