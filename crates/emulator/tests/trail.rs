//! The files of CloudTrail's trail in a bucket are read with the AWS SDK.

mod common;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use common::{LICENSED, Running, at, by_license, running};
use emulator::{Fault, FaultKind, Faults, Settings};
use flate2::read::GzDecoder;
use serde_json::Value;

const BUCKET: &str = "example-trail";
const FOLDER: &str = "AWSLogs/222222222222/CloudTrail/us-east-1/";

fn client(running: &Running, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", secret, None, None, "test"))
        .endpoint_url(format!("http://{}", running.address))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn set(running: &Running, change: impl FnOnce(&mut Settings)) {
    let mut settings = running.emulator.settings();
    change(&mut settings);
    running.emulator.set_settings(settings);
}

fn clock(running: &Running, time: &str) {
    running.emulator.set_clock(Some(at(time)), None);
}

async fn keys(client: &Client, prefix: &str) -> Vec<String> {
    let list = client.list_objects_v2().bucket(BUCKET).prefix(prefix);
    let mut pages = list.into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let contents = page.expect("a page").contents.unwrap_or_default();
        keys.extend(contents.into_iter().filter_map(|object| object.key));
    }
    keys
}

/// The events of `BatchMeterUsage` in a file.
async fn events(client: &Client, key: &str) -> Vec<Value> {
    let object = client.get_object().bucket(BUCKET).key(key).send().await;
    let body = object
        .expect("a file")
        .body
        .collect()
        .await
        .expect("all of it");
    let bytes = body.into_bytes();
    let file: Value = serde_json::from_reader(GzDecoder::new(&bytes[..])).expect("gzipped JSON");
    let records = file["Records"].as_array().expect("records").iter();
    records
        .filter(|event| event["eventName"] == "BatchMeterUsage")
        .cloned()
        .collect()
}

async fn all_events(client: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for key in keys(client, FOLDER).await {
        all.extend(events(client, &key).await);
    }
    all
}

#[tokio::test]
async fn a_file_has_the_events_of_five_minutes() {
    let running = running().await;
    let client = client(&running, "any");
    let buyer = running.buys(LICENSED);
    running.meter(&[by_license(&buyer)]).await;
    let day = format!("{FOLDER}2026/11/21/");
    clock(&running, "2026-11-21T12:19:59Z");
    assert_eq!(keys(&client, &day).await, Vec::<String>::new());
    clock(&running, "2026-11-21T12:20:00Z");
    let found = keys(&client, &day).await;
    let [key] = found.as_slice() else {
        panic!("{found:?}")
    };
    let name = "222222222222_CloudTrail_us-east-1_20261121T1220Z_";
    assert!(
        key.starts_with(&format!("{day}{name}")) && key.ends_with(".json.gz"),
        "{key}"
    );
    let recorded = events(&client, key).await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["eventTime"], common::NOON);
    assert_eq!(
        recorded[0]["responseElements"]["results"][0]["status"],
        "Success"
    );
    // The first file is the one of the first midnight within the days that are kept.
    let all = keys(&client, FOLDER).await;
    assert_eq!(all.len(), 2);
    assert!(all[0].contains("20251018T0000Z"), "{all:?}");
    set(&running, |settings| {
        settings.trail_prefix = "logs/metering".to_owned()
    });
    assert_eq!(
        keys(&client, &format!("logs/metering/{day}")).await.len(),
        1
    );
}

#[tokio::test]
async fn a_list_comes_in_pages_and_starts_after_a_key() {
    let running = running().await;
    let client = client(&running, "any");
    for minute in 10..40 {
        clock(&running, &format!("2026-11-21T12:{minute}:00Z"));
        running.meter(&[]).await;
    }
    clock(&running, "2026-11-21T13:00:00Z");
    let whole = keys(&client, FOLDER).await;
    assert_eq!(whole.len(), 7, "{whole:?}");
    set(&running, |settings| settings.trail_page_keys = 2);
    assert_eq!(keys(&client, FOLDER).await, whole);
    let list = || client.list_objects_v2().bucket(BUCKET).prefix(FOLDER);
    let page = list()
        .start_after(&whole[2])
        .max_keys(1)
        .send()
        .await
        .expect("a page");
    assert_eq!(page.contents()[0].key(), Some(whole[3].as_str()));
    assert_eq!(
        (page.is_truncated(), page.key_count()),
        (Some(true), Some(1))
    );
    let refused = list().continuation_token("%").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidArgument"));
}

