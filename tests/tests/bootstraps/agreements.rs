//! The lifecycle of agreements becomes a subscription's status.

use end_to_end::world::World;
use serde_json::json;

use crate::{ACCOUNT, LEGACY, LICENSE, feed, feed_in, has};

#[tokio::test]
async fn agreements_begin_a_subscription() {
    // The buyer has not registered yet, so the profile is made from the event alone.
    for (name, subscription, product) in [
        ("agreements-license-updated", LICENSE, "examplecode1"),
        (
            "agreements-license-updated-short-arn",
            LICENSE,
            "examplecode1",
        ),
        (
            "agreements-license-updated-account",
            ACCOUNT,
            "examplecode3",
        ),
    ] {
        let world = World::start().await;
        world.forget("Subscriptions", subscription, "profile").await;
        let fed = feed_in(world, "Agreements", name).await;
        assert_eq!(fed.answer, json!({"batchItemFailures": []}), "{name}");
        has(
            &fed.profile(subscription).await,
            json!({
                "product_code": product, "status": "active", "attention": "yes", "account_id": "111122223333",
                "activated_at": "2026-11-20T14:24:23Z",
            }),
        );
    }
}

#[tokio::test]
async fn agreements_begin_a_legacy_subscription_that_is_registered() {
    for (name, at) in [
        ("agreements-sns-subscribe-success", "2026-11-20T14:24:23Z"),
        // Raw delivery loses the time from SNS, so the queue's time is used.
        (
            "agreements-sns-subscribe-success-raw",
            "2026-11-20T14:24:23.12Z",
        ),
    ] {
        let fed = feed("Agreements", name).await;
        assert_eq!(fed.answer, json!({"batchItemFailures": []}), "{name}");
        let facts = fed
            .world
            .item(
                "Subscriptions",
                "customer|examplecode2|CUSTEXAMPLE2",
                "facts",
            )
            .await;
        has(&facts, json!({"activated_at": at}));
        has(
            &fed.profile(LEGACY).await,
            json!({"status": "active", "activated_at": "2026-11-20T14:24:23Z"}),
        );
    }
    // A license event names no customer. It is kept with the agreement until a registration links
    // the agreement to a subscription.
    let fed = feed("Agreements", "agreements-license-updated-customer").await;
    has(&fed.profile(LEGACY).await, json!({"status": "active"}));
    assert_eq!(
        fed.written("Subscriptions", "joint#agreement|agmt-EXAMPLE2")
            .len(),
        1
    );
}

#[tokio::test]
async fn agreements_end_a_subscription() {
    for (name, subscription, member, at) in [
        (
            "agreements-ended",
            LICENSE,
            "end_announced_at",
            "2026-11-21T04:31:57Z",
        ),
        (
            "agreements-license-deprovisioned",
            LICENSE,
            "deprovisioned_at",
            "2026-11-21T04:32:28Z",
        ),
        (
            "agreements-sns-unsubscribe-pending",
            LEGACY,
            "end_announced_at",
            "2026-11-21T03:10:00Z",
        ),
        (
            "agreements-sns-unsubscribe-success",
            LEGACY,
            "deprovisioned_at",
            "2026-11-21T04:10:00Z",
        ),
        (
            "agreements-sns-subscribe-fail",
            LEGACY,
            "deprovisioned_at",
            "2026-11-21T04:20:00Z",
        ),
    ] {
        let fed = feed("Agreements", name).await;
        assert_eq!(fed.answer, json!({"batchItemFailures": []}), "{name}");
        let profile = fed.profile(subscription).await;
        has(
            &profile,
            json!({"status": "ending", "attention": "yes", "attention_since": "2026-11-21T04:40:00Z"}),
        );
        assert_eq!(profile[member], at, "{name}");
    }
}

#[tokio::test]
async fn agreements_keep_every_event_once() {
    for (name, about) in [
        ("agreements-created", "agreement|agmt-EXAMPLE1"),
        ("agreements-amended", "agreement|agmt-EXAMPLE1"),
        (
            "agreements-sns-entitlement-updated",
            "customer|examplecode2|CUSTEXAMPLE2",
        ),
    ] {
        let world = World::start().await;
        let function = world.function("Agreements").await;
        let before = world.tables().await["Subscriptions"].len();
        for _ in 0..2 {
            assert_eq!(
                function.answer(name).await,
                json!({"batchItemFailures": []}),
                "{name}"
            );
        }
        let after = world.tables().await;
        let events = after["Subscriptions"].iter().filter(|item| {
            item["subscription"] == about
                && item["item"]
                    .as_str()
                    .is_some_and(|key| key.starts_with("event#"))
        });
        assert_eq!(events.count(), 1, "{name}");
        assert_eq!(after["Subscriptions"].len(), before + 1, "{name}");
    }
}

#[tokio::test]
async fn agreements_keep_messages_that_they_cannot_read() {
    let fed = feed("Agreements", "agreements-malformed").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    let [kept] = fed.written("Subscriptions", "event#")[..] else {
        panic!("{:?}", fed.written)
    };
    has(
        kept,
        json!({"subscription": "unattributed", "kind": "malformed"}),
    );
    assert!(
        kept["body"]
            .as_str()
            .unwrap()
            .contains("/detail/product/code is missing")
    );

    // One of the three messages is unreadable, and the two others count.
    let fed = feed("Agreements", "agreements-sns-batch").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    has(&fed.profile(LEGACY).await, json!({"status": "ending"}));
    assert_eq!(fed.written("Subscriptions", "event#").len(), 3);

    let fed = feed("Agreements", "agreements-unknown-detail-type").await;
    assert_eq!(fed.answer, json!({"batchItemFailures": []}));
    assert!(fed.written.is_empty());
}
