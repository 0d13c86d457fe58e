//! Draws conclusions from CloudTrail's events about metering records.
//!
//! BatchMeterUsage has no read operation. CloudTrail's events of the account and Region are the
//! only way to read back the metered usage. The Event history shows them, and a trail writes the
//! same events to S3; below, "the history" means either source. This module reads events and draws
//! conclusions. It makes no call. Its conclusions do not depend on the order of the events, or on
//! repeated events.
//!
//! # Layout
//! * [`event`]: reads the text of one event, tolerantly but without guessing
//! * [`inquiry`]: what the events of a completely read period prove about a frozen record
//! * [`comparison`]: compares records with events: matched, missing, unknown, different
//!
//! # What may be concluded, and why it is safe
//! A record is *billed* if a call was answered with Success for its slot and quantity. No other
//! event changes that. A record is in *conflict* if a Success of its slot has another quantity,
//! because AWS Marketplace keeps the first one. A record is *not billed* only if nothing in the
//! period can have recorded it: every event of the period was read, none is truncated, and each
//! call that names the slot certainly recorded nothing. In all other cases the record is doubtful.
//! A doubtful record stays held and is reported.
//!
//! The period begins with the record's hour, because nobody can meter an hour before it has begun.
//! It ends when the last call that can have carried the record is over. Something is concluded from
//! the *absence* of an event only if three conditions are met. CloudTrail's usual delay has passed
//! after the end of the period. A *witness* shows that the history reaches beyond the period
//! (`witness`). The history has at least as many calls for the record as were made without a clear
//! answer.
//!
//! The stack keeps requests of several records below the size at which CloudTrail cuts an event
//! off. So an event of this stack that is cut off has one record, and that record is larger than
//! the limit. The event makes only records of that size doubtful.
//!
//! # Races and crash points
//! * *A call is under way while the record is judged.* A record is judged unbilled an hour after
//!   the later of its deadline and the write that made it Unconfirmed. The submitter reads a record
//!   before it sends it, and an invocation lasts 15 minutes at most. So every call that can carry
//!   the record ends within 15 minutes after that write, and it is in the history 20 minutes later.
//! * *A function with a slow clock makes a call.* The same argument holds, because the record's
//!   state, not its deadline, stops it from being sent, and the state is read strongly consistent
//!   before each call.
//! * *A success is found while another writer changes the record.* A success is written whatever
//!   the version is. Every other conclusion depends on the version that was read before the
//!   history.
//! * *A crash between the late flag and the state Expired.* The flag comes first. Its recount finds
//!   that the record still counts the usage it holds, so the difference is zero, and the next audit
//!   concludes the same again. The other order would leave an Expired record whose usage nobody
//!   carries.
//! * *A crash between two records.* Each record has a conclusion of its own. Records without one
//!   are still due.
//! * *A crash while the history is read.* Nothing is concluded from a period that was not read to
//!   its end.
//! * *A success appears after its record was concluded to be unbilled.* Such a record is compared
//!   again a day and three days later. A success that is found then is written even if the usage
//!   was carried meanwhile. Then the books show the usage as over-metered.
//! * *DuplicateRecord, and no call explains it.* A call that this Region's history does not show
//!   has recorded the slot, so nothing is inferred and the record stays Disputed.

pub mod comparison;
pub mod event;
mod finding;
pub mod inquiry;
mod printed_time;
mod witness;

use jiff::{SignedDuration, Timestamp};

use crate::hour::shift;
use crate::limits::{
    CLOUDTRAIL_DELAY_MINUTES, CLOUDTRAIL_HISTORY_DAYS, INVOCATION_MINUTES_MAX, TRAIL_DAYS_MAX,
};
use crate::record::{MeteringRecord, State};

pub use comparison::{Comparison, Counts, Difference, DifferenceKind};
pub use event::{Call, Event};
pub use inquiry::{Doubt, Finding, Inquiry, conflict_text};

