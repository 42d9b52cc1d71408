//! The shapes of what steps are set in: workspaces, inputs and environments. As in [`super::shape`], nothing is ever
//! read into them.
#![expect(dead_code, reason = "the fields exist to be described, not to be read")]

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::value_shape::{DeadlineShape, Named, Pools, Text, WorkspaceName};

/// A Synapse workspace: `name`, or `endpoint` where the address is not the usual one.
#[derive(JsonSchema)]
#[schemars(
    rename = "workspace",
    deny_unknown_fields,
    extend("oneOf" = [{ "required": ["name"] }, { "required": ["endpoint"] }])
)]
pub(super) struct WorkspaceShape {
    /// The workspace's name in Azure.
    #[schemars(example = &"contoso-dw")]
    name: Option<WorkspaceName>,
    /// The address of the workspace; https, or http for this machine only.
    #[schemars(regex(pattern = "^https?://"), example = &"https://contoso-ref.dev.azuresynapse.azure.cn")]
    endpoint: Option<String>,
    /// The Azure cloud, which decides where to sign in.
    #[schemars(extend("default" = "public"), example = &"china")]
    cloud: Option<CloudShape>,
    /// The directory to sign in to, by its GUID or domain. Without it that of the environment variables or of the login.
    #[schemars(
        regex(pattern = r"^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)$"),
        example = &"contoso.onmicrosoft.com"
    )]
    tenant: Option<String>,
    /// The one way to sign in to this workspace. `--auth` on the command line beats it; without both, each way is tried.
    #[schemars(example = &"azure_cli")]
    auth: Option<AuthShape>,
}

/// An Azure cloud.
#[derive(JsonSchema)]
#[schemars(rename = "cloud", rename_all = "snake_case")]
enum CloudShape {
    /// The public cloud.
    Public,
    /// China, operated by 21Vianet.
    China,
    /// US Government.
    UsGovernment,
}

/// A value that is given when the plan is started. Without a default or a file it must be given.
#[derive(JsonSchema)]
#[schemars(rename = "input", deny_unknown_fields, extend("not" = { "required": ["default", "file"] }))]
pub(super) struct InputShape {
    /// How a text on the command line is read, and what every other value must be.
    #[schemars(example = &"date")]
    r#type: InputTypeShape,
    /// The value if none is given. Texts may use inputs declared above: `{{inputs.day}}`. A date is
    /// `YYYY-MM-DD`, `today`, `yesterday` or `today-3d`, in the plan's `timezone`.
    #[schemars(example = &"yesterday")]
    default: Option<Value>,
    /// A YAML or JSON file that holds the value if none is given. The path begins at the plan's folder.
    #[schemars(example = &"regions.yaml")]
    file: Option<Text>,
    /// The only values allowed. For inputs of the types string, int, float and date.
    #[schemars(length(min = 1), example = serde_json::json!(["dev", "test", "prod"]))]
    one_of: Option<Vec<Value>>,
    /// A regular expression that the whole text must match. For inputs of the type string.
    #[schemars(example = &"[a-z]{2}[0-9]{3}")]
    pattern: Option<Text>,
    /// The smallest value allowed: a number, or a day such as `today-30d`. For inputs of the types int, float and date.
    #[schemars(example = &1)]
    min: Option<Limit>,
    /// The largest value allowed: a number, or a day such as `today`. For inputs of the types int, float and date.
    #[schemars(example = &100)]
    max: Option<Limit>,
    /// Whether the value is a secret. It is then given as a reference that says where the secret is, `env:NAME`,
    /// `file:PATH` or `keyvault:VAULT/NAME`, and never as the secret itself. For inputs of the type string.
    #[schemars(extend("default" = false), example = &true)]
    secret: Option<bool>,
    /// What the input is for.
    #[schemars(example = &"The day to load.")]
    description: Option<Text>,
}

/// A number or a day.
type Limit = Text;

/// The type of an input.
#[derive(JsonSchema)]
#[schemars(rename = "inputType", rename_all = "snake_case")]
enum InputTypeShape {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A day: `YYYY-MM-DD`.
    Date,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// What is otherwise in one environment. What it does not say is as at the top of the plan.
#[derive(JsonSchema)]
#[schemars(rename = "environment", deny_unknown_fields)]
pub(super) struct EnvironmentShape {
    /// Workspaces that take the place of the plan's own with the same names.
    #[schemars(example = serde_json::json!({"main": {"name": "contoso-dw-prod"}}))]
    workspaces: Option<Named<WorkspaceShape>>,
    /// Values of inputs, which beat their defaults and files.
    #[schemars(example = serde_json::json!({"sample": false}))]
    inputs: Option<Map<String, Value>>,
    /// How many pipelines may run at once.
    #[schemars(range(min = 1, max = 10_000), example = &40)]
    max_parallel: Option<u32>,
    /// Other sizes of the plan's pools.
    #[schemars(example = serde_json::json!({"dedicated_sql": 4}))]
    pools: Option<Pools>,
    /// By when a flow should have ended.
    #[schemars(example = &"06:00 Europe/Berlin")]
    deadline: Option<DeadlineShape>,
}

/// A way to sign in.
#[derive(JsonSchema)]
#[schemars(rename = "auth", rename_all = "snake_case")]
enum AuthShape {
    /// An application with a secret or a certificate, named by environment variables.
    Environment,
    /// An application that trusts a token file, as in Kubernetes.
    WorkloadIdentity,
    /// An application that trusts a GitHub Actions job.
    #[schemars(rename = "github")]
    GitHub,
    /// An application that trusts an Azure Pipelines job.
    AzurePipelines,
    /// The identity of the machine.
    ManagedIdentity,
    /// The login of the Azure command line.
    AzureCli,
}
