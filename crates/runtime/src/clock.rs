//! The only source of the current time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;

use crate::env::{Env, SettingError};

/// The most bytes that are read of the emulator's answer.
const ANSWER_BYTES_MAX: usize = 4_096;
/// How long to wait for the emulator's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The source of the current time.
#[derive(Clone)]
pub enum Clock {
    /// The system's clock. A stack on AWS uses only this clock.
    System,
    /// The emulator's clock, so that the whole local stack has the same time.
    Emulator {
        /// The URL of the clock. `GET` returns `{"now": RFC 3339}`.
        url: String,
        /// The HTTP client for it.
        client: Box<Client<HttpConnector, Empty<Bytes>>>,
    },
    /// A function within the process, for tests.
    InProcess(Arc<dyn Fn() -> Timestamp + Send + Sync>),
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Emulator { url, .. } => write!(f, "Emulator({url})"),
            Self::InProcess(_) => f.write_str("InProcess"),
        }
    }
}

/// The emulator's clock could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the clock at {url} (METERING_CLOCK) could not be read: {problem}")]
pub struct ClockError {
    /// The URL of the clock.
    pub url: String,
    /// The problem, in the words of the HTTP client or the parser.
    pub problem: String,
}

impl Clock {
    /// The system's clock, or the emulator's clock at the URL in `METERING_CLOCK`. That setting is
    /// allowed only with a local DynamoDB endpoint, because a stack on AWS must use the real time.
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let Some(url) = env.text_opt("METERING_CLOCK") else {
            return Ok(Self::System);
        };
        if env.text_opt("DYNAMODB_ENDPOINT").is_none() {
            return Err(env.invalid(
                "METERING_CLOCK",
                "it is only for local stacks, with DYNAMODB_ENDPOINT set",
            ));
        }
        if !url.starts_with("http://") {
            return Err(env.invalid(
                "METERING_CLOCK",
                "it must be a URL that begins with http://",
            ));
        }
        Ok(Self::Emulator {
            url: url.to_owned(),
            client: Box::new(Client::builder(TokioExecutor::new()).build_http()),
        })
    }

    /// The current time.
    pub async fn now(&self) -> Result<Timestamp, ClockError> {
        match self {
            Self::System => Ok(Timestamp::now()),
            Self::InProcess(now) => Ok(now()),
            Self::Emulator { url, client } => {
                ask(url, client).await.map_err(|problem| ClockError {
                    url: url.clone(),
                    problem,
                })
            }
        }
    }
}

async fn ask(url: &str, client: &Client<HttpConnector, Empty<Bytes>>) -> Result<Timestamp, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        now: String,
    }
    let url = url.parse().map_err(|e| format!("{e}"))?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.get(url))
        .await
        .map_err(|_| "no answer in 5 seconds".to_owned())?
        .map_err(|e| e.to_string())?;
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|e| e.to_string())?
        .to_bytes();
    let answer: Answer = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    answer.now.parse().map_err(|e| format!("{e}"))
}