/// Minutes by which clocks may differ. Periods are widened by it at both ends. The number is this
/// project's.
pub const CLOCK_MARGIN_MINUTES: i64 = 5;
/// Minutes after which an unconfirmed record can be judged. They begin at its deadline, or when it
/// became unconfirmed if that is later.
pub const UNCONFIRMED_WAIT_MINUTES: i64 = 60;
/// Hours after which a record that could not be judged is judged again, if its hour is younger than
/// [`DAILY_AFTER_HOURS`].
const RETRY_HOURS: i64 = 1;
/// Hours after which a record that was concluded to be unbilled is compared with the history again,
/// twice, to find events that were late. The numbers are this project's.
const SECOND_LOOKS_HOURS: [i64; 2] = [24, 72];
/// Minutes after the audit's request in which a witness can appear: until the submitter's next
/// sweep, and CloudTrail's usual delay after it.
const WITNESS_MINUTES: i64 = 30;
/// The age of an hour, in hours, from which its records that could not be judged are judged again
/// only once a day.
const DAILY_AFTER_HOURS: i64 = 48;

// Every call that can carry a record is over and in the history when the record is judged unbilled.
const _: () = assert!(
    INVOCATION_MINUTES_MAX + CLOUDTRAIL_DELAY_MINUTES + 2 * CLOCK_MARGIN_MINUTES
        < UNCONFIRMED_WAIT_MINUTES
);

/// Where CloudTrail's events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The Event history of the account and Region.
    EventHistory,
    /// The files that a trail writes to S3.
    Trail,
}

impl Source {
    /// How many days back events are read from this source.
    pub fn reach_days(self) -> i64 {
        match self {
            Self::EventHistory => CLOUDTRAIL_HISTORY_DAYS,
            Self::Trail => TRAIL_DAYS_MAX,
        }
    }

    /// The earliest time whose events are read from this source at `now`.
    pub fn oldest(self, now: Timestamp) -> Timestamp {
        let hours = self.reach_days().saturating_mul(-24);
        shift(now, SignedDuration::from_hours(hours))
    }
}

/// A period of time. Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// The first instant of the period.
    pub from: Timestamp,
    /// The last instant of the period.
    pub to: Timestamp,
}

impl Period {
    /// The period of one instant.
    pub fn at(at: Timestamp) -> Self {
        Self { from: at, to: at }
    }

