//! Usage of a sealed hour arrives and is billed with the running hour.

use super::steps::{note, usage};
use super::{Buyer, SENT_AGAIN_BY_THE_SOURCE, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T09:20:00Z",
    setup: Setup::Registered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: SENT_AGAIN_BY_THE_SOURCE,
    bill: &[
        "gb 2026-11-01T10 1",
        "gb 2026-11-01T11 0.25",
        // The slot of `requests` was still free.
        "requests 2026-11-01T10 4",
    ],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world
        .report(who, &usage("gb", "a", "1", "2026-11-01T10:05:00Z", None))
        .await;
    world.wire.heal();
    world.set_time(at("2026-11-01T11:31:00Z"));
    world.tick(false).await;
    world.wire.follow_again();
    world.set_time(at("2026-11-01T11:40:00Z"));
    world
        .report(
            who,
            &usage("gb", "late", "0.25", "2026-11-01T10:06:00Z", Some("red")),
        )
        .await;
    world
        .report(
            who,
            &usage("requests", "late", "4", "2026-11-01T10:07:00Z", None),
        )
        .await;
    let later = at("2026-11-01T11:41:00Z");
    world.set_time(later);
    world.pump_usage(later).await;
    note(world, world.seal().await.map(drop));
}
