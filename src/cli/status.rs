//! `synflow status [FLOW]`: how a flow stands, read from the journal alone.

use crate::cli::args::Status;
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::{expected, load, own, put_value};
use crate::driver::now;
use crate::report::{json, table};

/// Prints the flow. Fails with exit 2 if the name fits no flow or several, and with 12 if the journal cannot be read.
pub(super) fn run(args: &Status, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal_to_read(settings)?;
    let header = journal.find(args.flow.as_deref())?;
    let driver = own::driver(&mut journal, &header)?;
    let flow = load::flow(&mut journal, &header.id)?;
    let now = now();
    let beside = expected::beside(&mut journal, &flow, driver, now)?;
    put_value(&json::status_beside(&flow, &beside, now), args.output, || table::status(&flow, &beside, now))
}
