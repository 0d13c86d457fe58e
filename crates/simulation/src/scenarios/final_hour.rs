//! A buyer cancels the agreement.

use super::steps::{seal_and_send, usage};
use super::{Buyer, DEATHS, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T05:00:00Z",
    setup: Setup::Registered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: DEATHS,
    bill: &["gb 2026-11-01T06 6"],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world.set_time(at("2026-11-01T06:20:00Z"));
    world
        .report(who, &usage("gb", "a", "2", "2026-11-01T06:15:00Z", None))
        .await;
    let cancelled = world
        .emulator
        .cancel_agreement(&buyer.agreement.agreement_id);
    cancelled.expect("cancelled");
    world.set_time(at("2026-11-01T06:22:00Z"));
    world.deliver_lifecycle().await;
    world
        .report(
            who,
            &usage("gb", "flush", "4", "2026-11-01T06:19:00Z", None),
        )
        .await;
    world.set_time(at("2026-11-01T06:42:00Z"));
    seal_and_send(world).await;
}
