//! The command line as it is typed; `cli/settings.rs` makes sense of it.

mod looking;
mod planning;
mod running;
mod tools;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::cli::failure::Exit;

pub use crate::cli::forms::{
    CiName, FindingsForm, FlowWord, Outlook, Output, Picture, Progress, ReportForm, Stream, TestForm,
};
pub use crate::cli::init::Init;
use crate::graph::Selection;
use crate::synapse::AuthMethod;

pub use looking::{Diff, Flows, FlowsVerb, Graph, Logs, Prune, Report, Status, Watch, Why};
pub use planning::{Fmt, Import, PlanVerb, Rehearse, Test, Validate};
pub use running::{Apply, Cancel, Resolve, Resume, Unlock};
pub use tools::{Completions, Doctor, Emulate, Explain, Schema};

/// Runs plans of Azure Synapse Analytics pipelines.
#[derive(Debug, Parser)]
#[command(name = "synflow", version, max_term_width = 100, after_help = after_help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
}

/// Returns what stands below the list of the verbs: where to begin, what to type when something went wrong, and what the
/// exit codes mean.
fn after_help() -> String {
    use std::fmt::Write;

    let mut text = "\
First:
  synflow init --artifacts DIR -o nightly.yaml   a plan of the pipelines in your git folder
  synflow apply nightly.yaml --emulate           tries it without Azure
  synflow apply nightly.yaml                     runs it

When something went wrong:
  synflow status                                 what failed, why, and what else is affected
  synflow resume                                 goes on: keeps what succeeded, starts nothing twice
  synflow doctor nightly.yaml                    sign-in, network and permissions, with what to do

Exit codes:
"
    .to_owned();
    for (_, code, meaning) in Exit::ALL {
        // A text takes all that is written to it.
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    }
    text
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The folder of the journal [default: the platform's state folder]
    #[arg(long, global = true, value_name = "DIR", env = "SYNFLOW_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
    /// The CI service whose commands are written: annotations, groups, the job's summary
    #[arg(long, global = true, value_enum, default_value_t = CiName::Auto, value_name = "SERVICE")]
    pub ci: CiName,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Writes a first plan from the pipelines in a git folder or a workspace
    Init(Init),
    /// Checks plans without touching the network
    Validate(Validate),
    /// Lays plans out in the one canonical form, comments kept
    Fmt(Fmt),
    /// Shows what `apply` would do and why, after a look at the workspace; starts nothing
    Plan(PlanVerb),
    /// Runs a plan to its end
    Apply(Apply),
    /// Plays a plan through in virtual time, with the real scheduler: forecast, critical path, what-if. Starts nothing
    Rehearse(Rehearse),
    /// Rehearses what a plan's `tests` assume, and compares what follows with what they expect
    Test(Test),
    /// Goes on with a flow: adopts its live runs, does again what failed, keeps what succeeded
    Resume(Resume),
    /// Ends a flow, or one step of it, and waits until its runs have ended
    Cancel(Cancel),
    /// Says what became of a step that is unknown
    Resolve(Resolve),
    /// Shows who holds which plan; breaks a lease
    Unlock(Unlock),
    /// Shows how a flow stands
    Status(Status),
    /// Follows a flow that another process drives, to its end
    Watch(Watch),
    /// Says why a step waits, runs, was skipped, blocked or failed, and what to do
    Why(Why),
    /// Shows what the runs of a step did: activities, errors through child pipelines, outputs
    Logs(Logs),
    /// Lists the flows in the journal, newest first
    Flows(Flows),
    /// Shows what two plans or flows say differently
    Diff(Diff),
    /// Draws a plan, or a flow with its outcomes
    Graph(Graph),
    /// Writes a flow as one file: HTML with graph, timeline and errors, or JSON, `JUnit` or Markdown
    Report(Report),
    /// Checks sign-in, network, clock and permissions, and says what to do about each fault
    Doctor(Doctor),
    /// Serves a local Synapse workspace over HTTP or HTTPS
    Emulate(Emulate),
    /// Makes a plan of a master pipeline of Execute Pipeline activities
    Import(Import),
    /// Explains the codes of messages about plans, such as E0201, each with a wrong and a right plan
    Explain(Explain),
    /// Prints the JSON Schema of plans, or what one key of theirs means
    Schema(Schema),
    /// Prints a completion script for a shell
    Completions(Completions),
}

/// The inputs of a plan.
#[derive(Clone, Debug, Default, Args)]
pub struct Inputs {
    /// Gives an input its value; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub texts: Vec<(String, String)>,
    /// A YAML or JSON file with values of inputs by their names; `--input` beats it
    #[arg(long = "inputs", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What a plan leaves open.
#[derive(Clone, Debug, Default, Args)]
pub struct Chosen {
    /// The environment of the plan, such as `prod` [default: none, what the top of the plan says]
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// The inputs.
    #[command(flatten)]
    pub inputs: Inputs,
}

/// Some of a plan's steps.
#[derive(Clone, Debug, Default, Args)]
pub struct Steps {
    /// Takes only these steps of the plan: `curate`, `curate+` with all after it, `+curate`, `ingest[emea]`, `tag:bronze`
    #[arg(long, value_name = "STEPS")]
    pub select: Vec<String>,
    /// Leaves out these steps of the plan; an edge on one of them counts as met
    #[arg(long, value_name = "STEPS")]
    pub exclude: Vec<String>,
}

impl Steps {
    /// Returns what was chosen.
    pub(super) fn selection(&self) -> Selection {
        Selection { select: self.select.clone(), exclude: self.exclude.clone() }
    }
}

/// How to reach Azure and sign in there.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Azure")]
pub struct SignIn {
    /// The one way to sign in, whatever the plan says [default: the plan's, else that of `SYNFLOW_AUTH`, else the first of
    /// these that works]
    #[arg(long, value_name = "NAME", value_parser = auth_method())]
    pub auth: Option<AuthMethod>,
    /// Certificates (PEM) to trust besides the system's, such as those of a company's proxy
    #[arg(long, value_name = "FILE", env = "SYNFLOW_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// The most questions to a workspace in any minute, and the most starts [default: 600; without end to one on plain
    /// http]
    #[arg(long, value_name = "N", env = "SYNFLOW_REQUESTS_PER_MINUTE", value_parser = clap::value_parser!(u32).range(2..))]
    pub requests_per_minute: Option<u32>,
}

/// What stands above the settings that hardly anybody needs.
const PATIENCE: &str = "Patience";

/// How progress is shown.
#[derive(Clone, Debug, Args)]
pub struct Showing {
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// Tells only of what goes wrong, and how it ended
    #[arg(short, long)]
    pub quiet: bool,
    /// Tells more: why each step starts, what Synapse says of its run, how its activities ended
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// The longest silence of the lines while something runs: then one says how the flow stands [default: 1m]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_MAX_SILENCE")]
    pub max_silence: Option<String>,
}

/// How a flow is driven and shown.
#[derive(Clone, Debug, Args)]
pub struct Driving {
    /// How it is shown.
    #[command(flatten)]
    pub showing: Showing,
    /// What stdout gets: nothing, how the flow stands at the end, or every event as it is recorded
    #[arg(long, value_enum, default_value_t = Stream::Text, value_name = "FORM")]
    pub output: Stream,
    /// Writes the report of the flow, as `synflow report` does, into this file at the end, whatever became of it
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The gap between two questions about a workspace's runs [default: 5s; 250ms with --emulate]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_BEAT", help_heading = PATIENCE)]
    pub beat: Option<String>,
    /// How long an unclear start is looked for before a person must decide [default: 2m]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_START_GRACE", help_heading = PATIENCE)]
    pub start_grace: Option<String>,
    /// The gap between two signs of life for other processes [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_HEARTBEAT", help_heading = PATIENCE)]
    pub heartbeat: Option<String>,
    /// Believes runs that say they succeeded: their activities are not read, which saves a request each, and none of their
    /// steps warns; those that need them, for `outputs` or with `strict`, read them all the same
    #[arg(long, conflicts_with = "strict")]
    pub trust_status: bool,
    /// Ends with 13 if nothing failed and a step warned
    #[arg(long)]
    pub strict: bool,
    /// How long the plan's webhooks may take at the end [default: 30s]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_HOOK_LIMIT", help_heading = PATIENCE)]
    pub hook_limit: Option<String>,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

fn auth_method() -> impl TypedValueParser<Value = AuthMethod> {
    PossibleValuesParser::new(AuthMethod::ALL.map(AuthMethod::name)).try_map(|name| name.parse())
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| "it is a number above 0, such as 10".to_owned())
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}
