//! A slot: a subscription, an hour and a dimension.

use std::fmt;
use std::str::FromStr;

use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::subscription::Subscription;

/// The error for a text that names no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a slot: write <subscription>@<hour>#<dimension>, as in legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats"
)]
pub struct InvalidSlot(String);

/// Characters of an hour's text, such as `2026-11-21T02`.
const HOUR_CHARS: usize = 13;

/// A slot on a buyer's bill, and the key of a record. AWS Marketplace keeps one record per slot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The subscription that is billed.
    pub subscription: Subscription,
    /// The hour of usage.
    pub hour: UsageHour,
    /// The dimension that was used.
    pub dimension: Dimension,
}

impl fmt::Display for Slot {
    /// The text form, which [`str::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}#{}", self.subscription, self.hour, self.dimension)
    }
}

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        // A subscription and a dimension may contain `@` and `#` too. So the text is split at an
        // `@` and a `#` that have an hour between them.
        text.match_indices('@')
            .find_map(|(at, _)| {
                let (subscription, rest) = (text.get(..at)?, text.get(at.checked_add(1)?..)?);
                let hour = rest.get(..HOUR_CHARS)?.parse().ok()?;
                let dimension = rest.get(HOUR_CHARS..)?.strip_prefix('#')?.parse().ok()?;
                Some(Self {
                    subscription: subscription.parse().ok()?,
                    hour,
                    dimension,
                })
            })
            .ok_or_else(|| InvalidSlot(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_as_it_is_written_whatever_is_in_its_names() {
        for (subscription, dimension) in [
            ("arn:aws:license-manager::1:license:l-1", "gb"),
            ("legacy|code@2026-11-21T02|cust", "gb#x@2026-11-21T03#y"),
            ("account|a=b|111122223333", "seats @ noon"),
        ] {
            let slot = Slot {
                subscription: subscription.parse().unwrap(),
                hour: "2026-11-21T02".parse().unwrap(),
                dimension: dimension.parse().unwrap(),
            };
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        for wrong in [
            "",
            "gb",
            "legacy|code|cust@2026-11-21T02",
            "legacy|code|cust@2026-11-21T24#gb",
            "legacy|code|cust@2026-11-21T02#",
        ] {
            let error = wrong.parse::<Slot>().unwrap_err();
            assert!(error.to_string().contains("as in"), "{error}");
        }
    }
}
