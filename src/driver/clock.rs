//! The clock of a process: the system's, made never to run backwards.
#![expect(clippy::disallowed_methods, reason = "this is where the clock is read for everybody")]

use std::cell::Cell;
use std::time::{Instant, SystemTime};

use crate::time::{Delay, Timestamp};

/// Reads the system's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_epoch_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that follows the system's forwards, over a laptop's sleep too, and goes on at its own pace where that is put
/// back: a wait must neither start over nor last for an hour more.
#[derive(Debug)]
pub(super) struct Clock {
    last: Cell<(Timestamp, Instant)>,
}

impl Clock {
    /// Makes a clock that shows this time or later.
    pub(super) fn not_before(time: Timestamp) -> Self {
        Self { last: Cell::new((time.max(now()), Instant::now())) }
    }

    /// Reads the clock.
    pub(super) fn now(&self) -> Timestamp {
        self.follow(now(), Instant::now())
    }

    fn follow(&self, system: Timestamp, instant: Instant) -> Timestamp {
        let (last, at) = self.last.get();
        let passed = instant.saturating_duration_since(at).as_millis();
        let own = last + Delay::from_ms(u64::try_from(passed).unwrap_or(u64::MAX));
        // Anchored afresh only where the system leads: so no part of a millisecond is ever lost.
        if system > own {
            self.last.set((system, instant));
        }
        system.max(own)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Clock, now};
    use crate::time::Delay;

    #[test]
    fn follows_forwards_and_never_goes_back() {
        let dawn = now();
        let (clock, at) = (Clock::not_before(dawn), Instant::now());
        let begun = clock.follow(dawn, at);
        let slept = clock.follow(dawn + Delay::from_secs(3600), at + Duration::from_secs(1));
        assert_eq!(slept, dawn + Delay::from_secs(3600), "the machine slept, or its clock was put forward");
        let put_back = clock.follow(dawn, at + Duration::from_secs(11));
        assert_eq!(put_back, slept + Delay::from_secs(10), "it goes on at its own pace");
        assert!(begun < slept);
    }

    #[test]
    fn begins_where_an_earlier_process_was() {
        let ahead = now() + Delay::from_secs(600);
        assert!(Clock::not_before(ahead).now() >= ahead);
    }
}
