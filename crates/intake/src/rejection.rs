//! The reasons why an event is not stored. Each message names the value, the rule and the next
//! step.

use jiff::Timestamp;
use marketplace::ids::InvalidId;
use marketplace::quantity::InvalidQuantity;
use marketplace::tags::InvalidTags;
use marketplace::{Month, UsageHour};

use crate::limits::SUBSCRIPTION_BYTES_MAX;

/// The reason why an event is rejected. The same event will be rejected again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The event is not a JSON object.
    #[error(
        "{0} is not an event: send an object with id, subscription, dimension, quantity and time"
    )]
    NotAnEvent(String),
    /// The event has an unknown member. It may be misspelt, so it is not ignored.
    #[error(
        "an event has no member {0:?}: its members are id, subscription, dimension, quantity, time and optionally tags; remove the member or correct its name"
    )]
    UnknownMember(String),
    /// The event has a member twice, so the correct value is unknown.
    #[error("the event has member {0} twice: send it once")]
    RepeatedMember(&'static str),
    /// The event lacks a member.
    #[error("the event has no {0}: add it and send the event again")]
    MissingMember(&'static str),
    /// A member has the wrong type.
    #[error("{member} is {value}, which is not {expected}: send it as {expected}")]
    WrongType {
        /// The name of the member.
        member: &'static str,
        /// The member's JSON, cut off after 60 characters.
        value: String,
        /// The type that it should have.
        expected: &'static str,
    },
    /// The id has characters that are not allowed, or too many.
    #[error("{0}: choose another id, and keep it when you send the event again")]
    Id(InvalidId),
    /// The id is reserved for carried usage.
    #[error(
        "event id {0:?} is reserved: ids that begin with \"carry:\" belong to carried late usage; choose another id"
    )]
    ReservedId(String),
    /// The subscription has none of the three forms.
    #[error("{0}: send the key of the subscription that `metering subscriptions list` shows")]
    Subscription(InvalidId),
    /// The subscription is too long to be stored.
    #[error(
        "the subscription has {0} bytes: at most {SUBSCRIPTION_BYTES_MAX}; send the key that `metering subscriptions list` shows"
    )]
    SubscriptionTooLong(usize),
    /// The subscription is not known.
    #[error(
        "there is no subscription {0:?}: a subscription exists once the buyer has registered or AWS Marketplace has announced the license; correct the key, or send the event again afterwards"
    )]
    UnknownSubscription(String),
    /// The subscription has ended, and its last usage is metered.
    #[error(
        "subscription {0:?} has ended and its last usage is metered: nothing can be billed to it; stop the producer, or send the usage under the buyer's new subscription"
    )]
    Ended(String),
    /// The dimension is empty or too long.
    #[error("{0}: send the API name of one of the product's dimensions")]
    Dimension(InvalidId),
    /// The product does not have the dimension.
    #[error(
        "product {product} has no dimension {dimension:?}: it has {known}; correct the name (case matters), or add the dimension to the product's configuration"
    )]
    UnknownDimension {
        /// The code of the subscription's product.
        product: String,
        /// The dimension that was sent, cut off after 100 characters.
        dimension: String,
        /// The first ten dimensions of the product, as a list.
        known: String,
    },
    /// Dimension and id together are too long for the table's key.
    #[error("{0}: dimension and id have at most 1,022 bytes together; choose a shorter id")]
    KeyTooLong(String),
    /// The quantity is negative, too large, too precise, or not a number.
    #[error(transparent)]
    Quantity(#[from] InvalidQuantity),
    /// The time is not RFC 3339.
    #[error("time {0:?} is not RFC 3339: send it as in 2026-11-21T02:15:00Z")]
    Time(String),
    /// The time is more than 5 minutes ahead of this function's clock.
    #[error(
        "time {time} lies in the future: the clock shows {now}, and a time may be 5 minutes ahead of it; correct the producer's clock, or send the event again later"
    )]
    InFuture {
        /// The time in the event.
        time: Timestamp,
        /// The time of this function's clock.
        now: Timestamp,
    },
    /// The event's month is closed.
    #[error(
        "time {time} is too old: AWS Marketplace closes {month}, and usage that is sent after {closed} cannot be billed any more; correct the time if it is wrong, otherwise bill this usage outside AWS Marketplace"
    )]
    TooOld {
        /// The time in the event.
        time: Timestamp,
        /// The month of that time.
        month: Month,
        /// The time after which the last hour of the month is sealed.
        closed: Timestamp,
    },
    /// AWS Marketplace would refuse the tags.
    #[error("{0}; correct the tags, or send the event without them")]
    Tags(#[from] InvalidTags),
    /// A tag key occurs twice.
    #[error("the event has tag {0:?} twice: send it once")]
    RepeatedTag(String),
    /// An event with other content is stored under this id.
    #[error(
        "event id {id:?} is already stored for dimension {dimension:?} and hour {hour}, with other content ({stored}): an id always names the same event; send the new event under another id"
    )]
    Conflict {
        /// The id of both events.
        id: String,
        /// The dimension of both events.
        dimension: String,
        /// The hour of both events.
        hour: UsageHour,
        /// A description of the stored event's content.
        stored: String,
    },
}

impl Rejection {
    /// A short, fixed name of the reason, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnEvent(_) => "not-an-event",
            Self::UnknownMember(_) => "unknown-member",
            Self::RepeatedMember(_) => "repeated-member",
            Self::MissingMember(_) => "missing-member",
            Self::WrongType { .. } => "wrong-type",
            Self::Id(_) => "invalid-id",
            Self::ReservedId(_) => "reserved-id",
            Self::Subscription(_) | Self::SubscriptionTooLong(_) => "invalid-subscription",
            Self::UnknownSubscription(_) => "unknown-subscription",
            Self::Ended(_) => "subscription-ended",
            Self::Dimension(_) => "invalid-dimension",
            Self::UnknownDimension { .. } => "unknown-dimension",
            Self::KeyTooLong(_) => "key-too-long",
            Self::Quantity(_) => "invalid-quantity",
            Self::Time(_) => "invalid-time",
            Self::InFuture { .. } => "time-in-future",
            Self::TooOld { .. } => "time-too-old",
            Self::Tags(_) | Self::RepeatedTag(_) => "invalid-tags",
            Self::Conflict { .. } => "conflict",
        }
    }
}
