//! The `outputs` of a step: what it takes from its run for later steps, and whether whoever reads them may rely on it.
//!
//! Where a value comes from is an [`OutputSource`]; what an ended run gave is [`Outputs`].

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::keys::STEP;
use super::reader::Reader;
use super::source::{Entry, Yaml};
use super::template::{OutputRead, build_output};
use super::{Condition, Edge, EdgeRule, Step, StepId, StepIndex, StepKind, When, steps, words};

/// The most outputs of one step.
pub(super) const OUTPUTS_MAX: usize = 50;

/// A value that a step takes from its run for later steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its key below `outputs`.
    pub name: String,
    /// Where it comes from.
    pub source: OutputSource,
    /// Where its value stands in the file.
    pub span: Span,
}

/// Where an output comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputSource {
    /// What an activity produced, or something in it: `activities.NAME.output…`.
    Activity {
        /// The activity's name in the pipeline.
        name: String,
        /// Keys and list positions below `output`.
        path: Vec<String>,
    },
    /// What the run returned, or something in it: `return_value…`.
    ReturnValue {
        /// Keys and list positions below `return_value`.
        path: Vec<String>,
    },
    /// A value written down.
    Literal(Value),
    /// `default`: the first, or the second where the first is absent or null.
    Default(Box<OutputSource>, Box<OutputSource>),
}

impl OutputSource {
    /// Returns the paths below `return_value` that it reads.
    pub fn returned_paths(&self) -> Vec<&[String]> {
        match self {
            Self::Activity { .. } | Self::Literal(_) => Vec::new(),
            Self::ReturnValue { path } => vec![path.as_slice()],
            Self::Default(first, second) => {
                first.returned_paths().into_iter().chain(second.returned_paths()).collect()
            }
        }
    }
}

/// What an ended run gave of the outputs that its step declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The values, in the service's JSON types.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    /// Why others are not there, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, String>,
}

/// The names of the outputs that each step declares; nothing of a step whose `outputs` cannot be read.
pub(super) type Declared = BTreeMap<StepId, Option<Vec<String>>>;

/// Returns which outputs the steps declare, before the steps are read: any may read those of any other.
pub(super) fn declared(text: &str, entries: &[Entry]) -> Declared {
    let of = |Entry { key, value }: &Entry| {
        let id = StepId::new(key.key_text(text)?);
        let Yaml::Map(keys) = &value.value else { return Some((id, Some(Vec::new()))) };
        let is_it = |entry: &&Entry| entry.key.key_text(text) == Some("outputs");
        let names = match keys.iter().find(is_it).map(|entry| &entry.value.value) {
            Some(Yaml::Map(outputs)) => {
                let declared = outputs.iter().filter_map(|entry| entry.key.key_text(text));
                Some(declared.map(str::to_owned).collect())
            }
            Some(_) => None,
            // A mistyped key is reported as such; what reads the outputs need not complain too.
            None => keys.iter().all(|entry| !is_meant(entry.key.key_text(text))).then(Vec::new),
        };
        Some((id, names))
    };
    entries.iter().filter_map(of).collect()
}

fn is_meant(key: Option<&str>) -> bool {
    let Some(key) = key.filter(|key| !STEP.keys.contains(key)) else { return false };
    words::foreign(key, STEP.keys).or_else(|| words::nearest(key, STEP.keys.iter().copied()))
        == Some("outputs")
}

/// Reads a step's `outputs`.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> Vec<Output> {
    let node = &entry.value;
    if let Yaml::List(_) = node.value {
        let help = "write a map: `outputs: { rows: \"{{activities.NAME.output.rowsCopied}}\" }`";
        reader.wrong_type::<()>(node, "`outputs`", "a map", help);
        return Vec::new();
    }
    let text = reader.text;
    let Some(entries) = reader.map(node, "`outputs`") else { return Vec::new() };
    if entries.is_empty() {
        let finding = Diagnostic::at(Code::EmptyCollection, entry.key.span(), "`outputs` names no output");
        reader.report(finding.help("add one, or remove `outputs`"));
    }
    if let Some(first) = entries.get(OUTPUTS_MAX) {
        let message = format!("the step has {} outputs; {OUTPUTS_MAX} are allowed", entries.len());
        reader.report(
            Diagnostic::at(Code::TooManyOutputs, first.key.span(), message)
                .label("this is one too many")
                .help("let one output be a whole object: `\"{{return_value}}\"` or `\"{{activities.NAME.output}}\"`"),
        );
        return Vec::new();
    }
    let read = |Entry { key, value }: &Entry| {
        let name = key.key_text(text).unwrap_or_default();
        steps::check_id(reader, key, name, "an output's name");
        let source = build_output(reader, value, &format!("the output `{name}`"))?;
        Some(Output { name: name.to_owned(), source, span: value.span() })
    };
    entries.iter().filter_map(read).collect()
}

