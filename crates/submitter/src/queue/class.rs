//! What records are suspected together for.

use marketplace::lane::Lane;
use marketplace::record::RecordKey;
use marketplace::{MeteringRecord, Subscription, UsageHour};

/// What a culprit's error says of more than itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What is remembered from one invocation to the next.
    Lane(Lane),
    /// An hour that AWS Marketplace does not take of one subscription.
    HourOfSubscription(Subscription, UsageHour),
    /// An hour that is too old, or in the future.
    Hour(UsageHour),
    /// Nothing: the record alone is wrong.
    Itself(RecordKey),
}

impl Class {
    /// What an error code says of one record and its likes of the same subscription.
    pub fn narrow(code: &str, record: &MeteringRecord) -> Self {
        let key = &record.key;
        match code {
            "InvalidUsageDimensionException"
            | "InvalidTagException"
            | "InvalidUsageAllocationsException" => Self::Lane(Lane::SubscriptionDimension(
                key.subscription.clone(),
                key.dimension.clone(),
            )),
            "InvalidLicenseException" | "InvalidCustomerIdentifierException" => {
                Self::Lane(Lane::Subscription(key.subscription.clone()))
            }
            "TimestampOutOfBoundsException" => {
                Self::HourOfSubscription(key.subscription.clone(), key.hour)
            }
            _ => Self::Itself(key.clone()),
        }
    }

    /// What the code may say of other subscriptions as well. One record proves nothing of them.
    pub fn wide(code: &str, record: &MeteringRecord) -> Option<Self> {
        match code {
            "InvalidUsageDimensionException" => Some(Self::dimension(record)),
            "TimestampOutOfBoundsException" => Some(Self::Hour(record.key.hour)),
            _ => None,
        }
    }

    /// Whether it is about more than one subscription.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Lane(Lane::Dimension(..)) | Self::Hour(_))
    }

    /// The classes of other subscriptions' records that this one is in.
    pub(super) fn wide_of(record: &MeteringRecord) -> [Self; 2] {
        [Self::dimension(record), Self::Hour(record.key.hour)]
    }

    /// Every class that a record might be accused in, the narrow ones first.
    pub(super) fn all_of(record: &MeteringRecord) -> [Self; 5] {
        let key = &record.key;
        let [dimension, hour] = Self::wide_of(record);
        [
            Self::Lane(Lane::SubscriptionDimension(
                key.subscription.clone(),
                key.dimension.clone(),
            )),
            Self::Lane(Lane::Subscription(key.subscription.clone())),
            Self::HourOfSubscription(key.subscription.clone(), key.hour),
            dimension,
            hour,
        ]
    }

    fn dimension(record: &MeteringRecord) -> Self {
        Self::Lane(Lane::Dimension(
            record.product.clone(),
            record.key.dimension.clone(),
        ))
    }
}
