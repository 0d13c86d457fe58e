//! A registration token becomes a subscription.

use end_to_end::world::World;
use serde_json::json;

use crate::{LICENSE, feed, feed_in, has};

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
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    assert!(fed.page().contains("Your subscription was found"));
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
        assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
        assert_eq!(
            fed.page().contains("free trial"),
            name.ends_with("free-trial")
        );
        has(
            &fed.profile(LICENSE).await,
            json!({"registered_at": "2026-11-20T14:24:44Z", "status": "active"}),
        );
    }
}

#[tokio::test]
async fn registration_keeps_what_the_buyer_typed_under_a_signed_subscription() {
    let fed = feed("Registration", "registration-contact").await;
    assert_eq!(fed.answer["statusCode"], 200, "{}", fed.answer);
    let contact = fed.world.item("Subscriptions", LICENSE, "contact").await;
    has(
        &contact,
        json!({"name": "Jane Doe", "company": "Example Corp.", "email": "jane.doe@example.com"}),
    );
    assert_eq!(fed.written.len(), 1);
}

#[tokio::test]
async fn registration_refuses_a_token_not_from_aws_and_a_session_not_from_itself() {
    for (name, status, words) in [
        ("registration-contact-forged", 400, "Set up your account"),
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