/// A template of a step that reads an output of another.
struct Reading<'s> {
    reader: StepIndex,
    target: StepIndex,
    read: &'s OutputRead,
}

/// Finds outputs that are read without a `default` although their step may not have succeeded by then.
///
/// A step may also fail after the activity that gives the output, so this is no error: the night may go well. It is one
/// where no run can have been made.
pub(super) fn check_reads(reader: &mut Reader<'_>, all: &[Step]) {
    let positions: BTreeMap<&StepId, StepIndex> =
        all.iter().enumerate().map(|(at, step)| (&step.id, StepIndex(at))).collect();
    let mut unsure = Vec::new();
    for (at, step) in all.iter().enumerate() {
        for read in reads(step).filter(|read| !read.has_default) {
            let id = step.pairs.get(&read.step).unwrap_or(&read.step);
            let Some(&target) = positions.get(id) else { continue };
            let group = all[target.0].group;
            let mut edges =
                step.depends_on.iter().filter(|edge| edge.upstream == target || Some(edge.upstream) == group);
            match edges.next() {
                Some(edge) if makes_no_run(edge) => reader.report(never(all, StepIndex(at), target, read)),
                Some(edge) if means_success(all, edge) => {}
                _ => unsure.push(Reading { reader: StepIndex(at), target, read }),
            }
        }
    }
    let sure = surely_succeeded(all, &unsure);
    for (Reading { reader: at, target, read }, _) in unsure.iter().zip(sure).filter(|(_, is_sure)| !is_sure) {
        reader.report(maybe(all, *at, *target, read));
    }
}

/// Returns the outputs of other steps that a step reads.
fn reads(step: &Step) -> impl Iterator<Item = &OutputRead> {
    let asked = step.when.iter().flat_map(When::outputs);
    step.parameters.iter().flat_map(|(_, template)| template.outputs()).chain(asked)
}

/// Says of each reading whether the step that is read has succeeded whenever the reader starts. Follows as many of the
/// steps that are read through the plan at once as a word has bits.
fn surely_succeeded(all: &[Step], readings: &[Reading<'_>]) -> Vec<bool> {
    let mut sure = vec![false; readings.len()];
    if readings.is_empty() {
        return sure;
    }
    let order = upstreams_first(all);
    let targets: BTreeSet<StepIndex> = readings.iter().map(|reading| reading.target).collect();
    let targets: Vec<StepIndex> = targets.into_iter().collect();
    for few in targets.chunks(u64::BITS as usize) {
        let bit = |step: StepIndex| few.binary_search(&step).map_or(0, |n| 1_u64 << n);
        let own: Vec<u64> = (0..all.len())
            .map(|at| {
                members(&all[at]).fold(bit(StepIndex(at)), |bits, member| bits | bit(StepIndex(member)))
            })
            .collect();
        let mut well = vec![0_u64; all.len()];
        for &at in &order {
            // What all iterations are sure of, their group is.
            well[at] = members(&all[at]).map(|member| well[member]).reduce(|a, b| a & b).unwrap_or(0);
            for edge in &all[at].depends_on {
                // The barrier waits for ends, whatever they are.
                if all[at].kind == StepKind::Barrier {
                    continue;
                }
                let itself = if means_success(all, edge) { own[edge.upstream.0] } else { 0 };
                let above = if means_edges_met(edge) { well[edge.upstream.0] } else { 0 };
                well[at] |= itself | above;
            }
        }
        for (reading, is_sure) in readings.iter().zip(&mut sure) {
            *is_sure |= well[reading.reader.0] & bit(reading.target) != 0;
        }
    }
    sure
}

/// Returns the steps in an order in which each stands behind its upstreams; those of a cycle are left out.
fn upstreams_first(all: &[Step]) -> Vec<usize> {
    let upstreams = |step: &Step| -> Vec<usize> {
        step.depends_on.iter().map(|edge| edge.upstream.0).chain(members(step)).collect()
    };
    let mut open: Vec<usize> = all.iter().map(|step| upstreams(step).len()).collect();
    let mut downstreams = vec![Vec::new(); all.len()];
    for (at, step) in all.iter().enumerate() {
        for upstream in upstreams(step) {
            downstreams[upstream].push(at);
        }
    }
    let mut order: Vec<usize> = (0..all.len()).filter(|&at| open[at] == 0).collect();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        for &downstream in &downstreams[at] {
            open[downstream] -= 1;
            if open[downstream] == 0 {
                order.push(downstream);
            }
        }
    }
    order
}

