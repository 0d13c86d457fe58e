//! Buyers arrive at the fulfillment URL and register.

mod buyers;

use std::cell::RefCell;
use std::sync::Arc;

use buyers::{Buyers, TOKEN, at, request, sample};
use emulator::{Fault, FaultKind, Faults, NewAgreement};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use marketplace::lifecycle::Status;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runtime::Env;
use simulation::run::{Executor, on_a_thread};
use simulation::world::World;

#[tokio::test]
async fn a_token_becomes_a_subscription_of_the_products_identity() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for product in ["examplecode1", "examplecode2", "examplecode3"] {
        let bought = buyers.subscribe(product);
        let answer = buyers.register(&bought.registration_token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let subscription = buyers.subscription(product, &bought);
        let profile = buyers.profile(&subscription).await.unwrap();
        assert_eq!(profile.product.as_str(), product);
        assert_eq!(profile.account.unwrap().as_str(), bought.account_id);
        assert_eq!(profile.agreement.unwrap().as_str(), bought.agreement_id);
        assert_eq!(
            profile.customer.map(|c| c.to_string()).unwrap_or_default(),
            bought.customer_identifier
        );
        assert_eq!(profile.registered_at, Some(buyers.emulator.now()));
        // The identity does not prove that anything is paid.
        assert_eq!(profile.lifecycle.status(), Status::Pending);
    }
}

#[tokio::test]
async fn an_unconfigured_product_goes_by_what_aws_returned() {
    let buyers = Buyers::new().await;
    let bought = buyers.subscribe("examplecode2");
    assert_eq!(
        buyers.register(&bought.registration_token).await.status,
        200
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
        assert_eq!(answer.status, 200);
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
        assert_eq!(answer.status, 200);
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
    assert_eq!(buyers.post("/register", &form).await.status, 200);
    let stored = buyers.everything_stored().await;
    assert!(!stored.contains("FOREIGN") && !stored.contains("999999999999"));
}

#[tokio::test]
async fn the_token_is_neither_stored_nor_shown() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let answer = buyers.register(&bought.registration_token).await;
    assert!(!answer.body.contains(&bought.registration_token));
    assert!(!answer.head.contains(&bought.registration_token));
    let stored = buyers.everything_stored().await;
    assert!(!stored.contains(&bought.registration_token));
}

#[tokio::test]
async fn every_page_says_where_help_is_and_loads_nothing() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let get = |path: &'static str| request(buyers.page, "GET", path, None, "");
    for (answer, status) in [
        (get("/").await, 200),
        (get("/register").await, 200),
        (get("/elsewhere").await, 404),
        (get("/register/contact").await, 405),
        (buyers.register(&bought.registration_token).await, 200),
        (buyers.register("no-such-token").await, 400),
        (buyers.register("two words").await, 400),
        (buyers.post("/register", &[]).await, 400),
    ] {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains("mailto:help@example.com"));
        assert!(answer.body.contains("Example &amp; Sons"));
        assert!(!answer.body.contains("<script") && !answer.body.contains("src="));
        let header = |name| answer.header(name).unwrap_or_default();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert!(header("content-security-policy").contains("default-src 'none'"));
        assert!(header("set-cookie").is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let buyers = Buyers::new().await;
    let form = Some("application/x-www-form-urlencoded");
    let send = |method: &'static str, kind, body: String| async move {
        let answer = request(buyers.page, method, "/register", kind, &body).await;
        (answer.status, answer.header("allow").map(str::to_owned))
    };
    let token = format!("{TOKEN}=x");
    let (status, allow) = send("PUT", form, token.clone()).await;
    assert_eq!((status, allow.is_some()), (405, true));
    assert_eq!(send("HEAD", None, String::new()).await.0, 200);
    assert_eq!(
        send("POST", Some("application/json"), "{}".to_owned())
            .await
            .0,
        415
    );
    assert_eq!(send("POST", None, token.clone()).await.0, 415);
    let long = format!("{TOKEN}={}", "x".repeat(64 * 1_024));
    assert_eq!(send("POST", form, long).await.0, 413);
    assert_eq!(send("POST", form, format!("{token}&{token}")).await.0, 400);
    let long_token = format!("{TOKEN}={}", "x".repeat(9_000));
    assert_eq!(send("POST", form, long_token).await.0, 400);
    assert_eq!(send("POST", form, "%ff%00=&&==".to_owned()).await.0, 400);
}

#[tokio::test]
async fn an_expired_token_sends_the_buyer_back_to_the_console() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    buyers.advance(5 * 3_600);
    let answer = buyers.register(&bought.registration_token).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("Set up your account"));
    let fresh = buyers.emulator.registration_token(&bought.agreement_id);
    assert_eq!(buyers.register(&fresh.unwrap()).await.status, 200);
}

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
        200
    );
}

