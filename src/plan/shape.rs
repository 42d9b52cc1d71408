//! The shapes of a plan as types: the source of the JSON Schema and of the keys the check allows.
//!
//! Nothing is ever read into these types; [`super::reader`] reads the tree itself, for better
//! messages. A test compares the keys of both. [`super::schema`] is made from [`PlanShape`].
// Long because: every key of the language stands here with its words, in one list.
#![expect(dead_code, reason = "the fields exist to be described, not to be read")]

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::outputs::OUTPUTS_MAX;
use super::setting_shape::{EnvironmentShape, InputShape, WorkspaceShape};

/// The most keys of one kind of map.
pub(super) const KEYS_MAX: usize = 24;

/// The keys of one kind of map.
pub(super) struct Shape {
    /// What the map is, with its article.
    pub(super) name: &'static str,
    /// The keys it may have.
    pub(super) keys: &'static [&'static str],
    /// The keys it must have.
    pub(super) required: &'static [&'static str],
}

/// The keys at the top.
pub(super) const PLAN: Shape = Shape {
    name: "a plan",
    keys: &[
        "version",
        "name",
        "description",
        "timezone",
        "workspace",
        "workspaces",
        "inputs",
        "environments",
        "defaults",
        "run_key",
        "max_parallel",
        "pools",
        "fail_fast",
        "max_failures",
        "strict",
        "deadline",
        "on_finish",
        "on_failure",
        "on_deadline",
        "steps",
        "tests",
    ],
    required: &["version", "name", "steps"],
};

/// The keys of a workspace.
pub(super) const WORKSPACE: Shape =
    Shape { name: "a workspace", keys: &["name", "endpoint", "cloud", "tenant", "auth"], required: &[] };

/// The keys of an environment.
pub(super) const ENVIRONMENT: Shape = Shape {
    name: "an environment",
    keys: &["workspaces", "inputs", "max_parallel", "pools", "deadline"],
    required: &[],
};

/// The keys of an input.
pub(super) const INPUT: Shape = Shape {
    name: "an input",
    keys: &["type", "default", "file", "one_of", "pattern", "min", "max", "secret", "description"],
    required: &["type"],
};

/// The keys of `defaults`.
pub(super) const DEFAULTS: Shape = Shape {
    name: "`defaults`",
    keys: &[
        "workspace",
        "timeout",
        "on_timeout",
        "retry",
        "if_running",
        "pool",
        "allow_failure",
        "strict",
        "tags",
    ],
    required: &[],
};

/// The keys of a step: what runs when, with what, and then what becomes of it. `fmt` puts them in this order.
pub(super) const STEP: Shape = Shape {
    name: "a step",
    keys: &[
        "pipeline",
        "workspace",
        "for_each",
        "matrix",
        "key",
        "max_parallel",
        "depends_on",
        "finally",
        "when",
        "parameters",
        "outputs",
        "timeout",
        "on_timeout",
        "retry",
        "if_running",
        "pool",
        "priority",
        "allow_failure",
        "strict",
        "tags",
        "description",
    ],
    required: &[],
};

/// The keys of `retry`.
pub(super) const RETRY: Shape = Shape {
    name: "`retry`",
    keys: &["max_attempts", "delay", "backoff", "max_delay", "on", "mode"],
    required: &[],
};

/// The keys of a webhook.
pub(super) const HOOK: Shape =
    Shape { name: "a webhook", keys: &["url", "headers", "body"], required: &["url"] };

/// The keys of a test: for which flow, what is assumed, what must follow.
pub(super) const TEST: Shape = Shape {
    name: "a test",
    keys: &["inputs", "env", "at", "assume", "expect", "order", "makespan"],
    required: &[],
};

/// The keys of a file that holds nothing but tests.
pub(super) const TESTS_FILE: Shape =
    Shape { name: "a file of tests", keys: &["tests"], required: &["tests"] };

/// The outcomes of a step.
pub(super) const OUTCOMES: [&str; 9] = [
    "succeeded",
    "warned",
    "failed",
    "cancelled",
    "timed_out",
    "skipped",
    "not_needed",
    "blocked",
    "unknown",
];
/// The outcomes of a flow.
pub(super) const FLOW_OUTCOMES: [&str; 6] =
    ["succeeded", "failed", "timed_out", "deadline_missed", "cancelled", "unknown"];
