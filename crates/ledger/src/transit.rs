//! Late usage on its way from one slot to another.

use std::collections::BTreeMap;

use marketplace::recount::{Movement, MovementKind};
use marketplace::{Dimension, Total, UsageHour};

use crate::books::Unbalanced;
use crate::day::{DaySums, Slots};
use crate::error::LedgerError;
use crate::hour::HourBooks;

/// Late usage by slot: the usage that was sent to the slot, and the usage that arrived in it.
#[derive(Debug, Default)]
pub struct Transit {
    /// The usage that movements sent to each slot.
    pub sent: Slots,
    /// The usage that was carried into each slot, according to its rows.
    pub arrived: Slots,
}

impl Transit {
    /// Adds the usage that the movements of an hour sent to other hours, and the usage that was
    /// carried into the hour according to its rows.
    pub fn add(&mut self, count: &HourBooks<'_>) -> Result<(), LedgerError> {
        for (origin, movements) in count.movements() {
            for movement in movements {
                self.send(origin, movement)?;
            }
        }
        for (dimension, total) in count.carried_in() {
            let slot = (count.hour(), dimension.clone());
            let arrived = self.arrived.entry(slot).or_default();
            *arrived = arrived.plus(total)?;
        }
        Ok(())
    }

    /// Adds the usage that a movement sent to another hour. `origin` is the dimension of the
    /// movement's slot.
    pub fn send(&mut self, origin: &Dimension, movement: &Movement) -> Result<(), LedgerError> {
        if let MovementKind::Carried { target, into } = &movement.kind {
            let into = into.as_ref().unwrap_or(origin).clone();
            let sent = self.sent.entry((*target, into)).or_default();
            *sent = sent.plus(movement.total()?)?;
        }
        Ok(())
    }

    /// Adds the sums of a day.
    pub fn add_day(&mut self, day: &DaySums) -> Result<(), LedgerError> {
        for (mine, theirs) in [
            (&mut self.sent, &day.sent),
            (&mut self.arrived, &day.arrived),
        ] {
            for (slot, total) in theirs {
                let sum = mine.entry(slot.clone()).or_default();
                *sum = sum.plus(total)?;
            }
        }
        Ok(())
    }

    /// Returns the slots in which late usage did not arrive as it was sent. Only slots of hours
    /// that were read are examined.
    pub fn unbalanced(self, was_read: impl Fn(UsageHour) -> bool) -> Vec<Unbalanced> {
        let mut slots: BTreeMap<_, (Total, Total)> = BTreeMap::new();
        for (slot, sent) in self.sent {
            slots.entry(slot).or_default().0 = sent;
        }
        for (slot, arrived) in self.arrived {
            slots.entry(slot).or_default().1 = arrived;
        }
        slots
            .into_iter()
            .filter(|((hour, _), (sent, arrived))| was_read(*hour) && sent != arrived)
            .map(|((hour, dimension), (sent, arrived))| Unbalanced {
                hour,
                dimension,
                sent,
                arrived,
            })
            .collect()
    }
}
