//! The remaining time of an invocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time until which an invocation may begin more work.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    At(Instant),
    /// The budget ends when `made` has reached `until`.
    Calls {
        made: &'static AtomicU64,
        until: u64,
    },
}

/// The time that an invocation reserves to finish its work and to answer.
const RESERVE: Duration = Duration::from_secs(10);
/// The longest timeout of a Lambda function. The sealer, the submitter and the reconciler have it
/// in `template.yaml`. Source: Lambda quotas.
const TIMEOUT_MAX: Duration = Duration::from_secs(900);
/// The time that an invocation of the sealer, the submitter or the reconciler has for its work on
/// Lambda: 890 seconds. Local invocations, simulations and measurements use the same time.
pub const INVOCATION_TIME: Duration = TIMEOUT_MAX.saturating_sub(RESERVE);
/// The time that one call counts as, in a budget of calls.
const CALL: Duration = Duration::from_millis(1);

impl Budget {
    /// A budget of this much time from now on.
    pub fn of(time: Duration) -> Self {
        Self {
            end: End::At(Instant::now() + time),
        }
    }

    /// A budget of this many calls from now on. The caller counts calls in `made`. It is for
    /// simulations that must not depend on the real clock. A call counts as a millisecond.
    pub fn of_calls(made: &'static AtomicU64, calls: u64) -> Self {
        let until = made.load(Ordering::Relaxed).saturating_add(calls);
        Self {
            end: End::Calls { made, until },
        }
    }

    /// The time until Lambda's deadline for this invocation, less a reserve: 10 seconds, or a
    /// quarter of the time if that is less.
    pub fn until(deadline: std::time::SystemTime) -> Self {
        let left = deadline
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default();
        Self::of(left.saturating_sub(RESERVE.min(left / 4)))
    }

    /// The same budget, but at most this much time from now on.
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

    /// A budget of `percent` percent of the remaining time.
    #[must_use]
    pub fn share(self, percent: u32) -> Self {
        self.at_most(self.left().saturating_mul(percent) / 100)
    }

    /// Whether no time is left, so that no more work should begin.
    pub fn is_spent(&self) -> bool {
        self.left().is_zero()
    }

    /// The remaining time.
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
    fn a_budget_of_calls_ends_with_the_last_call() {
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
    fn a_share_is_a_part_of_the_remaining_time() {
        let budget = Budget::of(Duration::from_secs(1_000));
        let share = budget.share(30).left();
        assert!(share <= Duration::from_secs(300) && share > Duration::from_secs(290));
        assert!(Budget::of(Duration::ZERO).share(50).is_spent());
    }
}
