//! What one poll did, and what it gave up.

use jiff::Timestamp;
use serde_json::{Value, json};

/// What one poll did. Counts are of stream records, except for invocations and failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollOutcome {
    /// Read from the stream.
    pub read: usize,
    /// Of those, not for this function: the filter does not match, or nothing was changed.
    pub filtered: usize,
    /// Times the function was invoked.
    pub invocations: u32,
    /// Of those, how many failed, wholly or in part.
    pub failures: u32,
    /// Records that the function took.
    pub delivered: usize,
    /// Records older than the stream's 24 hours, gone without a trace.
    pub trimmed: usize,
    /// Faults: never delivered.
    pub dropped: usize,
    /// Faults: delivered a second time, now or later.
    pub repeated: usize,
    /// Faults: changed places with the record before.
    pub reordered: usize,
    /// Faults: held back.
    pub delayed: usize,
    /// Batches given up, as the mapping's on-failure destination receives them.
    pub on_failure: Vec<DiscardedBatch>,
    /// See [`EventSource::next_due`](super::EventSource::next_due).
    pub next_due: Option<Timestamp>,
}

/// Why a batch was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardCondition {
    /// The last retry failed.
    RetryAttemptsExhausted,
    /// The records are older than the mapping's limit.
    RecordAgeExceeded,
}

/// A batch given up: where its records are to be found, not what they held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardedBatch {
    /// Why.
    pub condition: DiscardCondition,
    /// How often the function was invoked with it, or with the batch it was split from.
    pub invocations: u32,
    /// The last error of the invocation; `None` where the function reported single records.
    pub error: Option<String>,
    /// The stream.
    pub stream_arn: String,
    /// The shard.
    pub shard: String,
    /// The lowest sequence number given up.
    pub start_sequence_number: String,
    /// The highest sequence number given up.
    pub end_sequence_number: String,
    /// When the first of them was written.
    pub first_created: Timestamp,
    /// When the last of them was written.
    pub last_created: Timestamp,
    /// How many records.
    pub batch_size: usize,
    /// When.
    pub discarded_at: Timestamp,
}

impl DiscardedBatch {
    /// The message at the on-failure destination.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let condition = match self.condition {
            DiscardCondition::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            DiscardCondition::RecordAgeExceeded => "RecordAgeExceeded",
        };
        let mut message = json!({
            "requestContext": {
                "condition": condition,
                "approximateInvokeCount": self.invocations,
            },
            "version": "1.0",
            "timestamp": self.discarded_at.to_string(),
            "DDBStreamBatchInfo": {
                "shardId": self.shard,
                "startSequenceNumber": self.start_sequence_number,
                "endSequenceNumber": self.end_sequence_number,
                "approximateArrivalOfFirstRecord": self.first_created.to_string(),
                "approximateArrivalOfLastRecord": self.last_created.to_string(),
                "batchSize": self.batch_size,
                "streamArn": self.stream_arn,
            },
        });
        if self.error.is_some() {
            message["responseContext"] = json!({
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            });
        }
        message
    }
}
