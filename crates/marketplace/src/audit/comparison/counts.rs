//! The counts of a comparison.

/// The calls, events, records and differences that a comparison counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All calls of BatchMeterUsage.
    pub calls: u64,
    /// Calls of BatchMeterUsage that failed as a whole.
    pub failed_calls: u64,
    /// Calls of BatchMeterUsage whose events CloudTrail cut off.
    pub truncated_calls: u64,
    /// Events that cannot be read.
    pub unreadable_events: u64,
    /// Events of other operations.
    pub foreign_events: u64,
    /// Records whose Success is in the history.
    pub matched: u64,
    /// Records with a Success that have no outcome in the ledger yet.
    pub open: u64,
    /// Records that were accepted by inference. The history has no Success for them.
    pub inferred: u64,
    /// Accepted records without a Success that are so recent that the history may lag behind.
    pub too_recent: u64,
    /// Accepted records without a Success, while some events of that time cannot be read in full.
    pub undecidable: u64,
    /// Successes of products that this stack does not serve.
    pub elsewhere: u64,
    /// Accepted records of the ledger without a Success in the history.
    pub missing: u64,
    /// Successes in the history without a record in the ledger.
    pub unknown: u64,
    /// Successes in the history with another quantity than the ledger's record.
    pub different: u64,
    /// Successes in the history for records of the ledger that are expired, moved or in conflict.
    pub unexpected: u64,
}

impl Counts {
    /// How many differences there are between the ledger and AWS Marketplace.
    pub fn differences(&self) -> u64 {
        [self.missing, self.unknown, self.different, self.unexpected]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Adds the counts of another comparison.
    pub(super) fn add(&mut self, other: Self) {
        // All fields are named, so that a new one cannot be forgotten.
        let Self {
            calls,
            failed_calls,
            truncated_calls,
            unreadable_events,
            foreign_events,
            matched,
            open,
            inferred,
            too_recent,
            undecidable,
            elsewhere,
            missing,
            unknown,
            different,
            unexpected,
        } = other;
        for (sum, more) in [
            (&mut self.calls, calls),
            (&mut self.failed_calls, failed_calls),
            (&mut self.truncated_calls, truncated_calls),
            (&mut self.unreadable_events, unreadable_events),
            (&mut self.foreign_events, foreign_events),
            (&mut self.matched, matched),
            (&mut self.open, open),
            (&mut self.inferred, inferred),
            (&mut self.too_recent, too_recent),
            (&mut self.undecidable, undecidable),
            (&mut self.elsewhere, elsewhere),
            (&mut self.missing, missing),
            (&mut self.unknown, unknown),
            (&mut self.different, different),
            (&mut self.unexpected, unexpected),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}
