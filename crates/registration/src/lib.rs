//! The fulfillment URL: registers a buyer who comes from AWS Marketplace.
//!
//! # Layout
//! * [`router`], [`routes`]: the addresses
//! * `register`: creates a subscription from a registration token
//! * `contact`: stores the contact details that the buyer types afterwards
//! * [`identity`]: decides which subscription a resolved customer belongs to
//! * [`session`]: the subscription as a signed value that expires
//! * [`page`]: every page, and its headers
//!
//! # What is trusted
//! This function trusts only the values that AWS returned for the token, and the values that it
//! signed itself. The token is sent to ResolveCustomer and is never put into a URL, a cookie, a log
//! or a table. A resolved token proves the buyer's identity, not the purchase: the subscription
//! stays pending until License Updated or subscribe-success confirms it.
//!
//! Facts: M36, M37, M38, M39, M40 (docs/marketplace-rules.md).

mod app;
mod contact;
pub mod identity;
pub mod page;
mod register;
pub mod session;
mod typed;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

pub use app::App;

/// The largest size of a request's body, in bytes. The limit is this project's. A token has a few
/// hundred bytes, and a contact form fewer than 1,000.
pub const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The router for `/`, `/register` and `/register/contact`. It can be merged into a larger one.
pub fn routes(app: Arc<App>) -> Router {
    let seller = app.seller.clone();
    Router::new()
        .route("/", get(register::welcome))
        .route("/register", get(register::welcome).post(register::register))
        .route("/register/contact", post(contact::save))
        .method_not_allowed_fallback(move || async move { page::method_not_allowed(&seller) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

/// The router of the whole function: [`routes`], and a page for every other address.
pub fn router(app: Arc<App>) -> Router {
    let seller = app.seller.clone();
    routes(app).fallback(move || async move { page::not_found(&seller) })
}
