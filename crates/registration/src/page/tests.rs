use serde_json::json;

use super::*;
use crate::page_settings::FieldKind;

const NO_PROBLEMS: &[Problem] = &[];

fn seller() -> Seller {
    Seller {
        name: "Example & Sons".to_owned(),
        support: "help@example.com".parse().unwrap(),
    }
}

fn pages(settings: &serde_json::Value) -> Pages {
    let settings = PageSettings::from_json(&settings.to_string()).unwrap();
    Pages::new(seller(), settings)
}

fn sign_up<'a>(typed: &'a BTreeMap<String, String>, problems: &'a [Problem]) -> SignUp<'a> {
    SignUp {
        visit: Visit::New,
        status: Status::Active,
        free_trial: false,
        same_product: 0,
        other_products: 0,
        form_token: "signed",
        typed,
        problems,
    }
}

/// Every page except the sign-up form, with its status.
fn simple_pages() -> Vec<(Content<'static>, u16)> {
    use MalformedForm::*;
    let product = "<examplecode1>";
    let malformed = |problem| Content::Malformed { problem };
    vec![
        (Content::Welcome, 200),
        (Content::NotFound, 404),
        (Content::MethodNotAllowed, 405),
        (Content::TooLarge, 413),
        (Content::WrongContentType, 415),
        (malformed(NoToken), 400),
        (malformed(InvalidToken), 400),
        (malformed(Unreadable), 400),
        (Content::SetUpAgain, 400),
        (Content::NoCookie, 400),
        (Content::WrongForm, 400),
        (Content::TryAgainSoon, 503),
        (Content::ContactSupport, 500),
        (Content::OtherProduct { product }, 422),
        (Content::Thanks, 200),
    ]
}

#[track_caller]
fn count(html: &str, part: &str, expect: usize) {
    assert_eq!(html.matches(part).count(), expect, "{part} in {html}");
}

#[test]
fn every_page_is_complete_in_every_language() {
    let pages = Pages::new(seller(), PageSettings::default());
    for language in ["en", "de"] {
        let mut seen = Vec::new();
        for (content, status) in simple_pages() {
            let page = pages.page(Some(language), content);
            assert_eq!(page.status.as_u16(), status, "{}", page.html);
            count(&page.html, &format!("<html lang=\"{language}\">"), 1);
            for element in [
                "<h1>", "<main>", "<header>", "<footer>", "<title>", "<style>",
            ] {
                count(&page.html, element, 1);
            }
            count(&page.html, "mailto:help@example.com", 1);
            assert!(page.html.contains("Example &amp; Sons</title>"));
            // No other language is mixed in, no placeholder is left, and nothing is loaded or run.
            for absent in [
                "<span lang",
                "{seller}",
                "{product}",
                "<script",
                "src=",
                "<examplecode1",
            ] {
                count(&page.html, absent, 0);
            }
            seen.push(page.html);
        }
        let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
    }
}

#[test]
fn the_headers_protect_the_page_and_name_its_language() {
    let pages = Pages::new(seller(), PageSettings::default());
    for (content, status) in simple_pages() {
        let response = pages.page(Some("de-CH"), content).into_response();
        assert_eq!(response.status().as_u16(), status);
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let is = |name: &str, expect: &str| assert_eq!(header(name).as_deref(), Some(expect));
        is("content-type", "text/html; charset=utf-8");
        is("content-language", "de");
        is("vary", "accept-language");
        is("cache-control", "no-store");
        is("referrer-policy", "no-referrer");
        is("x-content-type-options", "nosniff");
        is("strict-transport-security", "max-age=31536000");
        let policy = header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'; style-src 'sha256-",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("img-src"), "{policy}");
        assert_eq!(header("retry-after").is_some(), status == 503);
    }
}

#[test]
fn the_policy_names_the_style_by_its_digest() {
    let pages = pages(&json!({"colors": {"accent": "#6a1b9a"}}));
    let page = pages.page(None, Content::Welcome);
    let (_, rest) = page.html.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = page.policy.to_str().unwrap();
    assert!(policy.contains(&format!("'sha256-{digest}'")), "{policy}");
    assert!(style.contains("--accent:#6a1b9a"));
}

#[test]
fn the_policy_allows_only_the_logos_source() {
    let page = |logo: &str| pages(&json!({"logo": logo})).page(None, Content::Welcome);
    for (logo, source) in [
        (
            "https://cdn.example.com/logo.svg?a=1&b=2",
            "img-src https://cdn.example.com;",
        ),
        ("data:image/png;base64,AAAA", "img-src data:;"),
    ] {
        let page = page(logo);
        let policy = page.policy.to_str().unwrap();
        assert!(policy.contains(source), "{policy}");
        count(&page.html, "alt=\"Example &amp; Sons\"", 1);
        let escaped = logo.replace('&', "&amp;");
        count(&page.html, &format!("src=\"{escaped}\""), 1);
    }
}

