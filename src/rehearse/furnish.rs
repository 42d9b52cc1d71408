//! The modelled workspaces of a rehearsal: what each step's pipeline does, and for how long.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::emulator::model::script::{
    Access, ActivityScript, Failure, Identity, Ids, Length, PipelineScript, RunOutcome, RunScript, Skew,
    Speed,
};
use crate::emulator::model::{Model, Script};
use crate::flow::forecast::Durations;
use crate::plan::{Assumed, AssumedEnd, AssumedLength, Assumptions, Plan, Step, StepIndex};
use crate::time::{Delay, Timestamp};

/// The code and the text of an error that was assumed.
const ASSUMED_CODE: &str = "Assumed";
const ASSUMED_TEXT: &str = "its failure was assumed";

/// What says how long a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// An assumption.
    Assumed,
    /// The emulator's script.
    Script,
    /// Earlier flows of the plan.
    History,
    /// Nothing: it takes the usual time.
    Usual,
}

impl Basis {
    /// Returns the word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Script => "script",
            Self::History => "history",
            Self::Usual => "default",
        }
    }
}

/// What is known of how long pipelines take.
#[derive(Clone, Debug)]
pub enum Lengths {
    /// An emulator's script says it, with the definitions it stands for: file name and text of each.
    Script(Box<Script>, Vec<(String, String)>),
    /// Earlier flows say it.
    History(Durations),
}

/// The furnished workspaces.
pub(super) struct Furnished {
    /// One for each workspace of the plan.
    pub(super) models: Vec<Model>,
    /// For each step, the name that its pipeline has in its model: steps that do something of their own have one of
    /// their own.
    pub(super) names: Vec<String>,
    /// For each step, what says how long it takes.
    pub(super) bases: Vec<Basis>,
}

/// Furnishes the workspaces of a plan.
///
/// Fails, in a sentence, if a definition cannot be read.
pub(super) fn furnish(
    plan: &Plan,
    assumptions: &Assumptions,
    lengths: &Lengths,
    usual: Delay,
    seed: u64,
    start: Timestamp,
) -> Result<Furnished, String> {
    let (script, files): (Script, &[(String, String)]) = match lengths {
        Lengths::Script(script, files) => (timeless(script), files),
        Lengths::History(_) => (of_history(usual), &[]),
    };
    let written = definitions(files)?;
    let mut scripts = vec![Script { seed, ..script }; plan.workspaces.len()];
    let mut extra: Vec<Vec<(String, String)>> = vec![Vec::new(); plan.workspaces.len()];
    let (mut names, mut told_by) = (Vec::new(), Vec::new());
    for (index, step) in plan.steps.iter().enumerate() {
        let script = &mut scripts[step.workspace];
        let assumed = assumptions.get(&StepIndex(index)).cloned().unwrap_or_default();
        let (basis, length) = length_of(step, &assumed, lengths);
        told_by.push(basis);
        let is_own = basis != Basis::Script || assumed.end.is_some();
        let is_missing = !written.is_empty()
            && !written.contains_key(&step.pipeline.to_lowercase())
            && !script.pipelines.contains_key(&step.pipeline);
        // What the workspace does not have is refused by its own name.
        if !step.kind.is_run() || !is_own || is_missing {
            names.push(step.pipeline.clone());
            continue;
        }
        let name = format!("{} of step {}", step.pipeline, index + 1);
        let base = script.pipelines.get(&step.pipeline).cloned().unwrap_or_default();
        let mut own = with_length(base, length, script.defaults.duration.0);
        if let Some(end) = assumed.end {
            own = with_end(own, end);
        }
        let definition = written.get(&step.pipeline.to_lowercase());
        if assumed.end == Some(AssumedEnd::Warned) {
            extra[step.workspace].push(warning_definition(&name, definition, &mut own));
        } else if let Some(definition) = definition {
            extra[step.workspace].push(renamed(&name, definition.clone()));
        }
        script.pipelines.insert(name.clone(), own);
        names.push(name);
    }
    let furnished = plan.workspaces.iter().zip(scripts).zip(extra).map(|((workspace, script), extra)| {
        let all: Vec<(String, String)> = files.iter().cloned().chain(extra).collect();
        let model = Model::new(&workspace.key, script, &all, start)?;
        Ok(model.without_sign_in().with_strict_definitions(!files.is_empty()))
    });
    let models = furnished.collect::<Result<_, String>>()?;
    Ok(Furnished { models, names, bases: told_by })
}

/// Returns a script without what only a network, a clock or a caller can have, and at the speed of its own durations.
fn timeless(script: &Script) -> Script {
    Script {
        speed: Speed::default(),
        ids: Ids::Honoured,
        clock_skew: Skew::default(),
        access: Access::default(),
        identity: Identity::default(),
        faults: Vec::new(),
        ..script.clone()
    }
}

/// Returns a script by which a run takes as long as it is said to, its time in the queue included.
fn of_history(usual: Delay) -> Script {
    let mut script = Script::default();
    script.defaults.queued = Length(Delay::ZERO);
    script.defaults.duration = Length(usual);
    script
}

/// What the runs of a step last, if that is not what their script says.
#[derive(Clone, Copy)]
enum Lasts {
    AsSaid,
    Fixed(Delay),
    Times(f64),
}

