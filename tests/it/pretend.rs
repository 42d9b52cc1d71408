//! A pretend service in virtual time, small and pure: runs, their lives, and what is seen of them.
//!
//! It knows nothing of plans and flows. [`Service`] is all that the simulation sees of it.

use std::collections::BTreeMap;

use synflow::flow::{ActivitySeen, RunId, RunSeen, RunStatus, StepError};
use synflow::time::{Delay, Timestamp};
use uuid::Uuid;

/// Later than any flow here ends: some runs are never listed.
const NEVER: Delay = Delay::from_secs(100_000_000);

/// Random numbers that only the seed decides (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// Says yes in so many of a hundred cases.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.roll() % 100 < share
    }

    /// Returns a length of time between two numbers of milliseconds.
    pub(crate) fn delay(&mut self, low_ms: u64, high_ms: u64) -> Delay {
        Delay::from_ms(self.within(low_ms, high_ms))
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.roll(), self.roll())
    }
}

/// A request to start a run. The service keeps step and attempt for the record; nothing it does depends on them.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) run: RunId,
    pub(crate) workspace: usize,
    pub(crate) step: usize,
    pub(crate) attempt: u32,
}

/// A run as the service really has it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) asked: Create,
    pub(crate) id: RunId,
    pub(crate) accepted_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) end: RunStatus,
    begins_at: Timestamp,
    cancelled_at: Option<Timestamp>,
    activity_failed: bool,
    /// How much later than they happen a look-up and a list show the run's changes.
    look_up_lag: Delay,
    list_lag: Delay,
}

#[derive(Debug)]
pub(crate) struct Service {
    dice: Dice,
    /// Whether the id of a request becomes the id of its run, and a repeated one gives the old run.
    pub(crate) honours_ids: bool,
    /// Every run ever accepted, in that order.
    pub(crate) runs: Vec<Run>,
    by_id: BTreeMap<RunId, usize>,
}

impl Service {
    pub(crate) fn new(seed: u64, honours_ids: bool) -> Self {
        Self { dice: Dice(seed), honours_ids, runs: Vec::new(), by_id: BTreeMap::new() }
    }

    /// Takes a request to start a run and returns the run's id.
    pub(crate) fn create(&mut self, now: Timestamp, asked: &Create) -> RunId {
        let run = if self.honours_ids { asked.run } else { RunId(self.dice.uuid()) };
        if self.by_id.contains_key(&run) {
            return run;
        }
        let dice = &mut self.dice;
        let begins_at = now + dice.delay(0, 10_000);
        let longest = if dice.percent(5) { 900_000 } else { 90_000 };
        let ends_at = begins_at + dice.delay(1_000, longest);
        let end = match dice.within(1, 100) {
            1..=75 => RunStatus::Succeeded,
            76..=95 => RunStatus::Failed,
            _ => RunStatus::Cancelled,
        };
        self.by_id.insert(run, self.runs.len());
        self.runs.push(Run {
            asked: asked.clone(),
            id: run,
            accepted_at: now,
            ends_at,
            end,
            begins_at,
            cancelled_at: None,
            activity_failed: dice.percent(10),
            look_up_lag: if dice.percent(20) { dice.delay(0, 10_000) } else { Delay::ZERO },
            list_lag: if dice.percent(2) { NEVER } else { dice.delay(0, 60_000) },
        });
        run
    }

    /// Asks for the end of a run. One that has ended answers just as well (protocol 2.5).
    pub(crate) fn cancel(&mut self, now: Timestamp, run: RunId) {
        let Some(&at) = self.by_id.get(&run) else { return };
        let run = &mut self.runs[at];
        if now >= run.ends_at || run.cancelled_at.is_some() {
            return;
        }
        run.cancelled_at = Some(now);
        let done_at = now + self.dice.delay(500, 30_000);
        // The run may still come to its own end before the cancel is done.
        if done_at < run.ends_at {
            run.ends_at = done_at;
            run.end = RunStatus::Cancelled;
        }
    }

    pub(crate) fn look_up(&self, now: Timestamp, run: RunId) -> Option<RunSeen> {
        let run = &self.runs[*self.by_id.get(&run)?];
        run.seen_at(now - run.look_up_lag)
    }

    /// Lists the runs of a workspace that changed after a time, as far as the lists have heard.
    pub(crate) fn list(&self, now: Timestamp, workspace: usize, after: Timestamp) -> Vec<RunSeen> {
        let here = self.runs.iter().filter(|run| run.asked.workspace == workspace);
        let seen = here.filter_map(|run| run.seen_at(now - run.list_lag));
        seen.filter(|seen| seen.last_updated.is_some_and(|at| at > after)).collect()
    }

    /// Lists the runs of a step's pipeline that began in a window, as far as the lists have heard.
    pub(crate) fn search(&self, now: Timestamp, step: usize, from: Timestamp, to: Timestamp) -> Vec<RunSeen> {
        let of_step = self.runs.iter().filter(|run| run.asked.step == step);
        let seen = of_step.filter_map(|run| run.seen_at(now - run.list_lag));
        seen.filter(|seen| seen.run_start.is_none_or(|start| from <= start && start <= to)).collect()
    }

    pub(crate) fn activities(&self, run: RunId) -> Vec<ActivitySeen> {
        let run = &self.runs[self.by_id[&run]];
        let failed = run.end == RunStatus::Failed || run.activity_failed;
        vec![ActivitySeen {
            name: "Copy".to_owned(),
            kind: "Copy".to_owned(),
            iteration: String::new(),
            status: if failed { "Failed" } else { "Succeeded" }.to_owned(),
            start: None,
            end: None,
            error: StepError::default(),
            output: serde_json::Value::Null,
            child: None,
        }]
    }
}

impl Run {
    /// Returns the run as it was at a time; nothing before it was accepted.
    fn seen_at(&self, at: Timestamp) -> Option<RunSeen> {
        let cancelled = self.cancelled_at.filter(|&cancelled| cancelled <= at);
        let (status, since) = match cancelled {
            _ if at < self.accepted_at => return None,
            _ if at >= self.ends_at => (self.end.clone(), self.ends_at),
            Some(since) => (RunStatus::Canceling, since),
            None if at < self.begins_at => (RunStatus::Queued, self.accepted_at),
            // A word that the documentation does not know.
            None if self.activity_failed => (RunStatus::Other("Finalizing".to_owned()), self.begins_at),
            None => (RunStatus::InProgress, self.begins_at),
        };
        Some(RunSeen {
            run: self.id,
            pipeline: format!("pl_{}", self.asked.step),
            message: String::new(),
            run_start: (at >= self.begins_at).then_some(self.begins_at),
            run_end: status.is_terminal().then_some(self.ends_at),
            status,
            last_updated: Some(since),
        })
    }
}
