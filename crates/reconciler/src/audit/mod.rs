//! CloudTrail against the ledger.
//!
//! # Layout
//! * [`history`]: CloudTrail's events, from the Event history or from a trail in S3
//! * `judge`: records in dispute or without an outcome, each closed by what is proved about it
//! * `again`: records concluded to be unbilled, compared once more a day and three days later
//! * `follow`: the hourly comparison, which goes on where the last run stopped
//! * [`range`]: the same comparison for any range of hours, in one piece
//!
//! The rules themselves, with their races and crash points, are in `marketplace::audit`.
//!
//! # Arithmetic
//! LookupEvents allows two requests a second for the account, and is slow: a seller has measured 4
//! seconds a page of 50 calls on average, and 35 at most. So a page is waited for 45 seconds, and what
//! counts is 15 pages a minute.
//!
//! A million records a month are 40,000 calls of 25, and so 800 pages: 56 calls on two pages an hour; the
//! benchmark of `marketplace` counts them. The hourly comparison reads each page three times, twice by
//! the time of the call and once for the hour it metered: six pages, 24 seconds in every hour. It keeps
//! its progress after 45 pages at most, and has what is left of the run by the other tasks; at 45,000
//! records an hour that is no longer enough, and `UnfinishedRuns` says so.
//!
//! A judgement reads the day that a record could be sent in: 29 pages at a million records a month, or
//! two minutes. Looking for a witness again, for a record that waits for days, adds at most the day after
//! that one and the day before now. A judgement has half of the run at most, seven minutes, so 110 pages:
//! at more than 5,000 records an hour, 3.6 million a month, records in question stay held, and the alarm
//! says so. From there on a seller should give the audit a trail in S3.
//!
//! A trail makes a file in five minutes, 12 an hour; a busy account's makes one in a minute. At 30 ms a
//! file and eight at a time, 267 files are fetched in a second. The hourly comparison gets 20 files for
//! the calls of the last hour, 130 for those of ten hours ago, which it looks for in all files since, and
//! 20 for the hour of usage: 170 an hour, 4,000 a day, in 0.6 seconds of each run, or three at a file a
//! minute. A judgement gets the day's 300 files in a second; one about a record that waits for days gets
//! six days' files, 1,750, in seven. What is read also costs computing: a call of
//! 25 records is some 20 KB, so 45,000 records an hour are 36 MB in each hour's files.

mod again;
mod follow;
pub mod history;
mod judge;
pub mod range;

use ledger::LedgerError;
use ledger::error::Written;
use marketplace::audit::{Counts, Difference};
use serde::Serialize;

use crate::{ReconcileError, Report};

pub(crate) use follow::follow;
pub use history::{EventHistory, History, HistoryError, Trail};
pub(crate) use judge::judge;
pub use range::{Range, compare_range};

/// Why an audit broke off. Nothing is concluded from what was not read; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// CloudTrail.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What the audit of a run did and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditReport {
    /// Records found billed.
    pub accepted: u64,
    /// Disputed records that only their own lost call can have billed.
    pub inferred: u64,
    /// Records of which AWS Marketplace holds another quantity.
    pub conflicts: u64,
    /// Records proved not billed; their usage is carried or held.
    pub expired: u64,
    /// Records that cannot be judged; they stay held.
    pub undecided: u64,
    /// Of which the history does not reach back any more.
    pub given_up: u64,
    /// Calls compared with the ledger.
    pub calls: u64,
    /// Records whose success was found.
    pub matched: u64,
    /// Accepted records without a success in a history that is complete.
    pub missing: u64,
    /// Successes that the ledger has no record for.
    pub unknown: u64,
    /// Successes of another quantity.
    pub different: u64,
    /// Successes for records that say they are not billed.
    pub unexpected: u64,
    /// Events cut off or unreadable, and records that they make undecidable.
    pub unclear: u64,
    /// Why CloudTrail could not be read, in whole or in part, if so.
    pub failure: Option<String>,
}

impl AuditReport {
    /// Slots over which the ledger and AWS Marketplace differ.
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

/// What a part of the audit came to: whether it is finished. CloudTrail out of reach ends no run.
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

/// 1 if it was written.
fn done(written: Written) -> u64 {
    u64::from(written == Written::Done)
}
