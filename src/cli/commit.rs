//! The git commit that a plan's file stands at, for those who read a flow's report later.

use std::path::Path;
use std::process::Command;

use crate::flow::Commit;

/// Returns the commit that is checked out around a file; nothing where git is not there or knows nothing of the folder.
///
/// Asks only for ids: no index is read or written, and no hook runs.
pub(super) fn of(file: &Path) -> Option<Commit> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name()?.to_str()?;
    let id = ask(folder, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    let is_plain = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit());
    let committed = ask(folder, &["rev-parse", "--verify", "--quiet", &format!("HEAD:./{name}")]);
    let present = ask(folder, &["hash-object", "--", name]);
    is_plain(&id).then(|| Commit { id, changed: committed.is_none() || committed != present })
}

fn ask(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
