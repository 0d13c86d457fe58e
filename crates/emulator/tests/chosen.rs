//! A purchase whose identifiers are chosen by the caller of the control interface.

mod common;

use common::{LEGACY, LICENSED, running, with};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:license-manager::294406891311:license:l-0123";

#[tokio::test]
async fn the_identifiers_of_a_purchase_can_be_chosen() {
    let running = running().await;
    let bought = json!({
        "product_code": LEGACY,
        "account_id": "111122223333",
        "agreement_id": "agmt-MINE",
        "license_arn": ARN,
        "customer_identifier": "CUSTMINE",
    });
    let agreement = running.control("POST", "agreements", &bought).await.json();
    assert_eq!(
        (
            &agreement["agreement_id"],
            &agreement["license_arn"],
            &agreement["customer_identifier"]
        ),
        (&json!("agmt-MINE"), &json!(ARN), &json!("CUSTMINE"))
    );
    let path = "agreements/agmt-MINE/registration-token";
    let token = json!({"token": "my-token"});
    for _ in 0..2 {
        let answer = running.control("POST", path, &token).await;
        assert_eq!(
            (answer.status, &answer.json()["registration_token"]),
            (200, &json!("my-token"))
        );
    }
    let target = "AWSMPMeteringService.ResolveCustomer";
    let resolved = running
        .try_aws(target, br#"{"RegistrationToken":"my-token"}"#)
        .await
        .expect("an answer")
        .json();
    assert_eq!(resolved["CustomerIdentifier"], "CUSTMINE");
    let listed = running
        .control("GET", "products", &Value::Null)
        .await
        .json();
    assert_eq!(listed[0]["code"], LICENSED);
}

#[tokio::test]
async fn an_identifier_that_cannot_be_chosen_is_named_and_nothing_is_bought() {
    let running = running().await;
    let good = json!({
        "product_code": LEGACY,
        "account_id": "111122223333",
        "agreement_id": "agmt-MINE",
        "license_arn": ARN,
        "customer_identifier": "CUSTMINE",
    });
    let bought = running.control("POST", "agreements", &good).await;
    assert_eq!(bought.status, 201);
    let other = |member: &str, value: &str| {
        let new = json!({"product_code": LEGACY, "account_id": "444455556666"});
        with(&new, member, value)
    };
    let long = "x".repeat(65);
    for (purchase, complaint) in [
        (other("agreement_id", "agmt-MINE"), "`agmt-MINE` is taken"),
        (other("agreement_id", "a b"), "visible"),
        (other("agreement_id", &long), "1 to 64"),
        (other("license_arn", ARN), "is taken"),
        (other("license_arn", "l-1"), "an ARN"),
        (other("customer_identifier", "CUSTMINE"), "is taken"),
        (
            with(&good, "customer_identifier", "CUSTOTHER"),
            "agmt-MINE` is taken",
        ),
        (
            json!({"product_code": LEGACY, "account_id": "111122223333", "customer_identifier": "CUSTOTHER"}),
            "`CUSTMINE` for this product",
        ),
        (
            json!({"product_code": LICENSED, "customer_identifier": "CUSTMINE"}),
            "identity is `license`",
        ),
    ] {
        let answer = running.control("POST", "agreements", &purchase).await;
        let error = answer.json()["error"].to_string();
        assert_eq!(answer.status, 400, "{error}");
        assert!(error.contains(complaint), "{error}");
    }
    assert_eq!(running.emulator.take_lifecycle().len(), {
        // A refused purchase sends no messages.
        let alone = common::running().await;
        alone.control("POST", "agreements", &good).await;
        alone.emulator.take_lifecycle().len()
    });
    let empty = running
        .control(
            "POST",
            "agreements/agmt-MINE/registration-token",
            &json!({"token": ""}),
        )
        .await;
    assert_eq!(empty.status, 400);
}
