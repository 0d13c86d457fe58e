//! Usage that is nearly right, in every mixture: the rules of slots hold under every reading.

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
/// Every switch with its two settings.
const SWITCHES: [(&str, [&str; 2]); 13] = [
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
    ("cloudtrail_timestamps", ["printed", "iso8601"]),
    ("five_tags", ["per-allocation", "per-record"]),
    ("slot_granularity", ["hour", "exact-timestamp"]),
];

/// A record that is nearly right: each member from a small choice of good and bad values.
fn nearly_right(stage: &Stage) -> impl Strategy<Value = Value> + use<> {
    let choice = |values: Vec<Value>| prop::sample::select(values);
    let now = common::epoch(common::NOON);
    let members: Vec<(&str, BoxedStrategy<Value>)> = vec![
        (
            "Timestamp",
            prop_oneof![
                8 => (0..30_i64).prop_map(move |hours| json!(now - hours * 3_600)),
                1 => choice(vec![json!(null), json!("x"), json!(1e300), json!(-1), json!(now + 1)]),
            ]
            .boxed(),
        ),
        (
            "Dimension",
            choice(vec![
                json!("requests"),
                json!("gb"),
                json!("gb"),
                json!("GB"),
                json!(""),
            ])
            .boxed(),
        ),
        (
            "Quantity",
            choice(vec![
                json!(null),
                json!(0),
                json!(3),
                json!(3),
                json!(-1),
                json!(2_147_483_648_i64),
            ])
            .boxed(),
        ),
        (
            "QuantityAsDecimal",
            choice(vec![
                json!(null),
                json!(null),
                json!(null),
                json!("3.0"),
                json!("0.1234567"),
            ])
            .boxed(),
        ),
        (
            "LicenseArn",
            choice(vec![
                json!(stage.licensed.license_arn),
                json!(stage.licensed.license_arn),
                json!(stage.legacy.license_arn),
                json!(null),
                json!("arn"),
            ])
            .boxed(),
        ),
        (
            "CustomerAWSAccountId",
            choice(vec![
                json!(stage.licensed.account_id),
                json!(stage.licensed.account_id),
                json!(stage.legacy.account_id),
                json!(null),
            ])
            .boxed(),
        ),
        (
            "CustomerIdentifier",
            choice(vec![
                json!(null),
                json!(null),
                json!(""),
                json!(stage.legacy.customer_identifier),
            ])
            .boxed(),
        ),
        (
            "UsageAllocations",
            choice(vec![
                json!(null),
                json!(null),
                json!(null),
                json!([]),
                json!([{"AllocatedUsageQuantity": 3}]),
                json!([{}]),
            ])
            .boxed(),
        ),
    ];
    let (names, values): (Vec<&str>, Vec<BoxedStrategy<Value>>) = members.into_iter().unzip();
    values.prop_map(move |values| {
        let names = names.iter().map(|name| (*name).to_owned());
        Value::Object(Map::from_iter(names.zip(values)))
    })
}

#[test]
fn nearly_right_records_keep_the_rules_of_slots_under_every_answer() {
    let stage = stage();
    let product = prop::sample::select(vec![Value::Null, Value::Null, json!(LEGACY), json!("x")]);
    let input = (vec(nearly_right(&stage), 0..4), product);
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
                "what is billed stays billed"
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
            prop_assert_eq!(apart(&after), after.len(), "one slot, one quantity");
            Ok(())
        })
        .expect("the rules hold");
    assert_eq!(stage.running.emulator.readings(), Readings::default());
    assert!(!stage.running.emulator.metered().is_empty());
}

/// How many slots there are that differ in whom they bill, for what and which hour.
fn apart(slots: &[Metered]) -> usize {
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

/// One setting of each switch.
fn any_readings() -> impl Strategy<Value = Readings> {
    vec(0..2_usize, SWITCHES.len()).prop_map(|choices| {
        let switches = SWITCHES.iter().zip(choices);
        let chosen = switches
            .map(|((name, settings), choice)| ((*name).to_owned(), json!(settings.get(choice))));
        serde_json::from_value(Value::Object(chosen.collect())).expect("readings")
    })
}

#[test]
fn under_every_reading_the_first_write_stays_and_every_success_has_its_slot() {
    let stage = stage();
    let product = prop::sample::select(vec![Value::Null, json!(LEGACY)]);
    let input = (any_readings(), vec(nearly_right(&stage), 1..4), product);
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

/// A `MeterUsage` request that is nearly right.
fn nearly_right_meter_usage() -> impl Strategy<Value = Value> {
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
        .run(&nearly_right_meter_usage(), |request| {
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
            prop_assert_eq!(apart(&after), after.len());
            Ok(())
        })
        .expect("the rules hold");
    assert!(!stage.running.emulator.metered().is_empty());
}
