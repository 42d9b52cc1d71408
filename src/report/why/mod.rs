//! Why a step is as it is: which rules applied, what it waits for, where the way back ends, and what to do next.
//!
//! Pure, and told from the flow alone, so that it is the same for a flow under way, one left half way and one that ended
//! years ago. Main type: [`Why`].

mod edges;
#[cfg(test)]
mod tests;
mod trail;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::flow::{Attempt, Flow, HoldUp, Outcome, StepState};
use crate::plan::{IfRunning, RetryOn, StepIndex, StepKind};
use crate::report::json;
use crate::report::text::{counted, cut, one_line, pad, paragraphs, width};
use crate::report::wording::{self, run_text, spoken, took, went_wrong};
use crate::time::{Delay, Timestamp};

/// How many steps one list names.
const NAMES_MAX: usize = 12;

/// The widest column of names.
const NAME_COLUMNS_MAX: usize = 36;

/// How much of a text beside a name is shown; `--output json` has it whole, and so have the step's logs.
const TEXT_COLUMNS_MAX: usize = 300;

/// A step that starts sooner than this after it could has waited for nothing.
const AT_ONCE: Delay = Delay::from_secs(1);

/// A question about a step.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// The flow as it is.
    pub flow: &'a Flow,
    /// The step.
    pub step: StepIndex,
    /// The flow as it was while the step was ready and had not started, if it waited for a while then.
    pub meanwhile: Option<&'a Flow>,
    /// Whether a process drives the flow now.
    pub is_driven: bool,
    /// When it is asked.
    pub now: Timestamp,
}

/// All that there is to say.
struct Answer {
    verdict: String,
    reasons: Vec<String>,
    trail: Vec<trail::Link>,
    edges: Vec<edges::EdgeSaid>,
    notes: Vec<String>,
    next: Vec<String>,
}