fn length_of(step: &Step, assumed: &Assumed, lengths: &Lengths) -> (Basis, Lasts) {
    let (basis, known) = match lengths {
        Lengths::Script(..) => (Basis::Script, Lasts::AsSaid),
        Lengths::History(durations) => match durations.get(&(step.id.clone(), step.pipeline.clone())) {
            Some(took) => (Basis::History, Lasts::Fixed(*took)),
            None => (Basis::Usual, Lasts::AsSaid),
        },
    };
    match (assumed.length, known) {
        (None, known) => (basis, known),
        (Some(AssumedLength::Lasts(length)), _) => (Basis::Assumed, Lasts::Fixed(length)),
        (Some(AssumedLength::Times(factor)), Lasts::Fixed(length)) => {
            (Basis::Assumed, Lasts::Fixed(length.scaled(factor)))
        }
        (Some(AssumedLength::Times(factor)), _) => (Basis::Assumed, Lasts::Times(factor)),
    }
}

fn with_length(mut script: PipelineScript, lasts: Lasts, usual: Delay) -> PipelineScript {
    let set = |length: &mut Option<Length>, usual: Option<Delay>| {
        *length = match (lasts, length.map(|length| length.0).or(usual)) {
            (Lasts::Fixed(fixed), _) => Some(Length(fixed)),
            (Lasts::Times(factor), Some(length)) => Some(Length(length.scaled(factor))),
            (Lasts::AsSaid | Lasts::Times(_), _) => *length,
        };
    };
    // A run takes at least as long as its activities do.
    let of_activities = |activities: &mut BTreeMap<String, ActivityScript>| {
        for activity in activities.values_mut() {
            match lasts {
                Lasts::Fixed(_) => activity.duration = None,
                Lasts::AsSaid | Lasts::Times(_) => set(&mut activity.duration, None),
            }
        }
    };
    set(&mut script.duration, Some(usual));
    of_activities(&mut script.activities);
    for run in &mut script.runs {
        set(&mut run.duration, None);
        of_activities(&mut run.activities);
    }
    script
}

fn with_end(mut script: PipelineScript, end: AssumedEnd) -> PipelineScript {
    let failure = || Failure { code: ASSUMED_CODE.to_owned(), message: ASSUMED_TEXT.to_owned() };
    let (outcome, error) = match end {
        AssumedEnd::Failed { first: None } => (RunOutcome::Failed, Some(failure())),
        AssumedEnd::Cancelled => (RunOutcome::Cancelled, None),
        AssumedEnd::TimedOut => (RunOutcome::Stuck, None),
        AssumedEnd::Failed { first: Some(_) }
        | AssumedEnd::Succeeded
        | AssumedEnd::Warned
        | AssumedEnd::Skipped
        | AssumedEnd::Unknown => (RunOutcome::Succeeded, None),
    };
    script.outcome = Some(outcome);
    script.error.clone_from(&error);
    script.message = None;
    go_well(&mut script.activities);
    for run in &mut script.runs {
        run.outcome = Some(outcome);
        run.error.clone_from(&error);
        run.message = None;
        go_well(&mut run.activities);
    }
    if let AssumedEnd::Failed { first: Some(count) } = end {
        let failed =
            RunScript { outcome: Some(RunOutcome::Failed), error: Some(failure()), ..RunScript::default() };
        let mut runs = vec![failed; count as usize];
        if script.runs.is_empty() {
            script.runs.push(RunScript::default());
        }
        runs.append(&mut script.runs);
        script.runs = runs;
    }
    script
}

fn go_well(activities: &mut BTreeMap<String, ActivityScript>) {
    for activity in activities.values_mut() {
        activity.outcome = None;
        activity.error = None;
        activity.fails_first = None;
    }
}

/// Returns a definition whose run succeeds although an activity fails: another one handles that.
fn warning_definition(name: &str, written: Option<&Value>, script: &mut PipelineScript) -> (String, String) {
    const FAILS: &str = "assumed to fail";
    let mut definition = written.cloned().unwrap_or_else(|| {
        let named = script.activities.keys().map(|name| json!({ "name": name, "type": "Copy" }));
        json!({ "properties": { "activities": named.collect::<Vec<_>>() } })
    });
    let handled = [
        json!({ "name": FAILS, "type": "Copy" }),
        json!({
            "name": "handles that",
            "type": "Copy",
            "dependsOn": [{ "activity": FAILS, "dependencyConditions": ["Failed"] }],
        }),
    ];
    match &mut definition["properties"]["activities"] {
        Value::Array(activities) => activities.extend(handled),
        other => *other = json!(handled),
    }
    let error = Failure { code: ASSUMED_CODE.to_owned(), message: ASSUMED_TEXT.to_owned() };
    let fails = ActivityScript { error: Some(error), ..ActivityScript::default() };
    script.activities.insert(FAILS.to_owned(), fails);
    renamed(name, definition)
}

fn renamed(name: &str, mut definition: Value) -> (String, String) {
    definition["name"] = name.into();
    (format!("{name}.json"), definition.to_string())
}

/// Reads definitions as the model does, by their names without case.
fn definitions(files: &[(String, String)]) -> Result<BTreeMap<String, Value>, String> {
    let mut read = BTreeMap::new();
    for (file, text) in files {
        let text = text.trim_start_matches('\u{feff}');
        let mut definition: Value = serde_json::from_str(text).map_err(|error| format!("{file}: {error}"))?;
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file).trim_end_matches(".json");
        let name = definition["name"].as_str().unwrap_or(stem).to_lowercase();
        if !definition["properties"].is_object() {
            definition = json!({ "properties": definition });
        }
        read.insert(name, definition);
    }
    Ok(read)
}
