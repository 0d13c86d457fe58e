//! Creates a subscription from a registration token.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use ledger::LedgerError;
use ledger::lifecycle::Known;
use ledger::profile::Profile;
use metering_api::{BuyerAdvice, RegistrationToken, ResolvedCustomer};
use runtime::metrics::{count, emit};
use serde::Deserialize;

use crate::app::App;
use crate::identity::{lifecycle_keys_of, subscription_of};
use crate::page::{self, Page};
use crate::typed::Typed;

/// The form that the buyer's browser posts for AWS Marketplace. Other fields are ignored, and only
/// the token is trusted.
#[derive(Deserialize)]
pub(crate) struct Registration {
    #[serde(rename = "x-amzn-marketplace-token", default)]
    token: String,
    #[serde(rename = "x-amzn-marketplace-offer-type")]
    offer_type: Option<String>,
}

/// Handles `GET /register` and `GET /`: a visitor without a token.
pub(crate) async fn welcome(State(app): State<Arc<App>>) -> Page {
    page::welcome(&app.seller)
}

/// Handles `POST /register`: a buyer with a token.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    form: Result<Form<Registration>, FormRejection>,
) -> Page {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return unreadable(&app, &rejection),
    };
    let token = match RegistrationToken::new(form.token) {
        Ok(token) => token,
        Err(problem) => return page::malformed(&app.seller, &problem.to_string()),
    };
    // The token is resolved at once, because it expires. AWS's documents give lifetimes of half an
    // hour to four hours.
    let resolved = match app.metering.resolve_customer(&token).await {
        Ok(resolved) => resolved,
        Err(error) => {
            tracing::warn!(%error, "a registration token was not resolved");
            let page = match error.advice() {
                BuyerAdvice::SetUpAgain => return page::set_up_again(&app.seller),
                BuyerAdvice::TryAgainSoon => page::try_again_soon(&app.seller),
                BuyerAdvice::ContactSupport => page::contact_support(&app.seller),
            };
            count_failure(&app).await;
            return page;
        }
    };
    if !app.products.serve(&resolved.product) {
        tracing::warn!(product = %resolved.product, "a buyer of a product that PRODUCT_CODES does not include was turned away");
        return page::other_product(&app.seller, resolved.product.as_str());
    }
    let free_trial = form.offer_type.as_deref() == Some("free-trial");
    match save(&app, &resolved).await {
        Ok(saved) => {
            let form = page::Form {
                action: "register/contact",
                session: &saved.session,
                typed: &Typed::default(),
                problem: None,
            };
            page::registered(&app.seller, saved.profile.status(), free_trial, &form)
        }
        Err(page) => {
            count_failure(&app).await;
            page
        }
    }
}

/// Counts a registration that failed for a reason that is not the buyer's. The function itself
/// answers, so Lambda counts no error.
async fn count_failure(app: &App) {
    match app.clock.now().await {
        Ok(now) => emit("registration", now, &[count("RegistrationsFailed", 1)]),
        Err(error) => tracing::error!(%error, "a failed registration could not be counted"),
    }
}

struct Saved {
    profile: Profile,
    session: String,
}

/// Stores the identity that AWS returned. Every step can be repeated, so a buyer who reloads the
/// page after a failure completes the registration. A second license becomes a second subscription.
async fn save(app: &App, resolved: &ResolvedCustomer) -> Result<Saved, Page> {
    let now = app.clock.now().await.map_err(|error| {
        tracing::error!(%error, "the registration failed; the buyer is asked to try again");
        page::try_again_soon(&app.seller)
    })?;
    let stopped = |error: LedgerError| failed(app, &error);
    let product = &resolved.product;
    let configured = app.ledger.product(product).await.map_err(stopped)?;
    let kind = configured.map(|product| product.identity);
    let subscription = subscription_of(resolved, kind).map_err(|error| {
        tracing::error!(%error, "a buyer could not be registered");
        page::contact_support(&app.seller)
    })?;
    let known = Known {
        account: resolved.account.clone(),
        customer: resolved.customer.clone(),
        agreement: resolved.agreement.clone(),
        registered_at: Some(now),
        sign: None,
    };
    let lifecycle_keys = lifecycle_keys_of(resolved, &subscription);
    let joining = app
        .ledger
        .join(&subscription, product, &lifecycle_keys, &known, now);
    let profile = Box::pin(joining).await.map_err(stopped)?;
    tracing::info!(%subscription, %product, status = %profile.status(), "a buyer was registered");
    Ok(Saved {
        session: app.session.sign(&subscription, now),
        profile,
    })
}

/// The page for a failure of the tables.
pub(crate) fn failed(app: &App, error: &LedgerError) -> Page {
    tracing::error!(%error, "the registration failed");
    match error {
        LedgerError::Unavailable { .. } | LedgerError::Contended { .. } => {
            page::try_again_soon(&app.seller)
        }
        LedgerError::Malformed(_) | LedgerError::Overflow(_) => page::contact_support(&app.seller),
    }
}

/// The page for a request body that is not a valid form.
pub(crate) fn unreadable(app: &App, rejection: &FormRejection) -> Page {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => page::too_large(&app.seller),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => page::wrong_content_type(&app.seller),
        // The rejection's own text may repeat the token.
        _ => page::malformed(&app.seller, "the form's fields cannot be read"),
    }
}
