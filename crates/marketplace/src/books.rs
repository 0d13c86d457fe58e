//! The books: the equation that proves that no unit was lost or billed twice.
//!
//! For each slot, `own + carried in = recorded + carried out + held + written off - refunded + not
//! yet counted`. `recorded` is the quantity of the slot's own record. In total, carried in =
//! carried out. So `ingested = accepted + pending + held + dry run + lost - over-metered -
//! refunded`.

use std::collections::BTreeMap;

use crate::fold::DimensionFold;
use crate::quantity::{Overflow, Total};
use crate::record::{MeteringRecord, State};
use crate::recount::{Movement, MovementKind, OF_SHORTFALL, counted};

/// The books of one slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlotBooks {
    /// Usage of the hour itself, by its rows.
    pub own: Total,
    /// Late usage carried in from earlier hours, by its rows.
    pub carried_in: Total,
    /// The quantity that the slot's record bills or will bill. For a record in conflict, the larger
    /// of the frozen quantity and the one that AWS Marketplace holds, less the part of a shortfall
    /// that was moved.
    pub recorded: Total,
    /// For a record in conflict, the quantity that AWS Marketplace bills; otherwise zero.
    pub at_aws: Total,
    /// The record's state; `None` if the slot has no record.
    pub state: Option<State>,
    /// Late usage carried out to later hours.
    pub carried_out: Total,
    /// Late usage held for a person to decide.
    pub held: Total,
    /// Usage written off by a person.
    pub written_off: Total,
    /// Usage claimed back for the buyer.
    pub refunded: Total,
    /// Usage of rows that is not counted yet. Negative if more was metered than the sum of the
    /// rows.
    pub uncounted: Total,
}

impl SlotBooks {
    /// Computes a slot's books from its rows, its record and that record's movements.
    pub fn of(
        fold: Option<&DimensionFold>,
        record: Option<&MeteringRecord>,
        movements: &[Movement],
    ) -> Result<Self, Overflow> {
        let mut line = Self {
            own: fold.map_or(Total::ZERO, |f| f.own),
            carried_in: fold.map_or(Total::ZERO, |f| f.carried_in),
            ..Self::default()
        };
        let rows = line.own.plus(line.carried_in)?;
        let Some(record) = record else {
            line.uncounted = rows;
            return Ok(line);
        };
        line.recorded = record.recorded();
        line.state = Some(record.state);
        if record.state == State::Conflict {
            line.at_aws = record.quantity_at_aws().into();
        }
        for movement in movements {
            let place = match movement.kind {
                MovementKind::Carried { .. } => &mut line.carried_out,
                MovementKind::Held => &mut line.held,
                MovementKind::WrittenOff => &mut line.written_off,
                MovementKind::Refunded => &mut line.refunded,
            };
            *place = place.plus(movement.total()?)?;
            match movement.of {
                None => {}
                Some(OF_SHORTFALL) if record.state == State::Conflict => {
                    line.recorded = line.recorded.minus(movement.total()?)?;
                }
                Some(OF_SHORTFALL) => {}
                Some(_) => line.held = line.held.minus(movement.total()?)?,
            }
        }
        line.uncounted = rows.minus(counted(record, movements)?)?;
        Ok(line)
    }
}

/// The sum of the books of many slots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    /// All reported usage. Carried usage counts only in its own hour.
    pub ingested: Total,
    /// Usage that is billed: AWS Marketplace answered Success, or holds it in a slot in conflict.
    pub accepted: Total,
    /// Usage that must still be sealed, sent, or sent again.
    pub pending: Total,
    /// Usage that waits, mostly for a person: held, refused, disputed or unconfirmed.
    pub held: Total,
    /// Usage frozen in dry run.
    pub dry_run: Total,
    /// Usage that was written off, and the shortfalls of slots in conflict.
    pub lost: Total,
    /// Usage that was metered beyond the rows.
    pub over_metered: Total,
    /// Usage that was claimed back for buyers.
    pub refunded: Total,
    /// Late usage carried into these slots.
    pub carried_in: Total,
    /// Late usage carried out of these slots.
    pub carried_out: Total,
    /// The number of records in each state.
    pub records: BTreeMap<State, u64>,
    /// The number of rows that were set aside.
    pub rows_set_aside: u64,
    /// The number of counted rows, including rows of carried usage.
    pub rows: u64,
}

impl Books {
    /// Adds the books of one slot.
    pub fn add(&mut self, line: &SlotBooks) -> Result<(), Overflow> {
        self.ingested = self.ingested.plus(line.own)?;
        self.carried_in = self.carried_in.plus(line.carried_in)?;
        self.carried_out = self.carried_out.plus(line.carried_out)?;
        self.held = self.held.plus(line.held)?;
        self.lost = self.lost.plus(line.written_off)?;
        self.refunded = self.refunded.plus(line.refunded)?;
        if line.uncounted.is_negative() {
            self.over_metered = self.over_metered.minus(line.uncounted)?;
        } else {
            self.pending = self.pending.plus(line.uncounted)?;
        }
        let Some(state) = line.state else {
            return Ok(());
        };
        if state == State::Conflict {
            self.accepted = self.accepted.plus(line.at_aws)?;
        }
        let place = match state {
            State::Accepted => &mut self.accepted,
            State::Sealed => &mut self.pending,
            State::Refused | State::Disputed | State::Unconfirmed => &mut self.held,
            State::Conflict => &mut self.lost,
            State::DryRun => &mut self.dry_run,
            // These records bill nothing. Their usage is in the movements.
            State::Expired | State::Moved => &mut self.pending,
        };
        *place = place.plus(line.recorded.minus(line.at_aws)?)?;
        let count = self.records.entry(state).or_default();
        *count = count.checked_add(1).ok_or(Overflow)?;
        Ok(())
    }

    /// Adds the sum of other slots.
    pub fn merge(&mut self, other: &Self) -> Result<(), Overflow> {
        for (mine, theirs) in [
            (&mut self.ingested, other.ingested),
            (&mut self.accepted, other.accepted),
            (&mut self.pending, other.pending),
            (&mut self.held, other.held),
            (&mut self.dry_run, other.dry_run),
            (&mut self.lost, other.lost),
            (&mut self.over_metered, other.over_metered),
            (&mut self.refunded, other.refunded),
            (&mut self.carried_in, other.carried_in),
            (&mut self.carried_out, other.carried_out),
        ] {
            *mine = mine.plus(theirs)?;
        }
        for (state, count) in &other.records {
            let mine = self.records.entry(*state).or_default();
            *mine = mine.checked_add(*count).ok_or(Overflow)?;
        }
        self.rows_set_aside = self
            .rows_set_aside
            .checked_add(other.rows_set_aside)
            .ok_or(Overflow)?;
        self.rows = self.rows.checked_add(other.rows).ok_or(Overflow)?;
        Ok(())
    }

    /// Whether every unit has exactly one place: all usage that was carried out was carried in
    /// once, and all usage that was ingested is accounted for.
    pub fn is_balanced(&self) -> Result<bool, Overflow> {
        let placed = Total::sum([
            self.accepted,
            self.pending,
            self.held,
            self.dry_run,
            self.lost,
        ])?;
        let expected = self.ingested.plus(self.over_metered)?.plus(self.refunded)?;
        Ok(self.carried_in == self.carried_out && placed == expected)
    }
}

#[cfg(test)]
mod tests;
