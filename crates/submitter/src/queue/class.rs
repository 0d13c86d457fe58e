//! Classes of records that are suspected together.

use marketplace::lane::Lane;
use marketplace::slot::Slot;
use marketplace::{MeteringRecord, Subscription, UsageHour};

/// The records that are likely to be refused with the same error as a culprit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The records of a lane. Lanes are remembered from one invocation to the next.
    Lane(Lane),
    /// The records of one hour of one subscription, whose timestamp AWS Marketplace does not
    /// accept.
    HourOfSubscription(Subscription, UsageHour),
    /// All records of an hour that is too old, or in the future.
    Hour(UsageHour),
    /// Only the culprit, because its error says nothing about other records.
    Itself(Slot),
}

impl Class {
    /// Returns the class within the culprit's own subscription that the error code concerns.
    pub fn narrow(code: &str, record: &MeteringRecord) -> Self {
        let slot = &record.slot;
        match code {
            "InvalidUsageDimensionException"
            | "InvalidTagException"
            | "InvalidUsageAllocationsException" => Self::Lane(Lane::SubscriptionDimension(
                slot.subscription.clone(),
                slot.dimension.clone(),
            )),
            "InvalidLicenseException" | "InvalidCustomerIdentifierException" => {
                Self::Lane(Lane::Subscription(slot.subscription.clone()))
            }
            "TimestampOutOfBoundsException" => {
                Self::HourOfSubscription(slot.subscription.clone(), slot.hour)
            }
            _ => Self::Itself(slot.clone()),
        }
    }

    /// Returns the class that spans all subscriptions and that the error code may concern; `None`
    /// if there is none. One refused record does not make this class guilty.
    pub fn wide(code: &str, record: &MeteringRecord) -> Option<Self> {
        match code {
            "InvalidUsageDimensionException" => Some(Self::dimension(record)),
            "TimestampOutOfBoundsException" => Some(Self::Hour(record.slot.hour)),
            _ => None,
        }
    }

    /// Returns whether the class can have records of more than one subscription.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Lane(Lane::Dimension(..)) | Self::Hour(_))
    }

    /// Returns the classes of a record that span all subscriptions.
    pub(super) fn wide_of(record: &MeteringRecord) -> [Self; 2] {
        [Self::dimension(record), Self::Hour(record.slot.hour)]
    }

    /// Returns every class that a record belongs to, the narrow ones first.
    pub(super) fn all_of(record: &MeteringRecord) -> [Self; 5] {
        let slot = &record.slot;
        let [dimension, hour] = Self::wide_of(record);
        [
            Self::Lane(Lane::SubscriptionDimension(
                slot.subscription.clone(),
                slot.dimension.clone(),
            )),
            Self::Lane(Lane::Subscription(slot.subscription.clone())),
            Self::HourOfSubscription(slot.subscription.clone(), slot.hour),
            dimension,
            hour,
        ]
    }

    fn dimension(record: &MeteringRecord) -> Self {
        Self::Lane(Lane::Dimension(
            record.product.clone(),
            record.slot.dimension.clone(),
        ))
    }
}
