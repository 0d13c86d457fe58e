//! Lifecycle events of agreements, licenses and legacy customers reach the subscriptions.

mod buyers;

use buyers::{Buyers, at, budget, event_of, sample};
use jiff::Timestamp;
use ledger::lifecycle::Known;
use ledger::lifecycle_key::LifecycleKey;
use marketplace::Subscription;
use marketplace::lifecycle::{Sign, Status};
use runtime::{BatchResponse, Budget};
use serde_json::{Value, json};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

/// Another license, which the same agreement may grant.
const OTHER_LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-fedcba9876543210fedcba9876543210";

/// Every order of three events.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 1],
    [1, 0, 2],
];

/// A license event in the form in which AWS sends it.
fn license_event(kind: &str, product: &str, agreement: &str, account: &str, time: &str) -> Value {
    let mut event = sample("agreements-license-updated");
    event["id"] = json!(format!("{kind}-{agreement}-{time}"));
    event["detail-type"] = json!(format!("License {kind} - Manufacturer"));
    event["time"] = json!(time);
    event["detail"]["product"]["code"] = json!(product);
    event["detail"]["agreement"]["id"] = json!(agreement);
    event["detail"]["acceptor"]["accountId"] = json!(account);
    event
}

/// The same event about the other license.
fn of_other_license(mut event: Value) -> Value {
    let id = format!("other-{}", event["id"].as_str().unwrap());
    event["id"] = json!(id);
    event["detail"]["license"]["arn"] = json!(OTHER_LICENSE);
    event
}

fn ended_event(agreement: &str, time: &str) -> Value {
    let mut event = sample("agreements-ended");
    event["id"] = json!(format!("ended-{agreement}-{time}"));
    event["time"] = json!(time);
    event["detail"]["agreement"]["id"] = json!(agreement);
    event
}

async fn in_every_shuffle(product: &str, shuffles: u64) {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let mut expected = None;
    for seed in 0..shuffles {
        buyers
            .emulator
            .set_clock(Some(at("2026-11-20T14:23:22Z")), None);
        let bought = buyers.subscribe(product);
        let mut events = buyers.emulator.take_lifecycle();
        buyers.advance(95);
        buyers
            .emulator
            .cancel_agreement(&bought.agreement_id)
            .unwrap();
        buyers.advance(3_700);
        events.extend(buyers.emulator.take_lifecycle());
        assert!(events.len() >= 4);

        // One of the steps is the buyer's own post, and some events come twice.
        let mut random = fastrand::Rng::with_seed(seed);
        let mut steps: Vec<Option<Value>> = events
            .into_iter()
            .map(|event| Some(event_of(event)))
            .collect();
        let again = steps[random.usize(..steps.len())].clone();
        steps.extend([again, None]);
        if seed > 0 {
            random.shuffle(&mut steps);
        }
        for step in steps {
            match step {
                Some(event) => assert_eq!(buyers.deliver(event).await, BatchResponse::done()),
                None => {
                    let answer = buyers.register(&bought.registration_token).await;
                    assert_eq!(answer.status, 303);
                }
            }
        }
        let subscription = buyers.subscription(product, &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Ending, "seed {seed}");
        assert_eq!(
            profile.agreement.as_ref().unwrap().as_str(),
            bought.agreement_id
        );
        assert!(profile.registered_at.is_some() && profile.attention_since.is_some());
        let expected = expected.get_or_insert(profile.lifecycle.clone());
        assert_eq!(profile.lifecycle, *expected, "seed {seed}");
    }
}

#[tokio::test]
async fn any_order_of_events_and_registration_has_the_same_result_by_license() {
    in_every_shuffle("examplecode1", 12).await;
}

#[tokio::test]
async fn any_order_of_events_and_registration_has_the_same_result_by_customer() {
    in_every_shuffle("examplecode2", 12).await;
}

