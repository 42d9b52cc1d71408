//! Taking a flow up again: what begins anew, what is kept, and what an edited plan changes.
//!
//! All of it is what [`Event::Resumed`] and [`Event::PlanChanged`] mean; a resumed flow is then an ordinary one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::flow::event::{Event, Outcome, Trust};
use crate::flow::phases::Phases;
use crate::flow::step::{StepRun, StepState};
use crate::flow::{Flow, edge};
use crate::graph::{PlanGraph, Selection, narrow};
use crate::plan::{self, Given, Plan, StepId, StepIndex};
use crate::time::Timestamp;

/// Returns the steps that a resume begins anew, in file order (design 9.3).
///
/// These are the steps that failed, timed out or were cancelled, and those `also` asked for, if they are over; then what
/// these had blocked or spared, steps whose condition asked about one of these and was false, and steps that ran only
/// because one of these failed. Other successes are kept, even
/// below a step that begins anew.
pub fn redone(flow: &Flow, also: &BTreeSet<StepIndex>) -> Vec<StepId> {
    let mut anew = BTreeSet::new();
    for &step in flow.graph().order() {
        let (outcome, is_over) = match &flow.run(step).state {
            StepState::Ended { outcome } => (*outcome, true),
            // What a person has given up has failed, and nothing has followed from that so far.
            StepState::AttemptOver { .. } if flow.run(step).is_given_up => continue,
            StepState::AttemptOver { outcome, .. } => (*outcome, false),
            _ => continue,
        };
        let reopened = |upstream| anew.contains(&upstream) || !flow.run(upstream).is_over();
        let begins = match outcome {
            // A group ends as its iterations do.
            _ if !flow.step(step).kind.is_run() => flow.graph().upstreams(step).any(reopened),
            // What runs last comes after all that is done again.
            _ if is_over && flow.step(step).is_final && flow.graph().upstreams(step).any(reopened) => true,
            Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled => true,
            _ if is_over && also.contains(&step) => true,
            Outcome::Blocked | Outcome::NotNeeded => {
                // Its edges were met: it was left out because its pipeline ran already, which may be over, or because the
                // flow was stopped by failures.
                flow.graph().upstreams(step).any(reopened) || flow.judge_edges(step) == StepState::Ready
            }
            Outcome::Skipped if may_be_admitted(flow, step, &anew) => true,
            _ if is_over => flow
                .step(step)
                .depends_on
                .iter()
                .any(|edge| anew.contains(&edge.upstream) && !edge::is_met_by_success(&edge.rule)),
            _ => false,
        };
        if begins {
            anew.insert(step);
        }
    }
    anew.into_iter().map(|step| flow.step(step).id.clone()).collect()
}

/// Says whether a step that its condition skipped may run once these steps have begun anew: it asks about one of them,
/// or an edited plan asks otherwise.
fn may_be_admitted(flow: &Flow, step: StepIndex, anew: &BTreeSet<StepIndex>) -> bool {
    let Some(when) = &flow.step(step).when else { return true };
    let asks = when.steps().iter().any(|id| flow.index(id).is_some_and(|named| anew.contains(&named)));
    asks || when.evaluate(&flow.scope(step)) != Ok(false)
}

/// Reads the plan of a flow from what the journal keeps of it. The same text, values and time give the same plan,
/// without the files and variables that the values came from.
///
/// Fails with the first problem if the text is no plan for this version.
pub fn read_plan(
    text: &str,
    inputs: &Map<String, Value>,
    env: &BTreeMap<String, String>,
    environment: &str,
    selection: &Selection,
    made_at: Timestamp,
) -> Result<(Plan, PlanGraph), String> {
    let given = Given {
        recorded: inputs.clone(),
        environment: environment.to_owned(),
        env: env.clone(),
        now: made_at,
        inputs_required: true,
        ..Given::default()
    };
    let linked = plan::load(text.as_bytes(), &given)
        .and_then(|loaded| PlanGraph::link(&loaded.plan).map(|graph| (loaded.plan, graph)));
    let (plan, graph) = linked
        .map_err(|problems| problems.first().map_or_else(String::new, |problem| problem.message.clone()))?;
    if selection.is_whole() { Ok((plan, graph)) } else { narrowed(&plan, &graph, selection) }
}

/// Narrows a plan to some of its steps; fails with a sentence if that makes no sense.
fn narrowed(plan: &Plan, graph: &PlanGraph, selection: &Selection) -> Result<(Plan, PlanGraph), String> {
    let plan = narrow(plan, graph, selection).map_err(|error| error.to_string())?;
    // What had no cycle has none with fewer edges.
    let graph = PlanGraph::link(&plan).map_err(|_| "its steps wait for each other".to_owned())?;
    Ok((plan, graph))
}

