//! The rules of `BatchMeterUsage`, over HTTP.

mod common;

use common::{LEGACY, LICENSED, Running, at, by_customer, by_license, epoch, running, with};
use emulator::{
    BeforeException, EmptyCustomerIdentifier, FinalHourFrom, FiveTags, IdenticalRecordId,
    IdenticalResubmission, Identity, InvalidCustomer, NewAgreement, NewProduct, Readings,
    SlotGranularity, SlotScope, StampOutsideAgreement, ZeroQuantity,
};
use serde_json::{Value, json};

fn quantities(running: &Running) -> Vec<String> {
    let metered = running.emulator.metered();
    metered.into_iter().map(|slot| slot.quantity).collect()
}

#[tokio::test]
async fn usage_by_license_is_metered_once_however_often_it_is_sent() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = with(&by_license(&buyer), "QuantityAsDecimal", "17.50");
    let record = with(&record, "Quantity", Value::Null);
    let first = running.meter(std::slice::from_ref(&record)).await;
    let again = running
        .meter(&[with(&record, "QuantityAsDecimal", "17.5")])
        .await;
    assert_eq!(first.statuses(), ["Success"]);
    assert_eq!(again.statuses(), ["Success"]);
    let id = |a: &common::Answer| a.json()["Results"][0]["MeteringRecordId"].clone();
    assert_eq!(id(&first), id(&again));
    let metered = running.emulator.metered();
    assert_eq!(metered.len(), 1);
    assert_eq!(metered[0].quantity, "17.5");
    assert_eq!(metered[0].hour, at("2026-11-21T11:00:00Z"));
    assert_eq!(
        metered[0].license_arn.as_deref(),
        Some(buyer.license_arn.as_str())
    );
    assert_eq!(
        Value::from(metered[0].metering_record_id.as_str()),
        id(&first)
    );
    assert_eq!(
        first.json()["Results"][0]["UsageRecord"],
        without_nulls(&record)
    );
}

fn without_nulls(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, v| !v.is_null());
    }
    value
}

#[tokio::test]
async fn a_second_quantity_for_the_same_hour_is_a_duplicate_and_the_first_stays_billed() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = by_license(&buyer);
    let later = with(&record, "Timestamp", epoch("2026-11-21T11:59:59Z"));
    let next_hour = with(&record, "Timestamp", epoch("2026-11-21T12:00:00Z"));
    let answer = running
        .meter(&[
            record.clone(),
            with(&later, "Quantity", 2),
            later,
            next_hour,
        ])
        .await;
    assert_eq!(
        answer.statuses(),
        ["Success", "DuplicateRecord", "Success", "Success"]
    );
    assert_eq!(quantities(&running), ["1", "1"]);
}

#[tokio::test]
async fn account_and_customer_identifier_share_a_slot_but_a_license_has_its_own() {
    let running = running().await;
    let buyer = running.buys(LEGACY);
    let named = by_customer(&buyer);
    let account = with(
        &with(&named, "CustomerIdentifier", Value::Null),
        "CustomerAWSAccountId",
        buyer.account_id.as_str(),
    );
    let two = running
        .meter_product(LEGACY, &[named, with(&account, "Quantity", 2)])
        .await;
    assert_eq!(two.statuses(), ["Success", "DuplicateRecord"]);
    let license = running.meter(&[by_license(&buyer)]).await;
    assert_eq!(license.statuses(), ["Success"]);
    assert_eq!(running.emulator.metered().len(), 2, "both bill");
}

