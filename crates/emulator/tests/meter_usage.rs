//! `MeterUsage` and `RegisterUsage`. The software calls them in the buyer's account.

mod common;

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{Answer, LICENSED, Running, at, epoch, running, with};
use emulator::{Platform, Settings};
use serde_json::{Value, json};

async fn meter(running: &Running, request: &Value) -> Answer {
    let target = "AWSMPMeteringService.MeterUsage";
    let body = request.to_string();
    running
        .try_aws(target, body.as_bytes())
        .await
        .expect("an answer")
}

async fn register(running: &Running, request: &Value) -> Answer {
    let target = "AWSMPMeteringService.RegisterUsage";
    let body = request.to_string();
    running
        .try_aws(target, body.as_bytes())
        .await
        .expect("an answer")
}

fn usage() -> Value {
    json!({
        "ProductCode": LICENSED,
        "Timestamp": epoch("2026-11-21T11:20:00Z"),
        "UsageDimension": "requests",
        "UsageQuantity": 4,
    })
}

fn set(running: &Running, change: impl FnOnce(&mut Settings)) {
    let mut settings = running.emulator.settings();
    change(&mut settings);
    running.emulator.set_settings(settings);
}

#[tokio::test]
async fn an_instance_meters_a_dimension_once_an_hour() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let first = meter(&running, &usage()).await.json();
    let later = with(&usage(), "Timestamp", epoch("2026-11-21T11:59:00Z"));
    assert_eq!(
        meter(&running, &later).await.json(),
        first,
        "rounded down to the hour"
    );
    let more = with(&later, "UsageQuantity", 5);
    assert_eq!(
        meter(&running, &more).await.error(),
        "DuplicateRequestException"
    );
    let next = with(&more, "Timestamp", epoch("2026-11-21T12:00:00Z"));
    assert_eq!(meter(&running, &next).await.status, 200);
    let metered = running.emulator.metered();
    assert_eq!(metered.len(), 2);
    assert_eq!(metered[0].account_id, buyer.account_id);
    assert_eq!(metered[0].hour, at("2026-11-21T11:00:00Z"));
    assert_eq!(
        first["MeteringRecordId"],
        metered[0].metering_record_id.as_str()
    );
}

#[tokio::test]
async fn the_window_of_meter_usage_is_six_hours() {
    let running = running().await;
    running.buys(LICENSED);
    let old = with(&usage(), "Timestamp", epoch("2026-11-21T06:00:00Z"));
    assert_eq!(meter(&running, &old).await.status, 200);
    let older = with(&usage(), "Timestamp", epoch("2026-11-21T05:59:59Z"));
    assert_eq!(
        meter(&running, &older).await.error(),
        "TimestampOutOfBoundsException"
    );
    let future = with(&usage(), "Timestamp", epoch("2026-11-21T12:00:01Z"));
    assert_eq!(
        meter(&running, &future).await.error(),
        "TimestampOutOfBoundsException"
    );
}

#[tokio::test]
async fn a_client_token_identifies_one_request() {
    let running = running().await;
    running.buys(LICENSED);
    let request = with(&usage(), "ClientToken", "token-1");
    let first = meter(&running, &request).await.json();
    assert_eq!(meter(&running, &request).await.json(), first);
    let other = with(&request, "Timestamp", epoch("2026-11-21T10:00:00Z"));
    assert_eq!(
        meter(&running, &other).await.error(),
        "IdempotencyConflictException"
    );
}

