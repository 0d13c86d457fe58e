//! The schedule of sealing: when each hour is due, and which hour takes late usage.

use jiff::{SignedDuration, Timestamp};

use crate::hour::{Month, UsageHour, shift};

/// The rule for the times at which hours are due to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    settle: SignedDuration,
}

/// Hours after a month's end at which its last hour, the catch hour for late usage, is sealed: one
/// hour before AWS Marketplace closes the month.
const MONTH_CATCH_HOURS: i64 = 5;

/// When a month's catch hour is sealed at the earliest. Usage of the month that comes later cannot
/// be billed any more.
pub fn catch_due(month: Month) -> Timestamp {
    catch_due_after(month.end())
}

fn catch_due_after(month_end: Timestamp) -> Timestamp {
    shift(month_end, SignedDuration::from_hours(MONTH_CATCH_HOURS))
}

/// The first hour of the earliest month whose catch hour is not sealed yet.
pub fn first_open_hour(now: Timestamp) -> UsageHour {
    let open_since = shift(
        now,
        SignedDuration::from_hours(MONTH_CATCH_HOURS.saturating_neg()),
    );
    UsageHour::of(open_since).month().first_hour()
}

/// Minutes after a sign of an agreement's end at which the hour of that sign is sealed, even if it
/// is not over. AWS Marketplace accepts usage for an hour after the end.
pub const FINAL_SETTLE_MINUTES: i64 = 20;

/// Hours after the announcement of an end after which the end is certain without the license's
/// removal.
pub const END_PATIENCE_HOURS: i64 = 26;

/// The error for a settle time outside 0 to 240 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the settle time is {0} minutes: it must be 0 to 240, so that a month's last hour is sealed in time"
)]
pub struct InvalidSettleTime(pub i64);

impl Default for Schedule {
    fn default() -> Self {
        Self {
            settle: SignedDuration::from_mins(30),
        }
    }
}

impl Schedule {
    /// A schedule in which hours settle for this many minutes after their end, 0 to 240.
    pub fn with_settle_minutes(minutes: i64) -> Result<Self, InvalidSettleTime> {
        if (0..=240).contains(&minutes) {
            Ok(Self {
                settle: SignedDuration::from_mins(minutes),
            })
        } else {
            Err(InvalidSettleTime(minutes))
        }
    }

    /// When `hour` is due. A month's last hour waits until 05:00 UTC on the 1st, so that it can
    /// take late usage. The new month's first hours wait too, because hours are sealed in order.
    pub fn due(self, hour: UsageHour) -> Timestamp {
        let settled = shift(hour.end(), self.settle);
        let month = hour.month();
        if hour == month.last_hour() {
            settled.max(catch_due(month))
        } else {
            settled.max(catch_due_after(month.start()))
        }
    }

    /// The latest hour that is due at `now`. The watermark is raised to it.
    pub fn latest_due(self, now: Timestamp) -> UsageHour {
        // Hours are due in order, so the first due hour backwards from now is the latest. No hour
        // waits longer than a month's last hour, so MONTH_CATCH_HOURS bounds the search.
        let mut hour = UsageHour::of(now);
        for _ in 0..MONTH_CATCH_HOURS.saturating_add(5) {
            if self.due(hour) <= now {
                return hour;
            }
            hour = hour.previous();
        }
        hour
    }

