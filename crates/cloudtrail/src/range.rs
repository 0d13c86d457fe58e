//! The comparison of any range of usage hours with the history, in one piece.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::{Consistency, Ledger, LedgerError};
use marketplace::audit::{
    CLOCK_MARGIN_MINUTES, Comparison, Event, Period, Source, UNCONFIRMED_WAIT_MINUTES,
};
use marketplace::hour::shift;
use marketplace::window::Window;
use marketplace::{Subscription, UsageHour};
use runtime::settings::Products;

use crate::{AuditError, History, LATE};

/// The number of subscriptions whose records are read at the same time.
const AT_ONCE: usize = 16;

/// Usage hours to compare, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: UsageHour,
    last: UsageHour,
}

/// The error of a range that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// The range has no hour, because its beginning is not before its end.
    #[error("--from {from} is not before --to {to}: the range has no hour")]
    Empty {
        /// The beginning of the range.
        from: Timestamp,
        /// The end of the range.
        to: Timestamp,
    },
    /// The source does not reach back that far.
    #[error(
        "--from {from} is more than {days} days ago, and {source_name} is read back to {oldest} only{advice}"
    )]
    TooOld {
        /// The beginning of the range.
        from: Timestamp,
        /// The earliest time that the source reaches back to.
        oldest: Timestamp,
        /// The number of days that the source reaches back.
        days: i64,
        /// The name of the source in the error's text.
        source_name: &'static str,
        /// The way to reach back further; empty if there is none.
        advice: &'static str,
    },
    /// The range ends in the future.
    #[error("--to {to} lies in the future: it is {now}")]
    Future {
        /// The end of the range.
        to: Timestamp,
        /// The current time, which is the latest possible end of a range.
        now: Timestamp,
    },
}

impl Range {
    /// Makes the range from the hour that contains `from` to the last hour that begins before `to`.
    pub fn new(
        from: Timestamp,
        to: Timestamp,
        source: Source,
        now: Timestamp,
    ) -> Result<Self, InvalidRange> {
        let oldest = source.oldest(now);
        if from >= to {
            return Err(InvalidRange::Empty { from, to });
        }
        if from < oldest {
            let (source_name, advice) = match source {
                Source::EventHistory => (
                    "CloudTrail's Event history",
                    "; --bucket reads a trail, which reaches back for as long as its files are kept",
                ),
                Source::Trail => ("a trail", ""),
            };
            return Err(InvalidRange::TooOld {
                from,
                oldest,
                days: source.reach_days(),
                source_name,
                advice,
            });
        }
        if to > now {
            return Err(InvalidRange::Future { to, now });
        }
        Ok(Self {
            first: UsageHour::of(from),
            last: UsageHour::of(shift(to, SignedDuration::from_nanos(-1))),
        })
    }

    /// Returns the first hour of the range.
    pub fn first(&self) -> UsageHour {
        self.first
    }

    /// Returns the last hour of the range, which belongs to it.
    pub fn last(&self) -> UsageHour {
        self.last
    }

    fn contains(&self, hour: UsageHour) -> bool {
        self.first <= hour && hour <= self.last
    }

    /// Returns the first and the last hour of each day of the range.
    fn days(&self) -> Vec<(UsageHour, UsageHour)> {
        self.first.through_days(self.last).collect()
    }
}

/// The progress of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The number of records that were read from the ledger.
    Records(usize),
    /// The number of events that were read from the history.
    Events(u64),
}

