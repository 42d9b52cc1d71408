//! The command: what was typed becomes settings, a verb runs, its result becomes an exit code.
//!
//! Data goes to stdout, everything else to stderr. One file a verb.

mod apply;
pub mod args;
mod artifacts;
mod cancel;
mod ci;
mod commit;
mod completions;
mod connect;
mod contract;
mod diff;
mod doctor;
mod drive;
mod earlier;
mod edited;
mod emulate;
mod ending;
mod expected;
mod explain;
pub mod failure;
mod find;
mod flows;
mod fmt;
mod forms;
mod git;
mod graph;
mod import;
mod init;
mod keyboard;
mod lines_diff;
mod load;
mod logs;
mod moment;
mod outlet;
mod own;
mod pace;
mod plan;
mod prune;
mod rehearse;
mod replace;
mod report;
mod resolve;
mod resume;
mod saved;
mod schema;
mod secrets;
mod settings;
mod show;
mod signals;
mod status;
mod test;
mod traces;
mod unlock;
mod validate;
mod watch;
mod why;

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Verb};
use crate::cli::failure::{Exit, Failure};
use crate::cli::outlet::{put, put_exact, put_value};
use crate::cli::settings::Settings;

/// Runs the command this process was started with.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs a command line and returns the exit code.
fn run(words: impl Iterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render().ansi().to_string();
            if error.use_stderr() {
                drop(outlet::stderr().write_all(text.as_bytes()));
                return Exit::Usage.code();
            }
            drop(put_exact(&text));
            return Exit::Done.code();
        }
    };
    let ci = settings::ci(&cli.global);
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            drop(failure.print(&mut outlet::stderr()));
            ci::show_failure(&failure, ci);
            failure.exit.code()
        }
    }
}

fn dispatch(cli: Cli) -> Result<u8, Failure> {
    let done = Exit::Done.code();
    match cli.verb {
        Verb::Explain(args) => explain::run(&args).map(|()| done),
        Verb::Schema(args) => schema::run(&args).map(|()| done),
        Verb::Fmt(args) => Ok(fmt::run(&args, &Settings::gather(&cli.global)?)),
        Verb::Completions(args) => completions::run(&args).map(|()| done),
        Verb::Init(args) => init::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Validate(args) => validate::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Plan(args) => plan::run(&args, &Settings::gather(&cli.global)?),
        Verb::Apply(args) => apply::run(&args, &Settings::gather(&cli.global)?),
        Verb::Rehearse(args) => rehearse::run(&args, &Settings::gather(&cli.global)?),
        Verb::Test(args) => test::run(&args, &Settings::gather(&cli.global)?),
        Verb::Resume(args) => resume::run(&args, &Settings::gather(&cli.global)?),
        Verb::Cancel(args) => cancel::run(&args, &Settings::gather(&cli.global)?),
        Verb::Resolve(args) => resolve::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Unlock(args) => unlock::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Status(args) => status::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Watch(args) => watch::run(&args, &Settings::gather(&cli.global)?),
        Verb::Why(args) => why::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Logs(args) => logs::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Flows(args) => flows::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Diff(args) => diff::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Graph(args) => graph::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Report(args) => report::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Import(args) => import::run(&args, &Settings::gather(&cli.global)?).map(|()| done),
        Verb::Doctor(args) => doctor::run(&args, &Settings::gather(&cli.global)?),
        Verb::Emulate(args) => emulate::run(&args).map(|()| done),
    }
}

/// Runs the verbs that need a network.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // One thread: a flow waits nearly all of its time, and a second one costs memory and wake-ups for nothing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Bug, format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(work);
    // Does not wait for a name that the system is still looking up: in an outage that takes longer than a signal may.
    runtime.shutdown_background();
    done
}
