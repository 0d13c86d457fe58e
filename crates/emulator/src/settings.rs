//! Numbers of AWS Marketplace that change over the years or from case to case.

use serde::{Deserialize, Serialize};

/// The platform on which the buyers' software calls `MeterUsage` and `RegisterUsage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Amazon EC2. `RegisterUsage` is refused.
    Ec2,
    /// Amazon ECS. `RegisterUsage` is accepted.
    #[default]
    Ecs,
    /// Amazon EKS. `RegisterUsage` is accepted.
    Eks,
    /// AWS Fargate. `RegisterUsage` is accepted.
    Fargate,
    /// Amazon Bedrock AgentCore. `RegisterUsage` is refused, and `MeterUsage` counts by
    /// `ClientToken`.
    AgentCore,
    /// Any other platform. `RegisterUsage` is refused.
    Other,
}

/// The settings of the emulated AWS Marketplace: windows, delays, lifetimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The greatest age of a timestamp that `BatchMeterUsage` accepts, in hours. AWS's limit is 24
    /// hours since July 2026. Before that it was 6 hours, and at first 1 hour.
    pub window_hours: u32,
    /// The greatest age of a timestamp that `MeterUsage` accepts, in hours.
    pub meter_usage_window_hours: u32,
    /// Whether the previous month closes on the 1st at 06:00 UTC.
    pub month_end_rule: bool,
    /// Seconds from an agreement's creation to `License Updated`. About 62 on AWS.
    pub license_updated_delay_s: u32,
    /// Seconds from an agreement's end to `License Deprovisioned`.
    pub license_deprovisioned_delay_s: u32,
    /// How long a registration token is valid, in seconds. AWS's texts say 30 minutes, 1 hour and 4
    /// hours.
    pub token_lifetime_s: u32,
    /// The longest random delay of a lifecycle message, in seconds. The delays change the order of
    /// the messages. 0 keeps the order.
    pub lifecycle_disorder_s: u32,
    /// Percentage of lifecycle messages that are delivered twice.
    pub lifecycle_repeat_percent: u32,
    /// Whether agreement events are sent for both roles of the seller, `- Proposer` and
    /// `- Manufacturer`.
    pub lifecycle_both_parts: bool,
    /// Whether license events contain the license's ARN without its leading `arn:`, as in some of
    /// AWS's samples.
    pub lifecycle_bare_license_arns: bool,
    /// The seller's AWS account id, which is in the lifecycle events.
    pub seller_account_id: String,
    /// The secret access key with which requests must be signed. `None` accepts any signature.
    pub secret_access_key: Option<String>,
    /// The platform on which the buyers' software runs.
    pub platform: Platform,
    /// The Region in which the buyers' software runs. Calls to another Region are refused. `None`
    /// accepts any Region.
    pub software_region: Option<String>,
    /// How long CloudTrail takes to show an event, in seconds. About 15 minutes in practice.
    pub cloudtrail_delay_s: u32,
    /// The longest additional delay of an event, in seconds. Each event has its own random delay,
    /// so events do not appear in order.
    pub cloudtrail_spread_s: u32,
    /// The percentage of half hours whose events all have the longest delay. These are gaps that
    /// fill later.
    pub cloudtrail_gaps_percent: u32,
    /// The percentage of events that are shown twice.
    pub cloudtrail_repeat_percent: u32,
    /// How many of a thousand events are never shown.
    pub cloudtrail_lost_per_mille: u32,
    /// The S3 bucket that CloudTrail's trail writes to.
    pub trail_bucket: String,
    /// The trail's S3 key prefix. The empty text means no prefix.
    pub trail_prefix: String,
    /// The number of days for which the bucket keeps the trail's files. The oldest file is from the
    /// first midnight within these days. With 0 days the bucket is empty.
    pub trail_kept_days: u32,
    /// The most keys on a page of the bucket's list. S3 allows at most 1,000.
    pub trail_page_keys: u32,
    /// Calls of `LookupEvents` per second and Region before it throttles; 0 for no limit. AWS
    /// allows 2. A second is over as soon as it is over on the emulator's clock or on the real
    /// clock.
    pub lookup_events_per_s: u32,
    /// Calls of `BatchMeterUsage` per second and Region before it throttles; 0 for no limit. AWS
    /// allows 10.
    pub batch_meter_usage_per_s: u32,
    /// Calls of `MeterUsage` per second and Region before it throttles; 0 for no limit. AWS allows
    /// 10.
    pub meter_usage_per_s: u32,
    /// Calls of `RegisterUsage` per second and Region before it throttles; 0 for no limit. AWS
    /// allows 5.
    pub register_usage_per_s: u32,
    /// The price of one unit of any dimension, in millionths of a dollar. Free trials cost nothing.
    pub unit_price_micros: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            window_hours: 24,
            meter_usage_window_hours: 6,
            month_end_rule: true,
            license_updated_delay_s: 0,
            license_deprovisioned_delay_s: 31,
            token_lifetime_s: 4 * 3_600,
            lifecycle_disorder_s: 0,
            lifecycle_repeat_percent: 0,
            lifecycle_both_parts: false,
            lifecycle_bare_license_arns: false,
            seller_account_id: "222222222222".to_owned(),
            secret_access_key: None,
            platform: Platform::Ecs,
            software_region: None,
            cloudtrail_delay_s: 900,
            cloudtrail_spread_s: 0,
            cloudtrail_gaps_percent: 0,
            cloudtrail_repeat_percent: 0,
            cloudtrail_lost_per_mille: 0,
            trail_bucket: "example-trail".to_owned(),
            trail_prefix: String::new(),
            trail_kept_days: 400,
            trail_page_keys: 1_000,
            lookup_events_per_s: 2,
            batch_meter_usage_per_s: 0,
            meter_usage_per_s: 0,
            register_usage_per_s: 0,
            unit_price_micros: 1_000_000,
        }
    }
}
