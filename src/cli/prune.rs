//! `synflow flows prune`: lets old flows go and gives their room back to the disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};

use serde_json::{Value, json};

use crate::cli::args::{Output, Prune};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{flows, load, moment, outlet, own, put_value};
use crate::driver::now;
use crate::flow::StepState;
use crate::flow::forecast::DURATIONS_MAX;
use crate::journal::{Journal, Kept, Leaving, Parting, PruneRules};
use crate::report::{counted, one_line};
use crate::time::{Delay, Timestamp};

/// How long after its last event the runs of a real flow may still have to be told apart from those of a start that nobody
/// knows the end of.
const CLAIMS_LAST: Delay = Delay::from_secs(24 * 3600);

/// How many groups of flows are listed.
const GROUPS_MAX: usize = 20;

/// Removes what may go, or with `--dry-run` only says what would.
///
/// Fails with exit 2 if a value makes no sense or the person says no, and with 12 if the journal cannot be used.
pub(super) fn run(args: &Prune, settings: &Settings) -> Result<(), Failure> {
    let now = now();
    let before = flows::point("--older-than", args.older_than.as_deref(), now)?;
    let bytes_max = args.max_size.as_deref().map(moment::read_size).transpose().map_err(|why| {
        let text = args.max_size.as_deref().unwrap_or_default();
        Failure::new(Exit::Usage, format!("`--max-size` cannot be `{text}`")).hint(why)
    })?;
    let mut journal = if args.dry_run { load::journal_to_read(settings)? } else { load::journal(settings)? };
    let keep = args.keep.map_or(1, |keep| keep as usize);
    let claims_from = claims_from(&mut journal, now)?;
    let rules = PruneRules { before, bytes_max, keep, across_keys: args.across_keys, claims_from };
    let parting = journal.parting(&rules)?;
    if args.dry_run || parting.go.is_empty() {
        let value = value(&parting, args.dry_run, None);
        return put_value(&value, args.output, || text(&parting, rules, args.dry_run));
    }
    if settings.is_at_terminal && !args.yes {
        // A part of the question, not of the answer.
        drop(outlet::stderr().write_all(text(&parting, rules, true).as_bytes()));
        ask()?;
    }
    let removed = journal.part(&parting)?;
    let after = shrink(&mut journal)?;
    let done = Done { removed, after };
    put_value(&value(&parting, false, Some(&done)), args.output, || done.text(&parting))?;
    if removed < parting.go.len() {
        let others = counted(parting.go.len() - removed, "flow");
        tell(&format!("note: {others} stay: they were taken up meanwhile"));
    }
    if let (Err(why), Output::Text) = (&done.after, args.output) {
        tell(&format!("note: the file keeps its size for now: {why}"));
    }
    Ok(())
}

/// What came of it.
struct Done {
    removed: usize,
    /// The size of the file, or why it was not made smaller.
    after: Result<u64, String>,
}

impl Done {
    fn text(&self, parting: &Parting) -> String {
        let freed = match self.after {
            Ok(after) => format!(
                "{} freed, the journal has {}",
                moment::size(parting.file_bytes.saturating_sub(after)),
                moment::size(after)
            ),
            Err(_) => "new flows take their room".to_owned(),
        };
        format!("{} removed, {}: {freed}\n", counted(self.removed, "flow"), staying(parting.stay))
    }
}

/// Returns since when real flows must stay: for a day, and for as long as a start is open that they may have to be told apart
/// from.
fn claims_from(journal: &mut Journal, now: Timestamp) -> Result<Timestamp, Failure> {
    let mut oldest = now;
    for header in journal.all_unfinished()? {
        // One that cannot be read is not finished by this synflow either.
        let Ok(flow) = load::flow(journal, &header.id) else { continue };
        let is_open = |state: &StepState| {
            matches!(
                state,
                StepState::Starting
                    | StepState::NotSent { .. }
                    | StepState::Unclear { .. }
                    | StepState::Unknown
            )
        };
        let open = flow.steps().filter(|(_, _, run)| is_open(&run.state));
        let intended = open.filter_map(|(_, _, run)| run.last_attempt().map(|attempt| attempt.intended_at));
        oldest = oldest.min(intended.min().unwrap_or(oldest));
    }
    Ok(oldest - CLAIMS_LAST)
}

/// Makes the file smaller, if nobody drives a flow: others could not write meanwhile.
fn shrink(journal: &mut Journal) -> Result<Result<u64, String>, Failure> {
    let is_shrunk = if own::is_anyone_driving(journal)? { Ok(false) } else { journal.shrink() };
    Ok(match is_shrunk {
        Ok(true) => Ok(journal.size()?.0),
        Ok(false) => {
            Err("a flow is under way; the next `synflow flows prune` makes the file smaller".to_owned())
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Err(cause.unwrap_or_else(|| error.to_string()))
        }
    })
}

