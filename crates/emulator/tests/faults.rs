//! Each kind of fault changes the answers of the AWS APIs as it should.

mod common;

use std::time::Duration;

use common::{LICENSED, by_license, running, with};
use emulator::{Fault, FaultKind, Faults};
use serde_json::{Value, json};

const BATCH: &str = "BatchMeterUsage";
const TARGET: &str = "AWSMPMeteringService.BatchMeterUsage";

fn once(kind: FaultKind) -> Faults {
    Faults {
        seed: 1,
        faults: vec![Fault::next(BATCH, kind, 1).records(2)],
    }
}

#[tokio::test]
async fn a_fault_with_an_error_does_no_work_and_ends() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    for (kind, status, code) in [
        (FaultKind::Throttling, 400, "ThrottlingException"),
        (
            FaultKind::InternalError,
            500,
            "InternalServiceErrorException",
        ),
        (FaultKind::DisabledApi, 400, "DisabledApiException"),
        (FaultKind::AccessDenied, 400, "AccessDeniedException"),
        (FaultKind::ClockSkew, 400, "InvalidSignatureException"),
        (FaultKind::ExpiredCredentials, 400, "ExpiredTokenException"),
        (FaultKind::UnknownError, 503, "ServiceUnavailableException"),
    ] {
        running.emulator.set_faults(once(kind));
        let answer = running.meter(&[by_license(&buyer)]).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, code));
        assert_eq!(running.emulator.metered(), []);
    }
    assert_eq!(
        running.meter(&[by_license(&buyer)]).await.statuses(),
        ["Success"]
    );
    let calls = running.emulator.calls();
    assert_eq!(
        calls[0].error.as_ref().map(|e| e.code.as_str()),
        Some("ThrottlingException")
    );
    assert_eq!(calls[0].records[0].outcome, "NotProcessed");
}

#[tokio::test]
async fn a_connection_dropped_after_the_work_and_an_identical_retry_bill_once() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let body = json!({"UsageRecords": [by_license(&buyer)]}).to_string();
    running.emulator.set_faults(once(FaultKind::DropBefore));
    assert!(running.try_aws(TARGET, body.as_bytes()).await.is_none());
    assert_eq!(running.emulator.metered().len(), 0);
    running.emulator.set_faults(once(FaultKind::DropAfter));
    assert!(running.try_aws(TARGET, body.as_bytes()).await.is_none());
    assert_eq!(running.emulator.metered().len(), 1);
    let retry = running
        .try_aws(TARGET, body.as_bytes())
        .await
        .expect("an answer");
    assert_eq!(retry.statuses(), ["Success"]);
    assert_eq!(running.emulator.metered().len(), 1);
    let answered: Vec<bool> = running
        .emulator
        .calls()
        .iter()
        .map(|c| c.answered)
        .collect();
    assert_eq!(answered, [false, false, true]);
}

fn five(buyer: &emulator::Agreement) -> Vec<Value> {
    (7..12)
        .map(|hour| {
            let stamp = common::epoch(&format!("2026-11-21T{hour:02}:00:00Z"));
            with(&by_license(buyer), "Timestamp", stamp)
        })
        .collect()
}

fn stamps(list: &Value, pointer: &str) -> Vec<i64> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| {
            item.pointer(pointer)
                .and_then(Value::as_i64)
                .expect("a stamp")
        })
        .collect()
}

#[tokio::test]
async fn unprocessed_records_come_back_and_are_not_billed_until_sent_again() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running.emulator.set_faults(once(FaultKind::Unprocessed));
    let answer = running.meter(&five(&buyer)).await.json();
    let unprocessed = answer["UnprocessedRecords"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(unprocessed.len(), 2);
    assert_eq!(answer["Results"].as_array().map(Vec::len), Some(3));
    assert_eq!(running.emulator.metered().len(), 3);
    let again = running.meter(&unprocessed).await;
    assert_eq!(again.statuses(), ["Success", "Success"]);
    assert_eq!(running.emulator.metered().len(), 5);
}

#[tokio::test]
async fn results_can_come_in_another_order_incomplete_or_without_a_known_status() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let records = five(&buyer);
    let sent = stamps(&Value::from(records.clone()), "/Timestamp");

    running.emulator.set_faults(once(FaultKind::Reorder));
    let answer = running.meter(&records).await.json();
    let mut came = stamps(&answer["Results"], "/UsageRecord/Timestamp");
    assert_ne!(came, sent);
    came.sort_unstable();
    assert_eq!(came, sent);

    running.emulator.set_faults(once(FaultKind::MissingRecord));
    let answer = running.meter(&records).await.json();
    assert_eq!(answer["Results"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["UnprocessedRecords"], json!([]));

    running.emulator.set_faults(once(FaultKind::MissingStatus));
    let statuses = running.meter(&records).await.statuses();
    assert_eq!(statuses.iter().filter(|s| *s == "-").count(), 2);

    running.emulator.set_faults(once(FaultKind::UnknownStatus));
    let statuses = running.meter(&records).await.statuses();
    assert_eq!(statuses.iter().filter(|s| *s == "PendingReview").count(), 2);
    assert_eq!(running.emulator.metered().len(), 5);
}

#[tokio::test]
async fn a_delay_delays_the_answer_but_not_the_work() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    let fault = Fault {
        delay_ms: 600_000,
        ..Fault::next(BATCH, FaultKind::Delay, 1)
    };
    running.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![fault],
    });
    let records = [by_license(&buyer)];
    let call = running.meter(&records);
    let waited = tokio::time::timeout(Duration::from_millis(200), call).await;
    assert!(waited.is_err(), "the answer waits ten minutes");
    assert_eq!(running.emulator.metered().len(), 1);
}

#[tokio::test]
async fn faults_are_set_over_http_and_refused_with_the_reason() {
    let running = running().await;
    let put = json!({"seed": 3, "faults": [
        {"operation": BATCH, "kind": "throttling", "next": 2},
        {"kind": "drop-after", "rate": 0.0},
    ]});
    let answer = running.control("PUT", "faults", &put).await;
    assert_eq!(answer.status, 200);
    assert_eq!(running.emulator.faults().faults.len(), 2);
    running.meter(&[]).await;
    let left = running.control("GET", "faults", &Value::Null).await.json();
    assert_eq!(left["faults"][0]["next"], 1);
    for (bad, word) in [
        (
            json!({"faults": [{"kind": "throttling"}]}),
            "exactly one of `rate`",
        ),
        (
            json!({"faults": [{"kind": "thunder", "next": 1}]}),
            "thunder",
        ),
        (
            json!({"faults": [{"kind": "throttling", "next": 1, "operation": "Nothing"}]}),
            "Nothing",
        ),
        (
            json!({"faults": [{"kind": "throttling", "rate": 2.0}]}),
            "2 is not between",
        ),
        (json!({"fault": []}), "fault"),
    ] {
        let answer = running.control("PUT", "faults", &bad).await;
        assert_eq!(answer.status, 400);
        let error = answer.json()["error"]
            .as_str()
            .expect("a reason")
            .to_owned();
        assert!(error.contains(word), "{word} is not in {error}");
    }
    assert_eq!(
        running.emulator.faults().faults.len(),
        2,
        "bad input changes nothing"
    );
}

#[tokio::test]
async fn a_bad_gateway_is_not_an_aws_error() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running.emulator.set_faults(once(FaultKind::BadGateway));
    let answer = running.meter(&[by_license(&buyer)]).await;
    assert_eq!(answer.status, 502);
    assert!(!answer.headers.contains_key("x-amzn-errortype"));
    assert_eq!(running.emulator.metered(), []);
}
