//! From a flow and its events to its story.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::forecast::Durations;
use crate::flow::{
    ActivitiesKept, ActivityRun, Event, Flow, Origin, Outcome, Recorded, RunStatus, StepError, StepRun,
    StepState, kept,
};
use crate::plan::{Step, StepId, StepIndex};
use crate::report::Beside;
use crate::report::json::{flow_state, step_state};
use crate::report::logs::rounds;
use crate::report::story::{
    ActivityStory, AttemptStory, Cause, ChildStory, DeadlineStory, ErrorStory, FlowEvent, FlowStory, Leg,
    StepStory, Story, VERSION, Wait, WaitKind, WorkspaceStory, path,
};
use crate::report::studio;
use crate::report::summary::{headline, next, stopped_by};
use crate::report::text::one_line;
use crate::report::wording::{error_line, lateness, run_of, spoken, took, went_wrong};
use crate::time::{Delay, Timestamp};

/// How many of the steps that a cause kept from starting are named.
const STOPPED_MAX: usize = 50;

/// How many causes a step without a run names.
const BECAUSE_MAX: usize = 5;

/// Waits shorter than this are the loop's own beat.
const WAIT_MIN: Delay = Delay::from_ms(50);

/// What is known besides the flow's own events.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What each step usually takes, by earlier flows.
    pub durations: Durations,
    /// How long the flow was expected to take by that.
    pub expected: Option<Delay>,
    /// How many earlier flows that comes from.
    pub earlier_flows: usize,
}

/// Tells a flow, which its events have made, as it stands at a time.
pub fn tell(flow: &Flow, events: &[Recorded], known: &Known, now: Timestamp) -> Story {
    let path = path::critical(flow, now);
    let critical: BTreeSet<StepIndex> = path.iter().map(|(step, _)| *step).collect();
    let (causes, because) = causes(flow);
    let told = Told {
        flow,
        known,
        now,
        queues: queues(events, now),
        resumes: resumes(events),
        kept: kept(events),
        critical,
        because,
    };
    Story {
        version: VERSION,
        synflow: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        steps: flow.steps().map(|(index, step, run)| told.step(index, step, run)).collect(),
        flow: flow_story(flow, events, known, &causes, now),
        causes,
        critical_path: path.into_iter().map(|(_, leg): (StepIndex, Leg)| leg).collect(),
    }
}

fn flow_story(
    flow: &Flow,
    events: &[Recorded],
    known: &Known,
    causes: &[Cause],
    now: Timestamp,
) -> FlowStory {
    let header = flow.header();
    let verdict = (flow.is_settled() || flow.waits_for_a_person()).then(|| flow.outcome());
    let begun = flow.started_at().unwrap_or(header.created_at);
    let deadline = flow.due().map(|due| DeadlineStory {
        at: due.at,
        missed: flow.is_late(now),
        text: lateness(flow, now).unwrap_or_default(),
    });
    let workspaces = flow.plan().workspaces.iter().map(|it| WorkspaceStory {
        key: it.key.clone(),
        name: it.name.clone(),
        endpoint: it.endpoint.clone(),
    });
    FlowStory {
        id: header.id.to_string(),
        plan: header.plan_name.clone(),
        description: flow.plan().description.clone(),
        environment: header.environment.clone(),
        emulated: header.emulated,
        run_key: header.run_key.clone(),
        state: flow_state(flow).to_owned(),
        outcome: verdict.map(|it| it.word().to_owned()),
        exit_code: flow.exit_code().or(verdict.map(crate::flow::FlowOutcome::exit_code)),
        headline: headline(flow, &Beside::default(), now).lines().next().unwrap_or_default().to_owned(),
        next: next(flow, causes.is_empty()),
        started_at: begun,
        ended_at: flow.ended_at(),
        elapsed_ms: flow.ended_at().or(flow.settled_at()).unwrap_or(now).since(begun),
        expected_ms: known.expected,
        earlier_flows: known.earlier_flows,
        deadline,
        counts: counts(flow),
        inputs: header.inputs.clone(),
        plan_file: header.plan_file.clone(),
        plan_sha256: header.plan_sha256.clone(),
        commit: header.commit.clone(),
        selected: header.selection.select.clone(),
        excluded: header.selection.exclude.clone(),
        max_parallel: header.max_parallel,
        workspaces: workspaces.collect(),
        events: events.iter().filter_map(of_flow).collect(),
    }
}

