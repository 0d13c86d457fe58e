//! Settings that several functions share. The template sets the environment variables.

use std::collections::BTreeSet;

use ledger::TableNames;
use marketplace::ProductCode;
use marketplace::carry::LatePolicy;
use marketplace::limits::RETENTION_MONTHS_DEFAULT;
use marketplace::record::SealPolicy;
use marketplace::retention::Retention;
use marketplace::schedule::Schedule;
use marketplace::window::Window;

use crate::env::{Env, SettingError};

/// Reads the three table names from `SUBSCRIPTIONS_TABLE`, `USAGE_EVENTS_TABLE` and
/// `METERING_RECORDS_TABLE`.
pub fn table_names(env: &Env) -> Result<TableNames, SettingError> {
    let expected = "the name of the DynamoDB table";
    Ok(TableNames {
        subscriptions: env.text("SUBSCRIPTIONS_TABLE", expected)?.to_owned(),
        usage_events: env.text("USAGE_EVENTS_TABLE", expected)?.to_owned(),
        metering_records: env.text("METERING_RECORDS_TABLE", expected)?.to_owned(),
    })
}

/// Minutes after its end at which an hour is due to be sealed, unless `SETTLE_MINUTES` is set.
const SETTLE_MINUTES_DEFAULT: i64 = 30;

/// Reads the schedule of sealing from `SETTLE_MINUTES`, 30 unless set.
pub fn schedule(env: &Env) -> Result<Schedule, SettingError> {
    let minutes = env.parsed_or("SETTLE_MINUTES", SETTLE_MINUTES_DEFAULT)?;
    Schedule::with_settle_minutes(minutes).map_err(|e| env.invalid("SETTLE_MINUTES", e))
}

/// Reads the policy for freezing records from `WINDOW_HOURS`, 24 unless set, and `DRY_RUN`, false
/// unless set. The window must be long enough to leave time for sending after `SETTLE_MINUTES`. The
/// policy makes no heartbeats, because only the sealer makes them. The sealer reads that setting
/// with [`heartbeats`].
pub fn seal_policy(env: &Env) -> Result<SealPolicy, SettingError> {
    let hours = env.parsed_or("WINDOW_HOURS", marketplace::limits::WINDOW_HOURS_DEFAULT)?;
    let window = Window::from_hours(hours).map_err(|e| env.invalid("WINDOW_HOURS", e))?;
    let settle = env.parsed_or("SETTLE_MINUTES", SETTLE_MINUTES_DEFAULT)?;
    window
        .check_settle(settle)
        .map_err(|e| env.invalid("WINDOW_HOURS", e))?;
    Ok(SealPolicy {
        window,
        dry_run: env.parsed_or("DRY_RUN", false)?,
        heartbeats: false,
    })
}

/// Reads from `HEARTBEATS` whether hours without usage are metered as zero; false unless set.
pub fn heartbeats(env: &Env) -> Result<bool, SettingError> {
    env.parsed_or("HEARTBEATS", false)
}

/// Reads the policy for late usage from `LATE_POLICY`, `carry` unless set.
pub fn late_policy(env: &Env) -> Result<LatePolicy, SettingError> {
    env.parsed_or("LATE_POLICY", LatePolicy::Carry)
}

/// Reads from `RETENTION_MONTHS` how many months closed records are kept; 25 unless set.
pub fn retention(env: &Env) -> Result<Retention, SettingError> {
    let months = env.parsed_or("RETENTION_MONTHS", RETENTION_MONTHS_DEFAULT)?;
    Retention::from_months(months).map_err(|e| env.invalid("RETENTION_MONTHS", e))
}

/// The products that this stack serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Products(BTreeSet<ProductCode>);

impl Products {
    /// Reads `PRODUCT_CODES`, which are separated by commas. Unless it is set, the stack serves all
    /// products of the seller.
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        env.text_opt("PRODUCT_CODES")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|code| !code.is_empty())
            .map(|code| code.parse().map_err(|e| env.invalid("PRODUCT_CODES", e)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether this stack serves every product of the seller.
    pub fn serve_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this stack serves a product.
    pub fn serve(&self, code: &ProductCode) -> bool {
        self.0.is_empty() || self.0.contains(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let env = Env::of([
            ("SETTLE_MINUTES", "300"),
            ("WINDOW_HOURS", "1"),
            ("LATE_POLICY", "drop"),
            ("RETENTION_MONTHS", "3"),
            ("PRODUCT_CODES", "a, b|c"),
        ]);
        for (error, name) in [
            (schedule(&env).unwrap_err(), "SETTLE_MINUTES"),
            (seal_policy(&env).unwrap_err(), "WINDOW_HOURS"),
            (late_policy(&env).unwrap_err(), "LATE_POLICY"),
            (retention(&env).unwrap_err(), "RETENTION_MONTHS"),
            (Products::from_env(&env).unwrap_err(), "PRODUCT_CODES"),
            (table_names(&env).unwrap_err(), "SUBSCRIPTIONS_TABLE"),
        ] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn without_a_list_every_product_is_served() {
        let code: ProductCode = "code".parse().unwrap();
        assert!(Products::from_env(&Env::default()).unwrap().serve(&code));
        assert!(
            !Products::from_env(&Env::of([("PRODUCT_CODES", "other")]))
                .unwrap()
                .serve(&code)
        );
    }
}