/// The words of `cloud`.
pub(super) const CLOUDS: [&str; 3] = ["public", "china", "us_government"];
/// The words of `auth`: the names of the ways to sign in, in the order in which they are tried.
pub const AUTH_METHODS: [&str; 6] =
    ["environment", "workload_identity", "github", "azure_pipelines", "managed_identity", "azure_cli"];
/// The words of an input's `type`.
pub(super) const INPUT_TYPES: [&str; 7] = ["string", "int", "float", "bool", "date", "array", "object"];
/// The words of `backoff`.
pub(super) const BACKOFFS: [&str; 2] = ["fixed", "exponential"];
/// The words of `mode`.
pub(super) const MODES: [&str; 2] = ["whole", "from_failure"];
/// The outcomes that `retry.on` may list.
pub(super) const RETRIED: [&str; 3] = ["failed", "timed_out", "cancelled"];
/// The words of `on_timeout`.
pub(super) const ON_TIMEOUT: [&str; 2] = ["cancel", "detach"];
/// The words of `if_running`.
pub(super) const IF_RUNNING: [&str; 5] = ["start", "wait", "attach", "skip", "fail"];
/// The words of `finally`, in the order of the conditions they stand for.
pub(super) const FINALLY: [&str; 3] = ["failed", "succeeded", "completed"];
/// The words of a condition in `depends_on`.
pub(super) const CONDITIONS: [&str; 4] = ["succeeded", "failed", "skipped", "completed"];

/// The most runs of one plan at once.
pub(super) const MAX_PARALLEL_MAX: u64 = 10_000;
/// The most that a pool may hold.
pub(super) const POOL_SIZE_MAX: u64 = 1_000_000;
/// The highest `priority`; the lowest is as far below zero.
pub(super) const PRIORITY_MAX: i64 = 1_000_000;
/// The most failures after which a flow may stop.
pub(super) const MAX_FAILURES_MAX: u64 = 10_000;
/// The most attempts of one step.
pub(super) const MAX_ATTEMPTS_MAX: u64 = 100;
/// The form of step ids, input names and workspace keys, as the schema has it: no blanks and no punctuation but `_` and `-`.
/// Not all implementations know classes of Unicode, so the check is stricter about letters of other scripts.
const ID_PATTERN: &str = r"^[^\s!-/:-@\[-^`{-~][^\s!-,./:-@\[-^`{-~]{0,99}$";

