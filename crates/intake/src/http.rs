//! Checks the HTTP request before its events are read, and writes answers in JSON.

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use marketplace::text::excerpt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{BODY_BYTES_MAX, EVENTS_MAX};

/// The error of a request that could not be read. None of its events was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(
        "the content type is {0}: send the header Content-Type: application/json and a body in JSON"
    )]
    ContentType(String),
    #[error("the content encoding is {0:?}: send the body uncompressed")]
    ContentEncoding(String),
    #[error(
        "the body has more than {BODY_BYTES_MAX} bytes: send the events in several requests, at most {EVENTS_MAX} in each"
    )]
    TooLong,
    #[error("the body could not be received ({0}): send the request again")]
    Broken(String),
    #[error(
        "the body is not {{\"events\":[...]}} in JSON: {0}; send one object whose only member is events, a list of 1 to {EVENTS_MAX} events"
    )]
    Body(serde_json::Error),
    #[error("events is empty: send 1 to {EVENTS_MAX} events in a request")]
    NoEvents,
    #[error("events has {0} elements: send at most {EVENTS_MAX} in a request")]
    TooManyEvents(usize),
    #[error("there is no path {0}: send usage with POST /usage")]
    Path(String),
    #[error("method {0} is not allowed: send usage with POST /usage")]
    Method(String),
    #[error("the time could not be read: send the request again in a moment")]
    Clock,
}

impl Unreadable {
    fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) | Self::Body(_) | Self::NoEvents | Self::TooManyEvents(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Path(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Clock => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ContentType(_) => "unsupported-content-type",
            Self::ContentEncoding(_) => "unsupported-content-encoding",
            Self::TooLong => "body-too-long",
            Self::Broken(_) => "body-incomplete",
            Self::Body(_) => "unreadable-body",
            Self::NoEvents => "no-events",
            Self::TooManyEvents(_) => "too-many-events",
            Self::Path(_) => "not-found",
            Self::Method(_) => "method-not-allowed",
            Self::Clock => "unavailable",
        }
    }

    /// The HTTP answer, with the code and the message in JSON.
    pub fn response(&self) -> Response {
        #[derive(Serialize)]
        struct Fault<'a> {
            code: &'a str,
            message: &'a str,
        }
        let message = self.to_string();
        let fault = Fault {
            code: self.code(),
            message: &message,
        };
        tracing::info!(code = fault.code, message, "a request could not be read");
        let mut response = json(self.status(), &fault);
        if matches!(self, Self::Method(_)) {
            let post = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, post);
        }
        response
    }
}

/// An answer in JSON. With status 503 it has the header `Retry-After`.
pub(crate) fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    let (status, body) = match serde_json::to_vec(answer) {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!(%error, "the answer could not be written");
            let body = br#"{"code":"internal","message":"the answer could not be written: send the request again, each event is stored once"}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, body.to_vec())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer for every path other than `/usage`.
pub(crate) async fn not_found(uri: Uri) -> Response {
    Unreadable::Path(excerpt(uri.path(), 60)).response()
}

/// The answer for every method other than POST.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    Unreadable::Method(excerpt(method.as_str(), 20)).response()
}

/// Returns the body, if its headers say that it is uncompressed JSON.
pub(crate) fn body(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, Unreadable> {
    let header = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable"))
    };
    let content_type = header(CONTENT_TYPE);
    let is_json = |value: &str| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    if !content_type.is_some_and(is_json) {
        let shown = content_type.map_or("not given".to_owned(), |value| {
            format!("{:?}", excerpt(value, 60))
        });
        return Err(Unreadable::ContentType(shown));
    }
    match header(CONTENT_ENCODING) {
        None | Some("identity") => {}
        Some(other) => {
            return Err(Unreadable::ContentEncoding(excerpt(other, 60)));
        }
    }
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Unreadable::TooLong,
        _ => Unreadable::Broken(excerpt(&rejection.body_text(), 200)),
    })
}

/// Returns the events of a body, each as JSON text.
pub(crate) fn events(body: &[u8]) -> Result<Vec<&RawValue>, Unreadable> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let request: Request<'_> = serde_json::from_slice(body).map_err(Unreadable::Body)?;
    match request.events.len() {
        0 => Err(Unreadable::NoEvents),
        1..=EVENTS_MAX => Ok(request.events),
        more => Err(Unreadable::TooManyEvents(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..200,
            event in "\\PC{0,40}",
        ) {
            let whole = serde_json::json!({"events": [{"id": event, "quantity": 1}, event]}).to_string();
            let part = &whole.as_bytes()[..cut.min(whole.len())];
            for body in [&bytes, whole.as_bytes(), part] {
                let is_whole = body == whole.as_bytes();
                let now = jiff::Timestamp::UNIX_EPOCH;
                match events(body) {
                    Ok(events) => {
                        for raw in events {
                            let _read = crate::event::read(raw, now);
                        }
                    }
                    Err(unreadable) => {
                        prop_assert!(!is_whole);
                        prop_assert!(unreadable.status().is_client_error());
                    }
                }
            }
        }
    }
}
