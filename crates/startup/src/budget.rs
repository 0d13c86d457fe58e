//! How much of an invocation is left.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// When an invocation should stop taking on more work.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    until: Instant,
}

/// What an invocation keeps back to finish what it has begun and to answer.
const RESERVE: Duration = Duration::from_secs(10);

impl Budget {
    /// This much from now on.
    pub fn of(time: Duration) -> Self {
        Self {
            until: Instant::now() + time,
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
        Self {
            until: self.until.min(Instant::now() + time),
        }
    }

    /// Whether nothing more should be begun.
    pub fn is_spent(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits for `work` for no longer than there is time: `None` if it took longer.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.until, work).await.ok()
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}
