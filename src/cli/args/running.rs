//! What verbs that change something take.

use std::path::PathBuf;

use clap::Args;

use super::{Chosen, Driving, Inputs, SignIn, Steps, factor};
use crate::cli::forms::Output;

/// Runs a plan.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct Apply {
    /// The plan, or a saved one: `synflow plan PLAN -o FILE`
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// What it leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Which of its steps.
    #[command(flatten)]
    pub steps: Steps,
    /// Does what `synflow plan` does, and starts nothing; with --emulate asks nobody
    #[arg(long, conflicts_with_all = ["resume", "new", "wait", "detach"])]
    pub dry_run: bool,
    /// Runs against a workspace emulated inside this process
    #[arg(long)]
    pub emulate: bool,
    /// What the emulated workspace does: durations, outcomes, outputs
    #[arg(long, value_name = "FILE", requires = "emulate")]
    pub script: Option<PathBuf>,
    /// A folder with `pipeline/*.json` for the emulated workspace; may be repeated
    #[arg(long, value_name = "DIR", requires = "emulate")]
    pub artifacts: Vec<PathBuf>,
    /// Divides all durations of the emulated workspace by this factor [default: the script's, else 1]
    #[arg(long, value_name = "FACTOR", value_parser = factor, requires = "emulate")]
    pub speed: Option<f64>,
    /// Runs at most this many pipelines at once, whatever the plan says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// Goes on with the latest flow of this plan, run key and inputs, or begins one if that succeeded: the one command for CI
    #[arg(long, conflicts_with_all = ["new", "emulate"])]
    pub resume: bool,
    /// Gives up an earlier flow of this plan and run key that has not ended, unless its runs are live, and begins another
    #[arg(long)]
    pub new: bool,
    /// Waits while another process runs this plan with this run key, and begins then
    #[arg(long, conflicts_with = "emulate")]
    pub wait: bool,
    /// Starts what is ready and leaves; `synflow resume` goes on
    #[arg(long, conflicts_with = "emulate")]
    pub detach: bool,
    /// How the flow is driven.
    #[command(flatten)]
    pub driving: Driving,
}

/// Goes on with a flow.
#[derive(Debug, Args)]
pub struct Resume {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// Goes on by this edited plan; refuses where a success that is kept would have been another
    #[arg(long, value_name = "EDITED")]
    pub plan: Option<PathBuf>,
    /// The inputs of the edited plan; those of the flow count where none is given.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Does these steps again even if they succeeded: `curate`, `curate+` with all after it, `+curate`, `tag:bronze`
    #[arg(long, value_name = "STEPS")]
    pub redo: Vec<String>,
    /// Starts what is ready and leaves; another `synflow resume` goes on
    #[arg(long)]
    pub detach: bool,
    /// How the flow is driven.
    #[command(flatten)]
    pub driving: Driving,
}

/// Ends a flow.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the only unfinished one]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// Ends only this step
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// How the flow is driven.
    #[command(flatten)]
    pub driving: Driving,
}

/// Says what became of a step.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("answer").required(true))]
pub struct Resolve {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest`
    #[arg(value_name = "FLOW")]
    pub flow: String,
    /// The step
    #[arg(value_name = "STEP")]
    pub step: String,
    /// Its run, by the id that Synapse Studio shows under Monitor > Pipeline runs
    #[arg(long, value_name = "RUN", group = "answer")]
    pub run: Option<String>,
    /// No run was started: `synflow resume` may start it
    #[arg(long, group = "answer")]
    pub not_started: bool,
    /// Whatever became of it, the step has failed
    #[arg(long, group = "answer")]
    pub give_up: bool,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

/// Shows or breaks leases.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The flow whose lease is shown [default: all]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// Removes the lease of that flow: its owner, if it lives, starts nothing more
    #[arg(long = "break", requires = "flow")]
    pub break_it: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}
