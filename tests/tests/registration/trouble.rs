//! AWS Marketplace or the tables fail. The buyer is told what to do, and nothing is lost.

use emulator::{Fault, FaultKind, Faults};
use serde_json::json;

use crate::browser::{Browser, TYPED, shows};
use crate::buyers::{Buyers, request_with};

#[tokio::test]
async fn temporary_and_lasting_errors_of_aws_have_different_statuses() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    for (kind, status) in [
        (FaultKind::Throttling, 503),
        (FaultKind::InternalError, 503),
        (FaultKind::DropBefore, 503),
        (FaultKind::AccessDenied, 500),
        (FaultKind::DisabledApi, 500),
        (FaultKind::ExpiredCredentials, 500),
    ] {
        buyers.emulator.set_faults(Faults {
            faults: vec![Fault::next("ResolveCustomer", kind, 10)],
            ..Faults::default()
        });
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, status, "{kind:?}: {}", answer.body);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
    buyers.emulator.set_faults(Faults::default());
    assert_eq!(
        buyers.register(&bought.registration_token).await.status,
        303
    );
}

#[tokio::test]
async fn one_error_of_aws_is_retried_without_the_buyer() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for kind in [FaultKind::Throttling, FaultKind::InternalError] {
        let bought = buyers.subscribe("examplecode1");
        buyers.emulator.set_faults(Faults {
            faults: vec![Fault::next("ResolveCustomer", kind, 2)],
            ..Faults::default()
        });
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 303, "{kind:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn without_tables_the_buyer_is_asked_to_come_back() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let absent = [("SUBSCRIPTIONS_TABLE", "metering-Absent")];
    let without_tables = buyers.page_with(&absent).await;
    let mut browser = Browser::at(without_tables);
    let answer = browser.arrive(&bought.registration_token).await;
    shows(&answer, 503, "try_again.title");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(browser.cookie, None);

    // The tables fail while the sign-up page is open. The cookie stays.
    let mut begun = Browser::at(buyers.page);
    begun.arrive(&bought.registration_token).await;
    let page = begun.get("/sign-up").await;
    browser.cookie.clone_from(&begun.cookie);
    shows(&browser.get("/sign-up").await, 503, "try_again.title");
    let answer = browser.submit(&page, &TYPED).await;
    shows(&answer, 503, "try_again.title");
    assert!(browser.cookie.is_some());
    assert_eq!(begun.submit(&page, &TYPED).await.status, 303);
}

#[tokio::test]
async fn without_tables_a_ticket_is_kept_for_another_try() {
    let url = ("SIGN_UP_URL", "https://app.example.com/sign-up");
    let buyers = Buyers::with_env(&[url]).await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let answer = buyers.register(&bought.registration_token).await;
    let (_, ticket) = answer.location().split_once("ticket=").unwrap();
    let body = json!({"ticket": ticket, "audience": "https://app.example.com"}).to_string();
    let headers = [("content-type", "application/json")];
    let absent = [url, ("SUBSCRIPTIONS_TABLE", "metering-Absent")];
    let without_tables = buyers.page_with(&absent).await;
    let path = "/tickets/exchange";
    let failed = request_with(without_tables, "POST", path, &headers, &body).await;
    assert_eq!(failed.status, 503, "{}", failed.body);
    assert!(failed.body.contains("\"TryAgain\""), "{}", failed.body);
    assert!(failed.header("retry-after").is_some());
    let answer = request_with(buyers.page, "POST", path, &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_damaged_contact_is_not_overwritten() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let subscription = buyers.subscription("examplecode1", &bought).to_string();
    let mut browser = Browser::at(buyers.page);
    browser.arrive(&bought.registration_token).await;
    let page = browser.get("/sign-up").await;
    let damaged = [
        ("subscription", subscription.as_str()),
        ("item", "contact"),
        ("fields", "none"),
    ];
    buyers.put(&damaged).await;
    let before = buyers.everything_stored().await;
    let answer = browser.submit(&page, &TYPED).await;
    shows(&answer, 500, "contact_support.title");
    assert_eq!(buyers.everything_stored().await, before);
}
