//! The parts that all pages share: frame, times, and pages of long lists.

use axum::extract::Request;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::Offset;
use maud::{DOCTYPE, Markup, html};

use super::fields::Fields;
use crate::control::ControlError;
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;

/// The places that the navigation links to.
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

/// Each place with its path and its name.
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

/// A refused form: the reason, and its fields.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) problem: String,
    pub(super) fields: Fields,
}

impl Refused {
    pub(super) fn of(error: &ControlError, fields: Fields) -> Refused {
        let problem = words(error);
        Refused { problem, fields }
    }
}

/// An error in the words of the console. A person who sends a form does not know that it has a
/// body, and a query has none.
fn words(error: &ControlError) -> String {
    match error {
        ControlError::Body { problem } => problem.clone(),
        error => error.to_string(),
    }
}

/// The page for an address whose query cannot be read.
pub(super) fn unreadable(error: &ControlError) -> Response {
    let problem = format!(
        "The address asks for a page that there is not: {}. Correct it, or use the links and forms of the console.",
        words(error)
    );
    self::problem(error.status(), &problem)
}

/// The field's text in the refused form, or blank. The form keeps what was typed.
pub(super) fn typed<'a>(refused: Option<&'a Refused>, name: &str) -> &'a str {
    refused.map_or("", |refused| refused.fields.text(name))
}

/// The reason why a form was refused, at the top of its page.
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

/// The message that a form succeeded, after the redirect that follows it.
pub(super) fn done(fields: &Fields) -> Markup {
    let said = match fields.get("done") {
        Some("listed") => "The product is listed.",
        Some("fulfillment-url") => "The fulfillment URL is set.",
        Some("subscribed") => "Subscribed. Set up your account next, at the seller's site.",
        Some("cancelled") => "Cancelled. The final hour is metered after the license is removed.",
        Some("renewed") => "Renewed: a new agreement took over.",
        Some("amended") => "Amended: lifecycle events say so, the license stays.",
        Some("suspended") => {
            "Suspended. Usage meets CustomerNotSubscribed; nobody tells the seller."
        }
        Some("resumed") => "Resumed. Usage is accepted again.",
        Some("clock") => "The clock is set.",
        Some("faults") => "The faults are set.",
        Some("readings") => "The readings are set.",
        _ => return html! {},
    };
    html! { p.notice.good role="status" { (said) } }
}

/// A page within the frame that all pages share.
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

/// A page for a request that cannot be carried out, or for a page that does not exist.
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

pub(super) async fn nothing_here(request: Request) -> Response {
    let path = request.uri().path();
    problem(
        StatusCode::NOT_FOUND,
        &format!("The console has no page {path}. The navigation above lists what there is."),
    )
}

pub(super) async fn wrong_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("{path} does not answer {method}: its forms are on the pages above."),
    )
}

/// Redirects to the page that shows the result of a form, so that a reload does not repeat the
/// form.
pub(super) fn see(path: &str, query: &[(&str, &str)]) -> Response {
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
                        "An emulator: nothing here is AWS, and nothing costs money. Programs use "
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

/// A path with a query, percent-encoded.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = format!("/_emulator/console{path}");
    let filled = query.iter().filter(|(_, value)| !value.is_empty());
    for (place, (name, value)) in filled.enumerate() {
        link.push(if place == 0 { '?' } else { '&' });
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

/// A moment in UTC, to the second.
pub(super) fn time(moment: Timestamp) -> Markup {
    let shown = Offset::UTC.to_datetime(moment);
    html! {
        time datetime=(format!("{moment:.0}")) { (shown.strftime("%Y-%m-%d %H:%M:%S")) " UTC" }
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

/// The page of a long list that is requested, from 1.
pub(super) fn number(fields: &Fields, name: &str) -> Result<usize, ControlError> {
    match fields.whole(name)? {
        None => Ok(1),
        Some(0) => Err(ControlError::Body {
            problem: format!("`{name}` is `0`, but pages are counted from 1"),
        }),
        Some(number) => Ok(number),
    }
}

/// The number of rows before a page.
pub(super) fn skipped(page: usize) -> usize {
    page.saturating_sub(1).saturating_mul(CONSOLE_PAGE_ROWS_MAX)
}

/// Shows which part of a list is on the page, and links to the other pages.
pub(super) fn pages(
    (one, what): (&str, &str),
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
        p { (count) " " @if count == 1 { (one) } @else { (what) } @if last > 1 { ", page " (page) " of " (last) } "." }
        @if last > 1 {
            nav.pages aria-label={ "Pages of " (what) } {
                @if page > 1 { a href=(to(page.min(last + 1) - 1)) rel="prev" { "Previous page" } }
                @if page < last { a href=(to(page + 1)) rel="next" { "Next page" } }
            }
        }
    }
}
