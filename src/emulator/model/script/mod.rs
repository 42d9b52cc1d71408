//! What a user tells the emulator to do: durations, outcomes, outputs, faults. Text in, [`Script`] out.
//!
//! Strict: an unknown key, a bare-number duration or a doubled key is an error with line and column. Pure:
//! the folders named in `artifacts` are read by whoever holds the script's path.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::time::Delay;

pub use self::access::{Access, Identity};
pub use self::fault::{BodyForm, Fault, FaultKind, OneOrMany, RetryAfter};
pub use self::vault::{SecretScript, Vaults};

mod access;
mod fault;
mod vault;

/// A checked emulator script. [`Script::default`] is a workspace where everything succeeds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Where every made-up id, token and probability comes from.
    pub seed: u64,
    /// By how much all durations are divided: 10 makes a minute six seconds.
    pub speed: Speed,
    /// Whether the run id is the caller's request id.
    pub ids: Ids,
    /// Folders of pipeline definitions, relative to the script.
    pub artifacts: Vec<String>,
    /// By how much the service's clock is wrong.
    pub clock_skew: Skew,
    /// How many definitions a page of the list holds.
    pub definitions_per_page: PageSize,
    /// Lengths for whatever says nothing of its own.
    pub defaults: Defaults,
    /// What the caller may do.
    pub access: Access,
    /// Who may sign in, and for how long.
    pub identity: Identity,
    /// What Key Vaults hold.
    pub secrets: Vaults,
    /// Behaviour by pipeline name.
    pub pipelines: BTreeMap<String, PipelineScript>,
    /// What goes wrong on the wire.
    pub faults: Vec<Fault>,
}

/// The answer to "is the run id the `x-ms-client-request-id`?" (protocol 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ids {
    /// It is, and a repeated id is answered with the old run, as recorded.
    #[default]
    Honoured,
    /// Every start makes a run with an id of the service's own.
    Ignored,
}

/// Lengths for whatever says nothing of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// From acceptance to `InProgress`.
    pub queued: Length,
    /// A run, from `InProgress` to its end.
    pub duration: Length,
    /// From an accepted cancel to `Cancelled`.
    pub canceling: Length,
    /// A write, delete or rename of a definition.
    pub operation: Length,
    /// An activity that only computes: Set Variable, Filter, If.
    pub instant: Length,
}

/// What the runs of one pipeline do. Everything said here holds for all of them; `runs` says more.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineScript {
    /// How long a run takes at least, once it runs.
    pub duration: Option<Length>,
    /// How long it waits before it runs.
    pub queued: Option<Length>,
    /// How it ends.
    pub outcome: Option<RunOutcome>,
    /// The whole `message` of a failed run.
    pub message: Option<String>,
    /// The error of the activity that fails.
    pub error: Option<Failure>,
    /// Behaviour by activity name, at any depth.
    pub activities: BTreeMap<String, ActivityScript>,
    /// What the run returns, as if a Set Variable activity had set it.
    pub return_value: Map<String, Value>,
    /// How a cancel ends.
    pub cancel: Option<CancelScript>,
    /// Successive runs: each entry serves one run whose parameters fit; the last that fits serves the rest.
    pub runs: Vec<RunScript>,
}

/// What one run does where it differs from its pipeline's other runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunScript {
    /// Serves only runs with these parameters, compared as text.
    pub when: BTreeMap<String, Value>,
    /// How long the run takes at least, once it runs.
    pub duration: Option<Length>,
    /// How long it waits before it runs.
    pub queued: Option<Length>,
    /// How it ends.
    pub outcome: Option<RunOutcome>,
    /// The whole `message` of a failed run.
    pub message: Option<String>,
    /// The error of the activity that fails.
    pub error: Option<Failure>,
    /// Behaviour by activity name, at any depth.
    pub activities: BTreeMap<String, ActivityScript>,
    /// What the run returns.
    pub return_value: Map<String, Value>,
    /// How a cancel ends.
    pub cancel: Option<CancelScript>,
}