/// Compares all records of a range with the history, and calls `on_progress` with the progress. All
/// records are in memory at once, each as a few numbers, and the calls are read once.
pub async fn compare_range(
    ledger: &Ledger,
    history: &History,
    products: &Products,
    window: Window,
    range: Range,
    now: Timestamp,
    mut on_progress: impl FnMut(Progress),
) -> Result<Comparison, AuditError> {
    let mut comparison = Comparison::default();
    let mut start = None;
    loop {
        let (profiles, next) = ledger.profiles_page(start).await?;
        for day in range.days() {
            let read =
                |subscription| ledger.records_of_hours(subscription, day, Consistency::Strong);
            let mut all = stream::iter(&profiles)
                .map(|profile| read(&profile.subscription))
                .buffered(AT_ONCE);
            while let Some(records) = all.try_next().await? {
                for record in &records {
                    comparison.record(record);
                }
                on_progress(Progress::Records(comparison.len()));
            }
        }
        start = next;
        if start.is_none() {
            break;
        }
    }
    let minutes = |time, minutes| shift(time, SignedDuration::from_mins(minutes));
    let from = minutes(range.first.start(), -CLOCK_MARGIN_MINUTES);
    let deadline = window.deadline(range.last.start()).max(range.last.end());
    let to = minutes(deadline, UNCONFIRMED_WAIT_MINUTES).min(now);
    let mut events: u64 = 0;
    let each = |event: &Event| {
        match event {
            Event::Call(call) => comparison.call(call, |slot| range.contains(slot.hour)),
            Event::Unreadable { .. } => comparison.unreadable(),
            Event::Foreign(_) => comparison.foreign(),
        }
        events += 1;
        on_progress(Progress::Events(events));
    };
    let period = Period { from, to };
    history.read(&[period], LATE, now, None, each).await?;
    comparison.judge_unseen(now);
    drop_unserved_products(ledger, products, &mut comparison).await?;
    Ok(comparison)
}

/// Removes successes of products that this stack does not serve from the differences.
pub async fn drop_unserved_products(
    ledger: &Ledger,
    products: &Products,
    comparison: &mut Comparison,
) -> Result<(), LedgerError> {
    if products.serve_all() {
        return Ok(());
    }
    let unknown: BTreeSet<Subscription> = comparison.unknown_subscriptions().cloned().collect();
    let mut elsewhere = BTreeSet::new();
    for subscription in unknown {
        let is_ours = match subscription.product() {
            Some(product) => products.serve(product),
            // The key of a license does not name its product; its profile does.
            None => {
                let read = ledger.profile(&subscription).await;
                match ledger.unless_damaged(&subscription, read)? {
                    Some(Some(profile)) => products.serve(&profile.product),
                    Some(None) => false,
                    // The profile is damaged, so the product is not known. The difference stays.
                    None => true,
                }
            }
        };
        if !is_ours {
            elsewhere.insert(subscription);
        }
    }
    comparison.drop_unserved_products(|subscription| elsewhere.contains(subscription));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_checked() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-21T12:00:00Z");
        let events = Source::EventHistory;
        let (from, to) = (at("2026-11-19T23:30:00Z"), at("2026-11-21T02:00:00Z"));
        let range = Range::new(from, to, events, now).unwrap();
        assert_eq!(range.first().to_string(), "2026-11-19T23");
        assert_eq!(range.last().to_string(), "2026-11-21T01");
        let days = range.days().into_iter();
        let days: Vec<String> = days
            .map(|(first, last)| format!("{first} {last}"))
            .collect();
        assert_eq!(
            days,
            [
                "2026-11-19T23 2026-11-19T23",
                "2026-11-20T00 2026-11-20T23",
                "2026-11-21T00 2026-11-21T01"
            ]
        );
        for (from, to, problem) in [
            ("2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z", "no hour"),
            ("2026-08-20T02:00:00Z", "2026-11-21T02:00:00Z", "90 days"),
            ("2026-11-21T02:00:00Z", "2026-11-21T12:00:01Z", "future"),
        ] {
            let refused = Range::new(at(from), at(to), events, now)
                .unwrap_err()
                .to_string();
            assert!(refused.contains(problem), "{refused}");
        }
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2025-02-01T00:00:00Z"));
        Range::new(from, to, Source::Trail, now).unwrap();
        let (from, to) = (at("2024-01-01T00:00:00Z"), at("2025-02-01T00:00:00Z"));
        let refused = Range::new(from, to, Source::Trail, now).unwrap_err();
        assert!(refused.to_string().contains("775 days"), "{refused}");
    }
}