#[tokio::test]
async fn every_whole_request_exception_names_its_rule_and_records_nothing() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let other = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    let good = with(&by_license(&other), "Dimension", "gb");
    let record = by_license(&buyer);
    let cases: Vec<(Value, &str)> = vec![
        (
            with(&record, "Dimension", "REQUESTS"),
            "InvalidUsageDimensionException",
        ),
        (
            with(
                &record,
                "LicenseArn",
                "arn:aws:license-manager::1:license:l-0",
            ),
            "InvalidLicenseException",
        ),
        (
            with(&record, "LicenseArn", legacy.license_arn.as_str()),
            "InvalidLicenseException",
        ),
        (
            with(&record, "CustomerAWSAccountId", other.account_id.as_str()),
            "InvalidLicenseException",
        ),
        (
            with(&record, "CustomerAWSAccountId", Value::Null),
            "InvalidCustomerIdentifierException",
        ),
        (
            with(&record, "CustomerIdentifier", "x"),
            "InvalidCustomerIdentifierException",
        ),
        (
            with(&record, "LicenseArn", Value::Null),
            "InvalidProductCodeException",
        ),
        (
            with(&record, "Timestamp", epoch("2026-11-20T11:59:59Z")),
            "TimestampOutOfBoundsException",
        ),
        (
            with(&record, "Timestamp", epoch("2026-11-21T12:00:01Z")),
            "TimestampOutOfBoundsException",
        ),
        (
            with(&record, "QuantityAsDecimal", "1"),
            "ValidationException",
        ),
        (
            with(
                &record,
                "UsageAllocations",
                json!([{"AllocatedUsageQuantity": 2}]),
            ),
            "InvalidUsageAllocationsException",
        ),
        (
            with(
                &record,
                "UsageAllocations",
                json!([{"AllocatedUsageQuantityAsDecimal": "1"}]),
            ),
            "InvalidUsageAllocationsException",
        ),
        (
            with(
                &record,
                "UsageAllocations",
                json!([{"Tags": [{"Key": "a", "Value": "b"}]}]),
            ),
            "InvalidUsageAllocationsException",
        ),
        (
            with(
                &record,
                "UsageAllocations",
                json!([
                    {"AllocatedUsageQuantity": 1, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]},
                    {"AllocatedUsageQuantity": 0, "Tags": [{"Key": "c", "Value": "d"}, {"Key": "a", "Value": "b"}]},
                ]),
            ),
            "InvalidUsageAllocationsException",
        ),
        (
            with(
                &record,
                "UsageAllocations",
                json!([
                    {"AllocatedUsageQuantity": 1, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "a", "Value": "d"}]},
                ]),
            ),
            "InvalidTagException",
        ),
    ];
    for (bad, code) in cases {
        let answer = running.meter(&[good.clone(), bad.clone()]).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.error(), code, "{bad}");
    }
    assert_eq!(running.emulator.metered(), []);
    let calls = running.emulator.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.records[0].outcome == "NotProcessed")
    );
}

#[tokio::test]
async fn a_product_code_is_accepted_only_for_legacy_products() {
    let running = running().await;
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    for (code, record, error) in [
        (
            "nosuchproduct",
            by_customer(&legacy),
            "InvalidProductCodeException",
        ),
        (
            LICENSED,
            by_license(&licensed),
            "InvalidProductCodeException",
        ),
        (LEGACY, by_license(&legacy), "InvalidProductCodeException"),
        (
            LEGACY,
            with(
                &by_customer(&legacy),
                "CustomerAWSAccountId",
                legacy.account_id.as_str(),
            ),
            "InvalidCustomerIdentifierException",
        ),
        (
            LEGACY,
            with(&by_customer(&legacy), "CustomerIdentifier", Value::Null),
            "InvalidCustomerIdentifierException",
        ),
    ] {
        let answer = running
            .meter_product(code, std::slice::from_ref(&record))
            .await;
        assert_eq!(answer.error(), error, "{code} {record}");
    }
}

#[tokio::test]
async fn an_empty_request_is_answered_with_empty_lists() {
    let running = running().await;
    let answer = running.meter(&[]).await;
    assert_eq!(
        answer.json(),
        json!({"Results": [], "UnprocessedRecords": []})
    );
}