impl Flow {
    /// Takes the flow up again: what means `Event::Resumed`.
    pub(super) fn resume(
        &mut self,
        redo: &[StepId],
        trust: &BTreeMap<String, Trust>,
        at: Timestamp,
    ) -> Result<(), String> {
        if self.exit_code.is_some() && redo.is_empty() {
            return Err("the flow has ended and nothing begins anew".to_owned());
        }
        let anew = redo.iter().map(|id| self.index(id).ok_or_else(|| format!("the plan has no step `{id}`")));
        let anew: Vec<StepIndex> = anew.collect::<Result<_, _>>()?;
        if let Some(step) =
            anew.iter().find(|step| self.phases.live.contains(step) || self.phases.unknown.contains(step))
        {
            return Err(format!("step `{}` is not over", self.step(*step).id));
        }
        self.exit_code = None;
        self.ended_at = None;
        self.detached = false;
        self.cancelling = false;
        for (workspace, known) in self.plan.workspaces.iter().zip(&mut self.trust) {
            *known = known.and(trust.get(&workspace.endpoint).copied().unwrap_or_default());
        }
        for step in anew {
            self.reset(step, at);
        }
        self.recount_failures();
        self.make_uncertain(at);
        self.settle_order();
        Ok(())
    }

    /// Begins a step anew; a run that was left running is taken up first.
    fn reset(&mut self, step: StepIndex, at: Timestamp) {
        let run = &mut self.steps[step.0];
        run.reason.clear();
        run.ended_at = None;
        run.stale = false;
        if run.is_left_running()
            && let Some(attempt) = run.attempts.last_mut()
        {
            attempt.left_running = false;
            attempt.outcome = None;
            attempt.error = None;
            attempt.ended_at = None;
            attempt.timeout_from = Some(at);
            return self.set(step, StepState::Running);
        }
        run.old_attempts = run.attempts.len();
        self.set(step, StepState::Waiting);
    }

    /// Begins a step anew that was under way until now.
    pub(super) fn begin_anew(&mut self, step: StepIndex) {
        let run = &mut self.steps[step.0];
        run.stale = false;
        run.old_attempts = run.attempts.len();
        let next = if run.cancel_asked {
            StepState::Barred { outcome: Outcome::Cancelled, reason: "it was cancelled".to_owned() }
        } else {
            StepState::Waiting
        };
        self.set(step, next);
        self.release_held(step);
        self.judge_if_free(step);
    }

    /// Takes back what the process before knew without having recorded it: nobody heard the answers to its starts.
    fn make_uncertain(&mut self, at: Timestamp) {
        for step in (0..self.steps.len()).map(StepIndex) {
            let run = &mut self.steps[step.0];
            run.cancel_asked = false;
            if run.state == StepState::Starting
                && let Some(attempt) = run.attempts.last_mut()
            {
                attempt.was_unclear = true;
                attempt.unclear_sends += 1;
                "the process that sent it ended before the answer".clone_into(&mut attempt.trouble);
                self.set(step, StepState::Unclear { since: at });
            }
        }
    }

    /// Finds afresh what every step waits for, and judges those that wait for nothing.
    ///
    /// A step that begins anew also waits for every step below it that still runs: a handler of its earlier failure must
    /// not work beside it. Such a handler is judged anew once it is over.
    fn settle_order(&mut self) {
        let steps: Vec<StepIndex> = (0..self.steps.len()).map(StepIndex).collect();
        for &step in &steps {
            let open = self.graph.upstreams(step).filter(|upstream| !self.run(*upstream).is_over()).count();
            self.steps[step.0].waits_for = open;
        }
        self.held.clear();
        let phases = &self.phases;
        let under_way = phases.live.iter().chain(&phases.unknown).chain(&phases.concluding);
        let is_begun = |step: &StepIndex| !matches!(self.run(*step).state, StepState::Barred { .. });
        let under_way: Vec<StepIndex> = under_way.copied().filter(is_begun).collect();
        for step in under_way {
            if self.steps[step.0].waits_for == 0 && self.held_above(step).is_empty() {
                continue;
            }
            let edges = &self.plan.steps[step.0].depends_on;
            self.steps[step.0].stale = edges
                .iter()
                .any(|edge| !self.run(edge.upstream).is_over() && !edge::is_met_by_success(&edge.rule));
            let above = self.held_above(step);
            for upstream in &above {
                self.steps[upstream.0].waits_for += 1;
            }
            self.held.insert(step, above);
        }
        for step in steps {
            match self.steps[step.0].state {
                StepState::Ready | StepState::Barred { .. } => self.set(step, StepState::Waiting),
                StepState::Retrying { .. } if self.steps[step.0].waits_for > 0 => {
                    self.steps[step.0].old_attempts = self.steps[step.0].attempts.len();
                    self.steps[step.0].stale = false;
                    self.set(step, StepState::Waiting);
                }
                _ => {}
            }
            self.judge_if_free(step);
        }
    }