#[test]
fn every_field_has_a_label_and_says_whether_it_is_required() {
    let pages = Pages::new(seller(), PageSettings::default());
    let typed = BTreeMap::new();
    let page = pages.page(Some("en"), Content::SignUp(sign_up(&typed, NO_PROBLEMS)));
    assert_eq!(page.status, StatusCode::OK);
    for field in pages.settings().fields() {
        let id = &field.id;
        count(&page.html, &format!("<label for=\"field-{id}\">"), 1);
        count(&page.html, &format!("id=\"field-{id}\" name=\"{id}\""), 1);
    }
    count(&page.html, "(required)", 3);
    count(&page.html, "(optional)", 1);
    count(&page.html, "autocomplete=\"organization\"", 1);
    count(&page.html, "type=\"email\"", 1);
    count(&page.html, "<textarea", 1);
    count(&page.html, "name=\"form\" value=\"signed\"", 1);
    count(
        &page.html,
        "<form method=\"post\" action=\"sign-up\" novalidate>",
        1,
    );
    for absent in [
        "role=\"alert\"",
        "aria-invalid=",
        "href=\"sign-in\"",
        "class=\"notes\"",
    ] {
        count(&page.html, absent, 0);
    }
}

#[test]
fn problems_are_listed_and_stand_beside_their_fields() {
    let pages = Pages::new(seller(), PageSettings::default());
    let typed = [
        ("name", "<b>Jürgen 王</b>"),
        ("email", "\"x\""),
        ("note", "\ntwo\nlines"),
    ];
    let typed: BTreeMap<String, String> = typed
        .map(|(id, text)| (id.to_owned(), text.to_owned()))
        .into();
    let problem = |field: &str, kind| Problem {
        field: field.to_owned(),
        kind,
    };
    let problems = [
        problem("company", ProblemKind::Missing),
        problem("email", ProblemKind::Email),
        problem("note", ProblemKind::TooLong { max: 2_000 }),
        problem("gone", ProblemKind::Missing),
    ];
    let page = pages.page(Some("en"), Content::SignUp(sign_up(&typed, &problems)));
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let html = &page.html;
    count(html, "<title>Please correct your details – ", 1);
    count(html, "role=\"alert\"", 1);
    for id in ["company", "email", "note"] {
        count(html, &format!("href=\"#field-{id}\""), 1);
        count(html, &format!("id=\"problem-{id}\""), 1);
        count(html, &format!("aria-describedby=\"problem-{id}\""), 1);
    }
    count(html, "aria-invalid=\"true\"", 3);
    // Each problem is in the list and beside its field.
    count(html, "At most 2000 characters fit.", 2);
    count(html, "value=\"&lt;b&gt;Jürgen 王&lt;/b&gt;\"", 1);
    count(html, "value=\"&quot;x&quot;\"", 1);
    // A browser drops the first line break, and the second one was typed.
    count(html, ">\n\ntwo\nlines</textarea>", 1);
    count(html, "<b>", 0);
}

#[test]
fn each_situation_has_its_own_words() {
    let settings = json!({
        "sign_in_url": "https://app.example.com/aws",
        "languages": {"en": {"turnaround": "one <business> day"}}
    });
    let pages = pages(&settings);
    let typed = BTreeMap::new();
    let html = |change: fn(&mut SignUp<'_>)| {
        let mut content = sign_up(&typed, NO_PROBLEMS);
        change(&mut content);
        pages.page(Some("en"), Content::SignUp(content)).html
    };
    let plain = html(|_| {});
    count(&plain, "usually takes one &lt;business&gt; day.", 1);
    count(&plain, "<a href=\"sign-in\">", 1);
    count(&plain, "Complete the registration", 1);
    type Change = fn(&mut SignUp<'_>);
    let changes: [(Change, &str); 8] = [
        (
            |it| it.visit = Visit::Unfinished,
            "You have started to register",
        ),
        (
            |it| it.visit = Visit::Finished,
            "there is nothing left to do",
        ),
        (
            |it| it.status = Status::Pending,
            "AWS confirms the purchase",
        ),
        (|it| it.status = Status::Ending, "is about to end"),
        (|it| it.status = Status::Ended, "has ended"),
        (|it| it.free_trial = true, "free trial"),
        (
            |it| it.same_product = 2,
            "another subscription to this product",
        ),
        (
            |it| it.other_products = 1,
            "a subscription to another product",
        ),
    ];
    for (change, text) in changes {
        count(&plain, text, 0);
        count(&html(change), text, 1);
    }
    let thanks = pages.page(Some("en"), Content::Thanks).html;
    count(&thanks, "usually takes one &lt;business&gt; day.", 1);
    // The seller named the time in English only.
    let german = pages.page(Some("de"), Content::Thanks).html;
    count(&german, "<span lang=\"en\">We now set up your account.", 1);
}

#[test]
fn a_seller_writes_its_own_texts_and_fields() {
    let pages = pages(&json!({
        "default_language": "fr",
        "fields": [{"id": "vat_id", "required": true}, {"id": "team", "kind": "text"}],
        "languages": {
            "fr": {"texts": {
                "field.vat_id": "N° TVA <b>",
                "field.team": "Équipe",
                "sign_up.title": "Bienvenue chez {seller}"
            }}
        }
    }));
    assert_eq!(pages.settings().fields()[1].kind, FieldKind::Text);
    let typed = BTreeMap::new();
    let page = pages.page(Some("fr-FR"), Content::SignUp(sign_up(&typed, NO_PROBLEMS)));
    count(&page.html, "<html lang=\"fr\">", 1);
    count(&page.html, "<h1>Bienvenue chez Example &amp; Sons</h1>", 1);
    count(&page.html, "N° TVA &lt;b&gt; <span class=\"need\">", 1);
    // A text that is missing in French is marked as English.
    count(
        &page.html,
        "<span lang=\"en\">Complete the registration</span>",
        1,
    );
    count(&page.html, "name=\"company\"", 0);
}
