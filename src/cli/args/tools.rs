//! What the verbs around plans and flows take.

use std::path::PathBuf;

use clap::Args;

use super::{Chosen, SignIn, factor};
use crate::cli::forms::Output;

/// Checks the surroundings. Starts nothing.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The plan whose workspaces are checked [default: none, only the sign-in to the public cloud]
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// What it leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

/// Serves a local workspace.
#[derive(Debug, Args)]
pub struct Emulate {
    /// The port to listen on; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The workspace's name
    #[arg(long, value_name = "NAME", default_value = "emulated")]
    pub workspace: String,
    /// What the workspace does: durations, outcomes, outputs
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// A folder with `pipeline/*.json`; may be repeated
    #[arg(long, value_name = "DIR")]
    pub artifacts: Vec<PathBuf>,
    /// Serves HTTPS with a certificate made on the spot, as the vendor's clients demand
    #[arg(long)]
    pub tls: bool,
    /// Divides all durations by this factor, whatever the script says [default: the script's, else 1]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub speed: Option<f64>,
    /// Writes every request and its answer into this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Explains codes.
#[derive(Debug, Args)]
pub struct Explain {
    /// The codes: `E0201`, `e0201` or `error[E0201]` [default: lists them all]
    #[arg(value_name = "CODE")]
    pub codes: Vec<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// Prints the schema or a part of it.
#[derive(Debug, Args)]
pub struct Schema {
    /// The key to explain: `steps.*.retry`, `steps.load.depends_on`, `inputs.type` [default: the whole schema]
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    /// Prints the schema of the lines that `--output jsonl` writes
    #[arg(long, conflicts_with = "path")]
    pub events: bool,
    /// The form of the answer [default: text with a PATH, json without]
    #[arg(long, value_enum, value_name = "FORM")]
    pub output: Option<Output>,
}

/// Prints a completion script.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
