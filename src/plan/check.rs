//! The rules of the plan language: a tree of YAML becomes a [`Plan`], or every reason why not.
//!
//! This file holds the order of the check; [`super::workspaces`], [`super::inputs`] and
//! [`super::steps`] hold the rules.

use std::collections::BTreeSet;

use super::code::Code;
use super::diagnostic::{self, Diagnostic};
use super::environments::Layers;
use super::keys::{MAX_FAILURES_MAX, MAX_PARALLEL_MAX, PLAN};
use super::reader::{Fields, Reader};
use super::sketch::{Index, Sketch, barrier, too_many};
use super::source::{Entry, Node, Source, Yaml};
use super::steps::Around;
use super::template::{Known, StepFacts};
use super::{
    Given, Loaded, Outputs, Plan, Step, TestCase, cases, dates, deadline, hooks, indent, inputs, outputs,
    pools, run_key, secret, steps, timezone, workspaces,
};

/// How many runs of a plan may be under way if it does not say.
const MAX_PARALLEL: usize = 20;
/// The longest plan name, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The version of the plan language.
const VERSION: u64 = 1;

/// Checks a plan. Gives every finding if one of them is an error.
pub(super) fn check(source: Source<'_>, given: &Given) -> Result<Loaded, Vec<Diagnostic>> {
    let Source { text, mut root, mut findings } = source;
    indent::mend(&mut root, text, &mut findings);
    let mut reader = Reader::new(text, findings);
    let plan = read(&mut reader, &root, given);
    let mut findings = reader.finish();
    diagnostic::sort(&mut findings);
    match plan {
        Some(plan) if !findings.iter().any(Diagnostic::is_error) => Ok(Loaded { plan, notes: findings }),
        _ => Err(findings),
    }
}

fn read(reader: &mut Reader<'_>, root: &Node, given: &Given) -> Option<Plan> {
    if !matches!(root.value, Yaml::Map(_)) {
        let help =
            "begin with the lines `version: 1`, `name: nightly-sales` and `steps:`, none of them with `- `";
        return reader.wrong_type(root, "the plan", "a map", help);
    }
    let top = reader.fields(root, "the plan", &PLAN, root.span())?;
    version(reader, top);
    let name = name(reader, top);
    let description = top.get("description").and_then(|node| reader.text(node, "`description`"));
    let timezone = timezone::read(reader, top);
    let layers = Layers::read(reader, top, &given.environment);
    let workspaces = workspaces::read(reader, top, &layers, root.span());
    let max_parallel = layers
        .value("max_parallel", |entry| reader.whole(&entry.value, "`max_parallel`", 1, MAX_PARALLEL_MAX))
        .map_or(MAX_PARALLEL, |limit| usize::try_from(limit).unwrap_or(usize::MAX));

    let mut env = BTreeSet::new();
    let mut known =
        Known::new(name.unwrap_or_default(), &given.environment, &given.env, given.inputs_required);
    let today = dates::today(given.now, &timezone);
    let secret_inputs = inputs::read(reader, top, &layers, given, today, &mut known, &mut env);
    known.secret_inputs.clone_from(&secret_inputs);
    let run_key = run_key::read(reader, top, &mut known, &mut env);
    let pools = pools::read(reader, &layers);
    let strict = steps::truth(reader, top, "strict").unwrap_or(false);
    let max_failures = max_failures(reader, top);
    let deadline = layers.value("deadline", |entry| deadline::read(reader, &entry.value, &timezone));
    let defaults = steps::read_defaults(reader, top.entry("defaults"), &workspaces, &pools, strict);

    known.refresh();
    let entries = steps::entries(reader, top);
    let sketches: Vec<Sketch<'_>> =
        entries.iter().map(|entry| steps::sketch(reader, entry, &mut known, &mut env)).collect();
    if too_many(reader, &sketches) {
        return None;
    }
    let index = Index::of(&sketches);
    let trial = sketches.iter().flat_map(Sketch::ids).map(|id| (id, trial_facts())).collect();
    known.groups = sketches.iter().filter_map(Sketch::group).collect();
    known.expect_flow(trial, outputs::declared(reader.text, entries));
    let around = Around { workspaces: &workspaces, pools: &pools, defaults: &defaults, index: &index };
    let mut steps: Vec<Step> = Vec::new();
    for sketch in &sketches {
        steps.extend(steps::read(reader, sketch, &around, &mut known, &mut env));
    }
    // A step that could not be read leaves the others in wrong places.
    if steps.len() == index.barrier().0 {
        steps.extend(barrier(&steps));
        outputs::check_reads(reader, &steps);
    }
    let hooks = hooks::read(reader, top, &mut known, &mut env);
    secret::check(reader, &steps, &hooks, &env);
    let tests = tests(reader, top, entries);

    let value = |name: &String| Some((name.clone(), given.env.get(name)?.clone()));
    Some(Plan {
        name: name?.to_owned(),
        description: description.map(str::to_owned),
        env: env.iter().filter_map(value).collect(),
        inputs: known.scope.inputs,
        secret_inputs,
        environment: given.environment.clone(),
        timezone,
        workspaces,
        run_key: run_key.unwrap_or_default(),
        max_parallel,
        pools,
        max_failures,
        deadline,
        hooks,
        steps,
        tests,
    })
}

