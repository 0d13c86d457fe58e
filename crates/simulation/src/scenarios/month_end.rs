//! Late usage is found shortly before the month closes.

use super::steps::{note, seal_and_send, usage};
use super::{Buyer, DEATHS, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-30T20:20:00Z",
    setup: Setup::Registered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: DEATHS,
    bill: &["gb 2026-11-30T22 1", "gb 2026-11-30T23 2"],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world
        .report(who, &usage("gb", "a", "1", "2026-11-30T22:05:00Z", None))
        .await;
    world.wire.heal();
    for time in ["2026-11-30T23:31:00Z", "2026-11-30T23:37:00Z"] {
        world.set_time(at(time));
        world.tick(false).await;
    }
    world.wire.follow_again();
    let late = at("2026-12-01T02:00:00Z");
    world.set_time(late);
    world
        .report(who, &usage("gb", "late", "2", "2026-11-30T22:06:00Z", None))
        .await;
    world.pump_usage(late).await;
    let window_over = at("2026-12-01T02:01:00Z");
    world.set_time(window_over);
    world.pump_usage(window_over).await;
    world.wire.heal();
    // This run makes the same calls as in the scenario of late usage.
    note(world, world.seal().await.map(drop));
    // The sealer's schedule fires many times until the month closes.
    for time in ["2026-12-01T02:06:00Z", "2026-12-01T04:06:00Z"] {
        world.set_time(at(time));
        world.tick(false).await;
    }
    world.wire.follow_again();
    world.set_time(at("2026-12-01T05:01:00Z"));
    seal_and_send(world).await;
}
