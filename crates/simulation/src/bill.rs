//! Compares what the seller's software sent with what AWS Marketplace billed.

use std::collections::BTreeMap;

use ledger::books::of_subscription;
use marketplace::books::Books;
use marketplace::{Quantity, Subscription, UsageHour};

use super::world::World;

/// The bill at AWS Marketplace and the stack's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillAndBooks {
    /// AWS Marketplace's own slots: subscription, dimension, hour and quantity.
    pub billed: BTreeMap<(String, String, UsageHour), Quantity>,
    /// The books of each subscription.
    pub books: BTreeMap<Subscription, Books>,
}

impl BillAndBooks {
    /// The slots of a story with one buyer, as texts of dimension, hour and quantity.
    pub fn bill(&self) -> Vec<String> {
        let mut bill: Vec<String> = self
            .billed
            .iter()
            .map(|((_, dimension, hour), quantity)| format!("{dimension} {hour} {quantity}"))
            .collect();
        bill.sort();
        bill
    }
}

/// The quantities that AWS Marketplace billed, by subscription, dimension and hour.
///
/// # Panics
///
/// If the quantity of a slot is not a quantity.
pub fn billed(world: &World) -> BTreeMap<(String, String, UsageHour), Quantity> {
    let mut billed = BTreeMap::new();
    for slot in world.emulator.metered() {
        let who = match &slot.license_arn {
            Some(license) => license.clone(),
            None => format!("{}|{}", slot.product_code, slot.account_id),
        };
        let quantity: Quantity = slot.quantity.parse().expect("a quantity");
        let key = (who, slot.dimension.clone(), UsageHour::of(slot.hour));
        assert_eq!(billed.insert(key, quantity), None, "one slot, one record");
    }
    billed
}

/// The bill of the world, and the books of the subscriptions over the hours `first` to `last`.
///
/// # Panics
///
/// If the tables cannot be read.
pub async fn bill_and_books(
    world: &World,
    subscriptions: &[Subscription],
    first: UsageHour,
    last: UsageHour,
) -> BillAndBooks {
    let mut books = BTreeMap::new();
    for subscription in subscriptions {
        let profile = world.ledger.profile(subscription).await.expect("readable");
        let Some(profile) = profile else { continue };
        let counted = of_subscription(&world.ledger, &profile, first, last)
            .await
            .expect("countable");
        books.insert(subscription.clone(), counted.sum);
    }
    BillAndBooks {
        billed: billed(world),
        books,
    }
}
