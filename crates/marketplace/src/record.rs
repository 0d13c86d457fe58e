//! A metering record: frozen before it is sent, byte-identical until it has an outcome.
//!
//! Facts: M6, M7, M23, M24, M27 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::fold::DimensionFold;
use crate::hour::{UsageHour, shift};
use crate::ids::{AccountId, Dimension, InvalidId, ProductCode};
use crate::limits::FINAL_HOURS;
use crate::planted::{Bug, is_planted};
use crate::quantity::{Overflow, Quantity, Total};
use crate::spans::{Span, Spans, Standing};
use crate::subscription::Subscription;
use crate::tags::TagSet;
use crate::window::Window;

/// A record is sent again after this part of the time that is left for it, at the latest. Ours: in a
/// subscription's final hour, and in the last hour of a month's usage, that is 10 minutes.
const RETRY_PART_OF_TIME_LEFT: i64 = 6;
/// It is not sent again sooner than after so many seconds. Ours.
const RETRY_SECONDS_MIN: i64 = 60;

/// One slot on the buyer's bill, and so one record: AWS Marketplace de-duplicates by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Who is billed.
    pub subscription: Subscription,
    /// For which hour.
    pub hour: UsageHour,
    /// For what.
    pub dimension: Dimension,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.subscription, self.hour, self.dimension)
    }
}

/// A share of a record's quantity under one set of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Its tags; empty for the untagged share.
    pub tags: TagSet,
    /// How much.
    pub quantity: Quantity,
}

/// Where a record is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Frozen, to be sent or sent again.
    Sealed,
    /// AWS Marketplace said Success: billed.
    Accepted,
    /// Isolated as the cause of a refusal; retried every hour, with other suspects, until its
    /// deadline.
    Refused,
    /// AWS Marketplace said DuplicateRecord: the slot may hold our own earlier success.
    Disputed,
    /// The slot holds another quantity than ours, for good.
    Conflict,
    /// Past its deadline without an outcome; AWS Marketplace may have billed it.
    Unconfirmed,
    /// Certainly not billed, and too late to be.
    Expired,
    /// Its usage was carried into another hour before it was ever sent.
    Moved,
    /// Frozen in dry run; never sent, even after the switch to live.
    DryRun,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Sealed,
        Self::Accepted,
        Self::Refused,
        Self::Disputed,
        Self::Conflict,
        Self::Unconfirmed,
        Self::Expired,
        Self::Moved,
        Self::DryRun,
    ];

    /// Its name in tables and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Disputed => "disputed",
            Self::Conflict => "conflict",
            Self::Unconfirmed => "unconfirmed",
            Self::Expired => "expired",
            Self::Moved => "moved",
            Self::DryRun => "dry-run",
        }
    }

    /// Whether a record in this state may still be sent, before its deadline.
    pub fn is_sendable(self) -> bool {
        matches!(self, Self::Sealed | Self::Refused)
    }
}

/// Whether nothing will happen to a record any more, by its state, by when it is to be looked at next,
/// and by how many of its movements hold usage that nobody has decided about.
///
/// Only a closed record may ever be removed. A record that is refused or in doubt waits for AWS
/// Marketplace, the audit or a person, however long that takes. What was concluded from silence is
/// looked at again until it is due no more.
pub fn is_closed(state: State, due: Option<Timestamp>, open_holds: u32) -> bool {
    match state {
        State::Sealed | State::Refused | State::Disputed | State::Unconfirmed => false,
        State::Accepted | State::Conflict | State::Expired | State::Moved | State::DryRun => {
            due.is_none() && open_holds == 0
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                InvalidId::new(
                    "state",
                    text,
                    "sealed, accepted, refused, disputed, conflict, unconfirmed, expired, moved or dry-run",
                )
            })
    }
}

/// The last thing AWS Marketplace, or we, said about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When.
    pub at: Timestamp,
    /// A status (`Success`) or an error code (`ThrottlingException`).
    pub code: String,
    /// AWS's id of the metering record, with a success or a conflict.
    pub metering_record_id: Option<String>,
    /// With a conflict: what AWS Marketplace holds in the slot instead.
    pub quantity_at_aws: Option<Quantity>,
}

