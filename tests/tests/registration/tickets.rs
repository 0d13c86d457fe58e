//! A ticket hands a registration over to the seller's own software. It is verified offline or
//! exchanged once, names one audience, and is valid for five minutes.

use ledger::Written;
use serde_json::{Value, json};

use crate::browser::{Browser, shows};
use crate::buyers::{Answer, Buyers, TOKEN, event_of, request_with};
use crate::offline::claims_of;

const URL: &str = "https://app.example.com/sign-up?plan=aws";
const AUDIENCE: &str = "https://app.example.com";

/// Buyers of a seller with a sign-up of its own.
async fn redirected() -> Buyers {
    let buyers = Buyers::with_env(&[("SIGN_UP_URL", URL), ("STACK_NAME", "example-stack")]).await;
    buyers.configure_products().await;
    buyers
}

/// The ticket with which a buyer is sent to the seller's sign-up.
fn ticket_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let ticket = answer.location().strip_prefix(URL);
    let ticket = ticket.and_then(|rest| rest.strip_prefix("&ticket="));
    ticket.expect("a ticket").to_owned()
}

async fn exchange(buyers: &Buyers, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let path = "/tickets/exchange";
    let answer = request_with(buyers.page, "POST", path, &headers, &body.to_string()).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let content = serde_json::from_str(&answer.body).expect("an answer in JSON");
    (answer.status, content)
}

/// Checks that an exchange is refused with this status and error.
async fn check(buyers: &Buyers, body: &Value, status: u16, error: &str) {
    let (found, content) = exchange(buyers, body).await;
    assert_eq!(
        (found, &content["error"]),
        (status, &json!(error)),
        "{content}"
    );
    let message = content["message"].as_str().unwrap();
    assert!(message.len() > 20, "{message}");
}

async fn keys(buyers: &Buyers) -> Value {
    let path = "/.well-known/jwks.json";
    let answer = request_with(buyers.page, "GET", path, &[], "").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    serde_json::from_str(&answer.body).expect("a key set")
}

#[tokio::test]
async fn a_buyer_is_sent_to_the_sellers_sign_up_with_a_ticket_and_no_cookie() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode2");
    let mut browser = Browser::at(buyers.page);
    let answer = browser.arrive(&bought.registration_token).await;
    let ticket = ticket_of(&answer);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(browser.cookie, None);
    let now = buyers.emulator.now().as_second();
    let claims = claims_of(&ticket, &keys(&buyers).await, AUDIENCE, now).unwrap();
    let jti = claims["jti"].clone();
    let expected = json!({
        "iss": "example-stack",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "jti": jti,
        "subscription": format!("legacy|examplecode2|{}", bought.customer_identifier),
        "productCode": "examplecode2",
        "customerAWSAccountId": bought.account_id,
        "licenseArn": bought.license_arn,
        "customerIdentifier": bought.customer_identifier,
        "agreementId": bought.agreement_id,
        "status": "pending",
        "freeTrial": false,
    });
    assert_eq!(claims, expected);
    // Without a cookie the pages of this stack know no license.
    shows(&browser.get("/sign-up").await, 400, "no_cookie.title");
}

#[tokio::test]
async fn a_ticket_is_verified_offline_until_it_expires() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let form = [
        (TOKEN, bought.registration_token.as_str()),
        ("x-amzn-marketplace-offer-type", "free-trial"),
    ];
    let answer = Browser::at(buyers.page).arrive_with(&form).await;
    let ticket = ticket_of(&answer);
    let keys = keys(&buyers).await;
    let now = buyers.emulator.now().as_second();
    let claims = claims_of(&ticket, &keys, AUDIENCE, now + 299).unwrap();
    assert_eq!(claims["freeTrial"], true);
    assert_eq!(claims["licenseArn"], claims["subscription"]);
    assert_eq!(claims_of(&ticket, &keys, AUDIENCE, now + 300), None);
    assert_eq!(claims_of(&ticket, &keys, "https://example.com", now), None);
    let (signed, signature) = ticket.rsplit_once('.').unwrap();
    let other = buyers.register(&bought.registration_token).await;
    let other = ticket_of(&other);
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_ne!(signed, other);
    let tampered = format!("{other}.{signature}");
    assert_eq!(claims_of(&tampered, &keys, AUDIENCE, now), None);
}

#[tokio::test]
async fn a_ticket_is_exchanged_once() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    buyers.advance(120);
    for message in buyers.emulator.take_lifecycle() {
        buyers.deliver(event_of(message)).await;
    }
    let body = json!({"ticket": ticket, "audience": AUDIENCE});
    let expected = json!({
        "subscription": bought.license_arn,
        "productCode": "examplecode1",
        "customerAWSAccountId": bought.account_id,
        "licenseArn": bought.license_arn,
        "agreementId": bought.agreement_id,
        // The status is the present one.
        "status": "active",
        "freeTrial": false,
    });
    assert_eq!(exchange(&buyers, &body).await, (200, expected));
    check(&buyers, &body, 409, "TicketUsed").await;
    let with_key = json!({"ticket": ticket, "audience": AUDIENCE, "idempotencyKey": "a"});
    check(&buyers, &with_key, 409, "TicketUsed").await;
    // A new registration brings a new ticket.
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = json!({"ticket": ticket, "audience": AUDIENCE});
    assert_eq!(exchange(&buyers, &body).await.0, 200);
}

