//! Usage hours and months in UTC. AWS Marketplace de-duplicates by hour and closes by month.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::ids::InvalidId;

const SECONDS_PER_HOUR: i64 = 3_600;
const HOURS_PER_DAY: i64 = 24;
/// Bytes of an hour's text before the hour of the day.
const DAY_BYTES: usize = "2026-11-21T".len();
/// The latest hour, 9999-12-30T00. It keeps every sum in this module in range.
const HOURS_MAX: i64 = 70_389_000;

/// One hour of usage, as hours since the epoch in UTC. Prints as `2026-11-21T02`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageHour(i64);

impl UsageHour {
    /// The hour that contains `time`. A time outside 1970 to 9999 gives the nearest hour in that
    /// range.
    pub fn of(time: Timestamp) -> Self {
        Self(
            time.as_second()
                .div_euclid(SECONDS_PER_HOUR)
                .clamp(0, HOURS_MAX),
        )
    }

    /// The first instant of the hour.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(SECONDS_PER_HOUR)).unwrap_or(Timestamp::MAX)
    }

    /// The first instant after the hour.
    pub fn end(self) -> Timestamp {
        self.plus(1).start()
    }

    /// The hour that is `hours` later, or earlier if negative.
    pub fn plus(self, hours: i64) -> Self {
        Self(
            self.0
                .saturating_add(hours)
                .clamp(0, HOURS_MAX.saturating_add(1)),
        )
    }

    /// The hour before this one.
    pub fn previous(self) -> Self {
        self.plus(-1)
    }

    /// The hour after this one.
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Hours from `earlier` to this hour; negative if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The hours from this one to `last`, both included; none if `last` is earlier.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    /// The hours from this one to `last`, grouped by day in UTC: the first and the last hour of
    /// each day, both included.
    pub fn through_days(self, last: Self) -> impl Iterator<Item = (Self, Self)> {
        let mut next = self.0;
        std::iter::from_fn(move || {
            let first = next;
            if first > last.0 {
                return None;
            }
            let left_of_day = HOURS_PER_DAY
                .saturating_sub(1)
                .saturating_sub(first.rem_euclid(HOURS_PER_DAY));
            let end = first.saturating_add(left_of_day).min(last.0);
            next = end.saturating_add(1);
            Some((Self(first), Self(end)))
        })
    }

    /// The text that all hours of the same day begin with, such as `2026-11-21T`.
    pub fn day(self) -> String {
        let mut day = self.to_string();
        day.truncate(DAY_BYTES);
        day
    }

    /// The calendar month of the hour.
    pub fn month(self) -> Month {
        Month::of(self.start())
    }

    /// Whether `time` lies in this hour.
    pub fn contains(self, time: Timestamp) -> bool {
        self.start() <= time && time < self.end()
    }

    /// Hours since the epoch.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for UsageHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from(utc(self.start()));
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}",
            at.year(),
            at.month(),
            at.day(),
            at.hour()
        )
    }
}

impl fmt::Debug for UsageHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UsageHour {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || {
            InvalidId::new(
                "hour",
                text,
                "YYYY-MM-DDThh in UTC, 1970 to 9999, as in 2026-11-21T02",
            )
        };
        let digits = |range: std::ops::Range<usize>| {
            let part = text.get(range)?;
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse::<i16>().ok())?
        };
        let separators = text.len() == 13
            && [(4, b'-'), (7, b'-'), (10, b'T')]
                .iter()
                .all(|(at, byte)| text.as_bytes().get(*at) == Some(byte));
        if !separators {
            return Err(invalid());
        }
        let read = || {
            let year = digits(0..4)?;
            let small = |range| digits(range).and_then(|n| i8::try_from(n).ok());
            let at =
                DateTime::new(year, small(5..7)?, small(8..10)?, small(11..13)?, 0, 0, 0).ok()?;
            let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
            let hour = at.as_second().checked_div(SECONDS_PER_HOUR)?;
            (0..=HOURS_MAX).contains(&hour).then_some(Self(hour))
        };
        read().ok_or_else(invalid)
    }
}

