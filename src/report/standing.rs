//! How a flow stands while it runs, for a reader who has just asked: what runs, what waits and for what.
//!
//! Pure text; every name in it is harmless to a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::flow::{Flow, HoldUp, RunStatus, StepState, held_up};
use crate::plan::{IfRunning, StepIndex, StepKind};
use crate::report::expected::{Expected, Left};
use crate::report::frame::{brief, elapsed, under_way};
use crate::report::text::{one_line, pad, pad_left, width};
use crate::report::wording::{at_present, lateness, run_text, took};
use crate::time::Timestamp;

/// How many waiting steps a snapshot lists: a plan of ten thousand must not flood the terminal.
const WAITING_MAX: usize = 100;

/// How many upstreams one line names.
const UPSTREAMS_MAX: usize = 4;

/// How many running steps one line names.
const RUNNING_MAX: usize = 4;

/// The widest column of step ids.
const ID_COLUMNS_MAX: usize = 30;

/// Returns how the flow stands, on as many lines as it takes. Ends with a line break.
pub(super) fn snapshot(
    flow: &Flow,
    expected: &Expected,
    left: Option<Left>,
    activities: &BTreeMap<StepIndex, String>,
    now: Timestamp,
) -> String {
    let running: Vec<Entry> = under_way(flow)
        .into_iter()
        .map(|step| {
            let mut text = Vec::new();
            text.extend(usual_phrase(flow, expected, step, now));
            let activity = activities.get(&step).map(String::as_str);
            let run = flow.run(step);
            let is_at_work = run.state == StepState::Running
                && matches!(
                    run.last_attempt().and_then(|attempt| attempt.status.as_ref()),
                    None | Some(RunStatus::InProgress)
                );
            match (at_present(flow, step, activity, now), is_at_work && activity.is_none()) {
                (present, true) if present.is_empty() => text.push("running".to_owned()),
                (present, _) if present.is_empty() => {}
                (present, _) => text.push(present),
            }
            text.extend(run_text(run).map(|run| format!("run {run}")));
            Entry::of(flow, step, took(run, now).map(elapsed).unwrap_or_default(), text.join(", "))
        })
        .collect();
    let held: BTreeMap<StepIndex, HoldUp> = held_up(flow, now).into_iter().collect();
    let waiting = flow.steps().filter_map(|(step, _, run)| {
        let why = match run.state {
            StepState::Waiting => upstreams(flow, step),
            StepState::Ready => match held.get(&step) {
                Some(&why) => held_phrase(flow, step, why),
                None => "starts now".to_owned(),
            },
            StepState::Unknown => "unknown, a person must look".to_owned(),
            _ => return None,
        };
        Some(Entry::of(flow, step, String::new(), why))
    });
    let mut waiting: Vec<Entry> = waiting.collect();
    let more = waiting.len().saturating_sub(WAITING_MAX);
    waiting.truncate(WAITING_MAX);

    let time = now.to_string();
    let clock = &time["2026-11-24T".len().."2026-11-24T12:03:07".len()];
    let mut text = format!("flow {} at {clock} UTC: {}\n", flow.header().id, tally(flow, left, now));
    if let Some(line) = lateness(flow, now) {
        let _ = writeln!(text, "{line}");
    }
    push(&mut text, &running);
    push(&mut text, &waiting);
    if more > 0 {
        let _ = writeln!(text, "  ... and {more} more wait; `synflow status {}` lists all", flow.header().id);
    }
    text
}

/// Returns how the flow stands on one line, with the eldest running steps.
pub(super) fn in_brief(flow: &Flow, expected: &Expected, left: Option<Left>, now: Timestamp) -> String {
    let steps = under_way(flow);
    let name = |&step: &StepIndex| {
        let id = one_line(flow.step(step).id.as_str());
        let took = took(flow.run(step), now).map(brief).unwrap_or_default();
        match usual_phrase(flow, expected, step, now) {
            Some(usual) => format!("{id} {took} ({usual})"),
            None => format!("{id} {took}"),
        }
    };
    let mut text = tally(flow, left, now);
    let named: Vec<String> = steps.iter().take(RUNNING_MAX).map(name).collect();
    if !named.is_empty() {
        let _ = write!(text, "; {}", named.join(", "));
        if steps.len() > RUNNING_MAX {
            let _ = write!(text, " and {} more", steps.len() - RUNNING_MAX);
        }
    }
    for waits in counted_waits(flow, &held_up(flow, now)) {
        let _ = write!(text, "; {waits}");
    }
    text
}

