//! A sign that a process runs an emulated flow: a lock file of its own, for such a flow owns no key.
//!
//! Only for those who look. The file is removed when its process ends in order; a killed one leaves it, and it is free.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::lease::FOLDER;
use super::{Journal, JournalError, place};
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
        let lock = || {
            place::make_folder(&folder.join(FOLDER))?;
            let path = path(&folder, flow);
            let file = place::private().append(true).create(true).open(&path)?;
            file.try_lock()?;
            Ok(Presence { path, _lock: file })
        };
        self.presence = Some(lock().map_err(|error: io::Error| self.error("lock", error.into()))?);
        Ok(())
    }

    /// Says whether a process of this machine runs this emulated flow.
    pub fn is_attended(&self, flow: &FlowId) -> Result<bool, JournalError> {
        is_attended(&self.folder(), flow).map_err(|error| self.error("lock", error.into()))
    }

    /// Says whether a process of this machine runs any emulated flow.
    pub fn is_any_attended(&self) -> Result<bool, JournalError> {
        let folder = self.folder().join(FOLDER);
        let look = || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                let is_sign = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(PREFIX));
                if is_sign && is_held(&path)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        look().map_err(|error: io::Error| self.error("lock", error.into()))
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
    is_held(&path(folder, flow))
}

fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes what a killed process has left of a flow that is no more.
pub(super) fn forget(folder: &Path, flow: &FlowId) {
    drop(fs::remove_file(path(folder, flow)));
}

fn path(folder: &Path, flow: &FlowId) -> PathBuf {
    folder.join(FOLDER).join(format!("{PREFIX}{flow}.lock"))
}
