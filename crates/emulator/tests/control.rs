//! The control interface over HTTP, and the lifecycle messages of purchases.

mod common;

use common::{LEGACY, LICENSED, Running, at, by_license, running, with};
use emulator::{LifecycleMessage, NewAgreement};
use serde_json::{Value, json};

async fn resolve(running: &Running, token: &str) -> common::Answer {
    let body = json!({"RegistrationToken": token}).to_string();
    let target = "AWSMPMeteringService.ResolveCustomer";
    running
        .try_aws(target, body.as_bytes())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_world_is_set_up_used_and_read_over_http() {
    let running = running().await;
    let product = json!({"code": "p1", "dimensions": ["users"], "identity": "license"});
    assert_eq!(
        running.control("POST", "products", &product).await.status,
        201
    );
    let bought = json!({"product_code": "p1", "account_id": "111122223333"});
    let answer = running.control("POST", "agreements", &bought).await;
    assert_eq!(answer.status, 201);
    let agreement = answer.json();
    let mut members: Vec<&String> = agreement.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "account_id",
            "agreement_id",
            "customer_identifier",
            "license_arn",
            "registration_token"
        ]
    );
    assert_eq!(agreement["account_id"], "111122223333");
    assert_eq!(agreement["customer_identifier"], "");
    let record = json!({
        "Timestamp": common::epoch(common::NOON),
        "Dimension": "users",
        "LicenseArn": agreement["license_arn"],
        "CustomerAWSAccountId": "111122223333",
        "QuantityAsDecimal": "2.500000",
    });
    assert_eq!(running.meter(&[record]).await.statuses(), ["Success"]);
    let metered = running.control("GET", "metered", &Value::Null).await.json();
    assert_eq!(metered[0]["quantity"], "2.5");
    assert_eq!(metered[0]["hour"], common::NOON);
    assert_eq!(metered[0]["license_arn"], agreement["license_arn"]);
    let calls = running.control("GET", "calls", &Value::Null).await.json();
    assert_eq!(calls[0]["operation"], "BatchMeterUsage");
    assert_eq!(calls[0]["records"][0]["outcome"], "Success");
    assert_eq!(
        running.control("POST", "reset", &Value::Null).await.status,
        204
    );
    assert_eq!(
        running.control("GET", "metered", &Value::Null).await.json(),
        json!([])
    );
}