/// Synapse pipelines, their parameters and their dependencies: one YAML file in git.
#[derive(JsonSchema)]
#[schemars(
    rename = "plan",
    deny_unknown_fields,
    extend("oneOf" = [{ "required": ["workspace"] }, { "required": ["workspaces"] }])
)]
pub(super) struct PlanShape {
    /// The version of the plan language. Always 1.
    #[schemars(example = &1)]
    version: Version,
    /// The plan's name: the journal, `status` and reports show it.
    #[schemars(with = "Name", example = &"nightly-sales")]
    name: Name,
    /// What the plan is for.
    #[schemars(example = &"Loads the sales of one day.")]
    description: Option<Text>,
    /// The zone whose days the plan means by `today` and `yesterday`, by its IANA name.
    #[schemars(extend("default" = "UTC"), example = &"Europe/Berlin")]
    timezone: Option<String>,
    /// The name of the one Synapse workspace that all steps use: `contoso-dw` stands for
    /// `https://contoso-dw.dev.azuresynapse.net`. For several workspaces, other clouds or other
    /// addresses write `workspaces`.
    #[schemars(example = &"contoso-dw")]
    workspace: Option<WorkspaceName>,
    /// The Synapse workspaces by the name that steps use for them.
    #[schemars(
        example = serde_json::json!({"main": {"name": "contoso-dw"}})
    )]
    workspaces: Option<Named<WorkspaceShape>>,
    /// Values that are given when the plan is started (`--input day=2024-05-01`) and used in templates
    /// as `{{inputs.day}}`.
    #[schemars(
        example = serde_json::json!({"day": {"type": "date", "default": "yesterday"}})
    )]
    inputs: Option<Named<InputShape>>,
    /// What is otherwise in `prod`, `test` and the like: `synflow apply PLAN --env prod` chooses one.
    #[schemars(
        example = serde_json::json!({"prod": {"workspaces": {"main": {"name": "contoso-dw-prod"}}, "inputs": {"sample": false}}})
    )]
    environments: Option<Environments>,
    /// What every step has that does not say otherwise.
    #[schemars(
        example = serde_json::json!({"timeout": "2h", "retry": {"max_attempts": 2, "delay": "1m"}})
    )]
    defaults: Option<DefaultsShape>,
    /// What tells the flows of this plan apart: of those with the same key only one is under way at a time. May be a
    /// template of `inputs`, `env`, `plan` and `environment`. Without it all flows of the plan have one key.
    #[schemars(example = &"{{inputs.day}}")]
    run_key: Option<Text>,
    /// How many pipelines may run at once.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 20), example = &12)]
    max_parallel: Option<u32>,
    /// What there is only so much of, by name: steps that name a pool take turns.
    #[schemars(example = serde_json::json!({"dedicated_sql": 2}))]
    pools: Option<Pools>,
    /// Whether nothing new starts after the first failure that was not allowed. Steps that wait for a failure, and
    /// those with `finally`, still do.
    #[schemars(extend("default" = false), example = &true)]
    fail_fast: Option<bool>,
    /// After how many failures nothing new starts; `fail_fast` is short for 1.
    #[schemars(range(min = 1, max = 10_000), example = &3)]
    max_failures: Option<u32>,
    /// Whether a run that succeeded although an activity in it failed counts as failed.
    #[schemars(extend("default" = false), example = &true)]
    strict: Option<bool>,
    /// By when a flow should have ended: a time of day and its zone (the next such time after the flow begins), or a length
    /// of time from its start. It stops nothing: a flow that will be late says so once, one that was late ends with exit
    /// code 8. A time without a zone is in the plan's `timezone`.
    #[schemars(example = &"06:00 Europe/Berlin", example = &"4h")]
    deadline: Option<DeadlineShape>,
    /// Webhooks that are sent when a flow has ended, however it did.
    #[schemars(example = serde_json::json!([{"url": "https://example.com/flows"}]))]
    on_finish: Option<HooksShape>,
    /// Webhooks that are sent when a flow has failed, timed out, missed its deadline or been cancelled, or waits for a
    /// person.
    #[schemars(example = serde_json::json!([{"url": "{{secret \"env:ALERTS_URL\"}}", "body": {"text": "{{flow.summary}}"}}]))]
    on_failure: Option<HooksShape>,
    /// Webhooks that are sent once when a flow will miss its `deadline`, by what its steps took before, or has missed it.
    #[schemars(example = serde_json::json!([{"url": "{{secret \"env:ALERTS_URL\"}}", "body": {"text": "{{flow.summary}}"}}]))]
    on_deadline: Option<HooksShape>,
    /// The steps by their ids. The order of the file decides between steps that are ready together.
    #[schemars(
        example = serde_json::json!({"load": {"pipeline": "pl_load"}, "publish": {"depends_on": ["load"]}})
    )]
    steps: Steps,
    /// What the plan promises, by name: each test assumes something of steps and says what must follow. `synflow test` rehearses
    /// them in virtual time.
    #[schemars(
        example = serde_json::json!({"a failed curate runs the quarantine": {"assume": {"curate": "failed"}, "expect": {"publish": "blocked", "quarantine": "succeeded", "flow": "failed"}}})
    )]
    tests: Option<TestsShape>,
}

