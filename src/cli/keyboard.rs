//! What a person types at the terminal while a flow runs, line by line.
//!
//! The terminal keeps its mode: a line is read when Enter ends it, so there is nothing to restore, whatever ends this
//! process. A process in the background never reads, for the system would stop it for that.

use tokio::sync::mpsc;

/// A line that was typed, or the end of all typing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// The line, without the Enter at its end; nothing for Ctrl-D.
    pub(super) text: Option<String>,
    /// Whether the terminal has shown the Enter, and so moved the cursor of stderr.
    pub(super) is_echoed: bool,
}

/// The keyboard of a terminal.
pub(super) struct Keyboard {
    lines: mpsc::UnboundedReceiver<Typed>,
}

impl Keyboard {
    /// Begins to listen. stdin must be a terminal.
    pub(super) fn listen() -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        // A thread of its own: the runtime would wait for one of its threads that reads, and so would the process.
        std::thread::spawn(move || read(&sender));
        Self { lines }
    }

    /// Returns the next line; nothing once nobody can type any more.
    pub(super) async fn line(&mut self) -> Option<Typed> {
        self.lines.recv().await
    }
}

/// Reads until the terminal is gone or nobody listens.
#[cfg(unix)]
fn read(lines: &mpsc::UnboundedSender<Typed>) {
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    /// How long to leave alone what is typed for others, or a terminal that has nothing to say.
    const REST: Duration = Duration::from_millis(200);

    let stdin = rustix::stdio::stdin();
    let mut held = Vec::new();
    loop {
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return,
        }
        let is_gone = polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        if !is_gone && !is_in_front() {
            std::thread::sleep(REST);
            continue;
        }
        let mut bytes = [0; 1024];
        let typed = match rustix::io::read(stdin, &mut bytes) {
            Ok(0) if is_gone => return,
            Ok(0) => {
                held.clear();
                std::thread::sleep(REST);
                vec![Typed { text: None, is_echoed: false }]
            }
            Ok(count) => {
                held.extend_from_slice(&bytes[..count]);
                taken(&mut held, is_echoed())
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN | Errno::IO) if !is_gone => {
                std::thread::sleep(REST);
                continue;
            }
            Err(_) => return,
        };
        for line in typed {
            if lines.send(line).is_err() {
                return;
            }
        }
    }
}

/// Takes the whole lines from what was read.
#[cfg(unix)]
fn taken(held: &mut Vec<u8>, is_echoed: bool) -> Vec<Typed> {
    let mut lines = Vec::new();
    while let Some(end) = held.iter().position(|&byte| byte == b'\n') {
        let line: Vec<u8> = held.drain(..=end).collect();
        let text = Some(String::from_utf8_lossy(&line).trim().to_owned());
        lines.push(Typed { text, is_echoed });
    }
    lines
}

/// Says whether this process may read from its terminal.
#[cfg(unix)]
fn is_in_front() -> bool {
    let front = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    front.is_ok_and(|front| front == rustix::process::getpgrp())
}

/// Says whether an Enter on stdin moves the cursor of stderr: both are one terminal, and it shows what is typed.
#[cfg(unix)]
fn is_echoed() -> bool {
    use rustix::fs::fstat;
    use rustix::termios::{LocalModes, tcgetattr};

    let (stdin, stderr) = (rustix::stdio::stdin(), rustix::stdio::stderr());
    let is_one = matches!((fstat(stdin), fstat(stderr)), (Ok(a), Ok(b)) if a.st_rdev == b.st_rdev);
    is_one && tcgetattr(stdin).is_ok_and(|mode| mode.local_modes.contains(LocalModes::ECHO))
}

/// Reads until the terminal is gone or nobody listens.
#[cfg(not(unix))]
fn read(lines: &mpsc::UnboundedSender<Typed>) {
    let mut line = String::new();
    while let Ok(1..) = std::io::stdin().read_line(&mut line) {
        let typed = Typed { text: Some(line.trim().to_owned()), is_echoed: true };
        if lines.send(typed).is_err() {
            return;
        }
        line.clear();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Typed, taken};

    #[test]
    fn a_line_is_taken_once_enter_has_ended_it() {
        let line = |text: &str| Typed { text: Some(text.to_owned()), is_echoed: true };
        let mut held = b"t\n\nsta".to_vec();
        assert_eq!(taken(&mut held, true), [line("t"), line("")]);
        assert_eq!(held, b"sta");
        held.extend_from_slice(b"tus\r\n");
        assert_eq!(taken(&mut held, true), [line("status")]);
        assert!(held.is_empty());
    }
}