#[tokio::test]
async fn a_bucket_that_keeps_zero_days_is_empty_and_one_that_keeps_a_day_has_its_midnight() {
    let running = running().await;
    let client = client(&running, "any");
    let mut midnights = Vec::new();
    for time in ["2026-11-21T12:30:00Z", "2026-11-22T00:00:00Z"] {
        clock(&running, time);
        set(&running, |settings| settings.trail_kept_days = 0);
        assert_eq!(keys(&client, FOLDER).await, [""; 0], "{time}");
        set(&running, |settings| settings.trail_kept_days = 1);
        let kept = keys(&client, FOLDER).await;
        assert_eq!(kept.len(), 1, "{time}: {kept:?}");
        midnights.extend(kept);
    }
    assert!(midnights[0].contains("_20261121T0000Z_"), "{midnights:?}");
    assert!(midnights[1].contains("_20261122T0000Z_"), "{midnights:?}");
}

#[tokio::test]
async fn by_settings_events_come_late_without_order_twice_or_never() {
    let running = running().await;
    let client = client(&running, "any");
    for _ in 0..40 {
        running.meter(&[]).await;
    }
    set(&running, |settings| {
        settings.cloudtrail_spread_s = 8 * 3_600
    });
    clock(&running, "2026-11-21T16:15:00Z");
    let some = all_events(&client).await.len();
    assert!(
        (8..32).contains(&some),
        "{some} of 40 after half of the time"
    );
    clock(&running, "2026-11-21T20:30:00Z");
    assert_eq!(all_events(&client).await.len(), 40);
    set(&running, |settings| settings.cloudtrail_repeat_percent = 20);
    let repeated = all_events(&client).await.len();
    assert!((41..=60).contains(&repeated), "{repeated} of 40");
    set(&running, |settings| {
        settings.cloudtrail_repeat_percent = 0;
        settings.cloudtrail_lost_per_mille = 500;
    });
    let left = all_events(&client).await.len();
    assert!((8..32).contains(&left), "{left} of 40");
}

#[tokio::test]
async fn missing_objects_and_failed_requests_are_refused_as_by_s3() {
    let running = running().await;
    let client = client(&running, "any");
    let get = |bucket: &str, key: &str| client.get_object().bucket(bucket).key(key).send();
    let code = |key: &'static str, bucket: &'static str| async {
        let refused = get(bucket, key).await.unwrap_err();
        refused.code().map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(code("nothing", BUCKET).await, "NoSuchKey");
    assert_eq!(code("nothing", "another-bucket").await, "NoSuchBucket");
    for (kind, expected) in [
        (FaultKind::AccessDenied, "AccessDenied"),
        (FaultKind::Throttling, "SlowDown"),
        (FaultKind::InternalError, "InternalError"),
    ] {
        running.emulator.set_faults(Faults {
            seed: 0,
            faults: vec![Fault::next("GetObject", kind, 1)],
        });
        assert_eq!(code("nothing", BUCKET).await, expected);
    }
    let put = client.put_object().bucket(BUCKET).key("mine").send().await;
    assert_eq!(put.unwrap_err().code(), Some("NotImplemented"));
}

#[tokio::test]
async fn signatures_are_verified_if_a_secret_is_set() {
    let running = running().await;
    set(&running, |settings| {
        settings.secret_access_key = Some("the secret".to_owned())
    });
    let first = keys(&client(&running, "the secret"), FOLDER).await;
    assert_eq!(first.len(), 1);
    assert_eq!(
        events(&client(&running, "the secret"), &first[0]).await,
        Vec::<Value>::new()
    );
    let list = client(&running, "another")
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await;
    assert_eq!(list.unwrap_err().code(), Some("SignatureDoesNotMatch"));
}