/// A calendar month in UTC, the period of one AWS bill. Prints as `2026-11`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that contains `time`.
    pub fn of(time: Timestamp) -> Self {
        let at = utc(time);
        Self {
            year: at.year(),
            month: at.month(),
        }
    }

    /// The first instant of the month.
    pub fn start(self) -> Timestamp {
        Date::new(self.year, self.month, 1)
            .and_then(|day| day.to_zoned(TimeZone::UTC))
            .map_or(Timestamp::MAX, |at| at.timestamp())
    }

    /// The first instant after the month.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The month after this one.
    pub fn next(self) -> Self {
        if self.month >= 12 {
            Self {
                year: self.year.saturating_add(1),
                month: 1,
            }
        } else {
            Self {
                year: self.year,
                month: self.month.saturating_add(1),
            }
        }
    }

    /// The first hour of the month.
    pub fn first_hour(self) -> UsageHour {
        UsageHour::of(self.start())
    }

    /// The last hour of the month.
    pub fn last_hour(self) -> UsageHour {
        UsageHour::of(self.end()).previous()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        format!("{text}-01T00")
            .parse::<UsageHour>()
            .map(UsageHour::month)
            .map_err(|_| InvalidId::new("month", text, "YYYY-MM, as in 2026-11"))
    }
}

/// `time` plus `by`. A result outside the representable range becomes the nearest end of that
/// range.
pub fn shift(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

fn utc(time: Timestamp) -> jiff::Zoned {
    time.to_zoned(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hours_are_read_only_in_their_own_form() {
        for text in [
            "2026-11-21T02",
            "2024-02-29T23",
            "1970-01-01T00",
            "2100-12-31T23",
        ] {
            assert_eq!(text.parse::<UsageHour>().unwrap().to_string(), text);
        }
        for text in [
            "2026-11-21T24",
            "2026-02-29T00",
            "2026-11-21",
            "2026-11-21T2",
            "2026-11-21T02Z",
            "2026-11-21 02",
            "+026-11-21T02",
            "1969-12-31T23",
            "",
        ] {
            assert!(text.parse::<UsageHour>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_end_where_the_next_begins() {
        for (month, last) in [
            ("2026-11", "2026-11-30T23"),
            ("2026-12", "2026-12-31T23"),
            ("2028-02", "2028-02-29T23"),
        ] {
            let month: Month = month.parse().unwrap();
            assert_eq!(month.last_hour().to_string(), last);
            assert_eq!(month.last_hour().next(), month.next().first_hour());
        }
        assert!("2026-13".parse::<Month>().is_err());
    }

    proptest! {
        #[test]
        fn an_hour_contains_its_times_and_survives_its_text(second in 0i64..250_000_000_000) {
            let time = Timestamp::from_second(second).unwrap();
            let hour = UsageHour::of(time);
            prop_assert!(hour.contains(time));
            prop_assert!(!hour.next().contains(time));
            prop_assert_eq!(hour.to_string().parse::<UsageHour>().unwrap(), hour);
        }
    }

    #[test]
    fn days_are_cut_at_midnight_in_utc() {
        let hour = |text: &str| text.parse::<UsageHour>().unwrap();
        let days = |first, last| -> Vec<String> {
            hour(first)
                .through_days(hour(last))
                .map(|(first, last)| format!("{first} {last}"))
                .collect()
        };
        assert_eq!(
            days("2026-11-29T22", "2026-12-01T00"),
            [
                "2026-11-29T22 2026-11-29T23",
                "2026-11-30T00 2026-11-30T23",
                "2026-12-01T00 2026-12-01T00",
            ]
        );
        assert_eq!(
            days("2026-11-29T05", "2026-11-29T07"),
            ["2026-11-29T05 2026-11-29T07"]
        );
        assert!(days("2026-11-29T05", "2026-11-29T04").is_empty());
        assert_eq!(hour("2026-11-29T05").day(), "2026-11-29T");
    }

    proptest! {
        #[test]
        fn days_have_the_same_hours(first in 0..=HOURS_MAX, hours in 0i64..800) {
            let first = UsageHour(first);
            let last = first.plus(hours);
            let by_day: Vec<UsageHour> = first
                .through_days(last)
                .flat_map(|(begin, end)| begin.through(end).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(by_day, first.through(last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn hours_between_and_through() {
        let hour = |text: &str| text.parse::<UsageHour>().unwrap();
        let (first, last) = (hour("2026-11-30T22"), hour("2026-12-01T01"));
        assert_eq!((last.since(first), first.since(last)), (3, -3));
        let all: Vec<String> = first.through(last).map(|h| h.to_string()).collect();
        assert_eq!(
            all,
            [
                "2026-11-30T22",
                "2026-11-30T23",
                "2026-12-01T00",
                "2026-12-01T01"
            ]
        );
        assert_eq!(last.through(first).count(), 0);
        assert_eq!(
            format!("{first:?} {:?}", last.month()),
            "2026-11-30T22 2026-12"
        );
        assert_eq!(first.month().to_string(), "2026-11");
    }
}
