//! How many requests a workspace may get in a minute, from everything in this process that talks to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::time::Delay;

/// The allowance where nothing else is set: the service takes 1,000 queries a minute from everybody (protocol 7).
pub const REQUESTS_PER_MINUTE: u32 = 600;

/// How many requests may be under way at once, lists aside: with HTTP/1.1 each has a connection of its own, and a hundred
/// that are made in one moment are slower than a few that are used again.
const UNDER_WAY_MAX: usize = 24;

/// Which part of the questions is kept for lists of runs, so that nothing else holds up watching.
const LISTS_SHARE: u32 = 5;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A page of a list of runs.
    List,
    /// Everything else that is asked.
    Question,
    /// The start of a run.
    Start,
}

/// What may be sent to one workspace, by all clients that share it.
///
/// In any minute at most so many questions, a fifth of them kept for lists of runs, and as many starts: the service
/// counts queries (protocol 7), and a burst of starts must not hold up watching. A workspace that asks to be left alone is
/// left alone by all.
#[derive(Clone, Debug)]
pub struct Allowance {
    shared: Arc<Shared>,
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct UnderWay(
    #[expect(dead_code, reason = "it counts for as long as it lives")] OwnedSemaphorePermit,
);

#[derive(Debug)]
struct Shared {
    lanes: Option<Lanes>,
    under_way: Arc<Semaphore>,
    held_until: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Lanes {
    lists: Lane,
    questions: Lane,
    starts: Lane,
}

impl Allowance {
    /// Returns an allowance of so many questions in any minute, at least two, and as many starts.
    pub fn per_minute(requests: u32) -> Self {
        let lists = (requests / LISTS_SHARE).max(1);
        let questions = requests.saturating_sub(lists).max(1);
        let lanes =
            Lanes { lists: Lane::new(lists), questions: Lane::new(questions), starts: Lane::new(requests) };
        Self::new(Some(lanes))
    }

    /// Returns an allowance without an end; only what a workspace itself asks for is kept.
    pub fn endless() -> Self {
        Self::new(None)
    }

    fn new(lanes: Option<Lanes>) -> Self {
        Self {
            shared: Arc::new(Shared {
                lanes,
                under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
                held_until: Mutex::new(None),
            }),
        }
    }

    /// Takes a place for a request and waits for it. What it returns is to be held until the request is over.
    pub(super) async fn take(&self, purpose: Purpose) -> Option<UnderWay> {
        if let Some(lanes) = &self.shared.lanes {
            let lane = match purpose {
                Purpose::List => &lanes.lists,
                Purpose::Question => &lanes.questions,
                Purpose::Start => &lanes.starts,
            };
            tokio::time::sleep_until(lane.reserve()).await;
        }
        if purpose == Purpose::List {
            return None;
        }
        let permit = Arc::clone(&self.shared.under_way).acquire_owned().await;
        permit.ok().map(UnderWay)
    }

    /// Leaves the workspace alone for this long.
    pub(super) fn hold(&self, after: Delay) {
        let until = Instant::now() + after.to_std();
        let mut held = self.shared.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (*held).max(Some(until));
    }

    /// Returns for how long the workspace is still to be left alone.
    pub(super) fn held(&self) -> Option<Delay> {
        let held = self.shared.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = (*held)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| Delay::from_std(left))
    }
}

/// Spreads requests over time.
///
/// Nine tenths of the allowance flow evenly, one tenth may come at once; together they never pass the
/// allowance in any minute.
#[derive(Debug)]
struct Lane {
    gap: Duration,
    burst: Duration,
    /// When the next request would go if all went evenly; nothing before the first.
    next: Mutex<Option<Instant>>,
}

impl Lane {
    fn new(per_minute: u32) -> Self {
        let per_minute = per_minute.max(1);
        let at_once = per_minute / 10;
        let gap = Duration::from_secs(60) / (per_minute - at_once);
        // The first of a burst takes no room of it.
        Self { gap, burst: gap * at_once.saturating_sub(1), next: Mutex::new(None) }
    }

    /// Takes a place and returns its time, which may have come.
    fn reserve(&self) -> Instant {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let even = next.map_or(now, |next| next.max(now));
        *next = Some(even + self.gap);
        even.checked_sub(self.burst).map_or(now, |early| early.max(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::{Allowance, Lane, Purpose, UNDER_WAY_MAX};
    use crate::time::Delay;

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_than_the_allowance() {
        for per_minute in [1, 5, 20, 600] {
            let lane = Lane::new(per_minute);
            let start = Instant::now();
            let times: Vec<Duration> =
                (0..3 * per_minute).map(|_| lane.reserve().saturating_duration_since(start)).collect();
            for time in &times {
                let minute = *time..*time + Duration::from_secs(60);
                let count = times.iter().filter(|other| minute.contains(*other)).count();
                assert!(count <= per_minute as usize, "{count} of {per_minute}");
            }
            let at_once = times.iter().filter(|time| time.is_zero()).count();
            assert_eq!(at_once, (per_minute as usize / 10).max(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn neither_starts_nor_other_questions_hold_up_a_list() {
        let allowance = Allowance::per_minute(600);
        let start = Instant::now();
        let mut flood = JoinSet::new();
        for purpose in [Purpose::Start, Purpose::Question].into_iter().cycle().take(2_000) {
            let allowance = allowance.clone();
            flood.spawn(async move { drop(allowance.take(purpose).await) });
        }
        // Until all have taken their places.
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        drop(allowance.take(Purpose::List).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(allowance.take(Purpose::Question).await);
        assert!(start.elapsed() > Duration::from_secs(60), "the other questions are before it");
    }

    #[tokio::test(start_paused = true)]
    async fn all_questions_together_stay_below_the_allowance() {
        for per_minute in [2, 10, 600] {
            let allowance = Allowance::per_minute(per_minute);
            let lanes = allowance.shared.lanes.as_ref().expect("it is no endless one");
            let start = Instant::now();
            let times = |lane: &Lane| -> Vec<Duration> {
                (0..2 * per_minute).map(|_| lane.reserve().saturating_duration_since(start)).collect()
            };
            let all = [times(&lanes.lists), times(&lanes.questions)].concat();
            for time in &all {
                let minute = *time..*time + Duration::from_secs(60);
                let count = all.iter().filter(|other| minute.contains(*other)).count();
                assert!(count <= per_minute as usize, "{count} of {per_minute}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_not_one_connection_each() {
        let allowance = Allowance::endless();
        let mut under_way = Vec::new();
        for _ in 0..UNDER_WAY_MAX {
            under_way.push(allowance.take(Purpose::Start).await);
        }
        let one_more = || tokio::time::timeout(Duration::from_secs(1), allowance.take(Purpose::Question));
        assert!(one_more().await.is_err(), "as many as may be are under way");
        assert!(allowance.take(Purpose::List).await.is_none(), "a list goes all the same");
        under_way.pop();
        assert!(one_more().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_to_be_left_alone_is() {
        let allowance = Allowance::endless();
        assert_eq!(allowance.held(), None);
        allowance.clone().hold(Delay::from_secs(9));
        allowance.hold(Delay::from_secs(3));
        assert_eq!(allowance.held(), Some(Delay::from_secs(9)));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(allowance.held(), None);
    }
}
