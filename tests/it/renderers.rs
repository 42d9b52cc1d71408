//! A recorded stream, told again by every reader there is: the same text as when it happened.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use synflow::flow::{Flow, Recorded};
use synflow::journal::Journal;
use synflow::report::ci::{Ci, CiLog, Guarded, defused_xml};
use synflow::report::events::{Events, StreamLine};
use synflow::report::story::{self, Known};
use synflow::report::{Bars, Beside, Expected, Lines, Look, Report, Several, end_block};

use crate::canvas::Screen;
use crate::space::{Said, TestSpace, root};
use crate::streams::{lines, prepared, prepared_without_notes};

/// A place that several write to.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Tells a stream to a report, folding the flow as it goes, and returns the flow.
fn retell(stream: &[StreamLine], report: &mut dyn Report) -> Flow {
    let Some(StreamLine::Flow { header, .. }) = stream.first() else { panic!("{:?}", stream.first()) };
    let mut flow = Flow::from_header((**header).clone()).unwrap();
    for line in stream {
        match line {
            StreamLine::Event { .. } => {
                let recorded = line.recorded().unwrap();
                flow.apply(&recorded).unwrap();
                report.on(&recorded, &flow);
            }
            StreamLine::Note { at, text, .. } => report.note(*at, text),
            StreamLine::Summary(ended) => report.finish(ended.at, &flow),
            StreamLine::Flow { .. } => {}
        }
    }
    flow
}

/// Runs the night in a CI service, and returns its stream, what stderr got, and the page of the job.
fn live(space: &TestSpace, ci: &str) -> (Vec<StreamLine>, Said, String) {
    let mut command: Command = prepared(space, &format!("--output jsonl --ci {ci}"));
    let said = command
        .env("GITHUB_STEP_SUMMARY", space.path("summary.md"))
        .env("AGENT_TEMPDIRECTORY", space.path(""))
        .output()
        .unwrap();
    let said = Said::from(said);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let stream = lines(&said.stdout);
    let Some(StreamLine::Flow { flow, .. }) = stream.first() else { panic!("{:?}", stream.first()) };
    let page = match ci {
        "github" => space.path("summary.md"),
        _ => space.path(&format!("synflow-{flow}.md")),
    };
    let page = std::fs::read_to_string(page).unwrap_or_default();
    (stream, said, page)
}

#[test]
fn lines_commands_and_pages_are_told_again_word_for_word() {
    for (name, ci) in [("github", Some(Ci::Github)), ("azure", Some(Ci::Azure)), ("none", None)] {
        let space = TestSpace::new();
        let (stream, said, page) = live(&space, name);
        let text = Shared::default();
        let log = ci.map(|ci| CiLog::new(ci, text.clone(), root().to_owned(), root().to_owned()));
        let log = log.map(|log| Box::new(log) as Box<dyn Report>);
        let plain = Box::new(Lines::new(Guarded::new(text.clone()))) as Box<dyn Report>;
        assert!(stream.iter().any(|line| matches!(line, StreamLine::Note { .. })), "{}", said.stdout);
        let flow = retell(&stream, &mut Several(log.into_iter().chain([plain]).collect()));
        assert!(said.stderr.contains(&text.text()), "{}\n--- again:\n{}", said.stderr, text.text());
        let Some(StreamLine::Summary(ended)) = stream.last() else { panic!("{:?}", stream.last()) };
        let block = end_block(&flow, &Beside::default(), ended.at);
        assert!(said.stderr.contains("bad") && text.text().contains("failed: bad"), "{block}");
        let events: Vec<Recorded> = stream.iter().filter_map(StreamLine::recorded).collect();
        let story = story::tell(&flow, &events, &Known::default(), ended.at);
        if ci.is_some() {
            assert_eq!(page.trim_end(), story::markdown(&story).trim_end());
        }
        let junit = space.run("report --format junit");
        assert_eq!(junit.stdout, defused_xml(&story::junit(&story)), "{}", junit.stderr);
        // The stream tells itself.
        let (again, flow) = (Shared::default(), ended.flow.clone());
        let Some(StreamLine::Flow { header, .. }) = stream.first() else { panic!("{:?}", stream.first()) };
        let begun = Flow::from_header((**header).clone()).unwrap();
        retell(&stream, &mut Events::new(again.clone(), &begun));
        let end = stream.last().unwrap().text();
        assert_eq!(again.text() + &end, said.stdout, "{flow:?}");
    }
}

#[test]
fn bars_end_on_the_same_screen() {
    const SIZE: PtySize = PtySize { rows: 60, cols: 90, pixel_width: 0, pixel_height: 0 };
    let space = TestSpace::new();
    let plain = prepared_without_notes(&space, "--progress bar");
    let mut command = CommandBuilder::new(plain.get_program());
    command.args(plain.get_args());
    command.env_clear();
    for (name, value) in plain.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env("TERM", "xterm");
    command.cwd(root());
    let pair = native_pty_system().openpty(SIZE).unwrap();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut parser = vt100::Parser::new(SIZE.rows, SIZE.cols, 1000);
    let mut bytes = [0; 4096];
    // On Linux the end of the other side is an error.
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        parser.process(&bytes[..read]);
    }
    assert_eq!(child.wait().unwrap().exit_code(), 1);
    let shown: Vec<String> =
        parser.screen().rows(0, SIZE.cols).map(|row| row.trim_end().to_owned()).collect();

    let mut journal = Journal::open(&space.state_dir()).unwrap();
    let header = journal.find(Some("@latest")).unwrap();
    let events = journal.events(&header.id).unwrap();
    let mut flow = Flow::from_header(header).unwrap();
    let screen = Screen::new(SIZE.rows, SIZE.cols);
    let mut bars = Bars::new(screen.terminal(), Look::default(), Expected::default());
    for recorded in &events {
        flow.apply(recorded).unwrap();
        bars.on(recorded, &flow);
    }
    bars.finish(events.last().unwrap().at, &flow);
    let again = screen.lines();
    assert!(again.iter().any(|line| line.starts_with("failed: bad")), "{again:?}");
    // What was said before there was a flow is not in its stream.
    let shown = shown.iter().map(String::as_str).skip_while(|line| line.starts_with("note: no definition"));
    let shown: Vec<&str> = shown.take(again.len()).collect();
    assert_eq!(shown, again);
}