#[tokio::test]
async fn a_ticket_of_a_cancelled_subscription_names_its_status() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let cancelled = buyers.emulator.cancel_agreement(&bought.agreement_id);
    cancelled.unwrap();
    for message in buyers.emulator.take_lifecycle() {
        buyers.deliver(event_of(message)).await;
    }
    let answer = buyers.register(&bought.registration_token).await;
    let body = json!({"ticket": ticket_of(&answer), "audience": AUDIENCE});
    let (status, content) = exchange(&buyers, &body).await;
    assert_eq!((status, &content["status"]), (200, &json!("ending")));
}

#[tokio::test]
async fn an_exchange_with_the_same_idempotency_key_can_be_repeated() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = |key: &str| json!({"ticket": ticket, "audience": AUDIENCE, "idempotencyKey": key});
    let first = exchange(&buyers, &body("sign-up-1")).await;
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(exchange(&buyers, &body("sign-up-1")).await, first);
    check(&buyers, &body("sign-up-2"), 409, "TicketUsed").await;
    let without = json!({"ticket": ticket, "audience": AUDIENCE});
    check(&buyers, &without, 409, "TicketUsed").await;
}

#[tokio::test]
async fn of_many_exchanges_at_once_one_succeeds() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = json!({"ticket": ticket, "audience": AUDIENCE});
    let exchange = || exchange(&buyers, &body);
    let answers = tokio::join!(exchange(), exchange(), exchange(), exchange());
    let mut statuses = [answers.0.0, answers.1.0, answers.2.0, answers.3.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

#[tokio::test]
async fn an_exchange_says_what_is_wrong_with_it_and_uses_no_ticket() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = |ticket: &str| json!({"ticket": ticket, "audience": AUDIENCE});
    let other_audience = json!({"ticket": ticket, "audience": "https://example.com"});
    check(&buyers, &other_audience, 400, "WrongAudience").await;
    let (signed, _) = ticket.rsplit_once('.').unwrap();
    for damaged in [
        "",
        "a.b.c",
        signed,
        &format!("{ticket}x"),
        &format!("x{ticket}"),
    ] {
        check(&buyers, &body(damaged), 400, "InvalidTicket").await;
    }
    let (long, empty) = ("x".repeat(65), "");
    for key in [long.as_str(), empty] {
        let body = json!({"ticket": ticket, "audience": AUDIENCE, "idempotencyKey": key});
        check(&buyers, &body, 400, "InvalidRequest").await;
    }
    for request in [
        json!({}),
        json!([]),
        json!({"ticket": 1, "audience": AUDIENCE}),
    ] {
        check(&buyers, &request, 400, "InvalidRequest").await;
    }
    let too_large = body(&"x".repeat(64 * 1_024));
    check(&buyers, &too_large, 413, "BodyTooLarge").await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let headers = [("content-type", kind)];
        let path = "/tickets/exchange";
        let answer = request_with(buyers.page, "POST", path, &headers, "{}").await;
        assert_eq!(answer.status, 415, "{kind}: {}", answer.body);
        assert!(answer.body.contains("\"UnsupportedMediaType\""));
    }
    assert_eq!(exchange(&buyers, &body(&ticket)).await.0, 200);
}

#[tokio::test]
async fn an_expired_ticket_is_not_exchanged() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = json!({"ticket": ticket, "audience": AUDIENCE});
    buyers.advance(300);
    check(&buyers, &body, 400, "ExpiredTicket").await;
    let ticket = ticket_of(&buyers.register(&bought.registration_token).await);
    let body = json!({"ticket": ticket, "audience": AUDIENCE});
    buyers.advance(299);
    assert_eq!(exchange(&buyers, &body).await.0, 200);
}

#[tokio::test]
async fn a_ticket_of_another_key_is_not_exchanged() {
    let buyers = redirected().await;
    let bought = buyers.subscribe("examplecode1");
    let other_key = [(
        "SESSION_KEY",
        "another key for tests only, never used on AWS",
    )];
    let other_page = buyers.page_with(&other_key).await;
    let answer = Browser::at(other_page)
        .arrive(&bought.registration_token)
        .await;
    let body = json!({"ticket": ticket_of(&answer), "audience": AUDIENCE});
    check(&buyers, &body, 400, "InvalidTicket").await;
}

#[tokio::test]
async fn a_buyer_with_an_account_is_sent_to_the_sign_in_with_a_ticket() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let settings = json!({"sign_in_url": "https://login.example.com/aws"}).to_string();
    let written = buyers.ledger.write_page_settings(None, &settings).await;
    assert_eq!(written.unwrap(), Written::Done);
    let bought = buyers.subscribe("examplecode3");
    let mut browser = Browser::at(buyers.page);
    shows(&browser.get("/sign-in").await, 400, "no_cookie.title");
    browser.arrive(&bought.registration_token).await;
    let page = browser.get("/sign-up").await;
    assert!(page.body.contains("href=\"sign-in\""), "{}", page.body);
    let answer = browser.get("/sign-in").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let beginning = "https://login.example.com/aws?ticket=";
    let ticket = answer.location().strip_prefix(beginning).unwrap();
    let now = buyers.emulator.now().as_second();
    let audience = "https://login.example.com";
    let claims = claims_of(ticket, &keys(&buyers).await, audience, now).unwrap();
    assert_eq!(claims["iss"], "metering");
    let subscription = buyers.subscription("examplecode3", &bought).to_string();
    assert_eq!(claims["subscription"], json!(subscription));
    let body = json!({"ticket": ticket, "audience": audience});
    assert_eq!(exchange(&buyers, &body).await.0, 200);
}