    /// Returns the steps above this one that have not begun.
    fn held_above(&self, step: StepIndex) -> Vec<StepIndex> {
        let not_begun = |upstream: &StepIndex| {
            matches!(
                self.run(*upstream).state,
                StepState::Waiting | StepState::Ready | StepState::Barred { .. } | StepState::Retrying { .. }
            )
        };
        self.graph.all_upstreams(step).into_iter().filter(not_begun).collect()
    }

    /// Goes on with an edited plan: what means `Event::PlanChanged`. Steps are known by their ids.
    pub(super) fn change_plan(&mut self, event: &Event) -> Result<(), String> {
        let Event::PlanChanged { plan_file, plan_text, plan_sha256, inputs, env, max_parallel, commit } =
            event
        else {
            return Err("it changes no plan".to_owned());
        };
        let (plan, graph) = read_plan(
            plan_text,
            inputs,
            env,
            &self.header.environment,
            &self.header.selection,
            self.header.created_at,
        )?;
        let ids = plan.index();
        let left = self.steps().filter(|(_, _, run)| run.is_left_running()).map(|(step, _, _)| step);
        let under_way = self.phases.live.iter().chain(&self.phases.unknown).copied();
        for step in under_way.chain(left) {
            let (old, id) = (self.step(step), &self.step(step).id);
            let new = ids.get(id).map(|new| &plan.steps[new.0]);
            let place = |plan: &Plan, step: &plan::Step| plan.workspaces[step.workspace].endpoint.clone();
            if new
                .is_none_or(|new| new.pipeline != old.pipeline || place(&plan, new) != place(&self.plan, old))
            {
                let what = if new.is_some() { "runs it elsewhere or otherwise" } else { "has it no more" };
                return Err(format!("a run of step `{id}` may be live, and the edited plan {what}"));
            }
        }
        let known: BTreeMap<String, Trust> = self
            .plan
            .workspaces
            .iter()
            .map(|workspace| workspace.endpoint.clone())
            .zip(self.trust.clone())
            .collect();
        let kinds = self.plan.steps.iter().map(|step| (step.id.clone(), step.kind.is_run()));
        let mut old: BTreeMap<(StepId, bool), StepRun> = kinds.zip(std::mem::take(&mut self.steps)).collect();
        self.trust = plan
            .workspaces
            .iter()
            .map(|workspace| known.get(&workspace.endpoint).copied().unwrap_or_default())
            .collect();
        let runs: Vec<StepRun> = plan
            .steps
            .iter()
            .map(|step| old.remove(&(step.id.clone(), step.kind.is_run())).unwrap_or_else(StepRun::new))
            .collect();
        self.header.plan_file.clone_from(plan_file);
        self.header.plan_text.clone_from(plan_text);
        self.header.plan_sha256.clone_from(plan_sha256);
        self.header.commit.clone_from(commit);
        self.header.inputs.clone_from(inputs);
        self.header.env.clone_from(env);
        self.header.max_parallel = max_parallel.unwrap_or(self.header.max_parallel);
        self.ids = ids;
        self.plan = Arc::new(plan);
        self.graph = Arc::new(graph);
        self.find_due();
        self.exit_code = None;
        self.ended_at = None;
        self.index_afresh(runs);
        self.recount_failures();
        let retrying: Vec<StepIndex> = self.phases.retrying.iter().copied().collect();
        for step in retrying {
            // What the attempts before sent is the old plan's.
            self.steps[step.0].old_attempts = self.steps[step.0].attempts.len();
            self.set(step, StepState::Waiting);
        }
        self.settle_order();
        Ok(())
    }

    /// Takes these steps and finds every index afresh; the runs of steps that are no more stay claimed.
    pub(super) fn index_afresh(&mut self, steps: Vec<StepRun>) {
        self.phases = Phases::default();
        self.runs.clear();
        self.steps = steps;
        for step in (0..self.steps.len()).map(StepIndex) {
            let run = &self.steps[step.0];
            self.phases.insert(step, self.graph.rank(step), &run.state);
            if let (StepState::Running, Some(attempt)) = (&run.state, run.attempts.last()) {
                self.runs.insert(attempt.run, step);
            }
        }
    }
}
