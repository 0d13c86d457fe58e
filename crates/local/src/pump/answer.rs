//! Judges a function's answer to its batch, as Lambda documents it for batch item failures.

use serde_json::Value;

use super::change::{Change, sequence_order};

/// The meaning of a function's answer for its batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BatchResult {
    /// The whole batch is done.
    Done,
    /// Every record before this sequence number is done. The batch is retried from this record on.
    FailedFrom(String),
    /// No record of the batch is done. The text is the reason.
    Failed(String),
}

/// Judges the answer to `batch`. An answer that Lambda cannot read counts as a failure of the whole
/// batch.
pub(super) fn batch_result(
    answer: Result<Value, String>,
    report_batch_item_failures: bool,
    batch: &[Change],
) -> BatchResult {
    let answer = match answer {
        Err(error) => return BatchResult::Failed(error),
        Ok(_) if !report_batch_item_failures => return BatchResult::Done,
        Ok(answer) => answer,
    };
    let failures = match &answer {
        Value::Null => return BatchResult::Done,
        Value::Object(members) => match members.get("batchItemFailures") {
            None | Some(Value::Null) => return BatchResult::Done,
            Some(Value::Array(failures)) => failures,
            Some(other) => {
                return BatchResult::Failed(format!("batchItemFailures is not a list but {other}"));
            }
        },
        other => return BatchResult::Failed(format!("the answer is not an object but {other}")),
    };
    let mut lowest: Option<&str> = None;
    for failure in failures {
        let known = failure["itemIdentifier"]
            .as_str()
            .filter(|id| batch.iter().any(|change| change.sequence_number == *id));
        let Some(id) = known else {
            return BatchResult::Failed(format!("{failure} names no sequence number of the batch"));
        };
        if lowest.is_none_or(|lowest| sequence_order(id) < sequence_order(lowest)) {
            lowest = Some(id);
        }
    }
    lowest.map_or(BatchResult::Done, |id| {
        BatchResult::FailedFrom(id.to_owned())
    })
}
