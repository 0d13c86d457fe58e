//! The forms that a buyer uses.

use serde_json::json;

use super::browser::{accepted, html, refused, says, send, text};
use super::common::{LEGACY, LICENSED, run, running, with};

#[test]
fn a_product_is_listed_and_subscribed_to_by_forms() {
    run(async {
        let running = running().await;
        let product = [
            ("code", "clicked"),
            ("dimensions", "gb\r\n\r\nrequests\r\n"),
            ("identity", "license"),
            ("pricing", "contract-with-consumption"),
            ("fulfillment_url", ""),
        ];
        let to = accepted(&running, "/products", &product).await;
        says(
            &text(&running, &to).await,
            &["clicked", "The product is listed"],
        );
        let listed = running.emulator.products().pop().expect("a product");
        assert_eq!(listed.dimensions, ["gb", "requests"]);
        assert_eq!(listed.fulfillment_url, None);

        says(
            &text(&running, "/subscribe?product=clicked").await,
            &["entitlement:gb", "free trial"],
        );
        let purchase = [
            ("product_code", "clicked"),
            ("account_id", "111122223333"),
            ("free_trial", "yes"),
            ("entitlement:gb", "10"),
        ];
        let to = accepted(&running, "/subscribe", &purchase).await;
        assert_eq!(to, "/purchases?account=111122223333&done=subscribed");
        says(
            &text(&running, &to).await,
            &["clicked", "began as a free trial", "Subscribed."],
        );
        let agreements = running.emulator.agreements();
        assert_eq!(agreements.len(), 1);
        assert!(agreements[0].free_trial);
        says(&text(&running, "/purchases").await, &["111122223333"]);
        says(
            &text(&running, "/agreements?product=clicked&status=ACTIVE").await,
            &[&agreements[0].agreement_id],
        );
    });
}

#[test]
fn a_subscription_without_an_account_gets_a_new_account() {
    run(async {
        let running = running().await;
        let purchase = [("product_code", LICENSED), ("account_id", " ")];
        let to = accepted(&running, "/subscribe", &purchase).await;
        let account = &running.emulator.agreements()[0].account_id;
        assert!(to.contains(account.as_str()), "{to}");
    });
}

#[test]
fn setting_up_an_account_posts_a_fresh_token_to_the_fulfillment_url() {
    run(async {
        let running = running().await;
        let url = "http://127.0.0.1:9999/register?a=1&b=2";
        accepted(&running, "/fulfillment-url", &[("url", url)]).await;
        assert_eq!(running.emulator.fulfillment_url().as_deref(), Some(url));
        let bought = [("product_code", LICENSED), ("free_trial", "yes")];
        accepted(&running, "/subscribe", &bought).await;
        let agreement = running.emulator.agreements().remove(0);
        let form = [("agreement_id", agreement.agreement_id.as_str())];
        let first = send(&running, "/set-up", &form).await;
        let second = send(&running, "/set-up", &form).await;
        let tokens = [&first, &second].map(|answer| {
            assert_eq!(answer.status, 200);
            let page = html(answer);
            says(
                &page,
                &[
                    "You are leaving for the seller's site",
                    "action=\"http://127.0.0.1:9999/register?a=1&amp;b=2\" enctype=\"application/x-www-form-urlencoded\"",
                    "name=\"x-amzn-marketplace-offer-type\" value=\"free-trial\"",
                ],
            );
            let policy = answer.headers["content-security-policy"].to_str().expect("text");
            says(policy, &["form-action http: https:"]);
            let (_, rest) = page
                .split_once("name=\"x-amzn-marketplace-token\" value=\"")
                .expect("a token");
            rest.split('"').next().expect("its end").to_owned()
        });
        assert_ne!(tokens[0], tokens[1]);
        let resolve = json!({"RegistrationToken": tokens[1]}).to_string();
        let target = "AWSMPMeteringService.ResolveCustomer";
        let resolved = running.try_aws(target, resolve.as_bytes()).await;
        let resolved = resolved.expect("an answer").json();
        assert_eq!(resolved["LicenseArn"], agreement.license_arn);
    });
}