/// What is billed for one slot, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteringRecord {
    /// Its slot.
    pub key: RecordKey,
    /// The product; requests never mix two.
    pub product: ProductCode,
    /// The buyer's account, sent beside a licence.
    pub account: Option<AccountId>,
    /// Frozen quantity.
    pub quantity: Quantity,
    /// Frozen split; empty when nothing is tagged.
    pub allocations: Vec<Allocation>,
    /// Frozen timestamp: the hour's start, or the start of the span in force within that hour.
    pub stamp: Timestamp,
    /// From when it is not sent any more.
    pub deadline: Timestamp,
    /// When its subscription's final hour is over, where an end is known: AWS Marketplace may refuse
    /// the record from then on, so it goes before all others. It is still sent until its deadline.
    pub final_at: Option<Timestamp>,
    /// When it was frozen; one round's records share it.
    pub sealed_at: Timestamp,
    /// Where it is in its life.
    pub state: State,
    /// Raised by every write; writes are conditional on it.
    pub version: u64,
    /// How many movements of its quantity there are.
    pub movements: u32,
    /// How many of these hold usage that nobody has decided about yet.
    pub open_holds: u32,
    /// How often it was sent without an outcome that ends it.
    pub attempts: u32,
    /// Its transmissions that were not answered with a success.
    pub sent: Transmissions,
    /// When it is to be looked at next, if at all.
    pub due: Option<Timestamp>,
    /// The last answer.
    pub outcome: Option<Outcome>,
}

impl MeteringRecord {
    /// What this record itself counts: nothing once it is Moved or Expired; in a conflict the larger
    /// of what is held and what was frozen, so that a surplus shows as over-metered and a shortfall
    /// is not metered again.
    pub fn here(&self) -> Total {
        match self.state {
            State::Moved | State::Expired => Total::ZERO,
            State::Conflict => self.quantity.max(self.quantity_at_aws()).into(),
            _ => self.quantity.into(),
        }
    }

    /// What AWS Marketplace holds in the slot of a record in conflict; nothing where that is unknown.
    pub fn quantity_at_aws(&self) -> Quantity {
        self.outcome
            .as_ref()
            .and_then(|outcome| outcome.quantity_at_aws)
            .unwrap_or_default()
    }

    /// How near its deadline is at `now`, or the end of its final hour where that comes first.
    pub fn urgency(&self, now: Timestamp) -> Urgency {
        let until = self.last_chance();
        let left = until.duration_since(now).as_secs();
        let whole = until.duration_since(self.sealed_at).as_secs();
        let used = whole.saturating_sub(left).saturating_mul(100);
        // What was sealed after that has no time of which to use a share.
        let percent = match whole > 0 {
            true => used.checked_div(whole).unwrap_or(100),
            false => 100,
        };
        Urgency {
            seconds_left: left,
            percent_used: percent.clamp(0, 100),
        }
    }

    /// Whether nothing will happen to it any more.
    pub fn is_closed(&self) -> bool {
        is_closed(self.state, self.due, self.open_holds)
    }

    /// Whether it may be sent at `now`.
    pub fn is_sendable(&self, now: Timestamp) -> bool {
        self.state.is_sendable() && now < self.deadline
    }

    /// Whether it is to be given up before its deadline: AWS Marketplace has refused it, and by what is
    /// known now its stamp lies in no span. A record that was not refused yet is left alone, since AWS
    /// Marketplace may know of a purchase that is not known here.
    pub fn is_out_of_force(&self, spans: &Spans, now: Timestamp) -> bool {
        self.is_sendable(now)
            && self.sent.answered > 0
            && !spans.accept(self.stamp)
            && spans.standing(self.key.hour, now) != Standing::Undecided
    }

    /// Until when AWS Marketplace takes it: its deadline, or the end of its subscription's final hour
    /// where that is earlier.
    pub fn last_chance(&self) -> Timestamp {
        self.final_at
            .map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// When it is sent again, `after` an answer at `now`: sooner where little time is left.
    pub fn retry_at(&self, now: Timestamp, after: SignedDuration) -> Timestamp {
        let left = self
            .last_chance()
            .as_second()
            .saturating_sub(now.as_second());
        let part = (left / RETRY_PART_OF_TIME_LEFT).max(RETRY_SECONDS_MIN);
        shift(now, after.min(SignedDuration::from_secs(part)))
    }
}

/// Transmissions of a record that were not answered with a success, as far as they are known.
///
/// AWS Marketplace may have recorded it in those without a definite answer. CloudTrail shows what
/// became of them, and the audit counts whether it shows all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transmissions {
    /// Without a definite answer: a time-out, a broken connection, an internal error.
    pub doubtful: u32,
    /// With an answer that says that nothing was recorded, such as a refusal.
    pub answered: u32,
}

