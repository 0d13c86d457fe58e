//! One product, one buyer, and the few events that the stories need.

use std::collections::BTreeSet;

use emulator::{Agreement, Identity, NewAgreement, NewProduct};
use ledger::product::Product;
use local::stack::{DeliveryTrouble, Stack, StackOptions, Trouble};
use marketplace::books::Books;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, MeteringRecord, Subscription, TagSet, UsageHour};
pub use simulation::at;

pub const PRODUCT: &str = "storyproduct";

pub struct Market {
    pub stack: Stack,
    pub agreement: Agreement,
    pub subscription: Subscription,
}

pub fn hour(text: &str) -> UsageHour {
    text.parse().expect("an hour")
}

/// Options with which no stream delivers anything.
pub fn without_streams() -> StackOptions {
    StackOptions {
        trouble: Trouble {
            deliveries: Some(DeliveryTrouble {
                dropped: 1_000,
                repeated: 0,
                reordered: 0,
                delayed: 0,
            }),
            ..Trouble::default()
        },
        ..StackOptions::default()
    }
}

impl Market {
    /// A market with a buyer who subscribed at `start`.
    pub async fn open(start: &str) -> Self {
        Self::with(start, StackOptions::default()).await
    }

    /// A market with a buyer who subscribed at `start`, with other options.
    pub async fn with(start: &str, options: StackOptions) -> Self {
        let mut stack = Stack::start(StackOptions {
            now: Some(at(start)),
            speed: 0.0,
            ..options
        })
        .await
        .expect("the stack starts");
        stack
            .emulator()
            .add_product(NewProduct::new(
                PRODUCT,
                &["gb", "requests"],
                Identity::License,
            ))
            .expect("a product");
        let dimensions = ["gb", "requests", "renamed"];
        let product = Product {
            code: PRODUCT.parse().expect("a product code"),
            identity: IdentityKind::License,
            dimensions: dimensions
                .iter()
                .map(|d| d.parse().expect("a dimension"))
                .collect::<BTreeSet<_>>(),
            version: 1,
        };
        stack
            .ledger()
            .write_product(None, &product)
            .await
            .expect("configured");
        let agreement = stack
            .emulator()
            .add_agreement(NewAgreement::of(PRODUCT))
            .expect("an agreement");
        stack.step().await.expect("the purchase becomes known");
        let subscription = agreement.license_arn.parse().expect("a license");
        Self {
            stack,
            agreement,
            subscription,
        }
    }

    /// Runs the stack until `time`.
    pub async fn until(&mut self, time: &str) {
        self.stack
            .run_until(at(time))
            .await
            .expect("the stack runs");
    }

    /// Reports usage as the seller's software does.
    pub async fn uses(&self, dimension: &str, id: &str, quantity: &str, time: &str) {
        let event = UsageEvent {
            dimension: dimension.parse().expect("a dimension"),
            id: id.parse().expect("an id"),
            quantity: quantity.parse().expect("a quantity"),
            time: at(time),
            tags: TagSet::untagged(),
        };
        self.stack
            .ledger()
            .put_event(&self.subscription, &event)
            .await
            .expect("the row is stored");
    }

    /// The slots that AWS Marketplace billed, by hour and dimension, such as
    /// `2026-11-21T10 gb 1.5`.
    pub fn bill(&self) -> Vec<String> {
        let mut bill: Vec<String> = self
            .stack
            .emulator()
            .metered()
            .iter()
            .map(|slot| {
                format!(
                    "{} {} {}",
                    UsageHour::of(slot.hour),
                    slot.dimension,
                    slot.quantity
                )
            })
            .collect();
        bill.sort();
        bill
    }

    /// A record in its present state.
    pub async fn record(&self, hour: &str, dimension: &str) -> Option<MeteringRecord> {
        let slot = Slot {
            subscription: self.subscription.clone(),
            hour: hour.parse().expect("an hour"),
            dimension: dimension.parse().expect("a dimension"),
        };
        self.stack
            .ledger()
            .records(&[slot])
            .await
            .expect("readable")
            .pop()
    }

    /// The books of the days around now. They must balance.
    pub async fn books(&self) -> Books {
        let now = UsageHour::of(self.stack.emulator().now());
        let books = ledger::books::of_all(self.stack.ledger(), now.plus(-60), now, |_| {})
            .await
            .expect("the books can be read");
        assert!(books.is_balanced().expect("in range"), "{books:?}");
        assert!(books.over_metered.is_zero(), "{books:?}");
        books
    }

    /// Number of BatchMeterUsage calls that AWS Marketplace received.
    pub fn calls(&self) -> usize {
        let calls = self.stack.emulator().calls();
        calls
            .iter()
            .filter(|call| call.operation == "BatchMeterUsage")
            .count()
    }
}
