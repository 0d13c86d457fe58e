//! Folds the rows of an hour into one quantity per dimension.
//!
//! A bad row does not fail the fold: it is set aside and itemised, and the other rows are metered.

use std::collections::{BTreeMap, BTreeSet};

use crate::carry_id::CarryId;
use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::limits::{ALLOCATIONS_MAX, FOLD_BUCKETS_MAX, FOLD_SET_ASIDE_MAX, RECORD_BYTES_MAX};
use crate::quantity::{Overflow, Quantity, Total};
use crate::record::Allocation;
use crate::tags::TagSet;
use crate::usage::{CARRY_PREFIX, SetAsideReason, UsageRow, check_row};

/// The sums of the rows of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold<'d> {
    hour: UsageHour,
    dimensions_known: Option<&'d BTreeSet<Dimension>>,
    by_dimension: BTreeMap<Dimension, DimensionFold>,
    carries: Vec<CarriedRow>,
    set_aside: Vec<SetAside>,
    set_aside_count: u64,
}

/// The sums of one dimension in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DimensionFold {
    /// Usage of this hour itself, without carried usage.
    pub own: Total,
    /// Late usage carried in from earlier hours.
    pub carried_in: Total,
    /// The number of rows that were added up.
    pub rows: u64,
    /// The sum of each tag set. The empty set stands for untagged usage.
    pub buckets: BTreeMap<TagSet, Total>,
}

/// A row that is not metered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The row's sort key.
    pub dimension_event: String,
    /// The reason why the row is not metered.
    pub reason: SetAsideReason,
}

/// A row with the reserved id of carried usage. It does not count until its movement is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    /// The row's sort key.
    pub dimension_event: String,
    /// The dimension under which it is billed.
    pub dimension: Dimension,
    /// The movement that the row's id names.
    pub carry: CarryId,
    /// The quantity that was carried.
    pub quantity: Quantity,
    /// The tags of the quantity.
    pub tags: TagSet,
}

impl<'d> Fold<'d> {
    /// An empty fold of `hour`. Rows of dimensions outside `dimensions_known` are set aside, unless
    /// the hour has a record of the dimension. `None` stands for a product without a configuration.
    /// Then rows of every dimension count.
    pub fn new(hour: UsageHour, dimensions_known: Option<&'d BTreeSet<Dimension>>) -> Self {
        Self {
            hour,
            dimensions_known,
            by_dimension: BTreeMap::new(),
            carries: Vec::new(),
            set_aside: Vec::new(),
            set_aside_count: 0,
        }
    }

    /// Adds one row of an hour without records. A bad row is set aside; the only error is an
    /// overflow.
    pub fn add(&mut self, row: &UsageRow<'_>) -> Result<(), Overflow> {
        self.add_beside_records(row, |_| false)
    }

    /// Adds one row as [`Fold::add`] does. A row whose dimension has a record in this hour counts
    /// even if the product's configuration does not have the dimension any more. Otherwise usage
    /// that was billed correctly would look over-metered after its dimension was removed.
    pub fn add_beside_records(
        &mut self,
        row: &UsageRow<'_>,
        has_record: impl Fn(&str) -> bool,
    ) -> Result<(), Overflow> {
        let checked = match check_row(row, self.hour) {
            Ok(checked) => checked,
            Err(reason) => return self.set_aside(&row.dimension_event, reason),
        };
        if checked.id.starts_with(CARRY_PREFIX) {
            let read = CarryId::read(checked.id).zip(checked.dimension.parse().ok());
            let Some((carry, dimension)) = read else {
                let reason = SetAsideReason::ForeignCarry(checked.id.to_owned());
                return self.set_aside(&row.dimension_event, reason);
            };
            self.carries.push(CarriedRow {
                dimension_event: row.dimension_event.clone().into_owned(),
                dimension,
                carry,
                quantity: checked.quantity,
                tags: checked.tags,
            });
            return Ok(());
        }
        if let Some(known) = self.dimensions_known
            && !known.contains(checked.dimension)
            && !has_record(checked.dimension)
        {
            let reason = SetAsideReason::UnknownDimension(checked.dimension.to_owned());
            return self.set_aside(&row.dimension_event, reason);
        }
        if let Some(dimension) = self.by_dimension.get_mut(checked.dimension) {
            return dimension.add_own(checked.quantity, checked.tags);
        }
        match checked.dimension.parse::<Dimension>() {
            Ok(dimension) => self
                .by_dimension
                .entry(dimension)
                .or_default()
                .add_own(checked.quantity, checked.tags),
            Err(_) => {
                let reason = SetAsideReason::Key(checked.dimension.to_owned());
                self.set_aside(&row.dimension_event, reason)
            }
        }
    }

    /// Removes and returns the rows of carried usage. The caller looks up the movement of each row,
    /// and must admit or refuse the row.
    pub fn take_carries(&mut self) -> Vec<CarriedRow> {
        std::mem::take(&mut self.carries)
    }

    /// Counts a row of carried usage whose movement was found with the same content. Its dimension
    /// may be missing in the configuration, because the usage was checked in the hour that it comes
    /// from.
    pub fn admit(&mut self, row: CarriedRow) -> Result<(), Overflow> {
        self.by_dimension
            .entry(row.dimension)
            .or_default()
            .add_carried(row.quantity, row.tags)
    }

    /// Sets a row of carried usage aside, because its movement does not exist or has other content.
    pub fn refuse(&mut self, row: &CarriedRow) -> Result<(), Overflow> {
        let reason = SetAsideReason::ForeignCarry(row.carry.to_string());
        self.set_aside(&row.dimension_event, reason)
    }

