//! Subscriptions that end. Records that have only a final hour left are sent first, even if many
//! subscriptions end together and many hours must be recounted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use emulator::Agreement;
use jiff::{SignedDuration, Timestamp};
use ledger::books::of_subscription;
use ledger::{SHARDS, Written};
use marketplace::answer::{Next, Verdict};
use marketplace::books::Books;
use marketplace::lifecycle::Sign;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, State, Subscription, TagSet, UsageHour};
use runtime::Budget;
use simulation::at;
use simulation::bill::billed;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};

#[test]
fn a_record_with_a_final_hour_waits_apart_until_it_is_accepted() {
    on_a_thread(|| Executor::default().finish(make_one_urgent()));
}

async fn make_one_urgent() {
    let world = World::at(at("2026-11-21T00:20:00Z"), 7);
    let listing = listing("urgentproduct");
    world.list(&listing).await;
    let (_, buyer) = buy(&world, &listing).await;
    use_in(&world, &buyer, "2026-11-21T01").await;
    world.set_time(at("2026-11-21T02:35:00Z"));
    world.seal().await.unwrap();
    let keys = [Slot {
        subscription: buyer,
        hour: "2026-11-21T01".parse().unwrap(),
        dimension: "gb".parse().unwrap(),
    }];
    let read = || async { world.ledger.records(&keys).await.unwrap().remove(0) };
    let sealed = read().await;
    let now = world.now.get();
    let later = now + SignedDuration::from_hours(3);
    assert_eq!(waiting(&world, later).await, (0, 1));

    let final_at = at("2026-11-21T03:25:00Z");
    let urgent = world
        .ledger
        .make_urgent(&sealed, final_at, now)
        .await
        .unwrap();
    assert_eq!(urgent, Written::Done);
    // The record has changed since it was read.
    let again = world.ledger.make_urgent(&sealed, later, now).await.unwrap();
    assert_eq!(again, Written::Conflict);
    assert_eq!(waiting(&world, now).await, (1, 0));
    let record = read().await;
    assert_eq!((record.final_at, record.due), (Some(final_at), Some(now)));
    assert_eq!(record.urgency(now).seconds_left, 50 * 60);

    let throttled = Verdict::RequestFailed {
        code: "ThrottlingException".to_owned(),
    };
    let next = Next {
        state: State::Sealed,
        retry_after: Some(SignedDuration::from_mins(1)),
    };
    let written = world.ledger.write_outcome(&record, &throttled, &next, now);
    assert_eq!(written.await.unwrap(), Written::Done);
    assert_eq!(waiting(&world, later).await, (1, 0));

    world.set_time(now + SignedDuration::from_mins(2));
    world.sweep().await.unwrap();
    let accepted = read().await;
    assert_eq!(accepted.state, State::Accepted);
    assert_eq!(waiting(&world, later).await, (0, 0));
    let late = world
        .ledger
        .make_urgent(&accepted, final_at, now)
        .await
        .unwrap();
    assert_eq!(late, Written::Conflict);
}

#[test]
fn a_waiting_record_is_made_urgent_by_an_end_and_ordinary_by_a_renewal() {
    on_a_thread(|| Executor::default().finish(end_and_renew()));
}

async fn end_and_renew() {
    let world = World::at(at("2026-11-21T00:20:00Z"), 7);
    let listing = listing("renewedproduct");
    world.list(&listing).await;
    let (agreement, buyer) = buy(&world, &listing).await;
    use_in(&world, &buyer, "2026-11-21T01").await;
    let now = at("2026-11-21T02:35:00Z");
    world.set_time(now);
    world.seal().await.unwrap();
    let keys = [Slot {
        subscription: buyer.clone(),
        hour: "2026-11-21T01".parse().unwrap(),
        dimension: "gb".parse().unwrap(),
    }];
    let read = || async { world.ledger.records(&keys).await.unwrap().remove(0) };
    let next = Next {
        state: State::Sealed,
        retry_after: Some(SignedDuration::from_hours(3)),
    };
    let (record, verdict) = (read().await, Verdict::NotSubscribed);
    let written = world.ledger.write_outcome(&record, &verdict, &next, now);
    assert_eq!(written.await.unwrap(), Written::Done);
    assert_eq!(waiting(&world, now).await, (0, 0));

    world
        .emulator
        .cancel_agreement(&agreement.agreement_id)
        .unwrap();
    let now = now + SignedDuration::from_mins(5);
    world.set_time(now);
    world.deliver_lifecycle().await;
    assert_eq!(world.seal().await.unwrap().records_made_urgent, 1);
    assert_eq!(waiting(&world, now).await, (1, 0));
    assert!(read().await.final_at.is_some());

    // The renewal of the subscription becomes known late.
    let ending = world.ledger.profile(&buyer).await.unwrap().unwrap();
    let mut renewed = ending.clone();
    renewed.lifecycle.observe(Sign::Activated, now);
    renewed.call_attention(now);
    let written = world.ledger.change_profile(&ending, &renewed).await;
    assert_eq!(written.unwrap(), Written::Done);
    world.seal().await.unwrap();
    assert_eq!(waiting(&world, now).await, (0, 1));
    assert_eq!(read().await.final_at, None);
}

