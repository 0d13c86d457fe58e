//! Each visit has its page: the first one, a sign-up that is taken up again or was completed,
//! another license or product of the same account, a free trial, and a subscription that was
//! cancelled or bought again.

use emulator::{Agreement, NewAgreement};
use marketplace::lifecycle::Status;

use crate::browser::{Browser, TYPED, says};
use crate::buyers::{Answer, Buyers, TOKEN, event_of};

/// The titles of the sign-up page.
const TITLES: [&str; 3] = [
    "sign_up.title",
    "sign_up.unfinished_title",
    "sign_up.finished_title",
];

/// The sentences of the sign-up page about the purchase and the buyer's other subscriptions.
const SENTENCES: [&str; 5] = [
    "sign_up.ending",
    "sign_up.ended",
    "sign_up.free_trial",
    "sign_up.same_product",
    "sign_up.other_products",
];

/// Checks that a page is the sign-up page with this title and these sentences only.
#[track_caller]
fn check(page: &Answer, title: &str, sentences: &[&str]) {
    assert_eq!(page.status, 200, "{}", page.body);
    let found = |ids: &[&'static str]| -> Vec<&'static str> {
        let ids = ids.iter().copied();
        ids.filter(|id| says(page, id)).collect()
    };
    assert_eq!(found(&TITLES), [title], "{}", page.body);
    assert_eq!(found(&SENTENCES), sentences, "{}", page.body);
}

/// Arrives with a token, and opens the sign-up page.
async fn visit(browser: &mut Browser, token: &str) -> Answer {
    let answer = browser.arrive(token).await;
    assert_eq!((answer.status, answer.location()), (303, "sign-up"));
    browser.get("/sign-up").await
}

/// Delivers every lifecycle event that is due.
async fn deliver(buyers: &Buyers) {
    for message in buyers.emulator.take_lifecycle() {
        buyers.deliver(event_of(message)).await;
    }
}

async fn buyers() -> Buyers {
    let buyers = Buyers::new().await;
    buyers.configure_products().await;
    buyers
}

/// The same account buys another product, or the same one again.
fn buy_more(buyers: &Buyers, first: &Agreement, product: &str) -> Agreement {
    let more = NewAgreement::of(product).by(&first.account_id);
    buyers.emulator.add_agreement(more).unwrap()
}

#[tokio::test]
async fn the_first_visit_is_new_and_says_that_aws_still_confirms_the_purchase() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = visit(&mut browser, &bought.registration_token).await;
    check(&page, "sign_up.title", &[]);
    assert!(says(&page, "sign_up.pending"), "{}", page.body);
    // A reload is no other visit.
    buyers.advance(300);
    check(&browser.get("/sign-up").await, "sign_up.title", &[]);
    deliver(&buyers).await;
    let page = browser.get("/sign-up").await;
    check(&page, "sign_up.title", &[]);
    assert!(!says(&page, "sign_up.pending"), "{}", page.body);
}

#[tokio::test]
async fn an_unfinished_sign_up_is_taken_up_again() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode2");
    visit(&mut Browser::at(buyers.page), &bought.registration_token).await;
    buyers.advance(3_600);
    let mut browser = Browser::at(buyers.page);
    let page = visit(&mut browser, &bought.registration_token).await;
    check(&page, "sign_up.unfinished_title", &[]);
    let thanks = browser.submit(&page, &TYPED).await;
    assert_eq!((thanks.status, thanks.location()), (303, "thanks"));
}

#[tokio::test]
async fn a_completed_sign_up_can_be_sent_again_and_shows_nothing_that_is_stored() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = visit(&mut browser, &bought.registration_token).await;
    browser.submit(&page, &TYPED).await;
    buyers.advance(60);
    let mut other_person = Browser::at(buyers.page);
    let page = visit(&mut other_person, &bought.registration_token).await;
    check(&page, "sign_up.finished_title", &[]);
    for (_, value) in TYPED.iter().filter(|(_, value)| !value.is_empty()) {
        assert!(!page.body.contains(value), "{value} is in {}", page.body);
    }
    let mut changed = TYPED;
    changed[1] = ("name", "John Doe");
    changed[3] = ("note", "Please call");
    let thanks = other_person.submit(&page, &changed).await;
    assert_eq!(thanks.status, 303);
    let subscription = buyers.subscription("examplecode1", &bought);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["name"], "John Doe");
    assert_eq!(contact.fields["note"], "Please call");
    assert_eq!(contact.fields["email"], "jane@example.com");
}

