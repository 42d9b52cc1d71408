//! What the owner of a flow does beside running it: shows that it lives, answers other processes, keeps what
//! workspaces have shown.

use crate::driver::{DriveError, Driver};
use crate::flow::{Event, Recorded, Trust};
use crate::time::{Delay, Timestamp};

/// The gap between two signs of life in the lease, where nothing else is set.
pub const HEARTBEAT: Delay = Delay::from_secs(10);

/// When the owner's duties are due again.
#[derive(Debug, Default)]
pub(super) struct Duties {
    heartbeat_at: Timestamp,
    requests_at: Timestamp,
    /// For each workspace, what this process has put on disk of whether it takes our ids.
    learned: Vec<Trust>,
}

impl Duties {
    /// Returns when the next of them is due.
    pub(super) fn due_at(&self) -> Timestamp {
        self.heartbeat_at.min(self.requests_at)
    }

    pub(super) fn of(workspaces: usize) -> Self {
        Self { learned: vec![Trust::NotProven; workspaces], ..Self::default() }
    }
}

impl Driver {
    /// Does what is due: a sign of life, and once every beat what other processes ask for.
    pub(super) fn keep_up(&mut self) -> Result<(), DriveError> {
        let at = self.clock.now();
        if self.duties.heartbeat_at <= at {
            self.duties.heartbeat_at = at + self.pace.heartbeat;
            self.journal.heartbeat(at)?;
        }
        if self.duties.requests_at <= at {
            self.duties.requests_at = at + self.pace.limits.beat;
            for (id, event) in self.journal.asked(&self.flow.header().id)? {
                self.fulfil(id, event)?;
            }
        }
        Ok(())
    }

    /// Passes on what the answers so far have told of the services' clocks.
    pub(super) fn read_clocks(&mut self, at: Timestamp) {
        for (workspace, client) in self.clients.iter().enumerate() {
            if let Some(shown) = client.server_time() {
                self.watch.note_clock(workspace, shown, at);
            }
        }
    }

    /// Records what another process asks for, if it can be: the flow may have gone on since.
    fn fulfil(&mut self, request: i64, event: Event) -> Result<(), DriveError> {
        let at = self.clock.now();
        let next = Recorded { seq: self.flow.last_seq() + 1, at, event };
        match self.flow.clone().apply(&next) {
            Ok(()) => self.record_and_answer(&[next.event], Some(request)),
            Err(error) => {
                self.note(at, &format!("what another process asks for cannot be: {}", error.why()));
                Ok(self.journal.dismiss(request)?)
            }
        }
    }

    /// Keeps what an event has just shown of its workspace, once for each process: later flows begin with it.
    ///
    /// What an emulated workspace shows says nothing of a real one.
    pub(super) fn learn(&mut self, recorded: &Recorded) -> Result<(), DriveError> {
        let tells =
            matches!(recorded.event, Event::RunStarted { .. } | Event::StartUnclear { other: Some(_), .. });
        let Some(step) = recorded.event.step().filter(|_| tells).and_then(|id| self.flow.index(id)) else {
            return Ok(());
        };
        let workspace = self.flow.step(step).workspace;
        let trust = self.flow.trust(workspace);
        let is_news = trust != Trust::NotProven && self.duties.learned[workspace] != trust;
        if is_news && !self.flow.header().emulated {
            self.duties.learned[workspace] = trust;
            let endpoint = &self.flow.plan().workspaces[workspace].endpoint;
            self.journal.learn(endpoint, trust == Trust::Proven, recorded.at)?;
        }
        Ok(())
    }
}
