//! AWS SDK clients whose HTTP stays within this process. They never retry, wait or read a clock.

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::wire::{TIMED_OUT, Wire};

/// A DynamoDB client whose calls go to the wire.
pub fn dynamodb(wire: &Wire) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&config(wire))
}

/// A metering client whose calls go to the wire.
pub fn metering(wire: &Wire) -> aws_sdk_marketplacemetering::Client {
    aws_sdk_marketplacemetering::Client::new(&config(wire))
}

/// A CloudTrail client whose calls go to the wire.
pub fn cloudtrail(wire: &Wire) -> aws_sdk_cloudtrail::Client {
    aws_sdk_cloudtrail::Client::new(&config(wire))
}

/// An S3 client whose calls go to the wire.
pub fn s3(wire: &Wire) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&config(wire))
        .force_path_style(true)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The configuration that all clients have. The wire tells services apart by the operation, so all
/// have the same endpoint.
fn config(wire: &Wire) -> SdkConfig {
    let credentials = Credentials::new("proof", "proof", None, None, "proof");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url("http://aws.example")
        .http_client(http_client(wire))
        .sleep_impl(SharedAsyncSleep::new(AtOnce))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .identity_cache(IdentityCache::no_cache())
        .build()
}

/// A sleep that ends at once, so that nothing waits for real time.
#[derive(Debug)]
struct AtOnce;

impl AsyncSleep for AtOnce {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

/// An HTTP client whose calls go to the wire.
pub fn http_client(wire: &Wire) -> SharedHttpClient {
    SharedHttpClient::new(InProcess(wire.clone()))
}

#[derive(Clone)]
struct InProcess(Wire);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
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
        let wire = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|e| ConnectorError::user(e.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().unwrap_or_default().to_vec();
            let response = wire
                .call(http::Request::from_parts(parts, body))
                .await
                .map_err(|problem| match problem == TIMED_OUT {
                    true => ConnectorError::timeout(problem.into()),
                    false => ConnectorError::io(problem.into()),
                })?;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}
