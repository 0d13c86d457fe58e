//! One damaged item of each kind does not keep the reconciler from the healthy items of its kind.

use ledger::record::{send_partition, sort_key};
use marketplace::State;
use marketplace::lifecycle::Status;
use simulation::run::{Executor, on_a_thread};

use crate::town::{Town, at};

const HOUR: &str = "2026-11-27T02";
const LATER: &str = "2026-11-27T05";

/// The town's buyers, by number. Each has one damaged item except the healthy one.
const HEALTHY: usize = 0;
const DAMAGED_RECORD: usize = 1;
const DAMAGED_PROFILE: usize = 2;
const DAMAGED_MOVEMENT: usize = 3;
const LEAVER: usize = 4;
const LATE: usize = 5;
const DAMAGED_LEAVER: usize = 6;
const DAMAGED_PRODUCT: usize = 7;

#[test]
fn damaged_items_of_every_kind_hold_up_no_healthy_item() {
    on_a_thread(|| Executor::default().finish(reconcile_beside_damage()));
}

async fn reconcile_beside_damage() {
    let mut town = Town::of(DAMAGED_PRODUCT).await;
    town.settle("damagedproduct", 1).await;
    for n in 0..town.buyers.len() {
        town.uses(n, "sealed", HOUR).await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    // This late usage makes a movement.
    town.uses(DAMAGED_MOVEMENT, "late", HOUR).await;
    let (late, hour) = (town.buyer(DAMAGED_MOVEMENT), HOUR.parse().unwrap());
    let flagged = town
        .world
        .ledger
        .flag_late(late, hour, at("2026-11-27T03:50:00Z"));
    flagged.await.unwrap();
    town.seal_at("2026-11-27T04:31:00Z").await;
    assert_eq!(town.record(DAMAGED_MOVEMENT, HOUR).await.movements, 1);
    for n in [LEAVER, DAMAGED_LEAVER] {
        let agreement = &town.buyers[n].0.agreement_id;
        town.world.emulator.cancel_agreement(agreement).unwrap();
    }
    town.world.set_time(at("2026-11-27T04:40:00Z"));
    town.world.deliver_lifecycle().await;
    for minute in [
        "2026-11-27T05:35:00Z",
        "2026-11-27T06:31:00Z",
        "2026-11-27T07:31:00Z",
    ] {
        town.seal_at(minute).await;
    }
    town.uses(LATE, "unreported", LATER).await;
    town.world.forget_usage_stream().await;
    let names = damage(&town).await;

    // The deadline of the first hour's records has passed, and the first recount of the later hour
    // is due.
    town.seal_at("2026-11-28T03:31:00Z").await;
    let mut reports = Vec::new();
    for hour in 4..20 {
        let time = format!("2026-11-28T{hour:02}:35:00Z");
        town.seal_at(&time).await;
        // The submitter's sweep would make this call, but it would also send records.
        let metering = &town.world.functions.submitter.metering;
        let witness = metering.batch_meter_usage_raw(serde_json::json!({"UsageRecords": []}));
        witness.await.unwrap();
        reports.push(town.reconcile_at(&time).await);
    }
    let sum = |of: fn(&reconciler::Report) -> u64| reports.iter().map(of).sum::<u64>();
    // The records of all buyers except the damaged one, and the record into which late usage was
    // carried.
    assert_eq!(sum(|report| report.unconfirmed), 8, "{reports:?}");
    // The history proves that the record was never sent.
    assert_eq!(town.record(HEALTHY, HOUR).await.state, State::Expired);
    assert!(sum(|report| report.hours_flagged) >= 1, "{reports:?}");
    assert_eq!(sum(|report| report.subscriptions_closed), 1, "{reports:?}");
    let leaver = town.world.ledger.profile(town.buyer(LEAVER)).await.unwrap();
    assert_eq!(leaver.unwrap().status(), Status::Ended);
    let met: Vec<&String> = reports.iter().flat_map(|report| &report.damaged).collect();
    for name in names {
        assert!(met.contains(&&name), "{name} is not among {met:?}");
    }
    // Only damaged progress keeps a run from finishing.
    let unfinished = reports.iter().filter(|report| !report.finished).count();
    assert_eq!(unfinished, reports.len(), "{reports:?}");
    assert!(reports.iter().any(|report| report.balanced == Some(false)));
}

/// Damages an item of each kind, and returns the names of the items.
async fn damage(town: &Town) -> Vec<String> {
    let (world, tables) = (&town.world, town.world.ledger.tables());
    let (subscriptions, records) = (&tables.subscriptions, &tables.metering_records);
    let mut names = Vec::new();
    let mut set_attribute =
        async |table: &str, partition: String, sort: &str, attribute: &str, value: &str| {
            world
                .set_attribute(table, (&partition, sort), attribute, value)
                .await;
            names.push(format!("{partition} / {sort}"));
        };
    let name = |n: usize| town.buyer(n).to_string();
    let record = sort_key(HOUR.parse().unwrap(), &"gb".parse().unwrap());
    set_attribute(records, name(DAMAGED_RECORD), &record, "stamp", "nothing").await;
    let profile = "profile";
    set_attribute(
        subscriptions,
        name(DAMAGED_PROFILE),
        profile,
        "created_at",
        "soon",
    )
    .await;
    set_attribute(
        subscriptions,
        name(DAMAGED_LEAVER),
        profile,
        "version",
        "one",
    )
    .await;
    let movement = format!("c#{HOUR}#gb#1");
    set_attribute(records, name(DAMAGED_MOVEMENT), &movement, "kind", "stolen").await;
    let product = "product|damagedproduct".to_owned();
    set_attribute(subscriptions, product, "configuration", "dimensions", "gb").await;
    set_attribute(
        records,
        "sweeps".to_owned(),
        "recount-first#0",
        "through",
        "now",
    )
    .await;
    set_attribute(records, "places".to_owned(), "books#0", "place", "nowhere").await;
    // Every index gets an item that has only its keys.
    for (attribute, value) in [("live", "0"), ("attention", "yes")] {
        set_attribute(
            subscriptions,
            "nobody".to_owned(),
            profile,
            attribute,
            value,
        )
        .await;
    }
    let strange = "r#yesterday";
    set_attribute(records, name(HEALTHY), strange, "work", &send_partition(0)).await;
    // The reconciler does not read lifecycle events, and it sets a damaged row aside.
    let event = format!("event#{HOUR}#1");
    let lifecycle_key = "joint#1".to_owned();
    set_attribute(subscriptions, lifecycle_key, &event, "sign", "nothing").await;
    let row = format!("{}@{HOUR}", name(HEALTHY));
    world.put_raw(&row, "gb#strange", "-1", "never").await;
    // The reconciler does not report these: it does not read lifecycle events, and an item without
    // `due` is in no index.
    let unread = ["joint#1 / ", "r#yesterday"];
    names.retain(|name| !unread.iter().any(|unread| name.contains(unread)));
    names.sort();
    names.dedup();
    names
}