#[tokio::test]
async fn the_previous_month_is_metered_until_six_on_the_first() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = with(
        &by_license(&buyer),
        "Timestamp",
        epoch("2026-11-30T23:00:00Z"),
    );
    running
        .emulator
        .set_clock(Some(at("2026-12-01T05:59:59Z")), None);
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["Success"]
    );
    running
        .emulator
        .set_clock(Some(at("2026-12-01T06:00:00Z")), None);
    let late = running.meter(std::slice::from_ref(&record)).await;
    assert_eq!(late.error(), "TimestampOutOfBoundsException");
    let mut settings = running.emulator.settings();
    settings.month_end_rule = false;
    running.emulator.set_settings(settings);
    assert_eq!(running.meter(&[record]).await.statuses(), ["Success"]);
}

#[tokio::test]
async fn the_window_is_a_setting() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let mut settings = running.emulator.settings();
    settings.window_hours = 6;
    running.emulator.set_settings(settings);
    let record = with(
        &by_license(&buyer),
        "Timestamp",
        epoch("2026-11-21T05:59:59Z"),
    );
    assert_eq!(
        running.meter(&[record]).await.error(),
        "TimestampOutOfBoundsException"
    );
}

#[tokio::test]
async fn a_cancelled_license_accepts_its_final_hour_and_no_more() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running
        .emulator
        .cancel_agreement(&buyer.agreement_id)
        .expect("a cancellation");
    // The license is deprovisioned 31 s after the end, and then the final hour begins.
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:30Z")), None);
    let record = by_license(&buyer);
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["Success"]
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:31Z")), None);
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["CustomerNotSubscribed"]
    );
    running.emulator.set_readings(Readings {
        final_hour_from: FinalHourFrom::Ended,
        ..Readings::default()
    });
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    assert_eq!(
        running.meter(&[record]).await.statuses(),
        ["CustomerNotSubscribed"]
    );
}

#[tokio::test]
async fn just_after_the_purchase_the_customer_is_not_yet_subscribed() {
    let running = running().await;
    let mut settings = running.emulator.settings();
    settings.license_updated_delay_s = 62;
    running.emulator.set_settings(settings);
    let buyer = running
        .emulator
        .add_agreement(NewAgreement::of(LICENSED))
        .expect("a purchase");
    let record = with(
        &by_license(&buyer),
        "Timestamp",
        epoch("2026-11-21T12:00:00Z"),
    );
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["CustomerNotSubscribed"]
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:01:02Z")), None);
    assert_eq!(running.meter(&[record]).await.statuses(), ["Success"]);
}

#[tokio::test]
async fn reading_1_an_identical_resubmission() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = by_license(&buyer);
    let first = running.meter(std::slice::from_ref(&record)).await.json();
    running.emulator.set_readings(Readings {
        identical_record_id: IdenticalRecordId::New,
        ..Readings::default()
    });
    let second = running.meter(std::slice::from_ref(&record)).await.json();
    assert_ne!(
        first["Results"][0]["MeteringRecordId"],
        second["Results"][0]["MeteringRecordId"]
    );
    running.emulator.set_readings(Readings {
        identical_resubmission: IdenticalResubmission::DuplicateRecord,
        ..Readings::default()
    });
    assert_eq!(
        running.meter(&[record]).await.statuses(),
        ["DuplicateRecord"]
    );
    assert_eq!(running.emulator.metered().len(), 1);
}

#[tokio::test]
async fn reading_2_an_empty_customer_identifier_in_addition_to_an_account() {
    let running = running().await;
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    let by_account = with(
        &with(&by_customer(&legacy), "CustomerIdentifier", ""),
        "CustomerAWSAccountId",
        legacy.account_id.as_str(),
    );
    let record = with(&by_license(&licensed), "CustomerIdentifier", "");
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["Success"]
    );
    let legacy = running
        .meter_product(LEGACY, std::slice::from_ref(&by_account))
        .await;
    assert_eq!(legacy.statuses(), ["Success"]);
    running.emulator.set_readings(Readings {
        empty_customer_identifier: EmptyCustomerIdentifier::Refused,
        ..Readings::default()
    });
    let refused = running.meter(&[record]).await;
    assert_eq!(refused.error(), "InvalidCustomerIdentifierException");
    let refused = running.meter_product(LEGACY, &[by_account]).await;
    assert_eq!(refused.error(), "InvalidCustomerIdentifierException");
}

