//! The log of calls: the requests and their results.

use std::borrow::Cow;
use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;
use crate::faults::FaultKind;
use crate::ids::{self, Kind};
use crate::limits::{CALL_RECORDS_KEPT_MAX, CALLS_KEPT_MAX};
use crate::model::UsageRecord;

/// The result for one usage record of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecordStatus {
    /// The record took its slot.
    Success,
    /// `Success` without a new slot: the record is identical to the record in the slot, or its
    /// quantity is 0 and leaves the slot free.
    SuccessAgain,
    CustomerNotSubscribed,
    DuplicateRecord,
    Unprocessed,
    /// The request failed as a whole.
    NotProcessed,
}

impl RecordStatus {
    /// The status as AWS prints it. `NotProcessed` is the emulator's own word.
    pub(crate) fn status(self) -> &'static str {
        match self {
            RecordStatus::Success | RecordStatus::SuccessAgain => "Success",
            RecordStatus::CustomerNotSubscribed => "CustomerNotSubscribed",
            RecordStatus::DuplicateRecord => "DuplicateRecord",
            RecordStatus::Unprocessed => "Unprocessed",
            RecordStatus::NotProcessed => "NotProcessed",
        }
    }
}

/// The status of a usage record, with the metering record it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordOutcome {
    pub(crate) outcome: RecordStatus,
    pub(crate) metering_record: Option<u64>,
}

impl RecordOutcome {
    pub(crate) const NOT_PROCESSED: RecordOutcome = RecordOutcome {
        outcome: RecordStatus::NotProcessed,
        metering_record: None,
    };
}

/// A call as the log keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallEntry {
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    pub(crate) operation: Cow<'static, str>,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) error: Option<CallError>,
    pub(crate) product_code: Option<String>,
    pub(crate) records: Vec<UsageRecord>,
    pub(crate) outcomes: Vec<RecordOutcome>,
    pub(crate) faults: Vec<FaultKind>,
    pub(crate) answered: bool,
}

impl CallEntry {
    /// The result of the call as a whole.
    pub(crate) fn verdict(&self) -> CallVerdict {
        let accepted = |outcome: &RecordOutcome| {
            matches!(
                outcome.outcome,
                RecordStatus::Success | RecordStatus::SuccessAgain
            )
        };
        match (self.answered, &self.error) {
            (false, _) => CallVerdict::Unanswered,
            (true, Some(_)) => CallVerdict::Refused,
            (true, None) if self.outcomes.iter().all(accepted) => CallVerdict::Accepted,
            (true, None) => CallVerdict::Partly,
        }
    }

    /// Whether the call reached AWS. A dropped request and a request that a proxy answered did not.
    pub(crate) fn reached_aws(&self) -> bool {
        let lost = [FaultKind::DropBefore, FaultKind::BadGateway];
        !self.faults.iter().any(|fault| lost.contains(fault))
    }
}

/// The result of a call as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallVerdict {
    /// Answered without an error, and every record accepted.
    Accepted,
    /// Answered without an error, but not every record was accepted. A status of 200 does not mean
    /// that all records are billed.
    Partly,
    /// Answered with an error.
    Refused,
    /// Not answered at all.
    Unanswered,
}

impl CallVerdict {
    pub(crate) const ALL: [CallVerdict; 4] = [
        CallVerdict::Accepted,
        CallVerdict::Partly,
        CallVerdict::Refused,
        CallVerdict::Unanswered,
    ];
}

/// Selects calls of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallFilter<'a> {
    /// The operation; `None` selects all operations.
    pub(crate) operation: Option<&'a str>,
    /// The call must have one of these verdicts.
    pub(crate) verdicts: &'a [CallVerdict],
}

impl CallFilter<'_> {
    fn has(&self, entry: &CallEntry) -> bool {
        self.operation.is_none_or(|name| name == entry.operation)
            && self.verdicts.contains(&entry.verdict())
    }
}

/// The log of the latest calls.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    entries: VecDeque<CallEntry>,
    made: u64,
    records: usize,
}

impl CallLog {
    /// Counts a new call and returns its number, from 1.
    pub(crate) fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(crate) fn push(&mut self, entry: CallEntry) {
        self.records += entry.records.len();
        self.entries.push_back(entry);
        while self.entries.len() > CALLS_KEPT_MAX || self.records > CALL_RECORDS_KEPT_MAX {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.records -= oldest.records.len();
        }
    }

