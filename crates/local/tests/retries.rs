//! Functions that fail, wholly or in part, and deliveries with injected faults.

mod common;

use std::collections::BTreeMap;

use common::{Function, World, done, names};
use jiff::SignedDuration;
use local::pump::{DeliveryFaults, DiscardCondition, EventSource};
use serde_json::{Value, json};

fn failed(sequence_number: &str) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": sequence_number}]})
}

#[tokio::test]
async fn a_partial_failure_is_retried_from_the_lowest_sequence_number() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(5).await;
    let mut options = world.options();
    options.report_batch_item_failures = true;
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let outcome = function
        .poll(&mut source, &world, |_| {
            let failures = ["gb#004", "gb#002", "gb#003"]
                .map(|id| json!({"itemIdentifier": function.sequence_number(id)}));
            Ok(json!({"batchItemFailures": failures}))
        })
        .await;
    assert_eq!(
        (outcome.delivered, outcome.failures, outcome.invocations),
        (2, 1, 1)
    );
    assert_eq!(
        outcome.next_due,
        Some(world.clock.now() + SignedDuration::from_secs(1))
    );

    world.put("gb#005").await;
    assert_eq!(
        function.poll(&mut source, &world, done).await.invocations,
        0,
        "the retry waits its second"
    );
    world.clock.advance(SignedDuration::from_secs(1));
    function.poll(&mut source, &world, done).await;
    assert_eq!(
        function.batches(),
        [names(0..5), names(2..5), names(5..6)],
        "and nothing overtakes it"
    );
}

#[tokio::test]
async fn an_answer_lambda_cannot_read_fails_the_whole_batch() {
    for answer in [
        failed("99999999999999999999999"),
        failed(""),
        json!({"batchItemFailures": [{"itemIdentifier": null}]}),
        json!({"batchItemFailures": [{"id": "x"}]}),
        json!({"batchItemFailures": "all"}),
        json!("failed"),
    ] {
        let world = World::streamed("KEYS_ONLY");
        world.put_many(3).await;
        let mut options = world.options();
        options.report_batch_item_failures = true;
        let function = Function::default();
        let mut source = EventSource::new(options).unwrap();
        let outcome = function
            .poll(&mut source, &world, |_| Ok(answer.clone()))
            .await;
        assert_eq!((outcome.failures, outcome.delivered), (1, 0), "{answer}");
        world.clock.advance(SignedDuration::from_secs(1));
        function.poll(&mut source, &world, done).await;
        assert_eq!(function.batches(), [names(0..3), names(0..3)], "{answer}");
    }
}

#[tokio::test]
async fn no_failures_in_an_answer_mean_success() {
    for answer in [
        Value::Null,
        json!({}),
        json!({"batchItemFailures": []}),
        json!({"batchItemFailures": null}),
    ] {
        let world = World::streamed("KEYS_ONLY");
        world.put_many(3).await;
        let mut options = world.options();
        options.report_batch_item_failures = true;
        let mut source = EventSource::new(options).unwrap();
        let outcome = Function::default()
            .poll(&mut source, &world, |_| Ok(answer.clone()))
            .await;
        assert_eq!((outcome.failures, outcome.delivered), (0, 3), "{answer}");
    }
}

#[tokio::test]
async fn a_mapping_that_takes_no_reports_takes_any_answer_as_success() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(2).await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    let outcome = function
        .poll(&mut source, &world, |_| {
            Ok(failed(&function.sequence_number("gb#000")))
        })
        .await;
    assert_eq!((outcome.failures, outcome.delivered), (0, 2));
}

#[tokio::test]
async fn a_poison_record_is_isolated_by_bisection_and_the_rest_is_delivered() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(8).await;
    let mut options = world.options();
    options.bisect_on_error = true;
    options.retry_attempts_max = Some(2);
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let mut taken = Vec::new();
    let mut on_failure = Vec::new();
    for _ in 0..4 {
        let delivered = std::sync::Mutex::new(Vec::new());
        let outcome = function
            .poll(&mut source, &world, |ids| {
                if ids.contains(&"gb#005".to_owned()) {
                    return Err("poison".to_owned());
                }
                delivered.lock().unwrap().extend_from_slice(ids);
                Ok(Value::Null)
            })
            .await;
        taken.extend(delivered.into_inner().unwrap());
        on_failure.extend(outcome.on_failure);
        world.clock.advance(SignedDuration::from_secs(5));
    }
    assert_eq!(taken, [names(0..5), names(6..8)].concat());
    assert_eq!(on_failure.len(), 1);
    let discarded = &on_failure[0];
    assert_eq!(
        discarded.condition,
        DiscardCondition::RetryAttemptsExhausted
    );
    assert_eq!(discarded.error.as_deref(), Some("poison"));
    assert_eq!(discarded.batch_size, 1);
    assert_eq!(
        discarded.start_sequence_number,
        function.sequence_number("gb#005")
    );
    assert_eq!(
        discarded.end_sequence_number,
        discarded.start_sequence_number
    );
    let alone = function
        .batches()
        .into_iter()
        .filter(|batch| *batch == ["gb#005"])
        .count();
    assert_eq!(
        alone, 3,
        "splitting uses up no retry: alone it has its first attempt and two retries"
    );
    let message = discarded.to_json();
    assert_eq!(
        message["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(message["DDBStreamBatchInfo"]["batchSize"], 1);
}

#[tokio::test]
async fn without_bisection_the_whole_batch_goes_to_the_destination() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(3).await;
    let mut options = world.options();
    options.retry_attempts_max = Some(0);
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let outcome = function
        .poll(&mut source, &world, |_| Err("down".to_owned()))
        .await;
    assert_eq!(outcome.on_failure[0].batch_size, 3);
    assert_eq!(
        outcome.on_failure[0].start_sequence_number,
        function.sequence_number("gb#000")
    );
    assert_eq!(
        outcome.on_failure[0].end_sequence_number,
        function.sequence_number("gb#002")
    );
    assert_eq!(outcome.next_due, None);
}