fn ask() -> Result<(), Failure> {
    drop(write!(outlet::stderr(), "\nremove them? [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::new(Exit::Usage, "nothing was removed").hint("`--yes` asks nothing")),
    }
}

type Group<'a> = (&'a str, &'a str, bool);

/// Returns what goes, by plan and environment.
fn groups(parting: &Parting) -> BTreeMap<Group<'_>, Vec<&Leaving>> {
    let mut groups: BTreeMap<Group<'_>, Vec<&Leaving>> = BTreeMap::new();
    for leaving in &parting.go {
        let group = (leaving.plan.as_str(), leaving.environment.as_str(), leaving.emulated);
        groups.entry(group).or_default().push(leaving);
    }
    groups
}

fn stay_of((plan, environment, emulated): Group<'_>, parting: &Parting) -> usize {
    parting.left.get(&(plan.to_owned(), environment.to_owned(), emulated)).copied().unwrap_or(0)
}

fn staying(count: usize) -> String {
    if count == 1 { "1 stays".to_owned() } else { format!("{count} stay") }
}

fn text(parting: &Parting, rules: PruneRules, is_to_come: bool) -> String {
    let mut out = String::new();
    let bytes: u64 = parting.go.iter().map(|leaving| leaving.bytes).sum();
    let go = match (is_to_come, parting.go.len()) {
        (true, _) => "would go",
        (false, 1) => "goes",
        (false, _) => "go",
    };
    let _ = match parting.go.len() {
        0 => writeln!(out, "no flow goes, {}, {}", staying(parting.stay), moment::size(parting.file_bytes)),
        count => writeln!(
            out,
            "{} {go}, {}: about {} of {}",
            counted(count, "flow"),
            staying(parting.stay),
            moment::size(bytes),
            moment::size(parting.file_bytes)
        ),
    };
    let groups = groups(parting);
    for (group, leaving) in groups.iter().take(GROUPS_MAX) {
        let (plan, environment, emulated) = group;
        let marks: Vec<&str> = [*environment, if *emulated { "emulated" } else { "" }]
            .into_iter()
            .filter(|mark| !mark.is_empty())
            .collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        let days = leaving.first().zip(leaving.last()).map(|(first, last)| {
            let day = |at: Timestamp| at.to_string()[.."2026-11-24".len()].to_owned();
            format!("{} to {}", day(first.created_at), day(last.created_at))
        });
        let left = stay_of(*group, parting);
        let forecasts = if left < DURATIONS_MAX {
            format!("; forecasts then go by {}", counted(left, "flow"))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "  {}  {}, {}{forecasts}",
            one_line(&format!("{plan}{marks}")),
            counted(leaving.len(), "flow"),
            days.unwrap_or_default()
        );
    }
    if groups.len() > GROUPS_MAX {
        let _ = writeln!(out, "  ... and those of {} more plans", groups.len() - GROUPS_MAX);
    }
    for (why, count) in &parting.kept {
        let _ = writeln!(out, "  kept: {count} {}", reason(*why, rules));
    }
    out
}

fn reason(why: Kept, rules: PruneRules) -> String {
    match why {
        Kept::Unfinished => "that have not ended".to_owned(),
        Kept::Newest if rules.keep > 1 => format!("among the newest {} of their key", rules.keep),
        Kept::Newest if rules.across_keys => "that are the newest of their plan".to_owned(),
        Kept::Newest => {
            "that are the newest of their key; `--across-keys` takes all run keys of a plan as one".to_owned()
        }
        Kept::Claims => {
            "whose runs may have to be told apart from those of a start that is not clear".to_owned()
        }
        Kept::InUse => "that a process has or waits for".to_owned(),
    }
}

fn value(parting: &Parting, is_dry: bool, done: Option<&Done>) -> Value {
    let groups = groups(parting).into_iter().map(|(group, leaving)| {
        json!({
            "plan": group.0,
            "environment": group.1,
            "emulated": group.2,
            "flows": leaving.len(),
            "left": stay_of(group, parting),
        })
    });
    let word = |why: Kept| match why {
        Kept::Unfinished => "unfinished",
        Kept::Newest => "newest",
        Kept::Claims => "claims",
        Kept::InUse => "in_use",
    };
    let kept = parting.kept.iter().map(|(why, count)| (word(*why).to_owned(), json!(count)));
    json!({
        "dry_run": is_dry,
        "flows": parting.go.iter().map(|leaving| &leaving.flow).collect::<Vec<_>>(),
        "removed": done.map_or(0, |done| done.removed),
        "stay": parting.stay,
        "kept": kept.collect::<serde_json::Map<_, _>>(),
        "plans": groups.collect::<Vec<_>>(),
        "bytes_before": parting.file_bytes,
        "bytes_after": done.and_then(|done| done.after.as_ref().ok()),
        "bytes_expected": parting.go.iter().map(|leaving| leaving.bytes).sum::<u64>(),
    })
}
