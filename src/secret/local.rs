//! Secrets on this machine: environment variables and files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use secrecy::SecretString;

use super::failure::Why;

/// The largest file that is read, in bytes: certificates and keys are far smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads a variable of the environment that the process was started with.
pub(super) fn variable(environment: &BTreeMap<String, String>, name: &str) -> Result<SecretString, Why> {
    match environment.get(name).map(String::as_str) {
        None => Err(Why::Unset),
        Some("") => Err(Why::Empty),
        Some(value) => Ok(value.into()),
    }
}

/// Reads a file without the line break at its end. A relative path begins in `folder`.
pub(super) fn file(folder: &Path, path: &str) -> Result<SecretString, Why> {
    let path = folder.join(path);
    let unreadable = |reason: String| Why::Unreadable { path: path.clone(), reason };
    let read = || {
        // A pipe or a device might never end, or never begin.
        if !std::fs::metadata(&path)?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(Some(bytes))
    };
    let bytes = match read() {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(unreadable("it is no file".to_owned())),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is larger than {} KiB", FILE_BYTES_MAX / 1024)));
    }
    // The error would hold the bytes.
    let Ok(text) = String::from_utf8(bytes) else { return Err(unreadable("it is not UTF-8".to_owned())) };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err(Why::Empty) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use secrecy::ExposeSecret;

    use super::{FILE_BYTES_MAX, Why, file, variable};

    #[test]
    fn reads_variables() {
        let environment =
            BTreeMap::from([("A".to_owned(), " x ".to_owned()), ("B".to_owned(), String::new())]);
        assert_eq!(variable(&environment, "A").expect("it is set").expose_secret(), " x ");
        assert_eq!(variable(&environment, "B").expect_err("it is empty"), Why::Empty);
        assert_eq!(variable(&environment, "C").expect_err("it is not set"), Why::Unset);
    }

    #[test]
    fn reads_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |bytes: &[u8], want: Result<&str, &str>| {
            fs::write(folder.path().join("key"), bytes).expect("it is ours");
            let got = file(folder.path(), "key");
            match (got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got.expose_secret(), want),
                (Err(why), Err(want)) => assert!(format!("{why:?}").contains(want), "{why:?}"),
                (got, want) => panic!("{:?} is not {want:?}", got.err()),
            }
        };
        check(b"word", Ok("word"));
        check(b"word\n", Ok("word"));
        check(b"word\r\n", Ok("word"));
        check(b"word\n\n", Ok("word\n"));
        check(b" word ", Ok(" word "));
        check(b"\n", Err("Empty"));
        check(b"", Err("Empty"));
        check(b"\xff\xfe", Err("not UTF-8"));
        check(&vec![b'x'; FILE_BYTES_MAX as usize + 1], Err("larger than 64 KiB"));
        assert!(format!("{:?}", file(folder.path(), ".").err()).contains("no file"));
        assert!(format!("{:?}", file(folder.path(), "none").err()).contains("No such file"));
    }
}
