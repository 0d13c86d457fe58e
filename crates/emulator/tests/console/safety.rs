//! The console is safe against hostile names, bad input and pages of other sites.

use serde_json::json;

use super::browser::{FORM, accepted, html, page, refused, says, text};
use super::common::{self, LICENSED, run, running, with};

#[test]
fn hostile_names_are_escaped() {
    run(async {
        let running = running().await;
        let hostile = "<script>alert('x')</script>\"&";
        let fields = [
            ("code", "hostile"),
            ("dimensions", hostile),
            ("identity", "license"),
        ];
        accepted(&running, "/products", &fields).await;
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
