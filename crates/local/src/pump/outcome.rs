//! The result of one poll, and the batches it discarded.

use jiff::Timestamp;
use serde_json::{Value, json};

/// The result of one poll. Counts are of stream records, except for invocations and failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollOutcome {
    /// Records read from the stream.
    pub read: usize,
    /// Records read that are not for this function: the filter does not match, or the write changed
    /// nothing.
    pub filtered: usize,
    /// The number of invocations of the function.
    pub invocations: u32,
    /// The number of invocations that failed, wholly or in part.
    pub failures: u32,
    /// Records that the function processed.
    pub delivered: usize,
    /// Records older than the stream's 24 hours, which are lost without a trace.
    pub trimmed: usize,
    /// Injected faults: records that are never delivered.
    pub dropped: usize,
    /// Injected faults: records that are delivered a second time, now or later.
    pub repeated: usize,
    /// Injected faults: records that changed places with the previous record.
    pub reordered: usize,
    /// Injected faults: records that are held back for a while.
    pub delayed: usize,
    /// The discarded batches, as the mapping's on-failure destination receives them.
    pub on_failure: Vec<DiscardedBatch>,
    /// The time at which the next poll has something to do, as in
    /// [`EventSource::next_due`](super::EventSource::next_due).
    pub next_due: Option<Timestamp>,
}

/// The reason why a batch was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardCondition {
    /// The last retry failed.
    RetryAttemptsExhausted,
    /// The records are older than the mapping's limit.
    RecordAgeExceeded,
}

/// A discarded batch. It says where in the stream its records are, and does not contain them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardedBatch {
    /// The reason why the batch was discarded.
    pub condition: DiscardCondition,
    /// The number of invocations with this batch, or with the batch from which it was split.
    pub invocations: u32,
    /// The error of the last invocation. `None` if the function reported individual records.
    pub error: Option<String>,
    /// The ARN of the stream.
    pub stream_arn: String,
    /// The id of the shard.
    pub shard: String,
    /// The lowest sequence number in the batch.
    pub start_sequence_number: String,
    /// The highest sequence number in the batch.
    pub end_sequence_number: String,
    /// The time at which its first record was written.
    pub first_created: Timestamp,
    /// The time at which its last record was written.
    pub last_created: Timestamp,
    /// The number of records in the batch.
    pub batch_size: usize,
    /// The time at which the batch was discarded.
    pub discarded_at: Timestamp,
}

impl DiscardedBatch {
    /// The message that the on-failure destination receives.
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
