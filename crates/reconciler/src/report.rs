//! The report of a run, and the metrics that are computed from it.

use jiff::Timestamp;
use marketplace::record::Urgency;
use runtime::metrics::{Unit, count, emit};
use serde::Serialize;

use crate::audit::AuditReport;

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The name of the task; see [`Task::name`](crate::Task::name).
    pub task: &'static str,
    /// The shard that the task was limited to; `None` if it worked on all shards.
    pub shard: Option<u8>,
    /// Records that became Unconfirmed because their deadline passed without an outcome.
    pub unconfirmed: u64,
    /// Hours that were read again, counted for each subscription.
    pub hours_recounted: u64,
    /// Hours that were flagged because they have rows that nothing has counted, counted for each
    /// subscription.
    pub hours_flagged: u64,
    /// The earliest day (`yyyy-mm-dd`) of the past month that was recounted in every shard of this
    /// run; `None` if no pass of the month's recount is over.
    pub month_recounted_from: Option<String>,
    /// Subscriptions whose attention was cleared because the sealer's rounds cover them.
    pub attention_cleared: u64,
    /// Subscriptions that were set to ended because all their usage is metered or itemised.
    pub subscriptions_closed: u64,
    /// Minutes until the nearest deadline of a record that must still be sent; `None` if there is
    /// no such record. Records that AWS Marketplace has refused because of their content are left
    /// out of this number and of the next one.
    pub minutes_to_nearest_deadline: Option<i64>,
    /// The largest part of the time between sealing and deadline that one of these records has
    /// used, in percent; `None` if there is no such record.
    pub percent_of_time_used: Option<i64>,
    /// Days of subscriptions that were read in full for the proof of the books.
    pub days_proved: u64,
    /// Whether the books balance. It is `None` if no fault was found, and no proof was due or the
    /// proof is not finished.
    pub balanced: Option<bool>,
    /// The report of the audit.
    pub audit: AuditReport,
    /// Slots in which late usage did not arrive as it was sent. The log names them.
    pub slots_unbalanced: u64,
    /// Proved days of subscriptions whose records or movements were changed or removed, but not by
    /// this stack. The log names them.
    pub days_altered: u64,
    /// Subscriptions whose books could not be added to those of the others, because the sum exceeds
    /// its range. The log names them.
    pub sums_overflowed: u64,
    /// Items that cannot be read and were left out. The log says what is wrong with each of them.
    pub damaged_items: u64,
    /// The names of the first 100 damaged items.
    pub damaged: Vec<String>,
    /// Findings of usage of a subscription that is not active yet. Its hours are flagged, and the
    /// usage is counted once the subscription is active. The log names the subscriptions.
    pub pending_with_usage: u64,
    /// Whether the run did all its work; otherwise the next run continues.
    pub finished: bool,
}

impl Report {
    /// Includes a record that must still be sent in the two numbers about deadlines.
    pub(crate) fn add_urgency(&mut self, urgency: Urgency) {
        let minutes = urgency.seconds_left / 60;
        let nearest = self.minutes_to_nearest_deadline.unwrap_or(i64::MAX);
        self.minutes_to_nearest_deadline = Some(nearest.min(minutes));
        self.percent_of_time_used = self.percent_of_time_used.max(Some(urgency.percent_used));
    }

    /// Returns the number of faults that were found in the books.
    fn imbalances(&self) -> u64 {
        self.slots_unbalanced
            .saturating_add(self.days_altered)
            .saturating_add(self.sums_overflowed)
    }

    /// Sets whether the books balance: to `Some(false)` if a fault was found, and otherwise to
    /// `unless_found`. So a fault is reported even if the time ran out before the end.
    pub(crate) fn judge_balance(&mut self, unless_found: Option<bool>) {
        self.balanced = match self.imbalances() {
            0 => unless_found,
            _ => Some(false),
        };
    }
}

/// Writes the report and its metrics into the log.
pub(crate) fn publish(report: &Report, now: Timestamp, is_run: bool) {
    tracing::info!(
        task = report.task,
        shard = report.shard,
        ?report,
        "reconciled"
    );
    emit("reconciler", now, &metrics(report, is_run));
}

/// Returns the metrics of a report. A value that the task does not measure is zero or absent. With
/// `is_run` false the run failed. It then counts as no run, so that the alarm for missing runs goes
/// off.
fn metrics(report: &Report, is_run: bool) -> Vec<(&'static str, Unit, i64)> {
    let mut values = vec![
        count("RecordsUnconfirmed", report.unconfirmed),
        count("HoursFlagged", report.hours_flagged),
        (
            "AuditFailures",
            Unit::Count,
            i64::from(report.audit.failure.is_some()),
        ),
        count("AuditDifferences", report.audit.differences()),
        count("RecordsInConflict", report.audit.conflicts),
        count(
            "RecordsUndecided",
            report.audit.undecided + report.audit.given_up,
        ),
        count("RecordsProvedUnbilled", report.audit.expired),
        count("RecordsMatched", report.audit.matched),
        count("AuditUnclear", report.audit.unclear),
        count("DamagedItems", report.damaged_items),
        count("PendingWithUsage", report.pending_with_usage),
    ];
    if is_run {
        values.push(("UnfinishedRuns", Unit::Count, i64::from(!report.finished)));
    }
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
        values.push(count("BooksOutOfBalance", report.imbalances()));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_balance(report: &Report) -> Option<i64> {
        let all = metrics(report, true);
        let found = all.iter().find(|(name, ..)| *name == "BooksOutOfBalance");
        found.map(|(_, _, value)| *value)
    }

    #[test]
    fn a_run_that_fails_reports_what_it_found_but_counts_as_no_run() {
        let mut report = Report {
            days_altered: 1,
            ..Report::default()
        };
        report.judge_balance(None);
        let of = |is_run| -> Vec<&str> {
            let all = metrics(&report, is_run);
            all.iter().map(|(name, ..)| *name).collect()
        };
        assert!(of(true).contains(&"UnfinishedRuns"));
        assert!(!of(false).contains(&"UnfinishedRuns"));
        assert!(of(false).contains(&"BooksOutOfBalance"));
    }

    #[test]
    fn everything_that_is_out_of_balance_is_in_the_metric() {
        let of = |change: fn(&mut Report)| {
            let mut report = Report::default();
            change(&mut report);
            report.judge_balance(Some(true));
            report
        };
        for report in [
            of(|report| report.slots_unbalanced = 1),
            of(|report| report.days_altered = 1),
            of(|report| report.sums_overflowed = 1),
        ] {
            assert_eq!(report.balanced, Some(false), "{report:?}");
            assert_eq!(out_of_balance(&report), Some(1), "{report:?}");
        }
        let mut report = of(|_| ());
        assert_eq!(out_of_balance(&report), Some(0));
        report.judge_balance(None);
        assert_eq!(out_of_balance(&report), None, "nothing was proved");
    }
}