#[tokio::test]
async fn bad_input_is_answered_with_the_value_and_the_rule() {
    let running = running().await;
    let good = json!({"code": "p", "dimensions": ["d"], "identity": "license"});
    let cases = [
        ("products", with(&good, "code", "a b"), "a b"),
        ("products", with(&good, "code", ""), "product code is 1 to"),
        (
            "products",
            with(&good, "dimensions", json!([])),
            "dimensions",
        ),
        (
            "products",
            with(&good, "dimensions", json!(["d", "d"])),
            "`d`",
        ),
        ("products", with(&good, "identity", "both"), "both"),
        ("products", with(&good, "colour", "red"), "colour"),
        (
            "products",
            json!({"code": LICENSED, "dimensions": ["d"], "identity": "license"}),
            "exists already",
        ),
        ("agreements", json!({"product_code": "nothing"}), "nothing"),
        (
            "agreements",
            json!({"product_code": LICENSED, "account_id": "12"}),
            "12 digits",
        ),
        (
            "agreements",
            json!({"product_code": LICENSED, "start": "soon"}),
            "soon",
        ),
        ("agreements", json!({"product_code": LICENSED, "x": 1}), "x"),
        (
            "agreements",
            json!({"product_code": LICENSED, "entitlements": [{"dimension": "z", "value": 1}]}),
            "`z`",
        ),
        ("agreements", json!([]), "that this path expects"),
    ];
    for (path, body, word) in cases {
        let answer = running.control("POST", path, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json()["error"]
            .as_str()
            .expect("a reason")
            .to_owned();
        assert!(error.contains(word), "{word} is not in {error}");
    }
    for (clock, word) in [
        (json!({"speed": -1.0}), "-1"),
        (json!({"now": "yesterday"}), "yesterday"),
        (json!({"now": common::NOON, "advance": "1h"}), "not both"),
        (json!({"advance": "soon"}), "soon"),
    ] {
        let answer = running.control("PUT", "clock", &clock).await;
        assert_eq!(answer.status, 400, "{clock}");
        let error = answer.json()["error"]
            .as_str()
            .expect("a reason")
            .to_owned();
        assert!(error.contains(word), "{word} is not in {error}");
    }
    for (path, status, word) in [
        ("invoices?mouth=2026-11", 400, "mouth"),
        ("public-keys/first", 404, "public-keys/first"),
    ] {
        let answer = running.control("GET", path, &Value::Null).await;
        assert_eq!(answer.status, status, "{path}");
        let error = answer.json()["error"].to_string();
        assert!(error.contains(word), "{word} is not in {error}");
    }
    let gone = running
        .control("DELETE", "agreements/agmt-none", &Value::Null)
        .await;
    assert_eq!(gone.status, 404);
    assert_eq!(
        running.control("GET", "nowhere", &Value::Null).await.status,
        404
    );
    assert_eq!(
        running.control("GET", "reset", &Value::Null).await.status,
        405
    );
    let same = running.control("POST", "products", &json!({"code": LEGACY, "dimensions": ["requests", "gb", "Requests"], "identity": "customer"})).await;
    assert_eq!(same.status, 201, "the same product again changes nothing");
}

#[tokio::test]
async fn the_clock_is_read_moved_and_frozen_over_http() {
    let running = running().await;
    let clock = running.control("GET", "clock", &Value::Null).await.json();
    assert_eq!(clock, json!({"now": common::NOON, "speed": 0.0}));
    let moved = running
        .control("PUT", "clock", &json!({"advance": "1h 30m"}))
        .await
        .json();
    assert_eq!(moved["now"], "2026-11-21T13:30:00Z");
    let set = json!({"now": "2026-12-01T00:00:00Z", "speed": 0});
    let moved = running.control("PUT", "clock", &set).await.json();
    assert_eq!(moved["now"], "2026-12-01T00:00:00Z");
    assert_eq!(running.emulator.now(), at("2026-12-01T00:00:00Z"));
}

#[tokio::test]
async fn a_token_resolves_repeatedly_until_it_expires_and_a_fresh_one_takes_over() {
    let running = running().await;
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    let first = resolve(&running, &licensed.registration_token).await.json();
    assert_eq!(
        first,
        json!({
            "CustomerIdentifier": "",
            "CustomerAWSAccountId": licensed.account_id,
            "ProductCode": LICENSED,
            "LicenseArn": licensed.license_arn,
            "Metadata": {"AgreementId": licensed.agreement_id},
        })
    );
    assert_eq!(
        resolve(&running, &licensed.registration_token).await.json(),
        first
    );
    let answer = resolve(&running, &legacy.registration_token).await.json();
    assert_eq!(
        answer["CustomerIdentifier"],
        legacy.customer_identifier.as_str()
    );
    assert!(!legacy.customer_identifier.is_empty());
    assert_eq!(
        resolve(&running, "made-up").await.error(),
        "InvalidTokenException"
    );
    assert_eq!(resolve(&running, "").await.error(), "ValidationException");
    running
        .emulator
        .set_clock(Some(at("2026-11-21T16:00:00Z")), None);
    let expired = resolve(&running, &licensed.registration_token).await;
    assert_eq!(expired.error(), "ExpiredTokenException");
    let path = format!("agreements/{}/registration-token", licensed.agreement_id);
    let fresh = running.control("POST", &path, &Value::Null).await.json();
    let fresh = fresh["registration_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(resolve(&running, &fresh).await.json(), first);
}

fn kinds(messages: &[LifecycleMessage]) -> Vec<String> {
    messages
        .iter()
        .map(|message| match message {
            LifecycleMessage::EventBridge(event) => event["detail-type"]
                .as_str()
                .expect("a detail-type")
                .to_owned(),
            LifecycleMessage::Sns { message, .. } => {
                let body: Value = serde_json::from_str(message).expect("JSON");
                body["action"].as_str().expect("an action").to_owned()
            }
        })
        .collect()
}

#[tokio::test]
async fn messages_report_a_purchase_and_its_cancellation_in_order_and_in_time() {
    let running = running().await;
    let buyer = running
        .emulator
        .add_agreement(NewAgreement::of(LICENSED))
        .expect("one");
    let messages = running.emulator.take_lifecycle();
    assert_eq!(
        kinds(&messages),
        [
            "Purchase Agreement Created - Proposer",
            "License Updated - Manufacturer"
        ]
    );
    let LifecycleMessage::EventBridge(created) = &messages[0] else {
        panic!("an event");
    };
    assert_eq!(created["source"], "aws.agreement-marketplace");
    assert_eq!(created["time"], common::NOON);
    assert_eq!(
        created["detail"]["agreement"]["id"],
        buyer.agreement_id.as_str()
    );
    assert_eq!(
        created["detail"]["agreement"]["startTime"],
        "2026-11-21T12:00:00.000Z"
    );
    assert_eq!(created["detail"]["agreement"]["intent"], "NEW");
    assert!(
        created["detail"].get("license").is_none(),
        "agreement events carry no license"
    );
    let LifecycleMessage::EventBridge(updated) = &messages[1] else {
        panic!("an event");
    };
    assert_eq!(
        updated["detail"]["license"]["arn"],
        buyer.license_arn.as_str()
    );
    assert_eq!(updated["detail"]["product"]["code"], LICENSED);
    assert_eq!(
        updated["detail"]["agreement"],
        json!({"id": buyer.agreement_id})
    );

    let path = format!("agreements/{}", buyer.agreement_id);
    assert_eq!(
        running.control("DELETE", &path, &Value::Null).await.status,
        204
    );
    assert_eq!(
        running.control("DELETE", &path, &Value::Null).await.status,
        409
    );
    assert_eq!(
        kinds(&running.emulator.take_lifecycle()),
        ["Purchase Agreement Ended - Proposer"]
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:00:30Z")), None);
    assert_eq!(running.emulator.take_lifecycle(), []);
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:00:31Z")), None);
    assert_eq!(
        kinds(&running.emulator.take_lifecycle()),
        ["License Deprovisioned - Manufacturer"]
    );
}

#[tokio::test]
async fn a_legacy_product_also_sends_messages_to_its_sns_topic() {
    let running = running().await;
    let buyer = running
        .emulator
        .add_agreement(NewAgreement::of(LEGACY))
        .expect("one");
    let messages = running.emulator.take_lifecycle();
    assert_eq!(kinds(&messages)[2..], ["subscribe-success"]);
    let LifecycleMessage::Sns {
        topic_arn, message, ..
    } = &messages[2]
    else {
        panic!("a message");
    };
    assert_eq!(
        topic_arn,
        "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-legacyproduct1"
    );
    let body: Value = serde_json::from_str(message).expect("JSON");
    assert_eq!(
        body["customer-identifier"],
        buyer.customer_identifier.as_str()
    );
    assert_eq!(body["product-code"], LEGACY);
    assert_eq!(body["isFreeTrialTermPresent"], "false");
    running
        .emulator
        .cancel_agreement(&buyer.agreement_id)
        .expect("a cancellation");
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:59:59Z")), None);
    assert_eq!(
        kinds(&running.emulator.take_lifecycle()),
        [
            "Purchase Agreement Ended - Proposer",
            "unsubscribe-pending",
            "License Deprovisioned - Manufacturer"
        ]
    );
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    assert_eq!(
        kinds(&running.emulator.take_lifecycle()),
        ["unsubscribe-success"]
    );
}

#[tokio::test]
async fn no_unsubscribe_success_is_sent_for_a_buyer_who_subscribes_again_within_the_hour() {
    let running = running().await;
    let buyer = running
        .emulator
        .add_agreement(NewAgreement::of(LEGACY))
        .expect("one");
    running
        .emulator
        .cancel_agreement(&buyer.agreement_id)
        .expect("a cancellation");
    let again = NewAgreement::of(LEGACY).by(&buyer.account_id);
    let again = running.emulator.add_agreement(again).expect("another");
    assert_eq!(again.customer_identifier, buyer.customer_identifier);
    running
        .emulator
        .set_clock(Some(at("2026-11-22T12:00:00Z")), None);
    let sent = kinds(&running.emulator.take_lifecycle());
    assert_eq!(sent.iter().filter(|k| *k == "subscribe-success").count(), 2);
    assert_eq!(
        sent.iter().filter(|k| *k == "unsubscribe-success").count(),
        0
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_identifiers_and_messages() {
    let (one, two) = (running().await, running().await);
    for running in [&one, &two] {
        let buyer = running.buys(LICENSED);
        running.meter(&[by_license(&buyer)]).await;
    }
    assert_eq!(one.emulator.metered(), two.emulator.metered());
    assert_eq!(one.emulator.take_lifecycle(), two.emulator.take_lifecycle());
}

#[tokio::test]
async fn messages_report_an_amendment_to_every_role_of_the_seller() {
    let running = running().await;
    let mut settings = running.emulator.settings();
    settings.lifecycle_both_parts = true;
    settings.lifecycle_bare_license_arns = true;
    running.emulator.set_settings(settings);
    let buyer = running.buys(LICENSED);
    running.emulator.take_lifecycle();
    let path = format!("agreements/{}/amend", buyer.agreement_id);
    assert_eq!(
        running.control("POST", &path, &Value::Null).await.status,
        204
    );
    let messages = running.emulator.take_lifecycle();
    assert_eq!(
        kinds(&messages),
        [
            "Purchase Agreement Amended - Proposer",
            "Purchase Agreement Amended - Manufacturer",
            "License Updated - Manufacturer"
        ]
    );
    let LifecycleMessage::EventBridge(amended) = &messages[0] else {
        panic!("an event");
    };
    assert_eq!(amended["detail"]["agreement"]["intent"], "AMEND");
    let LifecycleMessage::EventBridge(updated) = &messages[2] else {
        panic!("an event");
    };
    let arn = updated["detail"]["license"]["arn"]
        .as_str()
        .expect("an ARN");
    assert_eq!(format!("arn:{arn}"), buyer.license_arn);
}

#[tokio::test]
async fn agreements_are_listed_with_their_state() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running
        .emulator
        .cancel_agreement(&buyer.agreement_id)
        .expect("a cancellation");
    let listed = running
        .control("GET", "agreements", &Value::Null)
        .await
        .json();
    assert_eq!(listed[0]["agreement_id"], buyer.agreement_id.as_str());
    assert_eq!(listed[0]["status"], "CANCELLED");
    assert_eq!(
        listed[0]["accepts_usage"], true,
        "usage is accepted in the final hour"
    );
}
