//! Counts an hour of a subscription: reads its records and their movements, and folds its rows.

use std::collections::{BTreeMap, BTreeSet};

use marketplace::books::{Books, SlotBooks};
use marketplace::carry_id::origin_hash;
use marketplace::fold::{CarriedRow, DimensionFold, Fold};
use marketplace::recount::{Movement, MovementKind};
use marketplace::slot::Slot;
use marketplace::{Dimension, MeteringRecord, Subscription, Total, UsageHour};

use crate::error::LedgerError;
use crate::{Ledger, content_digest};

/// The records and movements of some hours of one day, read before the rows.
#[derive(Debug, Default)]
pub struct StoredDay {
    hours: BTreeMap<UsageHour, Stored>,
}

impl StoredDay {
    /// The slots of the closed records that have movements, which must expire with their record.
    pub fn closed_with_movements(&self) -> Vec<Slot> {
        let records = self.hours.values().flat_map(|hour| hour.records.values());
        records
            .filter(|record| record.movements > 0 && record.is_closed())
            .map(|record| record.slot.clone())
            .collect()
    }

    /// Removes and returns the records and movements of one hour. The result is empty if nothing is
    /// stored or the hour was taken before.
    pub fn take(&mut self, hour: UsageHour) -> Stored {
        self.hours.remove(&hour).unwrap_or_default()
    }

    /// A digest of all values on which the books depend: each record's key, state and quantities,
    /// and each movement's number, kind and quantities. A record's version is not in it, because it
    /// is also raised when only the time of the next call changes.
    pub fn digest(&self) -> String {
        let mut all = String::new();
        for (hour, stored) in &self.hours {
            for (dimension, record) in &stored.records {
                let (state, quantity) = (record.state, record.quantity);
                let at_aws = record.quantity_at_aws();
                all.push_str(&format!("{hour}#{dimension} {state} {quantity} {at_aws}\n"));
            }
            for (dimension, movements) in &stored.movements {
                for movement in movements {
                    all.push_str(&format!("{hour}#{dimension} {}\n", digest_line(movement)));
                }
            }
        }
        content_digest(&all)
    }
}

/// The values of a movement on which the books depend, as one line of the digest.
fn digest_line(movement: &Movement) -> String {
    let (number, kind) = (movement.number, movement.kind.as_str());
    let mut line = format!("{number} {kind}");
    if let MovementKind::Carried { target, into } = &movement.kind {
        line.push_str(&format!(" to {target}"));
        if let Some(into) = into {
            line.push_str(&format!("#{into}"));
        }
    }
    if let Some(of) = movement.of {
        line.push_str(&format!(" of {of}"));
    }
    for (_, quantity) in &movement.entries {
        line.push_str(&format!(" {quantity}"));
    }
    line
}

/// An hour's records and their movements, by dimension.
#[derive(Debug, Default)]
pub struct Stored {
    records: BTreeMap<Dimension, MeteringRecord>,
    movements: BTreeMap<Dimension, Vec<Movement>>,
}

/// The stored records and movements of an hour, and the fold of its present rows.
#[derive(Debug)]
pub struct HourCount<'d> {
    /// The hour's records by dimension.
    pub records: BTreeMap<Dimension, MeteringRecord>,
    /// The movements of the hour's records by dimension.
    pub movements: BTreeMap<Dimension, Vec<Movement>>,
    /// The fold of the hour's rows.
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

    /// The fold of the rows of one dimension; `None` if no row counts.
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

    /// The sum of the hour's lines.
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

/// An hour that was counted for the books only. Its records may lack their allocations, so this
/// type does not give access to them. It cannot be used to bill or carry usage.
#[derive(Debug)]
pub struct HourBooks<'d>(HourCount<'d>);

impl HourBooks<'_> {
    /// The hour's lines in the books, by dimension.
    pub fn lines(&self) -> Result<Vec<(Dimension, SlotBooks)>, LedgerError> {
        self.0.lines()
    }

    /// The sum of the hour's lines.
    pub fn books(&self) -> Result<Books, LedgerError> {
        self.0.books()
    }

    /// The number of the hour's rows that were set aside.
    pub fn rows_set_aside(&self) -> u64 {
        self.0.fold.rows_set_aside_count()
    }

    /// The hour that was counted.
    pub fn hour(&self) -> UsageHour {
        self.0.fold.hour()
    }

    /// The movements of the hour's records, by dimension.
    pub fn movements(&self) -> &BTreeMap<Dimension, Vec<Movement>> {
        &self.0.movements
    }

    /// The usage that was carried into the hour, by dimension. Dimensions without any are left out.
    pub fn carried_in(&self) -> impl Iterator<Item = (&Dimension, Total)> {
        let dimensions = self.0.fold.dimensions().iter();
        dimensions
            .map(|(dimension, rows)| (dimension, rows.carried_in))
            .filter(|(_, total)| !total.is_zero())
    }
}

