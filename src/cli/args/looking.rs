//! What verbs that only look at flows take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Chosen, Showing, SignIn, Steps};
use crate::cli::forms::{FlowWord, Output, Picture, ReportForm, Stream};

/// Shows a flow.
#[derive(Debug, Args)]
pub struct Status {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// Follows a flow.
#[derive(Debug, Args)]
pub struct Watch {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub showing: Showing,
    /// What stdout gets: nothing, how the flow stands at the end, or every event from the first one on
    #[arg(long, value_enum, default_value_t = Stream::Text, value_name = "FORM")]
    pub output: Stream,
}

/// Explains a step.
#[derive(Debug, Args)]
pub struct Why {
    /// The step, one iteration such as `ingest[emea]`, or all iterations together: `ingest`
    #[arg(value_name = "STEP")]
    pub step: String,
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(long, value_name = "FLOW")]
    pub flow: Option<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// Shows what a step's runs did.
#[derive(Debug, Args)]
pub struct Logs {
    /// The step, one iteration such as `ingest[emea]`, or all iterations together: `ingest`
    #[arg(value_name = "STEP")]
    pub step: String,
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(long, value_name = "FLOW")]
    pub flow: Option<String>,
    /// Only this attempt [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// Asks the workspace anew for everything, and shows what activities gave
    #[arg(long)]
    pub live: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

/// Lists flows.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Flows {
    /// What to do with them instead.
    #[command(subcommand)]
    pub verb: Option<FlowsVerb>,
    /// Only flows of the plan of this name
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
    /// Only flows in this environment of their plan
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// Only flows that ended or stand like this; may be repeated
    #[arg(long, value_enum, value_name = "WORD")]
    pub outcome: Vec<FlowWord>,
    /// Only flows begun since: a date in UTC, or how long ago, such as `7d`
    #[arg(long, value_name = "DATE|DURATION")]
    pub since: Option<String>,
    /// Only flows begun before: a date in UTC, or how long ago
    #[arg(long, value_name = "DATE|DURATION")]
    pub older_than: Option<String>,
    /// At most so many, the newest [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// What can be done with many flows.
#[derive(Debug, Subcommand)]
pub enum FlowsVerb {
    /// Removes old flows from the journal; never one that has not ended, nor the newest of its key
    Prune(Prune),
}

/// Lets old flows go.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rule").required(true).multiple(true))]
pub struct Prune {
    /// Flows begun before: a date in UTC, or how long ago, such as `90d`
    #[arg(long, value_name = "DATE|DURATION", group = "rule")]
    pub older_than: Option<String>,
    /// Keeps so many of each key, the newest; alone, all others go [default: 1]
    #[arg(long, value_name = "N", group = "rule", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// The oldest go until the journal's file is no larger, such as `200MB`
    #[arg(long, value_name = "SIZE", group = "rule")]
    pub max_size: Option<String>,
    /// Takes all run keys of a plan and environment as one key; `apply --resume` then no longer knows the old ones
    #[arg(long)]
    pub across_keys: bool,
    /// Only says what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Asks nothing at a terminal
    #[arg(long)]
    pub yes: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// Compares plans and flows.
#[derive(Debug, Args)]
pub struct Diff {
    /// A plan, or a flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest`
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// What it is compared with, likewise [default: BEFORE is compared with the latest flow of its plan]
    #[arg(value_name = "AFTER", conflicts_with = "git")]
    pub after: Option<String>,
    /// Compares the plan BEFORE as it was at this revision with the plan as it is now
    #[arg(long, value_name = "REVISION")]
    pub git: Option<String>,
    /// What the plans leave open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
}

/// Draws a plan or a flow.
#[derive(Debug, Args)]
pub struct Graph {
    /// The plan's file, or a flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest flow]
    #[arg(value_name = "PLAN|FLOW")]
    pub what: Option<String>,
    /// What a plan leaves open.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Which of its steps.
    #[command(flatten)]
    pub steps: Steps,
    /// The form of the picture
    #[arg(long, value_enum, default_value_t = Picture::Text, value_name = "FORM")]
    pub format: Picture,
    /// Draws every iteration of a step for itself
    #[arg(long)]
    pub expand: bool,
    /// Writes the picture into this file
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Reports a flow.
#[derive(Debug, Args)]
pub struct Report {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the latest]
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t = ReportForm::Html, value_name = "FORM")]
    pub format: ReportForm,
    /// Writes the report into this file; `-` is stdout [default: `synflow-FLOW.html` for HTML, else stdout]
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
}
