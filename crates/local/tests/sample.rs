//! The sample world, in which every function has work to do.

use jiff::SignedDuration;
use local::sample;
use local::stack::{Stack, StackOptions};
use marketplace::{State, UsageHour};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

async fn loaded() -> Stack {
    let stack = Stack::start(StackOptions {
        speed: 0.0,
        ..StackOptions::default()
    })
    .await
    .unwrap();
    sample::load(stack.ledger(), stack.emulator())
        .await
        .unwrap();
    stack
}

#[tokio::test]
async fn the_world_stands_at_its_time_with_hour_02_sealed_and_unsent() {
    let stack = loaded().await;
    assert_eq!(stack.emulator().now().to_string(), sample::NOW);
    let ledger = stack.ledger();
    let hour: UsageHour = "2026-11-21T02".parse().unwrap();
    assert_eq!(ledger.watermark().await.unwrap(), Some(hour));
    let subscription = LICENSE.parse().unwrap();
    let records = ledger.records_of_hour(&subscription, hour).await.unwrap();
    let sealed: Vec<(String, String, State)> = records
        .iter()
        .map(|r| {
            (
                r.slot.dimension.to_string(),
                r.quantity.to_string(),
                r.state,
            )
        })
        .collect();
    assert_eq!(
        sealed,
        [
            ("gb".to_owned(), "3.5".to_owned(), State::Sealed),
            ("requests".to_owned(), "1200".to_owned(), State::Sealed)
        ]
    );
    assert_eq!(records[0].allocations.len(), 2);
    assert!(stack.emulator().metered().is_empty());
    assert!(stack.emulator().take_lifecycle().is_empty());
}

#[tokio::test]
async fn all_usage_of_the_sample_world_is_billed_without_help() {
    let mut stack = loaded().await;
    let until = stack.emulator().now() + SignedDuration::from_hours(3);
    stack.run_until(until).await.unwrap();
    let mut billed: Vec<(String, String, String, String)> = stack
        .emulator()
        .metered()
        .iter()
        .map(|slot| {
            let slot = serde_json::to_value(slot).unwrap();
            let text = |name: &str| slot[name].as_str().unwrap().to_owned();
            (
                text("product_code"),
                text("dimension"),
                text("hour"),
                text("quantity"),
            )
        })
        .collect();
    billed.sort();
    let expected = [
        ("examplecode1", "gb", "2026-11-21T02:00:00Z", "3.5"),
        ("examplecode1", "gb", "2026-11-21T03:00:00Z", "4.25"),
        // The late row of hour 02 is billed with the running hour.
        ("examplecode1", "gb", "2026-11-21T04:00:00Z", "0.75"),
        ("examplecode1", "requests", "2026-11-21T02:00:00Z", "1200"),
        ("examplecode1", "requests", "2026-11-21T03:00:00Z", "800"),
        ("examplecode2", "gb", "2026-11-21T02:00:00Z", "0.25"),
        ("examplecode2", "seats", "2026-11-21T02:00:00Z", "12"),
        ("examplecode2", "seats", "2026-11-21T03:00:00Z", "12"),
        ("examplecode3", "gb", "2026-11-21T02:00:00Z", "7"),
        ("examplecode3", "gb", "2026-11-21T03:00:00Z", "6.5"),
    ]
    .map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
    assert_eq!(billed, expected);
}

#[tokio::test]
async fn loading_it_twice_is_refused() {
    let stack = loaded().await;
    let again = sample::load(stack.ledger(), stack.emulator()).await;
    assert!(again.unwrap_err().to_string().contains("taken"));
}
