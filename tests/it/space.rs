//! A place of its own for a test of the real binary: a folder, a journal, and emulators that end with it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with its own journal.
pub(crate) struct TestSpace {
    folder: TempDir,
}

/// What a finished command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running `synflow emulate`; dropping it ends it.
pub(crate) struct Emulator {
    child: Child,
    variables: Vec<(String, String)>,
    // Keeps the pipe open: the emulator may go on writing.
    _stderr: Option<BufReader<ChildStderr>>,
}

impl TestSpace {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// Returns a path inside the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the journal.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file into the folder and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Prepares the binary with these words, from the project's root, with this space's journal and a clean
    /// environment, in which no machine has an identity.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synflow"));
        command
            .args(words)
            .current_dir(root())
            .env_clear()
            .env("SYNFLOW_STATE_DIR", self.state_dir())
            .env("NO_COLOR", "1")
            .env("TMPDIR", self.folder.path())
            // Nobody listens there: no test asks the machine that it runs on who it is.
            .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary with these words, separated by spaces, to its end.
    pub(crate) fn run(&self, words: &str) -> Said {
        Said::from(self.command(words.split(' ')).output().unwrap())
    }

    /// Starts `synflow emulate` with these words.
    pub(crate) fn emulate(&self, words: &str) -> Emulator {
        let words = ["emulate"].into_iter().chain(words.split(' ').filter(|word| !word.is_empty()));
        let mut child = self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut variables = Vec::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        while !variables.iter().any(|(name, _)| name == "SYNAPSE_ENDPOINT") {
            let line = stdout.next().expect("the emulator says where it listens").unwrap();
            let (name, value) = line.split_once('=').expect("KEY=value lines first");
            variables.push((name.to_owned(), value.to_owned()));
        }
        let stderr = child.stderr.take().map(BufReader::new);
        Emulator { child, variables, _stderr: stderr }
    }

    /// Prepares the binary with these words, signed in at an emulator.
    pub(crate) fn command_at(&self, emulator: &Emulator, words: &str) -> Command {
        let mut command = self.command(words.split(' '));
        command.envs(emulator.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary with these words, signed in at an emulator, to its end.
    pub(crate) fn run_at(&self, emulator: &Emulator, words: &str) -> Said {
        Said::from(self.command_at(emulator, words).output().unwrap())
    }

    /// Returns `synflow status --output json`.
    pub(crate) fn status(&self) -> Value {
        let said = self.run("status --output json");
        assert_eq!(said.code, 0, "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }
}

impl Emulator {
    /// Returns the address of the workspace.
    pub(crate) fn endpoint(&self) -> &str {
        self.variable("SYNAPSE_ENDPOINT")
    }

    /// Returns what the emulator printed for a name.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("the emulator printed no {name}")).1
    }

    /// Returns the emulator's own record of what it was asked and what it ran.
    pub(crate) fn record(&self) -> Value {
        let url = format!("{}/_emulator/record", self.endpoint());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
