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
    ("allowed_values", "one_of"),
    ("allowed_to_fail", "allow_failure"),
    ("args", "parameters"),
    ("arguments", "parameters"),
    ("attempts", "max_attempts"),
    ("attempts", "retry"),
    ("auth_method", "auth"),
    ("authentication", "auth"),
    ("base_url", "endpoint"),
    ("codes", "on"),
    ("comment", "description"),
    ("concurrency", "max_parallel"),
    ("concurrency_group", "run_key"),
    ("concurrency_key", "run_key"),
    ("condition", "when"),
    ("content", "body"),
    ("continue_on_error", "allow_failure"),
    ("count", "max_attempts"),
    ("data", "body"),
    ("due", "deadline"),
    ("choices", "one_of"),
    ("credential", "auth"),
    ("default_value", "default"),
    ("dependencies", "depends_on"),
    ("depends", "depends_on"),
    ("deps", "depends_on"),
    ("directory_id", "tenant"),
    ("enum", "one_of"),
    ("env", "environments"),
    ("envs", "environments"),
    ("desc", "description"),
    ("doc", "description"),
    ("endpoint", "url"),
    ("error_codes", "on"),
    ("finish_by", "deadline"),
    ("flow_key", "run_key"),
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
    ("from_file", "file"),
    ("is_secret", "secret"),
    ("job", "pipeline"),
    ("jobs", "steps"),
    ("json", "body"),
    ("labels", "tags"),
    ("max_active_runs", "max_parallel"),
    ("max_concurrency", "max_parallel"),
    ("max_interval", "max_delay"),
    ("maximum", "max"),
    ("max_retries", "retry"),
    ("max_workers", "max_parallel"),
    ("message", "body"),
    ("must_end_by", "deadline"),
    ("minimum", "min"),
    ("needs", "depends_on"),
    ("notes", "description"),
    ("notifications", "on_finish"),
    ("notify", "on_finish"),
    ("on_completion", "on_finish"),
    ("on_conflict", "if_running"),
    ("on_done", "on_finish"),
    ("on_end", "on_finish"),
    ("on_error", "on_failure"),
    ("on_exit", "on_finish"),
    ("on_fail", "on_failure"),
    ("on_late", "on_deadline"),
    ("on_running", "if_running"),
    ("output_values", "outputs"),
    ("on_sla_miss", "on_deadline"),
    ("parallelism", "max_parallel"),
    ("parameters", "inputs"),
    ("params", "inputs"),
    ("params", "parameters"),
    ("payload", "body"),
    ("pipeline_name", "pipeline"),
    ("pipelines", "steps"),
    ("only_if", "when"),
    ("path", "file"),
    ("policy", "retry"),
    ("profiles", "environments"),
    ("regex", "pattern"),
    ("requires", "depends_on"),
    ("rerun", "mode"),
    ("run_if", "when"),
    ("retries", "max_attempts"),
    ("retries", "retry"),
    ("retry_delay", "delay"),
    ("retry_interval_in_seconds", "delay"),
    ("retry_mode", "mode"),
    ("retry_on", "on"),
    ("retry_policy", "retry"),
    ("return", "outputs"),
    ("return_value", "outputs"),
    ("return_values", "outputs"),
    ("returns", "outputs"),
    ("sla", "deadline"),
    ("sensitive", "secret"),
    ("soft_fail", "allow_failure"),
    ("stages", "steps"),
    ("targets", "environments"),
    ("tasks", "steps"),
    ("text", "body"),
    ("threads", "max_parallel"),
    ("tenant_id", "tenant"),
    ("time_zone", "timezone"),
    ("timeout_action", "on_timeout"),
    ("timeout_in_minutes", "timeout"),
    ("timeout_in_seconds", "timeout"),
    ("timeout_minutes", "timeout"),
    ("timeout_seconds", "timeout"),
    ("title", "name"),
    ("trigger", "pipeline"),
    ("tz", "timezone"),
    ("upstream", "depends_on"),
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
    ("webhook", "url"),
    ("webhook_url", "url"),
    ("webhooks", "on_finish"),
    ("wait", "delay"),
    ("when_running", "if_running"),
    ("when_timed_out", "on_timeout"),
    ("with", "parameters"),
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
    // Keys that later versions of the language have, by their names elsewhere.
    ("foreach", "for_each"),
    ("items", "for_each"),
    ("loop", "for_each"),
    ("run_after", "depends_on"),
    ("runs_after", "depends_on"),
    ("strategy", "matrix"),
    ("with_items", "for_each"),
];

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
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
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
    use super::{foreign, list, nearest};

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
