//! Pages of other sites change nothing here.
//!
//! Any page a developer's browser shows can send requests to localhost. It cannot read the
//! answers, but an advanced clock or a world that is reset needs none. Browsers say where a
//! request comes from; programs say nothing, and are let through.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method};

use super::ControlError;

/// Refuses what would change something and comes from a page of another site.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match other_site(request.method(), request.headers()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

/// The refusal, if the request would change something and comes from a page of another site.
pub(crate) fn other_site(method: &Method, headers: &HeaderMap) -> Option<ControlError> {
    if method.is_safe() {
        return None;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(ORIGIN.as_str());
    let is_own = match (text("sec-fetch-site"), origin) {
        // `none` is the person at the browser, not a page.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers leave Sec-Fetch-Site out where a plain HTTP address is not the machine itself.
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