/// What an activity does, in every run of its pipeline or in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivityScript {
    /// How long it takes.
    pub duration: Option<Length>,
    /// How it ends.
    pub outcome: Option<ActivityOutcome>,
    /// Its error, which makes it fail.
    pub error: Option<Failure>,
    /// Fails only the first so many tries; the definition's `policy.retry` says whether there are more.
    pub fails_first: Option<u64>,
    /// Its output.
    pub output: Option<Value>,
    /// What a For Each goes through, where the definition computes it.
    pub items: Option<Vec<Value>>,
    /// Which way an If goes, where the definition computes it.
    pub branch: Option<bool>,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// As its activities do.
    Succeeded,
    /// Badly.
    Failed,
    /// As if somebody else had cancelled it.
    Cancelled,
    /// Never: it stays `InProgress` until it is cancelled.
    Stuck,
}

/// How an activity ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityOutcome {
    /// Well.
    Succeeded,
    /// Badly.
    Failed,
}

/// An activity's error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The service's code.
    #[serde(default = "Failure::default_code")]
    pub code: String,
    /// The text.
    pub message: String,
}

/// Who cancels a run, and how a cancel ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelScript {
    /// Somebody else cancels the run, and all it called, so long after it went to `InProgress`.
    pub at: Option<Length>,
    /// How long the run is `Canceling`.
    pub after: Option<Length>,
    /// How it ends: a run may win the race and succeed.
    #[serde(default)]
    pub outcome: Option<RunOutcome>,
}

/// A length of time as people write it: `30s`, `2h30m`, `500ms`. Never a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(pub Delay);

/// A length of time that may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Milliseconds ahead of the true time.
    pub ahead_ms: i64,
}

/// A factor above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub f64);

/// A number of records, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(pub usize);

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1; 0 where it is not known.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
    /// What is wrong.
    pub message: String,
}

impl Script {
    /// Reads a script. Fails at the first thing that is wrong, and says where it stands.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            with_snippet: false,
        };
        let script: Self = serde_saphyr::from_str_with_options(text, options).map_err(ScriptError::from)?;
        script.check()?;
        Ok(script)
    }

    /// Finds what types alone cannot say.
    fn check(&self) -> Result<(), ScriptError> {
        for fault in &self.faults {
            fault.check().map_err(ScriptError::nowhere)?;
        }
        self.access.check().map_err(ScriptError::nowhere)
    }
}

impl PipelineScript {
    /// Returns what the pipeline and one entry of `runs` say together; the entry wins.
    pub fn overlaid(&self, run: Option<&RunScript>) -> RunScript {
        let mut both = RunScript {
            when: BTreeMap::new(),
            duration: self.duration,
            queued: self.queued,
            outcome: self.outcome,
            message: self.message.clone(),
            error: self.error.clone(),
            activities: self.activities.clone(),
            return_value: self.return_value.clone(),
            cancel: self.cancel.clone(),
        };
        let Some(run) = run else { return both };
        both.duration = run.duration.or(both.duration);
        both.queued = run.queued.or(both.queued);
        both.outcome = run.outcome.or(both.outcome);
        both.message = run.message.clone().or(both.message);
        both.error = run.error.clone().or(both.error);
        both.cancel = run.cancel.clone().or(both.cancel);
        both.activities.extend(run.activities.clone());
        both.return_value.extend(run.return_value.clone());
        both
    }
}

impl Failure {
    fn default_code() -> String {
        "UserErrorEmulated".to_owned()
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            queued: Length(Delay::from_ms(500)),
            duration: Length(Delay::from_secs(2)),
            // What was recorded: 14 s and 12 s for a cancelled run that would have taken two.
            canceling: Length(Delay::from_secs(12)),
            operation: Length(Delay::from_secs(2)),
            instant: Length(Delay::from_ms(200)),
        }
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(100)
    }
}