#[tokio::test]
async fn reading_3_records_before_the_wrong_one_may_have_been_recorded() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running.emulator.set_readings(Readings {
        before_exception: BeforeException::EarlierRecorded,
        ..Readings::default()
    });
    let good = by_license(&buyer);
    // For a refused timestamp AWS documents that the entire batch is not processed.
    let old = with(&good, "Timestamp", json!(epoch("2026-11-01T00:00:00Z")));
    let answer = running.meter(&[good.clone(), old]).await;
    assert_eq!(answer.error(), "TimestampOutOfBoundsException");
    assert!(running.emulator.metered().is_empty());
    let bad = with(&good, "Dimension", "unknown");
    let after = with(&good, "Dimension", "gb");
    let answer = running.meter(&[good, bad, after]).await;
    assert_eq!(answer.error(), "InvalidUsageDimensionException");
    let metered = running.emulator.metered();
    assert_eq!(metered.len(), 1);
    assert_eq!(metered[0].dimension, "requests");
}

#[tokio::test]
async fn reading_4_a_quantity_of_zero_takes_the_slot_or_leaves_it_free() {
    for (reading, expected) in [
        (ZeroQuantity::SpendsSlot, "DuplicateRecord"),
        (ZeroQuantity::LeavesSlotFree, "Success"),
    ] {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        running.emulator.set_readings(Readings {
            zero_quantity: reading,
            ..Readings::default()
        });
        let zero = with(&by_license(&buyer), "Quantity", Value::Null);
        assert_eq!(running.meter(&[zero]).await.statuses(), ["Success"]);
        assert_eq!(
            running.meter(&[by_license(&buyer)]).await.statuses(),
            [expected]
        );
    }
}

#[tokio::test]
async fn reading_5_stamps_outside_the_agreement() {
    let running = running().await;
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:24:10.5Z")), None);
    let licensed = running
        .emulator
        .add_agreement(NewAgreement::of(LICENSED))
        .expect("one");
    let legacy = running
        .emulator
        .add_agreement(NewAgreement::of(LEGACY))
        .expect("one");
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:30:00Z")), None);
    let early = epoch("2026-11-21T12:24:09Z");
    let activation = epoch("2026-11-21T12:24:10Z");
    let license = |stamp: i64| with(&by_license(&licensed), "Timestamp", stamp);
    let customer = |stamp: i64| with(&by_customer(&legacy), "Timestamp", stamp);
    let refused = running.meter(&[license(early)]).await;
    assert_eq!(refused.error(), "InvalidLicenseException");
    let refused = running.meter_product(LEGACY, &[customer(early)]).await;
    assert_eq!(refused.error(), "TimestampOutOfBoundsException");
    assert_eq!(
        running.meter(&[license(activation)]).await.statuses(),
        ["Success"]
    );
    running.emulator.set_readings(Readings {
        stamp_outside_agreement: StampOutsideAgreement::Accepted,
        ..Readings::default()
    });
    let accepted = running.meter_product(LEGACY, &[customer(early)]).await;
    assert_eq!(accepted.statuses(), ["Success"]);
}

#[tokio::test]
async fn reading_6_slots_by_region_or_global() {
    for (reading, slots) in [(SlotScope::Region, 2), (SlotScope::Global, 1)] {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        running.emulator.set_readings(Readings {
            slot_scope: reading,
            ..Readings::default()
        });
        let body = json!({"UsageRecords": [by_license(&buyer)]}).to_string();
        for region in ["us-east-1", "eu-west-1"] {
            let target = "AWSMPMeteringService.BatchMeterUsage";
            let answer = running
                .aws_in(region, target, body.as_bytes())
                .await
                .expect("one");
            assert_eq!(answer.statuses(), ["Success"]);
        }
        assert_eq!(running.emulator.metered().len(), slots);
    }
}

