//! The rules for quantities, allocations and tags that `BatchMeterUsage` and `MeterUsage` share.
//!
//! Facts: M12, M13, M14, M15 (docs/marketplace-rules.md).

use std::collections::BTreeSet;

use thiserror::Error;

use crate::limits::TAGS_MAX;
use crate::model::{GivenQuantity, Tag, UsageAllocation};
use crate::quantity::Quantity;
use crate::readings::FiveTags;
use crate::world::MeteredAllocation;

/// Why a quantity with its allocations cannot be metered.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum QuantityError {
    #[error(
        "gives both {integer} ({integer_member}) and '{decimal}' ({integer_member}AsDecimal); give one of them"
    )]
    Both {
        integer_member: &'static str,
        integer: u32,
        decimal: String,
    },
    #[error("allocation {place} has no quantity; give each its share")]
    NoQuantity { place: usize },
    #[error(
        "allocation {place} gives its quantity as {given}, but the record gives its own as {record}; use one kind for both"
    )]
    MixedKinds {
        place: usize,
        given: &'static str,
        record: &'static str,
    },
    #[error("the allocations sum to {sum}, but the record's quantity is {quantity}")]
    Sum { sum: String, quantity: Quantity },
    #[error("allocations {first} and {second} have the same tags; merge them")]
    SameTags { first: usize, second: usize },
    #[error("allocation {place} uses the tag key '{key}' twice")]
    RepeatedKey { place: usize, key: String },
    #[error(
        "the allocations use {count} tag keys; at most {TAGS_MAX} are allowed for one usage record"
    )]
    TooManyKeys { count: usize },
}

impl QuantityError {
    /// The name of the exception that AWS answers with.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            QuantityError::Both { .. } => "ValidationException",
            QuantityError::NoQuantity { .. }
            | QuantityError::MixedKinds { .. }
            | QuantityError::Sum { .. }
            | QuantityError::SameTags { .. } => "InvalidUsageAllocationsException",
            QuantityError::RepeatedKey { .. } | QuantityError::TooManyKeys { .. } => {
                "InvalidTagException"
            }
        }
    }
}

/// The allocations in the form in which a slot stores them. `None` if none were sent.
pub(crate) type Shares = Option<Box<[MeteredAllocation]>>;

/// Checks a quantity and its allocations. Returns the allocations in the form in which a slot
/// stores them.
pub(crate) fn check(
    quantity: &GivenQuantity,
    allocations: Option<&[UsageAllocation]>,
    member: &'static str,
    reading: FiveTags,
) -> Result<Shares, QuantityError> {
    not_both(quantity, member)?;
    let Some(allocations) = allocations else {
        return Ok(None);
    };
    let mut sum = Quantity::default();
    let mut kept = Vec::with_capacity(allocations.len());
    for (index, allocation) in allocations.iter().enumerate() {
        let place = index + 1;
        not_both(&allocation.quantity, "AllocatedUsageQuantity")?;
        same_kind(place, &allocation.quantity, quantity)?;
        let share = allocation.quantity.value();
        sum = sum.checked_add(share).ok_or(QuantityError::Sum {
            sum: "more than any quantity can be".to_owned(),
            quantity: quantity.value(),
        })?;
        kept.push(MeteredAllocation {
            quantity: share.to_string(),
            tags: sorted_tags(place, allocation)?,
        });
    }
    if sum != quantity.value() {
        return Err(QuantityError::Sum {
            sum: sum.to_string(),
            quantity: quantity.value(),
        });
    }
    unique_tag_sets(&kept)?;
    if reading == FiveTags::PerRecord {
        five_keys(&kept)?;
    }
    Ok(Some(kept.into_boxed_slice()))
}

fn not_both(quantity: &GivenQuantity, member: &'static str) -> Result<(), QuantityError> {
    match quantity {
        GivenQuantity::Both(both) => Err(QuantityError::Both {
            integer_member: member,
            integer: both.integer,
            decimal: both.decimal.clone(),
        }),
        _ => Ok(()),
    }
}

fn same_kind(
    place: usize,
    share: &GivenQuantity,
    whole: &GivenQuantity,
) -> Result<(), QuantityError> {
    const INTEGER: &str = "an integer";
    const DECIMAL: &str = "a decimal";
    let (given, record) = match (share, whole) {
        (GivenQuantity::Absent, _) => return Err(QuantityError::NoQuantity { place }),
        (GivenQuantity::Integer(_), GivenQuantity::Decimal(..)) => (INTEGER, DECIMAL),
        (GivenQuantity::Decimal(..), GivenQuantity::Integer(_)) => (DECIMAL, INTEGER),
        _ => return Ok(()),
    };
    Err(QuantityError::MixedKinds {
        place,
        given,
        record,
    })
}

fn sorted_tags(place: usize, allocation: &UsageAllocation) -> Result<Vec<Tag>, QuantityError> {
    let mut tags = allocation.tags.clone().unwrap_or_default();
    tags.sort();
    let repeated = tags
        .iter()
        .zip(tags.iter().skip(1))
        .find(|(a, b)| a.key == b.key);
    match repeated {
        Some((tag, _)) => Err(QuantityError::RepeatedKey {
            place,
            key: tag.key.clone(),
        }),
        None => Ok(tags),
    }
}

fn unique_tag_sets(allocations: &[MeteredAllocation]) -> Result<(), QuantityError> {
    let mut sets: Vec<(&[Tag], usize)> = allocations
        .iter()
        .enumerate()
        .map(|(index, allocation)| (allocation.tags.as_slice(), index + 1))
        .collect();
    sets.sort();
    for ((tags, first), (next, second)) in sets.iter().zip(sets.iter().skip(1)) {
        if tags == next {
            return Err(QuantityError::SameTags {
                first: *first,
                second: *second,
            });
        }
    }
    Ok(())
}

/// The stricter reading: all allocations of a record together may use five tag keys.
fn five_keys(allocations: &[MeteredAllocation]) -> Result<(), QuantityError> {
    let keys: BTreeSet<&str> = allocations
        .iter()
        .flat_map(|allocation| allocation.tags.iter().map(|tag| tag.key.as_str()))
        .collect();
    match keys.len() {
        0..=TAGS_MAX => Ok(()),
        count => Err(QuantityError::TooManyKeys { count }),
    }
}
