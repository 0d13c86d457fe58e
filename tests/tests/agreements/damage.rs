//! Damaged and missing items do not keep other subscriptions from being updated.

use jiff::Timestamp;
use ledger::lifecycle_key::LifecycleKey;
use marketplace::Subscription;
use marketplace::lifecycle::Status;
use runtime::BatchResponse;
use serde_json::{Value, json};

use crate::buyers::{Buyers, at, budget, sample};
use crate::{LICENSE, OTHER_LICENSE, ended_event, license_event, of_other_license};

#[tokio::test]
async fn a_link_without_a_profile_is_ignored_and_completed_later() {
    // A registration died after it had written its link.
    let buyers = Buyers::new().await;
    let subscription: Subscription = LICENSE.parse().unwrap();
    let lifecycle_key = LifecycleKey::Agreement("agmt-EXAMPLE1".parse().unwrap());
    buyers
        .ledger
        .store_lifecycle_key(LICENSE, &lifecycle_key)
        .await
        .unwrap();
    buyers
        .ledger
        .link(&lifecycle_key, &subscription)
        .await
        .unwrap();
    buyers.deliver(sample("agreements-ended")).await;
    assert_eq!(buyers.profile(&subscription).await, None);
    buyers.deliver(sample("agreements-license-updated")).await;
    let profile = buyers.profile(&subscription).await.unwrap();
    let ended: Timestamp = at("2026-11-21T04:31:57Z");
    assert_eq!(profile.lifecycle.first_end(), Some(ended));
    assert!(profile.attention_since.is_some());
}

/// One agreement grants two licenses. The agreement's end concerns both, and an item of the first
/// one is damaged.
#[tokio::test]
async fn a_damaged_item_keeps_no_other_subscription_of_its_agreement_from_being_updated() {
    let agreement = "agreement|agmt-BOTH";
    for (partition, sort) in [(agreement, "link#nobody"), (LICENSE, "profile")] {
        let buyers = Buyers::new().await;
        let bought = license_event(
            "Updated",
            "examplecode1",
            "agmt-BOTH",
            "111122223333",
            "2026-11-01T00:00:00Z",
        );
        buyers.deliver(bought.clone()).await;
        buyers.deliver(of_other_license(bought)).await;
        buyers
            .put(&[("subscription", partition), ("item", sort)])
            .await;
        let ended = ended_event("agmt-BOTH", "2026-11-03T00:00:00Z");
        let app = &buyers.agreements;
        let error = agreements::handle(app, ended.clone(), budget())
            .await
            .unwrap_err();
        let damaged = format!("{partition} / {sort}");
        assert!(error.to_string().contains(&damaged), "{error}");
        assert_eq!(buyers.ledger.damaged(), [damaged]);
        let mut whole = vec![OTHER_LICENSE];
        if sort != "profile" {
            whole.push(LICENSE);
        }
        for license in whole {
            let profile = buyers.profile(&license.parse().unwrap()).await.unwrap();
            assert_eq!(profile.status(), Status::Ending, "{license} {sort}");
        }

        // The message comes again until the item is corrected. The rest of its batch does not.
        let record = |id: &str, event: &Value| json!({"messageId": id, "body": event.to_string()});
        let created = sample("agreements-created");
        let batch = json!({"Records": [record("ended", &ended), record("created", &created)]});
        let again = BatchResponse::failed(["ended".to_owned()]);
        assert_eq!(buyers.deliver(batch.clone()).await, again);
        buyers.forget(partition, sort).await;
        assert_eq!(buyers.deliver(batch).await, BatchResponse::done());
    }
}

/// A license event of a legacy listing finds its subscriptions by the agreement and by the account.
#[tokio::test]
async fn a_damaged_link_does_not_keep_a_legacy_subscription_from_being_updated() {
    for is_of_agreement in [true, false] {
        let buyers = Buyers::new().await;
        buyers.configure_products().await;
        let bought = buyers.subscribe("examplecode2");
        buyers.emulator.take_lifecycle();
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 303);
        let (agreement, account) = (&bought.agreement_id, &bought.account_id);
        let partition = match is_of_agreement {
            true => format!("agreement|{agreement}"),
            false => format!("buyer|examplecode2|{account}"),
        };
        buyers
            .put(&[
                ("subscription", partition.as_str()),
                ("item", "link#nobody"),
            ])
            .await;
        let time = "2026-11-20T14:24:23Z";
        let event = license_event("Updated", "examplecode2", agreement, account, time);
        let app = &buyers.agreements;
        let error = agreements::handle(app, event.clone(), budget())
            .await
            .unwrap_err();
        let damaged = format!("{partition} / link#nobody");
        assert!(error.to_string().contains(&damaged), "{error}");
        let subscription = buyers.subscription("examplecode2", &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{partition}");
        buyers.forget(&partition, "link#nobody").await;
        assert_eq!(buyers.deliver(event).await, BatchResponse::done());
    }
}

/// A status from a part of its facts would be wrong, so a subscription with a damaged lifecycle key
/// keeps the status that it has.
#[tokio::test]
async fn a_subscription_with_a_damaged_lifecycle_key_gets_no_status_from_the_others() {
    let buyers = Buyers::new().await;
    let subscription: Subscription = LICENSE.parse().unwrap();
    let event = |kind: &str, agreement: &str, time: &str| {
        license_event(kind, "examplecode1", agreement, "111122223333", time)
    };
    buyers
        .deliver(event("Updated", "agmt-OLD", "2026-11-01T00:00:00Z"))
        .await;
    buyers
        .deliver(event("Updated", "agmt-NEW", "2026-11-19T00:00:00Z"))
        .await;
    // The lifecycle keys of the renewal become one that cannot be read.
    let keys = [
        "agreement|agmt-NEW".to_owned(),
        format!("license|agmt-NEW|{LICENSE}"),
    ];
    for key in &keys {
        buyers.forget(LICENSE, &format!("joint#{key}")).await;
    }
    buyers
        .put(&[("subscription", LICENSE), ("item", "joint#agmt-NEW")])
        .await;
    // The renewal overrules this end. Without the facts of the renewal, the subscription would be
    // ending.
    let ended = ended_event("agmt-OLD", "2026-11-19T00:05:00Z");
    let app = &buyers.agreements;
    let error = agreements::handle(app, ended.clone(), budget())
        .await
        .unwrap_err();
    let damaged = format!("{LICENSE} / joint#agmt-NEW");
    assert!(error.to_string().contains(&damaged), "{error}");
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(profile.status(), Status::Active);
    buyers.forget(LICENSE, "joint#agmt-NEW").await;
    for key in &keys {
        let key: LifecycleKey = key.parse().unwrap();
        let stored = buyers.ledger.store_lifecycle_key(LICENSE, &key).await;
        stored.unwrap();
    }
    assert_eq!(buyers.deliver(ended).await, BatchResponse::done());
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(profile.status(), Status::Active);
}