/// Reads `tests`.
fn tests(reader: &mut Reader<'_>, top: Fields<'_>, steps: &[Entry]) -> Vec<TestCase> {
    let Some(entry) = top.entry("tests") else { return Vec::new() };
    let text = reader.text;
    let keys = |entries: &'_ [Entry]| -> Vec<String> {
        entries.iter().filter_map(|entry| entry.key.key_text(text)).map(str::to_owned).collect()
    };
    let below = |name: &str| match top.get(name).map(|node| &node.value) {
        Some(Yaml::Map(entries)) => keys(entries),
        _ => Vec::new(),
    };
    let names = cases::Names {
        steps: keys(steps),
        outputs: outputs::declared(text, steps),
        inputs: below("inputs"),
        environments: Some(below("environments")),
    };
    cases::read(reader, entry, &names)
}

/// Reads `fail_fast` and `max_failures`.
fn max_failures(reader: &mut Reader<'_>, top: Fields<'_>) -> Option<usize> {
    let fail_fast = steps::truth(reader, top, "fail_fast") == Some(true);
    let most = top
        .entry("max_failures")
        .and_then(|Entry { value, .. }| reader.whole(value, "`max_failures`", 1, MAX_FAILURES_MAX));
    if let (true, Some(most), Some(entry)) = (fail_fast, most, top.entry("max_failures"))
        && most > 1
    {
        reader.report(
            Diagnostic::at(
                Code::KeysExclude,
                entry.key.span(),
                "`fail_fast` stops the flow before `max_failures` does",
            )
            .help("remove `fail_fast` to go on until there are so many failures, or remove `max_failures`"),
        );
    }
    if fail_fast { Some(1) } else { most.and_then(|most| usize::try_from(most).ok()) }
}

/// Returns what a template is tried with in place of a step that has run.
fn trial_facts() -> StepFacts {
    StepFacts {
        outcome: "succeeded".to_owned(),
        run_id: Some("00000000-0000-4000-8000-000000000000".to_owned()),
        outputs: Outputs::default(),
    }
}

fn version(reader: &mut Reader<'_>, top: Fields<'_>) {
    let Some(node) = top.get("version") else { return };
    match &node.value {
        Yaml::Number(number) if number.as_u64() == Some(VERSION) => {}
        Yaml::Number(number) => {
            let message = format!("version {number} of the plan language is not known");
            reader
                .report(Diagnostic::at(Code::WrongVersion, node.span(), message).help("write `version: 1`"));
        }
        _ => {
            reader.wrong_type::<()>(node, "`version`", "a number", "write `version: 1`, without quotes");
        }
    }
}

