//! The operations of the metering service, and their names.

use std::fmt;

/// An operation of the AWS Marketplace Metering Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Meters SaaS usage, up to 25 records in one request.
    BatchMeterUsage,
    /// Returns the buyer and the product of a registration token.
    ResolveCustomer,
    /// Meters usage from within the buyer's account.
    MeterUsage,
    /// Registers a paid container when it starts.
    RegisterUsage,
}

impl Operation {
    /// The operation's name, as AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BatchMeterUsage => "BatchMeterUsage",
            Self::ResolveCustomer => "ResolveCustomer",
            Self::MeterUsage => "MeterUsage",
            Self::RegisterUsage => "RegisterUsage",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