    /// Whether both periods have an instant in common.
    pub fn overlaps(&self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// Whether `at` lies in the period.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// When the audit judges or compares a record that became `state` at `now`; `None` for states that
/// need no audit.
pub fn due(state: State, deadline: Timestamp, now: Timestamp) -> Option<Timestamp> {
    match state {
        State::Disputed => Some(minutes_after(now, CLOUDTRAIL_DELAY_MINUTES)),
        State::Unconfirmed => Some(minutes_after(now.max(deadline), UNCONFIRMED_WAIT_MINUTES)),
        State::Expired | State::Moved => second_look(now, now),
        _ => None,
    }
}

/// When a record that was concluded to be unbilled at `concluded_at` is compared with the history
/// again, later than `now`; `None` after the last time.
pub fn second_look(concluded_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    SECOND_LOOKS_HOURS
        .into_iter()
        .map(|hours| shift(concluded_at, SignedDuration::from_hours(hours)))
        .find(|look| *look > now)
}

/// Whether the events of the record's whole period are still read from the source at `now`.
/// Otherwise nothing can be concluded from the absence of an event.
pub fn reaches_back_to(record: &MeteringRecord, source: Source, now: Timestamp) -> bool {
    period_of(record, now).from >= source.oldest(now)
}

/// When a record that could not be judged at `now` is judged again: hourly, later daily; `None` if
/// the source will not reach back to its period any more by then.
pub fn next_look(record: &MeteringRecord, source: Source, now: Timestamp) -> Option<Timestamp> {
    let age = now.duration_since(record.slot.hour.start());
    let hours = if age < SignedDuration::from_hours(DAILY_AFTER_HOURS) {
        RETRY_HOURS
    } else {
        24
    };
    let next = shift(now, SignedDuration::from_hours(hours));
    reaches_back_to(record, source, next).then_some(next)
}

/// When a record that waits for a witness is judged again, if the witness is requested at `now`.
pub fn next_look_for_witness(
    record: &MeteringRecord,
    source: Source,
    now: Timestamp,
) -> Option<Timestamp> {
    next_look(record, source, now).map(|next| next.min(minutes_after(now, WITNESS_MINUTES)))
}

/// The time from which every call that can carry a record is over and in the history.
pub(crate) fn calls_shown_at(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    let outcome_at = record.outcome.as_ref().map_or(now, |outcome| outcome.at);
    minutes_after(outcome_at.max(record.deadline), UNCONFIRMED_WAIT_MINUTES)
}

/// The period of the calls that can prove something about a record, up to `now`.
pub fn period_of(record: &MeteringRecord, now: Timestamp) -> Period {
    let end = calls_shown_at(record, now);
    let from = minutes_after(
        record.slot.hour.start(),
        CLOCK_MARGIN_MINUTES.saturating_neg(),
    );
    Period {
        from,
        to: end.min(now).max(from),
    }
}

/// Joins periods that overlap or touch. The result is sorted by time and covers the same instants.
pub fn union(mut periods: Vec<Period>) -> Vec<Period> {
    periods.sort();
    let mut joined: Vec<Period> = Vec::new();
    for period in periods {
        match joined.last_mut() {
            Some(last) if period.from <= last.to => last.to = last.to.max(period.to),
            _ => joined.push(period),
        }
    }
    joined
}

pub(crate) fn minutes_after(time: Timestamp, minutes: i64) -> Timestamp {
    shift(time, SignedDuration::from_mins(minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_dispute_is_judged_when_the_history_has_caught_up_and_a_silence_an_hour_after_the_deadline()
    {
        let (deadline, now) = (at("2026-11-22T10:00:00Z"), at("2026-11-22T08:00:00Z"));
        assert_eq!(
            due(State::Disputed, deadline, now),
            Some(at("2026-11-22T08:20:00Z"))
        );
        assert_eq!(
            due(State::Unconfirmed, deadline, at("2026-11-22T10:00:00Z")),
            Some(at("2026-11-22T11:00:00Z"))
        );
        // The record became Unconfirmed late, and a call at that moment may record it.
        assert_eq!(
            due(State::Unconfirmed, deadline, at("2026-11-22T13:00:00Z")),
            Some(at("2026-11-22T14:00:00Z"))
        );
        assert_eq!(due(State::Accepted, deadline, now), None);
        for state in [State::Expired, State::Moved] {
            assert_eq!(due(state, deadline, now), Some(at("2026-11-23T08:00:00Z")));
        }
        assert_eq!(
            second_look(now, at("2026-11-23T08:00:00Z")),
            Some(at("2026-11-25T08:00:00Z"))
        );
        assert_eq!(second_look(now, at("2026-11-25T08:00:00Z")), None);
    }

    #[test]
    fn periods_that_overlap_are_read_once() {
        let period = |from: &str, to: &str| Period {
            from: at(&format!("2026-11-21T{from}:00Z")),
            to: at(&format!("2026-11-21T{to}:00Z")),
        };
        assert_eq!(
            union(vec![
                period("09:00", "10:00"),
                period("02:00", "03:00"),
                period("09:30", "09:40"),
                period("10:00", "11:00"),
            ]),
            vec![period("02:00", "03:00"), period("09:00", "11:00")]
        );
    }

    #[test]
    fn a_doubtful_record_is_looked_at_hourly_then_daily_until_the_history_ends() {
        let slot: crate::slot::Slot = "legacy|code|cust@2026-11-01T00#gb".parse().unwrap();
        let end = slot.hour.end();
        let record = MeteringRecord {
            state: State::Disputed,
            ..MeteringRecord::new(
                slot,
                "code".parse().unwrap(),
                "1".parse().unwrap(),
                end,
                end,
            )
        };
        let next = |now: &str| next_look(&record, Source::EventHistory, at(now));
        for (now, then) in [
            ("2026-11-01T02:00:00Z", "2026-11-01T03:00:00Z"),
            ("2026-11-02T23:59:59Z", "2026-11-03T00:59:59Z"),
            ("2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z"),
            // The period of a record begins five minutes before its hour.
            ("2027-01-28T23:55:00Z", "2027-01-29T23:55:00Z"),
        ] {
            assert_eq!(next(now), Some(at(then)), "{now}");
            assert!(reaches_back_to(&record, Source::EventHistory, at(then)));
        }
        // In a day, the history would not show all of the period.
        assert_eq!(next("2027-01-28T23:55:01Z"), None);
        let gone = at("2027-01-29T23:55:01Z");
        assert!(!reaches_back_to(&record, Source::EventHistory, gone));
        // A trail is kept for longer.
        let late = at("2027-01-30T00:00:00Z");
        let next = next_look(&record, Source::Trail, late);
        assert_eq!(next, Some(at("2027-01-31T00:00:00Z")));
        assert_eq!(
            next_look(&record, Source::Trail, at("2028-12-16T00:00:00Z")),
            None
        );
    }
}
