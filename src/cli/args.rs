//! The command line as it is typed; `cli/settings.rs` makes sense of it.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

pub use crate::cli::forms::{FindingsForm, Outlook, Output, Picture, Progress, Stream, TestForm};
pub use crate::cli::init::Init;
use crate::graph::Selection;
use crate::synapse::AuthMethod;

/// Runs plans of Azure Synapse Analytics pipelines.
#[derive(Debug, Parser)]
#[command(name = "synflow", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The folder of the journal [default: the platform's state folder]
    #[arg(long, global = true, value_name = "DIR", env = "SYNFLOW_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
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
    /// Lists the flows in the journal, newest first
    Flows(Flows),
    /// Shows what two plans or flows say differently
    Diff(Diff),
    /// Draws a plan, or a flow with its outcomes
    Graph(Graph),
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
#[command(next_help_heading = "Signing in")]
pub struct SignIn {
    /// The one way to sign in, whatever the plan says [default: the plan's, else that of `SYNFLOW_AUTH`, else the first of
    /// these that works]
    #[arg(long, value_name = "NAME", value_parser = auth_method())]
    pub auth: Option<AuthMethod>,
    /// Certificates (PEM) to trust besides the system's, such as those of a company's proxy
    #[arg(long, value_name = "FILE", env = "SYNFLOW_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// How a flow is driven and shown.
#[derive(Clone, Debug, Args)]
pub struct Driving {
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// The gap between two questions about a workspace's runs [default: 5s; 250ms with --emulate]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_BEAT")]
    pub beat: Option<String>,
    /// How long an unclear start is looked for before a person must decide [default: 2m]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_START_GRACE")]
    pub start_grace: Option<String>,
    /// The gap between two signs of life for other processes [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_HEARTBEAT")]
    pub heartbeat: Option<String>,
    /// Ends with 13 if nothing failed and a step warned
    #[arg(long)]
    pub strict: bool,
    /// How long the plan's webhooks may take at the end [default: 30s]
    #[arg(long, value_name = "DURATION", env = "SYNFLOW_HOOK_LIMIT")]
    pub hook_limit: Option<String>,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

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
    /// Goes on with the latest flow of this plan, key and inputs unless it succeeded
    #[arg(long, conflicts_with_all = ["new", "emulate"])]
    pub resume: bool,
    /// Gives up an earlier flow of this plan and key that has not ended, unless its runs are live
    #[arg(long)]
    pub new: bool,
    /// Waits while another process runs this plan and key
    #[arg(long, conflicts_with = "emulate")]
    pub wait: bool,
    /// Starts what is ready and leaves; `synflow resume` goes on
    #[arg(long, conflicts_with = "emulate")]
    pub detach: bool,
    /// How the flow is driven.
    #[command(flatten)]
    pub driving: Driving,
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
    /// How progress is shown, with --speed
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW", requires = "speed")]
    pub progress: Progress,
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
    /// Starts what is ready and leaves
    #[arg(long)]
    pub detach: bool,
    /// How the flow is driven.
    #[command(flatten)]
    pub driving: Driving,
}

/// Ends a flow.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The flow: an id, its beginning, `@latest`, `@latest~1` or `PLAN@latest` [default: the one that is unfinished]
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
    /// This is its run
    #[arg(long, value_name = "RUN", group = "answer")]
    pub run: Option<String>,
    /// No run was started: it may be started again
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
