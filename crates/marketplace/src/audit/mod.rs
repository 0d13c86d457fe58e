//! What CloudTrail's events say about metering records.
//!
//! BatchMeterUsage has no read operation; CloudTrail's events of the account and Region are the only
//! read-back there is. The Event history shows them, and a trail writes the same to S3. This module
//! reads events and draws conclusions; it makes no call, and what it concludes does not depend on the
//! order of the events, nor on how often one is shown. In what follows both sources are the history.
//!
//! # Layout
//! * [`event`]: the text of one event, read leniently and never guessed
//! * [`inquiry`]: what a completely read span of events proves about one frozen record
//! * [`comparison`]: records and events side by side: matched, missing, unknown, different
//!
//! # What may be concluded, and why it is safe
//! A record is *billed* when a call is found that was answered Success for its slot and quantity:
//! that is a fact, whatever else the history says. It is in *conflict* when a Success of its slot has
//! another quantity: AWS Marketplace keeps the first. It is *not billed* only if nothing in the span
//! could have recorded it: every event of the span was read, none is truncated, and each call that
//! names the slot certainly recorded nothing. Everything else is a doubt, and a doubtful record stays
//! held and is reported.
//!
//! The span begins with the record's hour, because nobody can meter an hour before it has begun, and
//! ends after the last call that can have carried the record was over. Nothing is concluded from what
//! is *absent* until CloudTrail's usual delay has passed over the end of the span, a *witness* shows
//! that the history reaches beyond it (`witness`), and it has at least as many calls for the record
//! as were made without a clear answer.
//!
//! An event that is cut off can be of this stack only where one record alone is more than CloudTrail
//! keeps, because requests of several are kept below that. So it is a doubt about such records only.
//!
//! # Races and crash points
//! * *A call under way while the record is judged.* A record is judged unbilled an hour after the
//!   later of its deadline and the write that made it Unconfirmed. The submitter reads a record
//!   before it sends it and an invocation lasts 15 minutes at most, so every call that can carry the
//!   record ends 15 minutes after that write; 20 more and the call is in the history.
//! * *A call by a clock that is slow.* The same: what stops a record from being sent is its state, not
//!   its deadline, and the state is read strongly consistent before each call.
//! * *A success is found while somebody else writes.* A success is written whatever the version.
//!   Every other conclusion depends on the version read before the history was.
//! * *A crash between the late flag and the state Expired.* The flag comes first. Its recount finds a
//!   record that still counts what it holds, so a difference of zero, and the next audit concludes the
//!   same again. The other order would leave an Expired record whose usage nobody looks at.
//! * *A crash between two records.* Each record is its own conclusion; those without one are still
//!   due.
//! * *A crash while a history is read.* Nothing is concluded from a span that was not read to its end.
//! * *A success that comes to light after its record was concluded to be unbilled.* Such a record is
//!   compared again a day and three days later. What is found then is written whatever was carried
//!   meanwhile, so the books show it as over-metered.
//! * *DuplicateRecord without any call that explains it.* Something recorded the slot that this
//!   Region's history does not show, so nothing is inferred: the record stays Disputed.

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

/// Minutes that clocks may differ, and that a span is widened by at both ends. Ours.
pub const CLOCK_MARGIN_MINUTES: i64 = 5;
/// Minutes after the later of its deadline and its end as a sendable record from which an
/// unconfirmed record can be judged.
pub const UNCONFIRMED_WAIT_MINUTES: i64 = 60;
/// Hours between two looks at a record that could not be judged, at first.
const RETRY_HOURS: i64 = 1;
/// Hours after which a record concluded to be unbilled is compared with the history again, twice: what
/// an event that was late or missing says is then found. Ours.
const SECOND_LOOKS_HOURS: [i64; 2] = [24, 72];
/// Minutes after which a call made for it can have become a witness: the submitter's next sweep, and
/// CloudTrail's usual delay.
const WITNESS_MINUTES: i64 = 30;
/// From this age on it is looked at once a day.
const DAILY_AFTER_HOURS: i64 = 48;

