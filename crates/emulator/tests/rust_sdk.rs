//! An unmodified AWS SDK for Rust calls the emulator.

mod common;

use aws_sdk_marketplacemetering::Client;
use aws_sdk_marketplacemetering::config::retry::RetryConfig;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_marketplacemetering::types::{UsageRecord, UsageRecordResultStatus};
use aws_smithy_types::DateTime;
use common::{LICENSED, Running, running};
use emulator::{Fault, FaultKind, Faults};

fn client(running: &Running) -> Client {
    let config = aws_sdk_marketplacemetering::Config::builder()
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
        .retry_config(
            RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1)),
        )
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_resolves_meters_and_retries_a_lost_answer() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let client = client(&running);
    let resolved = client
        .resolve_customer()
        .registration_token(&buyer.registration_token)
        .send()
        .await
        .expect("a resolved token");
    assert_eq!(resolved.license_arn(), Some(buyer.license_arn.as_str()));
    assert_eq!(
        resolved.metadata().and_then(|m| m.agreement_id()),
        Some(buyer.agreement_id.as_str())
    );
    running.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![
            Fault::next("BatchMeterUsage", FaultKind::DropAfter, 1),
            Fault::next("BatchMeterUsage", FaultKind::Throttling, 2),
        ],
    });
    let record = UsageRecord::builder()
        .timestamp(DateTime::from_secs(common::epoch("2026-11-21T11:00:00Z")))
        .dimension("requests")
        .customer_aws_account_id(&buyer.account_id)
        .license_arn(&buyer.license_arn)
        .quantity(3)
        .build()
        .expect("a record");
    let metered = client
        .batch_meter_usage()
        .usage_records(record)
        .send()
        .await
        .expect("an answer after retries");
    assert_eq!(
        metered.results()[0].status(),
        Some(&UsageRecordResultStatus::Success)
    );
    assert_eq!(running.emulator.metered().len(), 1);
    let calls = running.emulator.calls();
    assert_eq!(
        calls
            .iter()
            .filter(|c| c.operation == "BatchMeterUsage")
            .count(),
        3
    );
}

#[tokio::test]
async fn signatures_are_verified_if_a_secret_is_set() {
    let running = running().await;
    let mut settings = running.emulator.settings();
    let client = client(&running);
    for (secret, accepted) in [("secret", true), ("another", false)] {
        settings.secret_access_key = Some(secret.to_owned());
        running.emulator.set_settings(settings.clone());
        let sent = client
            .batch_meter_usage()
            .set_usage_records(Some(vec![]))
            .send()
            .await;
        assert_eq!(sent.is_ok(), accepted, "{sent:?}");
    }
    let unsigned = running.meter(&[]).await;
    assert_eq!(unsigned.error(), "InvalidSignatureException");
}

#[tokio::test]
async fn the_sdk_sees_modelled_errors_by_their_names() {
    let running = running().await;
    let client = client(&running);
    let error = client
        .resolve_customer()
        .registration_token("made-up")
        .send()
        .await
        .expect_err("a refusal")
        .into_service_error();
    assert!(error.is_invalid_token_exception(), "{error:?}");
    assert!(
        error
            .meta()
            .message()
            .is_some_and(|m| m.contains("registration token"))
    );
}
