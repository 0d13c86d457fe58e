//! The addresses, under any path prefix: their methods, their media types, and the limit of a body.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use end_to_end::template::Template;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use simulation::run::{Executor, on_a_thread};
use simulation::world::World;

use crate::browser::{Browser, TYPED, form_token, shows};
use crate::buyers::{Buyers, FORM, TOKEN, at, form_of, request, request_with};

#[tokio::test]
async fn every_page_says_where_help_is_and_loads_nothing() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    browser.arrive(&bought.registration_token).await;
    let get = |path: &'static str| request(buyers.page, "GET", path, None, "");
    for (answer, status) in [
        (get("/").await, 200),
        (get("/register").await, 200),
        (get("/elsewhere").await, 404),
        (get("/register/contact").await, 404),
        (get("/tickets/exchange").await, 405),
        (get("/thanks").await, 200),
        (get("/sign-up").await, 400),
        (get("/sign-in").await, 404),
        (browser.get("/sign-up").await, 200),
        (buyers.register("no-such-token").await, 400),
        (buyers.register("two words").await, 400),
        (buyers.post("/register", &[]).await, 400),
        (buyers.post("/sign-up", &TYPED).await, 400),
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
async fn a_whole_registration_works_under_any_path_prefix() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for prefix in ["", "/saas", "/prod", "/a/b"] {
        let bought = buyers.subscribe("examplecode1");
        let path = format!("{prefix}/register");
        let body = form_of(&[(TOKEN, bought.registration_token.as_str())]);
        let answer = request(buyers.page, "POST", &path, Some(FORM), &body).await;
        // The browser resolves the location against the address of the request.
        assert_eq!((answer.status, answer.location()), (303, "sign-up"));
        let mut browser = Browser::at(buyers.page);
        browser.cookie = answer.cookie().map(str::to_owned);
        let page = browser.get(&format!("{prefix}/sign-up")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let token = form_token(&page);
        let mut form = vec![("form", token.as_str())];
        form.extend(TYPED);
        let answer = browser.post(&format!("{prefix}/sign-up"), &form).await;
        assert_eq!((answer.status, answer.location()), (303, "thanks"));
        let thanks = browser.get(&format!("{prefix}/thanks")).await;
        shows(&thanks, 200, "thanks.title");
        let welcome = browser.get(&format!("{prefix}/")).await;
        shows(&welcome, 200, "welcome.title");
        let keys = browser
            .get(&format!("{prefix}/.well-known/jwks.json"))
            .await;
        assert_eq!(keys.status, 200, "{}", keys.body);
    }
    let unknown = request(buyers.page, "GET", "/saas/elsewhere", None, "").await;
    shows(&unknown, 404, "not_found.title");
}

#[tokio::test]
async fn a_media_type_may_be_written_in_any_case() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    for kind in [
        "Application/X-WWW-Form-Urlencoded",
        "Application/X-WWW-Form-Urlencoded; Charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
    ] {
        let bought = buyers.subscribe("examplecode1");
        let body = form_of(&[(TOKEN, bought.registration_token.as_str())]);
        let answer = request(buyers.page, "POST", "/register", Some(kind), &body).await;
        assert_eq!(answer.status, 303, "{kind}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let buyers = Buyers::new().await;
    let form = Some(FORM);
    for path in ["/register", "/sign-up"] {
        let send = |method: &'static str, kind, body: String| async move {
            let answer = request(buyers.page, method, path, kind, &body).await;
            (answer.status, answer.header("allow").map(str::to_owned))
        };
        let field = format!("{TOKEN}=x");
        let (status, allow) = send("PUT", form, field.clone()).await;
        assert_eq!((status, allow.is_some()), (405, true));
        let json = send("POST", Some("application/json"), "{}".to_owned()).await;
        assert_eq!(json.0, 415);
        assert_eq!(send("POST", None, field.clone()).await.0, 415);
        let long = format!("{TOKEN}={}", "x".repeat(64 * 1_024));
        assert_eq!(send("POST", form, long).await.0, 413);
        assert_eq!(send("POST", form, format!("{field}&{field}")).await.0, 400);
        let long_token = format!("{TOKEN}={}", "x".repeat(9_000));
        assert_eq!(send("POST", form, long_token).await.0, 400);
        assert_eq!(send("POST", form, "%ff%00=&&==".to_owned()).await.0, 400);
    }
    let head = request(buyers.page, "HEAD", "/register", None, "").await;
    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn the_template_sends_every_address_to_the_function_with_any_method() {
    let buyers = Buyers::new().await;
    let template = Template::read();
    let events = &template.function("Registration")["Events"];
    let events = events.as_object().unwrap();
    assert_eq!(events.len(), 7);
    for (name, event) in events {
        let route = &event["Properties"];
        assert_eq!(route["Method"], "ANY", "{name}");
        assert!(route["Auth"].is_null(), "{name}: anybody may open it");
        let path = route["Path"].as_str().unwrap();
        let found = request_with(buyers.page, "DELETE", path, &[], "").await;
        shows(&found, 405, "method_not_allowed.title");
    }
}

#[test]
fn no_bytes_make_the_pages_fail() {
    let names =
        "x-amzn-marketplace-token|x-amzn-marketplace-offer-type|subscription|form|email|[a-z]{1,8}";
    let field = format!("({names})=[A-Za-z0-9%+&=._-]{{0,40}}");
    let form = proptest::collection::vec(field.as_str(), 0..4).prop_map(|fields| fields.join("&"));
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        form.prop_map(String::into_bytes),
    ];
    let paths = vec![
        "/register",
        "/sign-up",
        "/a/sign-up",
        "/tickets/exchange",
        "/",
    ];
    let path = proptest::sample::select(paths);
    let cookie = "(__Host-registration-[0-9a-f]{8}=[A-Za-z0-9._=;-]{0,40}|[ -~]{0,40})";
    on_a_thread(|| {
        let executor = RefCell::new(Executor::default());
        let world = World::at(at("2026-11-21T09:00:00Z"), 7);
        let router = registration::router(Arc::new(world.functions.registration.clone()));
        let mut runner = TestRunner::deterministic();
        let tried = runner.run(&(path, body, cookie), |(path, body, cookie)| {
            let request = http::Request::post(path)
                .header("content-type", FORM)
                .header("cookie", cookie)
                .body(Body::from(body))
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
