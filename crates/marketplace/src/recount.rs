//! Late usage: the sum of the rows now, less the quantity that was counted already.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::fold::DimensionFold;
use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::limits::MOVEMENT_ENTRIES_MAX;
use crate::quantity::{Overflow, Quantity, Total};
use crate::record::{MeteringRecord, State};
use crate::tags::TagSet;

/// The fate of a quantity that its own record does not bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovementKind {
    /// The quantity was carried into a later hour, as rows of that hour.
    Carried {
        /// The later hour.
        target: UsageHour,
        /// The dimension under which it is billed there, if the record's dimension was renamed;
        /// `None` for the same dimension.
        into: Option<Dimension>,
    },
    /// The quantity is held until a person decides.
    Held,
    /// A person wrote the quantity off.
    WrittenOff,
    /// The quantity was metered beyond the rows, and claimed back as a billing adjustment.
    Refunded,
}

impl MovementKind {
    /// The kind's name in tables and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Carried { .. } => "carried",
            Self::Held => "held",
            Self::WrittenOff => "written-off",
            Self::Refunded => "refunded",
        }
    }
}

/// The value of [`Movement::of`] for the shortfall of a record in conflict: AWS Marketplace's slot
/// has less than was used, and the missing quantity was counted with the record. Movements are
/// numbered from 1, so no movement has this number.
pub const OF_SHORTFALL: u32 = 0;

/// One movement of a slot's quantity. It is immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The movement's number within its record, from 1.
    pub number: u32,
    /// Where the quantity went.
    pub kind: MovementKind,
    /// The quantity of each tag set.
    pub entries: Vec<(TagSet, Quantity)>,
    /// The number of the hold that this movement closes. The hold has counted the quantity already.
    /// [`OF_SHORTFALL`] for the shortfall of a record in conflict. `None` for usage that was not
    /// counted before.
    pub of: Option<u32>,
    /// The time of the movement.
    pub at: Timestamp,
    /// The reason, if a person or the end of an agreement decided.
    pub reason: Option<String>,
}

impl Movement {
    /// The sum of the entries.
    pub fn total(&self) -> Result<Total, Overflow> {
        Total::sum(self.entries.iter().map(|(_, quantity)| *quantity))
    }

    /// Whether the quantity was counted before, with the record or with an earlier movement. A
    /// shortfall was counted with the record as long as the record is in conflict.
    fn is_counted_already(&self, record: &MeteringRecord) -> bool {
        match self.of {
            None => false,
            Some(OF_SHORTFALL) => record.state == State::Conflict,
            Some(_) => true,
        }
    }
}

/// How much of a conflict's shortfall was moved already.
pub fn moved_shortfall(movements: &[Movement]) -> Result<Total, Overflow> {
    movements
        .iter()
        .filter(|movement| movement.of == Some(OF_SHORTFALL))
        .try_fold(Total::ZERO, |sum, movement| sum.plus(movement.total()?))
}

/// The result of a recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Everything was counted exactly once.
    None,
    /// Some usage is not counted yet.
    Late {
        /// The quantity of each tag set, at most [`MOVEMENT_ENTRIES_MAX`] of them.
        entries: Vec<(TagSet, Quantity)>,
        /// Whether the entries are all of the late usage. Otherwise another recount is needed.
        complete: bool,
    },
    /// More was counted than the sum of the rows, by this quantity. Only a billing adjustment can
    /// correct it.
    Over(Total),
}

/// The quantity that was counted for a slot: the record's own quantity + carried + held + written
/// off - refunded.
pub fn counted(record: &MeteringRecord, movements: &[Movement]) -> Result<Total, Overflow> {
    movements
        .iter()
        .filter(|movement| !movement.is_counted_already(record))
        .try_fold(record.recorded(), |sum, movement| match movement.kind {
            MovementKind::Refunded => sum.minus(movement.total()?),
            _ => sum.plus(movement.total()?),
        })
}

/// Compares the rows of a slot with the quantity that was counted. `fold` is `None` if the slot has
/// no rows.
pub fn difference(
    record: &MeteringRecord,
    movements: &[Movement],
    fold: Option<&DimensionFold>,
) -> Result<Difference, Overflow> {
    let rows = fold.map_or(Ok(Total::ZERO), DimensionFold::total)?;
    let late = rows.minus(counted(record, movements)?)?;
    if late.is_zero() {
        return Ok(Difference::None);
    }
    if late.is_negative() {
        return late.magnitude().map(Difference::Over);
    }
    let by_tags = difference_by_tags(record, movements, fold)?;
    if by_tags.values().any(|total| total.is_negative()) || Total::sum(by_tags.values())? != late {
        // Tags were merged, rows changed, or AWS Marketplace holds another quantity than was
        // frozen. Only the sum is certain, so the usage is moved untagged.
        return Ok(late_entries([(TagSet::untagged(), late)]));
    }
    Ok(late_entries(by_tags))
}

fn difference_by_tags(
    record: &MeteringRecord,
    movements: &[Movement],
    fold: Option<&DimensionFold>,
) -> Result<BTreeMap<TagSet, Total>, Overflow> {
    let mut by_tags: BTreeMap<TagSet, Total> = fold.map(|f| f.buckets.clone()).unwrap_or_default();
    let mut subtract = |tags: &TagSet, quantity: Total| -> Result<(), Overflow> {
        let bucket = by_tags.entry(tags.clone()).or_default();
        *bucket = bucket.minus(quantity)?;
        Ok(())
    };
    if !record.recorded().is_zero() {
        if record.allocations.is_empty() {
            subtract(&TagSet::untagged(), record.quantity.into())?;
        }
        for allocation in &record.allocations {
            subtract(&allocation.tags, allocation.quantity.into())?;
        }
    }
    let uncounted = |movement: &&Movement| !movement.is_counted_already(record);
    for movement in movements.iter().filter(uncounted) {
        for (tags, quantity) in &movement.entries {
            let quantity = Total::from(*quantity);
            match movement.kind {
                MovementKind::Refunded => subtract(tags, Total::ZERO.minus(quantity)?)?,
                _ => subtract(tags, quantity)?,
            }
        }
    }
    Ok(by_tags)
}

fn late_entries(by_tags: impl IntoIterator<Item = (TagSet, Total)>) -> Difference {
    let mut entries = Vec::new();
    let mut complete = true;
    for (tags, total) in by_tags {
        if total.is_zero() {
            continue;
        }
        if entries.len() == MOVEMENT_ENTRIES_MAX {
            complete = false;
            break;
        }
        // The part that one row cannot hold is left for the next recount.
        let quantity = total.to_quantity().unwrap_or(Quantity::MAX);
        complete &= Total::from(quantity) == total;
        entries.push((tags, quantity));
    }
    Difference::Late { entries, complete }
}

#[cfg(test)]
mod tests;
