//! Rows that belong to no known subscription are itemised, 25 at a time, and none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::World;

const ROWS: usize = 10_000;
const BUYER: &str = "account|examplecode3|111122223333";

/// The result of a delivery of such rows.
struct Delivered {
    /// Number of calls of BatchWriteItem.
    writes: u64,
    /// The function's answer, which lists the stream records that Lambda must deliver again.
    again: Value,
    /// The rows that are itemised after the delivery.
    itemised: Vec<String>,
}

/// Delivers rows whose calls of BatchWriteItem meet this fate.
async fn deliver(world: &World, rows: &[Value], fate: Fate) -> Delivered {
    let writes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&writes);
    world.wire.follow(Box::new(move |call| {
        if call.operation != "BatchWriteItem" {
            return Fate::Answered;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        fate
    }));
    let again = world.deliver_usage(&json!({ "Records": rows })).await;
    world.wire.heal();
    let (listed, are_more) = world.ledger.itemised_unattributed(2 * ROWS).await.unwrap();
    assert!(!are_more);
    let mut itemised: Vec<String> = listed.into_iter().map(|row| row.dimension_event).collect();
    itemised.sort();
    Delivered {
        writes: writes.load(Ordering::Relaxed),
        again: again.unwrap(),
        itemised,
    }
}

fn row(number: usize, partition: &str) -> Value {
    json!({"eventName": "INSERT", "dynamodb": {
        "Keys": {
            "subscription_hour": {"S": partition},
            "dimension_event": {"S": format!("gb#{number:05}")},
        },
        "SequenceNumber": number.to_string(),
    }})
}

/// Rows of a subscription that nobody registered, in a hundred hours.
fn rows(count: usize) -> Vec<Value> {
    let partition = |n: usize| format!("{BUYER}@2026-11-{:02}T{:02}", 1 + n % 5, n % 20);
    (0..count).map(|n| row(n, &partition(n))).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("gb#{n:05}")).collect()
}

fn world() -> World {
    World::at("2026-11-21T08:20:00Z".parse().unwrap(), 7)
}

#[test]
fn ten_thousand_rows_of_nobody_take_four_hundred_writes() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let delivered = deliver(&world(), &rows(ROWS), Fate::Answered).await;
            assert_eq!(delivered.writes, 400);
            assert_eq!(delivered.again, json!({"batchItemFailures": []}));
            assert_eq!(delivered.itemised, names(ROWS));
        });
    });
}

#[test]
fn no_row_of_nobody_is_lost_when_half_of_each_write_is_left_unprocessed() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let delivered = deliver(&world(), &rows(ROWS), Fate::Partly).await;
            // 25 items take five calls: 13, 6, 3, 2 and 1 of them.
            assert_eq!(delivered.writes, 2_000);
            assert_eq!(delivered.again, json!({"batchItemFailures": []}));
            assert_eq!(delivered.itemised, names(ROWS));
        });
    });
}

#[test]
fn rows_of_nobody_that_cannot_be_written_are_delivered_again_from_the_lowest() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let rows = rows(60);
            let broken = deliver(&world, &rows, Fate::Failed).await;
            let from_the_first = json!({"batchItemFailures": [{"itemIdentifier": "0"}]});
            assert_eq!(broken.again, from_the_first);
            // A row that is itemised twice, or by two deliveries, overwrites its own item.
            let twice: Vec<Value> = rows.iter().chain(&rows).cloned().collect();
            let delivered = deliver(&world, &twice, Fate::Answered).await;
            assert_eq!(delivered.again, json!({"batchItemFailures": []}));
            assert_eq!(delivered.itemised, names(60));
        });
    });
}

#[test]
fn a_row_that_fits_no_item_keeps_no_other_from_being_itemised() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let mut rows = rows(40);
            // DynamoDB stores at most 400 KB in an item.
            rows.insert(20, row(90_000, &"x".repeat(500_000)));
            let delivered = deliver(&world(), &rows, Fate::Answered).await;
            assert_eq!(delivered.again, json!({"batchItemFailures": []}));
            assert_eq!(delivered.itemised, names(40));
        });
    });
}

#[test]
fn the_list_of_rows_of_nobody_ends_at_its_limit_and_says_so() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            deliver(&world, &rows(40), Fate::Answered).await;
            let (listed, are_more) = world.ledger.itemised_unattributed(39).await.unwrap();
            assert_eq!((listed.len(), are_more), (39, true));
            let (listed, are_more) = world.ledger.itemised_unattributed(40).await.unwrap();
            assert_eq!((listed.len(), are_more), (40, false));
        });
    });
}
