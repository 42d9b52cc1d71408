//! `synflow logs STEP`: what the runs of a step did, from the journal and, where it must, from the workspace.

use std::collections::BTreeMap;

use crate::cli::args::{Logs, Output};
use crate::cli::connect::{self, Connections};
use crate::cli::failure::{Exit, Failure};
use crate::cli::find::find_step;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{block_on, load, own, put_value, secrets};
use crate::driver::{hide, now, read_all_activities, sent};
use crate::flow::{ActivitiesKept, Attempt, Flow, kept};
use crate::plan::{StepId, StepIndex, StepKind};
use crate::report::logs::{self, AttemptLog, StepLog, Told};
use crate::time::Delay;

/// How many child runs of one run are read.
const CHILDREN_MAX: usize = 50;

/// How many iterations of a step are shown.
const ITERATIONS_MAX: usize = 50;

/// How long reading the secrets may take that must not be shown; then what may hold one is withheld.
const RECALL_MAX: Delay = Delay::from_secs(20);

/// Prints the logs. What is over is told from the journal, unless `--live`; what is under way by the workspace.
///
/// Fails with exit 2 if the name fits no flow or several, or the flow has no such step or attempt, with 12 if the journal
/// cannot be read, and, after what the journal has is printed, with 10 or 11 if the workspace cannot be asked.
pub(super) fn run(args: &Logs, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal_to_read(settings)?;
    let header = journal.find(args.flow.as_deref())?;
    let is_driven = own::is_driven(&mut journal, &header)?;
    let flow = load::flow(&mut journal, &header.id)?;
    let step = find_step(&flow, &args.step)?;
    let events = journal.events(&header.id)?;
    drop(journal);
    let kept = kept(&events);
    let steps = wanted(&flow, step);
    let all = steps.len();
    let steps: Vec<StepIndex> = steps.into_iter().take(ITERATIONS_MAX).collect();
    let mut logs: Vec<StepLog<'_>> =
        steps.iter().map(|&step| from_journal(&flow, step, &kept, args)).collect();
    if args.attempt.is_some() && logs.iter().all(|log| log.attempts.is_empty()) {
        return Err(no_attempt(&flow, step, args.attempt.unwrap_or_default()));
    }
    let asked = if flow.header().emulated {
        note_emulated(&mut logs, is_driven);
        Ok(())
    } else {
        ask(&flow, &mut logs, args, settings)
    };
    put_value(&logs::value(&flow, &logs), args.output, || logs::text(&flow, &logs, now()))?;
    if let (Some(more), Output::Text) = (logs::too_many(steps.len(), all), args.output) {
        tell(&more);
    }
    asked
}

/// Returns the steps that are meant: of a group, its iterations.
fn wanted(flow: &Flow, step: StepIndex) -> Vec<StepIndex> {
    match &flow.step(step).kind {
        StepKind::Group { members, .. } => members.clone().map(StepIndex).collect(),
        StepKind::Run | StepKind::Barrier => vec![step],
    }
}

fn no_attempt(flow: &Flow, step: StepIndex, number: u32) -> Failure {
    let count = flow.run(step).attempts.len();
    let has = match count {
        0 => "it has none".to_owned(),
        1 => "it has one".to_owned(),
        several => format!("it has {several}"),
    };
    Failure::new(Exit::Usage, format!("`{}` has no attempt {number}", flow.step(step).id)).because(has)
}

fn from_journal<'a>(
    flow: &'a Flow,
    step: StepIndex,
    kept: &BTreeMap<(StepId, u32), &ActivitiesKept>,
    args: &Logs,
) -> StepLog<'a> {
    let id = &flow.step(step).id;
    let attempts = flow.run(step).attempts.iter();
    let attempts = attempts.filter(|attempt| args.attempt.is_none_or(|number| number == attempt.number));
    let log = |attempt: &'a Attempt| {
        let kept = kept.get(&(id.clone(), attempt.number));
        let note = (kept.is_none() && has_run(attempt) && attempt.ended_at.is_some())
            .then(|| "the journal keeps no activities of it; `--live` asks the workspace".to_owned());
        AttemptLog { attempt, told: kept.map(|kept| Told::kept(kept)).unwrap_or_default(), note }
    };
    StepLog { step, attempts: attempts.map(log).collect() }
}

fn has_run(attempt: &Attempt) -> bool {
    attempt.started_at.is_some()
}

/// Says of attempts whose workspace was emulated why nobody is asked.
fn note_emulated(logs: &mut [StepLog<'_>], is_driven: bool) {
    let note = if is_driven {
        "its workspace is emulated inside the process that runs the flow, and nobody else can ask it"
    } else {
        "its workspace was emulated and ended with its process: the journal is all there is"
    };
    for log in logs.iter_mut().flat_map(|log| &mut log.attempts) {
        if log.note.is_some() || has_run(log.attempt) && log.attempt.ended_at.is_none() {
            log.note = Some(note.to_owned());
        }
    }
}

/// Asks the workspaces about the attempts that the journal cannot tell of, or about all.
///
/// Fails at the first that cannot be asked; what was told until then stands in the logs.
fn ask(flow: &Flow, logs: &mut [StepLog<'_>], args: &Logs, settings: &Settings) -> Result<(), Failure> {
    let is_open =
        |log: &AttemptLog<'_>| has_run(log.attempt) && (args.live || log.attempt.ended_at.is_none());
    if !logs.iter().flat_map(|log| &log.attempts).any(is_open) {
        return Ok(());
    }
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let secrets = secrets::prepare(&mut connections, &flow.header().plan_file, 0)?;
    block_on(async {
        // What a step was sent may stand in the run of another one.
        secrets.recall(&sent(flow), RECALL_MAX).await;
        for log in logs.iter_mut() {
            let place = flow.step(log.step);
            let workspace = &flow.plan().workspaces[place.workspace];
            let client = connections.client(workspace, connect::ASKING)?;
            for log in log.attempts.iter_mut().filter(|log| is_open(log)) {
                match read_all_activities(&client, &place.pipeline, log.attempt.run, CHILDREN_MAX).await {
                    Ok(mut read) => {
                        let below = read.below.values_mut().map(|child| &mut child.rows);
                        for rows in [&mut read.rows].into_iter().chain(below) {
                            hide(&secrets, workspace.cloud, &log.attempt.secrets, rows);
                        }
                        log.told = Told::live(&read, args.live);
                        log.note = None;
                    }
                    Err(failure) => {
                        log.note = Some(format!("the workspace could not be asked: {failure}"));
                        return Err(connect::unusable(workspace, &failure));
                    }
                }
            }
        }
        Ok(())
    })
}
