//! Counts what an invocation did, for its answer and its metrics.

use jiff::Timestamp;
use marketplace::record::Urgency;
use marketplace::{MeteringRecord, State};
use serde::Serialize;

/// The numbers of records and calls that an invocation handled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Calls of BatchMeterUsage, one for each transmission.
    pub calls: u64,
    /// Calls that failed as a whole, for a reason that is not in their records.
    pub failed_calls: u64,
    /// Records that AWS Marketplace billed.
    pub accepted: u64,
    /// Records of customers that are not subscribed (yet, or any more).
    pub not_subscribed: u64,
    /// Records found to be the cause of a refusal.
    pub refused: u64,
    /// Records that AWS Marketplace answered with DuplicateRecord.
    pub disputed: u64,
    /// Records that wait for an hour because similar ones were refused.
    pub suspected: u64,
    /// Statuses and error codes that the error table does not have.
    pub unknown: u64,
    /// Records that were not sent, because the requests of their product and identity kind fail.
    pub group_failing: u64,
    /// Records that were left for later.
    pub left: u64,
    /// Stream records that cannot be read or name no metering record.
    pub unreadable: u64,
    /// Whether the invocation ended early because every request fails.
    pub gave_up: bool,
    /// Whether this invocation sent nothing because another invocation had the turn to send.
    pub is_turn_taken: bool,
    /// Seconds to the nearest deadline among the records that must still be sent; `None` if there
    /// are none.
    pub seconds_to_nearest_deadline: Option<i64>,
    /// The largest part of the time between sealing and deadline that one of those records has
    /// used, in percent; `None` if there are none.
    pub percent_of_time_used: Option<i64>,
}

impl Tally {
    /// Includes a record that must still be sent in the two numbers about deadlines. `state` is its
    /// state after this invocation. A record that waits because of its content is left out.
    pub(crate) fn add_waiting(&mut self, record: &MeteringRecord, state: State, now: Timestamp) {
        if state.waits_because_of_content() {
            return;
        }
        let Urgency {
            seconds_left,
            percent_used,
        } = record.urgency(now);
        let nearest = self.seconds_to_nearest_deadline.unwrap_or(i64::MAX);
        self.seconds_to_nearest_deadline = Some(nearest.min(seconds_left));
        self.percent_of_time_used = self.percent_of_time_used.max(Some(percent_used));
    }
}
