//! What the system's signals and the person at the keyboard mean for a process that drives a flow.
//!
//! Without a terminal a signal detaches. At a terminal Ctrl-C asks first. The second one leaves at once.

use std::io::{self, BufRead};

use tokio::sync::{mpsc, oneshot};

use crate::driver::Wish;

/// What a person at the terminal is asked, in lines that fit on it.
const QUESTION: [&str; 2] = [
    "Ctrl-C: `d` and Enter detaches (the runs go on), `c` and Enter cancels them;",
    "Enter alone goes on, Ctrl-C once more leaves at once",
];

/// The same where the runs end with this process.
const EMULATED_QUESTION: [&str; 2] =
    ["Ctrl-C: `d` and Enter ends the emulated workspace, `c` and Enter cancels the runs;", QUESTION[1]];

/// A signal that asks this process to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// From the system, a parent, or a terminal that was closed.
    Terminate,
}

/// Becomes ready when the process is asked to leave.
pub(super) async fn asked_to_leave() {
    let _ = Signals::listen().next().await;
}

/// Turns signals into wishes for the loop; becomes ready when the process must leave at once.
pub(super) async fn obey(wishes: mpsc::UnboundedSender<Wish>, is_at_terminal: bool, is_emulated: bool) {
    let mut signals = Signals::listen();
    loop {
        let signal = signals.next().await;
        if !is_at_terminal || signal == Signal::Terminate {
            // The loop may have ended; then there is nothing left to wish for.
            drop(wishes.send(Wish::Detach));
            signals.next().await;
            return;
        }
        let question = if is_emulated { EMULATED_QUESTION } else { QUESTION };
        for line in question {
            drop(wishes.send(Wish::Say(line.to_owned())));
        }
        tokio::select! {
            _ = signals.next() => return,
            answer = typed() => match answer.trim() {
                "d" | "detach" => drop(wishes.send(Wish::Detach)),
                "c" | "cancel" => drop(wishes.send(Wish::Cancel)),
                _ => drop(wishes.send(Wish::Say("going on".to_owned()))),
            },
        }
    }
}

/// Returns the line that a person types next; `d` once nobody can type any more.
async fn typed() -> String {
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: the runtime would wait for one of its threads that reads, and so would the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let line = match io::stdin().lock().read_line(&mut line) {
            Ok(1..) => line,
            _ => "d".to_owned(),
        };
        drop(sender.send(line));
    });
    receiver.await.unwrap_or_default()
}

/// The signals that ask a process to end, heard from when this was made.
///
/// One that this process was started to ignore, by `nohup` or a script's `&`, is left alone: whoever did that wants it to
/// outlive its terminal.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let listen = |kind: SignalKind| {
            let bit = u64::try_from(kind.as_raw_value() - 1).map_or(0, |shift| 1 << shift);
            (ignored & bit == 0).then(|| signal(kind).ok()).flatten()
        };
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            // The terminal or the connection to it was closed.
            hangup: listen(SignalKind::hangup()),
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            () = heard(&mut self.interrupt) => Signal::Interrupt,
            () = heard(&mut self.terminate) => Signal::Terminate,
            () = heard(&mut self.hangup) => Signal::Terminate,
        }
    }
}

#[cfg(unix)]
async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns the signals that this process was started to ignore, a bit each; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        drop(tokio::signal::ctrl_c().await);
        Signal::Interrupt
    }
}
