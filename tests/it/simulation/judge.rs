//! The promises, judged by the service's own record and by the rules stated here once more.
//!
//! [`Judge`] keeps what events and the service have said, and knows nothing of the flow's own states.

use std::collections::{BTreeMap, BTreeSet};

use synflow::emulator::model::RunRecord;
use synflow::flow::{CancelReason, Event, Outcome, Recorded, Resolution, RunId};
use synflow::plan::{Condition, EdgeRule, IfRunning, Plan, RetryOn, Step, StepIndex};
use synflow::time::{Delay, Timestamp};

use crate::play::DAWN;
use crate::simulation::process::Errand;
use crate::simulation::world::{Letter, World};

/// An attempt as its events tell it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Tried {
    number: u32,
    run: Option<RunId>,
    sent_id: Option<RunId>,
    is_attached: bool,
    cancel: Option<CancelReason>,
    outcome: Option<Outcome>,
    was_refused: bool,
    is_given_up: bool,
    /// Its step timed out and its run goes on.
    is_left: bool,
    /// That was so once: such a run is not under our control, and may go on beside as many as are allowed.
    was_left: bool,
    is_recovery: bool,
}

/// A step as its events tell it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Told {
    tried: Vec<Tried>,
    /// How many of them belong to earlier times.
    old: usize,
    /// How it ended, if it has and has not begun anew.
    ended: Option<Outcome>,
    /// How often it was begun anew, or had to be judged anew.
    redone: u64,
    is_under_way: bool,
    is_retrying: bool,
    /// It was resumed between two attempts, which may have begun its count anew.
    is_slack: bool,
    is_stale: bool,
    is_cancelled: bool,
}

/// What the judge has seen.
#[derive(Debug)]
pub(crate) struct Judge {
    plan: Plan,
    honours_ids: bool,
    has_jumps: bool,
    told: Vec<Told>,
    /// Every run that was accepted, with its workspace, by step and attempt.
    accepted: BTreeMap<(usize, u32), (usize, String)>,
    by_run: BTreeMap<(usize, String), (usize, u32)>,
    counted: Vec<usize>,
    refused: BTreeSet<(usize, u32)>,
    /// Runs of steps that were over when the flow was resumed.
    kept: BTreeSet<RunId>,
    was_cancelled: bool,
    /// Whether the flow was seen to come too late, and to be too late.
    lateness: (bool, bool),
}

impl Judge {
    pub(crate) fn new(plan: Plan, honours_ids: bool, has_jumps: bool) -> Self {
        Self {
            told: vec![Told::default(); plan.steps.len()],
            counted: vec![0; plan.workspaces.len()],
            plan,
            honours_ids,
            has_jumps,
            accepted: BTreeMap::new(),
            by_run: BTreeMap::new(),
            refused: BTreeSet::new(),
            kept: BTreeSet::new(),
            was_cancelled: false,
            lateness: (false, false),
        }
    }

    pub(crate) fn refused(&mut self, step: usize, attempt: u32) {
        self.refused.insert((step, attempt));
    }

    pub(crate) fn is_accepted(&self, step: usize, attempt: u32) -> bool {
        self.accepted.contains_key(&(step, attempt))
    }

    pub(crate) fn has_accepted(&self, workspace: usize, run: &str) -> bool {
        self.by_run.contains_key(&(workspace, run.to_owned()))
    }

    /// Returns the run that the service really made for an attempt.
    pub(crate) fn truth(&self, step: usize, attempt: u32) -> Option<RunId> {
        self.accepted.get(&(step, attempt)).map(|(_, run)| run.parse().unwrap())
    }

    /// Returns how each step ended, how many starts of it were accepted, and how often it began anew.
    pub(crate) fn results(&self) -> Vec<(Option<Outcome>, usize, u64)> {
        let of = |(at, told): (usize, &Told)| {
            let accepted = self.accepted.keys().filter(|(step, _)| *step == at).count();
            (told.ended, accepted, told.redone)
        };
        self.told.iter().enumerate().map(of).collect()
    }

