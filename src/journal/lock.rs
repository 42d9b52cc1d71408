//! Files whose locks the operating system holds for a process: they are free once it is gone, however it went.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::place;
use crate::time::Delay;

/// The folder of the locks, beside the journal.
pub(super) const FOLDER: &str = "locks";

/// How often to try for a lock before it counts as held: one who only looks holds it for a moment.
const TRIES: u32 = 10;

/// How long to pause between two tries.
const PAUSE: Delay = Delay::from_ms(20);

/// Takes the lock of a file, which is made if it is missing; returns nothing if it is held.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = path.parent() {
        place::make_folder(folder)?;
    }
    let file = place::private().read(true).append(true).create(true).open(path)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE.to_std()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Says whether the lock of a file is held. Makes nothing; those who look do not stand in each other's way.
pub(super) fn is_taken(path: &Path) -> io::Result<bool> {
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

/// Says whether a process of this machine holds any lock of this folder.
pub(super) fn is_any_taken(folder: &Path) -> io::Result<bool> {
    is_any_of_taken(folder, |_| true)
}

/// Says whether a process of this machine holds one of those locks whose files have such names.
pub(super) fn is_any_of_taken(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<bool> {
    let entries = match fs::read_dir(folder.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.file_name().and_then(OsStr::to_str).is_some_and(&is_meant) && is_taken(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}