/// What is assumed, and what must follow.
#[derive(JsonSchema)]
#[schemars(
    rename = "test",
    deny_unknown_fields,
    extend("anyOf" = [{ "required": ["expect"] }, { "required": ["order"] }, { "required": ["makespan"] }])
)]
struct TestShape {
    /// The values of inputs; the others have those that the plan gives them.
    #[schemars(example = serde_json::json!({"regions": ["emea"]}))]
    inputs: Option<Values>,
    /// The environment.
    #[schemars(example = &"prod")]
    env: Option<Text>,
    /// When the flow begins: a date, or a date with a time, in UTC.
    #[schemars(extend("default" = "2026-01-14"), example = &"2026-01-31", example = &"2026-01-14T22:00")]
    at: Option<TestTime>,
    /// What is taken for given, by step: how it ends (`failed`, `failed:1` for the first attempt, `warned`, `timed_out`, `cancelled`,
    /// `skipped`, `succeeded`, `unknown`), how long it takes (`45m`, `slow:2x`), or both in a list. `curate.outputs.rows: 0` gives an
    /// output. What nothing is said of succeeds after 5 minutes.
    #[schemars(example = serde_json::json!({"curate": "failed", "load": ["warned", "45m"], "load.outputs.rows": 0}))]
    assume: Option<Values>,
    /// How steps must end, by step: an outcome or a list of outcomes. `flow` is the flow as a whole.
    #[schemars(example = serde_json::json!({"publish": ["blocked", "not_needed"], "flow": "failed"}))]
    expect: Option<ExpectShape>,
    /// Steps that must start in this order.
    #[schemars(example = serde_json::json!(["ingest", "curate"]))]
    order: Option<OrderShape>,
    /// How long the flow may take: `<`, `<=`, `>` or `>=` and a duration.
    #[schemars(example = &"< 2h")]
    makespan: Option<MakespanShape>,
}

/// A receiver of news, and what it is sent.
#[derive(JsonSchema)]
#[schemars(rename = "webhook", deny_unknown_fields)]
struct HookShape {
    /// The address; https, or http for this machine only. May be a template of `inputs`, `env`, `environment`, `plan`,
    /// `steps` and `flow`. One that lets in whoever knows it is a `secret`.
    #[schemars(example = &"{{secret \"env:ALERTS_URL\"}}")]
    url: Text,
    /// Headers by their names. Values may be templates and hold secrets.
    #[schemars(example = serde_json::json!({"Authorization": "Bearer {{secret \"env:ALERTS_TOKEN\"}}"}))]
    headers: Option<HeadersShape>,
    /// What is sent: a list or map as JSON, a text as it is. Texts in it may be templates. Without it a CloudEvent is sent
    /// that holds all that is known of the flow.
    #[schemars(example = serde_json::json!({"text": "{{plan.name}}: {{flow.outcome}}"}))]
    body: Option<Value>,
}

/// What every step has that does not say otherwise.
#[derive(JsonSchema)]
#[schemars(rename = "defaults", deny_unknown_fields)]
struct DefaultsShape {
    /// The workspace, by its key below `workspaces`.
    #[schemars(example = &"main")]
    workspace: Option<String>,
    /// How long one attempt may take.
    #[schemars(example = &"2h")]
    timeout: Option<Duration>,
    /// What becomes of a run that has taken longer than `timeout`.
    #[schemars(extend("default" = "cancel"), example = &"detach")]
    on_timeout: Option<OnTimeoutShape>,
    /// When a failed run is tried again. A step's own `retry` is laid over this key by key.
    retry: Option<RetryShape>,
    /// What to do when the pipeline runs already in the workspace, whoever started it.
    #[schemars(extend("default" = "start"), example = &"wait")]
    if_running: Option<IfRunningShape>,
    /// The pools that each step takes from while it runs.
    #[schemars(example = &"dedicated_sql")]
    pool: Option<PoolShape>,
    /// Whether a failed step lets the flow succeed and its dependents go on.
    #[schemars(extend("default" = false), example = &true)]
    allow_failure: Option<bool>,
    /// Whether a run that succeeded although an activity in it failed counts as failed; the plan's `strict` if it is
    /// left out.
    #[schemars(example = &true)]
    strict: Option<bool>,
    /// Words to select steps by.
    #[schemars(example = serde_json::json!(["nightly"]))]
    tags: Option<Vec<Text>>,
}

