//! Steps that several scenarios have in common.

use emulator::{Fault, FaultKind, Faults};
use jiff::SignedDuration;
use marketplace::TagSet;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;

use crate::at;
use crate::world::World;

pub(in super::super) fn usage(
    dimension: &str,
    id: &str,
    quantity: &str,
    time: &str,
    team: Option<&str>,
) -> UsageEvent {
    let tags: Tags = team
        .map(|team| ("team".to_owned(), team.to_owned()))
        .into_iter()
        .collect();
    UsageEvent {
        dimension: dimension.parse().expect("a dimension"),
        id: id.parse().expect("an id"),
        quantity: quantity.parse().expect("a quantity"),
        time: at(time),
        tags: TagSet::try_from(tags).expect("tags"),
    }
}

/// Lets the next BatchMeterUsage meet a fault.
pub(super) fn fault(world: &World, kind: FaultKind) {
    world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::next("BatchMeterUsage", kind, 1)],
    });
}

/// Runs the sealer and delivers the records that it froze.
pub(super) async fn seal_and_send(world: &World) {
    let now = world.now.get();
    note(world, world.seal().await.map(drop));
    world.pump_records(now).await;
    let window_over = now
        .checked_add(SignedDuration::from_mins(2))
        .expect("a time");
    world.set_time(window_over);
    world.pump_records(window_over).await;
}

pub(super) fn note(world: &World, result: Result<(), String>) {
    if let Err(problem) = result {
        world.wire.note(&problem);
    }
}

/// Lets the world run long enough for every retry, recount and closing.
pub(super) async fn go_on(world: &World) {
    let mut now = world.now.get();
    // Minutes to the next tick, and whether the reconciler's schedule fires as well.
    let steps = [
        (6, false),
        (5, false),
        (30, true),
        (95, true),
        (7 * 60, true),
        (5, false),
    ];
    for (minutes, reconcile) in steps {
        now = now
            .checked_add(SignedDuration::from_mins(minutes))
            .expect("a time");
        world.set_time(now);
        world.tick(reconcile).await;
    }
}
