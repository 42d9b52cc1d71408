//! Scripts and definitions on disk, read for the pure half.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::script::{Script, ScriptError};

/// How deep below a named folder its `pipeline` folders may lie.
const DEPTH_MAX: usize = 6;

/// Why a script or a definition could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or folder cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The script is not one.
    #[error("{}:{error}", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What is wrong, and where.
        error: ScriptError,
    },
    /// The folder holds no definitions.
    #[error("there is no `pipeline/*.json` below `{}`", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Reads a script and the definitions of the folders it names, which are relative to it.
pub fn read_script(path: &Path) -> Result<(Script, Vec<(String, String)>), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let script = Script::parse(&text).map_err(|error| LoadError::Script { path: path.to_owned(), error })?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut definitions = Vec::new();
    for folder in &script.artifacts {
        definitions.extend(read_artifacts(&beside.join(folder))?);
    }
    Ok((script, definitions))
}

/// Reads what [`list_artifacts`] finds. Returns the path and the text of each.
pub fn read_artifacts(folder: &Path) -> Result<Vec<(String, String)>, LoadError> {
    let read = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(source) => Err(LoadError::Unreadable { path, source }),
    };
    list_artifacts(folder)?.into_iter().map(read).collect()
}

/// Finds every `pipeline/*.json` below a folder, or its own `*.json` if it is such a folder, in the order of their
/// paths. Fails if there is none.
pub fn list_artifacts(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let mut files = Vec::new();
    let is_pipeline = |path: &Path| path.file_name().is_some_and(|name| name == "pipeline");
    collect(folder, is_pipeline(folder), 0, &mut files)?;
    if files.is_empty() {
        collect(folder, true, DEPTH_MAX, &mut files)?;
    }
    if files.is_empty() {
        return Err(LoadError::Empty { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}

/// Adds the JSON files of `folder`, if they are definitions, and of the `pipeline` folders below it.
fn collect(folder: &Path, takes: bool, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            // `.git` alone has hundreds of folders, none of them with definitions.
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if depth < DEPTH_MAX && !is_hidden {
                collect(&path, path.ends_with("pipeline"), depth + 1, files)?;
            }
        } else if takes && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            files.push(path);
        }
    }
    Ok(())
}
