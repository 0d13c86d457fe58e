//! Witnesses, which show how far the history certainly reaches.
//!
//! CloudTrail documents only a typical delay, and promises neither completeness nor order. So
//! nothing is concluded from the absence of an event until the history shows a later one: a
//! *witness*. A witness is any call of BatchMeterUsage that was made when no call in question could
//! be made any more. A stack that meters usage soon has one. A stack without usage makes an empty
//! call for it.

use jiff::{SignedDuration, Timestamp};

use super::event::Call;
use super::{CLOCK_MARGIN_MINUTES, Period, minutes_after};
use crate::hour::shift;
use crate::limits::INVOCATION_MINUTES_MAX;
use crate::record::{MeteringRecord, State};

/// Hours after the last possible call, and hours before now, in which a witness is looked for. They
/// are more than a day, because a record may be judged again only after a day, and a witness that
/// was requested before must be found then. The number is this project's.
const SEARCH_HOURS: i64 = 26;

/// The latest call that a history shows.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    latest: Option<Timestamp>,
}

impl Witness {
    /// Takes a call into account, whatever its result was.
    pub(crate) fn add(&mut self, call: &Call) {
        self.latest = self.latest.max(Some(call.at));
    }

    /// Whether the latest call was made at `since` or later.
    pub(crate) fn is_at_or_after(&self, since: Timestamp) -> bool {
        self.latest.is_some_and(|latest| latest >= since)
    }
}

/// The time from which no call can carry a record any more. The submitter reads a record before it
/// sends it. So the last call begins within an invocation's time after the deadline, or after the
/// write that ended the sending.
pub(crate) fn calls_over_at(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    let outcome_at = record.outcome.as_ref().map_or(now, |outcome| outcome.at);
    let sent_until = match record.state {
        // A disputed record is not sent any more, even before its deadline.
        State::Disputed => outcome_at,
        _ => outcome_at.max(record.deadline),
    };
    minutes_after(
        sent_until,
        INVOCATION_MINUTES_MAX.saturating_add(CLOCK_MARGIN_MINUTES),
    )
}

/// The periods in which a witness is looked for: soon after `since`, and shortly before `now`. The
/// time between them is left out. Otherwise a record that waits for weeks would require reading
/// weeks.
pub(crate) fn periods_after(since: Timestamp, now: Timestamp) -> Vec<Period> {
    if since > now {
        return Vec::new();
    }
    let hours = SignedDuration::from_hours(SEARCH_HOURS);
    let early = Period {
        from: since,
        to: shift(since, hours).min(now),
    };
    let late = Period {
        from: shift(
            now,
            SignedDuration::from_hours(SEARCH_HOURS.saturating_neg()),
        )
        .max(since),
        to: now,
    };
    super::union(vec![early, late])
}
