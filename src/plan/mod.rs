//! The plan: a checked YAML document of steps, ready to be linked into a graph.
//!
//! [`load`] is the way in: bytes of a file become a [`Plan`] or a list of [`Diagnostic`]s, each with
//! its place in the text. Everything in a [`Plan`] has been checked; later layers do not check again.
//! Never reads a file, an environment variable or a clock: the shell hands them over in [`Given`].

mod assumption;
mod cases;
mod check;
mod code;
mod compare;
mod condition;
mod dates;
mod deadline;
mod diagnostic;
mod duration;
mod edges;
mod environments;
mod explanation;
mod findings;
mod format;
mod function;
mod hooks;
mod indent;
mod inputs;
mod keys;
mod lines;
mod marks;
mod outputs;
mod pools;
mod reader;
mod reference;
mod render;
mod retry;
mod rows;
mod run_key;
mod schema;
mod secret;
mod setting_shape;
mod shape;
mod sketch;
mod source;
mod steps;
mod syntax;
mod template;
mod timezone;
mod tree;
mod value_shape;
mod words;
mod workspaces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::{Delay, Timestamp};

pub use assumption::{Assumed, AssumedEnd, AssumedLength, Assumptions, BadAssumption, assume, names_in};
pub use cases::{Makespan, TestCase, load_tests};
pub use code::{Code, Severity};
pub use condition::When;
pub use deadline::Deadline;
pub use diagnostic::{Diagnostic, Span, in_order};
pub use duration::read as read_duration;
pub use explanation::Explanation;
pub use findings::{Checked, github, json as findings_json, paragraph as findings_text, sarif};
pub use format::{FormatFailure, format};
pub use hooks::{Hook, Hooks, origin_of, shown_address};
pub use inputs::{names_given, wanted_files};
pub use keys::AUTH_METHODS;
pub use outputs::{Output, OutputSource, Outputs};
pub use reference::{Topic, example, shared_types, spelled, topic, topics};
pub use render::{pointer, render, render_one, verdict};
pub use schema::schema;
pub use secret::{BadReference, Piece, Rendered, SecretRef, SecretText, Vault, gather, render_parameters};
pub use source::FILE_BYTES_MAX;
pub use template::{Preview, Scope, StepFacts, Template, member};
pub use words::{list as word_list, nearest};
pub use workspaces::workspace_at;

/// The name of a step, unique in its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepId(Arc<str>);

impl StepId {
    /// Returns the id with this text. The check decides which texts are allowed.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The position of a step in its plan, in file order from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub usize);

/// A checked plan. Steps stand in file order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The plan's `name`.
    pub name: String,
    /// What the plan is for, if it says.
    pub description: Option<String>,
    /// Every declared workspace, in file order; never empty.
    pub workspaces: Vec<Workspace>,
    /// The value of every declared input, in file order. Of a secret one, the reference that leads to it.
    pub inputs: Map<String, Value>,
    /// The inputs whose value is a reference to a secret.
    pub secret_inputs: BTreeSet<String>,
    /// The environment that was chosen; empty for none.
    pub environment: String,
    /// The zone whose days and times of day the plan means.
    pub timezone: TimeZone,
    /// The environment variables that the templates name, with their values.
    pub env: BTreeMap<String, String>,
    /// What tells its flows apart, with its templates filled in; empty where the plan has no `run_key`.
    pub run_key: String,
    /// How many runs of this plan may be under way at once; at least 1.
    pub max_parallel: usize,
    /// By when a flow should have ended, if the plan says.
    pub deadline: Option<Deadline>,
    /// Whom to tell how a flow goes.
    pub hooks: Hooks,
    /// The pools that steps share, in file order.
    pub pools: Vec<Pool>,
    /// After how many failures nothing new starts; nothing if independent branches always go on.
    pub max_failures: Option<usize>,
    /// The steps in file order, every iteration for itself; never empty. Behind the iterations of a step with `for_each`
    /// or `matrix` stands their [`StepKind::Group`], and at the very end, where there are steps with `finally`, the
    /// [`StepKind::Barrier`].
    pub steps: Vec<Step>,
    /// What the plan promises, in file order; `synflow test` rehearses it.
    pub tests: Vec<TestCase>,
}

impl Plan {
    /// Returns the position of every step by its id.
    pub fn index(&self) -> BTreeMap<StepId, StepIndex> {
        let ids = self.steps.iter().enumerate();
        ids.map(|(position, step)| (step.id.clone(), StepIndex(position))).collect()
    }

    /// Returns the names that a step's templates may use before the flow begins, as far as it uses them: a list with a
    /// row for each of ten thousand iterations would be copied for each of them.
    pub fn scope(&self, step: &Step) -> Scope {
        let is_used = |name: &str| {
            let by_condition = step.when.as_ref().is_some_and(|when| when.uses_input(name));
            by_condition || step.parameters.iter().any(|(_, template)| template.uses_input(name))
        };
        let inputs = self.inputs.iter().filter(|(name, _)| is_used(name));
        Scope {
            inputs: inputs.map(|(name, value)| (name.clone(), value.clone())).collect(),
            env: self.env.clone(),
            plan_name: self.name.clone(),
            environment: self.environment.clone(),
            each: step.each.clone(),
            ..Scope::default()
        }
    }