#[test]
fn a_product_may_have_a_fulfillment_url_of_its_own() {
    run(async {
        let running = running().await;
        let own = "https://seller.example/own";
        let product = json!({"code": "own", "dimensions": ["d"], "identity": "license", "fulfillment_url": own});
        let answer = running.control("POST", "products", &product).await;
        assert_eq!(answer.status, 201);
        let saved = running.emulator.save().expect("a world");
        running.emulator.load(&saved).expect("the same world");
        let agreement = running.buys("own");
        let form = [("agreement_id", agreement.agreement_id.as_str())];
        let page = html(&send(&running, "/set-up", &form).await);
        says(&page, &["action=\"https://seller.example/own\""]);
        assert!(!page.contains("free-trial"), "{page}");

        let moved = with(&product, "fulfillment_url", "https://seller.example/new");
        assert_eq!(
            running.control("POST", "products", &moved).await.status,
            201
        );
        let page = html(&send(&running, "/set-up", &form).await);
        says(&page, &["action=\"https://seller.example/new\""]);
        let bad = with(&product, "fulfillment_url", "javascript:alert(1)");
        let answer = running.control("POST", "products", &bad).await;
        assert_eq!(answer.status, 400);
        says(&html(&answer), &["javascript:alert(1)", "http://"]);
    });
}

#[test]
fn without_a_fulfillment_url_the_console_says_how_to_set_one() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        let path = format!("/purchases?account={}", agreement.account_id);
        says(&text(&running, &path).await, &["set a fulfillment URL"]);
        let form = [("agreement_id", agreement.agreement_id.as_str())];
        let page = refused(&running, "/set-up", &form, 409).await;
        says(&page, &["--fulfillment-url", LICENSED]);
    });
}

#[test]
fn the_fulfillment_url_is_set_over_the_control_interface_too() {
    run(async {
        let running = running().await;
        let url = json!({"url": "http://127.0.0.1:1/register"});
        let set = running.control("PUT", "fulfillment-url", &url).await;
        assert_eq!((set.status, set.json()), (200, url.clone()));
        running.emulator.reset();
        let kept = running
            .control("GET", "fulfillment-url", &json!(null))
            .await;
        assert_eq!(kept.json(), url, "a reset keeps the URL");
        for bad in [json!({"url": "/register"}), json!({}), json!({"uri": null})] {
            let answer = running.control("PUT", "fulfillment-url", &bad).await;
            assert_eq!(answer.status, 400, "{bad}");
        }
        let none = running
            .control("PUT", "fulfillment-url", &json!({"url": null}))
            .await;
        assert_eq!(none.json(), json!({"url": null}));
    });
}

#[test]
fn an_agreement_is_suspended_resumed_amended_renewed_and_cancelled_by_buttons() {
    run(async {
        let running = running().await;
        let bought = running.buys(LEGACY);
        let change = async |id: &str, change: &str| {
            let fields = [
                ("agreement_id", id),
                ("account", bought.account_id.as_str()),
                ("change", change),
            ];
            let to = accepted(&running, "/change", &fields).await;
            text(&running, &to).await
        };
        let id = bought.agreement_id.as_str();
        says(
            &change(id, "suspend").await,
            &["the account is suspended", "Resume"],
        );
        assert!(running.emulator.agreements()[0].suspended);
        change(id, "resume").await;
        assert!(!running.emulator.agreements()[0].suspended);
        assert!(!running.emulator.take_lifecycle().is_empty());
        change(id, "amend").await;
        assert!(!running.emulator.take_lifecycle().is_empty());
        says(
            &change(id, "renew").await,
            &["Renewed: another agreement replaced it"],
        );
        let renewed = running.emulator.agreements().pop().expect("the new one");
        says(
            &change(&renewed.agreement_id, "cancel").await,
            &["Cancelled</span> – usage is still accepted"],
        );
        assert_eq!(running.emulator.agreements()[1].status, "CANCELLED");
        says(
            &text(&running, "/agreements").await,
            &[
                &bought.customer_identifier,
                &bought.license_arn,
                "CANCELLED",
            ],
        );

        let again = [
            ("agreement_id", id),
            ("account", &bought.account_id),
            ("change", "cancel"),
        ];
        says(
            &refused(&running, "/change", &again, 409).await,
            &[id, "ended at"],
        );
        let unknown = [("agreement_id", id), ("change", "sell")];
        says(
            &refused(&running, "/change", &unknown, 400).await,
            &["`sell`", "cancel, renew"],
        );
        let nobody = [("agreement_id", "agmt-0"), ("change", "cancel")];
        says(
            &refused(&running, "/change", &nobody, 404).await,
            &["agmt-0"],
        );
    });
}

#[test]
fn the_program_takes_a_fulfillment_url_that_a_browser_can_post_to() {
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--listen", "127.0.0.1:0", "--fulfillment-url", "/register"])
        .output()
        .expect("the program");
    assert!(!program.status.success());
    let stderr = String::from_utf8(program.stderr).expect("UTF-8");
    says(&stderr, &["--fulfillment-url", "`/register`", "http://"]);
}
