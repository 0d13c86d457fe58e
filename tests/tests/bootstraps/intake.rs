//! Usage events over HTTP. Each event is accepted or rejected on its own.

use end_to_end::world::World;
use serde_json::{Value, json};

use crate::{ACCOUNT, feed, has};

#[tokio::test]
async fn intake_stores_events_and_repeats_no_row() {
    let world = World::start().await;
    let function = world.function("Intake").await;
    for (status, stored, repeated) in [("stored", 5, 0), ("repeated", 0, 5)] {
        let answer = function.answer("intake-usage").await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        has(
            &body,
            json!({"stored": stored, "repeated": repeated, "rejected": 0}),
        );
        assert!(
            body["results"]
                .as_array()
                .unwrap()
                .iter()
                .all(|result| result["status"] == status)
        );
    }
    let row = world
        .item(
            "UsageEvents",
            &format!("{ACCOUNT}@2026-11-21T04"),
            "gb#usage-0005",
        )
        .await;
    has(
        &row,
        json!({"quantity": "7.25", "time": "2026-11-21T04:30:00Z", "tags": {"team": "sales", "region": "eu"}}),
    );
}

#[tokio::test]
async fn intake_rejects_each_bad_event_by_itself() {
    let fed = feed("Intake", "intake-rejected").await;
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    let body: Value = serde_json::from_str(fed.page()).unwrap();
    has(&body, json!({"stored": 1, "repeated": 1, "rejected": 13}));
    for result in body["results"].as_array().unwrap() {
        let id = result["id"].as_str().unwrap();
        if id.starts_with("bad-") || id.starts_with("carry:") {
            assert_eq!(result["status"], "rejected", "{result}");
            assert!(
                result["code"].is_string() && result["message"].is_string(),
                "{result}"
            );
        }
    }
    assert_eq!(fed.written.len(), 1, "{:?}", fed.written);
    has(
        &fed.written[0].1,
        json!({"dimension_event": "gb#good-0001", "quantity": "2.5"}),
    );
}
