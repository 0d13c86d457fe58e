//! The parts that all pages share: the frame, messages, times, links, and the pages of long lists.

use axum::extract::Request;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::Offset;
use maud::{DOCTYPE, Markup, html};

use super::fields::Fields;
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::refusal::Refusal;

/// A page that the navigation links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Products,
    Purchases,
    Agreements,
    Metered,
    Calls,
    Clock,
    Faults,
    Readings,
}

/// A link of the navigation: the place, its path below the console, and its name.
type Link = (Place, &'static str, &'static str);

const NAVIGATION: [(&str, &[Link]); 3] = [
    (
        "Buyer",
        &[
            (Place::Products, "products", "Products"),
            (Place::Purchases, "purchases", "Purchases"),
        ],
    ),
    (
        "Seller",
        &[
            (Place::Agreements, "agreements", "Agreements"),
            (Place::Metered, "metered", "Metered hours"),
            (Place::Calls, "calls", "Calls"),
        ],
    ),
    (
        "World",
        &[
            (Place::Clock, "clock", "Clock"),
            (Place::Faults, "faults", "Faults"),
            (Place::Readings, "readings", "Readings"),
        ],
    ),
];

/// A form that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// The reason, as the page shows it.
    pub(super) problem: String,
    /// The fields as they were typed, to fill in the form again.
    pub(super) fields: Fields,
}

impl Refused {
    pub(super) fn of(error: &Refusal, fields: Fields) -> Refused {
        let problem = message(error);
        Refused { problem, fields }
    }
}

/// The message of an error, as the console shows it. It does not mention a body: a person who fills
/// in a form does not see one, and a query has none.
fn message(error: &Refusal) -> String {
    match error {
        Refusal::Body { problem } => problem.clone(),
        error => error.to_string(),
    }
}

/// The page for an address whose query cannot be read.
pub(super) fn unreadable(error: &Refusal) -> Response {
    let problem = format!(
        "The address asks for a page that does not exist: {}. Correct the address, or use the links and forms of the console.",
        message(error)
    );
    self::problem(error.status(), &problem)
}

/// The text that was typed into a field of the refused form. Blank if no form was refused.
pub(super) fn typed<'a>(refused: Option<&'a Refused>, name: &str) -> &'a str {
    refused.map_or("", |refused| refused.fields.text(name))
}

/// The notice at the top of the page that says why the form was refused.
pub(super) fn refusal(refused: Option<&Refused>) -> Markup {
    html! {
        @if let Some(refused) = refused {
            div.notice.bad role="alert" tabindex="-1" autofocus {
                h2 { "Nothing was changed" }
                p { (refused.problem) }
                p { "Correct it below and send the form again." }
            }
        }
    }
}

/// The notice that a form succeeded. The redirect after the form names the notice in the query
/// field `done`.
pub(super) fn notice(fields: &Fields) -> Markup {
    let message = match fields.get("done") {
        Some("listed") => "The product is listed.",
        Some("fulfillment-url") => "The fulfillment URL is set.",
        Some("subscribed") => "Subscribed. Set up your account next, at the seller's site.",
        Some("cancelled") => "Cancelled. The final hour is metered after the license is removed.",
        Some("renewed") => "Renewed: a new agreement replaces the old one.",
        Some("amended") => "Amended: lifecycle events report it. The license stays the same.",
        Some("suspended") => {
            "Suspended. Usage is answered with CustomerNotSubscribed. No event reports this to the seller."
        }
        Some("resumed") => "Resumed. Usage is accepted again.",
        Some("clock") => "The clock is set.",
        Some("faults") => "The faults are set.",
        Some("readings") => "The readings are set.",
        _ => return html! {},
    };
    html! { p.notice.good role="status" { (message) } }
}

/// The response with a page: its body within the frame that all pages share.
pub(super) fn page(
    emulator: &Emulator,
    status: StatusCode,
    place: Place,
    title: &str,
    body: &Markup,
) -> Response {
    let (now, speed) = (emulator.now(), emulator.speed());
    let clock = html! {
        p.clock {
            "It is " (time(now)) ", "
            a href="/_emulator/console/clock" { (pace(speed)) }
        }
    };
    (
        status,
        Html(frame(Some(place), title, &clock, body).into_string()),
    )
        .into_response()
}

/// The response to a request that cannot be carried out, or for a page that does not exist.
pub(super) fn problem(status: StatusCode, problem: &str) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Refused",
        _ => "Not possible",
    };
    let body = html! {
        p { (problem) }
        p { a href="/_emulator/console" { "Back to the overview" } }
    };
    let page = frame(None, title, &html! {}, &body);
    (status, Html(page.into_string())).into_response()
}