/// One pipeline with parameters and dependencies.
#[derive(JsonSchema)]
#[schemars(rename = "step", deny_unknown_fields)]
struct StepShape {
    /// The Synapse pipeline to run; the step's id if it is left out. May be a template of `inputs`,
    /// `env` and `plan`.
    #[schemars(example = &"pl_load_sales")]
    pipeline: Option<Text>,
    /// The workspace, by its key below `workspaces`.
    #[schemars(example = &"main")]
    workspace: Option<Text>,
    /// Runs the step once for each item of a list or entry of a map. The iterations are called `ingest[emea]`; in their
    /// templates `{{each.value}}` is the item and `{{each.key}}` what stands in the brackets.
    #[schemars(example = &"{{inputs.regions}}", example = serde_json::json!(["emea", "apac"]))]
    for_each: Option<ForEach>,
    /// Runs the step once for each combination of the values of its axes, `exclude` left out.
    #[schemars(
        example = serde_json::json!({"region": ["emea", "apac"], "layer": ["bronze", "silver"], "exclude": [{"region": "apac", "layer": "silver"}]})
    )]
    matrix: Option<MatrixShape>,
    /// What stands in the brackets of an iteration's id; a list of maps needs one.
    #[schemars(example = &"{{each.value.table}}")]
    key: Option<Text>,
    /// How many iterations may run at once; 1 keeps the order of the list.
    #[schemars(range(min = 1, max = 10_000), example = &4)]
    max_parallel: Option<u32>,
    /// The steps that must have ended first. A plain id waits until that step went well; a list of
    /// conditions says how it must have ended.
    #[schemars(
        example = serde_json::json!(["ingest", {"curate": ["failed", "skipped"]}])
    )]
    depends_on: Option<DependsOn>,
    /// Runs the step when all steps without `finally` have ended: `completed` however they did, `failed` or `succeeded`
    /// if the flow so far did. Such a step has no `depends_on`.
    #[schemars(example = &"completed")]
    finally: Option<FinallyShape>,
    /// What must be true for the step to run, once the steps before it have ended; otherwise it is skipped. A bare
    /// expression over the names of templates, without braces: comparisons, `and`, `or`, `not`, `in`, parentheses and
    /// the helpers as `date_add(inputs.day, "-1M")`.
    #[schemars(example = &"steps.curate.outcome == \"succeeded\" and inputs.full_reload")]
    when: Option<ConditionShape>,
    /// The pipeline's parameters: any JSON value, in which texts may be templates. A text that is one
    /// lone template keeps its type: `"{{inputs.full_reload}}"` stays a bool. The whole map may be one
    /// template that is a map.
    #[schemars(
        example = serde_json::json!({"day": "{{inputs.day}}", "regions": ["emea", "apac"], "full": false})
    )]
    parameters: Option<Parameters>,
    /// Values of the step's run that later steps read as `{{steps.STEP.outputs.NAME}}`. Each is one lone template:
    /// of what an activity produced (`activities.NAME.output…`) or of what the pipeline returned (`return_value…`).
    #[schemars(
        example = serde_json::json!({"rows": "{{activities.Copy_Final.output.rowsCopied}}", "set": "{{return_value.rateSet}}"})
    )]
    outputs: Option<StepOutputs>,
    /// How long one attempt may take from its start, time in the queue included. Then the run is
    /// cancelled, or what `on_timeout` says. Without it there is no limit.
    #[schemars(example = &"2h")]
    timeout: Option<Duration>,
    /// What becomes of a run that has taken longer than `timeout`.
    #[schemars(extend("default" = "cancel"), example = &"detach")]
    on_timeout: Option<OnTimeoutShape>,
    /// When a failed run is tried again; laid over `defaults.retry` key by key.
    retry: Option<RetryShape>,
    /// What to do when the pipeline runs already in the workspace, whoever started it. Runs of the same flow do
    /// not count.
    #[schemars(extend("default" = "start"), example = &"wait")]
    if_running: Option<IfRunningShape>,
    /// The pools that the step takes from while it runs: one of a pool by its name, or more of it.
    #[schemars(example = &"dedicated_sql", example = serde_json::json!({"dedicated_sql": 2}))]
    pool: Option<PoolShape>,
    /// Of the steps that are ready, those with the highest start first.
    #[schemars(range(min = -1_000_000, max = 1_000_000), extend("default" = 0), example = &10)]
    priority: Option<i32>,
    /// Whether a failure of this step lets the flow succeed and its dependents go on.
    #[schemars(extend("default" = false), example = &true)]
    allow_failure: Option<bool>,
    /// Whether a run that succeeded although an activity in it failed counts as failed; the default's or the plan's
    /// `strict` if it is left out.
    #[schemars(example = &true)]
    strict: Option<bool>,
    /// Words to select steps by.
    #[schemars(example = serde_json::json!(["bronze"]))]
    tags: Option<Vec<Text>>,
    /// What the step is for.
    #[schemars(example = &"Loads the sales of one day.")]
    description: Option<Text>,
}

