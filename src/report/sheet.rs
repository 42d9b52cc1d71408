//! What moves at the bottom of a terminal, repainted in one write, however the terminal is resized meanwhile.
//!
//! After each repaint the cursor stands at the start of the picture's first line. A terminal that is made narrower wraps
//! what it shows and takes the cursor along; so the next repaint begins in the right place without having to know how the
//! lines lie by now, and erases from there to the end of the screen. The terminal's modes are left as they are and the
//! cursor is never hidden: whatever ends this process, there is nothing to restore.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Begins and ends an update that a terminal shows at once; one that does not know them passes over them.
const AT_ONCE: (&str, &str) = ("\x1b[?2026h", "\x1b[?2026l");

/// Cuts off at the right margin what is wider than it was measured, instead of breaking the line.
const UNWRAPPED: (&str, &str) = ("\x1b[?7l", "\x1b[?7h");

/// How much is kept for a terminal that may not be written to at the moment.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// Where this process stands with its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// In the foreground, or there is no such thing.
    Front,
    /// In the background: what moves would scribble over what a person does there.
    Back,
    /// In the background of a terminal that stops whoever writes from there (`stty tostop`).
    Barred,
}

/// A terminal to write to, and how to ask for its size and who stands in its foreground.
pub struct Terminal {
    writer: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> Option<(u16, u16)> + Send>,
    ground: Box<dyn Fn() -> Ground + Send>,
    /// What came while nothing could be written.
    held: Vec<u8>,
}

impl Terminal {
    /// Makes a terminal of a writer and a function that tells its rows and columns.
    pub fn new(
        writer: impl Write + Send + 'static,
        size: impl Fn() -> Option<(u16, u16)> + Send + 'static,
        ground: impl Fn() -> Ground + Send + 'static,
    ) -> Self {
        Self { writer: Box::new(writer), size: Box::new(size), ground: Box::new(ground), held: Vec::new() }
    }

    /// Returns standard error, which must be a terminal.
    pub fn stderr() -> Self {
        let term = console::Term::stderr();
        // On Windows, this is what makes the console read escape sequences.
        let _ = term.features().colors_supported();
        Self::new(io::stderr(), move || term.size_checked(), stderr_ground)
    }

    fn ground(&self) -> Ground {
        (self.ground)()
    }

    /// Returns rows and columns. A pseudo-terminal that nobody has told its size says zero.
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = (self.size)().unwrap_or_default();
        let or_usual = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
        (or_usual(rows, 24), or_usual(columns, 80))
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.ground() == Ground::Barred {
            let excess = self.held.len().saturating_sub(HELD_BYTES_MAX);
            self.held.drain(..excess);
            return Ok(bytes.len());
        }
        let held = std::mem::take(&mut self.held);
        self.writer.write_all(&held)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.ground() == Ground::Barred { Ok(()) } else { self.writer.flush() }
    }
}

#[cfg(unix)]
fn stderr_ground() -> Ground {
    use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};
    let terminal = rustix::stdio::stderr();
    // Both only read: neither stops a process in the background.
    match tcgetpgrp(terminal) {
        Ok(front) if front != rustix::process::getpgrp() => {
            let stops = tcgetattr(terminal).is_ok_and(|mode| mode.local_modes.contains(LocalModes::TOSTOP));
            if stops { Ground::Barred } else { Ground::Back }
        }
        _ => Ground::Front,
    }
}

#[cfg(not(unix))]
fn stderr_ground() -> Ground {
    Ground::Front
}

/// A terminal with a picture at its bottom.
pub(super) struct Sheet {
    terminal: Terminal,
    /// Whether a picture is on the screen.
    is_drawn: bool,
    /// How many lines the cursor was moved down by the terminal itself.
    below: usize,
}

impl Sheet {
    pub(super) const fn new(terminal: Terminal) -> Self {
        Self { terminal, is_drawn: false, below: 0 }
    }

    pub(super) fn ground(&self) -> Ground {
        self.terminal.ground()
    }

    /// Returns rows and columns as they are now.
    pub(super) fn size(&self) -> (usize, usize) {
        self.terminal.size()
    }

    /// Notes that the terminal has echoed an Enter, and so moved the cursor.
    pub(super) const fn went_down(&mut self) {
        if self.is_drawn {
            self.below += 1;
        }
    }

    /// Paints the picture, below lines that stay. `marks` are sequences that move nothing.
    pub(super) fn repaint(&mut self, above: &[String], picture: &[String], marks: &str) {
        let mut text = String::from(AT_ONCE.0);
        self.begin(&mut text);
        text.push_str(marks);
        for line in above {
            let _ = write!(text, "\x1b[K{line}\r\n");
        }
        text.push_str(UNWRAPPED.0);
        for (at, line) in picture.iter().enumerate() {
            // Before the text: after one that fills its line, the cursor still stands on the last letter.
            let (gap, erase) = if at + 1 == picture.len() { ("", "\x1b[J") } else { ("\r\n", "\x1b[K") };
            let _ = write!(text, "{erase}{line}{gap}");
        }
        text.push('\r');
        if picture.len() > 1 {
            let _ = write!(text, "\x1b[{}A", picture.len() - 1);
        }
        let _ = write!(text, "{}{}", UNWRAPPED.1, AT_ONCE.1);
        self.is_drawn = true;
        self.put(&text);
    }

    /// Takes the picture away and leaves this text in its place, as it is.
    pub(super) fn leave(&mut self, text: &str) {
        let mut out = String::new();
        if self.is_drawn {
            self.begin(&mut out);
            out.push_str("\x1b[J");
        }
        self.is_drawn = false;
        out.push_str(text);
        if !out.is_empty() {
            self.put(&out);
        }
    }

    /// Moves the cursor to the start of the picture.
    fn begin(&mut self, text: &mut String) {
        if self.below > 0 {
            let _ = write!(text, "\x1b[{}A", self.below);
        }
        self.below = 0;
        text.push('\r');
    }

    fn put(&mut self, text: &str) {
        // A terminal that has gone away is no reason to fail: the journal has it all.
        let _ = self.terminal.write_all(text.as_bytes());
        let _ = self.terminal.flush();
    }
}
