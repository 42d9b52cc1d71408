//! What a verb that drives a flow says last, once its exit code is known: to the program that reads its stdout, and to the
//! CI service that it runs in.

use std::io::Write;
use std::time::Duration;

use crate::cli::args::{Driving, Output, Stream};
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet::{Background, put_value};
use crate::cli::settings::Settings;
use crate::cli::{ci, report};
use crate::driver::now;
use crate::flow::Flow;
use crate::report::events::{Problem, StreamLine};
use crate::report::json as of_flow;
use crate::time::Timestamp;

/// How long a reader of the stream may take for the next piece, once the flow has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where the process was asked to leave.
const PATIENCE_WHEN_LEAVING: Duration = Duration::from_secs(1);

/// How far a process came with a flow.
pub(super) struct Driven {
    /// The exit code.
    pub(super) code: u8,
    /// The flow as it is then.
    pub(super) flow: Flow,
    /// Why the process could not go on, if so.
    pub(super) failure: Option<Failure>,
}

impl Driven {
    /// Makes what came of a flow that the process has followed as far as it was asked to.
    pub(super) const fn new(code: u8, flow: Flow) -> Self {
        Self { code, flow, failure: None }
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
    let (flow, code, failure) = match done {
        Ok(Driven { code, flow, failure: None }) => (Some(flow), code, None),
        Ok(Driven { flow, failure: Some(failure), .. }) => (Some(flow), failure.exit.code(), Some(failure)),
        Err(failure) => (None, failure.exit.code(), Some(failure)),
    };
    let (flow, at) = (flow.as_ref(), now());
    let is_written = close(args.output, flow, at, code, failure.as_ref());
    if let Some(flow) = flow {
        report::at_end(args.report.as_deref(), &flow.header().id, settings);
    }
    ci::end(flow, code, at, args.report.as_deref(), settings);
    match failure {
        Some(failure) => Err(failure),
        None => is_written.map(|()| code),
    }
}

/// Says last what a program that reads stdout is told by a process that has only followed a flow.
///
/// Fails with exit 2 if stdout takes nothing.
pub(super) fn followed(flow: &Flow, code: u8, output: Stream) -> Result<(), Failure> {
    close(output, Some(flow), now(), code, None)
}

/// Ends what stdout gets.
fn close(
    output: Stream,
    flow: Option<&Flow>,
    at: Timestamp,
    code: u8,
    failure: Option<&Failure>,
) -> Result<(), Failure> {
    match (output, flow) {
        (Stream::Jsonl, _) => {
            let line = StreamLine::end(flow, at, code, failure.map(problem));
            // It takes everything.
            drop(Background.write_all(line.text().as_bytes()));
            let is_leaving = [Exit::Detached, Exit::Interrupted].iter().any(|exit| exit.code() == code);
            Background::drain(if is_leaving { PATIENCE_WHEN_LEAVING } else { PATIENCE });
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