#[tokio::test]
async fn on_agent_core_every_client_token_is_usage_of_its_own() {
    let running = running().await;
    running.buys(LICENSED);
    set(&running, |settings| settings.platform = Platform::AgentCore);
    assert_eq!(
        meter(&running, &usage()).await.error(),
        "ValidationException"
    );
    for token in ["a", "b", "a"] {
        let answer = meter(&running, &with(&usage(), "ClientToken", token)).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(running.emulator.metered().len(), 2);
    let refused = register(
        &running,
        &json!({"ProductCode": LICENSED, "PublicKeyVersion": 1}),
    )
    .await;
    assert_eq!(refused.error(), "PlatformNotSupportedException");
}

#[tokio::test]
async fn every_error_of_the_api_model_can_occur() {
    let running = running().await;
    assert_eq!(
        meter(&running, &usage()).await.error(),
        "CustomerNotEntitledException"
    );
    running.buys(LICENSED);
    let cases = [
        (
            with(&usage(), "ProductCode", "nothing"),
            "InvalidProductCodeException",
        ),
        (
            with(&usage(), "UsageDimension", "nothing"),
            "InvalidUsageDimensionException",
        ),
        (
            with(&usage(), "UsageQuantityAsDecimal", "4"),
            "ValidationException",
        ),
        (
            with(&usage(), "ClientToken", "t".repeat(65)),
            "ValidationException",
        ),
        (
            with(&usage(), "Timestamp", Value::Null),
            "ValidationException",
        ),
        (with(&usage(), "DryRun", true), "DryRunOperation"),
        (
            with(
                &usage(),
                "UsageAllocations",
                json!([{"AllocatedUsageQuantity": 3}]),
            ),
            "InvalidUsageAllocationsException",
        ),
        (
            with(
                &usage(),
                "UsageAllocations",
                json!([{"AllocatedUsageQuantity": 4, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "a", "Value": "c"}]}]),
            ),
            "InvalidTagException",
        ),
    ];
    for (request, code) in cases {
        assert_eq!(meter(&running, &request).await.error(), code, "{request}");
    }
    set(&running, |settings| {
        settings.software_region = Some("eu-west-1".to_owned())
    });
    assert_eq!(
        meter(&running, &usage()).await.error(),
        "InvalidEndpointRegionException"
    );
    assert_eq!(running.emulator.metered(), []);
}

/// The claims of a signed token. Panics if the public key of this version does not verify it.
async fn verified(running: &Running, version: usize, token: &str) -> Value {
    let path = format!("public-keys/{version}");
    let offered = running.control("GET", &path, &Value::Null).await.json();
    let pem = offered["pem"].as_str().expect("a key");
    let der: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let der = STANDARD.decode(der).expect("base64");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, der)
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).expect("base64"),
        )
        .expect("the signature verifies");
    let (header, claims) = signed.split_once('.').expect("header and claims");
    let part = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
    };
    assert_eq!(part(header), json!({"alg": "PS256", "typ": "JWT"}));
    part(claims)
}

#[tokio::test]
async fn a_registration_is_signed_and_the_public_key_verifies_it() {
    let running = running().await;
    running.buys(LICENSED);
    let request = json!({"ProductCode": LICENSED, "PublicKeyVersion": 1, "Nonce": "n-1"});
    let answer = register(&running, &request).await.json();
    assert!(answer.get("PublicKeyRotationTimestamp").is_none());
    let token = answer["Signature"].as_str().expect("a token").to_owned();
    let claims = verified(&running, 1, &token).await;
    assert_eq!(claims["ProductCode"], LICENSED);
    assert_eq!(claims["PublicKeyVersion"], 1);
    assert_eq!(claims["Nonce"], "n-1");
    assert_eq!(claims["iat"], epoch(common::NOON));

    let rotated = running
        .control("POST", "public-keys", &Value::Null)
        .await
        .json();
    assert_eq!(rotated["version"], 2);
    let answer = register(&running, &request).await.json();
    assert_eq!(answer["PublicKeyRotationTimestamp"], epoch(common::NOON));
    let answer = register(&running, &with(&request, "PublicKeyVersion", 2))
        .await
        .json();
    let token = answer["Signature"].as_str().expect("a token").to_owned();
    assert_eq!(verified(&running, 2, &token).await["PublicKeyVersion"], 2);
}

#[tokio::test]
async fn registrations_are_refused_by_their_rules() {
    let running = running().await;
    let request = json!({"ProductCode": LICENSED, "PublicKeyVersion": 1});
    assert_eq!(
        register(&running, &request).await.error(),
        "CustomerNotEntitledException"
    );
    running.buys(LICENSED);
    for (bad, code) in [
        (
            with(&request, "ProductCode", "nothing"),
            "InvalidProductCodeException",
        ),
        (
            with(&request, "PublicKeyVersion", 2),
            "InvalidPublicKeyVersionException",
        ),
        (with(&request, "PublicKeyVersion", 0), "ValidationException"),
        (
            with(&request, "Nonce", "n".repeat(256)),
            "ValidationException",
        ),
    ] {
        assert_eq!(register(&running, &bad).await.error(), code, "{bad}");
    }
    set(&running, |settings| {
        settings.software_region = Some("eu-west-1".to_owned())
    });
    assert_eq!(
        register(&running, &request).await.error(),
        "InvalidRegionException"
    );
}
