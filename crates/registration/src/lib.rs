//! The fulfillment URL: registers a buyer who comes from AWS Marketplace.
//!
//! There are two modes. By default this stack shows its own sign-up page. If the seller has a
//! sign-up of its own (`SIGN_UP_URL`), the buyer is sent there with a signed ticket.
//!
//! # Layout
//! * [`router`]: the addresses
//! * `prefix`: any path prefix, and media types in any case
//! * `register`: creates a subscription from a registration token
//! * [`identity`]: decides which subscription a resolved customer belongs to
//! * `sign_up`, `fields`, `visit`: the sign-up page, what is typed there, and who visits it
//! * `hand_over`, [`ticket`], [`exchange`]: tickets for the seller's own software
//! * `cookie`, [`signing`]: the license that a browser registers, as a signed value that expires
//! * `refusal`, `answer`: why a registration does not go on, and answers that are no pages
//! * `design`, [`page_settings`], `language`, `texts`, [`page`]: the pages in the seller's design
//!
//! # What is trusted
//! This function trusts only the values that AWS returned for the token, and the values that it
//! signed itself. The token is sent to ResolveCustomer and is never put into a URL, a cookie, a log
//! or a table. A resolved token proves the buyer's identity, not the purchase: the subscription
//! stays pending until License Updated or subscribe-success confirms it.
//!
//! Facts: M36, M37, M38, M39, M40 (docs/marketplace-rules.md).

mod answer;
mod app;
mod cookie;
mod design;
pub mod exchange;
mod fields;
mod fixed_pages;
mod hand_over;
pub mod identity;
mod language;
pub mod page;
pub mod page_settings;
mod prefix;
mod refusal;
mod register;
mod sign_up;
pub mod signing;
mod texts;
pub mod ticket;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_request;
use axum::routing::{get, post};

pub use app::App;

/// The largest size of a request's body, in bytes. The limit is this project's. A token has a few
/// hundred bytes, and a sign-up form a few thousand.
pub const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The router of the function. It can be merged into a larger one, and then answers every path that
/// the larger one does not know: each address works under any prefix, and every other path gets a
/// page.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .fallback_service(routes(app))
        // Only a layer around the inner router can change the path that the inner router sees.
        .layer(map_request(prefix::normalized))
}

/// The addresses without a prefix.
fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(fixed_pages::welcome))
        .route(
            "/register",
            get(fixed_pages::welcome).post(register::register),
        )
        .route("/sign-up", get(sign_up::show).post(sign_up::save))
        .route("/thanks", get(fixed_pages::thanks))
        .route("/sign-in", get(hand_over::sign_in))
        .route("/tickets/exchange", post(exchange::exchange))
        .route("/.well-known/jwks.json", get(exchange::key_set))
        .method_not_allowed_fallback(fixed_pages::method_not_allowed)
        .fallback(fixed_pages::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}
