//! The console over HTTP: what its pages say, what its forms do, and what it refuses.

mod common;

use common::{Answer, LEGACY, LICENSED, Running, by_license, run, running, with};
use emulator::{FaultKind, When};
use serde_json::json;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn page(running: &Running, path: &str) -> Answer {
    let path = format!("/_emulator/console{path}");
    running
        .http("GET", &path, &[], Vec::new())
        .await
        .expect("an answer")
}

async fn text(running: &Running, path: &str) -> String {
    let answer = page(running, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", html(&answer));
    html(&answer)
}

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).expect("UTF-8")
}

async fn send(running: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    let encode = |text: &str| {
        let bytes = text.bytes();
        bytes.map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let path = format!("/_emulator/console{path}");
    running
        .http("POST", &path, &[FORM], body.join("&").into_bytes())
        .await
        .expect("an answer")
}

/// Sends a form that is taken, and gives back where the answer leads.
async fn taken(running: &Running, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = send(running, path, fields).await;
    assert_eq!(answer.status, 303, "{path}: {}", html(&answer));
    let to = answer.headers["location"].to_str().expect("a location");
    to.strip_prefix("/_emulator/console")
        .expect("a page of the console")
        .to_owned()
}

/// Sends a form that is not, and gives back the page that says why.
async fn refused(running: &Running, path: &str, fields: &[(&str, &str)], status: u16) -> String {
    let answer = send(running, path, fields).await;
    let page = html(&answer);
    assert_eq!(answer.status, status, "{path} {fields:?}: {page}");
    assert!(page.contains("<h1>"), "{page}");
    page
}

#[track_caller]
fn says(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "no {word:?} in {page}");
    }
}

#[test]
fn a_browser_is_led_from_the_bare_address_to_the_console() {
    run(async {
        let running = running().await;
        let answer = running.http("GET", "/", &[], Vec::new()).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 303);
        assert_eq!(answer.headers["location"], "/_emulator/console");
    });
}

#[test]
fn every_page_can_be_read_and_found_without_scripts_or_foreign_parts() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        running.meter(&[by_license(&agreement)]).await;
        let paths = [
            "",
            "/products",
            "/subscribe?product=licensedproduct1",
            "/purchases",
            "/agreements",
            "/metered",
            "/calls",
            "/calls/1",
            "/clock",
            "/faults",
            "/readings",
        ];
        for path in paths {
            let answer = page(&running, path).await;
            let page = html(&answer);
            assert_eq!(answer.status, 200, "{path}: {page}");
            let policy = answer.headers["content-security-policy"].to_str();
            let policy = policy.expect("a policy");
            says(
                policy,
                &[
                    "default-src 'none'",
                    "form-action 'self'",
                    "frame-ancestors 'none'",
                ],
            );
            assert_eq!(answer.headers["cache-control"], "no-store");
            says(
                &page,
                &[
                    "<html lang=\"en\">",
                    "href=\"#main\"",
                    "<main id=\"main\"",
                    "<nav ",
                    "<h1>",
                ],
            );
            for foreign in ["<script", "style=\"", "src=", "href=\"http", "onclick"] {
                assert!(!page.contains(foreign), "{path} has {foreign}");
            }
            let tables = page.matches("<table").count();
            assert_eq!(page.matches("<caption>").count(), tables, "{path}");
            assert_eq!(page.matches("<h1>").count(), 1, "{path}");
        }
        says(
            &text(&running, "/clock").await,
            &["href=\"/_emulator/console/clock\" aria-current=\"page\""],
        );
        let style = page(&running, "/console.css").await;
        assert_eq!(style.status, 200);
        assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
        says(&html(&style), &["prefers-color-scheme: dark"]);
    });
}

#[test]
fn every_field_has_a_label() {
    run(async {
        let running = running().await;
        running.buys(LICENSED);
        for path in [
            "/products",
            "/subscribe?product=legacyproduct1",
            "/agreements",
            "/metered",
            "/calls",
            "/clock",
            "/faults",
        ] {
            let page = text(&running, path).await;
            for (_, rest) in page
                .match_indices(" id=\"")
                .map(|(at, _)| page.split_at(at + 5))
            {
                let id = rest.split('"').next().expect("an id");
                let tag = format!("id=\"{id}\" name=\"");
                if page.contains(&tag) {
                    says(&page, &[&format!("for=\"{id}\"")]);
                }
            }
        }
    });
}

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
        let to = taken(&running, "/products", &product).await;
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
        let to = taken(&running, "/subscribe", &purchase).await;
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
fn an_account_may_be_left_to_chance() {
    run(async {
        let running = running().await;
        let purchase = [("product_code", LICENSED), ("account_id", " ")];
        let to = taken(&running, "/subscribe", &purchase).await;
        let account = &running.emulator.agreements()[0].account_id;
        assert!(to.contains(account.as_str()), "{to}");
    });
}