    /// From here on, an edited plan counts: the old steps stand where they stood.
    pub(crate) fn plan_changed(&mut self, plan: Plan) {
        self.told.resize(plan.steps.len(), Told::default());
        self.plan = plan;
    }

    fn step(&self, step: usize) -> &Step {
        &self.plan.steps[step]
    }

    /// Says whether every edge of a step is met by what its upstreams came to; nothing while one has not ended.
    fn edges(&self, step: usize) -> Option<Vec<(Outcome, bool)>> {
        let of = |edge: &synflow::plan::Edge| {
            let upstream = &self.told[edge.upstream.0];
            let outcome = upstream.ended?;
            let is_left = upstream.tried.last().is_some_and(|tried| tried.is_left);
            let allowed = self.step(edge.upstream.0).allow_failure;
            Some((outcome, !is_left && is_met(&edge.rule, outcome, allowed)))
        };
        self.step(step).depends_on.iter().map(of).collect()
    }

    /// What a resume begins anew: all that went wrong, and no success but what only a failure had released.
    fn judge_redo(&self, redo: &[StepIndex]) {
        for (at, told) in self.told.iter().enumerate() {
            let is_redone = redo.contains(&StepIndex(at));
            let id = &self.step(at).id;
            match told.ended {
                Some(Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled) => {
                    assert!(is_redone || redo.is_empty(), "`{id}` went wrong and is not begun anew");
                }
                Some(Outcome::Succeeded | Outcome::Warned) if is_redone => {
                    let by_failure = self.step(at).depends_on.iter().any(|edge| {
                        redo.contains(&edge.upstream) && !is_met(&edge.rule, Outcome::Succeeded, false)
                    });
                    assert!(by_failure, "`{id}` went well and is begun anew");
                }
                _ => {}
            }
        }
    }

    fn resumed(&mut self, redo: &[StepIndex]) {
        self.was_cancelled = false;
        for told in &mut self.told {
            told.is_cancelled = false;
            told.is_stale = false;
            if told.is_retrying {
                told.is_slack = true;
                told.redone += 1;
            }
        }
        for step in redo {
            let told = &mut self.told[step.0];
            told.ended = None;
            told.redone += 1;
            let takes_up = told.tried.last().is_some_and(|tried| tried.is_left);
            told.is_slack = false;
            told.is_retrying = false;
            if let Some(tried) = told.tried.last_mut().filter(|_| takes_up) {
                tried.is_left = false;
                tried.outcome = None;
                told.is_under_way = true;
            } else {
                told.old = told.tried.len();
                told.is_under_way = false;
            }
        }
        for at in 0..self.told.len() {
            let is_only_by_failure = self.step(at).depends_on.iter().any(|edge| {
                self.told[edge.upstream.0].ended.is_none() && !is_met(&edge.rule, Outcome::Succeeded, false)
            });
            let is_under_way = self.told[at].is_under_way && !self.told[at].is_retrying;
            self.told[at].is_stale = is_only_by_failure && is_under_way;
        }
        self.kept = self
            .told
            .iter()
            .filter(|told| told.ended.is_some())
            .flat_map(|told| told.tried.iter().filter_map(|tried| tried.run))
            .collect();
    }
}

/// The table of edges, stated once more: rows are how the upstream ended, columns what the edge asks for.
fn is_met(rule: &EdgeRule, outcome: Outcome, allow_failure: bool) -> bool {
    use Outcome::{Blocked, Cancelled, Failed, NotNeeded, Skipped, Succeeded, TimedOut, Unknown, Warned};
    let EdgeRule::AnyOf(conditions) = rule else {
        return match outcome {
            Succeeded | Warned | Skipped => true,
            Failed | TimedOut | Cancelled => allow_failure,
            Blocked | NotNeeded | Unknown => false,
        };
    };
    let row: &[Condition] = match outcome {
        Succeeded | Warned => &[Condition::Succeeded, Condition::Completed],
        Failed | TimedOut | Cancelled => &[Condition::Failed, Condition::Completed],
        Skipped => &[Condition::Skipped, Condition::Completed],
        Blocked | NotNeeded => &[Condition::Skipped],
        Unknown => &[],
    };
    conditions.iter().any(|condition| row.contains(condition))
}

