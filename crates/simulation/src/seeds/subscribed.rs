//! A buyer of the simulation who has subscribed.

use emulator::Agreement;
use marketplace::Subscription;

/// A buyer who has subscribed.
pub(super) struct Subscribed {
    pub agreement: Agreement,
    pub subscription: Subscription,
}

impl Subscribed {
    /// The name that requests use for the buyer.
    pub fn name(&self) -> String {
        let name = self.subscription.to_string();
        name.rsplit('|').next().unwrap_or(&name).to_owned()
    }
}
