//! Errors of reads and writes in DynamoDB, and the retries of single writes.
//!
//! Fact: M60 (docs/marketplace-rules.md).

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::AsyncSleep;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::CreateUnhandledError;
use aws_smithy_runtime_api::http::Response;
use marketplace::quantity::Overflow;

use crate::Ledger;

/// The most tries of one write while a transaction of another writer holds its item. Our own
/// choice: such a transaction lasts milliseconds, and the pauses add up to half a second.
const HELD_TRIES_MAX: u32 = 6;

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The condition held, and the item was written.
    Done,
    /// The condition failed, because another writer was first. Read the item and decide again.
    Conflict,
}

/// A stored item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "item {item}: attribute {attribute} {rule}; correct it by hand, because the stack does not use the item until then"
)]
pub struct Malformed {
    /// The item's partition key and sort key, as `<partition> / <sort>`.
    pub item: String,
    /// The name of the damaged attribute.
    pub attribute: String,
    /// The end of a sentence that begins with the attribute's name and says what is wrong, for
    /// example `is missing`.
    pub rule: String,
}

/// The error of a failed read or write.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// DynamoDB refused the request or did not answer it, after the SDK's own retries.
    #[error("{operation} on table {table} failed ({code}): {message}")]
    Unavailable {
        /// The name of the DynamoDB operation, for example `PutItem`.
        operation: &'static str,
        /// The name of the table.
        table: String,
        /// DynamoDB's error code, or the kind of failure if DynamoDB gave none.
        code: String,
        /// The SDK's whole error text.
        message: String,
    },
    /// Other writers changed an item before each try to write it.
    #[error(
        "other writers changed {item} in table {table} {tries} times while it was being written; try again"
    )]
    Contended {
        /// The partition key of the item.
        item: String,
        /// The name of the table.
        table: String,
        /// The number of tries.
        tries: u32,
    },
    /// A stored item cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A sum exceeded its numeric range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl LedgerError {
    /// The error of a request that lacks a required member.
    pub(crate) fn not_built(operation: &'static str, table: &str, error: &BuildError) -> Self {
        Self::Unavailable {
            operation,
            table: table.to_owned(),
            code: "request not built".to_owned(),
            message: error.to_string(),
        }
    }

    /// The error of a failed call.
    pub(crate) fn unavailable<E>(
        operation: &'static str,
        table: &str,
        error: SdkError<E, Response>,
    ) -> Self
    where
        E: std::error::Error + Send + Sync + CreateUnhandledError + ProvideErrorMetadata + 'static,
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

impl Ledger {
    /// Makes one write for which there may be competing writers. A failed condition is a conflict.
    /// DynamoDB also refuses a write while a transaction holds its item
    /// (`TransactionConflictException`). The SDK does not retry that, so this function does. If the
    /// item is still held after all tries, that is a conflict too.
    pub(crate) async fn write<T, E, Sent>(
        &self,
        operation: &'static str,
        table: &str,
        send: impl Fn() -> Sent,
    ) -> Result<Written, LedgerError>
    where
        E: std::error::Error + Send + Sync + CreateUnhandledError + ProvideErrorMetadata + 'static,
        Sent: Future<Output = Result<T, SdkError<E, Response>>>,
    {
        match self.send_while_held(send).await {
            Err(error) if has_code(&error, ITEM_HELD) => Ok(Written::Conflict),
            answer => conditional(operation, table, answer),
        }
    }

    /// Makes one write whose failed condition shows a fact about the item, for example that it
    /// exists. If a transaction still holds the item after all tries, that fact is unknown, so the
    /// result is an error.
    pub(crate) async fn write_if<T, E, Sent>(
        &self,
        operation: &'static str,
        table: &str,
        send: impl Fn() -> Sent,
    ) -> Result<Written, LedgerError>
    where
        E: std::error::Error + Send + Sync + CreateUnhandledError + ProvideErrorMetadata + 'static,
        Sent: Future<Output = Result<T, SdkError<E, Response>>>,
    {
        conditional(operation, table, self.send_while_held(send).await)
    }

    /// Makes one write without a condition. If a transaction still holds the item after all tries,
    /// the result is an error, because nothing was written.
    pub(crate) async fn write_always<T, E, Sent>(
        &self,
        operation: &'static str,
        table: &str,
        send: impl Fn() -> Sent,
    ) -> Result<(), LedgerError>
    where
        E: std::error::Error + Send + Sync + CreateUnhandledError + ProvideErrorMetadata + 'static,
        Sent: Future<Output = Result<T, SdkError<E, Response>>>,
    {
        match self.send_while_held(send).await {
            Ok(_) => Ok(()),
            Err(error) => Err(LedgerError::unavailable(operation, table, error)),
        }
    }

    async fn send_while_held<T, E, Sent>(
        &self,
        send: impl Fn() -> Sent,
    ) -> Result<T, SdkError<E, Response>>
    where
        E: ProvideErrorMetadata,
        Sent: Future<Output = Result<T, SdkError<E, Response>>>,
    {
        let mut tries = 1;
        loop {
            match send().await {
                Err(error) if has_code(&error, ITEM_HELD) && tries < HELD_TRIES_MAX => {
                    self.sleep(Duration::from_millis(8 << tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Waits with the SDK client's own sleep, which tests can replace.
    pub(crate) async fn sleep(&self, time: Duration) {
        if let Some(sleep) = self.client.config().sleep_impl() {
            sleep.sleep(time).await;
        }
    }
}

const CONDITION_FAILED: &str = "ConditionalCheckFailedException";
const ITEM_HELD: &str = "TransactionConflictException";

fn conditional<T, E>(
    operation: &'static str,
    table: &str,
    answer: Result<T, SdkError<E, Response>>,
) -> Result<Written, LedgerError>
where
    E: std::error::Error + Send + Sync + CreateUnhandledError + ProvideErrorMetadata + 'static,
{
    match answer {
        Ok(_) => Ok(Written::Done),
        Err(error) if has_code(&error, CONDITION_FAILED) => Ok(Written::Conflict),
        Err(error) => Err(LedgerError::unavailable(operation, table, error)),
    }
}

fn has_code<E: ProvideErrorMetadata>(error: &SdkError<E, Response>, code: &str) -> bool {
    error.as_service_error().and_then(|e| e.code()) == Some(code)
}
