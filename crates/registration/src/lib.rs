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

mod contact;
pub mod identity;
pub mod page;
mod register;
pub mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use ledger::Ledger;
use metering_api::MeteringApi;
use startup::settings::Products;
use startup::{Clock, Env, SettingError, StartError, clients};

use crate::page::{InvalidSupport, Seller, Support};
use crate::session::SessionKey;

/// The largest size of a request's body, in bytes. The limit is this project's. A token has a few
/// hundred bytes, and a contact form fewer than 1,000.
pub const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The largest number of transmissions of one call by the SDK. ResolveCustomer may be repeated,
/// because it changes nothing.
const TRANSMISSIONS_MAX: u32 = 3;

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The access to the tables in DynamoDB.
    pub ledger: Ledger,
    /// The client of the AWS Marketplace Metering Service.
    pub metering: MeteringApi,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The products that this stack serves.
    pub products: Products,
    /// The seller that the pages name.
    pub seller: Seller,
    /// The key that signs the subscription in a contact form.
    pub session: SessionKey,
}

impl App {
    /// Reads the settings: the table names, `MARKETPLACE_ENDPOINT`, `METERING_REGION`,
    /// `PRODUCT_CODES`, `SELLER_NAME` (by default "the seller"), `SUPPORT_CONTACT` (an e-mail
    /// address or a URL) and `SESSION_KEY` (a secret of at least 32 bytes).
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            metering: clients::metering_api(env, TRANSMISSIONS_MAX).await?,
            clock: Clock::from_env(env)?,
            products: Products::from_env(env)?,
            seller: seller(env)?,
            session: session_key(env)?,
        })
    }
}

fn seller(env: &Env) -> Result<Seller, SettingError> {
    let name = "SUPPORT_CONTACT";
    let support: Support = env
        .text(
            name,
            "an e-mail address or a URL where buyers find help; AWS Marketplace requires one on the page",
        )?
        .parse()
        .map_err(|e: InvalidSupport| env.invalid(name, e))?;
    Ok(Seller {
        name: env
            .text_opt("SELLER_NAME")
            .unwrap_or("the seller")
            .to_owned(),
        support,
    })
}

fn session_key(env: &Env) -> Result<SessionKey, SettingError> {
    let name = "SESSION_KEY";
    let secret = env.text(name, "a secret of at least 32 bytes")?;
    // The error must not repeat the secret.
    SessionKey::new(secret).map_err(|e| SettingError::Invalid {
        name,
        value: "(hidden)".to_owned(),
        rule: e.to_string(),
    })
}

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