/// Returns the positions of the iterations of a group; none of any other step.
fn members(step: &Step) -> std::ops::Range<usize> {
    match &step.kind {
        StepKind::Group { members, .. } => members.clone(),
        StepKind::Run | StepKind::Barrier => 0..0,
    }
}

/// Says whether an edge is met only if its upstream succeeded or warned.
fn means_success(all: &[Step], edge: &Edge) -> bool {
    if all[edge.upstream.0].kind == StepKind::Barrier {
        return false;
    }
    match &edge.rule {
        EdgeRule::Bare => {
            let upstream = &all[edge.upstream.0];
            // What its own condition skips meets a bare edge, too.
            let may_be_skipped = |at: usize| all[at].when.is_some();
            !upstream.allow_failure && upstream.when.is_none() && !members(upstream).any(may_be_skipped)
        }
        EdgeRule::AnyOf(conditions) => conditions.iter().all(|it| *it == Condition::Succeeded),
    }
}

/// Says whether an edge is met only if the edges of its upstream were.
fn means_edges_met(edge: &Edge) -> bool {
    match &edge.rule {
        EdgeRule::Bare => true,
        EdgeRule::AnyOf(conditions) => !conditions.contains(&Condition::Skipped),
    }
}

/// Says whether an edge is met only if its upstream made no run.
fn makes_no_run(edge: &Edge) -> bool {
    matches!(&edge.rule, EdgeRule::AnyOf(conditions) if conditions.iter().all(|it| *it == Condition::Skipped))
}

fn never(all: &[Step], reader: StepIndex, target: StepIndex, read: &OutputRead) -> Diagnostic {
    let (reader, target) = (&all[reader.0].id, &all[target.0].id);
    let message = format!(
        "`{reader}` starts only if `{target}` made no run, so its output `{}` is never there",
        read.output
    );
    Diagnostic::at(Code::NeverOutput, read.span, message)
        .help(format!("remove it, or give what stands in for it: `{}`", read.stand_in))
}

fn maybe(all: &[Step], reader: StepIndex, target: StepIndex, read: &OutputRead) -> Diagnostic {
    let (reader, target) = (&all[reader.0].id, &all[target.0].id);
    let message =
        format!("`{target}` may not have succeeded when `{reader}` reads its output `{}`", read.output);
    Diagnostic::at(Code::UnsureOutput, read.span, message)
        .label(format!("`{reader}` fails if it is not there"))
        .help(format!("say what stands in for it: `{}`", read.stand_in))
}

#[cfg(test)]
mod tests {
    use crate::plan::{Given, OutputSource, StepId, load};

    const HEAD: &str = "version: 1\nname: test\nworkspace: contoso-dw\nsteps:\n";
    const UP: &str = "  up: { outputs: { x: '{{return_value.x}}' } }\n";

