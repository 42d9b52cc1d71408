//! The way to stdout and stderr, for everything that this process writes there.
//!
//! A CI service obeys commands that stand in either, and what we write holds words of plans and of the service: all of it
//! passes a [`Guarded`]. Only [`commands`] and what must stay as it is byte for byte ([`put_exact`]) do not.
#![expect(clippy::disallowed_methods, reason = "the one place that opens stdout and stderr")]

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use serde_json::Value;

use crate::cli::args::Output;
use crate::cli::failure::{Exit, Failure};
use crate::report::ci::{Guarded, defused, defused_json};

/// How often it is looked whether a stalled reader goes on.
const LOOK_GAP: Duration = Duration::from_millis(5);

/// Stderr, colours taken out where it is no terminal that takes them.
pub(super) type Stderr = Guarded<anstream::Stderr>;

/// Returns the way to stderr.
pub(super) fn stderr() -> Stderr {
    Guarded::new(anstream::stderr())
}

/// Returns the way to stderr for commands to a CI service.
pub(super) fn commands() -> anstream::Stderr {
    anstream::stderr()
}

/// Writes text to stdout. A reader that has gone away, such as `head`, is no failure.
pub(super) fn put(text: &str) -> Result<(), Failure> {
    put_exact(&defused(text))
}

/// Writes to stdout what a file or another program takes in, as it is.
pub(super) fn put_exact(data: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    match out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Usage, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value in the form asked for; `text` makes the one for people.
pub(super) fn put_value(value: &Value, output: Output, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let json = || put_exact(&defused_json(&format!("{value:#}\n")));
    match output {
        Output::Text => put(&text()),
        Output::Json => json(),
        Output::Yaml => {
            let yaml =
                serde_yaml::to_string(value).map_err(|error| Failure::from_error(Exit::Bug, &error))?;
            // JSON is YAML, and can hide what its own block texts cannot.
            if defused(&yaml) == yaml { put_exact(&yaml) } else { json() }
        }
    }
}

/// Stdout for a stream that goes on while something else must not wait: a thread writes, so that a reader that has stalled
/// or gone away holds up no flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Background;

/// The thread's end of it.
struct Worker {
    sender: Sender<Vec<u8>>,
    /// How many pieces wait for the reader.
    waiting: AtomicUsize,
}

static WORKER: OnceLock<Worker> = OnceLock::new();

impl Background {
    fn worker() -> &'static Worker {
        WORKER.get_or_init(|| {
            let (sender, pieces) = channel::<Vec<u8>>();
            std::thread::spawn(move || {
                let mut out = anstream::stdout();
                while let Ok(piece) = pieces.recv() {
                    // What nobody reads any more is in the journal all the same.
                    drop(out.write_all(&piece).and_then(|()| out.flush()));
                    if let Some(worker) = WORKER.get() {
                        worker.waiting.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
            Worker { sender, waiting: AtomicUsize::new(0) }
        })
    }

    /// Waits until all is written, as long as the reader takes something within `patience`, and `has_time` says that there
    /// is time for it.
    pub(super) fn drain(patience: Duration, has_time: impl Fn() -> bool) {
        let Some(worker) = WORKER.get() else { return };
        let (mut last, mut idle) = (usize::MAX, Duration::ZERO);
        loop {
            match worker.waiting.load(Ordering::SeqCst) {
                0 => return,
                waiting if waiting < last => (last, idle) = (waiting, Duration::ZERO),
                _ if idle >= patience => return,
                _ => idle += LOOK_GAP,
            }
            if !has_time() {
                return;
            }
            std::thread::sleep(LOOK_GAP);
        }
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let worker = Self::worker();
        worker.waiting.fetch_add(1, Ordering::SeqCst);
        // The thread lives as long as the process.
        drop(worker.sender.send(bytes.to_vec()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
