//! Every page can be read and found, and long lists have several pages.

use super::browser::{html, page, says, text};
use super::common::{LICENSED, by_license, run, running};

#[test]
fn a_browser_is_redirected_from_the_bare_address_to_the_console() {
    run(async {
        let running = running().await;
        let answer = running.http("GET", "/", &[], Vec::new()).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 303);
        assert_eq!(answer.headers["location"], "/_emulator/console");
    });
}

#[test]
fn every_page_can_be_read_without_scripts_and_without_parts_of_other_sites() {
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
fn the_message_about_an_unreadable_query_names_the_address_and_not_a_body() {
    run(async {
        let running = running().await;
        for (address, words) in [
            ("/products?page=x", "`page` is `x`"),
            ("/purchases?page=0", "pages are counted from 1"),
            ("/agreements?page=-1", "`page` is `-1`"),
            ("/metered?day=soon", "`day` is `soon`"),
            ("/metered?lines=x", "`lines` is `x`"),
            ("/calls?page=x", "`page` is `x`"),
            ("/calls?verdict=maybe", "`verdict` is `maybe`"),
            ("/calls?operation=Nothing", "`operation` is `Nothing`"),
        ] {
            let answer = page(&running, address).await;
            let page = html(&answer);
            assert_eq!(answer.status, 400, "{address}: {page}");
            says(&page, &["The address asks for", words]);
            assert!(!page.contains("the body"), "{address}: {page}");
        }
    });
}