    /// The sums of each dimension that has counted rows.
    pub fn dimensions(&self) -> &BTreeMap<Dimension, DimensionFold> {
        &self.by_dimension
    }

    /// The first [`FOLD_SET_ASIDE_MAX`] rows that were set aside.
    pub fn rows_set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// The number of all rows that were set aside.
    pub fn rows_set_aside_count(&self) -> u64 {
        self.set_aside_count
    }

    /// The hour of the fold.
    pub fn hour(&self) -> UsageHour {
        self.hour
    }

    fn set_aside(&mut self, dimension_event: &str, reason: SetAsideReason) -> Result<(), Overflow> {
        self.set_aside_count = self.set_aside_count.checked_add(1).ok_or(Overflow)?;
        if self.set_aside.len() < FOLD_SET_ASIDE_MAX {
            self.set_aside.push(SetAside {
                dimension_event: dimension_event.to_owned(),
                reason,
            });
        }
        Ok(())
    }
}

impl DimensionFold {
    fn add_own(&mut self, quantity: Quantity, tags: TagSet) -> Result<(), Overflow> {
        self.own = self.own.plus(quantity)?;
        self.add(quantity, tags)
    }

    fn add_carried(&mut self, quantity: Quantity, tags: TagSet) -> Result<(), Overflow> {
        self.carried_in = self.carried_in.plus(quantity)?;
        self.add(quantity, tags)
    }

    fn add(&mut self, quantity: Quantity, tags: TagSet) -> Result<(), Overflow> {
        self.rows = self.rows.checked_add(1).ok_or(Overflow)?;
        let fits = self.buckets.len() < FOLD_BUCKETS_MAX || self.buckets.contains_key(&tags);
        let tags = if fits { tags } else { TagSet::untagged() };
        let bucket = self.buckets.entry(tags).or_default();
        *bucket = bucket.plus(quantity)?;
        Ok(())
    }

    /// The sum of own and carried usage.
    pub fn total(&self) -> Result<Total, Overflow> {
        self.own.plus(self.carried_in)
    }

    /// The content of the slot's record. It is incomplete if one record cannot hold the whole sum.
    pub fn freeze(&self) -> Result<RecordContent, Overflow> {
        let total = self.total()?;
        let Some(quantity) = total.to_quantity() else {
            // The sum is above the maximum. The rest is late usage of this hour, and the next
            // recount finds it.
            return Ok(RecordContent {
                quantity: Quantity::MAX,
                allocations: Vec::new(),
                complete: false,
            });
        };
        let mut tagged: Vec<(&TagSet, Quantity)> = Vec::new();
        for (tags, bucket) in &self.buckets {
            if let Some(quantity) = bucket.to_quantity()
                && !tags.is_empty()
                && quantity > Quantity::ZERO
            {
                tagged.push((tags, quantity));
            }
        }
        let kept = keep_what_fits(tagged);
        let allocated = Total::sum(kept.iter().map(|(_, quantity)| *quantity))?;
        let mut allocations: Vec<Allocation> = kept
            .into_iter()
            .map(|(tags, quantity)| Allocation {
                tags: tags.clone(),
                quantity,
            })
            .collect();
        let rest = Total::from(quantity).minus(allocated)?;
        if !allocations.is_empty()
            && let Some(rest) = rest.to_quantity()
            && rest > Quantity::ZERO
        {
            allocations.insert(
                0,
                Allocation {
                    tags: TagSet::untagged(),
                    quantity: rest,
                },
            );
        }
        Ok(RecordContent {
            quantity,
            allocations,
            complete: true,
        })
    }
}

/// The frozen content of a record. It is sent byte-identical until the record has an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordContent {
    /// The quantity of the record.
    pub quantity: Quantity,
    /// The split by tags, whose sum equals the quantity; empty if no usage is tagged.
    pub allocations: Vec<Allocation>,
    /// Whether the record holds the whole sum; `false` if the sum exceeds what a record can hold.
    pub complete: bool,
}

/// Keeps the largest allocations within AWS's limits of number and size, sorted by their tags. The
/// caller bills the rest as untagged.
fn keep_what_fits(mut tagged: Vec<(&TagSet, Quantity)>) -> Vec<(&TagSet, Quantity)> {
    let room = ALLOCATIONS_MAX.saturating_sub(1);
    let bytes: usize = tagged.iter().fold(0, |sum: usize, (tags, _)| {
        sum.saturating_add(allocation_bytes(tags))
    });
    if tagged.len() <= room && bytes <= RECORD_BYTES_MAX {
        return tagged;
    }
    tagged.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    tagged.truncate(room);
    let mut left = RECORD_BYTES_MAX;
    tagged.retain(|(tags, _)| match left.checked_sub(allocation_bytes(tags)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    tagged.sort_by(|a, b| a.0.cmp(b.0));
    tagged
}

/// Upper bound of the bytes of an allocation's JSON. Quotation marks count twice: they are the only
/// characters of a tag that JSON escapes.
pub fn allocation_bytes(tags: &TagSet) -> usize {
    const QUANTITY: usize = 64;
    const TAG: usize = 24;
    let escaped = |text: &str| {
        let quotes = text.bytes().filter(|b| *b == b'"').count();
        text.len().saturating_add(quotes)
    };
    tags.iter().fold(QUANTITY, |sum, (key, value)| {
        sum.saturating_add(TAG)
            .saturating_add(escaped(key))
            .saturating_add(escaped(value))
    })
}

#[cfg(test)]
mod tests;
