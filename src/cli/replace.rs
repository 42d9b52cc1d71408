//! Writing a file as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file, in place of the one that is there if there is one: writes a new one beside it, with its permissions,
/// and puts that in its place.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (path, permissions) = match fs::metadata(path) {
        // A pipe or a device stays one, too.
        Ok(found) if !found.is_file() => return fs::write(path, text),
        // A link stays a link.
        Ok(found) => (fs::canonicalize(path)?, Some(found.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    let beside = beside(&path);
    let written = write_new(&beside, text, permissions).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written
}

/// Returns the name of the new file. Hidden, so that no pattern such as `*.yaml` finds it.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn write_new(path: &Path, text: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    // Else a power cut could leave an empty file under the old name.
    file.sync_all()
}
