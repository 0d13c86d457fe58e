//! Numbers of AWS Marketplace that change with the years or vary from case to case.

use serde::{Deserialize, Serialize};

/// Where the buyers' software runs that calls `MeterUsage` and `RegisterUsage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Amazon EC2: no `RegisterUsage`.
    Ec2,
    /// Amazon ECS.
    #[default]
    Ecs,
    /// Amazon EKS.
    Eks,
    /// AWS Fargate.
    Fargate,
    /// Amazon Bedrock AgentCore: no `RegisterUsage`; `MeterUsage` goes by `ClientToken`.
    AgentCore,
    /// Anywhere else.
    Other,
}

/// How the emulated AWS Marketplace is set: windows, delays, lifetimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How old a timestamp `BatchMeterUsage` accepts, in hours (24 since July 2026, 6 and 1
    /// before).
    pub window_hours: u32,
    /// How old a timestamp `MeterUsage` accepts, in hours.
    pub meter_usage_window_hours: u32,
    /// Whether the month before closes on the 1st at 06:00 UTC.
    pub month_end_rule: bool,
    /// From an agreement's creation to `License Updated`, in seconds. About 62 in practice.
    pub license_updated_delay_s: u32,
    /// From an agreement's end to `License Deprovisioned`, in seconds.
    pub license_deprovisioned_delay_s: u32,
    /// How long a registration token resolves, in seconds (AWS's texts say 30 minutes, 1 h, 4 h).
    pub token_lifetime_s: u32,
    /// Every lifecycle message comes up to this many seconds late, each by another delay: the
    /// order is lost. 0 for in order.
    pub lifecycle_disorder_s: u32,
    /// How many of a hundred lifecycle messages come twice.
    pub lifecycle_repeat_percent: u32,
    /// Whether agreement events come for both of the seller's parts, `- Proposer` and
    /// `- Manufacturer`.
    pub lifecycle_both_parts: bool,
    /// Whether license events print the license's ARN without its leading `arn:`, as some of
    /// AWS's samples do.
    pub lifecycle_bare_license_arns: bool,
    /// The seller's AWS account, which the lifecycle events name.
    pub seller_account_id: String,
    /// Requests must be signed with this secret access key; any signature will do where it is
    /// absent.
    pub secret_access_key: Option<String>,
    /// Where the buyers' software runs.
    pub platform: Platform,
    /// The Region the buyers' software runs in; calls to another are refused. Any where absent.
    pub software_region: Option<String>,
    /// How long CloudTrail takes to show an event, in seconds. About 15 minutes in practice.
    pub cloudtrail_delay_s: u32,
    /// Every event is shown up to this many seconds later still, each by another delay: the order is
    /// lost.
    pub cloudtrail_spread_s: u32,
    /// Of a hundred half hours, those whose events all come as late as any may: gaps, which fill later.
    pub cloudtrail_gaps_percent: u32,
    /// How many of a hundred events are shown twice.
    pub cloudtrail_repeat_percent: u32,
    /// How many of a thousand events are never shown.
    pub cloudtrail_lost_per_mille: u32,
    /// `LookupEvents` per second and Region before it throttles; 0 for no limit. Whichever of
    /// the emulator's clock and the real one has gone further counts.
    pub lookup_events_per_s: u32,
    /// `BatchMeterUsage` per second and Region before it throttles; 0 for no limit. AWS grants
    /// 10.
    pub batch_meter_usage_per_s: u32,
    /// `MeterUsage` per second and Region, alike. AWS grants 10.
    pub meter_usage_per_s: u32,
    /// `RegisterUsage` per second and Region, alike. AWS grants 5.
    pub register_usage_per_s: u32,
    /// What a unit of any dimension costs, in millionths of a dollar. Free trials cost nothing.
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
            lookup_events_per_s: 2,
            batch_meter_usage_per_s: 0,
            meter_usage_per_s: 0,
            register_usage_per_s: 0,
            unit_price_micros: 1_000_000,
        }
    }
}
