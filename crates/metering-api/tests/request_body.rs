//! Properties of the request bytes that are made of records.

mod common;

use common::share;
use marketplace::batch::{BatchGroup, may_be_cut_off};
use marketplace::limits::AUDITABLE_REQUEST_BYTES_MAX;
use marketplace::record::Allocation;
use marketplace::{IdentityKind, MeteringRecord, Quantity};
use metering_api::{record_bytes, request_body};
use proptest::prelude::*;
use serde_json::Value;

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        (0u64..=3_000_000_000).prop_map(|whole| whole * 1_000_000),
        0u64..=9_999_999_999_999_999,
        0u64..=3_000_000,
    ]
    .prop_map(|micros| Quantity::from_micros(micros).unwrap())
}

fn allocation() -> impl Strategy<Value = Allocation> {
    let tags = proptest::collection::vec(("[a-zA-Z0-9 +/:=_@.-]{1,9}", "[!-=]{1,20}"), 0..4);
    (tags, quantity()).prop_map(|(tags, quantity)| {
        let tags: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        Allocation {
            quantity,
            ..share(&tags, "0")
        }
    })
}

fn record() -> impl Strategy<Value = MeteringRecord> {
    let subscription = prop_oneof![
        "arn:aws:license-manager::[0-9]{3,12}:license:l-[0-9a-f]{4,32}",
        "legacy\\|code1\\|[^|\\p{C}]{1,20}",
        "account\\|code1\\|[0-9]{1,12}",
    ];
    (
        subscription,
        "\\PC{1,40}",
        quantity(),
        proptest::collection::vec(allocation(), 0..5),
        any::<bool>(),
    )
        .prop_map(
            |(subscription, dimension, quantity, allocations, account)| {
                let mut record = common::record(&subscription, "gb", "0");
                record.slot.dimension = dimension.parse().unwrap();
                record.quantity = quantity;
                record.allocations = allocations;
                record.account = record.account.filter(|_| account);
                record
            },
        )
}

fn group(record: &MeteringRecord) -> BatchGroup {
    BatchGroup {
        product: record.product.clone(),
        kind: record.slot.subscription.kind(),
    }
}

fn micros(value: &Value, integer: &str, decimal: &str) -> Option<u64> {
    match (value.get(integer), value.get(decimal)) {
        (Some(whole), None) => Some(whole.as_u64()?.checked_mul(1_000_000)?),
        (None, Some(text)) => Some(text.as_str()?.parse::<Quantity>().ok()?.micros()),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_size_of_a_record_is_its_share_of_a_request(records in proptest::collection::vec(record(), 1..26)) {
        let records: Vec<_> = records.iter().collect();
        let group = group(records[0]);
        let empty = request_body(&group, &[]).len();
        let sizes: usize = records.iter().map(|r| record_bytes(r)).sum();
        prop_assert_eq!(request_body(&group, &records).len(), empty + sizes + records.len() - 1);
    }

    #[test]
    fn a_record_that_cloudtrail_may_cut_off_is_recognized_without_its_bytes(one in record(), copies in 0_usize..1_200) {
        let mut large = one.clone();
        large.allocations = one.allocations.iter().cycle().take(copies).cloned().collect();
        let bytes = record_bytes(&large);
        prop_assert!(bytes < AUDITABLE_REQUEST_BYTES_MAX || may_be_cut_off(&large), "{bytes} bytes");
        prop_assert!(bytes > AUDITABLE_REQUEST_BYTES_MAX / 3 || !may_be_cut_off(&large), "{bytes} bytes");
    }

    #[test]
    fn the_same_record_is_always_the_same_bytes(record in record()) {
        let again = MeteringRecord { version: 9, attempts: 7, ..record.clone() };
        let group = group(&record);
        prop_assert_eq!(request_body(&group, &[&record]), request_body(&group, &[&again]));
    }

    #[test]
    fn every_quantity_arrives_exactly_and_in_one_form(record in record()) {
        let body: Value = serde_json::from_slice(&request_body(&group(&record), &[&record])).unwrap();
        let sent = &body["UsageRecords"][0];
        prop_assert_eq!(micros(sent, "Quantity", "QuantityAsDecimal"), Some(record.quantity.micros()));
        let shares = sent.get("UsageAllocations").and_then(Value::as_array).cloned().unwrap_or_default();
        prop_assert_eq!(shares.len(), record.allocations.len());
        prop_assert_eq!(sent.get("UsageAllocations").is_none(), record.allocations.is_empty());
        for (share, allocation) in shares.iter().zip(&record.allocations) {
            let decimal = share.get("AllocatedUsageQuantityAsDecimal").is_some();
            prop_assert_eq!(decimal, sent.get("QuantityAsDecimal").is_some());
            let found = micros(share, "AllocatedUsageQuantity", "AllocatedUsageQuantityAsDecimal");
            prop_assert_eq!(found, Some(allocation.quantity.micros()));
            prop_assert_eq!(share.get("Tags").is_none(), allocation.tags.is_empty());
        }
    }

    #[test]
    fn a_buyer_is_named_by_the_members_of_one_identity_and_none_is_empty(record in record()) {
        let body: Value = serde_json::from_slice(&request_body(&group(&record), &[&record])).unwrap();
        let sent = &body["UsageRecords"][0];
        let there = |name: &str| sent.get(name).is_some();
        let kind = record.slot.subscription.kind();
        prop_assert_eq!(body.get("ProductCode").is_some(), kind != IdentityKind::License);
        prop_assert_eq!(there("LicenseArn"), kind == IdentityKind::License);
        prop_assert_eq!(there("CustomerIdentifier"), kind == IdentityKind::Customer);
        let account = match kind {
            IdentityKind::License => record.account.is_some(),
            IdentityKind::Customer => false,
            IdentityKind::Account => true,
        };
        prop_assert_eq!(there("CustomerAWSAccountId"), account);
        prop_assert!(sent.as_object().unwrap().values().all(|v| !v.is_null() && v != ""));
    }
}