impl World {
    /// Returns what the service has of a run, as of now.
    fn service_run(&mut self, workspace: usize, run: RunId) -> Option<RunRecord> {
        let now = self.now;
        self.models[workspace].advance(now);
        let wanted = run.to_string();
        self.models[workspace].record().runs.into_iter().find(|it| it.run_id == wanted)
    }

    /// A start request leaves: never by one who lost the lease, never for a step that is over or that nobody wants.
    pub(crate) fn judge_start(&mut self, step: StepIndex) {
        let epoch = self.process.as_ref().unwrap().epoch;
        assert!(self.ledger.is_owned_at(epoch), "a start left although the lease was lost");
        let judge = &self.judge;
        let told = &judge.told[step.0];
        let id = &judge.step(step.0).id;
        assert!(told.ended.is_none(), "`{id}` left although it was over");
        assert!(!told.is_cancelled, "`{id}` left although a person wanted its end");
    }

    /// A request leaves: none of it is about a step that was over when the flow was resumed.
    pub(crate) fn judge_request(&mut self, letter: &Letter) {
        let run = match &letter.errand {
            Errand::LookUp { run, .. } | Errand::Cancel { run, .. } | Errand::Activities { run, .. } => *run,
            Errand::Start { .. } | Errand::List { .. } => return,
        };
        let is_owner = self.process.as_ref().is_some_and(|process| self.ledger.is_owned_at(process.epoch));
        assert!(
            !is_owner || !self.judge.kept.contains(&run),
            "a resume asks for run {run}, whose step is over"
        );
        if let Errand::Cancel { run, .. } = letter.errand {
            let key = (letter.workspace, run.to_string());
            assert!(self.judge.by_run.contains_key(&key), "a run of somebody else's is cancelled");
        }
    }

    /// A start request has reached the service. Says whether that made a run: never twice for one attempt, and never more
    /// than allowed at once.
    pub(crate) fn judge_landing(&mut self, step: StepIndex, attempt: u32, workspace: usize) -> bool {
        let record = self.models[workspace].record();
        let counted = std::mem::replace(&mut self.judge.counted[workspace], record.runs.len());
        let made: Vec<&RunRecord> =
            record.runs[counted..].iter().filter(|run| run.parent_run_id.is_none()).collect();
        let mut is_accepted = false;
        for run in made {
            let key = (workspace, run.run_id.clone());
            if self.judge.by_run.contains_key(&key) || self.others.contains(&key) {
                continue;
            }
            is_accepted = true;
            let before = self.judge.accepted.insert((step.0, attempt), key.clone());
            let id = &self.judge.step(step.0).id;
            assert!(before.is_none(), "`{id}` attempt {attempt} was accepted twice: {before:?} and {key:?}");
            self.judge.by_run.insert(key, (step.0, attempt));
        }
        if is_accepted {
            self.tally.count("accepted");
            self.judge_places();
        }
        is_accepted
    }

    fn judge_places(&mut self) {
        let now = self.now;
        let mut live = 0;
        for (workspace, model) in self.models.iter_mut().enumerate() {
            model.advance(now);
            for run in model.record().runs.iter().filter(|run| run.ended_at.is_none()) {
                let Some((step, attempt)) = self.judge.by_run.get(&(workspace, run.run_id.clone())) else {
                    continue;
                };
                let tried = self.judge.told[*step].tried.iter().find(|tried| tried.number == *attempt);
                live += usize::from(tried.is_none_or(|tried| !tried.was_left && !tried.is_given_up));
            }
        }
        let allowed = self.judge.plan.max_parallel;
        assert!(live <= allowed, "{live} runs live at once, {allowed} allowed");
    }

