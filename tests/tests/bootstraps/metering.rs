//! From usage rows to metering records, BatchMeterUsage and the books.

use std::collections::BTreeSet;

use end_to_end::runtime_api::Answer;
use end_to_end::world::{World, sample};
use serde_json::{Value, json};

use crate::{ACCOUNT, LEGACY, LICENSE, feed, feed_in, has};

#[tokio::test]
async fn late_usage_flags_sealed_hours_once() {
    let fed = feed("LateUsage", "late-usage-insert").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    let flagged: BTreeSet<_> = fed
        .written("MeteringRecords", "l#")
        .iter()
        .map(|flag| {
            (
                flag["subscription"].as_str().unwrap(),
                flag["item"].as_str().unwrap(),
            )
        })
        .collect();
    // An hour that is not sealed yet needs no flag.
    assert_eq!(
        flagged,
        BTreeSet::from([(LICENSE, "l#2026-11-21T02"), (LEGACY, "l#2026-11-21T02")])
    );
    assert_eq!(fed.written.len(), 2);
}

#[tokio::test]
async fn late_usage_ignores_removals_by_ttl_and_itemises_unreadable_keys() {
    let fed = feed("LateUsage", "late-usage-ttl-removal").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    assert!(fed.written.is_empty());

    let fed = feed("LateUsage", "late-usage-unreadable").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    let reasons: BTreeSet<_> = fed
        .written("MeteringRecords", "x#")
        .iter()
        .map(|row| row["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        BTreeSet::from(["malformed-partition-key", "unknown-subscription"])
    );
    let [flag] = fed.written("MeteringRecords", "l#")[..] else {
        panic!("{:?}", fed.written)
    };
    has(
        flag,
        json!({"subscription": ACCOUNT, "item": "l#2026-11-21T02"}),
    );
}

#[tokio::test]
async fn the_sealer_freezes_the_hour_that_is_due() {
    let fed = feed("Sealer", "sealer-schedule").await;
    has(
        &fed.answer,
        json!({"watermark": "2026-11-21T03", "records_sealed": 4, "finished": true}),
    );
    for (subscription, dimension, quantity) in [
        (LICENSE, "gb", "4.25"),
        (LICENSE, "requests", "800"),
        (LEGACY, "seats", "12"),
        (ACCOUNT, "gb", "6.5"),
    ] {
        let record = fed.record(subscription, "2026-11-21T03", dimension).await;
        has(
            &record,
            json!({"quantity": quantity, "state": "sealed", "send": "yes"}),
        );
    }
    let record = fed.record(LICENSE, "2026-11-21T03", "gb").await;
    assert_eq!(record["allocations"], r#"[["4.25",{"team":"red"}]]"#);
}

#[tokio::test]
async fn the_sealer_carries_a_late_row_into_the_running_hour() {
    let world = World::start().await;
    world
        .function("LateUsage")
        .await
        .answer("late-usage-insert")
        .await;
    let fed = feed_in(world, "Sealer", "sealer-schedule").await;
    has(
        &fed.answer,
        json!({"movements": 1, "flags_cleared": 2, "left_flagged": 0}),
    );
    let [row] = fed.written("UsageEvents", "gb#carry:2026-11-21T02:")[..] else {
        panic!("{:?}", fed.written)
    };
    has(
        row,
        json!({"subscription_hour": format!("{LICENSE}@2026-11-21T04"), "quantity": "0.75"}),
    );
    assert_eq!(
        fed.written("MeteringRecords", "c#2026-11-21T02#gb#").len(),
        1
    );
    // The frozen records of the hour itself stay unchanged.
    has(
        &fed.record(LICENSE, "2026-11-21T02", "gb").await,
        json!({"quantity": "3.5", "movements": "1"}),
    );
}

#[tokio::test]
async fn the_submitter_sends_what_was_frozen() {
    for name in ["submitter-stream", "submitter-schedule"] {
        let fed = feed("Submitter", name).await;
        has(&fed.answer, json!({"batchItemFailures": []}));
        // There are three products, so there are three calls.
        has(
            &fed.answer["tally"],
            json!({"accepted": 5, "calls": 3, "failed_calls": 0, "unreadable": 0}),
        );
        let record = fed.record(LICENSE, "2026-11-21T02", "gb").await;
        has(
            &record,
            json!({"state": "accepted", "outcome": "Success", "send": null, "work": null}),
        );
        let metered: BTreeSet<_> = fed
            .world
            .emulator
            .metered()
            .into_iter()
            .map(|slot| (slot.product_code, slot.dimension, slot.quantity.to_string()))
            .collect();
        let expected = [
            ("examplecode1", "gb", "3.5"),
            ("examplecode1", "requests", "1200"),
            ("examplecode2", "gb", "0.25"),
            ("examplecode2", "seats", "12"),
            ("examplecode3", "gb", "7"),
        ];
        let expected = expected.map(|(p, d, q)| (p.to_owned(), d.to_owned(), q.to_owned()));
        assert_eq!(metered, BTreeSet::from(expected), "{name}");
    }
}

#[tokio::test]
async fn the_submitters_samples_are_what_the_table_holds() {
    let world = World::start().await;
    for record in sample("submitter-stream")["Records"].as_array().unwrap() {
        let image = record["dynamodb"]["NewImage"].as_object().unwrap();
        let plain: Value = image
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    value.as_object().unwrap().values().next().unwrap().clone(),
                )
            })
            .collect();
        let text = |name: &str| plain[name].as_str().unwrap().to_owned();
        assert_eq!(
            world
                .item("MeteringRecords", &text("subscription"), &text("item"))
                .await,
            plain
        );
    }
}