    /// Returns an edge as people write it: `load`, `load [failed]`.
    pub fn edge_text(&self, edge: &Edge) -> String {
        let upstream = &self.steps[edge.upstream.0].id;
        match edge.rule.words().as_slice() {
            [] => upstream.to_string(),
            words => format!("{upstream} [{}]", words.join(", ")),
        }
    }

    /// Returns the cloud of the vaults that webhooks name: that of the first workspace.
    pub fn cloud_of_hooks(&self) -> Cloud {
        self.workspaces.first().map(|workspace| workspace.cloud).unwrap_or_default()
    }

    /// Returns the steps that run a pipeline, in file order.
    pub fn runs(&self) -> impl Iterator<Item = (StepIndex, &Step)> {
        let steps = self.steps.iter().enumerate().map(|(position, step)| (StepIndex(position), step));
        steps.filter(|(_, step)| step.kind.is_run())
    }
}

/// Something of which there is only so much: steps that use it take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name, the key below `pools`.
    pub name: String,
    /// How much there is; at least 1.
    pub size: u64,
}

/// A Synapse workspace as the plan names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The key below `workspaces`; `main` for the short form.
    pub key: String,
    /// The workspace's own name, where the plan gives one or the endpoint tells it.
    pub name: String,
    /// The base of every address, without a slash at the end: `https://contoso-dw.dev.azuresynapse.net`.
    pub endpoint: String,
    /// The cloud that decides login host and token audience.
    pub cloud: Cloud,
    /// The directory to sign in to, a GUID or a domain, if the plan names one.
    pub tenant: Option<String>,
    /// The way to sign in, one of [`AUTH_METHODS`], if the plan names one.
    pub auth: Option<&'static str>,
}

/// An Azure cloud (protocol 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cloud {
    /// The public cloud.
    #[default]
    Public,
    /// China, operated by 21Vianet.
    China,
    /// US Government.
    UsGovernment,
}

/// What stands behind a step of a checked plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StepKind {
    /// A pipeline that is run.
    #[default]
    Run,
    /// All iterations of a step together, as one upstream (design 9.1); it has no run of its own.
    Group {
        /// Its iterations, which stand before it; may be none.
        members: std::ops::Range<usize>,
        /// How many of them may be under way at once.
        max_parallel: Option<usize>,
    },
    /// All steps without `finally` together: the one upstream of those with it.
    Barrier,
}

impl StepKind {
    /// Says whether it is a pipeline that is run.
    pub const fn is_run(&self) -> bool {
        matches!(self, Self::Run)
    }
}

/// The row of a list, map or matrix that an iteration is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Each {
    /// What the iteration's id has in its brackets.
    pub key: String,
    /// The item, entry or combination.
    pub value: Value,
}

/// One pipeline with parameters and dependencies.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The step's key below `steps`; of an iteration `ingest[emea]`.
    pub id: StepId,
    /// What stands behind it.
    pub kind: StepKind,
    /// The group that it is an iteration of.
    pub group: Option<StepIndex>,
    /// What it is an iteration for.
    pub each: Option<Arc<Each>>,
    /// Whose place the iterations it waits for take in its templates: `steps.ingest` is then the paired one.
    pub pairs: BTreeMap<StepId, StepId>,
    /// Where the step stands in the file.
    pub place: Place,
    /// What the step is for, if it says.
    pub description: Option<String>,
    /// The Synapse pipeline to run.
    pub pipeline: String,
    /// Where its name is written: the value of `pipeline`, or the step's id.
    pub pipeline_span: Span,
    /// The position in [`Plan::workspaces`] of the workspace it runs in.
    pub workspace: usize,
    /// The parameters in file order: rendered when the step starts.
    pub parameters: Vec<(String, Template)>,
    /// Where they are given: the key `parameters`, or the step's id.
    pub parameters_span: Span,
    /// What of it is not known before every input is given.
    pub open: Open,
    /// What must have ended, and how, before this starts.
    pub depends_on: Vec<Edge>,
    /// What it takes from its run for later steps, in file order.
    pub outputs: Vec<Output>,
    /// What must be true then, or the step is skipped.
    pub when: Option<When>,
    /// How long one attempt may take from its accepted start, time in the queue included.
    pub timeout: Option<Delay>,
    /// How often and when a failed run is tried again.
    pub retry: Retry,
    /// A failure of this step neither fails the flow nor stops what depends on it by a bare edge.
    pub allow_failure: bool,
    /// What happens when its `timeout` has passed.
    pub on_timeout: OnTimeout,
    /// What to do when its pipeline already runs.
    pub if_running: IfRunning,
    /// A run that warned has failed.
    pub strict: bool,
    /// How much of which pools (by position) it holds while it runs; never more than there is.
    pub pools: Vec<(usize, u64)>,
    /// Of the steps that are ready, those with the highest start first.
    pub priority: i64,
    /// It waits for the end of all steps without `finally`.
    pub is_final: bool,
    /// Why it does not run whatever becomes of its upstreams: what it waited for was left out. Nothing for most.
    pub spared: Option<String>,
    /// Words to select steps by.
    pub tags: Vec<String>,
}

