//! An hour is sealed and billed.

use super::steps::{seal_and_send, usage};
use super::{Buyer, DEATHS, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T09:20:00Z",
    setup: Setup::Registered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: DEATHS,
    bill: &["gb 2026-11-01T10 3.5", "requests 2026-11-01T10 7"],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world.set_time(at("2026-11-01T10:40:00Z"));
    for (dimension, id, quantity, team) in [
        ("gb", "a", "1.5", None),
        ("gb", "b", "2", Some("red")),
        ("requests", "a", "7", None),
    ] {
        world
            .report(
                who,
                &usage(dimension, id, quantity, "2026-11-01T10:35:00Z", team),
            )
            .await;
    }
    world.set_time(at("2026-11-01T11:31:00Z"));
    seal_and_send(world).await;
}
