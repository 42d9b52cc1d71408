//! The grammar, the types and the messages of conditions, and two properties: any text is answered, and a tree that is
//! written down and read again has the value of a direct evaluation.

use std::collections::BTreeMap;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, proptest};
use proptest::{prop_assert_eq, prop_oneof};
use serde_json::{Value, json};

use super::parse::parse;
use super::{When, unquoted};
use crate::plan::{Diagnostic, Given, Loaded, Plan, Scope, StepFacts, StepId, load};
use crate::time::Timestamp;

const INPUTS: &str = "inputs:
  yes: { type: bool, default: true }
  no_: { type: bool, default: false }
  n: { type: int, default: 9007199254740993 }
  f: { type: float, default: 1.5 }
  t: { type: string, default: emea }
  day: { type: date, default: 2024-05-01 }
  list: { type: array, default: [emea, apac] }
  o: { type: object, default: { a-b: { c: [1, 2] }, empty: null } }
";

/// Returns the line of the step with this condition.
fn line(when: &str) -> String {
    // In single quotes every character stands for itself, so that places can be looked at.
    let value = if when.contains(['\'', '\n']) { json!(when).to_string() } else { format!("'{when}'") };
    format!("  it: {{ depends_on: [up, load-sales], when: {value} }}\n")
}

fn loaded(when: &str, required: bool) -> Result<Loaded, Vec<Diagnostic>> {
    let line = line(when);
    let text = format!(
        "version: 1\nname: test\nworkspace: w\n{INPUTS}  open: {{ type: int }}\nsteps:\n  up:\n  load-sales:\n{line}"
    );
    let given = Given {
        env: BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]),
        inputs: if required { vec![("open".to_owned(), "3".to_owned())] } else { Vec::new() },
        now: Timestamp::from_epoch_ms(1_714_644_000_000),
        inputs_required: required,
        ..Given::default()
    };
    load(text.as_bytes(), &given)
}

/// Returns the plan with this condition.
fn plan(when: &str) -> Plan {
    match loaded(when, true) {
        Ok(Loaded { plan, .. }) => plan,
        Err(findings) => panic!("{when}: {findings:?}"),
    }
}

fn condition(plan: &mut Plan) -> When {
    plan.steps.pop().and_then(|step| step.when).expect("the step has a condition")
}

fn scope(plan: &Plan) -> Scope {
    let facts = |outcome: &str, run: Option<&str>| StepFacts {
        outcome: outcome.to_owned(),
        run_id: run.map(str::to_owned),
        ..StepFacts::default()
    };
    Scope {
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        plan_name: plan.name.clone(),
        flow: Some(("7f3a9c".to_owned(), "2024-05-02T10:00:00.000Z".to_owned())),
        steps: BTreeMap::from([
            (StepId::new("up"), facts("failed", Some("4f1f"))),
            (StepId::new("load-sales"), facts("skipped", None)),
        ]),
        ..Scope::default()
    }
}

fn truth(when: &str) -> Result<bool, String> {
    let mut plan = plan(when);
    let scope = scope(&plan);
    condition(&mut plan).evaluate(&scope)
}

/// Returns the first finding's code, the text below its caret, and its words.
fn first(when: &str) -> (String, String, Vec<String>) {
    let findings = match loaded(when, false) {
        Ok(Loaded { notes, .. }) => notes,
        Err(findings) => findings,
    };
    let finding = findings
        .into_iter()
        .find(|finding| finding.code.id() != "N0501")
        .unwrap_or_else(|| panic!("{when} is accepted"));
    let mut words = vec![finding.message.clone(), finding.label.clone()];
    words.extend(finding.help.clone());
    let span = finding.span.expect("it has a place");
    let piece = line(when).chars().skip(span.place.column - 1).take(span.chars).collect();
    (finding.code.id().to_owned(), piece, words)
}