#[test]
fn setting_up_an_account_posts_a_fresh_token_to_the_fulfillment_url() {
    run(async {
        let running = running().await;
        let url = "http://127.0.0.1:9999/register?a=1&b=2";
        taken(&running, "/fulfillment-url", &[("url", url)]).await;
        assert_eq!(running.emulator.fulfillment_url().as_deref(), Some(url));
        let bought = [("product_code", LICENSED), ("free_trial", "yes")];
        taken(&running, "/subscribe", &bought).await;
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
        assert_eq!(kept.json(), url, "the URL outlives a reset");
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
            let to = taken(&running, "/change", &fields).await;
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
        let told = running.emulator.take_lifecycle().len();
        assert!(told > 0);
        change(id, "amend").await;
        assert!(!running.emulator.take_lifecycle().is_empty());
        says(
            &change(id, "renew").await,
            &["Renewed: another agreement took over"],
        );
        let renewed = running.emulator.agreements().pop().expect("the new one");
        says(
            &change(&renewed.agreement_id, "cancel").await,
            &["Cancelled</span>, usage is still accepted"],
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
fn the_clock_is_advanced_set_frozen_and_sped_up_by_forms() {
    run(async {
        let running = running().await;
        let to = taken(&running, "/clock", &[("advance", "1h")]).await;
        says(
            &text(&running, &to).await,
            &["2026-11-21 13:00:00", "frozen", "Advance one hour"],
        );
        taken(
            &running,
            "/clock",
            &[("now", "2026-12-01T05:00:00Z"), ("speed", "")],
        )
        .await;
        assert_eq!(running.emulator.now(), common::at("2026-12-01T05:00:00Z"));
        taken(&running, "/clock", &[("speed", "60")]).await;
        says(
            &text(&running, "/clock").await,
            &["60 times as fast", "Freeze"],
        );
        taken(&running, "/clock", &[("speed", "0")]).await;
        let frozen = running.emulator.now();
        for (field, bad, words) in [
            ("advance", "a while", "not a duration"),
            ("now", "noon", "2026-11-21T12:00:00Z"),
            ("speed", "fast", "must be a number"),
            ("speed", "-1", "0 (frozen) or more"),
        ] {
            let page = refused(&running, "/clock", &[(field, bad)], 400).await;
            says(
                &page,
                &[
                    bad,
                    words,
                    "Nothing was changed",
                    &format!("value=\"{bad}\""),
                ],
            );
        }
        assert_eq!(running.emulator.now(), frozen);
    });
}

#[test]
fn faults_are_switched_on_seen_removed_and_cleared_by_forms() {
    run(async {
        let running = running().await;
        let throttled = [
            ("kind", "throttling"),
            ("operation", "BatchMeterUsage"),
            ("rate", "0.25"),
            ("next", ""),
            ("records", ""),
            ("delay_ms", ""),
            ("seed", "7"),
        ];
        taken(&running, "/faults", &throttled).await;
        let unprocessed = [
            ("kind", "unprocessed"),
            ("operation", "*"),
            ("next", "2"),
            ("records", "3"),
        ];
        taken(&running, "/faults", &unprocessed).await;
        let delay = [
            ("kind", "delay"),
            ("operation", "ResolveCustomer"),
            ("next", "1"),
            ("delay_ms", "20"),
        ];
        taken(&running, "/faults", &delay).await;
        let faults = running.emulator.faults();
        assert_eq!(faults.seed, 7);
        let kinds: Vec<FaultKind> = faults.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(
            kinds,
            [
                FaultKind::Throttling,
                FaultKind::Unprocessed,
                FaultKind::Delay
            ]
        );
        assert_eq!(faults.faults[0].when, When::Rate(0.25));
        assert_eq!(
            (faults.faults[1].when, faults.faults[1].records),
            (When::Next(2), 3)
        );
        assert_eq!(faults.faults[2].delay_ms, 20);
        says(
            &text(&running, "/faults").await,
            &[
                "0.25 of the calls",
                "the next 2 calls",
                "every operation",
                "20 ms",
                "Clear all",
            ],
        );

        let stale = [("place", "0"), ("kind", "delay")];
        says(
            &refused(&running, "/faults/remove", &stale, 400).await,
            &["have changed"],
        );
        taken(
            &running,
            "/faults/remove",
            &[("place", "0"), ("kind", "throttling")],
        )
        .await;
        assert_eq!(running.emulator.faults().faults.len(), 2);
        taken(&running, "/faults/clear", &[]).await;
        assert!(running.emulator.faults().faults.is_empty());
        says(&text(&running, "/faults").await, &["Nothing goes wrong"]);

        for (field, bad, words) in [
            ("rate", "2", "not between 0 and 1"),
            ("rate", "often", "must be a number"),
            ("next", "-1", "a whole number"),
            ("operation", "Meter", "no such operation"),
            ("kind", "flood", "unknown variant"),
            ("delay_ms", "5", "absent otherwise"),
        ] {
            let mut fields = vec![("kind", "throttling"), ("operation", "*")];
            if !["rate", "next"].contains(&field) {
                fields.push(("next", "1"));
            }
            fields.retain(|(name, _)| *name != field);
            fields.push((field, bad));
            let page = refused(&running, "/faults", &fields, 400).await;
            says(&page, &[bad, words]);
        }
        let neither = [("kind", "throttling"), ("operation", "*")];
        says(
            &refused(&running, "/faults", &neither, 400).await,
            &["exactly one"],
        );
        assert!(running.emulator.faults().faults.is_empty());
    });
}

#[test]
fn readings_are_answered_by_a_form() {
    run(async {
        let running = running().await;
        says(
            &text(&running, "/readings").await,
            &["A quantity of zero", "leaves-slot-free"],
        );
        let fields = [
            ("zero_quantity", "leaves-slot-free"),
            ("five_tags", "per-record"),
        ];
        taken(&running, "/readings", &fields).await;
        let set = serde_json::to_value(running.emulator.readings()).expect("readings");
        assert_eq!(set["zero_quantity"], "leaves-slot-free");
        assert_eq!(set["five_tags"], "per-record");
        assert_eq!(set["slot_scope"], "region");
        says(
            &text(&running, "/readings").await,
            &["value=\"leaves-slot-free\" checked"],
        );
        let bad = [("zero_quantity", "maybe")];
        says(
            &refused(&running, "/readings", &bad, 400).await,
            &[
                "`zero_quantity` is `maybe`",
                "spends-slot or leaves-slot-free",
            ],
        );
        let unknown = [("colour", "red")];
        says(
            &refused(&running, "/readings", &unknown, 400).await,
            &["colour"],
        );
    });
}

#[test]
fn refusals_are_explained_in_plain_words() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        let record = by_license(&agreement);
        running.meter(std::slice::from_ref(&record)).await;
        running.meter(&[with(&record, "Quantity", 2)]).await;
        running
            .meter(&[with(&record, "Dimension", "nothing")])
            .await;
        let old = with(&record, "Timestamp", common::epoch("2026-11-20T11:00:00Z"));
        running.meter(&[old]).await;
        let lost =
            json!({"faults": [{"operation": "BatchMeterUsage", "kind": "drop-after", "next": 1}]});
        running.control("PUT", "faults", &lost).await;
        let body = json!({"UsageRecords": [with(&record, "Dimension", "gb")]}).to_string();
        let target = "AWSMPMeteringService.BatchMeterUsage";
        assert!(running.try_aws(target, body.as_bytes()).await.is_none());

        let all = text(&running, "/calls").await;
        says(
            &all,
            &[
                "5 calls",
                "Never meter an hour twice",
                "InvalidUsageDimensionException",
                "case counts",
                "24 hours since July 2026",
                "drop-after",
                "they are billed once",
            ],
        );
        let some = text(&running, "/calls?verdict=partly").await;
        says(&some, &["1 call.", "DuplicateRecord"]);
        assert!(!some.contains("case counts"), "{some}");
        says(
            &text(&running, "/calls?verdict=refusal&operation=BatchMeterUsage").await,
            &["3 calls"],
        );
        says(
            &text(&running, "/calls?operation=MeterUsage").await,
            &["0 calls"],
        );
        says(
            &text(&running, "/calls/2").await,
            &[
                "Call 2: BatchMeterUsage",
                &agreement.license_arn,
                "<td>DuplicateRecord</td><td>no</td>",
            ],
        );
        says(&text(&running, "/calls/1").await, &["yes, as"]);
        running.meter(std::slice::from_ref(&record)).await;
        says(&text(&running, "/calls/6").await, &["no: it repeats"]);
    });
}

#[test]
fn long_lists_come_in_pages() {
    run(async {
        let running = running().await;
        for _ in 0..120 {
            running.buys(LICENSED);
        }
        let first = text(&running, "/agreements?product=licensedproduct1").await;
        says(
            &first,
            &[
                "120 agreements, page 1 of 3",
                "product=licensedproduct1&amp;page=2",
            ],
        );
        let last = text(&running, "/agreements?product=licensedproduct1&page=3").await;
        assert_eq!(last.matches(" scope=\"row\">").count(), 20);
        assert!(!last.contains("Next page"), "{last}");
        says(&text(&running, "/purchases?page=2").await, &["page 2 of 3"]);
        says(
            &text(&running, "/metered").await,
            &["360 lines", "page 1 of 9"],
        );
        says(
            &text(&running, "/agreements?page=99").await,
            &["Previous page"],
        );
    });
}

#[test]
fn a_day_is_drawn_hour_by_hour_with_its_states_in_words() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        let record = by_license(&agreement);
        let at = |time: &str| with(&record, "Timestamp", common::epoch(time));
        running.meter(&[at("2026-11-21T11:00:00Z")]).await;
        running
            .meter(&[with(&at("2026-11-21T10:00:00Z"), "Quantity", 0)])
            .await;
        running
            .meter(&[with(&at("2026-11-21T09:00:00Z"), "Quantity", 5)])
            .await;
        running
            .meter(&[with(&at("2026-11-21T09:00:00Z"), "Quantity", 6)])
            .await;
        running
            .emulator
            .suspend_agreement(&agreement.agreement_id)
            .expect("suspended");
        running.meter(&[at("2026-11-21T08:00:00Z")]).await;
        running
            .emulator
            .resume_agreement(&agreement.agreement_id)
            .expect("resumed");
        let day = text(&running, "/metered?day=2026-11-21&dimension=requests").await;
        says(
            &day,
            &[
                "Saturday, 21 November 2026",
                "title=\"11:00 to 12:00 UTC: 1 metered\"",
                "title=\"10:00 to 11:00 UTC: 0 zero\"",
                "title=\"09:00 to 10:00 UTC: 5 disputed\"",
                "title=\"08:00 to 09:00 UTC: refused\"",
                "title=\"07:00 to 08:00 UTC: open\"",
                "title=\"13:00 to 14:00 UTC: later\"",
                "1 line of",
                "3 slots",
                "What the words mean",
            ],
        );
        assert!(!day.contains(">Requests<") || day.contains("value=\"Requests\""));
        let before = text(&running, "/metered?day=2026-11-20&dimension=requests").await;
        says(
            &before,
            &[
                "title=\"11:00 to 12:00 UTC: closed\"",
                "title=\"12:00 to 13:00 UTC: open\"",
            ],
        );
        let long_before = text(&running, "/metered?day=2026-10-31").await;
        says(&long_before, &["Nobody has an agreement on that day"]);
        says(
            &text(&running, "/metered?product=legacyproduct1").await,
            &["0 lines", "0 slots"],
        );
    });
}

