//! A damaged item does not keep the submitter from sending, and nothing is sent twice because of
//! it.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use ledger::sender::Turn;
use marketplace::slot::Slot;
use marketplace::{IdentityKind, MeteringRecord, State, Subscription, UsageHour};
use runtime::Budget;
use simulation::at;
use simulation::clients;
use simulation::run::{Executor, on_a_thread};
use simulation::world::{Listing, World};
use submitter::pace::Pace;

const START: &str = "2026-11-21T00:20:00Z";
const FIRST_HOUR: &str = "2026-11-21T01";
const BUYERS: usize = 12;
/// The number of the buyer whose dimension AWS Marketplace does not know.
const GUILTY: usize = 5;

/// A change of one attribute: its name, and its new value or `None` to remove it.
type Damage = (&'static str, Option<AttributeValue>);

fn text(value: &str) -> Option<AttributeValue> {
    Some(AttributeValue::S(value.to_owned()))
}

fn number(value: u64) -> Option<AttributeValue> {
    Some(AttributeValue::N(value.to_string()))
}

/// A world with buyers of one product.
async fn world_of(buyers: usize) -> (World, Vec<Subscription>) {
    let world = World::at(at(START), 7);
    let listing = Listing {
        code: "aproduct".to_owned(),
        identity: IdentityKind::Customer,
        dimensions: vec!["gb".to_owned()],
    };
    world.list(&listing).await;
    let buyers = (0..buyers).map(|_| world.subscribe(&listing).1).collect();
    (world, buyers)
}

fn slot(buyer: &Subscription, hour: UsageHour, dimension: &str) -> Slot {
    Slot {
        subscription: buyer.clone(),
        hour,
        dimension: dimension.parse().unwrap(),
    }
}

/// Stores a record as the sealer writes it. It is due at once.
async fn seal(world: &World, slot: &Slot, sealed_at: Timestamp) {
    let record = MeteringRecord {
        due: Some(sealed_at),
        ..MeteringRecord::new(
            slot.clone(),
            slot.subscription.product().unwrap().clone(),
            "1.5".parse().unwrap(),
            slot.hour.plus(24).start(),
            sealed_at,
        )
    };
    world.ledger.create_record(&record).await.unwrap();
}

async fn accepted(world: &World, slots: &[Slot]) -> usize {
    let records = world.ledger.records(slots).await.unwrap();
    let is_accepted = |record: &&MeteringRecord| record.state == State::Accepted;
    records.iter().filter(is_accepted).count()
}

#[test]
fn a_damaged_turn_to_send_is_replaced_or_expires() {
    let damages = [
        // Nobody has the turn without an end.
        (("until", None), true, false),
        (("until", text("tomorrow")), true, true),
        (("until", Some(AttributeValue::Bool(true))), true, true),
        // The other invocation keeps the turn until its end.
        (("holder", None), false, false),
        (("holder", number(7)), false, false),
        (("version", None), false, false),
        (("version", text("one")), false, false),
    ];
    on_a_thread(|| {
        for (damage, is_free, is_named) in damages {
            Executor::default().finish(send_with_damaged_turn(damage, is_free, is_named));
        }
    });
}

async fn send_with_damaged_turn((attribute, value): Damage, is_free: bool, is_named: bool) {
    let (world, buyers) = world_of(1).await;
    let hour: UsageHour = FIRST_HOUR.parse().unwrap();
    let now = hour.end() + SignedDuration::from_mins(30);
    world.set_time(now);
    let sealed = slot(&buyers[0], hour, "gb");
    seal(&world, &sealed, now).await;
    let until = now + SignedDuration::from_mins(5);
    let turn = world.ledger.take_turn("another", now, until).await;
    assert_eq!(turn.unwrap(), Turn::Taken);
    let table = &world.ledger.tables().metering_records;
    let sender = ("stack", "sender");
    world
        .change_attribute(table, sender, attribute, value)
        .await;

    let mut app = world.functions.submitter.clone();
    app.pace = Pace::per_second(1_000);
    let sweep = async || {
        let trigger = serde_json::from_str("{}").unwrap();
        let answer = submitter::handle(&app, trigger, Budget::of(Duration::from_secs(60)));
        answer.await.unwrap().tally
    };
    let tally = sweep().await;
    let found = (tally.is_turn_taken, tally.accepted);
    assert_eq!(found, (!is_free, u64::from(is_free)), "{attribute}");
    world.set_time(until);
    let tally = sweep().await;
    let found = (tally.is_turn_taken, tally.accepted);
    assert_eq!(found, (false, u64::from(!is_free)), "{attribute}");
    assert_eq!(accepted(&world, &[sealed]).await, 1);
    let calls = world.emulator.calls();
    let sent: usize = calls.iter().map(|call| call.records.len()).sum();
    assert_eq!(sent, 1, "{attribute}");
    let named = match is_named {
        true => vec!["stack / sender"],
        false => Vec::new(),
    };
    assert_eq!(world.ledger.damaged(), named, "{attribute}");
    // The item is whole again, and the turn is free.
    let ledger = world.ledger.with_new_damage_list();
    let turn = ledger.take_turn("next", until, until).await;
    assert_eq!(turn.unwrap(), Turn::Taken, "{attribute}");
    assert!(ledger.damaged().is_empty(), "{attribute}");
}

#[test]
fn a_damaged_lane_is_named_and_replaced_when_it_is_refused_again() {
    let damages = [
        ("of_subscription", None),
        ("of_subscription", text("nobody")),
        ("of_subscription", number(7)),
        // Without it, the item names the lane of the whole subscription.
        ("dimension", None),
        ("dimension", number(7)),
        ("code", None),
        ("code", number(7)),
        ("refused_at", None),
        ("refused_at", text("lately")),
    ];
    on_a_thread(|| {
        for damage in damages {
            Executor::default().finish(send_with_damaged_lane(damage));
        }
    });
}

async fn send_with_damaged_lane((attribute, value): Damage) {
    let (world, buyers) = world_of(BUYERS).await;
    let first: UsageHour = FIRST_HOUR.parse().unwrap();
    send_hour(&world, &buyers, first).await;
    let lanes = world.ledger.lanes(world.now.get()).await.unwrap();
    assert_eq!(lanes.len(), 1, "{lanes:?}");
    let table = &world.ledger.tables().metering_records;
    let key = only_sort_key(&world, "lanes").await;
    world
        .change_attribute(table, ("lanes", &key), attribute, value)
        .await;
    send_hour(&world, &buyers, first.next()).await;
    let name = format!("lanes / {key}");
    assert_eq!(world.ledger.damaged(), [name], "{attribute}");
    // The lane was refused again, so its item was written again.
    let ledger = world.ledger.with_new_damage_list();
    let again = ledger.lanes(world.now.get()).await.unwrap();
    assert_eq!(again.len(), 1, "{attribute}: {again:?}");
    assert_eq!(again[0].lane, lanes[0].lane, "{attribute}");
    assert!(again[0].refused_at > lanes[0].refused_at, "{attribute}");
    assert!(ledger.damaged().is_empty(), "{attribute}");
}

/// Seals an hour of all buyers, and makes a sweep. Every record is accepted except that of the
/// guilty buyer.
async fn send_hour(world: &World, buyers: &[Subscription], hour: UsageHour) {
    let now = hour.end() + SignedDuration::from_mins(30);
    world.set_time(now);
    let mut good = Vec::new();
    for (n, buyer) in buyers.iter().enumerate() {
        let dimension = match n == GUILTY {
            true => "unknown",
            false => "gb",
        };
        let sealed = slot(buyer, hour, dimension);
        seal(world, &sealed, now).await;
        if n != GUILTY {
            good.push(sealed);
        }
    }
    world.sweep().await.unwrap();
    assert_eq!(accepted(world, &good).await, buyers.len() - 1, "{hour}");
    let refused = slot(&buyers[GUILTY], hour, "unknown");
    let refused = world.ledger.records(&[refused]).await.unwrap().remove(0);
    assert_eq!(refused.state, State::Refused, "{refused:?}");
    assert!(refused.due.is_some(), "{refused:?}");
}

/// The sort key of the only item in a partition of MeteringRecords.
async fn only_sort_key(world: &World, partition: &str) -> String {
    let answer = clients::dynamodb(&world.wire)
        .query()
        .table_name(&world.ledger.tables().metering_records)
        .key_condition_expression("#p = :p")
        .expression_attribute_names("#p", "subscription")
        .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
        .send()
        .await
        .unwrap();
    let items = answer.items();
    assert_eq!(items.len(), 1, "{items:?}");
    items[0]["item"].as_s().unwrap().clone()
}