#[test]
fn is_true_or_false() {
    let check = |when: &str, want: bool| assert_eq!(truth(when), Ok(want), "{when}");
    check("inputs.yes", true);
    check("not inputs.yes", false);
    check("not not inputs.yes", true);
    check("inputs.yes and inputs.no_ or inputs.yes", true);
    check("inputs.yes or inputs.no_ and inputs.no_", true);
    check("(inputs.yes or inputs.no_) and inputs.no_", false);
    check("not inputs.no_ and inputs.yes", true);
    check("not (inputs.yes and inputs.no_)", true);
    check("not inputs.t == \"x\"", true);
    check("inputs.n == 9007199254740993", true);
    check("inputs.n == 9007199254740992.0", false);
    check("inputs.n > 9007199254740992.0", true);
    check("inputs.f >= 1.5 and inputs.f < 2", true);
    check("-1 < inputs.f", true);
    check("inputs.f == 15e-1", true);
    check("inputs.t == 'emea'", true);
    check("inputs.t != \"emea\"", false);
    check("inputs.t in [\"emea\", \"amer\"]", true);
    check("inputs.t not in [\"emea\", \"amer\"]", false);
    check("not inputs.t in [\"amer\"]", true);
    check("\"apac\" in inputs.list", true);
    check("inputs.list == [\"emea\", \"apac\"]", true);
    check("inputs.list[1] == \"apac\"", true);
    check("inputs.o[\"a-b\"].c[0] == 1", true);
    check("inputs.o.empty == null", true);
    check("inputs.o.empty != null", false);
    check("default(inputs.o.missing, null) == null", true);
    check("default(inputs.o.missing, 3) > 2", true);
    check("inputs.day > \"2024-04-30\"", true);
    check("date_add(inputs.day, \"-1d\") == \"2024-04-30\"", true);
    check("day_of_week(inputs.day) in [\"saturday\", \"sunday\"]", false);
    check("month_end(inputs.day) == inputs.day", false);
    check("format_date(flow.started_at, \"%H\", \"Europe/Berlin\") == \"12\"", true);
    check("format_date(inputs.day, \"%d\") == \"01\"", true);
    check("flow.started_at > \"2024-05-02T11:30:00+02:00\"", true);
    check("steps.up.outcome == \"failed\"", true);
    check("steps[\"load-sales\"].outcome in [\"succeeded\", \"warned\"]", false);
    check("steps['load-sales'].outcome == \"skipped\"", true);
    check("default(steps[\"load-sales\"].run_id, null) == null", true);
    check("env(\"REGION\") == inputs.t", true);
    check("default(env(\"NONE\"), \"x\") == \"x\"", true);
    check("lower(upper(concat(inputs.t, \"-\", 1))) == \"emea-1\"", true);
    check("eq(inputs.t, \"emea\") and plan.name == \"test\" and environment == \"\"", true);
    check("inputs.t == \"it's \\\"x\\\" \\u00e9\\\\\"", false);
    check("\n  inputs.yes\n  and inputs.yes\n", true);
    // What is settled is not looked at further.
    check("inputs.no_ and steps[\"load-sales\"].run_id == \"x\"", false);
    check("inputs.yes or steps[\"load-sales\"].run_id == \"x\"", true);
}

#[test]
fn what_has_no_truth_is_a_sentence() {
    let check = |when: &str, want: &str| assert_eq!(truth(when), Err(want.to_owned()), "{when}");
    check(
        "steps[\"load-sales\"].run_id == \"x\"",
        "`steps[\"load-sales\"].run_id` has no value; give one with `default(steps[\"load-sales\"].run_id, ...)`",
    );
    check(
        "inputs.no_ or lower(steps[\"load-sales\"].run_id) == \"x\"",
        "`steps[\"load-sales\"].run_id` has no value; give one with `default(steps[\"load-sales\"].run_id, ...)`",
    );
    check(
        "flow.started_at < \"2024-05-03\"",
        "`flow.started_at` is a time and `\"2024-05-03\"` is a date: they cannot be compared",
    );
    check(
        "steps.up.run_id < inputs.day",
        "`steps.up.run_id` is a text that is no date and `inputs.day` is a date: they cannot be compared",
    );
    check("date_add(steps.up.run_id, \"1d\") == inputs.day", "`date_add`: `4f1f` is no date");
    check(
        "default(steps.up.run_id, 3) > 2",
        "`default(steps.up.run_id, 3)` is a text (\"4f1f\") and `2` is a number: only values of one type can be compared",
    );
    check(
        "default(steps.up.run_id, true)",
        "`default(steps.up.run_id, true)` is a text (\"4f1f\"), and a condition must be true or false",
    );
    check(
        "\"x\" in default(steps.up.run_id, [])",
        "`default(steps.up.run_id, [])` is a text (\"4f1f\"), and `in` looks into a list",
    );
}

