//! Keeps calls within the quota.
//!
//! AWS Marketplace accepts 10 BatchMeterUsage requests per second from an account in a Region, and
//! throttles the rest. A throttled request wastes time. So calls begin at the pace of the quota,
//! and a few at once make up for the time in which outcomes were written. One invocation sends at a
//! time (`turn`), so its pace is the whole account's.
//!
//! Fact: M29 (docs/marketplace-rules.md).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Missed calls that may be made up for at once after a pause: half a second of the default quota.
const CATCH_UP_CALLS: u32 = 5;

/// The pace of calls. Clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    /// When the next call may begin at the earliest; `None` before the first call.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// A pace of `calls` per second; 0 means that calls do not wait.
    pub fn per_second(calls: u32) -> Self {
        Self {
            interval: Duration::from_secs(1)
                .checked_div(calls)
                .unwrap_or_default(),
            next: Arc::default(),
        }
    }

    /// Whether calls wait at all: `false` for a pace of 0.
    pub(crate) fn is_kept(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Waits until the next call may begin.
    pub(crate) async fn turn(&self) {
        if self.is_kept() {
            startup::run::pause(self.wait(Instant::now())).await;
        }
    }

    /// Reserves the next call's time, and returns how long to wait for it.
    fn wait(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = now.checked_sub(self.interval * CATCH_UP_CALLS);
        let turn = next.unwrap_or(now).max(missed.unwrap_or(now));
        *next = Some(turn + self.interval);
        turn.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_keep_the_pace_and_catch_up_on_a_few_turns_only() {
        let pace = Pace::per_second(10);
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let wait = |millis| pace.wait(at(millis)).as_millis();
        assert_eq!([wait(0), wait(0), wait(0)], [0, 100, 200]);
        // Two calls were missed, so they begin at once together with the current one.
        assert_eq!([wait(500), wait(500), wait(500), wait(500)], [0, 0, 0, 100]);
        // A minute of calls was missed. Only five of them are made up for, besides the current one.
        let waits: Vec<_> = (0..8).map(|_| wait(60_000)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 100, 200]);
    }

    #[test]
    fn without_a_pace_nothing_waits() {
        let pace = Pace::per_second(0);
        assert!(pace.interval.is_zero());
    }
}
