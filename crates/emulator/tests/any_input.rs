//! Whatever is sent, the answer has AWS's shape and the world stays sound.

mod common;

use common::{LEGACY, LICENSED, Running};
use emulator::{Agreement, Readings};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

const TARGETS: &[&str] = &[
    "AWSMPMeteringService.BatchMeterUsage",
    "AWSMPMeteringService.MeterUsage",
    "AWSMPMeteringService.RegisterUsage",
    "AWSMPMeteringService.ResolveCustomer",
    "AWSMPEntitlementService.GetEntitlements",
    "AWSMPCommerceService_v20200301.SearchAgreements",
    "AWSMPCommerceService_v20200301.DescribeAgreement",
    "AWSMPCommerceService_v20200301.ListAgreementInvoiceLineItems",
    "AWSMPCommerceService_v20200301.BatchCreateBillingAdjustmentRequest",
];
const CONTROLS: &[(&str, &str)] = &[
    ("POST", "products"),
    ("POST", "agreements"),
    ("PUT", "clock"),
    ("PUT", "faults"),
    ("PUT", "readings"),
    ("PUT", "settings"),
    ("PUT", "target"),
    ("PUT", "world"),
];

/// A world and a runtime to call it from plain tests.
struct Stage {
    runtime: tokio::runtime::Runtime,
    running: Running,
    licensed: Agreement,
    legacy: Agreement,
}

fn stage() -> Stage {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let running = runtime.block_on(common::running());
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    Stage {
        runtime,
        running,
        licensed,
        legacy,
    }
}

impl Stage {
    /// Sends a body and holds the answer against AWS's shapes.
    fn call(&self, target: &str, body: &[u8]) -> Result<common::Answer, TestCaseError> {
        let answer = self.runtime.block_on(self.running.try_aws(target, body));
        let Some(answer) = answer else {
            return Err(TestCaseError::fail("no answer"));
        };
        let json = answer.json();
        match answer.status {
            200 => prop_assert!(json.is_object()),
            400 | 413 => prop_assert!(!answer.error().is_empty()),
            status => prop_assert!(false, "status {status}: {json}"),
        }
        prop_assert!(answer.headers.contains_key("x-amzn-requestid"));
        Ok(answer)
    }
}

fn cases(count: u32) -> TestRunner {
    TestRunner::new(Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    })
}

/// JSON of any shape, with the names and values the API knows strewn in.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-zA-Z]{0,8}",
        prop::sample::select(vec![
            "UsageRecords",
            "Timestamp",
            "Dimension",
            "Quantity",
            "QuantityAsDecimal",
            "UsageAllocations",
            "Tags",
            "Key",
            "Value",
            "ProductCode",
            "LicenseArn",
            "CustomerAWSAccountId",
            "CustomerIdentifier",
            "Filter",
            "NextToken",
            "MaxResults",
            "filters",
            "agreementId",
            "code",
            "dimensions",
            "faults",
            "now",
            "speed",
            "world",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9.]{0,20}".prop_map(Value::from),
        Just(Value::from(LICENSED)),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(name.clone(), inner, 0..6).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

#[test]
fn any_bytes_are_answered() {
    let stage = stage();
    let input = (prop::sample::select(TARGETS), vec(any::<u8>(), 0..200));
    cases(400)
        .run(&input, |(target, body)| {
            stage.call(target, &body).map(|_| ())
        })
        .expect("every body is answered");
}

#[test]
fn any_bytes_are_answered_in_the_binary_protocol() {
    let stage = stage();
    let authorization = "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/aws-marketplace/aws4_request, SignedHeaders=host, Signature=00";
    let headers = [
        ("smithy-protocol", "rpc-v2-cbor"),
        ("authorization", authorization),
    ];
    let path = "/service/AWSMPEntitlementService/operation/GetEntitlements";
    cases(300)
        .run(&vec(any::<u8>(), 0..64), |body| {
            let call = stage.running.http("POST", path, &headers, body);
            let answer = stage.runtime.block_on(call);
            let answer = answer.ok_or_else(|| TestCaseError::fail("no answer"))?;
            prop_assert!(matches!(answer.status, 200 | 400), "{answer:?}");
            prop_assert_eq!(&answer.headers["content-type"], "application/cbor");
            Ok(())
        })
        .expect("every body is answered");
}

#[test]
fn any_json_is_answered_by_the_api_and_by_the_control_interface() {
    let stage = stage();
    let input = (
        prop::sample::select(TARGETS),
        prop::sample::select(CONTROLS),
        any_json(),
    );
    cases(600)
        .run(&input, |(target, (method, path), body)| {
            stage.call(target, body.to_string().as_bytes())?;
            let control = stage.running.control(method, path, &body);
            let answer = stage.runtime.block_on(control);
            prop_assert!(matches!(answer.status, 200 | 201 | 204 | 400), "{answer:?}");
            if answer.status == 400 {
                prop_assert!(answer.json()["error"].is_string());
            }
            stage
                .running
                .emulator
                .set_faults(emulator::Faults::default());
            Ok(())
        })
        .expect("every body is answered");
}

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
            let answer = stage.call(TARGETS[0], request.to_string().as_bytes())?;
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
            let mut slots: Vec<_> = after
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
            slots.sort();
            slots.dedup();
            prop_assert_eq!(slots.len(), after.len(), "one slot, one quantity");
            Ok(())
        })
        .expect("the rules hold");
    assert_eq!(stage.running.emulator.readings(), Readings::default());
    assert!(!stage.running.emulator.metered().is_empty());
}