#[test]
fn hostile_names_are_shown_and_never_obeyed() {
    run(async {
        let running = running().await;
        let hostile = "<script>alert('x')</script>\"&";
        let fields = [
            ("code", "hostile"),
            ("dimensions", hostile),
            ("identity", "license"),
        ];
        taken(&running, "/products", &fields).await;
        let bought = json!({"product_code": "hostile", "agreement_id": "agmt-\"><script>"});
        let answer = running.control("POST", "agreements", &bought).await;
        assert_eq!(answer.status, 201);
        let agreement = answer.json();
        let record = json!({
            "Timestamp": common::epoch(common::NOON),
            "Dimension": hostile,
            "LicenseArn": agreement["license_arn"],
            "CustomerAWSAccountId": agreement["account_id"],
            "Quantity": 1,
        });
        assert_eq!(
            running
                .meter(std::slice::from_ref(&record))
                .await
                .statuses(),
            ["Success"]
        );
        running
            .meter(&[with(&record, "Dimension", "<b>unknown")])
            .await;
        let account = agreement["account_id"].as_str().expect("an account");
        let purchases = format!("/purchases?account={account}");
        for path in [
            "/products",
            "/subscribe?product=hostile",
            "/agreements",
            &purchases,
            "/metered",
            "/metered?product=%3Cscript%3E&dimension=%22%3E%3Cscript%3E",
            "/calls",
            "/calls/1",
            "/calls/2",
            "/purchases?account=%3Cscript%3E",
        ] {
            let page = text(&running, path).await;
            assert!(
                !page.contains("<script") && !page.contains("<b>unknown"),
                "{path}: {page}"
            );
        }
        says(
            &text(&running, "/products").await,
            &["&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;"],
        );
        let page = refused(&running, "/clock", &[("advance", "\"><script>")], 400).await;
        assert!(!page.contains("<script"), "{page}");
    });
}

