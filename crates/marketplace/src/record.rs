//! Metering records. A record is frozen before it is sent, and stays byte-identical until it has an
//! outcome.
//!
//! Facts: M6, M7, M23, M24, M27 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::fold::DimensionFold;
use crate::hour::{UsageHour, shift};
use crate::ids::{AccountId, Dimension, InvalidId, ProductCode};
use crate::limits::FINAL_HOURS;
use crate::quantity::{Overflow, Quantity, Total};
use crate::spans::{Span, Spans, Standing};
use crate::subscription::Subscription;
use crate::tags::TagSet;
use crate::window::Window;

/// A record is sent again at the latest after one sixth of its remaining time. The number is this
/// project's: with an hour left, as in a subscription's final hour, that is 10 minutes.
const RETRY_PART_OF_TIME_LEFT: i64 = 6;
/// The remaining time never makes a record wait for less than this many seconds. The number is this
/// project's.
const RETRY_SECONDS_MIN: i64 = 60;

/// The key of a record, and the slot that it takes on the buyer's bill. AWS Marketplace keeps one
/// record per slot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The subscription that is billed.
    pub subscription: Subscription,
    /// The hour of usage.
    pub hour: UsageHour,
    /// The dimension that was used.
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
    /// The tags; empty for the untagged share.
    pub tags: TagSet,
    /// The share of the quantity.
    pub quantity: Quantity,
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It is frozen, and is sent until it has an outcome.
    Sealed,
    /// It is billed: AWS Marketplace answered Success.
    Accepted,
    /// It was isolated as the cause of a refusal. It is sent again every hour, among other
    /// suspects, until its deadline.
    Refused,
    /// AWS Marketplace answered DuplicateRecord. The slot may hold this record's own earlier
    /// success.
    Disputed,
    /// AWS Marketplace holds another quantity in the slot, and keeps it.
    Conflict,
    /// It has no outcome and is not sent any more. AWS Marketplace may have billed it.
    Unconfirmed,
    /// It is certainly not billed, and its deadline has passed.
    Expired,
    /// Its usage was moved: no agreement was in force in its hour, or a person closed it.
    Moved,
    /// It was frozen in dry run. It is never sent, even after the switch to live.
    DryRun,
}

impl State {
    /// Every state, in the order of their declaration.
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

    /// The state's name in tables and reports.
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

    /// Whether a record in this state may be sent before its deadline.
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

/// The last outcome of a record, from AWS Marketplace or from this stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The time of the outcome.
    pub at: Timestamp,
    /// A status (`Success`), an error code (`ThrottlingException`), or a code of this stack.
    pub code: String,
    /// AWS's id of the metering record, for a success or a conflict.
    pub metering_record_id: Option<String>,
    /// The quantity that AWS Marketplace holds in the slot, for a conflict.
    pub quantity_at_aws: Option<Quantity>,
}

/// The record of one slot: what is sent, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteringRecord {
    /// The slot of the record.
    pub key: RecordKey,
    /// The product. A request never mixes two.
    pub product: ProductCode,
    /// The buyer's account, which is sent with a license; `None` if it is not known.
    pub account: Option<AccountId>,
    /// The frozen quantity.
    pub quantity: Quantity,
    /// The frozen split by tags; empty if no usage is tagged.
    pub allocations: Vec<Allocation>,
    /// The frozen timestamp: the hour's start, or the start of the span in force within that hour.
    pub stamp: Timestamp,
    /// The instant from which it is not sent any more.
    pub deadline: Timestamp,
    /// The end of its subscription's final hour; `None` if no removal is known. AWS Marketplace may
    /// refuse the record from then on, so it is sent before all others. It is still sent until its
    /// deadline.
    pub final_at: Option<Timestamp>,
    /// When it was frozen. The records of one run have the same time.
    pub sealed_at: Timestamp,
    /// The state of the record.
    pub state: State,
    /// The version of the item. Each write raises it, and is conditional on the version that was
    /// read.
    pub version: u64,
    /// The number of movements of its quantity.
    pub movements: u32,
    /// How many of these hold usage that nobody has decided about yet.
    pub open_holds: u32,
    /// How often it was sent, or set aside, without an outcome that ends it.
    pub attempts: u32,
    /// The transmissions that were not answered with a success.
    pub sent: Transmissions,
    /// When it is to be looked at next; `None` if nothing is left to do.
    pub due: Option<Timestamp>,
    /// The last outcome; `None` before the first one.
    pub outcome: Option<Outcome>,
}

impl MeteringRecord {
    /// The quantity that this record itself counts. It is zero once the record is Moved or Expired.
    /// In a conflict it is the larger of the frozen quantity and the one that AWS Marketplace
    /// holds. So a surplus shows as over-metered, and a shortfall is not metered again.
    pub fn here(&self) -> Total {
        match self.state {
            State::Moved | State::Expired => Total::ZERO,
            State::Conflict => self.quantity.max(self.quantity_at_aws()).into(),
            _ => self.quantity.into(),
        }
    }

    /// The quantity that AWS Marketplace holds in the slot of a record in conflict; zero if it is
    /// unknown.
    pub fn quantity_at_aws(&self) -> Quantity {
        self.outcome
            .as_ref()
            .and_then(|outcome| outcome.quantity_at_aws)
            .unwrap_or_default()
    }