#[tokio::test]
async fn without_tables_the_buyer_is_asked_to_come_back() {
    let buyers = Buyers::new().await;
    let bought = buyers.subscribe("examplecode1");
    let page = buyers
        .page_with(&[("SUBSCRIPTIONS_TABLE", "metering-Absent")])
        .await;
    let body = format!("{TOKEN}={}", bought.registration_token);
    let kind = Some("application/x-www-form-urlencoded");
    let answer = request(page, "POST", "/register", kind, &body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_product_of_another_stack_is_named_and_not_stored() {
    let buyers = Buyers::with_env(&[("PRODUCT_CODES", "examplecode2, examplecode3")]).await;
    let bought = buyers.subscribe("examplecode1");
    let answer = buyers.register(&bought.registration_token).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("examplecode1"));
    assert_eq!(buyers.everything_stored().await, "");
}

#[tokio::test]
async fn contact_data_is_stored_apart_and_only_for_a_signed_subscription() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode2");
    let subscription = buyers.subscription("examplecode2", &bought);
    let session = buyers.register(&bought.registration_token).await.session();
    let contact = |session: String, name: &'static str, email: &'static str| {
        let form = [
            ("subscription", session),
            ("name", name.to_owned()),
            ("company", String::new()),
            ("email", email.to_owned()),
        ];
        let buyers = &buyers;
        async move {
            let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
            buyers.post("/register/contact", &form).await
        }
    };
    // An empty form is a valid answer as well.
    assert_eq!(contact(session.clone(), "", "").await.status, 200);
    assert_eq!(buyers.ledger.contact(&subscription).await.unwrap(), None);

    let wrong = contact(session.clone(), "<b>Jane</b>", "nobody").await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.body.contains("e-mail address needs"),
        "{}",
        wrong.body
    );
    assert!(
        wrong.body.contains("&lt;b&gt;Jane"),
        "what was typed is kept, and escaped"
    );
    // The form on the error page works.
    let answer = contact(wrong.session(), "Jane", "jane@gmail.com").await;
    assert_eq!(answer.status, 200);
    let stored = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(stored.name.as_deref(), Some("Jane"));
    assert_eq!(stored.email.as_deref(), Some("jane@gmail.com"));

    // A later form adds data and does not delete any.
    contact(session.clone(), "Jane Doe", "").await;
    let stored = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(stored.email.as_deref(), Some("jane@gmail.com"));
    assert_eq!(stored.name.as_deref(), Some("Jane Doe"));

    let before = buyers.everything_stored().await;
    let forged = session.replace(&bought.customer_identifier, "CUSTFOREIGN");
    assert_ne!(forged, session);
    assert_eq!(contact(forged, "Eve", "").await.status, 400);
    assert_eq!(contact(String::new(), "Eve", "").await.status, 400);
    buyers.advance(3_600);
    assert_eq!(contact(session, "Late", "").await.status, 400);
    assert_eq!(buyers.everything_stored().await, before);
}

#[tokio::test]
async fn a_missing_or_wrong_setting_is_named_and_a_secret_is_not_shown() {
    let settings = [
        ("SUBSCRIPTIONS_TABLE", "s"),
        ("USAGE_EVENTS_TABLE", "u"),
        ("METERING_RECORDS_TABLE", "r"),
        ("AWS_REGION", "us-east-1"),
        ("SUPPORT_CONTACT", "help@example.com"),
        ("SESSION_KEY", buyers::SESSION_KEY),
    ];
    for (name, value) in [
        ("SUBSCRIPTIONS_TABLE", ""),
        ("SUPPORT_CONTACT", ""),
        ("SUPPORT_CONTACT", "call us"),
        ("SESSION_KEY", ""),
        ("SESSION_KEY", "too short"),
        ("PRODUCT_CODES", "a|b"),
        ("MARKETPLACE_ENDPOINT", "localhost:1"),
    ] {
        let env = Env::of(settings.into_iter().chain([(name, value)]));
        let error = registration::App::start(&env).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains("too short"), "{error}");
    }
    assert!(registration::App::start(&Env::of(settings)).await.is_ok());
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
        ("registration-contact", 200),
        ("registration-contact-forged", 400),
    ] {
        let answer = buyers.send(&sample(name)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    let subscription =
        "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
    let stored = buyers.ledger.contact(&subscription.parse().unwrap()).await;
    assert_eq!(stored.unwrap().unwrap().name.as_deref(), Some("Jane Doe"));
}

#[test]
fn no_bytes_make_the_landing_page_fail() {
    let names =
        "x-amzn-marketplace-token|x-amzn-marketplace-offer-type|subscription|email|[a-z]{1,8}";
    let field = format!("({names})=[A-Za-z0-9%+&=._-]{{0,40}}");
    let form = proptest::collection::vec(field.as_str(), 0..4).prop_map(|fields| fields.join("&"));
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        form.prop_map(String::into_bytes),
    ];
    let path = proptest::sample::select(vec!["/register", "/register/contact", "/"]);
    on_a_thread(|| {
        let executor = RefCell::new(Executor::default());
        let world = World::at(at("2026-11-21T09:00:00Z"), 7);
        let router = registration::router(Arc::new(world.functions.registration.clone()));
        let mut runner = TestRunner::deterministic();
        let tried = runner.run(&(path, body), |(path, body)| {
            let request = http::Request::post(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(axum::body::Body::from(body))
                .expect("a request");
            let service = TowerToHyperService::new(router.clone());
            let answer = executor
                .borrow_mut()
                .finish(async move { service.call(request).await });
            let status = answer.expect("an answer").status();
            prop_assert!(status.is_client_error(), "{} answers {}", path, status);
            Ok(())
        });
        tried.expect("every answer says what the buyer can do");
    });
}
