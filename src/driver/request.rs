//! From a wish of the core to a request of the client, as a task of the loop.

use std::collections::BTreeSet;
use std::future::Future;

use crate::driver::Driver;
use crate::driver::errand::{Done, Errand, read_activities};
use crate::driver::unspoken::without_secret;
use crate::flow::decide::Effect;
use crate::flow::watch::{Chore, Coverage, RunNearby};
use crate::flow::{RunStatus, StepState};
use crate::plan::{SecretText, StepIndex};
use crate::synapse::{RunFilter, RunListed, SynapseClient, Window};
use crate::time::{Delay, Timestamp};

/// Every how many beats the activities of a step on the screen are read.
const PEEK_BEATS: u64 = 4;

impl Driver {
    /// Sends the request of one effect, as a task of this loop.
    pub(super) fn begin(&mut self, effect: &Effect, asked_at: Timestamp) {
        match *effect {
            Effect::Start { step, .. } | Effect::SendAgain { step } => {
                let attempt = self.flow.run(step).last_attempt().expect("the intent made an attempt");
                let (run, parameters, recovery) =
                    (attempt.run, attempt.parameters.clone(), attempt.recovery.clone());
                let (places, secrets) = (attempt.secrets.clone(), self.secrets.clone());
                let cloud = self.flow.plan().workspaces[self.flow.step(step).workspace].cloud;
                let (client, pipeline) = self.target(step);
                self.spawn(Errand::Start(step), async move {
                    // The only place where a secret meets what is sent, and it goes no further.
                    let answer = match secrets.fill(cloud, &parameters, &places).await {
                        Ok(filled) => {
                            client.create_run(&pipeline, run, filled.expose(), recovery.as_ref()).await
                        }
                        Err(failure) => without_secret(&failure),
                    };
                    Done::Start(step, answer)
                });
            }
            Effect::LookUp { step, run } => {
                let (client, _) = self.target(step);
                self.ask(Chore::LookUp(step), asked_at, async move {
                    Done::LookUp { step, run, asked_at, answer: client.run(run).await }
                });
            }
            Effect::Query { workspace, after, coverage } => {
                let client = self.clients[workspace].clone();
                let window = Window::since(after, asked_at);
                let live = [RunStatus::Queued, RunStatus::InProgress, RunStatus::Canceling];
                // Who sweeps for runs that have another status finds them missing, and asks for them by id.
                let filters =
                    if coverage == Coverage::Live { vec![RunFilter::statuses(live)] } else { Vec::new() };
                self.ask(Chore::Query(workspace), asked_at, async move {
                    let answer = client.query_runs(window, &filters).await;
                    Done::Query { workspace, coverage, asked_at, answer }
                });
            }
            Effect::ReadActivities { step, run, below } => {
                let (client, pipeline) = self.target(step);
                self.ask(Chore::ReadActivities(step), asked_at, async move {
                    Done::Activities(step, read_activities(&client, &pipeline, run, below).await)
                });
            }
            Effect::Search { step, from, to } => {
                let (client, pipeline) = self.target(step);
                let Some(attempt) = self.flow.run(step).last_attempt() else { return };
                let (parameters, hidden) = (attempt.parameters.clone(), hidden(&attempt.secrets));
                self.ask(Chore::Search(step), asked_at, async move {
                    // The list goes by the service's clock; what it says of ours was learnt from its last answer.
                    let (from, to) =
                        (client.in_server_time(from, asked_at), client.in_server_time(to, asked_at));
                    let window = Window::since(from, to.max(asked_at));
                    let listed =
                        client.search_runs(window, &[RunFilter::pipelines([pipeline.as_str()])]).await;
                    let answer = listed.map(|runs| {
                        let fits = |run: &RunListed| {
                            run.has_parameters_but(&parameters, &hidden)
                                && run.seen.run_start.is_none_or(|start| (from..=to).contains(&start))
                        };
                        runs.into_iter().filter(fits).map(|run| run.seen).collect()
                    });
                    Done::Search { step, asked_at, answer }
                });
            }
            Effect::LookAround { step, ref parameters, ref secrets } => {
                let (client, pipeline) = self.target(step);
                let (parameters, hidden) = (parameters.clone(), hidden(secrets));
                self.ask(Chore::LookAround(step), asked_at, async move {
                    let window = Window::of_live_runs(asked_at);
                    let listed =
                        client.search_runs(window, &[RunFilter::pipelines([pipeline.as_str()])]).await;
                    let answer = listed.map(|runs| {
                        let live = runs.into_iter().filter(|run| !run.seen.status.is_terminal());
                        live.map(|run| RunNearby {
                            run: run.seen.run,
                            is_equal: run.has_parameters_but(&parameters, &hidden),
                        })
                        .collect()
                    });
                    Done::LookAround { step, asked_at, answer }
                });
            }
            Effect::Cancel { step, run } => {
                let (client, _) = self.target(step);
                self.ask(Chore::Cancel(step), asked_at, async move {
                    Done::Cancel { step, run, answer: client.cancel(run).await }
                });
            }
        }
    }

    /// Asks for the activities of the steps on the screen, now and then.
    pub(super) fn peek(&mut self) {
        let at = self.clock.now();
        let gap = Delay::from_ms(self.pace.limits.beat.as_ms().saturating_mul(PEEK_BEATS));
        for step in self.report.watched(&self.flow) {
            let fresh = self.peeks.get(&step).is_some_and(|last| at < *last + gap);
            if fresh || self.flow.run(step).state != StepState::Running {
                continue;
            }
            let Some(run) = self.flow.run(step).last_attempt().map(|attempt| attempt.run) else { continue };
            self.peeks.insert(step, at);
            let (client, pipeline) = self.target(step);
            self.spawn(
                Errand::Peek,
                async move { Done::Peek(step, client.activities(&pipeline, run).await) },
            );
        }
    }

    pub(super) fn ask(
        &mut self,
        chore: Chore,
        asked_at: Timestamp,
        task: impl Future<Output = Done> + Send + 'static,
    ) {
        self.watch.begin(chore, asked_at);
        self.spawn(Errand::Chore(chore), task);
    }

    pub(super) fn spawn(&mut self, errand: Errand, task: impl Future<Output = Done> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.errands.insert(id, errand);
    }

    pub(super) fn target(&self, step: StepIndex) -> (SynapseClient, String) {
        let step = self.flow.step(step);
        (self.clients[step.workspace].clone(), step.pipeline.clone())
    }
}

/// Returns the names of the parameters that hold secrets, which the service may mask.
fn hidden(secrets: &[SecretText]) -> BTreeSet<String> {
    secrets.iter().map(SecretText::member).collect()
}
