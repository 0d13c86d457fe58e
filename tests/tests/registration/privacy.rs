//! The token reaches no table, no cookie, no address and no page. Contact data is in the contact
//! only, and a ticket is in its address only.

use crate::browser::{Browser, TYPED};
use crate::buyers::Buyers;

/// What was typed, and is not typed by anybody else.
const TYPED_HERE: [(&str, &str); 4] = [
    ("company", "Confidential Corp."),
    ("name", "Secretia Nameless"),
    ("email", "secretia@nowhere.example"),
    ("note", "call +1 555 0100"),
];

#[tokio::test]
async fn the_token_is_neither_stored_nor_shown_in_either_mode() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let redirecting = [("SIGN_UP_URL", "https://app.example.com/sign-up")];
    for page in [buyers.page, buyers.page_with(&redirecting).await] {
        let bought = buyers.subscribe("examplecode1");
        let token = &bought.registration_token;
        let mut browser = Browser::at(page);
        let arrived = browser.arrive(token).await;
        assert_eq!(arrived.status, 303, "{}", arrived.body);
        let mut answers = vec![arrived];
        if browser.cookie.is_some() {
            let page = browser.get("/sign-up").await;
            answers.push(browser.submit(&page, &TYPED).await);
            answers.push(page);
        }
        for answer in answers {
            assert!(!answer.body.contains(token), "{}", answer.body);
            assert!(!answer.head.contains(token), "{}", answer.head);
        }
        assert!(!buyers.everything_stored().await.contains(token));
    }
}

#[tokio::test]
async fn contact_data_is_in_the_contact_and_nowhere_else() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let arrived = browser.arrive(&bought.registration_token).await;
    let page = browser.get("/sign-up").await;
    let sent = browser.submit(&page, &TYPED_HERE).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let thanks = browser.get("/thanks").await;
    browser.arrive(&bought.registration_token).await;
    let again = browser.get("/sign-up").await;
    for (_, value) in TYPED_HERE {
        for answer in [&arrived, &page, &sent, &thanks, &again] {
            assert!(!answer.body.contains(value), "{}", answer.body);
            assert!(!answer.head.contains(value), "{}", answer.head);
        }
        let stored = buyers.everything_stored().await;
        for item in stored.lines().filter(|item| item.contains(value)) {
            assert!(item.contains(" item=contact "), "{item}");
        }
        assert!(stored.contains(value), "{value} was not stored");
    }
}

#[tokio::test]
async fn a_ticket_is_not_stored() {
    let url = ("SIGN_UP_URL", "https://app.example.com/sign-up");
    let buyers = Buyers::with_env(&[url]).await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let answer = buyers.register(&bought.registration_token).await;
    let (_, ticket) = answer.location().split_once("ticket=").unwrap();
    let body = serde_json::json!({"ticket": ticket, "audience": "https://app.example.com"});
    let headers = [("content-type", "application/json")];
    let path = "/tickets/exchange";
    let exchanged = Browser::at(buyers.page)
        .send("POST", path, &headers, &body.to_string())
        .await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.body);
    let stored = buyers.everything_stored().await;
    for part in ticket.split('.') {
        assert!(!stored.contains(part) && !exchanged.body.contains(part));
    }
    // The use of the ticket is remembered for a day.
    let used = stored.lines().find(|item| item.contains("item=used"));
    let expires = buyers.emulator.now().as_second() + 24 * 3_600;
    let expires = format!("expires_at={expires}");
    assert!(used.is_some_and(|item| item.contains(&expires)), "{stored}");
}