impl Transmissions {
    /// Whether there was none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How near a record's deadline is.
///
/// The share is of the time between its sealing and its deadline: that follows the window, and is
/// right at a month's end too, where a record has an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Urgency {
    /// Seconds until its deadline; below zero after it.
    pub seconds_left: i64,
    /// Percent of its time that are used, 0 to 100.
    pub percent_used: i64,
}

/// What sealing must know of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Its product.
    pub product: ProductCode,
    /// The buyer's account, if known.
    pub account: Option<AccountId>,
    /// When it is in force.
    pub spans: Spans,
}

/// How records are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealPolicy {
    /// Until when AWS Marketplace accepts usage.
    pub window: Window,
    /// Freeze, but never send.
    pub dry_run: bool,
    /// Meter zero for the hours in which a dimension is not used.
    pub heartbeats: bool,
}

/// A record about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The record.
    pub record: MeteringRecord,
    /// Whether some of its usage is not in it and must be carried by a recount: flag the hour late
    /// before creating the record.
    pub needs_recount: bool,
}

/// Minutes a new record waits for its stream delivery to send it, before the work index may.
pub const STREAM_HEAD_START_MINUTES: i64 = 5;

/// Freezes a slot from the fold of its rows. `None` when they come to nothing, since a zero might
/// spend the slot, and when it is undecided whether the hour is in force.
pub fn seal(
    key: RecordKey,
    fold: &DimensionFold,
    terms: &Terms,
    policy: SealPolicy,
    now: Timestamp,
) -> Result<Option<Sealing>, Overflow> {
    let frozen = fold.freeze()?;
    if frozen.quantity == Quantity::ZERO {
        return Ok(None);
    }
    let hour = key.hour;
    let standing = terms.spans.standing(hour, now);
    // A stamp outside the span in force would be refused; clamped, it stays in the same slot.
    let stamp = match standing {
        _ if is_planted(Bug::StampedNow) => whole_second_from(now),
        _ if is_planted(Bug::ActivationIgnored) => hour.start(),
        Standing::InForce(span) => stamp_in(hour, &span),
        Standing::Before => last_instant(hour),
        Standing::Gap | Standing::Over => hour.start(),
        Standing::Undecided => return Ok(None),
    };
    let in_force = match standing {
        Standing::InForce(span) => Some(span),
        _ => None,
    };
    let deadline = policy.window.deadline(stamp);
    let state = if in_force.is_none() {
        State::Moved
    } else if policy.dry_run {
        State::DryRun
    } else if now >= deadline {
        State::Expired
    } else {
        State::Sealed
    };
    let record = MeteringRecord {
        key,
        product: terms.product.clone(),
        account: terms.account.clone(),
        quantity: frozen.quantity,
        allocations: frozen.allocations,
        stamp,
        deadline,
        sealed_at: now,
        state,
        version: 1,
        movements: 0,
        open_holds: 0,
        final_at: in_force.and_then(|span| final_at(&span)),
        attempts: 0,
        sent: Transmissions::default(),
        due: first_due(state, now),
        outcome: None,
    };
    let needs_recount = !frozen.complete || record.here().is_zero();
    Ok(Some(Sealing {
        record,
        needs_recount,
    }))
}

/// A record of zero for a dimension without usage, where they are wanted: only for an hour that is
/// wholly inside the agreement and can still be billed.
///
/// Whether a zero spends its slot is not documented, so it is treated as if it did: usage that comes
/// later is late usage of this record, as of any other.
pub fn heartbeat(
    key: RecordKey,
    terms: &Terms,
    policy: SealPolicy,
    now: Timestamp,
) -> Option<MeteringRecord> {
    let hour = key.hour;
    let is_whole = |span: &Span| {
        span.began_at <= hour.start() && span.first_end().is_none_or(|end| hour.end() <= end)
    };
    let inside = terms.spans.iter().any(is_whole) && hour.end() <= now;
    let deadline = policy.window.deadline(hour.start());
    if !policy.heartbeats || !inside || now >= deadline {
        return None;
    }
    let state = if policy.dry_run {
        State::DryRun
    } else {
        State::Sealed
    };
    Some(MeteringRecord {
        key,
        product: terms.product.clone(),
        account: terms.account.clone(),
        quantity: Quantity::ZERO,
        allocations: Vec::new(),
        stamp: hour.start(),
        deadline,
        sealed_at: now,
        state,
        version: 1,
        movements: 0,
        open_holds: 0,
        final_at: None,
        attempts: 0,
        sent: Transmissions::default(),
        due: first_due(state, now),
        outcome: None,
    })
}

