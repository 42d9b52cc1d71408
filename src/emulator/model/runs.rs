//! All runs of a workspace: starting, queueing, cancelling, ending, and the agenda that moves them in time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::definition::{Definition, longest};
use super::expression::{as_text, member};
use super::generator::Generator;
use super::run::{Invoker, Run, Status};
use super::store::Store;
use super::walk::{ChildEnd, Ground, Pace, Walk, Want};
use crate::emulator::model::script::{RunOutcome, RunScript, Script};
use crate::time::{Delay, Timestamp};

/// How many runs may wait for their pipeline's `concurrency` (protocol 7).
const WAITING_MAX: usize = 100;
/// How deep pipelines may call each other before the emulator calls it a circle.
const DEPTH_MAX: usize = 20;
/// The service's words when the queue is full (protocol 6.3).
const THROTTLED: &str = "Pipeline execution throttled. If the concurrency value is set for a pipeline, a maximum of \
                         100 runs will be queued for execution.";

/// Every run ever accepted, and what happens next.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) all: Vec<Run>,
    by_id: BTreeMap<String, usize>,
    /// What happens when; the number keeps the order of one millisecond.
    agenda: BTreeMap<(Timestamp, u64), Due>,
    planned: u64,
    /// Runs under way, and runs that wait for them, by pipeline.
    active: BTreeMap<String, usize>,
    waiting: BTreeMap<String, VecDeque<usize>>,
    /// Which entries of a pipeline's `runs` have served.
    served: BTreeMap<String, Vec<bool>>,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Begin(usize),
    Row(usize, usize),
    Retry {
        run: usize,
        block: usize,
        index: usize,
    },
    End(usize),
    /// Somebody in Synapse Studio cancels it.
    Cancel(usize),
    Cancelled(usize),
}

/// The rest of the workspace, as runs need it.
pub(super) struct World<'a> {
    pub(super) store: &'a Store,
    pub(super) script: &'a Script,
    pub(super) ids: &'a mut Generator,
}

/// A run to be made.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) pipeline: String,
    pub(super) given: Map<String, Value>,
    pub(super) invoker: Invoker,
    pub(super) depth: usize,
    pub(super) recovery: Option<Recovery>,
}

/// What a recovery takes from the run it refers to.
pub(super) struct Recovery {
    pub(super) of: usize,
    pub(super) taken_over: BTreeSet<String>,
}

impl Runs {
    /// Returns the run of this id, without regard to case.
    pub(super) fn find(&self, id: &str) -> Option<&Run> {
        self.by_id.get(&id.to_lowercase()).map(|place| &self.all[*place])
    }

