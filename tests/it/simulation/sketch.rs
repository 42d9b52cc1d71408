//! What a seed decides before the night begins: the plan, the script of each workspace, and who disturbs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use synflow::emulator::model::Operation;
use synflow::emulator::model::script::{
    BodyForm, CancelScript, Failure, Fault, FaultKind, Ids, Length, OneOrMany, PipelineScript, RetryAfter,
    RunOutcome, RunScript, Script, Skew,
};
use synflow::flow::Flow;
use synflow::flow::forecast::Forecast;
use synflow::plan::{
    Backoff, Condition, Deadline, EdgeRule, IfRunning, OnTimeout, Plan, Retry, RetryMode, RetryOn, Step,
};
use synflow::time::Delay;

use crate::dice::Dice;
use crate::play::{edge, plan, step};

/// The kinds of nights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing disturbs but crashes and faults: the night must end as its undisturbed twin does.
    Twin,
    /// Everything but what takes the certainty away.
    Honoured,
    /// The service gives its runs ids of its own.
    Ignored,
}

/// What a seed decides.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Sketch {
    pub(crate) mood: Mood,
    pub(crate) plan: Plan,
    pub(crate) scripts: Vec<Script>,
    pub(crate) definitions: Vec<(String, String)>,
    /// Whether every workspace is known to take our ids.
    pub(crate) is_proven: bool,
    /// How many of a hundred requests come to grief in the network.
    pub(crate) network_percent: u64,
    pub(crate) crashes: u64,
    pub(crate) has_jumps: bool,
    pub(crate) has_sign_in: bool,
    pub(crate) is_checked_always: bool,
}

impl Sketch {
    pub(crate) fn new(seed: u64, dice: &mut Dice) -> Self {
        let mood = match dice.within(0, 9) {
            0..=2 => Mood::Twin,
            3..=7 => Mood::Honoured,
            _ => Mood::Ignored,
        };
        let mut plan = random_plan(dice, mood);
        // By dice of their own: nights without a deadline are what they always were.
        let mut own = Dice(!seed);
        plan.deadline = own.percent(25).then(|| Deadline::After(own.delay(5_000, 400_000)));
        let is_faulty = dice.percent(80);
        let scripts = plan.workspaces.iter().enumerate();
        let scripts = scripts.map(|(at, _)| random_script(dice, mood, &plan, at, is_faulty)).collect();
        Self {
            mood,
            scripts,
            definitions: definitions(&plan),
            plan,
            is_proven: mood != Mood::Ignored && dice.percent(50),
            network_percent: dice.pick(&[0, 5, 30]),
            crashes: dice.within(0, 4),
            has_jumps: dice.percent(30),
            has_sign_in: dice.percent(15),
            is_checked_always: seed.is_multiple_of(8),
        }
    }

    /// Returns the same night with nothing going wrong.
    pub(crate) fn undisturbed(&self) -> Self {
        let mut calm = self.clone();
        calm.scripts.iter_mut().for_each(|script| {
            script.faults.clear();
            script.clock_skew = Skew::default();
        });
        Self { network_percent: 0, crashes: 0, has_jumps: false, has_sign_in: false, ..calm }
    }

    /// Returns what a process expects of a flow with a deadline: every step to take a third of a minute.
    pub(crate) fn forecast(&self, flow: &Flow) -> Option<Forecast> {
        self.plan.deadline.as_ref()?;
        let expected = Delay::from_secs(20);
        let steps = self.plan.steps.iter().map(|step| ((step.id.clone(), step.pipeline.clone()), expected));
        Forecast::new(flow, &steps.collect())
    }

    /// Says whether the service takes our ids for its runs.
    pub(crate) fn honours_ids(&self) -> bool {
        self.mood != Mood::Ignored
    }
}

/// Makes steps that depend on each other in every way, in an order that is not theirs.
fn random_plan(dice: &mut Dice, mood: Mood) -> Plan {
    let count = if dice.percent(4) { dice.within(13, 40) } else { dice.within(2, 12) } as usize;
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, dice.within(0, last as u64) as usize);
    }
    let workspaces = if dice.percent(25) { 2 } else { 1 };
    let mut steps: Vec<Step> = (0..count).map(|at| random_step(dice, mood, at, workspaces)).collect();
    for place in 1..count {
        let mut upstreams = BTreeSet::new();
        for _ in 0..dice.within(0, 3) {
            upstreams.insert(order[dice.within(0, place as u64 - 1) as usize]);
        }
        let edges = upstreams.into_iter().map(|upstream| edge(upstream, random_rule(dice)));
        steps[order[place]].depends_on = edges.collect();
    }
    plan(dice.within(1, 6) as usize, steps)
}

