//! What the function does with a request before its routes see it.
//!
//! API Gateway keeps the key of an API mapping, or the name of a stage, in the path: `/saas/register`
//! or `/prod/register`. So only the last segments decide, and the pages link to each other with
//! relative addresses. Media types are compared in lower case, because RFC 9110 allows any case.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Uri};

/// The addresses of the function, except the root.
const ADDRESSES: [&str; 6] = [
    "/register",
    "/sign-up",
    "/thanks",
    "/sign-in",
    "/tickets/exchange",
    "/.well-known/jwks.json",
];

/// Removes the prefix of the path, and writes the media type in lower case.
pub(crate) async fn normalized(mut request: Request) -> Request {
    if let Some(address) = address_of(request.uri().path()) {
        // No route reads the host or the query.
        *request.uri_mut() = Uri::from_static(address);
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).map(lower);
    if let Some(Ok(kind)) = kind.map(HeaderValue::try_from) {
        request.headers_mut().insert(CONTENT_TYPE, kind);
    }
    request
}

/// The address that a path means; `None` if it means none.
fn address_of(path: &str) -> Option<&'static str> {
    if path.ends_with('/') {
        return Some("/");
    }
    let mut addresses = ADDRESSES.into_iter();
    addresses.find(|address| path.ends_with(*address))
}

/// A content type whose media type is in lower case. Its parameters stay as they are.
fn lower(content_type: &str) -> String {
    let end = content_type.find(';').unwrap_or(content_type.len());
    let (kind, parameters) = content_type.split_at(end);
    format!("{}{parameters}", kind.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        assert_eq!(address_of(path), expect, "{path}");
    }

    #[test]
    fn only_the_last_segments_of_a_path_decide() {
        check("/", Some("/"));
        check("/prod/", Some("/"));
        check("/register", Some("/register"));
        check("/saas/register", Some("/register"));
        check("/a/b/sign-up", Some("/sign-up"));
        check("/prod/tickets/exchange", Some("/tickets/exchange"));
        check("/x/.well-known/jwks.json", Some("/.well-known/jwks.json"));
        check("/unregister", None);
        check("/exchange", None);
        check("/register/contact", None);
        check("/elsewhere", None);
    }

    #[test]
    fn only_the_media_type_becomes_lower_case() {
        for (text, expect) in [
            (
                "Application/X-WWW-Form-Urlencoded; Charset=UTF-8",
                "application/x-www-form-urlencoded; Charset=UTF-8",
            ),
            ("Text/Plain", "text/plain"),
            ("", ""),
        ] {
            assert_eq!(lower(text), expect);
        }
    }
}
