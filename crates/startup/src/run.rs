//! The Lambda loop, and what stream functions answer.

use std::fmt::Display;
use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// What went wrong in an invocation, as Lambda reports it.
pub type Error = lambda_runtime::Error;

/// The function was serving, and the Lambda Runtime API no longer answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lambda Runtime API no longer answers, so this process ends; nothing is wrong with the function's settings: {0}"
)]
struct RuntimeApiGone(Error);

/// Runs a function's main on a single-threaded runtime. An end is one line that says whether the
/// function failed to start, and why, or lost the Lambda Runtime API while it was serving; and exit
/// code 1. Lambda shows the line in the function's log.
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

/// What a stream or queue function answers: the records to deliver again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Empty when everything was done.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One record to deliver again; of a stream, everything from there on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// A stream's sequence number, a queue's message id.
    pub item_identifier: String,
}

impl BatchResponse {
    /// Everything was done.
    pub fn done() -> Self {
        Self::default()
    }

    /// These are to be delivered again.
    pub fn failed(identifiers: impl IntoIterator<Item = String>) -> Self {
        Self {
            batch_item_failures: identifiers
                .into_iter()
                .map(|item_identifier| BatchItemFailure { item_identifier })
                .collect(),
        }
    }
}

/// Waits, for a retry within an invocation; no time at all needs no timer.
pub async fn pause(time: std::time::Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Waits for `work` for no longer than there is time: `None` if it took longer.
pub async fn within<T>(budget: Budget, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(budget.left(), work).await.ok()
}
