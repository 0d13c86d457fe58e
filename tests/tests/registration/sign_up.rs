//! What a buyer types on the sign-up page is checked, stored apart from everything else, and shown
//! again only in the form that is to be corrected.

use crate::browser::{Browser, TYPED, shows};
use crate::buyers::{Answer, Buyers};

/// A buyer's browser with the open sign-up page.
async fn opened(buyers: &Buyers, token: &str) -> (Browser, Answer) {
    let mut browser = Browser::at(buyers.page);
    browser.arrive(token).await;
    let page = browser.get("/sign-up").await;
    assert_eq!(page.status, 200, "{}", page.body);
    (browser, page)
}

/// The default values with one of them changed.
fn with(id: &'static str, value: &'static str) -> [(&'static str, &'static str); 4] {
    TYPED.map(|(field, typed)| match field == id {
        true => (field, value),
        false => (field, typed),
    })
}

#[tokio::test]
async fn contact_data_is_stored_under_the_license_of_the_cookie() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode2");
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    let foreign = "legacy|examplecode2|CUSTFOREIGN";
    let mut typed = with("name", "  Müller & Søn, 株式会社  ").to_vec();
    typed.extend([("subscription", foreign), ("is_admin", "yes")]);
    let answer = browser.submit(&page, &typed).await;
    assert_eq!((answer.status, answer.location()), (303, "thanks"));
    let subscription = buyers.subscription("examplecode2", &bought);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["name"], "Müller & Søn, 株式会社");
    assert_eq!(contact.fields["company"], "Example Corp.");
    // A field that was left empty and fields that the page does not have are not stored.
    assert_eq!(contact.fields.len(), 3);
    assert_eq!(contact.completed_at, Some(buyers.emulator.now()));
    let stored = buyers.everything_stored().await;
    assert!(!stored.contains("CUSTFOREIGN") && !stored.contains("is_admin"));
    shows(&browser.get("/thanks").await, 200, "thanks.title");
}

#[tokio::test]
async fn a_mistake_is_shown_with_what_was_typed_and_can_be_corrected() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let subscription = buyers.subscription("examplecode1", &bought);
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    let mut wrong = with("name", "<b>Jane</b>");
    wrong[2] = ("email", "nobody");
    let answer = browser.submit(&page, &wrong).await;
    shows(&answer, 422, "problem.email");
    assert!(
        answer.body.contains("&lt;b&gt;Jane") && !answer.body.contains("<b>Jane"),
        "what was typed is kept, and escaped"
    );
    assert_eq!(buyers.ledger.contact(&subscription).await.unwrap(), None);
    // The form on the error page works.
    let answer = browser.submit(&answer, &TYPED).await;
    assert_eq!(answer.status, 303);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["name"], "Jane Doe");
}

#[tokio::test]
async fn each_rule_of_a_field_has_its_message() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    for (id, value, problem) in [
        ("email", "", "problem.missing"),
        ("email", "nobody", "problem.email"),
        ("name", "a\u{7}bell", "problem.control"),
        ("company", "two\r\nlines", "problem.control"),
    ] {
        let answer = browser.submit(&page, &with(id, value)).await;
        shows(&answer, 422, problem);
    }
    let long = "x".repeat(255);
    let mut typed = TYPED.to_vec();
    typed[1] = ("name", &long);
    let answer = browser.submit(&page, &typed).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("254"), "{}", answer.body);
    let longer = "x".repeat(2_001);
    typed[1] = TYPED[1];
    typed[3] = ("note", &longer);
    assert_eq!(browser.submit(&page, &typed).await.status, 422);
    let lines = with("note", "first\r\nsecond");
    assert_eq!(browser.submit(&page, &lines).await.status, 303);
    let subscription = buyers.subscription("examplecode1", &bought);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["note"], "first\nsecond");
}

#[tokio::test]
async fn a_later_form_adds_data_and_deletes_none() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let first_time = buyers.emulator.now();
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    browser.submit(&page, &with("note", "Please call")).await;
    buyers.advance(60);
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    browser.submit(&page, &with("name", "Jane Roe")).await;
    let subscription = buyers.subscription("examplecode1", &bought);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["name"], "Jane Roe");
    assert_eq!(contact.fields["note"], "Please call");
    assert_eq!(contact.completed_at, Some(first_time));
}

#[tokio::test]
async fn a_form_that_is_sent_twice_stores_the_same_once() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let (first, page) = opened(&buyers, &bought.registration_token).await;
    let again = || {
        let mut browser = Browser::at(buyers.page);
        browser.cookie.clone_from(&first.cookie);
        let page = &page;
        async move { browser.submit(page, &TYPED).await }
    };
    // A double click.
    let answers = tokio::join!(again(), again(), again());
    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!((answer.status, answer.location()), (303, "thanks"));
    }
    let before = buyers.everything_stored().await;
    buyers.advance(60);
    assert_eq!(again().await.status, 303);
    assert_eq!(buyers.everything_stored().await, before);
}

#[tokio::test]
async fn contact_data_of_the_first_form_is_kept() {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    let bought = buyers.subscribe("examplecode1");
    let subscription = buyers.subscription("examplecode1", &bought);
    let key = subscription.to_string();
    let client = buyers.client();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let version = aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned());
    client
        .put_item()
        .table_name(&buyers.ledger.tables().subscriptions)
        .item("subscription", text(&key))
        .item("item", text("contact"))
        .item("version", version)
        .item("name", text("Jane Doe"))
        .item("company", text("Earlier Corp."))
        .send()
        .await
        .unwrap();
    let (mut browser, page) = opened(&buyers, &bought.registration_token).await;
    shows(&page, 200, "sign_up.finished_title");
    browser.submit(&page, &TYPED).await;
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["company"], "Example Corp.");
    assert_eq!(contact.version, 2);
    let stored = buyers.everything_stored().await;
    assert!(!stored.contains("Earlier Corp."), "{stored}");
}