impl Why<'_> {
    /// Returns the answer for people: the verdict first, then the way back, then the rules.
    pub fn text(&self) -> String {
        let answer = self.answer();
        let mut out = format!("{}\n", answer.verdict);
        for reason in &answer.reasons {
            for line in paragraphs(reason) {
                let _ = writeln!(out, "  {line}");
            }
        }
        let name = |step: StepIndex| one_line(self.flow.step(step).id.as_str());
        let title = if self.flow.run(self.step).outcome().is_some() { "because" } else { "waits for" };
        let links: Vec<(String, &str)> =
            shown(&answer.trail).map(|link| (name(link.step), link.text.as_str())).collect();
        rows(&mut out, title, &links, answer.trail.len() - links.len());
        let edges: Vec<(String, String)> = answer.edges.iter().take(NAMES_MAX).map(edge_row).collect();
        let edges: Vec<(String, &str)> =
            edges.iter().map(|(edge, said)| (edge.clone(), said.as_str())).collect();
        rows(&mut out, "edges", &edges, answer.edges.len() - edges.len());
        if !answer.notes.is_empty() {
            out.push('\n');
        }
        for note in &answer.notes {
            let _ = writeln!(out, "{}", one_line(note));
        }
        for (at, next) in answer.next.iter().enumerate() {
            let _ = writeln!(out, "{}{next}", if at == 0 { "\nnext: " } else { "      " });
        }
        out
    }

    /// Returns the answer for programs.
    pub fn value(&self) -> Value {
        let (flow, answer) = (self.flow, self.answer());
        let (place, run) = (flow.step(self.step), flow.run(self.step));
        let edges = answer.edges.iter().map(|edge| {
            json!({
                "edge": edge.edge,
                "upstream": flow.step(edge.upstream).id,
                "conditions": edge.words,
                "outcome": flow.run(edge.upstream).outcome().map(Outcome::word),
                "met": edge.met,
                "because": edge.because,
            })
        });
        let link = |link: &trail::Link| {
            json!({
                "step": flow.step(link.step).id,
                "outcome": flow.run(link.step).outcome().map(Outcome::word),
                "state": json::step_state(&flow.run(link.step).state),
                "why": link.text,
                "is_root": link.is_root,
            })
        };
        json!({
            "flow": { "id": flow.header().id, "plan": flow.header().plan_name, "state": json::flow_state(flow) },
            "step": {
                "id": place.id,
                "pipeline": if place.kind.is_run() { Some(&place.pipeline) } else { None },
                "state": json::step_state(&run.state),
                "outcome": run.outcome().map(Outcome::word),
            },
            "verdict": answer.verdict,
            "reasons": answer.reasons,
            "trail": answer.trail.iter().map(link).collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
            "notes": answer.notes,
            "next": answer.next,
        })
    }

    fn answer(&self) -> Answer {
        let (verdict, reasons) = self.verdict();
        let trail = trail::of(self.flow, self.step, self.now);
        let mut notes: Vec<String> = self.beginning().into_iter().collect();
        notes.extend(self.condition());
        if !self.is_driven && self.is_open() && !self.flow.run(self.step).is_over() {
            notes.push("nobody drives the flow at the moment, so nothing of this goes on".to_owned());
        }
        let next = self.next(&trail);
        Answer { verdict, reasons, trail, edges: edges::of(self.flow, self.step), notes, next }
    }

    fn is_open(&self) -> bool {
        !self.flow.is_settled() && !self.flow.is_given_up()
    }

    /// Returns where the step is in a sentence, and the reasons that it has by itself.
    fn verdict(&self) -> (String, Vec<String>) {
        let (flow, run) = (self.flow, self.flow.run(self.step));
        let place = flow.step(self.step);
        let name = one_line(place.id.as_str());
        let of = format!("of flow {}", flow.header().id);
        if let StepKind::Group { members, .. } = &place.kind
            && !members.is_empty()
        {
            let verdict = match run.outcome() {
                Some(outcome) => format!("{name} {of} ended {}", spoken(outcome)),
                None => format!("{name} {of} has not ended"),
            };
            return (verdict, vec![trail::iterations(flow, members.clone())]);
        }
        let present = wording::at_present(flow, self.step, None, self.now);
        let is = |what: &str| format!("{name} {of} is {what}");
        match &run.state {
            StepState::Ended { outcome } => {
                let after = took(run, self.now).map(|took| format!(" after {}", took.short()));
                let at = run.ended_at.map(|at| format!(", at {}", at.spoken())).unwrap_or_default();
                let verdict =
                    format!("{name} {of} ended {}{}{at}", spoken(*outcome), after.unwrap_or_default());
                (verdict, self.ended(*outcome))
            }
            StepState::Unknown => {
                let why = vec![trail::why(flow, self.step)];
                (format!("nobody knows what became of {name} {of}"), why)
            }
            StepState::Waiting => (is("waiting"), Vec::new()),
            StepState::Barred { outcome, reason } => {
                (is(&format!("about to end {}", spoken(*outcome))), vec![reason.clone()])
            }
            StepState::Ready => (is("ready to start"), self.room()),
            state => {
                let since = run.last_attempt().and_then(|attempt| attempt.started_at);
                let since = since.map(|at| format!(" for {}", self.now.since(at).short()));
                let since = since.filter(|_| *state == StepState::Running).unwrap_or_default();
                let mut reasons = vec![present];
                reasons.extend(run_text(run).map(|run| format!("run {run}")));
                reasons.retain(|reason| !reason.is_empty());
                (format!("{}{since}", is(edges::word(state))), reasons)
            }
        }
    }

    /// Returns why a step that is over ended so, and why it was not tried again.
    fn ended(&self, outcome: Outcome) -> Vec<String> {
        let run = self.flow.run(self.step);
        let mut reasons = vec![trail::why(self.flow, self.step)];
        if outcome == Outcome::Warned {
            reasons.push("its run succeeded, yet an activity in it failed".to_owned());
        }
        if run.attempts.len() > 1 && run.current_attempt().is_some() {
            let before = run.attempts.iter().rev().skip(1).take(NAMES_MAX);
            reasons.extend(before.map(earlier));
        }
        if went_wrong(outcome) {
            reasons.extend(self.no_more_attempts(outcome));
        }
        reasons.retain(|reason| !reason.is_empty());
        reasons
    }

    /// Says why no attempt followed the last one.
    fn no_more_attempts(&self, outcome: Outcome) -> Option<String> {
        let (flow, run) = (self.flow, self.flow.run(self.step));
        let retry = &flow.step(self.step).retry;
        let last = run.current_attempt()?;
        let tried = run.attempts.len() - run.old_attempts();
        if last.started_at.is_none() && outcome == Outcome::Failed {
            return Some("Synapse refused the start, and sending it again cannot help".to_owned());
        }
        if run.is_end_asked() {
            return Some("a person asked for its end".to_owned());
        }
        Some(match retry.max_attempts {
            0 | 1 => "its `retry` asks for no other attempt".to_owned(),
            most if tried >= most as usize => format!("all {most} attempts of its `retry` are used up"),
            _ if flow.is_halted() => {
                "no other attempt follows once failures have stopped the flow".to_owned()
            }
            _ => {
                let words: Vec<&str> = retry.on.iter().map(listed).collect();
                format!("its `retry` is `on: [{}]`, and this is none of them", words.join(", "))
            }
        })
    }

    /// Returns what a step that may start lacks.
    fn room(&self) -> Vec<String> {
        let lacks = lacking(self.flow, self.step, self.now);
        if !lacks.is_empty() {
            return lacks.into_iter().map(|lack| format!("it waits for {lack}")).collect();
        }
        vec![match self.flow.step(self.step).if_running {
            IfRunning::Wait | IfRunning::Attach => format!(
                "nothing of this flow is in its way; with `if_running` it waits while its pipeline `{}` runs in the \
                 workspace, whoever started that",
                self.flow.step(self.step).pipeline
            ),
            _ => "nothing is in its way: it starts with the next beat".to_owned(),
        }]
    }

    /// Says when the step could start and what it waited for then.
    fn beginning(&self) -> Option<String> {
        let (flow, run) = (self.flow, self.flow.run(self.step));
        let first = run.attempts.get(run.old_attempts()).filter(|_| flow.step(self.step).kind.is_run())?;
        let upstreams = || flow.graph().upstreams(self.step);
        let last = upstreams().filter_map(|step| Some((flow.run(step).ended_at?, step))).max();
        let begun = first.intended_at;
        let since = match last {
            _ if upstreams().any(|step| !flow.run(step).is_over()) => None,
            Some((at, step)) if at <= begun => Some((at, ended_last(flow, step, upstreams().count()))),
            Some(_) => None,
            None if run.old_attempts() > 0 => None,
            None => flow.started_at().map(|at| (at.min(begun), "the flow began".to_owned())),
        };
        let Some((at, what)) = since else {
            return Some(format!("its start left at {}", begun.spoken()));
        };
        let waited = begun.since(at);
        if waited < AT_ONCE {
            return Some(format!("it started at {}, when {what}", begun.spoken()));
        }
        let lacks = self.meanwhile.map(|then| lacking(then, self.step, at)).unwrap_or_default();
        let lacks = if lacks.is_empty() { String::new() } else { format!(" for {}", lacks.join(" and ")) };
        Some(format!(
            "it could start at {}, when {what}, and did so {} later, at {}{}",
            at.spoken(),
            waited.short(),
            begun.spoken(),
            if lacks.is_empty() { String::new() } else { format!(": it waited{lacks}") }
        ))
    }

    /// Says what the step's own condition asks and what came of it.
    fn condition(&self) -> Option<String> {
        let (flow, run) = (self.flow, self.flow.run(self.step));
        let when = flow.step(self.step).when.as_ref()?;
        let text = when.text();
        if flow.graph().upstreams(self.step).any(|step| !flow.run(step).is_over()) {
            return Some(format!("`when` is asked once its edges are met: {text}"));
        }
        if matches!(run.outcome(), Some(Outcome::Blocked | Outcome::NotNeeded)) {
            return Some(format!("`when` was not asked: {text}"));
        }
        // What it came to stands in the reason.
        if matches!(run.outcome(), Some(Outcome::Skipped)) || run.reason.starts_with("`when`") {
            return None;
        }
        let scope = flow.scope(self.step);
        let values = when.values(&scope);
        let values = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
        Some(match when.evaluate(&scope) {
            Ok(is_true) => format!("`when` is {is_true}: {text}{values}"),
            Err(why) => format!("`when` cannot be evaluated: {why}"),
        })
    }

    /// Returns the commands that help, the first first.
    fn next(&self, trail: &[trail::Link]) -> Vec<String> {
        let (flow, id) = (self.flow, &self.flow.header().id);
        let mut roots: Vec<StepIndex> =
            trail.iter().filter(|link| link.is_root).map(|link| link.step).collect();
        if trail.is_empty() {
            roots.push(self.step);
        }
        let of = |state: &dyn Fn(StepIndex) -> bool| roots.iter().copied().find(|&step| state(step));
        let mut next = Vec::new();
        if let Some(step) = of(&|step| flow.run(step).state == StepState::Unknown) {
            let step = typed(flow.step(step).id.as_str());
            next.push(format!("synflow resolve {id} {step} --run RUN | --not-started | --give-up"));
            return next;
        }
        let has_run = |step: StepIndex| {
            let run = flow.run(step);
            let is_worth_it = step == self.step || run.outcome() != Some(Outcome::Succeeded);
            is_worth_it && flow.step(step).kind.is_run() && !run.attempts.is_empty()
        };
        if let Some(step) = of(&has_run) {
            next.push(format!("synflow logs {} --flow {id}", typed(flow.step(step).id.as_str())));
        }
        let is_left = self.is_open() || !flow.went_well();
        if self.is_driven && self.is_open() {
            next.push(format!("synflow watch {id}"));
        } else if is_left && !flow.header().emulated && !flow.is_given_up() {
            next.push(if flow.is_cancelling() && self.is_open() {
                format!("synflow cancel {id}")
            } else {
                format!("synflow resume {id}")
            });
        }
        next
    }
}

