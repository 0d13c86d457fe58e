//! The settings of the function, and the samples in `events/`.

use runtime::Env;

use crate::buyers::{Buyers, SESSION_KEY, at, sample};

#[tokio::test]
async fn a_missing_or_wrong_setting_is_named_and_a_secret_is_not_shown() {
    let settings = [
        ("SUBSCRIPTIONS_TABLE", "s"),
        ("USAGE_EVENTS_TABLE", "u"),
        ("METERING_RECORDS_TABLE", "r"),
        ("AWS_REGION", "us-east-1"),
        ("SUPPORT_CONTACT", "help@example.com"),
        ("SESSION_KEY", SESSION_KEY),
        ("SIGN_UP_URL", "https://app.example.com/sign-up?plan=aws"),
    ];
    for (name, value) in [
        ("SUBSCRIPTIONS_TABLE", ""),
        ("SUPPORT_CONTACT", ""),
        ("SUPPORT_CONTACT", "call us"),
        ("SESSION_KEY", ""),
        ("SESSION_KEY", "too short"),
        ("SIGN_UP_URL", "app.example.com"),
        ("SIGN_UP_URL", "http://app.example.com"),
        ("PRODUCT_CODES", "a|b"),
        ("MARKETPLACE_ENDPOINT", "localhost:1"),
    ] {
        let env = Env::of(settings.into_iter().chain([(name, value)]));
        let error = registration::App::start(&env).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains("too short"), "{error}");
    }
    let app = registration::App::start(&Env::of(settings)).await.unwrap();
    assert_eq!(app.stack, "metering");
    let url = app.sign_up_url.map(|url| url.to_string());
    assert_eq!(
        url.as_deref(),
        Some("https://app.example.com/sign-up?plan=aws")
    );
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let buyers = Buyers::new().await;
    buyers
        .emulator
        .set_clock(Some(at("2026-11-21T04:40:00Z")), None);
    for (name, status) in [
        ("registration-get", 200),
        ("registration-post-unknown-token", 400),
        ("registration-post-malformed-token", 400),
        ("registration-post-wrong-content-type", 415),
        ("registration-sign-up-forged", 400),
        // This world does not know the subscription of the samples.
        ("registration-sign-up-get", 400),
        ("registration-sign-up", 400),
        ("registration-exchange-forged", 400),
        ("registration-exchange", 200),
        ("registration-key-set", 200),
    ] {
        let answer = buyers.send(&sample(name)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
}
