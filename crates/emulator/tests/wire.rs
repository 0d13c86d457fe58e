//! AWS JSON 1.1: the errors that are answered before any rule of the marketplace is applied.

mod common;

use common::{LICENSED, by_license, running, with};
use serde_json::{Value, json};

const TARGET: &str = "AWSMPMeteringService.BatchMeterUsage";

#[tokio::test]
async fn a_call_with_missing_or_incomplete_credentials_is_refused() {
    let running = running().await;
    let call = async |authorization: Option<&str>| {
        let mut headers = vec![("x-amz-target", TARGET)];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let body = b"{\"UsageRecords\":[]}".to_vec();
        running
            .http("POST", "/", &headers, body)
            .await
            .expect("an answer")
    };
    let cases = [
        (None, "MissingAuthenticationTokenException"),
        (Some("Bearer x"), "IncompleteSignatureException"),
        (
            Some("AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/aws-marketplace/aws4_request"),
            "IncompleteSignatureException",
        ),
        (
            Some("AWS4-HMAC-SHA256 Credential=A/us-east-1, SignedHeaders=host, Signature=0"),
            "IncompleteSignatureException",
        ),
        (
            Some(
                "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            ),
            "InvalidSignatureException",
        ),
    ];
    for (authorization, code) in cases {
        let answer = call(authorization).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.error(), code, "{authorization:?}");
        assert!(answer.headers.contains_key("x-amzn-requestid"));
    }
}

