//! The audit: compares CloudTrail with the ledger.
//!
//! # Layout
//! * `judge`: closes records in dispute or without an outcome, if CloudTrail proves something about
//!   them
//! * `again`: compares records that were concluded to be unbilled again, a day and three days later
//! * `follow`: the hourly comparison, which continues where the last run stopped
//! * `call_ids`: the ids of the calls that the history shows, to recognise the calls later
//!
//! The crate `cloudtrail` reads the events. The rules themselves, with their races and crash points,
//! are in `marketplace::audit`.
//!
//! # Arithmetic
//! LookupEvents allows two requests a second for the account, and is slow: a seller has measured 4
//! seconds for a page of 50 calls on average, and 35 at most. So the audit waits 45 seconds for a
//! page, and this calculation assumes 15 pages a minute.
//!
//! A million records a month are 40,000 calls of 25 records, or 800 pages. That is 56 calls on two
//! pages an hour; the benchmark of `marketplace` counts them. The hourly comparison reads each page
//! three times: twice by the time of the call, and once for the hour of usage. Those are six pages,
//! or 24 seconds in every hour. If an event came late, its step is read once more. The comparison
//! by the time of the call stores its progress after some 45 pages. The comparison by the hour of
//! usage stores its progress after three hours, so the pages of three hours must be read in one
//! run. At 45,000 records an hour, the most recent calls take 36 pages, those that are compared
//! again 36, and a block of three hours 108: twelve minutes. The block has the time that the other
//! two comparisons leave: at least a quarter of the run. If that is not enough, the block waits
//! until the others have caught up. From 45,000 records an hour on the time is not enough, and
//! `UnfinishedRuns` reports it.
//!
//! A judgement reads the day in which a record could be sent: 29 pages at a million records a
//! month, or two minutes. If a record waits for a witness for days, each later judgement reads at
//! most two more days: the one after the sending, and the latest one. A judgement has at most half
//! of the run: seven minutes, or 110 pages. At more than 5,000 records an hour, 3.6 million a
//! month, the records in question stay held, and an alarm reports it. From this volume on, a seller
//! should let the audit read a trail in S3.
//!
//! A trail makes a file every five minutes, 12 an hour; in a busy account it makes one every
//! minute. At 30 ms a file and eight files at a time, 267 files are fetched in a second. The hourly
//! comparison fetches 20 files for the calls of the last hour, and 20 for each hour of usage. For
//! the calls of ten hours ago it reads all 130 files since then. Those are 170 files an hour, or
//! 4,000 a day. They take 0.6 seconds of each run, or three seconds where there is a file a minute.
//! A judgement fetches the 300 files of a day in a second. A judgement of a record
//! that waits for days fetches the 1,750 files of six days in seven seconds. Reading them also
//! takes computing time: a call of 25 records is some 20 KB, so 45,000 records an hour are 36 MB in
//! each hour's files.

mod again;
mod call_ids;
mod follow;
mod judge;

use cloudtrail::AuditError;
use ledger::error::Written;
use marketplace::audit::{Counts, Difference};
use serde::Serialize;

use crate::{App, ReconcileError, Report};

pub(crate) use follow::follow;
pub(crate) use judge::judge;

/// The report of the audit in one run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditReport {
    /// Records that CloudTrail shows as billed.
    pub accepted: u64,
    /// Disputed records that were concluded to be billed, because only their own call can have
    /// taken the slot.
    pub inferred: u64,
    /// Records for whose slot AWS Marketplace has another quantity.
    pub conflicts: u64,
    /// Records that are proved to be unbilled. Their usage is carried or held.
    pub expired: u64,
    /// Records that cannot be judged yet and stay held.
    pub undecided: u64,
    /// Records that can never be judged, because the history does not reach back to them any more.
    pub given_up: u64,
    /// Calls compared with the ledger.
    pub calls: u64,
    /// Records whose success was found.
    pub matched: u64,
    /// Accepted records without a success, although the history was read completely.
    pub missing: u64,
    /// Successes without a record in the ledger.
    pub unknown: u64,
    /// Successes with another quantity than the record.
    pub different: u64,
    /// Successes for records that are in the ledger as not billed.
    pub unexpected: u64,
    /// Events that are cut off or cannot be read, and records that cannot be compared because of
    /// them.
    pub unclear: u64,
    /// The error that kept the audit from reading CloudTrail, in whole or in part; `None` if
    /// everything was read.
    pub failure: Option<String>,
}

impl AuditReport {
    /// Returns the number of slots in which the ledger and AWS Marketplace differ.
    pub fn differences(&self) -> u64 {
        self.missing + self.unknown + self.different + self.unexpected
    }

    fn add(&mut self, counts: Counts, differences: &[Difference]) {
        self.calls += counts.calls;
        self.matched += counts.matched;
        self.missing += counts.missing;
        self.unknown += counts.unknown;
        self.different += counts.different;
        self.unexpected += counts.unexpected;
        self.unclear += counts.truncated_calls + counts.unreadable_events + counts.undecidable;
        for difference in differences {
            let Difference {
                slot: key,
                kind,
                in_ledger,
                at_aws,
                event_id,
                ..
            } = difference;
            tracing::error!(slot = %key, kind = kind.as_str(), ?in_ledger, ?at_aws, ?event_id, "the ledger and CloudTrail differ");
        }
    }
}

/// Returns whether a part of the audit is finished. If CloudTrail could not be read, adds the
/// failure to the report, and the run continues.
pub(crate) fn with_failure_reported(
    result: Result<bool, AuditError>,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    match result {
        Ok(finished) => Ok(finished),
        Err(AuditError::Ledger(error)) => Err(error.into()),
        Err(AuditError::History(error)) => {
            tracing::error!(%error, "the audit could not read CloudTrail; nothing is concluded");
            report.audit.failure = Some(error.to_string());
            Ok(false)
        }
    }
}

/// Reports the parts of the history that this run could not read. If S3 denies access to all files
/// of a trail, the comparison finds no difference, and only this failure shows the problem.
pub(crate) fn report_unreadable(app: &App, report: &mut Report) {
    let unreadable = app.history.take_unreadable();
    report.audit.failure = report.audit.failure.take().or(unreadable);
}

/// Returns the number of records that a write has changed: 1 if it was done, 0 if its condition
/// failed.
fn written_count(written: Written) -> u64 {
    u64::from(written == Written::Done)
}