/// Returns how an attempt ended before the last one.
fn earlier(attempt: &Attempt) -> String {
    let how = attempt.outcome.map_or("has no known end", spoken);
    let why = attempt.error.as_ref().map(wording::error_line).filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("attempt {} {how}{why}", attempt.number)
}

/// Returns what a step that may start lacks, each with who has it.
pub(super) fn lacking(flow: &Flow, step: StepIndex, now: Timestamp) -> Vec<String> {
    let holding = |uses: &dyn Fn(StepIndex) -> bool| {
        let mut steps: Vec<StepIndex> = flow.live().chain(flow.unknown()).filter(|&it| uses(it)).collect();
        steps.sort_unstable();
        if steps.is_empty() { String::new() } else { format!(", held by {}", names(flow, &steps)) }
    };
    let lack = |holdup: HoldUp| match holdup {
        HoldUp::Places => {
            let most = flow.header().max_parallel;
            format!("a place of `max_parallel` {most}{}", holding(&|_| true))
        }
        HoldUp::Pool(pool) => {
            let wants =
                flow.step(step).pools.iter().find(|(of, _)| *of == pool).map_or(0, |(_, wants)| *wants);
            let uses = |step: StepIndex| flow.step(step).pools.iter().any(|(of, _)| *of == pool);
            let pool = &flow.plan().pools[pool];
            format!("{wants} of {} of pool `{}`{}", pool.size, one_line(&pool.name), holding(&uses))
        }
        HoldUp::Iterations(group) => {
            let limit = match flow.step(group).kind {
                StepKind::Group { max_parallel: Some(limit), .. } => format!(", {limit} at once"),
                _ => String::new(),
            };
            let uses = |step: StepIndex| flow.step(step).group == Some(group);
            let group = one_line(flow.step(group).id.as_str());
            format!("its turn among the iterations of `{group}`{limit}{}", holding(&uses))
        }
        HoldUp::Queue => {
            let most = flow.capacity(step).unwrap_or_default();
            let pipeline = one_line(&flow.step(step).pipeline);
            format!(
                "room in Synapse, which takes {most} runs of pipeline `{pipeline}` at once, queued ones with them"
            )
        }
        HoldUp::Others => "other runs of its pipeline to end".to_owned(),
        HoldUp::FirstAnswer => "the answer to the first start in its workspace, which goes alone".to_owned(),
    };
    flow.holdups(step, now).into_iter().map(lack).collect()
}