    /// The number of all calls so far, also of those that the log no longer has.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    pub(crate) fn load(entries: Vec<CallEntry>, made: u64) -> CallLog {
        let mut log = CallLog {
            made,
            ..CallLog::default()
        };
        for entry in entries {
            log.push(entry);
        }
        log
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &CallEntry> {
        self.entries.iter()
    }
}

/// One call to the emulated AWS API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The number of the call, counted from 1.
    pub number: u64,
    /// When the call was made, by the emulator's clock.
    pub at: Timestamp,
    /// The name of the operation, for example `BatchMeterUsage`.
    pub operation: String,
    /// The Region that was called.
    pub region: String,
    /// The `x-amzn-requestid` of the answer.
    pub request_id: String,
    /// The `ProductCode` of the request.
    pub product_code: Option<String>,
    /// The usage records of the request, each with its result.
    pub records: Vec<CallRecord>,
    /// The error with which the call was answered; `None` if there was none.
    pub error: Option<CallError>,
    /// The faults that affected the call.
    pub faults: Vec<FaultKind>,
    /// Whether an answer was sent. A request without an answer may have been carried out.
    pub answered: bool,
}

/// The error of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The error code, for example `ThrottlingException`.
    pub code: String,
    /// The message of the error.
    pub message: String,
    /// The HTTP status of the response.
    pub status: u16,
}

/// One usage record of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The record's `LicenseArn`, as it was sent.
    pub license_arn: Option<String>,
    /// The record's `CustomerAWSAccountId`, as it was sent.
    pub account_id: Option<String>,
    /// The record's `CustomerIdentifier`, as it was sent.
    pub customer_identifier: Option<String>,
    /// The record's `Dimension`, as it was sent.
    pub dimension: String,
    /// The record's `Timestamp`, as it was sent.
    pub timestamp: Timestamp,
    /// The quantity, as a decimal string without trailing zeros.
    pub quantity: String,
    /// `Success`, `CustomerNotSubscribed`, `DuplicateRecord` or `Unprocessed`. `NotProcessed` if
    /// the whole request failed.
    pub outcome: String,
    /// Whether this call took the slot. Exactly one call takes each billed slot.
    pub billed: bool,
    /// The id of the metering record, even if the answer was never sent.
    pub metering_record_id: Option<String>,
}

impl World {
    /// The calls in the log, oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().map(|entry| self.call(entry)).collect()
    }

    /// The number of calls that the filter selects, and one page of these calls, newest first.
    pub(crate) fn select_calls(
        &self,
        filter: CallFilter<'_>,
        skip: usize,
        take: usize,
    ) -> (usize, Vec<(CallVerdict, Call)>) {
        let found = || self.calls.iter().rev().filter(|entry| filter.has(entry));
        let page = found().skip(skip).take(take);
        (
            found().count(),
            page.map(|entry| (entry.verdict(), self.call(entry)))
                .collect(),
        )
    }

    /// The call with this number. `None` if the log does not have it, or no longer.
    pub(crate) fn call_numbered(&self, number: u64) -> Option<(CallVerdict, Call)> {
        let entry = self.calls.iter().rev().find(|e| e.number == number)?;
        Some((entry.verdict(), self.call(entry)))
    }

    fn call(&self, entry: &CallEntry) -> Call {
        let records = entry.records.iter().enumerate();
        Call {
            number: entry.number,
            at: entry.at,
            operation: entry.operation.clone().into_owned(),
            region: entry.region.clone(),
            request_id: self.request_id(entry.number),
            product_code: entry.product_code.clone(),
            records: records
                .map(|(place, record)| self.call_record(record, entry.outcomes.get(place)))
                .collect(),
            error: entry.error.clone(),
            faults: entry.faults.clone(),
            answered: entry.answered,
        }
    }

    fn call_record(&self, record: &UsageRecord, outcome: Option<&RecordOutcome>) -> CallRecord {
        let outcome = outcome.copied().unwrap_or(RecordOutcome::NOT_PROCESSED);
        CallRecord {
            license_arn: record.license_arn.clone(),
            account_id: record.customer_aws_account_id.clone(),
            customer_identifier: record.customer_identifier.clone(),
            dimension: record.dimension.clone(),
            timestamp: record.timestamp.at,
            quantity: record.quantity.value().to_string(),
            outcome: outcome.outcome.status().to_owned(),
            billed: outcome.outcome == RecordStatus::Success,
            metering_record_id: outcome.metering_record.map(|n| self.metering_record_id(n)),
        }
    }

    pub(crate) fn request_id(&self, number: u64) -> String {
        ids::uuid(self.seed, Kind::Request, number)
    }
}
