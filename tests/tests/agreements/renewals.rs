//! Agreements end, are renewed, and are bought again.

use marketplace::Subscription;
use marketplace::lifecycle::Status;

use crate::buyers::{Buyers, at, event_of, sample};
use crate::{LICENSE, ORDERS, ended_event, license_event};

#[tokio::test]
async fn a_renewal_outlives_the_end_of_the_agreement_it_renews() {
    let account = "111122223333";
    let old = license_event(
        "Updated",
        "examplecode1",
        "agmt-OLD",
        account,
        "2026-11-01T00:00:00Z",
    );
    let new = license_event(
        "Updated",
        "examplecode1",
        "agmt-NEW",
        account,
        "2026-11-20T00:00:00Z",
    );
    let old_ended = ended_event("agmt-OLD", "2026-11-20T00:05:00Z");
    for order in ORDERS {
        let buyers = Buyers::new().await;
        for step in order {
            buyers.deliver([&old, &new, &old_ended][step].clone()).await;
        }
        let subscription: Subscription = LICENSE.parse().unwrap();
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{order:?}");
        assert_eq!(profile.agreement.unwrap().as_str(), "agmt-NEW");
        assert_eq!(
            profile.lifecycle.activated_at(),
            Some(at("2026-11-01T00:00:00Z"))
        );

        let new_ended = ended_event("agmt-NEW", "2026-11-21T00:00:00Z");
        buyers.deliver(new_ended).await;
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(
            (profile.status(), profile.lifecycle.first_end()),
            (Status::Ending, Some(at("2026-11-21T00:00:00Z")))
        );
    }
}

/// The old agreement's end is never reported. It still looks in force when the license is removed.
#[tokio::test]
async fn an_agreement_whose_end_is_never_reported_does_not_keep_a_subscription_in_force() {
    for (product, subscription) in [
        ("examplecode1", LICENSE),
        ("examplecode3", "account|examplecode3|111122223333"),
    ] {
        let event =
            |kind, agreement, time| license_event(kind, product, agreement, "111122223333", time);
        let events = [
            event("Updated", "agmt-OLD", "2026-11-01T00:00:00Z"),
            event("Updated", "agmt-NEW", "2026-11-20T00:00:00Z"),
            event("Deprovisioned", "agmt-NEW", "2026-11-21T00:00:00Z"),
        ];
        for order in ORDERS {
            let buyers = Buyers::new().await;
            buyers.configure_products().await;
            for step in order {
                buyers.deliver(events[step].clone()).await;
            }
            let profile = buyers.profile(&subscription.parse().unwrap()).await;
            let profile = profile.unwrap();
            assert_eq!(profile.status(), Status::Ending, "{product} {order:?}");
            assert_eq!(profile.agreement.unwrap().as_str(), "agmt-NEW");
        }
    }
}

#[tokio::test]
async fn a_renewal_finds_the_legacy_customer_by_the_account() {
    for renewal_first in [false, true] {
        let buyers = Buyers::new().await;
        buyers.configure_products().await;
        let bought = buyers.subscribe("examplecode2");
        let first = buyers.emulator.take_lifecycle();
        let renewal = license_event(
            "Updated",
            "examplecode2",
            "agmt-RENEWED",
            &bought.account_id,
            "2026-11-20T15:00:00Z",
        );
        if renewal_first {
            buyers.deliver(renewal.clone()).await;
        }
        buyers.register(&bought.registration_token).await;
        for event in first {
            buyers.deliver(event_of(event)).await;
        }
        if !renewal_first {
            buyers.deliver(renewal).await;
        }
        buyers
            .deliver(ended_event(&bought.agreement_id, "2026-11-20T15:01:00Z"))
            .await;
        let subscription = buyers.subscription("examplecode2", &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{renewal_first}");
        assert_eq!(profile.agreement.unwrap().as_str(), "agmt-RENEWED");
        buyers
            .deliver(ended_event("agmt-RENEWED", "2026-11-20T16:00:00Z"))
            .await;
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Ending);
    }
}

#[tokio::test]
async fn a_new_purchase_after_the_end_is_active_again() {
    let buyers = Buyers::new().await;
    let subscription: Subscription = LICENSE.parse().unwrap();
    let event = |kind, agreement, time| {
        license_event(kind, "examplecode1", agreement, "111122223333", time)
    };
    buyers
        .deliver(event("Updated", "agmt-1", "2026-11-01T00:00:00Z"))
        .await;
    buyers
        .deliver(event("Deprovisioned", "agmt-1", "2026-11-02T00:00:00Z"))
        .await;
    // The reconciler has ended the subscription and cleared its attention.
    let ending = buyers.profile(&subscription).await.unwrap();
    let mut closed = ending.clone();
    closed.lifecycle.closed_at = Some(at("2026-11-03T00:00:00Z"));
    closed.attention_since = None;
    closed.sealed_through = Some("2026-11-02T00".parse().unwrap());
    buyers
        .ledger
        .change_profile(&ending, &closed)
        .await
        .unwrap();
    // The first event of the new purchase that arrives is its end.
    buyers
        .deliver(event("Deprovisioned", "agmt-2", "2026-11-12T00:00:00Z"))
        .await;
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(profile.status(), Status::Ending);
    assert!(profile.attention_since.is_some());
    buyers
        .deliver(event("Updated", "agmt-2", "2026-11-10T00:00:00Z"))
        .await;
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(profile.status(), Status::Ending);
    assert_eq!(
        profile.lifecycle.first_end(),
        Some(at("2026-11-12T00:00:00Z"))
    );
    assert_eq!(profile.sealed_through, None);
}

#[tokio::test]
async fn unsubscribing_leaves_a_final_hour_from_the_time_of_the_message() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let subscription = "legacy|examplecode2|CUSTEXAMPLE2".parse().unwrap();
    for name in [
        "agreements-sns-unsubscribe-success",
        "agreements-sns-subscribe-success-raw",
        "agreements-sns-unsubscribe-pending",
    ] {
        buyers.deliver(sample(name)).await;
    }
    let life = buyers.profile(&subscription).await.unwrap().lifecycle;
    assert_eq!(life.first_end(), Some(at("2026-11-21T03:10:00Z")));
    assert_eq!(life.deprovisioned_at(), Some(at("2026-11-21T04:10:00Z")));
    // With raw delivery the message has no time from SNS, so the queue's own time is used.
    assert_eq!(life.activated_at(), Some(at("2026-11-20T14:24:23.12Z")));
}