#[test]
fn types_are_checked_where_they_are_known() {
    let check = |when: &str, code: &str, piece: &str| {
        let (found, marked, words) = first(when);
        assert_eq!((found.as_str(), marked.as_str()), (code, piece), "{when}: {words:?}");
    };
    check("inputs.n == \"3\"", "E0414", "inputs.n == \"3\"");
    check("inputs.open == \"3\"", "E0414", "inputs.open == \"3\"");
    check("inputs.open", "E0415", "inputs.open");
    check("inputs.yes == \"true\"", "E0414", "inputs.yes == \"true\"");
    check("inputs.yes > inputs.no_", "E0414", "inputs.yes > inputs.no_");
    check("inputs.list < [1]", "E0414", "inputs.list < [1]");
    check("inputs.list", "E0415", "inputs.list");
    check("inputs.yes and inputs.t", "E0415", "inputs.t");
    check("not inputs.n", "E0415", "inputs.n");
    check("inputs.t == \"a\" or \"b\"", "E0415", "\"b\"");
    check("inputs.day == \"yesterday\"", "E0414", "inputs.day == \"yesterday\"");
    check("inputs.day < \"soon\"", "E0414", "inputs.day < \"soon\"");
    check("\"e\" in inputs.t", "E0414", "\"e\" in inputs.t");
    check("3 in inputs.list", "E0414", "3 in inputs.list");
    check("inputs.t in [\"a\", 3]", "E0414", "3");
    check("steps.up.outcome == \"success\"", "E0418", "\"success\"");
    check("steps.up.outcome in [\"succeeded\", \"done\"]", "E0418", "\"done\"");
    check("day_of_week(inputs.day) == \"Sunday\"", "E0418", "\"Sunday\"");
    check("date_add(inputs.n, \"1d\") == inputs.day", "E0410", "inputs.n");
    check("date_add(inputs.open, \"1d\") == inputs.day", "E0410", "inputs.open");
    check("date_add(inputs.day, \"1h\") == inputs.day", "E0410", "\"1h\"");
    check("date_add(inputs.day) == inputs.day", "E0410", "date_add(inputs.day)");
    check("inputs.m", "E0402", "inputs.m");
    check("inputs.o.missing == 1", "E0402", "inputs.o.missing");
    check("steps.laod.outcome == \"failed\"", "E0407", "steps.laod.outcome");
    check("up.outcome == \"failed\"", "E0402", "up.outcome");
    check("inputs.t == emea", "E0402", "emea");
    check("lower == \"x\"", "E0410", "lower");
    check("env(\"NONE\") == \"x\"", "N0502", "env(\"NONE\")");
    check("secret(\"env:X\") == \"x\"", "E0426", "secret");
    check("secret.X == \"x\"", "E0426", "secret.X");
    check("true", "W0410", "'true'");
    check("not (1 < 2)", "W0410", "'not (1 < 2)'");
    check("inputs.yes or true", "W0410", "'inputs.yes or true'");
    check("inputs.t in []", "W0410", "'inputs.t in []'");
}

#[test]
fn an_input_makes_no_condition_constant() {
    for when in ["inputs.yes", "inputs.n > 3", "inputs.open > 3", "inputs.t == \"emea\" or inputs.yes"] {
        let notes = loaded(when, false).expect("this is a condition").notes;
        assert_eq!(notes.len(), 1, "{when}: {notes:?}");
    }
}

