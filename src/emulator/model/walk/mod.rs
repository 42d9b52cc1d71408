//! One run's way through its definition: which activity is under way, how each ended, how the run ends.
//!
//! Knows nothing of other runs and of the service. What it needs from outside comes in as [`Ground`]; what must
//! happen later goes out as [`Want`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::judge::last_of_good_way;
use self::start::fails_by_script;
use super::definition::{Activity, Definition, Ending};
use super::expression::{member, parameter_not_found};
use super::generator::Generator;
use crate::emulator::model::script::{Failure, RunOutcome, RunScript, Speed};
use crate::time::{Delay, Timestamp};

mod judge;
mod start;

/// A run's activities so far.
#[derive(Debug)]
pub(super) struct Walk {
    /// Activity runs in the order they began.
    pub(super) rows: Vec<Row>,
    /// What the run returns.
    pub(super) returned: Map<String, Value>,
    blocks: Vec<Block>,
    variables: Map<String, Value>,
    outputs: BTreeMap<String, Value>,
    /// The top-level activity that the script singles out, by failing the run or leaving it stuck.
    target: Option<usize>,
}

/// What a walk needs to know of its run.
pub(super) struct Ground<'a> {
    pub(super) now: Timestamp,
    pub(super) run_id: &'a str,
    pub(super) pipeline: &'a str,
    pub(super) definition: &'a Definition,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) behaviour: &'a RunScript,
    pub(super) pace: Pace,
    /// Top-level activities a recovery takes over from the run it refers to.
    pub(super) taken_over: &'a BTreeSet<String>,
    pub(super) ids: &'a mut Generator,
}

/// Lengths at the script's speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) speed: Speed,
    /// An activity that says nothing of its own.
    pub(super) share: Delay,
    pub(super) instant: Delay,
}

/// One activity run.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) status: &'static str,
    pub(super) start: Timestamp,
    pub(super) end: Option<Timestamp>,
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) error: Option<Failure>,
    pub(super) iteration: String,
    pub(super) user_properties: Value,
    /// Which retry it is; 0 is the first try.
    pub(super) retry: u64,
    pub(super) child: Option<String>,
    /// Whether nobody may see its output.
    pub(super) hides_output: bool,
    block: usize,
    index: usize,
    /// What it will end with.
    fails: Option<Failure>,
    /// Items of a For Each not begun yet, and how many iterations may be open.
    pending: VecDeque<(usize, Value)>,
    at_once: usize,
    open: usize,
}

/// Something for the service to do.
#[derive(Debug, PartialEq)]
pub(super) enum Want {
    /// Call [`Walk::wake`] then.
    Wake { row: usize, at: Timestamp },
    /// Call [`Walk::retry`] then.
    Retry { block: usize, index: usize, at: Timestamp },
    /// Start a run of another pipeline and, if the row waits, tell when it ended.
    Call { row: usize, pipeline: String, parameters: Map<String, Value>, waits: bool },
    /// The last activity has ended: the run's failure text, or none.
    Ended { failure: Option<String> },
}

/// How a called run ended.
pub(super) struct ChildEnd<'a> {
    pub(super) succeeded: bool,
    pub(super) message: &'a str,
    pub(super) returned: &'a Map<String, Value>,
}

/// Activities that run together: the pipeline's, or those of a branch or an iteration.
#[derive(Debug)]
struct Block {
    owner: Option<usize>,
    activities: Arc<[Activity]>,
    states: Vec<State>,
    /// How often each was tried again.
    retries: Vec<u64>,
    item: Option<Value>,
    iteration: String,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended(Ending, Option<usize>),
}

impl Walk {
    pub(super) fn new(definition: &Definition) -> Self {
        Self {
            rows: Vec::new(),
            returned: Map::new(),
            blocks: Vec::new(),
            variables: definition.variables.clone(),
            outputs: BTreeMap::new(),
            target: None,
        }
    }

    /// Starts the activities that wait for nothing.
    pub(super) fn begin(&mut self, ground: &mut Ground<'_>, outputs: BTreeMap<String, Value>) -> Vec<Want> {
        self.outputs = outputs;
        let activities = Arc::clone(&ground.definition.activities);
        let fails = matches!(ground.behaviour.outcome, Some(RunOutcome::Failed | RunOutcome::Stuck));
        let by_name = ground.behaviour.activities.values().any(fails_by_script);
        if fails && !by_name {
            self.target = last_of_good_way(&activities);
        }
        self.returned = ground.behaviour.return_value.clone();
        let top = self.open_block(None, activities, None, String::new());
        self.work(vec![top], ground)
    }

