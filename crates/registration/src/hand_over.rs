//! Hands a registration over to the seller's own software: sends the browser there with a ticket.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use crate::answer::see_other;
use crate::app::App;
use crate::cookie::Arrival;
use crate::page_settings::Destination;
use crate::refusal::Refusal;
use crate::ticket::{Buyer, Claims};
use crate::visit::profile_of;

/// Handles `GET /sign-in`: a buyer who has an account with the seller already.
pub(crate) async fn sign_in(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match signed_in(&app, &headers).await {
        Ok(answer) => answer,
        Err(refusal) => app.refuse(&headers, &refusal).await,
    }
}

async fn signed_in(app: &App, headers: &HeaderMap) -> Result<Response, Refusal> {
    let pages = app.pages().await;
    let url = pages.settings().sign_in_url().ok_or(Refusal::NotFound)?;
    let now = app.now().await?;
    let session = Arrival::read(&app.session, headers, now)?.session;
    let profile = profile_of(app, &session).await?;
    let buyer = Buyer::of(&profile, None, session.free_trial);
    hand_over(app, url, buyer, now)
}

/// Sends the browser to a URL with a new ticket for it. The ticket is not logged.
pub(crate) fn hand_over(
    app: &App,
    url: &Destination,
    buyer: Buyer,
    now: Timestamp,
) -> Result<Response, Refusal> {
    let subscription = buyer.subscription.clone();
    let claims = Claims::new(&app.stack, url.origin(), buyer, now).map_err(|error| {
        tracing::error!(%error, "a ticket could not be made");
        Refusal::TryAgainSoon
    })?;
    let ticket = app.session.tickets().sign(&claims);
    let answer = see_other(&url.with_ticket(&ticket), None).map_err(|error| {
        tracing::error!(%error, origin = url.origin(), "the buyer could not be sent to a URL that is not valid in a header");
        Refusal::ContactSupport
    })?;
    tracing::info!(%subscription, origin = url.origin(), "a buyer was sent on with a ticket");
    Ok(answer)
}
