//! Keeps pages of other sites from changing the emulated world.
//!
//! Any page in a developer's browser can send requests to localhost. The page cannot read the
//! answers, but it can move the clock or reset the world without them. Browsers name the origin of
//! a request, so requests of other sites can be refused. Programs name no origin and are admitted.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method};

use crate::refusal::Refusal;

/// Refuses a request that would change the world and comes from a page of another site.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match other_site(request.method(), request.headers()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

/// The error for a request that would change the world and comes from a page of another site.
/// `None` for any other request.
pub(crate) fn other_site(method: &Method, headers: &HeaderMap) -> Option<Refusal> {
    if method.is_safe() {
        return None;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(ORIGIN.as_str());
    let is_own = match (text("sec-fetch-site"), origin) {
        // `none` means that a person typed the address, so that no page sent the request.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers send Sec-Fetch-Site over plain HTTP only to localhost. For other addresses the
        // origin is compared.
        (None, Some(origin)) => {
            let own = text(HOST.as_str()).unwrap_or_default();
            origin.strip_prefix("http://") == Some(own)
        }
        (None, None) => true,
    };
    (!is_own).then(|| Refusal::CrossSite {
        origin: origin.unwrap_or("of unknown origin").to_owned(),
    })
}