/// Counts the steps by what became of them.
fn counts(flow: &Flow) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, _, run) in flow.steps() {
        let word = match (run.outcome(), &run.state) {
            (Some(outcome), _) => outcome.word(),
            (None, StepState::Waiting | StepState::Barred { .. } | StepState::Ready) => "waiting",
            (None, _) => "running",
        };
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Tells an event of the flow as a whole; nothing of one that says no more than the flow does.
fn of_flow(recorded: &Recorded) -> Option<FlowEvent> {
    let (kind, text) = match &recorded.event {
        Event::CancelRequested => {
            ("cancel_requested", "a person asked for its end; nothing more starts".to_owned())
        }
        Event::Detached => ("detached", "synflow stopped looking; runs under way went on".to_owned()),
        Event::Resumed { redo, .. } => {
            let text = match redo.len() {
                0 => "a process took it up again".to_owned(),
                1 => "a process took it up again; 1 step began anew".to_owned(),
                count => format!("a process took it up again; {count} steps began anew"),
            };
            ("resumed", text)
        }
        Event::PlanChanged { plan_file, .. } => ("plan_changed", format!("it goes on by {plan_file}")),
        Event::DeadlineAtRisk { deadline, forecast } => {
            let late = forecast.since(*deadline).short();
            ("deadline_at_risk", format!("it was likely to end {late} after its deadline"))
        }
        Event::DeadlineMissed { .. } => ("deadline_missed", "its deadline passed".to_owned()),
        Event::GivenUp => ("given_up", "another flow of the plan was begun instead".to_owned()),
        _ => return None,
    };
    Some(FlowEvent { at: recorded.at, kind: kind.to_owned(), text })
}

/// Returns what went wrong by itself, and for each step without a run the steps that this is laid to.
fn causes(flow: &Flow) -> (Vec<Cause>, BTreeMap<StepIndex, Vec<StepIndex>>) {
    let mut found = Vec::new();
    let mut because: BTreeMap<StepIndex, Vec<StepIndex>> = BTreeMap::new();
    for (index, step, run) in flow.steps() {
        let Some(outcome) = run.outcome().filter(|it| went_wrong(*it) || *it == Outcome::Warned) else {
            continue;
        };
        let stopped = stopped_by(flow, index);
        for &other in &stopped {
            let causes = because.entry(other).or_default();
            if causes.len() < BECAUSE_MAX {
                causes.push(index);
            }
        }
        let allowed = went_wrong(outcome) && outcome != Outcome::Unknown && step.allow_failure;
        let place = match outcome {
            Outcome::Warned => 2,
            _ if allowed => 1,
            _ => 0,
        };
        let cause = Cause {
            step: step.id.to_string(),
            outcome: outcome.word().to_owned(),
            allowed,
            text: root_cause(step, run, outcome),
            stopped_count: stopped.len(),
            stopped: stopped.iter().take(STOPPED_MAX).map(|&it| flow.step(it).id.to_string()).collect(),
        };
        found.push((place, cause));
    }
    found.sort_by_key(|(place, _)| *place);
    (found.into_iter().map(|(_, cause)| cause).collect(), because)
}

/// Returns in one line what a step ended with, from the step down.
fn root_cause(step: &Step, run: &StepRun, outcome: Outcome) -> String {
    let id = one_line(step.id.as_str());
    match run.error() {
        Some(error) if error.activity.is_some() => format!("{id} > {}", error_line(error)),
        Some(error) => format!("{id}: {}", error_line(error)),
        None if run.reason.is_empty() => format!("{id}: {}", spoken(outcome)),
        None => format!("{id}: {}", one_line(&run.reason)),
    }
}

/// Returns when each attempt was in the service's queue, as far as it was seen there.
fn queues(events: &[Recorded], now: Timestamp) -> BTreeMap<(StepId, u32), Vec<(Timestamp, Timestamp)>> {
    let mut queues: BTreeMap<(StepId, u32), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut open: BTreeMap<(StepId, u32), Timestamp> = BTreeMap::new();
    for recorded in events {
        let Some((step, attempt)) = recorded.event.step().zip(recorded.event.attempt()) else { continue };
        let key = (step.clone(), attempt);
        let is_queued = matches!(recorded.event, Event::RunChanged { status: RunStatus::Queued, .. });
        if is_queued {
            open.entry(key).or_insert(recorded.at);
        } else if leaves_queue(&recorded.event)
            && let Some(since) = open.remove(&key)
        {
            queues.entry(key).or_default().push((since, recorded.at));
        }
    }
    for (key, since) in open {
        queues.entry(key).or_default().push((since, now));
    }
    queues
}

/// Says whether a run that was queued is no longer after this: one that is to be cancelled still is.
const fn leaves_queue(event: &Event) -> bool {
    matches!(event, Event::RunChanged { .. } | Event::RunEnded { .. } | Event::AttemptEnded { .. })
}

/// Returns when each step that was begun anew was.
fn resumes(events: &[Recorded]) -> BTreeMap<StepId, Vec<Timestamp>> {
    let mut resumes: BTreeMap<StepId, Vec<Timestamp>> = BTreeMap::new();
    for recorded in events {
        if let Event::Resumed { redo, .. } = &recorded.event {
            for step in redo {
                resumes.entry(step.clone()).or_default().push(recorded.at);
            }
        }
    }
    resumes
}

/// What the steps of a story are told from.
struct Told<'a> {
    flow: &'a Flow,
    known: &'a Known,
    now: Timestamp,
    queues: BTreeMap<(StepId, u32), Vec<(Timestamp, Timestamp)>>,
    resumes: BTreeMap<StepId, Vec<Timestamp>>,
    /// What the journal keeps of the activities of each attempt.
    kept: BTreeMap<(StepId, u32), &'a ActivitiesKept>,
    critical: BTreeSet<StepIndex>,
    because: BTreeMap<StepIndex, Vec<StepIndex>>,
}

