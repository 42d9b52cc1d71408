//! Asks git. It asks nobody anything in turn, and is not waited for longer than its answer is worth.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long something that this machine knows may take.
const LOCAL_MAX: Duration = Duration::from_secs(3);

/// How long something may take that a partial clone has to fetch first.
const FETCHED_MAX: Duration = Duration::from_secs(60);

/// How long to leave a process alone that has said all and has yet to end.
const PAUSE: Duration = Duration::from_millis(5);

/// How far git may go for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What is on this machine.
    Local,
    /// What must be fetched first, too.
    Network,
}

/// What git has answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Whether it ended well.
    pub(super) is_good: bool,
    /// Its stdout.
    pub(super) stdout: Vec<u8>,
    /// Its stderr.
    pub(super) stderr: Vec<u8>,
}

/// Asks git, in a folder, and gives it this to read.
///
/// Fails if there is no git, or with `TimedOut` if it takes too long; then it is killed.
pub(super) fn ask(folder: &Path, words: &[&str], stdin: Option<Vec<u8>>, reach: Reach) -> io::Result<Answer> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(words).env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    if reach == Reach::Local {
        git.env("GIT_NO_LAZY_FETCH", "1");
    }
    git.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut git = git.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut pipe), Some(bytes)) = (git.stdin.take(), stdin) {
        // One that does not read to the end has its reasons.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    let answer = wait(&mut git, if reach == Reach::Local { LOCAL_MAX } else { FETCHED_MAX });
    if answer.is_err() {
        // It may have ended by itself.
        drop(git.kill());
        drop(git.wait());
    }
    answer
}

fn wait(git: &mut Child, limit: Duration) -> io::Result<Answer> {
    let (stdout, stderr) = (git.stdout.take().map(read), git.stderr.take().map(read));
    let mut left = limit;
    let stdout =
        stdout.map(|stdout| stdout.recv_timeout(left)).transpose().map_err(late)?.unwrap_or_default();
    let stderr =
        stderr.map(|stderr| stderr.recv_timeout(left)).transpose().map_err(late)?.unwrap_or_default();
    loop {
        if let Some(status) = git.try_wait()? {
            return Ok(Answer { is_good: status.success(), stdout, stderr });
        }
        left = left.checked_sub(PAUSE).ok_or(RecvTimeoutError::Timeout).map_err(late)?;
        thread::sleep(PAUSE);
    }
}

/// Reads to the end, beside whatever else is done: a process that starts others may keep a pipe open for ever.
fn read(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        drop(sender.send(bytes));
    });
    receiver
}

fn late(_: RecvTimeoutError) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
}
