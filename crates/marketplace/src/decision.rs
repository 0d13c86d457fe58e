//! Decisions of a person about usage that waits: carry it, write it off, or claim it back.
//!
//! A movement is immutable, so each decision is a new movement. A decision that closes an earlier
//! hold names it ([`Movement::of`]). Its quantity then counts as carried or written off instead of
//! held, and the total that is counted stays the same.
//!
//! Fact: M28 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::limits::MOVEMENT_ENTRIES_MAX;
use crate::quantity::{Overflow, Quantity, Total};
use crate::record::{MeteringRecord, State};
use crate::recount::{Movement, MovementKind, OF_SHORTFALL, moved_shortfall};
use crate::tags::TagSet;

/// The most characters of a reason. This project's limit: enough for a sentence and a ticket's
/// number.
pub const REASON_CHARS_MAX: usize = 500;

/// A person's reason for a decision: 1 to 500 characters, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

/// The error for a text that is empty, too long, or has a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reason has {0} characters: write 1 to {REASON_CHARS_MAX}, on one line; it is stored with the decision"
)]
pub struct InvalidReason(usize);

impl FromStr for Reason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        let text = text.trim();
        let characters = text.chars().count();
        let fits = (1..=REASON_CHARS_MAX).contains(&characters);
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReason(characters))
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The movements that hold usage and were not closed by a later movement.
pub fn open_holds(movements: &[Movement]) -> impl Iterator<Item = &Movement> {
    movements.iter().filter(|movement| {
        let closed = movements.iter().any(|m| m.of == Some(movement.number));
        movement.kind == MovementKind::Held && !closed
    })
}

/// The movement that closes a hold: all of its usage is carried or written off, as `kind` says.
pub fn close_hold(
    record: &MeteringRecord,
    hold: &Movement,
    kind: MovementKind,
    at: Timestamp,
    reason: &Reason,
) -> Movement {
    Movement {
        number: record.movements.saturating_add(1),
        kind,
        entries: hold.entries.clone(),
        of: Some(hold.number),
        at,
        reason: Some(reason.to_string()),
    }
}

/// Whether a person may close a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosingRule {
    /// Allowed: AWS Marketplace has refused every transmission of the record, so it is certainly
    /// not billed.
    Free,
    /// Allowed only after the person has checked it: the record may have been billed, and the audit
    /// has not decided yet.
    Checked,
    /// Not allowed: the record has an outcome, or is still being sent.
    Never,
}

/// Whether a person may close a record in its current state.
pub fn closing_rule(record: &MeteringRecord) -> ClosingRule {
    match record.state {
        // AWS Marketplace may have recorded an earlier transmission whose answer was lost.
        State::Refused if record.sent.doubtful > 0 => ClosingRule::Checked,
        State::Refused => ClosingRule::Free,
        State::Disputed | State::Unconfirmed => ClosingRule::Checked,
        _ => ClosingRule::Never,
    }
}

/// The shortfall of a record in conflict: the used quantity, less the quantity in AWS Marketplace's
/// slot, and less the part that a decision has already moved. `over` is the over-metered quantity
/// of the slot. It is subtracted too, because that part of the usage was billed with another hour
/// before the conflict was found.
pub fn shortfall(
    record: &MeteringRecord,
    movements: &[Movement],
    over: Total,
) -> Result<Quantity, Overflow> {
    if record.state != State::Conflict || record.quantity_at_aws() >= record.quantity {
        return Ok(Quantity::ZERO);
    }
    let short = Total::from(record.quantity)
        .minus(record.quantity_at_aws())?
        .minus(moved_shortfall(movements)?)?
        .minus(over)?;
    if short.is_negative() {
        return Ok(Quantity::ZERO);
    }
    short.to_quantity().ok_or(Overflow)
}

/// The movement that carries or writes off the shortfall of a conflict, as `kind` says.
pub fn move_shortfall(
    record: &MeteringRecord,
    quantity: Quantity,
    kind: MovementKind,
    at: Timestamp,
    reason: &Reason,
) -> Movement {
    Movement {
        number: record.movements.saturating_add(1),
        kind,
        entries: vec![(TagSet::untagged(), quantity)],
        of: Some(OF_SHORTFALL),
        at,
        reason: Some(reason.to_string()),
    }
}

/// The movement that closes a record which is certainly not billed. It moves the whole quantity,
/// split by tags. Tag sets that do not fit count as untagged. With `untagged` it has no tags, for a
/// record whose tags were refused.
pub fn close_record(
    record: &MeteringRecord,
    kind: MovementKind,
    untagged: bool,
    at: Timestamp,
    reason: &Reason,
) -> Result<Movement, Overflow> {
    let mut entries = Vec::new();
    let mut rest = Total::from(record.quantity);
    if !untagged {
        // One entry is kept for untagged usage and for allocations that do not fit.
        let tagged = record.allocations.iter().filter(|a| !a.tags.is_empty());
        for allocation in tagged.take(MOVEMENT_ENTRIES_MAX.saturating_sub(1)) {
            rest = rest.minus(allocation.quantity)?;
            entries.push((allocation.tags.clone(), allocation.quantity));
        }
    }
    let rest = rest.to_quantity().ok_or(Overflow)?;
    if rest > Quantity::ZERO {
        entries.push((TagSet::untagged(), rest));
    }
    Ok(Movement {
        number: record.movements.saturating_add(1),
        kind,
        entries,
        of: None,
        at,
        reason: Some(reason.to_string()),
    })
}

/// The movement that records a quantity claimed back for the buyer. `None` if the quantity is zero,
/// or more than `over`, the over-metered quantity of the slot.
pub fn refund(
    record: &MeteringRecord,
    over: Total,
    quantity: Quantity,
    at: Timestamp,
    reason: &Reason,
) -> Option<Movement> {
    let possible = quantity > Quantity::ZERO && Total::from(quantity) <= over;
    possible.then(|| Movement {
        number: record.movements.saturating_add(1),
        kind: MovementKind::Refunded,
        entries: vec![(TagSet::untagged(), quantity)],
        of: None,
        at,
        reason: Some(reason.to_string()),
    })
}

#[cfg(test)]
mod tests;