impl Ledger {
    /// Reads an hour's rows, strongly consistent, and folds them. A carried row counts only if its
    /// movement exists, and carries exactly this row into the hour.
    pub async fn fold_hour<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<Fold<'d>, LedgerError> {
        let no_records = BTreeMap::new();
        self.fold_beside_records(subscription, hour, &no_records, dimensions_known)
            .await
    }

    /// Folds an hour as [`Ledger::fold_hour`] does. Rows of a dimension that has one of `records`
    /// count even if the product's configuration does not have the dimension any more.
    async fn fold_beside_records<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        records: &BTreeMap<Dimension, MeteringRecord>,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<Fold<'d>, LedgerError> {
        let mut fold = Fold::new(hour, dimensions_known);
        let has_record = |dimension: &str| records.contains_key(dimension);
        self.for_each_row(subscription, hour, |row| {
            fold.add_beside_records(row, has_record)
        })
        .await?;
        // Several rows can name the same movement, which is read only once.
        let mut movements: BTreeMap<_, Option<(Dimension, Movement)>> = BTreeMap::new();
        for row in fold.take_carries() {
            let carry = &row.carry;
            let key = (carry.origin, carry.hash.clone(), carry.movement);
            if !movements.contains_key(&key) {
                let movement = self.movement_of_row(subscription, &row).await?;
                movements.insert(key.clone(), movement);
            }
            let found = movements.get(&key).and_then(Option::as_ref);
            if found.is_some_and(|(origin, movement)| carries(origin, movement, hour, &row)) {
                fold.admit(row)?;
            } else {
                fold.refuse(&row)?;
            }
        }
        Ok(fold)
    }

    /// Counts an hour. It reads the records and movements first and the rows second. So a row that
    /// is put meanwhile can seem late, but a row that is not counted can never seem counted. Every
    /// later write depends on the versions of the records that were read.
    pub async fn count_hour<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<HourCount<'d>, LedgerError> {
        let records = self.records_of_hour(subscription, hour).await?;
        let mut stored = self
            .with_movements(subscription, records, &format!("{hour}#"))
            .await?;
        let Stored { records, movements } = stored.take(hour);
        let fold = self
            .fold_beside_records(subscription, hour, &records, dimensions_known)
            .await?;
        Ok(HourCount {
            records,
            movements,
            fold,
        })
    }

    /// The records and movements of some hours of one day, read with one query instead of one for
    /// each hour. [`Ledger::count_for_books`] needs them.
    pub async fn stored_of_hours(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<StoredDay, LedgerError> {
        let records = self
            .records_without_allocations(subscription, first, last)
            .await?;
        self.with_movements(subscription, records, &first.day())
            .await
    }

    /// Counts an hour as [`Ledger::count_hour`] does, but for the books only. `stored` is the
    /// hour's part of a [`StoredDay`].
    pub async fn count_for_books<'d>(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        stored: Stored,
        dimensions_known: Option<&'d BTreeSet<Dimension>>,
    ) -> Result<HourBooks<'d>, LedgerError> {
        let Stored { records, movements } = stored;
        let fold = self
            .fold_beside_records(subscription, hour, &records, dimensions_known)
            .await?;
        Ok(HourBooks(HourCount {
            records,
            movements,
            fold,
        }))
    }

    /// Adds to the records the movements of the hours whose names begin with `hours`, and sorts
    /// both by hour.
    async fn with_movements(
        &self,
        subscription: &Subscription,
        records: Vec<MeteringRecord>,
        hours: &str,
    ) -> Result<StoredDay, LedgerError> {
        let mut stored = StoredDay::default();
        let have_moved = records.iter().any(|record| record.movements > 0);
        for record in records {
            let hour = stored.hours.entry(record.slot.hour).or_default();
            hour.records.insert(record.slot.dimension.clone(), record);
        }
        if have_moved {
            let movements = self
                .movements_with_prefix(subscription, &format!("c#{hours}"))
                .await?;
            for (hour, dimension, movement) in movements {
                let hour = stored.hours.entry(hour).or_default();
                // A movement that the record does not count yet was made after the record was read.
                // It is left out, and a later write that depends on the record's version fails.
                let record = hour.records.get(&dimension);
                let seen = record.map_or(0, |record| record.movements);
                if movement.number <= seen {
                    hour.movements.entry(dimension).or_default().push(movement);
                }
            }
        }
        Ok(stored)
    }

    /// The movement that a carried row names, and the dimension of that movement.
    async fn movement_of_row(
        &self,
        subscription: &Subscription,
        row: &CarriedRow,
    ) -> Result<Option<(Dimension, Movement)>, LedgerError> {
        let carry = &row.carry;
        if carry.hash == origin_hash(subscription, &row.dimension) {
            let movement = self
                .movement(subscription, carry.origin, &row.dimension, carry.movement)
                .await?;
            return Ok(movement.map(|movement| (row.dimension.clone(), movement)));
        }
        // The movement is of another dimension. The hash does not reveal which one, so the hashes
        // of all movements of the origin's hour are compared with it.
        let movements = self.movements_of_hour(subscription, carry.origin).await?;
        let found = movements.into_iter().find(|(_, dimension, movement)| {
            movement.number == carry.movement && carry.hash == origin_hash(subscription, dimension)
        });
        Ok(found.map(|(_, dimension, movement)| (dimension, movement)))
    }
}

/// Returns whether a movement of the dimension `origin` carries exactly this row into `hour`.
fn carries(origin: &Dimension, movement: &Movement, hour: UsageHour, row: &CarriedRow) -> bool {
    let MovementKind::Carried { target, into } = &movement.kind else {
        return false;
    };
    let entry = usize::try_from(row.carry.entry)
        .ok()
        .and_then(|n| movement.entries.get(n));
    *target == hour
        && into.as_ref().unwrap_or(origin) == &row.dimension
        && entry == Some(&(row.tags.clone(), row.quantity))
}
