//! The answer of `BatchMeterUsage`, and how faults change it.

use serde::Serialize;

use crate::faults::{CallFaults, Choice};
use crate::ids::{self, Kind};
use crate::model::UsageRecord;
use crate::world::{RecordOutcome, RecordStatus};

/// The status with which [`FaultKind::UnknownStatus`](crate::FaultKind::UnknownStatus) replaces
/// another. It is in no API model.
const UNKNOWN_STATUS: &str = "PendingReview";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchMeterUsageResult<'a> {
    results: Vec<UsageRecordResult<'a>>,
    unprocessed_records: Vec<&'a UsageRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UsageRecordResult<'a> {
    usage_record: &'a UsageRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    metering_record_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// For each record, whether a fault leaves it unprocessed. Empty if there is no such fault.
pub(super) fn unprocessed(struck: &CallFaults, total: usize) -> Vec<bool> {
    match struck.unprocessed {
        0 => Vec::new(),
        count => Choice::new(struck.seed).mark(total, count),
    }
}

/// The body of the answer for the records and their outcomes, as the faults change it.
pub(super) fn body(
    seed: u64,
    records: &[UsageRecord],
    outcomes: &[RecordOutcome],
    struck: &CallFaults,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut choice = Choice::new(!struck.seed);
    let missing = choice.mark(records.len(), struck.missing);
    let no_status = choice.mark(records.len(), struck.missing_status);
    let unknown = choice.mark(records.len(), struck.unknown_status);
    let marked = |marks: &[bool], index: usize| marks.get(index).copied().unwrap_or(false);
    let mut answer = BatchMeterUsageResult {
        results: Vec::with_capacity(records.len()),
        unprocessed_records: Vec::new(),
    };
    for (index, (record, outcome)) in records.iter().zip(outcomes).enumerate() {
        if marked(&missing, index) {
            continue;
        }
        if outcome.outcome == RecordStatus::Unprocessed {
            answer.unprocessed_records.push(record);
            continue;
        }
        answer.results.push(UsageRecordResult {
            usage_record: record,
            metering_record_id: outcome
                .metering_record
                .map(|number| ids::uuid(seed, Kind::MeteringRecord, number)),
            status: match outcome.outcome.status() {
                _ if marked(&no_status, index) => None,
                _ if marked(&unknown, index) => Some(UNKNOWN_STATUS),
                status => Some(status),
            },
        });
    }
    if struck.reorder {
        choice.reorder(&mut answer.results);
        choice.reorder(&mut answer.unprocessed_records);
    }
    serde_json::to_vec(&answer)
}
