//! A terminal whose picture changes in one write: what is flushed while it is held leaves together at the end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::TermLike;

/// A terminal that can be held. Its clones are held together.
#[derive(Clone, Debug)]
pub(super) struct Sheet<T> {
    term: T,
    is_held: Arc<AtomicBool>,
}

impl<T: TermLike> Sheet<T> {
    pub(super) fn new(term: T) -> Self {
        Self { term, is_held: Arc::default() }
    }

    /// Does what `draw` does to the terminal in one write, if the terminal keeps a buffer.
    pub(super) fn at_once(&self, draw: impl FnOnce()) {
        self.is_held.store(true, Ordering::Relaxed);
        draw();
        self.is_held.store(false, Ordering::Relaxed);
        // A terminal that has gone away is no reason to fail: the journal has it all.
        let _ = self.term.flush();
    }
}

impl<T: TermLike> TermLike for Sheet<T> {
    fn width(&self) -> u16 {
        or_usual(self.term.width(), 80)
    }

    fn height(&self) -> u16 {
        or_usual(self.term.height(), 24)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.term.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        if self.is_held.load(Ordering::Relaxed) { Ok(()) } else { self.term.flush() }
    }
}

/// Replaces the zero with which a pseudo-terminal says that nobody has told it its size.
const fn or_usual(size: u16, usual: u16) -> u16 {
    if size == 0 { usual } else { size }
}
