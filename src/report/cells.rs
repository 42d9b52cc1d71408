//! The cells of a progress bar. indicatif draws them, on a terminal of one line that keeps what is written: how a picture
//! reaches the screen is `sheet.rs`'s alone, so that a resize leaves nothing behind.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// A cell that is done.
pub(super) const DONE: char = '█';

/// A cell that is not.
const TO_DO: char = '░';

/// Returns a bar of so many columns of which this share is done; nothing to do is all done.
pub(super) fn cells(columns: usize, total: usize, done: usize) -> String {
    let paper = Paper { columns: u16::try_from(columns).unwrap_or(u16::MAX), text: Arc::default() };
    let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
    let style =
        ProgressStyle::with_template(&format!("{{bar:{columns}}}")).expect("the template is well formed");
    let style = style.progress_chars(&format!("{DONE}{TO_DO}"));
    let (total, done) = if total == 0 { (1, 1) } else { (total as u64, done.min(total) as u64) };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style).with_position(done);
    bar.tick();
    let text = paper.text.lock().unwrap_or_else(PoisonError::into_inner).clone();
    text.chars().filter(|cell| [DONE, TO_DO].contains(cell)).collect()
}

/// A terminal of one line.
#[derive(Clone, Debug)]
struct Paper {
    columns: u16,
    text: Arc<Mutex<String>>,
}

impl TermLike for Paper {
    fn width(&self) -> u16 {
        self.columns
    }

    fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::cells;

    #[test]
    fn a_bar_fills_as_steps_end() {
        let check = |total, done, want: &str| assert_eq!(cells(10, total, done), want, "{done} of {total}");
        check(4, 0, "░░░░░░░░░░");
        check(4, 1, "██░░░░░░░░");
        check(3, 2, "██████░░░░");
        check(2000, 1999, "█████████░");
        check(2000, 2000, "██████████");
        check(0, 0, "██████████");
    }
}