/// What of a step is not known yet, in a check that does without some of the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Which pipeline it runs, or in which workspace.
    pub target: bool,
    /// Which parameters it has.
    pub parameters: bool,
}

/// One entry of `depends_on`.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The step that must have ended first.
    pub upstream: StepIndex,
    /// Which of its outcomes meet the edge.
    pub rule: EdgeRule,
    /// Where the entry stands in the file.
    pub place: Place,
}

/// Which outcomes of the upstream meet an edge (design 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeRule {
    /// The bare form: all went well, or was allowed not to.
    Bare,
    /// At least one of these holds; never empty, no word twice.
    AnyOf(Vec<Condition>),
}

impl EdgeRule {
    /// Returns its words, always in the same order; none for the bare form.
    pub fn words(&self) -> Vec<&'static str> {
        let Self::AnyOf(conditions) = self else { return Vec::new() };
        let in_order: BTreeSet<&Condition> = conditions.iter().collect();
        in_order.into_iter().map(|condition| condition.word()).collect()
    }
}

/// The service's four dependency conditions, in lower case as the plan writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The upstream succeeded or warned.
    Succeeded,
    /// The upstream failed, timed out or was cancelled.
    Failed,
    /// No run of the upstream was made.
    Skipped,
    /// The upstream ended with a run, or because its own condition said no.
    Completed,
}

/// When a failed attempt is followed by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts there are in all; at least 1.
    pub max_attempts: u32,
    /// The wait before the second attempt.
    pub delay: Delay,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The longest wait.
    pub max_delay: Delay,
    /// Which ends are tried again.
    pub on: Vec<RetryOn>,
    /// What the next attempt runs.
    pub mode: RetryMode,
}

/// An end of an attempt that is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// It failed.
    Failed,
    /// It timed out.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It failed with this code of the service.
    Code(String),
}

/// What another attempt runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryMode {
    /// The whole pipeline.
    #[default]
    Whole,
    /// The pipeline from the activity that failed.
    FromFailure,
}

/// What happens to a run whose step's `timeout` has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It is left running.
    Detach,
}

/// What to do when the pipeline already runs in the workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfRunning {
    /// Start all the same.
    #[default]
    Start,
    /// Wait until it does not.
    Wait,
    /// Take a run with equal parameters for ours.
    Attach,
    /// Do without the step.
    Skip,
    /// Fail the step.
    Fail,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            delay: Delay::from_secs(30),
            backoff: Backoff::Fixed,
            max_delay: Delay::from_secs(600),
            on: vec![RetryOn::Failed],
            mode: RetryMode::Whole,
        }
    }
}

/// How the wait between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Always the same wait.
    Fixed,
    /// Twice as long after each attempt.
    Exponential,
}

/// A place in the plan's text: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// What the shell knows and the plan may ask for.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The environment asked for with `--env`; empty for none.
    pub environment: String,
    /// The values of `--input`, in the order given; each is read by the input's declared type. They beat all others.
    pub inputs: Vec<(String, String)>,
    /// The file of `--inputs`. Its values beat those below.
    pub inputs_file: Option<GivenFile>,
    /// The values with which a flow was made that this is the plan of. They beat what the plan itself says; those of
    /// inputs that it does not declare are left alone.
    pub recorded: Map<String, Value>,
    /// The files that [`wanted_files`] has named, or why each cannot be read in half a sentence.
    pub files: BTreeMap<String, Result<Vec<u8>, String>>,
    /// The process's environment, for `env "NAME"`.
    pub env: BTreeMap<String, String>,
    /// The current time, for dates such as `yesterday`.
    pub now: Timestamp,
    /// False for `validate`, which only notes a required input that is not given.
    pub inputs_required: bool,
}

/// A file that was named on the command line.
#[derive(Clone, Debug, Default)]
pub struct GivenFile {
    /// Its name, as messages show it.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A plan that may run, with what the reader should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked plan.
    pub plan: Plan,
    /// Notes and warnings, in the order of the text.
    pub notes: Vec<Diagnostic>,
}

/// Reads and checks a plan.
///
/// Takes the file's bytes and what the shell knows. Gives every problem found, in the order of the text,
/// if there is at least one error. Cycles are found later, by [`crate::graph::PlanGraph::link`].
pub fn load(text: &[u8], given: &Given) -> Result<Loaded, Vec<Diagnostic>> {
    check::check(source::read(text)?, given)
}
