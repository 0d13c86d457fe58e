//! The subscriptions of a buyer's AWS account: partition `buyer-account|<account>`, sort key
//! `subscription#<subscription>`.
//!
//! The registration page writes and reads these lists, to tell a returning buyer that each
//! subscription is kept for itself. Nothing else depends on them.

use jiff::Timestamp;
use marketplace::{AccountId, ProductCode, Subscription};

use crate::Ledger;
use crate::error::{LedgerError, Malformed};
use crate::item::{Item, Reader, number, text};

/// The beginning of the sort keys.
const PREFIX: &str = "subscription#";

/// A registered subscription in the list of its buyer's AWS account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The subscription.
    pub subscription: Subscription,
    /// The product that it is for.
    pub product: ProductCode,
    /// The time of the subscription's first registration.
    pub registered_at: Timestamp,
}

impl Registered {
    pub(crate) fn to_item(&self, account: &AccountId) -> Item {
        let sort = format!("{PREFIX}{}", self.subscription);
        Item::from([
            ("subscription".to_owned(), text(partition(account))),
            ("item".to_owned(), text(sort)),
            ("version".to_owned(), number(1)),
            ("product_code".to_owned(), text(&self.product)),
            ("registered_at".to_owned(), text(self.registered_at)),
        ])
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        let key = read.text("item")?;
        let key = key.strip_prefix(PREFIX).unwrap_or(key);
        Ok(Self {
            subscription: key.parse().map_err(|e| read.malformed("item", e))?,
            product: read.parsed("product_code")?,
            registered_at: read.parsed("registered_at")?,
        })
    }
}

fn partition(account: &AccountId) -> String {
    format!("buyer-account|{account}")
}

impl Ledger {
    /// Adds a subscription to the list of an AWS account. If it is in the list already, nothing
    /// changes, so its first registration stays.
    pub async fn list_for_account(
        &self,
        account: &AccountId,
        registered: &Registered,
    ) -> Result<(), LedgerError> {
        self.put_new(&self.tables.subscriptions, registered.to_item(account))
            .await
            .map(drop)
    }

    /// The registered subscriptions of an AWS account, strongly consistent. A damaged item is
    /// reported and left out.
    pub async fn subscriptions_of_account(
        &self,
        account: &AccountId,
    ) -> Result<Vec<Registered>, LedgerError> {
        let items = self
            .query_all(&self.tables.subscriptions, &partition(account), PREFIX)
            .await?;
        let mut registered = Vec::new();
        for item in &items {
            match Registered::from_item(item) {
                Ok(found) => registered.push(found),
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        Ok(registered)
    }
}
