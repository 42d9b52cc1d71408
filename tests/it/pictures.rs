//! The pictures of the terminal in the README: screens of real runs as SVG, readable on light and dark pages.
//!
//! `SYNFLOW_PICTURES=1 cargo test --test it pictures::` makes them anew, which takes a minute; `docs/terminal.md` says so.
#![cfg(unix)]

use std::fmt::Write;
use std::path::PathBuf;

use synflow::report::{width, xml};

use crate::session::Session;
use crate::space::{TestSpace, root};
use crate::witness::wait_until;

/// The size of a character, in pixels, and the space around all of them.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: f64 = 16.0;

/// Colours for light pages, and for dark ones.
const STYLE: &str = "\
.b{fill:#fafbfc;stroke:#d0d7de}.p{fill:#24292f}.q{fill:#6e7781}.g{fill:#1a7f37}.y{fill:#8a5a00}.r{fill:#cf222e;font-weight:bold}\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}\
@media(prefers-color-scheme:dark){.b{fill:#0d1117;stroke:#30363d}.p{fill:#e6edf3}.q{fill:#8b949e}.g{fill:#3fb950}\
.y{fill:#d29922}.r{fill:#ff7b72}}";

fn folder() -> PathBuf {
    root().join("docs/pictures")
}

/// Returns the class of a cell's look.
fn class(cell: &vt100::Cell) -> char {
    match cell.fgcolor() {
        vt100::Color::Idx(1 | 9) => 'r',
        vt100::Color::Idx(2 | 10) => 'g',
        vt100::Color::Idx(3 | 11) => 'y',
        _ if cell.dim() => 'q',
        _ => 'p',
    }
}

/// Draws a run of equal cells: text, or a block where fonts would leave gaps.
fn run(svg: &mut String, row: usize, column: usize, class: char, text: &str) {
    let (x, y) = (MARGIN + column as f64 * CELL.0, MARGIN + row as f64 * CELL.1);
    let wide = width(text) as f64 * CELL.0;
    let block = match text.chars().next() {
        Some('█') => Some(1.0),
        Some('▓') => Some(0.75),
        Some('░') => Some(0.25),
        _ => None,
    };
    match block {
        Some(opacity) => {
            let (top, high) = (y + 3.0, CELL.1 - 6.0);
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" opacity=\"{opacity}\"/>"
            );
        }
        None if text.trim().is_empty() => {}
        None => {
            let base = y + 14.0;
            let _ = writeln!(
                svg,
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{base:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
                xml(text)
            );
        }
    }
}

/// Draws a screen below the command that made it.
fn svg(command: &str, screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let used = (0..rows).rev().find(|&row| (0..columns).any(|at| shown(screen, row, at) != " "));
    let rows = used.map_or(0, |row| row + 1);
    let (wide, high) =
        (f64::from(columns) * CELL.0 + 2.0 * MARGIN, f64::from(rows + 1) * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" width=\"{wide:.0}\" height=\"{high:.0}\">\n\
         <style>{STYLE}</style>\n<rect class=\"b\" x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n",
        wide - 1.0,
        high - 1.0
    );
    run(&mut svg, 0, 0, 'q', &format!("$ {command}"));
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let looks = |at: u16| screen.cell(row, at).map_or('p', class);
            let block = |at: u16| ["█", "▓", "░"].iter().position(|block| shown(screen, row, at) == *block);
            let end = (column..columns)
                .find(|&at| looks(at) != looks(column) || block(at) != block(column))
                .unwrap_or(columns);
            let text: String = (column..end).map(|at| shown(screen, row, at)).collect();
            let blanks = text.chars().take_while(|letter| *letter == ' ').count();
            run(&mut svg, usize::from(row) + 1, usize::from(column) + blanks, looks(column), text.trim());
            column = end;
        }
    }
    svg + "</svg>\n"
}

