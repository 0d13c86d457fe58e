//! The parts that all metering requests share: timestamps, quantities, allocations and tags.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Number;

use super::reader::{Members, ShapeError};
use super::shapes::{DECIMAL, TAG_KEY, TAG_VALUE};
use crate::limits::{ALLOCATIONS_MAX, QUANTITY_MAX, TAGS_MAX};
use crate::quantity::Quantity;

/// A timestamp, both as it was sent and as a moment in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Stamp {
    sent: Number,
    #[serde(skip)]
    pub(crate) at: Timestamp,
}

impl Stamp {
    /// Reads a required timestamp. An absent timestamp is a violation, and the epoch is returned.
    pub(crate) fn read(members: &mut Members<'_>, name: &'static str) -> Result<Stamp, ShapeError> {
        if let Some(stamp) = Stamp::read_optional(members, name)? {
            return Ok(stamp);
        }
        members.missing(name);
        Ok(Stamp {
            sent: Number::from(0),
            at: Timestamp::UNIX_EPOCH,
        })
    }

    pub(crate) fn read_optional(
        members: &mut Members<'_>,
        name: &'static str,
    ) -> Result<Option<Stamp>, ShapeError> {
        let Some(sent) = members.number(name)? else {
            return Ok(None);
        };
        match moment(&sent) {
            Some(at) => Ok(Some(Stamp { sent, at })),
            None => Err(ShapeError::Serialization(format!(
                "The value {sent} of '{name}' is not a timestamp in epoch seconds"
            ))),
        }
    }
}

fn moment(sent: &Number) -> Option<Timestamp> {
    if let Some(seconds) = sent.as_i64() {
        return Timestamp::from_second(seconds).ok();
    }
    // A float is precise enough for a fraction of a second. No quantity is read in this way.
    let micros = (sent.as_f64()? * 1e6).round();
    if micros.abs() > 9e18 {
        return None;
    }
    Timestamp::from_microsecond(micros as i64).ok()
}

/// A quantity in the form in which it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GivenQuantity {
    /// Neither member was sent, which means 0.
    Absent,
    /// The integer member was sent.
    Integer(u32),
    /// The decimal member was sent: its text and its value.
    Decimal(Box<str>, Quantity),
    /// Both members were sent, although they exclude each other. The rules refuse it.
    Both(Box<QuantityConflict>),
}

/// The two members of a quantity that has both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuantityConflict {
    pub(crate) integer: u32,
    pub(crate) decimal: String,
}

impl GivenQuantity {
    pub(crate) fn read(
        members: &mut Members<'_>,
        integer: &'static str,
        decimal: &'static str,
    ) -> Result<GivenQuantity, ShapeError> {
        let whole = members.integer(integer, 0, QUANTITY_MAX)?;
        let text = members.string(decimal, &DECIMAL)?;
        // A value outside the limits is a violation already, so its replacement is never used.
        let whole = whole.map(|n| u32::try_from(n).unwrap_or(0));
        Ok(match (whole, text) {
            (None, None) => GivenQuantity::Absent,
            (Some(n), None) => GivenQuantity::Integer(n),
            (None, Some(text)) => {
                let value = Quantity::from_decimal(&text).unwrap_or_default();
                GivenQuantity::Decimal(text.into_boxed_str(), value)
            }
            (Some(integer), Some(decimal)) => {
                GivenQuantity::Both(Box::new(QuantityConflict { integer, decimal }))
            }
        })
    }

    /// The value. It is 0 if neither member was sent, or both.
    pub(crate) fn value(&self) -> Quantity {
        match self {
            GivenQuantity::Absent | GivenQuantity::Both(_) => Quantity::default(),
            GivenQuantity::Integer(units) => Quantity::from_units(*units),
            GivenQuantity::Decimal(_, value) => *value,
        }
    }

    /// The integer member as it was sent.
    pub(crate) fn integer(&self) -> Option<u32> {
        match self {
            GivenQuantity::Integer(units) => Some(*units),
            GivenQuantity::Both(both) => Some(both.integer),
            _ => None,
        }
    }

    /// The decimal member as it was sent.
    pub(crate) fn decimal(&self) -> Option<&str> {
        match self {
            GivenQuantity::Decimal(text, _) => Some(text),
            GivenQuantity::Both(both) => Some(&both.decimal),
            _ => None,
        }
    }
}

/// A buyer's tag on an allocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// The tag's key, 1 to 100 characters.
    pub key: String,
    /// The tag's value, 1 to 256 characters.
    pub value: String,
}

/// A share of the usage with its tags. The share without tags is untagged usage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UsageAllocation {
    pub(crate) quantity: GivenQuantity,
    pub(crate) tags: Option<Vec<Tag>>,
}

impl UsageAllocation {
    pub(crate) fn read_list(
        members: &mut Members<'_>,
    ) -> Result<Option<Vec<UsageAllocation>>, ShapeError> {
        members.list("UsageAllocations", 1, ALLOCATIONS_MAX, |allocation| {
            Ok(UsageAllocation {
                quantity: GivenQuantity::read(
                    allocation,
                    "AllocatedUsageQuantity",
                    "AllocatedUsageQuantityAsDecimal",
                )?,
                tags: allocation.list("Tags", 1, TAGS_MAX, read_tag)?,
            })
        })
    }
}

fn read_tag(members: &mut Members<'_>) -> Result<Tag, ShapeError> {
    let key = members.string("Key", &TAG_KEY)?;
    let value = members.string("Value", &TAG_VALUE)?;
    if key.is_none() {
        members.missing("Key");
    }
    if value.is_none() {
        members.missing("Value");
    }
    Ok(Tag {
        key: key.unwrap_or_default(),
        value: value.unwrap_or_default(),
    })
}

impl Serialize for UsageAllocation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        if let Some(units) = self.quantity.integer() {
            map.serialize_entry("AllocatedUsageQuantity", &units)?;
        }
        if let Some(text) = self.quantity.decimal() {
            map.serialize_entry("AllocatedUsageQuantityAsDecimal", text)?;
        }
        if let Some(tags) = &self.tags {
            map.serialize_entry("Tags", tags)?;
        }
        map.end()
    }
}
