//! `synflow flows`: every flow in the journal, newest first.

use crate::cli::args::Flows;
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::{load, put_value};
use crate::driver::now;
use crate::flow::Flow;
use crate::journal::Journal;
use crate::report::{Listed, json, table};

/// Prints the flows. Fails with exit 12 if the journal cannot be read; a single flow that makes no sense is listed as such.
pub(super) fn run(args: &Flows, settings: &Settings) -> Result<(), Failure> {
    let mut journal = Journal::open(&settings.state_dir)?;
    let headers = journal.flows()?;
    let flows: Vec<Result<Flow, String>> = headers
        .iter()
        .map(|header| load::flow(&mut journal, header).map_err(|failure| failure.lines.join(": ")))
        .collect();
    let listed: Vec<Listed<'_>> = headers
        .iter()
        .zip(&flows)
        .map(|(header, flow)| match flow {
            Ok(flow) => Listed::Read(flow),
            Err(why) => Listed::Unreadable { header, why },
        })
        .collect();
    let now = now();
    put_value(&json::flows(&listed, now), args.output, || table::flows(&listed, now))
}
