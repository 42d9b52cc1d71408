//! The binary at a terminal, with a person who types.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A command at a pseudo-terminal of its own.
pub(crate) struct Session {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    terminal: Box<dyn MasterPty + Send>,
    reader: Option<JoinHandle<()>>,
}

struct Seen {
    text: String,
    parser: vt100::Parser,
}

impl Session {
    /// Starts a command at a terminal with so many rows and columns, with more environment.
    pub(crate) fn begin(plain: &Command, (rows, cols): (u16, u16), env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(plain.get_program());
        command.args(plain.get_args());
        command.env_clear();
        for (name, value) in plain.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.env("TERM", "xterm");
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(crate::space::root());
        let child = pair.slave.spawn_command(command).unwrap();
        // The reader comes to an end when nobody has the other side any more.
        drop(pair.slave);
        let parser = vt100::Parser::new(rows, cols, 10_000);
        let seen = Arc::new(Mutex::new(Seen { text: String::new(), parser }));
        let (mut output, shared) = (pair.master.try_clone_reader().unwrap(), seen.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                let mut seen = shared.lock().unwrap();
                seen.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                seen.parser.process(&bytes[..read]);
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        Self { child, keyboard, seen, terminal: pair.master, reader: Some(reader) }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Makes the window larger or smaller, as xterm does.
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        self.seen.lock().unwrap().parser.screen_mut().set_size(rows, cols);
        self.terminal.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Says whether this was written at any time.
    pub(crate) fn sees(&self, text: &str) -> bool {
        self.seen.lock().unwrap().text.contains(text)
    }

    /// Returns all that was written.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().unwrap().text.clone()
    }

    /// Returns the screen as it is now.
    pub(crate) fn screen(&self) -> vt100::Screen {
        self.seen.lock().unwrap().parser.screen().clone()
    }

    /// Returns the lines on the screen, without blanks at their ends and without empty lines below.
    pub(crate) fn lines(&self) -> Vec<String> {
        let screen = self.screen();
        let (_, columns) = screen.size();
        let mut lines: Vec<String> = screen.rows(0, columns).map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits for the end, and until all that was written has been seen; returns the exit code.
    pub(crate) fn wait(&mut self) -> u32 {
        let code = self.child.wait().unwrap().exit_code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        code
    }
}
