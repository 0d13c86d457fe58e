//! The deadline until which AWS Marketplace accepts usage.
//!
//! Facts: M4, M5 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};

use crate::hour::{Month, UsageHour, shift};
use crate::limits::{MONTH_CLOSE_HOURS, WINDOW_HOURS_DEFAULT, WINDOW_HOURS_MAX};

/// The two rules that set a record's deadline: how old usage may be, and when its month closes.
///
/// AWS raised the age from 1 to 6 and then to 24 hours within a few years, so it is a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    max_age: SignedDuration,
}

/// The error for a window outside 3 to 744 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the window is {0} hours: it must be 3 to 744, so that an hour can end and settle within it"
)]
pub struct InvalidWindow(pub i64);

/// The fewest minutes that must remain between a record's sealing and its deadline. The limit is
/// this project's: a sweep comes every five minutes, and some fail.
const SEND_MINUTES_MIN: i64 = 60;

/// The error for a settle time after which records could not be sent in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a window of {window_hours} hours does not fit a settle time of {settle_minutes} minutes: an hour of usage takes 60 minutes, then it settles, then its records need {SEND_MINUTES_MIN} minutes to be sent; the window must be at least {window_hours_min} hours"
)]
pub struct SettleTooLong {
    /// The window, in hours.
    pub window_hours: i64,
    /// The settle time, in minutes.
    pub settle_minutes: i64,
    /// The shortest window that fits this settle time, in hours.
    pub window_hours_min: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            max_age: SignedDuration::from_hours(WINDOW_HOURS_DEFAULT),
        }
    }
}

impl Window {
    /// A window of this many hours, 3 to 744.
    pub fn from_hours(hours: i64) -> Result<Self, InvalidWindow> {
        if (3..=WINDOW_HOURS_MAX).contains(&hours) {
            Ok(Self {
                max_age: SignedDuration::from_hours(hours),
            })
        } else {
            Err(InvalidWindow(hours))
        }
    }

    /// The latest hour, not later than `from`, whose records have a deadline of `by` or earlier if
    /// they are stamped with the hour's start. A record of this hour with a later stamp may have a
    /// deadline after `by`. A record of an earlier hour cannot.
    pub fn latest_closed(self, from: UsageHour, by: Timestamp) -> UsageHour {
        let mut hour = from;
        // No window is longer than WINDOW_HOURS_MAX, which bounds the search.
        for _ in 0..=WINDOW_HOURS_MAX {
            if self.deadline(hour.start()) <= by {
                return hour;
            }
            hour = hour.previous();
        }
        hour
    }

    /// Checks that a record stamped with its hour's start can be sent in time, if its hour settles
    /// for `settle_minutes` after its end.
    pub fn check_settle(self, settle_minutes: i64) -> Result<(), SettleTooLong> {
        let needed = settle_minutes
            .saturating_add(60)
            .saturating_add(SEND_MINUTES_MIN);
        if needed <= self.max_age.as_mins() {
            return Ok(());
        }
        Err(SettleTooLong {
            window_hours: self.max_age.as_hours(),
            settle_minutes,
            window_hours_min: needed.saturating_add(59).saturating_div(60),
        })
    }

