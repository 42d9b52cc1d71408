//! `synflow rehearse PLAN`: the real scheduler against a modelled workspace in virtual time. Touches no network, starts
//! nothing, writes nothing and reads no secret.

mod gantt;
mod json;
mod text;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cli::args::{Output, Rehearse, Stream};
use crate::cli::emulate::Furnishing;
use crate::cli::expected::{self, History};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, LoadedPlan};
use crate::cli::settings::Settings;
use crate::cli::{block_on, ending, outlet, pace, put, put_exact, put_value, show as showing, signals};
use crate::driver::now;
use crate::journal::Journal;
use crate::plan::{self, Assumptions, StepIndex};
use crate::rehearse::account::Account;
use crate::rehearse::{KnownOutputs, Lengths, Rehearsal, Setting};
use crate::report::{Expected, Report};
use crate::time::{Delay, Timestamp};

/// The exit code for a flow that would never end.
const NEVER_ENDS: Exit = Exit::TimedOut;

/// When a flow begins where nobody says otherwise.
pub(super) const AT_DEFAULT: &str = "2026-01-14";

/// The bounds of a duration that is assumed for whatever nothing is known of.
const USUAL: (Delay, Delay) = (Delay::ZERO, Delay::from_secs(366 * 24 * 3600));

/// The usual duration where nobody says another.
pub(super) const USUAL_DEFAULT: Delay = Delay::from_secs(300);

/// Rehearses a plan. Ends with 0 once it could be rehearsed, or with the flow's own code if that was asked for.
///
/// Fails if the plan is invalid (3), an assumption, a script or a time cannot be read (2) or the journal cannot (12).
pub(super) fn run(args: &Rehearse, settings: &Settings) -> Result<u8, Failure> {
    let done = carry_out(args, settings);
    match &done {
        Err(failure) if args.output == Stream::Jsonl => put_exact(&ending::of_nothing(failure)),
        _ => Ok(()),
    }?;
    done
}

fn carry_out(args: &Rehearse, settings: &Settings) -> Result<u8, Failure> {
    if args.speed.is_none() && showing::is_asked_for(&args.showing) {
        return Err(Failure::new(Exit::Usage, "progress is shown only with `--speed`")
            .hint("`--speed 60` plays an hour in a minute"));
    }
    let start = begins_at(&args.at)?;
    let mut loaded = load::rehearsed_plan(&args.plan, &args.chosen, start, settings, &mut outlet::stderr())?;
    loaded.narrow(&args.steps.selection())?;
    let assumptions = assumptions(&loaded, &args.assume)?;
    let (usual_min, usual_max) = USUAL;
    let usual = pace::duration(
        Some(&args.default_duration),
        "--default-duration",
        USUAL_DEFAULT,
        usual_min,
        usual_max,
    )?;
    let beat = pace::rehearsed_beat(args.beat.as_deref(), args.script.is_some())?;
    let (lengths, history) = if let Some(script) = &args.script {
        let Furnishing { script, definitions } = Furnishing::read(Some(script), &[], None)?;
        (Lengths::Script(Box::new(script), definitions), History::default())
    } else {
        let history = history(&loaded, settings)?;
        (Lengths::History(history.durations.clone()), history)
    };
    let setting = Setting {
        assumptions,
        lengths,
        known_outputs: known_outputs(&loaded, &history),
        usual,
        start,
        max_parallel: args.max_parallel.map_or(loaded.plan.max_parallel, |places| places as usize),
        beat,
        seed: args.seed,
        plan: Arc::clone(&loaded.plan),
    };
    let mut rehearsal = stage(setting)?;
    if args.output == Stream::Jsonl {
        put_exact(&json::first(&rehearsal, &loaded, args))?;
    }
    play(&mut rehearsal, args, &history, settings)?;
    let (_, code) = rehearsal.outcome();
    let code = if args.exit_code { code.unwrap_or(NEVER_ENDS.code()) } else { Exit::Done.code() };
    show(&rehearsal, args, usual, &history, code)?;
    Ok(code)
}

/// Plays a plan that begins now, by what earlier flows have shown. A step that none of them ran takes no time.
///
/// Fails if no workspace can be modelled.
pub(super) fn likely(
    loaded: &LoadedPlan,
    history: &History,
    max_parallel: usize,
    start: Timestamp,
) -> Result<Rehearsal, Failure> {
    let mut rehearsal = stage(Setting {
        assumptions: Assumptions::new(),
        lengths: Lengths::History(history.durations.clone()),
        known_outputs: known_outputs(loaded, history),
        usual: Delay::ZERO,
        start,
        max_parallel,
        beat: pace::rehearsed_beat(None, false)?,
        seed: 0,
        plan: Arc::clone(&loaded.plan),
    })?;
    rehearsal.play(&mut |_, _| ());
    Ok(rehearsal)
}

/// Sets the stage for a rehearsal.
///
/// Fails with exit 2 if a definition of the script cannot be read.
pub(super) fn stage(setting: Setting) -> Result<Rehearsal, Failure> {
    Rehearsal::new(setting)
        .map_err(|why| Failure::new(Exit::Usage, "cannot set up the modelled workspace").because(why))
}

