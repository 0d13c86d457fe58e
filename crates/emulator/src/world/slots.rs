//! Slots. Each buyer, dimension and hour has one slot. Its first record is billed, and later
//! records do not change it.
//!
//! Facts: M23, M25, M26 (docs/marketplace-rules.md).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;
use crate::model::Tag;
use crate::quantity::Quantity;

/// The owner of a slot. The three kinds never share a slot: a record by license and a record by
/// product code for the same customer and hour are both billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// Usage with a `LicenseArn`.
    License(u32),
    /// Usage with a `ProductCode` and a `CustomerIdentifier` or `CustomerAWSAccountId`.
    Customer(u32),
    /// Usage of `MeterUsage` from the buyer's account: the customer and the instance.
    Instance(u32, u32),
}

/// The key of a slot. Records with the same key share the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SlotKey {
    pub(crate) scope: Scope,
    pub(crate) dimension: u32,
    /// Epoch seconds of the hour, or of the exact timestamp if the reading says so.
    pub(crate) stamp_s: i64,
    /// The number of the Region, or 0 if slots are global.
    pub(crate) region: u32,
    /// A number that is unique for a record whose `ClientToken` gives it a slot of its own.
    /// Otherwise 0.
    pub(crate) apart: u64,
}

/// A slot that a record has taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) key: SlotKey,
    pub(crate) region: u32,
    pub(crate) sent_stamp_s: i64,
    pub(crate) quantity: Quantity,
    pub(crate) metering_record: u64,
    pub(crate) accepted: Timestamp,
    pub(crate) allocations: Option<Box<[MeteredAllocation]>>,
}

/// All slots, in the order in which they were taken.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: Vec<Slot>,
    by_key: HashMap<SlotKey, u32>,
    regions: Vec<String>,
}

impl Slots {
    pub(crate) fn get(&self, key: &SlotKey) -> Option<&Slot> {
        let place = *self.by_key.get(key)?;
        self.taken.get(usize::try_from(place).ok()?)
    }

    /// Takes a slot. The caller must have checked that it is free.
    pub(crate) fn take(&mut self, slot: Slot) {
        if let Ok(place) = u32::try_from(self.taken.len()) {
            self.by_key.insert(slot.key, place);
            self.taken.push(slot);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.taken.iter()
    }

    /// The number of a Region, from 1. A Region that has no number yet gets the next one.
    pub(crate) fn region(&mut self, name: &str) -> u32 {
        let place = match self.regions.iter().position(|r| r == name) {
            Some(place) => place,
            None => {
                self.regions.push(name.to_owned());
                self.regions.len() - 1
            }
        };
        u32::try_from(place + 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn regions(&self) -> &[String] {
        &self.regions
    }

    pub(crate) fn load(regions: Vec<String>, taken: Vec<Slot>) -> Slots {
        let mut slots = Slots {
            regions,
            ..Slots::default()
        };
        for slot in taken {
            slots.take(slot);
        }
        slots
    }

    pub(crate) fn region_name(&self, number: u32) -> &str {
        let place = usize::try_from(number).unwrap_or(0).wrapping_sub(1);
        self.regions.get(place).map_or("", String::as_str)
    }
}

/// A taken slot, as it is billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// The code of the product.
    pub product_code: String,
    /// The license, if the record named one. Then `customer_identifier` and `product_code` are
    /// those of the license.
    pub license_arn: Option<String>,
    /// The customer identifier of legacy products. Empty if the identity is the license.
    pub customer_identifier: String,
    /// The buyer's AWS account id.
    pub account_id: String,
    /// The name of the dimension.
    pub dimension: String,
    /// The start of the hour.
    pub hour: Timestamp,
    /// The quantity as a decimal number without trailing zeros: `3`, `1.5`.
    pub quantity: String,
    /// The metering record id that the seller received.
    pub metering_record_id: String,
    /// The timestamp of the record, in whole seconds.
    pub timestamp: Timestamp,
    /// When the record was accepted.
    pub accepted_at: Timestamp,
    /// The Region in which the record was sent.
    pub region: String,
    /// The quantity split by tags. Empty if the record had no allocations.
    pub allocations: Vec<MeteredAllocation>,
}

/// A share of a slot's quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteredAllocation {
    /// The quantity as a decimal number without trailing zeros.
    pub quantity: String,
    /// The tags, sorted. Empty for untagged usage.
    pub tags: Vec<Tag>,
}

pub(crate) const HOUR_S: i64 = 3_600;

pub(crate) fn hour_start(stamp_s: i64) -> i64 {
    stamp_s - stamp_s.rem_euclid(HOUR_S)
}

impl World {
    /// All taken slots, in the order of acceptance.
    pub(crate) fn metered(&self) -> Vec<Metered> {
        self.slots.iter().filter_map(|s| self.bill(s)).collect()
    }

    pub(crate) fn bill(&self, slot: &Slot) -> Option<Metered> {
        let (license, customer) = match slot.key.scope {
            Scope::License(number) => {
                let license = self.licenses.get(usize::try_from(number).ok()?)?;
                (Some(license.arn.clone()), license.customer)
            }
            Scope::Customer(number) | Scope::Instance(number, _) => {
                (None, usize::try_from(number).ok()?)
            }
        };
        let customer = self.customers.get(customer)?;
        let listing = &self.products.get(customer.product)?.listing;
        let dimension = usize::try_from(slot.key.dimension).ok()?;
        Some(Metered {
            product_code: listing.code.clone(),
            license_arn: license,
            customer_identifier: customer.identifier.clone(),
            account_id: customer.account_id.clone(),
            dimension: listing.dimensions.get(dimension)?.clone(),
            hour: Timestamp::from_second(hour_start(slot.sent_stamp_s)).ok()?,
            quantity: slot.quantity.to_string(),
            metering_record_id: self.metering_record_id(slot.metering_record),
            timestamp: Timestamp::from_second(slot.sent_stamp_s).ok()?,
            accepted_at: slot.accepted,
            region: self.slots.region_name(slot.region).to_owned(),
            allocations: slot.allocations.as_deref().unwrap_or_default().to_vec(),
        })
    }
}
