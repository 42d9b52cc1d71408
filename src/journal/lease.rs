//! One owner for each key: a lock that the operating system holds, and a lease that says whose it is.
//!
//! The lock is a file that is never deleted; the system frees it when its process dies, so a dead owner is known at
//! once. The lease is a row with an epoch that never comes twice: whoever finds another epoch in it writes no more.
//! Main type: [`Lease`].

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Cause;
use super::{Journal, JournalError, lock};
use crate::flow::{FlowId, FlowKey};
use crate::time::Timestamp;

const COLUMNS: &str = "epoch, plan, environment, run_key, flow, host, pid, user, since, heartbeat";

/// A process, as a person on another screen would look for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process's number there.
    pub pid: u32,
    /// The name of its user.
    pub user: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, process {}", self.user, self.host, self.pid)
    }
}

/// Who owns a key, by the journal's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is owned.
    pub key: FlowKey,
    /// The flow it is owned for.
    pub flow: FlowId,
    /// Who owns it.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// When the owner was last heard of.
    pub heartbeat: Timestamp,
    /// Grows with every new owner of any key and never comes twice.
    pub epoch: i64,
    /// Whether some process on this machine holds the lock right now. If none does, the owner is dead.
    pub is_locked: bool,
}

/// What came of an attempt to own a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It is this journal's until [`Journal::release`], its drop or the process's end.
    Ours,
    /// Another process, or another journal of this one, has it; by the lease, this one. There is none if a person
    /// has removed it.
    Elsewhere(Option<Lease>),
}

/// The key that a journal owns.
#[derive(Debug)]
pub(super) struct Hold {
    key: FlowKey,
    epoch: i64,
    /// Closing the file frees the lock.
    _lock: File,
}

impl Journal {
    /// Takes a key for a flow: the lock first, then the lease, over that of a dead owner too. Waits for nobody.
    ///
    /// From then on [`Journal::append`] and [`Journal::create`] write only while the lease is still this one. Fails if
    /// the lock file or the journal cannot be written.
    pub fn hold(
        &mut self,
        key: &FlowKey,
        flow: &FlowId,
        holder: &Holder,
        at: Timestamp,
    ) -> Result<Holding, JournalError> {
        assert!(self.held.as_ref().is_none_or(|hold| hold.key == *key), "a journal owns one key at a time");
        let lock = take(&self.folder(), key).map_err(|error| self.error("lock", error.into()))?;
        let Some(lock) = lock else { return self.lease(key).map(Holding::Elsewhere) };
        let epoch = self.write(|transaction, _| {
            transaction.execute(
                "INSERT OR REPLACE INTO leases
                   (plan, environment, run_key, flow, host, pid, user, since, heartbeat)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
                params![
                    key.plan,
                    key.environment,
                    key.run_key,
                    flow.0,
                    holder.host,
                    holder.pid,
                    holder.user,
                    at.epoch_ms()
                ],
            )?;
            Ok(transaction.last_insert_rowid())
        })?;
        self.held = Some(Hold { key: key.clone(), epoch, _lock: lock });
        Ok(Holding::Ours)
    }

    /// Says for which flow the key is held from now on. Does nothing without a hold.
    ///
    /// Fails with [`JournalError::is_lease_lost`] if the lease is no longer this journal's.
    pub fn hold_for(&mut self, flow: &FlowId) -> Result<(), JournalError> {
        self.write(|transaction, held| {
            check(transaction, held)?;
            let epoch = held.map(|hold| hold.epoch);
            transaction.execute("UPDATE leases SET flow = ?2 WHERE epoch = ?1", params![epoch, flow.0])?;
            Ok(())
        })
    }

    /// Says that the owner is alive. Does nothing without a hold.
    ///
    /// Fails with [`JournalError::is_lease_lost`] if the lease is no longer this journal's.
    pub fn heartbeat(&mut self, at: Timestamp) -> Result<(), JournalError> {
        if self.held.is_none() {
            return Ok(());
        }
        self.write(|transaction, held| {
            check(transaction, held)?;
            let epoch = held.map(|hold| hold.epoch);
            transaction.execute(
                "UPDATE leases SET heartbeat = ?2 WHERE epoch = ?1",
                params![epoch, at.epoch_ms()],
            )?;
            Ok(())
        })
    }

