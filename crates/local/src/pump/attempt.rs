//! A batch on its way to the function, with all its retries.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::change::Change;

/// The longest wait between retries of a failed batch. They wait 1 s, 2 s, 4 s and so on, up to
/// this time. AWS documents that there is a backoff, but not its length.
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(60);

/// A batch, or a part of one, that is delivered until it succeeds or is discarded.
pub(super) struct Attempt {
    pub(super) changes: Vec<Change>,
    pub(super) retries: u32,
    pub(super) invocations: u32,
    pub(super) due: Timestamp,
}

impl Attempt {
    /// Creates a batch that is due at once.
    pub(super) fn new(changes: Vec<Change>, now: Timestamp) -> Self {
        Self {
            changes,
            retries: 0,
            invocations: 0,
            due: now,
        }
    }

    /// The event as the function receives it.
    pub(super) fn event(&self) -> Value {
        let records: Vec<&Value> = self.changes.iter().map(|change| &change.record).collect();
        json!({ "Records": records })
    }

    /// Splits the batch into its earlier and its later half, both due at once. Splitting does not
    /// count as a retry.
    pub(super) fn halves(mut self, now: Timestamp) -> (Self, Self) {
        let later = self.changes.split_off(self.changes.len().div_ceil(2));
        (
            Self { due: now, ..self },
            Self {
                changes: later,
                due: now,
                ..self
            },
        )
    }

    /// Counts a retry and postpones it by the backoff.
    pub(super) fn postpone(&mut self, now: Timestamp) {
        let wait = SignedDuration::from_secs(1)
            .checked_mul(2_i32.saturating_pow(self.retries))
            .map_or(BACKOFF_MAX, |wait| wait.min(BACKOFF_MAX));
        self.due = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        self.retries = self.retries.saturating_add(1);
    }
}