fn name<'n, 'a: 'n>(reader: &mut Reader<'a>, top: Fields<'n>) -> Option<&'n str> {
    let node = top.get("name")?;
    let name = reader.words(node, "`name`", "write a short plain text: `nightly-sales`")?;
    let reason = if name.chars().count() > NAME_CHARS_MAX {
        format!("`name` is longer than {NAME_CHARS_MAX} characters")
    } else if name.chars().any(char::is_control) {
        "`name` holds a line break or another control character".to_owned()
    } else if name.contains("{{") {
        "`name` cannot be a template: it must be the same in every flow".to_owned()
    } else {
        return Some(name);
    };
    reader.report(
        Diagnostic::at(Code::BadName, node.span(), reason).help("write a short plain text: `nightly-sales`"),
    );
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::plan::{
        Backoff, Condition, Diagnostic, EdgeRule, Given, IfRunning, Loaded, OnTimeout, Outputs, Plan,
        RetryMode, RetryOn, Scope, Step, StepFacts, StepId, load,
    };
    use crate::time::{Delay, Timestamp};

    const HEAD: &str = "version: 1\nname: test\nworkspace: contoso-dw\n";

    fn given() -> Given {
        Given {
            now: Timestamp::from_epoch_ms(1_714_644_000_000),
            env: BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]),
            inputs_required: true,
            ..Given::default()
        }
    }

    fn accepted(text: &str) -> Plan {
        load(format!("{HEAD}{text}").as_bytes(), &given()).expect("this is a plan").plan
    }

    fn step(keys: &str) -> Step {
        let mut plan = accepted(&format!("steps:\n  up: {{}}\n  it: {{ {keys} }}\n"));
        plan.steps.pop().expect("there are two steps")
    }

    fn codes(text: &str) -> Vec<&'static str> {
        let findings = match load(format!("{HEAD}{text}").as_bytes(), &given()) {
            Ok(Loaded { notes, .. }) => notes,
            Err(findings) => findings,
        };
        findings.iter().map(|finding: &Diagnostic| finding.code.id()).collect()
    }

    #[test]
    fn a_step_has_its_defaults() {
        let plan = accepted("steps: { load: }");
        let load = &plan.steps[0];
        assert_eq!(load.pipeline, "load");
        assert_eq!(plan.workspaces[load.workspace].endpoint, "https://contoso-dw.dev.azuresynapse.net");
        assert_eq!(plan.workspaces[0].key, "main");
        assert_eq!((load.timeout, load.allow_failure, load.retry.max_attempts), (None, false, 1));
        assert_eq!(plan.max_parallel, 20);
        assert_eq!((load.place.line, load.place.column), (4, 10));
    }

    #[test]
    fn retry_is_laid_over_the_defaults_key_by_key() {
        let plan = accepted(
            "defaults: { timeout: 2h, tags: [a], allow_failure: true, retry: { max_attempts: 4, backoff: exponential } }\n\
             steps:\n  one: { retry: { delay: 5s } }\n  two: { timeout: 1m, tags: [b], allow_failure: false }\n",
        );
        let [one, two] = plan.steps.as_slice() else { panic!("there are two steps") };
        assert_eq!((one.retry.max_attempts, one.retry.backoff), (4, Backoff::Exponential));
        assert_eq!((one.retry.delay, one.retry.max_delay), (Delay::from_secs(5), Delay::from_secs(600)));
        assert_eq!((one.timeout, one.allow_failure), (Some(Delay::from_secs(7200)), true));
        assert_eq!((two.timeout, two.allow_failure), (Some(Delay::from_secs(60)), false));
        assert_eq!((two.tags.clone(), two.retry.delay), (vec!["b".to_owned()], Delay::from_secs(30)));
    }

    #[test]
    fn on_and_mode_are_laid_over_the_defaults_and_words_replace_theirs() {
        let plan = accepted(
            "defaults: { timeout: 2h, on_timeout: detach, if_running: wait, retry: { on: [cancelled, 2200], mode: from_failure } }\n\
             steps:\n  one: { retry: { max_attempts: 2 } }\n  two: { on_timeout: cancel, if_running: attach, retry: { on: [timed_out] } }\n  three: { retry: { mode: whole } }\n",
        );
        let [one, two, three] = plan.steps.as_slice() else { panic!("there are three steps") };
        let code = RetryOn::Code("2200".to_owned());
        assert_eq!(one.retry.on, [RetryOn::Cancelled, code.clone()]);
        assert_eq!((one.retry.mode, one.retry.max_attempts), (RetryMode::FromFailure, 2));
        assert_eq!((one.on_timeout, one.if_running), (OnTimeout::Detach, IfRunning::Wait));
        assert_eq!((&*two.retry.on, two.retry.mode), (&[RetryOn::TimedOut][..], RetryMode::FromFailure));
        assert_eq!((two.on_timeout, two.if_running), (OnTimeout::Cancel, IfRunning::Attach));
        assert_eq!((&*three.retry.on, three.retry.mode), (&[RetryOn::Cancelled, code][..], RetryMode::Whole));
        let bare = step("");
        assert_eq!(bare.retry.on, [RetryOn::Failed]);
        assert_eq!((bare.on_timeout, bare.if_running), (OnTimeout::Cancel, IfRunning::Start));
        assert_eq!(bare.retry.mode, RetryMode::Whole);
    }

    #[test]
    fn what_a_timeout_needs_is_warned_of_without_one() {
        let check = |keys: &str, want: &[&str]| {
            assert_eq!(codes(&format!("steps: {{ it: {{ {keys} }} }}")), want, "{keys}");
        };
        check("on_timeout: detach", &["W0201"]);
        check("retry: { on: [failed, timed_out] }", &["W0201"]);
        check("timeout: 1h, on_timeout: detach", &[]);
        check("timeout: 1h, retry: { on: [failed, timed_out] }", &[]);
        check("timeout: 1h, on_timeout: detach, retry: { on: [timed_out] }", &["E0214"]);
        assert_eq!(codes("defaults: { on_timeout: detach }\nsteps: { it: }"), [""; 0]);
        assert_eq!(codes("defaults: { timeout: 1h }\nsteps: { it: { on_timeout: detach } }"), [""; 0]);
    }

    #[test]
    fn a_run_key_is_a_text_whatever_it_is_made_of() {
        let check = |key: &str, want: &str| {
            let plan = accepted(&format!(
                "inputs: {{ day: {{ type: date, default: 2024-05-01 }}, n: {{ type: int, default: 7 }}, b: {{ type: bool, default: true }} }}\n\
                 {key}\nsteps: {{ it: }}\n"
            ));
            assert_eq!(plan.run_key, want, "{key}");
        };
        check("", "");
        check("run_key: fixed", "fixed");
        check("run_key: 2024", "2024");
        check("run_key: '{{inputs.day}}'", "2024-05-01");
        check("run_key: '{{inputs.n}}'", "7");
        check("run_key: '{{inputs.b}}'", "true");
        check("run_key: '{{plan.name}}/{{inputs.n}}/{{env \"REGION\"}}/{{environment}}'", "test/7/emea/");
        check("run_key: '{{environment}}'", "");
        let long = "x".repeat(201);
        assert_eq!(codes(&format!("run_key: {long}\nsteps: {{ it: }}")), ["E0208"]);
        assert_eq!(codes(&format!("run_key: {}\nsteps: {{ it: }}", &long[1..])), [""; 0]);
        assert_eq!(codes("run_key: '{{default (env \"NONE\") null}}'\nsteps: { it: }"), ["E0409"]);
    }

    #[test]
    fn reads_every_form_of_an_edge() {
        let check = |depends_on: &str, want: EdgeRule| {
            let edges = step(&format!("depends_on: {depends_on}")).depends_on;
            assert_eq!(edges.len(), 1, "{depends_on}");
            assert_eq!((edges[0].upstream.0, &edges[0].rule), (0, &want), "{depends_on}");
        };
        check("up", EdgeRule::Bare);
        check("[up]", EdgeRule::Bare);
        check("[{ up: [failed] }]", EdgeRule::AnyOf(vec![Condition::Failed]));
        check("[{ up: failed }]", EdgeRule::AnyOf(vec![Condition::Failed]));
        check(
            "[{ up: [succeeded, failed, skipped, completed] }]",
            EdgeRule::AnyOf(vec![
                Condition::Succeeded,
                Condition::Failed,
                Condition::Skipped,
                Condition::Completed,
            ]),
        );
        assert!(step("depends_on: []").depends_on.is_empty());
    }

    #[test]
    fn parameters_keep_their_types() {
        let check = |value: &str, want: Value| {
            let parameters = step(&format!("depends_on: [up], parameters: {{ p: {value} }}")).parameters;
            let scope = Scope {
                plan_name: "test".to_owned(),
                flow: Some(("7f3a9c".to_owned(), "2024-05-02T10:00:00.000Z".to_owned())),
                env: BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]),
                steps: BTreeMap::from([(
                    StepId::new("up"),
                    StepFacts { outcome: "failed".to_owned(), ..StepFacts::default() },
                )]),
                ..Scope::default()
            };
            assert_eq!(parameters[0].1.render(&scope), Ok(want), "{value}");
        };
        check("9007199254740993", json!(9_007_199_254_740_993_i64));
        check("18446744073709551615", json!(u64::MAX));
        check("1.10", json!(1.1));
        check("no", json!("no"));
        check("[1, [true, null], { a: \"b\" }]", json!([1, [true, null], { "a": "b" }]));
        check("'{{plan.name}}/{{flow.id}}'", json!("test/7f3a9c"));
        check("'{{steps.up.outcome}}'", json!("failed"));
        check("'{{default steps.up.run_id null}}'", json!(null));
        check("'{{default steps.up.run_id 3}}'", json!(3));
        check("'{{json plan.name}}'", json!("\"test\""));
        check("'{{env \"REGION\"}}'", json!("emea"));
        check("'{{default (env \"NONE\") (env \"REGION\")}}'", json!("emea"));
        check("'in {{default (env \"NONE\") (env \"REGION\")}}'", json!("in emea"));
        check("'<{{plan.name}}> & {{{plan.name}}}'", json!("<test> & test"));
        check("'{{#if (env \"REGION\")}}yes{{else}}no{{/if}}'", json!("yes"));
        check("'\\{{plan.name}}'", json!("{{plan.name}}"));
        check("[{ deep: '{{plan.name}}' }, 1]", json!([{ "deep": "test" }, 1]));
    }

    #[test]
    fn a_lone_expression_keeps_its_type_and_a_text_does_not() {
        let plan = accepted(
            "inputs:\n  n: { type: int, default: 9007199254740993 }\n  l: { type: array, default: [a, 1] }\n\
             \x20 b: { type: bool, default: true }\n  o: { type: object, default: { k: [x, y] } }\n\
             steps:\n  it:\n    parameters:\n      a: '{{inputs.n}}'\n      b: '{{inputs.l}}'\n      c: '{{inputs.b}}'\n\
             \x20     d: 'n={{inputs.n}}'\n      e: 'l={{json inputs.l}}'\n      f: '{{inputs.o.k.[1]}}'\n\
             \x20     g: '{{#each inputs.l}}{{@index}}{{this}} {{/each}}'\n      h: '{{#each inputs.o.k as |x|}}{{x}}{{@root.inputs.n}}{{/each}}'\n",
        );
        let scope = Scope { inputs: plan.inputs.clone(), ..Scope::default() };
        let values: Vec<Value> = plan.steps[0]
            .parameters
            .iter()
            .map(|(_, value)| value.render(&scope).expect("it has a value"))
            .collect();
        let want = json!([
            9_007_199_254_740_993_i64,
            ["a", 1],
            true,
            "n=9007199254740993",
            "l=[\"a\",1]",
            "y",
            "0a 11 ",
            "x9007199254740993y9007199254740993",
        ]);
        assert_eq!(Value::Array(values), want);
    }

    #[test]
    fn a_template_knows_the_steps_it_reads() {
        let it = step(
            "depends_on: [up], parameters: { p: ['x', 'is {{#if (default steps.up.run_id \"\")}}y{{/if}}'] }",
        );
        let up = StepId::new("up");
        assert!(it.parameters[0].1.steps().contains(&up));
        assert_eq!(it.parameters[0].1.place_of(&up).line, 6);
        assert_eq!(it.parameters[0].1.place_of(&up).column, 69);
        assert!(step("parameters: { p: 'x' }").parameters[0].1.steps().is_empty());
    }

    #[test]
    fn a_missing_value_at_run_time_is_a_sentence() {
        let check = |value: &str, want: &str| {
            let parameters = step(&format!("depends_on: [up], parameters: {{ p: {value} }}")).parameters;
            let scope = Scope {
                steps: BTreeMap::from([(StepId::new("up"), StepFacts::default())]),
                ..Scope::default()
            };
            assert_eq!(parameters[0].1.render(&scope), Err(want.to_owned()), "{value}");
        };
        let want = "`steps.up.run_id` has no value; give one with `{{default steps.up.run_id ...}}`";
        check("'{{steps.up.run_id}}'", want);
        check("'run {{steps.up.run_id}}'", want);
        check("'{{json steps.up.run_id}}'", want);
        check("'run {{json steps.up.run_id}}'", want);
    }

    #[test]
    fn outputs_keep_their_types_and_say_why_they_are_absent() {
        let text = "steps:\n  up: { outputs: { n: '{{return_value.n}}', l: '{{return_value.l}}', gone: '{{return_value.g}}' } }\n";
        let check = |value: &str, want: Result<Value, &str>| {
            let plan =
                accepted(&format!("{text}  it: {{ depends_on: [up], parameters: {{ p: {value} }} }}\n"));
            let values = json!({ "n": 1200, "l": [{ "id": 7 }] });
            let outputs = Outputs {
                values: values.as_object().cloned().expect("an object"),
                absent: [("gone".to_owned(), "the run returned no `g`".to_owned())].into(),
            };
            let facts = StepFacts { outputs, ..StepFacts::default() };
            let scope = Scope { steps: BTreeMap::from([(StepId::new("up"), facts)]), ..Scope::default() };
            let got = plan.steps[1].parameters[0].1.render(&scope);
            assert_eq!(got, want.map_err(str::to_owned), "{value}");
        };
        check("'{{steps.up.outputs.n}}'", Ok(json!(1200)));
        check("'{{steps.up.outputs.l}}'", Ok(json!([{ "id": 7 }])));
        check("'{{steps.up.outputs.l.[0].id}}'", Ok(json!(7)));
        check("'{{steps.up.outputs.n}} rows'", Ok(json!("1200 rows")));
        check("'{{json steps.up.outputs.l}}'", Ok(json!("[{\"id\":7}]")));
        check("'{{default steps.up.outputs.gone 0}}'", Ok(json!(0)));
        check("'{{default steps.up.outputs.l.[9].id null}}'", Ok(json!(null)));
        check(
            "'{{#each steps.up.outputs.l}}{{this.id}}/{{@root.steps.up.outputs.n}}{{/each}}'",
            Ok(json!("7/1200")),
        );
        check("'{{#if (default steps.up.outputs.gone false)}}y{{else}}n{{/if}}'", Ok(json!("n")));
        check("'{{#if steps.up.outputs.n}}y{{else}}n{{/if}}'", Ok(json!("y")));
        let gone = "`steps.up.outputs.gone` has no value: the run returned no `g`; give one with `{{default steps.up.outputs.gone ...}}`";
        check("'{{steps.up.outputs.gone}}'", Err(gone));
        check("'n={{steps.up.outputs.gone}}'", Err(gone));
        check("'{{json steps.up.outputs.gone}}'", Err(gone));
        check("'{{#if steps.up.outputs.gone}}y{{else}}n{{/if}}'", Err(gone));
        check("'{{#each steps.up.outputs.gone}}y{{/each}}'", Err(gone));
        check(
            "'{{steps.up.outputs.l.[1].id}}'",
            Err(
                "`steps.up.outputs.l.1.id` has no value: the output `l` holds no `1.id`; give one with `{{default steps.up.outputs.l.1.id ...}}`",
            ),
        );
        check(
            "'n={{steps.up.outputs.l}}'",
            Err("`steps.up.outputs.l` is a list and cannot stand inside a longer text"),
        );
    }

    #[test]
    fn finds_what_is_wrong_in_templates() {
        let check = |value: &str, want: &[&str]| {
            let text = format!(
                "inputs: {{ l: {{ type: array, default: [] }} }}\nsteps:\n  up: {{ parameters: {{ p: {value} }} }}\n"
            );
            assert_eq!(codes(&text), want, "{value}");
        };
        check("'{{inputs.l}}'", &[]);
        check("'{{inputs}}'", &[]);
        check("'x{{inputs}}'", &["E0404"]);
        check("'{{#if inputs.m}}x{{/if}}'", &["E0402"]);
        check("'{{#each inputs.l}}{{inputs.l}}{{/each}}'", &["E0402"]);
        check("'{{#each inputs.l}}{{@root.inputs.m}}{{/each}}'", &["E0402"]);
        check("'{{#each inputs.l}}{{../inputs.m}}{{/each}}'", &["E0402"]);
        check("'{{../plan.name}}'", &[]);
        check("'{{this}}'", &["E0402"]);
        check("'{{@index}}'", &["E0402"]);
        check("'{{steps.up}}'", &["E0402"]);
        check("'{{flow}}'", &["E0402"]);
        check("'{{env REGION}}'", &["E0410"]);
        check("'{{env}}'", &["E0410"]);
        check("'{{env.REGION}}'", &["E0402"]);
        check("'{{env \"NONE\"}}'", &["E0405"]);
        check("'{{each.value}}'", &["E0406"]);
        check("'{{default inputs.l}}'", &["E0410"]);
        check("'{{default inputs.m 3}}'", &["E0402"]);
        check("'{{upper inputs.l}}'", &["E0410"]);
        check("'{{date_add \"2024-05-01\" \"1q\"}}'", &["E0410"]);
        check("'{{date_add \"2024-05-01\" -1d}}'", &["E0410"]);
        check("'{{date_add flow.started_at \"1q\"}}'", &["E0410"]);
        check("'{{date_add steps.up.outcome \"1d\"}}'", &["E0408"]);
        check("'{{format_date flow.started_at \"%Y\" \"Mars\"}}'", &["E0410"]);
        check("'{{format_date flow.started_at \"%F %R\" \"Europe/Berlin\"}}'", &[]);
        check("'in {{upper (concat \"a\" (json inputs.l))}}'", &[]);
        check("'{{#if (eq plan.name \"test\")}}x{{/if}}'", &[]);
        check("'{{#if (eq plan.name 3)}}x{{/if}}'", &["E0410"]);
        check("'{{up.outcome}}'", &["E0402"]);
        check("'{{uper inputs.l}}'", &["E0403"]);
        check("'{{lookup inputs \"l\"}}'", &["E0403"]);
        check("'{{log inputs}}'", &["E0403"]);
        check("'{{#with inputs}}{{l}}{{/with}}'", &["E0408"]);
        check("'@concat(1)'", &["N0101"]);
        check("['@concat(1)', '{{inputs.m}}']", &["N0101", "E0402"]);
    }

    #[test]
    fn has_limits() {
        let many: Vec<String> = (0..10_001).map(|n| format!("  s{n}: {{}}\n")).collect();
        let many = many.concat();
        assert_eq!(codes(&format!("steps:\n{many}")), ["E0213"]);
        let large = vec![b'#'; 10 * 1024 * 1024 + 1];
        let findings = load(&large, &given()).expect_err("this is too large");
        assert_eq!(findings[0].code.id(), "E0102");
    }

    #[test]
    fn says_each_thing_once() {
        let check = |text: &str, want: &[&str]| assert_eq!(codes(text), want, "{text}");
        check("steps: { a: { parameters: { p: {{x}} } } }", &["E0106"]);
        check("steps: [a]", &["E0205"]);
        check("steps: 3", &["E0205"]);
        check("steps:", &["E0212"]);
        check("steps: { a: { workspace: x } }", &["E0215"]);
        check("steps: { a: { retry: 3 } }", &["E0205"]);
        check("steps: { a: { timeout: 5 } }", &["E0209"]);
        check("inputs: 3\nsteps: { a: }", &["E0205"]);
        check(
            "inputs: { d: { type: dat } }\nsteps: { a: { parameters: { p: '{{inputs.d}}' } } }",
            &["E0211"],
        );
        check("defaults: 3\nsteps: { a: }", &["E0205"]);
    }
}