impl Told<'_> {
    fn step(&self, index: StepIndex, step: &Step, run: &StepRun) -> StepStory {
        let flow = self.flow;
        let plan = flow.plan();
        let outputs = run.outputs().cloned().unwrap_or_default();
        let usual = self.known.durations.get(&(step.id.clone(), step.pipeline.clone())).copied();
        let because = self.because.get(&index).into_iter().flatten();
        StepStory {
            id: step.id.to_string(),
            group: step.group.map(|group| flow.step(group).id.to_string()),
            pipeline: step.pipeline.clone(),
            workspace: plan.workspaces[step.workspace].key.clone(),
            description: step.description.clone(),
            tags: step.tags.clone(),
            wave: flow.graph().wave(index) + 1,
            state: step_state(&run.state).to_owned(),
            outcome: run.outcome().map(|it| it.word().to_owned()),
            allow_failure: step.allow_failure,
            why: why(run),
            because: because.map(|&it| flow.step(it).id.to_string()).collect(),
            depends_on: step.depends_on.iter().map(|edge| plan.edge_text(edge)).collect(),
            started_at: run.attempts.first().map(|attempt| attempt.intended_at),
            ended_at: run.ended_at,
            elapsed_ms: took(run, self.now),
            usual_ms: usual,
            critical: self.critical.contains(&index),
            waits: self.waits(index, step, run),
            attempts: self.attempts(index, step, run),
            outputs: outputs.values,
            absent_outputs: outputs.absent,
        }
    }

    /// Returns when a step waited, in order.
    fn waits(&self, index: StepIndex, step: &Step, run: &StepRun) -> Vec<Wait> {
        let mut waits = Vec::new();
        let mut wait = |kind, from: Timestamp, to: Timestamp| {
            if to.since(from) >= WAIT_MIN {
                waits.push(Wait { kind, from, to });
            }
        };
        let begun = path::begun_at(run).or((run.state == StepState::Ready).then_some(self.now));
        if let Some(begun) = begun
            && let Some(ready) = path::ready_at(self.flow, index, begun)
        {
            // A step that was begun anew was not ready before that.
            let anew = self.resumes.get(&step.id).and_then(|at| at.iter().rfind(|at| **at <= begun));
            let before = run.attempts.get(run.old_attempts().wrapping_sub(1)).and_then(|it| it.ended_at);
            wait(
                WaitKind::Place,
                [Some(ready), anew.copied(), before].into_iter().flatten().max().unwrap_or(ready),
                begun,
            );
        }
        for (number, attempt) in run.attempts.iter().enumerate() {
            let queues = self.queues.get(&(step.id.clone(), attempt.number)).into_iter().flatten();
            queues.for_each(|&(from, to)| wait(WaitKind::Queue, from, to));
            let Some(ended) = attempt.ended_at else { continue };
            let next = run.attempts.get(number + 1).map(|next| next.intended_at);
            let anew = self.resumes.get(&step.id).into_iter().flatten();
            let anew = anew.copied().find(|at| *at >= ended && next.is_none_or(|next| *at <= next));
            match (anew, next, &run.state) {
                (Some(at), ..) => wait(WaitKind::Resume, ended, at),
                (None, Some(next), _) => wait(WaitKind::Retry, ended, next),
                (None, None, StepState::Retrying { .. }) => wait(WaitKind::Retry, ended, self.now),
                (None, None, _) => {}
            }
        }
        waits.sort_by_key(|wait| wait.from);
        waits
    }

    fn attempts(&self, index: StepIndex, step: &Step, run: &StepRun) -> Vec<AttemptStory> {
        let newest = run.attempts.len();
        let workspace = &self.flow.plan().workspaces[step.workspace];
        let is_emulated = self.flow.header().emulated;
        let link = |run: &str| if is_emulated { None } else { studio::link(&workspace.endpoint, run) };
        let attempts = run.attempts.iter().enumerate().map(|(at, attempt)| {
            let run_id = if at + 1 == newest {
                run_of(self.flow.run(index))
            } else {
                attempt.started_at.map(|_| attempt.run)
            };
            let run_id = run_id.map(|run| run.to_string());
            let kept = self.kept.get(&(step.id.clone(), attempt.number));
            AttemptStory {
                number: attempt.number,
                studio: run_id.as_deref().and_then(link),
                run_id,
                status: attempt.status.as_ref().map(RunStatus::to_string),
                outcome: attempt.outcome.map(|it| it.word().to_owned()),
                intended_at: attempt.intended_at,
                started_at: attempt.started_at,
                ended_at: attempt.ended_at,
                run_start: attempt.run_start,
                run_end: attempt.run_end,
                adopted: attempt.origin != Origin::Answered,
                sends: attempt.sends,
                parameters: attempt.parameters.clone(),
                from_activity: attempt.recovery.as_ref().map(|it| it.activity.clone()),
                error: attempt.error.as_ref().map(error_story),
                activities: kept.map(|kept| activities(&kept.rows, &link)).unwrap_or_default(),
                activities_left_out: kept.map_or(0, |kept| kept.left_out),
            }
        });
        attempts.collect()
    }
}

