//! One stream record on its way to a function.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A stream record in the form that Lambda delivers, and what batching needs to know of it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) sequence_number: String,
    pub(super) created: Timestamp,
    /// When the poller had it; the batching window counts from here.
    pub(super) read_at: Timestamp,
    /// Its share of the payload.
    pub(super) size_bytes: usize,
    pub(super) record: Value,
}

impl Change {
    /// From a record of the DynamoDB Streams API. `None` for what AWS would not have put into the
    /// stream: a write that changed nothing. That shows only where both images are in the record.
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
        // The engine stamps whole seconds, as a float.
        let created_s = images["ApproximateCreationDateTime"]
            .as_f64()
            .unwrap_or_default() as i64;
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(created_s);
        // The engine's ids are random, and a run must repeat exactly: the sequence number is unique too.
        record["eventID"] = json!(format!("{sequence_number:0>32}"));
        record["awsRegion"] = json!(stream_arn.split(':').nth(3).unwrap_or_default());
        record["eventSourceARN"] = json!(stream_arn);
        Some(Self {
            created: Timestamp::from_second(created_s).unwrap_or(Timestamp::UNIX_EPOCH),
            sequence_number,
            read_at: now,
            // One more for the comma.
            size_bytes: record.to_string().len().saturating_add(1),
            record,
        })
    }
}

/// Sequence numbers are decimal numbers of 21 to 40 digits: longer is later, then digit by digit.
pub(super) fn sequence_order(number: &str) -> (usize, &str) {
    (number.len(), number)
}
