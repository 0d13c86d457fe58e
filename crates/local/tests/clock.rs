//! The stack with a clock that is moved forward and back, as on a developer's machine.

use jiff::{SignedDuration, Timestamp};
use local::stack::{Stack, StackOptions};
use marketplace::usage::UsageEvent;
use marketplace::{Subscription, TagSet, UsageHour};

use emulator::{Identity, NewAgreement, NewProduct};

async fn started_at(now: &str) -> Stack {
    Stack::start(StackOptions {
        now: Some(now.parse().unwrap()),
        speed: 0.0,
        ..StackOptions::default()
    })
    .await
    .unwrap()
}

/// Creates a buyer whose License Updated has been delivered.
async fn buyer(stack: &mut Stack) -> Subscription {
    let emulator = stack.emulator();
    let product = NewProduct::new("clocked", &["gb"], Identity::License);
    emulator.add_product(product).unwrap();
    let agreement = emulator.add_agreement(NewAgreement::of("clocked")).unwrap();
    stack.step().await.unwrap();
    agreement.license_arn.parse().unwrap()
}

async fn put(stack: &Stack, subscription: &Subscription, id: &str, time: Timestamp) {
    let event = UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: id.parse().unwrap(),
        quantity: "1".parse().unwrap(),
        time,
        tags: TagSet::untagged(),
    };
    stack
        .ledger()
        .put_event(subscription, &event)
        .await
        .unwrap();
}

fn slots(stack: &Stack) -> Vec<(String, String)> {
    let mut slots: Vec<(String, String)> = stack
        .emulator()
        .metered()
        .iter()
        .map(|slot| (slot.hour.to_string(), slot.quantity.to_string()))
        .collect();
    slots.sort();
    slots
}

#[tokio::test]
async fn usage_is_metered_in_its_own_hour_after_the_clock_was_set_back() {
    let mut stack = started_at("2026-11-21T10:40:00Z").await;
    stack.step().await.unwrap();
    let sealed: UsageHour = "2026-11-21T09".parse().unwrap();
    assert_eq!(stack.ledger().watermark().await.unwrap(), Some(sealed));

    let past: Timestamp = "2026-11-10T09:05:00Z".parse().unwrap();
    stack.emulator().set_clock(Some(past), None);
    let subscription = buyer(&mut stack).await;
    put(&stack, &subscription, "e-1", past).await;
    stack
        .run_until(past + SignedDuration::from_hours(2))
        .await
        .unwrap();
    let expected = [("2026-11-10T09:00:00Z".to_owned(), "1".to_owned())];
    assert_eq!(slots(&stack), expected);
}

#[tokio::test]
async fn an_hour_sealed_before_the_clock_was_set_back_is_not_billed_twice() {
    let start: Timestamp = "2026-11-10T09:05:00Z".parse().unwrap();
    let mut stack = started_at("2026-11-10T09:05:00Z").await;
    let subscription = buyer(&mut stack).await;
    put(&stack, &subscription, "e-1", start).await;
    let later = start + SignedDuration::from_hours(3);
    stack.run_until(later).await.unwrap();
    let billed = slots(&stack);
    assert_eq!(billed.len(), 1);
    stack.emulator().set_clock(Some(start), None);
    stack.run_until(later).await.unwrap();
    assert_eq!(slots(&stack), billed);
}

#[tokio::test]
async fn a_clock_that_stands_still_does_not_hold_batches_back() {
    let mut stack = started_at("2026-11-10T09:05:00Z").await;
    let subscription = buyer(&mut stack).await;
    let now = stack.emulator().now();
    put(&stack, &subscription, "e-1", now).await;
    let sealed = now + SignedDuration::from_mins(90);
    stack.emulator().set_clock(Some(sealed), None);
    stack.step().await.unwrap();
    // The record is sealed and waits for the end of the submitter's batching window.
    assert_eq!(slots(&stack), []);
    stack.close_windows().await.unwrap();
    assert_eq!(slots(&stack).len(), 1);
}

#[tokio::test]
async fn after_a_jump_of_hours_the_stack_catches_up_on_them_in_order() {
    let mut stack = started_at("2026-11-10T09:05:00Z").await;
    let subscription = buyer(&mut stack).await;
    let start = stack.emulator().now();
    put(&stack, &subscription, "e-1", start).await;
    let jump = |stack: &Stack, hours| {
        let now = stack.emulator().now() + SignedDuration::from_hours(hours);
        stack.emulator().set_clock(Some(now), None);
    };
    jump(&stack, 2);
    while !stack.catch_up().await.unwrap() {}
    let hour =
        |hour: &str, quantity: &str| (format!("2026-11-10T{hour}:00:00Z"), quantity.to_owned());
    assert_eq!(slots(&stack), [hour("09", "1")]);
    // A row of the sealed hour is carried into hour 11, in which it arrived, and not into hour 13.
    put(&stack, &subscription, "late", start).await;
    jump(&stack, 2);
    while !stack.catch_up().await.unwrap() {}
    assert_eq!(slots(&stack), [hour("09", "1"), hour("11", "1")]);
    // Even after a long jump, usage that was reported before the jump is still sent within the
    // window.
    let now = stack.emulator().now();
    put(&stack, &subscription, "e-2", now).await;
    jump(&stack, 23);
    while !stack.catch_up().await.unwrap() {}
    assert_eq!(
        slots(&stack),
        [hour("09", "1"), hour("11", "1"), hour("13", "1")]
    );
}