/// Returns why a step ended as it did, in one line.
fn why(run: &StepRun) -> Option<String> {
    let told = match (run.error(), &run.state) {
        (Some(error), _) => error_line(error),
        (None, StepState::Barred { reason, .. }) => one_line(reason),
        (None, _) => one_line(&run.reason),
    };
    (!told.is_empty()).then_some(told)
}

/// Tells activities in the order in which they began, with those of the runs that they started.
fn activities(rows: &[ActivityRun], link: &dyn Fn(&str) -> Option<String>) -> Vec<ActivityStory> {
    let rounds = rounds(rows.iter().map(|row| row.iteration.as_str()));
    let mut told: Vec<ActivityStory> = rows
        .iter()
        .map(|row| ActivityStory {
            name: row.name.clone(),
            kind: row.kind.clone(),
            status: row.status.clone(),
            round: rounds.get(row.iteration.as_str()).copied(),
            start: row.start,
            end: row.end,
            error: row.error.as_ref().map(error_story),
            child: row.child.as_deref().map(|child| {
                let run_id = child.run.to_string();
                ChildStory {
                    studio: link(&run_id),
                    run_id,
                    pipeline: child.pipeline.clone(),
                    activities: activities(&child.activities, link),
                }
            }),
        })
        .collect();
    told.sort_by_key(|it| (it.start.is_none(), it.start));
    told
}

fn error_story(error: &StepError) -> ErrorStory {
    ErrorStory {
        code: error.code.clone(),
        message: error.message.clone(),
        activity: error.activity.clone(),
        via: error.via.clone(),
    }
}