#[test]
fn other_languages_are_understood_and_corrected() {
    let check = |when: &str, code: &str, want: &str| {
        let (found, _, words) = first(when);
        assert_eq!(found, code, "{when}: {words:?}");
        assert!(words.iter().any(|words| words.contains(want)), "{when}: {words:?}");
    };
    check("{{inputs.yes}}", "E0413", "write `when: inputs.yes`");
    check("{{inputs.n}} > 0", "E0413", "write `when: inputs.n > 0`");
    check("\"{{inputs.t}}\" == \"emea\"", "E0413", "write `when: inputs.t == \"emea\"`");
    check(
        "inputs.yes && !inputs.no_ || (inputs.n=3)",
        "E0412",
        "write `inputs.yes and not inputs.no_ or (inputs.n==3)`",
    );
    check("!inputs.yes", "E0412", "write `not inputs.yes`");
    check("inputs.yes&&inputs.no_", "E0412", "write `inputs.yes and inputs.no_`");
    check("inputs.n = 3", "E0412", "write `inputs.n == 3`");
    check("inputs.n === 3", "E0412", "write `inputs.n == 3`");
    check("inputs.n !== 3", "E0412", "write `inputs.n != 3`");
    check("inputs.n <> 3", "E0412", "write `inputs.n != 3`");
    check("inputs.n => 3", "E0412", "write `inputs.n >= 3`");
    check("inputs.n =< 3", "E0412", "write `inputs.n <= 3`");
    check("inputs.n -gt 3 -and inputs.yes", "E0412", "write `inputs.n > 3 and inputs.yes`");
    check("inputs.yes AND NOT inputs.no_", "E0412", "write `inputs.yes and not inputs.no_`");
    check("inputs.t NOT IN ('a', 'b')", "E0412", "write `inputs.t not in ['a', 'b']`");
    check("inputs.t in ('a', 'b')", "E0412", "write `inputs.t in ['a', 'b']`");
    check("inputs.yes == True", "E0412", "write `inputs.yes == true`");
    check("inputs.o.empty is None", "E0412", "write `inputs.o.empty == null`");
    check("inputs.o.empty is not null", "E0412", "write `inputs.o.empty != null`");
    check("inputs.n gt 3", "E0412", "write `inputs.n > 3`");
    check("inputs.t eq 'a'", "E0412", "write `inputs.t == 'a'`");
    check("inputs.t is defined", "E0412", "write `default(inputs.t, null) != null`");
    check("inputs.t is not defined", "E0412", "write `default(inputs.t, null) == null`");
    check("inputs.yes and inputs.list contains \"a\"", "E0412", "write `\"a\" in inputs.list`");
    check("inputs.t startswith \"a\"", "E0412", "conditions know no patterns");
    check("inputs.n between 1 and 3", "E0412", "write `inputs.n >= ... and inputs.n <= ...`");
    check("@equals(inputs.t, 'a')", "E0412", "write `inputs.t == 'a'`");
    check(
        "@and(equals(inputs.t, 'a'), greater(inputs.n, 3))",
        "E0412",
        "write `inputs.t == 'a' and inputs.n > 3`",
    );
    check("@inputs.yes", "E0412", "write `inputs.yes`");
    check("@pipeline().parameters.x", "E0412", "write names and comparisons");
    check(
        "and(or(inputs.yes, inputs.no_), not(inputs.no_))",
        "E0412",
        "write `(inputs.yes or inputs.no_) and not(inputs.no_)`",
    );
    check("failed('load-sales')", "E0412", "write `steps[\"load-sales\"].outcome == \"failed\"`");
    check("coalesce(inputs.o.x, 1) > 0", "E0412", "write `default(inputs.o.x, 1) > 0`");
    check("inputs.t.lower() == 'a'", "E0412", "write `lower(inputs.t)`");
    check("inputs.list.contains('a')", "E0412", "write `'a' in inputs.list`");
    check("date_add inputs.day \"-1d\" == \"2024-05-01\"", "E0412", "write `date_add(inputs.day, \"-1M\")`");
    check("eq inputs.t \"a\"", "E0412", "write `eq(inputs.region, \"emea\")`");
    check("inputs.t ? true : false", "E0411", "conditions have no choice between values");
    check("inputs.t ?? \"a\"", "E0411", "write `default(a, b)`");
    check("inputs.t | lower", "E0411", "conditions have no filters");
    check("inputs.n + 1 > 3", "E0411", "conditions compare, they do not compute");
    check("inputs.n - 1 > 3", "E0411", "conditions compare, they do not compute");
    check("inputs.n * 2 > 3", "E0411", "conditions compare, they do not compute");
    check("steps.load-sales.outcome == \"failed\"", "E0416", "write `steps[\"load-sales\"].outcome`");
    check("steps.2024_load.outcome == \"failed\"", "E0416", "write `steps[\"2024_load\"].outcome`");
    check("steps[load-sales].outcome == \"failed\"", "E0416", "write `steps[\"load-sales\"].outcome`");
    check(
        "steps.load-sales[emea].outcome == \"failed\"",
        "E0416",
        "write `steps[\"load-sales[emea]\"].outcome`",
    );
    check("steps[up].outcome == \"failed\"", "E0416", "write `steps.up.outcome`");
    check("steps.ingest[emea].outcome == \"failed\"", "E0416", "write `steps[\"ingest[emea]\"].outcome`");
    check("inputs.list.0 == \"a\"", "E0416", "write `inputs.list[0]`");
    check("inputs.t == us-west", "E0416", "`\"us-west\"`");
    check("1 < inputs.n < 3", "E0411", "write `1 < inputs.n and inputs.n < ...`");
    check("inputs.t == \u{201c}a\u{201d}", "E0411", "straight quotes");
    check("inputs.t == \"a", "E0411", "close the text with \"");
    check("inputs.n > 007", "E0411", "write `7`");
    check("inputs.n > 1_000", "E0411", "write `1000`");
    check("inputs.n > 99999999999999999999", "E0411", "64 bits");
    check("inputs.yes and", "E0411", "ends where a value is needed");
    check("inputs.yes inputs.no_", "E0411", "cannot stand here");
    check("(inputs.yes", "E0411", "`(` is never closed");
    check("inputs.yes)", "E0411", "`)` closes nothing");
    check("== 3", "E0411", "needs a value on its left side");
    check("inputs.yes == not inputs.no_", "E0411", "parentheses");
    check("uper(inputs.t) == \"A\"", "E0403", "did you mean `upper`?");
    check("inputs.t == $x", "E0411", "names have no `$`");
    check("inputs. == 3", "E0411", "a name is missing behind the dot");
    check("inputs.t == \"a\\d\"", "E0411", "no escape `\\d`");
}

