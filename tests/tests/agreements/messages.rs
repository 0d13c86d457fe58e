//! Messages in all forms, and messages that cannot be read.

use marketplace::Subscription;
use marketplace::lifecycle::Status;
use runtime::{BatchResponse, Budget};
use serde_json::{Value, json};

use crate::buyers::{Buyers, budget, sample};
use crate::{LICENSE, license_event};

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
