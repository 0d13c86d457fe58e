//! The time for which the ledger keeps closed records and other items that are not needed any more.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::hour::{UsageHour, shift};
use crate::limits::{
    RETENTION_MONTHS_DEFAULT, RETENTION_MONTHS_MAX, RETENTION_MONTHS_MIN, ROWS_KEPT_DAYS,
};

/// The number of calendar months for which a closed record is kept after the end of its hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    months: i64,
}

/// The error for a retention outside the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a retention of {0} months: it must be {RETENTION_MONTHS_MIN} to {RETENTION_MONTHS_MAX}, so that a record outlives the audit of its hour; set a number in that range"
)]
pub struct InvalidRetention(pub i64);

impl Default for Retention {
    fn default() -> Self {
        Self {
            months: RETENTION_MONTHS_DEFAULT,
        }
    }
}

impl Retention {
    /// A retention of this many months, 4 to 120.
    ///
    /// # Errors
    ///
    /// [`InvalidRetention`] for any other number.
    pub fn from_months(months: i64) -> Result<Self, InvalidRetention> {
        if (RETENTION_MONTHS_MIN..=RETENTION_MONTHS_MAX).contains(&months) {
            Ok(Self { months })
        } else {
            Err(InvalidRetention(months))
        }
    }

    /// The time from which an item dated `time` may be removed. It is `time` plus the calendar
    /// months of this retention, in UTC.
    pub fn after(self, time: Timestamp) -> Timestamp {
        Span::new()
            .try_months(self.months)
            .and_then(|months| time.to_zoned(TimeZone::UTC).checked_add(months))
            .map_or(Timestamp::MAX, |later| later.timestamp())
    }

    /// The time from which the closed records of an hour may be removed.
    pub fn ends(self, hour: UsageHour) -> Timestamp {
        self.after(hour.end())
    }

    /// Whether closed records of an hour may be gone at `now`. A recount of such an hour would
    /// count billed usage again, because its record is missing.
    pub fn is_over(self, hour: UsageHour, now: Timestamp) -> bool {
        self.ends(hour) <= now
    }
}

/// The earliest time at which a row of an hour may expire: [`ROWS_KEPT_DAYS`] days after the start
/// of the hour. A producer may add the days to an event's own time, which is never earlier. A row
/// that expires too soon is not counted.
pub fn rows_kept_until(hour: UsageHour) -> Timestamp {
    let kept = SignedDuration::from_hours(ROWS_KEPT_DAYS.saturating_mul(24));
    shift(hour.start(), kept)
}

/// Whether rows of an hour may be gone at `now`. A slot whose rows are gone looks over-metered.
pub fn rows_may_be_gone(hour: UsageHour, now: Timestamp) -> bool {
    rows_kept_until(hour) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_record_is_kept_for_calendar_months_after_its_hour() {
        let check = |months: i64, hour: &str, ends: &str| {
            let retention = Retention::from_months(months).unwrap();
            let hour: UsageHour = hour.parse().unwrap();
            assert_eq!(retention.ends(hour), at(ends), "{hour}");
            assert!(retention.is_over(hour, at(ends)));
            assert!(!retention.is_over(hour, shift(at(ends), SignedDuration::from_secs(-1))));
        };
        check(25, "2026-11-21T02", "2028-12-21T03:00:00Z");
        check(4, "2026-11-30T23", "2027-04-01T00:00:00Z");
        // If the later month is shorter, its last day is the end.
        check(4, "2026-10-31T02", "2027-02-28T03:00:00Z");
        check(120, "2026-02-28T23", "2036-03-01T00:00:00Z");
    }

    #[test]
    fn a_retention_out_of_range_is_refused_with_the_range() {
        for months in [i64::MIN, -1, 0, 3, 121, i64::MAX] {
            let error = Retention::from_months(months).unwrap_err();
            assert!(error.to_string().contains(&months.to_string()), "{error}");
            assert!(error.to_string().contains("4 to 120"), "{error}");
        }
        assert_eq!(Retention::from_months(25), Ok(Retention::default()));
    }

    #[test]
    fn rows_stay_for_a_hundred_days_and_every_record_stays_longer() {
        let hour: UsageHour = "2026-01-01T00".parse().unwrap();
        let gone = at("2026-04-11T00:00:00Z");
        assert!(rows_may_be_gone(hour, gone));
        assert!(!rows_may_be_gone(
            hour,
            shift(gone, SignedDuration::from_secs(-1))
        ));
        let shortest = Retention::from_months(RETENTION_MONTHS_MIN).unwrap();
        assert!(gone < shortest.ends(hour));
    }
}