#[test]
fn bad_input_is_answered_with_a_page_that_names_value_rule_and_next_step() {
    run(async {
        let running = running().await;
        for (path, fields, words) in [
            (
                "/products",
                vec![
                    ("code", "a b"),
                    ("dimensions", "d"),
                    ("identity", "license"),
                ],
                vec!["`a b`", "a product code is"],
            ),
            (
                "/products",
                vec![("code", "p"), ("dimensions", ""), ("identity", "license")],
                vec!["`dimensions`", "at least one"],
            ),
            (
                "/products",
                vec![("code", "p"), ("dimensions", "d"), ("identity", "both")],
                vec!["both", "expected"],
            ),
            (
                "/products",
                vec![
                    ("code", "p"),
                    ("dimensions", "d"),
                    ("identity", "license"),
                    ("fulfillment_url", "seller"),
                ],
                vec!["`seller`", "http://"],
            ),
            (
                "/fulfillment-url",
                vec![("url", "ftp://x/")],
                vec!["`ftp://x/`", "https://"],
            ),
            (
                "/subscribe",
                vec![("product_code", LICENSED), ("account_id", "12")],
                vec!["`12`", "12 digits"],
            ),
            (
                "/subscribe",
                vec![("product_code", LICENSED), ("entitlement:gb", "many")],
                vec!["`many`", "whole number"],
            ),
        ] {
            let page = refused(&running, path, &fields, 400).await;
            says(&page, &["role=\"alert\"", "Correct it below"]);
            says(&page, &words);
        }
        says(
            &refused(&running, "/subscribe", &[("product_code", "nothing")], 404).await,
            &["nothing"],
        );
        for (path, word) in [
            ("/metered?day=yesterday", "yesterday"),
            ("/metered?day=-009999-01-01", "-009999-01-01"),
            ("/calls?page=0", "counted from 1"),
            ("/calls?page=x", "`x`"),
            ("/calls?verdict=good", "`good`"),
            ("/calls?operation=Meter", "`Meter`"),
            ("/agreements?status=GONE", "`GONE`"),
        ] {
            let answer = page(&running, path).await;
            assert_eq!(answer.status, 400, "{path}");
            says(&html(&answer), &[word, "<main"]);
        }
        for (path, status) in [
            ("/nothing", 404),
            ("/calls/99", 404),
            ("/calls/x", 404),
            ("/set-up", 405),
        ] {
            let answer = page(&running, path).await;
            assert_eq!(answer.status, status, "{path}");
            says(&html(&answer), &["<main"]);
        }
        let not_a_form = running
            .http(
                "POST",
                "/_emulator/console/clock",
                &[("content-type", "application/json")],
                b"{}".to_vec(),
            )
            .await
            .expect("an answer");
        assert_eq!(not_a_form.status, 400);
        says(&html(&not_a_form), &["cannot be read"]);
        assert!(running.emulator.agreements().is_empty());
    });
}

