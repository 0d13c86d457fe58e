//! A buyer subscribes, registers and uses the product.

use super::steps::usage;
use super::{Buyer, SENT_AGAIN_BY_THE_SOURCE, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T09:20:00Z",
    setup: Setup::NotRegistered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: SENT_AGAIN_BY_THE_SOURCE,
    bill: &["gb 2026-11-01T09 1.75", "requests 2026-11-01T09 3"],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world.register(&buyer.agreement.registration_token).await;
    world.deliver_lifecycle().await;
    world.set_time(at("2026-11-01T09:40:00Z"));
    world
        .report(who, &usage("gb", "a", "1.5", "2026-11-01T09:35:00Z", None))
        .await;
    let body = serde_json::json!({"events": [
        {"id": "b", "subscription": who.to_string(), "dimension": "gb", "quantity": "0.25", "time": "2026-11-01T09:36:00Z"},
        {"id": "c", "subscription": who.to_string(), "dimension": buyer.listing.dimensions[1], "quantity": "3", "time": "2026-11-01T09:37:00Z"},
    ]});
    world.post_usage(&body).await;
}
