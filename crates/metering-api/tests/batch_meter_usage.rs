//! BatchMeterUsage on the wire: the bytes of requests, and the reading of answers.

mod common;

use std::time::{Duration, SystemTime};

use aws_sdk_marketplacemetering::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use common::{ARN, Request, Service, ok, record, run, share};
use marketplace::answer::{Verdict, interpret};
use marketplace::batch::BatchGroup;
use marketplace::{IdentityKind, MeteringRecord};
use serde_json::{Value, json};

fn group(kind: IdentityKind) -> BatchGroup {
    BatchGroup {
        product: "code1".parse().unwrap(),
        kind,
    }
}

fn legacy() -> BatchGroup {
    group(IdentityKind::Customer)
}

fn one() -> MeteringRecord {
    record("legacy|code1|cust-1", "gb", "3")
}

#[track_caller]
fn check_body(kind: IdentityKind, records: &[&MeteringRecord], expect: &str) {
    run(async {
        let service = Service::answering([ok(json!({}))]).await;
        service
            .api(1)
            .batch_meter_usage(&group(kind), records)
            .await
            .unwrap();
        assert_eq!(service.requests()[0].text(), expect);
    });
}

#[test]
fn a_buyer_by_license_is_sent_with_license_and_account_and_no_product() {
    check_body(
        IdentityKind::License,
        &[&record(ARN, "gb", "3")],
        &format!(
            r#"{{"UsageRecords":[{{"Timestamp":1795258800,"Dimension":"gb","LicenseArn":"{ARN}","CustomerAWSAccountId":"111122223333","Quantity":3}}]}}"#
        ),
    );
}

#[test]
fn a_buyer_by_customer_identifier_is_sent_with_it_and_without_an_account() {
    check_body(
        IdentityKind::Customer,
        &[&one(), &record("legacy|code1|cust-2", "a \"b\" ü", "0")],
        r#"{"ProductCode":"code1","UsageRecords":[{"Timestamp":1795258800,"Dimension":"gb","CustomerIdentifier":"cust-1","Quantity":3},{"Timestamp":1795258800,"Dimension":"a \"b\" ü","CustomerIdentifier":"cust-2","Quantity":0}]}"#,
    );
}

#[test]
fn a_buyer_by_account_is_sent_with_product_and_account() {
    check_body(
        IdentityKind::Account,
        &[&record("account|code1|444455556666", "gb", "2147483647")],
        r#"{"ProductCode":"code1","UsageRecords":[{"Timestamp":1795258800,"Dimension":"gb","CustomerAWSAccountId":"444455556666","Quantity":2147483647}]}"#,
    );
}

#[test]
fn a_fraction_anywhere_in_a_record_makes_all_of_it_decimal() {
    let mut split = record("legacy|code1|cust-1", "gb", "4");
    split.allocations = vec![
        share(&[("env", "prod"), ("team", "a/b")], "1.5"),
        share(&[], "2.5"),
    ];
    check_body(
        IdentityKind::Customer,
        &[
            &split,
            &record("legacy|code1|cust-1", "hours", "9999999999.999999"),
        ],
        r#"{"ProductCode":"code1","UsageRecords":[{"Timestamp":1795258800,"Dimension":"gb","CustomerIdentifier":"cust-1","QuantityAsDecimal":"4","UsageAllocations":[{"AllocatedUsageQuantityAsDecimal":"1.5","Tags":[{"Key":"env","Value":"prod"},{"Key":"team","Value":"a/b"}]},{"AllocatedUsageQuantityAsDecimal":"2.5"}]},{"Timestamp":1795258800,"Dimension":"hours","CustomerIdentifier":"cust-1","QuantityAsDecimal":"9999999999.999999"}]}"#,
    );
    let mut whole = record("legacy|code1|cust-1", "gb", "4");
    whole.allocations = vec![share(&[("team", "a")], "1"), share(&[], "3")];
    check_body(
        IdentityKind::Customer,
        &[
            &whole,
            &record("legacy|code1|cust-1", "hours", "2147483648"),
        ],
        r#"{"ProductCode":"code1","UsageRecords":[{"Timestamp":1795258800,"Dimension":"gb","CustomerIdentifier":"cust-1","Quantity":4,"UsageAllocations":[{"AllocatedUsageQuantity":1,"Tags":[{"Key":"team","Value":"a"}]},{"AllocatedUsageQuantity":3}]},{"Timestamp":1795258800,"Dimension":"hours","CustomerIdentifier":"cust-1","QuantityAsDecimal":"2147483648"}]}"#,
    );
}

#[test]
fn the_request_is_aws_json_with_the_length_of_the_body_sent() {
    run(async {
        let service = Service::answering([ok(json!({}))]).await;
        service
            .api(1)
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap();
        let request = &service.requests()[0];
        assert_eq!(request.line, "POST / HTTP/1.1");
        assert_eq!(
            request.header("x-amz-target"),
            "AWSMPMeteringService.BatchMeterUsage"
        );
        assert_eq!(request.header("content-type"), "application/x-amz-json-1.1");
        assert_eq!(
            request.header("content-length"),
            request.body.len().to_string()
        );
        assert!(
            request
                .header("authorization")
                .contains("/us-east-1/aws-marketplace/aws4_request")
        );
        assert!(
            request
                .headers
                .iter()
                .all(|(name, _)| name != "transfer-encoding")
        );
    });
}

