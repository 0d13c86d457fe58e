//! The fulfillment URL: where a buyer arrives from AWS Marketplace and becomes a subscription.
//!
//! # Layout
//! * [`router`], [`routes`]: the addresses
//! * `register`: a registration token becomes a subscription
//! * `contact`: what the buyer types afterwards
//! * [`identity`]: which subscription a resolved customer is
//! * [`session`]: the subscription as a signed value that expires
//! * [`page`]: every page, and the headers on each
//!
//! # What is trusted
//! Only what AWS returned for the token, and what this function signed itself. The token goes to
//! ResolveCustomer and nowhere else: no URL, no cookie, no log, no table. A resolved token proves who
//! the buyer is, not that the purchase came about: the subscription stays pending until License
//! Updated or subscribe-success says so.
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

/// Bytes of a request's body: a token has a few hundred, a contact form fewer than 1,000. Ours.
pub const BODY_BYTES_MAX: usize = 64 * 1_024;

/// Transmissions of one call: asking again who a token belongs to changes nothing.
const TRANSMISSIONS_MAX: u32 = 3;

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// AWS Marketplace.
    pub metering: MeteringApi,
    /// The time.
    pub clock: Clock,
    /// The products this stack serves.
    pub products: Products,
    /// Who the pages speak for.
    pub seller: Seller,
    /// Signs what a page carries.
    pub session: SessionKey,
}

impl App {
    /// Reads the settings: the table names, `MARKETPLACE_ENDPOINT`, `METERING_REGION`,
    /// `PRODUCT_CODES`, `SELLER_NAME` ("the seller" unless set), `SUPPORT_CONTACT` (an e-mail address
    /// or a URL) and `SESSION_KEY` (a secret of at least 32 bytes).
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
    // The complaint must not repeat the secret.
    SessionKey::new(secret).map_err(|e| SettingError::Invalid {
        name,
        value: "(hidden)".to_owned(),
        rule: e.to_string(),
    })
}

/// The addresses `/`, `/register` and `/register/contact`, to be merged into a larger router.
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

/// The whole function: [`routes`], and a page for every other address.
pub fn router(app: Arc<App>) -> Router {
    let seller = app.seller.clone();
    routes(app).fallback(move || async move { page::not_found(&seller) })
}
