//! A month, and when it closes.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::limits::MONTH_CLOSES_AT_HOUR;

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Month {
    pub(crate) year: i16,
    pub(crate) month: i8,
}

impl Month {
    pub(crate) fn of(moment: Timestamp) -> Month {
        let date = Offset::UTC.to_datetime(moment).date();
        Month {
            year: date.year(),
            month: date.month(),
        }
    }

    /// Reads a month such as `2026-11`.
    pub(crate) fn parse(text: &str) -> Option<Month> {
        let (year, month) = text.split_once('-')?;
        let month = Month {
            year: year.parse().ok()?,
            month: month.parse().ok()?,
        };
        Date::new(month.year, month.month, 1)
            .is_ok()
            .then_some(month)
    }

    /// The time at which the month's metering closes and its invoices are issued: 06:00 UTC on the
    /// 1st.
    pub(crate) fn closes(self) -> Option<Timestamp> {
        let (year, month) = match self.month {
            12 => (self.year.checked_add(1)?, 1),
            month => (self.year, month + 1),
        };
        let first = Date::new(year, month, 1).ok()?;
        Offset::UTC
            .to_timestamp(first.at(MONTH_CLOSES_AT_HOUR, 0, 0, 0))
            .ok()
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}
