//! Exchanges a ticket for its content, once, and publishes the key that verifies tickets. The
//! seller's software calls these addresses, so the answers are JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use ledger::LedgerError;
use ledger::ticket::TicketUse;
use marketplace::Subscription;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::BODY_BYTES_MAX;
use crate::answer;
use crate::app::App;
use crate::ticket::{Buyer, Claims, InvalidTicket, random_id};

/// The largest number of characters of an idempotency key. The limit is this project's.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;

/// The time for which a copy of the public key may be used, in the form of its header. Tickets are
/// valid for as long.
const KEY_SET_CACHE: &str = "public, max-age=300";

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    ticket: String,
    audience: String,
    idempotency_key: Option<String>,
}

/// The error of an exchange. No message repeats the ticket.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error(
        "the content type is not application/json: send the header Content-Type: application/json and a body in JSON"
    )]
    MediaType,
    #[error(
        "the body has more than {BODY_BYTES_MAX} bytes: send the ticket, the audience and the idempotency key only"
    )]
    TooLarge,
    #[error("the body could not be received: send the request again")]
    Incomplete,
    #[error(
        "the body is wrong at line {line}, column {column}: send one JSON object with the strings ticket and audience, and if you like idempotencyKey"
    )]
    Body { line: usize, column: usize },
    #[error(
        "idempotencyKey has {0} characters: send 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters, or leave it out"
    )]
    IdempotencyKey(usize),
    #[error("the ticket is not valid: {0}; send it as the browser brought it")]
    Ticket(InvalidTicket),
    #[error(
        "the ticket is for the audience {0}, and the request names another one: send the origin of the URL to which the buyer was sent"
    )]
    Audience(String),
    #[error(
        "the ticket has expired: let the buyer press \"Set up your account\" in the AWS console again"
    )]
    Expired,
    #[error(
        "the ticket was used already: let the buyer press \"Set up your account\" in the AWS console again, and send an idempotencyKey to be able to repeat a request"
    )]
    Used,
    #[error(
        "the stack's tables or its clock cannot be reached: send the same request again in a moment"
    )]
    Unavailable,
    #[error("an item of the stack's tables is damaged: its operator finds the item in the log")]
    Damaged,
}

impl ExchangeError {
    fn status(&self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete
            | Self::Body { .. }
            | Self::IdempotencyKey(_)
            | Self::Ticket(_)
            | Self::Audience(_)
            | Self::Expired => StatusCode::BAD_REQUEST,
            Self::Used => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::MediaType => "UnsupportedMediaType",
            Self::TooLarge => "BodyTooLarge",
            Self::Incomplete | Self::Body { .. } | Self::IdempotencyKey(_) => "InvalidRequest",
            Self::Ticket(_) => "InvalidTicket",
            Self::Audience(_) => "WrongAudience",
            Self::Expired => "ExpiredTicket",
            Self::Used => "TicketUsed",
            Self::Unavailable => "TryAgain",
            Self::Damaged => "InternalError",
        }
    }

    fn answer(&self) -> Response {
        let message = self.to_string();
        tracing::info!(code = self.code(), problem = %message, "a ticket was not exchanged");
        let content = json!({"error": self.code(), "message": message});
        answer::json(self.status(), &content)
    }
}

impl From<LedgerError> for ExchangeError {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "a ticket could not be exchanged");
        match error {
            LedgerError::Unavailable { .. } | LedgerError::Contended { .. } => Self::Unavailable,
            LedgerError::Malformed(_) | LedgerError::Overflow(_) => Self::Damaged,
        }
    }
}

/// Handles `POST /tickets/exchange`.
pub(crate) async fn exchange(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match exchanged(&app, &headers, body).await {
        Ok(content) => answer::json(StatusCode::OK, &content),
        Err(error) => error.answer(),
    }
}

/// Handles `GET /.well-known/jwks.json`: the public key that verifies tickets.
pub(crate) async fn key_set(State(app): State<Arc<App>>) -> Response {
    let mut answer = answer::json(StatusCode::OK, &app.session.tickets().jwks());
    let cached = HeaderValue::from_static(KEY_SET_CACHE);
    answer.headers_mut().insert(CACHE_CONTROL, cached);
    answer
}

async fn exchanged(
    app: &App,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Value, ExchangeError> {
    let request = request_of(headers, body)?;
    let now = app.clock.now().await.map_err(|error| {
        tracing::error!(%error, "a ticket could not be exchanged");
        ExchangeError::Unavailable
    })?;
    let claims = app
        .session
        .tickets()
        .read(&request.ticket)
        .map_err(ExchangeError::Ticket)?;
    if claims.aud != request.audience {
        // The request's audience is not repeated, in case it is the ticket by mistake.
        return Err(ExchangeError::Audience(claims.aud));
    }
    if claims.is_expired(now) {
        return Err(ExchangeError::Expired);
    }
    // The status is read first. If it cannot be read, the ticket is not used yet.
    let buyer = as_it_is_now(app, &claims).await?;
    let user = match request.idempotency_key {
        Some(key) => format!("key {key}"),
        // The SDK may repeat the write, and must find its own first one.
        None => {
            let id = random_id().map_err(|error| {
                tracing::error!(%error, "a ticket could not be exchanged");
                ExchangeError::Unavailable
            })?;
            format!("request {id}")
        }
    };
    match app.ledger.use_ticket(&claims.jti, &user, now).await? {
        TicketUse::AlreadyUsed => Err(ExchangeError::Used),
        TicketUse::Granted => {
            tracing::info!(subscription = %buyer.subscription, "a ticket was exchanged");
            Ok(json!(buyer))
        }
    }
}

/// The buyer with the subscription's present status. A subscription whose profile was deleted by
/// hand has the status in the ticket.
async fn as_it_is_now(app: &App, claims: &Claims) -> Result<Buyer, ExchangeError> {
    let mut buyer = claims.buyer.clone();
    let subscription: Subscription = buyer
        .subscription
        .parse()
        .map_err(|_| ExchangeError::Ticket(InvalidTicket::Form))?;
    if let Some(profile) = app.ledger.profile(&subscription).await? {
        buyer.status = profile.status().to_string();
    }
    Ok(buyer)
}

fn request_of(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Request, ExchangeError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind != Some("application/json") {
        return Err(ExchangeError::MediaType);
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ExchangeError::TooLarge,
        _ => ExchangeError::Incomplete,
    })?;
    // The error's own text may repeat the ticket.
    let request: Request = serde_json::from_slice(&body).map_err(|error| ExchangeError::Body {
        line: error.line(),
        column: error.column(),
    })?;
    if let Some(key) = &request.idempotency_key {
        let chars = key.chars().count();
        if chars == 0 || chars > IDEMPOTENCY_KEY_CHARS_MAX {
            return Err(ExchangeError::IdempotencyKey(chars));
        }
    }
    Ok(request)
}