    /// The instant from which a record stamped `stamp` is not accepted any more: the window's
    /// length after the stamp, but at the latest 06:00 UTC on the 1st after its month.
    pub fn deadline(self, stamp: Timestamp) -> Timestamp {
        let month_close = shift(
            Month::of(stamp).end(),
            SignedDuration::from_hours(MONTH_CLOSE_HOURS),
        );
        shift(stamp, self.max_age).min(month_close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stamp: &str, deadline: &str) {
        assert_eq!(
            Window::default().deadline(stamp.parse().unwrap()),
            deadline.parse::<Timestamp>().unwrap(),
            "{stamp}"
        );
    }

    #[test]
    fn usage_is_accepted_for_a_day_but_not_past_the_months_close() {
        check("2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z");
        check("2026-11-30T05:59:59Z", "2026-12-01T05:59:59Z");
        check("2026-11-30T06:00:00Z", "2026-12-01T06:00:00Z");
        check("2026-11-30T23:00:00Z", "2026-12-01T06:00:00Z");
        check("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z");
        check("2028-02-29T12:00:00Z", "2028-03-01T06:00:00Z");
        check("2026-12-31T23:24:11Z", "2027-01-01T06:00:00Z");
    }

    /// Compares deadlines with the calendar: every hour around every month's end of twelve years,
    /// with leap days, under several windows.
    #[test]
    fn the_window_is_right_at_every_months_end() {
        use jiff::civil::date;
        use jiff::tz::TimeZone;
        let at = |year: i16, month: i8, hour: i8| {
            let first = date(year, month, 1).at(hour, 0, 0, 0);
            first.to_zoned(TimeZone::UTC).unwrap().timestamp()
        };
        for month in 0..12 * 12_i16 {
            let of = |n: i16| (2024 + n / 12, i8::try_from(n % 12 + 1).unwrap());
            let ((year, this), (next_year, next)) = (of(month), of(month + 1));
            let (begin, end) = (at(year, this, 0), at(next_year, next, 0));
            let closes = at(next_year, next, 6);
            for window in [3, 6, 24, 744] {
                let rule = Window::from_hours(window).unwrap();
                let mut stamp = end - SignedDuration::from_hours(window.min(600) + 7);
                while stamp < end {
                    let is_this_month = stamp >= begin;
                    let aged = stamp + SignedDuration::from_hours(window);
                    if is_this_month {
                        assert_eq!(rule.deadline(stamp), aged.min(closes), "{stamp} {window}");
                    }
                    stamp += SignedDuration::from_mins(30);
                }
            }
        }
    }

    /// Compares the search with all hours before it, for every half hour around a month's end and
    /// under several windows.
    #[test]
    fn no_stamp_before_the_latest_closed_hour_can_be_sent_any_more() {
        let hour = |text: &str| -> UsageHour { text.parse().unwrap() };
        for window in [3, 6, 24, 744] {
            let rule = Window::from_hours(window).unwrap();
            for from in hour("2026-11-29T12").through(hour("2026-12-01T12")) {
                let first = from.plus(-window - 24);
                for minutes in [0, 30] {
                    let by = shift(from.start(), SignedDuration::from_mins(minutes));
                    let found = Some(rule.latest_closed(from, by));
                    let is_closed = |hour: &UsageHour| rule.deadline(hour.start()) <= by;
                    let latest = first.through(from).filter(is_closed).last();
                    assert_eq!(found, latest, "{from} {by} {window}");
                    // A stamp can be as late as its hour's end.
                    let can_be_sent = |hour: &UsageHour| rule.deadline(hour.end()) > by;
                    let earliest = first.through(from).find(can_be_sent);
                    assert_eq!(found, earliest, "{from} {by} {window}");
                }
            }
        }
    }

    #[test]
    fn a_settle_time_must_leave_time_to_send() {
        let check = |window, settle| Window::from_hours(window).unwrap().check_settle(settle);
        for (window, settle) in [(3, 30), (3, 60), (6, 240), (24, 240)] {
            assert_eq!(check(window, settle), Ok(()), "{window} {settle}");
        }
        for (window, settle, least) in [(3, 61, 4), (5, 240, 6), (3, 240, 6)] {
            let refused = check(window, settle).unwrap_err();
            assert_eq!(refused.window_hours_min, least, "{refused}");
            assert_eq!(check(least, settle), Ok(()));
        }
    }

    #[test]
    fn a_window_that_is_too_short_is_refused() {
        assert_eq!(Window::from_hours(2), Err(InvalidWindow(2)));
        assert!(Window::from_hours(6).is_ok());
    }
}