/// The signature that AWS would compute for the request as it arrived.
fn signature(request: &Request) -> String {
    let date = request.header("x-amz-date");
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..8],
        &date[9..11],
        &date[11..13],
        &date[13..15]
    );
    let time: jiff::Timestamp = time.parse().unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Double;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("aws-marketplace")
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_second() as u64))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let authorization = request.header("authorization");
    let (_, signed) = authorization.split_once("SignedHeaders=").unwrap();
    let signed: Vec<_> = signed.split(',').next().unwrap().split(';').collect();
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| signed.contains(&name.as_str()) && name != "x-amz-date")
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let uri = format!("http://{}/", request.header("host"));
    let body = SignableBody::Bytes(&request.body);
    let signable = SignableRequest::new("POST", &uri, headers, body).unwrap();
    sign(signable, &params).unwrap().into_parts().1
}

#[test]
fn the_signature_covers_the_body_that_is_sent() {
    run(async {
        let service = Service::answering([ok(json!({}))]).await;
        service
            .api(1)
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap();
        let mut request = service.requests().remove(0);
        let sent = request
            .header("authorization")
            .rsplit_once("Signature=")
            .unwrap()
            .1
            .to_owned();
        assert_eq!(signature(&request), sent);
        request.body.push(b' ');
        assert_ne!(signature(&request), sent);
    });
}

#[test]
fn a_request_that_breaks_a_limit_is_not_sent() {
    run(async {
        let service = Service::answering([]).await;
        let api = service.api(1);
        let one = one();
        let not_sent = async |group: &BatchGroup, records: &[&MeteringRecord]| {
            let error = api.batch_meter_usage(group, records).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.http_status), ("NotSent", None));
            error.message
        };
        assert_eq!(
            not_sent(&legacy(), &[]).await,
            "the request has 0 records: it must have 1 to 25"
        );
        assert_eq!(
            not_sent(&legacy(), &[&one; 26]).await,
            "the request has 26 records: it must have 1 to 25"
        );
        let mixed = not_sent(&group(IdentityKind::Account), &[&one]).await;
        assert!(
            mixed.contains("by customer, but the request is of product code1 by account"),
            "{mixed}"
        );
        let other = BatchGroup {
            product: "code2".parse().unwrap(),
            ..legacy()
        };
        assert!(not_sent(&other, &[&one]).await.contains("of product code2"));
        let mut large = one.clone();
        let value = "v".repeat(256);
        let tags: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|key| (key, value.as_str()))
            .into();
        large.allocations = vec![share(&tags, "0"); 2_500];
        assert!(
            not_sent(&legacy(), &[&large])
                .await
                .contains("accepts less than 1000000")
        );
        assert!(service.requests().is_empty());
    });
}

#[test]
fn an_answer_with_missing_or_new_members_is_read() {
    run(async {
        let (a, b) = (record(ARN, "gb", "1.5"), record(ARN, "hours", "1"));
        let echo = |r: &MeteringRecord| json!({"LicenseArn": ARN, "Dimension": r.slot.dimension.as_str(), "Timestamp": 1795258800.0, "CustomerIdentifier": "", "QuantityAsDecimal": "1.5", "New": [1]});
        let answer = json!({
            "Results": [
                {"UsageRecord": echo(&b), "Status": "Postponed"},
                {"UsageRecord": echo(&a), "Status": "Success", "MeteringRecordId": "m-1"},
                {},
            ],
            "SomethingNew": true,
        });
        let service = Service::answering([ok(answer)]).await;
        let group = group(IdentityKind::License);
        let answer = service
            .api(1)
            .batch_meter_usage(&group, &[&a, &b])
            .await
            .unwrap();
        assert_eq!(answer.results.len(), 3);
        assert_eq!(
            interpret(&[&a, &b], &answer.results, &answer.unprocessed),
            [
                Verdict::Accepted {
                    metering_record_id: Some("m-1".to_owned())
                },
                Verdict::UnknownStatus("Postponed".to_owned()),
            ]
        );
    });
}

#[test]
fn the_raw_call_sends_any_object_and_returns_the_whole_answer() {
    run(async {
        let answer = json!({"Results": "odd", "New": [1, {"deep": "1.50"}]});
        let service = Service::answering([ok(answer.clone())]).await;
        let body = json!({"UsageRecords": [{"Quantity": "as it is"}], "Extra": null});
        assert_eq!(
            service
                .api(1)
                .batch_meter_usage_raw(body.clone())
                .await
                .unwrap(),
            answer
        );
        let sent: Value = serde_json::from_slice(&service.requests()[0].body).unwrap();
        assert_eq!(sent, body);
        let error = service
            .api(1)
            .batch_meter_usage_raw(json!([body]))
            .await
            .unwrap_err();
        assert_eq!(error.code, "NotSent");
        assert_eq!(service.requests().len(), 1);
    });
}
