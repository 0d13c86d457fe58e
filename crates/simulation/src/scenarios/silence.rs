//! A record that is not billed is missing from the answer.

use emulator::FaultKind;

use super::steps::{fault, seal_and_send, usage};
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
    let agreement = &buyer.agreement.agreement_id;
    let suspended = world.emulator.suspend_agreement(agreement);
    suspended.expect("suspended");
    fault(world, FaultKind::MissingRecord);
    world.set_time(at("2026-11-01T11:31:00Z"));
    seal_and_send(world).await;
    let resumed = world.emulator.resume_agreement(agreement);
    resumed.expect("resumed");
}
