//! `tests`: what a plan says of itself. Each test assumes something and expects what follows; `synflow test` rehearses it.
//!
//! Here only its form is checked: names, words and values. What follows from an assumption the scheduler decides.

use serde_json::{Map, Value};

use super::assumption::{self, BadAssumption, Target};
use super::code::Code;
use super::diagnostic::{self, Diagnostic};
use super::keys::{FLOW_OUTCOMES, OUTCOMES, TEST, TESTS_FILE};
use super::outputs::Declared;
use super::reader::Reader;
use super::source::{self, Entry, Node, Yaml};
use super::{Place, Plan, StepId, duration, words};
use crate::time::{Delay, Timestamp};

/// The longest name of a test, in characters.
const NAME_CHARS_MAX: usize = 200;

/// How a makespan is bounded, for a help line.
const BOUNDS: &str = "write it like `\"< 2h\"`, `\"<= 90m\"` or `\"> 10m\"`";

/// What stands for the flow among the steps that a test expects something of.
const FLOW: &str = "flow";

/// A test of a plan: what is assumed, and what must follow.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Its name, a sentence.
    pub name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// What is taken for given: a step or an output, and words or a value.
    pub assume: Vec<(String, Value)>,
    /// The values of inputs.
    pub inputs: Map<String, Value>,
    /// The environment, if it names one.
    pub environment: Option<String>,
    /// When the flow begins, if it says.
    pub at: Option<Timestamp>,
    /// How steps must end, by name: in one of these ways.
    pub expect: Vec<(String, Vec<&'static str>)>,
    /// How the flow must end: in one of these ways; empty if that does not matter.
    pub flow: Vec<&'static str>,
    /// The steps that must start in this order.
    pub order: Vec<String>,
    /// How long the flow may take.
    pub makespan: Option<Makespan>,
}

/// A bound of the length of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makespan {
    /// `<`, `<=`, `>` or `>=`.
    pub relation: &'static str,
    /// What the flow is compared with.
    pub length: Delay,
    /// The bound as it is written.
    pub text: String,
}

impl Makespan {
    /// Says whether a flow of this length keeps the bound.
    pub fn allows(&self, length: Delay) -> bool {
        match self.relation {
            "<" => length < self.length,
            "<=" => length <= self.length,
            ">" => length > self.length,
            _ => length >= self.length,
        }
    }

    /// Reads `< 2h`.
    fn read(text: &str) -> Result<Self, String> {
        // The longer ones first.
        let relation = ["<=", ">=", "<", ">"].into_iter().find(|relation| text.trim().starts_with(relation));
        let relation = relation.ok_or("it does not begin with `<`, `<=`, `>` or `>=`")?;
        let length = duration::read(text.trim()[relation.len()..].trim())?;
        Ok(Self { relation, length, text: text.trim().to_owned() })
    }
}

/// The names that tests may use.
pub(super) struct Names {
    /// The steps, without the keys of iterations.
    pub(super) steps: Vec<String>,
    /// The outputs that they declare.
    pub(super) outputs: Declared,
    /// The plan's inputs.
    pub(super) inputs: Vec<String>,
    /// Its environments; nothing where they are not known.
    pub(super) environments: Option<Vec<String>>,
}

/// Reads the tests of a plan.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, names: &Names) -> Vec<TestCase> {
    if let Yaml::List(_) = &entry.value.value {
        let help = "give each test a name in place of its dash: `a failed curate runs the quarantine:`";
        return reader.wrong_type(&entry.value, "`tests`", "a map", help).unwrap_or_default();
    }
    let Some(entries) = reader.map(&entry.value, "`tests`") else { return Vec::new() };
    if entries.is_empty() {
        reader.report(
            Diagnostic::at(Code::EmptyCollection, entry.key.span(), "`tests` is empty")
                .help("add a test with its name, or leave the key out"),
        );
    }
    entries.iter().filter_map(|entry| one(reader, entry, names)).collect()
}

/// Reads a file that holds tests of a plan below its only key, `tests`.
///
/// Gives every problem found, in the order of the text, if there is at least one error.
pub fn load_tests(text: &[u8], plan: &Plan) -> Result<Vec<TestCase>, Vec<Diagnostic>> {
    let source::Source { text, root, findings } = source::read(text)?;
    let mut steps: Vec<String> = assumption::names_in(plan).map(|id| own_id(id).to_owned()).collect();
    steps.dedup();
    let outputs = plan.runs().map(|(_, step)| {
        let declared = step.outputs.iter().map(|output| output.name.clone()).collect();
        (StepId::new(own_id(step.id.as_str())), Some(declared))
    });
    let names = Names {
        steps,
        outputs: outputs.collect(),
        inputs: plan.inputs.keys().cloned().collect(),
        environments: None,
    };
    let mut reader = Reader::new(text, findings);
    let tests = reader
        .fields(&root, "the file of tests", &TESTS_FILE, root.span())
        .and_then(|top| top.entry("tests"))
        .map(|entry| read(&mut reader, entry, &names));
    let mut findings = reader.finish();
    diagnostic::sort(&mut findings);
    if findings.iter().any(Diagnostic::is_error) { Err(findings) } else { Ok(tests.unwrap_or_default()) }
}

