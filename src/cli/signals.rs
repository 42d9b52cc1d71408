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
#[cfg(unix)]
struct Signals {
    /// Interrupt, terminate and hangup; nothing where the system refuses to tell of them.
    streams: Option<[tokio::signal::unix::Signal; 3]>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = || {
            Ok::<_, io::Error>([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                // The terminal or the connection to it was closed.
                signal(SignalKind::hangup())?,
            ])
        };
        Self { streams: listen().ok() }
    }

    async fn next(&mut self) -> Signal {
        let Some([interrupt, terminate, hangup]) = &mut self.streams else {
            drop(tokio::signal::ctrl_c().await);
            return Signal::Interrupt;
        };
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
            _ = hangup.recv() => Signal::Terminate,
        }
    }
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