#[tokio::test]
async fn retries_go_on_until_the_record_is_too_old() {
    let world = World::streamed("KEYS_ONLY");
    world.put("gb#000").await;
    world.clock.advance(SignedDuration::from_secs(200));
    world.put("gb#001").await;
    let mut options = world.options();
    options.record_age_max = Some(SignedDuration::from_secs(240));
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let mut on_failure = Vec::new();
    for _ in 0..5 {
        let outcome = function
            .poll(&mut source, &world, |_| Err("down".to_owned()))
            .await;
        on_failure.extend(outcome.on_failure);
        world.clock.advance(SignedDuration::from_secs(20));
    }
    assert_eq!(on_failure.len(), 1);
    assert_eq!(on_failure[0].condition, DiscardCondition::RecordAgeExceeded);
    assert_eq!(on_failure[0].batch_size, 1);
    assert_eq!(
        function.batches().last().unwrap(),
        &names(1..2),
        "the younger one is still tried"
    );
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(outcome.delivered, 1);
}

#[tokio::test]
async fn an_error_blocks_the_shard_until_it_is_over() {
    let world = World::streamed("KEYS_ONLY");
    world.put("gb#000").await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let outcome = function
            .poll(&mut source, &world, |_| Err("down".to_owned()))
            .await;
        let wait = outcome.next_due.unwrap().duration_since(world.clock.now());
        waits.push(wait.as_secs());
        world.clock.advance(wait);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    world.put("gb#001").await;
    function.poll(&mut source, &world, done).await;
    assert_eq!(function.batches()[8..], [names(0..1), names(1..2)]);
}

async fn harsh_day(faults: DeliveryFaults, records: usize) -> (Vec<String>, usize, usize) {
    let world = World::streamed("KEYS_ONLY");
    let mut options = world.options();
    options.batch_size_max = 7;
    options.faults = Some(faults);
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    world.put_many(records).await;
    let (mut dropped, mut repeated) = (0, 0);
    for _ in 0..20 {
        let outcome = function.poll(&mut source, &world, done).await;
        dropped += outcome.dropped;
        repeated += outcome.repeated;
        world.clock.advance(SignedDuration::from_secs(60));
    }
    assert_eq!(source.next_due(world.clock.now()), None);
    (function.deliveries(), dropped, repeated)
}

#[tokio::test]
async fn a_harsh_day_repeats_exactly_by_its_seed() {
    let faults = DeliveryFaults {
        seed: 7,
        drop_per_mille: 100,
        repeat_per_mille: 150,
        reorder_per_mille: 200,
        delay_per_mille: 100,
        delay_max: SignedDuration::from_secs(600),
    };
    let first = harsh_day(faults.clone(), 200).await;
    assert_eq!(first, harsh_day(faults.clone(), 200).await);
    let (deliveries, dropped, repeated) = first;
    assert!(dropped > 0 && repeated > 0);
    assert_eq!(deliveries.len(), 200 - dropped + repeated);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &deliveries {
        *counts.entry(id).or_default() += 1;
    }
    assert_eq!(counts.len(), 200 - dropped);
    assert!(!deliveries.is_sorted(), "some came late or out of order");
    let other = harsh_day(DeliveryFaults { seed: 8, ..faults }, 200).await;
    assert_ne!(deliveries, other.0);
}

#[tokio::test]
async fn a_chance_of_a_thousand_per_mille_is_a_certainty() {
    let never = DeliveryFaults {
        seed: 1,
        drop_per_mille: 1_000,
        repeat_per_mille: 0,
        reorder_per_mille: 0,
        delay_per_mille: 0,
        delay_max: SignedDuration::ZERO,
    };
    assert!(harsh_day(never.clone(), 10).await.0.is_empty());
    let twice = DeliveryFaults {
        drop_per_mille: 0,
        repeat_per_mille: 1_000,
        ..never.clone()
    };
    assert_eq!(harsh_day(twice, 10).await.0.len(), 20);
    let none = DeliveryFaults {
        drop_per_mille: 0,
        ..never
    };
    assert_eq!(harsh_day(none, 10).await.0, names(0..10));
}
