//! A running emulator, and HTTP requests to it.
#![allow(
    dead_code,
    reason = "every test file uses its own part of these functions"
)]

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use emulator::{Agreement, Emulator, Identity, NewAgreement, NewProduct, Options};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

pub const NOON: &str = "2026-11-21T12:00:00Z";
pub const LICENSED: &str = "licensedproduct1";
pub const LEGACY: &str = "legacyproduct1";

/// The answer to one HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// The error code of the answer. Panics if the header and the body have different codes.
    pub fn error(&self) -> String {
        let body = self.json();
        let code = body["__type"].as_str().expect("an error").to_owned();
        assert_eq!(self.headers["x-amzn-errortype"], code);
        assert!(!body["message"].as_str().expect("a message").is_empty());
        code
    }

    /// The status of each result, or `-` for a result without a status.
    pub fn statuses(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.json());
        self.json()["Results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|r| r["Status"].as_str().unwrap_or("-").to_owned())
            .collect()
    }
}

/// An emulator that is served on a free port. Its clock is frozen at noon, and it has one product
/// of each identity.
pub struct Running {
    pub emulator: Emulator,
    pub address: SocketAddr,
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

pub fn epoch(text: &str) -> i64 {
    at(text).as_second()
}

pub fn emulator() -> Emulator {
    let emulator = Emulator::new(Options {
        seed: 7,
        now: Some(at(NOON)),
        speed: 0.0,
        ..Options::default()
    });
    for (code, identity) in [(LICENSED, Identity::License), (LEGACY, Identity::Customer)] {
        emulator
            .add_product(NewProduct::new(
                code,
                &["requests", "gb", "Requests"],
                identity,
            ))
            .expect("a product");
    }
    emulator
}

pub async fn running() -> Running {
    let emulator = emulator();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = emulator.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    Running { emulator, address }
}

impl Running {
    /// Makes a purchase that started 20 days ago, so that usage is accepted in the whole window.
    pub fn buys(&self, product: &str) -> Agreement {
        let agreement = NewAgreement {
            start: Some(at("2026-11-01T00:00:00Z")),
            ..NewAgreement::of(product)
        };
        self.emulator.add_agreement(agreement).expect("a purchase")
    }

    /// Sends an HTTP request on a new connection. `None` if no answer came.
    pub async fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<Answer> {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("a handshake");
        let driver = tokio::spawn(connection);
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        driver.abort();
        Some(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    /// Sends a signed AWS JSON request in us-east-1. `None` if no answer came.
    pub async fn try_aws(&self, target: &str, body: &[u8]) -> Option<Answer> {
        self.aws_in("us-east-1", target, body).await
    }

    pub async fn aws_in(&self, region: &str, target: &str, body: &[u8]) -> Option<Answer> {
        let service = match target.contains("CloudTrail") {
            true => "cloudtrail",
            false => "aws-marketplace",
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"
        );
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
            ("authorization", authorization.as_str()),
        ];
        self.http("POST", "/", &headers, body.to_vec()).await
    }

    pub async fn batch(&self, request: &Value) -> Answer {
        let body = request.to_string();
        self.try_aws("AWSMPMeteringService.BatchMeterUsage", body.as_bytes())
            .await
            .expect("an answer")
    }

    /// Calls `BatchMeterUsage` without a product code.
    pub async fn meter(&self, records: &[Value]) -> Answer {
        self.batch(&json!({"UsageRecords": records})).await
    }

    /// Calls `BatchMeterUsage` with a product code.
    pub async fn meter_product(&self, code: &str, records: &[Value]) -> Answer {
        self.batch(&json!({"ProductCode": code, "UsageRecords": records}))
            .await
    }

    pub async fn control(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let path = format!("/_emulator/{path}");
        let headers = [("content-type", "application/json")];
        self.http(method, &path, &headers, body)
            .await
            .expect("an answer")
    }
}

/// A usage record by license: quantity 1 of the dimension `requests` at 11:00.
pub fn by_license(agreement: &Agreement) -> Value {
    json!({
        "Timestamp": epoch("2026-11-21T11:00:00Z"),
        "Dimension": "requests",
        "LicenseArn": agreement.license_arn,
        "CustomerAWSAccountId": agreement.account_id,
        "Quantity": 1,
    })
}

/// A usage record by customer identifier: quantity 1 of the dimension `requests` at 11:00.
pub fn by_customer(agreement: &Agreement) -> Value {
    json!({
        "Timestamp": epoch("2026-11-21T11:00:00Z"),
        "Dimension": "requests",
        "CustomerIdentifier": agreement.customer_identifier,
        "Quantity": 1,
    })
}

/// The same JSON object with one member set. A null removes the member.
pub fn with(record: &Value, member: &str, value: impl Into<Value>) -> Value {
    let mut record = record.clone();
    record[member] = value.into();
    record
}

/// Runs a test on a runtime with one thread.
pub fn run<F: Future<Output = ()>>(story: F) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(story);
}
