//! Keeps calls within the quota.
//!
//! AWS Marketplace accepts 10 BatchMeterUsage requests per second from an account in a Region, and
//! throttles the rest. A throttled request wastes time. So calls begin at the pace of the quota.
//! After a pause, in which outcomes were written, a few calls begin at once to make up for it. One
//! invocation sends at a time (`turn`), so its pace is the pace of the whole account.
//!
//! Fact: M29 (docs/marketplace-rules.md).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The number of missed calls that may begin at once after a pause: half a second of the default
/// quota.
const CATCH_UP_CALLS: u32 = 5;

/// The pace of calls. Clones share one pace.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    /// The earliest time at which the next call may begin; `None` before the first call.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// Makes a pace of `calls` per second. With 0, calls do not wait.
    pub fn per_second(calls: u32) -> Self {
        Self {
            interval: Duration::from_secs(1)
                .checked_div(calls)
                .unwrap_or_default(),
            next: Arc::default(),
        }
    }

    /// Returns whether calls wait at all. With a pace of 0 they do not.
    pub(crate) fn is_kept(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Waits until the next call may begin.
    pub(crate) async fn turn(&self) {
        if self.is_kept() {
            runtime::run::pause(self.wait(Instant::now())).await;
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
        // A minute of calls was missed. Only five of them and the current one begin at once.
        let waits: Vec<_> = (0..8).map(|_| wait(60_000)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 100, 200]);
    }

    #[test]
    fn without_a_pace_nothing_waits() {
        let pace = Pace::per_second(0);
        assert!(pace.interval.is_zero());
    }
}
