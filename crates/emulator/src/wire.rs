//! The AWS APIs over HTTP: targets, credentials, bodies, errors, request ids, and a part of S3.

mod agreement_api;
mod aws_error;
mod batch_answer;
mod caller;
mod cbor;
mod handle;
mod operation;
mod protocol;
mod s3;
mod s3_error;
mod serve;
mod sigv4;
mod simple;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

pub(crate) use aws_error::AwsError;
pub use serve::ConnectionDropped;
pub(crate) use serve::serve;

use crate::emulator::Emulator;
use crate::limits::BODY_READ_BYTES_MAX;
use caller::Caller;
use operation::{Api, Operation};
use protocol::Protocol;

/// The names of all operations, for messages and for the choice of faults.
pub(crate) fn operation_names() -> Vec<&'static str> {
    let mut names = Operation::names();
    names.extend(s3::OPERATIONS);
    names
}

/// The reply to a call: an answer, an error, or no answer.
pub(crate) enum Reply {
    /// An answer that is already written as JSON.
    Json(Vec<u8>),
    /// The members of an answer, which are still to be written in the caller's protocol.
    Members(Value),
    Refusal(AwsError),
    /// The error page of a proxy. It is not an AWS error.
    BadGateway,
    /// No answer: the connection is closed.
    Dropped,
}

/// A reply with the request id and the real time by which it is delayed.
pub(crate) struct Handled {
    pub(crate) reply: Reply,
    pub(crate) request_id: String,
    pub(crate) delay_ms: u64,
}

/// Answers every request that is not for the control interface.
pub(crate) async fn aws_api(State(emulator): State<Emulator>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if s3::is_for(&head) {
        return s3::answer(&emulator, &head).await;
    }
    let (protocol, handled) = match route(&head) {
        Err(error) => (Protocol::Json(Api::Metering), emulator.refuse(error)),
        Ok((operation, protocol)) => {
            let secret = emulator.core().world.settings.secret_access_key.clone();
            let handled = match call(&head, body, operation, secret.as_deref()).await {
                Err(error) => emulator.refuse(error),
                Ok((caller, body)) => {
                    let caller = caller.or_region(emulator.region());
                    emulator.handle(operation, protocol, &caller, &body)
                }
            };
            (protocol, handled)
        }
    };
    if handled.delay_ms > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(handled.delay_ms)).await;
    }
    respond(protocol, handled)
}

fn route(head: &http::request::Parts) -> Result<(Operation, Protocol), AwsError> {
    let not_found = || {
        let request = format!("{} {}", head.method, head.uri.path());
        AwsError::unknown_operation(StatusCode::NOT_FOUND, &request)
    };
    if head.method != Method::POST {
        return Err(not_found());
    }
    Protocol::of(head.uri.path(), &head.headers).map_err(|operation| match operation {
        None => not_found(),
        Some(name) => AwsError::unknown_operation(StatusCode::BAD_REQUEST, &name),
    })
}

async fn call(
    head: &http::request::Parts,
    body: Body,
    operation: Operation,
    secret: Option<&str>,
) -> Result<(Caller, bytes::Bytes), AwsError> {
    let caller = Caller::from_headers(&head.headers, operation)?;
    let body = match Limited::new(body, BODY_READ_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(AwsError::too_large(BODY_READ_BYTES_MAX));
        }
        Err(error) => return Err(AwsError::unreadable(&error.to_string())),
    };
    protocol::check_size(body.len())?;
    if let Some(secret) = secret {
        sigv4::verify(head, &body, secret)?;
    }
    Ok((caller, body))
}

fn respond(protocol: Protocol, handled: Handled) -> Response {
    let (status, code, body) = match handled.reply {
        Reply::Json(body) => (StatusCode::OK, None, body),
        Reply::Members(members) => (StatusCode::OK, None, protocol.write(&members)),
        Reply::Refusal(error) => {
            let body = protocol.write(&error.members());
            (error.status(), Some(error.code()), body)
        }
        Reply::BadGateway => {
            let page = Html("<html><body>502 Bad Gateway</body></html>");
            return (StatusCode::BAD_GATEWAY, page).into_response();
        }
        Reply::Dropped => return ConnectionDropped.into_response(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(protocol.media_type()),
    );
    if protocol == Protocol::Cbor {
        headers.insert(
            protocol::SMITHY_PROTOCOL,
            HeaderValue::from_static(protocol::RPC_V2_CBOR),
        );
    }
    if let Ok(id) = HeaderValue::from_str(&handled.request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(code) = code {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    }
    response
}
