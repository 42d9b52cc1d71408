//! The right word for a wrong one: near misses and the words of other tools.

/// Words of other tools and of other versions of YAML habits, with ours. The right one only counts
/// where it is allowed, so one wrong word may stand here with several right ones.
const FOREIGN: &[(&str, &str)] = &[
    ("activities", "steps"),
    ("activity", "pipeline"),
    ("address", "url"),
    ("after", "depends_on"),
    ("allow_fail", "allow_failure"),
    ("allowed", "one_of"),
    ("allowed_to_fail", "allow_failure"),
    ("allowed_values", "one_of"),
    ("annotations", "tags"),
    ("args", "parameters"),
    ("arguments", "parameters"),
    ("attempts", "max_attempts"),
    ("attempts", "retry"),
    ("auth_method", "auth"),
    ("authentication", "auth"),
    ("base_url", "endpoint"),
    ("batch_count", "max_parallel"),
    ("choices", "one_of"),
    ("cleanup", "finally"),
    ("codes", "on"),
    ("comment", "description"),
    ("concurrency", "max_parallel"),
    ("concurrency_group", "run_key"),
    ("concurrency_key", "run_key"),
    ("condition", "when"),
    ("conditions", "depends_on"),
    ("content", "body"),
    ("continue_on_error", "allow_failure"),
    ("count", "max_attempts"),
    ("credential", "auth"),
    ("dag", "name"),
    ("dag_id", "name"),
    ("data", "body"),
    ("default_args", "defaults"),
    ("default_value", "default"),
    ("dependencies", "depends_on"),
    ("dependency_conditions", "depends_on"),
    ("depends", "depends_on"),
    ("deps", "depends_on"),
    ("desc", "description"),
    ("directory_id", "tenant"),
    ("doc", "description"),
    ("due", "deadline"),
    ("email_on_failure", "on_failure"),
    ("endpoint", "url"),
    ("ensure", "finally"),
    ("enum", "one_of"),
    ("env", "environments"),
    ("env", "parameters"),
    ("envs", "environments"),
    ("error_codes", "on"),
    ("execution_timeout", "timeout"),
    ("expand", "for_each"),
    ("exports", "outputs"),
    ("factor", "backoff"),
    ("finish_by", "deadline"),
    ("flow_key", "run_key"),
    ("foreach", "for_each"),
    ("from_file", "file"),
    ("host", "endpoint"),
    ("href", "url"),
    ("id", "name"),
    ("idempotency_key", "run_key"),
    ("if", "when"),
    ("if_already_running", "if_running"),
    ("ignore_errors", "allow_failure"),
    ("ignore_failure", "allow_failure"),
    ("inputs", "parameters"),
    ("interval", "delay"),
    ("is_secret", "secret"),
    ("items", "for_each"),
    ("job", "pipeline"),
    ("jobs", "steps"),
    ("json", "body"),
    ("labels", "tags"),
    ("limit", "max_attempts"),
    ("loop", "for_each"),
    ("max_active_runs", "max_parallel"),
    ("max_active_tasks", "max_parallel"),
    ("max_concurrency", "max_parallel"),
    ("max_errors", "max_failures"),
    ("max_interval", "max_delay"),
    ("max_retries", "retry"),
    ("max_tries", "max_attempts"),
    ("max_workers", "max_parallel"),
    ("maximum", "max"),
    ("message", "body"),
    ("minimum", "min"),
    ("multiplier", "backoff"),
    ("must_end_by", "deadline"),
    ("mutex", "pool"),
    ("needs", "depends_on"),
    ("notes", "description"),
    ("notification", "on_finish"),
    ("notifications", "on_finish"),
    ("notify", "on_finish"),
    ("on_completion", "on_finish"),
    ("on_conflict", "if_running"),
    ("on_done", "on_finish"),
    ("on_end", "on_finish"),
    ("on_error", "on_failure"),
    ("on_exit", "on_finish"),
    ("on_exit", "finally"),
    ("on_fail", "on_failure"),
    ("on_failure_callback", "on_failure"),
    ("on_late", "on_deadline"),
    ("on_running", "if_running"),
    ("on_sla_miss", "on_deadline"),
    ("only_if", "when"),
    ("options", "one_of"),
    ("output_values", "outputs"),
    ("parallelism", "max_parallel"),
    ("parameters", "inputs"),
    ("params", "inputs"),
    ("params", "parameters"),
    ("path", "file"),
    ("payload", "body"),
    ("pipeline_id", "pipeline"),
    ("pipeline_name", "pipeline"),
    ("pipeline_reference", "pipeline"),
    ("pipelines", "steps"),
    ("policy", "retry"),
    ("pool_slots", "pool"),
    ("priority_weight", "priority"),
    ("profiles", "environments"),
    ("reference_name", "pipeline"),
    ("regex", "pattern"),
    ("requires", "depends_on"),
    ("rerun", "mode"),
    ("results", "outputs"),
    ("retries", "max_attempts"),
    ("retries", "retry"),
    ("retry_count", "max_attempts"),
    ("retry_count", "retry"),
    ("retry_count_on_task_failure", "retry"),
    ("retry_delay", "delay"),
    ("retry_delay", "retry"),
    ("retry_exponential_backoff", "retry"),
    ("retry_interval", "delay"),
    ("retry_interval", "retry"),
    ("retry_interval_in_seconds", "delay"),
    ("retry_interval_in_seconds", "retry"),
    ("retry_mode", "mode"),
    ("retry_on", "on"),
    ("retry_policy", "retry"),
    ("return", "outputs"),
    ("return_value", "outputs"),
    ("return_values", "outputs"),
    ("returns", "outputs"),
    ("run", "pipeline"),
    ("run_after", "depends_on"),
    ("run_if", "when"),
    ("runs_after", "depends_on"),
    ("semaphore", "pool"),
    ("semaphores", "pools"),
    ("sensitive", "secret"),
    ("sla", "deadline"),
    ("soft_fail", "allow_failure"),
    ("stage", "steps"),
    ("stage", "tags"),
    ("stages", "steps"),
    ("strategy", "backoff"),
    ("strategy", "matrix"),
    ("targets", "environments"),
    ("task", "pipeline"),
    ("tasks", "steps"),
    ("teardown", "finally"),
    ("tenant_id", "tenant"),
    ("text", "body"),
    ("threads", "max_parallel"),
    ("time_zone", "timezone"),
    ("timeout_action", "on_timeout"),
    ("timeout_in_minutes", "timeout"),
    ("timeout_in_seconds", "timeout"),
    ("timeout_minutes", "timeout"),
    ("timeout_seconds", "timeout"),
    ("times", "max_attempts"),
    ("title", "name"),
    ("tries", "max_attempts"),
    ("trigger", "pipeline"),
    ("trigger_rule", "depends_on"),
    ("tz", "timezone"),
    ("upstream", "depends_on"),
    ("upstream_tasks", "depends_on"),
    ("uri", "endpoint"),
    ("uri", "url"),
    ("url", "endpoint"),
    ("uses", "pipeline"),
    ("validation", "pattern"),
    ("value", "default"),
    ("values", "inputs"),
    ("values", "one_of"),
    ("variables", "inputs"),
    ("variables", "parameters"),
    ("vars", "inputs"),
    ("vars", "parameters"),
    ("wait", "delay"),
    ("warnings_as_errors", "strict"),
    ("webhook", "url"),
    ("webhook_url", "url"),
    ("webhooks", "on_finish"),
    ("weight", "priority"),
    ("when_running", "if_running"),
    ("when_timed_out", "on_timeout"),
    ("with", "parameters"),
    ("with_items", "for_each"),
    ("with_param", "for_each"),
    ("workflow", "name"),
    ("workspace", "workspaces"),
    // Words that stand as values.
    ("abort", "cancel"),
    ("adopt", "attach"),
    ("all", "whole"),
    ("allow", "start"),
    ("always", "completed"),
    ("any", "completed"),
    ("azure_china", "china"),
    ("azure_public", "public"),
    ("azure_us_government", "us_government"),
    ("az", "azure_cli"),
    ("cli", "azure_cli"),
    ("client_secret", "environment"),
    ("service_principal", "environment"),
    ("msi", "managed_identity"),
    ("boolean", "bool"),
    ("canceled", "cancelled"),
    ("completion", "completed"),
    ("constant", "fixed"),
    ("datetime", "date"),
    ("dict", "object"),
    ("done", "completed"),
    ("double", "float"),
    ("entire", "whole"),
    ("error", "fail"),
    ("error", "failed"),
    ("exp", "exponential"),
    ("fail", "failed"),
    ("failure", "failed"),
    ("finished", "completed"),
    ("from_failed", "from_failure"),
    ("from_failed_activity", "from_failure"),
    ("full", "whole"),
    ("ignore", "skip"),
    ("integer", "int"),
    ("join", "attach"),
    ("json", "object"),
    ("keep", "detach"),
    ("kill", "cancel"),
    ("leave", "detach"),
    ("list", "array"),
    ("map", "object"),
    ("number", "float"),
    ("queue", "wait"),
    ("resume", "from_failure"),
    ("reuse", "attach"),
    ("run", "start"),
    ("skip", "skipped"),
    ("skipped", "skip"),
    ("stop", "cancel"),
    ("str", "string"),
    ("success", "succeeded"),
    ("terminate", "cancel"),
    ("text", "string"),
    ("timeout", "timed_out"),
    ("usgov", "us_government"),
];

