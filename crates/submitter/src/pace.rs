//! Calls at the pace of the quota.
//!
//! AWS Marketplace answers 10 BatchMeterUsage requests per second of an account in a Region, and
//! refuses the rest; a refused request costs its time and its turn. So calls begin at that pace, and
//! a few of them at once make up for the time in which answers were written down. One invocation sends
//! at a time (`turn`), so its pace is the account's.
//!
//! Fact: M29 (docs/marketplace-rules.md).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that may begin at once after a pause: half a second of the default quota.
const CATCH_UP_CALLS: u32 = 5;

/// When the next call may begin.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    /// When it would begin if no turn was ever missed.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// So many calls per second; 0 for as many as there are.
    pub fn per_second(calls: u32) -> Self {
        Self {
            interval: Duration::from_secs(1)
                .checked_div(calls)
                .unwrap_or_default(),
            next: Arc::default(),
        }
    }

    /// Whether there is one.
    pub(crate) fn is_kept(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Waits until the next call may begin.
    pub(crate) async fn turn(&self) {
        if self.is_kept() {
            startup::run::pause(self.wait(Instant::now())).await;
        }
    }

    /// Takes the next turn, and says how long it is until then.
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
        // Two turns were missed: two calls at once.
        assert_eq!([wait(500), wait(500), wait(500), wait(500)], [0, 0, 0, 100]);
        // A minute was missed: five, and the one whose turn it is.
        let waits: Vec<_> = (0..8).map(|_| wait(60_000)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 100, 200]);
    }

    #[test]
    fn without_a_pace_nothing_waits() {
        let pace = Pace::per_second(0);
        assert!(pace.interval.is_zero());
    }
}
