//! DynamoDB and AWS Marketplace, or what stands in for them on localhost.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_s3::config::ResponseChecksumValidation;
use ledger::Ledger;
use metering_api::MeteringApi;

use crate::env::{Env, SettingError};
use crate::settings::{retention, table_names};

/// The tables; `DYNAMODB_ENDPOINT` points them elsewhere, and `RETENTION_MONTHS` says for how long
/// closed records are kept.
pub async fn ledger(env: &Env) -> Result<Ledger, SettingError> {
    let tables = table_names(env)?;
    let config = sdk_config(env, "DYNAMODB_ENDPOINT", None).await?;
    let ledger = Ledger::new(aws_sdk_dynamodb::Client::new(&config), tables);
    Ok(ledger.keeping(retention(env)?))
}

/// The metering service; `MARKETPLACE_ENDPOINT` points it elsewhere, `METERING_REGION` to the Region
/// the product is registered for. A call is transmitted at most `transmissions_max` times.
pub async fn metering_api(env: &Env, transmissions_max: u32) -> Result<MeteringApi, SettingError> {
    let region = env.text_opt("METERING_REGION").map(str::to_owned);
    let config = sdk_config(env, "MARKETPLACE_ENDPOINT", region).await?;
    let config = config
        .into_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(transmissions_max))
        .build();
    Ok(MeteringApi::new(aws_sdk_marketplacemetering::Client::new(
        &config,
    )))
}

/// How long a page of LookupEvents is waited for: a seller has measured 4 seconds on average and 35
/// at most.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(45);

/// CloudTrail's Event history of the Region in which usage is metered (`METERING_REGION`);
/// `CLOUDTRAIL_ENDPOINT` points it elsewhere. Who reads it tries again, at the pace it allows.
pub async fn cloudtrail(env: &Env) -> Result<aws_sdk_cloudtrail::Client, SettingError> {
    let region = env.text_opt("METERING_REGION").map(str::to_owned);
    let config = sdk_config(env, "CLOUDTRAIL_ENDPOINT", region).await?;
    let config = config
        .into_builder()
        .timeout_config(timeouts(LOOKUP_TIMEOUT))
        .retry_config(RetryConfig::disabled())
        .build();
    Ok(aws_sdk_cloudtrail::Client::new(&config))
}

/// The files of a trail, in the Region of the function; `S3_ENDPOINT` points it elsewhere. Who reads
/// them tries again.
pub async fn s3(env: &Env) -> Result<aws_sdk_s3::Client, SettingError> {
    let config = sdk_config(env, "S3_ENDPOINT", None).await?;
    let config = aws_sdk_s3::config::Builder::from(&config)
        .retry_config(RetryConfig::disabled())
        // A file is checked by gzip's own checksum.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // A stand-in has one name, whatever the bucket.
        .force_path_style(env.text_opt("S3_ENDPOINT").is_some())
        .build();
    Ok(aws_sdk_s3::Client::from_conf(config))
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(attempt)
        .build()
}

async fn sdk_config(
    env: &Env,
    endpoint: &'static str,
    region: Option<String>,
) -> Result<SdkConfig, SettingError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts(Duration::from_secs(15)));
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = env.text_opt(endpoint) {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(env.invalid(endpoint, "it must be a URL, as in http://127.0.0.1:8081"));
        }
        // A stand-in gets no real credentials.
        let region = env.text_opt("AWS_REGION").unwrap_or("us-east-1").to_owned();
        loader = loader
            .endpoint_url(url)
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .region(Region::new(region));
    }
    Ok(loader.load().await)
}
