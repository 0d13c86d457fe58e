//! AWS Marketplace refuses two records among good ones.

use super::steps::{note, usage};
use super::{Buyer, DEATHS, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T09:20:00Z",
    setup: Setup::UnknownDimensions(&["renamed", "dropped"]),
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: DEATHS,
    bill: &[
        "gb 2026-11-01T10 1",
        "requests 2026-11-01T10 1",
        "seats 2026-11-01T10 1",
    ],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    for dimension in ["gb", "renamed", "requests", "dropped", "seats"] {
        world
            .report(
                who,
                &usage(dimension, "a", "1", "2026-11-01T10:05:00Z", None),
            )
            .await;
    }
    world.wire.heal();
    world.set_time(at("2026-11-01T11:31:00Z"));
    note(world, world.seal().await.map(drop));
    world.wire.follow_again();
    let later = at("2026-11-01T11:33:00Z");
    world.set_time(later);
    world.pump_records(at("2026-11-01T11:31:00Z")).await;
    world.pump_records(later).await;
}