/// When a failed run is tried again.
#[derive(JsonSchema)]
#[schemars(
    rename = "retry",
    deny_unknown_fields,
    example = serde_json::json!({"max_attempts": 3, "delay": "1m", "backoff": "exponential"})
)]
struct RetryShape {
    /// How many attempts there are in all, the first included.
    #[schemars(range(min = 1, max = 100), extend("default" = 1), example = &3)]
    max_attempts: Option<u32>,
    /// The wait before the second attempt.
    #[schemars(extend("default" = "30s"), example = &"1m")]
    delay: Option<Duration>,
    /// How the wait grows: `exponential` doubles it after each attempt.
    #[schemars(extend("default" = "fixed"), example = &"exponential")]
    backoff: Option<BackoffShape>,
    /// The longest wait.
    #[schemars(extend("default" = "10m"), example = &"5m")]
    max_delay: Option<Duration>,
    /// What is tried again: `failed`, `timed_out` and `cancelled` runs, and failed ones whose error has one of
    /// the codes listed.
    #[schemars(extend("default" = ["failed"]), example = serde_json::json!(["timed_out", "2200"]))]
    on: Option<RetryOn>,
    /// What the next attempt runs.
    #[schemars(extend("default" = "whole"), example = &"from_failure")]
    mode: Option<ModeShape>,
}

/// What another attempt runs.
#[derive(JsonSchema)]
#[schemars(rename = "mode", rename_all = "snake_case")]
enum ModeShape {
    /// The whole pipeline.
    Whole,
    /// The pipeline from the activity that failed, where that is provably right; else the whole pipeline.
    FromFailure,
}

/// What becomes of a run that has taken too long.
#[derive(JsonSchema)]
#[schemars(rename = "onTimeout", rename_all = "snake_case")]
enum OnTimeoutShape {
    /// It is cancelled, and the step ends when Synapse says so.
    Cancel,
    /// It is left running, and the step ends `timed_out` without another attempt.
    Detach,
}

/// What to do when the pipeline runs already.
#[derive(JsonSchema)]
#[schemars(rename = "ifRunning", rename_all = "snake_case")]
enum IfRunningShape {
    /// Start all the same.
    Start,
    /// Wait until it does not.
    Wait,
    /// Take a run with equal parameters for this step's; wait for any other.
    Attach,
    /// Do without the step: it ends `not_needed`.
    Skip,
    /// Fail the step.
    Fail,
}

/// For which ends of the flow a step with `finally` runs.
#[derive(JsonSchema)]
#[schemars(rename = "finally", rename_all = "snake_case")]
enum FinallyShape {
    /// Where a step failed, timed out or was cancelled that was not allowed to.
    Failed,
    /// Where none did.
    Succeeded,
    /// In either case.
    Completed,
}

/// How the wait between attempts grows.
#[derive(JsonSchema)]
#[schemars(rename = "backoff", rename_all = "snake_case")]
enum BackoffShape {
    /// Always the same wait.
    Fixed,
    /// Twice as long after each attempt.
    Exponential,
}

/// Shapes that are said once, for they stand in many places.
const SHARED: &[&str] = &["duration"];

