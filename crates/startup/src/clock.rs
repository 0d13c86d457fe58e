//! The one place that knows what time it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;

use crate::env::{Env, SettingError};

/// Bytes of an answer with the time.
const ANSWER_BYTES_MAX: usize = 4_096;
/// How long to wait for a clock on localhost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the time comes from.
#[derive(Clone)]
pub enum Clock {
    /// The system's clock; the only one on AWS.
    System,
    /// The emulator's clock, so that the whole local stack lives in one time.
    Emulator {
        /// `GET` it for `{"now": RFC 3339}`.
        url: String,
        /// Over HTTP.
        client: Box<Client<HttpConnector, Empty<Bytes>>>,
    },
    /// A clock within the process.
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

/// The emulator's clock did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the clock at {url} (METERING_CLOCK) did not tell the time: {problem}")]
pub struct ClockError {
    /// Its URL.
    pub url: String,
    /// What went wrong.
    pub problem: String,
}

impl Clock {
    /// The system's clock, or the one `METERING_CLOCK` names, which is honoured only beside local
    /// endpoints: a stack that talks to AWS lives in AWS's time.
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

    /// The time.
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