/// Returns for each thing that ready steps wait for how many do.
pub(super) fn counted_waits(flow: &Flow, held: &[(StepIndex, HoldUp)]) -> Vec<String> {
    let mut counts: BTreeMap<HoldUp, (usize, StepIndex)> = BTreeMap::new();
    for &(step, why) in held {
        counts.entry(why).or_insert((0, step)).0 += 1;
    }
    // Nothing is to start in this process, or the answer comes in a moment: neither is worth a line that moves.
    let is_shown =
        |why: HoldUp| why != HoldUp::FirstAnswer && (why != HoldUp::Places || flow.header().max_parallel > 0);
    let counts = counts.into_iter().filter(|(why, _)| is_shown(*why));
    counts
        .map(|(why, (count, step))| match (why, count) {
            (HoldUp::Others, 1) => {
                let id = one_line(flow.step(step).id.as_str());
                format!("{id} {}", held_phrase(flow, step, why))
            }
            (HoldUp::Others, count) => {
                format!("{count} ready steps look whether their pipelines run already")
            }
            (_, 1) => format!("1 ready step {}", held_phrase(flow, step, why)),
            (_, count) => {
                let phrase = held_phrase(flow, step, why);
                format!("{count} ready steps {}", phrase.replacen("waits", "wait", 1))
            }
        })
        .collect()
}

/// Returns what a ready step waits for, as the rest of a sentence that begins with its id.
fn held_phrase(flow: &Flow, step: StepIndex, why: HoldUp) -> String {
    match why {
        HoldUp::Places if flow.header().max_parallel == 0 => "is not started by this process".to_owned(),
        HoldUp::Places => format!("waits for a place (max_parallel {})", flow.header().max_parallel),
        HoldUp::Pool(pool) => {
            let pool = &flow.plan().pools[pool];
            format!("waits for pool {} (size {})", one_line(&pool.name), pool.size)
        }
        HoldUp::Iterations(group) => {
            let limit = match flow.step(group).kind {
                StepKind::Group { max_parallel: Some(limit), .. } => format!(" (max_parallel {limit})"),
                _ => String::new(),
            };
            format!("waits for other iterations of {}{limit}", one_line(flow.step(group).id.as_str()))
        }
        HoldUp::Queue => "waits for room in Synapse's queue of its pipeline".to_owned(),
        HoldUp::FirstAnswer => "waits for the answer to the first start in its workspace".to_owned(),
        HoldUp::Others => {
            let word = match flow.step(step).if_running {
                IfRunning::Attach => "attach",
                IfRunning::Skip => "skip",
                IfRunning::Fail => "fail",
                IfRunning::Start | IfRunning::Wait => "wait",
            };
            let pipeline = one_line(&flow.step(step).pipeline);
            format!("looks whether {pipeline} runs already (if_running: {word})")
        }
    }
}

/// Returns which upstreams a step waits for.
fn upstreams(flow: &Flow, step: StepIndex) -> String {
    let place = flow.step(step);
    let open = place.depends_on.iter().map(|edge| edge.upstream).filter(|&it| !flow.run(it).is_over());
    let mut open: Vec<StepIndex> = open.collect();
    open.dedup();
    if open.iter().any(|&it| matches!(flow.step(it).kind, StepKind::Barrier)) {
        return "waits until all other steps have ended".to_owned();
    }
    if open.is_empty() {
        return "waits for runs that were begun before the resume".to_owned();
    }
    let name = |&it: &StepIndex| {
        let id = one_line(flow.step(it).id.as_str());
        if flow.run(it).state == StepState::Unknown { format!("{id} (unknown)") } else { id }
    };
    let mut names: Vec<String> = open.iter().take(UPSTREAMS_MAX).map(name).collect();
    if open.len() > UPSTREAMS_MAX {
        names.push(format!("{} more", open.len() - UPSTREAMS_MAX));
    }
    format!("waits for {}", names.join(", "))
}

/// Returns the counts and what is left: `7/15 done, 1 failed, 2 running, 6 waiting, ~12m left`.
fn tally(flow: &Flow, left: Option<Left>, now: Timestamp) -> String {
    let counts = flow.counts();
    let done = counts.succeeded + counts.warned + counts.failed + counts.unknown + counts.not_run;
    let mut parts = vec![format!("{done}/{} done", counts.total)];
    for (count, word) in [
        (counts.failed, "failed"),
        (counts.unknown, "unknown"),
        (counts.running, "running"),
        (counts.waiting, "waiting"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.extend(left.map(|left| left.spoken(now)));
    parts.join(", ")
}

/// Returns what a step usually takes, if that is known.
fn usual_phrase(flow: &Flow, expected: &Expected, step: StepIndex, now: Timestamp) -> Option<String> {
    match expected.slow(flow, step, now) {
        Some(usual) => Some(format!("SLOW, usually {}", brief(usual.median))),
        None => expected.usual(flow, step).map(|usual| format!("usually {}", brief(usual.median))),
    }
}

/// A step in a snapshot.
struct Entry {
    id: String,
    took: String,
    text: String,
}

impl Entry {
    fn of(flow: &Flow, step: StepIndex, took: String, text: String) -> Self {
        Self { id: one_line(flow.step(step).id.as_str()), took, text }
    }
}

fn push(text: &mut String, entries: &[Entry]) {
    let widest = |of: fn(&Entry) -> usize| entries.iter().map(of).max().unwrap_or(0);
    let ids = widest(|entry| width(&entry.id)).min(ID_COLUMNS_MAX);
    let tooks = widest(|entry| width(&entry.took));
    for Entry { id, took, text: rest } in entries {
        let gap = if tooks > 0 { "  " } else { "" };
        let _ = writeln!(text, "  {}{gap}{}  {rest}", pad(id, ids), pad_left(took, tooks));
    }
}
