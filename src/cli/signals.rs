//! What the system's signals and the person at the keyboard mean for a process that drives a flow.
//!
//! Without a terminal a signal detaches. At a terminal Ctrl-C asks first, and the second one leaves at once; `t` or Enter
//! shows how the flow stands.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::cli::keyboard::{Keyboard, Typed};
use crate::driver::{Leaving, Wish};

/// What a person at the terminal is asked, in lines that fit on it.
const QUESTION: [&str; 2] = [
    "Ctrl-C: `d` and Enter detaches (the runs go on), `c` and Enter cancels them;",
    "Enter alone goes on, Ctrl-C once more leaves at once",
];

/// The same where the runs end with this process.
const EMULATED_QUESTION: [&str; 2] =
    ["Ctrl-C: `d` and Enter ends the emulated workspace, `c` and Enter cancels the runs;", QUESTION[1]];

/// What is said to a person who types anything else.
const KEYS: &str = "`t` or Enter: how the flow stands; Ctrl-C: detach or cancel";

/// How long the screen may take to be cleared before this process is stopped.
const CLEARING: Duration = Duration::from_millis(60);

/// A signal that asks something of this process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Ctrl-C: to end.
    Interrupt,
    /// From the system or a parent: to end.
    Terminate,
    /// The terminal, or the connection to it, was closed: to end. It may come more than once, and nobody is impatient.
    HangUp,
    /// Ctrl-Z: to stop until it is told to go on.
    Stop,
}

/// Becomes ready when the process is asked to leave.
pub(super) async fn asked_to_leave() {
    let _ = Signals::listen(false).next().await;
}

/// Turns signals and keys into wishes for the loop; becomes ready when the process must leave at once.
/// From then on `leaving` counts, and from the first wish to detach.
pub(super) async fn obey(
    wishes: mpsc::UnboundedSender<Wish>,
    leaving: &Leaving,
    is_at_terminal: bool,
    is_emulated: bool,
) {
    let wish = |wish: Wish| {
        if wish == Wish::Detach {
            leaving.begin();
        }
        // The loop may have ended; then there is nothing left to wish for.
        drop(wishes.send(wish));
    };
    let mut signals = Signals::listen(is_at_terminal);
    let mut keyboard = is_at_terminal.then(Keyboard::listen);
    // Whether the question is open, and whether a signal has made this process leave.
    let (mut is_asked, mut is_leaving) = (false, false);
    loop {
        tokio::select! {
            // A signal comes before what is typed after it.
            biased;
            signal = signals.next() => match signal {
                Signal::Stop => {
                    wish(Wish::Pause);
                    tokio::time::sleep(CLEARING).await;
                    stop();
                }
                Signal::Interrupt if is_asked || is_leaving => return leaving.begin(),
                Signal::Terminate if is_leaving => return,
                Signal::Interrupt if is_at_terminal => {
                    wish(Wish::Ask(if is_emulated { &EMULATED_QUESTION } else { &QUESTION }));
                    is_asked = true;
                }
                // Also while the question is open: whoever was asked may be gone.
                Signal::Interrupt | Signal::Terminate | Signal::HangUp => {
                    wish(Wish::Detach);
                    is_leaving = true;
                }
            },
            typed = typed(&mut keyboard) => {
                let Some(Typed { text, is_echoed }) = typed else {
                    keyboard = None;
                    if is_asked {
                        wish(Wish::Detach);
                    }
                    continue;
                };
                if is_echoed {
                    wish(Wish::Typed);
                }
                match (is_asked, text.as_deref()) {
                    (true, Some("d" | "detach") | None) => wish(Wish::Detach),
                    (true, Some("c" | "cancel")) => wish(Wish::Cancel),
                    (true, Some(_)) => wish(Wish::Say("going on".to_owned())),
                    (false, Some("" | "t")) => wish(Wish::Show),
                    (false, Some(_)) => wish(Wish::Say(KEYS.to_owned())),
                    (false, None) => {}
                }
                is_asked = false;
            }
        }
    }
}

/// Returns what is typed next; for ever nothing where there is no keyboard.
async fn typed(keyboard: &mut Option<Keyboard>) -> Option<Typed> {
    match keyboard {
        Some(keyboard) => keyboard.line().await,
        None => std::future::pending().await,
    }
}

/// Stops this process until it is told to go on, as Ctrl-Z does where nobody listens.
#[cfg(unix)]
fn stop() {
    use rustix::process::{Signal, getpid, kill_process};
    // It cannot be refused: the process is our own.
    let _ = kill_process(getpid(), Signal::STOP);
}

#[cfg(not(unix))]
fn stop() {}

/// The signals that ask a process to end, heard from when this was made.
///
/// One that this process was started to ignore, by `nohup` or a script's `&`, is left alone: whoever did that wants it to
/// outlive its terminal.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
    stop: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen; to Ctrl-Z only where something is on the screen that must be cleared first.
    fn listen(to_stop: bool) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let listen = |kind: SignalKind| {
            let bit = u64::try_from(kind.as_raw_value() - 1).map_or(0, |shift| 1 << shift);
            (ignored & bit == 0).then(|| signal(kind).ok()).flatten()
        };
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            hangup: listen(SignalKind::hangup()),
            stop: to_stop
                .then(|| listen(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw())))
                .flatten(),
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            () = heard(&mut self.interrupt) => Signal::Interrupt,
            () = heard(&mut self.terminate) => Signal::Terminate,
            () = heard(&mut self.hangup) => Signal::HangUp,
            () = heard(&mut self.stop) => Signal::Stop,
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
    fn listen(_to_stop: bool) -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        drop(tokio::signal::ctrl_c().await);
        Signal::Interrupt
    }
}