    /// An event was recorded: it must be true.
    pub(crate) fn judge_event(&mut self, recorded: &Recorded) {
        let Some(id) = recorded.event.step() else { return self.judge_flow_event(&recorded.event) };
        let step = self.judge.plan.steps.iter().position(|step| step.id == *id).unwrap();
        let workspace = self.judge.step(step).workspace;
        match &recorded.event {
            Event::StartIntended { attempt, run, recovery, .. } => {
                if let Some(recovery) = recovery {
                    self.tally.count("recovery");
                    let first = self.service_run(workspace, recovery.run);
                    assert_eq!(first.unwrap().status, "Failed", "`{id}` takes up a run that did not fail");
                }
                self.judge_another(step, *attempt);
                self.judge_others(step);
                let told = &mut self.judge.told[step];
                told.is_under_way = true;
                told.is_retrying = false;
                let is_recovery = recovery.is_some();
                told.tried.push(Tried {
                    number: *attempt,
                    sent_id: Some(*run),
                    is_recovery,
                    ..Tried::default()
                });
            }
            Event::RunAttached { attempt, run, .. } => {
                self.judge_another(step, *attempt);
                let key = (workspace, run.to_string());
                assert!(self.others.contains(&key), "`{id}` is attached to a run of nobody's");
                let told = &mut self.judge.told[step];
                told.is_under_way = true;
                told.is_retrying = false;
                told.tried.push(Tried {
                    number: *attempt,
                    run: Some(*run),
                    is_attached: true,
                    ..Tried::default()
                });
            }
            Event::RunStarted { run, adopted, .. } => {
                let seen = self.service_run(workspace, *run);
                assert!(seen.is_some(), "`{id}` has run {run}, of which the service knows nothing");
                let made_for = self.judge.by_run.get(&(workspace, run.to_string())).copied();
                let is_given_up = made_for.is_some_and(|(step, attempt)| {
                    self.judge.told[step].tried[attempt as usize - 1].is_given_up
                });
                let tried = self.judge.told[step].tried.last_mut().unwrap();
                // What a person has given up may be anybody's.
                let is_its_own = made_for == Some((step, tried.number)) || is_given_up;
                assert!(is_its_own, "run {run} was made for {made_for:?} and is taken for `{id}`'s");
                if *adopted {
                    let by_id = tried.sent_id == Some(*run);
                    self.tally.count(if by_id { "adopted by id" } else { "adopted by search" });
                }
                tried.run = Some(*run);
            }
            Event::RetryScheduled { .. } => {
                let is_open = self.judge.edges(step).is_none();
                let told = &mut self.judge.told[step];
                told.is_retrying = true;
                // What something above it does again comes first: it begins anew after that.
                if is_open {
                    told.is_retrying = false;
                    told.is_under_way = false;
                    told.old = told.tried.len();
                    told.redone += 1;
                }
            }
            Event::StartResent { .. } => self.tally.count("resent"),
            Event::StartRefused { .. } => {
                let tried = self.judge.told[step].tried.last_mut().unwrap();
                tried.was_refused = true;
                tried.outcome = Some(Outcome::Failed);
                let (number, id) = (tried.number, id.clone());
                assert!(self.judge.refused.contains(&(step, number)), "`{id}` failed, and nobody refused it");
            }
            Event::CancelIntended { reason, .. } => {
                let tried = self.judge.told[step].tried.last_mut().unwrap();
                assert!(!tried.is_attached, "`{id}` would cancel a run of somebody else's");
                tried.cancel = Some(*reason);
            }
            Event::RunEnded { status, .. } => {
                let run = self.judge.told[step].tried.last().unwrap().run.unwrap();
                let seen = self.service_run(workspace, run).unwrap();
                assert_eq!(seen.status, status.to_string(), "`{id}` ended, by its event");
                assert!(seen.ended_at.is_some_and(|at| at <= self.service_now(workspace)));
            }
            Event::AttemptEnded { outcome, .. } => self.judge_attempt_end(step, *outcome),
            Event::Resolved { resolution, .. } => {
                let told = &mut self.judge.told[step];
                let tried = told.tried.last_mut().unwrap();
                match resolution {
                    Resolution::Run { run } => {
                        tried.run = Some(*run);
                        tried.outcome = None;
                    }
                    Resolution::NotStarted => {
                        told.old = told.tried.len();
                        told.is_under_way = false;
                        told.is_stale = false;
                        told.redone += 1;
                    }
                    Resolution::GiveUp => {
                        tried.is_given_up = true;
                        tried.outcome = Some(Outcome::Failed);
                    }
                }
            }
            Event::StepCancelRequested { .. } => {
                self.judge.told[step].is_cancelled = true;
                self.judge.told[step].is_stale = false;
                self.judge.was_cancelled = true;
            }
            Event::StepEnded { outcome, reason, .. } => self.judge_step_end(step, *outcome, reason),
            _ => {}
        }
    }