#[test]
fn conditions_that_need_quotes_in_yaml_are_shown_with_them() {
    let check = |line: &str, want: Option<&str>| {
        let found = unquoted(line, 1);
        let help = found.as_ref().and_then(|found| found.help.first()).map(String::as_str);
        assert_eq!(help, want, "{line}");
    };
    check("    when: \"a\" in inputs.list", Some("write `when: '\"a\" in inputs.list'`"));
    check("    when: 'a' == inputs.t # why", Some("write `when: \"'a' == inputs.t\"`"));
    check("    when: !inputs.yes", Some("write `when: not inputs.yes`"));
    check("    when: @equals(inputs.t, 'a')", Some("write `when: inputs.t == 'a'`"));
    check("    when: {{inputs.yes}}", Some("write `when: inputs.yes`"));
    check("  it: { when: {{inputs.yes}}, tags: [a] }", Some("write `when: inputs.yes`"));
    check(
        "  it: { when: steps[\"a-b\"].outcome == \"failed\", tags: [a] }",
        Some("write `when: 'steps[\"a-b\"].outcome == \"failed\"'`"),
    );
    check("  it: { when: inputs.yes, tags: [a] }", None);
    check("    when: \"inputs.yes\"", None);
    check("    when: inputs.yes", None);
    check("    tags: [when]", None);
    check("    description: \"when: {{x}}\"", None);
}

