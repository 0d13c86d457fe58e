//! The rules of slots hold under every reading, for random usage that is mostly valid.

mod common;
#[path = "common/stage.rs"]
mod stage;

use common::LEGACY;
use emulator::{Metered, Readings};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stage::{Stage, cases, stage};

const BATCH_METER_USAGE: &str = "AWSMPMeteringService.BatchMeterUsage";
const METER_USAGE: &str = "AWSMPMeteringService.MeterUsage";
/// Every reading with its two values.
const READINGS: [(&str, [&str; 2]); 14] = [
    ("identical_resubmission", ["success", "duplicate-record"]),
    ("identical_record_id", ["same", "new"]),
    ("empty_customer_identifier", ["tolerated", "refused"]),
    ("before_exception", ["nothing-recorded", "earlier-recorded"]),
    ("zero_quantity", ["spends-slot", "leaves-slot-free"]),
    ("stamp_outside_agreement", ["refused", "accepted"]),
    ("slot_scope", ["region", "global"]),
    ("invalid_customer", ["customer-not-subscribed", "exception"]),
    ("final_hour_from", ["deprovisioned", "ended"]),
    ("license_on_renewal", ["survives", "replaced"]),
    ("ended_on_renewal", ["sent", "not-sent"]),
    ("cloudtrail_timestamps", ["printed", "iso8601"]),
    ("five_tags", ["per-allocation", "per-record"]),
    ("slot_granularity", ["hour", "exact-timestamp"]),
];

/// One of the good values, and in every tenth case one of the bad values.
fn mostly(good: Vec<Value>, bad: Vec<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![9 => prop::sample::select(good), 1 => prop::sample::select(bad)]
}

/// A usage record whose timestamp, dimension, quantity, customer and allocations are mostly valid.
fn mostly_valid(stage: &Stage) -> impl Strategy<Value = Value> + use<> {
    let now = common::epoch(common::NOON);
    let stamp = |at: Value| json!({"Timestamp": at});
    let stamps = prop_oneof![
        9 => (0..=24_i64).prop_map(move |hours| stamp(json!(now - hours * 3_600))),
        1 => prop::sample::select(vec![json!(null), json!("x"), json!(1e300), json!(-1), json!(now + 1)])
            .prop_map(stamp),
    ];
    let dimensions = mostly(
        vec![json!({"Dimension": "requests"}), json!({"Dimension": "gb"})],
        vec![
            json!({"Dimension": "GB"}),
            json!({"Dimension": ""}),
            json!({}),
        ],
    );
    let allocations = mostly(
        vec![json!({})],
        vec![
            json!({"UsageAllocations": [{"AllocatedUsageQuantity": 3}]}),
            json!({"UsageAllocations": []}),
            json!({"UsageAllocations": [{}]}),
        ],
    );
    let parts = (
        stamps,
        dimensions,
        quantities(),
        customers(stage),
        allocations,
    );
    parts.prop_map(|(stamp, dimension, quantity, customer, allocations)| {
        let parts = [stamp, dimension, quantity, customer, allocations];
        let members = parts.iter().filter_map(Value::as_object).flatten();
        Value::Object(Map::from_iter(
            members.map(|(name, value)| (name.clone(), value.clone())),
        ))
    })
}

fn quantities() -> impl Strategy<Value = Value> {
    mostly(
        vec![
            json!({"Quantity": 3}),
            json!({"Quantity": 2}),
            json!({"Quantity": 0}),
            json!({"QuantityAsDecimal": "3.0"}),
            json!({}),
        ],
        vec![
            json!({"Quantity": 3, "QuantityAsDecimal": "3"}),
            json!({"Quantity": -1}),
            json!({"Quantity": 2_147_483_648_i64}),
            json!({"QuantityAsDecimal": "0.1234567"}),
        ],
    )
}

fn customers(stage: &Stage) -> impl Strategy<Value = Value> + use<> {
    let (licensed, legacy) = (&stage.licensed, &stage.legacy);
    let (arn, account) = (&licensed.license_arn, &licensed.account_id);
    let by_license = json!({"LicenseArn": arn, "CustomerAWSAccountId": account});
    let as_the_sdk = common::with(&by_license, "CustomerIdentifier", "");
    mostly(
        vec![
            by_license,
            as_the_sdk,
            json!({"CustomerIdentifier": legacy.customer_identifier}),
            json!({"CustomerAWSAccountId": legacy.account_id}),
        ],
        vec![
            json!({"LicenseArn": legacy.license_arn, "CustomerAWSAccountId": account}),
            json!({"LicenseArn": arn}),
            json!({"LicenseArn": "arn", "CustomerAWSAccountId": account}),
            json!({"CustomerIdentifier": "nobody"}),
            json!({}),
        ],
    )
}