#[tokio::test]
async fn a_second_license_and_another_product_of_the_account_are_kept_apart() {
    let buyers = buyers().await;
    let first = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let page = visit(&mut browser, &first.registration_token).await;
    browser.submit(&page, &TYPED).await;

    let second = buy_more(&buyers, &first, "examplecode1");
    let page = visit(&mut browser, &second.registration_token).await;
    check(&page, "sign_up.title", &["sign_up.same_product"]);
    let mut typed = TYPED;
    typed[1] = ("name", "John Doe");
    browser.submit(&page, &typed).await;

    let third = buy_more(&buyers, &first, "examplecode3");
    let page = visit(&mut browser, &third.registration_token).await;
    check(&page, "sign_up.title", &["sign_up.other_products"]);
    // Each license has its own contact data.
    for (bought, name) in [(&first, "Jane Doe"), (&second, "John Doe")] {
        let subscription = buyers.subscription("examplecode1", bought);
        let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
        assert_eq!(contact.fields["name"], name);
    }
    let of_third = buyers.subscription("examplecode3", &third);
    assert_eq!(buyers.ledger.contact(&of_third).await.unwrap(), None);
}

#[tokio::test]
async fn a_free_trial_is_shown_as_one() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut browser = Browser::at(buyers.page);
    let form = [
        (TOKEN, bought.registration_token.as_str()),
        ("x-amzn-marketplace-offer-type", "free-trial"),
    ];
    browser.arrive_with(&form).await;
    let page = browser.get("/sign-up").await;
    check(&page, "sign_up.title", &["sign_up.free_trial"]);
}

#[tokio::test]
async fn a_cancelled_subscription_says_so_and_can_still_be_registered() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let mut begun = Browser::at(buyers.page);
    visit(&mut begun, &bought.registration_token).await;
    deliver(&buyers).await;
    let cancelled = buyers.emulator.cancel_agreement(&bought.agreement_id);
    cancelled.unwrap();
    buyers.advance(1_800);
    deliver(&buyers).await;
    // The sign-up was open while the subscription was cancelled.
    let page = begun.get("/sign-up").await;
    check(&page, "sign_up.title", &["sign_up.ending"]);
    assert_eq!(begun.submit(&page, &TYPED).await.status, 303);
    let subscription = buyers.subscription("examplecode1", &bought);
    let contact = buyers.ledger.contact(&subscription).await.unwrap().unwrap();
    assert_eq!(contact.fields["name"], "Jane Doe");
}

/// The buyer comes before AWS has reported the new purchase.
#[tokio::test]
async fn a_buyer_who_buys_again_is_not_turned_away_while_the_old_purchase_is_the_last_known() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode2");
    let subscription = buyers.subscription("examplecode2", &bought);
    let mut browser = Browser::at(buyers.page);
    visit(&mut browser, &bought.registration_token).await;
    let cancelled = buyers.emulator.cancel_agreement(&bought.agreement_id);
    cancelled.unwrap();
    deliver(&buyers).await;
    // The reconciler closes the subscription when all of its usage is metered.
    let old = buyers.profile(&subscription).await.unwrap();
    let mut profile = old.clone();
    profile.lifecycle.closed_at = Some(buyers.emulator.now());
    assert_eq!(profile.status(), Status::Ended);
    buyers.ledger.change_profile(&old, &profile).await.unwrap();
    let page = visit(&mut browser, &bought.registration_token).await;
    assert_eq!(page.status, 200);
    assert!(says(&page, "sign_up.ended"), "{}", page.body);
    assert_eq!(browser.submit(&page, &TYPED).await.status, 303);
}

#[tokio::test]
async fn a_damaged_entry_in_the_list_of_an_account_keeps_nobody_out() {
    let buyers = buyers().await;
    let bought = buyers.subscribe("examplecode1");
    let partition = format!("buyer-account|{}", bought.account_id);
    let attributes = [
        ("subscription", partition.as_str()),
        ("item", "subscription#nonsense"),
    ];
    buyers.put(&attributes).await;
    let page = visit(&mut Browser::at(buyers.page), &bought.registration_token).await;
    check(&page, "sign_up.title", &[]);
}
