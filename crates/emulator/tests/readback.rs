//! The operations with which a seller reads data back: entitlements, CloudTrail, agreements and
//! invoices.

mod common;

use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use aws_sdk_marketplaceentitlement::types::GetEntitlementFilterName;
use common::{
    Answer, LEGACY, LICENSED, Running, at, by_customer, by_license, epoch, running, with,
};
use emulator::{
    CloudTrailTimestamps, EndedOnRenewal, Entitlement, Fault, FaultKind, Faults, LicenseOnRenewal,
    NewAgreement, Readings,
};
use serde_json::{Value, json};

fn entitled(product: &str, values: &[(&str, u32)]) -> NewAgreement {
    NewAgreement {
        start: Some(at("2026-11-01T00:00:00Z")),
        entitlements: values
            .iter()
            .map(|(dimension, value)| Entitlement {
                dimension: (*dimension).to_owned(),
                value: *value,
                expires: None,
            })
            .collect(),
        ..NewAgreement::of(product)
    }
}

async fn entitlements(running: &Running, request: &Value) -> Answer {
    let target = "AWSMPEntitlementService.GetEntitlements";
    let body = request.to_string();
    running
        .try_aws(target, body.as_bytes())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn entitlements_are_listed_and_filtered() {
    let running = running().await;
    let one = running
        .emulator
        .add_agreement(entitled(LICENSED, &[("requests", 10), ("gb", 5)]))
        .expect("one");
    running
        .emulator
        .add_agreement(entitled(LICENSED, &[("gb", 7)]))
        .expect("another");
    let all = entitlements(&running, &json!({"ProductCode": LICENSED}))
        .await
        .json();
    assert_eq!(all["Entitlements"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        all["Entitlements"][0],
        json!({
            "ProductCode": LICENSED,
            "Dimension": "requests",
            "CustomerAWSAccountId": one.account_id,
            "LicenseArn": one.license_arn,
            "Value": {"IntegerValue": 10},
            "ExpirationDate": epoch("2027-11-01T00:00:00Z"),
        })
    );
    let filter = json!({"LICENSE_ARN": [one.license_arn], "DIMENSION": ["gb", "users"]});
    let filtered = json!({"ProductCode": LICENSED, "Filter": filter});
    let filtered = entitlements(&running, &filtered).await.json();
    assert_eq!(filtered["Entitlements"].as_array().map(Vec::len), Some(1));
    assert_eq!(filtered["Entitlements"][0]["Value"]["IntegerValue"], 5);
}

#[tokio::test]
async fn an_empty_page_of_entitlements_may_still_carry_a_next_token() {
    let running = running().await;
    for _ in 0..3 {
        running
            .emulator
            .add_agreement(entitled(LICENSED, &[("gb", 1)]))
            .expect("one");
    }
    let last = running
        .emulator
        .add_agreement(entitled(LICENSED, &[("gb", 2)]))
        .expect("one");
    let mut request = json!({
        "ProductCode": LICENSED,
        "MaxResults": 2,
        "Filter": {"CUSTOMER_AWS_ACCOUNT_ID": [last.account_id]},
    });
    let first = entitlements(&running, &request).await.json();
    assert_eq!(first["Entitlements"], json!([]));
    request["NextToken"] = first["NextToken"].clone();
    let second = entitlements(&running, &request).await.json();
    assert_eq!(second["Entitlements"][0]["Value"]["IntegerValue"], 2);
    assert!(second.get("NextToken").is_none());
    for (bad, code) in [
        (
            json!({"ProductCode": "nothing"}),
            "InvalidParameterException",
        ),
        (
            with(&request, "NextToken", "made-up"),
            "InvalidParameterException",
        ),
        (with(&request, "MaxResults", 26), "ValidationException"),
        (
            json!({"ProductCode": LICENSED, "Filter": {"COLOUR": ["red"]}}),
            "ValidationException",
        ),
        (json!({}), "ValidationException"),
        (
            json!({"ProductCode": LICENSED, "Filter": {"CUSTOMER_IDENTIFIER": ["a"], "CUSTOMER_AWS_ACCOUNT_ID": ["1"]}}),
            "InvalidParameterException",
        ),
    ] {
        assert_eq!(entitlements(&running, &bad).await.error(), code, "{bad}");
    }
}

#[tokio::test]
async fn the_rust_sdk_reads_entitlements_in_its_own_protocol() {
    use aws_sdk_marketplaceentitlement::config::{BehaviorVersion, Credentials, Region};
    let running = running().await;
    let buyer = running
        .emulator
        .add_agreement(entitled(LEGACY, &[("requests", 10)]))
        .expect("one");
    let config = aws_sdk_marketplaceentitlement::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .endpoint_url(format!("http://{}", running.address))
        .build();
    let client = aws_sdk_marketplaceentitlement::Client::from_conf(config);
    let page = client
        .get_entitlements()
        .product_code(LEGACY)
        .filter(
            GetEntitlementFilterName::CustomerIdentifier,
            vec![buyer.customer_identifier.clone()],
        )
        .send()
        .await
        .expect("a page");
    let entitlement = &page.entitlements()[0];
    assert_eq!(
        entitlement.customer_identifier(),
        Some(buyer.customer_identifier.as_str())
    );
    assert_eq!(
        entitlement.value().and_then(|v| v.integer_value()),
        Some(10)
    );
    assert_eq!(
        entitlement.expiration_date().map(|date| date.secs()),
        Some(epoch("2027-11-01T00:00:00Z"))
    );
    let error = client
        .get_entitlements()
        .product_code("nothing")
        .send()
        .await
        .expect_err("a refusal")
        .into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
}

async fn lookup(running: &Running, request: &Value) -> Answer {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/cloudtrail/aws4_request, SignedHeaders=host, Signature=00";
    let headers = [
        (
            "x-amz-target",
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
        ),
        ("authorization", authorization),
    ];
    let body = request.to_string().into_bytes();
    running
        .http("POST", "/", &headers, body)
        .await
        .expect("an answer")
}

fn unthrottled(running: &Running) {
    let mut settings = running.emulator.settings();
    settings.lookup_events_per_s = 0;
    running.emulator.set_settings(settings);
}

/// The JSON document in an event of `LookupEvents`.
fn document(event: &Value) -> Value {
    serde_json::from_str(event["CloudTrailEvent"].as_str().expect("an event")).expect("JSON")
}

#[tokio::test]
async fn cloudtrail_shows_metered_usage_after_a_quarter_of_an_hour() {
    let running = running().await;
    unthrottled(&running);
    let buyer = running.buys(LICENSED);
    let record = with(
        &by_license(&buyer),
        "UsageAllocations",
        json!([
            {"AllocatedUsageQuantity": 1, "Tags": [{"Key": "team", "Value": "a"}]},
        ]),
    );
    running.meter(std::slice::from_ref(&record)).await;
    running
        .meter(&[with(&record, "Dimension", "unknown")])
        .await;
    let by_name = json!({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "BatchMeterUsage"}]});
    assert_eq!(
        lookup(&running, &by_name).await.json(),
        json!({"Events": []})
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:15:00Z")), None);
    let page = lookup(&running, &by_name).await.json();
    assert_eq!(page["Events"].as_array().map(Vec::len), Some(2));
    let failed = document(&page["Events"][0]);
    assert_eq!(
        failed["errorCode"], "InvalidUsageDimensionException",
        "newest first"
    );
    assert_eq!(failed["responseElements"], Value::Null);
    let metered = document(&page["Events"][1]);
    assert_eq!(metered["eventSource"], "metering-marketplace.amazonaws.com");
    assert_eq!(metered["eventTime"], common::NOON);
    let sent = &metered["requestParameters"]["usageRecords"][0];
    assert_eq!(sent["timestamp"], "Nov 21, 2026 11:00:00 AM");
    assert_eq!(sent["licenseArn"], buyer.license_arn.as_str());
    assert_eq!(sent["customerAWSAccountID"], buyer.account_id.as_str());
    assert_eq!(sent["usageAllocations"][0]["tags"][0]["key"], "team");
    let result = &metered["responseElements"]["results"][0];
    assert_eq!(result["status"], "Success");
    assert_eq!(
        result["meteringRecordId"],
        running.emulator.metered()[0].metering_record_id.as_str()
    );
    assert_eq!(metered["responseElements"]["unprocessedRecords"], json!([]));
    running.emulator.set_readings(Readings {
        cloudtrail_timestamps: CloudTrailTimestamps::Iso8601,
        ..Readings::default()
    });
    let page = lookup(&running, &by_name).await.json();
    let sent = &document(&page["Events"][1])["requestParameters"]["usageRecords"][0];
    assert_eq!(sent["timestamp"], "2026-11-21T11:00:00Z");
    assert_eq!(sent["customerAWSAccountId"], buyer.account_id.as_str());
}

#[tokio::test]
async fn cloudtrail_has_a_call_whose_answer_was_lost_but_not_a_lost_request() {
    let running = running().await;
    unthrottled(&running);
    let buyer = running.buys(LICENSED);
    running.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::next("BatchMeterUsage", FaultKind::DropAfter, 1)],
    });
    let body = json!({"UsageRecords": [by_license(&buyer)]}).to_string();
    let target = "AWSMPMeteringService.BatchMeterUsage";
    assert!(running.try_aws(target, body.as_bytes()).await.is_none());
    running.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::next("BatchMeterUsage", FaultKind::DropBefore, 1)],
    });
    assert!(running.try_aws(target, body.as_bytes()).await.is_none());
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    let page = lookup(&running, &json!({})).await.json();
    assert_eq!(page["Events"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        document(&page["Events"][0])["responseElements"]["results"][0]["status"],
        "Success"
    );
}