/// Words of other tools that have no counterpart: the kind of map they stand in, empty for any, and what to do instead.
const ADVICE: &[(&str, &str, &str)] = &[
    ("agent_pool", "", RUNNER),
    ("backoff", "a step", RETRY),
    ("bash", "", COMMAND),
    (
        "catchup",
        "",
        "a flow runs once, for the day it is given: `--input day=2024-05-01` for each day that is missing",
    ),
    ("client_id", "a workspace", SIGN_IN),
    ("client_secret", "a workspace", SIGN_IN),
    (
        "cloud",
        "a plan",
        "it belongs to a workspace: `workspaces: { main: { name: contoso-dw, cloud: china } }`",
    ),
    ("command", "", COMMAND),
    ("container", "", RUNNER),
    ("credential", "a workspace", SIGN_IN),
    ("credentials", "a workspace", SIGN_IN),
    ("cron", "", SCHEDULE),
    ("crons", "", SCHEDULE),
    ("delay", "a step", RETRY),
    ("disabled", "a step", SWITCH),
    ("display_name", "a step", ID),
    ("downstream", "a step", "name this step in the `depends_on` of those that wait for it"),
    ("enabled", "a step", SWITCH),
    ("end_date", "", SCHEDULE),
    (
        "endpoint",
        "a plan",
        "it belongs to a workspace: `workspaces: { main: { endpoint: \"https://...\" } }`",
    ),
    ("env", "a plan", "declare `inputs`, or read a variable where it is used: `'{{env \"NAME\"}}'`"),
    ("extends", "", ONE_FILE),
    ("id", "a step", ID),
    ("image", "", RUNNER),
    ("import", "", ONE_FILE),
    ("imports", "", ONE_FILE),
    ("include", "", ONE_FILE),
    ("includes", "", ONE_FILE),
    ("is_sequential", "", "write `max_parallel: 1` for one after the other"),
    ("job_id", "a step", ID),
    ("linked_service_name", "", "linked services belong to the pipeline's own activities: remove it"),
    ("location", "a workspace", ADDRESS),
    ("max_attempts", "a step", RETRY),
    ("max_delay", "a step", RETRY),
    ("name", "a step", ID),
    ("notebook", "a step", COMMAND),
    ("on", "a plan", SCHEDULE),
    ("on_error", "a step", HANDLER),
    ("on_failure", "a step", HANDLER),
    ("on_failure_callback", "a step", HANDLER),
    ("on_success", "a step", "write a step that waits for this one: `depends_on: [STEP]`"),
    ("owner", "", "say it in `description`, or as one of the `tags`"),
    (
        "parameters",
        "`defaults`",
        "give each step its own; share them with an anchor: `parameters: &shared`, then `<<: *shared`",
    ),
    ("permissions", "", RUNNER),
    ("pipeline", "a plan", "pipelines stand in steps: `steps: { load: { pipeline: pl_load } }`"),
    ("properties", "", "leave this level out: its keys stand one level higher"),
    ("region", "a workspace", ADDRESS),
    ("required", "an input", "leave it out: an input without a `default` is required"),
    ("resource_group", "a workspace", ADDRESS),
    ("resources", "", ONE_FILE),
    ("runs_on", "", RUNNER),
    ("schedule", "", SCHEDULE),
    ("schedule_interval", "", SCHEDULE),
    ("schedules", "", SCHEDULE),
    ("script", "", COMMAND),
    ("secrets", "", "name each secret where it is used: `'{{secret \"env:NAME\"}}'`"),
    ("secure_input", "", SECURE),
    ("secure_output", "", SECURE),
    ("shell", "", COMMAND),
    ("sql", "a step", COMMAND),
    ("start_date", "", SCHEDULE),
    ("start_time", "", SCHEDULE),
    ("step", "a step", ID),
    ("subscription", "a workspace", ADDRESS),
    ("subscription_id", "a workspace", ADDRESS),
    ("task_id", "a step", ID),
    ("templates", "a plan", ONE_FILE),
    ("trigger", "", SCHEDULE),
    ("triggers", "", SCHEDULE),
    ("type", "a step", "leave it out: every step runs a pipeline"),
    ("type_properties", "", "leave this level out: `pipeline` and `parameters` stand in the step itself"),
    ("user_properties", "", "use `tags` for words to select by, `description` for people"),
    ("wait_on_completion", "", "leave it out: a step has ended when its pipeline has"),
];