fn one(reader: &mut Reader<'_>, Entry { key, value }: &Entry, names: &Names) -> Option<TestCase> {
    let name = key.key_text(reader.text).unwrap_or_default().to_owned();
    let is_wrong = name.trim().is_empty() || name.chars().any(char::is_control);
    if is_wrong || name.chars().count() > NAME_CHARS_MAX {
        reader.report(
            Diagnostic::at(Code::BadName, key.span(), "the text cannot be a test's name")
                .help("write a short sentence: `a failed curate runs the quarantine`"),
        );
    }
    let fields = reader.fields(value, &format!("the test `{name}`"), &TEST, key.span())?;
    if ["expect", "order", "makespan"].into_iter().all(|key| fields.lacks(key)) {
        reader.report(
            Diagnostic::at(Code::TestEmpty, key.span(), format!("the test `{name}` expects nothing"))
                .help("add `expect: { flow: succeeded }`, or the outcome of a step"),
        );
    }
    let mut test = TestCase {
        name,
        place: key.span().place,
        assume: fields.get("assume").map(|node| assumed(reader, node, names)).unwrap_or_default(),
        inputs: fields.get("inputs").map(|node| inputs(reader, node, names)).unwrap_or_default(),
        environment: fields.get("env").and_then(|node| environment(reader, node, names)),
        at: fields.get("at").and_then(|node| begins_at(reader, node)),
        expect: Vec::new(),
        flow: Vec::new(),
        order: fields.get("order").map(|node| order(reader, node, names)).unwrap_or_default(),
        makespan: fields.get("makespan").and_then(|node| makespan(reader, node)),
    };
    if let Some(node) = fields.get("expect") {
        expected(reader, node, names, &mut test);
    }
    Some(test)
}

