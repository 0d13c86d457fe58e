//! An answer is lost, and the repeated record is called a duplicate.

use emulator::{FaultKind, Readings};

use super::steps::{fault, note, usage};
use super::{Buyer, DEATHS, Setup, Story};
use crate::at;
use crate::world::World;

pub(super) const STORY: Story = Story {
    start: "2026-11-01T09:20:00Z",
    setup: Setup::Registered,
    perform: |world, buyer| Box::pin(perform(world, buyer)),
    fates: DEATHS,
    bill: &["gb 2026-11-01T10 5"],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    world
        .report(who, &usage("gb", "a", "5", "2026-11-01T10:05:00Z", None))
        .await;
    world.wire.heal();
    world.emulator.set_readings(Readings {
        identical_resubmission: emulator::IdenticalResubmission::DuplicateRecord,
        ..world.emulator.readings()
    });
    world.set_time(at("2026-11-01T11:31:00Z"));
    note(world, world.seal().await.map(drop));
    fault(world, FaultKind::DropAfter);
    world.wire.follow_again();
    world.set_time(at("2026-11-01T11:37:00Z"));
    note(world, world.sweep().await);
    world.wire.heal();
    // By this time no hour is left that is due for a recount anyway.
    world.set_time(at("2026-11-01T11:50:00Z"));
    note(world, world.reconcile().await.map(drop));
    world.wire.follow_again();
    world.set_time(at("2026-11-01T11:58:00Z"));
    note(world, world.reconcile().await.map(drop));
}
