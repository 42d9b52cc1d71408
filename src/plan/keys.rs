//! The keys that the check allows, the words that some of them take, and their limits.
//!
//! Beside the shapes of [`super::shape`], from which the schema comes; a test compares the keys of both.

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
