//! Delivers lifecycle messages to the seller, over HTTP or into a file.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::emulator::Emulator;
use crate::target::{Target, TargetError, address};
use crate::world::LifecycleMessage;

/// The pause between two checks for messages that are due.
const PERIOD: Duration = Duration::from_millis(50);
/// Number of tries for each message. The pause between tries doubles each time.
const TRIES_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest time that one delivery over HTTP may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
enum Failure {
    #[error("the target cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    #[error("the target does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request could not be made: {0}")]
    Request(#[from] http::Error),
    #[error("the target answered {0}")]
    Status(http::StatusCode),
    #[error("the target did not answer in time")]
    Timeout,
}

/// Delivers messages one after the other when they are due. It runs until its future is dropped.
pub(crate) async fn deliver(emulator: Emulator) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(target) = emulator.core().target.clone() else {
            continue;
        };
        for message in emulator.take_lifecycle() {
            deliver_one(&emulator, &target, &message).await;
        }
    }
}

async fn deliver_one(emulator: &Emulator, target: &Target, message: &LifecycleMessage) {
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES_MAX {
        let tried = match target {
            Target::Url(url) => post(url, message).await,
            Target::File(path) => append(path, message).await,
        };
        match tried {
            Ok(()) => {
                emulator.core().delivery.delivered += 1;
                return;
            }
            Err(failure) => {
                tracing::warn!(%failure, "a lifecycle message was not delivered");
                emulator.core().delivery.last_failure = Some(failure.to_string());
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
    emulator.core().delivery.given_up += 1;
}

/// The message as the seller's endpoint receives it, and the type that SNS puts into a header.
fn body(message: &LifecycleMessage) -> (Value, Option<&'static str>) {
    match message {
        LifecycleMessage::EventBridge(event) => (event.clone(), None),
        LifecycleMessage::Sns {
            topic_arn,
            message,
            message_id,
            timestamp,
        } => {
            let notification = json!({
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": topic_arn,
                "Message": message,
                "Timestamp": format!("{timestamp:.3}"),
                "SignatureVersion": "1",
            });
            (notification, Some("Notification"))
        }
    }
}

async fn append(path: &Path, message: &LifecycleMessage) -> Result<(), Failure> {
    let mut file = tokio::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .await?;
    let line = format!("{}\n", body(message).0);
    file.write_all(line.as_bytes()).await?;
    file.flush().await?;
    Ok(())
}

async fn post(url: &str, message: &LifecycleMessage) -> Result<(), Failure> {
    match tokio::time::timeout(TIMEOUT, exchange(url, message)).await {
        Ok(exchanged) => exchanged,
        Err(_) => Err(Failure::Timeout),
    }
}

async fn exchange(url: &str, message: &LifecycleMessage) -> Result<(), Failure> {
    let invalid = |error: TargetError| std::io::Error::other(error.to_string());
    let (host, port, path) = address(url).map_err(invalid)?;
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let (body, sns_type) = body(message);
    let mut request = http::Request::post(path)
        .header("host", format!("{host}:{port}"))
        .header("content-type", "application/json");
    if let Some(sns_type) = sns_type {
        request = request.header("x-amz-sns-message-type", sns_type);
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())))?;
    let answer = sender.send_request(request).await;
    driving.abort();
    match answer?.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure::Status(status)),
    }
}