// Any call that can still carry a record is over, and visible, when the record is judged unbilled.
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
    /// How many days back it is asked.
    pub fn reach_days(self) -> i64 {
        match self {
            Self::EventHistory => CLOUDTRAIL_HISTORY_DAYS,
            Self::Trail => TRAIL_DAYS_MAX,
        }
    }

    /// The earliest instant that it is asked for at `now`.
    pub fn oldest(self, now: Timestamp) -> Timestamp {
        let hours = self.reach_days().saturating_mul(-24);
        shift(now, SignedDuration::from_hours(hours))
    }
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first instant.
    pub from: Timestamp,
    /// Its last.
    pub to: Timestamp,
}

impl Span {
    /// One instant.
    pub fn at(at: Timestamp) -> Self {
        Self { from: at, to: at }
    }

    /// Whether an instant lies in both.
    pub fn overlaps(&self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// When a record that became `state` at `now`, by a conclusion of the audit or of a person, is to be
/// looked at; `None` for states that need no audit.
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

/// When a record that could not be judged at `now` is looked at again: hourly, later daily; `None`
/// once the source no longer reaches back to its hour.
pub fn next_look(record: &MeteringRecord, source: Source, now: Timestamp) -> Option<Timestamp> {
    let hour = record.key.hour.start();
    if hour <= source.oldest(now) {
        return None;
    }
    let age = now.duration_since(hour);
    let hours = if age < SignedDuration::from_hours(DAILY_AFTER_HOURS) {
        RETRY_HOURS
    } else {
        24
    };
    Some(shift(now, SignedDuration::from_hours(hours)))
}

/// The same for a record that waits for a witness, which is called for at `now`.
pub fn next_look_for_witness(
    record: &MeteringRecord,
    source: Source,
    now: Timestamp,
) -> Option<Timestamp> {
    next_look(record, source, now).map(|next| next.min(minutes_after(now, WITNESS_MINUTES)))
}

/// When every call that can carry a record is over, and in the history.
pub(crate) fn over_at(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    let last_word = record.outcome.as_ref().map_or(now, |outcome| outcome.at);
    minutes_after(last_word.max(record.deadline), UNCONFIRMED_WAIT_MINUTES)
}

/// The span of calls that can say something about a record, as far as it lies in the past.
pub fn span_of(record: &MeteringRecord, now: Timestamp) -> Span {
    let end = over_at(record, now);
    let from = minutes_after(
        record.key.hour.start(),
        CLOCK_MARGIN_MINUTES.saturating_neg(),
    );
    Span {
        from,
        to: end.min(now).max(from),
    }
}

/// Overlapping and touching spans joined, in order of time: what has to be read for all of them.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => joined.push(span),
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
        // Made Unconfirmed late: what is being sent just then may be recorded.
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
    fn spans_that_overlap_are_read_once() {
        let span = |from: &str, to: &str| Span {
            from: at(&format!("2026-11-21T{from}:00Z")),
            to: at(&format!("2026-11-21T{to}:00Z")),
        };
        assert_eq!(
            union(vec![
                span("09:00", "10:00"),
                span("02:00", "03:00"),
                span("09:30", "09:40"),
                span("10:00", "11:00"),
            ]),
            vec![span("02:00", "03:00"), span("09:00", "11:00")]
        );
    }

    #[test]
    fn a_doubtful_record_is_looked_at_hourly_then_daily_until_the_history_ends() {
        let key: crate::record::RecordKey = "legacy|code|cust@2026-11-01T00#gb".parse().unwrap();
        let record = MeteringRecord {
            product: "code".parse().unwrap(),
            account: None,
            quantity: "1".parse().unwrap(),
            allocations: Vec::new(),
            stamp: key.hour.start(),
            deadline: key.hour.end(),
            sealed_at: key.hour.end(),
            state: State::Disputed,
            version: 1,
            movements: 0,
            open_holds: 0,
            final_at: None,
            attempts: 0,
            sent: crate::record::Transmissions::default(),
            due: None,
            outcome: None,
            key,
        };
        let next = |now: &str| next_look(&record, Source::EventHistory, at(now));
        for (now, then) in [
            ("2026-11-01T02:00:00Z", "2026-11-01T03:00:00Z"),
            ("2026-11-02T23:59:59Z", "2026-11-03T00:59:59Z"),
            ("2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z"),
            ("2027-01-29T23:59:59Z", "2027-01-30T23:59:59Z"),
        ] {
            assert_eq!(next(now), Some(at(then)), "{now}");
        }
        assert_eq!(next("2027-01-30T00:00:00Z"), None);
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