#[tokio::test]
async fn any_order_of_events_and_registration_has_the_same_result_by_account() {
    in_every_shuffle("examplecode3", 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_and_registration_at_the_same_moment_miss_nothing() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for _ in 0..10 {
        for product in ["examplecode1", "examplecode2", "examplecode3"] {
            let bought = buyers.subscribe(product);
            buyers
                .emulator
                .cancel_agreement(&bought.agreement_id)
                .unwrap();
            let mut events: Vec<Value> = buyers
                .emulator
                .take_lifecycle()
                .into_iter()
                .map(event_of)
                .collect();
            // A Created event changes nothing. The last two events race with the buyer's post and
            // with each other.
            let last = events.pop().unwrap();
            let second_last = events.pop().unwrap();
            for event in events {
                buyers.deliver(event).await;
            }
            let (answer, _, _) = tokio::join!(
                buyers.register(&bought.registration_token),
                buyers.deliver(last),
                buyers.deliver(second_last)
            );
            assert_eq!(answer.status, 303);
            let subscription = buyers.subscription(product, &bought);
            let profile = buyers.profile(&subscription).await.unwrap();
            assert_eq!(profile.status(), Status::Ending, "{subscription}");
            assert!(profile.registered_at.is_some());
        }
    }
}

#[tokio::test]
async fn the_purchase_is_active_before_the_buyer_has_registered() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    for event in buyers.emulator.take_lifecycle() {
        buyers.deliver(event_of(event)).await;
    }
    let subscription = buyers.subscription("examplecode1", &bought);
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(
        (profile.status(), profile.registered_at),
        (Status::Active, None)
    );
    assert_eq!(profile.attention_since, Some(buyers.emulator.now()));
    assert_eq!(
        buyers
            .ledger
            .attention_page(None)
            .await
            .unwrap()
            .subscriptions,
        [subscription]
    );
}

#[tokio::test]
async fn a_repeated_event_changes_nothing() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode2");
    buyers.register(&bought.registration_token).await;
    buyers
        .emulator
        .cancel_agreement(&bought.agreement_id)
        .unwrap();
    buyers.advance(7_200);
    let events: Vec<Value> = buyers
        .emulator
        .take_lifecycle()
        .into_iter()
        .map(event_of)
        .collect();
    for event in &events {
        buyers.deliver(event.clone()).await;
    }
    let before = buyers.everything_stored().await;
    buyers.advance(60);
    for event in events {
        buyers.deliver(event).await;
    }
    assert_eq!(buyers.everything_stored().await, before);
}

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

