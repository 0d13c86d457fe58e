//! What a run did and found, and the metrics of it.

use jiff::Timestamp;
use marketplace::record::Urgency;
use serde::Serialize;
use startup::metrics::{Unit, emit};

use crate::audit::AuditReport;

/// What a run did and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Which task.
    pub task: &'static str,
    /// Which shard of it, if not all.
    pub shard: Option<u8>,
    /// Records past their deadline without an outcome.
    pub unconfirmed: u64,
    /// Hours of subscriptions read again.
    pub hours_recounted: u64,
    /// Of which had rows that nothing had counted.
    pub hours_flagged: u64,
    /// How far back the month's recount has come in every shard of this run, as a day; the whole must
    /// come before its older days.
    pub month_recounted_from: Option<String>,
    /// Subscriptions that the rounds have taken over.
    pub attention_cleared: u64,
    /// Subscriptions that ended with everything metered or itemised.
    pub subscriptions_closed: u64,
    /// Minutes until the nearest deadline of a record still to be sent.
    pub minutes_to_nearest_deadline: Option<i64>,
    /// The most that any of them has used of its time between sealing and deadline, in percent.
    pub percent_of_time_used: Option<i64>,
    /// Days of subscriptions that were read in full for the proof of the books.
    pub days_proved: u64,
    /// Whether the proof of the books that was due in this run found them balanced.
    pub balanced: Option<bool>,
    /// What the audit did and found.
    pub audit: AuditReport,
    /// Slots that keep the books from balancing; the log names them.
    pub slots_astray: u64,
    /// Items that cannot be read. They were set aside; the log says what is wrong with each.
    pub damaged_items: u64,
    /// The names of some of them.
    pub damaged: Vec<String>,
    /// Usage of subscriptions that are not active yet, which nothing counts until they are: how often it
    /// was met. The log names the subscriptions.
    pub pending_with_usage: u64,
    /// Whether the run came through; otherwise the next one goes on.
    pub finished: bool,
}

impl Report {
    /// Notes a record that is still to be sent.
    pub(crate) fn note(&mut self, urgency: Urgency) {
        let minutes = urgency.seconds_left / 60;
        let nearest = self.minutes_to_nearest_deadline.unwrap_or(i64::MAX);
        self.minutes_to_nearest_deadline = Some(nearest.min(minutes));
        self.percent_of_time_used = self.percent_of_time_used.max(Some(urgency.percent_used));
    }
}

/// Writes the report into the log, and its metrics. What a task does not measure is zero or absent,
/// and then no metric is written; only `UnfinishedRuns` is written by every run.
pub(crate) fn publish(report: &Report, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tracing::info!(
        task = report.task,
        shard = report.shard,
        ?report,
        "reconciled"
    );
    let mut values = vec![
        ("RecordsUnconfirmed", Unit::Count, count(report.unconfirmed)),
        ("HoursFlagged", Unit::Count, count(report.hours_flagged)),
        ("UnfinishedRuns", Unit::Count, i64::from(!report.finished)),
        (
            "AuditFailures",
            Unit::Count,
            i64::from(report.audit.failure.is_some()),
        ),
        (
            "AuditDifferences",
            Unit::Count,
            count(report.audit.differences()),
        ),
        (
            "RecordsInConflict",
            Unit::Count,
            count(report.audit.conflicts),
        ),
        (
            "RecordsUndecided",
            Unit::Count,
            count(report.audit.undecided + report.audit.given_up),
        ),
        (
            "RecordsProvedUnbilled",
            Unit::Count,
            count(report.audit.expired),
        ),
        ("RecordsMatched", Unit::Count, count(report.audit.matched)),
        ("AuditUnclear", Unit::Count, count(report.audit.unclear)),
        ("DamagedItems", Unit::Count, count(report.damaged_items)),
        (
            "PendingWithUsage",
            Unit::Count,
            count(report.pending_with_usage),
        ),
    ];
    if let Some(minutes) = report.minutes_to_nearest_deadline {
        values.push((
            "SecondsToNearestDeadline",
            Unit::Seconds,
            minutes.saturating_mul(60),
        ));
    }
    if let Some(percent) = report.percent_of_time_used {
        values.push(("PercentOfTimeUsed", Unit::Percent, percent));
    }
    if report.balanced.is_some() {
        values.push(("BooksOutOfBalance", Unit::Count, count(report.slots_astray)));
    }
    emit("reconciler", now, &values);
}