    /// Returns the run of this id, to be changed.
    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.by_id.get(&id.to_lowercase()).map(|place| &mut self.all[*place])
    }

    /// Returns when the next thing happens by itself.
    pub(super) fn next_change(&self) -> Option<Timestamp> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Lets happen whatever was due until `now`.
    pub(super) fn advance(&mut self, now: Timestamp, world: &mut World<'_>) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let at = entry.key().0;
            match entry.remove() {
                Due::Begin(run) => self.begin(run, at, world),
                Due::Row(run, row) => self.walk_on(run, at, world, |walk, ground| walk.wake(row, ground)),
                Due::Retry { run, block, index } => {
                    self.walk_on(run, at, world, |walk, ground| walk.retry(block, index, ground));
                }
                Due::End(run) => self.end(run, at, world),
                Due::Cancel(run) => {
                    let id = self.all[run].id.clone();
                    self.cancel(&id, true, at, world.script);
                }
                Due::Cancelled(run) => self.cancelled(run, at, world),
            }
        }
    }

    /// Accepts a run. Returns its place.
    pub(super) fn start(&mut self, order: Order, now: Timestamp, world: &mut World<'_>) -> usize {
        let number = self.all.len();
        let behaviour = self.behaviour(&order, world.script);
        let definition = world
            .store
            .get(&order.pipeline)
            .unwrap_or_else(|| Arc::new(Definition::invented(behaviour.activities.keys())));
        let (shown, group_id) = match &order.recovery {
            None => (order.given.clone(), order.id.clone()),
            Some(recovery) => {
                let first = &self.all[recovery.of];
                (first.shown.clone(), first.group_id.clone())
            }
        };
        for older in self.all.iter_mut().filter(|run| order.recovery.is_some() && run.group_id == group_id) {
            older.is_latest = false;
        }
        let (taken_over, outputs) = order.recovery.as_ref().map_or_else(Default::default, |recovery| {
            let rows = self.all[recovery.of].walk.rows.iter();
            let outputs = rows.map(|row| (row.name.clone(), row.output.clone())).collect();
            (recovery.taken_over.clone(), outputs)
        });
        let speed = world.script.speed;
        let queued = speed.shorten(behaviour.queued.unwrap_or(world.script.defaults.queued).0);
        let run = Run {
            number,
            group_id,
            pipeline: world.store.spelling(&order.pipeline).unwrap_or(&order.pipeline).to_owned(),
            parameters: effective(&definition, &order.given),
            shown,
            walk: Walk::new(&definition),
            pace: pace(&definition, &behaviour, world.script),
            definition,
            behaviour,
            status: Status::Queued,
            accepted_at: now,
            in_progress_at: None,
            ended_at: None,
            updated_at: now,
            message: None,
            failure: None,
            invoker: order.invoker,
            is_latest: true,
            is_active: false,
            taken_over,
            outputs,
            depth: order.depth,
            repeats: 0,
            id: order.id,
        };
        self.by_id.insert(run.id.to_lowercase(), number);
        self.all.push(run);
        self.plan(now + queued, Due::Begin(number));
        number
    }

    /// Cancels a run and, if asked, all it called. Finished runs are left as they are.
    pub(super) fn cancel(&mut self, id: &str, is_recursive: bool, now: Timestamp, script: &Script) -> bool {
        let Some(first) = self.by_id.get(&id.to_lowercase()) else { return false };
        let mut to_cancel = vec![*first];
        while let Some(place) = to_cancel.pop() {
            let run = &mut self.all[place];
            if is_recursive {
                let children = run.walk.rows.iter().filter_map(|row| row.child.as_ref());
                to_cancel.extend(children.filter_map(|child| self.by_id.get(child)));
            }
            if run.status.is_terminal() || run.status == Status::Canceling {
                continue;
            }
            run.status = Status::Canceling;
            run.message = Some(String::new());
            run.updated_at = now;
            let scripted = run.behaviour.cancel.as_ref().and_then(|cancel| cancel.after);
            let lasts = script.speed.shorten(scripted.unwrap_or(script.defaults.canceling).0);
            if let Some(queue) = self.waiting.get_mut(&run.pipeline) {
                queue.retain(|other| *other != place);
            }
            self.plan(now + lasts, Due::Cancelled(place));
        }
        true
    }

    fn plan(&mut self, at: Timestamp, due: Due) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), due);
    }

    /// Finds what the script says of this run: the first entry that fits and has not served, else the last that fits.
    fn behaviour(&mut self, order: &Order, script: &Script) -> RunScript {
        let Some(pipeline) = script.pipelines.get(&order.pipeline) else { return RunScript::default() };
        let served = self.served.entry(order.pipeline.clone()).or_default();
        served.resize(pipeline.runs.len(), false);
        let fits = |run: &RunScript| {
            run.when.iter().all(|(name, value)| {
                order.given.get(name).is_some_and(|given| as_text(given) == as_text(value))
            })
        };
        let fitting: Vec<usize> = (0..pipeline.runs.len()).filter(|at| fits(&pipeline.runs[*at])).collect();
        let chosen = fitting.iter().find(|at| !served[**at]).or_else(|| fitting.last()).copied();
        if let Some(chosen) = chosen {
            served[chosen] = true;
        }
        pipeline.overlaid(chosen.map(|at| &pipeline.runs[at]))
    }

    /// Lets a queued run begin, or wait for its pipeline's `concurrency`.
    fn begin(&mut self, place: usize, now: Timestamp, world: &mut World<'_>) {
        let run = &self.all[place];
        if run.status != Status::Queued {
            return;
        }
        let under_way = self.active.get(&run.pipeline).copied().unwrap_or(0);
        if run.definition.concurrency.is_some_and(|limit| under_way >= limit) {
            let queue = self.waiting.entry(run.pipeline.clone()).or_default();
            if queue.len() < WAITING_MAX {
                queue.push_back(place);
            } else {
                self.finish(place, Status::Failed, THROTTLED.to_owned(), now, world);
            }
            return;
        }
        self.begin_now(place, now, world);
    }

    fn begin_now(&mut self, place: usize, now: Timestamp, world: &mut World<'_>) {
        let run = &mut self.all[place];
        run.status = Status::InProgress;
        run.message = Some(String::new());
        run.in_progress_at = Some(now);
        run.updated_at = now;
        run.is_active = true;
        *self.active.entry(run.pipeline.clone()).or_default() += 1;
        let cancelled = run.behaviour.cancel.as_ref().and_then(|cancel| cancel.at);
        let cancelled_at = cancelled.map(|length| now + world.script.speed.shorten(length.0));
        let outputs = std::mem::take(&mut run.outputs);
        let wants = on_walk(run, now, world, |walk, ground| walk.begin(ground, outputs));
        self.carry_out(place, wants, now, world);
        if let Some(at) = cancelled_at {
            self.plan(at, Due::Cancel(place));
        }
    }

    /// Takes a running run a step further. One that is being cancelled goes no further.
    fn walk_on(
        &mut self,
        place: usize,
        now: Timestamp,
        world: &mut World<'_>,
        step: impl FnOnce(&mut Walk, &mut Ground<'_>) -> Vec<Want>,
    ) {
        let run = &mut self.all[place];
        if run.status != Status::InProgress {
            return;
        }
        run.updated_at = now;
        let wants = on_walk(run, now, world, step);
        self.carry_out(place, wants, now, world);
    }

    fn carry_out(&mut self, place: usize, wants: Vec<Want>, now: Timestamp, world: &mut World<'_>) {
        for want in wants {
            match want {
                Want::Wake { row, at } => self.plan(at, Due::Row(place, row)),
                Want::Retry { block, index, at } => self.plan(at, Due::Retry { run: place, block, index }),
                Want::Call { row, pipeline, parameters, waits } => {
                    self.call(place, row, &pipeline, parameters, waits, now, world);
                }
                Want::Ended { failure } => {
                    let run = &mut self.all[place];
                    run.failure = failure;
                    if run.behaviour.outcome == Some(RunOutcome::Stuck) {
                        continue;
                    }
                    let length = run.behaviour.duration.unwrap_or(world.script.defaults.duration).0;
                    let least = run.in_progress_at.unwrap_or(now) + world.script.speed.shorten(length);
                    // A failed run ends with its failure; a good one takes the time it was given.
                    let at = if run.failure.is_some() { now } else { least.max(now) };
                    self.plan(at, Due::End(place));
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one want, taken apart by its only caller")]
    fn call(
        &mut self,
        place: usize,
        row: usize,
        pipeline: &str,
        parameters: Map<String, Value>,
        waits: bool,
        now: Timestamp,
        world: &mut World<'_>,
    ) {
        let parent = &mut self.all[place];
        let is_known = world.store.get(pipeline).is_some() || world.script.pipelines.contains_key(pipeline);
        if !is_known {
            // A file of a pipeline whose child was not given: the activity takes its time and goes well.
            let at = now + parent.pace.share;
            self.plan(at, Due::Row(place, row));
            return;
        }
        if parent.depth >= DEPTH_MAX {
            let message = format!("Pipelines call each other more than {DEPTH_MAX} deep.");
            let end = ChildEnd { succeeded: false, message: &message, returned: &Map::new() };
            let next = on_walk(parent, now, world, |walk, ground| walk.child_ended(row, &end, ground));
            self.carry_out(place, next, now, world);
            return;
        }
        let order = Order {
            id: world.ids.guid(),
            pipeline: pipeline.to_owned(),
            given: parameters,
            invoker: Invoker::Activity {
                run: place,
                row: if waits { row } else { usize::MAX },
                activity_run_id: parent.walk.rows[row].id.clone(),
                pipeline: parent.pipeline.clone(),
                run_id: parent.id.clone(),
            },
            depth: parent.depth + 1,
            recovery: None,
        };
        parent.walk.child_began(row, &order.id, pipeline);
        let at = now + parent.pace.instant;
        self.start(order, now, world);
        if !waits {
            self.plan(at, Due::Row(place, row));
        }
    }

    /// Ends a run whose activities have ended.
    fn end(&mut self, place: usize, now: Timestamp, world: &mut World<'_>) {
        let run = &mut self.all[place];
        if run.status != Status::InProgress {
            return;
        }
        let failure = run.failure.take();
        let text = run.behaviour.message.clone();
        let (status, message) = match (run.behaviour.outcome, failure) {
            (Some(RunOutcome::Cancelled), _) => (Status::Cancelled, String::new()),
            (_, Some(failure)) => (Status::Failed, text.unwrap_or(failure)),
            (Some(RunOutcome::Failed), None) => {
                let error = run.behaviour.error.as_ref().map_or("", |error| error.message.as_str());
                let culprit = run.walk.culprit().unwrap_or("Activity1");
                (
                    Status::Failed,
                    text.unwrap_or_else(|| format!("Operation on target {culprit} failed: {error}")),
                )
            }
            (_, None) => (Status::Succeeded, String::new()),
        };
        self.finish(place, status, message, now, world);
    }

    /// Ends a cancelled run, or lets it win the race if the script says so.
    fn cancelled(&mut self, place: usize, now: Timestamp, world: &mut World<'_>) {
        let run = &mut self.all[place];
        let outcome = run.behaviour.cancel.as_ref().and_then(|cancel| cancel.outcome);
        let (status, message) = match outcome {
            Some(RunOutcome::Succeeded) => (Status::Succeeded, String::new()),
            Some(RunOutcome::Failed) => {
                let text = run.behaviour.message.clone();
                (Status::Failed, text.unwrap_or_else(|| "Operation on target Activity1 failed: ".to_owned()))
            }
            // A run whose cancel never ends.
            Some(RunOutcome::Stuck) => return,
            Some(RunOutcome::Cancelled) | None => (Status::Cancelled, String::new()),
        };
        self.finish(place, status, message, now, world);
    }

    fn finish(
        &mut self,
        place: usize,
        status: Status,
        message: String,
        now: Timestamp,
        world: &mut World<'_>,
    ) {
        let run = &mut self.all[place];
        run.status = status;
        run.message = Some(message);
        run.ended_at = Some(now);
        run.updated_at = now;
        run.walk.stop(now);
        let was_active = std::mem::take(&mut run.is_active);
        let pipeline = run.pipeline.clone();
        self.tell_caller(place, now, world);
        if was_active {
            self.give_place(&pipeline, now, world);
        }
    }

    /// Lets the run that has waited longest for its pipeline begin in the place of one that ended.
    fn give_place(&mut self, pipeline: &str, now: Timestamp, world: &mut World<'_>) {
        if let Some(count) = self.active.get_mut(pipeline) {
            *count = count.saturating_sub(1);
        }
        // At once, not by the agenda: a run that arrives in this millisecond must not go first.
        if let Some(next) = self.waiting.get_mut(pipeline).and_then(VecDeque::pop_front) {
            self.begin_now(next, now, world);
        }
    }

    /// Ends the Execute Pipeline activity that waits for this run.
    fn tell_caller(&mut self, place: usize, now: Timestamp, world: &mut World<'_>) {
        let child = &self.all[place];
        let Invoker::Activity { run, row, .. } = child.invoker else { return };
        if row == usize::MAX {
            return;
        }
        let succeeded = child.status == Status::Succeeded;
        let message = match child.status {
            Status::Cancelled => "The called pipeline was cancelled.".to_owned(),
            _ => child.message.clone().unwrap_or_default(),
        };
        let returned = child.walk.returned.clone();
        let parent = &mut self.all[run];
        if parent.status != Status::InProgress {
            return;
        }
        parent.updated_at = now;
        let end = ChildEnd { succeeded, message: &message, returned: &returned };
        let wants = on_walk(parent, now, world, |walk, ground| walk.child_ended(row, &end, ground));
        self.carry_out(run, wants, now, world);
    }
}

/// Lends a run's walk what it needs to know of the run.
fn on_walk(
    run: &mut Run,
    now: Timestamp,
    world: &mut World<'_>,
    step: impl FnOnce(&mut Walk, &mut Ground<'_>) -> Vec<Want>,
) -> Vec<Want> {
    let mut ground = Ground {
        now,
        run_id: &run.id,
        pipeline: &run.pipeline,
        definition: &run.definition,
        parameters: &run.parameters,
        behaviour: &run.behaviour,
        pace: run.pace,
        taken_over: &run.taken_over,
        ids: world.ids,
    };
    step(&mut run.walk, &mut ground)
}

/// Returns the parameters as activities read them: those given, and the defaults of the others.
fn effective(definition: &Definition, given: &Map<String, Value>) -> Map<String, Value> {
    let mut all = given.clone();
    for parameter in &definition.parameters {
        if let Some(default) = parameter.default.as_ref().filter(|_| member(given, &parameter.name).is_none())
        {
            all.insert(parameter.name.clone(), default.clone());
        }
    }
    all
}

/// Shares a run's length among the activities that follow each other.
fn pace(definition: &Definition, behaviour: &RunScript, script: &Script) -> Pace {
    let whole = behaviour.duration.unwrap_or(script.defaults.duration).0;
    let steps = longest(&definition.activities).max(1);
    let share = Delay::from_ms(whole.as_ms() / steps);
    Pace {
        speed: script.speed,
        share: script.speed.shorten(share),
        instant: script.speed.shorten(script.defaults.instant.0),
    }
}