/// A license event is stored under its license. A registration that comes later finds it there,
/// even if the event names no account, or came before the product was configured.
#[tokio::test]
async fn a_license_event_that_came_first_is_found_by_the_registration() {
    for (product, is_configured, names_account) in [
        ("examplecode2", true, true),
        ("examplecode2", true, false),
        ("examplecode2", false, true),
        ("examplecode3", false, true),
    ] {
        let buyers = Buyers::new().await;
        if is_configured {
            buyers.configure_products().await;
        }
        let bought = buyers.subscribe(product);
        buyers.emulator.take_lifecycle();
        let mut event = license_event(
            "Updated",
            product,
            &bought.agreement_id,
            &bought.account_id,
            "2026-11-20T14:24:23Z",
        );
        event["detail"]["license"]["arn"] = json!(bought.license_arn);
        if !names_account {
            event["detail"]["acceptor"] = json!({});
        }
        buyers.deliver(event).await;
        if !is_configured {
            buyers.configure_products().await;
        }
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 303);
        let subscription = buyers.subscription(product, &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.status(), Status::Active, "{subscription}");
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
async fn the_sample_events_do_what_their_names_say() {
    let license: Subscription = LICENSE.parse().unwrap();
    let customer: Subscription = "legacy|examplecode2|CUSTEXAMPLE2".parse().unwrap();
    let account: Subscription = "account|examplecode3|111122223333".parse().unwrap();
    // Each story has its events, the subscription that they change, and its status afterwards.
    let stories: [(&[&str], &Subscription, Option<Status>); 11] = [
        (&["created"], &license, None),
        (&["license-updated"], &license, Some(Status::Active)),
        (
            &["license-updated-short-arn"],
            &license,
            Some(Status::Active),
        ),
        (&["license-updated-account"], &account, Some(Status::Active)),
        // The event waits until the customer identifier is known.
        (&["license-updated-customer"], &customer, None),
        (
            &["license-updated", "amended"],
            &license,
            Some(Status::Active),
        ),
        (
            &["license-updated", "ended"],
            &license,
            Some(Status::Ending),
        ),
        (&["license-deprovisioned"], &license, Some(Status::Ending)),
        (&["sns-subscribe-success"], &customer, Some(Status::Active)),
        (
            &["sns-subscribe-success-raw", "sns-entitlement-updated"],
            &customer,
            Some(Status::Active),
        ),
        (&["sns-subscribe-fail"], &customer, Some(Status::Ending)),
    ];
    for (events, subscription, status) in stories {
        let buyers = Buyers::new().await;
        buyers.configure_products().await;
        for event in events {
            let answer = buyers.deliver(sample(&format!("agreements-{event}"))).await;
            assert_eq!(answer, BatchResponse::done());
        }
        let profile = buyers.profile(subscription).await;
        assert_eq!(profile.map(|p| p.status()), status, "{events:?}");
    }
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

#[tokio::test]
async fn an_event_that_cannot_be_read_is_kept_and_harms_no_other() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let answer = buyers.deliver(sample("agreements-sns-batch")).await;
    assert_eq!(answer, BatchResponse::done());
    let customer = "legacy|examplecode2|CUSTEXAMPLE2".parse().unwrap();
    let profile = buyers.profile(&customer).await.unwrap();
    assert_eq!(profile.status(), Status::Ending);

    let mut huge = sample("agreements-malformed");
    huge["id"] = json!("x".repeat(5_000));
    huge["detail"]["padding"] = json!("ü".repeat(400_000));
    let mut bad_time = sample("agreements-ended");
    bad_time["time"] = json!("yesterday");
    let mut bad_arn = sample("agreements-license-updated");
    bad_arn["detail"]["license"]["arn"] = json!("l-123");
    let mut no_account = sample("agreements-license-updated-account");
    no_account["detail"]["acceptor"] = json!({});
    let mut number = sample("agreements-license-updated");
    number["detail"]["product"]["code"] = json!(17);
    for (event, named) in [
        (
            sample("agreements-malformed"),
            "/detail/product/code is missing",
        ),
        (huge, "/detail/product/code is missing"),
        (bad_time, "/time is wrong"),
        (bad_arn, "/detail/license/arn is wrong"),
        (no_account, "/detail/acceptor/accountId is missing"),
        (number, "/detail/product/code is not a text"),
        (json!({}), "/detail-type is missing"),
        (json!(null), "/detail-type is missing"),
        (json!([1, 2]), "/detail-type is missing"),
        (json!({"Records": [{}]}), "/body is missing"),
        (
            json!({"Records": [{"messageId": "m", "body": "[]"}]}),
            "/action is missing",
        ),
        (
            json!({"Records": [{"messageId": "m", "body": r#"{"action":"subscribe-success","product-code":"a|b","customer-identifier":"c"}"#}]}),
            "/product-code is wrong",
        ),
    ] {
        let before = kept(&buyers).await;
        assert_eq!(buyers.deliver(event).await, BatchResponse::done());
        let new: Vec<String> = kept(&buyers)
            .await
            .into_iter()
            .filter(|k| !before.contains(k))
            .collect();
        assert!(new.iter().any(|k| k.contains(named)), "{named}: {new:?}");
    }
}

/// An event of the future would make a subscription active that is in no span, or let it end for
/// years.
#[tokio::test]
async fn an_event_with_an_impossible_time_is_kept_and_changes_nothing() {
    // The time is 2026-11-20T14:23:22Z.
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let license: Subscription = LICENSE.parse().unwrap();
    let customer: Subscription = "legacy|examplecode2|CUSTEXAMPLE2".parse().unwrap();
    let of_license = |kind: &str, time: &str| {
        license_event(kind, "examplecode1", "agmt-1", "111122223333", time)
    };
    let of_customer = |name: &str, time: &str| {
        let mut event = sample(name);
        let body = event["Records"][0]["body"].as_str().unwrap();
        let mut envelope: Value = serde_json::from_str(body).unwrap();
        envelope["Timestamp"] = json!(time);
        event["Records"][0]["body"] = json!(envelope.to_string());
        event
    };
    for time in [
        "1970-01-01T00:00:00Z",
        "2011-12-31T23:59:59Z",
        "2026-11-21T14:23:23Z",
        "2126-11-20T14:23:22Z",
        "9999-12-30T00:00:00Z",
    ] {
        let before = kept(&buyers).await;
        for event in [
            of_license("Updated", time),
            of_license("Deprovisioned", time),
            of_customer("agreements-sns-subscribe-success", time),
        ] {
            assert_eq!(buyers.deliver(event).await, BatchResponse::done());
        }
        let mut new = kept(&buyers).await;
        new.retain(|line| !before.contains(line));
        let names_all = |line: &&String| {
            let rule = format!("{time}, but an event's time must not be before 2012-01-01");
            line.contains(&rule) && line.contains("correct the time and send the event again")
        };
        assert_eq!(new.iter().filter(names_all).count(), 3, "{time}: {new:?}");
        assert_eq!(buyers.profile(&license).await, None, "{time}");
        assert_eq!(buyers.profile(&customer).await, None, "{time}");
    }

    // The earliest and the latest time that an event can have.
    for (kind, time, status) in [
        ("Updated", "2012-01-01T00:00:00Z", Status::Active),
        ("Deprovisioned", "2026-11-21T14:23:22Z", Status::Ending),
    ] {
        buyers.deliver(of_license(kind, time)).await;
        let profile = buyers.profile(&license).await.unwrap();
        assert_eq!(profile.status(), status, "{time}");
    }
}

#[tokio::test]
async fn a_message_with_an_impossible_time_does_not_hold_up_its_batch() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let mut batch = sample("agreements-sns-batch");
    // The end of the subscription has no time from SNS. The queue's time is in November 2126.
    batch["Records"][2]["attributes"]["SentTimestamp"] = json!("4950000000000");
    // A message that comes after it is read too.
    let mut records = batch["Records"].as_array().unwrap().clone();
    records.reverse();
    batch["Records"] = json!(records);
    assert_eq!(buyers.deliver(batch).await, BatchResponse::done());
    let customer = "legacy|examplecode2|CUSTEXAMPLE2".parse().unwrap();
    let profile = buyers.profile(&customer).await.unwrap();
    assert_eq!(profile.status(), Status::Active);
    let kept = kept(&buyers).await;
    let named = "/attributes/SentTimestamp is 2126-11-10T16:00:00Z";
    assert!(kept.iter().any(|line| line.contains(named)), "{kept:?}");
}

async fn kept(buyers: &Buyers) -> Vec<String> {
    let stored = buyers.everything_stored().await;
    let lines = stored
        .lines()
        .filter(|line| line.contains("subscription=unattributed"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn other_products_and_other_events_are_ignored() {
    let buyers = Buyers::new().await;
    let mut app = buyers
        .agreements_with(&[("PRODUCT_CODES", "examplecode3")])
        .await;
    app.ledger = buyers.ledger.clone();
    let mut foreign = sample("agreements-license-updated");
    foreign["source"] = json!("aws.ec2");
    for event in [
        sample("agreements-license-updated"),
        sample("agreements-sns-subscribe-success"),
        sample("agreements-unknown-detail-type"),
        foreign,
        json!({"Records": []}),
        json!({"Records": [{"messageId": "m", "body": r#"{"action":"something-new"}"#}]}),
    ] {
        let answer = agreements::handle(&app, event, budget()).await.unwrap();
        assert_eq!(answer, BatchResponse::done());
    }
    assert_eq!(buyers.everything_stored().await, "");
}

#[tokio::test]
async fn a_product_metered_by_license_ignores_its_customers_messages() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let mut event = sample("agreements-sns-unsubscribe-success");
    let body = event["Records"][0]["body"].as_str().unwrap();
    let body = body.replace("examplecode2", "examplecode1");
    event["Records"][0]["body"] = json!(body);
    buyers.deliver(sample("agreements-license-updated")).await;
    buyers.deliver(event).await;
    let profile = buyers.profile(&LICENSE.parse().unwrap()).await.unwrap();
    assert_eq!(profile.status(), Status::Active);
}

#[tokio::test]
async fn without_tables_each_event_and_each_message_of_a_batch_is_retried() {
    let buyers = Buyers::new().await;
    let app = buyers
        .agreements_with(&[("SUBSCRIPTIONS_TABLE", "metering-Absent")])
        .await;
    let event = sample("agreements-license-updated");
    let error = agreements::handle(&app, event, budget()).await.unwrap_err();
    assert!(error.to_string().contains("metering-Absent"), "{error}");

    let failed = |answer: BatchResponse| -> Vec<String> {
        let failures = answer.batch_item_failures.into_iter();
        failures.map(|one| one.item_identifier).collect()
    };
    let mut batch = sample("agreements-sns-batch");
    // A message that is ignored needs no table.
    batch["Records"][1]["body"] = json!(r#"{"action":"something-new"}"#);
    let answer = agreements::handle(&app, batch.clone(), budget())
        .await
        .unwrap();
    let ids = [
        "22222222-0000-4000-8000-000000000007",
        "22222222-0000-4000-8000-000000000009",
    ];
    assert_eq!(failed(answer), ids);

    // No time is left, so no further message is processed.
    let spent = Budget::of(std::time::Duration::ZERO);
    let answer = agreements::handle(&buyers.agreements, batch, spent)
        .await
        .unwrap();
    assert_eq!(failed(answer).len(), 3);
    assert_eq!(buyers.everything_stored().await, "");
}

#[tokio::test]
async fn an_event_from_a_dead_letter_queue_is_accepted() {
    let event = sample("agreements-license-updated");
    let wrapped = json!({"version": "1.0", "requestContext": {"condition": "RetriesExhausted"}, "requestPayload": event});
    for body in [event, wrapped] {
        let buyers = Buyers::new().await;
        let record = json!({"messageId": "m", "body": body.to_string()});
        let answer = buyers.deliver(json!({"Records": [record]})).await;
        assert_eq!(answer, BatchResponse::done());
        let profile = buyers.profile(&LICENSE.parse().unwrap()).await.unwrap();
        assert_eq!(profile.status(), Status::Active);
    }
}

#[tokio::test]
async fn each_event_is_kept_once_in_the_partition_that_it_concerns() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for _ in 0..2 {
        for name in [
            "created",
            "license-updated",
            "sns-subscribe-success",
            "license-updated-customer",
        ] {
            buyers.deliver(sample(&format!("agreements-{name}"))).await;
        }
    }
    let stored = buyers.everything_stored().await;
    let kept = |partition: &str| {
        let (partition, event) = (format!("subscription={partition}"), "item=event#");
        let lines = stored.lines();
        lines
            .filter(|line| line.contains(&partition) && line.contains(event))
            .count()
    };
    assert_eq!(kept("agreement|agmt-EXAMPLE1"), 1);
    assert_eq!(kept("agreement|agmt-EXAMPLE2"), 1);
    assert_eq!(kept(LICENSE), 1);
    assert_eq!(kept("customer|examplecode2|CUSTEXAMPLE2"), 1);
}

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
