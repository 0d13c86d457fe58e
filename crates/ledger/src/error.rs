//! What can go wrong between us and DynamoDB.

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_smithy_runtime_api::client::result::CreateUnhandledError;
use aws_smithy_runtime_api::http::Response;
use marketplace::quantity::Overflow;

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Done,
    /// Somebody else wrote first: read again, decide again.
    Conflict,
}

/// An item that does not read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "item {item}: attribute {attribute} {rule}; correct it by hand, nothing is done with it until then"
)]
pub struct Malformed {
    /// Its key.
    pub item: String,
    /// The attribute at fault.
    pub attribute: String,
    /// What it should be.
    pub rule: String,
}

/// A read or write that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// DynamoDB refused or did not answer, after the SDK's own retries.
    #[error("{operation} on table {table} failed ({code}): {message}")]
    Unavailable {
        /// Which operation.
        operation: &'static str,
        /// Which table.
        table: String,
        /// DynamoDB's error code, or the kind of failure.
        code: String,
        /// Everything the SDK knows.
        message: String,
    },
    /// A stored item is damaged.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl LedgerError {
    /// From a failed call.
    pub(crate) fn unavailable<E>(
        operation: &'static str,
        table: &str,
        error: SdkError<E, Response>,
    ) -> Self
    where
        E: std::error::Error
            + Send
            + Sync
            + CreateUnhandledError
            + aws_sdk_dynamodb::error::ProvideErrorMetadata
            + 'static,
    {
        let code = match &error {
            SdkError::TimeoutError(_) => "timeout".to_owned(),
            SdkError::DispatchFailure(_) => "connection failed".to_owned(),
            SdkError::ResponseError(_) => "unreadable response".to_owned(),
            SdkError::ConstructionFailure(_) => "request not built".to_owned(),
            other => other
                .as_service_error()
                .and_then(|e| e.code())
                .unwrap_or("unknown")
                .to_owned(),
        };
        Self::Unavailable {
            operation,
            table: table.to_owned(),
            code,
            message: DisplayErrorContext(error).to_string(),
        }
    }
}