    fn service_now(&self, workspace: usize) -> Timestamp {
        let ahead = self.sketch.scripts[workspace].clock_skew.ahead_ms;
        Timestamp::from_epoch_ms(self.now.epoch_ms() + ahead)
    }

    fn judge_flow_event(&mut self, event: &Event) {
        match event {
            Event::Resumed { redo, .. } => {
                let at = |id: &synflow::plan::StepId| {
                    self.judge.plan.steps.iter().position(|step| step.id == *id).map(StepIndex)
                };
                let redo: Vec<StepIndex> = redo.iter().map(|id| at(id).unwrap()).collect();
                self.judge.judge_redo(&redo);
                self.judge.resumed(&redo);
            }
            Event::CancelRequested => {
                self.judge.was_cancelled = true;
                for told in &mut self.judge.told {
                    told.is_cancelled |= told.ended.is_none();
                    told.is_stale = false;
                }
            }
            Event::FlowEnded { exit_code } => {
                let told = self.judge.told.iter();
                assert!(told.clone().all(|told| told.ended.is_some()), "the flow ended with open steps");
                let failed = self.judge.plan.steps.iter().zip(told).any(|(step, told)| {
                    let bad = [Outcome::Failed, Outcome::TimedOut, Outcome::Cancelled, Outcome::Unknown];
                    !step.allow_failure && told.ended.is_some_and(|outcome| bad.contains(&outcome))
                });
                let is_late = self.judge.lateness.1;
                assert_eq!(failed || is_late, *exit_code != 0, "the flow ended with {exit_code}");
                self.judge_lateness_at_end();
            }
            Event::DeadlineAtRisk { deadline, forecast } => {
                assert!(forecast > deadline, "a forecast that is in time");
                assert_eq!(Some(*deadline), self.deadline());
                assert_eq!(self.judge.lateness, (false, false), "it is said once, and before it has passed");
                self.judge.lateness.0 = true;
            }
            Event::DeadlineMissed { deadline } => {
                let at = self.ledger.newest_at();
                assert!(at >= *deadline, "the deadline has not passed");
                assert_eq!(Some(*deadline), self.deadline());
                assert!(!self.judge.lateness.1, "it is said once");
                self.judge.lateness.1 = true;
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.judge.plan.deadline.as_ref().map(|deadline| deadline.of(DAWN))
    }

    /// A flow whose last step ended after the deadline has missed it, unless a person had it end.
    fn judge_lateness_at_end(&self) {
        let Some(deadline) = self.deadline() else { return };
        let ends = self.ledger.events.iter().rev();
        let last = ends.into_iter().find(|recorded| matches!(recorded.event, Event::StepEnded { .. }));
        let is_late = last.is_some_and(|recorded| recorded.at > deadline);
        assert!(
            self.judge.lateness.1 || !is_late || self.judge.was_cancelled,
            "too late, and nobody said so"
        );
    }

    /// Another attempt begins: only one that the plan's `retry` asks for.
    fn judge_another(&self, step: usize, attempt: u32) {
        let (told, retry) = (&self.judge.told[step], &self.judge.step(step).retry);
        let id = &self.judge.step(step).id;
        assert!(told.ended.is_none(), "`{id}` begins although it is over");
        let edges = self.judge.edges(step);
        let edges = edges.unwrap_or_else(|| panic!("`{id}` begins before all its upstreams ended"));
        assert!(edges.iter().all(|(_, met)| *met), "`{id}` begins although {edges:?}");
        assert_eq!(attempt as usize, told.tried.len() + 1);
        let tried = &told.tried[told.old..];
        assert!(told.is_slack || tried.len() < retry.max_attempts as usize, "`{id}` begins once too often");
        let Some(last) = tried.last() else { return };
        let is_listed = retry.on.iter().any(|on| match on {
            RetryOn::Failed => last.outcome == Some(Outcome::Failed),
            RetryOn::TimedOut => last.outcome == Some(Outcome::TimedOut),
            RetryOn::Cancelled => last.outcome == Some(Outcome::Cancelled),
            RetryOn::Code(_) => true,
        });
        assert!(is_listed || told.is_slack, "`{id}` is tried again after {:?}", last.outcome);
        assert!(!last.was_refused || last.is_recovery, "`{id}` was refused and is tried again");
        assert!(!last.is_left, "`{id}` is tried again beside a run that was left");
    }

    /// A step starts: not beside a run of others that has been there for long, where its plan says so.
    fn judge_others(&mut self, step: usize) {
        let place = self.judge.step(step);
        if place.if_running == IfRunning::Start || self.judge.has_jumps {
            return;
        }
        let (workspace, pipeline, id) = (place.workspace, place.pipeline.clone(), place.id.clone());
        let now = self.service_now(workspace);
        // An answer may be a beat old, was long on its way, and lists lag.
        let long = Delay::from_secs(5 + 60 + 60 + 60);
        let true_now = self.now;
        self.models[workspace].advance(true_now);
        for run in self.models[workspace].record().runs {
            let is_others = self.others.contains(&(workspace, run.run_id.clone()));
            let is_old = run.accepted_at + long < now;
            let is_beside = is_others && run.pipeline == pipeline && run.ended_at.is_none() && is_old;
            assert!(!is_beside, "`{id}` starts beside run {} of others", run.run_id);
        }
    }

    fn judge_attempt_end(&mut self, step: usize, outcome: Outcome) {
        let workspace = self.judge.step(step).workspace;
        let (timeout, id) = (self.judge.step(step).timeout, self.judge.step(step).id.clone());
        let tried = self.judge.told[step].tried.last().unwrap().clone();
        let seen = tried.run.map(|run| self.service_run(workspace, run).unwrap());
        let status = seen.as_ref().map(|seen| seen.status);
        let is_asked = self.judge.told[step].is_cancelled;
        let mut is_left = false;
        match (outcome, status) {
            (Outcome::Succeeded | Outcome::Warned, Some("Succeeded"))
            | (Outcome::Cancelled, Some("Cancelled")) => {}
            (Outcome::Failed, Some("Failed")) => assert_ne!(tried.cancel, Some(CancelReason::TimedOut)),
            (Outcome::Failed, None) => {
                let is_refused = self.judge.refused.contains(&(step, tried.number));
                assert!(is_refused, "`{id}` failed, and nobody refused it");
            }
            (Outcome::Cancelled, Some(_)) => {
                assert!(tried.is_attached && is_asked, "`{id}` is cancelled and runs");
            }
            (Outcome::Cancelled, None) => assert!(is_asked, "nobody cancelled `{id}`"),
            (Outcome::TimedOut, Some(status)) => {
                assert!(timeout.is_some(), "`{id}` has no timeout");
                is_left = tried.cancel.is_none();
                let is_over = matches!(status, "Cancelled" | "Failed");
                assert!(is_left || is_over, "`{id}` timed out and is {status}");
            }
            (Outcome::Unknown, _) => {
                assert!(!self.judge.honours_ids, "`{id}` is unknown although the service takes our ids");
            }
            (outcome, status) => panic!("`{id}` ended {outcome}, but the service says {status:?}"),
        }
        let tried = self.judge.told[step].tried.last_mut().unwrap();
        tried.outcome = Some(outcome);
        tried.is_left = is_left;
        tried.was_left |= is_left;
    }

    fn judge_step_end(&mut self, step: usize, outcome: Outcome, reason: &str) {
        let place = self.judge.step(step).clone();
        let id = &place.id;
        let told = &self.judge.told[step];
        let last = told.tried[told.old..].last().cloned();
        let edges = self.judge.edges(step);
        let is_barred = edges.as_ref().is_some_and(|edges| edges.iter().any(|(_, met)| !met));
        let begun = last.as_ref().and_then(|last| last.outcome);
        match (begun, outcome) {
            (_, Outcome::NotNeeded | Outcome::Blocked) if is_barred => {
                let spares = |outcome: &Outcome| {
                    matches!(
                        outcome,
                        Outcome::Succeeded | Outcome::Warned | Outcome::Skipped | Outcome::NotNeeded
                    )
                };
                let unmet = edges.into_iter().flatten().filter(|(_, met)| !met);
                let want = unmet.map(|(outcome, _)| outcome).all(|outcome| spares(&outcome));
                assert_eq!(outcome == Outcome::NotNeeded, want, "`{id}` ended {outcome}");
            }
            (_, Outcome::Cancelled) if told.is_cancelled => {}
            (_, Outcome::NotNeeded) => assert_eq!(place.if_running, IfRunning::Skip, "`{id}`: {reason}"),
            (_, Outcome::Failed)
                if place.if_running == IfRunning::Fail && reason.contains("runs already") => {}
            (Some(last), outcome) => assert_eq!(last, outcome, "`{id}`"),
            (None, outcome) => panic!("`{id}` ended {outcome} and never began: {reason}"),
        }
        if !reason.contains("runs already") {
            self.judge_no_retry(step, outcome);
        }
        let told = &mut self.judge.told[step];
        told.is_under_way = false;
        told.is_retrying = false;
        told.is_slack = false;
        if std::mem::take(&mut told.is_stale) {
            told.old = told.tried.len();
            told.redone += 1;
        } else {
            told.ended = Some(outcome);
        }
        self.tally.count(&format!("outcome {outcome}"));
    }

    /// A step has failed for good: only after as many attempts as the plan allows.
    fn judge_no_retry(&self, step: usize, outcome: Outcome) {
        let (told, retry) = (&self.judge.told[step], &self.judge.step(step).retry);
        let tried = &told.tried[told.old..];
        let Some(last) = tried.last() else { return };
        let listed = match last.outcome {
            Some(Outcome::Failed) => RetryOn::Failed,
            Some(Outcome::Cancelled) => RetryOn::Cancelled,
            Some(Outcome::TimedOut) => RetryOn::TimedOut,
            _ => return,
        };
        let is_run = last.run.is_some() && !last.is_left && !last.is_given_up && !last.is_attached;
        let disturbed =
            self.judge.was_cancelled || told.is_stale || told.is_slack || last.outcome != Some(outcome);
        if is_run && !disturbed && retry.on.contains(&listed) {
            let left = (retry.max_attempts as usize).saturating_sub(tried.len());
            assert_eq!(left, 0, "`{}` was not tried again", self.judge.step(step).id);
        }
    }

    /// The night is over: every step has ended and no run is lost.
    pub(crate) fn judge_rest(&mut self) {
        let flow = self.ledger.fold();
        flow.check();
        if flow.is_given_up() {
            return;
        }
        assert!(flow.exit_code().is_some(), "the flow never ended");
        for ((step, attempt), (workspace, run)) in &self.judge.accepted {
            let told = &self.judge.told[*step].tried[*attempt as usize - 1];
            let is_known = told.is_given_up || told.run.is_some_and(|known| known.to_string() == *run);
            assert!(
                is_known,
                "run {run} of workspace {workspace} was accepted, and the flow knows nothing of it"
            );
        }
        for (step, told) in self.judge.told.iter().enumerate() {
            let outcome = flow.run(StepIndex(step)).outcome();
            assert_eq!(outcome, told.ended, "`{}`", self.judge.step(step).id);
        }
    }
}
