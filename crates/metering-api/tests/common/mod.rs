//! A small metering service over real sockets. It records the bytes of every request, and answers
//! from a script.
#![allow(dead_code, reason = "each test file uses only some of these functions")]

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_marketplacemetering::config::retry::RetryConfig;
use aws_sdk_marketplacemetering::config::timeout::TimeoutConfig;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_marketplacemetering::{Client, Config};
use marketplace::record::Allocation;
use marketplace::{MeteringRecord, Slot, TagSet, Tags, UsageHour};
use metering_api::MeteringApi;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const ARN: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

/// One answer of the script.
#[derive(Clone, Debug)]
pub enum Turn {
    /// A complete answer with this status and body.
    Answer(u16, Vec<u8>),
    /// Exactly these bytes. Then the connection closes.
    Bytes(Vec<u8>),
    /// The connection closes without an answer.
    Drop,
    /// No answer, and the connection stays open.
    Silence,
}

pub fn ok(body: Value) -> Turn {
    Turn::Answer(200, body.to_string().into_bytes())
}

/// An exception in the form of AWS JSON 1.1.
pub fn exception(status: u16, code: &str, message: &str) -> Turn {
    let body = serde_json::json!({"__type": format!("com.amazonaws.x#{code}"), "message": message});
    Turn::Answer(status, body.to_string().into_bytes())
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header that must occur exactly once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        let value = values
            .next()
            .unwrap_or_else(|| panic!("{name} in {:?}", self.headers));
        assert!(values.next().is_none(), "{name} once in {:?}", self.headers);
        &value.1
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// The service. It runs until its runtime is dropped.
pub struct Service {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    pub async fn answering(script: impl IntoIterator<Item = Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), kept.clone()));
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// A client of the service that makes at most `attempts` attempts, with very short pauses.
    pub fn api(&self, attempts: u32) -> MeteringApi {
        self.api_with(attempts, |config| config)
    }

    pub fn api_with(&self, attempts: u32, change: impl FnOnce(Builder) -> Builder) -> MeteringApi {
        let retries = RetryConfig::standard()
            .with_max_attempts(attempts)
            .with_initial_backoff(Duration::from_millis(1));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(format!("http://{}", self.address))
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(
                "AKIDEXAMPLE",
                "secret",
                None,
                None,
                "test",
            ))
            .retry_config(retries);
        MeteringApi::new(Client::from_conf(change(config).build()))
    }
}

/// Makes each attempt time out after 50 ms.
pub fn impatient(config: Builder) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(50))
        .build();
    config.timeout_config(timeouts)
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Turn>>>,
    requests: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        requests.lock().unwrap().push(request);
        let turn = script.lock().unwrap().pop_front();
        let (bytes, open) = match turn {
            Some(Turn::Answer(status, body)) => (http(status, &body), true),
            Some(Turn::Bytes(bytes)) => (bytes, false),
            Some(Turn::Silence) => {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                return;
            }
            Some(Turn::Drop) | None => return,
        };
        if stream.write_all(&bytes).await.is_err() || !open {
            return;
        }
    }
}

/// The bytes of a complete HTTP answer.
pub fn http(status: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: req-1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|l| l.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        line,
        headers,
        body,
    })
}

/// Runs the future of a test on a single-threaded runtime.
pub fn run<F: Future<Output = T>, T>(test: F) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// A frozen record of the hour 2026-11-21T11.
pub fn record(subscription: &str, dimension: &str, quantity: &str) -> MeteringRecord {
    let hour: UsageHour = "2026-11-21T11".parse().unwrap();
    MeteringRecord {
        account: Some("111122223333".parse().unwrap()),
        ..MeteringRecord::new(
            Slot {
                subscription: subscription.parse().unwrap(),
                hour,
                dimension: dimension.parse().unwrap(),
            },
            "code1".parse().unwrap(),
            quantity.parse().unwrap(),
            hour.plus(24).start(),
            hour.end(),
        )
    }
}

/// A usage allocation with these tags.
pub fn share(tags: &[(&str, &str)], quantity: &str) -> Allocation {
    let tags: Tags = tags
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Allocation {
        tags: TagSet::try_from(tags).unwrap(),
        quantity: quantity.parse().unwrap(),
    }
}