    fn codes(steps: &str) -> Vec<&'static str> {
        let findings = match load(format!("{HEAD}{steps}").as_bytes(), &Given::default()) {
            Ok(loaded) => loaded.notes,
            Err(findings) => findings,
        };
        findings.iter().map(|finding| finding.code.id()).collect()
    }

    #[test]
    fn asks_for_a_default_where_the_step_may_not_have_succeeded() {
        // `it` reads `up`; `mid` may stand between.
        let check = |mid: &str, edges: &str, value: &str, want: &[&str]| {
            let it = format!("  it: {{ depends_on: {edges}, parameters: {{ p: '{value}' }} }}\n");
            assert_eq!(codes(&format!("{UP}{mid}{it}")), want, "{mid} {edges} {value}");
        };
        let bare = "{{steps.up.outputs.x}}";
        check("", "[up]", bare, &[]);
        check("", "[{ up: [succeeded] }]", bare, &[]);
        check("", "[{ up: [completed] }]", bare, &["W0435"]);
        check("", "[{ up: [succeeded, skipped] }]", bare, &["W0435"]);
        check("", "[{ up: [failed] }]", bare, &["W0435"]);
        check("", "[{ up: [failed] }]", "{{default steps.up.outputs.x 0}}", &[]);
        check("", "[{ up: [failed] }]", "{{default inputs.y steps.up.outputs.x}}", &["E0402"]);
        check("", "[{ up: [failed] }]", "{{default steps.up.outputs.x steps.up.outputs.x}}", &["W0435"]);
        check("", "[{ up: [failed] }]", "n={{#if steps.up.outputs.x}}y{{/if}}", &["W0435"]);
        check("", "[{ up: [skipped] }]", bare, &["E0437"]);
        check("", "[{ up: [skipped] }]", "{{default steps.up.outputs.x 0}}", &[]);
        // Through a step between: what ran has had its edges met.
        check("  mid: { depends_on: [up] }\n", "[mid]", bare, &[]);
        check("  mid: { depends_on: [up] }\n", "[{ mid: [completed] }]", bare, &[]);
        check("  mid: { depends_on: [up] }\n", "[{ mid: [failed] }]", bare, &[]);
        check("  mid: { depends_on: [up] }\n", "[{ mid: [failed, skipped] }]", bare, &["W0435"]);
        check("  mid: { depends_on: [up], allow_failure: true }\n", "[mid]", bare, &[]);
        check("  mid: { depends_on: [{ up: [completed] }] }\n", "[mid]", bare, &["W0435"]);
        check("  mid: { depends_on: [{ up: [completed] }] }\n", "[mid, up]", bare, &[]);
    }

    #[test]
    fn a_step_that_may_fail_may_lack_its_outputs() {
        let up = "  up: { allow_failure: true, outputs: { x: '{{return_value.x}}' } }\n";
        let it = |edge: &str| {
            format!(
                "{up}  it: {{ depends_on: [{edge}], parameters: {{ p: '{{{{steps.up.outputs.x}}}}' }} }}\n"
            )
        };
        assert_eq!(codes(&it("up")), ["W0435"]);
        assert_eq!(codes(&it("{ up: [succeeded] }")), [""; 0]);
    }

    #[test]
    fn says_each_mistake_once() {
        let check = |steps: &str, want: &[&str]| assert_eq!(codes(steps), want, "{steps}");
        let it = "  it: { depends_on: [up], parameters: { p: '{{steps.up.outputs.x}}' } }\n";
        check(&format!("  up: {{ output: {{ x: '{{{{return_value}}}}' }} }}\n{it}"), &["E0201"]);
        check(&format!("  up: {{ returns: {{ x: '{{{{return_value}}}}' }} }}\n{it}"), &["E0202"]);
        check(&format!("  up: {{ outputs: 3 }}\n{it}"), &["E0205"]);
        check(&format!("  up: {{ outputs: {{ x: 3 }} }}\n{it}"), &["E0205"]);
        check(&format!("  up: 3\n{it}"), &["E0205", "E0436"]);
        check(&format!("  up:\n{it}"), &["E0436"]);
        check(
            "  a: { depends_on: [b], parameters: { p: '{{steps.b.outputs.x}}' } }\n  b: { depends_on: [a], outputs: { x: '{{return_value}}' } }\n",
            &[],
        );
    }

    #[test]
    fn keeps_the_order_of_the_file() {
        let text = format!(
            "{HEAD}  up:\n    outputs: {{ b: '{{{{return_value.b}}}}', a: '{{{{return_value}}}}' }}\n"
        );
        let plan = load(text.as_bytes(), &Given::default()).expect("a plan").plan;
        let outputs = &plan.steps[0].outputs;
        assert_eq!(outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(outputs[1].source, OutputSource::ReturnValue { path: Vec::new() });
        assert_eq!((outputs[0].span.place.line, outputs[0].span.place.column), (6, 19));
        assert_eq!(plan.steps[0].id, StepId::new("up"));
    }

    /// Long enough that a walk for each reader would be felt.
    #[test]
    fn looks_through_a_long_plan_once() {
        let steps: Vec<String> = (1..1_000)
            .map(|n| {
                let before = n - 1;
                format!("  s{n}: {{ depends_on: [s{before}], parameters: {{ p: '{{{{steps.s0.outputs.x}}}}' }} }}\n")
            })
            .collect();
        let steps = steps.concat();
        let first = "  s0: { outputs: { x: '{{return_value.x}}' } }\n";
        assert_eq!(codes(&format!("{first}{steps}")), [""; 0]);
        let open = first.replace("outputs", "allow_failure: true, outputs");
        assert_eq!(codes(&format!("{open}{steps}")).len(), 999);
    }
}