#[tokio::test]
async fn the_submitter_is_not_stopped_by_a_record_it_cannot_read() {
    let fed = feed("Submitter", "submitter-stream-unreadable").await;
    has(&fed.answer, json!({"batchItemFailures": []}));
    has(
        &fed.answer["tally"],
        json!({"accepted": 1, "unreadable": 2}),
    );
    has(
        &fed.record(ACCOUNT, "2026-11-21T02", "gb").await,
        json!({"state": "accepted"}),
    );
}

#[tokio::test]
async fn the_reconciler_proves_the_books() {
    let fed = feed("Reconciler", "reconciler-schedule").await;
    has(
        &fed.answer,
        json!({"balanced": true, "finished": true, "unconfirmed": 0, "subscriptions_closed": 0}),
    );
    assert!(fed.answer["minutes_to_nearest_deadline"].as_i64().unwrap() > 0);
    // Each shard's progress.
    assert_eq!(
        fed.written("MeteringRecords", "recount-first#").len(),
        usize::from(ledger::SHARDS),
        "{:?}",
        fed.written
    );
}

#[tokio::test]
async fn the_reconciler_does_one_task_of_one_shard() {
    let fed = feed("Reconciler", "reconciler-recount").await;
    has(
        &fed.answer,
        json!({"task": "recount", "shard": 3, "balanced": null, "finished": true}),
    );
    assert_eq!(fed.written("MeteringRecords", "recount-first#3").len(), 1);
    assert_eq!(fed.written.len(), 1, "{:?}", fed.written);
}

#[tokio::test]
async fn an_invocation_without_tables_fails_and_the_next_one_works() {
    let world = World::start().await;
    let function = world.function("Sealer").await;
    function.break_dynamodb(true);
    let Answer::Error(error) = function.invoke(&sample("sealer-schedule")).await else {
        panic!("the invocation succeeded without tables");
    };
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("metering-MeteringRecords"),
        "{error}"
    );
    function.break_dynamodb(false);
    has(
        &function.answer("sealer-schedule").await,
        json!({"records_sealed": 4}),
    );
}