#[tokio::test]
async fn reading_7_an_unknown_customer() {
    let running = running().await;
    let record = json!({
        "Timestamp": epoch("2026-11-21T11:00:00Z"),
        "Dimension": "requests",
        "CustomerIdentifier": "nobody",
    });
    let answer = running
        .meter_product(LEGACY, std::slice::from_ref(&record))
        .await;
    assert_eq!(answer.statuses(), ["CustomerNotSubscribed"]);
    running.emulator.set_readings(Readings {
        invalid_customer: InvalidCustomer::Exception,
        ..Readings::default()
    });
    let answer = running.meter_product(LEGACY, &[record]).await;
    assert_eq!(answer.error(), "InvalidCustomerIdentifierException");
}

#[tokio::test]
async fn reading_11_five_tags_per_allocation_or_per_record() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let allocation = |quantity: u32, from: u32| {
        let tags: Vec<Value> = (from..from + 3)
            .map(|n| json!({"Key": format!("k{n}"), "Value": "v"}))
            .collect();
        json!({"AllocatedUsageQuantity": quantity, "Tags": tags})
    };
    let record = with(
        &by_license(&buyer),
        "UsageAllocations",
        json!([allocation(1, 0), allocation(0, 3)]),
    );
    running.emulator.set_readings(Readings {
        five_tags: FiveTags::PerRecord,
        ..Readings::default()
    });
    let refused = running.meter(std::slice::from_ref(&record)).await;
    assert_eq!(refused.error(), "InvalidTagException");
    running.emulator.set_readings(Readings::default());
    assert_eq!(running.meter(&[record]).await.statuses(), ["Success"]);
    let metered = running.emulator.metered();
    assert_eq!(metered[0].allocations.len(), 2);
    assert_eq!(metered[0].allocations[0].tags.len(), 3);
}

#[tokio::test]
async fn reading_12_slots_by_hour_or_by_exact_timestamp() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running.emulator.set_readings(Readings {
        slot_granularity: SlotGranularity::ExactTimestamp,
        ..Readings::default()
    });
    let record = by_license(&buyer);
    let second = with(&record, "Timestamp", epoch("2026-11-21T11:00:01Z"));
    let answer = running.meter(&[record, with(&second, "Quantity", 2)]).await;
    assert_eq!(answer.statuses(), ["Success", "Success"]);
    assert_eq!(running.emulator.metered().len(), 2);
}

#[tokio::test]
async fn two_licenses_of_one_account_are_two_slots() {
    let running = running().await;
    let first = running.buys(LICENSED);
    let second = running
        .emulator
        .add_agreement(NewAgreement {
            start: Some(at("2026-11-01T00:00:00Z")),
            ..NewAgreement::of(LICENSED).by(&first.account_id)
        })
        .expect("a second license");
    let answer = running
        .meter(&[
            by_license(&first),
            with(&by_license(&second), "Quantity", 2),
        ])
        .await;
    assert_eq!(answer.statuses(), ["Success", "Success"]);
    assert_eq!(running.emulator.metered().len(), 2);
}

#[tokio::test]
async fn licenses_of_two_products_cannot_be_in_one_request() {
    let running = running().await;
    running
        .emulator
        .add_product(NewProduct::new(
            "another1",
            &["requests"],
            Identity::License,
        ))
        .expect("a product");
    let one = running.buys(LICENSED);
    let two = running.buys("another1");
    let answer = running.meter(&[by_license(&one), by_license(&two)]).await;
    assert_eq!(answer.error(), "InvalidLicenseException");
    assert_eq!(running.emulator.metered(), []);
}
