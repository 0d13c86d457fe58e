//! A registration token becomes a subscription.

use emulator::NewAgreement;
use marketplace::lifecycle::Status;

use crate::browser::{Browser, shows};
use crate::buyers::{Buyers, TOKEN};

#[tokio::test]
async fn a_token_becomes_a_subscription_of_the_products_identity() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for product in ["examplecode1", "examplecode2", "examplecode3"] {
        let bought = buyers.subscribe(product);
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!((answer.status, answer.location()), (303, "sign-up"));
        let subscription = buyers.subscription(product, &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.product.as_str(), product);
        let account = profile.account.unwrap();
        assert_eq!(account.as_str(), bought.account_id);
        assert_eq!(profile.agreement.unwrap().as_str(), bought.agreement_id);
        assert_eq!(
            profile.customer.map(|c| c.to_string()).unwrap_or_default(),
            bought.customer_identifier
        );
        assert_eq!(profile.registered_at, Some(buyers.emulator.now()));
        // The identity does not prove that anything is paid.
        assert_eq!(profile.lifecycle.status(), Status::Pending);
        let listed = buyers.ledger.subscriptions_of_account(&account).await;
        let listed = listed.unwrap();
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0].subscription, subscription);
        assert_eq!(listed[0].product.as_str(), product);
    }
}

#[tokio::test]
async fn an_unconfigured_product_goes_by_what_aws_returned() {
    let buyers = Buyers::new().await;
    let bought = buyers.subscribe("examplecode2");
    assert_eq!(
        buyers.register(&bought.registration_token).await.status,
        303
    );
    let by_license = bought.license_arn.parse().unwrap();
    assert!(buyers.profile(&by_license).await.is_some());
}

#[tokio::test]
async fn repeating_a_registration_changes_nothing() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode2");
    buyers.register(&bought.registration_token).await;
    let before = buyers.everything_stored().await;
    buyers.advance(60);
    for _ in 0..3 {
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 303);
    }
    assert_eq!(buyers.everything_stored().await, before);
}

#[tokio::test]
async fn many_posts_at_once_make_one_subscription() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let post = || buyers.register(&bought.registration_token);
    let answers = tokio::join!(post(), post(), post(), post(), post(), post());
    for answer in [
        answers.0, answers.1, answers.2, answers.3, answers.4, answers.5,
    ] {
        assert_eq!(answer.status, 303);
    }
    let subscription = buyers.subscription("examplecode1", &bought);
    let profile = buyers.profile(&subscription).await.unwrap();
    assert_eq!(profile.registered_at, Some(buyers.emulator.now()));
}

#[tokio::test]
async fn a_second_license_of_the_same_account_is_a_subscription_of_its_own() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let first = buyers.subscribe("examplecode1");
    let again = NewAgreement::of("examplecode1").by(&first.account_id);
    let second = buyers.emulator.add_agreement(again).unwrap();
    assert_ne!(first.license_arn, second.license_arn);
    buyers.register(&first.registration_token).await;
    buyers.register(&second.registration_token).await;
    for bought in [&first, &second] {
        let subscription = buyers.subscription("examplecode1", bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.agreement.unwrap().as_str(), bought.agreement_id);
    }
    let account = first.account_id.parse().unwrap();
    let listed = buyers.ledger.subscriptions_of_account(&account).await;
    assert_eq!(listed.unwrap().len(), 2);
}

#[tokio::test]
async fn fields_of_the_form_are_not_trusted() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let form = [
        (TOKEN, bought.registration_token.as_str()),
        ("x-amzn-marketplace-agreement-id", "agmt-FOREIGN"),
        ("x-amzn-marketplace-product-id", "prod-FOREIGN"),
        ("subscription", "account|examplecode1|999999999999"),
    ];
    assert_eq!(buyers.post("/register", &form).await.status, 303);
    let stored = buyers.everything_stored().await;
    assert!(!stored.contains("FOREIGN") && !stored.contains("999999999999"));
}

#[tokio::test]
async fn an_expired_token_sends_the_buyer_back_to_the_console() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    buyers.advance(5 * 3_600);
    let answer = buyers.register(&bought.registration_token).await;
    shows(&answer, 400, "set_up_again.title");
    assert!(answer.body.contains("Set up your account"));
    let fresh = buyers.emulator.registration_token(&bought.agreement_id);
    assert_eq!(buyers.register(&fresh.unwrap()).await.status, 303);
}

#[tokio::test]
async fn a_form_without_a_valid_token_says_what_is_wrong_with_it() {
    let buyers = Buyers::new().await;
    let mut browser = Browser::at(buyers.page);
    let missing = browser.arrive_with(&[]).await;
    shows(&missing, 400, "malformed.no_token");
    shows(&browser.arrive("").await, 400, "malformed.no_token");
    let damaged = browser.arrive("two words").await;
    shows(&damaged, 400, "malformed.invalid_token");
    assert!(!damaged.body.contains("two words"));
    let twice = browser.arrive_with(&[(TOKEN, "a"), (TOKEN, "b")]).await;
    shows(&twice, 400, "malformed.unreadable");
    let unknown = browser.arrive("no-such-token").await;
    shows(&unknown, 400, "set_up_again.title");
    assert_eq!(browser.cookie, None);
    assert_eq!(buyers.everything_stored().await, "");
}

#[tokio::test]
async fn a_product_of_another_stack_is_named_and_not_stored() {
    let buyers = Buyers::with_env(&[("PRODUCT_CODES", "examplecode2, examplecode3")]).await;
    let bought = buyers.subscribe("examplecode1");
    let answer = buyers.register(&bought.registration_token).await;
    shows(&answer, 422, "other_product.title");
    assert!(answer.body.contains("examplecode1"));
    assert_eq!(buyers.everything_stored().await, "");
}
