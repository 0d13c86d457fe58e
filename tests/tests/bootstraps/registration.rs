//! A registration token becomes a subscription, and a sign-up or a ticket goes on from there.

use end_to_end::world::{World, sample};
use serde_json::{Value, json};

use crate::{Fed, LICENSE, feed, feed_in, has};

/// The cookie that an answer sets, with its attributes.
fn cookie(answer: &Value) -> &str {
    answer["cookies"][0].as_str().expect("a cookie")
}

#[tokio::test]
async fn registration_welcomes_a_buyer_without_a_token() {
    let fed = feed("Registration", "registration-get").await;
    assert_eq!(fed.answer["statusCode"], 200);
    assert!(fed.page().contains("Set up your account"));
    assert!(fed.page().contains("Example Seller") && fed.page().contains("support@example.com"));
    assert_eq!(fed.answer["headers"]["cache-control"], "no-store");
    assert!(fed.written.is_empty());
}

#[tokio::test]
async fn registration_makes_a_subscription_of_a_token() {
    let world = World::start().await;
    world.forget("Subscriptions", LICENSE, "profile").await;
    let fed = feed_in(world, "Registration", "registration-post").await;
    assert_eq!(fed.answer["statusCode"], 303, "{}", fed.answer);
    assert_eq!(fed.answer["headers"]["location"], "sign-up");
    assert!(cookie(&fed.answer).starts_with("__Host-registration-"));
    assert_eq!(fed.answer["cookies"].as_array().map(Vec::len), Some(1));
    // License Updated had arrived before the buyer registered.
    let profile = fed.profile(LICENSE).await;
    has(
        &profile,
        json!({
            "product_code": "examplecode1", "account_id": "111122223333", "agreement_id": "agmt-EXAMPLE1",
            "status": "active", "activated_at": "2026-11-20T14:24:23Z", "registered_at": "2026-11-21T04:40:00Z",
        }),
    );
    let stored = format!("{:?}{}", fed.world.tables().await, fed.answer);
    assert!(
        !stored.contains(local::sample::REGISTRATION_TOKEN),
        "the token is nowhere"
    );
}

#[tokio::test]
async fn registration_changes_nothing_for_a_returning_buyer() {
    for name in ["registration-post", "registration-post-free-trial"] {
        let fed = feed("Registration", name).await;
        assert_eq!(fed.answer["statusCode"], 303, "{}", fed.answer);
        assert!(fed.written.is_empty(), "{name}: {:?}", fed.written);
        // The browser opens the sign-up page with the cookie.
        let (pair, _) = cookie(&fed.answer).split_once(';').expect("attributes");
        let mut opening = sample("registration-sign-up-get");
        opening["cookies"] = json!([pair]);
        let function = fed.world.function("Registration").await;
        let page = function.invoke(&opening).await.response();
        assert_eq!(page["statusCode"], 200, "{page}");
        let text = page["body"].as_str().expect("a page");
        let is_trial = name.ends_with("free-trial");
        assert_eq!(text.contains("free trial"), is_trial, "{text}");
        has(
            &fed.profile(LICENSE).await,
            json!({"registered_at": "2026-11-20T14:24:44Z", "status": "active"}),
        );
    }
}

#[tokio::test]
async fn registration_sends_a_buyer_to_the_sellers_own_sign_up() {
    let world = World::start().await;
    let url = ("SIGN_UP_URL", "https://app.example.com/sign-up");
    let function = world.function_with("Registration", &[url]).await;
    let answer = function.answer("registration-post").await;
    assert_eq!(answer["statusCode"], 303, "{answer}");
    let location = answer["headers"]["location"].as_str().expect("a location");
    let ticket = location.strip_prefix("https://app.example.com/sign-up?ticket=");
    let mut exchange = sample("registration-exchange");
    let body = json!({"ticket": ticket, "audience": "https://app.example.com"});
    exchange["body"] = json!(body.to_string());
    let exchanged = function.invoke(&exchange).await.response();
    assert_eq!(exchanged["statusCode"], 200, "{exchanged}");
    let printed = function.printed().concat();
    let ticket = ticket.expect("a ticket");
    assert!(!printed.contains(ticket), "the ticket is in no log");
    assert!(!printed.contains(local::sample::REGISTRATION_TOKEN));
}

