//! The code that all functions share at their start: settings, clients, logs, metrics, the clock,
//! and the Lambda loop.
//!
//! # Layout
//! * [`env`]: environment variables, each checked before the function serves
//! * [`settings`]: the settings that several functions share
//! * [`trail`]: where a trail writes its files
//! * [`marketplace_role`]: the role in the account of the listing
//! * [`clients`]: clients of DynamoDB and AWS Marketplace, or of their replacements on localhost
//! * [`clock`]: the only source of the current time
//! * [`budget`]: the remaining time of an invocation
//! * [`metrics`]: CloudWatch metrics as log lines
//! * [`run`]: the Lambda loop

pub mod budget;
pub mod clients;
pub mod clock;
pub mod env;
mod invocation_error;
pub mod marketplace_role;
pub mod metrics;
pub mod run;
pub mod settings;
pub mod trail;

pub use budget::{Budget, INVOCATION_TIME};
pub use clock::{Clock, ClockError};
pub use env::{Env, SettingError};
pub use invocation_error::InvocationError;
pub use run::{BatchResponse, block_on, run};

/// The error that prevents a function from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
}
