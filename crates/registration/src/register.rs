//! Creates a subscription from a registration token, and sends the buyer on.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use ledger::LedgerError;
use ledger::buyer::Registered;
use ledger::lifecycle::Known;
use ledger::profile::Profile;
use metering_api::{BuyerAdvice, RegistrationToken, ResolvedCustomer};
use serde::Deserialize;

use crate::answer::see_other;
use crate::app::App;
use crate::cookie::Session;
use crate::hand_over::hand_over;
use crate::identity::{lifecycle_keys_of, subscription_of};
use crate::refusal::Refusal;
use crate::ticket::Buyer;

/// The value of the offer type with which AWS Marketplace marks a free trial.
const FREE_TRIAL: &str = "free-trial";

/// The form that the buyer's browser posts for AWS Marketplace. Other fields are ignored, and only
/// the token is trusted.
#[derive(Deserialize)]
pub(crate) struct Registration {
    #[serde(rename = "x-amzn-marketplace-token", default)]
    token: String,
    #[serde(rename = "x-amzn-marketplace-offer-type")]
    offer_type: Option<String>,
}

/// Handles `POST /register`: a buyer with a token.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Form<Registration>, FormRejection>,
) -> Response {
    match registered(&app, form).await {
        Ok(answer) => answer,
        Err(refusal) => app.refuse(&headers, &refusal).await,
    }
}

/// Resolves the token, stores the subscription, and sends the buyer to the sign-up: to the page of
/// this stack with a cookie, or to the seller's own with a ticket.
async fn registered(
    app: &App,
    form: Result<Form<Registration>, FormRejection>,
) -> Result<Response, Refusal> {
    let Form(form) = form.map_err(|rejection| Refusal::of_form(&rejection))?;
    let token = RegistrationToken::new(form.token).map_err(|error| Refusal::from(&error))?;
    let resolved = resolve(app, &token).await?;
    if !app.products.serve(&resolved.product) {
        tracing::warn!(product = %resolved.product, "a buyer of a product that PRODUCT_CODES does not include was turned away");
        return Err(Refusal::OtherProduct(resolved.product));
    }
    let now = app.now().await?;
    let profile = save(app, &resolved, now).await?;
    let free_trial = form.offer_type.as_deref() == Some(FREE_TRIAL);
    match &app.sign_up_url {
        None => {
            let session = Session::begin(profile.subscription, free_trial, now);
            let cookie = session.set_cookie(&app.session);
            see_other("sign-up", Some(cookie)).map_err(|error| {
                tracing::error!(%error, "the buyer could not be sent to the sign-up page");
                Refusal::ContactSupport
            })
        }
        Some(url) => {
            let buyer = Buyer::of(&profile, resolved.license.as_ref(), free_trial);
            hand_over(app, url, buyer, now)
        }
    }
}

/// Resolves the token at once, because it expires. AWS's documents give lifetimes of half an hour to
/// four hours.
async fn resolve(app: &App, token: &RegistrationToken) -> Result<ResolvedCustomer, Refusal> {
    app.metering.resolve_customer(token).await.map_err(|error| {
        tracing::warn!(%error, "a registration token was not resolved");
        match error.advice() {
            BuyerAdvice::SetUpAgain => Refusal::SetUpAgain,
            BuyerAdvice::TryAgainSoon => Refusal::TryAgainSoon,
            BuyerAdvice::ContactSupport => Refusal::ContactSupport,
        }
    })
}

/// Stores the identity that AWS returned. Every step can be repeated, so a buyer who reloads the
/// page after a failure completes the registration. A second license becomes a second subscription.
///
/// The subscription is listed under the buyer's account first. If the function dies before the
/// profile is written, the list has an entry too many until the buyer comes back, and nothing
/// depends on the list but a sentence on the sign-up page.
async fn save(app: &App, resolved: &ResolvedCustomer, now: Timestamp) -> Result<Profile, Refusal> {
    let stopped = |error: LedgerError| Refusal::of_ledger(&error);
    let product = &resolved.product;
    let configured = app.ledger.product(product).await.map_err(stopped)?;
    let kind = configured.map(|product| product.identity);
    let subscription = subscription_of(resolved, kind).map_err(|error| {
        tracing::error!(%error, "a buyer could not be registered");
        Refusal::ContactSupport
    })?;
    if let Some(account) = &resolved.account {
        let registered = Registered {
            subscription: subscription.clone(),
            product: product.clone(),
            registered_at: now,
        };
        let listed = app.ledger.list_for_account(account, &registered).await;
        listed.map_err(stopped)?;
    }
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
    Ok(profile)
}