const ADDRESS: &str = "the name or the endpoint is enough: remove it";
const COMMAND: &str =
    "put the work into a pipeline and name it: `pipeline: pl_load`; a step runs nothing else";
const HANDLER: &str = "write a step that waits for this one: `depends_on: [{ STEP: [failed] }]`";
const ID: &str = "the step's id is its key below `steps:`; say more in `description`";
const ONE_FILE: &str =
    "a plan is one file; what repeats can be marked with `&name` and repeated with `*name`";
const RETRY: &str = "it belongs below `retry`: `retry: { max_attempts: 3, delay: 1m, backoff: exponential }`";
const RUNNER: &str = "steps run in Synapse, not on a machine of your choice: remove it";
const SCHEDULE: &str = "a plan has no schedule: let cron or a CI schedule call `synflow apply`";
const SECURE: &str = "it is set on the activity, in the pipeline: remove it";
const SIGN_IN: &str = "who signs in comes from the environment, never from the plan: remove it";
const SWITCH: &str =
    "leave the step out of one flow with `--exclude`, or let an input decide: `when: inputs.full_reload`";

/// Returns what to do about another tool's word that has no counterpart, in this kind of map.
pub(super) fn advice(word: &str, owner: &str) -> Option<&'static str> {
    let snake = snake_case(word);
    let fits = |place: &str| place.is_empty() || place == owner;
    ADVICE.iter().find(|(theirs, place, _)| *theirs == snake && fits(place)).map(|(.., what)| *what)
}