#[tokio::test]
async fn unknown_targets_and_paths_are_unknown_operations() {
    let running = running().await;
    for target in [
        "",
        "AWSMPMeteringService",
        "AWSMPMeteringService.Nothing",
        "X.BatchMeterUsage",
    ] {
        let answer = running.try_aws(target, b"{}").await.expect("an answer");
        assert_eq!(answer.error(), "UnknownOperationException", "{target}");
        assert_eq!(answer.status, 400);
    }
    let answer = running
        .http("PUT", "/", &[], Vec::new())
        .await
        .expect("an answer");
    assert_eq!(answer.error(), "UnknownOperationException");
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn bodies_that_are_not_the_request_are_serialization_errors() {
    let running = running().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_member = format!("{{\"UsageRecords\":{deep}}}");
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{\"UsageRecords\":{}}",
        b"{\"UsageRecords\":\"no\"}",
        b"{\"UsageRecords\":[1]}",
        b"{\"UsageRecords\":[],\"ProductCode\":1}",
        b"{\"UsageRecords\":[{\"Dimension\":1,\"Timestamp\":1}]}",
        b"{\"UsageRecords\":[{\"Dimension\":\"a\",\"Timestamp\":\"2026\"}]}",
        b"{\"UsageRecords\":[{\"Dimension\":\"a\",\"Timestamp\":1e300}]}",
        b"{\"UsageRecords\":[{\"Dimension\":\"a\",\"Timestamp\":1,\"Quantity\":1.5}]}",
        b"{\"UsageRecords\":[{\"Dimension\":\"a\",\"Timestamp\":1,\"Quantity\":99999999999}]}",
        b"{\"UsageRecords\":[{\"Dimension\":\"a\",\"Timestamp\":1,\"QuantityAsDecimal\":1}]}",
        deep_member.as_bytes(),
    ];
    for body in bodies {
        let answer = running.try_aws(TARGET, body).await.expect("an answer");
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(answer.error(), "SerializationException", "{shown}");
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_too_large() {
    let running = running().await;
    for size in [1_000_000, 3_000_000, 6_000_000] {
        let mut body = b"{\"UsageRecords\":[],\"x\":\"".to_vec();
        body.resize(size - 2, b'a');
        body.extend(b"\"}");
        // The emulator reads at most 4 MB. It may close the connection before a longer body has
        // been sent.
        if let Some(answer) = running.try_aws(TARGET, &body).await {
            assert_eq!(answer.error(), "RequestEntityTooLargeException");
            assert_eq!(answer.status, 413);
        }
    }
    let mut body = b"{\"UsageRecords\":[],\"x\":\"".to_vec();
    body.resize(999_999 - 2, b'a');
    body.extend(b"\"}");
    let answer = running.try_aws(TARGET, &body).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn values_outside_the_api_model_are_validation_errors_that_name_every_place() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = by_license(&buyer);
    let tags = |tags: Value| json!([{"AllocatedUsageQuantity": 1, "Tags": tags}]);
    let cases: Vec<(Value, &str)> = vec![
        (
            json!({}),
            "Value at 'usageRecords' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"UsageRecords": vec![record.clone(); 26]}),
            "'usageRecords' failed to satisfy constraint: Member must have length less than or equal to 25",
        ),
        (
            json!({"UsageRecords": [], "ProductCode": "a b"}),
            "'productCode'",
        ),
        (
            json!({"UsageRecords": [], "ProductCode": "a".repeat(256)}),
            "'productCode'",
        ),
        (
            json!({"UsageRecords": [{}]}),
            "2 validation errors detected: Value at 'usageRecords.1.member.timestamp'",
        ),
        (
            json!({"UsageRecords": [with(&record, "Dimension", "")]}),
            "'usageRecords.1.member.dimension'",
        ),
        (
            json!({"UsageRecords": [with(&record, "Dimension", "d".repeat(256))]}),
            "less than or equal to 255",
        ),
        (
            json!({"UsageRecords": [with(&record, "CustomerAWSAccountId", "12a")]}),
            "^[0-9]+$",
        ),
        (
            json!({"UsageRecords": [with(&record, "CustomerIdentifier", "c".repeat(256))]}),
            "customerIdentifier",
        ),
        (
            json!({"UsageRecords": [with(&record, "LicenseArn", "l-1")]}),
            "licenseArn",
        ),
        (
            json!({"UsageRecords": [with(&record, "Quantity", -1)]}),
            "greater than or equal to 0",
        ),
        (
            json!({"UsageRecords": [with(&record, "QuantityAsDecimal", "1.0000000")]}),
            "quantityAsDecimal",
        ),
        (
            json!({"UsageRecords": [with(&record, "QuantityAsDecimal", "01")]}),
            "quantityAsDecimal",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", json!([]))]}),
            "greater than or equal to 1",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", json!(vec![json!({}); 2_501]))]}),
            "less than or equal to 2500",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!([])))]}),
            "usageAllocations.1.member.tags",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!(vec![json!({"Key": "k", "Value": "v"}); 6])))]}),
            "less than or equal to 5",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!([{"Key": "k?", "Value": "v"}])))]}),
            "tags.1.member.key",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!([{"Key": "k"}])))]}),
            "tags.1.member.value",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!([{"Key": "k".repeat(101), "Value": "v"}])))]}),
            "less than or equal to 100",
        ),
        (
            json!({"UsageRecords": [with(&record, "UsageAllocations", tags(json!([{"Key": "k", "Value": "v".repeat(257)}])))]}),
            "less than or equal to 256",
        ),
    ];
    for (request, words) in cases {
        let answer = running.batch(&request).await;
        assert_eq!(answer.error(), "ValidationException", "{words}");
        let message = answer.json()["message"]
            .as_str()
            .expect("a message")
            .to_owned();
        assert!(message.contains(words), "{words} is not in {message}");
    }
    assert_eq!(running.emulator.metered(), []);
}

#[tokio::test]
async fn unknown_members_and_nulls_are_ignored_as_aws_does() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let record = with(&by_license(&buyer), "Unheard", json!({"of": [1]}));
    let record = with(&record, "UsageAllocations", Value::Null);
    let answer = running
        .batch(&json!({"UsageRecords": [record], "ProductCode": null, "x": 1}))
        .await;
    assert_eq!(answer.statuses(), ["Success"]);
}
