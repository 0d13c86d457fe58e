//! Accepts usage events over HTTP: `POST /usage` with a result for each event.
//!
//! # Layout
//! * [`function`], [`router`]: the only route; `http`: checks requests and writes answers
//! * `members`, `event`: read and check a single event; [`Rejection`]: why an event is rejected
//! * `request_data`: reads the subscriptions and products that a request names
//! * `store`: puts the events into the table; `event_result`: the result for each event
//! * [`limits`]: the limits of a request
//!
//! # What is deliberately absent
//! * Authentication: API Gateway checks the caller's IAM signature before it calls this function.
//! * The only access to the table: a producer may also put rows into it directly, and the sealer
//!   checks every row again.

mod event;
mod event_result;
mod http;
pub mod limits;
mod members;
mod rejection;
mod request_data;
mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;
use ledger::Ledger;
use runtime::clients;
use runtime::metrics::{count, emit};
use runtime::{Budget, Clock, Env, StartError};
use serde_json::value::RawValue;

use event_result::{Answer, EventResult};
use http::Unreadable;
use request_data::RequestData;

pub use rejection::Rejection;

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The three DynamoDB tables of the stack.
    pub ledger: Ledger,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The longest time that a request may take: [`limits::REQUEST_TIME_MAX`] behind API Gateway.
    pub request_time: Duration,
}

impl App {
    /// Reads the settings: the table names, and for a local stack the endpoint and the clock.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the setting that is missing or wrong.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        Ok(Self::new(ledger, Clock::from_env(env)?))
    }

    /// Makes the function of its parts.
    pub fn new(ledger: Ledger, clock: Clock) -> Self {
        Self {
            ledger,
            clock,
            request_time: limits::REQUEST_TIME_MAX,
        }
    }
}

/// The router for `POST /usage`. The request is
/// `{"events":[{"id","subscription","dimension","quantity","time","tags"?}]}`, with 1 to
/// [`limits::EVENTS_MAX`] events and at most [`limits::BODY_BYTES_MAX`] bytes.
///
/// The answer is 200 with
/// `{"results":[{"id","status","code"?,"message"?}],"stored","repeated","rejected"}`. The results
/// are in the order of the events. If some events must be sent again because DynamoDB did not
/// answer, the answer is 503 with the additional member `failed`, and the other results are valid.
/// With 400, 405, 413 and 415, and with 503 if the time could not be read, the answer is
/// `{"code","message"}`, and nothing was stored.
///
/// It handles no other path, so that it can be merged with other routers.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/usage", post(usage).fallback(http::method_not_allowed))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .with_state(app)
}

/// The router of the whole function: [`router`], and 404 in JSON for every other path.
pub fn function(app: Arc<App>) -> Router {
    router(app).fallback(http::not_found)
}

async fn usage(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match receive(&app, &headers, body).await {
        Ok(answer) if answer.failed == 0 => http::json(StatusCode::OK, &answer),
        Ok(answer) => http::json(StatusCode::SERVICE_UNAVAILABLE, &answer),
        Err(unreadable) => unreadable.response(),
    }
}

async fn receive(
    app: &App,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Answer, Unreadable> {
    let budget = Budget::of(app.request_time);
    let body = http::body(headers, body)?;
    let events = http::events(&body)?;
    let now = app.clock.now().await.map_err(|error| {
        tracing::error!(%error, "the time could not be read, so the request was not handled");
        Unreadable::Clock
    })?;
    let answer = judge_and_store(&app.ledger, &events, now, budget).await;
    publish(&answer, now);
    Ok(answer)
}

async fn judge_and_store(
    ledger: &Ledger,
    events: &[&RawValue],
    now: Timestamp,
    budget: Budget,
) -> Answer {
    let reads: Vec<event::Read> = events.iter().map(|raw| event::read(raw, now)).collect();
    let usages = reads.iter().filter_map(|read| read.usage.as_ref().ok());
    let request_data = RequestData::read(ledger, usages, budget).await;

    let mut results: Vec<Option<EventResult>> = Vec::with_capacity(reads.len());
    let mut to_store = Vec::new();
    for (place, read) in reads.iter().enumerate() {
        results.push(match &read.usage {
            Err(rejection) => Some(rejection.clone().into()),
            Ok(usage) => {
                let objection = request_data.objection(usage);
                if objection.is_none() {
                    to_store.push((place, usage));
                }
                objection
            }
        });
    }
    for (place, stored) in store::store(ledger, to_store, budget).await {
        if let Some(result) = results.get_mut(place) {
            *result = Some(stored);
        }
    }
    let ids = reads.into_iter().map(|read| read.id);
    // At this point every event has a result. Without one, the safe answer is to send it again.
    let results = results
        .into_iter()
        .map(|result| result.unwrap_or(EventResult::Failed(event_result::Unavailable)));
    Answer::of(ids.zip(results))
}

fn publish(answer: &Answer, now: Timestamp) {
    tracing::info!(
        stored = answer.stored,
        repeated = answer.repeated,
        rejected = answer.rejected,
        failed = answer.failed,
        "usage received"
    );
    emit(
        "intake",
        now,
        &[
            count("EventsStored", answer.stored),
            count("EventsRepeated", answer.repeated),
            count("EventsRejected", answer.rejected),
            count("EventsFailed", answer.failed),
        ],
    );
}