/// Returns our word for another tool's, if it is among those allowed.
pub(super) fn foreign<'a>(word: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let snake = snake_case(word);
    let ours = |wanted: &str| allowed.iter().copied().find(|allowed| *allowed == wanted);
    if snake != word
        && let Some(same) = ours(&snake)
    {
        return Some(same);
    }
    FOREIGN.iter().filter(|(theirs, _)| *theirs == snake).find_map(|(_, right)| ours(right))
}

/// Says whether a word is another spelling of ours: `dependsOn` of `depends_on`.
pub(super) fn is_same(word: &str, ours: &str) -> bool {
    snake_case(word) == ours
}

/// Returns the allowed word that is most like a mistyped one, if any is like it at all.
pub fn nearest<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let longest = word.chars().count().max(candidate.chars().count());
        let distance = strsim::osa_distance(&word, &candidate);
        // A third of the letters may differ, and one in a word of two or three.
        (distance <= (longest / 3).max(usize::from(longest > 1))).then_some(distance)
    };
    allowed
        .into_iter()
        .filter_map(|candidate| likeness(candidate).map(|distance| (distance, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns words as a sentence names them: `` `a`, `b` and `c` ``.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let mut quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.pop() {
        None => String::new(),
        Some(only) if quoted.is_empty() => only,
        Some(end) => format!("{} {last} {end}", quoted.join(", ")),
    }
}

/// Returns `dependsOn` and `depends-on` as `depends_on`.
fn snake_case(word: &str) -> String {
    let mut snake = String::with_capacity(word.len() + 4);
    let mut before_lower = false;
    for c in word.chars() {
        if c == '-' || c == ' ' {
            snake.push('_');
        } else {
            if c.is_uppercase() && before_lower {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::{ADVICE, advice, foreign, list, nearest};

    const STEP: &[&str] =
        &["pipeline", "parameters", "depends_on", "timeout", "retry", "allow_failure", "tags"];

    #[test]
    fn knows_the_words_of_other_tools() {
        let check = |word: &str, want: Option<&str>| assert_eq!(foreign(word, STEP), want, "{word}");
        check("needs", Some("depends_on"));
        check("dependsOn", Some("depends_on"));
        check("depends-on", Some("depends_on"));
        check("with", Some("parameters"));
        check("timeoutInSeconds", Some("timeout"));
        check("continueOnError", Some("allow_failure"));
        check("continue-on-error", Some("allow_failure"));
        check("jobs", None);
        check("depends_on", None);
    }

    #[test]
    fn advises_where_there_is_no_counterpart() {
        let check = |word: &str, owner: &str, want: bool| {
            assert_eq!(advice(word, owner).is_some(), want, "{word} in {owner}");
        };
        check("schedule", "a plan", true);
        check("scheduleInterval", "a plan", true);
        check("secureInput", "a step", true);
        check("task_id", "a step", true);
        check("task_id", "a workspace", false);
        check("pipeline", "a step", false);
        for (word, ..) in ADVICE {
            assert_eq!(super::snake_case(word), *word);
        }
    }

    #[test]
    fn finds_the_nearest_word() {
        let check = |word: &str, want: Option<&str>| {
            assert_eq!(nearest(word, STEP.iter().copied()), want, "{word}");
        };
        check("depend_on", Some("depends_on"));
        check("pipline", Some("pipeline"));
        check("tag", Some("tags"));
        check("Timeout", Some("timeout"));
        check("owner", None);
        check("", None);
    }

    #[test]
    fn lists_words() {
        assert_eq!(list(["a"], "and"), "`a`");
        assert_eq!(list(["a", "b", "c"], "or"), "`a`, `b` or `c`");
        assert_eq!(list([], "or"), "");
    }
}
