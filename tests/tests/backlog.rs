//! A large backlog: the order in which hours are sealed, the cost of counting a month again, and
//! what does not prevent that from being completed.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use end_to_end::proof::run::{Executor, on_a_thread};
use end_to_end::proof::wire::Fate;
use end_to_end::proof::world::{Listing, World};
use jiff::Timestamp;
use ledger::{SHARDS, shard_of};
use marketplace::record::RecordKey;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, UsageHour};
use startup::Budget;

/// Largest number of other queries in a run: queries of indexes, and for the two hours whose
/// recount is due.
const OTHERS_MAX: u64 = 60;

/// Largest number of items that a run reads individually: profiles, products, progress, places, and
/// six movements.
const GETS_MAX: u64 = 25;
/// Number of tag sets. It is more than fits into a record's own item.
const TAG_SETS: u32 = 45;

#[test]
fn after_an_outage_no_shard_waits_for_another() {
    on_a_thread(|| Executor::default().finish(catch_up()));
}

async fn catch_up() {
    let world = World::at(at("2026-11-27T00:20:00Z"), 7);
    begin(&world).await;
    assert_eq!(world.seal().await.unwrap().hours_behind, 0);
    world.set_time(at("2026-11-27T12:35:00Z"));
    // A run whose time is up after the first hour of the first shard.
    let seal_a_little = || sealer::handle(&world.functions.sealer, Budget::of(Duration::ZERO));
    let mut behind_at_first = None;
    loop {
        let report = seal_a_little().await.unwrap();
        let mut sealed = Vec::new();
        for shard in 0..SHARDS {
            let progress = world.ledger.shard_progress(shard).await.unwrap().unwrap();
            sealed.push(progress.sealed_through);
        }
        let (first, last) = (sealed.iter().min().unwrap(), sealed.iter().max().unwrap());
        assert!(last.since(*first) <= 1, "{sealed:?}");
        let watermark: UsageHour = report.watermark.parse().unwrap();
        assert_eq!(report.hours_behind, watermark.since(*first));
        assert!(!report.finished, "{report:?}");
        behind_at_first.get_or_insert(report.hours_behind);
        if report.hours_behind == 0 {
            break;
        }
    }
    assert_eq!(behind_at_first, Some(11));
}

#[test]
fn counting_a_month_again_takes_a_query_an_hour_and_one_a_day() {
    on_a_thread(|| Executor::default().finish(count_a_month()));
}

async fn count_a_month() {
    let world = Rc::new(World::at(at("2026-11-27T00:20:00Z"), 7));
    let subscription = begin(&world).await;
    // Some records are billed in time and have allocations. Others are sealed after their deadline,
    // so their usage is carried row by row.
    for (day, hours) in [("2026-11-27", 10..22), ("2026-11-28", 10..16)] {
        for hour in hours {
            for n in 0..TAG_SETS {
                let event = tagged(n, &format!("{day}T{hour}"));
                world.report(&subscription, &event).await;
            }
        }
    }
    for hour in 11..24 {
        world.set_time(at(&format!("2026-11-27T{hour}:35:00Z")));
        world.seal().await.unwrap();
        world.set_time(at(&format!("2026-11-27T{hour}:45:00Z")));
        world.sweep().await.unwrap();
    }
    reconcile(&world, "2026-11-30T09".parse().unwrap()).await;
    let queries = Arc::new(AtomicU64::new(0));
    let gets = Arc::new(AtomicU64::new(0));
    let (counted, got) = (Arc::clone(&queries), Arc::clone(&gets));
    world.wire.follow(Box::new(move |call| {
        let is_a = |operation| call.function == "reconciler" && call.operation == operation;
        counted.fetch_add(u64::from(is_a("Query")), Ordering::Relaxed);
        got.fetch_add(u64::from(is_a("GetItem")), Ordering::Relaxed);
        Fate::Answered
    }));
    // The hours whose recount was due meanwhile are recounted first.
    let shard = i64::from(shard_of(&subscription));
    let mut hour: UsageHour = "2026-11-30T10".parse().unwrap();
    reconcile(&world, hour).await;
    while hour.number().rem_euclid(i64::from(SHARDS)) != shard {
        hour = hour.next();
        reconcile(&world, hour).await;
    }

    for _ in 1..SHARDS {
        hour = hour.next();
        reconcile(&world, hour).await;
    }
    let hour = hour.next();
    let before = queries.load(Ordering::Relaxed);
    gets.store(0, Ordering::Relaxed);
    let report = reconcile(&world, hour).await;
    let proof = queries.load(Ordering::Relaxed) - before;
    let gets = gets.load(Ordering::Relaxed);
    assert!(
        gets <= GETS_MAX,
        "{gets} items by themselves: of allocations?"
    );
    assert_eq!(report.balanced, Some(true));
    // The books are read from a day before the subscription was first heard of.
    let hours = u64::try_from(hour.since("2026-11-26T00".parse().unwrap())).unwrap();
    assert!(proof >= hours - 1, "{proof} queries for {hours} hours");
    assert!(
        proof <= hours + hours.div_ceil(24) + OTHERS_MAX,
        "the proof of {hours} hours took {proof} queries"
    );

    let last_chance: UsageHour = "2026-12-01T04".parse().unwrap();
    assert_ne!(last_chance.number().rem_euclid(i64::from(SHARDS)), shard);
    reconcile(&world, last_chance.previous()).await;
    let before = queries.load(Ordering::Relaxed);
    let report = reconcile(&world, last_chance).await;
    let month = queries.load(Ordering::Relaxed) - before;
    // The recount covers the month without its last hour. In addition there are the hours whose
    // deadline is near, as after every hour: their records, their rows, and the live subscriptions
    // of each shard.
    let hours = 719;
    let alone = report.hours_recounted.checked_sub(hours).unwrap();
    assert!(alone > 0, "{report:?}");
    assert!(
        month <= hours + hours.div_ceil(24) + alone * (2 + u64::from(SHARDS)) + OTHERS_MAX,
        "the recount of {hours} hours, and of {alone} by themselves, took {month} queries"
    );
}

