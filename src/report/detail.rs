//! What only a reader who asks for everything is told: why a step starts, and what Synapse says of its run.

use crate::flow::{ActivityRun, Event, Flow, Recorded, RunStatus};
use crate::plan::{Edge, StepIndex};
use crate::report::logs::rounds;
use crate::report::text::one_line;
use crate::report::wording::{Line, Tone, error_line, spoken};

/// How many upstreams one line names.
const UPSTREAMS_MAX: usize = 6;

/// Returns a line for each activity of an attempt that has just ended, in the order in which the service lists them.
pub(super) fn activities(recorded: &Recorded) -> Vec<Line> {
    let Event::AttemptEnded { step, activities: Some(kept), .. } = &recorded.event else { return Vec::new() };
    let rounds = rounds(kept.rows.iter().map(|row| row.iteration.as_str()));
    let line = |activity: &ActivityRun| {
        let took =
            activity.start.zip(activity.end).map(|(start, end)| format!(" in {}", end.since(start).short()));
        let round = rounds.get(activity.iteration.as_str());
        let round = round.map(|round| format!(" (round {round})")).unwrap_or_default();
        let error = activity.error.as_ref().map(|error| format!(": {}", error_line(error)));
        let text = format!(
            "{}{round} {}{}{}",
            one_line(&activity.name),
            one_line(&activity.status),
            took.unwrap_or_default(),
            error.unwrap_or_default(),
        );
        let tone = if activity.error.is_some() { Tone::Warn } else { Tone::Quiet };
        Line { who: one_line(step.as_str()), word: "activity", text, tone }
    };
    let mut lines: Vec<Line> = kept.rows.iter().map(line).collect();
    if kept.left_out > 0 {
        let text = format!("and {} more, which were not kept", kept.left_out);
        lines.push(Line { who: one_line(step.as_str()), word: "activity", text, tone: Tone::Quiet });
    }
    lines
}

/// Returns the line for an event that has none otherwise; nothing where there is nothing to say.
pub(super) fn detail(recorded: &Recorded, flow: &Flow) -> Option<Line> {
    let id = recorded.event.step()?;
    let step = flow.index(id)?;
    let (word, text) = match &recorded.event {
        Event::StartIntended { attempt, run, recovery, .. } => {
            let why = if *attempt > 1 { format!("attempt {attempt}") } else { reasons(flow, step) };
            let from = recovery.as_ref().map(|it| format!(", from activity {}", one_line(&it.activity)));
            ("starting", format!("{why}; asking for run {run}{}", from.unwrap_or_default()))
        }
        Event::StartResent { .. } => ("sent again", "the start leaves again, with the same id".to_owned()),
        Event::RunChanged { status: RunStatus::Queued, .. } => ("queued", "in Synapse".to_owned()),
        Event::RunChanged { status: RunStatus::InProgress, .. } => {
            ("running", "Synapse says that it is in progress".to_owned())
        }
        Event::CancelAccepted { .. } => ("cancelling", "Synapse has taken the cancel".to_owned()),
        Event::RunEnded { status, .. } => {
            ("run ended", format!("Synapse says {}; reading its activities", one_line(&status.to_string())))
        }
        _ => return None,
    };
    Some(Line { who: one_line(id.as_str()), word, text, tone: Tone::Quiet })
}

/// Returns how its upstreams ended, which is why a step starts.
fn reasons(flow: &Flow, step: StepIndex) -> String {
    let edges = &flow.step(step).depends_on;
    if edges.is_empty() {
        return "waits for nothing".to_owned();
    }
    let ended = |edge: &Edge| {
        let id = one_line(flow.step(edge.upstream).id.as_str());
        let how = flow.run(edge.upstream).outcome().map_or("left out", spoken);
        format!("{id} {how}")
    };
    let mut reasons: Vec<String> = edges.iter().take(UPSTREAMS_MAX).map(ended).collect();
    if edges.len() > UPSTREAMS_MAX {
        reasons.push(format!("{} more have ended", edges.len() - UPSTREAMS_MAX));
    }
    reasons.join(", ")
}
