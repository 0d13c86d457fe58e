//! Any request gets an answer in AWS's form, even if its body is random.

mod common;
#[path = "common/stage.rs"]
mod stage;

use common::LICENSED;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};
use stage::{cases, stage};

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
    "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
];
const CBOR_PATHS: &[&str] = &[
    "/service/AWSMPEntitlementService/operation/GetEntitlements",
    "/service/AWSMPCommerceService_v20200301/operation/SearchAgreements",
    "/service/AWSMPCommerceService_v20200301/operation/ListAgreementInvoiceLineItems",
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

/// Random JSON, in which some names and values are those of the APIs.
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
            "LookupAttributes",
            "EventCategory",
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
    let input = (prop::sample::select(CBOR_PATHS), vec(any::<u8>(), 0..64));
    cases(400)
        .run(&input, |(path, body)| {
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
