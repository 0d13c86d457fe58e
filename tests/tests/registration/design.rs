//! The seller's settings of the pages are read again after a minute, and settings that cannot be
//! used keep nobody out.

use ledger::Written;
use serde_json::json;

use crate::browser::{Browser, shows};
use crate::buyers::Buyers;

#[tokio::test]
async fn a_change_of_the_settings_is_seen_after_a_minute() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    browser.arrive(&bought.registration_token).await;
    shows(&browser.get("/sign-in").await, 404, "not_found.title");
    let settings = json!({"sign_in_url": "https://app.example.com/sign-in"}).to_string();
    let written = buyers.ledger.write_page_settings(None, &settings).await;
    assert_eq!(written.unwrap(), Written::Done);
    buyers.advance(59);
    assert_eq!(browser.get("/sign-in").await.status, 404);
    buyers.advance(1);
    assert_eq!(browser.get("/sign-in").await.status, 303);

    let stored = buyers.ledger.page_settings().await.unwrap().unwrap();
    assert_eq!(stored.settings, settings);
    let written = buyers.ledger.write_page_settings(Some(&stored), "{}").await;
    assert_eq!(written.unwrap(), Written::Done);
    let again = buyers.ledger.write_page_settings(Some(&stored), "{}").await;
    assert_eq!(
        again.unwrap(),
        Written::Conflict,
        "it was changed meanwhile"
    );
    buyers.advance(60);
    assert_eq!(browser.get("/sign-in").await.status, 404);
    // The settings of the pages are no product.
    assert_eq!(buyers.ledger.products().await.unwrap().len(), 3);
}

#[tokio::test]
async fn settings_that_cannot_be_used_keep_nobody_out() {
    for settings in [Some("{\"unknown\": 1}"), Some("no JSON"), None] {
        let buyers = Buyers::new().await;
        buyers.configure_products().await;
        match settings {
            Some(settings) => {
                let written = buyers.ledger.write_page_settings(None, settings).await;
                assert_eq!(written.unwrap(), Written::Done);
            }
            None => {
                let damaged = [("subscription", "pages"), ("item", "configuration")];
                buyers.put(&damaged).await;
            }
        }
        let bought = buyers.subscribe("examplecode1");
        let mut browser = Browser::at(buyers.page);
        browser.arrive(&bought.registration_token).await;
        shows(&browser.get("/sign-up").await, 200, "sign_up.title");
    }
}