    /// How near the deadline is at `now`, or the end of the final hour if that is earlier.
    pub fn urgency(&self, now: Timestamp) -> Urgency {
        let until = self.last_chance();
        let left = until.duration_since(now).as_secs();
        let whole = until.duration_since(self.sealed_at).as_secs();
        let used = whole.saturating_sub(left).saturating_mul(100);
        // A record that was sealed after its last chance has no time left, so all of it is used.
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

    /// Whether the record may be sent at `now`.
    pub fn is_sendable(&self, now: Timestamp) -> bool {
        self.state.is_sendable() && now < self.deadline
    }

    /// Whether the record is to be given up before its deadline: AWS Marketplace has refused it,
    /// and by everything that is known now its timestamp lies in no span. A record that was not
    /// refused yet is kept, because AWS Marketplace may know of a purchase that is not known to
    /// this stack.
    pub fn is_out_of_force(&self, spans: &Spans, now: Timestamp) -> bool {
        self.is_sendable(now)
            && self.sent.answered > 0
            && !spans.accept(self.stamp)
            && spans.standing(self.key.hour, now) != Standing::Undecided
    }

    /// Until when AWS Marketplace accepts the record: its deadline, or the end of its
    /// subscription's final hour if that is earlier.
    pub fn last_chance(&self) -> Timestamp {
        self.final_at
            .map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// When the record is sent again: `after` the answer at `now`, or sooner if little time is
    /// left.
    pub fn retry_at(&self, now: Timestamp, after: SignedDuration) -> Timestamp {
        let left = self
            .last_chance()
            .as_second()
            .saturating_sub(now.as_second());
        let part = (left / RETRY_PART_OF_TIME_LEFT).max(RETRY_SECONDS_MIN);
        shift(now, after.min(SignedDuration::from_secs(part)))
    }
}

/// The transmissions of a record that were not answered with a success, as far as they are known.
///
/// AWS Marketplace may have recorded a transmission without a definite answer. CloudTrail shows the
/// result of each, and the audit checks that it shows as many as were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transmissions {
    /// Transmissions without a definite answer: a time-out, a broken connection, an internal error.
    pub doubtful: u32,
    /// Transmissions with an answer that says that nothing was recorded, such as a refusal.
    pub answered: u32,
}

impl Transmissions {
    /// These and others together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            doubtful: self.doubtful.saturating_add(more.doubtful),
            answered: self.answered.saturating_add(more.answered),
        }
    }

    /// Whether there were no such transmissions.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How near a record's deadline is.
///
/// The percentage is of the time between sealing and deadline. So it follows the window, and is
/// also right at a month's end, where a record has only an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Urgency {
    /// Seconds until the deadline; negative after it.
    pub seconds_left: i64,
    /// How much of its time is used, in percent, 0 to 100.
    pub percent_used: i64,
}

/// The facts about a subscription that sealing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The product of the subscription.
    pub product: ProductCode,
    /// The buyer's account; `None` if it is not known.
    pub account: Option<AccountId>,
    /// The times in which the subscription is in force.
    pub spans: Spans,
}

/// The settings for freezing records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealPolicy {
    /// How long AWS Marketplace accepts usage.
    pub window: Window,
    /// Whether records are only frozen and never sent.
    pub dry_run: bool,
    /// Whether zero is metered for the hours in which a dimension is not used.
    pub heartbeats: bool,
}

/// A record that is about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The new record.
    pub record: MeteringRecord,
    /// Whether the record does not bill all of the slot's usage. A recount must move the rest, so
    /// flag the hour before creating the record.
    pub needs_recount: bool,
}

/// Minutes after its sealing at which a new record is due in the work index. Before that, its
/// stream delivery should send it.
pub const STREAM_HEAD_START_MINUTES: i64 = 5;

/// Freezes a slot from the fold of its rows. Returns `None` if the rows add up to zero, because a
/// zero might take the slot, or if it is undecided whether the hour is in force.
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
    // AWS Marketplace would refuse a timestamp outside the span in force. Moved into the span, it
    // stays in the same hour and so in the same slot.
    let stamp = match standing {
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

/// A heartbeat: a record of zero for a dimension without usage. `None` if heartbeats are not
/// enabled, if the hour is not over or not wholly inside a span, or if it cannot be billed any
/// more.
///
/// AWS does not document whether a zero takes its slot. This project assumes that it does: usage
/// that comes later is late usage of this record, as of any other.
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

/// The hour's start, or the span's start if that is later.
fn stamp_in(hour: UsageHour, span: &Span) -> Timestamp {
    let began = whole_second_from(span.began_at).min(last_instant(hour));
    hour.start().max(began)
}

/// The end of a span's final hour; `None` if no removal is known.
fn final_at(span: &Span) -> Option<Timestamp> {
    let over = |removed| shift(removed, SignedDuration::from_hours(FINAL_HOURS));
    span.last_removed_at.map(over)
}

/// The hour's last whole second, because timestamps are sent to AWS in whole seconds.
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
            // The deadline is earlier than the end of the final hour.
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
