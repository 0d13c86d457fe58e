//! How much of an invocation is left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When an invocation should stop taking on more work.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    At(Instant),
    /// When so many calls were made.
    Calls {
        made: &'static AtomicU64,
        until: u64,
    },
}

/// What an invocation keeps back to finish what it has begun and to answer.
const RESERVE: Duration = Duration::from_secs(10);
/// What a call counts for where calls are counted instead of time.
const CALL: Duration = Duration::from_millis(1);

impl Budget {
    /// This much from now on.
    pub fn of(time: Duration) -> Self {
        Self {
            end: End::At(Instant::now() + time),
        }
    }

    /// So many calls from now on, of those that somebody counts in `made`: for worlds in which the
    /// real clock must decide nothing. A call counts as a millisecond.
    pub fn of_calls(made: &'static AtomicU64, calls: u64) -> Self {
        let until = made.load(Ordering::Relaxed).saturating_add(calls);
        Self {
            end: End::Calls { made, until },
        }
    }

    /// From the deadline that Lambda gives each invocation, less a reserve.
    pub fn until(deadline: std::time::SystemTime) -> Self {
        let left = deadline
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default();
        Self::of(left.saturating_sub(RESERVE.min(left / 4)))
    }

    /// The same, but no more than this from now on.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Self {
        let end = match self.end {
            End::At(until) => End::At(until.min(Instant::now() + time)),
            End::Calls { made, until } => {
                let calls = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let now = made.load(Ordering::Relaxed);
                End::Calls {
                    made,
                    until: until.min(now.saturating_add(calls)),
                }
            }
        };
        Self { end }
    }

    /// This share of what is left, in percent.
    #[must_use]
    pub fn share(self, percent: u32) -> Self {
        self.at_most(self.left().saturating_mul(percent) / 100)
    }

    /// Whether nothing more should be begun.
    pub fn is_spent(&self) -> bool {
        self.left().is_zero()
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        match self.end {
            End::At(until) => until.saturating_duration_since(Instant::now()),
            End::Calls { made, until } => {
                let calls = until.saturating_sub(made.load(Ordering::Relaxed));
                CALL.saturating_mul(u32::try_from(calls).unwrap_or(u32::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_calls_ends_with_the_last_of_them() {
        let made: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(7)));
        let budget = Budget::of_calls(made, 100);
        let half = budget.share(50);
        let tenth = half.at_most(Duration::from_millis(10));
        assert_eq!(budget.left(), Duration::from_millis(100));
        made.fetch_add(10, Ordering::Relaxed);
        assert!(tenth.is_spent() && !half.is_spent());
        made.fetch_add(40, Ordering::Relaxed);
        assert!(half.is_spent() && !budget.is_spent());
        assert_eq!(budget.share(50).left(), Duration::from_millis(25));
        made.fetch_add(60, Ordering::Relaxed);
        assert!(budget.is_spent() && budget.share(50).is_spent());
    }

    #[test]
    fn a_share_of_a_time_is_that_part_of_what_is_left() {
        let budget = Budget::of(Duration::from_secs(1_000));
        let share = budget.share(30).left();
        assert!(share <= Duration::from_secs(300) && share > Duration::from_secs(290));
        assert!(Budget::of(Duration::ZERO).share(50).is_spent());
    }
}
