//! Events and the registration come in any order, repeated, or at the same moment.

use marketplace::lifecycle::Status;
use runtime::BatchResponse;
use serde_json::{Value, json};

use crate::buyers::{Buyers, at, event_of};
use crate::license_event;

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