fn random_step(dice: &mut Dice, mood: Mood, at: usize, workspaces: u64) -> Step {
    let mut on = vec![RetryOn::Failed];
    if dice.percent(30) {
        on.push(RetryOn::Cancelled);
    }
    let has_timeout = mood != Mood::Twin && dice.percent(25);
    let on_timeout = if has_timeout && dice.percent(35) { OnTimeout::Detach } else { OnTimeout::Cancel };
    if has_timeout && on_timeout == OnTimeout::Cancel && dice.percent(40) {
        on.push(RetryOn::TimedOut);
    }
    if dice.percent(10) {
        on = vec![RetryOn::Code("2200".to_owned())];
    }
    let retry = Retry {
        max_attempts: if dice.percent(45) { dice.within(2, 3) as u32 } else { 1 },
        delay: dice.delay(0, 60_000),
        backoff: dice.pick(&[Backoff::Fixed, Backoff::Exponential]),
        max_delay: Delay::from_secs(90),
        on,
        mode: dice.pick(&[RetryMode::Whole, RetryMode::FromFailure]),
    };
    let if_running = match mood {
        Mood::Honoured if dice.percent(20) => dice.pick(&[
            IfRunning::Wait,
            IfRunning::Attach,
            IfRunning::Attach,
            IfRunning::Skip,
            IfRunning::Fail,
        ]),
        _ => IfRunning::Start,
    };
    // Two steps may share a pipeline, where a run's beginning does not depend on which of them was first.
    let shares = mood != Mood::Twin && if_running == IfRunning::Start && at > 0 && dice.percent(10);
    let pipeline = if shares { "pl_shared".to_owned() } else { format!("pl_s{at}") };
    Step {
        workspace: dice.within(0, workspaces - 1) as usize,
        pipeline,
        timeout: has_timeout.then(|| dice.delay(5_000, 120_000)),
        on_timeout,
        retry,
        if_running,
        allow_failure: dice.percent(15),
        ..step(&format!("s{at}"), &[])
    }
}

fn random_rule(dice: &mut Dice) -> EdgeRule {
    if dice.percent(60) {
        return EdgeRule::Bare;
    }
    let words = [Condition::Succeeded, Condition::Failed, Condition::Skipped, Condition::Completed];
    let mut conditions = vec![dice.pick(&words)];
    let second = dice.pick(&words);
    if dice.percent(40) && !conditions.contains(&second) {
        conditions.push(second);
    }
    EdgeRule::AnyOf(conditions)
}

fn random_script(dice: &mut Dice, mood: Mood, plan: &Plan, workspace: usize, is_faulty: bool) -> Script {
    let mut script = Script { seed: dice.roll(), ..Script::default() };
    script.ids = if mood == Mood::Ignored { Ids::Ignored } else { Ids::Honoured };
    if dice.percent(20) {
        // Together with the jumps of our own clock less than what a search allows for.
        let far = dice.within(0, 240_000) as i64;
        script.clock_skew = Skew { ahead_ms: if dice.percent(50) { far } else { -far } };
    }
    script.pipelines = plan
        .steps
        .iter()
        .filter(|step| step.workspace == workspace)
        .map(|step| (step.pipeline.clone(), random_pipeline(dice, mood, step)))
        .collect();
    if is_faulty {
        script.faults = (0..dice.within(1, 6)).map(|_| random_fault(dice, mood)).collect();
    }
    script
}

