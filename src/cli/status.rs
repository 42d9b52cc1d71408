//! `synflow status [FLOW]`: how a flow stands, read from the journal alone.

use crate::cli::args::Status;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::cli::{load, put_value};
use crate::driver::now;
use crate::journal::Journal;
use crate::report::{json, table};

/// Says that nothing was ever run, or that the wrong folder was named.
fn no_journal(settings: &Settings) -> Failure {
    Failure::new(Exit::Usage, format!("there is no journal in `{}` yet", settings.state_dir.display()))
        .hint("`synflow apply PLAN` begins one; `--state-dir` names another folder")
}

/// Prints the flow. Fails with exit 2 if the name fits no flow or several, and with 12 if the journal cannot be read.
pub(super) fn run(args: &Status, settings: &Settings) -> Result<(), Failure> {
    let Some(mut journal) = Journal::open_existing(&settings.state_dir)? else {
        return Err(no_journal(settings));
    };
    let header = journal.find(args.flow.as_deref())?;
    let flow = load::flow(&mut journal, &header)?;
    let now = now();
    put_value(&json::status(&flow, now), args.output, || table::status(&flow, now))
}
