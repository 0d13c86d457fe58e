//! Turns the usage of an hour into a record, with its quantity, timestamp, deadline and first
//! state.
//!
//! Facts: M6, M7, M27 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};

use super::{MeteringRecord, State};
use crate::fold::DimensionFold;
use crate::hour::{UsageHour, shift};
use crate::ids::{AccountId, ProductCode};
use crate::limits::FINAL_HOURS;
use crate::quantity::{Overflow, Quantity};
use crate::slot::Slot;
use crate::spans::{Span, Spans, Standing};
use crate::window::Window;

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
    /// The time for which AWS Marketplace accepts usage.
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
    /// Whether the record bills less than the slot's usage. A recount must move the rest, so the
    /// caller must flag the hour before it creates the record.
    pub needs_recount: bool,
}

/// Minutes after its sealing at which a new record is due in the work index. Before that, its
/// stream delivery should send it.
pub const STREAM_HEAD_START_MINUTES: i64 = 5;

/// Freezes a slot from the fold of its rows. Returns `None` if the rows add up to zero, because a
/// zero might take the slot, or if it is undecided whether the hour is in force.
pub fn seal(
    slot: Slot,
    fold: &DimensionFold,
    terms: &Terms,
    policy: SealPolicy,
    now: Timestamp,
) -> Result<Option<Sealing>, Overflow> {
    let frozen = fold.freeze()?;
    if frozen.quantity == Quantity::ZERO {
        return Ok(None);
    }
    let hour = slot.hour;
    let standing = terms.spans.standing(hour, now);
    // AWS Marketplace would refuse a timestamp outside the span in force. A timestamp that is moved
    // into the span stays in the same hour, and so in the same slot.
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
        quantity: frozen.quantity,
        allocations: frozen.allocations,
        final_at: in_force.and_then(|span| final_at(&span)),
        ..zero(slot, terms, stamp, policy, state, now)
    };
    let needs_recount = !frozen.complete || record.recorded().is_zero();
    Ok(Some(Sealing {
        record,
        needs_recount,
    }))
}

/// A heartbeat: a record of zero for a dimension without usage. `None` if heartbeats are not
/// enabled, if the hour is not over or not wholly inside a span, or if it cannot be billed any
/// more.
///
/// AWS does not document whether a zero takes its slot. This project assumes that it does. So usage
/// that comes later is late usage of this record.
pub fn heartbeat(
    slot: Slot,
    terms: &Terms,
    policy: SealPolicy,
    now: Timestamp,
) -> Option<MeteringRecord> {
    let hour = slot.hour;
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
    Some(zero(slot, terms, hour.start(), policy, state, now))
}

/// A new record of zero.
fn zero(
    slot: Slot,
    terms: &Terms,
    stamp: Timestamp,
    policy: SealPolicy,
    state: State,
    now: Timestamp,
) -> MeteringRecord {
    MeteringRecord {
        stamp,
        account: terms.account.clone(),
        state,
        due: first_due(state, now),
        ..MeteringRecord::new(
            slot,
            terms.product.clone(),
            Quantity::ZERO,
            policy.window.deadline(stamp),
            now,
        )
    }
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
