//! What a lifecycle message says, whatever way it came.

use jiff::Timestamp;
use marketplace::lifecycle::Sign;
use marketplace::{AccountId, AgreementId, CustomerIdentifier, LicenseArn, ProductCode};

/// What became of reading a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It is about an agreement, a licence or a customer.
    News(Message),
    /// It is about something else.
    Ignored {
        /// Its source, detail-type or action.
        what: String,
    },
}

/// A message about an agreement, a licence or a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its own id; a repetition has the same.
    pub id: String,
    /// The event's own time, not that of its delivery.
    pub at: Timestamp,
    /// Its detail-type or action.
    pub kind: String,
    /// What it says.
    pub news: News,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// License Updated or License Deprovisioned.
    License {
        /// Activated or deprovisioned.
        sign: Sign,
        /// Of this product.
        product: ProductCode,
        /// The licence.
        license: Option<LicenseArn>,
        /// The buyer's account.
        account: Option<AccountId>,
        /// The agreement that grants the licence now.
        agreement: Option<AgreementId>,
    },
    /// Purchase Agreement Created, Amended or Ended. It names neither product nor licence.
    Agreement {
        /// An end; `None` where the event changes nothing that is metered.
        sign: Option<Sign>,
        /// The agreement.
        agreement: AgreementId,
    },
    /// An SNS message of a legacy listing.
    Customer {
        /// `None` for `entitlement-updated`.
        sign: Option<Sign>,
        /// Of this product.
        product: ProductCode,
        /// The legacy customer.
        customer: CustomerIdentifier,
    },
}
