//! Pages that depend on nothing but the address.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::app::App;
use crate::page::Content;

/// Handles `GET /` and `GET /register`: a visitor without a token, for example from a bookmark.
pub(crate) async fn welcome(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.show(&headers, Content::Welcome).await
}

/// Handles `GET /thanks`: the last page.
pub(crate) async fn thanks(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.show(&headers, Content::Thanks).await
}

/// The page for every other address.
pub(crate) async fn not_found(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.show(&headers, Content::NotFound).await
}

/// The page for a method that an address does not have.
pub(crate) async fn method_not_allowed(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Response {
    app.show(&headers, Content::MethodNotAllowed).await
}