fn random_pipeline(dice: &mut Dice, mood: Mood, step: &Step) -> PipelineScript {
    let longest = if dice.percent(3) { 600_000 } else { 45_000 };
    let mut pipeline = PipelineScript {
        duration: Some(Length(dice.delay(500, longest))),
        queued: Some(Length(dice.delay(0, 10_000))),
        activities: BTreeMap::new(),
        ..PipelineScript::default()
    };
    for name in ["Copy_a", "Copy_b"].iter().take(dice.within(0, 2) as usize) {
        pipeline
            .activities
            .insert((*name).to_owned(), synflow::emulator::model::script::ActivityScript::default());
    }
    let error = Failure { code: "2200".to_owned(), message: "no such table".to_owned() };
    let ends_of = |dice: &mut Dice| match dice.within(1, 100) {
        1..=70 => RunOutcome::Succeeded,
        71..=92 => RunOutcome::Failed,
        _ => RunOutcome::Cancelled,
    };
    if mood == Mood::Twin && dice.percent(50) {
        // It fails as often as may be and then succeeds: not even a redone step can change how that ends.
        let listed = step.retry.on.contains(&RetryOn::Failed);
        let fails = if listed { dice.within(0, u64::from(step.retry.max_attempts) - 1) } else { 0 };
        let run = |outcome| RunScript {
            outcome: Some(outcome),
            error: Some(error.clone()),
            ..RunScript::default()
        };
        pipeline.runs = (0..fails).map(|_| run(RunOutcome::Failed)).collect();
        pipeline.runs.push(RunScript { error: None, ..run(RunOutcome::Succeeded) });
    } else if mood == Mood::Twin {
        let end = ends_of(dice);
        pipeline.outcome = Some(end);
        pipeline.error = (end == RunOutcome::Failed).then_some(error);
    } else {
        for _ in 0..dice.within(1, 4) {
            let mut end = ends_of(dice);
            let may_stick = step.timeout.is_some() && step.if_running == IfRunning::Start;
            if may_stick && step.pipeline != "pl_shared" && dice.percent(15) {
                end = RunOutcome::Stuck;
            }
            pipeline.runs.push(RunScript {
                outcome: Some(end),
                error: (end == RunOutcome::Failed).then(|| error.clone()),
                duration: Some(Length(dice.delay(500, longest))),
                ..RunScript::default()
            });
        }
    }
    if dice.percent(40) {
        let ends = [RunOutcome::Cancelled, RunOutcome::Cancelled, RunOutcome::Succeeded, RunOutcome::Failed];
        pipeline.cancel = Some(CancelScript {
            after: Some(Length(dice.delay(500, 40_000))),
            outcome: Some(dice.pick(&ends)),
            at: None,
        });
    }
    pipeline
}

/// Returns the definitions of some pipelines: one with a failure that is handled, and one that calls another.
fn definitions(plan: &Plan) -> Vec<(String, String)> {
    let after =
        |name: &str, condition: &str| json!([{ "activity": name, "dependencyConditions": [condition] }]);
    let mut all = vec![(
        "pl_child.json".to_owned(),
        json!({ "name": "pl_child", "properties": { "activities": [
            { "name": "Deep", "type": "Copy" }] } }),
    )];
    for (at, step) in plan.steps.iter().enumerate() {
        let activities: Value = match at % 5 {
            3 => json!([
                { "name": "Try", "type": "Fail", "typeProperties": { "message": "bad row", "errorCode": "7" } },
                { "name": "Handle", "type": "Copy", "dependsOn": after("Try", "Failed") },
            ]),
            4 => json!([{ "name": "Call", "type": "ExecutePipeline", "typeProperties": {
                "pipeline": { "referenceName": "pl_child", "type": "PipelineReference" },
                "waitOnCompletion": true } }]),
            _ => continue,
        };
        if step.pipeline != "pl_shared" {
            let body = json!({ "name": step.pipeline, "properties": { "activities": activities } });
            all.push((format!("{}.json", step.pipeline), body));
        }
    }
    all.into_iter().map(|(name, body)| (name, body.to_string())).collect()
}

