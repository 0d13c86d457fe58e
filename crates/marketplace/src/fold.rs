//! Folds the rows of an hour into one quantity per dimension.
//!
//! A bad row does not fail the fold: it is set aside and itemised, and the other rows are metered.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::limits::{ALLOCATIONS_MAX, FOLD_BUCKETS_MAX, FOLD_SET_ASIDE_MAX, RECORD_BYTES_MAX};
use crate::quantity::{Overflow, Quantity, Total};
use crate::record::Allocation;
use crate::subscription::Subscription;
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
    /// Usage of this hour itself.
    pub own: Total,
    /// Late usage carried in from earlier hours.
    pub carried_in: Total,
    /// The number of rows that count.
    pub rows: u64,
    /// The sum of each tag set. The empty set stands for untagged usage.
    pub buckets: BTreeMap<TagSet, Total>,
}

/// A row that is not metered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The row's sort key.
    pub dimension_event: String,
    /// Why it is not metered.
    pub reason: SetAsideReason,
}

/// A row with the reserved id of carried usage. It counts only once its movement is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    /// The row's sort key.
    pub dimension_event: String,
    /// The dimension under which it is billed.
    pub dimension: Dimension,
    /// The movement that the row's id names.
    pub carry: CarryId,
    /// The carried quantity.
    pub quantity: Quantity,
    /// The tags of the quantity.
    pub tags: TagSet,
}

/// The reserved event id of carried usage: `carry:<origin hour>:<hash>:<movement>.<entry>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarryId {
    /// The hour that the usage belongs to.
    pub origin: UsageHour,
    /// The [`origin_hash`] of the subscription and dimension that the usage comes from.
    pub hash: String,
    /// The number of the movement within the record of its origin.
    pub movement: u32,
    /// The number of the tag set within the movement.
    pub entry: u32,
}

/// The 16 hexadecimal digits that identify the origin of carried usage in its event id.
pub fn origin_hash(subscription: &Subscription, dimension: &Dimension) -> String {
    let mut hasher = Sha256::new();
    hasher.update(subscription.to_string());
    hasher.update(b"\n");
    hasher.update(dimension.as_str());
    hasher
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl std::fmt::Display for CarryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            origin,
            hash,
            movement,
            entry,
        } = self;
        write!(f, "{CARRY_PREFIX}{origin}:{hash}:{movement}.{entry}")
    }
}

impl CarryId {
    /// Reads an event id; `None` if it does not have this form.
    pub fn read(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix(CARRY_PREFIX)?.splitn(3, ':');
        let (origin, hash, numbers) = (parts.next()?, parts.next()?, parts.next()?);
        let (movement, entry) = numbers.split_once('.')?;
        let carry = Self {
            origin: origin.parse().ok()?,
            hash: hash.to_owned(),
            movement: movement.parse().ok()?,
            entry: entry.parse().ok()?,
        };
        // Other spellings of the same values are not accepted.
        (carry.to_string() == id).then_some(carry)
    }
}

impl<'d> Fold<'d> {
    /// An empty fold of `hour`. Rows of dimensions outside `dimensions_known` are set aside. With
    /// `None`, for a product without a configuration, rows of every dimension count.
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

    /// Adds one row. A bad row is set aside; the only error is an overflow.
    pub fn add(&mut self, row: &UsageRow<'_>) -> Result<(), Overflow> {
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

    /// Removes and returns the rows of carried usage. The caller looks up the movement of each, and
    /// must admit or refuse it.
    pub fn take_carries(&mut self) -> Vec<CarriedRow> {
        std::mem::take(&mut self.carries)
    }

    /// Counts a row of carried usage whose movement was found with the same content. Its dimension
    /// need not be in the configuration any more, because its origin's was.
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

    /// The sums of each dimension that has rows that count.
    pub fn dimensions(&self) -> &BTreeMap<Dimension, DimensionFold> {
        &self.by_dimension
    }

    /// The first [`FOLD_SET_ASIDE_MAX`] rows that were set aside.
    pub fn rows_set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// How many rows were set aside in all.
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
    pub fn freeze(&self) -> Result<Frozen, Overflow> {
        let total = self.total()?;
        let Some(quantity) = total.to_quantity() else {
            // The sum is above the maximum. The rest is late usage of this hour, and the next
            // recount finds it.
            return Ok(Frozen {
                quantity: Quantity::MAX,
                allocations: Vec::new(),
                complete: false,
            });
        };
        let mut tagged: Vec<(&TagSet, Quantity)> = Vec::new();
        for (tags, bucket) in &self.buckets {
            if let Some(quantity) = bucket.to_quantity()
                && !tags.is_untagged()
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
        Ok(Frozen {
            quantity,
            allocations,
            complete: true,
        })
    }
}

/// The frozen content of a record. It is sent byte-identical until the record has an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
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
mod tests {
    use super::*;
    use crate::usage::Field;
    use proptest::prelude::*;

    const HOUR: &str = "2026-11-21T02";

    fn row(key: String, quantity: &str, team: Option<&str>) -> UsageRow<'static> {
        UsageRow {
            dimension_event: key.into(),
            quantity: Field::Value(quantity.to_owned().into()),
            time: Field::Value("2026-11-21T02:15:00Z".into()),
            tags: team.map_or(Field::Absent, |team| {
                Field::Value([("team".to_owned(), team.to_owned())].into())
            }),
        }
    }

    fn fold<'d>(rows: &[UsageRow<'_>], known: Option<&'d BTreeSet<Dimension>>) -> Fold<'d> {
        let mut fold = Fold::new(HOUR.parse().unwrap(), known);
        for row in rows {
            fold.add(row).unwrap();
        }
        fold
    }

