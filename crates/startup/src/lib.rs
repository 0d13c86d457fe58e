//! What every function's start shares: settings, clients, logs, metrics, the clock, and the loop.
//!
//! # Layout
//! * [`env`]: environment variables, each checked before anything is served
//! * [`settings`]: the settings several functions share
//! * [`trail`]: where a trail writes its files
//! * [`clients`]: DynamoDB and AWS Marketplace, or their stand-ins on localhost
//! * [`clock`]: the one place that knows what time it is
//! * [`budget`]: how much of an invocation is left
//! * [`metrics`]: CloudWatch metrics as log lines
//! * [`run`]: the Lambda loop

pub mod budget;
pub mod clients;
pub mod clock;
pub mod env;
pub mod metrics;
pub mod run;
pub mod settings;
pub mod trail;

pub use budget::Budget;
pub use clock::{Clock, ClockError};
pub use env::{Env, SettingError};
pub use run::{BatchResponse, block_on, run};

/// Why a function did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
}