    /// Ends an activity whose time is over.
    pub(super) fn wake(&mut self, row: usize, ground: &mut Ground<'_>) -> Vec<Want> {
        if self.rows[row].end.is_some() {
            return Vec::new();
        }
        if let Some(again) = self.fail_for_now(row, ground) {
            return vec![again];
        }
        let todo = self.end_row(row, ground);
        self.work(vec![todo], ground)
    }

    /// Tries a failed activity again: another row of the same name.
    pub(super) fn retry(&mut self, block: usize, index: usize, ground: &mut Ground<'_>) -> Vec<Want> {
        let (mut wants, mut todo) = (Vec::new(), Vec::new());
        self.start(block, index, ground, &mut wants, &mut todo);
        wants.extend(self.work(todo, ground));
        wants
    }

    /// Ends an Execute Pipeline activity whose run has ended.
    pub(super) fn child_ended(
        &mut self,
        row: usize,
        child: &ChildEnd<'_>,
        ground: &mut Ground<'_>,
    ) -> Vec<Want> {
        if self.rows[row].end.is_some() {
            return Vec::new();
        }
        if let Some(output) = self.rows[row].output.as_object_mut() {
            output.insert("pipelineReturnValue".to_owned(), Value::Object(child.returned.clone()));
        }
        if !child.succeeded && self.rows[row].fails.is_none() {
            // As users of Data Factory quote it: github.com/MicrosoftDocs/azure-docs/issues/35314.
            let failure = Failure { code: "BadRequest".to_owned(), message: child.message.to_owned() };
            self.rows[row].fails = Some(failure);
        }
        let todo = self.end_row(row, ground);
        self.work(vec![todo], ground)
    }

    /// Notes the run that an Execute Pipeline activity started; one that does not wait ends at once.
    pub(super) fn child_began(&mut self, row: usize, run_id: &str, pipeline: &str) {
        self.rows[row].child = Some(run_id.to_owned());
        self.rows[row].output =
            json!({ "pipelineName": pipeline, "pipelineRunId": run_id, "pipelineReturnValue": {} });
    }

    /// Ends everything under way, as a cancel does.
    pub(super) fn stop(&mut self, now: Timestamp) {
        for row in self.rows.iter_mut().filter(|row| row.end.is_none()) {
            row.end = Some(now);
            row.status = "Cancelled";
        }
    }

    /// Returns the name of the activity that answers for a failure nobody named.
    pub(super) fn culprit(&self) -> Option<&str> {
        self.rows.last().map(|row| row.name.as_str())
    }

    fn open_block(
        &mut self,
        owner: Option<usize>,
        activities: Arc<[Activity]>,
        item: Option<Value>,
        iteration: String,
    ) -> usize {
        let states = vec![State::Waiting; activities.len()];
        let retries = vec![0; activities.len()];
        self.blocks.push(Block { owner, activities, states, retries, item, iteration, is_closed: false });
        self.blocks.len() - 1
    }

    /// Starts and skips whatever can be, closes blocks that are done, until nothing moves.
    fn work(&mut self, mut todo: Vec<usize>, ground: &mut Ground<'_>) -> Vec<Want> {
        let mut wants = Vec::new();
        while let Some(block) = todo.pop() {
            while let Some((index, starts)) = self.ready(block) {
                if starts {
                    self.start(block, index, ground, &mut wants, &mut todo);
                } else {
                    self.skip(block, index, ground);
                }
            }
            let states = &self.blocks[block].states;
            let is_done = states.iter().all(|state| matches!(state, State::Ended(..)));
            if is_done && !self.blocks[block].is_closed {
                self.blocks[block].is_closed = true;
                self.close(block, ground, &mut wants, &mut todo);
            }
        }
        wants
    }

    /// Finds a waiting activity whose dependencies have all ended, and whether they ended as it wants.
    fn ready(&self, block: usize) -> Option<(usize, bool)> {
        let block = &self.blocks[block];
        let ending_of = |name: &str| {
            let found = block.activities.iter().position(|other| other.name == name)?;
            Some(block.states[found])
        };
        for (index, activity) in block.activities.iter().enumerate() {
            if block.states[index] != State::Waiting {
                continue;
            }
            // A dependency on nothing is no dependency: files are read leniently.
            let upstreams: Vec<(bool, bool)> = activity
                .depends_on
                .iter()
                .filter_map(|dependency| match ending_of(&dependency.activity)? {
                    State::Ended(ending, _) => Some((true, dependency.is_met(ending))),
                    State::Waiting | State::Running => Some((false, false)),
                })
                .collect();
            if upstreams.iter().all(|(ended, _)| *ended) {
                return Some((index, upstreams.iter().all(|(_, met)| *met)));
            }
        }
        // Activities that wait for each other would wait for ever: the service refuses such a file.
        let is_stuck = !block.states.contains(&State::Running);
        let waiting = block.states.iter().position(|state| *state == State::Waiting);
        waiting.filter(|_| is_stuck).map(|index| (index, false))
    }