#[test]
fn mostly_valid_records_keep_the_rules_of_slots() {
    let stage = stage();
    let product = prop::sample::select(vec![Value::Null, Value::Null, json!(LEGACY), json!("x")]);
    let input = (vec(mostly_valid(&stage), 0..4), product);
    cases(800)
        .run(&input, |(records, product)| {
            let emulator = &stage.running.emulator;
            let before = emulator.metered();
            let request = json!({"UsageRecords": records, "ProductCode": product});
            let answer = stage.call(BATCH_METER_USAGE, request.to_string().as_bytes())?;
            let after = emulator.metered();
            prop_assert_eq!(
                &after[..before.len()],
                &before[..],
                "a billed slot never changes"
            );
            if answer.status != 200 {
                prop_assert_eq!(after.len(), before.len(), "a refused request bills nothing");
                return Ok(());
            }
            let body = answer.json();
            let results = body["Results"].as_array().expect("results");
            prop_assert_eq!(results.len(), records.len());
            for result in results.iter().filter(|r| r["Status"] == "Success") {
                let id = result["MeteringRecordId"].as_str().expect("an id");
                let slot = after.iter().find(|slot| slot.metering_record_id == id);
                prop_assert!(slot.is_some(), "a success is billed");
            }
            prop_assert_eq!(
                distinct_slots(&after),
                after.len(),
                "each slot has one quantity"
            );
            Ok(())
        })
        .expect("the rules hold");
    assert_eq!(stage.running.emulator.readings(), Readings::default());
    assert!(!stage.running.emulator.metered().is_empty());
}

/// The number of slots that differ in their buyer, product, dimension or hour.
fn distinct_slots(slots: &[Metered]) -> usize {
    let mut names: Vec<_> = slots
        .iter()
        .map(|s| {
            (
                &s.license_arn,
                &s.account_id,
                &s.product_code,
                &s.dimension,
                s.hour,
            )
        })
        .collect();
    names.sort();
    names.dedup();
    names.len()
}

/// A random value of each reading.
fn any_readings() -> impl Strategy<Value = Readings> {
    vec(0..2_usize, READINGS.len()).prop_map(|choices| {
        let values = READINGS.iter().zip(choices);
        let chosen = values
            .map(|((name, settings), choice)| ((*name).to_owned(), json!(settings.get(choice))));
        serde_json::from_value(Value::Object(chosen.collect())).expect("readings")
    })
}

#[test]
fn under_every_reading_the_first_record_stays_and_every_success_has_an_id() {
    let stage = stage();
    let product = prop::sample::select(vec![Value::Null, json!(LEGACY)]);
    let input = (any_readings(), vec(mostly_valid(&stage), 1..4), product);
    cases(800)
        .run(&input, |(readings, records, product)| {
            let emulator = &stage.running.emulator;
            emulator.set_readings(readings);
            let before = emulator.metered();
            let request = json!({"UsageRecords": records, "ProductCode": product});
            let answer = stage.call(BATCH_METER_USAGE, request.to_string().as_bytes())?;
            let after = emulator.metered();
            prop_assert_eq!(&after[..before.len()], &before[..]);
            prop_assert!(after.len() <= before.len() + records.len());
            if answer.status == 200 {
                let body = answer.json();
                let results = body["Results"].as_array().expect("results");
                prop_assert_eq!(results.len(), records.len());
                for result in results {
                    let success = result["Status"] == "Success";
                    prop_assert_eq!(
                        result["MeteringRecordId"].is_string(),
                        success,
                        "{}",
                        result
                    );
                }
            }
            Ok(())
        })
        .expect("the rules hold");
    assert!(!stage.running.emulator.metered().is_empty());
}

/// A request of `MeterUsage` that is mostly valid.
fn mostly_valid_meter_usage() -> impl Strategy<Value = Value> {
    let now = common::epoch(common::NOON);
    let quantity = prop::sample::select(vec![
        json!({"UsageQuantity": 1}),
        json!({"UsageQuantity": 2}),
        json!({"UsageQuantityAsDecimal": "1.0"}),
        json!({"UsageQuantity": 1, "UsageQuantityAsDecimal": "1"}),
        json!({"UsageQuantity": -1}),
        json!({}),
    ]);
    let token = prop::sample::select(vec![json!(null), json!(null), json!("t-1"), json!("")]);
    let dimension = prop::sample::select(vec!["requests", "gb", "GB"]);
    let dry_run = prop::sample::select(vec![json!(null), json!(false), json!(true), json!("x")]);
    (-1..8_i64, quantity, token, dimension, dry_run).prop_map(
        move |(hours, quantity, token, dimension, dry_run)| {
            let mut request = quantity;
            request["ProductCode"] = json!(LEGACY);
            request["Timestamp"] = json!(now - hours * 3_600);
            request["UsageDimension"] = json!(dimension);
            request["ClientToken"] = token;
            request["DryRun"] = dry_run;
            request
        },
    )
}

#[test]
fn an_instance_has_one_quantity_for_an_hour_and_dimension_whatever_it_sends() {
    let stage = stage();
    cases(600)
        .run(&mostly_valid_meter_usage(), |request| {
            let emulator = &stage.running.emulator;
            let before = emulator.metered();
            let answer = stage.call(METER_USAGE, request.to_string().as_bytes())?;
            let after = emulator.metered();
            prop_assert_eq!(&after[..before.len()], &before[..]);
            match answer.status {
                200 => {
                    let id = answer.json()["MeteringRecordId"].clone();
                    prop_assert!(after.iter().any(|slot| id == slot.metering_record_id));
                }
                _ => prop_assert_eq!(after.len(), before.len(), "a refusal bills nothing"),
            }
            prop_assert_eq!(distinct_slots(&after), after.len());
            Ok(())
        })
        .expect("the rules hold");
    assert!(!stage.running.emulator.metered().is_empty());
}
