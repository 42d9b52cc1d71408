//! What a rehearsal takes for given of a step: how it ends, how long it takes, what it gives.
//!
//! The one reader of such words: `--assume STEP=WORD` on the command line and `assume` in a plan's `tests` say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::words;
use super::{Plan, StepIndex, StepKind, duration};
use crate::time::Delay;

/// What stands between a step and the name of one of its outputs.
const OUTPUTS: &str = ".outputs.";

/// The ends that can be assumed.
const ENDS: [(&str, AssumedEnd); 7] = [
    ("succeeded", AssumedEnd::Succeeded),
    ("warned", AssumedEnd::Warned),
    ("failed", AssumedEnd::Failed { first: None }),
    ("cancelled", AssumedEnd::Cancelled),
    ("timed_out", AssumedEnd::TimedOut),
    ("skipped", AssumedEnd::Skipped),
    ("unknown", AssumedEnd::Unknown),
];

/// The outcomes that follow from what other steps do.
const FOLLOWING: [&str; 2] = ["blocked", "not_needed"];

/// By how much a step may be slower: beyond that it is a slip of the keyboard.
const FACTOR_MAX: f64 = 1000.0;

/// How a step is taken to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssumedEnd {
    /// Its runs succeed.
    Succeeded,
    /// Its runs succeed although an activity failed.
    Warned,
    /// Its runs fail.
    Failed {
        /// How many of them; all of them if nothing is said.
        first: Option<u32>,
    },
    /// Somebody else cancels its runs.
    Cancelled,
    /// Its runs never end by themselves.
    TimedOut,
    /// Its own condition is false.
    Skipped,
    /// Nobody knows what came of its start.
    Unknown,
}

/// How long the runs of a step are taken to last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AssumedLength {
    /// This long.
    Lasts(Delay),
    /// This many times as long as they would.
    Times(f64),
}

/// What is taken for given of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assumed {
    /// How it ends.
    pub end: Option<AssumedEnd>,
    /// How long its runs last.
    pub length: Option<AssumedLength>,
    /// What it gives, by the names of its outputs.
    pub outputs: BTreeMap<String, Value>,
}

/// What is taken for given of the steps of a plan.
pub type Assumptions = BTreeMap<StepIndex, Assumed>;

/// Why something cannot be assumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadAssumption {
    /// Whether it names no step or output of the plan; else the word behind it is wrong.
    pub is_stranger: bool,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl BadAssumption {
    fn stranger(message: String, help: String) -> Self {
        Self { is_stranger: true, message, help }
    }

    fn word(message: String, help: impl Into<String>) -> Self {
        Self { is_stranger: false, message, help: help.into() }
    }
}

/// What an assumption is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'t> {
    /// A step, all its iterations, or one of them.
    pub(super) step: &'t str,
    /// The output whose value it gives.
    pub(super) output: Option<&'t str>,
}

impl<'t> Target<'t> {
    /// Reads `curate`, `ingest[emea]` or `curate.outputs.rows`. The key of an iteration may hold anything.
    pub(super) fn read(text: &'t str) -> Self {
        let behind = text.rfind(']').unwrap_or(0);
        match text[behind..].find(OUTPUTS) {
            Some(at) => {
                let (step, rest) = text.split_at(behind + at);
                Self { step, output: Some(&rest[OUTPUTS.len()..]) }
            }
            None => Self { step: text, output: None },
        }
    }
}

/// A word of an assumption.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Word {
    End(AssumedEnd),
    Length(AssumedLength),
}