#[test]
fn has_limits() {
    let code = |text: &str| parse(text).map(|_| ()).map_err(|problem| problem.refusal.code.id());
    assert_eq!(code(&"(".repeat(100_000)), Err("E0417"));
    assert_eq!(code(&"(".repeat(10_000)), Err("E0417"));
    assert_eq!(code(&"not ".repeat(4_000)), Err("E0417"));
    assert_eq!(code(&"[".repeat(10_000)), Err("E0417"));
    assert_eq!(code(&"lower(".repeat(2_000)), Err("E0417"));
    assert_eq!(code(&format!("{}true{}", "(".repeat(31), ")".repeat(31))), Ok(()));
    let long = vec!["inputs.a"; 1_200].join(" and ");
    assert_eq!(code(&long), Ok(()), "a long chain is no deep tree");
    assert_eq!(code(&vec!["a"; 8_000].join(".")), Ok(()));
}

#[test]
fn knows_the_steps_it_reads() {
    let mut plan = plan("inputs.yes and steps[\"load-sales\"].outcome == \"failed\"");
    let when = condition(&mut plan);
    let id = StepId::new("load-sales");
    assert_eq!(when.steps().iter().collect::<Vec<_>>(), [&id]);
    assert!(when.place_of(&id).column > when.place().column);
    assert_eq!(when.place_of(&StepId::new("up")), when.place());
    let scope = scope(&plan);
    assert_eq!(when.values(&scope), ["inputs.yes is true", "steps[\"load-sales\"].outcome is \"skipped\""]);
}

// Properties.

/// A truth, in a form that is written down and evaluated without any of the code under test.
#[derive(Clone, Debug)]
enum Truth {
    Known(bool),
    Input(bool),
    Not(Box<Truth>),
    All(Vec<Truth>),
    Any(Vec<Truth>),
    Numbers(&'static str, i64, i64),
    Texts(&'static str, Word, Word),
    Among(bool, i64, Vec<i64>),
    /// In parentheses that are not needed.
    Wrapped(Box<Truth>),
}

#[derive(Clone, Debug)]
enum Word {
    Known(String),
    Input,
    Upper(Box<Word>),
    Joined(Box<Word>, Box<Word>),
}

impl Word {
    fn value(&self) -> String {
        match self {
            Self::Known(text) => text.clone(),
            Self::Input => "emea".to_owned(),
            Self::Upper(word) => word.value().to_uppercase(),
            Self::Joined(one, two) => one.value() + &two.value(),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Known(text) if text.contains('"') && !text.contains(['\'', '\\']) => format!("'{text}'"),
            Self::Known(text) => json!(text).to_string(),
            Self::Input => "inputs.t".to_owned(),
            Self::Upper(word) => format!("upper({})", word.written()),
            Self::Joined(one, two) => format!("concat( {},{})", one.written(), two.written()),
        }
    }
}

/// Halves of a number, so that whole ones and fractions are compared with each other.
fn halves(number: i64) -> String {
    if number % 2 == 0 { (number / 2).to_string() } else { format!("{:?}", number as f64 / 2.0) }
}

fn by<T: PartialOrd>(sign: &str, one: &T, two: &T) -> bool {
    match sign {
        "==" => one == two,
        "!=" => one != two,
        "<" => one < two,
        "<=" => one <= two,
        ">" => one > two,
        _ => one >= two,
    }
}

impl Truth {
    fn value(&self) -> bool {
        match self {
            Self::Known(truth) | Self::Input(truth) => *truth,
            Self::Not(inner) => !inner.value(),
            Self::All(sides) => sides.iter().all(Self::value),
            Self::Any(sides) => sides.iter().any(Self::value),
            Self::Numbers(sign, one, two) => by(sign, one, two),
            Self::Texts(sign, one, two) => by(sign, &one.value(), &two.value()),
            Self::Among(wanted, item, items) => items.contains(item) == *wanted,
            Self::Wrapped(inner) => inner.value(),
        }
    }

    /// Returns how strongly the outermost operator binds.
    fn strength(&self) -> u8 {
        match self {
            Self::Any(_) => 1,
            Self::All(_) => 2,
            Self::Not(_) => 3,
            Self::Numbers(..) | Self::Texts(..) | Self::Among(..) => 4,
            Self::Known(_) | Self::Input(_) | Self::Wrapped(_) => 5,
        }
    }

    /// Writes it with only the parentheses that it needs where something binds this strongly.
    fn within(&self, least: u8) -> String {
        if self.strength() < least { format!("({})", self.written()) } else { self.written() }
    }

    fn written(&self) -> String {
        let sides = |sides: &[Self], word: &str, least: u8| {
            sides.iter().map(|side| side.within(least)).collect::<Vec<_>>().join(word)
        };
        match self {
            Self::Known(truth) => truth.to_string(),
            Self::Input(true) => "inputs.yes".to_owned(),
            Self::Input(false) => "inputs[\"no_\"]".to_owned(),
            Self::Not(inner) => format!("not {}", inner.within(3)),
            Self::All(all) => sides(all, " and ", 3),
            Self::Any(any) => sides(any, "\n or ", 2),
            Self::Numbers(sign, one, two) => format!("{}{sign}{}", halves(*one), halves(*two)),
            Self::Texts(sign, one, two) => format!("{} {sign} {}", one.written(), two.written()),
            Self::Among(wanted, item, items) => {
                let items: Vec<String> = items.iter().copied().map(halves).collect();
                let word = if *wanted { "in" } else { "not  in" };
                format!("{} {word} [{}]", halves(*item), items.join(" ,"))
            }
            Self::Wrapped(inner) => format!("( {})", inner.written()),
        }
    }
}

fn word() -> impl Strategy<Value = Word> {
    let leaf = prop_oneof!["[ a-cé\"'\\\\\n{}#]{0,4}".prop_map(Word::Known), Just(Word::Input)];
    leaf.prop_recursive(3, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|word| Word::Upper(word.into())),
            (inner.clone(), inner).prop_map(|(one, two)| Word::Joined(one.into(), two.into())),
        ]
    })
    // Two braces in a row are an error of their own.
    .prop_filter("no template", |word| !word.written().contains("{{"))
}

