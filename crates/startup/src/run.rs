//! The Lambda loop, and what stream functions answer.

use std::fmt::Display;
use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// What went wrong in an invocation, as Lambda reports it.
pub type Error = lambda_runtime::Error;

/// Runs a function's main on a single-threaded runtime. A failed start is one line that names what
/// is wrong, and exit code 1: Lambda shows it in the function's log.
pub fn block_on<E: Display>(main: impl Future<Output = Result<(), E>>) -> std::process::ExitCode {
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
            tracing::error!(%error, "the function did not start");
            eprintln!("the function did not start: {error}");
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
}

/// Serves HTTP with an axum router until Lambda ends the process.
#[cfg(feature = "http")]
pub async fn run_http(router: axum::Router) -> Result<(), Error> {
    lambda_http::run(router).await
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