/// A shape that has no Rust type of its own: its name, and its schema.
macro_rules! shapes {
    ($($(#[doc = $doc:literal])* $name:ident $schema_name:literal |$generator:pat_param| $schema:expr;)*) => { $(
        $(#[doc = $doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }

            fn inline_schema() -> bool {
                !SHARED.contains(&$schema_name)
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )* };
}

shapes! {
    /// The version of the plan language.
    Version "version" |_| json_schema!({ "const": 1 });

    /// A text; a number counts as the text it is spelled with.
    Text "text" |_| json_schema!({ "type": ["string", "number"] });

    /// A text that is not empty.
    Name "name" |_| json_schema!({ "type": ["string", "number"], "minLength": 1, "maxLength": 200 });

    /// The name of a workspace in Azure.
    WorkspaceName "workspaceName" |_| json_schema!({
        "type": ["string", "number"],
        "pattern": "^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"
    });

    /// A length of time with its units.
    Duration "duration" |_| json_schema!({
        "description": "A length of time: hours, minutes, seconds and milliseconds, each with its unit, in this order.",
        "type": "string",
        "pattern": "^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "examples": ["30s", "10m", "2h30m"]
    });

    /// A time of day and its zone, or a length of time.
    DeadlineShape "deadline" |_| json_schema!({
        "type": "string",
        "pattern": "^((?=[0-9])([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|([01][0-9]|2[0-3]):[0-5][0-9]( +[^0-9 +-].*)?)$"
    });

    /// Tests by their names.
    TestsShape "tests" |generator| json_schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "minLength": 1, "maxLength": 200 },
        "additionalProperties": generator.subschema_for::<TestShape>()
    });

    /// Values by their names.
    Values "values" |_| json_schema!({ "type": "object" });

    /// Outcomes by steps.
    ExpectShape "expect" |_| json_schema!({
        "type": "object",
        "minProperties": 1,
        "properties": { "flow": one_or_some(&flow_outcomes(), "How the flow must end.") },
        "additionalProperties": one_or_some(&outcomes(), "How the step must end.")
    });

    /// Steps in the order of their starts.
    OrderShape "order" |_| json_schema!({ "type": "array", "minItems": 2, "items": { "type": ["string", "number"] } });

    /// A bound of a length of time.
    MakespanShape "makespan" |_| json_schema!({
        "type": "string",
        "pattern": "^ *[<>]=? *(?=[0-9])([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)? *$"
    });

    /// A date, or a date with a time.
    TestTime "time" |_| json_schema!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" });

    /// Webhooks.
    HooksShape "hooks" |generator| json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 20,
        "items": generator.subschema_for::<HookShape>()
    });

    /// Texts by the names of headers.
    HeadersShape "headers" |_| json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
        "additionalProperties": { "type": ["string", "number"] }
    });

    /// The environments by their names.
    Environments "environments" |generator| json_schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": ID_PATTERN },
        "additionalProperties": { "anyOf": [generator.subschema_for::<EnvironmentShape>(), { "type": "null" }] }
    });

    /// The steps by their ids.
    Steps "steps" |generator| json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 10_000,
        "propertyNames": { "pattern": ID_PATTERN },
        "additionalProperties": { "anyOf": [generator.subschema_for::<StepShape>(), { "type": "null" }] }
    });

    /// Outcomes and error codes.
    RetryOn "retryOn" |_| json_schema!({
        "type": "array",
        "minItems": 1,
        "uniqueItems": true,
        "items": { "anyOf": [
            words(RETRIED, ["It failed.", "It took longer than `timeout`.", "Somebody cancelled it."]),
            { "type": ["string", "number"], "description": "An error code of the service, such as `2200`." }
        ] }
    });

    /// A condition.
    ConditionShape "condition" |_| json_schema!({ "type": ["string", "boolean"], "minLength": 1 });

    /// Any JSON values by their names, or one template that is a map.
    Parameters "parameters" |_| json_schema!({
        "anyOf": [{ "type": "object" }, { "type": "string", "pattern": r"^\{\{.*\}\}$" }]
    });

    /// How much there is of each pool.
    Pools "pools" |_| json_schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": ID_PATTERN },
        "additionalProperties": { "type": "integer", "minimum": 1, "maximum": POOL_SIZE_MAX }
    });

    /// A pool by its name, or how much a step takes of each.
    PoolShape "pool" |_| json_schema!({
        "anyOf": [
            { "type": ["string", "number"], "minLength": 1, "description": "The name of a pool, of which it takes 1." },
            {
                "type": "object",
                "minProperties": 1,
                "description": "How much it takes of each pool.",
                "additionalProperties": { "type": "integer", "minimum": 1, "maximum": POOL_SIZE_MAX }
            }
        ]
    });

    /// A list, a map, or one template that is either.
    ForEach "forEach" |_| json_schema!({
        "anyOf": [
            { "type": "array", "description": "One iteration for each item." },
            { "type": "object", "description": "One iteration for each entry." },
            { "type": "string", "pattern": r"^\{\{.*\}\}$", "description": "A template that is a list or a map." }
        ]
    });

    /// The axes of a matrix.
    MatrixShape "matrix" |_| json_schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": ID_PATTERN },
        "properties": {
            "exclude": {
                "type": "array",
                "description": "Combinations that are left out; one may name some of the axes only.",
                "items": { "type": "object", "minProperties": 1 },
                "examples": [[{ "region": "apac", "layer": "silver" }]]
            }
        },
        "additionalProperties": {
            "anyOf": [{ "type": "array" }, { "type": "string", "pattern": r"^\{\{.*\}\}$" }],
            "description": "The values of an axis.",
            "examples": [["emea", "apac"]]
        }
    });

    /// Values of a run by their names.
    StepOutputs "outputs" |_| json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": OUTPUTS_MAX,
        "propertyNames": { "pattern": ID_PATTERN },
        "additionalProperties": { "type": "string", "pattern": r"^\{\{.*\}\}$" }
    });

    /// The edges of a step.
    DependsOn "dependsOn" |_| json_schema!({
        "anyOf": [{ "type": "array", "items": edge() }, { "type": ["string", "number"] }]
    });
}

