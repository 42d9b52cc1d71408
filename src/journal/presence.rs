//! A sign that a process runs an emulated flow: a lock file of its own, for such a flow owns no key.
//!
//! Only for those who look. The file is removed when its process ends in order; a killed one leaves it, and it is free.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Journal, JournalError, lock};
use crate::flow::FlowId;

/// How the names of these files begin, beside the locks of keys.
const PREFIX: &str = "emulated-";

/// The sign, as long as its journal is open.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    /// Closing the file frees the lock.
    _lock: File,
}

impl Journal {
    /// Shows other processes that this one runs an emulated flow, until this journal is dropped or the process ends.
    ///
    /// Fails if the lock file cannot be made or another process has it.
    pub fn attend(&mut self, flow: &FlowId) -> Result<(), JournalError> {
        let folder = self.folder();
        let attend = || {
            let path = path(&folder, flow);
            let file = lock::take(&path)?.ok_or(io::ErrorKind::WouldBlock)?;
            Ok(Presence { path, _lock: file })
        };
        self.presence = Some(attend().map_err(|error: io::Error| self.error("lock", error.into()))?);
        Ok(())
    }

    /// Says whether a process of this machine runs this emulated flow.
    pub fn is_attended(&self, flow: &FlowId) -> Result<bool, JournalError> {
        is_attended(&self.folder(), flow).map_err(|error| self.error("lock", error.into()))
    }

    /// Says whether a process of this machine runs any emulated flow.
    pub fn is_any_attended(&self) -> Result<bool, JournalError> {
        let found = lock::is_any_of_taken(&self.folder(), |name| name.starts_with(PREFIX));
        found.map_err(|error| self.error("lock", error.into()))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays is free, and says the same.
        drop(fs::remove_file(&self.path));
    }
}

/// Says whether the lock of a flow is held. Makes nothing.
pub(super) fn is_attended(folder: &Path, flow: &FlowId) -> io::Result<bool> {
    lock::is_taken(&path(folder, flow))
}

/// Removes what a killed process has left of a flow that is no more.
pub(super) fn forget(folder: &Path, flow: &FlowId) {
    drop(fs::remove_file(path(folder, flow)));
}

fn path(folder: &Path, flow: &FlowId) -> PathBuf {
    folder.join(lock::FOLDER).join(format!("{PREFIX}{flow}.lock"))
}
