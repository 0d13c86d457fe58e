//! How far the history certainly reaches.
//!
//! CloudTrail says when an event is typically there, and promises neither completeness nor order. So
//! nothing follows from what a history does not show until it shows something later: a *witness*, any
//! call of BatchMeterUsage that was made when no call in question could be made any more. A stack
//! that makes calls has one soon; a quiet one makes an empty call for it.

use jiff::{SignedDuration, Timestamp};

use super::event::Call;
use super::{CLOCK_MARGIN_MINUTES, Span, minutes_after};
use crate::hour::shift;
use crate::limits::INVOCATION_MINUTES_MAX;
use crate::record::{MeteringRecord, State};

/// Hours after the last possible call, and before now, in which a witness is looked for. More than a
/// day, so that a witness called for by the last look is found by the next. Ours.
const SPAN_HOURS: i64 = 26;

/// The latest call that a history shows.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    latest: Option<Timestamp>,
}

impl Witness {
    /// Shows it a call, whatever became of that.
    pub(crate) fn see(&mut self, call: &Call) {
        self.latest = self.latest.max(Some(call.at));
    }

    /// Whether there is a witness from `since` or later.
    pub(crate) fn is_from(&self, since: Timestamp) -> bool {
        self.latest.is_some_and(|latest| latest >= since)
    }
}

/// From when on no call can carry a record any more. It is read before it is sent, so the last call
/// begins at most an invocation after the write that made it unsendable, or after its deadline.
pub(crate) fn quiet_at(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    let last_word = record.outcome.as_ref().map_or(now, |outcome| outcome.at);
    let last = match record.state {
        // Not sent any more, long before its deadline.
        State::Disputed => last_word,
        _ => last_word.max(record.deadline),
    };
    minutes_after(
        last,
        INVOCATION_MINUTES_MAX.saturating_add(CLOCK_MARGIN_MINUTES),
    )
}

/// Where a witness is looked for: soon after it can be one, and in the time before now. A record that
/// waits for weeks must not cost the reading of weeks.
pub(crate) fn spans_after(quiet_at: Timestamp, now: Timestamp) -> Vec<Span> {
    if quiet_at > now {
        return Vec::new();
    }
    let hours = SignedDuration::from_hours(SPAN_HOURS);
    let early = Span {
        from: quiet_at,
        to: shift(quiet_at, hours).min(now),
    };
    let late = Span {
        from: shift(now, SignedDuration::from_hours(SPAN_HOURS.saturating_neg())).max(quiet_at),
        to: now,
    };
    super::union(vec![early, late])
}
