//! `synflow completions SHELL`: a completion script, on stdout.

use clap::CommandFactory;

use crate::cli::args::{Cli, Completions};
use crate::cli::failure::Failure;
use crate::cli::put_exact;

/// Prints the script.
pub(super) fn run(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "synflow", &mut script);
    put_exact(&String::from_utf8_lossy(&script))
}
