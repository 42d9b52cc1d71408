//! The shapes of values that have no Rust type of their own, and of maps of them. As in [`super::shape`], nothing is
//! ever read into them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::keys::{CONDITIONS, FLOW_OUTCOMES, OUTCOMES, POOL_SIZE_MAX, RETRIED};
use super::outputs::OUTPUTS_MAX;
use super::setting_shape::EnvironmentShape;
use super::shape::{HookShape, StepShape, TestShape};

/// The form of step ids, input names and workspace keys, as the schema has it: no blanks and no punctuation but `_` and `-`.
/// Not all implementations know classes of Unicode, so the check is stricter about letters of other scripts.
const ID_PATTERN: &str = r"^[^\s!-/:-@\[-^`{-~][^\s!-,./:-@\[-^`{-~]{0,99}$";

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
