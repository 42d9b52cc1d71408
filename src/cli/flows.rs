//! `synflow flows`: every flow in the journal, newest first.

use crate::cli::args::Flows;
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::{load, put_value};
use crate::driver::now;
use crate::flow::{Flow, FlowHeader};
use crate::journal::Journal;
use crate::report::{Listed, json, table};

/// Prints the flows. Fails with exit 12 if the journal cannot be read; a single flow that makes no sense is listed as such.
pub(super) fn run(args: &Flows, settings: &Settings) -> Result<(), Failure> {
    let mut journal = Journal::open_existing(&settings.state_dir)?;
    let mut headers = Vec::new();
    let mut flows: Vec<Result<Flow, String>> = Vec::new();
    if let Some(journal) = &mut journal {
        headers = journal.flows()?;
        let load =
            |header: &FlowHeader| load::flow(journal, &header.id).map_err(|failure| failure.lines.join(": "));
        flows = headers.iter().map(load).collect();
    }
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
