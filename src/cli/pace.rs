//! How often what is asked: flags and environment read into the driver's pace, within bounds.

use crate::cli::args::Driving;
use crate::cli::failure::{Exit, Failure};
use crate::driver::{self, Pace};
use crate::flow::policy::{self, Limits};
use crate::hook;
use crate::plan;
use crate::time::Delay;

/// The beat against a workspace in this process, whose runs take seconds.
const EMULATED_BEAT: Delay = Delay::from_ms(250);

/// The shortest beat: against an emulator at speed.
const BEAT_MIN: Delay = Delay::from_ms(10);

/// The longest beat: above it a flow seems to stand still.
const BEAT_MAX: Delay = Delay::from_secs(600);

/// The shortest grace for an unclear start.
const GRACE_MIN: Delay = Delay::from_ms(10);

/// The longest grace for an unclear start.
const GRACE_MAX: Delay = Delay::from_secs(3600);

/// The shortest gap between two signs of life: each is a write that is flushed.
const HEARTBEAT_MIN: Delay = Delay::from_ms(100);

/// The longest gap between two signs of life: above it nobody would believe in the owner.
const HEARTBEAT_MAX: Delay = Delay::from_secs(600);

/// The shortest time for webhooks: a receiver on the same machine answers in it.
const HOOK_LIMIT_MIN: Delay = Delay::from_ms(100);

/// The longest time for webhooks: the end of a flow waits for them.
const HOOK_LIMIT_MAX: Delay = Delay::from_secs(600);

/// Reads the settings of a process that drives a flow, and chooses its jitter.
///
/// Fails with exit 2 where one is no duration or out of bounds.
pub(super) fn read(args: &Driving, is_emulated: bool) -> Result<Pace, Failure> {
    let beat = if is_emulated { EMULATED_BEAT } else { policy::BEAT };
    let grace = args.start_grace.as_deref();
    let limits = Limits {
        beat: duration(args.beat.as_deref(), "--beat", beat, BEAT_MIN, BEAT_MAX)?,
        start_grace: duration(grace, "--start-grace", policy::START_GRACE, GRACE_MIN, GRACE_MAX)?,
        checks_successes: !args.trust_status,
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    };
    let heartbeat = args.heartbeat.as_deref();
    // Before anything is started.
    hook_limit(args)?;
    let heartbeat = duration(heartbeat, "--heartbeat", driver::HEARTBEAT, HEARTBEAT_MIN, HEARTBEAT_MAX)?;
    Ok(Pace { limits, heartbeat })
}

/// Reads how long the receivers of webhooks may take.
///
/// Fails with exit 2 where that is no duration or out of bounds.
pub(super) fn hook_limit(args: &Driving) -> Result<Delay, Failure> {
    let limit = args.hook_limit.as_deref();
    duration(limit, "--hook-limit", hook::HOOK_LIMIT, HOOK_LIMIT_MIN, HOOK_LIMIT_MAX)
}

/// Reads the beat of a rehearsal: that of a real flow, or with a script that of an emulated one.
///
/// Fails with exit 2 where it is no duration or out of bounds.
pub(super) fn rehearsed_beat(text: Option<&str>, is_scripted: bool) -> Result<Delay, Failure> {
    let beat = if is_scripted { EMULATED_BEAT } else { policy::BEAT };
    duration(text, "--beat", beat, BEAT_MIN, BEAT_MAX)
}

/// Reads a setting that is a duration and lies within bounds.
pub(super) fn duration(
    text: Option<&str>,
    flag: &str,
    default: Delay,
    min: Delay,
    max: Delay,
) -> Result<Delay, Failure> {
    let Some(text) = text else { return Ok(default) };
    let usage = |why: String| {
        Failure::new(Exit::Usage, format!("`{flag}` cannot be `{text}`"))
            .because(why)
            .hint(format!("write a duration such as `{}`", spelt(default)))
    };
    let duration = plan::read_duration(text).map_err(usage)?;
    if (min..=max).contains(&duration) {
        Ok(duration)
    } else {
        Err(usage(format!("it must lie between `{}` and `{}`", spelt(min), spelt(max))))
    }
}

/// Writes a duration as a setting would spell it.
fn spelt(duration: Delay) -> String {
    match duration.as_ms() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}