    #[test]
    fn a_dimension_does_not_swallow_another_whose_name_begins_alike() {
        let rows = [
            row("gb#1".into(), "1", None),
            row("gb#x#1".into(), "2", None),
        ];
        let fold = fold(&rows, None);
        let totals: Vec<_> = fold
            .dimensions()
            .iter()
            .map(|(name, share)| (name.as_str(), share.total().unwrap().to_string()))
            .collect();
        assert_eq!(totals, [("gb", "1".to_owned()), ("gb#x", "2".to_owned())]);
    }

    #[test]
    fn a_bad_row_is_set_aside_and_its_siblings_are_metered() {
        let known = BTreeSet::from(["gb".parse().unwrap()]);
        let rows = [
            row("gb#1".into(), "1.000001", None),
            row("gb#2".into(), "-1", None),
            row("seats#3".into(), "1", None),
            row("gb#carry:nonsense".into(), "1", None),
        ];
        let fold = fold(&rows, Some(&known));
        assert_eq!(
            fold.dimensions()["gb"].total().unwrap().to_string(),
            "1.000001"
        );
        let codes: Vec<_> = fold
            .rows_set_aside()
            .iter()
            .map(|s| s.reason.code())
            .collect();
        assert_eq!(
            codes,
            ["invalid-quantity", "unknown-dimension", "reserved-id"]
        );
    }

    #[test]
    fn carried_rows_wait_for_their_movement() {
        let carry = CarryId {
            origin: "2026-11-21T00".parse().unwrap(),
            hash: "0123456789abcdef".into(),
            movement: 1,
            entry: 0,
        };
        let mut fold = fold(&[row(format!("gb#{carry}"), "2", None)], None);
        assert!(fold.dimensions().is_empty());
        let carries = fold.take_carries();
        assert_eq!(carries[0].carry, carry);
        fold.refuse(&carries[0]).unwrap();
        assert_eq!(fold.rows_set_aside_count(), 1);
        fold.admit(carries[0].clone()).unwrap();
        assert_eq!(fold.dimensions()["gb"].carried_in.to_string(), "2");
        assert!(fold.dimensions()["gb"].own.is_zero());
    }

    #[test]
    fn tagged_usage_is_allocated_and_the_rest_is_untagged() {
        let rows = [
            row("gb#1".into(), "1", Some("a")),
            row("gb#2".into(), "2", Some("b")),
            row("gb#3".into(), "0.5", None),
            row("gb#4".into(), "1", Some("a")),
        ];
        let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
        assert_eq!(frozen.quantity.to_string(), "4.5");
        let split: Vec<_> = frozen
            .allocations
            .iter()
            .map(|a| (a.tags.len(), a.quantity.to_string()))
            .collect();
        assert_eq!(
            split,
            [
                (0, "0.5".to_owned()),
                (1, "2".to_owned()),
                (1, "2".to_owned())
            ]
        );
    }

    #[test]
    fn too_many_tag_sets_merge_into_the_untagged_bucket_and_the_sum_stays() {
        let rows: Vec<_> = (1..=3_000)
            .map(|n| {
                row(
                    format!("gb#{n}"),
                    &n.to_string(),
                    Some(&format!("team-{n}")),
                )
            })
            .collect();
        let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
        assert_eq!(frozen.allocations.len(), ALLOCATIONS_MAX);
        let sum = Total::sum(frozen.allocations.iter().map(|a| a.quantity)).unwrap();
        assert_eq!(sum, Total::from(frozen.quantity));
        assert_eq!(
            frozen.allocations[0].quantity.to_string(),
            (1..=501).sum::<u64>().to_string()
        );
    }

    #[test]
    fn a_fold_keeps_so_many_tag_sets_and_the_rest_is_untagged() {
        let mut share = DimensionFold::default();
        let tags =
            |n: usize| TagSet::try_from(crate::tags::Tags::from([("n".to_owned(), n.to_string())]));
        for n in (0..=FOLD_BUCKETS_MAX).chain([0]) {
            share.add("1".parse().unwrap(), tags(n).unwrap()).unwrap();
        }
        let of = |tags: &TagSet| share.buckets[tags].to_string();
        assert_eq!(share.buckets.len(), FOLD_BUCKETS_MAX + 1);
        assert_eq!(
            (of(&TagSet::untagged()), of(&tags(0).unwrap())),
            ("1".into(), "2".into())
        );
    }