/// A map from ids to values of one shape.
pub(super) struct Named<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}s", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": ID_PATTERN },
            "additionalProperties": generator.subschema_for::<T>()
        })
    }
}

/// Words with their meaning, in the form in which editors show both.
fn words<const N: usize>(words: [&str; N], meanings: [&str; N]) -> Value {
    let word =
        |(word, meaning)| serde_json::json!({ "type": "string", "const": word, "description": meaning });
    serde_json::json!({ "oneOf": words.into_iter().zip(meanings).map(word).collect::<Vec<_>>() })
}

/// One of several words, or a list of them.
fn one_or_some(word: &Value, meaning: &str) -> Value {
    serde_json::json!({
        "description": meaning,
        "examples": ["succeeded"],
        "anyOf": [word, { "type": "array", "minItems": 1, "items": word }]
    })
}

fn outcomes() -> Value {
    words(
        OUTCOMES,
        [
            "It succeeded.",
            "It succeeded although an activity failed.",
            "It failed.",
            "Somebody cancelled it.",
            "It took longer than its `timeout`.",
            "Its own `when` was false.",
            "It waited for something that, all being well, did not happen.",
            "What it depends on went wrong.",
            "A person must look.",
        ],
    )
}

fn flow_outcomes() -> Value {
    words(
        FLOW_OUTCOMES,
        [
            "Nothing went wrong that was not allowed to.",
            "A step failed.",
            "A step timed out.",
            "All went well, but too late.",
            "A run was cancelled by others.",
            "A person must look at a step.",
        ],
    )
}

fn edge() -> Schema {
    let word = words(
        CONDITIONS,
        [
            "It succeeded.",
            "It failed, timed out or was cancelled.",
            "No run of it was made.",
            "It ended with a run, well or badly, or because its own condition said no.",
        ],
    );
    let conditions = json_schema!({
        "description": "How the step must have ended; one of the words is enough.",
        "anyOf": [word, { "type": "array", "minItems": 1, "uniqueItems": true, "items": word }]
    });
    json_schema!({
        "anyOf": [
            { "type": ["string", "number"], "description": "The id of a step, which must have gone well; \
                `ingest[emea]` names one iteration, `ingest[{{each.key}}]` the one with the same key." },
            { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": conditions }
        ]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{DEFAULTS, ENVIRONMENT, HOOK, INPUT, KEYS_MAX, PLAN, RETRY, STEP, Shape, TEST, WORKSPACE};
    use crate::plan::schema;

    fn words(value: &Value) -> Vec<&str> {
        value.as_array().map(|words| words.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    #[test]
    fn the_check_allows_the_keys_of_the_schema() {
        let schema = schema();
        let check = |pointer: &str, shape: &Shape| {
            let object = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in the schema"));
            let keys: Vec<&str> =
                object["properties"].as_object().expect("it has keys").keys().map(String::as_str).collect();
            assert_eq!(keys, shape.keys, "{}", shape.name);
            assert!(keys.len() <= KEYS_MAX, "{}", shape.name);
            assert_eq!(words(&object["required"]), shape.required, "{}", shape.name);
            assert_eq!(object["additionalProperties"], Value::Bool(false), "{}", shape.name);
        };
        check("", &PLAN);
        check("/$defs/workspace", &WORKSPACE);
        check("/$defs/input", &INPUT);
        check("/$defs/environment", &ENVIRONMENT);
        check("/$defs/defaults", &DEFAULTS);
        check("/$defs/step", &STEP);
        check("/$defs/retry", &RETRY);
        check("/$defs/webhook", &HOOK);
        check("/$defs/test", &TEST);
    }
}
