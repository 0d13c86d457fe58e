//! Somebody else has metered another quantity, and the results come in another order.

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
    bill: &[
        "gb 2026-11-01T10 3",
        "requests 2026-11-01T10 7",
        "seats 2026-11-01T10 2",
    ],
};

async fn perform(world: &World, buyer: &Buyer) {
    let who = &buyer.subscription;
    for (dimension, quantity) in [("gb", "5"), ("requests", "7"), ("seats", "2")] {
        let row = usage(dimension, "a", quantity, "2026-11-01T10:05:00Z", None);
        world.report(who, &row).await;
    }
    let theirs = serde_json::json!({"UsageRecords": [{
        "LicenseArn": buyer.agreement.license_arn,
        "CustomerAWSAccountId": buyer.agreement.account_id,
        "Dimension": "gb",
        "Quantity": 3,
        "Timestamp": at("2026-11-01T10:00:00Z").as_second(),
    }]});
    let metering = &world.functions.submitter.metering;
    let metered = metering.batch_meter_usage_raw(theirs).await;
    metered.expect("metered");
    fault(world, FaultKind::Reorder);
    world.set_time(at("2026-11-01T11:31:00Z"));
    seal_and_send(world).await;
}
