//! docs/failures.md is true: its console blocks are what the shell and the real binary say.
//!
//! Each section is one session of bash, in a folder with `examples/failures/` and a port of its own. What differs
//! from night to night (ids, times, who and where) is masked before page and session are compared.
//! `UPDATE_EXPECT=1 cargo test --test it failures` writes the sections that differ anew; read them before committing.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::masks::masked_words;
use crate::space::{TestSpace, root};

const PAGE: &str = "docs/failures.md";
/// What begins the lines that a person types.
const PROMPT: &str = "$ ";
/// Where the page's workspace is served.
const PORT: &str = "4711";
/// Ends the output of a command in what a session writes.
const MARK: &str = "=== end of command ===";

/// A piece of the page.
#[derive(Clone, Debug)]
enum Piece {
    /// A line outside of the blocks.
    Prose(String),
    /// A console block: each command, and the lines that it said.
    Console(Vec<(String, Vec<String>)>),
}

/// Returns the page's sections, each with its heading. What comes before the first heading is one as well.
fn sections(page: &str) -> Vec<Vec<Piece>> {
    let mut sections = vec![Vec::new()];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("## ") {
            sections.push(Vec::new());
        }
        let section = sections.last_mut().unwrap();
        section.push(Piece::Prose(line.to_owned()));
        if line != "```console" {
            continue;
        }
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            match line.strip_prefix(PROMPT) {
                Some(command) => commands.push((command.to_owned(), Vec::new())),
                None => commands.last_mut().expect("a block begins with a command").1.push(line.to_owned()),
            }
        }
        section.extend([Piece::Console(commands), Piece::Prose("```".to_owned())]);
    }
    sections
}

fn consoles(section: &[Piece]) -> impl Iterator<Item = &(String, Vec<String>)> {
    let blocks = section.iter().filter_map(|piece| match piece {
        Piece::Console(commands) => Some(commands),
        Piece::Prose(_) => None,
    });
    blocks.flatten()
}

/// Puts sections together as they are written.
fn written(sections: &[Vec<Piece>]) -> String {
    let mut page = String::new();
    for piece in sections.iter().flatten() {
        match piece {
            Piece::Prose(line) => writeln!(page, "{line}").unwrap(),
            Piece::Console(commands) => {
                for (command, said) in commands {
                    writeln!(page, "{PROMPT}{command}").unwrap();
                    for line in said {
                        writeln!(page, "{line}").unwrap();
                    }
                }
            }
        }
    }
    page
}

/// Returns a port that nobody has, out of the range from which the system gives ports away.
fn free_port(number: usize) -> String {
    let first = 10_000 + (std::process::id() as u16 % 1_000) * 20 + number as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..32_000).step_by(97).find(is_free).expect("some port is free").to_string()
}

/// Lays the page's examples out in a space, with another port, and the binary where a shell finds it.
fn furnish(space: &TestSpace, port: &str) {
    let copy = |folder: &str| {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap().replace(PORT, port);
                space.write(&format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap()), &text);
            }
        }
    };
    copy("examples/failures");
    copy("examples/failures/workspace/pipeline");
    std::fs::create_dir(space.path("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_synflow"), space.path("bin/synflow")).unwrap();
}

/// Types the commands of a section into a shell, and returns what each said.
fn play(commands: &[String], number: usize) -> Vec<Vec<String>> {
    let space = TestSpace::new();
    let port = free_port(number);
    furnish(&space, &port);
    let mut script = String::new();
    for command in commands {
        // The mark must not change what `$?` says.
        writeln!(script, "{command}\nlast=$?; echo '{MARK}'; (exit $last)").unwrap();
    }
    // One pipe for both streams, as a terminal is one; what hangs is ended, and its emulator with it.
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", "exec 2>&1; eval \"$SESSION\""])
        .current_dir(space.path(""))
        .env_clear()
        .env("SESSION", script)
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", space.path("bin").display()))
        .env("TMPDIR", space.path(""))
        .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace(&port, PORT);
    let mut said: Vec<Vec<String>> = Vec::new();
    let mut current = Vec::new();
    for line in text.lines() {
        if line == MARK {
            said.push(std::mem::take(&mut current));
        } else {
            current.push(line.trim_end().to_owned());
        }
    }
    assert_eq!(said.len(), commands.len(), "the session ended early:\n{text}");
    said
}

