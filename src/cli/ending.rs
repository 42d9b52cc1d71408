//! What a verb that drives a flow says last, once its exit code is known: to the program that reads its stdout, and to the
//! CI service that it runs in.

use std::io::Write;
use std::time::Duration;

use crate::cli::args::{Driving, Output, Stream};
use crate::cli::ci;
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet::{Background, put_value};
use crate::cli::report::{self, Making};
use crate::cli::settings::Settings;
use crate::driver::{Leaving, now};
use crate::flow::Flow;
use crate::report::events::{Problem, StreamLine};
use crate::report::json as of_flow;
use crate::time::Timestamp;

/// How long a reader of the stream may take for the next piece, once the flow has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where the flow goes on without this process.
const PATIENCE_WHEN_LEFT: Duration = Duration::from_secs(1);

/// How much of the time that a process has left, once it was asked to leave, is for reports.
const LEFT_TO_REPORTS: Duration = Duration::from_millis(200);

/// How far a process came with a flow.
pub(super) struct Driven {
    /// The exit code.
    pub(super) code: u8,
    /// The flow as it is then.
    pub(super) flow: Flow,
    /// Why the process could not go on, if so.
    pub(super) failure: Option<Failure>,
    /// When it must be gone, if it was asked to leave.
    pub(super) leaving: Leaving,
}

impl Driven {
    /// Makes what came of a flow that the process has followed as far as it was asked to.
    pub(super) fn new(code: u8, flow: Flow) -> Self {
        Self { code, flow, failure: None, leaving: Leaving::default() }
    }
}

/// Says last what there is to say, and returns the exit code.
///
/// Fails with the failure it was given.
pub(super) fn tell(
    done: Result<Driven, Failure>,
    args: &Driving,
    settings: &Settings,
) -> Result<u8, Failure> {
    let (flow, code, failure, leaving) = match done {
        Ok(Driven { code, flow, failure: None, leaving }) => (Some(flow), code, None, leaving),
        Ok(Driven { flow, failure: Some(failure), leaving, .. }) => {
            (Some(flow), failure.exit.code(), Some(failure), leaving)
        }
        Err(failure) => (None, failure.exit.code(), Some(failure), Leaving::default()),
    };
    let (flow, at) = (flow.as_ref(), now());
    // Beside a reader of stdout that takes its time.
    let making = flow.map(|flow| Making::begin(&flow.header().id, args.report.is_some(), settings));
    let is_written = close(args.output, flow, at, code, failure.as_ref(), &leaving);
    let (html, markdown) = making.map(|making| making.wait(leaving.left())).unwrap_or_default();
    let report = args.report.as_deref().filter(|path| {
        flow.zip(html).is_some_and(|(flow, html)| report::at_end(path, html, flow, failure.is_none()))
    });
    ci::end(flow, code, at, report, markdown, settings);
    match failure {
        Some(failure) => Err(failure),
        None => is_written.map(|()| code),
    }
}

/// Says last what a program that reads stdout is told by a process that has only followed a flow.
///
/// Fails with exit 2 if stdout takes nothing.
pub(super) fn followed(flow: &Flow, code: u8, output: Stream) -> Result<(), Failure> {
    close(output, Some(flow), now(), code, None, &Leaving::default())
}

/// Ends what stdout gets.
fn close(
    output: Stream,
    flow: Option<&Flow>,
    at: Timestamp,
    code: u8,
    failure: Option<&Failure>,
    leaving: &Leaving,
) -> Result<(), Failure> {
    match (output, flow) {
        (Stream::Jsonl, _) => {
            let line = StreamLine::end(flow, at, code, failure.map(problem));
            // It takes everything.
            drop(Background.write_all(line.text().as_bytes()));
            let is_left = [Exit::Detached, Exit::Interrupted].iter().any(|exit| exit.code() == code);
            Background::drain(if is_left { PATIENCE_WHEN_LEFT } else { PATIENCE }, || {
                leaving.left().is_none_or(|left| left > LEFT_TO_REPORTS)
            });
            Ok(())
        }
        (Stream::Json, Some(flow)) => put_value(&of_flow::status(flow, at), Output::Json, String::new),
        (Stream::Yaml, Some(flow)) => put_value(&of_flow::status(flow, at), Output::Yaml, String::new),
        (Stream::Json | Stream::Yaml | Stream::Text, _) => Ok(()),
    }
}

/// Returns the only line of a stream before which nothing could begin.
pub(super) fn of_nothing(failure: &Failure) -> String {
    StreamLine::end(None, now(), failure.exit.code(), Some(problem(failure))).text()
}

/// Returns a failure for programs.
fn problem(failure: &Failure) -> Problem {
    let mut lines = failure.lines.iter().cloned();
    let message = lines.next().unwrap_or_else(|| failure.exit.meaning().to_owned());
    Problem { message, because: lines.collect(), hints: failure.hints.clone() }
}