/// Returns what a cell shows; nothing for the second half of a wide letter.
fn shown(screen: &vt100::Screen, row: u16, column: u16) -> String {
    let Some(cell) = screen.cell(row, column) else { return " ".to_owned() };
    match cell.contents() {
        "" if cell.is_wide_continuation() => String::new(),
        "" => " ".to_owned(),
        text => text.to_owned(),
    }
}

#[test]
fn are_made_anew() {
    const COLUMNS: u16 = 104;
    if std::env::var_os("SYNFLOW_PICTURES").is_none() {
        return;
    }
    let space = TestSpace::new();
    let colours = [("TERM", "xterm-256color"), ("NO_COLOR", "")];
    let usual = "apply examples/nightly/plan.yaml --emulate --script examples/nightly/emulator.yaml";
    for _ in 0..3 {
        assert_eq!(space.run(&format!("{usual} --progress none")).code, 0);
    }
    // A night on which one step takes much longer than on others.
    let script = std::fs::read_to_string(root().join("examples/nightly/emulator.yaml")).unwrap();
    let slow = script
        .replace(
            "artifacts: [workspace]",
            &format!("artifacts: [{}]", root().join("examples/nightly/workspace").display()),
        )
        .replace("0_main_edfi: { duration: 6s }", "0_main_edfi: { duration: 60s }")
        .replace("duration: 8s", "duration: 40s");
    assert_ne!(script, slow);
    let slow = space.write("slow.yaml", &slow);
    let words =
        format!("apply examples/nightly/plan.yaml --max-parallel 3 --emulate --script {}", slow.display());
    let session = Session::begin(&space.command(words.split(' ')), (24, COLUMNS), &colours);
    wait_until("a step is slow", || session.lines().iter().any(|line| line.contains("SLOW")));
    let picture = svg("synflow apply examples/nightly/plan.yaml --max-parallel 3", &session.screen());
    std::fs::write(folder().join("running.svg"), picture).unwrap();

    let words = "apply examples/fails.yaml --emulate --script examples/fails.emulator.yaml";
    let mut session = Session::begin(&space.command(words.split(' ')), (40, COLUMNS), &colours);
    session.wait();
    wait_until("all was read", || session.sees("next: "));
    std::fs::write(folder().join("failed.svg"), svg("synflow apply examples/fails.yaml", &session.screen()))
        .unwrap();
}

#[test]
fn are_small_and_are_shown() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for name in ["running.svg", "failed.svg"] {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        assert!(text.len() < 40_000, "{name} has {} bytes", text.len());
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{name}");
        assert!(text.contains("prefers-color-scheme:dark"), "{name}");
        assert!(readme.contains(&format!("(docs/pictures/{name})")), "the README does not show {name}");
    }
}

#[test]
fn a_picture_has_every_letter_of_the_screen() {
    let mut parser = vt100::Parser::new(4, 30, 0);
    parser.process("\x1b[32m██\x1b[0m\x1b[2m░░\x1b[0m  a<b 数\r\n  \x1b[1;31mfailed\x1b[0m".as_bytes());
    let svg = svg("synflow apply", parser.screen());
    for part in [
        "<text class=\"q\" x=\"16.0\" y=\"30.0\" textLength=\"126.0\" lengthAdjust=\"spacingAndGlyphs\">$ synflow",
        "<rect class=\"g\" x=\"16.0\" y=\"38.0\" width=\"16.8\" height=\"13.0\" opacity=\"1\"/>",
        "<rect class=\"q\" x=\"32.8\" y=\"38.0\" width=\"16.8\" height=\"13.0\" opacity=\"0.25\"/>",
        "x=\"66.4\" y=\"49.0\" textLength=\"50.4\" lengthAdjust=\"spacingAndGlyphs\">a&lt;b 数</text>",
        "<text class=\"r\" x=\"32.8\" y=\"68.0\" textLength=\"50.4\" lengthAdjust=\"spacingAndGlyphs\">failed</text>",
    ] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
}
