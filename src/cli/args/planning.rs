//! What verbs that look at plans take.

use std::path::PathBuf;

use clap::Args;

use super::{Chosen, Showing, SignIn, Steps, factor};
use crate::cli::forms::{FindingsForm, Outlook, Stream, TestForm};

/// Checks plans.
#[derive(Debug, Args)]
pub struct Validate {
    /// The plans
    #[arg(required = true, value_name = "PLAN")]
    pub plans: Vec<PathBuf>,
    /// What it leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// A git folder of Synapse with `pipeline/*.json`: names, parameters and outputs are compared with the pipelines
    /// in it. WORKSPACE=DIR is for one workspace of the plan alone; may be repeated
    #[arg(long, value_name = "[WORKSPACE=]DIR")]
    pub artifacts: Vec<String>,
    /// The form of what was found
    #[arg(long, value_enum, default_value_t = FindingsForm::Text, value_name = "FORM")]
    pub output: FindingsForm,
}

/// Lays plans out.
#[derive(Debug, Args)]
pub struct Fmt {
    /// The plans; `-` reads stdin and writes stdout
    #[arg(required = true, value_name = "PLAN")]
    pub plans: Vec<PathBuf>,
    /// Writes nothing: prints the names of files that would change, and ends with 1 if there are any
    #[arg(long)]
    pub check: bool,
    /// Writes nothing: prints what would change, and ends with 1 if anything would
    #[arg(long)]
    pub diff: bool,
}

/// Shows what would happen.
#[derive(Debug, Args)]
pub struct PlanVerb {
    /// The plan, or a saved one
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// What it leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Which of its steps.
    #[command(flatten)]
    pub steps: Steps,
    /// At most this many pipelines at once, whatever the plan says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// Asks nobody: leaves out sign-in, permissions, pipelines and live runs
    #[arg(long)]
    pub offline: bool,
    /// A git folder of Synapse with `pipeline/*.json`, in place of the pipelines in the workspace; WORKSPACE=DIR is for one
    /// workspace of the plan alone; may be repeated
    #[arg(long, value_name = "[WORKSPACE=]DIR")]
    pub artifacts: Vec<String>,
    /// Saves the plan with its inputs and the versions of its pipelines: `synflow apply FILE` runs that, or nothing
    #[arg(short = 'o', long, value_name = "FILE", conflicts_with = "offline")]
    pub out: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Outlook::Text, value_name = "FORM")]
    pub output: Outlook,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

/// Plays a plan through in virtual time. Starts nothing, writes nothing.
#[derive(Debug, Args)]
pub struct Rehearse {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// What it leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Takes something for given of a step; may be repeated: `curate=failed`, `curate=failed:1` (the first attempt),
    /// `ingest[emea]=slow:2x`, `load=45m`, `publish=skipped`, `curate.outputs.rows=0`
    #[arg(long, value_name = "STEP=WORD")]
    pub assume: Vec<String>,
    /// Which of its steps.
    #[command(flatten)]
    pub steps: Steps,
    /// Runs at most this many pipelines at once, whatever the plan says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// Takes durations, outcomes and outputs from an emulator's script, at speed 1, not from earlier flows
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// How long a pipeline takes that no earlier flow has run
    #[arg(long, value_name = "DURATION", default_value = "5m", conflicts_with = "script")]
    pub default_duration: String,
    /// When the flow begins: a date, a date with a time in UTC such as `2026-01-14T22:00`, or `now`
    #[arg(long, value_name = "WHEN", default_value = "2026-01-14")]
    pub at: String,
    /// The gap between two questions about a workspace's runs [default: 5s; 250ms with --script]
    #[arg(long, value_name = "DURATION")]
    pub beat: Option<String>,
    /// Where made-up ids and jitter come from: the same seed, the same output
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Plays it on the screen, so many times faster than it would be [default: as fast as possible, unseen]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub speed: Option<f64>,
    /// How it is shown, with --speed.
    #[command(flatten)]
    pub showing: Showing,
    /// How many rows the chart has at most; iterations and quiet steps are folded first
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    pub rows: u16,
    /// Ends with the exit code that the flow would have, not with 0
    #[arg(long)]
    pub exit_code: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Stream::Text, value_name = "FORM")]
    pub output: Stream,
}

/// Runs the tests of a plan in virtual time.
#[derive(Debug, Args)]
pub struct Test {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// A file with the key `tests`, whose tests are run in place of the plan's own
    #[arg(long, value_name = "FILE")]
    pub tests: Option<PathBuf>,
    /// The environment of tests that name none [default: none, what the top of the plan says]
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = TestForm::Text, value_name = "FORM")]
    pub output: TestForm,
}

/// Makes a plan of a master pipeline.
#[derive(Debug, Args)]
pub struct Import {
    /// The pipeline's definition: `pipeline/NAME.json` of a git folder, or the service's own answer
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The name of the workspace that the plan runs in [default: one to be filled in]
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
    /// Writes the plan into this file, which must not be there
    #[arg(short = 'o', long = "out", value_name = "PLAN")]
    pub out: Option<PathBuf>,
    /// Replaces a file that is there
    #[arg(long, requires = "out")]
    pub force: bool,
}
