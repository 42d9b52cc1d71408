//! Which file systems a journal may be written on: those of this machine alone.
//!
//! On a network drive neither locks nor flushes hold for sure, so two machines could both own a key and a commit
//! could vanish. Linux tells in a table what is mounted where; elsewhere nothing is asked. Main function:
//! [`remote_type`].

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The types of file systems whose files lie on another machine, or are shared with one.
const REMOTE: [&str; 29] = [
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "cvmfs",
    "davfs",
    "fakeowner",
    "gfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "kafs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "osxfs",
    "prl_fs",
    "pvfs2",
    "smb2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];

/// The file systems in user space (`fuse.NAME`) that keep their files on this machine; all others may be remote.
const LOCAL_FUSE: [&str; 10] = [
    "bindfs",
    "encfs",
    "exfat",
    "fuse-overlayfs",
    "gocryptfs",
    "lxcfs",
    "mergerfs",
    "ntfs-3g",
    "unionfs",
    "unionfs-fuse",
];

/// Where Linux tells what is mounted.
const TABLE: &str = "/proc/self/mountinfo";

/// Returns the type of the file system that holds a file, or will hold it, if it is a remote one. Nothing where
/// the system does not tell.
pub(super) fn remote(path: &Path) -> io::Result<Option<String>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    match std::fs::read(TABLE) {
        Ok(table) => Ok(remote_type(&String::from_utf8_lossy(&table), &real(path)?)),
        Err(_) => Ok(None),
    }
}

/// Follows the links of a path as far as it exists.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut known = path.as_path();
    loop {
        if let Ok(real) = known.canonicalize() {
            return Ok(missing.iter().rev().fold(real, |real, name| real.join(name)));
        }
        let (Some(parent), Some(name)) = (known.parent(), known.file_name()) else { return Ok(path) };
        missing.push(name.to_owned());
        known = parent;
    }
}

/// Returns the type of the file system below a path, in the form of `/proc/self/mountinfo`, if it is a remote one.
fn remote_type(table: &str, path: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        let point = PathBuf::from(unescaped(fields.split(' ').nth(4)?));
        let depth = path.starts_with(&point).then(|| point.components().count())?;
        Some((depth, rest.split(' ').next()?))
    });
    // Of several at one point the last is on top, and that is the one `max_by_key` gives.
    let (_, kind) = mounts.max_by_key(|(depth, _)| *depth)?;
    let is_remote = match kind.strip_prefix("fuse.") {
        Some(name) => !LOCAL_FUSE.contains(&name),
        None => REMOTE.contains(&kind),
    };
    is_remote.then(|| kind.to_owned())
}

/// Returns a field of the table in which blanks, line breaks and backslashes stand as octal numbers: `\040`.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let letter =
            escape.get(1..4).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        let taken = if letter.is_some() { 4 } else { 1 };
        text.push(letter.map_or('\\', char::from));
        rest = &escape[taken..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{real, remote_type, unescaped};

    #[test]
    fn tells_remote_file_systems_from_local_ones() {
        let check = |kind: &str, want: bool| {
            let table = format!(
                "27 1 254:0 / / rw - ext4 /dev/vda rw\n41 27 0:40 / /srv rw shared:7 - {kind} x rw\n"
            );
            let found = remote_type(&table, Path::new("/srv/ada/.local/state/synflow/journal.db"));
            assert_eq!(found, want.then(|| kind.to_owned()), "{kind}");
        };
        for kind in [
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "virtiofs",
            "ceph",
            "fuse.sshfs",
            "fuse.rclone",
            "fuse.s3fs",
        ] {
            check(kind, true);
        }
        for kind in
            ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs", "vfat"]
        {
            check(kind, false);
        }
    }

    #[test]
    fn the_mount_nearest_to_the_file_counts() {
        let table = "\
            27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            41 27 0:40 / /srv rw - nfs4 server:/srv rw\n\
            42 41 0:41 / /srv/ada/local\\040disk rw master:1 propagate_from:2 - xfs /dev/vdb rw\n\
            43 27 0:42 / /data rw - ext4 /dev/vdc rw\n\
            44 27 0:43 / /data rw - cifs //server/data rw\n\
            a line that is none\n";
        let check = |path: &str, want: Option<&str>| {
            assert_eq!(remote_type(table, Path::new(path)).as_deref(), want, "{path}");
        };
        check("/srv/ada/state/journal.db", Some("nfs4"));
        check("/srv/ada/local disk/journal.db", None);
        check("/srv/ada/local disks/journal.db", Some("nfs4"));
        check("/srvs/journal.db", None);
        check("/data/journal.db", Some("cifs"));
        check("/var/journal.db", None);
        assert_eq!(remote_type("", Path::new("/var/journal.db")), None);
    }

    #[test]
    fn reads_octal_numbers() {
        let check = |field: &str, want: &str| assert_eq!(unescaped(field), want, "{field}");
        check("/a\\040b\\134c\\011d\\012e", "/a b\\c\td\ne");
        check("/é\\040ü", "/é ü");
        check("/a\\", "/a\\");
        check("/a\\99x", "/a\\99x");
        check("/a\\é9", "/a\\é9");
    }

    #[cfg(unix)]
    #[test]
    fn follows_links_as_far_as_a_path_exists() {
        let temp = tempfile::tempdir().expect("a temporary folder can be made");
        let there = temp.path().canonicalize().expect("it was just made");
        std::fs::create_dir(there.join("far")).expect("it is new");
        std::os::unix::fs::symlink(there.join("far"), there.join("near")).expect("it is new");
        let found = real(&there.join("near/state/synflow/journal.db")).expect("it can be looked for");
        assert_eq!(found, there.join("far/state/synflow/journal.db"));
    }
}