impl Speed {
    /// Returns `length` at this speed.
    pub fn shorten(self, length: Delay) -> Delay {
        length.scaled(1.0 / self.0)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = signed_ms(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let ms = u64::try_from(ms).map_err(|_| D::Error::custom("a duration cannot be negative"))?;
        Ok(Self(Delay::from_ms(ms)))
    }
}

impl<'de> Deserialize<'de> for Skew {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ahead_ms = signed_ms(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        Ok(Self { ahead_ms })
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let factor = text.trim().parse::<f64>().ok().filter(|factor| *factor > 0.0 && factor.is_finite());
        factor.map(Self).ok_or_else(|| format!("`{text}` is no speed, which is a factor above 0"))
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.to_string().parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match usize::deserialize(deserializer)? {
            0 => Err(D::Error::custom("a page holds at least one record")),
            size => Ok(Self(size)),
        }
    }
}

/// Reads `30s`, `2h30m`, `500ms`, `-10m` as milliseconds.
fn signed_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no duration; write it like `30s`, `10m` or `2h30m`");
    if text.trim().parse::<f64>().is_ok() {
        return Err(wrong());
    }
    let length: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    i64::try_from(length.as_millis()).map_err(|_| wrong())
}

impl ScriptError {
    fn nowhere(message: String) -> Self {
        Self { line: 0, column: 0, message }
    }
}

impl From<serde_saphyr::Error> for ScriptError {
    fn from(error: serde_saphyr::Error) -> Self {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let text = error.to_string();
        // The reader ends its text with the place, which this error carries apart.
        let message =
            text.split(" at line ").next().unwrap_or(&text).trim_start_matches("error: ").to_owned();
        Self { line, column, message }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::{Ids, Length, RunOutcome, Script};
    use crate::time::Delay;

    #[test]
    fn reads_a_whole_script() {
        let script = Script::parse(
            "
seed: 7
speed: 20
ids: ignored
artifacts: [../artifacts/a]
clock_skew: -10m
defaults: { duration: 3s, canceling: 1m }
pipelines:
  pl_x:
    duration: 2h30m
    activities:
      Copy_1: { duration: 500ms, output: { rowsCopied: 12 } }
    runs:
      - { outcome: failed, error: { code: '2200', message: no such table } }
      - { when: { region: emea }, outcome: cancelled }
faults:
  - { on: createRun, kind: status, status: 429, retry_after: { seconds: 3s }, first: 2 }
",
        )
        .expect("this is a script");
        assert_eq!(script.ids, Ids::Ignored);
        assert_eq!(script.clock_skew.ahead_ms, -600_000);
        assert_eq!(script.speed.shorten(Delay::from_secs(20)), Delay::from_secs(1));
        let pipeline = &script.pipelines["pl_x"];
        assert_eq!(pipeline.duration, Some(Length(Delay::from_secs(9000))));
        let second = pipeline.overlaid(pipeline.runs.get(1));
        assert_eq!(second.outcome, Some(RunOutcome::Cancelled));
        assert!(second.activities.contains_key("Copy_1"));
        assert_eq!(script.faults.len(), 1);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let check = |text: &str, line: u64, want: &str| {
            let error = Script::parse(text).expect_err(text);
            assert_eq!(error.line, line, "{error}");
            assert!(error.message.contains(want), "{error}");
        };
        check("seed: 1\nspede: 2\n", 2, "spede");
        check("pipelines:\n  a:\n    duration: 5\n", 3, "no duration");
        check("pipelines:\n  a:\n    duration: -5s\n", 3, "negative");
        check("pipelines:\n  a:\n    outcome: broken\n", 3, "broken");
        check("seed: 1\nseed: 2\n", 2, "seed");
        check("speed: 0\n", 1, "above 0");
        check("faults:\n  - { on: createRun, kind: status }\n", 0, "status");
        check("access: { roles: [Owner] }\n", 0, "Owner");
    }

    #[test]
    fn an_empty_script_is_a_quiet_workspace() {
        let script = Script::parse("# nothing yet\n\n").expect("comments are fine");
        assert!(script.pipelines.is_empty());
        assert_eq!(script.ids, Ids::Honoured);
    }
}