    /// The hour that takes late usage of `origin` at `now`; `None` if there is none. It is the
    /// running hour, or the last hour of a past month until that hour is sealed. It lies in the
    /// origin's month. It is later than the origin, and later than `watermark`, because hours
    /// through the watermark may have been read already.
    pub fn carry_target(
        self,
        origin: UsageHour,
        watermark: UsageHour,
        now: Timestamp,
    ) -> Option<UsageHour> {
        let running = UsageHour::of(now);
        let same_month = running.month() == origin.month();
        let target = if same_month {
            running
        } else {
            origin.month().last_hour()
        };
        let open =
            target > origin && target > watermark && target <= running && now < self.due(target);
        open.then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> UsageHour {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_hour_is_due_when_it_has_settled() {
        let schedule = Schedule::default();
        assert_eq!(
            schedule.due(hour("2026-11-21T02")),
            at("2026-11-21T03:30:00Z")
        );
        assert_eq!(
            schedule.latest_due(at("2026-11-21T03:29:59Z")),
            hour("2026-11-21T01")
        );
        assert_eq!(
            schedule.latest_due(at("2026-11-21T03:30:00Z")),
            hour("2026-11-21T02")
        );
    }

    #[test]
    fn a_months_last_hour_and_those_behind_it_wait_until_five() {
        let schedule = Schedule::default();
        assert_eq!(
            schedule.latest_due(at("2026-12-01T00:29:59Z")),
            hour("2026-11-30T22")
        );
        assert_eq!(
            schedule.latest_due(at("2026-12-01T04:59:59Z")),
            hour("2026-11-30T22")
        );
        assert_eq!(
            schedule.latest_due(at("2026-12-01T05:00:00Z")),
            hour("2026-12-01T03")
        );
        assert_eq!(
            schedule.latest_due(at("2026-12-01T05:30:00Z")),
            hour("2026-12-01T04")
        );
    }

    #[test]
    fn due_times_never_decrease() {
        for settle in [0, 30, 240] {
            let schedule = Schedule::with_settle_minutes(settle).unwrap();
            for hour in hour("2026-10-31T00").through(hour("2026-11-02T00")) {
                assert!(schedule.due(hour) <= schedule.due(hour.next()), "{hour}");
                assert!(schedule.latest_due(schedule.due(hour)) >= hour, "{hour}");
                let before = shift(schedule.due(hour), SignedDuration::from_secs(-1));
                assert!(schedule.latest_due(before) < hour, "{hour}");
            }
        }
    }

    #[test]
    fn late_usage_goes_into_an_hour_that_is_not_sealed_yet() {
        let schedule = Schedule::default();
        let target = |origin: &str, now: &str| {
            schedule
                .carry_target(hour(origin), schedule.latest_due(at(now)), at(now))
                .map(|h| h.to_string())
        };
        assert_eq!(
            target("2026-11-21T02", "2026-11-21T04:10:00Z").as_deref(),
            Some("2026-11-21T04")
        );
        assert_eq!(
            target("2026-11-30T20", "2026-12-01T03:10:00Z").as_deref(),
            Some("2026-11-30T23")
        );
        assert_eq!(target("2026-11-30T20", "2026-12-01T05:00:00Z"), None);
        assert_eq!(target("2026-11-30T23", "2026-12-01T03:10:00Z"), None);
        assert_eq!(target("2026-10-30T20", "2026-11-21T04:10:00Z"), None);
    }

    #[test]
    fn an_hour_that_may_have_been_read_or_is_due_takes_nothing_more() {
        let schedule = Schedule::default();
        let target = |watermark: &str, now: &str| {
            schedule.carry_target(hour("2026-11-30T20"), hour(watermark), at(now))
        };
        let last = Some(hour("2026-11-30T23"));
        assert_eq!(target("2026-11-30T22", "2026-12-01T04:59:59Z"), last);
        assert_eq!(target("2026-11-30T23", "2026-12-01T04:59:59Z"), None);
        assert_eq!(target("2026-11-30T22", "2026-12-01T05:00:00Z"), None);
    }

    #[test]
    fn hours_settle_for_as_long_as_is_set_up_to_four_hours() {
        let due =
            |minutes| Schedule::with_settle_minutes(minutes).map(|s| s.due(hour("2026-11-21T02")));
        assert_eq!(due(0), Ok(at("2026-11-21T03:00:00Z")));
        assert_eq!(due(240), Ok(at("2026-11-21T07:00:00Z")));
        assert_eq!(due(-1), Err(InvalidSettleTime(-1)));
        assert_eq!(due(241), Err(InvalidSettleTime(241)));
    }
}