fn assumed(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Vec<(String, Value)> {
    let mut assumed = Vec::new();
    for Entry { key, value: word } in reader.map(node, "`assume`").unwrap_or_default() {
        let text = key.key_text(reader.text).unwrap_or_default().to_owned();
        let Target { step, output } = Target::read(&text);
        let is_known = is_step(reader, key, step, names);
        if let (true, Some(output)) = (is_known, output) {
            let declared = names.outputs.get(&StepId::new(own_id(step))).cloned().flatten();
            if let Some(declared) = declared.filter(|declared| !declared.iter().any(|name| name == output)) {
                let bad = assumption::no_output(step, output, declared.iter().map(String::as_str));
                report(reader, key, bad);
            }
        }
        let Some(value) = json(reader, word) else { continue };
        if output.is_none()
            && let Err(bad) = assumption::words_of(&value)
        {
            report(reader, word, bad);
        }
        assumed.push((text, value));
    }
    assumed
}

fn report(reader: &mut Reader<'_>, at: &Node, bad: BadAssumption) {
    let code = if bad.is_stranger { Code::TestStranger } else { Code::TestAssumption };
    reader.report(Diagnostic::at(code, at.span(), bad.message).help(bad.help));
}

/// Returns a value as JSON.
fn json(reader: &mut Reader<'_>, node: &Node) -> Option<Value> {
    match node.to_json(reader.text) {
        Ok(value) => Some(value),
        Err(why) => {
            reader.report(Diagnostic::at(Code::NoJson, node.span(), why).help("write a value that JSON has"));
            None
        }
    }
}

fn inputs(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Map<String, Value> {
    let mut inputs = Map::new();
    for Entry { key, value } in reader.map(node, "`inputs`").unwrap_or_default() {
        let name = key.key_text(reader.text).unwrap_or_default().to_owned();
        if !names.inputs.contains(&name) {
            let finding =
                Diagnostic::at(Code::InputUnknown, key.span(), format!("the plan has no input `{name}`"));
            reader.report(match words::nearest(&name, names.inputs.iter().map(String::as_str)) {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None if names.inputs.is_empty() => {
                    finding.help("the plan declares no inputs: leave `inputs` out")
                }
                None => finding.help(format!(
                    "its inputs are {}",
                    words::list(names.inputs.iter().map(String::as_str), "and")
                )),
            });
        }
        if let Some(value) = json(reader, value) {
            inputs.insert(name, value);
        }
    }
    inputs
}

fn environment(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<String> {
    let name = reader.words(node, "`env`", "write the name of an environment of the plan")?.to_owned();
    if let Some(declared) = names.environments.as_ref().filter(|declared| !declared.contains(&name)) {
        let finding = Diagnostic::at(
            Code::UnknownEnvironment,
            node.span(),
            format!("the plan has no environment `{name}`"),
        );
        reader.report(match words::nearest(&name, declared.iter().map(String::as_str)) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None if declared.is_empty() => finding.help("leave `env` out: the plan has no `environments`"),
            None => finding
                .help(format!("declared are {}", words::list(declared.iter().map(String::as_str), "and"))),
        });
        return None;
    }
    Some(name)
}

fn begins_at(reader: &mut Reader<'_>, node: &Node) -> Option<Timestamp> {
    let text = reader.text(node, "`at`")?;
    let at = Timestamp::parse_lenient(text);
    if at.is_none() {
        let message = format!("`at` cannot be `{text}`");
        reader.report(
            Diagnostic::at(Code::TestTime, node.span(), message)
                .help("write a date such as `2026-01-31`, or one with a time in UTC: `2026-01-31T22:00`"),
        );
    }
    at
}

fn expected(reader: &mut Reader<'_>, node: &Node, names: &Names, test: &mut TestCase) {
    let entries = reader.map(node, "`expect`").unwrap_or_default();
    if let (Yaml::Map(_), []) = (&node.value, entries) {
        reader.report(
            Diagnostic::at(Code::EmptyCollection, node.span(), "`expect` is empty")
                .help("write the outcome of a step or of the flow: `expect: { flow: succeeded }`"),
        );
    }
    for Entry { key, value } in entries {
        let name = key.key_text(reader.text).unwrap_or_default().to_owned();
        let allowed: &[&'static str] = if name == FLOW { &FLOW_OUTCOMES } else { &OUTCOMES };
        if name != FLOW {
            is_step(reader, key, &name, names);
        }
        let what = format!("the outcome of `{name}`");
        let items = match &value.value {
            Yaml::List(items) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            reader.report(
                Diagnostic::at(Code::EmptyCollection, value.span(), format!("{what} cannot be one of none"))
                    .help(format!("write one of {}", words::list(allowed.iter().copied(), "or"))),
            );
        }
        let outcomes: Vec<&'static str> =
            items.into_iter().filter_map(|item| Some(allowed[reader.word(item, &what, allowed)?])).collect();
        if name == FLOW {
            test.flow = outcomes;
        } else {
            test.expect.push((name, outcomes));
        }
    }
}

fn order(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Vec<String> {
    let items = reader.list(node, "`order`").unwrap_or_default();
    if let (Yaml::List(_), [] | [_]) = (&node.value, items) {
        reader.report(
            Diagnostic::at(Code::EmptyCollection, node.span(), "`order` needs two steps or more")
                .help("write the steps in the order of their starts: `order: [ingest, curate]`"),
        );
    }
    let mut order = Vec::new();
    for item in items {
        let Some(name) = reader.text(item, "a step of `order`").map(str::to_owned) else { continue };
        is_step(reader, item, &name, names);
        order.push(name);
    }
    order
}

fn makespan(reader: &mut Reader<'_>, node: &Node) -> Option<Makespan> {
    let text = reader.text(node, "`makespan`")?;
    match Makespan::read(text) {
        Ok(makespan) => Some(makespan),
        Err(why) => {
            let message = format!("`makespan` cannot be `{text}`: {why}");
            reader.report(Diagnostic::at(Code::TestBound, node.span(), message).help(BOUNDS));
            None
        }
    }
}

/// Says whether a name is a step's, and reports it if not. Which iterations there are depends on the inputs of the test.
fn is_step(reader: &mut Reader<'_>, at: &Node, name: &str, names: &Names) -> bool {
    if names.steps.iter().any(|step| step == own_id(name)) {
        return true;
    }
    report(reader, at, assumption::no_step(name, names.steps.iter().map(String::as_str)));
    false
}

/// Returns a name without the key of an iteration.
fn own_id(name: &str) -> &str {
    name.split_once('[').map_or(name, |(own, _)| own)
}

#[cfg(test)]
mod tests {
    use super::Makespan;
    use crate::time::Delay;

    #[test]
    fn a_bound_has_a_relation_and_a_length() {
        let check = |text: &str, minutes: u64, want: bool| {
            let bound = Makespan::read(text).expect(text);
            assert_eq!(bound.allows(Delay::from_secs(minutes * 60)), want, "{minutes}m {text}");
        };
        check("< 2h", 119, true);
        check("< 2h", 120, false);
        check("<=2h", 120, true);
        check("> 10m", 10, false);
        check(">= 10m", 10, true);
        for bad in ["2h", "< 2", "< ", "=< 2h", "<2h 3m"] {
            assert!(Makespan::read(bad).is_err(), "{bad}");
        }
    }
}
