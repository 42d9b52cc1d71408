//! The numbers that decide when: waits between attempts, between questions, and how long to look.

use crate::plan::{Backoff, Retry};
use crate::time::{Delay, Timestamp};

/// How patient one execution of a plan is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The gap between two questions about the runs of a workspace.
    pub beat: Delay,
    /// How long an unclear start is looked for before a person must decide (design 6).
    pub start_grace: Delay,
    /// Whether the activities of runs that say they succeeded are read: what failed in one all the same makes its step warn.
    pub checks_successes: bool,
    /// Makes the jitter of this flow repeatable.
    pub seed: u64,
}

/// The beat where nothing else is set (design 9.3).
pub const BEAT: Delay = Delay::from_secs(5);

/// The grace for unclear starts where nothing else is set (design 9.3).
pub const START_GRACE: Delay = Delay::from_secs(120);

/// The longest pause before a failed question is asked again.
const QUESTION_PAUSE_MAX: Delay = Delay::from_secs(60);

/// The longest pause the service may ask for before we ask again all the same.
const REQUESTED_PAUSE_MAX: Delay = Delay::from_secs(3600);

/// How often the request of one attempt may leave after unclear answers (design 6).
pub const SENDS_MAX: u32 = 5;

/// How much shorter an unclear start is looked for where a repeated request cannot make a second run (design 6).
pub const PROVEN_GRACE_SHARE: f64 = 0.25;

/// How many looks at least, if as many beats fit, must have missed a run before it counts as not there.
pub const ABSENT_LOOKS: u64 = 24;

/// How often the activities of an ended run are asked for before its own status must do.
pub const ACTIVITY_READS_MAX: u32 = 5;

/// How often of that the runs below it are asked for, too: a child run that cannot be read must not hide what its parent
/// tells.
pub const CHILD_READS_MAX: u32 = 3;

/// How long before an intent a list must reach back: the clocks may differ by this much (design 6).
pub const CLOCKS_DIFFER_MAX: Delay = Delay::from_secs(15 * 60);

/// The same where an answer has told what the service's clock shows: what it may have gained since, and the answer taken.
pub const CLOCKS_DRIFT_MAX: Delay = Delay::from_secs(60);

/// How many beats the times of the service's records may lie behind the clock of its answers.
pub const CLOCKS_DIFFER_BEATS: u64 = 12;

/// How many beats a list reaches back before the newest change it has seen: records may be listed a little late.
pub const OVERLAP_BEATS: u64 = 3;

/// How many beats it reaches back now and then: some records are listed later than that, and every one costs.
pub const LATE_OVERLAP_BEATS: u64 = 24;

/// After how many beats a list reaches back that far again.
pub const LATE_EVERY_BEATS: u64 = 12;

/// After how many failures in a row of a list its runs are asked for one by one: a list of many pages fails if one of
/// them does, and one that is too long always.
pub const LIST_FAILURES_MAX: u32 = 3;

/// After how many beats a list query covers all live runs again, not only those that changed of late.
pub const SWEEP_BEATS: u64 = 60;

/// How many runs a page of a list holds (protocol 5.2).
pub const PAGE_RUNS: usize = 100;

/// How much of its age may pass before a run is asked for again whose end may be near, and one whose end is far: so what
/// is heard late is late by a small share of what the run has taken.
const NEAR_SHARE: u64 = 100;
const FAR_SHARE: u64 = 20;

/// The longest gap between two questions about a run, however old it is: in beats, and for slow beats.
const GAP_BEATS_MAX: u64 = 12;
const GAP_MAX: Delay = Delay::from_secs(60);

/// Between these shares of what it usually takes a run is asked for at every beat.
const END_FROM: f64 = 0.75;
const END_TO: f64 = 1.5;

/// Returns the wait before attempt number `attempt`, which is at least 2.
pub fn retry_delay(retry: &Retry, attempt: u32) -> Delay {
    let doublings = attempt.saturating_sub(2).min(32);
    let delay = match retry.backoff {
        Backoff::Fixed => retry.delay,
        Backoff::Exponential => Delay::from_ms(retry.delay.as_ms().saturating_mul(1_u64 << doublings)),
    };
    delay.min(retry.max_delay)
}

/// Returns the pause after the `failures`-th failure in a row of the same request.
///
/// What the service asked for counts if it is longer, up to an hour. Otherwise a beat, doubled each time up to
/// a minute, of which up to a half is taken away by jitter that only the seed and `salt` decide.
pub fn pause(limits: &Limits, salt: u64, failures: u32, requested: Option<Delay>) -> Delay {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = limits.beat.as_ms().max(1).saturating_mul(1 << doublings);
    let longest = longest.min(QUESTION_PAUSE_MAX.as_ms().max(limits.beat.as_ms()));
    let off = mix(limits.seed ^ mix(salt ^ u64::from(failures))) % (longest / 2 + 1);
    let own = Delay::from_ms(longest - off);
    own.max(requested.unwrap_or(Delay::ZERO).min(REQUESTED_PAUSE_MAX))
}

