//! Where late usage goes: into an hour that is still open, or on hold.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::hour::{UsageHour, shift};
use crate::ids::InvalidId;
use crate::recount::MovementKind;
use crate::schedule::{FINAL_SETTLE_MINUTES, Schedule};

/// What to do with late usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LatePolicy {
    /// Bill it with an hour that is still open, in the same month.
    #[default]
    Carry,
    /// Keep it for a person to decide.
    Hold,
}

impl FromStr for LatePolicy {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "carry" => Ok(Self::Carry),
            "hold" => Ok(Self::Hold),
            _ => Err(InvalidId::new("late policy", text, "carry or hold")),
        }
    }
}

/// When an ending subscription's own last hour is sealed.
pub fn final_due(ended_at: Timestamp) -> Timestamp {
    shift(ended_at, SignedDuration::from_mins(FINAL_SETTLE_MINUTES))
}

/// Where late usage of `origin` goes.
///
/// `watermark` is the latest hour that may have been read for sealing. `ended_at` is the first sign
/// of the subscription's end: after it only the hour of that end is open, until it is sealed.
pub fn destination(
    policy: LatePolicy,
    schedule: Schedule,
    origin: UsageHour,
    watermark: UsageHour,
    ended_at: Option<Timestamp>,
    now: Timestamp,
) -> MovementKind {
    if policy == LatePolicy::Hold {
        return MovementKind::Held;
    }
    let Some(target) = schedule.carry_target(origin, watermark, now) else {
        return MovementKind::Held;
    };
    let Some(ended_at) = ended_at else {
        return MovementKind::Carried { target, into: None };
    };
    let last = UsageHour::of(ended_at);
    let target = target.min(last);
    let open = target > origin && target > watermark && now < final_due(ended_at);
    if open && target.month() == origin.month() {
        MovementKind::Carried { target, into: None }
    } else {
        MovementKind::Held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: &str, ended_at: Option<&str>, now: &str, expected: Option<&str>) {
        let schedule = Schedule::default();
        let now: Timestamp = now.parse().unwrap();
        let ended_at = ended_at.map(|e| e.parse().unwrap());
        let got = destination(
            LatePolicy::Carry,
            schedule,
            origin.parse().unwrap(),
            schedule.latest_due(now),
            ended_at,
            now,
        );
        let expected = expected.map_or(MovementKind::Held, |target| MovementKind::Carried {
            target: target.parse().unwrap(),
            into: None,
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn late_usage_of_a_live_subscription_goes_into_the_running_hour() {
        check(
            "2026-11-21T02",
            None,
            "2026-11-21T07:10:00Z",
            Some("2026-11-21T07"),
        );
    }

    #[test]
    fn late_usage_of_an_ending_subscription_goes_into_its_last_hour_while_that_is_open() {
        let ended = Some("2026-11-21T06:50:00Z");
        check(
            "2026-11-21T02",
            ended,
            "2026-11-21T06:55:00Z",
            Some("2026-11-21T06"),
        );
        check(
            "2026-11-21T02",
            ended,
            "2026-11-21T07:09:59Z",
            Some("2026-11-21T06"),
        );
        check("2026-11-21T02", ended, "2026-11-21T07:10:00Z", None);
        check("2026-11-21T06", ended, "2026-11-21T07:05:00Z", None);
    }

    #[test]
    fn policies_are_read_by_name() {
        assert_eq!("carry".parse(), Ok(LatePolicy::Carry));
        assert_eq!("hold".parse(), Ok(LatePolicy::Hold));
        assert!("Carry".parse::<LatePolicy>().is_err());
    }

    #[test]
    fn an_ending_subscriptions_last_hour_is_closed_once_the_watermark_has_it() {
        let hour = |text: &str| text.parse::<UsageHour>().unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let to = |watermark: &str| {
            destination(
                LatePolicy::Carry,
                Schedule::default(),
                hour("2026-11-21T02"),
                hour(watermark),
                Some(time("2026-11-21T06:50:00Z")),
                time("2026-11-21T07:05:00Z"),
            )
        };
        let carried = MovementKind::Carried {
            target: hour("2026-11-21T06"),
            into: None,
        };
        assert_eq!(to("2026-11-21T05"), carried);
        assert_eq!(to("2026-11-21T06"), MovementKind::Held);
    }
}
