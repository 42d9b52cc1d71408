//! When to ask again, for calls that do no harm when repeated.
//!
//! [`Limits`] says how patient a client is. A start never comes here to be repeated: only its first
//! and only request waits for its place in the [`Allowance`].

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::allowance::{Allowance, Purpose, UnderWay};
use super::answer::CallFailure;
use crate::time::Delay;

/// How patient a client is with one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most requests for one call (for a list: for one page).
    pub attempts_max: u32,
    /// The upper end of the first wait; it doubles with each.
    pub first_wait: Delay,
    /// The same after a 429 that names no time (protocol 7).
    pub first_throttled_wait: Delay,
    /// The longest wait that we choose ourselves.
    pub wait_max: Delay,
    /// How long one call may take with all its waits. A service that asks for more gets its call back
    /// as a failure.
    pub deadline: Delay,
    /// Decides the chance in the waits.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            first_wait: Delay::from_ms(500),
            first_throttled_wait: Delay::from_secs(5),
            wait_max: Delay::from_secs(60),
            deadline: Delay::from_secs(120),
            seed: 0,
        }
    }
}

impl Limits {
    /// One request for each call, at once.
    pub(super) const ONCE: Self = Self {
        attempts_max: 1,
        first_wait: Delay::ZERO,
        first_throttled_wait: Delay::ZERO,
        wait_max: Delay::ZERO,
        deadline: Delay::from_secs(3600),
        seed: 0,
    };

    /// Returns how long to wait after `failure` of the `attempt`th request; nothing if there shall be no other.
    /// `left` is what remains of the deadline, `chance` lies between 0 and 1.
    fn wait(&self, attempt: u32, failure: &CallFailure, left: Delay, chance: f64) -> Option<Delay> {
        if attempt >= self.attempts_max || !failure.is_transient() {
            return None;
        }
        let first = match failure {
            CallFailure::Throttled { .. } => self.first_throttled_wait,
            _ => self.first_wait,
        };
        let doubled = Delay::from_ms(first.as_ms().saturating_mul(1 << (attempt - 1).min(32)));
        let chosen = doubled.min(self.wait_max).scaled(chance);
        // Never earlier than asked, and not all callers at the same moment.
        let wait = failure.after().map_or(chosen, |asked| asked + chosen);
        (wait < left).then_some(wait)
    }
}

/// The patience of one workspace's client, shared by its clones.
#[derive(Debug)]
pub(super) struct Patience {
    limits: Limits,
    draws: AtomicU64,
    allowance: Option<Allowance>,
}

impl Patience {
    pub(super) fn new(limits: Limits, allowance: Option<Allowance>) -> Self {
        Self { limits, draws: AtomicU64::new(0), allowance }
    }

    /// Begins a call.
    pub(super) fn begin(&self, purpose: Purpose) -> Call<'_> {
        let deadline = Instant::now() + self.limits.deadline.to_std();
        Call { patience: self, purpose, deadline, attempts: 0, has_new_token: false }
    }

    /// Waits for a start's place. Fails with how long the service wants to be left alone instead, if it
    /// does: a start must not wait that long unseen.
    pub(super) async fn admit_start(&self) -> Result<Option<UnderWay>, Delay> {
        let Some(allowance) = &self.allowance else { return Ok(None) };
        if let Some(held) = allowance.held() {
            return Err(held);
        }
        let under_way = allowance.take(Purpose::Start).await;
        // Others may have heard meanwhile that it wants to be left alone.
        allowance.held().map_or(Ok(under_way), Err)
    }

    /// Leaves the service alone for as long as it asks.
    pub(super) fn hold(&self, after: Option<Delay>) {
        if let (Some(allowance), Some(after)) = (&self.allowance, after) {
            allowance.hold(after);
        }
    }
}

/// One call: its requests so far, and the time that is left.
pub(super) struct Call<'a> {
    patience: &'a Patience,
    purpose: Purpose,
    deadline: Instant,
    attempts: u32,
    has_new_token: bool,
}

impl Call<'_> {
    /// Waits for a place for the next request. Fails with the time to wait if that is too long.
    pub(super) async fn admit(&mut self) -> Result<Option<UnderWay>, Delay> {
        self.attempts += 1;
        let Some(allowance) = &self.patience.allowance else { return Ok(None) };
        if let Some(held) = allowance.held() {
            if held >= self.left() {
                return Err(held);
            }
            tokio::time::sleep(held.to_std()).await;
        }
        Ok(allowance.take(self.purpose).await)
    }

    /// Waits before another request, or says that there shall be none.
    pub(super) async fn again_after(&self, failure: &CallFailure) -> bool {
        let number = self.patience.draws.fetch_add(1, Ordering::Relaxed);
        let chance = chance(self.patience.limits.seed, number);
        let Some(wait) = self.patience.limits.wait(self.attempts, failure, self.left(), chance) else {
            return false;
        };
        tokio::time::sleep(wait.to_std()).await;
        true
    }

    /// Says whether a token that was not taken may be replaced: once.
    pub(super) fn may_replace_token(&mut self) -> bool {
        let may = !self.has_new_token && self.attempts < self.patience.limits.attempts_max;
        self.has_new_token = true;
        may
    }

    /// Returns what is left of the time.
    pub(super) fn left(&self) -> Delay {
        Delay::from_std(self.deadline.saturating_duration_since(Instant::now()))
    }
}

/// Returns the `number`th of a row of numbers from 0 up to 1 that the seed decides (`SplitMix64`).
fn chance(seed: u64, number: u64) -> f64 {
    let mut bits = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{CallFailure, Limits, chance};
    use crate::time::Delay;

    fn busy(after_ms: Option<u64>) -> CallFailure {
        let (host, message) = ("h".to_owned(), String::new());
        let after = after_ms.map(Delay::from_ms);
        CallFailure::Unavailable { host, status: StatusCode::SERVICE_UNAVAILABLE, message, after }
    }

    fn throttled(after_ms: Option<u64>) -> CallFailure {
        CallFailure::Throttled { host: "h".to_owned(), after: after_ms.map(Delay::from_ms) }
    }

    #[test]
    fn waits_longer_each_time_and_as_asked() {
        let limits = Limits::default();
        let check = |attempt, failure: &CallFailure, left_s, want_ms: Option<u64>| {
            let got = limits.wait(attempt, failure, Delay::from_secs(left_s), 1.0);
            assert_eq!(got.map(Delay::as_ms), want_ms, "{attempt} {failure} {left_s}");
        };
        check(1, &busy(None), 100, Some(500));
        check(2, &busy(None), 100, Some(1_000));
        check(4, &busy(None), 100, Some(4_000));
        check(5, &busy(None), 100, None);
        check(1, &throttled(None), 100, Some(5_000));
        check(4, &throttled(None), 100, Some(40_000));
        check(1, &busy(Some(3_000)), 100, Some(3_500));
        check(1, &throttled(Some(90_000)), 100, Some(95_000));
        check(1, &throttled(Some(90_000)), 90, None);
        check(1, &busy(None), 0, None);
        check(1, &CallFailure::NoSuchRun { message: String::new() }, 100, None);
    }

    #[test]
    fn never_waits_less_than_asked() {
        let wait = Limits::default().wait(1, &busy(Some(3_000)), Delay::from_secs(100), 0.0);
        assert_eq!(wait, Some(Delay::from_secs(3)));
    }

    #[test]
    fn a_seed_decides_the_chance() {
        let row = |seed| (0..1000).map(|number| chance(seed, number)).collect::<Vec<_>>();
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        assert!(row(7).iter().all(|chance| (0.0..1.0).contains(chance)));
        let mean = row(7).iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
