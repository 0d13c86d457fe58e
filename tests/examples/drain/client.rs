//! The submitter with clients whose calls end in this process after a virtual time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use ledger::{Ledger, TableNames};
use metering_api::MeteringApi;
use runtime::{Clock, Env};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::{Aws, QUOTA_PER_SECOND, SEALED_AT};

/// The time that DynamoDB takes to answer within one Region.
const DYNAMODB_ANSWERS_IN: Duration = Duration::from_millis(6);
/// The time that AWS Marketplace takes to answer.
const MARKETPLACE_ANSWERS_IN: Duration = Duration::from_millis(120);

/// An HTTP client whose calls end in this process.
#[derive(Clone)]
pub struct InProcess(Arc<Mutex<Aws>>);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

/// A time source for the SDK that uses the runtime's time.
#[derive(Debug)]
struct RuntimeTime(Instant);

impl TimeSource for RuntimeTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(SEALED_AT as u64) + self.0.elapsed()
    }
}

impl InProcess {
    /// A client of AWS with this many records that wait to be sent.
    pub fn new(records: usize) -> Self {
        Self(Arc::new(Mutex::new(Aws::new(records))))
    }

    pub fn aws(&self) -> MutexGuard<'_, Aws> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, operation: &str, body: &Value) -> (u16, Value) {
        match operation {
            "BatchMeterUsage" => {
                let answer = self.aws().meter(body);
                tokio::time::sleep(MARKETPLACE_ANSWERS_IN).await;
                answer
            }
            _ => {
                tokio::time::sleep(DYNAMODB_ANSWERS_IN).await;
                let mut aws = self.aws();
                if body["Key"]["item"]["S"].as_str() == Some("sender") {
                    return match operation {
                        "UpdateItem" => aws.take_turn(&body["ExpressionAttributeValues"]),
                        _ => (200, aws.turn_item()),
                    };
                }
                let answer = match operation {
                    "Query" => aws.query(body),
                    "BatchGetItem" => aws.batch_get(body),
                    "UpdateItem" => aws.update(body),
                    // The audit does not wait for a witness.
                    "GetItem" => json!({}),
                    other => panic!("the submitter does not call {other}"),
                };
                (200, answer)
            }
        }
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body = request.body().bytes().unwrap_or_default();
            let body: Value =
                serde_json::from_slice(body).map_err(|e| ConnectorError::user(e.into()))?;
            let (status, answer) = aws.answer(&operation, &body).await;
            let response = http::Response::builder()
                .status(status)
                .header("content-type", "application/x-amz-json-1.1")
                .body(SdkBody::from(answer.to_string()))
                .map_err(|e| ConnectorError::user(e.into()))?;
            HttpResponse::try_from(response).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// The submitter, whose calls end in `http`. Its clocks show the time of the runtime.
pub fn app(http: &InProcess, started: Instant) -> submitter::App {
    let credentials = || Credentials::new("example", "example", None, None, "example");
    let dynamodb = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url("http://dynamodb.example")
        .http_client(http.clone())
        .time_source(RuntimeTime(started))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let metering = aws_sdk_marketplacemetering::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url("http://metering.example")
        .http_client(http.clone())
        .time_source(RuntimeTime(started))
        // The function has the same retry configuration.
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let clock = move || {
        let elapsed = i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(SEALED_AT + elapsed).unwrap_or(Timestamp::MAX)
    };
    let env = Env::of([
        ("SUBMIT_AT_ONCE", "4".to_owned()),
        ("SUBMIT_PER_SECOND", QUOTA_PER_SECOND.to_string()),
    ]);
    let ledger = Ledger::new(
        aws_sdk_dynamodb::Client::from_conf(dynamodb),
        TableNames::of_stack("metering"),
    );
    let metering = MeteringApi::new(aws_sdk_marketplacemetering::Client::from_conf(metering));
    let clock = Clock::InProcess(Arc::new(clock));
    submitter::App::new(&env, ledger, metering, clock).expect("settings")
}