pub(super) async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    problem(
        StatusCode::NOT_FOUND,
        &format!("The console has no page {path}. Use the link below to go to the overview."),
    )
}

pub(super) async fn method_not_allowed(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("{path} does not support {method}. Use the forms on the pages of the console."),
    )
}

/// Redirects to the page that shows the result of a form. A reload then does not send the form
/// again.
pub(super) fn redirect(path: &str, query: &[(&str, &str)]) -> Response {
    Redirect::to(&link(path, query)).into_response()
}

fn frame(place: Option<Place>, title: &str, clock: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – AWS Marketplace on localhost" }
                link rel="stylesheet" href="/_emulator/console/console.css";
                link rel="icon" href="/_emulator/console/icon.svg";
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    p.name {
                        a href="/_emulator/console" aria-current=[current(place, Place::Overview)] {
                            "AWS Marketplace on localhost"
                        }
                    }
                    (clock)
                }
                nav aria-label="Console" {
                    @for (group, places) in NAVIGATION {
                        div {
                            p id={ "nav-" (group) } { (group) }
                            ul aria-labelledby={ "nav-" (group) } {
                                @for (to, path, name) in places {
                                    li {
                                        a href={ "/_emulator/console/" (path) } aria-current=[current(place, *to)] { (name) }
                                    }
                                }
                            }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
                footer {
                    p {
                        "This is an emulator. It is not AWS, and nothing costs money. Programs use "
                        a href="/_emulator" { code { "/_emulator" } } "."
                    }
                }
            }
        }
    }
}

fn current(place: Option<Place>, of: Place) -> Option<&'static str> {
    (place == Some(of)).then_some("page")
}

/// The address of a page of the console with a percent-encoded query. Blank values are left out.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = format!("/_emulator/console{path}");
    let filled = query.iter().filter(|(_, value)| !value.is_empty());
    for (index, (name, value)) in filled.enumerate() {
        link.push(if index == 0 { '?' } else { '&' });
        link.push_str(name);
        link.push('=');
        link.push_str(&encoded(value));
    }
    link
}

/// Percent-encodes a text for a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A time in UTC, to the second.
pub(super) fn time(at: Timestamp) -> Markup {
    let shown = Offset::UTC.to_datetime(at);
    html! {
        time datetime=(format!("{at:.0}")) { (shown.strftime("%Y-%m-%d %H:%M:%S")) " UTC" }
    }
}

/// How fast the clock runs, in words.
pub(super) fn pace(speed: f64) -> String {
    if speed == 0.0 {
        "frozen".to_owned()
    } else if speed == 1.0 {
        "in real time".to_owned()
    } else {
        format!("{speed} times as fast as real time")
    }
}

/// The number of the requested page of a long list, counted from 1. It is 1 if the query has no
/// number.
pub(super) fn number(fields: &Fields, name: &str) -> Result<usize, Refusal> {
    match fields.whole(name)? {
        None => Ok(1),
        Some(0) => Err(Refusal::Body {
            problem: format!("`{name}` is `0`, but pages are counted from 1"),
        }),
        Some(number) => Ok(number),
    }
}

/// The number of rows on the pages before this one.
pub(super) fn skipped(page: usize) -> usize {
    page.saturating_sub(1).saturating_mul(CONSOLE_PAGE_ROWS_MAX)
}

/// Shows which page of a list this is, and links to the previous and the next page. The list's
/// items are named in the singular and in the plural.
pub(super) fn pages(
    (one, many): (&str, &str),
    path: &str,
    query: &[(&str, &str)],
    parameter: &str,
    (page, size, count): (usize, usize, usize),
) -> Markup {
    let last = count.div_ceil(size.max(1)).max(1);
    let to = |page: usize| {
        let page = page.to_string();
        let mut query = query.to_vec();
        query.push((parameter, &page));
        link(path, &query)
    };
    html! {
        p { (count) " " @if count == 1 { (one) } @else { (many) } @if last > 1 { ", page " (page) " of " (last) } "." }
        @if last > 1 {
            nav.pages aria-label={ "Pages of " (many) } {
                @if page > 1 { a href=(to(page.min(last + 1) - 1)) rel="prev" { "Previous page" } }
                @if page < last { a href=(to(page + 1)) rel="next" { "Next page" } }
            }
        }
    }
}
