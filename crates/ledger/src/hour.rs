//! An hour of a subscription: its records, their movements, and a fresh fold of its rows.

use std::collections::{BTreeMap, BTreeSet};

use marketplace::books::{Books, SlotBooks};
use marketplace::fold::{CarriedRow, DimensionFold, Fold, origin_hash};
use marketplace::planted::{Bug, is_planted};
use marketplace::recount::{Movement, MovementKind};
use marketplace::{Dimension, MeteringRecord, Subscription, UsageHour};

use crate::Ledger;
use crate::error::LedgerError;

/// What is stored about the hours of a subscription, as read before their rows.
#[derive(Debug, Default)]
pub struct Stored {
    hours: BTreeMap<UsageHour, StoredHour>,
}

impl Stored {
    /// What is stored about one of them; nothing, once it was taken.
    pub fn take(&mut self, hour: UsageHour) -> StoredHour {
        self.hours.remove(&hour).unwrap_or_default()
    }
}

/// An hour's records and their movements, by dimension.
#[derive(Debug, Default)]
pub struct StoredHour {
    records: BTreeMap<Dimension, MeteringRecord>,
    movements: BTreeMap<Dimension, Vec<Movement>>,
}

/// What is stored about an hour, and what its rows come to now.
#[derive(Debug)]
pub struct HourCount<'d> {
    /// The hour's records by dimension.
    pub records: BTreeMap<Dimension, MeteringRecord>,
    /// Their movements by dimension.
    pub movements: BTreeMap<Dimension, Vec<Movement>>,
    /// The rows, folded.
    pub fold: Fold<'d>,
}

impl HourCount<'_> {
    /// Every dimension that has rows or a record.
    pub fn dimensions(&self) -> BTreeSet<&Dimension> {
        self.records
            .keys()
            .chain(self.fold.dimensions().keys())
            .collect()
    }

    /// The rows of one dimension, if any count.
    pub fn rows(&self, dimension: &Dimension) -> Option<&DimensionFold> {
        self.fold.dimensions().get(dimension)
    }

    /// The movements of one dimension's record.
    pub fn movements(&self, dimension: &Dimension) -> &[Movement] {
        self.movements.get(dimension).map_or(&[], Vec::as_slice)
    }

    /// The hour's lines in the books, by dimension.
    pub fn lines(&self) -> Result<Vec<(Dimension, SlotBooks)>, LedgerError> {
        self.dimensions()
            .into_iter()
            .map(|dimension| {
                let line = SlotBooks::of(
                    self.rows(dimension),
                    self.records.get(dimension),
                    self.movements(dimension),
                )?;
                Ok((dimension.clone(), line))
            })
            .collect()
    }

    /// The hour's sum.
    pub fn books(&self) -> Result<Books, LedgerError> {
        let mut books = Books::default();
        for (_, line) in self.lines()? {
            books.add(&line)?;
        }
        books.rows = self.fold.dimensions().values().map(|d| d.rows).sum();
        books.rows_set_aside = self.fold.rows_set_aside_count();
        Ok(books)
    }
}

impl Ledger {
    /// Folds an hour's rows, strongly consistent. Carried rows count only if their movement exists
    /// and says the same.
    pub async fn fold_hour<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<Fold<'d>, LedgerError> {
        let mut fold = Fold::new(hour, dimensions_known);
        self.for_each_row(subscription, hour, |row| fold.add(row))
            .await?;
        for row in fold.take_carries() {
            if is_planted(Bug::ForgedCarryCounted)
                || self.is_moved_here(subscription, hour, &row).await?
            {
                fold.admit(row)?;
            } else {
                fold.refuse(&row)?;
            }
        }
        Ok(fold)
    }

    /// Reads records and movements first and the rows second, so that a row can only seem late and
    /// never seem counted; every write that follows is conditional on the records as read.
    pub async fn count_hour<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<HourCount<'d>, LedgerError> {
        let mut stored = self.stored(subscription, &format!("{hour}#")).await?;
        let stored = stored.take(hour);
        self.count_stored(subscription, hour, stored, dimensions_known)
            .await
    }

    /// The records and movements of all hours of a day, in one read instead of one for each hour.
    pub async fn stored_on_day(
        &self,
        subscription: &Subscription,
        day_of: UsageHour,
    ) -> Result<Stored, LedgerError> {
        self.stored(subscription, &day_of.day()).await
    }

    /// The rows of an hour, to what had been stored about it: the second half of a count.
    pub async fn count_stored<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        stored: StoredHour,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<HourCount<'d>, LedgerError> {
        let fold = self.fold_hour(subscription, hour, dimensions_known).await?;
        Ok(HourCount {
            records: stored.records,
            movements: stored.movements,
            fold,
        })
    }

    /// Records and movements of the hours whose names begin with `hours`.
    async fn stored(
        &self,
        subscription: &Subscription,
        hours: &str,
    ) -> Result<Stored, LedgerError> {
        let mut stored = Stored::default();
        let records = self
            .records_with_prefix(subscription, &format!("r#{hours}"))
            .await?;
        let have_moved = records.iter().any(|record| record.movements > 0);
        for record in records {
            let hour = stored.hours.entry(record.key.hour).or_default();
            hour.records.insert(record.key.dimension.clone(), record);
        }
        if have_moved {
            let movements = self
                .movements_with_prefix(subscription, &format!("c#{hours}"))
                .await?;
            for (hour, dimension, movement) in movements {
                let hour = stored.hours.entry(hour).or_default();
                // A movement newer than the record as read belongs to a decision made since: leave
                // it out, and the write conditional on the record's version will fail.
                let record = hour.records.get(&dimension);
                let seen = record.map_or(0, |record| record.movements);
                if movement.number <= seen {
                    hour.movements.entry(dimension).or_default().push(movement);
                }
            }
        }
        Ok(stored)
    }

    /// Whether a row that claims to be carried usage is what a movement brought here.
    async fn is_moved_here(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        row: &CarriedRow,
    ) -> Result<bool, LedgerError> {
        let carry = &row.carry;
        let found = if carry.hash == origin_hash(subscription, &row.dimension) {
            self.movement(subscription, carry.origin, &row.dimension, carry.movement)
                .await?
                .map(|movement| (row.dimension.clone(), movement))
        } else {
            // Of another dimension, which the hash tells only once it is guessed.
            let movements = self.movements_of_hour(subscription, carry.origin).await?;
            movements
                .into_iter()
                .map(|(_, dimension, movement)| (dimension, movement))
                .find(|(dimension, movement)| {
                    movement.number == carry.movement
                        && carry.hash == origin_hash(subscription, dimension)
                })
        };
        let Some((origin, movement)) = found else {
            return Ok(false);
        };
        let MovementKind::Carried { target, into } = &movement.kind else {
            return Ok(false);
        };
        let entry = usize::try_from(carry.entry)
            .ok()
            .and_then(|n| movement.entries.get(n));
        Ok(*target == hour
            && into.as_ref().unwrap_or(&origin) == &row.dimension
            && entry == Some(&(row.tags.clone(), row.quantity)))
    }
}
