//! The journal as plain data: what survives every crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use synflow::flow::{Event, Flow, FlowHeader, Recorded, Trust};
use synflow::graph::PlanGraph;
use synflow::plan::{Plan, StepId};
use synflow::time::Timestamp;

/// What another process asks of the owner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    Cancel,
    CancelStep(StepId),
    Resolve(Event),
}

/// A request in the journal, read by the owner each beat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) wish: Wish,
    pub(crate) is_answered: bool,
}

/// An append that came with another epoch than the lease's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseLost;

/// Everything on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) header: FlowHeader,
    plan: Arc<Plan>,
    graph: Arc<PlanGraph>,
    pub(crate) events: Vec<Recorded>,
    /// What workspaces have shown, by endpoint.
    pub(crate) trust: BTreeMap<String, Trust>,
    pub(crate) asked: Vec<Asked>,
    epoch: u64,
    /// The process that holds the lock of the key.
    owner: Option<u64>,
}

impl Ledger {
    pub(crate) fn new(header: FlowHeader, plan: Plan) -> Self {
        let graph = Arc::new(PlanGraph::link(&plan).unwrap());
        let trust = header.trust.clone();
        Self {
            header,
            plan: Arc::new(plan),
            graph,
            events: Vec::new(),
            trust,
            asked: Vec::new(),
            epoch: 0,
            owner: None,
        }
    }

    /// Makes a process the owner and returns its epoch; nothing while another holds the lock.
    pub(crate) fn own(&mut self, process: u64) -> Option<u64> {
        if self.owner.is_some() {
            return None;
        }
        self.owner = Some(process);
        self.epoch += 1;
        Some(self.epoch)
    }

    /// Lets go of the lock, as the operating system does for a process that is gone.
    pub(crate) fn release(&mut self, process: u64) {
        if self.owner == Some(process) {
            self.owner = None;
        }
    }

    /// Says whether a process that got this epoch still owns the key.
    pub(crate) fn is_owned_at(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Puts an event on the disk. Fails, and writes nothing, if the lease has another epoch by now.
    pub(crate) fn append(&mut self, epoch: u64, at: Timestamp, event: Event) -> Result<Recorded, LeaseLost> {
        if !self.is_owned_at(epoch) {
            return Err(LeaseLost);
        }
        let recorded = Recorded { seq: self.events.len() as u64 + 1, at, event };
        self.events.push(recorded.clone());
        Ok(recorded)
    }

    /// Keeps what the flow's workspaces have shown.
    pub(crate) fn keep_trust(&mut self, flow: &Flow) {
        for (number, workspace) in flow.plan().workspaces.iter().enumerate() {
            let known = self.trust.entry(workspace.endpoint.clone()).or_default();
            *known = known.and(flow.trust(number));
        }
    }

    /// Returns the flow folded from the events: the only way to make one.
    pub(crate) fn fold(&self) -> Flow {
        let mut flow = Flow::new(self.header.clone(), Arc::clone(&self.plan), Arc::clone(&self.graph));
        for recorded in &self.events {
            flow.apply(recorded).unwrap();
        }
        flow
    }

    /// Returns when the newest event was recorded.
    pub(crate) fn newest_at(&self) -> Timestamp {
        self.events.last().map_or(self.header.created_at, |recorded| recorded.at)
    }
}
