//! What the seller's software sent against what AWS Marketplace billed.

use std::collections::BTreeMap;

use marketplace::books::Books;
use marketplace::{Quantity, Subscription, UsageHour};
use reconciler::books::of_subscription;

use super::world::World;

/// What was billed and where everything else is, as far as anybody outside can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// AWS Marketplace's own slots: who, what, when and how much.
    pub billed: BTreeMap<(String, String, UsageHour), Quantity>,
    /// Our books by subscription.
    pub books: BTreeMap<Subscription, Books>,
}

impl Outcome {
    /// The slots of a story with one buyer: dimension, hour and quantity.
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

/// AWS Marketplace's slots, by subscription, dimension and hour.
///
/// # Panics
///
/// When a slot's quantity is none.
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

/// Everything there is to see, over the hours `first` to `last`.
///
/// # Panics
///
/// When the tables cannot be read.
pub async fn outcome(
    world: &World,
    subscriptions: &[Subscription],
    first: UsageHour,
    last: UsageHour,
) -> Outcome {
    let mut books = BTreeMap::new();
    for subscription in subscriptions {
        let profile = world.ledger.profile(subscription).await.expect("readable");
        let Some(profile) = profile else { continue };
        let counted = of_subscription(&world.ledger, &profile, first, last)
            .await
            .expect("countable");
        books.insert(subscription.clone(), counted.sum);
    }
    Outcome {
        billed: billed(world),
        books,
    }
}
