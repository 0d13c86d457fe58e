//! What records are suspected together for.

use marketplace::{Dimension, MeteringRecord, ProductCode, Subscription, UsageHour};

/// What a culprit's error says of more than itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A dimension that the product does not have.
    Dimension(ProductCode, Dimension),
    /// A buyer that AWS Marketplace does not take usage of.
    Buyer(Subscription),
    /// An hour that is too old, or in the future.
    Hour(UsageHour),
    /// Nothing: the record alone is wrong.
    Itself(ProductCode),
}

impl Class {
    /// What an error code says of a record.
    pub fn of(code: &str, record: &MeteringRecord) -> Self {
        match code {
            "InvalidUsageDimensionException" => {
                Self::Dimension(record.product.clone(), record.key.dimension.clone())
            }
            "InvalidLicenseException" | "InvalidCustomerIdentifierException" => {
                Self::Buyer(record.key.subscription.clone())
            }
            "TimestampOutOfBoundsException" => Self::Hour(record.key.hour),
            _ => Self::Itself(record.product.clone()),
        }
    }

    /// Every class that a record might be accused in.
    pub(super) fn all_of(record: &MeteringRecord) -> [Self; 3] {
        [
            Self::Dimension(record.product.clone(), record.key.dimension.clone()),
            Self::Buyer(record.key.subscription.clone()),
            Self::Hour(record.key.hour),
        ]
    }
}
