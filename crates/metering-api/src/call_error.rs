//! The error of a call. Each cause has one code.
//!
//! Facts: M20, M63 (docs/marketplace-rules.md).

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use marketplace::error_table::{self, About};
pub(crate) use marketplace::error_table::{
    CONNECTION_FAILED, NO_CREDENTIALS, NOT_CONNECTED, NOT_SENT, RESPONSE_UNREADABLE, SERVER_ERROR,
    TIMEOUT,
};

use crate::exchange::request_id;
use crate::next_step::next_step;
use crate::operation::Operation;
use crate::text::shown;

/// The most characters of a stored message. The limit is this project's.
pub(crate) const MESSAGE_CHARS_MAX: usize = 1_000;

/// The most nested causes of an error that are read. The limit is this project's; the SDK nests
/// about six.
const CAUSES_MAX: usize = 16;

/// A call that did not succeed, after the retries of the SDK's configuration.
///
/// Unless the service refused the call with an error code of AWS, it may have done the work, and
/// only the answer was lost. Repeat the call with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The operation that was called.
    pub operation: Operation,
    /// The error code of AWS (`ThrottlingException`), or a code of this project: `Timeout`,
    /// `ConnectionFailed`, `NotConnected`, `NoCredentials`, `ServerError` (5xx without a code),
    /// `ResponseUnreadable` (an incomplete answer, or one that is not from the service), `NotSent`
    /// (stopped by this crate's own checks, so certainly nothing was done).
    pub code: String,
    /// The message of AWS or of the SDK, at most 1,000 characters.
    pub message: String,
    /// The HTTP status of the last answer; `None` if there was none.
    pub http_status: Option<u16>,
    /// The request id that AWS support asks for; `None` if the answer had none.
    pub request_id: Option<String>,
}

impl CallError {
    /// The part of a batch that the error is about. A code that is not AWS's is about the whole
    /// request.
    pub fn about(&self) -> About {
        error_table::about(&self.code)
    }

    /// The error for a request that was not sent, because it breaks a limit.
    pub(crate) fn not_sent(operation: Operation, message: impl Into<String>) -> Self {
        Self {
            operation,
            code: NOT_SENT.to_owned(),
            message: message.into(),
            http_status: None,
            request_id: None,
        }
    }

    /// The error for an answer with HTTP status 200 that cannot be used.
    pub(crate) fn unreadable(
        operation: Operation,
        message: impl Into<String>,
        request_id: Option<String>,
    ) -> Self {
        Self {
            operation,
            code: RESPONSE_UNREADABLE.to_owned(),
            message: message.into(),
            http_status: Some(200),
            request_id,
        }
    }

    /// Converts an error of the SDK. `transmissions` is the number of attempts that began to be
    /// sent.
    pub(crate) fn from_sdk<E>(
        operation: Operation,
        error: &SdkError<E, HttpResponse>,
        transmissions: u32,
    ) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let service = error.as_service_error();
        let code = match error {
            SdkError::ServiceError(_) => service.and_then(E::code).unwrap_or(RESPONSE_UNREADABLE),
            SdkError::ResponseError(_) => RESPONSE_UNREADABLE,
            // If there were several attempts, an earlier attempt may have been connected. A
            // connection that is not opened in time is a time-out too, but nothing was sent.
            _ if transmissions == 1 && was_never_connected(error) => NOT_CONNECTED,
            SdkError::TimeoutError(_) => TIMEOUT,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => TIMEOUT,
            _ if causes(error).any(|cause| cause.is::<CredentialsError>()) => NO_CREDENTIALS,
            _ if transmissions > 0 => CONNECTION_FAILED,
            // The call failed before it was sent: no Region, no endpoint, or no signature.
            _ => NOT_SENT,
        };
        let message = match service {
            Some(service) => service.message().unwrap_or_default().to_owned(),
            None => {
                let texts: Vec<_> = causes(error).map(|cause| cause.to_string()).collect();
                shown(&texts.join(": "), MESSAGE_CHARS_MAX)
            }
        };
        let response = error.raw_response();
        Self {
            operation,
            code: code.to_owned(),
            message,
            http_status: response.map(|r| r.status().as_u16()),
            request_id: response.and_then(request_id),
        }
    }
}

/// Returns whether no connection could be opened, so that nothing was sent. The SDK reports that
/// only in the text of hyper's error. With any other text the call may have been sent, which is the
/// safe assumption.
fn was_never_connected(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string() == "client error (Connect)")
}

/// The error, its cause, the cause of its cause, and so on.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(CAUSES_MAX)
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with {}", self.operation, self.code)?;
        match (self.http_status, &self.request_id) {
            (Some(status), Some(id)) => write!(f, " (HTTP {status}, request {id})")?,
            (Some(status), None) => write!(f, " (HTTP {status})")?,
            (None, Some(id)) => write!(f, " (request {id})")?,
            (None, None) => {}
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message.trim_end_matches('.'))?;
        }
        write!(f, ". {}", next_step(self.operation, &self.code))
    }
}

impl StdError for CallError {}