/// Returns a step's id as a shell takes it.
pub fn typed(id: &str) -> String {
    let id = one_line(id);
    let is_plain = |c: char| c.is_alphanumeric() || "_-.,:/".contains(c);
    if id.chars().all(is_plain) { id } else { format!("'{}'", id.replace('\'', r"'\''")) }
}

fn ended_last(flow: &Flow, step: StepIndex, upstreams: usize) -> String {
    let id = one_line(flow.step(step).id.as_str());
    match (&flow.step(step).kind, upstreams) {
        (StepKind::Barrier, _) => "all steps without `finally` had ended".to_owned(),
        (_, 1) => format!("`{id}` ended"),
        (_, several) => format!("`{id}`, the last of {several} it waits for, ended"),
    }
}

const fn listed(on: &RetryOn) -> &str {
    match on {
        RetryOn::Failed => "failed",
        RetryOn::TimedOut => "timed_out",
        RetryOn::Cancelled => "cancelled",
        RetryOn::Code(code) => code.as_str(),
    }
}

fn names(flow: &Flow, steps: &[StepIndex]) -> String {
    let shown = steps.iter().take(NAMES_MAX).map(|&step| one_line(flow.step(step).id.as_str()));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if steps.len() > NAMES_MAX {
        let _ = write!(text, " and {} more", steps.len() - NAMES_MAX);
    }
    text
}

fn edge_row(edge: &edges::EdgeSaid) -> (String, String) {
    let met = match edge.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "open",
    };
    (edge.edge.clone(), format!("{met}: {}", edge.because))
}

/// Returns the links that are shown: where it began, and of what lies between as much as there is room for.
fn shown(trail: &[trail::Link]) -> impl Iterator<Item = &trail::Link> {
    let roots = trail.iter().filter(|link| link.is_root).count().min(NAMES_MAX);
    let (mut between, mut left) = (NAMES_MAX.saturating_sub(roots), roots);
    trail.iter().filter(move |link| {
        let room = if link.is_root { &mut left } else { &mut between };
        let has_room = *room > 0;
        *room = room.saturating_sub(1);
        has_room
    })
}

/// Writes rows of a name and a text below a title.
fn rows(out: &mut String, title: &str, rows: &[(String, &str)], more: usize) {
    if rows.is_empty() {
        return;
    }
    let columns = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0).min(NAME_COLUMNS_MAX);
    let _ = writeln!(out, "\n{title}");
    for (name, text) in rows {
        let _ = writeln!(out, "  {}  {}", pad(name, columns), cut(&one_line(text), TEXT_COLUMNS_MAX));
    }
    if more > 0 {
        let _ = writeln!(out, "  ... and {} more", counted(more, "step"));
    }
}
