//! The Lambda loop, and the answers of functions that handle batches.

use std::fmt::Display;
use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// The error of an invocation, as Lambda reports it.
pub type Error = lambda_runtime::Error;

/// The error when the Lambda Runtime API stops answering while the function serves.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lambda Runtime API no longer answers, so this process ends; nothing is wrong with the function's settings: {0}"
)]
struct RuntimeApiGone(Error);

/// Runs a function's main on a single-threaded runtime. If it fails, the exit code is 1, and a line
/// in the log says why: the function did not start, or the Lambda Runtime API stopped answering.
pub fn block_on<E: Into<Error>>(
    main: impl Future<Output = Result<(), E>>,
) -> std::process::ExitCode {
    lambda_runtime::tracing::init_default_subscriber();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime did not start");
            return std::process::ExitCode::FAILURE;
        }
    };
    match runtime.block_on(main) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let error: Error = error.into();
            let happened = match error.is::<RuntimeApiGone>() {
                true => "the function stopped serving",
                false => "the function did not start",
            };
            tracing::error!(%error, "{happened}");
            eprintln!("{happened}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Serves invocations with `handle` until Lambda ends the process.
pub async fn run<'a, Event, Answer, Failure, Handled>(
    handle: impl Fn(Event, Budget) -> Handled + 'a,
) -> Result<(), Error>
where
    Event: for<'de> Deserialize<'de>,
    Answer: Serialize,
    Failure: Display,
    Handled: Future<Output = Result<Answer, Failure>>,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| async move {
        let budget = Budget::until(event.context.deadline());
        handle(event.payload, budget).await.map_err(|error| {
            tracing::error!(%error, "the invocation failed");
            Error::from(error.to_string())
        })
    }))
    .await
    .map_err(|error| RuntimeApiGone(error).into())
}

/// Serves HTTP with an axum router until Lambda ends the process.
#[cfg(feature = "http")]
pub async fn run_http(router: axum::Router) -> Result<(), Error> {
    lambda_http::run(router)
        .await
        .map_err(|error| RuntimeApiGone(error).into())
}

/// The partial batch response of a stream or queue function: the records to deliver again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The records to deliver again; empty when all are done.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One record to deliver again. A stream also delivers every record after it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// The sequence number of a stream record, or the message id of a queue.
    pub item_identifier: String,
}

impl BatchResponse {
    /// The answer when no record must be delivered again.
    pub fn done() -> Self {
        Self::default()
    }

    /// The answer when the records with these identifiers must be delivered again.
    pub fn failed(identifiers: impl IntoIterator<Item = String>) -> Self {
        Self {
            batch_item_failures: identifiers
                .into_iter()
                .map(|item_identifier| BatchItemFailure { item_identifier })
                .collect(),
        }
    }
}

/// Waits for `time`, for example before a retry. If the time is zero, no timer is set.
pub async fn pause(time: std::time::Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Waits for `work` until the budget is spent. Returns `None` if the work took longer.
pub async fn within<T>(budget: Budget, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(budget.left(), work).await.ok()
}