/// Returns one rule. No rule of a twin's night is a certain refusal of a start: such a step has failed.
fn random_fault(dice: &mut Dice, mood: Mood) -> Fault {
    let operations = [
        Operation::CreateRun,
        Operation::CreateRun,
        Operation::GetRun,
        Operation::CancelRun,
        Operation::QueryPipelineRuns,
        Operation::QueryActivityRuns,
    ];
    let kinds = [
        FaultKind::Status,
        FaultKind::Status,
        FaultKind::Status,
        FaultKind::Html,
        FaultKind::Cut,
        FaultKind::CutInBody,
        FaultKind::Truncate,
        FaultKind::Slow,
        FaultKind::ListLag,
        FaultKind::HideRun,
        FaultKind::Clock,
        FaultKind::ShortToken,
    ];
    let kind = dice.pick(&kinds);
    let operation = match kind {
        FaultKind::ListLag => Operation::QueryPipelineRuns,
        FaultKind::HideRun => Operation::GetRun,
        FaultKind::ShortToken => Operation::Token,
        _ => dice.pick(&operations),
    };
    let refusals = mood != Mood::Twin || operation != Operation::CreateRun;
    let statuses: &[u16] = if refusals {
        &[408, 409, 429, 500, 502, 503, 504, 401, 403, 404]
    } else {
        &[408, 409, 429, 500, 502, 503, 504, 401]
    };
    let status = (kind == FaultKind::Status).then(|| dice.pick(statuses));
    // A lie that a run is not there must not be told a dozen times in a row.
    let probability = if matches!(status, Some(404)) { 15 } else { dice.within(5, 50) };
    let is_limited = dice.percent(40);
    let wait = Length(dice.delay(100, 90_000));
    let retry_after = [
        None,
        Some(RetryAfter::Seconds(wait)),
        Some(RetryAfter::Date(wait)),
        Some(RetryAfter::Ms(wait)),
        Some(RetryAfter::XMs(wait)),
    ];
    let bodies =
        [None, Some(BodyForm::Wrapped), Some(BodyForm::Flat), Some(BodyForm::Html), Some(BodyForm::Empty)];
    // What a client takes for certain must be: no gateway carries a request out and says that it is throttled.
    let may_be_accepted = !matches!(status, Some(401 | 403 | 404 | 429));
    let takes_acceptance = matches!(kind, FaultKind::Status | FaultKind::Html | FaultKind::Cut);
    let length = match kind {
        FaultKind::Slow => Some(dice.delay(1_000, 70_000)),
        FaultKind::ListLag | FaultKind::HideRun => Some(dice.delay(1_000, 50_000)),
        FaultKind::ShortToken => Some(dice.delay(1_000, 120_000)),
        _ => None,
    };
    let is_status = kind == FaultKind::Status;
    Fault {
        on: OneOrMany(vec![operation]),
        pipeline: None,
        first: is_limited.then(|| dice.within(1, 10)),
        skip: if is_limited { dice.within(0, 10) } else { 0 },
        probability: Some(probability as f64 / 100.0),
        kind,
        status,
        retry_after: if is_status { dice.pick(&retry_after) } else { None },
        body: if is_status { dice.pick(&bodies) } else { None },
        accepted: takes_acceptance && may_be_accepted && dice.percent(50),
        length: length.map(Length),
        ahead: (kind == FaultKind::Clock)
            .then(|| Skew { ahead_ms: dice.within(0, 7_200_000) as i64 - 3_600_000 }),
    }
}

/// Writes a plan as people do, in the keys that a file may have so far, with one more step at its end.
pub(crate) fn edited(plan: &Plan) -> String {
    let mut text =
        format!("version: 1\nname: {}\nmax_parallel: {}\nworkspaces:\n", plan.name, plan.max_parallel);
    for workspace in &plan.workspaces {
        writeln!(text, "  {}: {{ endpoint: \"{}\" }}", workspace.key, workspace.endpoint).unwrap();
    }
    if let Some(Deadline::After(delay)) = plan.deadline {
        writeln!(text, "deadline: {}ms", delay.as_ms()).unwrap();
    }
    text.push_str("steps:\n");
    for step in &plan.steps {
        let id = &step.id;
        let place = &plan.workspaces[step.workspace].key;
        writeln!(text, "  {id}:\n    pipeline: {}\n    workspace: {place}", step.pipeline).unwrap();
        writeln!(text, "    allow_failure: {}", step.allow_failure).unwrap();
        if let Some(timeout) = step.timeout {
            writeln!(text, "    timeout: {}ms", timeout.as_ms()).unwrap();
        }
        let Retry { max_attempts, delay, backoff, max_delay, .. } = &step.retry;
        let backoff = if *backoff == Backoff::Fixed { "fixed" } else { "exponential" };
        let (delay, most) = (delay.as_ms(), max_delay.as_ms());
        writeln!(text, "    retry: {{ max_attempts: {max_attempts}, delay: {delay}ms, max_delay: {most}ms,")
            .unwrap();
        writeln!(text, "      backoff: {backoff} }}").unwrap();
        let edges = step.depends_on.iter().map(|edge| {
            let upstream = &plan.steps[edge.upstream.0].id;
            let EdgeRule::AnyOf(conditions) = &edge.rule else { return upstream.to_string() };
            let words: Vec<String> =
                conditions.iter().map(|condition| format!("{condition:?}").to_lowercase()).collect();
            format!("{{ {upstream}: [{}] }}", words.join(", "))
        });
        let edges: Vec<String> = edges.collect();
        if !edges.is_empty() {
            writeln!(text, "    depends_on: [{}]", edges.join(", ")).unwrap();
        }
    }
    let last = &plan.steps[plan.steps.len() - 1].id;
    let place = &plan.workspaces[0].key;
    writeln!(text, "  added:\n    workspace: {place}").unwrap();
    writeln!(text, "    depends_on: [{{ {last}: [completed, skipped] }}]").unwrap();
    text
}