/// Returns when a run is worth asking for that was last asked for at `asked_at`: after a beat where its end is near or it
/// is young, later where it is old. `usual` is what it takes as a rule, where anybody knows.
pub fn worth_asking_at(
    limits: &Limits,
    started_at: Timestamp,
    usual: Option<Delay>,
    asked_at: Timestamp,
) -> Timestamp {
    let heard_at = asked_at.max(started_at);
    let near = usual.map(|usual| (started_at + usual.scaled(END_FROM), started_at + usual.scaled(END_TO)));
    let gap = |share: u64| {
        let longest = Delay::from_ms(limits.beat.as_ms().saturating_mul(GAP_BEATS_MAX)).min(GAP_MAX);
        let of_age = Delay::from_ms(heard_at.since(started_at).as_ms() / share);
        of_age.min(longest).max(limits.beat)
    };
    match near {
        Some((from, _)) if heard_at < from => {
            let soon = heard_at + limits.beat;
            (heard_at + gap(FAR_SHARE)).min(from.max(soon))
        }
        Some((_, to)) if heard_at <= to => heard_at + limits.beat,
        _ => heard_at + gap(NEAR_SHARE),
    }
}

/// Spreads the bits of a number (the finaliser of `SplitMix64`).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Limits, pause, retry_delay, worth_asking_at};
    use crate::plan::{Backoff, Retry};
    use crate::time::{Delay, Timestamp};

    #[test]
    fn waits_longer_up_to_the_limit() {
        let check = |backoff, attempt, want_secs| {
            let retry = Retry { backoff, max_delay: Delay::from_secs(100), ..Retry::default() };
            assert_eq!(retry_delay(&retry, attempt), Delay::from_secs(want_secs));
        };
        check(Backoff::Fixed, 2, 30);
        check(Backoff::Fixed, 9, 30);
        check(Backoff::Exponential, 2, 30);
        check(Backoff::Exponential, 3, 60);
        check(Backoff::Exponential, 4, 100);
        check(Backoff::Exponential, u32::MAX, 100);
    }

    #[test]
    fn pauses_grow_and_honour_the_service() {
        let limits = Limits {
            beat: Delay::from_secs(5),
            start_grace: Delay::from_secs(120),
            checks_successes: true,
            seed: 1,
        };
        let within = |failures, low_ms, high_ms| {
            let got = pause(&limits, 7, failures, None).as_ms();
            assert!((low_ms..=high_ms).contains(&got), "{failures} failures: {got} ms");
        };
        within(1, 2_500, 5_000);
        within(2, 5_000, 10_000);
        within(9, 30_000, 60_000);
        within(u32::MAX, 30_000, 60_000);
        assert_eq!(pause(&limits, 7, 1, Some(Delay::from_secs(90))), Delay::from_secs(90));
        assert_eq!(pause(&limits, 7, 1, Some(Delay::from_secs(90_000))), Delay::from_secs(3_600));
        assert_eq!(pause(&limits, 7, 3, None), pause(&limits, 7, 3, None));
    }

    #[test]
    fn asks_less_for_what_is_not_about_to_end() {
        let limits = Limits {
            beat: Delay::from_secs(5),
            start_grace: Delay::from_secs(120),
            checks_successes: true,
            seed: 1,
        };
        let check = |usual_s: Option<u64>, age_s, want_s| {
            let started_at = Timestamp::from_epoch_ms(1_700_000_000_000);
            let asked_at = started_at + Delay::from_secs(age_s);
            let got = worth_asking_at(&limits, started_at, usual_s.map(Delay::from_secs), asked_at);
            assert_eq!(got.since(asked_at), Delay::from_secs(want_s), "{usual_s:?} {age_s}");
        };
        check(None, 0, 5);
        check(None, 500, 5);
        check(None, 2_000, 20);
        check(None, 90_000, 60);
        check(Some(4_000), 60, 5);
        check(Some(4_000), 600, 30);
        check(Some(4_000), 2_000, 60);
        // Never past the time at which it may end.
        check(Some(4_000), 2_990, 10);
        check(Some(4_000), 2_998, 5);
        check(Some(4_000), 3_000, 5);
        check(Some(4_000), 6_000, 5);
        // Longer than ever: as if nothing were known.
        check(Some(4_000), 6_001, 60);
    }

    #[test]
    fn a_slow_beat_is_never_quickened() {
        let beat = Delay::from_secs(600);
        let limits = Limits { beat, start_grace: Delay::from_secs(120), checks_successes: true, seed: 1 };
        let started_at = Timestamp::from_epoch_ms(1_700_000_000_000);
        for age_s in [0, 600, 100_000] {
            let asked_at = started_at + Delay::from_secs(age_s);
            assert_eq!(worth_asking_at(&limits, started_at, None, asked_at), asked_at + beat);
        }
    }
}
