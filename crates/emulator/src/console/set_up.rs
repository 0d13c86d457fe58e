//! The page "Set up your account". As at AWS Marketplace, the buyer's browser posts a registration
//! token from it to the seller's site.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use maud::html;

use super::fields::Fields;
use super::page::{self, Place};
use crate::emulator::Emulator;
use crate::refusal::Refusal;
use crate::world::AgreementView;

/// The content security policy of this page. It allows a form to be sent to any web address,
/// because the seller's site may redirect it to any host and Chromium checks each redirect against
/// `form-action`. The page has only the form that goes to the seller.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action http: https:; base-uri 'none'; frame-ancestors 'none'";

/// Answers a POST with the page. Each click makes a new token. The token appears in no URL.
pub(super) async fn show(State(emulator): State<Emulator>, form: Fields) -> Response {
    match destination(&emulator, form.text("agreement_id")) {
        Ok((agreement, url, token)) => page_of(&emulator, &agreement, &url, &token),
        Err(error) => page::problem(error.status(), &error.to_string()),
    }
}

/// The product's own fulfillment URL, or else the fulfillment URL for all products.
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
) -> Result<(AgreementView, String, String), Refusal> {
    let agreement = emulator.agreement(agreement_id)?;
    let url = fulfillment_url(emulator, &agreement.product_code).ok_or_else(|| {
        Refusal::NoFulfillmentUrl {
            code: agreement.product_code.clone(),
        }
    })?;
    let token = emulator.registration_token(agreement_id)?;
    Ok((agreement, url, token))
}

fn page_of(emulator: &Emulator, agreement: &AgreementView, url: &str, token: &str) -> Response {
    let body = html! {
        p {
            "To finish your subscription to " strong { (agreement.product_code) } ", your browser now sends a registration token to the seller: "
            code { (url) }
        }
        p { "The token identifies you to the seller and contains nothing else. A new one is made for each click." }
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