#[tokio::test]
async fn registration_shows_the_sign_up_page_for_a_signed_cookie() {
    let fed = feed("Registration", "registration-sign-up-get").await;
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    assert!(fed.page().contains("name=\"form\""), "{}", fed.page());
    assert!(fed.written.is_empty());
}

#[tokio::test]
async fn registration_keeps_what_the_buyer_typed_under_a_signed_subscription() {
    let fed = feed("Registration", "registration-sign-up").await;
    assert_eq!(fed.answer["statusCode"], 303, "{}", fed.answer);
    assert_eq!(fed.answer["headers"]["location"], "thanks");
    assert!(cookie(&fed.answer).ends_with("Max-Age=0"));
    let contact = fed.world.item("Subscriptions", LICENSE, "contact").await;
    has(
        &contact,
        json!({
            "fields": {"name": "Jane Doe", "company": "Example Corp.", "email": "jane.doe@example.com"},
            "completed_at": "2026-11-21T04:40:00Z",
        }),
    );
    assert_eq!(fed.written.len(), 1);
}

#[tokio::test]
async fn registration_logs_neither_contact_data_nor_the_cookie() {
    let world = World::start().await;
    let function = world.function("Registration").await;
    let signing_up = sample("registration-sign-up");
    let answer = function.invoke(&signing_up).await.response();
    assert_eq!(answer["statusCode"], 303, "{answer}");
    let printed = function.printed().concat();
    assert!(printed.contains("a sign-up was completed"), "{printed}");
    let cookie = signing_up["cookies"][0].as_str().expect("a cookie");
    let (_, signature) = cookie.split_once('.').expect("a signature");
    for secret in ["Jane", "jane.doe", "Example Corp.", signature] {
        assert!(!printed.contains(secret), "{secret} is in {printed}");
    }
}

#[tokio::test]
async fn registration_exchanges_a_ticket() {
    let fed = feed("Registration", "registration-exchange").await;
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    has(
        &content(&fed),
        json!({
            "subscription": LICENSE, "productCode": "examplecode1", "customerAWSAccountId": "111122223333",
            "licenseArn": LICENSE, "agreementId": "agmt-EXAMPLE1", "status": "active", "freeTrial": false,
        }),
    );
    let used = fed.written("Subscriptions", "used");
    assert_eq!((used.len(), fed.written.len()), (1, 1));
}

#[tokio::test]
async fn registration_publishes_the_key_of_its_tickets() {
    let fed = feed("Registration", "registration-key-set").await;
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    // The key follows from the session key in `events/env.json`.
    let expected = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "5ed76ff8c7ba55f6",
        "x": "Kw6WJC200k9anst2GSQwYQGb9jIDLGF4LGn1WDxDM9A",
    });
    assert_eq!(content(&fed), json!({"keys": [expected]}));
    assert!(fed.written.is_empty());
}

#[tokio::test]
async fn registration_refuses_a_token_not_from_aws_and_values_not_from_itself() {
    for (name, status, words) in [
        ("registration-sign-up-forged", 400, "Set up your account"),
        ("registration-exchange-forged", 400, "InvalidTicket"),
        (
            "registration-post-malformed-token",
            400,
            "could not be read",
        ),
        ("registration-post-unknown-token", 400, "no longer valid"),
        (
            "registration-post-wrong-content-type",
            415,
            "application/x-www-form-urlencoded",
        ),
    ] {
        let fed = feed("Registration", name).await;
        assert_eq!(fed.answer["statusCode"], status, "{name}: {}", fed.answer);
        assert!(fed.page().contains(words), "{name}: {}", fed.page());
        assert!(fed.written.is_empty(), "{name}: {:?}", fed.written);
    }
}

/// The content of an answer in JSON.
fn content(fed: &Fed) -> Value {
    serde_json::from_str(fed.page()).expect("an answer in JSON")
}
