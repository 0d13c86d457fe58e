//! The event ids of carried usage. They name the movement that a carried row belongs to.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::subscription::Subscription;
use crate::text::hex;
use crate::usage::CARRY_PREFIX;

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

impl fmt::Display for CarryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// The 16 hexadecimal digits that identify the origin of carried usage in its event id.
pub fn origin_hash(subscription: &Subscription, dimension: &Dimension) -> String {
    let mut hasher = Sha256::new();
    hasher.update(subscription.to_string());
    hasher.update(b"\n");
    hasher.update(dimension.as_str());
    let digest: [u8; 32] = hasher.finalize().into();
    let (start, _) = digest.split_at(8);
    hex(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carry_id_is_read_only_in_its_own_form() {
        let id = "carry:2026-11-21T00:0123456789abcdef:1.0";
        let carry = CarryId {
            origin: "2026-11-21T00".parse().unwrap(),
            hash: "0123456789abcdef".to_owned(),
            movement: 1,
            entry: 0,
        };
        assert_eq!(carry.to_string(), id);
        assert_eq!(CarryId::read(id), Some(carry));
        for other in [
            "2026-11-21T00:0123456789abcdef:1.0",
            "carry:2026-11-21:0123456789abcdef:1.0",
            "carry:2026-11-21T00:1.0",
            "carry:2026-11-21T00:0123456789abcdef:1",
            "carry:2026-11-21T00:0123456789abcdef:01.0",
            "carry:2026-11-21T00:0123456789abcdef:+1.0",
        ] {
            assert_eq!(CarryId::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_hash_of_an_origin_never_changes() {
        let subscription = "legacy|code|cust".parse().unwrap();
        let hash = origin_hash(&subscription, &"gb".parse().unwrap());
        // The first half of a SHA-256 of "legacy|code|cust\ngb". Stored rows contain it.
        assert_eq!(hash, "3b98929c40bd8639");
    }
}
