//! Keeps pages of other sites from changing the world.
//!
//! Any page in a developer's browser can send requests to localhost. It cannot read the answers,
//! but it does not need them to move the clock or to reset the world. Browsers report the origin of
//! a request, so requests of other sites are refused. Programs report none and are admitted.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method};

use super::ControlError;

/// Refuses a request that would change something and comes from a page of another site.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match other_site(request.method(), request.headers()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

/// The refusal of a request that would change something and comes from a page of another site.
/// `None` for any other request.
pub(crate) fn other_site(method: &Method, headers: &HeaderMap) -> Option<ControlError> {
    if method.is_safe() {
        return None;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(ORIGIN.as_str());
    let is_own = match (text("sec-fetch-site"), origin) {
        // `none` means that the person typed the address; no page sent the request.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers omit Sec-Fetch-Site for plain HTTP addresses other than the machine itself.
        (None, Some(origin)) => {
            let own = text(HOST.as_str()).unwrap_or_default();
            origin.strip_prefix("http://") == Some(own)
        }
        (None, None) => true,
    };
    (!is_own).then(|| ControlError::CrossSite {
        origin: origin.unwrap_or("an unnamed one").to_owned(),
    })
}