fn first_due(state: State, now: Timestamp) -> Option<Timestamp> {
    let head_start = SignedDuration::from_mins(STREAM_HEAD_START_MINUTES);
    (state == State::Sealed).then(|| shift(now, head_start))
}

/// The hour's start, or the span's where that is later.
fn stamp_in(hour: UsageHour, span: &Span) -> Timestamp {
    let began = whole_second_from(span.began_at).min(last_instant(hour));
    hour.start().max(began)
}

/// When the final hour of a span that was removed is over.
fn final_at(span: &Span) -> Option<Timestamp> {
    let over = |removed| shift(removed, SignedDuration::from_hours(FINAL_HOURS));
    span.removed_at.map(over)
}

/// The hour's last whole second: stamps go to AWS in whole seconds.
fn last_instant(hour: UsageHour) -> Timestamp {
    shift(hour.end(), SignedDuration::from_secs(-1))
}

/// The first whole second not before `time`.
fn whole_second_from(time: Timestamp) -> Timestamp {
    let up = i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(time.as_second().saturating_add(up)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::Fold;
    use crate::lifecycle::{Lifecycle, Sign};
    use crate::usage::{Field, UsageRow};
    use proptest::prelude::*;

    fn spans(activated: &str, removed: Option<&str>) -> Spans {
        let mut life = Lifecycle::default();
        life.observe(Sign::Activated, activated.parse().unwrap());
        if let Some(removed) = removed {
            life.observe(Sign::Deprovisioned, removed.parse().unwrap());
        }
        life.spans()
    }

    fn sealed(
        hour: &str,
        activated: &str,
        ended: Option<&str>,
        now: &str,
        dry_run: bool,
    ) -> Option<Sealing> {
        let spans = spans(activated, ended);
        seal_two_units(hour.parse().unwrap(), spans, dry_run, now.parse().unwrap())
    }

    fn seal_two_units(
        hour: UsageHour,
        spans: Spans,
        dry_run: bool,
        now: Timestamp,
    ) -> Option<Sealing> {
        let mut fold = Fold::new(hour, None);
        fold.add(&UsageRow {
            dimension_event: "gb#1".into(),
            quantity: Field::Value("2".into()),
            time: Field::Value(hour.start().to_string().into()),
            tags: Field::Absent,
        })
        .unwrap();
        let key = RecordKey {
            subscription: "legacy|code|cust".parse().unwrap(),
            hour,
            dimension: "gb".parse().unwrap(),
        };
        let terms = Terms {
            product: "code".parse().unwrap(),
            account: None,
            spans,
        };
        let policy = SealPolicy {
            dry_run,
            ..SealPolicy::default()
        };
        seal(key, &fold.dimensions()["gb"], &terms, policy, now).unwrap()
    }

    #[track_caller]
    fn check(
        hour: &str,
        activated: &str,
        ended: Option<&str>,
        now: &str,
        state: State,
        stamp: &str,
        recount: bool,
    ) {
        let sealing = sealed(hour, activated, ended, now, false).unwrap();
        assert_eq!(sealing.record.state, state);
        assert_eq!(sealing.record.stamp, stamp.parse::<Timestamp>().unwrap());
        assert_eq!(sealing.needs_recount, recount);
        assert_eq!(sealing.record.due.is_some(), state == State::Sealed);
    }

    #[test]
    fn a_record_is_stamped_with_its_hour_or_the_activation_within_it() {
        let early = "2026-11-01T00:00:00Z";
        let hour = "2026-11-21T02";
        let now = "2026-11-21T03:30:00Z";
        check(
            hour,
            early,
            None,
            now,
            State::Sealed,
            "2026-11-21T02:00:00Z",
            false,
        );
        check(
            hour,
            "2026-11-21T02:24:10.013Z",
            None,
            now,
            State::Sealed,
            "2026-11-21T02:24:11Z",
            false,
        );
        check(
            hour,
            "2026-11-21T02:24:10Z",
            None,
            now,
            State::Sealed,
            "2026-11-21T02:24:10Z",
            false,
        );
        check(
            hour,
            early,
            Some("2026-11-21T02:10:00Z"),
            now,
            State::Sealed,
            "2026-11-21T02:00:00Z",
            false,
        );
    }

    proptest! {
        #[test]
        fn a_stamp_lies_in_its_hour_and_in_a_span_in_force(
            signs in proptest::collection::vec((0usize..3, 0i64..20 * 3_600), 0..8),
            hour in 0i64..20,
        ) {
            let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
            let at = |second| shift(start, SignedDuration::from_secs(second));
            let mut life = Lifecycle::default();
            for (sign, second) in signs {
                let all = [Sign::Activated, Sign::EndAnnounced, Sign::Deprovisioned];
                life.observe(all[sign], at(second));
            }
            let (spans, hour) = (life.spans(), UsageHour::of(at(hour * 3_600)));
            let now = at(20 * 3_600);
            let sealing = seal_two_units(hour, spans.clone(), false, now);
            let Some(record) = sealing.map(|sealing| sealing.record) else {
                return Ok(());
            };
            prop_assert_eq!(UsageHour::of(record.stamp), hour);
            let holds = |span: &Span| {
                span.began_at <= record.stamp
                    && span.removed_at.is_none_or(|end| record.stamp <= end)
            };
            let in_force = spans.iter().any(holds) && record.state != State::Moved;
            prop_assert_eq!(in_force, record.state == State::Sealed);
        }
    }

    #[test]
    fn usage_outside_the_agreement_is_moved() {
        let now = "2026-11-21T03:30:00Z";
        let hour = "2026-11-21T02";
        check(
            hour,
            "2026-11-21T03:00:00Z",
            None,
            now,
            State::Moved,
            "2026-11-21T02:59:59Z",
            true,
        );
        let ended = Some("2026-11-21T01:59:59Z");
        check(
            hour,
            "2026-11-01T00:00:00Z",
            ended,
            now,
            State::Moved,
            "2026-11-21T02:00:00Z",
            true,
        );
    }

    #[test]
    fn usage_found_past_its_deadline_is_expired_from_birth() {
        let early = "2026-11-01T00:00:00Z";
        let stamp = "2026-11-21T02:00:00Z";
        check(
            "2026-11-21T02",
            early,
            None,
            "2026-11-22T01:59:59Z",
            State::Sealed,
            stamp,
            false,
        );
        check(
            "2026-11-21T02",
            early,
            None,
            "2026-11-22T02:00:00Z",
            State::Expired,
            stamp,
            true,
        );
    }

    #[test]
    fn a_record_that_waits_gets_more_urgent_whatever_time_it_was_given() {
        let early = "2026-11-01T00:00:00Z";
        let check = |hour: &str, sealed_at: &str, now: &str, left: i64, used: i64| {
            let record = sealed(hour, early, None, sealed_at, false).unwrap().record;
            let urgency = record.urgency(now.parse().unwrap());
            assert_eq!((urgency.seconds_left, urgency.percent_used), (left, used));
        };
        let (hour, sealed) = ("2026-11-21T02", "2026-11-21T04:00:00Z");
        check(hour, sealed, sealed, 22 * 3_600, 0);
        check(hour, sealed, "2026-11-21T15:00:00Z", 11 * 3_600, 50);
        check(hour, sealed, "2026-11-22T03:00:00Z", -3_600, 100);
        let (last, sealed) = ("2026-11-30T23", "2026-12-01T05:00:00Z");
        check(last, sealed, "2026-12-01T05:48:00Z", 720, 80);
        let (sealed, now) = ("2026-11-21T03:30:00Z", "2026-11-21T04:20:00Z");
        let mut hurried = super::tests::sealed(hour, early, None, sealed, false)
            .unwrap()
            .record;
        for (final_at, left, used) in [
            ("2026-11-21T04:30:00Z", 600, 83),
            ("2026-11-21T04:00:00Z", -1_200, 100),
            ("2026-11-21T03:00:00Z", -4_800, 100),
            // The deadline comes first.
            ("2026-11-23T00:00:00Z", 78_000, 3),
        ] {
            hurried.final_at = Some(final_at.parse().unwrap());
            let urgency = hurried.urgency(now.parse().unwrap());
            assert_eq!((urgency.seconds_left, urgency.percent_used), (left, used));
        }
    }

    #[test]
    fn a_heartbeat_is_only_for_a_closed_hour_wholly_inside_the_agreement() {
        let beat = |hour: &str, activated: &str, ended: Option<&str>, now: &str, wanted: bool| {
            let key = format!("legacy|code|cust@{hour}#gb").parse().unwrap();
            let terms = Terms {
                product: "code".parse().unwrap(),
                account: None,
                spans: spans(activated, ended),
            };
            let policy = SealPolicy {
                heartbeats: wanted,
                ..SealPolicy::default()
            };
            heartbeat(key, &terms, policy, now.parse().unwrap())
        };
        let (hour, start, end) = (
            "2026-11-21T02",
            "2026-11-21T02:00:00Z",
            "2026-11-21T03:00:00Z",
        );
        let now = "2026-11-21T03:30:00Z";
        let record = beat(hour, start, Some(end), now, true).unwrap();
        assert_eq!(
            (record.quantity, record.state),
            (Quantity::ZERO, State::Sealed)
        );
        assert_eq!(record.stamp, start.parse::<Timestamp>().unwrap());
        for (activated, ended, now, wanted) in [
            (start, None, now, false),
            ("2026-11-21T02:00:01Z", None, now, true),
            (start, Some("2026-11-21T02:59:59Z"), now, true),
            (start, None, "2026-11-21T02:59:59Z", true),
            (start, None, "2026-11-22T02:00:00Z", true),
        ] {
            assert_eq!(beat(hour, activated, ended, now, wanted), None);
        }
    }

    #[test]
    fn dry_run_records_are_never_due() {
        let sealing = sealed(
            "2026-11-21T02",
            "2026-11-01T00:00:00Z",
            None,
            "2026-11-21T03:30:00Z",
            true,
        )
        .unwrap();
        assert_eq!(
            (sealing.record.state, sealing.record.due),
            (State::DryRun, None)
        );
    }

    #[test]
    fn an_end_at_an_hours_first_instant_leaves_the_hour_inside() {
        check(
            "2026-11-21T02",
            "2026-11-01T00:00:00Z",
            Some("2026-11-21T02:00:00Z"),
            "2026-11-21T03:30:00Z",
            State::Sealed,
            "2026-11-21T02:00:00Z",
            false,
        );
    }

    #[test]
    fn only_sealed_and_refused_records_are_sent_and_only_before_their_deadline() {
        let early = "2026-11-01T00:00:00Z";
        let sealing = sealed("2026-11-21T02", early, None, "2026-11-21T03:30:00Z", false);
        let mut record = sealing.unwrap().record;
        let just_before = shift(record.deadline, SignedDuration::from_secs(-1));
        for state in State::ALL {
            record.state = state;
            let sendable = matches!(state, State::Sealed | State::Refused);
            assert_eq!(record.is_sendable(just_before), sendable, "{state}");
            assert!(!record.is_sendable(record.deadline), "{state}");
        }
    }

    #[test]
    fn only_a_record_with_an_outcome_and_nothing_to_come_is_closed() {
        let at = Timestamp::UNIX_EPOCH;
        for state in State::ALL {
            let may_close = matches!(
                state,
                State::Accepted | State::Conflict | State::Expired | State::Moved | State::DryRun
            );
            assert_eq!(is_closed(state, None, 0), may_close, "{state}");
            assert!(!is_closed(state, Some(at), 0), "{state}");
            assert!(!is_closed(state, None, 1), "{state}");
        }
    }

    #[test]
    fn keys_and_states_have_the_names_that_stand_in_tables_and_logs() {
        let names = State::ALL.map(State::as_str);
        assert_eq!(
            names.join(" "),
            "sealed accepted refused disputed conflict unconfirmed expired moved dry-run"
        );
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert!("lost".parse::<State>().is_err());
        let key: RecordKey = "legacy|code|cust@2026-11-21T02#gb".parse().unwrap();
        assert_eq!(key.to_string(), "legacy|code|cust 2026-11-21T02 gb");
    }
}
