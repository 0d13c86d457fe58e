//! "Set up your account": the page from which the buyer's browser posts its registration token to
//! the seller's site, as it does at AWS Marketplace.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use maud::html;

use super::fields::Fields;
use super::page::{self, Place};
use crate::control::ControlError;
use crate::emulator::Emulator;
use crate::world::AgreementView;

/// The policy allows the form to be sent to any web address. The seller's site may redirect it to
/// any host, and Chromium checks each redirect against `form-action`. The only form on the page is
/// the one to the seller.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action http: https:; base-uri 'none'; frame-ancestors 'none'";

/// The page is the answer to a POST. Each click makes a new token, which appears in no URL.
pub(super) async fn leave(State(emulator): State<Emulator>, form: Fields) -> Response {
    match destination(&emulator, form.text("agreement_id")) {
        Ok((agreement, url, token)) => page_of(&emulator, &agreement, &url, &token),
        Err(error) => page::problem(error.status(), &error.to_string()),
    }
}

/// The product's own fulfillment URL, or else the one for all products.
pub(super) fn fulfillment_url(emulator: &Emulator, product_code: &str) -> Option<String> {
    let core = emulator.core();
    let product = core.world.product(product_code);
    product
        .and_then(|product| product.listing.fulfillment_url.clone())
        .or_else(|| core.fulfillment_url.clone())
}

fn destination(
    emulator: &Emulator,
    agreement_id: &str,
) -> Result<(AgreementView, String, String), ControlError> {
    let agreement = emulator.agreement(agreement_id)?;
    let url = fulfillment_url(emulator, &agreement.product_code).ok_or_else(|| {
        ControlError::NoFulfillmentUrl {
            code: agreement.product_code.clone(),
        }
    })?;
    let token = emulator.registration_token(agreement_id)?;
    Ok((agreement, url, token))
}

fn page_of(emulator: &Emulator, agreement: &AgreementView, url: &str, token: &str) -> Response {
    let body = html! {
        p {
            "To finish your subscription to " strong { (agreement.product_code) } ", your browser now takes a registration token to the seller: "
            code { (url) }
        }
        p { "The token says who you are to the seller, and nothing else. It was made for this click." }
        form method="post" action=(url) enctype="application/x-www-form-urlencoded" {
            input type="hidden" name="x-amzn-marketplace-token" value=(token);
            @if agreement.free_trial {
                input type="hidden" name="x-amzn-marketplace-offer-type" value="free-trial";
            }
            button.main autofocus { "Continue to the seller's site" }
        }
        p { a href=(page::link("/purchases", &[("account", &agreement.account_id)])) { "Stay here" } }
    };
    let title = "You are leaving for the seller's site";
    let mut response = page::page(emulator, StatusCode::OK, Place::Purchases, title, &body);
    let policy = HeaderValue::from_static(POLICY);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response.into_response()
}
