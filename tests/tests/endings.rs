//! Subscriptions that end: what has only a final hour goes first, however many end together and however
//! much there is to count again.

use std::time::Duration;

use end_to_end::proof::run::{Executor, on_a_thread};
use end_to_end::proof::world::{Listing, World};
use jiff::{SignedDuration, Timestamp};
use ledger::{SHARDS, Written};
use marketplace::outcome::{Next, Verdict};
use marketplace::record::RecordKey;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, State, Subscription, TagSet, UsageHour};

#[test]
fn a_record_with_a_final_hour_waits_apart_until_it_is_accepted() {
    on_a_thread(|| Executor::default().finish(hurry_one()));
}

async fn hurry_one() {
    let world = World::at(at("2026-11-21T00:20:00Z"), 7);
    let listing = listing("hurriedproduct");
    world.list(&listing).await;
    let buyer = buy(&world, &listing).await;
    use_in(&world, &buyer, "2026-11-21T01").await;
    world.set_time(at("2026-11-21T02:35:00Z"));
    world.seal().await.unwrap();
    let keys = [RecordKey {
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
    let hurried = world.ledger.hurry(&sealed, final_at, now).await.unwrap();
    assert_eq!(hurried, Written::Done);
    // Somebody has written since.
    let again = world.ledger.hurry(&sealed, later, now).await.unwrap();
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
    let late = world.ledger.hurry(&accepted, final_at, now).await.unwrap();
    assert_eq!(late, Written::Conflict);
}

/// How many records are due at `time` with a final hour, and without.
async fn waiting(world: &World, time: Timestamp) -> (usize, usize) {
    let (mut urgent, mut others) = (0, 0);
    for shard in 0..SHARDS {
        let page = world.ledger.due_urgent(shard, time, None).await.unwrap();
        urgent += page.keys.len();
        let page = world.ledger.due_records(shard, time, None).await.unwrap();
        others += page.keys.len();
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

/// Somebody buys and registers, and AWS Marketplace tells of it.
async fn buy(world: &World, listing: &Listing) -> Subscription {
    let (agreement, subscription) = world.subscribe(listing);
    world.register(&agreement.registration_token).await;
    world.deliver_lifecycle().await;
    subscription
}

async fn use_in(world: &World, subscription: &Subscription, hour: &str) {
    let hour: UsageHour = hour.parse().unwrap();
    let event = UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: "used".parse().unwrap(),
        quantity: "1".parse().unwrap(),
        time: hour.start() + Duration::from_secs(600),
        tags: TagSet::untagged(),
    };
    world.report(subscription, &event).await;
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
