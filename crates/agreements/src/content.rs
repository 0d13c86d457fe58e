//! The content of a lifecycle message, independent of its format.

use jiff::Timestamp;
use marketplace::lifecycle::Sign;
use marketplace::{AccountId, AgreementId, CustomerIdentifier, LicenseArn, ProductCode};

/// The result of reading a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The message is about an agreement, a license or a customer.
    Message(Message),
    /// The message is about something else.
    Ignored {
        /// The message's detail-type or action.
        what: String,
    },
}

/// A message about an agreement, a license or a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message's id. A repetition has the same id.
    pub id: String,
    /// The event's own time, not the time of its delivery.
    pub at: Timestamp,
    /// The message's detail-type or action.
    pub kind: String,
    /// The content of the message.
    pub content: Content,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// License Updated or License Deprovisioned.
    License {
        /// The sign that the event gives: activated or deprovisioned.
        sign: Sign,
        /// The product of the license.
        product: ProductCode,
        /// The license; `None` if the event names none.
        license: Option<LicenseArn>,
        /// The buyer's account; `None` if the event names none.
        account: Option<AccountId>,
        /// The agreement that currently grants the license; `None` if the event names none.
        agreement: Option<AgreementId>,
    },
    /// Purchase Agreement Created, Amended or Ended. Such an event names neither a product nor a
    /// license.
    Agreement {
        /// The announced end, or `None` for an event that does not change the metering.
        sign: Option<Sign>,
        /// The agreement of the event.
        agreement: AgreementId,
    },
    /// An SNS message of a legacy listing.
    Customer {
        /// The sign that the message gives, or `None` for `entitlement-updated`.
        sign: Option<Sign>,
        /// The product of the listing.
        product: ProductCode,
        /// The customer identifier of the buyer.
        customer: CustomerIdentifier,
    },
}