    /// Gives the key back: removes the lease if it is still this journal's, then frees the lock. Does nothing
    /// without a hold.
    ///
    /// Fails if the journal cannot be written; the lock is free all the same.
    pub fn release(&mut self) -> Result<(), JournalError> {
        let Some(hold) = self.held.take() else { return Ok(()) };
        self.write(|transaction, _| {
            transaction.execute("DELETE FROM leases WHERE epoch = ?1", [hold.epoch])?;
            Ok(())
        })
    }

    /// Returns who owns a key, or owned it when it died.
    pub fn lease(&mut self, key: &FlowKey) -> Result<Option<Lease>, JournalError> {
        let folder = self.folder();
        self.read(|connection| Ok(lease(connection, key)?.map(|lease| seen(&folder, lease)).transpose()?))
    }

    /// Returns every lease, oldest first.
    pub fn leases(&mut self) -> Result<Vec<Lease>, JournalError> {
        let folder = self.folder();
        self.read(|connection| {
            let mut select =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM leases ORDER BY epoch"))?;
            let rows = select.query_map([], from_row)?;
            rows.map(|row| Ok(seen(&folder, row?)?)).collect()
        })
    }

    /// Removes a lease, if it is still the one that was shown, and says whether it was. The lock stays as it is: an
    /// owner that is alive finds its lease lost and writes no more, yet nobody else comes in before it has ended.
    pub fn break_lease(&mut self, lease: &Lease) -> Result<bool, JournalError> {
        self.write(|transaction, _| {
            Ok(transaction.execute("DELETE FROM leases WHERE epoch = ?1", [lease.epoch])? > 0)
        })
    }

    /// Returns the folder of the journal.
    pub(super) fn folder(&self) -> PathBuf {
        self.path().parent().unwrap_or_else(|| Path::new("")).to_owned()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by the next owner: the lock is free, and that is what counts.
        let _ = self.release();
    }
}

/// Fails if a journal that owns a key no longer has its lease. Within the transaction that writes: whoever takes
/// the lease over comes before it or after it.
pub(super) fn check(transaction: &Transaction<'_>, held: Option<&Hold>) -> Result<(), Cause> {
    let Some(Hold { key, epoch, .. }) = held else { return Ok(()) };
    match lease(transaction, key)? {
        Some(lease) if lease.epoch == *epoch => Ok(()),
        other => Err(Cause::LeaseLost { by: other.map(Box::new) }),
    }
}

fn lease(connection: &Connection, key: &FlowKey) -> Result<Option<Lease>, Cause> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM leases WHERE plan = ?1 AND environment = ?2 AND run_key = ?3"
    ))?;
    Ok(select.query_row([&key.plan, &key.environment, &key.run_key], from_row).optional()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        epoch: row.get(0)?,
        key: FlowKey { plan: row.get(1)?, environment: row.get(2)?, run_key: row.get(3)? },
        flow: FlowId(row.get(4)?),
        holder: Holder { host: row.get(5)?, pid: row.get(6)?, user: row.get(7)? },
        since: Timestamp::from_epoch_ms(row.get(8)?),
        heartbeat: Timestamp::from_epoch_ms(row.get(9)?),
        is_locked: false,
    })
}

/// Looks at the lock as well.
fn seen(folder: &Path, lease: Lease) -> io::Result<Lease> {
    Ok(Lease { is_locked: lock::is_taken(&lock_path(folder, &lease.key))?, ..lease })
}

/// Takes the lock of a key; returns nothing if it is held.
fn take(folder: &Path, key: &FlowKey) -> io::Result<Option<File>> {
    let Some(mut file) = lock::take(&lock_path(folder, key))? else { return Ok(None) };
    // For people only: nothing reads it.
    if file.metadata()?.len() == 0 {
        file.write_all(named(key).as_bytes())?;
    }
    Ok(Some(file))
}

/// A key may hold any character; its hash may not.
fn lock_path(folder: &Path, key: &FlowKey) -> PathBuf {
    let digest = Sha256::digest(named(key).as_bytes());
    let (half, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
    folder.join(lock::FOLDER).join(format!("{:032x}.lock", u128::from_be_bytes(*half)))
}

/// Writes a key so that no two keys are written alike.
fn named(key: &FlowKey) -> String {
    format!("{}\n", serde_json::json!([key.plan, key.environment, key.run_key]))
}