impl Word {
    /// Reads `failed`, `failed:2`, `slow:2x` or `10m`.
    pub(super) fn read(text: &str) -> Result<Self, BadAssumption> {
        if let Some((_, end)) = ENDS.iter().find(|(word, _)| *word == text) {
            return Ok(Self::End(*end));
        }
        if let Some(count) = text.strip_prefix("failed:") {
            let count = count.parse().ok().filter(|count| *count > 0);
            return count.map(|count| Self::End(AssumedEnd::Failed { first: Some(count) })).ok_or_else(
                || {
                    BadAssumption::word(
                        format!("`{text}` does not say how many attempts fail"),
                        "write `failed:1` if the first attempt fails and the next does not",
                    )
                },
            );
        }
        if let Some(factor) = text.strip_prefix("slow:") {
            let factor = factor.strip_suffix('x').and_then(|factor| factor.parse::<f64>().ok());
            let factor = factor.filter(|factor| *factor > 0.0 && *factor <= FACTOR_MAX);
            return factor.map(|factor| Self::Length(AssumedLength::Times(factor))).ok_or_else(|| {
                BadAssumption::word(
                    format!("`{text}` does not say how much slower"),
                    "write `slow:2x` for twice as long",
                )
            });
        }
        if FOLLOWING.contains(&text) {
            return Err(BadAssumption::word(
                format!("`{text}` cannot be assumed: it follows from what other steps do"),
                "assume `failed` of a step that it waits for",
            ));
        }
        match duration::read(text) {
            Ok(length) => Ok(Self::Length(AssumedLength::Lasts(length))),
            Err(why) if text.starts_with(|c: char| c.is_ascii_digit()) => Err(BadAssumption::word(
                format!("`{text}` is no duration: {why}"),
                "write it like `10m` or `2h30m`",
            )),
            Err(_) => Err(no_word(text)),
        }
    }
}

fn no_word(text: &str) -> BadAssumption {
    let ends = ENDS.iter().map(|(word, _)| *word);
    let message = format!("`{text}` is nothing that a step can be taken to do");
    let help = words::nearest(text, ends.clone()).map(|near| format!("did you mean `{near}`?"));
    let all =
        || format!("write {}, `failed:1`, `slow:2x` or a duration such as `10m`", words::list(ends, "or"));
    BadAssumption::word(message, help.unwrap_or_else(all))
}

/// Takes something for given of a step of the plan. `target` is a step, one of its iterations or one of its outputs;
/// `value` is a word or a list of words, of an output its value.
///
/// What is said later of one step takes the place of what was said before. Fails if the target is not in the plan or the
/// words make no sense for it.
pub fn assume(
    plan: &Plan,
    assumptions: &mut Assumptions,
    target: &str,
    value: &Value,
) -> Result<(), BadAssumption> {
    let Target { step, output } = Target::read(target);
    for place in steps_of(plan, step)? {
        let assumed = assumptions.entry(place).or_default();
        match output {
            Some(output) => {
                let declared = plan.steps[place.0].outputs.iter().map(|output| output.name.as_str());
                if !declared.clone().any(|name| name == output) {
                    return Err(no_output(step, output, declared));
                }
                assumed.outputs.insert(output.to_owned(), value.clone());
            }
            None => words_of(value)?.into_iter().try_for_each(|word| {
                match word {
                    Word::End(AssumedEnd::TimedOut) if plan.steps[place.0].timeout.is_none() => {
                        return Err(BadAssumption::word(
                            format!("`{step}` has no `timeout`, so it cannot time out"),
                            "give the step a `timeout`, or assume `failed`",
                        ));
                    }
                    Word::End(end) => assumed.end = Some(end),
                    Word::Length(length) => assumed.length = Some(length),
                }
                Ok(())
            })?,
        }
    }
    Ok(())
}

/// Reads a word or a list of words that do not contradict each other.
pub(super) fn words_of(value: &Value) -> Result<Vec<Word>, BadAssumption> {
    let form = || {
        BadAssumption::word(
            format!("`{value}` is nothing that a step can be taken to do"),
            "write a word such as `failed` or `10m`, or a list of them",
        )
    };
    match value {
        Value::String(text) => Ok(vec![Word::read(text)?]),
        Value::Number(number) => Err(BadAssumption::word(
            format!("`{number}` has no unit"),
            format!("write `{number}m` or `{number}s`"),
        )),
        Value::Array(items) if !items.is_empty() => {
            let mut words: Vec<Word> = Vec::new();
            for item in items {
                let word = Word::read(item.as_str().ok_or_else(form)?)?;
                let is_end = |word: &Word| matches!(word, Word::End(_));
                if words.iter().any(|earlier| is_end(earlier) == is_end(&word)) {
                    let what = if is_end(&word) { "end in two ways" } else { "take two lengths of time" };
                    return Err(BadAssumption::word(
                        format!("a step cannot {what}"),
                        "keep one end, and one duration besides it",
                    ));
                }
                words.push(word);
            }
            Ok(words)
        }
        _ => Err(form()),
    }
}

