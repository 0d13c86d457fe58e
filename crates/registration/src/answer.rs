//! Answers that are no pages: redirects and JSON.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, InvalidHeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::page;

/// The seconds after which a caller may try again if DynamoDB is unavailable.
const RETRY_AFTER_S: &str = "1";

/// An answer that no cache keeps, and whose address is not sent to other sites.
fn answer(status: StatusCode, body: Body) -> Response {
    let fixed = |value: &'static str| HeaderValue::from_static(value);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, fixed("no-store"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert(
        STRICT_TRANSPORT_SECURITY,
        fixed(page::STRICT_TRANSPORT_SECURITY),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    response
}

/// Sends the browser to another page with GET, and sets or removes a cookie. Fails if the location
/// is not valid in a header.
pub(crate) fn see_other(
    location: &str,
    cookie: Option<HeaderValue>,
) -> Result<Response, InvalidHeaderValue> {
    let location = HeaderValue::try_from(location)?;
    let mut response = answer(StatusCode::SEE_OTHER, Body::empty());
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    if let Some(cookie) = cookie {
        headers.insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// An answer in JSON. With status 503 it has the header `Retry-After`.
pub(crate) fn json(status: StatusCode, content: &Value) -> Response {
    let mut response = answer(status, Body::from(content.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    response
}
