//! The shapes of a plan as types: the source of the JSON Schema.
//!
//! Nothing is ever read into these types; [`super::reader`] reads the tree itself, for better messages. The keys that the
//! check allows stand in [`super::keys`]. [`super::schema`] is made from [`PlanShape`].
#![expect(dead_code, reason = "the fields exist to be described, not to be read")]

use schemars::JsonSchema;
use serde_json::Value;

use super::setting_shape::{InputShape, WorkspaceShape};
use super::value_shape::{
    ConditionShape, DeadlineShape, DependsOn, Duration, Environments, ExpectShape, ForEach, HeadersShape,
    HooksShape, MakespanShape, MatrixShape, Name, Named, OrderShape, Parameters, PoolShape, Pools, RetryOn,
    StepOutputs, Steps, TestTime, TestsShape, Text, Values, Version, WorkspaceName,
};

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
pub(super) struct TestShape {
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
pub(super) struct HookShape {
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
pub(super) struct StepShape {
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
    /// the codes listed: that of the innermost activity that failed, in a child pipeline if it failed there.
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
