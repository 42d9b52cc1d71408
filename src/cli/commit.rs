//! The git commit that a plan's file stands at, for those who read a flow's report later.

use std::path::Path;

use crate::cli::git::{self, Reach};
use crate::flow::Commit;

/// Returns the commit that is checked out around a plan's file, and whether the text that was read of it is another one
/// there; nothing where git is not there, knows nothing of the folder or does not answer.
///
/// Asks only for ids: no index is read or written, and nothing is fetched.
pub(super) fn of(file: &Path, text: &str) -> Option<Commit> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name()?.to_str()?;
    let ask = |words: &[&str], stdin: Option<&str>| {
        let answer =
            git::ask(folder, words, stdin.map(|text| text.as_bytes().to_vec()), Reach::Local).ok()?;
        let text = String::from_utf8(answer.stdout).ok()?;
        Some(answer.is_good.then(|| text.trim().to_owned()))
    };
    let id = ask(&["rev-parse", "--verify", "--quiet", "HEAD"], None)??;
    let is_plain = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit());
    let committed = ask(&["rev-parse", "--verify", "--quiet", &format!("HEAD:./{name}")], None)?;
    // As it would be committed from there: line ends may be others.
    let present = ask(&["hash-object", "--stdin", "--path", name], Some(text))??;
    is_plain(&id).then(|| Commit { id, changed: committed != Some(present) })
}
