//! Makes the clients of AWS services, or of their replacements on localhost.

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::config::ResponseChecksumValidation;
use ledger::Ledger;
use metering_api::MeteringApi;

use crate::env::{Env, SettingError};
use crate::marketplace_role::MarketplaceRole;
use crate::settings::{retention, table_names};

/// The ledger of the stack's three tables. `DYNAMODB_ENDPOINT` replaces the endpoint of DynamoDB,
/// and `RETENTION_MONTHS` says how long closed records are kept.
pub async fn ledger(env: &Env) -> Result<Ledger, SettingError> {
    let tables = table_names(env)?;
    let config = sdk_config(env, "DYNAMODB_ENDPOINT", None).await?;
    let ledger = Ledger::new(aws_sdk_dynamodb::Client::new(&config), tables);
    Ok(ledger.keeping(retention(env)?))
}

/// The client of the metering service. `MARKETPLACE_ENDPOINT` replaces its endpoint, and
/// `METERING_REGION` is the Region in which usage is metered. The calls are signed with the
/// credentials of the role `MARKETPLACE_ROLE_ARN`, if it is set and the endpoint is not replaced. A
/// call is transmitted at most `transmissions_max` times.
pub async fn metering_api(env: &Env, transmissions_max: u32) -> Result<MeteringApi, SettingError> {
    let config = listing_config(env, "MARKETPLACE_ENDPOINT").await?;
    let config = config
        .into_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(transmissions_max))
        .build();
    Ok(MeteringApi::new(aws_sdk_marketplacemetering::Client::new(
        &config,
    )))
}

/// The timeout for a page of LookupEvents. A seller measured 4 seconds on average and at most 35.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(45);

/// The client of CloudTrail in the Region in which usage is metered (`METERING_REGION`).
/// `CLOUDTRAIL_ENDPOINT` replaces its endpoint. The calls are signed with the credentials of the role
/// `MARKETPLACE_ROLE_ARN`, if it is set and the endpoint is not replaced. The SDK's retries are off,
/// because the audit itself retries within the rate limit.
pub async fn cloudtrail(env: &Env) -> Result<aws_sdk_cloudtrail::Client, SettingError> {
    let config = listing_config(env, "CLOUDTRAIL_ENDPOINT").await?;
    let config = config
        .into_builder()
        .timeout_config(timeouts(LOOKUP_TIMEOUT))
        .retry_config(RetryConfig::disabled())
        .build();
    Ok(aws_sdk_cloudtrail::Client::new(&config))
}

/// The client of S3 for the files of a trail, in the Region of the function. `S3_ENDPOINT` replaces
/// its endpoint. It has the function's own credentials, because the trail's bucket lets the
/// function's role read the files (docs/audit.md). The SDK's retries are off, because the audit
/// itself retries.
pub async fn s3(env: &Env) -> Result<aws_sdk_s3::Client, SettingError> {
    let config = sdk_config(env, "S3_ENDPOINT", None).await?;
    let config = aws_sdk_s3::config::Builder::from(&config)
        .retry_config(RetryConfig::disabled())
        // Gzip has a checksum of its own.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // A replacement of S3 has one host name for all buckets.
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

/// The configuration of a service in the account of the listing, in the Region in which usage is
/// metered (`METERING_REGION`). If the stack runs in another account, `MARKETPLACE_ROLE_ARN` is a
/// role in the account of the listing, and calls are signed with its credentials.
///
/// If the variable `endpoint` is set, no role is assumed, because a replacement of AWS must not
/// receive real credentials. The settings of the role are still checked.
async fn listing_config(env: &Env, endpoint: &'static str) -> Result<SdkConfig, SettingError> {
    let role = MarketplaceRole::from_env(env)?;
    let region = env.text_opt("METERING_REGION").map(str::to_owned);
    let config = sdk_config(env, endpoint, region).await?;
    match role {
        Some(role) if env.text_opt(endpoint).is_none() => Ok(assuming(role, config).await),
        _ => Ok(config),
    }
}

/// The timeout for one transmission of AssumeRole. STS answers in a fraction of a second.
const ASSUME_ROLE_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest number of transmissions of AssumeRole for one set of credentials.
const ASSUME_ROLE_TRANSMISSIONS_MAX: u32 = 2;
/// The longest wait for credentials of the role. Two transmissions, with a pause of a second at most
/// between them, end before it, so that the error is the one of STS. The wait is a part of the call
/// that needs the credentials, and is shorter than the timeouts of these calls. So it fits the time
/// of every function; registration has 25 seconds.
const ASSUME_ROLE_TIME_MAX: Duration = Duration::from_secs(6);

/// The same configuration with the credentials of a role. STS is called with the function's own
/// credentials, in the Region of the configuration. The SDK gets credentials before the first call,
/// and new ones before they expire after an hour.
async fn assuming(role: MarketplaceRole, config: SdkConfig) -> SdkConfig {
    let sts = config
        .clone()
        .into_builder()
        .timeout_config(timeouts(ASSUME_ROLE_TIMEOUT))
        .retry_config(RetryConfig::standard().with_max_attempts(ASSUME_ROLE_TRANSMISSIONS_MAX))
        .build();
    let mut provider = AssumeRoleProvider::builder(role.arn)
        .configure(&sts)
        .session_name(role.session_name);
    if let Some(id) = role.external_id {
        provider = provider.external_id(id);
    }
    let provider = provider.build().await;
    config
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .identity_cache(
            IdentityCache::lazy()
                .load_timeout(ASSUME_ROLE_TIME_MAX)
                .build(),
        )
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
        // A replacement of AWS must not receive real credentials.
        let region = env.text_opt("AWS_REGION").unwrap_or("us-east-1").to_owned();
        loader = loader
            .endpoint_url(url)
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .region(Region::new(region));
    }
    Ok(loader.load().await)
}
