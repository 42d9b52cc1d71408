//! What verbs that only look at flows take.

use std::path::PathBuf;

use clap::Args;

use super::{Chosen, Steps};
use crate::cli::forms::{Output, Picture, ReportForm};

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

/// Lists flows.
#[derive(Debug, Args)]
pub struct Flows {
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
