//! The console shows the emulated world in a browser. Its pages are plain HTML. They work without
//! JavaScript and load nothing from other sites.
//!
//! A form of the console is converted to the JSON of the control interface (`/_emulator`) and is
//! handled by the same functions.

mod agreements;
mod calls;
mod changes;
mod clock;
mod days;
mod explain;
mod faults;
mod fields;
mod heat_map;
mod metered;
mod overview;
mod page;
mod products;
mod purchases;
mod readings;
mod set_up;
mod subscribe;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use crate::control::other_site;
use crate::emulator::Emulator;

/// The content security policy of the pages. They load only the console's own style and icon, run
/// no script, cannot be framed, and send forms only to the console.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("console/console.css");
const ICON: &str = include_str!("console/icon.svg");

pub(crate) fn routes() -> Router<Emulator> {
    Router::new()
        .route("/_emulator/console", get(overview::show))
        .route("/_emulator/console/", get(redirect))
        .route("/_emulator/console/console.css", get(style))
        .route("/_emulator/console/icon.svg", get(icon))
        .route(
            "/_emulator/console/products",
            get(products::show).post(products::add),
        )
        .route(
            "/_emulator/console/fulfillment-url",
            post(products::set_fulfillment_url),
        )
        .route(
            "/_emulator/console/subscribe",
            get(subscribe::show).post(subscribe::subscribe),
        )
        .route("/_emulator/console/purchases", get(purchases::show))
        .route("/_emulator/console/set-up", post(set_up::show))
        .route("/_emulator/console/change", post(changes::change))
        .route("/_emulator/console/agreements", get(agreements::show))
        .route("/_emulator/console/metered", get(metered::show))
        .route("/_emulator/console/calls", get(calls::list))
        .route("/_emulator/console/calls/{number}", get(calls::show))
        .route(
            "/_emulator/console/clock",
            get(clock::show).post(clock::set),
        )
        .route(
            "/_emulator/console/faults",
            get(faults::show).post(faults::add),
        )
        .route("/_emulator/console/faults/remove", post(faults::remove))
        .route("/_emulator/console/faults/clear", post(faults::clear))
        .route(
            "/_emulator/console/readings",
            get(readings::show).post(readings::set),
        )
        .route(
            "/_emulator/console/{*rest}",
            axum::routing::any(page::not_found),
        )
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(axum::middleware::from_fn(guard))
}

/// Redirects a browser that asks for the bare address to the console.
pub(crate) async fn redirect() -> Redirect {
    Redirect::to("/_emulator/console")
}

/// Refuses forms that come from other sites. Adds headers to every answer that restrict the content
/// of the page and, unless the answer has a rule of its own, forbid caching.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match other_site(request.method(), request.headers()) {
        Some(error) => page::problem(error.status(), &error.to_string()),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    put(CONTENT_SECURITY_POLICY, POLICY);
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(CACHE_CONTROL, "no-store");
    response
}

async fn style() -> Response {
    fixed("text/css; charset=utf-8", STYLE)
}

async fn icon() -> Response {
    fixed("image/svg+xml", ICON)
}

fn fixed(media_type: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "max-age=60")];
    (StatusCode::OK, headers, text).into_response()
}
