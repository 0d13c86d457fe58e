//! Decides which timestamps may still be metered.
//!
//! Facts: M4, M5, M6, M32 (docs/marketplace-rules.md).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use thiserror::Error;

use crate::limits::MONTH_CLOSES_AT_HOUR;

/// Why a timestamp is out of bounds.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum OutOfBounds {
    #[error("is in the future: it is {now} now")]
    Future { now: Timestamp },
    #[error("is more than {hours} hours old: it is {now} now")]
    TooOld { hours: u32, now: Timestamp },
    #[error(
        "lies in a month that closed at {closed} (06:00 UTC on the first day of the next month)"
    )]
    MonthClosed { closed: Timestamp },
}

/// The greatest age of a timestamp, and whether months close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) hours: u32,
    pub(crate) month_end_rule: bool,
}

impl Window {
    /// Checks a timestamp. The present is accepted, and so is a timestamp that is exactly as old as
    /// the window allows.
    pub(crate) fn check(self, stamp: Timestamp, now: Timestamp) -> Result<(), OutOfBounds> {
        if stamp > now {
            return Err(OutOfBounds::Future { now });
        }
        let age_s = now.as_second() - stamp.as_second();
        if age_s > i64::from(self.hours) * 3_600 {
            let hours = self.hours;
            return Err(OutOfBounds::TooOld { hours, now });
        }
        match month_closes(stamp) {
            Some(closed) if self.month_end_rule && now >= closed => {
                Err(OutOfBounds::MonthClosed { closed })
            }
            _ => Ok(()),
        }
    }
}

/// The time at which the timestamp's month closes: 06:00 UTC on the first day of the next month.
fn month_closes(stamp: Timestamp) -> Option<Timestamp> {
    let date = Offset::UTC.to_datetime(stamp).date();
    let (year, month) = match date.month() {
        12 => (date.year().checked_add(1)?, 1),
        month => (date.year(), month + 1),
    };
    let first = Date::new(year, month, 1).ok()?;
    Offset::UTC
        .to_timestamp(first.at(MONTH_CLOSES_AT_HOUR, 0, 0, 0))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stamp: &str, now: &str, accepted: bool) {
        let window = Window {
            hours: 24,
            month_end_rule: true,
        };
        let read = |text: &str| text.parse::<Timestamp>().expect("a timestamp");
        let checked = window.check(read(stamp), read(now));
        assert_eq!(checked.is_ok(), accepted, "{stamp} at {now}: {checked:?}");
    }

    #[test]
    fn usage_of_exactly_24_hours_ago_is_accepted_and_a_second_more_is_not() {
        check("2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z", true);
        check("2026-11-20T11:59:59Z", "2026-11-21T12:00:00Z", false);
    }

    #[test]
    fn usage_of_the_future_is_refused() {
        check("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z", true);
        check("2026-11-21T12:00:01Z", "2026-11-21T12:00:00Z", false);
    }

    #[test]
    fn the_previous_month_closes_at_six_on_the_first() {
        check("2026-11-30T23:00:00Z", "2026-12-01T05:59:59Z", true);
        check("2026-11-30T23:00:00Z", "2026-12-01T06:00:00Z", false);
        check("2026-12-31T23:59:59Z", "2027-01-01T05:59:59Z", true);
        check("2026-12-31T23:59:59Z", "2027-01-01T06:00:00Z", false);
        check("2026-12-01T00:00:00Z", "2026-12-01T07:00:00Z", true);
    }
}