/// The number of subscriptions that end in the same minute, and also of those that continue.
const ENDED: usize = 60;
const OTHERS: usize = 25;
/// The number of calls in a sealer's run. It is a quarter of the calls that a recount of all hours
/// of all ending subscriptions takes.
const CALLS: u64 = 2_400;

#[test]
fn subscriptions_that_end_together_are_billed_within_the_final_hour_while_rounds_go_on() {
    on_a_thread(|| Executor::default().finish(end_together()));
}

async fn end_together() {
    let world = World::at(at("2026-11-19T08:20:00Z"), 7);
    let listing = listing("endingproduct");
    world.list(&listing).await;
    let mut buyers = Vec::new();
    for _ in 0..ENDED + OTHERS {
        buyers.push(buy(&world, &listing).await);
    }
    let (ended, others) = buyers.split_at(ENDED);
    taken_over_and_sealed_for_two_days(&world).await;

    for (_, subscription) in &buyers {
        use_in(&world, subscription, "2026-11-21T09").await;
        use_in(&world, subscription, "2026-11-21T10").await;
    }
    // No stream record announces the rows.
    for (_, subscription) in ended {
        use_in(&world, subscription, "2026-11-20T20").await;
    }
    world.set_time(at("2026-11-21T10:24:57Z"));
    for (agreement, _) in ended {
        world
            .emulator
            .cancel_agreement(&agreement.agreement_id)
            .unwrap();
    }
    world.deliver_lifecycle().await;
    let report = run_until(&world, at("2026-11-21T11:20:00Z"), CALLS).await;
    assert_eq!(report.hours_behind, 0);

    let billed = billed(&world);
    let is_billed = |subscription: &Subscription, hour: &str| {
        let key = (
            subscription.to_string(),
            "gb".to_owned(),
            hour.parse().unwrap(),
        );
        billed.contains_key(&key)
    };
    let missing = |of: &[(Agreement, Subscription)], hour: &str| {
        of.iter().filter(|(_, s)| !is_billed(s, hour)).count()
    };
    assert_eq!(missing(ended, "2026-11-21T09"), 0);
    assert_eq!(missing(ended, "2026-11-21T10"), 0);
    assert_eq!(missing(others, "2026-11-21T09"), 0);
    let (first, last) = ("2026-11-20T20", "2026-11-21T10");
    for (_, subscription) in ended {
        let books = books_of(&world, subscription, first, last).await;
        assert!(books.is_balanced().unwrap(), "{books:?}");
        assert_eq!(books.pending.to_string(), "0", "{books:?}");
    }
}

#[test]
fn a_subscription_whose_recount_takes_longer_than_a_run_gets_its_last_record() {
    on_a_thread(|| Executor::default().finish(end_large()));
}