/// Reads when a flow begins: `now`, a date, or a date with a time, in UTC where it names no offset.
///
/// Fails with exit 2 if it is none of these.
pub(super) fn begins_at(text: &str) -> Result<Timestamp, Failure> {
    if text == "now" {
        return Ok(now());
    }
    Timestamp::parse_lenient(text).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("`--at` cannot be `{text}`"))
            .hint("write a date such as `2026-01-14`, one with a time such as `2026-01-14T22:00`, or `now`")
    })
}

/// Reads what is taken for given on the command line.
fn assumptions(loaded: &LoadedPlan, texts: &[String]) -> Result<Assumptions, Failure> {
    let mut assumptions = Assumptions::new();
    for text in texts {
        let usage = || Failure::new(Exit::Usage, format!("cannot assume `{text}`"));
        let Some((target, value)) = split(text) else {
            return Err(usage()
                .because("it has no `=`")
                .hint("write it as STEP=WORD, such as `curate=failed`"));
        };
        let value = if target.contains(".outputs.") {
            serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))
        } else {
            Value::String(value.to_owned())
        };
        plan::assume(&loaded.plan, &mut assumptions, target, &value)
            .map_err(|bad| usage().because(bad.message).hint(bad.help))?;
    }
    Ok(assumptions)
}

/// Splits an assumption at the first `=` outside brackets: the key of an iteration may hold one.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Reads what earlier real flows of the plan have shown; nothing where there is no journal yet.
fn history(loaded: &LoadedPlan, settings: &Settings) -> Result<History, Failure> {
    let Some(mut journal) = Journal::open_existing(&settings.state_dir)? else {
        return Ok(History::default());
    };
    Ok(expected::history(&mut journal, &loaded.plan.name, &loaded.plan.environment, false)?)
}

fn known_outputs(loaded: &LoadedPlan, history: &History) -> KnownOutputs {
    let steps = loaded.plan.runs();
    steps.filter_map(|(step, place)| Some((step, history.outputs.get(&place.id)?.clone()))).collect()
}

/// Plays a rehearsal, as fast as possible or on the screen.
fn play(
    rehearsal: &mut Rehearsal,
    args: &Rehearse,
    history: &History,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut events = String::new();
    let is_stream = args.output == Stream::Jsonl;
    if let Some(speed) = args.speed {
        let shown = showing::Shown::of(&args.showing, settings, true)?.faster(speed);
        let report = shown.report(Expected::of(&history.took));
        return play_live(rehearsal, speed, report, is_stream);
    }
    rehearsal.play(&mut |recorded, _| {
        if is_stream {
            events.push_str(&json::line(recorded));
        }
    });
    put_exact(&events)
}

/// Plays a rehearsal by the clock, `speed` times faster than it would be.
fn play_live(
    rehearsal: &mut Rehearsal,
    speed: f64,
    mut report: Box<dyn Report>,
    is_stream: bool,
) -> Result<(), Failure> {
    block_on(async {
        let (from, begun) = (rehearsal.now(), now());
        let left = signals::asked_to_leave();
        tokio::pin!(left);
        loop {
            let mut events = String::new();
            let next = rehearsal.turn(&mut |recorded, flow| {
                report.on(recorded, flow);
                if is_stream {
                    events.push_str(&json::line(recorded));
                }
            });
            put_exact(&events)?;
            let Some(next) = next else { break };
            let due = begun + next.since(from).scaled(1.0 / speed);
            loop {
                let rest = due.since(now()).to_std();
                if rest.is_zero() {
                    break;
                }
                let gap = report.tick_gap().map_or(rest, |gap| gap.to_std().max(Duration::from_millis(1)));
                tokio::select! {
                    () = tokio::time::sleep(rest.min(gap)) => {}
                    () = &mut left => return Err(Failure::new(Exit::Interrupted, "the rehearsal was broken off")),
                }
                let shown = (from + now().since(begun).scaled(speed)).min(next);
                rehearsal.go_on(shown);
                report.tick(shown, rehearsal.flow());
            }
            rehearsal.go_on(next);
        }
        report.finish(rehearsal.now(), rehearsal.flow());
        Ok(())
    })
}

fn show(
    rehearsal: &Rehearsal,
    args: &Rehearse,
    usual: Delay,
    history: &History,
    code: u8,
) -> Result<(), Failure> {
    let account = Account::of(rehearsal.flow(), rehearsal.now());
    let value = || json::whole(rehearsal, &account);
    let text = || {
        text::whole(rehearsal, &account, &text::Frame { usual, flows: history.flows, rows: args.rows.into() })
    };
    match args.output {
        Stream::Text => put(&text()),
        Stream::Json => put_value(&value(), Output::Json, String::new),
        Stream::Yaml => put_value(&value(), Output::Yaml, String::new),
        Stream::Jsonl => put_exact(&json::last(rehearsal, &account, code)),
    }
}

/// Returns the ids of steps.
fn ids(rehearsal: &Rehearsal, steps: &[StepIndex]) -> Vec<String> {
    steps.iter().map(|step| rehearsal.flow().step(*step).id.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_key_may_hold_an_equals_sign() {
        assert_eq!(split("curate=failed"), Some(("curate", "failed")));
        assert_eq!(split("ingest[a=b]=10m"), Some(("ingest[a=b]", "10m")));
        assert_eq!(split("curate.outputs.word=a=b"), Some(("curate.outputs.word", "a=b")));
        assert_eq!(split("curate"), None);
    }
}