    fn skip(&mut self, block: usize, index: usize, ground: &mut Ground<'_>) {
        let row = self.add_row(block, index, ground);
        self.rows[row].status = "Skipped";
        self.rows[row].end = Some(ground.now);
        self.blocks[block].states[index] = State::Ended(Ending::Skipped, Some(row));
    }

    fn add_row(&mut self, block: usize, index: usize, ground: &mut Ground<'_>) -> usize {
        let activity = &self.blocks[block].activities[index];
        let row = Row {
            id: ground.ids.guid(),
            name: activity.name.clone(),
            kind: activity.kind.clone(),
            status: "InProgress",
            start: ground.now,
            end: None,
            input: activity.settings.as_object().map_or_else(|| json!({}), |_| activity.settings.clone()),
            output: json!({}),
            error: None,
            iteration: self.blocks[block].iteration.clone(),
            user_properties: activity.user_properties.clone(),
            retry: self.blocks[block].retries[index],
            child: None,
            hides_output: activity.hides_output,
            block,
            index,
            fails: None,
            pending: VecDeque::new(),
            at_once: 0,
            open: 0,
        };
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// Ends the row of a failed activity that is to be tried again. Returns the wish to do so.
    fn fail_for_now(&mut self, row: usize, ground: &Ground<'_>) -> Option<Want> {
        let (block, index) = (self.rows[row].block, self.rows[row].index);
        let activity = &self.blocks[block].activities[index];
        if self.rows[row].fails.is_none() || self.blocks[block].retries[index] >= activity.retries {
            return None;
        }
        let interval = ground.pace.speed.shorten(Delay::from_secs(activity.retry_interval_s));
        self.blocks[block].retries[index] += 1;
        let failed = &mut self.rows[row];
        failed.end = Some(ground.now);
        failed.error = failed.fails.take();
        failed.status = "Failed";
        failed.output = json!({});
        Some(Want::Retry { block, index, at: ground.now + interval })
    }

    /// Ends an activity as it was to end. Returns the block to look at again.
    fn end_row(&mut self, row: usize, ground: &Ground<'_>) -> usize {
        let (block, index) = (self.rows[row].block, self.rows[row].index);
        let ended = &mut self.rows[row];
        ended.end = Some(ground.now);
        ended.error = ended.fails.take();
        let ending = if ended.error.is_some() { Ending::Failed } else { Ending::Succeeded };
        ended.status = if ending == Ending::Failed { "Failed" } else { "Succeeded" };
        if ending == Ending::Failed && ended.kind == "Copy" {
            ended.output = json!({});
        }
        self.outputs.insert(ended.name.clone(), ended.output.clone());
        self.blocks[block].states[index] = State::Ended(ending, Some(row));
        block
    }

    /// Passes a finished block's result on: to the container that owns it, or to the run.
    fn close(&mut self, block: usize, ground: &mut Ground<'_>, wants: &mut Vec<Want>, todo: &mut Vec<usize>) {
        let failed = self.failed_activity(block);
        let Some(owner) = self.blocks[block].owner else {
            let unread = ground.definition.activities.is_empty().then(|| unread_parameter(ground)).flatten();
            let failure = failed
                .map(|(name, message)| format!("Operation on target {name} failed: {message}"))
                .or_else(|| unread.map(|name| parameter_not_found(&name)));
            wants.push(Want::Ended { failure });
            return;
        };
        let row = &mut self.rows[owner];
        row.open -= 1;
        if let Some((name, message)) = failed
            && row.fails.is_none()
        {
            let message = format!(
                "Activity failed because an inner activity failed; Inner activity name: {name}, Error: {message}"
            );
            row.fails = Some(Failure { code: "BadRequest".to_owned(), message });
        }
        self.open_iterations(owner, todo);
        if self.rows[owner].open == 0 && self.rows[owner].pending.is_empty() && self.rows[owner].end.is_none()
        {
            todo.push(self.end_row(owner, ground));
        }
    }
}

/// Finds a declared parameter that nobody gave and nobody reads.
fn unread_parameter(ground: &Ground<'_>) -> Option<String> {
    let declared = ground.definition.parameters.iter().map(|parameter| &parameter.name);
    let mut missing = declared.filter(|name| member(ground.parameters, name).is_none());
    missing.find(|name| !ground.definition.reads.iter().any(|read| read.eq_ignore_ascii_case(name))).cloned()
}