async fn end_large() {
    let world = World::at(at("2026-11-19T08:20:00Z"), 7);
    let listing = listing("largeproduct");
    world.list(&listing).await;
    let (agreement, subscription) = buy(&world, &listing).await;
    taken_over_and_sealed_for_two_days(&world).await;
    for hour in ["2026-11-21T09", "2026-11-21T10"] {
        use_in(&world, &subscription, hour).await;
    }
    // No stream record announces the row, and no run is long enough for all hours.
    use_in(&world, &subscription, "2026-11-19T10").await;
    world.set_time(at("2026-11-21T10:24:57Z"));
    world
        .emulator
        .cancel_agreement(&agreement.agreement_id)
        .unwrap();
    world.deliver_lifecycle().await;
    run_until(&world, at("2026-11-21T11:20:00Z"), 110).await;
    let hours: Vec<String> = billed(&world)
        .keys()
        .map(|(_, _, hour)| hour.to_string())
        .collect();
    assert_eq!(hours, ["2026-11-21T09", "2026-11-21T10"]);
    let (first, last) = ("2026-11-19T08", "2026-11-21T10");
    let books = books_of(&world, &subscription, first, last).await;
    assert_eq!(books.pending.to_string(), "0", "{books:?}");
}

async fn books_of(world: &World, subscription: &Subscription, first: &str, last: &str) -> Books {
    let profile = world.ledger.profile(subscription).await.unwrap().unwrap();
    let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
    let books = of_subscription(&world.ledger, &profile, first, last).await;
    books.unwrap().sum
}

/// Runs the world until all buyers are in the rounds and at least 48 hours are sealed.
async fn taken_over_and_sealed_for_two_days(world: &World) {
    for time in ["2026-11-19T08:30:00Z", "2026-11-19T09:31:00Z"] {
        world.set_time(at(time));
        world.seal().await.unwrap();
        world.reconcile().await.unwrap();
    }
    assert_eq!(
        world
            .ledger
            .attention_page(None)
            .await
            .unwrap()
            .subscriptions,
        []
    );
    world.set_time(at("2026-11-21T09:35:00Z"));
    world.seal().await.unwrap();
}

/// Runs the sealer every five minutes. Each run's time is up after `calls` calls.
async fn run_until(world: &World, end: Timestamp, calls: u64) -> sealer::Report {
    let made: &'static AtomicU64 = Box::leak(Box::default());
    world.wire.follow(Box::new(move |call| {
        made.fetch_add(u64::from(call.function == "sealer"), Ordering::Relaxed);
        Fate::Answered
    }));
    let mut now = world.now.get();
    let mut made_urgent = 0;
    loop {
        world.set_time(now);
        // The removal of a license becomes known somewhat later than the end.
        world.deliver_lifecycle().await;
        let before = made.load(Ordering::Relaxed);
        let budget = Budget::of_calls(made, calls);
        let report = world.seal_within(budget).await.unwrap();
        made_urgent += report.records_made_urgent;
        // A run completes the work that had begun when its time was up.
        let used = made.load(Ordering::Relaxed) - before;
        assert!(used <= calls + calls / 2 + 200, "{used} calls");
        world.sweep().await.unwrap();
        world.pump_records(now).await;
        now += SignedDuration::from_mins(5);
        if now > end {
            assert!(made_urgent > 0);
            return report;
        }
    }
}

/// The number of records due at `time` that have a final hour, and of those that have none.
async fn waiting(world: &World, time: Timestamp) -> (usize, usize) {
    let (mut urgent, mut others) = (0, 0);
    for shard in 0..SHARDS {
        let page = world.ledger.due_urgent(shard, time, None).await.unwrap();
        urgent += page.slots.len();
        let page = world.ledger.due_records(shard, time, None).await.unwrap();
        others += page.slots.len();
    }
    (urgent, others)
}

fn listing(code: &str) -> Listing {
    Listing {
        code: code.to_owned(),
        identity: IdentityKind::License,
        dimensions: vec!["gb".to_owned()],
    }
}

/// A buyer subscribes and registers, and AWS Marketplace's messages are delivered.
async fn buy(world: &World, listing: &Listing) -> (Agreement, Subscription) {
    let (agreement, subscription) = world.subscribe(listing);
    world.register(&agreement.registration_token).await;
    world.deliver_lifecycle().await;
    (agreement, subscription)
}

async fn use_in(world: &World, subscription: &Subscription, hour: &str) {
    let hour: UsageHour = hour.parse().unwrap();
    let event = UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: format!("of-{hour}").parse().unwrap(),
        quantity: "1".parse().unwrap(),
        time: hour.start() + Duration::from_secs(600),
        tags: TagSet::untagged(),
    };
    world.report(subscription, &event).await;
}
