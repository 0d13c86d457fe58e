//! One stream record on its way to a function.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A stream record in the form that Lambda delivers, with the properties that batching needs.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) sequence_number: String,
    pub(super) created: Timestamp,
    /// The time at which the poller read the record. The batching window starts at this time.
    pub(super) read_at: Timestamp,
    /// The number of bytes that the record adds to the payload.
    pub(super) size_bytes: usize,
    pub(super) record: Value,
}

impl Change {
    /// Creates a change from a record of the DynamoDB Streams API. Returns `None` for a write that
    /// changed nothing, which AWS would not have put into the stream. Such a write is visible only
    /// if the record has both images.
    pub(super) fn read(mut record: Value, stream_arn: &str, now: Timestamp) -> Option<Self> {
        let images = &record["dynamodb"];
        if record["eventName"] == "MODIFY"
            && images.get("OldImage").is_some()
            && images.get("OldImage") == images.get("NewImage")
        {
            return None;
        }
        let sequence_number = images["SequenceNumber"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        // The engine writes whole seconds, but as a float.
        let created_s = images["ApproximateCreationDateTime"]
            .as_f64()
            .unwrap_or_default() as i64;
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(created_s);
        // The engine's ids are random, but a run must repeat exactly. The sequence number is unique
        // as well.
        record["eventID"] = json!(format!("{sequence_number:0>32}"));
        record["awsRegion"] = json!(stream_arn.split(':').nth(3).unwrap_or_default());
        record["eventSourceARN"] = json!(stream_arn);
        Some(Self {
            created: Timestamp::from_second(created_s).unwrap_or(Timestamp::UNIX_EPOCH),
            sequence_number,
            read_at: now,
            // The extra byte is the comma.
            size_bytes: record.to_string().len().saturating_add(1),
            record,
        })
    }
}

/// Returns the sort key of a sequence number, which is a decimal number of 21 to 40 digits. A
/// longer number is later, and numbers of the same length compare digit by digit.
pub(super) fn sequence_order(number: &str) -> (usize, &str) {
    (number.len(), number)
}