/// Replaces what tells one machine from another, so that the page names none.
fn anonymous(line: &str) -> String {
    let owner = Regex::new(r"held by \S+ on \S+, process \d+").unwrap();
    owner.replace_all(line, "held by ana on laptop, process 4242").into_owned()
}

/// Returns lines as they are compared: without what differs from night to night.
fn masked(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + &masked_words(line) + "\n")
}

/// Returns what is other between two texts, with their common beginning and end left out.
fn difference(want: &str, got: &str) -> String {
    let (want, got): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let before = want.iter().zip(&got).take_while(same).count();
    let after = want[before..].iter().rev().zip(got[before..].iter().rev()).take_while(same).count();
    let part = |lines: &[&str], sign: &str| -> String {
        lines[before..lines.len() - after].iter().fold(String::new(), |text, line| text + sign + line + "\n")
    };
    format!("{}\n{}{}", want[0], part(&want, "- "), part(&got, "+ "))
}

/// Plays a section and returns it with what was said in the place of what stands there.
fn replayed(section: &[Piece], number: usize) -> Vec<Piece> {
    let commands: Vec<String> = consoles(section).map(|(command, _)| command.clone()).collect();
    if commands.is_empty() {
        return section.to_vec();
    }
    let mut said = play(&commands, number).into_iter();
    let replay = |piece: &Piece| match piece {
        Piece::Prose(_) => piece.clone(),
        Piece::Console(commands) => {
            let fresh = commands.iter().map(|(command, _)| {
                let lines = said.next().unwrap();
                (command.clone(), lines.iter().map(|line| anonymous(line)).collect())
            });
            Piece::Console(fresh.collect())
        }
    };
    section.iter().map(replay).collect()
}

#[test]
fn what_the_page_shows_is_what_happens() {
    let stored = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let sections = sections(&stored);
    assert_eq!(written(&sections), stored, "the page is taken apart and put together without loss");
    let fresh: Vec<Vec<Piece>> = std::thread::scope(|scope| {
        let plays: Vec<_> = sections
            .iter()
            .enumerate()
            .map(|(number, section)| scope.spawn(move || replayed(section, number)))
            .collect();
        plays.into_iter().map(|play| play.join().unwrap()).collect()
    });
    let mut page = Vec::new();
    let mut wrong = Vec::new();
    for (old, new) in sections.iter().zip(fresh) {
        let lines = |section: &[Piece]| -> Vec<String> {
            consoles(section)
                .flat_map(|(command, said)| [std::slice::from_ref(command), &said[..]].concat())
                .collect()
        };
        let (want, got) = (masked(&lines(old)), masked(&lines(&new)));
        if want == got {
            page.push(old.clone());
        } else {
            wrong.push(difference(&want, &got));
            page.push(new);
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(root().join(PAGE), written(&page)).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}\n{PAGE} is stale: UPDATE_EXPECT=1 writes it", wrong.join("\n"));
}

#[test]
fn every_example_stands_on_the_page() {
    let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let names = std::fs::read_dir(root().join("examples/failures")).unwrap();
    let names: BTreeSet<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names.iter().filter(|name| Path::new(name).extension().is_some()) {
        let word = match name.strip_suffix(".emulator.yaml") {
            Some(night) => format!("{PROMPT}. examples/failures/night {night}\n"),
            None => format!("synflow apply examples/failures/{name}"),
        };
        assert!(page.contains(&word), "{PAGE} does not run {name}");
    }
}