#[test]
fn pages_of_other_sites_can_change_nothing() {
    run(async {
        let running = running().await;
        let before = running.emulator.now();
        let own = format!("http://{}", running.address);
        let advance = async |headers: &[(&str, &str)]| {
            let mut all = vec![FORM];
            all.extend_from_slice(headers);
            let body = b"advance=1h".to_vec();
            let path = "/_emulator/console/clock";
            let answer = running.http("POST", path, &all, body).await;
            answer.expect("an answer")
        };
        for headers in [
            &[("sec-fetch-site", "cross-site"), ("origin", own.as_str())][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "http://127.0.0.1:1")],
            &[("origin", "null")],
        ] {
            let answer = advance(headers).await;
            assert_eq!(answer.status, 403, "{headers:?}");
            says(&html(&answer), &["another site", "<main"]);
        }
        assert_eq!(running.emulator.now(), before);
        let evil = [("origin", "https://evil.example")];
        let reset = running
            .http("POST", "/_emulator/reset", &evil, Vec::new())
            .await;
        let reset = reset.expect("an answer");
        assert_eq!(reset.status, 403);
        says(&reset.json()["error"].to_string(), &["another site"]);
        assert!(!running.emulator.products().is_empty());
        for headers in [
            &[("sec-fetch-site", "same-origin"), ("origin", own.as_str())][..],
            &[("sec-fetch-site", "none")],
            &[("origin", own.as_str())],
            &[],
        ] {
            assert_eq!(advance(headers).await.status, 303, "{headers:?}");
        }
    });
}