fn a_truth() -> impl Strategy<Value = Truth> {
    let sign = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let number = || -6..6_i64;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Truth::Known),
        any::<bool>().prop_map(Truth::Input),
        (sign(), number(), number()).prop_map(|(sign, one, two)| Truth::Numbers(sign, one, two)),
        (sign(), word(), word()).prop_map(|(sign, one, two)| Truth::Texts(sign, one, two)),
        (any::<bool>(), number(), prop::collection::vec(number(), 0..4))
            .prop_map(|(wanted, item, items)| Truth::Among(wanted, item, items)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Truth::Not(inner.into())),
            inner.clone().prop_map(|inner| Truth::Wrapped(inner.into())),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Truth::All),
            prop::collection::vec(inner, 2..4).prop_map(Truth::Any),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_down_is_read_back(truth in a_truth()) {
        let text = truth.written();
        let tree = parse(&text).map_err(|problem| proptest::test_runner::TestCaseError::fail(format!("{text}: {problem:?}")))?;
        let inputs = [("yes", json!(true)), ("no_", json!(false)), ("t", json!("emea"))];
        let inputs = inputs.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect();
        let scope = Scope { inputs, ..Scope::default() };
        prop_assert_eq!(super::evaluate::truth(&tree, &text, &scope), Ok(truth.value()), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[-a-c0-9.\"'\\\\()\\[\\]{},=<>!&|@?:%+*~$#_ \né“]{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_words_are_parsed_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "and", "or", "not", "in", "is", "defined", "true", "None", "inputs.a", "steps[\"b\"]", "lower", "(", ")", "[", "]", ",", ".",
        "==", "=", "!", "-", "-gt", "3", "-3", "1e3", "\"x\"", "'y'", "contains", "equals(", "and(", "env(", "AND", "{{", "}}", "é",
    ]), 0..24), glue in "[ ]?") {
        let text = words.join(&glue);
        let _ = parse(&text);
        unquoted(&format!("  when: {text}"), 3);
        unquoted(&format!("  a: {{ when: {text} }}"), 3);
    }
}
