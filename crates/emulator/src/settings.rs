//! Numbers of AWS Marketplace that change with the years or vary from case to case.

use serde::{Deserialize, Serialize};

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
    /// The seller's AWS account, which the lifecycle events name.
    pub seller_account_id: String,
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
            seller_account_id: "222222222222".to_owned(),
        }
    }
}
