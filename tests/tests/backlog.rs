//! Much work at once: the order in which hours are sealed after an outage, the queries that the
//! recount of a month takes, and a damaged record that does not stop it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger::SHARDS;
use marketplace::slot::Slot;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, UsageHour};
use reconciler::Task;
use runtime::Budget;
use simulation::at;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};

/// The most queries of a run that are not counted by hour or day: those of indexes and of proofs.
const OTHERS_MAX: u64 = 60;

/// The most items that a run reads one by one: profiles, products, each shard's progress and
/// places, and six movements.
const GETS_MAX: u64 = 60;
/// So many tag sets that a record keeps its allocations in separate items.
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
fn counting_a_month_again_takes_a_query_an_hour_and_two_a_day() {
    on_a_thread(|| Executor::default().finish(count_a_month()));
}

async fn count_a_month() {
    let world = Rc::new(World::at(at("2026-11-27T00:20:00Z"), 7));
    let subscription = begin(&world).await;
    // The usage of the first day is billed in time, with its allocations. The usage of the second
    // day is sealed after its deadline, so it is carried row by row.
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
    let queries = Arc::new(AtomicU64::new(0));
    let gets = Arc::new(AtomicU64::new(0));
    let (counted, got) = (Arc::clone(&queries), Arc::clone(&gets));
    world.wire.follow(Box::new(move |call| {
        let is_a = |operation| call.function == "reconciler" && call.operation == operation;
        counted.fetch_add(u64::from(is_a("Query")), Ordering::Relaxed);
        got.fetch_add(u64::from(is_a("GetItem")), Ordering::Relaxed);
        Fate::Answered
    }));
    world.set_time(at("2026-11-30T09:05:00Z"));
    world.seal().await.unwrap();
    let report = world.reconcile_task(Task::Prove(None)).await.unwrap();
    let proof = queries.swap(0, Ordering::Relaxed);
    let gets = gets.load(Ordering::Relaxed);
    assert!(
        gets <= GETS_MAX,
        "{gets} items were read one by one; allocations must not be"
    );
    assert_eq!(report.balanced, Some(true));
    // The days from the one before the subscription became known, through the 29th.
    let days = 4;
    assert_eq!(report.days_proved, days);
    assert!(proof >= days * 25, "{proof} queries for {days} days");
    assert!(
        proof <= days * 25 + OTHERS_MAX,
        "the proof of {days} days took {proof} queries"
    );

    reconcile(&world, "2026-11-30T10".parse().unwrap()).await;
    reconcile(&world, "2026-12-01T02".parse().unwrap()).await;
    queries.store(0, Ordering::Relaxed);
    let report = reconcile(&world, "2026-12-01T04".parse().unwrap()).await;
    let month = queries.load(Ordering::Relaxed);
    // The run recounts the month without its last hour, and perhaps hours whose deadline is near.
    // Each hour needs one query for its rows, and each day one for its records and one for its
    // proof. Each shard lists its live subscriptions once for the days that must be counted and
    // once for each older day.
    let hours = report.hours_recounted;
    assert!(hours >= 719, "{report:?}");
    let walks = 30 * u64::from(SHARDS);
    assert!(
        month <= hours + 2 * hours.div_ceil(23) + walks + OTHERS_MAX,
        "the recount of {hours} hours took {month} queries"
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
    reconcile(&world, "2026-12-01T02".parse().unwrap()).await;
    let [damaged, late] = hours;
    world
        .damage(&Slot {
            subscription: subscription.clone(),
            hour: damaged.parse().unwrap(),
            dimension: "gb".parse().unwrap(),
        })
        .await;
    // No stream reports the late row, and only the month's recount still reads its hour.
    world.report(&subscription, &used("late", late)).await;
    let report = reconcile(&world, "2026-12-01T04".parse().unwrap()).await;
    // A day that must be counted may be recounted once more with the older days.
    assert!(report.hours_flagged >= 1, "{report:?}");
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

/// Sets up a buyer whose subscription is in the rounds.
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
