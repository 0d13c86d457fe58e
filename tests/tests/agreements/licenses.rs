//! Several licenses of one agreement have their own lifecycles.

use ledger::lifecycle::Known;
use ledger::lifecycle_key::LifecycleKey;
use marketplace::Subscription;
use marketplace::lifecycle::{Sign, Status};

use crate::buyers::{Buyers, at};
use crate::{LICENSE, ORDERS, OTHER_LICENSE, ended_event, license_event, of_other_license};

/// One agreement grants two licenses, of the same product or of two products. Each license is a
/// subscription of its own.
#[tokio::test]
async fn the_removal_of_one_license_does_not_end_another_of_its_agreement() {
    let account = "111122223333";
    // A product that is not configured is metered by license.
    for other_product in ["examplecode1", "examplecode9"] {
        let event = |kind, product, time| license_event(kind, product, "agmt-BOTH", account, time);
        let bought = "2026-11-01T00:00:00Z";
        let removed = event("Deprovisioned", other_product, "2026-11-02T00:00:00Z");
        let events = [
            event("Updated", "examplecode1", bought),
            of_other_license(event("Updated", other_product, bought)),
            of_other_license(removed),
        ];
        for order in ORDERS {
            let buyers = Buyers::new().await;
            for step in order {
                buyers.deliver(events[step].clone()).await;
            }
            let licenses = [LICENSE, OTHER_LICENSE].map(|arn| arn.parse().unwrap());
            let stays = buyers.profile(&licenses[0]).await.unwrap();
            let ends = buyers.profile(&licenses[1]).await.unwrap();
            assert_eq!(
                (stays.status(), ends.status()),
                (Status::Active, Status::Ending),
                "{other_product} {order:?}"
            );
            assert_eq!(stays.product.as_str(), "examplecode1");
            assert_eq!(ends.product.as_str(), other_product);

            // The end of the agreement ends both.
            let ended = ended_event("agmt-BOTH", "2026-11-03T00:00:00Z");
            buyers.deliver(ended).await;
            let stays = buyers.profile(&licenses[0]).await.unwrap();
            assert_eq!(
                (stays.status(), stays.lifecycle.first_end()),
                (Status::Ending, Some(at("2026-11-03T00:00:00Z")))
            );
        }
    }
}

#[tokio::test]
async fn an_account_with_two_licenses_of_one_agreement_ends_with_the_last_of_them() {
    let subscription: Subscription = "account|examplecode3|111122223333".parse().unwrap();
    let event = |kind, time| license_event(kind, "examplecode3", "agmt-BOTH", "111122223333", time);
    let events = [
        event("Updated", "2026-11-01T00:00:00Z"),
        of_other_license(event("Updated", "2026-11-01T00:00:00Z")),
        of_other_license(event("Deprovisioned", "2026-11-02T00:00:00Z")),
    ];
    for order in ORDERS {
        let buyers = Buyers::new().await;
        buyers.configure_products().await;
        for step in order {
            buyers.deliver(events[step].clone()).await;
        }
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{order:?}");
        buyers
            .deliver(event("Deprovisioned", "2026-11-05T00:00:00Z"))
            .await;
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(
            (profile.status(), profile.lifecycle.first_end()),
            (Status::Ending, Some(at("2026-11-05T00:00:00Z")))
        );
    }
}

#[tokio::test]
async fn a_legacy_customer_with_two_licenses_of_one_agreement_ends_with_the_last_of_them() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    // The number of events that come before the buyer's post.
    for before in 0..=3 {
        let bought = buyers.subscribe("examplecode2");
        buyers.emulator.take_lifecycle();
        let event = |kind, time| {
            let (agreement, account) = (&bought.agreement_id, &bought.account_id);
            license_event(kind, "examplecode2", agreement, account, time)
        };
        let events = [
            of_other_license(event("Deprovisioned", "2026-11-20T14:30:00Z")),
            event("Updated", "2026-11-20T14:24:23Z"),
            of_other_license(event("Updated", "2026-11-20T14:24:23Z")),
        ];
        let (early, late) = events.split_at(before);
        for event in early {
            buyers.deliver(event.clone()).await;
        }
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 303);
        for event in late {
            buyers.deliver(event.clone()).await;
        }
        let subscription = buyers.subscription("examplecode2", &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{before}");
        buyers
            .deliver(event("Deprovisioned", "2026-11-20T14:40:00Z"))
            .await;
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(
            (profile.status(), profile.lifecycle.first_end()),
            (Status::Ending, Some(at("2026-11-20T14:40:00Z")))
        );
    }
}

/// Earlier versions stored the signs of license events under the agreement.
#[tokio::test]
async fn a_sign_that_an_earlier_version_stored_under_the_agreement_counts() {
    let buyers = Buyers::new().await;
    let agreement = LifecycleKey::Agreement("agmt-EXAMPLE1".parse().unwrap());
    let activation = at("2026-11-01T00:00:00Z");
    buyers
        .ledger
        .observe_at(&agreement, Sign::Activated, activation)
        .await
        .unwrap();
    let subscription: Subscription = LICENSE.parse().unwrap();
    let product = "examplecode1".parse().unwrap();
    let known = Known::default();
    let joined = buyers
        .ledger
        .join(&subscription, &product, &[agreement], &known, activation)
        .await
        .unwrap();
    assert_eq!(joined.status(), Status::Active);
    buyers
        .deliver(license_event(
            "Deprovisioned",
            "examplecode1",
            "agmt-EXAMPLE1",
            "111122223333",
            "2026-11-20T00:00:00Z",
        ))
        .await;
    let life = buyers.profile(&subscription).await.unwrap().lifecycle;
    assert_eq!(life.status(), Status::Ending);
    assert_eq!(life.activated_at(), Some(activation));
    assert_eq!(life.first_end(), Some(at("2026-11-20T00:00:00Z")));
}