/// Returns the runs behind a name: of a step with iterations, all of them.
fn steps_of(plan: &Plan, name: &str) -> Result<Vec<StepIndex>, BadAssumption> {
    let found = plan.steps.iter().position(|step| step.id.as_str() == name && step.kind != StepKind::Barrier);
    match found.map(|place| (place, &plan.steps[place].kind)) {
        Some((_, StepKind::Group { members, .. })) => Ok(members.clone().map(StepIndex).collect()),
        Some((place, _)) => Ok(vec![StepIndex(place)]),
        None => Err(no_step(name, names_in(plan))),
    }
}

/// Returns every name by which steps are called: steps, their iterations, and all iterations of a step together.
pub fn names_in(plan: &Plan) -> impl Iterator<Item = &str> {
    let named = plan.steps.iter().filter(|step| step.kind != StepKind::Barrier);
    named.map(|step| step.id.as_str())
}

/// Says that a name is no step's, and which one is like it.
pub(super) fn no_step<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> BadAssumption {
    const SHOWN_MAX: usize = 12;
    let names: Vec<&str> = names.collect();
    let help = match words::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.len() > SHOWN_MAX => {
            "write the step's key below `steps`, or `STEP[KEY]` for an iteration".to_owned()
        }
        None => format!("the steps are {}", words::list(names, "and")),
    };
    BadAssumption::stranger(format!("the plan has no step `{name}`"), help)
}

/// Says that a step has no such output, and which one is like it.
pub(super) fn no_output<'n>(
    step: &str,
    output: &str,
    declared: impl Iterator<Item = &'n str>,
) -> BadAssumption {
    let declared: Vec<&str> = declared.collect();
    let help = match words::nearest(output, declared.iter().copied()) {
        Some(near) => format!("did you mean `{step}{OUTPUTS}{near}`?"),
        None if declared.is_empty() => format!("declare it below `outputs` of `{step}`"),
        None => format!("its outputs are {}", words::list(declared, "and")),
    };
    BadAssumption::stranger(format!("`{step}` has no output `{output}`"), help)
}

#[cfg(test)]
mod tests {
    use super::{AssumedEnd, AssumedLength, Target, Word};
    use crate::time::Delay;

    #[test]
    fn reads_words() {
        let check = |text: &str, want: Word| assert_eq!(Word::read(text), Ok(want));
        check("failed", Word::End(AssumedEnd::Failed { first: None }));
        check("failed:2", Word::End(AssumedEnd::Failed { first: Some(2) }));
        check("timed_out", Word::End(AssumedEnd::TimedOut));
        check("slow:2x", Word::Length(AssumedLength::Times(2.0)));
        check("slow:0.5x", Word::Length(AssumedLength::Times(0.5)));
        check("2h30m", Word::Length(AssumedLength::Lasts(Delay::from_secs(9000))));
    }

    #[test]
    fn says_what_to_write_instead() {
        let check = |text: &str, message: &str, help: &str| {
            let bad = Word::read(text).expect_err(text);
            assert!(bad.message.contains(message), "{bad:?}");
            assert!(bad.help.contains(help), "{bad:?}");
        };
        check("faild", "is nothing", "did you mean `failed`?");
        check("blocked", "follows from", "assume `failed`");
        check("failed:0", "how many", "failed:1");
        check("slow:2", "how much", "slow:2x");
        check("slow:0x", "how much", "slow:2x");
        check("10", "no unit", "10m");
        check("", "is nothing", "`succeeded`");
    }

    #[test]
    fn finds_the_output_behind_any_key() {
        let check = |text, step, output| assert_eq!(Target::read(text), Target { step, output });
        check("curate", "curate", None);
        check("curate.outputs.rows", "curate", Some("rows"));
        check("ingest[a.outputs.b]", "ingest[a.outputs.b]", None);
        check("ingest[a.b].outputs.rows", "ingest[a.b]", Some("rows"));
    }
}
