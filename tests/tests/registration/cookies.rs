//! The cookie names one license, for an hour. A form for another license is refused, and so is a
//! form from another site.

use crate::browser::{Browser, TYPED, form_token, shows};
use crate::buyers::{Answer, Buyers, FORM, form_of};

async fn buyers() -> Buyers {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    buyers
}

async fn open(browser: &mut Browser, token: &str) -> Answer {
    browser.arrive(token).await;
    browser.get("/sign-up").await
}

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_is_removed_at_the_end() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let answer = browser.arrive(&bought.registration_token).await;
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-registration-"), "{set}");
    let attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600";
    assert!(set.ends_with(attributes), "{set}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let page = browser.get("/sign-up").await;
    assert_eq!(page.header("set-cookie"), None);
    let thanks = browser.submit(&page, &TYPED).await;
    assert!(thanks.header("set-cookie").unwrap().ends_with("Max-Age=0"));
    shows(&browser.get("/sign-up").await, 400, "no_cookie.title");
}

#[tokio::test]
async fn without_a_cookie_no_page_knows_a_license() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = open(&mut browser, &bought.registration_token).await;
    browser.cookie = None;
    shows(&browser.get("/sign-up").await, 400, "no_cookie.title");
    let answer = browser.submit(&page, &TYPED).await;
    shows(&answer, 400, "no_cookie.title");
    assert!(answer.body.contains("Set up your account"));
}

#[tokio::test]
async fn a_cookie_is_valid_for_an_hour() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = open(&mut browser, &bought.registration_token).await;
    buyers.advance(3_599);
    assert_eq!(browser.get("/sign-up").await.status, 200);
    buyers.advance(1);
    shows(&browser.get("/sign-up").await, 400, "set_up_again.title");
    let before = buyers.everything_stored().await;
    let answer = browser.submit(&page, &TYPED).await;
    shows(&answer, 400, "set_up_again.title");
    assert_eq!(buyers.everything_stored().await, before);
}

#[tokio::test]
async fn a_forged_cookie_is_refused() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode2");
    let mut browser = Browser::at(buyers.page);
    let page = open(&mut browser, &bought.registration_token).await;
    let other = buyers.subscribe("examplecode2");
    let mut of_other = Browser::at(buyers.page);
    of_other.arrive(&other.registration_token).await;
    let before = buyers.everything_stored().await;
    let [cookie, of_other] = [&browser, &of_other].map(|browser| browser.cookie.clone().unwrap());
    let (name, value) = cookie.split_once('=').unwrap();
    let (payload, signature) = value.split_once('.').unwrap();
    let other_payload = of_other.split(['=', '.']).nth(1).unwrap();
    for forged in [
        format!("{name}={other_payload}.{signature}"),
        format!("{name}={payload}.{}", "0".repeat(64)),
        format!("{name}={payload}"),
        format!("{name}=.{signature}"),
    ] {
        browser.cookie = Some(forged.clone());
        let shown = browser.get("/sign-up").await;
        shows(&shown, 400, "set_up_again.title");
        let answer = browser.submit(&page, &TYPED).await;
        assert_eq!(answer.status, 400, "{forged}");
    }
    assert_eq!(buyers.everything_stored().await, before);
}

/// The buyer registers two licenses in two tabs. The cookie belongs to the second one.
#[tokio::test]
async fn a_form_of_another_license_is_refused() {
    let buyers = buyers().await;
    let first = buyers.subscribe("examplecode1");
    let second = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let first_tab = open(&mut browser, &first.registration_token).await;
    let second_tab = open(&mut browser, &second.registration_token).await;
    assert_ne!(form_token(&first_tab), form_token(&second_tab));
    let answer = browser.submit(&first_tab, &TYPED).await;
    shows(&answer, 400, "wrong_form.title");
    let first = buyers.subscription("examplecode1", &first);
    let second = buyers.subscription("examplecode1", &second);
    for subscription in [&first, &second] {
        let contact = buyers.ledger.contact(subscription).await.unwrap();
        assert_eq!(contact, None);
    }
    assert_eq!(browser.submit(&second_tab, &TYPED).await.status, 303);
    assert_eq!(buyers.ledger.contact(&first).await.unwrap(), None);
    assert!(buyers.ledger.contact(&second).await.unwrap().is_some());
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = open(&mut browser, &bought.registration_token).await;
    let token = form_token(&page);
    let mut form = vec![("form", token.as_str())];
    form.extend(TYPED);
    let body = form_of(&form);
    for (site, status) in [
        ("cross-site", 400),
        ("same-site", 400),
        ("", 400),
        ("none", 303),
    ] {
        let headers = [("content-type", FORM), ("sec-fetch-site", site)];
        let cookie = browser.cookie.clone();
        let answer = browser.send("POST", "/sign-up", &headers, &body).await;
        assert_eq!(answer.status, status, "{site}: {}", answer.body);
        browser.cookie = cookie;
    }
    // An attacker's page does not know the hidden value.
    for guessed in ["", "0", &"0".repeat(64)] {
        let mut form = vec![("form", guessed)];
        form.extend(TYPED);
        let answer = browser.post("/sign-up", &form).await;
        shows(&answer, 400, "wrong_form.title");
    }
    shows(
        &browser.post("/sign-up", &TYPED).await,
        400,
        "wrong_form.title",
    );
    // Older browsers do not send the header.
    let headers = [("content-type", FORM)];
    let answer = browser.send("POST", "/sign-up", &headers, &body).await;
    assert_eq!(answer.status, 303);
}