#[test]
fn a_damaged_record_keeps_no_other_hour_of_its_day_from_being_counted() {
    on_a_thread(|| Executor::default().finish(count_beside_damage()));
}

async fn count_beside_damage() {
    let world = World::at(at("2026-11-27T00:20:00Z"), 7);
    let subscription = begin(&world).await;
    let hours = ["2026-11-27T05", "2026-11-27T06"];
    for hour in hours {
        world.report(&subscription, &used("sealed", hour)).await;
    }
    reconcile(&world, "2026-11-30T22".parse().unwrap()).await;
    reconcile(&world, "2026-12-01T03".parse().unwrap()).await;
    let [damaged, late] = hours;
    world
        .damage(&RecordKey {
            subscription: subscription.clone(),
            hour: damaged.parse().unwrap(),
            dimension: "gb".parse().unwrap(),
        })
        .await;
    // No stream record announces the row, and only the month's recount still reads its hour.
    world.report(&subscription, &used("late", late)).await;
    let report = reconcile(&world, "2026-12-01T04".parse().unwrap()).await;
    assert_eq!(report.hours_flagged, 1, "{report:?}");
}

fn used(id: &str, hour: &str) -> UsageEvent {
    UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: id.parse().unwrap(),
        quantity: "1".parse().unwrap(),
        time: at(&format!("{hour}:10:00Z")),
        tags: TagSet::untagged(),
    }
}

fn tagged(n: u32, hour: &str) -> UsageEvent {
    let team = format!("{n:0>200}");
    UsageEvent {
        tags: TagSet::try_from(Tags::from([("team".to_owned(), team)])).unwrap(),
        ..used(&n.to_string(), hour)
    }
}

/// A buyer whose subscription is in the rounds.
async fn begin(world: &World) -> Subscription {
    let listing = Listing {
        code: "countedproduct".to_owned(),
        identity: IdentityKind::License,
        dimensions: vec!["gb".to_owned()],
    };
    world.list(&listing).await;
    let (agreement, subscription) = world.subscribe(&listing);
    world.register(&agreement.registration_token).await;
    for time in [
        "2026-11-27T00:20:00Z",
        "2026-11-27T00:30:00Z",
        "2026-11-27T01:31:00Z",
    ] {
        world.set_time(at(time));
        world.tick(true).await;
    }
    subscription
}

async fn reconcile(world: &World, hour: UsageHour) -> reconciler::Report {
    world.set_time(hour.start() + jiff::SignedDuration::from_mins(5));
    world.seal().await.unwrap();
    let report = world.reconcile().await.unwrap();
    assert!(report.finished, "{report:?}");
    report
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
