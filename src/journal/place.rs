//! Where the journal is: makes its folder and file for one user alone, and knows them again.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Makes a folder, for this user alone: parameters and texts of pipelines are nobody else's business.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the file if it is missing, for this user alone whatever the folder allows. SQLite gives the files it
/// makes beside this one the same permissions.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    // Never opens a file that is there: closing it would free the locks that SQLite has on it in this process.
    match private().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Returns the options that make a file for this user alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Returns the file beside the journal that SQLite names with this ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Which files the journal's are, whatever their names come to stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity([Option<(u64, u64)>; 3]);

impl Identity {
    /// Looks at the journal's file, its log and the log's index.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self([identity(path)?, identity(&beside(path, "-wal"))?, identity(&beside(path, "-shm"))?]))
    }

    /// Says whether the journal's file itself is there.
    pub(super) const fn has_file(&self) -> bool {
        self.0[0].is_some()
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Here a file that is open can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> io::Result<Option<(u64, u64)>> {
    Ok(Some((0, 0)))
}

/// Says whether the log beside a journal can be one: it is missing, empty, or begins as SQLite begins it. After a power
/// cut it may begin with zeros; then nothing was committed to it.
pub(super) fn is_log(path: &Path) -> io::Result<bool> {
    const BEGINNINGS: [[u8; 4]; 3] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83], [0; 4]];
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut beginning = [0; 4];
    match file.read_exact(&mut beginning) {
        Ok(()) => Ok(BEGINNINGS.contains(&beginning)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
        Err(error) => Err(error),
    }
}

/// Says whether a file is there and not empty.
pub(super) fn is_filled(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the address by which SQLite reads a file as one that nobody changes, with no files beside it.
pub(super) fn uri(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or_else(|| io::Error::other("its path is not Unicode"))?;
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23").replace('\\', "/");
    let slash = if escaped.starts_with('/') { "" } else { "/" };
    Ok(format!("file:{slash}{escaped}?immutable=1"))
}
