//! The audit: compares CloudTrail with the ledger.
//!
//! # Layout
//! * [`history`]: CloudTrail's events, from the Event history or from a trail in S3
//! * `judge`: closes records in dispute or without an outcome, as far as CloudTrail proves
//!   something
//! * `again`: compares records that were concluded to be unbilled again, a day and three days later
//! * `follow`: the hourly comparison, which continues where the last run stopped
//! * `call_ids`: which calls the history shows, to recognise them later
//! * [`range`]: the same comparison for any range of hours, in one piece
//!
//! The rules themselves, with their races and crash points, are in `marketplace::audit`.
//!
//! # Arithmetic
//! LookupEvents allows two requests a second for the account, and is slow: a seller has measured 4
//! seconds for a page of 50 calls on average, and 35 at most. So the audit waits 45 seconds for a
//! page, and this calculation assumes 15 pages a minute.
//!
//! A million records a month are 40,000 calls of 25 records, or 800 pages. That is 56 calls on two
//! pages an hour; the benchmark of `marketplace` counts them. The hourly comparison reads each page
//! three times: twice by the time of the call, and once for the hour of usage. Those are six pages,
//! or 24 seconds in every hour. If an event came late, its step is read once more. By the time of
//! the call, the comparison keeps its progress after some 45 pages. By the hour of usage it keeps
//! it after three hours, so their pages must be read in one run. At 45,000 records an hour, the
//! most recent calls take 36 pages, those that are compared again 36, and a block of three hours
//! 108: twelve minutes. The block has what the other two comparisons leave of the run, which is a
//! quarter of it at least while they are behind, and then the block waits until they have caught
//! up. From 45,000 records an hour on the time is not enough, and `UnfinishedRuns` says so.
//!
//! A judgement reads the day in which a record could be sent: 29 pages at a million records a
//! month, or two minutes. Looking for a witness again, for a record that waits for days, adds at
//! most the day after that one and the day before now. A judgement has at most half of the run:
//! seven minutes, or 110 pages. At more than 5,000 records an hour, 3.6 million a month, the
//! records in question stay held, and an alarm says so. From there on a seller should let the audit
//! read a trail in S3.
//!
//! A trail makes a file every five minutes, 12 an hour; in a busy account it makes one every
//! minute. At 30 ms a file and eight files at a time, 267 files are fetched in a second. The hourly
//! comparison fetches 20 files for the calls of the last hour, and 20 for each hour of usage. It
//! looks for the calls of ten hours ago in all files since then, which are 130. Those are 170 files
//! an hour, or 4,000 a day. They take 0.6 seconds of each run, or three seconds where there is a
//! file a minute. A judgement fetches the 300 files of a day in a second. A judgement of a record
//! that waits for days fetches the 1,750 files of six days in seven seconds. Reading them also
//! takes computing time: a call of 25 records is some 20 KB, so 45,000 records an hour are 36 MB in
//! each hour's files.

mod again;
mod call_ids;
mod follow;
pub mod history;
mod judge;
pub mod range;

use ledger::LedgerError;
use ledger::error::Written;
use marketplace::audit::{Counts, Difference};
use serde::Serialize;

use crate::{App, ReconcileError, Report};

pub(crate) use follow::follow;
pub use history::{EventHistory, History, HistoryError, Trail};
pub(crate) use judge::judge;
pub use range::{Range, compare_range};

/// Why an audit broke off. It concludes nothing from events that it has not read. The next audit
/// continues.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A table could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// CloudTrail's events could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What the audit of a run did and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditReport {
    /// Records that CloudTrail shows as billed.
    pub accepted: u64,
    /// Disputed records that were concluded to be billed, because only their own call can have
    /// taken the slot.
    pub inferred: u64,
    /// Records of which AWS Marketplace holds another quantity.
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
    /// Why CloudTrail could not be read, in whole or in part; `None` if everything was read.
    pub failure: Option<String>,
}

impl AuditReport {
    /// How many slots differ between the ledger and AWS Marketplace.
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
                key,
                kind,
                here,
                at_aws,
                event_id,
                ..
            } = difference;
            tracing::error!(slot = %key, kind = kind.as_str(), ?here, ?at_aws, ?event_id, "the ledger and CloudTrail differ");
        }
    }
}

/// Whether a part of the audit is finished. If CloudTrail cannot be read, the failure goes into the
/// report and the run continues.
pub(crate) fn noted(
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

/// Reports the parts of the history that this run could not read. If all files of a trail are
/// denied, the comparison finds no difference, so only this failure shows it.
pub(crate) fn note_unreadable(app: &App, report: &mut Report) {
    let unreadable = app.history.take_unreadable();
    report.audit.failure = report.audit.failure.take().or(unreadable);
}

/// How many records a write has changed: 1 if it was done, 0 if its condition failed.
fn done(written: Written) -> u64 {
    u64::from(written == Written::Done)
}
