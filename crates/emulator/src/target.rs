//! Where lifecycle messages go, and what became of them.

use std::path::PathBuf;

use http::Uri;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The destination of lifecycle messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Each message is posted to this `http://` URL: an EventBridge event unchanged, and an SNS
    /// message in the form in which SNS posts it. Any status from 200 to 299 means that it was
    /// delivered.
    Url(String),
    /// Each message is appended to this file as one line.
    File(PathBuf),
}

/// Why a target cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// The text is not a URL that messages can be posted to.
    #[error("`{url}` is not a URL such as http://127.0.0.1:8080/events")]
    Url {
        /// The URL that was given.
        url: String,
    },
}

/// The counts of delivered and abandoned messages, and the latest failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Number of messages delivered to the target.
    pub delivered: u64,
    /// Number of messages given up after eight tries.
    pub given_up: u64,
    /// The error of the last failed try. `None` if no try failed.
    pub last_failure: Option<String>,
}

impl Target {
    pub(crate) fn check(&self) -> Result<(), TargetError> {
        match self {
            Target::Url(url) => address(url).map(|_| ()),
            Target::File(_) => Ok(()),
        }
    }
}

/// The host, port and path of an `http://` URL.
pub(crate) fn address(url: &str) -> Result<(String, u16, String), TargetError> {
    let invalid = || TargetError::Url {
        url: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    if uri.scheme_str() != Some("http") {
        return Err(invalid());
    }
    let host = uri.host().ok_or_else(invalid)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let port = uri.port_u16().unwrap_or(80);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), port, path.to_owned()))
}