    #[test]
    fn so_many_rows_set_aside_are_named_and_all_are_counted() {
        let rows: Vec<_> = (0..=FOLD_SET_ASIDE_MAX)
            .map(|n| row(format!("gb#{n}"), "-1", None))
            .collect();
        let fold = fold(&rows, None);
        assert_eq!(fold.rows_set_aside().len(), FOLD_SET_ASIDE_MAX);
        assert_eq!(fold.rows_set_aside_count(), 1_001);
    }

    #[test]
    fn no_allocation_is_of_nothing() {
        let rows = [
            row("gb#1".into(), "1", Some("a")),
            row("gb#2".into(), "0", Some("b")),
        ];
        let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
        let quantities: Vec<_> = frozen
            .allocations
            .iter()
            .map(|a| a.quantity.to_string())
            .collect();
        assert_eq!(quantities, ["1"]);
    }

    #[test]
    fn allocations_that_a_request_cannot_hold_are_untagged() {
        let long = "x".repeat(250);
        let tags = |n: usize| {
            let tags = (0..5).map(|k| (format!("key{k}"), format!("{n}-{k}-{long}")));
            TagSet::try_from(tags.collect::<crate::tags::Tags>()).unwrap()
        };
        let mut share = DimensionFold::default();
        for n in 0..1_000 {
            share.add_own("2".parse().unwrap(), tags(n)).unwrap();
        }
        let frozen = share.freeze().unwrap();
        let bytes: usize = frozen
            .allocations
            .iter()
            .map(|a| allocation_bytes(&a.tags))
            .sum();
        let largest = allocation_bytes(&tags(999));
        assert!(bytes <= RECORD_BYTES_MAX + allocation_bytes(&TagSet::untagged()));
        assert!(bytes > RECORD_BYTES_MAX - largest, "{bytes}");
        let sum = Total::sum(frozen.allocations.iter().map(|a| a.quantity)).unwrap();
        assert_eq!(sum.to_string(), "2000");
    }

    #[test]
    fn an_allocations_bytes_are_never_underestimated() {
        let tags = |key: &str, value: &str| {
            TagSet::try_from(crate::tags::Tags::from([(
                key.to_owned(),
                value.to_owned(),
            )]))
            .unwrap()
        };
        assert_eq!(allocation_bytes(&TagSet::untagged()), 64);
        assert_eq!(allocation_bytes(&tags("ab", "c")), 64 + 24 + 3);
        // JSON escapes the quotation mark.
        assert_eq!(allocation_bytes(&tags("a", "\"b")), 64 + 24 + 1 + 3);
    }

    #[test]
    fn an_origins_name_in_a_carry_never_changes() {
        let subscription = "legacy|code|cust".parse().unwrap();
        let hash = origin_hash(&subscription, &"gb".parse().unwrap());
        // The first half of a SHA-256 of "legacy|code|cust\ngb". Stored rows contain it.
        assert_eq!(hash, "3b98929c40bd8639");
    }

    #[test]
    fn above_the_maximum_the_record_is_full_and_says_so() {
        let rows = [
            row("gb#1".into(), "9999999999.999999", None),
            row("gb#2".into(), "1", Some("a")),
        ];
        let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
        assert_eq!((frozen.quantity, frozen.complete), (Quantity::MAX, false));
    }

    proptest! {
        #[test]
        fn the_fold_is_the_sum_in_any_order(
            mut rows in proptest::collection::vec((0u64..=10_000_000_000, 0usize..4, 0usize..3), 1..60).prop_shuffle(),
        ) {
            let make = |rows: &[(u64, usize, usize)]| {
                let rows: Vec<_> = rows.iter().enumerate().map(|(n, (micros, team, dimension))| {
                    let quantity = Quantity::from_micros(*micros).unwrap().to_string();
                    let team = ["a", "b", "c"].get(*team).copied();
                    row(format!("{}#{n}", ["gb", "gb#x", "seats"][*dimension]), &quantity, team)
                }).collect();
                fold(&rows, None).dimensions().iter().map(|(d, f)| (d.to_string(), f.freeze().unwrap())).collect::<Vec<_>>()
            };
            let frozen = make(&rows);
            let expected: u64 = rows.iter().map(|(micros, ..)| micros).sum();
            let total = Total::sum(frozen.iter().map(|(_, f)| f.quantity)).unwrap();
            prop_assert_eq!(total.micros(), i128::from(expected));
            rows.reverse();
            prop_assert_eq!(make(&rows), frozen);
        }
    }
}