#[tokio::test]
async fn events_are_paged_by_fifty_and_looked_up_by_time_and_one_attribute() {
    let running = running().await;
    unthrottled(&running);
    for _ in 0..60 {
        running.meter(&[]).await;
    }
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    running.meter(&[]).await;
    running
        .emulator
        .set_clock(Some(at("2026-11-21T14:00:00Z")), None);
    let first = lookup(&running, &json!({})).await.json();
    assert_eq!(first["Events"].as_array().map(Vec::len), Some(50));
    assert_eq!(
        first["Events"][0]["EventTime"],
        epoch("2026-11-21T13:00:00Z")
    );
    let second = lookup(&running, &json!({"NextToken": first["NextToken"]}))
        .await
        .json();
    assert_eq!(second["Events"].as_array().map(Vec::len), Some(11));
    assert!(second.get("NextToken").is_none());
    let since = json!({"StartTime": epoch("2026-11-21T12:30:00Z")});
    let since = lookup(&running, &since).await.json();
    assert_eq!(since["Events"].as_array().map(Vec::len), Some(1));
    running
        .emulator
        .set_clock(Some(at("2027-02-19T12:30:00Z")), None);
    let forgotten = lookup(&running, &json!({})).await.json();
    assert_eq!(
        forgotten["Events"].as_array().map(Vec::len),
        Some(1),
        "after 90 days"
    );
    let attribute = |key: &str| json!({"AttributeKey": key, "AttributeValue": "x"});
    for (bad, code) in [
        (
            json!({"LookupAttributes": [attribute("EventName"), attribute("EventId")]}),
            "InvalidLookupAttributesException",
        ),
        (
            json!({"LookupAttributes": [attribute("Colour")]}),
            "ValidationException",
        ),
        (
            json!({"StartTime": 2, "EndTime": 1}),
            "InvalidTimeRangeException",
        ),
        (json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (json!({"MaxResults": 0}), "InvalidMaxResultsException"),
        (json!({"NextToken": "made-up"}), "InvalidNextTokenException"),
        (
            json!({"NextToken": first["NextToken"], "StartTime": 1}),
            "InvalidNextTokenException",
        ),
    ] {
        assert_eq!(lookup(&running, &bad).await.error(), code, "{bad}");
    }
}

#[tokio::test]
async fn a_third_lookup_within_a_second_is_throttled() {
    let running = running().await;
    assert_eq!(lookup(&running, &json!({})).await.status, 200);
    assert_eq!(lookup(&running, &json!({})).await.status, 200);
    assert_eq!(
        lookup(&running, &json!({})).await.error(),
        "ThrottlingException"
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:00:01Z")), None);
    assert_eq!(lookup(&running, &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_field_beyond_a_hundred_kilobytes_is_truncated_and_says_so() {
    let running = running().await;
    unthrottled(&running);
    let buyer = running.buys(LICENSED);
    let allocations: Vec<Value> = (0..1_000)
        .map(|n| {
            json!({
                "AllocatedUsageQuantity": u32::from(n == 0),
                "Tags": [{"Key": "customer", "Value": format!("{n:0>60}")}],
            })
        })
        .collect();
    let big = with(&by_license(&buyer), "UsageAllocations", allocations);
    let records = [big.clone(), with(&big, "Dimension", "gb")];
    assert_eq!(
        running.meter(&records).await.statuses(),
        ["Success", "Success"]
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    let event = document(&lookup(&running, &json!({})).await.json()["Events"][0]);
    for field in ["requestParameters", "responseElements"] {
        assert_eq!(event[field]["omitted"], true);
        assert!(event[field].to_string().len() < 110_000);
    }
}

#[tokio::test]
async fn by_settings_events_come_late_without_order_twice_or_never() {
    let running = running().await;
    unthrottled(&running);
    for _ in 0..40 {
        running.meter(&[]).await;
    }
    let shown = async |settings: &dyn Fn(&mut emulator::Settings), now: &str| {
        let mut chosen = running.emulator.settings();
        settings(&mut chosen);
        running.emulator.set_settings(chosen);
        running.emulator.set_clock(Some(at(now)), None);
        let page = lookup(&running, &json!({})).await.json();
        page["Events"].as_array().map_or(0, Vec::len)
    };
    let hours = |settings: &mut emulator::Settings| settings.cloudtrail_spread_s = 8 * 3_600;
    let some = shown(&hours, "2026-11-21T16:15:00Z").await;
    assert!(
        (8..32).contains(&some),
        "{some} of 40 after half of the time"
    );
    assert_eq!(shown(&hours, "2026-11-21T20:20:00Z").await, 40);
    let gap = |settings: &mut emulator::Settings| settings.cloudtrail_gaps_percent = 100;
    assert_eq!(shown(&gap, "2026-11-21T20:10:00Z").await, 0);
    assert_eq!(shown(&gap, "2026-11-21T20:20:00Z").await, 40);
    let twice = |settings: &mut emulator::Settings| settings.cloudtrail_repeat_percent = 20;
    let repeated = shown(&twice, "2026-11-21T20:20:00Z").await;
    assert!((41..=50).contains(&repeated), "{repeated} of 40");
    let lost = |settings: &mut emulator::Settings| {
        settings.cloudtrail_repeat_percent = 0;
        settings.cloudtrail_lost_per_mille = 500;
    };
    let left = shown(&lost, "2026-11-21T20:20:00Z").await;
    assert!((8..32).contains(&left), "{left} of 40");
}

#[tokio::test]
async fn the_rust_sdk_looks_events_up() {
    use aws_sdk_cloudtrail::config::{BehaviorVersion, Credentials, Region};
    let running = running().await;
    running.meter(&[]).await;
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    let config = aws_sdk_cloudtrail::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .endpoint_url(format!("http://{}", running.address))
        .build();
    let page = aws_sdk_cloudtrail::Client::from_conf(config)
        .lookup_events()
        .lookup_attributes(
            LookupAttribute::builder()
                .attribute_key(LookupAttributeKey::EventName)
                .attribute_value("BatchMeterUsage")
                .build()
                .expect("an attribute"),
        )
        .send()
        .await
        .expect("a page");
    assert_eq!(page.events().len(), 1);
    assert_eq!(page.events()[0].event_name(), Some("BatchMeterUsage"));
}

async fn agreement_api(running: &Running, operation: &str, request: &Value) -> Answer {
    let target = format!("AWSMPCommerceService_v20200301.{operation}");
    let body = request.to_string();
    running
        .try_aws(&target, body.as_bytes())
        .await
        .expect("an answer")
}

fn seller(filters: &[(&str, &str)]) -> Value {
    let all = [
        ("PartyType", "Proposer"),
        ("AgreementType", "PurchaseAgreement"),
    ];
    let filters: Vec<Value> = all
        .iter()
        .chain(filters)
        .map(|(name, value)| json!({"name": name, "values": [value]}))
        .collect();
    json!({"catalog": "AWSMarketplace", "filters": filters})
}

#[tokio::test]
async fn agreements_are_searched_and_described() {
    let running = running().await;
    let one = running.buys(LICENSED);
    let two = running.buys(LICENSED);
    running
        .emulator
        .cancel_agreement(&two.agreement_id)
        .expect("a cancellation");
    let ids = |answer: Value| -> Vec<String> {
        answer["agreementViewSummaries"]
            .as_array()
            .expect("summaries")
            .iter()
            .map(|s| s["agreementId"].as_str().expect("an id").to_owned())
            .collect()
    };
    let all = agreement_api(&running, "SearchAgreements", &seller(&[])).await;
    assert_eq!(all.headers["content-type"], "application/x-amz-json-1.0");
    assert_eq!(
        ids(all.json()),
        [one.agreement_id.clone(), two.agreement_id.clone()]
    );
    let ended = seller(&[("Status", "CANCELLED")]);
    let ended = agreement_api(&running, "SearchAgreements", &ended)
        .await
        .json();
    assert_eq!(ids(ended).join(","), two.agreement_id);
    let mine = seller(&[("AcceptorAccountId", &one.account_id)]);
    let mine = agreement_api(&running, "SearchAgreements", &mine)
        .await
        .json();
    assert_eq!(ids(mine).join(","), one.agreement_id);
    let mut paged = seller(&[]);
    paged["maxResults"] = json!(1);
    let first = agreement_api(&running, "SearchAgreements", &paged)
        .await
        .json();
    paged["nextToken"] = first["nextToken"].clone();
    let second = agreement_api(&running, "SearchAgreements", &paged)
        .await
        .json();
    assert_eq!(
        (ids(first).len(), ids(second)),
        (1, vec![two.agreement_id.clone()])
    );
    let described = json!({"agreementId": one.agreement_id});
    let described = agreement_api(&running, "DescribeAgreement", &described)
        .await
        .json();
    assert_eq!(described["status"], "ACTIVE");
    assert_eq!(described["acceptor"]["accountId"], one.account_id.as_str());
    let missing = json!({"agreementId": "agmt-none"});
    let missing = agreement_api(&running, "DescribeAgreement", &missing).await;
    assert_eq!(missing.error(), "ResourceNotFoundException");
    for bad in [
        json!({}),
        seller(&[("Colour", "red")]),
        seller(&[("BeforeEndTime", "soon")]),
        with(&seller(&[]), "catalog", "Elsewhere"),
        with(&seller(&[]), "sort", json!({"sortBy": "Colour"})),
        with(&seller(&[]), "nextToken", "abc"),
        with(&seller(&[]), "maxResults", 51),
    ] {
        let answer = agreement_api(&running, "SearchAgreements", &bad).await;
        assert_eq!(answer.error(), "ValidationException", "{bad}");
    }
}

#[tokio::test]
async fn a_month_is_invoiced_when_it_closes_and_a_billing_adjustment_refunds_money() {
    let running = running().await;
    let mut settings = running.emulator.settings();
    settings.unit_price_micros = 20_000;
    running.emulator.set_settings(settings);
    let buyer = running.buys(LICENSED);
    let record = with(&by_license(&buyer), "Quantity", Value::Null);
    running
        .meter(&[with(&record, "QuantityAsDecimal", "150.5")])
        .await;
    let draft = running
        .control("GET", "invoices?month=2026-11", &Value::Null)
        .await
        .json();
    assert_eq!(draft[0]["amount"], "3.01");
    assert_eq!(draft[0]["is_issued"], false);
    assert_eq!(draft[0]["lines"][0]["quantity"], "150.5");
    let list = json!({"agreementId": buyer.agreement_id, "groupBy": "INVOICE_ID"});
    let none = agreement_api(&running, "ListAgreementInvoiceLineItems", &list)
        .await
        .json();
    assert_eq!(none["agreementInvoiceLineItemGroupSummaries"], json!([]));
    running
        .emulator
        .set_clock(Some(at("2026-12-01T06:00:00Z")), None);
    let issued = agreement_api(&running, "ListAgreementInvoiceLineItems", &list)
        .await
        .json();
    let invoice = issued["agreementInvoiceLineItemGroupSummaries"][0].clone();
    assert_eq!(invoice["pricingCurrencyAmount"]["amount"], "3.01");
    assert_eq!(
        invoice["invoiceBillingPeriod"],
        json!({"month": 11, "year": 2026})
    );

    let entry = json!({
        "agreementId": buyer.agreement_id,
        "originalInvoiceId": invoice["invoiceId"],
        "adjustmentAmount": "1.00",
        "currencyCode": "USD",
        "adjustmentReasonCode": "INCORRECT_METERING",
        "clientToken": "t-1",
    });
    let adjust = async |entries: &[Value]| {
        let request = json!({"billingAdjustmentRequestEntries": entries});
        agreement_api(&running, "BatchCreateBillingAdjustmentRequest", &request).await
    };
    let adjusted = adjust(std::slice::from_ref(&entry)).await.json();
    assert_eq!(adjusted["errors"], json!([]));
    assert_eq!(
        adjust(std::slice::from_ref(&entry)).await.json(),
        adjusted,
        "the same request is answered in the same way"
    );
    let answer = adjust(&[
        with(&entry, "adjustmentAmount", "2.00"),
        with(
            &with(&entry, "clientToken", "t-2"),
            "adjustmentAmount",
            "2.02",
        ),
        with(
            &with(&entry, "clientToken", "t-3"),
            "originalInvoiceId",
            "none",
        ),
        with(&with(&entry, "clientToken", "t-4"), "currencyCode", "EUR"),
        with(&with(&entry, "clientToken", "t-5"), "adjustmentAmount", "0"),
        with(
            &with(&entry, "clientToken", "t-6"),
            "adjustmentAmount",
            "2.01",
        ),
    ])
    .await
    .json();
    let codes: Vec<&str> = answer["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(
        codes,
        [
            "CONFLICT_EXCEPTION",
            "VALIDATION_EXCEPTION",
            "RESOURCE_NOT_FOUND_EXCEPTION",
            "VALIDATION_EXCEPTION",
            "VALIDATION_EXCEPTION"
        ]
    );
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(adjust(&[]).await.error(), "ValidationException");
    let after = running
        .control("GET", "invoices", &Value::Null)
        .await
        .json();
    assert_eq!(after[0]["adjusted"], "3.01");
    let memos = with(&list, "invoiceType", "CREDIT_MEMO");
    let memos = agreement_api(&running, "ListAgreementInvoiceLineItems", &memos)
        .await
        .json();
    assert_eq!(
        memos["agreementInvoiceLineItemGroupSummaries"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let mut page = with(&list, "maxResults", 1);
    let first = agreement_api(&running, "ListAgreementInvoiceLineItems", &page)
        .await
        .json();
    page["nextToken"] = first["nextToken"].clone();
    let second = agreement_api(&running, "ListAgreementInvoiceLineItems", &page).await;
    assert_eq!(second.status, 200);
    for (member, value) in [
        ("invoiceBillingPeriod", json!({"month": 11, "year": 2026})),
        ("beforeIssuedTime", json!(1_800_000_000)),
        ("afterIssuedTime", json!(1_700_000_000)),
    ] {
        let other = with(&page, member, value);
        let other = agreement_api(&running, "ListAgreementInvoiceLineItems", &other).await;
        assert_eq!(other.error(), "ValidationException", "{member}");
    }
    assert_eq!(
        running
            .control("GET", "invoices?month=soon", &Value::Null)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_free_trial_is_metered_but_invoiced_at_zero() {
    let running = running().await;
    let buyer = running
        .emulator
        .add_agreement(NewAgreement {
            start: Some(at("2026-11-01T00:00:00Z")),
            free_trial: true,
            ..NewAgreement::of(LEGACY)
        })
        .expect("a trial");
    running.meter_product(LEGACY, &[by_customer(&buyer)]).await;
    let invoices = running.emulator.invoices(None).expect("invoices");
    assert_eq!(invoices[0].amount, "0.00");
    assert_eq!(invoices[0].lines[0].quantity, "1");
}

#[tokio::test]
async fn reading_9_a_renewal_keeps_the_license_or_replaces_it() {
    for (reading, kept) in [
        (LicenseOnRenewal::Survives, true),
        (LicenseOnRenewal::Replaced, false),
    ] {
        let running = running().await;
        running.emulator.set_readings(Readings {
            license_on_renewal: reading,
            ..Readings::default()
        });
        let buyer = running.buys(LICENSED);
        running.emulator.take_lifecycle();
        let path = format!("agreements/{}/renew", buyer.agreement_id);
        let renewed = running.control("POST", &path, &Value::Null).await;
        assert_eq!(renewed.status, 201);
        let renewed = renewed.json();
        assert_ne!(renewed["agreement_id"], buyer.agreement_id.as_str());
        assert_eq!(renewed["license_arn"] == buyer.license_arn.as_str(), kept);
        running
            .emulator
            .set_clock(Some(at("2026-11-21T12:01:00Z")), None);
        let messages = serde_json::to_value(running.emulator.take_lifecycle()).expect("JSON");
        let types: Vec<&str> = messages
            .as_array()
            .expect("messages")
            .iter()
            .filter_map(|m| m["event-bridge"]["detail-type"].as_str())
            .collect();
        assert_eq!(
            types.contains(&"License Deprovisioned - Manufacturer"),
            !kept
        );
        let created = &messages[0]["event-bridge"]["detail"]["agreement"];
        assert_eq!(created["intent"], "RENEW");
        assert_eq!(created["previousAgreementId"], buyer.agreement_id.as_str());
        assert_eq!(
            running.meter(&[by_license(&buyer)]).await.statuses(),
            ["Success"]
        );
        running
            .emulator
            .set_clock(Some(at("2026-11-21T14:00:00Z")), None);
        let later = with(&by_license(&buyer), "Dimension", "gb");
        let expected = if kept {
            "Success"
        } else {
            "CustomerNotSubscribed"
        };
        assert_eq!(running.meter(&[later]).await.statuses(), [expected]);
    }
}

#[tokio::test]
async fn reading_13_a_renewal_reports_the_end_of_the_old_agreement_or_does_not() {
    for (reading, reported) in [
        (EndedOnRenewal::Sent, true),
        (EndedOnRenewal::NotSent, false),
    ] {
        let running = running().await;
        running.emulator.set_readings(Readings {
            ended_on_renewal: reading,
            ..Readings::default()
        });
        let buyer = running.buys(LICENSED);
        running
            .emulator
            .renew_agreement(&buyer.agreement_id)
            .expect("renewed");
        // The old agreement has ended under both readings.
        let old = running.emulator.agreement(&buyer.agreement_id);
        assert_eq!(old.expect("the old one").status, "RENEWED");
        running
            .emulator
            .set_clock(Some(at("2026-11-22T12:00:00Z")), None);
        let messages = serde_json::to_value(running.emulator.take_lifecycle()).expect("JSON");
        let ended = messages
            .as_array()
            .expect("messages")
            .iter()
            .map(|message| &message["event-bridge"])
            .filter(|event| event["detail-type"] == "Purchase Agreement Ended - Proposer");
        assert_eq!(ended.count(), usize::from(reported));
    }
}

#[tokio::test]
async fn a_suspended_account_is_not_subscribed_until_it_is_resumed() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let path = |what: &str| format!("agreements/{}/{what}", buyer.agreement_id);
    let suspended = running
        .control("POST", &path("suspend"), &Value::Null)
        .await;
    assert_eq!(suspended.status, 204);
    let record = by_license(&buyer);
    assert_eq!(
        running
            .meter(std::slice::from_ref(&record))
            .await
            .statuses(),
        ["CustomerNotSubscribed"]
    );
    assert_eq!(
        running
            .control("POST", &path("resume"), &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(running.meter(&[record]).await.statuses(), ["Success"]);
}
