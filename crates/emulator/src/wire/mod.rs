//! AWS JSON 1.1 over HTTP: targets, credentials, bodies, errors and request ids.

mod aws_error;
mod batch_answer;
mod caller;
mod handle;
mod operation;
mod serve;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};

pub(crate) use aws_error::AwsError;
pub use serve::ConnectionDropped;
pub(crate) use serve::serve;

use crate::emulator::Emulator;
use crate::limits::{BODY_READ_BYTES_MAX, REQUEST_SIZE_BYTES_END};
use caller::Caller;
use operation::Operation;

pub(crate) const AWS_JSON: &str = "application/x-amz-json-1.1";

/// Every operation's name, for messages.
pub(crate) fn operation_names() -> Vec<&'static str> {
    Operation::names()
}

/// What a call is answered with, or that it is not.
pub(crate) enum Reply {
    Answer(Vec<u8>),
    Refusal(AwsError),
    Dropped,
}

/// A reply with the call's id and the real time it waits.
pub(crate) struct Handled {
    pub(crate) reply: Reply,
    pub(crate) request_id: String,
    pub(crate) delay_ms: u64,
}

/// Every request that is not for the control interface.
pub(crate) async fn aws_api(State(emulator): State<Emulator>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let handled = match route(&head) {
        Err(error) => emulator.refuse(error),
        Ok((operation, caller)) => match read_body(body).await {
            Err(error) => emulator.refuse(error),
            Ok(body) => emulator.handle(operation, &caller, &body),
        },
    };
    if handled.delay_ms > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(handled.delay_ms)).await;
    }
    respond(handled)
}

fn route(head: &http::request::Parts) -> Result<(Operation, Caller), AwsError> {
    if head.uri.path() != "/" || head.method != Method::POST {
        return Err(AwsError::unknown_operation(
            StatusCode::NOT_FOUND,
            &format!("{} {}", head.method, head.uri.path()),
        ));
    }
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let operation = Operation::from_target(target)
        .ok_or_else(|| AwsError::unknown_operation(StatusCode::BAD_REQUEST, target))?;
    let caller = Caller::from_headers(&head.headers, operation)?;
    Ok((operation, caller))
}

async fn read_body(body: Body) -> Result<bytes::Bytes, AwsError> {
    let body = match Limited::new(body, BODY_READ_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(AwsError::too_large(BODY_READ_BYTES_MAX));
        }
        Err(error) => return Err(AwsError::unreadable(&error.to_string())),
    };
    if body.len() >= REQUEST_SIZE_BYTES_END {
        return Err(AwsError::too_large(body.len()));
    }
    Ok(body)
}

fn respond(handled: Handled) -> Response {
    let (status, code, body) = match handled.reply {
        Reply::Answer(body) => (StatusCode::OK, None, body),
        Reply::Refusal(error) => (error.status(), Some(error.code().to_owned()), error.body()),
        Reply::Dropped => return ConnectionDropped.into_response(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(AWS_JSON));
    if let Ok(id) = HeaderValue::from_str(&handled.request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(code) = code.and_then(|code| HeaderValue::from_str(&code).ok()) {
        headers.insert("x-amzn-errortype", code);
    }
    response
}
