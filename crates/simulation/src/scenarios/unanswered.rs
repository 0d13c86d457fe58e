//! Every answer is lost until the deadline has passed, and at that time CloudTrail fails.

use emulator::{Fault, FaultKind, Faults};

use super::steps::{note, seal_and_send, usage};
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
    let row = usage("gb", "a", "5", "2026-11-01T10:05:00Z", None);
    world.report(who, &row).await;
    world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::rate("BatchMeterUsage", FaultKind::DropAfter, 1.0)],
    });
    world.set_time(at("2026-11-01T11:31:00Z"));
    seal_and_send(world).await;
    world.set_time(at("2026-11-02T10:01:00Z"));
    let failing = Fault::rate("LookupEvents", FaultKind::InternalError, 1.0);
    world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![failing],
    });
    note(world, world.reconcile().await.map(drop));
    world.set_time(at("2026-11-02T10:07:00Z"));
    note(world, world.seal().await.map(drop));
    world.emulator.set_faults(Faults::default());
}
